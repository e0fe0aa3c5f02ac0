/* JSON events; see events.h.  Bytes that are no printable ASCII are escaped, so a line stays a line. */
#include "cli/events.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/complaint.h"

static void put_string(stream *err, const char *text)
{
    size_t count = strlen(text), good = first_bad_utf8(text, count);
    stream_text(err, "\"");
    for (size_t i = 0; i < good; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            stream_format(err, "\\%c", c);
        else if (c < 0x20 || c == 0x7F)
            stream_format(err, "\\u%04x", c);
        else
            stream_bytes(err, text + i, 1);
    }
    stream_text(err, "\"");
}

void event_begin(stream *err, const char *name)
{
    stream_text(err, "{\"event\":");
    put_string(err, name);
}

void event_text(stream *err, const char *key, const char *value)
{
    stream_format(err, ",\"%s\":", key);
    if (value)
        put_string(err, value);
    else
        stream_text(err, "null");
}

void event_real(stream *err, const char *key, double value)
{
    if (isfinite(value))
        stream_format(err, ",\"%s\":%.9g", key, value);
    else
        stream_format(err, ",\"%s\":null", key);
}

void event_end(stream *err)
{
    stream_text(err, "}\n");
    stream_flush(err);
}
