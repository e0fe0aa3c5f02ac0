/* The nearest of several names. */
#ifndef CLI_SUGGEST_H
#define CLI_SUGGEST_H

#include <stddef.h>

typedef struct suggestion {
    const char *asked;
    const char *best;  /* NULL while nothing is near enough */
    size_t distance;
} suggestion;

void suggest_begin(suggestion *s, const char *asked);
void suggest_try(suggestion *s, const char *name);

#endif
