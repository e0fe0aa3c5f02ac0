/* UTF-8: strict decoding (no overlong forms, no surrogates, at most U+10FFFF), encoding, validation, safe display. */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

/* Decode the character at `at` (< text.size).  Returns its length in bytes, or 0 when the bytes are no UTF-8. */
size_t utf8_decode(view text, size_t at, uint32_t *code_point);
/* Write a code point; returns the number of bytes (1 to 4). */
size_t utf8_encode(char out[4], uint32_t code_point);
/* Byte offset of the first byte that is no UTF-8, or text.size when all is well. */
size_t utf8_first_bad(view text);
/* Number of code points of valid UTF-8. */
size_t utf8_count(view text);
/* Control (C0, C1, DEL), bidirectional control, zero-width, line and paragraph separator: never shown raw. */
bool utf8_is_hidden(uint32_t code_point);

#endif
