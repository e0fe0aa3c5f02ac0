/* Grapheme clusters of text and the terminal columns they take. */
#ifndef PRESENT_COLUMNS_H
#define PRESENT_COLUMNS_H

#include <tokray/present.h>

#include "base/view.h"

typedef struct cluster {
    size_t bytes, columns;
    uint32_t code_point; /* the first one */
    bool invalid;        /* one byte that is no UTF-8 */
} cluster;

/* The cluster at `at` (< text.size); it may end early at text.size. */
cluster cluster_at(view text, size_t at);

#endif
