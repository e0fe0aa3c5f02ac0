/*
 * The words of a family's forward pass, as calls of graph_add.  Known to go wrong: a weight name that no table has; that is
 * our own mistake and ends as an internal error of the graph, never as a crash.
 */
#include "model/build.h"

#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "tensor/op.h"

enum { BUILD_NAME_ROOM = 96 };

/* "@.query" + ".weight" in layer 3: "3.query.weight", in a decoder's "decoder.3.query.weight". */
static void expand_name(const build *b, char out[BUILD_NAME_ROOM], const char *name, const char *ending)
{
    const char *at = strchr(name, '@');
    if (at)
        snprintf(out, BUILD_NAME_ROOM, "%.*s%s%d%s%s", (int)(at - name), name, b->stack, b->weights, at + 1, ending);
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

/* Of the rows that embeddings are looked up for. */
static segments first_segments(const build *b)
{
    return b->batch->spread ? b->distinct : (segments){b->batch->sequences, b->batch->begin};
}

static node embed_from(build *b, const char *table, const int32_t *index, size_t first)
{
    weight *w = find_weight(b, table, "");
    if (b->graph->status)
        return NODE_NONE;
    const node in[NODE_INPUTS] = {NODE_NONE, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {w, NULL};
    segments of = first_segments(b);
    return graph_add(b->graph, &op_embed, in, weights, (op_params){.index = index, .offset = (int32_t)first}, of.begin[of.count], of);
}

node embed(build *b, const char *table, const int32_t *index) { return embed_from(b, table, index, 0); }

node embed_positions(build *b, const char *table)
{
    return embed_from(b, table, b->batch->positions, b->config->first_position);
}

static node gather(build *b, node x, const int32_t *index, size_t rows, segments of)
{
    if (b->graph->status)
        return NODE_NONE;
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    return graph_add(b->graph, &op_gather, in, weights, (op_params){.index = index}, rows, of);
}

/* Rows alike that are computed once. */
static bool is_distinct(const build *b, node x)
{
    return b->batch->spread && x != NODE_NONE && !b->graph->status && b->graph->nodes[x].segments.begin == b->distinct.begin;
}

/* Each row its own. */
static node spread(build *b, node x)
{
    const batch *all = b->batch;
    return is_distinct(b, x) ? gather(b, x, all->spread, all->rows, (segments){all->sequences, all->begin}) : x;
}

static node add_plain(build *b, const op *kind, node x, node y, op_params params)
{
    if (y != NODE_NONE && is_distinct(b, x) != is_distinct(b, y)) {
        x = spread(b, x);
        y = spread(b, y);
    }
    const node in[NODE_INPUTS] = {x, y, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    return add_node(b, kind, in, weights, params);
}

node add(build *b, node x, node y) { return add_plain(b, &op_add, x, y, (op_params){0}); }
node multiply(build *b, node x, node y) { return add_plain(b, &op_multiply, x, y, (op_params){0}); }

node scale(build *b, double factor, node x)
{
    return add_plain(b, &op_scale, x, NODE_NONE, (op_params){.scale = (real)factor});
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

node rms_norm(build *b, const char *name, node x)
{
    const node in[NODE_INPUTS] = {x, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {find_weight(b, name, ".weight"), NULL};
    return add_node(b, &op_rms_norm, in, weights, (op_params){.eps = b->config->eps});
}

node activate(build *b, activation act, node x)
{
    return add_plain(b, &op_activate, x, NODE_NONE, (op_params){.act = act});
}

node angles(build *b, const double *frequencies, size_t width)
{
    if (b->graph->status)
        return NODE_NONE;
    const node in[NODE_INPUTS] = {NODE_NONE, NODE_NONE, NODE_NONE, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {NULL, NULL};
    op_params params = {.index = b->batch->positions, .frequencies = frequencies, .width = width};
    segments of = first_segments(b);
    return graph_add(b->graph, &op_angles, in, weights, params, of.begin[of.count], of);
}

node rotate(build *b, node x, node turns, size_t heads)
{
    return add_plain(b, &op_rotate, x, turns, (op_params){.heads = heads});
}

/* ---- attention -------------------------------------------------------------------------------------------------- */

static bool selects_rows(const build *b) { return b->has_head && !b->wish.all_rows && b->batch->targets > 0; }
static bool is_last_layer(const build *b) { return b->layer >= 0 && (size_t)b->layer + 1 == b->layers; }

double attention_scale(const build *b) { return 1 / sqrt((double)b->config->head_width); }

node attend(build *b, node q, node k, node v)
{
    return attend_as(b, (attending){.q = q, .k = k, .v = v, .scale = attention_scale(b)});
}

static bool is_encoder(const build *b) { return b->stack[0] == 'e'; }

/* Where the flags of a sequence's keys begin; NULL: where the stack's rows or the lists do. */
static const uint32_t *flags_begin(build *b, bool is_of_source)
{
    if (is_of_source && b->batch->source_of) {
        uint32_t *begin = ARENA_NEW(b->graph->arena, uint32_t, b->batch->sequences);
        for (size_t s = 0; begin && s < b->batch->sequences; s++)
            begin[s] = b->batch->begin[b->batch->source_of[s]];
        if (!begin && !b->graph->status)
            b->graph->status = fail_memory(b->graph->error, "the keys of a batch", b->batch->sequences);
        return begin;
    }
    if (!b->batch->output_begin)
        return NULL;
    return is_of_source || is_encoder(b) ? b->batch->begin : b->batch->output_begin;
}

/* The keys that each sequence reads from the source of another. */
static void list_sources(build *b, node keys)
{
    const batch *all = b->batch;
    if (b->graph->status || b->sources.begin)
        return;
    const uint32_t *first = b->graph->nodes[keys].segments.begin;
    size_t rows = 0;
    for (size_t s = 0; s < all->sequences; s++)
        rows += first[all->source_of[s] + 1] - first[all->source_of[s]];
    uint32_t *begin = ARENA_NEW(b->graph->arena, uint32_t, all->sequences + 1);
    int32_t *list = ARENA_NEW(b->graph->arena, int32_t, rows ? rows : 1);
    if (!begin || !list) {
        b->graph->status = fail_memory(b->graph->error, "the keys of a batch", rows * sizeof *list);
        return;
    }
    for (size_t s = 0; s < all->sequences; s++) {
        uint32_t row = first[all->source_of[s]], end = first[all->source_of[s] + 1];
        for (begin[s + 1] = begin[s]; row < end; row++)
            list[begin[s + 1]++] = (int32_t)row;
    }
    b->sources = (segments){all->sequences, begin};
    b->source_rows = list;
}

/* Which keys each sequence of queries sees, where they are not the rows of its own. */
static void list_keys(build *b, const attending *how, op_params *params)
{
    const batch *all = b->batch;
    if (is_distinct(b, how->k)) {
        params->listed_begin = all->begin;
        params->listed = all->spread;
    } else if (how->reads_source && all->source_of) {
        list_sources(b, how->k);
        params->listed_begin = b->sources.begin;
        params->listed = b->source_rows;
    } else if (!how->reads_source && all->key_rows) {
        params->listed_begin = all->key_begin;
        params->listed = all->key_rows;
    }
}

/* Where keys lie in their text, when rows between them are not there. */
static void tell_places(const build *b, const attending *how, op_params *params)
{
    const batch *all = b->batch;
    bool is_whole = how->reads_source || b->stack[0] == 'd'; /* rows are left out of sources and of single stacks */
    if (!all->leaves_out || is_whole || (!how->window && !how->distances))
        return;
    params->places = all->positions;
    params->index = b->stack_rows;
    params->width = all->longest;
}

node attend_as(build *b, attending how)
{
    how.q = spread(b, how.q);
    const node in[NODE_INPUTS] = {how.q, how.k, how.v, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {how.distances ? find_weight(b, how.distances, "") : NULL, NULL};
    bool needs_places = how.is_causal || how.window || how.distances;
    op_params params = {.heads = b->config->heads,
                        .key_heads = b->config->key_heads,
                        .scale = (real)how.scale,
                        .is_causal = how.is_causal,
                        .window = how.window,
                        .buckets = b->config->buckets,
                        .farthest = b->config->farthest};
    if (needs_places && is_last_layer(b) && selects_rows(b))
        params.query_rows = b->batch->target_rows;
    if (b->wish.cache && !is_encoder(b)) {
        params.cache = model_cache_layer(b->wish.cache, how.reads_source, (size_t)b->layer);
    } else {
        params.hidden = b->batch->hidden;
        params.hidden_begin = b->batch->hidden ? flags_begin(b, how.reads_source) : NULL;
    }
    list_keys(b, &how, &params);
    tell_places(b, &how, &params);
    node mixed = add_node(b, &op_attention, in, weights, params);
    char name[SITE_NAME_ROOM];
    snprintf(name, sizeof name, "%slayer.%d.%s.probs", b->stack, b->layer, how.reads_source ? "cross" : "attention");
    return b->graph->status ? NODE_NONE : graph_site_add(b->graph, mixed, name, true);
}

/* ---- places ----------------------------------------------------------------------------------------------------- */

node site(build *b, const char *name, node x)
{
    char full[SITE_NAME_ROOM]; /* families' names are short: nothing is cut */
    if (b->layer >= 0)
        snprintf(full, sizeof full, "%slayer.%d.%s", b->stack, b->layer, name);
    else
        snprintf(full, sizeof full, "%s%s", b->stack, name);
    return b->graph->status ? NODE_NONE : graph_site_add(b->graph, x, full, false);
}

void enter_layer(build *b, int layer) { b->layer = b->weights = layer; }
void share_weights(build *b, int layer) { b->weights = layer; }
void leave_layers(build *b) { b->layer = -1; }

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* Copies the target rows out. */
static node gather_targets(build *b, node x)
{
    const batch *all = b->batch;
    return gather(b, spread(b, x), all->target_rows, all->targets, (segments){all->sequences, all->target_begin});
}

node rows_needed(build *b, node x) { return is_last_layer(b) && selects_rows(b) ? gather_targets(b, x) : x; }
node target_rows(build *b, node x) { return selects_rows(b) ? x : gather_targets(b, x); }

/* ---- two stacks ------------------------------------------------------------------------------------------------- */

size_t source_rows(const batch *b)
{
    size_t rows = 0;
    for (size_t s = 0; b->output_begin && s < b->sequences; s++)
        rows += b->output_begin[s] - b->begin[s];
    return b->output_begin ? rows : b->rows;
}

bool has_output(const batch *b) { return b->output_begin != NULL; }

node enter_stack(build *b, bool is_decoder, size_t layers, node embeddings)
{
    const batch *all = b->batch;
    b->stack = is_decoder ? "decoder." : "encoder.";
    b->layers = layers;
    b->has_head = is_decoder;
    if (!all->output_begin || b->graph->status)
        return embeddings;
    size_t rows = is_decoder ? all->rows - source_rows(all) : source_rows(all);
    int32_t *index = ARENA_NEW(b->graph->arena, int32_t, rows ? rows : 1);
    uint32_t *begin = ARENA_NEW(b->graph->arena, uint32_t, all->sequences + 1);
    if (!index || !begin) {
        b->graph->status = fail_memory(b->graph->error, "the rows of a stack", rows * sizeof *index);
        return NODE_NONE;
    }
    uint32_t count = 0;
    for (size_t s = 0; s < all->sequences; s++) {
        uint32_t first = is_decoder ? all->output_begin[s] : all->begin[s];
        uint32_t end = is_decoder ? all->begin[s + 1] : all->output_begin[s];
        begin[s] = count;
        for (uint32_t row = first; row < end; row++)
            index[count++] = (int32_t)row;
    }
    begin[all->sequences] = count;
    b->stack_rows = index;
    return gather(b, spread(b, embeddings), index, rows, (segments){all->sequences, begin});
}

void leave_stacks(build *b)
{
    b->stack = "";
    b->stack_rows = NULL;
}
