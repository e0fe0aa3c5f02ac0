/* Tables of text; see columns_table.h. */
#include "cli/columns_table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tokray/present.h>

#include "cli/heap.h"

void columns_table_init(columns_table *t, size_t columns, unsigned right)
{
    *t = (columns_table){.columns = columns, .right = right};
}

void columns_table_add(columns_table *t, const char *text)
{
    size_t count = strlen(text), room = 4 * count + 1;
    char *safe = heap_new(room, 1);
    t->cells = heap_grow(t->cells, t->count, &t->capacity, sizeof *t->cells);
    t->cells[t->count++] = tkr_escape(safe, room, text, count);
}

void columns_table_format(columns_table *t, const char *format, ...)
{
    char text[512];
    va_list values;
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    columns_table_add(t, text);
}

static size_t width_of(const char *text) { return tkr_columns(text, strlen(text)); }

void columns_table_print(columns_table *t, stream *s)
{
    size_t widths[TABLE_COLUMNS_MOST] = {0};
    for (size_t i = 0; i < t->count; i++) {
        size_t width = width_of(t->cells[i]), *most = &widths[i % t->columns];
        *most = width > *most ? width : *most;
    }
    size_t pending = 0; /* spaces that are written when something follows them */
    for (size_t i = 0; i < t->count; i++) {
        size_t column = i % t->columns, gap = widths[column] - width_of(t->cells[i]);
        bool is_right = t->right >> column & 1;
        pending += 2 + (is_right ? gap : 0);
        if (t->cells[i][0]) {
            stream_spaces(s, pending);
            stream_text(s, t->cells[i]);
            pending = 0;
        }
        pending += is_right ? 0 : gap;
        if (column + 1 == t->columns) {
            stream_text(s, "\n");
            pending = 0;
        }
        heap_free(t->cells[i]);
    }
    heap_free(t->cells);
}
