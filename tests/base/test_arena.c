/* Arena: alignment, zeroing, limit, marks, reset, accounting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <tokray/session.h>

#include "base/arena.h"
#include "base/memory.h"

static bool is_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i])
            return false;
    return true;
}

static void test_arena__blocks_are_aligned_zeroed_and_apart(void **state)
{
    (void)state;
    arena *a = arena_new(64 << 20);
    unsigned char *before = NULL;
    size_t before_size = 0;
    for (size_t i = 0; i < 3000; i++) {
        size_t size = i * 131 % 1000;
        unsigned char *block = ARENA_NEW(a, unsigned char, size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 64, 0);
        assert_true(is_zero(block, size));
        memset(block, 0xEE, size);
        if (before_size)
            assert_int_equal(before[before_size - 1], 0xEE);
        before = block;
        before_size = size;
    }
    assert_false(arena_failed(a));
    arena_free(a);
    arena_free(NULL);
}

static void test_arena__memory_used_again_is_zeroed_again(void **state)
{
    (void)state;
    arena *a = arena_new(1 << 20);
    arena_mark mark = arena_get_mark(a);
    unsigned char *first = arena_alloc(a, 1000, 1);
    memset(first, 1, 1000);
    arena_release(a, mark);
    unsigned char *second = arena_alloc(a, 1000, 1);
    assert_true(is_zero(second, 1000));
    memset(second, 1, 1000);
    arena_reset(a);
    assert_true(is_zero(arena_alloc(a, 1000, 1), 1000));
    arena_free(a);
}

static void test_arena__release_goes_back_to_the_mark(void **state)
{
    (void)state;
    arena *a = arena_new(64 << 20);
    char *kept = arena_copy_text(a, VIEW("kept"));
    arena_mark mark = arena_get_mark(a);
    char *next = arena_alloc(a, 1, 1);
    for (int i = 0; i < 50; i++)
        assert_non_null(arena_alloc(a, 100000, 1)); /* several blocks */
    arena_release(a, mark);
    assert_string_equal(kept, "kept");
    assert_ptr_equal(arena_alloc(a, 1, 1), next);
    arena_free(a);
}

static void test_arena__a_loop_of_mark_and_release_asks_the_heap_once(void **state)
{
    (void)state;
    arena *a = arena_new(64 << 20);
    assert_non_null(arena_alloc(a, 60000, 1));
    memory_fail_at(0, 0);
    for (int i = 0; i < 100; i++) {
        arena_mark mark = arena_get_mark(a);
        assert_non_null(arena_alloc(a, 200000, 1)); /* never fits the first block */
        arena_release(a, mark);
    }
    assert_int_equal(memory_allocations(), 1);
    arena_free(a);
}

static void test_arena__the_limit_holds_and_failure_is_remembered(void **state)
{
    (void)state;
    arena *a = arena_new(1 << 20);
    assert_non_null(arena_alloc(a, 1 << 20, 1)); /* exactly the limit */
    assert_int_equal(arena_held(a), 1 << 20);
    assert_null(arena_alloc(a, 1, 1));
    assert_true(arena_failed(a));
    arena_reset(a);
    assert_false(arena_failed(a));
    assert_null(arena_alloc(a, (1 << 20) + 1, 1));
    assert_true(arena_failed(a));
    arena_reset(a);
    for (int i = 0; i < 16; i++) /* small pieces fill it too */
        assert_non_null(arena_alloc(a, 1 << 16, 1));
    assert_true(arena_held(a) <= 1 << 20);
    arena_free(a);
}

static void test_arena__sizes_that_wrap_fail(void **state)
{
    (void)state;
    arena *a = arena_new(SIZE_MAX);
    assert_null(arena_alloc(a, SIZE_MAX / 2, 3));
    assert_true(arena_failed(a));
    arena_reset(a);
    assert_null(arena_alloc(a, SIZE_MAX, 1));
    assert_null(arena_alloc(a, SIZE_MAX - 64, 1));
    assert_null(arena_copy_text(a, (view){"", SIZE_MAX}));
    assert_true(arena_failed(a));
    arena_free(a);
}

static void test_arena__out_of_memory_is_a_failure_and_not_the_end(void **state)
{
    (void)state;
    memory_fail_at(1, 0);
    assert_null(arena_new(100));
    memory_fail_at(2, 0);
    arena *a = arena_new(1 << 20);
    assert_null(arena_alloc(a, 10, 1));
    assert_true(arena_failed(a));
    assert_non_null(arena_alloc(a, 10, 1));
    memory_fail_at(0, 0);
    arena_free(a);
}

static void test_arena__zero_bytes_and_text(void **state)
{
    (void)state;
    arena *a = arena_new(1 << 20);
    void *x = arena_alloc(a, 0, 4), *y = arena_alloc(a, 0, 4);
    assert_non_null(x);
    assert_ptr_not_equal(x, y);
    assert_string_equal(arena_copy_text(a, (view){NULL, 0}), "");
    assert_string_equal(arena_copy_text(a, view_slice(VIEW("abcdef"), 1, 3)), "bc");
    arena_free(a);
}

static void test_arena__nothing_stays_behind(void **state)
{
    (void)state;
    uint64_t before = tkr_memory_now();
    arena *a = arena_new(64 << 20);
    for (int run = 0; run < 3; run++) {
        for (int i = 0; i < 30; i++)
            assert_non_null(arena_alloc(a, 300000, 1));
        assert_in_range(arena_held(a), 30 * 300000, tkr_memory_now() - before);
        arena_reset(a);
        assert_in_range(arena_held(a), 300000, 2 << 20); /* the largest block only */
    }
    arena_free(a);
    assert_int_equal(tkr_memory_now(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena__blocks_are_aligned_zeroed_and_apart),
        cmocka_unit_test(test_arena__memory_used_again_is_zeroed_again),
        cmocka_unit_test(test_arena__release_goes_back_to_the_mark),
        cmocka_unit_test(test_arena__a_loop_of_mark_and_release_asks_the_heap_once),
        cmocka_unit_test(test_arena__the_limit_holds_and_failure_is_remembered),
        cmocka_unit_test(test_arena__sizes_that_wrap_fail),
        cmocka_unit_test(test_arena__out_of_memory_is_a_failure_and_not_the_end),
        cmocka_unit_test(test_arena__zero_bytes_and_text),
        cmocka_unit_test(test_arena__nothing_stays_behind),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
