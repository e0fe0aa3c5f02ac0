/*
 * The question, understood: tokens, features, targets, measure, removal; and the clean run that answers what the model
 * predicts.  Made once per tkr_explain; methods only read it.
 */
#ifndef EXPLAIN_QUESTION_H
#define EXPLAIN_QUESTION_H

#include <tokray/explain.h>

#include "explain/measure.h"
#include "explain/pass.h"

/* What replaces a removed feature (methods.md 0.5). */
#define REMOVALS(X)                                                                                                   \
    X(MASK, "mask")     /* the mask token's id                                              */                        \
    X(ATTN, "attn")     /* no query sees the position                                       */                        \
    X(PAD, "pad")       /* the pad token's id, seen                                         */                        \
    X(UNK, "unk")       /* the unknown token's id                                           */                        \
    X(ZERO, "zero")     /* word embedding 0; position and type stay                         */                        \
    X(DELETE, "delete") /* taken out, positions closed up                                   */                        \
    X(MEAN, "mean")     /* the mean word embedding                                          */
typedef enum removal {
#define REMOVAL_ENUM(name, id) REMOVAL_##name,
    REMOVALS(REMOVAL_ENUM)
#undef REMOVAL_ENUM
        REMOVAL_COUNT
} removal;
const char *removal_id(removal r);
bool removal_find(view name, removal *out);

/* A feature: tokens that are scored and removed together.  Disjoint, in text order; other tokens always stay. */
typedef struct feature {
    const uint32_t *members; /* token indices, ascending */
    size_t count;
    int32_t text;            /* 0 or 1                                           */
    int64_t begin, end;      /* bytes of that text; -1 for ids                   */
    view label;              /* the user's bytes, or the vocabulary entries      */
} feature;

typedef struct target {
    const char *id, *kind, *chosen_by;
    const char *label, *foil_label; /* foil_label NULL: no contrast               */
    measured f;
    size_t read;             /* which of the read rows                           */
    double value;            /* f of the clean input                             */
    double probability;      /* of output a in the clean run; NaN: none          */
} target;

typedef struct question {
    tkr_session *session;
    const tkr_model *model;
    const tkr_question *asked;
    arena *arena;
    /* input */
    view text, pair;         /* text.data NULL: ids were given                   */
    tkr_encoding *encoding;
    double seconds_tokenize;
    size_t length;           /* tokens                                           */
    int32_t *ids, *types;
    /* features */
    const char *feature_kind;
    feature *features;
    size_t feature_count;
    uint32_t *feature_of;    /* [length]; UINT32_MAX: in no feature              */
    /* read rows and targets */
    size_t reads;
    uint32_t *read_positions; /* [reads] token index of each read row            */
    size_t outputs;
    link link;
    target *targets;
    size_t target_count;
    removal removal;
    const char *at;
    /* the clean run */
    pass *clean;             /* with room for gradients when asked for           */
} question;

/* What is left to tkr_explain's caller after parsing. */
typedef struct question_wish {
    bool gradient;           /* the clean pass must allow a way back             */
    bool all_rows;           /* captures: keep every row, read all rows of a masked LM */
    bool no_features;        /* captures and plain gradients need none           */
    bool plan_only;          /* tokens and features only: no run, no targets     */
} question_wish;

/* Understand and run once.  Everything lives in the arena but the encoding and the clean pass, which question_fini frees.
 * Errors carry field and byte offset.  On failure nothing needs to be freed. */
tkr_status question_init(question *q, tkr_session *s, const tkr_question *asked, question_wish wish, arena *a, tkr_error *error);
void question_fini(question *q);

/* Fill a pass's sequence with the question's ids, types and read rows. */
void question_fill(const question *q, pass *p, size_t sequence);
/* Pass shape for `sequences` copies of the input. */
pass_shape question_shape(const question *q, size_t sequences, bool backward);

/* parts, each in its own file */
tkr_status features_find(question *q, tkr_error *error);                 /* features.c */
tkr_status targets_find_reads(question *q, bool all_rows, tkr_error *error); /* targets.c: before the clean run  */
tkr_status targets_find(question *q, tkr_error *error);                  /* targets.c: after the clean run   */

#endif
