/*
 * Reading safetensors: 8 bytes length N (little-endian), N bytes JSON header, then the tensors' bytes without holes.
 * Source: github.com/huggingface/safetensors, README.md and tensor.rs; the checks are those of its reader and stricter:
 * duplicate names are refused, and so are entries that are not plain objects.
 *
 * Known to go wrong: a length near 2^64 (never added to, only compared), shapes whose product wraps, tensors on odd
 * addresses (nothing here casts data to a number type), pages of error text saved under the file's name.
 */
#include "model/checkpoint.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/size.h"
#include "base/utf8.h"
#include "model/pass_on.h"
#include "model/shards.h"
#include "model/wildcard.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "safetensors are little-endian and read in place: big-endian machines are not supported"
#endif

enum { TENSOR_NAME_MAX = 512 };
#define METADATA_MAX  ((size_t)1 << 20)
#define NAMES_MAX     ((size_t)512 << 20)
#define DIMENSION_MAX ((json_int_t)1 << 48)

static const struct stored_dtype {
    const char *name;
    unsigned bits;
} stored_dtypes[] = {
    {"F64", 64},        {"F32", 32},    {"F16", 16},    {"BF16", 16},   {"I64", 64},    {"I32", 32},
    {"I16", 16},        {"I8", 8},      {"U64", 64},    {"U32", 32},    {"U16", 16},    {"U8", 8},
    {"BOOL", 8},        {"C64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},
};

/* What is being read: one file, and where its tensors go. */
typedef struct reading {
    checkpoint *checkpoint;
    const file_bytes *file;
    const char *shown;  /* its name, fit for messages    */
    size_t number;      /* of the file                   */
    size_t data_offset; /* 8 + N                         */
    size_t data_bytes;  /* what is behind the header     */
    notes *notes;
    tkr_error *error;
} reading;

/* ---- the length field ------------------------------------------------------------------------------------------- */

/* What the first bytes of a file that is no safetensors look like; "" when they tell nothing. */
static const char *looks_like(const file_bytes *file)
{
    static const struct {
        const char *begin;
        size_t size;
        const char *text;
    } signs[] = {
        {"<!DOCTYP", 8, "; the file starts with \"<!DOCTYP\": this is a web page"},
        {"<!doctyp", 8, "; the file starts with \"<!doctyp\": this is a web page"},
        {"<html", 5, "; the file starts with \"<html\": this is a web page"},
        {"PK\003\004", 4, "; the file looks like a zip archive (PyTorch's own format is one)"},
        {"\x1f\x8b", 2, "; the file looks like a gzip archive"},
        {"\x80\x02", 2, "; the file looks like a Python pickle"},
        {"\x80\x03", 2, "; the file looks like a Python pickle"},
        {"\x80\x04", 2, "; the file looks like a Python pickle"},
        {"\x80\x05", 2, "; the file looks like a Python pickle"},
        {"GGUF", 4, "; the file looks like GGUF"},
        {"\x89HDF", 4, "; the file looks like HDF5"},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++)
        if (file->size >= signs[i].size && memcmp(file->data, signs[i].begin, signs[i].size) == 0)
            return signs[i].text;
    return "";
}

static tkr_status check_lfs_pointer(const file_bytes *file, tkr_error *error)
{
    view all = {(const char *)file->data, file->size};
    if (!view_begins(all, VIEW("version https://git-lfs.github.com/spec/")))
        return TKR_OK;
    fail(error, TKR_E_ST_LFS_POINTER, "%s: is a git-lfs pointer (%zu bytes), not the weights; run git lfs pull",
         PLAIN(view_of(file->name)), file->size);
    fail_help(error, "git lfs pull");
    return TKR_E_ST_LFS_POINTER;
}

static tkr_status read_header_length(const file_bytes *file, size_t *length, tkr_error *error)
{
    const char *name = PLAIN(view_of(file->name));
    tkr_status status = check_lfs_pointer(file, error);
    if (status)
        return status;
    if (file->size < 8)
        return fail(error, TKR_E_ST_TOO_SHORT, "%s: %zu bytes; a safetensors file has at least 10", name,
                    file->size);
    uint64_t header = bytes_u64le(file->data);
    if (header > TENSOR_HEADER_MAX)
        return fail(error, TKR_E_ST_HEADER_TOO_LARGE, "%s: header length %llu; the limit is %zu%s", name,
                    (unsigned long long)header, TENSOR_HEADER_MAX, looks_like(file));
    if (header < 2)
        return fail(error, TKR_E_ST_HEADER_LENGTH, "%s: header length %llu; it must be 2 to %zu%s", name,
                    (unsigned long long)header, TENSOR_HEADER_MAX, looks_like(file));
    if (header > file->size - 8)
        return fail(error, TKR_E_ST_HEADER_LENGTH,
                    "%s: header length %llu passes the end of the file (%zu bytes)%s", name,
                    (unsigned long long)header, file->size, looks_like(file));
    *length = (size_t)header;
    return TKR_OK;
}

/* ---- one entry of the header ------------------------------------------------------------------------------------ */

static tkr_status check_metadata(const reading *r, const json_t *metadata)
{
    const char *file = r->shown;
    if (!json_is_object(metadata))
        return fail(r->error, TKR_E_ST_METADATA, "%s: __metadata__ is %s; it must be an object of strings",
                    file, json_kind_name(metadata));
    size_t total = 0;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return fail(r->error, TKR_E_ST_METADATA,
                        "%s: value of %s in __metadata__ is %s; only strings are allowed", file,
                        QUOTE(view_of(key)), json_kind_name(value));
        total += strlen(key) + json_string_length(value);
    }
    if (total > METADATA_MAX)
        return fail(r->error, TKR_E_LIMIT_METADATA, "%s: __metadata__ of %zu bytes; the limit is %zu", file,
                    total, METADATA_MAX);
    return TKR_OK;
}

static tkr_status check_name(const reading *r, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > TENSOR_NAME_MAX)
        return fail(r->error, TKR_E_ST_NAME, "%s: tensor name of %zu bytes; it must have 1 to %d", r->shown,
                    length, TENSOR_NAME_MAX);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return fail(r->error, TKR_E_ST_NAME, "%s: tensor name %s holds a control character", r->shown,
                        QUOTE(view_of(name)));
    return TKR_OK;
}

static tkr_status read_dtype(const reading *r, const json_t *entry, stored_tensor *t, unsigned *bits)
{
    const json_t *dtype = json_object_get(entry, "dtype");
    const char *text = json_string_value(dtype);
    if (!text)
        return fail(r->error, TKR_E_ST_DTYPE, "%s: dtype of tensor %s is %s; it must be a string", r->shown,
                    QUOTE(view_of(t->name)), json_kind_name(dtype));
    for (size_t i = 0; i < sizeof stored_dtypes / sizeof stored_dtypes[0]; i++)
        if (strcmp(stored_dtypes[i].name, text) == 0) {
            t->dtype = stored_dtypes[i].name;
            *bits = stored_dtypes[i].bits;
            return TKR_OK;
        }
    return fail(r->error, TKR_E_ST_DTYPE,
                "%s: tensor %s has the unknown dtype %s; known are F64 F32 F16 BF16 and the integers", r->shown,
                QUOTE(view_of(t->name)), QUOTE(view_of(text)));
}

static tkr_status read_shape(const reading *r, const json_t *entry, stored_tensor *t)
{
    const json_t *shape = json_object_get(entry, "shape");
    const char *file = r->shown;
    if (!json_is_array(shape))
        return fail(r->error, TKR_E_ST_SHAPE, "%s: shape of tensor %s is %s; it must be an array", file,
                    QUOTE(view_of(t->name)), json_kind_name(shape));
    t->rank = json_array_size(shape);
    if (t->rank > TENSOR_RANK_MAX)
        return fail(r->error, TKR_E_ST_SHAPE, "%s: tensor %s has %zu dimensions; at most %d", file,
                    QUOTE(view_of(t->name)), t->rank, TENSOR_RANK_MAX);
    for (size_t i = 0; i < t->rank; i++) {
        const json_t *extent = json_array_get(shape, i);
        if (!json_is_integer(extent))
            return fail(r->error, TKR_E_ST_SHAPE,
                        "%s: dimension %zu of tensor %s is %s; it must be a whole number ≥ 0", file, i,
                        QUOTE(view_of(t->name)), json_is_real(extent) ? "a fraction" : json_kind_name(extent));
        json_int_t value = json_integer_value(extent);
        if (value < 0 || value > DIMENSION_MAX)
            return fail(r->error, TKR_E_ST_SHAPE,
                        "%s: dimension %zu of tensor %s is %lld; it must be a whole number ≥ 0 and"
                        " at most %lld",
                        file, i, QUOTE(view_of(t->name)), (long long)value, (long long)DIMENSION_MAX);
        t->shape[i] = (size_t)value;
    }
    return TKR_OK;
}

/* Bytes the shape needs. */
static tkr_status count_bytes(const reading *r, const stored_tensor *t, unsigned bits, size_t *bytes)
{
    size_t total = bits;
    for (size_t i = 0; i < t->rank; i++)
        if (!size_mul(&total, total, t->shape[i]))
            return fail(r->error, TKR_E_ST_SIZE_OVERFLOW,
                        "%s: tensor %s: shape %s of %s is larger than any file", r->shown,
                        QUOTE(view_of(t->name)), SHAPE(t->shape, t->rank), t->dtype);
    if (total % 8)
        return fail(r->error, TKR_E_ST_SIZE_MISMATCH,
                    "%s: tensor %s: shape %s of %s is not a whole number of bytes", r->shown,
                    QUOTE(view_of(t->name)), SHAPE(t->shape, t->rank), t->dtype);
    *bytes = total / 8;
    return TKR_OK;
}

static tkr_status read_offsets(const reading *r, const json_t *entry, stored_tensor *t, size_t wanted)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    const char *file = r->shown;
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return fail(r->error, TKR_E_ST_ENTRY, "%s: data_offsets of tensor %s must be two whole numbers", file,
                    QUOTE(view_of(t->name)));
    long long begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0)
        return fail(r->error, TKR_E_ST_OFFSETS, "%s: tensor %s: [%lld, %lld] begins before the data", file,
                    QUOTE(view_of(t->name)), begin, end);
    if (end < begin)
        return fail(r->error, TKR_E_ST_OFFSETS, "%s: tensor %s: end %lld is before begin %lld", file,
                    QUOTE(view_of(t->name)), end, begin);
    if ((unsigned long long)end > r->data_bytes)
        return fail(r->error, TKR_E_ST_OFFSETS,
                    "%s: tensor %s: [%lld, %lld] passes the end of the data (%zu bytes); the file"
                    " is shorter than its header says: an interrupted download",
                    file, QUOTE(view_of(t->name)), begin, end, r->data_bytes);
    t->begin = (size_t)begin;
    t->bytes = (size_t)(end - begin);
    if (t->bytes != wanted)
        return fail(r->error, TKR_E_ST_SIZE_MISMATCH,
                    "%s: tensor %s: shape %s of %s needs %zu bytes, data_offsets give %zu", file,
                    QUOTE(view_of(t->name)), SHAPE(t->shape, t->rank), t->dtype, wanted, t->bytes);
    t->data = r->file->data + r->data_offset + t->begin;
    return TKR_OK;
}

static tkr_status check_fields(const reading *r, const char *name, const json_t *entry, bool *has_more)
{
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    if (!json_is_object(entry))
        return fail(r->error, TKR_E_ST_ENTRY, "%s: tensor %s is %s; it must be an object", r->shown,
                    QUOTE(view_of(name)), json_kind_name(entry));
    for (size_t i = 0; i < 3; i++)
        if (!json_object_get(entry, fields[i]))
            return fail(r->error, TKR_E_ST_ENTRY, "%s: tensor %s has no \"%s\"", r->shown, QUOTE(view_of(name)),
                        fields[i]);
    *has_more = *has_more || json_object_size(entry) > 3;
    return TKR_OK;
}

static tkr_status read_entry(const reading *r, const char *name, const json_t *entry, stored_tensor *t,
                             bool *has_more)
{
    unsigned bits = 0;
    size_t bytes = 0;
    tkr_status status = check_name(r, name);
    status = status ? status : check_fields(r, name, entry, has_more);
    if (status)
        return status;
    t->file = r->number;
    t->name = arena_copy_text(r->checkpoint->arena, view_of(name));
    if (!t->name)
        return fail_memory(r->error, "tensor names", strlen(name));
    status = read_dtype(r, entry, t, &bits);
    status = status ? status : read_shape(r, entry, t);
    status = status ? status : count_bytes(r, t, bits, &bytes);
    return status ? status : read_offsets(r, entry, t, bytes);
}

/* ---- the whole header ------------------------------------------------------------------------------------------- */

static int compare_places(const void *left, const void *right)
{
    const stored_tensor *a = left, *b = right;
    if (a->begin != b->begin)
        return a->begin < b->begin ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* The tensors cover the data without holes, overlaps or a rest: no other format hides in the file. */
static tkr_status check_layout(const reading *r, stored_tensor *tensors, size_t count)
{
    size_t end = 0;
    qsort(tensors, count, sizeof *tensors, compare_places);
    for (size_t i = 0; i < count; i++) {
        const stored_tensor *t = &tensors[i];
        if (t->begin < end)
            return fail(r->error, TKR_E_ST_OVERLAP, "%s: tensor %s begins at %zu, before the end %zu of %s",
                        r->shown, QUOTE(view_of(t->name)), t->begin, end, QUOTE(view_of(tensors[i - 1].name)));
        if (t->begin > end)
            return fail(r->error, TKR_E_ST_GAP, "%s: %zu unused bytes before tensor %s", r->shown,
                        t->begin - end, QUOTE(view_of(t->name)));
        end = t->begin + t->bytes;
    }
    if (end != r->data_bytes)
        return fail(r->error, TKR_E_ST_TRAILING,
                    "%s: %zu bytes after the last tensor; the file may be damaged, or two files"
                    " in one",
                    r->shown, r->data_bytes - end);
    return TKR_OK;
}

static tkr_status grow_tensors(checkpoint *c, size_t more, const reading *r)
{
    if (more > TENSORS_MAX || c->count > TENSORS_MAX - more)
        return fail(r->error, TKR_E_LIMIT_TENSORS, "%s: %zu tensors; the limit is %zu", r->shown,
                    c->count + more, TENSORS_MAX);
    stored_tensor *grown = memory_resize(c->tensors, c->count + more, sizeof *grown);
    if (!grown)
        return fail_memory(r->error, "the tensor table", (c->count + more) * sizeof *grown);
    memset(grown + c->count, 0, more * sizeof *grown);
    c->tensors = grown;
    return TKR_OK;
}

static tkr_status read_entries(reading *r, json_t *header)
{
    checkpoint *c = r->checkpoint;
    const json_t *metadata = json_object_get(header, "__metadata__");
    size_t total = json_object_size(header) - (metadata ? 1 : 0), first = c->count;
    bool has_more = false;
    tkr_status status = metadata ? check_metadata(r, metadata) : TKR_OK;
    status = status ? status : grow_tensors(c, total, r);
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (status)
            return status;
        if (entry != metadata)
            status = read_entry(r, name, entry, &c->tensors[c->count++], &has_more);
    }
    if (has_more)
        notes_add(r->notes, "%s: fields besides dtype, shape and data_offsets were ignored", r->shown);
    return status ? status : check_layout(r, c->tensors + first, total);
}

/* At least so many tensors, by a linear look at the text: too many are refused before a tree of them is built. */
static size_t count_entries(view text)
{
    size_t depth = 0, commas = 0;
    for (size_t at = 0; at < text.size; at++) {
        char c = text.data[at];
        if (c == '"') {
            for (at++; at < text.size && text.data[at] != '"'; at++)
                at += text.data[at] == '\\';
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        } else {
            commas += c == ',' && depth == 1;
        }
    }
    return commas + (memmem(text.data, text.size, "\"__metadata__\"", 14) ? 0 : 1);
}

static tkr_status read_header(reading *r)
{
    size_t length = 0;
    tkr_status status = read_header_length(r->file, &length, r->error);
    if (status)
        return status;
    r->data_offset = 8 + length;
    r->data_bytes = r->file->size - r->data_offset;
    view text = {(const char *)r->file->data + 8, length};
    size_t entries = count_entries(text);
    if (entries > TENSORS_MAX)
        return fail(r->error, TKR_E_LIMIT_TENSORS, "%s: %zu tensors; the limit is %zu", r->shown, entries,
                    TENSORS_MAX);
    tkr_error local = {0};
    json_t *header = json_parse_any(text, r->shown, &json_safetensors_header, JSON_PLAIN, &local);
    if (!header)
        return pass_on(r->error, &local);
    if (json_is_object(header))
        status = read_entries(r, header);
    else
        status = fail(r->error, TKR_E_ST_HEADER_JSON, "%s: header is %s; it must be an object", r->shown,
                      json_kind_name(header));
    json_decref(header);
    return status;
}

/* ---- files ------------------------------------------------------------------------------------------------------ */

static tkr_status read_file(checkpoint *c, const folder *f, const char *name, bool copy, notes *n,
                            tkr_error *error)
{
    size_t number = c->file_count;
    tkr_status status = folder_file(f, name, SIZE_MAX, copy, &c->files[number], error);
    if (status)
        return status;
    c->file_count++;
    reading r = {.checkpoint = c,
                 .file = &c->files[number],
                 .shown = PLAIN(view_of(name)),
                 .number = number,
                 .notes = n,
                 .error = error};
    return read_header(&r);
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(((const stored_tensor *)left)->name, ((const stored_tensor *)right)->name);
}

static checkpoint *new_checkpoint(size_t files, tkr_error *error)
{
    checkpoint *c = NEW(checkpoint, 1);
    if (c) {
        c->arena = arena_new(NAMES_MAX);
        c->files = NEW(file_bytes, files);
    }
    if (!c || !c->arena || !c->files) {
        checkpoint_close(c);
        fail_memory(error, "the weight files", files * sizeof(file_bytes));
        return NULL;
    }
    return c;
}

static checkpoint *open_shards(const folder *f, const shard_index *index, bool copy, notes *n, tkr_error *error)
{
    checkpoint *c = new_checkpoint(index->count, error);
    if (!c)
        return NULL;
    for (size_t i = 0; i < index->count; i++)
        if (read_file(c, f, index->names[i], copy, n, error))
            goto fail;
    qsort(c->tensors, c->count, sizeof *c->tensors, compare_names);
    if (shard_index_check(index, c, n, error))
        goto fail;
    return c;
fail:
    checkpoint_close(c);
    return NULL;
}

checkpoint *checkpoint_open_file(const folder *f, const char *name, bool copy, notes *n, tkr_error *error)
{
    checkpoint *c = new_checkpoint(1, error);
    if (!c)
        return NULL;
    if (read_file(c, f, name, copy, n, error)) {
        checkpoint_close(c);
        return NULL;
    }
    qsort(c->tensors, c->count, sizeof *c->tensors, compare_names);
    return c;
}

tkr_status checkpoint_refuse_formats(const folder *f, tkr_error *error)
{
    static const char *const pickles[] = {"*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt", NULL};
    static const char *const others[] = {"*.h5", "*.msgpack", "*.gguf",   "*.onnx",
                                         "*.ot", "*.npz",     "*.tflite", NULL};
    enum { ENTRIES_SHOWN = 4096 };
    bool has_gguf = false;
    char **names = NULL;
    name_list pickled = {0}, foreign = {0};
    size_t count = folder_names(f, &names, ENTRIES_SHOWN);
    for (size_t i = 0; i < count; i++)
        if (wildcard_any(pickles, names[i]))
            name_list_add(&pickled, names[i]);
        else if (wildcard_any(others, names[i])) {
            name_list_add(&foreign, names[i]);
            has_gguf = has_gguf || wildcard_matches("*.gguf", names[i]);
        }
    memory_free(names);
    if (pickled.count) {
        fail(error, TKR_E_UNSUPPORTED_PICKLE,
             "only %s found; Tokray reads safetensors only; convert it to safetensors in a"
             " sandbox first",
             pickled.text);
        fail_facts(error, "a pickle is a program: load it only where it can do no harm");
        fail_help(
            error,
            "python3 -c \"import torch, safetensors.torch as s; w = torch.load('pytorch_model.bin', 'cpu',"
            " weights_only=True); s.save_file({k: v.clone().contiguous() for k, v in w.items()},"
            " 'model.safetensors')\"");
        return TKR_E_UNSUPPORTED_PICKLE;
    }
    if (!foreign.count)
        return TKR_OK;
    fail(error, TKR_E_UNSUPPORTED_FORMAT, "found %s; Tokray reads safetensors", foreign.text);
    if (has_gguf)
        fail_help(error, "python3 -c \"import transformers as t; [c.from_pretrained('.', gguf_file='FILE.gguf')"
                         ".save_pretrained('converted') for c in (t.AutoModelForCausalLM, t.AutoTokenizer)]\"");
    return TKR_E_UNSUPPORTED_FORMAT;
}

/* Neither a file nor an index: say what is there instead. */
static checkpoint *refuse_folder(const folder *f, tkr_error *error)
{
    if (checkpoint_refuse_formats(f, error) == TKR_OK)
        fail(error, TKR_E_PATH_NOT_FOUND,
             "the folder has no model.safetensors and no model.safetensors.index.json");
    return NULL;
}

checkpoint *checkpoint_open(const folder *f, bool copy, notes *n, tkr_error *error)
{
    bool has_index = folder_has(f, SHARD_INDEX_FILE);
    if (folder_has(f, "model.safetensors")) {
        if (has_index)
            notes_add(n, "model.safetensors and %s are both here: the single file is used", SHARD_INDEX_FILE);
        return checkpoint_open_file(f, "model.safetensors", copy, n, error);
    }
    if (!has_index)
        return refuse_folder(f, error);
    shard_index *index = shard_index_open(f, error);
    checkpoint *c = index ? open_shards(f, index, copy, n, error) : NULL;
    shard_index_close(index);
    return c;
}

void checkpoint_close(checkpoint *c)
{
    if (!c)
        return;
    for (size_t i = 0; i < c->file_count; i++)
        file_bytes_close(&c->files[i]);
    memory_free(c->files);
    memory_free(c->tensors);
    arena_free(c->arena);
    memory_free(c);
}

/* ---- questions -------------------------------------------------------------------------------------------------- */

const stored_tensor *checkpoint_find(const checkpoint *c, const char *name)
{
    stored_tensor wanted = {.name = name};
    return c->count ? bsearch(&wanted, c->tensors, c->count, sizeof wanted, compare_names) : NULL;
}

char *shape_into(char room[SHAPE_ROOM], const size_t *shape, size_t rank)
{
    size_t used = 0;
    room[used++] = '[';
    for (size_t i = 0; i < rank && used < SHAPE_ROOM - 24; i++)
        used += (size_t)snprintf(room + used, SHAPE_ROOM - used, "%s%zu", i ? ", " : "", shape[i]);
    room[used++] = ']';
    room[used] = '\0';
    return room;
}

tkr_status checkpoint_unchanged(const checkpoint *c, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < c->file_count; i++)
        status = file_bytes_unchanged(&c->files[i], error);
    return status;
}

/* A stretch at a time, so that a large file does not fill the memory. */
static void hash_file(sha256 *hash, const file_bytes *file)
{
    enum { STRETCH = 8 << 20 };
    for (size_t at = 0; at < file->size; at += STRETCH) {
        size_t size = file->size - at < STRETCH ? file->size - at : STRETCH;
        sha256_update(hash, file->data + at, size);
        if (file->mapped)
            file_pages_let_go(file->data + at, size);
    }
}

void checkpoint_sha256(const checkpoint *c, char out[65])
{
    sha256 hash;
    sha256_init(&hash);
    for (size_t i = 0; i < c->file_count; i++)
        hash_file(&hash, &c->files[i]);
    sha256_hex(&hash, out);
}

uint64_t checkpoint_bytes(const checkpoint *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < c->file_count; i++)
        bytes += c->files[i].size;
    return bytes;
}
