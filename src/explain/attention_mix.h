/*
 * Attention as rollout and flow read it: the heads of each layer made one matrix, and the residual connection mixed in.
 *
 * Row = query, column = key; rows sum to 1.  Of an encoder-decoder there are three: the decoder's own layers, those to the source,
 * and the encoder's.
 */
#ifndef EXPLAIN_ATTENTION_MIX_H
#define EXPLAIN_ATTENTION_MIX_H

#include "explain/attention_maps.h"

typedef enum attention_fusion { FUSION_MEAN, FUSION_MAX, FUSION_MIN, FUSION_COUNT } attention_fusion;
/* "mean", "max", "min", in their order, as the range of a parameter. */
#define FUSION_CHOICES "mean|max|min"
attention_fusion attention_fusion_of(view name);

typedef struct mix_options {
    attention_fusion fusion;
    double alpha;      /* share of attention; 1 - alpha is the residual                         */
    double beta;       /* share of the residual around attention to the source                  */
    double discard;    /* share of the entries of each layer, the smallest, that become 0       */
    size_t first, end; /* layers of each stack, from 0; end 0: to the last                      */
} mix_options;
mix_options mix_defaults(void); /* mean, a half, a half, nothing, all */

typedef struct attention_layers {
    size_t layers, queries, keys;
    double *at; /* [layers][queries][keys] */
} attention_layers;

static inline double *attention_layer(const attention_layers *a, size_t layer) { return a->at + layer * a->queries * a->keys; }

typedef struct attention_mix {
    attention_layers own;    /* of the stack that predicts, with its residual                   */
    attention_layers cross;  /* encoder-decoders: to the source, without; layers 0: no source   */
    attention_layers source; /* the encoder's, with its residual                                */
    bool is_causal;          /* own rows see earlier tokens only                                */
    double beta;
} attention_mix;

/* The heads of one layer in one: [queries, keys]; rows of max and min do not sum to 1. */
void attention_fuse(const attention_stack *s, size_t layer, attention_fusion how, double *out);

/* Arrays lie in the arena.  Errors: limit.oom. */
tkr_status attention_mix_maps(const attention_maps *maps, const mix_options *options, arena *a, attention_mix *out, tkr_error *error);
/* Bytes of what a mix of a question's attention takes, with what makes it. */
size_t attention_mix_bytes(const question *q);

#endif
