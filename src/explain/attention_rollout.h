/*
 * Attention rollout (Abnar and Zuidema 2020; methods.md 3.3): how much of a position's last state comes from each input token
 * when every layer hands on the shares that its mixed attention says.
 */
#ifndef EXPLAIN_ATTENTION_ROLLOUT_H
#define EXPLAIN_ATTENTION_ROLLOUT_H

#include "explain/attention_mix.h"

/* Rows of the product of all layers: own [count][own.keys]; of an encoder-decoder also source [count][source.keys], and both
 * together sum to 1.  All rows make the whole matrix.  room [attention_rollout_room]. */
void attention_rollout(const attention_mix *m, const size_t *rows, size_t count, double *own, double *source, double *room);
size_t attention_rollout_room(const attention_mix *m);

/* What a causal mask alone does to position `row`: the rollout's row when every position looks evenly at all that it sees. */
void attention_rollout_prior(size_t layers, double alpha, size_t row, double *out);

/* Rows of a causal rollout [0, row], corrected in place; their sum stays.  By the prior: divided by what the mask alone would
 * give.  Without the first: position 0, where attention rests when it has nothing to do, gets nothing. */
void attention_rollout_correct(double *own, const double *prior, size_t row);
void attention_rollout_drop_first(double *own, size_t row);

#endif
