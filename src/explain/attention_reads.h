/*
 * From rows of attention to scores of tokens: which rows a question's targets are read at, and what the tokens get.
 *
 * Rows count within the stack that predicts (an encoder-decoder's decoder); those that several targets share are looked at once.
 * A target that sums several reads gets the mean of their rows (answer_rows.h).
 */
#ifndef EXPLAIN_ATTENTION_READS_H
#define EXPLAIN_ATTENTION_READS_H

#include "explain/method.h"

typedef struct attention_reads {
    size_t *rows, count; /* each row that any target is read at, once                    */
    size_t *place;       /* [positions] of a row among these; others are not looked at   */
} attention_reads;

/* In the arena.  Errors: limit.oom. */
tkr_status attention_reads_find(const question *q, arena *a, attention_reads *out, tkr_error *error);
/* Scores of one run from numbers of each row: own [count][tokens of the stack]; source [count][tokens before it], or NULL. */
void attention_reads_score(method_call *c, const attention_reads *r, const double *own, const double *source);
/* Place among the rows of the one that term k of target t is read at. */
size_t attention_reads_place(const question *q, const attention_reads *r, size_t t, size_t k);
/* Layers of the stack that predicts. */
size_t attention_layers_of(const question *q);

#endif
