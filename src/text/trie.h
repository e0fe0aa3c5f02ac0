/*
 * Prefix tree over bytes: all strings of a set that begin at a place of a text, in one walk.
 */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

/* Nodes are numbered breadth first, so that the children of a node stand side by side, ordered by their bytes. */
typedef struct trie_node {
    uint32_t first; /* first child; of a node with more than TRIE_FEW children: its table */
    uint32_t count; /* children                                                          */
    int32_t value;  /* of the string that ends here, -1: none does                       */
} trie_node;

typedef struct trie {
    trie_node *nodes;
    unsigned char *labels; /* of each node: the byte that leads to it       */
    uint32_t *tables;      /* 256 children each, 0: none                    */
    size_t count;
} trie;

typedef struct trie_string {
    view text;
    int32_t value; /* 0 or more */
} trie_string;

enum { TRIE_ROOT = 0, TRIE_FEW = 12 };

/* Strings are different from each other; they need not live on.  NULL: out of memory. */
trie *trie_new(const trie_string *strings, size_t count);
void trie_free(trie *t);

/* The child by a byte; TRIE_ROOT: there is none. */
static inline uint32_t trie_step(const trie *t, uint32_t node, unsigned char byte)
{
    const trie_node *n = &t->nodes[node];
    if (n->count > TRIE_FEW)
        return t->tables[(size_t)n->first * 256 + byte];
    const unsigned char *labels = t->labels + n->first;
    for (uint32_t i = 0; i < n->count; i++)
        if (labels[i] == byte)
            return n->first + i;
    return TRIE_ROOT;
}

#endif
