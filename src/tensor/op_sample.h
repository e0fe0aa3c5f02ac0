/*
 * Samples of an operation: descriptions of small nodes, as data.  The harness (tests/tensor/test_ops.c) draws the numbers:
 * input values, weights, ids, chosen rows and hidden keys.
 */
#ifndef TENSOR_OP_SAMPLE_H
#define TENSOR_OP_SAMPLE_H

#include "tensor/op.h"

enum { SAMPLE_SEQUENCES = 4 };

struct op_sample {
    size_t sequences;
    size_t width[NODE_INPUTS];
    uint32_t lengths[NODE_INPUTS][SAMPLE_SEQUENCES]; /* rows of each sequence of each input             */
    uint32_t out_lengths[SAMPLE_SEQUENCES];          /* embed, gather: rows of each sequence of the out */
    struct {
        size_t rows, columns;                        /* 0 x 0: no such weight                           */
        bool is_transposed;
        weight_dtype dtype;
    } weights[NODE_WEIGHTS];
    bool chooses_rows;                               /* gather: index chooses rows of the own sequence  */
    bool chooses_queries;                            /* attention: query_rows are drawn                 */
    enum { HIDE_NONE = 0, HIDE_SOME, HIDE_ALL, HIDE_ELSEWHERE } hides; /* attention: keys to hide; elsewhere: some, by way
                                                        of hidden_begin                                 */
    op_params params;                                /* index, hidden, query_rows and given are filled in by the harness */
};

/* Weights of a sample. */
#define MATRIX(r, c) {.rows = (r), .columns = (c)}
#define MATRIX_OF(r, c, kind) {.rows = (r), .columns = (c), .dtype = WEIGHT_##kind}
#define MATRIX_TURNED(r, c, kind) {.rows = (r), .columns = (c), .dtype = WEIGHT_##kind, .is_transposed = true}

/* The usual sample function: one table. */
#define DEFINE_SAMPLES(...)                                                                                           \
    static const op_sample samples[] = {__VA_ARGS__};                                                                 \
    static bool sample(size_t index, op_sample *s)                                                                    \
    {                                                                                                                 \
        if (index >= sizeof samples / sizeof *samples)                                                                \
            return false;                                                                                             \
        *s = samples[index];                                                                                          \
        return true;                                                                                                  \
    }

#endif
