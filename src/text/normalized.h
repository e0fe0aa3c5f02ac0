/*
 * Normalised text that remembers, for each of its bytes, the bytes of the user's text it came from.
 *
 * A normalizer rewrites the text from front to back with a rewriter.  Three rules decide where a new character comes from
 * (they are the reference's, and offsets depend on each of them):
 *   - a character that takes the place of an old one has the old one's range;
 *   - a character that is put in besides has the range of the old character before it;
 *   - old characters that are dropped leave a gap: nobody covers them.
 */
#ifndef TEXT_NORMALIZED_H
#define TEXT_NORMALIZED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

/* Half-open range of bytes. */
typedef struct text_range {
    uint32_t begin, end;
} text_range;

/* Zero-initialised is empty.  After a failure every change is refused; ask normalized_ok once at the end. */
typedef struct normalized {
    char *text;
    text_range *from; /* of each byte of text, in the user's text */
    size_t size, capacity;
    bool failed;      /* out of memory, over NORMALIZED_LIMIT, or a pattern gave up */
    bool over_limit;
    size_t gave_up;    /* number of the pattern that was too expensive, from 1; 0: none */
    size_t gave_up_at; /* the byte of the user's text where it was                      */
} normalized;

enum { NORMALIZED_LIMIT = 256 << 20 };

void normalized_fini(normalized *n);
static inline void normalized_clear(normalized *n) { n->size = 0; }
static inline view normalized_view(const normalized *n) { return (view){n->text ? n->text : "", n->size}; }
static inline bool normalized_ok(const normalized *n) { return !n->failed; }

/* Append bytes [begin, end) of the user's text as they are: each character comes from itself.  UTF-8 only. */
void normalized_append_source(normalized *n, view source, size_t begin, size_t end);
/* Append bytes that all came from one range. */
void normalized_put(normalized *n, const char *bytes, size_t count, text_range from);
/* Append another normalised text, or bytes [begin, end) of it. */
void normalized_append(normalized *n, const normalized *other);
void normalized_append_part(normalized *n, const normalized *other, size_t begin, size_t end);
/* Take over what went wrong in another text. */
void normalized_append_failures(normalized *n, const normalized *other);
/* Room for so many more bytes, for those who write text and from themselves; false: the text has failed. */
bool normalized_reserve(normalized *n, size_t more);
/* Where the bytes [begin, end) came from; begin <= end <= size, begin < size. */
static inline text_range normalized_origin(const normalized *n, size_t begin, size_t end)
{
    return (text_range){n->from[begin].begin, begin < end ? n->from[end - 1].end : n->from[begin].begin};
}

/* A pattern was too expensive at byte `at` of the text. */
void normalized_give_up(normalized *n, size_t pattern, size_t at);

/* One pass over a text.  The new text grows in a buffer of its own and takes the old one's place in rewriter_end. */
typedef struct rewriter {
    normalized *text;
    normalized fresh;
    size_t at; /* first byte of the old text that is not dealt with yet */
} rewriter;

void rewriter_begin(rewriter *r, normalized *text);
bool rewriter_more(const rewriter *r);
/* The old character at the front, without passing it. */
uint32_t rewriter_peek(const rewriter *r, size_t *bytes);
void rewriter_keep(rewriter *r);                 /* the character at the front stays           */
void rewriter_drop(rewriter *r);                 /* the character at the front goes: a gap     */
void rewriter_replace(rewriter *r, uint32_t c);  /* c takes the place of the front character   */
void rewriter_insert(rewriter *r, uint32_t c);   /* c besides, with the range of the one before */
void rewriter_keep_bytes(rewriter *r, size_t bytes); /* whole characters stay                  */
void rewriter_drop_bytes(rewriter *r, size_t bytes);
void rewriter_insert_text(rewriter *r, view text);
void rewriter_end(rewriter *r); /* keeps the rest */

#endif
