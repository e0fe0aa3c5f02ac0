/* Growable buffer: appending, maximum, sticky failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/memory.h"

static void test_buffer__appends_every_kind(void **state)
{
    (void)state;
    buffer b;
    buffer_init(&b, 1000);
    assert_int_equal(buffer_as_view(&b).size, 0);
    assert_non_null(buffer_as_view(&b).data);
    assert_true(buffer_text(&b, "ab"));
    assert_true(buffer_byte(&b, '\0'));
    assert_true(buffer_view(&b, VIEW("cd")));
    assert_true(buffer_code_point(&b, 0x20AC));
    assert_true(buffer_format(&b, "%d-%s", 42, "x"));
    assert_true(buffer_append(&b, NULL, 0));
    assert_true(buffer_ok(&b));
    assert_true(view_equal(buffer_as_view(&b), VIEW("ab\0cd\xe2\x82\xac"
                                                    "42-x")));
    assert_int_equal(b.data[b.size], 0);
    buffer_fini(&b);
}

static void test_buffer__grows_to_its_maximum_and_no_further(void **state)
{
    (void)state;
    buffer b;
    buffer_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        assert_true(buffer_byte(&b, 'x'));
    assert_true(b.capacity <= 1001);
    assert_false(buffer_byte(&b, 'y'));
    assert_false(buffer_ok(&b));
    assert_int_equal(b.size, 1000);
    buffer_clear(&b);
    assert_true(buffer_ok(&b));
    assert_string_equal(b.data, "");
    assert_false(buffer_format(&b, "%1001d", 1));
    assert_int_equal(b.size, 0);
    buffer_fini(&b);
}

static void test_buffer__failure_is_sticky(void **state)
{
    (void)state;
    buffer b;
    buffer_init(&b, 4);
    assert_true(buffer_text(&b, "abc"));
    assert_false(buffer_text(&b, "de"));
    assert_false(buffer_text(&b, "d")); /* would fit, but the text would have a hole */
    assert_string_equal(b.data, "abc");
    buffer_fini(&b);
}

static void test_buffer__sizes_that_wrap_and_no_memory_fail(void **state)
{
    (void)state;
    buffer b;
    buffer_init(&b, SIZE_MAX);
    assert_true(buffer_text(&b, "a"));
    assert_false(buffer_append(&b, "", SIZE_MAX));
    buffer_clear(&b);
    assert_false(buffer_append(&b, "", SIZE_MAX - 1));
    buffer_clear(&b);
    memory_fail_at(1, 0);
    char large[200] = {0};
    assert_false(buffer_append(&b, large, sizeof large));
    memory_fail_at(0, 0);
    assert_false(buffer_ok(&b));
    buffer_clear(&b);
    assert_true(buffer_append(&b, large, sizeof large));
    buffer_fini(&b);
    buffer_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer__appends_every_kind),
        cmocka_unit_test(test_buffer__grows_to_its_maximum_and_no_further),
        cmocka_unit_test(test_buffer__failure_is_sticky),
        cmocka_unit_test(test_buffer__sizes_that_wrap_and_no_memory_fail),
    };
    return cmocka_run_group_tests_name("buffer", tests, NULL, NULL);
}
