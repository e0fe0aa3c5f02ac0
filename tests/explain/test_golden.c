/*
 * Gradients, Gradient x Input, Integrated Gradients and occlusion against reference numbers from PyTorch in float64: the committed
 * ones (tests/data), and those of TOKRAY_ORACLE when it is set.  Every array that is there is compared; the counts at the
 * end make sure that something was.
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

#include <tokray/tokray.h>

#include "explain/reference.h"
#include "explain/result.h"
#include "support/golden.h"

static void compare_gradient(reference *r, const char *measure, const char *at, const char *suffix)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "grad.%s%s", measure, suffix);
    if (!golden_find(r->gradients, name, &want))
        return;
    tkr_question q = reference_question(r, measure);
    q.at = at;
    tkr_error error = {0};
    tkr_result *got = tkr_gradient(r->session, &q, &error);
    if (!got)
        fail_msg("%s %s: %s", r->gradients->model, name, error.message);
    const tkr_array *a = tkr_result_array(got, "gradient");
    const float *rows = tkr_array_f32(a);
    size_t width = tkr_array_extent(a, 1);
    assert_int_equal(tkr_array_extent(a, 0), r->count + r->output_count);
    assert_close_tensor(name, TENSOR(rows, r->count, width), want, ALLOWED(r, golden_gradient));
    snprintf(name, sizeof name, "grad.%s%s.target", measure, suffix);
    if (r->output_count && golden_find(r->gradients, name, &want))
        assert_close_tensor(name, TENSOR(rows + r->count * width, r->output_count, width), want, ALLOWED(r, golden_gradient));
    tkr_result_free(got);
    r->compared++;
}

static void compare_gxi(reference *r, const char *measure, const char *at, const char *suffix)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "gradxinput.%s%s", measure, suffix);
    if (!golden_find(r->gradients, name, &want))
        return;
    tkr_question q = reference_question(r, measure);
    q.at = at;
    tkr_result *got = reference_explain(r, &q, "gxi", name);
    reference_compare(r, got, "gxi.scores", name, want, ALLOWED(r, golden_gxi));
    tkr_result_free(got);
    r->compared++;
}

static void compare_ig(reference *r, const char *measure, const char *baseline, const char *rule, int steps)
{
    char name[NAME_ROOM], method[NAME_ROOM], key[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "ig.%s.%s%d.%s", baseline, rule, steps, measure);
    if (!golden_find(r->gradients, name, &want))
        return;
    snprintf(method, sizeof method, "ig:steps=%d,rule=%s,baseline=%s,force=1", steps, rule, baseline);
    tkr_question q = reference_question(r, measure);
    snprintf(name, sizeof name, "%.20s ig.%.8s.%.8s%d.%.10s", json_string_value(json_object_get(r->gradients->json, "case")), baseline, rule, steps, measure);
    tkr_result *got = reference_explain(r, &q, method, name);
    reference_compare(r, got, "ig.scores", name, want, ALLOWED(r, golden_ig));
    tkr_run_facts facts;
    assert_true(tkr_result_run(got, 0, &facts));
    const json_t *ig = json_object_get(r->gradients->json, "ig");
    snprintf(key, sizeof key, "%s.%s", baseline, measure);
    double base = json_number_value(json_object_get(json_object_get(ig, "f_baseline"), key));
    double full = json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), measure));
    double logit = json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), "logit"));
    double here[] = {facts.base, facts.full, logit}, there[] = {base, full, logit}; /* differences of logits are as exact as logits */
    assert_close_tensor("f(baseline), f(input)", TENSOR(here, 3), TENSOR(there, 3), TOLERANCE_golden_value);
    tkr_result_free(got);
    r->compared++;
}

static void compare_all_ig(reference *r)
{
    static const char *const baselines[] = {"mask", "pad", "unk", "zero", "mean"}, *const rules[] = {"gl", "mid", "left", "right", "trap"};
    static const int steps[] = {8, 32, 50};
    for (size_t m = 0; m < REFERENCE_MEASURES; m++)
        for (size_t b = 0; b < 5; b++)
            for (size_t k = 0; k < 5; k++)
                for (size_t s = 0; s < 3; s++)
                    compare_ig(r, reference_measures[m], baselines[b], rules[k], steps[s]);
}

/* f without the feature of each player: full - score, so that the tolerance is relative to the values and not to their
 * differences.  token_of_player[i]: a token of it. */
static void compare_values(const tkr_result *got, const char *name, tensor want, double full, const size_t *token_of_player)
{
    const tkr_array *a = tkr_result_array(got, "occlusion.scores");
    double here[TOKENS_MOST + 1], there[TOKENS_MOST + 1];
    size_t count = want.shape[0];
    for (size_t i = 0; i < count; i++) {
        size_t f = got->tokens[token_of_player[i]].feature;
        assert_true(f < tkr_array_extent(a, 1));
        here[i] = full - (double)tkr_array_f32(a)[f];
        there[i] = full - want.f64[i];
    }
    here[count] = there[count] = full;
    assert_close_tensor(name, TENSOR(here, count + 1), TENSOR(there, count + 1), TOLERANCE_golden_value);
}

static size_t player_position(const reference *r, size_t player)
{
    return (size_t)json_integer_value(json_array_get(json_object_get(r->perturbation->json, "players"), player));
}

static double full_value(const reference *r, const char *measure)
{
    return json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), measure));
}

static void compare_occlusion(reference *r, const char *measure, const char *removal)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "occlusion.%s.%s", removal, measure);
    if (!golden_find(r->perturbation, name, &want))
        return;
    tkr_question q = reference_question(r, measure);
    q.removal = removal;
    tkr_result *got = reference_explain(r, &q, "occlusion", name);
    size_t tokens[TOKENS_MOST];
    for (size_t i = 0; i < want.shape[0]; i++)
        tokens[i] = player_position(r, i);
    compare_values(got, name, want, full_value(r, measure), tokens);
    tkr_result_free(got);
    r->compared++;
}

/* Words are found in the text itself, so here the tokenizer takes part. */
static void compare_words(reference *r, const char *measure)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "words.occlusion.%s", measure);
    if (!golden_find(r->perturbation, name, &want))
        return;
    tkr_question q = reference_question(r, measure);
    q.ids = NULL;
    q.segments = NULL;
    q.text = json_string_value(json_object_get(r->perturbation->json, "text"));
    q.pair = json_string_value(json_object_get(r->perturbation->json, "pair"));
    q.features = "words";
    tkr_result *got = reference_explain(r, &q, "occlusion", name);
    const json_t *groups = json_object_get(json_object_get(r->perturbation->json, "words"), "groups");
    size_t tokens[TOKENS_MOST];
    for (size_t i = 0; i < json_array_size(groups); i++)
        tokens[i] = player_position(r, (size_t)json_integer_value(json_array_get(json_array_get(groups, i), 0)));
    compare_values(got, name, want, full_value(r, measure), tokens);
    tkr_result_free(got);
    r->compared++;
}

static void all_gradients(reference *r)
{
    for (size_t m = 0; m < REFERENCE_MEASURES; m++)
        compare_gradient(r, reference_measures[m], "word", "");
    compare_gradient(r, "logit", "sum", ".sum");
    compare_gradient(r, "logit", "embeddings", ".h0");
}

static void all_gxi(reference *r)
{
    for (size_t m = 0; m < REFERENCE_MEASURES; m++)
        compare_gxi(r, reference_measures[m], "word", "");
    compare_gxi(r, "logit", "embeddings", ".h0");
}

static void all_occlusion(reference *r)
{
    static const char *const removals[] = {"mask", "attn", "pad", "unk", "zero", "mean", "delete"};
    for (size_t m = 0; m < REFERENCE_MEASURES; m++) {
        for (size_t o = 0; o < 7; o++)
            compare_occlusion(r, reference_measures[m], removals[o]);
        compare_words(r, reference_measures[m]);
    }
}

static void test_golden__gradients(void **state) { (void)state; reference_each(all_gradients, 3); }
static void test_golden__gradient_x_input(void **state) { (void)state; reference_each(all_gxi, 2); }
static void test_golden__integrated_gradients(void **state) { (void)state; reference_each(compare_all_ig, 10); }
static void test_golden__occlusion(void **state) { (void)state; reference_each(all_occlusion, 8); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden__gradients),
        cmocka_unit_test(test_golden__gradient_x_input),
        cmocka_unit_test(test_golden__integrated_gradients),
        cmocka_unit_test(test_golden__occlusion),
    };
    int failed = cmocka_run_group_tests_name("golden", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
