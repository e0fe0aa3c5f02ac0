/*
 * What attention saves: the probabilities of each sequence and head, [queries, keys] blocks, one after the other: for each
 * sequence in order, for each head in order.
 */
#ifndef TENSOR_OPS_ATTENTION_H
#define TENSOR_OPS_ATTENTION_H

#include "tensor/graph.h"

/* Where the block of a sequence and head begins in runner_saved(r, n), in elements. */
size_t attention_probs_offset(const graph *g, node n, size_t sequence, size_t head);

#endif
