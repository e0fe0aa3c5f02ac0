/*
 * Rows of a table: y_r = table[index_r + offset].  No inputs: gradients and relevance end here, or where a caller says they do.
 *
 * Rows are read from the stored table (widened if it is stored in 16 bits); the table is never copied.  An id outside the
 * table is refused here too, the last place before memory would be read that is not ours.
 */
#include "tensor/op_sample.h"

#include "base/failure.h"
#include "base/memory.h"

static bool shape(op_shape *s)
{
    const weight *table = s->node->weights[0];
    if (table == NULL || (s->node->params.index == NULL && s->rows > 0))
        return false;
    s->width = table->columns;
    return true;
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    const weight *table = c->node->weights[0];
    for (size_t r = begin; r < end; r++) {
        int64_t id = (int64_t)c->node->params.index[r] + c->node->params.offset;
        if (id < 0 || (uint64_t)id >= table->rows)
            return fail(c->error, TKR_E_INPUT_TOKEN_ID, "row %zu: id %lld is not in %s, which has rows 0 to %zu", r,
                        (long long)id, QUOTE(view_of(table->name)), table->rows - 1);
        weight_row(table, (size_t)id, c->out + r * c->node->width);
    }
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)n, (void)in, (void)backward_too;
    return 0;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    (void)in, (void)values;
    real *row = NEW(real, n->width);
    for (size_t r = 0; row != NULL && r < n->rows; r++) {
        weight_row(n->weights[0], (size_t)(n->params.index[r] + n->params.offset), row);
        for (size_t i = 0; i < n->width; i++)
            out[r * n->width + i] = (double)row[i];
    }
    memory_free(row);
}

DEFINE_SAMPLES({.sequences = 0, .weights = {MATRIX(5, 4)}},
               {.sequences = 1, .out_lengths = {1}, .weights = {MATRIX(1, 1)}},
               {.sequences = 2, .out_lengths = {4, 3}, .weights = {MATRIX_OF(9, 3, F16)}},
               {.sequences = 3, .out_lengths = {2, 0, 5}, .weights = {MATRIX_OF(30, 17, BF16)}},
               {.sequences = 2, .out_lengths = {6, 6}, .weights = {MATRIX_TURNED(8, 5, F32)}})

DEFINE_OP(embed, .inputs = 0, .shape = shape, .forward = forward, .flops = flops, .reference = reference,
          .sample = sample);
