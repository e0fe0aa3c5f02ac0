/* Tables of code points: sizes over the whole range, and the characters known to differ between Unicode versions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text/unicode.h"

static size_t count_of(bool (*is_in)(uint32_t))
{
    size_t count = 0;
    for (uint32_t c = 0; c <= 0x10FFFF; c++)
        count += is_in(c);
    return count;
}

static void test_unicode__sets_have_the_size_of_the_reference(void **state)
{
    (void)state;
    assert_int_equal(count_of(unicode_is_punctuation), 726); /* Unicode 8.0 with the ASCII signs */
    assert_int_equal(count_of(unicode_is_nonspacing), 1567); /* Unicode 8.0                      */
    assert_int_equal(count_of(unicode_is_mark), 2097);       /* Unicode 9.0                      */
    assert_int_equal(count_of(unicode_is_space), 25);
    assert_true(count_of(unicode_is_letter) >= 141028); /* Unicode 16.0; a newer utf8proc may know more */
    assert_true(count_of(unicode_is_number) >= 1911);
}

static void test_unicode__edges_of_the_sets(void **state)
{
    (void)state;
    assert_true(unicode_is_punctuation('$') && unicode_is_punctuation('`') && unicode_is_punctuation(0x3002));
    assert_false(unicode_is_punctuation(0x20AC) || unicode_is_punctuation(0xA9) || unicode_is_punctuation(0x1F600));
    assert_true(unicode_is_unclean(0) && unicode_is_unclean(0x85) && unicode_is_unclean(0x200D));
    assert_false(unicode_is_unclean('\t') || unicode_is_unclean('\n') || unicode_is_unclean(0xFE0F));
    assert_true(unicode_is_chinese(0x4E00) && unicode_is_chinese(0x2B920));
    assert_false(unicode_is_chinese(0x2B820) || unicode_is_chinese(0x3042) || unicode_is_chinese(0xAC00));
    assert_true(unicode_is_mark(0x1CF2) && unicode_is_mark(0x903) && !unicode_is_nonspacing(0x903));
    assert_false(unicode_is_mark(0x9FE)); /* assigned in Unicode 11.0 */
    assert_true(unicode_is_word(0x24B6) && unicode_is_word(0x200D) && unicode_is_word(0x301) && unicode_is_word('_'));
    assert_false(unicode_is_word(0xB2) || unicode_is_word('-') || unicode_is_word(0x1F600));
    assert_true(unicode_is_number(0xB2) && unicode_is_number(0x2167));
}

static void test_unicode__lower_case(void **state)
{
    (void)state;
    uint32_t out[2];
    assert_int_equal(unicode_lower('Q', out), 1);
    assert_int_equal(out[0], 'q');
    assert_int_equal(unicode_lower(0x3A3, out), 1); /* capital sigma, never final */
    assert_int_equal(out[0], 0x3C3);
    assert_int_equal(unicode_lower(0x130, out), 2);
    assert_int_equal(out[0], 'i');
    assert_int_equal(out[1], 0x307);
    assert_int_equal(unicode_lower(0x1C89, out), 1); /* Unicode 16.0 */
    assert_int_equal(out[0], 0x1C8A);
    assert_int_equal(unicode_lower(0xA7CB, out), 1);
    assert_int_equal(out[0], 0x264);
    assert_int_equal(unicode_lower(0x10D65, out), 1);
    assert_int_equal(out[0], 0x10D85);
}

static void test_unicode__normalisation_is_of_version_9(void **state)
{
    (void)state;
    uint32_t out[UNICODE_DECOMPOSED];
    assert_int_equal(unicode_decompose(0xE9, false, out), 2);
    assert_int_equal(out[1], 0x301);
    assert_int_equal(unicode_decompose(0xD55C, false, out), 3);
    assert_int_equal(unicode_decompose(0xFDFA, true, out), 18);
    assert_int_equal(unicode_decompose(0x32FF, true, out), 1);  /* Unicode 12.1 */
    assert_int_equal(unicode_decompose(0x11938, false, out), 1); /* Unicode 13.0 */
    assert_int_equal(unicode_class(0x301), 230);
    assert_int_equal(unicode_class(0x9FE), 0);
    assert_int_equal(unicode_compose('e', 0x301), 0xE9);
    assert_int_equal(unicode_compose(0x1112, 0x1161), 0xD558);
    assert_int_equal(unicode_compose(0x915, 0x93C), 0); /* excluded from composition */
    assert_int_equal(unicode_compose('q', 0x301), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unicode__sets_have_the_size_of_the_reference),
        cmocka_unit_test(test_unicode__edges_of_the_sets),
        cmocka_unit_test(test_unicode__lower_case),
        cmocka_unit_test(test_unicode__normalisation_is_of_version_9),
    };
    return cmocka_run_group_tests_name("unicode", tests, NULL, NULL);
}
