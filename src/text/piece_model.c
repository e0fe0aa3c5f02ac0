/* Piece models: the table, and what all of them read the same way: a vocabulary {"piece": id} and an unknown token. */
#include "text/piece_model.h"

#include <stdio.h>

#include "base/memory.h"
#include "base/number.h"

static const piece_model_kind *const piece_model_kinds[] = {
    &piece_model_bpe, &piece_model_wordpiece, &piece_model_wordlevel, &piece_model_unigram, &piece_model_sentencepiece_bpe,
};

enum { PIECE_MODEL_KINDS = sizeof(piece_model_kinds) / sizeof(piece_model_kinds[0]) };

void model_tokens_add(model_tokens *list, int32_t id, size_t begin, size_t end)
{
    if (list->failed)
        return;
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 32;
        model_token *grown = memory_resize(list->items, capacity, sizeof(*grown));
        if (!grown) {
            list->failed = true;
            return;
        }
        list->items = grown;
        list->capacity = capacity;
    }
    list->items[list->count++] = (model_token){id, (uint32_t)begin, (uint32_t)end};
}

void model_tokens_fini(model_tokens *list)
{
    memory_free(list->items);
    *list = (model_tokens){0};
}

/* ---- vocabulary -------------------------------------------------------------------------------------------------- */

/* A value as it stands in the file, for messages. */
static const char *show_value(char room[NUMBER_ROOM + QUOTE_ROOM], const json_t *value)
{
    if (json_is_integer(value))
        snprintf(room, NUMBER_ROOM, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        number_shortest_f64(room, json_real_value(value));
    else if (json_is_string(value))
        quote_into(room, (view){json_string_value(value), json_string_length(value)});
    else
        return json_kind_name(value);
    return room;
}

static bool fail_repeat(loader *l, const vocabulary *v, view piece, int32_t id, size_t other)
{
    view old = vocabulary_text(v, other);
    fail(l->error, TKR_E_TOK_DUPLICATE, "%s: %s and %s both have id %d", l->file, QUOTE(old), QUOTE(piece), id);
    return false;
}

static bool vocabulary_put(loader *l, vocabulary *v, view piece, const json_t *value)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > PIECE_ID_MOST) {
        char room[NUMBER_ROOM + QUOTE_ROOM];
        fail(l->error, TKR_E_TOK_ID, "%s: id of %s is %s; it must be 0 to %d", l->file, QUOTE(piece),
             show_value(room, value), PIECE_ID_MOST);
        return false;
    }
    if (piece.size > PIECE_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s in the vocabulary has %zu bytes, the limit is %d", l->file,
             QUOTE(piece), piece.size, PIECE_BYTES_MOST);
        return false;
    }
    size_t other = 0;
    int32_t id = (int32_t)json_integer_value(value);
    switch (vocabulary_add(v, piece, id, &other)) {
    case VOCABULARY_ADDED: return true;
    case VOCABULARY_NO_MEMORY: fail_memory(l->error, l->file, v->bytes_used + piece.size); return false;
    case VOCABULARY_SAME_PIECE: /* never: keys of an object are unique */
    case VOCABULARY_SAME_ID: break;
    }
    return fail_repeat(l, v, piece, id, other);
}

static bool vocabulary_load(loader *l, const json_t *object, vocabulary *v)
{
    json_t *pieces = json_object_get(object, "vocab");
    if (!json_is_object(pieces)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: vocab of the model is %s; it must be an object", l->file,
             json_kind_name(pieces));
        return false;
    }
    if (json_object_size(pieces) > (size_t)PIECE_ID_MOST + 1) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: vocab has %zu entries, the limit is %d", l->file,
             json_object_size(pieces), PIECE_ID_MOST + 1);
        return false;
    }
    if (!vocabulary_reserve(v, json_object_size(pieces), json_object_size(pieces) * 8)) {
        fail_memory(l->error, l->file, json_object_size(pieces) * 8);
        return false;
    }
    for (void *at = json_object_iter(pieces); at; at = json_object_iter_next(pieces, at)) {
        view piece = {json_object_iter_key(at), json_object_iter_key_len(at)};
        if (!vocabulary_put(l, v, piece, json_object_iter_value(at)))
            return false;
    }
    return true;
}

bool piece_model_unknown(loader *l, const json_t *object, const vocabulary *v, const char *otherwise, tkr_status code,
                         int32_t *out)
{
    view name = view_of(otherwise);
    if (!loader_text(l, object, "unk_token", false, &name))
        return false;
    *out = vocabulary_id(v, name);
    if (*out >= 0)
        return true;
    fail(l->error, code, "%s: unk_token %s is not in the vocabulary", l->file, QUOTE(name));
    return false;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

static const piece_model_kind *find_kind(loader *l, const json_t *object)
{
    for (size_t i = 0; i < PIECE_MODEL_KINDS && !json_object_get(object, "type"); i++)
        if (piece_model_kinds[i]->fits(object))
            return piece_model_kinds[i];
    part_name names[PIECE_MODEL_KINDS];
    for (size_t i = 0; i < PIECE_MODEL_KINDS; i++)
        names[i] = piece_model_kinds[i]->part;
    const part_name *row = LOADER_ROW(l, object, "model", names);
    return row ? piece_model_kinds[row - names] : NULL;
}

bool piece_model_load(loader *l, const json_t *object, vocabulary *v, piece_model *out)
{
    out->kind = find_kind(l, object);
    if (!out->kind)
        return false;
    if (v->count == 0 && !(out->kind->vocabulary ? out->kind->vocabulary(l, object, v) : vocabulary_load(l, object, v)))
        return false;
    out->data = out->kind->load(l, object, v);
    return out->data != NULL;
}

void piece_model_fini(piece_model *m)
{
    if (m->data && m->kind->free)
        m->kind->free(m->data);
    *m = (piece_model){0};
}
