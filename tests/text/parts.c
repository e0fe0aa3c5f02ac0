/* Parts of a tokenizer alone: see the header. */
#include "text/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h> /* last: its macro fail() */

enum { SHOWN = 4096 };

parts_bench parts_bench_new(const char *json)
{
    parts_bench b = {.memory = arena_new(1 << 24)};
    b.json = json_parse_any(view_of(json), "test", &json_model_file, JSON_NUL_ALLOWED, &b.error);
    assert_non_null(b.json);
    return b;
}

loader *parts_bench_loader(parts_bench *b)
{
    b->loader = (loader){.file = "tokenizer.json", .memory = b->memory, .error = &b->error};
    return &b->loader;
}

void parts_bench_free(parts_bench *b)
{
    json_decref(b->json);
    arena_free(b->memory);
}

void parts_check_normalizer(const char *json, const char *text, const char *want)
{
    char shown[SHOWN];
    parts_bench b = parts_bench_new(json);
    const normalizer *n = normalizer_load(parts_bench_loader(&b), b.json);
    if (!n)
        fail_msg("%s", b.error.message);
    normalized out = {0};
    normalized_append_source(&out, view_of(text), 0, strlen(text));
    normalizer_run(n, &out);
    assert_true(normalized_ok(&out));
    size_t used = (size_t)snprintf(shown, SHOWN, "%.*s", (int)out.size, out.size ? out.text : "");
    for (size_t i = 0; i < out.size; i++)
        if (((unsigned char)out.text[i] & 0xC0) != 0x80)
            used += (size_t)snprintf(shown + used, SHOWN - used, " %u-%u", out.from[i].begin, out.from[i].end);
    normalized_fini(&out);
    parts_bench_free(&b);
    assert_string_equal(shown, want);
}

void parts_check_pretokenizer(const char *json, const char *text, const char *want)
{
    char shown[SHOWN] = "";
    size_t used = 0;
    parts_bench b = parts_bench_new(json);
    const pretokenizer *p = pretokenizer_load(parts_bench_loader(&b), b.json);
    if (!p)
        fail_msg("%s", b.error.message);
    piece_list pieces = {0};
    normalized rewritten = {0};
    normalized_append_source(&rewritten, view_of(text), 0, strlen(text));
    pieces_add(&pieces, 0, strlen(text), -1);
    pretokenizer_run(p, &rewritten, &pieces);
    assert_false(pieces.failed || rewritten.failed);
    for (size_t i = 0; i < pieces.count; i++)
        used += (size_t)snprintf(shown + used, SHOWN - used, "%s%.*s", i ? "|" : "",
                                 (int)(pieces.items[i].end - pieces.items[i].begin), rewritten.text + pieces.items[i].begin);
    normalized_fini(&rewritten);
    pieces_fini(&pieces);
    parts_bench_free(&b);
    assert_string_equal(shown, want);
}

void parts_check_decoder(const char *json, const char *const tokens[], const char *want)
{
    parts_bench b = parts_bench_new(json);
    const decoder *d = decoder_load(parts_bench_loader(&b), b.json);
    if (!d)
        fail_msg("%s", b.error.message);
    token_strings s;
    token_strings_init(&s);
    for (size_t i = 0; tokens[i]; i++)
        token_strings_add(&s, view_of(tokens[i]));
    decoder_run(d, &s);
    assert_false(s.failed);
    assert_string_equal(buffer_as_view(&s.text).data, want);
    token_strings_fini(&s);
    parts_bench_free(&b);
}

void parts_check_refused(const char *json, tkr_status code, const char *message)
{
    parts_bench b = parts_bench_new(json);
    assert_null(normalizer_load(parts_bench_loader(&b), b.json));
    assert_string_equal(b.error.message, message);
    assert_int_equal(b.error.code, code);
    parts_bench_free(&b);
}
