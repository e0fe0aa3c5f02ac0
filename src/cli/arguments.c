/*
 * Parsing.  Options and operands mix; "--" ends options; --opt value, --opt=value, -k 5, -k5 and -qv all work; a value that may
 * be missing (--json) takes "=" only.  Everything is linear: 100,000 arguments take no time.
 */
#include "cli/arguments.h"

#include <string.h>

#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/suggest.h"
#include "cli/values.h"

void arguments_free(arguments *a)
{
    heap_free(a->uses);
    heap_free(a->operands);
    for (size_t i = 0; i < a->owned_count; i++)
        heap_free(a->owned[i]);
    heap_free(a->owned);
    *a = (arguments){0};
}

char *arguments_own(arguments *a, char *text)
{
    a->owned = heap_grow(a->owned, a->owned_count, &a->owned_capacity, sizeof *a->owned);
    a->owned[a->owned_count++] = text;
    return text;
}

/* ---- finding options ---- */

static const option *find_long(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (i != OPTION_HELP_SHORT && strlen(option_table[i].name) == length && memcmp(option_table[i].name, name, length) == 0)
            return &option_table[i];
    return NULL;
}

static const option *find_letter(char letter)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (option_table[i].letter == letter)
            return &option_table[i];
    return NULL;
}

static tkr_status no_such_option(arguments *a, const char *text, size_t length, tkr_error *error)
{
    char *name = heap_text(text, length);
    suggestion near;
    suggest_begin(&near, length > 2 ? name + 2 : name);
    for (size_t i = 0; length > 2 && i < OPTION_COUNT; i++)
        if (i != OPTION_HELP_SHORT)
            suggest_try(&near, option_table[i].name);
    char safe[SHOWN_ROOM];
    shown_into(safe, name);
    safe[strlen(safe) - 1] = '\0';
    complain(error, TKR_E_USAGE_OPTION, "no option %s", safe + 1);
    if (near.best)
        complain_help(error, "--%s", near.best);
    else
        complain_help(error, "a text that begins with - goes after --");
    heap_free(name);
    a->bad_argument = NULL; /* the sentence names it */
    return error->code;
}

/* ---- one use ---- */

static const char *value_noun(const option *o)
{
    return o->kind == KIND_NUMBER ? "a number" : o->kind == KIND_SIZE ? "a size" : "a value";
}

static tkr_status add_use(arguments *a, use u, tkr_error *error)
{
    a->uses = heap_grow(a->uses, a->use_count, &a->use_capacity, sizeof *a->uses);
    a->uses[a->use_count] = u;
    use *kept = &a->uses[a->use_count++];
    size_t bad = u.value ? first_bad_utf8(u.value, strlen(u.value)) : 0;
    if (u.value && u.value[bad])
        return complain(error, TKR_E_USAGE_UTF8, "argument %d: byte %zu (0x%02X) is not UTF-8", u.place, bad,
                        (unsigned)(unsigned char)u.value[bad]);
    return values_check(kept, error);
}

static tkr_status needs_value(const use *u, tkr_error *error)
{
    complain(error, TKR_E_USAGE_VALUE, "%s needs %s", u->spelled, value_noun(u->option));
    complain_help(error, "%s %s", u->spelled, u->option->value);
    return error->code;
}

static tkr_status add_long(arguments *a, option_text o, bool *took_next, tkr_error *error)
{
    const char *equals = strchr(o.text, '=');
    size_t length = equals ? (size_t)(equals - o.text) : strlen(o.text);
    const option *found = length > 2 ? find_long(o.text + 2, length - 2) : NULL;
    if (!found)
        return no_such_option(a, o.text, length, error);
    use u = {.option = found, .spelled = equals ? arguments_own(a, heap_text(o.text, length)) : o.text, .source = o.source, .place = o.place};
    if (found->kind == KIND_FLAG) {
        if (equals)
            return complain(error, TKR_E_USAGE_VALUE, "%s takes no value", u.spelled);
    } else if (equals) {
        u.value = equals + 1;
        u.separator = '=';
    } else if (found->kind != KIND_EXPORT) {
        if (!o.next)
            return needs_value(&u, error);
        u.value = o.next;
        u.separator = ' ';
        u.place++;
        *took_next = true;
    }
    return add_use(a, u, error);
}

/* -k5, -k 5, -qv, -qk5 */
static tkr_status add_short(arguments *a, option_text o, bool *took_next, tkr_error *error)
{
    for (const char *at = o.text + 1; *at; at++) {
        const option *found = find_letter(*at);
        if (!found)
            return no_such_option(a, o.text, at == o.text + 1 && !at[1] ? 2 : strlen(o.text), error);
        char spelled[3] = {'-', *at, '\0'};
        use u = {.option = found, .spelled = arguments_own(a, heap_text(spelled, 2)), .source = o.source, .place = o.place};
        if (found->kind == KIND_FLAG) {
            tkr_status status = add_use(a, u, error);
            if (status)
                return status;
            continue;
        }
        if (!at[1] && !o.next)
            return needs_value(&u, error);
        u.value = at[1] ? at + 1 + (at[1] == '=') : o.next;
        u.separator = at[1] ? 0 : ' ';
        u.place += !at[1];
        *took_next = !at[1];
        return add_use(a, u, error);
    }
    return TKR_OK;
}

tkr_status arguments_add(arguments *a, option_text o, bool *took_next, tkr_error *error)
{
    *took_next = false;
    return o.text[1] == '-' ? add_long(a, o, took_next, error) : add_short(a, o, took_next, error);
}

/* ---- the command line ---- */

static void add_operand(arguments *a, const char *text, int place)
{
    a->operands = heap_grow(a->operands, a->operand_count, &a->operand_capacity, sizeof *a->operands);
    a->operands[a->operand_count++] = (operand){text, place};
}

tkr_status arguments_parse(arguments *a, int argc, char *const *argv, tkr_error *error)
{
    bool options_end = false;
    for (int i = 1; i < argc; i++) {
        const char *text = argv[i];
        bool took_next = false;
        if (options_end || text[0] != '-' || text[1] == '\0') {
            add_operand(a, text, i);
        } else if (strcmp(text, "--") == 0) {
            options_end = true;
        } else {
            option_text o = {text, i + 1 < argc ? argv[i + 1] : NULL, SOURCE_LINE, i};
            tkr_status status = arguments_add(a, o, &took_next, error);
            if (status)
                return status;
            i += took_next;
        }
    }
    return TKR_OK;
}

tkr_status arguments_check(arguments *a, const char *command, unsigned commands, tkr_error *error)
{
    for (size_t i = 0; i < a->use_count; i++) {
        const use *u = &a->uses[i];
        if (u->source == SOURCE_LINE && !(u->option->commands & commands)) {
            complain(error, TKR_E_USAGE_OPTION, "tokray %s has no option %s", command, u->spelled);
            complain_help(error, "tokray %s --help", command);
            return error->code;
        }
    }
    return TKR_OK;
}

/* ---- looking up ---- */

static source strongest(const arguments *a, const option *o)
{
    source best = SOURCE_CONFIG;
    for (size_t i = 0; i < a->use_count; i++)
        if (a->uses[i].option == o && a->uses[i].source > best)
            best = a->uses[i].source;
    return best;
}

const use *arguments_next(const arguments *a, option_id id, const use *before)
{
    const option *o = &option_table[id];
    source best = strongest(a, o);
    for (size_t i = before ? (size_t)(before - a->uses) + 1 : 0; i < a->use_count; i++)
        if (a->uses[i].option == o && a->uses[i].source == best)
            return &a->uses[i];
    return NULL;
}

const use *arguments_find(const arguments *a, option_id id)
{
    const use *best = NULL;
    for (size_t i = 0; i < a->use_count; i++)
        if (a->uses[i].option == &option_table[id] && (!best || a->uses[i].source >= best->source))
            best = &a->uses[i];
    return best;
}

bool arguments_has(const arguments *a, option_id id) { return arguments_find(a, id) != NULL; }

const char *arguments_text(const arguments *a, option_id id, const char *otherwise)
{
    const use *u = arguments_find(a, id);
    return u && u->value ? u->value : otherwise;
}

uint64_t arguments_number(const arguments *a, option_id id, uint64_t otherwise)
{
    const use *u = arguments_find(a, id);
    return u ? u->number : otherwise;
}

bool arguments_is(const arguments *a, option_id id, const char *value)
{
    const char *text = arguments_text(a, id, NULL);
    return text && strcmp(text, value) == 0;
}

int arguments_count(const arguments *a, option_id id)
{
    int count = 0;
    for (size_t i = 0; i < a->use_count; i++)
        count += a->uses[i].option == &option_table[id];
    return count;
}
