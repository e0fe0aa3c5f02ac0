/*
 * SentencePiece models (spiece.model, spm.model, sentencepiece.bpe.model, tokenizer.model): the file, and the parts that
 * SentencePiece itself makes of it.
 */
#ifndef TEXT_SENTENCEPIECE_H
#define TEXT_SENTENCEPIECE_H

#include "text/decoder.h"
#include "text/loader.h"
#include "text/normalized.h"
#include "text/piece_model.h"

typedef enum sentencepiece_type {
    SENTENCEPIECE_NORMAL = 1,
    SENTENCEPIECE_UNKNOWN,
    SENTENCEPIECE_CONTROL,
    SENTENCEPIECE_USER_DEFINED,
    SENTENCEPIECE_UNUSED,
    SENTENCEPIECE_BYTE,
} sentencepiece_type;

typedef struct sentencepiece_piece {
    view text; /* in the file's bytes */
    float score;
    sentencepiece_type type;
} sentencepiece_piece;

typedef enum sentencepiece_model { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE } sentencepiece_model;

typedef struct sentencepiece_file {
    sentencepiece_piece *pieces; /* in the loader's arena */
    size_t count, unknown;       /* unknown: number of the piece for what is unknown */
    sentencepiece_model model;
    bool byte_fallback, whitespace_suffix;
    bool dummy_prefix, removes_spaces, escapes_spaces;
    view charsmap;               /* empty: none */
    view unknown_surface;
} sentencepiece_file;

/* Read and check a file.  False with tok.sentencepiece (byte and reason), tok.duplicate or limit.tokenizer. */
bool sentencepiece_read(loader *l, view bytes, sentencepiece_file *out);

/* ---- parts of a tokenizer that follows SentencePiece's own rules (types "SentencePiece...") ----------------------- */

const void *sentencepiece_normalizer_load(loader *l, const json_t *object);
void sentencepiece_normalizer_run(const void *data, normalized *text);
const void *sentencepiece_decoder_load(loader *l, const json_t *object);
void sentencepiece_decoder_run(const void *data, token_strings *s);

/* Strings, sorted: which of them begins a text?  In the loader's arena. */
typedef struct symbol_set {
    view *items;
    size_t count;
} symbol_set;

bool symbol_set_load(loader *l, const json_t *object, const char *key, symbol_set *out);
void symbol_set_sort(symbol_set *set);
/* Bytes of the longest one that begins the text; 0: none. */
size_t symbol_set_longest(const symbol_set *set, view text);

#endif
