/* The heap door: exact counts, alignment, overflow, failing on request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <tokray/session.h>

#include "base/memory.h"

static void test_memory__counts_what_is_held_exactly(void **state)
{
    (void)state;
    uint64_t before = tkr_memory_now();
    char *plain = memory_new(10, 7);
    float *aligned = memory_new_aligned(1001);
    assert_int_equal(tkr_memory_now() - before, 70 + 1001);
    plain = memory_resize(plain, 200, 1);
    assert_int_equal(tkr_memory_now() - before, 200 + 1001);
    plain = memory_resize(plain, 5, 1);
    assert_int_equal(tkr_memory_now() - before, 5 + 1001);
    memory_free(plain);
    assert_int_equal(tkr_memory_now() - before, 1001);
    memory_free(aligned);
    memory_free(NULL);
    assert_int_equal(tkr_memory_now(), before);
}

static void test_memory__remembers_the_peak(void **state)
{
    (void)state;
    tkr_memory_reset_peak();
    uint64_t before = tkr_memory_now();
    memory_free(memory_new(1, 5000));
    memory_free(memory_new(1, 300));
    assert_int_equal(tkr_memory_peak(), before + 5000);
    tkr_memory_reset_peak();
    assert_int_equal(tkr_memory_peak(), before);
}

static void test_memory__new_is_zeroed_and_resize_keeps_the_bytes(void **state)
{
    (void)state;
    unsigned char *block = memory_new(3, 100);
    for (int i = 0; i < 300; i++)
        assert_int_equal(block[i], 0);
    memset(block, 7, 300);
    block = memory_resize(block, 5000, 1);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(block[i], i < 300 ? 7 : 0);
    memset(block, 7, 5000);
    block = memory_resize(block, 4000, 1); /* smaller and larger again, most likely in place */
    block = memory_resize(block, 5000, 1);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(block[i], i < 4000 ? 7 : 0);
    memory_free(block);
    block = memory_resize(NULL, 4, 4);
    assert_non_null(block);
    memory_free(block);
}

static void test_memory__aligned_blocks_are_aligned(void **state)
{
    (void)state;
    void *blocks[40];
    for (size_t i = 0; i < 40; i++) {
        blocks[i] = memory_new_aligned(i * 37);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 64, 0);
        memset(blocks[i], 1, i * 37);
    }
    for (size_t i = 0; i < 40; i++)
        memory_free(blocks[i]);
    void *plain = memory_new(1, 1);
    assert_int_equal((uintptr_t)plain % _Alignof(max_align_t), 0);
    memory_free(plain);
}

static void test_memory__impossible_sizes_give_null(void **state)
{
    (void)state;
    uint64_t before = tkr_memory_now();
    assert_null(memory_new(SIZE_MAX / 2, 3));
    assert_null(memory_new(SIZE_MAX, 1));
    assert_null(memory_new(1, (size_t)PTRDIFF_MAX));
    assert_null(memory_new_aligned(SIZE_MAX));
    assert_null(memory_new_aligned(SIZE_MAX - 64));
    assert_null(memory_copy_text("", SIZE_MAX));
    char *block = memory_new(1, 1);
    assert_null(memory_resize(block, SIZE_MAX / 2, 4));
    memory_free(block); /* still valid */
    assert_int_equal(tkr_memory_now(), before);
}

static void test_memory__zero_bytes_are_a_block(void **state)
{
    (void)state;
    void *a = memory_new(0, 8), *b = memory_new_aligned(0);
    assert_non_null(a);
    assert_non_null(b);
    memory_free(a);
    memory_free(b);
}

static void test_memory__copies_text(void **state)
{
    (void)state;
    char *copy = memory_copy_text("abcdef", 3);
    assert_string_equal(copy, "abc");
    memory_free(copy);
    copy = memory_copy_text(NULL, 0);
    assert_string_equal(copy, "");
    memory_free(copy);
}

static void test_memory__fails_the_nth_allocation_once(void **state)
{
    (void)state;
    memory_fail_at(3, 0);
    void *a = memory_new(1, 1), *b = memory_new_aligned(1);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(memory_resize(a, 2, 1));
    assert_int_equal(memory_allocations(), 3);
    void *c = memory_new(1, 1);
    assert_non_null(c);
    memory_fail_at(0, 0);
    assert_int_equal(memory_allocations(), 0);
    memory_free(a);
    memory_free(b);
    memory_free(c);
}

static void test_memory__fails_all_from_the_nth(void **state)
{
    (void)state;
    memory_fail_at(2, 1);
    void *a = memory_new(1, 1);
    assert_non_null(a);
    assert_null(memory_new(1, 1));
    assert_null(memory_new_aligned(1));
    assert_null(memory_copy_text("a", 1));
    memory_fail_at(0, 0);
    void *b = memory_new(1, 1);
    assert_non_null(b);
    memory_free(a);
    memory_free(b);
}

static void *allocate_much(void *unused)
{
    (void)unused;
    for (int i = 0; i < 20000; i++)
        memory_free(memory_new(1, (size_t)(i % 100)));
    return NULL;
}

static void test_memory__counts_exactly_from_several_threads(void **state)
{
    (void)state;
    uint64_t before = tkr_memory_now();
    pthread_t threads[4];
    tkr_memory_reset_peak();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_much, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(tkr_memory_now(), before);
    assert_in_range(tkr_memory_peak(), before + 99, before + 4 * 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory__counts_what_is_held_exactly),
        cmocka_unit_test(test_memory__remembers_the_peak),
        cmocka_unit_test(test_memory__new_is_zeroed_and_resize_keeps_the_bytes),
        cmocka_unit_test(test_memory__aligned_blocks_are_aligned),
        cmocka_unit_test(test_memory__impossible_sizes_give_null),
        cmocka_unit_test(test_memory__zero_bytes_are_a_block),
        cmocka_unit_test(test_memory__copies_text),
        cmocka_unit_test(test_memory__fails_the_nth_allocation_once),
        cmocka_unit_test(test_memory__fails_all_from_the_nth),
        cmocka_unit_test(test_memory__counts_exactly_from_several_threads),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
