/*
 * Questions to external models (tkr_model_from_scorer): texts in, scores out, and nothing inside.  What can be asked of them is
 * checked here, and what follows from having no logits: the measure `score`, the number as it is; probabilities only where the
 * scores of the text itself are some (two or more between 0 and 1 that sum to 1 within 1e-3).
 */
#ifndef EXPLAIN_EXTERNAL_QUESTION_H
#define EXPLAIN_EXTERNAL_QUESTION_H

#include "explain/budget.h"

/* Texts that one call of the scorer gets at most. */
enum { EXTERNAL_TEXTS = 64 };

/* usage.capability: why not, `what` is not for external models; the facts list the methods that are. */
tkr_status external_refuse(const char *what, tkr_error *error);
/* Before anything is read: no ids, pairs, outputs, sites or gradients; no NUL in the text. */
tkr_status external_check_question(const tkr_question *asked, question_wish wish, tkr_error *error);
/* The removal: delete unless the question says otherwise; it was found already. */
tkr_status external_check_removal(const question *q, tkr_error *error);
/* After the clean run: are the scores probabilities?  And does the measure suit them? */
tkr_status external_settle(question *q, tkr_error *error);
/* What a run costs: evaluations and memory; the scorer's own time and work are unknown. */
tkr_status external_plan(const question *q, const method_spec *list, size_t count, tkr_plan *plan, run_plan_sizes *sizes, tkr_error *error);

#endif
