/*
 * CP-LRP: relevance of f, handed down with attention weights and gates taken as constants (Ali et al. 2022, "conservative
 * propagation"; activations by the identity rule as in Achtibat et al. 2024).  A token's is <e_i, g_i>, g the modified gradient.
 *
 * Known to go wrong: nothing flows through queries and keys, so what decided where to look gets no relevance.  Only without
 * biases and added embeddings do the scores sum to f.
 */
#include "explain/relevance.h"

static const parameter parameters[] = {END_PARAMETERS};

static tkr_status run(method_call *c, tkr_error *error) { return relevance_run(c, RULE_CPLRP, error); }

static const char *const aliases[] = {"cplrp", NULL};

const method cp_lrp_method = {
    .facts = {.id = "cp-lrp",
              .title = "CP-LRP",
              .family = "relevance",
              .summary = "relevance of the target handed down through values alone, attention weights taken as given",
              .paper = "Ali et al. 2022",
              .needs = "gradients",
              .cost = "1 backward pass",
              .caveat = "blind to why attention went where it went; biases and positions keep a share (the ledger)",
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
