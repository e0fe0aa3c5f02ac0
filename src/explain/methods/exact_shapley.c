/*
 * Exact Shapley values (Shapley 1953): feature i gets the mean, over all orders in which the features could be put in, of what
 * it adds.  Each order has the same weight, so a set S has the weight |S|! (p - |S| - 1)! / p!; all 2^p sets are asked once and
 * serve all features (methods.md 4.3).
 *
 * Additive: the scores sum to v(all) - v(none).  Random removals: the game is played once a draw, and v is its mean.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/every_set.h"
#include "explain/estimators.h"

/* PLAYERS is no parameter: settled, what cost and check count with. */
enum { DRAWS, PLAYERS = PARAMETERS_MOST - 1 };
static const parameter parameters[] = {
    INT_PARAMETER("draws", 20, 1, 100000, "replacements that a random removal is averaged over"),
    END_PARAMETERS};

/* ---- the estimator ---- */

typedef struct exact {
    double gain[EXACT_PLAYERS_MOST + 2], loss[EXACT_PLAYERS_MOST + 2]; /* weights by size: of sets with the player, without */
    double *base;                                                      /* [targets] mean v(none) so far                     */
    double *empty;                                                     /* [targets] of one draw                             */
    size_t played;
} exact;

static void fill_weights(exact *e, size_t p)
{
    if (p > 0)
        e->gain[1] = 1 / (double)p;
    for (size_t s = 1; s < p; s++)
        e->gain[s + 1] = e->gain[s] * (double)s / (double)(p - s);
    for (size_t s = 0; s < p; s++)
        e->loss[s] = e->gain[s + 1];
}

static tkr_status play_draw(void *user, const game *g, uint32_t draw, double *out, tkr_error *error)
{
    exact *e = user;
    tkr_status status = semivalues(g, draw, e->gain, e->loss, out, e->empty, error);
    if (status)
        return status;
    e->played++;
    for (size_t t = 0; t < g->targets; t++)
        e->base[t] += (e->empty[t] - e->base[t]) / (double)e->played;
    return TKR_OK;
}

/* Draws that a budget pays, two at least: one has no error. */
static size_t draws_paid(uint64_t budget, size_t players, size_t draws)
{
    uint64_t paid = budget / every_set_count(players);
    return budget == 0 || paid >= draws ? draws : draws < 2 ? draws : paid < 2 ? 2 : (size_t)paid;
}

static tkr_status play(const game *g, size_t draws, double *values, double *errors, double *base, size_t *done, tkr_error *error)
{
    if (g->players > EXACT_PLAYERS_MOST)
        return fail(error, TKR_E_LIMIT_EVALS, "exact Shapley values of %zu players; at most %d", g->players, EXACT_PLAYERS_MOST);
    exact e = {.base = base, .empty = NEW(double, g->targets)};
    if (!e.empty)
        return fail_memory(error, "values of targets", g->targets);
    fill_weights(&e, g->players);
    for (size_t t = 0; t < g->targets; t++)
        base[t] = 0;
    tkr_status status = game_over_draws(g, draws_paid(g->budget, g->players, draws), g->targets * g->players, play_draw, &e, values,
                                        errors, done, error);
    memory_free(e.empty);
    return status;
}

tkr_status exact_shapley(const game *g, size_t draws, double *values, double *errors, double *base, tkr_error *error)
{
    return play(g, draws, values, errors, base, NULL, error);
}

/* ---- the method ---- */

static void settle(const question *q, arguments *a)
{
    size_t players = game_players(q), draws = removal_is_random(q->removal) ? (size_t)a->number[DRAWS] : 1;
    a->number[PLAYERS] = (double)players;
    a->number[DRAWS] = (double)draws_paid(q->session->options.budget_evaluations, players, draws);
}

static uint64_t sets_of(const arguments *a)
{
    size_t players = (size_t)a->number[PLAYERS];
    return every_set_count(players < EXACT_PLAYERS_MOST ? players : EXACT_PLAYERS_MOST);
}

/* "16777216", or "2^70" of what has no such number. */
static const char *power_text(char room[32], size_t players, uint64_t draws)
{
    if (players < 48)
        snprintf(room, 32, "%" PRIu64, every_set_count(players) * draws);
    else
        snprintf(room, 32, "2^%zu", players);
    return room;
}

static tkr_status refuse(const question *q, size_t players, uint64_t draws, uint64_t most, tkr_error *error)
{
    char needed[32];
    size_t fit = 0;
    while (fit < EXACT_PLAYERS_MOST && every_set_count(fit + 1) * draws <= most)
        fit++;
    bool is_budget = players <= EXACT_PLAYERS_MOST;
    fail(error, TKR_E_LIMIT_EVALS, "exact-shapley needs %s evaluations for %zu %s; %s %" PRIu64 " (%zu %s)",
         power_text(needed, players, draws), players, q->feature_kind, is_budget ? "the budget is" : "at most", most, fit,
         q->feature_kind);
    if (is_budget)
        fail_help(error, "--budget %s, or -M shap", needed);
    else
        fail_help(error, "-M shap");
    fail_field(error, is_budget ? "budget" : "methods", -1, 0);
    return error ? error->code : TKR_E_LIMIT_EVALS;
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    size_t players = (size_t)a->number[PLAYERS];
    uint64_t budget = q->session->options.budget_evaluations, draws = a->number[DRAWS] > 1 ? 2 : 1;
    if (players > EXACT_PLAYERS_MOST)
        return refuse(q, players, 1, every_set_count(EXACT_PLAYERS_MOST), error);
    if (budget > 0 && every_set_count(players) * draws > budget)
        return refuse(q, players, draws, budget, error);
    return TKR_OK;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t sets = sets_of(a), all = sets * (uint64_t)a->number[DRAWS];
    return (method_cost){.evaluations = all, .at_once = sets < SETS_AT_ONCE ? sets : SETS_AT_ONCE, .forward = all};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    return every_set_bytes(q->target_count) + q->target_count * (size_t)a->number[PLAYERS] * 8 * sizeof(double);
}

static tkr_status play_call(game *g, double *values, double *errors, double *base, tkr_error *error)
{
    double *asked = &g->call->arguments.number[DRAWS];
    size_t draws = (size_t)*asked;
    tkr_status status = play(g, draws, values, errors, base, &draws, error);
    if (!status)
        game_write(g, values, errors, base);
    *asked = (double)draws;
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    tkr_status status = game_run(c, 1, play_call, error);
    return status ? status : method_check_completeness(c, "-M permutation-shapley", error);
}

const method exact_shapley_method = {
    .facts = {.id = "exact-shapley",
              .title = "exact Shapley values",
              .family = "shapley",
              .summary = "what a feature adds to the target, averaged over all orders of putting features in",
              .paper = "Shapley 1953; Lundberg and Lee 2017",
              .needs = "forward passes",
              .cost = "2^n evaluations, n at most 20",
              .caveat = "inputs with most words removed are unlike any text the model knows; depends on the removal",
              .is_signed = true,
              .is_additive = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .settle = settle,
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
