/*
 * Terminal columns of text, counted by grapheme cluster (Unicode annexes 11 and 29, tables of utf8proc).
 *
 * A cluster is as wide as its widest character: combining marks and joiners add nothing.  Two exceptions that terminals
 * agree on: a pair of regional indicators (a flag) and a character followed by the emoji selector U+FE0F take two columns.
 * Known to go wrong: terminals differ on emoji joined by U+200D; we count two columns, as the current ones draw them.
 */
#include "present/columns.h"

#include <utf8proc.h>

#include "base/utf8.h"

static bool is_regional(uint32_t code_point) { return code_point >= 0x1F1E6 && code_point <= 0x1F1FF; }

static size_t code_point_columns(uint32_t code_point)
{
    if (is_regional(code_point))
        return 1;
    int width = utf8proc_charwidth((utf8proc_int32_t)code_point);
    return width > 0 ? (size_t)width : 0;
}

cluster cluster_at(view text, size_t at)
{
    uint32_t first = 0;
    size_t length = utf8_decode(text, at, &first);
    if (length == 0)
        return (cluster){.bytes = 1, .columns = 1, .invalid = true};

    cluster c = {.bytes = length, .columns = code_point_columns(first), .code_point = first};
    utf8proc_int32_t state = 0;
    uint32_t previous = first, next = 0;
    bool flag = false;
    while (at + c.bytes < text.size && (length = utf8_decode(text, at + c.bytes, &next)) > 0 &&
           !utf8proc_grapheme_break_stateful((utf8proc_int32_t)previous, (utf8proc_int32_t)next, &state)) {
        size_t columns = code_point_columns(next);
        flag |= next == 0xFE0F || (is_regional(first) && is_regional(next));
        if (columns > c.columns)
            c.columns = columns;
        c.bytes += length;
        previous = next;
    }
    if (flag)
        c.columns = 2;
    return c;
}

size_t tkr_columns(const char *text, size_t count)
{
    size_t columns = 0;
    view v = {text, count};
    for (size_t at = 0; at < count;) {
        cluster c = cluster_at(v, at);
        columns += c.columns;
        at += c.bytes;
    }
    return columns;
}
