/*
 * Attention flow (Abnar and Zuidema 2020; methods.md 3.4): the most that can flow from a position of the last layer to an input
 * token when each entry of the mixed attention is the capacity of an edge.
 *
 * Each pair is a maximum flow of its own.  In deep models that look both ways nearly all of them are bounded by what the token's
 * first layer lets through, whatever the position and the layers above: the saturated share says how many.
 */
#ifndef EXPLAIN_ATTENTION_FLOW_H
#define EXPLAIN_ATTENTION_FLOW_H

#include "explain/attention_mix.h"

typedef struct attention_flow_values {
    double *own;                /* [positions][own.keys]                                         */
    double *source;             /* [positions][source.keys] of an encoder-decoder, else NULL     */
    size_t *positive;           /* [positions] tokens with any flow ...                          */
    size_t *saturated;          /* [positions] ... and with all that their first layer lets through */
} attention_flow_values;

/* Exact flows from the last states of some rows; work is shared between rows and tokens.  Heap while it runs:
 * attention_flow_bytes.  Tells the session (NULL: nobody) after each row.  Errors: limit.oom, cancelled. */
tkr_status attention_flow(const attention_mix *m, const size_t *rows, size_t count, tkr_session *s, const attention_flow_values *out,
                          tkr_error *error);
size_t attention_flow_bytes(const question *q);

#endif
