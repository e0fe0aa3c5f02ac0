/*
 * Shapley, Banzhaf and pair values of models: what the methods' halves around the estimators (test_shapley.c) do.  That the scores
 * are those of the model's table is in test_perturbation_golden.c.
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

#include "base/memory.h"
#include "explain/made.h"
#include "explain/result.h"
#include "support/compare.h"

/* A question about `words` words of a tiny model, and its result. */
typedef struct asked {
    made m;
    char *text;
    tkr_question q;
} asked;

static asked ask(const char *family_name, made_head kind, size_t words, const tkr_session_options *options)
{
    model_recipe recipe = made_recipe(family_name, kind, 7);
    asked a = {.m = made_open(&recipe, options), .q = tkr_question_defaults()};
    a.text = made_text(&a.m, words, 3);
    a.q.text = a.text;
    a.q.max_new = kind == MADE_SEQUENCE_TO_SEQUENCE ? 3 : 0;
    return a;
}

static void done(asked *a)
{
    free(a->text);
    made_close(&a->m);
}

static uint64_t evaluations_of(const tkr_result *r, size_t index)
{
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, index, &facts));
    return facts.evaluations;
}

static void expect_parameter(const tkr_result *r, size_t index, const char *name, const char *value)
{
    for (size_t i = 0; i < r->runs[index].parameter_count; i++)
        if (strcmp(r->runs[index].parameters[i].name, name) == 0) {
            assert_string_equal(r->runs[index].parameters[i].value, value);
            return;
        }
    fail_msg("no parameter %s", name);
}

/* ---- the definition, asked one input at a time ---- */

enum { PLAYERS = 5, BEGIN = 2, END = 3, MASK = 4 };

/* f of the ids with the players outside `set` masked. */
static double value_of(made *m, const int32_t *ids, unsigned set)
{
    int32_t masked[PLAYERS + 2];
    tkr_question q = tkr_question_defaults();
    for (size_t i = 0; i < PLAYERS + 2; i++)
        masked[i] = i == 0 || i == PLAYERS + 1 || set >> (i - 1) & 1 ? ids[i] : MASK;
    q.ids = masked;
    q.id_count = PLAYERS + 2;
    tkr_error error = {0};
    tkr_result *r = tkr_capture(m->session, &q, "logits", &error);
    if (!r)
        fail_msg("%s", error.message);
    const tkr_array *logits = tkr_result_array(r, "logits");
    double value = (double)tkr_array_f32(logits)[tkr_array_size(logits) - 2]; /* class 1 of 3 */
    tkr_result_free(r);
    return value;
}

static double factorial(unsigned n) { return n < 2 ? 1 : n * factorial(n - 1); }

static void test_shapley_model__exact_is_the_definition(void **state)
{
    (void)state;
    static const int32_t ids[PLAYERS + 2] = {BEGIN, 31, 77, 150, 42, 99, END};
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 7);
    made m = made_open(&recipe, NULL);
    double value[1 << PLAYERS], want[PLAYERS + 1] = {0}, got[PLAYERS + 1];
    for (unsigned set = 0; set < 1 << PLAYERS; set++)
        value[set] = value_of(&m, ids, set);
    for (size_t i = 0; i < PLAYERS; i++)
        for (unsigned set = 0; set < 1 << PLAYERS; set++) {
            unsigned size = (unsigned)__builtin_popcount(set);
            if (!(set >> i & 1))
                want[i] += factorial(size) * factorial(PLAYERS - size - 1) / factorial(PLAYERS) * (value[set | 1u << i] - value[set]);
        }
    tkr_question q = tkr_question_defaults();
    q.ids = ids;
    q.id_count = PLAYERS + 2;
    q.features = "tokens";
    q.target = "class:1";
    q.removal = "mask";
    tkr_result *r = made_explain(&m, &q, "exact-shapley,banzhaf");
    for (size_t i = 0; i < PLAYERS; i++)
        got[i] = (double)made_scores(r, "exact-shapley.scores", NULL)[i];
    got[PLAYERS] = want[PLAYERS] = value[(1 << PLAYERS) - 1];
    assert_close_tensor("exact-shapley", TENSOR(got, PLAYERS + 1), TENSOR(want, PLAYERS + 1), TOLERANCE_golden_value);
    assert_true(r->check_count >= 1 && strcmp(r->checks[0].name, "completeness") == 0 && r->checks[0].ok);
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, 0, &facts));
    assert_true(fabs(facts.base - value[0]) <= 1e-5 * fabs(value[0]));
    assert_null(tkr_result_array(r, "exact-shapley.se")); /* nothing was estimated */
    assert_true(evaluations_of(r, 0) >= (1 << PLAYERS) - 1 && evaluations_of(r, 0) <= 1 << PLAYERS);
    assert_int_equal(evaluations_of(r, 1), 0); /* the same sets */
    assert_int_equal(r->warning_count, 0);
    tkr_result_free(r);
    made_close(&m);
}

/* ---- what is too much ---- */

static void expect_refused(const asked *a, const char *methods, const char *message, const char *help)
{
    tkr_error error = {0};
    assert_null(tkr_explain(a->m.session, &a->q, methods, &error));
    assert_int_equal(error.code, TKR_E_LIMIT_EVALS);
    assert_string_equal(error.message, message);
    assert_string_equal(error.help, help);
}

static void test_shapley_model__too_many_words_are_refused(void **state)
{
    (void)state;
    asked a = ask("bert", MADE_CLASSIFIER, 24, NULL);
    expect_refused(&a, "exact-shapley", "exact-shapley needs 16777216 evaluations for 24 words; at most 1048576 (20 words)", "-M shap");
    expect_refused(&a, "interactions:orders=100000",
                   "interactions needs 30000026 evaluations for 24 words and 100000 orders; at most 1048576 unless there is a budget",
                   "-f sentences, or --budget 30000026");
    done(&a);
    asked many = ask("bert", MADE_CLASSIFIER, 70, NULL);
    expect_refused(&many, "exact-shapley", "exact-shapley needs 2^70 evaluations for 70 words; at most 1048576 (20 words)", "-M shap");
    done(&many);
}

static void test_shapley_model__budgets_are_for_whole_games(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    options.budget_evaluations = 100;
    asked a = ask("bert", MADE_CLASSIFIER, 7, &options);
    expect_refused(&a, "exact-shapley", "exact-shapley needs 128 evaluations for 7 words; the budget is 100 (6 words)", "--budget 128, or -M shap");
    tkr_result *r = made_explain(&a.m, &a.q, "permutation-shapley,banzhaf,interactions");
    for (size_t i = 0; i < 3; i++)
        assert_true(evaluations_of(r, i) <= 100);
    expect_parameter(r, 0, "pairs", "8"); /* 2 + 8 * 12 */
    expect_parameter(r, 1, "exact", "0"); /* 128 sets are too many, so 100 are drawn */
    expect_parameter(r, 1, "samples", "100");
    expect_parameter(r, 2, "orders", "4"); /* 9 + 4 * 20 */
    assert_non_null(tkr_result_array(r, "banzhaf.se"));
    assert_non_null(tkr_result_array(r, "interactions.pairs_se"));
    tkr_result_free(r);
    a.q.removal = "random";
    expect_refused(&a, "exact-shapley", "exact-shapley needs 256 evaluations for 7 words; the budget is 100 (5 words)", "--budget 256, or -M shap");
    done(&a);
}

/* Words of a fixed context are no players. */
static void test_shapley_model__fixed_words_do_not_count(void **state)
{
    (void)state;
    asked a = ask("bert", MADE_CLASSIFIER, 26, NULL);
    char context[64];
    size_t end = 0;
    for (size_t words = 0; words < 22; end++)
        words += a.text[end] == ' ';
    snprintf(context, sizeof context, "spans:[[0,%zu]]", end);
    a.q.context = context;
    tkr_result *r = made_explain(&a.m, &a.q, "exact-shapley");
    assert_true(evaluations_of(r, 0) >= 15 && evaluations_of(r, 0) <= 16);
    tkr_result_free(r);
    done(&a);
}

/* Nor is what the removal cannot take: here the first token and the one that is read.  A budget for the sets of the others does. */
static void test_shapley_model__players_are_what_can_be_removed(void **state)
{
    (void)state;
    size_t features = 0, players = 0;
    tkr_session_options options = tkr_session_options_defaults();
    for (size_t turn = 0; turn < 2; turn++) {
        asked a = ask("gpt2", MADE_NEXT_TOKEN, 3, &options);
        a.q.removal = "attn";
        a.q.features = "tokens";
        tkr_result *r = made_explain(&a.m, &a.q, "exact-shapley");
        const float *scores = made_scores(r, "exact-shapley.scores", &features);
        players = 0;
        for (size_t f = 0; f < features; f++)
            players += isnan(scores[f]) ? 0 : 1;
        assert_true(players > 0 && players + 2 == features);
        options.budget_evaluations = UINT64_C(1) << players;
        tkr_result_free(r);
        done(&a);
    }
}

/* ---- what is recorded ---- */

static void test_shapley_model__parameters_are_what_was_done(void **state)
{
    (void)state;
    asked a = ask("bert", MADE_CLASSIFIER, 7, NULL);
    tkr_result *r = made_explain(&a.m, &a.q, "exact-shapley,permutation-shapley,banzhaf,interactions,interactions:exact=0");
    expect_parameter(r, 0, "draws", "1");
    expect_parameter(r, 1, "pairs", "43"); /* 512 / 12 */
    expect_parameter(r, 2, "exact", "12");
    expect_parameter(r, 3, "exact", "10");
    expect_parameter(r, 3, "orders", "0");
    expect_parameter(r, 4, "orders", "98"); /* 2048 / 21 */
    assert_non_null(tkr_result_array(r, "permutation-shapley.se"));
    assert_null(tkr_result_array(r, "interactions.pairs_se"));
    assert_null(tkr_result_array(r, "banzhaf.se"));
    for (size_t i = 0; i < r->check_count; i++)
        assert_true(r->checks[i].ok && r->checks[i].gap < 1e-3);
    tkr_result_free(r);
    done(&a);
}

static void test_shapley_model__stops_are_recorded(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    options.budget_seconds = 1e-9;
    asked a = ask("bert", MADE_CLASSIFIER, 7, &options);
    tkr_result *r = made_explain(&a.m, &a.q, "permutation-shapley,banzhaf:exact=0,interactions:exact=0");
    expect_parameter(r, 0, "pairs", "10");
    expect_parameter(r, 1, "samples", "10");
    expect_parameter(r, 2, "orders", "10");
    tkr_result_free(r);
    a.q.removal = "random";
    r = made_explain(&a.m, &a.q, "exact-shapley,banzhaf,interactions");
    for (size_t i = 0; i < 3; i++)
        expect_parameter(r, i, "draws", "2");
    tkr_result_free(r);
    done(&a);
}

static void test_shapley_model__random_removals_have_errors(void **state)
{
    (void)state;
    asked a = ask("bert", MADE_CLASSIFIER, 5, NULL);
    a.q.removal = "random";
    tkr_result *r = made_explain(&a.m, &a.q, "exact-shapley:draws=6,permutation-shapley:pairs=6,banzhaf:draws=6,interactions:draws=6");
    static const char *const arrays[] = {"exact-shapley.se", "permutation-shapley.se", "banzhaf.se", "interactions.se", "interactions.pairs_se"};
    for (size_t i = 0; i < 5; i++) {
        const tkr_array *errors = tkr_result_array(r, arrays[i]);
        assert_non_null(errors);
        for (size_t k = 0; k < tkr_array_size(errors); k++)
            assert_true(tkr_array_f32(errors)[k] > 0);
    }
    expect_parameter(r, 0, "draws", "6");
    assert_true(evaluations_of(r, 0) >= 6 * 31 && evaluations_of(r, 0) <= 6 * 31 + 1);
    assert_int_equal(evaluations_of(r, 2) + evaluations_of(r, 3), 0); /* the same draws */
    assert_int_equal(r->check_count, 3);
    for (size_t i = 0; i < r->check_count; i++)
        assert_true(r->checks[i].ok && r->checks[i].gap < 1e-3); /* against the mean of v(none) */
    tkr_result_free(r);
    done(&a);
}

/* ---- the plan counts all of the heap: peak <= plan <= 1.15 peak + 16 MiB ---- */

static void expect_plan(size_t words, const char *methods, const char *removal)
{
    asked a = ask("bert", MADE_CLASSIFIER, words, NULL);
    tkr_plan plan;
    tkr_error error = {0};
    a.q.removal = removal;
    if (tkr_plan_explain(a.m.session, &a.q, methods, &plan, &error))
        fail_msg("plan: %s", error.message);
    tkr_memory_reset_peak();
    tkr_result *r = made_explain(&a.m, &a.q, methods);
    uint64_t peak = tkr_memory_peak();
    if (peak > plan.bytes || (double)plan.bytes > 1.15 * (double)peak + 16.0 * (1 << 20))
        fail_msg("%s, %zu words: plan %.1f KiB, peak %.1f KiB", methods, words, (double)plan.bytes / 1024, (double)peak / 1024);
    assert_true(evaluations_of(r, 0) <= plan.evaluations);
    tkr_result_free(r);
    done(&a);
}

static void test_shapley_model__the_plan_holds(void **state)
{
    (void)state;
    static const char *const removals[] = {"mask", "random", "delete"};
    for (size_t i = 0; i < 3; i++) {
        expect_plan(11, "exact-shapley:draws=3", removals[i]);
        expect_plan(20, "permutation-shapley", removals[i]);
        expect_plan(100, "permutation-shapley", removals[i]);
        expect_plan(30, "banzhaf", removals[i]);
        expect_plan(9, "interactions:draws=2", removals[i]);
        expect_plan(14, "interactions", removals[i]);
        expect_plan(50, "interactions:orders=3", removals[i]);
    }
}

static void test_shapley_model__every_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const methods[] = {"exact-shapley:draws=2", "permutation-shapley:pairs=2", "banzhaf:exact=0,samples=10",
                                          "interactions:exact=0,orders=2"};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = 1;
    asked a = ask("bert", MADE_CLASSIFIER, 3, &options);
    tkr_result_free(made_explain(&a.m, &a.q, "exact-shapley")); /* weights are packed now */
    for (size_t i = 0; i < 4; i++) {
        uint64_t held = tkr_memory_now(), failures = 0;
        memory_fail_at(0, 0);
        tkr_result_free(made_explain(&a.m, &a.q, methods[i]));
        uint64_t allocations = memory_allocations();
        for (uint64_t nth = 1; nth <= allocations; nth++) {
            tkr_error error = {0};
            memory_fail_at(nth, 0);
            tkr_result *r = tkr_explain(a.m.session, &a.q, methods[i], &error);
            memory_fail_at(0, 0);
            if (!r && error.code != TKR_E_LIMIT_OOM && error.code != TKR_E_LIMIT_BUFFER)
                fail_msg("%s: allocation %d: %s", methods[i], (int)nth, error.message);
            failures += !r;
            tkr_result_free(r);
            if (tkr_memory_now() != held)
                fail_msg("%s: allocation %d: %d bytes are left", methods[i], (int)nth, (int)(tkr_memory_now() - held));
        }
        assert_true(failures > 30);
    }
    done(&a);
}

/* ---- the same bits ---- */

static tkr_result *run_way(size_t kind, int threads, size_t rows, double wanted)
{
    static const struct {
        const char *family_name;
        made_head head;
    } kinds[] = {{"bert", MADE_MASKED_LM}, {"gpt2", MADE_NEXT_TOKEN}, {"t5", MADE_SEQUENCE_TO_SEQUENCE}};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    options.batch_rows = rows;
    options.wanted_error = wanted;
    asked a = ask(kinds[kind].family_name, kinds[kind].head, 6, &options);
    a.q.features = "tokens";
    a.q.target = kinds[kind].head == MADE_SEQUENCE_TO_SEQUENCE ? "all" : NULL;
    tkr_result *r = made_explain(&a.m, &a.q, "permutation-shapley:pairs=25,banzhaf:exact=0,samples=75,interactions:exact=0,orders=25");
    done(&a);
    return r;
}

static void test_shapley_model__bits_do_not_depend_on_batch_or_threads(void **state)
{
    (void)state;
    for (size_t turn = 0; turn < 6; turn++) {
        double wanted = turn % 2 ? 0.3 : 0;
        tkr_result *one = run_way(turn / 2, 1, 1, wanted), *other = run_way(turn / 2, 3, turn % 2 ? 100 : 0, wanted);
        for (size_t i = 0; tkr_result_array_at(one, i); i++) {
            const tkr_array *x = tkr_result_array_at(one, i), *y = tkr_result_array_at(other, i);
            assert_string_equal(tkr_array_name(x), tkr_array_name(y));
            assert_memory_equal(tkr_array_f32(x), tkr_array_f32(y), tkr_array_size(x) * sizeof(float));
        }
        tkr_result_free(one);
        tkr_result_free(other);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapley_model__exact_is_the_definition),
        cmocka_unit_test(test_shapley_model__too_many_words_are_refused),
        cmocka_unit_test(test_shapley_model__budgets_are_for_whole_games),
        cmocka_unit_test(test_shapley_model__fixed_words_do_not_count),
        cmocka_unit_test(test_shapley_model__players_are_what_can_be_removed),
        cmocka_unit_test(test_shapley_model__stops_are_recorded),
        cmocka_unit_test(test_shapley_model__parameters_are_what_was_done),
        cmocka_unit_test(test_shapley_model__random_removals_have_errors),
        cmocka_unit_test(test_shapley_model__the_plan_holds),
        cmocka_unit_test(test_shapley_model__every_allocation_may_fail),
        cmocka_unit_test(test_shapley_model__bits_do_not_depend_on_batch_or_threads),
    };
    int failed = cmocka_run_group_tests_name("shapley_model", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
