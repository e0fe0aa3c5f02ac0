/* Standard output and standard error: buffered, with the first failure kept.  Not stdio, whose failures are easy to miss. */
#ifndef CLI_STREAM_H
#define CLI_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/pager.h"

enum { STREAM_ROOM = 16 * 1024 };

typedef struct stream {
    int descriptor;
    pager *pager;          /* between this and the descriptor, or NULL */
    int failure;           /* errno of the first write that failed; 0: none */
    size_t size, written;
    char data[STREAM_ROOM];
} stream;

void stream_init(stream *s, int descriptor);
/* Everything so far is to be seen now; with a pager: an answer ends here. */
bool stream_flush(stream *s);
bool stream_bytes(stream *s, const char *bytes, size_t count);
bool stream_text(stream *s, const char *text);
bool stream_format(stream *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Text of others, made safe. */
bool stream_safe(stream *s, const char *bytes, size_t count);
/* `count` spaces. */
bool stream_spaces(stream *s, size_t count);
/* A tkr_sink_fn. */
bool stream_sink(void *user, const char *bytes, size_t count);

/* Write them all; 0, or errno. */
int write_bytes(int descriptor, const char *bytes, size_t count);

#endif
