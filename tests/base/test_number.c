/* Numbers and text: shortest round trip, fixed decimals, strict parsing, and all of it under a decimal comma. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/number.h"

static void test_number__shortest_f32(void **state)
{
    (void)state;
    char out[NUMBER_ROOM];
    assert_string_equal(number_shortest_f32(out, 0.1f), "0.1");
    assert_string_equal(number_shortest_f32(out, -0.0f), "0");
    assert_string_equal(number_shortest_f32(out, 1.0f / 3), "0.33333334");
    assert_string_equal(number_shortest_f32(out, 16777216.0f), "16777216");
    assert_string_equal(number_shortest_f32(out, FLT_MAX), "3.4028235e+38");
    assert_string_equal(number_shortest_f32(out, FLT_TRUE_MIN), "1e-45");
    assert_string_equal(number_shortest_f32(out, -1e-5f), "-1e-05");
}

static void test_number__shortest_f64(void **state)
{
    (void)state;
    char out[NUMBER_ROOM];
    assert_string_equal(number_shortest_f64(out, 0.1), "0.1");
    assert_string_equal(number_shortest_f64(out, 0.1 + 0.2), "0.30000000000000004");
    assert_string_equal(number_shortest_f64(out, 1e22), "1e+22");
    assert_string_equal(number_shortest_f64(out, -DBL_MAX), "-1.7976931348623157e+308");
    assert_string_equal(number_shortest_f64(out, DBL_TRUE_MIN), "5e-324");
    assert_string_equal(number_shortest_f64(out, -0.0), "0");
}

/* Reads back to the same bits, and no shorter precision does. */
static void test_number__shortest_reads_back(void **state)
{
    (void)state;
    uint32_t bits = 1;
    for (int i = 0; i < 100000; i++, bits = bits * 1664525u + 1013904223u) {
        char out[NUMBER_ROOM], shorter[NUMBER_ROOM];
        float value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value) || value == 0)
            continue;
        number_shortest_f32(out, value);
        back = strtof(out, NULL);
        assert_memory_equal(&back, &value, sizeof value);
        int digits = 0;
        for (const char *c = out; *c && *c != 'e'; c++)
            digits += *c >= '0' && *c <= '9' && (digits > 0 || *c != '0');
        if (digits < 2 || !strpbrk(out, ".e"))
            continue;
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, (double)value);
        assert_true(strtof(shorter, NULL) != value);
    }
}

static void test_number__fixed(void **state)
{
    (void)state;
    char out[NUMBER_ROOM];
    assert_string_equal(number_fixed(out, 1.005, 2), "1.00");
    assert_string_equal(number_fixed(out, -0.001, 2), "0.00");
    assert_string_equal(number_fixed(out, -0.0, 0), "0");
    assert_string_equal(number_fixed(out, -0.006, 2), "-0.01");
    assert_string_equal(number_fixed(out, 1234567.5, 1), "1234567.5");
    assert_string_equal(number_fixed(out, -10, 0), "-10");
    assert_string_equal(number_fixed(out, 1e300, 2), "1e+300"); /* would not fit */
}

static void test_number__parses_reals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {{"0", 0},    {"-0.5", -0.5}, {"1e-3", 1e-3}, {"12.25E+2", 1225},
                {".5", 0.5}, {"5.", 5},      {"0e9999", 0},  {"1e-320", 1e-320}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double value = 99;
        assert_true(number_parse_real(view_of(good[i].text), &value));
        assert_true(value == good[i].value);
    }
}

static void test_number__refuses_what_is_no_real(void **state)
{
    (void)state;
    static const char *const bad[] = {"",       " 1",   "1 ",       "+1",   "1,5", "0x10",    "nan",
                                      "inf",    "-inf", "infinity", "1e",   "1e+", ".",       "-",
                                      "-.",     "--1",  "1.2.3",    "1e5x", "e5",  "1e999",   "-1e999",
                                      "1e-999", "1_0",  "1e 5",     "\t1",  "1\n", "\xd9\xa1"};
    double value = 42;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (number_parse_real(view_of(bad[i]), &value))
            fail_msg("\"%s\" was taken for %g", bad[i], value);
    assert_false(number_parse_real(VIEW("1\0"), &value));
    char longest[1001];
    memset(longest, '1', sizeof longest);
    assert_false(number_parse_real((view){longest, sizeof longest}, &value));
    assert_true(value == 42);
    assert_true(number_parse_real((view){longest, 300}, &value));
}

static void test_number__parses_only_the_view(void **state)
{
    (void)state;
    double real;
    int64_t whole;
    assert_true(number_parse_real(view_slice(VIEW("x1.5e3"), 1, 4), &real));
    assert_true(real == 1.5);
    assert_true(number_parse_int(view_slice(VIEW("x123"), 1, 3), &whole));
    assert_int_equal(whole, 12);
}

static void test_number__parses_integers_to_their_limits(void **state)
{
    (void)state;
    int64_t whole = 42;
    uint64_t u = 42;
    assert_true(number_parse_int(VIEW("9223372036854775807"), &whole) && whole == INT64_MAX);
    assert_true(number_parse_int(VIEW("-9223372036854775808"), &whole) && whole == INT64_MIN);
    assert_true(number_parse_int(VIEW("-0"), &whole) && whole == 0);
    assert_true(number_parse_u64(VIEW("18446744073709551615"), &u) && u == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "1e3",
                                      "0x1",
                                      "--1",
                                      "5x",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(number_parse_int(view_of(bad[i]), &whole));
    static const char *const bad_u[] = {
        "", "-1", "+1", "18446744073709551616", "18446744073709551620", "184467440737095516150"};
    for (size_t i = 0; i < sizeof bad_u / sizeof bad_u[0]; i++)
        assert_false(number_parse_u64(view_of(bad_u[i]), &u));
    assert_int_equal(whole, 0);
    assert_true(u == UINT64_MAX);
}

static void test_number__does_not_depend_on_the_locale(void **state)
{
    (void)state;
    static const char *const locales[] = {"de_DE.UTF-8", "tr_TR.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8"};
    bool tried = false;
    for (size_t i = 0; i < sizeof locales / sizeof locales[0]; i++) {
        if (!setlocale(LC_ALL, locales[i]))
            continue;
        char out[NUMBER_ROOM], check[NUMBER_ROOM];
        double value = 0;
        snprintf(check, sizeof check, "%.1f", 1.5);
        tried = true;
        assert_string_not_equal(check, "1.5"); /* the locale is really in force */
        assert_string_equal(number_fixed(out, 1234.5, 1), "1234.5");
        assert_string_equal(number_shortest_f32(out, 1.5f), "1.5");
        assert_string_equal(number_shortest_f64(out, 1e-7), "1e-07");
        assert_true(number_parse_real(VIEW("1.5"), &value) && value == 1.5);
        assert_false(number_parse_real(VIEW("1,5"), &value));
        snprintf(check, sizeof check, "%.1f", 1.5); /* and is in force again afterwards */
        assert_string_not_equal(check, "1.5");
    }
    setlocale(LC_ALL, "C");
    if (!tried)
        skip(); /* this system has no locale with a comma */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_number__shortest_f32),
        cmocka_unit_test(test_number__shortest_f64),
        cmocka_unit_test(test_number__shortest_reads_back),
        cmocka_unit_test(test_number__fixed),
        cmocka_unit_test(test_number__parses_reals),
        cmocka_unit_test(test_number__refuses_what_is_no_real),
        cmocka_unit_test(test_number__parses_only_the_view),
        cmocka_unit_test(test_number__parses_integers_to_their_limits),
        cmocka_unit_test(test_number__does_not_depend_on_the_locale),
    };
    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
