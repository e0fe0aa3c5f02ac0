/*
 * Matrix products.  The reference is the definition: one fused multiply-add a step of k, upwards from the
 * bias.  Our kernels promise these very bits at every level, for any shape, place and number of threads, so
 * comparisons are with memcmp.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tokray/session.h>

#include "base/memory.h"
#include "base/random.h"
#include "tensor/gemm.h"
#include "tensor/openblas.h"

enum { GAP = 3 }; /* elements between rows that must not be touched */

typedef struct matrix {
    size_t rows, columns;
    real *at;
} matrix;

static real *random_numbers(uint32_t item, size_t count)
{
    const random_key key = {.purpose = random_purpose("test_gemm"), .item = item};
    real *x = memory_new(count, sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (real)random_normal(key, i);
    return x;
}

static void copy_row(const void *source, size_t row, real *out)
{
    const matrix *m = source;
    memcpy(out, m->at + row * m->columns, m->columns * sizeof *out);
}

/* One product and everything it needs. */
typedef struct problem {
    size_t m, n, k, lda, ldc;
    bool transposed;
    matrix w;
    real *a, *bias, *want;
} problem;

/* Turned products have no bias. */
static problem problem_new(size_t m, size_t n, size_t k, bool transposed, bool has_bias)
{
    has_bias = has_bias && !transposed;
    problem p = {.m = m,
                 .n = n,
                 .k = k,
                 .lda = k + GAP,
                 .ldc = n + GAP,
                 .transposed = transposed,
                 .w = {transposed ? k : n, transposed ? n : k, random_numbers(1, n * k)}};
    p.a = random_numbers(2, m * p.lda);
    p.bias = has_bias ? random_numbers(3, n) : NULL;
    p.want = memory_new(m * p.ldc, sizeof *p.want);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            real sum = has_bias ? p.bias[j] : 0;
            for (size_t s = 0; s < k; s++)
                sum = real_fma(p.a[i * p.lda + s], p.w.at[transposed ? s * n + j : j * k + s], sum);
            p.want[i * p.ldc + j] = sum;
        }
    return p;
}

static void problem_free(problem *p)
{
    memory_free(p->w.at);
    memory_free(p->a);
    memory_free(p->bias);
    memory_free(p->want);
}

static void multiply(const problem *p, pool *threads, real *c, const packed *w)
{
    if (p->transposed)
        gemm_turned(threads, c, p->ldc, p->a, p->lda, NULL, p->m, w);
    else
        gemm(threads, c, p->ldc, p->a, p->lda, p->m, w, p->bias);
}

/* The gaps of `want` hold 0, and so must those of the result. */
static void check(const problem *p, const kernels *table, pool *threads)
{
    packed *w = packed_new(table, p->w.rows, p->w.columns, copy_row, &p->w, threads);
    assert_non_null(w);
    assert_int_equal(packed_outputs(w), p->w.rows);
    assert_int_equal(packed_inputs(w), p->w.columns);
    real *c = memory_new(p->m * p->ldc, sizeof *c);
    for (size_t i = 0; i < p->m; i++)
        memset(c + i * p->ldc, 0xff, p->n * sizeof *c); /* NaN: what was there before must not matter */
    multiply(p, threads, c, w);
    if (memcmp(c, p->want, p->m * p->ldc * sizeof *c) != 0)
        for (size_t i = 0; i < p->m * p->ldc; i++)
            if (memcmp(&c[i], &p->want[i], sizeof *c) != 0)
                fail_msg("%s, %d threads, %zu x %zu x %zu%s: row %zu column %zu is %.9g, not %.9g", table->name,
                         pool_threads(threads), p->m, p->n, p->k, p->transposed ? " transposed" : "",
                         i / p->ldc, i % p->ldc, (double)c[i], (double)p->want[i]);
    memory_free(c);
    packed_free(w);
}

static void check_everywhere(size_t m, size_t n, size_t k, bool transposed, bool has_bias)
{
    problem p = problem_new(m, n, k, transposed, has_bias);
    for (size_t level = 0; kernels_at(level); level++) {
        check(&p, kernels_at(level), NULL);
        for (int threads = 1; threads <= 3; threads++) {
            pool *t = pool_new(threads);
            check(&p, kernels_at(level), t);
            pool_free(t);
        }
    }
    problem_free(&p);
}

static void test_gemm__odd_shapes_have_the_defined_bits(void **state)
{
    (void)state;
    static const size_t rows[] = {0, 1, 2, 3, 7, 13, 14, 15, 29, 40};
    static const size_t sizes[][2] = {{1, 1}, {16, 5}, {31, 17}, {33, 64}, {70, 3}, {96, 130}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (size_t j = 0; j < sizeof sizes / sizeof *sizes; j++)
            check_everywhere(rows[i], sizes[j][0], sizes[j][1], (i + j) % 2 == 0, j % 3 != 0);
}

/* More than one block of k, of rows, and a grid of threads by columns and by rows. */
static void test_gemm__blocks_and_grids_do_not_show(void **state)
{
    (void)state;
    check_everywhere(5, 301, 1537, false, true);
    check_everywhere(5, 301, 769, true, false);
    check_everywhere(61, 515, 770, false, true);
    check_everywhere(461, 270, 70, false, true);
    check_everywhere(461, 70, 270, true, false);
    check_everywhere(3, 1540, 45, true, false);
    check_everywhere(90, 20, 1600, true, false);
    check_everywhere(49, 17, 3100, true, false);
}

static void test_gemm__nothing_to_sum_gives_the_bias(void **state)
{
    (void)state;
    check_everywhere(4, 37, 0, false, true);
    check_everywhere(4, 37, 0, false, false);
    check_everywhere(4, 0, 5, false, true);
}

/* A row's bits are the same alone and in any company. */
static void test_gemm__row_does_not_depend_on_its_batch(void **state)
{
    (void)state;
    problem p = problem_new(40, 50, 90, false, true);
    const kernels *table = kernels_best();
    packed *w = packed_new(table, p.w.rows, p.w.columns, copy_row, &p.w, NULL);
    real alone[50];
    for (size_t i = 0; i < p.m; i++) {
        gemm(NULL, alone, 50, p.a + i * p.lda, p.lda, 1, w, p.bias);
        assert_memory_equal(alone, p.want + i * p.ldc, sizeof alone);
    }
    packed_free(w);
    problem_free(&p);
}

/* Rows that are not listed are neither read nor written. */
static void test_gemm__turned_rows_of_a_list(void **state)
{
    (void)state;
    static const uint32_t rows[] = {1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 30, 38, 39};
    enum { COUNT = sizeof rows / sizeof *rows };
    problem p = problem_new(40, 50, 1700, true, false);
    for (size_t level = 0; kernels_at(level); level++)
        for (int threads = 1; threads <= 2; threads++) {
            pool *t = pool_new(threads);
            packed *w = packed_new(kernels_at(level), p.w.rows, p.w.columns, copy_row, &p.w, t);
            real *c = memory_new(p.m * p.ldc, sizeof *c), *untouched = memory_new(p.ldc, sizeof *c);
            gemm_turned(t, c, p.ldc, p.a, p.lda, rows, COUNT, w);
            for (size_t i = 0, at = 0; i < p.m; i++) {
                const bool is_listed = at < COUNT && rows[at] == i;
                assert_memory_equal(c + i * p.ldc, is_listed ? p.want + i * p.ldc : untouched, p.ldc * sizeof *c);
                at += is_listed;
            }
            memory_free(c);
            memory_free(untouched);
            packed_free(w);
            pool_free(t);
        }
    problem_free(&p);
}

static void test_gemm__infinite_and_huge_weights_pass_through(void **state)
{
    (void)state;
    problem p = problem_new(3, 20, 40, false, false);
    for (size_t level = 0; kernels_at(level); level++) {
        p.w.at[7 * 40 + 39] = (real)INFINITY;
        packed *w = packed_new(kernels_at(level), 20, 40, copy_row, &p.w, NULL);
        real c[3 * 20];
        gemm(NULL, c, 20, p.a, p.lda, 3, w, NULL);
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 20; j++) /* padding must not turn it into NaN elsewhere */
                assert_true((isinf(c[i * 20 + j]) != 0) == (j == 7) && !isnan(c[i * 20 + j]));
        real y[3 * 40], dx[3 * 40];
        for (size_t i = 0; i < 3 * 40; i++)
            y[i] = 1 + (real)i;
        gemm_turned(NULL, dx, 40, y, 20, NULL, 3, w);
        for (size_t i = 0; i < 3; i++)
            for (size_t j = 0; j < 40; j++)
                assert_true((isinf(dx[i * 40 + j]) != 0) == (j == 39) && !isnan(dx[i * 40 + j]));
        packed_free(w);
    }
    problem_free(&p);
}

static void test_gemm__pack_holds_what_it_says(void **state)
{
    (void)state;
    matrix m = {45, 33, random_numbers(1, 45 * 33)};
    for (size_t level = 0; kernels_at(level); level++) {
        const uint64_t before = tkr_memory_now();
        packed *w = packed_new(kernels_at(level), 45, 33, copy_row, &m, NULL);
        assert_int_equal(tkr_memory_now() - before, packed_bytes(kernels_at(level), 45, 33));
        packed_free(w);
        assert_int_equal(tkr_memory_now(), before);
    }
    assert_true(packed_bytes(kernels_best(), SIZE_MAX / 2, SIZE_MAX / 2) == SIZE_MAX);
    memory_free(m.at);
}

static void test_gemm__packing_survives_each_failed_allocation(void **state)
{
    (void)state;
    matrix m = {45, 33, random_numbers(1, 45 * 33)};
    pool *threads = pool_new(2);
    const uint64_t before = tkr_memory_now();
    packed *w = NULL;
    for (uint64_t nth = 1; !w; nth++) {
        assert_true(nth < 10);
        memory_fail_at(nth, 0);
        w = packed_new(kernels_best(), 45, 33, copy_row, &m, threads);
        memory_fail_at(0, 0);
        assert_true(w || tkr_memory_now() == before);
    }
    packed_free(w);
    pool_free(threads);
    memory_free(m.at);
}

/* Without working memory the product runs on A as it lies, with the same bits. */
static void test_gemm__scratch_may_fail(void **state)
{
    (void)state;
    problem p = problem_new(60, 520, 33, false, true);
    pool *threads = pool_new(2);
    packed *w = packed_new(kernels_best(), p.w.rows, p.w.columns, copy_row, &p.w, threads);
    real *c = memory_new(p.m * p.ldc, sizeof *c);
    memory_fail_at(1, 1);
    gemm(threads, c, p.ldc, p.a, p.lda, p.m, w, p.bias);
    memory_fail_at(0, 0);
    assert_memory_equal(c, p.want, p.m * p.ldc * sizeof *c);
    memory_free(c);
    packed_free(w);
    pool_free(threads);
    problem_free(&p);
}

static void test_gemm__openblas_door_agrees(void **state)
{
    (void)state;
    openblas blas;
    assert_string_equal(gemm_door(), "own");
    setenv("TOKRAY_GEMM", "openblas", 1);
    if (!openblas_load(&blas)) {
        assert_string_equal(gemm_door(), "own");
        unsetenv("TOKRAY_GEMM");
        skip();
    }
    assert_string_equal(gemm_door(), "openblas");
    for (int transposed = 0; transposed < 2; transposed++) {
        problem p = problem_new(15, 33, 65, transposed, !transposed);
        packed *w = packed_new(kernels_best(), p.w.rows, p.w.columns, copy_row, &p.w, NULL);
        real *c = memory_new(p.m * p.ldc, sizeof *c);
        multiply(&p, NULL, c, w);
        for (size_t i = 0; i < p.m * p.ldc; i++)
            assert_true(fabs((double)c[i] - (double)p.want[i]) < 5e-5);
        memory_free(c);
        packed_free(w);
        problem_free(&p);
    }
    unsetenv("TOKRAY_GEMM");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm__odd_shapes_have_the_defined_bits),
        cmocka_unit_test(test_gemm__blocks_and_grids_do_not_show),
        cmocka_unit_test(test_gemm__nothing_to_sum_gives_the_bias),
        cmocka_unit_test(test_gemm__row_does_not_depend_on_its_batch),
        cmocka_unit_test(test_gemm__turned_rows_of_a_list),
        cmocka_unit_test(test_gemm__infinite_and_huge_weights_pass_through),
        cmocka_unit_test(test_gemm__pack_holds_what_it_says),
        cmocka_unit_test(test_gemm__packing_survives_each_failed_allocation),
        cmocka_unit_test(test_gemm__scratch_may_fail),
        cmocka_unit_test(test_gemm__openblas_door_agrees),
    };
    return cmocka_run_group_tests_name("gemm", tests, NULL, NULL);
}
