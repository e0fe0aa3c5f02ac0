/*
 * The words a family's forward pass is written in.  Weight names are the family's own; after enter_layer(b, 3) an "@" in a
 * name means 3 and site names get "layer.3." in front.  A failed step makes every later one a no-op; model_graph_new tells.
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
    int layer; /* -1: outside the layers */
};

node embed(build *b, const char *table, const int32_t *index); /* rows of a table: ids, types or positions of the batch */
node add(build *b, node x, node y);
node linear(build *b, const char *name, node x);               /* "name.weight" and, where it has one, "name.bias"      */
node norm(build *b, const char *name, node x);                 /* layer norm with the config's eps                      */
node activate(build *b, activation act, node x);
node attend(build *b, node q, node k, node v);                 /* config's heads, scale 1/sqrt(C/H); site attention.probs */
node site(build *b, const char *name, node x);
void enter_layer(build *b, int layer);
void leave_layers(build *b);
/* The rows later steps need: all, or in the last layer only the target rows. */
node rows_needed(build *b, node x);
/* The target rows of what the last layer left: x itself where rows_needed has selected them. */
node target_rows(build *b, node x);

#endif
