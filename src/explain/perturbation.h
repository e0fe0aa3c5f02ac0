/*
 * What teaching notebooks call perturbation: the importance of a feature is the fall of the target when it alone is replaced,
 * averaged over replacements.  perturb-mask and perturb-random bring a removal of their own, whatever the question's is, and
 * measure the answer's probability unless the user named a measure.
 */
#ifndef EXPLAIN_PERTURBATION_H
#define EXPLAIN_PERTURBATION_H

#include "explain/method.h"

/* Fill the call's scores (and errors) from `draws` replacements by `wanted`, fewer at the session's limits; the mean of the sizes of
 * the falls when is_absolute.  From here on the call asks the question under that removal. */
tkr_status perturbation_run(method_call *c, removal wanted, size_t draws, bool is_absolute, size_t *done, tkr_error *error);

/* Draws that the session's budget pays, at least two, of those asked for. */
double perturbation_draws(const question *q, double asked);
method_cost perturbation_cost(size_t features, uint64_t draws);
/* Let the call ask its question under another removal, with a scorer of its own: `own`, to be freed by the caller, who gives the call
 * its scorer back; NULL when the question has this removal already. */
tkr_status perturbation_ask_under(method_call *c, removal wanted, scorer **own, tkr_error *error);
/* Bytes that the other removal's scorer holds beside the question's. */
size_t perturbation_held(const question *q, removal wanted);

#endif
