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

/* Numbers a family reads from config.json; 0 where it has none.  Size letters as in docs/notation.md. */
typedef struct family_config {
    size_t hidden;      /* C */
    size_t layers;      /* L */
    size_t heads;       /* H */
    size_t inner;       /* F */
    size_t positions;   /* P */
    size_t types;       /* S: token types */
    size_t vocab;       /* V */
    size_t labels;      /* N */
    activation act;
    double eps;
    int64_t pad_id;     /* -1: none */
    bool ties_embeddings;
} family_config;

/* One key of config.json: where its number goes, default, range. */
typedef struct config_key {
    const char *key;          /* NULL: no key, the number is the family's (CONSTANT) */
    enum { KEY_END = 0, KEY_SIZE, KEY_REAL, KEY_ACTIVATION, KEY_BOOL, KEY_ID, KEY_FIXED_TEXT } kind;
    size_t offset;            /* offsetof(family_config, field) */
    double standard;          /* value when the key is absent */
    double low, high;         /* KEY_SIZE: both included; KEY_REAL: above low, at most high */
    const char *text;         /* KEY_FIXED_TEXT: the only value supported */
} config_key;

/* One tensor: our name and the checkpoint's ("@" stands for the layer), shape in size letters ("F C"; "C" is a vector). */
typedef struct weight_row_def {
    const char *name, *stored, *shape;
    bool is_optional;
    const char *tied_to;      /* our name of the tensor to use when this one is absent */
    const char *also;         /* another stored name for the same tensor */
    bool is_prefixed;         /* rows of a head: the stored name carries the family's prefix */
} weight_row_def;

typedef struct build build; /* see build.h */

typedef struct head {
    tkr_task task;
    const char *title;
    const char *const *architectures;     /* class names in config.json that mean this head; NULL-terminated */
    const weight_row_def *weights;        /* stored names without prefix */
    enum { READS_FIRST_ROW, READS_TARGET_ROWS } reads;
    node (*forward)(build *b, node rows); /* logits of the rows */
} head;

typedef struct family {
    const char *const *model_types;       /* NULL-terminated */
    const char *title;
    const config_key *config;
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
#define REAL_KEY(name, field, standard, above, at_most) \
    {name, KEY_REAL, offsetof(family_config, field), standard, above, at_most, NULL}
#define CONSTANT(field, value) {NULL, KEY_REAL, offsetof(family_config, field), value, 0, 0, NULL}
#define ACTIVATION_KEY(name, standard) {name, KEY_ACTIVATION, offsetof(family_config, act), standard, 0, 0, NULL}
#define ID_KEY(name, field, standard) {name, KEY_ID, offsetof(family_config, field), standard, 0, 0, NULL}
#define ONLY(name, value) {name, KEY_FIXED_TEXT, 0, 0, 0, 0, value}
#define END_KEYS {NULL, KEY_END, 0, 0, 0, 0, NULL}

#define STORED(ours, checkpoint, size) {.name = ours, .stored = checkpoint, .shape = size}
#define LINEAR(ours, checkpoint, out, in) \
    STORED(ours ".weight", checkpoint ".weight", out " " in), STORED(ours ".bias", checkpoint ".bias", out)
#define NORM(ours, checkpoint) \
    STORED(ours ".weight", checkpoint ".weight", "C"), STORED(ours ".bias", checkpoint ".bias", "C")
#define END_WEIGHTS {.name = NULL}

#endif
