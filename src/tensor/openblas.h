/* OpenBLAS, loaded when it is asked for and never linked: its start makes buffers and threads that most runs
 * do not need. */
#ifndef TENSOR_OPENBLAS_H
#define TENSOR_OPENBLAS_H

#include <stdbool.h>

#include "tensor/real.h"

typedef void openblas_gemm_fn(int order, int turn_a, int turn_b, int m, int n, int k, real alpha, const real *a,
                              int lda, const real *b, int ldb, real beta, real *c, int ldc);

typedef struct openblas {
    openblas_gemm_fn *gemm; /* cblas_sgemm, or cblas_dgemm in the double build */
    void (*set_threads)(int);
} openblas;

/* Fills `out`; false when the library or a function of it is missing.  It stays loaded until the process
 * ends. */
bool openblas_load(openblas *out);

#endif
