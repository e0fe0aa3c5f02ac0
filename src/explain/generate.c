/*
 * Greedy decoding.  The first pass runs the whole input (an encoder-decoder's source and its start) and fills the cache; each
 * later one is a single row.  Both shapes are made once, so nothing is allocated a token.
 */
#include "explain/generate.h"

#include "base/failure.h"
#include "explain/measure.h"
#include "explain/pass.h"

/* One generation under way. */
typedef struct decoding {
    tkr_session *session;
    model_cache *cache;
    pass *first, *step;
    bool has_encoder;
    size_t outputs;
} decoding;

static pass *new_pass(decoding *d, size_t length, size_t output_length, tkr_error *error)
{
    pass_shape shape = {.sequences = 1, .length = length, .output_length = output_length, .reads = 1, .wish.cache = d->cache};
    return pass_new(d->session, &shape, error);
}

static tkr_status run(decoding *d, pass *p, size_t new_rows, tkr_error *error)
{
    tkr_status status = pass_forward(p, error);
    if (!status)
        model_cache_advance(d->cache, new_rows);
    return status;
}

static tkr_status run_first(decoding *d, const int32_t *ids, const int32_t *types, size_t count, tkr_error *error)
{
    size_t length = count + d->has_encoder;
    d->first = new_pass(d, length, d->has_encoder, error);
    if (!d->first)
        return error->code;
    batch *b = &d->first->batch;
    for (size_t i = 0; i < count; i++) {
        b->ids[i] = ids[i];
        b->types[i] = types ? types[i] : 0;
    }
    if (d->has_encoder)
        b->ids[count] = model_decoder_start(d->session->model);
    b->target_rows[0] = batch_head_row(b, 0, length - 1);
    return run(d, d->first, d->has_encoder ? 1 : count, error);
}

static tkr_status run_step(decoding *d, int32_t id, tkr_error *error)
{
    if (!d->step && !(d->step = new_pass(d, 1, d->has_encoder, error)))
        return error->code;
    batch *b = &d->step->batch;
    b->ids[0] = id;
    b->positions[0] = (int32_t)model_cache_rows(d->cache);
    b->target_rows[0] = batch_head_row(b, 0, 0);
    return run(d, d->step, 1, error);
}

/* Tokens until the model ends, or `most`. */
static tkr_status put_out(decoding *d, size_t most, generated *out, tkr_error *error)
{
    tkr_status status = TKR_OK;
    const pass *latest = d->first;
    for (out->end = "length"; !status && out->count < most;) {
        const real *z = pass_logits(latest, 0, 0);
        int32_t id = logits_argmax(z, d->outputs, -1), next = logits_argmax(z, d->outputs, id);
        if (model_is_end(d->session->model, id)) {
            out->end = "eos";
            break;
        }
        measured f = {.measure = MEASURE_LOGPROB, .link = LINK_SOFTMAX, .a = id, .foil = -1};
        out->logprob[out->count] = measure_value(&f, z, d->outputs);
        out->margin[out->count] = next < 0 ? 0 : (double)z[id] - (double)z[next];
        out->ids[out->count++] = id;
        status = session_tell(d->session, "generate", "tokens", out->count, most, error);
        if (!status && out->count < most) {
            status = run_step(d, id, error);
            latest = d->step;
        }
    }
    return status;
}

tkr_status generate(tkr_session *s, const int32_t *ids, const int32_t *types, size_t count, size_t most, arena *a, generated *out,
                    tkr_error *error)
{
    decoding d = {.session = s, .has_encoder = model_shape(s->model) == FAMILY_ENCODER_DECODER, .outputs = model_outputs(s->model)};
    size_t limit = model_max_tokens(s->model), taken = d.has_encoder ? 1 : count;
    if (most > limit - (taken < limit ? taken : limit) + 1) /* the last token put out is never a row */
        most = limit - (taken < limit ? taken : limit) + 1;
    *out = (generated){.ids = ARENA_NEW(a, int32_t, most), .logprob = ARENA_NEW(a, double, most), .margin = ARENA_NEW(a, double, most)};
    if (!out->ids || !out->logprob || !out->margin)
        return fail_memory(error, "the output", most);
    d.cache = model_cache_new(s->model, taken + most, d.has_encoder ? count : 0, error);
    tkr_status status = d.cache ? run_first(&d, ids, types, count, error) : error->code;
    if (!status)
        status = put_out(&d, most, out, error);
    pass_free(d.first);
    pass_free(d.step);
    model_cache_free(d.cache);
    return status;
}
