/* Philox4x32-10: known answers (they are a promise of every 1.x version), and that draws have the distribution they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "base/random.h"

static void check_philox(const uint32_t counter[4], const uint32_t key[2], const uint32_t expected[4])
{
    uint32_t out[4];
    philox4x32_10(out, counter, key);
    for (int i = 0; i < 4; i++)
        assert_int_equal(out[i], expected[i]);
}

/* Random123, file kat_vectors of Salmon et al. */
static void test_random__philox_known_answers(void **state)
{
    (void)state;
    check_philox((const uint32_t[]){0, 0, 0, 0}, (const uint32_t[]){0, 0},
                 (const uint32_t[]){0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    check_philox((const uint32_t[]){0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
                 (const uint32_t[]){0xffffffff, 0xffffffff},
                 (const uint32_t[]){0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    check_philox((const uint32_t[]){0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                 (const uint32_t[]){0xa4093822, 0x299f31d0},
                 (const uint32_t[]){0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

static void test_random__draws_known_answers(void **state)
{
    (void)state;
    random_key zero = {0},
               key = {.seed = 0x123456789abcdefu, .purpose = random_purpose("smoothgrad"), .item = 7};
    assert_int_equal(random_purpose(""), 0x811c9dc5);
    assert_int_equal(random_purpose("foobar"), 0xbf9cf968);
    assert_int_equal(random_u32(zero, 0), 0x6627e8d5); /* counter 0, key 0 of the paper */
    assert_int_equal(random_u32(key, 0), 0x399a73d0);
    assert_int_equal(random_u32(key, 5000000000u), 0xcc1796d1);
    assert_true(random_unit(key, 3) == 0x1.a272d120542bfp-1);
    assert_true(random_normal(key, 3) == -0x1.8042393364937p-2);
    assert_true(random_normal(key, 4) == -0x1.c618839513541p-2);
    assert_int_equal(random_below(key, 3, 1000), 272);
}

static void test_random__every_field_changes_the_draw(void **state)
{
    (void)state;
    random_key base = {.seed = 1, .purpose = 2, .item = 3}, low = base, high = base, purpose = base,
               item = base;
    low.seed++;
    high.seed += (uint64_t)1 << 32;
    purpose.purpose++;
    item.item++;
    const random_key others[] = {low, high, purpose, item};
    for (size_t i = 0; i < 4; i++)
        assert_int_not_equal(random_u32(base, 9), random_u32(others[i], 9));
    assert_int_not_equal(random_u32(base, 9), random_u32(base, 10));
    assert_int_not_equal(random_u32(base, 9), random_u32(base, 9 + ((uint64_t)1 << 32)));
}

static void test_random__units_are_uniform(void **state)
{
    (void)state;
    enum { DRAWS = 200000, CELLS = 100 };
    static int cells[CELLS];
    random_key key = {.seed = 42};
    double sum = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = random_unit(key, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        cells[(int)(u * CELLS)]++;
    }
    double chi2 = 0, expected = (double)DRAWS / CELLS;
    for (int i = 0; i < CELLS; i++)
        chi2 += (cells[i] - expected) * (cells[i] - expected) / expected;
    assert_true(chi2 > 55 && chi2 < 150); /* 99 degrees of freedom: mean 99, deviation 14 */
    assert_true(fabs(sum / DRAWS - 0.5) < 4 * 0.2887 / sqrt(DRAWS));
}

static void test_random__normals_are_normal(void **state)
{
    (void)state;
    enum { DRAWS = 200000 };
    random_key key = {.seed = 43};
    double m1 = 0, m2 = 0, m3 = 0, m4 = 0, lag = 0, before = 0;
    int beyond = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = random_normal(key, i);
        assert_true(isfinite(x));
        m1 += x;
        m2 += x * x;
        m3 += x * x * x;
        m4 += x * x * x * x;
        lag += x * before;
        beyond += fabs(x) > 1.959963985;
        before = x;
    }
    double root = sqrt(DRAWS); /* bounds: 4.5 deviations of each estimate */
    assert_true(fabs(m1 / DRAWS) < 4.5 / root);
    assert_true(fabs(m2 / DRAWS - 1) < 4.5 * sqrt(2) / root);
    assert_true(fabs(m3 / DRAWS) < 4.5 * sqrt(15) / root);
    assert_true(fabs(m4 / DRAWS - 3) < 4.5 * sqrt(96) / root);
    assert_true(fabs(lag / DRAWS) < 4.5 / root);
    assert_true(fabs((double)beyond / DRAWS - 0.05) < 4.5 * 0.218 / root);
}

/* The logarithm and cosine inside agree with the C library's to the last bits. */
static void test_random__normals_follow_box_and_muller(void **state)
{
    (void)state;
    random_key key = {.seed = 44, .purpose = 5, .item = 6};
    uint32_t seed[2] = {44, 0};
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t words[4], counter[4] = {i, 0x80000000, 5, 6};
        philox4x32_10(words, counter, seed);
        double u = 1 - ((words[0] >> 5) * 67108864.0 + (words[1] >> 6)) * 0x1p-53;
        double v = ((words[2] >> 5) * 67108864.0 + (words[3] >> 6)) * 0x1p-53;
        double expected = sqrt(-2 * log(u)) * cos(6.283185307179586477 * v);
        assert_true(fabs(random_normal(key, i) - expected) <= 2e-15 * (1 + fabs(expected)));
    }
}

static void test_random__below_stays_below_and_reaches_all(void **state)
{
    (void)state;
    int seen[7] = {0};
    random_key key = {.seed = 45};
    for (uint64_t i = 0; i < 70000; i++) {
        uint32_t n = random_below(key, i, 7);
        assert_in_range(n, 0, 6);
        seen[n]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 10000 - 420, 10000 + 420); /* 4.5 deviations */
    assert_int_equal(random_below(key, 0, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random__philox_known_answers),
        cmocka_unit_test(test_random__draws_known_answers),
        cmocka_unit_test(test_random__every_field_changes_the_draw),
        cmocka_unit_test(test_random__units_are_uniform),
        cmocka_unit_test(test_random__normals_are_normal),
        cmocka_unit_test(test_random__normals_follow_box_and_muller),
        cmocka_unit_test(test_random__below_stays_below_and_reaches_all),
    };
    return cmocka_run_group_tests_name("random", tests, NULL, NULL);
}
