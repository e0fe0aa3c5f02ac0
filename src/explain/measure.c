/*
 * Measures and their derivatives.  Every exponential sum subtracts the largest logit and runs in double; log-probabilities come
 * from the logits, never from probabilities.
 */
#include "explain/measure.h"

#include <assert.h>
#include <math.h>

static const struct {
    const char *id, *unit;
} measures[MEASURE_COUNT] = {
#define MEASURE_ROW(name, id, unit) {id, unit},
    MEASURES(MEASURE_ROW)
#undef MEASURE_ROW
};

const char *measure_id(measure m) { return measures[m].id; }
const char *measure_unit(measure m) { return measures[m].unit; }

bool measure_has_gradient(measure m) { return m != MEASURE_ENTROPY && m != MEASURE_KL; }

bool measure_find(view name, measure *out)
{
    for (size_t i = 0; i < MEASURE_COUNT; i++)
        if (view_is(name, measures[i].id)) {
            *out = (measure)i;
            return true;
        }
    return false;
}

int32_t logits_argmax(const real *z, size_t outputs, int32_t skip)
{
    int32_t best = -1;
    for (size_t i = 0; i < outputs; i++)
        if ((int32_t)i != skip && (best < 0 || z[i] > z[best]))
            best = (int32_t)i;
    return best;
}

/* log(sum of exp(z)) over all outputs but `skip` (-1: none). */
static double log_sum_exp(const real *z, size_t outputs, int32_t skip)
{
    int32_t top = logits_argmax(z, outputs, skip);
    if (top < 0)
        return -(double)INFINITY;
    double sum = 0;
    for (size_t i = 0; i < outputs; i++)
        if ((int32_t)i != skip)
            sum += exp((double)z[i] - (double)z[top]);
    return (double)z[top] + log(sum);
}

static double log_sigmoid(double z) { return z >= 0 ? -log1p(exp(-z)) : z - log1p(exp(z)); }
static double sigmoid(double z) { return z >= 0 ? 1 / (1 + exp(-z)) : exp(z) / (1 + exp(z)); }

static double log_probability(link l, const real *z, size_t outputs, int32_t a)
{
    if (l == LINK_GIVEN)
        return log((double)z[a]);
    return l == LINK_SIGMOID ? log_sigmoid((double)z[a]) : (double)z[a] - log_sum_exp(z, outputs, -1);
}

static double mean_of_others(const real *z, size_t outputs, int32_t a)
{
    double sum = 0;
    for (size_t i = 0; i < outputs; i++)
        if ((int32_t)i != a)
            sum += (double)z[i];
    return sum / (double)(outputs - 1);
}

/* p log q; 0 where p is. */
static double weighted(double log_p, double log_q)
{
    double p = exp(log_p);
    return p > 0 ? p * log_q : 0;
}

/* Entropy of the coin with probability sigmoid(z). */
static double coin_entropy(double z)
{
    double on = log_sigmoid(z), off = log_sigmoid(-z);
    return -weighted(on, on) - weighted(off, off);
}

static double coin_divergence(double clean, double z)
{
    double on = log_sigmoid(clean), off = log_sigmoid(-clean);
    return weighted(on, on - log_sigmoid(z)) + weighted(off, off - log_sigmoid(-z));
}

/* Of one answer among all: log p from logits and the log of their sum, or from probabilities. */
static double log_of_all(link l, const real *z, size_t outputs) { return l == LINK_SOFTMAX ? log_sum_exp(z, outputs, -1) : 0; }
static double log_one(link l, double z, double all) { return l == LINK_SOFTMAX ? z - all : log(z); }

static double answer_entropy(link l, const real *z, size_t outputs)
{
    double all = log_of_all(l, z, outputs), entropy = 0;
    for (size_t i = 0; i < outputs; i++) {
        double log_p = log_one(l, (double)z[i], all);
        entropy -= weighted(log_p, log_p);
    }
    return entropy;
}

static double answer_divergence(link l, const real *clean, const real *z, size_t outputs)
{
    double all_clean = log_of_all(l, clean, outputs), all = log_of_all(l, z, outputs), sum = 0;
    for (size_t i = 0; i < outputs; i++) {
        double log_p = log_one(l, (double)clean[i], all_clean);
        sum += weighted(log_p, log_p - log_one(l, (double)z[i], all));
    }
    return sum;
}

static double value_of(const measured *f, const real *z, size_t outputs, int32_t a, int32_t rival)
{
    double za = (double)z[a];
    bool single = f->link == LINK_SIGMOID;
    switch (f->measure) {
    case MEASURE_PROB: return link_probability(f->link, z, outputs, (size_t)a);
    case MEASURE_LOGPROB: return log_probability(f->link, z, outputs, a);
    case MEASURE_LOGODDS: return single ? za : za - log_sum_exp(z, outputs, a);
    case MEASURE_MARGIN: return za - (double)z[rival];
    case MEASURE_MEANFOIL: return za - mean_of_others(z, outputs, a);
    case MEASURE_ENTROPY: return single ? coin_entropy(za) : answer_entropy(f->link, z, outputs);
    case MEASURE_KL: return single ? coin_divergence((double)f->clean[a], za) : answer_divergence(f->link, f->clean, z, outputs);
    case MEASURE_LOGIT:
    case MEASURE_SCORE:
    case MEASURE_COUNT: break;
    }
    return za;
}

double measure_value(const measured *f, const real *z, size_t outputs)
{
    double value = value_of(f, z, outputs, f->a, f->rival);
    return f->foil < 0 ? value : value - value_of(f, z, outputs, f->foil, f->foil_rival);
}

/* seed += sign * scale * (one-hot(a) - softmax(z) over all but skip) */
static void add_softmax_seed(real *seed, const real *z, size_t outputs, int32_t a, int32_t skip, double scale)
{
    double all = log_sum_exp(z, outputs, skip);
    for (size_t i = 0; i < outputs; i++)
        if ((int32_t)i != skip)
            seed[i] -= (real)(scale * exp((double)z[i] - all));
    seed[a] += (real)scale;
}

static void add_mean_seed(real *seed, size_t outputs, int32_t a, double sign)
{
    for (size_t i = 0; i < outputs; i++)
        seed[i] -= (real)((int32_t)i == a ? -sign : sign / (double)(outputs - 1));
}

static void add_gradient(const measured *f, const real *z, size_t outputs, int32_t a, int32_t rival, double sign, real *seed)
{
    double za = (double)z[a], p = sigmoid(za);
    bool single = f->link == LINK_SIGMOID;
    switch (f->measure) {
    case MEASURE_PROB:
        if (single)
            seed[a] += (real)(sign * p * (1 - p));
        else
            add_softmax_seed(seed, z, outputs, a, -1, sign * exp(log_probability(f->link, z, outputs, a)));
        return;
    case MEASURE_LOGPROB:
        if (single)
            seed[a] += (real)(sign * sigmoid(-za));
        else
            add_softmax_seed(seed, z, outputs, a, -1, sign);
        return;
    case MEASURE_LOGODDS:
        if (single)
            seed[a] += (real)sign;
        else
            add_softmax_seed(seed, z, outputs, a, a, sign);
        return;
    case MEASURE_MARGIN:
        seed[a] += (real)sign;
        seed[rival] -= (real)sign;
        return;
    case MEASURE_MEANFOIL: add_mean_seed(seed, outputs, a, sign); return;
    case MEASURE_ENTROPY:
    case MEASURE_KL: assert(measure_has_gradient(f->measure)); return;
    case MEASURE_LOGIT:
    case MEASURE_SCORE:
    case MEASURE_COUNT: break;
    }
    seed[a] += (real)sign;
}

void measure_gradient(const measured *f, const real *z, size_t outputs, real *seed)
{
    for (size_t i = 0; i < outputs; i++)
        seed[i] = 0;
    add_gradient(f, z, outputs, f->a, f->rival, 1, seed);
    if (f->foil >= 0)
        add_gradient(f, z, outputs, f->foil, f->foil_rival, -1, seed);
}

double link_probability(link l, const real *z, size_t outputs, size_t a)
{
    if (l == LINK_GIVEN)
        return (double)z[a];
    return l == LINK_NONE ? (double)NAN : exp(log_probability(l, z, outputs, (int32_t)a));
}

double link_entropy(link l, const real *z, size_t outputs)
{
    double entropy = 0;
    if (l == LINK_NONE)
        return (double)NAN;
    if (l == LINK_SOFTMAX || l == LINK_GIVEN)
        return answer_entropy(l, z, outputs);
    for (size_t i = 0; i < outputs; i++)
        entropy += coin_entropy((double)z[i]);
    return entropy;
}
