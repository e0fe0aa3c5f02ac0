/*
 * Numbers and text, in the C locale whatever the host program has set.
 *
 * Shortest: a decimal of at most 6 (15) digits survives float32 (float64) and back, so the %g of that precision already is
 * the shortest when it reads back; otherwise 7 to 9 (16, 17) digits are tried.  Subnormals hold fewer digits: from 1.
 * (About one in fifty powers of two, whose lower neighbour is nearer than the upper, gets a digit more than it needs,
 * because only the nearest decimal of each length is tried.)
 * Known to go wrong: "1,5" under de_DE, hexadecimal and "nan" taken by strtod, "-0.00", 310 digits from %f.
 */
#include "base/number.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/locale.h"

enum { NUMBER_LONGEST = 1000 };

char *number_shortest_f32(char out[NUMBER_ROOM], float value)
{
    assert(isfinite(value));
    if (value == 0)
        value = 0; /* no "-0" */
    locale_scope scope = locale_enter();
    for (int digits = fabsf(value) < FLT_MIN ? 1 : FLT_DIG; digits <= FLT_DECIMAL_DIG; digits++) {
        snprintf(out, NUMBER_ROOM, "%.*g", digits, (double)value);
        if (strtof(out, NULL) == value)
            break;
    }
    locale_leave(scope);
    return out;
}

char *number_shortest_f64(char out[NUMBER_ROOM], double value)
{
    assert(isfinite(value));
    if (value == 0)
        value = 0;
    locale_scope scope = locale_enter();
    for (int digits = fabs(value) < DBL_MIN ? 1 : DBL_DIG; digits <= DBL_DECIMAL_DIG; digits++) {
        snprintf(out, NUMBER_ROOM, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    locale_leave(scope);
    return out;
}

char *number_fixed(char out[NUMBER_ROOM], double value, int decimals)
{
    assert(decimals >= 0);
    locale_scope scope = locale_enter();
    int length = snprintf(out, NUMBER_ROOM, "%.*f", decimals, value);
    locale_leave(scope);
    if (length >= NUMBER_ROOM)
        return number_shortest_f64(out, value); /* nobody reads 40 digits */
    if (out[0] == '-' && strspn(out + 1, "0.") == (size_t)length - 1)
        memmove(out, out + 1, (size_t)length); /* with the NUL */
    return out;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Skips digits; *nonzero becomes true when one is not 0.  Returns how many there were. */
static size_t skip_digits(view text, size_t *at, bool *nonzero)
{
    size_t start = *at;
    for (; *at < text.size && is_digit(text.data[*at]); ++*at)
        *nonzero |= text.data[*at] != '0';
    return *at - start;
}

/* -?digits[.digits][e[+-]digits], digits needed on one side of the point. */
static bool is_real(view text, bool *nonzero)
{
    size_t at = text.size > 0 && text.data[0] == '-';
    size_t digits = skip_digits(text, &at, nonzero);
    if (at < text.size && text.data[at] == '.') {
        at++;
        digits += skip_digits(text, &at, nonzero);
    }
    if (digits == 0)
        return false;
    if (at < text.size && (text.data[at] == 'e' || text.data[at] == 'E')) {
        bool ignored = false;
        at++;
        if (at < text.size && (text.data[at] == '-' || text.data[at] == '+'))
            at++;
        if (skip_digits(text, &at, &ignored) == 0)
            return false;
    }
    return at == text.size;
}

bool number_parse_real(view text, double *value)
{
    char copy[NUMBER_LONGEST + 1];
    bool nonzero = false;
    if (text.size > NUMBER_LONGEST || !is_real(text, &nonzero))
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    locale_scope scope = locale_enter();
    double parsed = strtod(copy, NULL);
    locale_leave(scope);
    if (!isfinite(parsed) || (parsed == 0 && nonzero))
        return false;
    *value = parsed;
    return true;
}

bool number_parse_u64(view text, uint64_t *value)
{
    uint64_t parsed = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.data[i]) || __builtin_mul_overflow(parsed, 10u, &parsed) ||
            __builtin_add_overflow(parsed, (uint64_t)(text.data[i] - '0'), &parsed))
            return false;
    }
    if (text.size == 0)
        return false;
    *value = parsed;
    return true;
}

bool number_parse_int(view text, int64_t *value)
{
    bool negative = text.size > 0 && text.data[0] == '-';
    uint64_t size;
    if (!number_parse_u64(view_slice(text, negative, text.size), &size))
        return false;
    if (size > (uint64_t)INT64_MAX + negative)
        return false;
    *value = negative ? (int64_t)(0 - size) : (int64_t)size;
    return true;
}
