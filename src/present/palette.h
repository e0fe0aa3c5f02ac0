/*
 * Every colour the terminal uses, in one table: tints of tokens for 24-bit and 256-colour terminals in a light and a dark
 * theme, and the colours of bars.  Orange is towards, blue is away, green is an amount without sign.
 */
#ifndef PRESENT_PALETTE_H
#define PRESENT_PALETTE_H

#include <stdint.h>

typedef enum palette_side { SIDE_AWAY, SIDE_TOWARDS, SIDE_AMOUNT, SIDE_COUNT } palette_side;
enum { PALETTE_TINTS = 5, PALETTE_TINTS_256 = 3 };

typedef struct palette {
    uint32_t text;                                         /* 0xRRGGBB: text on any tint of this theme      */
    uint32_t tints[SIDE_COUNT][PALETTE_TINTS];             /* strengths 0.2, 0.4, 0.6, 0.8, 1               */
    uint32_t bars[SIDE_COUNT];
    uint8_t text_256;                                      /* the same as indices of the 256-colour palette */
    uint8_t tints_256[SIDE_COUNT][PALETTE_TINTS_256];      /* strengths from 0.15, 0.4, 0.7                 */
    uint8_t bars_256[SIDE_COUNT];
    uint8_t bars_16[SIDE_COUNT];                           /* SGR codes: the terminal's own cyan, yellow, green */
} palette;

extern const palette palette_light, palette_dark;

/* Tint for a strength in [0, 1]: 0 is unpainted, then 1 to PALETTE_TINTS (PALETTE_TINTS_256). */
int palette_tint(double strength);
int palette_tint_256(double strength);

#endif
