/* Terminal columns of text, and the escaping that the public door gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include <string.h>
#include <tokray/present.h>

#include "present/figures.h"

static size_t columns(const char *text) { return tkr_columns(text, strlen(text)); }

static void test_columns__counts_graphemes(void **state)
{
    (void)state;
    assert_int_equal(columns(""), 0);
    assert_int_equal(columns("abc"), 3);
    assert_int_equal(columns("日本"), 4);
    assert_int_equal(columns("e\xCC\x81"), 1);           /* e and a combining acute */
    assert_int_equal(columns("\xF0\x9F\x98\x80"), 2);    /* grinning face */
    assert_int_equal(columns("\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7"), 2); /* woman, joiner, girl */
    assert_int_equal(columns("\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA"), 2); /* flag: two regional indicators */
    assert_int_equal(columns("\xE2\x9D\xA4\xEF\xB8\x8F"), 2);         /* heart with the emoji selector */
    assert_int_equal(columns("−▁█│·"), 5);
    assert_int_equal(columns("\xFF"), 1);
}

static void test_columns__escape_makes_text_safe(void **state)
{
    char out[64];
    (void)state;
    assert_string_equal(tkr_escape(out, sizeof out, "a\x1b[31m", 6), "a\\x1B[31m");
    assert_string_equal(tkr_escape(out, sizeof out, "\xE2\x80\xAE", 3), "\\u{202E}");
    assert_string_equal(tkr_escape(out, sizeof out, "\xC3", 1), "\\xC3");
    assert_string_equal(tkr_escape(out, 3, "日本", 6), ""); /* never half a character */
    assert_string_equal(tkr_escape(out, 4, "日本", 6), "日");
}

static void test_columns__figures_read_well(void **state)
{
    char out[FIGURE_ROOM];
    (void)state;
    assert_int_equal(figure_decimals(2.91), 2);
    assert_int_equal(figure_decimals(12.3), 1);
    assert_int_equal(figure_decimals(123.4), 0);
    assert_int_equal(figure_decimals(0.0291), 4);
    assert_string_equal(figure_signed(out, 2.91, 2, false), "+2.91");
    assert_string_equal(figure_signed(out, -1.87, 2, false), "−1.87");
    assert_string_equal(figure_signed(out, -1.87, 2, true), "-1.87");
    assert_string_equal(figure_signed(out, -0.001, 2, false), "0");
    assert_string_equal(figure_signed(out, 1234567, 0, false), "+1,234,567");
    assert_string_equal(figure_percent(out, 0.41, false), "41%");
    assert_string_equal(figure_percent(out, 0.004, true), "0.4%");
    assert_string_equal(figure_probability(out, 0.981, 0.44), "0.98");
    assert_string_equal(figure_probability(out, 0.9981, 0.9989), "0.998");
    assert_string_equal(figure_probability(out, 0.9999996, 0.999996), "1.000000");
    assert_string_equal(figure_probability(out, 0.71, 1e-9), "0.71");
    assert_string_equal(figure_probability(out, 1e-9, 0.71), "0.00");
    assert_string_equal(figure_probability(out, 0.0031, (double)NAN), "0.003");
    assert_string_equal(figure_probability(out, 0.00021, (double)NAN), "0.0002");
    assert_string_equal(figure_probability(out, 2.4e-7, (double)NAN), "2e-7");
    assert_string_equal(figure_probability(out, 9.7e-8, 1e-9), "1e-7");
    assert_string_equal(figure_probability(out, 0, (double)NAN), "0.00");
    assert_string_equal(figure_count(out, 12000), "12,000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns__counts_graphemes),
        cmocka_unit_test(test_columns__escape_makes_text_safe),
        cmocka_unit_test(test_columns__figures_read_well),
    };
    return cmocka_run_group_tests_name("columns", tests, NULL, NULL);
}
