/*
 * Qwen2 decoders (Yang et al. 2024): Llama's graph with biases of query, key and value.
 *
 * Known to go wrong: a sliding_window in the config counts only when use_sliding_window is true, and then from layer
 * max_window_layers on; later versions of the config list the kind of each layer in layer_types.
 */
#include "model/families/llama.h"

#include <jansson.h>

#include "base/failure.h"
#include "base/json.h"
#include "model/config.h"

static const config_key keys[] = {
    LLAMA_KEYS(4096, 22016, 32, 32768, 151936),
    SIZE_OR_NULL_KEY("sliding_window", window, 4096, 1, 16777216),
    SIZE_KEY("max_window_layers", window_begin, 28, 0, 1024),
    END_KEYS,
};

static const char *const harmless[] = {LLAMA_HARMLESS, "use_sliding_window", "layer_types", NULL};

/* layer_types: full attention first, sliding attention from some layer on. */
static tkr_status read_layer_types(const json_t *root, family_config *c, tkr_error *error)
{
    const json_t *list = json_object_get(root, "layer_types");
    size_t count = json_array_size(list);
    if (!list || json_is_null(list))
        return TKR_OK;
    if (!json_is_array(list) || count != c->layers)
        return fail(error, TKR_E_CONFIG_RANGE,
                    CONFIG_FILE ": layer_types must be an array of %zu names, one a layer", c->layers);
    c->window_begin = count;
    for (size_t i = 0; i < count; i++) {
        const char *kind = json_string_value(json_array_get(list, i));
        bool is_sliding = kind && strcmp(kind, "sliding_attention") == 0,
             is_full = kind && strcmp(kind, "full_attention") == 0;
        if ((!is_sliding && !is_full) || (is_full && c->window_begin < i))
            return fail(error, TKR_E_UNSUPPORTED_VALUE,
                        CONFIG_FILE
                        ": layer_types[%zu] %s; supported are full_attention, then sliding_attention",
                        i, kind ? QUOTE(view_of(kind)) : json_kind_name(json_array_get(list, i)));
        c->window_begin = is_sliding && c->window_begin == count ? i : c->window_begin;
    }
    return TKR_OK;
}

static tkr_status derive(const json_t *root, family_config *c, tkr_error *error)
{
    bool has_window = false;
    if (!json_get_bool(root, CONFIG_FILE, "use_sliding_window", &has_window, error))
        return error->code;
    c->has_attention_bias = true;
    tkr_status status = llama_derive(root, c, error);
    c->has_mix_bias = false;
    status = status ? status : read_layer_types(root, c, error);
    c->window = has_window ? c->window : 0;
    return status;
}

LLAMA_HEADS("Qwen2");

const family qwen2_family =
    LLAMA_FAMILY(.model_types = (const char *const[]){"qwen2", NULL}, .title = "Qwen2", .derive = derive);
