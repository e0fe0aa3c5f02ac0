/*
 * WordPiece: the longest piece of the vocabulary that begins the word, then the longest that goes on, until the word is
 * over; if nothing goes on, the whole word is unknown.
 *
 * Words are at most max_input_chars_per_word characters.  Usually that is 100, and trying each length costs little: the
 * hash of all beginnings comes out of one pass.  A tokenizer that allows longer words gets the longest pieces of all
 * places of a word from a matcher instead, so that time stays linear whatever the vocabulary is.
 *
 * Known to go wrong: the limit counts characters, not bytes; a word over it is one unknown token; the longest piece is
 * looked for among whole characters.
 * Source: Wu et al. 2016, "Google's Neural Machine Translation System", section 4.1, as BERT's tokenizer applies it.
 */
#include "base/memory.h"
#include "base/utf8.h"
#include "text/matcher.h"
#include "text/piece_model.h"

enum { WORDPIECE_SHORT = 256, WORDPIECE_CHARS_MOST = 10000, WORDPIECE_PREFIX_MOST = 16 };

typedef struct wordpiece {
    int32_t unknown;
    size_t most_chars;
    view prefix;           /* "##"                                            */
    uint32_t prefix_hash;
    matcher *first, *next; /* long words only: pieces that begin, that go on  */
    int32_t *first_ids, *next_ids;
} wordpiece;

static bool wordpiece_fits(const json_t *object)
{
    return json_is_object(json_object_get(object, "vocab")) && !json_object_get(object, "merges") &&
           json_object_get(object, "continuing_subword_prefix") && json_object_get(object, "max_input_chars_per_word");
}

static void wordpiece_free(void *data)
{
    wordpiece *m = data;
    matcher_free(m->first);
    matcher_free(m->next);
    memory_free(m->first_ids);
    memory_free(m->next_ids);
}

/* Pieces that begin with prefix, without it. */
static bool build_matcher(const vocabulary *v, view prefix, matcher **out, int32_t **ids)
{
    matcher *m = *out = matcher_new();
    *ids = NEW(int32_t, v->count);
    bool good = m && *ids;
    size_t patterns = 0;
    for (size_t i = 0; good && i < v->count; i++) {
        view piece = vocabulary_text(v, i);
        if (!view_begins(piece, prefix))
            continue;
        good = matcher_add(m, view_slice(piece, prefix.size, piece.size));
        (*ids)[patterns++] = v->pieces[i].id;
    }
    return good && matcher_finish(m);
}

static bool wordpiece_read(loader *l, const json_t *object, const vocabulary *v, wordpiece *m)
{
    int64_t most = 100;
    m->prefix = VIEW("##");
    const json_t *limit = json_object_get(object, "max_input_chars_per_word");
    if (!piece_model_unknown(l, object, v, "[UNK]", TKR_E_TOK_WORDPIECE, &m->unknown) ||
        !loader_text(l, object, "continuing_subword_prefix", false, &m->prefix))
        return false;
    if (limit && !json_is_null(limit) &&
        !json_get_int(object, l->file, "max_input_chars_per_word", 1, WORDPIECE_CHARS_MOST, &most, TKR_E_TOK_WORDPIECE,
                      l->error))
        return false;
    if (m->prefix.size > WORDPIECE_PREFIX_MOST) {
        fail(l->error, TKR_E_TOK_WORDPIECE, "%s: continuing_subword_prefix %s has %zu bytes; it must be at most %d",
             l->file, QUOTE(m->prefix), m->prefix.size, WORDPIECE_PREFIX_MOST);
        return false;
    }
    m->most_chars = (size_t)most;
    m->prefix_hash = vocabulary_hash_more(VOCABULARY_HASH_START, m->prefix);
    return true;
}

static void *wordpiece_load(loader *l, const json_t *object, const vocabulary *v)
{
    wordpiece *m = LOADER_NEW(l, wordpiece, 1);
    if (!m || !wordpiece_read(l, object, v, m))
        return NULL;
    if (m->most_chars <= WORDPIECE_SHORT)
        return m;
    if (build_matcher(v, VIEW(""), &m->first, &m->first_ids) && build_matcher(v, m->prefix, &m->next, &m->next_ids))
        return m;
    wordpiece_free(m);
    fail_memory(l->error, l->file, v->bytes_used);
    return NULL;
}

/* Id and end of the longest piece at `begin`; *end = begin when there is none. */
static int32_t longest_piece(const wordpiece *m, const vocabulary *v, view word, size_t begin, size_t *end)
{
    uint32_t hashes[4 * WORDPIECE_SHORT];
    view prefix = begin > 0 ? m->prefix : VIEW("");
    uint32_t hash = begin > 0 ? m->prefix_hash : (uint32_t)VOCABULARY_HASH_START;
    size_t room = v->longest > prefix.size ? v->longest - prefix.size : 0;
    size_t last = word.size - begin < room ? word.size : begin + room;
    for (size_t at = begin; at < last; at++)
        hashes[at - begin] = hash = vocabulary_hash_step(hash, word.data[at]);
    for (size_t at = last; at > begin; at--) {
        if (at < word.size && ((unsigned char)word.data[at] & 0xC0) == 0x80)
            continue; /* inside a character */
        int32_t id = vocabulary_find(v, hashes[at - begin - 1], prefix, view_slice(word, begin, at));
        if (id >= 0) {
            *end = at;
            return id;
        }
    }
    *end = begin;
    return -1;
}

/* False when the word cannot be cut whole. */
static bool run_short(const wordpiece *m, const vocabulary *v, view word, model_tokens *out)
{
    for (size_t begin = 0, end = 0; begin < word.size; begin = end) {
        int32_t id = longest_piece(m, v, word, begin, &end);
        if (id < 0)
            return false;
        model_tokens_add(out, id, begin, end);
    }
    return true;
}

static bool run_long(const wordpiece *m, view word, model_tokens *out)
{
    int32_t *first = NEW(int32_t, word.size), *next = NEW(int32_t, word.size);
    bool whole = first && next;
    if (whole) {
        matcher_run(m->first, word, first);
        matcher_run(m->next, word, next);
    } else {
        out->failed = true;
    }
    for (size_t begin = 0, end = 0; whole && begin < word.size; begin = end) {
        const matcher *by = begin > 0 ? m->next : m->first;
        int32_t pattern = begin > 0 ? next[begin] : first[begin];
        whole = pattern >= 0;
        if (!whole)
            break;
        end = begin + matcher_size(by, pattern);
        model_tokens_add(out, begin > 0 ? m->next_ids[pattern] : m->first_ids[pattern], begin, end);
    }
    memory_free(first);
    memory_free(next);
    return whole;
}

static void wordpiece_run(const void *data, const vocabulary *v, view word, model_tokens *out)
{
    const wordpiece *m = data;
    size_t before = out->count;
    bool fits = word.size <= m->most_chars || utf8_count(word) <= m->most_chars;
    if (fits && (m->first ? run_long(m, word, out) : run_short(m, v, word, out)))
        return;
    out->count = before;
    model_tokens_add(out, m->unknown, 0, word.size);
}

static int32_t wordpiece_unknown(const void *data)
{
    return ((const wordpiece *)data)->unknown;
}

const piece_model_kind piece_model_wordpiece = {
    .part = {"WordPiece"},
    .fits = wordpiece_fits,
    .load = wordpiece_load,
    .run = wordpiece_run,
    .free = wordpiece_free,
    .unknown = wordpiece_unknown,
};
