/*
 * Progress: a line on a terminal's standard error after half a second, at most ten times a second, erased when done; or one
 * JSON event a line (--progress json).  Also where the first Ctrl-C takes effect: the callback answers "stop".
 */
#ifndef CLI_PROGRESS_LINE_H
#define CLI_PROGRESS_LINE_H

#include <tokray/session.h>

#include "cli/stream.h"

enum { RATES_KEPT = 5 };

typedef struct progress_line {
    stream *err;
    bool shows_line, shows_events, shows_rarely; /* rarely: one plain line each 30 s (-v, no terminal) */
    bool shows_taskbar;     /* with the line, the share for the taskbar (OSC 9;4) */
    bool ascii, is_visible;
    int width;
    char phase[48];
    double begun, phase_begun, shown;
    double last_time;
    uint64_t last_done;
    double rates[RATES_KEPT];
    size_t rate_count;
} progress_line;

void progress_begin(progress_line *p);
/* A tkr_progress_fn; user is a progress_line. */
bool progress_tell(void *user, const tkr_progress *progress);
/* Erase the line, before anything else is written. */
void progress_erase(progress_line *p);

#endif
