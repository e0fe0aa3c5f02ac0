/*
 * DistilBERT encoders (Sanh et al. 2019): BERT's blocks under other names, without segments and without a pooler.
 *
 * Known to go wrong: the classifier's middle layer is followed by ReLU, not tanh, and reads the first row itself; the norms'
 * eps is fixed at 1e-12 and no key of config.json; queries are scaled before the product, which is the same mathematics.
 */
#include "model/encoder.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("dim", hidden, 768, 1, 65536),
    SIZE_KEY("n_layers", layers, 6, 1, 1024),
    SIZE_KEY("n_heads", heads, 12, 1, 1024),
    SIZE_KEY("hidden_dim", inner, 3072, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 512, 1, 16777216),
    SIZE_KEY("vocab_size", vocab, 30522, 1, 2097152),
    ACTIVATION_KEY("activation", ACT_GELU_ERF),
    CONSTANT(eps, 1e-12),
    ID_KEY("pad_token_id", pad_id, 0),
    ONLY("position_embedding_type", "absolute"),
    END_KEYS,
};

/* The position table is in the file whether it was computed (sinusoidal) or learnt. */
static const char *const harmless[] = {"sinusoidal_pos_embds", NULL};

/* clang-format off */
static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint                     shape  */
    STORED("word",              "embeddings.word_embeddings.weight",        "V C"),
    STORED("position",          "embeddings.position_embeddings.weight",    "P C"),
    NORM("norm",                "embeddings.LayerNorm"),
    LINEAR("@.query",           "transformer.layer.@.attention.q_lin",      "C", "C"),
    LINEAR("@.key",             "transformer.layer.@.attention.k_lin",      "C", "C"),
    LINEAR("@.value",           "transformer.layer.@.attention.v_lin",      "C", "C"),
    LINEAR("@.mix",             "transformer.layer.@.attention.out_lin",    "C", "C"),
    NORM("@.attention_norm",    "transformer.layer.@.sa_layer_norm"),
    LINEAR("@.up",              "transformer.layer.@.ffn.lin1",             "F", "C"),
    LINEAR("@.down",            "transformer.layer.@.ffn.lin2",             "C", "F"),
    NORM("@.output_norm",       "transformer.layer.@.output_layer_norm"),
    END_WEIGHTS,
};
/* clang-format on */

/* Buffers, and parameters of heads that are not in use. */
static const char *const ignored[] = {
    "*position_ids",    "vocab_transform.*", "vocab_layer_norm.*", "vocab_projector.*",
    "pre_classifier.*", "classifier.*",      "qa_outputs.*",       NULL};

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const weight_row_def classifier_weights[] = {
    LINEAR("pre_classifier", "pre_classifier", "C", "C"),
    LINEAR("classifier", "classifier", "N", "C"),
    END_WEIGHTS,
};

static node classify(build *b, node rows) { return encoder_classify(b, "pre_classifier", ACT_RELU, rows); }

static const head classification_head = CLASSIFICATION(classifier_weights, classify, "DistilBertForSequenceClassification");

static const weight_row_def masked_lm_weights[] = {
    LINEAR("transform", "vocab_transform", "C", "C"),
    NORM("transform_norm", "vocab_layer_norm"),
    {.name = "decoder.weight", .stored = "vocab_projector.weight", .shape = "V C", .tied_to = "word"},
    STORED("decoder.bias", "vocab_projector.bias", "V"),
    END_WEIGHTS,
};

static const head masked_lm_head = {
    .task = TKR_TASK_MASKED_LM,
    .title = "masked LM",
    .architectures = (const char *const[]){"DistilBertForMaskedLM", NULL},
    .weights = masked_lm_weights,
    .reads = READS_TARGET_ROWS,
    .forward = encoder_predict_plain,
};

static const head token_head = TOKEN_CLASSIFICATION("DistilBertForTokenClassification");
static const head answer_head = QUESTION_ANSWERING("DistilBertForQuestionAnswering");

const family distilbert_family = {
    .model_types = (const char *const[]){"distilbert", NULL},
    .title = "DistilBERT",
    .config = keys,
    .harmless_keys = harmless,
    .weights = weights,
    .prefix = "distilbert.",
    .ignored = ignored,
    .forward = encoder_forward,
    .heads = (const head *const[]){&classification_head, &masked_lm_head, &token_head, &answer_head, NULL},
};
