/*
 * SmoothGrad (Smilkov et al. 2017): gradients at noisy copies of the input.  kind=mean averages them; kind=squared averages
 * their squares (Hooker et al. 2019); kind=vargrad takes their population variance (Adebayo et al. 2018).  xinput=1 multiplies
 * by the clean embedding before the sum over its width, which gives a mean a sign.
 *
 * The deviation of the noise is a share of the population deviation of the input's own rows at the place where gradients end, so
 * that it fits any model; noise lies on features alone.  Draw k is a pure function of seed, k and the place in the row.
 *
 * Scores that are means over draws (squared, or a mean times the input) have the sample error of these means.  The length of a
 * mean gradient and the variance are no means of anything a draw: their error is a jackknife over GROUPS groups of draws
 * (Efron and Stein 1981), whose sums are all that is kept.
 */
#include <math.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/estimate.h"
#include "explain/sampling.h"

enum { DRAWS, SIGMA, KIND, XINPUT };
static const parameter parameters[] = {
    INT_PARAMETER("draws", 25, 1, 100000, "noisy copies of the input"),
    REAL_PARAMETER("sigma", 0.15, 0, 100, "noise, as a share of the deviation of the input's embedding entries"),
    CHOICE_PARAMETER("kind", "mean", "mean|squared|vargrad", "of the gradients: length of the mean, mean square, variance"),
    INT_PARAMETER("xinput", 0, 0, 1, "1: times the embedding"),
    END_PARAMETERS};

enum { GROUPS = 5 };

static bool is_kind(const arguments *a, const char *name) { return view_is(a->text[KIND], name); }
static bool is_linear(const arguments *a) { return is_kind(a, "squared") || (is_kind(a, "mean") && a->number[XINPUT] > 0); }
static bool is_signed(const arguments *a) { return a->number[XINPUT] > 0; }

static void settle(const question *q, arguments *a) { a->number[DRAWS] = sampling_draws(q, a->number[DRAWS], 1); }

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features;
    uint64_t draws = (uint64_t)a->number[DRAWS];
    return (method_cost){.evaluations = draws, .at_once = draws, .forward = draws, .backward = draws * targets};
}

/* Numbers in the sums of one group for one target. */
static size_t sums_size(const arguments *a, size_t length, size_t width)
{
    return is_linear(a) ? 0 : (is_kind(a, "vargrad") ? 2 : 1) * length * width;
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t sums = GROUPS * sums_size(a, q->length, gradient_width_most(q)) * q->target_count;
    return sums * sizeof(double) + estimate_bytes(q->target_count, q->feature_count);
}

typedef struct smooth {
    method_call *c;
    size_t length, width, draws, groups; /* draw k belongs to group k % groups           */
    double sigma, begun;
    double *token;                       /* [length] of one draw or jackknife value      */
    double *feature;                     /* [features]                                   */
    estimate features;                   /* of linear scores                             */
    double *sums;                        /* [groups][targets][g, and g^2 for a variance] */
    size_t sums_size;
    double *value;                       /* [targets][features] of the draws so far      */
} smooth;

static double deviation(const real *values, size_t count)
{
    double mean = 0, spread = 0;
    for (size_t i = 0; i < count; i++)
        mean += (double)values[i] / (double)count;
    for (size_t i = 0; i < count; i++)
        spread += ((double)values[i] - mean) * ((double)values[i] - mean);
    return sqrt(spread / (double)count);
}

static void place(void *user, size_t first, size_t sequences, real *rows)
{
    const smooth *s = user;
    const question *q = s->c->q;
    const stored_draws *stored = q->session->stored;
    random_key key = {.seed = q->session->options.seed, .purpose = random_purpose("smoothgrad")};
    for (size_t k = 0; k < sequences; k++)
        for (size_t i = 0; i < s->length; i++) {
            if (q->feature_of[q->place_first + i] == UINT32_MAX)
                continue;
            real *row = rows + (k * s->length + i) * s->width;
            key.item = (uint32_t)(first + k);
            for (size_t j = 0; j < s->width; j++) {
                size_t at = i * s->width + j;
                row[j] += (real)(stored ? stored->noise[(first + k) * s->length * s->width + at]
                                        : s->sigma * random_normal(key, at));
            }
        }
}

/* What multiplies entry j of token i. */
static double factor(const smooth *s, size_t i, size_t j)
{
    return s->c->arguments.number[XINPUT] > 0 ? (double)pass_values(s->c->q->clean, 0)[i * s->width + j] : 1;
}

/* A draw of a score that is a mean over draws. */
static void add_draw(smooth *s, size_t t, const real *gradient)
{
    const question *q = s->c->q;
    bool squares = is_kind(&s->c->arguments, "squared");
    memset(s->token, 0, q->length * sizeof *s->token);
    for (size_t i = 0; i < s->length; i++) {
        double *token = &s->token[q->place_first + i];
        for (size_t j = 0; j < s->width; j++) {
            double g = (double)gradient[i * s->width + j];
            *token += factor(s, i, j) * (squares ? g * g : g);
        }
        s->c->token_scores[t * q->length + q->place_first + i] += *token;
    }
    sampling_sum(q, s->token, s->feature);
    estimate_add(&s->features, t, s->feature);
}

static double *sums_of(const smooth *s, size_t group, size_t t)
{
    return s->sums + (group * s->c->q->target_count + t) * s->sums_size;
}

static void visit(void *user, size_t draw, size_t t, const real *gradient, double value)
{
    (void)value;
    smooth *s = user;
    if (is_linear(&s->c->arguments)) {
        add_draw(s, t, gradient);
        return;
    }
    size_t count = s->length * s->width;
    double *sum = sums_of(s, draw % s->groups, t), *squares = s->sums_size > count ? sum + count : NULL;
    for (size_t i = 0; i < count; i++) {
        double g = (double)gradient[i];
        sum[i] += g;
        if (squares)
            squares[i] += g * g;
    }
}

/* Token scores of the draws of all groups but one (groups: of all); n: how many those are. */
static void reduce(const smooth *s, size_t t, size_t left_out, double n, double *token)
{
    const question *q = s->c->q;
    size_t count = s->length * s->width;
    memset(token, 0, q->length * sizeof *token);
    for (size_t i = 0; i < s->length; i++) {
        double total = 0;
        for (size_t j = 0; j < s->width; j++) {
            double sum = 0, squares = 0;
            for (size_t g = 0; g < s->groups; g++) {
                const double *sums = sums_of(s, g, t) + i * s->width + j;
                sum += g == left_out ? 0 : *sums;
                squares += g == left_out || s->sums_size == count ? 0 : sums[count];
            }
            double mean = sum / n;
            total += s->sums_size == count ? mean * mean : factor(s, i, j) * fmax(squares / n - mean * mean, 0);
        }
        token[q->place_first + i] = s->sums_size == count ? sqrt(total) : total;
    }
}

/* Draws of a group after `done`. */
static size_t group_draws(const smooth *s, size_t group, size_t done) { return done / s->groups + (group < done % s->groups); }

/* errors [features] of a target: the jackknife's, the values without each group against their mean. */
static void jackknife(smooth *s, size_t t, size_t done, double *errors)
{
    size_t features = s->c->q->feature_count, groups = done < s->groups ? done : s->groups;
    estimate e = {.rows = 1, .width = features, .draws = (size_t[]){0}, .mean = s->feature + features, .spread = errors};
    memset(e.mean, 0, features * sizeof *e.mean);
    memset(e.spread, 0, features * sizeof *e.spread);
    for (size_t g = 0; groups > 1 && g < groups; g++) {
        reduce(s, t, g, (double)(done - group_draws(s, g, done)), s->token);
        sampling_sum(s->c->q, s->token, s->feature);
        estimate_add(&e, 0, s->feature);
    }
    for (size_t f = 0; f < features; f++)
        errors[f] = groups < 2 ? (double)NAN : sqrt(errors[f] * (double)(groups - 1) / (double)groups);
}

/* Values and errors of the draws so far; token_scores of those that are no means. */
static void estimate_all(smooth *s, size_t done)
{
    const question *q = s->c->q;
    for (size_t t = 0; t < q->target_count; t++) {
        double *value = s->value + t * q->feature_count, *errors = s->c->errors + t * q->feature_count;
        double *tokens = s->c->token_scores + t * q->length;
        if (is_linear(&s->c->arguments)) {
            memcpy(value, s->features.mean + t * q->feature_count, q->feature_count * sizeof *value);
            for (size_t f = 0; f < q->feature_count; f++)
                errors[f] = estimate_error(&s->features, t, f);
            continue;
        }
        reduce(s, t, s->groups, (double)done, tokens);
        sampling_sum(q, tokens, value);
        jackknife(s, t, done, errors);
    }
}

static bool goes_on(void *user, size_t done)
{
    smooth *s = user;
    if (sampling_is_late(s->c->q, s->begun))
        return false;
    if (!sampling_looks(s->c->q, done))
        return true;
    estimate_all(s, done);
    return !sampling_is_enough(s->c->q, s->value, s->c->errors);
}

static bool smooth_init(smooth *s, method_call *c)
{
    const question *q = c->q;
    *s = (smooth){.c = c, .length = q->place_count, .width = gradient_width(q), .begun = clock_seconds()};
    s->draws = (size_t)c->arguments.number[DRAWS];
    s->groups = s->draws < GROUPS ? s->draws : GROUPS;
    s->sums_size = sums_size(&c->arguments, s->length, s->width);
    size_t of_input = q->input_length < s->length ? q->input_length : s->length; /* what the model was given, not what it wrote */
    s->sigma = c->arguments.number[SIGMA] * deviation(pass_values(q->clean, 0), of_input * s->width);
    s->token = NEW(double, q->length);
    s->feature = NEW(double, 2 * q->feature_count);
    s->value = NEW(double, q->target_count * q->feature_count);
    s->sums = NEW(double, s->groups * q->target_count * s->sums_size);
    return estimate_init(&s->features, q->target_count, q->feature_count) && s->token && s->feature && s->value && s->sums;
}

static void smooth_fini(smooth *s)
{
    estimate_fini(&s->features);
    memory_free(s->token);
    memory_free(s->feature);
    memory_free(s->value);
    memory_free(s->sums);
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    smooth s;
    tkr_status status = smooth_init(&s, c) ? TKR_OK : fail_memory(error, "sums of gradients", s.sums_size * sizeof(double));
    point_set around = {.count = s.draws, .stride = sampling_stride(q, s.draws), .user = &s, .place = place, .visit = visit,
                     .goes_on = goes_on};
    size_t done = 0;
    if (!status)
        status = differentiate_points(q, &around, c->gradient_sequences, c->id, &done, error);
    if (!status)
        estimate_all(&s, done);
    for (size_t i = 0; !status && is_linear(&c->arguments) && i < q->target_count * q->length; i++)
        c->token_scores[i] /= (double)done;
    c->arguments.number[DRAWS] = (double)done;
    c->evaluations = c->forward = done;
    c->backward = done * q->target_count;
    smooth_fini(&s);
    return status;
}

const method smoothgrad_method = {
    .facts = {.id = "smoothgrad",
              .title = "SmoothGrad",
              .family = "gradient",
              .summary = "gradients averaged over noisy copies of the input",
              .paper = "Smilkov et al. 2017",
              .needs = "gradients",
              .cost = "draws forward and backward passes",
              .caveat = "noise leaves the embeddings the model knows; scores depend on its size"},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .is_sampled = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .is_signed = is_signed,
    .run = run,
};
