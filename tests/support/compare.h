/*
 * Comparing arrays in tests: shapes first, NaN different from everything, and empty arrays only where they are expected.
 * A failure names index, got, want, shape and the tolerance with its reason (tests/tolerance.def).
 */
#ifndef SUPPORT_COMPARE_H
#define SUPPORT_COMPARE_H

#include <stdbool.h>
#include <stddef.h>

enum { TENSOR_RANK = 4, COMPARE_TEXT = 512 };

typedef enum tolerance {
#define TOLERANCE(name, relative, absolute, relative_double, absolute_double, reason) TOLERANCE_##name,
#include "tolerance.def"
#undef TOLERANCE
    TOLERANCE_COUNT
} tolerance;

/* A dense array of float or double, row-major; one of the pointers is set. */
typedef struct tensor {
    const float *f32;
    const double *f64;
    size_t rank, shape[TENSOR_RANK];
} tensor;

tensor tensor_f32(const float *numbers, size_t rank, const size_t *shape);
tensor tensor_f64(const double *numbers, size_t rank, const size_t *shape);

/* TENSOR(pointer, rows, columns): an array of float or double with its extents. */
#define TENSOR(pointer, ...)                                                                                          \
    _Generic((pointer), float *: tensor_f32, const float *: tensor_f32, double *: tensor_f64,                         \
             const double *: tensor_f64)(                                                                             \
        (pointer), sizeof((size_t[]){__VA_ARGS__}) / sizeof(size_t), (size_t[]){__VA_ARGS__})

/* Are they close?  If not, text (COMPARE_TEXT bytes) says where and why. */
bool tensor_compare(char *text, tensor got, tensor want, tolerance allowed, bool may_be_empty);

/* Share of the tolerance that the worst difference so far has used, over all comparisons of this process that passed. */
double tolerance_used(tolerance allowed);
/* Print these shares, a line each; for the end of a test program. */
void tolerance_report(void);

#define assert_close_tensor(label, got, want, allowed)                                                                \
    assert_close_tensor_at(label, got, want, allowed, false, __FILE__, __LINE__)
#define assert_close_tensor_or_empty(label, got, want, allowed)                                                       \
    assert_close_tensor_at(label, got, want, allowed, true, __FILE__, __LINE__)
void assert_close_tensor_at(const char *label, tensor got, tensor want, tolerance allowed, bool may_be_empty,
                            const char *file, int line);

#endif
