/*
 * The differentiator: gradients of all targets at many points, on a straight line between two inputs or anywhere, in batches.
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
/* The next of several baselines "mask+pad+text:\"...\""; *at is its first byte, then the next one's.  Past the end: *at > size.
 * A text: without quotes takes all that follows. */
view baseline_next(view list, size_t *at);
size_t baseline_count(view list);
/* The name that "auto" stands for. */
const char *baseline_name(const question *q, view baseline);

/* Gradient at one point for one target: [length, width], and f there. */
typedef void gradient_fn(void *user, size_t point, size_t target, const real *gradient, double value);

/* Visit the gradients at from + alpha[k] (to - from), k = 0 .. count-1, for every target; points in ascending order. */
tkr_status differentiate(const question *q, const endpoint *from, const endpoint *to, const double *alpha, size_t count,
                         size_t sequences, const char *phase, gradient_fn *visit, void *user, tkr_error *error);

/* Points anywhere: who places, looks and stops.  Batches hold several points, one sequence each. */
typedef struct point_set {
    size_t count;
    size_t stride;      /* no batch reaches across a multiple of it; 0: count      */
    void *user;
    /* Before the forward run of the batch that begins with point `first`; NULL: nothing to do. */
    tkr_status (*prepare)(void *user, pass *p, size_t first, tkr_error *error);
    /* Change the rows [sequences][place_count][width] at the question's place, which the pass has just computed. */
    void (*place)(void *user, size_t first, size_t sequences, real *rows);
    gradient_fn *visit;
    bool (*goes_on)(void *user, size_t done); /* after every batch; NULL: to the end */
} point_set;

/* Visit the gradients of every target at points->count points, in ascending order.  *done (may be NULL): how many they were. */
tkr_status differentiate_points(const question *q, const point_set *points, size_t sequences, const char *phase, size_t *done,
                                tkr_error *error);

/* Ways back of all targets over a pass that has run, as many at once as it has room for:
 *     for (; !status && w.first < q->target_count; w.first += w.count)
 *         status = ways_back_walk(&w, error);    and gradients of target w.first + i are those of seed i (pass_gradient) */
typedef struct ways_back {
    const question *q;
    pass *p;
    op_rule rule;
    size_t first, count; /* count: set by ways_back_walk                                                        */
    real *seed;          /* room for [batch.targets, outputs]                                                   */
    double *absorbed;    /* [p->shape.seeds][nodes][ABSORBED_KINDS] what each node kept; NULL: not wanted      */
    double *seeded;      /* [p->shape.seeds] <df/dz, z>, z the logits; NULL: not wanted                         */
} ways_back;
tkr_status ways_back_walk(ways_back *w, tkr_error *error);

/* Gradient of one target at the clean input under a rule, [length, width]; borrowed until the next call. */
const real *differentiate_clean(const question *q, size_t target, op_rule rule, tkr_error *error);
/* Width of the rows at the question's place. */
size_t gradient_width(const question *q);
/* At most that, known before anything runs. */
size_t gradient_width_most(const question *q);

#endif
