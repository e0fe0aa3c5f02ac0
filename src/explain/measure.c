/*
 * Measures and their derivatives.  Every exponential sum subtracts the largest logit and runs in double; log-probabilities come
 * from the logits, never from probabilities.
 */
#include "explain/measure.h"

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

static double value_of(const measured *f, const real *z, size_t outputs, int32_t a, int32_t rival)
{
    double za = (double)z[a];
    switch (f->measure) {
    case MEASURE_PROB: return exp(log_probability(f->link, z, outputs, a));
    case MEASURE_LOGPROB: return log_probability(f->link, z, outputs, a);
    case MEASURE_LOGODDS: return f->link == LINK_SIGMOID ? za : za - log_sum_exp(z, outputs, a);
    case MEASURE_MARGIN: return za - (double)z[rival];
    case MEASURE_MEANFOIL: return za - mean_of_others(z, outputs, a);
    case MEASURE_LOGIT:
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
    case MEASURE_LOGIT:
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
    return l == LINK_NONE ? (double)NAN : exp(log_probability(l, z, outputs, (int32_t)a));
}

double link_entropy(link l, const real *z, size_t outputs)
{
    double entropy = 0;
    if (l == LINK_NONE)
        return (double)NAN;
    if (l == LINK_SIGMOID) {
        for (size_t i = 0; i < outputs; i++) {
            double on = log_sigmoid((double)z[i]), off = log_sigmoid(-(double)z[i]);
            entropy -= exp(on) * on + exp(off) * off;
        }
        return entropy;
    }
    double all = log_sum_exp(z, outputs, -1);
    for (size_t i = 0; i < outputs; i++) {
        double log_p = (double)z[i] - all;
        entropy -= exp(log_p) * log_p;
    }
    return entropy;
}
