/* Recording: what a question and its runs were, copied into a result. */
#ifndef EXPLAIN_RECORD_H
#define EXPLAIN_RECORD_H

#include "explain/method.h"

/* Model, input, tokens, features, prediction, targets, provenance. */
tkr_status record_question(tkr_result *r, const question *q, tkr_error *error);
tkr_status record_room_for_runs(tkr_result *r, size_t count, tkr_error *error);
/* Scores, parameters, costs of one run. */
tkr_status record_run(tkr_result *r, const method_call *c, double seconds, tkr_error *error);
/* The result's id: a hash of question, model, parameters, seed and version. */
tkr_status record_identity(tkr_result *r, const question *q, const char *methods, tkr_error *error);
/* Axis over all tokens, or over some of them, labelled with their raw pieces. */
const tkr_axis *record_rows_axis(tkr_result *r, const char *name, size_t begin, size_t end);
const tkr_axis *record_token_axis(tkr_result *r, const char *name);

#endif
