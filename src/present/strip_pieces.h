/*
 * The user's text cut into pieces that can be painted and laid out on lines: safe to show, each with its columns and the
 * feature it belongs to.
 */
#ifndef PRESENT_STRIP_PIECES_H
#define PRESENT_STRIP_PIECES_H

#include "explain/result.h"
#include "base/buffer.h"

typedef enum piece_kind { PIECE_WORD, PIECE_SPACE, PIECE_BREAK } piece_kind;
#define PIECE_NO_FEATURE UINT32_MAX

typedef struct piece {
    size_t begin, end;   /* bytes of pieces.text                          */
    size_t columns;
    uint32_t feature;
    piece_kind kind;
    bool is_first;       /* first piece of its feature: carries the mark  */
    bool breaks_after;   /* a line may end here                           */
    bool is_fixed;       /* context that the question fixed               */
} piece;

typedef struct pieces {
    buffer text, items;
} pieces;

typedef struct pieces_options {
    bool ascii;
    bool shows_special;  /* template tokens in their place */
    size_t most;         /* widest piece, in columns       */
} pieces_options;

/* False when out of memory; shown_pieces_fini either way. */
bool pieces_init(pieces *p, const tkr_result *r, const pieces_options *options);
void shown_pieces_fini(pieces *p);
size_t pieces_count(const pieces *p);
const piece *pieces_list(const pieces *p);

#endif
