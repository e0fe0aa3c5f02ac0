/* Unigram models, by the rules of both libraries; many texts are in test_tokenizer_parity.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "text/piece_model.h"
#include "text/sentencepiece.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 4096 };

#define UNIGRAM(pieces, more) "{\"type\":\"Unigram\",\"vocab\":[" pieces "]" more "}"
#define UNK "[\"<unk>\",0]"
#define ACCENT "\xC3\xA9" /* two bytes that no piece has */

/* ---- helpers ----------------------------------------------------------------------------------------------------- */

typedef struct bench {
    arena *memory;
    vocabulary vocabulary;
    piece_model model;
    tkr_error error;
    bool good;
} bench;

static void bench_load(bench *b, const char *json)
{
    json_t *object = json_parse_any(view_of(json), "test", &json_model_file, JSON_NUL_ALLOWED, &b->error);
    loader l = {.file = "tokenizer.json", .memory = b->memory, .error = &b->error};
    b->good = object && piece_model_load(&l, object, &b->vocabulary, &b->model);
    json_decref(object);
}

static bench bench_new(const char *json)
{
    bench b = {.memory = arena_new(1 << 24)};
    bench_load(&b, json);
    return b;
}

static void bench_free(bench *b)
{
    piece_model_fini(&b->model);
    vocabulary_fini(&b->vocabulary);
    arena_free(b->memory);
}

/* "id:begin-end ..." of a piece. */
static void check_run(const bench *b, const char *piece, const char *want)
{
    char shown[SHOWN] = "";
    if (!b->good)
        fail_msg("%s", b->error.message);
    model_tokens found = {0};
    b->model.kind->run(b->model.data, &b->vocabulary, view_of(piece), &found);
    assert_false(found.failed || found.lacks_unknown);
    for (size_t i = 0, used = 0; i < found.count; i++)
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%d:%u-%u", i ? " " : "", found.items[i].id,
                                 found.items[i].begin, found.items[i].end);
    assert_string_equal(shown, want);
    model_tokens_fini(&found);
}

static void check(const char *json, const char *piece, const char *want)
{
    bench b = bench_new(json);
    check_run(&b, piece, want);
    bench_free(&b);
}

typedef struct typed_piece {
    const char *text;
    double score;
    sentencepiece_type type;
} typed_piece;

/* A model as a SentencePiece file gives it: its rules, and types. */
static bench bench_of_types(const typed_piece *pieces, size_t count, const char *json)
{
    bench b = {.memory = arena_new(1 << 24)};
    double *scores = ARENA_NEW(b.memory, double, count);
    unsigned char *types = ARENA_NEW(b.memory, unsigned char, count);
    assert_true(scores && types);
    for (size_t i = 0; i < count; i++) {
        size_t other;
        assert_int_equal(vocabulary_add(&b.vocabulary, view_of(pieces[i].text), (int32_t)i, &other), VOCABULARY_ADDED);
        scores[i] = pieces[i].score;
        types[i] = (unsigned char)pieces[i].type;
    }
    b.vocabulary.scores = scores;
    b.vocabulary.types = types;
    bench_load(&b, json);
    return b;
}

/* ---- the best cut ------------------------------------------------------------------------------------------------ */

static void test_unigram__the_largest_sum_wins(void **state)
{
    (void)state;
#define PIECES UNK ",[\"a\",-1],[\"b\",-1],[\"c\",-1],[\"ab\",-1.5],[\"bc\",-1.25]"
    check(UNIGRAM(PIECES, ",\"unk_id\":0"), "abc", "1:0-1 5:1-3");       /* -2.25 against -2.5 and -3     */
    check(UNIGRAM(PIECES, ",\"unk_id\":0"), "ababc", "4:0-2 1:2-3 5:3-5");
    check(UNIGRAM(PIECES ",[\"abc\",-2.3]", ",\"unk_id\":0"), "abc", "1:0-1 5:1-3"); /* the longest does not */
    check(UNIGRAM(PIECES ",[\"abc\",-2.2]", ",\"unk_id\":0"), "abc", "6:0-3");
}

/* Of equal sums the one stays whose last piece begins first. */
static void test_unigram__equal_sums(void **state)
{
    (void)state;
    check(UNIGRAM(UNK ",[\"a\",-1],[\"aa\",-2]", ",\"unk_id\":0"), "aaa", "1:0-1 2:1-3");
    check(UNIGRAM(UNK ",[\"a\",-1],[\"b\",-1],[\"ab\",-1],[\"bc\",-1],[\"c\",-1]", ",\"unk_id\":0"), "abc", "1:0-1 4:1-3");
}

/* All cuts of a text, by trying: the largest sum from byte `at` on. */
static double best_by_trying(const bench *b, view text, size_t at)
{
    double best = at == text.size ? 0 : -HUGE_VAL;
    for (size_t end = at + 1; end <= text.size; end++) {
        int32_t id = vocabulary_id(&b->vocabulary, view_slice(text, at, end));
        if (id < 0)
            continue;
        double sum = b->vocabulary.scores[id] + best_by_trying(b, text, end);
        best = sum > best ? sum : best;
    }
    return best;
}

static void test_unigram__equals_all_cuts_tried(void **state)
{
    (void)state;
    bench b = bench_new(UNIGRAM(UNK ",[\"a\",-1.1],[\"b\",-2.3],[\"ab\",-2.9],[\"ba\",-3.7],[\"aab\",-3.3],[\"bb\",-2.7],"
                                "[\"abba\",-5.1],[\"baba\",-4.2]", ",\"unk_id\":0"));
    random_key key = {7, random_purpose("texts"), 0};
    for (uint64_t i = 0, drawn = 0; i < 200; i++) {
        char text[16];
        size_t size = 1 + random_below(key, drawn++, 14);
        for (size_t k = 0; k < size; k++)
            text[k] = (char)('a' + random_below(key, drawn++, 2));
        model_tokens found = {0};
        view piece = {text, size};
        b.model.kind->run(b.model.data, &b.vocabulary, piece, &found);
        double sum = 0;
        size_t at = 0;
        for (size_t k = 0; k < found.count; k++) {
            assert_int_equal(found.items[k].begin, at);
            at = found.items[k].end;
            sum += b.vocabulary.scores[found.items[k].id];
        }
        assert_int_equal(at, size);
        assert_true(fabs(sum - best_by_trying(&b, piece, 0)) < 1e-9);
        model_tokens_fini(&found);
    }
    bench_free(&b);
}

/* Short pieces use a place on the stack, longer ones the heap. */
static void test_unigram__long_and_short_pieces_agree(void **state)
{
    (void)state;
    bench b = bench_new(UNIGRAM(UNK ",[\"a\",-1],[\"aaaa\",-1.5]", ",\"unk_id\":0"));
    for (size_t size = 252; size <= 260; size++) {
        char text[300];
        model_tokens found = {0};
        memset(text, 'a', size);
        b.model.kind->run(b.model.data, &b.vocabulary, (view){text, size}, &found);
        assert_false(found.failed);
        assert_int_equal(found.count, size / 4 + size % 4);
        assert_int_equal(found.items[found.count - 1].end, size);
        model_tokens_fini(&found);
    }
    bench_free(&b);
}

/* ---- unknown characters ------------------------------------------------------------------------------------------ */

static void test_unigram__unknown_neighbours_are_one_token(void **state)
{
    (void)state;
    const char *json = UNIGRAM(UNK ",[\"a\",-1]", ",\"unk_id\":0");
    check(json, "ax" ACCENT "a", "1:0-1 0:1-4 1:4-5");
    check(json, ACCENT, "0:0-2");
    /* a character that is a piece is never unknown, however improbable it is */
    check(UNIGRAM(UNK ",[\"a\",-1],[\"b\",-50]", ",\"unk_id\":0"), "ab", "1:0-1 2:1-2");
    /* written out, the unknown token joins them, and its own text is looked up */
    check(UNIGRAM(UNK ",[\"a\",-1]", ",\"unk_id\":0"), "x<unk>x", "0:0-7");
}

/* The smallest score minus ten, wherever no piece is the character alone. */
static void test_unigram__the_price_of_an_unknown_character(void **state)
{
    (void)state;
    check(UNIGRAM(UNK ",[\"a\",1],[\"ab\",-6],[\"c\",-6]", ",\"unk_id\":0"), "abc", "2:0-2 3:2-3");
    check(UNIGRAM(UNK ",[\"a\",11.5],[\"ab\",-6],[\"c\",-6]", ",\"unk_id\":0"), "abc", "1:0-1 0:1-2 3:2-3");
    check(UNIGRAM(UNK ",[\"bc\",-20],[\"cd\",-1]", ",\"unk_id\":0"), "bcd", "0:0-1 2:1-3"); /* "b" is unknown before "c" too */
}

static void test_unigram__no_unknown_token(void **state)
{
    (void)state;
    static const char *const models[] = {UNIGRAM("[\"a\",-1]", ""), UNIGRAM("[\"a\",-1]", ",\"unk_id\":null")};
    for (size_t i = 0; i < 2; i++) {
        bench b = bench_new(models[i]);
        model_tokens found = {0};
        assert_int_equal(b.model.kind->unknown(b.model.data), -1);
        b.model.kind->run(b.model.data, &b.vocabulary, VIEW("ab"), &found);
        assert_true(found.lacks_unknown);
        assert_int_equal(found.count, 0);
        model_tokens_fini(&found);
        bench_free(&b);
    }
}

static void test_unigram__bytes_stand_in_for_unknown_runs(void **state)
{
    (void)state;
#define BYTES UNK ",[\"<0xC3>\",-3],[\"<0xA9>\",-3],[\"<0x78>\",-3],[\"a\",-1],[\"<0x7a>\",-3]"
    const char *json = UNIGRAM(BYTES, ",\"unk_id\":0,\"byte_fallback\":true");
    check(json, "a" ACCENT "xa", "4:0-1 1:1-4 2:1-4 3:1-4 4:4-5"); /* each covers the whole run    */
    check(json, "a" ACCENT "y", "4:0-1 0:1-4");                    /* one byte is missing: none is */
    check(json, "z", "0:0-1");                                     /* <0x7a> is no byte token      */
    check(UNIGRAM(BYTES, ",\"unk_id\":0"), ACCENT, "0:0-2");
}

/* ---- SentencePiece's own rules ----------------------------------------------------------------------------------- */

#define OWN "{\"type\":\"Unigram\",\"unk_id\":0,\"sentencepiece\":true"

static void test_unigram__only_ordinary_types_are_found(void **state)
{
    (void)state;
    static const typed_piece pieces[] = {
        {"<unk>", 0, SENTENCEPIECE_UNKNOWN}, {"a", -1, SENTENCEPIECE_NORMAL},  {"b", -1, SENTENCEPIECE_NORMAL},
        {"ab", -0.5, SENTENCEPIECE_UNUSED},  {"ba", -0.5, SENTENCEPIECE_CONTROL}, {"bb", -90, SENTENCEPIECE_USER_DEFINED},
    };
    bench b = bench_of_types(pieces, sizeof(pieces) / sizeof(pieces[0]), OWN "}");
    check_run(&b, "ab", "1:0-1 2:1-2");
    check_run(&b, "ba", "2:0-1 1:1-2");
    check_run(&b, "abb", "1:0-1 5:1-3"); /* user-defined pieces win */
    check_run(&b, "xya", "0:0-2 1:2-3");
    bench_free(&b);
}

static void test_unigram__its_bytes_belong_to_one_character(void **state)
{
    (void)state;
    static const typed_piece pieces[] = {
        {"<unk>", 0, SENTENCEPIECE_UNKNOWN}, {"a", -1, SENTENCEPIECE_NORMAL},  {"<0xC3>", 0, SENTENCEPIECE_BYTE},
        {"<0xA9>", 0, SENTENCEPIECE_BYTE},   {"<0x78>", 0, SENTENCEPIECE_BYTE},
    };
    bench b = bench_of_types(pieces, sizeof(pieces) / sizeof(pieces[0]), OWN ",\"byte_fallback\":true}");
    check_run(&b, "a" ACCENT "xa", "1:0-1 2:1-1 3:1-3 4:3-4 1:4-5");
    bench_free(&b);
}

/* Sums are rounded to float32 at each step: a difference that float32 does not have makes them equal. */
static void test_unigram__its_sums_are_float32(void **state)
{
    (void)state;
    static const typed_piece pieces[] = {
        {"<unk>", 0, SENTENCEPIECE_UNKNOWN}, {"a", -100000, SENTENCEPIECE_NORMAL}, {"b", -0.001, SENTENCEPIECE_NORMAL},
        {"ab", -100000, SENTENCEPIECE_NORMAL},
    };
    bench own = bench_of_types(pieces, 4, OWN "}"), other = bench_of_types(pieces, 4, "{\"type\":\"Unigram\",\"unk_id\":0}");
    check_run(&own, "ab", "3:0-2"); /* equal; the one that begins first */
    check_run(&other, "ab", "3:0-2");
    bench_free(&own);
    bench_free(&other);
    typed_piece changed[4];
    memcpy(changed, pieces, sizeof changed);
    changed[3].score = -100000.002;
    own = bench_of_types(changed, 4, OWN "}");
    other = bench_of_types(changed, 4, "{\"type\":\"Unigram\",\"unk_id\":0}");
    check_run(&own, "ab", "3:0-2");
    check_run(&other, "ab", "1:0-1 2:1-2");
    bench_free(&own);
    bench_free(&other);
}

/* ---- refusals ---------------------------------------------------------------------------------------------------- */

static void check_refused(const char *json, tkr_status code, const char *message)
{
    bench b = bench_new(json);
    assert_false(b.good);
    assert_string_equal(b.error.message, message);
    assert_int_equal(b.error.code, code);
    bench_free(&b);
}

/* Catalogue 118 (what JSON itself does not allow is refused before: NaN, numbers beyond float64). */
static void test_unigram__refusals(void **state)
{
    (void)state;
    check_refused(UNIGRAM(UNK ",[\"a\",null]", ""), TKR_E_TOK_UNIGRAM,
                  "tokenizer.json: entry 1 of vocab must be a string and a number");
    check_refused(UNIGRAM("[\"a\",\"1\"]", ""), TKR_E_TOK_UNIGRAM,
                  "tokenizer.json: entry 0 of vocab must be a string and a number");
    check_refused(UNIGRAM("[1,1]", ""), TKR_E_TOK_UNIGRAM, "tokenizer.json: entry 0 of vocab must be a string and a number");
    check_refused(UNIGRAM("[\"a\",1,2]", ""), TKR_E_TOK_UNIGRAM,
                  "tokenizer.json: entry 0 of vocab must be a string and a number");
    check_refused(UNIGRAM("\"a\"", ""), TKR_E_TOK_UNIGRAM, "tokenizer.json: entry 0 of vocab must be a string and a number");
    check_refused(UNIGRAM("", ""), TKR_E_TOK_UNIGRAM, "tokenizer.json: vocab is empty; it must have at least one piece");
    check_refused(UNIGRAM("[\"a\",-1],[\"b\",-1],[\"a\",-2]", ""), TKR_E_TOK_DUPLICATE,
                  "tokenizer.json: entries 0 and 2 of vocab are both \"a\"");
    check_refused(UNIGRAM(UNK, ",\"unk_id\":1000000"), TKR_E_TOK_UNIGRAM,
                  "tokenizer.json: unk_id 1000000; it must be 0 to 0");
    check_refused(UNIGRAM(UNK, ",\"unk_id\":-1"), TKR_E_TOK_UNIGRAM, "tokenizer.json: unk_id -1; it must be 0 to 0");
    check_refused(UNIGRAM(UNK, ",\"unk_id\":\"0\""), TKR_E_JSON_TYPE,
                  "tokenizer.json: unk_id is a string; it must be a whole number");
    check_refused(UNIGRAM(UNK, ",\"byte_fallback\":1"), TKR_E_JSON_TYPE,
                  "tokenizer.json: byte_fallback is a number; it must be true or false");
    check_refused("{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}", TKR_E_JSON_TYPE,
                  "tokenizer.json: vocab is an object; it must be an array");
}

/* The extremes of float64 are scores like others. */
static void test_unigram__huge_scores(void **state)
{
    (void)state;
    check(UNIGRAM(UNK ",[\"a\",-1e308],[\"b\",1e308],[\"ab\",5]", ",\"unk_id\":0"), "abab", "3:0-2 3:2-4");
    check(UNIGRAM(UNK ",[\"a\",-1e308]", ",\"unk_id\":0"), "aaax", "1:0-1 1:1-2 1:2-3 0:3-4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unigram__the_largest_sum_wins),
        cmocka_unit_test(test_unigram__equal_sums),
        cmocka_unit_test(test_unigram__equals_all_cuts_tried),
        cmocka_unit_test(test_unigram__long_and_short_pieces_agree),
        cmocka_unit_test(test_unigram__unknown_neighbours_are_one_token),
        cmocka_unit_test(test_unigram__the_price_of_an_unknown_character),
        cmocka_unit_test(test_unigram__no_unknown_token),
        cmocka_unit_test(test_unigram__bytes_stand_in_for_unknown_runs),
        cmocka_unit_test(test_unigram__only_ordinary_types_are_found),
        cmocka_unit_test(test_unigram__its_bytes_belong_to_one_character),
        cmocka_unit_test(test_unigram__its_sums_are_float32),
        cmocka_unit_test(test_unigram__refusals),
        cmocka_unit_test(test_unigram__huge_scores),
    };
    return cmocka_run_group_tests_name("unigram", tests, NULL, NULL);
}
