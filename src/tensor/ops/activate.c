/*
 * Activation functions, element by element: y = f(x), dx = f'(x) dy.  The formulas are listed in kernels.h.
 * Relevance goes through unchanged (the identity rule): dx = dy f(x) / x, and what f(0) adds, 1/2 of a sigmoid, is absorbed.
 *
 * Known to go wrong: "gelu" is the erf form, "gelu_new" the tanh form, and they differ by 5e-4; the kinks of the ReLU
 * family have derivative 0 at 0.
 */
#include "tensor/op_sample.h"

static bool shape(op_shape *s) { return (unsigned)s->node->params.act < ACT_COUNT && shape_like(s, 0); }

static tkr_status forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->activate(c->node->params.act, c->out + at, c->in[0] + at, (end - begin) * width);
    return TKR_OK;
}

static tkr_status backward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    c->kernels->activate_backward(c->node->params.act, c->din[0] + at, c->dout + at, c->in[0] + at,
                                  (end - begin) * width);
    return TKR_OK;
}

static tkr_status backward_ratio(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width, at = begin * width;
    activation act = c->node->params.act;
    c->kernels->activate_ratio(act, c->din[0] + at, c->dout + at, c->in[0] + at, (end - begin) * width);
    for (size_t r = begin; c->absorbed != NULL && act == ACT_SIGMOID && r < end; r++)
        for (size_t i = 0; i < width; i++)
            c->absorbed[r * ABSORBED_KINDS + ABSORBED_CONSTANT] += 0.5 * (double)c->dout[r * width + i];
    return TKR_OK;
}

static double flops(const graph_node *n, const graph_node *const *in, bool backward_too)
{
    (void)in;
    return (backward_too ? 30 : 20) * (double)n->rows * (double)n->width;
}

static double gelu_tanh(double x, double factor) { return x * (1 + tanh(factor * (x + 0.044715 * x * x * x))) / 2; }
static double gelu_erf(double x) { return x * (1 + erf(x / sqrt(2.0))) / 2; }
static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double function_of(activation act, double x)
{
    switch (act) {
    case ACT_GELU_ERF: return gelu_erf(x);
    case ACT_GELU_TANH: return gelu_tanh(x, sqrt(2 / 3.14159265358979323846));
    case ACT_GELU_FAST: return gelu_tanh(x, 0.7978845608);
    case ACT_GELU_10: return fmax(-10, fmin(10, gelu_erf(x)));
    case ACT_QUICK_GELU: return x * sigmoid(1.702 * x);
    case ACT_RELU: return fmax(x, 0);
    case ACT_RELU6: return fmin(fmax(x, 0), 6);
    case ACT_RELU2: return fmax(x, 0) * fmax(x, 0);
    case ACT_SILU: return x * sigmoid(x);
    case ACT_MISH: return x * tanh(log1p(exp(x)));
    case ACT_SIGMOID: return sigmoid(x);
    case ACT_TANH: return tanh(x);
    case ACT_LEAKY_RELU: return x > 0 ? x : 0.01 * x;
    case ACT_LINEAR:
    case ACT_COUNT: break;
    }
    return x;
}

static void reference(const graph_node *n, const graph_node *const *in, const double *const *values, double *out)
{
    (void)in;
    for (size_t i = 0; i < n->rows * n->width; i++)
        out[i] = function_of(n->params.act, values[0][i]);
}

/* A few shapes for each function. */
static bool sample(size_t index, op_sample *s)
{
    static const op_sample shapes[] = {{.sequences = 0, .width = {4}},
                                       {.sequences = 1, .width = {1}, .lengths = {{1}}},
                                       {.sequences = 2, .width = {3}, .lengths = {{2, 5}}},
                                       {.sequences = 3, .width = {17}, .lengths = {{0, 4, 9}}}};
    size_t count = sizeof shapes / sizeof *shapes;
    if (index >= count * ACT_COUNT)
        return false;
    *s = shapes[index % count];
    s->params.act = (activation)(index / count);
    return true;
}

DEFINE_OP(activate, .inputs = 1, .shape = shape, .forward = forward,
          .backward = {[RULE_GRADIENT] = backward, [RULE_ATTNLRP] = backward_ratio, [RULE_CPLRP] = backward_ratio},
          .keeps_inputs = 1U << 0, .flops = flops, .reference = reference, .sample = sample);
