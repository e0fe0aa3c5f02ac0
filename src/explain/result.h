/*
 * The result record: what presenters read and methods fill.  See include/tokray/result.h for the public view and
 * docs/result.md for the file schema; fields here are named like the keys there.
 *
 * Everything lives in the result's own arena; text is copied in.  Filled by one thread, read-only afterwards.
 */
#ifndef EXPLAIN_RESULT_H
#define EXPLAIN_RESULT_H

#include <tokray/result.h>
#include <tokray/text.h>

#include "base/arena.h"
#include "base/view.h"

enum { RESULT_RANK_MAX = 4 };

struct tkr_axis {
    const char *name;          /* "target", "feature", "token", "layer", "head", "query", "key", "hidden", "output" */
    tkr_axis_kind kind;
    size_t size;
    const char *const *labels; /* [size]; NULL: numbered from 0 */
};

struct tkr_array {
    const char *name, *unit;
    bool is_signed;
    size_t rank;
    const tkr_axis *axes[RESULT_RANK_MAX];
    size_t size;
    float *data;
    size_t nonfinite;
};

/* A token as shown: text is the bytes [begin, end) of input `text` (0, 1, or 2: the model's output), empty for template
 * tokens.  Output tokens follow those of the inputs; `step` is their number in the output (-1: none, a decoder's start). */
typedef struct result_token {
    tkr_token token;           /* raw is copied */
    size_t feature;            /* the feature it belongs to, or SIZE_MAX */
    size_t unit;               /* grapheme-safe unit, or SIZE_MAX */
    bool is_context;           /* fixed by the question: in every variant, no feature */
    bool is_output;            /* generated, or given as the output */
    int64_t step;
    double probability;        /* of an output token at its step; NaN: none */
} result_token;

typedef struct result_feature {
    const char *label;         /* the user's own bytes, NUL-terminated (may be hostile: escape on output) */
    const uint32_t *members;   /* token indices, ascending */
    size_t count;
    int32_t text;              /* 0, 1 or 2 (the output) */
    int64_t begin, end;        /* bytes of that text; -1 when the input was given as ids */
} result_feature;

typedef struct result_parameter {
    const char *name, *value;  /* value as JSON text: 32, "gl", 0.5 */
} result_parameter;

typedef struct result_run {
    tkr_run_facts facts;
    const result_parameter *parameters;
    size_t parameter_count;
    const tkr_array *scores;   /* "<id>.scores", TARGETS x FEATURES                                              */
    double special;            /* sum of scores on tokens that are in no feature (template tokens): the fold chip */
    size_t special_count;
} result_run;

typedef struct result_input {
    const char *id;            /* "in", "pair", "out" (the output, always the last) */
    const char *text;          /* NULL when ids were given */
    size_t bytes;
    size_t tokens_before_cut;  /* truncation: 0 when nothing was cut */
    const char *cut_side;      /* "end", "start" or NULL */
} result_input;

struct tkr_result {
    arena *arena;
    const char *kind;          /* "explanation", "capture", "gradient" */
    const char *status;        /* "complete", "partial" */
    char id[17];
    /* model facts, copied */
    tkr_model_facts model;
    const char *const *labels; /* [model.labels] */
    /* input */
    result_input inputs[3];    /* first text, second text, output; id NULL: not there                  */
    const char *output_source; /* "generated", "given", or NULL: nothing was put out */
    const char *output_end;    /* "eos", "length" (max_new reached) or NULL           */
    result_token *tokens;
    size_t token_count;
    const char *context;       /* the question's fixed context as it was asked, or NULL */
    const char *feature_kind;  /* "words", ... */
    result_feature *features;
    size_t feature_count;
    /* prediction */
    tkr_prediction *predictions;
    size_t prediction_count;   /* at most 10 */
    double entropy;            /* of the prediction, nats; NaN for regression */
    const char *removal;       /* the removal operator used, "mask" */
    const char *at;            /* where gradients ended, "word" */
    tkr_target_facts *targets;
    size_t target_count;
    result_run *runs;
    size_t run_count;
    tkr_array **arrays;
    size_t array_count, array_capacity;
    tkr_check *checks;
    size_t check_count, check_capacity;
    tkr_checked *checked;
    size_t checked_count, checked_capacity;
    tkr_warning *warnings;
    size_t warning_count, warning_capacity;
    /* provenance */
    uint64_t seed;
    int threads;
    const char *gemm, *cpu;
    double seconds_tokenize, seconds_explain, seconds_total;
    uint64_t peak_memory;
    char created[32];
};

/* An empty result with its arena, or NULL (limit.oom). */
tkr_result *result_new(const char *kind, tkr_error *error);
const char *result_text(tkr_result *r, view text);               /* copied into the result; NULL when out of memory */
const tkr_axis *result_axis(tkr_result *r, const char *name, tkr_axis_kind kind, size_t size, const char *const *labels);
/* The standard errors that belong to an array of scores ("smoothgrad.scores": "smoothgrad.se", "interactions.pairs":
 * "interactions.pairs_se"); NULL: none. */
const tkr_array *result_errors(const tkr_result *r, const tkr_array *scores);
/* A zeroed array; name and unit are copied. */
tkr_array *result_add_array(tkr_result *r, const char *name, const char *unit, bool is_signed, size_t rank,
                            const tkr_axis *const *axes, tkr_error *error);
tkr_status result_add_check(tkr_result *r, tkr_check check, tkr_error *error);
tkr_status result_add_checked(tkr_result *r, tkr_checked checked, tkr_error *error);
tkr_status result_add_warning(tkr_result *r, const char *code, const char *method, const char *message, const char *help,
                              tkr_error *error);

#endif
