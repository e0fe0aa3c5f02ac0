/*
 * Tokenizers from folders that the tests write: the files that count, what is refused and how, added tokens, templates,
 * cutting, limits.  Exactness on many texts is in test_tokenizer_parity.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tokray/session.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/random.h"
#include "support/workplace.h"
#include "text/tokenizer.h"

#include <cmocka.h> /* last: its macro fail() */

/* A small tokenizer.json; each part can be replaced by name. */
typedef struct parts {
    const char *added, *normalizer, *pretokenizer, *post, *decoder, *model;
} parts;

#define PIECES "\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"[MASK]\":4,\"a\":5,\"b\":6,\"##a\":7,\"##b\":8,\"##ab\":9,\"c\":10"
#define WORDPIECE(pieces, more) "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\"," more "\"vocab\":{" pieces "}}"
#define SPECIAL(id, text) "{\"id\":" #id ",\"content\":\"" text "\",\"special\":true,\"normalized\":false}"
#define BERT_POST "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}"

static const parts usual = {
    .added = "[" SPECIAL(0, "[PAD]") "," SPECIAL(1, "[UNK]") "," SPECIAL(2, "[CLS]") "," SPECIAL(3, "[SEP]") ","
             SPECIAL(4, "[MASK]") "]",
    .normalizer = "{\"type\":\"BertNormalizer\",\"lowercase\":true}",
    .pretokenizer = "{\"type\":\"BertPreTokenizer\"}",
    .post = BERT_POST,
    .decoder = "{\"type\":\"WordPiece\"}",
    .model = WORDPIECE(PIECES, ""),
};

static char *parts_text(parts p)
{
    size_t room = strlen(p.added) + strlen(p.model) + strlen(p.post) + 4096;
    char *text = malloc(room);
    assert_non_null(text);
    snprintf(text, room,
             "{\"version\":\"1.0\",\"truncation\":{\"max_length\":2},\"padding\":null,\"added_tokens\":%s,\"normalizer\":%s,"
             "\"pre_tokenizer\":%s,\"post_processor\":%s,\"decoder\":%s,\"model\":%s}",
             p.added, p.normalizer, p.pretokenizer, p.post, p.decoder, p.model);
    return text;
}

/* A folder with up to two files; a NULL name ends the list. */
typedef struct file_text {
    const char *name, *text;
} file_text;

static tokenizer *open_files(const file_text *files, tkr_error *error)
{
    char path[WORK_PATH];
    assert_true(work_folder_new(path));
    for (; files->name; files++)
        assert_true(work_write_text(path, files->name, files->text));
    folder *f = folder_open(path, false, error);
    tokenizer *t = f ? tokenizer_open(f, "bert", false, error) : NULL;
    folder_close(f);
    assert_true(work_folder_remove(path));
    return t;
}

static tokenizer *open_parts(parts p, tkr_error *error)
{
    char *text = parts_text(p);
    tokenizer *t = open_files((file_text[]){{"tokenizer.json", text}, {0}}, error);
    free(text);
    return t;
}

static tokenizer *open_good(parts p)
{
    tkr_error error = {0};
    tokenizer *t = open_parts(p, &error);
    if (!t)
        fail_msg("%s", error.message);
    return t;
}

static void check_error(tokenizer *t, const tkr_error *error, tkr_status code, const char *message)
{
    assert_null(t);
    assert_string_equal(error->message, message);
    assert_int_equal(error->code, code);
}

static void check_parts(parts p, tkr_status code, const char *message)
{
    tkr_error error = {0};
    check_error(open_parts(p, &error), &error, code, message);
}

static void check_files(const file_text *files, tkr_status code, const char *message)
{
    tkr_error error = {0};
    check_error(open_files(files, &error), &error, code, message);
}

/* "id:begin-end:word ..." of an encoding. */
static void show(const tkr_encoding *e, char *out, size_t room)
{
    out[0] = '\0';
    for (size_t i = 0, used = 0; i < e->count && used < room; i++) {
        const tkr_token *k = &e->tokens[i];
        used += (size_t)snprintf(out + used, room - used, "%s%d:%lld-%lld:%d", i ? " " : "", k->id,
                                 (long long)k->begin, (long long)k->end, k->word);
    }
}

static void check_encode(const tokenizer *t, const char *text, encode_options options, const char *want)
{
    char shown[1024];
    tkr_error error = {0};
    tkr_encoding *e = tokenizer_encode(t, view_of(text), options, &error);
    if (!e)
        fail_msg("%s", error.message);
    show(e, shown, sizeof shown);
    assert_string_equal(shown, want);
    tkr_encoding_free(e);
}

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
        show(e, shown, sizeof shown);
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
        cmocka_unit_test(test_tokenizer__survives_every_failed_allocation),
    };
    return cmocka_run_group_tests_name("tokenizer", tests, NULL, NULL);
}
