/* Parts of the command line on their own: options, values, suggestions, the joined methods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "cli/arguments.h"
#include "cli/complaint.h"
#include "cli/methods_text.h"
#include "cli/suggest.h"
#include "cli/values.h"

/* PARSE(&a, &error, "explain", "-k5") */
#define PARSE(a, error, ...) parse((a), (error), (char *const[]){(char *)(uintptr_t)"tokray", __VA_ARGS__, NULL})

static tkr_status parse(arguments *a, tkr_error *error, char *const *argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    *a = (arguments){0};
    *error = (tkr_error){0};
    return arguments_parse(a, argc, argv, error);
}

static char *text(const char *literal) { return (char *)(uintptr_t)literal; }

static void test_arguments__all_spellings_of_a_value(void **state)
{
    char *const spellings[][2] = {{text("-k5"), NULL}, {text("-k"), text("5")}, {text("-k=5"), NULL}, {text("--top"), text("5")},
                                  {text("--top=5"), NULL}, {text("-qk5"), NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        arguments a;
        tkr_error error;
        assert_int_equal(PARSE(&a, &error, spellings[i][0], spellings[i][1]), TKR_OK);
        assert_int_equal(arguments_number(&a, OPTION_TOP, 0), 5);
        arguments_free(&a);
    }
}

static void test_arguments__operands_and_options_mix(void **state)
{
    arguments a;
    tkr_error error;
    (void)state;
    assert_int_equal(PARSE(&a, &error, text("-q"), text("explain"), text("a"), text("--json"), text("b"), text("--"), text("--csv"), text("-")),
                     TKR_OK);
    assert_int_equal(a.operand_count, 5);
    assert_string_equal(a.operands[2].text, "b"); /* the value of --json needs = */
    assert_string_equal(a.operands[3].text, "--csv");
    assert_true(arguments_has(&a, OPTION_JSON));
    assert_false(arguments_has(&a, OPTION_CSV));
    assert_null(arguments_find(&a, OPTION_JSON)->value);
    arguments_free(&a);
}

static void test_arguments__the_last_use_counts(void **state)
{
    arguments a;
    tkr_error error;
    (void)state;
    assert_int_equal(PARSE(&a, &error, text("-k1"), text("-M"), text("ig"), text("-k2"), text("-M"), text("gxi"), text("-qq")), TKR_OK);
    assert_int_equal(arguments_number(&a, OPTION_TOP, 0), 2);
    assert_int_equal(arguments_count(&a, OPTION_QUIET), 2);
    const use *first = arguments_next(&a, OPTION_METHOD, NULL);
    assert_string_equal(first->value, "ig");
    assert_string_equal(arguments_next(&a, OPTION_METHOD, first)->value, "gxi");
    arguments_free(&a);
}

static void test_arguments__weaker_sources_give_way(void **state)
{
    arguments a;
    tkr_error error;
    bool took_next;
    (void)state;
    assert_int_equal(PARSE(&a, &error, text("-M"), text("gxi")), TKR_OK);
    assert_int_equal(arguments_add(&a, (option_text){"--method", "ig", SOURCE_CONFIG, 1}, &took_next, &error), TKR_OK);
    assert_int_equal(arguments_add(&a, (option_text){"--top=3", NULL, SOURCE_CONFIG, 2}, &took_next, &error), TKR_OK);
    const use *method = arguments_next(&a, OPTION_METHOD, NULL);
    assert_string_equal(method->value, "gxi");
    assert_null(arguments_next(&a, OPTION_METHOD, method));
    assert_int_equal(arguments_number(&a, OPTION_TOP, 0), 3);
    arguments_free(&a);
}

static void test_arguments__numbers_never_wrap(void **state)
{
    uint64_t number;
    bool wraps;
    (void)state;
    assert_true(values_whole("18446744073709551615", 20, &number, &wraps) && !wraps && number == UINT64_MAX);
    assert_true(values_whole("18446744073709551616", 20, &number, &wraps) && wraps);
    assert_false(values_whole("", 0, &number, &wraps));
    assert_false(values_whole("1 ", 2, &number, &wraps));
    arguments a;
    tkr_error error;
    assert_int_equal(PARSE(&a, &error, text("--memory"), text("2G")), TKR_OK);
    assert_int_equal(arguments_number(&a, OPTION_MEMORY, 0), (uint64_t)2 << 30);
    arguments_free(&a);
    assert_int_equal(PARSE(&a, &error, text("--memory"), text("18446744073709551615K")), TKR_E_USAGE_RANGE);
    arguments_free(&a);
}

static void test_arguments__budgets_and_shares_are_exact(void **state)
{
    static const struct {
        const char *name, *value;
        tkr_status status;
        uint64_t number;
    } cases[] = {{"--budget", "2000", TKR_OK, 2000},          {"--budget", "10s", TKR_OK, 10000000},
                 {"--budget", "0.25s", TKR_OK, 250000},       {"--budget", "1.5ms", TKR_OK, 1500},
                 {"--budget", "1.5", TKR_E_USAGE_VALUE, 0},   {"--budget", "s", TKR_E_USAGE_VALUE, 0},
                 {"--budget", "-1", TKR_E_USAGE_VALUE, 0},    {"--budget", "1e3", TKR_E_USAGE_VALUE, 0},
                 {"--budget", "0", TKR_E_USAGE_RANGE, 0},     {"--budget", "99999999999999999999", TKR_E_USAGE_VALUE, 0},
                 {"--budget", "1.2.3s", TKR_E_USAGE_VALUE, 0}, {"--wanted-error", "0.05", TKR_OK, 50000000},
                 {"--wanted-error", "1", TKR_OK, 1000000000}, {"--wanted-error", "1.01", TKR_E_USAGE_VALUE, 0},
                 {"--wanted-error", "0", TKR_E_USAGE_VALUE, 0}, {"--wanted-error", ".5", TKR_E_USAGE_VALUE, 0},
                 {"--wanted-error", "5%", TKR_E_USAGE_VALUE, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arguments a;
        tkr_error error;
        tkr_status status = PARSE(&a, &error, text(cases[i].name), text(cases[i].value));
        option_id id = strcmp(cases[i].name, "--budget") == 0 ? OPTION_BUDGET : OPTION_WANTED_ERROR;
        if (status != cases[i].status || (!status && arguments_number(&a, id, 0) != cases[i].number))
            fail_msg("%s %s: %s", cases[i].name, cases[i].value, tkr_status_name(status));
        arguments_free(&a);
    }
}

static void test_arguments__suggestions_are_near(void **state)
{
    static const struct {
        const char *asked, *name;
        bool is_near;
    } cases[] = {{"explian", "explain", true}, {"targt", "target", true}, {"expalin", "explain", true}, {"zzz", "demo", false},
                 {"igg", "ig", true}, {"x", "ig", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        suggestion s;
        suggest_begin(&s, cases[i].asked);
        suggest_try(&s, cases[i].name);
        assert_int_equal(s.best != NULL, cases[i].is_near);
    }
}

static void test_arguments__methods_are_joined_and_found_back(void **state)
{
    arguments a;
    tkr_error error;
    methods_text m;
    size_t at = 0;
    (void)state;
    assert_int_equal(PARSE(&a, &error, text("-M"), text("ig:steps=9,rule=mid,occlusion"), text("-M"), text("ig"), text("--baseline"), text("pad")),
                     TKR_OK);
    assert_int_equal(methods_text_init(&m, &a, &error), TKR_OK);
    assert_string_equal(m.text, "ig:steps=9,rule=mid,baseline=pad,occlusion,ig:baseline=pad");
    const use *u = methods_text_find(&m, (size_t)(strstr(m.text, "occlusion") - m.text), &at);
    assert_string_equal(u->value, "ig:steps=9,rule=mid,occlusion");
    assert_int_equal(at, 20);
    u = methods_text_find(&m, (size_t)(strstr(m.text, "pad") - m.text), &at);
    assert_ptr_equal(u->option, &option_table[OPTION_BASELINE]);
    methods_text_fini(&m);
    arguments_free(&a);
}

static void test_arguments__every_option_is_complete(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const option *o = &option_table[i];
        assert_non_null(o->name);
        assert_non_null(o->help);
        assert_true(o->commands != 0);
        assert_true(o->kind == KIND_FLAG ? !o->value : o->value != NULL);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(o->name, option_table[k].name);
            assert_true(!o->letter || o->letter != option_table[k].letter);
        }
    }
}

static void test_arguments__utf8_is_checked_strictly(void **state)
{
    (void)state;
    assert_int_equal(first_bad_utf8("a日😀", 8), 8);
    assert_int_equal(first_bad_utf8("ab\xFF", 3), 2);
    assert_int_equal(first_bad_utf8("\xC0\x80", 2), 0);     /* overlong */
    assert_int_equal(first_bad_utf8("x\xED\xA0\x80", 4), 1); /* surrogate */
    assert_int_equal(first_bad_utf8("\xF4\x90\x80\x80", 4), 0);
    assert_int_equal(first_bad_utf8("\xE6\x97", 2), 0);     /* cut */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments__all_spellings_of_a_value),
        cmocka_unit_test(test_arguments__operands_and_options_mix),
        cmocka_unit_test(test_arguments__the_last_use_counts),
        cmocka_unit_test(test_arguments__weaker_sources_give_way),
        cmocka_unit_test(test_arguments__numbers_never_wrap),
        cmocka_unit_test(test_arguments__budgets_and_shares_are_exact),
        cmocka_unit_test(test_arguments__suggestions_are_near),
        cmocka_unit_test(test_arguments__methods_are_joined_and_found_back),
        cmocka_unit_test(test_arguments__every_option_is_complete),
        cmocka_unit_test(test_arguments__utf8_is_checked_strictly),
    };
    return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
