/*
 * Gradients of attention probabilities; see attention_gradients.h.
 *
 * The pass is one of its own: the clean one computes only the rows of the last layer that the target needs.  Nothing below the
 * first attention of a stack is differentiated.
 * Known to go wrong: with grouped keys (Llama) several heads read the same columns of V; where the mask hides a key A is 0, but
 * g_A need not be.
 */
#include "explain/attention_gradients.h"

#include "base/failure.h"
#include "base/size.h"

/* Keep what g_A is made of.  The lowest attention of each stack is where gradients end: no other attention is below it. */
static void mark(const question *q, graph *g, node word)
{
    bool is_begun[ATTENTION_KINDS] = {false};
    g->nodes[word].is_source = false;
    for (size_t s = 0; s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(q, &g->sites[s], &kind))
            continue;
        graph_node *n = &g->nodes[g->sites[s].node];
        n->saves_kept = n->is_gradient_kept = true;
        n->is_source = kind != ATTENTION_CROSS && !is_begun[kind];
        g->nodes[n->in[2]].is_kept = true;
        is_begun[kind] = true;
    }
}

static pass *new_pass(const question *q, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, true);
    shape.at = NULL;
    shape.seeds = 1;
    shape.wish.all_rows = true;
    pass *p = pass_new(q->session, &shape, error);
    if (p)
        mark(q, p->graph.graph, p->graph.word);
    return p;
}

tkr_status attention_gradients_open(const question *q, arena *a, attention_gradients *out, tkr_error *error)
{
    *out = (attention_gradients){.p = new_pass(q, error)};
    if (!out->p)
        return error->code;
    question_fill(q, out->p, 0);
    attention_maps_measure(q, out->p->graph.graph, &out->probabilities);
    tkr_status status = attention_maps_make_room(a, &out->probabilities, error);
    if (!status)
        status = pass_forward(out->p, error);
    if (!status)
        attention_maps_read(q, out->p, &out->probabilities);
    return status;
}

void attention_gradients_close(attention_gradients *g)
{
    pass_free(g->p);
    g->p = NULL;
}

/* g_O V^T of one attention: rows of both are heads side by side. */
static void read_node(const attention_gradients *g, const graph_node *n, node self, double factor, const attention_stack *s, double *to)
{
    const runner *r = g->p->runner;
    const kernels *k = g->p->session->model->kernels;
    const size_t width = n->width / n->params.heads, key_heads = n->params.key_heads ? n->params.key_heads : n->params.heads;
    const size_t group = n->params.heads / key_heads, stride = key_heads * width;
    const real *of_output = runner_gradient(r, self), *values = runner_value(r, n->in[2]);
    for (size_t h = 0; h < s->heads; h++)
        for (size_t i = 0; i < s->queries; i++)
            for (size_t j = 0; j < s->keys; j++)
                *to++ = factor * k->dot(of_output + i * n->width + h * width, values + j * stride + h / group * width, width);
}

void attention_gradients_read(const question *q, const attention_gradients *g, op_rule rule, attention_maps *out)
{
    const graph *all = g->p->graph.graph;
    size_t layer[ATTENTION_KINDS] = {0};
    for (size_t s = 0; s < all->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(q, &all->sites[s], &kind))
            continue;
        const attention_stack *stack = &out->of[kind];
        read_node(g, &all->nodes[all->sites[s].node], all->sites[s].node, rule == RULE_ATTNLRP ? 0.5 : 1, stack,
                  attention_head_map(stack, layer[kind]++, 0));
    }
}

size_t attention_gradients_bytes(const question *q, size_t maps)
{
    tkr_error unused = {0}; /* what cannot be planned fails when it is run, and says why */
    size_t block = 0, packs = 0, bytes;
    double flops = 0;
    pass *p = new_pass(q, &unused);
    if (!p)
        return 0;
    attention_maps all;
    attention_maps_measure(q, p->graph.graph, &all);
    if (pass_plan(p, &block, &packs, &flops, &unused))
        block = 0;
    pass_free(p);
    bool fits = size_mul(&bytes, attention_maps_room_bytes(&all), maps) && size_add(&bytes, bytes, block);
    return fits ? bytes : SIZE_MAX;
}
