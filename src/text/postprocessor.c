/*
 * Post-processors.
 *
 * Known to go wrong: a special token of a template is a name, and special_tokens says which ids it stands for (there may
 * be several); RoBERTa puts two separators between a pair and gives every token type 0.
 */
#include "text/postprocessor.h"

typedef struct postprocessor_kind {
    part_name part;
    bool (*load)(loader *l, const json_t *object, const tokenizer *t, postprocessor *out);
} postprocessor_kind;

/* ---- building templates ------------------------------------------------------------------------------------------ */

static bool fail_template(loader *l, const char *what, view name)
{
    fail(l->error, TKR_E_TOK_TEMPLATE, "%s: template %s %s", l->file, what, QUOTE(name));
    return false;
}

static bool template_add(loader *l, template *out, template_item item)
{
    if (out->count == TEMPLATE_ITEMS_MOST || out->token_count + item.count > TEMPLATE_IDS_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: a template has more than %d items or %d tokens", l->file,
             TEMPLATE_ITEMS_MOST, TEMPLATE_IDS_MOST);
        return false;
    }
    out->items[out->count++] = item;
    out->token_count += item.count;
    return true;
}

static bool template_add_text(loader *l, template *out, template_source source, int32_t segment)
{
    for (size_t i = 0; i < out->count; i++)
        if (out->items[i].source == source)
            return fail_template(l, "has the same text twice:", source == TEMPLATE_FIRST_TEXT ? VIEW("A") : VIEW("B"));
    return template_add(l, out, (template_item){.source = source, .segment = segment});
}

/* Does the vocabulary give this token this id? */
static bool check_token(loader *l, const tokenizer *t, view token, const json_t *id)
{
    int32_t known = tokenizer_id(t, token);
    if (known < 0)
        return fail_template(l, "needs a token that is not in the vocabulary:", token);
    if (json_is_integer(id) && json_integer_value(id) == known)
        return true;
    if (json_is_integer(id))
        fail(l->error, TKR_E_TOK_TEMPLATE, "%s: template token %s has id %lld; the vocabulary gives it %d", l->file,
             QUOTE(token), (long long)json_integer_value(id), known);
    else
        fail(l->error, TKR_E_JSON_TYPE, "%s: id of template token %s is %s; it must be a whole number", l->file,
             QUOTE(token), json_kind_name(id));
    return false;
}

static bool default_templates(loader *l, postprocessor *out)
{
    return template_add_text(l, &out->single, TEMPLATE_FIRST_TEXT, 0) &&
           template_add_text(l, &out->pair, TEMPLATE_FIRST_TEXT, 0) &&
           template_add_text(l, &out->pair, TEMPLATE_SECOND_TEXT, 1);
}

static bool begin_template(loader *l, postprocessor *out, const char *type)
{
    if (out->has_template) {
        fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: post_processor %s after another template is not supported",
             l->file, type);
        return false;
    }
    out->has_template = true;
    return true;
}

/* ---- TemplateProcessing ------------------------------------------------------------------------------------------ */

/* ids and tokens of special_tokens[name]. */
static bool load_named(loader *l, const json_t *table, view name, const tokenizer *t, template_item *item)
{
    const json_t *entry = json_object_getn(table, name.data, name.size);
    if (!json_is_object(entry))
        return fail_template(l, "names a special token that special_tokens lacks:", name);
    const json_t *ids = loader_array(l, entry, "ids", TEMPLATE_IDS_MOST);
    const json_t *tokens = ids ? loader_array(l, entry, "tokens", TEMPLATE_IDS_MOST) : NULL;
    if (!tokens)
        return false;
    if (json_array_size(ids) != json_array_size(tokens) || json_array_size(ids) == 0)
        return fail_template(l, "has as many ids as tokens, and at least one; not so", name);
    int32_t *copy = LOADER_NEW(l, int32_t, json_array_size(ids));
    for (size_t i = 0; copy && i < json_array_size(ids); i++) {
        view token;
        if (!loader_string(l, json_array_get(tokens, i), "a template token", &token) ||
            !check_token(l, t, token, json_array_get(ids, i)))
            return false;
        copy[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    }
    item->source = TEMPLATE_TOKENS;
    item->ids = copy;
    item->count = json_array_size(ids);
    return copy != NULL;
}

static bool load_item(loader *l, const json_t *entry, const json_t *table, const tokenizer *t, template *out)
{
    const json_t *text = json_object_get(entry, "Sequence"), *special = json_object_get(entry, "SpecialToken");
    const json_t *body = text ? text : special;
    int64_t segment = 0;
    view name;
    if (!json_is_object(body)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: a template item is neither a Sequence nor a SpecialToken", l->file);
        return false;
    }
    if (!loader_text(l, body, "id", true, &name) ||
        !json_get_int(body, l->file, "type_id", 0, UINT16_MAX, &segment, TKR_E_TOK_TEMPLATE, l->error))
        return false;
    if (text && view_is(name, "A"))
        return template_add_text(l, out, TEMPLATE_FIRST_TEXT, (int32_t)segment);
    if (text && view_is(name, "B"))
        return template_add_text(l, out, TEMPLATE_SECOND_TEXT, (int32_t)segment);
    if (text)
        return fail_template(l, "has a text that is neither A nor B:", name);
    template_item item = {.segment = (int32_t)segment};
    return load_named(l, table, name, t, &item) && template_add(l, out, item);
}

static bool load_template(loader *l, const json_t *object, const char *key, const tokenizer *t, template *out)
{
    const json_t *items = loader_array(l, object, key, TEMPLATE_ITEMS_MOST);
    const json_t *table = json_object_get(object, "special_tokens");
    for (size_t i = 0; items && i < json_array_size(items); i++)
        if (!load_item(l, json_array_get(items, i), table, t, out))
            return false;
    return items != NULL;
}

static bool has_text(const template *t, template_source source)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->items[i].source == source)
            return true;
    return false;
}

static bool template_load(loader *l, const json_t *object, const tokenizer *t, postprocessor *out)
{
    if (!begin_template(l, out, "TemplateProcessing") || !load_template(l, object, "single", t, &out->single) ||
        !load_template(l, object, "pair", t, &out->pair))
        return false;
    if (!has_text(&out->single, TEMPLATE_FIRST_TEXT) || has_text(&out->single, TEMPLATE_SECOND_TEXT))
        return fail_template(l, "must have text A and no text B:", VIEW("single"));
    if (!has_text(&out->pair, TEMPLATE_FIRST_TEXT) || !has_text(&out->pair, TEMPLATE_SECOND_TEXT))
        return fail_template(l, "must have the texts A and B:", VIEW("pair"));
    return true;
}

/* ---- BertProcessing, RobertaProcessing --------------------------------------------------------------------------- */

/* ["[SEP]", 102] */
static bool load_named_pair(loader *l, const json_t *object, const char *key, const tokenizer *t, template_item *out)
{
    const json_t *both = json_object_get(object, key);
    view token;
    if (!json_is_array(both) || json_array_size(both) != 2) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: %s of the post_processor must be an array of a token and its id", l->file,
             key);
        return false;
    }
    int32_t *id = LOADER_NEW(l, int32_t, 1);
    if (!id || !loader_string(l, json_array_get(both, 0), key, &token) ||
        !check_token(l, t, token, json_array_get(both, 1)))
        return false;
    *id = (int32_t)json_integer_value(json_array_get(both, 1));
    *out = (template_item){.source = TEMPLATE_TOKENS, .ids = id, .count = 1};
    return true;
}

/* cls A sep, then separators sep and B sep with the second type. */
static bool fill_pair(loader *l, const json_t *object, const tokenizer *t, int separators, int32_t second,
                      postprocessor *out)
{
    template_item cls, sep;
    if (!load_named_pair(l, object, "cls", t, &cls) || !load_named_pair(l, object, "sep", t, &sep))
        return false;
    template *both[2] = {&out->single, &out->pair};
    for (int i = 0; i < 2; i++)
        if (!template_add(l, both[i], cls) || !template_add_text(l, both[i], TEMPLATE_FIRST_TEXT, 0) ||
            !template_add(l, both[i], sep))
            return false;
    for (int i = 1; i < separators; i++)
        if (!template_add(l, &out->pair, sep))
            return false;
    sep.segment = second;
    return template_add_text(l, &out->pair, TEMPLATE_SECOND_TEXT, second) && template_add(l, &out->pair, sep);
}

static bool bert_load(loader *l, const json_t *object, const tokenizer *t, postprocessor *out)
{
    return begin_template(l, out, "BertProcessing") && fill_pair(l, object, t, 1, 1, out);
}

static bool roberta_load(loader *l, const json_t *object, const tokenizer *t, postprocessor *out)
{
    out->trims_offsets = out->keeps_prefix_space = true; /* what an absent field means */
    return loader_flag(l, object, "trim_offsets", &out->trims_offsets) &&
           loader_flag(l, object, "add_prefix_space", &out->keeps_prefix_space) &&
           begin_template(l, out, "RobertaProcessing") && fill_pair(l, object, t, 2, 0, out);
}

/* No template of its own: only what becomes of the spaces. */
static bool byte_level_load(loader *l, const json_t *object, const tokenizer *t, postprocessor *out)
{
    (void)t;
    bool trims = true, keeps = true; /* what an absent field means */
    if (!loader_flag(l, object, "trim_offsets", &trims) || !loader_flag(l, object, "add_prefix_space", &keeps))
        return false;
    if (trims) {
        out->trims_offsets = true;
        out->keeps_prefix_space = keeps;
    }
    return true;
}

/* ---- Sequence and the table -------------------------------------------------------------------------------------- */

static bool load_one(loader *l, const json_t *value, const tokenizer *t, postprocessor *out);

static bool chain_load(loader *l, const json_t *object, const tokenizer *t, postprocessor *out)
{
    const json_t *array = loader_array(l, object, "processors", PART_CHAIN_MOST);
    if (!array || !loader_enter(l))
        return false;
    for (size_t i = 0; i < json_array_size(array); i++)
        if (!load_one(l, json_array_get(array, i), t, out))
            return false;
    loader_leave(l);
    return true;
}

static const postprocessor_kind postprocessor_kinds[] = {
    {{"BertProcessing"}, bert_load},
    {{"ByteLevel"}, byte_level_load},
    {{"RobertaProcessing"}, roberta_load},
    {{"Sequence"}, chain_load},
    {{"TemplateProcessing"}, template_load},
};

static bool load_one(loader *l, const json_t *value, const tokenizer *t, postprocessor *out)
{
    const postprocessor_kind *kind = LOADER_ROW(l, value, "post_processor", postprocessor_kinds);
    return kind && kind->load(l, value, t, out);
}

bool postprocessor_load(loader *l, const json_t *value, const tokenizer *t, postprocessor *out)
{
    *out = (postprocessor){0};
    if (value && !json_is_null(value) && !load_one(l, value, t, out))
        return false;
    return out->has_template || default_templates(l, out);
}
