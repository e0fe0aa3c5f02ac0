/*
 * Running a graph over the places of its plan.
 *
 * Row-wise ops are cut into units and spread over the pool; ops that multiply matrices spread themselves.  Whatever the
 * cut, a unit computes the same bits.  Gradients of a node with several consumers are added in the fixed order of the
 * backward walk (last consumer first), so their bits depend on nothing either.
 *
 * One way back may take several seeds.  Gradients then have the rows of seed 0, those of seed 1, ..., and units are counted on
 * from seed to seed: products get all rows at once, other ops the part of one seed after the other.
 *
 * An intervention changes a value in place; the way back treats it as the identity, so the gradient that arrives above the
 * site is the gradient with respect to the changed value.
 */
#include "tensor/run.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/size.h"
#include "tensor/plan.h"

enum { MOST_INTERVENTIONS = 64, CHECK_GRAIN = 1 << 15, ADD_GRAIN = 1 << 14 };

typedef struct intervention {
    int32_t site;
    intervene_fn *call;
    void *user;
} intervention;

struct runner {
    const graph *graph;
    run_options options;
    const kernels *kernels;
    pool *threads;
    plan plan;
    unsigned char *block;
    int32_t *first_site, *next_site; /* sites of each node, as chains; -1 ends one     */
    bool *has_gradient;              /* in this backward pass                          */
    double *absorbed;                /* [seeds][plan.most_units][ABSORBED_KINDS] of one node */
    op_rule rule;                    /* of this backward pass                          */
    size_t seeds;                    /* of this backward pass                          */
    bool has_forward, has_backward;
    size_t intervention_count;
    intervention interventions[MOST_INTERVENTIONS];
};

static size_t most_seeds(run_options options) { return options.seeds > 0 ? options.seeds : 1; }

/* Heap bytes of a runner besides its block and its plan's tables.  (Rows are counted in 32 bits: nothing wraps.) */
static size_t own_bytes(const plan *p, const graph *g, run_options options)
{
    return sizeof(runner) + g->count * (sizeof(int32_t) + sizeof(bool)) + g->site_count * sizeof(int32_t) +
           most_seeds(options) * p->most_units * ABSORBED_KINDS * sizeof(double);
}

static bool held_bytes(const plan *p, const graph *g, run_options options, size_t *bytes)
{
    return size_add(bytes, own_bytes(p, g, options), p->table_bytes) && size_add(bytes, *bytes, p->block_bytes);
}

tkr_status run_plan(const graph *g, run_options options, const kernels *k, int threads, size_t *block_bytes,
                    size_t *pack_bytes, double *flops, tkr_error *error)
{
    plan p;
    tkr_status status = plan_make(&p, g, options, k, threads, error);
    if (status == TKR_OK && !held_bytes(&p, g, options, block_bytes))
        status = fail(error, TKR_E_LIMIT_MEMORY, "the run needs more than 16 EiB");
    *pack_bytes = p.pack_bytes;
    *flops = p.flops;
    plan_fini(&p);
    return status;
}

/* Chain the sites of each node, in the order they were named. */
static void link_sites(runner *r)
{
    for (size_t i = 0; i < r->graph->count; i++)
        r->first_site[i] = -1;
    for (size_t s = r->graph->site_count; s-- > 0;) {
        int32_t *first = &r->first_site[r->graph->sites[s].node];
        r->next_site[s] = *first;
        *first = (int32_t)s;
    }
}

runner *runner_new(const graph *g, run_options options, const kernels *k, pool *threads, tkr_error *error)
{
    runner *r = NEW(runner, 1);
    if (r == NULL)
        return fail_memory(error, "runner", sizeof *r), NULL;
    r->graph = g;
    r->options = options;
    r->kernels = k;
    r->threads = threads;
    if (plan_make(&r->plan, g, options, k, pool_threads(threads), error) != TKR_OK)
        goto fail;
    r->first_site = NEW(int32_t, g->count);
    r->next_site = NEW(int32_t, g->site_count);
    r->has_gradient = NEW(bool, g->count);
    r->absorbed = NEW(double, most_seeds(options) * r->plan.most_units * ABSORBED_KINDS);
    r->block = memory_new_aligned(r->plan.block_bytes);
    if (r->first_site == NULL || r->next_site == NULL || r->has_gradient == NULL || r->absorbed == NULL ||
        r->block == NULL) {
        fail_memory(error, "activations", r->plan.block_bytes);
        goto fail;
    }
    link_sites(r);
    return r;
fail:
    runner_free(r);
    return NULL;
}

void runner_free(runner *r)
{
    if (r == NULL)
        return;
    plan_fini(&r->plan);
    memory_free(r->first_site);
    memory_free(r->next_site);
    memory_free(r->has_gradient);
    memory_free(r->absorbed);
    memory_free(r->block);
    memory_free(r);
}

size_t runner_bytes(const runner *r)
{
    return own_bytes(&r->plan, r->graph, r->options) + r->plan.table_bytes + r->plan.block_bytes;
}

/* A place of a node, or NULL when there is none or its time is over. */
static real *at_place(const runner *r, node n, int kind, uint32_t step)
{
    const place *p = &r->plan.nodes[n].places[kind];
    if (!p->exists || p->first > step || p->last < step)
        return NULL;
    return (real *)(void *)(r->block + p->offset);
}

/* Tests: make what nobody may read any more unreadable. */
static void poison_after(runner *r, uint32_t step)
{
    for (size_t i = 0; r->options.poison && i < r->plan.placed; i++)
        if (r->plan.order[i]->last == step)
            memset(r->block + r->plan.order[i]->offset, 0xff, r->plan.order[i]->bytes);
}

/* One op over its units, on several threads. */
typedef struct spread {
    tkr_status (*work)(const op_call *c, size_t begin, size_t end);
    const op_call *call;
    unsigned char *scratch;
    size_t scratch_stride, units; /* units: of one seed */
    atomic_int failed;
} spread;

/* What a call is for one seed. */
static op_call call_of_seed(const op_call *c, size_t seed, size_t units)
{
    op_call one = *c;
    if (seed == 0)
        return one;
    one.dout += seed * c->node->rows * c->node->width;
    for (int j = 0; j < NODE_INPUTS; j++)
        if (one.din[j] != NULL)
            one.din[j] += seed * c->in_node[j]->rows * c->in_node[j]->width;
    if (one.absorbed != NULL)
        one.absorbed += seed * units * ABSORBED_KINDS;
    return one;
}

/* Units [begin, end), counted on from seed to seed. */
static tkr_status work_on(const spread *s, const op_call *c, size_t begin, size_t end)
{
    tkr_status status = TKR_OK;
    for (size_t at = begin, next; status == TKR_OK && at < end; at = next) {
        const size_t seed = at / s->units, first = seed * s->units;
        next = end - first < s->units ? end : first + s->units;
        op_call one = call_of_seed(c, seed, s->units);
        status = s->work(&one, at - first, next - first);
    }
    return status;
}

static void spread_task(void *context, size_t begin, size_t end, int thread)
{
    spread *s = context;
    op_call call = *s->call;
    call.scratch = (real *)(void *)(s->scratch + (size_t)thread * s->scratch_stride);
    call.error = NULL;
    if (work_on(s, &call, begin, end) != TKR_OK)
        atomic_store(&s->failed, 1);
}

/* The error object belongs to the caller's thread: after a failure the units are walked again there to name the first. */
static tkr_status run_op(runner *r, node n, tkr_status (*work)(const op_call *c, size_t begin, size_t end), op_call *c,
                         bool back)
{
    const node_plan *np = &r->plan.nodes[n];
    const size_t units = np->units * (back ? r->seeds : 1);
    c->scratch = (real *)(void *)r->block;
    if (units == 0)
        return TKR_OK;
    if (c->node->op->is_whole)
        return work(c, 0, units);
    spread s = {.work = work, .call = c, .scratch = r->block, .scratch_stride = r->plan.scratch_stride, .units = np->units};
    parallel_for(r->threads, units, np->grain[back], spread_task, &s);
    return s.failed ? work_on(&s, c, 0, units) : TKR_OK;
}

static op_call call_at(const runner *r, node n, uint32_t step, tkr_error *error)
{
    const graph_node *self = &r->graph->nodes[n];
    op_call c = {.node = self, .kernels = r->kernels, .threads = r->threads, .error = error};
    for (int j = 0; j < self->op->inputs; j++) {
        if (self->in[j] == NODE_NONE)
            continue;
        c.in_node[j] = &r->graph->nodes[self->in[j]];
        c.in[j] = at_place(r, self->in[j], PLACE_VALUE, step);
    }
    c.out = at_place(r, n, PLACE_VALUE, step);
    c.saved = at_place(r, n, PLACE_SAVED, step);
    return c;
}

/* A search for numbers that are not finite. */
typedef struct finite_check {
    const kernels *kernels;
    const real *values;
    atomic_int failed;
} finite_check;

static void finite_task(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    finite_check *f = context;
    if (!f->kernels->is_finite(f->values + begin, end - begin))
        atomic_store(&f->failed, 1);
}

/* One quick pass; numbers are counted only when it complains. */
static tkr_status check_finite(runner *r, const graph_site *site, const real *values, size_t count, tkr_error *error)
{
    finite_check f = {.kernels = r->kernels, .values = values};
    parallel_for(r->threads, count, CHECK_GRAIN, finite_task, &f);
    size_t nan = 0, infinite = 0;
    for (size_t i = 0; f.failed && i < count; i++) {
        nan += isnan(values[i]) != 0;
        infinite += isinf(values[i]) != 0;
    }
    if (nan == 0 && infinite == 0)
        return TKR_OK;
    char counts[64];
    if (nan != 0 && infinite != 0)
        (void)snprintf(counts, sizeof counts, "%zu NaN, %zu Inf", nan, infinite);
    else
        (void)snprintf(counts, sizeof counts, "%zu %s", nan + infinite, nan != 0 ? "NaN" : "Inf");
    fail(error, TKR_E_NUM_FORWARD, "%s is not finite (%s); the model overflows float32 here", site->name, counts);
    fail_help(error, "no explanation of this input can be computed with this model; try another text");
    return TKR_E_NUM_FORWARD;
}

static tkr_status intervene(runner *r, int32_t site, tkr_error *error)
{
    const graph_site *s = &r->graph->sites[site];
    const graph_node *n = &r->graph->nodes[s->node];
    tkr_status status = TKR_OK;
    for (size_t i = 0; status == TKR_OK && i < r->intervention_count; i++)
        if (r->interventions[i].site == site)
            status = r->interventions[i].call(r->interventions[i].user, n,
                                              at_place(r, s->node, PLACE_VALUE, (uint32_t)s->node), error);
    return status;
}

/* Interventions at the sites of a node, then the checks of what came out. */
static tkr_status visit_sites(runner *r, node n, const op_call *c, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (int32_t s = r->first_site[n]; status == TKR_OK && s >= 0; s = r->next_site[s])
        status = intervene(r, s, error);
    for (int32_t s = r->first_site[n]; status == TKR_OK && s >= 0; s = r->next_site[s]) {
        const graph_site *site = &r->graph->sites[s];
        if (!site->is_saved)
            status = check_finite(r, site, c->out, c->node->rows * c->node->width, error);
        else if (c->saved != NULL)
            status = check_finite(r, site, c->saved, c->node->op->saved(c->node, c->in_node), error);
    }
    return status;
}

tkr_status runner_forward(runner *r, tkr_error *error)
{
    r->has_forward = r->has_backward = false;
    if (r->options.poison)
        memset(r->block, 0xff, r->plan.block_bytes);
    for (node n = 0; (size_t)n < r->graph->count; n++) {
        op_call c = call_at(r, n, (uint32_t)n, error);
        tkr_status status = run_op(r, n, c.node->op->forward, &c, false);
        if (status == TKR_OK)
            status = visit_sites(r, n, &c, error);
        if (status != TKR_OK)
            return status;
        poison_after(r, (uint32_t)n);
    }
    r->has_forward = true;
    return TKR_OK;
}

/* y += x, element by element. */
typedef struct addition {
    const kernels *kernels;
    real *y;
    const real *x;
} addition;

static void add_task(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    const addition *a = context;
    a->kernels->add(a->y + begin, a->y + begin, a->x + begin, end - begin);
}

/* Where input j's gradient is written: its own place by the first writer, beside it by later ones. */
static void aim_gradients(runner *r, node n, op_call *c)
{
    uint32_t step = plan_step_back(&r->plan, (size_t)n);
    for (int j = 0; j < c->node->op->inputs; j++) {
        node x = c->node->in[j];
        if (x == NODE_NONE || (c->node->op->stopped_inputs >> j & 1U))
            continue;
        if (r->plan.nodes[x].needs_gradient && !r->has_gradient[x]) {
            c->din[j] = at_place(r, x, PLACE_GRADIENT, step);
            r->has_gradient[x] = true;
        } else {
            c->din[j] = at_place(r, n, PLACE_TEMPORARY + j, step);
        }
    }
}

/* Add what was written beside. */
static void add_gradients(runner *r, node n, const op_call *c)
{
    uint32_t step = plan_step_back(&r->plan, (size_t)n);
    for (int j = 0; j < c->node->op->inputs; j++) {
        node x = c->node->in[j];
        if (c->din[j] == NULL || !r->plan.nodes[x].needs_gradient)
            continue;
        real *gradient = at_place(r, x, PLACE_GRADIENT, step);
        addition a = {.kernels = r->kernels, .y = gradient, .x = c->din[j]};
        if (c->din[j] != gradient)
            parallel_for(r->threads, r->seeds * c->in_node[j]->rows * c->in_node[j]->width, ADD_GRAIN, add_task, &a);
    }
}

/* What the units of a node kept back under each seed, summed in their order. */
static void sum_absorbed(const runner *r, node n, double *absorbed)
{
    const size_t units = r->plan.nodes[n].units;
    for (size_t u = 0; u < r->seeds * units; u++)
        for (size_t k = 0; k < ABSORBED_KINDS; k++)
            absorbed[(u / units * r->graph->count + (size_t)n) * ABSORBED_KINDS + k] += r->absorbed[u * ABSORBED_KINDS + k];
}

/* The way back of one node. */
static tkr_status step_back(runner *r, node n, double *absorbed, tkr_error *error)
{
    const uint32_t step = plan_step_back(&r->plan, (size_t)n);
    op_call c = call_at(r, n, step, error);
    if (c.node->op->backward[r->rule] == NULL)
        return fail(error, TKR_E_INTERNAL, "node %d: op %s has no way back under rule %d", (int)n, c.node->op->name,
                    (int)r->rule);
    c.dout = at_place(r, n, PLACE_GRADIENT, step);
    c.rows = (uint32_t *)(void *)at_place(r, n, PLACE_ROWS, step);
    if (absorbed != NULL) {
        memset(r->absorbed, 0, r->seeds * r->plan.nodes[n].units * ABSORBED_KINDS * sizeof *r->absorbed);
        c.absorbed = r->absorbed;
    }
    aim_gradients(r, n, &c);
    tkr_status status = run_op(r, n, c.node->op->backward[r->rule], &c, true);
    if (status != TKR_OK)
        return status;
    add_gradients(r, n, &c);
    if (absorbed != NULL)
        sum_absorbed(r, n, absorbed);
    return TKR_OK;
}

static tkr_status walk_back(runner *r, node from, double *absorbed, tkr_error *error)
{
    for (node n = from; n >= 0; n--) {
        if (r->has_gradient[n] && r->plan.nodes[n].has_way_back) {
            tkr_status status = step_back(r, n, absorbed, error);
            if (status != TKR_OK)
                return status;
        }
        poison_after(r, plan_step_back(&r->plan, (size_t)n));
    }
    return TKR_OK;
}

/* Kept gradients that nothing reached are zero. */
static void clear_unreached(const runner *r)
{
    for (node n = 0; (size_t)n < r->graph->count; n++) {
        const graph_node *kept = &r->graph->nodes[n];
        real *gradient = kept->is_gradient_kept ? at_place(r, n, PLACE_GRADIENT, r->plan.end) : NULL;
        if (gradient != NULL && !r->has_gradient[n])
            memset(gradient, 0, r->seeds * kept->rows * kept->width * sizeof(real));
    }
}

static bool can_go_back(const runner *r, node from, size_t count)
{
    return r->options.backward && r->has_forward && from >= 0 && (size_t)from < r->graph->count &&
           (r->options.beyond == 0 || from < r->options.beyond) && count > 0 && count <= most_seeds(r->options);
}

tkr_status runner_backward_many(runner *r, op_rule rule, node from, const real *seeds, size_t count, double *absorbed,
                                tkr_error *error)
{
    r->has_backward = false;
    if (!can_go_back(r, from, count))
        return fail(error, TKR_E_INTERNAL,
                    "backward from node %d of %zu with %zu seeds: needs a plan with room for it and a forward run", (int)from,
                    r->graph->count, count);
    const graph_node *start = &r->graph->nodes[from];
    r->rule = rule;
    r->seeds = count;
    memset(r->has_gradient, 0, r->graph->count * sizeof *r->has_gradient);
    if (absorbed != NULL)
        memset(absorbed, 0, count * r->graph->count * ABSORBED_KINDS * sizeof *absorbed);
    if (r->plan.nodes[from].needs_gradient) {
        real *gradient = at_place(r, from, PLACE_GRADIENT, plan_step_back(&r->plan, (size_t)from));
        memcpy(gradient, seeds, count * start->rows * start->width * sizeof(real));
        r->has_gradient[from] = true;
    }
    tkr_status status = walk_back(r, from, absorbed, error);
    if (status != TKR_OK)
        return status;
    clear_unreached(r);
    r->has_backward = true;
    return TKR_OK;
}

tkr_status runner_backward_under(runner *r, op_rule rule, node from, const real *seed, double *absorbed, tkr_error *error)
{
    return runner_backward_many(r, rule, from, seed, 1, absorbed, error);
}

tkr_status runner_backward(runner *r, node from, const real *seed, tkr_error *error)
{
    return runner_backward_under(r, RULE_GRADIENT, from, seed, NULL, error);
}

static void remove_interventions(runner *r, int32_t site)
{
    size_t left = 0;
    for (size_t i = 0; i < r->intervention_count; i++)
        if (r->interventions[i].site != site)
            r->interventions[left++] = r->interventions[i];
    r->intervention_count = left;
}

tkr_status runner_intervene(runner *r, const char *site, intervene_fn *call, void *user, tkr_error *error)
{
    const graph_site *found = graph_site_find(r->graph, site);
    if (found == NULL)
        return fail(error, TKR_E_USAGE_ARGUMENT, "no site %s in this model's graph", QUOTE(view_of(site)));
    if (found->is_saved)
        return fail(error, TKR_E_USAGE_ARGUMENT, "site %s can be read but not changed", QUOTE(view_of(site)));
    int32_t index = (int32_t)(found - r->graph->sites);
    if (call == NULL) {
        remove_interventions(r, index);
        return TKR_OK;
    }
    if (r->intervention_count == MOST_INTERVENTIONS)
        return fail(error, TKR_E_USAGE_ARGUMENT, "at most %d interventions at a time", MOST_INTERVENTIONS);
    r->interventions[r->intervention_count++] = (intervention){.site = index, .call = call, .user = user};
    return TKR_OK;
}

const real *runner_value(const runner *r, node n)
{
    return r->has_forward && r->graph->nodes[n].is_kept ? at_place(r, n, PLACE_VALUE, r->plan.end) : NULL;
}

const real *runner_saved(const runner *r, node n)
{
    return r->has_forward && r->graph->nodes[n].saves_kept ? at_place(r, n, PLACE_SAVED, r->plan.end) : NULL;
}

const real *runner_gradient(const runner *r, node n)
{
    return r->has_backward && r->graph->nodes[n].is_gradient_kept ? at_place(r, n, PLACE_GRADIENT, r->plan.end) : NULL;
}
