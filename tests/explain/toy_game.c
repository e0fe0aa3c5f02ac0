/* Games of numbers; see toy_game.h. */
#include "explain/toy_game.h"

#include "base/failure.h" /* before cmocka.h, whose fail is a macro */
#include "base/random.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- what was asked: a set of hashes ---- */

/* One word more in a hash (the finaliser of SplitMix64). */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) + UINT64_C(0x9E3779B97F4A7C15);
    hash = (hash ^ hash >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94D049BB133111EB);
    return hash ^ hash >> 31;
}

/* Of set and draw, never 0. */
static uint64_t hash_of(const uint64_t *set, size_t words, uint64_t draw)
{
    uint64_t hash = mix(0, draw);
    for (size_t w = 0; w < words; w++)
        hash = mix(hash, set[w]);
    return hash ? hash : 1;
}

/* Put; false: it is there already. */
static bool put(uint64_t *room, size_t size, uint64_t hash)
{
    size_t at = (size_t)(hash % size);
    for (; room[at]; at = (at + 1) % size)
        if (room[at] == hash)
            return false;
    room[at] = hash;
    return true;
}

static void remember(toy_game *t, uint64_t hash)
{
    if (2 * t->distinct >= t->seen_room) {
        size_t size = t->seen_room ? 2 * t->seen_room : 1024;
        uint64_t *room = calloc(size, sizeof *room);
        assert_non_null(room);
        for (size_t i = 0; i < t->seen_room; i++)
            if (t->seen[i])
                put(room, size, t->seen[i]);
        free(t->seen);
        t->seen = room;
        t->seen_room = size;
    }
    t->distinct += put(t->seen, t->seen_room, hash);
}

/* ---- asking ---- */

static double noise_of(const toy_game *t, const uint64_t *set, uint32_t draw, size_t which)
{
    double sum = 0;
    bool is_full = true;
    random_key key = {.seed = mix(77, t->g.seed), .purpose = (uint32_t)which, .item = draw};
    for (size_t i = 0; i < t->g.players; i++)
        if (!set_has(set, i)) {
            sum += random_normal(key, i);
            is_full = false;
        }
    key.seed = hash_of(set, t->g.words, key.seed);
    return is_full ? 0 : t->noise * (sum + random_normal(key, 0));
}

static double value_of(const toy_game *t, const uint64_t *set, size_t which)
{
    return t->formula ? t->formula(t->user, set, which) : t->table[set[0] * t->g.targets + which];
}

static tkr_status answer(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, int32_t *answers,
                         tkr_error *error)
{
    toy_game *t = g->user;
    t->calls++;
    t->questions += count;
    t->most_at_once = count > t->most_at_once ? count : t->most_at_once;
    if (t->fails_after && t->questions > t->fails_after)
        return (fail)(error, TKR_E_CANCELLED, "the game was stopped after %zu questions", t->fails_after);
    for (size_t k = 0; k < count; k++) {
        const uint64_t *set = sets + k * g->words;
        uint32_t draw = draws && g->is_random ? draws[k] : 0;
        remember(t, hash_of(set, g->words, draw));
        for (size_t i = 0; i < g->targets; i++) {
            double v = value_of(t, set, i) + (g->is_random ? noise_of(t, set, draw, i) : 0);
            values[k * g->targets + i] = v;
            if (answers)
                answers[k * g->targets + i] = v > 0;
        }
    }
    return TKR_OK;
}

static tkr_status ask(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error)
{
    return answer(g, sets, draws, count, values, NULL, error);
}

/* ---- making ---- */

toy_game *toy_formula_game(size_t players, size_t targets, toy_formula *formula, const void *user)
{
    toy_game *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->g = (game){.players = players, .words = set_words(players), .targets = targets, .seed = 1, .purpose = random_purpose("toy"),
                  .ask = ask, .answer = answer, .user = t};
    t->formula = formula;
    t->user = user;
    return t;
}

toy_game *toy_new(size_t players, size_t targets)
{
    assert_true(players <= 24 && targets > 0);
    toy_game *t = toy_formula_game(players, targets, NULL, NULL);
    t->table = calloc(((size_t)1 << players) * targets, sizeof *t->table);
    assert_non_null(t->table);
    return t;
}

toy_game *toy_of(size_t players, const double *values)
{
    toy_game *t = toy_new(players, 1);
    memcpy(t->table, values, ((size_t)1 << players) * sizeof *values);
    return t;
}

toy_game *toy_random(size_t players, size_t targets, uint64_t seed)
{
    toy_game *t = toy_new(players, targets);
    random_key key = {.seed = seed, .purpose = random_purpose("toy table")};
    for (size_t i = 0; i < ((size_t)1 << players) * targets; i++)
        t->table[i] = random_normal(key, i);
    return t;
}

void toy_free(toy_game *t)
{
    if (!t)
        return;
    free(t->table);
    free(t->seen);
    free(t);
}

void toy_make_random(toy_game *t, double noise)
{
    t->g.is_random = true;
    t->noise = noise;
}

void toy_reset(toy_game *t)
{
    free(t->seen);
    t->seen = NULL;
    t->seen_room = t->calls = t->questions = t->most_at_once = t->distinct = 0;
}

/* ---- brute force ---- */

double toy_value(const toy_game *t, uint64_t set, size_t which) { return value_of(t, &set, which); }

static double factorial(size_t n) { return n < 2 ? 1 : (double)n * factorial(n - 1); }

void toy_shapley(const toy_game *t, double *values)
{
    size_t p = t->g.players;
    for (size_t k = 0; k < t->g.targets; k++)
        for (size_t i = 0; i < p; i++) {
            double sum = 0;
            for (uint64_t set = 0; set < UINT64_C(1) << p; set++) {
                size_t size = (size_t)__builtin_popcountll(set);
                if (!set_has(&set, i))
                    sum += factorial(size) * factorial(p - size - 1) / factorial(p) *
                           (toy_value(t, set | UINT64_C(1) << i, k) - toy_value(t, set, k));
            }
            values[k * p + i] = sum;
        }
}
