/*
 * A vector of 16 numbers, at three processor levels with one interface.
 *
 * LEVEL_AVX512: one 512-bit register; LEVEL_AVX2: two 256-bit registers; neither: an array and plain loops,
 * which is also the only level of the double build.  The including file defines the level; only the kernels
 * include this header.
 *
 * Every function is one correctly rounded IEEE operation a lane, so all levels give the same bits as long as
 * the compiler does not contract or reorder (-ffp-contract=off, never -ffast-math).  `wide` is the same 16
 * lanes in double, for sums. Known to go wrong: min and max must treat NaN and zeros as the SSE instructions
 * do: the second operand wins.
 */
#ifndef TENSOR_VECTOR_H
#define TENSOR_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "tensor/real.h"

#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
#include <immintrin.h>
#endif

enum { LANES = 16 };

/* Registers must not be passed through memory.  The portable functions are loops of 16 steps that gain little
 * from inlining, and inlined they make a sanitizer build of the kernels take minutes. */
#if defined(LEVEL_AVX512) || defined(LEVEL_AVX2)
#define VECTOR_FN static inline __attribute__((always_inline, unused))
#else
#define VECTOR_FN static __attribute__((noinline, unused))
#endif

#if defined(LEVEL_AVX512) /* ---- AVX-512 */

typedef __m512 vec;
typedef __mmask16 vec_mask;
typedef struct wide {
    __m512d lo, hi;
} wide;

VECTOR_FN vec_mask mask_first(size_t n) { return (__mmask16)((1u << n) - 1u); }
VECTOR_FN vec vec_set(real x) { return _mm512_set1_ps(x); }
VECTOR_FN vec vec_zero(void) { return _mm512_setzero_ps(); }
VECTOR_FN vec vec_load(const real *p) { return _mm512_loadu_ps(p); }
VECTOR_FN void vec_store(real *p, vec v) { _mm512_storeu_ps(p, v); }
VECTOR_FN vec vec_load_part(const real *p, size_t n) { return _mm512_maskz_loadu_ps(mask_first(n), p); }
VECTOR_FN void vec_store_part(real *p, vec v, size_t n) { _mm512_mask_storeu_ps(p, mask_first(n), v); }
VECTOR_FN vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
VECTOR_FN vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
VECTOR_FN vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
VECTOR_FN vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
VECTOR_FN vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
VECTOR_FN vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
VECTOR_FN vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
VECTOR_FN vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
VECTOR_FN vec vec_abs(vec a) { return _mm512_abs_ps(a); }
VECTOR_FN vec vec_copysign(vec size, vec sign)
{
    return _mm512_or_ps(_mm512_abs_ps(size), _mm512_and_ps(sign, _mm512_set1_ps(-0.0f)));
}
VECTOR_FN vec_mask vec_less(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
VECTOR_FN vec vec_select(vec_mask m, vec yes, vec no) { return _mm512_mask_blend_ps(m, no, yes); }
/* x * 2^n for whole n; one rounding even where the result is subnormal. */
VECTOR_FN vec vec_scale(vec x, vec n) { return _mm512_scalef_ps(x, n); }

VECTOR_FN void vec_transpose(vec r[LANES])
{
    vec t[LANES];
    for (int i = 0; i < LANES; i += 4) { /* 4 x 4 blocks inside each 128-bit quarter */
        const vec a = _mm512_unpacklo_ps(r[i], r[i + 1]), b = _mm512_unpackhi_ps(r[i], r[i + 1]);
        const vec c = _mm512_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm512_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm512_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm512_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm512_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm512_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) { /* 4 x 4 blocks of quarters */
        const vec a = _mm512_shuffle_f32x4(t[i], t[i + 4], 0x88),
                  b = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0x88);
        const vec c = _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd),
                  d = _mm512_shuffle_f32x4(t[i + 8], t[i + 12], 0xdd);
        r[i] = _mm512_shuffle_f32x4(a, b, 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(c, d, 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(a, b, 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(c, d, 0xdd);
    }
}

/* The same when only the first `rows` rows hold anything; the other lanes of the result are 0. */
VECTOR_FN void vec_transpose_rows(vec r[LANES], size_t rows)
{
    (void)rows;
    vec_transpose(r);
}

VECTOR_FN wide wide_set(double x) { return (wide){_mm512_set1_pd(x), _mm512_set1_pd(x)}; }
VECTOR_FN wide wide_of(vec v)
{
    return (wide){_mm512_cvtps_pd(_mm512_castps512_ps256(v)), _mm512_cvtps_pd(_mm512_extractf32x8_ps(v, 1))};
}
VECTOR_FN vec wide_narrow(wide w)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(w.lo)), _mm512_cvtpd_ps(w.hi), 1);
}
VECTOR_FN wide wide_add(wide a, wide b) { return (wide){_mm512_add_pd(a.lo, b.lo), _mm512_add_pd(a.hi, b.hi)}; }
VECTOR_FN wide wide_sub(wide a, wide b) { return (wide){_mm512_sub_pd(a.lo, b.lo), _mm512_sub_pd(a.hi, b.hi)}; }
VECTOR_FN wide wide_mul(wide a, wide b) { return (wide){_mm512_mul_pd(a.lo, b.lo), _mm512_mul_pd(a.hi, b.hi)}; }
VECTOR_FN wide wide_fma(wide a, wide b, wide c)
{
    return (wide){_mm512_fmadd_pd(a.lo, b.lo, c.lo), _mm512_fmadd_pd(a.hi, b.hi, c.hi)};
}
VECTOR_FN wide wide_load(const double *p) { return (wide){_mm512_loadu_pd(p), _mm512_loadu_pd(p + 8)}; }
VECTOR_FN void wide_store(double *p, wide w)
{
    _mm512_storeu_pd(p, w.lo);
    _mm512_storeu_pd(p + 8, w.hi);
}

VECTOR_FN double wide_sum(wide w)
{
    const __m512d s = _mm512_add_pd(w.lo, w.hi);
    const __m256d q = _mm256_add_pd(_mm512_castpd512_pd256(s), _mm512_extractf64x4_pd(s, 1));
    const __m128d d = _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_add_sd(d, _mm_unpackhi_pd(d, d)));
}
VECTOR_FN real vec_largest(vec v)
{
    const __m256 h = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(d, _mm_shuffle_ps(d, d, 1)));
}

#elif defined(LEVEL_AVX2) /* ---- AVX2 */

typedef struct vec {
    __m256 lo, hi;
} vec;
typedef vec vec_mask;
typedef struct wide {
    __m256d a, b, c, d;
} wide;

/* The first n lanes: a window over ones followed by zeros. */
static const int32_t mask_window[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

VECTOR_FN __m256i mask_half(size_t n, size_t from)
{
    return _mm256_loadu_si256((const void *)(mask_window + LANES - n + from));
}
VECTOR_FN vec vec_set(real x) { return (vec){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
VECTOR_FN vec vec_zero(void) { return (vec){_mm256_setzero_ps(), _mm256_setzero_ps()}; }
VECTOR_FN vec vec_load(const real *p) { return (vec){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
VECTOR_FN void vec_store(real *p, vec v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}
VECTOR_FN vec vec_load_part(const real *p, size_t n)
{
    return (vec){_mm256_maskload_ps(p, mask_half(n, 0)), _mm256_maskload_ps(p + 8, mask_half(n, 8))};
}
VECTOR_FN void vec_store_part(real *p, vec v, size_t n)
{
    _mm256_maskstore_ps(p, mask_half(n, 0), v.lo);
    _mm256_maskstore_ps(p + 8, mask_half(n, 8), v.hi);
}
VECTOR_FN vec vec_add(vec a, vec b) { return (vec){_mm256_add_ps(a.lo, b.lo), _mm256_add_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_sub(vec a, vec b) { return (vec){_mm256_sub_ps(a.lo, b.lo), _mm256_sub_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_mul(vec a, vec b) { return (vec){_mm256_mul_ps(a.lo, b.lo), _mm256_mul_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_div(vec a, vec b) { return (vec){_mm256_div_ps(a.lo, b.lo), _mm256_div_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_fma(vec a, vec b, vec c)
{
    return (vec){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}
VECTOR_FN vec vec_fnma(vec a, vec b, vec c)
{
    return (vec){_mm256_fnmadd_ps(a.lo, b.lo, c.lo), _mm256_fnmadd_ps(a.hi, b.hi, c.hi)};
}
VECTOR_FN vec vec_min(vec a, vec b) { return (vec){_mm256_min_ps(a.lo, b.lo), _mm256_min_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_max(vec a, vec b) { return (vec){_mm256_max_ps(a.lo, b.lo), _mm256_max_ps(a.hi, b.hi)}; }
VECTOR_FN vec vec_abs(vec a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (vec){_mm256_andnot_ps(sign, a.lo), _mm256_andnot_ps(sign, a.hi)};
}
VECTOR_FN vec vec_copysign(vec size, vec sign)
{
    const __m256 bit = _mm256_set1_ps(-0.0f);
    const vec a = vec_abs(size);
    return (vec){_mm256_or_ps(a.lo, _mm256_and_ps(bit, sign.lo)),
                 _mm256_or_ps(a.hi, _mm256_and_ps(bit, sign.hi))};
}
VECTOR_FN vec_mask vec_less(vec a, vec b)
{
    return (vec){_mm256_cmp_ps(a.lo, b.lo, _CMP_LT_OQ), _mm256_cmp_ps(a.hi, b.hi, _CMP_LT_OQ)};
}
VECTOR_FN vec vec_select(vec_mask m, vec yes, vec no)
{
    return (vec){_mm256_blendv_ps(no.lo, yes.lo, m.lo), _mm256_blendv_ps(no.hi, yes.hi, m.hi)};
}
/* Two steps, so that each power of two is a normal number; the first step is exact. */
VECTOR_FN __m256 scale_half(__m256 x, __m256 n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), bias = _mm256_set1_epi32(127);
    const __m256i first = _mm256_srai_epi32(whole, 1), second = _mm256_sub_epi32(whole, first);
    x = _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(first, bias), 23)));
    return _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(second, bias), 23)));
}
/* x * 2^n for whole n; one rounding even where the result is subnormal. */
VECTOR_FN vec vec_scale(vec x, vec n) { return (vec){scale_half(x.lo, n.lo), scale_half(x.hi, n.hi)}; }

VECTOR_FN void transpose_8(__m256 r[8])
{
    __m256 t[8];
    for (int i = 0; i < 8; i += 4) { /* 4 x 4 blocks inside each 128-bit half */
        const __m256 a = _mm256_unpacklo_ps(r[i], r[i + 1]), b = _mm256_unpackhi_ps(r[i], r[i + 1]);
        const __m256 c = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), d = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(a, c, 0x44);
        t[i + 1] = _mm256_shuffle_ps(a, c, 0xee);
        t[i + 2] = _mm256_shuffle_ps(b, d, 0x44);
        t[i + 3] = _mm256_shuffle_ps(b, d, 0xee);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x20);
        r[i + 4] = _mm256_permute2f128_ps(t[i], t[i + 4], 0x31);
    }
}
VECTOR_FN void vec_transpose(vec r[LANES])
{
    __m256 a[8], b[8], c[8], d[8]; /* quadrants: a b / c d becomes a' c' / b' d' */
    for (int i = 0; i < 8; i++) {
        a[i] = r[i].lo;
        b[i] = r[i].hi;
        c[i] = r[i + 8].lo;
        d[i] = r[i + 8].hi;
    }
    transpose_8(a);
    transpose_8(b);
    transpose_8(c);
    transpose_8(d);
    for (int i = 0; i < 8; i++) {
        r[i] = (vec){a[i], c[i]};
        r[i + 8] = (vec){b[i], d[i]};
    }
}

/* The same when only the first `rows` rows hold anything; the other lanes of the result are 0. */
VECTOR_FN void vec_transpose_rows(vec r[LANES], size_t rows)
{
    if (rows > 8) {
        vec_transpose(r);
        return;
    }
    const __m256 none = _mm256_setzero_ps();
    __m256 a[8], b[8];
    for (int i = 0; i < 8; i++) {
        a[i] = r[i].lo;
        b[i] = r[i].hi;
    }
    transpose_8(a);
    transpose_8(b);
    for (int i = 0; i < 8; i++) {
        r[i] = (vec){a[i], none};
        r[i + 8] = (vec){b[i], none};
    }
}

VECTOR_FN wide wide_set(double x)
{
    const __m256d v = _mm256_set1_pd(x);
    return (wide){v, v, v, v};
}
VECTOR_FN wide wide_of(vec v)
{
    return (wide){
        _mm256_cvtps_pd(_mm256_castps256_ps128(v.lo)), _mm256_cvtps_pd(_mm256_extractf128_ps(v.lo, 1)),
        _mm256_cvtps_pd(_mm256_castps256_ps128(v.hi)), _mm256_cvtps_pd(_mm256_extractf128_ps(v.hi, 1))};
}
VECTOR_FN vec wide_narrow(wide w)
{
    return (vec){_mm256_set_m128(_mm256_cvtpd_ps(w.b), _mm256_cvtpd_ps(w.a)),
                 _mm256_set_m128(_mm256_cvtpd_ps(w.d), _mm256_cvtpd_ps(w.c))};
}
VECTOR_FN wide wide_add(wide x, wide y)
{
    return (wide){_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b), _mm256_add_pd(x.c, y.c),
                  _mm256_add_pd(x.d, y.d)};
}
VECTOR_FN wide wide_sub(wide x, wide y)
{
    return (wide){_mm256_sub_pd(x.a, y.a), _mm256_sub_pd(x.b, y.b), _mm256_sub_pd(x.c, y.c),
                  _mm256_sub_pd(x.d, y.d)};
}
VECTOR_FN wide wide_mul(wide x, wide y)
{
    return (wide){_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b), _mm256_mul_pd(x.c, y.c),
                  _mm256_mul_pd(x.d, y.d)};
}
VECTOR_FN wide wide_fma(wide x, wide y, wide z)
{
    return (wide){_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b),
                  _mm256_fmadd_pd(x.c, y.c, z.c), _mm256_fmadd_pd(x.d, y.d, z.d)};
}
VECTOR_FN wide wide_load(const double *p)
{
    return (wide){_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4), _mm256_loadu_pd(p + 8), _mm256_loadu_pd(p + 12)};
}
VECTOR_FN void wide_store(double *p, wide w)
{
    _mm256_storeu_pd(p, w.a);
    _mm256_storeu_pd(p + 4, w.b);
    _mm256_storeu_pd(p + 8, w.c);
    _mm256_storeu_pd(p + 12, w.d);
}

VECTOR_FN double wide_sum(wide w)
{
    const __m256d q = _mm256_add_pd(_mm256_add_pd(w.a, w.c), _mm256_add_pd(w.b, w.d));
    const __m128d d = _mm_add_pd(_mm256_castpd256_pd128(q), _mm256_extractf128_pd(q, 1));
    return _mm_cvtsd_f64(_mm_add_sd(d, _mm_unpackhi_pd(d, d)));
}
VECTOR_FN real vec_largest(vec v)
{
    const __m256 h = _mm256_max_ps(v.lo, v.hi);
    const __m128 q = _mm_max_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
    const __m128 d = _mm_max_ps(q, _mm_movehl_ps(q, q));
    return _mm_cvtss_f32(_mm_max_ss(d, _mm_shuffle_ps(d, d, 1)));
}

#else /* ---- portable */

typedef struct vec {
    real at[LANES];
} vec;
typedef uint32_t vec_mask; /* bit i: lane i */
typedef struct wide {
    double at[LANES];
} wide;

#define EACH_LANE(type, expression)                                                                            \
    type out;                                                                                                  \
    for (int i = 0; i < LANES; i++)                                                                            \
        out.at[i] = (expression);                                                                              \
    return out

VECTOR_FN vec vec_set(real x) { EACH_LANE(vec, x); }
VECTOR_FN vec vec_zero(void) { return vec_set(0); }
VECTOR_FN vec vec_load(const real *p) { EACH_LANE(vec, p[i]); }
VECTOR_FN void vec_store(real *p, vec v) { memcpy(p, v.at, sizeof v.at); }
VECTOR_FN vec vec_load_part(const real *p, size_t n) { EACH_LANE(vec, (size_t)i < n ? p[i] : 0); }
VECTOR_FN void vec_store_part(real *p, vec v, size_t n) { memcpy(p, v.at, n * sizeof *p); }
VECTOR_FN vec vec_add(vec a, vec b) { EACH_LANE(vec, a.at[i] + b.at[i]); }
VECTOR_FN vec vec_sub(vec a, vec b) { EACH_LANE(vec, a.at[i] - b.at[i]); }
VECTOR_FN vec vec_mul(vec a, vec b) { EACH_LANE(vec, a.at[i] * b.at[i]); }
VECTOR_FN vec vec_div(vec a, vec b) { EACH_LANE(vec, a.at[i] / b.at[i]); }
VECTOR_FN vec vec_fma(vec a, vec b, vec c) { EACH_LANE(vec, real_fma(a.at[i], b.at[i], c.at[i])); }
VECTOR_FN vec vec_fnma(vec a, vec b, vec c) { EACH_LANE(vec, real_fma(-a.at[i], b.at[i], c.at[i])); }
VECTOR_FN vec vec_min(vec a, vec b) { EACH_LANE(vec, a.at[i] < b.at[i] ? a.at[i] : b.at[i]); }
VECTOR_FN vec vec_max(vec a, vec b) { EACH_LANE(vec, a.at[i] > b.at[i] ? a.at[i] : b.at[i]); }
VECTOR_FN vec vec_abs(vec a) { EACH_LANE(vec, (real)__builtin_copysign((double)a.at[i], 1.0)); }
VECTOR_FN vec vec_copysign(vec size, vec sign)
{
    EACH_LANE(vec, (real)__builtin_copysign((double)size.at[i], (double)sign.at[i]));
}
VECTOR_FN vec_mask vec_less(vec a, vec b)
{
    vec_mask m = 0;
    for (int i = 0; i < LANES; i++)
        m |= (vec_mask)(a.at[i] < b.at[i]) << i;
    return m;
}
VECTOR_FN vec vec_select(vec_mask m, vec yes, vec no) { EACH_LANE(vec, m >> i & 1 ? yes.at[i] : no.at[i]); }

/* x * 2^n for whole n; one rounding even where the result is subnormal. */
VECTOR_FN vec vec_scale(vec x, vec n)
{
    EACH_LANE(vec, n.at[i] == n.at[i] ? (real)ldexp((double)x.at[i], (int)n.at[i]) : n.at[i]);
}

VECTOR_FN void vec_transpose(vec r[LANES])
{
    for (int i = 0; i < LANES; i++)
        for (int j = 0; j < i; j++) {
            const real x = r[i].at[j];
            r[i].at[j] = r[j].at[i];
            r[j].at[i] = x;
        }
}

/* The same when only the first `rows` rows hold anything; the other lanes of the result are 0. */
VECTOR_FN void vec_transpose_rows(vec r[LANES], size_t rows)
{
    (void)rows;
    vec_transpose(r);
}

VECTOR_FN wide wide_set(double x) { EACH_LANE(wide, x); }
VECTOR_FN wide wide_of(vec v) { EACH_LANE(wide, (double)v.at[i]); }
VECTOR_FN vec wide_narrow(wide w) { EACH_LANE(vec, (real)w.at[i]); }
VECTOR_FN wide wide_add(wide a, wide b) { EACH_LANE(wide, a.at[i] + b.at[i]); }
VECTOR_FN wide wide_sub(wide a, wide b) { EACH_LANE(wide, a.at[i] - b.at[i]); }
VECTOR_FN wide wide_mul(wide a, wide b) { EACH_LANE(wide, a.at[i] * b.at[i]); }
VECTOR_FN wide wide_fma(wide a, wide b, wide c) { EACH_LANE(wide, fma(a.at[i], b.at[i], c.at[i])); }
VECTOR_FN wide wide_load(const double *p) { EACH_LANE(wide, p[i]); }
VECTOR_FN void wide_store(double *p, wide w) { memcpy(p, w.at, sizeof w.at); }

/* Sum of the lanes in a fixed tree: the upper half is added to the lower one until one lane is left. */
VECTOR_FN double wide_sum(wide w)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            w.at[i] += w.at[i + half];
    return w.at[0];
}
/* Largest lane; a NaN may be lost. */
VECTOR_FN real vec_largest(vec v)
{
    for (int half = LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            v.at[i] = v.at[i] > v.at[i + half] ? v.at[i] : v.at[i + half];
    return v.at[0];
}

#undef EACH_LANE
#endif /* levels */

/* Load and store 16 numbers, or only the `left` ones when there are fewer (the other lanes are 0). */
VECTOR_FN vec vec_fetch(const real *p, size_t left)
{
    return left >= LANES ? vec_load(p) : vec_load_part(p, left);
}
VECTOR_FN void vec_put(real *p, vec v, size_t left)
{
    if (left >= LANES)
        vec_store(p, v);
    else
        vec_store_part(p, v, left);
}

static const real lane_numbers[LANES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

/* The first `left` lanes of v, `fill` in the others. */
VECTOR_FN vec vec_keep(vec v, size_t left, real fill)
{
    return left >= LANES ? v
                         : vec_select(vec_less(vec_load(lane_numbers), vec_set((real)left)), v, vec_set(fill));
}

#endif
