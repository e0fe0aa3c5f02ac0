/*
 * Pre-tokenizers: the "pre_tokenizer" object of a tokenizer.json.  Each cuts the unfinished pieces into smaller ones; a few
 * also rewrite the text while they do (ByteLevel, Metaspace).
 */
#ifndef TEXT_PRETOKENIZER_H
#define TEXT_PRETOKENIZER_H

#include "text/loader.h"
#include "text/normalized.h"
#include "text/pieces.h"

typedef struct pretokenizer pretokenizer;

/* A row of the table in pretokenizer.c; types that rewrite the text have a file of their own. */
typedef struct pretokenizer_kind {
    part_name part;
    const void *(*load)(loader *l, const json_t *object); /* NULL: nothing to read */
    void (*run)(const void *data, normalized *text, piece_list *pieces);
} pretokenizer_kind;

extern const pretokenizer_kind pretokenizer_byte_level, pretokenizer_metaspace;

/* NULL with an error; JSON null gives one that cuts nothing. */
const pretokenizer *pretokenizer_load(loader *l, const json_t *value);
/* Cut the pieces of a text; afterwards *pieces is the new list, in bytes of *text as it then is.  Failures are in
 * pieces->failed and text->failed. */
void pretokenizer_run(const pretokenizer *p, normalized *text, piece_list *pieces);

#endif
