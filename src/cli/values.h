/* Values of options: numbers that never wrap, sizes, choices. */
#ifndef CLI_VALUES_H
#define CLI_VALUES_H

#include "cli/arguments.h"

/* Checks the value against the option's row and fills use.number. */
tkr_status values_check(use *u, tkr_error *error);
/* Digits only.  False when there are none or others; *wraps: they are digits, but too many. */
bool values_whole(const char *text, size_t count, uint64_t *number, bool *wraps);

#endif
