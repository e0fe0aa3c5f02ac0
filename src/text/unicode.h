/*
 * Questions about code points, answered as the reference answers them.  Its parts use several versions of Unicode at once
 * (8.0 for BERT's sets, 9.0 for normalisation, the newest for letters, numbers and lower case), so the tables that matter
 * are data here (unicode.c) and utf8proc fills in the rest.
 */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool unicode_is_space(uint32_t c);       /* White_Space                                                       */
bool unicode_is_punctuation(uint32_t c); /* the 32 ASCII signs and category P of Unicode 8.0                  */
bool unicode_is_nonspacing(uint32_t c);  /* Mn of Unicode 8.0                                                 */
bool unicode_is_mark(uint32_t c);        /* M of Unicode 9.0                                                  */
bool unicode_is_unclean(uint32_t c);     /* what BertNormalizer's clean_text removes                          */
bool unicode_is_chinese(uint32_t c);     /* the CJK blocks that BertNormalizer sets apart                     */
bool unicode_is_letter(uint32_t c);      /* L                                                                 */
bool unicode_is_number(uint32_t c);      /* N                                                                 */
bool unicode_is_word(uint32_t c);        /* \w: Alphabetic, M, decimal digits, connectors, join controls      */

/* Lower case, one code point at a time; returns how many code points were written (1 or 2). */
size_t unicode_lower(uint32_t c, uint32_t out[2]);

/* Full decomposition by Unicode 9.0; returns the number of code points. */
enum { UNICODE_DECOMPOSED = 32 };
size_t unicode_decompose(uint32_t c, bool compatibility, uint32_t out[UNICODE_DECOMPOSED]);
/* Canonical combining class by Unicode 9.0. */
unsigned unicode_class(uint32_t c);
/* The composition of a pair by Unicode 9.0, or 0. */
uint32_t unicode_compose(uint32_t a, uint32_t b);

/* Is there the border of a grapheme cluster between two neighbours?  *state is 0 where a cluster begins. */
bool unicode_parts_graphemes(uint32_t before, uint32_t c, int32_t *state);

#endif
