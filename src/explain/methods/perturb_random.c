/*
 * Perturbation by random tokens: how much the answer's probability falls when a feature's tokens become random entries of the
 * vocabulary, as teaching notebooks have it; the mean over draws, with its standard error (methods.md 4.2).  Entries are drawn
 * uniformly, or by the counts of removal random:counts=FILE.
 *
 * A mean of falls can be near 0 where half of the draws help and half harm; absolute=yes is the mean of their sizes.
 */
#include "base/failure.h"
#include "explain/estimators.h"
#include "explain/perturbation.h"

enum { DRAWS, ABSOLUTE };
static const parameter parameters[] = {INT_PARAMETER("draws", 20, 2, 100000, "random replacements of each feature"),
                                       CHOICE_PARAMETER("absolute", "no", "no|yes", "yes: the mean size of the falls, whichever way"),
                                       END_PARAMETERS};

static bool is_absolute(const arguments *a) { return view_is(a->text[ABSOLUTE], "yes"); }
static bool is_signed(const arguments *a) { return !is_absolute(a); }

static void settle(const question *q, arguments *a) { a->number[DRAWS] = perturbation_draws(q, a->number[DRAWS]); }

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    (void)a;
    if (!q->model->score || q->by_counts)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "perturb-random draws from a vocabulary, and an external model shows none");
    fail_help(error, "--removal random:counts=FILE, or -M perturb-mask");
    fail_field(error, "methods", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)targets;
    return perturbation_cost(features, (uint64_t)a->number[DRAWS]);
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return perturbation_held(q, REMOVAL_RANDOM);
}

static tkr_status run(method_call *c, tkr_error *error)
{
    size_t done = 0;
    tkr_status status = perturbation_run(c, REMOVAL_RANDOM, (size_t)c->arguments.number[DRAWS], is_absolute(&c->arguments), &done, error);
    c->arguments.number[DRAWS] = (double)done;
    return status;
}

const method perturb_random_method = {
    .facts = {.id = "perturb-random",
              .title = "perturbation by random tokens",
              .family = "perturbation",
              .summary = "how much the answer's probability falls when a feature becomes random tokens, on average",
              .paper = "Li et al. 2016",
              .needs = "forward passes",
              .cost = "n times draws evaluations",
              .caveat = "random tokens make texts that nobody writes; an estimate: look at the standard errors",
              .is_signed = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .draws_tokens = true,
    .is_sampled = true,
    .settle = settle,
    .check = check,
    .cost = cost,
    .held = held,
    .is_signed = is_signed,
    .run = run,
};
