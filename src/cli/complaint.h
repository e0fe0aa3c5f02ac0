/* What goes wrong on the command line itself: the same tkr_error as the library's, and the argument that is at fault. */
#ifndef CLI_COMPLAINT_H
#define CLI_COMPLAINT_H

#include <stdbool.h>
#include <tokray/error.h>

/* Fills code and sentence (the first complaint wins); returns code. */
tkr_status complain(tkr_error *error, tkr_status code, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Adds the help line. */
void complain_help(tkr_error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A text in double quotes, made safe and cut after 120 bytes; it lives as long as the enclosing block. */
enum { SHOWN_ROOM = 520 };
char *shown_into(char room[SHOWN_ROOM], const char *text);
#define SHOWN(text) shown_into((char[SHOWN_ROOM]){0}, (text))

/* Byte offset of the first byte that is no UTF-8, or `count`. */
size_t first_bad_utf8(const char *bytes, size_t count);

#endif
