/*
 * A maximum-flow solver for layered networks (Dinic 1970): groups of nodes side by side, and dense blocks of edges between groups.
 *
 * Capacities are whole numbers of 2^-40, so it ends and is exact; edges into the sink are given for each question, and what a
 * question has changed is put back before the next.
 */
#ifndef EXPLAIN_FLOW_NETWORK_H
#define EXPLAIN_FLOW_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FLOW_BITS = 40, FLOW_BLOCKS_DOWN = 2 };

typedef struct flow_network flow_network;

/* NULL: no memory. */
flow_network *flow_network_new(size_t groups, const size_t *sizes, size_t blocks);
void flow_network_free(flow_network *f);
/* Bytes of a block, about. */
size_t flow_block_bytes(size_t rows, size_t columns);

/* Edges from every node of a group to every node of another: capacity share * weights[i][j]; weights NULL: share from each node to
 * its like.  At most FLOW_BLOCKS_DOWN from a group.  is_causal: none to later nodes.  False: no memory. */
bool flow_network_join(flow_network *f, size_t from, size_t to, const double *weights, double share, bool is_causal);
int64_t flow_capacity(double weight);

/* Choose the source, in the first group or a later one; returns what its edges carry at most. */
int64_t flow_network_start(flow_network *f, size_t group, size_t node);
/* Does the source reach a node? */
bool flow_network_reaches(const flow_network *f, size_t group, size_t node);
/* The most that flows from the source to a sink below a group, whose node i has an edge of capacity sink[i] into it, but no more
 * than `enough`.  first: nodes before it in causal groups do not reach the sink. */
int64_t flow_network_most(flow_network *f, size_t group, const int64_t *sink, size_t first, int64_t enough);

#endif
