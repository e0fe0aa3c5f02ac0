/*
 * Layer norm over a row: y = gain (x - mean) s + bias, s = 1 / sqrt(variance + eps), biased variance (Ba et al. 2016).
 *
 * backward  dx = s (h - mean(h) - u mean(h u)),  h = gain dy,  u = (x - mean) s.
 * relevance s is taken as constant: dx = s (h - mean(h)); the bias keeps <dy, bias> (Ali et al. 2022, "LN rule").
 * Saved: mean and s of each row.  A constant row has variance 0 and stays finite through eps; moments are in double, two
 * passes, because a row with a large mean loses its variance otherwise.
 */
#include "tensor/op_sample.h"

enum { STATS = 2 };

static bool shape(op_shape *s)
{
    const weight *gain = s->node->weights[0], *bias = s->node->weights[1];
    size_t width = s->in[0]->width;
    if (gain == NULL || gain->vector == NULL || gain->columns != width)
        return false;
    if (bias == NULL || bias->vector == NULL || bias->columns != width)
        return false;
    return shape_like(s, 0);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++) {
        real stats[STATS];
        c->kernels->layer_norm(c->out + r * n->width, c->in[0] + r * n->width, n->weights[0]->vector,
                               n->weights[1]->vector, n->width, n->params.eps,
                               c->saved != NULL ? c->saved + r * STATS : stats);
    }
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++)
        c->kernels->layer_norm_backward(c->din[0] + r * n->width, c->dout + r * n->width, c->in[0] + r * n->width,
                                        n->weights[0]->vector, n->width, c->saved + r * STATS);
    return TKR_OK;
}

static tkr_status backward_held(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++)
        c->kernels->layer_norm_backward_held(c->din[0] + r * n->width, c->dout + r * n->width, n->weights[0]->vector,
                                             n->width, c->saved + r * STATS);
    absorb_rows(c, begin, end, n->weights[1]->vector);
    return TKR_OK;
}

static size_t saved(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->rows * STATS; /* rows are counted in 32 bits */
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return (backward_too ? 12 : 8) * (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    (void)in;
    double width = (double)n->width;
    for (size_t r = 0; r < n->rows; r++) {
        const double *x = values[0] + r * n->width;
        double mean = 0, variance = 0;
        for (size_t i = 0; i < n->width; i++)
            mean += x[i] / width;
        for (size_t i = 0; i < n->width; i++)
            variance += (x[i] - mean) * (x[i] - mean) / width;
        double scale = 1 / sqrt(variance + n->params.eps);
        for (size_t i = 0; i < n->width; i++)
            out[r * n->width + i] = (double)n->weights[0]->vector[i] * (x[i] - mean) * scale +
                                    (double)n->weights[1]->vector[i];
    }
}

#define NORM(n) .weights = {MATRIX(1, n), MATRIX(1, n)}
DEFINE_SAMPLES({.sequences = 0, .width = {4}, NORM(4), .params = {.eps = 1e-5}},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, NORM(1), .params = {.eps = 1e-5}},
               {.sequences = 2, .width = {3}, .lengths = {{5, 1}}, NORM(3), .params = {.eps = 1e-5}},
               {.sequences = 3, .width = {17}, .lengths = {{3, 0, 8}}, NORM(17), .params = {.eps = 1e-12}},
               {.sequences = 1, .width = {100}, .lengths = {{7}}, NORM(100), .params = {.eps = 0.1}})

DEFINE_OP(layer_norm, .inputs = 1, .shape = shape, .forward = forward,
          .backward = {[RULE_GRADIENT] = backward, [RULE_ATTNLRP] = backward_held, [RULE_CPLRP] = backward_held},
          .keeps_inputs = 1U << 0, .saved = saved, .flops = flops, .reference = reference, .sample = sample);
