/*
 * Added tokens.
 *
 * Known to go wrong: the reference ignores the written id of an entry and numbers what the vocabulary lacks from the
 * vocabulary's size on, in file order; where that is not the written id, one of the two would be silently wrong, so we
 * stop.  A match that single_word throws away is not searched again.  Spaces swallowed by lstrip never reach into the
 * match before.  Spaces swallowed by rstrip are not searched again either; the reference does search them and can report
 * tokens that overlap, without bound in a long run of spaces.
 */
#include "text/added.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "text/unicode.h"

enum { ADDED_BYTES_MOST = 4 << 20 };

void added_fini(added_tokens *a)
{
    memory_free(a->items);
    memory_free(a->by_id);
    memory_free(a->raw_tokens);
    memory_free(a->normal_tokens);
    vocabulary_fini(&a->by_content);
    matcher_free(a->raw);
    matcher_free(a->normal);
    *a = (added_tokens){0};
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

bool added_read_flags(loader *l, const json_t *entry, added_token *token)
{
    if (!loader_flag(l, entry, "single_word", &token->single_word) || !loader_flag(l, entry, "lstrip", &token->lstrip) ||
        !loader_flag(l, entry, "rstrip", &token->rstrip) || !loader_flag(l, entry, "special", &token->special))
        return false;
    token->normalized = !token->special;
    return loader_flag(l, entry, "normalized", &token->normalized);
}

static bool added_replace(loader *l, added_token *old, added_token token)
{
    if (token.wanted >= 0 && old->wanted >= 0 && token.wanted != old->wanted) {
        fail(l->error, TKR_E_TOK_ADDED, "%s: added token %s wants id %lld, %s gives it %lld", token.file,
             QUOTE(token.content), (long long)token.wanted, old->file, (long long)old->wanted);
        return false;
    }
    if (token.wanted < 0)
        token.wanted = old->wanted;
    token.content = old->content;
    *old = token;
    return true;
}

static bool added_grow(loader *l, added_tokens *a)
{
    if (a->count < a->capacity)
        return true;
    size_t capacity = a->capacity ? a->capacity * 2 : 16;
    added_token *grown = memory_resize(a->items, capacity, sizeof(*grown));
    if (!grown) {
        fail_memory(l->error, l->file, capacity * sizeof(*grown));
        return false;
    }
    a->items = grown;
    a->capacity = capacity;
    return true;
}

bool added_put(loader *l, added_tokens *a, added_token token)
{
    if (token.content.size == 0)
        return true; /* as the reference */
    int32_t index = added_index(a, token.content);
    if (index >= 0)
        return added_replace(l, &a->items[index], token);
    if (a->count >= ADDED_MOST || a->by_content.bytes_used + token.content.size > ADDED_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: more than %d added tokens or %d bytes of them", token.file, ADDED_MOST,
             ADDED_BYTES_MOST);
        return false;
    }
    if (!added_grow(l, a))
        return false;
    size_t other;
    if (vocabulary_add(&a->by_content, token.content, (int32_t)a->count, &other) != VOCABULARY_ADDED) {
        fail_memory(l->error, l->file, token.content.size);
        return false;
    }
    a->items[a->count++] = token;
    return true;
}

/* The id asked for is not the id the token gets: who has it, or what it would be. */
static bool fail_id(loader *l, const added_tokens *a, const vocabulary *v, const added_token *token)
{
    view owner = vocabulary_piece_of(v, token->wanted <= PIECE_ID_MOST ? (int32_t)token->wanted : -1);
    for (size_t i = 0; !owner.data && i < a->count && &a->items[i] != token; i++)
        if (a->items[i].id == token->wanted)
            owner = a->items[i].content;
    if (owner.data)
        fail(l->error, TKR_E_TOK_ADDED, "%s: added token %s wants id %lld, which is %s", token->file,
             QUOTE(token->content), (long long)token->wanted, QUOTE(owner));
    else
        fail(l->error, TKR_E_TOK_ADDED, "%s: added token %s wants id %lld; by its place it has %d", token->file,
             QUOTE(token->content), (long long)token->wanted, token->id);
    fail_help(l->error, "tokens that the vocabulary lacks are numbered from its size (%zu) on", v->count);
    return false;
}

bool added_number(loader *l, added_tokens *a, const vocabulary *v)
{
    int64_t next = (int64_t)v->count, highest = -1;
    for (size_t i = 0; i < a->count; i++) {
        added_token *token = &a->items[i];
        token->id = vocabulary_id(v, token->content);
        if (token->id < 0) {
            int64_t id = highest >= next ? highest + 1 : next;
            if (id > PIECE_ID_MOST) {
                fail(l->error, TKR_E_TOK_ID, "%s: id of added token %s is %lld; it must be 0 to %d", token->file,
                     QUOTE(token->content), (long long)id, PIECE_ID_MOST);
                return false;
            }
            token->id = (int32_t)id;
        }
        if (token->wanted >= 0 && token->wanted != token->id)
            return fail_id(l, a, v, token);
        view owner = vocabulary_piece_of(v, token->id);
        if (owner.data && !view_equal(owner, token->content)) { /* a vocabulary with gaps, numbered past its size */
            fail(l->error, TKR_E_TOK_ADDED, "%s: added token %s gets id %d, which is %s", token->file,
                 QUOTE(token->content), token->id, QUOTE(owner));
            return false;
        }
        if (token->id > highest)
            highest = token->id;
    }
    return true;
}

/* Fill in token->decoded, which is also the pattern the text is searched for. */
static bool added_normalize(loader *l, added_token *token, const normalizer *n)
{
    token->decoded = token->content;
    if (!token->normalized)
        return true;
    normalized text = {0};
    normalized_append_source(&text, token->content, 0, token->content.size);
    normalizer_run(n, &text);
    const char *copy = normalized_ok(&text) ? arena_copy_text(l->memory, normalized_view(&text)) : NULL;
    if (copy)
        token->decoded = (view){copy, text.size};
    normalized_fini(&text);
    return copy != NULL;
}

/* One of the two sets: special tokens first, as the reference orders them. */
static bool added_build(added_tokens *a, bool normal, matcher **out, int32_t **tokens)
{
    matcher *m = *out = matcher_new();
    int32_t *index = *tokens = NEW(int32_t, a->count);
    size_t patterns = 0;
    bool good = m && index;
    for (int special = 1; special >= 0; special--) {
        for (size_t i = 0; good && i < a->count; i++) {
            const added_token *token = &a->items[i];
            if (token->normalized != normal || token->special != (special == 1))
                continue;
            good = matcher_add(m, token->decoded);
            index[patterns++] = (int32_t)i;
        }
    }
    return good && matcher_finish(m);
}

static bool added_index_ids(added_tokens *a)
{
    for (size_t i = 0; i < a->count; i++)
        if ((size_t)a->items[i].id >= a->id_limit)
            a->id_limit = (size_t)a->items[i].id + 1;
    a->by_id = NEW(uint32_t, a->id_limit);
    for (size_t i = 0; a->by_id && i < a->count; i++)
        a->by_id[a->items[i].id] = (uint32_t)i + 1;
    return a->by_id != NULL;
}

bool added_finish(loader *l, added_tokens *a, const normalizer *n)
{
    bool good = added_index_ids(a);
    for (size_t i = 0; good && i < a->count; i++)
        good = added_normalize(l, &a->items[i], n);
    if (good && added_build(a, false, &a->raw, &a->raw_tokens) && added_build(a, true, &a->normal, &a->normal_tokens))
        return true;
    fail_memory(l->error, "added tokens", a->by_content.bytes_used);
    return false;
}

int32_t added_index(const added_tokens *a, view content)
{
    return vocabulary_id(&a->by_content, content);
}

const added_token *added_of_id(const added_tokens *a, int32_t id)
{
    return id >= 0 && (size_t)id < a->id_limit && a->by_id[id] ? &a->items[a->by_id[id] - 1] : NULL;
}

/* ---- searching --------------------------------------------------------------------------------------------------- */

/* First byte of the character that ends at `end`. */
static size_t character_before(view text, size_t end)
{
    size_t at = end - 1;
    while (at > 0 && ((unsigned char)text.data[at] & 0xC0) == 0x80)
        at--;
    return at;
}

static bool is_whole_word(view text, size_t begin, size_t end)
{
    uint32_t c = 0;
    if (begin > 0 && utf8_decode(text, character_before(text, begin), &c) && unicode_is_word(c))
        return false;
    return end == text.size || !utf8_decode(text, end, &c) || !unicode_is_word(c);
}

static size_t spaces_before(view text, size_t begin, size_t floor)
{
    while (begin > floor) {
        uint32_t c = 0;
        size_t at = character_before(text, begin);
        if (!utf8_decode(text, at, &c) || !unicode_is_space(c))
            break;
        begin = at;
    }
    return begin > floor ? begin : floor;
}

static size_t spaces_after(view text, size_t end)
{
    uint32_t c = 0;
    size_t bytes;
    while (end < text.size && (bytes = utf8_decode(text, end, &c)) > 0 && unicode_is_space(c))
        end += bytes;
    return end;
}

static void split_by(const added_tokens *a, const matcher *m, const int32_t *tokens, const int32_t *longest, view text,
                     size_t base, piece_list *out)
{
    size_t done = 0; /* end of the last match */
    for (size_t at = 0; at < text.size;) {
        if (longest[at] < 0) {
            at++;
            continue;
        }
        const added_token *token = &a->items[tokens[longest[at]]];
        size_t begin = at, end = at + matcher_size(m, longest[at]);
        at = end;
        if (begin < done || (token->single_word && !is_whole_word(text, begin, end)))
            continue;
        if (token->lstrip)
            begin = spaces_before(text, begin, done);
        if (token->rstrip)
            end = spaces_after(text, end);
        if (done < begin)
            pieces_add(out, base + done, base + begin, -1);
        pieces_add(out, base + begin, base + end, (int32_t)(token - a->items));
        done = end;
    }
    if (done < text.size)
        pieces_add(out, base + done, base + text.size, -1);
}

void added_split(const added_tokens *a, bool normal, view text, size_t base, piece_list *out)
{
    const matcher *m = normal ? a->normal : a->raw;
    if (matcher_is_empty(m) || text.size == 0) {
        pieces_add(out, base, base + text.size, -1);
        return;
    }
    int32_t *longest = NEW(int32_t, text.size);
    if (!longest) {
        out->failed = true;
        return;
    }
    matcher_run(m, text, longest);
    split_by(a, m, normal ? a->normal_tokens : a->raw_tokens, longest, text, base, out);
    memory_free(longest);
}
