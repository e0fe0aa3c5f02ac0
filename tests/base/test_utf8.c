/* UTF-8: all scalar values there and back, all malformed forms refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/utf8.h"

static void test_utf8__every_code_point_goes_there_and_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char bytes[4];
        uint32_t back = UINT32_MAX;
        size_t length = utf8_encode(bytes, c);
        if (utf8_decode((view){bytes, length}, 0, &back) != length || back != c)
            fail_msg("U+%04X: %zu bytes, back U+%04X", (unsigned)c, length, (unsigned)back);
        if (length > 1)
            assert_int_equal(utf8_decode((view){bytes, length - 1}, 0, &back), 0); /* cut */
    }
}

static void test_utf8__no_other_bytes_decode(void **state)
{
    (void)state;
    /* Of all 2^24 three-byte texts: exactly those whose decoding encodes to the same bytes may pass. */
    size_t passed = 0;
    for (uint32_t n = 0x800000; n < 0x1000000; n++) {
        char bytes[3] = {(char)(n >> 16), (char)(n >> 8), (char)n}, back[4];
        uint32_t c = 0;
        size_t length = utf8_decode((view){bytes, 3}, 0, &c);
        if (length == 0)
            continue;
        passed += length == 3;
        if (utf8_encode(back, c) != length || memcmp(back, bytes, length) != 0)
            fail_msg("%06X decodes to U+%04X", (unsigned)n, (unsigned)c);
    }
    assert_int_equal(passed, 0x10000 - 0x800 - 0x800); /* without one- and two-byte forms and surrogates */
}

static void test_utf8__malformed_forms_are_found(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x9F\xBF",     "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "\xE2\x82",     "\xE2(\x82",        "\xF0\x9F\x98"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[16] = "ab";
        size_t length = strlen(bad[i]);
        memcpy(text + 2, bad[i], length);
        assert_int_equal(utf8_first_bad((view){text, 2 + length}), 2);
    }
    assert_int_equal(utf8_first_bad(VIEW("a\0\xf0\x9f\x98\x80")), 6);
    assert_int_equal(utf8_first_bad(VIEW("")), 0);
}

static void test_utf8__invalid_code_points_are_written_as_replacement(void **state)
{
    (void)state;
    char bytes[4];
    assert_int_equal(utf8_encode(bytes, 0xD800), 3);
    assert_memory_equal(bytes, "\xEF\xBF\xBD", 3);
    assert_int_equal(utf8_encode(bytes, 0x110000), 3);
}

static void test_utf8__counts_code_points(void **state)
{
    (void)state;
    assert_int_equal(utf8_count(VIEW("")), 0);
    assert_int_equal(utf8_count(VIEW("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80")), 4);
}

static void test_utf8__hidden_characters(void **state)
{
    (void)state;
    static const uint32_t hidden[] = {0,      9,      0x1B,   0x1F,   0x7F,    0x80,   0x9B,   0x9F,
                                      0x200B, 0x200D, 0x200F, 0x2028, 0x2029,  0x202A, 0x202E, 0x2060,
                                      0x2066, 0x2069, 0xFEFF, 0x061C, 0xE0041, 0xAD};
    static const uint32_t shown[] = {' ',    '~',    0xA0,   0xE4,   0x200A, 0x2010,
                                     0x2027, 0x202F, 0x20AC, 0x2070, 0xFE0F, 0x1F600};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        assert_true(utf8_is_hidden(hidden[i]));
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        assert_false(utf8_is_hidden(shown[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8__every_code_point_goes_there_and_back),
        cmocka_unit_test(test_utf8__no_other_bytes_decode),
        cmocka_unit_test(test_utf8__malformed_forms_are_found),
        cmocka_unit_test(test_utf8__invalid_code_points_are_written_as_replacement),
        cmocka_unit_test(test_utf8__counts_code_points),
        cmocka_unit_test(test_utf8__hidden_characters),
    };
    return cmocka_run_group_tests_name("utf8", tests, NULL, NULL);
}
