/*
 * RoBERTa encoders (Liu et al. 2019) and the models of its shape: DistilRoBERTa, XLM-R, CamemBERT.
 *
 * Known to go wrong: positions are counted from the padding index, so the first token takes row pad + 1 and a table of 514
 * rows serves 512 tokens; there is one token type, and its row is added all the same; the masked-LM head uses the erf GELU
 * whatever the encoder's activation; the classifier reads the first row itself and leaves the pooler alone; the three model
 * types share the prefix "roberta.".
 */
#include "base/failure.h"
#include "model/encoder.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("hidden_size", hidden, 768, 1, 65536),
    SIZE_KEY("num_hidden_layers", layers, 12, 1, 1024),
    SIZE_KEY("num_attention_heads", heads, 12, 1, 1024),
    SIZE_KEY("intermediate_size", inner, 3072, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 512, 1, 16777216),
    SIZE_KEY("type_vocab_size", types, 2, 1, 64),
    SIZE_KEY("vocab_size", vocab, 50265, 1, 2097152),
    ACTIVATION_KEY("hidden_act", ACT_GELU_ERF),
    REAL_KEY("layer_norm_eps", eps, 1e-12, 0, 0.1),
    ID_KEY("pad_token_id", pad_id, 1),
    ONLY("position_embedding_type", "absolute"),
    END_KEYS,
};

static tkr_status derive(const struct json_t *root, family_config *c, tkr_error *error)
{
    (void)root;
    c->first_position = (size_t)(c->pad_id + 1);
    c->skips_padding = true;
    if (c->positions > c->first_position)
        return TKR_OK;
    return fail(error, TKR_E_CONFIG_RANGE,
                "config.json: max_position_embeddings %zu; it must be above pad_token_id + 1, which is %zu",
                c->positions, c->first_position);
}

/* clang-format off */
static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint                     shape  */
    STORED("word",              "embeddings.word_embeddings.weight",        "V C"),
    STORED("position",          "embeddings.position_embeddings.weight",    "P C"),
    STORED("segment",           "embeddings.token_type_embeddings.weight",  "S C"),
    NORM("norm",                "embeddings.LayerNorm"),
    ENCODER_LAYER_WEIGHTS,
    END_WEIGHTS,
};
/* clang-format on */

/* Buffers, and parameters of heads that are not in use. */
static const char *const ignored[] = {
    "*position_ids", "*token_type_ids", "*pooler.dense.*", "lm_head.*", "classifier.*", "qa_outputs.*", NULL};

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const weight_row_def classifier_weights[] = {
    LINEAR("middle", "classifier.dense", "C", "C"),
    LINEAR("classifier", "classifier.out_proj", "N", "C"),
    END_WEIGHTS,
};

static node classify(build *b, node rows) { return encoder_classify(b, "middle", ACT_TANH, rows); }

static const head classification_head =
    CLASSIFICATION(classifier_weights, classify, "RobertaForSequenceClassification",
                   "XLMRobertaForSequenceClassification", "CamembertForSequenceClassification");

static const weight_row_def masked_lm_weights[] = {
    LINEAR("transform", "lm_head.dense", "C", "C"),
    NORM("transform_norm", "lm_head.layer_norm"),
    {.name = "decoder.weight", .stored = "lm_head.decoder.weight", .shape = "V C", .tied_to = "word"},
    {.name = "decoder.bias", .stored = "lm_head.bias", .shape = "V", .also = "lm_head.decoder.bias"},
    END_WEIGHTS,
};

static node predict_masked(build *b, node rows) { return encoder_predict(b, ACT_GELU_ERF, rows); }

static const head masked_lm_head = {
    .task = TKR_TASK_MASKED_LM,
    .title = "masked LM",
    .architectures =
        (const char *const[]){"RobertaForMaskedLM", "XLMRobertaForMaskedLM", "CamembertForMaskedLM", NULL},
    .weights = masked_lm_weights,
    .reads = READS_TARGET_ROWS,
    .forward = predict_masked,
};

static const head token_head = TOKEN_CLASSIFICATION(
    "RobertaForTokenClassification", "XLMRobertaForTokenClassification", "CamembertForTokenClassification");
static const head answer_head = QUESTION_ANSWERING(
    "RobertaForQuestionAnswering", "XLMRobertaForQuestionAnswering", "CamembertForQuestionAnswering");

const family roberta_family = {
    .model_types = (const char *const[]){"roberta", "xlm-roberta", "camembert", NULL},
    .title = "RoBERTa",
    .config = keys,
    .derive = derive,
    .weights = weights,
    .prefix = "roberta.",
    .ignored = ignored,
    .forward = encoder_forward,
    .heads = (const head *const[]){&classification_head, &masked_lm_head, &token_head, &answer_head, NULL},
};
