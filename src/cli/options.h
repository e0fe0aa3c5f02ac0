/*
 * The table of options: parsing, short and full help and suggestions all come from it.  A new option is one row here and the
 * line of code that asks for its value.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum option_id {
    OPTION_MODEL, OPTION_EXTERNAL, OPTION_EXTERNAL_TIMEOUT, OPTION_TASK, OPTION_METHOD, OPTION_TARGET, OPTION_MEASURE, OPTION_FEATURES, OPTION_FIXED, OPTION_REMOVAL,
    OPTION_BASELINE, OPTION_AT, OPTION_PER_TARGET, OPTION_PROMPT_ONLY,
    OPTION_TEXT_FILE, OPTION_PAIR, OPTION_IDS, OPTION_TRUNCATE, OPTION_OUTPUT_TEXT, OPTION_OUTPUT_IDS, OPTION_MAX_NEW,
    OPTION_TOP, OPTION_SPECIAL, OPTION_TABLE, OPTION_STYLE, OPTION_COLOR, OPTION_NO_COLOR, OPTION_THEME, OPTION_WIDTH,
    OPTION_ASCII,
    OPTION_OUTPUT, OPTION_JSON, OPTION_CSV, OPTION_TSV, OPTION_NO_CLOBBER, OPTION_CSV_SAFE, OPTION_REPRODUCIBLE,
    OPTION_THREADS, OPTION_MEMORY, OPTION_SEED, OPTION_BUDGET, OPTION_WANTED_ERROR, OPTION_STRICT, OPTION_DRY_RUN,
    OPTION_QUIET, OPTION_VERBOSE, OPTION_PROGRESS, OPTION_PAGER, OPTION_NO_HINTS, OPTION_NO_CONFIG, OPTION_HELP_SHORT,
    OPTION_HELP, OPTION_VERSION,
    OPTION_NO_MMAP, OPTION_NO_WEIGHT_SCAN, OPTION_STRICT_WEIGHTS, OPTION_FOLLOW_LINKS,
    OPTION_COUNT
} option_id;

typedef enum option_kind {
    KIND_FLAG,   /* on or off                                */
    KIND_TEXT,   /* any text, checked by whoever uses it     */
    KIND_NUMBER, /* whole number in [low, high]              */
    KIND_SIZE,   /* bytes: 512M, 2G                          */
    KIND_CHOICE, /* one of values, "a|b|c"                   */
    KIND_EXPORT, /* =FILE is optional                        */
    KIND_BUDGET, /* evaluations, or with s or ms a time      */
    KIND_SHARE,  /* above 0, at most 1                       */
} option_kind;

typedef enum option_group { GROUP_QUESTION, GROUP_INPUT, GROUP_VIEW, GROUP_OUTPUT, GROUP_RUN, GROUP_TALK, GROUP_EXPERT,
                            GROUP_COUNT } option_group;

/* Commands an option belongs to. */
enum {
    FOR_EXPLAIN = 1, FOR_DEMO = 2, FOR_MODELS = 4, FOR_METHODS = 8, FOR_TOKENS = 16, FOR_DOCTOR = 32, FOR_HELP = 64,
    FOR_VERSION = 128,
    FOR_ALL = 255,
    FOR_ANSWERS = FOR_EXPLAIN | FOR_DEMO,
};

typedef struct option {
    const char *name;     /* without the dashes        */
    char letter;          /* 0: no short form          */
    option_kind kind;
    option_group group;
    unsigned commands;
    const char *value;    /* how help names the value; for choices the choices */
    const char *standard; /* the default, for help; NULL: none */
    const char *help;
    bool is_common;       /* in the short help         */
    bool is_repeatable;   /* all uses count, not the last */
    const char *variable; /* environment variable, or NULL */
    uint64_t low, high;
} option;

extern const option option_table[OPTION_COUNT];
extern const char *const option_groups[GROUP_COUNT];

#endif
