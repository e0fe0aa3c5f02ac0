/*
 * The memory plan: which node needs what, from when to when, and where it lies in the block.
 *
 * Time is counted in steps: node i is computed at i, its way back is walked at 2n - 1 - i, and 2n is "after the run".  A
 * value that a way back reads lives to the end, because several backward passes may follow one forward pass.  Gradients have
 * room for every seed of a way back, one after the other.
 */
#ifndef TENSOR_PLAN_H
#define TENSOR_PLAN_H

#include "tensor/run.h"

/* What a node may need room for. */
enum { PLACE_VALUE = 0, PLACE_SAVED, PLACE_GRADIENT, PLACE_ROWS, PLACE_TEMPORARY, PLACES = PLACE_TEMPORARY + NODE_INPUTS };

typedef struct place {
    size_t bytes, offset;     /* offset from the beginning of the block */
    uint32_t first, last;     /* steps, both included                   */
    bool exists;
} place;

typedef struct node_plan {
    place places[PLACES];     /* rows: op_call.rows; temporary j: a later gradient of input j, or one nobody wants */
    size_t units;             /* of parallel work                                                     */
    size_t grain[2];          /* least units a thread gets: forward, backward                         */
    bool needs_gradient;      /* a source or a kept gradient is at or below it                        */
    bool has_way_back;        /* its op's backward is called                                          */
    bool has_first_writer;    /* while planning: some consumer already writes the gradient directly   */
} node_plan;

typedef struct plan {
    size_t count;             /* nodes                                            */
    uint32_t end;             /* the step after the run, 2 count                  */
    node_plan *nodes;
    const place **order;      /* places by offset, [placed]                       */
    size_t placed;
    size_t most_units;        /* of a node with a way back                        */
    size_t scratch_stride;    /* bytes of scratch a thread, from the block's begin */
    size_t table_bytes;       /* heap bytes of the two arrays above               */
    size_t block_bytes;       /* scratch and places                               */
    size_t pack_bytes;        /* packed weights still missing                     */
    double flops;             /* one forward pass, and one backward pass if any   */
} plan;

/* Make a plan; free it with plan_fini (also after an error).  Errors: limit.oom, limit.memory, internal (an op without a way
 * back). */
tkr_status plan_make(plan *p, const graph *g, run_options options, const kernels *k, int threads, tkr_error *error);
void plan_fini(plan *p);

/* The step at which a node's way back is walked. */
static inline uint32_t plan_step_back(const plan *p, size_t n) { return p->end - 1 - (uint32_t)n; }

#endif
