/*
 * Operations: one descriptor, one file, one line in ops/ops.def.
 *
 * An op knows its shape rule, its forward pass, its way back under each rule set, what it must keep for that, a naive
 * reference in double and sample inputs.  The harness tests/tensor/test_ops.c checks every op of the table alike.
 */
#ifndef TENSOR_OP_H
#define TENSOR_OP_H

#include "base/random.h"
#include "tensor/graph.h"

/*
 * Under which rules a way back runs: the gradient, or relevance in its modified-gradient form, where the relevance of a value
 * x is x dx element by element (Achtibat et al. 2024, "AttnLRP"; Ali et al. 2022, "Conservative propagation", with the identity
 * rule for activations).  Both relevance rules freeze the scale of norms and pass f(x)/x through activations; AttnLRP halves
 * what goes into each factor of a product, CP-LRP gives all of it to the values of attention and to the ungated branch.
 */
typedef enum op_rule { RULE_GRADIENT = 0, RULE_ATTNLRP, RULE_CPLRP, RULE_COUNT } op_rule;

/* What an op may keep from its inputs under a relevance rule, so that out . dout = sum of in . din + what it absorbed. */
enum {
    ABSORBED_CONSTANT = 0, /* by a bias: of a product, a norm, a score, or a table's row that is added */
    ABSORBED_SOFTMAX,      /* by the linearisation of the softmax                                      */
    ABSORBED_KINDS
};

/* One execution of a node.  Pointers are to whole matrices; `begin, end` of a call are units (see op.units). */
typedef struct op_call {
    const graph_node *node;
    const graph_node *in_node[NODE_INPUTS];
    const kernels *kernels;
    pool *threads;                     /* only for ops with .is_whole                           */
    const real *in[NODE_INPUTS];
    real *out;
    real *saved;                       /* what forward leaves for backward, or NULL             */
    real *scratch;                     /* op.scratch elements for this thread, or NULL          */
    /* backward; of whole ops dout, din, rows and the units are those of several seeds, one after the other */
    const real *dout;
    uint32_t *rows;                    /* whole ops: room for a list of the rows of dout        */
    real *din[NODE_INPUTS];            /* to be written whole; NULL: not wanted                 */
    double *absorbed;                  /* [units][ABSORBED_KINDS], zeroed: relevance kept back by each unit; NULL: not asked */
    tkr_error *error;                  /* is_whole ops may fail (packing)                       */
} op_call;

typedef struct op_shape {
    const graph_node *node;            /* inputs, weights, params; rows and segments for sources */
    const graph_node *in[NODE_INPUTS];
    size_t rows, width;                /* out                                                    */
    segments segments;                 /* out                                                    */
} op_shape;

/* A case for the harness: builds inputs, weights and params of a small node from random numbers. */
typedef struct op_sample op_sample;

typedef struct op {
    const char *name;
    int inputs;                        /* number of node inputs                                   */
    unsigned optional_inputs;          /* bit i: input i may be NODE_NONE (in[i], in_node[i] NULL) */
    unsigned stopped_inputs;           /* bit i: no gradient goes into input i (din[i] NULL)      */
    /* Fill rows, width and segments; false refuses the shapes. */
    bool (*shape)(op_shape *s);
    /* Units of parallel work; NULL: one unit a row. */
    size_t (*units)(const graph_node *n, const graph_node *const *in);
    /* The op spreads its own work over threads (products): called once with all units, on the way back with those of all seeds,
     * so its way back reads no forward values (in, out, saved) and its units are the rows. */
    bool is_whole;
    tkr_status (*forward)(const op_call *c, size_t begin, size_t end);
    /* Way back under each rule: all of them or none; NULL: no gradient passes (then inputs need none). */
    tkr_status (*backward[RULE_COUNT])(const op_call *c, size_t begin, size_t end);
    /* What backward reads: bit i = value of input i; keeps_output = the own value. */
    unsigned keeps_inputs;
    bool keeps_output;
    /* The way back fills the din of every input or of none: the runner lends room for those nobody wants. */
    bool is_joint;
    /* Elements of `saved` (kept while a backward pass or a capture needs them; NULL: none), and of scratch a thread. */
    size_t (*saved)(const graph_node *n, const graph_node *const *in);
    size_t (*scratch)(const graph_node *n, const graph_node *const *in, const kernels *k, bool backward);
    /* Floating-point operations of one forward (and of one backward) pass. */
    double (*flops)(const graph_node *n, const graph_node *const *in, bool backward);
    /* Naive reference in double over the whole node: in [i][rows_i * width_i], out [rows * width]. */
    void (*reference)(const graph_node *n, const graph_node *const *in, const double *const *in_values, double *out);
    /* Sample number `index` for the harness; false past the last. */
    bool (*sample)(size_t index, op_sample *s);
} op;

#define DEFINE_OP(id, ...) const op op_##id = {.name = #id, __VA_ARGS__}

/* The table, from ops/ops.def. */
#define OP(id) extern const op op_##id;
#include "tensor/ops/ops.def"
#undef OP
const op *op_at(size_t index); /* NULL past the end */

/* Shape helpers for the rules. */
bool shape_like(op_shape *s, int input); /* out has the shape and the segments of that input */

/* For ops whose way back is the gradient's under every rule. */
#define EVERY_RULE(f) {[RULE_GRADIENT] = (f), [RULE_ATTNLRP] = (f), [RULE_CPLRP] = (f)}
/* What the rows [begin, end) of a row-wise op keep back through a constant that was added to each. */
void absorb_rows(const op_call *c, size_t begin, size_t end, const real *constant);

#endif
