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

/* Keys and values of the rows that one attention has seen in earlier runs (incremental decoding, one sequence).  A run over
 * a cache of `rows` past rows writes those of its own rows behind them; whoever runs the graph then raises `rows`. */
typedef struct attention_cache {
    real *keys, *values;        /* [capacity, width]                                                    */
    size_t rows, capacity, width;
} attention_cache;

/* What an operation is told besides its inputs; each op uses its own few. */
typedef struct op_params {
    const int32_t *index;       /* embed: id, gather: chosen row, angles: position of each output row; pick: chosen outputs */
    const uint8_t *hidden;      /* attention: non-zero: nobody sees this key; or NULL                   */
    const uint32_t *hidden_begin; /* attention: where the keys of each sequence begin in `hidden`; NULL: at their segment, or list */
    const uint32_t *listed_begin; /* attention, forward only: the keys of each sequence of queries are listed, [sequences + 1] ... */
    const int32_t *listed;      /* ... as rows of the keys' node, in order; several sequences may see one row.  NULL: the
                                   segments of the keys' node say which */
    const int32_t *places;      /* attention, forward only: where each key lies in its text, for windows and distances, when rows
                                   between are left out: of row r of the keys' node places[index[r]], without index places[r].
                                   NULL: side by side */
    const int32_t *query_rows;  /* attention: which row of its keys' node each query row is (as gather's index), for causal
                                   masks, windows and distances; NULL: the queries are the last rows of their sequence */
    int32_t offset;             /* embed: added to each index                                           */
    size_t heads;               /* attention, rotate                                                    */
    size_t key_heads;           /* attention: heads of keys and values, each serving heads / key_heads; 0: heads */
    size_t window;              /* attention: query at i sees keys after i - window; 0: all             */
    size_t buckets, farthest;   /* attention with weights[0] [buckets, heads]: T5's relative distances  */
    attention_cache *cache;     /* attention: see above; inputs k, v NODE_NONE: nothing new to write.  Without a keys' node
                                   query_rows and hidden count from the cache's first row, and so does hidden with one */
    real scale;                 /* attention; scale: the factor                                         */
    bool is_causal;             /* attention                                                            */
    activation act;             /* activate                                                             */
    double eps;                 /* layer_norm, rms_norm                                                 */
    const double *frequencies;  /* angles: [width / 2]; lives as long as the graph                     */
    double magnitude;           /* angles: factor of cosines and sines; 0: 1                            */
    const real *given;          /* given: [rows, width], read in every run                              */
    size_t width;               /* given, angles, pick: columns of the node; attention: all places are below  */
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
