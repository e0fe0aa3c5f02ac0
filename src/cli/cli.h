/* What every command works with, and the table of commands. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include <tokray/tokray.h>

#include "cli/arguments.h"
#include "cli/methods_text.h"
#include "cli/pager.h"
#include "cli/progress_line.h"
#include "cli/stream.h"
#include "cli/surroundings.h"

typedef struct command command;

typedef struct cli {
    int argc;
    char **argv;
    const command *command;
    arguments args;
    surroundings around;
    background background;
    stream out, err;
    pager pager;          /* of out, on a terminal */
    progress_line progress;
    methods_text methods;
    tkr_error error;      /* what ended the run */
    int exit_code;        /* instead of the error's own; 0: that one */
    bool quiet, silent, verbose, shows_events;
} cli;

/* A command's work.  On failure c->error is filled; the caller prints it. */
typedef tkr_status command_fn(cli *c);

struct command {
    const char *name;
    unsigned bit;              /* FOR_... */
    const char *group;         /* heading in the overview, or NULL: not listed */
    const char *summary;
    const char *usage;         /* after "tokray " */
    const char *const *examples; /* lines, ends with NULL */
    command_fn *run;
    const char *details;       /* more for the full help, or NULL */
};
extern const command command_table[];
extern const size_t command_count;
const command *command_find(const char *name);

command_fn explain_command, demo_command, methods_command, models_command, tokens_command, doctor_command, version_command,
    help_command;

/* The whole program; returns the exit code. */
int cli_main(int argc, char **argv);

/* Transcript of the first contact; at most 12 lines. */
void help_first_contact(cli *c);
/* One command's help: on a screen (examples first), or with all options. */
void help_one(cli *c, const command *of, bool is_full);
/* Words on lines of at most `most` columns; the cursor stands at `column`, where further lines begin. */
void help_put_wrapped(cli *c, const char *text, size_t column, size_t most);
void help_overview(cli *c);

/* Operands after the command's name. */
size_t cli_operand_count(const cli *c);
const operand *cli_operand(const cli *c, size_t index);
/* Refuses operands beyond `most`. */
tkr_status cli_operands_most(cli *c, size_t most);

/* What the options of the command line say about opening models. */
tkr_model_options cli_model_options(const cli *c, bool tokenizer_only);
/* Open the model that was asked for, else the bundled one with a note.  name NULL: by --model. */
tkr_model *cli_open_model(cli *c, const char *name, bool tokenizer_only);

#endif
