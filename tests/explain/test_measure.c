/* Measures: values by hand, derivatives against central differences, shift invariance, extremes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/random.h"
#include "explain/measure.h"

enum { OUTPUTS = 7 };

static void random_logits(uint32_t item, real z[OUTPUTS])
{
    for (size_t i = 0; i < OUTPUTS; i++)
        z[i] = (real)(3 * random_normal((random_key){.seed = 7, .item = item}, i));
}

static measured some(measure m, link l, int32_t foil)
{
    return (measured){.measure = m, .link = l, .a = 2, .foil = foil, .rival = 4, .foil_rival = 2};
}

/* Central difference in double: logits are moved by a step that is exact in the number type. */
static double difference(const measured *f, const real *z, size_t i)
{
    const double step = 1.0 / 1024;
    real up[OUTPUTS], down[OUTPUTS];
    for (size_t k = 0; k < OUTPUTS; k++)
        up[k] = down[k] = z[k];
    up[i] = (real)((double)z[i] + step);
    down[i] = (real)((double)z[i] - step);
    return (measure_value(f, up, OUTPUTS) - measure_value(f, down, OUTPUTS)) / ((double)up[i] - (double)down[i]);
}

static void test_measure__gradient_is_the_derivative(void **state)
{
    (void)state;
    for (uint32_t trial = 0; trial < 20; trial++)
        for (measure m = MEASURE_LOGIT; measure_has_gradient(m); m++)
            for (link l = LINK_SOFTMAX; l <= LINK_SIGMOID; l++)
                for (int32_t foil = -1; foil < 6; foil += 6) {
                    real z[OUTPUTS], seed[OUTPUTS];
                    random_logits(trial, z);
                    measured f = some(m, l, foil);
                    measure_gradient(&f, z, OUTPUTS, seed);
                    for (size_t i = 0; i < OUTPUTS; i++)
                        assert_true(fabs((double)seed[i] - difference(&f, z, i)) < 2e-6);
                }
}

static void test_measure__adding_a_constant_changes_nothing_but_the_logit(void **state)
{
    (void)state;
    real z[OUTPUTS], moved[OUTPUTS];
    random_logits(3, z);
    for (size_t i = 0; i < OUTPUTS; i++) {
        z[i] = (real)(round((double)z[i] * 64) / 64); /* so that adding 8 is exact */
        moved[i] = z[i] + 8;
    }
    for (measure m = MEASURE_PROB; m <= MEASURE_KL; m++) {
        measured f = some(m, LINK_SOFTMAX, -1);
        f.clean = z;
        assert_true(fabs(measure_value(&f, z, OUTPUTS) - measure_value(&f, moved, OUTPUTS)) < 1e-12);
    }
    measured f = some(MEASURE_LOGIT, LINK_SOFTMAX, 5);
    assert_true(fabs(measure_value(&f, z, OUTPUTS) - measure_value(&f, moved, OUTPUTS)) < 1e-12);
}

static void test_measure__values_by_hand(void **state)
{
    (void)state;
    const real z[] = {0, (real)log(3.0)};
    measured f = {.measure = MEASURE_PROB, .link = LINK_SOFTMAX, .a = 1, .foil = -1};
    assert_true(fabs(measure_value(&f, z, 2) - 0.75) < 1e-7);
    f.link = LINK_SIGMOID;
    assert_true(fabs(measure_value(&f, z, 2) - 0.75) < 1e-7);
    f.measure = MEASURE_LOGODDS;
    assert_true(fabs(measure_value(&f, z, 2) - log(3.0)) < 1e-7);
    f = (measured){.measure = MEASURE_LOGIT, .link = LINK_NONE, .a = 1, .foil = 0};
    assert_true(fabs(measure_value(&f, z, 2) - log(3.0)) < 1e-7);
    assert_true(isnan(link_probability(LINK_NONE, z, 2, 0)));
    assert_true(fabs(link_entropy(LINK_SOFTMAX, z, 2) - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-7);
}

static void test_measure__extreme_logits_stay_finite(void **state)
{
    (void)state;
    const real z[] = {(real)-1e30, (real)1e30, 0};
    const real clean[] = {(real)1e30, 0, (real)-1e30};
    for (measure m = MEASURE_LOGIT; m < MEASURE_COUNT; m++) {
        measured f = {.measure = m, .link = LINK_SOFTMAX, .a = 1, .foil = -1, .rival = 2, .clean = clean};
        real seed[3];
        assert_true(isfinite(measure_value(&f, z, 3)));
        if (!measure_has_gradient(m))
            continue;
        measure_gradient(&f, z, 3, seed);
        for (size_t i = 0; i < 3; i++)
            assert_true(isfinite((double)seed[i]));
    }
}

/* Sums over written-out probabilities, the way textbooks have them. */
static void test_measure__entropy_and_divergence_are_the_textbook_sums(void **state)
{
    (void)state;
    for (uint32_t trial = 0; trial < 10; trial++) {
        real z[OUTPUTS], clean[OUTPUTS];
        double p[OUTPUTS], q[OUTPUTS], p_all = 0, q_all = 0, entropy = 0, divergence = 0;
        random_logits(trial, z);
        random_logits(trial + 100, clean);
        for (size_t i = 0; i < OUTPUTS; i++) {
            q_all += q[i] = exp((double)z[i]);
            p_all += p[i] = exp((double)clean[i]);
        }
        for (size_t i = 0; i < OUTPUTS; i++) {
            entropy -= q[i] / q_all * log(q[i] / q_all);
            divergence += p[i] / p_all * log(p[i] / p_all / (q[i] / q_all));
        }
        measured f = {.measure = MEASURE_ENTROPY, .link = LINK_SOFTMAX, .a = 2, .foil = -1, .clean = clean};
        assert_true(fabs(measure_value(&f, z, OUTPUTS) - entropy) < 1e-12);
        f.measure = MEASURE_KL;
        assert_true(fabs(measure_value(&f, z, OUTPUTS) - divergence) < 1e-12);
        assert_true(measure_value(&f, clean, OUTPUTS) == 0);
    }
}

static void test_measure__entropy_and_divergence_of_one_label_are_a_coins(void **state)
{
    (void)state;
    const real z[] = {9, (real)log(3.0)}, clean[] = {9, 0}; /* probabilities 3/4 and 1/2; the other label counts for nothing */
    measured f = {.measure = MEASURE_ENTROPY, .link = LINK_SIGMOID, .a = 1, .foil = -1, .clean = clean};
    assert_true(fabs(measure_value(&f, z, 2) - (0.75 * log(4.0 / 3) + 0.25 * log(4.0))) < 1e-7);
    f.measure = MEASURE_KL;
    assert_true(fabs(measure_value(&f, z, 2) - 0.5 * log(0.5 / 0.75) - 0.5 * log(0.5 / 0.25)) < 1e-7);
}

static void test_measure__what_has_no_probability_adds_nothing(void **state)
{
    (void)state;
    const real z[] = {0, -INFINITY, 0}, certain[] = {0, -INFINITY, -INFINITY};
    measured f = {.measure = MEASURE_ENTROPY, .link = LINK_SOFTMAX, .foil = -1, .clean = certain};
    assert_true(fabs(measure_value(&f, z, 3) - log(2.0)) < 1e-12);
    assert_true(measure_value(&f, certain, 3) == 0);
    f.measure = MEASURE_KL;
    assert_true(fabs(measure_value(&f, z, 3) - log(2.0)) < 1e-12);
}

static void test_measure__argmax_takes_the_first_of_equals_and_skips(void **state)
{
    (void)state;
    const real z[] = {1, 5, 5, 2};
    assert_int_equal(logits_argmax(z, 4, -1), 1);
    assert_int_equal(logits_argmax(z, 4, 1), 2);
    assert_int_equal(logits_argmax(z, 1, 0), -1);
}

static void test_measure__names_are_found(void **state)
{
    (void)state;
    for (measure m = MEASURE_LOGIT; m < MEASURE_COUNT; m++) {
        measure found;
        assert_true(measure_find(view_of(measure_id(m)), &found));
        assert_int_equal(found, m);
    }
    measure none;
    assert_false(measure_find(VIEW("logits"), &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_measure__gradient_is_the_derivative),
        cmocka_unit_test(test_measure__adding_a_constant_changes_nothing_but_the_logit),
        cmocka_unit_test(test_measure__values_by_hand),
        cmocka_unit_test(test_measure__extreme_logits_stay_finite),
        cmocka_unit_test(test_measure__entropy_and_divergence_are_the_textbook_sums),
        cmocka_unit_test(test_measure__entropy_and_divergence_of_one_label_are_a_coins),
        cmocka_unit_test(test_measure__what_has_no_probability_adds_nothing),
        cmocka_unit_test(test_measure__argmax_takes_the_first_of_equals_and_skips),
        cmocka_unit_test(test_measure__names_are_found),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
