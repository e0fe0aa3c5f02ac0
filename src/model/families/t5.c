/*
 * T5 encoder-decoders (Raffel et al. 2020): v1.0, v1.1, Flan-T5, mT5.  Pre-norm blocks without biases; relative distances in
 * place of positions; the encoder's last norm feeds every cross attention.
 *
 * Known to go wrong: attention is not scaled; heads * d_kv need not be d_model; the table of distances of block 0 serves all
 * blocks of its stack, and cross attention has none; "gated-gelu" means the tanh form; the head's input is scaled by
 * d_model^-0.5 where the head is tied in the model's definition, which files saved by later versions say by
 * scale_decoder_outputs only, keeping a head of their own; norms have no mean and no bias.
 */
#include <jansson.h>
#include <string.h>

#include "base/failure.h"
#include "base/json.h"
#include "model/build.h"
#include "model/config.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("d_model", hidden, 512, 1, 65536),
    SIZE_KEY("d_kv", head_width, 64, 1, 65536),
    SIZE_KEY("d_ff", inner, 2048, 1, 1048576),
    SIZE_KEY("num_layers", layers, 6, 1, 1024),
    SIZE_OR_NULL_KEY("num_decoder_layers", decoder_layers, 0, 1, 1024),
    SIZE_KEY("num_heads", heads, 8, 1, 1024),
    SIZE_KEY("relative_attention_num_buckets", buckets, 32, 4, 65536),
    SIZE_KEY("relative_attention_max_distance", farthest, 128, 1, 16777216),
    SIZE_KEY("vocab_size", vocab, 32128, 1, 2097152),
    REAL_KEY("layer_norm_epsilon", eps, 1e-6, 0, 0.1),
    BOOL_KEY("tie_word_embeddings", ties_embeddings, true),
    ID_KEY("pad_token_id", pad_id, 0),
    END_KEYS,
};

/* Read by derive, or repeating what feed_forward_proj says. */
static const char *const harmless[] = {"feed_forward_proj", "scale_decoder_outputs", "dense_act_fn",
                                       "is_gated_act",      "n_positions",           NULL};

/* "relu", "gated-gelu", "gated-silu", ...: "gelu" after "gated-" is the tanh form. */
static tkr_status read_projection(const json_t *root, family_config *c, tkr_error *error)
{
    static const char gated[] = "gated-";
    view text = view_of("relu");
    if (!json_get_text(root, CONFIG_FILE, "feed_forward_proj", &text, error))
        return error->code;
    c->is_gated = text.size >= sizeof gated - 1 && memcmp(text.data, gated, sizeof gated - 1) == 0;
    view name = c->is_gated ? (view){text.data + sizeof gated - 1, text.size - (sizeof gated - 1)} : text;
    if (view_is(text, "gated-gelu"))
        c->act = ACT_GELU_TANH;
    else if (!config_activation(name, &c->act))
        return fail(error, TKR_E_UNSUPPORTED_VALUE,
                    CONFIG_FILE
                    ": feed_forward_proj %s; supported are relu, gated-gelu, gated-silu and other activations",
                    QUOTE(text));
    return TKR_OK;
}

/* The first class name is T5EncoderModel: no second stack. */
static bool is_encoder_only(const json_t *root)
{
    const json_t *name = json_array_get(json_object_get(root, "architectures"), 0);
    return json_is_string(name) && strstr(json_string_value(name), "EncoderModel");
}

static tkr_status derive(const json_t *root, family_config *c, tkr_error *error)
{
    c->scales_output = c->ties_embeddings;
    if (!json_get_bool(root, CONFIG_FILE, "scale_decoder_outputs", &c->scales_output, error))
        return error->code;
    c->decoder_layers = is_encoder_only(root) ? 0 : c->decoder_layers ? c->decoder_layers : c->layers;
    if (c->farthest <= c->buckets / 2)
        return fail(error, TKR_E_CONFIG_RANGE,
                    CONFIG_FILE ": relative_attention_max_distance %zu; with %zu buckets it must be above %zu",
                    c->farthest, c->buckets, c->buckets / 2);
    return read_projection(root, c, error);
}

static bool is_gated(const family_config *c) { return c->is_gated; }
static bool is_plain(const family_config *c) { return !c->is_gated; }

/* clang-format off */
#define ROW_WHEN(ours, checkpoint, size, decoder, test) \
    {.name = ours, .stored = checkpoint ".weight", .shape = size, .is_of_decoder = decoder, .when = test}
#define ROW(ours, checkpoint, size, decoder) ROW_WHEN(ours ".weight", checkpoint, size, decoder, NULL)
#define ATTENTION(ours, checkpoint, decoder)            \
    ROW(ours "query", checkpoint ".q", "A C", decoder), \
    ROW(ours "key",   checkpoint ".k", "A C", decoder), \
    ROW(ours "value", checkpoint ".v", "A C", decoder), \
    ROW(ours "mix",   checkpoint ".o", "C A", decoder)
#define FEED_FORWARD(ours, checkpoint, decoder)                                                       \
    ROW(ours "inner_norm", checkpoint ".layer_norm", "C", decoder),                                   \
    ROW_WHEN(ours "up.weight",   checkpoint ".DenseReluDense.wi",   "F C", decoder, is_plain),        \
    ROW_WHEN(ours "gate.weight", checkpoint ".DenseReluDense.wi_0", "F C", decoder, is_gated),        \
    ROW_WHEN(ours "up.weight",   checkpoint ".DenseReluDense.wi_1", "F C", decoder, is_gated),        \
    ROW(ours "down", checkpoint ".DenseReluDense.wo", "C F", decoder)

static const weight_row_def weights[] = {
    /*   our name                   name in the checkpoint                                               of the decoder */
    {.name = "word", .stored = "shared.weight", .shape = "V C", .also = "encoder.embed_tokens.weight"},
    ROW_WHEN("encoder.distances",  "encoder.block.0.layer.0.SelfAttention.relative_attention_bias", "B H", false, NULL),
    ROW("encoder.@.attention_norm","encoder.block.@.layer.0.layer_norm", "C", false),
    ATTENTION("encoder.@.",        "encoder.block.@.layer.0.SelfAttention", false),
    FEED_FORWARD("encoder.@.",     "encoder.block.@.layer.1", false),
    ROW("encoder.final_norm",      "encoder.final_layer_norm", "C", false),
    ROW_WHEN("decoder.distances",  "decoder.block.0.layer.0.SelfAttention.relative_attention_bias", "B H", true, NULL),
    ROW("decoder.@.attention_norm","decoder.block.@.layer.0.layer_norm", "C", true),
    ATTENTION("decoder.@.",        "decoder.block.@.layer.0.SelfAttention", true),
    ROW("decoder.@.cross_norm",    "decoder.block.@.layer.1.layer_norm", "C", true),
    ATTENTION("decoder.@.cross_",  "decoder.block.@.layer.1.EncDecAttention", true),
    FEED_FORWARD("decoder.@.",     "decoder.block.@.layer.2", true),
    ROW("decoder.final_norm",      "decoder.final_layer_norm", "C", true),
    END_WEIGHTS,
};
/* clang-format on */

/* Copies of the embedding, a table that nothing reads, and what the encoder alone does not need. */
static const char *const ignored[] = {
    "*embed_tokens.weight", "*.EncDecAttention.relative_attention_bias.weight",
    "lm_head.weight",       "classification_head.*",
    "classifier.*",         NULL};

/* ---- the two stacks --------------------------------------------------------------------------------------------- */

static node self_attention(build *b, node x, bool is_decoder)
{
    attending how = {.scale = 1,
                     .is_causal = is_decoder,
                     .distances = is_decoder ? "decoder.distances" : "encoder.distances"};
    node seen = rms_norm(b, "@.attention_norm", x);
    how.q = linear(b, "@.query", rows_needed(b, seen));
    how.k = linear(b, "@.key", seen);
    how.v = linear(b, "@.value", seen);
    node heads = site(b, "head_output", attend_as(b, how));
    return add(b, rows_needed(b, x), site(b, "attention_output", linear(b, "@.mix", heads)));
}

/* source: what the encoder left; NODE_NONE: its keys and values are in the cache. */
static node cross_attention(build *b, node x, node source)
{
    attending how = {.k = NODE_NONE, .v = NODE_NONE, .scale = 1, .reads_source = true};
    how.q = linear(b, "@.cross_query", rms_norm(b, "@.cross_norm", x));
    if (source != NODE_NONE) {
        how.k = linear(b, "@.cross_key", source);
        how.v = linear(b, "@.cross_value", source);
    }
    node heads = site(b, "cross.head_output", attend_as(b, how));
    return add(b, x, site(b, "cross_output", linear(b, "@.cross_mix", heads)));
}

static node feed_forward(build *b, node x)
{
    node y = rms_norm(b, "@.inner_norm", x), up = linear(b, "@.up", y);
    node fed = b->config->is_gated ? multiply(b, activate(b, b->config->act, linear(b, "@.gate", y)), up)
                                   : activate(b, b->config->act, up);
    return site(b, "output", add(b, x, site(b, "mlp_output", linear(b, "@.down", fed))));
}

static node encode(build *b, node embeddings)
{
    node x = site(b, "embeddings", enter_stack(b, false, b->config->layers, embeddings));
    for (size_t layer = 0; layer < b->layers; layer++) {
        enter_layer(b, (int)layer);
        x = feed_forward(b, self_attention(b, x, false));
    }
    leave_layers(b);
    return site(b, "final_norm", rms_norm(b, "encoder.final_norm", x));
}

static node decode(build *b, node embeddings, node source)
{
    node x = site(b, "embeddings", enter_stack(b, true, b->config->decoder_layers, embeddings));
    for (size_t layer = 0; layer < b->layers; layer++) {
        enter_layer(b, (int)layer);
        x = feed_forward(b, cross_attention(b, self_attention(b, x, true), source));
    }
    leave_layers(b);
    return site(b, "final_norm", rms_norm(b, "decoder.final_norm", x));
}

/* The embeddings of both stacks are one node, in the batch's order; nothing is added to them. */
static node forward(build *b)
{
    node x = site(b, "word", embed(b, "word", b->batch->ids)); /* gradients end here */
    x = site(b, "embeddings", site(b, "sum", x));
    bool has_encoded = b->wish.cache && has_output(b->batch) && source_rows(b->batch) == 0;
    node source = has_encoded ? NODE_NONE : encode(b, x);
    node left = has_output(b->batch) ? decode(b, x, source) : source;
    leave_stacks(b);
    return left;
}

/* ---- head ------------------------------------------------------------------------------------------------------- */

static const weight_row_def head_weights[] = {
    {.name = "head.weight", .stored = "lm_head.weight", .shape = "V C", .tied_to = "word", .prefers_own = true},
    END_WEIGHTS,
};

static node read_head(build *b, node rows)
{
    return linear(b, "head",
                  b->config->scales_output ? scale(b, 1 / sqrt((double)b->config->hidden), rows) : rows);
}

static const head output_head = {
    .task = TKR_TASK_SEQUENCE_TO_SEQUENCE,
    .title = "sequence to sequence",
    .architectures = (const char *const[]){"T5ForConditionalGeneration", "T5WithLMHeadModel",
                                           "MT5ForConditionalGeneration", NULL},
    .weights = head_weights,
    .reads = READS_TARGET_ROWS,
    .forward = read_head,
};

const family t5_family = {
    .shape = FAMILY_ENCODER_DECODER,
    .is_scale_free = true,
    .model_types = (const char *const[]){"t5", "mt5", NULL},
    .title = "T5",
    .config = keys,
    .derive = derive,
    .harmless_keys = harmless,
    .weights = weights,
    .prefix = "",
    .ignored = ignored,
    .forward = forward,
    .heads = (const head *const[]){&output_head, NULL},
};
