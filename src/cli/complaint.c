/* Filling errors; see complaint.h. */
#include "cli/complaint.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <tokray/present.h>

enum { SHOWN_BYTES = 120 };

tkr_status complain(tkr_error *error, tkr_status code, const char *format, ...)
{
    if (error->code != TKR_OK)
        return error->code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    error->code = code;
    error->offset = -1;
    return code;
}

void complain_help(tkr_error *error, const char *format, ...)
{
    va_list arguments;
    if (error->help[0])
        return;
    va_start(arguments, format);
    vsnprintf(error->help, sizeof error->help, format, arguments);
    va_end(arguments);
}

char *shown_into(char room[SHOWN_ROOM], const char *text)
{
    size_t count = strlen(text), shown = count < SHOWN_BYTES ? count : SHOWN_BYTES;
    while (shown < count && shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
        shown--;
    room[0] = '"';
    tkr_escape(room + 1, SHOWN_ROOM - 8, text, shown);
    size_t used = strlen(room);
    snprintf(room + used, SHOWN_ROOM - used, "%s\"", shown < count ? "..." : "");
    return room;
}

/* Length of the character at the start of `bytes`, 0 when it is none (Unicode table 3-7). */
static size_t character_length(const unsigned char *bytes, size_t count)
{
    static const struct {
        unsigned char first, last, second_least, second_most, length;
    } forms[] = {{0x00, 0x7F, 0, 0, 1},       {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
                 {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
                 {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4}};
    for (size_t f = 0; f < sizeof forms / sizeof *forms; f++) {
        if (bytes[0] < forms[f].first || bytes[0] > forms[f].last)
            continue;
        size_t length = forms[f].length;
        if (length > count || (length > 1 && (bytes[1] < forms[f].second_least || bytes[1] > forms[f].second_most)))
            return 0;
        for (size_t i = 2; i < length; i++)
            if ((bytes[i] & 0xC0) != 0x80)
                return 0;
        return length;
    }
    return 0;
}

size_t first_bad_utf8(const char *bytes, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t length = character_length((const unsigned char *)bytes + at, count - at);
        if (length == 0)
            return at;
        at += length;
    }
    return count;
}
