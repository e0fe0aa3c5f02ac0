/*
 * Tokenizers against committed answers of the reference: ids, strings, offsets, words, types and decoded text of every row.
 *
 * The rows are in <data>/tokenizers/<name>.jsonl.  The first line of a file names the folder or files the tokenizer is
 * made of: "models/bert-mlm/tokenizer.json", "models/bert-reg/(vocabulary files, no tokenizer.json)", or
 * "bert-base-cased/vocab.txt (do_lower_case false)"; what is not WordPiece is passed over.  <data> is TOKRAY_TEST_DATA and,
 * when set, TOKRAY_ORACLE besides (a "where" in the first line is looked up as ../data next to it).
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
    size_t line;
} parity_case;

static size_t rows_checked, pairs_checked, files_checked;

/* ---- comparing one row ------------------------------------------------------------------------------------------- */

static void differ(const parity_case *c, const json_t *row, const char *what)
{
    fail_msg("%s line %zu: %s differ for text \"%s\"", c->name, c->line, what,
             json_string_value(json_object_get(row, "text")));
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

static void check_token(const parity_case *c, const json_t *row, size_t i, const tkr_token *token)
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
    if (!is_int(json_object_get(row, "words"), i, token->word))
        differ(c, row, "words");
    if (!is_int(json_object_get(row, "types"), i, token->segment))
        differ(c, row, "types");
    if (sequence && !is_int(sequence, i, token->text))
        differ(c, row, "sequences");
    if (token->is_template != (token->begin < 0) || token->is_template != (token->text < 0))
        differ(c, row, "template marks");
}

static void check_decode(const parity_case *c, const json_t *row, const int32_t *ids, size_t count, bool skip,
                         const char *key)
{
    buffer out;
    buffer_init(&out, 1 << 20);
    assert_int_equal(tokenizer_decode(c->tokenizer, ids, count, skip, &out, NULL), TKR_OK);
    if (!view_equal(buffer_as_view(&out), string_of(row, key)))
        differ(c, row, key);
    buffer_fini(&out);
}

static void check_plain_ids(const parity_case *c, const json_t *row)
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

static void check_row(const parity_case *c, const json_t *row)
{
    view pair = string_of(row, "pair");
    bool is_pair = json_object_get(row, "pair") != NULL;
    tkr_error error = {0};
    tkr_encoding *e =
        tokenizer_encode(c->tokenizer, string_of(row, "text"), (encode_options){.pair = is_pair ? &pair : NULL}, &error);
    if (!e)
        fail_msg("%s line %zu: %s", c->name, c->line, error.message);
    if (e->count != json_array_size(json_object_get(row, "ids")))
        differ(c, row, "counts");
    int32_t *ids = NEW(int32_t, e->count);
    for (size_t i = 0; i < e->count; i++) {
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
    rows_checked++;
    pairs_checked += is_pair;
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

/* Put the files a tokenizer is made of into `target`, without those it must do without. */
static void gather(const char *root, const char *what, const char *target)
{
    static const char *const names[] = {"tokenizer.json", "vocab.txt", "tokenizer_config.json", "special_tokens_map.json",
                                        "added_tokens.json"};
    char from[WORK_PATH], place[WORK_PATH];
    const char *last = strrchr(what, '/') + 1;
    assert_true((size_t)(last - what) <= sizeof place);
    memcpy(place, what, (size_t)(last - what) - 1);
    place[last - what - 1] = '\0';
    assert_true(work_path(from, root, place));
    bool only_lines = last[0] == '(', bare = strncmp(last, "vocab.txt", 9) == 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (!(only_lines && i == 0) && !(bare && i != 1))
            copy_file(from, target, names[i]);
    if (bare)
        assert_true(work_write_text(target, "tokenizer_config.json",
                                    strstr(last, "false") ? "{\"do_lower_case\": false}" : "{\"do_lower_case\": true}"));
}

/* The folder that the names of a header are relative to. */
static void find_root(char root[WORK_PATH], const char *data, const json_t *header)
{
    assert_true(work_path(root, data, json_object_get(header, "where") ? "../data/tokenizers" : "."));
}

/* NULL: not one of ours. */
static tokenizer *open_tokenizer(const char *data, const json_t *header)
{
    const json_t *files = json_object_get(header, "files");
    const char *what = json_string_value(json_array_get(files, 0));
    char root[WORK_PATH], target[WORK_PATH];
    if (!what || !strchr(what, '/'))
        return NULL;
    find_root(root, data, header);
    assert_true(work_folder_new(target));
    gather(root, what, target);
    tkr_error error = {0};
    folder *f = folder_open(target, false, &error);
    assert_non_null(f);
    tokenizer *t = tokenizer_open(f, "bert", false, &error);
    folder_close(f);
    assert_true(work_folder_remove(target));
    if (!t && error.code != TKR_E_UNSUPPORTED_TOK_PART && error.code != TKR_E_TOK_NOT_FOUND)
        fail_msg("%s: %s", what, error.message);
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
            c.tokenizer = open_tokenizer(data, row);
        else if (c.tokenizer)
            check_row(&c, row);
        json_decref(row);
        if (!c.tokenizer)
            break;
    }
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
    files_checked = rows_checked = pairs_checked = 0;
    check_folder(data ? data : "tests/data");
    print_message("# %zu tokenizers, %zu rows, %zu of them pairs\n", files_checked, rows_checked, pairs_checked);
    assert_true(files_checked >= 3);
    assert_true(pairs_checked >= 10);
}

static void test_parity__further_answers(void **state)
{
    (void)state;
    const char *data = getenv("TOKRAY_ORACLE");
    if (!data)
        skip();
    files_checked = rows_checked = pairs_checked = 0;
    check_folder(data);
    print_message("# %zu tokenizers, %zu rows, %zu of them pairs\n", files_checked, rows_checked, pairs_checked);
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
