/* Samples on a terminal.  TOKRAY_UPDATE_GOLDEN=1 writes the golden files anew; look at them before they are committed. */
#ifndef TESTS_PRESENT_SHOWN_H
#define TESTS_PRESENT_SHOWN_H

#include <tokray/present.h>

#include "present/sample.h"

/* What the terminal gets; freed with memory_free. */
char *shown_text(sample *s, const tkr_terminal_options *options);
/* The same, compared with golden/<name>. */
void shown_golden(const char *name, sample *s, const tkr_terminal_options *options);
/* Removes our own escape sequences (SGR only); fails on any other control character. */
void shown_strip(char *text);
/* Fails on a line of more columns. */
void shown_widths(const char *text, size_t width);

#endif
