/*
 * Gradients at many points.  The points are sequences of one batch with the same ids; an intervention at the question's place
 * writes their rows in (on a line from + alpha (to - from)), one backward pass gives the gradients of all points at once, and of
 * several targets where that makes no more rows than a batch has.
 */
#include "explain/differentiate.h"

#include "base/failure.h"
#include "base/memory.h"

size_t gradient_width(const question *q)
{
    return q->clean->graph.graph->nodes[q->clean->at].width;
}

size_t gradient_width_most(const question *q)
{
    size_t word = model_weight(q->model, "word")->columns, hidden = q->model->config.hidden;
    return word > hidden ? word : hidden;
}

static tkr_status new_endpoint(const question *q, endpoint *out, tkr_error *error)
{
    size_t elements = q->place_count * gradient_width(q);
    out->rows = arena_alloc(q->arena, elements, sizeof(real));
    out->values = ARENA_NEW(q->arena, double, q->target_count);
    return out->rows && out->values ? TKR_OK : fail_memory(error, "the ends of a path", elements * sizeof(real));
}

/* Copy what a one-sequence pass holds at `at`, and f of its logits. */
static void read_endpoint(const question *q, const pass *p, endpoint *out)
{
    memcpy(out->rows, pass_values(p, 0), q->place_count * gradient_width(q) * sizeof(real));
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

view baseline_next(view list, size_t *at)
{
    size_t begin = *at, end = begin;
    view rest = view_slice(list, begin, list.size);
    bool is_quoted = false, takes_all = view_begins(rest, VIEW("text:")) && !view_begins(rest, VIEW("text:\""));
    for (; end < list.size && (takes_all || is_quoted || list.data[end] != '+'); end++)
        is_quoted ^= list.data[end] == '"';
    *at = end + 1;
    return view_slice(list, begin, end);
}

size_t baseline_count(view list)
{
    size_t count = 0;
    for (size_t at = 0; at <= list.size; count++)
        baseline_next(list, &at);
    return count;
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

static tkr_status put_endpoint(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const endpoint *e = user;
    memcpy(rows, e->rows, site->rows * site->width * sizeof(real));
    return TKR_OK;
}

/* Inside the layers f is taken of a run of the input itself with the endpoint's rows put in: what goes round the site is the
 * input's on the whole path. */
static tkr_status value_inside(const question *q, endpoint *e, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, false);
    shape.at = q->at;
    shape.wish.all_rows = true;
    pass *p = pass_new(q->session, &shape, error);
    tkr_status status = p ? TKR_OK : error->code;
    if (!status) {
        question_fill(q, p, 0);
        status = pass_intervene(p, q->at, put_endpoint, e, error);
    }
    if (!status)
        status = pass_forward(p, error);
    for (size_t t = 0; !status && t < q->target_count; t++)
        e->values[t] = target_value(q, &q->targets[t], p, 0);
    pass_free(p);
    return status;
}

/* Where only a group of columns is asked about, the others stay the input's on the whole path. */
static void keep_other_columns(const question *q, const endpoint *e)
{
    const real *x = pass_values(q->clean, 0);
    size_t width = gradient_width(q);
    for (size_t i = 0; i < q->place_count; i++)
        for (size_t k = 0; k < width; k++)
            if (k < q->column_first || k >= q->column_end)
                e->rows[i * width + k] = x[i * width + k];
}

tkr_status endpoint_of_baseline(const question *q, view baseline, endpoint *out, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, false);
    shape.at = q->at;
    shape.wish.all_rows = q->is_deep; /* the last layer's rows too */
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
    if (!status && q->column_end)
        keep_other_columns(q, out);
    pass_free(p);
    return !status && q->is_deep ? value_inside(q, out, error) : status;
}

/* ---- points ---- */

/* One batch of points on its way through a pass. */
typedef struct batch_of_points {
    const point_set *points;
    size_t first, length, width;
} batch_of_points;

static tkr_status place_batch(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const batch_of_points *b = user;
    b->points->place(b->points->user, b->first, site->rows / b->length, rows);
    return TKR_OK;
}

static pass *new_points_pass(const question *q, size_t sequences, batch_of_points *b, tkr_error *error)
{
    pass_shape shape = question_shape(q, sequences, true);
    pass *p = pass_new(q->session, &shape, error);
    for (size_t k = 0; p && k < sequences; k++)
        question_fill(q, p, k);
    if (p && pass_intervene(p, q->at, place_batch, b, error)) {
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

/* <seed, logits> over all read rows. */
static double sum_seed(const question *q, const pass *p, const real *seed)
{
    size_t count = p->batch.targets * model_outputs(q->model);
    return count ? q->model->kernels->dot(seed, pass_logits(p, 0, 0), count) : 0;
}

tkr_status ways_back_walk(ways_back *w, tkr_error *error)
{
    size_t left = w->q->target_count - w->first;
    w->count = left < w->p->shape.seeds ? left : w->p->shape.seeds;
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < w->count; i++) {
        fill_seed(w->q, w->p, w->first + i, w->seed);
        if (w->seeded)
            w->seeded[i] = sum_seed(w->q, w->p, w->seed);
        status = pass_seed(w->p, i, w->seed, error);
    }
    return status ? status : pass_backward(w->p, w->rule, w->count, w->absorbed, error);
}

/* One forward run and the ways back of all targets over a batch of points. */
static tkr_status visit_batch(const question *q, pass *p, size_t first, real *seed, const point_set *points, const char *phase,
                              tkr_error *error)
{
    const size_t count = points->count;
    tkr_status status = pass_forward(p, error);
    const size_t sequences = p->batch.sequences;
    ways_back w = {.q = q, .p = p, .seed = seed};
    for (; !status && w.first < q->target_count; w.first += w.count) {
        status = session_tell(q->session, phase, "points", first, count, error); /* a batch may hold hundreds of targets */
        if (!status)
            status = ways_back_walk(&w, error);
        for (size_t i = 0; !status && i < w.count * sequences; i++) {
            size_t t = w.first + i / sequences, k = i % sequences;
            points->visit(points->user, first + k, t, pass_gradient(p, i), target_value(q, &q->targets[t], p, k));
        }
    }
    return status;
}

/* Points of the batch that begins at `done`: the batches up to the next multiple of the stride are nearly equal. */
static size_t batch_size(const point_set *points, size_t most, size_t done)
{
    size_t stride = points->stride ? points->stride : points->count, begin = done - done % stride;
    size_t end = stride < points->count - begin ? begin + stride : points->count, batches = (end - begin + most - 1) / most;
    size_t whole = (end - begin) / batches, larger = (end - begin) % batches;
    return done - begin < larger * (whole + 1) ? whole + 1 : whole;
}

tkr_status differentiate_points(const question *q, const point_set *points, size_t sequences, const char *phase, size_t *visited,
                                tkr_error *error)
{
    batch_of_points b = {.points = points, .length = q->place_count, .width = gradient_width(q)};
    size_t count = points->count, most = sequences ? sequences : 1, done = 0;
    real *seed = memory_new_aligned((most < count ? most : count) * q->reads * model_outputs(q->model) * sizeof *seed);
    tkr_status status = seed ? TKR_OK : fail_memory(error, "gradient seeds", count);
    pass *p = NULL;
    for (bool goes_on = true; !status && goes_on && done < count;) {
        size_t now = batch_size(points, most, done);
        status = session_tell(q->session, phase, "points", done, count, error);
        if (!status && (!p || p->batch.sequences != now)) {
            pass_free(p);
            p = new_points_pass(q, now, &b, error);
            status = p ? TKR_OK : error->code;
        }
        b.first = done;
        if (!status && points->prepare)
            status = points->prepare(points->user, p, done, error);
        if (!status)
            status = visit_batch(q, p, done, seed, points, phase, error);
        done += now;
        goes_on = !points->goes_on || points->goes_on(points->user, done);
    }
    if (!status)
        status = session_tell(q->session, phase, "points", count, count, error);
    if (visited)
        *visited = done;
    pass_free(p);
    memory_free(seed);
    return status;
}

/* ---- the line ---- */

typedef struct line {
    const endpoint *from, *to;
    const double *alpha;
    size_t elements;
    gradient_fn *visit;
    void *user;
} line;

static void place_on_line(void *user, size_t first, size_t sequences, real *rows)
{
    const line *l = user;
    for (size_t k = 0; k < sequences; k++) {
        real *point = rows + k * l->elements, alpha = (real)l->alpha[first + k];
        for (size_t i = 0; i < l->elements; i++)
            point[i] = real_fma(alpha, l->to->rows[i] - l->from->rows[i], l->from->rows[i]);
    }
}

static void visit_line(void *user, size_t point, size_t t, const real *gradient, double value)
{
    const line *l = user;
    l->visit(l->user, point, t, gradient, value);
}

tkr_status differentiate(const question *q, const endpoint *from, const endpoint *to, const double *alpha, size_t count,
                         size_t sequences, const char *phase, gradient_fn *visit, void *user, tkr_error *error)
{
    line l = {.from = from, .to = to, .alpha = alpha, .elements = q->place_count * gradient_width(q), .visit = visit, .user = user};
    point_set on_line = {.count = count, .user = &l, .place = place_on_line, .visit = visit_line};
    return differentiate_points(q, &on_line, sequences, phase, NULL, error);
}

const real *differentiate_clean(const question *q, size_t t, op_rule rule, tkr_error *error)
{
    size_t bytes = q->clean->batch.targets * model_outputs(q->model) * sizeof(real);
    real *seed = memory_new_aligned(bytes);
    if (!seed)
        return fail_memory(error, "gradient seeds", bytes), NULL;
    fill_seed(q, q->clean, t, seed);
    tkr_status status = pass_seed(q->clean, 0, seed, error);
    if (!status)
        status = pass_backward(q->clean, rule, 1, NULL, error);
    memory_free(seed);
    return status ? NULL : pass_gradient(q->clean, 0);
}
