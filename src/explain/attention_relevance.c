/*
 * Chefer relevance; see attention_relevance.h.
 *
 * Known to go wrong: both parts of a decoder's self step use the old values; norm(R) divides rows of R - I by their sums and adds I
 * again, and a row of zeros stays zero; R_dd is transposed in the cross step, as in the authors' code.
 */
#include "explain/attention_relevance.h"

#include <math.h>
#include <string.h>

#include "base/failure.h"

tkr_status attention_maps_of_one_head(const attention_maps *like, arena *room, attention_maps *out, tkr_error *error)
{
    *out = *like;
    for (size_t k = 0; k < ATTENTION_KINDS; k++)
        out->of[k].heads = like->of[k].layers > 0;
    return attention_maps_make_room(room, out, error);
}

static double weigh(weighing how, double x)
{
    return how == WEIGH_SIGNED ? x : how == WEIGH_ABS ? fabs(x) : fmax(x, 0);
}

tkr_status attention_weigh(weighing how, const attention_maps *a, const attention_maps *b, arena *room, attention_maps *out, tkr_error *error)
{
    tkr_status status = attention_maps_of_one_head(a, room, out, error);
    for (size_t k = 0; !status && k < ATTENTION_KINDS; k++) {
        const attention_stack *s = &a->of[k];
        const size_t count = s->queries * s->keys;
        for (size_t at = 0; at < s->layers * s->heads; at++) {
            double *to = attention_head_map(&out->of[k], at / s->heads, 0);
            for (size_t i = 0; i < count; i++)
                to[i] += weigh(how, s->at[at * count + i] * b->of[k].at[at * count + i]) / (double)s->heads;
        }
    }
    return status;
}

/* ---- matrices ---- */

void matrix_product(double *out, const double *m, const double *r, size_t rows, size_t inner, size_t columns)
{
    memset(out, 0, rows * columns * sizeof *out);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < inner; k++) {
            const double factor = m[i * inner + k];
            for (size_t j = 0; factor != 0 && j < columns; j++)
                out[i * columns + j] += factor * r[k * columns + j];
        }
}

void rows_to_shares(double *m, size_t rows, size_t columns)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < columns; j++)
            sum += m[i * columns + j];
        for (size_t j = 0; sum != 0 && j < columns; j++)
            m[i * columns + j] /= sum;
    }
}

static void add_identity(double *m, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++)
        m[i * n + i] += factor;
}

/* r += m r */
static void add_product(double *r, const double *m, size_t n, size_t columns, double *room)
{
    matrix_product(room, m, r, n, n, columns);
    for (size_t i = 0; i < n * columns; i++)
        r[i] += room[i];
}

/* norm(R) = (R - I) with rows divided by their sums, plus I. */
static void normalise(double *out, const double *r, size_t n)
{
    memcpy(out, r, n * n * sizeof *out);
    add_identity(out, n, -1);
    rows_to_shares(out, n, n);
    add_identity(out, n, 1);
}

static void transpose(double *out, const double *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            out[j * n + i] = m[i * n + j];
}

/* ---- relevance ---- */

tkr_status token_relevance_new(const attention_maps *maps, arena *room, token_relevance *out, tkr_error *error)
{
    const attention_stack *cross = &maps->of[ATTENTION_CROSS], *encoder = &maps->of[ATTENTION_ENCODER];
    const attention_stack *own = maps->of[ATTENTION_DECODER].layers > 0 ? &maps->of[ATTENTION_DECODER] : encoder;
    *out = (token_relevance){.source = cross->layers > 0 ? cross->keys : 0, .output = own->queries};
    const size_t n = out->output, s = out->source;
    out->self = ARENA_NEW(room, double, n * n);
    out->cross = s > 0 ? ARENA_NEW(room, double, n * s) : NULL;
    out->encoder = s > 0 ? ARENA_NEW(room, double, s * s) : NULL;
    if (arena_failed(room))
        return fail_memory(error, "relevance of tokens", n + s);
    add_identity(out->self, n, 1);
    if (s > 0)
        add_identity(out->encoder, s, 1);
    return TKR_OK;
}

/* Three matrices kept and four borrowed, none larger than this square. */
size_t token_relevance_bytes(size_t tokens) { return 7 * tokens * tokens * sizeof(double); }

/* What the steps borrow: [tokens][tokens] each. */
typedef struct borrowed {
    double *product, *left, *right;
} borrowed;

static tkr_status borrow(const token_relevance *r, arena *room, borrowed *out, tkr_error *error)
{
    const size_t most = r->source > r->output ? r->source : r->output;
    *out = (borrowed){ARENA_NEW(room, double, most * most), ARENA_NEW(room, double, most * most), ARENA_NEW(room, double, most * most)};
    return arena_failed(room) ? fail_memory(error, "relevance of tokens", most) : TKR_OK;
}

/* R_de += norm(R_dd)^T Abar norm(R_ee) */
static void cross_step(token_relevance *r, const double *abar, const borrowed *b)
{
    const size_t n = r->output, s = r->source;
    normalise(b->left, r->encoder, s);
    matrix_product(b->product, abar, b->left, n, s, s);
    normalise(b->right, r->self, n);
    transpose(b->left, b->right, n);
    matrix_product(b->right, b->left, b->product, n, n, s);
    for (size_t i = 0; i < n * s; i++)
        r->cross[i] += b->right[i];
}

tkr_status attention_relevance_generic(const attention_maps *weighted, arena *room, token_relevance *out, tkr_error *error)
{
    borrowed b;
    tkr_status status = token_relevance_new(weighted, room, out, error);
    if (!status)
        status = borrow(out, room, &b, error);
    if (status)
        return status;
    const attention_stack *encoder = &weighted->of[ATTENTION_ENCODER], *decoder = &weighted->of[ATTENTION_DECODER];
    for (size_t l = 0; l < encoder->layers; l++)
        add_product(out->source ? out->encoder : out->self, attention_head_map(encoder, l, 0), encoder->queries, encoder->queries, b.product);
    for (size_t l = 0; l < decoder->layers; l++) {
        const double *abar = attention_head_map(decoder, l, 0);
        if (out->source)
            add_product(out->cross, abar, out->output, out->source, b.product);
        add_product(out->self, abar, out->output, out->output, b.product);
        if (out->source)
            cross_step(out, attention_head_map(&weighted->of[ATTENTION_CROSS], l, 0), &b);
    }
    return TKR_OK;
}

tkr_status attention_relevance_product(const attention_maps *weighted, arena *room, token_relevance *out, tkr_error *error)
{
    borrowed b;
    tkr_status status = token_relevance_new(weighted, room, out, error);
    if (!status)
        status = borrow(out, room, &b, error);
    const attention_stack *s = &weighted->of[weighted->of[ATTENTION_DECODER].layers > 0 ? ATTENTION_DECODER : ATTENTION_ENCODER];
    const size_t n = s->queries;
    for (size_t l = 0; !status && l < s->layers; l++) {
        memcpy(b.left, attention_head_map(s, l, 0), n * n * sizeof *b.left);
        add_identity(b.left, n, 1);
        rows_to_shares(b.left, n, n);
        memcpy(b.right, out->self, n * n * sizeof *b.right);
        matrix_product(out->self, b.left, b.right, n, n, n);
    }
    return status;
}
