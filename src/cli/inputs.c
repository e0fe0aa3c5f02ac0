/*
 * Reading texts.  Several operands are several inputs, never joined.  "-", or standard input when it is no terminal, is one text; one
 * newline at its end is not part of it.  Nothing ever waits for a terminal to be typed into.
 */
#include "cli/inputs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/signals.h"
#include "cli/values.h"

enum { TEXT_MOST = 64 << 20, OPERANDS_MOST = 1000, IDS_MOST = 1 << 20 };

void inputs_free(inputs *in)
{
    heap_free(in->list);
    heap_free(in->owned);
    heap_free(in->ids);
    heap_free(in->output_ids);
    *in = (inputs){0};
}

static tkr_status stopped(cli *c)
{
    return complain(&c->error, TKR_E_CANCELLED, "stopped while reading standard input");
}

/* Reads to the end; an error when there is none within TEXT_MOST. */
static tkr_status read_all(cli *c, int descriptor, const char *name, char **text, size_t *bytes)
{
    size_t capacity = 0;
    *text = heap_grow(NULL, 0, &capacity, 1);
    for (*bytes = 0;;) {
        while (*bytes + 4096 > capacity)
            *text = heap_grow(*text, capacity, &capacity, 1);
        ssize_t got = read(descriptor, *text + *bytes, capacity - *bytes - 1);
        if (got == 0)
            break;
        if (got < 0 && errno == EINTR && signals_received() == 0)
            continue;
        if (got < 0)
            return errno == EINTR ? stopped(c) : complain(&c->error, TKR_E_INPUT_FILE, "%s cannot be read: %s", name, strerror(errno));
        *bytes += (size_t)got;
        if (*bytes > TEXT_MOST)
            return complain(&c->error, TKR_E_LIMIT_TEXT, "%s holds more than %d MiB", name, TEXT_MOST >> 20);
    }
    (*text)[*bytes] = '\0';
    return TKR_OK;
}

char *inputs_read_file(cli *c, const char *path, size_t *bytes)
{
    char *text = NULL;
    char name[SHOWN_ROOM] = "standard input";
    int descriptor = path ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
    if (path)
        shown_into(name, path);
    if (descriptor < 0) {
        complain(&c->error, TKR_E_INPUT_FILE, "%s cannot be read: %s", name, strerror(errno));
        return NULL;
    }
    tkr_status status = read_all(c, descriptor, name, &text, bytes);
    if (path)
        close(descriptor);
    if (!status)
        return text;
    heap_free(text);
    return NULL;
}

static void cut_last_newline(char *text, size_t *bytes)
{
    if (*bytes > 0 && text[*bytes - 1] == '\n')
        text[--*bytes] = '\0';
    if (*bytes > 0 && text[*bytes - 1] == '\r')
        text[--*bytes] = '\0';
}

static tkr_status read_one(inputs *in, cli *c, const char *path)
{
    size_t bytes = 0;
    in->owned = inputs_read_file(c, path, &bytes);
    if (!in->owned)
        return c->error.code;
    cut_last_newline(in->owned, &bytes);
    in->list = heap_new(1, sizeof *in->list);
    in->list[in->count++] = (input){in->owned, bytes};
    return TKR_OK;
}

static tkr_status read_operands(inputs *in, cli *c)
{
    size_t count = cli_operand_count(c);
    if (count > OPERANDS_MOST) {
        complain(&c->error, TKR_E_USAGE_RANGE, "%zu texts are too many for one call", count);
        complain_help(&c->error, "at most %d", OPERANDS_MOST);
        return c->error.code;
    }
    if (count == 1 && strcmp(cli_operand(c, 0)->text, "-") == 0)
        return read_one(in, c, NULL);
    in->list = heap_new(count, sizeof *in->list);
    for (size_t i = 0; i < count; i++) {
        const char *text = cli_operand(c, i)->text;
        if (strcmp(text, "-") == 0)
            return complain(&c->error, TKR_E_USAGE_CONFLICT, "- (standard input) and other texts exclude each other");
        in->list[in->count++] = (input){text, strlen(text)};
    }
    return TKR_OK;
}

static tkr_status read_ids(cli *c, const use *u, int32_t **ids, size_t *count)
{
    size_t capacity = 0;
    for (const char *at = u->value;;) {
        size_t length = strcspn(at, ",");
        uint64_t id;
        bool wraps;
        if (!values_whole(at, length, &id, &wraps) || wraps || id > INT32_MAX || *count == IDS_MOST) {
            complain(&c->error, TKR_E_USAGE_VALUE, "%s: token %zu is no token id", u->spelled, *count);
            complain_help(&c->error, "numbers with commas: %s 101,1996,102", u->spelled);
            c->args.bad_use = u;
            c->error.offset = at - u->value;
            c->error.length = (int64_t)(length ? length : 1);
            return c->error.code;
        }
        *ids = heap_grow(*ids, *count, &capacity, sizeof **ids);
        (*ids)[(*count)++] = (int32_t)id;
        if (!at[length])
            return TKR_OK;
        at += length + 1;
    }
}

static tkr_status read_input_ids(inputs *in, cli *c, const use *u)
{
    in->list = heap_new(1, sizeof *in->list);
    in->count = 1;
    return read_ids(c, u, &in->ids, &in->id_count);
}

static tkr_status exclude(cli *c, const char *a, const char *b)
{
    return complain(&c->error, TKR_E_USAGE_CONFLICT, "%s and %s exclude each other", a, b);
}

static tkr_status check_conflicts(cli *c, const use *file, const use *ids)
{
    const use *pair = arguments_find(&c->args, OPTION_PAIR);
    size_t count = cli_operand_count(c);
    if (count && ids)
        return exclude(c, "a text", ids->spelled);
    if (count && file)
        return exclude(c, "a text", file->spelled);
    if (file && ids)
        return exclude(c, file->spelled, ids->spelled);
    if (pair && ids)
        return exclude(c, pair->spelled, ids->spelled);
    return pair && count > 1 ? exclude(c, pair->spelled, "several texts") : TKR_OK;
}

/* An output is given once, or written by the model. */
static tkr_status read_output(inputs *in, cli *c)
{
    const use *text = arguments_find(&c->args, OPTION_OUTPUT_TEXT), *ids = arguments_find(&c->args, OPTION_OUTPUT_IDS);
    const use *most = arguments_find(&c->args, OPTION_MAX_NEW), *given = text ? text : ids;
    if (text && ids)
        return exclude(c, text->spelled, ids->spelled);
    if (given && most)
        return exclude(c, given->spelled, most->spelled);
    if (given && cli_operand_count(c) > 1)
        return exclude(c, given->spelled, "several texts");
    return ids ? read_ids(c, ids, &in->output_ids, &in->output_id_count) : TKR_OK;
}

tkr_status inputs_read(inputs *in, cli *c)
{
    const use *file = arguments_find(&c->args, OPTION_TEXT_FILE), *ids = arguments_find(&c->args, OPTION_IDS);
    *in = (inputs){0};
    tkr_status status = check_conflicts(c, file, ids);
    if (!status)
        status = read_output(in, c);
    if (status)
        return status;
    if (ids)
        return read_input_ids(in, c, ids);
    if (file)
        return read_one(in, c, strcmp(file->value, "-") == 0 ? NULL : file->value);
    if (cli_operand_count(c) > 0)
        return read_operands(in, c);
    if (!c->around.in_terminal)
        return read_one(in, c, NULL);
    complain(&c->error, TKR_E_USAGE_TEXT, "no text given");
    complain_help(&c->error, "tokray %s \"...\", or - for standard input; tokray %s -h", c->command->name, c->command->name);
    return c->error.code;
}
