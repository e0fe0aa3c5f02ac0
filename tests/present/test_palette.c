/* The palette: contrast of text on every tint, recomputed (WCAG 2.2 relative luminance), and tints by strength. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "present/palette.h"

static double linear(uint32_t channel)
{
    double c = channel / 255.0;
    return c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4);
}

static double luminance(uint32_t color)
{
    return 0.2126 * linear(color >> 16) + 0.7152 * linear(color >> 8 & 255) + 0.0722 * linear(color & 255);
}

static double contrast(uint32_t a, uint32_t b)
{
    double x = luminance(a), y = luminance(b);
    return x > y ? (x + 0.05) / (y + 0.05) : (y + 0.05) / (x + 0.05);
}

/* The xterm palette from 16 on. */
static uint32_t color_256(uint8_t index)
{
    static const uint32_t steps[] = {0, 95, 135, 175, 215, 255};
    assert_in_range(index, 16, 255);
    if (index >= 232) {
        uint32_t grey = 8 + 10 * (index - 232u);
        return grey << 16 | grey << 8 | grey;
    }
    uint32_t at = index - 16u;
    return steps[at / 36] << 16 | steps[at / 6 % 6] << 8 | steps[at % 6];
}

static void check_theme(const palette *p, double least_24_bit)
{
    for (int side = 0; side < SIDE_COUNT; side++) {
        for (int i = 0; i < PALETTE_TINTS; i++)
            assert_true(contrast(p->text, p->tints[side][i]) >= least_24_bit);
        for (int i = 0; i < PALETTE_TINTS_256; i++)
            assert_true(contrast(color_256(p->text_256), color_256(p->tints_256[side][i])) >= 4.5);
    }
}

static void test_palette__text_on_every_tint_contrasts(void **state)
{
    (void)state;
    check_theme(&palette_light, 7.9);
    check_theme(&palette_dark, 6.1);
}

static void test_palette__bars_contrast_with_the_page(void **state)
{
    (void)state;
    for (int side = 0; side < SIDE_COUNT; side++) {
        assert_true(contrast(palette_light.bars[side], 0xFFFFFF) >= 6.8);
        assert_true(contrast(palette_dark.bars[side], 0x15181C) >= 6.8);
        assert_true(contrast(color_256(palette_light.bars_256[side]), 0xFFFFFF) >= 4.5);
        assert_true(contrast(color_256(palette_dark.bars_256[side]), 0x15181C) >= 4.5);
    }
}

static void test_palette__strength_grows_away_from_the_page(void **state)
{
    (void)state;
    for (int side = 0; side < SIDE_COUNT; side++)
        for (int i = 1; i < PALETTE_TINTS; i++) {
            assert_true(luminance(palette_light.tints[side][i]) < luminance(palette_light.tints[side][i - 1]));
            assert_true(luminance(palette_dark.tints[side][i]) > luminance(palette_dark.tints[side][i - 1]));
        }
}

static void test_palette__tint_of_a_strength(void **state)
{
    (void)state;
    assert_int_equal(palette_tint(0), 0);
    assert_int_equal(palette_tint(0.05), 0);
    assert_int_equal(palette_tint(0.2), 1);
    assert_int_equal(palette_tint(0.64), 3);
    assert_int_equal(palette_tint(1), 5);
    assert_int_equal(palette_tint(1.5), 5);
    assert_int_equal(palette_tint_256(0.14), 0);
    assert_int_equal(palette_tint_256(0.15), 1);
    assert_int_equal(palette_tint_256(0.4), 2);
    assert_int_equal(palette_tint_256(0.7), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_palette__text_on_every_tint_contrasts),
        cmocka_unit_test(test_palette__bars_contrast_with_the_page),
        cmocka_unit_test(test_palette__strength_grows_away_from_the_page),
        cmocka_unit_test(test_palette__tint_of_a_strength),
    };
    return cmocka_run_group_tests_name("palette", tests, NULL, NULL);
}
