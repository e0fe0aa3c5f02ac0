/*
 * From a model and a batch to a graph: the family's forward pass, then the head on the target rows.  The head of an
 * encoder-decoder reads the decoder's rows.
 */
#include "base/failure.h"
#include "model/build.h"
#include "tensor/op.h"

/* The logits that are asked for in place of all: the head's matrix, the last node, gives way to some of its rows. */
static node logits_of(build *b, node all)
{
    graph *g = b->graph;
    if (g->status || !b->wish.outputs || (size_t)all + 1 != g->count || g->nodes[all].op != &op_linear)
        return all;
    graph_node last = g->nodes[--g->count];
    op_params params = {.index = b->wish.outputs, .width = b->wish.output_count};
    return graph_add(g, &op_pick, last.in, last.weights, params, 0, (segments){0, NULL});
}

tkr_status model_graph_new(const tkr_model *m, const batch *b, graph_wish wish, arena *a, model_graph *out,
                           tkr_error *error)
{
    *out = (model_graph){.graph = graph_new(a, error), .word = NODE_NONE, .logits = NODE_NONE};
    graph *g = out->graph;
    if (!g)
        return fail_memory(error, "the graph", sizeof *g);
    build state = {.model = m,
                   .config = &m->config,
                   .batch = b,
                   .graph = g,
                   .wish = wish,
                   .stack = "",
                   .layers = m->config.layers,
                   .has_head = true,
                   .layer = -1};
    if (b->spread) {
        uint32_t *begin = ARENA_NEW(a, uint32_t, 2);
        if (!begin)
            return fail_memory(error, "the graph", sizeof *begin);
        begin[1] = (uint32_t)b->distinct;
        state.distinct = (segments){1, begin};
    }
    if (wish.cache && has_output(b) && source_rows(b))
        model_cache_expect(wish.cache, source_rows(b));
    node rows = m->family->forward(&state);
    bool is_read = m->family->shape != FAMILY_ENCODER_DECODER || has_output(b); /* an encoder alone has no logits */
    if (m->head && !wish.no_head && b->targets && is_read)
        out->logits = site(&state, "logits", logits_of(&state, m->head->forward(&state, target_rows(&state, rows))));
    const graph_site *word = graph_site_find(g, "word");
    if (g->status || !word)
        return g->status ? g->status
                         : fail(error, TKR_E_INTERNAL, "the forward pass of %s has no site \"word\"",
                                m->family->title);
    out->word = word->node;
    g->nodes[out->word].is_source = true;
    return TKR_OK;
}

int32_t batch_head_row(const batch *b, size_t sequence, size_t position)
{
    size_t row = b->begin[sequence] + position;
    for (size_t s = 0; b->output_begin && s <= sequence; s++)
        row -= b->output_begin[s] - b->begin[s];
    return (int32_t)row;
}

void model_positions(const tkr_model *m, const int32_t *ids, size_t count, int32_t *positions)
{
    int32_t next = 0;
    for (size_t i = 0; i < count; i++)
        positions[i] = m->config.skips_padding && ids[i] == (int32_t)m->config.pad_id ? -1 : next++;
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
    const size_t rows = b->spread ? b->distinct : b->rows;
    for (size_t i = 0; i < rows; i++) {
        if (b->ids[i] < 0 || (size_t)b->ids[i] >= c->vocab)
            return fail_id(m, b->ids[i], error);
        if (c->types && (b->types[i] < 0 || (size_t)b->types[i] >= c->types))
            return fail(error, TKR_E_INPUT_TOKEN_ID, "token %zu has type %d; the model has types 0 to %zu", i,
                        (int)b->types[i], c->types - 1);
        int64_t position = (int64_t)b->positions[i] + (int64_t)c->first_position;
        if (c->positions && (position < 0 || (uint64_t)position >= c->positions))
            return fail(error, TKR_E_INPUT_TOKEN_ID,
                        "token %zu has position %d; the model has positions 0 to %zu", i, (int)b->positions[i],
                        c->positions - c->first_position - 1);
    }
    return TKR_OK;
}
