/*
 * A writer of model folders with seeded random weights: config.json, safetensors (one file or shards) and a tokenizer, as
 * Hugging Face would spell them.  For tests, benchmarks and the catalogue of bad inputs; uses nothing of the library.
 */
#ifndef SUPPORT_MAKE_MODEL_H
#define SUPPORT_MAKE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* MADE_TOKENS, MADE_SPAN: token classification, question answering. */
typedef enum made_head {
    MADE_NO_HEAD,
    MADE_CLASSIFIER,
    MADE_MASKED_LM,
    MADE_NEXT_TOKEN,
    MADE_SEQUENCE_TO_SEQUENCE,
    MADE_TOKENS,
    MADE_SPAN
} made_head;
typedef enum made_dtype { MADE_F32, MADE_F16, MADE_BF16, MADE_F64 } made_dtype;

/* One tensor on its way into the file; a recipe's edit function may change all of it. */
typedef struct made_tensor {
    char name[160];
    made_dtype dtype;          /* how its numbers are written                                       */
    const char *claimed_dtype; /* what the header says instead, or NULL                             */
    size_t rank, shape[2];
    double centre, deviation; /* numbers are centre + deviation * (about) normal                   */
    bool is_left_out;
    size_t bad_count; /* this many numbers, from bad_at on, are replaced by bad_value      */
    size_t bad_at;
    double bad_value;
} made_tensor;

typedef struct model_recipe {
    const char *family; /* bert distilbert electra roberta albert gpt2 llama mistral qwen2 t5        */
    size_t hidden, layers, heads, inner, positions, types, vocab, labels;
    size_t key_heads;      /* llama type; 0: heads                                                */
    size_t head_width;     /* t5, llama type; 0: hidden / heads                                   */
    size_t decoder_layers; /* t5; 0: layers                                                       */
    size_t embedding;      /* electra, albert; 0: hidden                                          */
    bool gated;            /* t5: gated-<activation>                                              */
    const char *activation;
    made_head head;
    const char *problem; /* problem_type or NULL                                              */
    made_dtype dtype;
    made_dtype rounded_to;   /* numbers are first rounded to this type (MADE_F64: not at all)     */
    size_t shards;           /* 1: one file                                                       */
    bool no_prefix;          /* tensor names of the bare encoder                                  */
    bool legacy_names;       /* LayerNorm.gamma and .beta, a position_ids buffer                  */
    bool untied;             /* the masked-LM decoder has numbers of its own                      */
    bool no_architecture;    /* config.json leaves architectures out                              */
    size_t header_padding;   /* extra spaces at the header's end: data at odd addresses           */
    const char *more_config; /* further keys for config.json: "\"a\": 1, \"b\": 2", or NULL       */
    double deviation;        /* of the matrices                                                   */
    uint64_t seed;
    void (*edit)(made_tensor *t, void *user);
    void *edit_user;
} model_recipe;

/* A tiny model: a classifier with two labels, or one that puts out text (gpt2, llama type, t5); change what should be otherwise. */
model_recipe model_recipe_tiny(const char *family);
/* Sizes of a published model: the base models of encoders (30522 entries, 512 positions), GPT-2, T5-small, and for the Llama
 * type a small one of 42 million parameters. */
model_recipe model_recipe_base(const char *family);

/* Write all files into an existing folder. */
bool make_model(const char *folder, const model_recipe *recipe);
/* Only the weights, only config.json, only the tokenizer: vocab.txt or a Unigram tokenizer.json, and tokenizer_config.json. */
bool make_weights(const char *folder, const model_recipe *recipe);
bool make_config(const char *folder, const model_recipe *recipe);
bool make_vocabulary(const char *folder, const model_recipe *recipe);

/* A safetensors file from its header's text and data: 8 bytes of length, the header, the data. */
bool make_safetensors(const char *folder, const char *name, const char *header, size_t header_size,
                      const void *data, size_t data_size);

#endif
