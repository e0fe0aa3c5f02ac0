/*
 * Writing JSON in a fixed order: two-space indent or one line.  Strings come out as valid UTF-8 whatever went in; characters
 * that a terminal would obey (controls, bidirectional overrides, zero-width) are written as \uXXXX.
 */
#ifndef PRESENT_JSON_WRITER_H
#define PRESENT_JSON_WRITER_H

#include "present/out.h"

enum { WRITER_DEPTH = 16 };

typedef struct json_writer {
    out *o;
    bool compact;
    int depth;
    int flat_from;             /* depth from which everything stays on one line; 0: none */
    bool after_key;
    bool filled[WRITER_DEPTH]; /* the container at this depth has an entry */
} json_writer;

void writer_init(json_writer *w, out *o, bool compact);
/* '{' or '['; flat: this container and what is in it on one line. */
void writer_open(json_writer *w, char bracket, bool flat);
void writer_close(json_writer *w, char bracket);
void writer_key(json_writer *w, const char *key);

void writer_view(json_writer *w, view text);
void writer_text(json_writer *w, const char *text); /* NULL: null */
void writer_real(json_writer *w, double value);     /* shortest float32; null when it is not finite */
void writer_unsigned(json_writer *w, uint64_t value);
void writer_signed(json_writer *w, int64_t value);
void writer_bool(json_writer *w, bool value);
void writer_null(json_writer *w);
void writer_raw(json_writer *w, const char *json);  /* a JSON value as text */
/* A string of standard base64 with padding. */
void writer_base64(json_writer *w, const unsigned char *bytes, size_t count);

/* Key and value in one. */
void writer_key_text(json_writer *w, const char *key, const char *text);
void writer_key_real(json_writer *w, const char *key, double value);
void writer_key_unsigned(json_writer *w, const char *key, uint64_t value);
void writer_key_signed_or_null(json_writer *w, const char *key, int64_t value); /* negative: null */
void writer_key_bool(json_writer *w, const char *key, bool value);

#endif
