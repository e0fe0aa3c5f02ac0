/*
 * Sequential integrated gradients (Enguehard 2023, Findings of ACL, eq. 3): each feature has a path of its own, on which only its
 * tokens move from the baseline to the input and all others keep their embedding.
 *
 *     a_i = sum over the tokens of i of < e_i - e'_i, integral over alpha of the gradient at e with i at e'_i + alpha (e_i - e'_i) >
 *
 * So every a_i is f(input) - f(input with i at its baseline), up to the quadrature; the scores together are not complete.  All
 * points of all paths go through the same batches.
 *
 * With gap > 0 each path is refined by itself (refinement.h) until it is off by less than that share of the largest a_i, which is
 * known from the ends of the paths; the end that all have in common, the input, is looked at once.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/method.h"
#include "explain/quadrature.h"
#include "explain/refinement.h"

enum { STEPS, BASELINE, GAP, MOST };
static const parameter parameters[] = {
    INT_PARAMETER("steps", 32, 1, 4096, "Gauss-Legendre points on each feature's path"),
    BASELINE_PARAMETER("baseline", "what stands for \"nothing\"; several joined by +: their mean"),
    REAL_PARAMETER("gap", 0, 0, 1, "refine each path until it is off by less than this share of the largest score; 0: steps only (where nothing is said: 0.01 for T5)"),
    INT_PARAMETER("most", 300, 9, 4096, "points on each path at most when refining"),
    END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    bool refines = a->number[GAP] > 0;
    uint64_t each = (uint64_t)a->number[refines ? MOST : STEPS], points = each * features, paths = baseline_count(a->text[BASELINE]);
    uint64_t at_once = refines ? (REFINEMENT_FIRST - 1) * features + 1 : points;
    return (method_cost){.evaluations = paths * (points + 1), .at_once = at_once, .forward = paths * (points + 1),
                         .backward = paths * points * targets};
}

static void settle(const question *q, arguments *a)
{
    bool is_stiff = q->model->family->is_scale_free && model_shape(q->model) == FAMILY_ENCODER_DECODER;
    if (is_stiff && !a->is_given[STEPS] && !a->is_given[GAP])
        a->number[GAP] = 0.01;
}

/* A point: one feature part of its way, and where its gradient goes. */
typedef struct path_point {
    size_t feature;         /* NOBODY: the input itself                       */
    double alpha, weight;   /* weight: of a fixed rule                        */
    refinement_node *node;  /* of the feature's refinement; NULL: fixed rule  */
} path_point;
static const size_t NOBODY = SIZE_MAX;

typedef struct feature_paths {
    method_call *c;
    endpoint from, to;
    size_t width, paths;    /* paths: baselines, over which the mean is taken */
    path_point *points;
    size_t count;
    refinement *refined;    /* [features]                                     */
} feature_paths;

static bool moves(const feature_paths *p, size_t f, size_t i)
{
    const question *q = p->c->q;
    return q->feature_of[q->place_first + i] == f;
}

static void place(void *user, size_t first, size_t sequences, real *rows)
{
    const feature_paths *p = user;
    size_t count = p->c->q->place_count, width = p->width;
    for (size_t s = 0; s < sequences; s++)
        for (size_t i = 0; i < count; i++) {
            const path_point *point = &p->points[first + s];
            real *row = rows + (s * count + i) * width;
            const real *to = p->to.rows + i * width, *from = p->from.rows + i * width;
            real alpha = moves(p, point->feature, i) ? (real)point->alpha : 1;
            for (size_t k = 0; k < width; k++)
                row[k] = alpha < 1 ? real_fma(alpha, to[k] - from[k], from[k]) : to[k];
        }
}

static double along(const feature_paths *p, size_t i, const real *gradient)
{
    const real *to = p->to.rows + i * p->width, *from = p->from.rows + i * p->width, *g = gradient + i * p->width;
    double dot = 0;
    for (size_t k = 0; k < p->width; k++)
        dot += ((double)to[k] - (double)from[k]) * (double)g[k];
    return dot;
}

static void keep(const feature_paths *p, size_t f, refinement_node *n, size_t t, const real *gradient, double value)
{
    double *part = n->part + t * p->refined[f].parts;
    n->value[t] = value;
    for (size_t i = 0; i < p->c->q->place_count; i++)
        if (moves(p, f, i))
            *part++ = along(p, i, gradient);
}

static void visit(void *user, size_t at, size_t t, const real *gradient, double value)
{
    const feature_paths *p = user;
    const question *q = p->c->q;
    const path_point *point = &p->points[at];
    if (point->feature == NOBODY) /* every path's last node, behind the others that were asked for first */
        for (size_t f = 0; f < q->feature_count; f++)
            keep(p, f, &p->refined[f].node[REFINEMENT_FIRST - 1], t, gradient, value);
    else if (point->node)
        keep(p, point->feature, point->node, t, gradient, value);
    else
        for (size_t i = 0; i < q->place_count; i++)
            if (moves(p, point->feature, i))
                p->c->token_scores[t * q->length + q->place_first + i] += point->weight * along(p, i, gradient);
}

static tkr_status look(feature_paths *p, tkr_error *error)
{
    method_call *c = p->c;
    point_set on_paths = {.count = p->count, .user = p, .place = place, .visit = visit};
    c->evaluations += p->count;
    c->forward += p->count;
    c->backward += p->count * c->q->target_count;
    return p->count ? differentiate_points(c->q, &on_paths, c->gradient_sequences, c->id, NULL, error) : TKR_OK;
}

static tkr_status run_rule(feature_paths *p, tkr_error *error)
{
    const size_t steps = (size_t)p->c->arguments.number[STEPS], features = p->c->q->feature_count;
    double *nodes = NEW(double, steps), *weights = NEW(double, steps);
    p->points = NEW(path_point, steps * features);
    p->count = steps * features;
    tkr_status status = nodes && weights && p->points ? TKR_OK : fail_memory(error, "points of all paths", p->count);
    if (!status) {
        quadrature_rule(QUADRATURE_GL, steps, nodes, weights);
        for (size_t k = 0; k < p->count; k++)
            p->points[k] = (path_point){k / steps, nodes[k % steps], weights[k % steps] / (double)p->paths, NULL};
        status = look(p, error);
    }
    memory_free(p->points);
    memory_free(nodes);
    memory_free(weights);
    return status;
}

/* ---- refinement ---- */

static size_t moving(const question *q, size_t f)
{
    size_t count = 0;
    for (size_t i = 0; i < q->place_count; i++)
        count += q->feature_of[q->place_first + i] == f;
    return count;
}

/* place_count is not known where a run is planned: all members. */
static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t most = (size_t)a->number[MOST], sum = 0;
    if (!(a->number[GAP] > 0))
        return q->feature_count * (size_t)a->number[STEPS] * sizeof(path_point);
    for (size_t f = 0; f < q->feature_count; f++)
        sum += refinement_bytes(q->target_count, q->features[f].count, most) + sizeof(refinement) + most * sizeof(path_point);
    return sum;
}

/* All points that the paths ask for; of the first ones the input, which they share, is the very first. */
static tkr_status gather(feature_paths *p, bool is_first, tkr_error *error)
{
    const size_t features = p->c->q->feature_count;
    size_t room = is_first;
    for (size_t f = 0; f < features; f++)
        room += p->refined[f].asked - is_first;
    memory_free(p->points);
    p->points = NEW(path_point, room);
    p->count = 0;
    if (!p->points)
        return fail_memory(error, "points of all paths", room);
    if (is_first)
        p->points[p->count++] = (path_point){.feature = NOBODY, .alpha = 1};
    for (size_t f = 0; f < features; f++) {
        refinement *r = &p->refined[f];
        for (size_t k = r->count; k < r->count + r->asked - is_first; k++)
            p->points[p->count++] = (path_point){.feature = f, .alpha = r->node[k].at, .node = &r->node[k]};
    }
    return TKR_OK;
}

/* Errors are shares of the largest score. */
static void find_range(const feature_paths *p)
{
    const question *q = p->c->q;
    for (size_t t = 0; t < q->target_count; t++) {
        double range = 1e-2;
        for (size_t f = 0; f < q->feature_count; f++) {
            const refinement *r = &p->refined[f];
            range = fmax(range, fabs(r->node[r->count - 1].value[t] - r->node[0].value[t]));
        }
        for (size_t f = 0; f < q->feature_count; f++)
            p->refined[f].range[t] = range;
    }
}

static tkr_status step(feature_paths *p, bool is_first, tkr_error *error)
{
    const question *q = p->c->q;
    tkr_status status = gather(p, is_first, error);
    if (!status)
        status = look(p, error);
    for (size_t f = 0; !status && f < q->feature_count; f++)
        if (p->refined[f].asked > 0)
            refinement_take(&p->refined[f]);
    if (!status && is_first)
        find_range(p);
    for (size_t f = 0; !status && f < q->feature_count; f++)
        if (!refinement_is_done(&p->refined[f], p->c->arguments.number[GAP]))
            status = refinement_ask(&p->refined[f], error);
    return status;
}

static void add_scores(const feature_paths *p)
{
    const question *q = p->c->q;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t f = 0; f < q->feature_count; f++) {
            const refinement *r = &p->refined[f];
            const double *sum = r->sum + t * r->parts;
            for (size_t i = 0; i < q->place_count; i++)
                if (moves(p, f, i))
                    p->c->token_scores[t * q->length + q->place_first + i] += *sum++ / (double)p->paths;
        }
}

/* Paths that ran out of points, and by how much the worst is off. */
static tkr_status warn_unreached(const feature_paths *p, tkr_error *error)
{
    const method_call *c = p->c;
    size_t short_of = 0;
    double gap = 0;
    for (size_t f = 0; f < c->q->feature_count; f++) {
        const refinement *r = &p->refined[f];
        short_of += !refinement_is_done(r, c->arguments.number[GAP]);
        for (size_t t = 0; t < r->targets; t++)
            gap = fmax(gap, refinement_miss(r, t) / r->range[t]);
    }
    if (short_of == 0)
        return TKR_OK;
    char off[NUMBER_ROOM], aim[NUMBER_ROOM];
    return method_warn(c, error, "ig.gap", "more points: -M sequential-ig:gap=0.01,most=2000",
                       "%s: the paths of %zu of %zu features are not within %s%% of the largest score; the worst is off by %s%%", c->id, short_of,
                       c->q->feature_count, number_fixed(aim, 100 * c->arguments.number[GAP], 3), number_fixed(off, 100 * gap, 3));
}

static tkr_status refine(feature_paths *p, tkr_error *error)
{
    const question *q = p->c->q;
    const size_t most = (size_t)p->c->arguments.number[MOST];
    p->refined = ARENA_NEW(q->arena, refinement, q->feature_count);
    tkr_status status = p->refined ? TKR_OK : fail_memory(error, "paths of features", q->feature_count);
    for (size_t f = 0; !status && f < q->feature_count; f++)
        status = refinement_init(&p->refined[f], q->arena, q->target_count, moving(q, f), most, error);
    p->points = NULL;
    bool is_first = true;
    for (p->count = 1; !status && p->count > 0; is_first = false)
        status = step(p, is_first, error);
    memory_free(p->points);
    if (!status)
        add_scores(p);
    return status ? status : warn_unreached(p, error);
}

static tkr_status run_baseline(feature_paths *p, view baseline, tkr_error *error)
{
    method_call *c = p->c;
    const question *q = c->q;
    arena_mark mark = arena_get_mark(q->arena);
    tkr_status status = endpoint_of_input(q, &p->to, error);
    if (!status)
        status = endpoint_of_baseline(q, baseline, &p->from, error);
    if (!status)
        status = c->arguments.number[GAP] > 0 ? refine(p, error) : run_rule(p, error);
    c->evaluations++;
    c->forward++;
    arena_release(q->arena, mark);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    view list = c->arguments.text[BASELINE];
    feature_paths p = {.c = c, .width = gradient_width(c->q), .paths = baseline_count(list)};
    tkr_status status = TKR_OK;
    for (size_t at = 0; !status && at <= list.size;)
        status = run_baseline(&p, baseline_next(list, &at), error);
    return status ? status : method_name_baselines(c, BASELINE, error);
}

static const char *const aliases[] = {"sig", NULL};

const method sequential_ig_method = {
    .facts = {.id = "sequential-ig",
              .title = "sequential integrated gradients",
              .family = "gradient",
              .summary = "each feature alone on its way from the baseline: what the target loses without it",
              .paper = "Enguehard 2023",
              .needs = "gradients",
              .cost = "n times steps forward and backward passes",
              .caveat = "features that stand in for each other all get little; the scores do not add up",
              .is_signed = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .run = run,
};
