/*
 * Writing model folders.  Numbers are a pure function of seed, tensor name and place, so that a model of another dtype,
 * prefix or number of shards has the same ones.
 */
#include "make_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "make_families.h"
#include "workplace.h"

enum { HEADER_ENTRY = 320, NUMBERS_AT_ONCE = 16384 };

static bool is_llama_type(const char *family)
{
    return strcmp(family, "llama") == 0 || strcmp(family, "mistral") == 0 || strcmp(family, "qwen2") == 0;
}

model_recipe model_recipe_tiny(const char *family)
{
    bool is_t5 = strcmp(family, "t5") == 0, is_gpt2 = strcmp(family, "gpt2") == 0, is_llama = is_llama_type(family);
    return (model_recipe){.family = family,
                          .hidden = 8,
                          .layers = 2,
                          .heads = 2,
                          .inner = 12,
                          .positions = 16,
                          .types = 2,
                          .vocab = 64,
                          .labels = 2,
                          .activation = is_llama ? "silu" : is_t5 ? "relu" : is_gpt2 ? "gelu_new" : "gelu",
                          .head = is_t5                ? MADE_SEQUENCE_TO_SEQUENCE
                                  : is_gpt2 || is_llama ? MADE_NEXT_TOKEN
                                                        : MADE_CLASSIFIER,
                          .dtype = MADE_F32,
                          .rounded_to = MADE_F64,
                          .shards = 1,
                          .deviation = 0.3,
                          .seed = 1};
}

model_recipe model_recipe_base(const char *family)
{
    model_recipe r = model_recipe_tiny(family);
    r.hidden = 768;
    r.layers = strcmp(family, "distilbert") == 0 ? 6 : 12;
    r.heads = 12;
    r.inner = 3072;
    r.positions = 512;
    r.vocab = 30522;
    r.deviation = 0.02;
    r.positions = strcmp(family, "roberta") == 0 ? 514 : r.positions;
    r.embedding = strcmp(family, "albert") == 0 ? 128 : 0;
    if (r.head == MADE_NEXT_TOKEN) {
        r.positions = 1024;
        r.vocab = 50257;
        r.layers = 12;
    }
    if (is_llama_type(family) || r.head == MADE_SEQUENCE_TO_SEQUENCE) {
        bool is_llama = is_llama_type(family);
        r.hidden = 512;
        r.layers = is_llama ? 8 : 6;
        r.heads = 8;
        r.key_heads = is_llama ? 4 : 0;
        r.inner = is_llama ? 1376 : 2048;
        r.vocab = is_llama ? 32000 : 32128;
    }
    return r;
}

/* ---- random numbers --------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x) /* splitmix64 */
{
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9U;
    x = (x ^ x >> 27) * 0x94D049BB133111EBU;
    return x ^ x >> 31;
}

static uint64_t key_of(uint64_t seed, const char *name)
{
    uint64_t key = mix(seed);
    for (; *name; name++)
        key = (key ^ (unsigned char)*name) * 0x100000001B3U;
    return key;
}

/* Sum of four 16-bit draws: mean 0, deviation 1, within 3.5. */
static double draw(uint64_t key, size_t index)
{
    uint64_t bits = mix(key + index);
    double sum = (double)((bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48));
    return (sum - 2 * 65535.0) / 37837.2;
}

/* ---- number types ----------------------------------------------------------------------------------------------- */

static uint32_t float_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static uint16_t to_bf16(float value)
{
    uint32_t bits = float_bits(value);
    if (isnan(value))
        return 0x7FC0;
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static uint16_t to_f16(float value)
{
    uint16_t sign = (uint16_t)(float_bits(value) >> 16 & 0x8000);
    double size = fabs((double)value);
    if (isnan(value))
        return 0x7E00;
    if (size >= 65520)
        return sign | 0x7C00;
    int exponent = 0;
    frexp(size, &exponent);
    double step = ldexp(1, (exponent - 11 < -24 ? -24 : exponent - 11)); /* distance of neighbours */
    double rounded = nearbyint(size / step) * step;
    if (rounded < 0x1p-14)
        return sign | (uint16_t)(rounded * 0x1p24);
    double fraction = frexp(rounded, &exponent);
    return sign | (uint16_t)((exponent + 14) << 10 | ((int)(fraction * 2048) & 0x3FF));
}

static double from_f16(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 0x3FF;
    double size = exponent == 31  ? (fraction ? (double)NAN : (double)INFINITY)
                  : exponent == 0 ? ldexp(fraction, -24)
                                  : ldexp(fraction + 1024, exponent - 25);
    return half & 0x8000 ? -size : size;
}

static double from_bf16(uint16_t brain)
{
    uint32_t bits = (uint32_t)brain << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

static double round_number(double value, made_dtype to)
{
    switch (to) {
    case MADE_F32:
        return (double)(float)value;
    case MADE_F16:
        return from_f16(to_f16((float)value));
    case MADE_BF16:
        return from_bf16(to_bf16((float)value));
    case MADE_F64:
        break;
    }
    return value;
}

static size_t dtype_size(made_dtype dtype) { return dtype == MADE_F64 ? 8 : dtype == MADE_F32 ? 4 : 2; }

/* A claimed type of one byte gets one byte a number. */
static size_t number_size(const made_tensor *t)
{
    bool is_byte =
        t->claimed_dtype && (strncmp(t->claimed_dtype, "F8", 2) == 0 || strcmp(t->claimed_dtype, "I8") == 0);
    return is_byte ? 1 : dtype_size(t->dtype);
}

static const char *dtype_text(const made_tensor *t)
{
    static const char *const names[] = {"F32", "F16", "BF16", "F64"};
    return t->claimed_dtype ? t->claimed_dtype : names[t->dtype];
}

static void store(unsigned char *at, double value, made_dtype dtype)
{
    float single = (float)value;
    uint16_t half = dtype == MADE_F16 ? to_f16(single) : to_bf16(single);
    if (dtype == MADE_F64)
        memcpy(at, &value, 8);
    else if (dtype == MADE_F32)
        memcpy(at, &single, 4);
    else
        memcpy(at, &half, 2);
}

/* ---- the list of tensors ---------------------------------------------------------------------------------------- */

void made_put(tensor_list *list, const char *name, size_t rows, size_t columns, double centre, double deviation)
{
    const model_recipe *r = list->recipe;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 64;
        made_tensor *grown = realloc(list->tensors, list->capacity * sizeof *grown);
        if (!grown) {
            list->failed = true;
            return;
        }
        list->tensors = grown;
    }
    made_tensor t = {.dtype = r->dtype,
                     .rank = rows ? 2 : 1,
                     .shape = {rows ? rows : columns, columns},
                     .centre = centre,
                     .deviation = deviation};
    snprintf(t.name, sizeof t.name, "%s", name);
    if (r->edit)
        r->edit(&t, r->edit_user);
    if (!t.is_left_out)
        list->tensors[list->count++] = t;
}

/* ---- safetensors ------------------------------------------------------------------------------------------------ */

static size_t numbers_of(const made_tensor *t)
{
    return t->rank == 1 ? t->shape[0] : t->shape[0] * t->shape[1];
}

static size_t write_header(char *out, size_t room, const made_tensor *tensors, size_t count, size_t padding)
{
    size_t used = (size_t)snprintf(out, room, "{\"__metadata__\":{\"format\":\"pt\"}"), begin = 0;
    for (size_t i = 0; i < count; i++) {
        const made_tensor *t = &tensors[i];
        size_t end = begin + numbers_of(t) * number_size(t);
        char shape[64];
        snprintf(shape, sizeof shape, t->rank == 1 ? "[%zu]" : "[%zu,%zu]", t->shape[0], t->shape[1]);
        used += (size_t)snprintf(out + used, room - used,
                                 ",\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}", t->name,
                                 dtype_text(t), shape, begin, end);
        begin = end;
    }
    out[used++] = '}';
    while (used % 8)
        out[used++] = ' ';
    memset(out + used, ' ', padding);
    return used + padding;
}

static bool write_numbers(FILE *file, const made_tensor *t, const model_recipe *r)
{
    unsigned char block[NUMBERS_AT_ONCE * 8];
    const char *bare =
        t->name + (strncmp(t->name, made_prefix(r), strlen(made_prefix(r))) == 0 ? strlen(made_prefix(r)) : 0);
    uint64_t key = key_of(r->seed, bare);
    size_t total = numbers_of(t), size = number_size(t);
    for (size_t begin = 0; begin < total; begin += NUMBERS_AT_ONCE) {
        size_t count = total - begin < NUMBERS_AT_ONCE ? total - begin : NUMBERS_AT_ONCE;
        for (size_t i = 0; i < count; i++) {
            size_t at = begin + i;
            double value = t->centre + t->deviation * draw(key, at);
            value = at >= t->bad_at && at - t->bad_at < t->bad_count ? t->bad_value
                                                                     : round_number(value, r->rounded_to);
            if (size == 1)
                block[i] = 0;
            else
                store(block + i * size, value, t->dtype);
        }
        if (fwrite(block, size, count, file) != count)
            return false;
    }
    return true;
}

static void store_length(unsigned char out[8], size_t length)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (unsigned char)((uint64_t)length >> 8 * i);
}

static bool write_tensors(const char *folder, const char *name, const made_tensor *tensors, size_t count,
                          const model_recipe *r)
{
    char path[WORK_PATH];
    size_t room = 64 + count * HEADER_ENTRY + r->header_padding;
    char *header = malloc(room);
    FILE *file = header && work_path(path, folder, name) ? fopen(path, "wb") : NULL;
    bool ok = file != NULL;
    if (ok) {
        unsigned char length[8];
        size_t size = write_header(header, room, tensors, count, r->header_padding);
        store_length(length, size);
        ok = fwrite(length, 1, 8, file) == 8 && fwrite(header, 1, size, file) == size;
    }
    for (size_t i = 0; ok && i < count; i++)
        ok = write_numbers(file, &tensors[i], r);
    free(header);
    return file && fclose(file) == 0 && ok;
}

bool make_safetensors(const char *folder, const char *name, const char *header, size_t header_size,
                      const void *data, size_t data_size)
{
    unsigned char *bytes = malloc(8 + header_size + data_size);
    if (!bytes)
        return false;
    store_length(bytes, header_size);
    memcpy(bytes + 8, header, header_size);
    if (data_size)
        memcpy(bytes + 8 + header_size, data, data_size);
    bool ok = work_write(folder, name, bytes, 8 + header_size + data_size);
    free(bytes);
    return ok;
}

static bool write_shards(const char *folder, const tensor_list *list)
{
    const model_recipe *r = list->recipe;
    size_t room = 256 + list->count * HEADER_ENTRY, used = 0, bytes = 0;
    char *index = malloc(room);
    bool ok = index != NULL;
    for (size_t i = 0; i < list->count; i++)
        bytes += numbers_of(&list->tensors[i]) * number_size(&list->tensors[i]);
    if (ok)
        used = (size_t)snprintf(index, room, "{\"metadata\":{\"total_size\":%zu},\"weight_map\":{", bytes);
    for (size_t s = 0; ok && s < r->shards; s++) {
        size_t begin = list->count * s / r->shards, end = list->count * (s + 1) / r->shards;
        char name[64];
        snprintf(name, sizeof name, "model-%05zu-of-%05zu.safetensors", s + 1, r->shards);
        ok = write_tensors(folder, name, list->tensors + begin, end - begin, r);
        for (size_t i = begin; i < end; i++)
            used += (size_t)snprintf(index + used, room - used, "%s\"%s\":\"%s\"", i ? "," : "",
                                     list->tensors[i].name, name);
    }
    if (ok) {
        snprintf(index + used, room - used, "}}\n");
        ok = work_write_text(folder, "model.safetensors.index.json", index);
    }
    free(index);
    return ok;
}

bool make_weights(const char *folder, const model_recipe *recipe)
{
    tensor_list list = {.recipe = recipe};
    made_put_all(&list);
    bool ok = !list.failed && (recipe->shards > 1 ? write_shards(folder, &list)
                                                  : write_tensors(folder, "model.safetensors", list.tensors,
                                                                  list.count, recipe));
    free(list.tensors);
    return ok;
}

bool make_model(const char *folder, const model_recipe *recipe)
{
    return make_config(folder, recipe) && make_vocabulary(folder, recipe) && make_weights(folder, recipe);
}
