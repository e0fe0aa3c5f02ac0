/*
 * ELECTRA encoders (Clark et al. 2020): BERT's blocks over embeddings of a width of their own; discriminators and generators.
 *
 * Known to go wrong: the projection from E to C is there only where they differ; there is no pooler; the classifier's middle
 * layer is followed by the erf GELU, the generator's too, whatever the encoder's activation, but the discriminator's by the
 * encoder's; the generator's norm works in E; the discriminator has one logit a token, which says "replaced".
 */
#include "model/encoder.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("embedding_size", embedding, 128, 1, 65536),
    SIZE_KEY("hidden_size", hidden, 256, 1, 65536),
    SIZE_KEY("num_hidden_layers", layers, 12, 1, 1024),
    SIZE_KEY("num_attention_heads", heads, 4, 1, 1024),
    SIZE_KEY("intermediate_size", inner, 1024, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 512, 1, 16777216),
    SIZE_KEY("type_vocab_size", types, 2, 1, 64),
    SIZE_KEY("vocab_size", vocab, 30522, 1, 2097152),
    ACTIVATION_KEY("hidden_act", ACT_GELU_ERF),
    REAL_KEY("layer_norm_eps", eps, 1e-12, 0, 0.1),
    ID_KEY("pad_token_id", pad_id, 0),
    ONLY("position_embedding_type", "absolute"),
    END_KEYS,
};

static bool projects(const family_config *c) { return c->embedding != c->hidden; }

/* clang-format off */
static const weight_row_def weights[] = {
    /*     our name              name in the checkpoint                     shape  */
    STORED("word",              "embeddings.word_embeddings.weight",        "V E"),
    STORED("position",          "embeddings.position_embeddings.weight",    "P E"),
    STORED("segment",           "embeddings.token_type_embeddings.weight",  "S E"),
    NORM_OF("norm",             "embeddings.LayerNorm",                     "E"),
    {.name = "project.weight",  .stored = "embeddings_project.weight", .shape = "C E", .when = projects},
    {.name = "project.bias",    .stored = "embeddings_project.bias",   .shape = "C",   .when = projects},
    ENCODER_LAYER_WEIGHTS,
    END_WEIGHTS,
};
/* clang-format on */

/* Buffers, and parameters of heads that are not in use. */
static const char *const ignored[] = {"*position_ids",
                                      "*token_type_ids",
                                      "discriminator_predictions.*",
                                      "generator_predictions.*",
                                      "generator_lm_head.*",
                                      "classifier.*",
                                      "qa_outputs.*",
                                      NULL};

static node forward(build *b)
{
    node x = encoder_embeddings(b);
    if (projects(b->config))
        x = linear(b, "project", x);
    return encoder_layers(b, site(b, "embeddings", x));
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const weight_row_def classifier_weights[] = {
    LINEAR("middle", "classifier.dense", "C", "C"),
    LINEAR("classifier", "classifier.out_proj", "N", "C"),
    END_WEIGHTS,
};

static node classify(build *b, node rows) { return encoder_classify(b, "middle", ACT_GELU_ERF, rows); }

static const head classification_head = CLASSIFICATION(classifier_weights, classify, "ElectraForSequenceClassification");

static const weight_row_def generator_weights[] = {
    LINEAR("transform", "generator_predictions.dense", "E", "C"),
    NORM_OF("transform_norm", "generator_predictions.LayerNorm", "E"),
    {.name = "decoder.weight", .stored = "generator_lm_head.weight", .shape = "V E", .tied_to = "word"},
    STORED("decoder.bias", "generator_lm_head.bias", "V"),
    END_WEIGHTS,
};

static node predict_masked(build *b, node rows) { return encoder_predict(b, ACT_GELU_ERF, rows); }

static const head masked_lm_head = {
    .task = TKR_TASK_MASKED_LM,
    .title = "masked LM",
    .architectures = (const char *const[]){"ElectraForMaskedLM", NULL},
    .weights = generator_weights,
    .reads = READS_TARGET_ROWS,
    .forward = predict_masked,
};

static const weight_row_def discriminator_weights[] = {
    LINEAR("middle", "discriminator_predictions.dense", "C", "C"),
    LINEAR("classifier", "discriminator_predictions.dense_prediction", "1", "C"),
    END_WEIGHTS,
};

static node discriminate(build *b, node rows)
{
    return linear(b, "classifier", activate(b, b->config->act, linear(b, "middle", rows)));
}

static const head discriminator_head = {
    .task = TKR_TASK_TOKEN_CLASSIFICATION,
    .title = "replaced tokens",
    .architectures = (const char *const[]){"ElectraForPreTraining", NULL},
    .weights = discriminator_weights,
    .outputs = (const char *const[]){"replaced", NULL},
    .reads = READS_TARGET_ROWS,
    .forward = discriminate,
};

static const head token_head = TOKEN_CLASSIFICATION("ElectraForTokenClassification");
static const head answer_head = QUESTION_ANSWERING("ElectraForQuestionAnswering");

const family electra_family = {
    .model_types = (const char *const[]){"electra", NULL},
    .title = "ELECTRA",
    .config = keys,
    .weights = weights,
    .prefix = "electra.",
    .ignored = ignored,
    .forward = forward,
    .heads = (const head *const[]){&classification_head, &masked_lm_head, &token_head, &answer_head,
                                   &discriminator_head, NULL},
};
