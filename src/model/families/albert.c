/*
 * ALBERT encoders (Lan et al. 2020): BERT's blocks over embeddings of a width of their own; layers share weights.
 *
 * Known to go wrong: the default activation is the tanh GELU; the mapping from E to C is there even where they are equal; the
 * pooler is one linear layer without ".dense" in its name; layer i of L uses group floor(i / (L / groups)) and runs all
 * layers of it in turn, so our layers are L times the layers of a group.  Changing the weights of one layer changes all that
 * share them.
 */
#include "base/failure.h"
#include "model/encoder.h"

enum { LAYERS_MOST = 1024 };

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("embedding_size", embedding, 128, 1, 65536),
    SIZE_KEY("hidden_size", hidden, 4096, 1, 65536),
    SIZE_KEY("num_hidden_layers", layers, 12, 1, LAYERS_MOST),
    SIZE_KEY("num_hidden_groups", groups, 1, 1, LAYERS_MOST),
    SIZE_KEY("inner_group_num", group_layers, 1, 1, LAYERS_MOST),
    SIZE_KEY("num_attention_heads", heads, 64, 1, 1024),
    SIZE_KEY("intermediate_size", inner, 16384, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 512, 1, 16777216),
    SIZE_KEY("type_vocab_size", types, 2, 1, 64),
    SIZE_KEY("vocab_size", vocab, 30000, 1, 2097152),
    ACTIVATION_KEY("hidden_act", ACT_GELU_TANH),
    REAL_KEY("layer_norm_eps", eps, 1e-12, 0, 0.1),
    ID_KEY("pad_token_id", pad_id, 0),
    ONLY("position_embedding_type", "absolute"),
    END_KEYS,
};

/* Found in published files, read by nobody. */
static const char *const harmless[] = {"net_type", NULL};

/* From here on config->layers counts the blocks that a text runs through. */
static tkr_status derive(const struct json_t *root, family_config *c, tkr_error *error)
{
    (void)root;
    if (c->groups > c->layers)
        return fail(error, TKR_E_CONFIG_RANGE,
                    "config.json: num_hidden_groups %zu; it must be 1 to %zu, the number of layers", c->groups,
                    c->layers);
    c->layers *= c->group_layers;
    if (c->layers <= LAYERS_MOST)
        return TKR_OK;
    return fail(error, TKR_E_CONFIG_RANGE,
                "config.json: inner_group_num %zu; with %zu layers it makes %zu, at most %d are supported",
                c->group_layers, c->layers / c->group_layers, c->layers, LAYERS_MOST);
}

/* clang-format off */
#define BLOCK "encoder.albert_layer_groups.@.albert_layers.#."
static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint                     shape  */
    STORED("word",              "embeddings.word_embeddings.weight",        "V E"),
    STORED("position",          "embeddings.position_embeddings.weight",    "P E"),
    STORED("segment",           "embeddings.token_type_embeddings.weight",  "S E"),
    NORM_OF("norm",             "embeddings.LayerNorm",                     "E"),
    LINEAR("project",           "encoder.embedding_hidden_mapping_in",      "C", "E"),
    LINEAR("@.query",           BLOCK "attention.query",                    "C", "C"),
    LINEAR("@.key",             BLOCK "attention.key",                      "C", "C"),
    LINEAR("@.value",           BLOCK "attention.value",                    "C", "C"),
    LINEAR("@.mix",             BLOCK "attention.dense",                    "C", "C"),
    NORM("@.attention_norm",    BLOCK "attention.LayerNorm"),
    LINEAR("@.up",              BLOCK "ffn",                                "F", "C"),
    LINEAR("@.down",            BLOCK "ffn_output",                         "C", "F"),
    NORM("@.output_norm",       BLOCK "full_layer_layer_norm"),
    END_WEIGHTS,
};
#undef BLOCK
/* clang-format on */

/* Buffers, and parameters of heads that are not in use. */
static const char *const ignored[] = {"*position_ids",    "*token_type_ids", "*pooler.*",    "predictions.*",
                                      "sop_classifier.*", "classifier.*",    "qa_outputs.*", NULL};

/* Which set of weights a block uses. */
static size_t set_of_block(const family_config *c, size_t block)
{
    size_t layer = block / c->group_layers, place = block % c->group_layers;
    double layers_a_group = (double)(c->layers / c->group_layers) / (double)c->groups;
    return (size_t)((double)layer / layers_a_group) * c->group_layers + place;
}

static node forward(build *b)
{
    node x = site(b, "embeddings", linear(b, "project", encoder_embeddings(b)));
    for (size_t block = 0; block < b->config->layers; block++) {
        enter_layer(b, (int)block);
        share_weights(b, (int)set_of_block(b->config, block));
        x = encoder_layer(b, x);
    }
    leave_layers(b);
    return x;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const weight_row_def classifier_weights[] = {
    {.name = "pooler.weight", .stored = "pooler.weight", .shape = "C C", .is_prefixed = true},
    {.name = "pooler.bias", .stored = "pooler.bias", .shape = "C", .is_prefixed = true},
    LINEAR("classifier", "classifier", "N", "C"),
    END_WEIGHTS,
};

static node classify(build *b, node rows) { return encoder_classify(b, "pooler", ACT_TANH, rows); }

static const head classification_head = CLASSIFICATION(classifier_weights, classify, "AlbertForSequenceClassification");

static const weight_row_def masked_lm_weights[] = {
    LINEAR("transform", "predictions.dense", "E", "C"),
    NORM_OF("transform_norm", "predictions.LayerNorm", "E"),
    {.name = "decoder.weight", .stored = "predictions.decoder.weight", .shape = "V E", .tied_to = "word"},
    {.name = "decoder.bias", .stored = "predictions.bias", .shape = "V", .also = "predictions.decoder.bias"},
    END_WEIGHTS,
};

static const head masked_lm_head = {
    .task = TKR_TASK_MASKED_LM,
    .title = "masked LM",
    .architectures = (const char *const[]){"AlbertForMaskedLM", "AlbertForPreTraining", NULL},
    .weights = masked_lm_weights,
    .reads = READS_TARGET_ROWS,
    .forward = encoder_predict_plain,
};

static const head token_head = TOKEN_CLASSIFICATION("AlbertForTokenClassification");
static const head answer_head = QUESTION_ANSWERING("AlbertForQuestionAnswering");

const family albert_family = {
    .model_types = (const char *const[]){"albert", NULL},
    .title = "ALBERT",
    .config = keys,
    .derive = derive,
    .harmless_keys = harmless,
    .weights = weights,
    .prefix = "albert.",
    .ignored = ignored,
    .forward = forward,
    .heads = (const head *const[]){&classification_head, &masked_lm_head, &token_head, &answer_head, NULL},
};
