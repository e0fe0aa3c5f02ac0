/*
 * Byte-pair encoding, over the characters of byte-level text or over plain characters with bytes to fall back on.
 *
 * A piece begins as its characters; then, as long as some neighbours are a merge, the pair of the lowest rank (the leftmost
 * of equals) becomes one symbol.  Short pieces are searched anew after each merge.  Long ones keep their pairs in a heap
 * over a linked list, so that a text of one endless word costs n log n.
 *
 * Most words of a text are one piece of the vocabulary.  Which pieces are what the merges make of their own characters is
 * found out once, when the model is loaded: for those, one look into the vocabulary is all.
 *
 * Known to go wrong: what is unknown waits until the next known character, so with byte fallback in between it comes out
 * after the bytes; without an unknown token such characters vanish, and the offsets of those that follow move to the left;
 * the text of a merged pair lacks the prefix of its second part.
 * Source: Sennrich, Haddow, Birch 2016, "Neural machine translation of rare words with subword units", section 3.2; Radford
 * et al. 2019, "Language models are unsupervised multitask learners", section 2.2 (bytes).
 */
#include "base/memory.h"
#include "base/number.h"
#include "base/utf8.h"
#include "text/piece_model.h"

enum {
    BPE_SHORT = 64,       /* bytes of a piece that is searched anew after each merge */
    BPE_CHARACTERS = 0x800,
    BPE_AFFIX_MOST = 16,
    BPE_MERGES_MOST = 1 << 22,
    BPE_ID_BITS = 21,
};

#define BPE_ID_MASK (((uint64_t)1 << BPE_ID_BITS) - 1)
#define BPE_NO_SLOT UINT64_MAX
#define BPE_NO_RANK UINT32_MAX

typedef struct bpe {
    int32_t unknown;                    /* -1: none                                              */
    bool fuses_unknown, falls_back, ignores_merges;
    view prefix, suffix;                /* of all characters but the first; of the last          */
    uint64_t *slots;                    /* left id, right id, id of both: 21 bits each           */
    uint32_t *ranks;                    /* of each slot                                          */
    int slot_shift;
    size_t slot_count;
    int32_t characters[BPE_CHARACTERS]; /* ids of the first code points, without prefix, -1: none */
    int32_t bytes[256];                 /* ids of <0x00> to <0xFF>, -1: none                     */
    uint8_t *is_whole;                  /* a bit for each id: its piece is made by the merges     */
} bpe;

typedef struct bpe_symbol {
    int32_t id;
    uint32_t size; /* bytes; 0: merged into the one before */
} bpe_symbol;

typedef struct bpe_word {
    bpe_symbol *symbols;
    size_t count;
    int32_t waiting; /* an unknown token not put down yet, of so many bytes */
    uint32_t waiting_size;
} bpe_word;

/* ---- merges ------------------------------------------------------------------------------------------------------ */

static uint64_t pair_of(int32_t left, int32_t right)
{
    return (uint64_t)left << BPE_ID_BITS | (uint64_t)right;
}

/* The slot of a pair, or the free one where it would go. */
static inline size_t find_slot(const bpe *m, uint64_t pair)
{
    size_t slot = (size_t)((pair * 0x9E3779B97F4A7C15u) >> m->slot_shift);
    while (m->slots[slot] != BPE_NO_SLOT && m->slots[slot] >> BPE_ID_BITS != pair)
        slot = (slot + 1) & (m->slot_count - 1);
    return slot;
}

/* Rank of a pair, *id what it becomes; BPE_NO_RANK: no merge. */
static inline uint32_t find_merge(const bpe *m, int32_t left, int32_t right, int32_t *id)
{
    size_t slot = find_slot(m, pair_of(left, right));
    if (m->slots[slot] == BPE_NO_SLOT)
        return BPE_NO_RANK;
    *id = (int32_t)(m->slots[slot] & BPE_ID_MASK);
    return m->ranks[slot];
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static void merge_short(const bpe *m, bpe_word *w)
{
    uint32_t ranks[BPE_SHORT];
    int32_t made[BPE_SHORT];
    bpe_symbol *s = w->symbols;
    for (size_t i = 0; i + 1 < w->count; i++)
        ranks[i] = find_merge(m, s[i].id, s[i + 1].id, &made[i]);
    while (w->count > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < w->count; i++)
            if (ranks[i] < ranks[best])
                best = i;
        if (ranks[best] == BPE_NO_RANK)
            break;
        s[best] = (bpe_symbol){made[best], s[best].size + s[best + 1].size};
        w->count--;
        for (size_t i = best + 1; i < w->count; i++) {
            s[i] = s[i + 1];
            ranks[i] = ranks[i + 1];
            made[i] = made[i + 1];
        }
        if (best > 0)
            ranks[best - 1] = find_merge(m, s[best - 1].id, s[best].id, &made[best - 1]);
        if (best + 1 < w->count)
            ranks[best] = find_merge(m, s[best].id, s[best + 1].id, &made[best]);
    }
}

/* Pairs that wait, the lowest rank on top and of equals the leftmost: rank << 32 | position. */
typedef struct bpe_heap {
    uint64_t *keys;
    size_t count;
} bpe_heap;

static void heap_push(bpe_heap *h, uint64_t key)
{
    size_t at = h->count++;
    for (; at > 0 && h->keys[(at - 1) / 2] > key; at = (at - 1) / 2)
        h->keys[at] = h->keys[(at - 1) / 2];
    h->keys[at] = key;
}

static uint64_t heap_pop(bpe_heap *h)
{
    uint64_t top = h->keys[0], last = h->keys[--h->count];
    size_t at = 0;
    for (size_t child = 1; child < h->count; at = child, child = 2 * at + 1) {
        child += child + 1 < h->count && h->keys[child + 1] < h->keys[child];
        if (h->keys[child] >= last)
            break;
        h->keys[at] = h->keys[child];
    }
    h->keys[at] = last;
    return top;
}

typedef struct bpe_links {
    uint32_t *before, *after; /* neighbours of each symbol; its own position: none */
} bpe_links;

static void push_pair(const bpe *m, const bpe_word *w, bpe_heap *h, size_t left, size_t right)
{
    int32_t made;
    uint32_t rank = find_merge(m, w->symbols[left].id, w->symbols[right].id, &made);
    if (rank != BPE_NO_RANK)
        heap_push(h, (uint64_t)rank << 32 | left);
}

/* Take the top pair; one that has changed since it was pushed is passed over. */
static void merge_top(const bpe *m, bpe_word *w, bpe_heap *h, bpe_links *links)
{
    uint64_t top = heap_pop(h);
    size_t at = (uint32_t)top, right = links->after[at];
    bpe_symbol *s = w->symbols;
    int32_t made = -1;
    if (s[at].size == 0 || right == at || find_merge(m, s[at].id, s[right].id, &made) != top >> 32)
        return;
    s[at] = (bpe_symbol){made, s[at].size + s[right].size};
    s[right].size = 0;
    size_t next = links->after[right];
    bool has_next = next != right;
    links->after[at] = (uint32_t)(has_next ? next : at);
    if (has_next)
        links->before[next] = (uint32_t)at;
    if (links->before[at] != at)
        push_pair(m, w, h, links->before[at], at);
    if (has_next)
        push_pair(m, w, h, at, next);
}

/* False: out of memory. */
static bool merge_long(const bpe *m, bpe_word *w)
{
    bpe_heap h = {.keys = NEW(uint64_t, 2 * w->count)}; /* each merge takes one pair out and puts at most two in */
    bpe_links links = {NEW(uint32_t, w->count), NEW(uint32_t, w->count)};
    bool good = h.keys && links.before && links.after;
    for (size_t i = 0; good && i < w->count; i++) {
        links.before[i] = (uint32_t)(i > 0 ? i - 1 : i);
        links.after[i] = (uint32_t)(i + 1 < w->count ? i + 1 : i);
        if (i > 0)
            push_pair(m, w, &h, i - 1, i);
    }
    while (good && h.count > 0)
        merge_top(m, w, &h, &links);
    memory_free(h.keys);
    memory_free(links.before);
    memory_free(links.after);
    return good;
}

/* ---- characters -------------------------------------------------------------------------------------------------- */

static void word_put(bpe_word *w, int32_t id, size_t size)
{
    w->symbols[w->count++] = (bpe_symbol){id, (uint32_t)size};
}

static void word_flush(bpe_word *w)
{
    if (w->waiting_size > 0)
        word_put(w, w->waiting, w->waiting_size);
    w->waiting_size = 0;
}

/* The id of a character with what belongs around it. */
static int32_t affixed_id(const bpe *m, const vocabulary *v, view character, bool is_first, bool is_last)
{
    char text[2 * BPE_AFFIX_MOST + 4];
    size_t size = 0;
    view parts[3] = {is_first ? VIEW("") : m->prefix, character, is_last ? m->suffix : VIEW("")};
    for (size_t i = 0; i < 3; i++) {
        memcpy(text + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    return vocabulary_id(v, (view){text, size});
}

/* A character the vocabulary lacks. */
static void put_unknown(const bpe *m, bpe_word *w, view character)
{
    bool has_bytes = m->falls_back;
    for (size_t i = 0; i < character.size && has_bytes; i++)
        has_bytes = m->bytes[(unsigned char)character.data[i]] >= 0;
    if (has_bytes) {
        for (size_t i = 0; i < character.size; i++)
            word_put(w, m->bytes[(unsigned char)character.data[i]], 1);
    } else if (m->unknown >= 0) {
        if (!m->fuses_unknown)
            word_flush(w);
        w->waiting = m->unknown;
        w->waiting_size += (uint32_t)character.size;
    }
}

/* The symbols of a piece before any merge; never more than it has bytes. */
static void split_word(const bpe *m, const vocabulary *v, view piece, bpe_word *w)
{
    bool is_plain = m->prefix.size == 0 && m->suffix.size == 0;
    for (size_t at = 0, bytes; at < piece.size; at += bytes) {
        uint32_t c = (unsigned char)piece.data[at];
        bytes = 1;
        if (c >= 0x80 && (bytes = utf8_decode(piece, at, &c)) == 0)
            bytes = 1; /* never: callers have checked the text */
        view character = view_slice(piece, at, at + bytes);
        int32_t id = !is_plain            ? affixed_id(m, v, character, at == 0, at + bytes == piece.size)
                     : c < BPE_CHARACTERS ? m->characters[c]
                                          : vocabulary_id(v, character);
        if (id < 0) {
            put_unknown(m, w, character);
            continue;
        }
        word_flush(w);
        word_put(w, id, bytes);
    }
    word_flush(w);
}

static void put_tokens(const bpe_word *w, model_tokens *out)
{
    for (size_t i = 0, at = 0; i < w->count; i++) {
        if (w->symbols[i].size == 0)
            continue;
        model_tokens_add(out, w->symbols[i].id, at, at + w->symbols[i].size);
        at += w->symbols[i].size;
    }
}

static void run_long(const bpe *m, const vocabulary *v, view piece, model_tokens *out)
{
    bpe_word w = {.symbols = NEW(bpe_symbol, piece.size)};
    if (w.symbols)
        split_word(m, v, piece, &w);
    if (w.symbols && merge_long(m, &w))
        put_tokens(&w, out);
    else
        out->failed = true;
    memory_free(w.symbols);
}

static void run_short(const bpe *m, const vocabulary *v, view piece, bpe_word *w)
{
    split_word(m, v, piece, w);
    if (w->count > 1)
        merge_short(m, w);
}

static void bpe_run(const void *data, const vocabulary *v, view piece, model_tokens *out)
{
    const bpe *m = data;
    int32_t id = piece.size <= v->longest ? vocabulary_id(v, piece) : -1;
    if (id >= 0 && (m->ignores_merges || m->is_whole[id / 8] >> (id % 8) & 1)) {
        model_tokens_add(out, id, 0, piece.size);
        return;
    }
    if (piece.size > BPE_SHORT) {
        run_long(m, v, piece, out);
        return;
    }
    bpe_symbol symbols[BPE_SHORT];
    bpe_word w = {.symbols = symbols};
    run_short(m, v, piece, &w);
    put_tokens(&w, out);
}

static int32_t bpe_unknown(const void *data)
{
    return ((const bpe *)data)->unknown;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool bpe_fits(const json_t *object)
{
    return json_object_get(object, "vocab") && json_object_get(object, "merges");
}

static const char *merges_file(const loader *l)
{
    return l->merges_file ? l->merges_file : l->file;
}

/* The parts of merge `number`: "a b" or ["a", "b"]. */
static bool read_merge(loader *l, const json_t *entry, size_t number, view parts[2])
{
    const json_t *both[2] = {json_array_get(entry, 0), json_array_get(entry, 1)};
    if (json_is_array(entry) && json_array_size(entry) == 2 && json_is_string(both[0]) && json_is_string(both[1])) {
        for (size_t i = 0; i < 2; i++)
            parts[i] = (view){json_string_value(both[i]), json_string_length(both[i])};
        if (parts[0].size > 0 && parts[1].size > 0)
            return true;
    } else if (json_is_string(entry)) {
        view text = {json_string_value(entry), json_string_length(entry)};
        const char *space = memchr(text.data, ' ', text.size);
        size_t at = space ? (size_t)(space - text.data) : text.size;
        if (at > 0 && at + 1 < text.size && !memchr(space + 1, ' ', text.size - at - 1)) {
            parts[0] = view_slice(text, 0, at);
            parts[1] = view_slice(text, at + 1, text.size);
            return true;
        }
        fail(l->error, TKR_E_TOK_MERGE, "%s: merge %zu is %s; it must be two pieces with one space between them",
             merges_file(l), number, QUOTE(text));
        return false;
    }
    fail(l->error, TKR_E_TOK_MERGE, "%s: merge %zu must be two pieces: \"a b\" or [\"a\", \"b\"]", merges_file(l), number);
    return false;
}

static bool fail_merge(loader *l, size_t number, const view parts[2], const char *what, view piece)
{
    fail(l->error, TKR_E_TOK_MERGE, "%s: merge %zu \"%s %s\": %s %s", merges_file(l), number, PLAIN(parts[0]),
         PLAIN(parts[1]), QUOTE(piece), what);
    return false;
}

/* Id of the first part followed by the second without its prefix. */
static bool find_joined(loader *l, const bpe *m, const vocabulary *v, size_t number, const view parts[2], int32_t *id)
{
    view rest = parts[1];
    if (rest.size < m->prefix.size ||
        (rest.size > m->prefix.size && ((unsigned char)rest.data[m->prefix.size] & 0xC0) == 0x80))
        return fail_merge(l, number, parts, "does not begin with the continuing_subword_prefix", rest);
    rest = view_slice(rest, m->prefix.size, rest.size);
    uint32_t hash = vocabulary_hash_more(vocabulary_hash_more(VOCABULARY_HASH_START, parts[0]), rest);
    *id = vocabulary_find(v, hash, parts[0], rest);
    if (*id >= 0)
        return true;
    char room[2 * 128];
    size_t size = parts[0].size + rest.size;
    if (size > sizeof room)
        return fail_merge(l, number, parts, "is not in the vocabulary with what goes before it", rest);
    memcpy(room, parts[0].data, parts[0].size);
    memcpy(room + parts[0].size, rest.data, rest.size);
    return fail_merge(l, number, parts, "is not in the vocabulary", (view){room, size});
}

static bool put_merge(loader *l, bpe *m, const vocabulary *v, const json_t *entry, size_t number)
{
    view parts[2];
    int32_t ids[2], joined = -1;
    if (!read_merge(l, entry, number, parts))
        return false;
    for (size_t i = 0; i < 2; i++)
        if ((ids[i] = vocabulary_id(v, parts[i])) < 0)
            return fail_merge(l, number, parts, "is not in the vocabulary", parts[i]);
    if (!find_joined(l, m, v, number, parts, &joined))
        return false;
    uint64_t pair = pair_of(ids[0], ids[1]);
    size_t slot = find_slot(m, pair);
    if (m->slots[slot] != BPE_NO_SLOT) {
        fail(l->error, TKR_E_TOK_MERGE, "%s: merge %zu \"%s %s\" repeats merge %u", merges_file(l), number,
             PLAIN(parts[0]), PLAIN(parts[1]), (unsigned)m->ranks[slot]);
        return false;
    }
    m->slots[slot] = pair << BPE_ID_BITS | (uint64_t)joined;
    m->ranks[slot] = (uint32_t)number;
    return true;
}

static bool load_merges(loader *l, const json_t *object, const vocabulary *v, bpe *m)
{
    const json_t *merges = loader_array(l, object, "merges", BPE_MERGES_MOST);
    if (!merges)
        return false;
    int bits = 6;
    while ((size_t)1 << bits < 2 * json_array_size(merges))
        bits++;
    m->slot_count = (size_t)1 << bits;
    m->slot_shift = 64 - bits;
    m->slots = LOADER_NEW(l, uint64_t, m->slot_count);
    m->ranks = m->slots ? LOADER_NEW(l, uint32_t, m->slot_count) : NULL;
    if (!m->ranks)
        return false;
    memset(m->slots, 0xFF, m->slot_count * sizeof(*m->slots));
    for (size_t i = 0; i < json_array_size(merges); i++)
        if (!put_merge(l, m, v, json_array_get(merges, i), i))
            return false;
    return true;
}

static bool read_affix(loader *l, const json_t *object, const char *key, view *out)
{
    *out = VIEW("");
    if (!loader_text(l, object, key, false, out))
        return false;
    if (out->size <= BPE_AFFIX_MOST)
        return true;
    fail(l->error, TKR_E_TOK_MERGE, "%s: %s %s has %zu bytes; it must be at most %d", l->file, key, QUOTE(*out), out->size,
         BPE_AFFIX_MOST);
    return false;
}

static bool read_dropout(loader *l, const json_t *object)
{
    const json_t *dropout = json_object_get(object, "dropout");
    if (!dropout || json_is_null(dropout) || (json_is_number(dropout) && !(json_number_value(dropout) > 0)))
        return true;
    char room[NUMBER_ROOM];
    fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: dropout of the model is %s; only null and 0 are supported", l->file,
         json_is_number(dropout) ? number_shortest_f64(room, json_number_value(dropout)) : json_kind_name(dropout));
    return false;
}

static bool read_settings(loader *l, const json_t *object, const vocabulary *v, bpe *m)
{
    const json_t *unknown = json_object_get(object, "unk_token");
    m->unknown = -1;
    if (!read_dropout(l, object) || !loader_flag(l, object, "fuse_unk", &m->fuses_unknown) ||
        !loader_flag(l, object, "byte_fallback", &m->falls_back) ||
        !loader_flag(l, object, "ignore_merges", &m->ignores_merges) ||
        !read_affix(l, object, "continuing_subword_prefix", &m->prefix) ||
        !read_affix(l, object, "end_of_word_suffix", &m->suffix))
        return false;
    if (m->falls_back && m->prefix.size + m->suffix.size > 0) {
        fail(l->error, TKR_E_UNSUPPORTED_TOK_PART,
             "%s: byte_fallback together with continuing_subword_prefix or end_of_word_suffix is not supported", l->file);
        return false;
    }
    return !unknown || json_is_null(unknown) ||
           piece_model_unknown(l, object, v, "", TKR_E_TOK_MERGE, &m->unknown);
}

/* Ids that need no merge. */
static void fill_tables(const vocabulary *v, bpe *m)
{
    static const char digits[] = "0123456789ABCDEF";
    for (uint32_t c = 0; c < BPE_CHARACTERS; c++) {
        char text[4];
        m->characters[c] = vocabulary_id(v, (view){text, utf8_encode(text, c)});
    }
    for (int i = 0; i < 256; i++) {
        char text[6] = {'<', '0', 'x', digits[i >> 4], digits[i & 15], '>'};
        m->bytes[i] = vocabulary_id(v, (view){text, sizeof text});
    }
}

/* Find the pieces that come out of their own characters as one symbol. */
static bool fill_whole(loader *l, const vocabulary *v, bpe *m)
{
    m->is_whole = LOADER_NEW(l, uint8_t, v->id_limit / 8 + 1);
    bpe_symbol symbols[BPE_SHORT];
    for (size_t i = 0; m->is_whole && i < v->count; i++) {
        view piece = vocabulary_text(v, i);
        int32_t id = v->pieces[i].id;
        bpe_word w = {.symbols = symbols};
        if (piece.size == 0 || piece.size > BPE_SHORT)
            continue;
        run_short(m, v, piece, &w);
        if (w.count == 1 && symbols[0].id == id && symbols[0].size == piece.size)
            m->is_whole[id / 8] |= (uint8_t)(1 << (id % 8));
    }
    return m->is_whole != NULL;
}

static void *bpe_load(loader *l, const json_t *object, const vocabulary *v)
{
    bpe *m = LOADER_NEW(l, bpe, 1);
    if (!m || !read_settings(l, object, v, m) || !load_merges(l, object, v, m))
        return NULL;
    fill_tables(v, m);
    return fill_whole(l, v, m) ? m : NULL;
}

const piece_model_kind piece_model_bpe = {
    .part = {"BPE"},
    .fits = bpe_fits,
    .load = bpe_load,
    .run = bpe_run,
    .unknown = bpe_unknown,
};
