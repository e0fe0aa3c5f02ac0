/*
 * Models: Hugging Face folders (config.json, safetensors, tokenizer files), opened read-only.
 *
 * A tkr_model is immutable once open and may be used by any number of threads at a time.  Weights stay memory-mapped;
 * do not rewrite the folder while it is open.  Nothing inside a folder is ever run.
 */
#ifndef TOKRAY_MODEL_H
#define TOKRAY_MODEL_H

#include <stdbool.h>
#include <tokray/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tkr_model tkr_model;

typedef enum tkr_task {
    TKR_TASK_NONE = 0,                /* the folder has no head: hidden states only            */
    TKR_TASK_SEQUENCE_CLASSIFICATION, /* one row of class logits for the whole input           */
    TKR_TASK_MASKED_LM,               /* a row of vocabulary logits at each masked position    */
} tkr_task;

/* How to open a model.  Start from tkr_model_options_defaults(). */
typedef struct tkr_model_options {
    tkr_task task;        /* TKR_TASK_NONE: what config.json's architecture says, else what the tensors allow     */
    bool tokenizer_only;  /* read config and tokenizer, no weights: enough for tkr_tokenize and tkr_model_info     */
    bool no_weight_scan;  /* skip the search for NaN and infinity in the weights                                  */
    bool copy_weights;    /* read the weights into memory instead of mapping them (for folders that may change)    */
    bool strict_weights;  /* tensors that nothing needs are an error, not a note                                  */
    bool follow_links;    /* allow symbolic links that lead outside the folder                                    */
    int threads;          /* threads that widen, scan and pack weights; 0: as many as the process may use         */
    unsigned char reserved[44];
} tkr_model_options;

TKR_API tkr_model_options tkr_model_options_defaults(void);

/* Open a model by folder, by the name of a bundled model, or by a name in the local hub cache ("org/name" or "name").
 * A path wins over a name when it exists.  options NULL: defaults.  Returns NULL and fills error on failure; a folder that
 * cannot be trusted in any detail is refused whole.  Cost: reads the headers and scans the weights once. */
TKR_API tkr_model *tkr_model_open(const char *name, const tkr_model_options *options, tkr_error *error);

/* Close a model; no session may use it any more.  NULL is allowed. */
TKR_API void tkr_model_close(tkr_model *model);

/* Facts about an open model; all zero without one.  All strings are borrowed from the model. */
typedef struct tkr_model_facts {
    const char *name;      /* bundled name, hub name or last part of the folder's path, escaped for display */
    const char *source;    /* "bundled", "cache" or "folder"                                                */
    const char *family;    /* "bert", "distilbert", ...                                                     */
    const char *family_title; /* "BERT", "DistilBERT", ...                                                  */
    tkr_task task;
    const char *task_name; /* "sequence-classification", "masked-lm", "none"                                */
    const char *problem;   /* "single-label", "multi-label", "regression", or "" when not a classifier      */
    const char *dtype;     /* dtype of the word embedding as stored: "f32", "f16", "bf16", "f64"            */
    size_t layers, heads, hidden, inner, vocab, max_tokens, labels;
    uint64_t parameters;   /* numbers in the tensors that are used                                          */
    uint64_t weight_bytes; /* bytes of the weight files                                                     */
    const char *weights_sha256, *config_sha256, *tokenizer_sha256; /* lower-case hex; weights "" until asked for */
    const char *tokenizer_file; /* which file the tokenizer came from                                       */
} tkr_model_facts;

TKR_API void tkr_model_describe(const tkr_model *model, tkr_model_facts *facts);

/* SHA-256 of all weight bytes as lower-case hex, made on the first call (a second a gigabyte or so) and part of the facts and of
 * every result from then on; "" without weights.  Borrowed from the model. */
TKR_API const char *tkr_model_weights_sha256(const tkr_model *model);

/* Label text of class index, as config.json spells it; NULL past the end.  Borrowed from the model. */
TKR_API const char *tkr_model_label(const tkr_model *model, size_t index);

/* Notes made while opening (unused tensors, two weight files, code in the folder that was not run, ...): what a careful
 * reader should know.  NULL past the end.  Borrowed from the model. */
TKR_API const char *tkr_model_note(const tkr_model *model, size_t index);

/* The bundled models and those in the local hub cache.  index counts from 0; false past the end.
 * Strings are borrowed from the list. */
typedef struct tkr_model_list tkr_model_list;
typedef struct tkr_model_entry {
    const char *name, *source, *path, *summary; /* summary: "DistilBERT · sequence classification", "" if unreadable */
} tkr_model_entry;
TKR_API tkr_model_list *tkr_model_list_new(tkr_error *error);
TKR_API bool tkr_model_list_entry(const tkr_model_list *list, size_t index, tkr_model_entry *entry);
TKR_API void tkr_model_list_free(tkr_model_list *list);

/* The table of families this build supports; NULL past the end. */
TKR_API const char *tkr_family_name(size_t index);

/* Name of the model to use when none is given: "tiny-distilbert-sentiment". */
TKR_API const char *tkr_default_model(void);

#ifdef __cplusplus
}
#endif
#endif
