/* Reading the parts of a tokenizer: what all kinds of parts need.  Messages begin with the file and name the field. */
#include "text/loader.h"

#include "base/buffer.h"

/* "A, B, C" of the names in a table of rows. */
static void row_names(buffer *out, const void *rows, size_t count, size_t row_size)
{
    for (size_t i = 0; i < count; i++) {
        const part_name *row = (const void *)((const char *)rows + i * row_size);
        buffer_format(out, "%s%s", i ? ", " : "", row->name);
    }
}

const void *loader_row(loader *l, const json_t *value, const char *role, const void *rows, size_t count, size_t row_size)
{
    if (!json_is_object(value))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be an object", l->file, role,
                         json_kind_name(value));
    const json_t *type = json_object_get(value, "type");
    if (!json_is_string(type))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: type of a %s is %s; it must be a string", l->file, role,
                         json_kind_name(type));
    view name = {json_string_value(type), json_string_length(type)};
    for (size_t i = 0; i < count; i++) {
        const part_name *row = (const void *)((const char *)rows + i * row_size);
        if (view_is(name, row->name))
            return row;
    }
    fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: %s type %s is not supported", l->file, role, QUOTE(name));
    buffer names;
    buffer_init(&names, 300);
    row_names(&names, rows, count, row_size);
    fail_facts(l->error, "supported: %s", names.data ? names.data : "none");
    buffer_fini(&names);
    return NULL;
}

void *loader_new(loader *l, size_t count, size_t size)
{
    void *block = arena_alloc(l->memory, count ? count : 1, size);
    if (!block)
        fail_memory(l->error, l->file, count * size);
    return block;
}

bool loader_string(loader *l, const json_t *value, const char *what, view *out)
{
    if (!json_is_string(value)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be a string", l->file, what, json_kind_name(value));
        return false;
    }
    view text = {json_string_value(value), json_string_length(value)};
    if (text.size > PIECE_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s has %zu bytes, the limit is %d", l->file, what, text.size,
             PIECE_BYTES_MOST);
        return false;
    }
    char *copy = arena_copy_text(l->memory, text);
    if (!copy) {
        fail_memory(l->error, l->file, text.size);
        return false;
    }
    *out = (view){copy, text.size};
    return true;
}

bool loader_text(loader *l, const json_t *object, const char *key, bool required, view *out)
{
    const json_t *value = json_object_get(object, key);
    if (!required && (!value || json_is_null(value)))
        return true;
    return loader_string(l, value, key, out);
}

bool loader_flag(loader *l, const json_t *object, const char *key, bool *out)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) || json_get_bool(object, l->file, key, out, l->error);
}

const json_t *loader_array(loader *l, const json_t *object, const char *key, size_t most)
{
    const json_t *array = json_object_get(object, key);
    if (!json_is_array(array))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be an array", l->file, key,
                         json_kind_name(array));
    if (json_array_size(array) > most)
        return fail_null(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s has %zu entries, the limit is %zu", l->file, key,
                         json_array_size(array), most);
    return array;
}

bool loader_enter(loader *l)
{
    if (l->depth >= PART_DEPTH_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: Sequence nested deeper than %d", l->file, PART_DEPTH_MOST);
        return false;
    }
    l->depth++;
    return true;
}

void loader_leave(loader *l)
{
    l->depth--;
}
