/*
 * Regressions on random sets: linear SHAP with the limits it has instead of Shapley values (INV-S7), LIME (INV-LM1, LM2), both
 * against normal equations, their errors over many seeds, and that neither chunks nor other targets change a bit.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "base/random.h"
#include "explain/estimators.h"
#include "explain/least_squares.h"
#include "explain/toy_game.h"

enum { P = 7, ALL = 1 << P };
static const double width = 0.35355339059327376;

static void assert_near(const double *got, const double *want, size_t count, double allowed)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= allowed))
            fail_msg("number %zu: %.17g, expected %.17g", i, got[i], want[i]);
}

static void all_sets(uint64_t sets[ALL])
{
    for (uint64_t s = 0; s < ALL; s++)
        sets[s] = s;
}

static void linear(toy_game *t, linear_options o, double *values, double *errors, double *intercept)
{
    double empty[4], spare[P * 4];
    tkr_error error = {0};
    if (linear_shap(&t->g, &o, values, errors ? errors : spare, intercept, empty, &error))
        fail_msg("%s", error.message);
    for (size_t k = 0; k < t->g.targets; k++)
        assert_true(t->g.is_random || empty[k] == toy_value(t, 0, k));
}

static void play_lime(toy_game *t, lime_options *o, double *values, double *errors, double *intercept, double *r2)
{
    double spare[P * 4];
    tkr_error error = {0};
    if (lime(&t->g, o, values, errors ? errors : spare, intercept, r2, &error))
        fail_msg("%s", error.message);
}

/* B_i = E[y | i kept] - E[y | i removed] and E[y], y = v(S) - v(N), each player kept with probability q. */
static double semivalues(const toy_game *t, double q, double b[P])
{
    double mean = 0;
    memset(b, 0, P * sizeof *b);
    for (uint64_t s = 0; s < ALL; s++) {
        double y = toy_value(t, s, 0) - toy_value(t, ALL - 1, 0), kept = (double)set_size(&s, P);
        double share = pow(q, kept) * pow(1 - q, P - kept);
        mean += share * y;
        for (size_t i = 0; i < P; i++)
            b[i] += s >> i & 1 ? share / q * y : -share / (1 - q) * y;
    }
    return mean;
}

/* ---- linear SHAP ---- */

static void test_linear__limits_on_all_sets_are_shifted_banzhaf_values(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 5);
    uint64_t sets[ALL];
    double b[P], kept[P], masked[P], got[P], intercept, sum = 0, mean = semivalues(t, 0.5, b);
    all_sets(sets);
    for (size_t i = 0; i < P; i++)
        sum += b[i];
    for (size_t i = 0; i < P; i++) {
        kept[i] = b[i] + 2 * (mean - sum / 2) / (P + 1);
        masked[i] = b[i] - 2 * (mean + sum / 2) / (P + 1);
    }
    linear_options o = {.samples = ALL, .sets = sets, .coding = LINEAR_INTERCEPT};
    linear(t, o, got, NULL, &intercept);
    assert_near(got, b, P, 1e-11);
    assert_near(&intercept, &(double){mean - sum / 2}, 1, 1e-11);
    o.coding = LINEAR_KEPT;
    linear(t, o, got, NULL, &intercept);
    assert_near(got, kept, P, 1e-11);
    assert_true(intercept == 0);
    o.coding = LINEAR_MASKED;
    linear(t, o, got, NULL, &intercept);
    assert_near(got, masked, P, 1e-11);
    toy_free(t);
}

/* Other shares: sets as often as probability q = 2/3 wants them, 2^|S| of each. */
static void test_linear__limits_hold_for_other_shares(void **state)
{
    (void)state;
    enum { SMALL = 3 };
    const double q = 2.0 / 3, table[] = {0, 3, 2, 6, 1, 5, 4, 10};
    toy_game *t = toy_of(SMALL, table);
    uint64_t sets[27];
    size_t count = 0;
    double b[SMALL] = {0}, kept[SMALL], masked[SMALL], got[SMALL], intercept, sum = 0, mean = 0;
    for (uint64_t s = 0; s < 8; s++)
        for (size_t k = 0; k < (size_t)1 << set_size(&s, SMALL); k++) {
            sets[count++] = s;
            mean += (table[s] - 10) / 27;
            for (size_t i = 0; i < SMALL; i++)
                b[i] += (s >> i & 1 ? 1 / q : -1 / (1 - q)) * (table[s] - 10) / 27;
        }
    assert_int_equal(count, 27);
    for (size_t i = 0; i < SMALL; i++)
        sum += b[i];
    for (size_t i = 0; i < SMALL; i++) {
        kept[i] = b[i] + (mean - q * sum) / (1 + (SMALL - 1) * q);
        masked[i] = b[i] - (mean + (1 - q) * sum) / (1 + (SMALL - 1) * (1 - q));
    }
    linear_options o = {.samples = 27, .sets = sets};
    linear(t, o, got, NULL, &intercept);
    assert_near(got, kept, SMALL, 1e-12);
    o.coding = LINEAR_MASKED;
    linear(t, o, got, NULL, &intercept);
    assert_near(got, masked, SMALL, 1e-12);
    toy_free(t);
}

static void test_linear__known_games(void **state)
{
    (void)state;
    const double table[] = {0, 3, 2, 6, 1, 5, 4, 10}, kept[] = {-1.25, -2.25, -3.25}, masked[] = {4.875, 3.875, 2.875};
    const uint64_t sets[] = {0, 1, 2, 3, 4, 5, 6, 7};
    toy_game *t = toy_of(3, table);
    double got[6], intercept;
    linear_options o = {.samples = 8, .sets = sets};
    linear(t, o, got, NULL, &intercept);
    assert_near(got, kept, 3, 1e-12);
    o.coding = LINEAR_MASKED;
    linear(t, o, got, NULL, &intercept);
    assert_near(got, masked, 3, 1e-12);
    toy_free(t);
    const double a[] = {3, -1, 2, 0, 0.5, 0}; /* additive: kept loses 2 * 4.5 / 7 each, masked is exact */
    double sums[64] = {0}, shifted[6];
    uint64_t every[64];
    for (uint64_t s = 0; s < 64; s++) {
        every[s] = s;
        for (size_t i = 0; i < 6; i++)
            sums[s] += s >> i & 1 ? a[i] : 0;
    }
    for (size_t i = 0; i < 6; i++)
        shifted[i] = a[i] - 2 * 4.5 / 7;
    t = toy_of(6, sums);
    o = (linear_options){.samples = 64, .sets = every};
    linear(t, o, got, NULL, &intercept);
    assert_near(got, shifted, 6, 1e-12);
    o = (linear_options){.samples = 30, .coding = LINEAR_MASKED, .share = 0.3};
    linear(t, o, got, NULL, &intercept); /* of any sample */
    assert_near(got, a, 6, 1e-12);
    toy_free(t);
}

/* ---- over seeds ---- */

typedef void run_fn(toy_game *t, double *values, double *errors);

static void run_intercept(toy_game *t, double *values, double *errors)
{
    double intercept;
    linear(t, (linear_options){.samples = 200, .coding = LINEAR_INTERCEPT, .share = 0.4}, values, errors, &intercept);
}

static void run_kept(toy_game *t, double *values, double *errors)
{
    double intercept;
    linear(t, (linear_options){.samples = 200, .share = 0.4}, values, errors, &intercept);
}

static void run_lime(toy_game *t, double *values, double *errors)
{
    double intercept, r2;
    play_lime(t, &(lime_options){.samples = 300, .width = width, .alpha = 0}, values, errors, &intercept, &r2);
}

/* Means over seeds within four errors of the limit; 95 % intervals cover 90 to 98 %. */
static void check_seeds(const char *what, toy_game *t, run_fn *run, const double want[P])
{
    enum { SEEDS = 400 };
    double values[P], errors[P], sum[P] = {0}, squares[P] = {0};
    size_t inside = 0;
    for (size_t seed = 1; seed <= SEEDS; seed++) {
        t->g.seed = seed;
        run(t, values, errors);
        for (size_t i = 0; i < P; i++) {
            double off = values[i] - want[i];
            sum[i] += off / SEEDS;
            squares[i] += off * off / SEEDS;
            inside += fabs(off) <= 1.96 * errors[i];
        }
    }
    double coverage = (double)inside / (SEEDS * P);
    print_message("# %s: coverage %.3f\n", what, coverage);
    assert_true(coverage >= 0.90 && coverage <= 0.98);
    for (size_t i = 0; i < P; i++)
        assert_true(fabs(sum[i]) <= 4 * sqrt(squares[i] / SEEDS));
}

/* The limit of LIME without penalty: the weighted regression with every set as likely as it is drawn. */
static void lime_limit(const toy_game *t, double want[P])
{
    uint64_t sets[ALL];
    double weights[ALL], values[ALL], got[P + 1], errors[P + 1];
    all_sets(sets);
    for (uint64_t s = 0; s < ALL; s++) {
        double kept = (double)set_size(&s, P), sets_of_size = 1;
        for (double k = 1; k <= kept; k++)
            sets_of_size *= (P - kept + k) / k;
        values[s] = toy_value(t, s, 0);
        weights[s] = exp(-8 * pow(1 - sqrt(kept / P), 2)) * (kept < P ? 299.0 / P / sets_of_size : 1); /* one sample is full */
    }
    set_regression r = {.players = P, .rows = ALL, .targets = 1, .sets = sets, .values = values, .weights = weights, .has_intercept = true};
    assert_int_equal(set_regression_fit(&r, got, errors, NULL), TKR_OK);
    memcpy(want, got, P * sizeof *want);
}

static void test_linear__errors_cover_the_limits(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 8);
    double b[P], kept[P], sum = 0, mean = semivalues(t, 0.4, b), want[P];
    for (size_t i = 0; i < P; i++)
        sum += b[i];
    for (size_t i = 0; i < P; i++)
        kept[i] = b[i] + (mean - 0.4 * sum) / (1 + (P - 1) * 0.4);
    check_seeds("linear-shap with intercept", t, run_intercept, b);
    check_seeds("linear-shap without", t, run_kept, kept);
    lime_limit(t, want);
    check_seeds("lime", t, run_lime, want);
    toy_make_random(t, 0.3);
    check_seeds("linear-shap, random removal", t, run_intercept, b);
    check_seeds("lime, random removal", t, run_lime, want);
    toy_free(t);
}

/* ---- LIME ---- */

static double weight_at(double share) { return exp(-pow(1 - sqrt(share), 2) / (width * width)); }

static void test_linear__lime_weights_are_known(void **state)
{
    (void)state;
    assert_true(fabs(weight_at(0.5) - 0.503439617) < 1e-9 && fabs(weight_at(0) - 3.3546e-4) < 1e-8);
}

/* All masks: the normal equations of weighted least squares with a penalty hold. */
static void test_linear__lime_on_all_masks_is_weighted_least_squares(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 2, 6);
    uint64_t sets[ALL];
    double values[2 * P], intercept[2], r2[2];
    all_sets(sets);
    play_lime(t, &(lime_options){.samples = ALL, .width = width, .alpha = 1, .sets = sets}, values, NULL, intercept, r2);
    for (size_t k = 0; k < 2; k++) {
        double left[P + 1] = {0}, total = 0, mean = 0, squares = 0, spread = 0;
        for (uint64_t s = 0; s < ALL; s++) {
            total += weight_at((double)set_size(&s, P) / P);
            mean += weight_at((double)set_size(&s, P) / P) * toy_value(t, s, k);
        }
        for (uint64_t s = 0; s < ALL; s++) {
            double w = weight_at((double)set_size(&s, P) / P), e = toy_value(t, s, k) - intercept[k];
            for (size_t i = 0; i < P; i++)
                e -= s >> i & 1 ? values[k * P + i] : 0;
            for (size_t i = 0; i < P; i++)
                left[i] += s >> i & 1 ? w * e : 0;
            left[P] += w * e;
            squares += w * e * e;
            spread += w * pow(toy_value(t, s, k) - mean / total, 2);
        }
        assert_near(left, values + k * P, P, 1e-10); /* the penalty's gradient */
        assert_near(left + P, &(double){0}, 1, 1e-10);
        assert_true(fabs(r2[k] - (1 - squares / spread)) < 1e-12);
    }
    toy_free(t);
}

static double additive(const void *user, const uint64_t *set, size_t t)
{
    const double *constant = user;
    double sum = *constant;
    for (size_t i = 0; i < P; i++)
        sum += set_has(set, i) ? (double)i - 2.5 + (double)t : 0;
    return sum;
}

static void test_linear__lime_recovers_additive_games_and_ignores_constants(void **state)
{
    (void)state;
    double constant = 0, first[P], second[P], intercept[2], r2, want[P];
    for (size_t i = 0; i < P; i++)
        want[i] = (double)i - 2.5;
    toy_game *t = toy_formula_game(P, 1, additive, &constant);
    lime_options o = {.samples = 60, .width = width, .alpha = 1e-12};
    play_lime(t, &o, first, NULL, intercept, &r2);
    assert_near(first, want, P, 1e-9); /* INV-LM1 */
    assert_true(fabs(r2 - 1) < 1e-9 && o.done == 60);
    o.alpha = 1;
    play_lime(t, &o, first, NULL, intercept, &r2);
    constant = 40;
    play_lime(t, &o, second, NULL, intercept + 1, &r2);
    assert_near(first, second, P, 1e-11); /* INV-LM2 */
    assert_true(fabs(intercept[1] - intercept[0] - 40) < 1e-11);
    assert_true(fabs(first[6]) < fabs(want[6])); /* the penalty shrinks */
    toy_free(t);
}

/* What lime asks for: the full set first, then as many of each size. */
static size_t asked_sizes[P + 1], asked_count;

static tkr_status count_sizes(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error)
{
    (void)draws, (void)error;
    for (size_t k = 0; k < count; k++) {
        size_t size = set_size(sets + k, g->players);
        assert_true(asked_count > 0 || size == P);
        asked_sizes[size]++;
        asked_count++;
        values[k] = (double)size;
    }
    return TKR_OK;
}

static void test_linear__lime_removes_every_number_as_often(void **state)
{
    (void)state;
    enum { SAMPLES = 7001 };
    const game g = {.players = P, .words = 1, .targets = 1, .seed = 2, .ask = count_sizes};
    double values[P], errors[P], intercept, r2;
    lime_options o = {.samples = SAMPLES, .width = width, .alpha = 1};
    assert_int_equal(lime(&g, &o, values, errors, &intercept, &r2, NULL), TKR_OK);
    assert_true(asked_count == SAMPLES && asked_sizes[P] == 1);
    for (size_t s = 0; s < P; s++) /* 1000 each, deviation 29 */
        assert_true(fabs((double)asked_sizes[s] - 1000) < 5 * 29);
}

/* ---- both ---- */

static void test_linear__chunks_and_other_targets_change_nothing(void **state)
{
    (void)state;
    toy_game *all = toy_random(P, 3, 5);
    double whole[4][3 * P], parts[4][3 * P], intercept[3], r2[3];
    linear_options o = {.samples = 9000, .share = 0.5};
    lime_options l = {.samples = 9000, .width = width, .alpha = 1};
    linear(all, o, whole[0], whole[1], intercept);
    play_lime(all, &l, whole[2], whole[3], intercept, r2);
    assert_true(all->most_at_once == 4096);
    toy_reset(all);
    all->g.seconds = 1e9;
    all->g.wanted_error = 1e-9;
    linear(all, o, parts[0], parts[1], intercept);
    play_lime(all, &l, parts[2], parts[3], intercept, r2);
    assert_true(all->most_at_once == 10 && l.done == 9000);
    assert_memory_equal(whole, parts, sizeof whole);
    for (size_t k = 0; k < 3; k++) {
        toy_game *one = toy_new(P, 1);
        for (uint64_t s = 0; s < ALL; s++)
            one->table[s] = toy_value(all, s, k);
        linear(one, o, parts[0], parts[1], intercept);
        play_lime(one, &l, parts[2], parts[3], intercept, r2);
        for (size_t n = 0; n < 4; n++)
            assert_memory_equal(parts[n], whole[n] + k * P, P * sizeof(double));
        toy_free(one);
    }
    toy_free(all);
}

static void test_linear__limits_are_kept(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 5);
    double values[P], errors[P], intercept, empty, r2;
    t->g.budget = 60;
    linear_options o = {.samples = 500, .share = 0.5};
    lime_options l = {.samples = 500, .width = width, .alpha = 1};
    assert_int_equal(linear_shap(&t->g, &o, values, errors, &intercept, &empty, NULL), TKR_OK);
    assert_true(o.done == 58 && t->questions == 60);
    play_lime(t, &l, values, errors, &intercept, &r2);
    assert_true(l.done == 60);
    toy_make_random(t, 0.1);
    toy_reset(t);
    assert_int_equal(linear_shap(&t->g, &o, values, errors, &intercept, &empty, NULL), TKR_OK);
    assert_true(t->questions == 60);
    t->g.is_random = false;
    t->g.budget = 0;
    t->g.wanted_error = 0.1;
    o.samples = l.samples = 100000;
    assert_int_equal(linear_shap(&t->g, &o, values, errors, &intercept, &empty, NULL), TKR_OK);
    assert_true(o.done < 100000 && o.done % 10 == 0 && game_is_enough(&t->g, values, errors));
    play_lime(t, &l, values, errors, &intercept, &r2);
    assert_true(l.done < 100000 && l.done % 10 == 0 && game_is_enough(&t->g, values, errors));
    t->g.wanted_error = 0;
    t->g.seconds = 1e-9;
    play_lime(t, &l, values, errors, &intercept, &r2);
    assert_true(l.done == 10 && isfinite(values[0]) && isfinite(errors[0]));
    toy_free(t);
}

/* Fewer sets than players, no variation, one player: finite values, and no error where none is known. */
static void test_linear__odd_games_are_survived(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 5);
    double values[P], errors[P], intercept, r2;
    linear(t, (linear_options){.samples = 4, .share = 0.5}, values, errors, &intercept);
    for (size_t i = 0; i < P; i++)
        assert_true(isfinite(values[i]) && isnan(errors[i]));
    toy_free(t);
    const double flat[] = {2, 2};
    t = toy_of(1, flat);
    play_lime(t, &(lime_options){.samples = 20, .width = width, .alpha = 1}, values, errors, &intercept, &r2);
    assert_true(fabs(values[0]) < 1e-12 && fabs(intercept - 2) < 1e-12 && isnan(r2));
    linear(t, (linear_options){.samples = 20, .share = 0.5}, values, errors, &intercept);
    assert_true(fabs(values[0]) < 1e-12);
    toy_free(t);
    tkr_error error = {0};
    t = toy_formula_game(0, 1, additive, &(double){1});
    linear_options o = {.samples = 20, .share = 0.5};
    double empty;
    assert_int_equal(linear_shap(&t->g, &o, values, errors, &intercept, &empty, &error), TKR_OK);
    play_lime(t, &(lime_options){.samples = 20, .width = width, .alpha = 1}, values, errors, &intercept, &r2);
    toy_free(t);
}

static double first_two(const void *user, const uint64_t *set, size_t t)
{
    (void)user, (void)t;
    return (set_has(set, 0) ? 2 : 0) - (set_has(set, 399) ? 3 : 0);
}

static void test_linear__hundreds_of_players(void **state)
{
    (void)state;
    enum { MANY = 400 };
    toy_game *t = toy_formula_game(MANY, 1, first_two, NULL);
    double *values = calloc(2 * MANY, sizeof *values), intercept, empty, r2;
    linear_options o = {.samples = 1000, .share = 0.5, .coding = LINEAR_INTERCEPT};
    assert_int_equal(linear_shap(&t->g, &o, values, values + MANY, &intercept, &empty, NULL), TKR_OK);
    assert_true(fabs(values[0] - 2) < 1e-9 && fabs(values[399] + 3) < 1e-9 && fabs(values[200]) < 1e-9);
    lime_options l = {.samples = 1000, .width = width, .alpha = 1e-10};
    assert_int_equal(lime(&t->g, &l, values, values + MANY, &intercept, &r2, NULL), TKR_OK);
    assert_true(fabs(values[0] - 2) < 1e-6 && fabs(values[399] + 3) < 1e-6);
    free(values);
    toy_free(t);
}

/* With an intercept it is one fit, whoever a column stands for. */
static void test_linear__columns_of_kept_and_removed_fit_alike(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 5);
    uint64_t sets[ALL];
    all_sets(sets);
    double kept[P + 1], removed[P + 1], errors[2][P + 1];
    set_regression r = {.players = P, .rows = 50, .targets = 1, .sets = sets, .values = t->table, .has_intercept = true};
    assert_int_equal(set_regression_fit(&r, kept, errors[0], NULL), TKR_OK);
    double r2 = set_regression_r2(&r, 0, kept);
    r.by_removed = true;
    assert_int_equal(set_regression_fit(&r, removed, errors[1], NULL), TKR_OK);
    assert_true(fabs(set_regression_r2(&r, 0, removed) - r2) < 1e-9 && r2 > 0 && r2 < 1);
    for (size_t i = 0; i < P - 1; i++) /* the last is removed in all of the 50 */
        assert_true(fabs(kept[i] + removed[i]) < 1e-9);
    toy_free(t);
}

static void test_linear__fails_cleanly(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 5);
    double values[P], errors[P], intercept, empty, r2;
    linear_options o = {.samples = 50, .share = 0.5};
    lime_options l = {.samples = 50, .width = width, .alpha = 1};
    tkr_status status[2] = {TKR_E_LIMIT_OOM, TKR_E_LIMIT_OOM};
    for (uint64_t nth = 1; status[0] || status[1]; nth++) {
        assert_true(nth < 60);
        memory_fail_at(nth, 0);
        status[0] = linear_shap(&t->g, &o, values, errors, &intercept, &empty, NULL);
        memory_fail_at(nth, 0);
        status[1] = lime(&t->g, &l, values, errors, &intercept, &r2, NULL);
        memory_fail_at(0, 0);
        assert_true(status[0] == TKR_OK || status[0] == TKR_E_LIMIT_OOM);
        assert_true(status[1] == TKR_OK || status[1] == TKR_E_LIMIT_OOM);
    }
    t->fails_after = 20;
    toy_reset(t);
    assert_int_equal(linear_shap(&t->g, &o, values, errors, &intercept, &empty, NULL), TKR_E_CANCELLED);
    assert_int_equal(lime(&t->g, &l, values, errors, &intercept, &r2, NULL), TKR_E_CANCELLED);
    toy_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear__limits_on_all_sets_are_shifted_banzhaf_values),
        cmocka_unit_test(test_linear__limits_hold_for_other_shares),
        cmocka_unit_test(test_linear__known_games),
        cmocka_unit_test(test_linear__errors_cover_the_limits),
        cmocka_unit_test(test_linear__lime_weights_are_known),
        cmocka_unit_test(test_linear__lime_on_all_masks_is_weighted_least_squares),
        cmocka_unit_test(test_linear__lime_recovers_additive_games_and_ignores_constants),
        cmocka_unit_test(test_linear__lime_removes_every_number_as_often),
        cmocka_unit_test(test_linear__chunks_and_other_targets_change_nothing),
        cmocka_unit_test(test_linear__limits_are_kept),
        cmocka_unit_test(test_linear__odd_games_are_survived),
        cmocka_unit_test(test_linear__hundreds_of_players),
        cmocka_unit_test(test_linear__columns_of_kept_and_removed_fit_alike),
        cmocka_unit_test(test_linear__fails_cleanly),
    };
    return cmocka_run_group_tests_name("linear", tests, NULL, NULL);
}
