/* Rows that targets are read at, and scores of the tokens; see attention_reads.h. */
#include "explain/attention_reads.h"

#include "base/failure.h"
#include "explain/answer_rows.h"

/* Tokens before the stack that predicts. */
static size_t before(const question *q) { return model_shape(q->model) == FAMILY_ENCODER_DECODER ? q->input_length : 0; }

static size_t row_of(const question *q, size_t t, size_t k) { return answer_row(q, &q->targets[t], k) - before(q); }

tkr_status attention_reads_find(const question *q, arena *a, attention_reads *out, tkr_error *error)
{
    size_t positions = q->length - before(q);
    *out = (attention_reads){.rows = ARENA_NEW(a, size_t, positions), .place = ARENA_NEW(a, size_t, positions)};
    if (!out->rows || !out->place)
        return fail_memory(error, "rows of attention", positions);
    for (size_t i = 0; i < positions; i++)
        out->place[i] = SIZE_MAX;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t k = 0; k < q->targets[t].term_count; k++) {
            size_t row = row_of(q, t, k);
            if (out->place[row] != SIZE_MAX)
                continue;
            out->place[row] = out->count;
            out->rows[out->count++] = row;
        }
    return TKR_OK;
}

static void add_row(double *to, const double *row, size_t count, double share)
{
    for (size_t i = 0; i < count; i++)
        to[i] += share * row[i];
}

size_t attention_reads_place(const question *q, const attention_reads *r, size_t t, size_t k)
{
    return r->place[row_of(q, t, k)];
}

void attention_reads_score(method_call *c, const attention_reads *r, const double *own, const double *source)
{
    const question *q = c->q;
    size_t first = before(q), positions = q->length - first;
    for (size_t t = 0; t < q->target_count; t++) {
        const target *at = &q->targets[t];
        double share = 1 / (double)at->term_count, *scores = c->token_scores + t * q->length;
        for (size_t k = 0; k < at->term_count; k++) {
            size_t place = attention_reads_place(q, r, t, k);
            add_row(scores + first, own + place * positions, positions, share);
            if (source)
                add_row(scores, source + place * first, first, share);
        }
    }
}

size_t attention_layers_of(const question *q)
{
    const family_config *config = &q->model->config;
    return model_shape(q->model) == FAMILY_ENCODER_DECODER ? config->decoder_layers : config->layers;
}
