/*
 * Rotary positions (Su et al. 2021), half-split layout: in the first d columns of each head, the pairs (x_i, x_{i + d/2}) are
 * turned by the row's angles: (a, b) -> (a cos - b sin, b cos + a sin).  Columns beyond d pass through.
 *
 * Inputs x [rows, heads D], angles [rows, d] as op angles makes them, d <= D.  The way back turns by minus the angles; no
 * gradient goes into the angles.
 * Known to go wrong: checkpoints made for interleaved pairs (x_2i, x_2i+1) need their rows permuted before.
 */
#include "tensor/op_sample.h"

#include <string.h>

enum { X = 0, ANGLES = 1 };

static bool shape(op_shape *s)
{
    const graph_node *x = s->in[X], *angles = s->in[ANGLES];
    size_t heads = s->node->params.heads;
    return heads > 0 && x->width % heads == 0 && angles->rows == x->rows && angles->width % 2 == 0 &&
           angles->width <= x->width / heads && shape_like(s, X);
}

static void turn(const op_call *c, real *to, const real *from, size_t begin, size_t end, bool is_back)
{
    size_t turned = c->in_node[ANGLES]->width, half = turned / 2, head = c->node->width / c->node->params.heads;
    for (size_t r = begin; r < end; r++) {
        const real *angles = c->in[ANGLES] + r * turned;
        for (size_t at = r * c->node->width; at < (r + 1) * c->node->width; at += head) {
            c->kernels->rotate(to + at, from + at, angles, angles + half, half, is_back);
            memcpy(to + at + turned, from + at + turned, (head - turned) * sizeof(real));
        }
    }
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    turn(c, c->out, c->in[X], begin, end, false);
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    turn(c, c->din[X], c->dout, begin, end, true);
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in, (void)backward_too; /* the same either way */
    return 3 * (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    size_t turned = in[ANGLES]->width, half = turned / 2, head = n->width / n->params.heads;
    for (size_t i = 0; i < n->rows * n->width; i++) {
        const double *x = values[X] + i, *angles = values[ANGLES] + i / n->width * turned;
        size_t at = i % n->width % head;
        out[i] = at < half     ? x[0] * angles[at] - x[half] * angles[half + at]
                 : at < turned ? x[0] * angles[at - half] + *(x - half) * angles[at]
                               : x[0];
    }
}

#define LENGTHS(...) .lengths = {{__VA_ARGS__}, {__VA_ARGS__}}
DEFINE_SAMPLES({.sequences = 0, .width = {4, 2}, .params = {.heads = 2}},
               {.sequences = 1, .width = {2, 2}, LENGTHS(1), .params = {.heads = 1}},
               {.sequences = 2, .width = {12, 4}, LENGTHS(5, 2), .params = {.heads = 3}},
               {.sequences = 3, .width = {70, 34}, LENGTHS(3, 0, 4), .params = {.heads = 2}},
               {.sequences = 2, .width = {39, 10}, LENGTHS(2, 3), .params = {.heads = 3}})

DEFINE_OP(rotate, .inputs = 2, .stopped_inputs = 1U << ANGLES, .shape = shape, .forward = forward,
          .backward = EVERY_RULE(backward), .keeps_inputs = 1U << ANGLES, .flops = flops,
          .reference = reference, .sample = sample);
