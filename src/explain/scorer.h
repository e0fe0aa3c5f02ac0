/*
 * The scorer: the target's score for N variants of the input.  Every method that removes features asks it, so that sharing
 * lives in one place: equal variants are run once and remembered for all methods of one tkr_explain, variants travel packed
 * without padding in batches sized to cache and memory, and only the rows that the target needs are computed.
 */
#ifndef EXPLAIN_SCORER_H
#define EXPLAIN_SCORER_H

#include "explain/variants.h"

typedef struct scorer scorer;

/* sequences: variants run at once (from the plan). */
scorer *scorer_new(const question *q, size_t sequences, tkr_error *error);
void scorer_free(scorer *s);

/* Words of one coalition: the set (set.h) of the features that are kept. */
size_t scorer_words(const scorer *s);

/* Scores of `count` coalitions [count][words], under draws [count] (NULL: draw 0; removals that are not random have one draw
 * only), into out [count][targets].  phase names the work for progress. */
tkr_status scorer_score(scorer *s, const char *phase, const uint64_t *masks, const uint32_t *draws, size_t count, score_wish wish,
                        score *out, tkr_error *error);

/* Distinct variants that were run. */
uint64_t scorer_evaluations(const scorer *s);

#endif
