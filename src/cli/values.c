/* Reading values; see values.h.  No library function that wraps or depends on the locale. */
#include "cli/values.h"

#include <string.h>

#include "cli/complaint.h"
#include "cli/suggest.h"

enum { CHOICE_MOST = 8, CHOICE_ROOM = 32, SHARE_DECIMALS = 9, SHARE_UNITS = 1000000000 };

bool values_whole(const char *text, size_t count, uint64_t *number, bool *wraps)
{
    *number = 0;
    *wraps = false;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        if (__builtin_mul_overflow(*number, (uint64_t)10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(text[i] - '0'), number))
            *wraps = true;
    }
    return count > 0;
}

static tkr_status out_of_range(const use *u, tkr_error *error)
{
    complain(error, TKR_E_USAGE_RANGE, "%s %s is out of range", u->spelled, SHOWN(u->value));
    if (u->option->high == UINT64_MAX)
        complain_help(error, "%s: at least %llu, less than 2^64", u->spelled, (unsigned long long)u->option->low);
    else
        complain_help(error, "%s: %llu to %llu", u->spelled, (unsigned long long)u->option->low,
                      (unsigned long long)u->option->high);
    return error->code;
}

static tkr_status check_number(use *u, tkr_error *error)
{
    bool wraps, negative = u->value[0] == '-';
    if (!values_whole(u->value + negative, strlen(u->value + negative), &u->number, &wraps)) {
        complain(error, TKR_E_USAGE_VALUE, "%s %s is not a whole number", u->spelled, SHOWN(u->value));
        complain_help(error, "%s %s", u->spelled, u->option->value);
        return error->code;
    }
    bool fits = !wraps && !negative && u->number >= u->option->low && u->number <= u->option->high;
    return fits ? TKR_OK : out_of_range(u, error);
}

static tkr_status check_size(use *u, tkr_error *error)
{
    static const char units[] = "KMGT";
    size_t length = strlen(u->value);
    uint64_t factor = 1;
    const char *unit = length > 0 ? strchr(units, u->value[length - 1]) : NULL;
    if (unit && *unit) {
        factor = (uint64_t)1 << (10 * (unit - units + 1));
        length--;
    }
    bool wraps;
    if (!values_whole(u->value, length, &u->number, &wraps)) {
        complain(error, TKR_E_USAGE_VALUE, "%s %s is not a size", u->spelled, SHOWN(u->value));
        complain_help(error, "%s 2G: a number with K, M, G or T", u->spelled);
        return error->code;
    }
    if (wraps || __builtin_mul_overflow(u->number, factor, &u->number) || u->number < u->option->low)
        return out_of_range(u, error);
    return TKR_OK;
}

/* Choices are "a|b|c"; the number becomes the index. */
static tkr_status check_choice(use *u, tkr_error *error)
{
    char names[CHOICE_MOST][CHOICE_ROOM];
    size_t count = 0;
    suggestion near;
    suggest_begin(&near, u->value);
    for (const char *at = u->option->value; *at && count < CHOICE_MOST; count++) {
        size_t length = strcspn(at, "|");
        memcpy(names[count], at, length);
        names[count][length] = '\0';
        u->number = count;
        if (strcmp(names[count], u->value) == 0)
            return TKR_OK;
        suggest_try(&near, names[count]);
        at += length + (at[length] == '|');
    }
    complain(error, TKR_E_USAGE_VALUE, "%s %s is none of %s", u->spelled, SHOWN(u->value), u->option->value);
    if (near.best)
        complain_help(error, "%s %s", u->spelled, near.best);
    return error->code;
}

/* "12.5" in units of 10^-decimals; false when it is no such number. */
static bool read_decimal(const char *text, size_t count, size_t decimals, uint64_t *number)
{
    char digits[64];
    size_t used = 0, behind = 0;
    bool has_point = false, wraps;
    for (size_t i = 0; i < count; i++) {
        bool is_point = text[i] == '.' && !has_point && i > 0 && i + 1 < count;
        has_point |= is_point;
        behind += has_point && !is_point;
        if (is_point || behind > decimals)
            continue;
        if (used + decimals + 1 >= sizeof digits)
            return false;
        digits[used++] = text[i];
    }
    for (; behind < decimals; behind++)
        digits[used++] = '0';
    return count > 0 && values_whole(digits, used, number, &wraps) && !wraps;
}

/* "2000" stays a number of evaluations, "10s" and "500ms" become microseconds. */
static tkr_status check_budget(use *u, tkr_error *error)
{
    size_t length = strlen(u->value), unit = length > 0 && u->value[length - 1] == 's';
    unit += unit && length > 1 && u->value[length - 2] == 'm';
    static const size_t decimals[] = {0, 6, 3};
    if (!read_decimal(u->value, length - unit, decimals[unit], &u->number) || (unit == 0 && strchr(u->value, '.'))) {
        complain(error, TKR_E_USAGE_VALUE, "%s %s is no budget", u->spelled, SHOWN(u->value));
        complain_help(error, "%s 2000 (evaluations) or %s 10s", u->spelled, u->spelled);
        return error->code;
    }
    return u->number >= u->option->low && u->number <= u->option->high ? TKR_OK : out_of_range(u, error);
}

/* In billionths. */
static tkr_status check_share(use *u, tkr_error *error)
{
    if (read_decimal(u->value, strlen(u->value), SHARE_DECIMALS, &u->number) && u->number > 0 && u->number <= SHARE_UNITS)
        return TKR_OK;
    complain(error, TKR_E_USAGE_VALUE, "%s %s is no share", u->spelled, SHOWN(u->value));
    complain_help(error, "%s 0.05: above 0, at most 1", u->spelled);
    return error->code;
}

tkr_status values_check(use *u, tkr_error *error)
{
    if (!u->value)
        return TKR_OK;
    switch (u->option->kind) {
    case KIND_NUMBER:
        return check_number(u, error);
    case KIND_SIZE:
        return check_size(u, error);
    case KIND_CHOICE:
        return check_choice(u, error);
    case KIND_BUDGET:
        return check_budget(u, error);
    case KIND_SHARE:
        return check_share(u, error);
    case KIND_FLAG:
    case KIND_TEXT:
    case KIND_EXPORT:
        break;
    }
    return TKR_OK;
}
