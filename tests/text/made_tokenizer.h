/* Tokenizers from folders that a test writes: a small tokenizer.json whose parts can be replaced, or any files. */
#ifndef TESTS_TEXT_MADE_TOKENIZER_H
#define TESTS_TEXT_MADE_TOKENIZER_H

#include "text/tokenizer.h"

/* The parts of a tokenizer.json, as JSON. */
typedef struct parts {
    const char *added, *normalizer, *pretokenizer, *post, *decoder, *model;
} parts;

#define PIECES "\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"[SEP]\":3,\"[MASK]\":4,\"a\":5,\"b\":6,\"##a\":7,\"##b\":8,\"##ab\":9,\"c\":10"
#define WORDPIECE(pieces, more) "{\"type\":\"WordPiece\",\"unk_token\":\"[UNK]\"," more "\"vocab\":{" pieces "}}"
#define SPECIAL(id, text) "{\"id\":" #id ",\"content\":\"" text "\",\"special\":true,\"normalized\":false}"
#define BERT_POST "{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\",3],\"cls\":[\"[CLS]\",2]}"

extern const parts usual; /* an uncased BERT of eleven pieces */

/* A file of a folder; a NULL name ends a list. */
typedef struct file_text {
    const char *name, *text;
} file_text;

char *parts_text(parts p); /* freed with free() */
tokenizer *open_files(const file_text *files, tkr_error *error);
tokenizer *open_parts(parts p, tkr_error *error);
tokenizer *open_good(parts p);

void check_error(tokenizer *t, const tkr_error *error, tkr_status code, const char *message);
void check_parts(parts p, tkr_status code, const char *message);
void check_files(const file_text *files, tkr_status code, const char *message);
/* "id:begin-end:word ..." of an encoding. */
void show_encoding(const tkr_encoding *e, char *out, size_t room);
void check_encode(const tokenizer *t, const char *text, encode_options options, const char *want);

#endif
