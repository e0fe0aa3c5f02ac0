/* Metaspace: spaces as the visible character U+2581, which begins a word.  The pre-tokenizer's row is in pretokenizer.h. */
#ifndef TEXT_METASPACE_H
#define TEXT_METASPACE_H

#include "text/decoder.h"

/* Decoder Metaspace: the character is a space again, in the first token nothing (unless the scheme is "never"). */
const void *metaspace_load(loader *l, const json_t *object);
void metaspace_decode(const void *data, token_strings *s);

#endif
