/* Greedy generation: what the model puts out after an input, one row a token over a cache of keys and values. */
#ifndef EXPLAIN_GENERATE_H
#define EXPLAIN_GENERATE_H

#include "explain/session.h"

typedef struct generated {
    int32_t *ids;       /* [count] without the token that ended it                           */
    double *logprob;    /* [count] log-probability of each                                   */
    double *margin;     /* [count] its logit less the next best                              */
    size_t count;
    const char *end;    /* "eos": the model ended it, "length": at most `most`, or all the model can take */
} generated;

/* Put out at most `most` tokens after `ids` (of an encoder-decoder: after its start).  Arrays are in the arena.  Ties go to the
 * lowest id. */
tkr_status generate(tkr_session *s, const int32_t *ids, const int32_t *types, size_t count, size_t most, arena *a, generated *out,
                    tkr_error *error);

#endif
