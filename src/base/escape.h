/*
 * Making text from files and users safe to show: in messages, logs and on a terminal.
 *
 * Printable UTF-8 stays as it is.  Control characters become \xNN; hidden ones (utf8_is_hidden: C1 controls, bidirectional
 * controls, zero-width, line and paragraph separators) become \u{NNNN}; bytes that are no UTF-8 become \xNN.
 */
#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/view.h"

/* Bytes that escaping `bytes` bytes may need at most, with the final NUL. */
#define ESCAPE_ROOM(bytes) (4 * (size_t)(bytes) + 1)

/* Write the safe form of `bytes` to out, NUL-terminated (capacity >= 1); returns its length.  Never half a character or
 * half an escape.  keep_all: everything, as far as it fits (ESCAPE_ROOM always does).  Otherwise at most 120 of the bytes
 * are shown and "...(+N bytes)" tells how many were left out; that mark needs a capacity of at least 64 to appear. */
size_t escape_into(char *out, size_t capacity, view bytes, bool keep_all);

#endif
