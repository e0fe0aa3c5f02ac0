/*
 * AttnLRP: relevance of f, handed down layer by layer; a token's is <e_i, g_i> with g the modified gradient (Achtibat et al. 2024,
 * epsilon 0).  Products of two activations give half to each factor, so queries, keys and values all take part.
 *
 * Known to go wrong: the halves are a convention, and another way of writing the same function would give other scores (You et
 * al. 2025); the softmax keeps a share that depends on an offset of its scores and may be larger than what the tokens get.
 */
#include "explain/relevance.h"

static const parameter parameters[] = {END_PARAMETERS};

static tkr_status run(method_call *c, tkr_error *error) { return relevance_run(c, RULE_ATTNLRP, error); }

static const char *const aliases[] = {"attn-lrp", "lrp", NULL};

const method attnlrp_method = {
    .facts = {.id = "attnlrp",
              .title = "AttnLRP",
              .family = "relevance",
              .summary = "relevance of the target handed down layer by layer, through attention weights and values alike",
              .paper = "Achtibat et al. 2024",
              .needs = "gradients",
              .cost = "1 backward pass",
              .caveat = "biases, positions and the softmax keep a share (the ledger); halving products is a convention",
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
