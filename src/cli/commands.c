/* The commands: overview, help and dispatch all come from this table. */
#include <string.h>

#include "cli/cli.h"

static const char *const explain_examples[] = {
    "tokray explain \"The plot is thin, but the acting is superb.\"",
    "tokray explain -M ig,occlusion -o why.json \"Your own sentence.\"",
    "tokray explain -m ./my-model -t label:positive~label:negative \"...\"",
    "tokray explain -m tiny-bert-mlm \"Once upon a time, there was a little [MASK] named Lily.\"",
    "tokray explain -m tiny-gpt2-stories -t 'token:\" she\"~token:\" he\"' \"Lily was sad because\"",
    "tokray explain -m tiny-t5-tasks -t all \"date: March 5th, 1999\"",
    "tokray explain --json \"...\" | jq '.methods[].top[]'",
    NULL};
static const char *const demo_examples[] = {"tokray demo", "tokray demo date", NULL};
static const char *const models_examples[] = {"tokray models list", "tokray models info tiny-distilbert-sentiment",
                                              "tokray models check ./my-model", NULL};
static const char *const methods_examples[] = {"tokray methods", "tokray methods ig", NULL};
static const char *const tokens_examples[] = {"tokray tokens \"unbelievably good\"", "tokray tokens -m ./my-model - < text.txt", NULL};
static const char *const doctor_examples[] = {"tokray doctor", NULL};
static const char *const help_examples[] = {"tokray help", "tokray help explain", NULL};
static const char *const version_examples[] = {"tokray version", NULL};

static const char explain_details[] =
    "Targets (-t); positions and steps count from 0\n"
    "  predicted              what the model says: a class, its masks, the next token, or the whole output (text to text)\n"
    "  label:NAME, class:N    a class; label:B-PER@7 the class of token 7\n"
    "  mask                   every mask; token:\"word\" a word of yours there, token:\"word\"@7 at one of them\n"
    "  next, pos:N            the next token; the token at position N\n"
    "  gen:N                  step N of the output: what the model writes (--max-new), or --output-text\n"
    "  start, end, start@7    where an answer begins and ends\n"
    "  all                    every class, or every step of the output as a matrix\n"
    "  A~B                    A rather than B: token:\" she\"~token:\" he\"\n";

static const char EXPLAIN[] = "Explain one prediction", AROUND[] = "Around";

const command command_table[] = {
    {"explain", FOR_EXPLAIN, EXPLAIN, "which tokens made it, by one or more methods", "explain [OPTIONS] TEXT...", explain_examples,
     explain_command, explain_details},
    {"demo", FOR_DEMO, AROUND, "an example of each task, at once", "demo [OPTIONS] [class|mask|next|date]", demo_examples,
     demo_command, NULL},
    {"models", FOR_MODELS, AROUND, "list what is here, describe one, check a folder",
     "models list | models info NAME | models check DIR | models families", models_examples, models_command, NULL},
    {"methods", FOR_METHODS, AROUND, "the methods; with a name, its parameters and caveat", "methods [NAME]", methods_examples,
     methods_command, NULL},
    {"tokens", FOR_TOKENS, AROUND, "how a text is cut into tokens", "tokens [OPTIONS] TEXT", tokens_examples, tokens_command, NULL},
    {"doctor", FOR_DOCTOR, AROUND, "what this build and this terminal can do; for bug reports", "doctor", doctor_examples,
     doctor_command, NULL},
    {"help", FOR_HELP, AROUND, "this overview, or all about one command", "help [COMMAND]", help_examples, help_command, NULL},
    {"version", FOR_VERSION, AROUND, "the version", "version", version_examples, version_command, NULL},
};
const size_t command_count = sizeof command_table / sizeof *command_table;

const command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(command_table[i].name, name) == 0)
            return &command_table[i];
    return NULL;
}
