/*
 * Shard indices.  A shard's name comes from the folder, so it must be one plain file name before anything is opened.
 * Known to go wrong: names that lead out of the folder; the same tensor in two shards (which one counts?); total_size is
 * informative only and never used for memory.
 */
#include "model/shards.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/pass_on.h"

/* ---- reading ---------------------------------------------------------------------------------------------------- */

static bool is_plain_file_name(view name)
{
    static const char ending[] = ".safetensors";
    size_t tail = sizeof ending - 1;
    if (name.size <= tail || name.size > 255 || memcmp(name.data + name.size - tail, ending, tail) != 0)
        return false;
    for (size_t i = 0; i < name.size; i++)
        if ((unsigned char)name.data[i] < 0x20 || strchr("/\\:\x7f", name.data[i]))
            return false;
    return true;
}

static tkr_status check_shard_name(const char *tensor, const json_t *value, tkr_error *error)
{
    if (!json_is_string(value))
        return fail(error, TKR_E_INDEX_TYPE, "%s: weight_map %s is %s; it must be a file name",
                    SHARD_INDEX_FILE, QUOTE(view_of(tensor)), json_kind_name(value));
    view name = {json_string_value(value), json_string_length(value)};
    if (!is_plain_file_name(name))
        return fail(error, TKR_E_PATH_ESCAPE,
                    "%s: shard name %s is not a plain file name that ends in .safetensors", SHARD_INDEX_FILE,
                    QUOTE(name));
    return TKR_OK;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* All values of the map, sorted, each once. */
static tkr_status collect_names(shard_index *index, tkr_error *error)
{
    size_t total = json_object_size(index->map), used = 0;
    if (total > TENSORS_MAX)
        return fail(error, TKR_E_LIMIT_TENSORS, "%s: %zu tensors; the limit is %zu", SHARD_INDEX_FILE, total,
                    TENSORS_MAX);
    index->names = NEW(const char *, total);
    if (!index->names)
        return fail_memory(error, "the shard index", total * sizeof(char *));
    const char *tensor;
    json_t *value;
    json_object_foreach(index->map, tensor, value)
    {
        tkr_status status = check_shard_name(tensor, value, error);
        if (status)
            return status;
        index->names[used++] = json_string_value(value);
    }
    qsort(index->names, used, sizeof(char *), compare_texts);
    for (size_t i = 0; i < used; i++)
        if (index->count == 0 || strcmp(index->names[index->count - 1], index->names[i]) != 0)
            index->names[index->count++] = index->names[i];
    if (index->count > SHARDS_MAX)
        return fail(error, TKR_E_LIMIT_SHARDS, "%s: %zu shards; the limit is %zu", SHARD_INDEX_FILE,
                    index->count, SHARDS_MAX);
    return TKR_OK;
}

static tkr_status check_shards_exist(const shard_index *index, const folder *f, tkr_error *error)
{
    for (size_t i = 0; i < index->count; i++)
        if (!folder_has(f, index->names[i]))
            return fail(error, TKR_E_INDEX_MISSING, "%s: shard %s is not in the folder", SHARD_INDEX_FILE,
                        QUOTE(view_of(index->names[i])));
    return TKR_OK;
}

static tkr_status read_index(shard_index *index, const folder *f, tkr_error *error)
{
    file_bytes file;
    tkr_status status = folder_file(f, SHARD_INDEX_FILE, INDEX_BYTES_MAX, true, &file, error);
    if (status)
        return status;
    view text = {(const char *)file.data, file.size};
    tkr_error local = {0};
    index->root = json_parse_object(text, SHARD_INDEX_FILE, &json_model_file, JSON_PLAIN, &local);
    file_bytes_close(&file);
    if (!index->root)
        return pass_on(error, &local);
    index->map = json_object_get(index->root, "weight_map");
    if (!json_is_object(index->map))
        return fail(error, TKR_E_INDEX_TYPE, "%s: has no weight_map object", SHARD_INDEX_FILE);
    status = collect_names(index, error);
    return status ? status : check_shards_exist(index, f, error);
}

shard_index *shard_index_open(const folder *f, tkr_error *error)
{
    shard_index *index = NEW(shard_index, 1);
    if (!index) {
        fail_memory(error, "the shard index", sizeof *index);
        return NULL;
    }
    if (read_index(index, f, error)) {
        shard_index_close(index);
        return NULL;
    }
    return index;
}

void shard_index_close(shard_index *index)
{
    if (!index)
        return;
    json_decref(index->root);
    memory_free(index->names);
    memory_free(index);
}

/* ---- against the shards ----------------------------------------------------------------------------------------- */

static tkr_status check_duplicates(const checkpoint *c, tkr_error *error)
{
    for (size_t i = 1; i < c->count; i++) {
        const stored_tensor *a = &c->tensors[i - 1], *b = &c->tensors[i];
        if (strcmp(a->name, b->name) == 0)
            return fail(error, TKR_E_INDEX_DUPLICATE, "%s: tensor %s is in two shards, %s and %s",
                        SHARD_INDEX_FILE, QUOTE(view_of(a->name)), PLAIN(view_of(c->files[a->file].name)),
                        PLAIN(view_of(c->files[b->file].name)));
    }
    return TKR_OK;
}

static tkr_status check_places(const shard_index *index, const checkpoint *c, tkr_error *error)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(index->map, tensor, value)
    {
        const stored_tensor *found = checkpoint_find(c, tensor);
        const char *shard = json_string_value(value);
        if (!found || strcmp(c->files[found->file].name, shard) != 0)
            return fail(error, TKR_E_INDEX_MISSING, "%s: tensor %s is not in shard %s", SHARD_INDEX_FILE,
                        QUOTE(view_of(tensor)), QUOTE(view_of(shard)));
    }
    return TKR_OK;
}

static void drop_unmapped(const shard_index *index, checkpoint *c, notes *n)
{
    name_list dropped = {0};
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (json_object_get(index->map, c->tensors[i].name))
            c->tensors[kept++] = c->tensors[i];
        else
            name_list_add(&dropped, c->tensors[i].name);
    c->count = kept;
    if (dropped.count)
        notes_add(n, "%s: %zu tensors of the shards are not in the map and were ignored: %s", SHARD_INDEX_FILE,
                  dropped.count, dropped.text);
}

static void compare_total(const shard_index *index, const checkpoint *c, notes *n)
{
    const json_t *total = json_object_get(json_object_get(index->root, "metadata"), "total_size");
    double stored = 0;
    for (size_t i = 0; i < c->count; i++)
        stored += (double)c->tensors[i].bytes;
    if (json_is_number(total) && json_number_value(total) != stored)
        notes_add(n, "%s: total_size is %.0f, the tensors have %.0f bytes", SHARD_INDEX_FILE,
                  json_number_value(total), stored);
}

tkr_status shard_index_check(const shard_index *index, checkpoint *c, notes *n, tkr_error *error)
{
    tkr_status status = check_duplicates(c, error);
    status = status ? status : check_places(index, c, error);
    if (status)
        return status;
    drop_unmapped(index, c, n);
    compare_total(index, c, n);
    return TKR_OK;
}
