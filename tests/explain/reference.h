/*
 * Questions of the reference numbers (support/golden.h), opened and asked: what the tests of methods against them share.
 */
#ifndef EXPLAIN_REFERENCE_H
#define EXPLAIN_REFERENCE_H

#include <tokray/tokray.h>

#include "support/golden.h"

enum { TOKENS_MOST = 512, NAME_ROOM = 128, SPEC_ROOM = 256 };

/* One question of the reference: a case's model and its input "explain" or "pair". */
typedef struct reference {
    golden *gradients, *perturbation;
    tkr_model *model;
    tkr_session *session;
    int32_t ids[TOKENS_MOST], types[TOKENS_MOST], outputs[TOKENS_MOST]; /* outputs: of an encoder-decoder, the target the last */
    size_t count, output_count;
    char target[SPEC_ROOM], contrast[SPEC_ROOM];
    size_t compared;
} reference;

enum { REFERENCE_MEASURES = 7 };
extern const char *const reference_measures[REFERENCE_MEASURES];

void reference_open(reference *r, const char *root, const char *name);
void reference_close(reference *r);
/* The question in a measure; "diff" is the contrast with the foil. */
tkr_question reference_question(const reference *r, const char *measure);
/* Explain, failing the test with the error's message; what: the name in it. */
tkr_result *reference_explain(const reference *r, const tkr_question *q, const char *methods, const char *what);

/* Encoder-decoders are worse conditioned (tests/tolerance.def). */
bool reference_has_decoder(const reference *r);
#define ALLOWED(r, what) (reference_has_decoder(r) ? TOLERANCE_##what##_t5 : TOLERANCE_##what)

/* Scores of the features against the reference's numbers by position. */
void reference_compare(const reference *r, const tkr_result *got, const char *array, const char *name, tensor want, tolerance allowed);

/* Every case of every root that has questions; at_least: what each case adds to r->compared, on average.  Returns the sum of it. */
typedef void reference_fn(reference *r);
size_t reference_each(reference_fn *compare, size_t at_least);

#endif
