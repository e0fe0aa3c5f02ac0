/*
 * Attention of the clean input: one pass of its own that keeps all rows and all probabilities.
 *
 * The clean pass of a question cannot serve: its last layer computes only the rows that the target needs, and a run that wants
 * no attention does not save any.  Graphs name their attention (model/build.c); the names tell which kind it is.
 */
#include "explain/attention_maps.h"

#include "base/failure.h"
#include "base/memory.h"
#include "base/size.h"
#include "tensor/ops/attention.h"

const char *attention_kind_id(attention_kind kind)
{
    static const char *const ids[ATTENTION_KINDS] = {"encoder", "decoder", "cross"};
    return ids[kind];
}

/* ---- the pass ---- */

static bool ends_with(view v, view ending) { return v.size >= ending.size && view_equal(view_slice(v, v.size - ending.size, v.size), ending); }

static bool is_attention(const graph_site *site)
{
    return site->is_saved && ends_with(view_of(site->name), VIEW(".probs"));
}

bool attention_site_kind(const question *q, const graph_site *site, attention_kind *kind)
{
    view name = view_of(site->name);
    bool is_causal = view_begins(name, VIEW("decoder.")) || model_shape(q->model) == FAMILY_DECODER;
    *kind = ends_with(name, VIEW("cross.probs")) ? ATTENTION_CROSS : is_causal ? ATTENTION_DECODER : ATTENTION_ENCODER;
    return is_attention(site);
}

/* A pass over the input with everything marked; the caller frees it. */
static pass *maps_pass(const question *q, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, false);
    shape.wish.all_rows = true;
    pass *p = pass_new(q->session, &shape, error);
    if (!p)
        return NULL;
    question_fill(q, p, 0);
    graph *g = p->graph.graph;
    for (size_t s = 0; s < g->site_count; s++)
        if (is_attention(&g->sites[s]))
            g->nodes[g->sites[s].node].saves_kept = true;
    return p;
}

/* ---- the maps ---- */

/* Layers and extents of each kind. */
void attention_maps_measure(const question *q, const graph *g, attention_maps *out)
{
    *out = (attention_maps){0};
    for (size_t s = 0; s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(q, &g->sites[s], &kind))
            continue;
        const graph_node *n = &g->nodes[g->sites[s].node];
        size_t layers = out->of[kind].layers + 1;
        out->of[kind] = (attention_stack){.layers = layers, .heads = n->params.heads, .queries = n->rows,
                                          .keys = kind == ATTENTION_CROSS ? q->input_length : n->rows};
    }
}

/* Numbers of a stack; SIZE_MAX: too many to count. */
static size_t count_of(const attention_stack *s)
{
    size_t count = s->layers;
    bool ok = size_mul(&count, count, s->heads) && size_mul(&count, count, s->queries) && size_mul(&count, count, s->keys);
    return ok ? count : SIZE_MAX;
}

size_t attention_maps_room_bytes(const attention_maps *maps)
{
    size_t bytes = 0;
    for (size_t k = 0; k < ATTENTION_KINDS; k++) {
        size_t count = count_of(&maps->of[k]);
        if (!size_mul(&count, count, sizeof(double)) || !size_add(&bytes, bytes, count))
            return SIZE_MAX;
    }
    return bytes;
}

tkr_status attention_maps_make_room(arena *a, attention_maps *maps, tkr_error *error)
{
    for (size_t k = 0; k < ATTENTION_KINDS; k++)
        if (maps->of[k].layers > 0 && !(maps->of[k].at = ARENA_NEW(a, double, count_of(&maps->of[k]))))
            return fail_memory(error, "attention maps", attention_maps_room_bytes(maps));
    return TKR_OK;
}

/* One sequence, so the heads of a layer lie side by side as here. */
void attention_maps_read(const question *q, const pass *p, attention_maps *maps)
{
    const graph *g = p->graph.graph;
    size_t layer[ATTENTION_KINDS] = {0};
    for (size_t i = 0; i < g->site_count; i++) {
        attention_kind kind;
        if (!attention_site_kind(q, &g->sites[i], &kind))
            continue;
        const attention_stack *s = &maps->of[kind];
        const real *from = runner_saved(p->runner, g->sites[i].node);
        double *to = attention_head_map(s, layer[kind]++, 0);
        for (size_t k = 0; k < s->heads * s->queries * s->keys; k++)
            to[k] = (double)from[k];
    }
}

tkr_status attention_maps_capture(const question *q, arena *a, attention_maps *out, tkr_error *error)
{
    pass *p = maps_pass(q, error);
    if (!p)
        return error->code;
    attention_maps_measure(q, p->graph.graph, out);
    tkr_status status = attention_maps_make_room(a, out, error);
    if (!status)
        status = pass_forward(p, error);
    if (!status)
        attention_maps_read(q, p, out);
    pass_free(p);
    return status;
}

size_t attention_maps_bytes(const question *q)
{
    tkr_error unused = {0}; /* what cannot be planned fails when it is captured, and says why */
    size_t block = 0, packs = 0, bytes;
    double flops = 0;
    pass *p = maps_pass(q, &unused);
    if (!p)
        return 0;
    attention_maps maps;
    attention_maps_measure(q, p->graph.graph, &maps);
    if (pass_plan(p, &block, &packs, &flops, &unused))
        block = 0;
    pass_free(p);
    bytes = attention_maps_room_bytes(&maps);
    return size_add(&bytes, bytes, block) ? bytes : SIZE_MAX;
}
