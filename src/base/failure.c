/*
 * Filling tkr_error.  Every text is escaped once more as a whole after formatting, so that a name that was passed with a
 * plain %s still cannot bring a line break or a terminal sequence into a message, and is cut at a character.
 */
#include "base/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/escape.h"

enum {
    FAILURE_LONGEST = 600, /* bytes of a message */
    FAILURE_LINE = 1024,   /* so much more that where it is cut is never seen: escaping only lengthens */
};

__attribute__((format(printf, 3, 0))) static void failure_write(char *out, size_t capacity, const char *format,
                                                                va_list arguments)
{
    char line[FAILURE_LINE];
    if (vsnprintf(line, sizeof line, format, arguments) < 0)
        line[0] = '\0';
    escape_into(out, capacity, view_of(line), true);
}

__attribute__((format(printf, 3, 0))) static void failure_set(tkr_error *error, tkr_status code,
                                                              const char *format, va_list arguments)
{
    if (!error || error->code != TKR_OK)
        return;
    tkr_error_clear(error);
    error->code = code;
    error->offset = -1;
    failure_write(error->message, FAILURE_LONGEST + 1, format, arguments);
}

tkr_status fail(tkr_error *error, tkr_status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    failure_set(error, code, format, arguments);
    va_end(arguments);
    return code;
}

void *fail_null(tkr_error *error, tkr_status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    failure_set(error, code, format, arguments);
    va_end(arguments);
    return NULL;
}

tkr_status fail_memory(tkr_error *error, const char *what, size_t bytes)
{
    return fail(error, TKR_E_LIMIT_OOM, "%s: the system gave no more memory (%zu bytes wanted)", what, bytes);
}

void fail_help(tkr_error *error, const char *format, ...)
{
    if (!error || error->code == TKR_OK || error->help[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    failure_write(error->help, sizeof error->help, format, arguments);
    va_end(arguments);
}

void fail_facts(tkr_error *error, const char *format, ...)
{
    if (!error || error->code == TKR_OK || error->facts[0] != '\0')
        return;
    va_list arguments;
    va_start(arguments, format);
    failure_write(error->facts, sizeof error->facts, format, arguments);
    va_end(arguments);
}

void fail_field(tkr_error *error, const char *field, int64_t offset, int64_t length)
{
    if (!error || error->code == TKR_OK || error->field[0] != '\0')
        return;
    escape_into(error->field, sizeof error->field, view_of(field), true);
    error->offset = offset;
    error->length = length;
}

char *quote_into(char room[QUOTE_ROOM], view bytes)
{
    room[0] = '"';
    size_t length = escape_into(room + 1, QUOTE_ROOM - 2, bytes, false);
    room[1 + length] = '"';
    room[2 + length] = '\0';
    return room;
}

char *plain_into(char room[QUOTE_ROOM], view bytes)
{
    escape_into(room, QUOTE_ROOM, bytes, false);
    return room;
}

const char *failure_reason(int number, char room[REASON_ROOM])
{
    switch (number) {
    case EACCES:
    case EPERM:
        return "permission denied";
    case ENOENT:
    case ENOTDIR:
        return "there is no such file";
    case EISDIR:
        return "it is a folder";
    case EMFILE:
    case ENFILE:
        return "too many open files";
    case ENAMETOOLONG:
        return "the name is too long";
    case EIO:
        return "the disk reports an error";
    case ENOMEM:
        return "the system gave no more memory";
    default:
        snprintf(room, 48, "system error %d", number);
        return room;
    }
}
