/*
 * Least squares in double: systems of a few hundred unknowns whose rows are sets of players.
 *
 * All targets of a game share the matrix, so it is inverted once.  Where columns cannot be told apart the inverse is the
 * pseudo-inverse: of all solutions the shortest.
 */
#ifndef EXPLAIN_LEAST_SQUARES_H
#define EXPLAIN_LEAST_SQUARES_H

#include <tokray/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline double vector_dot(const double *x, const double *y, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * y[i];
    return sum;
}
/* y += factor x */
static inline void vector_add(double *y, double factor, const double *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] += factor * x[i];
}

/* Inverse of a symmetric positive semidefinite matrix a [size][size]; below full rank, by pivots under 1e-10 of the mean of its
 * diagonal, the pseudo-inverse. */
tkr_status symmetric_inverse(const double *a, size_t size, double *inverse, size_t *rank, tkr_error *error);

/* Regression of values on sets: a column is 1 where its player is kept, or (by_removed) where it is removed. */
typedef struct set_regression {
    size_t players, rows, targets;
    const uint64_t *sets;    /* [rows][set_words(players)]   */
    const double *values;    /* [rows][targets]              */
    const double *weights;   /* [rows]; NULL: 1 each         */
    bool has_intercept, by_removed;
    double ridge;            /* penalty of the squares of all coefficients but the intercept */
} set_regression;

/* Numbers that are fitted for each target: the players', then the intercept if there is one. */
static inline size_t set_regression_columns(const set_regression *r) { return r->players + r->has_intercept; }

/* coefficients and errors, each [targets][columns].  Errors are of the sandwich HC1 (White 1980; MacKinnon and White 1985),
 * which does not ask for equal variances; NaN where the rows are too few or too alike to tell. */
tkr_status set_regression_fit(const set_regression *r, double *coefficients, double *errors, tkr_error *error);

/* Weighted share of target t's variance that the fit explains; NaN when the values do not vary. */
double set_regression_r2(const set_regression *r, size_t t, const double *coefficients);

#endif
