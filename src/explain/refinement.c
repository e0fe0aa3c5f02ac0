/* Parabolas between nodes, the errors of cells and which of them to halve. */
#include "explain/refinement.h"

#include <math.h>
#include <string.h>

#include "base/failure.h"

/* Steps grow with what is there, so that batches of many points fill up; cells end where float32 tells their ends apart. */
enum { STEP = 4, NODES_A_STEP = 32 };
static const double NARROWEST = 1.0 / (1 << 20);

static tkr_status ask_at(refinement *r, double at, tkr_error *error)
{
    refinement_node *n = &r->node[r->count + r->asked];
    *n = (refinement_node){.at = at, .value = ARENA_NEW(r->arena, double, r->targets),
                           .part = ARENA_NEW(r->arena, double, r->targets * r->parts)};
    r->asked++;
    return n->value && n->part ? TKR_OK : fail_memory(error, "points of a path", r->parts);
}

tkr_status refinement_init(refinement *r, arena *a, size_t targets, size_t parts, size_t most, tkr_error *error)
{
    *r = (refinement){.arena = a, .targets = targets, .parts = parts, .most = most < REFINEMENT_FIRST ? REFINEMENT_FIRST : most};
    r->range = ARENA_NEW(a, double, targets);
    r->node = ARENA_NEW(a, refinement_node, r->most);
    r->sum = ARENA_NEW(a, double, targets * parts);
    r->before = ARENA_NEW(a, double, targets * parts);
    r->error = ARENA_NEW(a, double, 4 * r->most);
    if (!r->range || !r->node || !r->sum || !r->before || !r->error)
        return fail_memory(error, "points of a path", parts);
    r->rough = r->error + r->most;
    r->bent = r->rough + r->most;
    r->off = r->bent + r->most;
    tkr_status status = TKR_OK;
    for (size_t k = 0; !status && k < REFINEMENT_FIRST; k++)
        status = ask_at(r, (double)k / (REFINEMENT_FIRST - 1), error);
    return status;
}

size_t refinement_bytes(size_t targets, size_t parts, size_t most)
{
    const size_t line = 64; /* of the arena */
    return most * ((targets * (parts + 1) + 4) * sizeof(double) + 2 * line + sizeof(refinement_node)) +
           targets * (2 * parts + 1) * sizeof(double) + 5 * line;
}

/* ---- integrals ---- */

/* One function, target * parts + part; nodes lie `stride` apart in the list: 1 for all, 2 for every other one of the first. */
typedef struct way {
    const refinement *r;
    size_t of, stride, cells;
} way;

static double at(const way *w, size_t k) { return w->r->node[k * w->stride].at; }
static double part(const way *w, size_t k) { return w->r->node[k * w->stride].part[w->of]; }
static double width(const way *w, size_t cell) { return at(w, cell + 1) - at(w, cell); }
static double rise(const way *w, size_t cell) { return (part(w, cell + 1) - part(w, cell)) / width(w, cell); }

/* Second divided difference: of the parabola through node k and its neighbours. */
static double curve(const way *w, size_t k) { return (rise(w, k) - rise(w, k - 1)) / (at(w, k + 1) - at(w, k - 1)); }

static double straight(const way *w, size_t cell) { return width(w, cell) / 2 * (part(w, cell) + part(w, cell + 1)); }

/* Integral of the parabolas less that of the straight line; how large they are is added, which in a jump is more: there one
 * bends up and the other down. */
static double bend(const way *w, const double *rough, size_t cell, double *bent)
{
    const double much = 100; /* ten times, squared */
    double h = width(w, cell), third = h * h * h / 6;
    bool has_left = cell > 0, has_right = cell + 1 < w->cells, has_both = has_left && has_right;
    bool takes_left = has_left && !(has_both && rough[cell] > much * rough[cell + 1]);
    bool takes_right = has_right && !(has_both && rough[cell + 1] > much * rough[cell]);
    double left = takes_left ? curve(w, cell) : 0, right = takes_right ? curve(w, cell + 1) : 0;
    double share = takes_left && takes_right ? 0.5 : 1;
    *bent += third * third * share * (left * left + right * right);
    return -third * share * (left + right);
}

/* Squares of the curves at each node, over all functions of a target. */
static void find_rough(refinement *r, size_t t, size_t stride)
{
    const size_t cells = (r->count - 1) / stride;
    memset(r->rough, 0, (cells + 1) * sizeof *r->rough);
    for (size_t i = 0; i < r->parts; i++) {
        const way w = {r, t * r->parts + i, stride, cells};
        for (size_t k = 1; k < cells; k++)
            r->rough[k] += curve(&w, k) * curve(&w, k);
    }
}

/* Integrals of one target, and what its cells are off and bent. */
static void integrate(refinement *r, size_t t, size_t stride, double *sum)
{
    const size_t cells = (r->count - 1) / stride;
    find_rough(r, t, stride);
    for (size_t k = 0; k < cells; k++) {
        r->off[k] = r->node[k * stride].value[t] - r->node[(k + 1) * stride].value[t];
        r->bent[k] = 0;
    }
    for (size_t i = 0; i < r->parts; i++) {
        const way w = {r, t * r->parts + i, stride, cells};
        sum[w.of] = 0;
        for (size_t k = 0; k < cells; k++) {
            double whole = straight(&w, k) + bend(&w, r->rough, k, &r->bent[k]);
            sum[w.of] += whole;
            r->off[k] += whole;
        }
    }
}

/* Those that were asked for go to their places. */
static void merge(refinement *r)
{
    for (size_t k = r->count; k < r->count + r->asked; k++) {
        refinement_node n = r->node[k];
        size_t to = k;
        for (; to > 0 && r->node[to - 1].at > n.at; to--)
            r->node[to] = r->node[to - 1];
        r->node[to] = n;
    }
    r->count += r->asked;
    r->asked = 0;
}

void refinement_take(refinement *r)
{
    const bool is_first = r->count == 0;
    merge(r);
    memcpy(r->before, r->sum, r->targets * r->parts * sizeof *r->sum);
    for (size_t t = 0; is_first && t < r->targets; t++)
        integrate(r, t, 2, r->before);
    for (size_t t = 0; t < r->targets; t++)
        integrate(r, t, 1, r->sum);
}

/* ---- what next ---- */

/* Errors of all cells; what r->off and r->bent hold is the last target's. */
static void judge(refinement *r)
{
    const size_t cells = r->count - 1;
    memset(r->error, 0, r->most * sizeof *r->error);
    for (size_t t = 0; t < r->targets; t++) {
        integrate(r, t, 1, r->sum);
        for (size_t k = 0; k < cells; k++)
            r->error[k] = fmax(r->error[k], (fabs(r->off[k]) + sqrt(r->bent[k]) / 2) / r->range[t]);
    }
    for (size_t k = 0; k < cells; k++)
        if (r->node[k + 1].at - r->node[k].at < 2 * NARROWEST)
            r->error[k] = 0;
}

double refinement_miss(const refinement *r, size_t target)
{
    double sum = r->node[0].value[target] - r->node[r->count - 1].value[target];
    for (size_t i = 0; i < r->parts; i++)
        sum += r->sum[target * r->parts + i];
    return fabs(sum);
}

bool refinement_is_done(const refinement *r, double wanted)
{
    for (size_t t = 0; t < r->targets; t++) {
        double moved = 0;
        for (size_t i = t * r->parts; i < (t + 1) * r->parts; i++)
            moved = fmax(moved, fabs(r->sum[i] - r->before[i]));
        if (!(refinement_miss(r, t) <= wanted * r->range[t] && moved <= wanted * r->range[t]))
            return false;
    }
    return true;
}

tkr_status refinement_ask(refinement *r, tkr_error *error)
{
    size_t left = r->most - r->count, step = STEP * (1 + r->count / NODES_A_STEP);
    const size_t cells = r->count - 1;
    tkr_status status = TKR_OK;
    judge(r);
    for (step = step < left ? step : left; !status && step > 0; step--) {
        size_t worst = 0;
        for (size_t k = 1; k < cells; k++)
            worst = r->error[k] > r->error[worst] ? k : worst;
        if (!(r->error[worst] > 0))
            break;
        r->error[worst] = 0;
        status = ask_at(r, (r->node[worst].at + r->node[worst + 1].at) / 2, error);
    }
    return status;
}
