/* One batch shape: arrays and graph in one arena, the runner made when first needed. */
#include "explain/pass.h"

#include <string.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/site.h"
#include "tensor/op.h"

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

static size_t targets_of(const pass_shape *shape, size_t sequence)
{
    return shape->targets ? shape->targets[sequence] : shape->reads;
}

/* Arrays of sequences that share rows. */
static bool lay_out_shared(pass *p)
{
    const pass_shape *shape = &p->shape;
    batch *b = &p->batch;
    if (shape->distinct) {
        b->distinct = shape->distinct;
        b->spread = ARENA_NEW(p->arena, int32_t, b->rows);
    }
    if (shape->keys && (b->key_begin = ARENA_NEW(p->arena, uint32_t, b->sequences + 1))) {
        for (size_t s = 0; s < b->sequences; s++)
            b->key_begin[s + 1] = b->key_begin[s] + shape->keys[s];
        b->key_rows = ARENA_NEW(p->arena, int32_t, b->key_begin[b->sequences]);
    }
    if (shape->source_of && (b->source_of = ARENA_NEW(p->arena, uint32_t, b->sequences)))
        memcpy(b->source_of, shape->source_of, b->sequences * sizeof *b->source_of);
    b->leaves_out = shape->longest > 0;
    b->longest = shape->longest;
    return !arena_failed(p->arena);
}

/* begin, output_begin, positions and target_begin follow from the shape. */
static bool lay_out(pass *p)
{
    const pass_shape *shape = &p->shape;
    batch *b = &p->batch;
    b->sequences = shape->sequences;
    for (size_t s = 0; s < shape->sequences; s++) {
        b->rows += length_of(shape, s);
        b->targets += targets_of(shape, s);
    }
    if (!lay_out_shared(p))
        return false;
    size_t most = b->rows > b->distinct ? b->rows : b->distinct;
    b->begin = ARENA_NEW(p->arena, uint32_t, b->sequences + 1);
    b->ids = ARENA_NEW(p->arena, int32_t, most);
    b->types = ARENA_NEW(p->arena, int32_t, most);
    b->positions = ARENA_NEW(p->arena, int32_t, most);
    b->target_begin = ARENA_NEW(p->arena, uint32_t, b->sequences + 1);
    b->target_rows = ARENA_NEW(p->arena, int32_t, b->targets);
    if (shape->hides)
        b->hidden = ARENA_NEW(p->arena, uint8_t, b->key_rows ? b->key_begin[b->sequences] : b->rows);
    if (has_decoder(p))
        b->output_begin = ARENA_NEW(p->arena, uint32_t, b->sequences);
    if (arena_failed(p->arena))
        return false;
    for (size_t s = 0; s < shape->sequences; s++) {
        size_t length = length_of(shape, s);
        b->begin[s + 1] = b->begin[s] + (uint32_t)length;
        b->target_begin[s + 1] = b->target_begin[s] + (uint32_t)targets_of(shape, s);
        if (b->output_begin)
            b->output_begin[s] = b->begin[s + 1] - (uint32_t)output_length_of(shape, s);
        number_positions(b, s);
    }
    return true;
}

/* Do the node's rows stand for tokens: of all, or of one stack of an encoder-decoder? */
static bool holds_tokens(const pass *p, const graph_site *site)
{
    size_t rows = p->graph.graph->nodes[site->node].rows, output = 0;
    for (size_t s = 0; p->batch.output_begin && s < p->batch.sequences; s++)
        output += p->batch.begin[s + 1] - p->batch.output_begin[s];
    bool is_stack = p->batch.output_begin && (rows == output || rows == p->batch.rows - output);
    return !site->is_saved && site->node != p->graph.logits && (rows == p->batch.rows || is_stack);
}

/* Mark the sites that fit.  Gradients end at the lowest: what is below it is not differentiated. */
static tkr_status find_places(pass *p, tkr_error *error)
{
    graph *g = p->graph.graph;
    p->at = NODE_NONE;
    if (!p->shape.at)
        return TKR_OK;
    p->places = ARENA_NEW(p->arena, node, g->site_count);
    p->place_names = ARENA_NEW(p->arena, const char *, g->site_count);
    if (!p->places || !p->place_names)
        return fail_memory(error, "places", g->site_count);
    for (size_t s = 0; s < g->site_count; s++) {
        const graph_site *site = &g->sites[s];
        if (!site_fits(view_of(p->shape.at), view_of(site->name)) || !holds_tokens(p, site))
            continue;
        p->places[p->place_count] = site->node;
        p->place_names[p->place_count++] = site->name;
        g->nodes[site->node].is_kept = true;
        g->nodes[site->node].is_gradient_kept = p->shape.backward;
    }
    if (p->place_count == 0)
        return site_fail(g, view_of(p->shape.at), "at", error);
    g->nodes[p->graph.word].is_source = false;
    g->nodes[p->places[0]].is_source = p->shape.backward;
    p->at = p->places[0];
    return TKR_OK;
}

static bool has_matrix(const graph_node *logits) { return logits->op == &op_linear; }

/* Room for the gradients of what the head's matrix reads, and one row of the matrix. */
static bool lay_out_head(pass *p)
{
    const graph_node *nodes = p->graph.graph->nodes;
    p->from = NODE_NONE;
    if (!p->shape.backward || p->graph.logits == NODE_NONE)
        return true;
    p->from = has_matrix(&nodes[p->graph.logits]) ? nodes[p->graph.logits].in[0] : p->graph.logits;
    p->head_rows = arena_alloc(p->arena, (p->shape.seeds * nodes[p->from].rows + 1) * nodes[p->from].width, sizeof(real));
    p->head_kept = ARENA_NEW(p->arena, double, p->shape.seeds);
    p->head_dense = ARENA_NEW(p->arena, uint32_t, p->batch.targets);
    return p->head_rows && p->head_kept && p->head_dense;
}

/* An external model: room for its texts and scores. */
static bool lay_out_texts(pass *p)
{
    size_t count = p->shape.sequences, width = model_outputs(p->session->model);
    p->at = p->from = p->graph.word = p->graph.logits = NODE_NONE;
    p->texts = ARENA_NEW(p->arena, const char *, count);
    p->scores = ARENA_NEW(p->arena, float, count * width);
    p->logits = ARENA_NEW(p->arena, real, count * width);
    p->text_count = count;
    return !arena_failed(p->arena);
}

static tkr_status ask_texts(pass *p, tkr_error *error)
{
    const tkr_model *m = p->session->model;
    tkr_status status = model_score(m, p->texts, p->text_count, p->scores, error);
    for (size_t i = 0; !status && i < p->text_count * model_outputs(m); i++)
        p->logits[i] = (real)p->scores[i];
    return status;
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
    p->shape.seeds = shape->seeds ? shape->seeds : 1;
    if (!lay_out(p)) {
        fail_memory(error, "the rows of a batch", p->batch.rows);
        goto fail;
    }
    if (s->model->score) {
        if (lay_out_texts(p))
            return p;
        fail_memory(error, "texts of a batch", shape->sequences);
        goto fail;
    }
    if (model_graph_new(s->model, &p->batch, shape->wish, p->arena, &p->graph, error) || find_places(p, error))
        goto fail;
    if (!lay_out_head(p)) {
        fail_memory(error, "the rows of a batch", p->batch.targets);
        goto fail;
    }
    p->shape.lengths = p->shape.output_lengths = p->shape.targets = NULL; /* the caller's arrays are not needed any more */
    p->shape.keys = p->shape.source_of = NULL;
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
    bool is_beyond = p->shape.backward && p->from != NODE_NONE && p->from != p->graph.logits;
    return (run_options){.backward = p->shape.backward, .seeds = p->shape.seeds, .beyond = is_beyond ? p->graph.logits : 0};
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
    if (p->texts)
        return ask_texts(p, error);
    tkr_status status = model_check_batch(p->session->model, &p->batch, error);
    if (!status)
        status = model_unchanged(p->session->model, error);
    if (!status)
        status = need_runner(p, error);
    return status ? status : runner_forward(p->runner, error);
}

/* ---- the way back ----
 *
 * A seed has a row of the vocabulary's width for each read row, and most of it is zero: a target reads one row of a sequence, and
 * the derivative of a logit is one number.  So the head's way back is done here: rows of zeros stay zeros, rows of few numbers
 * are those few rows of the matrix (the sums have the bits of the product's), and only what is left is multiplied. */

enum { FEW_NUMBERS = 4, BLOCK = 64 };

/* Where a row is not zero: at most FEW_NUMBERS places; more than that tells that there are more. */
static size_t find_numbers(const real *row, size_t width, size_t at[FEW_NUMBERS])
{
    size_t count = 0;
    for (size_t begin = 0; begin < width; begin += BLOCK) {
        size_t end = width - begin < BLOCK ? width : begin + BLOCK;
        unsigned any = 0;
        for (size_t i = begin; i < end; i++)
            any |= row[i] != 0;
        for (size_t i = begin; any && i < end; i++) {
            if (row[i] == 0)
                continue;
            if (count == FEW_NUMBERS)
                return count + 1;
            at[count++] = i;
        }
    }
    return count;
}

static void add_rows(const weight *matrix, const real *seed, const size_t *at, size_t count, real *room, real *out)
{
    for (size_t k = 0; k < count; k++) {
        weight_row(matrix, at[k], room);
        for (size_t i = 0; i < matrix->columns; i++)
            out[i] = real_fma(seed[at[k]], room[i], out[i]);
    }
}

/* Multiply the rows of a list. */
static tkr_status multiply_rows(const pass *p, weight *matrix, const real *seed, const uint32_t *rows, size_t count, real *out,
                                tkr_error *error)
{
    const tkr_session *s = p->session;
    const packed *pack = count ? weight_packed(matrix, s->model->kernels, s->threads, error) : NULL;
    if (count && !pack)
        return error->code;
    if (count)
        gemm_turned(s->threads, out, matrix->columns, seed, matrix->rows, rows, count, pack);
    return TKR_OK;
}

tkr_status pass_seed(pass *p, size_t index, const real *seed, tkr_error *error)
{
    const graph_node *logits = &p->graph.graph->nodes[p->graph.logits], *from = &p->graph.graph->nodes[p->from];
    size_t size = from->rows * from->width, dense = 0, at[FEW_NUMBERS];
    real *out = p->head_rows + index * size, *room = p->head_rows + p->shape.seeds * size;
    p->head_kept[index] = 0;
    if (!has_matrix(logits)) {
        memcpy(out, seed, size * sizeof(real));
        return TKR_OK;
    }
    memset(out, 0, size * sizeof(real));
    for (size_t r = 0; r < from->rows; r++) {
        const real *row = seed + r * logits->width;
        size_t count = find_numbers(row, logits->width, at);
        if (count > FEW_NUMBERS)
            p->head_dense[dense++] = (uint32_t)r;
        else
            add_rows(logits->weights[0], row, at, count, room, out + r * from->width);
        if (count > 0 && logits->weights[1])
            p->head_kept[index] += p->session->model->kernels->dot(row, logits->weights[1]->vector, logits->width);
    }
    return multiply_rows(p, logits->weights[0], seed, p->head_dense, dense, out, error);
}

tkr_status pass_backward(pass *p, op_rule rule, size_t count, double *absorbed, tkr_error *error)
{
    tkr_status status = runner_backward_many(p->runner, rule, p->from, p->head_rows, count, absorbed, error);
    for (size_t i = 0; !status && absorbed && i < count; i++)
        absorbed[(i * p->graph.graph->count + (size_t)p->graph.logits) * ABSORBED_KINDS + ABSORBED_CONSTANT] += p->head_kept[i];
    return status;
}

const real *pass_logits(const pass *p, size_t sequence, size_t read)
{
    size_t row = p->logit_rows ? p->logit_rows[sequence * p->shape.reads + read] : p->batch.target_begin[sequence] + read;
    if (p->logits)
        return p->logits + row * model_outputs(p->session->model);
    return runner_value(p->runner, p->graph.logits) + row * p->graph.graph->nodes[p->graph.logits].width;
}

void pass_choose(pass *p, size_t place) { p->at = p->places[place]; }

size_t pass_place_rows(const pass *p) { return p->graph.graph->nodes[p->at].rows / p->batch.sequences; }

static const real *first_row(const pass *p, const real *rows, size_t sequence)
{
    return rows + sequence * pass_place_rows(p) * p->graph.graph->nodes[p->at].width;
}

const real *pass_values(const pass *p, size_t sequence)
{
    return first_row(p, runner_value(p->runner, p->at), sequence);
}

const real *pass_gradient(const pass *p, size_t sequence)
{
    return first_row(p, runner_gradient(p->runner, p->at), sequence);
}
