/*
 * Families and heads: one const descriptor a family, one file, one line in families/families.def.
 *
 * A family maps config.json keys to a family_config, names its tensors, and describes its forward pass once as a graph.
 * Loader, shape errors, `tokray models` and the parity tests iterate the table; no other file knows a family by name.
 */
#ifndef MODEL_FAMILY_H
#define MODEL_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <tokray/model.h>

#include "tensor/graph.h"

struct json_t; /* jansson's */

/* How rotary frequencies were stretched for longer texts (formats.md 3.4). */
typedef struct rope_scaling {
    enum { ROPE_PLAIN, ROPE_LINEAR, ROPE_LLAMA3 } kind;
    double factor, low, high, trained; /* llama3: low and high frequency factors, positions of the first training */
} rope_scaling;

/* Numbers a family reads from config.json; 0 where it has none.  Size letters as in docs/notation.md. */
typedef struct family_config {
    size_t hidden;      /* C */
    size_t embedding;   /* E: width of the embeddings where it is another than C */
    size_t layers;      /* L */
    size_t heads;       /* H */
    size_t inner;       /* F */
    size_t positions;   /* P */
    size_t types;       /* S: token types */
    size_t vocab;       /* V */
    size_t labels;      /* N */
    size_t groups, group_layers; /* layers that share weights: number of groups, layers of each; 0: none do */
    size_t first_position;       /* row of the position table that the first token takes                    */
    bool skips_padding;          /* padding inside a text takes no position: RoBERTa                        */
    activation act;
    double eps;
    int64_t pad_id;     /* -1: none */
    bool ties_embeddings;
    /* Where a family has none of these, 0 and false mean: as BERT does it. */
    size_t head_width;     /* D; set to C / H where the config does not say        */
    size_t key_heads;      /* G: heads of keys and values; set to H likewise        */
    size_t decoder_layers; /* of the second stack                                   */
    size_t buckets, farthest; /* T5's relative distances                            */
    size_t window, window_begin; /* keys a query sees, from this layer on; 0: all   */
    bool norms_first;      /* norms before the parts of a block, not after (OPT has both) */
    bool lacks_final_norm; /* of a family that may have one                         */
    bool is_gated;         /* the feed-forward part has two factors                 */
    bool has_attention_bias, has_mix_bias, has_inner_bias;
    bool scales_attention; /* GPT-2 may leave 1/sqrt(D) out                         */
    bool scales_by_layer;  /* attention times 1/(layer + 1)                         */
    bool scales_output;    /* the head's input times 1/sqrt(C)                      */
    double rope_base;      /* rotary positions: theta                               */
    rope_scaling rope;
} family_config;

/* One key of config.json: where its number goes, default, range. */
typedef struct config_key {
    const char *key;          /* NULL: no key, the number is the family's (CONSTANT) */
    /* KEY_SIZE_OR_NULL: null is 0.  KEY_FIXED_...: one value is supported, text or standard. */
    enum {
        KEY_END = 0,
        KEY_SIZE,
        KEY_SIZE_OR_NULL,
        KEY_REAL,
        KEY_ACTIVATION,
        KEY_BOOL,
        KEY_ID,
        KEY_FIXED_TEXT,
        KEY_FIXED_BOOL
    } kind;
    size_t offset;            /* offsetof(family_config, field) */
    double standard;          /* value when the key is absent */
    double low, high;         /* KEY_SIZE: both included; KEY_REAL: above low, at most high */
    const char *text;
} config_key;

/* One tensor: our name and the checkpoint's ("@" stands for the layer), shape in size letters and
 * numbers ("F C"; "C" is a vector; "2 C" has two rows).  "#": see group_layers. */
typedef struct weight_row_def {
    const char *name, *stored, *shape;
    bool is_optional;
    const char *tied_to;      /* our name of the tensor to use when this one is absent */
    const char *also;         /* another stored name for the same tensor */
    bool is_prefixed;         /* rows of a head: the stored name carries the family's prefix */
    bool prefers_own;         /* tied rows: a tensor of one's own wins where the file has it */
    bool is_of_decoder;       /* "@" counts the layers of the second stack; without one there is no such tensor */
    bool is_turned;           /* Conv1D: the matrix is stored [in, out] */
    unsigned char part, parts; /* the tensor holds `parts` of these side by side, this is number `part`; 0: just this one */
    bool (*when)(const family_config *c); /* is there such a tensor in a model of these numbers?  NULL: always */
} weight_row_def;

typedef struct build build; /* see build.h */

typedef struct head {
    tkr_task task;
    const char *title;
    const char *const *architectures;     /* class names in config.json that mean this head; NULL-terminated */
    const weight_row_def *weights;        /* stored names without prefix */
    const char *const *outputs;           /* fixed names of its outputs; NULL: config.json's labels, or the vocabulary */
    enum {
        READS_FIRST_ROW,  /* of each sequence: classification by an encoder                          */
        READS_LAST_ROW,   /* the last that is not padding: classification by a decoder               */
        READS_TARGET_ROWS /* any row: masked LM, next token, token classification, question answering */
    } reads;
    node (*forward)(build *b, node rows); /* logits of the rows */
} head;

/* Which way attention looks. */
typedef enum family_shape { FAMILY_ENCODER, FAMILY_DECODER, FAMILY_ENCODER_DECODER } family_shape;

typedef struct family {
    family_shape shape;
    bool is_scale_free;                   /* norms ignore the length of an embedding, and nothing is added to it (T5, Llama type) */
    const char *const *model_types;       /* NULL-terminated */
    const char *title;
    const config_key *config;
    /* What no table of keys can say: numbers that follow from others, checks between them, nested keys (root: config.json).
     * Called when all keys of the table are read; NULL: nothing. */
    tkr_status (*derive)(const struct json_t *root, family_config *c, tkr_error *error);
    const char *const *harmless_keys;     /* keys without effect on the forward pass, besides the common ones */
    const weight_row_def *weights;
    const char *prefix;                   /* "bert."; files of the bare encoder leave it out */
    const char *const *ignored;           /* tensor name patterns that are no parameters ("*" matches any run) */
    node (*forward)(build *b);
    const head *const *heads;             /* NULL-terminated */
} family;

#define FAMILY(id) extern const family id##_family;
#include "model/families/families.def"
#undef FAMILY
const family *family_at(size_t index); /* NULL past the end */

/* Rows of the tables, so that a family file reads like its paper's appendix. */
#define SIZE_KEY(name, field, standard, low, high) \
    {name, KEY_SIZE, offsetof(family_config, field), standard, low, high, NULL}
#define SIZE_OR_NULL_KEY(name, field, standard, low, high) \
    {name, KEY_SIZE_OR_NULL, offsetof(family_config, field), standard, low, high, NULL}
#define BOOL_KEY(name, field, standard) {name, KEY_BOOL, offsetof(family_config, field), standard, 0, 0, NULL}
#define REAL_KEY(name, field, standard, above, at_most) \
    {name, KEY_REAL, offsetof(family_config, field), standard, above, at_most, NULL}
#define CONSTANT(field, value) {NULL, KEY_REAL, offsetof(family_config, field), value, 0, 0, NULL}
#define ACTIVATION_KEY(name, standard) {name, KEY_ACTIVATION, offsetof(family_config, act), standard, 0, 0, NULL}
#define ID_KEY(name, field, standard) {name, KEY_ID, offsetof(family_config, field), standard, 0, 0, NULL}
#define ONLY(name, value) {name, KEY_FIXED_TEXT, 0, 0, 0, 0, value}
#define ONLY_BOOL(name, value) {name, KEY_FIXED_BOOL, 0, value, 0, 0, NULL}
#define END_KEYS {NULL, KEY_END, 0, 0, 0, 0, NULL}

#define STORED(ours, checkpoint, size) {.name = ours, .stored = checkpoint, .shape = size}
#define LINEAR(ours, checkpoint, out, in) \
    STORED(ours ".weight", checkpoint ".weight", out " " in), STORED(ours ".bias", checkpoint ".bias", out)
#define NORM(ours, checkpoint) \
    STORED(ours ".weight", checkpoint ".weight", "C"), STORED(ours ".bias", checkpoint ".bias", "C")
#define NORM_OF(ours, checkpoint, size) \
    STORED(ours ".weight", checkpoint ".weight", size), STORED(ours ".bias", checkpoint ".bias", size)
#define END_WEIGHTS {.name = NULL}

#endif
