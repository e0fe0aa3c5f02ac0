/*
 * Decoders of the Llama type (Touvron et al. 2023): RMS norms, rotary positions, grouped-query attention, SwiGLU.
 *
 * Known to go wrong: the rotation pairs column i with i + D/2, not with its neighbour (llama2.c's files need their rows
 * permuted); head_dim need not be C / H; the head is untied unless the config says otherwise; rotary frequencies are float32
 * numbers, and a difference in their last digit shows at far positions.
 */
#include "model/families/llama.h"

#include <jansson.h>

#include "base/failure.h"
#include "base/json.h"
#include "model/config.h"

static const config_key keys[] = {
    LLAMA_KEYS(4096, 11008, 0, 2048, 32000),
    BOOL_KEY("attention_bias", has_attention_bias, false),
    BOOL_KEY("mlp_bias", has_inner_bias, false),
    END_KEYS,
};

static const char *const harmless[] = {LLAMA_HARMLESS, NULL};

/* ---- rotary parameters ------------------------------------------------------------------------------------------ */

#define ROPE_FILE CONFIG_FILE ": rope_scaling"

/* One number of the scaling; required ones must be there. */
static tkr_status read_number(const json_t *rope, const char *key, bool is_required, double *out,
                              tkr_error *error)
{
    if (is_required && !json_object_get(rope, key))
        return fail(error, TKR_E_CONFIG_MISSING, ROPE_FILE " has no \"%s\"", key);
    return json_get_real(rope, ROPE_FILE, key, 0, 1e12, out, TKR_E_CONFIG_RANGE, error) ? TKR_OK : error->code;
}

static tkr_status read_llama3(const json_t *rope, family_config *c, tkr_error *error)
{
    rope_scaling *r = &c->rope;
    r->trained = (double)c->positions;
    tkr_status status = read_number(rope, "low_freq_factor", true, &r->low, error);
    status = status ? status : read_number(rope, "high_freq_factor", true, &r->high, error);
    status = status ? status : read_number(rope, "original_max_position_embeddings", false, &r->trained, error);
    if (!status && r->high <= r->low)
        return fail(error, TKR_E_CONFIG_RANGE, ROPE_FILE ": high_freq_factor must be above low_freq_factor");
    return status;
}

static tkr_status read_kind(const json_t *rope, family_config *c, tkr_error *error)
{
    view kind = view_of("default");
    const char *key = json_object_get(rope, "rope_type") ? "rope_type" : "type";
    if (!json_get_text(rope, ROPE_FILE, key, &kind, error))
        return error->code;
    bool is_linear = view_is(kind, "linear"), is_llama3 = view_is(kind, "llama3");
    if (!is_linear && !is_llama3 && !view_is(kind, "default"))
        return fail(error, TKR_E_UNSUPPORTED_VALUE,
                    ROPE_FILE ": %s %s; supported are default, linear and llama3", key, QUOTE(kind));
    c->rope.kind = is_linear ? ROPE_LINEAR : is_llama3 ? ROPE_LLAMA3 : ROPE_PLAIN;
    tkr_status status = read_number(rope, "factor", is_linear || is_llama3, &c->rope.factor, error);
    return status || !is_llama3 ? status : read_llama3(rope, c, error);
}

/* All columns of a head are rotated. */
static tkr_status check_share(const json_t *object, tkr_error *error)
{
    double share = 1;
    if (!json_get_real(object, CONFIG_FILE, "partial_rotary_factor", 0, 1, &share, TKR_E_CONFIG_RANGE, error))
        return error->code;
    return share < 1 ? fail(error, TKR_E_UNSUPPORTED_VALUE,
                            CONFIG_FILE ": partial_rotary_factor below 1 is not supported")
                     : TKR_OK;
}

static tkr_status read_rope(const json_t *root, family_config *c, tkr_error *error)
{
    const json_t *newer = json_object_get(root, "rope_parameters");
    const json_t *rope = newer && !json_is_null(newer) ? newer : json_object_get(root, "rope_scaling");
    tkr_status status = check_share(root, error);
    if (status || !rope || json_is_null(rope))
        return status;
    if (!json_is_object(rope))
        return fail(error, TKR_E_JSON_TYPE, ROPE_FILE " is %s; it must be an object or null",
                    json_kind_name(rope));
    status = check_share(rope, error);
    status = status ? status : read_number(rope, "rope_theta", false, &c->rope_base, error);
    return status ? status : read_kind(rope, c, error);
}

tkr_status llama_derive(const json_t *root, family_config *c, tkr_error *error)
{
    c->has_mix_bias = c->has_attention_bias;
    if (c->head_width % 2)
        return fail(error, TKR_E_CONFIG_DIVIDE, CONFIG_FILE ": head_dim %zu is not a multiple of 2",
                    c->head_width);
    return read_rope(root, c, error);
}

/* Wavelengths above the trained length are stretched, short ones are kept, those between are mixed: in float32, in the
 * order of the reference, which divides by a tensor as it multiplies by its reciprocal. */
static float stretch_llama3(const rope_scaling *r, float frequency)
{
    const float wavelength = 1 / frequency * (float)(2 * 3.14159265358979323846), factor = (float)r->factor;
    if ((double)wavelength > r->trained / r->low)
        return frequency / factor;
    if ((double)wavelength < r->trained / r->high)
        return frequency;
    float share = (1 / wavelength * (float)r->trained - (float)r->low) / (float)(r->high - r->low);
    return (1 - share) * frequency / factor + share * frequency;
}

/* theta^(-2i/D), in float32 as the reference does it. */
static const double *frequencies(build *b)
{
    const family_config *c = b->config;
    double *out = ARENA_NEW(b->graph->arena, double, c->head_width / 2);
    if (!out && !b->graph->status)
        b->graph->status =
            fail_memory(b->graph->error, "the rotary frequencies", c->head_width / 2 * sizeof *out);
    for (size_t i = 0; out && i < c->head_width / 2; i++) {
        float frequency = 1 / powf((float)c->rope_base, (float)(2 * i) / (float)c->head_width);
        if (c->rope.kind == ROPE_LINEAR)
            frequency /= (float)c->rope.factor;
        out[i] = (double)(c->rope.kind == ROPE_LLAMA3 ? stretch_llama3(&c->rope, frequency) : frequency);
    }
    return out;
}

/* ---- tensors ---------------------------------------------------------------------------------------------------- */

static bool has_attention_bias(const family_config *c) { return c->has_attention_bias; }
static bool has_mix_bias(const family_config *c) { return c->has_mix_bias; }
static bool has_inner_bias(const family_config *c) { return c->has_inner_bias; }

/* clang-format off */
#define LINEAR_WITH(ours, checkpoint, out, in, has_bias)         \
    STORED(ours ".weight", checkpoint ".weight", out " " in),    \
    {.name = ours ".bias", .stored = checkpoint ".bias", .shape = out, .when = has_bias}

const weight_row_def llama_weights[] = {
    /*     our name                  name in the checkpoint */
    STORED("word",                  "embed_tokens.weight",                     "V C"),
    STORED("@.attention_norm.weight", "layers.@.input_layernorm.weight",       "C"),
    LINEAR_WITH("@.query",          "layers.@.self_attn.q_proj",               "A", "C", has_attention_bias),
    LINEAR_WITH("@.key",            "layers.@.self_attn.k_proj",               "K", "C", has_attention_bias),
    LINEAR_WITH("@.value",          "layers.@.self_attn.v_proj",               "K", "C", has_attention_bias),
    LINEAR_WITH("@.mix",            "layers.@.self_attn.o_proj",               "C", "A", has_mix_bias),
    STORED("@.inner_norm.weight",   "layers.@.post_attention_layernorm.weight", "C"),
    LINEAR_WITH("@.gate",           "layers.@.mlp.gate_proj",                  "F", "C", has_inner_bias),
    LINEAR_WITH("@.up",             "layers.@.mlp.up_proj",                    "F", "C", has_inner_bias),
    LINEAR_WITH("@.down",           "layers.@.mlp.down_proj",                  "C", "F", has_inner_bias),
    STORED("final_norm.weight",     "norm.weight",                             "C"),
    END_WEIGHTS,
};
/* clang-format on */

/* Buffers, and parameters of the head that is not in use. */
const char *const llama_ignored[] = {"*.rotary_emb.inv_freq", "lm_head.*", "score.*", NULL};

node llama_forward(build *b)
{
    const family_config *c = b->config;
    node x = site(b, "word", embed(b, "word", b->batch->ids)); /* gradients end here */
    x = site(b, "embeddings", site(b, "sum", x));
    node turns = angles(b, frequencies(b), c->head_width);

    for (size_t layer = 0; layer < c->layers; layer++) {
        enter_layer(b, (int)layer);
        attending how = {
            .is_causal = true, .scale = attention_scale(b), .window = layer >= c->window_begin ? c->window : 0};
        node seen = rms_norm(b, "@.attention_norm", x);
        how.q = rotate(b, linear(b, "@.query", rows_needed(b, seen)), rows_needed(b, turns), c->heads);
        how.k = rotate(b, linear(b, "@.key", seen), turns, c->key_heads);
        how.v = linear(b, "@.value", seen);
        node heads = site(b, "head_output", attend_as(b, how));
        x = add(b, rows_needed(b, x), site(b, "attention_output", linear(b, "@.mix", heads)));
        node y = rms_norm(b, "@.inner_norm", x);
        node fed = multiply(b, activate(b, c->act, linear(b, "@.gate", y)), linear(b, "@.up", y));
        x = site(b, "output", add(b, x, site(b, "mlp_output", linear(b, "@.down", fed))));
    }
    leave_layers(b);
    return site(b, "final_norm", rms_norm(b, "final_norm", x));
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

node llama_read_head(build *b, node rows) { return linear(b, "head", rows); }

const weight_row_def llama_classifier_weights[] = {
    STORED("head.weight", "score.weight", "N C"),
    END_WEIGHTS,
};

const weight_row_def llama_next_token_weights[] = {
    {.name = "head.weight", .stored = "lm_head.weight", .shape = "V C", .tied_to = "word"},
    END_WEIGHTS,
};

LLAMA_HEADS("Llama");

const family llama_family =
    LLAMA_FAMILY(.model_types = (const char *const[]){"llama", NULL}, .title = "Llama", .derive = llama_derive);
