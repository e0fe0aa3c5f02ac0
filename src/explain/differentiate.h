/*
 * The differentiator: gradients of all targets at many points of a straight line between two inputs, in batches.
 */
#ifndef EXPLAIN_DIFFERENTIATE_H
#define EXPLAIN_DIFFERENTIATE_H

#include "explain/question.h"

/* What stands for "nothing" in path methods (methods.md 5.1). */
typedef struct endpoint {
    real *rows;         /* [length, width] values at the question's place (`at`) */
    double *values;     /* [targets] f there                                     */
} endpoint;

/* Values at `at` and f of the input itself (from the clean run) and of a baseline: auto, mask, pad, unk, zero, mean or
 * text:"...", which replaces the word embeddings of all feature tokens.  In the question's arena. */
tkr_status endpoint_of_input(const question *q, endpoint *out, tkr_error *error);
tkr_status endpoint_of_baseline(const question *q, view baseline, endpoint *out, tkr_error *error);
/* The name that "auto" stands for. */
const char *baseline_name(const question *q, view baseline);

/* Gradient at one point for one target: [length, width], and f there. */
typedef void gradient_fn(void *user, size_t point, size_t target, const real *gradient, double value);

/* Visit the gradients at from + alpha[k] (to - from), k = 0 .. count-1, for every target; points in ascending order. */
tkr_status differentiate(const question *q, const endpoint *from, const endpoint *to, const double *alpha, size_t count,
                         size_t sequences, const char *phase, gradient_fn *visit, void *user, tkr_error *error);

/* Gradient of one target at the clean input, [length, width]; borrowed until the next call. */
const real *differentiate_clean(const question *q, size_t target, tkr_error *error);
/* Width of the rows at the question's place. */
size_t gradient_width(const question *q);

#endif
