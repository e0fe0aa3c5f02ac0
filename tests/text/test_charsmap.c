/* Character maps: which key is taken, what a normalizer makes of it, and maps that nobody should have written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "base/random.h"
#include "base/utf8.h"
#include "support/make_charsmap.h"
#include "text/charsmap.h"
#include "text/parts.h"
#include "text/sentencepiece.h"

#include <cmocka.h> /* last: its macro fail() */

enum { MESSAGE = sizeof((tkr_error){0}.message) };

#define ACUTE "\xCC\x81"
#define HALF "\xC2\xBD"

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

/* The bytes of a map of pairs {key, replacement, key, replacement, NULL}. */
static char *map_of(const char *const *pairs, size_t *size)
{
    made_map *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (; *pairs; pairs += 2)
        made_map_key(m, pairs[0], pairs[1]);
    char *bytes = made_map_bytes(m, size);
    free(m);
    assert_non_null(bytes);
    return bytes;
}

/* A normalizer's JSON around the map: type and what stands behind it.  Freed with free(). */
static char *json_of(const char *type, const char *bytes, size_t size)
{
    char *digits = base64_text((view){bytes, size});
    assert_non_null(digits);
    size_t room = strlen(digits) + strlen(type) + 64;
    char *json = malloc(room);
    assert_non_null(json);
    snprintf(json, room, "{\"type\":%s,\"precompiled_charsmap\":\"%s\"}", type, digits);
    memory_free(digits);
    return json;
}

static void check_map(const char *type, const char *const *pairs, const char *text, const char *want)
{
    size_t size;
    char *bytes = map_of(pairs, &size), *json = json_of(type, bytes, size);
    parts_check_normalizer(json, text, want);
    free(json);
    free(bytes);
}

#define PRECOMPILED "\"Precompiled\""
#define OWN "\"SentencePiece\",\"user_defined\":[]"

/* An exact copy of the bytes is read, so that a read past the end is a read outside the block. */
static bool try_bytes(const char *bytes, size_t size, char message[MESSAGE])
{
    tkr_error error = {0};
    charsmap map;
    loader l = {.file = "spiece.model", .memory = arena_new(1 << 24), .error = &error};
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    bool good = charsmap_read(&l, (view){copy, size}, &map);
    assert_int_equal(error.code, good ? TKR_OK : TKR_E_TOK_CHARSMAP);
    if (good) {
        normalized text = {0};
        view source = VIEW("ab\xC2\xBD" "e" ACUTE " \xEF\xBC\xA1\r\naaaaaaaa"), replacement;
        normalized_append_source(&text, source, 0, source.size);
        charsmap_normalize(&map, &text);
        assert_true(utf8_first_bad(normalized_view(&text)) == text.size || !normalized_ok(&text));
        for (size_t i = 0; i < source.size; i++)
            assert_in_range(charsmap_longest(&map, view_slice(source, i, source.size), &replacement), 0, source.size - i);
        normalized_fini(&text);
    }
    snprintf(message, MESSAGE, "%s", error.message);
    free(copy);
    arena_free(l.memory);
    return good;
}

/* ---- good maps --------------------------------------------------------------------------------------------------- */

static void test_charsmap__replaces_removes_and_expands(void **state)
{
    (void)state;
    const char *const pairs[] = {HALF, "1/2", "\xEF\xBC\xA1", "A", "\x01", "", "\xEF\xB7\xBA", "xyz", NULL};
    check_map(PRECOMPILED, pairs, "ab", "ab 0-1 1-2");
    check_map(PRECOMPILED, pairs, "a" HALF "b", "a1/2b 0-1 1-3 1-3 1-3 3-4");
    check_map(PRECOMPILED, pairs, "\xEF\xBC\xA1", "A 0-3");
    check_map(PRECOMPILED, pairs, "a\x01" "b", "ab 0-1 2-3");
    check_map(PRECOMPILED, pairs, "\x01", "");
    check_map(PRECOMPILED, pairs, "", "");
    check_map(OWN, pairs, "a" HALF, "a1/2 0-1 1-1 1-1 1-3"); /* its own offsets: up to where the next begins */
}

static void test_charsmap__clusters_of_less_than_six_bytes_are_one(void **state)
{
    (void)state;
    const char *const pairs[] = {HALF, "h", "A", "a", "\xEF\xBC\xA1", "w", "\r", "r", "\n", "n", NULL};
    check_map(PRECOMPILED, pairs, HALF ACUTE, "h 0-2");                               /* the accent is lost  */
    check_map(PRECOMPILED, pairs, "\xEF\xBC\xA1" ACUTE, "w 0-3");                     /* five bytes          */
    check_map(PRECOMPILED, pairs, "\xEF\xBC\xA1\xE1\xB7\xB6", "w\xE1\xB7\xB6 0-3 3-6"); /* six bytes: kept     */
    check_map(PRECOMPILED, pairs, "\r\n", "r 0-1");                                   /* CR LF is one        */
    check_map(PRECOMPILED, pairs, "\n\r", "nr 0-1 1-2");
    check_map(PRECOMPILED, pairs, "A\xE0\xA2\x97", "a 0-1");     /* U+0897, a mark since Unicode 16.0 */
    check_map(PRECOMPILED, pairs, "A\xF0\x91\xBD\x9A", "a 0-1"); /* U+11F5A, likewise                 */
    check_map(PRECOMPILED, pairs, "A\xE0\xA2\xA0", "a\xE0\xA2\xA0 0-1 1-4"); /* U+08A0 is a letter                */
}

/* The tokenizers library takes the shortest key of a cluster, SentencePiece the longest of the text. */
static void test_charsmap__shortest_or_longest_key(void **state)
{
    (void)state;
    const char *const pairs[] = {"e", "1", "e" ACUTE, "2", "ab", "3", "abc", "4", NULL};
    check_map(PRECOMPILED, pairs, "e" ACUTE, "1 0-1");
    check_map(PRECOMPILED, pairs, "abc", "abc 0-1 1-2 2-3"); /* no key is one cluster */
    check_map(OWN, pairs, "e" ACUTE "x", "2x 0-3 3-4");
    check_map(OWN, pairs, "abcabd", "43d 0-3 3-5 5-6");
}

/* Catalogue 121: a hundred keys, each the beginning of the next. */
static void test_charsmap__a_hundred_beginnings_of_one_key(void **state)
{
    (void)state;
    made_map *m = calloc(1, sizeof *m);
    assert_non_null(m);
    char key[101] = "", value[8];
    for (size_t i = 0; i < 100; i++) {
        key[i] = 'a';
        snprintf(value, sizeof value, "%zu", i + 1);
        made_map_key(m, key, value);
    }
    size_t size;
    tkr_error error = {0};
    charsmap map;
    loader l = {.file = "test", .memory = arena_new(1 << 22), .error = &error};
    char *bytes = made_map_bytes(m, &size);
    assert_true(charsmap_read(&l, (view){bytes, size}, &map));
    view found = VIEW("");
    assert_int_equal(charsmap_shortest(&map, view_of(key), &found), 1);
    assert_true(view_is(found, "1"));
    for (size_t i = 1; i <= 100; i++) {
        snprintf(value, sizeof value, "%zu", i);
        assert_int_equal(charsmap_longest(&map, (view){key, i}, &found), i);
        assert_true(view_is(found, value));
    }
    assert_int_equal(charsmap_longest(&map, VIEW("baaa"), &found), 0);
    free(bytes);
    free(m);
    arena_free(l.memory);
}

/* ---- hostile maps ------------------------------------------------------------------------------------------------ */

static void check_base64(const char *digits, const char *message)
{
    char json[200];
    snprintf(json, sizeof json, "{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"}", digits);
    parts_check_refused(json, TKR_E_TOK_CHARSMAP, message);
}

/* Catalogue 119. */
static void test_charsmap__no_base64_or_too_short(void **state)
{
    (void)state;
    check_base64("????", "tokenizer.json: precompiled_charsmap: no base64: characters, remainder 4 (0)");
    check_base64("AAAAA", "tokenizer.json: precompiled_charsmap: no base64: characters, remainder 5 (1)");
    check_base64("AA=A", "tokenizer.json: precompiled_charsmap: no base64: characters, remainder 4 (0)");
    check_base64("A===", "tokenizer.json: precompiled_charsmap: no base64: characters, remainder 4 (0)");
    check_base64("====", "tokenizer.json: precompiled_charsmap: no base64: characters, remainder 4 (0)");
    check_base64("", "tokenizer.json: precompiled_charsmap: too short: bytes, needed 0 (4)");
    check_base64("AA==", "tokenizer.json: precompiled_charsmap: too short: bytes, needed 1 (4)");
    check_base64("AAA=", "tokenizer.json: precompiled_charsmap: too short: bytes, needed 2 (4)");
    check_base64("AAAA", "tokenizer.json: precompiled_charsmap: too short: bytes, needed 3 (4)");
    check_base64("AAAAAA==", "tokenizer.json: precompiled_charsmap: the trie has no root that is a node: units, bytes 0 (0)");
    check_base64("ABAAAAAAAAAAAAAA", "tokenizer.json: precompiled_charsmap: trie length 4096 passes the end (12 bytes)");
    check_base64("CAAAAAAAAAA=", "tokenizer.json: precompiled_charsmap: trie length 8 passes the end (8 bytes)");
    check_base64("/////w==", "tokenizer.json: precompiled_charsmap: trie length 4294967295 passes the end (4 bytes)");
    check_base64("AwAAAAAAAAA=", "tokenizer.json: precompiled_charsmap: trie length is no multiple of 4: bytes, of 3 (8)");
    parts_check_refused("{\"type\":\"Precompiled\"}", TKR_E_JSON_TYPE,
                        "tokenizer.json: precompiled_charsmap is missing; it must be a string");
}

/* Units of a trie with two nodes and a value: "a" becomes what begins at `value`. */
#define NODE(distance) ((uint32_t)(distance) << 10)
#define KEY(distance, label) (NODE(distance) | 0x100 | (label))
#define VALUE(place) (1U << 31 | (place))

static void check_units(const uint32_t units[256], const char *texts, size_t text_size, const char *want)
{
    char message[MESSAGE], whole[MESSAGE] = "";
    size_t size;
    char *bytes = made_map_of_units(units, 256, texts, text_size, &size);
    assert_non_null(bytes);
    try_bytes(bytes, size, message);
    if (*want)
        snprintf(whole, sizeof whole, "spiece.model: precompiled_charsmap: %s", want);
    assert_string_equal(message, whole);
    free(bytes);
}

/* Catalogue 120. */
static void test_charsmap__tries_that_lead_outside(void **state)
{
    (void)state;
    uint32_t units[256] = {NODE(1)};
    units[1 ^ 'a'] = KEY(3, 'a'); /* its children stand around 1 ^ 'a' ^ 3 */
    units[1 ^ 'a' ^ 3] = VALUE(2);
    check_units(units, "x\0y", 4, ""); /* good */
    check_units(units, "x\0y", 3, "the texts do not end with NUL: bytes, position 3 (1028)");
    check_units(units, "", 0, "the texts do not end with NUL: bytes, position 0 (1028)");
    check_units(units, "x\0\xC3", 4, "the texts are no UTF-8: byte, of 2 (4)");
    check_units(units, "x\xC3\xA9", 4, "a value points into a character: unit, value 96 (2)");
    check_units(units, "x", 2, "value 2 of unit 96 is outside the texts (2 bytes)");
    units[1 ^ 'a' ^ 3] = VALUE(0x7FFFFFFF);
    check_units(units, "x\0y", 4, "value 2147483647 of unit 96 is outside the texts (4 bytes)");
    units[1 ^ 'a'] = KEY(0x1000, 'a');
    check_units(units, "x\0y", 4, "unit 96 leads outside the trie (4192 of 256)");
    units[1 ^ 'a'] = NODE(0x1FFFFF) | 0x200 | 'a'; /* the largest distance: times 256 */
    check_units(units, "x\0y", 4, "unit 96 leads outside the trie (536870752 of 256)");
    units[1 ^ 'a'] = 0;
    units[0] = NODE(0x1000);
    check_units(units, "x\0y", 4, "unit 0 leads outside the trie (4096 of 256)");
    units[0] = VALUE(1);
    check_units(units, "x\0y", 4, "the trie has no root that is a node: units, bytes 256 (1024)");
    units[0] = KEY(1, 0);
    check_units(units, "x\0y", 4, "the trie has no root that is a node: units, bytes 256 (1024)");
}

/* The children of "a" are those of the root, so that "a", "aa", "aaa" ... are keys without end; or none of them is one. */
static void test_charsmap__circles_end(void **state)
{
    (void)state;
    uint32_t units[256] = {NODE(1)};
    char text[1000];
    memset(text, 'a', sizeof text);
    units[1] = VALUE(0);
    for (int is_key = 0; is_key < 2; is_key++) {
        units[1 ^ 'a'] = NODE('a') | (is_key ? 0x100 : 0) | 'a';
        size_t size;
        char *bytes = made_map_of_units(units, 256, "x", 2, &size);
        tkr_error error = {0};
        charsmap map;
        loader l = {.file = "test", .memory = arena_new(1 << 16), .error = &error};
        view found = VIEW("");
        assert_true(charsmap_read(&l, (view){bytes, size}, &map));
        assert_int_equal(charsmap_longest(&map, (view){text, sizeof text}, &found), is_key ? 256 : 0);
        free(bytes);
        arena_free(l.memory);
    }
}

/* Once the rest of the character was given back as no bytes at all, for ever. */
static void test_charsmap__a_key_that_ends_inside_a_character(void **state)
{
    (void)state;
    const char *const pairs[] = {"\xC3", "x", "\xE2\x96", "y", NULL};
    check_map(OWN, pairs, "a\xC3\xA9" "b", "ax\xEF\xBF\xBD" "b 0-1 1-1 1-1 3-4");
    check_map(OWN, pairs, "\xE2\x96\x81", "y\xEF\xBF\xBD 0-0 0-0");
    check_map(PRECOMPILED, pairs, "a\xC3\xA9" "b", "axb 0-1 1-3 3-4");
}

static void test_charsmap__every_damage_is_answered(void **state)
{
    (void)state;
    const char *const pairs[] = {HALF, "1/2", "\xEF\xBC\xA1", "A", "e" ACUTE, "\xC3\xA9", " ", "", NULL};
    char message[MESSAGE];
    size_t size, refused = 0;
    char *bytes = map_of(pairs, &size);
    assert_true(try_bytes(bytes, size, message));
    for (size_t i = 0; i < size; i += i < 8 || i + 16 > size ? 1 : 97)
        refused += !try_bytes(bytes, i, message);
    assert_true(refused > 20);
    random_key key = {1, random_purpose("flips"), 0};
    for (uint64_t i = 0; i < 300; i++) {
        size_t at = random_below(key, 3 * i, (uint32_t)size);
        if (random_below(key, 3 * i + 2, 2)) /* most of the units are empty: look for one that is not */
            while (bytes[at] == 0)
                at = (at + 1) % size;
        char old = bytes[at];
        bytes[at] = (char)random_below(key, 3 * i + 1, 256);
        try_bytes(bytes, size, message);
        bytes[at] = old;
    }
    free(bytes);
}

/* ---- sets of strings --------------------------------------------------------------------------------------------- */

/* What a file names twice, and an empty name, stand in no one's way. */
static void test_charsmap__user_defined_strings_stay(void **state)
{
    (void)state;
    const char *own = "{\"type\":\"SentencePiece\",\"remove_extra_whitespaces\":true,\"user_defined\":"
                      "[\"\",\"  \",\"a\",\"a\",\"ab\",\"\",\"a\\u0000\"],\"precompiled_charsmap\":null}";
    parts_check_normalizer(own, "x  a b", "x  a b 0-1 1-1 1-3 3-4 4-5 5-6");
    parts_bench b = parts_bench_new(own);
    symbol_set set;
    assert_true(symbol_set_load(parts_bench_loader(&b), b.json, "user_defined", &set));
    assert_int_equal(symbol_set_longest(&set, VIEW("abc")), 2);
    assert_int_equal(symbol_set_longest(&set, VIEW("ac")), 1);
    assert_int_equal(symbol_set_longest(&set, VIEW("a\0bc")), 2);
    assert_int_equal(symbol_set_longest(&set, VIEW("c")), 0);
    assert_int_equal(symbol_set_longest(&set, VIEW("")), 0);
    parts_bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_charsmap__replaces_removes_and_expands),
        cmocka_unit_test(test_charsmap__clusters_of_less_than_six_bytes_are_one),
        cmocka_unit_test(test_charsmap__shortest_or_longest_key),
        cmocka_unit_test(test_charsmap__a_hundred_beginnings_of_one_key),
        cmocka_unit_test(test_charsmap__no_base64_or_too_short),
        cmocka_unit_test(test_charsmap__tries_that_lead_outside),
        cmocka_unit_test(test_charsmap__circles_end),
        cmocka_unit_test(test_charsmap__a_key_that_ends_inside_a_character),
        cmocka_unit_test(test_charsmap__every_damage_is_answered),
        cmocka_unit_test(test_charsmap__user_defined_strings_stay),
    };
    return cmocka_run_group_tests_name("charsmap", tests, NULL, NULL);
}
