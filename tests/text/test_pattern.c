/*
 * Patterns: the hand-written scanners against the general engine on random texts, the dialect, what is refused, and what is
 * given up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"
#include "text/pattern.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 2048 };

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define GPT2_SHORT "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define MODERN(digits) \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" digits \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

typedef struct bench {
    arena *memory;
    tkr_error error;
    loader loader;
    const pattern *pattern;
} bench;

static void bench_init(bench *b, const char *expression, bool general)
{
    *b = (bench){.memory = arena_new(1 << 22)};
    b->loader = (loader){.file = "tokenizer.json", .memory = b->memory, .error = &b->error};
    b->pattern = general ? pattern_compile_general(&b->loader, view_of(expression), "test")
                         : pattern_compile(&b->loader, view_of(expression), "test");
}

/* "begin-end begin-end ..." of all matches in bytes [begin, end) of a text. */
static void matches(const bench *b, view text, size_t begin, size_t end, char shown[SHOWN])
{
    normalized n = {0};
    pattern_search s;
    size_t from, to, used = 0;
    shown[0] = '\0';
    normalized_append_source(&n, text, 0, text.size);
    pattern_search_init(&s, b->pattern, &n);
    pattern_search_text(&s, begin, end);
    while (pattern_search_next(&s, &from, &to))
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%zu-%zu", used ? " " : "", from, to);
    assert_true(normalized_ok(&n));
    pattern_search_fini(&s);
    normalized_fini(&n);
}

static void check(const char *expression, const char *text, const char *want)
{
    bench b;
    char shown[SHOWN];
    bench_init(&b, expression, false);
    if (!b.pattern)
        fail_msg("%s", b.error.message);
    matches(&b, view_of(text), 0, strlen(text), shown);
    assert_string_equal(shown, want);
    arena_free(b.memory);
}

/* ---- scanners ---------------------------------------------------------------------------------------------------- */

/* Characters that the expressions tell apart, none newer than Unicode 14.0 and none that PCRE2 sees otherwise. */
static const uint32_t alphabet[] = {
    ' ',  ' ',  ' ',  '\n', '\r', '\t', 0x0B, 0x85,   0xA0,   0x2003, 0x3000, 'a',    'S',    't',    'l',     'v',    'e',
    'R',  'D',  'm',  '\'', '\'', '1',  '9',  0xB2,   0x661,  0x2167, '.',    '_',    '-',    0xE9,   0x17F,   0x4E2D, 0x301,
    0x93E, 0x200D, 0x1F600, 0x378, 0x20AC, 0xAA, 0x2028, 0x10FFFF,
};

static size_t random_text(random_key key, uint64_t *drawn, char *out)
{
    size_t size = 0;
    for (uint32_t left = random_below(key, (*drawn)++, 14); left > 0; left--)
        size += utf8_encode(out + size, alphabet[random_below(key, (*drawn)++, sizeof(alphabet) / sizeof(alphabet[0]))]);
    return size;
}

static void check_scanner(const char *expression)
{
    bench scanned, general;
    random_key key = {.seed = 11};
    uint64_t drawn = 0;
    bench_init(&scanned, expression, false);
    bench_init(&general, expression, true);
    assert_non_null(pattern_scanner_of(view_of(expression)));
    assert_true(scanned.pattern && general.pattern);
    for (int round = 0; round < 20000; round++) {
        char text[64], a[SHOWN], b[SHOWN];
        size_t size = random_text(key, &drawn, text);
        matches(&scanned, (view){text, size}, 0, size, a);
        matches(&general, (view){text, size}, 0, size, b);
        if (strcmp(a, b) != 0)
            fail_msg("round %d: scanner %s, engine %s", round, a, b);
    }
    arena_free(scanned.memory);
    arena_free(general.memory);
}

static void test_pattern__scanners_equal_the_engine(void **state)
{
    (void)state;
    check_scanner(GPT2);
    check_scanner(GPT2_SHORT);
    check_scanner(MODERN("{1,3}"));
    check_scanner(MODERN(""));
    assert_null(pattern_scanner_of(VIEW("\\s+")));
}

static void test_pattern__scanner_examples(void **state)
{
    (void)state;
    check(GPT2, "we'll've  x1 y", "0-2 2-5 5-8 8-9 9-11 11-12 12-14");
    check(MODERN("{1,3}"), "12345 'LL", "0-3 3-5 5-7 7-9");
    check(MODERN("{1,3}"), "we'LL", "0-2 2-5");
    check(MODERN(""), "12", "0-1 1-2");
    check(MODERN(""), "a\n\n b", "0-1 1-3 3-5");
    check(MODERN(""), "a \n \n  b", "0-1 1-5 5-6 6-8");
    check(MODERN(""), "!!\n\nx", "0-4 4-5");
    check(MODERN(""), "x'\xC5\xBF", "0-1 1-4"); /* U+017F is an s to any case */
    check(GPT2, "", "");
    check(GPT2, "\xF0\x90\xB5\x8A", "0-4"); /* U+10D4A, a letter of Unicode 16 */
    check(GPT2, " \xF0\x90\xB5\x8A" "a", "0-6");
}

static void test_pattern__scanners_are_linear(void **state)
{
    (void)state;
    static const char *const units[] = {" ", "\n", "a", "1", "'", "\xCC\x81", " \n", "\r "};
    bench b;
    bench_init(&b, MODERN("{1,3}"), false);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        normalized n = {0};
        pattern_search s;
        size_t from, to, end = 0;
        while (n.size < 1 << 19)
            normalized_append_source(&n, view_of(units[i]), 0, strlen(units[i]));
        double begun = clock_seconds();
        pattern_search_init(&s, b.pattern, &n);
        pattern_search_text(&s, 0, n.size);
        while (pattern_search_next(&s, &from, &to))
            end = to;
        assert_int_equal(end, n.size);
        assert_true(clock_seconds() - begun < 2.0);
        pattern_search_fini(&s);
        normalized_fini(&n);
    }
    arena_free(b.memory);
}

/* ---- the general engine ------------------------------------------------------------------------------------------ */

static void test_pattern__speaks_the_dialect(void **state)
{
    (void)state;
    check("\\s", "a\xE1\xA0\x8E" "b\xC2\x85", "5-7");               /* U+180E is no space, U+0085 is one */
    check("\\S+", "a\xE1\xA0\x8E b", "0-4 5-6");
    check("[^\\s]+", "a\xE1\xA0\x8E b", "0-4 5-6");
    check("\\w+", "\xE0\xA4\xB9\xE0\xA4\xBF-\xC2\xBD_", "0-6 7-10"); /* marks and fractions are word characters */
    check("\\W", "a-\xC2\xBD", "1-2");
    check("\\b", "\xE0\xA4\xB9\xE0\xA4\xBF a", "0-0 6-6 7-7 8-8");
    check("\\Bb", "b ab", "3-4");
    check("[[:alpha:]]+", "a\xE2\x85\xA7" "1", "0-4");               /* a Roman numeral is alphabetic */
    check("\\h", "gF", "1-2");                                       /* a hexadecimal digit */
    check("^a$", "a\na", "0-1 2-3");                                 /* at lines */
    check("a.b", "a\nb", "");
    check("(?m:a.b)", "a\nb", "0-3");                                /* m: dots match line ends */
    check("(?i)THE", "the", "0-3");
    check("x*", "axb", "0-0 1-2 3-3");                               /* no empty match right after a match */
    check("[]a]", "]a", "0-1 1-2");
    check("[^]]", "]a", "1-2");
}

static void test_pattern__sees_nothing_around_its_text(void **state)
{
    (void)state;
    bench b;
    char shown[SHOWN];
    bench_init(&b, "(?<=a)b|^b|c(?!d)", false);
    matches(&b, VIEW("abcd"), 1, 3, shown);
    assert_string_equal(shown, "1-2 2-3");
    arena_free(b.memory);
}

static void check_refused(const char *expression, const char *message)
{
    bench b;
    bench_init(&b, expression, false);
    assert_null(b.pattern);
    assert_string_equal(b.error.message, message);
    assert_int_equal(b.error.code, TKR_E_TOK_PATTERN);
    arena_free(b.memory);
}

static void test_pattern__refuses(void **state)
{
    (void)state;
    char deep[600] = "";
    for (int i = 0; i < 260; i++) {
        deep[i] = '(';
        deep[260 + i] = ')';
    }
    check_refused("(", "tokenizer.json: pattern 0: missing closing parenthesis at offset 1");
    check_refused("\\s\\s(", "tokenizer.json: pattern 0: missing closing parenthesis at offset 5"); /* of what was written */
    check_refused("(*UTF8)x", "tokenizer.json: pattern 0: verbs (*...) are not supported at offset 0");
    check_refused("x(?C1)", "tokenizer.json: pattern 0: callouts (?C...) are not supported at offset 1");
    check_refused("[a-z&&[aeiou]]", "tokenizer.json: pattern 0: && inside a class is not supported at offset 4");
    check_refused("[a[b]]", "tokenizer.json: pattern 0: a class inside a class is not supported at offset 2");
    check_refused("\\Qa\\E", "tokenizer.json: pattern 0: \\Q and \\E are not supported at offset 0");
    check_refused("", "tokenizer.json: pattern 0 (test) has 0 bytes; it must have 1 to 8192");
    bench b;
    bench_init(&b, "a{65536}", false);
    assert_null(b.pattern);
    assert_non_null(strstr(b.error.message, "number too big in {} quantifier"));
    arena_free(b.memory);
    bench_init(&b, "\\C", false);
    assert_null(b.pattern);
    assert_non_null(strstr(b.error.message, "\\C is disabled"));
    arena_free(b.memory);
    bench_init(&b, deep, false);
    assert_null(b.pattern);
    assert_non_null(strstr(b.error.message, "parentheses are too deeply nested"));
    arena_free(b.memory);
}

static void test_pattern__at_most_so_many(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, "a", false);
    for (int i = 1; i < PATTERNS_MOST; i++)
        assert_non_null(pattern_compile(&b.loader, VIEW("b"), "test"));
    assert_null(pattern_compile(&b.loader, VIEW("b"), "test"));
    assert_int_equal(b.error.code, TKR_E_LIMIT_TOKENIZER);
    arena_free(b.memory);
}

static void test_pattern__gives_up(void **state)
{
    (void)state;
    bench b;
    normalized n = {0};
    pattern_search s;
    size_t from, to;
    bench_init(&b, "(a+)+$", false);
    normalized_append_source(&n, VIEW("xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), 0, 42);
    pattern_search_init(&s, b.pattern, &n);
    pattern_search_text(&s, 1, n.size);
    assert_false(pattern_search_next(&s, &from, &to));
    assert_true(n.failed && n.gave_up == 1 && n.gave_up_at == 1);
    pattern_search_fini(&s);
    normalized_fini(&n);
    arena_free(b.memory);
}

static void test_pattern__memory_may_fail(void **state)
{
    (void)state;
    bench b;
    bench_init(&b, "a+", false);
    for (uint64_t nth = 1; nth < 8; nth++) {
        normalized n = {0};
        pattern_search s;
        size_t from, to;
        normalized_append_source(&n, VIEW("baab"), 0, 4);
        memory_fail_at(nth, 0);
        pattern_search_init(&s, b.pattern, &n);
        pattern_search_text(&s, 0, 4);
        bool found = pattern_search_next(&s, &from, &to);
        uint64_t made = memory_allocations();
        memory_fail_at(0, 0);
        assert_int_equal(found, made < nth);
        assert_int_equal(n.failed, made >= nth);
        pattern_search_fini(&s);
        normalized_fini(&n);
    }
    arena_free(b.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern__scanners_equal_the_engine),
        cmocka_unit_test(test_pattern__scanner_examples),
        cmocka_unit_test(test_pattern__scanners_are_linear),
        cmocka_unit_test(test_pattern__speaks_the_dialect),
        cmocka_unit_test(test_pattern__sees_nothing_around_its_text),
        cmocka_unit_test(test_pattern__refuses),
        cmocka_unit_test(test_pattern__at_most_so_many),
        cmocka_unit_test(test_pattern__gives_up),
        cmocka_unit_test(test_pattern__memory_may_fail),
    };
    return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
