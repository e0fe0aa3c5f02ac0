/*
 * Methods: one file and one line in methods/methods.def each.  Command line, help, JSON and documentation come from the
 * descriptors; parameters are checked against them before anything runs.
 */
#ifndef EXPLAIN_METHOD_H
#define EXPLAIN_METHOD_H

#include "explain/differentiate.h"
#include "explain/result.h"
#include "explain/scorer.h"

enum { PARAMETERS_MOST = 8, METHOD_ID_ROOM = 48 };

/* A parameter as the public table shows it, and what is needed to check it. */
typedef struct parameter {
    tkr_parameter shown;
    enum { PARAMETER_END = 0, PARAMETER_INT, PARAMETER_REAL, PARAMETER_CHOICE, PARAMETER_BASELINE } kind;
    double standard, low, high;
} parameter;

#define INT_PARAMETER(name, standard, low, high, help)                                                                \
    {{name, "int", #standard, #low " to " #high, help}, PARAMETER_INT, standard, low, high}
#define REAL_PARAMETER(name, standard, low, high, help)                                                               \
    {{name, "real", #standard, #low " to " #high, help}, PARAMETER_REAL, standard, low, high}
/* choices: "gl|mid|left", the first is the default. */
#define CHOICE_PARAMETER(name, standard, choices, help) {{name, "choice", standard, choices, help}, PARAMETER_CHOICE, 0, 0, 0}
#define BASELINE_PARAMETER(name, help)                                                                                \
    {{name, "baseline", "auto", "auto|mask|pad|unk|zero|mean|text:\"...\"", help}, PARAMETER_BASELINE, 0, 0, 0}
#define END_PARAMETERS {{NULL, NULL, NULL, NULL, NULL}, PARAMETER_END, 0, 0, 0}

/* What a method needs of the clean run; NEEDS_INSIDE: nothing more, but a model whose inside can be read (no external one). */
enum { NEEDS_FORWARD = 0, NEEDS_GRADIENT = 1, NEEDS_INSIDE = 2 };

/* Values of one run's parameters, in the order of the descriptor. */
typedef struct arguments {
    double number[PARAMETERS_MOST];
    view text[PARAMETERS_MOST];
    bool is_given[PARAMETERS_MOST];
} arguments;

typedef struct method method;

/* One run of a method: what it reads and what it fills. */
typedef struct method_call {
    const question *q;
    scorer *scorer;
    const method *method;
    const char *id;               /* "ig", for a second run "ig-2" */
    arguments arguments;
    size_t gradient_sequences;    /* points run at once */
    size_t score_sequences;       /* variants run at once */
    tkr_result *result;
    /* filled by run */
    double *token_scores;         /* [targets][length], zeroed: gradient methods add here ...    */
    double *scores;               /* [targets][features], zeroed: ... removal methods write here */
    double *place_scores;         /* [places][targets][length] of several places; NULL: there is one */
    double *base;                 /* [targets] f(baseline) of additive methods, else NaN         */
    double *errors;               /* [targets][features] standard errors of methods that sample, else NULL */
    double *pairs, *pair_errors;  /* [targets][features][features] of methods that score pairs, else NULL: "<id>.pairs", "<id>.pairs_se" */
    double *details;              /* [targets][details of the method], NaN: "<id>.details"; NULL without any */
    bool is_exact;                /* nothing was estimated: errors and pair_errors are all 0 and not recorded */
    bool by_probability;          /* scores and base are in the probability of the answer, not in the measure */
    double *ledger;               /* [targets][RELEVANCE_PART_COUNT] of relevance methods (relevance.h), else NULL */
    /* filled around run */
    double *value, *sum;          /* [targets] f(input), sum of the token scores                 */
    double special;               /* first target: what lies on tokens that are in no feature ... */
    size_t special_count;         /* ... and how many there are                                  */
    uint64_t evaluations, forward, backward;
} method_call;

/* What a run would cost beyond the clean run. */
typedef struct method_cost {
    uint64_t evaluations;         /* variants or points                        */
    uint64_t at_once;             /* most of them asked for in one call        */
    uint64_t forward, backward;   /* passes over one input                     */
} method_cost;

struct method {
    tkr_method facts;
    const parameter *parameters;
    unsigned needs;
    bool scores_tokens;           /* fills token_scores                        */
    bool at_any_site;             /* also answers inside the layers (question.is_deep) */
    bool scores_pairs;            /* run fills call.pairs and call.pair_errors */
    const char *unit;             /* of the scores; NULL: the measure's        */
    const char *const *details;   /* names of what else a run says about each target, ends with NULL; NULL: nothing */
    bool is_local;                /* run fills the scores of all places at once (local.h) */
    bool is_sampled;              /* scores are estimates: run fills call.errors (sampling.h) */
    bool draws_tokens;            /* from a vocabulary: not for external models, which show none */
    bool is_fast;                 /* part of -M fast: about 2n passes at most  */
    /* Fill in what depends on the model, before the plan; NULL: nothing does. */
    void (*settle)(const question *q, arguments *a);
    /* Can it be asked?  Called after settle, before anything is computed; NULL: always. */
    tkr_status (*check)(const question *q, const arguments *a, tkr_error *error);
    method_cost (*cost)(const arguments *a, size_t features, size_t targets);
    /* Bytes that a run holds beside passes and scores, with so many points at once; NULL: little. */
    size_t (*held)(const question *q, const arguments *a, size_t sequences);
    /* Are these arguments' scores signed?  NULL: as facts.is_signed says. */
    bool (*is_signed)(const arguments *a);
    tkr_status (*run)(method_call *c, tkr_error *error);
};

#define METHOD(id) extern const method id##_method;
#include "explain/methods/methods.def"
#undef METHOD
const method *method_at(size_t index);      /* NULL past the end */
const method *method_find(view id);         /* id or alias, underscores accepted */

bool method_is_signed(const method *m, const arguments *a);
size_t method_details(const method *m); /* how many there are */

/* One item of a methods string. */
typedef struct method_spec {
    const method *method;
    arguments arguments;
    char id[METHOD_ID_ROOM];
    bool is_by_group;             /* "all" or "fast" named it */
} method_spec;

/* Read "ig:steps=100,occlusion", "all", "fast"; NULL: "ig".  The list is in the arena; text values point into `text`.
 * Errors: usage.method, usage.parameter, usage.range, usage.value, with the byte offset in `text`. */
tkr_status methods_parse(const char *text, arena *a, method_spec **list, size_t *count, tkr_error *error);

/* Parameter `index`, baselines, becomes the names that they stand for. */
tkr_status method_name_baselines(method_call *c, size_t index, tkr_error *error);

/* Completeness: expected = f(x) - f(baseline) against the sum of the scores, as a check and, where it fails, a warning that
 * `help` says how to mend. */
tkr_status method_check_completeness(method_call *c, const char *help, tkr_error *error);
double method_sum(const method_call *c, size_t target);
/* A warning about this run, of at most 400 bytes: how it is called, what can be done, and the sentence.  Error: limit.oom. */
tkr_status method_warn(const method_call *c, tkr_error *error, const char *code, const char *help, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

#endif
