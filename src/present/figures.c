/* Numbers for people; see figures.h.  All digits come from base/number.h, so no locale matters. */
#include "present/figures.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

enum { FIGURE_DECIMALS_MAX = 9 };

int figure_decimals(double largest)
{
    if (!isfinite(largest) || largest <= 0)
        return 2;
    int decimals = 0;
    for (double scaled = largest; scaled < 99.95 && decimals < FIGURE_DECIMALS_MAX; scaled *= 10)
        decimals++;
    return decimals;
}

static bool is_zero_text(const char *digits) { return strspn(digits, "0.") == strlen(digits); }

/* digits of |value|, with commas in the whole part when it is long and plain. */
static void group_digits(char *out, size_t room, const char *digits)
{
    size_t whole = strspn(digits, "0123456789"), used = 0;
    bool grouped = whole > 3 && !strchr(digits, 'e');
    for (size_t i = 0; digits[i] && used + 2 < room; i++) {
        if (grouped && i > 0 && i < whole && (whole - i) % 3 == 0)
            out[used++] = ',';
        out[used++] = digits[i];
    }
    out[used] = '\0';
}

static char *figure(char out[FIGURE_ROOM], double value, int decimals, const char *plus, bool ascii)
{
    char digits[NUMBER_ROOM], grouped[FIGURE_ROOM - 4]; /* less the sign */
    if (!isfinite(value)) {
        snprintf(out, FIGURE_ROOM, "%s", isnan(value) ? "not a number" : value > 0 ? "infinite" : "-infinite");
        return out;
    }
    number_fixed(digits, fabs(value), decimals);
    if (is_zero_text(digits)) {
        snprintf(out, FIGURE_ROOM, "0");
        return out;
    }
    group_digits(grouped, sizeof grouped, digits);
    snprintf(out, FIGURE_ROOM, "%s%s", value > 0 ? plus : ascii ? "-" : "−", grouped);
    return out;
}

char *figure_signed(char out[FIGURE_ROOM], double value, int decimals, bool ascii)
{
    return figure(out, value, decimals, "+", ascii);
}

char *figure_plain(char out[FIGURE_ROOM], double value, int decimals, bool ascii)
{
    return figure(out, value, decimals, "", ascii);
}

char *figure_error(char out[FIGURE_ROOM], double error, int decimals, bool ascii)
{
    char digits[FIGURE_ROOM - 8];
    char room[FIGURE_ROOM];
    bool is_tiny = error > 0 && is_zero_text(number_fixed(room, error, decimals));
    snprintf(digits, sizeof digits, "%.50s", figure_plain(room, is_tiny ? pow(10, -decimals) : error, decimals, ascii));
    snprintf(out, FIGURE_ROOM, "%s %s%s", ascii ? "+/-" : "±", is_tiny ? "<" : "", digits);
    return out;
}

char *figure_alone(char out[FIGURE_ROOM], double value, bool ascii)
{
    return figure_signed(out, value, figure_decimals(fabs(value)), ascii);
}

/* 0.003, 0.0002, 2e-7: one digit that is not 0. */
static char *figure_tiny(char out[FIGURE_ROOM], double value)
{
    char digits[NUMBER_ROOM];
    if (value >= 0.00005) {
        snprintf(out, FIGURE_ROOM, "%s", number_fixed(digits, value, value >= 0.0005 ? 3 : 4));
        return out;
    }
    int exponent = (int)floor(log10(value));
    int digit = (int)(value / pow(10, exponent) + 0.5);
    snprintf(out, FIGURE_ROOM, "%de%d", digit > 9 ? 1 : digit, exponent + (digit > 9));
    return out;
}

char *figure_probability(char out[FIGURE_ROOM], double value, double other)
{
    enum { DECIMALS_MOST = 6 };
    int decimals = 2;
    char mine[NUMBER_ROOM], theirs[NUMBER_ROOM] = "";
    for (; isfinite(value) && isfinite(other) && decimals < DECIMALS_MOST; decimals++)
        if (strcmp(number_fixed(mine, value, decimals), number_fixed(theirs, other, decimals)) != 0)
            break;
    if (!isfinite(value))
        return figure_plain(out, value, decimals, true);
    number_fixed(mine, value, decimals);
    bool is_tiny = value > 0 && is_zero_text(mine);
    if (is_tiny && (!isfinite(other) || is_zero_text(number_fixed(theirs, other, decimals))))
        return figure_tiny(out, value);
    snprintf(out, FIGURE_ROOM, "%s", mine);
    return out;
}

char *figure_percent(char out[FIGURE_ROOM], double share, bool fine)
{
    char digits[NUMBER_ROOM];
    if (!isfinite(share)) {
        snprintf(out, FIGURE_ROOM, "%s", "?");
        return out;
    }
    int decimals = fine && fabs(share) < 0.0995 ? 1 : 0;
    snprintf(out, FIGURE_ROOM, "%s%%", number_fixed(digits, share * 100, decimals));
    return out;
}

char *figure_count(char out[FIGURE_ROOM], size_t count)
{
    char digits[NUMBER_ROOM];
    snprintf(digits, sizeof digits, "%zu", count);
    group_digits(out, FIGURE_ROOM, digits);
    return out;
}
