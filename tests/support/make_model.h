/*
 * A writer of model folders with seeded random weights: config.json, safetensors (one file or shards) and vocab.txt, as
 * Hugging Face would spell them.  For tests, benchmarks and the catalogue of bad inputs; uses nothing of the library.
 */
#ifndef SUPPORT_MAKE_MODEL_H
#define SUPPORT_MAKE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum made_head { MADE_NO_HEAD, MADE_CLASSIFIER, MADE_MASKED_LM } made_head;
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
    const char *family; /* "bert" or "distilbert"                                            */
    size_t hidden, layers, heads, inner, positions, types, vocab, labels;
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

/* A tiny classifier with two labels; change what should be otherwise. */
model_recipe model_recipe_tiny(const char *family);
/* Sizes of the published base models, 30522 entries, 512 positions. */
model_recipe model_recipe_base(const char *family);

/* Write all files into an existing folder. */
bool make_model(const char *folder, const model_recipe *recipe);
/* Only the weights, only config.json, only vocab.txt and tokenizer_config.json. */
bool make_weights(const char *folder, const model_recipe *recipe);
bool make_config(const char *folder, const model_recipe *recipe);
bool make_vocabulary(const char *folder, const model_recipe *recipe);

/* A safetensors file from its header's text and data: 8 bytes of length, the header, the data. */
bool make_safetensors(const char *folder, const char *name, const char *header, size_t header_size,
                      const void *data, size_t data_size);

#endif
