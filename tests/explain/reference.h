/*
 * Questions of the reference numbers (support/golden.h), opened and asked: what the tests of methods against them share.
 */
#ifndef EXPLAIN_REFERENCE_H
#define EXPLAIN_REFERENCE_H

#include <tokray/tokray.h>

#include "support/golden.h"

enum { TOKENS_MOST = 512, NAME_ROOM = 128, SPEC_ROOM = 256 };

/* One case of the reference: a question about its input "explain" or "pair", or (reference_each_matrix) its whole output. */
typedef struct reference {
    golden *gradients, *perturbation; /* of a question          */
    golden *forward, *matrix;         /* of an output           */
    bool has_decoder;                 /* an encoder-decoder     */
    bool is_committed;                /* a case of tests/data   */
    tkr_model *model;
    tkr_session *session;
    int32_t ids[TOKENS_MOST], types[TOKENS_MOST];
    int32_t outputs[TOKENS_MOST]; /* of a question to an encoder-decoder: the target is the last */
    size_t count, output_count;
    char target[SPEC_ROOM], contrast[SPEC_ROOM];
    size_t compared;
} reference;

enum { REFERENCE_MEASURES = 7 };
extern const char *const reference_measures[REFERENCE_MEASURES];

/* The question in a measure; "diff" is the contrast with the foil. */
tkr_question reference_question(const reference *r, const char *measure);
/* Explain, failing the test with the error's message; what: the name in it. */
tkr_result *reference_explain(const reference *r, const tkr_question *q, const char *methods, const char *what);

/* Encoder-decoders are worse conditioned (tests/tolerance.def). */
#define ALLOWED(r, what) ((r)->has_decoder ? TOLERANCE_##what##_t5 : TOLERANCE_##what)

/* Scores of the features against the reference's numbers by position. */
void reference_compare(const reference *r, const tkr_result *got, const char *array, const char *name, tensor want, tolerance allowed);

/* All steps of the output, tokens as features. */
tkr_question reference_matrix_question(const reference *r);
/* Scores of all steps against a matrix of the reference, whose columns are rows of the model; NaN, the future and what is no
 * player, must be NaN in both.  False when the reference has none of this name. */
bool reference_compare_matrix(const reference *r, const tkr_result *got, const char *array, const char *name, tolerance allowed);

/* Every case of every root that has questions; at_least: what each case adds to r->compared, on average.  Returns the sum of it. */
typedef void reference_fn(reference *r);
size_t reference_each(reference_fn *compare, size_t at_least);
/* The same over the cases with an output. */
size_t reference_each_matrix(reference_fn *compare, size_t at_least);

#endif
