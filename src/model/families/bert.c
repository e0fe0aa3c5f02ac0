/*
 * BERT encoders (Devlin et al. 2019): post-norm blocks, absolute positions, segment embeddings.
 *
 * Known to go wrong: eps is 1e-12, not 1e-5; the masked-LM decoder shares the word embedding even when the file stores it
 * twice, and its bias has two names; old checkpoints call norms gamma/beta; the next-sentence head's first output means that
 * the second text follows.
 */
#include "model/encoder.h"

static const config_key keys[] = {
    /*         key in config.json          field      default     range            */
    SIZE_KEY("hidden_size", hidden, 768, 1, 65536),
    SIZE_KEY("num_hidden_layers", layers, 12, 1, 1024),
    SIZE_KEY("num_attention_heads", heads, 12, 1, 1024),
    SIZE_KEY("intermediate_size", inner, 3072, 1, 1048576),
    SIZE_KEY("max_position_embeddings", positions, 512, 1, 16777216),
    SIZE_KEY("type_vocab_size", types, 2, 1, 64),
    SIZE_KEY("vocab_size", vocab, 30522, 1, 2097152),
    ACTIVATION_KEY("hidden_act", ACT_GELU_ERF),
    REAL_KEY("layer_norm_eps", eps, 1e-12, 0, 0.1),
    ID_KEY("pad_token_id", pad_id, 0),
    ONLY("position_embedding_type", "absolute"),
    END_KEYS,
};

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
    "*position_ids", "*token_type_ids", "*pooler.dense.*", "cls.*", "classifier.*", "qa_outputs.*", NULL};

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static const weight_row_def classifier_weights[] = {
    {.name = "pooler.weight", .stored = "pooler.dense.weight", .shape = "C C", .is_prefixed = true},
    {.name = "pooler.bias", .stored = "pooler.dense.bias", .shape = "C", .is_prefixed = true},
    LINEAR("classifier", "classifier", "N", "C"),
    END_WEIGHTS,
};

static node classify(build *b, node rows) { return encoder_classify(b, "pooler", ACT_TANH, rows); }

static const head classification_head = CLASSIFICATION(classifier_weights, classify, "BertForSequenceClassification");

static const weight_row_def masked_lm_weights[] = {
    LINEAR("transform", "cls.predictions.transform.dense", "C", "C"),
    NORM("transform_norm", "cls.predictions.transform.LayerNorm"),
    {.name = "decoder.weight", .stored = "cls.predictions.decoder.weight", .shape = "V C", .tied_to = "word"},
    {.name = "decoder.bias",
     .stored = "cls.predictions.bias",
     .shape = "V",
     .also = "cls.predictions.decoder.bias"},
    END_WEIGHTS,
};

static const head masked_lm_head = {
    .task = TKR_TASK_MASKED_LM,
    .title = "masked LM",
    .architectures = (const char *const[]){"BertForMaskedLM", "BertForPreTraining", NULL},
    .weights = masked_lm_weights,
    .reads = READS_TARGET_ROWS,
    .forward = encoder_predict_plain,
};

static const weight_row_def next_sentence_weights[] = {
    {.name = "pooler.weight", .stored = "pooler.dense.weight", .shape = "C C", .is_prefixed = true},
    {.name = "pooler.bias", .stored = "pooler.dense.bias", .shape = "C", .is_prefixed = true},
    LINEAR("classifier", "cls.seq_relationship", "2", "C"),
    END_WEIGHTS,
};

static const head next_sentence_head = {
    .task = TKR_TASK_SEQUENCE_CLASSIFICATION,
    .title = "next sentence",
    .architectures = (const char *const[]){"BertForNextSentencePrediction", NULL},
    .weights = next_sentence_weights,
    .outputs = (const char *const[]){"is_next", "not_next", NULL},
    .reads = READS_FIRST_ROW,
    .forward = classify,
};

static const head token_head = TOKEN_CLASSIFICATION("BertForTokenClassification");
static const head answer_head = QUESTION_ANSWERING("BertForQuestionAnswering");

const family bert_family = {
    .model_types = (const char *const[]){"bert", NULL},
    .title = "BERT",
    .config = keys,
    .weights = weights,
    .prefix = "bert.",
    .ignored = ignored,
    .forward = encoder_forward,
    .heads = (const head *const[]){&classification_head, &masked_lm_head, &token_head, &answer_head,
                                   &next_sentence_head, NULL},
};
