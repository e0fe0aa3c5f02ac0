/* Result files: parsed back by another reader (jansson), key order, base64, what may differ between equal runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <tokray/present.h>

#include "base/memory.h"
#include "present/sample.h"

static char *write_json(sample *s, const tkr_json_options *options)
{
    buffer b;
    tkr_error error = {0};
    buffer_init(&b, 1 << 26);
    assert_int_equal(tkr_present_json(&s->result, options, sample_sink, &b, &error), TKR_OK);
    assert_true(buffer_ok(&b));
    return b.data;
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("line %d column %d: %s", error.line, error.column, error.text);
    return root;
}

static json_t *write_and_parse(sample *s)
{
    char *text = write_json(s, NULL);
    json_t *root = parse(text);
    memory_free(text);
    return root;
}

/* A path like "methods/0/top/0/token". */
static json_t *at(json_t *root, const char *path)
{
    json_t *value = root;
    while (value && *path) {
        char key[64];
        size_t length = strcspn(path, "/");
        snprintf(key, sizeof key, "%.*s", (int)length, path);
        value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(key, NULL, 10)) : json_object_get(value, key);
        path += length + (path[length] == '/');
    }
    if (!value)
        fail_msg("nothing at %s", path);
    return value;
}

static const char *text_at(json_t *root, const char *path) { return json_string_value(at(root, path)); }
static double number_at(json_t *root, const char *path) { return json_number_value(at(root, path)); }

static void test_json_result__reads_back(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    json_t *root = write_and_parse(s);
    assert_string_equal(text_at(root, "schema"), "tokray.result/1");
    assert_string_equal(text_at(root, "id"), "3f9c2b7e10aa4d51");
    assert_string_equal(text_at(root, "inputs/0/text"), "The plot is thin, but the acting is superb.");
    assert_string_equal(text_at(root, "tokens/in/1/text"), "The");
    assert_int_equal(json_integer_value(at(root, "tokens/in/4/start")), 12);
    assert_string_equal(text_at(root, "tokens/in/0/special"), "cls");
    assert_true(json_is_null(at(root, "tokens/in/0/start")));
    assert_string_equal(text_at(root, "features/labels/9"), "superb");
    assert_int_equal(json_integer_value(at(root, "features/members/9/0")), 10);
    assert_string_equal(text_at(root, "targets/0/label"), "POSITIVE");
    assert_string_equal(text_at(root, "methods/0/top/0/token"), "superb");
    assert_int_equal(json_integer_value(at(root, "methods/0/params/steps")), 32);
    assert_true(number_at(root, "methods/0/checks/0/gap") < 0.005);
    assert_string_equal(text_at(root, "arrays/0/name"), "ig.scores");
    assert_int_equal(json_integer_value(at(root, "arrays/0/shape/1")), 11);
    for (size_t i = 0; i < 11; i++)
        assert_true((float)json_number_value(json_array_get(at(root, "arrays/0/data"), i)) >= s->scores[0][i] &&
                    (float)json_number_value(json_array_get(at(root, "arrays/0/data"), i)) <= s->scores[0][i]);
    assert_int_equal(json_integer_value(at(root, "checked/0/removed/0")), 9);
    json_decref(root);
    memory_free(s);
}

static void test_json_result__keys_are_in_order(void **state)
{
    static const char *const keys[] = {"\"schema\"",  "\"id\"",      "\"kind\"",       "\"status\"",   "\"created\"", "\"tool\"",
                                       "\"model\"",   "\"inputs\"",  "\"tokens\"",     "\"features\"", "\"prediction\"",
                                       "\"targets\"", "\"axes\"",    "\"methods\"",    "\"arrays\": [\n", "\"agreement\"",
                                       "\"faithfulness\"", "\"checked\"", "\"provenance\"", "\"warnings\": []\n}"};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    char *text = write_json(s, NULL);
    const char *from = text;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *found = strstr(from, keys[i]);
        if (!found)
            fail_msg("no %s in its place", keys[i]);
        from = found;
    }
    memory_free(text);
    memory_free(s);
}

static void test_json_result__compact_is_one_line_of_the_same(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    tkr_json_options o = tkr_json_options_defaults();
    o.compact = true;
    char *compact = write_json(s, &o), *pretty = write_json(s, NULL);
    assert_ptr_equal(strchr(compact, '\n'), compact + strlen(compact) - 1);
    json_t *a = parse(compact), *b = parse(pretty);
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
    memory_free(compact);
    memory_free(pretty);
    memory_free(s);
}

static void test_json_result__reproducible_leaves_out_what_differs(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_json_options o = tkr_json_options_defaults();
    o.reproducible = true;
    sample_plot(s);
    char *one = write_json(s, &o);
    snprintf(s->result.created, sizeof s->result.created, "2027-02-02T02:02:02Z");
    s->result.threads = 7;
    s->result.seconds_total = 99;
    s->result.peak_memory = 1;
    s->runs[0].facts.seconds = 99;
    char *two = write_json(s, &o);
    assert_string_equal(one, two);
    char *full = write_json(s, NULL);
    assert_non_null(strstr(full, "\"threads\": 7"));
    assert_non_null(strstr(full, "\"peak_memory_bytes\": 1"));
    memory_free(one);
    memory_free(two);
    memory_free(full);
    memory_free(s);
}

static unsigned decode_digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = strchr(digits, c);
    assert_non_null(found);
    return (unsigned)(found - digits);
}

static void test_json_result__large_arrays_are_base64(void **state)
{
    enum { COUNT = 1025 };
    (void)state;
    sample *s = NEW(sample, 1);
    float *numbers = NEW(float, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        numbers[i] = (float)i * 0.37f - 5;
    sample_plot(s);
    tkr_axis axis = {"key", TKR_AXIS_TOKENS, COUNT, NULL};
    tkr_array big = {.name = "big", .unit = "weight", .rank = 1, .axes = {&axis}, .size = COUNT, .data = numbers};
    s->array_list[s->result.array_count++] = &big;
    json_t *root = write_and_parse(s);
    assert_string_equal(text_at(root, "arrays/1/data/codec"), "base64");
    assert_int_equal(json_integer_value(at(root, "arrays/1/data/bytes")), COUNT * 4);
    const char *text = text_at(root, "arrays/1/data/value");
    assert_int_equal(strlen(text), (COUNT * 4 + 2) / 3 * 4);
    unsigned char *bytes = NEW(unsigned char, COUNT * 4 + 3);
    for (size_t i = 0; text[i]; i += 4) {
        unsigned group = 0;
        for (size_t k = 0; k < 4; k++)
            group = group << 6 | (text[i + k] == '=' ? 0 : decode_digit(text[i + k]));
        bytes[i / 4 * 3] = (unsigned char)(group >> 16);
        bytes[i / 4 * 3 + 1] = (unsigned char)(group >> 8);
        bytes[i / 4 * 3 + 2] = (unsigned char)group;
    }
    assert_memory_equal(bytes, numbers, COUNT * 4);
    json_decref(root);
    memory_free(bytes);
    memory_free(numbers);
    memory_free(s);
}

static void test_json_result__not_finite_is_null_and_counted(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    s->scores[0][2] = NAN;
    s->scores[0][3] = INFINITY;
    json_t *root = write_and_parse(s);
    assert_true(json_is_null(at(root, "arrays/0/data/2")));
    assert_true(json_is_null(at(root, "arrays/0/data/3")));
    assert_int_equal(json_integer_value(at(root, "arrays/0/nonfinite")), 2);
    json_decref(root);
    memory_free(s);
}

static void test_json_result__an_output_has_its_tokens_and_gaps(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    json_t *root = write_and_parse(s);
    assert_string_equal(text_at(root, "inputs/1/id"), "out");
    assert_string_equal(text_at(root, "output/source"), "generated");
    assert_string_equal(text_at(root, "output/end"), "eos");
    assert_string_equal(text_at(root, "output/text"), "Das Haus ist klein.");
    assert_int_equal(json_array_size(at(root, "tokens/in")), 10);
    assert_int_equal(json_array_size(at(root, "tokens/out")), 6);
    assert_true(json_is_null(at(root, "tokens/out/0/step"))); /* the decoder's start */
    assert_true(json_is_false(at(root, "tokens/out/0/generated")));
    assert_true(json_is_true(at(root, "tokens/out/2/generated")));
    assert_int_equal(json_integer_value(at(root, "tokens/out/2/i")), 12);
    assert_string_equal(text_at(root, "tokens/out/2/text"), " Haus");
    assert_true(number_at(root, "tokens/out/2/probability") > 0.87);
    assert_string_equal(text_at(root, "features/of/7"), "in");
    assert_string_equal(text_at(root, "features/of/8"), "out");
    assert_int_equal(json_integer_value(at(root, "targets/3/step")), 3);
    assert_true(json_is_null(at(root, "arrays/0/data/8"))); /* the first token for itself */
    assert_true(number_at(root, "arrays/0/data/21") > 0.9); /* for the second */
    assert_null(json_object_get(at(root, "arrays/0"), "nonfinite"));
    assert_int_equal(json_array_size(at(root, "methods/0/top")), 8 + 9 + 10 + 10 + 10);
    *sample_cell(s, 0, 0) = INFINITY;
    json_decref(root);
    root = write_and_parse(s);
    assert_int_equal(json_integer_value(at(root, "arrays/0/nonfinite")), 1);
    json_decref(root);
    sample_plot(s);
    root = write_and_parse(s);
    assert_true(json_is_null(at(root, "output")));
    assert_string_equal(text_at(root, "features/of"), "in");
    assert_true(json_is_null(at(root, "targets/0/step")));
    json_decref(root);
    memory_free(s);
}

static void test_json_result__hostile_text_survives(void **state)
{
    static const char text[] = "</script> \x1b[31mred \xE2\x80\xAE" "evil \xF0\x9F\x98\x80 \"q\\\" \xFF end";
    static const sample_word words[] = {{"</script>", 1}, {"\x1b[31mred", 2}, {"\xE2\x80\xAE" "evil", 3}, {"\xFF", 4}};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_init(s, text, words, 4);
    char *json = write_json(s, NULL);
    for (const char *c = json; *c; c++)
        assert_true(*c == '\n' || (unsigned char)*c >= 0x20);
    assert_null(strstr(json, "\xE2\x80\xAE"));
    json_t *root = parse(json);
    assert_string_equal(text_at(root, "features/labels/1"), "\x1b[31mred");
    assert_string_equal(text_at(root, "features/labels/2"), "\xE2\x80\xAE" "evil");
    assert_true(json_is_null(at(root, "tokens/in/4/text")));
    assert_string_equal(text_at(root, "tokens/in/4/bytes_hex"), "ff");
    json_decref(root);
    memory_free(json);
    memory_free(s);
}

static void test_json_result__nul_in_the_text_survives(void **state)
{
    static const sample_word words[] = {{"a", 1}};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_init(s, "a b", words, 1);
    s->text[1] = '\0';
    char *json = write_json(s, NULL);
    json_error_t error;
    json_t *root = json_loads(json, JSON_ALLOW_NUL, &error);
    assert_non_null(root);
    json_t *text = at(root, "inputs/0/text");
    assert_int_equal(json_string_length(text), 3);
    assert_memory_equal(json_string_value(text), "a\0b", 3);
    json_decref(root);
    memory_free(json);
    memory_free(s);
}

static void test_json_result__command_and_warnings_are_kept(void **state)
{
    static const char *const command[] = {"tokray", "explain", "\xE2\x80\xAE", NULL};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    s->warnings[0] = (tkr_warning){"ig.gap", "ig", "ig has a gap of 11% (tolerance 5%)", "-M ig:steps=200"};
    s->result.warning_count = 1;
    tkr_json_options o = tkr_json_options_defaults();
    o.command = command;
    char *json = write_json(s, &o);
    json_t *root = parse(json);
    assert_string_equal(text_at(root, "provenance/command/2"), "\xE2\x80\xAE");
    assert_string_equal(text_at(root, "warnings/0/code"), "ig.gap");
    assert_string_equal(text_at(root, "methods/0/warnings/0/help"), "-M ig:steps=200");
    json_decref(root);
    memory_free(json);
    memory_free(s);
}

static bool ignore(void *user, const char *bytes, size_t count)
{
    (void)user, (void)bytes, (void)count;
    return true;
}

static void test_json_result__survives_every_failing_allocation(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    uint64_t failures = 0;
    for (uint64_t nth = 1; nth < 10000; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_status status = tkr_present_json(&s->result, NULL, ignore, NULL, &error);
        bool reached = memory_allocations() >= nth;
        memory_fail_at(0, 0);
        if (!reached)
            break;
        assert_int_equal(status, TKR_E_LIMIT_OOM);
        failures++;
    }
    assert_true(failures >= 3);
    memory_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_result__reads_back),
        cmocka_unit_test(test_json_result__keys_are_in_order),
        cmocka_unit_test(test_json_result__compact_is_one_line_of_the_same),
        cmocka_unit_test(test_json_result__reproducible_leaves_out_what_differs),
        cmocka_unit_test(test_json_result__large_arrays_are_base64),
        cmocka_unit_test(test_json_result__not_finite_is_null_and_counted),
        cmocka_unit_test(test_json_result__an_output_has_its_tokens_and_gaps),
        cmocka_unit_test(test_json_result__hostile_text_survives),
        cmocka_unit_test(test_json_result__nul_in_the_text_survives),
        cmocka_unit_test(test_json_result__command_and_warnings_are_kept),
        cmocka_unit_test(test_json_result__survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("json_result", tests, NULL, NULL);
}
