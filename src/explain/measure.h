/*
 * Measures: the number f that is explained, from a row of logits, and its derivative (methods.md 2).
 */
#ifndef EXPLAIN_MEASURE_H
#define EXPLAIN_MEASURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"
#include "tensor/real.h"

#define MEASURES(X)                                                                                                   \
    X(LOGIT, "logit", "logit")             /* z_a                                      */                             \
    X(PROB, "prob", "probability")         /* softmax(z)_a, or sigmoid(z_a)            */                             \
    X(LOGPROB, "logprob", "log-probability") /* log of it, from the logits             */                             \
    X(LOGODDS, "logodds", "log-odds")      /* log p - log(1 - p)                       */                             \
    X(MARGIN, "margin", "logit")           /* z_a - z_b, b the strongest other output of the clean run, frozen */     \
    X(MEANFOIL, "meanfoil", "logit")       /* z_a - mean of the other logits           */                             \
    X(ENTROPY, "entropy", "nats")          /* of the answer: of softmax(z), or of the coin sigmoid(z_a) */           \
    X(KL, "kl", "nats")                    /* KL(clean run || this run) of the same    */                             \
    X(SCORE, "score", "score")             /* external models: the number as it is     */
typedef enum measure {
#define MEASURE_ENUM(name, id, unit) MEASURE_##name,
    MEASURES(MEASURE_ENUM)
#undef MEASURE_ENUM
        MEASURE_COUNT
} measure;

/* How logits become probabilities. */
typedef enum link { LINK_SOFTMAX, LINK_SIGMOID, LINK_NONE, LINK_GIVEN /* they are probabilities */ } link;

/* f = measure(a) - measure(foil); foil -1: f = measure(a).  rival: the frozen b of margin; clean: the frozen logits of kl. */
typedef struct measured {
    measure measure;
    link link;
    int32_t a, foil, rival, foil_rival;
    const real *clean;
} measured;

const char *measure_id(measure m);
const char *measure_unit(measure m);
/* Entropy and divergence are for methods that remove features: they have no derivative here, and no contrast. */
bool measure_has_gradient(measure m);
/* False when the name is none of the table. */
bool measure_find(view name, measure *out);

/* f of one row of logits [outputs], in double. */
double measure_value(const measured *f, const real *logits, size_t outputs);
/* df/dz into seed [outputs], overwritten; of measures that have one. */
void measure_gradient(const measured *f, const real *logits, size_t outputs, real *seed);

/* Probability of output a under the link; NaN for LINK_NONE. */
double link_probability(link l, const real *logits, size_t outputs, size_t a);
/* Entropy in nats (softmax) or of the single probability's coin (sigmoid); NaN for LINK_NONE. */
double link_entropy(link l, const real *logits, size_t outputs);
/* Index of the largest logit, the lowest among equals; skip: an index left out, or -1. */
int32_t logits_argmax(const real *logits, size_t outputs, int32_t skip);

#endif
