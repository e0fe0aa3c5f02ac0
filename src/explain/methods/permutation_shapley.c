/*
 * Shapley values from random orders (Castro et al. 2009): features are put in one by one, and each gets what it adds.  Orders
 * come in pairs, one and its reverse (Mitchell et al. 2022), which cancels all that is odd in them: one pair is exact for games
 * without interactions of more than two features.  A pair asks for 2 (p - 1) sets between the two ends.
 *
 * Every pair sums to v(all) - v(none), so the mean does.  Standard errors are of the means of pairs, not of single orders, which
 * depend on each other.  Under a random removal a pair has one draw for all of its sets (methods.md 10.8).
 */
#include "base/failure.h"
#include "base/memory.h"
#include "explain/estimate.h"
#include "explain/estimators.h"
#include "explain/sampling.h"

/* PLAYERS is no parameter: settled, what cost and held count with. */
enum { PAIRS, PLAYERS = PARAMETERS_MOST - 1 };
enum { EVALUATIONS_STANDARD = 512, PAIRS_LEAST = 4, SETS_A_CALL = 4096 };
static const parameter parameters[] = {
    INT_PARAMETER("pairs", 0, 0, 1000000, "orders, each with its reverse; 0: as many as 512 evaluations pay, 4 at least"),
    END_PARAMETERS};

/* ---- the estimator ---- */

/* Sets that a pair asks for: between the ends, and of a random game its own v(none). */
static size_t sets_a_pair(size_t players, bool is_random) { return (players > 1 ? 2 * (players - 1) : 0) + is_random; }

/* Pairs that a budget pays beside the ends, one at least. */
static size_t pairs_paid(uint64_t budget, size_t players, bool is_random, size_t pairs)
{
    uint64_t ends = is_random ? 1 : 2, a_pair = sets_a_pair(players, is_random);
    uint64_t paid = a_pair == 0 ? pairs : budget > ends ? (budget - ends) / a_pair : 0;
    return budget == 0 || paid >= pairs ? pairs : paid > 0 ? (size_t)paid : 1;
}

typedef struct walk {
    const game *g;
    const uint32_t *given;
    size_t a_pair, at_once;
    uint32_t *orders;         /* [at_once][players]                                                       */
    uint64_t *sets;           /* [at_once][a_pair][words]: firsts 1 .. p - 1, complements of them, nobody  */
    uint32_t *draws;          /* [at_once][a_pair]                                                        */
    double *v;                /* [at_once][a_pair][targets]                                               */
    double *empty, *full;     /* [targets]                                                                */
    double *sample;           /* [players + 1]: a pair's values, and v(none)                              */
    estimate pairs;           /* [targets][players + 1]                                                   */
} walk;

static tkr_status walk_init(walk *w, const game *g, const uint32_t *given, size_t pairs, tkr_error *error)
{
    size_t a_pair = sets_a_pair(g->players, g->is_random), most = a_pair < SETS_A_CALL / 2 ? SETS_A_CALL / (a_pair + 1) : 1;
    *w = (walk){.g = g, .given = given, .a_pair = a_pair, .at_once = most < pairs ? most : pairs};
    w->orders = NEW(uint32_t, w->at_once * g->players);
    w->sets = NEW(uint64_t, w->at_once * a_pair * g->words);
    w->draws = NEW(uint32_t, w->at_once * a_pair);
    w->v = NEW(double, w->at_once * a_pair * g->targets);
    w->empty = NEW(double, g->targets);
    w->full = NEW(double, g->targets);
    w->sample = NEW(double, g->players + 1);
    bool ok = estimate_init(&w->pairs, g->targets, g->players + 1);
    ok = ok && w->orders && w->sets && w->draws && w->v && w->empty && w->full && w->sample;
    return ok ? game_ends(g, 1, w->empty, NULL, w->full, error) : fail_memory(error, "orders of features", w->at_once * a_pair);
}

static void walk_fini(walk *w)
{
    memory_free(w->orders);
    memory_free(w->sets);
    memory_free(w->draws);
    memory_free(w->v);
    memory_free(w->empty);
    memory_free(w->full);
    memory_free(w->sample);
    estimate_fini(&w->pairs);
}

/* The order and the sets of pair number `pair`. */
static void lay_out(walk *w, size_t pair, size_t slot)
{
    size_t p = w->g->players, words = w->g->words;
    uint32_t *order = w->orders + slot * p;
    uint64_t *sets = w->sets + slot * w->a_pair * words;
    if (w->given)
        memcpy(order, w->given + pair * p, p * sizeof *order);
    else
        game_order(w->g, (uint32_t)pair, order);
    for (size_t s = 1; s < p; s++) {
        uint64_t *first = sets + (s - 1) * words;
        if (s > 1)
            memcpy(first, first - words, words * sizeof *first);
        else
            set_clear(first, p);
        set_add(first, order[s - 1]);
        set_complement(sets + (p - 1 + s - 1) * words, first, p);
    }
    if (w->g->is_random)
        set_clear(sets + (w->a_pair - 1) * words, p);
    for (size_t k = 0; k < w->a_pair; k++)
        w->draws[slot * w->a_pair + k] = (uint32_t)pair;
}

/* v of the first s players of an order, and of all but them. */
typedef struct ends {
    double first, rest;
} ends;

static ends ends_at(const walk *w, size_t slot, size_t t, size_t s, double empty)
{
    size_t p = w->g->players, targets = w->g->targets;
    const double *v = w->v + slot * w->a_pair * targets + t;
    if (s == 0)
        return (ends){empty, w->full[t]};
    if (s == p)
        return (ends){w->full[t], empty};
    return (ends){v[(s - 1) * targets], v[(p - 1 + s - 1) * targets]};
}

/* What each player adds in the order and in its reverse, on average. */
static void add_pair(walk *w, size_t slot)
{
    size_t p = w->g->players, targets = w->g->targets;
    const uint32_t *order = w->orders + slot * p;
    for (size_t t = 0; t < targets; t++) {
        double empty = w->g->is_random ? w->v[((slot + 1) * w->a_pair - 1) * targets + t] : w->empty[t];
        ends before = ends_at(w, slot, t, 0, empty);
        for (size_t s = 0; s < p; s++) {
            ends after = ends_at(w, slot, t, s + 1, empty);
            w->sample[order[s]] = (after.first - before.first + (before.rest - after.rest)) / 2;
            before = after;
        }
        w->sample[p] = empty;
        estimate_add(&w->pairs, t, w->sample);
    }
}

/* Up to two players a pair is all there is to know. */
static void write(const walk *w, double *values, double *errors, double *base)
{
    size_t p = w->g->players;
    bool is_known = !w->g->is_random && p <= 2;
    for (size_t t = 0; t < w->g->targets; t++) {
        for (size_t i = 0; i < p; i++) {
            values[t * p + i] = w->pairs.mean[t * (p + 1) + i];
            errors[t * p + i] = is_known ? 0 : estimate_error(&w->pairs, t, i);
        }
        base[t] = w->pairs.mean[t * (p + 1) + p];
    }
}

tkr_status permutation_shapley(const game *g, permutation_options *o, double *values, double *errors, double *base, tkr_error *error)
{
    size_t planned = pairs_paid(g->budget, g->players, g->is_random, o->pairs > 0 ? o->pairs : 1), stride = game_stride(g, planned);
    walk w;
    tkr_status status = walk_init(&w, g, o->orders, planned, error);
    bool is_enough = false;
    for (o->done = 0; !status && o->done < planned && !is_enough;) {
        size_t now = stride - o->done % stride;
        now = now < w.at_once ? now : w.at_once;
        now = now < planned - o->done ? now : planned - o->done;
        for (size_t k = 0; k < now; k++)
            lay_out(&w, o->done + k, k);
        if (w.a_pair > 0)
            status = game_values(g, w.sets, w.draws, now * w.a_pair, w.v, error);
        for (size_t k = 0; !status && k < now; k++)
            add_pair(&w, k);
        if (status)
            break;
        o->done += now;
        write(&w, values, errors, base);
        is_enough = o->done > 1 && (game_is_late(g) || (o->done % SAMPLING_STRIDE == 0 && game_is_enough(g, values, errors)));
    }
    walk_fini(&w);
    return status;
}

/* ---- the method ---- */

static size_t pairs_standard(size_t players)
{
    size_t a_pair = players > 1 ? 2 * (players - 1) : 1, pairs = (EVALUATIONS_STANDARD + a_pair - 1) / a_pair;
    return pairs > PAIRS_LEAST ? pairs : PAIRS_LEAST;
}

static void settle(const question *q, arguments *a)
{
    size_t players = game_players(q), pairs = a->number[PAIRS] > 0 ? (size_t)a->number[PAIRS] : pairs_standard(players);
    a->number[PLAYERS] = (double)players;
    a->number[PAIRS] = (double)pairs_paid(q->session->options.budget_evaluations, players, removal_is_random(q->removal), pairs);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t a_pair = sets_a_pair((size_t)a->number[PLAYERS], true), all = 2 + (uint64_t)a->number[PAIRS] * a_pair;
    uint64_t most = a_pair < SETS_A_CALL ? SETS_A_CALL : a_pair;
    return (method_cost){.evaluations = all, .at_once = all < most ? all : most, .forward = all};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t players = (size_t)a->number[PLAYERS], a_pair = sets_a_pair(players, true), sets = a_pair < SETS_A_CALL ? SETS_A_CALL : a_pair;
    size_t of_set = (set_words(players) + 2 + q->target_count) * sizeof(double);
    return sets * of_set + SETS_A_CALL * sizeof(uint32_t) + estimate_bytes(q->target_count, players + 1) + 4 * players * q->target_count * 8;
}

static tkr_status play_call(game *g, double *values, double *errors, double *base, tkr_error *error)
{
    double *pairs = &g->call->arguments.number[PAIRS];
    permutation_options o = {.pairs = (size_t)*pairs};
    tkr_status status = permutation_shapley(g, &o, values, errors, base, error);
    if (!status)
        game_write(g, values, errors, base);
    *pairs = (double)o.done;
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    tkr_status status = game_run(c, 1, play_call, error);
    return status ? status : method_check_completeness(c, "-M permutation-shapley:pairs=100", error);
}

const method permutation_shapley_method = {
    .facts = {.id = "permutation-shapley",
              .title = "Shapley values from random orders",
              .family = "shapley",
              .summary = "what a feature adds to the target when features are put in one by one, over random orders and their reverses",
              .paper = "Castro, Gomez, Tejada 2009; Mitchell et al. 2022",
              .needs = "forward passes",
              .cost = "2 (n - 1) evaluations a pair of orders, 512 in all or 4 pairs",
              .caveat = "an estimate: look at its standard errors; inputs with most words removed are unlike any text the model knows",
              .is_signed = true,
              .is_additive = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
