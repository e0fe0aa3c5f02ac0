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
    TKR_TASK_TOKEN_CLASSIFICATION,    /* a row of class logits at each token                   */
    TKR_TASK_QUESTION_ANSWERING,      /* a start and an end logit at each token                */
    TKR_TASK_NEXT_TOKEN,              /* a row of vocabulary logits at each token, for the one that follows */
    TKR_TASK_SEQUENCE_TO_SEQUENCE,    /* a row of vocabulary logits at each step of the output */
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

/* Any other model, through a function that scores texts.
 *
 * score: called with `count` texts (UTF-8, NUL-terminated, valid during the call; an empty text is possible); fills scores
 *   [count][outputs], row by row, one finite number an output.  Any numbers will do: logits, margins, probabilities; larger means
 *   more of that label.  Two outputs or more that are all between 0 and 1 and sum to 1 are taken for probabilities and shown so.
 *   Equal texts should get equal scores.  To fail it returns a status and fills error (a code of its choice; without one it is
 *   input.scorer), which tkr_explain passes on.
 * user: handed to score, never looked at; it must outlive the model.
 * labels [outputs]: names of the outputs, copied; 1 to 4096, UTF-8, all different.
 *
 * Such a model has a tokenizer that cuts texts into words and punctuation, and no inside: tkr_explain works with the methods that
 * only remove words (tkr_method.needs "forward passes"; NULL: "occlusion"), by deletion unless the question says mask, unk, mlm or
 * random:counts=FILE.
 * Gradients, sites, token ids, pairs and generation are refused with usage.capability.
 * Threads: score is called from the thread that calls tkr_explain, and from no other; a scorer that two sessions may enter at the
 *   same time must allow that.
 * Errors: usage.argument, limit.oom; later, from calls that ask the scorer: input.scorer when a number is not finite. */
typedef tkr_status tkr_score_fn(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error);
TKR_API tkr_model *tkr_model_from_scorer(tkr_score_fn *score, void *user, const char *const *labels, size_t outputs, tkr_error *error);

/* Facts about an open model; all zero without one.  All strings are borrowed from the model. */
typedef struct tkr_model_facts {
    const char *name;      /* bundled name, hub name or last part of the folder's path, escaped for display */
    const char *source;    /* "bundled", "cache", "folder" or "external"                                    */
    const char *family;    /* "bert", "distilbert", ...; "external"                                         */
    const char *family_title; /* "BERT", "DistilBERT", ...                                                  */
    tkr_task task;
    const char *task_name; /* "sequence-classification", "masked-lm", "token-classification", "question-answering", "next-token",
                              "sequence-to-sequence", "none"                                                 */
    const char *problem;   /* "single-label", "multi-label", "regression", or "" when not a classifier      */
    const char *dtype;     /* dtype of the word embedding as stored: "f32", "f16", "bf16", "f64"            */
    size_t layers, heads, hidden, inner, vocab, max_tokens, labels;
    uint64_t parameters;   /* numbers in the tensors that are used                                          */
    uint64_t weight_bytes; /* bytes of the weight files                                                     */
    const char *weights_sha256, *config_sha256, *tokenizer_sha256; /* lower-case hex; weights "" until asked for */
    const char *tokenizer_file; /* which file the tokenizer came from                                       */
    uint64_t pack_bytes;   /* memory that running will still take for packed weights                        */
} tkr_model_facts;

TKR_API void tkr_model_describe(const tkr_model *model, tkr_model_facts *facts);

/* SHA-256 of all weight bytes as lower-case hex, made on the first call (a second a gigabyte or so) and part of the facts and of
 * every result from then on; "" without weights.  Borrowed from the model. */
TKR_API const char *tkr_model_weights_sha256(const tkr_model *model);

/* Label text of class index, as config.json spells it; NULL past the end.  Borrowed from the model. */
TKR_API const char *tkr_model_label(const tkr_model *model, size_t index);

/* What the tensors of the folder allow besides hidden states: "sequence classification", "masked LM", ...; NULL past the end. */
TKR_API const char *tkr_model_ability(const tkr_model *model, size_t index);

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

/* One thing that was found in a model folder. */
typedef enum tkr_finding_kind {
    TKR_FINDING_TOKENIZER, /* name: the file it came from; detail: why it cannot be used, or ""              */
    TKR_FINDING_TASK,      /* name: a head of the family; detail: the first tensor it lacks, "" when complete */
    TKR_FINDING_MISSING,   /* name: a tensor that is needed and not there                                    */
    TKR_FINDING_SHAPE,     /* name: a tensor of another shape than config.json says; detail: both            */
    TKR_FINDING_DTYPE,     /* name: a needed tensor of a type that is not computed with; detail: which       */
    TKR_FINDING_UNUSED,    /* name: a tensor that nothing needs                                              */
    TKR_FINDING_IGNORED,   /* name: a tensor known to be a buffer, or part of another head                   */
    TKR_FINDING_NOTE,      /* detail: a sentence: config keys that were ignored, code that is never run, ... */
} tkr_finding_kind;

typedef struct tkr_finding {
    tkr_finding_kind kind;
    const char *name, *detail; /* escaped for display; "" where there is none */
} tkr_finding;

/* Look at everything in a model folder, and go on after a fault as far as it allows: a list of all findings, where
 * tkr_model_open stops at the first.  name, options: as there.  NULL when there is no such folder, or no memory.
 * Cost: that of tkr_model_open, and the headers a second time. */
typedef struct tkr_model_report tkr_model_report;
TKR_API tkr_model_report *tkr_model_check(const char *name, const tkr_model_options *options, tkr_error *error);
/* Why tkr_model_open refuses the folder; NULL: it does not.  Borrowed from the report. */
TKR_API const tkr_error *tkr_model_report_error(const tkr_model_report *report);
/* Finding number index, from 0, ordered by kind; false past the end.  Strings are borrowed from the report. */
TKR_API bool tkr_model_report_finding(const tkr_model_report *report, size_t index, tkr_finding *finding);
TKR_API void tkr_model_report_free(tkr_model_report *report);

/* The table of families this build supports; NULL past the end. */
TKR_API const char *tkr_family_name(size_t index);

/* What a family is called and which heads it has.  false past the end; the strings live as long as the program. */
typedef struct tkr_family_facts {
    const char *title;                     /* "RoBERTa"                                                      */
    const char *const *model_types;        /* values of config.json's model_type, NULL-terminated            */
} tkr_family_facts;
typedef struct tkr_head_facts {
    tkr_task task;
    const char *title;                     /* "masked LM"                                                    */
    const char *const *architectures;      /* class names in config.json that mean this head, NULL-terminated */
} tkr_head_facts;
TKR_API bool tkr_family_describe(size_t family, tkr_family_facts *facts);
TKR_API bool tkr_family_head(size_t family, size_t head, tkr_head_facts *facts);

/* Name of the model to use when none is given: "tiny-distilbert-sentiment". */
TKR_API const char *tkr_default_model(void);

#ifdef __cplusplus
}
#endif
#endif
