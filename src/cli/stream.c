/* Buffered output; see stream.h. */
#include "cli/stream.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tokray/present.h>
#include <unistd.h>

#include "cli/heap.h"

void stream_init(stream *s, int descriptor)
{
    s->descriptor = descriptor;
    s->failure = 0;
    s->size = s->written = 0;
}

static bool write_all(stream *s, const char *bytes, size_t count)
{
    while (count > 0 && s->failure == 0) {
        ssize_t done = write(s->descriptor, bytes, count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            s->failure = errno;
            break;
        }
        bytes += done;
        count -= (size_t)done;
        s->written += (size_t)done;
    }
    return s->failure == 0;
}

bool stream_flush(stream *s)
{
    size_t size = s->size;
    s->size = 0;
    return write_all(s, s->data, size);
}

bool stream_bytes(stream *s, const char *bytes, size_t count)
{
    if (s->size + count > STREAM_ROOM && !stream_flush(s))
        return false;
    if (count > STREAM_ROOM)
        return write_all(s, bytes, count);
    memcpy(s->data + s->size, bytes, count);
    s->size += count;
    return s->failure == 0;
}

bool stream_text(stream *s, const char *text) { return stream_bytes(s, text, strlen(text)); }

bool stream_format(stream *s, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    size_t count = length < 0 ? 0 : (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
    return stream_bytes(s, text, count);
}

bool stream_safe(stream *s, const char *bytes, size_t count)
{
    size_t capacity = 4 * count + 16;
    char *safe = heap_new(capacity, 1);
    bool done = stream_text(s, tkr_escape(safe, capacity, bytes, count));
    heap_free(safe);
    return done;
}

bool stream_spaces(stream *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stream_bytes(s, " ", 1);
    return s->failure == 0;
}

bool stream_sink(void *user, const char *bytes, size_t count) { return stream_bytes(user, bytes, count); }
