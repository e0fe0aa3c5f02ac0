/*
 * Finding models by name, without touching anything but directories and refs/main.
 *
 * Hub cache layout: <cache>/models--<org>--<name>/refs/main holds a commit; snapshots/<commit>/ holds the files.
 * Known to go wrong: a name is the user's text and becomes part of a path, so only letters, digits, ".", "_" and "-" are
 * looked for, and never a part that begins with a dot.
 */
#include "model/locate.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/failure.h"
#include "base/folder.h"
#include "base/memory.h"
#include "model/config.h"

#ifndef TOKRAY_MODEL_DIRS
#define TOKRAY_MODEL_DIRS "/usr/local/share/tokray/models:/usr/share/tokray/models"
#endif

enum {
    PATH_ROOM = 4096,
    NAME_PART_MAX = 96,
    NEAREST_SHOWN = 3,
    ENTRIES_MAX = 4096,
    CACHE_PREFIX = sizeof "models--" - 1
};

/* ---- paths ------------------------------------------------------------------------------------------------------ */

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A name that may stand as one component of a path. */
static bool is_plain_part(view part)
{
    if (part.size == 0 || part.size > NAME_PART_MAX || part.data[0] == '.')
        return false;
    for (size_t i = 0; i < part.size; i++) {
        char c = part.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!is_letter && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

static bool join(char out[PATH_ROOM], const char *folder_name, const char *rest)
{
    int written = snprintf(out, PATH_ROOM, "%s/%s", folder_name, rest);
    return written > 0 && written < PATH_ROOM;
}

static tkr_status set_location(location *out, const char *path, view name, const char *source, tkr_error *error)
{
    const char *shown = PLAIN(name);
    out->path = memory_copy_text(path, strlen(path));
    out->name = memory_copy_text(shown, strlen(shown));
    out->source = source;
    if (out->path && out->name)
        return TKR_OK;
    location_fini(out);
    return fail_memory(error, "the model's path", strlen(path));
}

void location_fini(location *where)
{
    memory_free(where->path);
    memory_free(where->name);
    *where = (location){0};
}

/* Last component of a path without trailing slashes; the path itself when there is none. */
static view last_part(const char *path)
{
    view v = view_of(path);
    while (v.size > 1 && v.data[v.size - 1] == '/')
        v.size--;
    size_t begin = v.size;
    while (begin > 0 && v.data[begin - 1] != '/')
        begin--;
    return begin < v.size ? view_slice(v, begin, v.size) : v;
}

/* ---- the hub cache ---------------------------------------------------------------------------------------------- */

static bool cache_folder(char out[PATH_ROOM])
{
    const char *cache = getenv("HF_HUB_CACHE"), *home = getenv("HF_HOME"), *user = getenv("HOME");
    if (cache && *cache) {
        int written = snprintf(out, PATH_ROOM, "%s", cache);
        return written > 0 && written < PATH_ROOM;
    }
    if (home && *home)
        return join(out, home, "hub");
    return user && *user && join(out, user, ".cache/huggingface/hub");
}

/* The snapshot that refs/main of a models--x folder names. */
static bool snapshot_of(char out[PATH_ROOM], const char *model_folder)
{
    char path[PATH_ROOM], rest[NAME_PART_MAX + 16];
    file_bytes file;
    folder *refs = join(path, model_folder, "refs") ? folder_open(path, false, NULL) : NULL;
    bool is_read = refs && folder_file(refs, "main", 256, true, &file, NULL) == TKR_OK;
    folder_close(refs);
    if (!is_read)
        return false;
    view commit = {(const char *)file.data, file.size};
    while (commit.size && (commit.data[commit.size - 1] == '\n' || commit.data[commit.size - 1] == '\r'))
        commit.size--;
    bool ok = is_plain_part(commit);
    if (ok)
        snprintf(rest, sizeof rest, "snapshots/%.*s", (int)commit.size, commit.data);
    file_bytes_close(&file);
    return ok && join(out, model_folder, rest) && is_folder(out);
}

/* "org/name" or "name" to models--org--name. */
static bool cache_entry(char out[2 * NAME_PART_MAX + 16], view name)
{
    const char *slash = memchr(name.data, '/', name.size);
    size_t first = slash ? (size_t)(slash - name.data) : name.size;
    view org = view_slice(name, 0, first), rest = slash ? view_slice(name, first + 1, name.size) : VIEW("x");
    if (!is_plain_part(org) || !is_plain_part(rest))
        return false;
    if (slash)
        snprintf(out, 2 * NAME_PART_MAX + 16, "models--%.*s--%.*s", (int)org.size, org.data, (int)rest.size,
                 rest.data);
    else
        snprintf(out, 2 * NAME_PART_MAX + 16, "models--%.*s", (int)org.size, org.data);
    return true;
}

static bool find_in_cache(char out[PATH_ROOM], view name)
{
    char cache[PATH_ROOM], model_folder[PATH_ROOM], entry[2 * NAME_PART_MAX + 16];
    return cache_entry(entry, name) && cache_folder(cache) && join(model_folder, cache, entry) &&
           snapshot_of(out, model_folder);
}

/* ---- bundled models --------------------------------------------------------------------------------------------- */

/* Folder number `index` of the list: TOKRAY_MODELS where it is set, else the built-in one; false past the end. */
static bool bundle_folder(size_t index, char out[PATH_ROOM])
{
    const char *chosen = getenv("TOKRAY_MODELS");
    for (const char *at = chosen && *chosen ? chosen : TOKRAY_MODEL_DIRS; *at;) {
        size_t length = strcspn(at, ":");
        if (length > 0 && length < PATH_ROOM && index-- == 0) {
            snprintf(out, PATH_ROOM, "%.*s", (int)length, at);
            return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

static bool find_bundled(char out[PATH_ROOM], view name)
{
    char bundle[PATH_ROOM], entry[NAME_PART_MAX + 1];
    if (!is_plain_part(name))
        return false;
    snprintf(entry, sizeof entry, "%.*s", (int)name.size, name.data);
    for (size_t i = 0; bundle_folder(i, bundle); i++) {
        char config[PATH_ROOM];
        if (join(out, bundle, entry) && is_folder(out) && join(config, out, CONFIG_FILE)) {
            struct stat info;
            if (stat(config, &info) == 0)
                return true;
        }
    }
    return false;
}

/* ---- the list --------------------------------------------------------------------------------------------------- */

typedef struct listed {
    location where;
    char *summary;
} listed;

struct tkr_model_list {
    listed *entries;
    size_t count, capacity;
};

/* "DistilBERT · sequence classification", from config.json alone; "" when it cannot be read. */
static char *summarise(const char *path)
{
    char text[160] = "";
    file_bytes file;
    model_config config = {0};
    notes ignored = {0};
    folder *f = folder_open(path, false, NULL);
    if (f && folder_file(f, CONFIG_FILE, CONFIG_BYTES_MAX, true, &file, NULL) == TKR_OK) {
        if (config_read((view){(const char *)file.data, file.size}, &config, &ignored, NULL) == TKR_OK) {
            const head *h =
                config.architecture ? head_of_architecture(config.family, config.architecture) : NULL;
            snprintf(text, sizeof text, "%s · %s", config.family->title, h ? h->title : "hidden states");
        }
        file_bytes_close(&file);
    }
    folder_close(f);
    config_fini(&config);
    notes_fini(&ignored);
    return memory_copy_text(text, strlen(text));
}

static bool list_has(const tkr_model_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->entries[i].where.name, name) == 0)
            return true;
    return false;
}

static tkr_status list_add(tkr_model_list *list, const char *path, const char *name, const char *source,
                           tkr_error *error)
{
    if (list_has(list, name))
        return TKR_OK;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 16;
        listed *grown = memory_resize(list->entries, capacity, sizeof *grown);
        if (!grown)
            return fail_memory(error, "the list of models", capacity * sizeof *grown);
        list->entries = grown;
        list->capacity = capacity;
    }
    listed entry = {0};
    tkr_status status = set_location(&entry.where, path, view_of(name), source, error);
    if (status)
        return status;
    entry.summary = summarise(path);
    list->entries[list->count++] = entry;
    return entry.summary ? TKR_OK : fail_memory(error, "a model's summary", 160);
}

typedef tkr_status entry_fn(tkr_model_list *list, const char *parent, const char *name, tkr_error *error);

static tkr_status each_entry(tkr_model_list *list, const char *path, entry_fn *call, tkr_error *error)
{
    folder *f = folder_open(path, true, NULL);
    if (!f)
        return TKR_OK;
    char **names = NULL;
    tkr_status status = TKR_OK;
    size_t count = folder_names(f, &names, ENTRIES_MAX);
    for (size_t i = 0; !status && i < count; i++)
        status = call(list, path, names[i], error);
    memory_free(names);
    folder_close(f);
    return status;
}

static tkr_status add_bundled(tkr_model_list *list, const char *parent, const char *name, tkr_error *error)
{
    char path[PATH_ROOM], config[PATH_ROOM];
    struct stat info;
    if (!is_plain_part(view_of(name)) || !join(path, parent, name) || !join(config, path, CONFIG_FILE) ||
        stat(config, &info) != 0)
        return TKR_OK;
    return list_add(list, path, name, "bundled", error);
}

static tkr_status add_cached(tkr_model_list *list, const char *parent, const char *name, tkr_error *error)
{
    char model_folder[PATH_ROOM], path[PATH_ROOM], shown[2 * NAME_PART_MAX + 16];
    if (!view_begins(view_of(name), VIEW("models--")) || !join(model_folder, parent, name) ||
        !snapshot_of(path, model_folder))
        return TKR_OK;
    const char *org = name + CACHE_PREFIX, *separator = strstr(org, "--");
    if (separator)
        snprintf(shown, sizeof shown, "%.*s/%s", (int)(separator - org), org, separator + 2);
    else
        snprintf(shown, sizeof shown, "%s", org);
    return list_add(list, path, shown, "cache", error);
}

static tkr_status fill_list(tkr_model_list *list, bool with_cache, tkr_error *error)
{
    char path[PATH_ROOM];
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && bundle_folder(i, path); i++)
        status = each_entry(list, path, add_bundled, error);
    if (!status && with_cache && cache_folder(path))
        status = each_entry(list, path, add_cached, error);
    return status;
}

static tkr_model_list *new_list(bool with_cache, tkr_error *error)
{
    tkr_model_list *list = NEW(tkr_model_list, 1);
    if (!list) {
        fail_memory(error, "the list of models", sizeof *list);
        return NULL;
    }
    if (fill_list(list, with_cache, error)) {
        tkr_model_list_free(list);
        return NULL;
    }
    return list;
}

tkr_model_list *tkr_model_list_new(tkr_error *error) { return new_list(true, error); }

bool tkr_model_list_entry(const tkr_model_list *list, size_t index, tkr_model_entry *entry)
{
    if (!list || !entry || index >= list->count)
        return false;
    const listed *l = &list->entries[index];
    *entry = (tkr_model_entry){l->where.name, l->where.source, l->where.path, l->summary};
    return true;
}

void tkr_model_list_free(tkr_model_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++) {
        location_fini(&list->entries[i].where);
        memory_free(list->entries[i].summary);
    }
    memory_free(list->entries);
    memory_free(list);
}

const char *tkr_default_model(void) { return "tiny-distilbert-sentiment"; }

/* ---- not found -------------------------------------------------------------------------------------------------- */

/* Insertions, deletions and replacements that turn a into b; both are cut to NAME_PART_MAX bytes. */
static size_t edit_distance(view a, view b)
{
    size_t row[NAME_PART_MAX + 1];
    size_t width = b.size < NAME_PART_MAX ? b.size : NAME_PART_MAX,
           height = a.size < NAME_PART_MAX ? a.size : NAME_PART_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 1; i <= height; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= width; j++) {
            size_t replaced = diagonal + (a.data[i - 1] != b.data[j - 1]);
            size_t moved = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = replaced < moved ? replaced : moved;
        }
    }
    return row[width];
}

/* The nearest bundled names, best first, as "a, b, c". */
static void list_nearest(const tkr_model_list *list, view wanted, buffer *out)
{
    bool *is_taken = NEW(bool, list->count + 1);
    for (size_t shown = 0; is_taken && shown < NEAREST_SHOWN && shown < list->count; shown++) {
        size_t best = list->count, least = SIZE_MAX;
        for (size_t i = 0; i < list->count; i++) {
            size_t distance = edit_distance(wanted, view_of(list->entries[i].where.name));
            if (!is_taken[i] && distance < least) {
                least = distance;
                best = i;
            }
        }
        is_taken[best] = true;
        buffer_format(out, "%s%s", shown ? ", " : "", list->entries[best].where.name);
    }
    memory_free(is_taken);
}

static tkr_status fail_not_found(const char *name, tkr_error *error)
{
    fail(error, TKR_E_PATH_NOT_FOUND,
         "%s: no such model folder; give a folder that holds config.json and model.safetensors, or"
         " the name of a bundled or cached model",
         PLAIN(view_of(name)));
    buffer names;
    buffer_init(&names, 280);
    tkr_model_list *bundled = new_list(false, NULL);
    if (bundled)
        list_nearest(bundled, last_part(name), &names);
    if (names.size) {
        fail_facts(error, "nearest bundled names: %s", names.data);
        fail_help(error, "tokray models list shows every name");
    }
    tkr_model_list_free(bundled);
    buffer_fini(&names);
    return TKR_E_PATH_NOT_FOUND;
}

tkr_status location_find(const char *name, location *out, tkr_error *error)
{
    char path[PATH_ROOM];
    struct stat info;
    *out = (location){0};
    if (lstat(name, &info) == 0)
        return set_location(out, name, last_part(name), "folder", error);
    if (find_bundled(path, view_of(name)))
        return set_location(out, path, view_of(name), "bundled", error);
    if (find_in_cache(path, view_of(name)))
        return set_location(out, path, view_of(name), "cache", error);
    return fail_not_found(name, error);
}
