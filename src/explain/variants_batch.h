/*
 * One batch of variants: which rows of which of them are computed, and where the others are found.
 */
#ifndef EXPLAIN_VARIANTS_BATCH_H
#define EXPLAIN_VARIANTS_BATCH_H

#include "explain/variants_rows.h"

/* What variants of a question may share. */
typedef struct sharing {
    bool prefix, source, rows, hidden;
    /* rows: those before the first attention */
    size_t distinct;
    uint32_t *changed_row;   /* [length] row of a token in whose place something else is */
    /* head: the logits that are needed; NULL: all */
    int32_t *outputs;
    size_t output_count;
} sharing;

/* Arrays in the question's arena. */
tkr_status sharing_init(sharing *s, const question *q, tkr_error *error);

/* Variants that one batch may have, for `sequences` whole copies of the input: bounds logits and lists of keys. */
size_t sharing_most_variants(const sharing *s, const question *q, size_t sequences, score_wish wish);

/* Rows that a line has in common with the one before it and need not be computed again. */
uint32_t sharing_common(const sharing *s, const variant_line *before, const variant_line *line);

/* A batch that is laid out. */
typedef struct variants_batch {
    const question *q;
    const sharing *sharing;
    const real *replacement; /* [hidden] of replaced word embeddings; NULL: zeros */
    pass *pass;
    size_t plain;            /* sequences, when all of them are whole: the next batch may have the same shape; else 0 */
    bool has_all_outputs;
    uint8_t *replaced;       /* [rows of site "word"] */
} variants_batch;

/* Lay lines out, in the order of sharing_common; arrays in the arena, which must stay until the batch has been read. */
tkr_status variants_batch_fill(variants_batch *b, const variant_line *lines, size_t count, score_wish wish, arena *a, tkr_error *error);
void variants_batch_drop(variants_batch *b);

/* A pass as large as any batch of so many copies of the input (for the plan). */
pass *variants_batch_largest(const question *q, size_t sequences, tkr_error *error);

#endif
