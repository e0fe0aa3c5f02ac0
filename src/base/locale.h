/*
 * The C locale for the calling thread, for as long as a printf, strtod or jansson call lasts: a host program may have set
 * one where the decimal point is a comma.  glibc's "C" locale object is static, so this costs no allocation.
 */
#ifndef BASE_LOCALE_H
#define BASE_LOCALE_H

#include <locale.h>

typedef struct locale_scope {
    locale_t plain, before;
} locale_scope;

static inline locale_scope locale_enter(void)
{
    locale_scope scope = {.plain = newlocale(LC_ALL_MASK, "C", (locale_t)0)};
    scope.before = uselocale(scope.plain);
    return scope;
}

static inline void locale_leave(locale_scope scope)
{
    uselocale(scope.before);
    if (scope.plain)
        freelocale(scope.plain);
}

#endif
