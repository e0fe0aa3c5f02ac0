/*
 * One harness for all operations of the table: each sample of each op is run forward and back and compared with the op's
 * double reference, with finite differences of that reference, and with itself on other threads, at other processor levels
 * and in another batch; and under each relevance rule what comes in must go out or be absorbed.  Rooms are filled with NaN
 * before, so that a number left unwritten shows.
 *
 * TOKRAY_TIMING=1 prints a time for each sample.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/threads.h"
#include "support/compare.h"
#include "support/tensors.h"
#include "tensor/op_sample.h"
#include "tensor/ops/attention.h"

/* A sample with its numbers drawn. */
typedef struct op_case {
    fixture *f;
    char label[96];
    op_sample sample;
    const graph_node *node, *in[NODE_INPUTS];
    graph *graph;
    node id;
    real *values[NODE_INPUTS], *seed;
    size_t sizes[NODE_INPUTS], out_size, saved_size, units;
    op_rule rule;
    bool stops[NODE_INPUTS]; /* no gradient is wanted here */
} op_case;

enum { POSITIONS = 600 }; /* for ops that take positions */

/* What one run gave. */
typedef struct outcome {
    real *out, *saved, *din[NODE_INPUTS];
    double *absorbed; /* [units][ABSORBED_KINDS] */
} outcome;

static bool has_backward(const op_case *c) { return c->node->op->backward[RULE_GRADIENT] != NULL; }

/* The node over sources of the given rows; sizes and units follow. */
static void place_node(op_case *c, const op *o, segments const *rows_of, segments out_rows, weight *const *weights,
                       op_params params)
{
    tkr_error error = {0};
    node in[NODE_INPUTS];
    c->graph = graph_new(c->f->arena, &error);
    for (int j = 0; j < o->inputs; j++)
        in[j] = source_add(c->graph, c->sample.width[j], rows_of[j]);
    size_t rows = out_rows.begin != NULL ? out_rows.begin[out_rows.count] : 0;
    c->id = graph_add(c->graph, o, in, weights, params, rows, out_rows);
    if (c->graph->status != TKR_OK)
        fail_msg("%s: %s", c->label, error.message);
    c->node = &c->graph->nodes[c->id];
    for (int j = 0; j < o->inputs; j++) {
        c->in[j] = &c->graph->nodes[in[j]];
        c->sizes[j] = c->in[j]->rows * c->in[j]->width;
    }
    c->out_size = c->node->rows * c->node->width;
    c->saved_size = o->saved != NULL ? o->saved(c->node, c->in) : 0;
    c->units = o->units != NULL ? o->units(c->node, c->in) : c->node->rows;
}

/* Ids of a table, or rows of the own sequence. */
static int32_t *draw_index(op_case *c, segments from, segments out, size_t table_rows)
{
    int32_t *index = fixture_room(c->f, out.begin[out.count], sizeof *index);
    for (size_t s = 0; s < out.count; s++)
        for (uint32_t r = out.begin[s]; r < out.begin[s + 1]; r++)
            index[r] = c->sample.chooses_rows
                           ? (int32_t)(from.begin[s] + fixture_below(c->f, from.begin[s + 1] - from.begin[s]))
                           : (int32_t)fixture_below(c->f, (uint32_t)table_rows);
    return index;
}

/* Keys to hide; elsewhere: sequences in reverse order, two places further on. */
static void draw_hidden(op_case *c, segments keys, op_params *params)
{
    uint32_t all = keys.begin[keys.count];
    uint8_t *hidden = fixture_room(c->f, all + 2, 1);
    uint32_t *begin = fixture_room(c->f, keys.count, sizeof *begin);
    for (size_t s = 0; s < keys.count; s++) {
        begin[s] = c->sample.hides == HIDE_ELSEWHERE ? all + 2 - keys.begin[s + 1] : keys.begin[s];
        for (uint32_t r = 0; r < keys.begin[s + 1] - keys.begin[s]; r++)
            hidden[begin[s] + r] = c->sample.hides == HIDE_ALL ? s == 0 : fixture_below(c->f, 3) == 0;
    }
    params->hidden = hidden;
    if (c->sample.hides == HIDE_ELSEWHERE)
        params->hidden_begin = begin;
}

static int32_t *draw_query_rows(op_case *c, segments queries, segments keys)
{
    int32_t *rows = fixture_room(c->f, queries.begin[queries.count], sizeof *rows);
    for (size_t s = 0; s < queries.count; s++)
        for (uint32_t r = queries.begin[s]; r < queries.begin[s + 1]; r++)
            rows[r] = (int32_t)(keys.begin[s] + fixture_below(c->f, keys.begin[s + 1] - keys.begin[s]));
    return rows;
}

static void draw_case(op_case *c, fixture *f, const op *o, size_t number)
{
    op_sample *s = &c->sample;
    c->f = f;
    (void)snprintf(c->label, sizeof c->label, "op %s, sample %zu", o->name, number);
    segments rows_of[NODE_INPUTS], out = fixture_segments(f, s->out_lengths, s->sequences);
    for (int j = 0; j < o->inputs; j++)
        rows_of[j] = fixture_segments(f, s->lengths[j], s->sequences);
    weight *weights[NODE_WEIGHTS] = {0};
    for (int j = 0; j < NODE_WEIGHTS; j++)
        if (s->weights[j].rows > 0)
            weights[j] = fixture_weight(f, s->weights[j].dtype, s->weights[j].rows, s->weights[j].columns,
                                        s->weights[j].is_transposed, s->weights[j].rows == 1 ? 0.5 : 0, 0.5);
    op_params params = s->params;
    if (o->inputs == 0 || s->chooses_rows)
        params.index = draw_index(c, rows_of[0], out, s->weights[0].rows > 0 ? s->weights[0].rows : POSITIONS);
    if (s->hides != HIDE_NONE)
        draw_hidden(c, rows_of[1], &params);
    if (s->chooses_queries)
        params.query_rows = draw_query_rows(c, rows_of[0], rows_of[1]);
    if (params.width > 0)
        params.given = fixture_numbers(f, params.width * out.begin[out.count]);
    place_node(c, o, rows_of, out, weights, params);
    for (int j = 0; j < o->inputs; j++)
        c->values[j] = fixture_numbers(f, c->sizes[j]);
    c->seed = fixture_numbers(f, c->out_size);
}

/* Every sample of an op under a rule. */
static void for_each_sample(const op *o, size_t index, op_rule rule, void (*check)(op_case *c))
{
    op_case c = {.rule = rule};
    for (size_t number = 0; o->sample(number, &c.sample); number++) {
        fixture f;
        fixture_init(&f, 1000 * index + number);
        draw_case(&c, &f, o, number);
        check(&c);
        fixture_fini(&f);
        c = (op_case){.rule = rule};
    }
}

static void for_each_case(void (*check)(op_case *c))
{
    const op *o;
    for (size_t i = 0; (o = op_at(i)) != NULL; i++)
        for_each_sample(o, i, RULE_GRADIENT, check);
}

/* Also under the relevance rules that have a way back of their own. */
static void for_each_way(void (*check)(op_case *c))
{
    const op *o;
    for (size_t i = 0; (o = op_at(i)) != NULL; i++)
        for (op_rule rule = RULE_GRADIENT; rule < RULE_COUNT; rule++)
            if (rule == RULE_GRADIENT || o->backward[rule] != o->backward[RULE_GRADIENT])
                for_each_sample(o, i, rule, check);
}

/* Units over a pool, as the runner does. */
typedef struct spread {
    tkr_status (*work)(const op_call *c, size_t begin, size_t end);
    const op_call *call;
    real *scratch;
    size_t scratch_size;
} spread;

static void spread_task(void *context, size_t begin, size_t end, int thread)
{
    const spread *s = context;
    op_call call = *s->call;
    call.scratch = s->scratch + (size_t)thread * s->scratch_size;
    if (s->work(&call, begin, end) != TKR_OK)
        abort();
}

static void run_units(op_case *c, op_call *call, bool back, pool *threads)
{
    const op *o = c->node->op;
    spread s = {.work = back ? o->backward[c->rule] : o->forward, .call = call};
    s.scratch_size = o->scratch != NULL ? o->scratch(c->node, c->in, call->kernels, back) : 0;
    s.scratch = fixture_room(c->f, s.scratch_size * (size_t)pool_threads(threads), sizeof(real));
    if (c->units == 0)
        return;
    if (o->is_whole)
        spread_task(&s, 0, c->units, 0);
    else
        parallel_for(threads, c->units, 1, spread_task, &s);
}

static real *poisoned(fixture *f, size_t count)
{
    real *room = fixture_room(f, count, sizeof *room);
    memset(room, 0xff, (count + 1) * sizeof *room);
    return room;
}

static outcome run_case(op_case *c, const kernels *k, pool *threads, bool saves)
{
    const op *o = c->node->op;
    outcome got = {.out = poisoned(c->f, c->out_size)};
    if (o->saved != NULL && saves)
        got.saved = poisoned(c->f, c->saved_size);
    op_call call = {.node = c->node, .kernels = k, .threads = threads, .out = got.out, .saved = got.saved};
    for (int j = 0; j < o->inputs; j++) {
        call.in_node[j] = c->in[j];
        call.in[j] = c->values[j];
    }
    run_units(c, &call, false, threads);
    if (!saves || !has_backward(c))
        return got;

    /* Back: only what the op says it reads is there. */
    call.out = o->keeps_output ? got.out : NULL;
    call.dout = c->seed;
    call.rows = o->is_whole ? fixture_room(c->f, c->out_size, sizeof(uint32_t)) : NULL;
    if (c->rule != RULE_GRADIENT)
        call.absorbed = got.absorbed = fixture_room(c->f, c->units * ABSORBED_KINDS, sizeof(double));
    for (int j = 0; j < o->inputs; j++) {
        call.in[j] = o->keeps_inputs >> j & 1U ? c->values[j] : NULL;
        if (!(o->stopped_inputs >> j & 1U) && !c->stops[j])
            call.din[j] = got.din[j] = poisoned(c->f, c->sizes[j]);
    }
    run_units(c, &call, true, threads);
    return got;
}

static void assert_bits(const op_case *c, const char *what, const real *a, const real *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s: %s differs at %zu of %zu: %.9g, %.9g", c->label, what, i, count, (double)a[i], (double)b[i]);
}

static void assert_same(const op_case *c, outcome a, outcome b)
{
    assert_bits(c, "output", a.out, b.out, c->out_size);
    assert_bits(c, "what is saved", a.saved, b.saved, a.saved != NULL && b.saved != NULL ? c->saved_size : 0);
    for (int j = 0; j < c->node->op->inputs; j++)
        assert_bits(c, "an input's gradient", a.din[j], b.din[j], a.din[j] != NULL && b.din[j] != NULL ? c->sizes[j] : 0);
}

/* What unit u of a and unit first + u of b absorbed. */
static void assert_same_absorbed(const op_case *c, outcome a, outcome b, size_t first)
{
    for (size_t i = 0; a.absorbed != NULL && b.absorbed != NULL && i < c->units * ABSORBED_KINDS; i++) {
        double x = a.absorbed[i], y = b.absorbed[first * ABSORBED_KINDS + i];
        if (memcmp(&x, &y, sizeof x) != 0)
            fail_msg("%s: what is absorbed differs at %zu of %zu: %.17g, %.17g", c->label, i, c->units, x, y);
    }
}

static void check_forward(op_case *c)
{
    const double *inputs[NODE_INPUTS] = {0};
    double *want = fixture_room(c->f, c->out_size, sizeof *want);
    for (int j = 0; j < c->node->op->inputs; j++)
        inputs[j] = fixture_doubles(c->f, c->values[j], c->sizes[j]);
    c->node->op->reference(c->node, c->in, inputs, want);
    outcome got = run_case(c, kernels_best(), NULL, true);
    assert_close_tensor_or_empty(c->label, TENSOR(got.out, c->node->rows, c->node->width),
                                 TENSOR(want, c->node->rows, c->node->width), TOLERANCE_op_forward);
}

static void test_ops__forward_equals_the_reference(void **state)
{
    (void)state;
    for_each_case(check_forward);
}

/* <seed, reference(x + t d)>. */
static double along(op_case *c, double *const *x, double *const *d, double t)
{
    double *at[NODE_INPUTS] = {0}, sum = 0;
    double *out = fixture_room(c->f, c->out_size, sizeof *out);
    for (int j = 0; j < c->node->op->inputs; j++) {
        at[j] = fixture_room(c->f, c->sizes[j], sizeof(double));
        for (size_t i = 0; i < c->sizes[j]; i++)
            at[j][i] = x[j][i] + t * d[j][i];
    }
    c->node->op->reference(c->node, c->in, (const double *const *)at, out);
    for (size_t i = 0; i < c->out_size; i++)
        sum += (double)c->seed[i] * out[i];
    return sum;
}

enum { DIRECTIONS = 4 };

/* The slope along random directions into one input (or, last, into all) against <din, direction>. */
static void check_direction(op_case *c, outcome got, double *const *x, int only)
{
    const double step = 1e-5;
    double *d[NODE_INPUTS] = {0}, slope = 0, scale = 0;
    for (int j = 0; j < c->node->op->inputs; j++) {
        d[j] = fixture_room(c->f, c->sizes[j], sizeof(double));
        bool moves = got.din[j] != NULL && (j == only || only == c->node->op->inputs);
        for (size_t i = 0; moves && i < c->sizes[j]; i++) {
            d[j][i] = fixture_normal(c->f);
            slope += (double)got.din[j][i] * d[j][i];
            scale += fabs((double)got.din[j][i] * d[j][i]);
        }
    }
    double want = (along(c, x, d, step) - along(c, x, d, -step)) / (2 * step);
    /* Scaled by the sum of sizes: a slope near 0 is no harder than others. */
    double pair_got[2] = {slope, scale + 1e-3}, pair_want[2] = {want, scale + 1e-3};
    assert_close_tensor(c->label, TENSOR(pair_got, 2), TENSOR(pair_want, 2), TOLERANCE_op_gradient);
}

static void check_backward(op_case *c)
{
    double *x[NODE_INPUTS] = {0};
    if (!has_backward(c))
        return;
    outcome got = run_case(c, kernels_best(), NULL, true);
    for (int j = 0; j < c->node->op->inputs; j++) {
        x[j] = fixture_doubles(c->f, c->values[j], c->sizes[j]);
        for (size_t i = 0; got.din[j] != NULL && i < c->sizes[j]; i++)
            if (!isfinite(got.din[j][i]))
                fail_msg("%s: gradient of input %d is not written whole: %zu of %zu", c->label, j, i, c->sizes[j]);
    }
    for (int only = 0; only <= c->node->op->inputs; only++)
        for (int i = 0; i < DIRECTIONS; i++)
            check_direction(c, got, x, only);
}

static void test_ops__backward_equals_finite_differences(void **state)
{
    (void)state;
    for_each_case(check_backward);
}

static void check_threads(op_case *c)
{
    pool *three = pool_new(3), *two = pool_new(2);
    outcome one = run_case(c, kernels_best(), NULL, true);
    pool *const pools[] = {two, three};
    for (size_t i = 0; i < 2; i++) {
        outcome more = run_case(c, kernels_best(), pools[i], true);
        assert_same(c, one, more);
        assert_same_absorbed(c, one, more, 0);
    }
    pool_free(two);
    pool_free(three);
}

static void test_ops__bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    for_each_way(check_threads);
}

static void check_levels(op_case *c)
{
    outcome first = run_case(c, kernels_at(0), NULL, true);
    for (size_t level = 1; kernels_at(level) != NULL; level++) {
        fixture_forget_packs(c->f);
        outcome other = run_case(c, kernels_at(level), NULL, true);
        assert_same(c, first, other);
        assert_same_absorbed(c, first, other, 0);
    }
}

static void test_ops__bits_do_not_depend_on_the_processor_level(void **state)
{
    (void)state;
    assert_non_null(kernels_at(0));
    for_each_way(check_levels);
}

static void check_saving(op_case *c)
{
    if (c->node->op->saved == NULL)
        return;
    outcome with = run_case(c, kernels_best(), NULL, true), without = run_case(c, kernels_best(), NULL, false);
    assert_bits(c, "output without saving", with.out, without.out, c->out_size);
}

static void test_ops__saving_does_not_change_the_output(void **state)
{
    (void)state;
    for_each_case(check_saving);
}

/* The part of a case that is sequence s, as a case of its own. */
static op_case alone(const op_case *c, size_t s)
{
    op_case one = {.f = c->f, .sample = c->sample, .rule = c->rule};
    (void)snprintf(one.label, sizeof one.label, "%.48s, sequence %zu alone", c->label, s);
    segments rows_of[NODE_INPUTS];
    for (int j = 0; j < c->node->op->inputs; j++)
        rows_of[j] = fixture_segments(c->f, &c->sample.lengths[j][s], 1);
    segments out = fixture_segments(c->f, &c->sample.out_lengths[s], 1);
    op_params params = c->node->params;
    if (params.index != c->sample.params.index) { /* not what the sample says of every row */
        int32_t *index = fixture_room(c->f, out.begin[1], sizeof *index);
        for (size_t r = 0; r < out.begin[1]; r++)
            index[r] = params.index[c->node->segments.begin[s] + r] -
                       (c->sample.chooses_rows ? (int32_t)c->in[0]->segments.begin[s] : 0);
        params.index = index;
    }
    if (params.query_rows != NULL) {
        int32_t *rows = fixture_room(c->f, c->sample.lengths[0][s], sizeof *rows);
        for (size_t r = 0; r < c->sample.lengths[0][s]; r++)
            rows[r] = params.query_rows[c->in[0]->segments.begin[s] + r] - (int32_t)c->in[1]->segments.begin[s];
        params.query_rows = rows;
    }
    if (params.hidden_begin != NULL)
        params.hidden_begin += s;
    else if (params.hidden != NULL)
        params.hidden += c->in[1]->segments.begin[s];
    if (params.given != NULL)
        params.given += c->node->segments.begin[s] * params.width;
    place_node(&one, c->node->op, rows_of, out, c->node->weights, params);
    for (int j = 0; j < c->node->op->inputs; j++)
        one.values[j] = c->values[j] + c->in[j]->segments.begin[s] * c->in[j]->width;
    one.seed = c->seed + c->node->segments.begin[s] * c->node->width;
    return one;
}

static void check_batch(op_case *c)
{
    outcome all = run_case(c, kernels_best(), NULL, true);
    for (size_t s = 0; s < c->sample.sequences; s++) {
        op_case one = alone(c, s);
        outcome part = all, got = run_case(&one, kernels_best(), NULL, true);
        part.saved = NULL;
        part.out += c->node->segments.begin[s] * c->node->width;
        for (int j = 0; j < c->node->op->inputs; j++)
            if (part.din[j] != NULL)
                part.din[j] += c->in[j]->segments.begin[s] * c->in[j]->width;
        assert_same(&one, part, got);
        size_t rows = c->node->rows, first = c->units == rows ? c->node->segments.begin[s] : s * one.units;
        if (c->units == rows || c->units == one.units * c->sample.sequences)
            assert_same_absorbed(&one, got, all, first);
    }
}

static void test_ops__bits_do_not_depend_on_the_batch(void **state)
{
    (void)state;
    for_each_way(check_batch);
}

/* ---- Relevance ---- */

/* Under a relevance rule <out, dout> = sum of <in, din> + what was absorbed, measured against the sum of all sizes. */
static void check_conservation(op_case *c)
{
    if (!has_backward(c) || c->rule == RULE_GRADIENT)
        return;
    outcome got = run_case(c, kernels_best(), NULL, true);
    double in = 0, out = 0, sizes = 0;
    for (int j = 0; j < c->node->op->inputs; j++)
        for (size_t i = 0; got.din[j] != NULL && i < c->sizes[j]; i++) {
            in += (double)got.din[j][i] * (double)c->values[j][i];
            sizes += fabs((double)got.din[j][i] * (double)c->values[j][i]);
        }
    for (size_t i = 0; i < c->units * ABSORBED_KINDS; i++)
        in += got.absorbed[i];
    for (size_t i = 0; i < c->out_size; i++)
        out += (double)got.out[i] * (double)c->seed[i];
    double pair_got[2] = {in, sizes + 1e-3}, pair_want[2] = {out, sizes + 1e-3};
    assert_close_tensor(c->label, TENSOR(pair_got, 2), TENSOR(pair_want, 2), TOLERANCE_op_relevance);
}

static void test_ops__relevance_is_conserved_or_absorbed(void **state)
{
    (void)state;
    const op *o;
    for (size_t i = 0; (o = op_at(i)) != NULL; i++)
        for (op_rule rule = RULE_ATTNLRP; rule < RULE_COUNT; rule++)
            for_each_sample(o, i, rule, check_conservation);
}

static void test_ops__every_op_has_all_rules_or_none(void **state)
{
    (void)state;
    const op *o;
    for (size_t i = 0; (o = op_at(i)) != NULL; i++)
        for (op_rule rule = RULE_GRADIENT; rule < RULE_COUNT; rule++)
            if ((o->backward[rule] != NULL) != (o->backward[RULE_GRADIENT] != NULL))
                fail_msg("op %s has no way back under rule %d", o->name, (int)rule);
}

/* A table's rows that are added and are no player keep their share. */
static void test_ops__added_table_rows_absorb(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        fixture f;
        fixture_init(&f, 7);
        int32_t ids[] = {2, 0, 3, 3, 1};
        tkr_error error = {0};
        segments rows = fixture_segments(&f, (const uint32_t[]){2, 3}, 2);
        weight *const table[NODE_WEIGHTS] = {fixture_weight(&f, WEIGHT_F32, 5, 7, false, 0, 1)}, *const none[NODE_WEIGHTS] = {0};
        op_case c = {.f = &f, .rule = RULE_ATTNLRP, .label = "op add, table rows", .graph = graph_new(f.arena, &error)};
        node in[NODE_INPUTS] = {NODE_NONE, NODE_NONE, NODE_NONE, NODE_NONE};
        in[1 - side] = source_add(c.graph, 7, rows);
        in[side] = graph_add(c.graph, &op_embed, NULL, table, (op_params){.index = ids, .offset = 1}, 5, rows);
        c.id = graph_add(c.graph, &op_add, in, none, (op_params){0}, 0, (segments){0, NULL});
        c.node = &c.graph->nodes[c.id];
        c.out_size = 35;
        c.units = 5;
        c.stops[side] = true;
        double want = 0;
        for (int j = 0; j < 2; j++) {
            c.in[j] = &c.graph->nodes[in[j]];
            c.sizes[j] = 35;
            c.values[j] = fixture_numbers(&f, 35);
        }
        for (size_t r = 0; r < 5; r++)
            weight_row(table[0], (size_t)(ids[r] + 1), c.values[side] + 7 * r);
        c.seed = fixture_numbers(&f, 35);
        for (size_t i = 0; i < 35; i++)
            want += (double)c.values[side][i] * (double)c.seed[i];
        double kept = 0;
        outcome got = run_case(&c, kernels_best(), NULL, true);
        for (size_t u = 0; u < 5; u++)
            kept += got.absorbed[u * ABSORBED_KINDS + ABSORBED_CONSTANT];
        assert_close_tensor(c.label, TENSOR(&kept, 1), TENSOR(&want, 1), TOLERANCE_op_relevance);
        check_conservation(&c); /* nothing but the source's share is left */
        fixture_fini(&f);
    }
}

/* Samples must reach the edges: no rows, one row, and widths that no vector divides. */
static void test_ops__samples_reach_the_edges(void **state)
{
    (void)state;
    const op *o;
    for (size_t i = 0; (o = op_at(i)) != NULL; i++) {
        unsigned rows_seen = 0, widths_seen = 0;
        op_case c = {0};
        assert_non_null(o->reference);
        for (size_t number = 0; o->sample(number, &c.sample); number++) {
            fixture f;
            fixture_init(&f, number);
            draw_case(&c, &f, o, number);
            size_t width = o->inputs > 0 ? c.sample.width[0] : c.node->width;
            rows_seen |= c.node->rows < 2 ? 1U << c.node->rows : 0U;
            size_t narrowest = strcmp(o->name, "angles") == 0 || strcmp(o->name, "rotate") == 0 ? 2 : 1; /* pairs */
            widths_seen |= width == narrowest ? 1U : width % 16 != 0 ? 2U : 0U;
            fixture_fini(&f);
            c = (op_case){0};
        }
        if (rows_seen != 3 || widths_seen != 3)
            fail_msg("op %s has no sample of 0 rows, of 1 row, of width 1 or of an odd width", o->name);
    }
}

/* Does query row q of sequence s see any key? */
static bool sees_any(const op_case *c, size_t s, size_t q)
{
    const op_params *p = &c->node->params;
    size_t queries = c->sample.lengths[0][s], keys = c->sample.lengths[1][s], first = c->in[1]->segments.begin[s];
    size_t at = p->query_rows != NULL ? (size_t)p->query_rows[c->in[0]->segments.begin[s] + q] - first : keys - queries + q;
    for (size_t k = 0; k < keys; k++) {
        bool is_hidden = p->hidden != NULL && p->hidden[(p->hidden_begin != NULL ? p->hidden_begin[s] : first) + k];
        if (!is_hidden && (!p->is_causal || k <= at) && (p->window == 0 || k + p->window > at))
            return true;
    }
    return false;
}

/* Rows of probabilities sum to 1, or to 0 where every key is hidden, at the offsets that attention.h promises. */
static void check_probabilities(op_case *c)
{
    if (strcmp(c->node->op->name, "attention") != 0)
        return;
    outcome got = run_case(c, kernels_best(), NULL, true);
    size_t end = 0;
    for (size_t s = 0; s < c->sample.sequences; s++) {
        for (size_t h = 0; h < c->node->params.heads; h++) {
            size_t queries = c->sample.lengths[0][s], keys = c->sample.lengths[1][s];
            size_t at = attention_probs_offset(c->graph, c->id, s, h);
            assert_int_equal(at, end);
            end += queries * keys;
            for (size_t q = 0; q < queries; q++) {
                double sum = 0;
                for (size_t k = 0; k < keys; k++)
                    sum += (double)got.saved[at + q * keys + k];
                assert_true(sees_any(c, s, q) ? fabs(sum - 1) < 1e-5 : fabs(sum) <= 0);
            }
        }
    }
    assert_int_equal(end, c->saved_size);
}

static void test_ops__attention_saves_probabilities(void **state)
{
    (void)state;
    for_each_case(check_probabilities);
}

static void test_ops__embed_refuses_ids_outside_the_table(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        fixture f;
        fixture_init(&f, 1);
        int32_t ids[] = {2, i ? 3 : -1};
        op_case c = {.f = &f};
        weight *table[NODE_WEIGHTS] = {fixture_weight(&f, WEIGHT_F32, 3, 4, false, 0, 1)};
        place_node(&c, &op_embed, NULL, fixture_segments(&f, (const uint32_t[]){2}, 1), table, (op_params){.index = ids});
        tkr_error error = {0};
        op_call call = {.node = c.node, .kernels = kernels_best(), .out = poisoned(&f, 8), .error = &error};
        assert_int_equal(op_embed.forward(&call, 0, 2), TKR_E_INPUT_TOKEN_ID);
        assert_string_equal(error.message, i ? "row 1: id 3 is not in \"w\", which has rows 0 to 2"
                                             : "row 1: id -1 is not in \"w\", which has rows 0 to 2");
        fixture_fini(&f);
    }
}

static void print_time(op_case *c)
{
    double begin = clock_seconds(), runs = 0;
    for (; runs < 20; runs++)
        run_case(c, kernels_best(), NULL, true);
    printf("%-32s %10.2f us\n", c->label, 1e6 * (clock_seconds() - begin) / runs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ops__forward_equals_the_reference),
        cmocka_unit_test(test_ops__backward_equals_finite_differences),
        cmocka_unit_test(test_ops__bits_do_not_depend_on_threads),
        cmocka_unit_test(test_ops__bits_do_not_depend_on_the_processor_level),
        cmocka_unit_test(test_ops__saving_does_not_change_the_output),
        cmocka_unit_test(test_ops__bits_do_not_depend_on_the_batch),
        cmocka_unit_test(test_ops__relevance_is_conserved_or_absorbed),
        cmocka_unit_test(test_ops__every_op_has_all_rules_or_none),
        cmocka_unit_test(test_ops__added_table_rows_absorb),
        cmocka_unit_test(test_ops__samples_reach_the_edges),
        cmocka_unit_test(test_ops__attention_saves_probabilities),
        cmocka_unit_test(test_ops__embed_refuses_ids_outside_the_table),
    };
    int failed = cmocka_run_group_tests_name("ops", tests, NULL, NULL);
    if (getenv("TOKRAY_TIMING") != NULL) {
        for_each_case(print_time);
        tolerance_report();
    }
    return failed;
}
