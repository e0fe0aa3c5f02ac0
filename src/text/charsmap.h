/*
 * Precompiled character maps: the normalizer that SentencePiece stores in its models and tokenizer.json keeps as base64.
 *
 *     u32 size of the trie in bytes | trie: u32 units of a double array | texts: UTF-8 strings, each ended by NUL
 */
#ifndef TEXT_CHARSMAP_H
#define TEXT_CHARSMAP_H

#include "text/loader.h"
#include "text/normalized.h"

typedef struct charsmap {
    const uint32_t *units; /* of the double array                                     */
    size_t count;
    view texts;            /* replacements, each ended by NUL                         */
    bool is_plain[128];    /* ASCII characters that no key begins with (CR never is)  */
} charsmap;

/* From the base64 text of a field, or from the bytes themselves (which must live as long as the map).  Everything is checked
 * here, so that searches need no checks.  False with tok.charsmap. */
bool charsmap_load(loader *l, const json_t *object, const char *key, charsmap *out);
bool charsmap_read(loader *l, view bytes, charsmap *out);

/* The shortest (longest) key that begins the text: its length in bytes, 0 when there is none. */
size_t charsmap_shortest(const charsmap *m, view text, view *replacement);
size_t charsmap_longest(const charsmap *m, view text, view *replacement);

/* Normalizer Precompiled. */
void charsmap_normalize(const charsmap *m, normalized *text);

/* Base64 of bytes; NULL when out of memory, else memory_free it. */
char *base64_text(view bytes);

#endif
