/*
 * Running means and their standard errors: many numbers a draw, one row of them a target, no draw kept.
 *
 * A row's draws are added one after the other in the order of their numbers, whatever batches they came in, so the result has
 * the same bits for any batch size and number of threads.
 */
#ifndef EXPLAIN_ESTIMATE_H
#define EXPLAIN_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct estimate {
    size_t rows, width;
    size_t *draws;  /* [rows] added so far                               */
    double *mean;   /* [rows][width]                                     */
    double *spread; /* [rows][width] sum of squared distances to the mean */
} estimate;

/* Bytes that estimate_init takes from the heap. */
size_t estimate_bytes(size_t rows, size_t width);
/* False: out of memory; estimate_fini copes with what is there. */
bool estimate_init(estimate *e, size_t rows, size_t width);
void estimate_fini(estimate *e);

/* One more draw of a row: values [width]. */
void estimate_add(estimate *e, size_t row, const double *values);
/* Sample deviation (n - 1) over the square root of n; NaN below two draws. */
double estimate_error(const estimate *e, size_t row, size_t column);

/* Largest error of a row as a share of its score range, max(values, 0) - min(values, 0); 0 when all values are 0, and
 * infinite where an error is NaN. */
double estimate_share(const double *values, const double *errors, size_t count);

#endif
