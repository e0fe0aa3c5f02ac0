/*
 * The methods that were asked for, as the one string the library reads: all -M joined by commas, --baseline put into every
 * method that has such a parameter; and the way back from a byte of that string to what was typed.
 */
#ifndef CLI_METHODS_TEXT_H
#define CLI_METHODS_TEXT_H

#include "cli/arguments.h"

typedef struct methods_span {
    size_t begin, end;    /* bytes of text         */
    const use *use;
    size_t from;          /* byte of the use's value that text[begin] is */
} methods_span;

typedef struct methods_text {
    char *text;           /* NULL: none was asked for */
    size_t size, capacity;
    methods_span *spans;
    size_t span_count, span_capacity;
} methods_text;

tkr_status methods_text_init(methods_text *m, const arguments *a, tkr_error *error);
void methods_text_fini(methods_text *m);
/* The use that byte `offset` came from and the byte in its value; NULL when it was not typed. */
const use *methods_text_find(const methods_text *m, size_t offset, size_t *at);

#endif
