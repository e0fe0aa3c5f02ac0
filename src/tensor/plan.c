/*
 * The memory plan: lifetimes first, then places by a greedy best fit.
 *
 * Places are laid largest first; each goes into the smallest gap that those living at the same time leave, or behind them
 * (the offset calculation of Pisarchyk and Lee 2020, "Efficient memory management for deep neural net inference").
 * Quadratic in the number of places, which is a few hundred.
 *
 * Known to go wrong: an op may read its inputs while it writes, so a value lives through the step of its last reader; with
 * several consumers only the last one in the order of nodes writes the gradient itself, all others write beside it and are
 * added; a backward pass may start at any node, so "the last consumer" may not run, and the place must do for the others.
 */
#include "tensor/plan.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/size.h"

enum { ALIGNMENT = 64, GRAIN_WORK = 1 << 16 }; /* operations that are worth a thread's waking */

/* What the steps of planning share. */
typedef struct planner {
    plan *plan;
    const graph *graph;
    run_options options;
    const kernels *kernels;
    bool overflows;
} planner;

/* The nodes an op reads, as its functions want them. */
static void inputs_of(const graph *g, const graph_node *n, const graph_node *in[NODE_INPUTS])
{
    for (int j = 0; j < NODE_INPUTS; j++)
        in[j] = n->in[j] == NODE_NONE ? NULL : &g->nodes[n->in[j]];
}

/* Does a gradient go into input j of a node, should that have one? */
static bool passes_to(const graph_node *n, int j) { return n->in[j] != NODE_NONE && !(n->op->stopped_inputs >> j & 1U); }

static bool round_up(size_t *bytes)
{
    return size_add(bytes, *bytes, ALIGNMENT - 1) && (*bytes &= ~(size_t)(ALIGNMENT - 1), true);
}

static size_t seeds_of(const planner *s) { return s->options.seeds > 0 ? s->options.seeds : 1; }

/* Give a place its size and life; sizes that wrap are remembered. */
static void live(planner *s, place *at, size_t elements, size_t each, uint32_t first, uint32_t last)
{
    *at = (place){.first = first, .last = last, .exists = true};
    if (!size_mul(&at->bytes, elements, each) || !size_mul(&at->bytes, at->bytes, sizeof(real)) || !round_up(&at->bytes))
        s->overflows = true;
}

static void live_until(place *at, uint32_t step)
{
    if (at->last < step)
        at->last = step;
}

/* Which nodes have gradients, and whose way back is walked. */
static tkr_status mark_gradients(planner *s, tkr_error *error)
{
    for (size_t i = 0; s->options.backward && i < s->plan->count; i++) {
        const graph_node *n = &s->graph->nodes[i];
        node_plan *np = &s->plan->nodes[i];
        bool passes = false;
        for (int j = 0; j < n->op->inputs; j++)
            if (passes_to(n, j))
                passes = passes || s->plan->nodes[n->in[j]].needs_gradient;
        np->has_way_back = passes && !n->is_source;
        np->needs_gradient = passes || n->is_source || n->is_gradient_kept;
        if (np->has_way_back && n->op->backward[RULE_GRADIENT] == NULL)
            return fail(error, TKR_E_INTERNAL, "node %zu: op %s has no way back", i, n->op->name);
        if (np->has_way_back && n->params.cache != NULL)
            return fail(error, TKR_E_INTERNAL, "node %zu: op %s has no way back over a cache", i, n->op->name);
        if (np->has_way_back && (n->params.listed != NULL || n->params.places != NULL))
            return fail(error, TKR_E_INTERNAL, "node %zu: op %s has no way back over keys that are listed", i, n->op->name);
    }
    return TKR_OK;
}

/* Values live until their last reader; what a way back reads, and what is kept, lives to the end. */
static void plan_values(planner *s)
{
    plan *p = s->plan;
    for (size_t i = 0; i < p->count; i++) {
        const graph_node *n = &s->graph->nodes[i];
        node_plan *np = &p->nodes[i];
        uint32_t now = (uint32_t)i;
        bool keeps_own = n->is_kept || (np->has_way_back && n->op->keeps_output);
        live(s, &np->places[PLACE_VALUE], n->rows, n->width, now, keeps_own ? p->end : now);
        for (int j = 0; j < n->op->inputs; j++) {
            bool keeps = np->has_way_back && (n->op->keeps_inputs >> j & 1U);
            if (n->in[j] != NODE_NONE)
                live_until(&p->nodes[n->in[j]].places[PLACE_VALUE], keeps ? p->end : now);
        }
        if (n->op->saved != NULL && (np->has_way_back || n->saves_kept)) {
            const graph_node *in[NODE_INPUTS];
            inputs_of(s->graph, n, in);
            live(s, &np->places[PLACE_SAVED], n->op->saved(n, in), 1, now, p->end);
        }
    }
}

/* Room for a node's gradient under every seed. */
static void live_gradient(planner *s, place *at, const graph_node *n, uint32_t first, uint32_t last)
{
    size_t rows = 0;
    if (!size_mul(&rows, n->rows, seeds_of(s)))
        s->overflows = true;
    live(s, at, rows, n->width, first, last);
}

/* Gradients live from their first writer to the node's own way back.  Walked as the backward pass walks. */
static void plan_gradients(planner *s)
{
    plan *p = s->plan;
    for (size_t i = p->count; i-- > 0;) {
        const graph_node *n = &s->graph->nodes[i];
        node_plan *np = &p->nodes[i];
        uint32_t now = plan_step_back(p, i), last = n->is_gradient_kept ? p->end : now;
        if (np->needs_gradient && !np->has_first_writer && (s->options.beyond == 0 || (node)i != s->options.beyond))
            live_gradient(s, &np->places[PLACE_GRADIENT], n, now, last);
        if (np->has_way_back && n->op->is_whole)
            live(s, &np->places[PLACE_ROWS], n->rows, seeds_of(s), now, now); /* a number is no larger than a real */
        for (int j = 0; np->has_way_back && j < n->op->inputs; j++) {
            if (!passes_to(n, j))
                continue;
            const graph_node *x = &s->graph->nodes[n->in[j]];
            node_plan *xp = &p->nodes[n->in[j]];
            if (xp->needs_gradient && !xp->has_first_writer) {
                xp->has_first_writer = true;
                live_gradient(s, &xp->places[PLACE_GRADIENT], x, now,
                              x->is_gradient_kept ? p->end : plan_step_back(p, (size_t)n->in[j]));
            } else if (xp->needs_gradient || n->op->is_joint) {
                live_gradient(s, &np->places[PLACE_TEMPORARY + j], x, now, now);
            }
        }
    }
}

/* Least units a thread gets, so that waking it pays. */
static size_t grain_of(double work, size_t units)
{
    if (units == 0 || work <= 0)
        return 1;
    double grain = ceil(GRAIN_WORK * (double)units / work);
    return grain < (double)units ? (size_t)grain : units;
}

/* Units, grains, scratch and operations. */
static void plan_work(planner *s)
{
    plan *p = s->plan;
    for (size_t i = 0; i < p->count; i++) {
        const graph_node *n = &s->graph->nodes[i], *in[NODE_INPUTS];
        node_plan *np = &p->nodes[i];
        inputs_of(s->graph, n, in);
        np->units = n->op->units != NULL ? n->op->units(n, in) : n->rows;
        if (np->has_way_back && np->units > p->most_units)
            p->most_units = np->units;
        for (int back = 0; back <= np->has_way_back; back++) {
            double work = n->op->flops(n, in, back);
            p->flops += work;
            np->grain[back] = grain_of(work + (double)n->rows * (double)n->width, np->units);
            size_t bytes = 0;
            if (n->op->scratch != NULL &&
                (!size_mul(&bytes, n->op->scratch(n, in, s->kernels, back), sizeof(real)) || !round_up(&bytes)))
                s->overflows = true;
            p->scratch_stride = bytes > p->scratch_stride ? bytes : p->scratch_stride;
        }
    }
}

/* Is a weight multiplied by an earlier node too? */
static bool is_packed_before(const planner *s, size_t node_index)
{
    for (size_t i = 0; i < node_index; i++) {
        const graph_node *n = &s->graph->nodes[i];
        if (n->op->is_whole && n->weights[0] == s->graph->nodes[node_index].weights[0])
            return true;
    }
    return false;
}

/* Packed weights that the run will still make, each once: both ways read the same pack. */
static void plan_packs(planner *s)
{
    for (size_t i = 0; i < s->plan->count; i++) {
        const graph_node *n = &s->graph->nodes[i];
        if (n->op->is_whole && n->weights[0] != NULL && !is_packed_before(s, i) &&
            !size_add(&s->plan->pack_bytes, s->plan->pack_bytes, weight_packed_missing(n->weights[0], s->kernels)))
            s->overflows = true;
    }
}

/* Largest first; among equals in the order of the table, so that plans are the same everywhere. */
static int by_size(const void *a, const void *b)
{
    const place *x = *(const place *const *)a, *y = *(const place *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x < y ? -1 : x > y;
}

/* The smallest gap between the places laid so far (by offset) that live at the same time. */
static size_t best_offset(const place *const *laid, size_t count, const place *fresh, size_t begin)
{
    size_t end = begin, best = SIZE_MAX, best_gap = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        const place *other = laid[i];
        if (other->last < fresh->first || fresh->last < other->first)
            continue;
        if (other->offset > end && other->offset - end >= fresh->bytes && other->offset - end < best_gap) {
            best = end;
            best_gap = other->offset - end;
        }
        if (other->offset + other->bytes > end)
            end = other->offset + other->bytes;
    }
    return best != SIZE_MAX ? best : end;
}

/* Move laid[at] back to where its offset belongs among those before it. */
static void sort_in(const place **laid, size_t at)
{
    const place *fresh = laid[at];
    for (; at > 0 && laid[at - 1]->offset > fresh->offset; at--)
        laid[at] = laid[at - 1];
    laid[at] = fresh;
}

/* Offsets for all places, behind the scratch. */
static bool lay_out(planner *s, int threads)
{
    plan *p = s->plan;
    if (!size_mul(&p->block_bytes, p->scratch_stride, (size_t)threads))
        return false;
    size_t begin = p->block_bytes;
    for (size_t i = 0; i < p->count; i++)
        for (size_t j = 0; j < PLACES; j++)
            if (p->nodes[i].places[j].exists)
                p->order[p->placed++] = &p->nodes[i].places[j];
    qsort(p->order, p->placed, sizeof *p->order, by_size);
    for (size_t i = 0; i < p->placed; i++) {
        place *fresh = (place *)p->order[i]; /* the array holds our own places */
        fresh->offset = s->options.no_reuse ? p->block_bytes : best_offset(p->order, i, fresh, begin);
        size_t end;
        if (!size_add(&end, fresh->offset, fresh->bytes))
            return false;
        p->block_bytes = end > p->block_bytes ? end : p->block_bytes;
        sort_in(p->order, i);
    }
    return true;
}

tkr_status plan_make(plan *p, const graph *g, run_options options, const kernels *k, int threads, tkr_error *error)
{
    *p = (plan){.count = g->count, .end = (uint32_t)g->count * 2};
    if (g->status != TKR_OK)
        return fail(error, TKR_E_INTERNAL, "a graph that failed while it was built cannot be run");
    p->nodes = NEW(node_plan, g->count);
    p->order = NEW(const place *, g->count * PLACES);
    p->table_bytes = g->count * (sizeof *p->nodes + PLACES * sizeof *p->order);
    if (p->nodes == NULL || p->order == NULL)
        return fail_memory(error, "memory plan", p->table_bytes);

    planner s = {.plan = p, .graph = g, .options = options, .kernels = k};
    tkr_status status = mark_gradients(&s, error);
    if (status != TKR_OK)
        return status;
    plan_values(&s);
    plan_gradients(&s);
    plan_work(&s);
    plan_packs(&s);
    if (s.overflows || !lay_out(&s, threads)) {
        fail(error, TKR_E_LIMIT_MEMORY, "the run needs more than 16 EiB");
        fail_help(error, "use a shorter text, or fewer texts at once");
        return TKR_E_LIMIT_MEMORY;
    }
    return TKR_OK;
}

void plan_fini(plan *p)
{
    memory_free(p->nodes);
    memory_free((void *)p->order);
    *p = (plan){0};
}
