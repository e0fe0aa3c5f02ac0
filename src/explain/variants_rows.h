/*
 * The rows that variants of the input are made of: what is put where a feature is removed, which rows are not there, and which
 * row each reading is read at.  A few thousand rows at a time (a group); how they share batches is the business of variants.c.
 */
#ifndef EXPLAIN_VARIANTS_ROWS_H
#define EXPLAIN_VARIANTS_ROWS_H

#include "explain/replacement.h"

enum { ROW_HIDDEN = 1 /* nobody sees it */, ROW_CHANGED = 2 /* something else is put in */, ROW_REPLACED = 4 /* in the word embedding */ };

/* Rows that are alike in the first four numbers are alike in everything that is computed of them. */
typedef struct variant_row {
    int32_t id, type, position;
    uint32_t flags;
    uint32_t token; /* of the question's input; rows that were made from a new text have none */
} variant_row;

typedef struct variant_line {
    const variant_row *rows;
    const uint32_t *reads;   /* [question.reads] row of each */
    uint32_t length, source; /* rows; how many of them are of the source (encoder-decoders) */
    uint32_t index;          /* of the variant in its list */
} variant_line;

/* How many variants make a group. */
size_t variants_group(const question *q);
/* Their rows, in the arena.  leaves_out: rows that nobody sees and nobody reads are not there.  drawn: of removals that draw. */
tkr_status variants_lines(const question *q, const variant *list, size_t count, bool leaves_out, replacement *drawn, arena *a,
                          variant_line *out, tkr_error *error);

/* May this token be removed at all? */
bool variants_touch(const question *q, size_t token);
/* Is it, where the features of the mask are kept? */
bool variants_remove(const question *q, const uint64_t *mask, size_t token);

#endif
