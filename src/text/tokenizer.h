/*
 * Tokenizers: normalise, split, model, template; with byte offsets into the user's own text all the way.
 *
 * A tokenizer is immutable once open and may be used by any number of threads.  The reference is what the `tokenizers`
 * library makes of a tokenizer.json (same ids, same offsets, same words).
 */
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include <tokray/text.h>

#include "base/buffer.h"
#include "base/folder.h"
#include "base/view.h"

typedef struct tokenizer tokenizer;

struct tkr_encoding {
    tkr_token *tokens;
    size_t count;
    size_t dropped; /* tokens that truncation removed */
    char *words;    /* names of tokens that no vocabulary has (external models); NULL: none */
};

/* What to do with a text; {0} is the default: no pair, special tokens added, nothing cut. */
typedef struct encode_options {
    const view *pair;        /* second text or NULL                                               */
    bool no_special;         /* leave the template's tokens out                                   */
    tkr_truncate truncate;   /* the longest-first rule of the reference                           */
    size_t max_tokens;       /* 0: none                                                           */
    size_t max_bytes;        /* of each text; 0: 1 MiB, never more than 64 MiB                    */
} encode_options;

/* Open the tokenizer of a folder: tokenizer.json, else vocab.txt, else vocab.json with merges.txt, else a SentencePiece
 * file.  family is config.json's model_type, which chooses the builder when only vocabulary files are there. */
tokenizer *tokenizer_open(const folder *f, const char *family, bool copy, tkr_error *error);
/* The same from the text of a tokenizer.json alone; `name` stands for the file in messages and lives as long as the tokenizer. */
tokenizer *tokenizer_open_text(view json, const char *name, tkr_error *error);
void tokenizer_free(tokenizer *t);

tkr_encoding *tokenizer_encode(const tokenizer *t, view text, encode_options options, tkr_error *error);
/* Append the decoder's text of the ids; unknown ids are skipped. */
tkr_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buffer *out,
                            tkr_error *error);

/* Vocabulary look-ups.  Pieces are NUL-terminated and live as long as the tokenizer; NULL for an id that is not there. */
int32_t tokenizer_id(const tokenizer *t, view piece); /* -1: none */
const char *tokenizer_piece(const tokenizer *t, int32_t id);
size_t tokenizer_limit(const tokenizer *t); /* one more than the largest id */
/* Id of a role (mask, pad, unk, cls, sep, bos, eos) or -1; role of an id. */
int32_t tokenizer_role_id(const tokenizer *t, tkr_special role);
tkr_special tokenizer_role(const tokenizer *t, int32_t id);
/* Neither added nor special: a piece of ordinary text. */
bool tokenizer_is_ordinary(const tokenizer *t, int32_t id);

size_t tokenizer_max_length(const tokenizer *t);      /* model_max_length; 0: none said           */
bool tokenizer_uses_segments(const tokenizer *t);     /* model_input_names has token_type_ids     */
const char *tokenizer_file(const tokenizer *t);       /* "tokenizer.json", "vocab.txt", ...       */
const char *tokenizer_sha256(const tokenizer *t);     /* of it (vocab.json: and of merges.txt)    */
/* Notes for the careful reader; NULL past the end. */
const char *tokenizer_note(const tokenizer *t, size_t index);

#endif
