/* JSON writer; see json_writer.h. */
#include "present/json_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/number.h"
#include "base/utf8.h"

void writer_init(json_writer *w, out *o, bool compact) { *w = (json_writer){.o = o, .compact = compact}; }

static bool is_flat(const json_writer *w) { return w->flat_from && w->depth >= w->flat_from; }

static void new_line(json_writer *w)
{
    if (w->compact)
        return;
    out_text(w->o, "\n");
    out_repeat(w->o, "  ", (size_t)w->depth);
}

/* What stands before a value: nothing after a key, else a comma and the way to the next place. */
static void before_value(json_writer *w)
{
    if (w->after_key) {
        w->after_key = false;
        return;
    }
    if (w->depth == 0)
        return;
    bool first = !w->filled[w->depth - 1];
    w->filled[w->depth - 1] = true;
    if (!first)
        out_text(w->o, is_flat(w) && !w->compact ? ", " : ",");
    if (!is_flat(w))
        new_line(w);
}

void writer_open(json_writer *w, char bracket, bool flat)
{
    assert(w->depth < WRITER_DEPTH);
    before_value(w);
    out_view(w->o, (view){&bracket, 1});
    w->filled[w->depth++] = false;
    if (flat && !w->flat_from)
        w->flat_from = w->depth;
}

void writer_close(json_writer *w, char bracket)
{
    bool flat = is_flat(w), filled = w->filled[w->depth - 1];
    if (w->flat_from == w->depth)
        w->flat_from = 0;
    w->depth--;
    if (!flat && filled)
        new_line(w);
    out_view(w->o, (view){&bracket, 1});
}

void writer_raw(json_writer *w, const char *json)
{
    before_value(w);
    out_text(w->o, json);
}

static void write_escape(json_writer *w, uint32_t code_point)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (size_t i = 0; i + 1 < sizeof shorts; i += 2)
        if (code_point == (unsigned char)shorts[i]) {
            char pair[2] = {'\\', shorts[i + 1]};
            out_view(w->o, (view){pair, 2});
            return;
        }
    if (code_point > 0xFFFF) {
        uint32_t rest = code_point - 0x10000;
        out_format(w->o, "\\u%04x\\u%04x", (unsigned)(0xD800 | rest >> 10), (unsigned)(0xDC00 | (rest & 0x3FF)));
    } else {
        out_format(w->o, "\\u%04x", (unsigned)code_point);
    }
}

static void write_string(json_writer *w, view text)
{
    size_t plain_from = 0, at = 0;
    out_text(w->o, "\"");
    while (at < text.size) {
        uint32_t code_point = 0xFFFD;
        size_t length = utf8_decode(text, at, &code_point);
        bool plain = length > 0 && code_point != '"' && code_point != '\\' && !utf8_is_hidden(code_point);
        if (!plain) {
            out_view(w->o, view_slice(text, plain_from, at));
            write_escape(w, length ? code_point : 0xFFFD);
        }
        at += length ? length : 1;
        if (!plain)
            plain_from = at;
    }
    out_view(w->o, view_slice(text, plain_from, at));
    out_text(w->o, "\"");
}

void writer_key(json_writer *w, const char *key)
{
    before_value(w);
    write_string(w, view_of(key));
    out_text(w->o, w->compact ? ":" : ": ");
    w->after_key = true;
}

void writer_view(json_writer *w, view text)
{
    before_value(w);
    write_string(w, text);
}

void writer_text(json_writer *w, const char *text)
{
    if (text)
        writer_view(w, view_of(text));
    else
        writer_null(w);
}

void writer_real(json_writer *w, double value)
{
    char digits[NUMBER_ROOM];
    float narrow = (float)value;
    writer_raw(w, isfinite(narrow) ? number_shortest_f32(digits, narrow) : "null");
}

void writer_unsigned(json_writer *w, uint64_t value)
{
    char digits[NUMBER_ROOM];
    snprintf(digits, sizeof digits, "%" PRIu64, value);
    writer_raw(w, digits);
}

void writer_signed(json_writer *w, int64_t value)
{
    char digits[NUMBER_ROOM];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    writer_raw(w, digits);
}

void writer_bool(json_writer *w, bool value) { writer_raw(w, value ? "true" : "false"); }
void writer_null(json_writer *w) { writer_raw(w, "null"); }

void writer_base64(json_writer *w, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    before_value(w);
    out_text(w->o, "\"");
    for (size_t at = 0; at < count; at += 3) {
        size_t have = count - at < 3 ? count - at : 3;
        uint32_t group = (uint32_t)bytes[at] << 16;
        if (have > 1)
            group |= (uint32_t)bytes[at + 1] << 8;
        if (have > 2)
            group |= bytes[at + 2];
        char four[4] = {digits[group >> 18], digits[group >> 12 & 63], digits[group >> 6 & 63], digits[group & 63]};
        for (size_t i = have + 1; i < 4; i++)
            four[i] = '=';
        out_view(w->o, (view){four, 4});
    }
    out_text(w->o, "\"");
}

void writer_key_text(json_writer *w, const char *key, const char *text)
{
    writer_key(w, key);
    writer_text(w, text);
}

void writer_key_real(json_writer *w, const char *key, double value)
{
    writer_key(w, key);
    writer_real(w, value);
}

void writer_key_unsigned(json_writer *w, const char *key, uint64_t value)
{
    writer_key(w, key);
    writer_unsigned(w, value);
}

void writer_key_signed_or_null(json_writer *w, const char *key, int64_t value)
{
    writer_key(w, key);
    if (value < 0)
        writer_null(w);
    else
        writer_signed(w, value);
}

void writer_key_bool(json_writer *w, const char *key, bool value)
{
    writer_key(w, key);
    writer_bool(w, value);
}
