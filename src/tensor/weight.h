/*
 * Weights: a parameter as stored in the file (mapped), widened where vectors are needed, packed lazily for products.
 *
 * Lifetime: the model's.  A weight is shared by threads: packing happens once under its lock.  float16 and bfloat16 are
 * widened while packing or gathering, never into a second full copy.
 */
#ifndef TENSOR_WEIGHT_H
#define TENSOR_WEIGHT_H

#include <pthread.h>
#include <stdatomic.h>
#include <tokray/error.h>

#include "tensor/gemm.h"

typedef enum weight_dtype { WEIGHT_F32, WEIGHT_F16, WEIGHT_BF16, WEIGHT_F64 } weight_dtype;

typedef struct weight {
    const char *name;       /* name in the checkpoint, for messages; borrowed from the model */
    size_t rows, columns;   /* a vector of n is 1 x n                                        */
    bool is_transposed;     /* stored [columns, rows] (Conv1D): rows are gathered by column  */
    size_t stride;          /* numbers from one stored row to the next; more than a row has: a part of a tensor */
    size_t part_at;         /* a part: stored column of the tensor where it begins, for messages; 0 until set   */
    weight_dtype dtype;
    const unsigned char *data; /* little-endian, any alignment                               */
    bool is_mapped;         /* data are in a mapped file: their pages may go after a sweep    */
    real *vector;           /* widened and aligned; only for vectors (rows == 1)             */
    _Atomic(packed *) pack; /* for products both ways; NULL until the first                  */
    pthread_mutex_t lock;
} weight;

/* Fill in a weight over stored bytes.  Vectors are widened here.  Errors: limit.oom. */
tkr_status weight_init(weight *w, const char *name, weight_dtype dtype, const void *data, size_t rows, size_t columns,
                       bool is_transposed, tkr_error *error);
/* The same over a part of a stored tensor: data point to its first number, and stored rows begin `stride` numbers apart (0: no
 * gaps).  A Conv1D tensor [H, 3 H] gives three weights [H, H] with is_transposed and stride 3 H. */
tkr_status weight_init_part(weight *w, const char *name, weight_dtype dtype, const void *data, size_t rows, size_t columns,
                            bool is_transposed, size_t stride, tkr_error *error);
void weight_fini(weight *w);

size_t weight_dtype_bytes(weight_dtype dtype);
/* One row, widened. */
void weight_row(const weight *w, size_t row, real *out);
/* The pack for products, made on first use.  NULL and limit.oom when out of memory. */
const packed *weight_packed(weight *w, const kernels *k, pool *threads, tkr_error *error);
/* Bytes weight_packed will still take from the heap: 0 when it is packed already. */
size_t weight_packed_missing(const weight *w, const kernels *k);
/* Search all numbers for NaN and infinity; weight.nonfinite names tensor, counts and first place. */
tkr_status weight_scan(const weight *w, pool *threads, tkr_error *error);

#endif
