/*
 * Reading the parts of a tokenizer.  Each kind of part (normalizer, pre-tokenizer, model, post-processor, decoder) has one
 * table of rows {type name, load, run}; adding a type is adding a row.  What a part loads lives in the tokenizer's arena, so
 * that no part needs a function that frees it.
 */
#ifndef TEXT_LOADER_H
#define TEXT_LOADER_H

#include <tokray/error.h>

#include "base/arena.h"
#include "base/failure.h"
#include "base/json.h"

enum {
    PART_CHAIN_MOST = 32,  /* parts in one Sequence             */
    PART_DEPTH_MOST = 8,   /* Sequences in Sequences            */
    PIECE_BYTES_MOST = 4096,
    PIECE_ID_MOST = (1 << 21) - 1,
    ADDED_MOST = 65536,
};

typedef struct loader {
    const char *file; /* begins every message */
    arena *memory;
    int depth;        /* of Sequences         */
    size_t patterns;  /* regular expressions so far */
    const char *merges_file; /* where the merges of a BPE model are; NULL: in file too */
    tkr_error *error;
} loader;

/* The first member of every row of a table of parts. */
typedef struct part_name {
    const char *name;
} part_name;

/* The row for the type of `value`, or NULL with unsupported.tok_part naming the type and those that exist, or json.type. */
const void *loader_row(loader *l, const json_t *value, const char *role, const void *rows, size_t count, size_t row_size);
#define LOADER_ROW(l, value, role, rows) \
    loader_row((l), (value), (role), (rows), sizeof(rows) / sizeof((rows)[0]), sizeof((rows)[0]))

/* Memory of the tokenizer's lifetime; NULL with limit.oom. */
void *loader_new(loader *l, size_t count, size_t size);
#define LOADER_NEW(l, type, count) ((type *)loader_new((l), (count), sizeof(type)))

/* Counted string of a field, at most PIECE_BYTES_MOST bytes, copied; required says whether it may be absent (then *out is
 * left alone).  Characters of all kinds are allowed. */
bool loader_text(loader *l, const json_t *object, const char *key, bool required, view *out);
/* The same for a JSON string at hand; `what` names it in messages. */
bool loader_string(loader *l, const json_t *value, const char *what, view *out);
/* true, false, or absent/null: left alone. */
bool loader_flag(loader *l, const json_t *object, const char *key, bool *out);
/* An array of a field, required, of at most `most` entries. */
const json_t *loader_array(loader *l, const json_t *object, const char *key, size_t most);

/* Go into and out of a Sequence: false with limit.tokenizer when too deep. */
bool loader_enter(loader *l);
void loader_leave(loader *l);

#endif
