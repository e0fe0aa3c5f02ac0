/* Byte-pair models, loaded from the JSON a tokenizer.json would have; many texts are in test_tokenizer_parity.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "text/piece_model.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 1024 };

typedef struct bench {
    arena *memory;
    vocabulary vocabulary;
    piece_model model;
    tkr_error error;
    bool good;
} bench;

static bench bench_new(const char *json)
{
    bench b = {.memory = arena_new(1 << 24)};
    json_t *object = json_parse_any(view_of(json), "test", &json_model_file, JSON_NUL_ALLOWED, &b.error);
    if (!object)
        fail_msg("%s", b.error.message);
    loader l = {.file = "tokenizer.json", .memory = b.memory, .error = &b.error};
    b.good = piece_model_load(&l, object, &b.vocabulary, &b.model);
    json_decref(object);
    return b;
}

static void bench_free(bench *b)
{
    piece_model_fini(&b->model);
    vocabulary_fini(&b->vocabulary);
    arena_free(b->memory);
}

/* "id:begin-end ..." of a piece. */
static void check(const char *json, const char *piece, const char *want)
{
    char shown[SHOWN] = "";
    bench b = bench_new(json);
    if (!b.good)
        fail_msg("%s", b.error.message);
    model_tokens found = {0};
    b.model.kind->run(b.model.data, &b.vocabulary, view_of(piece), &found);
    assert_false(found.failed);
    for (size_t i = 0, used = 0; i < found.count; i++)
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%d:%u-%u", i ? " " : "", found.items[i].id,
                                 found.items[i].begin, found.items[i].end);
    assert_string_equal(shown, want);
    model_tokens_fini(&found);
    bench_free(&b);
}

static void check_refused(const char *json, tkr_status code, const char *message)
{
    bench b = bench_new(json);
    assert_false(b.good);
    assert_string_equal(b.error.message, message);
    assert_int_equal(b.error.code, code);
    bench_free(&b);
}

#define UNRELATED_PIECES \
    "\"vocab\":{\"u\":0,\"n\":1,\"r\":2,\"e\":3,\"l\":4,\"a\":5,\"t\":6,\"d\":7,\"re\":8,\"at\":9,\"ed\":10,\"un\":11," \
    "\"ated\":12,\"rel\":13,\"related\":14,\"unrelated\":15},"

static void test_bpe__merges_by_rank(void **state)
{
    (void)state;
    check("{\"type\":\"BPE\"," UNRELATED_PIECES "\"merges\":[\"r e\",\"a t\",\"e d\",\"u n\",\"at ed\",\"re l\",\"rel ated\","
          "\"un related\"]}",
          "unrelated", "15:0-9");
    check("{\"type\":\"BPE\"," UNRELATED_PIECES "\"merges\":[[\"r\",\"e\"],[\"a\",\"t\"],[\"re\",\"l\"]]}", "unrelated",
          "0:0-1 1:1-2 13:2-5 9:5-7 3:7-8 7:8-9");
    check("{" UNRELATED_PIECES "\"merges\":[]}", "unread", "0:0-1 1:1-2 2:2-3 3:3-4 5:4-5 7:5-6"); /* no type: by its fields */
    /* of equal ranks the leftmost */
    check("{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"aa\":1},\"merges\":[\"a a\"]}", "aaa", "1:0-2 0:2-3");
}

static void test_bpe__unknown_characters(void **state)
{
    (void)state;
    const char *apart = "{\"type\":\"BPE\",\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2},\"merges\":[],\"unk_token\":\"<unk>\"}";
    const char *fused = "{\"type\":\"BPE\",\"vocab\":{\"<unk>\":0,\"a\":1,\"b\":2},\"merges\":[],\"unk_token\":\"<unk>\","
                        "\"fuse_unk\":true}";
    const char *none = "{\"type\":\"BPE\",\"vocab\":{\"a\":1,\"b\":2},\"merges\":[],\"unk_token\":null}";
    check(apart, "accb", "1:0-1 0:1-2 0:2-3 2:3-4");
    check(fused, "accb", "1:0-1 0:1-3 2:3-4");
    check(fused, "cc", "0:0-2");
    check(none, "accb", "1:0-1 2:1-2"); /* vanished, and what follows moves */
    check(none, "cc", "");
}

static void test_bpe__falls_back_on_bytes(void **state)
{
    (void)state;
    const char *model = "{\"type\":\"BPE\",\"vocab\":{\"<unk>\":0,\"<0x61>\":1,\"<0xC3>\":2,\"<0xA9>\":3,\"<0x0A>\":4,\"<0x-1>\":5,"
                        "\"<0xZZ>\":6,\"<0x100>\":7},\"merges\":[],\"unk_token\":\"<unk>\",\"byte_fallback\":true}";
    check(model, "a", "1:0-1");
    check(model, "\n", "4:0-1");
    check(model, "c", "0:0-1");
    check(model, "\xC3\xA9", "2:0-1 3:1-2");
    check(model, "b\xC3\xA9", "2:0-1 3:1-2 0:2-3"); /* what is unknown waits for the next known character */
    check(model, "\xC3\xA8", "0:0-2");               /* one of its bytes is no token */
}

static void test_bpe__affixes(void **state)
{
    (void)state;
    const char *prefixed = "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"##b\":1,\"##c\":2,\"ab\":3,\"abc\":4},"
                           "\"merges\":[\"a ##b\",\"ab ##c\"],\"continuing_subword_prefix\":\"##\"}";
    const char *ended = "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"b</w>\":2,\"ab</w>\":3},\"merges\":[\"a b</w>\"],"
                        "\"end_of_word_suffix\":\"</w>\",\"continuing_subword_prefix\":\"\"}";
    check(prefixed, "ab", "3:0-2");
    check(prefixed, "abc", "4:0-3");
    check(ended, "ab", "3:0-2");
    check(ended, "abb", "0:0-1 1:1-2 2:2-3");
}

static void test_bpe__ignore_merges(void **state)
{
    (void)state;
#define DOTS(flag) \
    "{\"type\":\"BPE\",\"vocab\":{\".:.:\":0,\".\":1,\":\":2,\".:\":3},\"merges\":[\". :\"],\"ignore_merges\":" flag "}"
    check(DOTS("true"), ".:.:", "0:0-4");
    check(DOTS("false"), ".:.:", "3:0-2 3:2-4");
}

static void test_bpe__refuses_bad_merges(void **state)
{
    (void)state;
#define MODEL(more) "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"#\":3}," more "}"
    check_refused(MODEL("\"merges\":[\"a z\"]"), TKR_E_TOK_MERGE, "tokenizer.json: merge 0 \"a z\": \"z\" is not in the vocabulary");
    check_refused(MODEL("\"merges\":[\"a b\",\"b a\"]"), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 1 \"b a\": \"ba\" is not in the vocabulary");
    check_refused(MODEL("\"merges\":[\"a\"]"), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 0 is \"a\"; it must be two pieces with one space between them");
    check_refused(MODEL("\"merges\":[\"a b a\"]"), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 0 is \"a b a\"; it must be two pieces with one space between them");
    check_refused(MODEL("\"merges\":[[\"a\",\"\"]]"), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 0 must be two pieces: \"a b\" or [\"a\", \"b\"]");
    check_refused(MODEL("\"merges\":[7]"), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 0 must be two pieces: \"a b\" or [\"a\", \"b\"]");
    check_refused(MODEL("\"merges\":[\"a b\",\"a b\"]"), TKR_E_TOK_MERGE, "tokenizer.json: merge 1 \"a b\" repeats merge 0");
    check_refused(MODEL("\"merges\":{}"), TKR_E_JSON_TYPE, "tokenizer.json: merges is an object; it must be an array");
    check_refused(MODEL("\"merges\":[\"a b\"],\"continuing_subword_prefix\":\"##\""), TKR_E_TOK_MERGE,
                  "tokenizer.json: merge 0 \"a b\": \"b\" does not begin with the continuing_subword_prefix");
    check_refused(MODEL("\"merges\":[],\"unk_token\":\"<unk>\""), TKR_E_TOK_MERGE,
                  "tokenizer.json: unk_token \"<unk>\" is not in the vocabulary");
    check_refused(MODEL("\"merges\":[],\"dropout\":0.1"), TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: dropout of the model is 0.1; only null and 0 are supported");
    check_refused(MODEL("\"merges\":[],\"byte_fallback\":true,\"end_of_word_suffix\":\"#\""), TKR_E_UNSUPPORTED_TOK_PART,
                  "tokenizer.json: byte_fallback together with continuing_subword_prefix or end_of_word_suffix is not supported");
}

/* ---- long pieces -------------------------------------------------------------------------------------------------- */

#define LADDER \
    "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"bc\":4,\"aa\":5,\"abc\":6,\"aab\":7,\"ca\":8,\"bcab\":9," \
    "\"cca\":10,\"aaaa\":11},\"merges\":[\"b c\",\"a b\",\"a a\",\"ab c\",\"aa b\",\"c a\",\"bc ab\",\"c ca\",\"aa aa\",\"a bc\"]}"

/* The merges of LADDER in order: ids left, right, both. */
static const int32_t ladder[][3] = {{1, 2, 4}, {0, 1, 3}, {0, 0, 5}, {3, 2, 6}, {5, 1, 7},
                                    {2, 0, 8}, {4, 3, 9}, {2, 8, 10}, {5, 5, 11}, {0, 4, 6}};

/* What the definition says, without any cleverness. */
static size_t merge_slowly(int32_t *ids, size_t count)
{
    for (bool merged = true; merged;) {
        merged = false;
        for (size_t rank = 0; rank < sizeof(ladder) / sizeof(ladder[0]) && !merged; rank++) {
            for (size_t i = 0; i + 1 < count && !merged; i++) {
                if (ids[i] != ladder[rank][0] || ids[i + 1] != ladder[rank][1])
                    continue;
                ids[i] = ladder[rank][2];
                memmove(ids + i + 1, ids + i + 2, (count - i - 2) * sizeof *ids);
                count--;
                merged = true;
            }
        }
    }
    return count;
}

static void test_bpe__long_and_short_pieces_agree_with_the_definition(void **state)
{
    (void)state;
    enum { MOST = 300 };
    random_key key = {.seed = 7};
    uint64_t drawn = 0;
    bench b = bench_new(LADDER);
    assert_true(b.good);
    for (int round = 0; round < 300; round++) {
        char text[MOST];
        int32_t ids[MOST];
        size_t size = 1 + random_below(key, drawn++, round % 2 ? 60 : MOST);
        for (size_t i = 0; i < size; i++) {
            ids[i] = (int32_t)random_below(key, drawn++, 3);
            text[i] = (char)('a' + ids[i]);
        }
        model_tokens found = {0};
        b.model.kind->run(b.model.data, &b.vocabulary, (view){text, size}, &found);
        size_t count = merge_slowly(ids, size);
        assert_int_equal(found.count, count);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(found.items[i].id, ids[i]);
        assert_int_equal(found.items[count - 1].end, size);
        model_tokens_fini(&found);
    }
    bench_free(&b);
}

static double seconds_of(bench *b, char letter, size_t size)
{
    char *text = NEW(char, size);
    assert_non_null(text);
    memset(text, letter, size);
    model_tokens found = {0};
    double begun = clock_seconds();
    b->model.kind->run(b->model.data, &b->vocabulary, (view){text, size}, &found);
    double passed = clock_seconds() - begun;
    assert_false(found.failed);
    assert_int_equal(found.items[found.count - 1].end, size);
    model_tokens_fini(&found);
    memory_free(text);
    return passed;
}

static void test_bpe__one_endless_word_takes_no_more_than_a_moment(void **state)
{
    (void)state;
    bench b = bench_new(LADDER);
    assert_true(seconds_of(&b, 'a', 1 << 20) < 4.0); /* 0.2 s; a quadratic loop takes hours */
    assert_true(seconds_of(&b, 'c', 1 << 20) < 4.0);
    bench_free(&b);
}

static void test_bpe__every_allocation_may_fail(void **state)
{
    (void)state;
    bench b = bench_new(LADDER);
    char text[200];
    memset(text, 'a', sizeof text);
    for (uint64_t nth = 1; nth <= 6; nth++) {
        model_tokens found = {0};
        memory_fail_at(nth, 0);
        b.model.kind->run(b.model.data, &b.vocabulary, (view){text, sizeof text}, &found);
        uint64_t made = memory_allocations();
        memory_fail_at(0, 0);
        assert_int_equal(found.failed, made >= nth);
        model_tokens_fini(&found);
    }
    bench_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bpe__merges_by_rank),
        cmocka_unit_test(test_bpe__unknown_characters),
        cmocka_unit_test(test_bpe__falls_back_on_bytes),
        cmocka_unit_test(test_bpe__affixes),
        cmocka_unit_test(test_bpe__ignore_merges),
        cmocka_unit_test(test_bpe__refuses_bad_merges),
        cmocka_unit_test(test_bpe__long_and_short_pieces_agree_with_the_definition),
        cmocka_unit_test(test_bpe__one_endless_word_takes_no_more_than_a_moment),
        cmocka_unit_test(test_bpe__every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("bpe", tests, NULL, NULL);
}
