/* Errors, warnings and notes on standard error: one form for all, colour on the label only. */
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "cli/cli.h"

/* c->error with the argument it points to; nothing under -qq. */
void report_error(cli *c);
void report_warning(cli *c, const tkr_warning *warning, bool is_error);
/* Not under -q. */
void report_note(cli *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* One last line on a terminal; not under -q and --no-hints. */
void report_hint(cli *c, const char *text);

#endif
