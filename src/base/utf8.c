/*
 * Strict UTF-8 (Unicode 15, table 3-7).
 *
 * Known to go wrong: overlong forms (C0 80 as NUL), surrogates (ED A0 80), values above U+10FFFF, a character cut by the
 * end of the text; all of these are "no UTF-8" here.
 */
#include "base/utf8.h"

/* Length that the lead byte promises, the bits it carries, and the smallest value that needs that length. */
static size_t lead_length(unsigned char lead, uint32_t *bits, uint32_t *least)
{
    if (lead >= 0xC2 && lead <= 0xDF) {
        *bits = lead & 0x1F;
        *least = 0x80;
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *bits = lead & 0x0F;
        *least = 0x800;
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *bits = lead & 0x07;
        *least = 0x10000;
        return 4;
    }
    return 0;
}

static bool is_scalar_value(uint32_t code_point)
{
    return code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
}

size_t utf8_decode(view text, size_t at, uint32_t *code_point)
{
    const unsigned char *bytes = (const unsigned char *)text.data + at;
    if (bytes[0] < 0x80) {
        *code_point = bytes[0];
        return 1;
    }
    uint32_t value, least;
    size_t length = lead_length(bytes[0], &value, &least);
    if (length == 0 || length > text.size - at)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xC0) != 0x80)
            return 0;
        value = value << 6 | (bytes[i] & 0x3F);
    }
    if (value < least || !is_scalar_value(value))
        return 0;
    *code_point = value;
    return length;
}

size_t utf8_encode(char out[4], uint32_t code_point)
{
    if (!is_scalar_value(code_point))
        code_point = 0xFFFD; /* surrogates and values that do not exist have no encoding */
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xC0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3F));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xE0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (code_point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (code_point & 0x3F));
    return 4;
}

size_t utf8_first_bad(view text)
{
    size_t at = 0;
    while (at < text.size) {
        uint32_t code_point;
        size_t length = utf8_decode(text, at, &code_point);
        if (length == 0)
            return at;
        at += length;
    }
    return at;
}

size_t utf8_count(view text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++)
        count += ((unsigned char)text.data[i] & 0xC0) != 0x80;
    return count;
}

bool utf8_is_hidden(uint32_t code_point)
{
    if (code_point >= 0x20 && code_point < 0x7f)
        return false; /* nearly all there is in names */
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x0000, 0x001F},   {0x007F, 0x009F}, /* C0, DEL, C1 */
        {0x00AD, 0x00AD},                     /* soft hyphen */
        {0x061C, 0x061C},                     /* Arabic letter mark */
        {0x180E, 0x180E},                     /* Mongolian vowel separator */
        {0x200B, 0x200F},                     /* zero-width space, joiners, direction marks */
        {0x2028, 0x202E},                     /* line, paragraph separator, embeddings and overrides */
        {0x2060, 0x206F},   /* word joiner, invisible operators, isolates, deprecated controls */
        {0xFEFF, 0xFEFF},   /* byte order mark, zero-width no-break space */
        {0xFFF9, 0xFFFB},   /* interlinear annotation */
        {0xE0000, 0xE007F}, /* language tags */
    };
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++)
        if (code_point >= hidden[i].first && code_point <= hidden[i].last)
            return true;
    return false;
}
