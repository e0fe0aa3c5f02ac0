/*
 * The normalizer and the decoder of SentencePiece itself, for models that no known family wraps.
 *
 * Known to go wrong: SentencePiece takes the longest key of its character map where the `tokenizers` library takes the
 * shortest of a cluster; offsets are its "surface": a token goes up to where the next one begins, so that white space that
 * was collapsed belongs to the token before whose character it stands, and a prefix alone covers nothing; in decoded text
 * only the very first prefix is dropped; a key of a damaged map may end inside a character, whose rest is then no text.
 * Source: SentencePiece, normalizer.cc and sentencepiece_processor.cc.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/charsmap.h"
#include "text/sentencepiece.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* for bytes that are no character */

static const view sign = {"\xE2\x96\x81", 3}; /* the visible space */

/* ---- sets of strings --------------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    const view *x = a, *y = b;
    size_t both = x->size < y->size ? x->size : y->size;
    int order = both ? memcmp(x->data, y->data, both) : 0;
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

void symbol_set_sort(symbol_set *set)
{
    if (set->count > 0)
        qsort(set->items, set->count, sizeof(*set->items), by_bytes);
}

bool symbol_set_load(loader *l, const json_t *object, const char *key, symbol_set *out)
{
    const json_t *list = loader_array(l, object, key, (size_t)PIECE_ID_MOST + 1);
    *out = (symbol_set){0};
    if (!list || !(out->items = LOADER_NEW(l, view, json_array_size(list))))
        return false;
    for (; out->count < json_array_size(list); out->count++)
        if (!loader_string(l, json_array_get(list, out->count), key, &out->items[out->count]))
            return false;
    symbol_set_sort(out);
    return true;
}

/* First item of [low, high) whose byte `depth` is at least `byte`; all are longer than `depth`. */
static size_t first_from(const symbol_set *set, size_t low, size_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if ((unsigned char)set->items[middle].data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Pass items of at most `size` bytes, which stand before the longer ones that they begin; there may be several alike. */
static size_t pass_short(const symbol_set *set, size_t low, size_t high, size_t size)
{
    while (low < high && set->items[low].size <= size)
        low++;
    return low;
}

size_t symbol_set_longest(const symbol_set *set, view text)
{
    size_t low = pass_short(set, 0, set->count, 0), high = set->count, longest = 0;
    for (size_t depth = 0; depth < text.size && low < high; depth++) {
        unsigned byte = (unsigned char)text.data[depth];
        low = first_from(set, low, high, depth, byte);
        high = first_from(set, low, high, depth, byte + 1);
        if (low < high && set->items[low].size == depth + 1) {
            longest = depth + 1;
            low = pass_short(set, low, high, longest);
        }
    }
    return longest;
}

/* ---- normalizer -------------------------------------------------------------------------------------------------- */

typedef struct spaces {
    bool has_map, dummy_prefix, removes, escapes, suffix;
    charsmap map;
    symbol_set user_defined; /* stay as they are */
} spaces;

const void *sentencepiece_normalizer_load(loader *l, const json_t *object)
{
    spaces *s = LOADER_NEW(l, spaces, 1);
    if (!s || !loader_flag(l, object, "add_dummy_prefix", &s->dummy_prefix) ||
        !loader_flag(l, object, "remove_extra_whitespaces", &s->removes) ||
        !loader_flag(l, object, "escape_whitespaces", &s->escapes) ||
        !loader_flag(l, object, "treat_whitespace_as_suffix", &s->suffix) ||
        !symbol_set_load(l, object, "user_defined", &s->user_defined))
        return NULL;
    const json_t *map = json_object_get(object, "precompiled_charsmap");
    s->has_map = map && !json_is_null(map);
    return !s->has_map || charsmap_load(l, object, "precompiled_charsmap", &s->map) ? s : NULL;
}

/* What the text begins with, normalised; returns the bytes it stands for. */
static size_t normalize_prefix(const spaces *s, view text, view *out)
{
    size_t bytes = symbol_set_longest(&s->user_defined, text);
    if (bytes == 0 && s->has_map && (bytes = charsmap_longest(&s->map, text, out)) > 0)
        return bytes;
    uint32_t c;
    if (bytes == 0 && (bytes = utf8_decode(text, 0, &c)) == 0) {
        *out = VIEW(REPLACEMENT); /* behind a key that is no whole character */
        return 1;
    }
    *out = view_slice(text, 0, bytes);
    return bytes;
}

/* Text on its way: the new one, and where in the user's text each old byte came from. */
typedef struct space_pass {
    const spaces *settings;
    const normalized *old;
    normalized fresh;
    size_t at; /* in the old text */
} space_pass;

static uint32_t place(const normalized *n, size_t at)
{
    return at < n->size ? n->from[at].begin : n->from[n->size - 1].end;
}

static void put(space_pass *p, view bytes)
{
    uint32_t from = place(p->old, p->at);
    normalized_put(&p->fresh, bytes.data, bytes.size, (text_range){from, from});
}

static view space_of(const spaces *s)
{
    return s->escapes ? sign : VIEW(" ");
}

static void put_escaped(space_pass *p, view text)
{
    for (size_t i = 0; i < text.size; i++)
        put(p, text.data[i] == ' ' ? space_of(p->settings) : view_slice(text, i, i + 1));
}

static void skip_front_spaces(space_pass *p)
{
    view all = normalized_view(p->old), fresh;
    while (p->at < all.size) {
        size_t bytes = normalize_prefix(p->settings, view_slice(all, p->at, all.size), &fresh);
        if (!view_is(fresh, " "))
            break;
        p->at += bytes;
    }
}

static void put_all(space_pass *p)
{
    view all = normalized_view(p->old), fresh;
    bool after_space = p->settings->removes;
    while (p->at < all.size && normalized_ok(&p->fresh)) {
        size_t bytes = normalize_prefix(p->settings, view_slice(all, p->at, all.size), &fresh);
        while (after_space && fresh.size > 0 && fresh.data[0] == ' ')
            fresh = view_slice(fresh, 1, fresh.size);
        put_escaped(p, fresh);
        if (fresh.size > 0)
            after_space = p->settings->removes && fresh.data[fresh.size - 1] == ' ';
        p->at += bytes;
    }
}

/* Take spaces off the end; the text then ends where they began. */
static uint32_t drop_last_spaces(space_pass *p)
{
    uint32_t end = place(p->old, p->at);
    view space = space_of(p->settings);
    normalized *n = &p->fresh;
    while (p->settings->removes && n->size >= space.size &&
           memcmp(n->text + n->size - space.size, space.data, space.size) == 0) {
        n->size -= space.size;
        end = n->from[n->size].begin;
    }
    return end;
}

void sentencepiece_normalizer_run(const void *data, normalized *text)
{
    space_pass p = {.settings = data, .old = text};
    if (text->size == 0)
        return;
    if (p.settings->removes)
        skip_front_spaces(&p);
    bool has_text = p.at < text->size;
    if (has_text && p.settings->dummy_prefix && !p.settings->suffix)
        put(&p, space_of(p.settings));
    put_all(&p);
    if (normalized_ok(&p.fresh)) {
        uint32_t end = drop_last_spaces(&p);
        if (has_text && p.settings->dummy_prefix && p.settings->suffix)
            normalized_put(&p.fresh, space_of(p.settings).data, space_of(p.settings).size, (text_range){end, end});
        for (size_t i = 0; normalized_ok(&p.fresh) && i < p.fresh.size; i++)
            p.fresh.from[i].end = i + 1 < p.fresh.size ? p.fresh.from[i + 1].begin : end;
    }
    normalized_fini(text);
    *text = p.fresh;
}

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

typedef struct unpieces {
    symbol_set control;       /* invisible */
    view unknown, surface;
    bool byte_fallback, strips_first, strips_all;
} unpieces;

const void *sentencepiece_decoder_load(loader *l, const json_t *object)
{
    unpieces *u = LOADER_NEW(l, unpieces, 1);
    bool good = u && symbol_set_load(l, object, "control", &u->control) &&
                loader_text(l, object, "unknown", true, &u->unknown) &&
                loader_text(l, object, "surface", true, &u->surface) &&
                loader_flag(l, object, "byte_fallback", &u->byte_fallback) &&
                loader_flag(l, object, "add_dummy_prefix", &u->strips_first) &&
                loader_flag(l, object, "remove_extra_whitespaces", &u->strips_all);
    return good ? u : NULL;
}

/* Bytes as text, with U+FFFD for each that is no part of a character.  Empties the run. */
static void put_bytes(buffer *out, buffer *run)
{
    view bytes = buffer_as_view(run);
    for (size_t at = 0, size; at < bytes.size; at += size) {
        uint32_t c;
        size = utf8_decode(bytes, at, &c);
        buffer_view(out, size ? view_slice(bytes, at, at + size) : VIEW(REPLACEMENT));
        size += size == 0;
    }
    buffer_clear(run);
}

/* Append an ordinary piece.  True: its prefix was the one that is dropped. */
static bool put_piece(const unpieces *u, buffer *out, view piece, bool may_strip)
{
    bool strips = may_strip && (u->strips_first || u->strips_all) && view_begins(piece, sign);
    if (strips)
        piece = view_slice(piece, sign.size, piece.size);
    for (size_t at = 0; at < piece.size;) {
        bool is_sign = view_begins(view_slice(piece, at, piece.size), sign);
        buffer_byte(out, is_sign ? ' ' : piece.data[at]);
        at += is_sign ? sign.size : 1;
    }
    return strips && !u->strips_all;
}

void sentencepiece_decoder_run(const void *data, token_strings *s)
{
    const unpieces *u = data;
    token_strings fresh;
    token_strings_init(&fresh);
    buffer run;
    buffer_init(&run, fresh.text.maximum);
    bool may_strip = true, stripped = false;
    for (size_t i = 0; i < s->count && buffer_ok(&fresh.text) && buffer_ok(&run); i++) {
        view piece = token_strings_get(s, i);
        int byte = u->byte_fallback ? token_byte(piece) : -1;
        if (byte >= 0) {
            buffer_byte(&run, (char)byte);
            continue;
        }
        put_bytes(&fresh.text, &run);
        may_strip &= !stripped && fresh.text.size == 0;
        stripped = false;
        if (view_equal(piece, u->unknown))
            buffer_view(&fresh.text, u->surface);
        else if (symbol_set_longest(&u->control, piece) != piece.size)
            stripped = put_piece(u, &fresh.text, piece, may_strip);
    }
    fresh.failed |= !buffer_ok(&run);
    put_bytes(&fresh.text, &run);
    buffer_fini(&run);
    token_strings_close(&fresh);
    token_strings_swap(s, &fresh);
}
