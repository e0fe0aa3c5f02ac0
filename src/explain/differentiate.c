/*
 * Gradients along a line.  The points of the line are sequences of one batch with the same ids; an intervention at the question's
 * place writes from + alpha (to - from) in, one backward pass a target gives the gradients of all points at once.
 */
#include "explain/differentiate.h"

#include "base/failure.h"
#include "base/memory.h"

size_t gradient_width(const question *q)
{
    return q->clean->graph.graph->nodes[q->clean->at].width;
}

static tkr_status new_endpoint(const question *q, endpoint *out, tkr_error *error)
{
    size_t elements = q->length * gradient_width(q);
    out->rows = arena_alloc(q->arena, elements, sizeof(real));
    out->values = ARENA_NEW(q->arena, double, q->target_count);
    return out->rows && out->values ? TKR_OK : fail_memory(error, "the ends of a path", elements * sizeof(real));
}

/* Copy what a one-sequence pass holds at `at`, and f of its logits. */
static void read_endpoint(const question *q, const pass *p, endpoint *out)
{
    memcpy(out->rows, pass_values(p, 0), q->length * gradient_width(q) * sizeof(real));
    for (size_t t = 0; t < q->target_count; t++)
        out->values[t] = target_value(q, &q->targets[t], p, 0);
}

tkr_status endpoint_of_input(const question *q, endpoint *out, tkr_error *error)
{
    tkr_status status = new_endpoint(q, out, error);
    if (!status)
        read_endpoint(q, q->clean, out);
    return status;
}

/* ---- baselines ---- */

const char *baseline_name(const question *q, view baseline)
{
    static const char *const names[] = {"mask", "pad", "unk", "zero", "mean"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_is(baseline, names[i]))
            return names[i];
    if (view_begins(baseline, VIEW("text:")))
        return "text";
    bool has_pad = tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_PAD) >= 0;
    switch (model_shape(q->model)) { /* methods.md 5.1 */
    case FAMILY_ENCODER: return tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK) >= 0 ? "mask" : "mean";
    case FAMILY_ENCODER_DECODER: return has_pad ? "pad" : "mean";
    case FAMILY_DECODER: break;
    }
    return "mean";
}

/* Rows of feature tokens become this embedding (NULL: 0). */
typedef struct replaced {
    const question *q;
    const real *row;
} replaced;

static tkr_status replace_features(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const replaced *r = user;
    for (size_t i = 0; i < site->rows; i++)
        for (size_t k = 0; r->q->feature_of[i] != UINT32_MAX && k < site->width; k++)
            rows[i * site->width + k] = r->row ? r->row[k] : 0;
    return TKR_OK;
}

/* A user's sentence as baseline: it must have as many tokens as the input. */
static tkr_status fill_from_text(const question *q, pass *p, view text, tkr_error *error)
{
    if (text.size >= 2 && text.data[0] == '"' && text.data[text.size - 1] == '"')
        text = view_slice(text, 1, text.size - 1);
    tkr_encoding *e = tokenizer_encode(q->model->tokenizer, text, (encode_options){0}, error);
    if (!e)
        return error->code;
    tkr_status status = TKR_OK;
    if (e->count != q->input_length) {
        fail(error, TKR_E_USAGE_BASELINE, "the baseline text has %zu tokens, the input %zu; they must be equally long", e->count,
             q->input_length);
        status = error->code;
    }
    for (size_t i = 0; !status && i < q->input_length; i++)
        if (q->feature_of[i] != UINT32_MAX)
            p->batch.ids[i] = e->tokens[i].id;
    tkr_encoding_free(e);
    return status;
}

static tkr_status fill_from_role(const question *q, pass *p, tkr_special role, const char *name, tkr_error *error)
{
    int32_t id = tokenizer_role_id(q->model->tokenizer, role);
    if (id < 0)
        return fail(error, TKR_E_USAGE_BASELINE, "baseline %s: the model's tokenizer has no such token", name);
    for (size_t i = 0; i < q->length; i++)
        if (q->feature_of[i] != UINT32_MAX)
            p->batch.ids[i] = id;
    return TKR_OK;
}

static tkr_status fill_baseline(const question *q, pass *p, view baseline, replaced *r, tkr_error *error)
{
    view name = view_of(baseline_name(q, baseline));
    if (view_is(name, "mask"))
        return fill_from_role(q, p, TKR_SPECIAL_MASK, "mask", error);
    if (view_is(name, "pad"))
        return fill_from_role(q, p, TKR_SPECIAL_PAD, "pad", error);
    if (view_is(name, "unk"))
        return fill_from_role(q, p, TKR_SPECIAL_UNK, "unk", error);
    if (view_is(name, "text"))
        return fill_from_text(q, p, view_slice(baseline, 5, baseline.size), error);
    r->row = view_is(name, "mean") ? session_mean_embedding(q->session, error) : NULL;
    if (view_is(name, "mean") && !r->row)
        return error->code;
    return pass_intervene(p, "word", replace_features, r, error);
}

tkr_status endpoint_of_baseline(const question *q, view baseline, endpoint *out, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, false);
    shape.at = q->at;
    replaced r = {.q = q};
    pass *p = pass_new(q->session, &shape, error);
    tkr_status status = p ? new_endpoint(q, out, error) : error->code;
    if (!status) {
        question_fill(q, p, 0);
        status = fill_baseline(q, p, baseline, &r, error);
    }
    if (!status)
        status = pass_forward(p, error);
    if (!status)
        read_endpoint(q, p, out);
    pass_free(p);
    return status;
}

/* ---- the line ---- */

typedef struct line {
    const endpoint *from, *to;
    const double *alpha; /* [sequences] of this batch */
    size_t length, width;
} line;

static tkr_status write_points(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const line *l = user;
    size_t elements = l->length * l->width;
    for (size_t k = 0; k < site->rows / l->length; k++) {
        real *point = rows + k * elements;
        real alpha = (real)l->alpha[k];
        for (size_t i = 0; i < elements; i++)
            point[i] = real_fma(alpha, l->to->rows[i] - l->from->rows[i], l->from->rows[i]);
    }
    return TKR_OK;
}

static pass *new_line_pass(const question *q, size_t sequences, line *l, tkr_error *error)
{
    pass_shape shape = question_shape(q, sequences, true);
    pass *p = pass_new(q->session, &shape, error);
    for (size_t k = 0; p && k < sequences; k++)
        question_fill(q, p, k);
    if (p && pass_intervene(p, q->at, write_points, l, error)) {
        pass_free(p);
        return NULL;
    }
    return p;
}

/* d f_target / d logits of every read row of a pass. */
static void fill_seed(const question *q, const pass *p, size_t t, real *seed)
{
    memset(seed, 0, p->batch.targets * model_outputs(q->model) * sizeof *seed);
    for (size_t k = 0; k < p->batch.sequences; k++)
        target_seed(q, &q->targets[t], p, k, seed);
}

/* One forward and a backward a target over a batch of points. */
static tkr_status visit_batch(const question *q, pass *p, size_t first, real *seed, gradient_fn *visit, void *user, tkr_error *error)
{
    tkr_status status = pass_forward(p, error);
    for (size_t t = 0; !status && t < q->target_count; t++) {
        fill_seed(q, p, t, seed);
        status = pass_backward(p, seed, error);
        for (size_t k = 0; !status && k < p->batch.sequences; k++)
            visit(user, first + k, t, pass_gradient(p, k), target_value(q, &q->targets[t], p, k));
    }
    return status;
}

tkr_status differentiate(const question *q, const endpoint *from, const endpoint *to, const double *alpha, size_t count,
                         size_t sequences, const char *phase, gradient_fn *visit, void *user, tkr_error *error)
{
    line l = {.from = from, .to = to, .length = q->length, .width = gradient_width(q)};
    size_t most = sequences ? sequences : 1, batches = (count + most - 1) / most, done = 0;
    real *seed = memory_new_aligned((most < count ? most : count) * q->reads * model_outputs(q->model) * sizeof *seed);
    tkr_status status = seed ? TKR_OK : fail_memory(error, "gradient seeds", count);
    pass *p = NULL;
    for (size_t b = 0; !status && b < batches; b++) {
        size_t now = count / batches + (b < count % batches);
        status = session_tell(q->session, phase, "points", done, count, error);
        if (!status && (!p || p->batch.sequences != now)) {
            pass_free(p);
            p = new_line_pass(q, now, &l, error);
            status = p ? TKR_OK : error->code;
        }
        l.alpha = alpha + done;
        if (!status)
            status = visit_batch(q, p, done, seed, visit, user, error);
        done += now;
    }
    if (!status)
        status = session_tell(q->session, phase, "points", count, count, error);
    pass_free(p);
    memory_free(seed);
    return status;
}

const real *differentiate_clean(const question *q, size_t t, tkr_error *error)
{
    size_t bytes = q->clean->batch.targets * model_outputs(q->model) * sizeof(real);
    real *seed = memory_new_aligned(bytes);
    if (!seed)
        return fail_memory(error, "gradient seeds", bytes), NULL;
    fill_seed(q, q->clean, t, seed);
    tkr_status status = pass_backward(q->clean, seed, error);
    memory_free(seed);
    return status ? NULL : pass_gradient(q->clean, 0);
}
