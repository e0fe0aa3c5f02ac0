/*
 * Chosen rows: y_r = x[index_r].  The way back scatters: dx = 0, then dx[index_r] += dy_r, in the order of r,
 * under every rule.
 *
 * Several outputs may choose the same row (two targets at one position), so whoever has the first unit walks the whole way
 * back: rows are few, and the order of the sums must not depend on threads.
 */
#include "tensor/op_sample.h"

#include <string.h>

#include "base/failure.h"

static bool shape(op_shape *s)
{
    if (s->node->params.index == NULL && s->rows > 0)
        return false;
    s->width = s->in[0]->width;
    return true;
}

/* One a row; without rows there is still a way back: zeros. */
static size_t units(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->rows > 0 ? n->rows : 1;
}

static tkr_status check(const op_call *c, size_t begin, size_t end)
{
    for (size_t r = begin; r < end; r++) {
        int32_t row = c->node->params.index[r];
        if (row < 0 || (size_t)row >= c->in_node[0]->rows)
            return fail(c->error, TKR_E_INTERNAL, "gather: row %zu chooses row %d of %zu", r, (int)row,
                        c->in_node[0]->rows);
    }
    return TKR_OK;
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    end = end < c->node->rows ? end : c->node->rows;
    tkr_status status = check(c, begin, end);
    size_t width = c->node->width;
    for (size_t r = begin; status == TKR_OK && r < end; r++)
        memcpy(c->out + r * width, c->in[0] + (size_t)c->node->params.index[r] * width, width * sizeof(real));
    return status;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    (void)end;
    if (begin > 0)
        return TKR_OK;
    tkr_status status = check(c, 0, c->node->rows);
    size_t width = c->node->width;
    memset(c->din[0], 0, c->in_node[0]->rows * width * sizeof(real));
    for (size_t r = 0; status == TKR_OK && r < c->node->rows; r++) {
        real *row = c->din[0] + (size_t)c->node->params.index[r] * width;
        c->kernels->add(row, row, c->dout + r * width, width);
    }
    return status;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return backward_too ? (double)n->rows * (double)n->width : 0;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    (void)in;
    for (size_t r = 0; r < n->rows; r++)
        for (size_t i = 0; i < n->width; i++)
            out[r * n->width + i] = values[0][(size_t)n->params.index[r] * n->width + i];
}

DEFINE_SAMPLES({.sequences = 0, .width = {4}, .chooses_rows = true},
               {.sequences = 1, .width = {4}, .lengths = {{3}}, .out_lengths = {0}, .chooses_rows = true},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, .out_lengths = {1}, .chooses_rows = true},
               {.sequences = 2, .width = {3}, .lengths = {{5, 2}}, .out_lengths = {1, 4}, .chooses_rows = true},
               {.sequences = 3, .width = {17}, .lengths = {{4, 0, 3}}, .out_lengths = {9, 0, 2}, .chooses_rows = true})

DEFINE_OP(gather, .inputs = 1, .shape = shape, .units = units, .forward = forward,
          .backward = EVERY_RULE(backward), .flops = flops, .reference = reference, .sample = sample);
