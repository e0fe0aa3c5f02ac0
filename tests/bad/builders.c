/*
 * Builders of the catalogue: each makes one bad folder from a good one.  The good one is a tiny random BERT classifier.
 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <tokray/error.h>

#include "bad/cases.h"
#include "base/memory.h"
#include "support/make_charsmap.h"
#include "support/make_model.h"
#include "text/charsmap.h"

#define BUILDER(name)    static bool build_##name(bad_place *p, const char *text, const char *more)
#define UNUSED(argument) ((void)(argument))

static size_t number_of(const char *text) { return (size_t)strtoull(text, NULL, 10); }

static bool make_good(const char *folder)
{
    model_recipe r = model_recipe_tiny("bert");
    return make_model(folder, &r);
}

static bool new_folder(const char *path) { return mkdir(path, 0700) == 0 || errno == EEXIST; }

/* ---- B. folder and files ---------------------------------------------------------------------------------------- */

BUILDER(no_folder)
{
    UNUSED(text);
    UNUSED(more);
    return work_path(p->path, p->root, "nowhere");
}

BUILDER(folder_is_file)
{
    UNUSED(text);
    UNUSED(more);
    return work_write_text(p->root, "file.txt", "x") && work_path(p->path, p->root, "file.txt");
}

BUILDER(empty_folder)
{
    UNUSED(text);
    UNUSED(more);
    return work_folder_remove(p->model) && new_folder(p->model);
}

BUILDER(unreadable)
{
    char path[WORK_PATH];
    UNUSED(more);
    return chmod(p->root, 0755) == 0 && chmod(p->model, 0755) == 0 && work_path(path, p->model, text) &&
           chmod(path, 0) == 0;
}

BUILDER(is_folder)
{
    char path[WORK_PATH];
    UNUSED(more);
    return work_delete(p->model, text) && work_path(path, p->model, text) && new_folder(path);
}

BUILDER(fifo)
{
    char path[WORK_PATH];
    UNUSED(more);
    return work_delete(p->model, text) && work_path(path, p->model, text) && mkfifo(path, 0600) == 0;
}

BUILDER(device)
{
    char path[WORK_PATH];
    UNUSED(more);
    return work_delete(p->model, text) && work_path(path, p->model, text) &&
           mknod(path, S_IFCHR | 0600, makedev(1, 3)) == 0;
}

BUILDER(link_outside)
{
    char path[WORK_PATH], outside[WORK_PATH];
    UNUSED(more);
    (void)work_delete(p->model, text);
    return work_write_text(p->root, "outside", "{}") && work_path(outside, p->root, "outside") &&
           work_path(path, p->model, text) && symlink(outside, path) == 0;
}

BUILDER(link_loop)
{
    char path[WORK_PATH];
    UNUSED(more);
    return work_delete(p->model, text) && work_path(path, p->model, text) && symlink(text, path) == 0;
}

/* models--a/snapshots/0/<file> -> ../../blobs/<file>, or into the blobs of models--b. */
BUILDER(hub_layout)
{
    static const char *const folders[] = {"models--a", "models--a/snapshots", "models--a/snapshots/0",
                                          "models--b", NULL};
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt",
                                        "tokenizer_config.json", NULL};
    char path[WORK_PATH], target[WORK_PATH];
    bool is_own = strcmp(text, "own") == 0;
    UNUSED(more);
    for (size_t i = 0; folders[i]; i++)
        if (!work_path(path, p->root, folders[i]) || !new_folder(path))
            return false;
    work_path(path, p->root, is_own ? "models--a/blobs" : "models--b/blobs");
    if (rename(p->model, path) != 0 || !work_path(p->path, p->root, "models--a/snapshots/0"))
        return false;
    for (size_t i = 0; files[i]; i++) {
        snprintf(target, sizeof target, "%s/blobs/%s", is_own ? "../.." : "../../../models--b", files[i]);
        if (!work_path(path, p->path, files[i]) || symlink(target, path) != 0)
            return false;
    }
    return true;
}

BUILDER(only_file)
{
    UNUSED(more);
    return work_delete(p->model, "model.safetensors") && work_write_text(p->model, text, "\x80\x02}q.");
}

BUILDER(with_code)
{
    UNUSED(more);
    return work_write_text(p->model, text, "raise SystemExit('this was run')\n") &&
           work_replace(p->model, "config.json", "{\n",
                        "{\n  \"auto_map\": {\"AutoModel\": \"modeling_x.X\"},\n");
}

BUILDER(named)
{
    UNUSED(more);
    return work_path(p->path, p->root, text) && rename(p->model, p->path) == 0;
}

BUILDER(named_long)
{
    char name[256];
    UNUSED(text);
    UNUSED(more);
    memset(name, 'n', 255);
    name[255] = '\0';
    return work_path(p->path, p->root, name) && rename(p->model, p->path) == 0;
}

BUILDER(file_text) { return work_write_text(p->model, text, more); }

/* ---- C. safetensors --------------------------------------------------------------------------------------------- */

BUILDER(length)
{
    unsigned char bytes[18] = {0};
    uint64_t length = strtoull(text, NULL, 10);
    UNUSED(more);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(length >> 8 * i);
    memcpy(bytes + 8, "{}        ", 10);
    return work_write(p->model, "model.safetensors", bytes, sizeof bytes);
}

BUILDER(header)
{
    char data[64] = {0};
    return make_safetensors(p->model, "model.safetensors", text, strlen(text), data, number_of(more));
}

BUILDER(header_nul)
{
    UNUSED(text);
    UNUSED(more);
    return make_safetensors(p->model, "model.safetensors", "{}\0", 3, "", 0);
}

BUILDER(header_deep)
{
    size_t depth = number_of(text), used = 0;
    char *header = malloc(2 * depth + 16);
    UNUSED(more);
    if (!header)
        return false;
    memcpy(header, "{\"a\":", 5);
    used = 5;
    memset(header + used, '[', depth - 1);
    used += depth - 1;
    memset(header + used, ']', depth - 1);
    used += depth - 1;
    header[used++] = '}';
    bool ok = make_safetensors(p->model, "model.safetensors", header, used, "", 0);
    free(header);
    return ok;
}

BUILDER(header_metadata)
{
    size_t size = number_of(text);
    char *header = malloc(size + 64);
    UNUSED(more);
    if (!header)
        return false;
    size_t used = (size_t)snprintf(header, 64, "{\"__metadata__\":{\"a\":\"");
    memset(header + used, 'x', size);
    memcpy(header + used + size, "\"}}", 3);
    bool ok = make_safetensors(p->model, "model.safetensors", header, used + size + 3, "", 0);
    free(header);
    return ok;
}

BUILDER(many_tensors)
{
    size_t count = number_of(text), room = count * 64 + 16, used = 0;
    char *header = malloc(room);
    UNUSED(more);
    if (!header)
        return false;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(header + used, room - used,
                                 "%c\"t%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                                 i ? ',' : '{', i);
    header[used++] = '}';
    bool ok = make_safetensors(p->model, "model.safetensors", header, used, "", 0);
    free(header);
    return ok;
}

BUILDER(long_name)
{
    char header[1000] = "{\"";
    size_t size = number_of(text);
    UNUSED(more);
    memset(header + 2, 'n', size);
    snprintf(header + 2 + size, sizeof header - 2 - size,
             "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}");
    return make_safetensors(p->model, "model.safetensors", header, strlen(header), "x", 1);
}

/* A change of one tensor, by the end of its name. */
typedef struct change {
    const char *ending, *new_name, *claimed;
    bool is_left_out, is_transposed;
    double bad;
    bool is_bad;
} change;

static void apply_change(made_tensor *t, void *user)
{
    const change *c = user;
    size_t length = strlen(t->name), tail = strlen(c->ending);
    if (length < tail || strcmp(t->name + length - tail, c->ending) != 0)
        return;
    t->is_left_out = c->is_left_out;
    t->claimed_dtype = c->claimed;
    t->bad_at = 3;
    t->bad_count = c->is_bad;
    t->bad_value = c->bad;
    if (c->new_name)
        snprintf(t->name, sizeof t->name, "%s", c->new_name);
    if (c->is_transposed) {
        size_t rows = t->shape[0];
        t->shape[0] = t->shape[1];
        t->shape[1] = rows;
    }
}

static bool make_changed(const char *folder, change c, made_dtype dtype)
{
    model_recipe r = model_recipe_tiny("bert");
    r.dtype = dtype;
    r.edit = apply_change;
    r.edit_user = &c;
    return make_model(folder, &r);
}

BUILDER(claimed_dtype)
{
    change c = {.ending = text, .claimed = more};
    return make_changed(p->model, c, MADE_F32);
}

BUILDER(extra_empty)
{
    size_t size = 0;
    char entry[200];
    UNUSED(more);
    snprintf(entry, sizeof entry, "{\"position_ids\":{\"dtype\":\"F32\",\"shape\":%s,\"data_offsets\":[0,0]},",
             text);
    char *bytes = work_read(p->model, "model.safetensors", &size);
    if (!bytes)
        return false;
    uint64_t length = 0;
    memcpy(&length, bytes, sizeof length);
    char *header = malloc(length + sizeof entry);
    size_t used = strlen(entry);
    bool ok = header != NULL;
    if (ok) {
        memcpy(header, entry, used);
        memcpy(header + used, bytes + 9, length - 1);
        ok = make_safetensors(p->model, "model.safetensors", header, used + length - 1, bytes + 8 + length,
                              size - 8 - length);
    }
    free(header);
    free(bytes);
    return ok;
}

BUILDER(extra_name)
{
    change c = {.ending = "classifier.bias", .new_name = text};
    UNUSED(more);
    return make_changed(p->model, c, MADE_F32) &&
           work_replace(p->model, "config.json", "BertForSequenceClassification", "BertModel");
}

BUILDER(padded)
{
    model_recipe r = model_recipe_tiny("bert");
    UNUSED(more);
    r.header_padding = number_of(text);
    return make_model(p->model, &r);
}

/* ---- files cut or grown ----------------------------------------------------------------------------------------- */

BUILDER(cut)
{
    char path[WORK_PATH];
    struct stat info;
    return work_path(path, p->model, text) && stat(path, &info) == 0 &&
           truncate(path, info.st_size - (off_t)number_of(more)) == 0;
}

BUILDER(grown)
{
    char path[WORK_PATH];
    struct stat info;
    return work_path(path, p->model, text) && stat(path, &info) == 0 &&
           truncate(path, info.st_size + (off_t)number_of(more)) == 0;
}

/* ---- D. index and shards ---------------------------------------------------------------------------------------- */

#define INDEX "model.safetensors.index.json"

static bool make_shards(const char *folder)
{
    model_recipe r = model_recipe_tiny("bert");
    r.shards = 3;
    return work_delete(folder, "model.safetensors") && make_model(folder, &r);
}

/* The first entry of the index gets another value. */
BUILDER(shard_name)
{
    char wanted[400];
    UNUSED(more);
    snprintf(wanted, sizeof wanted, "\"bert.embeddings.word_embeddings.weight\":%s", text);
    return make_shards(p->model) &&
           work_replace(p->model, INDEX,
                        "\"bert.embeddings.word_embeddings.weight\":\"model-00001-of-00003.safetensors\"",
                        wanted);
}

BUILDER(shard_name_long)
{
    char name[400] = "\"";
    size_t size = number_of(text);
    memset(name + 1, 'n', size);
    snprintf(name + 1 + size, sizeof name - 1 - size, ".safetensors\"");
    return build_shard_name(p, name, more);
}

BUILDER(index_text)
{
    UNUSED(more);
    return make_shards(p->model) && work_write_text(p->model, INDEX, text);
}

BUILDER(shard_twice)
{
    size_t size = 0;
    UNUSED(text);
    UNUSED(more);
    char *bytes = make_shards(p->model) ? work_read(p->model, "model-00001-of-00003.safetensors", &size) : NULL;
    bool ok = bytes && work_write(p->model, "model-00002-of-00003.safetensors", bytes, size);
    free(bytes);
    return ok;
}

BUILDER(many_shards)
{
    size_t count = number_of(text), room = count * 64 + 64, used;
    char *index = work_delete(p->model, "model.safetensors") ? malloc(room) : NULL;
    UNUSED(more);
    if (!index)
        return false;
    used = (size_t)snprintf(index, room, "{\"weight_map\":{");
    for (size_t i = 0; i < count; i++)
        used +=
            (size_t)snprintf(index + used, room - used, "%s\"t%zu\":\"s%zu.safetensors\"", i ? "," : "", i, i);
    snprintf(index + used, room - used, "}}");
    bool ok = work_write_text(p->model, INDEX, index);
    free(index);
    return ok;
}

BUILDER(shard_cut) { return make_shards(p->model) && build_cut(p, text, more); }

/* ---- E. config -------------------------------------------------------------------------------------------------- */

BUILDER(config)
{
    model_recipe r = model_recipe_tiny("bert");
    UNUSED(more);
    r.more_config = text;
    return make_config(p->model, &r);
}

BUILDER(replaced) { return work_replace(p->model, "config.json", text, more); }

/* The config.json of a reference folder, with a change "FROM\nTO"; what is wrong in it is told before any other file is read. */
BUILDER(config_of)
{
    char reference[WORK_PATH], from[200];
    const char *data = getenv("TOKRAY_TEST_DATA"), *to = strchr(more, '\n');
    size_t size = 0;
    snprintf(reference, sizeof reference, "%s/models/%s", data && *data ? data : "tests/data", text);
    snprintf(from, sizeof from, "%.*s", (int)(to - more), more);
    char *config = work_read(reference, "config.json", &size);
    bool ok = config && work_write(p->model, "config.json", config, size) && work_replace(p->model, "config.json", from, to + 1);
    free(config);
    return ok;
}

BUILDER(spaces)
{
    size_t size = number_of(text);
    char *bytes = malloc(size);
    UNUSED(more);
    if (!bytes)
        return false;
    memset(bytes, ' ', size);
    bool ok = work_write(p->model, "config.json", bytes, size);
    free(bytes);
    return ok;
}

BUILDER(many_labels)
{
    size_t count = number_of(text), room = count * 16 + 100, used;
    char *config = malloc(room);
    UNUSED(more);
    if (!config)
        return false;
    used = (size_t)snprintf(config, room, "{\"model_type\":\"bert\",\"id2label\":{");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(config + used, room - used, "%s\"%zu\":\"\"", i ? "," : "", i);
    snprintf(config + used, room - used, "}}");
    bool ok = work_write_text(p->model, "config.json", config);
    free(config);
    return ok;
}

BUILDER(headless)
{
    model_recipe r = model_recipe_tiny("bert");
    UNUSED(text);
    UNUSED(more);
    r.head = MADE_MASKED_LM;
    return make_model(p->model, &r);
}

BUILDER(left_out)
{
    UNUSED(more);
    return make_changed(p->model, (change){.ending = text, .is_left_out = true}, MADE_F32);
}

BUILDER(transposed)
{
    UNUSED(more);
    return make_changed(p->model, (change){.ending = text, .is_transposed = true}, MADE_F32);
}

/* ---- F. tokenizer ------------------------------------------------------------------------------------------------- */

BUILDER(no_tokenizer)
{
    UNUSED(text);
    UNUSED(more);
    return work_delete(p->model, "vocab.txt");
}

/* A tokenizer.json of a model object and a pre-tokenizer; more: its other parts, or nothing. */
static bool write_tokenizer(const char *folder, const char *model, const char *parts)
{
    size_t room = strlen(model) + strlen(parts) + 64;
    char *whole = malloc(room);
    if (whole)
        snprintf(whole, room, "{\"version\":\"1.0\",%s\"model\":%s}", parts, model);
    bool ok = whole && work_write_text(folder, "tokenizer.json", whole);
    free(whole);
    return ok;
}

BUILDER(piece_model) { return write_tokenizer(p->model, text, more); }

#define SMALL_PAIRS "{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}"

/* A pre-tokenizer Split with the expression text; more: so many letters instead. */
BUILDER(split)
{
    size_t letters = number_of(more), room = strlen(text) + letters + 128;
    char *parts = calloc(room, 1);
    if (!parts)
        return false;
    int used = snprintf(parts, room, "\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"%s", text);
    memset(parts + used, 'a', letters);
    snprintf(parts + (size_t)used + letters, room - (size_t)used - letters, "\"}},");
    bool ok = write_tokenizer(p->model, SMALL_PAIRS, parts);
    free(parts);
    return ok;
}

/* A piece of so many letters in the vocabulary. */
BUILDER(long_piece)
{
    size_t letters = number_of(text), room = letters + 128;
    char *model = calloc(room, 1);
    UNUSED(more);
    if (!model)
        return false;
    int used = snprintf(model, room, "{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"");
    memset(model + used, 'x', letters);
    snprintf(model + (size_t)used + letters, room - (size_t)used - letters, "\":0}}");
    bool ok = write_tokenizer(p->model, model, "");
    free(model);
    return ok;
}

/* So many Sequences in one another. */
BUILDER(nested)
{
    size_t count = number_of(text), room = count * 64 + 64, used = 0;
    char *parts = calloc(room, 1);
    UNUSED(more);
    if (!parts)
        return false;
    used += (size_t)snprintf(parts, room, "\"pre_tokenizer\":");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(parts + used, room - used, "{\"type\":\"Sequence\",\"pretokenizers\":[");
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(parts + used, room - used, "]}");
    snprintf(parts + used, room - used, ",");
    bool ok = write_tokenizer(p->model, SMALL_PAIRS, parts);
    free(parts);
    return ok;
}

/* A good tokenizer.json, cut after so many thousandths of it. */
BUILDER(cut_tokenizer)
{
    static const char whole[] = "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":2,\"content\":\"ab\"}],\"model\":" SMALL_PAIRS "}";
    UNUSED(more);
    return work_write(p->model, "tokenizer.json", whole, (sizeof whole - 1) * number_of(text) / 1000);
}

#define SMALL_SCORES "{\"type\":\"Unigram\",\"unk_id\":0,\"vocab\":[[\"<unk>\",0],[\"a\",-1]]}"

/* A tokenizer.json with a normalizer Precompiled around this base64 text. */
BUILDER(charsmap)
{
    size_t room = strlen(text) + 128;
    char *parts = malloc(room);
    UNUSED(more);
    if (parts)
        snprintf(parts, room, "\"normalizer\":{\"type\":\"Precompiled\",\"precompiled_charsmap\":\"%s\"},", text);
    bool ok = parts && write_tokenizer(p->model, SMALL_SCORES, parts);
    free(parts);
    return ok;
}

/* The same around these bytes; takes them. */
static bool put_charsmap(bad_place *p, char *bytes, size_t size)
{
    char *digits = bytes ? base64_text((view){bytes, size}) : NULL;
    bool ok = digits && build_charsmap(p, digits, "");
    memory_free(digits);
    free(bytes);
    return ok;
}

/* The map of one key "a" to "x" (768 units), in which unit number `text` is `more`; -1: so many bytes are cut off instead. */
BUILDER(charsmap_unit)
{
    made_map *m = calloc(1, sizeof *m);
    size_t size = 0;
    if (!m)
        return false;
    made_map_key(m, "a", "x");
    if (*text != '-')
        m->units[number_of(text)] = (uint32_t)number_of(more);
    char *bytes = made_map_bytes(m, &size);
    free(m);
    return put_charsmap(p, bytes, *text == '-' ? size - number_of(more) : size);
}

/* So many keys, each the beginning of the next. */
BUILDER(charsmap_beginnings)
{
    char key[512] = "";
    made_map *m = calloc(1, sizeof *m);
    size_t size = 0;
    UNUSED(more);
    if (!m)
        return false;
    for (size_t i = 0; i < number_of(text); i++) {
        key[i] = 'a';
        made_map_key(m, key, "x");
    }
    char *bytes = made_map_bytes(m, &size);
    free(m);
    return put_charsmap(p, bytes, size);
}

/* A vocab.txt; more: a last line of so many letters. */
BUILDER(lines)
{
    size_t used = strlen(text), letters = number_of(more);
    char *whole = malloc(used + letters + 1);
    if (!whole)
        return false;
    memcpy(whole, text, used);
    memset(whole + used, 'x', letters);
    bool ok = work_write(p->model, "vocab.txt", whole, used + letters);
    free(whole);
    return ok;
}

/* vocab.json and merges.txt instead of vocab.txt. */
BUILDER(merges)
{
    return work_delete(p->model, "vocab.txt") && work_write_text(p->model, "vocab.json", text) &&
           work_write_text(p->model, "merges.txt", more);
}

/* ---- G. numbers ------------------------------------------------------------------------------------------------- */

BUILDER(bad_number)
{
    static const char *const names[] = {"F32", "F16", "BF16", "F64"};
    size_t dtype = 0;
    while (strcmp(names[dtype], more) != 0)
        dtype++;
    double value = strcmp(text, "nan") == 0    ? (double)NAN
                   : strcmp(text, "-inf") == 0 ? -(double)INFINITY
                                               : 1e300;
    return make_changed(p->model,
                        (change){.ending = "0.attention.self.key.weight", .is_bad = true, .bad = value},
                        (made_dtype)dtype);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

#define CASE(number, builder, text, more, status, pattern)                                                     \
    {number, #builder, text, more, build_##builder, (tkr_status)TKR_STATUS_OF_##status, pattern},
enum {
    TKR_STATUS_OF_OK = TKR_OK,
#define STATUS(name, text, exit_code, http, meaning) TKR_STATUS_OF_##name = TKR_E_##name,
    TKR_CODES(STATUS)
#undef STATUS
};
static const bad_case cases[] = {
#include "bad/cases.def"
};
#undef CASE

const bad_case *bad_case_at(size_t index)
{
    return index < sizeof cases / sizeof cases[0] ? &cases[index] : NULL;
}

bool bad_case_build(const bad_case *c, bad_place *place)
{
    if (!work_folder_new(place->root) || !work_path(place->model, place->root, "model") ||
        !new_folder(place->model) || !make_good(place->model))
        return false;
    memcpy(place->path, place->model, sizeof place->path);
    return c->build(place, c->text, c->more);
}

bool bad_place_remove(const bad_place *place) { return work_folder_remove(place->root); }

bool bad_case_wants_plain_user(const bad_case *c) { return c->number == 17; }

bool bad_case_wants_classification(const bad_case *c) { return c->number == 102; }
