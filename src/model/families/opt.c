/*
 * OPT decoders (Zhang et al. 2022): GPT-2's blocks over separate matrices, with two places for the norms.
 *
 * Known to go wrong: the first token takes row 2 of the position table, which so has two rows more than the
 * config says, and padding inside a text counts like any token (RoBERTa's does not); the model of 350 million
 * has its norms after each addition and then no last one; its words are narrower than its layers, with one
 * projection on the way in and one before the head; eps is fixed at 1e-5; the norm of a feed-forward part is
 * called "final_layer_norm", as the last one is; the first files had no "model." in front of "decoder.".
 */
#include "model/build.h"

enum { FIRST_POSITION = 2 };

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("hidden_size", hidden, 768, 1, 65536),
    SIZE_OR_NULL_KEY("word_embed_proj_dim", embedding, 0, 1, 65536),
    SIZE_KEY("num_hidden_layers", layers, 12, 1, 1024),
    SIZE_KEY("num_attention_heads", heads, 12, 1, 1024),
    SIZE_KEY("ffn_dim", inner, 3072, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 2048, 1, 16777216),
    SIZE_KEY("vocab_size", vocab, 50272, 1, 2097152),
    ACTIVATION_KEY("activation_function", ACT_RELU),
    CONSTANT(eps, 1e-5),
    BOOL_KEY("do_layer_norm_before", norms_first, true),
    BOOL_KEY("_remove_final_layer_norm", lacks_final_norm, false),
    BOOL_KEY("enable_bias", has_attention_bias, true),
    ONLY_BOOL("layer_norm_elementwise_affine", true),
    ID_KEY("pad_token_id", pad_id, 1),
    END_KEYS,
};

/* Dropout and the first numbers of the training. */
static const char *const harmless[] = {"init_std", "layerdrop", NULL};

static tkr_status derive(const struct json_t *root, family_config *c, tkr_error *error)
{
    (void)root, (void)error;
    c->embedding = c->embedding ? c->embedding : c->hidden;
    c->first_position = FIRST_POSITION;
    c->positions += FIRST_POSITION;
    c->lacks_final_norm = c->lacks_final_norm || !c->norms_first;
    return TKR_OK;
}

static bool projects(const family_config *c) { return c->embedding != c->hidden; }
static bool has_bias(const family_config *c) { return c->has_attention_bias; }
static bool has_final_norm(const family_config *c) { return !c->lacks_final_norm; }

/* clang-format off */
#define STORED_IF(condition, ours, checkpoint, size) \
    {.name = ours, .stored = checkpoint, .shape = size, .when = condition}
#define MAYBE_BIASED(ours, checkpoint, out, in)               \
    STORED(ours ".weight", checkpoint ".weight", out " " in), \
    STORED_IF(has_bias, ours ".bias", checkpoint ".bias", out)

static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint                       shape  */
    STORED("word",              "decoder.embed_tokens.weight",                "V E"),
    STORED("position",          "decoder.embed_positions.weight",             "P C"),
    STORED_IF(projects, "project_in.weight",  "decoder.project_in.weight",    "C E"),
    STORED_IF(projects, "project_out.weight", "decoder.project_out.weight",   "E C"),
    NORM("@.attention_norm",    "decoder.layers.@.self_attn_layer_norm"),
    MAYBE_BIASED("@.query",     "decoder.layers.@.self_attn.q_proj",          "C", "C"),
    MAYBE_BIASED("@.key",       "decoder.layers.@.self_attn.k_proj",          "C", "C"),
    MAYBE_BIASED("@.value",     "decoder.layers.@.self_attn.v_proj",          "C", "C"),
    MAYBE_BIASED("@.mix",       "decoder.layers.@.self_attn.out_proj",        "C", "C"),
    NORM("@.inner_norm",        "decoder.layers.@.final_layer_norm"),
    MAYBE_BIASED("@.up",        "decoder.layers.@.fc1",                       "F", "C"),
    MAYBE_BIASED("@.down",      "decoder.layers.@.fc2",                       "C", "F"),
    STORED_IF(has_final_norm, "final_norm.weight", "decoder.final_layer_norm.weight", "C"),
    STORED_IF(has_final_norm, "final_norm.bias",   "decoder.final_layer_norm.bias",   "C"),
    END_WEIGHTS,
};
/* clang-format on */

/* A number of the first files, and parameters of heads that are not in use. */
static const char *const ignored[] = {"*decoder.version", "lm_head.*", "score.*", "qa_outputs.*", NULL};

/* The norm of a part of a block is before it or after it. */
static node norm_before(build *b, const char *name, node x)
{
    return b->config->norms_first ? norm(b, name, x) : x;
}

static node norm_after(build *b, const char *name, node x)
{
    return b->config->norms_first ? x : norm(b, name, x);
}

static node block(build *b, node x)
{
    attending how = {.is_causal = true, .scale = attention_scale(b)};
    node seen = norm_before(b, "@.attention_norm", x);
    how.q = linear(b, "@.query", rows_needed(b, seen));
    how.k = linear(b, "@.key", seen);
    how.v = linear(b, "@.value", seen);
    node heads = site(b, "head_output", attend_as(b, how));
    x = add(b, rows_needed(b, x), site(b, "attention_output", linear(b, "@.mix", heads)));
    x = norm_after(b, "@.attention_norm", x);
    node fed = activate(b, b->config->act, linear(b, "@.up", norm_before(b, "@.inner_norm", x)));
    x = add(b, x, site(b, "mlp_output", linear(b, "@.down", fed)));
    return site(b, "output", norm_after(b, "@.inner_norm", x));
}

static node forward(build *b)
{
    node x = site(b, "word", embed(b, "word", b->batch->ids)); /* gradients end here */
    x = projects(b->config) ? linear(b, "project_in", x) : x;
    x = add(b, x, embed_positions(b, "position"));
    x = site(b, "embeddings", site(b, "sum", x));
    for (size_t layer = 0; layer < b->config->layers; layer++) {
        enter_layer(b, (int)layer);
        x = block(b, x);
    }
    leave_layers(b);
    return has_final_norm(b->config) ? site(b, "final_norm", norm(b, "final_norm", x)) : x;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static node read_head(build *b, node rows)
{
    return linear(b, "head", projects(b->config) ? linear(b, "project_out", rows) : rows);
}

static const weight_row_def classifier_weights[] = {
    STORED("head.weight", "score.weight", "N E"),
    END_WEIGHTS,
};

static const head classification_head = {
    .task = TKR_TASK_SEQUENCE_CLASSIFICATION,
    .title = "sequence classification",
    .architectures = (const char *const[]){"OPTForSequenceClassification", NULL},
    .weights = classifier_weights,
    .reads = READS_LAST_ROW,
    .forward = read_head,
};

static const weight_row_def next_token_weights[] = {
    {.name = "head.weight", .stored = "lm_head.weight", .shape = "V E", .tied_to = "word"},
    END_WEIGHTS,
};

static const head next_token_head = {
    .task = TKR_TASK_NEXT_TOKEN,
    .title = "next token",
    .architectures = (const char *const[]){"OPTForCausalLM", NULL},
    .weights = next_token_weights,
    .reads = READS_TARGET_ROWS,
    .forward = read_head,
};

const family opt_family = {
    .shape = FAMILY_DECODER,
    .model_types = (const char *const[]){"opt", NULL},
    .title = "OPT",
    .config = keys,
    .derive = derive,
    .harmless_keys = harmless,
    .weights = weights,
    .prefix = "model.",
    .ignored = ignored,
    .forward = forward,
    .heads = (const head *const[]){&classification_head, &next_token_head, NULL},
};
