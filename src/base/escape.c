/*
 * Escaping of text that was not written by us.
 *
 * Known to go wrong: cutting inside a character (a terminal then swallows the next byte), C1 controls (0x9B alone is an
 * escape sequence introducer on some terminals), right-to-left overrides that make a message read backwards.
 */
#include "base/escape.h"

#include <stdio.h>

#include "base/utf8.h"

enum {
    ESCAPE_SHOWN = 120, /* bytes of the original that a message shows */
    ESCAPE_MARK = 40,   /* room kept for "...(+18446744073709551615 bytes)" */
    ESCAPE_UNIT = 16,   /* longest form of one character, with NUL */
};

/* Safe form of the character at `at`; *taken is how many bytes it stood for. */
static size_t escape_one(char unit[ESCAPE_UNIT], view bytes, size_t at, size_t *taken)
{
    uint32_t code_point = 0;
    size_t length = utf8_decode(bytes, at, &code_point);
    *taken = length ? length : 1;
    if (length == 0 || code_point < 0x20 || code_point == 0x7F)
        return (size_t)snprintf(unit, ESCAPE_UNIT, "\\x%02X", (unsigned)(unsigned char)bytes.data[at]);
    if (utf8_is_hidden(code_point))
        return (size_t)snprintf(unit, ESCAPE_UNIT, "\\u{%04X}", (unsigned)code_point);
    memcpy(unit, bytes.data + at, length);
    return length;
}

size_t escape_into(char *out, size_t capacity, view bytes, bool keep_all)
{
    size_t used = 0, at = 0;
    size_t shown = keep_all || bytes.size <= ESCAPE_SHOWN ? bytes.size : ESCAPE_SHOWN;
    size_t room = capacity - 1;
    bool with_mark = !keep_all && capacity >= 64;
    if (with_mark)
        room -= ESCAPE_MARK;

    while (at < bytes.size) {
        char unit[ESCAPE_UNIT];
        size_t taken, length = escape_one(unit, bytes, at, &taken);
        if (at + taken > shown || length > room - used)
            break;
        memcpy(out + used, unit, length);
        used += length;
        at += taken;
    }
    out[used] = '\0';
    if (at < bytes.size && with_mark)
        used += (size_t)snprintf(out + used, capacity - used, "...(+%zu bytes)", bytes.size - at);
    return used;
}
