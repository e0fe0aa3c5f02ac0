/* A tokenizer around a SentencePiece file, where a folder has no tokenizer.json. */
#ifndef TEXT_SENTENCEPIECE_BUILD_H
#define TEXT_SENTENCEPIECE_BUILD_H

#include "text/sentencepiece.h"
#include "text/tokenizer_settings.h"

/* Read the file, fill t's vocabulary and return the JSON that a tokenizer.json of the family would have around it; NULL
 * with an error.  The family is chosen by tokenizer_class, else by config.json's model_type; where neither is known, the
 * parts are those of SentencePiece itself.  What is made borrows from the file's bytes only while the parts are loaded. */
json_t *sentencepiece_build(loader *l, const tokenizer_settings *s, view bytes, const char *family, tokenizer *t);

#endif
