/*
 * Root-mean-square norm over a row: y = gain x s, s = 1 / sqrt(mean(x^2) + eps) (Zhang and Sennrich 2019).
 *
 * backward  dx = s (h - u mean(h u)),  h = gain dy,  u = x s.
 * relevance s is taken as constant: dx = s h, and nothing is absorbed.
 * Saved: s of each row.  The mean is in double; x s is rounded to the activations' type before the gain, as models do.
 */
#include "tensor/op_sample.h"

static bool shape(op_shape *s)
{
    const weight *gain = s->node->weights[0];
    return gain != NULL && gain->vector != NULL && gain->columns == s->in[0]->width && shape_like(s, 0);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++) {
        real s = c->kernels->rms_norm(c->out + r * n->width, c->in[0] + r * n->width, n->weights[0]->vector,
                                      n->width, n->params.eps);
        if (c->saved != NULL)
            c->saved[r] = s;
    }
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++)
        c->kernels->rms_norm_backward(c->din[0] + r * n->width, c->dout + r * n->width, c->in[0] + r * n->width,
                                      n->weights[0]->vector, n->width, c->saved[r]);
    return TKR_OK;
}

static tkr_status backward_held(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    for (size_t r = begin; r < end; r++)
        c->kernels->rms_norm_backward_held(c->din[0] + r * n->width, c->dout + r * n->width, n->weights[0]->vector,
                                           n->width, c->saved[r]);
    return TKR_OK;
}

static size_t saved(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->rows;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return (backward_too ? 9 : 4) * (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    (void)in;
    for (size_t r = 0; r < n->rows; r++) {
        const double *x = values[0] + r * n->width;
        double square = 0;
        for (size_t i = 0; i < n->width; i++)
            square += x[i] * x[i] / (double)n->width;
        for (size_t i = 0; i < n->width; i++)
            out[r * n->width + i] = (double)n->weights[0]->vector[i] * x[i] / sqrt(square + n->params.eps);
    }
}

#define NORM(n) .weights = {MATRIX(1, n)}
DEFINE_SAMPLES({.sequences = 0, .width = {4}, NORM(4), .params = {.eps = 1e-5}},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, NORM(1), .params = {.eps = 0.5}},
               {.sequences = 2, .width = {3}, .lengths = {{5, 1}}, NORM(3), .params = {.eps = 1e-5}},
               {.sequences = 3, .width = {17}, .lengths = {{3, 0, 8}}, NORM(17), .params = {.eps = 1e-12}},
               {.sequences = 1, .width = {100}, .lengths = {{7}}, NORM(100), .params = {.eps = 0.1}})

DEFINE_OP(rms_norm, .inputs = 1, .shape = shape, .forward = forward,
          .backward = {[RULE_GRADIENT] = backward, [RULE_ATTNLRP] = backward_held, [RULE_CPLRP] = backward_held},
          .keeps_inputs = 1U << 0, .saved = saved, .flops = flops, .reference = reference, .sample = sample);
