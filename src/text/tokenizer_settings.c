/*
 * The files beside the vocabulary.
 *
 * Known to go wrong: "model_max_length" is often the integer 10^30, meaning none; added_tokens_decoder comes before
 * added_tokens.json; a special token may be a string or an object with flags; a file that names a path is never obeyed.
 */
#include "text/tokenizer_settings.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/number.h"

enum { SETTINGS_BYTES_MOST = 1 << 20 };

static const char config_file[] = "tokenizer_config.json";
static const char map_file[] = "special_tokens_map.json";
static const char added_file[] = "added_tokens.json";

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool read_object(const folder *f, const char *name, bool copy, json_t **out, tkr_error *error)
{
    file_bytes file;
    *out = NULL;
    if (!folder_has(f, name))
        return true;
    if (folder_file(f, name, SETTINGS_BYTES_MOST, copy, &file, error) != TKR_OK)
        return false;
    view text = {(const char *)file.data, file.size};
    *out = json_parse_object(text, name, &json_model_file, JSON_NUL_ALLOWED | JSON_BIG_INTEGERS, error);
    file_bytes_close(&file);
    return *out != NULL;
}

void settings_close(tokenizer_settings *s)
{
    json_decref(s->config);
    json_decref(s->map);
    json_decref(s->added);
    *s = (tokenizer_settings){0};
}

/* ---- special tokens ---------------------------------------------------------------------------------------------- */

static const char *role_key(tkr_special role)
{
    switch (role) {
    case TKR_SPECIAL_CLS: return "cls_token";
    case TKR_SPECIAL_SEP: return "sep_token";
    case TKR_SPECIAL_MASK: return "mask_token";
    case TKR_SPECIAL_PAD: return "pad_token";
    case TKR_SPECIAL_BOS: return "bos_token";
    case TKR_SPECIAL_EOS: return "eos_token";
    case TKR_SPECIAL_UNK: return "unk_token";
    case TKR_SPECIAL_NONE:
    case TKR_SPECIAL_OTHER: break;
    }
    return NULL;
}

/* A string, or an object with content and flags; null and absent leave the content empty. */
static bool read_special(loader *l, const json_t *value, const char *what, added_token *token)
{
    *token = (added_token){.wanted = -1, .file = l->file, .special = true};
    if (!value || json_is_null(value))
        return true;
    if (!json_is_object(value))
        return loader_string(l, value, what, &token->content);
    if (!loader_text(l, value, "content", true, &token->content) || !added_read_flags(l, value, token))
        return false;
    if (!json_is_true(json_object_get(value, "normalized")))
        token->normalized = false;
    token->special = true;
    return true;
}

/* tokenizer_config.json counts more than special_tokens_map.json. */
static bool read_roles(loader *l, tokenizer_settings *s)
{
    const char *outer = l->file;
    bool good = true;
    for (tkr_special role = TKR_SPECIAL_CLS; good && role < TKR_SPECIAL_OTHER; role++) {
        const char *key = role_key(role);
        l->file = config_file;
        good = read_special(l, json_object_get(s->config, key), key, &s->roles[role]);
        if (!good || s->roles[role].content.size > 0)
            continue;
        l->file = map_file;
        good = read_special(l, json_object_get(s->map, key), key, &s->roles[role]);
    }
    l->file = outer;
    return good;
}

bool settings_open(loader *l, const folder *f, bool copy, tokenizer_settings *s)
{
    *s = (tokenizer_settings){0};
    return read_object(f, config_file, copy, &s->config, l->error) &&
           read_object(f, map_file, copy, &s->map, l->error) &&
           read_object(f, added_file, copy, &s->added, l->error) && read_roles(l, s);
}

/* A special token that is no added token yet. */
static bool put_special(loader *l, tokenizer *t, added_token token)
{
    if (token.content.size == 0 || added_index(&t->added, token.content) >= 0)
        return true;
    if (vocabulary_id(&t->vocabulary, token.content) >= 0)
        return added_put(l, &t->added, token);
    tokenizer_add_note(t, "%s: special token %s is not in the vocabulary; it is left out", token.file,
                       QUOTE(token.content));
    return true;
}

/* additional_special_tokens and extra_special_tokens: an array or an object of special tokens. */
static bool put_list(loader *l, const json_t *list, const char *key, tokenizer *t)
{
    added_token token;
    size_t count = json_is_array(list) ? json_array_size(list) : 0;
    if (count > ADDED_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s has %zu entries, the limit is %d", l->file, key, count, ADDED_MOST);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (!read_special(l, json_array_get(list, i), key, &token) || !put_special(l, t, token))
            return false;
    json_t *object = json_is_object(list) ? (json_t *)(uintptr_t)list : NULL; /* jansson iterates without const */
    for (void *at = json_object_iter(object); at; at = json_object_iter_next(object, at))
        if (!read_special(l, json_object_iter_value(at), key, &token) || !put_special(l, t, token))
            return false;
    return true;
}

bool settings_put_special(loader *l, const tokenizer_settings *s, tokenizer *t)
{
    static const char *const keys[] = {"additional_special_tokens", "extra_special_tokens"};
    for (tkr_special role = TKR_SPECIAL_CLS; role < TKR_SPECIAL_OTHER; role++)
        if (!put_special(l, t, s->roles[role]))
            return false;
    const char *outer = l->file;
    bool good = true;
    for (size_t i = 0; good && i < sizeof(keys) / sizeof(keys[0]); i++) {
        l->file = config_file;
        good = put_list(l, json_object_get(s->config, keys[i]), keys[i], t);
        l->file = map_file;
        good = good && put_list(l, json_object_get(s->map, keys[i]), keys[i], t);
    }
    l->file = outer;
    return good;
}

/* ---- added tokens ------------------------------------------------------------------------------------------------ */

static int by_wanted(const void *a, const void *b)
{
    const added_token *x = a, *y = b;
    return (x->wanted > y->wanted) - (x->wanted < y->wanted);
}

/* "5": {"content": "[MASK]", ...} of added_tokens_decoder. */
static bool read_decoder_entry(loader *l, view key, const json_t *entry, added_token *token)
{
    *token = (added_token){.file = l->file};
    if (!number_parse_int(key, &token->wanted) || token->wanted < 0 || token->wanted > PIECE_ID_MOST) {
        fail(l->error, TKR_E_TOK_ID, "%s: added_tokens_decoder has id %s; it must be 0 to %d", l->file, QUOTE(key),
             PIECE_ID_MOST);
        return false;
    }
    if (!json_is_object(entry)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: added_tokens_decoder %s is %s; it must be an object", l->file, QUOTE(key),
             json_kind_name(entry));
        return false;
    }
    return loader_text(l, entry, "content", true, &token->content) && added_read_flags(l, entry, token);
}

/* "[MASK]": 5 of added_tokens.json.  Whether it is special the roles say. */
static bool read_added_entry(loader *l, view key, const json_t *value, const tokenizer_settings *s, added_token *token)
{
    double id = json_is_number(value) ? json_number_value(value) : -1;
    if (!(id >= 0 && id <= PIECE_ID_MOST) || id != (double)(int64_t)id) {
        fail(l->error, TKR_E_TOK_ID, "%s: id of %s must be a whole number from 0 to %d", l->file, QUOTE(key),
             PIECE_ID_MOST);
        return false;
    }
    *token = (added_token){.wanted = (int64_t)id, .file = l->file, .normalized = true};
    char *copy = arena_copy_text(l->memory, key);
    if (!copy || key.size > PIECE_BYTES_MOST) {
        fail(l->error, copy ? TKR_E_LIMIT_TOKENIZER : TKR_E_LIMIT_OOM, "%s: token of %zu bytes", l->file, key.size);
        return false;
    }
    token->content = (view){copy, key.size};
    for (tkr_special role = TKR_SPECIAL_CLS; role < TKR_SPECIAL_OTHER; role++) {
        if (view_equal(s->roles[role].content, token->content)) {
            token->special = true;
            token->normalized = false;
        }
    }
    return true;
}

/* All entries of an object, ordered by the ids they want. */
static bool put_all(loader *l, const tokenizer_settings *s, json_t *object, bool is_decoder, added_tokens *a)
{
    size_t count = json_object_size(object), read = 0;
    if (count > ADDED_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %zu added tokens, the limit is %d", l->file, count, ADDED_MOST);
        return false;
    }
    added_token *tokens = NEW(added_token, count);
    if (!tokens) {
        fail_memory(l->error, l->file, count * sizeof(*tokens));
        return false;
    }
    bool good = true;
    for (void *at = json_object_iter(object); good && at; at = json_object_iter_next(object, at)) {
        view key = {json_object_iter_key(at), json_object_iter_key_len(at)};
        const json_t *value = json_object_iter_value(at);
        good = is_decoder ? read_decoder_entry(l, key, value, &tokens[read])
                          : read_added_entry(l, key, value, s, &tokens[read]);
        read++;
    }
    if (good && count > 0)
        qsort(tokens, count, sizeof(*tokens), by_wanted);
    for (size_t i = 0; good && i < count; i++)
        good = added_put(l, a, tokens[i]);
    memory_free(tokens);
    return good;
}

bool settings_put_added(loader *l, const tokenizer_settings *s, added_tokens *a)
{
    json_t *entries = json_object_get(s->config, "added_tokens_decoder");
    const char *outer = l->file;
    bool good = true;
    if (entries && !json_is_null(entries)) {
        l->file = config_file;
        if (json_is_object(entries)) {
            good = put_all(l, s, entries, true, a);
        } else {
            fail(l->error, TKR_E_JSON_TYPE, "%s: added_tokens_decoder is %s; it must be an object", l->file,
                 json_kind_name(entries));
            good = false;
        }
    } else if (s->added) {
        l->file = added_file;
        good = put_all(l, s, s->added, false, a);
    }
    l->file = outer;
    return good;
}

/* ---- overruling and limits --------------------------------------------------------------------------------------- */

bool settings_overrule(loader *l, const tokenizer_settings *s, json_t *normal, tokenizer *t)
{
    static const char *const keys[][2] = {
        {"do_lower_case", "lowercase"},
        {"strip_accents", "strip_accents"},
        {"tokenize_chinese_chars", "handle_chinese_chars"},
    };
    const json_t *type = json_object_get(normal, "type");
    if (!json_is_string(type) || strcmp(json_string_value(type), "BertNormalizer") != 0)
        return true;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        json_t *said = json_object_get(s->config, keys[i][0]);
        const json_t *old = json_object_get(normal, keys[i][1]);
        bool may_be_null = i == 1;
        if (!said || (json_is_null(said) && !may_be_null) || (old && json_equal(said, old)) || (!old && json_is_null(said)))
            continue;
        if (!json_is_boolean(said) && !json_is_null(said)) {
            fail(l->error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be true or false", config_file, keys[i][0],
                 json_kind_name(said));
            return false;
        }
        if (json_object_set(normal, keys[i][1], said) != 0) {
            fail_memory(l->error, config_file, 64);
            return false;
        }
        if (old)
            tokenizer_add_note(t, "%s: %s %s overrules the normalizer of %s", config_file, keys[i][0],
                               json_is_null(said) ? "null" : json_is_true(said) ? "true" : "false", l->file);
    }
    return true;
}

bool settings_overrule_space(loader *l, const tokenizer_settings *s, json_t *root, tokenizer *t)
{
    static const char *const parts[][2] = {{"pre_tokenizer", "ByteLevel"}, {"post_processor", "RobertaProcessing"}};
    json_t *said = json_object_get(s->config, "add_prefix_space");
    if (!json_is_boolean(said))
        return true;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        json_t *part = json_object_get(root, parts[i][0]);
        const char *type = json_string_value(json_object_get(part, "type"));
        const json_t *old = json_object_get(part, "add_prefix_space");
        if (!type || strcmp(type, parts[i][1]) != 0 || !old || json_equal(old, said))
            continue;
        if (json_object_set(part, "add_prefix_space", said) != 0) {
            fail_memory(l->error, config_file, 64);
            return false;
        }
        tokenizer_add_note(t, "%s: add_prefix_space %s overrules the %s of %s", config_file,
                           json_is_true(said) ? "true" : "false", parts[i][0], l->file);
    }
    return true;
}

static bool read_max_length(loader *l, const tokenizer_settings *s, tokenizer *t)
{
    const json_t *value = json_object_get(s->config, "model_max_length");
    if (!value || json_is_null(value))
        return true;
    double most = json_is_number(value) ? json_number_value(value) : 0;
    if (!json_is_number(value)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: model_max_length is %s; it must be a number", config_file,
             json_kind_name(value));
        return false;
    }
    if (most < 1) {
        char room[NUMBER_ROOM];
        fail(l->error, TKR_E_CONFIG_RANGE, "%s: model_max_length is %s; it must be at least 1", config_file,
             number_shortest_f64(room, most));
        return false;
    }
    t->max_length = most < 0x1p53 ? (size_t)most : 0;
    return true;
}

bool settings_limits(loader *l, const tokenizer_settings *s, const char *family, tokenizer *t)
{
    static const char *const families[] = {"bert", "electra", "albert", "deberta", "deberta-v2"};
    const json_t *names = json_object_get(s->config, "model_input_names");
    for (size_t i = 0; !json_is_array(names) && family && i < sizeof(families) / sizeof(families[0]); i++)
        t->uses_segments |= strcmp(family, families[i]) == 0;
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        t->uses_segments |= name && strcmp(name, "token_type_ids") == 0;
    }
    return read_max_length(l, s, t);
}
