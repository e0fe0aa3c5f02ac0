/*
 * Gradient x Input: a_i = <e_i, df/de_i>, the first-order share of each embedding (Shrikumar et al. 2016; Denil et al. 2014).
 *
 * One backward pass over the clean run.  Not additive: the scores sum to f only for functions that are linear in e.  At
 * place `sum` a layer norm follows that ignores the length of its input, so the scores are 0 up to its eps.
 */
#include "explain/method.h"

static const parameter parameters[] = {END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features;
    return (method_cost){.backward = targets};
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    size_t width = gradient_width(q);
    const real *x = pass_values(q->clean, 0);
    for (size_t t = 0; t < q->target_count; t++) {
        const real *g = differentiate_clean(q, t, error);
        if (!g)
            return error->code;
        for (size_t i = 0; i < q->length; i++)
            for (size_t k = 0; k < width; k++)
                c->token_scores[t * q->length + i] += (double)x[i * width + k] * (double)g[i * width + k];
    }
    c->backward = q->target_count;
    return TKR_OK;
}

static const char *const aliases[] = {"gradient-x-input", "input-x-gradient", NULL};

const method gxi_method = {
    .facts = {.id = "gxi",
              .title = "gradient x input",
              .family = "gradient",
              .summary = "embedding times its gradient: the first-order share of each token",
              .paper = "Shrikumar et al. 2016",
              .needs = "gradients",
              .cost = "1 backward pass",
              .caveat = "local: says what a small change would do, not what the token did; not additive",
              .is_signed = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .is_fast = true,
    .cost = cost,
    .run = run,
};
