/* Quadrature rules: weights sum to 1, symmetry, exactness by degree, and the published five-point Gauss-Legendre nodes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "explain/quadrature.h"

enum { MOST = 128 };

static double integral_of_power(quadrature rule, size_t m, int power)
{
    double node[MOST], weight[MOST], sum = 0;
    quadrature_rule(rule, m, node, weight);
    for (size_t k = 0; k < m; k++)
        sum += weight[k] * pow(node[k], power);
    return sum;
}

static void test_quadrature__weights_sum_to_one(void **state)
{
    (void)state;
    const size_t sizes[] = {1, 2, 3, 5, 8, 32, 50, 128};
    for (quadrature rule = QUADRATURE_GL; rule <= QUADRATURE_TRAP; rule++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            assert_true(fabs(integral_of_power(rule, sizes[i], 0) - 1) < 1e-13);
}

static void test_quadrature__gauss_legendre_is_exact_to_degree_2m_minus_1(void **state)
{
    (void)state;
    for (size_t m = 1; m <= 12; m++) {
        for (int power = 0; power <= (int)(2 * m - 1); power++)
            assert_true(fabs(integral_of_power(QUADRATURE_GL, m, power) - 1.0 / (power + 1)) < 1e-13);
        assert_true(fabs(integral_of_power(QUADRATURE_GL, m, (int)(2 * m)) - 1.0 / (double)(2 * m + 1)) > 1e-16);
    }
}

static void test_quadrature__five_point_nodes_are_the_published_ones(void **state)
{
    (void)state;
    /* Abramowitz and Stegun, table 25.4, mapped to [0, 1] */
    const double t[] = {-0.906179845938664, -0.538469310105683, 0, 0.538469310105683, 0.906179845938664};
    const double w[] = {0.236926885056189, 0.478628670499366, 0.568888888888889, 0.478628670499366, 0.236926885056189};
    double node[5], weight[5];
    quadrature_rule(QUADRATURE_GL, 5, node, weight);
    for (size_t k = 0; k < 5; k++) {
        assert_true(fabs(node[k] - (1 + t[k]) / 2) < 1e-14);
        assert_true(fabs(weight[k] - w[k] / 2) < 1e-14);
    }
}

static void test_quadrature__rules_without_sides_are_symmetric(void **state)
{
    (void)state;
    const quadrature rules[] = {QUADRATURE_GL, QUADRATURE_MID, QUADRATURE_TRAP};
    double node[MOST], weight[MOST];
    for (size_t r = 0; r < 3; r++)
        for (size_t m = 1; m <= 33; m++) {
            quadrature_rule(rules[r], m, node, weight);
            for (size_t k = 0; k < m; k++) {
                assert_true(fabs(node[k] + node[m - 1 - k] - 1) < 1e-14);
                assert_true(fabs(weight[k] - weight[m - 1 - k]) < 1e-15);
                assert_true(k == 0 || node[k] > node[k - 1]);
            }
        }
}

static void test_quadrature__riemann_sums_take_their_side(void **state)
{
    (void)state;
    double node[5], weight[5];
    quadrature_rule(QUADRATURE_LEFT, 4, node, weight);
    assert_true(fabs(node[0]) < 1e-16 && fabs(node[3] - 0.75) < 1e-16);
    quadrature_rule(QUADRATURE_RIGHT, 4, node, weight);
    assert_true(fabs(node[0] - 0.25) < 1e-16 && fabs(node[3] - 1) < 1e-16);
    quadrature_rule(QUADRATURE_TRAP, 5, node, weight);
    assert_true(fabs(node[0]) < 1e-16 && fabs(node[4] - 1) < 1e-16 && fabs(weight[0] - 0.125) < 1e-16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quadrature__weights_sum_to_one),
        cmocka_unit_test(test_quadrature__gauss_legendre_is_exact_to_degree_2m_minus_1),
        cmocka_unit_test(test_quadrature__five_point_nodes_are_the_published_ones),
        cmocka_unit_test(test_quadrature__rules_without_sides_are_symmetric),
        cmocka_unit_test(test_quadrature__riemann_sums_take_their_side),
    };
    return cmocka_run_group_tests_name("quadrature", tests, NULL, NULL);
}
