/*
 * The form of a message (docs/errors.md):
 *
 *   error: no label "positve" in model tiny-distilbert-sentiment
 *     --target label:positve
 *                    ^^^^^^^
 *     labels: NEGATIVE, POSITIVE
 *     help: --target label:POSITIVE
 *
 * The caret counts terminal columns of the escaped text, so that it stands right under wide and hidden characters too.
 */
#include "cli/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/events.h"
#include "cli/heap.h"

enum { POINTED_BEFORE = 48, POINTED_AFTER = 24, LABEL_RED = 31, LABEL_YELLOW = 33, LABEL_GREEN = 32, LABEL_BLUE = 36 };

static void put_label(cli *c, const char *label, int color)
{
    if (c->around.err_color)
        stream_format(&c->err, "\x1b[1;%dm%s\x1b[0m ", color, label);
    else
        stream_format(&c->err, "%s ", label);
}

static void put_help(cli *c, const char *help)
{
    put_label(c, "help:", LABEL_GREEN);
    stream_text(&c->err, help);
}

/* ---- the argument that is at fault ---- */

/* What an error points to: text typed before the value, the value, and the bytes in it. */
typedef struct pointed {
    const char *spelled;
    char separator;
    const char *value;
    size_t begin, length; /* length 0: to the end of the value */
    bool has_place;
    const use *use;
} pointed;

static const struct {
    const char *field;
    option_id option;
} field_options[] = {{"target", OPTION_TARGET},     {"measure", OPTION_MEASURE}, {"features", OPTION_FEATURES}, {"context", OPTION_FIXED},
                     {"removal", OPTION_REMOVAL},   {"at", OPTION_AT},           {"ids", OPTION_IDS},
                     {"model", OPTION_MODEL},         {"external", OPTION_EXTERNAL},       {"truncate", OPTION_TRUNCATE}, {"output_text", OPTION_OUTPUT_TEXT},
                     {"output_ids", OPTION_OUTPUT_IDS}, {"max_new", OPTION_MAX_NEW}, {"per_target", OPTION_PER_TARGET},
                     {"prompt_only", OPTION_PROMPT_ONLY}};

static bool point_to_use(pointed *p, const use *u)
{
    if (!u || !u->value)
        return false;
    p->spelled = u->spelled;
    p->separator = u->separator;
    p->value = u->value;
    p->use = u;
    return true;
}

static bool point_to_method(const cli *c, pointed *p)
{
    size_t at = 0;
    if (c->error.offset < 0 || !point_to_use(p, methods_text_find(&c->methods, (size_t)c->error.offset, &at)))
        return false;
    p->begin = at;
    return true;
}

/* A text is only quoted when a byte of it is meant. */
static bool point_to_text(const cli *c, pointed *p)
{
    if (c->error.offset < 0 || cli_operand_count(c) != 1 || strcmp(cli_operand(c, 0)->text, "-") == 0)
        return false;
    p->spelled = "";
    p->value = cli_operand(c, 0)->text;
    return true;
}

static bool find_pointed(const cli *c, pointed *p)
{
    const tkr_error *e = &c->error;
    *p = (pointed){.has_place = e->offset >= 0, .begin = e->offset > 0 ? (size_t)e->offset : 0,
                   .length = e->length > 0 ? (size_t)e->length : 0};
    if (c->args.bad_use)
        return point_to_use(p, c->args.bad_use);
    if (strcmp(e->field, "methods") == 0)
        return point_to_method(c, p);
    if (strcmp(e->field, "text") == 0)
        return point_to_text(c, p);
    for (size_t i = 0; i < sizeof field_options / sizeof *field_options; i++)
        if (strcmp(e->field, field_options[i].field) == 0)
            return point_to_use(p, arguments_find(&c->args, field_options[i].option));
    return false;
}

/* Safe text of a part of the value; the caller frees. */
static char *safe_part(const char *bytes, size_t count)
{
    char *safe = heap_new(4 * count + 16, 1);
    return tkr_escape(safe, 4 * count + 16, bytes, count);
}

/* Start of a part that is at most `most` bytes before `end`, at the start of a character. */
static size_t window_begin(const char *text, size_t end, size_t most)
{
    size_t begin = end > most ? end - most : 0;
    while (begin < end && ((unsigned char)text[begin] & 0xC0) == 0x80)
        begin++;
    return begin;
}

static size_t window_end(const char *text, size_t size, size_t begin, size_t most)
{
    size_t end = size - begin > most ? begin + most : size;
    while (end < size && end > begin && ((unsigned char)text[end] & 0xC0) == 0x80)
        end--;
    return end;
}

static void put_pointed(cli *c, const pointed *p)
{
    size_t size = strlen(p->value), begin = p->begin < size ? p->begin : size;
    size_t length = p->length && p->length < size - begin ? p->length : size - begin;
    if (!p->has_place)
        begin = 0, length = 0;
    size_t from = window_begin(p->value, begin, POINTED_BEFORE);
    size_t meant_end = window_end(p->value, begin + length, begin, POINTED_BEFORE);
    size_t to = window_end(p->value, size, meant_end, p->has_place ? POINTED_AFTER : POINTED_BEFORE);
    char *before = safe_part(p->value + from, begin - from), *meant = safe_part(p->value + begin, meant_end - begin);
    char *after = safe_part(p->value + meant_end, to - meant_end);
    char separator[2] = {p->separator, '\0'};
    const char *cut = from > 0 ? "..." : "";
    stream_format(&c->err, "  %s%s%s", p->spelled, separator, cut);
    stream_text(&c->err, before);
    stream_text(&c->err, meant);
    stream_text(&c->err, after);
    stream_text(&c->err, to < size ? "...\n" : "\n");
    if (p->has_place) {
        size_t columns = tkr_columns(meant, strlen(meant));
        stream_spaces(&c->err, 2 + strlen(p->spelled) + strlen(separator) + strlen(cut) + tkr_columns(before, strlen(before)));
        for (size_t i = 0; i < (columns ? columns : 1); i++)
            stream_text(&c->err, "^");
        stream_text(&c->err, "\n");
    }
    heap_free(before);
    heap_free(meant);
    heap_free(after);
}

static void put_origin(cli *c, const pointed *p)
{
    if (p->use && p->use->source == SOURCE_VARIABLE)
        stream_format(&c->err, "  from %s in the environment\n", p->use->option->variable);
    else if (p->use && p->use->source == SOURCE_CONFIG && c->args.config_path && !c->error.facts[0])
        stream_format(&c->err, "  from line %d of %s\n", p->use->place, c->args.config_path);
}

static void put_event(cli *c)
{
    event_begin(&c->err, "error");
    event_text(&c->err, "code", tkr_status_name(c->error.code));
    event_text(&c->err, "message", c->error.message);
    event_text(&c->err, "help", c->error.help[0] ? c->error.help : NULL);
    event_text(&c->err, "field", c->error.field[0] ? c->error.field : NULL);
    event_end(&c->err);
}

void report_error(cli *c)
{
    const tkr_error *e = &c->error;
    pointed p;
    progress_erase(&c->progress);
    if (c->silent)
        return;
    put_label(c, "error:", LABEL_RED);
    stream_format(&c->err, "%s\n", e->message);
    if (find_pointed(c, &p)) {
        put_pointed(c, &p);
        put_origin(c, &p);
    }
    if (e->facts[0])
        stream_format(&c->err, "  %s\n", e->facts);
    if (e->help[0]) {
        stream_text(&c->err, "  ");
        put_help(c, e->help);
        stream_text(&c->err, "\n");
    }
    if (e->code == TKR_E_INTERNAL)
        stream_format(&c->err, "  this is a bug; please report it with: %s\n", tkr_build_info());
    if (c->shows_events)
        put_event(c);
    stream_flush(&c->err);
}

void report_warning(cli *c, const tkr_warning *warning, bool is_error)
{
    progress_erase(&c->progress);
    if (c->silent)
        return;
    put_label(c, is_error ? "error:" : "warning:", is_error ? LABEL_RED : LABEL_YELLOW);
    stream_text(&c->err, warning->message);
    if (warning->help && warning->help[0]) {
        stream_text(&c->err, c->around.ascii ? " - " : " · ");
        put_help(c, warning->help);
    }
    stream_text(&c->err, "\n");
    if (c->shows_events) {
        event_begin(&c->err, is_error ? "error" : "warning");
        event_text(&c->err, "code", warning->code);
        event_text(&c->err, "message", warning->message);
        event_text(&c->err, "help", warning->help);
        event_end(&c->err);
    }
    stream_flush(&c->err);
}

void report_note(cli *c, const char *format, ...)
{
    char text[1024];
    va_list values;
    if (c->quiet)
        return;
    progress_erase(&c->progress);
    va_start(values, format);
    vsnprintf(text, sizeof text, format, values);
    va_end(values);
    put_label(c, "note:", LABEL_BLUE);
    stream_format(&c->err, "%s\n", text);
    stream_flush(&c->err);
}

void report_hint(cli *c, const char *text)
{
    if (c->quiet || arguments_has(&c->args, OPTION_NO_HINTS) || !c->around.out_terminal || !c->around.err_terminal)
        return;
    stream_flush(&c->out);
    stream_text(&c->err, "\n");
    put_label(c, "hint:", LABEL_BLUE);
    stream_format(&c->err, "%s\n", text);
    stream_flush(&c->err);
}
