/*
 * Running a graph: a memory plan known before the run, a forward pass, and a way back with respect to activations only.
 *
 * The plan gives every value, saved number and gradient its place in one block by lifetime: in forward-only runs a value's
 * place is reused after its last reader; with a backward pass what the way back reads stays.  Nothing is allocated during a
 * run.  A runner belongs to one session and may run its graph many times (other ids, other interventions, same shape).
 */
#ifndef TENSOR_RUN_H
#define TENSOR_RUN_H

#include "tensor/graph.h"
#include "tensor/op.h"

typedef struct runner runner;

typedef struct run_options {
    bool backward;        /* room for a way back, under any rule                             */
    size_t seeds;         /* most seeds that one way back takes; 0: 1                        */
    node beyond;          /* no way back begins at this node or passes it, so its gradient needs no room; 0: none */
    bool no_reuse;        /* tests: give every value a place of its own                      */
    bool poison;          /* tests: fill places with NaN before a run and when their time is over */
} run_options;

/* Called after the node of a site was computed; may change its rows in place ([rows, width]).  Under a backward pass the
 * gradient of the site is that of the changed value. */
typedef tkr_status intervene_fn(void *user, const graph_node *site, real *rows, tkr_error *error);

/* Bytes the runner's block will take, packed weights that are still missing included separately.  Nothing is allocated. */
tkr_status run_plan(const graph *g, run_options options, const kernels *k, int threads, size_t *block_bytes,
                    size_t *pack_bytes, double *flops, tkr_error *error);

runner *runner_new(const graph *g, run_options options, const kernels *k, pool *threads, tkr_error *error);
void runner_free(runner *r);
/* Heap bytes held (what run_plan said). */
size_t runner_bytes(const runner *r);

/* Intervene at a site in every later forward run; at most 64 at a time; call with NULL to remove all of that site. */
tkr_status runner_intervene(runner *r, const char *site, intervene_fn *call, void *user, tkr_error *error);

/* Forward: all nodes.  Every site is checked for non-finite numbers: num.forward names the first. */
tkr_status runner_forward(runner *r, tkr_error *error);
/* Backward from node `from` with d target / d value = seed [rows, width].  Needs a forward run before it (each backward uses
 * that forward's values; several seeds may follow one forward). */
tkr_status runner_backward(runner *r, node from, const real *seed, tkr_error *error);
/* The same under a rule set.  absorbed [nodes][ABSORBED_KINDS], overwritten: what each node kept from its inputs, 0 where nothing
 * came by; NULL: not wanted.  Whatever is a source, seed . value(from) = sum of gradient . value at the sources + all absorbed,
 * unless something that is neither source nor table row is added on the way. */
tkr_status runner_backward_under(runner *r, op_rule rule, node from, const real *seed, double *absorbed, tkr_error *error);

/* Several ways back at once over the values of one forward run: seeds [count][rows, width], count at most options.seeds;
 * absorbed [count][nodes][ABSORBED_KINDS].  Each has the bits it has alone; the weights are read once for all. */
tkr_status runner_backward_many(runner *r, op_rule rule, node from, const real *seeds, size_t count, double *absorbed,
                                tkr_error *error);

/* Value of a kept node (graph_node.is_kept) after forward; what its op saved (saves_kept). */
const real *runner_value(const runner *r, node n);
const real *runner_saved(const runner *r, node n);
/* Gradient at a node with is_gradient_kept after backward, of each seed [rows, width]; zeros where the target does not depend on
 * it. */
const real *runner_gradient(const runner *r, node n);

#endif
