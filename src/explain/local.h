/*
 * Local methods: what they say of the clean input comes from one way back a target over a pass that has run.  This is the loop
 * they share: several targets are walked at once, and the gradients of several places come from the same way back.
 */
#ifndef EXPLAIN_LOCAL_H
#define EXPLAIN_LOCAL_H

#include "explain/method.h"

/* Called after a way back: target w->first + i was its seed i (pass_gradient). */
typedef tkr_status local_visit(method_call *c, const ways_back *w, size_t i, tkr_error *error);

/* Walk the ways back of all targets over w->p, which has run with room for one; the caller sets p, rule and, where it wants them,
 * absorbed and seeded.  Afterwards c->token_scores are the first place's where c->place_scores has several. */
tkr_status local_walk(method_call *c, ways_back *w, local_visit *visit, tkr_error *error);
/* A visit: <value, gradient> of each token, at every place, is added to the scores of the target. */
tkr_status local_add_products(method_call *c, const ways_back *w, size_t i, tkr_error *error);
/* One way back a target. */
method_cost local_cost(const arguments *a, size_t features, size_t targets);

#endif
