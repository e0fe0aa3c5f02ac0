/* Normalizers, pre-tokenizers and decoders, each loaded from the JSON a tokenizer.json would have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "text/parts.h"

#include <cmocka.h> /* last: its macro fail() */

/* ---- normalizers: text and, per character, the range it came from ------------------------------------------------ */

static void test_normalizer__bert_follows_its_four_steps(void **state)
{
    (void)state;
    const char *uncased = "{\"type\":\"BertNormalizer\",\"clean_text\":true,\"handle_chinese_chars\":true,"
                          "\"strip_accents\":null,\"lowercase\":true}";
    const char *cased = "{\"type\":\"BertNormalizer\",\"strip_accents\":null,\"lowercase\":false}";
    parts_check_normalizer(uncased, "H\tI", "h i 0-1 1-2 2-3");
    parts_check_normalizer(uncased, "a\x0B" "b", "ab 0-1 2-3"); /* VT is removed, not a space */
    parts_check_normalizer(uncased, "\xC3\x89", "e 0-2");
    parts_check_normalizer(uncased, "E\xCC\x81", "e 0-1"); /* the accent is a gap */
    parts_check_normalizer(uncased, "\xE6\xBC\xA2", " \xE6\xBC\xA2  0-3 0-3 0-3");
    parts_check_normalizer(uncased, "\xC4\xB0", "i 0-2");
    parts_check_normalizer(cased, "\xC3\x89", "\xC3\x89 0-2");
    parts_check_normalizer("{\"type\":\"BertNormalizer\",\"strip_accents\":false,\"lowercase\":true}", "\xC4\xB0",
                     "i\xCC\x87 0-2 0-2");
    parts_check_normalizer("{\"type\":\"BertNormalizer\",\"handle_chinese_chars\":false}", "\xE6\xBC\xA2", "\xE6\xBC\xA2 0-3");
}

static void test_normalizer__normal_forms_keep_offsets(void **state)
{
    (void)state;
    parts_check_normalizer("{\"type\":\"NFC\"}", "e\xCC\x81x", "\xC3\xA9x 0-1 3-4");
    parts_check_normalizer("{\"type\":\"NFD\"}", "\xC3\xA9x", "e\xCC\x81x 0-2 0-2 2-3");
    parts_check_normalizer("{\"type\":\"NFKD\"}", "\xEF\xAC\x81", "fi 0-3 0-3");
    parts_check_normalizer("{\"type\":\"NFKC\"}", "\xEF\xBC\xA1", "A 0-3");
    /* marks are put in order: dot below (220) before acute (230); the first takes what the first old mark had */
    parts_check_normalizer("{\"type\":\"NFD\"}", "a\xCC\x81\xCC\xA3", "a\xCC\xA3\xCC\x81 0-1 1-3 3-5");
    parts_check_normalizer("{\"type\":\"NFC\"}", "a\xCC\x81\xCC\xA3", "\xE1\xBA\xA1\xCC\x81 0-1 3-5");
    /* jamo compose across two starters, and ASCII is left alone */
    parts_check_normalizer("{\"type\":\"NFC\"}", "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB!", "\xED\x95\x9C! 0-3 9-10");
    /* the overline has the class of the acute and keeps it from the letter */
    parts_check_normalizer("{\"type\":\"NFC\"}", "a\xCC\x85\xCC\x81", "a\xCC\x85\xCC\x81 0-1 1-3 3-5");
    parts_check_normalizer("{\"type\":\"NFC\"}", "abc", "abc 0-1 1-2 2-3");
    parts_check_normalizer("{\"type\":\"NFC\"}", "\xCC\x81" "a", "\xCC\x81" "a 0-2 2-3");
}

static void test_normalizer__small_types(void **state)
{
    (void)state;
    parts_check_normalizer("{\"type\":\"Lowercase\"}", "A\xCE\xA3", "a\xCF\x83 0-1 1-3");
    parts_check_normalizer("{\"type\":\"StripAccents\"}", "e\xCC\x81", "e 0-1");
    parts_check_normalizer("{\"type\":\"StripAccents\"}", "\xC3\xA9", "\xC3\xA9 0-2"); /* decomposes nothing */
    parts_check_normalizer("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":true}", " \t a b \xE3\x80\x80",
                     "a b 3-4 4-5 5-6");
    parts_check_normalizer("{\"type\":\"Strip\",\"strip_left\":false,\"strip_right\":true}", " a ", " a 0-1 1-2");
    parts_check_normalizer("{\"type\":\"Strip\",\"strip_left\":true,\"strip_right\":false}", " a ", "a  1-2 2-3");
    parts_check_normalizer("{\"type\":\"Replace\",\"pattern\":{\"String\":\"``\"},\"content\":\"\\\"\"}", "``a", "\"a 1-2 2-3");
    parts_check_normalizer("{\"type\":\"Prepend\",\"prepend\":\"_>\"}", "ab", "_>ab 0-1 0-1 0-1 1-2");
    parts_check_normalizer("{\"type\":\"Prepend\",\"prepend\":\"_\"}", "", "");
    parts_check_normalizer("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFD\"},{\"type\":\"StripAccents\"},"
                     "{\"type\":\"Lowercase\"}]}",
                     "\xC3\x89", "e 0-2");
    parts_check_normalizer("null", "A", "A 0-1");
}

/* ---- pre-tokenizers: pieces with bars between -------------------------------------------------------------------- */

static void test_pretokenizer__types(void **state)
{
    (void)state;
    parts_check_pretokenizer("{\"type\":\"BertPreTokenizer\"}", " Hey, you!? 5\xE2\x82\xAC", "Hey|,|you|!|?|5\xE2\x82\xAC");
    parts_check_pretokenizer("{\"type\":\"Whitespace\"}", "Hey, you!? a_b", "Hey|,|you|!?|a_b");
    parts_check_pretokenizer("{\"type\":\"WhitespaceSplit\"}", " Hey,  you!", "Hey,|you!");
    parts_check_pretokenizer("{\"type\":\"Punctuation\"}", "a..b", "a|.|.|b");
    parts_check_pretokenizer("{\"type\":\"Punctuation\",\"behavior\":\"Contiguous\"}", "a..b", "a|..|b");
    parts_check_pretokenizer("{\"type\":\"Digits\",\"individual_digits\":true}", "ab12", "ab|1|2");
    parts_check_pretokenizer("{\"type\":\"Digits\",\"individual_digits\":false}", "ab12c", "ab|12|c");
    parts_check_pretokenizer("{\"type\":\"CharDelimiterSplit\",\"delimiter\":\"-\"}", "a--b-", "a|b");
    parts_check_pretokenizer("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"WhitespaceSplit\"},"
                       "{\"type\":\"Punctuation\"}]}",
                       "a, b", "a|,|b");
    parts_check_pretokenizer("null", "a b", "a b");
}

#define SPLIT(behavior, invert) \
    "{\"type\":\"Split\",\"pattern\":{\"String\":\"-\"},\"behavior\":\"" behavior "\",\"invert\":" invert "}"

static void test_pretokenizer__split_behaviors(void **state)
{
    (void)state;
    const char *text = "the-final--count-";
    parts_check_pretokenizer(SPLIT("Removed", "false"), text, "the|final|count");
    parts_check_pretokenizer(SPLIT("Isolated", "false"), text, "the|-|final|-|-|count|-");
    parts_check_pretokenizer(SPLIT("MergedWithPrevious", "false"), text, "the-|final-|-|count-");
    parts_check_pretokenizer(SPLIT("MergedWithNext", "false"), text, "the|-final|-|-count|-");
    parts_check_pretokenizer(SPLIT("Contiguous", "false"), text, "the|-|final|--|count|-");
    parts_check_pretokenizer(SPLIT("Removed", "true"), text, "-|-|-|-");
}

static void test_pretokenizer__leaves_finished_pieces(void **state)
{
    (void)state;
    parts_bench b = parts_bench_new("{\"type\":\"BertPreTokenizer\"}");
    const pretokenizer *p = pretokenizer_load(parts_bench_loader(&b), b.json);
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
    parts_bench_free(&b);
}

/* ---- decoders ---------------------------------------------------------------------------------------------------- */

static void test_decoder__types(void **state)
{
    (void)state;
    const char *wordpiece[] = {"##un", "##able", ",", "don", "'", "t", "n't", NULL};
    parts_check_decoder("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":true}", wordpiece, "##unable, don ' tn't");
    parts_check_decoder("{\"type\":\"WordPiece\",\"prefix\":\"##\",\"cleanup\":false}", wordpiece, "##unable , don ' t n't");
    const char *metaspace[] = {"_a", "_b_", NULL};
    parts_check_decoder("{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{\"String\":\"_\"},"
                  "\"content\":\" \"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]}",
                  metaspace, "a b ");
    parts_check_decoder("{\"type\":\"Strip\",\"content\":\"_\",\"start\":0,\"stop\":1}", metaspace, "_a_b");
    parts_check_decoder("null", metaspace, "_a _b_");
    const char *none[] = {NULL};
    parts_check_decoder("{\"type\":\"WordPiece\"}", none, "");
    parts_check_decoder("{\"type\":\"Fuse\"}", none, "");
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void test_parts__refusals_name_the_part(void **state)
{
    (void)state;
    parts_check_refused("{\"type\":\"Foo\"}", TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: normalizer type \"Foo\" is not supported");
    parts_check_refused("3", TKR_E_JSON_TYPE, "tokenizer.json: normalizer is a number; it must be an object");
    parts_check_refused("{}", TKR_E_JSON_TYPE, "tokenizer.json: type of a normalizer is missing; it must be a string");
    parts_check_refused("{\"type\":\"BertNormalizer\",\"lowercase\":1}", TKR_E_JSON_TYPE,
                  "tokenizer.json: lowercase is a number; it must be true or false");
    parts_check_refused("{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+(\"},\"content\":\"\"}", TKR_E_TOK_PATTERN,
                  "tokenizer.json: pattern 0: missing closing parenthesis at offset 3");
    parts_check_refused("{\"type\":\"Replace\",\"pattern\":{\"String\":\"\"},\"content\":\"\"}", TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: normalizer Replace with an empty pattern is not supported");
    parts_check_refused("{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},{\"type\":\"Bar\"}]}",
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
    parts_check_refused(json, TKR_E_LIMIT_TOKENIZER, "tokenizer.json: Sequence nested deeper than 8");
    strcpy(json, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < 33; i++)
        strcat(json, i ? ",{\"type\":\"NFC\"}" : "{\"type\":\"NFC\"}");
    strcat(json, "]}");
    parts_check_refused(json, TKR_E_LIMIT_TOKENIZER, "tokenizer.json: normalizers has 33 entries, the limit is 32");
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
