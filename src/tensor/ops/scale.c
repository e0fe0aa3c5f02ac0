/*
 * A node times a number: y = params.scale x.  The way back is the same under every rule: dx = params.scale dy.
 */
#include "tensor/op_sample.h"

static bool shape(op_shape *s) { return shape_like(s, 0); }

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->scale(c->out + at, c->in[0] + at, c->node->params.scale, (end - begin) * width);
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->scale(c->din[0] + at, c->dout + at, c->node->params.scale, (end - begin) * width);
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in, (void)backward_too; /* the same either way */
    return (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    (void)in;
    for (size_t i = 0; i < n->rows * n->width; i++)
        out[i] = (double)n->params.scale * values[0][i];
}

DEFINE_SAMPLES({.sequences = 0, .width = {4}, .params = {.scale = REAL(2.0)}},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, .params = {.scale = REAL(-0.5)}},
               {.sequences = 2, .width = {3}, .lengths = {{5, 2}}, .params = {.scale = REAL(0.3)}},
               {.sequences = 3, .width = {17}, .lengths = {{0, 9, 4}}, .params = {.scale = REAL(0.044)}})

DEFINE_OP(scale, .inputs = 1, .shape = shape, .forward = forward, .backward = EVERY_RULE(backward),
          .flops = flops, .reference = reference, .sample = sample);
