/*
 * The other matrix products: OpenBLAS and oneDNN, loaded where they are installed, never linked.
 *
 * Known to go wrong: OpenBLAS falls back to code from 2004 on processors that are newer than itself, so it is told its core
 * type; and the OpenMP threads of both go on spinning for some milliseconds after a call.
 */
#ifndef BENCH_RIVALS_H
#define BENCH_RIVALS_H

#include <stdint.h>

typedef struct rivals {
    /* NULL together when OpenBLAS is not there; core may be NULL. */
    void (*openblas)(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                     float *, int);
    void (*openblas_threads)(int);
    const char *(*openblas_core)(void);
    /* NULL together when oneDNN is not there. */
    int (*onednn)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t, const float *, int64_t,
                  float, float *, int64_t);
    void (*openmp_threads)(int);
} rivals;

/* Load both and hold them to our kernels' instruction set; what the environment says already goes before.  Call it before
 * anything starts threads. */
rivals rivals_load(void);
void rivals_set_threads(const rivals *r, int threads);

/* c[m,n] = a[m,k] w[n,k]^T by one that is there. */
void rivals_openblas(const rivals *r, float *c, const float *a, const float *w, int m, int n, int k);
void rivals_onednn(const rivals *r, float *c, const float *a, const float *w, int m, int n, int k);

#endif
