/* Weights: widening, scanning, packing. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tokray/session.h>

#include "base/memory.h"
#include "base/threads.h"
#include "support/compare.h"
#include "support/tensors.h"

/* The definition of IEEE binary16, by arithmetic. */
static double value_of_f16(unsigned bits)
{
    int exponent = (int)(bits >> 10 & 31U), fraction = (int)(bits & 1023U);
    double size = exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    if (exponent == 31)
        size = fraction != 0 ? (double)NAN : (double)INFINITY;
    return bits & 0x8000U ? -size : size;
}

static double value_of_bf16(unsigned bits)
{
    int exponent = (int)(bits >> 7 & 255U), fraction = (int)(bits & 127U);
    double size = exponent == 0 ? ldexp(fraction, -133) : ldexp(128 + fraction, exponent - 134);
    if (exponent == 255)
        size = fraction != 0 ? (double)NAN : (double)INFINITY;
    return bits & 0x8000U ? -size : size;
}

/* All 65536 patterns as a [256, 256] matrix. */
static void check_all_halves(weight_dtype dtype, double (*value_of)(unsigned))
{
    uint16_t *patterns = NEW(uint16_t, 65536);
    for (unsigned i = 0; i < 65536; i++)
        patterns[i] = (uint16_t)i;
    weight w;
    assert_int_equal(weight_init(&w, "w", dtype, patterns, 256, 256, false, NULL), TKR_OK);
    for (unsigned r = 0; r < 256; r++) {
        real row[256];
        weight_row(&w, r, row);
        for (unsigned i = 0; i < 256; i++) {
            double want = value_of(r * 256 + i), got = (double)row[i];
            assert_true(isnan(want) ? isnan(got) : memcmp(&want, &got, sizeof want) == 0);
            assert_int_equal(signbit(want) != 0, signbit(got) != 0);
        }
    }
    weight_fini(&w);
    memory_free(patterns);
}

static void test_weight__every_f16_pattern_widens_exactly(void **state)
{
    (void)state;
    check_all_halves(WEIGHT_F16, value_of_f16);
}

static void test_weight__every_bf16_pattern_widens_exactly(void **state)
{
    (void)state;
    check_all_halves(WEIGHT_BF16, value_of_bf16);
}

static void test_weight__f64_rounds_to_nearest_even(void **state)
{
    (void)state;
    const double numbers[] = {1, 1 + 0x1p-24, 1 + 0x3p-24, 1 + 0x1p-24 + 0x1p-50, -0.0, 0x1p-149, 0x1.8p-150};
    const float rounded[] = {1, 1, 1 + 0x1p-22F, 1 + 0x1p-23F, -0.0F, 0x1p-149F, 0x1p-149F};
    weight w;
    assert_int_equal(weight_init(&w, "w", WEIGHT_F64, numbers, 1, 7, false, NULL), TKR_OK);
    for (int i = 0; i < 7; i++) {
        real want = sizeof(real) == sizeof(float) ? (real)rounded[i] : (real)numbers[i];
        assert_memory_equal(&w.vector[i], &want, sizeof want);
    }
    weight_fini(&w);
}

static void test_weight__rows_of_a_turned_matrix_are_columns_of_the_file(void **state)
{
    (void)state;
    const float stored[] = {11, 21, 31, 12, 22, 32}; /* [columns 2, rows 3] */
    weight w;
    assert_int_equal(weight_init(&w, "w", WEIGHT_F32, stored, 3, 2, true, NULL), TKR_OK);
    for (size_t r = 0; r < 3; r++) {
        real row[2];
        weight_row(&w, r, row);
        assert_int_equal((int)row[0], 10 * (int)(r + 1) + 1);
        assert_int_equal((int)row[1], 10 * (int)(r + 1) + 2);
    }
    weight_fini(&w);
}

/* A stored tensor [4, 9] cut into three weights, as it is and turned: rows, products and scans see their own part only. */
static void test_weight__a_weight_may_be_a_part_of_a_tensor(void **state)
{
    (void)state;
    enum { ROWS = 4, WIDE = 9, PART = 3 };
    float stored[ROWS * WIDE];
    for (int i = 0; i < ROWS * WIDE; i++)
        stored[i] = (float)i;
    for (size_t part = 0; part < 3; part++)
        for (int is_turned = 0; is_turned < 2; is_turned++) {
            size_t rows = is_turned ? PART : ROWS, columns = is_turned ? ROWS : PART;
            weight w;
            assert_int_equal(weight_init_part(&w, "w", WEIGHT_F32, stored + part * PART, rows, columns, is_turned, WIDE, NULL),
                             TKR_OK);
            const packed *pack = weight_packed(&w, kernels_best(), NULL, NULL);
            for (size_t r = 0; r < rows; r++) {
                real row[ROWS];
                weight_row(&w, r, row);
                for (size_t c = 0; c < columns; c++) {
                    double want = (double)stored[is_turned ? c * WIDE + part * PART + r : r * WIDE + part * PART + c];
                    assert_true(fabs((double)row[c] - want) <= 0);
                    real unit[ROWS] = {0}, y[ROWS];
                    unit[c] = 1;
                    gemm(NULL, y, rows, unit, columns, 1, pack, NULL);
                    assert_true(fabs((double)y[r] - want) <= 0);
                }
            }
            weight_fini(&w);
        }
    weight bias;
    assert_int_equal(weight_init_part(&bias, "b", WEIGHT_F32, stored + 6, 1, 3, false, WIDE, NULL), TKR_OK);
    assert_true(fabs((double)bias.vector[2] - 8) <= 0);
    weight_fini(&bias);
}

static void test_weight__a_scan_reads_only_its_part(void **state)
{
    (void)state;
    enum { ROWS = 5, WIDE = 4000, PART = 1500 };
    float *stored = NEW(float, ROWS * WIDE);
    for (int is_turned = 0; is_turned < 2; is_turned++) {
        weight w;
        tkr_error error = {0};
        size_t rows = is_turned ? PART : ROWS, columns = is_turned ? ROWS : PART;
        assert_int_equal(weight_init_part(&w, "c_attn", WEIGHT_F32, stored + 1000, rows, columns, is_turned, WIDE, NULL),
                         TKR_OK);
        w.part_at = 1000;
        stored[2 * WIDE + 999] = stored[2 * WIDE + 2500] = stored[0] = (float)NAN; /* neighbours */
        assert_int_equal(weight_scan(&w, NULL, &error), TKR_OK);
        stored[3 * WIDE + 2499] = stored[3 * WIDE + 1200] = (float)INFINITY;
        assert_int_equal(weight_scan(&w, NULL, &error), TKR_E_WEIGHT_NONFINITE);
        assert_string_equal(error.message, "tensor \"c_attn\": 2 Inf, first at [3, 1200]");
        memset(stored, 0, ROWS * WIDE * sizeof *stored);
        weight_fini(&w);
    }
    memory_free(stored);
}

static void test_weight__data_may_lie_at_any_address(void **state)
{
    (void)state;
    for (int kind = WEIGHT_F32; kind <= WEIGHT_F64; kind++) {
        weight_dtype dtype = (weight_dtype)kind;
        unsigned char bytes[3 * 70 * 8 + 1] = {0}, aligned[3 * 70 * 8];
        for (size_t i = 0; i < sizeof aligned; i++)
            bytes[i + 1] = aligned[i] = (unsigned char)(i * 37 % 61);
        weight odd, even;
        real a[70], b[70];
        assert_int_equal(weight_init(&odd, "w", dtype, bytes + 1, 3, 70, false, NULL), TKR_OK);
        assert_int_equal(weight_init(&even, "w", dtype, aligned, 3, 70, false, NULL), TKR_OK);
        weight_row(&odd, 2, a);
        weight_row(&even, 2, b);
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(weight_scan(&odd, NULL, NULL), TKR_OK);
        weight_fini(&odd);
        weight_fini(&even);
    }
}

/* Bits of a NaN and an infinity in each type. */
static void put(unsigned char *data, weight_dtype dtype, size_t at, bool is_nan)
{
    const uint64_t bits[][2] = {[WEIGHT_F32] = {0xff800000U, 0x7fc00000U},
                                [WEIGHT_F16] = {0x7c00U, 0xfe01U},
                                [WEIGHT_BF16] = {0x7f80U, 0xff81U},
                                [WEIGHT_F64] = {0xfff0000000000000U, 0x7ff0000000000001U}};
    memcpy(data + at * weight_dtype_bytes(dtype), &bits[dtype][is_nan], weight_dtype_bytes(dtype));
}

static void test_weight__scan_counts_and_names_the_first(void **state)
{
    (void)state;
    enum { ROWS = 300, COLUMNS = 700 };
    pool *threads = pool_new(3);
    for (int kind = WEIGHT_F32; kind <= WEIGHT_F64; kind++) {
        weight_dtype dtype = (weight_dtype)kind;
        unsigned char *data = NEW(unsigned char, ROWS * COLUMNS * weight_dtype_bytes(dtype));
        weight w;
        tkr_error error = {0};
        assert_int_equal(weight_init(&w, "h.3.mlp", dtype, data, ROWS, COLUMNS, false, NULL), TKR_OK);
        assert_int_equal(weight_scan(&w, threads, &error), TKR_OK);
        put(data, dtype, ROWS * COLUMNS - 1, true); /* behind the last whole block */
        put(data, dtype, 17 * COLUMNS + 4, false);
        put(data, dtype, 200 * COLUMNS, true);
        for (int i = 0; i < 2; i++) {
            error = (tkr_error){0};
            assert_int_equal(weight_scan(&w, i ? threads : NULL, &error), TKR_E_WEIGHT_NONFINITE);
            assert_string_equal(error.message, "tensor \"h.3.mlp\": 2 NaN, 1 Inf, first at [17, 4]");
        }
        weight_fini(&w);
        memory_free(data);
    }
    pool_free(threads);
}

static void test_weight__scan_finds_a_single_number_anywhere(void **state)
{
    (void)state;
    enum { COUNT = 2500 };
    for (size_t at = 0; at < COUNT; at += 83) {
        unsigned char data[COUNT * 2] = {0};
        weight w;
        tkr_error error = {0};
        put(data, WEIGHT_F16, at, false);
        assert_int_equal(weight_init(&w, "bias", WEIGHT_F16, data, 1, COUNT, false, NULL), TKR_OK);
        assert_int_equal(weight_scan(&w, NULL, &error), TKR_E_WEIGHT_NONFINITE);
        size_t seen = strtoul(strchr(error.message, '[') + 1, NULL, 10);
        assert_int_equal(seen, at);
        assert_non_null(strstr(error.message, "tensor \"bias\": 1 Inf, first at ["));
        weight_fini(&w);
    }
}

static void test_weight__scan_places_are_those_of_the_file(void **state)
{
    (void)state;
    const float stored[] = {1, 2, 3, 4, 5, (float)NAN}; /* [2, 3] in the file, [3, 2] as a matrix */
    weight w;
    tkr_error error = {0};
    assert_int_equal(weight_init(&w, "conv", WEIGHT_F32, stored, 3, 2, true, NULL), TKR_OK);
    assert_int_equal(weight_scan(&w, NULL, &error), TKR_E_WEIGHT_NONFINITE);
    assert_string_equal(error.message, "tensor \"conv\": 1 NaN, first at [1, 2]");
    weight_fini(&w);
}

/* Numbers float32 cannot hold: the largest double that still rounds to FLT_MAX passes, the next does not. */
static void test_weight__scan_refuses_f64_beyond_float32(void **state)
{
    (void)state;
    const double fits = 0x1.fffffefffffffp127, not_quite = 0x1.ffffffp127;
    double numbers[1500] = {0};
    weight w;
    tkr_error error = {0};
    numbers[1030] = fits;
    numbers[3] = -fits;
    assert_int_equal(weight_init(&w, "w", WEIGHT_F64, numbers, 2, 750, false, NULL), TKR_OK);
    assert_int_equal(weight_scan(&w, NULL, &error), TKR_OK);
    numbers[1030] = -1e300;
    numbers[3] = not_quite; /* alone in its block */
    bool is_double = sizeof(real) == sizeof(double);
    assert_int_equal(weight_scan(&w, NULL, &error), is_double ? TKR_OK : TKR_E_WEIGHT_NONFINITE);
    if (!is_double)
        assert_string_equal(error.message, "tensor \"w\": 2 too large for float32, first at [0, 3]");
    weight_fini(&w);
}

static void test_weight__packs_are_made_once_and_products_are_right(void **state)
{
    (void)state;
    const kernels *k = kernels_best();
    fixture f;
    fixture_init(&f, 3);
    weight *w = fixture_weight(&f, WEIGHT_F32, 5, 3, false, 0, 1);
    real *x = fixture_numbers(&f, 3), *y = fixture_numbers(&f, 5);
    double forward[5] = {0}, back[3] = {0};
    for (size_t o = 0; o < 5; o++) {
        real row[3];
        weight_row(w, o, row);
        for (size_t i = 0; i < 3; i++) {
            forward[o] += (double)row[i] * (double)x[i];
            back[i] += (double)row[i] * (double)y[o];
        }
    }
    assert_int_equal(weight_packed_missing(w, k), packed_bytes(k, 5, 3));
    const packed *pack = weight_packed(w, k, NULL, NULL);
    assert_int_equal(packed_outputs(pack), 5);
    assert_int_equal(packed_inputs(pack), 3);
    assert_ptr_equal(weight_packed(w, k, NULL, NULL), pack);
    assert_int_equal(weight_packed_missing(w, k), 0);
    real got[5], got_back[3];
    gemm(NULL, got, 5, x, 3, 1, pack, NULL);
    gemm_turned(NULL, got_back, 3, y, 5, NULL, 1, pack);
    assert_close_tensor("y", TENSOR(got, 5), TENSOR(forward, 5), TOLERANCE_op_forward);
    assert_close_tensor("dx", TENSOR(got_back, 3), TENSOR(back, 3), TOLERANCE_op_forward);
    fixture_fini(&f);
}

/* Four threads that ask for the same pack at the same moment. */
typedef struct race {
    pthread_barrier_t start;
    weight *weight;
    _Atomic(const packed *) packs[4];
    atomic_int arrived;
} race;

static void *pack_in_thread(void *context)
{
    race *r = context;
    pthread_barrier_wait(&r->start);
    const packed *pack = weight_packed(r->weight, kernels_best(), NULL, NULL);
    atomic_store(&r->packs[atomic_fetch_add(&r->arrived, 1)], pack);
    return NULL;
}

static void run_race(fixture *f, weight *w)
{
    race r = {.weight = w};
    pthread_t threads[4];
    uint64_t before = tkr_memory_now();
    assert_int_equal(pthread_barrier_init(&r.start, NULL, 4), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pack_in_thread, &r), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(r.packs[i], r.packs[0]);
    assert_non_null(r.packs[0]);
    assert_int_equal(tkr_memory_now() - before, packed_bytes(kernels_best(), w->rows, w->columns));
    pthread_barrier_destroy(&r.start);
    fixture_forget_packs(f);
}

static void test_weight__threads_share_one_pack(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 4);
    weight *w = fixture_weight(&f, WEIGHT_BF16, 400, 500, true, 0, 1);
    for (int round = 0; round < 20; round++)
        run_race(&f, w);
    fixture_fini(&f);
}

static void test_weight__every_failed_allocation_is_limit_oom(void **state)
{
    (void)state;
    const float numbers[6] = {1, 2, 3, 4, 5, 6};
    uint64_t before = tkr_memory_now();
    for (uint64_t nth = 1;; nth++) {
        weight vector = {0}, matrix = {0};
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_status status = weight_init(&vector, "v", WEIGHT_F32, numbers, 1, 6, false, &error);
        if (status == TKR_OK)
            status = weight_init(&matrix, "m", WEIGHT_F32, numbers, 2, 3, false, &error);
        if (status == TKR_OK && weight_packed(&matrix, kernels_best(), NULL, &error) == NULL)
            status = error.code;
        memory_fail_at(0, 0);
        weight_fini(&vector);
        weight_fini(&matrix);
        assert_int_equal(tkr_memory_now(), before);
        if (status == TKR_OK) {
            assert_true(nth > 2);
            return;
        }
        assert_int_equal(status, TKR_E_LIMIT_OOM);
        assert_int_equal(error.code, TKR_E_LIMIT_OOM);
        assert_true(nth < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_weight__every_f16_pattern_widens_exactly),
        cmocka_unit_test(test_weight__every_bf16_pattern_widens_exactly),
        cmocka_unit_test(test_weight__f64_rounds_to_nearest_even),
        cmocka_unit_test(test_weight__rows_of_a_turned_matrix_are_columns_of_the_file),
        cmocka_unit_test(test_weight__a_weight_may_be_a_part_of_a_tensor),
        cmocka_unit_test(test_weight__a_scan_reads_only_its_part),
        cmocka_unit_test(test_weight__data_may_lie_at_any_address),
        cmocka_unit_test(test_weight__scan_counts_and_names_the_first),
        cmocka_unit_test(test_weight__scan_finds_a_single_number_anywhere),
        cmocka_unit_test(test_weight__scan_places_are_those_of_the_file),
        cmocka_unit_test(test_weight__scan_refuses_f64_beyond_float32),
        cmocka_unit_test(test_weight__packs_are_made_once_and_products_are_right),
        cmocka_unit_test(test_weight__threads_share_one_pack),
        cmocka_unit_test(test_weight__every_failed_allocation_is_limit_oom),
    };
    return cmocka_run_group_tests_name("weight", tests, NULL, NULL);
}
