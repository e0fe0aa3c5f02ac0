/* Questions about an open tokenizer. */
#include "text/tokenizer_room.h"

int32_t tokenizer_id(const tokenizer *t, view string)
{
    int32_t index = added_index(&t->added, string);
    return index >= 0 ? t->added.items[index].id : vocabulary_id(&t->vocabulary, string);
}

const char *tokenizer_piece(const tokenizer *t, int32_t id)
{
    const added_token *added = added_of_id(&t->added, id);
    return added ? added->content.data : vocabulary_piece_of(&t->vocabulary, id).data;
}

size_t tokenizer_limit(const tokenizer *t)
{
    return t->added.id_limit > t->vocabulary.id_limit ? t->added.id_limit : t->vocabulary.id_limit;
}

int32_t tokenizer_role_id(const tokenizer *t, tkr_special role)
{
    return role > TKR_SPECIAL_NONE && role < TKR_SPECIAL_OTHER ? t->roles[role] : -1;
}

tkr_special tokenizer_role(const tokenizer *t, int32_t id)
{
    for (tkr_special role = TKR_SPECIAL_CLS; role < TKR_SPECIAL_OTHER; role++)
        if (id >= 0 && t->roles[role] == id)
            return role;
    const added_token *added = added_of_id(&t->added, id);
    return added && added->special ? TKR_SPECIAL_OTHER : TKR_SPECIAL_NONE;
}

bool tokenizer_is_ordinary(const tokenizer *t, int32_t id)
{
    return vocabulary_piece_of(&t->vocabulary, id).data && !added_of_id(&t->added, id) &&
           tokenizer_role(t, id) == TKR_SPECIAL_NONE;
}

size_t tokenizer_max_length(const tokenizer *t) { return t->max_length; }
bool tokenizer_uses_segments(const tokenizer *t) { return t->uses_segments; }
const char *tokenizer_file(const tokenizer *t) { return t->file; }
const char *tokenizer_sha256(const tokenizer *t) { return t->sha256; }

const char *tokenizer_note(const tokenizer *t, size_t index)
{
    return index < t->note_count ? t->notes[index] : NULL;
}
