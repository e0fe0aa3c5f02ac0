/*
 * Integrated gradients (Sundararajan, Taly, Yan 2017, eq. 1): gradients averaged along the straight line from the baseline
 * to the input, times the difference.  Sums to f(input) - f(baseline); what the quadrature misses is reported as the gap.
 *
 * Several baselines (Erion et al. 2021 draw them, here they are named): the mean of what each gives.
 *
 * Tokens that are no feature keep their own embedding and get exactly 0.  With gap > 0 points gather where the gradient bends or
 * jumps (refinement.h) until the sum is within gap times the difference, which is known exactly, and no token moves by more from
 * one step to the next; or 300 points are spent.  The first covers the sum alone, the second is what can be said of each token.
 *
 * Families whose norms ignore the length of an embedding that nothing is added to (T5, Llama type) bend the path sharply, at
 * zero without limit: there the zero baseline is refused, and T5 is refined unless steps or rule are given.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/method.h"
#include "explain/quadrature.h"
#include "explain/refinement.h"

enum { STEPS, RULE, BASELINE, GAP, FORCE };
static const parameter parameters[] = {
    INT_PARAMETER("steps", 32, 1, 4096, "points on the line"),
    CHOICE_PARAMETER("rule", "gl", "gl|mid|left|right|trap", "quadrature: Gauss-Legendre, midpoint, Riemann sums, trapezoid"),
    BASELINE_PARAMETER("baseline", "what stands for \"nothing\"; several joined by +: their mean"),
    REAL_PARAMETER("gap", 0, 0, 1, "refine until the gap is below this share; 0: steps only (where nothing is said: 0.01 for T5)"),
    INT_PARAMETER("force", 0, 0, 1, "1: use a baseline that does not converge"),
    END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features;
    bool refines = a->number[GAP] > 0;
    uint64_t points = refines ? REFINEMENT_MOST : (uint64_t)a->number[STEPS], paths = baseline_count(a->text[BASELINE]);
    return (method_cost){.evaluations = paths * (points + 1), .at_once = refines ? REFINEMENT_FIRST : points,
                         .forward = paths * (points + 1), .backward = paths * points * targets};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    return a->number[GAP] > 0 ? refinement_bytes(q->target_count, q->length, REFINEMENT_MOST) : 0;
}

static quadrature rule_of(const arguments *a)
{
    static const char *const names[] = {"gl", "mid", "left", "right", "trap"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_is(a->text[RULE], names[i]))
            return (quadrature)i;
    return QUADRATURE_GL;
}

typedef struct path {
    method_call *c;
    endpoint from, to;
    size_t width;
    const double *weight;   /* [points] of a fixed rule */
    refinement refined;
} path;

/* <to - from, gradient> of the i-th token of the place. */
static double along(const path *p, size_t i, const real *gradient)
{
    const question *q = p->c->q;
    if (q->feature_of[q->place_first + i] == UINT32_MAX && !q->is_deep)
        return 0;
    const real *to = p->to.rows + i * p->width, *from = p->from.rows + i * p->width, *g = gradient + i * p->width;
    double dot = 0;
    for (size_t k = 0; k < p->width; k++)
        dot += ((double)to[k] - (double)from[k]) * (double)g[k];
    return dot;
}

static void add_point(void *user, size_t point, size_t t, const real *gradient, double value)
{
    (void)value;
    path *p = user;
    const question *q = p->c->q;
    for (size_t i = 0; i < q->place_count; i++)
        p->c->token_scores[t * q->length + q->place_first + i] += p->weight[point] * along(p, i, gradient);
}

static tkr_status run_rule(method_call *c, path *p, tkr_error *error)
{
    size_t m = (size_t)c->arguments.number[STEPS];
    double *nodes = NEW(double, m), *weights = NEW(double, m);
    tkr_status status = nodes && weights ? TKR_OK : fail_memory(error, "a quadrature rule", m);
    if (!status) {
        quadrature_rule(rule_of(&c->arguments), m, nodes, weights);
        p->weight = weights;
        status = differentiate(c->q, &p->from, &p->to, nodes, m, c->gradient_sequences, c->id, add_point, p, error);
    }
    c->evaluations += m;
    c->forward += m;
    c->backward += m * c->q->target_count;
    memory_free(nodes);
    memory_free(weights);
    return status;
}

/* ---- refinement ---- */

static void keep_point(void *user, size_t point, size_t t, const real *gradient, double value)
{
    path *p = user;
    const refinement *r = &p->refined;
    const refinement_node *n = &r->node[r->count + point];
    bool is_end = !(n->at > 0) || !(n->at < 1); /* known already, and to the last bit what the gap is measured against */
    n->value[t] = !is_end ? value : n->at > 0 ? p->to.values[t] : p->from.values[t];
    for (size_t i = 0; i < r->parts; i++)
        n->part[t * r->parts + i] = along(p, i, gradient);
}

/* The points that the refinement asks for. */
static tkr_status look(method_call *c, path *p, tkr_error *error)
{
    refinement *r = &p->refined;
    double *alpha = NEW(double, r->asked);
    if (!alpha)
        return fail_memory(error, "points of a path", r->asked);
    for (size_t k = 0; k < r->asked; k++)
        alpha[k] = r->node[r->count + k].at;
    c->evaluations += r->asked;
    c->forward += r->asked;
    c->backward += r->asked * c->q->target_count;
    tkr_status status = differentiate(c->q, &p->from, &p->to, alpha, r->asked, c->gradient_sequences, c->id, keep_point, p, error);
    memory_free(alpha);
    if (!status)
        refinement_take(r);
    return status;
}

/* The points ran out.  Of gaps beyond 5 % the check of completeness warns. */
static tkr_status warn_unreached(method_call *c, const refinement *r, tkr_error *error)
{
    double gap = 0, wanted = c->arguments.number[GAP];
    for (size_t t = 0; t < r->targets; t++)
        gap = fmax(gap, refinement_miss(r, t) / r->range[t]);
    if (gap > 0.05)
        return TKR_OK;
    char share[NUMBER_ROOM], aim[NUMBER_ROOM];
    return method_warn(c, error, "ig.gap", "a larger gap, or a baseline that is nearer",
                       "%s: after %zu points the gap is %s%%, and it or a token's last change is above the %s%% asked for", c->id, r->count,
                       number_fixed(share, 100 * gap, 3), number_fixed(aim, 100 * wanted, 3));
}

static tkr_status refine(method_call *c, path *p, tkr_error *error)
{
    const question *q = c->q;
    refinement *r = &p->refined;
    const double wanted = c->arguments.number[GAP];
    tkr_status status = refinement_init(r, q->arena, q->target_count, q->place_count, REFINEMENT_MOST, error);
    for (size_t t = 0; !status && t < q->target_count; t++)
        r->range[t] = fmax(fabs(p->to.values[t] - p->from.values[t]), 1e-2);
    while (!status && r->asked > 0) {
        status = look(c, p, error);
        if (!status && !refinement_is_done(r, wanted))
            status = refinement_ask(r, error);
    }
    for (size_t t = 0; !status && t < q->target_count; t++)
        for (size_t i = 0; i < r->parts; i++)
            c->token_scores[t * q->length + q->place_first + i] += r->sum[t * r->parts + i];
    return !status && !refinement_is_done(r, wanted) ? warn_unreached(c, r, error) : status;
}

static void settle(const question *q, arguments *a)
{
    bool is_stiff = q->model->family->is_scale_free && model_shape(q->model) == FAMILY_ENCODER_DECODER;
    if (is_stiff && !a->is_given[STEPS] && !a->is_given[RULE] && !a->is_given[GAP])
        a->number[GAP] = 0.01;
}

static tkr_status check_baseline(const method_call *c, view baseline, tkr_error *error)
{
    const family *f = c->q->model->family;
    bool is_zero = view_is(view_of(baseline_name(c->q, baseline)), "zero");
    if (!is_zero || !f->is_scale_free || c->arguments.number[FORCE] > 0)
        return TKR_OK;
    fail(error, TKR_E_USAGE_BASELINE, "ig with the zero baseline does not converge on %s", f->model_types[0]);
    fail_help(error, "-M ig:baseline=%s (or ig:force=1)", baseline_name(c->q, VIEW("auto")));
    return error->code;
}

/* The way from one baseline; its scores and f there are added. */
static tkr_status run_path(method_call *c, view baseline, tkr_error *error)
{
    const question *q = c->q;
    arena_mark mark = arena_get_mark(q->arena);
    path p = {.c = c, .width = gradient_width(q)};
    tkr_status status = check_baseline(c, baseline, error);
    if (!status)
        status = endpoint_of_input(q, &p.to, error);
    if (!status)
        status = endpoint_of_baseline(q, baseline, &p.from, error);
    for (size_t t = 0; !status && t < q->target_count; t++)
        c->base[t] += p.from.values[t];
    c->evaluations++;
    c->forward++;
    if (!status)
        status = c->arguments.number[GAP] > 0 ? refine(c, &p, error) : run_rule(c, &p, error);
    arena_release(q->arena, mark);
    return status;
}

/* Several baselines: the mean of their scores sums to f(input) less the mean of f at the baselines. */
static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    view list = c->arguments.text[BASELINE];
    double paths = (double)baseline_count(list);
    tkr_status status = TKR_OK;
    memset(c->base, 0, q->target_count * sizeof *c->base);
    for (size_t at = 0; !status && at <= list.size;)
        status = run_path(c, baseline_next(list, &at), error);
    for (size_t i = 0; i < q->target_count * q->length; i++)
        c->token_scores[i] /= paths;
    for (size_t t = 0; t < q->target_count; t++)
        c->base[t] /= paths;
    if (!status)
        status = method_name_baselines(c, BASELINE, error);
    return status ? status : method_check_completeness(c, "-M ig:gap=0.01, or more steps: -M ig:steps=200", error);
}

static const char *const aliases[] = {"integrated-gradients", NULL};

const method ig_method = {
    .facts = {.id = "ig",
              .title = "integrated gradients",
              .family = "gradient",
              .summary = "gradients averaged on the way from a baseline to the input; sums to the difference",
              .paper = "Sundararajan, Taly, Yan 2017",
              .needs = "gradients",
              .cost = "steps forward and backward passes",
              .caveat = "depends on the baseline; the gap says how much of the difference the quadrature missed",
              .is_signed = true,
              .is_additive = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .at_any_site = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
