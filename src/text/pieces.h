/*
 * Pieces: a normalised text cut into runs.  A piece is either finished (an added token was found there) or still ordinary
 * text for the pre-tokenizer and the model.  Word indexes are positions in the final list.
 */
#ifndef TEXT_PIECES_H
#define TEXT_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/view.h"

typedef struct text_piece {
    uint32_t begin, end; /* bytes of the normalised text                       */
    int32_t added;       /* index among the added tokens, -1: ordinary text    */
} text_piece;

/* Zero-initialised is empty. */
typedef struct piece_list {
    text_piece *items;
    size_t count, capacity;
    bool failed; /* out of memory */
} piece_list;

/* Empty pieces are left out. */
void pieces_add(piece_list *list, size_t begin, size_t end, int32_t added);
void pieces_fini(piece_list *list);

#endif
