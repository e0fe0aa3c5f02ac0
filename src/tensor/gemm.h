/*
 * The one door for matrix products: C[M,N] = A[M,K] . W[N,K]^T (+ bias), and C[M,K] = A[M,N] . W[N,K], with W packed once.
 *
 * Behind the door: our kernels over packed weights; OpenBLAS (loaded only then) for processors without a
 * vector kernel, or when TOKRAY_GEMM=openblas asks for it.
 */
#ifndef TENSOR_GEMM_H
#define TENSOR_GEMM_H

#include <tokray/error.h>

#include "base/threads.h"
#include "tensor/kernels.h"

typedef struct packed packed;

/* Where weights come from: writes row `row` of a [rows, columns] matrix, widened. */
typedef void matrix_row_fn(const void *source, size_t row, real *out);

/* Pack W [rows, columns] = [N, K].  Returns NULL when out of memory. */
packed *packed_new(const kernels *k, size_t rows, size_t columns, matrix_row_fn *row, const void *source, pool *threads);
void packed_free(packed *w);
/* What packed_new will hold. */
size_t packed_bytes(const kernels *k, size_t rows, size_t columns);
size_t packed_outputs(const packed *w); /* N */
size_t packed_inputs(const packed *w);  /* K */

/* C = A . W^T + bias: c [m, N] row stride ldc, a [m, K] row stride lda, bias [N] or NULL.  Same bits for any m, row, thread count
 * and level. */
void gemm(pool *threads, real *c, size_t ldc, const real *a, size_t lda, size_t m, const packed *w, const real *bias);
/* C = A . W, the way back, for some rows: of c [.., K] and a [.., N] those that `rows` [m] lists, ascending; NULL: the first m.  Same
 * bits likewise. */
void gemm_turned(pool *threads, real *c, size_t ldc, const real *a, size_t lda, const uint32_t *rows, size_t m, const packed *w);

/* Most working memory that gemm takes from each thread of a pool (pool_scratch); it runs without, somewhat
 * slower. */
size_t gemm_scratch_bytes(const kernels *k);

/* "own" or "openblas". */
const char *gemm_door(void);

#endif
