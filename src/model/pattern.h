/* Name patterns: "*" stands for any run of characters, everything else for itself. */
#ifndef MODEL_PATTERN_H
#define MODEL_PATTERN_H

#include <stdbool.h>

bool pattern_matches(const char *pattern, const char *name);
/* Does any of a NULL-terminated list match?  A NULL list matches nothing. */
bool pattern_any(const char *const *patterns, const char *name);

#endif
