/*
 * Tokenizers around a vocab.json and a merges.txt, and what byte-level tokenizers do as a whole: families, special tokens,
 * offsets, expressions that are too expensive, endless words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <tokray/session.h>
#include <tokray/text.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/memory.h"
#include "support/workplace.h"
#include "text/tokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 1024 };

#define G "\xC4\xA0" /* a space */
/* l o w e r s t i d n, a space, and what the merges make of them. */
#define LOWER \
    "\"l\":0,\"o\":1,\"w\":2,\"e\":3,\"r\":4,\"s\":5,\"t\":6,\"i\":7,\"d\":8,\"n\":9,\"" G "\":10,\"" G "l\":11,\"" G "n\":12,\"" G "lo\":13," \
    "\"" G "low\":14,\"er\":15"
#define MERGES "#version: 0.2\n" G " l\n" G "l o\n" G "lo w\ne r\n"
#define MERGES_LIST "\"" G " l\",\"" G "l o\",\"" G "lo w\",\"e r\""

typedef struct file_text {
    const char *name, *text;
} file_text;

static tokenizer *open_files(const char *family, const file_text *files, tkr_error *error)
{
    char path[WORK_PATH];
    assert_true(work_folder_new(path));
    for (; files->name; files++)
        assert_true(work_write_text(path, files->name, files->text));
    folder *f = folder_open(path, false, error);
    tokenizer *t = f ? tokenizer_open(f, family, false, error) : NULL;
    folder_close(f);
    assert_true(work_folder_remove(path));
    return t;
}

static tokenizer *open_good(const char *family, const file_text *files)
{
    tkr_error error = {0};
    tokenizer *t = open_files(family, files, &error);
    if (!t)
        fail_msg("%s", error.message);
    return t;
}

/* "id:begin-end:segment ..." */
static void check(const tokenizer *t, const char *text, const char *pair, const char *want)
{
    char shown[SHOWN] = "";
    view second = view_of(pair ? pair : "");
    tkr_encoding *e = tokenizer_encode(t, view_of(text), (encode_options){.pair = pair ? &second : NULL}, NULL);
    assert_non_null(e);
    for (size_t i = 0, used = 0; i < e->count; i++)
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%d:%lld-%lld:%d", i ? " " : "", e->tokens[i].id,
                                 (long long)e->tokens[i].begin, (long long)e->tokens[i].end, e->tokens[i].segment);
    assert_string_equal(shown, want);
    tkr_encoding_free(e);
}

static void check_files(const char *family, const file_text *files, const char *text, const char *pair, const char *want)
{
    tokenizer *t = open_good(family, files);
    check(t, text, pair, want);
    tokenizer_free(t);
}

static void test_tokenizer_bytes__gpt2_from_vocabulary_and_merges(void **state)
{
    (void)state;
    const file_text files[] = {{"vocab.json", "{" LOWER ",\"<|endoftext|>\":16}"}, {"merges.txt", MERGES}, {0}};
    tokenizer *t = open_good("gpt2", files);
    check(t, "lower newer", NULL, "0:0-1:0 1:1-2:0 2:2-3:0 15:3-5:0 10:5-6:0 9:6-7:0 3:7-8:0 2:8-9:0 15:9-11:0");
    check(t, "x low<|endoftext|>", "er", "14:1-5:0 16:5-18:0 15:0-2:1"); /* x is not in the vocabulary and there is no unknown token */
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_BOS), 16);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_EOS), 16);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_UNK), 16);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_PAD), -1);
    assert_string_equal(tokenizer_file(t), "vocab.json");
    tokenizer_free(t);
}

static void test_tokenizer_bytes__line_ends_marks_and_empty_lines(void **state)
{
    (void)state;
    static const char *const variants[] = {
        MERGES, "\xEF\xBB\xBF" MERGES, "#version: 0.2\r\n" G " l\r\n" G "l o\r\n\r\n" G "lo w\r\ne r\r\n", G " l\n" G "l o\n\n" G "lo w\ne r",
    };
    for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
        check_files("gpt2", (file_text[]){{"vocab.json", "{" LOWER "}"}, {"merges.txt", variants[i]}, {0}}, " lower", NULL,
                    "14:0-4:0 15:4-6:0");
}

static void test_tokenizer_bytes__families(void **state)
{
    (void)state;
    const file_text merges = {"merges.txt", MERGES};
    const file_text roberta = {"vocab.json", "{" LOWER ",\"<s>\":16,\"</s>\":17,\"<pad>\":18,\"<unk>\":19,\"<mask>\":20}"};
    const file_text plain = {"vocab.json", "{" LOWER ",\"</s>\":16}"};
    const file_text bare = {"vocab.json", "{" LOWER "}"};
    const file_text spaced = {"tokenizer_config.json", "{\"add_prefix_space\":true,\"tokenizer_class\":\"RobertaTokenizerFast\"}"};
    const file_text bos = {"tokenizer_config.json", "{\"add_bos_token\":true,\"bos_token\":\"</s>\"}"};
    check_files("roberta", (file_text[]){roberta, merges, {0}}, "low <mask>er", "r",
                "16:-1--1:0 0:0-1:0 1:1-2:0 2:2-3:0 20:4-10:0 15:10-12:0 17:-1--1:0 17:-1--1:0 4:0-1:0 17:-1--1:0");
    check_files(NULL, (file_text[]){roberta, merges, {0}}, "er", NULL, "16:-1--1:0 15:0-2:0 17:-1--1:0"); /* by its tokens */
    check_files("other", (file_text[]){roberta, merges, spaced, {0}}, "low", NULL, "16:-1--1:0 14:0-3:0 17:-1--1:0");
    check_files("gpt2", (file_text[]){plain, merges, bos, {0}}, "er", "r", "16:-1--1:0 15:0-2:0 4:0-1:1");
    check_files("opt", (file_text[]){plain, merges, {0}}, "er", "r", "16:-1--1:0 15:0-2:0 16:-1--1:1 4:0-1:1");
    /* Qwen2's end of text is not in the vocabulary, it comes after it; NFC joins nothing here */
    check_files("qwen2", (file_text[]){bare, merges, {0}}, " low<|endoftext|>er", NULL, "14:0-4:0 16:4-17:0 15:17-19:0");
}

#define WHOLE(pre, post) \
    "{\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":" pre "},\"post_processor\":" post \
    ",\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{" LOWER ",\"\xC4\x8A\":16},\"merges\":[" MERGES_LIST "]}}"
#define TRIMMING(spaced) "{\"type\":\"ByteLevel\",\"add_prefix_space\":" spaced ",\"trim_offsets\":true}"

static void test_tokenizer_bytes__trims_offsets(void **state)
{
    (void)state;
    check_files("gpt2", (file_text[]){{"tokenizer.json", WHOLE("false", "null")}, {0}}, "er low", NULL, "15:0-2:0 14:2-6:0");
    check_files("gpt2", (file_text[]){{"tokenizer.json", WHOLE("false", TRIMMING("false"))}, {0}}, "er low", " low",
                "15:0-2:0 14:3-6:0 14:1-4:1");
    check_files("gpt2", (file_text[]){{"tokenizer.json", WHOLE("false", TRIMMING("true"))}, {0}}, " low low", NULL,
                "14:0-4:0 14:5-8:0"); /* the first keeps its space */
    check_files("gpt2", (file_text[]){{"tokenizer.json", WHOLE("true", TRIMMING("true"))}, {0}}, "\n\nr", NULL,
                "10:0-0:0 16:0-1:0 16:1-2:0 4:2-3:0");
}

static void test_tokenizer_bytes__settings_overrule_the_space(void **state)
{
    (void)state;
    const file_text files[] = {{"tokenizer.json", WHOLE("false", "null")}, {"tokenizer_config.json", "{\"add_prefix_space\":true}"}, {0}};
    tokenizer *t = open_good("gpt2", files);
    check(t, "low", NULL, "14:0-3:0");
    assert_string_equal(tokenizer_note(t, 0), "tokenizer_config.json: add_prefix_space true overrules the pre_tokenizer of tokenizer.json");
    tokenizer_free(t);
}

static void test_tokenizer_bytes__refuses(void **state)
{
    (void)state;
    static const struct {
        const char *vocabulary, *merges;
        tkr_status code;
        const char *message;
    } cases[] = {
        {"{\"a\":0}", "#version: 0.2\na\n", TKR_E_TOK_MERGE,
         "merges.txt: line 2 is \"a\"; it must be two pieces with one space between them"},
        {"{\"a\":0}", "a  b", TKR_E_TOK_MERGE, "merges.txt: line 1 is \"a  b\"; it must be two pieces with one space between them"},
        {"{\"a\":0}", "a b", TKR_E_TOK_MERGE, "merges.txt: merge 0 \"a b\": \"b\" is not in the vocabulary"},
        {"{\"a\":0,\"b\":0}", "", TKR_E_TOK_DUPLICATE, "vocab.json: \"a\" and \"b\" both have id 0"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        tkr_error error = {0};
        assert_null(open_files("gpt2", (file_text[]){{"vocab.json", cases[i].vocabulary}, {"merges.txt", cases[i].merges}, {0}}, &error));
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.code, cases[i].code);
    }
}

#define SPLIT(expression) \
    "{\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" expression "\"}}," \
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1},\"merges\":[]}}"

static void test_tokenizer_bytes__an_expensive_expression_is_given_up(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_good("gpt2", (file_text[]){{"tokenizer.json", SPLIT("(a+)+$")}, {0}});
    double begun = clock_seconds();
    assert_null(tokenizer_encode(t, VIEW("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), (encode_options){0}, &error));
    assert_true(clock_seconds() - begun < 2.0); /* 20 ms; without a limit it takes days */
    assert_string_equal(error.message, "text: pattern 0 gave up at byte 0 of the text");
    assert_int_equal(error.code, TKR_E_TIME_PATTERN);
    assert_int_equal(tkr_status_exit_code(error.code), 6);
    check(t, "ab", NULL, "0:0-1:0 1:1-2:0"); /* and the next text is none the worse for it */
    tokenizer_free(t);
}

static void test_tokenizer_bytes__endless_words(void **state)
{
    (void)state;
    static const char *const units[] = {"l", " ", "\xCC\x81", "lower", "\n"};
    tokenizer *t = open_good("gpt2", (file_text[]){{"tokenizer.json", WHOLE("false", TRIMMING("true"))}, {0}});
    size_t most = (size_t)1 << 20;
    char *text = NEW(char, most);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        size_t unit = strlen(units[i]), size = most / unit * unit;
        for (size_t at = 0; at < size; at += unit)
            memcpy(text + at, units[i], unit);
        double begun = clock_seconds();
        tkr_encoding *e = tokenizer_encode(t, (view){text, size}, (encode_options){0}, NULL);
        assert_non_null(e);
        assert_true(clock_seconds() - begun < 4.0); /* 0.2 s */
        tkr_encoding_free(e);
    }
    memory_free(text);
    tokenizer_free(t);
}

static void test_tokenizer_bytes__every_allocation_may_fail(void **state)
{
    (void)state;
    char path[WORK_PATH];
    assert_true(work_folder_new(path) && work_write_text(path, "vocab.json", "{" LOWER "}") && work_write_text(path, "merges.txt", MERGES));
    folder *f = folder_open(path, false, NULL);
    uint64_t held = tkr_memory_now();
    for (uint64_t nth = 1;; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tokenizer *t = tokenizer_open(f, "qwen2", true, &error);
        tkr_encoding *e = t ? tokenizer_encode(t, VIEW("lower <low newer"), (encode_options){0}, &error) : NULL;
        bool reached = memory_allocations() >= nth;
        memory_fail_at(0, 0);
        assert_int_equal(e == NULL, reached);
        assert_true(!reached || error.code != TKR_OK);
        tkr_encoding_free(e);
        tokenizer_free(t);
        assert_int_equal(tkr_memory_now(), held);
        if (!reached)
            break;
    }
    folder_close(f);
    assert_true(work_folder_remove(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer_bytes__gpt2_from_vocabulary_and_merges),
        cmocka_unit_test(test_tokenizer_bytes__line_ends_marks_and_empty_lines),
        cmocka_unit_test(test_tokenizer_bytes__families),
        cmocka_unit_test(test_tokenizer_bytes__trims_offsets),
        cmocka_unit_test(test_tokenizer_bytes__settings_overrule_the_space),
        cmocka_unit_test(test_tokenizer_bytes__refuses),
        cmocka_unit_test(test_tokenizer_bytes__an_expensive_expression_is_given_up),
        cmocka_unit_test(test_tokenizer_bytes__endless_words),
        cmocka_unit_test(test_tokenizer_bytes__every_allocation_may_fail),
    };
    return cmocka_run_group_tests_name("tokenizer_bytes", tests, NULL, NULL);
}
