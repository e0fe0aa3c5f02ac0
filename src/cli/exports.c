/* Saving; see exports.h. */
#include "cli/exports.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/report.h"

/* ---- which ---- */

static bool format_by_extension(const char *path, export_format *format)
{
    static const char *const extensions[] = {[EXPORT_JSON] = ".json", [EXPORT_CSV] = ".csv", [EXPORT_TSV] = ".tsv"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof extensions / sizeof *extensions; i++)
        if (strcmp(dot, extensions[i]) == 0) {
            *format = (export_format)i;
            return true;
        }
    return false;
}

static tkr_status add_export(exports *e, cli *c, const use *u, export_format format)
{
    bool to_output = !u->value || strcmp(u->value, "-") == 0;
    if (e->count == EXPORTS_MOST)
        return complain(&c->error, TKR_E_USAGE_CONFLICT, "more than %d exports", EXPORTS_MOST);
    for (size_t i = 0; to_output && i < e->count; i++)
        if (!e->list[i].path) {
            complain(&c->error, TKR_E_USAGE_CONFLICT, "%s and %s exclude each other on standard output",
                     e->list[i].use->spelled, u->spelled);
            complain_help(&c->error, "%s=FILE", u->spelled);
            return c->error.code;
        }
    e->list[e->count] = (export){.format = format, .use = u, .path = to_output ? NULL : u->value, .descriptor = -1, .slot = e->count};
    e->count++;
    e->owns_output |= to_output;
    return TKR_OK;
}

static tkr_status read_outputs(exports *e, cli *c)
{
    for (const use *u = arguments_next(&c->args, OPTION_OUTPUT, NULL); u; u = arguments_next(&c->args, OPTION_OUTPUT, u)) {
        export_format format;
        if (!format_by_extension(u->value, &format)) {
            complain(&c->error, TKR_E_USAGE_VALUE, "%s %s: no format follows from this name", u->spelled, SHOWN(u->value));
            complain_help(&c->error, "a name that ends in .json, .csv or .tsv; or --json=FILE");
            return c->error.code;
        }
        tkr_status status = add_export(e, c, u, format);
        if (status)
            return status;
    }
    return TKR_OK;
}

tkr_status exports_read(exports *e, cli *c)
{
    static const struct {
        option_id option;
        export_format format;
    } kinds[] = {{OPTION_JSON, EXPORT_JSON}, {OPTION_CSV, EXPORT_CSV}, {OPTION_TSV, EXPORT_TSV}};
    *e = (exports){0};
    tkr_status status = read_outputs(e, c);
    for (size_t k = 0; !status && k < sizeof kinds / sizeof *kinds; k++)
        for (const use *u = arguments_next(&c->args, kinds[k].option, NULL); u && !status;
             u = arguments_next(&c->args, kinds[k].option, u))
            status = add_export(e, c, u, kinds[k].format);
    return status;
}

/* ---- files ---- */

static tkr_status fail_output(cli *c, const export *x, tkr_status code, int failure)
{
    c->exit_code = tkr_status_exit_code(TKR_E_IO_WRITE); /* 7: an output, not a model */
    if (failure == ENOSPC || failure == EDQUOT) {
        c->exit_code = 0;
        code = TKR_E_IO_NO_SPACE;
    }
    const char *name = SHOWN(x->path ? x->path : "standard output");
    return complain(&c->error, code, "%s: %s", name, strerror(failure));
}

static tkr_status open_in_place(cli *c, export *x)
{
    x->descriptor = open(x->target, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return x->descriptor < 0 ? fail_output(c, x, TKR_E_IO_OPEN, errno) : TKR_OK;
}

static tkr_status open_temporary(cli *c, export *x)
{
    const char *slash = strrchr(x->target, '/');
    size_t folder = slash ? (size_t)(slash - x->target) + 1 : 0;
    x->temporary = heap_format("%.*s.tokray-%ld-XXXXXX", (int)folder, x->target, (long)getpid());
    x->descriptor = mkostemp(x->temporary, O_CLOEXEC);
    if (x->descriptor < 0) {
        int failure = errno;
        heap_free(x->temporary);
        x->temporary = NULL;
        return fail_output(c, x, TKR_E_IO_OPEN, failure);
    }
    signals_guard_file(x->slot, x->temporary);
    mode_t mask = umask(0);
    umask(mask);
    fchmod(x->descriptor, 0666 & ~mask);
    return TKR_OK;
}

static tkr_status open_export(cli *c, export *x)
{
    struct stat found;
    char *resolved = realpath(x->path, NULL);
    x->target = heap_text(resolved ? resolved : x->path, strlen(resolved ? resolved : x->path));
    free(resolved);
    if (stat(x->target, &found) != 0)
        return open_temporary(c, x);
    if (S_ISDIR(found.st_mode))
        return fail_output(c, x, TKR_E_IO_OPEN, EISDIR);
    if (arguments_has(&c->args, OPTION_NO_CLOBBER)) {
        complain(&c->error, TKR_E_IO_EXISTS, "%s exists", SHOWN(x->path));
        complain_help(&c->error, "another name, or leave out --no-clobber");
        return c->error.code;
    }
    return S_ISREG(found.st_mode) ? open_temporary(c, x) : open_in_place(c, x);
}

tkr_status exports_open(exports *e, cli *c)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < e->count; i++)
        status = e->list[i].path ? open_export(c, &e->list[i]) : TKR_OK;
    return status;
}

void exports_close(exports *e)
{
    for (size_t i = 0; i < e->count; i++) {
        export *x = &e->list[i];
        if (x->descriptor >= 0)
            close(x->descriptor);
        if (x->temporary)
            unlink(x->temporary);
        heap_free(x->temporary);
        heap_free(x->target);
        x->descriptor = -1;
        x->temporary = x->target = NULL;
        signals_guard_file(x->slot, NULL);
    }
    e->count = 0;
}

bool exports_want(const exports *e, export_format format)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->list[i].format == format)
            return true;
    return false;
}

/* ---- writing ---- */

static tkr_status present(const export *x, cli *c, const tkr_result *result, stream *to)
{
    if (x->format == EXPORT_JSON) {
        tkr_json_options options = tkr_json_options_defaults();
        options.reproducible = arguments_has(&c->args, OPTION_REPRODUCIBLE);
        options.command = options.reproducible ? NULL : (const char *const *)c->argv;
        options.top = (size_t)arguments_number(&c->args, OPTION_TOP, 0);
        return tkr_present_json(result, &options, stream_sink, to, &c->error);
    }
    tkr_table_options options = tkr_table_options_defaults();
    options.tab_separated = x->format == EXPORT_TSV;
    options.spreadsheet_safe = arguments_has(&c->args, OPTION_CSV_SAFE);
    options.full_table = arguments_is(&c->args, OPTION_TABLE, "full");
    return tkr_present_table(result, &options, stream_sink, to, &c->error);
}

static void say_wrote(cli *c, const export *x, size_t bytes)
{
    char safe[SHOWN_ROOM];
    tkr_escape(safe, sizeof safe, x->path, strlen(x->path));
    if (c->quiet)
        return;
    if (bytes < 1000)
        stream_format(&c->err, "wrote %s (%zu bytes)\n", safe, bytes);
    else if (bytes < 1000000)
        stream_format(&c->err, "wrote %s (%.0f kB)\n", safe, (double)bytes / 1e3);
    else
        stream_format(&c->err, "wrote %s (%.1f MB)\n", safe, (double)bytes / 1e6);
    stream_flush(&c->err);
}

/* Put the finished file in its place. */
static tkr_status finish(cli *c, export *x)
{
    int closed = close(x->descriptor), failure = errno;
    x->descriptor = -1;
    if (closed != 0)
        return fail_output(c, x, TKR_E_IO_WRITE, failure);
    if (!x->temporary)
        return TKR_OK;
    bool keeps = arguments_has(&c->args, OPTION_NO_CLOBBER);
    if ((keeps ? link(x->temporary, x->target) : rename(x->temporary, x->target)) != 0)
        return fail_output(c, x, keeps && errno == EEXIST ? TKR_E_IO_EXISTS : TKR_E_IO_WRITE, errno);
    if (keeps)
        unlink(x->temporary);
    signals_guard_file(x->slot, NULL);
    heap_free(x->temporary);
    x->temporary = NULL;
    return TKR_OK;
}

static tkr_status write_file(export *x, cli *c, const tkr_result *result)
{
    stream *file = heap_new(1, sizeof *file);
    stream_init(file, x->descriptor);
    tkr_status status = present(x, c, result, file);
    stream_flush(file);
    int failure = file->failure;
    size_t bytes = file->written;
    heap_free(file);
    if (failure) {
        c->error = (tkr_error){0};
        return fail_output(c, x, TKR_E_IO_WRITE, failure);
    }
    if (!status)
        status = finish(c, x);
    if (!status)
        say_wrote(c, x, bytes);
    return status;
}

tkr_status exports_write(exports *e, cli *c, const tkr_result *result)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < e->count; i++)
        status = e->list[i].path ? write_file(&e->list[i], c, result) : present(&e->list[i], c, result, &c->out);
    return status;
}
