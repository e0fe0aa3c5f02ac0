/*
 * Attention: for each sequence and head, softmax(scale q k^T) v over the keys of the same sequence (Vaswani et al. 2017).
 *
 * Inputs q [Rq, C], k [Rk, C], v [Rk, C]; queries and keys have segments of their own with equally many sequences, so the
 * queries may be a choice of rows.  Heads are columns side by side.  Work is cut into (sequence, head) units, which touch
 * disjoint rows and columns: nothing depends on neighbours or threads.
 *
 * Saved (when asked for): probabilities as attention.h lays them out.
 * Known to go wrong: a row with all keys hidden gives zeros, not NaN; the causal rule counts from the end, so a causal
 * choice of query rows must be the last ones of its sequence.
 */
#include "tensor/ops/attention.h"

#include <string.h>

#include "base/size.h"
#include "tensor/op_sample.h"

enum { Q = 0, K = 1, V = 2 };

static size_t sequence_rows(const graph_node *n, size_t s) { return n->segments.begin[s + 1] - n->segments.begin[s]; }

static bool same_segments(segments a, segments b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i <= a.count && a.count > 0; i++)
        if (a.begin[i] != b.begin[i])
            return false;
    return true;
}

static bool shape(op_shape *s)
{
    const graph_node *q = s->in[Q], *k = s->in[K], *v = s->in[V];
    const op_params *p = &s->node->params;
    if (p->heads == 0 || q->width % p->heads != 0 || k->width != q->width || v->width != q->width)
        return false;
    if (q->segments.count != k->segments.count || !same_segments(k->segments, v->segments))
        return false;
    for (size_t i = 0; p->is_causal && i < q->segments.count; i++)
        if (sequence_rows(q, i) > sequence_rows(k, i))
            return false;
    return shape_like(s, Q);
}

static size_t units(const graph_node *n, const graph_node *const *in)
{
    (void)in;
    return n->segments.count * n->params.heads;
}

/* Elements of all blocks before a sequence; SIZE_MAX when they cannot be counted. */
static size_t probs_before(const graph_node *q, const graph_node *k, size_t heads, size_t sequence)
{
    size_t sum = 0;
    for (size_t s = 0; s < sequence; s++) {
        size_t block;
        if (!size_mul(&block, sequence_rows(q, s), sequence_rows(k, s)) || !size_mul(&block, block, heads) ||
            !size_add(&sum, sum, block))
            return SIZE_MAX;
    }
    return sum;
}

size_t attention_probs_offset(const graph *g, node n, size_t sequence, size_t head)
{
    const graph_node *self = &g->nodes[n], *q = &g->nodes[self->in[Q]], *k = &g->nodes[self->in[K]];
    return probs_before(q, k, self->params.heads, sequence) +
           head * sequence_rows(q, sequence) * sequence_rows(k, sequence);
}

static size_t saved(const graph_node *n, const graph_node *const *in)
{
    return probs_before(in[Q], in[K], n->params.heads, n->segments.count);
}

static size_t scratch(const graph_node *n, const graph_node *const *in, const kernels *k, bool backward_too)
{
    size_t most = 0;
    for (size_t s = 0; s < n->segments.count; s++) {
        size_t need = k->attention_scratch(sequence_rows(in[Q], s), sequence_rows(in[K], s), n->width / n->params.heads,
                                           backward_too);
        most = need > most ? need : most;
    }
    return most;
}

/* The part of a call that belongs to one sequence and head; probs: where the block of the unit begins, or NULL. */
static attention_head head_of(const op_call *c, size_t sequence, size_t head, real *probs)
{
    const graph_node *n = c->node, *q = c->in_node[Q], *k = c->in_node[K];
    size_t row_q = q->segments.begin[sequence], row_k = k->segments.begin[sequence];
    size_t width = n->width / n->params.heads, column = head * width;
    size_t at_q = row_q * n->width + column, at_k = row_k * n->width + column;
    return (attention_head){
        .queries = sequence_rows(q, sequence),
        .keys = sequence_rows(k, sequence),
        .width = width,
        .q = c->in[Q] + at_q,
        .k = c->in[K] + at_k,
        .v = c->in[V] + at_k,
        .ldq = n->width,
        .ldk = n->width,
        .ldv = n->width,
        .scale = n->params.scale,
        .hidden = n->params.hidden != NULL ? n->params.hidden + row_k : NULL,
        .is_causal = n->params.is_causal,
        .out = c->out != NULL ? c->out + at_q : NULL,
        .ldo = n->width,
        .probs = probs,
        .dout = c->dout != NULL ? c->dout + at_q : NULL,
        .dq = c->din[Q] != NULL ? c->din[Q] + at_q : NULL,
        .dk = c->din[K] != NULL ? c->din[K] + at_k : NULL,
        .dv = c->din[V] != NULL ? c->din[V] + at_k : NULL,
        .scratch = c->scratch,
    };
}

static void clear(real *x, size_t stride, size_t rows, size_t width)
{
    for (size_t r = 0; r < rows; r++)
        memset(x + r * stride, 0, width * sizeof(real));
}

static void head_forward(const attention_head *h, const kernels *k) { k->attention_forward(h); }

static void head_backward(const attention_head *h, const kernels *k)
{
    clear(h->dq, h->ldq, h->queries, h->width);
    clear(h->dk, h->ldk, h->keys, h->width);
    clear(h->dv, h->ldv, h->keys, h->width);
    k->attention_backward(h);
}

/* Walk the units [begin, end), carrying along where their probabilities are. */
static tkr_status walk(const op_call *c, size_t begin, size_t end, void (*work)(const attention_head *, const kernels *))
{
    size_t heads = c->node->params.heads;
    if (begin == end)
        return TKR_OK;
    size_t block = sequence_rows(c->in_node[Q], begin / heads) * sequence_rows(c->in_node[K], begin / heads);
    size_t at = probs_before(c->in_node[Q], c->in_node[K], heads, begin / heads) + begin % heads * block;
    for (size_t unit = begin; unit < end; unit++) {
        attention_head h = head_of(c, unit / heads, unit % heads, c->saved != NULL ? c->saved + at : NULL);
        work(&h, c->kernels);
        at += h.queries * h.keys;
    }
    return TKR_OK;
}

static tkr_status forward(const op_call *c, size_t begin, size_t end) { return walk(c, begin, end, head_forward); }
static tkr_status backward(const op_call *c, size_t begin, size_t end) { return walk(c, begin, end, head_backward); }

/* Two products forward (scores, mix), four back (their two factors each). */
static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    double pairs = 0;
    for (size_t s = 0; s < n->segments.count; s++)
        pairs += (double)sequence_rows(in[Q], s) * (double)sequence_rows(in[K], s);
    return (backward_too ? 8 : 4) * pairs * (double)n->width;
}

/* One query of the reference: probabilities over an online softmax, so that no room is needed. */
static void reference_row(const attention_head *shape_of, const double *q, const double *k, const double *v, size_t row,
                          double *out)
{
    const attention_head *h = shape_of;
    double most = -(double)INFINITY, sum = 0;
    for (size_t i = 0; i < h->width; i++)
        out[i] = 0;
    for (size_t j = 0; j < h->keys; j++) {
        if ((h->hidden != NULL && h->hidden[j]) || (h->is_causal && j + h->queries > row + h->keys))
            continue;
        double score = 0;
        for (size_t i = 0; i < h->width; i++)
            score += (double)h->scale * q[i] * k[j * h->ldk + i];
        double top = score > most ? score : most, old = exp(most - top), fresh = exp(score - top);
        for (size_t i = 0; i < h->width; i++)
            out[i] = out[i] * old + fresh * v[j * h->ldv + i];
        sum = sum * old + fresh;
        most = top;
    }
    for (size_t i = 0; sum > 0 && i < h->width; i++)
        out[i] /= sum;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    size_t heads = n->params.heads, width = n->width / heads;
    for (size_t unit = 0; unit < n->segments.count * heads; unit++) {
        size_t s = unit / heads, column = unit % heads * width;
        size_t at_q = in[Q]->segments.begin[s] * n->width + column, row_k = in[K]->segments.begin[s];
        attention_head h = {.queries = sequence_rows(in[Q], s), .keys = sequence_rows(in[K], s), .width = width,
                            .ldk = n->width, .ldv = n->width, .scale = n->params.scale,
                            .hidden = n->params.hidden != NULL ? n->params.hidden + row_k : NULL,
                            .is_causal = n->params.is_causal};
        for (size_t r = 0; r < h.queries; r++)
            reference_row(&h, values[Q] + at_q + r * n->width, values[K] + row_k * n->width + column,
                          values[V] + row_k * n->width + column, r, out + at_q + r * n->width);
    }
}

#define WIDTHS(n) .width = {(n), (n), (n)}
#define LENGTHS(...) .lengths = {{__VA_ARGS__}, {__VA_ARGS__}, {__VA_ARGS__}}
DEFINE_SAMPLES({.sequences = 0, WIDTHS(4), .params = {.heads = 2, .scale = REAL(0.5)}},
               {.sequences = 1, WIDTHS(1), LENGTHS(1), .params = {.heads = 1, .scale = REAL(1.0)}},
               {.sequences = 2, WIDTHS(6), LENGTHS(5, 3), .params = {.heads = 2, .scale = REAL(0.5)}},
               {.sequences = 3, WIDTHS(51), LENGTHS(9, 0, 20), .params = {.heads = 3, .scale = REAL(0.25)}},
               {.sequences = 2, WIDTHS(34), LENGTHS(7, 18), .hides = HIDE_SOME,
                .params = {.heads = 2, .scale = REAL(0.25)}},
               {.sequences = 2, WIDTHS(8), LENGTHS(3, 6), .hides = HIDE_ALL, .params = {.heads = 2, .scale = REAL(0.25)}},
               {.sequences = 2, WIDTHS(12), LENGTHS(6, 17), .params = {.heads = 4, .scale = REAL(0.5), .is_causal = true}},
               {.sequences = 3, WIDTHS(16), .lengths = {{1, 0, 4}, {5, 6, 4}, {5, 6, 4}}, .hides = HIDE_SOME,
                .params = {.heads = 2, .scale = REAL(0.3)}},
               {.sequences = 2, WIDTHS(16), .lengths = {{2, 1}, {5, 1}, {5, 1}},
                .params = {.heads = 1, .scale = REAL(0.3), .is_causal = true}},
               {.sequences = 1, WIDTHS(64), LENGTHS(67), .params = {.heads = 1, .scale = REAL(0.125)}})

DEFINE_OP(attention, .inputs = 3, .shape = shape, .units = units, .forward = forward,
          .backward = {[RULE_GRADIENT] = backward}, .keeps_inputs = 1U << Q | 1U << K | 1U << V, .is_joint = true,
          .saved = saved, .scratch = scratch, .flops = flops, .reference = reference, .sample = sample);
