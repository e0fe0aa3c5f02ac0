/*
 * What methods that sample have in common: how many draws the budget leaves, and when to stop.
 *
 * A budget of evaluations and a wished error make the same choice whatever the batch size and the number of threads: the
 * error is looked at after every SAMPLING_STRIDE draws, no batch reaches across such a place.  A budget of seconds cannot
 * promise that: it is looked at after every batch.
 */
#ifndef EXPLAIN_SAMPLING_H
#define EXPLAIN_SAMPLING_H

#include "explain/method.h"

enum { SAMPLING_STRIDE = 10 };

/* Draws of a test, used instead of random ones (tkr_session.stored); NULL: random after all. */
typedef struct stored_draws {
    const double *noise; /* smoothgrad: [draws][length][width]                      */
    const int32_t *ids;  /* expected-gradients: reference tokens [draws][length]; removal random: what stands in a removed token's place ... */
    const double *alpha; /* ... and where on the line [draws]                        */
} stored_draws;

/* Draws, of those asked for, that the session's budget of evaluations pays; at least one. */
double sampling_draws(const question *q, double asked, uint64_t evaluations_per_draw);
/* Draws between two looks at error and clock: all of them when neither is asked for. */
size_t sampling_stride(const question *q, size_t draws);
/* Is the time over, `begun` being clock_seconds() at the start? */
bool sampling_is_late(const question *q, double begun);
/* Is this a place to look at the error? */
bool sampling_looks(const question *q, size_t done);
/* values and errors [targets][features]: is every target's error small enough? */
bool sampling_is_enough(const question *q, const double *values, const double *errors);
/* Token values [length] summed over features [features], which are overwritten. */
void sampling_sum(const question *q, const double *tokens, double *features);

#endif
