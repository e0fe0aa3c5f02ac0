/*
 * Attention: for each sequence and head, softmax(scale q k^T + bias) v over the keys of the same sequence (Vaswani et al. 2017).
 *
 * Inputs q [Rq, A D], k [Rk, G D], v [Rk, G D] for A heads and G key heads; heads are columns side by side, and each key head
 * serves A / G heads in a row (Ainslie et al. 2023).  Queries and keys have segments of their own with equally many
 * sequences, so the queries may be a choice of rows; what a query sees follows from its position among the keys.  Work is cut
 * into (sequence, key head) units, which touch disjoint rows and columns: nothing depends on neighbours or threads, and the
 * gradients of a key that several heads read are added by one unit, in the order of the heads.
 * Bias: T5's (Raffel et al. 2020), a number for each head and bucketed distance, from weights[0] [buckets, heads]; it has no
 * gradient.  A cache holds the keys and values of earlier runs, and the rows of this run are written behind them; there is no
 * way back over a cache.
 * Sequences may share keys: then the keys of each are listed, and a unit copies its own side by side before the kernels see
 * them, unless they lie so already.  Nothing else differs, so the bits do not either; there is no way back over lists.
 *
 * AttnLRP (methods.md 6.2): the product p v gives half to each factor, the softmax is linearised at its scores, and q k^T gives
 * half to each again, so dv is 1/2 and dq, dk are 1/4 of the gradient's.  With dp, ds the halved ones, the softmax keeps
 * <dp, p> - <ds, s> and the bias <ds, bias>; <dp, p> = <dv, v> and <ds, s - bias> = <dq, q> for halved dv and dq.
 * CP-LRP: p is constant; dv as in the gradient, nothing for q and k, nothing absorbed.
 *
 * Saved (when asked for): probabilities as attention.h lays them out.
 * Known to go wrong: a row with all keys hidden gives zeros, not NaN; rows of `query_rows` count from the beginning of the
 * keys' node, not of the sequence, also where keys are listed; the buckets' logarithm is rounded as in float32, in the order of
 * the original.
 */
#include "tensor/ops/attention.h"

#include <assert.h>
#include <string.h>

#include "base/failure.h"
#include "base/size.h"
#include "tensor/op_sample.h"

enum { Q = 0, K = 1, V = 2 };

static size_t sequence_rows(const graph_node *n, size_t s)
{
    return n->segments.begin[s + 1] - n->segments.begin[s];
}
static size_t key_heads(const op_params *p) { return p->key_heads ? p->key_heads : p->heads; }

static bool is_listed(const op_params *p) { return p->listed != NULL; }

/* Most keys that a sequence can have. */
static size_t keys_most(const graph_node *n, const graph_node *const *in, size_t s)
{
    const op_params *p = &n->params;
    if (is_listed(p))
        return p->listed_begin[s + 1] - p->listed_begin[s];
    return p->cache != NULL ? p->cache->capacity : sequence_rows(in[K], s);
}

static bool same_segments(segments a, segments b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i <= a.count && a.count > 0; i++)
        if (a.begin[i] != b.begin[i])
            return false;
    return true;
}

static bool bias_fits(const weight *bias, const op_params *p)
{
    size_t buckets = p->is_causal ? p->buckets : p->buckets / 2;
    return bias == NULL ||
           (bias->rows == p->buckets && bias->columns == p->heads && buckets >= 2 && p->farthest > buckets / 2);
}

static bool cache_fits(const op_shape *s, size_t width)
{
    const attention_cache *cache = s->node->params.cache;
    const graph_node *k = s->in[K];
    return cache->width == width && s->in[Q]->segments.count == 1 && !is_listed(&s->node->params) && (k == NULL) == (s->in[V] == NULL) &&
           (k == NULL || k->rows <= cache->capacity);
}

static bool shape(op_shape *s)
{
    const graph_node *q = s->in[Q], *k = s->in[K], *v = s->in[V];
    const op_params *p = &s->node->params;
    if (p->heads == 0 || q->width % p->heads != 0 || p->heads % key_heads(p) != 0 ||
        !bias_fits(s->node->weights[0], p))
        return false;
    size_t width = q->width / p->heads * key_heads(p);
    if (p->cache != NULL ? !cache_fits(s, width) : k == NULL || v == NULL)
        return false;
    if (k != NULL && (k->width != width || v->width != width || !same_segments(k->segments, v->segments) ||
                      (!is_listed(p) && q->segments.count != k->segments.count)))
        return false;
    if (is_listed(p) && p->listed_begin == NULL)
        return false;
    bool needs_positions = p->is_causal || p->window > 0 || s->node->weights[0] != NULL;
    for (size_t i = 0; needs_positions && p->query_rows == NULL && i < q->segments.count; i++)
        if (sequence_rows(q, i) > keys_most(s->node, s->in, i))
            return false;
    return shape_like(s, Q);
}

static size_t units(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->segments.count * key_heads(&n->params);
}

/* Elements of the block of probabilities of one head; SIZE_MAX when they cannot be counted. */
static size_t probs_block(const graph_node *n, const graph_node *const *in, size_t s)
{
    size_t block;
    return size_mul(&block, sequence_rows(in[Q], s), keys_most(n, in, s)) ? block : SIZE_MAX;
}

/* Elements of all blocks before a sequence; SIZE_MAX when they cannot be counted. */
static size_t probs_before(const graph_node *n, const graph_node *const *in, size_t sequence)
{
    size_t sum = 0;
    for (size_t s = 0; s < sequence; s++) {
        size_t block;
        if (!size_mul(&block, probs_block(n, in, s), n->params.heads) || !size_add(&sum, sum, block))
            return SIZE_MAX;
    }
    return sum;
}

size_t attention_probs_offset(const graph *g, node n, size_t sequence, size_t head)
{
    const graph_node *self = &g->nodes[n];
    const graph_node *in[] = {&g->nodes[self->in[Q]], self->in[K] == NODE_NONE ? NULL : &g->nodes[self->in[K]]};
    return probs_before(self, in, sequence) + head * probs_block(self, in, sequence);
}

static size_t saved(const graph_node *n, const graph_node *const *in)
{
    return probs_before(n, in, n->segments.count);
}

/* ---- Scratch: the kernel's; the biases of one head: by distance, of one bucket, and the buckets'; then what lists ask for:
 * keys, values, where they lie, and which of them are the queries'. ---- */

static size_t by_distance(size_t keys) { return 2 * keys + 16; }
/* Distances between keys are below this. */
static size_t span_of(const op_params *p, size_t keys) { return p->places != NULL ? p->width : keys; }

static size_t bias_room(const graph_node *n, size_t keys)
{
    return n->weights[0] != NULL ? by_distance(span_of(&n->params, keys)) + n->params.heads + n->params.buckets : 0;
}

static size_t listed_room(const graph_node *n, size_t queries, size_t keys)
{
    size_t width = n->width / n->params.heads, numbers = n->params.places != NULL ? keys : 0;
    return is_listed(&n->params) ? 2 * keys * width + numbers + queries : numbers;
}

static size_t scratch(const graph_node *n, const graph_node *const *in, const kernels *k, bool backward_too)
{
    size_t most = 0;
    for (size_t s = 0; s < n->segments.count; s++) {
        size_t keys = keys_most(n, in, s);
        size_t need =
            k->attention_scratch(sequence_rows(in[Q], s), keys, n->width / n->params.heads, backward_too);
        need += bias_room(n, keys) + listed_room(n, sequence_rows(in[Q], s), keys);
        most = need > most ? need : most;
    }
    return most;
}

size_t attention_bucket(ptrdiff_t distance, size_t buckets, size_t farthest, bool has_both_directions)
{
    size_t count = has_both_directions ? buckets / 2 : buckets,
           base = has_both_directions && distance > 0 ? count : 0;
    size_t away = distance < 0          ? (size_t)-distance
                  : has_both_directions ? (size_t)distance
                                        : 0,
           exact = count / 2;
    if (away < exact)
        return base + away;
    float share = logf((float)away / (float)exact) / (float)log((double)farthest / (double)exact);
    size_t bucket = exact + (size_t)(share * (float)(count - exact));
    return base + (bucket < count ? bucket : count - 1);
}

/* The biases of one head, by distance, as the kernel reads them. */
static void bias_fill(const graph_node *n, size_t head, size_t keys, real *bias)
{
    const op_params *p = &n->params;
    real *row = bias + by_distance(keys), *of_bucket = row + p->heads;
    for (size_t b = 0; b < p->buckets; b++) {
        weight_row(n->weights[0], b, row);
        of_bucket[b] = row[head];
    }
    memset(bias, 0, by_distance(keys) * sizeof *bias);
    for (size_t i = 0; i + 1 < 2 * keys; i++)
        bias[i] = of_bucket[attention_bucket((ptrdiff_t)i + 1 - (ptrdiff_t)keys, p->buckets, p->farthest,
                                             !p->is_causal)];
}

/* ---- Units ---- */

/* A (sequence, key head): where its rows are, among them those of earlier runs. */
typedef struct unit {
    size_t sequence, key_head;
    size_t past, keys; /* rows in the cache before this run; all keys                */
    size_t first_query, first_key;
    const real *k, *v; /* its first row and column                                   */
    size_t stride;     /* from one key to the next                                   */
    const int32_t *listed;     /* [keys] rows of the keys' node; NULL: from first_key on */
    const int32_t *places;     /* [keys] where they lie; NULL: side by side              */
    const int32_t *query_rows; /* [queries] which of them the queries are                */
    ptrdiff_t row_shift;       /* added to these                                         */
} unit;

static unit unit_at(const op_call *c, size_t index)
{
    const graph_node *n = c->node, *k = c->in_node[K];
    const attention_cache *cache = n->params.cache;
    size_t heads = key_heads(&n->params), width = n->width / n->params.heads;
    unit u = {.sequence = index / heads, .key_head = index % heads, .past = cache != NULL ? cache->rows : 0};
    u.stride = heads * width;
    u.first_query = c->in_node[Q]->segments.begin[u.sequence];
    if (is_listed(&n->params)) {
        u.listed = n->params.listed + n->params.listed_begin[u.sequence];
        u.keys = keys_most(n, c->in_node, u.sequence);
        return u; /* keys and values: list_keys */
    }
    u.first_key = k != NULL ? k->segments.begin[u.sequence] : 0;
    u.keys = u.past + (k != NULL ? sequence_rows(k, u.sequence) : 0);
    u.query_rows = n->params.query_rows != NULL ? n->params.query_rows + u.first_query : NULL;
    u.row_shift = k != NULL ? (ptrdiff_t)u.past - (ptrdiff_t)u.first_key : 0;
    size_t at = u.first_key * u.stride + u.key_head * width;
    u.k = cache != NULL ? cache->keys + u.key_head * width : c->in[K] != NULL ? c->in[K] + at : NULL;
    u.v = cache != NULL ? cache->values + u.key_head * width : c->in[V] != NULL ? c->in[V] + at : NULL;
    return u;
}

/* What one head of a unit is for the kernels; probs: where the blocks of the sequence begin, or NULL. */
static attention_head head_of(const op_call *c, const unit *u, size_t head, real *probs)
{
    const graph_node *n = c->node;
    const op_params *p = &n->params;
    size_t width = n->width / p->heads, stride = key_heads(p) * width;
    size_t at_q = u->first_query * n->width + head * width, at_k = u->first_key * stride + u->key_head * width;
    size_t hidden_at = p->hidden_begin != NULL ? p->hidden_begin[u->sequence]
                       : is_listed(p)          ? p->listed_begin[u->sequence]
                                               : u->first_key;
    size_t queries = sequence_rows(c->in_node[Q], u->sequence);
    return (attention_head){
        .queries = queries,
        .keys = u->keys,
        .width = width,
        .q = c->in[Q] + at_q,
        .k = u->k,
        .v = u->v,
        .ldq = n->width,
        .ldk = u->stride,
        .ldv = u->stride,
        .scale = p->scale,
        .hidden = p->hidden != NULL ? p->hidden + hidden_at : NULL,
        .query_rows = u->query_rows,
        .row_shift = u->row_shift,
        .places = u->places,
        .is_causal = p->is_causal,
        .window = p->window,
        .out = c->out != NULL ? c->out + at_q : NULL,
        .ldo = n->width,
        .probs = probs != NULL ? probs + head * probs_block(n, c->in_node, u->sequence) : NULL,
        .ldp = keys_most(n, c->in_node, u->sequence),
        .dout = c->dout != NULL ? c->dout + at_q : NULL,
        .dq = c->din[Q] != NULL ? c->din[Q] + at_q : NULL,
        .dk = c->din[K] != NULL ? c->din[K] + at_k : NULL,
        .dv = c->din[V] != NULL ? c->din[V] + at_k : NULL,
        .scratch = c->scratch,
    };
}

/* Positions and the room in the cache are known only now: they change between runs. */
static tkr_status check(const op_call *c, const unit *u)
{
    const op_params *p = &c->node->params;
    size_t queries = sequence_rows(c->in_node[Q], u->sequence);
    bool needs_positions = p->is_causal || p->window > 0 || c->node->weights[0] != NULL;
    if (p->cache != NULL && u->keys > p->cache->capacity)
        return fail(c->error, TKR_E_INTERNAL, "attention: %zu keys do not fit into a cache of %zu rows",
                    u->keys, p->cache->capacity);
    if (needs_positions && p->query_rows == NULL && queries > u->keys)
        return fail(c->error, TKR_E_INTERNAL, "attention: %zu queries, but only %zu keys", queries, u->keys);
    for (size_t i = 0; u->query_rows != NULL && i < queries; i++) {
        ptrdiff_t at = u->query_rows[i] + u->row_shift;
        if (at < 0 || (size_t)at >= u->keys)
            return fail(c->error, TKR_E_INTERNAL,
                        "attention: query %zu of sequence %zu is row %d, which is not among its keys", i,
                        u->sequence, (int)p->query_rows[u->first_query + i]);
    }
    return TKR_OK;
}

/* New keys and values of this unit's columns go behind those of earlier runs. */
static void cache_write(const op_call *c, const unit *u)
{
    const attention_cache *cache = c->node->params.cache;
    size_t width = c->node->width / c->node->params.heads, column = u->key_head * width;
    for (size_t r = u->past; r < u->keys; r++) {
        size_t to = r * cache->width + column, from = (r - u->past) * cache->width + column;
        memcpy(cache->keys + to, c->in[K] + from, width * sizeof(real));
        memcpy(cache->values + to, c->in[V] + from, width * sizeof(real));
    }
}

/* The scratch behind the kernel's. */
static real *scratch_of_op(const op_call *c, const unit *u)
{
    size_t queries = sequence_rows(c->in_node[Q], u->sequence), width = c->node->width / c->node->params.heads;
    return c->scratch + c->kernels->attention_scratch(queries, u->keys, width, false);
}

/* Listed keys and values side by side; where they are already, they stay. */
static void list_keys(const op_call *c, unit *u, real *room)
{
    size_t width = c->node->width / c->node->params.heads, column = u->key_head * width, next = 1;
    while (next < u->keys && u->listed[next] == u->listed[0] + (int32_t)next)
        next++;
    if (next >= u->keys) {
        size_t at = u->keys > 0 ? (size_t)u->listed[0] * u->stride + column : 0;
        u->k = c->in[K] + at;
        u->v = c->in[V] + at;
        return;
    }
    real *v = room + u->keys * width;
    for (size_t j = 0; j < u->keys; j++) {
        size_t from = (size_t)u->listed[j] * u->stride + column;
        memcpy(room + j * width, c->in[K] + from, width * sizeof(real));
        memcpy(v + j * width, c->in[V] + from, width * sizeof(real));
    }
    u->k = room;
    u->v = v;
    u->stride = width;
}

/* Which of the listed keys the queries are; -1: none. */
static void list_queries(const op_call *c, unit *u, int32_t *room)
{
    const int32_t *rows = c->node->params.query_rows + u->first_query;
    for (size_t i = 0; i < sequence_rows(c->in_node[Q], u->sequence); i++) {
        size_t j = u->keys;
        while (j > 0 && u->listed[j - 1] != rows[i])
            j--;
        room[i] = (int32_t)j - 1;
    }
    u->query_rows = room;
}

static void find_places(const op_call *c, unit *u, int32_t *room)
{
    const op_params *p = &c->node->params;
    for (size_t j = 0; j < u->keys; j++) {
        size_t row = u->listed != NULL ? (size_t)u->listed[j] : u->first_key + j;
        room[j] = p->places[p->index != NULL ? (size_t)p->index[row] : row];
    }
    u->places = room;
}

/* What lists and places say of a unit, in scratch. */
static tkr_status read_lists(const op_call *c, unit *u)
{
    const op_params *p = &c->node->params;
    size_t width = c->node->width / p->heads;
    real *room = scratch_of_op(c, u) + bias_room(c->node, u->keys);
    for (size_t j = 0; is_listed(p) && j < u->keys; j++)
        if (u->listed[j] < 0 || (size_t)u->listed[j] >= c->in_node[K]->rows)
            return fail(c->error, TKR_E_INTERNAL, "attention: key %zu of sequence %zu is row %d of %zu", j, u->sequence,
                        (int)u->listed[j], c->in_node[K]->rows);
    if (is_listed(p)) {
        list_keys(c, u, room);
        room += 2 * u->keys * width;
    }
    if (is_listed(p) && p->query_rows != NULL) {
        list_queries(c, u, (int32_t *)(void *)room);
        room += sequence_rows(c->in_node[Q], u->sequence);
    }
    if (p->places != NULL)
        find_places(c, u, (int32_t *)(void *)room);
    return TKR_OK;
}

static void unit_forward(const op_call *c, const unit *u, real *probs)
{
    const graph_node *n = c->node;
    size_t group = n->params.heads / key_heads(&n->params);
    if (n->params.cache != NULL)
        cache_write(c, u);
    for (size_t head = u->key_head * group; head < (u->key_head + 1) * group; head++) {
        attention_head h = head_of(c, u, head, probs);
        if (n->weights[0] != NULL) {
            real *bias = scratch_of_op(c, u);
            bias_fill(n, head, u->places != NULL && u->keys > 0 ? (size_t)u->places[u->keys - 1] + 1 : h.keys, bias);
            h.bias = bias;
        }
        c->kernels->attention_forward(&h);
    }
}

static void clear(real *x, size_t stride, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        memset(x + r * stride, 0, width * sizeof(real));
}

/* Gradients of a unit.  values_alone: none for q and k.  of_bias: see attention_head.dbias; NULL: not asked. */
static void unit_gradients(const op_call *c, const unit *u, real *probs, bool values_alone, double *of_bias)
{
    size_t group = c->node->params.heads / key_heads(&c->node->params);
    for (size_t i = 0; i < group; i++) {
        size_t head = u->key_head * group + i;
        attention_head h = head_of(c, u, head, probs);
        clear(h.dq, h.ldq, h.queries, h.width);
        if (i == 0) {
            clear(h.dk, h.ldk, h.keys, h.width);
            clear(h.dv, h.ldv, h.keys, h.width);
        }
        if (values_alone)
            h.dq = h.dk = NULL;
        if (of_bias != NULL && c->node->weights[0] != NULL) {
            real *bias = c->scratch + c->kernels->attention_scratch(h.queries, h.keys, h.width, true);
            bias_fill(c->node, head, h.keys, bias);
            h.bias = bias;
            h.dbias = of_bias;
        }
        c->kernels->attention_backward(&h);
    }
}

static void unit_backward(const op_call *c, const unit *u, real *probs) { unit_gradients(c, u, probs, false, NULL); }
static void unit_values(const op_call *c, const unit *u, real *probs) { unit_gradients(c, u, probs, true, NULL); }

/* Some columns of a matrix. */
typedef struct columns {
    const real *x;
    real *dx;
    size_t stride, rows, width;
} columns;

static double sum_products(const op_call *c, columns a)
{
    double sum = 0;
    for (size_t r = 0; r < a.rows; r++)
        sum += c->kernels->dot(a.x + r * a.stride, a.dx + r * a.stride, a.width);
    return sum;
}

static void scale_columns(const op_call *c, columns a, real factor)
{
    for (size_t r = 0; r < a.rows; r++)
        c->kernels->scale(a.dx + r * a.stride, a.dx + r * a.stride, factor, a.width);
}

static void unit_halved(const op_call *c, const unit *u, real *probs)
{
    const op_params *p = &c->node->params;
    size_t group = p->heads / key_heads(p), index = u->sequence * key_heads(p) + u->key_head;
    double of_bias = 0;
    unit_gradients(c, u, probs, false, c->absorbed != NULL ? &of_bias : NULL);
    attention_head h = head_of(c, u, u->key_head * group, probs);
    columns q = {h.q, h.dq, h.ldq, h.queries, group * h.width}, k = {h.k, h.dk, h.ldk, h.keys, h.width},
            v = {h.v, h.dv, h.ldv, h.keys, h.width};
    if (c->absorbed != NULL) {
        double *kept = c->absorbed + index * ABSORBED_KINDS;
        kept[ABSORBED_CONSTANT] += 0.5 * of_bias;
        kept[ABSORBED_SOFTMAX] += 0.5 * (sum_products(c, v) - sum_products(c, q) - of_bias);
    }
    scale_columns(c, q, REAL(0.25));
    scale_columns(c, k, REAL(0.25));
    scale_columns(c, v, REAL(0.5));
}

/* Walk the units [begin, end). */
static tkr_status walk(const op_call *c, size_t begin, size_t end,
                       void (*work)(const op_call *, const unit *, real *))
{
    tkr_status status = TKR_OK;
    for (size_t i = begin; status == TKR_OK && i < end; i++) {
        unit u = unit_at(c, i);
        status = read_lists(c, &u);
        if (status == TKR_OK)
            status = check(c, &u);
        if (status == TKR_OK)
            work(c, &u, c->saved != NULL ? c->saved + probs_before(c->node, c->in_node, u.sequence) : NULL);
    }
    return status;
}

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    return walk(c, begin, end, unit_forward);
}
static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    return walk(c, begin, end, unit_backward);
}
static tkr_status backward_halved(const op_call *c, size_t begin, size_t end)
{
    return walk(c, begin, end, unit_halved);
}
static tkr_status backward_values(const op_call *c, size_t begin, size_t end)
{
    return walk(c, begin, end, unit_values);
}

/* Two products forward (scores, mix), four back (their two factors each). */
static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    double pairs = 0;
    for (size_t s = 0; s < n->segments.count; s++)
        pairs += (double)sequence_rows(in[Q], s) * (double)keys_most(n, in, s);
    return (backward_too ? 8 : 4) * pairs * (double)n->width;
}

/* ---- Reference ---- */

/* One head of one sequence: the node and places in it. */
typedef struct reference_head {
    const graph_node *n;
    size_t head, width, stride, queries, keys;
    const double *k, *v;
    const uint8_t *hidden;
    const int32_t *positions; /* less `first` */
    size_t first;
} reference_head;

static bool reference_sees(const reference_head *h, ptrdiff_t position, size_t key)
{
    const op_params *p = &h->n->params;
    if (h->hidden != NULL && h->hidden[key])
        return false;
    return (!p->is_causal || (ptrdiff_t)key <= position) &&
           (p->window == 0 || (ptrdiff_t)(key + p->window) > position);
}

static double reference_bias(const reference_head *h, ptrdiff_t distance)
{
    const op_params *p = &h->n->params;
    real row[64];
    if (h->n->weights[0] == NULL)
        return 0;
    assert(p->heads <= sizeof row / sizeof *row);
    weight_row(h->n->weights[0], attention_bucket(distance, p->buckets, p->farthest, !p->is_causal), row);
    return (double)row[h->head];
}

/* One query of the reference: an online softmax, so that no room is needed. */
static void reference_row(const reference_head *h, const double *q, size_t row, double *out)
{
    double most = -(double)INFINITY, sum = 0;
    ptrdiff_t position = h->positions != NULL ? h->positions[row] - (ptrdiff_t)h->first
                                              : (ptrdiff_t)(h->keys + row) - (ptrdiff_t)h->queries;
    for (size_t i = 0; i < h->width; i++)
        out[i] = 0;
    for (size_t j = 0; j < h->keys; j++) {
        if (!reference_sees(h, position, j))
            continue;
        double score = reference_bias(h, (ptrdiff_t)j - position);
        for (size_t i = 0; i < h->width; i++)
            score += (double)h->n->params.scale * q[i] * h->k[j * h->stride + i];
        double top = score > most ? score : most, old = exp(most - top), fresh = exp(score - top);
        for (size_t i = 0; i < h->width; i++)
            out[i] = out[i] * old + fresh * h->v[j * h->stride + i];
        sum = sum * old + fresh;
        most = top;
    }
    for (size_t i = 0; sum > 0 && i < h->width; i++)
        out[i] /= sum;
}

/* Without a cache. */
static void reference(const graph_node *n, const graph_node *const *in, const double *const *values,
                      double *out)
{
    const op_params *p = &n->params;
    size_t width = n->width / p->heads, group = p->heads / key_heads(p), stride = width * key_heads(p);
    for (size_t i = 0; i < n->segments.count * p->heads; i++) {
        size_t s = i / p->heads, head = i % p->heads, first = in[K]->segments.begin[s];
        size_t at_q = in[Q]->segments.begin[s] * n->width + head * width,
               at_k = first * stride + head / group * width;
        reference_head h = {.n = n,
                            .head = head,
                            .width = width,
                            .stride = stride,
                            .queries = sequence_rows(in[Q], s),
                            .keys = sequence_rows(in[K], s),
                            .k = values[K] + at_k,
                            .v = values[V] + at_k,
                            .first = first};
        if (p->hidden != NULL)
            h.hidden = p->hidden + (p->hidden_begin != NULL ? p->hidden_begin[s] : first);
        if (p->query_rows != NULL)
            h.positions = p->query_rows + in[Q]->segments.begin[s];
        for (size_t r = 0; r < h.queries; r++)
            reference_row(&h, values[Q] + at_q + r * n->width, r, out + at_q + r * n->width);
    }
}

#define WIDTHS(n)     .width = {(n), (n), (n)}
#define GROUPED(n, m) .width = {(n), (m), (m)}
#define LENGTHS(...)  .lengths = {{__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__}}
#define FEW(q, ...)   .lengths = {q, {__VA_ARGS__}, {__VA_ARGS__}}
#define ROWS(...)     {__VA_ARGS__}
DEFINE_SAMPLES(
    {.sequences = 0, WIDTHS(4), .params = {.heads = 2, .scale = REAL(0.5)}},
    {.sequences = 1, WIDTHS(1), LENGTHS(1), .params = {.heads = 1, .scale = REAL(1.0)}},
    {.sequences = 2, WIDTHS(6), LENGTHS(5, 3), .params = {.heads = 2, .scale = REAL(0.5)}},
    {.sequences = 3, WIDTHS(51), LENGTHS(9, 0, 20), .params = {.heads = 3, .scale = REAL(0.25)}},
    {.sequences = 2,
     WIDTHS(34),
     LENGTHS(7, 18),
     .hides = HIDE_SOME,
     .params = {.heads = 2, .scale = REAL(0.25)}},
    {.sequences = 2, WIDTHS(8), LENGTHS(3, 6), .hides = HIDE_ALL, .params = {.heads = 2, .scale = REAL(0.25)}},
    {.sequences = 2, WIDTHS(12), LENGTHS(6, 17), .params = {.heads = 4, .scale = REAL(0.5), .is_causal = true}},
    {.sequences = 3,
     WIDTHS(16),
     FEW(ROWS(1, 0, 4), 5, 6, 4),
     .hides = HIDE_SOME,
     .params = {.heads = 2, .scale = REAL(0.3)}},
    {.sequences = 2,
     WIDTHS(16),
     FEW(ROWS(2, 1), 5, 1),
     .params = {.heads = 1, .scale = REAL(0.3), .is_causal = true}},
    {.sequences = 1, WIDTHS(64), LENGTHS(67), .params = {.heads = 1, .scale = REAL(0.125)}},
    /* queries at chosen positions, causal, with keys hidden at places of their own */
    {.sequences = 3,
     WIDTHS(10),
     FEW(ROWS(4, 0, 3), 9, 2, 20),
     .chooses_queries = true,
     .params = {.heads = 2, .scale = REAL(0.4), .is_causal = true}},
    {.sequences = 2,
     WIDTHS(10),
     FEW(ROWS(70, 3), 40, 12),
     .chooses_queries = true,
     .hides = HIDE_ELSEWHERE,
     .params = {.heads = 2, .scale = REAL(0.4), .is_causal = true}},
    {.sequences = 1,
     WIDTHS(70),
     FEW(ROWS(6, 0), 30),
     .chooses_queries = true,
     .params = {.heads = 1, .scale = REAL(0.2), .is_causal = true}},
    /* windows */
    {.sequences = 2,
     WIDTHS(9),
     LENGTHS(60, 4),
     .params = {.heads = 3, .scale = REAL(0.5), .is_causal = true, .window = 7}},
    {.sequences = 2,
     WIDTHS(6),
     FEW(ROWS(3, 2), 21, 5),
     .chooses_queries = true,
     .params = {.heads = 2, .scale = REAL(0.5), .window = 2}},
    /* grouped queries */
    {.sequences = 2,
     GROUPED(24, 8),
     LENGTHS(13, 2),
     .params = {.heads = 6, .key_heads = 2, .scale = REAL(0.5), .is_causal = true}},
    {.sequences = 1,
     GROUPED(20, 5),
     FEW(ROWS(4, 0), 61),
     .hides = HIDE_SOME,
     .params = {.heads = 4, .key_heads = 1, .scale = REAL(0.5)}},
    /* distances in buckets */
    {.sequences = 2,
     WIDTHS(12),
     LENGTHS(21, 6),
     .weights = {MATRIX(8, 3)},
     .params = {.heads = 3, .scale = REAL(1.0), .buckets = 8, .farthest = 16}},
    {.sequences = 2,
     WIDTHS(10),
     LENGTHS(58, 1),
     .weights = {MATRIX_OF(32, 2, F16)},
     .params = {.heads = 2, .scale = REAL(0.5), .buckets = 32, .farthest = 40, .is_causal = true}},
    {.sequences = 2,
     GROUPED(8, 4),
     FEW(ROWS(5, 2), 11, 30),
     .chooses_queries = true,
     .weights = {MATRIX(6, 2)},
     .params = {.heads = 2, .key_heads = 1, .scale = REAL(0.5), .buckets = 6, .farthest = 9, .window = 8}})

DEFINE_OP(attention, .inputs = 3, .optional_inputs = 1U << K | 1U << V, .shape = shape, .units = units,
          .forward = forward,
          .backward = {[RULE_GRADIENT] = backward, [RULE_ATTNLRP] = backward_halved, [RULE_CPLRP] = backward_values},
          .keeps_inputs = 1U << Q | 1U << K | 1U << V, .is_joint = true, .saved = saved, .scratch = scratch,
          .flops = flops, .reference = reference, .sample = sample);
