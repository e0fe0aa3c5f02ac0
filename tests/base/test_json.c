/* JSON: every refusal with its code and sentence, and the readers of single fields. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/json.h"

static void refuse(view text, const json_kind *kind, json_flags flags, tkr_status code, const char *message)
{
    tkr_error error = {0};
    json_t *value = json_parse_object(text, "f.json", kind, flags, &error);
    if (value || error.code != code || strcmp(error.message, message) != 0)
        fail_msg("wanted %s, got %s: %s", message, tkr_status_name(error.code), error.message);
}

static json_t *parse(const char *text)
{
    tkr_error error = {0};
    json_t *value = json_parse_object(view_of(text), "f.json", &json_model_file, JSON_PLAIN, &error);
    if (!value)
        fail_msg("%s", error.message);
    return value;
}

static void test_json__parses_an_object(void **state)
{
    (void)state;
    json_t *value = parse(" {\"a\": [1, 2.5, \"NaN Infinity [{\\\"[\", null, true], \"\\u00e9\": {}}\n ");
    assert_int_equal(json_object_size(value), 2);
    assert_int_equal(json_array_size(json_object_get(value, "a")), 5);
    json_decref(value);
}

static void test_json__names_line_and_column(void **state)
{
    (void)state;
    const json_kind *model = &json_model_file;
    refuse(VIEW("{\n  \"a\": 1,\n}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 3 column 1: string or '}' expected near '}'");
    refuse(VIEW("{\"a\": 'x'}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 7: invalid token near '''");
    refuse(VIEW("{} x"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 4: end of file expected near 'x'");
    refuse(VIEW("{} {}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 4: end of file expected near '{'");
    refuse(VIEW("{\"a\": 1e999}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 11: real number overflow near '1e999'");
    refuse(VIEW("{\"a\": 18446744073709551614}"), &json_safetensors_header, JSON_PLAIN, TKR_E_ST_HEADER_JSON,
           "f.json: line 1 column 26: too big integer near '18446744073709551614'");
    refuse(VIEW("{\"a\": /* no */ 1}"), &json_user_input, JSON_PLAIN, TKR_E_INPUT_JSON,
           "f.json: line 1 column 7: invalid token near '/'");
}

static void test_json__hints_at_common_causes(void **state)
{
    (void)state;
    const json_kind *model = &json_model_file;
    refuse(VIEW(""), model, JSON_PLAIN, TKR_E_JSON_SYNTAX, "f.json: empty file");
    refuse(VIEW("\xEF\xBB\xBF{}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 1: saved with a byte order mark");
    refuse(VIEW("\xFF\xFE{\0}\0"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 1: saved with a byte order mark");
    refuse(VIEW("{\"a\":\n \"\xC3\xA4\", \"b\": NaN}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 2 column 12: JSON has no NaN, write a number");
    refuse(VIEW("{\"a\": -Infinity}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 8: JSON has no NaN, write a number");
    refuse(VIEW("{\"a\": x, \"b\": NaN}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 7: invalid token near 'x'");
    refuse(VIEW("{\"a\": \"\xC3(\"}"), model, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 8: byte 7 (0xC3) is not UTF-8");
}

static void test_json__a_duplicate_key_is_named(void **state)
{
    (void)state;
    refuse(VIEW("{\"a\": 1, \"a\": 2}"), &json_model_file, JSON_PLAIN, TKR_E_JSON_DUPLICATE_KEY,
           "f.json: line 1 column 12: key \"a\" is there twice");
    refuse(VIEW("{\"x\": {\"a long key with more than twenty letters\": [\"q\"],\n\"a long key with more than "
                "twenty letters\": 1}}"),
           &json_safetensors_header, JSON_PLAIN, TKR_E_JSON_DUPLICATE_KEY,
           "f.json: line 2 column 42: key \"a long key with more than twenty letters\" is there twice");
    refuse(VIEW("{\"\\\"\": 1, \"\\\"\": 2}"), &json_user_input, JSON_PLAIN, TKR_E_INPUT_JSON,
           "f.json: line 1 column 14: key \"\\\"\" is there twice");
    refuse(VIEW("{\"\": 1, \"\": 2}"), &json_model_file, JSON_PLAIN, TKR_E_JSON_DUPLICATE_KEY,
           "f.json: line 1 column 10: key \"\" is there twice");
}

static void test_json__depth_is_limited_to_64(void **state)
{
    (void)state;
    enum { DEEP = 100000 };
    static char text[DEEP + 70];
    tkr_error error = {0};
    memcpy(text, "[[", 2);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    json_t *value = json_parse_any((view){text, 128}, "f.json", &json_model_file, JSON_PLAIN, &error);
    assert_non_null(value);
    json_decref(value);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    assert_null(json_parse_any((view){text, 130}, "f.json", &json_model_file, JSON_PLAIN, &error));
    assert_int_equal(error.code, TKR_E_JSON_DEPTH);
    assert_string_equal(error.message, "f.json: brackets nested deeper than 64 at byte 64");
    memset(text, '{', DEEP);
    refuse((view){text, DEEP}, &json_user_input, JSON_PLAIN, TKR_E_INPUT_JSON,
           "f.json: brackets nested deeper than 64 at byte 64");
}

static void test_json__brackets_in_strings_do_not_count(void **state)
{
    (void)state;
    char text[400] = "{\"a\\\\\\\"";
    memset(text + 7, '[', 200);
    memcpy(text + 207, "\": 1}", 6);
    json_decref(parse(text));
}

static void test_json__the_root_must_be_an_object(void **state)
{
    (void)state;
    refuse(VIEW("[]"), &json_model_file, JSON_PLAIN, TKR_E_JSON_TYPE,
           "f.json: is an array; it must be an object");
    refuse(VIEW("\"x\""), &json_safetensors_header, JSON_PLAIN, TKR_E_ST_HEADER_JSON,
           "f.json: header is a string; it must be an object");
    refuse(VIEW("null"), &json_safetensors_header, JSON_PLAIN, TKR_E_ST_HEADER_JSON,
           "f.json: header is null; it must be an object");
}

static void test_json__nul_in_strings_only_where_allowed(void **state)
{
    (void)state;
    tkr_error error = {0};
    view text = VIEW("{\"a\": \"x\\u0000y\"}"), out = {0};
    refuse(text, &json_model_file, JSON_PLAIN, TKR_E_JSON_SYNTAX,
           "f.json: line 1 column 16: a string holds the character U+0000");
    json_t *value = json_parse_object(text, "f.json", &json_model_file, JSON_NUL_ALLOWED, &error);
    assert_non_null(value);
    assert_false(json_get_text(value, "f.json", "a", &out, &error));
    assert_int_equal(error.code, TKR_E_JSON_STRING);
    assert_string_equal(error.message, "f.json: a \"x\\x00y\" has a control character");
    json_decref(value);
}

static void test_json__big_integers_are_reals_where_asked(void **state)
{
    (void)state;
    tkr_error error = {0};
    view text = VIEW("{\"big\": 1000000000000000019884624838656, \"n\": 512}");
    json_t *value = json_parse_object(text, "f.json", &json_model_file, JSON_BIG_INTEGERS, &error);
    assert_non_null(value);
    int64_t n = 0;
    assert_true(json_get_int(value, "f.json", "n", 1, 1000, &n, TKR_E_CONFIG_RANGE, &error));
    assert_int_equal(n, 512);
    assert_false(json_get_int(value, "f.json", "big", 1, INT64_MAX, &n, TKR_E_CONFIG_RANGE, &error));
    assert_int_equal(error.code, TKR_E_CONFIG_RANGE);
    assert_int_equal(n, 512);
    json_decref(value);
}

static void refuse_int(const char *text, tkr_status code, const char *message)
{
    tkr_error error = {0};
    int64_t n = -77;
    json_t *value = parse(text);
    assert_false(json_get_int(value, "config.json", "n", 1, 65536, &n, TKR_E_CONFIG_RANGE, &error));
    assert_int_equal(error.code, code);
    assert_string_equal(error.message, message);
    assert_int_equal(n, -77);
    json_decref(value);
}

static void test_json__reads_whole_numbers(void **state)
{
    (void)state;
    int64_t n = 5;
    json_t *value = parse("{\"a\": 768, \"b\": 768.0, \"c\": -9223372036854775808}");
    assert_true(json_get_int(value, "f", "none", 1, 2, &n, TKR_E_CONFIG_RANGE, NULL) && n == 5);
    assert_true(json_get_int(value, "f", "a", 1, 768, &n, TKR_E_CONFIG_RANGE, NULL) && n == 768);
    n = 0;
    assert_true(json_get_int(value, "f", "b", 768, 1000, &n, TKR_E_CONFIG_RANGE, NULL) && n == 768);
    assert_true(json_get_int(value, "f", "c", INT64_MIN, 0, &n, TKR_E_CONFIG_RANGE, NULL) && n == INT64_MIN);
    json_decref(value);
    refuse_int("{\"n\": \"768\"}", TKR_E_JSON_TYPE, "config.json: n is a string; it must be a whole number");
    refuse_int("{\"n\": true}", TKR_E_JSON_TYPE, "config.json: n is true; it must be a whole number");
    refuse_int("{\"n\": null}", TKR_E_JSON_TYPE, "config.json: n is null; it must be a whole number");
    refuse_int("{\"n\": [768]}", TKR_E_JSON_TYPE, "config.json: n is an array; it must be a whole number");
    refuse_int("{\"n\": 768.5}", TKR_E_JSON_TYPE, "config.json: n is 768.5; it must be a whole number");
    refuse_int("{\"n\": 0}", TKR_E_CONFIG_RANGE, "config.json: n 0; it must be 1 to 65536");
    refuse_int("{\"n\": 70000}", TKR_E_CONFIG_RANGE, "config.json: n 70000; it must be 1 to 65536");
    refuse_int("{\"n\": -768.0}", TKR_E_CONFIG_RANGE, "config.json: n -768; it must be 1 to 65536");
    refuse_int("{\"n\": 1e300}", TKR_E_CONFIG_RANGE, "config.json: n 1e+300; it must be 1 to 65536");
}

static void refuse_real(const char *text, tkr_status code, const char *message)
{
    tkr_error error = {0};
    double x = -77;
    json_t *value = parse(text);
    assert_false(json_get_real(value, "config.json", "eps", 0, 0.1, &x, TKR_E_CONFIG_RANGE, &error));
    assert_int_equal(error.code, code);
    assert_string_equal(error.message, message);
    assert_true(x == -77);
    json_decref(value);
}

static void test_json__reads_reals(void **state)
{
    (void)state;
    double x = 5;
    tkr_error error = {0};
    json_t *value = parse("{\"a\": 1e-12, \"b\": 0.1, \"c\": 3, \"d\": -4}");
    assert_true(json_get_real(value, "f", "none", 0, 1, &x, TKR_E_CONFIG_RANGE, NULL) && x == 5);
    assert_true(json_get_real(value, "f", "a", 0, 0.1, &x, TKR_E_CONFIG_RANGE, NULL) && x == 1e-12);
    assert_true(json_get_real(value, "f", "b", 0, 0.1, &x, TKR_E_CONFIG_RANGE, NULL) && x == 0.1);
    assert_true(json_get_real(value, "f", "c", 0, HUGE_VAL, &x, TKR_E_CONFIG_RANGE, NULL) && x == 3);
    assert_true(json_get_real(value, "f", "d", -HUGE_VAL, HUGE_VAL, &x, TKR_E_CONFIG_RANGE, NULL) && x == -4);
    assert_false(json_get_real(value, "f", "d", 0, HUGE_VAL, &x, TKR_E_CONFIG_RANGE, &error));
    assert_string_equal(error.message, "f: d -4; it must be above 0");
    json_decref(value);
    refuse_real("{\"eps\": 0}", TKR_E_CONFIG_RANGE, "config.json: eps 0; it must be above 0 and at most 0.1");
    refuse_real("{\"eps\": 1e-999}", TKR_E_CONFIG_RANGE,
                "config.json: eps 0; it must be above 0 and at most 0.1");
    refuse_real("{\"eps\": 1e30}", TKR_E_CONFIG_RANGE,
                "config.json: eps 1e+30; it must be above 0 and at most 0.1");
    refuse_real("{\"eps\": \"x\"}", TKR_E_JSON_TYPE, "config.json: eps is a string; it must be a number");
}

static void test_json__reads_booleans_and_text(void **state)
{
    (void)state;
    bool yes = false;
    view text = VIEW("before");
    tkr_error error = {0};
    json_t *value =
        parse("{\"t\": true, \"s\": \"na\\u00efve\", \"n\": 1, \"c\": \"a\\u001b[m\", \"c1\": \"\\u009b\"}");
    assert_true(json_get_bool(value, "f", "none", &yes, NULL) && !yes);
    assert_true(json_get_bool(value, "f", "t", &yes, NULL) && yes);
    assert_true(json_get_text(value, "f", "none", &text, NULL) && view_is(text, "before"));
    assert_true(json_get_text(value, "f", "s", &text, NULL) && view_is(text, "na\xc3\xafve"));
    assert_false(json_get_bool(value, "f", "n", &yes, &error));
    assert_string_equal(error.message, "f: n is a number; it must be true or false");
    tkr_error_clear(&error);
    assert_false(json_get_text(value, "f", "n", &text, &error));
    assert_int_equal(error.code, TKR_E_JSON_TYPE);
    tkr_error_clear(&error);
    assert_false(json_get_text(value, "f", "c", &text, &error));
    assert_string_equal(error.message, "f: c \"a\\x1B[m\" has a control character");
    assert_false(json_get_text(value, "f", "c1", &text, NULL));
    json_decref(value);
}

static void test_json__every_prefix_of_a_file_ends_in_one_error(void **state)
{
    (void)state;
    view text =
        VIEW("{\"a\": [1, -2.5e3, \"x\\n\\u00e9\\ud83d\\ude00\"], \"b\\\\\": {\"c\": null, \"d\": false}}");
    for (size_t size = 0; size < text.size; size++) {
        tkr_error error = {0};
        char *copy = malloc(size + 1); /* exactly this long: the sanitizer sees a byte read too far */
        memcpy(copy, text.data, size);
        char *exact = realloc(copy, size ? size : 1);
        assert_null(json_parse_object((view){exact, size}, "f", &json_model_file, JSON_PLAIN, &error));
        assert_int_equal(error.code, TKR_E_JSON_SYNTAX);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json__parses_an_object),
        cmocka_unit_test(test_json__names_line_and_column),
        cmocka_unit_test(test_json__hints_at_common_causes),
        cmocka_unit_test(test_json__a_duplicate_key_is_named),
        cmocka_unit_test(test_json__depth_is_limited_to_64),
        cmocka_unit_test(test_json__brackets_in_strings_do_not_count),
        cmocka_unit_test(test_json__the_root_must_be_an_object),
        cmocka_unit_test(test_json__nul_in_strings_only_where_allowed),
        cmocka_unit_test(test_json__big_integers_are_reals_where_asked),
        cmocka_unit_test(test_json__reads_whole_numbers),
        cmocka_unit_test(test_json__reads_reals),
        cmocka_unit_test(test_json__reads_booleans_and_text),
        cmocka_unit_test(test_json__every_prefix_of_a_file_ends_in_one_error),
    };
    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
