/* Comparing arrays in tests; see compare.h. */
#include "support/compare.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef struct tolerance_row {
    const char *name, *reason;
    double relative, absolute;
} tolerance_row;

static const tolerance_row rows[] = {
#ifdef TOKRAY_REAL_DOUBLE
#define TOLERANCE(name, relative, absolute, relative_double, absolute_double, reason)                                 \
    {#name, reason, relative_double, absolute_double},
#else
#define TOLERANCE(name, relative, absolute, relative_double, absolute_double, reason) {#name, reason, relative, absolute},
#endif
#include "tolerance.def"
#undef TOLERANCE
};

static double used[TOLERANCE_COUNT];

static tensor tensor_of(size_t rank, const size_t *shape)
{
    tensor t = {.rank = rank};
    for (size_t i = 0; i < rank && i < TENSOR_RANK; i++)
        t.shape[i] = shape[i];
    return t;
}

tensor tensor_f32(const float *numbers, size_t rank, const size_t *shape)
{
    tensor t = tensor_of(rank, shape);
    t.f32 = numbers;
    return t;
}

tensor tensor_f64(const double *numbers, size_t rank, const size_t *shape)
{
    tensor t = tensor_of(rank, shape);
    t.f64 = numbers;
    return t;
}

static double number_at(tensor t, size_t i) { return t.f32 != NULL ? (double)t.f32[i] : t.f64[i]; }

static size_t size_of(tensor t)
{
    size_t size = 1;
    for (size_t i = 0; i < t.rank; i++)
        size *= t.shape[i];
    return size;
}

/* "[2, 3]" of extents, or of the index of element `at`. */
static const char *bracket(char *text, size_t room, tensor t, bool is_index, size_t at)
{
    size_t numbers[TENSOR_RANK] = {0};
    for (size_t i = t.rank; i-- > 0;) {
        numbers[i] = is_index ? at % t.shape[i] : t.shape[i];
        at = is_index ? at / t.shape[i] : at;
    }
    size_t length = (size_t)snprintf(text, room, "[");
    for (size_t i = 0; i < t.rank && length < room; i++)
        length += (size_t)snprintf(text + length, room - length, "%s%zu", i ? ", " : "", numbers[i]);
    if (length < room)
        (void)snprintf(text + length, room - length, "]");
    return text;
}

static bool shapes_equal(tensor a, tensor b)
{
    return a.rank <= TENSOR_RANK && a.rank == b.rank && memcmp(a.shape, b.shape, a.rank * sizeof *a.shape) == 0;
}

/* The element that is furthest over the limit (NaN is further than all); SIZE_MAX when none is over it. */
static size_t worst_of(tensor got, tensor want, double limit, double *most)
{
    size_t worst = SIZE_MAX;
    *most = 0;
    for (size_t i = 0; i < size_of(want); i++) {
        double a = number_at(got, i), b = number_at(want, i);
        double gap = a == b ? 0 : fabs(a - b);
        if (isnan(gap))
            gap = (double)INFINITY;
        if (gap > limit && (worst == SIZE_MAX || gap > *most))
            worst = i;
        if (gap > *most)
            *most = gap;
    }
    return worst;
}

bool tensor_compare(char *text, tensor got, tensor want, tolerance allowed, bool may_be_empty)
{
    const tolerance_row *row = &rows[allowed];
    char one[96], two[96];
    text[0] = 0;
    if (!shapes_equal(got, want)) {
        (void)snprintf(text, COMPARE_TEXT, "shape %s, want %s", bracket(one, sizeof one, got, false, 0),
                       bracket(two, sizeof two, want, false, 0));
        return false;
    }
    if (size_of(want) == 0 || (got.f32 == NULL && got.f64 == NULL) || (want.f32 == NULL && want.f64 == NULL)) {
        bool is_fine = may_be_empty && size_of(want) == 0;
        if (!is_fine)
            (void)snprintf(text, COMPARE_TEXT, "empty array of shape %s", bracket(one, sizeof one, got, false, 0));
        return is_fine;
    }
    double scale = 0, most;
    for (size_t i = 0; i < size_of(want); i++)
        scale = fmax(scale, isfinite(number_at(want, i)) ? fabs(number_at(want, i)) : 0);
    double limit = row->absolute + row->relative * scale;
    size_t worst = worst_of(got, want, limit, &most);
    if (worst == SIZE_MAX) {
        used[allowed] = limit > 0 ? fmax(used[allowed], most / limit) : used[allowed];
        return true;
    }
    (void)snprintf(text, COMPARE_TEXT,
                   "%s of shape %s: got %.9g, want %.9g, difference %.3g, allowed %.3g (tolerance %s: %s)",
                   bracket(one, sizeof one, want, true, worst), bracket(two, sizeof two, want, false, 0),
                   number_at(got, worst), number_at(want, worst), fabs(number_at(got, worst) - number_at(want, worst)),
                   limit, row->name, row->reason);
    return false;
}

double tolerance_used(tolerance allowed) { return used[allowed]; }

void tolerance_report(void)
{
    for (int i = 0; i < TOLERANCE_COUNT; i++)
        if (used[i] > 0)
            printf("tolerance %s: worst difference used %.0f %%\n", rows[i].name, 100 * used[i]);
}

void assert_close_tensor_at(const char *label, tensor got, tensor want, tolerance allowed, bool may_be_empty,
                            const char *file, int line)
{
    char text[COMPARE_TEXT];
    if (tensor_compare(text, got, want, allowed, may_be_empty))
        return;
    print_error("%s: %s\n", label, text);
    _fail(file, line);
}
