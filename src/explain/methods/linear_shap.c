/*
 * "Linear SHAP" as teaching notebooks have it: keep every feature with probability q, and regress y = v(S) - v(N) on who is kept,
 * by plain least squares.
 *
 * It is no Shapley value, however many samples (methods.md 4.6).  With B_i = E[y | i kept] - E[y | i removed] (the Banzhaf value
 * for q = 1/2) and alpha = E[y] - q sum B the limits are
 *     coding=intercept   B_i
 *     coding=kept        B_i + alpha / (1 + (p - 1) q)        the notebook's, no intercept; for q = 1/2: B_i + 2 alpha / (p + 1)
 *     coding=masked      B_i - beta / (1 + (p - 1) (1 - q)),  beta = E[y] + (1 - q) sum B
 * so kept codings shift all scores by about -(sum phi) / p and give many features the wrong sign.  Offered to reproduce and to
 * compare with; the details say what the sum misses.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/coalitions.h"
#include "explain/least_squares.h"
#include "explain/sampling.h"

/* ---- the estimator ---- */

typedef struct linear_fit {
    const game *g;
    set_regression regression;
    const double *full;           /* [targets]                                   */
    uint64_t *sets;               /* [samples][words] drawn                      */
    double *y;                    /* [samples][targets]                          */
    double *room;                 /* coefficients and errors, [targets][columns] */
    double *values, *errors, *intercept;
    double sign;                  /* of a coefficient in its score               */
    size_t shifted;               /* rows that have lost v(N) already            */
} linear_fit;

static void draw_sets(const game *g, double share, size_t count, uint64_t *sets)
{
    random_key key = {.seed = g->seed, .purpose = g->purpose};
    for (size_t k = 0; k < count; k++) {
        key.item = (uint32_t)k;
        for (size_t i = 0; i < g->players; i++)
            if (random_unit(key, i) < share)
                set_add(sets + k * g->words, i);
    }
}

/* Regression of the first rows. */
static tkr_status fit_rows(linear_fit *f, size_t rows, tkr_error *error)
{
    size_t p = f->g->players, targets = f->g->targets, columns = set_regression_columns(&f->regression);
    for (; f->shifted < rows; f->shifted++)
        for (size_t t = 0; t < targets; t++)
            f->y[f->shifted * targets + t] -= f->full[t];
    f->regression.rows = rows;
    double *errors = f->room + targets * columns;
    tkr_status status = set_regression_fit(&f->regression, f->room, errors, error);
    for (size_t t = 0; !status && t < targets; t++) {
        for (size_t i = 0; i < p; i++) {
            f->values[t * p + i] = f->sign * f->room[t * columns + i];
            f->errors[t * p + i] = errors[t * columns + i];
        }
        f->intercept[t] = columns > p ? f->room[t * columns + p] : 0;
    }
    return status;
}

static tkr_status look(void *user, size_t done, bool *is_enough, tkr_error *error)
{
    linear_fit *f = user;
    tkr_status status = fit_rows(f, done, error);
    *is_enough = !status && game_is_enough(f->g, f->values, f->errors);
    return status;
}

static tkr_status play(linear_fit *f, linear_options *o, size_t samples, uint32_t first_draw, tkr_error *error)
{
    const game *g = f->g;
    f->sets = NEW(uint64_t, o->sets ? 1 : samples * g->words);
    f->y = NEW(double, samples * g->targets);
    f->room = NEW(double, 2 * g->targets * (g->players + 1));
    if (!f->sets || !f->y || !f->room)
        return fail_memory(error, "a regression", samples * (g->words + g->targets) * sizeof(double));
    if (!o->sets)
        draw_sets(g, o->share, samples, f->sets);
    f->regression = (set_regression){.players = g->players, .targets = g->targets, .sets = o->sets ? o->sets : f->sets, .values = f->y,
                                     .has_intercept = o->coding == LINEAR_INTERCEPT, .by_removed = o->coding == LINEAR_MASKED};
    f->sign = f->regression.by_removed ? -1 : 1;
    coalition_rows rows = {.sets = f->regression.sets, .count = samples, .least = 2 * g->players + 2, .first_draw = first_draw,
                           .values = f->y, .look = look, .user = f};
    tkr_status status = coalitions_ask(g, &rows, &o->done, error);
    return status ? status : fit_rows(f, o->done, error);
}

tkr_status linear_shap(const game *g, linear_options *o, double *values, double *errors, double *intercept, double *empty,
                       tkr_error *error)
{
    size_t samples = o->samples, empty_draws = g->is_random ? DRAWS_STANDARD : 1;
    double *full = NEW(double, g->targets);
    linear_fit f = {.g = g, .full = full, .values = values, .errors = errors, .intercept = intercept};
    if (!o->sets) {
        uint64_t paid = game_limit(g, samples + 2);
        samples = paid > 3 ? (size_t)paid - 2 : 1;
    }
    if (g->is_random && samples / 4 < empty_draws)
        empty_draws = samples / 4 > 1 ? samples / 4 : 1;
    if (g->is_random && !o->sets)
        samples -= empty_draws - 1;
    o->done = 0;
    tkr_status status = full ? game_ends(g, empty_draws, empty, NULL, full, error) : fail_memory(error, "two ends", g->targets);
    for (size_t t = 0; !status && t < g->targets; t++)
        intercept[t] = 0;
    if (!status && g->players > 0)
        status = play(&f, o, samples, g->is_random ? (uint32_t)empty_draws : 0, error);
    memory_free(f.sets);
    memory_free(f.y);
    memory_free(f.room);
    memory_free(full);
    return status;
}

/* ---- the method ---- */

enum { CODING, SAMPLES, SHARE };
static const parameter parameters[] = {
    CHOICE_PARAMETER("coding", "kept", "kept|masked|intercept",
                     "what is regressed on: who is kept, or removed, both without an intercept; who is kept, with one"),
    INT_PARAMETER("samples", 0, 0, 10000000, "random sets; 0: max(200, 10n)"),
    REAL_PARAMETER("share", 0.5, 0.01, 0.99, "probability that a feature is kept"),
    END_PARAMETERS};

static linear_coding coding_of(const arguments *a)
{
    return view_is(a->text[CODING], "masked") ? LINEAR_MASKED : view_is(a->text[CODING], "intercept") ? LINEAR_INTERCEPT : LINEAR_KEPT;
}

static void settle(const question *q, arguments *a)
{
    double samples = a->number[SAMPLES] > 0 ? a->number[SAMPLES] : fmax(200, 10 * (double)game_players(q));
    a->number[SAMPLES] = fmax(1, sampling_draws(q, samples + 2, 1) - 2);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t asked = (uint64_t)a->number[SAMPLES] + 2;
    return (method_cost){.evaluations = asked, .at_once = asked, .forward = asked};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t p = q->feature_count + 1, rows = (size_t)a->number[SAMPLES] + 1;
    size_t sets = rows * (set_words(p) * sizeof(uint64_t) + q->target_count * sizeof(double));
    return sets + (6 * p * p + 6 * q->target_count * p) * sizeof(double);
}

static const char *const details[] = {"sum", "full_minus_empty", "intercept", NULL};
enum { DETAIL_SUM, DETAIL_DELTA, DETAIL_INTERCEPT, DETAILS };

/* details from values [targets][players], intercept and empty [targets]. */
static void tell(method_call *c, const game *g, const linear_options *o, const double *values, const double *intercept, const double *empty)
{
    c->arguments.number[SAMPLES] = (double)o->done;
    for (size_t t = 0; t < g->targets; t++) {
        double *row = c->details + t * DETAILS;
        row[DETAIL_SUM] = 0;
        for (size_t i = 0; i < g->players; i++)
            row[DETAIL_SUM] += values[t * g->players + i];
        row[DETAIL_DELTA] = c->q->targets[t].value - empty[t];
        row[DETAIL_INTERCEPT] = o->coding == LINEAR_INTERCEPT ? intercept[t] : (double)NAN;
    }
}

static tkr_status play_call(game *g, double *values, double *errors, double *more, tkr_error *error)
{
    const arguments *a = &g->call->arguments;
    double *intercept = more, *empty = more + g->targets;
    linear_options o = {.coding = coding_of(a), .samples = (size_t)a->number[SAMPLES], .share = a->number[SHARE]};
    tkr_status status = linear_shap(g, &o, values, errors, intercept, empty, error);
    if (status)
        return status;
    game_write(g, values, errors, NULL);
    tell(g->call, g, &o, values, intercept, empty);
    return TKR_OK;
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 2, play_call, error); }

static const char *const aliases[] = {"linearshap", NULL};

const method linear_shap_method = {
    .facts = {.id = "linear-shap",
              .title = "linear SHAP of notebooks",
              .family = "shapley",
              .summary = "plain least squares over random sets of features, as in teaching notebooks",
              .paper = "Hammer and Holzman 1992, for what its limit is",
              .needs = "forward passes",
              .cost = "max(200, 10n) evaluations",
              .caveat = "not a Shapley value: without an intercept all scores are shifted alike and many have the wrong sign",
              .is_signed = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .details = details,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
