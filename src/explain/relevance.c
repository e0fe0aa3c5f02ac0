/*
 * Relevance per token and the ledger.  The relevance of a row is <x, dx> with dx the modified gradient; tokens are rows of the
 * question's places, so relevance ends where gradients do.  Inside the layers there is no ledger: what flows past a site, by
 * the residual or another stack, is not at it.
 *
 * Known to go wrong: relevance that lies on template tokens and on the first token of a decoder is often large; it is the
 * `special` number and no error.  f itself is conserved for logits and their differences only: for probabilities <df/dz, z> is.
 */
#include "explain/relevance.h"

#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"

const char *const relevance_part_ids[RELEVANCE_PART_COUNT] = {
#define RELEVANCE_ID(name, id) id,
    RELEVANCE_PARTS(RELEVANCE_ID)
#undef RELEVANCE_ID
};

/* One target's account. */
typedef struct account {
    double seeded;  /* <df/dz, z>                                    */
    double found;   /* relevance of the tokens and all that was kept */
    double sizes;   /* sum of their sizes                            */
} account;

/* What an op's constant is: a bias, or the table whose rows it adds. */
static size_t part_of_constant(const pass *p, const graph_node *n)
{
    if (n->op == &op_linear)
        return RELEVANCE_LINEAR;
    if (n->op == &op_layer_norm)
        return RELEVANCE_NORM;
    if (n->op == &op_attention)
        return RELEVANCE_DISTANCE;
    if (n->op != &op_add)
        return RELEVANCE_ACTIVATION;
    for (int j = 0; j < n->op->inputs; j++)
        if (p->graph.graph->nodes[n->in[j]].params.index == p->batch.types)
            return RELEVANCE_SEGMENT;
    return RELEVANCE_POSITION;
}

static void sum_ledger(const pass *p, const double *absorbed, double *ledger, account *sum)
{
    for (size_t n = 0; n < p->graph.graph->count; n++) {
        const double *kept = absorbed + n * ABSORBED_KINDS;
        ledger[part_of_constant(p, &p->graph.graph->nodes[n])] += kept[ABSORBED_CONSTANT];
        ledger[RELEVANCE_SOFTMAX] += kept[ABSORBED_SOFTMAX];
        sum->found += kept[ABSORBED_CONSTANT] + kept[ABSORBED_SOFTMAX];
        sum->sizes += fabs(kept[ABSORBED_CONSTANT]) + fabs(kept[ABSORBED_SOFTMAX]);
    }
}

static void sum_tokens(const question *q, const double *relevance, account *sum)
{
    for (size_t i = 0; i < q->length; i++) {
        sum->found += relevance[i];
        sum->sizes += fabs(relevance[i]);
    }
}

static tkr_status warn_leak(method_call *c, double gap, tkr_error *error)
{
    char share[NUMBER_ROOM];
    return method_warn(c, error, "lrp.leak", "-M gxi, or a contrast as target",
                       "%s: %s%% of the relevance is neither on tokens nor in the ledger (tolerance 0.01%%)", c->id, number_fixed(share, 100 * gap, 3));
}

static tkr_status check_conservation(method_call *c, const account *sum, tkr_error *error)
{
    const double tolerance = 1e-4;
    double miss = fabs(sum->found - sum->seeded), sizes = fmax(sum->sizes, fabs(sum->seeded));
    double gap = sizes > 0 ? miss / sizes : 0;
    tkr_check check = {.method = c->id, .name = "conservation", .expected = sum->seeded, .actual = sum->found, .gap = gap,
                       .tolerance = tolerance, .ok = gap <= tolerance};
    tkr_status status = result_add_check(c->result, check, error);
    return status || check.ok ? status : warn_leak(c, gap, error);
}

/* The account of a target is closed where all relevance arrives: below the layers. */
static tkr_status read_target(method_call *c, const ways_back *w, size_t i, tkr_error *error)
{
    const question *q = c->q;
    const size_t t = w->first + i;
    tkr_status status = local_add_products(c, w, i, error);
    if (status || !c->ledger)
        return status;
    account sum = {.seeded = w->seeded[i]};
    sum_tokens(q, (c->place_scores ? c->place_scores : c->token_scores) + t * q->length, &sum);
    sum_ledger(w->p, w->absorbed + i * w->p->graph.graph->count * ABSORBED_KINDS, c->ledger + t * RELEVANCE_PART_COUNT, &sum);
    return check_conservation(c, &sum, error);
}

tkr_status relevance_run(method_call *c, op_rule rule, tkr_error *error)
{
    const question *q = c->q;
    ways_back w = {.p = q->clean, .rule = rule};
    if (!q->is_deep) {
        const size_t seeds = w.p->shape.seeds;
        w.absorbed = ARENA_NEW(q->arena, double, seeds * w.p->graph.graph->count * ABSORBED_KINDS);
        w.seeded = ARENA_NEW(q->arena, double, seeds);
        c->ledger = ARENA_NEW(q->arena, double, q->target_count * RELEVANCE_PART_COUNT);
        if (!w.absorbed || !w.seeded || !c->ledger)
            return fail_memory(error, "a ledger", q->target_count);
    }
    return local_walk(c, &w, read_target, error);
}
