/*
 * gradient, smoothgrad, expected-gradients, sequential-ig and several baselines of ig: against reference numbers (every array that
 * is there; stored draws are fed in, so that arithmetic is compared and not random numbers), and what must hold on the small
 * model of every family.
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
#include "explain/made.h"
#include "explain/reference.h"
#include "explain/result.h"
#include "explain/sampling.h"

/* ---- saliency ---- */

/* Scores of an encoder-decoder's outputs by position among the decoder inputs; the start is none. */
static void compare_outputs(const tkr_result *got, size_t count, const char *name, tensor want, tolerance allowed)
{
    double here[TOKENS_MOST], there[TOKENS_MOST];
    size_t compared = 0;
    for (size_t j = 1; j < want.shape[0]; j++) {
        size_t f = got->tokens[count + j].feature;
        assert_true(f < got->feature_count);
        here[compared] = (double)tkr_array_f32(tkr_result_array(got, "gradient.scores"))[f];
        there[compared++] = want.f64[j];
    }
    assert_close_tensor_or_empty(name, TENSOR(here, compared), TENSOR(there, compared), allowed);
}

static void compare_saliency(reference *r, const char *norm, const char *unit)
{
    char name[NAME_ROOM], spec[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "saliency.%s.%s", norm, unit);
    snprintf(spec, sizeof spec, "gradient:norm=%s", norm);
    if (!golden_find(r->gradients, name, &want))
        return;
    tkr_question q = reference_question(r, unit);
    tkr_result *got = reference_explain(r, &q, spec, name);
    reference_compare(r, got, "gradient.scores", name, want, ALLOWED(r, golden_gradient));
    assert_false(tkr_array_is_signed(tkr_result_array(got, "gradient.scores")));
    tkr_result_free(got);
    r->compared++;
    snprintf(name, sizeof name, "saliency.%s.%s.target", norm, unit);
    if (!golden_find(r->gradients, name, &want))
        return;
    q.prompt_only = false;
    got = reference_explain(r, &q, spec, name);
    compare_outputs(got, r->count, name, want, ALLOWED(r, golden_gradient));
    tkr_result_free(got);
}

/* The signed sum and the mean, from the whole gradient; where a norm follows they are 0, so errors are shares of the l1 norm. */
static void compare_sums(reference *r, const char *unit)
{
    char name[NAME_ROOM];
    tensor g;
    snprintf(name, sizeof name, "grad.%s", unit);
    if (!golden_find(r->gradients, name, &g))
        return;
    tkr_question q = reference_question(r, unit);
    tkr_result *got = reference_explain(r, &q, "gradient:norm=sum,gradient:norm=mean", name);
    const json_t *players = json_object_get(r->gradients->json, "token_players");
    double here[TOKENS_MOST], there[TOKENS_MOST], width = (double)g.shape[1];
    size_t count = json_array_size(players);
    here[count] = 0;
    for (size_t i = 0; i < count; i++) {
        const double *row = g.f64 + (size_t)json_integer_value(json_array_get(players, i)) * g.shape[1];
        double l1 = 0;
        here[i] = (double)made_scores(got, "gradient.scores", NULL)[i];
        assert_true(fabs(here[i] - width * (double)made_scores(got, "gradient-2.scores", NULL)[i]) <= 1e-6 * fabs(here[i]));
        there[i] = 0;
        for (size_t k = 0; k < g.shape[1]; k++) {
            there[i] += row[k];
            l1 += fabs(row[k]);
        }
        here[count] = fmax(here[count], l1);
    }
    there[count] = here[count];
    assert_close_tensor(name, TENSOR(here, count + 1), TENSOR(there, count + 1), ALLOWED(r, golden_gradient));
    assert_true(tkr_array_is_signed(tkr_result_array(got, "gradient.scores")));
    tkr_result_free(got);
    r->compared++;
}

static void all_saliency(reference *r)
{
    for (size_t m = 0; m < REFERENCE_MEASURES; m++) {
        compare_saliency(r, "l2", reference_measures[m]);
        compare_saliency(r, "l1", reference_measures[m]);
        compare_sums(r, reference_measures[m]);
    }
}
static void test_gradients__saliency(void **state) { (void)state; reference_each(all_saliency, 3); }

/* ---- stored draws ---- */

static size_t rows_of(const reference *r) { return r->count + r->output_count; }

/* draws x count x width numbers with the rows of decoder inputs behind each draw: zeros.  Freed with free(). */
static double *widen(const reference *r, tensor t, size_t width)
{
    double *wide = calloc(t.shape[0] * rows_of(r) * width, sizeof *wide);
    assert_non_null(wide);
    for (size_t k = 0; k < t.shape[0]; k++)
        memcpy(wide + k * rows_of(r) * width, t.f64 + k * r->count * width, r->count * width * sizeof *wide);
    return wide;
}

static void compare_smooth(reference *r, size_t draws, const char *array, const char *parameters, tolerance allowed)
{
    char spec[NAME_ROOM];
    snprintf(spec, sizeof spec, "smoothgrad:draws=%zu%s", draws, parameters);
    tkr_question q = reference_question(r, "logit");
    tkr_result *got = reference_explain(r, &q, spec, array);
    reference_compare(r, got, "smoothgrad.scores", array, golden_array(r->gradients, array), allowed);
    tkr_result_free(got);
    r->compared++;
}

/* The noise of the method itself: deviation and key are as promised. */
static void compare_noise(reference *r, double sigma, stored_draws *stored, size_t width)
{
    tkr_question q = reference_question(r, "logit");
    const json_t *players = json_object_get(r->gradients->json, "token_players");
    double *noise = calloc(2 * rows_of(r) * width, sizeof *noise);
    assert_non_null(noise);
    for (uint32_t k = 0; k < 2; k++)
        for (size_t p = 0; p < json_array_size(players); p++)
            for (size_t j = 0; j < width; j++) {
                size_t at = (size_t)json_integer_value(json_array_get(players, p)) * width + j;
                noise[k * rows_of(r) * width + at] =
                    sigma * random_normal((random_key){.purpose = random_purpose("smoothgrad"), .item = k}, at);
            }
    stored->noise = noise;
    tkr_result *want = reference_explain(r, &q, "smoothgrad:draws=2", "noise");
    r->session->stored = NULL;
    tkr_result *got = reference_explain(r, &q, "smoothgrad:draws=2", "noise");
    size_t count;
    const float *a = made_scores(got, "smoothgrad.scores", &count), *b = made_scores(want, "smoothgrad.scores", NULL);
    assert_close_tensor("noise", TENSOR(a, count), TENSOR(b, count), TOLERANCE_linearity);
    tkr_result_free(want);
    tkr_result_free(got);
    free(noise);
}

static void all_smooth(reference *r)
{
    tensor noise = golden_array(r->gradients, "smoothgrad.noise");
    size_t draws = noise.shape[0];
    stored_draws stored = {.noise = widen(r, noise, noise.shape[2])};
    double *kept = (double *)(uintptr_t)stored.noise;
    r->session->stored = &stored;
    compare_smooth(r, draws, "smoothgrad.mean_l2", "", ALLOWED(r, golden_gradient));
    compare_smooth(r, draws, "smoothgrad.xinput", ",xinput=1", ALLOWED(r, golden_gxi));
    compare_smooth(r, draws, "smoothgrad.squared_sum", ",kind=squared", TOLERANCE_golden_squared);
    compare_smooth(r, draws, "smoothgrad.vargrad_sum", ",kind=vargrad", TOLERANCE_golden_squared);
    compare_noise(r, json_number_value(json_object_get(json_object_get(r->gradients->json, "smoothgrad"), "sigma")), &stored, noise.shape[2]);
    free(kept);
}
static void test_gradients__smoothgrad(void **state) { (void)state; reference_each(all_smooth, 4); }

static void compare_expected(reference *r, size_t draws, const char *array, const char *name, tensor want)
{
    char spec[NAME_ROOM];
    snprintf(spec, sizeof spec, "expected-gradients:draws=%zu", draws);
    tkr_question q = reference_question(r, "logit");
    tkr_result *got = reference_explain(r, &q, spec, name);
    reference_compare(r, got, array, name, want, ALLOWED(r, golden_gxi));
    tkr_result_free(got);
    r->compared++;
}

static void all_expected(reference *r)
{
    tensor ids = golden_array(r->gradients, "expected.ids"), draws = golden_array(r->gradients, "expected.per_draw"),
           alpha = golden_array(r->gradients, "expected.alpha");
    size_t count = alpha.shape[0];
    int32_t *all = calloc(count * rows_of(r), sizeof *all);
    assert_non_null(all);
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < r->count; i++)
            all[k * rows_of(r) + i] = (int32_t)ids.f64[k * r->count + i];
    stored_draws stored = {.ids = all, .alpha = alpha.f64};
    r->session->stored = &stored;
    compare_expected(r, count, "expected-gradients.scores", "expected.mean", golden_array(r->gradients, "expected.mean"));
    compare_expected(r, count, "expected-gradients.se", "expected.se", golden_array(r->gradients, "expected.se"));
    for (size_t k = 0; k < count; k++) {
        stored = (stored_draws){.ids = all + k * rows_of(r), .alpha = alpha.f64 + k};
        compare_expected(r, 1, "expected-gradients.scores", "expected.per_draw", TENSOR(draws.f64 + k * r->count, r->count));
    }
    free(all);
}
static void test_gradients__expected_gradients(void **state) { (void)state; reference_each(all_expected, 6); }

/* ---- on every family ---- */

/* Largest magnitude, for tolerances relative to what was subtracted. */
static double largest(const float *a, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = isfinite(a[i]) ? fmax(most, fabs((double)a[i])) : most;
    return most;
}

/* Two arrays of one or two results, where the second has numbers; errors relative to the largest of both and of `scale`. */
static void same_scores(const char *label, const float *a, const float *b, size_t count, double factor, double scale, tolerance allowed)
{
    double here[TOKENS_MOST + 1], there[TOKENS_MOST + 1];
    size_t compared = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(b[i])) {
            here[compared] = (double)a[i] * factor;
            there[compared++] = (double)b[i];
        }
    here[compared] = there[compared] = fmax(scale, largest(b, count));
    assert_close_tensor(label, TENSOR(here, compared + 1), TENSOR(there, compared + 1), allowed);
}

/* Without noise every draw is the clean gradient. */
static void check_no_noise(reference *r)
{
    tkr_question q = reference_question(r, "logit");
    tkr_result *got = reference_explain(r, &q, "smoothgrad:draws=3,sigma=0,smoothgrad:draws=3,sigma=0,xinput=1,smoothgrad:draws=3,sigma=0,"
                                               "kind=squared,smoothgrad:draws=3,sigma=0,kind=vargrad,gradient,gxi", "no noise");
    size_t count;
    const float *l2 = made_scores(got, "gradient.scores", &count), *variance = made_scores(got, "smoothgrad-4.scores", NULL);
    double most = largest(l2, count);
    float squares[TOKENS_MOST], zeros[TOKENS_MOST] = {0};
    for (size_t i = 0; i < count; i++)
        squares[i] = l2[i] * l2[i];
    same_scores("mean", made_scores(got, "smoothgrad.scores", NULL), l2, count, 1, 0, TOLERANCE_linearity);
    same_scores("times input", made_scores(got, "smoothgrad-2.scores", NULL), made_scores(got, "gxi.scores", NULL), count, 1, 0,
                TOLERANCE_linearity);
    same_scores("squares", made_scores(got, "smoothgrad-3.scores", NULL), squares, count, 1, 0, TOLERANCE_linearity);
    same_scores("variance", variance, zeros, count, 1, most * most, TOLERANCE_linearity);
    same_scores("errors", made_scores(got, "smoothgrad-2.se", NULL), zeros, count, 1, most, TOLERANCE_linearity);
    tkr_result_free(got);
    r->compared++;
}
static void test_gradients__no_noise_is_the_gradient(void **state) { (void)state; reference_each(check_no_noise, 1); }

/* A single fixed baseline with points in the middle of the strata is Integrated Gradients by the midpoint rule. */
static void check_fixed_baseline(reference *r)
{
    static const struct {
        tkr_special role;
        const char *name;
    } roles[] = {{TKR_SPECIAL_MASK, "mask"}, {TKR_SPECIAL_UNK, "unk"}, {TKR_SPECIAL_PAD, "pad"}};
    enum { POINTS = 6 };
    int32_t id = -1, ids[POINTS * TOKENS_MOST];
    double alpha[POINTS];
    char spec[NAME_ROOM];
    for (size_t i = 0; i < 3 && id < 0; i++) {
        id = tokenizer_role_id(r->model->tokenizer, roles[i].role);
        snprintf(spec, sizeof spec, "expected-gradients:draws=%d,ig:rule=mid,steps=%d,baseline=%s", POINTS, POINTS, roles[i].name);
    }
    for (size_t k = 0; k < POINTS; k++)
        alpha[k] = ((double)k + 0.5) / POINTS;
    for (size_t i = 0; i < POINTS * TOKENS_MOST; i++)
        ids[i] = id;
    if (id < 0)
        return; /* a vocabulary without any of these */
    stored_draws stored = {.ids = ids, .alpha = alpha};
    r->session->stored = &stored;
    tkr_question q = reference_question(r, "logit");
    q.prompt_only = false;
    tkr_result *got = reference_explain(r, &q, spec, "fixed baseline");
    size_t count;
    const float *want = made_scores(got, "ig.scores", &count);
    same_scores("fixed baseline", made_scores(got, "expected-gradients.scores", NULL), want, count, 1, 0, TOLERANCE_linearity);
    tkr_run_facts eg, ig;
    assert_true(tkr_result_run(got, 0, &eg) && tkr_result_run(got, 1, &ig));
    assert_close_tensor("base", TENSOR(&eg.base, 1), TENSOR(&ig.base, 1), TOLERANCE_linearity);
    tkr_result_free(got);
    r->compared++;
}
static void test_gradients__a_fixed_baseline_is_ig(void **state) { (void)state; reference_each(check_fixed_baseline, 0); }

/* Several baselines: the mean of the scores and of f there; text may hold a plus. */
static void check_several(reference *r)
{
    tkr_question q = reference_question(r, "logit");
    bool has_zero = !r->model->family->is_scale_free;
    tkr_result *got = reference_explain(r, &q, has_zero ? "ig:steps=4,baseline=mean+zero+mean,ig:steps=4,baseline=mean,ig:steps=4,baseline=zero"
                                                        : "ig:steps=4,baseline=mean+auto+mean,ig:steps=4,baseline=mean,ig:steps=4", "baselines");
    size_t count;
    const float *all = made_scores(got, "ig.scores", &count), *a = made_scores(got, "ig-2.scores", NULL),
                *b = made_scores(got, "ig-3.scores", NULL);
    float want[TOKENS_MOST];
    for (size_t i = 0; i < count; i++)
        want[i] = (2 * a[i] + b[i]) / 3;
    same_scores("mean over baselines", all, want, count, 1, fmax(largest(a, count), largest(b, count)), TOLERANCE_linearity);
    tkr_run_facts facts[3];
    for (size_t i = 0; i < 3; i++)
        assert_true(tkr_result_run(got, i, &facts[i]));
    double base = (2 * facts[1].base + facts[2].base) / 3;
    assert_close_tensor("base", TENSOR(&facts[0].base, 1), TENSOR(&base, 1), TOLERANCE_linearity);
    assert_int_equal(facts[0].evaluations, 15);
    assert_string_equal(got->runs[1].parameters[2].value, "\"mean\"");
    assert_true(!has_zero || strcmp(got->runs[0].parameters[2].value, "\"mean+zero+mean\"") == 0);
    tkr_result_free(got);
    r->compared++;
}
static void test_gradients__several_baselines_are_averaged(void **state) { (void)state; reference_each(check_several, 1); }

/* a_i = f(x) - f(x without i), which occlusion knows exactly; kinks of ReLUs included, which fixed rules do not look for. */
static void check_sequential(reference *r)
{
    tkr_question q = reference_question(r, "logit");
    q.removal = r->has_decoder ? "pad" : "mean"; /* T5's paths from its mean embedding are very stiff */
    char spec[NAME_ROOM];
    snprintf(spec, sizeof spec, "sequential-ig:gap=0.00005,most=4096,baseline=%s,occlusion", q.removal);
    tkr_result *got = reference_explain(r, &q, spec, "one at a time");
    tkr_model_facts facts;
    tkr_model_describe(r->model, &facts);
    size_t count;
    const float *want = made_scores(got, "occlusion.scores", &count), *have = made_scores(got, "sequential-ig.scores", NULL);
    same_scores(facts.name, have, want, count, 1, fabs(got->targets[0].value), TOLERANCE_sequential);
    tkr_result_free(got);
    r->compared++;
}
static void test_gradients__sequential_ig_is_the_fall_of_each(void **state) { (void)state; reference_each(check_sequential, 1); }

/* INV-I5: finer Gauss-Legendre rules agree, on the smooth models in double. */
static void check_rules_agree(reference *r)
{
    tkr_model_facts facts;
    tkr_model_describe(r->model, &facts);
    if (strcmp(facts.family, "bert") != 0 || sizeof(real) != sizeof(double) || !strstr(r->gradients->model, "bert-mlm"))
        return;
    tkr_question q = reference_question(r, "logit");
    tkr_result *got = reference_explain(r, &q, "ig:steps=64,ig:steps=128", "finer rules");
    size_t count;
    const float *a = made_scores(got, "ig.scores", &count), *b = made_scores(got, "ig-2.scores", NULL);
    for (size_t i = 0; i < count; i++)
        assert_true(fabs((double)a[i] - (double)b[i]) <= 1e-6 * largest(b, count));
    tkr_result_free(got);
}
static void test_gradients__finer_rules_agree(void **state) { (void)state; reference_each(check_rules_agree, 0); }

/* INV-G3: a constant added to all logits changes none of these, so their derivatives sum to 0. */
static void check_shift(reference *r)
{
    static const char *const shiftless[] = {"diff", "prob", "logprob", "logodds", "margin", "meanfoil"};
    for (size_t m = 0; m < 6; m++) {
        tkr_question asked = reference_question(r, shiftless[m]);
        tkr_error error = {0};
        question q;
        arena *a = arena_new(SIZE_MAX);
        assert_non_null(a);
        if (!asked.target[0] || question_init(&q, r->session, &asked, (question_wish){0}, a, &error) ||
            question_run(&q, (question_wish){0}, &error)) {
            arena_free(a);
            continue; /* one output: no such measure */
        }
        if (q.link != LINK_SOFTMAX) { /* each output by itself: a shift does matter */
            question_fini(&q);
            arena_free(a);
            continue;
        }
        size_t count = q.clean->batch.targets * model_outputs(q.model);
        real *seed = calloc(count, sizeof *seed);
        assert_non_null(seed);
        target_seed(&q, &q.targets[0], q.clean, 0, seed);
        double sum = 0, size = 0;
        for (size_t i = 0; i < count; i++) {
            sum += (double)seed[i];
            size += fabs((double)seed[i]);
        }
        assert_true(fabs(sum) <= (sizeof(real) == sizeof(double) ? 1e-12 : 1e-5) * fmax(size, 1e-3));
        free(seed);
        question_fini(&q);
        arena_free(a);
        r->compared++;
    }
}
static void test_gradients__a_shift_of_the_logits_changes_nothing(void **state) { (void)state; reference_each(check_shift, 2); }

/* Norms have no sign, so contrasts of two inputs are refused; sums are linear and are not. */
static void test_gradients__norms_refuse_contrasts_of_two_inputs(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("t5", MADE_SEQUENCE_TO_SEQUENCE, 3);
    made m = made_open(&recipe, NULL);
    tkr_question q = tkr_question_defaults();
    char *text = made_text(&m, 4, 1), *a = made_text(&m, 2, 2), *b = made_text(&m, 2, 3), contrast[NAME_ROOM * 4];
    snprintf(contrast, sizeof contrast, "text:\"%s\"~text:\"%s\"", a, b);
    q.text = text;
    q.target = contrast;
    tkr_error error = {0};
    tkr_result *signed_one = tkr_explain(m.session, &q, "gradient:norm=sum", &error);
    if (signed_one) {
        assert_null(tkr_explain(m.session, &q, "gradient", &error));
        assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    }
    tkr_result_free(signed_one);
    free(text);
    free(a);
    free(b);
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients__saliency),
        cmocka_unit_test(test_gradients__smoothgrad),
        cmocka_unit_test(test_gradients__expected_gradients),
        cmocka_unit_test(test_gradients__no_noise_is_the_gradient),
        cmocka_unit_test(test_gradients__a_fixed_baseline_is_ig),
        cmocka_unit_test(test_gradients__several_baselines_are_averaged),
        cmocka_unit_test(test_gradients__sequential_ig_is_the_fall_of_each),
        cmocka_unit_test(test_gradients__finer_rules_agree),
        cmocka_unit_test(test_gradients__a_shift_of_the_logits_changes_nothing),
        cmocka_unit_test(test_gradients__norms_refuse_contrasts_of_two_inputs),
    };
    int failed = cmocka_run_group_tests_name("gradients", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
