/* One batch shape: arrays and graph in one arena, the runner made when first needed. */
#include "explain/pass.h"

#include "base/failure.h"
#include "base/memory.h"

static size_t length_of(const pass_shape *shape, size_t sequence)
{
    return shape->lengths ? shape->lengths[sequence] : shape->length;
}

static bool has_decoder(const pass *p) { return model_shape(p->session->model) == FAMILY_ENCODER_DECODER; }

static size_t output_length_of(const pass_shape *shape, size_t sequence)
{
    return shape->output_lengths ? shape->output_lengths[sequence] : shape->output_length;
}

/* Position ids of one sequence count from 0 in each stack. */
static void number_positions(batch *b, size_t sequence)
{
    size_t begin = b->begin[sequence], end = b->begin[sequence + 1];
    size_t middle = b->output_begin ? b->output_begin[sequence] : end;
    for (size_t i = begin; i < end; i++)
        b->positions[i] = (int32_t)(i < middle ? i - begin : i - middle);
}

/* begin, output_begin, positions and target_begin follow from the shape. */
static bool lay_out(pass *p)
{
    const pass_shape *shape = &p->shape;
    batch *b = &p->batch;
    b->sequences = shape->sequences;
    for (size_t s = 0; s < shape->sequences; s++)
        b->rows += length_of(shape, s);
    b->targets = shape->sequences * shape->reads;
    b->begin = ARENA_NEW(p->arena, uint32_t, b->sequences + 1);
    b->ids = ARENA_NEW(p->arena, int32_t, b->rows);
    b->types = ARENA_NEW(p->arena, int32_t, b->rows);
    b->positions = ARENA_NEW(p->arena, int32_t, b->rows);
    b->target_begin = ARENA_NEW(p->arena, uint32_t, b->sequences + 1);
    b->target_rows = ARENA_NEW(p->arena, int32_t, b->targets);
    if (shape->hides)
        b->hidden = ARENA_NEW(p->arena, uint8_t, b->rows);
    if (has_decoder(p))
        b->output_begin = ARENA_NEW(p->arena, uint32_t, b->sequences);
    if (arena_failed(p->arena))
        return false;
    for (size_t s = 0; s < shape->sequences; s++) {
        size_t length = length_of(shape, s);
        b->begin[s + 1] = b->begin[s] + (uint32_t)length;
        b->target_begin[s + 1] = b->target_begin[s] + (uint32_t)shape->reads;
        if (b->output_begin)
            b->output_begin[s] = b->begin[s + 1] - (uint32_t)output_length_of(shape, s);
        number_positions(b, s);
    }
    return true;
}

static tkr_status find_site(pass *p, tkr_error *error)
{
    p->at = NODE_NONE;
    if (!p->shape.at)
        return TKR_OK;
    const graph_site *site = graph_site_find(p->graph.graph, p->shape.at);
    if (!site)
        return fail(error, TKR_E_USAGE_VALUE, "at \"%s\": this model has no such site; word, sum or embeddings", p->shape.at);
    graph_node *n = &p->graph.graph->nodes[site->node];
    p->at = site->node;
    n->is_kept = true;
    n->is_source = n->is_gradient_kept = p->shape.backward;
    return TKR_OK;
}

pass *pass_new(tkr_session *s, const pass_shape *shape, tkr_error *error)
{
    pass *p = NEW(pass, 1);
    if (!p || !(p->arena = arena_new(SIZE_MAX))) {
        memory_free(p);
        return fail_memory(error, "a batch", sizeof *p), NULL;
    }
    p->session = s;
    p->shape = *shape;
    if (!lay_out(p)) {
        fail_memory(error, "the rows of a batch", p->batch.rows);
        goto fail;
    }
    if (model_graph_new(s->model, &p->batch, shape->wish, p->arena, &p->graph, error) || find_site(p, error))
        goto fail;
    p->shape.lengths = p->shape.output_lengths = NULL; /* the caller's arrays are not needed any more */
    if (p->graph.logits != NODE_NONE)
        p->graph.graph->nodes[p->graph.logits].is_kept = true;
    return p;
fail:
    pass_free(p);
    return NULL;
}

void pass_free(pass *p)
{
    if (!p)
        return;
    runner_free(p->runner);
    arena_free(p->arena);
    memory_free(p);
}

static run_options options_of(const pass *p)
{
    return (run_options){.backward = p->shape.backward, .rule = RULE_GRADIENT};
}

tkr_status pass_plan(pass *p, size_t *block, size_t *packs, double *flops, tkr_error *error)
{
    const tkr_session *s = p->session;
    return run_plan(p->graph.graph, options_of(p), s->model->kernels, pool_threads(s->threads), block, packs, flops, error);
}

static tkr_status need_runner(pass *p, tkr_error *error)
{
    if (p->runner)
        return TKR_OK;
    const tkr_session *s = p->session;
    p->runner = runner_new(p->graph.graph, options_of(p), s->model->kernels, s->threads, error);
    return p->runner ? TKR_OK : error->code;
}

tkr_status pass_intervene(pass *p, const char *site, intervene_fn *call, void *user, tkr_error *error)
{
    tkr_status status = need_runner(p, error);
    return status ? status : runner_intervene(p->runner, site, call, user, error);
}

tkr_status pass_forward(pass *p, tkr_error *error)
{
    tkr_status status = model_check_batch(p->session->model, &p->batch, error);
    if (!status)
        status = model_unchanged(p->session->model, error);
    if (!status)
        status = need_runner(p, error);
    return status ? status : runner_forward(p->runner, error);
}

tkr_status pass_backward(pass *p, const real *seed, tkr_error *error)
{
    return runner_backward(p->runner, p->graph.logits, seed, error);
}

const real *pass_logits(const pass *p, size_t sequence, size_t read)
{
    size_t row = p->batch.target_begin[sequence] + read;
    return runner_value(p->runner, p->graph.logits) + row * model_outputs(p->session->model);
}

size_t pass_length(const pass *p, size_t sequence) { return p->batch.begin[sequence + 1] - p->batch.begin[sequence]; }

static const real *first_row(const pass *p, const real *rows, size_t sequence)
{
    return rows + p->batch.begin[sequence] * p->graph.graph->nodes[p->at].width;
}

const real *pass_values(const pass *p, size_t sequence)
{
    return first_row(p, runner_value(p->runner, p->at), sequence);
}

const real *pass_gradient(const pass *p, size_t sequence)
{
    return first_row(p, runner_gradient(p->runner, p->at), sequence);
}
