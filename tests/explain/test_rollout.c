/*
 * Attention rollout: the worked examples of methods.md 11.3, reference numbers (TOKRAY_ORACLE) from the reference's own matrices and
 * through the models, INV-R1 to INV-R6 over random maps, and the two corrections.
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

#include "explain/attention_rollout.h"
#include "explain/inside.h"
#include "explain/random_maps.h"

#define assert_near(got, want, most) assert_true(fabs((got) - (want)) <= (most))

/* All rows, [n][keys]. */
static double *all_rows(arena *a, const attention_mix *m, double **source)
{
    size_t n = m->own.queries;
    size_t *rows = ARENA_NEW(a, size_t, n);
    double *own = ARENA_NEW(a, double, n * n), *room = ARENA_NEW(a, double, attention_rollout_room(m));
    double *to = ARENA_NEW(a, double, n * m->cross.keys);
    for (size_t i = 0; i < n; i++)
        rows[i] = i;
    attention_rollout(m, rows, n, own, to, room);
    if (source)
        *source = to;
    return own;
}

static attention_mix mix(const attention_maps *maps, mix_options options, arena *a)
{
    attention_mix m;
    tkr_error error = {0};
    if (attention_mix_maps(maps, &options, a, &m, &error))
        fail_msg("%s", error.message);
    return m;
}

/* ---- worked examples ---- */

static void expect_example(attention_kind kind, double *numbers, const double *want)
{
    arena *a = arena_new(SIZE_MAX);
    attention_maps maps = {0};
    maps.of[kind] = (attention_stack){.layers = 2, .heads = 1, .queries = 3, .keys = 3, .at = numbers};
    attention_mix m = mix(&maps, mix_defaults(), a);
    assert_close_tensor("R", TENSOR((const double *)all_rows(a, &m, NULL), 3, 3), TENSOR(want, 3, 3), TOLERANCE_golden_table);
    arena_free(a);
}

static void test_rollout__worked_examples(void **state)
{
    (void)state;
    double both[] = {.5, .3, .2, .1, .6, .3, .2, .2, .6, .7, .2, .1, .3, .3, .4, .25, .25, .5};
    double causal[] = {1, 0, 0, .4, .6, 0, .3, .3, .4, 1, 0, 0, .5, .5, 0, .2, .5, .3};
    expect_example(ATTENTION_ENCODER, both, (const double[]){.6475, .2125, .14, .165, .5625, .2725, .175, .19375, .63125});
    expect_example(ATTENTION_DECODER, causal, (const double[]){1, 0, 0, .4, .6, 0, .2475, .2975, .455});
}

/* ---- reference ---- */

static void compare_variant(inside *x, const attention_maps *maps, const char *name, mix_options options, tolerance allowed)
{
    tensor want;
    if (!golden_find(x->numbers, name, &want))
        return;
    attention_mix m = mix(maps, options, x->arena);
    assert_close_tensor(name, TENSOR((const double *)all_rows(x->arena, &m, NULL), m.own.queries, m.own.keys), want, allowed);
    x->compared++;
}

static void compare_corrected(inside *x, const attention_maps *maps, tolerance allowed)
{
    tensor want;
    if (!golden_find(x->numbers, "rollout.prior_corrected", &want))
        return;
    attention_mix m = mix(maps, mix_defaults(), x->arena);
    size_t n = m.own.keys, row = inside_row(x);
    double *own = all_rows(x->arena, &m, NULL) + row * n, *first = ARENA_NEW(x->arena, double, 2 * n), *prior = first + n;
    memcpy(first, own, n * sizeof *own);
    attention_rollout_prior(m.own.layers, 0.5, row, prior);
    attention_rollout_correct(own, prior, row);
    assert_close_tensor("prior", TENSOR((const double *)own, n), want, allowed);
    attention_rollout_drop_first(first, row);
    assert_close_tensor("drop first", TENSOR((const double *)first, n), golden_array(x->numbers, "rollout.drop_first"), allowed);
    x->compared += 2;
}

static void compare_decoder(inside *x, const attention_maps *maps, tolerance allowed)
{
    attention_mix m = mix(maps, mix_defaults(), x->arena), encoder = {.own = m.source};
    double *source = NULL, *own = all_rows(x->arena, &m, &source);
    size_t targets = m.own.keys, keys = m.cross.keys;
    assert_close_tensor("own", TENSOR((const double *)own, targets, targets), golden_array(x->numbers, "rollout.decoder_self"), allowed);
    assert_close_tensor("source", TENSOR((const double *)source, targets, keys), golden_array(x->numbers, "rollout.decoder_source"), allowed);
    own = all_rows(x->arena, &encoder, NULL);
    assert_close_tensor("encoder", TENSOR((const double *)own, keys, keys), golden_array(x->numbers, "rollout.encoder"), allowed);
    x->compared += 3;
}

static void compare_all(inside *x, const attention_maps *maps, tolerance allowed)
{
    mix_options options = mix_defaults();
    if (x->r->has_decoder) {
        compare_decoder(x, maps, allowed);
        return;
    }
    compare_variant(x, maps, "rollout", options, allowed);
    options.alpha = 1;
    compare_variant(x, maps, "rollout.no_residual", options, allowed);
    options.alpha = 0.5;
    options.fusion = FUSION_MAX;
    compare_variant(x, maps, "rollout.heads_max", options, allowed);
    options.fusion = FUSION_MIN;
    compare_variant(x, maps, "rollout.heads_min", options, allowed);
    compare_corrected(x, maps, allowed);
}

static void compare_reference(inside *x)
{
    attention_maps ours;
    tkr_error error = {0};
    if (attention_maps_capture(&x->q, x->arena, &ours, &error))
        fail_msg("%s", error.message);
    attention_maps theirs = inside_maps(x, &ours, NULL);
    compare_all(x, &theirs, TOLERANCE_golden_table);
    compare_all(x, &ours, x->r->has_decoder ? TOLERANCE_golden_t5_attention : TOLERANCE_golden_attention);
}

static void test_rollout__reference(void **state) { (void)state; inside_each(compare_reference, 6); }

/* ---- invariants ---- */

static void expect_shares(const double *own, const double *source, const attention_mix *m)
{
    for (size_t i = 0; i < m->own.queries; i++) {
        double sum = 0;
        for (size_t j = 0; j < m->own.keys + m->cross.keys; j++) {
            double now = j < m->own.keys ? own[i * m->own.keys + j] : source[i * m->cross.keys + j - m->own.keys];
            assert_true(now >= 0 && now <= 1 + 1e-12); /* INV-R2 */
            if (m->is_causal && j > i && j < m->own.keys)
                assert_true(now == 0); /* INV-R5 */
            sum += now;
        }
        assert_near(sum, 1, 1e-12); /* INV-R1, INV-R6 */
    }
}

static void test_rollout__shares_of_random_maps(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 60; seed++) {
        arena *a = arena_new(SIZE_MAX);
        attention_maps maps = random_maps(a, seed, 1 + seed % 4, 1 + seed / 4 % 6, (random_maps_kind)(seed % 3), 3);
        mix_options options = {.fusion = (attention_fusion)(seed / 3 % 3), .alpha = 0.1 * (double)(seed % 11), .beta = 0.3, .discard = seed % 2 ? 0.6 : 0};
        attention_mix m = mix(&maps, options, a);
        double *source = NULL, *own = all_rows(a, &m, &source);
        expect_shares(own, source, &m);
        arena_free(a);
    }
}

/* All maps alike: INV-R3 with the identity, INV-R4 with even attention. */
static void expect_alike(const double *map, const double *want)
{
    enum { N = 5, L = 3, H = 2 };
    double numbers[L * H * N * N];
    arena *a = arena_new(SIZE_MAX);
    for (size_t i = 0; i < L * H * N * N; i++)
        numbers[i] = map[i % (N * N)];
    attention_maps maps = {0};
    maps.of[ATTENTION_ENCODER] = (attention_stack){.layers = L, .heads = H, .queries = N, .keys = N, .at = numbers};
    attention_mix m = mix(&maps, mix_defaults(), a);
    assert_close_tensor("R", TENSOR((const double *)all_rows(a, &m, NULL), N, N), TENSOR(want, N, N), TOLERANCE_golden_table);
    arena_free(a);
}

static void test_rollout__identity_and_even_attention(void **state)
{
    (void)state;
    double identity[25], even[25], want[25];
    for (size_t i = 0; i < 25; i++) {
        identity[i] = i / 5 == i % 5;
        even[i] = 0.2;
        want[i] = 0.125 * identity[i] + 0.875 / 5;
    }
    expect_alike(identity, identity);
    expect_alike(even, want);
}

/* What even causal attention gives to position 0 (methods.md 3.3), and the same by the product. */
static void test_rollout__prior_of_a_causal_mask(void **state)
{
    (void)state;
    static const struct { size_t layers, n; double want; } rows[] = {{6, 10, 0.49}, {12, 20, 0.77}, {12, 50, 0.66}};
    for (size_t k = 0; k < 3; k++) {
        size_t n = rows[k].n;
        arena *a = arena_new(SIZE_MAX);
        double *prior = ARENA_NEW(a, double, n), *numbers = ARENA_NEW(a, double, rows[k].layers * n * n);
        for (size_t i = 0; i < rows[k].layers * n * n; i++)
            numbers[i] = i % n <= i / n % n ? 1 / (double)(i / n % n + 1) : 0;
        attention_maps maps = {0};
        maps.of[ATTENTION_DECODER] = (attention_stack){.layers = rows[k].layers, .heads = 1, .queries = n, .keys = n, .at = numbers};
        attention_mix m = mix(&maps, mix_defaults(), a);
        attention_rollout_prior(rows[k].layers, 0.5, n - 1, prior);
        assert_near(prior[0], rows[k].want, 0.005);
        const double *want = all_rows(a, &m, NULL) + (n - 1) * n;
        assert_close_tensor("prior", TENSOR((const double *)prior, n), TENSOR(want, n), TOLERANCE_golden_table);
        double *own = all_rows(a, &m, NULL) + (n - 1) * n; /* even attention, corrected, says nothing */
        attention_rollout_correct(own, prior, n - 1);
        for (size_t j = 0; j < n; j++)
            assert_near(own[j], 1 / (double)n, 1e-12);
        arena_free(a);
    }
}

/* The 5 smallest of 9 entries; the one on the diagonal stays. */
static void test_rollout__discard(void **state)
{
    (void)state;
    double numbers[] = {.1, .2, .7, .35, .15, .5, .05, .25, .7};
    arena *a = arena_new(SIZE_MAX);
    attention_maps maps = {0};
    maps.of[ATTENTION_ENCODER] = (attention_stack){.layers = 1, .heads = 1, .queries = 3, .keys = 3, .at = numbers};
    mix_options options = mix_defaults();
    options.discard = 0.6;
    attention_mix m = mix(&maps, options, a);
    const double want[] = {.55 / .9, 0, .35 / .9, .175 / 1, .575 / 1, .25 / 1, 0, 0, 1};
    assert_close_tensor("M", TENSOR((const double *)m.own.at, 9), TENSOR(want, 9), TOLERANCE_golden_table);
    arena_free(a);
}

/* Layers first .. end - 1 are the rollout of these alone. */
static void test_rollout__layers_that_are_chosen(void **state)
{
    (void)state;
    arena *a = arena_new(SIZE_MAX);
    attention_maps maps = random_maps(a, 5, 4, 6, RANDOM_CAUSAL, 2), few = maps;
    mix_options options = mix_defaults();
    options.first = 1;
    options.end = 3;
    few.of[ATTENTION_DECODER].layers = 2;
    few.of[ATTENTION_DECODER].at = attention_head_map(&maps.of[ATTENTION_DECODER], 1, 0);
    attention_mix some = mix(&maps, options, a), all = mix(&few, mix_defaults(), a);
    assert_int_equal(some.own.layers, 2);
    assert_memory_equal(all_rows(a, &some, NULL), all_rows(a, &all, NULL), 36 * sizeof(double));
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollout__worked_examples),
        cmocka_unit_test(test_rollout__reference),
        cmocka_unit_test(test_rollout__shares_of_random_maps),
        cmocka_unit_test(test_rollout__identity_and_even_attention),
        cmocka_unit_test(test_rollout__prior_of_a_causal_mask),
        cmocka_unit_test(test_rollout__discard),
        cmocka_unit_test(test_rollout__layers_that_are_chosen),
    };
    int failed = cmocka_run_group_tests_name("rollout", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
