/*
 * Output of a presenter: bytes collected in pieces of 64 KiB and handed to the caller's sink.  The first failure sticks, so
 * presenters write freely and check once at the end.
 */
#ifndef PRESENT_OUT_H
#define PRESENT_OUT_H

#include <tokray/present.h>

#include "base/buffer.h"

typedef struct out {
    buffer bytes;
    tkr_sink_fn *sink;
    void *user;
    bool refused; /* the sink wants no more */
} out;

void out_init(out *o, tkr_sink_fn *sink, void *user);
/* Hands over what is left and frees.  Errors: io.write when the sink refused, limit.oom. */
tkr_status out_finish(out *o, tkr_error *error);

void out_view(out *o, view v);
void out_text(out *o, const char *text);
void out_repeat(out *o, const char *text, size_t times);
void out_format(out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
