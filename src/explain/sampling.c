/* Budgets and stopping; see sampling.h. */
#include "explain/sampling.h"

#include "base/clock.h"
#include "explain/estimate.h"

double sampling_draws(const question *q, double asked, uint64_t evaluations_per_draw)
{
    uint64_t budget = q->session->options.budget_evaluations, paid = budget / evaluations_per_draw;
    if (budget == 0 || (double)paid >= asked)
        return asked;
    return paid > 0 ? (double)paid : 1;
}

size_t sampling_stride(const question *q, size_t draws)
{
    const tkr_session_options *o = &q->session->options;
    return o->wanted_error > 0 || o->budget_seconds > 0 ? SAMPLING_STRIDE : draws;
}

bool sampling_is_late(const question *q, double begun)
{
    double most = q->session->options.budget_seconds;
    return most > 0 && clock_seconds() - begun >= most;
}

bool sampling_looks(const question *q, size_t done)
{
    return q->session->options.wanted_error > 0 && done % SAMPLING_STRIDE == 0;
}

bool sampling_is_enough(const question *q, const double *values, const double *errors)
{
    for (size_t t = 0; t < q->target_count; t++) {
        size_t row = t * q->feature_count;
        if (estimate_share(values + row, errors + row, q->feature_count) > q->session->options.wanted_error)
            return false;
    }
    return true;
}

void sampling_sum(const question *q, const double *tokens, double *features)
{
    for (size_t f = 0; f < q->feature_count; f++)
        features[f] = 0;
    for (size_t i = 0; i < q->length; i++)
        if (q->feature_of[i] != UINT32_MAX)
            features[q->feature_of[i]] += tokens[i];
}
