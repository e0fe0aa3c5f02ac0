/*
 * Expected gradients, also GradientSHAP (Erion et al. 2021, eq. 4; Lundberg and Lee 2017): integrated gradients from many
 * baselines at once, one random point on one random line a draw.
 *
 *     a_i = mean over draws of < e_i - e'_i, gradient at e' + alpha (e - e') >
 *
 * e' is the input with every feature's tokens replaced by ordinary vocabulary entries, each drawn uniformly, or by the counts of a
 * corpus where removal random:counts=FILE gives them (folders carry none).  alpha is stratified: with m draws planned, each has
 * its own m-th of [0, 1].  The strata are taken in steps of about the golden section from a random start, so that the draws made
 * before an early stop are spread evenly too, and each of them is uniform.  Every draw costs two forward runs: f at e' makes the base, f(e) less its mean is what the scores sum to.
 *
 * The error is that of independent draws; strata make the true one smaller.
 */
#include <math.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/estimate.h"
#include "explain/sampling.h"
#include "explain/token_counts.h"

enum { DRAWS };
static const parameter parameters[] = {INT_PARAMETER("draws", 100, 1, 100000, "random baselines, one point on the way from each"),
                                       END_PARAMETERS};

enum { EVALUATIONS_A_DRAW = 2, ATTEMPTS = 1024 };

static void settle(const question *q, arguments *a) { a->number[DRAWS] = sampling_draws(q, a->number[DRAWS], EVALUATIONS_A_DRAW); }

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features;
    uint64_t draws = (uint64_t)a->number[DRAWS];
    return (method_cost){.evaluations = EVALUATIONS_A_DRAW * draws, .at_once = draws, .forward = EVALUATIONS_A_DRAW * draws,
                         .backward = draws * targets};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a;
    size_t rows = sequences * q->length * gradient_width_most(q) * sizeof(real);
    return rows + estimate_bytes(q->target_count, q->feature_count + 1) + sequences * q->target_count * sizeof(double);
}

typedef struct expected {
    method_call *c;
    size_t elements, width; /* of one sequence; of a row                     */
    size_t draws, step, start;
    double begun;
    bool is_reference;      /* the forward run under way is that of e'        */
    real *rows;             /* [sequences][elements] e'                       */
    double *value;          /* [sequences][targets] f there                   */
    size_t first, room;     /* the batch that these belong to; sequences      */
    double *token, *feature; /* [length] of a draw; [features + 1]: the last is what the draw misses of f(e) - f(e') */
    estimate estimates;
} expected;

/* ---- random numbers: pure functions of seed, draw and token ---- */

static random_key key_of(const expected *x, size_t draw)
{
    return (random_key){.seed = x->c->q->session->options.seed, .purpose = random_purpose("expected-gradients"), .item = (uint32_t)draw};
}

static size_t common_divisor(size_t a, size_t b) { return b ? common_divisor(b, a % b) : a; }

/* About 0.618 m, without a common divisor with m. */
static size_t golden_step(size_t m)
{
    size_t step = (size_t)((double)m * 0.6180339887498949);
    while (step == 0 || common_divisor(m, step) != 1)
        step++;
    return step;
}

static double alpha_of(const expected *x, size_t draw)
{
    if (x->c->q->session->stored)
        return x->c->q->session->stored->alpha[draw];
    size_t stratum = (x->start + draw * x->step) % x->draws;
    return ((double)stratum + random_unit(key_of(x, draw), 0)) / (double)x->draws;
}

/* The token that stands at place i in draw number `draw`. */
static int32_t reference_id(const expected *x, size_t draw, size_t i)
{
    const question *q = x->c->q;
    if (q->session->stored)
        return q->feature_of[i] == UINT32_MAX ? q->ids[i] : q->session->stored->ids[draw * q->length + i];
    if (q->feature_of[i] == UINT32_MAX)
        return q->ids[i];
    if (q->by_counts)
        return token_counts_draw(q->session->counts, -1, random_unit(key_of(x, draw), (i + 1) * ATTEMPTS));
    uint32_t entries = (uint32_t)model_weight(q->model, "word")->rows;
    for (uint64_t attempt = 0; attempt < ATTEMPTS; attempt++) {
        int32_t id = (int32_t)random_below(key_of(x, draw), i * ATTEMPTS + attempt, entries);
        if (tokenizer_is_ordinary(q->model->tokenizer, id))
            return id;
    }
    return q->ids[i]; /* a vocabulary with next to nothing ordinary in it */
}

/* ---- one batch ---- */

/* Run e' of every draw of the batch: its rows and f. */
static tkr_status run_references(void *user, pass *p, size_t first, tkr_error *error)
{
    expected *x = user;
    const question *q = x->c->q;
    for (size_t k = 0; k < p->batch.sequences; k++)
        for (size_t i = 0; i < q->length; i++)
            p->batch.ids[p->batch.begin[k] + i] = reference_id(x, first + k, i);
    x->is_reference = true;
    x->first = first;
    tkr_status status = pass_forward(p, error);
    x->is_reference = false;
    for (size_t k = 0; !status && k < p->batch.sequences; k++)
        for (size_t t = 0; t < q->target_count; t++) {
            double value = target_value(q, &q->targets[t], p, k);
            x->value[k * q->target_count + t] = value;
            x->c->base[t] += value;
        }
    for (size_t k = 0; k < p->batch.sequences; k++)
        question_fill(q, p, k);
    return status;
}

static void place(void *user, size_t first, size_t sequences, real *rows)
{
    expected *x = user;
    if (x->is_reference) {
        memcpy(x->rows, rows, sequences * x->elements * sizeof *rows);
        return;
    }
    const real *to = pass_values(x->c->q->clean, 0);
    for (size_t k = 0; k < sequences; k++) {
        real *point = rows + k * x->elements, alpha = (real)alpha_of(x, first + k);
        const real *from = x->rows + k * x->elements;
        for (size_t i = 0; i < x->elements; i++)
            point[i] = real_fma(alpha, to[i] - from[i], from[i]);
    }
}

static void visit(void *user, size_t draw, size_t t, const real *gradient, double value)
{
    (void)value;
    expected *x = user;
    const question *q = x->c->q;
    const real *to = pass_values(q->clean, 0), *from = x->rows + (draw - x->first) * x->elements;
    double *scores = x->c->token_scores + t * q->length + q->place_first, sum = 0;
    memset(x->token, 0, q->length * sizeof *x->token);
    for (size_t i = 0; i < x->elements / x->width; i++) {
        if (q->feature_of[q->place_first + i] == UINT32_MAX)
            continue;
        double dot = 0;
        for (size_t k = i * x->width; k < (i + 1) * x->width; k++)
            dot += ((double)to[k] - (double)from[k]) * (double)gradient[k];
        x->token[q->place_first + i] = dot;
        scores[i] += dot;
        sum += dot;
    }
    sampling_sum(q, x->token, x->feature);
    x->feature[q->feature_count] = sum - (q->targets[t].value - x->value[(draw - x->first) * q->target_count + t]);
    estimate_add(&x->estimates, t, x->feature);
}

/* ---- all draws ---- */

static void fill_errors(const expected *x)
{
    const question *q = x->c->q;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t f = 0; f < q->feature_count; f++)
            x->c->errors[t * q->feature_count + f] = estimate_error(&x->estimates, t, f);
}

static bool goes_on(void *user, size_t done)
{
    const expected *x = user;
    const question *q = x->c->q;
    if (sampling_is_late(q, x->begun))
        return false;
    if (!sampling_looks(q, done))
        return true;
    fill_errors(x);
    for (size_t t = 0; t < q->target_count; t++) { /* the estimates' rows are one number longer than the errors' */
        const double *values = x->estimates.mean + t * x->estimates.width;
        if (estimate_share(values, x->c->errors + t * q->feature_count, q->feature_count) > q->session->options.wanted_error)
            return true;
    }
    return false;
}

/* Sums meet f(e) - mean f(e') up to four standard errors of what the draws miss of it. */
static tkr_status check_expectation(const expected *x, tkr_error *error)
{
    method_call *c = x->c;
    const question *q = c->q;
    tkr_status status = TKR_OK;
    for (size_t t = 0; !status && t < q->target_count && x->estimates.draws[t] > 1; t++) {
        double whole = q->targets[t].value - c->base[t], actual = method_sum(c, t), miss = fabs(actual - whole);
        double allowed = 4 * estimate_error(&x->estimates, t, q->feature_count), size = fmax(fabs(whole), 1e-12);
        tkr_check check = {.method = c->id, .name = "completeness", .expected = whole, .actual = actual, .gap = miss / size,
                           .tolerance = allowed / size, .ok = miss <= allowed || miss <= 1e-3};
        status = result_add_check(c->result, check, error);
        if (!status && !check.ok)
            status = result_add_warning(c->result, "ig.gap", c->id,
                                        "the scores miss the difference they should sum to by more than four standard errors",
                                        "-M expected-gradients:draws=400", error);
    }
    return status;
}

static bool expected_init(expected *x, method_call *c)
{
    const question *q = c->q;
    *x = (expected){.c = c, .width = gradient_width(q), .draws = (size_t)c->arguments.number[DRAWS], .begun = clock_seconds()};
    x->elements = q->place_count * x->width;
    x->step = golden_step(x->draws);
    x->start = random_below((random_key){.seed = q->session->options.seed, .purpose = random_purpose("strata")}, 0, (uint32_t)x->draws);
    x->room = c->gradient_sequences < x->draws ? c->gradient_sequences : x->draws;
    x->rows = memory_new_aligned(x->room * x->elements * sizeof *x->rows);
    x->value = NEW(double, x->room * q->target_count);
    x->token = NEW(double, q->length);
    x->feature = NEW(double, q->feature_count + 1);
    bool ok = estimate_init(&x->estimates, q->target_count, q->feature_count + 1);
    return ok && x->rows && x->value && x->token && x->feature;
}

static void expected_fini(expected *x)
{
    estimate_fini(&x->estimates);
    memory_free(x->rows);
    memory_free(x->value);
    memory_free(x->token);
    memory_free(x->feature);
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    expected x;
    tkr_status status = expected_init(&x, c) ? TKR_OK : fail_memory(error, "reference inputs", x.elements * sizeof(real));
    memset(c->base, 0, q->target_count * sizeof *c->base);
    point_set lines = {.count = x.draws, .stride = sampling_stride(q, x.draws), .user = &x, .prepare = run_references, .place = place,
                    .visit = visit, .goes_on = goes_on};
    size_t done = 0;
    if (!status)
        status = differentiate_points(q, &lines, c->gradient_sequences, c->id, &done, error);
    for (size_t i = 0; !status && i < q->target_count * q->length; i++)
        c->token_scores[i] /= (double)done;
    for (size_t t = 0; !status && t < q->target_count; t++)
        c->base[t] /= (double)done;
    c->arguments.number[DRAWS] = (double)done;
    c->evaluations = c->forward = EVALUATIONS_A_DRAW * done;
    c->backward = done * q->target_count;
    if (!status) {
        fill_errors(&x);
        status = check_expectation(&x, error);
    }
    expected_fini(&x);
    return status;
}

static const char *const aliases[] = {"gradient-shap", "gradshap", NULL};

const method expected_gradients_method = {
    .facts = {.id = "expected-gradients",
              .title = "expected gradients",
              .family = "gradient",
              .summary = "integrated gradients averaged over random baselines (GradientSHAP)",
              .paper = "Erion et al. 2021",
              .needs = "gradients",
              .cost = "draws times two forward passes and a backward pass",
              .caveat = "an estimate: look at the standard errors; the baselines are random words, not sentences",
              .is_signed = true,
              .is_additive = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .is_sampled = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
