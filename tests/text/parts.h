/* Parts of a tokenizer alone: each is loaded from the JSON that a tokenizer.json would have, and shown as text. */
#ifndef TESTS_TEXT_PARTS_H
#define TESTS_TEXT_PARTS_H

#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/pretokenizer.h"

typedef struct parts_bench {
    arena *memory;
    json_t *json;
    tkr_error error;
    loader loader;
} parts_bench;

parts_bench parts_bench_new(const char *json);
loader *parts_bench_loader(parts_bench *b);
void parts_bench_free(parts_bench *b);

/* Text and, per character, the range it came from: "h i 0-1 1-2 2-3". */
void parts_check_normalizer(const char *json, const char *text, const char *want);
/* Pieces with bars between. */
void parts_check_pretokenizer(const char *json, const char *text, const char *want);
/* tokens ends with NULL. */
void parts_check_decoder(const char *json, const char *const tokens[], const char *want);
/* Of a normalizer. */
void parts_check_refused(const char *json, tkr_status code, const char *message);

#endif
