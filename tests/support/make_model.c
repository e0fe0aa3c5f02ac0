/*
 * Writing model folders.  Numbers are a pure function of seed, tensor name and place, so that a model of another dtype,
 * prefix or number of shards has the same ones.
 */
#include "make_model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workplace.h"

enum { HEADER_ENTRY = 320, NUMBERS_AT_ONCE = 16384 };

model_recipe model_recipe_tiny(const char *family)
{
    return (model_recipe){.family = family,
                          .hidden = 8,
                          .layers = 2,
                          .heads = 2,
                          .inner = 12,
                          .positions = 16,
                          .types = 2,
                          .vocab = 64,
                          .labels = 2,
                          .activation = "gelu",
                          .head = MADE_CLASSIFIER,
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
    r.layers = strcmp(family, "bert") == 0 ? 12 : 6;
    r.heads = 12;
    r.inner = 3072;
    r.positions = 512;
    r.vocab = 30522;
    r.deviation = 0.02;
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

typedef struct tensor_list {
    const model_recipe *recipe;
    made_tensor *tensors;
    size_t count, capacity;
    bool failed;
} tensor_list;

static void put(tensor_list *list, const char *name, size_t rows, size_t columns, double centre,
                double deviation)
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

static const char *prefix_of(const model_recipe *r)
{
    return r->no_prefix ? "" : strcmp(r->family, "bert") == 0 ? "bert." : "distilbert.";
}

static void put_matrix(tensor_list *list, const char *prefix, const char *name, size_t rows, size_t columns)
{
    char full[160];
    snprintf(full, sizeof full, "%s%s.weight", prefix, name);
    put(list, full, rows, columns, 0, list->recipe->deviation);
}

static void put_linear(tensor_list *list, const char *prefix, const char *name, size_t out, size_t in)
{
    char full[160];
    put_matrix(list, prefix, name, out, in);
    snprintf(full, sizeof full, "%s%s.bias", prefix, name);
    put(list, full, 0, out, 0, list->recipe->deviation / 2);
}

static void put_norm(tensor_list *list, const char *prefix, const char *name)
{
    char full[160];
    const model_recipe *r = list->recipe;
    bool is_old = r->legacy_names && strstr(name, "LayerNorm");
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, is_old ? "gamma" : "weight");
    put(list, full, 0, r->hidden, 1, r->deviation / 2);
    snprintf(full, sizeof full, "%s%s.%s", prefix, name, is_old ? "beta" : "bias");
    put(list, full, 0, r->hidden, 0, r->deviation / 2);
}

static void put_layer(tensor_list *list, size_t layer)
{
    static const char *const names[2][8] = {
        {"attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense",
         "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm"},
        {"attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm",
         "ffn.lin1", "ffn.lin2", "output_layer_norm"}};
    const model_recipe *r = list->recipe;
    bool is_bert = strcmp(r->family, "bert") == 0;
    const char *const *name = names[is_bert ? 0 : 1];
    char prefix[96];
    snprintf(prefix, sizeof prefix, "%s%s.layer.%zu.", prefix_of(r), is_bert ? "encoder" : "transformer",
             layer);
    for (size_t i = 0; i < 4; i++)
        put_linear(list, prefix, name[i], r->hidden, r->hidden);
    put_norm(list, prefix, name[4]);
    put_linear(list, prefix, name[5], r->inner, r->hidden);
    put_linear(list, prefix, name[6], r->hidden, r->inner);
    put_norm(list, prefix, name[7]);
}

static void put_bert_head(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    if (r->head == MADE_CLASSIFIER) {
        put_linear(list, prefix_of(r), "pooler.dense", r->hidden, r->hidden);
        put_linear(list, "", "classifier", r->labels, r->hidden);
    } else if (r->head == MADE_MASKED_LM) {
        put_linear(list, "", "cls.predictions.transform.dense", r->hidden, r->hidden);
        put_norm(list, "", "cls.predictions.transform.LayerNorm");
        put(list, "cls.predictions.bias", 0, r->vocab, 0, r->deviation);
        if (r->untied)
            put_matrix(list, "", "cls.predictions.decoder", r->vocab, r->hidden);
    }
}

static void put_distilbert_head(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    if (r->head == MADE_CLASSIFIER) {
        put_linear(list, "", "pre_classifier", r->hidden, r->hidden);
        put_linear(list, "", "classifier", r->labels, r->hidden);
    } else if (r->head == MADE_MASKED_LM) {
        put_linear(list, "", "vocab_transform", r->hidden, r->hidden);
        put_norm(list, "", "vocab_layer_norm");
        put(list, "vocab_projector.bias", 0, r->vocab, 0, r->deviation);
        if (r->untied)
            put_matrix(list, "", "vocab_projector", r->vocab, r->hidden);
    }
}

static void put_all(tensor_list *list)
{
    const model_recipe *r = list->recipe;
    const char *prefix = prefix_of(r);
    bool is_bert = strcmp(r->family, "bert") == 0;
    put_matrix(list, prefix, "embeddings.word_embeddings", r->vocab, r->hidden);
    put_matrix(list, prefix, "embeddings.position_embeddings", r->positions, r->hidden);
    if (is_bert)
        put_matrix(list, prefix, "embeddings.token_type_embeddings", r->types, r->hidden);
    put_norm(list, prefix, "embeddings.LayerNorm");
    for (size_t layer = 0; layer < r->layers; layer++)
        put_layer(list, layer);
    if (is_bert)
        put_bert_head(list);
    else
        put_distilbert_head(list);
    if (r->legacy_names)
        put(list, is_bert ? "bert.embeddings.position_ids" : "distilbert.embeddings.position_ids", 1,
            r->positions, 0, 0);
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
        t->name + (strncmp(t->name, prefix_of(r), strlen(prefix_of(r))) == 0 ? strlen(prefix_of(r)) : 0);
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
    put_all(&list);
    bool ok = !list.failed && (recipe->shards > 1 ? write_shards(folder, &list)
                                                  : write_tensors(folder, "model.safetensors", list.tensors,
                                                                  list.count, recipe));
    free(list.tensors);
    return ok;
}

/* ---- config and vocabulary -------------------------------------------------------------------------------------- */

static void add_text(char *out, size_t room, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void add_text(char *out, size_t room, const char *format, ...)
{
    size_t used = strlen(out);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(out + used, room - used, format, arguments);
    va_end(arguments);
}

static const char *architecture_of(const model_recipe *r)
{
    static const char *const names[2][3] = {
        {"BertModel", "BertForSequenceClassification", "BertForMaskedLM"},
        {"DistilBertModel", "DistilBertForSequenceClassification", "DistilBertForMaskedLM"}};
    return names[strcmp(r->family, "bert") == 0 ? 0 : 1][r->head];
}

static void add_labels(char *out, size_t room, const model_recipe *r)
{
    add_text(out, room, "  \"id2label\": {");
    for (size_t i = 0; i < r->labels; i++)
        add_text(out, room, "%s\"%zu\": \"%s%zu\"", i ? ", " : "", i, "class ", i);
    add_text(out, room, "},\n");
}

bool make_config(const char *folder, const model_recipe *r)
{
    char text[16384] = "{\n";
    bool is_bert = strcmp(r->family, "bert") == 0;
    const char *const names[2][5] = {
        {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"},
        {"dim", "n_layers", "n_heads", "hidden_dim", "activation"}};
    const char *const *name = names[is_bert ? 0 : 1];
    if (!r->no_architecture)
        add_text(text, sizeof text, "  \"architectures\": [\"%s\"],\n", architecture_of(r));
    add_text(text, sizeof text,
             "  \"model_type\": \"%s\",\n  \"%s\": %zu,\n  \"%s\": %zu,\n  \"%s\": %zu,\n  \"%s\": %zu,\n",
             r->family, name[0], r->hidden, name[1], r->layers, name[2], r->heads, name[3], r->inner);
    add_text(text, sizeof text, "  \"%s\": \"%s\",\n  \"max_position_embeddings\": %zu,\n", name[4],
             r->activation, r->positions);
    if (is_bert)
        add_text(text, sizeof text, "  \"layer_norm_eps\": 1e-12,\n  \"type_vocab_size\": %zu,\n", r->types);
    if (r->head == MADE_CLASSIFIER)
        add_labels(text, sizeof text, r);
    if (r->problem)
        add_text(text, sizeof text, "  \"problem_type\": \"%s\",\n", r->problem);
    if (r->untied)
        add_text(text, sizeof text, "  \"tie_word_embeddings\": false,\n");
    if (r->more_config)
        add_text(text, sizeof text, "  %s,\n", r->more_config);
    add_text(text, sizeof text, "  \"pad_token_id\": 0,\n  \"vocab_size\": %zu\n}\n", r->vocab);
    return work_write_text(folder, "config.json", text);
}

bool make_vocabulary(const char *folder, const model_recipe *r)
{
    static const char *const words[] = {
        "[PAD]", "[UNK]", "[CLS]",  "[SEP]", "[MASK]", ".",     ",",       "!",    "the",    "a",
        "film",  "plot",  "is",     "was",   "good",   "bad",   "fine",    "thin", "not",    "very",
        "and",   "but",   "acting", "##ly",  "##es",   "##ing", "capital", "of",   "france", "paris"};
    enum { WORDS = sizeof words / sizeof words[0] };
    char path[WORK_PATH];
    FILE *file = work_path(path, folder, "vocab.txt") ? fopen(path, "wb") : NULL;
    for (size_t i = 0; file && i < r->vocab; i++) {
        if (i < WORDS)
            fprintf(file, "%s\n", words[i]);
        else if (i < WORDS + 26)
            fprintf(file, "%s%c\n", "##", (int)('a' + (i - WORDS)));
        else
            fprintf(file, "w%zu\n", i);
    }
    bool ok = file && fclose(file) == 0;
    return ok && work_write_text(folder, "tokenizer_config.json", "{\"do_lower_case\": true}\n");
}

bool make_model(const char *folder, const model_recipe *recipe)
{
    return make_config(folder, recipe) && make_vocabulary(folder, recipe) && make_weights(folder, recipe);
}
