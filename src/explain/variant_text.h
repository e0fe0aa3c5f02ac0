/*
 * A text with some features taken out or replaced by other strings: what models of another vocabulary are asked (a masked
 * language model that draws words, a scorer outside of this process).
 *
 * A stretch is what is replaced as one: a whole feature, or a word of it.  White space around a stretch stays; where a stretch
 * is taken out altogether, so is the white space before or after it, lest two spaces meet.
 */
#ifndef EXPLAIN_VARIANT_TEXT_H
#define EXPLAIN_VARIANT_TEXT_H

#include "explain/question.h"

typedef struct text_stretch {
    int64_t begin, end;  /* bytes of the text, without white space at either end                     */
    int32_t text;        /* 0, 1 (the pair) or 2 (the output)                                        */
    uint32_t feature;
} text_stretch;

typedef enum stretch_unit { STRETCH_FEATURES, STRETCH_WORDS } stretch_unit;

/* The stretches of all features, in text order; in the arena.  A feature whose tokens do not follow each other has several even
 * with STRETCH_FEATURES; tokens that always stay are in none.  Empty when ids were given.  Errors: limit.oom. */
tkr_status stretches_find(const question *q, stretch_unit unit, arena *a, text_stretch **list, size_t *count, tkr_error *error);

/* Append text number `which` to out: stretches of features that the mask [words] drops become instead[stretch] ([count]; NULL or
 * empty strings: they are taken out).  Stretches that share bytes (tokens of one character) fall together: the first stands for
 * all.  places [count], NULL: not wanted: byte of out where instead[stretch] begins, SIZE_MAX where it is not put in; those of
 * other texts are left as they are.  Check buffer_ok. */
void variant_text(const question *q, int32_t which, const text_stretch *list, size_t count, const uint64_t *mask, const view *instead,
                  buffer *out, size_t *places);

#endif
