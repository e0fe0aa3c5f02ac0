/* Events of --progress json: one JSON object a line on standard error. */
#ifndef CLI_EVENTS_H
#define CLI_EVENTS_H

#include "cli/stream.h"

/* {"event":"progress" */
void event_begin(stream *err, const char *name);
void event_text(stream *err, const char *key, const char *value); /* NULL: null */
void event_real(stream *err, const char *key, double value);
void event_end(stream *err);

#endif
