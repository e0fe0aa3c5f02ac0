/* Matching site names, and the error that lists the near ones. */
#include "explain/site.h"

#include "base/buffer.h"
#include "base/failure.h"

bool site_fits(view pattern, view name)
{
    size_t n = 0;
    for (size_t p = 0; p < pattern.size; p++) {
        if (pattern.data[p] != '*') {
            if (n >= name.size || name.data[n++] != pattern.data[p])
                return false;
            continue;
        }
        size_t digits = n;
        while (n < name.size && name.data[n] >= '0' && name.data[n] <= '9')
            n++;
        if (n == digits)
            return false;
    }
    return n == name.size;
}

bool site_is_listed(view patterns, view name)
{
    for (size_t begin = 0, at = 0; at <= patterns.size; at++)
        if (at == patterns.size || patterns.data[at] == ',') {
            if (site_fits(view_slice(patterns, begin, at), name))
                return true;
            begin = at + 1;
        }
    return false;
}

/* How many bytes two names share at their beginnings and ends: near enough for a suggestion. */
static size_t likeness(view a, view b)
{
    size_t front = 0, back = 0, least = a.size < b.size ? a.size : b.size;
    while (front < least && a.data[front] == b.data[front])
        front++;
    while (back < least - front && a.data[a.size - 1 - back] == b.data[b.size - 1 - back])
        back++;
    return front + back;
}

tkr_status site_fail(const graph *g, view patterns, const char *field, tkr_error *error)
{
    enum { SHOWN = 8 };
    size_t shown[SHOWN], count = 0;
    fail(error, TKR_E_USAGE_VALUE, "no site fits %s", QUOTE(patterns));
    for (size_t s = 0; s < g->site_count; s++) { /* the likeliest first, equals in the graph's order */
        size_t like = likeness(patterns, view_of(g->sites[s].name)), at = count < SHOWN ? count++ : SHOWN - 1;
        if (at == SHOWN - 1 && count == SHOWN && s >= SHOWN && likeness(patterns, view_of(g->sites[shown[at]].name)) >= like)
            continue;
        while (at > 0 && likeness(patterns, view_of(g->sites[shown[at - 1]].name)) < like) {
            shown[at] = shown[at - 1];
            at--;
        }
        shown[at] = s;
    }
    buffer all;
    buffer_init(&all, 300);
    for (size_t i = 0; i < count; i++)
        buffer_format(&all, "%s%s", i ? ", " : "sites: ", g->sites[shown[i]].name);
    fail_facts(error, "%s, ...", buffer_ok(&all) ? all.data : "sites: embeddings");
    buffer_fini(&all);
    fail_field(error, field, 0, (int64_t)patterns.size);
    return error->code;
}
