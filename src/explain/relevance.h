/*
 * Relevance propagation: one way back a target over the clean run, under a relevance rule (methods.md 6), and the ledger of what
 * biases, norms, added embeddings and the softmax kept, so that nothing is lost unseen:
 *     <df/dz, z> = sum of the tokens' relevance + sum of the ledger,   z the logits (for a logit or a difference of two: f).
 */
#ifndef EXPLAIN_RELEVANCE_H
#define EXPLAIN_RELEVANCE_H

#include "explain/local.h"
#include "tensor/op.h"

/* What keeps relevance. */
#define RELEVANCE_PARTS(X)                                                                                            \
    X(LINEAR, "linear")       /* biases of linear maps                              */                                \
    X(NORM, "layernorm")      /* biases of layer norms                              */                                \
    X(POSITION, "position")   /* position embeddings                                */                                \
    X(SEGMENT, "segment")     /* segment embeddings                                 */                                \
    X(SOFTMAX, "softmax")     /* the linearisation of the softmax                   */                                \
    X(DISTANCE, "relbias")    /* biases of attention scores by distance             */                                \
    X(ACTIVATION, "activation") /* what an activation adds at 0: half of a sigmoid  */
enum {
#define RELEVANCE_ENUM(name, id) RELEVANCE_##name,
    RELEVANCE_PARTS(RELEVANCE_ENUM)
#undef RELEVANCE_ENUM
        RELEVANCE_PART_COUNT
};
extern const char *const relevance_part_ids[RELEVANCE_PART_COUNT];

/* Fills token_scores (and place_scores), ledger and passes of a call, and adds the check "conservation" for each target.  Its
 * gap is relative to the sum of all sizes; beyond 1e-4 there is a warning too.  Cost: a way back a target; the forward run is the clean one. */
tkr_status relevance_run(method_call *c, op_rule rule, tkr_error *error);

#endif
