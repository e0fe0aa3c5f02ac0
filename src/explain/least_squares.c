/*
 * See least_squares.h.
 *
 * Full rank: Cholesky, a = L L', inverse = L^-T L^-1.  Below it: the pivoted factorisation stops with a = F F', F [n][r] of rank
 * r, and the pseudo-inverse is F (F'F)^-2 F'.  No eigenvalues are needed, and the cost is a few n^3 / 3 in both cases.
 *
 * The sandwich A^-1 (sum of u u') A^-1 is only asked for on its diagonal: the sum of squares of A^-1 u, row by row, which costs
 * one product a row for all targets together.
 */
#include "explain/least_squares.h"

#include <math.h>
#include <string.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/set.h"

static const double smallest_pivot = 1e-10; /* of the mean of the diagonal */

static double diagonal_mean(const double *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i * n + i];
    return n ? sum / (double)n : 0;
}

/* a becomes its lower factor; false, and a spoilt, at a pivot that is too small. */
static bool cholesky(double *a, size_t n)
{
    double least = smallest_pivot * diagonal_mean(a, n);
    for (size_t i = 0; i < n; i++) {
        double *row = a + i * n;
        for (size_t j = 0; j < i; j++)
            row[j] = (row[j] - vector_dot(row, a + j * n, j)) / a[j * n + j];
        double pivot = row[i] - vector_dot(row, row, i);
        if (!(pivot > least))
            return false;
        row[i] = sqrt(pivot);
    }
    return true;
}

/* inverse of L L', with room [n][n] for L^-1. */
static void invert_factor(const double *l, size_t n, double *room, double *inverse)
{
    memset(room, 0, n * n * sizeof *room);
    memset(inverse, 0, n * n * sizeof *inverse);
    for (size_t i = 0; i < n; i++) {
        double *row = room + i * n;
        for (size_t j = 0; j < i; j++)
            vector_add(row, -l[i * n + j], room + j * n, j + 1);
        row[i] = 1;
        for (size_t j = 0; j <= i; j++)
            row[j] /= l[i * n + i];
        for (size_t j = 0; j <= i; j++)
            vector_add(inverse + j * n, row[j], row, i + 1);
    }
}

/* a is used up: a = F F' with F [n][n] in `factor`, whose first `rank` columns count. */
static size_t pivoted(double *a, size_t n, double *factor)
{
    double least = smallest_pivot * diagonal_mean(a, n);
    memset(factor, 0, n * n * sizeof *factor);
    for (size_t rank = 0; rank < n; rank++) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++)
            best = a[i * n + i] > a[best * n + best] ? i : best;
        if (!(a[best * n + best] > least))
            return rank;
        double scale = 1 / sqrt(a[best * n + best]);
        for (size_t i = 0; i < n; i++)
            factor[i * n + rank] = a[i * n + best] * scale;
        for (size_t i = 0; i < n; i++)
            for (size_t j = 0; j < n; j++)
                a[i * n + j] -= factor[i * n + rank] * factor[j * n + rank];
    }
    return n;
}

/* F (F'F)^-2 F'; a is room [n][n], as is more [2][n][n].  False: the columns of F are too unlike in size. */
static bool pseudo_inverse(const double *factor, size_t n, size_t rank, double *a, double *more, double *inverse)
{
    double *square = more, *room = more + n * n;
    memset(square, 0, rank * rank * sizeof *square);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < rank; j++)
            vector_add(square + j * rank, factor[i * n + j], factor + i * n, rank);
    if (!cholesky(square, rank))
        return false;
    invert_factor(square, rank, room, a);
    memset(inverse, 0, n * n * sizeof *inverse);
    for (size_t i = 0; i < n; i++) { /* B = F (F'F)^-1 takes the place of room, inverse = B B' */
        memset(room + i * n, 0, n * sizeof *room);
        for (size_t j = 0; j < rank; j++)
            vector_add(room + i * n, factor[i * n + j], a + j * rank, rank);
        for (size_t j = 0; j <= i; j++)
            inverse[i * n + j] = inverse[j * n + i] = vector_dot(room + i * n, room + j * n, rank);
    }
    return true;
}

tkr_status symmetric_inverse(const double *a, size_t size, double *inverse, size_t *rank, tkr_error *error)
{
    size_t square = size * size;
    double *work = NEW(double, 4 * square);
    if (!work)
        return fail_memory(error, "a regression", 4 * square * sizeof(double));
    double *factor = work + square;
    memcpy(work, a, square * sizeof *work);
    *rank = size;
    if (cholesky(work, size)) {
        invert_factor(work, size, factor, inverse);
    } else {
        memcpy(work, a, square * sizeof *work);
        *rank = pivoted(work, size, factor);
        while (!pseudo_inverse(factor, size, *rank, work, factor + square, inverse))
            --*rank; /* without its last column, the smallest */
    }
    memory_free(work);
    return TKR_OK;
}

/* ---- regression on sets ---- */

static double weight_of(const set_regression *r, size_t row) { return r->weights ? r->weights[row] : 1; }

/* Row `row` of the design, x [columns]. */
static void design_row(const set_regression *r, size_t row, double *x)
{
    const uint64_t *set = r->sets + row * set_words(r->players);
    for (size_t i = 0; i < r->players; i++)
        x[i] = set_has(set, i) != r->by_removed;
    if (r->has_intercept)
        x[r->players] = 1;
}

static double residual(const set_regression *r, size_t row, size_t t, const double *x, const double *coefficients)
{
    return r->values[row * r->targets + t] - vector_dot(x, coefficients, set_regression_columns(r));
}

/* matrix [columns][columns] and right sides [targets][columns] of the normal equations. */
static void normal_equations(const set_regression *r, double *x, double *matrix, double *right)
{
    size_t columns = set_regression_columns(r);
    for (size_t i = 0; i < r->players; i++)
        matrix[i * columns + i] = r->ridge;
    for (size_t k = 0; k < r->rows; k++) {
        double w = weight_of(r, k);
        design_row(r, k, x);
        for (size_t i = 0; i < columns; i++)
            if (x[i] > 0)
                vector_add(matrix + i * columns, w, x, columns);
        for (size_t t = 0; t < r->targets; t++)
            vector_add(right + t * columns, w * r->values[k * r->targets + t], x, columns);
    }
}

/* errors: HC1 from what each row does to the coefficients; x, h [columns]. */
static void sandwich(const set_regression *r, const double *inverse, const double *coefficients, double *x, double *h, double *errors)
{
    size_t columns = set_regression_columns(r);
    double correction = (double)r->rows / ((double)r->rows - (double)columns);
    memset(errors, 0, r->targets * columns * sizeof *errors);
    for (size_t k = 0; k < r->rows; k++) {
        design_row(r, k, x);
        memset(h, 0, columns * sizeof *h);
        for (size_t i = 0; i < columns; i++)
            if (x[i] > 0)
                vector_add(h, weight_of(r, k), inverse + i * columns, columns);
        for (size_t t = 0; t < r->targets; t++) {
            double e = residual(r, k, t, x, coefficients + t * columns);
            for (size_t i = 0; i < columns; i++)
                errors[t * columns + i] += h[i] * e * (h[i] * e);
        }
    }
    for (size_t i = 0; i < r->targets * columns; i++)
        errors[i] = sqrt(errors[i] * correction);
}

tkr_status set_regression_fit(const set_regression *r, double *coefficients, double *errors, tkr_error *error)
{
    size_t columns = set_regression_columns(r), square = columns * columns, rank;
    double *work = NEW(double, 2 * square + (r->targets + 2) * columns);
    if (!work)
        return fail_memory(error, "a regression", 2 * square * sizeof(double));
    double *matrix = work, *inverse = work + square, *right = inverse + square, *x = right + r->targets * columns, *h = x + columns;
    normal_equations(r, x, matrix, right);
    tkr_status status = symmetric_inverse(matrix, columns, inverse, &rank, error);
    for (size_t t = 0; !status && t < r->targets; t++)
        for (size_t i = 0; i < columns; i++)
            coefficients[t * columns + i] = vector_dot(inverse + i * columns, right + t * columns, columns);
    if (!status && rank == columns && r->rows > columns)
        sandwich(r, inverse, coefficients, x, h, errors);
    else
        for (size_t i = 0; !status && i < r->targets * columns; i++)
            errors[i] = (double)NAN;
    memory_free(work);
    return status;
}

double set_regression_r2(const set_regression *r, size_t t, const double *coefficients)
{
    double total = 0, mean = 0, spread = 0, left = 0;
    for (size_t k = 0; k < r->rows; k++) {
        total += weight_of(r, k);
        mean += weight_of(r, k) * r->values[k * r->targets + t];
    }
    mean /= total;
    for (size_t k = 0; k < r->rows; k++) {
        const uint64_t *set = r->sets + k * set_words(r->players);
        double y = r->values[k * r->targets + t], e = y - (r->has_intercept ? coefficients[r->players] : 0);
        for (size_t i = 0; i < r->players; i++)
            e -= set_has(set, i) != r->by_removed ? coefficients[i] : 0;
        left += weight_of(r, k) * e * e;
        spread += weight_of(r, k) * (y - mean) * (y - mean);
    }
    return spread > 0 ? 1 - left / spread : (double)NAN;
}
