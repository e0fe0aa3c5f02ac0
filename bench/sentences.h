/* Sentences made from word lists, for benchmarks that need many: reviews of a few clauses, 5 to 25 words. */
#ifndef BENCH_SENTENCES_H
#define BENCH_SENTENCES_H

#include <stdbool.h>
#include <stddef.h>

enum { SENTENCE_BYTES = 512 };

/* Sentence i; one hundred of them differ in their first half.  has_mask: [MASK] takes the place of its last word. */
void sentence_make(size_t i, bool has_mask, char out[SENTENCE_BYTES]);

#endif
