/*
 * Occlusion (leave one out): a_i = f(x) - f(x without feature i) (Zeiler and Fergus 2014; Li et al. 2016).
 *
 * One evaluation a feature; removals are deterministic, so nothing is repeated and there is no standard error.  Tokens of a
 * feature are removed together.  Not additive: features that stand in for each other all get little.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "explain/method.h"

static const parameter parameters[] = {END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)targets;
    return (method_cost){.evaluations = features, .at_once = features, .forward = features};
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    size_t n = q->feature_count, words = scorer_words(c->scorer), asked = 0;
    uint64_t *masks = NEW(uint64_t, n * words);
    score *scores = NEW(score, n * q->target_count);
    uint64_t before = scorer_evaluations(c->scorer);
    tkr_status status = masks && scores ? TKR_OK : fail_memory(error, "occlusion", n * words);
    for (size_t f = 0; !status && f < n; f++) {
        if (q->is_fixed[f])
            continue;
        coalition_fill(masks + asked * words, n);
        coalition_drop(masks + asked++ * words, f);
    }
    if (!status && asked > 0)
        status = scorer_score(c->scorer, c->id, masks, asked, scores, error);
    for (size_t f = 0, at = 0; !status && f < n; f++) {
        for (size_t t = 0; !q->is_fixed[f] && t < q->target_count; t++)
            c->scores[t * n + f] = q->targets[t].value - scores[at * q->target_count + t].value;
        at += !q->is_fixed[f];
    }
    c->evaluations = c->forward = scorer_evaluations(c->scorer) - before;
    memory_free(masks);
    memory_free(scores);
    return status;
}

static const char *const aliases[] = {"leave-one-out", "loo", NULL};

const method occlusion_method = {
    .facts = {.id = "occlusion",
              .title = "occlusion",
              .family = "perturbation",
              .summary = "how much the target falls when a feature alone is removed",
              .paper = "Zeiler and Fergus 2014; Li et al. 2016",
              .needs = "forward passes",
              .cost = "n evaluations",
              .caveat = "features that can stand in for each other all look unimportant; depends on the removal",
              .is_signed = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_fast = true,
    .cost = cost,
    .run = run,
};
