/*
 * What a tokenizer.json would have around a vocab.json and a merges.txt, for the families that were published with those.
 */
#ifndef TEXT_BYTE_PARTS_H
#define TEXT_BYTE_PARTS_H

#include "text/tokenizer_settings.h"

/* The object of a whole tokenizer.json (a new reference), or NULL with an error.  text and merges: the bytes of the two
 * files.  family is config.json's model_type or NULL; tokenizer_class of the settings counts more, and where neither is known
 * the vocabulary's special tokens decide. */
json_t *byte_parts_build(loader *l, const tokenizer_settings *s, view text, view merges, const char *family);

#endif
