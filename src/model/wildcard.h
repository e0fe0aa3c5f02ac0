/* Name patterns: "*" stands for any run of characters, everything else for itself. */
#ifndef MODEL_WILDCARD_H
#define MODEL_WILDCARD_H

#include <stdbool.h>

bool wildcard_matches(const char *pattern, const char *name);
/* Does any of a NULL-terminated list match?  A NULL list matches nothing. */
bool wildcard_any(const char *const *patterns, const char *name);

#endif
