/*
 * Running variants of the input: laying them out in batches and reading the targets' scores.  Which variants there are, and
 * which are known already, is the scorer's business; here is all sharing between those that run:
 *
 *   rows     tokens that are alike in several variants share everything before the first attention (encoders, removals that
 *            put the same thing in the same place);
 *   prefix   decoders: variants that begin alike share the rows of what they begin with (a trie of rows in one batch);
 *   source   encoder-decoders: variants with the same source share the encoder's rows;
 *   hidden   removal attn: rows that nobody sees are not computed;
 *   head     where only the values of a few logits are asked for, only those are computed.
 *
 * Each can be switched off (tkr_session.unshared), and what it computes equals what runs without it.
 */
#ifndef EXPLAIN_VARIANTS_H
#define EXPLAIN_VARIANTS_H

#include "explain/question.h"
#include "explain/set.h"

enum { SHARE_ROWS = 1, SHARE_PREFIX = 2, SHARE_SOURCE = 4, SHARE_HIDDEN = 8, SHARE_HEAD = 16 };

/* One variant: the set (set.h) of the features that are kept; the draw of a random removal. */
typedef struct variant {
    const uint64_t *mask;
    uint32_t draw;
} variant;

/* What is asked of a variant: the targets' values alone, or what the model answers too. */
typedef enum score_wish { SCORE_VALUE, SCORE_ANSWER } score_wish;

/* What a variant scores for each target. */
typedef struct score {
    double value;       /* f                                                                         */
    double probability; /* SCORE_ANSWER: of the target's output; NaN for regression                  */
    int32_t answer;     /* SCORE_ANSWER: the model's own answer where the target's first term reads:
                           the output with the largest logit; one label alone: 1 above 0, else 0     */
} score;

typedef struct variants variants;

/* sequences: whole copies of the input whose rows fit into one batch (from the plan). */
variants *variants_new(const question *q, size_t sequences, tkr_error *error);
void variants_free(variants *v);

/* Run all of a list, in batches; out [count][targets].  phase: of the progress reports. */
tkr_status variants_run(variants *v, const char *phase, const variant *list, size_t count, score_wish wish, score *out, tkr_error *error);

/* Do runs for values alone bring the answers too (no product is saved by leaving them out)?  Then out has both. */
bool variants_bring_answers(const variants *v);

/* Token rows that were computed (of the whole depth) until now. */
uint64_t variants_rows(const variants *v);
/* All that was computed until now. */
typedef struct variants_work {
    uint64_t rows, first_rows; /* through all layers; before the first attention */
    uint64_t logits;           /* numbers of the head's last product             */
} variants_work;
variants_work variants_worked(const variants *v);

#endif
