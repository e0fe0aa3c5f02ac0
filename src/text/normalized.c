/* Normalised text: two arrays of the same length, the bytes and where each came from.  See the header for the rules. */
#include "text/normalized.h"

#include "base/memory.h"
#include "base/utf8.h"

enum { NORMALIZED_FIRST = 64 };

void normalized_fini(normalized *n)
{
    memory_free(n->text);
    memory_free(n->from);
    *n = (normalized){0};
}

bool normalized_reserve(normalized *n, size_t more)
{
    if (n->failed)
        return false;
    if (more <= n->capacity - n->size)
        return true;
    n->failed = true;
    if (more > NORMALIZED_LIMIT - n->size) {
        n->over_limit = true;
        return false;
    }
    size_t capacity = n->capacity ? n->capacity * 2 : NORMALIZED_FIRST;
    if (capacity < n->size + more)
        capacity = n->size + more;
    char *text = memory_resize(n->text, capacity, 1);
    if (!text)
        return false;
    n->text = text;
    text_range *from = memory_resize(n->from, capacity, sizeof(*from));
    if (!from)
        return false;
    n->from = from;
    n->capacity = capacity;
    n->failed = false;
    return true;
}

void normalized_put(normalized *n, const char *bytes, size_t count, text_range from)
{
    if (!normalized_reserve(n, count))
        return;
    for (size_t i = 0; i < count; i++) {
        n->text[n->size + i] = bytes[i];
        n->from[n->size + i] = from;
    }
    n->size += count;
}

void normalized_append_source(normalized *n, view source, size_t begin, size_t end)
{
    if (!normalized_reserve(n, end - begin))
        return;
    for (size_t at = begin; at < end;) {
        uint32_t c = 0;
        size_t bytes = utf8_decode(source, at, &c);
        if (bytes == 0)
            bytes = 1; /* never: callers have checked the text */
        normalized_put(n, source.data + at, bytes, (text_range){(uint32_t)at, (uint32_t)(at + bytes)});
        at += bytes;
    }
}

void normalized_append_failures(normalized *n, const normalized *other)
{
    n->failed |= other->failed;
    n->over_limit |= other->over_limit;
    if (!n->gave_up) {
        n->gave_up = other->gave_up;
        n->gave_up_at = other->gave_up_at;
    }
}

void normalized_append_part(normalized *n, const normalized *other, size_t begin, size_t end)
{
    if (begin == end || !normalized_reserve(n, end - begin))
        return;
    memcpy(n->text + n->size, other->text + begin, end - begin);
    memcpy(n->from + n->size, other->from + begin, (end - begin) * sizeof(*n->from));
    n->size += end - begin;
}

void normalized_append(normalized *n, const normalized *other)
{
    normalized_append_failures(n, other);
    normalized_append_part(n, other, 0, other->size);
}

void normalized_give_up(normalized *n, size_t pattern, size_t at)
{
    n->failed = true;
    n->gave_up = pattern + 1;
    n->gave_up_at = at < n->size ? n->from[at].begin : 0;
}

void rewriter_begin(rewriter *r, normalized *text)
{
    *r = (rewriter){.text = text};
    normalized_append_failures(&r->fresh, text);
    normalized_reserve(&r->fresh, text->size);
}

bool rewriter_more(const rewriter *r)
{
    return r->at < r->text->size && !r->fresh.failed;
}

uint32_t rewriter_peek(const rewriter *r, size_t *bytes)
{
    uint32_t c = (unsigned char)r->text->text[r->at];
    size_t count = 1;
    if (c >= 0x80)
        count = utf8_decode(normalized_view(r->text), r->at, &c);
    if (bytes)
        *bytes = count ? count : 1;
    return c;
}

void rewriter_keep_bytes(rewriter *r, size_t bytes)
{
    if (bytes > 0 && normalized_reserve(&r->fresh, bytes)) {
        memcpy(r->fresh.text + r->fresh.size, r->text->text + r->at, bytes);
        memcpy(r->fresh.from + r->fresh.size, r->text->from + r->at, bytes * sizeof(*r->fresh.from));
        r->fresh.size += bytes;
    }
    r->at += bytes;
}

void rewriter_drop_bytes(rewriter *r, size_t bytes)
{
    r->at += bytes;
}

void rewriter_keep(rewriter *r)
{
    size_t bytes;
    rewriter_peek(r, &bytes);
    rewriter_keep_bytes(r, bytes);
}

void rewriter_drop(rewriter *r)
{
    size_t bytes;
    rewriter_peek(r, &bytes);
    r->at += bytes;
}

void rewriter_replace(rewriter *r, uint32_t c)
{
    char encoded[4];
    size_t bytes;
    rewriter_peek(r, &bytes);
    normalized_put(&r->fresh, encoded, utf8_encode(encoded, c), r->text->from[r->at]);
    r->at += bytes;
}

/* Range for what is put in here: that of the old character before, or the empty range at the very front. */
static text_range rewriter_range_before(const rewriter *r)
{
    if (r->at > 0)
        return r->text->from[r->at - 1];
    uint32_t front = r->text->size > 0 ? r->text->from[0].begin : 0;
    return (text_range){front, front};
}

void rewriter_insert(rewriter *r, uint32_t c)
{
    char encoded[4];
    normalized_put(&r->fresh, encoded, utf8_encode(encoded, c), rewriter_range_before(r));
}

void rewriter_insert_text(rewriter *r, view text)
{
    normalized_put(&r->fresh, text.data, text.size, rewriter_range_before(r));
}

void rewriter_end(rewriter *r)
{
    if (r->at < r->text->size)
        rewriter_keep_bytes(r, r->text->size - r->at);
    normalized_fini(r->text);
    *r->text = r->fresh;
    *r = (rewriter){0};
}
