/* Parts of the result file that are written in files of their own. */
#ifndef PRESENT_JSON_RESULT_H
#define PRESENT_JSON_RESULT_H

#include "explain/result.h"
#include "present/json_writer.h"

/* model, inputs, tokens, features, output, prediction, targets */
void json_write_question(json_writer *w, const tkr_result *r);
/* "in", "pair" or "out"; an input given as ids is "in" too. */
const char *json_input_id(const tkr_result *r, size_t index);

#endif
