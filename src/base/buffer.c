/* Growable byte buffer: doubles up to its maximum; after the first failure every append is refused. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/size.h"
#include "base/utf8.h"

enum { BUFFER_FIRST = 64 };

void buffer_init(buffer *b, size_t maximum) { *b = (buffer){.maximum = maximum}; }

void buffer_fini(buffer *b)
{
    memory_free(b->data);
    *b = (buffer){.maximum = b->maximum};
}

void buffer_clear(buffer *b)
{
    b->size = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = '\0';
}

/* Room for `count` more bytes and the NUL. */
static bool buffer_reserve(buffer *b, size_t count)
{
    size_t size, wanted;
    if (b->failed)
        return false;
    b->failed = true;
    if (!size_add(&size, b->size, count) || size > b->maximum || !size_add(&wanted, size, 1))
        return false;
    if (wanted > b->capacity) {
        size_t capacity = b->capacity ? b->capacity : BUFFER_FIRST / 2;
        if (!size_mul(&capacity, capacity, 2) || capacity < wanted)
            capacity = wanted;
        if (capacity - 1 > b->maximum)
            capacity = b->maximum + 1;
        char *grown = memory_resize(b->data, capacity, 1);
        if (!grown)
            return false;
        b->data = grown;
        b->capacity = capacity;
    }
    b->failed = false;
    return true;
}

bool buffer_append(buffer *b, const void *bytes, size_t count)
{
    if (!buffer_reserve(b, count))
        return false;
    if (count > 0)
        memcpy(b->data + b->size, bytes, count);
    b->size += count;
    b->data[b->size] = '\0';
    return true;
}

bool buffer_text(buffer *b, const char *text) { return buffer_append(b, text, strlen(text)); }
bool buffer_view(buffer *b, view v) { return buffer_append(b, v.data, v.size); }
bool buffer_byte(buffer *b, char c) { return buffer_append(b, &c, 1); }

bool buffer_code_point(buffer *b, uint32_t code_point)
{
    char bytes[4];
    return buffer_append(b, bytes, utf8_encode(bytes, code_point));
}

bool buffer_format(buffer *b, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (wanted < 0) {
        b->failed = true;
        return false;
    }
    if (!buffer_reserve(b, (size_t)wanted))
        return false;
    va_start(arguments, format);
    int written = vsnprintf(b->data + b->size, (size_t)wanted + 1, format, arguments);
    va_end(arguments);
    if (written != wanted) {
        b->data[b->size] = '\0';
        b->failed = true;
        return false;
    }
    b->size += (size_t)wanted;
    return true;
}

bool buffer_ok(const buffer *b) { return !b->failed; }

view buffer_as_view(const buffer *b) { return (view){b->data ? b->data : "", b->size}; }
