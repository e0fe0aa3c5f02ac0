/*
 * Graphs: building.  Everything lies in the caller's arena; arrays grow by doubling and leave their old halves there.
 *
 * The first failed step is sticky, so that a family writes its forward pass without checks and asks once at the end.
 * What is refused here is always a mistake of ours (loaders check shapes before): hence internal errors.
 */
#include "tensor/graph.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "tensor/op.h"

enum { FIRST_NODES = 64, FIRST_SITES = 32 };

graph *graph_new(arena *a, tkr_error *error)
{
    graph *g = ARENA_NEW(a, graph, 1);
    if (g == NULL) {
        fail_memory(error, "graph", sizeof *g);
        return NULL;
    }
    g->arena = a;
    g->error = error;
    return g;
}

/* Room for one more element; the larger array, or NULL after noting the failure. */
static void *grown(graph *g, void *array, size_t count, size_t *capacity, size_t first, size_t size)
{
    if (count < *capacity)
        return array;
    size_t wanted = *capacity ? *capacity * 2 : first;
    void *larger = arena_alloc(g->arena, wanted, size);
    if (larger == NULL) {
        g->status = fail_memory(g->error, "graph", wanted * size);
        return NULL;
    }
    if (count > 0)
        memcpy(larger, array, count * size);
    *capacity = wanted;
    return larger;
}

/* Sequences must be in order and cover the rows. */
static bool segments_fit(segments s, size_t rows)
{
    if (s.count == 0)
        return rows == 0;
    if (s.begin == NULL || s.begin[0] != 0 || s.begin[s.count] != rows)
        return false;
    for (size_t i = 0; i < s.count; i++)
        if (s.begin[i] > s.begin[i + 1])
            return false;
    return true;
}

static void text_add(char *text, size_t room, const char *lead, size_t rows, size_t width)
{
    size_t used = strlen(text);
    (void)snprintf(text + used, room - used, "%s[%zu, %zu]", lead, rows, width);
}

/* Note a refused step: "op add does not take inputs [3, 4] [3, 5]". */
static node refuse(graph *g, const op_shape *s)
{
    char text[256] = "";
    for (int i = 0; i < NODE_INPUTS; i++)
        if (s->in[i] != NULL)
            text_add(text, sizeof text, i ? " " : " inputs ", s->in[i]->rows, s->in[i]->width);
    for (int i = 0; i < NODE_WEIGHTS; i++)
        if (s->node->weights[i] != NULL)
            text_add(text, sizeof text, i ? " " : " weights ", s->node->weights[i]->rows, s->node->weights[i]->columns);
    if (s->node->op->inputs == 0)
        text_add(text, sizeof text, " rows and sequences ", s->node->rows, s->node->segments.count);
    g->status = fail(g->error, TKR_E_INTERNAL, "node %zu: op %s does not take%s", g->count, s->node->op->name, text);
    return NODE_NONE;
}

/* Copy and check the inputs of a new node. */
static bool take_inputs(graph *g, graph_node *fresh, op_shape *s, const node *in)
{
    for (int i = 0; i < NODE_INPUTS; i++)
        fresh->in[i] = NODE_NONE;
    for (int i = 0; i < fresh->op->inputs; i++) {
        if (in[i] == NODE_NONE && (fresh->op->optional_inputs >> i & 1U))
            continue;
        if (in[i] < 0 || (size_t)in[i] >= g->count) {
            g->status = fail(g->error, TKR_E_INTERNAL, "node %zu: op %s got node %d as input %d, of %zu nodes", g->count,
                             fresh->op->name, (int)in[i], i, g->count);
            return false;
        }
        fresh->in[i] = in[i];
        s->in[i] = &g->nodes[in[i]];
    }
    return true;
}

node graph_add(graph *g, const op *kind, const node *in, weight *const *weights, op_params params, size_t rows,
               segments rows_of)
{
    assert(kind->inputs <= NODE_INPUTS);
    if (g->status != TKR_OK)
        return NODE_NONE;
    graph_node *nodes = grown(g, g->nodes, g->count, &g->capacity, FIRST_NODES, sizeof *nodes);
    if (nodes == NULL)
        return NODE_NONE;
    g->nodes = nodes;

    graph_node fresh = {.op = kind, .params = params, .rows = rows, .segments = rows_of};
    for (int i = 0; weights != NULL && i < NODE_WEIGHTS; i++)
        fresh.weights[i] = weights[i];
    op_shape shape = {.node = &fresh, .rows = rows, .segments = rows_of};
    if (!take_inputs(g, &fresh, &shape, in))
        return NODE_NONE;
    if (!kind->shape(&shape) || shape.width == 0 || !segments_fit(shape.segments, shape.rows))
        return refuse(g, &shape);

    fresh.rows = shape.rows;
    fresh.width = shape.width;
    fresh.segments = shape.segments;
    nodes[g->count] = fresh;
    return (node)g->count++;
}

node graph_site_add(graph *g, node n, const char *name, bool is_saved)
{
    if (g->status != TKR_OK)
        return NODE_NONE;
    size_t length = strlen(name);
    if (n < 0 || (size_t)n >= g->count || length >= SITE_NAME_ROOM || graph_site_find(g, name) != NULL) {
        g->status = fail(g->error, TKR_E_INTERNAL, "site %s: no such node, a name over %d bytes, or a name used twice",
                         QUOTE(view_of(name)), SITE_NAME_ROOM - 1);
        return NODE_NONE;
    }
    graph_site *sites = grown(g, g->sites, g->site_count, &g->site_capacity, FIRST_SITES, sizeof *sites);
    if (sites == NULL)
        return NODE_NONE;
    g->sites = sites;
    graph_site *fresh = &sites[g->site_count++];
    memcpy(fresh->name, name, length + 1);
    fresh->node = n;
    fresh->is_saved = is_saved;
    return n;
}

const graph_site *graph_site_find(const graph *g, const char *name)
{
    for (size_t i = 0; i < g->site_count; i++)
        if (strcmp(g->sites[i].name, name) == 0)
            return &g->sites[i];
    return NULL;
}
