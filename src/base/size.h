/* Sizes from files are combined here and nowhere else: every function returns false when the result would wrap. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool size_add(size_t *out, size_t a, size_t b) { return !__builtin_add_overflow(a, b, out); }
static inline bool size_sub(size_t *out, size_t a, size_t b) { return !__builtin_sub_overflow(a, b, out); }
static inline bool size_mul(size_t *out, size_t a, size_t b) { return !__builtin_mul_overflow(a, b, out); }

/* Little-endian numbers at any address. */
uint64_t bytes_u64le(const unsigned char *at);

#endif
