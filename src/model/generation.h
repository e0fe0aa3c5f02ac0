/*
 * Where generation begins and ends: decoder_start_token_id and eos_token_id of generation_config.json, else of config.json.
 */
#ifndef MODEL_GENERATION_H
#define MODEL_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tokray/error.h>

#include "base/folder.h"

#define GENERATION_FILE "generation_config.json"
enum { END_IDS_MAX = 64 };

struct json_t;

typedef struct generation_ids {
    int32_t ends[END_IDS_MAX]; /* any of these ends an output */
    size_t end_count;
    int64_t start; /* -1: none                      */
} generation_ids;

/* Take the ids of one JSON object; keys that are absent or null leave *out as it is.  Ids are rows 0 to vocab - 1. */
tkr_status generation_take(const struct json_t *root, const char *file, size_t vocab, generation_ids *out,
                           tkr_error *error);
/* Take those of generation_config.json where the folder has one. */
tkr_status generation_read(const folder *f, size_t vocab, generation_ids *out, tkr_error *error);

#endif
