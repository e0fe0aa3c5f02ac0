/*
 * Running graphs: the plan (places reused, bytes known before), values and gradients of random graphs against the ops'
 * references, interventions, failures.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tokray/session.h>

#include "base/memory.h"
#include "base/threads.h"
#include "support/compare.h"
#include "support/tensors.h"

enum { WIDTH = 8, MOST_NODES = 24, GRAPHS = 40 };

/* A random graph over a source of gradients ("source", node 0) and one without ("fixed", node 1). */
typedef struct bed {
    fixture f;
    tkr_error error;
    graph *g;
    segments all, few;               /* rows of the sources, and of gathers        */
    bool is_few[MOST_NODES];         /* which of the two a node has                */
    real *inputs[2];
    node last;
} bed;

static void forbid_failure(const tkr_error *error)
{
    if (error->code != TKR_OK)
        fail_msg("%s: %s", tkr_status_name(error->code), error->message);
}

static size_t size_of(const bed *b, node n) { return b->g->nodes[n].rows * b->g->nodes[n].width; }

/* Some earlier node with these rows (angles are narrower). */
static node any_node(bed *b, bool few)
{
    node n;
    do
        n = (node)fixture_below(&b->f, (uint32_t)b->g->count);
    while (b->is_few[n] != few || b->g->nodes[n].width != WIDTH);
    return n;
}

static node add_op(bed *b, const op *o, const node *in, weight *const *weights, op_params params)
{
    return graph_add(b->g, o, in, weights, params, b->few.begin[b->few.count], b->few);
}

static node add_linear(bed *b, node x)
{
    weight *weights[NODE_WEIGHTS] = {fixture_weight(&b->f, WEIGHT_F32, WIDTH, WIDTH, false, 0, 0.3),
                                     fixture_weight(&b->f, WEIGHT_F32, 1, WIDTH, false, 0, 0.3)};
    return add_op(b, &op_linear, &x, weights, (op_params){0});
}

static node add_norm(bed *b, node x)
{
    weight *weights[NODE_WEIGHTS] = {fixture_weight(&b->f, WEIGHT_F32, 1, WIDTH, false, 1, 0.2),
                                     fixture_weight(&b->f, WEIGHT_F32, 1, WIDTH, false, 0, 0.2)};
    return add_op(b, &op_layer_norm, &x, weights, (op_params){.eps = 1e-3});
}

static node add_gather(bed *b, node x)
{
    int32_t *index = fixture_room(&b->f, b->few.begin[b->few.count], sizeof *index);
    for (size_t s = 0; s < b->few.count; s++)
        for (uint32_t r = b->few.begin[s]; r < b->few.begin[s + 1]; r++)
            index[r] = (int32_t)(b->all.begin[s] + fixture_below(&b->f, b->all.begin[s + 1] - b->all.begin[s]));
    return add_op(b, &op_gather, &x, NULL, (op_params){.index = index});
}

static node add_rms_norm(bed *b, node x)
{
    weight *weights[NODE_WEIGHTS] = {fixture_weight(&b->f, WEIGHT_F32, 1, WIDTH, false, 1, 0.2)};
    return add_op(b, &op_rms_norm, &x, weights, (op_params){.eps = 1e-1});
}

/* Two nodes: angles for the rows of x, and x turned by them. */
static node add_rotate(bed *b, node x, bool few)
{
    static const double frequencies[WIDTH / 4] = {1, 0.1};
    segments rows_of = few ? b->few : b->all;
    size_t rows = rows_of.begin[rows_of.count];
    int32_t *positions = fixture_room(&b->f, rows, sizeof *positions);
    for (size_t r = 0; r < rows; r++)
        positions[r] = (int32_t)fixture_below(&b->f, 50);
    op_params params = {.index = positions, .width = WIDTH / 2, .frequencies = frequencies};
    node angles = graph_add(b->g, &op_angles, NULL, NULL, params, rows, rows_of);
    return add_op(b, &op_rotate, (const node[]){x, angles}, NULL, (op_params){.heads = 2});
}

static node add_given(bed *b, bool few)
{
    segments rows_of = few ? b->few : b->all;
    size_t rows = rows_of.begin[rows_of.count];
    op_params params = {.given = fixture_numbers(&b->f, rows * WIDTH), .width = WIDTH};
    return graph_add(b->g, &op_given, NULL, NULL, params, rows, rows_of);
}

/* One more node of a random kind; whether its rows are the few. */
static bool add_random(bed *b)
{
    static const activation smooth[] = {ACT_GELU_ERF, ACT_GELU_TANH, ACT_SILU, ACT_TANH};
    bool few = fixture_below(&b->f, 3) == 0 && memchr(b->is_few, true, b->g->count) != NULL;
    node in[] = {any_node(b, few), any_node(b, few), 0};
    switch (fixture_below(&b->f, 11)) {
    case 0: add_op(b, &op_add, in, NULL, (op_params){0}); return few;
    case 1: add_linear(b, in[0]); return few;
    case 2: add_norm(b, in[0]); return few;
    case 3: add_op(b, &op_activate, in, NULL, (op_params){.act = smooth[fixture_below(&b->f, 4)]}); return few;
    case 4: add_gather(b, any_node(b, false)); return true;
    case 5: add_op(b, &op_multiply, in, NULL, (op_params){0}); return few;
    case 6: add_op(b, &op_scale, in, NULL, (op_params){.scale = REAL(0.7)}); return few;
    case 7: add_rms_norm(b, in[0]); return few;
    case 8: add_rotate(b, in[0], few); return few;
    case 9: add_given(b, few); return few;
    default: break;
    }
    in[1] = any_node(b, false);
    in[2] = fixture_below(&b->f, 2) ? in[1] : any_node(b, false);
    node attended = add_op(b, &op_attention, in, NULL, (op_params){.heads = 2, .scale = REAL(0.5)});
    b->g->nodes[attended].saves_kept = fixture_below(&b->f, 2) == 0;
    return few;
}

static void name_node(bed *b, node n)
{
    char name[SITE_NAME_ROOM];
    (void)snprintf(name, sizeof name, "node.%d", (int)n);
    graph_site_add(b->g, n, n == 0 ? "source" : n == 1 ? "fixed" : name, false);
}

static void bed_init(bed *b, uint64_t seed)
{
    *b = (bed){.error = {0}};
    fixture_init(&b->f, seed);
    uint32_t lengths[3], chosen[3], sequences = 1 + fixture_below(&b->f, 3);
    for (uint32_t s = 0; s < sequences; s++) {
        lengths[s] = s == 0 ? 3 : fixture_below(&b->f, 7);
        chosen[s] = lengths[s] > 0 ? 1 + fixture_below(&b->f, 3) : 0;
    }
    b->all = fixture_segments(&b->f, lengths, sequences);
    b->few = fixture_segments(&b->f, chosen, sequences);
    b->g = graph_new(b->f.arena, &b->error);
    for (node n = 0; n < 2; n++) {
        source_add(b->g, WIDTH, b->all);
        b->inputs[n] = fixture_numbers(&b->f, size_of(b, n));
    }
    size_t count = 4 + fixture_below(&b->f, MOST_NODES - 4);
    while (b->g->count < count) {
        size_t first = b->g->count;
        bool few = add_random(b);
        forbid_failure(&b->error);
        for (size_t n = first; n < b->g->count; n++)
            b->is_few[n] = few;
    }
    b->last = (node)b->g->count - 1;
    b->g->nodes[0].is_source = true;
    for (node n = 0; n <= b->last; n++) {
        name_node(b, n);
        b->g->nodes[n].is_kept = n == b->last || fixture_below(&b->f, 4) == 0;
        b->g->nodes[n].is_gradient_kept = n == 0 || (n > 1 && fixture_below(&b->f, 4) == 0);
    }
}

static void bed_fini(bed *b) { fixture_fini(&b->f); }

static runner *run_new(bed *b, run_options options, pool *threads)
{
    runner *r = runner_new(b->g, options, kernels_best(), threads, &b->error);
    forbid_failure(&b->error);
    runner_intervene(r, "source", intervene_copy, b->inputs[0], &b->error);
    runner_intervene(r, "fixed", intervene_copy, b->inputs[1], &b->error);
    forbid_failure(&b->error);
    return r;
}

static void run_forward(bed *b, runner *r)
{
    runner_forward(r, &b->error);
    forbid_failure(&b->error);
}

static void run_backward(bed *b, runner *r, node from, const real *seed)
{
    runner_backward(r, from, seed, &b->error);
    forbid_failure(&b->error);
}

/* <seed, value of `from`> at source + t direction, by the references. */
static double along(bed *b, node from, const real *seed, const double *direction, double t)
{
    double *values[MOST_NODES] = {fixture_doubles(&b->f, b->inputs[0], size_of(b, 0)),
                                  fixture_doubles(&b->f, b->inputs[1], size_of(b, 1))};
    for (size_t i = 0; i < size_of(b, 0); i++)
        values[0][i] += t * direction[i];
    graph_reference(&b->f, b->g, values);
    double sum = 0;
    for (size_t i = 0; i < size_of(b, from); i++)
        sum += (double)seed[i] * values[from][i];
    return sum;
}

static void check_slope(bed *b, const runner *r, node from, const real *seed)
{
    const double step = 1e-5;
    const real *gradient = runner_gradient(r, 0);
    assert_non_null(gradient);
    double *direction = fixture_doubles(&b->f, fixture_numbers(&b->f, size_of(b, 0)), size_of(b, 0));
    double slope = 0, scale = 1e-2;
    for (size_t i = 0; i < size_of(b, 0); i++) {
        slope += (double)gradient[i] * direction[i];
        scale += fabs((double)gradient[i] * direction[i]);
    }
    double want = (along(b, from, seed, direction, step) - along(b, from, seed, direction, -step)) / (2 * step);
    double got_pair[] = {slope, scale}, want_pair[] = {want, scale};
    assert_close_tensor("slope", TENSOR(got_pair, 2), TENSOR(want_pair, 2), TOLERANCE_graph_gradient);
}

static void test_run__values_and_gradients_equal_the_references(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        bed b;
        bed_init(&b, seed);
        runner *r = run_new(&b, (run_options){.backward = true}, NULL);
        run_forward(&b, r);
        double *values[MOST_NODES] = {fixture_doubles(&b.f, b.inputs[0], size_of(&b, 0)),
                                      fixture_doubles(&b.f, b.inputs[1], size_of(&b, 1))};
        graph_reference(&b.f, b.g, values);
        for (node n = 0; n <= b.last; n++)
            if (b.g->nodes[n].is_kept)
                assert_close_tensor(b.g->sites[n].name, TENSOR(runner_value(r, n), b.g->nodes[n].rows, b.g->nodes[n].width),
                                    TENSOR(values[n], b.g->nodes[n].rows, b.g->nodes[n].width), TOLERANCE_graph_forward);
        /* Several ways back after one forward run, each from another node. */
        for (node from = b.last; from >= 0; from -= 3) {
            real *seeds = fixture_numbers(&b.f, size_of(&b, from));
            run_backward(&b, r, from, seeds);
            check_slope(&b, r, from, seeds);
        }
        runner_free(r);
        bed_fini(&b);
    }
}

/* Everything readable after a run is the same in both runners. */
static void assert_same(bed *b, const runner *one, const runner *two, bool gradients)
{
    for (node n = 0; n <= b->last; n++) {
        const graph_node *at = &b->g->nodes[n];
        size_t bytes = size_of(b, n) * sizeof(real);
        if (at->is_kept)
            assert_memory_equal(runner_value(one, n), runner_value(two, n), bytes);
        else
            assert_null(runner_value(one, n));
        if (gradients && at->is_gradient_kept)
            assert_memory_equal(runner_gradient(one, n), runner_gradient(two, n), bytes);
        const graph_node *in[NODE_INPUTS] = {&b->g->nodes[at->in[0] < 0 ? 0 : at->in[0]],
                                             &b->g->nodes[at->in[1] < 0 ? 0 : at->in[1]]};
        if (at->saves_kept)
            assert_memory_equal(runner_saved(one, n), runner_saved(two, n), at->op->saved(at, in) * sizeof(real));
    }
}

static void test_run__reusing_places_changes_nothing(void **state)
{
    (void)state;
    size_t smaller = 0;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        bed b;
        bed_init(&b, seed);
        for (int back = 0; back < 2; back++) {
            runner *apart = run_new(&b, (run_options){.backward = back, .no_reuse = true, .poison = seed % 2}, NULL);
            runner *plain = run_new(&b, (run_options){.backward = back}, NULL);
            runner *poisoned = run_new(&b, (run_options){.backward = back, .poison = true}, NULL);
            runner *all[] = {apart, plain, poisoned};
            smaller += runner_bytes(plain) < runner_bytes(apart);
            assert_true(runner_bytes(plain) <= runner_bytes(apart));
            for (int i = 0; i < 3; i++)
                run_forward(&b, all[i]);
            for (node from = b.last; from >= 0; from -= back ? 2 : MOST_NODES) {
                real *seeds = fixture_numbers(&b.f, size_of(&b, from));
                for (int i = 0; back && i < 3; i++)
                    run_backward(&b, all[i], from, seeds);
                assert_same(&b, apart, plain, back);
                assert_same(&b, apart, poisoned, back);
            }
            for (int i = 0; i < 3; i++)
                runner_free(all[i]);
        }
        bed_fini(&b);
    }
    assert_true(smaller > GRAPHS);
}

/* Long enough for every grain: one source of 900 rows, and a block of ops over it. */
static void wide_bed(bed *b)
{
    *b = (bed){.error = {0}};
    fixture_init(&b->f, 5);
    b->all = fixture_segments(&b->f, (const uint32_t[]){100, 80, 120, 150, 50, 90, 110, 73, 127}, 9);
    b->few = b->all;
    b->g = graph_new(b->f.arena, &b->error);
    for (node n = 0; n < 2; n++) {
        source_add(b->g, WIDTH, b->all);
        name_node(b, n);
        b->inputs[n] = fixture_numbers(&b->f, size_of(b, n));
    }
    node x = add_linear(b, add_op(b, &op_add, (const node[]){0, 1}, NULL, (op_params){0}));
    x = add_norm(b, x);
    node mixed = add_op(b, &op_attention, (const node[]){x, 0, x}, NULL, (op_params){.heads = 4, .scale = REAL(0.5)});
    node bent = add_op(b, &op_activate, &mixed, NULL, (op_params){.act = ACT_GELU_ERF});
    b->last = add_op(b, &op_add, (const node[]){bent, x}, NULL, (op_params){0});
    forbid_failure(&b->error);
    b->g->nodes[0].is_source = b->g->nodes[0].is_gradient_kept = true;
    b->g->nodes[mixed].saves_kept = b->g->nodes[b->last].is_kept = true;
}

static void test_run__bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    runner *one = run_new(&b, (run_options){.backward = true}, NULL);
    real *seed = fixture_numbers(&b.f, size_of(&b, b.last));
    run_forward(&b, one);
    run_backward(&b, one, b.last, seed);
    for (int threads = 2; threads <= 5; threads++) {
        pool *p = pool_new(threads);
        runner *many = run_new(&b, (run_options){.backward = true, .poison = true}, p);
        run_forward(&b, many);
        run_backward(&b, many, b.last, seed);
        assert_same(&b, one, many, true);
        runner_free(many);
        pool_free(p);
    }
    runner_free(one);
    bed_fini(&b);
}

enum { SEEDS = 4 };

/* Seeds of a node, some of whose rows are zero. */
static real *seeds_with_gaps(bed *b, node from)
{
    size_t rows = b->g->nodes[from].rows, width = b->g->nodes[from].width;
    real *seeds = fixture_numbers(&b->f, SEEDS * rows * width);
    for (size_t r = 0; r < SEEDS * rows; r++)
        if (fixture_below(&b->f, 3) == 0)
            memset(seeds + r * width, 0, width * sizeof *seeds);
    return seeds;
}

/* Gradients and what was kept back under each of several seeds are those of a runner that takes one at a time. */
static void check_seeds(bed *b, runner *one, runner *many, node from, op_rule rule)
{
    const size_t kept = b->g->count * ABSORBED_KINDS, count = 2 + fixture_below(&b->f, SEEDS - 1);
    const real *seeds = seeds_with_gaps(b, from);
    double *together = fixture_room(&b->f, SEEDS * kept, sizeof *together), *alone = fixture_room(&b->f, kept, sizeof *alone);
    runner_backward_many(many, rule, from, seeds, count, together, &b->error);
    forbid_failure(&b->error);
    for (size_t i = 0; i < count; i++) {
        runner_backward_under(one, rule, from, seeds + i * size_of(b, from), alone, &b->error);
        forbid_failure(&b->error);
        assert_memory_equal(together + i * kept, alone, kept * sizeof *alone);
        for (node n = 0; n <= b->last; n++)
            if (b->g->nodes[n].is_gradient_kept)
                assert_memory_equal(runner_gradient(many, n) + i * size_of(b, n), runner_gradient(one, n), size_of(b, n) * sizeof(real));
    }
}

static void test_run__several_seeds_have_the_bits_of_each(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        bed b;
        bed_init(&b, seed);
        pool *threads = seed % 4 < 2 ? NULL : pool_new(3);
        runner *one = run_new(&b, (run_options){.backward = true}, NULL);
        runner *many = run_new(&b, (run_options){.backward = true, .seeds = SEEDS, .poison = true}, threads);
        run_forward(&b, one);
        run_forward(&b, many);
        for (op_rule rule = RULE_GRADIENT; rule < RULE_COUNT; rule++)
            for (node from = b.last; from >= 0; from -= 2)
                check_seeds(&b, one, many, from, rule);
        assert_int_equal(runner_backward_many(many, RULE_GRADIENT, 0, b.inputs[0], SEEDS + 1, NULL, NULL), TKR_E_INTERNAL);
        assert_int_equal(runner_backward_many(many, RULE_GRADIENT, 0, b.inputs[0], 0, NULL, NULL), TKR_E_INTERNAL);
        runner_free(one);
        runner_free(many);
        pool_free(threads);
        bed_fini(&b);
    }
}

/* Products and attention of the sizes that models have, over threads. */
static void test_run__several_seeds_have_the_bits_of_each_when_wide(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    pool *threads = pool_new(2);
    runner *one = run_new(&b, (run_options){.backward = true}, NULL);
    runner *many = run_new(&b, (run_options){.backward = true, .seeds = SEEDS}, threads);
    run_forward(&b, one);
    run_forward(&b, many);
    for (op_rule rule = RULE_GRADIENT; rule < RULE_COUNT; rule++)
        check_seeds(&b, one, many, b.last, rule);
    runner_free(one);
    runner_free(many);
    pool_free(threads);
    bed_fini(&b);
}

static void test_run__beyond_a_node_there_is_no_way_back(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    b.last = add_linear(&b, b.last);
    runner *all = run_new(&b, (run_options){.backward = true, .no_reuse = true}, NULL);
    runner *some = run_new(&b, (run_options){.backward = true, .no_reuse = true, .beyond = b.last}, NULL);
    assert_true(runner_bytes(all) >= runner_bytes(some) + size_of(&b, b.last) * sizeof(real));
    run_forward(&b, all);
    run_forward(&b, some);
    const real *seed = fixture_numbers(&b.f, size_of(&b, b.last));
    run_backward(&b, all, b.last - 1, seed);
    run_backward(&b, some, b.last - 1, seed);
    assert_memory_equal(runner_gradient(all, 0), runner_gradient(some, 0), size_of(&b, 0) * sizeof(real));
    run_backward(&b, all, b.last, seed);
    assert_int_equal(runner_backward(some, b.last, seed, NULL), TKR_E_INTERNAL);
    runner_free(all);
    runner_free(some);
    bed_fini(&b);
}

static void test_run__the_plan_says_what_a_run_takes(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < GRAPHS; seed++) {
        bed b;
        bed_init(&b, seed);
        run_options options = {.backward = seed % 2, .seeds = seed % 3};
        pool *threads = seed % 4 < 2 ? NULL : pool_new(2);
        size_t block, packs;
        double flops;
        uint64_t before = tkr_memory_now();
        int count = pool_threads(threads);
        assert_int_equal(run_plan(b.g, options, kernels_best(), count, &block, &packs, &flops, NULL), TKR_OK);
        assert_int_equal(tkr_memory_now(), before);
        runner *r = run_new(&b, options, threads);
        assert_int_equal(runner_bytes(r), block);
        assert_int_equal(tkr_memory_now() - before, block);
        for (int twice = 0; twice < 2; twice++) {
            run_forward(&b, r);
            if (options.backward)
                run_backward(&b, r, b.last, fixture_numbers(&b.f, size_of(&b, b.last)));
        }
        /* Ways back that the last node does not reach were not walked: their packs are still missing. */
        assert_true(tkr_memory_now() - before <= block + packs);
        size_t missing;
        assert_int_equal(run_plan(b.g, options, kernels_best(), 1, &block, &missing, &flops, NULL), TKR_OK);
        assert_int_equal(tkr_memory_now() - before - runner_bytes(r), packs - missing);
        assert_true(options.backward || missing == 0);
        runner_free(r);
        pool_free(threads);
        bed_fini(&b);
    }
}

/* A weight that two nodes share (tied embeddings) is packed, and counted, once in each direction. */
static void test_run__a_shared_weight_is_counted_once(void **state)
{
    (void)state;
    size_t packs[2], bytes;
    double flops;
    for (int twice = 0; twice < 2; twice++) {
        bed b;
        wide_bed(&b);
        weight *weights[NODE_WEIGHTS] = {fixture_weight(&b.f, WEIGHT_F32, WIDTH, WIDTH, false, 0, 1)};
        for (int i = 0; i <= twice; i++)
            add_op(&b, &op_linear, (const node[]){0}, weights, (op_params){0});
        run_plan(b.g, (run_options){.backward = true}, kernels_best(), 1, &bytes, &packs[twice], &flops, &b.error);
        forbid_failure(&b.error);
        bed_fini(&b);
    }
    assert_int_equal(packs[0], packs[1]);
}

/* n ops in a row: forward only, two places do, however many there are. */
static void test_run__forward_only_reuses_places(void **state)
{
    (void)state;
    size_t bytes[2];
    for (int i = 0; i < 2; i++) {
        bed b = {.error = {0}};
        fixture_init(&b.f, 1);
        b.few = fixture_segments(&b.f, (const uint32_t[]){1 << 16}, 1);
        b.g = graph_new(b.f.arena, &b.error);
        node x = source_add(b.g, WIDTH, b.few);
        for (int n = 0; n < (i ? 100 : 10); n++)
            x = add_op(&b, &op_activate, &x, NULL, (op_params){.act = ACT_RELU});
        size_t packs;
        double flops;
        run_plan(b.g, (run_options){0}, kernels_best(), 1, &bytes[i], &packs, &flops, &b.error);
        forbid_failure(&b.error);
        fixture_fini(&b.f);
    }
    size_t value = ((size_t)1 << 16) * WIDTH * sizeof(real);
    assert_true(bytes[0] >= 2 * value && bytes[0] < 3 * value);
    assert_true(bytes[1] < bytes[0] + value);
}

/* a (no source) -> linear; s = source -> linear; sum.  Only the second branch has gradients. */
static void test_run__only_what_depends_on_a_source_has_gradients(void **state)
{
    (void)state;
    size_t packs[2], bytes[2];
    double flops[2];
    for (int sources = 0; sources < 2; sources++) {
        bed b;
        wide_bed(&b);
        node left = add_linear(&b, 1), right = add_linear(&b, 0);
        b.last = add_op(&b, &op_add, (const node[]){left, right}, NULL, (op_params){0});
        b.g->nodes[1].is_source = sources == 1;
        run_plan(b.g, (run_options){.backward = true}, kernels_best(), 1, &bytes[sources], &packs[sources],
                 &flops[sources], &b.error);
        forbid_failure(&b.error);
        bed_fini(&b);
    }
    assert_true(bytes[0] < bytes[1]);
    assert_true(fabs(flops[1] - flops[0] - 2.0 * 900 * WIDTH * WIDTH) < 1);
    assert_int_equal(packs[1], packs[0]);
}

static void test_run__gradients_end_at_sources(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    node low = add_linear(&b, 0), source = add_norm(&b, low), top = add_linear(&b, source);
    b.g->nodes[0].is_source = false;
    b.g->nodes[low].is_gradient_kept = b.g->nodes[source].is_gradient_kept = true;
    b.g->nodes[source].is_source = true;
    runner *r = run_new(&b, (run_options){.backward = true, .poison = true}, NULL);
    run_forward(&b, r);
    run_backward(&b, r, top, fixture_numbers(&b.f, size_of(&b, top)));
    double sizes[2] = {0};
    for (size_t i = 0; i < size_of(&b, low); i++) {
        sizes[0] += fabs((double)runner_gradient(r, source)[i]);
        sizes[1] += fabs((double)runner_gradient(r, low)[i]) + fabs((double)runner_gradient(r, 0)[i]);
    }
    assert_true(sizes[0] > 1);
    assert_true(sizes[1] <= 0);
    /* From a node that no source reaches, every kept gradient is zero. */
    run_backward(&b, r, b.last, fixture_numbers(&b.f, size_of(&b, b.last)));
    for (size_t i = 0; i < size_of(&b, source); i++)
        assert_true(fabs((double)runner_gradient(r, source)[i]) <= 0);
    runner_free(r);
    bed_fini(&b);
}

static tkr_status intervene_double(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    ++*(int *)user;
    for (size_t i = 0; i < site->rows * site->width; i++)
        rows[i] *= 2;
    return TKR_OK;
}

/* y = tanh(x): the value of the changed site goes on, the gradient is that of the changed value. */
static void test_run__interventions_change_values_and_gradients(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    node middle = add_op(&b, &op_activate, (const node[]){0}, NULL, (op_params){.act = ACT_LINEAR});
    node top = add_op(&b, &op_activate, &middle, NULL, (op_params){.act = ACT_TANH});
    graph_site_add(b.g, middle, "middle", false);
    b.g->nodes[top].is_kept = b.g->nodes[middle].is_gradient_kept = true;
    runner *r = run_new(&b, (run_options){.backward = true}, NULL);
    size_t count = size_of(&b, top);
    real *seed = fixture_room(&b.f, count, sizeof *seed);
    for (size_t i = 0; i < count; i++)
        seed[i] = 1;
    int calls = 0;
    for (int factor = 1; factor <= 4; factor *= 2) {
        run_forward(&b, r);
        run_backward(&b, r, top, seed);
        double *value = fixture_room(&b.f, count, sizeof *value), *slope = fixture_room(&b.f, count, sizeof *slope);
        for (size_t i = 0; i < count; i++) {
            value[i] = tanh(factor * (double)b.inputs[0][i]);
            slope[i] = 1 - value[i] * value[i];
        }
        assert_close_tensor("value", TENSOR(runner_value(r, top), count), TENSOR(value, count), TOLERANCE_op_forward);
        assert_close_tensor("gradient at the site", TENSOR(runner_gradient(r, middle), count), TENSOR(slope, count),
                            TOLERANCE_op_forward);
        assert_close_tensor("gradient above", TENSOR(runner_gradient(r, 0), count), TENSOR(slope, count),
                            TOLERANCE_op_forward);
        assert_int_equal(runner_intervene(r, "middle", intervene_double, &calls, &b.error), TKR_OK);
    }
    assert_int_equal(calls, 3); /* none, one, two a run */
    assert_int_equal(runner_intervene(r, "middle", NULL, NULL, &b.error), TKR_OK);
    run_forward(&b, r);
    assert_int_equal(calls, 3);
    assert_true(fabs((double)runner_value(r, top)[3] - tanh((double)b.inputs[0][3])) < 1e-5);
    runner_free(r);
    bed_fini(&b);
}

static tkr_status intervene_fail(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)user, (void)site, (void)rows;
    if (error != NULL)
        error->code = TKR_E_CANCELLED;
    return TKR_E_CANCELLED;
}

static void test_run__interventions_are_checked(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    graph_site_add(b.g, 5, "probs", true);
    runner *r = run_new(&b, (run_options){.backward = true}, NULL);
    tkr_error error = {0};
    assert_int_equal(runner_intervene(r, "nowhere", intervene_fail, NULL, &error), TKR_E_USAGE_ARGUMENT);
    assert_string_equal(error.message, "no site \"nowhere\" in this model's graph");
    error = (tkr_error){0};
    assert_int_equal(runner_intervene(r, "probs", intervene_fail, NULL, &error), TKR_E_USAGE_ARGUMENT);
    assert_string_equal(error.message, "site \"probs\" can be read but not changed");
    run_forward(&b, r);
    assert_non_null(runner_value(r, b.last));
    for (int i = 2; i < 64; i++)
        assert_int_equal(runner_intervene(r, "source", intervene_fail, NULL, &b.error), TKR_OK);
    assert_int_equal(runner_intervene(r, "source", intervene_fail, NULL, NULL), TKR_E_USAGE_ARGUMENT);
    error = (tkr_error){0};
    assert_int_equal(runner_forward(r, &error), TKR_E_CANCELLED);
    assert_null(runner_value(r, b.last)); /* that of the run before is gone */
    assert_int_equal(runner_backward(r, b.last, b.inputs[0], NULL), TKR_E_INTERNAL);
    assert_int_equal(runner_intervene(r, "source", NULL, NULL, &b.error), TKR_OK);
    run_forward(&b, r);
    assert_non_null(runner_value(r, b.last));
    runner_free(r);
    bed_fini(&b);
}

static tkr_status intervene_spoil(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const char *kinds = user;
    for (size_t i = 0; kinds[i] != 0; i++)
        rows[site->rows * site->width - 1 - i * 97] = kinds[i] == 'n'   ? (real)NAN
                                                      : kinds[i] == 'i' ? (real)-INFINITY
                                                                        : REAL(1e19);
    return TKR_OK;
}

static void test_run__the_first_site_that_is_not_finite_is_named(void **state)
{
    (void)state;
    static char kinds[][4] = {"i", "nn", "nin", "", "b"};
    static const char *const counts[] = {"1 Inf", "2 NaN", "2 NaN, 1 Inf", NULL, NULL};
    pool *threads = pool_new(2);
    for (size_t i = 0; i < 5; i++) {
        bed b;
        wide_bed(&b);
        node top = add_op(&b, &op_add, (const node[]){0, 0}, NULL, (op_params){0});
        graph_site_add(b.g, top, "layer.2.mlp_output", false);
        graph_site_add(b.g, add_linear(&b, top), "layer.2.output", false);
        runner *r = run_new(&b, (run_options){0}, i % 2 ? threads : NULL);
        runner_intervene(r, "layer.2.mlp_output", intervene_spoil, kinds[i], &b.error);
        tkr_error error = {0};
        char want[128];
        (void)snprintf(want, sizeof want, "layer.2.mlp_output is not finite (%s); the model overflows float32 here",
                       counts[i] != NULL ? counts[i] : "");
        assert_int_equal(runner_forward(r, &error), counts[i] != NULL ? TKR_E_NUM_FORWARD : TKR_OK);
        assert_string_equal(error.message, counts[i] != NULL ? want : "");
        runner_free(r);
        bed_fini(&b);
    }
    pool_free(threads);
}

static void test_run__an_op_that_fails_is_named_the_same_on_all_threads(void **state)
{
    (void)state;
    enum { ROWS = 4000 };
    bed b = {.error = {0}};
    fixture_init(&b.f, 9);
    int32_t ids[ROWS] = {0};
    ids[1234] = 50;
    ids[3999] = -7;
    weight *table[NODE_WEIGHTS] = {fixture_weight(&b.f, WEIGHT_F32, 50, 70, false, 0, 1)};
    b.all = fixture_segments(&b.f, (const uint32_t[]){ROWS}, 1);
    b.g = graph_new(b.f.arena, &b.error);
    graph_add(b.g, &op_embed, NULL, table, (op_params){.index = ids}, ROWS, b.all);
    pool *threads = pool_new(4);
    runner *r = runner_new(b.g, (run_options){0}, kernels_best(), threads, &b.error);
    forbid_failure(&b.error);
    assert_int_equal(runner_forward(r, &b.error), TKR_E_INPUT_TOKEN_ID);
    assert_string_equal(b.error.message, "row 1234: id 50 is not in \"w\", which has rows 0 to 49");
    ids[1234] = ids[3999] = 49;
    assert_int_equal(runner_forward(r, NULL), TKR_OK);
    runner_free(r);
    pool_free(threads);
    bed_fini(&b);
}

static void test_run__a_way_back_needs_room_and_a_forward_run(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    runner *without = run_new(&b, (run_options){0}, NULL), *with = run_new(&b, (run_options){.backward = true}, NULL);
    run_forward(&b, without);
    assert_int_equal(runner_backward(without, b.last, b.inputs[0], NULL), TKR_E_INTERNAL);
    assert_int_equal(runner_backward(with, b.last, b.inputs[0], NULL), TKR_E_INTERNAL);
    assert_null(runner_gradient(with, 0));
    run_forward(&b, with);
    run_backward(&b, with, 0, b.inputs[0]);
    assert_non_null(runner_gradient(with, 0));
    assert_int_equal(runner_backward(with, (node)b.g->count, b.inputs[0], NULL), TKR_E_INTERNAL);
    assert_null(runner_gradient(with, 0));
    runner_free(without);
    runner_free(with);
    bed_fini(&b);
}

static void test_run__sizes_beyond_memory_are_refused(void **state)
{
    (void)state;
    bed b = {.error = {0}};
    fixture_init(&b.f, 1);
    weight huge = {.name = "huge", .rows = 1, .columns = SIZE_MAX / 64};
    static const int32_t ids[1];
    for (uint32_t rows = 1; rows <= 0x80000000U; rows = rows < 4 ? rows + 1 : 0x80000000U) {
        b.error = (tkr_error){0};
        b.g = graph_new(b.f.arena, &b.error);
        weight *table[NODE_WEIGHTS] = {&huge};
        segments all = fixture_segments(&b.f, (const uint32_t[]){rows}, 1);
        node x = graph_add(b.g, &op_embed, NULL, table, (op_params){.index = ids}, rows, all);
        node in[] = {x, x};
        for (int i = 0; i < 20; i++)
            in[i % 2] = graph_add(b.g, &op_add, in, NULL, (op_params){0}, 0, all);
        size_t block, packs;
        double flops;
        run_options apart = {.no_reuse = true};
        assert_int_equal(run_plan(b.g, apart, kernels_best(), 2, &block, &packs, &flops, &b.error), TKR_E_LIMIT_MEMORY);
        assert_string_equal(b.error.message, "the run needs more than 16 EiB");
        assert_null(runner_new(b.g, apart, kernels_best(), NULL, NULL));
        if (rows == 0x80000000U)
            break;
    }
    fixture_fini(&b.f);
}

static void test_run__every_failed_allocation_is_limit_oom(void **state)
{
    (void)state;
    bed b;
    wide_bed(&b);
    real *seed = fixture_numbers(&b.f, size_of(&b, b.last));
    uint64_t before = tkr_memory_now();
    for (uint64_t nth = 1;; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        runner *r = runner_new(b.g, (run_options){.backward = true}, kernels_best(), NULL, &error);
        tkr_status status = error.code;
        if (r != NULL)
            status = runner_forward(r, &error);
        if (status == TKR_OK)
            status = runner_backward(r, b.last, seed, &error);
        memory_fail_at(0, 0);
        runner_free(r);
        fixture_forget_packs(&b.f);
        assert_int_equal(tkr_memory_now(), before);
        if (status == TKR_OK) {
            assert_true(nth > 6);
            break;
        }
        assert_int_equal(status, TKR_E_LIMIT_OOM);
        assert_int_equal(error.code, TKR_E_LIMIT_OOM);
        assert_true(nth < 100);
    }
    bed_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run__values_and_gradients_equal_the_references),
        cmocka_unit_test(test_run__reusing_places_changes_nothing),
        cmocka_unit_test(test_run__bits_do_not_depend_on_threads),
        cmocka_unit_test(test_run__several_seeds_have_the_bits_of_each),
        cmocka_unit_test(test_run__several_seeds_have_the_bits_of_each_when_wide),
        cmocka_unit_test(test_run__beyond_a_node_there_is_no_way_back),
        cmocka_unit_test(test_run__the_plan_says_what_a_run_takes),
        cmocka_unit_test(test_run__a_shared_weight_is_counted_once),
        cmocka_unit_test(test_run__forward_only_reuses_places),
        cmocka_unit_test(test_run__only_what_depends_on_a_source_has_gradients),
        cmocka_unit_test(test_run__gradients_end_at_sources),
        cmocka_unit_test(test_run__interventions_change_values_and_gradients),
        cmocka_unit_test(test_run__interventions_are_checked),
        cmocka_unit_test(test_run__the_first_site_that_is_not_finite_is_named),
        cmocka_unit_test(test_run__an_op_that_fails_is_named_the_same_on_all_threads),
        cmocka_unit_test(test_run__a_way_back_needs_room_and_a_forward_run),
        cmocka_unit_test(test_run__sizes_beyond_memory_are_refused),
        cmocka_unit_test(test_run__every_failed_allocation_is_limit_oom),
    };
    int failed = cmocka_run_group_tests_name("run", tests, NULL, NULL);
    if (getenv("TOKRAY_TIMING") != NULL)
        tolerance_report();
    return failed;
}
