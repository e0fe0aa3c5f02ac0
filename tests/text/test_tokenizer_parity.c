/*
 * Tokenizers against committed answers of the reference: ids, strings, offsets, words, types and decoded text of every row.
 *
 * The rows are in <data>/tokenizers/<name>.jsonl.  The first line of a file names the folder or files the tokenizer is
 * made of: "models/bert-mlm/tokenizer.json", "models/bert-reg/(vocabulary files, no tokenizer.json)", single files
 * ("gpt2/vocab.json" and "gpt2/merges.txt", "albert/spiece.model"), or "bert-base-cased/vocab.txt (do_lower_case false)".
 * Every file must open and every row must agree.  <data> is TOKRAY_TEST_DATA and, when set, TOKRAY_ORACLE besides (a "where"
 * in the first line is looked up as ../data next to it).
 */
#include <dirent.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "support/workplace.h"
#include "text/tokenizer.h"

typedef struct parity_case {
    tokenizer *tokenizer;
    const char *name;
    size_t line, wrong;
    bool is_row_wrong;
} parity_case;

static size_t rows_checked, pairs_checked, files_checked, files_refused, rows_wrong;

/* ---- comparing one row ------------------------------------------------------------------------------------------- */

/* The first difference of each file is shown, the rest are counted. */
static void differ(parity_case *c, const json_t *row, const char *what)
{
    if (c->wrong == 0)
        print_message("# %s line %zu: %s differ for text \"%s\"\n", c->name, c->line, what,
                      json_string_value(json_object_get(row, "text")));
    c->wrong += !c->is_row_wrong;
    c->is_row_wrong = true;
}

static view string_of(const json_t *row, const char *key)
{
    const json_t *value = json_object_get(row, key);
    return (view){json_string_value(value), json_string_length(value)};
}

static bool is_int(const json_t *array, size_t index, int64_t value)
{
    const json_t *entry = json_array_get(array, index);
    return value < 0 ? json_is_null(entry) : json_is_integer(entry) && json_integer_value(entry) == value;
}

static bool same_offsets(const json_t *offsets, size_t index, const tkr_token *token)
{
    const json_t *both = json_array_get(offsets, index);
    int64_t begin = token->begin < 0 ? 0 : token->begin, end = token->end < 0 ? 0 : token->end;
    return is_int(both, 0, begin) && is_int(both, 1, end);
}

static void check_token(parity_case *c, const json_t *row, size_t i, const tkr_token *token)
{
    const json_t *sequence = json_object_get(row, "sequence");
    const char *want = json_string_value(json_array_get(json_object_get(row, "tokens"), i));
    if (!is_int(json_object_get(row, "ids"), i, token->id))
        differ(c, row, "ids");
    /* the reference's string of an added token is the text as found, ours the entry */
    bool is_added = !token->is_template && !tokenizer_is_ordinary(c->tokenizer, token->id);
    if (!want || (strcmp(want, token->raw) != 0 && !is_added))
        differ(c, row, "tokens");
    if (!same_offsets(json_object_get(row, "offsets"), i, token))
        differ(c, row, "offsets");
    if (json_object_get(row, "words") && !is_int(json_object_get(row, "words"), i, token->word))
        differ(c, row, "words");
    if (json_object_get(row, "types") && !is_int(json_object_get(row, "types"), i, token->segment))
        differ(c, row, "types");
    if (sequence && !is_int(sequence, i, token->text))
        differ(c, row, "sequences");
    if (token->is_template != (token->begin < 0) || token->is_template != (token->text < 0))
        differ(c, row, "template marks");
}

static void check_decode(parity_case *c, const json_t *row, const int32_t *ids, size_t count, bool skip,
                         const char *key)
{
    buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(tokenizer_decode(c->tokenizer, ids, count, skip, &out, NULL), TKR_OK);
    if (!view_equal(buffer_as_view(&out), string_of(row, key)))
        differ(c, row, key);
    buffer_fini(&out);
}

static void check_plain_ids(parity_case *c, const json_t *row)
{
    const json_t *want = json_object_get(row, "ids_no_special");
    tkr_encoding *e = tokenizer_encode(c->tokenizer, string_of(row, "text"), (encode_options){.no_special = true}, NULL);
    assert_non_null(e);
    bool same = e->count == json_array_size(want);
    for (size_t i = 0; same && i < e->count; i++)
        same = is_int(want, i, e->tokens[i].id);
    if (!same)
        differ(c, row, "ids_no_special");
    tkr_encoding_free(e);
}

static void check_row(parity_case *c, const json_t *row)
{
    view pair = string_of(row, "pair");
    bool is_pair = json_object_get(row, "pair") != NULL;
    tkr_error error = {0};
    tkr_encoding *e =
        tokenizer_encode(c->tokenizer, string_of(row, "text"), (encode_options){.pair = is_pair ? &pair : NULL}, &error);
    c->is_row_wrong = false;
    rows_checked++;
    pairs_checked += is_pair;
    if (!e) {
        differ(c, row, error.message);
        return;
    }
    bool same_count = e->count == json_array_size(json_object_get(row, "ids"));
    if (!same_count)
        differ(c, row, "counts");
    int32_t *ids = NEW(int32_t, e->count);
    for (size_t i = 0; i < e->count; i++) {
        if (same_count)
            check_token(c, row, i, &e->tokens[i]);
        ids[i] = e->tokens[i].id;
    }
    check_decode(c, row, ids, e->count, false, "decode");
    if (json_object_get(row, "decode_skip_special"))
        check_decode(c, row, ids, e->count, true, "decode_skip_special");
    if (json_object_get(row, "ids_no_special"))
        check_plain_ids(c, row);
    memory_free(ids);
    tkr_encoding_free(e);
}

/* A row of SentencePiece's own library: no template, no words, no types. */
static void check_pieces_row(parity_case *c, const json_t *row)
{
    tkr_error error = {0};
    tkr_encoding *e =
        tokenizer_encode(c->tokenizer, string_of(row, "text"), (encode_options){.no_special = true}, &error);
    c->is_row_wrong = false;
    rows_checked++;
    if (!e || e->count != json_array_size(json_object_get(row, "ids"))) {
        differ(c, row, e ? "counts" : error.message);
        tkr_encoding_free(e);
        return;
    }
    int32_t *ids = NEW(int32_t, e->count);
    for (size_t i = 0; i < e->count; i++) {
        ids[i] = e->tokens[i].id;
        if (!is_int(json_object_get(row, "ids"), i, e->tokens[i].id))
            differ(c, row, "ids");
        if (!same_offsets(json_object_get(row, "offsets"), i, &e->tokens[i]))
            differ(c, row, "offsets");
    }
    check_decode(c, row, ids, e->count, false, "decode");
    memory_free(ids);
    tkr_encoding_free(e);
}

/* ---- the tokenizer of a file ------------------------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to, const char *name)
{
    size_t size = 0;
    char *bytes = work_read(from, name, &size);
    if (bytes)
        assert_true(work_write(to, name, bytes, size));
    free(bytes);
}

/* The folder of an entry of "files", and what is behind the last slash. */
static const char *split_name(char place_of[WORK_PATH], const char *root, const char *entry)
{
    char place[WORK_PATH];
    const char *last = strrchr(entry, '/');
    assert_non_null(last);
    assert_true((size_t)(last - entry) < sizeof place);
    memcpy(place, entry, (size_t)(last - entry));
    place[last - entry] = '\0';
    assert_true(work_path(place_of, root, place));
    return last + 1;
}

/* All tokenizer files of a folder, tokenizer.json only where it is asked for. */
static void gather_folder(const char *from, const char *target, bool with_json)
{
    static const char *const names[] = {"vocab.txt", "vocab.json", "merges.txt", "spiece.model", "tokenizer.model",
                                        "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
                                        "config.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        copy_file(from, target, names[i]);
    if (with_json)
        copy_file(from, target, "tokenizer.json");
}

/* Put the files a tokenizer is made of into `target`, without those it must do without. */
static void gather(const char *root, const json_t *files, const char *target)
{
    char from[WORK_PATH];
    for (size_t i = 0; i < json_array_size(files); i++) {
        const char *last = split_name(from, root, json_string_value(json_array_get(files, i)));
        if (last[0] == '(' || strcmp(last, "tokenizer.json") == 0) {
            gather_folder(from, target, last[0] != '(');
        } else if (strncmp(last, "vocab.txt", 9) == 0) {
            copy_file(from, target, "vocab.txt");
            assert_true(work_write_text(target, "tokenizer_config.json",
                                        strstr(last, "false") ? "{\"do_lower_case\": false}" : "{\"do_lower_case\": true}"));
        } else {
            copy_file(from, target, last);
            size_t size = strlen(last);
            if (size > 6 && strcmp(last + size - 6, ".model") == 0 && strcmp(last, "spiece.model") != 0) {
                char *bytes = work_read(from, last, &size);
                assert_true(work_write(target, "spiece.model", bytes, size));
                free(bytes);
            }
        }
    }
}

/* The folder that the names of a header are relative to. */
static void find_root(char root[WORK_PATH], const char *data, const json_t *header)
{
    assert_true(work_path(root, data, json_object_get(header, "where") ? "../data/tokenizers" : "."));
}

/* model_type of the folder's config.json; without one: what the name says, else bert.  SentencePiece's own rows want its own
 * tokenizer, which no family wraps. */
static void find_family(char family[64], const char *place, const char *name, const json_t *header)
{
    const char *library = json_string_value(json_object_get(header, "library"));
    if (library && strncmp(library, "sentencepiece", 13) == 0) {
        snprintf(family, 64, "none");
        return;
    }
    static const char *const known[] = {"roberta", "gpt2", "t5", "albert", "qwen2", "llama"};
    size_t size = 0;
    char *bytes = work_read(place, "config.json", &size);
    json_t *config = bytes ? json_parse_object((view){bytes, size}, "config.json", &json_user_input, JSON_PLAIN, NULL) : NULL;
    const char *said = json_string_value(json_object_get(config, "model_type"));
    for (size_t i = 0; !said && i < sizeof(known) / sizeof(known[0]); i++)
        if (strstr(name, known[i]))
            said = known[i];
    snprintf(family, 64, "%s", said ? said : "bert");
    json_decref(config);
    free(bytes);
}

static tokenizer *open_tokenizer(const char *data, const char *name, const json_t *header)
{
    char root[WORK_PATH], target[WORK_PATH], family[64];
    find_root(root, data, header);
    assert_true(work_folder_new(target));
    gather(root, json_object_get(header, "files"), target);
    find_family(family, target, name, header);
    tkr_error error = {0};
    folder *f = folder_open(target, false, &error);
    assert_non_null(f);
    /* rows of SentencePiece itself: no family wraps the file */
    const char *library = json_string_value(json_object_get(header, "library"));
    bool is_bare = library && strncmp(library, "sentencepiece", 13) == 0;
    tokenizer *t = tokenizer_open(f, is_bare ? NULL : family, false, &error);
    folder_close(f);
    assert_true(work_folder_remove(target));
    if (!t) {
        print_message("# %s does not open: %s\n", name, error.message);
        files_refused++;
    }
    return t;
}

static void check_file(const char *data, const char *name)
{
    char path[WORK_PATH], place[WORK_PATH];
    assert_true(work_path(place, data, "tokenizers") && work_path(path, place, name));
    FILE *in = fopen(path, "rb");
    assert_non_null(in);
    char *line = NULL;
    size_t room = 0;
    parity_case c = {.name = name};
    for (ssize_t size; (size = getline(&line, &room, in)) > 0;) {
        c.line++;
        json_t *row =
            json_parse_object((view){line, (size_t)size}, name, &json_user_input, JSON_NUL_ALLOWED, NULL);
        assert_non_null(row);
        if (c.line == 1)
            c.tokenizer = open_tokenizer(data, name, row);
        else if (c.tokenizer && json_object_get(row, "words"))
            check_row(&c, row);
        else if (c.tokenizer)
            check_pieces_row(&c, row);
        json_decref(row);
        if (!c.tokenizer)
            break;
    }
    if (c.wrong > 0)
        print_message("# %s: %zu rows are wrong\n", name, c.wrong);
    rows_wrong += c.wrong;
    files_checked += c.tokenizer != NULL;
    tokenizer_free(c.tokenizer);
    free(line);
    fclose(in);
}

static void check_folder(const char *data)
{
    char path[WORK_PATH];
    assert_true(work_path(path, data, "tokenizers"));
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        size_t size = strlen(e->d_name);
        if (size > 6 && strcmp(e->d_name + size - 6, ".jsonl") == 0)
            check_file(data, e->d_name);
    }
    closedir(d);
}

static void test_parity__committed_answers(void **state)
{
    (void)state;
    const char *data = getenv("TOKRAY_TEST_DATA");
    files_checked = rows_checked = pairs_checked = files_refused = rows_wrong = 0;
    check_folder(data ? data : "tests/data");
    print_message("# %zu tokenizers, %zu rows, %zu of them pairs\n", files_checked, rows_checked, pairs_checked);
    assert_int_equal(files_refused, 0);
    assert_int_equal(rows_wrong, 0);
    assert_true(files_checked >= 4);
    assert_true(pairs_checked >= 40);
}

static void test_parity__further_answers(void **state)
{
    (void)state;
    const char *data = getenv("TOKRAY_ORACLE");
    if (!data)
        skip();
    files_checked = rows_checked = pairs_checked = files_refused = rows_wrong = 0;
    check_folder(data);
    print_message("# %zu tokenizers, %zu rows, %zu of them pairs\n", files_checked, rows_checked, pairs_checked);
    assert_int_equal(files_refused, 0);
    assert_int_equal(rows_wrong, 0);
    assert_true(files_checked > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parity__committed_answers),
        cmocka_unit_test(test_parity__further_answers),
    };
    return cmocka_run_group_tests_name("tokenizer_parity", tests, NULL, NULL);
}
