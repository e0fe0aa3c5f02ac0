/*
 * LIME for text (Ribeiro, Singh, Guestrin 2016), methods.md 4.8: random sets of features are removed, and the target is regressed on
 * who is kept, near sets counting more.
 *
 * The number removed is uniform on 1 .. p, the set uniform, the first sample the input itself; weight exp(-(1 - sqrt(s/p))^2 /
 * width^2), which with width = 0.25 sqrt 2 is that of the lime package; ridge regression with an unpenalised intercept, all features
 * in it.  Errors are those of the fit (HC1).  What goes wrong: the scores depend on width and on the penalty, which pulls all of
 * them towards 0 (weights are small, so alpha = 1 is not), and they sum to nothing in particular.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/coalitions.h"
#include "explain/least_squares.h"
#include "explain/sampling.h"

/* ---- the estimator ---- */

typedef struct lime_fit {
    const game *g;
    set_regression regression;
    uint64_t *sets;               /* [samples][words] drawn                          */
    double *y, *weights;          /* [samples][targets], [samples]                   */
    double *room;                 /* coefficients and errors, [targets][players + 1] */
    double *values, *errors, *intercept, *r2;
} lime_fit;

/* The first set is full: nothing is removed. */
static void draw_sets(const game *g, size_t count, uint64_t *sets)
{
    random_key key = {.seed = g->seed, .purpose = g->purpose};
    for (size_t k = 0; k < count; k++) {
        uint64_t *set = sets + k * g->words, index = 0;
        key.item = (uint32_t)k;
        if (k > 0)
            coalition_draw(key, &index, g->players, 1 + random_below(key, g->players, (uint32_t)g->players), set);
        set_complement(set, set, g->players);
    }
}

static double weight_of(const game *g, const uint64_t *set, double width)
{
    double distance = 1 - sqrt((double)set_size(set, g->players) / (double)g->players);
    return exp(-distance * distance / (width * width));
}

/* Regression of the first rows. */
static tkr_status fit_rows(lime_fit *f, size_t rows, tkr_error *error)
{
    size_t p = f->g->players, targets = f->g->targets, columns = p + 1;
    double *errors = f->room + targets * columns;
    f->regression.rows = rows;
    tkr_status status = set_regression_fit(&f->regression, f->room, errors, error);
    for (size_t t = 0; !status && t < targets; t++) {
        for (size_t i = 0; i < p; i++) {
            f->values[t * p + i] = f->room[t * columns + i];
            f->errors[t * p + i] = errors[t * columns + i];
        }
        f->intercept[t] = f->room[t * columns + p];
        f->r2[t] = set_regression_r2(&f->regression, t, f->room + t * columns);
    }
    return status;
}

static tkr_status look(void *user, size_t done, bool *is_enough, tkr_error *error)
{
    lime_fit *f = user;
    tkr_status status = fit_rows(f, done, error);
    *is_enough = !status && game_is_enough(f->g, f->values, f->errors);
    return status;
}

static tkr_status play(lime_fit *f, lime_options *o, size_t samples, tkr_error *error)
{
    const game *g = f->g;
    f->sets = NEW(uint64_t, o->sets ? 1 : samples * g->words);
    f->y = NEW(double, samples * g->targets);
    f->weights = NEW(double, samples);
    f->room = NEW(double, 2 * g->targets * (g->players + 1));
    if (!f->sets || !f->y || !f->weights || !f->room)
        return fail_memory(error, "a regression", samples * (g->words + g->targets) * sizeof(double));
    if (!o->sets)
        draw_sets(g, samples, f->sets);
    f->regression = (set_regression){.players = g->players, .targets = g->targets, .sets = o->sets ? o->sets : f->sets, .values = f->y,
                                     .weights = f->weights, .has_intercept = true, .ridge = o->alpha};
    for (size_t k = 0; k < samples; k++)
        f->weights[k] = weight_of(g, f->regression.sets + k * g->words, o->width);
    coalition_rows rows = {.sets = f->regression.sets, .count = samples, .least = 2 * g->players + 2, .values = f->y, .look = look, .user = f};
    tkr_status status = coalitions_ask(g, &rows, &o->done, error);
    return status ? status : fit_rows(f, o->done, error);
}

tkr_status lime(const game *g, lime_options *o, double *values, double *errors, double *intercept, double *r2, tkr_error *error)
{
    lime_fit f = {.g = g, .values = values, .errors = errors, .intercept = intercept, .r2 = r2};
    size_t samples = o->sets ? o->samples : (size_t)game_limit(g, o->samples);
    o->done = 0;
    tkr_status status = TKR_OK;
    if (g->players > 0)
        status = play(&f, o, samples ? samples : 1, error);
    memory_free(f.sets);
    memory_free(f.y);
    memory_free(f.weights);
    memory_free(f.room);
    return status;
}

/* ---- the method ---- */

enum { SAMPLES, WIDTH, ALPHA };
static const parameter parameters[] = {
    INT_PARAMETER("samples", 0, 0, 10000000, "random sets, the input itself among them; 0: max(500, 10n)"),
    REAL_PARAMETER("width", 0.35355339059327376, 0.001, 1000000, "of the weights: smaller, and only sets near the input count"),
    REAL_PARAMETER("alpha", 1, 0, 1000000, "penalty of the squares of the coefficients"),
    END_PARAMETERS};

static void settle(const question *q, arguments *a)
{
    double samples = a->number[SAMPLES] > 0 ? a->number[SAMPLES] : fmax(500, 10 * (double)game_players(q));
    a->number[SAMPLES] = sampling_draws(q, samples, 1);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t asked = (uint64_t)a->number[SAMPLES];
    return (method_cost){.evaluations = asked, .at_once = asked, .forward = asked};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t p = q->feature_count + 1, rows = (size_t)a->number[SAMPLES] + 1;
    size_t sets = rows * (set_words(p) * sizeof(uint64_t) + (q->target_count + 1) * sizeof(double));
    return sets + (6 * p * p + 6 * q->target_count * p) * sizeof(double);
}

static const char *const details[] = {"intercept", "weighted_r2", NULL};
enum { DETAIL_INTERCEPT, DETAIL_R2, DETAILS };

static tkr_status play_call(game *g, double *values, double *errors, double *more, tkr_error *error)
{
    method_call *c = g->call;
    double *number = c->arguments.number, *intercept = more, *r2 = more + g->targets;
    lime_options o = {.samples = (size_t)number[SAMPLES], .width = number[WIDTH], .alpha = number[ALPHA]};
    tkr_status status = lime(g, &o, values, errors, intercept, r2, error);
    if (status)
        return status;
    game_write(g, values, errors, NULL);
    for (size_t t = 0; t < g->targets; t++) {
        c->details[t * DETAILS + DETAIL_INTERCEPT] = intercept[t];
        c->details[t * DETAILS + DETAIL_R2] = r2[t];
    }
    number[SAMPLES] = (double)o.done;
    return TKR_OK;
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 2, play_call, error); }

const method lime_method = {
    .facts = {.id = "lime",
              .title = "LIME",
              .family = "surrogate",
              .summary = "a linear model of the target around the input, fitted to random removals",
              .paper = "Ribeiro, Singh, Guestrin 2016",
              .needs = "forward passes",
              .cost = "max(500, 10n) evaluations",
              .caveat = "scores depend on width and penalty, sum to nothing in particular, and are as good as the fit (weighted_r2)",
              .is_signed = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .details = details,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
