/*
 * Graphs: a forward pass as a list of nodes, described once per model family, for one batch shape.
 *
 * A batch is packed: the tokens of all sequences are rows of one matrix; `segments` says where each sequence begins.  There
 * is no padding.  A node's value is [rows, width].  Nodes are run in the order they were added, and backward in the
 * opposite order.  A graph refers to the caller's index arrays (token ids, chosen rows): their contents may change between
 * runs, their lengths may not.  Owned by a session; one thread.
 */
#ifndef TENSOR_GRAPH_H
#define TENSOR_GRAPH_H

#include <tokray/error.h>

#include "base/arena.h"
#include "tensor/weight.h"

typedef int32_t node;
enum { NODE_NONE = -1, NODE_INPUTS = 4, NODE_WEIGHTS = 2, SITE_NAME_ROOM = 64 };

/* Rows begin[s] .. begin[s + 1] - 1 belong to sequence s. */
typedef struct segments {
    size_t count;
    const uint32_t *begin; /* [count + 1] */
} segments;

/* What an operation is told besides its inputs; each op uses its own few. */
typedef struct op_params {
    const int32_t *index;       /* embed: id of each row; gather: chosen row of each output row         */
    const uint8_t *hidden;      /* attention: [key rows], non-zero: nobody sees this key; or NULL        */
    size_t heads;               /* attention                                                            */
    real scale;                 /* attention                                                            */
    bool is_causal;             /* attention                                                            */
    activation act;             /* activate                                                             */
    double eps;                 /* layer_norm                                                           */
} op_params;

typedef struct graph_node {
    const struct op *op;
    node in[NODE_INPUTS];             /* NODE_NONE from the first unused on        */
    weight *weights[NODE_WEIGHTS];    /* may be NULL                               */
    op_params params;
    size_t rows, width;
    segments segments;                /* of the rows of this node                  */
    bool is_kept;                     /* value stays readable after the run        */
    bool is_gradient_kept;            /* gradient stays readable after backward    */
    bool is_source;                   /* gradients end here                        */
    bool saves_kept;                  /* what the op saves (probabilities) stays   */
} graph_node;

/* A place people ask about: the value of a node, or what an op saves beside it (attention probabilities). */
typedef struct graph_site {
    char name[SITE_NAME_ROOM];        /* "layer.3.output" */
    node node;
    bool is_saved;
} graph_site;

typedef struct graph {
    arena *arena;
    graph_node *nodes;
    size_t count, capacity;
    graph_site *sites;
    size_t site_count, site_capacity;
    tkr_status status;                /* sticky: the first failed graph_add        */
    tkr_error *error;                 /* where failures are told                   */
} graph;

/* A graph in an arena; everything it holds goes with the arena. */
graph *graph_new(arena *a, tkr_error *error);

/* Add a node.  The op's shape rule fixes rows and width and refuses what does not fit: an internal error that names op and
 * shapes, after which NODE_NONE is returned and every later call returns NODE_NONE (check graph->status once at the end).
 * rows/segments are only read by ops without inputs and by gather. */
node graph_add(graph *g, const struct op *op, const node *in, weight *const *weights, op_params params, size_t rows,
               segments rows_of);

/* Name a node's value (or its saved probabilities) as a site; returns the node. */
node graph_site_add(graph *g, node n, const char *name, bool is_saved);
const graph_site *graph_site_find(const graph *g, const char *name);

#endif
