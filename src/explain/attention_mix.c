/*
 * Heads to one matrix a layer, small entries dropped, residual mixed in (methods.md 3.1, 3.3).
 *
 * The largest or smallest entry over heads gives rows that sum to something else, and a model's own sum to 1 in float32, so all are
 * divided by their sums.  Dropping
 * sets the smallest entries of a whole layer to 0, among equals those that come first, never the diagonal (Gildenblat's
 * vit-explain drops it, protects entry (0, 0) and divides by the sums of other rows), and rows are divided again; under a causal
 * mask only entries that may be above 0 count.  Attention to a source has no diagonal: there the largest entry of a row stays.
 * A row of which nothing is left stands for itself alone, or for all of the source evenly.
 */
#include "explain/attention_mix.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/memory.h"

attention_fusion attention_fusion_of(view name)
{
    return view_is(name, "max") ? FUSION_MAX : view_is(name, "min") ? FUSION_MIN : FUSION_MEAN;
}

mix_options mix_defaults(void) { return (mix_options){.fusion = FUSION_MEAN, .alpha = 0.5, .beta = 0.5}; }

/* Rows to sum 1; what is left of a row without anything: the token itself, or all of the source. */
static void normalise_rows(double *m, size_t queries, size_t keys, attention_kind kind)
{
    for (size_t i = 0; i < queries; i++) {
        double *row = m + i * keys, sum = 0;
        for (size_t j = 0; j < keys; j++)
            sum += row[j];
        for (size_t j = 0; sum > 0 && j < keys; j++)
            row[j] /= sum;
        for (size_t j = 0; !(sum > 0) && j < keys; j++)
            row[j] = kind == ATTENTION_CROSS ? 1 / (double)keys : i == j;
    }
}

void attention_fuse(const attention_stack *s, size_t layer, attention_fusion how, double *out)
{
    size_t count = s->queries * s->keys;
    memcpy(out, attention_head_map(s, layer, 0), count * sizeof *out);
    for (size_t h = 1; h < s->heads; h++) {
        const double *map = attention_head_map(s, layer, h);
        for (size_t i = 0; i < count; i++)
            out[i] = how == FUSION_MEAN ? out[i] + map[i] : (how == FUSION_MAX) == (map[i] > out[i]) ? map[i] : out[i];
    }
    for (size_t i = 0; how == FUSION_MEAN && i < count; i++)
        out[i] /= (double)s->heads;
}

/* ---- dropping small entries ---- */

typedef struct entry {
    double value;
    size_t at;
} entry;

static int compare_entries(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    return x->value != y->value ? (x->value > y->value) - (x->value < y->value) : (x->at > y->at) - (x->at < y->at);
}

static size_t largest_of(const double *row, size_t count)
{
    size_t best = 0;
    for (size_t j = 1; j < count; j++)
        best = row[j] > row[best] ? j : best;
    return best;
}

/* kept: the entry of a row that stays, its diagonal or, of attention to a source, its largest. */
static void drop_small(double *m, size_t queries, size_t keys, attention_kind kind, double share, entry *room, size_t *kept)
{
    size_t count = 0;
    for (size_t i = 0; i < queries; i++) {
        kept[i] = i * keys + (kind == ATTENTION_CROSS ? largest_of(m + i * keys, keys) : i);
        for (size_t j = 0; j < (kind == ATTENTION_DECODER ? i + 1 : keys); j++)
            room[count++] = (entry){m[i * keys + j], i * keys + j};
    }
    qsort(room, count, sizeof *room, compare_entries);
    size_t dropped = (size_t)(share * (double)count);
    for (size_t k = 0; k < dropped; k++)
        if (kept[room[k].at / keys] != room[k].at)
            m[room[k].at] = 0;
}

/* ---- layers ---- */

static void add_residual(double *m, size_t size, double alpha)
{
    for (size_t i = 0; i < size; i++)
        for (size_t j = 0; j < size; j++)
            m[i * size + j] = alpha * m[i * size + j] + (i == j ? 1 - alpha : 0);
}

static bool mix_stack(const attention_stack *s, attention_kind kind, const mix_options *o, arena *a, attention_layers *out)
{
    size_t end = o->end && o->end < s->layers ? o->end : s->layers, count = s->queries * s->keys;
    *out = (attention_layers){.layers = end > o->first ? end - o->first : 0, .queries = s->queries, .keys = s->keys};
    out->at = ARENA_NEW(a, double, out->layers * count);
    entry *room = o->discard > 0 ? ARENA_NEW(a, entry, count) : NULL;
    size_t *kept = o->discard > 0 ? ARENA_NEW(a, size_t, s->queries) : NULL;
    for (size_t l = 0; !arena_failed(a) && l < out->layers; l++) {
        double *m = attention_layer(out, l);
        attention_fuse(s, o->first + l, o->fusion, m);
        normalise_rows(m, s->queries, s->keys, kind);
        if (room)
            drop_small(m, s->queries, s->keys, kind, o->discard, room, kept);
        if (kind != ATTENTION_CROSS)
            add_residual(m, s->queries, o->alpha);
        if (room)
            normalise_rows(m, s->queries, s->keys, kind);
    }
    return !arena_failed(a);
}

tkr_status attention_mix_maps(const attention_maps *maps, const mix_options *options, arena *a, attention_mix *out, tkr_error *error)
{
    const attention_stack *of = maps->of;
    bool has_source = of[ATTENTION_CROSS].layers > 0, ok = true;
    attention_kind own = of[ATTENTION_DECODER].layers > 0 ? ATTENTION_DECODER : ATTENTION_ENCODER;
    *out = (attention_mix){.is_causal = own == ATTENTION_DECODER, .beta = options->beta};
    ok = mix_stack(&of[own], own, options, a, &out->own);
    if (ok && has_source)
        ok = mix_stack(&of[ATTENTION_CROSS], ATTENTION_CROSS, options, a, &out->cross) &&
             mix_stack(&of[ATTENTION_ENCODER], ATTENTION_ENCODER, options, a, &out->source);
    return ok ? TKR_OK : fail_memory(error, "layers of attention", of[own].queries * of[own].keys * sizeof(double));
}

size_t attention_mix_bytes(const question *q)
{
    const family_config *config = &q->model->config;
    size_t layers = config->layers + config->decoder_layers, square = q->length * q->length;
    return layers * square * sizeof(double) + 3 * square * sizeof(entry);
}
