/*
 * Sum of two nodes: y = a + b.  The way back copies: da = dy, db = dy.
 *
 * Every relevance rule of interest gives a sum the plain way back too (methods.md 6.2): nothing is divided here.  Where one
 * summand comes from a table and is no player (positions, segments), it keeps its share <dy, row>; the row is read again.
 */
#include "tensor/op_sample.h"

#include <string.h>

static bool shape(op_shape *s)
{
    const graph_node *a = s->in[0], *b = s->in[1];
    return a->rows == b->rows && a->width == b->width && a->segments.count == b->segments.count && shape_like(s, 0);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->add(c->out + at, c->in[0] + at, c->in[1] + at, (end - begin) * width);
    return TKR_OK;
}

/* Relevance that the rows of a table keep. */
static void absorb_table(const op_call *c, const graph_node *table, size_t begin, size_t end)
{
    size_t width = c->node->width;
    for (size_t r = begin; r < end; r++) {
        weight_row(table->weights[0], (size_t)(table->params.index[r] + table->params.offset), c->scratch);
        c->absorbed[r * ABSORBED_KINDS + ABSORBED_CONSTANT] += c->kernels->dot(c->dout + r * width, c->scratch, width);
    }
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    for (int i = 0; i < 2; i++)
        if (c->din[i] != NULL)
            memcpy(c->din[i] + at, c->dout + at, (end - begin) * width * sizeof(real));
        else if (c->absorbed != NULL && c->in_node[i]->op == &op_embed)
            absorb_table(c, c->in_node[i], begin, end);
    return TKR_OK;
}

/* One row of a table. */
static size_t scratch(const graph_node *n, const graph_node *const *in, const kernels *k, bool backward_too)
{
    (void)k;
    return backward_too && (in[0]->op == &op_embed || in[1]->op == &op_embed) ? n->width : 0;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return backward_too ? 0 : (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    (void)in;
    for (size_t i = 0; i < n->rows * n->width; i++)
        out[i] = values[0][i] + values[1][i];
}

DEFINE_SAMPLES({.sequences = 0, .width = {4, 4}},
               {.sequences = 1, .width = {1, 1}, .lengths = {{1}, {1}}},
               {.sequences = 2, .width = {3, 3}, .lengths = {{5, 2}, {5, 2}}},
               {.sequences = 3, .width = {17, 17}, .lengths = {{0, 9, 4}, {0, 9, 4}}})

DEFINE_OP(add, .inputs = 2, .shape = shape, .forward = forward, .backward = EVERY_RULE(backward), .scratch = scratch,
          .flops = flops, .reference = reference, .sample = sample);
