/*
 * Reading config.json.  Source: Hugging Face transformers, configuration_utils.py and the families' configuration files.
 *
 * Known to go wrong: published files carry dozens of keys without effect, so an unknown key is no error, unless its name
 * says that it changes the computation; null often means "absent"; labels are keyed by integers written as strings;
 * one label without a problem type is a sigmoid, not a softmax over one class.
 */
#include "model/config.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/number.h"
#include "model/pass_on.h"
#include "model/wildcard.h"

typedef struct config_reading {
    const json_t *root;
    model_config *out;
    notes *notes;
    tkr_error *error;
} config_reading;

/* The code that a reader of one field left in the error (config_read always gives one). */
static tkr_status told(const config_reading *r) { return r->error->code; }

/* ---- keys common to all families -------------------------------------------------------------------------------- */

/* Read here, or without effect on the forward pass. */
static const char *const common_keys[] = {"model_type",
                                          "architectures",
                                          "id2label",
                                          "label2id",
                                          "num_labels",
                                          "problem_type",
                                          "tie_word_embeddings",
                                          "tie_weights_",
                                          "torch_dtype",
                                          "dtype",
                                          "is_decoder",
                                          "is_encoder_decoder",
                                          "add_cross_attention",
                                          "pruned_heads",
                                          "quantization_config",
                                          "chunk_size_feed_forward",
                                          "use_cache",
                                          "use_return_dict",
                                          "return_dict",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "gradient_checkpointing",
                                          "attention_probs_dropout_prob",
                                          "*dropout*",
                                          "initializer_*",
                                          "transformers_version",
                                          "_name_or_path",
                                          "name_or_path",
                                          "_num_labels",
                                          "task_specific_params",
                                          "summary_*",
                                          "n_ctx",
                                          "n_special",
                                          "predict_special_tokens",
                                          "xla_device",
                                          "directionality",
                                          "pooler_*",
                                          "finetuning_task",
                                          "torchscript",
                                          "output_past",
                                          "net_structure_type",
                                          "num_memory_blocks",
                                          "down_scale_factor",
                                          "gap_size",
                                          "attn_implementation",
                                          "*_token_id",
                                          "max_length",
                                          "min_length",
                                          "do_sample",
                                          "early_stopping",
                                          "num_beams",
                                          "temperature",
                                          "top_k",
                                          "top_p",
                                          "language",
                                          "vocab_type",
                                          "model_max_length",
                                          "tokenizer_class",
                                          "prefix",
                                          NULL};

/* An unknown key of such a name is refused unless its value switches nothing on. */
static const char *const maths_patterns[] = {"*scal*",     "*rope*",   "*window*", "*softcap*",  "*attn*",
                                             "*norm*",     "*expert*", "*quant*",  "*position*", "*bias*",
                                             "*parallel*", "*alibi*",  NULL};

static const char *const code_keys[] = {"auto_map", "trust_remote_code", "custom_pipelines", "model_file",
                                        NULL};

static const char *const special_ids[] = {"pad_token_id", "bos_token_id",           "eos_token_id",
                                          "sep_token_id", "cls_token_id",           "mask_token_id",
                                          "unk_token_id", "decoder_start_token_id", NULL};

static const struct activation_name {
    const char *name;
    activation act;
} activation_names[] = {
    {"gelu", ACT_GELU_ERF},
    {"gelu_python", ACT_GELU_ERF},
    {"gelu_new", ACT_GELU_TANH},
    {"gelu_pytorch_tanh", ACT_GELU_TANH},
    {"gelu_python_tanh", ACT_GELU_TANH},
    {"gelu_accurate", ACT_GELU_TANH},
    {"gelu_fast", ACT_GELU_FAST},
    {"gelu_10", ACT_GELU_10},
    {"quick_gelu", ACT_QUICK_GELU},
    {"relu", ACT_RELU},
    {"relu6", ACT_RELU6},
    {"relu2", ACT_RELU2},
    {"silu", ACT_SILU},
    {"swish", ACT_SILU},
    {"mish", ACT_MISH},
    {"sigmoid", ACT_SIGMOID},
    {"tanh", ACT_TANH},
    {"linear", ACT_LINEAR},
    {"leaky_relu", ACT_LEAKY_RELU},
};
enum { ACTIVATION_NAMES = sizeof activation_names / sizeof activation_names[0] };

/* null, false, "", [] and {} switch nothing on. */
static bool is_off(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && !json_string_length(value)) ||
           (json_is_array(value) && !json_array_size(value)) ||
           (json_is_object(value) && !json_object_size(value));
}

/* A value as JSON, cut to what a message can hold. */
enum { VALUE_ROOM = 80 };
static char *value_into(char room[VALUE_ROOM], const json_t *value)
{
    size_t size =
        json_dumpb(value, room, VALUE_ROOM - 1, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (size >= VALUE_ROOM)
        snprintf(room, VALUE_ROOM, "%s of %zu bytes", json_kind_name(value), size);
    else
        room[size] = '\0';
    return room;
}
#define SHOWN(value) PLAIN(view_of(value_into((char[VALUE_ROOM]){0}, (value))))

/* ---- the family ------------------------------------------------------------------------------------------------- */

static tkr_status read_family(config_reading *r)
{
    view type = {NULL, 0};
    if (!json_get_text(r->root, CONFIG_FILE, "model_type", &type, r->error))
        return told(r);
    if (!type.data)
        return fail(r->error, TKR_E_CONFIG_MISSING, CONFIG_FILE ": has no \"model_type\"");
    char supported[256] = "";
    size_t used = 0;
    const family *f;
    for (size_t i = 0; (f = family_at(i)) != NULL; i++)
        for (const char *const *name = f->model_types; *name; name++) {
            if (view_is(type, *name))
                r->out->family = f;
            if (used + strlen(*name) + 3 < sizeof supported)
                used += (size_t)snprintf(supported + used, sizeof supported - used, "%s%s", used ? ", " : "",
                                         *name);
        }
    if (r->out->family)
        return TKR_OK;
    fail(r->error, TKR_E_UNSUPPORTED_FAMILY, CONFIG_FILE ": model type %s is not supported; supported: %s", QUOTE(type), supported);
    fail_help(r->error, "--external CMD explains any model through its predictions");
    return TKR_E_UNSUPPORTED_FAMILY;
}

static tkr_status read_architecture(config_reading *r)
{
    const json_t *list = json_object_get(r->root, "architectures");
    if (is_off(list))
        return TKR_OK;
    const json_t *first = json_array_get(list, 0);
    if (!json_is_string(first))
        return fail(r->error, TKR_E_JSON_TYPE,
                    CONFIG_FILE ": architectures is %s; it must be an array of class names",
                    json_is_array(list) ? "an array of other things" : json_kind_name(list));
    r->out->architecture = memory_copy_text(json_string_value(first), json_string_length(first));
    return r->out->architecture ? TKR_OK
                                : fail_memory(r->error, "the architecture's name", json_string_length(first));
}

const head *head_of_architecture(const family *f, const char *architecture)
{
    for (const head *const *h = f->heads; *h; h++)
        for (const char *const *name = (*h)->architectures; *name; name++)
            if (strcmp(*name, architecture) == 0)
                return *h;
    return NULL;
}

bool is_bare_architecture(const char *architecture) { return wildcard_matches("*Model", architecture); }

/* ---- the family's own keys -------------------------------------------------------------------------------------- */

static void *field_of(family_config *numbers, const config_key *key) { return (char *)numbers + key->offset; }

bool config_activation(view name, activation *out)
{
    for (size_t i = 0; i < ACTIVATION_NAMES; i++)
        if (view_is(name, activation_names[i].name)) {
            *out = activation_names[i].act;
            return true;
        }
    return false;
}

static tkr_status read_activation(config_reading *r, const config_key *key)
{
    view text = {NULL, 0};
    activation *field = field_of(&r->out->numbers, key);
    *field = (activation)(int)key->standard;
    if (!json_get_text(r->root, CONFIG_FILE, key->key, &text, r->error))
        return told(r);
    if (!text.data)
        return TKR_OK;
    if (config_activation(text, field))
        return TKR_OK;
    return fail(r->error, TKR_E_UNSUPPORTED_VALUE,
                CONFIG_FILE ": %s %s; supported are gelu, gelu_new, gelu_pytorch_tanh,"
                            " gelu_fast, gelu_10, quick_gelu, relu, relu6, relu2, silu, swish, mish, sigmoid, "
                            "tanh, linear, leaky_relu",
                key->key, QUOTE(text));
}

static tkr_status read_fixed_text(const config_reading *r, const config_key *key)
{
    view text = {NULL, 0};
    if (is_off(json_object_get(r->root, key->key)))
        return TKR_OK;
    if (!json_get_text(r->root, CONFIG_FILE, key->key, &text, r->error))
        return told(r);
    if (view_is(text, key->text))
        return TKR_OK;
    return fail(r->error, TKR_E_UNSUPPORTED_VALUE, CONFIG_FILE ": %s %s; supported is \"%s\"", key->key,
                QUOTE(text), key->text);
}

static tkr_status read_fixed_bool(const config_reading *r, const config_key *key)
{
    bool wanted = key->standard != 0, truth = wanted;
    if (!json_get_bool(r->root, CONFIG_FILE, key->key, &truth, r->error))
        return told(r);
    if (truth == wanted)
        return TKR_OK;
    return fail(r->error, TKR_E_UNSUPPORTED_VALUE, CONFIG_FILE ": %s is %s; for %s only %s is supported", key->key,
                truth ? "true" : "false", r->out->family->model_types[0], wanted ? "true" : "false");
}

static tkr_status read_size(config_reading *r, const config_key *key)
{
    int64_t value = (int64_t)key->standard;
    if (!json_get_int(r->root, CONFIG_FILE, key->key, (int64_t)key->low, (int64_t)key->high, &value,
                      TKR_E_CONFIG_RANGE, r->error))
        return told(r);
    *(size_t *)field_of(&r->out->numbers, key) = (size_t)value;
    return TKR_OK;
}

static tkr_status read_size_or_null(config_reading *r, const config_key *key)
{
    *(size_t *)field_of(&r->out->numbers, key) = 0;
    return json_is_null(json_object_get(r->root, key->key)) ? TKR_OK : read_size(r, key);
}

static tkr_status read_real(config_reading *r, const config_key *key)
{
    double value = key->standard;
    if (key->key && !json_get_real(r->root, CONFIG_FILE, key->key, key->low, key->high, &value,
                                   TKR_E_CONFIG_RANGE, r->error))
        return told(r);
    *(double *)field_of(&r->out->numbers, key) = value;
    return TKR_OK;
}

static tkr_status read_key(config_reading *r, const config_key *key)
{
    bool truth = key->standard != 0;
    switch (key->kind) {
    case KEY_SIZE:
        return read_size(r, key);
    case KEY_SIZE_OR_NULL:
        return read_size_or_null(r, key);
    case KEY_REAL:
        return read_real(r, key);
    case KEY_ACTIVATION:
        return read_activation(r, key);
    case KEY_FIXED_TEXT:
        return read_fixed_text(r, key);
    case KEY_FIXED_BOOL:
        return read_fixed_bool(r, key);
    case KEY_BOOL:
        if (!json_get_bool(r->root, CONFIG_FILE, key->key, &truth, r->error))
            return told(r);
        *(bool *)field_of(&r->out->numbers, key) = truth;
        return TKR_OK;
    case KEY_ID: /* its range is known when vocab_size is: check_ids */
        *(int64_t *)field_of(&r->out->numbers, key) = (int64_t)key->standard;
        return TKR_OK;
    case KEY_END:
        break;
    }
    return TKR_OK;
}

/* How config.json calls a size of this family, for messages. */
static const char *key_of(const family *f, size_t offset, const char *otherwise)
{
    for (const config_key *key = f->config; key->kind != KEY_END; key++)
        if (key->key && key->offset == offset && (key->kind == KEY_SIZE || key->kind == KEY_SIZE_OR_NULL))
            return key->key;
    return otherwise;
}

#define KEY_OF(field, otherwise) key_of(r->out->family, offsetof(family_config, field), otherwise)

/* What follows from the sizes that were read: the width of a head, the heads of keys and values. */
static tkr_status divide_sizes(config_reading *r)
{
    family_config *c = &r->out->numbers;
    if (c->head_width == 0 && c->hidden % c->heads != 0)
        return fail(r->error, TKR_E_CONFIG_DIVIDE, CONFIG_FILE ": %s %zu is not a multiple of %s %zu",
                    KEY_OF(hidden, "hidden size"), c->hidden, KEY_OF(heads, "heads"), c->heads);
    c->head_width = c->head_width ? c->head_width : c->hidden / c->heads;
    c->key_heads = c->key_heads ? c->key_heads : c->heads;
    if (c->heads % c->key_heads == 0)
        return TKR_OK;
    return fail(r->error, TKR_E_CONFIG_DIVIDE, CONFIG_FILE ": %s %zu is not a multiple of %s %zu",
                KEY_OF(heads, "heads"), c->heads, KEY_OF(key_heads, "heads of keys"), c->key_heads);
}

static tkr_status read_family_keys(config_reading *r)
{
    const family *f = r->out->family;
    for (const config_key *key = f->config; key->kind != KEY_END; key++) {
        tkr_status status = read_key(r, key);
        if (status)
            return status;
    }
    return divide_sizes(r);
}

/* What a table of keys cannot say. */
static tkr_status read_beyond_keys(config_reading *r)
{
    const family *f = r->out->family;
    return f->derive ? f->derive(r->root, &r->out->numbers, r->error) : TKR_OK;
}

/* ---- ids, switches, unknown keys -------------------------------------------------------------------------------- */

/* null or a row of the embedding; eos_token_id may be a list of them. */
static tkr_status check_id(const config_reading *r, const char *key, const json_t *value)
{
    size_t vocab = r->out->numbers.vocab;
    for (size_t i = 0; i < json_array_size(value); i++)
        if (!json_is_array(json_array_get(value, i)) && check_id(r, key, json_array_get(value, i)))
            return told(r);
    if (!value || json_is_null(value) || json_is_array(value))
        return TKR_OK;
    if (!json_is_integer(value))
        return fail(r->error, TKR_E_JSON_TYPE, CONFIG_FILE ": %s is %s; it must be a whole number or null", key,
                    json_kind_name(value));
    json_int_t id = json_integer_value(value);
    if (id < 0 || (uint64_t)id >= vocab)
        return fail(r->error, TKR_E_CONFIG_RANGE, CONFIG_FILE ": %s %lld; it must be null or 0 to %zu", key,
                    (long long)id, vocab - 1);
    return TKR_OK;
}

static tkr_status read_ids(config_reading *r)
{
    for (const char *const *key = special_ids; *key; key++) {
        tkr_status status = check_id(r, *key, json_object_get(r->root, *key));
        if (status)
            return status;
    }
    for (const config_key *key = r->out->family->config; key->kind != KEY_END; key++) {
        const json_t *value = json_object_get(r->root, key->key ? key->key : "");
        if (key->kind == KEY_ID && value)
            *(int64_t *)field_of(&r->out->numbers, key) =
                json_is_integer(value) ? (int64_t)json_integer_value(value) : -1;
    }
    r->out->generation.start = -1;
    return generation_take(r->root, CONFIG_FILE, r->out->numbers.vocab, &r->out->generation, r->error);
}

static bool family_reads(const family *f, const char *name)
{
    for (const config_key *key = f->config; key->kind != KEY_END; key++)
        if (key->key && strcmp(key->key, name) == 0)
            return true;
    return false;
}

/* A decoder may call itself one, and an encoder-decoder. */
static bool may_be_true(const family *f, const char *key)
{
    return family_reads(f, key) || (f->shape == FAMILY_DECODER && strcmp(key, "is_decoder") == 0) ||
           (f->shape == FAMILY_ENCODER_DECODER && strcmp(key, "is_encoder_decoder") == 0);
}

static tkr_status check_switches(config_reading *r)
{
    static const char *const must_be_false[] = {"is_decoder", "add_cross_attention", "is_encoder_decoder",
                                                NULL};
    const json_t *quantised = json_object_get(r->root, "quantization_config");
    if (!is_off(quantised))
        return fail(r->error, TKR_E_UNSUPPORTED_QUANT,
                    CONFIG_FILE ": quantization_config is there; quantised weights are not"
                                " supported");
    if (!is_off(json_object_get(r->root, "pruned_heads")))
        return fail(r->error, TKR_E_UNSUPPORTED_CONFIG_KEY,
                    CONFIG_FILE ": \"pruned_heads\" = %s changes the computation and is"
                                " not supported",
                    SHOWN(json_object_get(r->root, "pruned_heads")));
    for (const char *const *key = must_be_false; *key; key++)
        if (!may_be_true(r->out->family, *key) && !is_off(json_object_get(r->root, *key)))
            return fail(r->error, TKR_E_UNSUPPORTED_VALUE,
                        CONFIG_FILE ": %s is %s; for %s only false is supported", *key,
                        SHOWN(json_object_get(r->root, *key)), r->out->family->model_types[0]);
    bool tied = true;
    if (!json_get_bool(r->root, CONFIG_FILE, "tie_word_embeddings", &tied, r->error))
        return told(r);
    r->out->numbers.ties_embeddings = tied;
    return TKR_OK;
}

static tkr_status check_unknown_keys(config_reading *r)
{
    const family *f = r->out->family;
    name_list unknown = {0}, code = {0};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)r->root, key, value)
    {
        if (family_reads(f, key) || wildcard_any(common_keys, key) || wildcard_any(f->harmless_keys, key))
            continue;
        if (wildcard_any(code_keys, key)) {
            name_list_add(&code, key);
            continue;
        }
        if (key[0] != '_' && wildcard_any(maths_patterns, key) && !is_off(value))
            return fail(r->error, TKR_E_UNSUPPORTED_CONFIG_KEY,
                        CONFIG_FILE ": %s = %s changes the computation and is not"
                                    " supported for %s",
                        QUOTE(view_of(key)), SHOWN(value), f->model_types[0]);
        if (r->notes->lists_all)
            notes_add(r->notes, CONFIG_FILE ": key %s was ignored", QUOTE(view_of(key)));
        name_list_add(&unknown, key);
    }
    if (code.count)
        notes_add(r->notes, CONFIG_FILE ": %s names code; Tokray never runs code from a folder", code.text);
    if (unknown.count && !r->notes->lists_all)
        notes_add(r->notes, CONFIG_FILE ": %zu unknown keys were ignored: %s", unknown.count, unknown.text);
    return TKR_OK;
}

/* ---- labels ----------------------------------------------------------------------------------------------------- */

static tkr_status allocate_labels(config_reading *r, size_t count)
{
    if (count > LABELS_MAX)
        return fail(r->error, TKR_E_LIMIT_LABELS, CONFIG_FILE ": %zu labels; the limit is %zu", count,
                    LABELS_MAX);
    r->out->labels = NEW(char *, count);
    if (!r->out->labels)
        return fail_memory(r->error, "the labels", count * sizeof(char *));
    r->out->numbers.labels = count;
    return TKR_OK;
}

static tkr_status read_label_texts(config_reading *r, const json_t *map)
{
    size_t count = json_object_size(map);
    if (count == 0)
        return fail(r->error, TKR_E_CONFIG_LABELS, CONFIG_FILE ": id2label is empty");
    tkr_status status = allocate_labels(r, count);
    if (status)
        return status;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        int64_t index = -1;
        if (!number_parse_int(view_of(key), &index) || index < 0 || (uint64_t)index >= count ||
            r->out->labels[index])
            return fail(r->error, TKR_E_CONFIG_LABELS,
                        CONFIG_FILE ": id2label key %s; keys must be 0 to n-1, here 0 to %zu",
                        QUOTE(view_of(key)), count - 1);
        if (!json_is_string(value))
            return fail(r->error, TKR_E_JSON_TYPE, CONFIG_FILE ": id2label %s is %s; it must be a string",
                        QUOTE(view_of(key)), json_kind_name(value));
        r->out->labels[index] = memory_copy_text(json_string_value(value), json_string_length(value));
        if (!r->out->labels[index])
            return fail_memory(r->error, "a label", json_string_length(value));
    }
    return TKR_OK;
}

static tkr_status number_labels(config_reading *r, size_t count)
{
    tkr_status status = allocate_labels(r, count);
    for (size_t i = 0; !status && i < count; i++) {
        char text[NUMBER_ROOM];
        int length = snprintf(text, sizeof text, "LABEL_%zu", i);
        r->out->labels[i] = memory_copy_text(text, (size_t)length);
        status = r->out->labels[i] ? TKR_OK : fail_memory(r->error, "a label", (size_t)length);
    }
    return status;
}

static tkr_status read_labels(config_reading *r)
{
    int64_t count = 2;
    const json_t *map = json_object_get(r->root, "id2label"), *number = json_object_get(r->root, "num_labels");
    bool says_number = number && !json_is_null(number);
    if (says_number && !json_get_int(r->root, CONFIG_FILE, "num_labels", 1, (int64_t)LABELS_MAX, &count,
                                     TKR_E_CONFIG_RANGE, r->error))
        return told(r);
    if (!map || json_is_null(map))
        return number_labels(r, (size_t)count);
    if (!json_is_object(map))
        return fail(r->error, TKR_E_CONFIG_LABELS, CONFIG_FILE ": id2label is %s; it must be an object",
                    json_kind_name(map));
    if (says_number && (size_t)count != json_object_size(map))
        notes_add(r->notes, CONFIG_FILE ": num_labels is %lld, id2label has %zu: id2label is used",
                  (long long)count, json_object_size(map));
    return read_label_texts(r, map);
}

static tkr_status read_problem(config_reading *r)
{
    static const struct {
        const char *name;
        model_problem problem;
    } problems[] = {{"single_label_classification", PROBLEM_SINGLE_LABEL},
                    {"multi_label_classification", PROBLEM_MULTI_LABEL},
                    {"regression", PROBLEM_REGRESSION}};
    r->out->problem = r->out->numbers.labels == 1 ? PROBLEM_MULTI_LABEL : PROBLEM_SINGLE_LABEL;
    view text = {NULL, 0};
    const json_t *value = json_object_get(r->root, "problem_type");
    if (!value || json_is_null(value))
        return TKR_OK;
    if (!json_get_text(r->root, CONFIG_FILE, "problem_type", &text, r->error))
        return told(r);
    for (size_t i = 0; i < 3; i++)
        if (view_is(text, problems[i].name)) {
            r->out->problem = problems[i].problem;
            return TKR_OK;
        }
    return fail(r->error, TKR_E_UNSUPPORTED_VALUE,
                CONFIG_FILE ": problem_type %s; supported are single_label_classification,"
                            " multi_label_classification and regression",
                QUOTE(text));
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static tkr_status read_all(config_reading *r)
{
    static tkr_status (*const steps[])(config_reading *) = {
        read_family, read_architecture, check_switches,     read_family_keys, read_ids,
        read_beyond_keys, check_unknown_keys, read_labels, read_problem};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        tkr_status status = steps[i](r);
        if (status)
            return status;
    }
    return TKR_OK;
}

tkr_status config_read(view text, model_config *out, notes *n, tkr_error *error)
{
    tkr_error local = {0};
    *out = (model_config){0};
    json_t *root = json_parse_object(text, CONFIG_FILE, &json_model_file, JSON_PLAIN, &local);
    tkr_status status = local.code;
    if (root) {
        config_reading r = {.root = root, .out = out, .notes = n, .error = &local};
        status = read_all(&r);
        json_decref(root);
    }
    if (!status)
        return TKR_OK;
    config_fini(out);
    return pass_on(error, &local);
}

void config_fini(model_config *config)
{
    for (size_t i = 0; config->labels && i < config->numbers.labels; i++)
        memory_free(config->labels[i]);
    memory_free(config->labels);
    memory_free(config->architecture);
    *config = (model_config){0};
}
