/*
 * Banzhaf values (Penrose 1946; Banzhaf 1965): what a feature adds, averaged over all sets of the others with the same weight.
 * Shapley values give every size of set the same weight instead, so the sizes in the middle, most of all sets, count for more
 * here.  Less noise in v reaches them (Wang and Jia 2023), but they do not sum to v(all) - v(none).
 *
 * Exact over all sets, or sampled with maximum sample reuse (ibid.): sets in which each feature is with probability 1/2, and for
 * each feature the mean of v over the sets that have it less the mean over those that do not.  One set serves all features.  The
 * second set is the complement of the first, so that no feature lacks one of the two means; each mean stays unbiased.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/every_set.h"
#include "explain/estimators.h"
#include "explain/sampling.h"

/* PLAYERS is no parameter: settled, what cost and held count with. */
enum { EXACT, SAMPLES, DRAWS, PLAYERS = PARAMETERS_MOST - 1 };
enum { EXACT_MOST = 20, SAMPLES_LEAST = 3 };
static const parameter parameters[] = {
    INT_PARAMETER("exact", 12, 0, 20, "all sets of up to so many features; more are sampled"),
    INT_PARAMETER("samples", 2000, 10, 100000000, "random sets, where not all are asked"),
    INT_PARAMETER("draws", 20, 1, 100000, "replacements that a random removal is averaged over, where all sets are asked"),
    END_PARAMETERS};

/* ---- exact ---- */

static tkr_status play_draw(void *user, const game *g, uint32_t draw, double *out, tkr_error *error)
{
    (void)user;
    double same[EXACT_MOST + 1];
    for (size_t s = 0; s <= g->players; s++)
        same[s] = ldexp(1, 1 - (int)g->players);
    double *empty = NEW(double, g->targets);
    tkr_status status = empty ? semivalues(g, draw, same, same, out, empty, error) : fail_memory(error, "values of targets", g->targets);
    memory_free(empty);
    return status;
}

/* Draws of all sets that a budget pays; 0: not even two, or not all sets once. */
static size_t draws_paid(uint64_t budget, size_t players, size_t draws)
{
    uint64_t paid = budget / every_set_count(players), least = draws < 2 ? 1 : 2;
    return budget == 0 || paid >= draws ? draws : paid >= least ? (size_t)paid : 0;
}

/* Draws to play exactly; 0: sample. */
static size_t exact_draws(uint64_t budget, size_t players, bool is_random, size_t exact, size_t draws)
{
    if (players > exact || players > EXACT_MOST)
        return 0;
    return draws_paid(budget, players, is_random && draws > 0 ? draws : 1);
}

/* ---- sampled: of each target and player the mean and spread (Welford) of v over the sets with it [1] and without [0] ---- */

typedef struct reuse {
    const game *g;
    size_t *count[2];              /* [players]          */
    double *mean[2], *spread[2];   /* [targets][players] */
    uint64_t *sets;                /* [SETS_AT_ONCE][words] */
    uint32_t *draws;
    double *v;                     /* [SETS_AT_ONCE][targets] */
} reuse;

static tkr_status reuse_init(reuse *r, const game *g, tkr_error *error)
{
    *r = (reuse){.g = g, .sets = NEW(uint64_t, SETS_AT_ONCE * g->words), .draws = NEW(uint32_t, SETS_AT_ONCE),
                 .v = NEW(double, SETS_AT_ONCE * g->targets)};
    bool ok = r->sets && r->draws && r->v;
    for (size_t with = 0; with < 2; with++) {
        r->count[with] = NEW(size_t, g->players);
        r->mean[with] = NEW(double, g->targets * g->players);
        r->spread[with] = NEW(double, g->targets * g->players);
        ok = ok && r->count[with] && r->mean[with] && r->spread[with];
    }
    return ok ? TKR_OK : fail_memory(error, "means over sets", 6 * g->targets * g->players);
}

static void reuse_fini(reuse *r)
{
    for (size_t with = 0; with < 2; with++) {
        memory_free(r->count[with]);
        memory_free(r->mean[with]);
        memory_free(r->spread[with]);
    }
    memory_free(r->sets);
    memory_free(r->draws);
    memory_free(r->v);
}

/* Set number `sample`: a coin a player. */
static void toss(const game *g, size_t sample, uint64_t *set)
{
    random_key key = {.seed = g->seed, .purpose = g->purpose, .item = sample == 1 ? 0 : (uint32_t)sample};
    for (size_t w = 0; w < g->words; w++) {
        uint64_t coins = (uint64_t)random_u32(key, 2 * w) << 32 | random_u32(key, 2 * w + 1);
        set[w] = (sample == 1 ? ~coins : coins) & set_full_word(g->players, w);
    }
}

static void add_sample(reuse *r, const uint64_t *set, const double *v)
{
    size_t p = r->g->players;
    for (size_t i = 0; i < p; i++) {
        bool with = set_has(set, i);
        double n = (double)++r->count[with][i];
        for (size_t t = 0; t < r->g->targets; t++) {
            double *mean = &r->mean[with][t * p + i], before = v[t] - *mean;
            *mean += before / n;
            r->spread[with][t * p + i] += before * (v[t] - *mean);
        }
    }
}

/* A mean of one value has no deviation of its own: it takes the other's. */
static void write(const reuse *r, double *values, double *errors)
{
    size_t p = r->g->players;
    for (size_t at = 0; at < r->g->targets * p; at++) {
        double n[2], variance[2];
        for (size_t with = 0; with < 2; with++) {
            n[with] = (double)r->count[with][at % p];
            variance[with] = n[with] > 1 ? r->spread[with][at] / (n[with] - 1) : (double)NAN;
        }
        for (size_t with = 0; with < 2; with++)
            variance[with] = isnan(variance[with]) ? variance[!with] : variance[with];
        values[at] = r->mean[1][at] - r->mean[0][at];
        errors[at] = sqrt(variance[0] / n[0] + variance[1] / n[1]);
    }
}

static size_t samples_paid(uint64_t budget, size_t samples)
{
    uint64_t paid = budget > 0 && budget < samples ? budget : samples;
    return paid > SAMPLES_LEAST ? (size_t)paid : SAMPLES_LEAST;
}

static tkr_status sample(const game *g, size_t samples, double *values, double *errors, size_t *done, tkr_error *error)
{
    size_t planned = samples_paid(g->budget, samples), stride = game_stride(g, planned);
    reuse r;
    tkr_status status = reuse_init(&r, g, error);
    bool is_enough = false;
    for (*done = 0; !status && *done < planned && !is_enough;) {
        size_t now = stride - *done % stride;
        now = now < SETS_AT_ONCE ? now : SETS_AT_ONCE;
        now = now < planned - *done ? now : planned - *done;
        for (size_t k = 0; k < now; k++) {
            toss(g, *done + k, r.sets + k * g->words);
            r.draws[k] = (uint32_t)(*done + k);
        }
        status = game_values(g, r.sets, r.draws, now, r.v, error);
        for (size_t k = 0; !status && k < now; k++)
            add_sample(&r, r.sets + k * g->words, r.v + k * g->targets);
        if (status)
            break;
        *done += now;
        write(&r, values, errors);
        is_enough = *done >= SAMPLES_LEAST && (game_is_late(g) || (*done % SAMPLING_STRIDE == 0 && game_is_enough(g, values, errors)));
    }
    reuse_fini(&r);
    return status;
}

/* done: samples taken, or draws of all sets. */
static tkr_status play(const game *g, const banzhaf_options *o, double *values, double *errors, size_t *done, tkr_error *error)
{
    size_t draws = exact_draws(g->budget, g->players, g->is_random, o->exact, o->draws);
    return draws > 0 ? game_over_draws(g, draws, g->targets * g->players, play_draw, NULL, values, errors, done, error)
                     : sample(g, o->samples, values, errors, done, error);
}

tkr_status banzhaf(const game *g, const banzhaf_options *o, double *values, double *errors, tkr_error *error)
{
    size_t done;
    return play(g, o, values, errors, &done, error);
}

/* ---- the method ---- */

static size_t exact_draws_of(const question *q, const arguments *a)
{
    return exact_draws(q->session->options.budget_evaluations, (size_t)a->number[PLAYERS], removal_is_random(q->removal),
                       (size_t)a->number[EXACT], (size_t)a->number[DRAWS]);
}

/* What is not used becomes what it stands for: exact=0 samples, draws=1 of what is not random. */
static void settle(const question *q, arguments *a)
{
    a->number[PLAYERS] = (double)game_players(q);
    size_t draws = exact_draws_of(q, a);
    if (draws > 0) {
        a->number[DRAWS] = (double)draws;
        return;
    }
    a->number[EXACT] = 0;
    a->number[SAMPLES] = (double)samples_paid(q->session->options.budget_evaluations, (size_t)a->number[SAMPLES]);
}

static bool is_exact(const arguments *a) { return a->number[PLAYERS] <= a->number[EXACT]; }

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t all = is_exact(a) ? every_set_count((size_t)a->number[PLAYERS]) * (uint64_t)a->number[DRAWS] : (uint64_t)a->number[SAMPLES];
    return (method_cost){.evaluations = all, .at_once = all < SETS_AT_ONCE ? all : SETS_AT_ONCE, .forward = all};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t players = (size_t)a->number[PLAYERS];
    return every_set_bytes(q->target_count) + SETS_AT_ONCE * set_words(players) * sizeof(uint64_t) + q->target_count * players * 10 * sizeof(double);
}

static tkr_status play_call(game *g, double *values, double *errors, double *more, tkr_error *error)
{
    (void)more;
    arguments *a = &g->call->arguments;
    size_t done = 0;
    banzhaf_options o = {.exact = (size_t)a->number[EXACT], .samples = (size_t)a->number[SAMPLES], .draws = (size_t)a->number[DRAWS]};
    tkr_status status = play(g, &o, values, errors, &done, error);
    if (!status)
        game_write(g, values, errors, NULL);
    a->number[is_exact(a) ? DRAWS : SAMPLES] = (double)done;
    return status;
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 0, play_call, error); }

const method banzhaf_method = {
    .facts = {.id = "banzhaf",
              .title = "Banzhaf values",
              .family = "shapley",
              .summary = "what a feature adds to the target, averaged over all sets of the other features alike",
              .paper = "Banzhaf 1965; Wang and Jia 2023",
              .needs = "forward passes",
              .cost = "2^n evaluations up to 12 features, else 2000",
              .caveat = "scores do not sum to anything; half of the words are missing in most of what the model is asked",
              .is_signed = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
