/*
 * Rotary angles of positions (Su et al. 2021): a row holds the cosines of position * frequencies, then the sines, each times
 * params.magnitude.  Made once a run and shared by all layers' `rotate`.
 *
 * Positions are params.index, the width of a row is params.width: two columns a frequency.  No inputs, no gradient.
 * Known to go wrong: the angle is a float32 product in every build, as the reference models round it; its cosine
 * is then that of the rounded angle, whatever its size.
 */
#include "tensor/op_sample.h"

static bool shape(op_shape *s)
{
    const op_params *p = &s->node->params;
    s->width = p->width;
    return p->width > 0 && p->width % 2 == 0 && p->frequencies != NULL && (p->index != NULL || s->rows == 0);
}

static double angle_at(const op_params *p, size_t row, size_t i)
{
    return (double)((float)p->index[row] * (float)p->frequencies[i]);
}
static double magnitude(const op_params *p) { return p->magnitude != 0 ? p->magnitude : 1; }

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const op_params *p = &c->node->params;
    size_t half = p->width / 2;
    for (size_t r = begin; r < end; r++) {
        real *row = c->out + r * p->width;
        for (size_t i = 0; i < half; i++) {
            double angle = angle_at(p, r, i);
            row[i] = (real)cos(angle) * (real)magnitude(p);
            row[half + i] = (real)sin(angle) * (real)magnitude(p);
        }
    }
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return backward_too ? 0 : 20 * (double)n->rows * (double)n->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    (void)in, (void)values;
    for (size_t r = 0; r < n->rows; r++)
        for (size_t i = 0; i < n->width; i++) {
            double angle = angle_at(&n->params, r, i % (n->width / 2));
            out[r * n->width + i] = magnitude(&n->params) * (i < n->width / 2 ? cos(angle) : sin(angle));
        }
}

/* The narrowest row has two columns. */
static const double frequencies[] = {1, 0.31, 0.1, 0.031, 0.01, 0.0031, 0.001, 0.00031, 0.0001};
DEFINE_SAMPLES({.sequences = 0, .params = {.width = 4, .frequencies = frequencies}},
               {.sequences = 1, .out_lengths = {1}, .params = {.width = 2, .frequencies = frequencies}},
               {.sequences = 2, .out_lengths = {3, 5}, .params = {.width = 18, .frequencies = frequencies}},
               {.sequences = 3,
                .out_lengths = {3, 0, 4},
                .params = {.width = 10, .frequencies = frequencies, .magnitude = 1.2}})

DEFINE_OP(angles, .inputs = 0, .shape = shape, .forward = forward, .flops = flops, .reference = reference,
          .sample = sample);
