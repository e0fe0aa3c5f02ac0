/*
 * From a model and a batch to a graph: the family's forward pass, then the head on the target rows.
 */
#include "base/failure.h"
#include "model/build.h"

tkr_status model_graph_new(const tkr_model *m, const batch *b, graph_wish wish, arena *a, model_graph *out,
                           tkr_error *error)
{
    *out = (model_graph){.graph = graph_new(a, error), .word = NODE_NONE, .logits = NODE_NONE};
    graph *g = out->graph;
    if (!g)
        return fail_memory(error, "the graph", sizeof *g);
    build state = {.model = m, .config = &m->config, .batch = b, .graph = g, .wish = wish, .layer = -1};
    node rows = m->family->forward(&state);
    if (m->head && !wish.no_head && b->targets)
        out->logits = site(&state, "logits", m->head->forward(&state, target_rows(&state, rows)));
    const graph_site *word = graph_site_find(g, "word");
    if (g->status || !word)
        return g->status ? g->status
                         : fail(error, TKR_E_INTERNAL, "the forward pass of %s has no site \"word\"",
                                m->family->title);
    out->word = word->node;
    g->nodes[out->word].is_source = true;
    return TKR_OK;
}

static tkr_status fail_id(const tkr_model *m, int32_t id, tkr_error *error)
{
    const char *piece = m->tokenizer ? tokenizer_piece(m->tokenizer, id) : NULL;
    return fail(error, TKR_E_INPUT_TOKEN_ID, "token %s has id %d; the model has %zu rows",
                piece ? QUOTE(view_of(piece)) : "without a name", (int)id, m->config.vocab);
}

tkr_status model_check_batch(const tkr_model *m, const batch *b, tkr_error *error)
{
    const family_config *c = &m->config;
    for (size_t i = 0; i < b->rows; i++) {
        if (b->ids[i] < 0 || (size_t)b->ids[i] >= c->vocab)
            return fail_id(m, b->ids[i], error);
        if (c->types && (b->types[i] < 0 || (size_t)b->types[i] >= c->types))
            return fail(error, TKR_E_INPUT_TOKEN_ID, "token %zu has type %d; the model has types 0 to %zu", i,
                        (int)b->types[i], c->types - 1);
        if (b->positions[i] < 0 || (size_t)b->positions[i] >= c->positions)
            return fail(error, TKR_E_INPUT_TOKEN_ID,
                        "token %zu has position %d; the model has positions 0 to %zu", i, (int)b->positions[i],
                        c->positions - 1);
    }
    return TKR_OK;
}
