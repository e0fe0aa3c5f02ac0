/*
 * Variants of an external model: texts.  Each different text is asked once a tkr_explain, whatever masks lead to it (a sentence
 * may lose either of two equal words), some dozens at a time, and its scores are remembered.
 */
#ifndef EXPLAIN_VARIANTS_EXTERNAL_H
#define EXPLAIN_VARIANTS_EXTERNAL_H

#include "explain/variants.h"

typedef struct external_variants external_variants;

/* After the question's clean run, whose answer is the first that is remembered. */
external_variants *external_variants_new(const question *q, tkr_error *error);
void external_variants_free(external_variants *v);
/* As variants_run. */
tkr_status external_variants_run(external_variants *v, const char *phase, const variant *list, size_t count, score *out, tkr_error *error);

#endif
