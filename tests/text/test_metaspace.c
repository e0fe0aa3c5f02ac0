/* Metaspace: where the visible space is put in front, where it cuts, what the decoder takes away again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "text/metaspace.h"
#include "text/parts.h"

#include <cmocka.h> /* last: its macro fail() */

#define SIGN "\xE2\x96\x81"
#define METASPACE(more) "{\"type\":\"Metaspace\",\"replacement\":\"_\"" more "}"
#define SCHEME(scheme) METASPACE(",\"prepend_scheme\":\"" scheme "\"")

static void test_metaspace__always_puts_a_sign_before_each_piece(void **state)
{
    (void)state;
    parts_check_pretokenizer(SCHEME("always"), "ab c", "_ab|_c");
    parts_check_pretokenizer(SCHEME("always"), " ab", "_ab");     /* a space becomes the sign, none is added  */
    parts_check_pretokenizer(SCHEME("always"), "_ab", "_ab");     /* a sign is one already                    */
    parts_check_pretokenizer(SCHEME("always"), "\tab", "_\tab");  /* other white space is not                 */
    parts_check_pretokenizer(SCHEME("always"), "a  b ", "_a|_|_b|_");
    parts_check_pretokenizer(SCHEME("always"), "", "");
    parts_check_pretokenizer("{\"type\":\"Metaspace\"}", "a b", SIGN "a|" SIGN "b"); /* all by default */
    parts_check_pretokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"}," SCHEME("always") "]}",
                             " a  b", "_a|_b");
}

static void test_metaspace__first_asks_where_the_piece_begins_in_the_text(void **state)
{
    (void)state;
    parts_check_pretokenizer(SCHEME("first"), "ab c", "_ab|_c");
    parts_check_pretokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"},"
                             SCHEME("first") "]}", "a-b", "_a|b");
    parts_check_pretokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"},"
                             SCHEME("always") "]}", "a-b", "_a|_b");
}

static void test_metaspace__never_only_replaces(void **state)
{
    (void)state;
    parts_check_pretokenizer(SCHEME("never"), "ab c", "ab|_c");
    parts_check_pretokenizer(METASPACE(",\"add_prefix_space\":false"), "ab c", "ab|_c");
    parts_check_pretokenizer(METASPACE(",\"add_prefix_space\":true"), "ab c", "_ab|_c");
}

static void test_metaspace__without_split_is_one_piece(void **state)
{
    (void)state;
    parts_check_pretokenizer(METASPACE(",\"split\":false"), "ab _c d", "_ab__c_d");
    parts_check_pretokenizer(METASPACE(",\"split\":true"), "ab _c d", "_ab|_|_c|_d");
}

/* The sign takes the range of the character it stands for, or of the one it is put before. */
static void test_metaspace__ranges(void **state)
{
    (void)state;
    parts_bench b = parts_bench_new("{\"type\":\"Metaspace\"}");
    const pretokenizer *p = pretokenizer_load(parts_bench_loader(&b), b.json);
    piece_list pieces = {0};
    normalized text = {0};
    normalized_append_source(&text, VIEW("\xC3\xA9 b"), 0, 4);
    pieces_add(&pieces, 0, 4, -1);
    pretokenizer_run(p, &text, &pieces);
    static const text_range want[] = {{0, 2}, {0, 2}, {0, 2}, {0, 2}, {0, 2}, {2, 3}, {2, 3}, {2, 3}, {3, 4}};
    assert_int_equal(text.size, sizeof(want) / sizeof(want[0]));
    for (size_t i = 0; i < text.size; i++) {
        assert_int_equal(text.from[i].begin, want[i].begin);
        assert_int_equal(text.from[i].end, want[i].end);
    }
    assert_int_equal(pieces.count, 2);
    assert_int_equal(pieces.items[1].begin, 5);
    normalized_fini(&text);
    pieces_fini(&pieces);
    parts_bench_free(&b);
}

static void test_metaspace__leaves_added_tokens(void **state)
{
    (void)state;
    parts_bench b = parts_bench_new(SCHEME("always"));
    const pretokenizer *p = pretokenizer_load(parts_bench_loader(&b), b.json);
    piece_list pieces = {0};
    normalized text = {0};
    normalized_append_source(&text, VIEW("a b c"), 0, 5);
    pieces_add(&pieces, 0, 3, 7);
    pieces_add(&pieces, 3, 5, -1);
    pretokenizer_run(p, &text, &pieces);
    assert_int_equal(text.size, 5);
    assert_memory_equal(text.text, "a b_c", 5);
    assert_int_equal(pieces.count, 2);
    assert_int_equal(pieces.items[0].added, 7);
    assert_int_equal(pieces.items[0].end, 3);
    normalized_fini(&text);
    pieces_fini(&pieces);
    parts_bench_free(&b);
}

static void test_metaspace__decoder_drops_the_first_token_s_signs(void **state)
{
    (void)state;
    const char *tokens[] = {"_a", "b", "_c_d", NULL}, *twice[] = {"__a", "_", NULL};
    parts_check_decoder(SCHEME("always"), tokens, "ab c d");
    parts_check_decoder(SCHEME("first"), tokens, "ab c d");
    parts_check_decoder(SCHEME("never"), tokens, " ab c d");
    parts_check_decoder(SCHEME("always"), twice, "a ");
}

static void check_refused(const char *json, tkr_status code, const char *message)
{
    parts_bench b = parts_bench_new(json);
    assert_null(metaspace_load(parts_bench_loader(&b), b.json));
    assert_string_equal(b.error.message, message);
    assert_int_equal(b.error.code, code);
    parts_bench_free(&b);
}

static void test_metaspace__refusals(void **state)
{
    (void)state;
    check_refused(SCHEME("sometimes"), TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: prepend_scheme \"sometimes\" is not supported");
    check_refused(METASPACE(",\"add_prefix_space\":false,\"prepend_scheme\":\"first\""), TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: add_prefix_space false and prepend_scheme \"first\" of a Metaspace disagree");
    check_refused("{\"type\":\"Metaspace\",\"replacement\":\"ab\"}", TKR_E_JSON_TYPE,
                  "tokenizer.json: replacement of a Metaspace is \"ab\"; it must be one character");
    check_refused("{\"type\":\"Metaspace\",\"replacement\":\"\"}", TKR_E_JSON_TYPE,
                  "tokenizer.json: replacement of a Metaspace is \"\"; it must be one character");
    check_refused(METASPACE(",\"split\":1"), TKR_E_JSON_TYPE, "tokenizer.json: split is a number; it must be true or false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metaspace__always_puts_a_sign_before_each_piece),
        cmocka_unit_test(test_metaspace__first_asks_where_the_piece_begins_in_the_text),
        cmocka_unit_test(test_metaspace__never_only_replaces),
        cmocka_unit_test(test_metaspace__without_split_is_one_piece),
        cmocka_unit_test(test_metaspace__ranges),
        cmocka_unit_test(test_metaspace__leaves_added_tokens),
        cmocka_unit_test(test_metaspace__decoder_drops_the_first_token_s_signs),
        cmocka_unit_test(test_metaspace__refusals),
    };
    return cmocka_run_group_tests_name("metaspace", tests, NULL, NULL);
}
