/*
 * Counterfactual and sufficient sets: on planted games, against brute force over all sets, and through tkr_explain, where what is
 * found is checked by removing it and where batches and threads must not matter.
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
#include "explain/toy_game.h"
#include "support/compare.h"

enum { MOST = 64, TARGETS = 2 };

typedef struct found {
    double members[TARGETS * MOST], details[TARGETS * COUNTERFACTUAL_DETAILS];
} found;

/* Bits of the members of one target. */
static uint64_t set_of(const found *f, size_t which, size_t players)
{
    uint64_t set = 0;
    for (size_t i = 0; i < players; i++) {
        double m = f->members[which * players + i];
        assert_true(m == 0 || m == 1);
        set |= (uint64_t)m << i;
    }
    return set;
}

static double detail(const found *f, size_t which, size_t part) { return f->details[which * COUNTERFACTUAL_DETAILS + part]; }

/* ---- counterfactual ---- */

static found search(toy_game *g, size_t exact, size_t evaluations)
{
    found f;
    tkr_error error = {0};
    toy_reset(g);
    if (counterfactual(&g->g, &(counterfactual_options){exact, evaluations}, f.members, f.details, &error))
        fail_msg("%s", error.message);
    return f;
}

/* Target 0 changes without 2 and 5; target 1, whose answer is "no", without 6. */
static double planted(const void *user, const uint64_t *set, size_t which)
{
    (void)user;
    if (which == 1)
        return set_has(set, 6) ? -1 : 1;
    return 1 + (set_has(set, 2) || set_has(set, 5) ? 1 : -3);
}

static void test_sets__counterfactual_finds_what_was_planted_for_each_target(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(9, 2, planted, NULL);
    found f = search(g, 3, 5000);
    assert_int_equal(set_of(&f, 0, 9), 1 << 2 | 1 << 5);
    assert_int_equal(set_of(&f, 1, 9), 1 << 6);
    for (size_t t = 0; t < 2; t++) {
        assert_true(detail(&f, t, COUNTERFACTUAL_FOUND) == 1 && detail(&f, t, COUNTERFACTUAL_PROVEN) == 1);
        assert_true(detail(&f, t, COUNTERFACTUAL_SIZE) == (t ? 1 : 2));
        assert_true(detail(&f, t, COUNTERFACTUAL_ANSWER) == (t ? 1 : 0));
        assert_true(detail(&f, t, COUNTERFACTUAL_VALUE) == (t ? 1 : -2));
    }
    toy_free(g);
}

static uint64_t without(uint64_t set, size_t players) { return ~set & ((UINT64_C(1) << players) - 1); }
static bool flips(const toy_game *g, uint64_t set, size_t players)
{
    return (toy_value(g, without(set, players), 0) > 0) != (toy_value(g, without(0, players), 0) > 0);
}

/* Size of the smallest set that flips; SIZE_MAX: none does. */
static size_t smallest(const toy_game *g, size_t players)
{
    size_t best = SIZE_MAX;
    for (uint64_t set = 1; set < UINT64_C(1) << players; set++) {
        size_t size = (size_t)__builtin_popcountll(set);
        if (size < best && flips(g, set, players))
            best = size;
    }
    return best;
}

/* Normal numbers around a positive one: the larger that is, the fewer sets flip. */
static toy_game *sturdy(size_t players, double bias, uint64_t seed)
{
    toy_game *g = toy_random(players, 1, seed);
    for (uint64_t set = 0; set < UINT64_C(1) << players; set++)
        g->table[set] += bias;
    g->table[(UINT64_C(1) << players) - 1] = bias;
    return g;
}

static void test_sets__counterfactual_is_smallest_where_it_says_so(void **state)
{
    (void)state;
    size_t proven = 0, found_any = 0, none = 0;
    for (size_t players = 2; players <= 10; players++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            toy_game *g = sturdy(players, 0.5 + 0.15 * (double)seed, seed);
            found f = search(g, seed % 5, 5000);
            size_t best = smallest(g, players);
            uint64_t set = set_of(&f, 0, players);
            if (detail(&f, 0, COUNTERFACTUAL_FOUND) > 0) {
                assert_true(flips(g, set, players));
                assert_true(detail(&f, 0, COUNTERFACTUAL_SIZE) == (double)__builtin_popcountll(set));
                assert_true(detail(&f, 0, COUNTERFACTUAL_VALUE) == toy_value(g, without(set, players), 0));
                assert_true((size_t)__builtin_popcountll(set) >= best);
                if (detail(&f, 0, COUNTERFACTUAL_PROVEN) > 0)
                    assert_int_equal(__builtin_popcountll(set), best);
            } else {
                assert_true(set == 0 && isnan(detail(&f, 0, COUNTERFACTUAL_SIZE)));
                assert_true(best == SIZE_MAX || best > seed % 5); /* all smaller ones were tried */
            }
            proven += detail(&f, 0, COUNTERFACTUAL_PROVEN) > 0;
            found_any += detail(&f, 0, COUNTERFACTUAL_FOUND) > 0;
            none += best == SIZE_MAX;
            toy_free(g);
        }
    assert_true(proven > 50 && found_any > 60 && none > 30);
}

static double constant(const void *user, const uint64_t *set, size_t which)
{
    (void)set, (void)which;
    return *(const double *)user;
}

static void test_sets__counterfactual_says_when_there_is_none(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(6, 1, constant, &(double){1});
    found f = search(g, 6, 5000);
    assert_true(set_of(&f, 0, 6) == 0 && detail(&f, 0, COUNTERFACTUAL_FOUND) == 0);
    assert_true(detail(&f, 0, COUNTERFACTUAL_PROVEN) == 1); /* all 63 sets were tried */
    assert_true(isnan(detail(&f, 0, COUNTERFACTUAL_ANSWER)) && isnan(detail(&f, 0, COUNTERFACTUAL_VALUE)));
    f = search(g, 3, 5000);
    assert_true(detail(&f, 0, COUNTERFACTUAL_PROVEN) == 0);
    toy_free(g);
}

/* 0 alone lowers most, so the greedy way begins with it; what counts is 1 and 2. */
static double detour(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)which;
    double r0 = !set_has(set, 0), r1 = !set_has(set, 1), r2 = !set_has(set, 2);
    return 1 - 0.5 * r0 - 0.3 * r1 - 0.19 * r2 - 2 * r1 * r2;
}

static void test_sets__counterfactual_puts_back_what_is_not_needed(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(5, 1, detour, NULL);
    found f = search(g, 0, 5000);
    assert_int_equal(set_of(&f, 0, 5), 6);
    assert_true(detail(&f, 0, COUNTERFACTUAL_PROVEN) == 1); /* the first step tried all single ones */
    toy_free(g);
}

/* The answer changes when more than 1 is lost. */
static double weighed(const void *user, const uint64_t *set, size_t which)
{
    (void)which;
    const double *parts = user;
    double left = 1;
    for (size_t i = 0; i < 20; i++)
        left -= set_has(set, i) ? 0 : parts[i];
    return left;
}

static void test_sets__counterfactual_removes_what_counts_most_first(void **state)
{
    (void)state;
    static const double parts[20] = {0.1, 0.1, 0.1, 0.1, 0.7, 0.1, 0.5};
    toy_game *g = toy_formula_game(20, 1, weighed, parts);
    found f = search(g, 0, 5000);
    assert_int_equal(set_of(&f, 0, 20), 1 << 4 | 1 << 6);
    toy_free(g);
}

/* Any three; greedy finds them with 1 + 20 + 19 + 18 + 3 sets, and there are 190 pairs to rule out. */
static void test_sets__counterfactual_is_not_proven_when_the_budget_ends(void **state)
{
    (void)state;
    double parts[20];
    for (size_t i = 0; i < 20; i++)
        parts[i] = 0.4;
    toy_game *g = toy_formula_game(20, 1, weighed, parts);
    for (size_t pairs = 0; pairs <= 190; pairs += 95) {
        found f = search(g, 3, 61 + pairs);
        assert_true(detail(&f, 0, COUNTERFACTUAL_SIZE) == 3 && g->questions == 61 + pairs);
        assert_true(detail(&f, 0, COUNTERFACTUAL_PROVEN) == (pairs == 190));
    }
    toy_free(g);
}

/* Only {3, 7, 11} flips; nothing on the way to it shows. */
static double needle(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)which;
    return set[0] == (~(UINT64_C(1) << 3 | UINT64_C(1) << 7 | UINT64_C(1) << 11) & 0xFFFFF) ? -1 : 1;
}

static void test_sets__counterfactual_tries_all_sets_up_to_a_size_within_the_budget(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(20, 1, needle, NULL); /* 1 + 210 + 190 + 1140 sets */
    found f = search(g, 3, 5000);
    assert_int_equal(set_of(&f, 0, 20), 1 << 3 | 1 << 7 | 1 << 11);
    assert_true(detail(&f, 0, COUNTERFACTUAL_PROVEN) == 1);
    f = search(g, 2, 5000);
    assert_true(detail(&f, 0, COUNTERFACTUAL_FOUND) == 0);
    assert_int_equal(g->questions, 1 + 210 + 190);
    f = search(g, 3, 300); /* not even the pairs */
    assert_true(detail(&f, 0, COUNTERFACTUAL_FOUND) == 0 && detail(&f, 0, COUNTERFACTUAL_PROVEN) == 0);
    assert_int_equal(g->questions, 300);
    g->g.budget = 10; /* less than the first step */
    f = search(g, 3, 5000);
    assert_true(detail(&f, 0, COUNTERFACTUAL_FOUND) == 0 && g->questions <= 10);
    toy_free(g);
}

static void test_sets__nobody_to_remove(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(0, 1, constant, &(double){1});
    found f = search(g, 3, 100);
    assert_true(detail(&f, 0, COUNTERFACTUAL_FOUND) == 0);
    assert_int_equal(sufficient(&g->g, &(sufficient_options){0.95, 200, 1000}, f.members, f.details, NULL), TKR_OK);
    assert_true(detail(&f, 0, SUFFICIENT_FOUND) == 1 && detail(&f, 0, SUFFICIENT_SIZE) == 0);
    toy_free(g);
}

/* ---- sufficient ---- */

static found keep(toy_game *g, double share, size_t draws, size_t evaluations)
{
    found f;
    tkr_error error = {0};
    toy_reset(g);
    if (sufficient(&g->g, &(sufficient_options){share, draws, evaluations}, f.members, f.details, &error))
        fail_msg("%s", error.message);
    return f;
}

/* Kept: the keyword 3; without it the noise decides. */
static double keyword(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)which;
    return set_has(set, 3) ? 30 : 0;
}

/* Both 1 and 4, or the noise decides. */
static double both(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)which;
    return set_has(set, 1) && set_has(set, 4) ? 30 : 0;
}

static void test_sets__sufficient_is_the_keyword(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(10, 2, keyword, NULL);
    toy_make_random(g, 1);
    found f = keep(g, 0.95, 200, 20000);
    for (size_t t = 0; t < 2; t++) {
        assert_int_equal(set_of(&f, t, 10), 1 << 3);
        assert_true(detail(&f, t, SUFFICIENT_FOUND) == 1 && detail(&f, t, SUFFICIENT_SIZE) == 1);
        assert_true(detail(&f, t, SUFFICIENT_SHARE) == 1 && detail(&f, t, SUFFICIENT_HIGH) == 1);
        double low = detail(&f, t, SUFFICIENT_LOW), want = 0.9811546736227333;
        assert_close_tensor("low", TENSOR(&low, 1), TENSOR(&want, 1), TOLERANCE_owen_exact);
    }
    toy_free(g);
}

static void test_sets__sufficient_pair_is_found_and_nothing_else_kept(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(8, 1, both, NULL);
    toy_make_random(g, 1);
    found f = keep(g, 0.95, 200, 20000);
    assert_int_equal(set_of(&f, 0, 8), 1 << 1 | 1 << 4);
    toy_free(g);
}

static void test_sets__nothing_need_be_kept_where_noise_changes_nothing(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(8, 1, constant, &(double){100});
    toy_make_random(g, 1);
    found f = keep(g, 0.95, 200, 20000);
    assert_true(set_of(&f, 0, 8) == 0 && detail(&f, 0, SUFFICIENT_FOUND) == 1 && detail(&f, 0, SUFFICIENT_SIZE) == 0);
    assert_int_equal(g->questions, 1 + 20 + 200); /* the input, the draws that choose, those that prove */
    toy_free(g);
}

static void test_sets__sufficient_stays_within_the_budget_and_says_what_it_has(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(12, 1, both, NULL);
    toy_make_random(g, 1);
    for (size_t budget = 201; budget < 2500; budget += 91) {
        found f = keep(g, 0.95, 200, budget);
        assert_true(g->questions <= budget);
        bool is_found = detail(&f, 0, SUFFICIENT_FOUND) > 0;
        assert_true(is_found == (detail(&f, 0, SUFFICIENT_LOW) >= 0.95));
        assert_true(detail(&f, 0, SUFFICIENT_LOW) <= detail(&f, 0, SUFFICIENT_SHARE));
        assert_true(detail(&f, 0, SUFFICIENT_SHARE) <= detail(&f, 0, SUFFICIENT_HIGH));
        assert_true(detail(&f, 0, SUFFICIENT_SIZE) == (double)__builtin_popcountll(set_of(&f, 0, 12)));
        assert_true(budget > 500 || !is_found);
    }
    toy_free(g);
}

typedef struct losses {
    size_t lost, last_draw;
} losses;

/* Answers by the number of the draw: all but the first `lost` keep the answer 1. */
static tkr_status answer_by_draw(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, int32_t *answers,
                                 tkr_error *error)
{
    (void)error, (void)sets;
    for (size_t k = 0; k < count; k++) {
        losses *l = g->user;
        values[k] = 0;
        answers[k] = !draws || draws[k] >= l->lost;
        l->last_draw = draws && draws[k] > l->last_draw ? draws[k] : l->last_draw;
    }
    return TKR_OK;
}

/* The two ends e solve (share - e)^2 = z^2 e (1 - e) / draws, z = 1.959963984540054 (Wilson 1927). */
static void test_sets__interval_is_wilsons(void **state)
{
    (void)state;
    static const struct {
        size_t lost;
        double share, low, high;
    } wanted[] = {{10, 0.95, 0.9104218518612239, 0.972617354399236}, {3, 0.985, 0.9568342712073097, 0.9948857622067417}, {100, 0.5, 0.43136085960389187, 0.5686391403961082}};
    for (size_t i = 0; i < 3; i++) {
        losses lost = {.lost = wanted[i].lost};
        found f;
        game g = {.players = 2, .words = 1, .targets = 1, .is_random = true, .answer = answer_by_draw, .user = &lost};
        /* draws from 200 on choose, and keep: the empty set is taken to the proof, and nothing else is affordable */
        assert_int_equal(sufficient(&g, &(sufficient_options){0.95, 200, 1 + 20 + 200}, f.members, f.details, NULL), TKR_OK);
        assert_int_equal(lost.last_draw, 219);
        double got[] = {detail(&f, 0, SUFFICIENT_SHARE), detail(&f, 0, SUFFICIENT_LOW), detail(&f, 0, SUFFICIENT_HIGH)};
        double want[] = {wanted[i].share, wanted[i].low, wanted[i].high};
        assert_close_tensor("interval", TENSOR(got, 3), TENSOR(want, 3), TOLERANCE_owen_exact);
        assert_true((detail(&f, 0, SUFFICIENT_FOUND) > 0) == (wanted[i].low >= 0.95));
    }
}

/* ---- through tkr_explain ---- */

static const char review[] = "The plot is thin, but the actors are wonderful and I enjoyed it.";

static tkr_result *explain_by(const char *model, int threads, size_t batch_rows, const char *text, const char *by, const char *methods)
{
    char path[1024];
    tkr_error error = {0};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    options.batch_rows = batch_rows;
    snprintf(path, sizeof path, "%s/%s", getenv("TOKRAY_MODELS"), model);
    tkr_model *m = tkr_model_open(path, NULL, &error);
    tkr_session *s = m ? tkr_session_new(m, &options, &error) : NULL;
    if (!s)
        fail_msg("%s: %s", model, error.message);
    tkr_question asked = tkr_question_defaults();
    asked.text = text;
    asked.removal = by;
    tkr_result *r = tkr_explain(s, &asked, methods, &error);
    if (!r)
        fail_msg("%s: %s", methods, error.message);
    tkr_session_free(s);
    tkr_model_close(m);
    return r;
}

static tkr_result *explain_with(const char *model, int threads, size_t batch_rows, const char *text, const char *methods)
{
    return explain_by(model, threads, batch_rows, text, NULL, methods);
}

static const float *numbers(const tkr_result *r, const char *name)
{
    const tkr_array *a = tkr_result_array(r, name);
    assert_non_null(a);
    return tkr_array_f32(a);
}

static void test_sets__bits_do_not_depend_on_batches_or_threads(void **state)
{
    (void)state;
    const char *methods = "counterfactual:evaluations=300,sufficient:evaluations=1500,draws=80";
    tkr_result *a = explain_with("tiny-distilbert-sentiment", 1, 0, review, methods);
    tkr_result *b = explain_with("tiny-distilbert-sentiment", 2, 60, review, methods);
    static const char *const names[] = {"counterfactual.scores", "counterfactual.details", "sufficient.scores", "sufficient.details"};
    for (size_t i = 0; i < 4; i++) {
        const tkr_array *x = tkr_result_array(a, names[i]);
        size_t bytes = tkr_array_extent(x, 0) * tkr_array_extent(x, 1) * sizeof(float);
        assert_memory_equal(numbers(a, names[i]), numbers(b, names[i]), bytes);
    }
    tkr_result_free(a);
    tkr_result_free(b);
}

static void test_sets__sufficient_replaces_at_random_whatever_the_removal(void **state)
{
    (void)state;
    const char *methods = "sufficient:evaluations=1500,draws=80";
    tkr_result *a = explain_by("tiny-distilbert-sentiment", 1, 0, review, "mask", methods);
    tkr_result *b = explain_by("tiny-distilbert-sentiment", 1, 0, review, "random", methods);
    assert_memory_equal(numbers(a, "sufficient.details"), numbers(b, "sufficient.details"), SUFFICIENT_DETAILS * sizeof(float));
    tkr_run_facts facts;
    assert_true(tkr_result_run(a, 0, &facts) && facts.evaluations > 80);
    tkr_result_free(a);
    tkr_result_free(b);
}

/* What is found is removed again by masking those words in the text. */
static void test_sets__removing_the_set_changes_the_answer(void **state)
{
    (void)state;
    tkr_result *r = explain_with("tiny-distilbert-sentiment", 1, 0, review, "counterfactual");
    const float *members = numbers(r, "counterfactual.scores"), *d = numbers(r, "counterfactual.details");
    assert_true(d[COUNTERFACTUAL_FOUND] == 1 && d[COUNTERFACTUAL_SIZE] >= 1);
    char text[512] = "";
    size_t count = tkr_array_extent(tkr_result_array(r, "counterfactual.scores"), 1), size = 0;
    const tkr_axis *axis = tkr_array_axis(tkr_result_array(r, "counterfactual.scores"), 1);
    for (size_t i = 0; i < count; i++) {
        strcat(text, members[i] > 0 ? "[MASK]" : tkr_axis_label(axis, i));
        strcat(text, " ");
        size += members[i] > 0;
    }
    assert_true(d[COUNTERFACTUAL_SIZE] == (float)size);
    tkr_target_facts before, after;
    tkr_result *changed = explain_with("tiny-distilbert-sentiment", 1, 0, text, "occlusion");
    assert_true(tkr_result_target(r, 0, &before) && tkr_result_target(changed, 0, &after));
    assert_true(before.index != after.index);
    assert_true(d[COUNTERFACTUAL_ANSWER] == (float)after.index);
    tkr_result_free(changed);
    tkr_result_free(r);
}

static bool has_warning(const tkr_result *r, const char *code)
{
    tkr_warning w;
    for (size_t i = 0; tkr_result_warning(r, i, &w); i++)
        if (strcmp(w.code, code) == 0)
            return true;
    return false;
}

static void test_sets__nothing_found_is_a_warning(void **state)
{
    (void)state;
    tkr_result *r = explain_with("tiny-distilbert-sentiment", 1, 0, review, "counterfactual:evaluations=3,sufficient:draws=80,evaluations=81");
    assert_true(has_warning(r, "counterfactual.none") && has_warning(r, "sufficient.none"));
    const float *d = numbers(r, "sufficient.details");
    assert_true(d[SUFFICIENT_FOUND] == 0 && d[SUFFICIENT_SIZE] == 0 && d[SUFFICIENT_SHARE] < 1);
    tkr_result_free(r);
}

static void expect_refusal(made *m, const char *methods, tkr_status status, const char *part)
{
    tkr_question asked = tkr_question_defaults();
    tkr_error error = {0};
    asked.text = "a b";
    assert_null(tkr_explain(m->session, &asked, methods, &error));
    if (error.code != status || !strstr(error.message, part))
        fail_msg("%s: %s", tkr_status_name(error.code), error.message);
}

static void test_sets__what_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    made regression = made_open_case("bert-reg");
    expect_refusal(&regression, "counterfactual", TKR_E_USAGE_CAPABILITY, "a single score has none");
    expect_refusal(&regression, "sufficient", TKR_E_USAGE_CAPABILITY, "a single score has none");
    made_close(&regression);
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 1);
    made classifier = made_open(&recipe, NULL);
    expect_refusal(&classifier, "sufficient:draws=50", TKR_E_USAGE_RANGE, "50 draws cannot show a share of 0.95");
    made_close(&classifier);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sets__counterfactual_finds_what_was_planted_for_each_target),
        cmocka_unit_test(test_sets__counterfactual_is_smallest_where_it_says_so),
        cmocka_unit_test(test_sets__counterfactual_says_when_there_is_none),
        cmocka_unit_test(test_sets__counterfactual_puts_back_what_is_not_needed),
        cmocka_unit_test(test_sets__counterfactual_removes_what_counts_most_first),
        cmocka_unit_test(test_sets__counterfactual_is_not_proven_when_the_budget_ends),
        cmocka_unit_test(test_sets__counterfactual_tries_all_sets_up_to_a_size_within_the_budget),
        cmocka_unit_test(test_sets__nobody_to_remove),
        cmocka_unit_test(test_sets__sufficient_is_the_keyword),
        cmocka_unit_test(test_sets__sufficient_pair_is_found_and_nothing_else_kept),
        cmocka_unit_test(test_sets__nothing_need_be_kept_where_noise_changes_nothing),
        cmocka_unit_test(test_sets__sufficient_stays_within_the_budget_and_says_what_it_has),
        cmocka_unit_test(test_sets__interval_is_wilsons),
        cmocka_unit_test(test_sets__bits_do_not_depend_on_batches_or_threads),
        cmocka_unit_test(test_sets__sufficient_replaces_at_random_whatever_the_removal),
        cmocka_unit_test(test_sets__removing_the_set_changes_the_answer),
        cmocka_unit_test(test_sets__nothing_found_is_a_warning),
        cmocka_unit_test(test_sets__what_cannot_be_asked_is_refused),
    };
    return cmocka_run_group_tests_name("sets", tests, NULL, NULL);
}
