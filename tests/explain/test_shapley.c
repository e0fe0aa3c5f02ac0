/*
 * Shapley values, exact and from random orders, Banzhaf values and pairs, on games of numbers (toy_game.h): axioms, golden
 * numbers, what is exact in one sample, and over many seeds that estimates are unbiased and their errors honest (INV-S1, S4, S5,
 * S6, S9, S10).
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/tokray.h>

#include "base/memory.h"
#include "base/random.h"
#include "explain/estimators.h"
#include "explain/toy_game.h"

enum { P = 8, MOST = 512 };

static const double game3[] = {0, 3, 2, 6, 1, 5, 4, 10}; /* methods.md 11.3: bit 0 is its player 1 */

static void expect(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("got %.17g, want %.17g within %g", got, want, within);
}

static void expect_all(const double *got, const double *want, size_t count, double within)
{
    for (size_t i = 0; i < count; i++)
        expect(got[i], want[i], within);
}

static void expect_sum(const double *values, size_t count, double want)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    expect(sum, want, 1e-9 * fmax(1, fabs(want)));
}

/* ---- one run of each estimator ---- */

typedef struct run {
    double values[MOST], errors[MOST], base[8];
    size_t done;
} run;

static run run_exact(const toy_game *t, size_t draws)
{
    run r = {0};
    assert_int_equal(exact_shapley(&t->g, draws, r.values, r.errors, r.base, NULL), TKR_OK);
    return r;
}

static run run_orders(const toy_game *t, size_t pairs)
{
    run r = {0};
    permutation_options o = {.pairs = pairs};
    assert_int_equal(permutation_shapley(&t->g, &o, r.values, r.errors, r.base, NULL), TKR_OK);
    r.done = o.done;
    return r;
}

static run run_banzhaf(const toy_game *t, size_t exact, size_t samples)
{
    run r = {0};
    banzhaf_options o = {.exact = exact, .samples = samples, .draws = 20};
    assert_int_equal(banzhaf(&t->g, &o, r.values, r.errors, NULL), TKR_OK);
    r.done = samples;
    return r;
}

static run run_pairs(const toy_game *t, size_t exact, size_t orders)
{
    run r = {0};
    interactions_options o = {.exact = exact, .orders = orders, .draws = 20};
    assert_int_equal(interactions(&t->g, &o, r.values, r.errors, r.base, NULL), TKR_OK);
    r.done = o.done;
    return r;
}

/* ---- brute force ---- */

static void brute_banzhaf(const toy_game *t, size_t which, double *values)
{
    uint64_t sets = UINT64_C(1) << t->g.players;
    for (size_t i = 0; i < t->g.players; i++) {
        values[i] = 0;
        for (uint64_t set = 0; set < sets; set++)
            values[i] += (set >> i & 1 ? 2 : -2) * toy_value(t, set, which) / (double)sets;
    }
}

static double choose(size_t n, size_t k) { return k == 0 ? 1 : choose(n - 1, k - 1) * (double)n / (double)k; }

static double brute_pair(const toy_game *t, size_t which, size_t i, size_t j)
{
    size_t p = t->g.players;
    uint64_t a = UINT64_C(1) << i, b = UINT64_C(1) << j;
    double sum = 0;
    if (i == j)
        return toy_value(t, a, which) - toy_value(t, 0, which);
    for (uint64_t set = 0; set < UINT64_C(1) << p; set++)
        if (!(set & (a | b)))
            sum += 2 / (double)p / choose(p - 1, (size_t)__builtin_popcountll(set)) *
                   (toy_value(t, set | a | b, which) - toy_value(t, set | a, which) - toy_value(t, set | b, which) + toy_value(t, set, which));
    return sum;
}

static void brute_pairs(const toy_game *t, double *pairs)
{
    size_t p = t->g.players;
    for (size_t k = 0; k < t->g.targets; k++)
        for (size_t i = 0; i < p; i++)
            for (size_t j = 0; j < p; j++)
                pairs[(k * p + i) * p + j] = brute_pair(t, k, i, j);
}

static uint64_t all_of(const toy_game *t) { return (UINT64_C(1) << t->g.players) - 1; }
static double span_of(const toy_game *t, size_t which) { return toy_value(t, all_of(t), which) - toy_value(t, 0, which); }

/* ---- exact Shapley values ---- */

static void test_shapley__golden_numbers(void **state)
{
    (void)state;
    const double shapley[] = {13.0 / 3, 10.0 / 3, 7.0 / 3}, banzhaf_values[] = {4.25, 3.25, 2.25};
    toy_game *t = toy_of(3, game3);
    expect_all(run_exact(t, 1).values, shapley, 3, 1e-14);
    expect_all(run_banzhaf(t, 3, 0).values, banzhaf_values, 3, 1e-14);
    toy_free(t);
}

static void test_shapley__exact_is_the_definition(void **state)
{
    (void)state;
    for (size_t p = 1; p <= 9; p++) {
        toy_game *t = toy_random(p, 3, p);
        double want[MOST];
        toy_shapley(t, want);
        run r = run_exact(t, 7);
        expect_all(r.values, want, 3 * p, 1e-13);
        assert_int_equal(t->questions, 1 << p); /* no draws where nothing is random */
        assert_int_equal(t->distinct, 1 << p);
        for (size_t k = 0; k < 3; k++) {
            expect(r.base[k], toy_value(t, 0, k), 0);
            expect_sum(r.values + k * p, p, span_of(t, k));
        }
        for (size_t i = 0; i < 3 * p; i++)
            expect(r.errors[i], 0, 0);
        toy_free(t);
    }
}

/* How often what was asked last has another state of player 0 than what was asked before it. */
typedef struct changes {
    uint64_t before;
    size_t count;
} changes;

static double count_changes(const void *user, const uint64_t *set, size_t which)
{
    changes *c = *(changes *const *)user;
    (void)which;
    c->count += (c->before ^ set[0]) & 1;
    c->before = set[0];
    return 0;
}

/* Decoders share what variants begin with, so the first players change least often. */
static void test_shapley__sets_come_in_the_order_of_a_trie(void **state)
{
    (void)state;
    changes c = {0}, *user = &c;
    toy_game *t = toy_formula_game(13, 1, count_changes, &user);
    run_exact(t, 1);
    assert_int_equal(t->calls, 2);
    assert_int_equal(c.count, 1);
    toy_free(t);
}

static void test_shapley__exact_is_linear(void **state)
{
    (void)state;
    toy_game *a = toy_random(6, 1, 1), *b = toy_random(6, 1, 2), *both = toy_new(6, 1);
    for (size_t i = 0; i < 64; i++)
        both->table[i] = 3 * a->table[i] - 2 * b->table[i];
    run of_a = run_exact(a, 1), of_b = run_exact(b, 1), of_both = run_exact(both, 1);
    for (size_t i = 0; i < 6; i++)
        expect(of_both.values[i], 3 * of_a.values[i] - 2 * of_b.values[i], 1e-13);
    toy_free(a);
    toy_free(b);
    toy_free(both);
}

/* Player 2 adds 0.5 whatever is there; players 0 and 5 are exchangeable. */
static void test_shapley__dummies_and_equals(void **state)
{
    (void)state;
    toy_game *t = toy_random(6, 1, 3);
    for (uint64_t set = 0; set < 64; set++)
        if ((set & 33) == 32)
            t->table[set] = t->table[set ^ 33];
    for (uint64_t set = 0; set < 64; set++)
        if (set & 4)
            t->table[set] = t->table[set ^ 4] + 0.5;
    run r = run_exact(t, 1), b = run_banzhaf(t, 6, 0);
    expect(r.values[2], 0.5, 1e-13);
    expect(r.values[0], r.values[5], 1e-13);
    expect(b.values[2], 0.5, 1e-13);
    expect(b.values[0], b.values[5], 1e-13);
    assert_true(fabs(r.values[0] - r.values[1]) > 1e-3 && fabs(r.values[0] - b.values[0]) > 1e-3);
    toy_free(t);
}

static uint64_t renamed(uint64_t set, const size_t *to)
{
    uint64_t out = 0;
    for (size_t i = 0; i < 6; i++)
        out |= (set >> i & 1) << to[i];
    return out;
}

static void test_shapley__names_of_players_do_not_matter(void **state)
{
    (void)state;
    static const size_t to[] = {3, 0, 5, 1, 4, 2};
    toy_game *t = toy_random(6, 1, 4), *other = toy_new(6, 1);
    for (uint64_t set = 0; set < 64; set++)
        other->table[renamed(set, to)] = t->table[set];
    run a = run_exact(t, 1), b = run_exact(other, 1), c = run_pairs(t, 10, 0), d = run_pairs(other, 10, 0);
    for (size_t i = 0; i < 6; i++) {
        expect(b.values[to[i]], a.values[i], 1e-13);
        for (size_t j = 0; j < 6; j++)
            expect(d.values[to[i] * 6 + to[j]], c.values[i * 6 + j], 1e-13);
    }
    toy_free(t);
    toy_free(other);
}

/* A large common part of all values cancels only in compensated sums. */
static void test_shapley__sums_are_compensated(void **state)
{
    (void)state;
    toy_game *t = toy_new(16, 1);
    double want = 0;
    for (uint64_t set = 0; set < 65536; set++) {
        t->table[set] = 1e6;
        for (size_t i = 0; i < 16; i++)
            t->table[set] += set >> i & 1 ? (double)i * 0x1p-10 : 0;
    }
    run r = run_exact(t, 1);
    for (size_t i = 0; i < 16; i++) {
        expect(r.values[i], (double)i * 0x1p-10, 3e-10); /* half an ulp of 1e6 each way, over the root of many */
        want += r.values[i];
    }
    expect(want, 120 * 0x1p-10, 2e-9);
    toy_free(t);
}

static void test_shapley__no_players_and_one(void **state)
{
    (void)state;
    toy_game *none = toy_random(0, 1, 5), *one = toy_random(1, 1, 5);
    expect(run_exact(none, 1).base[0], none->table[0], 0);
    expect(run_orders(none, 4).base[0], none->table[0], 0);
    expect(run_pairs(none, 10, 0).base[0], none->table[0], 0);
    expect(run_pairs(none, 0, 4).base[0], none->table[0], 0);
    run all[] = {run_exact(one, 1), run_orders(one, 1), run_orders(one, 9), run_banzhaf(one, 12, 0), run_pairs(one, 10, 0), run_pairs(one, 0, 3)};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        expect(all[i].values[0], one->table[1] - one->table[0], 1e-15);
        expect(all[i].errors[0], 0, 0);
    }
    expect(run_banzhaf(one, 0, 50).values[0], one->table[1] - one->table[0], 1e-15);
    toy_free(none);
    toy_free(one);
}

static void test_shapley__too_many_players_are_refused(void **state)
{
    (void)state;
    toy_game *t = toy_new(21, 1);
    double values[21], errors[21], base[1];
    tkr_error error = {0};
    assert_int_equal(exact_shapley(&t->g, 1, values, errors, base, &error), TKR_E_LIMIT_EVALS);
    assert_int_equal(t->questions, 0);
    toy_free(t);
}

/* ---- over many seeds ---- */

enum { SEEDS = 300 };

typedef run estimator(const toy_game *t, size_t amount);
static run orders_of(const toy_game *t, size_t pairs) { return run_orders(t, pairs); }
static run banzhaf_of(const toy_game *t, size_t samples) { return run_banzhaf(t, 0, samples); }
static run pairs_of(const toy_game *t, size_t orders) { return run_pairs(t, 0, orders); }

/* Means over seeds within four of their errors of what is wanted, and 95 % intervals that cover it in 0.90 to 0.98 of the seeds.
 * Entries without error are exact. */
static void expect_honest(toy_game *t, estimator *play, size_t amount, const double *want, size_t count)
{
    double sum[MOST] = {0}, squares[MOST] = {0};
    size_t covered = 0, intervals = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        t->g.seed = seed;
        run r = play(t, amount);
        for (size_t i = 0; i < count; i++) {
            double off = r.values[i] - want[i];
            sum[i] += off;
            squares[i] += off * off;
            assert_true(!isnan(r.errors[i]));
            if (r.errors[i] > 0) {
                covered += fabs(off) <= 1.96 * r.errors[i];
                intervals++;
            } else {
                expect(off, 0, 1e-9);
            }
        }
    }
    for (size_t i = 0; i < count; i++) {
        double mean = sum[i] / SEEDS, deviation = sqrt(squares[i] / SEEDS);
        if (fabs(mean) > 4 * deviation / sqrt(SEEDS) + 1e-12)
            fail_msg("entry %zu is off by %g, %.2f of its errors", i, mean, mean / deviation * sqrt(SEEDS));
    }
    double share = (double)covered / (double)intervals;
    if (!(intervals >= SEEDS && share >= 0.90 && share <= 0.98))
        fail_msg("95 %% intervals cover %.3f of %zu", share, intervals);
}

static void test_shapley__orders_are_unbiased_and_their_errors_honest(void **state)
{
    (void)state;
    double want[MOST];
    toy_game *t = toy_random(P, 2, 11);
    toy_shapley(t, want);
    expect_honest(t, orders_of, 32, want, 2 * P);
    toy_make_random(t, 0.3);
    expect_honest(t, orders_of, 32, want, 2 * P);
    toy_free(t);
}

static void test_shapley__banzhaf_samples_are_unbiased_and_their_errors_honest(void **state)
{
    (void)state;
    double want[MOST];
    toy_game *t = toy_random(P, 2, 12);
    brute_banzhaf(t, 0, want);
    brute_banzhaf(t, 1, want + P);
    expect_honest(t, banzhaf_of, 200, want, 2 * P);
    toy_make_random(t, 0.3);
    expect_honest(t, banzhaf_of, 200, want, 2 * P);
    toy_free(t);
}

static void test_shapley__pair_orders_are_unbiased_and_their_errors_honest(void **state)
{
    (void)state;
    double want[MOST];
    toy_game *t = toy_random(P, 2, 13);
    brute_pairs(t, want);
    expect_honest(t, pairs_of, 40, want, 2 * P * P);
    toy_make_random(t, 0.3);
    expect_honest(t, pairs_of, 40, want, 2 * P * P);
    toy_free(t);
}

/* Few samples: the mean is still unbiased, though the least number has sets that are complements. */
static void test_shapley__banzhaf_is_unbiased_with_few_samples(void **state)
{
    (void)state;
    enum { MANY = 4000 };
    double want[P], sum[P] = {0}, squares[P] = {0};
    toy_game *t = toy_random(P, 1, 14);
    brute_banzhaf(t, 0, want);
    for (uint64_t seed = 0; seed < MANY; seed++) {
        t->g.seed = seed;
        run r = run_banzhaf(t, 0, 3);
        for (size_t i = 0; i < P; i++) {
            assert_true(isfinite(r.errors[i]));
            sum[i] += r.values[i] - want[i];
            squares[i] += pow(r.values[i] - want[i], 2);
        }
    }
    for (size_t i = 0; i < P; i++)
        expect(sum[i] / MANY, 0, 4 * sqrt(squares[i] / MANY / MANY));
    toy_free(t);
}

/* The exact methods of a random game: means over draws of the game without noise. */
static void test_shapley__draws_average_to_the_game(void **state)
{
    (void)state;
    enum { DRAWS = 60 };
    toy_game *t = toy_random(5, 2, 15);
    double shapley[10], want_pairs[50], want_banzhaf[10];
    toy_shapley(t, shapley);
    brute_pairs(t, want_pairs);
    brute_banzhaf(t, 0, want_banzhaf);
    brute_banzhaf(t, 1, want_banzhaf + 5);
    toy_make_random(t, 0.2);
    run r = run_exact(t, DRAWS), b = run_banzhaf(t, 5, 0), c = run_pairs(t, 5, 0);
    for (size_t i = 0; i < 10; i++) {
        assert_true(r.errors[i] > 0 && b.errors[i] > 0);
        expect(r.values[i], shapley[i], 4 * r.errors[i]);
        expect(b.values[i], want_banzhaf[i], 5 * b.errors[i]); /* 20 draws */
    }
    for (size_t i = 0; i < 50; i++) {
        assert_true(c.errors[i] > 0);
        expect(c.values[i], want_pairs[i], 5 * c.errors[i]);
    }
    for (size_t k = 0; k < 2; k++) {
        expect_sum(r.values + 5 * k, 5, toy_value(t, 31, k) - r.base[k]);
        assert_true(fabs(r.base[k] - toy_value(t, 0, k)) > 1e-6);
    }
    assert_int_equal(t->distinct, DRAWS * 32); /* draws of all three are the same ones; the full set is asked under each */
    toy_free(t);
}

/* ---- exact in one sample ---- */

/* v with pairs planted: own[i] and pair[i][j], i < j. */
typedef struct planted {
    size_t players;
    double empty;
} planted;

static double own_part(size_t i) { return sin((double)(3 * i + 1)); }
static double pair_part(size_t i, size_t j) { return cos((double)(7 * i + 2 * j)); }

static double planted_value(const void *user, const uint64_t *set, size_t which)
{
    const planted *g = user;
    double sum = g->empty;
    for (size_t i = 0; i < g->players; i++) {
        if (!set_has(set, i))
            continue;
        sum += own_part(i);
        for (size_t j = i + 1; j < g->players; j++)
            sum += set_has(set, j) ? pair_part(i, j) * (double)(which + 1) : 0;
    }
    return sum;
}

/* Shapley and Banzhaf values of such a game are own part and half of the pairs. */
static double planted_share(const planted *g, size_t i, size_t which)
{
    double sum = own_part(i);
    for (size_t j = 0; j < g->players; j++)
        sum += i == j ? 0 : pair_part(i < j ? i : j, i < j ? j : i) * (double)(which + 1) / 2;
    return sum;
}

static void test_shapley__one_pair_of_orders_is_exact_for_pairs(void **state)
{
    (void)state;
    static const size_t counts[] = {2, 3, 7, 64, 65, 150};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        planted g = {.players = counts[c], .empty = 0.25};
        toy_game *t = toy_formula_game(counts[c], 2, planted_value, &g);
        run r = run_orders(t, 1);
        for (size_t i = 0; i < 2 * counts[c]; i++)
            expect(r.values[i], planted_share(&g, i % counts[c], i / counts[c]), 1e-10);
        toy_free(t);
    }
}

static void test_shapley__one_order_finds_planted_pairs(void **state)
{
    (void)state;
    static const size_t counts[] = {2, 3, 7, 16};
    for (size_t c = 0; c < 4; c++)
        for (size_t exact = 0; exact < 2; exact++) {
            size_t p = counts[c];
            planted g = {.players = p, .empty = 0.25};
            toy_game *t = toy_formula_game(p, 2, planted_value, &g);
            run r = run_pairs(t, exact ? 16 : 0, 1);
            assert_int_equal(r.done, exact ? 0 : 1);
            for (size_t at = 0; at < 2 * p * p; at++) {
                size_t i = at / p % p, j = at % p;
                double pair = pair_part(i < j ? i : j, i < j ? j : i) * (double)(at / p / p + 1);
                expect(r.values[at], i == j ? own_part(i) : pair, 1e-10);
            }
            toy_free(t);
        }
}

/* INV-S10, exact and after every number of orders, and the definition. */
static void test_shapley__pairs_and_diagonal_sum_to_the_span(void **state)
{
    (void)state;
    for (size_t p = 1; p <= 7; p++)
        for (size_t orders = 0; orders < 4; orders++) {
            toy_game *t = toy_random(p, 2, 20 + p);
            run r = run_pairs(t, orders ? 0 : 10, orders);
            double want[MOST];
            brute_pairs(t, want);
            for (size_t k = 0; k < 2; k++) {
                double sum = 0, *pairs = r.values + k * p * p;
                for (size_t i = 0; i < p; i++)
                    for (size_t j = i; j < p; j++) {
                        sum += pairs[i * p + j];
                        expect(pairs[i * p + j], pairs[j * p + i], 0);
                    }
                expect(sum, span_of(t, k), 1e-10);
                expect(r.base[k], toy_value(t, 0, k), 0);
            }
            if (orders == 0)
                expect_all(r.values, want, 2 * p * p, 1e-12);
            toy_free(t);
        }
}

static void test_shapley__orders_sum_to_the_span_always(void **state)
{
    (void)state;
    toy_game *t = toy_random(7, 2, 31);
    for (size_t turn = 0; turn < 2; turn++) {
        for (size_t pairs = 1; pairs <= 12; pairs++) {
            run r = run_orders(t, pairs);
            assert_int_equal(r.done, pairs);
            for (size_t k = 0; k < 2; k++)
                expect_sum(r.values + 7 * k, 7, toy_value(t, 127, k) - r.base[k]);
            assert_true(pairs > 1 ? r.errors[0] > 0 : isnan(r.errors[0]));
        }
        toy_make_random(t, 1);
    }
    toy_free(t);
}

static void test_shapley__given_orders_are_walked(void **state)
{
    (void)state;
    const uint32_t orders[] = {2, 0, 1};
    toy_game *t = toy_of(3, game3);
    double values[3], errors[3], base[1];
    permutation_options o = {.pairs = 1, .orders = orders};
    assert_int_equal(permutation_shapley(&t->g, &o, values, errors, base, NULL), TKR_OK);
    const double want[] = {4, 3.5, 2.5}; /* 1 5 10, and back 2 6 10 */
    expect_all(values, want, 3, 1e-15);
    toy_free(t);
}

/* ---- limits ---- */

/* Exact values need every set: a time budget that ends before is an error, no smaller answer. */
static void test_shapley__exact_values_miss_a_deadline(void **state)
{
    (void)state;
    enum { PLAYERS = 14 };
    double values[PLAYERS], errors[PLAYERS], base;
    tkr_error error = {0};
    toy_game *t = toy_random(PLAYERS, 1, 3);
    t->g.seconds = 1e-9;
    assert_int_equal(exact_shapley(&t->g, 1, values, errors, &base, &error), TKR_E_TIME_DEADLINE);
    assert_non_null(strstr(error.message, "4096 of 16384 evaluations"));
    t->g.seconds = 0;
    assert_int_equal(exact_shapley(&t->g, 1, values, errors, &base, NULL), TKR_OK);
    toy_free(t);
}

static void test_shapley__budgets_are_kept(void **state)
{
    (void)state;
    for (uint64_t budget = 40; budget < 400; budget += 7) {
        toy_game *t = toy_random(12, 1, 41);
        t->g.budget = budget;
        static estimator *const all[] = {orders_of, banzhaf_of};
        for (size_t i = 0; i < 2; i++) {
            toy_reset(t);
            run r = all[i](t, 1000);
            assert_true(t->questions <= budget && t->distinct <= budget && t->questions + 22 > budget);
            assert_true(isfinite(r.values[0]));
        }
        toy_reset(t);
        t->g.budget = 3 * budget;
        run_pairs(t, 12, 1000);
        assert_true(t->questions <= 3 * budget);
        run_banzhaf(t, 12, 1000); /* 4096 sets are too many, so it samples */
        assert_true(t->questions <= 6 * budget);
        toy_make_random(t, 1);
        toy_reset(t);
        run_orders(t, 1000);
        assert_true(t->distinct <= 3 * budget && t->distinct + 23 > 3 * budget);
        toy_free(t);
    }
}

static void test_shapley__looks_do_not_change_bits(void **state)
{
    (void)state;
    static estimator *const all[] = {orders_of, banzhaf_of, pairs_of};
    for (size_t i = 0; i < 3; i++) {
        toy_game *t = toy_random(P, 2, 51);
        size_t amount = i == 1 ? 9000 : 107; /* more than one call of 4096 */
        run whole = all[i](t, amount);
        size_t calls = t->calls;
        assert_true(t->most_at_once <= 4096);
        t->g.wanted_error = 1e-12;
        toy_reset(t);
        run looked = all[i](t, amount);
        assert_true(t->calls > calls);
        assert_memory_equal(looked.values, whole.values, sizeof whole.values);
        assert_memory_equal(looked.errors, whole.errors, sizeof whole.errors);
        toy_free(t);
    }
}

/* Largest error as a share of the range of the first `count` values. */
static double share_of(const run *r, size_t count)
{
    double low = 0, high = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        low = fmin(low, r->values[i]);
        high = fmax(high, r->values[i]);
        worst = fmax(worst, r->errors[i]);
    }
    return worst / (high - low);
}

static void test_shapley__stops_at_the_wished_error(void **state)
{
    (void)state;
    static estimator *const all[] = {orders_of, banzhaf_of, pairs_of};
    for (size_t i = 0; i < 3; i++) {
        size_t count = i == 2 ? P * P : P;
        toy_game *t = toy_random(P, 1, 52);
        double all_of_them = share_of(&(run){0}, 0), wanted;
        run whole = all[i](t, 2000);
        all_of_them = share_of(&whole, count);
        t->g.wanted_error = wanted = 2 * all_of_them;
        toy_reset(t);
        run some = all[i](t, 2000);
        assert_true(share_of(&some, count) <= wanted && share_of(&some, count) > 0.8 * wanted);
        size_t samples = i == 1 ? t->questions : some.done;
        assert_true(samples % 10 == 0 && samples < 1000);
        toy_free(t);
    }
}

static void test_shapley__stops_when_time_is_over(void **state)
{
    (void)state;
    toy_game *t = toy_random(P, 1, 53);
    t->g.seconds = 1e-9;
    assert_int_equal(run_orders(t, 5000).done, 10);
    assert_int_equal(run_pairs(t, 0, 5000).done, 10);
    toy_reset(t);
    run_banzhaf(t, 0, 5000);
    assert_int_equal(t->questions, 10);
    toy_make_random(t, 1);
    toy_reset(t);
    run_exact(t, 100);
    assert_int_equal(t->questions, 2 << P);
    toy_free(t);
}

static void test_shapley__a_stopped_game_fails(void **state)
{
    (void)state;
    for (size_t after = 1; after < 40; after += 6) {
        toy_game *t = toy_random(P, 1, 54);
        double values[P * P], errors[P * P], base[1];
        permutation_options orders = {.pairs = 40};
        interactions_options pairs = {.exact = after % 2 ? 10 : 0, .orders = 40};
        banzhaf_options half = {.exact = after % 2 ? 0 : 10, .samples = 5000};
        t->fails_after = after;
        assert_int_equal(exact_shapley(&t->g, 1, values, errors, base, NULL), TKR_E_CANCELLED);
        t->questions = 0;
        assert_int_equal(permutation_shapley(&t->g, &orders, values, errors, base, NULL), TKR_E_CANCELLED);
        t->questions = 0;
        assert_int_equal(interactions(&t->g, &pairs, values, errors, base, NULL), TKR_E_CANCELLED);
        t->questions = 0;
        assert_int_equal(banzhaf(&t->g, &half, values, errors, NULL), TKR_E_CANCELLED);
        toy_free(t);
    }
}

/* Estimator number `which`, with few samples. */
static tkr_status play_small(const toy_game *t, size_t which, tkr_error *error)
{
    double values[P * P], errors[P * P], base[1];
    permutation_options orders = {.pairs = 3};
    interactions_options pairs = {.exact = which == 2 ? 10 : 0, .orders = 3, .draws = 2};
    banzhaf_options half = {.exact = which == 4 ? 10 : 0, .samples = 50, .draws = 2};
    switch (which) {
    case 0: return exact_shapley(&t->g, 2, values, errors, base, error);
    case 1: return permutation_shapley(&t->g, &orders, values, errors, base, error);
    case 2:
    case 3: return interactions(&t->g, &pairs, values, errors, base, error);
    default: return banzhaf(&t->g, &half, values, errors, error);
    }
}

static void test_shapley__every_allocation_may_fail(void **state)
{
    (void)state;
    for (size_t which = 0; which < 6; which++)
        for (size_t turn = 0; turn < 2; turn++) {
            toy_game *t = toy_random(6, 1, 55);
            if (turn)
                toy_make_random(t, 1);
            uint64_t held = tkr_memory_now(), failures = 0;
            tkr_status status = TKR_E_LIMIT_OOM;
            for (uint64_t nth = 1; status; nth++) {
                tkr_error error = {0};
                memory_fail_at(nth, 0);
                status = play_small(t, which, &error);
                memory_fail_at(0, 0);
                assert_true(status == TKR_OK || (status == TKR_E_LIMIT_OOM && error.code == status));
                assert_true(tkr_memory_now() == held);
                failures += status != TKR_OK;
            }
            assert_true(failures > 4);
            toy_free(t);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapley__golden_numbers),
        cmocka_unit_test(test_shapley__exact_is_the_definition),
        cmocka_unit_test(test_shapley__sets_come_in_the_order_of_a_trie),
        cmocka_unit_test(test_shapley__exact_is_linear),
        cmocka_unit_test(test_shapley__dummies_and_equals),
        cmocka_unit_test(test_shapley__names_of_players_do_not_matter),
        cmocka_unit_test(test_shapley__sums_are_compensated),
        cmocka_unit_test(test_shapley__no_players_and_one),
        cmocka_unit_test(test_shapley__too_many_players_are_refused),
        cmocka_unit_test(test_shapley__orders_are_unbiased_and_their_errors_honest),
        cmocka_unit_test(test_shapley__banzhaf_samples_are_unbiased_and_their_errors_honest),
        cmocka_unit_test(test_shapley__pair_orders_are_unbiased_and_their_errors_honest),
        cmocka_unit_test(test_shapley__banzhaf_is_unbiased_with_few_samples),
        cmocka_unit_test(test_shapley__draws_average_to_the_game),
        cmocka_unit_test(test_shapley__one_pair_of_orders_is_exact_for_pairs),
        cmocka_unit_test(test_shapley__one_order_finds_planted_pairs),
        cmocka_unit_test(test_shapley__pairs_and_diagonal_sum_to_the_span),
        cmocka_unit_test(test_shapley__orders_sum_to_the_span_always),
        cmocka_unit_test(test_shapley__given_orders_are_walked),
        cmocka_unit_test(test_shapley__exact_values_miss_a_deadline),
        cmocka_unit_test(test_shapley__budgets_are_kept),
        cmocka_unit_test(test_shapley__looks_do_not_change_bits),
        cmocka_unit_test(test_shapley__stops_at_the_wished_error),
        cmocka_unit_test(test_shapley__stops_when_time_is_over),
        cmocka_unit_test(test_shapley__a_stopped_game_fails),
        cmocka_unit_test(test_shapley__every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("shapley", tests, NULL, NULL);
}
