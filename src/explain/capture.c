/*
 * Captures: hidden states, attention and logits at named sites, the plain gradient of a target, and what a model puts out.
 *
 * A site pattern may hold "*" for any layer number: "layer.*.output".  Captures keep every row through the last layer and, in
 * a masked LM, read the logits of every token.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "explain/external_question.h"
#include "explain/record.h"
#include "explain/site.h"
#include "tensor/op.h"

static void mark_site(graph *g, const graph_site *site)
{
    if (site->is_saved)
        g->nodes[site->node].saves_kept = true;
    else
        g->nodes[site->node].is_kept = true;
}

static const tkr_axis *numbered(tkr_result *r, const char *name, tkr_axis_kind kind, size_t size)
{
    return result_axis(r, name, kind, size, NULL);
}

/* The tokens that a node's rows stand for: all, one stack's (sites of encoder-decoders say which), or the read ones. */
static const tkr_axis *rows_axis(tkr_result *r, const question *q, const char *name, size_t rows, bool is_source)
{
    if (rows == q->length)
        return record_rows_axis(r, name, 0, q->length);
    if (is_source ? rows == q->input_length : rows == q->length - q->input_length)
        return is_source ? record_rows_axis(r, name, 0, rows) : record_rows_axis(r, name, q->input_length, q->length);
    return numbered(r, name, TKR_AXIS_TARGETS, rows);
}

static bool is_source(const graph_site *site) { return view_begins(view_of(site->name), VIEW("encoder.")); }
static bool is_cross(const graph_site *site)
{
    static const char ending[] = "cross.probs";
    size_t size = strlen(site->name), wanted = sizeof ending - 1;
    return size >= wanted && memcmp(site->name + size - wanted, ending, wanted) == 0;
}

/* Attention probabilities of the one sequence: HEADS x QUERY x KEY, as the op saves them. */
static tkr_status copy_probabilities(tkr_result *r, const question *q, const graph_site *site, tkr_error *error)
{
    const graph_node *nodes = q->clean->graph.graph->nodes, *n = &nodes[site->node];
    bool source = is_source(site);
    size_t keys = is_cross(site) ? q->input_length : n->rows;
    const tkr_axis *axes[3] = {numbered(r, "head", TKR_AXIS_HEADS, n->params.heads), rows_axis(r, q, "query", n->rows, source),
                               rows_axis(r, q, "key", keys, source || is_cross(site))};
    tkr_array *array = result_add_array(r, site->name, "weight", false, 3, axes, error);
    const real *values = runner_saved(q->clean->runner, site->node);
    for (size_t i = 0; array && i < array->size; i++)
        array->data[i] = (float)values[i];
    return array ? TKR_OK : error->code;
}

static tkr_status copy_rows(tkr_result *r, const question *q, const graph_site *site, tkr_error *error)
{
    const graph_node *n = &q->clean->graph.graph->nodes[site->node];
    bool is_logits = site->node == q->clean->graph.logits;
    const tkr_axis *axes[2] = {rows_axis(r, q, "token", n->rows, is_source(site)), numbered(r, is_logits ? "output" : "hidden", is_logits ? TKR_AXIS_OUTPUTS : TKR_AXIS_HIDDEN, n->width)};
    tkr_array *array = result_add_array(r, site->name, is_logits ? "logit" : "activation", true, 2, axes, error);
    const real *values = runner_value(q->clean->runner, site->node);
    for (size_t i = 0; array && i < array->size; i++)
        array->data[i] = (float)values[i];
    return array ? TKR_OK : error->code;
}

static tkr_status capture_in(const question *q, view patterns, tkr_result *r, tkr_error *error)
{
    graph *g = q->clean->graph.graph;
    size_t wanted = 0;
    for (size_t s = 0; s < g->site_count; s++)
        if (site_is_listed(patterns, view_of(g->sites[s].name))) {
            mark_site(g, &g->sites[s]);
            wanted++;
        }
    if (wanted == 0)
        return site_fail(g, patterns, "sites", error);
    tkr_status status = pass_forward(q->clean, error);
    if (!status)
        status = record_question(r, q, error);
    for (size_t s = 0; !status && s < g->site_count; s++)
        if (site_is_listed(patterns, view_of(g->sites[s].name)))
            status = g->sites[s].is_saved ? copy_probabilities(r, q, &g->sites[s], error) : copy_rows(r, q, &g->sites[s], error);
    return status;
}

static tkr_status gradient_in(const question *q, tkr_result *r, tkr_error *error)
{
    tkr_status status = record_question(r, q, error);
    const real *g = status ? NULL : differentiate_clean(q, 0, RULE_GRADIENT, error);
    if (!g)
        return error->code;
    const tkr_axis *axes[2] = {record_rows_axis(r, "token", q->place_first, q->place_first + q->place_count), numbered(r, "hidden", TKR_AXIS_HIDDEN, gradient_width(q))};
    tkr_array *array = result_add_array(r, "gradient", "gradient", true, 2, axes, error);
    for (size_t i = 0; array && i < array->size; i++)
        array->data[i] = (float)g[i];
    return array ? TKR_OK : error->code;
}

/* Both calls: understand, run, copy.  sites NULL: the gradient. */
static tkr_result *run_capture(tkr_session *s, const tkr_question *asked, const char *sites, const char *kind, question_wish wish,
                               tkr_error *caller)
{
    tkr_error local = {0}, *error = caller ? caller : &local;
    if (!s || !asked)
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "no %s was given", s ? "question" : "session");
    tkr_result *r = result_new(kind, error);
    arena *a = r ? arena_new(SIZE_MAX) : NULL;
    question q = {0};
    tkr_status status = a ? question_init(&q, s, asked, wish, a, error) : fail_memory(error, "a capture", 0);
    if (!status && wish.gradient)
        status = question_check_gradient(&q, "a gradient", error);
    if (!status && !(status = question_run(&q, wish, error))) {
        status = sites ? capture_in(&q, view_of(sites), r, error) : gradient_in(&q, r, error);
        if (!status)
            status = record_identity(r, &q, sites, error);
    }
    if (a)
        question_fini(&q);
    arena_free(a);
    if (!status)
        return r;
    tkr_result_free(r);
    return NULL;
}

tkr_result *tkr_capture(tkr_session *s, const tkr_question *asked, const char *sites, tkr_error *error)
{
    return run_capture(s, asked, sites ? sites : "logits", "capture", (question_wish){.all_rows = true, .no_features = true}, error);
}

tkr_result *tkr_gradient(tkr_session *s, const tkr_question *asked, tkr_error *error)
{
    return run_capture(s, asked, NULL, "gradient", (question_wish){.gradient = true, .no_features = true}, error);
}

/* ---- generation ---- */

static tkr_status copy_numbers(tkr_result *r, const question *q, const char *name, const char *unit, const double *values,
                               tkr_error *error)
{
    const char **labels = ARENA_NEW(r->arena, const char *, q->output_count);
    for (size_t t = 0; labels && t < q->output_count; t++)
        labels[t] = result_text(r, view_of(question_token(q, q->outputs[t]).raw));
    const tkr_axis *axes[1] = {labels ? result_axis(r, "token", TKR_AXIS_TOKENS, q->output_count, labels) : NULL};
    tkr_array *array = result_add_array(r, name, unit, true, 1, axes, error);
    for (size_t t = 0; array && t < q->output_count; t++)
        array->data[t] = (float)values[t];
    return array ? TKR_OK : error->code;
}

static tkr_status generate_in(tkr_session *s, const tkr_question *asked, arena *a, tkr_result *r, tkr_error *error)
{
    question q;
    tkr_question all = *asked; /* whatever the question's target is: the whole output */
    all.target = "all";
    all.output_text = NULL;
    all.output_ids = NULL;
    all.output_id_count = 0;
    if (s->model->score)
        return external_refuse("it puts out no text", error);
    if (s->model->task != TKR_TASK_NEXT_TOKEN && s->model->task != TKR_TASK_SEQUENCE_TO_SEQUENCE)
        return fail(error, TKR_E_USAGE_CAPABILITY, "model %s puts out no text", s->model->name);
    tkr_status status = question_init(&q, s, &all, (question_wish){.no_features = true}, a, error);
    if (!status)
        status = record_question(r, &q, error);
    if (!status)
        status = copy_numbers(r, &q, "output.logprob", "log-probability", q.output_logprob, error);
    if (!status)
        status = copy_numbers(r, &q, "output.margin", "logit", q.output_margin, error);
    return status ? status : record_identity(r, &q, "generate", error);
}

tkr_result *tkr_generate(tkr_session *s, const tkr_question *asked, tkr_error *caller)
{
    tkr_error local = {0}, *error = caller ? caller : &local;
    if (!s || !asked)
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "no %s was given", s ? "question" : "session");
    tkr_result *r = result_new("generation", error);
    arena *a = r ? arena_new(SIZE_MAX) : NULL;
    tkr_status status = a ? generate_in(s, asked, a, r, error) : fail_memory(error, "an output", 0);
    arena_free(a);
    if (!status)
        return r;
    tkr_result_free(r);
    return NULL;
}
