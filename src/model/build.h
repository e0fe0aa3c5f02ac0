/*
 * The words a family's forward pass is written in.  Weight names are the family's own; after enter_layer(b, 3) an "@" in a
 * name means 3 and site names get "layer.3." in front.  A failed step makes every later one a no-op; model_graph_new tells.
 *
 * Families with two stacks enter each by enter_stack, which chooses its rows and puts its name in front: of site names
 * ("decoder.layer.3.output") and of the "@" in weight names ("decoder.3.query.weight").
 */
#ifndef MODEL_BUILD_H
#define MODEL_BUILD_H

#include "model/model.h"

struct build {
    const tkr_model *model;
    const family_config *config;
    const batch *batch;
    graph *graph;
    graph_wish wish;
    const char *stack; /* in front of site names: "", "encoder." or "decoder."                  */
    size_t layers;     /* of this stack                                                         */
    bool has_head;     /* the head reads this stack: its last layer may keep the target rows only */
    int layer;         /* -1: outside the layers                                                */
    int weights;       /* whose weights "@" means: the layer's own, or those it shares           */
    segments distinct; /* of nodes whose rows are not spread yet (batch.spread)                  */
    const int32_t *stack_rows; /* [rows of the stack] which rows of the batch they are; NULL: all */
    segments sources;  /* cross attention with batch.source_of: the keys of each sequence ...    */
    const int32_t *source_rows; /* ... as rows of the encoder's stack                             */
};

node embed(build *b, const char *table, const int32_t *index); /* rows of a table: ids, types or positions of the batch */
node embed_positions(build *b, const char *table);             /* the batch's positions, from the config's first row on */
node add(build *b, node x, node y);
node multiply(build *b, node x, node y);
node scale(build *b, double factor, node x);
node linear(build *b, const char *name, node x);               /* "name.weight" and, where it has one, "name.bias"      */
node norm(build *b, const char *name, node x);                 /* layer norm with the config's eps                      */
node rms_norm(build *b, const char *name, node x);             /* the same without mean and bias                        */
node activate(build *b, activation act, node x);
/* Rotary positions: the angles of the batch's rows, and x turned by those of its rows. */
node angles(build *b, const double *frequencies, size_t width);
node rotate(build *b, node x, node turns, size_t heads);

/* Encoders: config's heads, all keys seen, scale 1/sqrt(D); site attention.probs. */
node attend(build *b, node q, node k, node v);
typedef struct attending {
    node q, k, v;          /* k and v NODE_NONE: they are in the cache already (cross attention) */
    double scale;
    bool is_causal;
    bool reads_source;     /* cross attention: the keys are the source's; site cross.probs       */
    const char *distances; /* T5: the table of biases, or NULL                                   */
    size_t window;
} attending;
node attend_as(build *b, attending how);
double attention_scale(const build *b); /* 1/sqrt(D) */

node site(build *b, const char *name, node x);
void enter_layer(build *b, int layer);
void share_weights(build *b, int layer); /* until the next layer "@" means the weights of this one */
void leave_layers(build *b);
/* The rows later steps need: all, or in the last layer only the target rows. */
node rows_needed(build *b, node x);
/* The target rows of what the last layer left: x itself where rows_needed has selected them. */
node target_rows(build *b, node x);

/* Encoder-decoders.  How many rows of the batch are source tokens; does it have decoder rows? */
size_t source_rows(const batch *b);
bool has_output(const batch *b);
/* Begin a stack: its rows of the batch's embeddings. */
node enter_stack(build *b, bool is_decoder, size_t layers, node embeddings);
void leave_stacks(build *b);

/* The cache of one attention of the decoder; NULL: none.  How many source rows this run adds (model_cache_advance). */
attention_cache *model_cache_layer(model_cache *c, bool is_cross, size_t layer);
void model_cache_expect(model_cache *c, size_t source_rows);

#endif
