/* A tiny random model in a temporary folder, opened, with a session: what most tests of this room start from. */
#ifndef EXPLAIN_MADE_H
#define EXPLAIN_MADE_H

#include <tokray/tokray.h>

#include "support/make_model.h"
#include "support/workplace.h"

typedef struct made {
    char folder[WORK_PATH];
    tkr_model *model;
    tkr_session *session;
} made;

/* NULL options: defaults.  Fails the test when anything goes wrong. */
made made_open(const model_recipe *recipe, const tkr_session_options *options);
/* A case of tests/data/models, by name. */
made made_open_case(const char *name);
void made_close(made *m);

/* A recipe by family and head with small odd sizes. */
model_recipe made_recipe(const char *family_name, made_head kind, uint64_t seed);

/* A text of made_recipe's vocabulary with `words` words; the masked LM's has a [MASK] in the middle.  Freed with free(). */
char *made_text(const made *m, size_t words, uint64_t seed);

/* Explain, failing the test with the error's message when it does not work. */
tkr_result *made_explain(made *m, const tkr_question *question, const char *methods);
/* Scores of the first target, "<id>.scores". */
const float *made_scores(const tkr_result *r, const char *name, size_t *count);

#endif
