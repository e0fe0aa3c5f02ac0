/* The small things: progress and cancellation, clocks, sizes that wrap, little-endian numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "base/progress.h"
#include "base/size.h"

static void test_progress__little_endian_numbers_at_any_address(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0, 1, 2, 3, 4, 5, 6, 7, 0xF8};
    assert_true(bytes_u64le(bytes + 1) == 0xF807060504030201u);
}

static void test_progress__sizes_that_wrap_are_refused(void **state)
{
    (void)state;
    size_t out;
    assert_true(size_add(&out, SIZE_MAX - 1, 1));
    assert_false(size_add(&out, SIZE_MAX, 1));
    assert_false(size_sub(&out, 1, 2));
    assert_true(size_mul(&out, SIZE_MAX / 2, 2));
    assert_false(size_mul(&out, SIZE_MAX / 2 + 1, 2));
    assert_false(size_mul(&out, (size_t)1 << 32, (size_t)1 << 32));
}

static void test_progress__clocks(void **state)
{
    (void)state;
    char text[32];
    double start = clock_seconds();
    assert_true(clock_seconds() >= start);
    clock_utc(text);
    assert_int_equal(strlen(text), 20);
    assert_memory_equal(text, "20", 2);
    assert_int_equal(text[10], 'T');
    assert_int_equal(text[19], 'Z');
}

typedef struct told {
    int calls, stop_at;
    uint64_t done;
} told;

static bool tell(void *user, const tkr_progress *progress)
{
    told *t = user;
    t->done = progress->done;
    assert_string_equal(progress->phase, "ig");
    assert_string_equal(progress->unit, "steps");
    assert_int_equal(progress->total, 10);
    return ++t->calls != t->stop_at;
}

static void test_progress__progress_stops_until_the_next_run(void **state)
{
    (void)state;
    told t = {.stop_at = 2};
    reporter r = {.call = tell, .user = &t};
    reporter_begin(&r);
    assert_true(reporter_tell(&r, "ig", "steps", 1, 10));
    assert_false(reporter_tell(&r, "ig", "steps", 2, 10));
    assert_false(reporter_tell(&r, "ig", "steps", 3, 10));
    assert_int_equal(t.calls, 2); /* not asked again */
    assert_int_equal(t.done, 2);
    reporter_begin(&r);
    assert_true(reporter_tell(&r, "ig", "steps", 4, 10));
    reporter silent = {0};
    assert_true(reporter_tell(&silent, "ig", "steps", 1, 10));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_progress__little_endian_numbers_at_any_address),
        cmocka_unit_test(test_progress__sizes_that_wrap_are_refused),
        cmocka_unit_test(test_progress__clocks),
        cmocka_unit_test(test_progress__progress_stops_until_the_next_run),
    };
    return cmocka_run_group_tests_name("progress", tests, NULL, NULL);
}
