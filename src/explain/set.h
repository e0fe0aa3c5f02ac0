/*
 * Sets as bit masks of 64-bit words: of the features that a variant keeps, or of a game's players.  Bit i set = member i is in.
 * Bits past the last member are 0, so that equal sets have equal words.
 */
#ifndef EXPLAIN_SET_H
#define EXPLAIN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* members: how many there are to choose from. */
static inline size_t set_words(size_t members) { return (members + 63) / 64; }
static inline bool set_has(const uint64_t *set, size_t member) { return set[member / 64] >> (member % 64) & 1; }
static inline void set_add(uint64_t *set, size_t member) { set[member / 64] |= UINT64_C(1) << (member % 64); }
static inline void set_drop(uint64_t *set, size_t member) { set[member / 64] &= ~(UINT64_C(1) << (member % 64)); }
/* Word number `word` of the set of all. */
static inline uint64_t set_full_word(size_t members, size_t word)
{
    size_t left = members - 64 * word;
    return left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
}

void set_fill(uint64_t *set, size_t members);  /* all of them */
void set_clear(uint64_t *set, size_t members); /* none        */
void set_complement(uint64_t *out, const uint64_t *set, size_t members);
size_t set_size(const uint64_t *set, size_t members);

#endif
