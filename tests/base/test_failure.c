/* Errors: first one wins, safe text, cut at characters; the status table; escaping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail /* ours is base/failure.h */
#include <stdio.h>

#include "base/escape.h"
#include "base/failure.h"
#include "base/utf8.h"

static void test_failure__the_first_error_wins(void **state)
{
    (void)state;
    tkr_error error = {0};
    assert_int_equal(fail(&error, TKR_E_ST_GAP, "%s: %d unused bytes", "a.safetensors", 8), TKR_E_ST_GAP);
    assert_int_equal(fail(&error, TKR_E_INTERNAL, "later"), TKR_E_INTERNAL);
    assert_int_equal(error.code, TKR_E_ST_GAP);
    assert_string_equal(error.message, "a.safetensors: 8 unused bytes");
    assert_int_equal(error.offset, -1);
    tkr_error_clear(&error);
    assert_int_equal(error.code, TKR_OK);
    assert_null(fail_null(&error, TKR_E_INTERNAL, "again"));
    assert_string_equal(error.message, "again");
}

static void test_failure__null_errors_are_allowed(void **state)
{
    (void)state;
    assert_int_equal(fail(NULL, TKR_E_ST_GAP, "x"), TKR_E_ST_GAP);
    fail_help(NULL, "x");
    fail_facts(NULL, "x");
    fail_field(NULL, "text", 0, 1);
    assert_int_equal(fail_memory(NULL, "x", 1), TKR_E_LIMIT_OOM);
    tkr_error_clear(NULL);
}

static void test_failure__help_facts_and_field_are_added_once(void **state)
{
    (void)state;
    tkr_error error = {0};
    fail_help(&error, "nothing has failed yet");
    assert_string_equal(error.help, "");
    fail(&error, TKR_E_TARGET_RANGE, "class 7; the model has 0 to 2");
    fail_help(&error, "use %s", "--target 2");
    fail_help(&error, "second");
    fail_facts(&error, "labels: %s", "A, B");
    fail_facts(&error, "second");
    fail_field(&error, "target", 3, 2);
    fail_field(&error, "text", 9, 9);
    assert_string_equal(error.help, "use --target 2");
    assert_string_equal(error.facts, "labels: A, B");
    assert_string_equal(error.field, "target");
    assert_int_equal(error.offset, 3);
    assert_int_equal(error.length, 2);
}

static void test_failure__a_message_holds_no_control_bytes(void **state)
{
    (void)state;
    tkr_error error = {0};
    fail(&error, TKR_E_INTERNAL, "%s", "a\nb\x1b[31m\xff \xe2\x80\xae z");
    assert_string_equal(error.message, "a\\x0Ab\\x1B[31m\\xFF \\u{202E} z");
}

static void test_failure__a_long_message_is_cut_at_a_character(void **state)
{
    (void)state;
    char text[1501];
    for (size_t shift = 0; shift < 4; shift++) {
        tkr_error error = {0};
        memset(text, 'x', sizeof text);
        for (size_t i = shift; i + 3 < sizeof text; i += 3)
            memcpy(text + i, "\xe2\x82\xac", 3);
        text[sizeof text - 1] = '\0';
        fail(&error, TKR_E_INTERNAL, "%s", text);
        size_t length = strlen(error.message);
        assert_in_range(length, 590, 600);
        assert_int_equal(utf8_first_bad(view_of(error.message)), length);
        assert_null(strchr(error.message, '\\'));
        fail_help(&error, "%s", text);
        assert_in_range(strlen(error.help), 310, 319);
    }
}

static void test_failure__quoting(void **state)
{
    (void)state;
    assert_string_equal(QUOTE(VIEW("wte.weight")), "\"wte.weight\"");
    assert_string_equal(QUOTE(VIEW("")), "\"\"");
    assert_string_equal(PLAIN(VIEW("na\xc3\xafve \xf0\x9f\x98\x80")), "na\xc3\xafve \xf0\x9f\x98\x80");
    assert_string_equal(PLAIN(VIEW("a\0b\x7f\xc2\x9b\xc0\x80")), "a\\x00b\\x7F\\u{009B}\\xC0\\x80");
    assert_string_equal(PLAIN(VIEW("\xe2\x80\x8b\xe2\x81\xa9\xe2\x80\xa9")), "\\u{200B}\\u{2069}\\u{2029}");
    assert_string_equal(PLAIN(VIEW("%s%n")), "%s%n");
}

static void test_failure__quotes_are_cut_after_120_bytes(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'a', sizeof text);
    const char *shown = QUOTE(((view){text, 120}));
    assert_int_equal(strlen(shown), 122);
    shown = QUOTE(((view){text, 121}));
    assert_string_equal(shown + 121, "...(+1 bytes)\"");
    memcpy(text + 119, "\xe2\x82\xac", 3); /* the character at the cut is left out as a whole */
    shown = QUOTE(((view){text, 1000}));
    assert_string_equal(shown + 120, "...(+881 bytes)\"");
    memset(text, 0xff, sizeof text); /* all of it escaped: stays inside the room */
    shown = QUOTE(((view){text, 1000}));
    assert_true(strlen(shown) < QUOTE_ROOM);
    assert_non_null(strstr(shown, "\\xFF...(+"));
}

static void test_failure__escaping_everything_for_a_terminal(void **state)
{
    (void)state;
    char text[300], out[ESCAPE_ROOM(300)], small[6];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    size_t length = escape_into(out, sizeof out, (view){text, sizeof text}, true);
    assert_int_equal(length, strlen(out));
    for (size_t i = 0; i < length; i++)
        assert_in_range((unsigned char)out[i], 0x20, 0x7e);
    assert_null(strstr(out, "bytes)"));
    assert_int_equal(escape_into(small, sizeof small, VIEW("abc\n"), true), 3); /* no half escape */
    assert_string_equal(small, "abc");
    assert_int_equal(escape_into(small, sizeof small, VIEW("abc\xe2\x82\xac"), true),
                     3); /* no half character */
    assert_int_equal(escape_into(small, sizeof small, VIEW("ab\xe2\x82\xac"), true), 5);
    assert_int_equal(escape_into(small, 1, VIEW("a"), true), 0);
    assert_string_equal(small, "");
}

static void test_failure__the_status_table(void **state)
{
    (void)state;
    assert_string_equal(tkr_status_name(TKR_OK), "ok");
    assert_int_equal(tkr_status_exit_code(TKR_OK), 0);
    assert_int_equal(tkr_status_http(TKR_OK), 200);
    assert_string_equal(tkr_status_name(TKR_E_ST_OVERLAP), "st.overlap");
    assert_string_equal(tkr_status_meaning(TKR_E_ST_OVERLAP), "tensors that share bytes");
    assert_int_equal(tkr_status_exit_code(TKR_E_ST_OVERLAP), 4);
    assert_string_equal(tkr_status_name(TKR_E_INTERNAL), "internal");
    assert_string_equal(tkr_status_name((tkr_status)(TKR_E_INTERNAL + 1)), "internal");
    assert_string_equal(tkr_status_name((tkr_status)9999), "internal");
    assert_int_equal(tkr_status_exit_code((tkr_status)9999), 70);
}

static void test_failure__stable_names_are_unique(void **state)
{
    (void)state;
    for (int a = 0; a <= (int)TKR_E_INTERNAL; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(tkr_status_name((tkr_status)a), tkr_status_name((tkr_status)b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failure__the_first_error_wins),
        cmocka_unit_test(test_failure__null_errors_are_allowed),
        cmocka_unit_test(test_failure__help_facts_and_field_are_added_once),
        cmocka_unit_test(test_failure__a_message_holds_no_control_bytes),
        cmocka_unit_test(test_failure__a_long_message_is_cut_at_a_character),
        cmocka_unit_test(test_failure__quoting),
        cmocka_unit_test(test_failure__quotes_are_cut_after_120_bytes),
        cmocka_unit_test(test_failure__escaping_everything_for_a_terminal),
        cmocka_unit_test(test_failure__the_status_table),
        cmocka_unit_test(test_failure__stable_names_are_unique),
    };
    return cmocka_run_group_tests_name("failure", tests, NULL, NULL);
}
