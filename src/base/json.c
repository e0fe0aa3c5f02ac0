/*
 * JSON of model folders and of the user's inputs, on top of jansson.
 *
 * jansson builds a tree by recursion and takes 2048 levels, so a linear scan looks at the brackets (outside strings) first.
 * The same scan remembers where NaN or Infinity stands, for a better message than "invalid token".
 * jansson's allocator is global to the process and is left alone: a host program may use jansson too.
 * Known to go wrong: the decimal comma of the host's locale (so the C locale is entered), keys with U+0000 (jansson cannot
 * hold them: refused), key collisions on purpose (so the hash is seeded at random once).
 */
#include "base/json.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/failure.h"
#include "base/locale.h"
#include "base/number.h"
#include "base/utf8.h"

enum { JSON_DEPTH_LIMIT = 64 };

const json_kind json_model_file = {TKR_E_JSON_SYNTAX, TKR_E_JSON_DEPTH, TKR_E_JSON_DUPLICATE_KEY,
                                   TKR_E_JSON_TYPE};
const json_kind json_safetensors_header = {TKR_E_ST_HEADER_JSON, TKR_E_JSON_DEPTH, TKR_E_JSON_DUPLICATE_KEY,
                                           TKR_E_ST_HEADER_JSON};
const json_kind json_user_input = {TKR_E_INPUT_JSON, TKR_E_INPUT_JSON, TKR_E_INPUT_JSON, TKR_E_INPUT_JSON};

/* What the scan before parsing found; offsets are text.size when there is none. */
typedef struct json_scan {
    size_t too_deep;     /* bracket that opens level 65                     */
    size_t not_a_number; /* first NaN or Infinity outside strings           */
    size_t last_string;  /* opening quote of the last string that was begun */
} json_scan;

static size_t scan_string(view text, size_t at)
{
    for (at++; at < text.size && text.data[at] != '"'; at++)
        at += text.data[at] == '\\';
    return at;
}

static json_scan scan(view text)
{
    json_scan found = {text.size, text.size, text.size};
    size_t depth = 0;
    for (size_t at = 0; at < text.size; at++) {
        char c = text.data[at];
        view rest = view_slice(text, at, text.size);
        if (c == '"') {
            found.last_string = at;
            at = scan_string(text, at);
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_LIMIT) {
                found.too_deep = at;
                return found;
            }
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if ((c == 'N' || c == 'I') && found.not_a_number == text.size &&
                   (view_begins(rest, VIEW("NaN")) || view_begins(rest, VIEW("Infinity")))) {
            found.not_a_number = at;
        }
    }
    return found;
}

/* Line and column (from 1, in characters) of a byte. */
static void locate(view text, size_t at, size_t *line, size_t *column)
{
    size_t begin = 0;
    *line = 1;
    for (size_t i = 0; i < at; i++) {
        if (text.data[i] == '\n') {
            ++*line;
            begin = i + 1;
        }
    }
    *column = utf8_count(view_slice(text, begin, at)) + 1;
}

/* A syntax fault at a byte of the text. */
static tkr_status fail_at(tkr_error *error, tkr_status code, const char *file, view text, size_t at,
                          const char *what)
{
    size_t line, column;
    locate(text, at, &line, &column);
    return fail(error, code, "%s: line %zu column %zu: %s", file, line, column, what);
}

/* Faults that can be named better than by the parser. */
static bool check_before(view text, const char *file, const json_kind *kind, const json_scan *found,
                         tkr_error *error)
{
    if (text.size == 0) {
        fail(error, kind->syntax, "%s: empty file", file);
        return false;
    }
    if (view_begins(text, VIEW("\xEF\xBB\xBF")) || view_begins(text, VIEW("\xFF\xFE")) ||
        view_begins(text, VIEW("\xFE\xFF"))) {
        fail_at(error, kind->syntax, file, text, 0, "saved with a byte order mark");
        fail_help(error, "save the file as UTF-8 without a byte order mark");
        return false;
    }
    size_t bad = utf8_first_bad(text);
    if (bad < text.size) {
        char what[64];
        snprintf(what, sizeof what, "byte %zu (0x%02X) is not UTF-8", bad,
                 (unsigned)(unsigned char)text.data[bad]);
        fail_at(error, kind->syntax, file, text, bad, what);
        return false;
    }
    if (found->too_deep < text.size) {
        fail(error, kind->depth, "%s: brackets nested deeper than %d at byte %zu", file, JSON_DEPTH_LIMIT,
             found->too_deep);
        return false;
    }
    return true;
}

/* Turn jansson's error into ours.  Its position is the byte after the token it stumbled over. */
static void fail_parse(view text, const char *file, const json_kind *kind, const json_scan *found,
                       const json_error_t *fault, tkr_error *error)
{
    size_t end = fault->position < 0 ? 0 : (size_t)fault->position;
    end = end < text.size ? end : text.size;
    switch (json_error_code(fault)) {
    case json_error_out_of_memory:
        fail_memory(error, file, text.size);
        return;
    case json_error_duplicate_key: {
        json_scan before = scan(view_slice(text, 0, end));
        size_t begin = before.last_string + 1;
        view key = begin < end ? view_slice(text, begin, end - 1) : VIEW("");
        fail(error, kind->duplicate, "%s: line %d column %d: key %s is there twice", file, fault->line,
             fault->column, QUOTE(key));
        return;
    }
    case json_error_null_character:
    case json_error_null_byte_in_key:
        fail(error, kind->syntax, "%s: line %d column %d: a string holds the character U+0000", file,
             fault->line, fault->column);
        return;
    default:
        break;
    }
    if (found->not_a_number <= end && found->not_a_number < text.size) {
        fail_at(error, kind->syntax, file, text, found->not_a_number, "JSON has no NaN, write a number");
        fail_help(error, "replace NaN or Infinity by a number, or remove the key");
        return;
    }
    fail(error, kind->syntax, "%s: line %d column %d: %s", file, fault->line, fault->column, fault->text);
}

static void seed_hash(void)
{
    unsigned seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        json_object_seed(seed); /* 0, or no randomness yet: jansson seeds itself */
}

json_t *json_parse_any(view text, const char *file, const json_kind *kind, json_flags flags, tkr_error *error)
{
    static pthread_once_t seeded = PTHREAD_ONCE_INIT;
    pthread_once(&seeded, seed_hash);

    json_scan found = scan(text);
    if (!check_before(text, file, kind, &found, error))
        return NULL;
    size_t how = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY;
    if (flags & JSON_NUL_ALLOWED)
        how |= JSON_ALLOW_NUL;
    if (flags & JSON_BIG_INTEGERS)
        how |= JSON_DECODE_INT_AS_REAL;

    json_error_t fault;
    locale_scope scope = locale_enter();
    json_t *value = json_loadb(text.data, text.size, how, &fault);
    locale_leave(scope);
    if (!value)
        fail_parse(text, file, kind, &found, &fault, error);
    return value;
}

json_t *json_parse_object(view text, const char *file, const json_kind *kind, json_flags flags,
                          tkr_error *error)
{
    json_t *value = json_parse_any(text, file, kind, flags, error);
    if (!value || json_is_object(value))
        return value;
    const char *what = kind == &json_safetensors_header ? "header is" : "is";
    fail(error, kind->type, "%s: %s %s; it must be an object", file, what, json_kind_name(value));
    json_decref(value);
    return NULL;
}

const char *json_kind_name(const json_t *value)
{
    if (!value)
        return "missing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    case JSON_NULL:
        break;
    }
    return "null";
}

static bool fail_type(tkr_error *error, const char *file, const char *key, const json_t *value,
                      const char *wanted)
{
    fail(error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be %s", file, key, json_kind_name(value), wanted);
    return false;
}

bool json_get_int(const json_t *object, const char *file, const char *key, int64_t low, int64_t high,
                  int64_t *out, tkr_status range_code, tkr_error *error)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_number(value))
        return fail_type(error, file, key, value, "a whole number");
    double real = json_number_value(value);
    char shown[NUMBER_ROOM];
    if (json_is_integer(value))
        snprintf(shown, sizeof shown, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        number_shortest_f64(shown, real);
    if (real != floor(real)) {
        fail(error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be a whole number", file, key, shown);
        return false;
    }
    bool fits = json_is_integer(value) || (real >= -0x1p63 && real < 0x1p63);
    int64_t whole = json_is_integer(value) ? (int64_t)json_integer_value(value) : fits ? (int64_t)real : 0;
    if (!fits || whole < low || whole > high) {
        fail(error, range_code, "%s: %s %s; it must be %lld to %lld", file, key, shown, (long long)low,
             (long long)high);
        return false;
    }
    *out = whole;
    return true;
}

bool json_get_real(const json_t *object, const char *file, const char *key, double above, double at_most,
                   double *out, tkr_status range_code, tkr_error *error)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_number(value))
        return fail_type(error, file, key, value, "a number");
    double real = json_number_value(value);
    if (real > above && real <= at_most) {
        *out = real;
        return true;
    }
    char shown[NUMBER_ROOM], low[NUMBER_ROOM] = "", high[NUMBER_ROOM] = "";
    if (isfinite(above))
        number_shortest_f64(low, above);
    if (isfinite(at_most))
        number_shortest_f64(high, at_most);
    fail(error, range_code, "%s: %s %s; it must be %s%s%s%s%s", file, key, number_shortest_f64(shown, real),
         low[0] ? "above " : "", low, low[0] && high[0] ? " and " : "", high[0] ? "at most " : "", high);
    return false;
}

bool json_get_bool(const json_t *object, const char *file, const char *key, bool *out, tkr_error *error)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_boolean(value))
        return fail_type(error, file, key, value, "true or false");
    *out = json_is_true(value);
    return true;
}

static bool has_control(view text)
{
    size_t at = 0;
    while (at < text.size) {
        uint32_t c = 0;
        size_t length = utf8_decode(text, at, &c);
        if (length == 0 || c < 0x20 || (c >= 0x7F && c < 0xA0))
            return true;
        at += length;
    }
    return false;
}

bool json_get_text(const json_t *object, const char *file, const char *key, view *out, tkr_error *error)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    if (!json_is_string(value))
        return fail_type(error, file, key, value, "a string");
    view text = {json_string_value(value), json_string_length(value)};
    if (has_control(text)) {
        fail(error, TKR_E_JSON_STRING, "%s: %s %s has a control character", file, key, QUOTE(text));
        return false;
    }
    *out = text;
    return true;
}
