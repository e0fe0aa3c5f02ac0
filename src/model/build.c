/*
 * The words of a family's forward pass, as calls of graph_add.  Known to go wrong: a weight name that no table has; that is
 * our own mistake and ends as an internal error of the graph, never as a crash.
 */
#include "model/build.h"

#include <stdio.h>

#include "base/failure.h"
#include "tensor/op.h"

enum { BUILD_NAME_ROOM = 96 };

/* "@.query" + ".weight" in layer 3: "3.query.weight". */
static void expand_name(const build *b, char out[BUILD_NAME_ROOM], const char *name, const char *ending)
{
    if (name[0] == '@')
        snprintf(out, BUILD_NAME_ROOM, "%d%s%s", b->layer, name + 1, ending);
    else
        snprintf(out, BUILD_NAME_ROOM, "%s%s", name, ending);
}

static weight *find_weight(build *b, const char *name, const char *ending)
{
    char full[BUILD_NAME_ROOM];
    expand_name(b, full, name, ending);
    weight *w = model_weight(b->model, full);
    if (!w && !b->graph->status)
        b->graph->status = fail(b->graph->error, TKR_E_INTERNAL,
                                "the forward pass of %s names the weight %s, which no table has",
                                b->model->family->title, full);
    return w;
}

static segments no_segments(void) { return (segments){0, NULL}; }

static node add_node(build *b, const op *kind, const node *in, weight *const *weights, op_params params)
{
    if (b->graph->status)
        return NODE_NONE;
    return graph_add(b->graph, kind, in, weights, params, 0, no_segments());
}

node embed(build *b, const char *table, const int32_t *index)
{
    weight *w = find_weight(b, table, "");
    if (b->graph->status)
        return NODE_NONE;
    const node in[NODE_INPUTS] = {NODE_NONE, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {w, NULL};
    return graph_add(b->graph, &op_embed, in, weights, (op_params){.index = index}, b->batch->rows,
                     (segments){b->batch->sequences, b->batch->begin});
}

node add(build *b, node x, node y)
{
    const node in[NODE_INPUTS] = {x, y, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    return add_node(b, &op_add, in, weights, (op_params){0});
}

node linear(build *b, const char *name, node x)
{
    char bias[BUILD_NAME_ROOM];
    expand_name(b, bias, name, ".bias");
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {find_weight(b, name, ".weight"), model_weight(b->model, bias)};
    return add_node(b, &op_linear, in, weights, (op_params){0});
}

node norm(build *b, const char *name, node x)
{
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {find_weight(b, name, ".weight"), find_weight(b, name, ".bias")};
    return add_node(b, &op_layer_norm, in, weights, (op_params){.eps = b->config->eps});
}

node activate(build *b, activation act, node x)
{
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    return add_node(b, &op_activate, in, weights, (op_params){.act = act});
}

node attend(build *b, node q, node k, node v)
{
    const node in[NODE_INPUTS] = {q, k, v, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    double head_width = (double)(b->config->hidden / b->config->heads);
    op_params params = {
        .hidden = b->batch->hidden, .heads = b->config->heads, .scale = (real)(1 / sqrt(head_width))};
    node mixed = add_node(b, &op_attention, in, weights, params);
    char name[SITE_NAME_ROOM];
    snprintf(name, sizeof name, "layer.%d.attention.probs", b->layer);
    return b->graph->status ? NODE_NONE : graph_site_add(b->graph, mixed, name, true);
}

node site(build *b, const char *name, node x)
{
    char full[SITE_NAME_ROOM]; /* families' names are short: nothing is cut */
    if (b->layer >= 0)
        snprintf(full, sizeof full, "layer.%d.%s", b->layer, name);
    else
        snprintf(full, sizeof full, "%s", name);
    return b->graph->status ? NODE_NONE : graph_site_add(b->graph, x, full, false);
}

void enter_layer(build *b, int layer) { b->layer = layer; }
void leave_layers(build *b) { b->layer = -1; }

/* Copies the target rows out. */
static node gather_targets(build *b, node x)
{
    if (b->graph->status)
        return NODE_NONE;
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    return graph_add(b->graph, &op_gather, in, weights, (op_params){.index = b->batch->target_rows},
                     b->batch->targets, (segments){b->batch->sequences, b->batch->target_begin});
}

static bool selects_rows(const build *b) { return !b->wish.all_rows && b->batch->targets > 0; }

node rows_needed(build *b, node x)
{
    bool is_last = b->layer >= 0 && (size_t)b->layer + 1 == b->config->layers;
    return is_last && selects_rows(b) ? gather_targets(b, x) : x;
}

node target_rows(build *b, node x) { return selects_rows(b) ? x : gather_targets(b, x); }
