/* The comparison that other tests rest on must itself be able to fail. */
#include "support/compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_compare__accepts_what_is_close(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const float got[] = {1, 2, 3, 4};
    const double want[] = {1, 2, 3, 4 + 1e-13};
    assert_true(tensor_compare(text, TENSOR(got, 2, 2), TENSOR(want, 2, 2), TOLERANCE_op_forward, false));
    assert_true(tolerance_used(TOLERANCE_op_forward) > 0);
    assert_true(tolerance_used(TOLERANCE_op_forward) < 1);
}

static void test_compare__names_the_worst_element(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double got[] = {1, 2.5, 3, 4, 9, 6}, want[] = {1, 2, 3, 4, 5, 6};
    assert_false(tensor_compare(text, TENSOR(got, 2, 3), TENSOR(want, 2, 3), TOLERANCE_op_forward, false));
    assert_non_null(strstr(text, "[1, 1] of shape [2, 3]: got 9, want 5, difference 4"));
    assert_non_null(strstr(text, "tolerance op_forward: one op against"));
}

static void test_compare__exact_refuses_the_last_bit(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double got[] = {nextafter(1, 2)}, want[] = {1};
    assert_false(tensor_compare(text, TENSOR(got, 1), TENSOR(want, 1), TOLERANCE_exact, false));
    assert_true(tensor_compare(text, TENSOR(want, 1), TENSOR(want, 1), TOLERANCE_exact, false));
}

static void test_compare__nan_differs_from_everything(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double nan[] = {1, (double)NAN}, one[] = {1, 1};
    assert_false(tensor_compare(text, TENSOR(nan, 2), TENSOR(one, 2), TOLERANCE_op_forward, false));
    assert_false(tensor_compare(text, TENSOR(one, 2), TENSOR(nan, 2), TOLERANCE_op_forward, false));
    assert_false(tensor_compare(text, TENSOR(nan, 2), TENSOR(nan, 2), TOLERANCE_op_forward, false));
    assert_non_null(strstr(text, "[1] of shape [2]"));
}

static void test_compare__infinity_equals_only_itself(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double more[] = {(double)INFINITY}, less[] = {-(double)INFINITY}, one[] = {1};
    assert_true(tensor_compare(text, TENSOR(more, 1), TENSOR(more, 1), TOLERANCE_op_forward, false));
    assert_false(tensor_compare(text, TENSOR(more, 1), TENSOR(less, 1), TOLERANCE_op_forward, false));
    assert_false(tensor_compare(text, TENSOR(one, 1), TENSOR(more, 1), TOLERANCE_op_forward, false));
    assert_false(tensor_compare(text, TENSOR(more, 1), TENSOR(one, 1), TOLERANCE_op_forward, false));
}

static void test_compare__shapes_come_first(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double numbers[] = {1, 2, 3, 4};
    assert_false(tensor_compare(text, TENSOR(numbers, 4), TENSOR(numbers, 2, 2), TOLERANCE_exact, false));
    assert_string_equal(text, "shape [4], want [2, 2]");
    assert_false(tensor_compare(text, TENSOR(numbers, 1, 4), TENSOR(numbers, 4, 1), TOLERANCE_exact, false));
}

static void test_compare__empty_only_where_expected(void **state)
{
    (void)state;
    char text[COMPARE_TEXT];
    const double numbers[] = {1};
    const double *none = NULL;
    assert_false(tensor_compare(text, TENSOR(numbers, 0, 3), TENSOR(numbers, 0, 3), TOLERANCE_exact, false));
    assert_string_equal(text, "empty array of shape [0, 3]");
    assert_true(tensor_compare(text, TENSOR(numbers, 0, 3), TENSOR(numbers, 0, 3), TOLERANCE_exact, true));
    assert_false(tensor_compare(text, TENSOR(none, 1), TENSOR(numbers, 1), TOLERANCE_exact, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare__accepts_what_is_close),
        cmocka_unit_test(test_compare__names_the_worst_element),
        cmocka_unit_test(test_compare__exact_refuses_the_last_bit),
        cmocka_unit_test(test_compare__nan_differs_from_everything),
        cmocka_unit_test(test_compare__infinity_equals_only_itself),
        cmocka_unit_test(test_compare__shapes_come_first),
        cmocka_unit_test(test_compare__empty_only_where_expected),
    };
    return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
