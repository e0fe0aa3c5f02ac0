/* Help, all of it from the tables of commands and options. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/complaint.h"
#include "cli/heap.h"
#include "cli/suggest.h"

enum { OPTION_COLUMN = 30, COMMAND_COLUMN = 12, LINE_MOST = 100, CHOICES_MOST = 60 };

void help_first_contact(cli *c)
{
    stream_text(&c->out, "Tokray explains predictions of transformer models, token by token.\n"
                         "\n"
                         "  tokray demo                                   an example of each task, at once\n"
                         "  tokray explain \"The plot is thin, but the acting is superb.\"\n"
                         "  tokray explain -m tiny-bert-mlm \"The queen put on [MASK] crown.\"\n"
                         "  tokray explain -m tiny-gpt2-stories \"Lily was sad because\"\n"
                         "  tokray explain -m tiny-t5-tasks -t all \"date: March 5th, 1999\"\n"
                         "\n"
                         "These work offline: small models are built in. Your own model folder: -m DIR.\n"
                         "All commands: tokray help\n");
}

void help_overview(cli *c)
{
    const char *group = "";
    stream_text(&c->out, "Tokray explains predictions of transformer models, token by token.\n");
    for (size_t i = 0; i < command_count; i++) {
        const command *of = &command_table[i];
        if (strcmp(group, of->group) != 0)
            stream_format(&c->out, "\n%s\n", of->group);
        group = of->group;
        stream_format(&c->out, "  %-*s%s\n", COMMAND_COLUMN, of->name, of->summary);
    }
    stream_text(&c->out, "\ntokray COMMAND -h: examples and the common options; tokray help COMMAND: all of them.\n"
                         "Exit codes: 0 done, 2 wrong usage, 3 bad input, 4 model, 5 not reliable, 6 over a limit, 7 cannot write,\n"
                         "130 stopped.\n");
}

/* Choices too many for the name's place are listed in the help. */
static bool lists_choices(const option *o) { return o->kind == KIND_CHOICE && strlen(o->value) > CHOICES_MOST; }

/* "a, b, c" of "a|b|c"; the caller frees. */
static char *choices_text(const option *o)
{
    char *text = heap_new(2 * strlen(o->value) + 1, 1), *to = text;
    for (const char *from = o->value; *from; from++) {
        *to++ = *from == '|' ? ',' : *from;
        if (*from == '|')
            *to++ = ' ';
    }
    return text;
}

/* "  -m, --model NAME|DIR" */
static size_t put_option_name(cli *c, const option *o)
{
    char name[128];
    const char *shown = strcmp(o->name, "short-help") == 0 ? "" : o->name;
    int length;
    if (o->letter)
        length = snprintf(name, sizeof name, "  -%c%s%s", o->letter, *shown ? ", --" : "", shown);
    else
        length = snprintf(name, sizeof name, "      --%s", shown);
    if (o->value && length > 0)
        length += snprintf(name + length, sizeof name - (size_t)length, o->kind == KIND_EXPORT ? "[=%s]" : " %s",
                           lists_choices(o) ? "NAME" : o->value);
    stream_text(&c->out, name);
    return strlen(name);
}

void help_put_wrapped(cli *c, const char *text, size_t column, size_t most)
{
    size_t used = column;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, " ");
        if (used + length + 1 > most && used > column) {
            stream_text(&c->out, "\n");
            stream_spaces(&c->out, column);
            used = column;
        } else if (used > column) {
            stream_text(&c->out, " ");
            used++;
        }
        stream_bytes(&c->out, at, length);
        used += length;
        at += length + (at[length] == ' ');
    }
    stream_text(&c->out, "\n");
}

static void put_option(cli *c, const option *o)
{
    size_t used = put_option_name(c, o);
    if (used + 2 > OPTION_COLUMN) {
        stream_text(&c->out, "\n");
        used = 0;
    }
    stream_spaces(&c->out, OPTION_COLUMN - used);
    const char *repeatable = o->is_repeatable ? "; repeatable" : "";
    char *choices = lists_choices(o) ? choices_text(o) : heap_text("", 0);
    char *text = heap_format("%s%s%s%s%s%s%s", o->help, *choices ? ": " : "", choices, repeatable, o->standard ? " [" : "",
                             o->standard ? o->standard : "", o->standard ? "]" : "");
    help_put_wrapped(c, text, OPTION_COLUMN, LINE_MOST);
    heap_free(choices);
    heap_free(text);
}

static void put_options(cli *c, const command *of, bool is_full)
{
    for (int group = 0; group < GROUP_COUNT; group++) {
        bool titled = false;
        for (size_t i = 0; i < OPTION_COUNT; i++) {
            const option *o = &option_table[i];
            if (o->group != (option_group)group || !(o->commands & of->bit) || (!is_full && !o->is_common))
                continue;
            if (!titled && is_full)
                stream_format(&c->out, "\n%s\n", option_groups[group]);
            titled = true;
            put_option(c, o);
        }
    }
}

void help_one(cli *c, const command *of, bool is_full)
{
    stream_format(&c->out, "tokray %s: %s\n\n", of->name, of->summary);
    for (size_t i = 0; of->examples[i]; i++)
        stream_format(&c->out, "  %s\n", of->examples[i]);
    stream_format(&c->out, "\nusage: tokray %s\n", of->usage);
    if (!is_full)
        stream_text(&c->out, "\n");
    if (is_full && of->details)
        stream_format(&c->out, "\n%s", of->details);
    put_options(c, of, is_full);
    if (!is_full)
        stream_format(&c->out, "\nall options: tokray help %s\n", of->name);
    else
        stream_text(&c->out, "\nOptions may also stand in the configuration file, one a line ($TOKRAY_CONFIG, else\n"
                             "$XDG_CONFIG_HOME/tokray/config). Command line, then TOKRAY_... variables, then the file count.\n");
}

tkr_status help_command(cli *c)
{
    tkr_status status = cli_operands_most(c, 1);
    if (status)
        return status;
    if (cli_operand_count(c) == 0) {
        help_overview(c);
        return TKR_OK;
    }
    const char *name = cli_operand(c, 0)->text;
    const command *of = command_find(name);
    if (of) {
        help_one(c, of, true);
        return TKR_OK;
    }
    suggestion near;
    suggest_begin(&near, name);
    for (size_t i = 0; i < command_count; i++)
        suggest_try(&near, command_table[i].name);
    complain(&c->error, TKR_E_USAGE_COMMAND, "no command %s", SHOWN(name));
    complain_help(&c->error, near.best ? "tokray help %s" : "tokray help lists all commands", near.best);
    return c->error.code;
}

tkr_status version_command(cli *c)
{
    stream_format(&c->out, "tokray %s\n", tkr_version());
    if (c->verbose)
        stream_format(&c->out, "%s\n", tkr_build_info());
    return TKR_OK;
}
