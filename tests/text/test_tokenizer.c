/*
 * Opening tokenizers from folders that the tests write: the files that count, what is refused and how, settings.  Exactness on
 * many texts is in test_tokenizer_parity.c, what an open one does with a text in test_encoding.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tokray/session.h>

#include "base/folder.h"
#include "base/memory.h"
#include "support/workplace.h"
#include "text/made_tokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void test_tokenizer__answers_questions(void **state)
{
    (void)state;
    tokenizer *t = open_good(usual);
    assert_string_equal(tokenizer_file(t), "tokenizer.json");
    assert_int_equal(strlen(tokenizer_sha256(t)), 64);
    assert_int_equal(tokenizer_id(t, VIEW("##ab")), 9);
    assert_int_equal(tokenizer_id(t, VIEW("zz")), -1);
    assert_string_equal(tokenizer_piece(t, 9), "##ab");
    assert_null(tokenizer_piece(t, 11));
    assert_null(tokenizer_piece(t, -5));
    assert_int_equal(tokenizer_limit(t), 11);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_MASK), 4);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_UNK), 1);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_BOS), -1);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_OTHER), -1);
    assert_int_equal(tokenizer_role(t, 3), TKR_SPECIAL_SEP);
    assert_int_equal(tokenizer_role(t, 5), TKR_SPECIAL_NONE);
    assert_true(tokenizer_is_ordinary(t, 5));
    assert_false(tokenizer_is_ordinary(t, 4) || tokenizer_is_ordinary(t, 11));
    assert_true(tokenizer_uses_segments(t));
    assert_int_equal(tokenizer_max_length(t), 0);
    assert_null(tokenizer_note(t, 0));
    tokenizer_free(t);
    tokenizer_free(NULL);
}

static void test_tokenizer__no_tokenizer_in_the_folder(void **state)
{
    (void)state;
    tkr_error error = {0};
    assert_null(open_files((file_text[]){{"config.json", "{}"}, {0}}, &error));
    assert_int_equal(error.code, TKR_E_TOK_NOT_FOUND);
    assert_non_null(strstr(error.message, "no tokenizer.json, vocab.txt, vocab.json or SentencePiece file"));
}

static void test_tokenizer__unknown_parts_are_named(void **state)
{
    (void)state;
    parts p = usual;
    p.model = "{\"type\":\"Foo\",\"vocab\":{},\"merges\":[]}";
    tkr_error error = {0};
    check_error(open_parts(p, &error), &error, TKR_E_UNSUPPORTED_TOK_PART,
                "tokenizer.json: model type \"Foo\" is not supported");
    assert_non_null(strstr(error.facts, "supported: BPE, "));
    p = usual, p.pretokenizer = "{\"type\":\"Foo\"}";
    check_parts(p, TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: pre_tokenizer type \"Foo\" is not supported");
    p = usual, p.post = "{\"type\":\"Foo\"}";
    check_parts(p, TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: post_processor type \"Foo\" is not supported");
    p = usual, p.decoder = "{\"type\":\"Foo\"}";
    check_parts(p, TKR_E_UNSUPPORTED_TOK_PART, "tokenizer.json: decoder type \"Foo\" is not supported");
    check_files((file_text[]){{"tokenizer.json", "{\"version\":\"2.0\",\"model\":{}}"}, {0}}, TKR_E_UNSUPPORTED_TOK_PART,
                "tokenizer.json: version \"2.0\" is not supported");
    check_files((file_text[]){{"tokenizer.json", "{}"}, {0}}, TKR_E_JSON_TYPE,
                "tokenizer.json: model is missing; it must be an object");
}

static void test_tokenizer__bad_vocabularies(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        tkr_status code;
        const char *message;
    } cases[] = {
        {WORDPIECE("\"ab\":-1", ""), TKR_E_TOK_ID, "id of \"ab\" is -1; it must be 0 to 2097151"},
        {WORDPIECE("\"ab\":1.5", ""), TKR_E_TOK_ID, "id of \"ab\" is 1.5; it must be 0 to 2097151"},
        {WORDPIECE("\"ab\":\"3\"", ""), TKR_E_TOK_ID, "id of \"ab\" is \"3\"; it must be 0 to 2097151"},
        {WORDPIECE("\"ab\":4294967295", ""), TKR_E_TOK_ID, "id of \"ab\" is 4294967295; it must be 0 to 2097151"},
        {WORDPIECE("\"ab\":null", ""), TKR_E_TOK_ID, "id of \"ab\" is null; it must be 0 to 2097151"},
        {WORDPIECE("\"a\":0,\"b\":0", ""), TKR_E_TOK_DUPLICATE, "\"a\" and \"b\" both have id 0"},
        {WORDPIECE("\"a\":0", ""), TKR_E_TOK_WORDPIECE, "unk_token \"[UNK]\" is not in the vocabulary"},
        {WORDPIECE(PIECES, "\"max_input_chars_per_word\":0,"), TKR_E_TOK_WORDPIECE,
         "max_input_chars_per_word 0; it must be 1 to 10000"},
        {WORDPIECE(PIECES, "\"max_input_chars_per_word\":10001,"), TKR_E_TOK_WORDPIECE,
         "max_input_chars_per_word 10001; it must be 1 to 10000"},
        {WORDPIECE(PIECES, "\"continuing_subword_prefix\":\"12345678901234567\","), TKR_E_TOK_WORDPIECE,
         "continuing_subword_prefix \"12345678901234567\" has 17 bytes; it must be at most 16"},
        {"{\"type\":\"WordPiece\",\"vocab\":[]}", TKR_E_JSON_TYPE, "vocab of the model is an array; it must be an object"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char want[200];
        parts p = usual;
        p.model = cases[i].model;
        snprintf(want, sizeof want, "tokenizer.json: %s", cases[i].message);
        check_parts(p, cases[i].code, want);
    }
}

static void test_tokenizer__long_pieces(void **state)
{
    (void)state;
    char model[12000], piece[5001];
    memset(piece, 'x', 5000);
    piece[5000] = '\0';
    snprintf(model, sizeof model, WORDPIECE(PIECES ",\"%s\":11", ""), piece);
    tkr_error error = {0};
    parts p = usual;
    p.model = model;
    assert_null(open_parts(p, &error));
    assert_int_equal(error.code, TKR_E_LIMIT_TOKENIZER);
    piece[4096] = '\0';
    snprintf(model, sizeof model, WORDPIECE(PIECES ",\"%s\":11", ""), piece);
    tokenizer_free(open_good(p));
}

static void test_tokenizer__model_without_type_and_wordlevel(void **state)
{
    (void)state;
    parts p = usual;
    p.model = "{\"unk_token\":\"[UNK]\",\"continuing_subword_prefix\":\"##\",\"max_input_chars_per_word\":3,\"vocab\":{" PIECES
              "}}";
    tokenizer *t = open_good(p);
    check_encode(t, "aab aabb", (encode_options){.no_special = true}, "5:0-1:0 9:1-3:0 1:4-8:1");
    tokenizer_free(t);
    p.model = "{\"type\":\"WordLevel\",\"unk_token\":\"[UNK]\",\"vocab\":{" PIECES "}}";
    t = open_good(p);
    check_encode(t, "a ab", (encode_options){.no_special = true}, "5:0-1:0 1:2-4:1");
    tokenizer_free(t);
}

static void test_tokenizer__every_cut_file_is_refused(void **state)
{
    (void)state;
    char *text = parts_text(usual);
    size_t size = strlen(text);
    for (size_t i = 0; i < 50; i++) {
        tkr_error error = {0};
        char *cut = strndup(text, size * i / 50);
        assert_null(open_files((file_text[]){{"tokenizer.json", cut}, {0}}, &error));
        assert_int_equal(error.code, TKR_E_JSON_SYNTAX);
        free(cut);
    }
    free(text);
}

static void test_tokenizer__deep_nesting_is_refused(void **state)
{
    (void)state;
    enum { DEEP = 300 };
    char *deep = malloc(DEEP * 64);
    assert_non_null(deep);
    deep[0] = '\0';
    for (int i = 0; i < DEEP; i++)
        strcat(deep, "{\"type\":\"Sequence\",\"normalizers\":[");
    for (int i = 0; i < DEEP; i++)
        strcat(deep, "]}");
    parts p = usual;
    p.model = deep;
    tkr_error error = {0};
    assert_null(open_parts(p, &error));
    assert_int_equal(error.code, TKR_E_JSON_DEPTH);
    free(deep);
}

/* ---- vocab.txt --------------------------------------------------------------------------------------------------- */

#define LINES "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\nb\n##a\n##b\n"

static void test_vocab_txt__builds_a_bert(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_files((file_text[]){{"vocab.txt", LINES}, {0}}, &error);
    assert_non_null(t);
    assert_string_equal(tokenizer_file(t), "vocab.txt");
    check_encode(t, "Ab [MASK]", (encode_options){0}, "2:-1--1:-1 5:0-1:0 8:1-2:0 4:3-9:1 3:-1--1:-1");
    assert_int_equal(tokenizer_role(t, 4), TKR_SPECIAL_MASK);
    tokenizer_free(t);
    t = open_files((file_text[]){{"vocab.txt", "[PAD]\r\n[UNK]\r\n\r\n[CLS]\r\n\r\n[SEP]\r\na"}, {0}}, &error);
    assert_non_null(t);
    assert_int_equal(tokenizer_id(t, VIEW("[SEP]")), 5); /* empty lines count */
    assert_int_equal(tokenizer_id(t, VIEW("a")), 6);
    tokenizer_free(t);
}

static void test_vocab_txt__settings_beside_it(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_files((file_text[]){{"vocab.txt", LINES "A\n<m>\n"},
                                            {"tokenizer_config.json",
                                             "{\"do_lower_case\":false,\"model_max_length\":1000000000000000019884624838656,"
                                             "\"mask_token\":{\"content\":\"<m>\",\"lstrip\":true},"
                                             "\"model_input_names\":[\"input_ids\"]}"},
                                            {0}},
                              &error);
    if (!t)
        fail_msg("%s", error.message);
    check_encode(t, "A  <m>", (encode_options){.no_special = true}, "9:0-1:0 10:1-6:1");
    assert_int_equal(tokenizer_role(t, 10), TKR_SPECIAL_MASK);
    assert_int_equal(tokenizer_max_length(t), 0);
    assert_false(tokenizer_uses_segments(t));
    tokenizer_free(t);
}

static void test_vocab_txt__refusals(void **state)
{
    (void)state;
    check_files((file_text[]){{"vocab.txt", "[UNK]\na\nb\na\n"}, {0}}, TKR_E_TOK_DUPLICATE,
                "vocab.txt: line 4 repeats line 2: \"a\"");
    check_files((file_text[]){{"vocab.txt", ""}, {0}}, TKR_E_TOK_WORDPIECE, "vocab.txt: empty file");
    check_files((file_text[]){{"vocab.txt", "[UNK]\na\xFF\n"}, {0}}, TKR_E_TOK_WORDPIECE,
                "vocab.txt: line 2 is not UTF-8: \"a\\xFF\"");
    check_files((file_text[]){{"vocab.txt", "a\nb\n"}, {0}}, TKR_E_TOK_WORDPIECE,
                "vocab.txt: unk_token \"[UNK]\" is not in the vocabulary");
    check_files((file_text[]){{"vocab.txt", "[UNK]\n[CLS]\na\n"}, {0}}, TKR_E_TOK_TEMPLATE,
                "vocab.txt: template needs a token that is not in the vocabulary: \"[SEP]\"");
    char *line = malloc((5 << 20) + 1);
    assert_non_null(line);
    memset(line, 'x', 5 << 20);
    line[5 << 20] = '\0';
    check_files((file_text[]){{"vocab.txt", line}, {0}}, TKR_E_LIMIT_TOKENIZER,
                "vocab.txt: line 1: the limits are 2097152 lines of 4096 bytes");
    free(line);
}

/* ---- settings ---------------------------------------------------------------------------------------------------- */

static tokenizer *open_with_config(parts p, const char *name, const char *config, tkr_error *error)
{
    char *text = parts_text(p);
    tokenizer *t = open_files((file_text[]){{"tokenizer.json", text}, {name, config}, {0}}, error);
    free(text);
    return t;
}

static void check_config(const char *config, tkr_status code, const char *message)
{
    tkr_error error = {0};
    check_error(open_with_config(usual, "tokenizer_config.json", config, &error), &error, code, message);
}

static void test_settings__overrule_and_note(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_with_config(usual, "tokenizer_config.json",
                                    "{\"do_lower_case\":false,\"model_max_length\":64,\"pad_token\":\"a\","
                                    "\"eos_token\":\"[NEW]\",\"cls_token\":null}",
                                    &error);
    if (!t)
        fail_msg("%s", error.message);
    check_encode(t, "B b", (encode_options){.no_special = true}, "1:0-1:0 6:2-3:1");
    assert_int_equal(tokenizer_max_length(t), 64);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_PAD), 5);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_CLS), 2);
    assert_int_equal(tokenizer_role_id(t, TKR_SPECIAL_EOS), -1);
    assert_string_equal(tokenizer_note(t, 0),
                        "tokenizer_config.json: do_lower_case false overrules the normalizer of tokenizer.json");
    assert_string_equal(tokenizer_note(t, 1),
                        "tokenizer_config.json: special token \"[NEW]\" is not in the vocabulary; it is left out");
    tokenizer_free(t);
}

static void test_settings__a_length_no_text_has_is_none(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_with_config(usual, "tokenizer_config.json", "{\"model_max_length\":100000000000000000}", &error);
    assert_non_null(t);
    assert_int_equal(tokenizer_max_length(t), 0);
    tokenizer_free(t);
}

static void test_settings__added_tokens_of_both_files(void **state)
{
    (void)state;
    tkr_error error = {0};
    tokenizer *t = open_with_config(usual, "tokenizer_config.json",
                                    "{\"added_tokens_decoder\":{\"12\":{\"content\":\"<y>\"},\"11\":{\"content\":\"<x>\","
                                    "\"special\":true},\"4\":{\"content\":\"[MASK]\",\"lstrip\":true,\"special\":true}}}",
                                    &error);
    if (!t)
        fail_msg("%s", error.message);
    check_encode(t, "a [MASK]<x> <y>", (encode_options){.no_special = true}, "5:0-1:0 4:1-8:1 11:8-11:2 12:12-15:3");
    assert_int_equal(tokenizer_role(t, 11), TKR_SPECIAL_OTHER);
    assert_int_equal(tokenizer_role(t, 12), TKR_SPECIAL_NONE);
    assert_int_equal(tokenizer_limit(t), 13);
    tokenizer_free(t);
    t = open_with_config(usual, "added_tokens.json", "{\"<y>\":12,\"<x>\":11}", &error);
    assert_non_null(t);
    assert_int_equal(tokenizer_id(t, VIEW("<y>")), 12);
    tokenizer_free(t);
}

static void test_settings__refusals(void **state)
{
    (void)state;
    check_config("{\"model_max_length\":\"512\"}", TKR_E_JSON_TYPE,
                 "tokenizer_config.json: model_max_length is a string; it must be a number");
    check_config("{\"model_max_length\":-3}", TKR_E_CONFIG_RANGE,
                 "tokenizer_config.json: model_max_length is -3; it must be at least 1");
    check_config("{\"cls_token\":3}", TKR_E_JSON_TYPE, "tokenizer_config.json: cls_token is a number; it must be a string");
    check_config("{\"do_lower_case\":\"yes\"}", TKR_E_JSON_TYPE,
                 "tokenizer_config.json: do_lower_case is a string; it must be true or false");
    check_config("{\"added_tokens_decoder\":{\"x\":{\"content\":\"q\"}}}", TKR_E_TOK_ID,
                 "tokenizer_config.json: added_tokens_decoder has id \"x\"; it must be 0 to 2097151");
    check_config("{\"added_tokens_decoder\":{\"3\":{\"content\":\"[MASK]\"}}}", TKR_E_TOK_ADDED,
                 "tokenizer_config.json: added token \"[MASK]\" wants id 3, tokenizer.json gives it 4");
    check_config("{\"added_tokens_decoder\":[]}", TKR_E_JSON_TYPE,
                 "tokenizer_config.json: added_tokens_decoder is an array; it must be an object");
    tkr_error error = {0};
    check_error(open_with_config(usual, "added_tokens.json", "{\"<y>\":-1}", &error), &error, TKR_E_TOK_ID,
                "added_tokens.json: id of \"<y>\" must be a whole number from 0 to 2097151");
}

/* ---- memory ----------------------------------------------------------------------------------------------------- */

static void test_tokenizer__survives_every_failed_allocation(void **state)
{
    (void)state;
    char path[WORK_PATH], *text = parts_text(usual);
    assert_true(work_folder_new(path) && work_write_text(path, "tokenizer.json", text) &&
                work_write_text(path, "tokenizer_config.json", "{\"added_tokens_decoder\":{\"11\":{\"content\":\"Ne\"}}}"));
    free(text);
    folder *f = folder_open(path, false, NULL);
    assert_non_null(f);
    uint64_t held = tkr_memory_now();
    bool done = false;
    uint64_t nth = 0;
    while (!done) {
        tkr_error error = {0};
        memory_fail_at(++nth, 0);
        tokenizer *t = tokenizer_open(f, "bert", false, &error);
        tkr_encoding *e = t ? tokenizer_encode(t, VIEW("ab n\xC3\xA9 [MASK]"), (encode_options){0}, &error) : NULL;
        buffer out;
        buffer_init(&out, 1000);
        int32_t ids[] = {5, 9, 11};
        tkr_status status = t ? tokenizer_decode(t, ids, 3, true, &out, &error) : TKR_E_LIMIT_OOM;
        done = memory_allocations() < nth;
        memory_fail_at(0, 0);
        if (done != (error.code == TKR_OK))
            fail_msg("allocation %llu: %s", (unsigned long long)nth, error.message);
        assert_true(done == (e && status == TKR_OK));
        assert_true(done || error.code == TKR_E_LIMIT_OOM);
        buffer_fini(&out);
        tkr_encoding_free(e);
        tokenizer_free(t);
        assert_int_equal(tkr_memory_now(), held);
    }
    assert_true(nth > 50);
    folder_close(f);
    assert_true(work_folder_remove(path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokenizer__answers_questions),
        cmocka_unit_test(test_tokenizer__no_tokenizer_in_the_folder),
        cmocka_unit_test(test_tokenizer__unknown_parts_are_named),
        cmocka_unit_test(test_tokenizer__bad_vocabularies),
        cmocka_unit_test(test_tokenizer__long_pieces),
        cmocka_unit_test(test_tokenizer__model_without_type_and_wordlevel),
        cmocka_unit_test(test_tokenizer__every_cut_file_is_refused),
        cmocka_unit_test(test_tokenizer__deep_nesting_is_refused),
        cmocka_unit_test(test_vocab_txt__builds_a_bert),
        cmocka_unit_test(test_vocab_txt__settings_beside_it),
        cmocka_unit_test(test_vocab_txt__refusals),
        cmocka_unit_test(test_settings__overrule_and_note),
        cmocka_unit_test(test_settings__a_length_no_text_has_is_none),
        cmocka_unit_test(test_settings__added_tokens_of_both_files),
        cmocka_unit_test(test_settings__refusals),
        cmocka_unit_test(test_tokenizer__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
