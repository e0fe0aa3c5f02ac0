/* Random attention: rows of positive numbers that sum to 1, of an encoder, a decoder, or both with what lies between. */
#ifndef EXPLAIN_RANDOM_MAPS_H
#define EXPLAIN_RANDOM_MAPS_H

#include "explain/attention_maps.h"

typedef enum random_maps_kind { RANDOM_ENCODER, RANDOM_CAUSAL, RANDOM_BOTH } random_maps_kind;

/* sharp: deviation of the scores before the softmax; from 4 on a quarter of them is hidden.  Both: a source of n + 2 tokens. */
attention_maps random_maps(arena *a, uint64_t seed, size_t layers, size_t n, random_maps_kind kind, double sharp);

#endif
