/*
 * Norms of what tokens give to each other; see attention_norms.h.
 *
 * The vectors of a key are made one key at a time, [heads][hidden], and never kept: all queries need of them is their Gram matrix,
 * || sum_h a_h f_h ||^2 = a^T G a.  Only the diagonal, where the residual joins, is made as a vector.
 * Which node is what is read from the graph: behind each attention a linear map (Wo), behind it a sum, and in post-norm models a layer
 * norm that is the sum's only reader.
 * Known to go wrong: in pre-norm models r is the stream before the norm, not the attention's input; rounding leaves tiny negative squares.
 */
#include "explain/attention_norms.h"

#include <math.h>
#include <string.h>

#include "base/failure.h"
#include "base/size.h"
#include "tensor/op.h"

static const char *const form_ids[] = {
#define NORM_FORM_ID(name, id) id,
    NORM_FORMS(NORM_FORM_ID)
#undef NORM_FORM_ID
};

/* ---- where they are ---- */

/* The one reader of a node that has this op; NODE_NONE: none.  readers: how many there are of any op. */
static node reader_of(const graph *g, node n, const op *wanted, size_t *readers)
{
    node found = NODE_NONE;
    *readers = 0;
    for (size_t i = 0; i < g->count; i++)
        for (int j = 0; j < g->nodes[i].op->inputs; j++)
            if (g->nodes[i].in[j] == n) {
                ++*readers;
                found = g->nodes[i].op == wanted ? (node)i : found;
            }
    return found;
}

value_path value_path_find(const graph *g, node attention)
{
    size_t readers;
    value_path p = {.attention = attention, .value = g->nodes[attention].in[2], .sum = NODE_NONE, .rest = NODE_NONE, .norm = NODE_NONE};
    p.mix = reader_of(g, attention, &op_linear, &readers);
    p.sum = p.mix == NODE_NONE ? NODE_NONE : reader_of(g, p.mix, &op_add, &readers);
    if (p.sum == NODE_NONE)
        return p;
    const node *in = g->nodes[p.sum].in;
    p.rest = in[0] == p.mix ? in[1] : in[0];
    p.norm = reader_of(g, p.sum, &op_layer_norm, &readers);
    if (readers != 1)
        p.norm = NODE_NONE;
    return p;
}

static bool has_form(const value_path *p, norm_form form)
{
    return p->mix != NODE_NONE && (form == NORM_ATTN || p->sum != NODE_NONE) && (form != NORM_RESLN || p->norm != NODE_NONE);
}

/* A pass with all that the norms are made of marked. */
static pass *new_pass(const question *q, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, false);
    shape.wish.all_rows = true;
    pass *p = pass_new(q->session, &shape, error);
    graph *g = p ? p->graph.graph : NULL;
    for (size_t s = 0; g && s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(q, &g->sites[s], &kind))
            continue;
        value_path at = value_path_find(g, g->sites[s].node);
        g->nodes[at.attention].saves_kept = g->nodes[at.value].is_kept = true;
        if (at.sum != NODE_NONE)
            g->nodes[at.sum].is_kept = g->nodes[at.rest].is_kept = true;
    }
    return p;
}

tkr_status attention_norms_check(const question *q, norm_form form, tkr_error *error)
{
    pass *p = new_pass(q, error);
    const graph *g = p ? p->graph.graph : NULL;
    bool has = true;
    for (size_t s = 0; g && s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(q, &g->sites[s], &kind))
            continue;
        value_path at = value_path_find(g, g->sites[s].node);
        has = has && has_form(&at, form);
    }
    pass_free(p);
    if (!p)
        return error->code;
    if (has)
        return TKR_OK;
    static const char *const needed[] = {"linear map", "residual sum", "layer norm that alone reads the sum"};
    fail(error, TKR_E_USAGE_CAPABILITY, "value-norms: norm %s: %s has no %s behind its attention", form_ids[form], q->model->name, needed[form]);
    fail_help(error, "-M value-norms:norm=res");
    fail_field(error, "methods", -1, 0);
    return error->code;
}

/* ---- pure mathematics ---- */

static double dot_of(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

void norms_of_mixtures(double *out, const double *p, size_t step, size_t count, const double *f, size_t heads, size_t width, double *gram)
{
    for (size_t h = 0; h < heads; h++)
        for (size_t k = 0; k <= h; k++)
            gram[h * heads + k] = gram[k * heads + h] = dot_of(f + h * width, f + k * width, width);
    for (size_t i = 0; i < count; i++) {
        double square = 0;
        for (size_t h = 0; h < heads; h++)
            for (size_t k = 0; k < heads; k++)
                square += p[(h * count + i) * step] * p[(k * count + i) * step] * gram[h * heads + k];
        out[i * step] = sqrt(fmax(square, 0));
    }
}

void center_vector(double *v, const real *gain, size_t width)
{
    double mean = 0;
    for (size_t i = 0; i < width; i++)
        mean += v[i] / (double)width;
    for (size_t i = 0; i < width; i++)
        v[i] = (double)gain[i] * (v[i] - mean);
}

static double length_of(const double *v, size_t width) { return sqrt(dot_of(v, v, width)); }

/* ---- one attention ---- */

typedef struct norm_room {
    real *wo;              /* [hidden][heads x head width]                              */
    double *f, *own;       /* [heads][hidden] of one key, [hidden] of the diagonal       */
    double *gram;          /* [heads][heads]                                             */
    double *p;             /* [heads][queries][keys]                                     */
} norm_room;

/* One attention of a pass that has run. */
typedef struct value_layer {
    const pass *p;
    value_path at;
    norm_form form;
    bool is_cross;
    size_t heads, queries, keys, width; /* width: of the vectors */
    norm_room *room;
    double *out, *rest;    /* [queries][keys], [queries] or NULL                         */
} value_layer;

static const graph_node *node_at(const value_layer *l, node n) { return &l->p->graph.graph->nodes[n]; }

void value_path_vectors(const pass *p, const value_path *at, const real *wo, size_t hidden, size_t key, double *out)
{
    const graph_node *n = &p->graph.graph->nodes[at->attention];
    const size_t heads = n->params.heads, width = n->width / heads, key_heads = n->params.key_heads ? n->params.key_heads : heads;
    const real *v = runner_value(p->runner, at->value) + key * key_heads * width;
    const kernels *k = p->session->model->kernels;
    for (size_t h = 0; h < heads; h++)
        for (size_t c = 0; c < hidden; c++)
            out[h * hidden + c] = k->dot(wo + c * n->width + h * width, v + h / (heads / key_heads) * width, width);
}

/* The vectors of one key, as they are or as the norm's linear part leaves them. */
static void make_vectors(const value_layer *l, size_t key)
{
    value_path_vectors(l->p, &l->at, l->room->wo, l->width, key, l->room->f);
    for (size_t h = 0; l->form == NORM_RESLN && h < l->heads; h++)
        center_vector(l->room->f + h * l->width, node_at(l, l->at.norm)->weights[0]->vector, l->width);
}

/* r of one row, as it is or as the norm's linear part leaves it. */
static void make_rest(const value_layer *l, size_t row)
{
    const real *r = runner_value(l->p->runner, l->at.rest) + row * l->width;
    for (size_t c = 0; c < l->width; c++)
        l->room->own[c] = (double)r[c];
    if (l->form == NORM_RESLN)
        center_vector(l->room->own, node_at(l, l->at.norm)->weights[0]->vector, l->width);
}

/* The diagonal: what a token keeps of itself, residual included. */
static double own_norm(const value_layer *l, size_t key)
{
    make_rest(l, key);
    for (size_t h = 0; h < l->heads; h++) {
        const double share = l->room->p[(h * l->queries + key) * l->keys + key];
        for (size_t c = 0; c < l->width; c++)
            l->room->own[c] += share * l->room->f[h * l->width + c];
    }
    return length_of(l->room->own, l->width);
}

/* 1 / s_i of each row's sum. */
static void divide_by_scale(const value_layer *l)
{
    const double eps = node_at(l, l->at.norm)->params.eps;
    for (size_t i = 0; i < l->queries; i++) {
        const real *x = runner_value(l->p->runner, l->at.sum) + i * l->width;
        double mean = 0, variance = 0;
        for (size_t c = 0; c < l->width; c++)
            mean += (double)x[c] / (double)l->width;
        for (size_t c = 0; c < l->width; c++)
            variance += ((double)x[c] - mean) * ((double)x[c] - mean) / (double)l->width;
        for (size_t j = 0; j < l->keys; j++)
            l->out[i * l->keys + j] /= sqrt(variance + eps);
    }
}

static void measure_layer(const value_layer *l)
{
    const weight *wo = node_at(l, l->at.mix)->weights[0];
    const real *p = runner_saved(l->p->runner, l->at.attention);
    for (size_t i = 0; i < l->heads * l->queries * l->keys; i++)
        l->room->p[i] = (double)p[i];
    for (size_t c = 0; c < l->width; c++)
        weight_row(wo, c, l->room->wo + c * wo->columns);
    for (size_t j = 0; j < l->keys; j++) {
        make_vectors(l, j);
        norms_of_mixtures(l->out + j, l->room->p + j, l->keys, l->queries, l->room->f, l->heads, l->width, l->room->gram);
        if (l->form != NORM_ATTN && !l->is_cross)
            l->out[j * l->keys + j] = own_norm(l, j);
    }
    for (size_t i = 0; l->rest && i < l->queries; i++) {
        make_rest(l, i);
        l->rest[i] = length_of(l->room->own, l->width);
    }
    if (l->form == NORM_RESLN)
        divide_by_scale(l);
}

/* ---- all ---- */

/* One capture: what it is about, and where it goes. */
typedef struct norm_run {
    const question *q;
    const pass *p;
    norm_form form;
    bool last_alone;
    arena *arena;
    attention_norms *out;
} norm_run;

static bool make_room(arena *a, const graph_node *n, size_t hidden, size_t keys, norm_room *out)
{
    const size_t heads = n->params.heads;
    out->wo = arena_alloc(a, hidden * n->width, sizeof(real));
    out->f = ARENA_NEW(a, double, heads * hidden);
    out->own = ARENA_NEW(a, double, hidden);
    out->gram = ARENA_NEW(a, double, heads * heads);
    out->p = ARENA_NEW(a, double, heads * n->rows * keys);
    return !arena_failed(a);
}

static tkr_status measure_site(const norm_run *r, node attention, attention_kind kind, size_t layer, tkr_error *error)
{
    const graph *g = r->p->graph.graph;
    const attention_stack *s = &r->out->maps.of[kind];
    const size_t hidden = r->q->model->config.hidden;
    const bool is_cross = kind == ATTENTION_CROSS;
    norm_room room;
    arena_mark mark = arena_get_mark(r->arena);
    if (!make_room(r->arena, &g->nodes[attention], hidden, s->keys, &room))
        return fail_memory(error, "norms of values", hidden * hidden);
    value_layer l = {.p = r->p, .at = value_path_find(g, attention), .form = r->form, .is_cross = is_cross,
                     .heads = g->nodes[attention].params.heads, .queries = s->queries, .keys = s->keys, .width = hidden, .room = &room,
                     .out = attention_head_map(s, layer, 0), .rest = is_cross && r->out->rest ? r->out->rest + layer * s->queries : NULL};
    measure_layer(&l);
    arena_release(r->arena, mark);
    return TKR_OK;
}

/* Is this layer asked for? */
static bool is_wanted(const norm_run *r, attention_kind kind, size_t layer)
{
    const attention_maps *maps = &r->out->maps;
    bool is_of_source = kind == ATTENTION_ENCODER && maps->of[ATTENTION_DECODER].layers > 0;
    return !r->last_alone || (layer + 1 == maps->of[kind].layers && !is_of_source);
}

static tkr_status measure_all(const norm_run *r, tkr_error *error)
{
    const graph *g = r->p->graph.graph;
    size_t layer[ATTENTION_KINDS] = {0};
    tkr_status status = TKR_OK;
    for (size_t s = 0; !status && s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(r->q, &g->sites[s], &kind))
            continue;
        if (is_wanted(r, kind, layer[kind]))
            status = measure_site(r, g->sites[s].node, kind, layer[kind], error);
        layer[kind]++;
    }
    return status;
}

tkr_status attention_norms_capture(const question *q, norm_form form, bool last_alone, arena *a, attention_norms *out, tkr_error *error)
{
    *out = (attention_norms){0};
    pass *p = new_pass(q, error);
    if (!p)
        return error->code;
    question_fill(q, p, 0);
    attention_maps heads;
    attention_maps_measure(q, p->graph.graph, &heads);
    tkr_status status = attention_maps_of_one_head(&heads, a, &out->maps, error);
    const attention_stack *cross = &out->maps.of[ATTENTION_CROSS];
    if (!status && cross->layers > 0 && form != NORM_ATTN && !(out->rest = ARENA_NEW(a, double, cross->layers * cross->queries)))
        status = fail_memory(error, "norms of values", cross->queries);
    if (!status)
        status = pass_forward(p, error);
    if (!status)
        status = measure_all(&(norm_run){.q = q, .p = p, .form = form, .last_alone = last_alone, .arena = a, .out = out}, error);
    pass_free(p);
    return status;
}

size_t attention_norms_bytes(const question *q)
{
    tkr_error unused = {0}; /* what cannot be planned fails when it is run, and says why */
    size_t block = 0, packs = 0, bytes, hidden = q->model->config.hidden;
    double flops = 0;
    pass *p = new_pass(q, &unused);
    if (!p)
        return 0;
    attention_maps maps;
    attention_maps_measure(q, p->graph.graph, &maps);
    if (pass_plan(p, &block, &packs, &flops, &unused))
        block = 0;
    pass_free(p);
    size_t heads = q->model->config.heads, widest = heads * q->model->config.head_width;
    size_t room = hidden * widest * sizeof(real) + (heads * (hidden + heads) + hidden + q->length) * sizeof(double);
    bool fits = size_mul(&bytes, attention_maps_room_bytes(&maps), 2) && size_add(&bytes, bytes, block) && size_add(&bytes, bytes, room);
    return fits ? bytes : SIZE_MAX;
}

/* ---- through the layers ---- */

/* r becomes S r for a square S with the norms' shares; form attn: half of it. */
static void mix_step(double *r, const double *norms, norm_form form, size_t n, size_t columns, double *shares, double *room)
{
    memcpy(shares, norms, n * n * sizeof *shares);
    rows_to_shares(shares, n, n);
    for (size_t i = 0; form == NORM_ATTN && i < n * n; i++)
        shares[i] = 0.5 * shares[i] + (i % (n + 1) == 0 ? 0.5 : 0);
    memcpy(room, r, n * columns * sizeof *room);
    matrix_product(r, shares, room, n, n, columns);
}

/* Both parts of the decoder keep the residual's share; the source gets the rest. */
static void cross_step(token_relevance *r, const double *norms, const double *rest, double *shares, double *room)
{
    const size_t n = r->output, s = r->source;
    for (size_t i = 0; i < n; i++) {
        double given = 0;
        for (size_t j = 0; j < s; j++)
            given += norms[i * s + j];
        const double kept = rest && rest[i] + given > 0 ? rest[i] / (rest[i] + given) : 0.5;
        for (size_t j = 0; j < s; j++)
            shares[i * s + j] = given > 0 ? (1 - kept) * norms[i * s + j] / given : 0;
        for (size_t j = 0; j < n; j++)
            r->self[i * n + j] *= kept;
        for (size_t j = 0; j < s; j++)
            r->cross[i * s + j] *= kept;
    }
    matrix_product(room, shares, r->encoder, n, s, s);
    for (size_t i = 0; i < n * s; i++)
        r->cross[i] += room[i];
}

tkr_status attention_norms_rollout(const attention_norms *n, norm_form form, arena *a, token_relevance *out, tkr_error *error)
{
    tkr_status status = token_relevance_new(&n->maps, a, out, error);
    const size_t most = out->source > out->output ? out->source : out->output;
    double *shares = ARENA_NEW(a, double, most * most), *room = ARENA_NEW(a, double, most * most);
    if (status || !shares || !room)
        return status ? status : fail_memory(error, "norms of values", most);
    const attention_stack *encoder = &n->maps.of[ATTENTION_ENCODER], *decoder = &n->maps.of[ATTENTION_DECODER], *cross = &n->maps.of[ATTENTION_CROSS];
    for (size_t l = 0; l < encoder->layers; l++)
        mix_step(out->source ? out->encoder : out->self, attention_head_map(encoder, l, 0), form, encoder->queries, encoder->queries, shares, room);
    for (size_t l = 0; l < decoder->layers; l++) {
        const double *norms = attention_head_map(decoder, l, 0);
        mix_step(out->self, norms, form, out->output, out->output, shares, room);
        if (out->source == 0)
            continue;
        mix_step(out->cross, norms, form, out->output, out->source, shares, room);
        cross_step(out, attention_head_map(cross, l, 0), n->rest ? n->rest + l * out->output : NULL, shares, room);
    }
    return TKR_OK;
}
