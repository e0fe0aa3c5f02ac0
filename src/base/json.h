/*
 * Reading JSON of model folders (reliability rules J1 to J9) on top of jansson: depth checked before the tree is built,
 * duplicate keys refused, messages with file, line and column.  Readers of single fields fill an error that names file
 * and key and return false; they return true and leave *out alone when the key is absent and not required.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <tokray/error.h>

#include "base/view.h"

typedef enum json_flags {
    JSON_PLAIN = 0, /* JSON_STRICT is a macro of jansson */
    JSON_NUL_ALLOWED = 1,  /* tokenizer files: strings may hold U+0000                                  */
    JSON_BIG_INTEGERS = 2, /* integers too large for 64 bits are read as reals (tokenizer_config.json)  */
} json_flags;

/* Codes used for a file kind: model folders use json.*, safetensors headers and the user's inputs their own. */
typedef struct json_kind {
    tkr_status syntax, depth, duplicate, type;
} json_kind;
extern const json_kind json_model_file, json_safetensors_header, json_user_input;

/* Parse `text` as one object.  `file` begins every message.  Returns a new reference (json_decref) or NULL. */
json_t *json_parse_object(view text, const char *file, const json_kind *kind, json_flags flags, tkr_error *error);
/* The same for any value. */
json_t *json_parse_any(view text, const char *file, const json_kind *kind, json_flags flags, tkr_error *error);

/* "a string", "a number", "an array", ...: for messages. */
const char *json_kind_name(const json_t *value);

/* Whole number in [low, high]; 12.0 counts as 12.  Out of range: range_code. */
bool json_get_int(const json_t *object, const char *file, const char *key, int64_t low, int64_t high, int64_t *out,
                  tkr_status range_code, tkr_error *error);
bool json_get_real(const json_t *object, const char *file, const char *key, double above, double at_most, double *out,
                   tkr_status range_code, tkr_error *error);
bool json_get_bool(const json_t *object, const char *file, const char *key, bool *out, tkr_error *error);
/* Borrowed from the object; without NUL or control characters. */
bool json_get_text(const json_t *object, const char *file, const char *key, view *out, tkr_error *error);

#endif
