/* Reference numbers, read through the library's own checkpoint reader; see golden.h. */
#include "golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/folder.h"
#include "base/json.h"
#include "base/memory.h"
#include "model/checkpoint.h"
#include "model/family.h"

enum { GOLDEN_JSON_MAX = 64 << 20, GOLDEN_NAMES_MAX = 1000, GOLDEN_TOKENS_MAX = 512 };

const char *golden_root(size_t index)
{
    const char *data = getenv("TOKRAY_TEST_DATA"), *oracle = getenv("TOKRAY_ORACLE");
    if (index == 0)
        return data && *data ? data : "tests/data";
    return index == 1 && oracle && *oracle ? oracle : NULL;
}

static json_t *read_json(const folder *f, const char *name)
{
    file_bytes file;
    tkr_error error = {0};
    if (folder_file(f, name, GOLDEN_JSON_MAX, false, &file, &error))
        fail_msg("%s: %s", folder_path(f), error.message);
    json_t *json =
        json_parse_object((view){(const char *)file.data, file.size}, name, &json_model_file, 0, &error);
    if (!json)
        fail_msg("%s: %s", folder_path(f), error.message);
    file_bytes_close(&file);
    return json;
}

static folder *open_golden_folder(const char *root)
{
    char path[512];
    tkr_error error = {0};
    snprintf(path, sizeof path, "%s/golden", root);
    folder *f = folder_open(path, false, &error);
    if (!f)
        fail_msg("%s (set TOKRAY_TEST_DATA to tests/data of the source)", error.message);
    return f;
}

golden *golden_open(const char *root, const char *name)
{
    char file[200];
    tkr_error error = {0};
    notes ignored = {0};
    folder *f = open_golden_folder(root);
    golden *g = calloc(1, sizeof *g);
    assert_non_null(g);
    g->arena = arena_new((size_t)1 << 30);
    snprintf(file, sizeof file, "%s.json", name);
    g->json = read_json(f, file);
    snprintf(file, sizeof file, "%s.safetensors", name);
    g->file = checkpoint_open_file(f, file, false, &ignored, &error);
    if (!g->file)
        fail_msg("%s/golden: %s", root, error.message);
    snprintf(g->model, sizeof g->model, "%s/models/%.*s", root, (int)strcspn(name, "."), name);
    notes_fini(&ignored);
    folder_close(f);
    return g;
}

void golden_close(golden *g)
{
    if (!g)
        return;
    json_decref(g->json);
    checkpoint_close(g->file);
    arena_free(g->arena);
    free(g);
}

bool golden_find(golden *g, const char *name, tensor *out)
{
    const stored_tensor *t = checkpoint_find(g->file, name);
    bool is_whole = t && strcmp(t->dtype, "I64") == 0;
    if (!t || (strcmp(t->dtype, "F64") != 0 && !is_whole) || t->rank > TENSOR_RANK)
        return false;
    double *copy = arena_alloc(g->arena, t->bytes ? t->bytes : 1, 1);
    assert_non_null(copy);
    memcpy(copy, t->data, t->bytes);
    for (size_t i = 0; is_whole && i < t->bytes / sizeof *copy; i++) {
        int64_t whole;
        memcpy(&whole, &copy[i], sizeof whole);
        copy[i] = (double)whole;
    }
    *out = tensor_f64(copy, t->rank, t->shape);
    return true;
}

tensor golden_array(golden *g, const char *name)
{
    tensor out = {0};
    if (!golden_find(g, name, &out))
        fail_msg("%s: there is no float64 array %s", g->model, name);
    return out;
}

/* Does the library's table of families have the type? */
static bool is_known(const char *type)
{
    const family *f;
    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        for (const char *const *name = f->model_types; *name; name++)
            if (strcmp(*name, type) == 0)
                return true;
    return false;
}

static bool is_ours(const json_t *json)
{
    const char *stage = json_string_value(json_object_get(json, "stage"));
    const char *type = json_string_value(json_object_get(json, "model_type"));
    return stage && type && strcmp(stage, "forward") == 0 && is_known(type);
}

size_t golden_each(const char *root, golden_case_fn *call, void *user)
{
    char **names = NULL;
    folder *f = open_golden_folder(root);
    size_t count = folder_names(f, &names, GOLDEN_NAMES_MAX), called = 0;
    for (size_t i = 0; i < count; i++) {
        const char *dot = strchr(names[i], '.');
        char name[100];
        if (!dot || strcmp(dot, ".json") != 0)
            continue;
        json_t *json = read_json(f, names[i]);
        bool is_wanted = is_ours(json);
        json_decref(json);
        if (!is_wanted)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - names[i]), names[i]);
        golden *g = golden_open(root, name);
        call(g, name, user);
        golden_close(g);
        called++;
    }
    memory_free(names);
    folder_close(f);
    return called;
}

static size_t read_numbers(const json_t *list, int32_t *out)
{
    size_t count = json_array_size(list);
    assert_true(count <= GOLDEN_TOKENS_MAX);
    for (size_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return count;
}

static void read_input(const char *name, const json_t *input, golden_input *out)
{
    memset(out, 0, sizeof *out);
    out->name = name;
    out->count = read_numbers(json_object_get(input, "ids"), out->ids);
    size_t types = read_numbers(json_object_get(input, "types"), out->types);
    assert_true(out->count > 0 && (types == 0 || types == out->count));
    out->output_count = read_numbers(json_object_get(input, "decoder_ids"), out->output_ids);
    out->logit_count = read_numbers(json_object_get(input, "logit_rows"), out->logit_rows);
}

bool golden_input_at(const golden *g, size_t index, golden_input *out)
{
    const char *name;
    json_t *input;
    json_object_foreach(json_object_get(g->json, "inputs"), name, input) if (index-- == 0)
    {
        read_input(name, input, out);
        return true;
    }
    return false;
}

bool golden_input_named(const golden *g, const char *name, golden_input *out)
{
    const json_t *input = json_object_get(json_object_get(g->json, "inputs"), name);
    if (input)
        read_input(name, input, out);
    return input != NULL;
}
