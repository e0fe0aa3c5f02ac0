/*
 * Chefer relevance: the worked example of methods.md 11.3, reference numbers (TOKRAY_ORACLE) from the reference's own matrices and
 * through the models, and INV-C1 to INV-C3.
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
#include "explain/attention_gradients.h"
#include "explain/attention_relevance.h"
#include "explain/inside.h"
#include "explain/made.h"

/* ---- worked example ---- */

static attention_maps one_stack(double *numbers, size_t layers, size_t heads, size_t n)
{
    attention_maps m = {0};
    m.of[ATTENTION_DECODER] = (attention_stack){.layers = layers, .heads = heads, .queries = n, .keys = n, .at = numbers};
    return m;
}

static token_relevance relate(const attention_maps *a, const attention_maps *g, arena *room)
{
    tkr_error error = {0};
    attention_maps weighted;
    token_relevance r;
    assert_int_equal(attention_weigh(WEIGH_RELU, a, g, room, &weighted, &error), TKR_OK);
    assert_int_equal(attention_relevance_generic(&weighted, room, &r, &error), TKR_OK);
    return r;
}

static double example_a[] = {.5, .3, .2, .1, .6, .3, .2, .2, .6, .7, .2, .1, .3, .3, .4, .25, .25, .5};
static double example_g[] = {1, -1, 2, .5, .5, -.5, 0, 1, 1, 2, 1, -1, 0, 1, 0, -1, 2, 1};

static void test_chefer__worked_example(void **state)
{
    (void)state;
    static const double want[] = {3.61, .26, .96, .065, 1.69, 0, .025, .95, 2.4};
    arena *room = arena_new(SIZE_MAX);
    attention_maps a = one_stack(example_a, 2, 1, 3), g = one_stack(example_g, 2, 1, 3);
    token_relevance r = relate(&a, &g, room);
    assert_null(r.cross);
    assert_close_tensor("R", TENSOR((const double *)r.self, 9), TENSOR(want, 9), TOLERANCE_golden_table);
    arena_free(room);
}

/* ---- invariants, on random maps of both kinds of model ---- */

static double some(uint64_t seed, size_t item, uint64_t i) { return random_unit((random_key){.seed = seed, .item = (uint32_t)item}, i) * 2 - 1; }

static attention_maps random_maps(arena *room, uint64_t seed, bool has_source, double scale)
{
    tkr_error error = {0};
    attention_maps m = {0};
    m.of[ATTENTION_DECODER] = (attention_stack){.layers = 3, .heads = 2, .queries = 4, .keys = 4};
    if (has_source) {
        m.of[ATTENTION_ENCODER] = (attention_stack){.layers = 2, .heads = 2, .queries = 5, .keys = 5};
        m.of[ATTENTION_CROSS] = (attention_stack){.layers = 3, .heads = 2, .queries = 4, .keys = 5};
    }
    assert_int_equal(attention_maps_make_room(room, &m, &error), TKR_OK);
    for (size_t k = 0; k < ATTENTION_KINDS; k++)
        for (size_t i = 0; i < m.of[k].layers * m.of[k].heads * m.of[k].queries * m.of[k].keys; i++)
            m.of[k].at[i] = scale * some(seed, k, i);
    return m;
}

static void expect_at_least_identity(const token_relevance *r)
{
    for (size_t i = 0; i < r->output * r->output; i++)
        assert_true(r->self[i] - (i % (r->output + 1) == 0) >= 0);
    for (size_t i = 0; i < r->output * r->source; i++)
        assert_true(r->cross[i] >= 0);
}

static void check_invariants(uint64_t seed, bool has_source)
{
    arena *room = arena_new(SIZE_MAX);
    tkr_error error = {0};
    attention_maps a = random_maps(room, seed, has_source, 1), g = random_maps(room, seed + 100, has_source, 1);
    attention_maps nothing = random_maps(room, seed, has_source, 0), triple = random_maps(room, seed + 100, has_source, 3), w1, w3;
    token_relevance r = relate(&a, &g, room), identity = relate(&a, &nothing, room);
    expect_at_least_identity(&r); /* INV-C1 */
    for (size_t i = 0; i < 16; i++) /* INV-C2 */
        assert_true(identity.self[i] == (i % 5 == 0 ? 1.0 : 0.0));
    for (size_t i = 0; i < identity.output * identity.source; i++)
        assert_true(identity.cross[i] == 0);
    assert_int_equal(attention_weigh(WEIGH_RELU, &a, &g, room, &w1, &error), TKR_OK);
    assert_int_equal(attention_weigh(WEIGH_RELU, &a, &triple, room, &w3, &error), TKR_OK);
    for (size_t k = 0; k < ATTENTION_KINDS; k++) /* INV-C3 */
        for (size_t i = 0; i < w1.of[k].layers * w1.of[k].queries * w1.of[k].keys; i++)
            assert_true(fabs(3 * w1.of[k].at[i] - w3.of[k].at[i]) <= 1e-12);
    arena_free(room);
}

static void test_chefer__invariants(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++)
        check_invariants(seed, seed % 2);
}

/* ---- reference numbers ---- */

static void compare_matrix(inside *x, const char *name, const double *got, size_t rows, size_t columns, tolerance allowed)
{
    assert_close_tensor(name, TENSOR(got, rows, columns), golden_array(x->numbers, name), allowed);
    x->compared++;
}

static void compare_generic(inside *x, const token_relevance *r, tolerance allowed)
{
    if (!x->r->has_decoder) {
        compare_matrix(x, "chefer.generic", r->self, r->output, r->output, allowed);
        return;
    }
    compare_matrix(x, "chefer.encoder", r->encoder, r->source, r->source, allowed);
    compare_matrix(x, "chefer.decoder_self", r->self, r->output, r->output, allowed);
    compare_matrix(x, "chefer.decoder_source", r->cross, r->output, r->source, allowed);
}

/* From the reference's own probabilities and gradients, then from ours. */
static void compare_relevance(inside *x)
{
    tkr_error error = {0};
    attention_gradients g;
    if (attention_gradients_open(&x->q, x->arena, &g, &error))
        fail_msg("%s", error.message);
    attention_maps a = inside_maps(x, &g.probabilities, NULL), b = inside_maps(x, &g.probabilities, "gradient");
    token_relevance exact = relate(&a, &b, x->arena);
    compare_generic(x, &exact, TOLERANCE_golden_table);
    inside_way_back(&x->q, g.p, 0, RULE_GRADIENT);
    attention_gradients_read(&x->q, &g, RULE_GRADIENT, &b);
    token_relevance r = relate(&g.probabilities, &b, x->arena);
    compare_generic(x, &r, ALLOWED(x->r, golden_attention_gradient));
    attention_gradients_close(&g);
}
static void test_chefer__reference(void **state) { (void)state; inside_each(compare_relevance, 2); }

static void compare_scores(inside *x, const char *spec, const char *array)
{
    tensor t = golden_array(x->numbers, array);
    tkr_result *got = reference_explain(x->r, &x->asked, spec, spec);
    tensor row = tensor_f64(t.f64 + inside_row(x) * t.shape[1], 1, &t.shape[1]);
    reference_compare(x->r, got, "chefer.scores", array, row, ALLOWED(x->r, golden_attention_gradient));
    tkr_result_free(got);
    x->compared++;
}

static void compare_method(inside *x)
{
    compare_scores(x, "chefer:own=keep", x->r->has_decoder ? "chefer.decoder_source" : "chefer.generic");
    if (!x->r->has_decoder)
        compare_scores(x, "chefer:variant=chefer1,own=keep", "chefer.chefer1");
}
static void test_chefer__method_reference(void **state) { (void)state; inside_each(compare_method, 1); }

/* ---- the method ---- */

/* The row's own token has score 0; with own=keep at least the 1 that it begins with.  Nothing else differs. */
static void test_chefer__own_token_is_left_out(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("gpt2", MADE_NEXT_TOKEN, 3);
    made m = made_open(&recipe, NULL);
    tkr_question q = tkr_question_defaults();
    q.text = made_text(&m, 6, 3);
    q.features = "tokens";
    tkr_result *dropped = made_explain(&m, &q, "chefer"), *kept = made_explain(&m, &q, "chefer:own=keep");
    size_t count;
    const float *a = made_scores(dropped, "chefer.scores", &count), *b = made_scores(kept, "chefer.scores", NULL);
    assert_true(count > 3);
    assert_memory_equal(a, b, (count - 1) * sizeof *a);
    assert_true(a[count - 1] == 0);
    assert_true(b[count - 1] >= 1);
    float most = 0;
    for (size_t i = 0; i + 1 < count; i++) {
        assert_true(a[i] >= 0);
        most = a[i] > most ? a[i] : most;
    }
    assert_true(most > 0);
    tkr_result_free(dropped);
    tkr_result_free(kept);
    free((char *)(uintptr_t)q.text);
    made_close(&m);
}

/* Rows of the product sum to 1: with its own token, a row is a set of shares. */
static void test_chefer__product_is_a_share(void **state)
{
    (void)state;
    arena *room = arena_new(SIZE_MAX);
    tkr_error error = {0};
    attention_maps a = random_maps(room, 1, false, 1), g = random_maps(room, 2, false, 1), weighted;
    token_relevance r;
    assert_int_equal(attention_weigh(WEIGH_RELU, &a, &g, room, &weighted, &error), TKR_OK);
    assert_int_equal(attention_relevance_product(&weighted, room, &r, &error), TKR_OK);
    for (size_t i = 0; i < 4; i++)
        assert_true(fabs(r.self[4 * i] + r.self[4 * i + 1] + r.self[4 * i + 2] + r.self[4 * i + 3] - 1) <= 1e-12);
    arena_free(room);
}

static void test_chefer__second_variant_needs_one_stack(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("t5", MADE_SEQUENCE_TO_SEQUENCE, 3);
    made m = made_open(&recipe, NULL);
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.text = made_text(&m, 4, 3);
    q.output_ids = (const int32_t[]){50, 61};
    q.output_id_count = 2;
    assert_null(tkr_explain(m.session, &q, "chefer:variant=chefer1", &error));
    if (error.code != TKR_E_USAGE_CAPABILITY)
        fail_msg("%s", error.message);
    tkr_result_free(made_explain(&m, &q, "chefer"));
    free((char *)(uintptr_t)q.text);
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chefer__worked_example),
        cmocka_unit_test(test_chefer__invariants),
        cmocka_unit_test(test_chefer__reference),
        cmocka_unit_test(test_chefer__method_reference),
        cmocka_unit_test(test_chefer__own_token_is_left_out),
        cmocka_unit_test(test_chefer__product_is_a_share),
        cmocka_unit_test(test_chefer__second_variant_needs_one_stack),
    };
    int failed = cmocka_run_group_tests_name("chefer", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
