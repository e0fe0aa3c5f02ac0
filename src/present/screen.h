/*
 * A terminal to write on: width, colours, the characters it may use, and text that is safe to show.
 *
 * Tints always set text and background together, so that contrast never depends on the user's theme.
 */
#ifndef PRESENT_SCREEN_H
#define PRESENT_SCREEN_H

#include "explain/result.h"
#include "present/out.h"
#include "present/palette.h"

typedef struct screen {
    out *o;
    const tkr_result *result;
    tkr_terminal_options options; /* width and top filled in                    */
    tkr_style style;              /* never AUTO                                 */
    const palette *colors;
    const char *minus, *dot, *block, *axis, *ellipsis; /* by options.ascii      */
} screen;

void screen_init(screen *s, out *o, const tkr_result *result, const tkr_terminal_options *options);

/* Token tint for a strength in [0, 1]; false, and nothing written, when it stays unpainted. */
bool screen_begin_tint(screen *s, palette_side side, double strength);
/* Colour of a bar or a mark; false without colour. */
bool screen_begin_bar(screen *s, palette_side side);
bool screen_begin_bold(screen *s);
/* Beside the point: dim. */
bool screen_begin_dim(screen *s);
bool screen_begin_underline(screen *s);
/* Ends what a begin function that returned true began. */
void screen_end(screen *s, bool began);

/* Which colour a score has. */
palette_side screen_side(bool is_signed, double score);

/* Append the visible form of the character at `at` to b; controls and hidden characters as glyphs or <U+202E>.
 * *columns grows by what it takes.  Returns the bytes of text it stood for. */
size_t visible_at(buffer *b, view text, size_t at, bool ascii, size_t *columns);
/* A whole text, with line breaks and tabs as glyphs, cut to `most` columns (0: not cut).  Returns its columns. */
size_t visible_text(buffer *b, view text, bool ascii, size_t most);

/* A vocabulary entry that is only a space, as one: SentencePiece writes U+2581. */
const char *plain_piece(const char *piece);
/* The feature's text; where it has none (a piece that is only a space) the vocabulary entry. */
const char *feature_text(const tkr_result *r, size_t feature);
/* What tokens outside the features are called: special, or fixed by the question too. */
const char *outside_name(const tkr_result *r);
/* Equal words are told apart by their number in reading order: 1 for the first. */
size_t feature_number(const tkr_result *r, size_t feature);
/* A token or word as a label: without the space that parts it from the one before; nothing but spaces is quoted. */
size_t visible_label(buffer *b, const char *text, bool ascii, size_t most);

/* Words of `text` (already safe) on lines of the screen's width, each line indented; the first `bold` bytes bold. */
void screen_paragraph(screen *s, size_t indent, view text, size_t bold);
void screen_spaces(screen *s, size_t count);
void screen_line(screen *s); /* end of line */

#endif
