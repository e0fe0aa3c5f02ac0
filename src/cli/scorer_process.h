/*
 * --external CMD: a model in a child process (docs/external.md).  One JSON object a line:
 *
 *   child    {"labels":["NEGATIVE","POSITIVE"]}                  first, once
 *   parent   {"id":1,"texts":["the plot","the"]}
 *   child    {"id":1,"scores":[[0.1,0.9],[0.4,0.6]]}             one row a text, one number a label
 *         or {"id":1,"error":"a sentence"}
 *
 * A child that ends between or during requests, after it has answered at least one, is started again once and asked again.
 */
#ifndef CLI_SCORER_PROCESS_H
#define CLI_SCORER_PROCESS_H

#include <tokray/model.h>

typedef struct scorer_process scorer_process;

/* Start CMD, cut into words as a shell would (quotes and backslashes; nothing else is special), and read its labels.  seconds: how
 * long to wait for them and for each answer.  NULL and an error: usage.value, input.scorer, time.scorer, cancelled. */
scorer_process *scorer_process_open(const char *command, double seconds, tkr_error *error);
void scorer_process_close(scorer_process *p);
const char *const *scorer_process_labels(const scorer_process *p, size_t *count);
/* user: the scorer_process.  Errors: input.scorer, time.scorer, cancelled. */
tkr_score_fn scorer_process_score;

#endif
