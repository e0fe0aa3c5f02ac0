/*
 * KernelSHAP (Lundberg and Lee 2017): Shapley values as a weighted regression of v on sets, sum phi = v(N) - v(empty) exactly.
 *
 * Solved in half differences (methods.md 4.5): with x = z - s/p and d = (v(S) - v(N less S)) / 2 - Delta (s/p - 1/2) for one set of
 * each pair, phi = psi + Delta/p and psi solves G psi = sum omega x d, G = sum omega x x'.  That equals the constrained regression
 * on both sets; the even part of the game is gone, so games of order 2 are exact once the x have rank p - 1.  G has the null
 * direction 1; adding a multiple of 1 1' fixes it and leaves psi as it is.  All targets share G.
 *
 * Errors: G^-1 times what each pair adds, x (d - x psi), whose variance is taken inside the strata of the design (coalitions.h).
 * What the fit itself takes from the residuals is given back, K / (K - p + 1) of K pairs; they know nothing of a removal's bias.
 * What goes wrong: fewer than p - 1 independent pairs, where the shortest solution stands in and errors are unknown.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/coalitions.h"
#include "explain/estimate.h"
#include "explain/least_squares.h"
#include "explain/sampling.h"

enum { EMPTY_DRAWS = 50 }; /* of v(empty) under a random removal */

/* ---- the regression ---- */

typedef struct fit {
    const game *g;
    const uint64_t *sets;              /* [rows][words]                              */
    const uint32_t *stratum;           /* [rows]; NULL: one                          */
    const double *omega;               /* [rows] given weights; NULL: the strata's   */
    const coalition_stratum *strata;
    size_t stratum_count;
    const double *delta, *empty_error; /* [targets]                                  */
    double *half;                      /* [rows][targets] half differences           */
    double *gram, *inverse;            /* [players][players]                         */
    double *right, *psi;               /* [targets][players]                         */
    double *x, *h;                     /* [players] of one row                       */
    size_t *drawn;                     /* [strata] rows so far                       */
    estimate spread;                   /* one stratum: [targets][players]            */
    double *pooled;                    /* [targets][players] of all strata           */
    double *values, *errors;           /* [targets][players] out                     */
    bool is_given, is_deficient;
} fit;

static size_t stratum_of(const fit *f, size_t row) { return f->stratum ? f->stratum[row] : 0; }

/* Weight of each of a stratum's rows. */
static double stratum_omega(const fit *f, size_t stratum)
{
    return f->omega ? 1 : f->strata[stratum].weight / (double)f->drawn[stratum];
}

static double row_omega(const fit *f, size_t row) { return f->omega ? f->omega[row] : stratum_omega(f, stratum_of(f, row)); }

/* x of a row; returns s/p. */
static double row_of(const fit *f, size_t row, double *x)
{
    size_t p = f->g->players;
    const uint64_t *set = f->sets + row * f->g->words;
    double share = (double)set_size(set, p) / (double)p;
    for (size_t i = 0; i < p; i++)
        x[i] = (set_has(set, i) ? 1 : 0) - share;
    return share;
}

static double response(const fit *f, size_t row, size_t t, double share)
{
    return f->half[row * f->g->targets + t] - f->delta[t] * (share - 0.5);
}

static void count_strata(fit *f, size_t rows)
{
    memset(f->drawn, 0, f->stratum_count * sizeof *f->drawn);
    for (size_t k = 0; k < rows; k++)
        f->drawn[stratum_of(f, k)]++;
}

/* G, with its null direction fixed, and the right sides. */
static void normal_equations(fit *f, size_t rows)
{
    size_t p = f->g->players;
    double trace = 0;
    memset(f->gram, 0, p * p * sizeof *f->gram);
    memset(f->right, 0, f->g->targets * p * sizeof *f->right);
    for (size_t k = 0; k < rows; k++) {
        double share = row_of(f, k, f->x), omega = row_omega(f, k);
        for (size_t i = 0; i < p; i++) /* up to the diagonal */
            vector_add(f->gram + i * p, omega * f->x[i], f->x, i + 1);
        for (size_t t = 0; t < f->g->targets; t++)
            vector_add(f->right + t * p, omega * response(f, k, t, share), f->x, p);
    }
    for (size_t i = 0; i < p; i++)
        trace += f->gram[i * p + i];
    for (size_t i = 0; i < p; i++)
        for (size_t j = 0; j <= i; j++)
            f->gram[j * p + i] = f->gram[i * p + j] += trace / (double)(p * p);
}

static tkr_status solve(fit *f, size_t rows, tkr_error *error)
{
    size_t p = f->g->players, rank;
    normal_equations(f, rows);
    tkr_status status = symmetric_inverse(f->gram, p, f->inverse, &rank, error);
    if (status)
        return status;
    f->is_deficient = rank < p;
    for (size_t t = 0; t < f->g->targets; t++) {
        double *psi = f->psi + t * p, mean = 0;
        for (size_t i = 0; i < p; i++)
            mean += (psi[i] = vector_dot(f->inverse + i * p, f->right + t * p, p)) / (double)p;
        for (size_t i = 0; i < p; i++) {
            psi[i] -= mean; /* 0 but for rounding */
            f->values[t * p + i] = psi[i] + f->delta[t] / (double)p;
        }
    }
    return TKR_OK;
}

/* ---- its errors ---- */

static bool is_used_up(const fit *f, size_t stratum)
{
    const coalition_stratum *s = f->strata + stratum;
    return !f->omega && s->is_finite && f->drawn[stratum] == s->pairs;
}

/* Sums of squares around the stratum's mean of G^-1 x e, weighted where weights are given, into f->spread. */
static void spread_of(fit *f, size_t stratum, size_t rows)
{
    size_t p = f->g->players, targets = f->g->targets;
    memset(f->spread.draws, 0, targets * sizeof *f->spread.draws);
    memset(f->spread.mean, 0, targets * p * sizeof(double));
    memset(f->spread.spread, 0, targets * p * sizeof(double));
    for (size_t k = 0; k < rows; k++) {
        if (stratum_of(f, k) != stratum)
            continue;
        double share = row_of(f, k, f->x), omega = f->omega ? f->omega[k] : 1;
        double *h = f->h, *sum = f->h + p;
        memset(h, 0, p * sizeof *h);
        for (size_t i = 0; i < p; i++)
            vector_add(h, f->x[i], f->inverse + i * p, p);
        for (size_t t = 0; t < targets; t++) {
            double e = omega * (response(f, k, t, share) - vector_dot(f->x, f->psi + t * p, p));
            for (size_t i = 0; i < p; i++)
                sum[i] = h[i] * e;
            estimate_add(&f->spread, t, sum);
        }
    }
}

/* Adds to the variances, in f->errors, what a stratum's rows vary by; deviations: sums of squares over `freedom`. */
static void add_variance(fit *f, size_t stratum, const double *deviations, double freedom)
{
    const coalition_stratum *s = f->strata + stratum;
    double n = (double)f->drawn[stratum], omega = stratum_omega(f, stratum);
    double left = !f->omega && s->is_finite ? 1 - n / (double)s->pairs : 1;
    vector_add(f->errors, left * n * omega * omega / freedom, deviations, f->g->targets * f->g->players);
}

/* Variances of psi: inside the strata; a stratum with one row borrows the variance of all others. */
static void variances(fit *f, size_t rows)
{
    size_t count = f->g->targets * f->g->players;
    double freedom = 0;
    memset(f->errors, 0, count * sizeof *f->errors);
    memset(f->pooled, 0, count * sizeof *f->pooled);
    for (size_t s = 0; s < f->stratum_count; s++) {
        if (f->drawn[s] < 2)
            continue;
        spread_of(f, s, rows);
        vector_add(f->pooled, 1, f->spread.spread, count);
        freedom += (double)f->drawn[s] - 1;
        if (!is_used_up(f, s))
            add_variance(f, s, f->spread.spread, (double)f->drawn[s] - 1);
    }
    for (size_t s = 0; s < f->stratum_count; s++)
        if (f->drawn[s] == 1 && !is_used_up(f, s))
            add_variance(f, s, f->pooled, freedom); /* NaN when there is none to borrow from */
}

/* What p - 1 fitted numbers take from the residuals of few rows; NaN where they take all.  Given sets have the bare formula. */
static double small_sample(const fit *f, size_t rows)
{
    size_t fitted = f->g->players - 1;
    bool is_sampled = false;
    for (size_t s = 0; s < f->stratum_count; s++)
        is_sampled = is_sampled || (f->drawn[s] > 0 && !is_used_up(f, s));
    if (f->is_given || !is_sampled)
        return 1;
    return rows > fitted ? (double)rows / (double)(rows - fitted) : (double)NAN;
}

/* Values and errors of the first rows. */
static tkr_status estimate_values(fit *f, size_t rows, tkr_error *error)
{
    size_t p = f->g->players;
    count_strata(f, rows);
    tkr_status status = solve(f, rows, error);
    if (status)
        return status;
    double correction = small_sample(f, rows);
    variances(f, rows);
    for (size_t i = 0; i < f->g->targets * p; i++) {
        double of_ends = f->empty_error[i / p] / (double)p;
        f->errors[i] = f->is_deficient ? (double)NAN : sqrt(correction * f->errors[i] + of_ends * of_ends);
    }
    return TKR_OK;
}

static tkr_status look(void *user, size_t done, bool *is_enough, tkr_error *error)
{
    fit *f = user;
    tkr_status status = estimate_values(f, done, error);
    *is_enough = !status && game_is_enough(f->g, f->values, f->errors);
    return status;
}

static bool fit_init(fit *f, size_t rows)
{
    size_t p = f->g->players, targets = f->g->targets;
    f->half = NEW(double, rows * targets);
    f->gram = NEW(double, 2 * p * p);
    f->right = NEW(double, 3 * targets * p);
    f->x = NEW(double, 3 * p);
    f->drawn = NEW(size_t, f->stratum_count);
    bool ok = estimate_init(&f->spread, targets, p) && f->half && f->gram && f->right && f->x && f->drawn;
    f->inverse = ok ? f->gram + p * p : NULL;
    f->psi = ok ? f->right + targets * p : NULL;
    f->pooled = ok ? f->psi + targets * p : NULL;
    f->h = ok ? f->x + p : NULL;
    return ok;
}

static void fit_fini(fit *f)
{
    estimate_fini(&f->spread);
    memory_free(f->half);
    memory_free(f->gram);
    memory_free(f->right);
    memory_free(f->x);
    memory_free(f->drawn);
}

/* ---- the estimator ---- */

/* Rows of a design, or given ones, into values and errors. */
static tkr_status play(const game *g, kernel_options *o, const coalition_design *d, size_t empty_draws, fit *f, tkr_error *error)
{
    static const coalition_stratum given = {.weight = 1};
    coalition_rows rows = {.sets = o->sets, .count = o->set_count, .least = g->players, .is_paired = true, .look = look, .user = f,
                           .first_draw = g->is_random ? (uint32_t)empty_draws : 0};
    f->sets = o->sets;
    f->strata = &given;
    f->stratum_count = 1;
    f->omega = o->sets ? o->omega : NULL;
    f->is_given = o->sets != NULL;
    if (!o->sets) {
        rows = (coalition_rows){.sets = d->sets, .count = d->pairs, .least = d->least, .is_paired = true, .look = look, .user = f,
                                .first_draw = rows.first_draw};
        f->sets = d->sets;
        f->stratum = d->stratum;
        f->strata = d->strata;
        f->stratum_count = d->stratum_count;
    }
    size_t done = 0;
    tkr_status status = fit_init(f, rows.count) ? TKR_OK : fail_memory(error, "a regression", rows.count * sizeof(double));
    rows.values = f->half;
    if (!status)
        status = coalitions_ask(g, &rows, &done, error);
    if (!status)
        status = estimate_values(f, done, error);
    o->done = !done ? 0 : o->sets ? 2 * done : d->asked[done - 1];
    o->is_exact = !o->sets && d->is_complete && done == d->pairs;
    o->is_deficient = f->is_deficient;
    return status;
}

/* Evaluations of pairs, those of v(empty) beyond the first set aside, that samples and budget leave. */
static size_t paid_samples(const game *g, size_t samples, size_t *empty_draws)
{
    uint64_t paid = game_limit(g, (uint64_t)samples + 2);
    size_t left = paid > 4 ? (size_t)paid - 2 : 2;
    *empty_draws = !g->is_random ? 1 : left / 4 >= EMPTY_DRAWS ? EMPTY_DRAWS : left / 4 > 2 ? left / 4 : 2;
    return left >= *empty_draws + 1 ? left - (*empty_draws - 1) : 2;
}

/* No pair to ask for: the single player has it all. */
static void play_alone(const game *g, kernel_options *o, const double *delta, const double *empty_error, double *values, double *errors)
{
    for (size_t t = 0; t < g->targets * g->players; t++) {
        values[t] = delta[t];
        errors[t] = empty_error[t];
    }
    o->is_exact = !g->is_random;
}

tkr_status kernel_shap(const game *g, kernel_options *o, double *values, double *errors, double *base, tkr_error *error)
{
    size_t empty_draws, samples = paid_samples(g, o->samples, &empty_draws);
    double *ends = NEW(double, 2 * g->targets), *delta = ends, *empty_error = ends ? ends + g->targets : NULL;
    coalition_design d = {0};
    fit f = {.g = g, .delta = delta, .empty_error = empty_error, .values = values, .errors = errors};
    o->done = 0;
    o->is_exact = o->is_deficient = false;
    tkr_status status = ends ? game_ends(g, empty_draws, base, empty_error, delta, error) : fail_memory(error, "two ends", g->targets);
    for (size_t t = 0; !status && t < g->targets; t++)
        delta[t] -= base[t];
    if (!status && g->players < 2) {
        play_alone(g, o, delta, empty_error, values, errors);
    } else if (!status) {
        if (!o->sets)
            status = coalition_design_init(&d, g, o->design, samples, error);
        if (!status)
            status = play(g, o, &d, empty_draws, &f, error);
    }
    fit_fini(&f);
    coalition_design_fini(&d);
    memory_free(ends);
    return status;
}

/* ---- the method ---- */

enum { DESIGN, SAMPLES };
static const parameter parameters[] = {
    CHOICE_PARAMETER("design", "leverage", "leverage|kernel|shap-compat",
                     "sets: each once and as many of each size; by the kernel's weights; as the shap package draws them"),
    INT_PARAMETER("samples", 0, 0, 10000000, "evaluations of sets; 0: max(512, 32n), shap-compat 2n + 2048; all of them when that is fewer"),
    END_PARAMETERS};

static kernel_design design_of(const arguments *a)
{
    return view_is(a->text[DESIGN], "kernel") ? KERNEL_SIZES : view_is(a->text[DESIGN], "shap-compat") ? KERNEL_COMPAT : KERNEL_LEVERAGE;
}

static void settle(const question *q, arguments *a)
{
    size_t p = game_players(q);
    double usual = design_of(a) == KERNEL_COMPAT ? 2 * (double)p + 2048 : fmax(512, 32 * (double)p);
    double samples = a->number[SAMPLES] > 0 ? fmax(2, a->number[SAMPLES]) : usual;
    if (!removal_is_random(q->removal))
        samples = fmin(samples, p < 2 ? 0 : (double)coalition_all(p));
    double paid = sampling_draws(q, samples + 2, 1) - 2;
    a->number[SAMPLES] = p < 2 && !removal_is_random(q->removal) ? 0 : fmax(2, paid);
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
    size_t p = q->feature_count, rows = (size_t)a->number[SAMPLES] / 2 + 1, draws = design_of(a) == KERNEL_COMPAT ? 4 * rows : rows;
    size_t sets = draws * (set_words(p) * sizeof(uint64_t) + sizeof(uint32_t) * 6 + q->target_count * sizeof(double));
    return sets + (6 * p * p + 8 * q->target_count * p) * sizeof(double);
}

static const char *const details[] = {"pairs", "exact", NULL};
enum { DETAIL_PAIRS, DETAIL_EXACT, DETAILS };

static tkr_status tell(method_call *c, const kernel_options *o, tkr_error *error)
{
    c->arguments.number[SAMPLES] = (double)o->done;
    for (size_t t = 0; t < c->q->target_count; t++) {
        c->details[t * DETAILS + DETAIL_PAIRS] = (double)(o->done / 2);
        c->details[t * DETAILS + DETAIL_EXACT] = o->is_exact;
    }
    if (!o->is_deficient)
        return TKR_OK;
    return result_add_warning(c->result, "shap.rank", c->id,
                              "too few independent sets to tell all features apart; of the values that fit, the smallest are shown",
                              "more samples, at least 4 a feature, or permutation-shapley", error);
}

static tkr_status play_call(game *g, double *values, double *errors, double *base, tkr_error *error)
{
    method_call *c = g->call;
    kernel_options o = {.design = design_of(&c->arguments), .samples = (size_t)c->arguments.number[SAMPLES]};
    tkr_status status = kernel_shap(g, &o, values, errors, base, error);
    if (status)
        return status;
    game_write(g, values, errors, base);
    return tell(c, &o, error);
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 1, play_call, error); }

static const char *const aliases[] = {"shap", "kernelshap", NULL};

const method kernel_shap_method = {
    .facts = {.id = "kernel-shap",
              .title = "KernelSHAP",
              .family = "shapley",
              .summary = "Shapley values by a weighted regression on sets of features that are kept",
              .paper = "Lundberg and Lee 2017; Covert and Lee 2021; Musco and Witter 2025",
              .needs = "forward passes",
              .cost = "max(512, 32n) evaluations, or all 2^n where that is fewer",
              .caveat = "an estimate with standard errors; below 4n evaluations they are not to be trusted; depends on the removal",
              .is_signed = true,
              .is_additive = true,
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
