/*
 * Occlusion (Zeiler and Fergus 2014; Li et al. 2016; methods.md 4.1): what the target loses when a window of features is taken
 * out, f(x) - f(x without the window); or, keep=only, what a window gives alone, f(only the window) - f(nothing).
 *
 * Windows are `window` neighbouring features wide and begin every `stride` features; the last may be shorter.  A feature's score is
 * the mean over the windows that it is in.  One window is one feature unless asked for: leave one out.  Removals that are not
 * random need exactly one evaluation a window and have no error; random ones are averaged over draws, with the same draw for all
 * windows, so that what they have in common cancels.
 *
 * Not additive: features that stand in for each other all get little.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "explain/estimators.h"

/* EVALUATIONS is no parameter: settled, of one draw. */
enum { KEEP, WINDOW, STRIDE, DRAWS, EVALUATIONS = PARAMETERS_MOST - 1 };
static const parameter parameters[] = {
    CHOICE_PARAMETER("keep", "out", "out|only", "out: the window is taken out; only: all else is"),
    INT_PARAMETER("window", 1, 1, 2048, "features that are taken out together"),
    INT_PARAMETER("stride", 1, 1, 2048, "features from the beginning of a window to that of the next"),
    INT_PARAMETER("draws", 20, 2, 100000, "replacements that a random removal is averaged over"),
    END_PARAMETERS};

enum { DRAWS_LEAST = 2 };

/* ---- the estimator ---- */

/* Windows begin at 0, stride, ...; the last reaches the end. */
static size_t count_windows(size_t players, size_t width, size_t stride)
{
    if (players == 0)
        return 0;
    size_t begins = players > width ? (players - width) / stride + 1 : 1;
    return begins + ((begins - 1) * stride + width < players);
}

static size_t window_end(const occlusion_options *o, size_t window, size_t players)
{
    size_t end = window * o->stride + o->window;
    return end < players ? end : players;
}

/* Scores of all windows under one draw. */
typedef struct occlusion_play {
    const occlusion_options *o;
    const double *full;  /* [targets] f(x)                                          */
    size_t windows;
    uint64_t *sets;      /* [windows + 1][words] the last is empty                  */
    uint32_t *draws;     /* [windows + 1]                                           */
    double *values;      /* [windows + 1][targets]                                  */
    double *sum;         /* [players] of one target                                 */
    size_t *count;       /* [players] windows that a player is in                   */
} occlusion_play;

static void fill_sets(occlusion_play *x, const game *g)
{
    for (size_t w = 0; w < x->windows; w++) {
        uint64_t *set = x->sets + w * g->words;
        if (x->o->keeps_only)
            set_clear(set, g->players);
        else
            set_fill(set, g->players);
        for (size_t p = w * x->o->stride; p < window_end(x->o, w, g->players); p++) {
            x->count[p]++;
            if (x->o->keeps_only)
                set_add(set, p);
            else
                set_drop(set, p);
        }
    }
    set_clear(x->sets + x->windows * g->words, g->players);
}

static void spread(occlusion_play *x, const game *g, size_t t, double *out)
{
    const double *none = x->values + x->windows * g->targets;
    memset(x->sum, 0, g->players * sizeof *x->sum);
    for (size_t w = 0; w < x->windows; w++) {
        double value = x->values[w * g->targets + t], gain = x->o->keeps_only ? value - none[t] : x->full[t] - value;
        for (size_t p = w * x->o->stride; p < window_end(x->o, w, g->players); p++)
            x->sum[p] += gain;
    }
    for (size_t p = 0; p < g->players; p++) /* a stride beyond the width leaves players out */
        out[t * g->players + p] = x->count[p] ? x->sum[p] / (double)x->count[p] : 0;
}

static tkr_status play_draw(void *user, const game *g, uint32_t draw, double *out, tkr_error *error)
{
    occlusion_play *x = user;
    size_t asked = x->windows + x->o->keeps_only;
    for (size_t i = 0; i < asked; i++)
        x->draws[i] = draw;
    tkr_status status = game_values(g, x->sets, x->draws, asked, x->values, error);
    for (size_t t = 0; !status && t < g->targets; t++)
        spread(x, g, t, out);
    return status;
}

tkr_status occlusion(const game *g, occlusion_options *o, const double *full, double *values, double *errors, tkr_error *error)
{
    occlusion_play x = {.o = o, .full = full, .windows = count_windows(g->players, o->window, o->stride)};
    x.sets = NEW(uint64_t, (x.windows + 1) * (g->words ? g->words : 1));
    x.draws = NEW(uint32_t, x.windows + 1);
    x.values = NEW(double, (x.windows + 1) * g->targets);
    x.sum = NEW(double, g->players);
    x.count = NEW(size_t, g->players);
    bool ok = x.sets && x.draws && x.values && x.sum && x.count;
    tkr_status status = ok ? TKR_OK : fail_memory(error, "occlusion", x.windows);
    if (!status && g->players > 0) {
        fill_sets(&x, g);
        status = game_over_draws(g, o->draws, g->targets * g->players, play_draw, &x, values, errors, &o->done, error);
    }
    memory_free(x.sets);
    memory_free(x.draws);
    memory_free(x.values);
    memory_free(x.sum);
    memory_free(x.count);
    return status;
}

/* ---- the method ---- */

static bool keeps_only(const arguments *a) { return view_is(a->text[KEEP], "only"); }

/* Draws that the budget pays, two at least; one where the removal is not random. */
static void settle(const question *q, arguments *a)
{
    size_t windows = count_windows(game_players(q), (size_t)a->number[WINDOW], (size_t)a->number[STRIDE]);
    uint64_t each = windows + keeps_only(a), paid = each ? q->session->options.budget_evaluations / each : 0;
    a->number[EVALUATIONS] = (double)each;
    if (!removal_is_random(q->removal))
        a->number[DRAWS] = 1;
    else if (q->session->options.budget_evaluations > 0 && (double)paid < a->number[DRAWS])
        a->number[DRAWS] = paid < DRAWS_LEAST ? DRAWS_LEAST : (double)paid;
}

/* Windows must cover everything. */
static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    (void)q;
    if (a->number[STRIDE] <= a->number[WINDOW])
        return TKR_OK;
    fail(error, TKR_E_USAGE_RANGE, "occlusion: stride %.0f is above window %.0f and would leave features out", a->number[STRIDE], a->number[WINDOW]);
    fail_field(error, "methods", -1, 0);
    return TKR_E_USAGE_RANGE;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t each = (uint64_t)a->number[EVALUATIONS], all = each * (uint64_t)a->number[DRAWS];
    return (method_cost){.evaluations = all, .at_once = each, .forward = all};
}

static tkr_status play_call(game *g, double *values, double *errors, double *full, tkr_error *error)
{
    arguments *a = &g->call->arguments;
    occlusion_options o = {.keeps_only = keeps_only(a), .window = (size_t)a->number[WINDOW], .stride = (size_t)a->number[STRIDE],
                           .draws = (size_t)a->number[DRAWS], .done = 1};
    for (size_t t = 0; t < g->targets; t++)
        full[t] = g->call->q->targets[t].value;
    tkr_status status = occlusion(g, &o, full, values, errors, error);
    if (!status)
        game_write(g, values, errors, NULL);
    a->number[DRAWS] = (double)o.done;
    return status;
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 1, play_call, error); }

static const char *const aliases[] = {"leave-one-out", "loo", NULL};

const method occlusion_method = {
    .facts = {.id = "occlusion",
              .title = "occlusion",
              .family = "perturbation",
              .summary = "how much the target falls when a feature alone is removed",
              .paper = "Zeiler and Fergus 2014; Li et al. 2016",
              .needs = "forward passes",
              .cost = "n evaluations, times draws for random removals",
              .caveat = "features that can stand in for each other all look unimportant; depends on the removal",
              .is_signed = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .is_fast = true,
    .settle = settle,
    .check = check,
    .cost = cost,
    .run = run,
};
