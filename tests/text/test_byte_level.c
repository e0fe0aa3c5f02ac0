/* Byte-level text: the table, the pre-tokenizer's pieces and ranges, the decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "text/byte_level.h"
#include "text/pretokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 1024 };

static void test_byte_level__table_is_one_to_one(void **state)
{
    (void)state;
    bool seen[0x144] = {false};
    for (int byte = 0; byte < 256; byte++) {
        uint32_t c = byte_level_character((unsigned char)byte);
        assert_true(c < 0x144 && !seen[c]);
        seen[c] = true;
        assert_int_equal(byte_level_byte(c), byte);
    }
    assert_int_equal(byte_level_character(' '), 0x120);
    assert_int_equal(byte_level_character('\n'), 0x10A);
    assert_int_equal(byte_level_character(0xA0), 0x142);
    assert_int_equal(byte_level_character(0xAD), 0x143);
    assert_int_equal(byte_level_byte(' '), -1);
    assert_int_equal(byte_level_byte(0x144), -1);
    assert_int_equal(byte_level_byte(0x1F600), -1);
}

/* "piece(begin,end) ..." with the ranges in the text. */
static void check_split(const char *json, const char *text, const char *want)
{
    tkr_error error = {0};
    char shown[SHOWN] = "";
    arena *memory = arena_new(1 << 20);
    loader l = {.file = "tokenizer.json", .memory = memory, .error = &error};
    json_t *object = json_parse_any(view_of(json), "test", &json_model_file, JSON_PLAIN, &error);
    const pretokenizer *p = pretokenizer_load(&l, object);
    if (!p)
        fail_msg("%s", error.message);
    normalized n = {0};
    piece_list pieces = {0};
    normalized_append_source(&n, view_of(text), 0, strlen(text));
    pieces_add(&pieces, 0, n.size, -1);
    pretokenizer_run(p, &n, &pieces);
    assert_true(normalized_ok(&n) && !pieces.failed);
    for (size_t i = 0, used = 0; i < pieces.count; i++) {
        text_piece q = pieces.items[i];
        text_range from = normalized_origin(&n, q.begin, q.end);
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%.*s(%u,%u)", i ? " " : "", (int)(q.end - q.begin),
                                 n.text + q.begin, from.begin, from.end);
    }
    assert_string_equal(shown, want);
    normalized_fini(&n);
    pieces_fini(&pieces);
    json_decref(object);
    arena_free(memory);
}

#define PLAIN_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"trim_offsets\":true}"
#define SPACED_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true}"
#define WHOLE_LEVEL "{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"use_regex\":false}"
#define G "\xC4\xA0" /* a space */
#define C "\xC4\x8A" /* a line feed */

static void test_byte_level__splits_as_gpt2(void **state)
{
    (void)state;
    check_split(PLAIN_LEVEL, "Hello my friend, how?", "Hello(0,5) " G "my(5,8) " G "friend(8,15) ,(15,16) " G "how(16,20) ?(20,21)");
    check_split(PLAIN_LEVEL, "Hello there\nHello", "Hello(0,5) " G "there(5,11) " C "(11,12) Hello(12,17)");
    check_split(PLAIN_LEVEL, "a   b", "a(0,1) " G G "(1,3) " G "b(3,5)");
    check_split(PLAIN_LEVEL, "x \n y", "x(0,1) " G C "(1,3) " G "y(3,5)");
    check_split(PLAIN_LEVEL, "don't DON'T", "don(0,3) 't(3,5) " G "DON(5,9) '(9,10) T(10,11)");
    check_split(PLAIN_LEVEL, "\xC3\xA9", "\xC3\x83\xC2\xA9(0,2)"); /* both bytes come from the whole character */
}

static void test_byte_level__space_in_front(void **state)
{
    (void)state;
    check_split(SPACED_LEVEL, "Hello x", G "Hello(0,5) " G "x(5,7)");
    check_split(SPACED_LEVEL, " Hello", G "Hello(0,6)");
    check_split(SPACED_LEVEL, "'s", G "'(0,1) s(1,2)"); /* no contraction behind a space */
    check_split(SPACED_LEVEL, "\n\nx", G C "(0,1) " C "(1,2) x(2,3)");
    check_split(SPACED_LEVEL, "\nx", G "(0,1) " C "(0,1) x(1,2)");
    check_split(SPACED_LEVEL, "\n", G C "(0,1)");
    check_split(WHOLE_LEVEL, "Hello my", G "Hello" G "my(0,8)");
}

static void check_decode(const char *const *tokens, size_t count, const char *want)
{
    token_strings s;
    token_strings_init(&s);
    for (size_t i = 0; i < count; i++)
        token_strings_add(&s, view_of(tokens[i]));
    byte_level_decode(NULL, &s);
    assert_false(s.failed);
    assert_int_equal(s.count, 1);
    assert_int_equal(token_strings_get(&s, 0).size, strlen(want));
    assert_memory_equal(token_strings_get(&s, 0).data, want, strlen(want));
    token_strings_fini(&s);
}

static void test_byte_level__decodes(void **state)
{
    (void)state;
    check_decode((const char *[]){"Hello", G "there", "[PA D]"}, 3, "Hello there[PA D]"); /* no byte: as it is */
    check_decode((const char *[]){"\xC3\x83", "\xC2\xA9"}, 2, "\xC3\xA9");                  /* C3 A9 */
    check_decode((const char *[]){"\xC3\x83"}, 1, "\xEF\xBF\xBD");
    check_decode((const char *[]){"\xC3\xB0", "\xC5\x81", "a"}, 3, "\xEF\xBF\xBD" "a");      /* F0 9F a: one broken part */
    check_decode((const char *[]){"\xC3\xB0", "\xC5\x81", "\xC4\xA7"}, 3, "\xEF\xBF\xBD"); /* F0 9F 85 */
    check_decode((const char *[]){"\xC3\xBF", "\xC3\xBF"}, 2, "\xEF\xBF\xBD\xEF\xBF\xBD");  /* FF FF: two */
    check_decode((const char *[]){"\xC3\xA0", "\xC4\xA2"}, 2, "\xEF\xBF\xBD\xEF\xBF\xBD");  /* E0 80: no beginning of one */
    check_decode(NULL, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_byte_level__table_is_one_to_one),
        cmocka_unit_test(test_byte_level__splits_as_gpt2),
        cmocka_unit_test(test_byte_level__space_in_front),
        cmocka_unit_test(test_byte_level__decodes),
    };
    return cmocka_run_group_tests_name("byte_level", tests, NULL, NULL);
}
