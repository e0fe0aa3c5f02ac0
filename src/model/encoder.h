/*
 * What BERT and its relatives share: the sum of their embeddings, the post-norm block, and heads of one linear layer.
 *
 * A family that uses these words calls its weights: word, segment, position, norm; in each layer @.query, @.key, @.value,
 * @.mix, @.attention_norm, @.up, @.down, @.output_norm; transform, transform_norm, decoder; classifier; span.
 */
#ifndef MODEL_ENCODER_H
#define MODEL_ENCODER_H

#include "model/build.h"

/* norm(word [+ segment] + position), with the sites "word" and "sum". */
node encoder_embeddings(build *b);
/* One block: x = norm(x + attention(x)); x = norm(x + feed-forward(x)).  After enter_layer. */
node encoder_layer(build *b, node x);
/* All layers of the config, each with weights of its own. */
node encoder_layers(build *b, node x);

/* The forward pass of BERT itself. */
node encoder_forward(build *b);

/* clang-format off */
/* The tensors of a layer, as BERT, RoBERTa and ELECTRA call them. */
#define ENCODER_LAYER_WEIGHTS \
    LINEAR("@.query",           "encoder.layer.@.attention.self.query",     "C", "C"), \
    LINEAR("@.key",             "encoder.layer.@.attention.self.key",       "C", "C"), \
    LINEAR("@.value",           "encoder.layer.@.attention.self.value",     "C", "C"), \
    LINEAR("@.mix",             "encoder.layer.@.attention.output.dense",   "C", "C"), \
    NORM("@.attention_norm",    "encoder.layer.@.attention.output.LayerNorm"), \
    LINEAR("@.up",              "encoder.layer.@.intermediate.dense",       "F", "C"), \
    LINEAR("@.down",            "encoder.layer.@.output.dense",             "C", "F"), \
    NORM("@.output_norm",       "encoder.layer.@.output.LayerNorm")
/* clang-format on */

/* ---- heads: the functions and tables that the macros below put together ------------------------------------------ */

/* Vocabulary logits: decoder(norm(act(transform(x)))). */
node encoder_predict(build *b, activation act, node rows);
node encoder_predict_plain(build *b, node rows); /* with the config's activation */
/* Class logits: classifier(act(middle(x))), with the middle map's name in the family's table. */
node encoder_classify(build *b, const char *middle, activation act, node rows);
node encoder_label_tokens(build *b, node rows);
node encoder_find_span(build *b, node rows);

extern const weight_row_def encoder_token_weights[], encoder_span_weights[];
extern const char *const encoder_span_outputs[];

/* Class logits of the whole text, read at its first row; the last arguments are the class names in config.json. */
#define CLASSIFICATION(table, function, ...)                                                                   \
    {                                                                                                          \
        .task = TKR_TASK_SEQUENCE_CLASSIFICATION, .title = "sequence classification",                          \
        .architectures = (const char *const[]){__VA_ARGS__, NULL}, .weights = table,                           \
        .reads = READS_FIRST_ROW, .forward = function                                                          \
    }
/* Class logits of each token; the arguments are the class names in config.json. */
#define TOKEN_CLASSIFICATION(...)                                                                              \
    {                                                                                                          \
        .task = TKR_TASK_TOKEN_CLASSIFICATION, .title = "token classification",                                \
        .architectures = (const char *const[]){__VA_ARGS__, NULL}, .weights = encoder_token_weights,           \
        .reads = READS_TARGET_ROWS, .forward = encoder_label_tokens                                            \
    }
/* A start and an end logit of each token. */
#define QUESTION_ANSWERING(...)                                                                                \
    {                                                                                                          \
        .task = TKR_TASK_QUESTION_ANSWERING, .title = "question answering",                                    \
        .architectures = (const char *const[]){__VA_ARGS__, NULL}, .weights = encoder_span_weights,            \
        .outputs = encoder_span_outputs, .reads = READS_TARGET_ROWS, .forward = encoder_find_span              \
    }

#endif
