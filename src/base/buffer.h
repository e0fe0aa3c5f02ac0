/*
 * Growable byte buffer with a mandatory maximum and a sticky failure: append freely, check once with buffer_ok.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

typedef struct buffer {
    char *data; /* always NUL-terminated once something was appended */
    size_t size, capacity, maximum;
    bool failed;
} buffer;

void buffer_init(buffer *b, size_t maximum);
void buffer_fini(buffer *b);
void buffer_clear(buffer *b); /* size 0, failure forgotten, memory kept */
bool buffer_append(buffer *b, const void *bytes, size_t count);
bool buffer_text(buffer *b, const char *text);
bool buffer_view(buffer *b, view v);
bool buffer_byte(buffer *b, char c);
bool buffer_code_point(buffer *b, uint32_t code_point);
bool buffer_format(buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool buffer_ok(const buffer *b);
view buffer_as_view(const buffer *b);

#endif
