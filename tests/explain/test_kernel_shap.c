/*
 * KernelSHAP on games of numbers: its designs, its equality with exact Shapley values (INV-S2, S4, S5), its bias and its errors over
 * many seeds (INV-S6, S9), and that neither chunks nor other targets change a bit.
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
#include "explain/coalitions.h"
#include "explain/least_squares.h"
#include "explain/toy_game.h"

enum { PLAYERS_MOST = 16, NUMBERS_MOST = 64 };

/* A little network with interactions of all orders, smooth as models are. */
static toy_game *network(size_t players, size_t targets, uint64_t seed)
{
    enum { HIDDEN = 5 };
    toy_game *t = toy_new(players, targets);
    random_key key = {.seed = seed, .purpose = random_purpose("network")};
    for (size_t set = 0; set < (size_t)1 << players; set++)
        for (size_t k = 0; k < targets; k++) {
            double sum = 0;
            for (uint32_t h = 0; h < HIDDEN; h++) {
                key.item = (uint32_t)k * HIDDEN + h;
                double in = random_normal(key, 100);
                for (size_t i = 0; i < players; i++)
                    in += set >> i & 1 ? 1.2 * random_normal(key, i) : 0;
                sum += random_normal(key, 101) * tanh(in);
            }
            t->table[set * targets + k] = sum;
        }
    return t;
}

/* One target, given seed; errors may be NULL. */
static kernel_options play(toy_game *t, kernel_design design, size_t samples, uint64_t seed, double *values, double *errors)
{
    double base[4], spare[NUMBERS_MOST];
    kernel_options o = {.design = design, .samples = samples};
    t->g.seed = seed;
    tkr_error error = {0};
    if (kernel_shap(&t->g, &o, values, errors ? errors : spare, base, &error))
        fail_msg("%s", error.message);
    return o;
}

static double largest(const double *values, size_t count)
{
    double most = 0;
    for (size_t i = 0; i < count; i++)
        most = fmax(most, fabs(values[i]));
    return most;
}

static void assert_near(const double *got, const double *want, size_t count, double allowed)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(got[i] - want[i]) <= allowed))
            fail_msg("number %zu: %.17g, expected %.17g", i, got[i], want[i]);
}

/* ---- sets ---- */

static void test_kernel_shap__sets_are_counted_and_numbered(void **state)
{
    (void)state;
    assert_true(coalition_count(5, 2) == 10 && coalition_count(5, 0) == 1 && coalition_count(4, 5) == 0);
    assert_true(coalition_count(62, 31) == UINT64_C(465428353255261088));
    assert_true(coalition_count(500, 8) < COALITIONS_MANY && coalition_count(500, 9) == COALITIONS_MANY);
    assert_true(coalition_count(66, 33) == COALITIONS_MANY && coalition_count(2000, 1000) == COALITIONS_MANY);
    assert_true(coalition_all(12) == 4094 && coalition_all(62) == COALITIONS_MANY);
    uint64_t last = 0;
    for (uint64_t rank = 0; rank < coalition_count(9, 4); rank++) {
        uint64_t set = 0;
        coalition_unrank(4, rank, &set);
        assert_true(set_size(&set, 9) == 4 && set < UINT64_C(1) << 9 && set > last);
        last = set;
    }
    const uint64_t ranks[] = {0, 1, 12345678901, coalition_count(80, 16) - 1};
    for (size_t k = 0; k < 4; k++) { /* the rank of players c1 < c2 < ... is the sum of C(ci, i) */
        uint64_t set[2] = {0}, rank = 0;
        coalition_unrank(16, ranks[k], set);
        for (size_t i = 0, found = 0; i < 80; i++)
            rank += set_has(set, i) ? coalition_count(i, ++found) : 0;
        assert_true(set_size(set, 80) == 16 && rank == ranks[k]);
    }
}

static void test_kernel_shap__drawn_sets_are_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 35000 };
    size_t seen[128] = {0};
    uint64_t index = 0;
    for (size_t k = 0; k < DRAWS; k++) {
        uint64_t set = 0;
        coalition_draw((random_key){.seed = 5}, &index, 7, 3, &set);
        assert_true(set_size(&set, 7) == 3);
        seen[set]++;
    }
    for (size_t set = 0; set < 128; set++) /* 1000 each, deviation 31 */
        assert_true(seen[set] == 0 || fabs((double)seen[set] - 1000) < 5 * 31);
}

/* ---- designs ---- */

static bool is_same_pair(const coalition_design *d, size_t a, size_t b)
{
    uint64_t other[16];
    set_complement(other, d->sets + b * d->words, d->players);
    size_t bytes = d->words * sizeof *other;
    return memcmp(d->sets + a * d->words, d->sets + b * d->words, bytes) == 0 || memcmp(d->sets + a * d->words, other, bytes) == 0;
}

static void check_leverage(size_t players, size_t samples)
{
    const game g = {.players = players, .words = set_words(players), .targets = 1, .seed = 3};
    coalition_design d;
    size_t *sizes = calloc(players, sizeof *sizes);
    assert_int_equal(coalition_design_init(&d, &g, KERNEL_LEVERAGE, samples, NULL), TKR_OK);
    assert_true(d.pairs == (samples < coalition_all(players) ? samples : coalition_all(players)) / 2);
    for (size_t k = 0; k < d.pairs; k++) {
        size_t size = set_size(d.sets + k * d.words, players);
        assert_true(size > 0 && 2 * size <= players && d.strata[d.stratum[k]].size == size);
        sizes[size]++;
        for (size_t i = 0; i < k; i++)
            assert_false(is_same_pair(&d, k, i));
        size_t most = 0; /* every beginning of the list is a leverage design: open sizes have equal numbers */
        for (size_t s = 1; 2 * s < players; s++)
            most = sizes[s] > most ? sizes[s] : most;
        for (size_t s = 1; 2 * s < players; s++)
            assert_true(sizes[s] + 1 >= most || sizes[s] == coalition_count(players, s));
        if (players % 2 == 0 && sizes[players / 2] != coalition_count(players - 1, players / 2 - 1))
            assert_true(2 * sizes[players / 2] <= most + 1 && 2 * sizes[players / 2] + 2 >= most);
    }
    free(sizes);
    coalition_design_fini(&d);
}

static void test_kernel_shap__leverage_draws_each_pair_once_and_all_sizes_alike(void **state)
{
    (void)state;
    check_leverage(2, 2);
    check_leverage(5, 20);
    check_leverage(5, 1000);
    check_leverage(10, 600);
    check_leverage(11, 5000);
    check_leverage(12, 576);
    check_leverage(13, 300);
    check_leverage(70, 700);
    check_leverage(300, 1500);
}

static void test_kernel_shap__sizes_are_drawn_by_the_kernels_weights(void **state)
{
    (void)state;
    enum { P = 10, PAIRS = 20000 };
    const game g = {.players = P, .words = 1, .targets = 1, .seed = 3, .is_random = true};
    coalition_design d;
    double seen[P] = {0}, kernel[P] = {0}, total = 0;
    assert_int_equal(coalition_design_init(&d, &g, KERNEL_SIZES, 2 * PAIRS, NULL), TKR_OK);
    assert_true(d.pairs == PAIRS && d.stratum_count == 1);
    for (size_t k = 0; k < PAIRS; k++)
        seen[set_size(d.sets + k, P)]++;
    for (size_t s = 1; s <= P / 2; s++)
        total += kernel[s] = 1.0 / (double)(s * (P - s)) / (2 * s == P ? 2 : 1);
    for (size_t s = 1; s <= P / 2; s++) {
        double share = kernel[s] / total;
        assert_true(fabs(seen[s] - share * PAIRS) < 5 * sqrt(PAIRS * share * (1 - share)));
    }
    coalition_design_fini(&d);
}

/* Twelve players, 512 evaluations: 256 * 1 / 2.768 >= 12, 244 * .55 / 1.768 >= 66, 178 * .407 / 1.218 < 220. */
static void test_kernel_shap__compat_completes_sizes_from_the_outside(void **state)
{
    (void)state;
    const game g = {.players = 12, .words = 1, .targets = 1, .seed = 3};
    coalition_design d;
    assert_int_equal(coalition_design_init(&d, &g, KERNEL_COMPAT, 512, NULL), TKR_OK);
    assert_true(d.stratum_count == 3 && d.strata[0].size == 1 && d.strata[1].size == 2 && d.strata[2].size == 0);
    size_t distinct = 0;
    for (size_t k = 0; k < d.pairs; k++) {
        assert_true(d.stratum[k] == (k < 12 ? 0 : k < 78 ? 1 : 2));
        assert_true(k < 78 || set_size(d.sets + k, 12) > 2);
        bool is_new = true;
        for (size_t i = 0; i < k; i++)
            is_new = is_new && !is_same_pair(&d, k, i);
        assert_true(is_new || k >= 78);
        distinct += is_new;
    }
    assert_true(distinct == 256 && d.pairs >= 256);
    assert_true(fabs(d.strata[2].weight - (11.0 / 27 + 11.0 / 32 + 11.0 / 35 + 11.0 / 72)) < 1e-12);
    coalition_design_fini(&d);
}

/* ---- exact ---- */

static void test_kernel_shap__all_sets_give_the_shapley_values(void **state)
{
    (void)state;
    for (size_t p = 1; p <= 11; p++)
        for (kernel_design design = KERNEL_LEVERAGE; design <= KERNEL_COMPAT; design++) {
            toy_game *t = toy_random(p, 2, 40 + p);
            double want[NUMBERS_MOST], got[NUMBERS_MOST], errors[NUMBERS_MOST];
            toy_shapley(t, want);
            kernel_options o = play(t, design, 4096, 1, got, errors);
            assert_near(got, want, 2 * p, 1e-12 * largest(want, 2 * p));
            assert_true(o.is_exact && !o.is_deficient && largest(errors, 2 * p) == 0);
            assert_true(o.done == (p > 1 ? coalition_all(p) : 0) && t->distinct == (size_t)1 << p);
            toy_free(t);
        }
    const double table[] = {0, 3, 2, 6, 1, 5, 4, 10}, want[] = {13.0 / 3, 10.0 / 3, 7.0 / 3};
    toy_game *t = toy_of(3, table);
    double got[3];
    play(t, KERNEL_LEVERAGE, 6, 1, got, NULL);
    assert_near(got, want, 3, 1e-13);
    toy_free(t);
}

static double order_two(const void *user, const uint64_t *set, size_t t)
{
    const size_t *players = user;
    double sum = 0.25;
    for (size_t i = 0; i < *players; i++)
        if (set_has(set, i)) {
            sum += random_normal((random_key){.seed = 9, .item = (uint32_t)t}, i);
            sum += i > 0 && set_has(set, i - 1) ? random_normal((random_key){.seed = 10}, i) : 0;
        }
    return sum;
}

/* The value of player i: its own share and half of each interaction. */
static double order_two_value(size_t players, size_t i)
{
    double before = i > 0 ? random_normal((random_key){.seed = 10}, i) : 0;
    double after = i + 1 < players ? random_normal((random_key){.seed = 10}, i + 1) : 0;
    return random_normal((random_key){.seed = 9}, i) + (before + after) / 2;
}

static void check_order_two(size_t players, size_t samples, kernel_design design)
{
    toy_game *t = toy_formula_game(players, 1, order_two, &players);
    double *got = calloc(3 * players, sizeof *got), *errors = got + players, *want = errors + players;
    kernel_options o = play(t, design, samples, 4, got, errors);
    assert_false(o.is_deficient);
    for (size_t i = 0; i < players; i++)
        want[i] = order_two_value(players, i);
    assert_near(got, want, players, 1e-9);
    assert_true(largest(errors, players) < 1e-9);
    assert_true(o.done <= samples && t->distinct <= o.done + 2 && t->most_at_once <= 4096);
    free(got);
    toy_free(t);
}

static void test_kernel_shap__games_of_order_two_are_exact_at_full_rank(void **state)
{
    (void)state;
    check_order_two(12, 40, KERNEL_LEVERAGE);
    check_order_two(12, 60, KERNEL_SIZES);
    check_order_two(12, 60, KERNEL_COMPAT);
    check_order_two(70, 400, KERNEL_LEVERAGE);
    check_order_two(500, 2400, KERNEL_LEVERAGE);
}

/* ---- estimates ---- */

/* bias, scatter and coverage of 95 % intervals over seeds. */
typedef struct scatter {
    double bias, coverage, share; /* largest |mean - exact| in deviations of one run; of all intervals; mean error / deviation */
} scatter;

static scatter scatter_of(toy_game *t, kernel_design design, size_t samples, size_t seeds)
{
    size_t p = t->g.players;
    double want[PLAYERS_MOST], values[PLAYERS_MOST], errors[PLAYERS_MOST], sum[PLAYERS_MOST] = {0}, squares[PLAYERS_MOST] = {0};
    double error = 0, deviation = 0;
    size_t inside = 0;
    scatter s = {0};
    toy_shapley(t, want);
    for (size_t seed = 1; seed <= seeds; seed++) {
        play(t, design, samples, seed, values, errors);
        for (size_t i = 0; i < p; i++) {
            double off = values[i] - want[i];
            sum[i] += off;
            squares[i] += off * off;
            error += errors[i] / (double)(seeds * p);
            inside += fabs(off) <= 1.96 * errors[i];
        }
    }
    for (size_t i = 0; i < p; i++) {
        double mean = sum[i] / (double)seeds, spread = sqrt(squares[i] / (double)seeds - mean * mean);
        deviation += spread / (double)p;
        s.bias = fmax(s.bias, fabs(mean) / spread);
    }
    s.coverage = (double)inside / (double)(seeds * p);
    s.share = error / deviation;
    return s;
}

static void check_scatter(toy_game *t, kernel_design design, size_t a_player, size_t seeds, double low, double high)
{
    scatter s = scatter_of(t, design, a_player * t->g.players, seeds);
    print_message("# design %d, %zu p: bias %.3f deviations, errors %.3f of the deviation, coverage %.3f\n", (int)design, a_player,
                  s.bias, s.share, s.coverage);
    assert_true(s.bias <= (a_player < 24 ? 0.5 : 0.3)); /* a ratio: its bias falls faster than its scatter */
    assert_true(s.coverage >= low && s.coverage <= high);
    assert_true(s.share > 0.92 && (high == 1 || s.share < 1.08));
}

static void test_kernel_shap__means_are_right_and_errors_cover(void **state)
{
    (void)state;
    static const size_t budgets[] = {12, 24, 48};
    for (size_t b = 0; b < 3; b++) {
        toy_game *t = network(12, 1, 7);
        check_scatter(t, KERNEL_LEVERAGE, budgets[b], 1000, 0.90, 0.98);
        check_scatter(t, KERNEL_SIZES, budgets[b], 1000, 0.90, 0.98);
        check_scatter(t, KERNEL_COMPAT, budgets[b], 1000, 0.90, 0.98);
        toy_free(t);
        t = network(13, 1, 8); /* no size that is its own complement */
        check_scatter(t, KERNEL_LEVERAGE, budgets[b], 1000, 0.90, 0.98);
        toy_free(t);
    }
}

static void test_kernel_shap__means_are_within_four_errors_of_exact(void **state)
{
    (void)state;
    toy_game *t = network(10, 1, 17);
    for (kernel_design design = KERNEL_LEVERAGE; design <= KERNEL_SIZES; design++)
        assert_true(scatter_of(t, design, 480, 200).bias <= 4 / sqrt(200.0));
    toy_free(t);
}

/* Errors of random replacements are part of the errors, those of v(empty) too. */
static void test_kernel_shap__random_removals_are_averaged(void **state)
{
    (void)state;
    toy_game *t = network(8, 1, 3);
    toy_make_random(t, 0.2);
    check_scatter(t, KERNEL_LEVERAGE, 64, 200, 0.92, 1);
    check_scatter(t, KERNEL_SIZES, 64, 200, 0.90, 0.98);
    double values[8], errors[8];
    toy_reset(t);
    kernel_options o = play(t, KERNEL_LEVERAGE, 1000, 1, values, errors); /* more than there are sets: they begin anew */
    assert_true(!o.is_exact && o.done == 950 && t->questions == 1001 && t->questions - t->distinct <= 1);
    toy_free(t);
    t = network(1, 1, 3);
    toy_make_random(t, 0.2);
    play(t, KERNEL_LEVERAGE, 500, 1, values, errors);
    assert_true(errors[0] > 0 && fabs(values[0] - (toy_value(t, 1, 0) - toy_value(t, 0, 0))) < 5 * errors[0]);
    toy_free(t);
}

/* Mean squared error of plain permutation sampling with as many evaluations, for scale. */
static double permutation_error(toy_game *t, size_t samples, uint64_t seed, const double *want)
{
    size_t p = t->g.players, orders = samples / (p - 1);
    double sum[PLAYERS_MOST] = {0}, off = 0;
    t->g.seed = seed;
    for (uint32_t k = 0; k < orders; k++) {
        uint32_t order[PLAYERS_MOST];
        uint64_t set = 0;
        game_order(&t->g, k, order);
        for (size_t i = 0; i < p; i++) {
            double before = toy_value(t, set, 0);
            set |= UINT64_C(1) << order[i];
            sum[order[i]] += (toy_value(t, set, 0) - before) / (double)orders;
        }
    }
    for (size_t i = 0; i < p; i++)
        off += (sum[i] - want[i]) * (sum[i] - want[i]);
    return off;
}

static void test_kernel_shap__leverage_errs_least(void **state)
{
    (void)state;
    enum { P = 12, GAMES = 6, SEEDS = 12 };
    double error[4] = {0};
    for (uint64_t number = 0; number < GAMES; number++) {
        toy_game *t = network(P, 1, 70 + number);
        double want[P], values[P], size = 0;
        toy_shapley(t, want);
        for (size_t i = 0; i < P; i++)
            size += want[i] * want[i];
        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
            for (kernel_design design = KERNEL_LEVERAGE; design <= KERNEL_COMPAT; design++) {
                play(t, design, 16 * P, seed, values, NULL);
                for (size_t i = 0; i < P; i++)
                    error[design] += (values[i] - want[i]) * (values[i] - want[i]) / size / (GAMES * SEEDS);
            }
            error[3] += permutation_error(t, 16 * P, seed, want) / size / (GAMES * SEEDS);
        }
        toy_free(t);
    }
    print_message("# relative squared error at 16 p: leverage %.4f, compat %.4f, kernel %.4f, permutation %.4f\n", error[KERNEL_LEVERAGE],
                  error[KERNEL_COMPAT], error[KERNEL_SIZES], error[3]);
    assert_true(error[KERNEL_LEVERAGE] < error[KERNEL_COMPAT] && error[KERNEL_COMPAT] < error[KERNEL_SIZES] && error[KERNEL_SIZES] < error[3]);
}

/* ---- promises ---- */

static void test_kernel_shap__chunks_change_nothing(void **state)
{
    (void)state;
    toy_game *t = network(14, 1, 5);
    for (kernel_design design = KERNEL_LEVERAGE; design <= KERNEL_COMPAT; design++) {
        double whole[PLAYERS_MOST], parts[PLAYERS_MOST], whole_errors[PLAYERS_MOST], errors[PLAYERS_MOST];
        t->g.seconds = t->g.wanted_error = 0;
        play(t, design, 9000, 1, whole, whole_errors);
        assert_true(t->most_at_once == 4096);
        toy_reset(t);
        t->g.seconds = 1e9;
        t->g.begun = 0;
        t->g.wanted_error = 1e-9;
        kernel_options o = play(t, design, 9000, 1, parts, errors);
        assert_true(o.done / 2 >= 4500 && t->most_at_once == 20);
        assert_memory_equal(whole, parts, 14 * sizeof *whole);
        assert_memory_equal(whole_errors, errors, 14 * sizeof *errors);
        toy_reset(t);
    }
    toy_free(t);
}

static void test_kernel_shap__targets_do_not_meet(void **state)
{
    (void)state;
    enum { P = 9, TARGETS = 3 };
    toy_game *all = network(P, TARGETS, 5);
    double values[P * TARGETS], errors[P * TARGETS];
    play(all, KERNEL_LEVERAGE, 100, 1, values, errors);
    for (size_t k = 0; k < TARGETS; k++) {
        toy_game *one = toy_new(P, 1);
        double alone[P], alone_errors[P];
        for (size_t set = 0; set < (size_t)1 << P; set++)
            one->table[set] = all->table[set * TARGETS + k];
        play(one, KERNEL_LEVERAGE, 100, 1, alone, alone_errors);
        assert_memory_equal(alone, values + k * P, sizeof alone);
        assert_memory_equal(alone_errors, errors + k * P, sizeof alone);
        toy_free(one);
    }
    toy_free(all);
}

static void test_kernel_shap__stops_at_the_wanted_error_and_the_budget(void **state)
{
    (void)state;
    toy_game *t = network(12, 1, 5);
    double values[12], errors[12], same[12];
    t->g.wanted_error = 0.04;
    kernel_options o = play(t, KERNEL_LEVERAGE, 2000, 1, values, errors);
    assert_true(o.done < 2000 && o.done >= 48 && o.done % 20 == 0);
    assert_true(game_is_enough(&t->g, values, errors));
    t->g.wanted_error = 0;
    play(t, KERNEL_LEVERAGE, o.done, 1, same, NULL); /* what was drawn by then is the design of that budget */
    assert_memory_equal(values, same, sizeof same);
    toy_reset(t);
    t->g.budget = 101;
    o = play(t, KERNEL_LEVERAGE, 2000, 1, values, errors);
    assert_true(o.done == 98 && t->questions == 100);
    toy_reset(t);
    toy_make_random(t, 0.1);
    o = play(t, KERNEL_LEVERAGE, 2000, 1, values, errors);
    assert_true(t->questions <= 101 && t->questions >= 99);
    t->g.budget = 0;
    t->g.seconds = 1e-9;
    o = play(t, KERNEL_LEVERAGE, 2000, 1, values, errors);
    assert_true(o.done == 20);
    toy_free(t);
}

static void test_kernel_shap__too_few_sets_are_told(void **state)
{
    (void)state;
    toy_game *t = network(12, 1, 5);
    double values[12], errors[12], sum = 0;
    kernel_options o = play(t, KERNEL_LEVERAGE, 16, 1, values, errors);
    assert_true(o.is_deficient && o.done == 16);
    for (size_t i = 0; i < 12; i++) {
        sum += values[i];
        assert_true(isfinite(values[i]) && isnan(errors[i]));
    }
    assert_true(fabs(sum - (toy_value(t, 4095, 0) - toy_value(t, 0, 0))) < 1e-12);
    /* the shortest: players in no set but together share alike */
    const uint64_t sets[] = {3, 12};
    double base;
    o = (kernel_options){.sets = sets, .set_count = 2};
    assert_int_equal(kernel_shap(&t->g, &o, values, errors, &base, NULL), TKR_OK);
    assert_true(o.is_deficient && fabs(values[0] - values[1]) < 1e-12 && fabs(values[4] - values[11]) < 1e-12);
    double d[2], psi = 0; /* x of both sets is fitted exactly */
    for (size_t k = 0; k < 2; k++) {
        d[k] = 0.5 * (toy_value(t, sets[k], 0) - toy_value(t, 4095 ^ sets[k], 0));
        psi = values[2 * k] + values[2 * k + 1] - sum / 2;
        assert_true(fabs(psi - d[k]) < 1e-10);
    }
    toy_free(t);
}

/* Who was asked under which draw; v(empty) alone depends on it. */
typedef struct asked_draws {
    uint64_t set[4000];
    uint32_t draw[4000];
    size_t count;
} asked_draws;

static tkr_status note_draws(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error)
{
    (void)error;
    asked_draws *a = g->user;
    for (size_t k = 0; k < count; k++) {
        a->set[a->count] = sets[k];
        a->draw[a->count++] = draws ? draws[k] : 0;
        values[k] = sets[k] ? (double)set_size(sets + k, g->players) : (draws[k] % 2 ? 1 : -1);
    }
    return TKR_OK;
}

static void test_kernel_shap__pairs_share_a_draw_and_the_empty_sets_error_is_told(void **state)
{
    (void)state;
    enum { P = 4, SAMPLES = 2000, EMPTY = 50 };
    asked_draws a = {.count = 0};
    const game g = {.players = P, .words = 1, .targets = 1, .seed = 1, .is_random = true, .ask = note_draws, .user = &a};
    double values[P], errors[P], base;
    kernel_options o = {.samples = SAMPLES};
    assert_int_equal(kernel_shap(&g, &o, values, errors, &base, NULL), TKR_OK);
    assert_true(a.count == EMPTY + 1 + o.done && a.count <= SAMPLES + 2);
    for (size_t k = EMPTY + 1; k < a.count; k += 2) /* complements, one draw, another than all others' */
        assert_true((a.set[k] ^ a.set[k + 1]) == 15 && a.draw[k] == a.draw[k + 1] && a.draw[k] == EMPTY + (k - EMPTY) / 2);
    assert_true(fabs(base) < 1e-12);
    for (size_t i = 0; i < P; i++) { /* of the pairs there is none: v of all other sets is additive */
        assert_true(fabs(values[i] - 1) < 1e-12);
        assert_true(fabs(errors[i] - sqrt(1.0 / (EMPTY - 1)) / P) < 1e-12);
    }
}

/* Residuals of as many pairs as there are unknowns are 0, but the values are not exact. */
static void test_kernel_shap__a_fit_without_residuals_has_no_errors(void **state)
{
    (void)state;
    toy_game *t = network(12, 1, 5);
    double values[12], errors[12];
    size_t full = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        kernel_options o = play(t, KERNEL_LEVERAGE, 22, seed, values, errors);
        full += !o.is_deficient;
        for (size_t i = 0; i < 12; i++)
            assert_true(isfinite(values[i]) && isnan(errors[i]));
    }
    assert_true(full > 0);
    toy_free(t);
}

static void test_kernel_shap__fails_cleanly(void **state)
{
    (void)state;
    toy_game *t = network(8, 1, 5);
    double values[8], errors[8], base;
    kernel_options o = {.samples = 100};
    tkr_error error = {0};
    t->fails_after = 50;
    assert_int_equal(kernel_shap(&t->g, &o, values, errors, &base, &error), TKR_E_CANCELLED);
    t->fails_after = 0;
    tkr_status status = TKR_E_LIMIT_OOM;
    for (uint64_t nth = 1; status; nth++) {
        assert_true(status == TKR_E_LIMIT_OOM && nth < 60);
        memory_fail_at(nth, 0);
        o = (kernel_options){.samples = 100};
        status = kernel_shap(&t->g, &o, values, errors, &base, NULL);
    }
    memory_fail_at(0, 0);
    toy_free(t);
}

/* A A^+ A = A, A^+ A A^+ = A^+, for every rank. */
static void test_kernel_shap__pseudo_inverse_is_one(void **state)
{
    (void)state;
    enum { N = 7 };
    for (size_t rank = 0; rank <= N; rank++) {
        double rows[N * N] = {0}, a[N * N] = {0}, inverse[N * N], once[N * N] = {0}, twice[N * N] = {0}, other[N * N] = {0};
        size_t found;
        for (size_t i = 0; i < rank * N; i++)
            rows[i] = random_normal((random_key){.seed = rank}, i);
        for (size_t k = 0; k < rank; k++)
            for (size_t i = 0; i < N; i++)
                vector_add(a + i * N, rows[k * N + i], rows + k * N, N);
        assert_int_equal(symmetric_inverse(a, N, inverse, &found, NULL), TKR_OK);
        assert_int_equal(found, rank);
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++)
                vector_add(once + i * N, a[i * N + j], inverse + j * N, N);
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N; j++) {
                vector_add(twice + i * N, once[i * N + j], a + j * N, N);
                vector_add(other + i * N, inverse[i * N + j], once + j * N, N); /* once is symmetric: a projection */
            }
        assert_near(twice, a, N * N, 1e-9 * (1 + largest(a, N * N)));
        assert_near(other, inverse, N * N, 1e-8 * (1 + largest(inverse, N * N)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernel_shap__sets_are_counted_and_numbered),
        cmocka_unit_test(test_kernel_shap__drawn_sets_are_uniform),
        cmocka_unit_test(test_kernel_shap__leverage_draws_each_pair_once_and_all_sizes_alike),
        cmocka_unit_test(test_kernel_shap__sizes_are_drawn_by_the_kernels_weights),
        cmocka_unit_test(test_kernel_shap__compat_completes_sizes_from_the_outside),
        cmocka_unit_test(test_kernel_shap__all_sets_give_the_shapley_values),
        cmocka_unit_test(test_kernel_shap__games_of_order_two_are_exact_at_full_rank),
        cmocka_unit_test(test_kernel_shap__means_are_right_and_errors_cover),
        cmocka_unit_test(test_kernel_shap__means_are_within_four_errors_of_exact),
        cmocka_unit_test(test_kernel_shap__random_removals_are_averaged),
        cmocka_unit_test(test_kernel_shap__leverage_errs_least),
        cmocka_unit_test(test_kernel_shap__chunks_change_nothing),
        cmocka_unit_test(test_kernel_shap__targets_do_not_meet),
        cmocka_unit_test(test_kernel_shap__stops_at_the_wanted_error_and_the_budget),
        cmocka_unit_test(test_kernel_shap__too_few_sets_are_told),
        cmocka_unit_test(test_kernel_shap__pairs_share_a_draw_and_the_empty_sets_error_is_told),
        cmocka_unit_test(test_kernel_shap__a_fit_without_residuals_has_no_errors),
        cmocka_unit_test(test_kernel_shap__fails_cleanly),
        cmocka_unit_test(test_kernel_shap__pseudo_inverse_is_one),
    };
    return cmocka_run_group_tests_name("kernel_shap", tests, NULL, NULL);
}
