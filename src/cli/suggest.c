/*
 * Optimal string alignment distance (insert, delete, replace, swap neighbours).  A name is near enough when at most a third of
 * its letters, and at least one, are wrong.  Names are short; longer ones are never suggested.
 */
#include "cli/suggest.h"

#include <string.h>

enum { NAME_MOST = 40 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static size_t distance_between(const char *a, size_t n, const char *b, size_t m)
{
    size_t d[3][NAME_MOST + 1];
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = d[i % 3], *before = d[(i + 2) % 3], *older = d[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], older[j - 2] + 1);
        }
    }
    return d[n % 3][m];
}

void suggest_begin(suggestion *s, const char *asked) { *s = (suggestion){.asked = asked, .distance = NAME_MOST}; }

void suggest_try(suggestion *s, const char *name)
{
    size_t n = strlen(s->asked), m = strlen(name);
    if (n == 0 || n > NAME_MOST || m > NAME_MOST)
        return;
    size_t distance = distance_between(s->asked, n, name, m), most = m / 3 > 1 ? m / 3 : 1;
    if (distance <= most && distance < s->distance) {
        s->distance = distance;
        s->best = name;
    }
}
