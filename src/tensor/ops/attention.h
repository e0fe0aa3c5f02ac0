/*
 * What attention saves: the probabilities of each sequence and head, [queries, keys] blocks, one after the other: for each
 * sequence in order, for each head in order.  Over a cache, rows are as long as the cache (zeros behind its last key).
 */
#ifndef TENSOR_OPS_ATTENTION_H
#define TENSOR_OPS_ATTENTION_H

#include "tensor/graph.h"

/* Where the block of a sequence and head begins in runner_saved(r, n), in elements. */
size_t attention_probs_offset(const graph *g, node n, size_t sequence, size_t head);

/* T5's bucket of a key that lies `distance` behind its query (before it: negative).  Both directions share the buckets
 * halfway; in one direction keys behind the query all have bucket 0. */
size_t attention_bucket(ptrdiff_t distance, size_t buckets, size_t farthest, bool has_both_directions);

#endif
