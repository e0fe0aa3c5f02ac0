/*
 * Attention flow: the worked examples of methods.md 11.3, reference numbers (TOKRAY_ORACLE) from the reference's own matrices and
 * through the models, a plain Edmonds-Karp over the whole graph, and INV-F1 to INV-F4.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "explain/attention_flow.h"
#include "explain/attention_rollout.h"
#include "explain/inside.h"
#include "explain/random_maps.h"

#define assert_near(got, want, most) assert_true(fabs((got) - (want)) <= (most))

static attention_mix mix(const attention_maps *maps, double alpha, arena *a)
{
    attention_mix m;
    tkr_error error = {0};
    mix_options options = mix_defaults();
    options.alpha = alpha;
    if (attention_mix_maps(maps, &options, a, &m, &error))
        fail_msg("%s", error.message);
    return m;
}

/* From all rows. */
static attention_flow_values all_flows(arena *a, const attention_mix *m)
{
    size_t n = m->own.queries;
    attention_flow_values v = {.own = ARENA_NEW(a, double, n * n), .source = ARENA_NEW(a, double, n * m->cross.keys),
                               .positive = ARENA_NEW(a, size_t, n), .saturated = ARENA_NEW(a, size_t, n)};
    size_t *rows = ARENA_NEW(a, size_t, n);
    tkr_error error = {0};
    for (size_t i = 0; i < n; i++)
        rows[i] = i;
    if (attention_flow(m, rows, n, NULL, &v, &error))
        fail_msg("%s", error.message);
    return v;
}

/* ---- worked examples ---- */

static void expect_example(attention_kind kind, double alpha, double *numbers, const double *want)
{
    arena *a = arena_new(SIZE_MAX);
    attention_maps maps = {0};
    maps.of[kind] = (attention_stack){.layers = 2, .heads = 1, .queries = 3, .keys = 3, .at = numbers};
    attention_mix m = mix(&maps, alpha, a);
    assert_close_tensor("F", TENSOR((const double *)all_flows(a, &m).own, 3, 3), TENSOR(want, 3, 3), TOLERANCE_golden_flow);
    arena_free(a);
}

static void test_flow__worked_examples(void **state)
{
    (void)state;
    double both[] = {.5, .3, .2, .1, .6, .3, .2, .2, .6, .7, .2, .1, .3, .3, .4, .25, .25, .5};
    double causal[] = {1, 0, 0, .4, .6, 0, .3, .3, .4, 1, 0, 0, .5, .5, 0, .2, .5, .3};
    expect_example(ATTENTION_ENCODER, 0.5, both, (const double[]){.85, .30, .25, .30, .90, .45, .275, .35, .975});
    expect_example(ATTENTION_ENCODER, 1, both, (const double[]){.7, .6, .5, .6, .8, .9, .55, .7, .95});
    expect_example(ATTENTION_DECODER, 0.5, causal, (const double[]){1, 0, 0, .45, .75, 0, .45, .4, .65});
}

/* ---- reference ---- */

static void compare_saturated(inside *x, const attention_flow_values *v, size_t rows)
{
    double want = json_number_value(json_object_get(json_object_get(x->numbers->json, "flow"), "saturated_fraction"));
    size_t positive = 0, saturated = 0;
    for (size_t i = 0; i < rows; i++) {
        positive += v->positive[i];
        saturated += v->saturated[i];
    }
    assert_near((double)saturated / (double)positive, want, 1e-12);
    x->compared++;
}

static void compare_all(inside *x, const attention_maps *maps, tolerance allowed, bool is_exact)
{
    attention_mix m = mix(maps, 0.5, x->arena), encoder = {.own = m.source};
    attention_flow_values v = all_flows(x->arena, &m);
    size_t n = m.own.keys, row = inside_row(x);
    x->compared++;
    if (!x->r->has_decoder) {
        assert_close_tensor("flow", TENSOR((const double *)v.own, n, n), golden_array(x->numbers, "flow"), allowed);
        if (is_exact)
            compare_saturated(x, &v, n);
        return;
    }
    size_t keys = m.cross.keys;
    assert_close_tensor("target", TENSOR((const double *)v.own + row * n, n), golden_array(x->numbers, "flow.target"), allowed);
    assert_close_tensor("source", TENSOR((const double *)v.source + row * keys, keys), golden_array(x->numbers, "flow.source"), allowed);
    v = all_flows(x->arena, &encoder);
    assert_close_tensor("encoder", TENSOR((const double *)v.own, keys, keys), golden_array(x->numbers, "flow.encoder"), allowed);
}

static void compare_reference(inside *x)
{
    attention_maps ours;
    tkr_error error = {0};
    if (attention_maps_capture(&x->q, x->arena, &ours, &error))
        fail_msg("%s", error.message);
    attention_maps theirs = inside_maps(x, &ours, NULL);
    compare_all(x, &theirs, TOLERANCE_golden_flow, true);
    compare_all(x, &ours, x->r->has_decoder ? TOLERANCE_golden_t5_attention : TOLERANCE_golden_attention, false);
}

static void test_flow__reference(void **state) { (void)state; inside_each(compare_reference, 2); }

/* ---- Edmonds-Karp over the whole graph ---- */

enum { NODES_MOST = 160 };
typedef struct plain {
    int64_t room[NODES_MOST][NODES_MOST];
    size_t nodes;
} plain;

static int64_t augment(plain *g, size_t from, size_t to)
{
    size_t queue[NODES_MOST], before[NODES_MOST], count = 1;
    int64_t most[NODES_MOST] = {0};
    queue[0] = from;
    most[from] = INT64_MAX;
    for (size_t at = 0; at < count && most[to] == 0; at++)
        for (size_t v = 0; v < g->nodes; v++)
            if (g->room[queue[at]][v] > 0 && most[v] == 0) {
                most[v] = most[queue[at]] < g->room[queue[at]][v] ? most[queue[at]] : g->room[queue[at]][v];
                before[v] = queue[at];
                queue[count++] = v;
            }
    for (size_t v = to; most[to] > 0 && v != from; v = before[v]) {
        g->room[before[v]][v] -= most[to];
        g->room[v][before[v]] += most[to];
    }
    return most[to];
}

static double plain_flow(const plain *all, size_t from, size_t to)
{
    static plain g;
    g = *all;
    int64_t sum = 0, more;
    while ((more = augment(&g, from, to)) > 0)
        sum += more;
    return ldexp((double)sum, -40);
}

static void join(plain *g, size_t from, size_t to, const attention_layers *a, size_t layer, double share)
{
    for (size_t i = 0; i < a->queries; i++)
        for (size_t j = 0; j < a->keys; j++)
            g->room[from + i][to + j] = (int64_t)floor(share * attention_layer(a, layer)[i * a->keys + j] * ldexp(1, 40));
}

/* Levels of the own stack from the inputs up, two a layer with a source; then those of the source from its inputs up. */
static size_t source_first(const attention_mix *m) { return ((m->cross.layers ? 2 : 1) * m->own.layers + 1) * m->own.keys; }

static void build_plain(plain *g, const attention_mix *m)
{
    size_t n = m->own.keys, source = source_first(m), steps = m->cross.layers ? 2 : 1;
    memset(g, 0, sizeof *g);
    g->nodes = source + (m->cross.layers ? (m->source.layers + 1) * m->source.keys : 0);
    assert_true(g->nodes <= NODES_MOST);
    for (size_t l = 0; l < m->own.layers; l++) {
        size_t below = steps * l * n, above = below + n;
        join(g, above, below, &m->own, l, 1);
        if (steps == 1)
            continue;
        for (size_t i = 0; i < n; i++)
            g->room[above + n + i][above + i] = (int64_t)floor(m->beta * ldexp(1, 40));
        join(g, above + n, source + m->source.layers * m->source.keys, &m->cross, l, 1 - m->beta);
    }
    for (size_t l = 0; l < m->source.layers; l++)
        join(g, source + (l + 1) * m->source.keys, source + l * m->source.keys, &m->source, l, 1);
}

static void expect_plain(arena *a, const attention_mix *m)
{
    static plain g;
    size_t n = m->own.keys, top = source_first(m) - n;
    attention_flow_values v = all_flows(a, m);
    build_plain(&g, m);
    for (size_t u = 0; u < n; u++) {
        for (size_t j = 0; j < n; j++)
            assert_near(v.own[u * n + j], plain_flow(&g, top + u, j), 1e-10);
        for (size_t j = 0; j < m->cross.keys; j++)
            assert_near(v.source[u * m->cross.keys + j], plain_flow(&g, top + u, source_first(m) + j), 1e-10);
    }
}

static void test_flow__equals_edmonds_karp(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 90; seed++) {
        arena *a = arena_new(SIZE_MAX);
        random_maps_kind kind = (random_maps_kind)(seed % 3);
        size_t layers = kind == RANDOM_BOTH ? 1 + seed / 3 % 4 : 1 + seed / 3 % 8, n = 1 + seed / 2 % 7;
        attention_maps maps = random_maps(a, seed, layers, n, kind, (double)(seed / 5 % 6));
        attention_mix m = mix(&maps, seed % 4 == 3 ? 1 : 0.5, a);
        expect_plain(a, &m);
        arena_free(a);
    }
}

/* One token that a layer hardly looks at: what its own layer could take does not come through, wherever that layer is. */
static void test_flow__bottleneck_in_any_layer(void **state)
{
    (void)state;
    for (size_t layer = 0; layer < 7; layer++) {
        arena *a = arena_new(SIZE_MAX);
        attention_maps maps = random_maps(a, layer, 7, 5, RANDOM_ENCODER, 1);
        const attention_stack *s = &maps.of[ATTENTION_ENCODER];
        for (size_t r = 0; r < s->heads * 5; r++) {
            double *row = attention_head_map(s, layer, 0) + r * 5;
            row[0] += 0.98 * row[2];
            row[2] *= 0.02;
        }
        for (size_t r = 0; r < s->heads * 5; r++) { /* and which alone leads to itself in the first */
            double *row = attention_head_map(s, 0, 0) + r * 5;
            row[0] += r % 5 == 2 ? 0 : row[2];
            row[2] = r % 5 == 2 ? row[2] : 0;
        }
        attention_mix m = mix(&maps, 1, a);
        expect_plain(a, &m);
        arena_free(a);
    }
}

/* ---- invariants ---- */

static double bound_of(const attention_mix *m, size_t u, size_t v)
{
    double sum = 0;
    for (size_t k = 0; k < m->own.keys; k++)
        sum += m->is_causal && k > u ? 0 : m->own.at[k * m->own.keys + v];
    return fmin(1, sum);
}

/* INV-F1, INV-F2, and INV-F3 where there is one layer. */
static void test_flow__between_rollout_and_its_bound(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 40; seed++) {
        arena *a = arena_new(SIZE_MAX);
        size_t n = 2 + seed % 15, layers = 1 + seed / 2 % 9;
        attention_maps maps = random_maps(a, seed + 500, layers, n, seed % 2 ? RANDOM_CAUSAL : RANDOM_ENCODER, (double)(seed % 5));
        attention_mix m = mix(&maps, 0.5, a);
        attention_flow_values v = all_flows(a, &m);
        double *rollout = ARENA_NEW(a, double, n), *room = ARENA_NEW(a, double, n);
        for (size_t u = 0; u < n; u++) {
            attention_rollout(&m, &u, 1, rollout, NULL, room);
            for (size_t j = 0; j < n; j++) {
                double flow = v.own[u * n + j];
                assert_true(flow >= rollout[j] - 1e-9 && flow <= bound_of(&m, u, j) + 1e-9);
                assert_true(layers > 1 || fabs(flow - m.own.at[u * n + j]) < 1e-9);
            }
        }
        arena_free(a);
    }
}

/* INV-F4: a wider edge never lets less through. */
static void test_flow__grows_with_its_edges(void **state)
{
    (void)state;
    random_key key = {.seed = 9, .purpose = random_purpose("edges")};
    arena *a = arena_new(SIZE_MAX);
    attention_maps maps = random_maps(a, 77, 4, 6, RANDOM_ENCODER, 3);
    attention_mix m = mix(&maps, 0.5, a);
    attention_flow_values before = all_flows(a, &m);
    for (uint64_t k = 0; k < 12; k++) {
        m.own.at[random_below(key, k, 4 * 6 * 6)] += 0.2;
        attention_flow_values after = all_flows(a, &m);
        for (size_t i = 0; i < 36; i++)
            assert_true(after.own[i] >= before.own[i] - 1e-9);
        before = after;
    }
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flow__worked_examples),
        cmocka_unit_test(test_flow__reference),
        cmocka_unit_test(test_flow__equals_edmonds_karp),
        cmocka_unit_test(test_flow__bottleneck_in_any_layer),
        cmocka_unit_test(test_flow__between_rollout_and_its_bound),
        cmocka_unit_test(test_flow__grows_with_its_edges),
    };
    int failed = cmocka_run_group_tests_name("flow", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
