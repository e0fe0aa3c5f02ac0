/*
 * Pre-tokenizers: the "pre_tokenizer" object of a tokenizer.json.  Each cuts the unfinished pieces into smaller ones.
 */
#ifndef TEXT_PRETOKENIZER_H
#define TEXT_PRETOKENIZER_H

#include "text/loader.h"
#include "text/pieces.h"

typedef struct pretokenizer pretokenizer;

/* NULL with an error; JSON null gives one that cuts nothing. */
const pretokenizer *pretokenizer_load(loader *l, const json_t *value);
/* Cut the pieces of a text; afterwards *pieces is the new list.  Failures are in pieces->failed. */
void pretokenizer_run(const pretokenizer *p, view text, piece_list *pieces);

#endif
