/*
 * Many patterns at once: the longest pattern that begins at each byte of a text, in time linear in the text whatever the
 * patterns are.
 */
#ifndef TEXT_MATCHER_H
#define TEXT_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

typedef struct matcher matcher;

/* Patterns are numbered in the order they are added; of equal ones the first counts, empty ones are left out. */
matcher *matcher_new(void);
void matcher_free(matcher *m);
bool matcher_add(matcher *m, view pattern); /* false: out of memory */
bool matcher_finish(matcher *m);            /* after the last pattern; false: out of memory */
bool matcher_is_empty(const matcher *m);    /* NULL is empty */
size_t matcher_size(const matcher *m, int32_t pattern); /* its bytes */

/* longest[i] = number of the longest pattern that begins at byte i, or -1; one entry per byte of the text. */
void matcher_run(const matcher *m, view text, int32_t *longest);

#endif
