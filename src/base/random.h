/*
 * Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).  A draw is a pure function of its key and counter,
 * so results never depend on threads, batches or order.  The known-answer vectors in tests/base are part of the promise
 * that a seed means the same draws in every 1.x version.
 */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a stream of draws belongs to; every field changes every draw. */
typedef struct random_key {
    uint64_t seed;
    uint32_t purpose; /* method or use, from random_purpose("smoothgrad") */
    uint32_t item;    /* row, feature or sample */
} random_key;

uint32_t random_purpose(const char *name); /* FNV-1a of the name */
void philox4x32_10(uint32_t out[4], const uint32_t counter[4], const uint32_t key[2]);
/* Draw number `index` of a stream. */
uint32_t random_u32(random_key key, uint64_t index);
double random_unit(random_key key, uint64_t index);             /* [0, 1), 53 bits          */
double random_normal(random_key key, uint64_t index);           /* mean 0, deviation 1      */
uint32_t random_below(random_key key, uint64_t index, uint32_t bound); /* 0 .. bound-1, unbiased to 2^-32 */

#endif
