/*
 * Questions and methods: which tokens made this prediction?
 *
 * question = model + input + target + features + removal.  The same little language everywhere (command line, C, Python,
 * HTTP): targets "label:POSITIVE", "class:1", "mask", "next", "gen:2", "token:\"paris\"", "predicted", contrasts "a~b";
 * methods "ig:steps=100,rule=mid,occlusion".
 */
#ifndef TOKRAY_EXPLAIN_H
#define TOKRAY_EXPLAIN_H

#include <tokray/result.h>
#include <tokray/session.h>
#include <tokray/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What is asked.  Plain data; start from tkr_question_defaults().  Strings are UTF-8, borrowed for the call. */
typedef struct tkr_question {
    const char *text;        /* the input ...                                                                       */
    size_t text_bytes;       /* its length; 0: up to the NUL                                                        */
    const char *pair;        /* second text, or NULL                                                                */
    size_t pair_bytes;
    const int32_t *ids;      /* ... or token ids, special tokens included (text must be NULL)                       */
    size_t id_count;
    const int32_t *segments; /* token types for ids; NULL: all 0                                                    */
    const char *target;      /* NULL: "predicted"                                                                   */
    const char *measure;     /* "logit" (NULL), "prob", "logprob", "logodds", "margin", "meanfoil"; of methods that
                                remove features also "entropy", "kl"; of external models "score" (NULL), "prob", ... */
    const char *features;    /* "words" (NULL), "tokens", "sentences", "lines", or "spans:[[0,4],[5,9]]" (bytes of text) */
    const char *removal;     /* "auto" (NULL), "mask", "attn", "pad", "unk", "zero", "delete", "mean",
                                "random", "random:counts=FILE", "mlm", "mlm:model=NAME"                          */
    const char *at;          /* where gradients end: "word" (NULL), "sum", "embeddings"                              */
    tkr_truncate truncate;
    /* Models that put out text (next token, sequence to sequence): the output that is explained ... */
    const char *output_text; /* given; NULL and no ids: generated greedily where the target needs one               */
    size_t output_text_bytes;
    const int32_t *output_ids; /* given as ids, without a decoder start                                             */
    size_t output_id_count;
    size_t max_new;          /* tokens to generate at most; 0: 20                                                   */
    const char *per_target;  /* several steps: "each" its own target or their "sum"; NULL: each for "all", else sum */
    bool prompt_only;        /* earlier outputs are fixed context, not features                                     */
    const char *context;     /* parts of the input that are never removed and get no score: "text:\"Review:\"" (wherever it
                                stands), "spans:[[0,7]]" (bytes of text), "first" or "pair" (one of two texts), NULL: none */
    unsigned char reserved[48];
} tkr_question;

TKR_API tkr_question tkr_question_defaults(void);

/* Explain a prediction by one or more methods ("ig", "ig:steps=100,occlusion", NULL: "ig").
 * The result carries the prediction, one scores array a method ("<id>.scores", TARGETS x FEATURES), checks, costs, the
 * finding's check (one real forward pass without the top feature) and provenance.  Caller frees with tkr_result_free.
 * Errors: see docs/errors.md; error->field names the question's field, error->offset the byte in it. */
TKR_API tkr_result *tkr_explain(tkr_session *session, const tkr_question *question, const char *methods, tkr_error *error);

/* What tkr_explain would cost; nothing is computed. */
typedef struct tkr_plan {
    uint64_t evaluations;       /* variants scored                                                 */
    uint64_t forward_rows;      /* token rows through the forward pass                             */
    uint64_t backward_rows;     /* token rows through the backward pass                            */
    double gflop;               /* least floating-point work                                       */
    double seconds_estimate;    /* from a conservative rate of this processor level                */
    uint64_t bytes;             /* heap the run will hold at its peak, packed weights included      */
    uint64_t bytes_activations, bytes_weights, bytes_results;
    size_t batch_rows;          /* rows run at once                                                */
    unsigned char reserved[64];
} tkr_plan;
TKR_API tkr_status tkr_plan_explain(tkr_session *session, const tkr_question *question, const char *methods, tkr_plan *plan,
                                    tkr_error *error);

/* Hidden states, attention and logits of one input at named sites ("embeddings", "layer.3.output", "layer.*.attention.probs",
 * "logits"; comma-separated).  One array a site, named like it.  Site names: docs/architecture.md. */
TKR_API tkr_result *tkr_capture(tkr_session *session, const tkr_question *question, const char *sites, tkr_error *error);

/* What the model puts out after the question's input, greedily: at most question->max_new tokens, fewer when it ends by itself.
 * The result's tokens carry it (is_output, probability); arrays "output.logprob" and "output.margin" (best logit less the
 * second best) over its TOKENS, tkr_result_output its text.  One pass over the input, then one row a token.
 * Errors: usage.capability for models that put out no text. */
TKR_API tkr_result *tkr_generate(tkr_session *session, const tkr_question *question, tkr_error *error);

/* Derivative of the target's measure with respect to every row at question->at: array "gradient", TOKENS x HIDDEN. */
TKR_API tkr_result *tkr_gradient(tkr_session *session, const tkr_question *question, tkr_error *error);

/* The methods table.  NULL past the end. */
typedef struct tkr_parameter {
    const char *name, *type, *default_value, *range, *help; /* type: "int", "real", "choice", "flag" */
} tkr_parameter;
typedef struct tkr_method {
    const char *id, *title, *family, *summary, *paper, *needs, *cost, *caveat;
    bool is_signed, is_additive;
    const tkr_parameter *parameters; /* ends with a NULL name */
    const char *const *aliases;      /* ends with NULL        */
} tkr_method;
TKR_API const tkr_method *tkr_method_at(size_t index);
/* By id or alias, underscores accepted; NULL if there is none. */
TKR_API const tkr_method *tkr_method_find(const char *id);

#ifdef __cplusplus
}
#endif
#endif
