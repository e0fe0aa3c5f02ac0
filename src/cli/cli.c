/*
 * From arguments to an exit code.
 *
 * Standard output is the answer or data, standard error is conversation.  Everything a command can fail with is a tkr_error in
 * c->error; it is printed here, once, and its code gives the exit code.
 */
#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "cli/suggest.h"

size_t cli_operand_count(const cli *c) { return c->args.operand_count - (c->args.operand_count > 0); }
const operand *cli_operand(const cli *c, size_t index) { return &c->args.operands[index + 1]; }

tkr_status cli_operands_most(cli *c, size_t most)
{
    if (cli_operand_count(c) <= most)
        return TKR_OK;
    complain(&c->error, TKR_E_USAGE_VALUE, "%s is one argument too many", SHOWN(cli_operand(c, most)->text));
    complain_help(&c->error, "usage: tokray %s", c->command->usage);
    return c->error.code;
}

/* ---- the model ---- */

tkr_model_options cli_model_options(const cli *c, bool tokenizer_only)
{
    tkr_model_options o = tkr_model_options_defaults();
    o.task = (tkr_task)arguments_number(&c->args, OPTION_TASK, TKR_TASK_NONE); /* the choices are in the order of the enum */
    o.tokenizer_only = tokenizer_only;
    o.no_weight_scan = arguments_has(&c->args, OPTION_NO_WEIGHT_SCAN);
    o.copy_weights = arguments_has(&c->args, OPTION_NO_MMAP);
    o.strict_weights = arguments_has(&c->args, OPTION_STRICT_WEIGHTS);
    o.follow_links = arguments_has(&c->args, OPTION_FOLLOW_LINKS);
    o.threads = (int)arguments_number(&c->args, OPTION_THREADS, 0);
    return o;
}

tkr_model *cli_open_model(cli *c, const char *name, bool tokenizer_only)
{
    const char *asked = name ? name : arguments_text(&c->args, OPTION_MODEL, NULL);
    tkr_model_options options = cli_model_options(c, tokenizer_only);
    if (!asked) {
        asked = tkr_default_model();
        report_note(c, "no --model given, using the bundled demo model %s (-m to change)", asked);
    }
    tkr_model *model = tkr_model_open(asked, &options, &c->error);
    for (size_t i = 0; model && tkr_model_note(model, i); i++)
        report_note(c, "%s", tkr_model_note(model, i));
    return model;
}

/* ---- starting ---- */

/* A closed descriptor would be given to the next file that is opened, and messages would be written into it. */
static bool protect_descriptors(void)
{
    bool has_output = fcntl(STDOUT_FILENO, F_GETFD) != -1;
    for (int descriptor = 0; descriptor <= STDERR_FILENO; descriptor++)
        if (fcntl(descriptor, F_GETFD) == -1) {
            int opened = open("/dev/null", O_RDWR);
            if (opened != descriptor && opened >= 0)
                close(opened);
        }
    return has_output;
}

static void set_talk(cli *c)
{
    int quiet = arguments_count(&c->args, OPTION_QUIET);
    surroundings_init(&c->around, &c->args);
    c->quiet = quiet > 0;
    c->silent = quiet > 1;
    c->verbose = arguments_has(&c->args, OPTION_VERBOSE);
    c->shows_events = arguments_is(&c->args, OPTION_PROGRESS, "json");
    bool always = arguments_is(&c->args, OPTION_PROGRESS, "always"), never = arguments_is(&c->args, OPTION_PROGRESS, "never");
    c->progress = (progress_line){.err = &c->err, .ascii = c->around.ascii, .width = c->around.width,
                                  .shows_events = c->shows_events};
    c->progress.shows_line = !c->shows_events && !never && (always || (c->around.err_terminal && !c->quiet));
    c->progress.shows_rarely = !c->shows_events && !never && c->verbose;
    c->progress.shows_taskbar = c->around.err_taskbar;
    bool is_paged = c->around.out_terminal && !arguments_is(&c->args, OPTION_PAGER, "never");
    if (is_paged && pager_init(&c->pager, STDOUT_FILENO, c->around.ascii))
        c->out.pager = &c->pager;
    if (c->verbose && c->args.config_path)
        report_note(c, "settings read from %s", c->args.config_path);
}

static tkr_status find_command(cli *c)
{
    const char *name = c->args.operands[0].text;
    c->command = command_find(name);
    if (c->command)
        return TKR_OK;
    suggestion near;
    suggest_begin(&near, name);
    for (size_t i = 0; i < command_count; i++)
        suggest_try(&near, command_table[i].name);
    complain(&c->error, TKR_E_USAGE_COMMAND, "no command %s", SHOWN(name));
    complain_help(&c->error, near.best ? "tokray %s" : "tokray help lists all commands", near.best);
    return c->error.code;
}

/* Operands other than texts must be UTF-8; texts are the library's to judge. */
static tkr_status check_operands(cli *c)
{
    bool are_texts = c->command && (c->command->bit & (FOR_EXPLAIN | FOR_TOKENS));
    for (size_t i = 0; i < (are_texts ? 1 : c->args.operand_count); i++) {
        const operand *o = &c->args.operands[i];
        size_t bad = first_bad_utf8(o->text, strlen(o->text));
        if (o->text[bad])
            return complain(&c->error, TKR_E_USAGE_UTF8, "argument %d: byte %zu (0x%02X) is not UTF-8", o->place, bad,
                            (unsigned)(unsigned char)o->text[bad]);
    }
    return TKR_OK;
}

static tkr_status run_command(cli *c)
{
    tkr_status status = find_command(c);
    if (!status)
        status = check_operands(c);
    if (!status)
        status = arguments_check(&c->args, c->command->name, c->command->bit, &c->error);
    if (status)
        return status;
    if (arguments_has(&c->args, OPTION_HELP) || arguments_has(&c->args, OPTION_HELP_SHORT)) {
        help_one(c, c->command, arguments_has(&c->args, OPTION_HELP));
        return TKR_OK;
    }
    return c->command->run(c);
}

/* Without a command: -h, --version, or the first contact. */
static tkr_status run_without_command(cli *c)
{
    if (arguments_has(&c->args, OPTION_VERSION))
        return version_command(c);
    if (arguments_has(&c->args, OPTION_HELP) || arguments_has(&c->args, OPTION_HELP_SHORT)) {
        help_overview(c);
        return TKR_OK;
    }
    for (size_t i = 0; i < c->args.use_count; i++)
        if (c->args.uses[i].source == SOURCE_LINE && c->args.uses[i].option->kind != KIND_FLAG) {
            complain(&c->error, TKR_E_USAGE_COMMAND, "no command is given with %s", c->args.uses[i].spelled);
            complain_help(&c->error, "tokray explain \"...\"; tokray help lists all commands");
            return c->error.code;
        }
    help_first_contact(c);
    return TKR_OK;
}

static tkr_status run(cli *c, bool has_output)
{
    tkr_status status = arguments_parse(&c->args, c->argc, c->argv, &c->error);
    if (!status)
        status = arguments_read_settings(&c->args, &c->error);
    set_talk(c);
    if (!status && !has_output)
        status = complain(&c->error, TKR_E_IO_WRITE, "standard output is closed");
    if (status)
        return status;
    return c->args.operand_count == 0 ? run_without_command(c) : run_command(c);
}

/* ---- ending ---- */

/* A failed write to standard output is the cause of whatever else failed after it. */
static void check_output(cli *c)
{
    stream_flush(&c->out);
    if (c->out.failure == 0)
        return;
    c->error = (tkr_error){0};
    c->exit_code = 0;
    if (c->out.failure == EPIPE)
        complain(&c->error, TKR_E_CLOSED_PIPE, "standard output was closed by its reader");
    else if (c->out.failure == ENOSPC || c->out.failure == EDQUOT)
        complain(&c->error, TKR_E_IO_NO_SPACE, "no space left for standard output");
    else
        complain(&c->error, TKR_E_IO_WRITE, "standard output cannot be written: %s", strerror(c->out.failure));
}

static int exit_code(const cli *c)
{
    if (c->exit_code)
        return c->exit_code;
    if (c->error.code == TKR_E_CANCELLED && signals_received() == SIGTERM)
        return tkr_status_exit_code(TKR_E_TERMINATED);
    return tkr_status_exit_code(c->error.code);
}

int cli_main(int argc, char **argv)
{
    bool has_output = protect_descriptors();
    signals_install();
    cli *c = heap_new(1, sizeof *c);
    c->argc = argc;
    c->argv = argv;
    c->background.descriptor = -1;
    stream_init(&c->out, STDOUT_FILENO);
    stream_init(&c->err, STDERR_FILENO);
    c->progress.err = &c->err;

    tkr_status status = run(c, has_output);
    background_finish(&c->background, &c->around);
    progress_erase(&c->progress);
    check_output(c);
    if ((status || c->error.code) && c->error.code != TKR_E_CLOSED_PIPE && c->error.message[0])
        report_error(c);
    int code = exit_code(c);
    pager_fini(&c->pager);
    methods_text_fini(&c->methods);
    arguments_free(&c->args);
    heap_free(c);
    return code;
}
