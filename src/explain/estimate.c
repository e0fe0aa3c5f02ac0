/* Mean and spread by Welford's recurrence (Technometrics 4, 1962), which does not cancel. */
#include "explain/estimate.h"

#include <math.h>

#include "base/memory.h"

size_t estimate_bytes(size_t rows, size_t width) { return rows * (sizeof(size_t) + 2 * width * sizeof(double)); }

bool estimate_init(estimate *e, size_t rows, size_t width)
{
    *e = (estimate){.rows = rows, .width = width, .draws = NEW(size_t, rows)};
    e->mean = NEW(double, rows * width);
    e->spread = NEW(double, rows * width);
    return e->draws && e->mean && e->spread;
}

void estimate_fini(estimate *e)
{
    memory_free(e->draws);
    memory_free(e->mean);
    memory_free(e->spread);
    *e = (estimate){0};
}

void estimate_add(estimate *e, size_t row, const double *values)
{
    double n = (double)++e->draws[row];
    double *mean = e->mean + row * e->width, *spread = e->spread + row * e->width;
    for (size_t i = 0; i < e->width; i++) {
        double before = values[i] - mean[i];
        mean[i] += before / n;
        spread[i] += before * (values[i] - mean[i]);
    }
}

double estimate_error(const estimate *e, size_t row, size_t column)
{
    double n = (double)e->draws[row];
    return n < 2 ? (double)NAN : sqrt(e->spread[row * e->width + column] / (n - 1) / n);
}

double estimate_share(const double *values, const double *errors, size_t count)
{
    double high = 0, low = 0, worst = 0;
    for (size_t i = 0; i < count; i++) {
        high = fmax(high, values[i]);
        low = fmin(low, values[i]);
        worst = isnan(errors[i]) ? (double)INFINITY : fmax(worst, errors[i]);
    }
    return worst > 0 ? worst / (high - low) : 0;
}
