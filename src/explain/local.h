/* Local scores: value times gradient, summed over the width, at every place of a pass over the clean input. */
#ifndef EXPLAIN_LOCAL_H
#define EXPLAIN_LOCAL_H

#include "explain/method.h"

/* Fill c->token_scores (the first place) and, when there are several, c->place_scores: one backward pass a target serves all
 * places.  p: the question's clean pass, or another pass over the same input that has run, with room for a way back. */
tkr_status local_scores(method_call *c, pass *p, tkr_error *error);
/* After a way back over p in which target t was that seed: the products of all its places are added to the same scores. */
void local_add_places(const method_call *c, pass *p, size_t t, size_t seed);

#endif
