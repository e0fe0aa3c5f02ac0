/* Tokenizers from folders that a test writes: see the header. */
#include "text/made_tokenizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/folder.h"
#include "support/workplace.h"

#include <cmocka.h> /* last: its macro fail() */

const parts usual = {
    .added = "[" SPECIAL(0, "[PAD]") "," SPECIAL(1, "[UNK]") "," SPECIAL(2, "[CLS]") "," SPECIAL(3, "[SEP]") ","
             SPECIAL(4, "[MASK]") "]",
    .normalizer = "{\"type\":\"BertNormalizer\",\"lowercase\":true}",
    .pretokenizer = "{\"type\":\"BertPreTokenizer\"}",
    .post = BERT_POST,
    .decoder = "{\"type\":\"WordPiece\"}",
    .model = WORDPIECE(PIECES, ""),
};

char *parts_text(parts p)
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

tokenizer *open_files(const file_text *files, tkr_error *error)
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

tokenizer *open_parts(parts p, tkr_error *error)
{
    char *text = parts_text(p);
    tokenizer *t = open_files((file_text[]){{"tokenizer.json", text}, {0}}, error);
    free(text);
    return t;
}

tokenizer *open_good(parts p)
{
    tkr_error error = {0};
    tokenizer *t = open_parts(p, &error);
    if (!t)
        fail_msg("%s", error.message);
    return t;
}

void check_error(tokenizer *t, const tkr_error *error, tkr_status code, const char *message)
{
    assert_null(t);
    assert_string_equal(error->message, message);
    assert_int_equal(error->code, code);
}

void check_parts(parts p, tkr_status code, const char *message)
{
    tkr_error error = {0};
    check_error(open_parts(p, &error), &error, code, message);
}

void check_files(const file_text *files, tkr_status code, const char *message)
{
    tkr_error error = {0};
    check_error(open_files(files, &error), &error, code, message);
}

/* "id:begin-end:word ..." of an encoding. */
void show_encoding(const tkr_encoding *e, char *out, size_t room)
{
    out[0] = '\0';
    for (size_t i = 0, used = 0; i < e->count && used < room; i++) {
        const tkr_token *k = &e->tokens[i];
        used += (size_t)snprintf(out + used, room - used, "%s%d:%lld-%lld:%d", i ? " " : "", k->id,
                                 (long long)k->begin, (long long)k->end, k->word);
    }
}

void check_encode(const tokenizer *t, const char *text, encode_options options, const char *want)
{
    char shown[1024];
    tkr_error error = {0};
    tkr_encoding *e = tokenizer_encode(t, view_of(text), options, &error);
    if (!e)
        fail_msg("%s", error.message);
    show_encoding(e, shown, sizeof shown);
    assert_string_equal(shown, want);
    tkr_encoding_free(e);
}
