/* A borrowed run of bytes: text that need not end in NUL and may hold one. */
#ifndef BASE_VIEW_H
#define BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct view {
    const char *data;
    size_t size;
} view;

#define VIEW(literal) ((view){(literal), sizeof(literal) - 1})

static inline view view_of(const char *text) { return (view){text, text ? strlen(text) : 0}; }
static inline view view_slice(view v, size_t begin, size_t end) { return (view){v.data + begin, end - begin}; }
static inline bool view_equal(view a, view b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}
static inline bool view_is(view a, const char *text) { return view_equal(a, view_of(text)); }
static inline bool view_begins(view a, view prefix)
{
    return a.size >= prefix.size && (prefix.size == 0 || memcmp(a.data, prefix.data, prefix.size) == 0);
}

/* White space of texts, ASCII only. */
static inline bool byte_is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

#endif
