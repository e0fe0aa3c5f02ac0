/*
 * Precompiled character maps.
 *
 * A unit of the double array: bit 31 set: a value; else its label (low 8 bits), whether a key ends here (bit 8) and the
 * distance to its children.  The child of node b by byte c is unit b ^ c, if that unit's label is c.
 *
 * Known to go wrong: the reference replaces a whole grapheme cluster of less than six bytes when only its beginning is a
 * key ("1/2" sign with an accent loses the accent), and takes the shortest key where SentencePiece takes the longest.  Its
 * offsets follow from counting characters: what is removed at the very front is not counted, so that all that follows is
 * taken to come from earlier characters; what is removed after an expansion is taken to be the last character's source.
 * A hostile map must not lead a search outside the trie: every unit is checked once, when the map is read.  It can have
 * circles, along which a search would walk through the whole text from each of its bytes: longer keys are not looked for.
 *
 * Source: SentencePiece, normalizer.cc (layout); the tokenizers library, normalizers/precompiled.rs (rule).
 */
#include "text/charsmap.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "text/unicode.h"

enum {
    CHARSMAP_CLUSTER = 6, /* clusters of fewer bytes are looked up whole */
    CHARSMAP_KEY = 256,   /* bytes of a key at most                      */
};

/* ---- base64 ------------------------------------------------------------------------------------------------------ */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_text(view bytes)
{
    char *text = NEW(char, bytes.size / 3 * 4 + 5), *at = text;
    for (size_t i = 0; text && i < bytes.size; i += 3) {
        uint32_t word = 0;
        for (size_t k = 0; k < 3; k++)
            word = word << 8 | (i + k < bytes.size ? (unsigned char)bytes.data[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            *at++ = i + k <= bytes.size ? base64_digits[word >> (18 - 6 * k) & 63] : '=';
    }
    return text;
}

/* Decode in front of `out`; false when the text is no base64 with padding. */
static bool base64_bytes(view text, unsigned char *out, size_t *size)
{
    unsigned char values[256];
    memset(values, 0xFF, sizeof values);
    for (unsigned char i = 0; i < 64; i++)
        values[(unsigned char)base64_digits[i]] = i;
    size_t padding = 0, written = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=')
        padding++;
    if (text.size % 4 != 0)
        return false;
    uint32_t word = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool pads = i >= text.size - padding;
        unsigned char value = pads ? 0 : values[(unsigned char)text.data[i]];
        if (value == 0xFF)
            return false;
        word = word << 6 | value;
        for (unsigned k = 0; i % 4 == 3 && k < 3; k++)
            out[written++] = (unsigned char)(word >> (16 - 8 * k));
    }
    *size = written - padding;
    return true;
}

/* ---- units ------------------------------------------------------------------------------------------------------- */

static bool unit_is_value(uint32_t unit) { return unit >> 31; }
static bool unit_has_leaf(uint32_t unit) { return unit >> 8 & 1; }
static uint32_t unit_value(uint32_t unit) { return unit & 0x7FFFFFFF; }
static uint32_t unit_label(uint32_t unit) { return unit & 0x800000FF; }
static size_t unit_offset(uint32_t unit) { return (size_t)(unit >> 10) << ((unit & 0x200) >> 6); }

/* Walk the keys that begin the text.  `all`: to the longest; else stop at the first. */
static size_t search(const charsmap *m, view text, bool all, view *replacement)
{
    size_t node = unit_offset(m->units[0]), length = 0, value = 0;
    for (size_t i = 0; i < text.size && i < CHARSMAP_KEY; i++) {
        unsigned char c = (unsigned char)text.data[i];
        node ^= c;
        if (c == 0 || node >= m->count || unit_label(m->units[node]) != c)
            break;
        uint32_t unit = m->units[node];
        node ^= unit_offset(unit);
        if (!unit_has_leaf(unit))
            continue;
        value = unit_value(m->units[node]);
        length = i + 1;
        if (!all)
            break;
    }
    if (length > 0)
        *replacement = view_of(m->texts.data + value);
    return length;
}

size_t charsmap_shortest(const charsmap *m, view text, view *replacement)
{
    return search(m, text, false, replacement);
}

size_t charsmap_longest(const charsmap *m, view text, view *replacement)
{
    return search(m, text, true, replacement);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool fail_map(loader *l, const char *what, size_t number, size_t limit)
{
    fail(l->error, TKR_E_TOK_CHARSMAP, "%s: precompiled_charsmap: %s %zu (%zu)", l->file, what, number, limit);
    return false;
}

/* The unit of a node: its children's place must be inside, and its value inside the texts, at a character's first byte. */
static bool check_unit(loader *l, const charsmap *m, size_t at)
{
    uint32_t unit = m->units[at];
    size_t place = at ^ unit_offset(unit);
    if (unit_is_value(unit))
        return true;
    if (place >= m->count) {
        fail(l->error, TKR_E_TOK_CHARSMAP, "%s: precompiled_charsmap: unit %zu leads outside the trie (%zu of %zu)", l->file,
             at, place, m->count);
        return false;
    }
    if (!unit_has_leaf(unit))
        return true;
    size_t value = unit_value(m->units[place]);
    if (value >= m->texts.size) {
        fail(l->error, TKR_E_TOK_CHARSMAP, "%s: precompiled_charsmap: value %zu of unit %zu is outside the texts (%zu bytes)",
             l->file, value, at, m->texts.size);
        return false;
    }
    if (((unsigned char)m->texts.data[value] & 0xC0) == 0x80)
        return fail_map(l, "a value points into a character: unit, value", at, value);
    return true;
}

static bool check_map(loader *l, const charsmap *m)
{
    if (m->count == 0 || unit_is_value(m->units[0]) || unit_has_leaf(m->units[0]))
        return fail_map(l, "the trie has no root that is a node: units, bytes", m->count, m->count * 4);
    if (m->texts.size == 0 || m->texts.data[m->texts.size - 1] != '\0')
        return fail_map(l, "the texts do not end with NUL: bytes, position", m->texts.size, 4 + 4 * m->count);
    size_t bad = utf8_first_bad(m->texts);
    if (bad < m->texts.size)
        return fail_map(l, "the texts are no UTF-8: byte, of", bad, m->texts.size);
    for (size_t i = 0; i < m->count; i++)
        if (!check_unit(l, m, i))
            return false;
    return true;
}

bool charsmap_read(loader *l, view bytes, charsmap *out)
{
    const unsigned char *data = (const unsigned char *)bytes.data;
    if (bytes.size < 4)
        return fail_map(l, "too short: bytes, needed", bytes.size, 4);
    size_t size = data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
    if (size > bytes.size - 4) {
        fail(l->error, TKR_E_TOK_CHARSMAP, "%s: precompiled_charsmap: trie length %zu passes the end (%zu bytes)", l->file,
             size, bytes.size);
        return false;
    }
    if (size % 4 != 0)
        return fail_map(l, "trie length is no multiple of 4: bytes, of", size, bytes.size);
    uint32_t *units = LOADER_NEW(l, uint32_t, size / 4);
    if (!units)
        return false;
    for (size_t i = 0; i < size / 4; i++)
        units[i] = data[4 + 4 * i] | (uint32_t)data[5 + 4 * i] << 8 | (uint32_t)data[6 + 4 * i] << 16 |
                   (uint32_t)data[7 + 4 * i] << 24;
    *out = (charsmap){.units = units, .count = size / 4, .texts = view_slice(bytes, 4 + size, bytes.size)};
    if (!check_map(l, out))
        return false;
    for (int c = 1; c < 128; c++)
        out->is_plain[c] = c != '\r' && charsmap_shortest(out, (view){&(char){(char)c}, 1}, &(view){0}) == 0;
    return true;
}

bool charsmap_load(loader *l, const json_t *object, const char *key, charsmap *out)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_string(value)) {
        fail(l->error, TKR_E_JSON_TYPE, "%s: %s is %s; it must be a string", l->file, key, json_kind_name(value));
        return false;
    }
    view text = {json_string_value(value), json_string_length(value)};
    unsigned char *bytes = LOADER_NEW(l, unsigned char, text.size / 4 * 3 + 3);
    size_t size = 0;
    if (!bytes)
        return false;
    if (!base64_bytes(text, bytes, &size))
        return fail_map(l, "no base64: characters, remainder", text.size, text.size % 4);
    return charsmap_read(l, (view){(const char *)bytes, size}, out);
}

/* ---- normalizing ------------------------------------------------------------------------------------------------- */

/* The last character waits: characters that vanish after it are counted to it. */
typedef struct charsmap_pass {
    const charsmap *map;
    rewriter out;
    bool has_last, lags; /* lags: something vanished at the front, so that `out` is behind */
    uint32_t last;
    int64_t change;      /* 1: put in besides; 0: takes a place; -n: and n more vanish     */
} charsmap_pass;

static void pass_flush(charsmap_pass *p)
{
    if (p->has_last && p->change > 0) {
        rewriter_insert(&p->out, p->last);
    } else if (p->has_last) {
        rewriter_replace(&p->out, p->last);
        for (; p->change < 0 && rewriter_more(&p->out); p->change++)
            rewriter_drop(&p->out);
    }
    p->has_last = false;
}

static void pass_put(charsmap_pass *p, uint32_t c, int64_t change)
{
    pass_flush(p);
    p->has_last = true;
    p->last = c;
    p->change = change;
}

static void pass_replace(charsmap_pass *p, view old, view fresh)
{
    size_t old_count = utf8_count(old), fresh_count = utf8_count(fresh), number = 0;
    for (size_t at = 0; at < fresh.size; number++) {
        uint32_t c;
        at += utf8_decode(fresh, at, &c);
        pass_put(p, c, number < old_count ? 0 : 1);
    }
    if (fresh_count < old_count && p->has_last)
        p->change -= (int64_t)(old_count - fresh_count);
    p->lags |= !p->has_last;
}

/* End of the grapheme cluster that begins at `at`. */
static size_t cluster_end(view text, size_t at)
{
    int32_t state = 0;
    uint32_t before, c;
    for (at += utf8_decode(text, at, &before); at < text.size; before = c) {
        size_t bytes = utf8_decode(text, at, &c);
        if (unicode_parts_graphemes(before, c, &state))
            break;
        at += bytes;
    }
    return at;
}

static void pass_cluster(charsmap_pass *p, view cluster)
{
    view fresh;
    if (cluster.size < CHARSMAP_CLUSTER && charsmap_shortest(p->map, cluster, &fresh) > 0) {
        pass_replace(p, cluster, fresh);
        return;
    }
    for (size_t at = 0, bytes; at < cluster.size; at += bytes) {
        uint32_t c;
        bytes = utf8_decode(cluster, at, &c);
        view character = view_slice(cluster, at, at + bytes);
        if (charsmap_shortest(p->map, character, &fresh) > 0)
            pass_replace(p, character, fresh);
        else
            pass_put(p, c, 0);
    }
}

/* Bytes of ASCII from `at` on that stay as they are and begin no cluster with what follows. */
static size_t plain_bytes(const charsmap *m, view text, size_t at)
{
    size_t end = at;
    while (end < text.size && (unsigned char)text.data[end] < 128 && m->is_plain[(unsigned char)text.data[end]])
        end++;
    return end > at && end < text.size && (unsigned char)text.data[end] >= 128 ? end - at - 1 : end - at;
}

void charsmap_normalize(const charsmap *m, normalized *text)
{
    charsmap_pass p = {.map = m};
    view all = normalized_view(text);
    rewriter_begin(&p.out, text);
    for (size_t at = 0; at < all.size && normalized_ok(&p.out.fresh);) {
        size_t plain = p.lags ? 0 : plain_bytes(m, all, at);
        if (plain > 0) {
            pass_flush(&p);
            rewriter_keep_bytes(&p.out, plain - 1);
            pass_put(&p, (unsigned char)all.data[at + plain - 1], 0);
            at += plain;
        } else {
            size_t end = cluster_end(all, at);
            pass_cluster(&p, view_slice(all, at, end));
            at = end;
        }
    }
    pass_flush(&p);
    if (normalized_ok(&p.out.fresh))
        rewriter_drop_bytes(&p.out, all.size - p.out.at);
    rewriter_end(&p.out);
}
