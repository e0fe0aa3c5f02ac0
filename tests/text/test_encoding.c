/* Encoding by small tokenizers: added tokens, templates, cutting, texts that are refused, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tokray/session.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/made_tokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static void test_added__ids_are_checked(void **state)
{
    (void)state;
    parts p = usual;
    p.added = "[{\"id\":0,\"content\":\"ZZ\"}]";
    check_parts(p, TKR_E_TOK_ADDED, "tokenizer.json: added token \"ZZ\" wants id 0, which is \"[PAD]\"");
    p.added = "[{\"id\":15,\"content\":\"ZZ\"}]";
    check_parts(p, TKR_E_TOK_ADDED, "tokenizer.json: added token \"ZZ\" wants id 15; by its place it has 11");
    p.added = "[{\"id\":11,\"content\":\"ZZ\"},{\"id\":11,\"content\":\"YY\"}]";
    check_parts(p, TKR_E_TOK_ADDED, "tokenizer.json: added token \"YY\" wants id 11, which is \"ZZ\"");
    p.added = "[{\"id\":6,\"content\":\"a\"}]";
    check_parts(p, TKR_E_TOK_ADDED, "tokenizer.json: added token \"a\" wants id 6, which is \"b\"");
    p.added = "[3]";
    check_parts(p, TKR_E_JSON_TYPE, "tokenizer.json: added token 0 is a number; it must be an object");
    p.added = "[{\"id\":11,\"content\":\"\"},{\"id\":11,\"content\":\"ZZ\"}]"; /* empty: passed over */
    tokenizer_free(open_good(p));
}

static void test_added__flags(void **state)
{
    (void)state;
    parts p = usual;
    p.added = "[{\"id\":11,\"content\":\"Two\",\"special\":true},{\"id\":12,\"content\":\"One\"}]"; /* what "normalized" is by itself */
    tokenizer *t = open_good(p);
    encode_options plain = {.no_special = true};
    check_encode(t, "one ONE two Two", plain, "12:0-3:0 12:4-7:1 1:8-11:2 11:12-15:3");
    tokenizer_free(t);
    p.added = "[{\"id\":11,\"content\":\"<l>\",\"lstrip\":true,\"normalized\":false},"
              "{\"id\":12,\"content\":\"<r>\",\"rstrip\":true,\"normalized\":false},"
              "{\"id\":13,\"content\":\"ab\",\"single_word\":true,\"normalized\":false},"
              "{\"id\":14,\"content\":\"New\",\"normalized\":true},"
              "{\"id\":15,\"content\":\"Raw\",\"normalized\":false}]";
    t = open_good(p);
    check_encode(t, "a  <l> b", plain, "5:0-1:0 11:1-6:1 6:7-8:2");
    check_encode(t, "a <r>  b", plain, "5:0-1:0 12:2-7:1 6:7-8:2");
    check_encode(t, "<r>  <l>", plain, "12:0-5:0 11:5-8:1"); /* the spaces are taken once */
    check_encode(t, "ab-ab aab", plain, "13:0-2:0 1:2-3:1 13:3-5:2 5:6-7:3 9:7-9:3");
    check_encode(t, "NEW new raw Raw", plain, "14:0-3:0 14:4-7:1 1:8-11:2 15:12-15:3");
    int32_t ids[] = {14, 15, 14, -1, 999};
    buffer out;
    buffer_init(&out, 100);
    assert_int_equal(tokenizer_decode(t, ids, 5, false, &out, NULL), TKR_OK);
    assert_string_equal(out.data, "new Raw new"); /* as the reference: normalised */
    buffer_fini(&out);
    tokenizer_free(t);
}

/* ---- templates --------------------------------------------------------------------------------------------------- */

#define TEXT_ITEM(id, type) "{\"Sequence\":{\"id\":\"" id "\",\"type_id\":" type "}}"
#define TOKEN_ITEM(id, type) "{\"SpecialToken\":{\"id\":\"" id "\",\"type_id\":" type "}}"
#define TEMPLATE(single, pair, tokens) \
    "{\"type\":\"TemplateProcessing\",\"single\":[" single "],\"pair\":[" pair "],\"special_tokens\":{" tokens "}}"
#define PAIR TEXT_ITEM("A", "0") "," TEXT_ITEM("B", "1")

static void test_template__several_ids_and_types(void **state)
{
    (void)state;
    parts p = usual;
    p.post = TEMPLATE(TOKEN_ITEM("start", "7") "," TEXT_ITEM("A", "0"), PAIR "," TOKEN_ITEM("start", "1"),
                      "\"start\":{\"id\":\"start\",\"ids\":[2,3],\"tokens\":[\"[CLS]\",\"[SEP]\"]}");
    tokenizer *t = open_good(p);
    check_encode(t, "a", (encode_options){0}, "2:-1--1:-1 3:-1--1:-1 5:0-1:0");
    view pair = VIEW("b");
    tkr_encoding *e = tokenizer_encode(t, VIEW("a"), (encode_options){.pair = &pair}, NULL);
    assert_int_equal(e->count, 4);
    assert_int_equal(e->tokens[1].segment, 1);
    assert_int_equal(e->tokens[1].text, 1);
    assert_int_equal(e->tokens[1].word, 0);
    assert_true(e->tokens[2].is_template && e->tokens[2].segment == 1 && e->tokens[2].text == -1);
    assert_int_equal(e->tokens[2].special, TKR_SPECIAL_CLS);
    tkr_encoding_free(e);
    tokenizer_free(t);
}

static void test_template__refusals(void **state)
{
    (void)state;
    static const struct {
        const char *post;
        tkr_status code;
        const char *message;
    } cases[] = {
        {TEMPLATE(TOKEN_ITEM("X", "0") "," TEXT_ITEM("A", "0"), PAIR, ""), TKR_E_TOK_TEMPLATE,
         "template names a special token that special_tokens lacks: \"X\""},
        {TEMPLATE(TOKEN_ITEM("X", "0"), PAIR, "\"X\":{\"id\":\"X\",\"ids\":[99],\"tokens\":[\"X\"]}"), TKR_E_TOK_TEMPLATE,
         "template needs a token that is not in the vocabulary: \"X\""},
        {TEMPLATE(TOKEN_ITEM("X", "0"), PAIR, "\"X\":{\"id\":\"X\",\"ids\":[2],\"tokens\":[\"[SEP]\"]}"),
         TKR_E_TOK_TEMPLATE, "template token \"[SEP]\" has id 2; the vocabulary gives it 3"},
        {TEMPLATE(TOKEN_ITEM("X", "0"), PAIR, "\"X\":{\"id\":\"X\",\"ids\":[2,3],\"tokens\":[\"[CLS]\"]}"),
         TKR_E_TOK_TEMPLATE, "template has as many ids as tokens, and at least one; not so \"X\""},
        {TEMPLATE("", PAIR, ""), TKR_E_TOK_TEMPLATE, "template must have text A and no text B: \"single\""},
        {TEMPLATE(TEXT_ITEM("A", "0"), TEXT_ITEM("A", "0"), ""), TKR_E_TOK_TEMPLATE,
         "template must have the texts A and B: \"pair\""},
        {TEMPLATE(TEXT_ITEM("A", "0") "," TEXT_ITEM("A", "0"), PAIR, ""), TKR_E_TOK_TEMPLATE,
         "template has the same text twice: \"A\""},
        {TEMPLATE(TEXT_ITEM("C", "0"), PAIR, ""), TKR_E_TOK_TEMPLATE,
         "template has a text that is neither A nor B: \"C\""},
        {TEMPLATE(TEXT_ITEM("A", "-1"), PAIR, ""), TKR_E_TOK_TEMPLATE, "type_id -1; it must be 0 to 65535"},
        {TEMPLATE("{}", PAIR, ""), TKR_E_JSON_TYPE, "a template item is neither a Sequence nor a SpecialToken"},
        {"{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",4],\"cls\":[\"[CLS]\",2]}", TKR_E_TOK_TEMPLATE,
         "template token \"[SEP]\" has id 4; the vocabulary gives it 3"},
        {"{\"type\":\"BertProcessing\",\"cls\":[\"[CLS]\",2]}", TKR_E_JSON_TYPE,
         "sep of the post_processor must be an array of a token and its id"},
        {"{\"type\":\"Sequence\",\"processors\":[" BERT_POST "," BERT_POST "]}", TKR_E_UNSUPPORTED_TOK_PART,
         "post_processor BertProcessing after another template is not supported"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];
        parts p = usual;
        p.post = cases[i].post;
        snprintf(want, sizeof want, "tokenizer.json: %s", cases[i].message);
        check_parts(p, cases[i].code, want);
    }
}

static void test_template__roberta_pairs_and_trims(void **state)
{
    (void)state;
    parts p = usual;
    p.pretokenizer = "null";
    p.model = WORDPIECE(PIECES ",\" a\":11,\"##\xE3\x80\x80\":12", "");
    p.post = "{\"type\":\"RobertaProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2],\"trim_offsets\":true,"
             "\"add_prefix_space\":false}";
    p.normalizer = "null";
    tokenizer *t = open_good(p);
    check_encode(t, " a\xE3\x80\x80", (encode_options){0}, "2:-1--1:-1 11:1-2:0 12:2-2:0 3:-1--1:-1");
    view pair = VIEW("b");
    check_encode(t, "a", (encode_options){.pair = &pair},
                 "2:-1--1:-1 5:0-1:0 3:-1--1:-1 3:-1--1:-1 6:0-1:0 3:-1--1:-1");
    tkr_encoding *e = tokenizer_encode(t, VIEW("a"), (encode_options){.pair = &pair}, NULL);
    assert_int_equal(e->tokens[4].segment, 0);
    tkr_encoding_free(e);
    tokenizer_free(t);
}

static void test_template__none(void **state)
{
    (void)state;
    parts p = usual;
    p.post = "null";
    tokenizer *t = open_good(p);
    view pair = VIEW("b");
    check_encode(t, "a", (encode_options){.pair = &pair}, "5:0-1:0 6:0-1:0");
    check_encode(t, "", (encode_options){0}, "");
    tokenizer_free(t);
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static void test_truncate__one_text(void **state)
{
    (void)state;
    tokenizer *t = open_good(usual);
    const char *text = "a b a b";
    encode_options end = {.truncate = TKR_TRUNCATE_END, .max_tokens = 4};
    check_encode(t, text, end, "2:-1--1:-1 5:0-1:0 6:2-3:1 3:-1--1:-1");
    encode_options start = {.truncate = TKR_TRUNCATE_START, .max_tokens = 4};
    check_encode(t, text, start, "2:-1--1:-1 5:4-5:2 6:6-7:3 3:-1--1:-1");
    tkr_encoding *e = tokenizer_encode(t, view_of(text), end, NULL);
    assert_int_equal(tkr_encoding_dropped(e), 2);
    tkr_encoding_free(e);
    end.max_tokens = 6;
    check_encode(t, "a", end, "2:-1--1:-1 5:0-1:0 3:-1--1:-1");
    end.max_tokens = 2;
    check_encode(t, text, end, "2:-1--1:-1 3:-1--1:-1");
    tkr_error error = {0};
    end.max_tokens = 1;
    assert_null(tokenizer_encode(t, view_of(text), end, &error));
    assert_string_equal(error.message, "special tokens alone are 2, the limit is 1");
    tkr_error_clear(&error);
    assert_null(tokenizer_encode(t, view_of(text), (encode_options){.max_tokens = 5}, &error));
    assert_int_equal(error.code, TKR_E_INPUT_TOO_LONG);
    assert_string_equal(error.message, "input has 6 tokens, the model takes 5");
    assert_non_null(strstr(error.help, "--truncate end"));
    check_encode(t, "a b", (encode_options){.max_tokens = 2, .no_special = true}, "5:0-1:0 6:2-3:1");
    tokenizer_free(t);
}

/* What is left of texts of n and m tokens when all may be `most` (with the three of the template). */
static void check_share(const tokenizer *t, size_t n, size_t m, size_t most, size_t left, size_t right)
{
    char first[64] = "", second[64] = "";
    for (size_t i = 0; i < n; i++)
        strcat(first, "a ");
    for (size_t i = 0; i < m; i++)
        strcat(second, "b ");
    view pair = view_of(second);
    tkr_encoding *e = tokenizer_encode(
        t, view_of(first), (encode_options){.pair = &pair, .truncate = TKR_TRUNCATE_END, .max_tokens = most + 3}, NULL);
    size_t got[2] = {0};
    for (size_t i = 0; i < e->count; i++)
        if (e->tokens[i].text >= 0)
            got[e->tokens[i].text]++;
    assert_int_equal(got[0], left);
    assert_int_equal(got[1], right);
    assert_int_equal(e->dropped, n + m - left - right);
    tkr_encoding_free(e);
}

static void test_truncate__pairs_by_longest_first(void **state)
{
    (void)state;
    tokenizer *t = open_good(usual);
    check_share(t, 3, 4, 9, 3, 4);
    check_share(t, 2, 8, 6, 2, 4);
    check_share(t, 8, 2, 6, 4, 2);
    check_share(t, 8, 8, 6, 3, 3);
    check_share(t, 8, 9, 7, 3, 4);
    check_share(t, 9, 8, 7, 4, 3);
    check_share(t, 3, 9, 5, 2, 3);
    check_share(t, 0, 9, 4, 0, 4);
    check_share(t, 9, 9, 0, 0, 0);
    tokenizer_free(t);
}

/* ---- input and limits -------------------------------------------------------------------------------------------- */

static void test_encode__refuses_bad_text(void **state)
{
    (void)state;
    tokenizer *t = open_good(usual);
    tkr_error error = {0};
    assert_null(tokenizer_encode(t, VIEW("abcdefghijklmnopq\xC0\xAF"), (encode_options){0}, &error));
    assert_int_equal(error.code, TKR_E_INPUT_UTF8);
    assert_string_equal(error.message, "text: byte 17 (0xC0) is not UTF-8");
    assert_string_equal(error.field, "text");
    assert_int_equal(error.offset, 17);
    tkr_error_clear(&error);
    view pair = VIEW("\xED\xA0\x80");
    assert_null(tokenizer_encode(t, VIEW("a"), (encode_options){.pair = &pair}, &error));
    assert_string_equal(error.message, "pair: byte 0 (0xED) is not UTF-8");
    tkr_error_clear(&error);
    char *text = calloc(1, (1 << 20) + 1);
    assert_non_null(text);
    memset(text, ' ', (1 << 20) + 1);
    assert_null(tokenizer_encode(t, (view){text, (1 << 20) + 1}, (encode_options){0}, &error));
    assert_int_equal(error.code, TKR_E_LIMIT_TEXT);
    assert_string_equal(error.message, "text has 1048577 bytes, the limit is 1048576");
    tkr_encoding *e = tokenizer_encode(t, (view){text, (1 << 20) + 1}, (encode_options){.max_bytes = 2 << 20}, NULL);
    assert_int_equal(tkr_encoding_count(e), 2);
    tkr_encoding_free(e);
    free(text);
    check_encode(t, "a\tb", (encode_options){.no_special = true}, "5:0-1:0 6:2-3:1");
    e = tokenizer_encode(t, VIEW("a\0b"), (encode_options){.no_special = true}, NULL); /* NUL is removed */
    assert_int_equal(e->count, 2);
    assert_int_equal(e->tokens[1].id, 8);
    assert_int_equal(e->tokens[1].begin, 2);
    tkr_encoding_free(e);
    tokenizer_free(t);
}

static void test_encode__user_writes_special_tokens(void **state)
{
    (void)state;
    tokenizer *t = open_good(usual);
    tkr_encoding *e = tokenizer_encode(t, VIEW("a[MASK]zz"), (encode_options){0}, NULL);
    assert_int_equal(e->count, 5);
    assert_int_equal(e->tokens[2].special, TKR_SPECIAL_MASK);
    assert_false(e->tokens[2].is_template);
    assert_string_equal(e->tokens[2].raw, "[MASK]");
    assert_int_equal(e->tokens[3].special, TKR_SPECIAL_UNK);
    assert_true(e->tokens[4].is_template);
    tkr_encoding_free(e);
    tokenizer_free(t);
}

/* Words of any length: the way for long words gives what the way for short ones gives. */
static void test_wordpiece__long_and_short_words_agree(void **state)
{
    (void)state;
    parts p = usual;
    p.normalizer = "null";
    p.model = WORDPIECE(PIECES ",\"##\xC3\xA9\":11,\"ab\":12,\"##\xC3\xA9" "a\":13,\"##\":14", "\"max_input_chars_per_word\":200,");
    tokenizer *small = open_good(p);
    p.model = WORDPIECE(PIECES ",\"##\xC3\xA9\":11,\"ab\":12,\"##\xC3\xA9" "a\":13,\"##\":14", "\"max_input_chars_per_word\":9000,");
    tokenizer *large = open_good(p);
    random_key key = {.seed = 3};
    uint64_t draw = 0;
    for (int round = 0; round < 300; round++) {
        static const char *const letters[] = {"a", "b", "\xC3\xA9", "c"};
        char word[64] = "";
        for (uint32_t i = 1 + random_below(key, draw++, 12); i > 0; i--)
            strcat(word, letters[random_below(key, draw++, round % 9 ? 3 : 4)]);
        char shown[1024];
        tkr_encoding *e = tokenizer_encode(small, view_of(word), (encode_options){0}, NULL);
        show_encoding(e, shown, sizeof shown);
        check_encode(large, word, (encode_options){0}, shown);
        tkr_encoding_free(e);
    }
    tokenizer_free(small);
    tokenizer_free(large);
}

/* Seconds for `size` bytes made of `unit`. */
static double seconds_for(const tokenizer *t, const char *unit, size_t size)
{
    char *text = malloc(size);
    assert_non_null(text);
    size_t length = strlen(unit);
    size -= size % length;
    for (size_t i = 0; i < size; i++)
        text[i] = unit[i % length];
    double begin = clock_seconds();
    tkr_error error = {0};
    tkr_encoding *e = tokenizer_encode(t, (view){text, size}, (encode_options){0}, &error);
    double seconds = clock_seconds() - begin;
    if (!e)
        fail_msg("%s: %s", unit, error.message);
    tkr_encoding_free(e);
    free(text);
    return seconds;
}

static void test_encode__stays_fast_on_nasty_texts(void **state)
{
    (void)state;
    static const char *const units[] = {"a", " ", "\xCC\x81", "[MASK]", "[MASK", "\xE6\xBC\xA2", "!", "<l> ", "a "};
    parts p = usual;
    p.added = "[" SPECIAL(4, "[MASK]") ",{\"id\":11,\"content\":\" \",\"lstrip\":true,\"rstrip\":true,\"normalized\":false},"
              "{\"id\":12,\"content\":\"<l>\",\"lstrip\":true,\"rstrip\":true,\"normalized\":false}]";
    p.model = WORDPIECE(PIECES, "\"max_input_chars_per_word\":10000,");
    tokenizer *t = open_good(p);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        assert_true(seconds_for(t, units[i], 1 << 20) < 10.0); /* well under 1 s without sanitizers; quadratic: minutes */
    tokenizer_free(t);
}

/* Whatever allocation fails, the answer is an error or the right one. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added__ids_are_checked),
        cmocka_unit_test(test_added__flags),
        cmocka_unit_test(test_template__several_ids_and_types),
        cmocka_unit_test(test_template__refusals),
        cmocka_unit_test(test_template__roberta_pairs_and_trims),
        cmocka_unit_test(test_template__none),
        cmocka_unit_test(test_truncate__one_text),
        cmocka_unit_test(test_truncate__pairs_by_longest_first),
        cmocka_unit_test(test_encode__refuses_bad_text),
        cmocka_unit_test(test_encode__user_writes_special_tokens),
        cmocka_unit_test(test_wordpiece__long_and_short_words_agree),
        cmocka_unit_test(test_encode__stays_fast_on_nasty_texts),
    };
    return cmocka_run_group_tests_name("encoding", tests, NULL, NULL);
}
