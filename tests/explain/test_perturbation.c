/*
 * Occlusion with windows and draws on games of numbers and against reference numbers; perturb-mask and perturb-random; every random
 * removal gives the same bits for any batch size and number of threads.
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

#include "explain/estimators.h"
#include "explain/made.h"
#include "explain/reference.h"
#include "explain/result.h"
#include "explain/sampling.h"
#include "explain/toy_game.h"

enum { PLAYERS = 7, ALL = (1 << PLAYERS) - 1 };

/* ---- occlusion of tables ---- */

static void occlude(toy_game *t, occlusion_options *o, double *values, double *errors)
{
    tkr_error error = {0};
    double full[4];
    for (size_t k = 0; k < t->g.targets; k++)
        full[k] = toy_value(t, ALL, k);
    if (occlusion(&t->g, o, full, values, errors, &error))
        fail_msg("%s", error.message);
}

/* Mean over the windows that hold the player, by the definition. */
static double by_definition(const toy_game *t, const occlusion_options *o, size_t player, size_t which)
{
    double sum = 0;
    size_t count = 0, last = 0;
    for (size_t begin = 0; last < PLAYERS; begin += o->stride) {
        uint64_t window = 0;
        for (size_t i = begin; i < begin + o->window && i < PLAYERS; i++)
            window |= UINT64_C(1) << i;
        last = begin + o->window;
        if (!(window >> player & 1))
            continue;
        sum += o->keeps_only ? toy_value(t, window, which) - toy_value(t, 0, which)
                             : toy_value(t, ALL, which) - toy_value(t, ALL & ~window, which);
        count++;
    }
    return sum / (double)count;
}

static void test_perturbation__windows_are_those_of_the_definition(void **state)
{
    (void)state;
    toy_game *t = toy_random(PLAYERS, 2, 5);
    static const size_t shapes[][2] = {{1, 1}, {2, 1}, {3, 2}, {3, 3}, {6, 4}, {7, 7}, {50, 1}};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
        for (int only = 0; only < 2; only++) {
            occlusion_options o = {.keeps_only = only, .window = shapes[k][0], .stride = shapes[k][1], .draws = 20};
            double got[2 * PLAYERS], errors[2 * PLAYERS], want[2 * PLAYERS];
            occlude(t, &o, got, errors);
            for (size_t i = 0; i < 2 * PLAYERS; i++) {
                want[i] = by_definition(t, &o, i % PLAYERS, i / PLAYERS);
                assert_true(errors[i] == 0);
            }
            assert_int_equal(o.done, 1);
            assert_close_tensor("windows", TENSOR(got, 2 * PLAYERS), TENSOR(want, 2 * PLAYERS), TOLERANCE_golden_table);
        }
    toy_free(t);
}

static double additive(const void *user, const uint64_t *set, size_t which)
{
    const double *weights = user;
    double sum = (double)which;
    for (size_t i = 0; i < PLAYERS; i++)
        sum += set_has(set, i) ? weights[i] : 0;
    return sum;
}

/* INV-P1 and P2: contributions come out as they are, that of a player without one as exactly 0. */
static void test_perturbation__additive_games_give_their_weights(void **state)
{
    (void)state;
    double weights[PLAYERS] = {0.5, -2, 0, 1.25, 8, 0, -0.75}, got[PLAYERS], errors[PLAYERS];
    toy_game *t = toy_formula_game(PLAYERS, 1, additive, weights);
    for (int only = 0; only < 2; only++) {
        occlusion_options o = {.keeps_only = only, .window = 1, .stride = 1, .draws = 1};
        occlude(t, &o, got, errors);
        for (size_t i = 0; i < PLAYERS; i++)
            assert_true(fabs(got[i] - weights[i]) < 1e-12 && (weights[i] != 0 || got[i] == 0));
    }
    toy_free(t);
}

/* The mean of the draws, and what their spread says of it: over many seeds the error is the deviation. */
static void test_perturbation__errors_are_the_deviation_over_seeds(void **state)
{
    (void)state;
    enum { SEEDS = 400 };
    toy_game *t = toy_random(PLAYERS, 1, 5);
    occlusion_options o = {.window = 1, .stride = 1, .draws = 20};
    double truth[PLAYERS], got[PLAYERS], errors[PLAYERS], squares[PLAYERS] = {0}, claimed[PLAYERS] = {0}, shift[PLAYERS] = {0};
    occlude(t, &o, truth, errors);
    toy_make_random(t, 0.7);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        t->g.seed = seed + 1;
        occlude(t, &o, got, errors);
        assert_int_equal(o.done, 20);
        for (size_t i = 0; i < PLAYERS; i++) {
            shift[i] += (got[i] - truth[i]) / SEEDS;
            squares[i] += (got[i] - truth[i]) * (got[i] - truth[i]) / SEEDS;
            claimed[i] += errors[i] * errors[i] / SEEDS;
        }
    }
    for (size_t i = 0; i < PLAYERS; i++) {
        double deviation = sqrt(squares[i]);
        assert_true(fabs(shift[i]) < 4 * deviation / sqrt((double)SEEDS));
        assert_true(fabs(claimed[i] / squares[i] - 1) < 0.3); /* four deviations of a variance from 400 */
    }
    toy_free(t);
}

/* ---- against the reference ---- */

static size_t player_token(const reference *r, size_t player)
{
    return (size_t)json_integer_value(json_array_get(json_object_get(r->perturbation->json, "players"), player));
}

/* An array of a result at the tokens of the reference's players. */
static void compare_players(const reference *r, const tkr_result *got, const char *array, const char *name, const double *want, size_t count)
{
    const tkr_array *a = tkr_result_array(got, array);
    double here[TOKENS_MOST];
    if (!a)
        fail_msg("%s: no %s", name, array);
    for (size_t i = 0; i < count; i++)
        here[i] = (double)tkr_array_f32(a)[got->tokens[player_token(r, i)].feature];
    assert_close_tensor(name, TENSOR(here, count), TENSOR(want, count), TOLERANCE_golden_score);
}

static void compare_random(reference *r, const char *kind, bool by_default, const int32_t *all, size_t draws)
{
    char name[NAME_ROOM], spec[NAME_ROOM];
    tensor influence, error, size;
    snprintf(name, sizeof name, "random.influence.%s", kind);
    if (!golden_find(r->perturbation, name, &influence))
        return;
    snprintf(name, sizeof name, "random.se.%s", kind);
    error = golden_array(r->perturbation, name);
    snprintf(name, sizeof name, "random.abs_influence.%s", kind);
    size = golden_array(r->perturbation, name);
    stored_draws stored = {.ids = all};
    r->session->stored = &stored;
    tkr_question q = reference_question(r, kind);
    q.measure = by_default ? NULL : q.measure;
    snprintf(spec, sizeof spec, "perturb-random:draws=%zu,perturb-random:draws=%zu,absolute=yes", draws, draws);
    tkr_result *got = reference_explain(r, &q, spec, name);
    compare_players(r, got, "perturb-random.scores", "influence", influence.f64, influence.shape[0]);
    compare_players(r, got, "perturb-random.se", "se", error.f64, error.shape[0]);
    compare_players(r, got, "perturb-random-2.scores", "abs_influence", size.f64, size.shape[0]);
    tkr_result_free(got);
    q.removal = "random"; /* occlusion under the same removal says the same */
    snprintf(spec, sizeof spec, "occlusion:draws=%zu", draws);
    got = reference_explain(r, &q, spec, name);
    if (!by_default) {
        compare_players(r, got, "occlusion.scores", "influence", influence.f64, influence.shape[0]);
        compare_players(r, got, "occlusion.se", "se", error.f64, error.shape[0]);
    }
    tkr_result_free(got);
    r->session->stored = NULL;
    r->compared++;
}

static void all_random(reference *r)
{
    tensor ids;
    if (!golden_find(r->perturbation, "random.ids", &ids))
        return;
    size_t rows = r->count + r->output_count, draws = ids.shape[0];
    int32_t *all = calloc(draws * rows, sizeof *all);
    assert_non_null(all);
    for (size_t k = 0; k < draws; k++)
        for (size_t i = 0; i < ids.shape[1]; i++)
            all[k * rows + player_token(r, i)] = (int32_t)ids.f64[k * ids.shape[1] + i];
    compare_random(r, "logit", false, all, draws);
    compare_random(r, "prob", false, all, draws);
    compare_random(r, "prob", true, all, draws);
    free(all);
}

static void all_windows(reference *r)
{
    static const int shapes[][2] = {{2, 1}, {3, 2}};
    for (size_t k = 0; k < 2; k++) {
        char name[NAME_ROOM], spec[NAME_ROOM];
        tensor want;
        snprintf(name, sizeof name, "windows.%d.%d.tokens", shapes[k][0], shapes[k][1]);
        if (!golden_find(r->perturbation, name, &want))
            continue;
        tkr_question q = reference_question(r, "logit");
        q.removal = json_string_value(json_object_get(r->perturbation->json, "default_op"));
        snprintf(spec, sizeof spec, "occlusion:window=%d,stride=%d", shapes[k][0], shapes[k][1]);
        tkr_result *got = reference_explain(r, &q, spec, name);
        compare_players(r, got, "occlusion.scores", name, want.f64, want.shape[0]);
        tkr_result_free(got);
        r->compared++;
    }
}

static void expect_compared(size_t compared)
{
    if (compared == 0 && !getenv("TOKRAY_ORACLE"))
        skip();
    assert_true(compared > 0);
}
static void test_perturbation__reference_random(void **state) { (void)state; expect_compared(reference_each(all_random, 0)); }
static void test_perturbation__reference_windows(void **state) { (void)state; expect_compared(reference_each(all_windows, 0)); }

/* ---- on models ---- */

static tkr_result *explain_made(made *m, size_t words, const char *features, const char *removed_by, const char *measured_by, const char *methods)
{
    char *text = made_text(m, words, 3);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.features = features;
    q.removal = removed_by;
    q.measure = measured_by;
    tkr_result *r = made_explain(m, &q, methods);
    free(text);
    return r;
}

static uint64_t evaluations_of(const tkr_result *r, size_t run)
{
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, run, &facts));
    return facts.evaluations;
}

/* INV-P3 and "one evaluation each" for removals that are not random, however many draws are asked for. */
static void test_perturbation__one_window_of_all_is_everything(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 3);
    made m = made_open(&recipe, NULL);
    tkr_result *r = explain_made(&m, 5, "tokens", "mask", NULL, "occlusion:window=2048,occlusion:keep=only,window=2048,exact-shapley,occlusion:draws=50");
    size_t n;
    const float *out = made_scores(r, "occlusion.scores", &n), *only = made_scores(r, "occlusion-2.scores", NULL);
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, 2, &facts));
    double want[64], got[2][64];
    for (size_t i = 0; i < n; i++) {
        want[i] = facts.full - facts.base;
        got[0][i] = (double)out[i];
        got[1][i] = (double)only[i];
    }
    assert_close_tensor("taken out", TENSOR(got[0], n), TENSOR(want, n), TOLERANCE_linearity);
    assert_close_tensor("kept alone", TENSOR(got[1], n), TENSOR(want, n), TOLERANCE_linearity);
    assert_null(tkr_result_array(r, "occlusion.se"));
    assert_int_equal(evaluations_of(r, 0), 1);
    tkr_result_free(r);
    r = explain_made(&m, 5, "tokens", "mask", NULL, "occlusion:draws=50");
    assert_int_equal(evaluations_of(r, 0), n);
    assert_null(tkr_result_array(r, "occlusion.se"));
    tkr_result_free(r);
    r = explain_made(&m, 5, "tokens", "random", NULL, "occlusion:draws=50");
    assert_int_equal(evaluations_of(r, 0), 50 * n);
    assert_non_null(tkr_result_array(r, "occlusion.se"));
    tkr_result_free(r);
    made_close(&m);
}

static void expect_same_scores(const tkr_result *a, const char *name, const tkr_result *b, const char *other)
{
    size_t n;
    const float *x = made_scores(a, name, &n), *y = made_scores(b, other, NULL);
    for (size_t i = 0; i < n; i++)
        if (!(x[i] == y[i] || (isnan(x[i]) && isnan(y[i]))))
            fail_msg("%s, %zu: %g; %s: %g", name, i, (double)x[i], other, (double)y[i]);
}

/* perturb-mask is occlusion under mask in the probability, whatever removal and measure the rest of the run has. */
static void test_perturbation__masks_are_the_methods_own(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 3);
    made m = made_open(&recipe, NULL);
    tkr_result *a = explain_made(&m, 6, "words", "attn", NULL, "perturb-mask,occlusion");
    tkr_result *b = explain_made(&m, 6, "words", "mask", "prob", "occlusion,perturb-mask");
    tkr_result *c = explain_made(&m, 6, "words", "mask", "logodds", "occlusion,perturb-mask");
    expect_same_scores(a, "perturb-mask.scores", b, "occlusion.scores");
    expect_same_scores(b, "perturb-mask.scores", b, "occlusion.scores");
    expect_same_scores(c, "perturb-mask.scores", c, "occlusion.scores");
    assert_null(tkr_result_array(a, "perturb-mask.se"));
    size_t n;
    const float *mask = made_scores(a, "perturb-mask.scores", &n), *other = made_scores(a, "occlusion.scores", NULL);
    assert_memory_not_equal(mask, other, n * sizeof *mask);
    assert_int_equal(evaluations_of(a, 0), n);
    assert_int_equal(evaluations_of(b, 1), 0); /* occlusion has asked for all of them */
    tkr_result_free(a);
    tkr_result_free(b);
    tkr_result_free(c);
    made_close(&m);
}

/* A decoder's first token and the read row have a score although removal attn could not take them away; without a mask token the
 * removal is the question's, and a warning says so. */
static void test_perturbation__decoders_are_perturbed_too(void **state)
{
    (void)state;
    tkr_error error = {0};
    made m = {.model = tkr_model_open("tiny-gpt2-stories", NULL, &error)};
    m.session = m.model ? tkr_session_new(m.model, NULL, &error) : NULL;
    if (!m.session)
        fail_msg("%s", error.message);
    tkr_question q = tkr_question_defaults();
    q.text = "Once upon a time there was a";
    q.features = "tokens";
    tkr_result *r = made_explain(&m, &q, "perturb-random,perturb-mask,occlusion");
    size_t n;
    const float *random = made_scores(r, "perturb-random.scores", &n), *mask = made_scores(r, "perturb-mask.scores", NULL),
                *out = made_scores(r, "occlusion.scores", NULL);
    for (size_t i = 0; i < n; i++) {
        assert_true(isfinite(random[i]));
        assert_true((bool)isnan(mask[i]) == (bool)isnan(out[i]));
    }
    assert_true(isnan(out[0]));
    tkr_warning w;
    bool is_told = false;
    for (size_t i = 0; tkr_result_warning(r, i, &w); i++)
        is_told = is_told || (strstr(w.message, "no mask token") && strstr(w.message, "attn"));
    assert_true(is_told);
    tkr_result_free(r);
    made_close(&m);
}

static void test_perturbation__budgets_and_wished_errors_end_it(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 3);
    tkr_session_options options = tkr_session_options_defaults();
    options.budget_evaluations = 50;
    made m = made_open(&recipe, &options);
    tkr_result *r = explain_made(&m, 6, "words", "random", NULL, "perturb-random,occlusion");
    size_t n;
    made_scores(r, "perturb-random.scores", &n);
    assert_true(evaluations_of(r, 0) <= 50 && evaluations_of(r, 0) > 50 - n);
    assert_true(evaluations_of(r, 1) <= 50);
    tkr_result_free(r);
    made_close(&m);
    options.budget_evaluations = 0;
    options.wanted_error = 0.9;
    m = made_open(&recipe, &options);
    r = explain_made(&m, 6, "words", "random", NULL, "perturb-random:draws=1000,occlusion:draws=1000");
    assert_true(evaluations_of(r, 0) < 1000 * n && evaluations_of(r, 0) % (SAMPLING_STRIDE * n) == 0);
    tkr_result_free(r);
    made_close(&m);
}

/* ---- the same bits whatever the batch and the threads ---- */

typedef struct setting {
    const char *family;
    made_head head;
    const char *removal, *methods;
} setting;

static tkr_result *run_setting(const setting *s, size_t rows, int threads, uint64_t seed)
{
    tkr_session_options options = tkr_session_options_defaults();
    options.batch_rows = rows;
    options.threads = threads;
    options.seed = seed;
    model_recipe recipe = made_recipe(s->family, s->head, 7);
    made m = made_open(&recipe, &options);
    tkr_result *r = explain_made(&m, 6, "words", s->removal, NULL, s->methods);
    made_close(&m);
    return r;
}

static void test_perturbation__bits_do_not_depend_on_batch_or_threads(void **state)
{
    (void)state;
    static const setting settings[] = {
        {"bert", MADE_CLASSIFIER, "random", "occlusion:window=2,perturb-random:draws=30,perturb-mask,permutation-shapley"},
        {"gpt2", MADE_NEXT_TOKEN, "random", "occlusion,occlusion:keep=only"},
        {"distilbert", MADE_MASKED_LM, "mlm", "occlusion,permutation-shapley"},
        {"gpt2", MADE_CLASSIFIER, "mlm", "occlusion,occlusion:keep=only"},
        {"t5", MADE_SEQUENCE_TO_SEQUENCE, "mlm", "occlusion:draws=5"},
    };
    for (size_t k = 0; k < sizeof settings / sizeof *settings; k++) {
        tkr_result *a = run_setting(&settings[k], 64, 1, 5), *b = run_setting(&settings[k], 1024, 2, 5), *c = run_setting(&settings[k], 64, 1, 6);
        bool is_other = false;
        for (size_t i = 0; tkr_result_array_at(a, i); i++) {
            const tkr_array *x = tkr_result_array_at(a, i), *y = tkr_result_array_at(b, i), *z = tkr_result_array_at(c, i);
            size_t bytes = tkr_array_size(x) * sizeof(float);
            if (memcmp(tkr_array_f32(x), tkr_array_f32(y), bytes) != 0)
                fail_msg("%s %s: %s differs", settings[k].family, settings[k].removal, tkr_array_name(x));
            is_other = is_other || memcmp(tkr_array_f32(x), tkr_array_f32(z), bytes) != 0;
        }
        assert_true(is_other);
        tkr_result_free(a);
        tkr_result_free(b);
        tkr_result_free(c);
    }
}

static void expect_refused(const char *methods, const char *part)
{
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 7);
    made m = made_open(&recipe, NULL);
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.text = "a b c";
    q.removal = "random";
    tkr_result *r = tkr_explain(m.session, &q, methods, &error);
    if (r || !strstr(error.message, part) || strcmp(error.field, "methods") != 0)
        fail_msg("%s: got %s [%s]", methods, error.message, error.field);
    made_close(&m);
}

static void test_perturbation__bad_parameters_are_refused(void **state)
{
    (void)state;
    expect_refused("occlusion:draws=1", "draws");
    expect_refused("perturb-random:draws=1", "draws");
    expect_refused("occlusion:window=2,stride=3", "stride 3 is above window 2");
    expect_refused("occlusion:keep=in", "keep");
    expect_refused("perturb-mask:absolute=maybe", "absolute");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perturbation__windows_are_those_of_the_definition),
        cmocka_unit_test(test_perturbation__additive_games_give_their_weights),
        cmocka_unit_test(test_perturbation__errors_are_the_deviation_over_seeds),
        cmocka_unit_test(test_perturbation__reference_random),
        cmocka_unit_test(test_perturbation__reference_windows),
        cmocka_unit_test(test_perturbation__one_window_of_all_is_everything),
        cmocka_unit_test(test_perturbation__masks_are_the_methods_own),
        cmocka_unit_test(test_perturbation__decoders_are_perturbed_too),
        cmocka_unit_test(test_perturbation__budgets_and_wished_errors_end_it),
        cmocka_unit_test(test_perturbation__bits_do_not_depend_on_batch_or_threads),
        cmocka_unit_test(test_perturbation__bad_parameters_are_refused),
    };
    int failed = cmocka_run_group_tests_name("perturbation", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
