/* WordLevel: a piece is in the vocabulary as a whole, or unknown. */
#include "text/piece_model.h"

typedef struct wordlevel {
    int32_t unknown;
} wordlevel;

static bool wordlevel_fits(const json_t *object)
{
    return json_is_object(json_object_get(object, "vocab")) && json_object_get(object, "unk_token") &&
           !json_object_get(object, "merges");
}

static void *wordlevel_load(loader *l, const json_t *object, const vocabulary *v)
{
    wordlevel *m = LOADER_NEW(l, wordlevel, 1);
    if (!m || !piece_model_unknown(l, object, v, "<unk>", TKR_E_UNSUPPORTED_TOK_PART, &m->unknown))
        return NULL;
    return m;
}

static void wordlevel_run(const void *data, const vocabulary *v, view piece, model_tokens *out)
{
    const wordlevel *m = data;
    int32_t id = vocabulary_id(v, piece);
    model_tokens_add(out, id >= 0 ? id : m->unknown, 0, piece.size);
}

static int32_t wordlevel_unknown(const void *data)
{
    return ((const wordlevel *)data)->unknown;
}

const piece_model_kind piece_model_wordlevel = {
    .part = {"WordLevel"},
    .fits = wordlevel_fits,
    .load = wordlevel_load,
    .run = wordlevel_run,
    .unknown = wordlevel_unknown,
};
