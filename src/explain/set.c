/* Sets as bit masks, a word at a time. */
#include "explain/set.h"

#include <string.h>

void set_fill(uint64_t *set, size_t members)
{
    for (size_t w = 0; w < set_words(members); w++)
        set[w] = set_full_word(members, w);
}

void set_clear(uint64_t *set, size_t members) { memset(set, 0, set_words(members) * sizeof *set); }

void set_complement(uint64_t *out, const uint64_t *set, size_t members)
{
    for (size_t w = 0; w < set_words(members); w++)
        out[w] = ~set[w] & set_full_word(members, w);
}

size_t set_size(const uint64_t *set, size_t members)
{
    size_t size = 0;
    for (size_t w = 0; w < set_words(members); w++)
        size += (size_t)__builtin_popcountll(set[w]);
    return size;
}
