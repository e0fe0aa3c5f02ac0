/*
 * Where generation begins and ends.  Known to go wrong: eos_token_id is a number or a list of numbers; how an output is drawn
 * (temperature, beams, ...) is also in the file, and has no meaning for greedy decoding.
 */
#include "model/generation.h"

#include "base/failure.h"
#include "base/json.h"

enum { GENERATION_BYTES_MAX = 1 << 20 };

static tkr_status take_id(const json_t *value, const char *file, const char *key, size_t vocab, int32_t *out,
                          tkr_error *error)
{
    if (!json_is_integer(value))
        return fail(error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be a whole number", file, key,
                    json_kind_name(value));
    json_int_t id = json_integer_value(value);
    if (id < 0 || (uint64_t)id >= vocab || id > INT32_MAX)
        return fail(error, TKR_E_CONFIG_RANGE, "%s: %s %lld; it must be 0 to %zu", file, key, (long long)id,
                    vocab - 1);
    *out = (int32_t)id;
    return TKR_OK;
}

static tkr_status take_ends(const json_t *list, const char *file, size_t vocab, generation_ids *out,
                            tkr_error *error)
{
    size_t count = json_array_size(list);
    if (count > END_IDS_MAX)
        return fail(error, TKR_E_CONFIG_RANGE, "%s: eos_token_id lists %zu ids; at most %d are supported", file,
                    count, END_IDS_MAX);
    out->end_count = count;
    for (size_t i = 0; i < count; i++) {
        tkr_status status = take_id(json_array_get(list, i), file, "eos_token_id", vocab, &out->ends[i], error);
        if (status)
            return status;
    }
    return TKR_OK;
}

tkr_status generation_take(const json_t *root, const char *file, size_t vocab, generation_ids *out,
                           tkr_error *error)
{
    const json_t *ends = json_object_get(root, "eos_token_id"),
                 *start = json_object_get(root, "decoder_start_token_id");
    tkr_status status = TKR_OK;
    int32_t id = 0;
    if (start && !json_is_null(start)) {
        status = take_id(start, file, "decoder_start_token_id", vocab, &id, error);
        out->start = id;
    }
    if (status || !ends || json_is_null(ends))
        return status;
    if (json_is_array(ends))
        return take_ends(ends, file, vocab, out, error);
    out->end_count = 1;
    return take_id(ends, file, "eos_token_id", vocab, &out->ends[0], error);
}

tkr_status generation_read(const folder *f, size_t vocab, generation_ids *out, tkr_error *error)
{
    file_bytes file;
    tkr_error local = {0};
    if (!folder_has(f, GENERATION_FILE))
        return TKR_OK;
    tkr_status status = folder_file(f, GENERATION_FILE, GENERATION_BYTES_MAX, true, &file, error);
    if (status)
        return status;
    view text = {(const char *)file.data, file.size};
    json_t *root = json_parse_object(text, GENERATION_FILE, &json_model_file, JSON_PLAIN, &local);
    status = root ? generation_take(root, GENERATION_FILE, vocab, out, &local) : local.code;
    json_decref(root);
    file_bytes_close(&file);
    if (status && error && !error->code)
        *error = local;
    return status;
}
