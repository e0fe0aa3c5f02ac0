/*
 * Product of two nodes, element by element (the gate of a feed-forward block): y = a b.
 *
 * backward  da = b dy,  db = a dy.  Both inputs may be the same node: then each way adds its half.
 * AttnLRP   half of each (the uniform rule: a da = b db = y dy / 2).
 * CP-LRP    da = 0,  db = a dy: the gate, which is input 0, is taken as constant and the ungated branch has all.
 */
#include "tensor/op_sample.h"

#include <string.h>

enum { GATE = 0, BRANCH = 1 };

static bool shape(op_shape *s)
{
    const graph_node *a = s->in[0], *b = s->in[1];
    return a->rows == b->rows && a->width == b->width && a->segments.count == b->segments.count &&
           shape_like(s, 0);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->multiply(c->out + at, c->in[0] + at, c->in[1] + at, (end - begin) * width);
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    for (int i = 0; i < 2; i++)
        if (c->din[i] != NULL)
            c->kernels->multiply(c->din[i] + at, c->dout + at, c->in[1 - i] + at, (end - begin) * width);
    return TKR_OK;
}

static tkr_status backward_halved(const op_call *c, size_t begin, size_t end)
{
    size_t at = begin * c->node->width, count = (end - begin) * c->node->width;
    tkr_status status = backward(c, begin, end);
    for (int i = 0; i < 2; i++)
        if (c->din[i] != NULL)
            c->kernels->scale(c->din[i] + at, c->din[i] + at, REAL(0.5), count);
    return status;
}

static tkr_status backward_ungated(const op_call *c, size_t begin, size_t end)
{
    size_t at = begin * c->node->width, count = (end - begin) * c->node->width;
    if (c->din[GATE] != NULL)
        memset(c->din[GATE] + at, 0, count * sizeof(real));
    if (c->din[BRANCH] != NULL)
        c->kernels->multiply(c->din[BRANCH] + at, c->dout + at, c->in[GATE] + at, count);
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return (backward_too ? 2 : 1) * (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    (void)in;
    for (size_t i = 0; i < n->rows * n->width; i++)
        out[i] = values[0][i] * values[1][i];
}

DEFINE_SAMPLES({.sequences = 0, .width = {4, 4}}, {.sequences = 1, .width = {1, 1}, .lengths = {{1}, {1}}},
               {.sequences = 2, .width = {3, 3}, .lengths = {{5, 2}, {5, 2}}},
               {.sequences = 3, .width = {17, 17}, .lengths = {{0, 9, 4}, {0, 9, 4}}})

DEFINE_OP(multiply, .inputs = 2, .shape = shape, .forward = forward,
          .backward = {[RULE_GRADIENT] = backward, [RULE_ATTNLRP] = backward_halved, [RULE_CPLRP] = backward_ungated},
          .keeps_inputs = 1U << 0 | 1U << 1, .flops = flops, .reference = reference, .sample = sample);
