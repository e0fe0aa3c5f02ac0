/*
 * Sequential integrated gradients (Enguehard 2023, Findings of ACL, eq. 3): each feature has a path of its own, on which only its
 * tokens move from the baseline to the input and all others keep their embedding.
 *
 *     a_i = sum over the tokens of i of < e_i - e'_i, integral over alpha of the gradient at e with i at e'_i + alpha (e_i - e'_i) >
 *
 * So every a_i is f(input) - f(input with i at its baseline), up to the quadrature; the scores together are not complete.  All
 * points of all paths go through the same batches.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "explain/method.h"
#include "explain/quadrature.h"

enum { STEPS, BASELINE };
static const parameter parameters[] = {INT_PARAMETER("steps", 32, 1, 4096, "Gauss-Legendre points on each feature's path"),
                                       BASELINE_PARAMETER("baseline", "what stands for \"nothing\"; several joined by +: their mean"),
                                       END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    uint64_t points = (uint64_t)a->number[STEPS] * features, paths = baseline_count(a->text[BASELINE]);
    return (method_cost){.evaluations = paths * (points + 1), .at_once = points, .forward = paths * (points + 1),
                         .backward = paths * points * targets};
}

typedef struct feature_paths {
    method_call *c;
    endpoint from, to;
    size_t width, steps;
    double *nodes, *weights; /* [steps], the weights divided by the number of baselines */
} feature_paths;

/* Index of row i's token, if the feature of this point moves it. */
static bool moves(const feature_paths *p, size_t point, size_t i)
{
    const question *q = p->c->q;
    return q->feature_of[q->place_first + i] == point / p->steps;
}

static void place(void *user, size_t first, size_t sequences, real *rows)
{
    const feature_paths *p = user;
    size_t count = p->c->q->place_count, width = p->width;
    for (size_t s = 0; s < sequences; s++)
        for (size_t i = 0; i < count; i++) {
            real *row = rows + (s * count + i) * width;
            const real *to = p->to.rows + i * width, *from = p->from.rows + i * width;
            real alpha = moves(p, first + s, i) ? (real)p->nodes[(first + s) % p->steps] : 1;
            for (size_t k = 0; k < width; k++)
                row[k] = alpha < 1 ? real_fma(alpha, to[k] - from[k], from[k]) : to[k];
        }
}

static void visit(void *user, size_t point, size_t t, const real *gradient, double value)
{
    (void)value;
    const feature_paths *p = user;
    const question *q = p->c->q;
    for (size_t i = 0; i < q->place_count; i++) {
        if (!moves(p, point, i))
            continue;
        const real *to = p->to.rows + i * p->width, *from = p->from.rows + i * p->width, *g = gradient + i * p->width;
        double dot = 0;
        for (size_t k = 0; k < p->width; k++)
            dot += ((double)to[k] - (double)from[k]) * (double)g[k];
        p->c->token_scores[t * q->length + q->place_first + i] += p->weights[point % p->steps] * dot;
    }
}

static tkr_status run_baseline(feature_paths *p, view baseline, tkr_error *error)
{
    method_call *c = p->c;
    const question *q = c->q;
    size_t count = p->steps * q->feature_count;
    arena_mark mark = arena_get_mark(q->arena);
    tkr_status status = endpoint_of_input(q, &p->to, error);
    if (!status)
        status = endpoint_of_baseline(q, baseline, &p->from, error);
    point_set on_paths = {.count = count, .user = p, .place = place, .visit = visit};
    if (!status)
        status = differentiate_points(q, &on_paths, c->gradient_sequences, c->id, NULL, error);
    c->evaluations += count + 1;
    c->forward += count + 1;
    c->backward += count * q->target_count;
    arena_release(q->arena, mark);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    view list = c->arguments.text[BASELINE];
    feature_paths p = {.c = c, .width = gradient_width(c->q), .steps = (size_t)c->arguments.number[STEPS]};
    p.nodes = NEW(double, p.steps);
    p.weights = NEW(double, p.steps);
    tkr_status status = p.nodes && p.weights ? TKR_OK : fail_memory(error, "a quadrature rule", p.steps);
    if (!status)
        quadrature_rule(QUADRATURE_GL, p.steps, p.nodes, p.weights);
    for (size_t i = 0; !status && i < p.steps; i++)
        p.weights[i] /= (double)baseline_count(list);
    for (size_t at = 0; !status && at <= list.size;)
        status = run_baseline(&p, baseline_next(list, &at), error);
    memory_free(p.nodes);
    memory_free(p.weights);
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
    .cost = cost,
    .run = run,
};
