/* The methods table and the little language of -M: parameters, ranges, offsets of what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "explain/method.h"

typedef struct parsed {
    arena *arena;
    method_spec *list;
    size_t count;
    tkr_error error;
} parsed;

static tkr_status parse(parsed *p, const char *text)
{
    *p = (parsed){.arena = arena_new(1 << 20)};
    return methods_parse(text, p->arena, &p->list, &p->count, &p->error);
}

static void test_method__defaults_come_from_the_table(void **state)
{
    (void)state;
    parsed p;
    assert_int_equal(parse(&p, NULL), TKR_OK);
    assert_int_equal(p.count, 1);
    assert_string_equal(p.list[0].id, "ig");
    assert_true(p.list[0].arguments.number[0] > 31.5 && p.list[0].arguments.number[0] < 32.5);
    assert_true(view_is(p.list[0].arguments.text[1], "gl"));
    arena_free(p.arena);
}

static void test_method__parameters_belong_to_the_method_before_them(void **state)
{
    (void)state;
    parsed p;
    assert_int_equal(parse(&p, "ig:steps=100,rule=mid,occlusion,integrated_gradients:baseline=text:\"a, b\""), TKR_OK);
    assert_int_equal(p.count, 3);
    assert_int_equal((int)p.list[0].arguments.number[0], 100);
    assert_true(view_is(p.list[0].arguments.text[1], "mid"));
    assert_string_equal(p.list[1].id, "occlusion");
    assert_string_equal(p.list[2].id, "ig-2");
    assert_true(view_is(p.list[2].arguments.text[2], "text:\"a, b\""));
    assert_int_equal((int)p.list[2].arguments.number[0], 32);
    arena_free(p.arena);
}

static void test_method__all_and_fast_name_sets(void **state)
{
    (void)state;
    parsed p;
    assert_int_equal(parse(&p, "all"), TKR_OK);
    size_t all = 0;
    while (method_at(all))
        all++;
    assert_int_equal(p.count, all);
    arena_free(p.arena);
    assert_int_equal(parse(&p, "fast"), TKR_OK);
    assert_true(p.count > 0 && p.count < all);
    arena_free(p.arena);
}

static const struct wrong {
    const char *text;
    tkr_status status;
    int offset, length;
} wrongs[] = {
    {"foo", TKR_E_USAGE_METHOD, 0, 3},
    {"ig,", TKR_E_USAGE_METHOD, 3, 0},
    {"", TKR_E_USAGE_METHOD, 0, 0},
    {"steps=3", TKR_E_USAGE_METHOD, 0, 7},
    {"ig:stpes=9", TKR_E_USAGE_PARAMETER, 3, 5},
    {"ig:steps", TKR_E_USAGE_PARAMETER, 3, 5},
    {"ig:steps=0", TKR_E_USAGE_RANGE, 9, 1},
    {"ig:steps=-1", TKR_E_USAGE_RANGE, 9, 2},
    {"ig:steps=5000", TKR_E_USAGE_RANGE, 9, 4},
    {"ig:steps=3x", TKR_E_USAGE_VALUE, 9, 2},
    {"ig:steps=", TKR_E_USAGE_VALUE, 9, 0},
    {"ig:steps=99999999999999999999", TKR_E_USAGE_VALUE, 9, 20},
    {"ig:gap=nan", TKR_E_USAGE_RANGE, 7, 3},
    {"ig:gap=1e999", TKR_E_USAGE_RANGE, 7, 5},
    {"ig:gap=2", TKR_E_USAGE_RANGE, 7, 1},
    {"gxi,ig:rule=gauss", TKR_E_USAGE_VALUE, 12, 5},
    {"ig:baseline=text:", TKR_E_USAGE_VALUE, 12, 5},
    {"occlusion:steps=3", TKR_E_USAGE_PARAMETER, 10, 5},
};

static void test_method__what_is_wrong_is_pointed_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        parsed p;
        tkr_status status = parse(&p, wrongs[i].text);
        if (status != wrongs[i].status || p.error.offset != wrongs[i].offset || p.error.length != wrongs[i].length)
            fail_msg("\"%s\": %s at %d + %d: %s", wrongs[i].text, tkr_status_name(status), (int)p.error.offset,
                     (int)p.error.length, p.error.message);
        assert_string_equal(p.error.field, "methods");
        assert_int_equal(p.error.code, status);
        arena_free(p.arena);
    }
}

static void test_method__every_row_is_whole(void **state)
{
    (void)state;
    for (size_t i = 0; method_at(i); i++) {
        const tkr_method *m = tkr_method_at(i);
        assert_non_null(m->id);
        assert_non_null(m->title);
        assert_non_null(m->family);
        assert_non_null(m->summary);
        assert_non_null(m->paper);
        assert_non_null(m->needs);
        assert_non_null(m->cost);
        assert_non_null(m->caveat);
        assert_ptr_equal(tkr_method_find(m->id), m);
        for (size_t a = 0; m->aliases && m->aliases[a]; a++)
            assert_ptr_equal(tkr_method_find(m->aliases[a]), m);
        for (const tkr_parameter *p = m->parameters; p->name; p++)
            assert_true(p->type && p->default_value && p->range && p->help);
    }
    assert_null(tkr_method_find("foo"));
    assert_null(tkr_method_find(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method__defaults_come_from_the_table),
        cmocka_unit_test(test_method__parameters_belong_to_the_method_before_them),
        cmocka_unit_test(test_method__all_and_fast_name_sets),
        cmocka_unit_test(test_method__what_is_wrong_is_pointed_at),
        cmocka_unit_test(test_method__every_row_is_whole),
    };
    return cmocka_run_group_tests_name("method", tests, NULL, NULL);
}
