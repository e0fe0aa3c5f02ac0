/*
 * An open model: config, tokenizer, weights and the family that knows how they belong together.
 *
 * Immutable after tkr_model_open (packs are added lazily under each weight's lock), shared by threads.  What the rooms
 * above need of a model is here; how folders are read is in checkpoint.h, config.h, locate.h.
 */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <tokray/model.h>

#include "base/folder.h"
#include "model/family.h"
#include "tensor/graph.h"
#include "text/tokenizer.h"

typedef enum model_problem { PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL, PROBLEM_REGRESSION } model_problem;

/* Token rows of one or more sequences, packed, and which rows are asked about.  The arrays belong to the caller and must
 * outlive the graph; contents may change between runs, sizes may not. */
typedef struct batch {
    size_t sequences, rows;
    uint32_t *begin;            /* [sequences + 1] first row of each sequence                                   */
    int32_t *ids;               /* [rows] token ids                                                             */
    int32_t *types;             /* [rows] token types (segments)                                                */
    int32_t *positions;         /* [rows] position ids, counted from 0 (families add their own offset)          */
    uint8_t *hidden;            /* [rows] non-zero: no query sees this key (removal `attn`); NULL: all are seen */
    size_t targets;             /* rows whose logits are read, all sequences together                           */
    uint32_t *target_begin;     /* [sequences + 1]                                                              */
    int32_t *target_rows;       /* [targets] packed row numbers, ascending                                      */
} batch;

/* Fill the target rows of a batch as the head reads them (classification: the first row of each sequence; masked LM: the
 * given position of each sequence).  Asserts that the arrays are large enough. */
typedef struct model_graph {
    graph *graph;
    node word;                  /* site "word": word embedding rows, before anything is added */
    node logits;                /* site "logits": [targets, outputs]; NODE_NONE without a head */
} model_graph;

typedef struct graph_wish {
    bool all_rows;              /* keep every row through the last layer (captures); else only the target rows          */
    bool no_head;               /* hidden states only                                                                   */
} graph_wish;

/* Describe the forward pass of a batch shape.  The graph lives in the arena.
 * Errors: limit.oom; input.token_id when an id, type or position has no row in its table (checked by model_check_batch). */
tkr_status model_graph_new(const tkr_model *m, const batch *b, graph_wish wish, arena *a, model_graph *out, tkr_error *error);

/* Every id has an embedding row, every position fits: must hold before each run. */
tkr_status model_check_batch(const tkr_model *m, const batch *b, tkr_error *error);

struct tkr_model {
    /* identity */
    char *name, *path;
    const char *source;                 /* "bundled", "cache", "folder" */
    const family *family;
    const head *head;                   /* NULL: none */
    tkr_task task;
    model_problem problem;
    family_config config;
    size_t label_count;
    char **labels;
    tokenizer *tokenizer;
    const kernels *kernels;
    /* weights: the family's table expanded over layers and the head's, sorted by our names */
    weight *weights;
    char **weight_names;                /* our names: "word", "3.query.weight", ... */
    size_t weight_count;
    struct checkpoint *checkpoint;      /* owns the mapped bytes */
    folder *folder;
    struct weights_digest *digest;      /* of all weight bytes, made when first asked for */
    char config_sha256[65];
    uint64_t parameters, weight_bytes;
    char **notes;
    size_t note_count;
};

/* Number of output columns: classes or vocabulary entries; 0 without a head. */
size_t model_outputs(const tkr_model *m);
/* Longest input in tokens. */
size_t model_max_tokens(const tkr_model *m);
/* Display name of output `index`: the label, or the vocabulary entry. */
const char *model_output_name(const tkr_model *m, size_t index);
/* Weight by our name ("word"); NULL if there is none. */
weight *model_weight(const tkr_model *m, const char *name);
/* io.changed when a mapped weight file no longer has its size. */
tkr_status model_unchanged(const tkr_model *m, tkr_error *error);
/* Bytes that packing for these directions will still take from the heap. */
size_t model_missing_packs(const tkr_model *m, bool backward);

#endif
