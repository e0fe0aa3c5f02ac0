/*
 * Linear map: y = x W^T + b, W [out, in] packed once, b [out] or none.  The way back is dx = dy W, over the same pack.
 * It is so under the relevance rules too: the epsilon rule with epsilon 0, where the bias keeps <dy, b> (methods.md 6.2).
 *
 * No gradient of the weights: explanations differentiate by activations only.  The product spreads over threads by itself.
 * Rows of dy that are zero (rows after a causal target, rows that no target reads) give zero rows of dx and are not multiplied.
 */
#include "tensor/op_sample.h"

#include <string.h>

#include "base/memory.h"

static bool shape(op_shape *s)
{
    const weight *matrix = s->node->weights[0], *bias = s->node->weights[1];
    if (matrix == NULL || matrix->columns != s->in[0]->width)
        return false;
    if (bias != NULL && (bias->vector == NULL || bias->columns != matrix->rows))
        return false;
    shape_like(s, 0);
    s->width = matrix->rows;
    return true;
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    const packed *matrix = weight_packed(n->weights[0], c->kernels, c->threads, c->error);
    if (matrix == NULL)
        return TKR_E_LIMIT_OOM;
    size_t inner = c->in_node[0]->width;
    gemm(c->threads, c->out + begin * n->width, n->width, c->in[0] + begin * inner, inner, end - begin, matrix,
         n->weights[1] != NULL ? n->weights[1]->vector : NULL);
    return TKR_OK;
}

static bool is_zero(const real *x, size_t count)
{
    size_t i = 0;
    while (i < count && x[i] == 0)
        i++;
    return i == count;
}

/* List the rows of dy that are not zero; the others give zero rows of dx. */
static size_t list_rows(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, inner = c->in_node[0]->width, count = 0;
    for (size_t r = begin; r < end; r++)
        if (is_zero(c->dout + r * width, width))
            memset(c->din[0] + r * inner, 0, inner * sizeof(real));
        else
            c->rows[count++] = (uint32_t)r;
    return count;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    const graph_node *n = c->node;
    const packed *matrix = weight_packed(n->weights[0], c->kernels, c->threads, c->error);
    if (matrix == NULL)
        return TKR_E_LIMIT_OOM;
    size_t inner = c->in_node[0]->width, count = list_rows(c, begin, end);
    gemm_turned(c->threads, c->din[0], inner, c->dout, n->width, c->rows, count, matrix);
    if (n->weights[1] != NULL)
        absorb_rows(c, begin, end, n->weights[1]->vector);
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)backward_too; /* the same either way */
    return 2 * (double)n->rows * (double)n->width * (double)in[0]->width;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    size_t inner = in[0]->width;
    const weight *bias = n->weights[1];
    real *row = NEW(real, inner);
    for (size_t o = 0; row != NULL && o < n->width; o++) {
        weight_row(n->weights[0], o, row);
        for (size_t r = 0; r < n->rows; r++) {
            double sum = bias != NULL ? (double)bias->vector[o] : 0;
            for (size_t i = 0; i < inner; i++)
                sum += values[0][r * inner + i] * (double)row[i];
            out[r * n->width + o] = sum;
        }
    }
    memory_free(row);
}

DEFINE_SAMPLES({.sequences = 0, .width = {4}, .weights = {MATRIX(3, 4), MATRIX(1, 3)}},
               {.sequences = 1, .width = {1}, .lengths = {{1}}, .weights = {MATRIX(1, 1)}},
               {.sequences = 2, .width = {3}, .lengths = {{4, 1}}, .weights = {MATRIX(17, 3), MATRIX(1, 17)}},
               {.sequences = 2, .width = {17}, .lengths = {{6, 13}}, .weights = {MATRIX_OF(3, 17, BF16), MATRIX(1, 3)}},
               {.sequences = 3, .width = {33}, .lengths = {{0, 30, 1}},
                .weights = {MATRIX_TURNED(70, 33, F16), MATRIX(1, 70)}},
               {.sequences = 1, .width = {130}, .lengths = {{29}}, .weights = {MATRIX(65, 130), MATRIX_OF(1, 65, F64)}})

DEFINE_OP(linear, .inputs = 1, .shape = shape, .is_whole = true, .forward = forward,
          .backward = EVERY_RULE(backward), .flops = flops, .reference = reference, .sample = sample);
