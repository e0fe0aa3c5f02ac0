/* Normalizers, pre-tokenizers and decoders, each loaded from the JSON a tokenizer.json would have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 1024 };

typedef struct bench {
    arena *memory;
    json_t *json;
    tkr_error error;
    loader loader;
} bench;

static bench bench_new(const char *json)
{
    bench b = {.memory = arena_new(1 << 20)};
    b.json = json_parse_any(view_of(json), "test", &json_model_file, JSON_NUL_ALLOWED, &b.error);
    assert_non_null(b.json);
    return b;
}

static loader *bench_loader(bench *b)
{
    b->loader = (loader){.file = "tokenizer.json", .memory = b->memory, .error = &b->error};
    return &b->loader;
}

static void bench_free(bench *b)
{
    json_decref(b->json);
    arena_free(b->memory);
}

/* ---- normalizers: text and, per character, the range it came from ------------------------------------------------ */

static void normalize(const char *json, const char *text, char shown[SHOWN])
{
    bench b = bench_new(json);
    const normalizer *n = normalizer_load(bench_loader(&b), b.json);
    if (!n)
        fail_msg("%s", b.error.message);
    normalized out = {0};
    normalized_append_source(&out, view_of(text), 0, strlen(text));
    normalizer_run(n, &out);
    assert_true(normalized_ok(&out));
    size_t used = (size_t)snprintf(shown, SHOWN, "%.*s", (int)out.size, out.size ? out.text : "");
    for (size_t i = 0; i < out.size; i++)
        if (((unsigned char)out.text[i] & 0xC0) != 0x80)
            used += (size_t)snprintf(shown + used, SHOWN - used, " %u-%u", out.from[i].begin, out.from[i].end);
    normalized_fini(&out);
    bench_free(&b);
}

static void check_normalizer(const char *json, const char *text, const char *want)
{
    char shown[SHOWN];
    normalize(json, text, shown);
    assert_string_equal(shown, want);
}

static void test_normalizer__bert_follows_its_four_steps(void **state)
{
    (void)state;
    const char *uncased = "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                          "\"strip_accents\":null,\"lowercase\":true}";
    const char *cased = "{\"type\":\"BertNormalizer\",\"strip_accents\":null,\"lowercase\":false}";
    check_normalizer(uncased, "H\tI", "h i 0-1 1-2 2-3");
    check_normalizer(uncased, "a\x0B" "b", "ab 0-1 2-3"); /* VT is removed, not a space */
    check_normalizer(uncased, "\xC3\x89", "e 0-2");
    check_normalizer(uncased, "E\xCC\x81", "e 0-1"); /* the accent is a gap */
    check_normalizer(uncased, "\xE6\xBC\xA2", " \xE6\xBC\xA2  0-3 0-3 0-3");
    check_normalizer(uncased, "\xC4\xB0", "i 0-2");
    check_normalizer(cased, "\xC3\x89", "\xC3\x89 0-2");
    check_normalizer("{\"type\":\"BertNormalizer\",\"strip_accents\":false,\"lowercase\":true}", "\xC4\xB0",
                     "i\xCC\x87 0-2 0-2");
    check_normalizer("{\"type\":\"BertNormalizer\",\"handle_chinese_chars\":false}", "\xE6\xBC\xA2", "\xE6\xBC\xA2 0-3");
}

static void test_normalizer__normal_forms_keep_offsets(void **state)
{
    (void)state;
    check_normalizer("{\"type\":\"NFC\"}", "e\xCC\x81x", "\xC3\xA9x 0-1 3-4");
    check_normalizer("{\"type\":\"NFD\"}", "\xC3\xA9x", "e\xCC\x81x 0-2 0-2 2-3");
    check_normalizer("{\"type\":\"NFKD\"}", "\xEF\xAC\x81", "fi 0-3 0-3");
    check_normalizer("{\"type\":\"NFKC\"}", "\xEF\xBC\xA1", "A 0-3");
    /* marks are put in order: dot below (220) before acute (230); the first takes what the first old mark had */
    check_normalizer("{\"type\":\"NFD\"}", "a\xCC\x81\xCC\xA3", "a\xCC\xA3\xCC\x81 0-1 1-3 3-5");
    check_normalizer("{\"type\":\"NFC\"}", "a\xCC\x81\xCC\xA3", "\xE1\xBA\xA1\xCC\x81 0-1 3-5");
    /* jamo compose across two starters, and ASCII is left alone */
    check_normalizer("{\"type\":\"NFC\"}", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB!", "\xED\x95\x9C! 0-3 9-10");
    /* the overline has the class of the acute and keeps it from the letter */
    check_normalizer("{\"type\":\"NFC\"}", "a\xCC\x85\xCC\x81", "a\xCC\x85\xCC\x81 0-1 1-3 3-5");
    check_normalizer("{\"type\":\"NFC\"}", "abc", "abc 0-1 1-2 2-3");
    check_normalizer("{\"type\":\"NFC\"}", "\xCC\x81" "a", "\xCC\x81" "a 0-2 2-3");
}

static void test_normalizer__small_types(void **state)
{
    (void)state;
    check_normalizer("{\"type\":\"Lowercase\"}", "A\xCE\xA3", "a\xCF\x83 0-1 1-3");
    check_normalizer("{\"type\":\"StripAccents\"}", "e\xCC\x81", "e 0-1");
    check_normalizer("{\"type\":\"StripAccents\"}", "\xC3\xA9", "\xC3\xA9 0-2"); /* decomposes nothing */
    check_normalizer("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \t a b \xE3\x80\x80",
                     "a b 3-4 4-5 5-6");
    check_normalizer("{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", " a ", " a 0-1 1-2");
    check_normalizer("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}", " a ", "a  1-2 2-3");
    check_normalizer("{\"type\":\"Replace\",\"pattern\":{\"String\":\"``\"},\"content\":\"\\\"\"}", "``a", "\"a 1-2 2-3");
    check_normalizer("{\"type\":\"Prepend\",\"prepend\":\"_>\"}", "ab", "_>ab 0-1 0-1 0-1 1-2");
    check_normalizer("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "");
    check_normalizer("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"},"
                     "{\"type\":\"Lowercase\"}]}",
                     "\xC3\x89", "e 0-2");
    check_normalizer("null", "A", "A 0-1");
}

/* ---- pre-tokenizers: pieces with bars between -------------------------------------------------------------------- */

static void check_pretokenizer(const char *json, const char *text, const char *want)
{
    char shown[SHOWN] = "";
    size_t used = 0;
    bench b = bench_new(json);
    const pretokenizer *p = pretokenizer_load(bench_loader(&b), b.json);
    if (!p)
        fail_msg("%s", b.error.message);
    piece_list pieces = {0};
    normalized rewritten = {0};
    normalized_append_source(&rewritten, view_of(text), 0, strlen(text));
    pieces_add(&pieces, 0, strlen(text), -1);
    pretokenizer_run(p, &rewritten, &pieces);
    assert_false(pieces.failed || rewritten.failed);
    for (size_t i = 0; i < pieces.count; i++)
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%.*s", i ? "|" : "",
                                 (int)(pieces.items[i].end - pieces.items[i].begin), rewritten.text + pieces.items[i].begin);
    assert_string_equal(shown, want);
    normalized_fini(&rewritten);
    pieces_fini(&pieces);
    bench_free(&b);
}

static void test_pretokenizer__types(void **state)
{
    (void)state;
    check_pretokenizer("{\"type\":\"BertPreTokenizer\"}", " Hey, you!? 5\xE2\x82\xAC", "Hey|,|you|!|?|5\xE2\x82\xAC");
    check_pretokenizer("{\"type\":\"Whitespace\"}", "Hey, you!? a_b", "Hey|,|you|!?|a_b");
    check_pretokenizer("{\"type\":\"WhitespaceSplit\"}", " Hey,  you!", "Hey,|you!");
    check_pretokenizer("{\"type\":\"Punctuation\"}", "a..b", "a|.|.|b");
    check_pretokenizer("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "a..b", "a|..|b");
    check_pretokenizer("{\"type\":\"Digits\",\"individual_digits\":true}", "ab12", "ab|1|2");
    check_pretokenizer("{\"type\":\"Digits\",\"individual_digits\":false}", "ab12c", "ab|12|c");
    check_pretokenizer("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "a--b-", "a|b");
    check_pretokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                       "{\"type\":\"Punctuation\"}]}",
                       "a, b", "a|,|b");
    check_pretokenizer("null", "a b", "a b");
}

#define SPLIT(behavior, invert) \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"" behavior "\",\"invert\":" invert "}"

static void test_pretokenizer__split_behaviors(void **state)
{
    (void)state;
    const char *text = "the-final--count-";
    check_pretokenizer(SPLIT("Removed", "false"), text, "the|final|count");
    check_pretokenizer(SPLIT("Isolated", "false"), text, "the|-|final|-|-|count|-");
    check_pretokenizer(SPLIT("MergedWithPrevious", "false"), text, "the-|final-|-|count-");
    check_pretokenizer(SPLIT("MergedWithNext", "false"), text, "the|-final|-|-count|-");
    check_pretokenizer(SPLIT("Contiguous", "false"), text, "the|-|final|--|count|-");
    check_pretokenizer(SPLIT("Removed", "true"), text, "-|-|-|-");
}

static void test_pretokenizer__leaves_finished_pieces(void **state)
{
    (void)state;
    bench b = bench_new("{\"type\":\"BertPreTokenizer\"}");
    const pretokenizer *p = pretokenizer_load(bench_loader(&b), b.json);
    piece_list pieces = {0};
    normalized text = {0};
    normalized_append_source(&text, VIEW("a b[, ]"), 0, 7);
    pieces_add(&pieces, 0, 3, -1);
    pieces_add(&pieces, 3, 6, 2);
    pretokenizer_run(p, &text, &pieces);
    normalized_fini(&text);
    assert_int_equal(pieces.count, 3);
    assert_int_equal(pieces.items[2].added, 2);
    assert_int_equal(pieces.items[2].begin, 3);
    pieces_fini(&pieces);
    bench_free(&b);
}

/* ---- decoders ---------------------------------------------------------------------------------------------------- */

static void check_decoder(const char *json, const char *const tokens[], const char *want)
{
    bench b = bench_new(json);
    const decoder *d = decoder_load(bench_loader(&b), b.json);
    if (!d)
        fail_msg("%s", b.error.message);
    token_strings s;
    token_strings_init(&s);
    for (size_t i = 0; tokens[i]; i++)
        token_strings_add(&s, view_of(tokens[i]));
    decoder_run(d, &s);
    assert_false(s.failed);
    assert_string_equal(buffer_as_view(&s.text).data, want);
    token_strings_fini(&s);
    bench_free(&b);
}

static void test_decoder__types(void **state)
{
    (void)state;
    const char *wordpiece[] = {"##un", "##able", ",", "don", "'", "t", "n't", NULL};
    check_decoder("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", wordpiece, "##unable, don ' tn't");
    check_decoder("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}", wordpiece, "##unable , don ' t n't");
    const char *metaspace[] = {"_a", "_b_", NULL};
    check_decoder("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},"
                  "\"content\":\" \"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
                  metaspace, "a b ");
    check_decoder("{\"type\":\"Strip\",\"content\":\"_\",\"start\":0,\"stop\":1}", metaspace, "_a_b");
    check_decoder("null", metaspace, "_a _b_");
    const char *none[] = {NULL};
    check_decoder("{\"type\":\"WordPiece\"}", none, "");
    check_decoder("{\"type\":\"Fuse\"}", none, "");
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void check_refused(const char *json, tkr_status code, const char *message)
{
    bench b = bench_new(json);
    assert_null(normalizer_load(bench_loader(&b), b.json));
    assert_int_equal(b.error.code, code);
    assert_string_equal(b.error.message, message);
    bench_free(&b);
}

static void test_parts__refusals_name_the_part(void **state)
{
    (void)state;
    check_refused("{\"type\":\"Foo\"}", TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: normalizer type \"Foo\" is not supported");
    check_refused("3", TKR_E_JSON_TYPE, "tokenizer.json: normalizer is a number; it must be an object");
    check_refused("{}", TKR_E_JSON_TYPE, "tokenizer.json: type of a normalizer is missing; it must be a string");
    check_refused("{\"type\":\"BertNormalizer\",\"lowercase\":1}", TKR_E_JSON_TYPE,
                  "tokenizer.json: lowercase is a number; it must be true or false");
    check_refused("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+(\"},\"content\":\"\"}", TKR_E_TOK_PATTERN,
                  "tokenizer.json: pattern 0: missing closing parenthesis at offset 3");
    check_refused("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: normalizer Replace with an empty pattern is not supported");
    check_refused("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Bar\"}]}",
                  TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: normalizer type \"Bar\" is not supported");
}

static void test_parts__sequences_have_limits(void **state)
{
    (void)state;
    char json[4096] = "";
    for (int i = 0; i < 9; i++)
        strcat(json, "{\"type\":\"Sequence\",\"normalizers\":[");
    strcat(json, "{\"type\":\"NFC\"}");
    for (int i = 0; i < 9; i++)
        strcat(json, "]}");
    check_refused(json, TKR_E_LIMIT_TOKENIZER, "tokenizer.json: Sequence nested deeper than 8");
    strcpy(json, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 33; i++)
        strcat(json, i ? ",{\"type\":\"NFC\"}" : "{\"type\":\"NFC\"}");
    strcat(json, "]}");
    check_refused(json, TKR_E_LIMIT_TOKENIZER, "tokenizer.json: normalizers has 33 entries, the limit is 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalizer__bert_follows_its_four_steps),
        cmocka_unit_test(test_normalizer__normal_forms_keep_offsets),
        cmocka_unit_test(test_normalizer__small_types),
        cmocka_unit_test(test_pretokenizer__types),
        cmocka_unit_test(test_pretokenizer__split_behaviors),
        cmocka_unit_test(test_pretokenizer__leaves_finished_pieces),
        cmocka_unit_test(test_decoder__types),
        cmocka_unit_test(test_parts__refusals_name_the_part),
        cmocka_unit_test(test_parts__sequences_have_limits),
    };
    return cmocka_run_group_tests_name("text_parts", tests, NULL, NULL);
}
