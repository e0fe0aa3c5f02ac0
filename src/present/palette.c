/*
 * The colours.  Made in OKLCH with equal lightness step by step on both sides, so that strength compares across signs and
 * greyscale keeps it; tests/present/test_palette.c recomputes contrast (at least 4.5:1 for text on every tint).
 *
 * Text and tint are always set together: a tint chosen for a dark page is unreadable under the black text of a light one.
 */
#include "present/palette.h"

const palette palette_light = {
    .text = 0x1B1F24,
    .tints = {[SIDE_AWAY] = {0xE5F2FD, 0xC9E8FE, 0xACDBFF, 0x91CDFE, 0x76BEFD},
              [SIDE_TOWARDS] = {0xF9EFDE, 0xF9DFBB, 0xF9CB92, 0xF9B76C, 0xF7A147},
              [SIDE_AMOUNT] = {0xE3F5ED, 0xC7EDDD, 0xA7E4CB, 0x89D9BB, 0x6DCDAB}},
    .bars = {[SIDE_AWAY] = 0x1155A9, [SIDE_TOWARDS] = 0x8F3B02, [SIDE_AMOUNT] = 0x106658},
    .text_256 = 16,
    .tints_256 = {[SIDE_AWAY] = {153, 117, 75}, [SIDE_TOWARDS] = {223, 222, 215}, [SIDE_AMOUNT] = {158, 115, 79}},
    .bars_256 = {[SIDE_AWAY] = 25, [SIDE_TOWARDS] = 94, [SIDE_AMOUNT] = 23},
    .bars_16 = {[SIDE_AWAY] = 36, [SIDE_TOWARDS] = 33, [SIDE_AMOUNT] = 32},
};

const palette palette_dark = {
    .text = 0xF1F3F5,
    .tints = {[SIDE_AWAY] = {0x192532, 0x18324E, 0x163E6B, 0x194A87, 0x1E55A4},
              [SIDE_TOWARDS] = {0x2D2118, 0x432A15, 0x5A3110, 0x713A0C, 0x86430F},
              [SIDE_AMOUNT] = {0x1B2722, 0x1A372C, 0x1B4638, 0x1C5643, 0x1E664F}},
    .bars = {[SIDE_AWAY] = 0x8ACCFE, [SIDE_TOWARDS] = 0xFAB45F, [SIDE_AMOUNT] = 0x85D4B5},
    .text_256 = 231,
    .tints_256 = {[SIDE_AWAY] = {17, 24, 25}, [SIDE_TOWARDS] = {58, 94, 130}, [SIDE_AMOUNT] = {22, 23, 29}},
    .bars_256 = {[SIDE_AWAY] = 117, [SIDE_TOWARDS] = 215, [SIDE_AMOUNT] = 79},
    .bars_16 = {[SIDE_AWAY] = 36, [SIDE_TOWARDS] = 33, [SIDE_AMOUNT] = 32},
};

int palette_tint(double strength)
{
    int tint = (int)(strength * PALETTE_TINTS + 0.5);
    return tint < 0 ? 0 : tint > PALETTE_TINTS ? PALETTE_TINTS : tint;
}

int palette_tint_256(double strength) { return strength < 0.15 ? 0 : strength < 0.4 ? 1 : strength < 0.7 ? 2 : 3; }
