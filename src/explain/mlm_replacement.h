/*
 * Removed features replaced by what a masked language model draws (methods.md 4.2, parallel sampling): everything that is removed
 * is masked at once, and each place is drawn by itself.
 *
 * A sampler with the explained encoder's own vocabulary draws tokens, one for each.  Any other draws words: the words of the text are
 * masked in a text of the sampler's, whole-word entries are drawn and put into the text, and that is tokenised again, so its length
 * may change.
 */
#ifndef EXPLAIN_MLM_REPLACEMENT_H
#define EXPLAIN_MLM_REPLACEMENT_H

#include "explain/replacement.h"

typedef struct mlm_replacement mlm_replacement;

mlm_replacement *mlm_replacement_new(const question *q, mlm_sampler *sampler, tkr_error *error);
void mlm_replacement_free(mlm_replacement *m);
tkr_status mlm_replacement_make(mlm_replacement *m, const variant *list, size_t count, arena *a, replaced *out, tkr_error *error);

#endif
