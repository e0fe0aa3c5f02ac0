/* The plan: what a question will cost and how many sequences run at once, before anything is computed. */
#ifndef EXPLAIN_BUDGET_H
#define EXPLAIN_BUDGET_H

#include "explain/method.h"

typedef struct run_plan_sizes {
    size_t score_sequences;    /* variants at once */
    size_t gradient_sequences; /* points at once   */
} run_plan_sizes;

/* Count the work of the methods and fit batches into the session's memory.  plan->bytes: in, what was held when the call began; out, the whole.  limit.memory when not even one sequence at a time fits. */
tkr_status plan_explain(const question *q, const method_spec *list, size_t count, tkr_plan *plan, run_plan_sizes *sizes,
                        tkr_error *error);

/* What one method of the list or the other holds for itself while it runs, with so many points at once. */
size_t plan_held(const question *q, const method_spec *list, size_t count, size_t sequences);

/* Variants that the check of one finding scores: several draws where the removal is random. */
enum { CHECK_DRAWS_MOST = 20 };
static inline size_t check_draws(const question *q)
{
    return removal_is_random(q->removal) && !q->session->stored ? CHECK_DRAWS_MOST : 1; /* a test's own draws may be fewer */
}

#endif
