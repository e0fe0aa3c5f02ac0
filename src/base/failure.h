/*
 * Filling tkr_error.  The first error wins; NULL errors are allowed everywhere.
 *
 *     return fail(error, TKR_E_ST_GAP, "%s: %zu unused bytes before tensor %s", file, gap, QUOTE(name));
 */
#ifndef BASE_FAILURE_H
#define BASE_FAILURE_H

#include <tokray/error.h>

#include "base/view.h"

/* Set code and sentence; returns code, so that callers can `return fail(...)`. */
tkr_status fail(tkr_error *error, tkr_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same and returns NULL, for constructors. */
void *fail_null(tkr_error *error, tkr_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* limit.oom for `bytes` wanted by `what`. */
tkr_status fail_memory(tkr_error *error, const char *what, size_t bytes);

/* What an errno says, in our words where it is a common one; room for the others. */
enum { REASON_ROOM = 48 };
const char *failure_reason(int number, char room[REASON_ROOM]);

/* Add to an error that was just set (no effect when help or facts are filled already). */
void fail_help(tkr_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fail_facts(tkr_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fail_field(tkr_error *error, const char *field, int64_t offset, int64_t length);

/* Bytes from files, in double quotes and escaped for messages: printable UTF-8 as is, the rest as \xNN or \u{NNNN}, cut
 * after 120 bytes with ...(+N bytes).  The text lives as long as the enclosing block. */
enum { QUOTE_ROOM = 400 };
char *quote_into(char room[QUOTE_ROOM], view bytes);
#define QUOTE(bytes) quote_into((char[QUOTE_ROOM]){0}, (bytes))
/* The same without the quotes (file names). */
char *plain_into(char room[QUOTE_ROOM], view bytes);
#define PLAIN(bytes) plain_into((char[QUOTE_ROOM]){0}, (bytes))

#endif
