/*
 * Where a target is read: the rows of a matrix over tokens that say what the answer took from where.  The answer of a classifier is
 * read at its first or last token, of a masked LM at the mask, of a next token at the token before, in question answering at the
 * token that is the start or end.  An answer of several tokens has several rows, whose mean is taken.
 */
#ifndef EXPLAIN_ANSWER_ROWS_H
#define EXPLAIN_ANSWER_ROWS_H

#include "explain/question.h"

/* Token index of the row where term k of a target is read. */
size_t answer_row(const question *q, const target *t, size_t k);

/* Add the mean row of the target to scores [q->length].  self: square, over all tokens, or in an encoder-decoder over the decoder's;
 * cross: the decoder's tokens over the source's, NULL without. */
void answer_rows_add(const question *q, const target *t, const double *self, const double *cross, double *scores);

#endif
