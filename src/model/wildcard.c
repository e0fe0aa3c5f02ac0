/* Matching "*" without recursion: on a mismatch go back to the last star and let it take one character more. */
#include "model/wildcard.h"

#include <stddef.h>

bool wildcard_matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == *name) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool wildcard_any(const char *const *patterns, const char *name)
{
    for (; patterns && *patterns; patterns++)
        if (wildcard_matches(*patterns, name))
            return true;
    return false;
}
