/*
 * Attention of the clean input as matrices: what rollout, flow, statistics and gradient-weighted maps begin with.
 *
 * Three kinds of attention: an encoder's, a decoder's own (causal), and a decoder's to the source.  Row = query, column = key;
 * numbers are doubles, since everything after the model is (methods.md 0.2).
 */
#ifndef EXPLAIN_ATTENTION_MAPS_H
#define EXPLAIN_ATTENTION_MAPS_H

#include "explain/question.h"

typedef enum attention_kind { ATTENTION_ENCODER, ATTENTION_DECODER, ATTENTION_CROSS, ATTENTION_KINDS } attention_kind;
const char *attention_kind_id(attention_kind kind); /* "encoder", "decoder", "cross" */

/* One number for each layer, head, query and key; layers 0: the model has no such attention. */
typedef struct attention_stack {
    size_t layers, heads, queries, keys;
    double *at; /* [layers][heads][queries][keys] */
} attention_stack;

typedef struct attention_maps {
    attention_stack of[ATTENTION_KINDS];
} attention_maps;

static inline double *attention_head_map(const attention_stack *s, size_t layer, size_t number)
{
    return s->at + (layer * s->heads + number) * s->queries * s->keys;
}

/* Run the question's input once with all rows and read all probabilities; in the arena. */
tkr_status attention_maps_capture(const question *q, arena *a, attention_maps *out, tkr_error *error);
/* Bytes that the maps of a question take, and the pass that makes them. */
size_t attention_maps_bytes(const question *q);

/* Parts, for passes of one's own over the question's input with all rows.  Is a site attention, and of which kind?  Those of a kind
 * come in the order of their layers. */
bool attention_site_kind(const question *q, const graph_site *site, attention_kind *kind);
/* Layers and extents of a graph's attention, without room; the bytes that the room takes; the room, zeroed; what a pass that has run
 * with saves_kept of them holds. */
void attention_maps_measure(const question *q, const graph *g, attention_maps *out);
size_t attention_maps_room_bytes(const attention_maps *maps); /* SIZE_MAX: too many to count */
tkr_status attention_maps_make_room(arena *a, attention_maps *maps, tkr_error *error);
void attention_maps_read(const question *q, const pass *p, attention_maps *maps);

#endif
