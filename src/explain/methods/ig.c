/*
 * Integrated gradients (Sundararajan, Taly, Yan 2017, eq. 1): gradients averaged along the straight line from the baseline
 * to the input, times the difference.  Sums to f(input) - f(baseline); what the quadrature misses is reported as the gap.
 *
 * Several baselines (Erion et al. 2021 draw them, here they are named): the mean of what each gives.
 *
 * Tokens that are no feature keep their own embedding and get exactly 0.  With gap > 0 the line is bisected where it
 * bends: in each piece five Gauss-Legendre points are compared with the exact integral f(end) - f(begin), which is known;
 * the worst piece is cut until the errors add up to less than gap times the difference, or 300 points are spent.
 *
 * Families whose norms ignore the length of an embedding that nothing is added to (T5, Llama type) bend the path sharply, at
 * zero without limit: there the zero baseline is refused, and T5 is refined unless steps or rule are given.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/method.h"
#include "explain/quadrature.h"

enum { STEPS, RULE, BASELINE, GAP, FORCE };
static const parameter parameters[] = {
    INT_PARAMETER("steps", 32, 1, 4096, "points on the line"),
    CHOICE_PARAMETER("rule", "gl", "gl|mid|left|right|trap", "quadrature: Gauss-Legendre, midpoint, Riemann sums, trapezoid"),
    BASELINE_PARAMETER("baseline", "what stands for \"nothing\"; several joined by +: their mean"),
    REAL_PARAMETER("gap", 0, 0, 1, "refine until the gap is below this share; 0: steps only (where nothing is said: 0.01 for T5)"),
    INT_PARAMETER("force", 0, 0, 1, "1: use a baseline that does not converge"),
    END_PARAMETERS};

enum { PIECE_POINTS = 5, POINTS_MOST = 300 };

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features;
    bool refines = a->number[GAP] > 0;
    uint64_t points = refines ? POINTS_MOST : (uint64_t)a->number[STEPS], paths = baseline_count(a->text[BASELINE]);
    return (method_cost){.evaluations = paths * (points + 1), .at_once = refines ? PIECE_POINTS : points,
                         .forward = paths * (points + 1), .backward = paths * points * targets};
}

static quadrature rule_of(const arguments *a)
{
    static const char *const names[] = {"gl", "mid", "left", "right", "trap"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (view_is(a->text[RULE], names[i]))
            return (quadrature)i;
    return QUADRATURE_GL;
}

/* The path and where its integral is summed. */
typedef struct path {
    const question *q;
    endpoint from, to;
    size_t width;
    const double *weight;   /* [points]                                       */
    double *sum;            /* [targets][length]                              */
    double *value;          /* [points][targets] f at the points; NULL: not wanted */
} path;

/* Add weight * <to - from, gradient> of every token. */
static void add_point(void *user, size_t point, size_t t, const real *gradient, double value)
{
    path *p = user;
    const question *q = p->q;
    if (p->value)
        p->value[point * q->target_count + t] = value;
    for (size_t i = 0; i < q->place_count; i++) {
        if (q->feature_of[q->place_first + i] == UINT32_MAX && !q->is_deep)
            continue;
        const real *to = p->to.rows + i * p->width, *from = p->from.rows + i * p->width, *g = gradient + i * p->width;
        double dot = 0;
        for (size_t k = 0; k < p->width; k++)
            dot += ((double)to[k] - (double)from[k]) * (double)g[k];
        p->sum[t * q->length + q->place_first + i] += p->weight[point] * dot;
    }
}

static tkr_status run_rule(method_call *c, path *p, tkr_error *error)
{
    size_t m = (size_t)c->arguments.number[STEPS];
    double *nodes = NEW(double, m), *weights = NEW(double, m);
    tkr_status status = nodes && weights ? TKR_OK : fail_memory(error, "a quadrature rule", m);
    if (!status) {
        quadrature_rule(rule_of(&c->arguments), m, nodes, weights);
        p->weight = weights;
        p->sum = c->token_scores;
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

/* A piece of the line with what its five points make of each token. */
typedef struct piece {
    double begin, end;
    double *at_begin, *at_end; /* [targets] f at the ends                        */
    double *sum;               /* [targets][length]                              */
    double error;              /* largest over targets, as a share of its range  */
} piece;

static piece *new_piece(const question *q, arena *a, double begin, double end)
{
    piece *s = ARENA_NEW(a, piece, 1);
    if (!s)
        return NULL;
    *s = (piece){.begin = begin, .end = end};
    s->at_begin = ARENA_NEW(a, double, q->target_count);
    s->at_end = ARENA_NEW(a, double, q->target_count);
    s->sum = ARENA_NEW(a, double, q->target_count * q->length);
    return s->at_begin && s->at_end && s->sum ? s : NULL;
}

/* f(input) - f(baseline) of a target, not below a hundredth so that shares stay meaningful. */
static double range_of(const path *p, size_t t) { return fmax(fabs(p->to.values[t] - p->from.values[t]), 1e-2); }

static void judge(const path *p, piece *s)
{
    const question *q = p->q;
    s->error = 0;
    for (size_t t = 0; t < q->target_count; t++) {
        double sum = 0;
        for (size_t i = 0; i < q->length; i++)
            sum += s->sum[t * q->length + i];
        s->error = fmax(s->error, fabs(sum - (s->at_end[t] - s->at_begin[t])) / range_of(p, t));
    }
}

/* Points of one piece. */
static tkr_status sum_piece(method_call *c, path *p, piece *s, tkr_error *error)
{
    double nodes[PIECE_POINTS], weights[PIECE_POINTS];
    quadrature_rule(QUADRATURE_GL, PIECE_POINTS, nodes, weights);
    for (size_t k = 0; k < PIECE_POINTS; k++) {
        nodes[k] = s->begin + (s->end - s->begin) * nodes[k];
        weights[k] *= s->end - s->begin;
    }
    p->weight = weights;
    p->sum = s->sum;
    p->value = NULL;
    tkr_status status = differentiate(c->q, &p->from, &p->to, nodes, PIECE_POINTS, c->gradient_sequences, c->id, add_point, p, error);
    c->evaluations += PIECE_POINTS;
    c->forward += PIECE_POINTS;
    c->backward += PIECE_POINTS * c->q->target_count;
    judge(p, s);
    return status;
}

/* f at one point, by a gradient of weight 0. */
static tkr_status value_at(method_call *c, path *p, double alpha, double *value, double *unused, tkr_error *error)
{
    double zero = 0;
    p->weight = &zero;
    p->sum = unused;
    p->value = value;
    tkr_status status = differentiate(c->q, &p->from, &p->to, &alpha, 1, c->gradient_sequences, c->id, add_point, p, error);
    p->value = NULL;
    c->evaluations++;
    c->forward++;
    return status;
}

/* Replace a piece by its halves. */
static tkr_status bisect(method_call *c, path *p, arena *a, piece **left_in_place, piece **right, tkr_error *error)
{
    const question *q = c->q;
    piece *whole = *left_in_place;
    double middle = (whole->begin + whole->end) / 2;
    piece *l = new_piece(q, a, whole->begin, middle), *r = new_piece(q, a, middle, whole->end);
    if (!l || !r)
        return fail_memory(error, "pieces of a path", q->length);
    memcpy(l->at_begin, whole->at_begin, q->target_count * sizeof(double));
    memcpy(r->at_end, whole->at_end, q->target_count * sizeof(double));
    tkr_status status = value_at(c, p, middle, l->at_end, whole->sum, error);
    memcpy(r->at_begin, l->at_end, q->target_count * sizeof(double));
    if (!status)
        status = sum_piece(c, p, l, error);
    if (!status)
        status = sum_piece(c, p, r, error);
    *left_in_place = l;
    *right = r;
    return status;
}

static tkr_status refine(method_call *c, path *p, arena *a, tkr_error *error)
{
    const question *q = c->q;
    piece *pieces[POINTS_MOST / PIECE_POINTS + 1] = {new_piece(q, a, 0, 1)};
    size_t count = 1, points = PIECE_POINTS;
    if (!pieces[0])
        return fail_memory(error, "pieces of a path", q->length);
    memcpy(pieces[0]->at_begin, p->from.values, q->target_count * sizeof(double));
    memcpy(pieces[0]->at_end, p->to.values, q->target_count * sizeof(double));
    tkr_status status = sum_piece(c, p, pieces[0], error);
    while (!status) {
        double total = 0;
        size_t worst = 0;
        for (size_t s = 0; s < count; s++) {
            total += pieces[s]->error;
            worst = pieces[s]->error > pieces[worst]->error ? s : worst;
        }
        if (total <= c->arguments.number[GAP] || points + 2 * PIECE_POINTS > POINTS_MOST)
            break;
        status = bisect(c, p, a, &pieces[worst], &pieces[count], error);
        count++;
        points += 2 * PIECE_POINTS;
    }
    for (size_t s = 0; !status && s < count; s++)
        for (size_t i = 0; i < q->target_count * q->length; i++)
            c->token_scores[i] += pieces[s]->sum[i];
    return status;
}

static tkr_status run_refined(method_call *c, path *p, tkr_error *error)
{
    arena *a = arena_new(SIZE_MAX);
    tkr_status status = a ? refine(c, p, a, error) : fail_memory(error, "pieces of a path", 0);
    arena_free(a);
    return status;
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
    path p = {.q = q, .width = gradient_width(q)};
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
        status = c->arguments.number[GAP] > 0 ? run_refined(c, &p, error) : run_rule(c, &p, error);
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
    .run = run,
};
