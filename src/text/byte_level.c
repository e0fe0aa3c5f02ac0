/*
 * Byte-level text: the table of characters, and the three parts of a tokenizer that use it.
 *
 * Known to go wrong: the space in front is put before every piece that does not begin with one, so also after an added
 * token; it has the range of the piece's first character; all characters of one source character have its range; a token
 * that is not all of the table's characters (an added one) is decoded as its own bytes.
 */
#include "text/byte_level.h"

#include "base/utf8.h"
#include "text/pattern.h"
#include "text/pretokenizer.h"

enum { BYTE_LEVEL_SHIFTED = 0x100, BYTE_LEVEL_LIMIT = 0x144 };

uint32_t byte_level_character(unsigned char byte)
{
    if ((byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD))
        return byte;
    if (byte <= 0x20)
        return BYTE_LEVEL_SHIFTED + byte;
    return byte == 0xAD ? BYTE_LEVEL_LIMIT - 1 : BYTE_LEVEL_SHIFTED + 0x21u + (byte - 0x7Fu);
}

int byte_level_byte(uint32_t c)
{
    if (c < BYTE_LEVEL_SHIFTED)
        return byte_level_character((unsigned char)c) == c ? (int)c : -1;
    if (c >= BYTE_LEVEL_LIMIT)
        return -1;
    uint32_t number = c - BYTE_LEVEL_SHIFTED;
    return number <= 0x20 ? (int)number : c == BYTE_LEVEL_LIMIT - 1 ? 0xAD : (int)(number - 0x21 + 0x7F);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Append bytes [begin, end) of `text` as characters; false when out of memory. */
static bool append_bytes(normalized *out, const normalized *text, size_t begin, size_t end)
{
    if (!normalized_reserve(out, 2 * (end - begin)))
        return false;
    char *to = out->text + out->size;
    text_range *from = out->from + out->size;
    for (size_t i = begin; i < end; i++) {
        unsigned char byte = (unsigned char)text->text[i];
        *from++ = text->from[i];
        if (byte > 0x20 && byte < 0x7F) {
            *to++ = (char)byte;
            continue;
        }
        uint32_t c = byte_level_character(byte);
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
        *from++ = text->from[i];
    }
    out->size = (size_t)(to - out->text);
    return true;
}

void byte_level_normalize(normalized *text)
{
    normalized fresh = {0};
    normalized_append_failures(&fresh, text);
    append_bytes(&fresh, text, 0, text->size);
    normalized_fini(text);
    *text = fresh;
}

/* ---- pre-tokenizer ----------------------------------------------------------------------------------------------- */

typedef struct byte_level {
    bool adds_space, splits;
} byte_level;

static const void *byte_level_load(loader *l, const json_t *object)
{
    byte_level *b = LOADER_NEW(l, byte_level, 1);
    if (!b)
        return NULL;
    *b = (byte_level){true, true};
    bool good = loader_flag(l, object, "add_prefix_space", &b->adds_space) && loader_flag(l, object, "use_regex", &b->splits);
    return good ? b : NULL;
}

/* The space in front, with the range of the first character. */
static void put_space(normalized *out, const normalized *text, size_t begin)
{
    if (!normalized_reserve(out, 2))
        return;
    memcpy(out->text + out->size, "\xC4\xA0", 2);
    out->from[out->size] = out->from[out->size + 1] = text->from[begin];
    out->size += 2;
}

/* One piece: with the split of GPT-2, a space in front belongs to the first match as any space before it would. */
static void run_piece(const byte_level *b, const normalized *text, text_piece p, normalized *out, piece_list *pieces)
{
    bool spaced = b->adds_space && text->text[p.begin] != ' ';
    view part = view_slice(normalized_view(text), 0, p.end);
    for (size_t at = p.begin, end; at < p.end; at = end) {
        size_t base = out->size;
        end = p.end;
        if (b->splits)
            end = spaced ? pattern_scan_gpt2_after_space(part, at) : pattern_scan_gpt2(part, at);
        if (spaced)
            put_space(out, text, p.begin);
        spaced = false;
        if (!append_bytes(out, text, at, end))
            return;
        pieces_add(pieces, base, out->size, -1);
    }
}

static void byte_level_run(const void *data, normalized *text, piece_list *pieces)
{
    normalized fresh = {0};
    piece_list out = {.failed = pieces->failed};
    normalized_reserve(&fresh, text->size + text->size / 4 + 2);
    for (size_t i = 0; i < pieces->count && normalized_ok(&fresh) && !out.failed; i++) {
        text_piece p = pieces->items[i];
        if (p.added < 0) {
            run_piece(data, text, p, &fresh, &out);
            continue;
        }
        size_t base = fresh.size;
        normalized_append_part(&fresh, text, p.begin, p.end);
        pieces_add(&out, base, fresh.size, p.added);
    }
    normalized_append_failures(&fresh, text);
    normalized_fini(text);
    pieces_fini(pieces);
    *text = fresh;
    *pieces = out;
}

const pretokenizer_kind pretokenizer_byte_level = {{"ByteLevel"}, byte_level_load, byte_level_run};

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

/* The bytes a token stands for; false when one of its characters stands for none. */
static bool token_bytes(view token, buffer *out)
{
    size_t before = out->size;
    for (size_t at = 0; at < token.size;) {
        uint32_t c = 0;
        size_t bytes = utf8_decode(token, at, &c);
        int byte = bytes ? byte_level_byte(c) : -1;
        if (byte < 0) {
            out->size = before;
            return false;
        }
        buffer_byte(out, (char)byte);
        at += bytes;
    }
    return true;
}

/* How many bytes of a character that is broken belong together: one U+FFFD stands for them all. */
static size_t broken_bytes(view text, size_t at)
{
    unsigned char lead = (unsigned char)text.data[at];
    size_t wanted = lead >= 0xF0 && lead <= 0xF4 ? 4 : lead >= 0xE0 && lead < 0xF0 ? 3 : lead >= 0xC2 && lead < 0xE0 ? 2 : 1;
    unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    size_t count = 1;
    while (count < wanted && at + count < text.size) {
        unsigned char next = (unsigned char)text.data[at + count];
        if (next < low || next > high)
            break;
        low = 0x80;
        high = 0xBF;
        count++;
    }
    return count;
}

static void append_lossy(buffer *out, view bytes)
{
    for (size_t at = 0; at < bytes.size;) {
        uint32_t c = 0;
        size_t count = utf8_decode(bytes, at, &c);
        if (count > 0) {
            buffer_append(out, bytes.data + at, count);
        } else {
            buffer_code_point(out, 0xFFFD);
            count = broken_bytes(bytes, at);
        }
        at += count;
    }
}

void byte_level_decode(const void *data, token_strings *s)
{
    (void)data;
    buffer bytes, text;
    buffer_init(&bytes, s->text.maximum);
    buffer_init(&text, s->text.maximum);
    for (size_t i = 0; i < s->count; i++) {
        view token = token_strings_get(s, i);
        if (!token_bytes(token, &bytes))
            buffer_view(&bytes, token);
    }
    append_lossy(&text, buffer_as_view(&bytes));
    bool failed = s->failed || !buffer_ok(&bytes) || !buffer_ok(&text);
    token_strings_fini(s);
    token_strings_init(s);
    token_strings_add(s, buffer_as_view(&text));
    s->failed |= failed;
    buffer_fini(&bytes);
    buffer_fini(&text);
}
