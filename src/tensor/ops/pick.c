/*
 * Some outputs of a linear map: y_j = <x, W[index_j]> + b[index_j], for W [out, in] that is not packed.  For heads as wide as a
 * vocabulary of which a few logits are asked for.
 *
 * The sums are those of the product that `linear` makes of the whole matrix, in its order: ascending, with fused multiply-adds,
 * from the bias on.  So the bits are the same with our kernel.  Forward only.  Chains of BLOCK rows run side by side, because one
 * alone waits for itself; each unit of work is a chosen output, whose row of W is read (and widened) once.
 */
#include "tensor/op_sample.h"

#include "base/failure.h"

enum { BLOCK = 8 };

static bool shape(op_shape *s)
{
    const weight *matrix = s->node->weights[0], *bias = s->node->weights[1];
    if (matrix == NULL || matrix->columns != s->in[0]->width || s->node->params.index == NULL || s->node->params.width == 0)
        return false;
    if (bias != NULL && (bias->vector == NULL || bias->columns != matrix->rows))
        return false;
    shape_like(s, 0);
    s->width = s->node->params.width;
    return true;
}

static size_t units(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->width;
}

static size_t scratch(const graph_node *n, const graph_node *const *in, const kernels *k, bool backward_too)
{
    (void)n, (void)k, (void)backward_too;
    return in[0]->width;
}

/* One output of `count` rows, at most BLOCK. */
static void pick_block(const real *x, size_t inner, size_t count, const real *row, real start, real sums[BLOCK])
{
    for (size_t r = 0; r < BLOCK; r++)
        sums[r] = start;
    if (count == BLOCK) {
        for (size_t i = 0; i < inner; i++)
            for (size_t r = 0; r < BLOCK; r++)
                sums[r] = real_fma(x[r * inner + i], row[i], sums[r]);
        return;
    }
    for (size_t i = 0; i < inner; i++)
        for (size_t r = 0; r < count; r++)
            sums[r] = real_fma(x[r * inner + i], row[i], sums[r]);
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    const size_t inner = c->in_node[0]->width;
    for (size_t j = begin; j < end; j++) {
        const int32_t chosen = n->params.index[j];
        if (chosen < 0 || (size_t)chosen >= n->weights[0]->rows)
            return fail(c->error, TKR_E_INTERNAL, "pick: output %d of %zu", (int)chosen, n->weights[0]->rows);
        weight_row(n->weights[0], (size_t)chosen, c->scratch);
        const real start = n->weights[1] != NULL ? n->weights[1]->vector[chosen] : 0;
        for (size_t r = 0; r < n->rows; r += BLOCK) {
            const size_t count = n->rows - r < BLOCK ? n->rows - r : BLOCK;
            real sums[BLOCK];
            pick_block(c->in[0] + r * inner, inner, count, c->scratch, start, sums);
            for (size_t i = 0; i < count; i++)
                c->out[(r + i) * n->width + j] = sums[i];
        }
    }
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    return backward_too ? 0 : 2 * (double)n->rows * (double)n->width * (double)in[0]->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    const size_t inner = in[0]->width;
    real row[64];
    for (size_t j = 0; j < n->width; j++) {
        const size_t chosen = (size_t)n->params.index[j];
        weight_row(n->weights[0], chosen, row);
        for (size_t r = 0; r < n->rows; r++) {
            double sum = n->weights[1] != NULL ? (double)n->weights[1]->vector[chosen] : 0;
            for (size_t i = 0; i < inner; i++)
                sum += values[0][r * inner + i] * (double)row[i];
            out[r * n->width + j] = sum;
        }
    }
}

static const int32_t few[] = {2, 0, 2}, last[] = {4};
DEFINE_SAMPLES({.sequences = 0, .width = {3}, .weights = {MATRIX(5, 3)}, .params = {.index = few, .width = 3}},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, .weights = {MATRIX(5, 1)}, .params = {.index = last, .width = 1}},
               {.sequences = 2,
                .width = {17},
                .lengths = {{9, 4}},
                .weights = {MATRIX(5, 17), MATRIX(1, 5)},
                .params = {.index = few, .width = 3}},
               {.sequences = 3,
                .width = {33},
                .lengths = {{5, 0, 16}},
                .weights = {MATRIX_OF(3, 33, BF16)},
                .params = {.index = few, .width = 2}})

DEFINE_OP(pick, .inputs = 1, .stopped_inputs = 1, .shape = shape, .units = units, .forward = forward, .scratch = scratch,
          .flops = flops, .reference = reference, .sample = sample);
