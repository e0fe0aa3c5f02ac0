/*
 * Games that methods play on the scorer, and what all games have in common.  Sets of players become sets of features a chunk at
 * a time: features that no removal takes away are kept in each.
 */
#include "explain/game.h"

#include <math.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/estimate.h"
#include "explain/sampling.h"

/* ---- orders ---- */

void game_order(const game *g, uint32_t index, uint32_t *order)
{
    random_key key = {.seed = g->seed, .purpose = g->purpose, .item = index};
    for (size_t i = 0; i < g->players; i++)
        order[i] = (uint32_t)i;
    for (size_t left = g->players; left > 1; left--) {
        size_t other = random_below(key, left, (uint32_t)left);
        uint32_t last = order[left - 1];
        order[left - 1] = order[other];
        order[other] = last;
    }
}

/* ---- a game of features ---- */

enum { ROOM_SETS = 4096 };

/* The scores of one chunk of sets. */
static tkr_status score_chunk(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, score_wish wish, score *scores,
                              tkr_error *error)
{
    const method_call *c = g->call;
    size_t words = scorer_words(c->scorer);
    for (size_t i = 0; i < count; i++) {
        uint64_t *mask = g->room + i * words;
        set_fill(mask, c->q->feature_count);
        for (size_t p = 0; p < g->players; p++)
            if (!set_has(sets + i * g->words, p))
                set_drop(mask, g->feature[p]);
    }
    return scorer_score(c->scorer, c->id, g->room, draws, count, wish, scores, error);
}

static tkr_status ask(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, score_wish wish, double *values,
                      int32_t *answers, tkr_error *error)
{
    bool by_probability = g->call->by_probability;
    size_t most = count < g->room_sets ? count : g->room_sets;
    score *scores = NEW(score, most * g->targets);
    tkr_status status = scores ? TKR_OK : fail_memory(error, "scores", most);
    for (size_t done = 0; !status && done < count; done += most) {
        size_t now = count - done < most ? count - done : most;
        status = score_chunk(g, sets + done * g->words, draws ? draws + done : NULL, now, by_probability ? SCORE_ANSWER : wish, scores, error);
        for (size_t i = 0; !status && i < now * g->targets; i++) {
            values[done * g->targets + i] = by_probability ? scores[i].probability : scores[i].value;
            if (answers)
                answers[done * g->targets + i] = scores[i].answer;
        }
    }
    memory_free(scores);
    return status;
}

static tkr_status ask_values(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error)
{
    return ask(g, sets, draws, count, SCORE_VALUE, values, NULL, error);
}

static tkr_status ask_answers(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, int32_t *answers,
                              tkr_error *error)
{
    return ask(g, sets, draws, count, SCORE_ANSWER, values, answers, error);
}

size_t game_players(const question *q)
{
    size_t players = 0;
    for (size_t f = 0; f < q->feature_count; f++)
        players += !q->is_fixed[f];
    return players;
}

tkr_status game_init(game *g, method_call *c, tkr_error *error)
{
    const question *q = c->q;
    const tkr_session_options *o = &q->session->options;
    *g = (game){.targets = q->target_count, .is_random = removal_is_random(q->removal), .seed = o->seed,
                .purpose = random_purpose(c->method->facts.id), .budget = o->budget_evaluations, .seconds = o->budget_seconds,
                .wanted_error = o->wanted_error, .begun = clock_seconds(), .ask = ask_values, .answer = ask_answers, .call = c,
                .room_sets = ROOM_SETS};
    g->feature = NEW(uint32_t, q->feature_count);
    g->room = NEW(uint64_t, g->room_sets * scorer_words(c->scorer));
    if (!g->feature || !g->room)
        return fail_memory(error, "a game", q->feature_count);
    for (size_t f = 0; f < q->feature_count; f++)
        if (!q->is_fixed[f])
            g->feature[g->players++] = (uint32_t)f;
    g->words = set_words(g->players);
    return TKR_OK;
}

void game_fini(game *g)
{
    memory_free(g->feature);
    memory_free(g->room);
    *g = (game){0};
}

void game_write(const game *g, const double *values, const double *errors, const double *base)
{
    method_call *c = g->call;
    size_t features = c->q->feature_count;
    for (size_t t = 0; t < g->targets; t++) {
        for (size_t p = 0; p < g->players; p++) {
            c->scores[t * features + g->feature[p]] = values[t * g->players + p];
            if (errors && c->errors)
                c->errors[t * features + g->feature[p]] = errors[t * g->players + p];
        }
        if (base)
            c->base[t] = base[t];
    }
    c->is_exact = true;
    for (size_t i = 0; errors && i < g->targets * g->players; i++)
        c->is_exact = c->is_exact && errors[i] == 0;
}

tkr_status game_run(method_call *c, size_t more, game_play_fn *play, tkr_error *error)
{
    game g;
    uint64_t before = scorer_evaluations(c->scorer);
    tkr_status status = game_init(&g, c, error);
    size_t count = g.targets * g.players;
    double *room = status ? NULL : NEW(double, 2 * count + more * g.targets);
    if (!status)
        status = room ? play(&g, room, room + count, room + 2 * count, error) : fail_memory(error, "scores", count);
    c->evaluations = c->forward = scorer_evaluations(c->scorer) - before;
    memory_free(room);
    game_fini(&g);
    return status;
}

/* ---- the two ends ---- */

static tkr_status empty_mean(const game *g, size_t draws, const uint64_t *none, double *empty, double *empty_error, tkr_error *error)
{
    size_t count = g->is_random && draws > 1 ? draws : 1;
    uint64_t *sets = NEW(uint64_t, count * (g->words ? g->words : 1));
    uint32_t *draw = NEW(uint32_t, count);
    double *values = NEW(double, count * g->targets);
    estimate means = {0};
    bool ok = sets && draw && values && estimate_init(&means, 1, g->targets);
    tkr_status status = ok ? TKR_OK : fail_memory(error, "the empty set", count);
    for (size_t i = 0; !status && i < count; i++) {
        memcpy(sets + i * g->words, none, g->words * sizeof *sets);
        draw[i] = (uint32_t)i;
    }
    if (!status)
        status = game_values(g, sets, draw, count, values, error);
    for (size_t i = 0; !status && i < count; i++)
        estimate_add(&means, 0, values + i * g->targets);
    for (size_t t = 0; !status && t < g->targets; t++) {
        empty[t] = means.mean[t];
        if (empty_error)
            empty_error[t] = count > 1 ? estimate_error(&means, 0, t) : 0;
    }
    estimate_fini(&means);
    memory_free(sets);
    memory_free(draw);
    memory_free(values);
    return status;
}

tkr_status game_ends(const game *g, size_t draws, double *empty, double *empty_error, double *full, tkr_error *error)
{
    uint64_t *set = NEW(uint64_t, g->words ? g->words : 1);
    tkr_status status = set ? empty_mean(g, draws, set, empty, empty_error, error) : fail_memory(error, "a set", g->words);
    if (!status) {
        set_fill(set, g->players);
        status = game_values(g, set, NULL, 1, full, error);
    }
    memory_free(set);
    return status;
}

/* ---- limits ---- */

uint64_t game_limit(const game *g, uint64_t asked) { return g->budget > 0 && g->budget < asked ? g->budget : asked; }

bool game_is_late(const game *g) { return g->seconds > 0 && clock_seconds() - g->begun >= g->seconds; }

bool game_is_enough(const game *g, const double *values, const double *errors)
{
    for (size_t t = 0; t < g->targets; t++)
        if (estimate_share(values + t * g->players, errors + t * g->players, g->players) > g->wanted_error)
            return false;
    return g->wanted_error > 0;
}

size_t game_stride(const game *g, size_t samples) { return g->wanted_error > 0 || g->seconds > 0 ? SAMPLING_STRIDE : samples; }

/* ---- draw by draw ---- */

tkr_status game_over_draws(const game *g, size_t draws, size_t count, game_once_fn *once, void *user, double *mean, double *errors,
                           size_t *done, tkr_error *error)
{
    size_t planned = g->is_random && draws > 1 ? draws : 1;
    double *values = NEW(double, count);
    estimate sums = {0};
    bool ok = values && estimate_init(&sums, 1, count);
    tkr_status status = ok ? TKR_OK : fail_memory(error, "draws", count);
    size_t played = 0;
    bool is_enough = false;
    while (!status && played < planned && !is_enough) {
        status = once(user, g, (uint32_t)played, values, error);
        if (status)
            break;
        estimate_add(&sums, 0, values);
        played++;
        for (size_t i = 0; i < count; i++) {
            mean[i] = sums.mean[i];
            errors[i] = planned > 1 ? estimate_error(&sums, 0, i) : 0;
        }
        bool looks = g->wanted_error > 0 && played % SAMPLING_STRIDE == 0;
        is_enough = played >= 2 && (game_is_late(g) || (looks && count > 0 && estimate_share(mean, errors, count) <= g->wanted_error));
    }
    if (done)
        *done = played;
    estimate_fini(&sums);
    memory_free(values);
    return status;
}
