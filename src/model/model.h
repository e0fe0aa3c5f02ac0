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
#include "model/generation.h"
#include "tensor/graph.h"
#include "text/tokenizer.h"

typedef enum model_problem { PROBLEM_SINGLE_LABEL, PROBLEM_MULTI_LABEL, PROBLEM_REGRESSION } model_problem;

/* Token rows of one or more sequences, packed, and which rows are asked about.  The arrays belong to the caller and must
 * outlive the graph; contents may change between runs, sizes may not.
 *
 * Encoder-decoders: the rows of a sequence are its source tokens, then its decoder inputs; output_begin says where the
 * latter begin.  The graph splits them into its two stacks, so that site "word" holds all of them in this order.
 *
 * Sequences may share rows; then there is no way back:
 *   spread     rows that are alike before the first attention are computed once: ids, types and positions, and all nodes up to
 *              there, site "word" among them, have `distinct` rows, and spread says which of them each row is;
 *   key_rows   decoders: a sequence is what comes after rows of earlier ones; its keys are listed, those rows and its own;
 *   source_of  encoder-decoders: a sequence without source rows of its own reads those of an earlier one;
 *   leaves_out rows that nobody sees are not there: positions say where the others lie in their text. */
typedef struct batch {
    size_t sequences, rows;
    uint32_t *begin;            /* [sequences + 1] first row of each sequence                                   */
    uint32_t *output_begin;     /* [sequences] first decoder row of each sequence; NULL: there is one stack     */
    size_t distinct;            /* see above                                                                    */
    int32_t *spread;            /* [rows] of `distinct`; NULL: rows are their own                               */
    uint32_t *key_begin;        /* [sequences + 1] where each sequence's keys begin in ...                      */
    int32_t *key_rows;          /* ... the list; NULL: keys are the rows of the own sequence                    */
    uint32_t *source_of;        /* [sequences] an earlier sequence, or itself; NULL: all read their own source  */
    bool leaves_out;            /* see above                                                                    */
    size_t longest;             /* leaves_out: all positions are below                                          */
    int32_t *ids;               /* [rows] token ids                                                             */
    int32_t *types;             /* [rows] token types (segments)                                                */
    int32_t *positions;         /* [rows] position ids, counted from 0 in each stack (families add their own offset) */
    uint8_t *hidden;            /* [rows], where keys are listed one a key: non-zero: no query sees it (removal `attn`); NULL: all are seen */
    size_t targets;             /* rows whose logits are read, all sequences together                           */
    uint32_t *target_begin;     /* [sequences + 1]                                                              */
    int32_t *target_rows;       /* [targets] rows of the stack that has the head (batch_head_row), ascending    */
} batch;

/* Positions of an input as its author wrote it: 0, 1, ...; RoBERTa's do not count padding, whose own position is -1.  A
 * removal that puts padding in keeps the positions of the input it began with. */
void model_positions(const tkr_model *m, const int32_t *ids, size_t count, int32_t *positions);

/* Row, in the stack that has the head, of the token at `position` of a sequence (its source tokens counted too). */
int32_t batch_head_row(const batch *b, size_t sequence, size_t position);

typedef struct model_graph {
    graph *graph;
    node word;                  /* site "word": word embedding rows, before anything is added, in the batch's order */
    node logits;                /* site "logits": [targets, outputs or wish.output_count]; NODE_NONE without a head */
} model_graph;

/* Keys and values that the decoder has computed for the rows of earlier runs: incremental decoding of one sequence. */
typedef struct model_cache model_cache;
model_cache *model_cache_new(const tkr_model *m, size_t rows, size_t source_rows, tkr_error *error);
void model_cache_free(model_cache *c);
/* Rows of the decoder that are in the cache; tell it that `rows` more have been run. */
size_t model_cache_rows(const model_cache *c);
void model_cache_advance(model_cache *c, size_t rows);
/* Bytes that model_cache_new would take. */
size_t model_cache_bytes(const tkr_model *m, size_t rows, size_t source_rows);

typedef struct graph_wish {
    bool all_rows;              /* keep every row through the last layer (captures); else only the target rows          */
    bool no_head;               /* hidden states only                                                                   */
    const int32_t *outputs;     /* [output_count] these logits alone, of a head that ends in a matrix; NULL: all           */
    size_t output_count;
    model_cache *cache;         /* decoders: the rows of the batch (one sequence) follow those in the cache and join them.
                                   Encoder-decoders: a batch with source rows runs the encoder and fills the cache's cross
                                   part, a batch without (output_begin[0] == begin[0]) reads it.  No way back.  NULL: none */
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
    generation_ids generation;          /* where an output begins and ends */
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
    /* external models: no weights, this instead (external.c) */
    tkr_score_fn *score;                /* NULL: a model of our own */
    void *score_user;
};

/* External models.  Ask: scores [count][labels], all finite.  Errors: whatever the callback says; input.scorer. */
tkr_status model_score(const tkr_model *m, const char *const *texts, size_t count, float *scores, tkr_error *error);
/* Their tokens are the words themselves: names that live as long as the encoding. */
tkr_status external_name_words(tkr_encoding *e, view text, view pair, tkr_error *error);

/* Number of output columns: classes or vocabulary entries; 0 without a head. */
size_t model_outputs(const tkr_model *m);
/* Longest input in tokens (encoder-decoders: of the source). */
size_t model_max_tokens(const tkr_model *m);
/* Does a token's row depend on later tokens?  ENCODER: yes; DECODER: no; ENCODER_DECODER: two stacks. */
family_shape model_shape(const tkr_model *m);
/* Is this id one that ends generation (eos_token_id of generation_config.json, else of config.json)? */
bool model_is_end(const tkr_model *m, int32_t id);
/* First decoder input (decoder_start_token_id, else the pad id); -1: none. */
int32_t model_decoder_start(const tkr_model *m);
/* Display name of output `index`: the label, or the vocabulary entry. */
const char *model_output_name(const tkr_model *m, size_t index);
/* Weight by our name ("word"); NULL if there is none. */
weight *model_weight(const tkr_model *m, const char *name);
/* io.changed when a mapped weight file no longer has its size. */
tkr_status model_unchanged(const tkr_model *m, tkr_error *error);
/* Bytes that packing will still take from the heap. */
size_t model_missing_packs(const tkr_model *m);

#endif
