/*
 * Estimates: running means and errors, and what methods that sample promise: the same bits for any batch size and number of
 * threads, early stops, budgets, and errors that are as large as the scatter over seeds (INV-E1 and S9's like).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "explain/estimate.h"
#include "explain/made.h"
#include "support/compare.h"

static void test_estimates__mean_and_error_are_those_of_the_draws(void **state)
{
    (void)state;
    enum { DRAWS = 50, WIDTH = 3 };
    estimate e;
    assert_true(estimate_init(&e, 2, WIDTH));
    assert_true(isnan(estimate_error(&e, 1, 0)));
    double values[DRAWS][WIDTH];
    for (size_t k = 0; k < DRAWS; k++) {
        for (size_t i = 0; i < WIDTH; i++) /* far from 0: sums of squares would cancel */
            values[k][i] = 1e8 + random_normal((random_key){.seed = 3, .item = (uint32_t)i}, k);
        estimate_add(&e, 1, values[k]);
        assert_true(k > 0 || isnan(estimate_error(&e, 1, 0)));
    }
    for (size_t i = 0; i < WIDTH; i++) {
        double mean = 0, spread = 0;
        for (size_t k = 0; k < DRAWS; k++)
            mean += (values[k][i] - 1e8) / DRAWS;
        for (size_t k = 0; k < DRAWS; k++)
            spread += pow(values[k][i] - 1e8 - mean, 2);
        assert_true(fabs(e.mean[WIDTH + i] - 1e8 - mean) < 1e-6);
        double error = sqrt(spread / (DRAWS - 1) / DRAWS);
        assert_true(fabs(estimate_error(&e, 1, i) - error) < 1e-6 * error);
    }
    assert_true(e.draws[0] == 0 && e.draws[1] == DRAWS);
    estimate_fini(&e);
}

static void test_estimates__share_is_of_the_range_with_zero(void **state)
{
    (void)state;
    const double values[] = {3, -1, 2}, small[] = {0.1, 0.4, 0}, unknown[] = {0.1, (double)NAN, 0}, none[3] = {0};
    assert_true(fabs(estimate_share(values, small, 3) - 0.1) < 1e-12);
    assert_true(fabs(estimate_share(values, small, 1) - 0.1 / 3) < 1e-12); /* one score: from 0 to it */
    assert_true(isinf(estimate_share(values, unknown, 3)));
    assert_true(estimate_share(none, none, 3) == 0);
}

/* ---- methods that sample ---- */

static const struct kind {
    const char *family;
    made_head head;
} kinds[] = {{"bert", MADE_MASKED_LM}, {"distilbert", MADE_CLASSIFIER}, {"gpt2", MADE_NEXT_TOKEN}, {"llama", MADE_CLASSIFIER},
             {"t5", MADE_SEQUENCE_TO_SEQUENCE}};
enum { KINDS = sizeof kinds / sizeof *kinds };

static const char sampled[] = "smoothgrad,smoothgrad:kind=squared,smoothgrad:kind=vargrad,smoothgrad:xinput=1,expected-gradients:draws=40";

typedef struct way {
    int threads;
    size_t rows;
} way;

static tkr_result *run_way(size_t kind, way w, tkr_session_options options, const char *methods)
{
    options.threads = w.threads;
    options.batch_rows = w.rows;
    model_recipe recipe = made_recipe(kinds[kind].family, kinds[kind].head, 7);
    made m = made_open(&recipe, &options);
    char *text = made_text(&m, 6, 3);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.max_new = kinds[kind].head == MADE_SEQUENCE_TO_SEQUENCE ? 3 : 0;
    tkr_result *r = made_explain(&m, &q, methods);
    free(text);
    made_close(&m);
    return r;
}

static void expect_same(const tkr_result *a, const tkr_result *b)
{
    for (size_t i = 0; tkr_result_array_at(a, i); i++) {
        const tkr_array *x = tkr_result_array_at(a, i), *y = tkr_result_array_at(b, i);
        assert_string_equal(tkr_array_name(x), tkr_array_name(y));
        assert_int_equal(tkr_array_size(x), tkr_array_size(y));
        assert_memory_equal(tkr_array_f32(x), tkr_array_f32(y), tkr_array_size(x) * sizeof(float));
    }
}

static void expect_same_ways(tkr_session_options options)
{
    static const way ways[] = {{2, 1}, {1, 40}, {3, 100}, {4, 0}};
    for (size_t k = 0; k < KINDS; k++) {
        tkr_result *first = run_way(k, (way){1, 1}, options, sampled);
        assert_non_null(tkr_result_array(first, "smoothgrad-3.se"));
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
            tkr_result *again = run_way(k, ways[w], options, sampled);
            expect_same(first, again);
            tkr_result_free(again);
        }
        tkr_result_free(first);
    }
}

static void test_estimates__bits_do_not_depend_on_batch_or_threads(void **state)
{
    (void)state;
    expect_same_ways(tkr_session_options_defaults());
}

static void test_estimates__nor_does_the_stop_at_a_wished_error(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    options.wanted_error = 0.12;
    expect_same_ways(options);
}

static void test_estimates__seeds_differ(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    tkr_result *a = run_way(0, (way){1, 0}, options, sampled);
    options.seed = 1;
    tkr_result *b = run_way(0, (way){1, 0}, options, sampled);
    for (size_t i = 0; tkr_result_array_at(a, i); i++) {
        const tkr_array *x = tkr_result_array_at(a, i), *y = tkr_result_array_at(b, i);
        assert_memory_not_equal(tkr_array_f32(x), tkr_array_f32(y), tkr_array_size(x) * sizeof(float));
    }
    tkr_result_free(a);
    tkr_result_free(b);
}

/* ---- stops ---- */

static uint64_t evaluations_of(tkr_session_options options, const char *method, double *share)
{
    tkr_result *r = run_way(1, (way){1, 0}, options, method);
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, 0, &facts));
    const tkr_array *scores = tkr_result_array_at(r, 0), *errors = tkr_result_array_at(r, 1);
    double s[64], e[64];
    for (size_t i = 0; i < tkr_array_size(scores); i++) {
        s[i] = (double)tkr_array_f32(scores)[i];
        e[i] = (double)tkr_array_f32(errors)[i];
    }
    *share = estimate_share(s, e, tkr_array_size(scores));
    tkr_result_free(r);
    return facts.evaluations;
}

static void test_estimates__draws_end_at_the_wished_error(void **state)
{
    (void)state;
    static const char *const methods[] = {"smoothgrad:draws=400,sigma=0.5", "smoothgrad:draws=400,kind=squared,sigma=0.5",
                                          "expected-gradients:draws=400"};
    for (size_t m = 0; m < 3; m++) {
        tkr_session_options options = tkr_session_options_defaults();
        double share, coarse;
        uint64_t all = evaluations_of(options, methods[m], &share);
        assert_true(all == (m == 2 ? 800 : 400));
        options.wanted_error = fmin(2.5 * share, 1);
        uint64_t some = evaluations_of(options, methods[m], &coarse);
        assert_true(some < all && some % 10 == 0);
        assert_true(coarse <= options.wanted_error * (1 + 1e-6) && coarse > share);
    }
}

static void test_estimates__budgets_are_kept(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    double share;
    options.budget_evaluations = 15;
    assert_int_equal(evaluations_of(options, "smoothgrad", &share), 15);
    assert_int_equal(evaluations_of(options, "expected-gradients", &share), 14);
    options.budget_evaluations = 1;
    assert_int_equal(evaluations_of(options, "expected-gradients", &share), 2); /* one draw is the least ... */
    assert_true(isinf(share));                                                  /* ... and has no error      */
    options.budget_evaluations = 0;
    options.budget_seconds = 1e-9;
    assert_int_equal(evaluations_of(options, "smoothgrad:draws=100000", &share), 10);
}

static void test_estimates__options_are_checked(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 1);
    made m = made_open(&recipe, NULL);
    const double bad[] = {-1, (double)NAN, (double)INFINITY, 1.5};
    for (size_t i = 0; i < 4; i++)
        for (size_t which = i == 3; which < 2; which++) { /* 1.5 s is a good time, but no share */
            tkr_session_options options = tkr_session_options_defaults();
            *(which ? &options.wanted_error : &options.budget_seconds) = bad[i];
            tkr_error error = {0};
            assert_null(tkr_session_new(m.model, &options, &error));
            assert_int_equal(error.code, TKR_E_USAGE_RANGE);
        }
    made_close(&m);
}

/* ---- are the errors right? ---- */

/* INV-E1: scores sum to f(x) - mean f(e') within four standard errors, for every family and seed. */
static void test_estimates__expected_gradients_sum_to_the_difference(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (uint64_t seed = 0; seed < 6; seed++) {
            tkr_session_options options = tkr_session_options_defaults();
            options.seed = seed;
            tkr_result *r = run_way(k, (way){1, 0}, options, "expected-gradients:draws=200");
            tkr_check check;
            assert_true(tkr_result_check(r, 0, &check));
            if (!check.ok)
                fail_msg("%s, seed %d: %g, not %g", kinds[k].family, (int)seed, check.actual, check.expected);
            tkr_result_free(r);
        }
}

/* The mean squared error that is claimed against the scatter over seeds. */
static void test_estimates__errors_are_the_scatter_over_seeds(void **state)
{
    (void)state;
    enum { SEEDS = 40 };
    static const struct {
        const char *method;
        double low, high; /* claimed over seen: strata make the true error of expected gradients smaller */
    } ways[] = {{"smoothgrad:draws=20,sigma=0.5", 0.6, 1.6},
                {"smoothgrad:draws=20,sigma=0.5,kind=squared", 0.6, 1.6},
                {"smoothgrad:draws=20,sigma=0.5,kind=vargrad", 0.6, 1.6},
                {"smoothgrad:draws=20,sigma=0.5,xinput=1", 0.6, 1.6},
                {"expected-gradients:draws=20", 0.7, 3}};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        double sum[64] = {0}, squares[64] = {0}, claimed = 0, seen = 0;
        size_t count = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
            tkr_session_options options = tkr_session_options_defaults();
            options.seed = seed;
            tkr_result *r = run_way(1, (way){1, 0}, options, ways[w].method);
            const tkr_array *scores = tkr_result_array_at(r, 0), *errors = tkr_result_array_at(r, 1);
            count = tkr_array_size(scores);
            for (size_t i = 0; i < count; i++) {
                double score = (double)tkr_array_f32(scores)[i];
                sum[i] += score;
                squares[i] += score * score;
                claimed += pow((double)tkr_array_f32(errors)[i], 2) / SEEDS;
            }
            tkr_result_free(r);
        }
        for (size_t i = 0; i < count; i++)
            seen += (squares[i] - sum[i] * sum[i] / SEEDS) / (SEEDS - 1);
        double ratio = sqrt(claimed / seen);
        if (!(ratio > ways[w].low && ratio < ways[w].high))
            fail_msg("%s: claimed error / seen error = %g", ways[w].method, ratio);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimates__mean_and_error_are_those_of_the_draws),
        cmocka_unit_test(test_estimates__share_is_of_the_range_with_zero),
        cmocka_unit_test(test_estimates__bits_do_not_depend_on_batch_or_threads),
        cmocka_unit_test(test_estimates__nor_does_the_stop_at_a_wished_error),
        cmocka_unit_test(test_estimates__seeds_differ),
        cmocka_unit_test(test_estimates__draws_end_at_the_wished_error),
        cmocka_unit_test(test_estimates__budgets_are_kept),
        cmocka_unit_test(test_estimates__options_are_checked),
        cmocka_unit_test(test_estimates__expected_gradients_sum_to_the_difference),
        cmocka_unit_test(test_estimates__errors_are_the_scatter_over_seeds),
    };
    return cmocka_run_group_tests_name("estimates", tests, NULL, NULL);
}
