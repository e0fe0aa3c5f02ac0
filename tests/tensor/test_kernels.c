/*
 * Kernels: right against naive double, clean at the ends of the range, and the same bits at every level.
 *
 * Functions are swept over bit patterns of float (every 4999th, which meets all exponents and both signs);
 * error is counted in units in the last place of the true result.  The double build runs the same tests with
 * its own tolerances.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "tensor/kernels.h"

#ifdef TOKRAY_REAL_DOUBLE
#define REAL_MAX DBL_MAX
#define REAL_MIN DBL_MIN
#define CLOSE    1e-13 /* relative to the largest value at hand */
#else
#define REAL_MAX FLT_MAX
#define REAL_MIN FLT_MIN
#define CLOSE    2e-6
#endif

enum { CHUNK = 4096 };

static real *numbers(uint32_t item, size_t count, double scale)
{
    const random_key key = {.purpose = random_purpose("test_kernels"), .item = item};
    real *x = memory_new(count + 1, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)(scale * random_normal(key, i));
    return x;
}

/* ---- Elementary functions ---- */

static double error_in_ulp(real got, double want)
{
    if (isnan(want))
        return isnan(got) ? 0 : HUGE_VAL;
    if ((double)got == want)
        return 0;
    const real nearest = (real)want;
    if (isinf(nearest))
        return isinf(got) && (got > 0) == (want > 0)           ? 0
               : got == (real)copysign((double)REAL_MAX, want) ? 1
                                                               : HUGE_VAL;
#ifdef TOKRAY_REAL_DOUBLE
    const double ulp = nextafter(fabs(want), HUGE_VAL) - fabs(want);
#else
    const double ulp = (double)nextafterf(fabsf(nearest), HUGE_VAL) - (double)fabsf(nearest);
#endif
    return fabs((double)got - want) / ulp;
}

static void map_tanh(const kernels *k, real *y, const real *x, size_t n) { k->activate(ACT_TANH, y, x, n); }
static void map_exp(const kernels *k, real *y, const real *x, size_t n) { k->exp(y, x, n); }
static void map_erf(const kernels *k, real *y, const real *x, size_t n) { k->erf(y, x, n); }

static real number_of_pattern(uint32_t pattern)
{
    float x;
    memcpy(&x, &pattern, sizeof x);
    return (real)x;
}

/* Largest error over the sweep, at one level. */
static double worst_ulp(const kernels *k, void (*map)(const kernels *, real *, const real *, size_t),
                        double (*truth)(double))
{
    static real x[CHUNK], y[CHUNK];
    double worst = 0;
    for (uint64_t pattern = 0; pattern <= UINT32_MAX;) {
        size_t count = 0;
        for (; count < CHUNK && pattern <= UINT32_MAX; pattern += 4999)
            x[count++] = number_of_pattern((uint32_t)pattern);
        map(k, y, x, count);
        for (size_t i = 0; i < count; i++)
            worst = fmax(worst, error_in_ulp(y[i], truth((double)x[i])));
    }
    return worst;
}

static void test_kernels__exp_erf_tanh_are_within_2_ulp(void **state)
{
    (void)state;
    const kernels *k = kernels_best();              /* the levels agree: see below */
    assert_true(worst_ulp(k, map_exp, exp) <= 1.1); /* over all floats: 1.016, 1.120, 1.332 */
    assert_true(worst_ulp(k, map_erf, erf) <= 1.2);
    assert_true(worst_ulp(k, map_tanh, tanh) <= 1.4);
}

/* Where polynomials meet, and where results under- and overflow, every neighbour counts. */
static void test_kernels__functions_are_right_at_their_seams(void **state)
{
    (void)state;
    static const double exp_seams[] = {0, 0.34657359, -0.34657359, 88.72283, -87.33655, -103.97208, 1.0397207};
    static const double erf_seams[] = {0, 0.9, -0.9, 4, -4, 3.8325, 1e-30},
                        tanh_seams[] = {0, 0.625, -0.625, 9.01, -9.01, 10};
    const kernels *k = kernels_best();
    for (size_t s = 0; s < 7; s++)
        for (int step = -2000; step <= 2000; step++) {
            const double nudge = 1 + step * 0x1p-23;
            const real x[3] = {(real)(exp_seams[s] * nudge), (real)(erf_seams[s] * nudge),
                               (real)(tanh_seams[s % 6] * nudge)};
            real y[3];
            k->exp(&y[0], &x[0], 1);
            k->erf(&y[1], &x[1], 1);
            k->activate(ACT_TANH, &y[2], &x[2], 1);
            assert_true(error_in_ulp(y[0], exp((double)x[0])) <= 2);
            assert_true(error_in_ulp(y[1], erf((double)x[1])) <= 2);
            assert_true(error_in_ulp(y[2], tanh((double)x[2])) <= 2);
        }
}

static void test_kernels__functions_at_special_values(void **state)
{
    (void)state;
    const real inf = (real)INFINITY, nan = (real)NAN;
    const real x[] = {0, REAL(-0.0), inf, -inf, nan, REAL_MAX, -REAL_MAX, REAL_MIN, REAL_MIN / 4};
    enum { COUNT = sizeof x / sizeof *x };
    for (size_t level = 0; kernels_at(level); level++) {
        const kernels *k = kernels_at(level);
        real e[COUNT], f[COUNT], t[COUNT];
        k->exp(e, x, COUNT);
        k->erf(f, x, COUNT);
        k->activate(ACT_TANH, t, x, COUNT);
        assert_true(e[0] == 1 && e[1] == 1 && e[2] == inf && e[3] == 0 && isnan(e[4]) && e[5] == inf &&
                    e[6] == 0 && e[8] == 1);
        assert_true(f[2] == 1 && f[3] == -1 && isnan(f[4]) && f[5] == 1 && f[6] == -1);
        assert_true(t[2] == 1 && t[3] == -1 && isnan(t[4]) && t[5] == 1 && t[6] == -1);
        assert_true(f[1] == 0 && signbit(f[1]) && t[1] == 0 && signbit(t[1]));
        assert_true(f[8] > 0 && t[8] == x[8]); /* subnormal numbers are kept */
    }
}

/* ---- Activations ---- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double true_activation(activation kind, double x)
{
    const double cubic = x + 0.044715 * x * x * x, gelu = x * 0.5 * erfc(-x * M_SQRT1_2);
    switch (kind) {
    case ACT_GELU_ERF:
        return gelu;
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * cubic));
    case ACT_GELU_FAST:
        return 0.5 * x * (1 + tanh(0.7978845608 * cubic));
    case ACT_GELU_10:
        return fmin(10, fmax(-10, gelu));
    case ACT_QUICK_GELU:
        return x * sigmoid(1.702 * x);
    case ACT_RELU:
        return fmax(x, 0);
    case ACT_RELU6:
        return fmin(fmax(x, 0), 6);
    case ACT_RELU2:
        return x > 0 ? x * x : 0;
    case ACT_SILU:
        return x * sigmoid(x);
    case ACT_MISH:
        return x * tanh(log1p(exp(x)));
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_TANH:
        return tanh(x);
    case ACT_LINEAR:
        return x;
    case ACT_LEAKY_RELU:
        return x > 0 ? x : 0.01 * x;
    case ACT_COUNT:
        break;
    }
    fail_msg("no formula for activation %d", (int)kind);
    return nan("");
}

static double true_slope(activation kind, double x)
{
    const double h = 1e-4; /* fourth order: error about h^4 and 1e-16 / h */
    return (8 * (true_activation(kind, x + h) - true_activation(kind, x - h)) -
            (true_activation(kind, x + 2 * h) - true_activation(kind, x - 2 * h))) /
           (12 * h);
}

/* The points lie beside the kinks (0, 6, 10), where the slope is one of two. */
static void test_kernels__activations_and_slopes(void **state)
{
    (void)state;
    enum { COUNT = 3001 };
    real x[COUNT], y[COUNT], dx[COUNT], dy[COUNT];
    for (int i = 0; i < COUNT; i++) {
        x[i] = (real)((i - 1500) * 0.01 + 0.0037);
        dy[i] = (real)(1 + i % 3);
    }
    for (int kind = 0; kind < ACT_COUNT; kind++) {
        kernels_best()->activate((activation)kind, y, x, COUNT);
        kernels_best()->activate_backward((activation)kind, dx, dy, x, COUNT);
        for (int i = 0; i < COUNT; i++) {
            const double value = true_activation((activation)kind, (double)x[i]),
                         slope = true_slope((activation)kind, (double)x[i]);
            if (fabs((double)y[i] - value) > CLOSE / 4 * fmax(1, fabs(value)) ||
                fabs((double)dx[i] - (double)dy[i] * slope) >
                    fmax(CLOSE / 2, 1e-10) * (double)dy[i] * fmax(1, fabs(slope)))
                fail_msg("activation %d at %g: %.9g, not %.9g; slope %.9g, not %.9g", kind, (double)x[i],
                         (double)y[i], value, (double)dx[i], (double)dy[i] * slope);
        }
    }
}

static void test_kernels__activations_saturate_cleanly(void **state)
{
    (void)state;
    static const double ends[] = {50, 103, 1e3, 1e5, 1e10, 1e19, 1e20, 1e30, 3.4e38, (double)REAL_MAX};
    for (int kind = 0; kind < ACT_COUNT; kind++)
        for (size_t i = 0; i < 2 * sizeof ends / sizeof *ends; i++) {
            const real x = (real)(i % 2 ? -ends[i / 2] : ends[i / 2]), one = 1;
            real y, slope;
            kernels_best()->activate((activation)kind, &y, &x, 1);
            kernels_best()->activate_backward((activation)kind, &slope, &one, &x, 1);
            assert_false(isnan(y) || isnan(slope));
            const bool is_bounded =
                kind == ACT_SIGMOID || kind == ACT_TANH || kind == ACT_RELU6 || kind == ACT_GELU_10;
            const real flat = kind == ACT_LEAKY_RELU ? REAL(0.01) : kind == ACT_LINEAR;
            if (x < 0) {
                assert_true(slope == flat ||
                            (i < 4 && fabs((double)slope) < 1e-15)); /* 1e-20: logistic at -50 */
                assert_true(fabs((double)y) <= 1 || kind == ACT_LINEAR || kind == ACT_LEAKY_RELU);
            } else if (kind != ACT_RELU2) {
                assert_true(slope == !is_bounded || (i < 4 && fabs((double)slope - !is_bounded) < 1e-15));
                assert_true(is_bounded ? y == (kind == ACT_RELU6 ? 6 : kind == ACT_GELU_10 ? 10 : 1) : y == x);
            }
        }
}

static void test_kernels__activations_pass_nan_on(void **state)
{
    (void)state;
    const real nan = (real)NAN;
    for (size_t level = 0; kernels_at(level); level++)
        for (int kind = 0; kind < ACT_COUNT; kind++) {
            real y = 0;
            kernels_at(level)->activate((activation)kind, &y, &nan, 1);
            assert_true(isnan(y));
        }
}

/* ---- Reductions ---- */

static void test_kernels__softmax(void **state)
{
    (void)state;
    for (size_t level = 0; kernels_at(level); level++)
        for (size_t n = 1; n < 70; n += n < 20 ? 1 : 7) {
            real *x = numbers((uint32_t)n, n, 20), *y = numbers((uint32_t)n, n, 20);
            if (n > 2)
                y[n - 2] = x[n - 2] = -(real)INFINITY;
            kernels_at(level)->softmax(y, n);
            double largest = -HUGE_VAL, sum = 0, total = 0;
            for (size_t i = 0; i < n; i++)
                largest = fmax(largest, (double)x[i]);
            for (size_t i = 0; i < n; i++)
                sum += exp((double)x[i] - largest);
            for (size_t i = 0; i < n; i++) {
                assert_true(fabs((double)y[i] - exp((double)x[i] - largest) / sum) < CLOSE / 8);
                total += (double)y[i];
            }
            assert_true(fabs(total - 1) < CLOSE / 2);
            assert_true(y[n] == 0); /* untouched */
            memory_free(x);
            memory_free(y);
        }
}

static void test_kernels__softmax_of_the_unusual(void **state)
{
    (void)state;
    const real inf = (real)INFINITY;
    for (size_t level = 0; kernels_at(level); level++) {
        real none[] = {-inf, -inf, -inf}, huge[] = {REAL_MAX, -REAL_MAX, REAL_MAX},
             bad[] = {1, (real)NAN, -inf}, over[] = {inf, 1};
        kernels_at(level)->softmax(none, 3);
        kernels_at(level)->softmax(huge, 3);
        kernels_at(level)->softmax(bad, 3);
        kernels_at(level)->softmax(over, 2);
        kernels_at(level)->softmax(none, 0);
        assert_true(none[0] == 0 && none[1] == 0 && none[2] == 0);
        assert_true(huge[0] == REAL(0.5) && huge[1] == 0 && huge[2] == REAL(0.5));
        assert_true(isnan(bad[0]) && isnan(over[0])); /* shown, never hidden */
    }
}

static void true_layer_norm(const real *x, size_t n, double eps, double *mean, double *s)
{
    *mean = 0;
    double variance = 0;
    for (size_t i = 0; i < n; i++)
        *mean += (double)x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        variance += ((double)x[i] - *mean) * ((double)x[i] - *mean) / (double)n;
    *s = 1 / sqrt(variance + eps);
}

static void test_kernels__layer_norm_both_ways(void **state)
{
    (void)state;
    static const size_t widths[] = {1, 2, 3, 15, 16, 17, 31, 48, 50, 768};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        const size_t n = widths[w];
        real *x = numbers(1, n, 3), *gain = numbers(2, n, 1), *bias = numbers(3, n, 1), *dy = numbers(4, n, 1);
        real *y = numbers(5, n, 0), *dx = numbers(5, n, 0), stats[2];
        for (size_t i = 0; i < n; i++)
            x[i] += 5;
        double mean, s, mean_h = 0, mean_hu = 0;
        true_layer_norm(x, n, 1e-5, &mean, &s);
        kernels_best()->layer_norm(y, x, gain, bias, n, 1e-5, stats);
        kernels_best()->layer_norm_backward(dx, dy, x, gain, n, stats);
        for (size_t i = 0; i < n; i++) {
            const double h = (double)gain[i] * (double)dy[i];
            mean_h += h / (double)n;
            mean_hu += h * ((double)x[i] - mean) * s / (double)n;
        }
        for (size_t i = 0; i < n; i++) {
            const double u = ((double)x[i] - mean) * s;
            assert_true(fabs((double)y[i] - ((double)gain[i] * u + (double)bias[i])) < 10 * CLOSE);
            assert_true(fabs((double)dx[i] - s * ((double)gain[i] * (double)dy[i] - mean_h - u * mean_hu)) <
                        10 * CLOSE * fmax(1, s));
        }
        assert_true(fabs((double)stats[0] - mean) < CLOSE * 5 && fabs((double)stats[1] - s) < CLOSE * s);
        real *const all[] = {x, gain, bias, dy, y, dx};
        for (size_t i = 0; i < 6; i++)
            memory_free(all[i]);
    }
}

/* A constant row has no spread; values far from 0 must not lose their small one. */
static void test_kernels__layer_norm_of_hard_rows(void **state)
{
    (void)state;
    real x[20], gain[20], bias[20], y[20], stats[2];
    for (int i = 0; i < 20; i++) {
        x[i] = REAL(12345.0);
        gain[i] = 2;
        bias[i] = 7;
    }
    for (int pass = 0; pass < 2; pass++) {
        kernels_best()->layer_norm(y, x, gain, bias, 20, pass ? 0 : 1e-12, stats);
        for (int i = 0; i < 20; i++)
            assert_true(y[i] == 7);
    }
    for (int i = 0; i < 20; i++)
        x[i] = REAL(1e6) + (real)(i % 2);
    kernels_best()->layer_norm(y, x, gain, bias, 20, 0, stats);
    for (int i = 0; i < 20; i++)
        assert_true(fabs((double)y[i] - (i % 2 ? 9 : 5)) < 1e-5);
    for (int i = 0; i < 20; i++)
        x[i] = i % 2 ? REAL_MAX : -REAL_MAX;
#ifndef TOKRAY_REAL_DOUBLE /* the square of the largest float is a fine double */
    kernels_best()->layer_norm(y, x, gain, bias, 20, 0, stats);
    for (int i = 0; i < 20; i++)
        assert_true(fabs((double)y[i] - (i % 2 ? 9 : 5)) < 1e-5);
#endif
}

static void test_kernels__is_finite(void **state)
{
    (void)state;
    for (size_t level = 0; kernels_at(level); level++)
        for (size_t n = 0; n < 40; n++) {
            real x[40];
            for (size_t i = 0; i < 40; i++)
                x[i] = i < n ? i % 2 ? REAL_MAX : -REAL_MAX : (real)NAN;
            assert_true(kernels_at(level)->is_finite(x, n));
            static const double bad[] = {HUGE_VAL, -HUGE_VAL, (double)NAN};
            for (size_t i = 0; i < n; i++) {
                const real kept = x[i];
                x[i] = (real)bad[i % 3];
                assert_false(kernels_at(level)->is_finite(x, n));
                x[i] = kept;
            }
        }
}

/* ---- Attention ---- */

typedef struct heads {
    attention_head h;
    real *blocks[16];
    size_t count;
    uint8_t *hidden;
} heads;

static real *heads_block(heads *t, size_t count, double scale)
{
    real *x = numbers((uint32_t)t->count + 10, count, scale);
    t->blocks[t->count++] = x;
    return x;
}

typedef struct shape {
    size_t queries, keys, width;
    bool is_causal, has_hidden, has_dprobs;
} shape;

static heads heads_new(shape s, const kernels *k)
{
    heads t = {.count = 0};
    attention_head *h = &t.h;
    *h = (attention_head){.queries = s.queries,
                          .keys = s.keys,
                          .width = s.width,
                          .ldq = s.width + 3,
                          .ldk = s.width + 5,
                          .ldv = s.width,
                          .ldo = s.width + 1,
                          .scale = REAL(0.6),
                          .is_causal = s.is_causal};
    h->q = heads_block(&t, s.queries * h->ldq, 1);
    h->k = heads_block(&t, s.keys * h->ldk, 1);
    h->v = heads_block(&t, s.keys * h->ldv, 1);
    h->out = heads_block(&t, s.queries * h->ldo, 0);
    h->probs = heads_block(&t, s.queries * s.keys, 0);
    h->dout = heads_block(&t, s.queries * h->ldo, 1);
    real *dprobs = heads_block(&t, s.queries * s.keys, 1);
    h->dprobs = s.has_dprobs ? dprobs : NULL;
    h->dq = heads_block(&t, s.queries * h->ldq, 1);
    h->dk = heads_block(&t, s.keys * h->ldk, 1);
    h->dv = heads_block(&t, s.keys * h->ldv, 1);
    t.hidden = NEW(uint8_t, s.keys + 1);
    for (size_t j = 0; j < s.keys; j++)
        t.hidden[j] = s.has_hidden && (j % 3 == 1 || s.keys == 5); /* five keys: all of them */
    h->hidden = s.has_hidden ? t.hidden : NULL;
    size_t scratch = k->attention_scratch(s.queries, s.keys, s.width, true);
    const size_t forward = k->attention_scratch(s.queries, s.keys, s.width, false);
    scratch = scratch > forward ? scratch : forward;
    h->scratch = heads_block(&t, scratch, 1);
    for (size_t i = 0; i < scratch; i++) /* what was there before must not matter */
        h->scratch[i] = (real)NAN;
    return t;
}

static void heads_free(heads *t)
{
    for (size_t i = 0; i < t->count; i++)
        memory_free(t->blocks[i]);
    memory_free(t->hidden);
}

static bool is_seen(const attention_head *h, size_t i, size_t j)
{
    return !(h->hidden && h->hidden[j]) && !(h->is_causal && j + h->queries > i + h->keys);
}

/* Row i of the probabilities, in double. */
static void true_probs(const attention_head *h, size_t i, double *p)
{
    double sum = 0, largest = -HUGE_VAL;
    for (size_t j = 0; j < h->keys; j++) {
        p[j] = 0;
        for (size_t d = 0; d < h->width; d++)
            p[j] += (double)h->q[i * h->ldq + d] * (double)h->k[j * h->ldk + d];
        p[j] = is_seen(h, i, j) ? p[j] * (double)h->scale : -HUGE_VAL;
        largest = fmax(largest, p[j]);
    }
    for (size_t j = 0; j < h->keys; j++)
        sum += p[j] = isinf(largest) ? 0 : exp(p[j] - largest);
    for (size_t j = 0; j < h->keys; j++)
        p[j] = sum > 0 ? p[j] / sum : 0;
}

static void check_near(const char *what, double got, double want, double scale)
{
    if (!(fabs(got - want) <= 4 * CLOSE * fmax(1, scale)))
        fail_msg("%s: %.9g, not %.9g", what, got, want);
}

static void check_forward(const attention_head *h)
{
    double *p = NEW(double, h->keys + 1);
    for (size_t i = 0; i < h->queries; i++) {
        true_probs(h, i, p);
        for (size_t j = 0; j < h->keys; j++)
            check_near("probability", (double)h->probs[i * h->keys + j], p[j], 1);
        for (size_t d = 0; d < h->width; d++) {
            double sum = 0;
            for (size_t j = 0; j < h->keys; j++)
                sum += p[j] * (double)h->v[j * h->ldv + d];
            check_near("output", (double)h->out[i * h->ldo + d], sum, 4);
        }
        assert_true(h->out[i * h->ldo + h->width] == 0); /* between the rows */
    }
    memory_free(p);
}

/* Adds what the way back adds, in double, to copies of dq, dk and dv that were made before. */
static void true_backward(const attention_head *h, double *dq, double *dk, double *dv)
{
    double *p = NEW(double, h->keys + 1), *dp = NEW(double, h->keys + 1);
    for (size_t i = 0; i < h->queries; i++) {
        double mean = 0;
        true_probs(h, i, p);
        for (size_t j = 0; j < h->keys; j++) {
            dp[j] = h->dprobs ? (double)h->dprobs[i * h->keys + j] : 0;
            for (size_t d = 0; d < h->width; d++) {
                dp[j] += (double)h->dout[i * h->ldo + d] * (double)h->v[j * h->ldv + d];
                dv[j * h->ldv + d] += p[j] * (double)h->dout[i * h->ldo + d];
            }
            mean += p[j] * dp[j];
        }
        for (size_t j = 0; j < h->keys; j++)
            for (size_t d = 0; d < h->width; d++) {
                const double ds = p[j] * (dp[j] - mean) * (double)h->scale;
                dq[i * h->ldq + d] += ds * (double)h->k[j * h->ldk + d];
                dk[j * h->ldk + d] += ds * (double)h->q[i * h->ldq + d];
            }
    }
    memory_free(p);
    memory_free(dp);
}

static double *widened(const real *x, size_t count)
{
    double *y = NEW(double, count + 1);
    for (size_t i = 0; i < count; i++)
        y[i] = (double)x[i];
    return y;
}

static void check_all(const char *what, const real *got, double *want, size_t count)
{
    double scale = 0;
    for (size_t i = 0; i < count; i++)
        scale = fmax(scale, fabs(want[i]));
    for (size_t i = 0; i < count; i++)
        check_near(what, (double)got[i], want[i], 2 * scale);
    memory_free(want);
}

static void check_attention(shape s, const kernels *k)
{
    heads t = heads_new(s, k);
    attention_head *h = &t.h;
    k->attention_forward(h);
    check_forward(h);
    const size_t nq = s.queries * h->ldq, nk = s.keys * h->ldk, nv = s.keys * h->ldv;
    double *dq = widened(h->dq, nq), *dk = widened(h->dk, nk), *dv = widened(h->dv, nv);
    k->attention_backward(h);
    true_backward(h, dq, dk, dv);
    check_all("dq", h->dq, dq, nq);
    check_all("dk", h->dk, dk, nk);
    check_all("dv", h->dv, dv, nv);
    heads_free(&t);
}

static const shape shapes[] = {
    {1, 1, 1, false, false, false},  {7, 7, 3, false, false, true},   {12, 12, 64, true, false, true},
    {15, 33, 10, false, true, true}, {130, 130, 5, true, true, true}, {60, 75, 40, true, false, false},
    {9, 4, 8, true, false, true},    {3, 5, 16, false, true, true},   {57, 57, 32, false, false, true},
    {2, 0, 4, false, false, false},  {0, 3, 4, true, false, false},   {40, 170, 33, true, true, true},
    {1, 75, 70, true, false, true},  {1, 16, 16, false, true, false}, {1, 170, 33, false, true, true},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void test_kernels__attention_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        for (size_t level = 0; kernels_at(level); level++)
            check_attention(shapes[i], kernels_at(level));
}

static void test_kernels__attention_probabilities_are_optional(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++) {
        const kernels *k = kernels_best();
        heads with = heads_new(shapes[i], k), without = heads_new(shapes[i], k);
        without.h.probs = NULL;
        k->attention_forward(&with.h);
        k->attention_forward(&without.h);
        assert_memory_equal(with.h.out, without.h.out, shapes[i].queries * with.h.ldo * sizeof(real));
        heads_free(&with);
        heads_free(&without);
    }
}

/* A causal row gives the same numbers whether it comes with the rows before it or alone, as in step by step
 * decoding. */
static void test_kernels__causal_rows_stand_alone(void **state)
{
    (void)state;
    const kernels *k = kernels_best();
    heads t = heads_new((shape){130, 130, 24, true, false, false}, k);
    k->attention_forward(&t.h);
    for (size_t i = 0; i < 130; i++) {
        real out[24];
        attention_head one = t.h;
        one.queries = 1;
        one.keys = i + 1;
        one.q += i * one.ldq;
        one.out = out;
        one.probs = NULL;
        k->attention_forward(&one);
        assert_memory_equal(out, t.h.out + i * t.h.ldo, sizeof out);
    }
    heads_free(&t);
}

/* ---- Levels ---- */

static void check_same(const char *what, const real *a, const real *b, size_t count, const kernels *k)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0 && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s at level %s, element %zu: %.9g, portable %.9g", what, k->name, i, (double)b[i],
                     (double)a[i]);
}

static void test_kernels__levels_give_the_same_bits_of_functions(void **state)
{
    (void)state;
    static real x[CHUNK], ones[CHUNK], want[CHUNK], got[CHUNK];
    const kernels *first = kernels_at(0);
    for (uint64_t pattern = 0; pattern <= UINT32_MAX;) {
        size_t count = 0;
        for (; count < CHUNK && pattern <= UINT32_MAX; pattern += 39989, count++) {
            x[count] = number_of_pattern((uint32_t)pattern);
            ones[count] = 1;
        }
        for (size_t level = 1; kernels_at(level); level++) {
            const kernels *k = kernels_at(level);
            first->exp(want, x, count);
            k->exp(got, x, count);
            check_same("exp", want, got, count, k);
            first->erf(want, x, count);
            k->erf(got, x, count);
            check_same("erf", want, got, count, k);
            for (int kind = 0; kind < ACT_COUNT; kind++) {
                first->activate((activation)kind, want, x, count);
                k->activate((activation)kind, got, x, count);
                check_same("activation", want, got, count, k);
                first->activate_backward((activation)kind, want, ones, x, count);
                k->activate_backward((activation)kind, got, ones, x, count);
                check_same("slope", want, got, count, k);
            }
        }
    }
}

static void test_kernels__levels_give_the_same_bits_of_rows(void **state)
{
    (void)state;
    const kernels *first = kernels_at(0);
    for (size_t n = 1; n < 200; n += n < 40 ? 1 : 13)
        for (size_t level = 1; kernels_at(level); level++) {
            const kernels *k = kernels_at(level);
            real *x = numbers(1, n, 2), *gain = numbers(2, n, 1), *bias = numbers(3, n, 1);
            real *want = numbers(4, n, 1), *got = numbers(4, n, 1), want_stats[2], got_stats[2];
            first->layer_norm(want, x, gain, bias, n, 1e-12, want_stats);
            k->layer_norm(got, x, gain, bias, n, 1e-12, got_stats);
            check_same("layer norm", want, got, n, k);
            check_same("moments", want_stats, got_stats, 2, k);
            first->layer_norm_backward(want, bias, x, gain, n, want_stats);
            k->layer_norm_backward(got, bias, x, gain, n, got_stats);
            check_same("layer norm backward", want, got, n, k);
            first->softmax(want, n);
            k->softmax(got, n);
            check_same("softmax", want, got, n, k);
            first->add(want, x, gain, n);
            k->add(got, x, gain, n);
            check_same("sum", want, got, n, k);
            real *const all[] = {x, gain, bias, want, got};
            for (size_t i = 0; i < 5; i++)
                memory_free(all[i]);
        }
}

/* Large numbers that cancel, each pair in another step of the tree: in another order the small ones would be
 * lost. */
static void test_kernels__sums_follow_one_tree(void **state)
{
    (void)state;
    static const size_t pairs[][2] = {{0, 8}, {1, 5}, {2, 12}, {3, 1}, {7, 6}, {0, 15}, {9, 11}};
    const kernels *first = kernels_at(0);
    for (size_t p = 0; p < sizeof pairs / sizeof *pairs; p++)
        for (size_t level = 1; kernels_at(level); level++) {
            real *x = numbers((uint32_t)p, 16, 1), *y = numbers(1, 16, 1), want[2], got[2];
            x[pairs[p][0]] = REAL(1e17);
            x[pairs[p][1]] = REAL(-1e17);
            first->layer_norm(y, x, x, x, 16, 0, want);
            kernels_at(level)->layer_norm(y, x, x, x, 16, 0, got);
            check_same("mean of numbers that cancel", want, got, 1, kernels_at(level));
            memory_free(x);
            memory_free(y);
        }
}

static void test_kernels__levels_give_the_same_bits_of_attention(void **state)
{
    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        for (size_t level = 1; kernels_at(level); level++) {
            const kernels *first = kernels_at(0), *k = kernels_at(level);
            heads want = heads_new(shapes[i], first), got = heads_new(shapes[i], k);
            first->attention_forward(&want.h);
            first->attention_backward(&want.h);
            k->attention_forward(&got.h);
            k->attention_backward(&got.h);
            const attention_head *a = &want.h, *b = &got.h;
            check_same("output", a->out, b->out, a->queries * a->ldo, k);
            check_same("probabilities", a->probs, b->probs, a->queries * a->keys, k);
            check_same("dq", a->dq, b->dq, a->queries * a->ldq, k);
            check_same("dk", a->dk, b->dk, a->keys * a->ldk, k);
            check_same("dv", a->dv, b->dv, a->keys * a->ldv, k);
            heads_free(&want);
            heads_free(&got);
        }
}

static void test_kernels__transpose_and_tails_stay_inside(void **state)
{
    (void)state;
    for (size_t level = 0; kernels_at(level); level++)
        for (size_t rows = 0; rows < 35; rows += 3)
            for (size_t columns = 0; columns < 35; columns += 4) {
                real *x = numbers(1, rows * (columns + 2), 1), *y = numbers(2, columns * (rows + 1), 0);
                kernels_at(level)->transpose(y, rows + 1, x, columns + 2, rows, columns);
                for (size_t c = 0; c < columns; c++)
                    for (size_t r = 0; r <= rows; r++)
                        assert_true(y[c * (rows + 1) + r] == (r < rows ? x[r * (columns + 2) + c] : 0));
                real tail[40] = {0};
                kernels_at(level)->exp(tail, tail, rows);
                for (size_t i = 0; i < 40; i++)
                    assert_true(tail[i] == (i < rows));
                memory_free(x);
                memory_free(y);
            }
}

static void test_kernels__table_is_chosen_by_name(void **state)
{
    (void)state;
    size_t count = 0;
    for (; kernels_at(count); count++) {
        setenv("TOKRAY_CPU", kernels_at(count)->name, 1);
        assert_ptr_equal(kernels_best(), kernels_at(count));
    }
    setenv("TOKRAY_CPU", "abacus", 1);
    assert_ptr_equal(kernels_best(), kernels_at(count - 1));
    unsetenv("TOKRAY_CPU");
    assert_ptr_equal(kernels_best(), kernels_at(count - 1));
    assert_string_equal(kernels_at(0)->name, "portable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels__exp_erf_tanh_are_within_2_ulp),
        cmocka_unit_test(test_kernels__functions_are_right_at_their_seams),
        cmocka_unit_test(test_kernels__functions_at_special_values),
        cmocka_unit_test(test_kernels__activations_and_slopes),
        cmocka_unit_test(test_kernels__activations_saturate_cleanly),
        cmocka_unit_test(test_kernels__activations_pass_nan_on),
        cmocka_unit_test(test_kernels__softmax),
        cmocka_unit_test(test_kernels__softmax_of_the_unusual),
        cmocka_unit_test(test_kernels__layer_norm_both_ways),
        cmocka_unit_test(test_kernels__layer_norm_of_hard_rows),
        cmocka_unit_test(test_kernels__is_finite),
        cmocka_unit_test(test_kernels__attention_both_ways),
        cmocka_unit_test(test_kernels__attention_probabilities_are_optional),
        cmocka_unit_test(test_kernels__causal_rows_stand_alone),
        cmocka_unit_test(test_kernels__levels_give_the_same_bits_of_functions),
        cmocka_unit_test(test_kernels__levels_give_the_same_bits_of_rows),
        cmocka_unit_test(test_kernels__sums_follow_one_tree),
        cmocka_unit_test(test_kernels__levels_give_the_same_bits_of_attention),
        cmocka_unit_test(test_kernels__transpose_and_tails_stay_inside),
        cmocka_unit_test(test_kernels__table_is_chosen_by_name),
    };
    return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
