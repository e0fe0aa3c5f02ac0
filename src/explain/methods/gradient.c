/*
 * Gradient, or saliency: how strongly f reacts to a small change of a token's embedding (Simonyan, Vedaldi, Zisserman 2014).
 *
 * One backward pass over the clean run, the gradient of each token reduced over its width: its length (l2), the sum of
 * magnitudes (l1), or signed the sum or mean of its entries.  The norms have no sign and are not linear in f: a contrast whose
 * sides need inputs of their own has no norm of its difference.  A signed sum depends on the basis of the embedding, so its sign
 * says little; it is there because others report it.  Where a layer norm follows (BERT's family), which ignores a constant added
 * to all entries of a row, the sum is 0 but for rounding.
 */
#include <math.h>

#include "explain/local.h"

enum { NORM };
static const parameter parameters[] = {
    CHOICE_PARAMETER("norm", "l2", "l2|l1|sum|mean", "how the entries of a token's gradient become one number"), END_PARAMETERS};

static bool is_norm(const arguments *a) { return view_is(a->text[NORM], "l2") || view_is(a->text[NORM], "l1"); }
static bool is_signed(const arguments *a) { return !is_norm(a); }

/* One number of a token's gradient. */
static double reduce(const arguments *a, const real *g, size_t width)
{
    double sum = 0;
    for (size_t k = 0; k < width; k++)
        sum += view_is(a->text[NORM], "l2") ? (double)g[k] * (double)g[k] : is_norm(a) ? fabs((double)g[k]) : (double)g[k];
    return view_is(a->text[NORM], "l2") ? sqrt(sum) : view_is(a->text[NORM], "mean") ? sum / (double)width : sum;
}

static tkr_status reduce_rows(method_call *c, const ways_back *w, size_t seed, tkr_error *error)
{
    (void)error;
    const question *q = c->q;
    size_t width = gradient_width(q);
    const real *g = pass_gradient(w->p, seed);
    for (size_t i = 0; i < q->place_count; i++)
        c->token_scores[(w->first + seed) * q->length + q->place_first + i] = reduce(&c->arguments, g + i * width, width);
    return TKR_OK;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    ways_back w = {.p = c->q->clean};
    return local_walk(c, &w, reduce_rows, error);
}

static const char *const aliases[] = {"saliency", NULL};

const method gradient_method = {
    .facts = {.id = "gradient",
              .title = "gradient",
              .family = "gradient",
              .summary = "how strongly the target reacts to a small change of each token",
              .paper = "Simonyan, Vedaldi, Zisserman 2014",
              .needs = "gradients",
              .cost = "1 backward pass",
              .caveat = "says where the model is sensitive, not towards what; a saturated token gets little",
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .is_fast = true,
    .cost = local_cost,
    .is_signed = is_signed,
    .run = run,
};
