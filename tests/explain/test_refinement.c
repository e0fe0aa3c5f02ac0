/* Adaptive integration at common nodes: exactness by degree on any nodes, jumps, errors that cancel in the sum, nested nodes, ends. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "explain/refinement.h"

/* A function on [0, 1] and its integral from 0. */
typedef struct curve {
    double (*at)(double x);
    double (*until)(double x);
} curve;

static double square(double x) { return 3 * x * x - 2 * x + 0.5; }
static double square_until(double x) { return x * x * x - x * x + 0.5 * x; }
static double wave(double x) { return cos(5 * x); }
static double wave_until(double x) { return sin(5 * x) / 5; }
/* Jumps where no bisection ever looks. */
static const double first_jump = 0.31830988618379067, second_jump = 0.7071067811865476;
static double jumps(double x) { return (x > first_jump ? 2 : 0) - (x > second_jump ? 1.5 : 0); }
static double jumps_until(double x) { return 2 * fmax(x - first_jump, 0) - 1.5 * fmax(x - second_jump, 0); }
static double falls(double x) { return 1 - jumps(x); }
static double falls_until(double x) { return x - jumps_until(x); }
static double none(double x) { (void)x; return 0; }

static const curve SQUARE = {square, square_until}, WAVE = {wave, wave_until}, JUMPS = {jumps, jumps_until},
                   FALLS = {falls, falls_until}, NONE = {none, none};

static arena *memory;

static int set_up(void **state)
{
    (void)state;
    memory = arena_new(SIZE_MAX);
    return memory ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    arena_free(memory);
    return 0;
}

/* What is asked for, of each target the same functions times target + 1. */
static void look(refinement *r, const curve *curves)
{
    for (size_t k = r->count; k < r->count + r->asked; k++)
        for (size_t t = 0; t < r->targets; t++) {
            const refinement_node *n = &r->node[k];
            n->value[t] = 7;
            for (size_t i = 0; i < r->parts; i++) {
                n->part[t * r->parts + i] = (double)(t + 1) * curves[i].at(n->at);
                n->value[t] += (double)(t + 1) * curves[i].until(n->at);
            }
        }
    refinement_take(r);
}

static refinement begin(const curve *curves, size_t parts, size_t targets, size_t most)
{
    tkr_error error = {0};
    refinement r;
    assert_int_equal(refinement_init(&r, memory, targets, parts, most, &error), TKR_OK);
    for (size_t t = 0; t < targets; t++)
        r.range[t] = (double)(t + 1);
    look(&r, curves);
    return r;
}

static bool go_on(refinement *r, const curve *curves)
{
    tkr_error error = {0};
    assert_int_equal(refinement_ask(r, &error), TKR_OK);
    if (r->asked == 0)
        return false;
    look(r, curves);
    return true;
}

static size_t reach(refinement *r, const curve *curves, double wanted)
{
    while (!refinement_is_done(r, wanted) && go_on(r, curves))
        ;
    return r->count;
}

static double error_of(const refinement *r, const curve *curves, size_t i) { return fabs(r->sum[i] - curves[i].until(1)); }

static void test_refinement__parabolas_are_exact_on_any_nodes(void **state)
{
    (void)state;
    const curve curves[] = {SQUARE, JUMPS}; /* the second takes the nodes where it wants them */
    refinement r = begin(curves, 2, 1, 60);
    do
        assert_true(error_of(&r, curves, 0) < 1e-13);
    while (go_on(&r, curves));
    assert_int_equal(r.count, 60);
    double least = 1, most = 0;
    for (size_t k = 0; k + 1 < r.count; k++) {
        least = fmin(least, r.node[k + 1].at - r.node[k].at);
        most = fmax(most, r.node[k + 1].at - r.node[k].at);
    }
    assert_true(most > 100 * least);
}

static void test_refinement__smooth_functions_converge_beyond_the_second_order(void **state)
{
    (void)state;
    const curve curves[] = {WAVE};
    refinement r = begin(curves, 1, 1, 300);
    double few = error_of(&r, curves, 0);
    while (r.count < 65 && go_on(&r, curves))
        ;
    assert_true(few < 2e-3);
    assert_true(error_of(&r, curves, 0) < few / 200); /* 8 times the points: order two would be 64 */
}

static void test_refinement__jumps_are_found(void **state)
{
    (void)state;
    const curve curves[] = {WAVE, JUMPS, SQUARE};
    refinement r = begin(curves, 3, 1, 300);
    assert_true(reach(&r, curves, 1e-5) < 100); /* a rule of m points is off by about 1/m: 100000 points */
    for (size_t i = 0; i < 3; i++)
        assert_true(error_of(&r, curves, i) < 2e-5);
    size_t near = 0;
    for (size_t k = 0; k < r.count; k++)
        near += fabs(r.node[k].at - first_jump) < 0.02 || fabs(r.node[k].at - second_jump) < 0.02;
    assert_true(2 * near > r.count / 2);
}

/* The sum is smooth and its gap small from the start: what the two functions do shows all the same. */
static void test_refinement__errors_that_cancel_in_the_sum_are_seen(void **state)
{
    (void)state;
    const curve curves[] = {JUMPS, FALLS};
    refinement r = begin(curves, 2, 1, 300);
    assert_true(refinement_miss(&r, 0) < 1e-12);
    assert_true(error_of(&r, curves, 0) > 1e-3);
    assert_false(refinement_is_done(&r, 1e-4));
    reach(&r, curves, 1e-5);
    assert_true(error_of(&r, curves, 0) < 1e-4);
    assert_true(error_of(&r, curves, 1) < 1e-4);
}

static void test_refinement__nodes_stay(void **state)
{
    (void)state;
    enum { MOST = 100 };
    const curve curves[] = {WAVE, JUMPS};
    refinement r = begin(curves, 2, 2, MOST);
    double before[MOST];
    size_t count = 0;
    do {
        size_t found = 0;
        for (size_t k = 0; k < r.count; k++) {
            assert_true(k == 0 || r.node[k].at > r.node[k - 1].at);
            found += found < count && !(r.node[k].at < before[found]) && !(r.node[k].at > before[found]);
        }
        assert_int_equal(found, count);
        count = r.count;
        for (size_t k = 0; k < count; k++)
            before[k] = r.node[k].at;
    } while (go_on(&r, curves));
    assert_int_equal(r.count, MOST);
    assert_true(r.node[0].at <= 0 && r.node[MOST - 1].at >= 1);
}

/* Errors are shares: twice the function over twice the range changes nothing. */
static void test_refinement__targets_share_the_nodes(void **state)
{
    (void)state;
    const curve curves[] = {WAVE, JUMPS};
    refinement one = begin(curves, 2, 1, 300), both = begin(curves, 2, 2, 300);
    assert_int_equal(reach(&one, curves, 1e-4), reach(&both, curves, 1e-4));
    for (size_t i = 0; i < 2; i++) {
        assert_true(fabs(one.sum[i] - both.sum[i]) < 1e-15);
        assert_true(fabs(2 * one.sum[i] - both.sum[2 + i]) < 1e-15);
    }
}

static void test_refinement__nothing_is_asked_of_what_is_exact(void **state)
{
    (void)state;
    const curve curves[] = {NONE};
    refinement r = begin(curves, 1, 1, 300);
    assert_true(refinement_is_done(&r, 0));
    assert_false(go_on(&r, curves));
    refinement without = begin(curves, 0, 1, 300);
    assert_true(refinement_is_done(&without, 0));
    assert_false(go_on(&without, curves));
}

/* NaN is never done, and never asked for more. */
static double hole(double x) { return x > 0 ? 1 : (double)NAN; }
static void test_refinement__what_is_no_number_ends(void **state)
{
    (void)state;
    const curve curves[] = {{hole, none}};
    refinement r = begin(curves, 1, 1, 300);
    assert_true(reach(&r, curves, 1e-3) <= 300);
    assert_false(refinement_is_done(&r, 1));
    assert_true(isnan(r.sum[0]));
}

static void test_refinement__bytes_bound_what_is_held(void **state)
{
    (void)state;
    const curve curves[] = {WAVE, JUMPS, SQUARE};
    refinement r = begin(curves, 3, 2, 300);
    reach(&r, curves, 0);
    assert_true(r.count > 200);
    assert_true(arena_held(memory) <= refinement_bytes(2, 3, 300) + (1 << 16)); /* and the arena's own block */
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_refinement__##name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(parabolas_are_exact_on_any_nodes),
        TEST(smooth_functions_converge_beyond_the_second_order),
        TEST(jumps_are_found),
        TEST(errors_that_cancel_in_the_sum_are_seen),
        TEST(nodes_stay),
        TEST(targets_share_the_nodes),
        TEST(nothing_is_asked_of_what_is_exact),
        TEST(what_is_no_number_ends),
        TEST(bytes_bound_what_is_held),
    };
    return cmocka_run_group_tests_name("refinement", tests, NULL, NULL);
}
