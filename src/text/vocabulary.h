/*
 * Vocabulary: pieces and their ids, both ways.  Filled once, then read only.
 */
#ifndef TEXT_VOCABULARY_H
#define TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

typedef struct vocabulary_piece {
    size_t offset; /* in bytes; a NUL follows */
    uint32_t size, hash;
    int32_t id;
} vocabulary_piece;

/* Zero-initialised is empty. */
typedef struct vocabulary {
    vocabulary_piece *pieces;
    size_t count, capacity;
    char *bytes;
    size_t bytes_used, bytes_capacity;
    uint32_t *slots;      /* open addressing; number of a piece + 1, 0: free */
    size_t slot_count;    /* power of two                                    */
    uint32_t *by_id;      /* number of a piece + 1, 0: no such id            */
    size_t id_limit, id_capacity;
    size_t longest;       /* bytes of the longest piece                      */
    /* By id, in the tokenizer's arena; only for models that have them, whose ids are 0 to count - 1. */
    const double *scores;
    const unsigned char *types; /* sentencepiece_type */
} vocabulary;

typedef enum vocabulary_answer {
    VOCABULARY_ADDED,
    VOCABULARY_SAME_PIECE, /* *other: number of the piece that is there already */
    VOCABULARY_SAME_ID,
    VOCABULARY_NO_MEMORY,
} vocabulary_answer;

/* Room for so many pieces and bytes at once; adding more than that is allowed. */
bool vocabulary_reserve(vocabulary *v, size_t pieces, size_t bytes);
/* id >= 0; piece of less than 4 GiB. */
vocabulary_answer vocabulary_add(vocabulary *v, view piece, int32_t id, size_t *other);
void vocabulary_fini(vocabulary *v);

int32_t vocabulary_id(const vocabulary *v, view piece); /* -1: none */
/* The piece of an id, NUL-terminated; data is NULL when there is none. */
view vocabulary_piece_of(const vocabulary *v, int32_t id);
view vocabulary_text(const vocabulary *v, size_t number);

/* The hash, one byte at a time, so that all beginnings of a word can be looked up in one pass over it. */
enum { VOCABULARY_HASH_START = 0x811C9DC5u };
static inline uint32_t vocabulary_hash_step(uint32_t hash, char c)
{
    return (hash ^ (uint32_t)(unsigned char)c) * 0x01000193u;
}
static inline uint32_t vocabulary_hash_more(uint32_t hash, view bytes)
{
    for (size_t i = 0; i < bytes.size; i++)
        hash = vocabulary_hash_step(hash, bytes.data[i]);
    return hash;
}
/* Id of prefix + rest, whose hash is given; -1: none. */
int32_t vocabulary_find(const vocabulary *v, uint32_t hash, view prefix, view rest);

#endif
