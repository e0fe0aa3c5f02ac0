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
    X(MEAN, "mean")     /* the mean word embedding                                          */                        \
    X(RANDOM, "random") /* a token drawn from the vocabulary (replacement.h)                */                        \
    X(MLM, "mlm")       /* what a masked language model draws                               */
typedef enum removal {
#define REMOVAL_ENUM(name, id) REMOVAL_##name,
    REMOVALS(REMOVAL_ENUM)
#undef REMOVAL_ENUM
        REMOVAL_COUNT
} removal;
const char *removal_id(removal r);
bool removal_find(view name, removal *out);
/* Does what replaces a feature depend on a draw? */
bool removal_is_random(removal r);

/* A feature: tokens that are scored and removed together.  Disjoint, in text order; other tokens always stay. */
typedef struct feature {
    const uint32_t *members; /* token indices, ascending */
    size_t count;
    int32_t text;            /* 0, 1 or 2: the output                            */
    int64_t begin, end;      /* bytes of that text; -1 for ids                   */
    view label;              /* the user's bytes, or the vocabulary entries      */
} feature;

/* One summand of a target: a measure of one read (reading.h). */
typedef struct term {
    size_t read;
    measured f;
} term;

typedef struct target {
    const char *id, *kind, *chosen_by;
    const char *label, *foil_label; /* foil_label NULL: no contrast                       */
    const term *terms;       /* f is their sum: one, or one a token of a longer answer    */
    size_t term_count;
    measure measure;
    int64_t position, step;  /* token it is read at, step of the output; -1: none         */
    size_t last_row;         /* the last token whose row is read                          */
    double value;            /* f of the clean input                                      */
    double probability;      /* of the answer in the clean run; NaN: none                 */
} target;

/* One side of a target: what a~b is made of, understood (targets.c). */
typedef struct side {
    view spec;
    size_t offset;           /* of spec inside the target string                          */
    const char *kind;        /* "predicted", "label", "token", "mask", "pos", "gen", "all", "start", "end", NULL: no side */
    const int32_t *outputs;  /* the answer: one output or several tokens; NULL: whatever the model says */
    size_t output_count;
    view text;               /* of a token: what the user wrote                           */
    int64_t position;        /* -1: not given                                             */
} side;

typedef enum output_source { OUTPUT_NONE, OUTPUT_GENERATED, OUTPUT_GIVEN } output_source;

typedef struct question {
    tkr_session *session;
    const tkr_model *model;
    const tkr_question *asked;
    arena *arena;
    /* input: texts[0], its pair, and the output's text; data NULL: none, or ids were given */
    view texts[3];
    size_t dropped;          /* tokens that truncation removed                            */
    bool has_text;           /* tokens have offsets                                       */
    double seconds_tokenize;
    /* the rows of the model: input tokens, then decoder inputs (a start, earlier outputs) or what a target adds */
    size_t length, input_length;
    tkr_token *tokens;       /* [length + 1]                                              */
    int32_t *ids, *types;    /* [length]                                                  */
    /* the output: outputs[t] is token length_of_input + t (+ 1 after a decoder start) where that is a row */
    output_source output_source;
    const char *output_end;  /* "eos", "length" or NULL                                   */
    int32_t *outputs;        /* [output_count]                                            */
    size_t output_count, output_limit;
    double *output_logprob, *output_margin; /* [output_count] as generated; NULL: given    */
    /* what is asked */
    side a, foil;
    measure measure;         /* MEASURE_COUNT until the number of terms is known: the user named none */
    bool sums_steps;         /* one target: the sum over all read rows           */
    /* features */
    const char *feature_kind;
    feature *features;
    size_t feature_count;
    uint32_t *feature_of;    /* [length]; UINT32_MAX: in no feature              */
    bool *is_context;        /* [length] fixed context, never a feature; NULL: none (context.c) */
    bool *token_fixed;       /* [length] stays when its feature is removed (methods.md 0.5) */
    bool *is_fixed;          /* [features] all of its tokens stay                */
    /* read rows and targets */
    size_t reads;            /* rows whose logits are read                       */
    uint32_t *read_positions; /* [reads] token index of each read row, ascending */
    size_t outputs_width;    /* numbers in one reading (reads.c)                 */
    real *column_room, *seed_room; /* [outputs_width] for one reading, and one derivative */
    link link;
    target *targets;
    size_t target_count;
    removal removal;
    const char *removal_text; /* as it is recorded, with its options; NULL: its id          */
    bool by_counts;           /* removal random: by the session's counts of a corpus        */
    bool by_words;            /* removal mlm: a sampler of another vocabulary draws words   */
    const char *at;          /* where gradients end: a site, or a pattern of several */
    bool is_deep;            /* none of word, sum, embeddings: inside the layers     */
    size_t column_first, column_end; /* a group of the place's columns; end 0: all of them */
    size_t place_first, place_count; /* tokens that the rows at the chosen place stand for */
    size_t most_seeds;       /* targets whose ways back are walked together, where the cache likes it; 1: memory is short */
    /* the clean run */
    pass *clean;             /* with room for gradients when asked for           */
} question;

/* What is left to tkr_explain's caller after parsing. */
typedef struct question_wish {
    bool gradient;           /* the clean pass must allow a way back             */
    bool all_rows;           /* captures: keep every row, read every row that has logits */
    bool no_features;        /* captures and plain gradients need none           */
} question_wish;

/* Understand: tokens, the output if the target needs one (generated here), features, reads, how many targets.  Everything
 * lives in the arena.  Errors carry field and byte offset.  On failure nothing needs to be freed. */
tkr_status question_init(question *q, tkr_session *s, const tkr_question *asked, question_wish wish, arena *a, tkr_error *error);
/* Run once (not for captures, which mark their sites first) and freeze the targets. */
tkr_status question_run(question *q, question_wish wish, tkr_error *error);
void question_fini(question *q);

/* Choose one of the clean pass's places. */
void question_choose(question *q, size_t place);

/* Make of a copy of a question one with another removal, without options; its arrays are new, in the arena. */
tkr_status question_remove_by(question *copy, removal r, tkr_error *error);

/* Fill a pass's sequence with the question's ids, types and read rows. */
void question_fill(const question *q, pass *p, size_t sequence);
/* Pass shape for `sequences` copies of the input.  With room for a way back as many targets are walked at once as make no more
 * rows than a batch has. */
pass_shape question_shape(const question *q, size_t sequences, bool backward);
/* Rows of a batch: what was asked for, or what the cache likes. */
size_t question_batch_rows(const question *q);

/* Does f of this target depend on feature f at all (it is no later output)?  And can the removal take the feature away? */
bool question_sees(const question *q, size_t target, size_t feature);
bool question_reads(const question *q, size_t target, size_t token);
bool question_removes(const question *q, size_t target, size_t feature);

/* Refuses what (a method's id) needs derivatives of a measure that has none. */
tkr_status question_check_gradient(const question *q, const char *what, tkr_error *error);

/* One reading: a row of logits, or in question answering the start (0) or end (1) logits of all tokens; valid until the next. */
const real *question_reading(const question *q, const pass *p, size_t sequence, size_t read);
/* What an answer is called: the label, the text of the vocabulary entry, in question answering the token. */
const char *question_output_name(const question *q, size_t index);

/* Of the whole target in sequence `sequence` of a pass that has run: f, and the probability of its answer. */
double target_value(const question *q, const target *t, const pass *p, size_t sequence);
double target_probability(const question *q, const target *t, const pass *p, size_t sequence);
/* The model's own answer where the target's first term is read: the output with the largest logit, the lowest among equals; of one
 * label alone 1 above 0, else 0.  -1: a regression has none. */
int32_t target_answer(const question *q, const target *t, const pass *p, size_t sequence);
/* df / d logits of all read rows of a sequence are added to seed (of the pass: [batch.targets, model outputs]). */
void target_seed(const question *q, const target *t, const pass *p, size_t sequence, real *seed);

/* parts, each in its own file */
tkr_status input_read(question *q, tkr_error *error);                    /* input.c: tokens of text or ids          */
tkr_status targets_parse(question *q, tkr_error *error);                 /* targets.c: the sides, the measure       */
tkr_status output_lay_out(question *q, tkr_error *error);                /* output.c: decoder inputs, masks of an answer */
tkr_status reads_find(question *q, bool all_rows, tkr_error *error);     /* reads.c: read rows, number of targets   */
tkr_status features_find(question *q, tkr_error *error);                 /* features.c                              */
tkr_status context_find(question *q, tkr_error *error);                  /* context.c                               */
tkr_status targets_freeze(question *q, tkr_error *error);                /* answers.c: after the clean run          */
/* Do the two sides of a contrast need inputs of their own (answers of different tokens before the last)? */
bool targets_need_two_inputs(const question *q);
/* A token of this id that comes from no text. */
tkr_token question_token(const question *q, int32_t id);
/* Does token i (> 0) go on with the word that token `first` began (features.c)? */
bool question_continues_word(const question *q, size_t first, size_t i);
/* Of the first target's measure; what is a difference of logits is one of scores in an external model. */
const char *question_unit(const question *q);
/* Row of step t of the output: where its logits are read. */
size_t output_row(const question *q, size_t step);

#endif
