/* All sets of a small game; see every_set.h. */
#include "explain/every_set.h"

#include <assert.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"

uint64_t every_set_count(size_t players) { return players < 64 ? UINT64_C(1) << players : UINT64_MAX; }

size_t every_set_bytes(size_t targets) { return SETS_AT_ONCE * (sizeof(uint64_t) + sizeof(uint32_t) + targets * sizeof(double)); }

/* Set number `index`: player 0 is the highest of its bits. */
static uint64_t set_at(uint64_t index, size_t players)
{
    uint64_t set = 0;
    for (size_t i = 0; i < players; i++)
        set |= (index >> (players - 1 - i) & 1) << i;
    return set;
}

/* Every set is needed: when the time is over there is no answer. */
static tkr_status fail_late(const game *g, uint64_t done, uint64_t total, tkr_error *error)
{
    char seconds[NUMBER_ROOM];
    fail(error, TKR_E_TIME_DEADLINE, "the time budget of %s s ended after %llu of %llu evaluations, which are all needed",
         number_shortest_f64(seconds, g->seconds), (unsigned long long)done, (unsigned long long)total);
    fail_help(error, "-M shap stops early and says how sure it is");
    return error ? error->code : TKR_E_TIME_DEADLINE;
}

tkr_status every_set(const game *g, uint32_t draw, set_visit_fn *visit, void *user, tkr_error *error)
{
    assert(g->players <= EVERY_SET_PLAYERS);
    uint64_t total = every_set_count(g->players), most = total < SETS_AT_ONCE ? total : SETS_AT_ONCE;
    uint64_t *sets = NEW(uint64_t, most);
    uint32_t *draws = NEW(uint32_t, most);
    double *values = NEW(double, most * g->targets);
    tkr_status status = sets && draws && values ? TKR_OK : fail_memory(error, "sets of features", most);
    for (uint64_t done = 0; !status && done < total; done += most) {
        if (done > 0 && game_is_late(g)) {
            status = fail_late(g, done, total, error);
            break;
        }
        for (uint64_t k = 0; k < most; k++) {
            sets[k] = set_at(done + k, g->players);
            draws[k] = draw;
        }
        status = game_values(g, sets, draws, most, values, error);
        for (uint64_t k = 0; !status && k < most; k++)
            visit(user, sets[k], values + k * g->targets);
    }
    memory_free(sets);
    memory_free(draws);
    memory_free(values);
    return status;
}

typedef struct weighing {
    const game *g;
    const double *gain, *loss;
    compensated *sums; /* [targets][players] */
    double *empty;
} weighing;

static void weigh(void *user, uint64_t set, const double *values)
{
    const weighing *w = user;
    size_t players = w->g->players, size = (size_t)__builtin_popcountll(set);
    for (size_t t = 0; t < w->g->targets; t++) {
        double with = values[t] * w->gain[size], without = -values[t] * w->loss[size];
        for (size_t i = 0; i < players; i++)
            compensated_add(&w->sums[t * players + i], set >> i & 1 ? with : without);
        if (set == 0)
            w->empty[t] = values[t];
    }
}

tkr_status semivalues(const game *g, uint32_t draw, const double *gain, const double *loss, double *values, double *empty,
                      tkr_error *error)
{
    size_t count = g->targets * g->players;
    weighing w = {.g = g, .gain = gain, .loss = loss, .sums = NEW(compensated, count), .empty = empty};
    tkr_status status = w.sums ? every_set(g, draw, weigh, &w, error) : fail_memory(error, "sums over sets", count);
    for (size_t i = 0; !status && i < count; i++)
        values[i] = compensated_of(w.sums[i]);
    memory_free(w.sums);
    return status;
}
