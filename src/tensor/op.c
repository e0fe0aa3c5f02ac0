/* The table of operations and what their shape rules share. */
#include "tensor/op.h"

static const op *const table[] = {
#define OP(id) &op_##id,
#include "tensor/ops/ops.def"
#undef OP
};

const op *op_at(size_t index) { return index < sizeof table / sizeof *table ? table[index] : NULL; }

void absorb_rows(const op_call *c, size_t begin, size_t end, const real *constant)
{
    size_t width = c->node->width;
    for (size_t r = begin; c->absorbed != NULL && r < end; r++)
        c->absorbed[r * ABSORBED_KINDS + ABSORBED_CONSTANT] += c->kernels->dot(c->dout + r * width, constant, width);
}

bool shape_like(op_shape *s, int input)
{
    const graph_node *from = s->in[input];
    s->rows = from->rows;
    s->width = from->width;
    s->segments = from->segments;
    return true;
}
