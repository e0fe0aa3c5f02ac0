/*
 * GPT-2 decoders (Radford et al. 2019): pre-norm blocks, absolute positions, causal attention.
 *
 * Known to go wrong: matrices are stored [in, out] (Conv1D), and attn.c_proj is square, so no shape tells; query, key and
 * value are thirds of one matrix; h.N.attn.bias is a mask, h.N.attn.c_attn.bias a parameter; the original file has no
 * "transformer." in front of its names; the last norm comes after the last layer's output; a classifier reads the last row
 * that is not padding.
 */
#include <jansson.h>

#include "model/build.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("n_embd", hidden, 768, 1, 65536),
    SIZE_KEY("n_layer", layers, 12, 1, 1024),
    SIZE_KEY("n_head", heads, 12, 1, 1024),
    SIZE_OR_NULL_KEY("n_inner", inner, 0, 1, 1048576),
    SIZE_KEY("n_positions", positions, 1024, 1, 16777216),
    SIZE_KEY("vocab_size", vocab, 50257, 1, 2097152),
    ACTIVATION_KEY("activation_function", ACT_GELU_TANH),
    REAL_KEY("layer_norm_epsilon", eps, 1e-5, 0, 0.1),
    BOOL_KEY("scale_attn_weights", scales_attention, true),
    BOOL_KEY("scale_attn_by_inverse_layer_idx", scales_by_layer, false),
    ID_KEY("pad_token_id", pad_id, -1),
    END_KEYS,
};

/* The same sums in another order, or dropout. */
static const char *const harmless[] = {"reorder_and_upcast_attn", "*_pdrop", NULL};

/* A head's width is C / H; the feed-forward part is four times as wide as C unless n_inner says otherwise. */
static tkr_status derive(const json_t *root, family_config *c, tkr_error *error)
{
    (void)root, (void)error;
    c->inner = c->inner ? c->inner : 4 * c->hidden;
    return TKR_OK;
}

/* clang-format off */
#define CONV1D_PART(ours, checkpoint, out, in, number, of)                                                            \
    {.name = ours ".weight", .stored = checkpoint ".weight", .shape = out " " in, .is_turned = true, .part = number, .parts = of}, \
    {.name = ours ".bias", .stored = checkpoint ".bias", .shape = out, .part = number, .parts = of}
#define CONV1D(ours, checkpoint, out, in) CONV1D_PART(ours, checkpoint, out, in, 0, 1)

static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint  out  in  part */
    STORED("word",              "wte.weight",           "V C"),
    STORED("position",          "wpe.weight",           "P C"),
    NORM("@.attention_norm",    "h.@.ln_1"),
    CONV1D_PART("@.query",      "h.@.attn.c_attn",      "C", "C", 0, 3),
    CONV1D_PART("@.key",        "h.@.attn.c_attn",      "C", "C", 1, 3),
    CONV1D_PART("@.value",      "h.@.attn.c_attn",      "C", "C", 2, 3),
    CONV1D("@.mix",             "h.@.attn.c_proj",      "C", "C"),
    NORM("@.inner_norm",        "h.@.ln_2"),
    CONV1D("@.up",              "h.@.mlp.c_fc",         "F", "C"),
    CONV1D("@.down",            "h.@.mlp.c_proj",       "C", "F"),
    NORM("final_norm",          "ln_f"),
    END_WEIGHTS,
};
/* clang-format on */

/* Masks, and parameters of heads that are not in use. */
static const char *const ignored[] = {"*.attn.bias", "*.attn.masked_bias",     "lm_head.*",
                                      "score.*",     "multiple_choice_head.*", "classifier.*",
                                      NULL};

static node forward(build *b)
{
    node x = site(b, "word", embed(b, "word", b->batch->ids)); /* gradients end here */
    x = add(b, x, embed(b, "position", b->batch->positions));
    x = site(b, "embeddings", site(b, "sum", x));

    for (size_t layer = 0; layer < b->config->layers; layer++) {
        enter_layer(b, (int)layer);
        attending how = {.is_causal = true, .scale = b->config->scales_attention ? attention_scale(b) : 1};
        how.scale /= b->config->scales_by_layer ? (double)(layer + 1) : 1;
        node seen = norm(b, "@.attention_norm", x);
        how.q = linear(b, "@.query", rows_needed(b, seen));
        how.k = linear(b, "@.key", seen);
        how.v = linear(b, "@.value", seen);
        node heads = site(b, "head_output", attend_as(b, how));
        x = add(b, rows_needed(b, x), site(b, "attention_output", linear(b, "@.mix", heads)));
        node fed = activate(b, b->config->act, linear(b, "@.up", norm(b, "@.inner_norm", x)));
        x = site(b, "output", add(b, x, site(b, "mlp_output", linear(b, "@.down", fed))));
    }
    leave_layers(b);
    return site(b, "final_norm", norm(b, "final_norm", x));
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static node read_head(build *b, node rows) { return linear(b, "head", rows); }

static const weight_row_def classifier_weights[] = {
    STORED("head.weight", "score.weight", "N C"),
    END_WEIGHTS,
};

static const head classification_head = {
    .task = TKR_TASK_SEQUENCE_CLASSIFICATION,
    .title = "sequence classification",
    .architectures = (const char *const[]){"GPT2ForSequenceClassification", NULL},
    .weights = classifier_weights,
    .reads = READS_LAST_ROW,
    .forward = read_head,
};

static const weight_row_def next_token_weights[] = {
    {.name = "head.weight", .stored = "lm_head.weight", .shape = "V C", .tied_to = "word"},
    END_WEIGHTS,
};

static const head next_token_head = {
    .task = TKR_TASK_NEXT_TOKEN,
    .title = "next token",
    .architectures = (const char *const[]){"GPT2LMHeadModel", "GPT2DoubleHeadsModel", NULL},
    .weights = next_token_weights,
    .reads = READS_TARGET_ROWS,
    .forward = read_head,
};

const family gpt2_family = {
    .shape = FAMILY_DECODER,
    .model_types = (const char *const[]){"gpt2", NULL},
    .title = "GPT-2",
    .config = keys,
    .derive = derive,
    .harmless_keys = harmless,
    .weights = weights,
    .prefix = "transformer.",
    .ignored = ignored,
    .forward = forward,
    .heads = (const head *const[]){&classification_head, &next_token_head, NULL},
};
