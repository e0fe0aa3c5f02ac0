/*
 * Kernels: the arithmetic of all operations, written once over a small vector header (vector.h) and compiled per processor
 * level (portable, avx2, avx512); one table each, chosen at run time (TOKRAY_CPU=portable|avx2|avx512 overrides, for tests).
 *
 * Bits: every function gives the same bits at every level, for any number of rows, any place of a row in a batch and any
 * number of threads.  Products are summed over k in ascending order with fused multiply-adds, starting from the bias
 * (or 0); reductions use 16 fixed lanes and a fixed tree; exp, erf and tanh are our own polynomials (at most 2 ulp).
 */
#ifndef TENSOR_KERNELS_H
#define TENSOR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/real.h"

/* Activation functions (names and formulas of Hugging Face transformers' activations.py). */
#define ACTIVATIONS(X)                                                                                                \
    X(GELU_ERF)   /* x * (1 + erf(x / sqrt 2)) / 2                                   */                               \
    X(GELU_TANH)  /* x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))) / 2             */                               \
    X(GELU_FAST)  /* the same with the constant 0.7978845608                         */                               \
    X(GELU_10)    /* GELU_ERF clipped to [-10, 10]                                   */                               \
    X(QUICK_GELU) /* x * sigmoid(1.702 x)                                            */                               \
    X(RELU)                                                                                                           \
    X(RELU6)                                                                                                          \
    X(RELU2)      /* max(x, 0)^2                                                     */                               \
    X(SILU)       /* x * sigmoid(x)                                                  */                               \
    X(MISH)       /* x * tanh(ln(1 + e^x))                                           */                               \
    X(SIGMOID)                                                                                                        \
    X(TANH)                                                                                                           \
    X(LINEAR)                                                                                                         \
    X(LEAKY_RELU) /* slope 0.01                                                      */
typedef enum activation {
#define ACTIVATION_ENUM(name) ACT_##name,
    ACTIVATIONS(ACTIVATION_ENUM)
#undef ACTIVATION_ENUM
        ACT_COUNT
} activation;

/* How the left factor of a product lies in memory. */
typedef enum product_side {
    SIDE_ROWS,   /* a(m, k) = a[m * lda + k]                                 */
    SIDE_TURNED, /* a(m, k) = a[k * lda + m]                                 */
    SIDE_PACKED  /* as kernels.pack_rows wrote it for the same rows and k    */
} product_side;

/* c[m][n] = start[m][n] + sum over k of a(m, k) w(k, n); w in panels: w(k, n) = w[n / panel * panel_step + k * panel + n % panel].
 * start with stride 0 is a bias row; start = c goes on with a sum begun before; NULL: zeros.  See gemm.h for the door that
 * callers use. */
typedef struct product {
    size_t rows, k, columns;
    const real *a;
    size_t lda;
    product_side side;
    const real *w;
    size_t panel_step;
    real *c;
    size_t ldc;
    const real *start;
    size_t lds;
} product;

/* The same panels read the other way: c[k][m] = start + sum over n of w(k, n) b[n][m], k < steps, m < width, for the way back.
 * b has rows of `width` numbers, panel or 16 of them, and so has c; goes_on: the sum goes on from what is in c, else from 0. */
typedef struct across {
    size_t steps, n, width;
    const real *w; /* w(k, n) = w[n / panel * panel_step + k * panel + n % panel] */
    size_t panel_step;
    const real *b;
    real *c;
    bool goes_on;
} across;

/* Attention of one sequence and one head.  Pointers are at the head's first column; strides are in elements.
 *   scores[i][j] = scale * <q_i, k_j> + bias (keys that are not seen: -inf),  p = softmax over j,  out_i = sum_j p_ij v_j.
 * A row that sees no key gives zeros.  The position of query i among the keys is query_rows[i] + row_shift, or, without
 * query_rows, such that the last query is at the last key.  Scratch as attention_scratch says. */
typedef struct attention_head {
    size_t queries, keys, width;           /* width of one head                                  */
    const real *q, *k, *v;
    size_t ldq, ldk, ldv;
    real scale;
    const uint8_t *hidden;                 /* [keys], non-zero: not seen; or NULL                */
    const int32_t *query_rows;             /* [queries] or NULL                                  */
    ptrdiff_t row_shift;
    bool is_causal;                        /* the query at p sees keys 0 .. p                    */
    size_t window;                         /* it sees keys after p - window; 0: all              */
    const int32_t *places;                 /* [keys] ascending, forward: where each key lies in its text, for window and bias;
                                              NULL: key j at j */
    const real *bias;                      /* [2 keys + 16]: of key j for the query at p: bias[keys - 1 + j - p]; with places
                                              bias[places[keys - 1] + places[j] - places[p]]; or NULL */
    real *out;                             /* [queries, width] with stride ldo                   */
    size_t ldo;
    real *probs;                           /* [queries, keys] with stride ldp, or NULL           */
    size_t ldp;                            /* 0: keys; what lies beyond the keys becomes 0       */
    /* backward only */
    const real *dout;                      /* [queries, width] with stride ldo                   */
    const real *dprobs;                    /* extra gradient into the probabilities [queries, keys], or NULL */
    real *dq, *dk, *dv;                    /* added to, strides ldq, ldk, ldv; dq NULL: dv alone, as if p were constant */
    double *dbias;                         /* with bias: the sum of ds bias over all scores is added; or NULL */
    real *scratch;
} attention_head;

typedef struct kernels {
    const char *name;
    size_t panel;                          /* columns of one packed panel                        */
    size_t tile_rows;                      /* most rows of one tile                              */
    void (*product)(const product *p);
    void (*across)(const across *p);
    /* Copies A [rows, k] into the order that the tiles read; `packed` has room for pack_rows_size elements. */
    void (*pack_rows)(real *packed, const real *a, size_t lda, size_t rows, size_t k);
    size_t (*pack_rows_size)(size_t rows, size_t k);
    /* y[c * ldy + r] = x[r * ldx + c]. */
    void (*transpose)(real *y, size_t ldy, const real *x, size_t ldx, size_t rows, size_t columns);
    void (*exp)(real *y, const real *x, size_t n);                                     /* y may be x                */
    void (*erf)(real *y, const real *x, size_t n);
    void (*add)(real *y, const real *a, const real *b, size_t n);                      /* y may be a or b           */
    void (*multiply)(real *y, const real *a, const real *b, size_t n);
    void (*scale)(real *y, const real *x, real factor, size_t n);
    /* Pairs (x[i], x[half + i]), i < half, turned by angles whose cosines and sines are given; turned back: by minus the
     * angles. */
    void (*rotate)(real *y, const real *x, const real *cosines, const real *sines, size_t half, bool is_back);
    void (*activate)(activation kind, real *y, const real *x, size_t n);               /* y may be x                */
    void (*activate_backward)(activation kind, real *dx, const real *dy, const real *x, size_t n); /* dx = dy f'(x) */
    void (*activate_ratio)(activation kind, real *dx, const real *dy, const real *x, size_t n); /* dx = dy (f(x) - f(0)) / x */
    double (*dot)(const real *a, const real *b, size_t n);                             /* in double                 */
    /* y = gain * (x - mean) * s + bias, s = 1/sqrt(biased variance + eps); stats[0] = mean, stats[1] = s.  Moments in double. */
    void (*layer_norm)(real *y, const real *x, const real *gain, const real *bias, size_t n, double eps, real stats[2]);
    /* dx = s (h - mean(h) - u mean(h u)), h = gain dy, u = (x - mean) s. */
    void (*layer_norm_backward)(real *dx, const real *dy, const real *x, const real *gain, size_t n, const real stats[2]);
    /* The same with s held: dx = s (h - mean(h)). */
    void (*layer_norm_backward_held)(real *dx, const real *dy, const real *gain, size_t n, const real stats[2]);
    /* y = gain * x * s, s = 1/sqrt(mean of squares + eps), returned.  The mean in double. */
    real (*rms_norm)(real *y, const real *x, const real *gain, size_t n, double eps);
    /* dx = s (h - u mean(h u)), h = gain dy, u = x s. */
    void (*rms_norm_backward)(real *dx, const real *dy, const real *x, const real *gain, size_t n, real s);
    /* The same with s held: dx = s h. */
    void (*rms_norm_backward_held)(real *dx, const real *dy, const real *gain, size_t n, real s);
    /* In place; row maximum subtracted, sum in double, -inf allowed; all -inf gives zeros. */
    void (*softmax)(real *x, size_t n);
    /* No NaN and no infinity in x?  One cheap pass. */
    bool (*is_finite)(const real *x, size_t n);
    void (*attention_forward)(const attention_head *h);
    void (*attention_backward)(const attention_head *h); /* needs probs */
    size_t (*attention_scratch)(size_t queries, size_t keys, size_t width, bool backward); /* elements of scratch   */
} kernels;

/* The best table this processor runs, or the one TOKRAY_CPU names when the processor runs it. */
const kernels *kernels_best(void);
/* Table number index among those this processor runs (portable first); NULL past the end. */
const kernels *kernels_at(size_t index);

#endif
