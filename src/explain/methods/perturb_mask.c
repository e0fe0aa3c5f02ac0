/*
 * Perturbation by the mask token: how much the answer's probability falls when a feature's tokens become mask tokens, as teaching
 * notebooks have it.  Occlusion under removal mask, with another measure: the mask is used whatever removal was asked for.
 *
 * A model without a mask token takes the removal of the question instead, and says so.
 */
#include "explain/estimators.h"
#include "explain/perturbation.h"

/* DRAWS is no parameter: settled; more than one only where the question's own removal is random and stands in for the mask. */
enum { ABSOLUTE, DRAWS = PARAMETERS_MOST - 1 };
static const parameter parameters[] = {CHOICE_PARAMETER("absolute", "no", "no|yes", "yes: the size of the fall, whichever way"), END_PARAMETERS};

static bool has_mask(const question *q)
{
    return q->model->score || tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK) >= 0;
}

static removal removal_for(const question *q) { return has_mask(q) ? REMOVAL_MASK : q->removal; }

static bool is_absolute(const arguments *a) { return view_is(a->text[ABSOLUTE], "yes"); }
static bool is_signed(const arguments *a) { return !is_absolute(a); }

static void settle(const question *q, arguments *a)
{
    a->number[DRAWS] = removal_is_random(removal_for(q)) ? perturbation_draws(q, DRAWS_STANDARD) : 1;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)targets;
    return perturbation_cost(features, (uint64_t)a->number[DRAWS]);
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return perturbation_held(q, removal_for(q));
}

static tkr_status warn(const method_call *c, tkr_error *error)
{
    return method_warn(c, error, "perturb.mask", "-M perturb-random", "the model has no mask token; features were removed by %s",
                       removal_id(c->q->removal));
}

static tkr_status run(method_call *c, tkr_error *error)
{
    size_t done = 0;
    tkr_status status = perturbation_run(c, removal_for(c->q), (size_t)c->arguments.number[DRAWS], is_absolute(&c->arguments), &done, error);
    return status || has_mask(c->q) ? status : warn(c, error);
}

const method perturb_mask_method = {
    .facts = {.id = "perturb-mask",
              .title = "perturbation by masks",
              .family = "perturbation",
              .summary = "how much the answer's probability falls when a feature becomes mask tokens",
              .paper = "Li et al. 2016",
              .needs = "forward passes",
              .cost = "n evaluations",
              .caveat = "a probability near 0 or 1 hardly moves, whatever is taken away; features that can stand in for each other look unimportant",
              .is_signed = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .is_sampled = true,
    .settle = settle,
    .cost = cost,
    .held = held,
    .is_signed = is_signed,
    .run = run,
};
