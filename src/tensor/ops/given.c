/*
 * Rows that the caller holds: y = params.given [rows, params.width].  No inputs: a source of gradients if the graph says so.
 *
 * For what is computed once and used by several graphs: the encoder's output under a decoder, or points between a baseline
 * and an input.  They are copied, so that an intervention never writes into the caller's array.
 */
#include "tensor/op_sample.h"

#include <string.h>

static bool shape(op_shape *s)
{
    s->width = s->node->params.width;
    return s->width > 0 && (s->node->params.given != NULL || s->rows == 0);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width;
    memcpy(c->out + begin * width, c->node->params.given + begin * width, (end - begin) * width * sizeof(real));
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)n, (void)in, (void)backward_too;
    return 0;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    (void)in, (void)values;
    for (size_t i = 0; i < n->rows * n->width; i++)
        out[i] = (double)n->params.given[i];
}

DEFINE_SAMPLES({.sequences = 0, .params = {.width = 4}},
               {.sequences = 1, .out_lengths = {1}, .params = {.width = 1}},
               {.sequences = 3, .out_lengths = {3, 0, 4}, .params = {.width = 17}})

DEFINE_OP(given, .inputs = 0, .shape = shape, .forward = forward, .flops = flops, .reference = reference,
          .sample = sample);
