/* Spans of a text, given as JSON: [[begin, end], ...] in bytes, half-open. */
#ifndef EXPLAIN_SPANS_H
#define EXPLAIN_SPANS_H

#include "explain/question.h"

enum { FEATURES_MOST = 2048 };

typedef struct span {
    int64_t begin, end;
} span;

/* Read spans of the first text into the question's arena; an object {"spans": ...} is allowed too.
 * Errors: input.json, input.span (out of the text, empty, through a character, one over another), with the question's field. */
tkr_status spans_read(const question *q, view json, const char *field, span **spans, size_t *count, tkr_error *error);

/* Has a token a byte in common with a span?  Byte-level tokens bring the space before a word along: it does not count. */
bool span_has(span s, const question *q, size_t token);

/* Byte-level tokens bring the space before a word along: *begin moves behind it, unless there is nothing else. */
void span_trim(view text, int64_t *begin, int64_t end);

#endif
