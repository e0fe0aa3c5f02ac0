/*
 * df/dA: how the target reacts to a change of each attention probability, taken for a free number behind the softmax (methods.md 3.6).
 * A head puts out O = A V, so g_A = g_O V^T: one way back to the heads' outputs gives it for every layer, head and kind at once.
 */
#ifndef EXPLAIN_ATTENTION_GRADIENTS_H
#define EXPLAIN_ATTENTION_GRADIENTS_H

#include "explain/attention_maps.h"
#include "tensor/op.h"

typedef struct attention_gradients {
    pass *p;                      /* the question's input with all rows, run, with room for one way back */
    attention_maps probabilities; /* A, in the caller's arena                                            */
} attention_gradients;

/* Run the input and read A.  Close in any case.  Errors: limit.oom; what the model's run says. */
tkr_status attention_gradients_open(const question *q, arena *a, attention_gradients *out, tkr_error *error);
void attention_gradients_close(attention_gradients *g);

/* After a way back over g->p: d f / d A of its seed into maps with the room of `probabilities`.  Under AttnLRP the modified gradient: a
 * product of two activations gives half to each factor. */
void attention_gradients_read(const question *q, const attention_gradients *g, op_rule rule, attention_maps *out);

/* Bytes of the pass and of so many maps; an upper bound. */
size_t attention_gradients_bytes(const question *q, size_t maps);

#endif
