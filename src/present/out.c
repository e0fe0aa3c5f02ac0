/* Collected output; see out.h. */
#include "present/out.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/failure.h"

enum {
    OUT_PIECE = 64 * 1024,
    OUT_MAXIMUM = 4 * OUT_PIECE, /* one write is at most 2 * OUT_PIECE: longer ones go straight to the sink */
    OUT_FORMATTED = 512,
};

void out_init(out *o, tkr_sink_fn *sink, void *user)
{
    *o = (out){.sink = sink, .user = user};
    buffer_init(&o->bytes, OUT_MAXIMUM);
}

static void hand_over(out *o, view v)
{
    if (v.size > 0 && !o->refused && !o->sink(o->user, v.data, v.size))
        o->refused = true;
}

static void flush(out *o)
{
    if (!buffer_ok(&o->bytes))
        return; /* keep the failure; what is missing must not look like an end */
    hand_over(o, buffer_as_view(&o->bytes));
    buffer_clear(&o->bytes);
}

void out_view(out *o, view v)
{
    if (o->bytes.size + v.size > OUT_PIECE)
        flush(o);
    if (v.size > OUT_PIECE)
        hand_over(o, v);
    else
        buffer_view(&o->bytes, v);
}

void out_text(out *o, const char *text) { out_view(o, view_of(text)); }

void out_repeat(out *o, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        out_text(o, text);
}

void out_format(out *o, const char *format, ...)
{
    char text[OUT_FORMATTED];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof text)
        o->bytes.failed = true;
    else
        out_view(o, (view){text, (size_t)length});
}

tkr_status out_finish(out *o, tkr_error *error)
{
    flush(o);
    bool complete = buffer_ok(&o->bytes);
    buffer_fini(&o->bytes);
    if (!complete)
        return fail_memory(error, "the output", OUT_PIECE);
    return o->refused ? fail(error, TKR_E_IO_WRITE, "the output could not be written") : TKR_OK;
}
