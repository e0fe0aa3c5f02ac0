/*
 * Gradient x Input: a_i = <e_i, df/de_i>, the first-order share of each embedding (Shrikumar et al. 2016; Denil et al. 2014).
 *
 * One backward pass over the clean run.  Not additive: the scores sum to f only for functions that are linear in e.  At
 * place `sum` a layer norm follows that ignores the length of its input, so the scores are 0 up to its eps.
 */
#include "explain/local.h"

static const parameter parameters[] = {END_PARAMETERS};

static tkr_status run(method_call *c, tkr_error *error)
{
    ways_back w = {.p = c->q->clean};
    return local_walk(c, &w, local_add_products, error);
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
    .at_any_site = true,
    .is_local = true,
    .is_fast = true,
    .cost = local_cost,
    .run = run,
};
