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
    s->pager = NULL;
    s->failure = 0;
    s->size = s->written = 0;
}

int write_bytes(int descriptor, const char *bytes, size_t count)
{
    while (count > 0) {
        ssize_t done = write(descriptor, bytes, count);
        if (done < 0 && errno != EINTR)
            return errno;
        if (done > 0) {
            bytes += done;
            count -= (size_t)done;
        }
    }
    return 0;
}

static bool pass_on(stream *s, const char *bytes, size_t count)
{
    if (s->failure == 0)
        s->failure = s->pager ? pager_write(s->pager, bytes, count) : write_bytes(s->descriptor, bytes, count);
    s->written += s->failure == 0 ? count : 0;
    return s->failure == 0;
}

static bool empty(stream *s)
{
    size_t size = s->size;
    s->size = 0;
    return pass_on(s, s->data, size);
}

bool stream_flush(stream *s)
{
    empty(s);
    int failure = s->pager ? pager_end(s->pager) : 0;
    if (s->failure == 0)
        s->failure = failure;
    return s->failure == 0;
}

bool stream_bytes(stream *s, const char *bytes, size_t count)
{
    if (s->size + count > STREAM_ROOM && !empty(s))
        return false;
    if (count > STREAM_ROOM)
        return pass_on(s, bytes, count);
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
