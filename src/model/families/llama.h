/*
 * What the families of the Llama type share: one graph, one table of tensors.  Each has a file with its keys, its class names
 * and what is peculiar to it.
 */
#ifndef MODEL_FAMILIES_LLAMA_H
#define MODEL_FAMILIES_LLAMA_H

#include "model/build.h"

extern const weight_row_def llama_weights[];
extern const char *const llama_ignored[];
extern const weight_row_def llama_classifier_weights[], llama_next_token_weights[];

node llama_forward(build *b);
node llama_read_head(build *b, node rows);

/* Rotary parameters (rope_scaling, or rope_parameters as later versions write it), and what must hold between the sizes. */
tkr_status llama_derive(const struct json_t *root, family_config *c, tkr_error *error);

/* Keys that all of them have; defaults that differ are arguments. */
#define LLAMA_KEYS(hidden_default, inner_default, key_heads_default, positions_default, vocab_default)                \
    SIZE_KEY("hidden_size", hidden, hidden_default, 1, 65536),                                                        \
    SIZE_KEY("num_hidden_layers", layers, 32, 1, 1024),                                                               \
    SIZE_KEY("num_attention_heads", heads, 32, 1, 1024),                                                              \
    SIZE_OR_NULL_KEY("num_key_value_heads", key_heads, key_heads_default, 1, 1024),                                   \
    SIZE_OR_NULL_KEY("head_dim", head_width, 0, 1, 65536),                                                            \
    SIZE_KEY("intermediate_size", inner, inner_default, 1, 1048576),                                                  \
    SIZE_KEY("max_position_embeddings", positions, positions_default, 1, 16777216),                                   \
    SIZE_KEY("vocab_size", vocab, vocab_default, 1, 2097152),                                                         \
    ACTIVATION_KEY("hidden_act", ACT_SILU),                                                                           \
    REAL_KEY("rms_norm_eps", eps, 1e-6, 0, 0.1),                                                                      \
    REAL_KEY("rope_theta", rope_base, 10000, 0, 1e12),                                                                \
    BOOL_KEY("tie_word_embeddings", ties_embeddings, false),                                                          \
    ID_KEY("pad_token_id", pad_id, -1)

/* Read by llama_derive, or a way to spread the same sums. */
#define LLAMA_HARMLESS "rope_scaling", "rope_parameters", "partial_rotary_factor", "pretraining_tp"

/* The two heads of a family whose classes begin with Name. */
#define LLAMA_HEADS(Name)                                                                                             \
    static const head classification_head = {                                                                         \
        .task = TKR_TASK_SEQUENCE_CLASSIFICATION,                                                                     \
        .title = "sequence classification",                                                                           \
        .architectures = (const char *const[]){Name "ForSequenceClassification", NULL},                               \
        .weights = llama_classifier_weights,                                                                          \
        .reads = READS_LAST_ROW,                                                                                      \
        .forward = llama_read_head,                                                                                   \
    };                                                                                                                \
    static const head next_token_head = {                                                                             \
        .task = TKR_TASK_NEXT_TOKEN,                                                                                  \
        .title = "next token",                                                                                        \
        .architectures = (const char *const[]){Name "ForCausalLM", NULL},                                             \
        .weights = llama_next_token_weights,                                                                          \
        .reads = READS_TARGET_ROWS,                                                                                   \
        .forward = llama_read_head,                                                                                   \
    }

#define LLAMA_FAMILY(...)                                                                                             \
    {                                                                                                                 \
        .shape = FAMILY_DECODER, .is_scale_free = true, .config = keys, .harmless_keys = harmless, .weights = llama_weights,                 \
        .prefix = "model.", .ignored = llama_ignored, .forward = llama_forward,                                       \
        .heads = (const head *const[]){&classification_head, &next_token_head, NULL}, __VA_ARGS__                     \
    }

#endif
