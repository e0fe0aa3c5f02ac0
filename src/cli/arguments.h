/*
 * Arguments, understood: which options were used, where each came from (command line, environment, configuration file) and
 * what is left as operands.  The last use of an option from the strongest source counts.
 */
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include <stddef.h>
#include <tokray/error.h>

#include "cli/options.h"

typedef enum source { SOURCE_CONFIG, SOURCE_VARIABLE, SOURCE_LINE } source;

typedef struct use {
    const option *option;
    const char *spelled;  /* "--target", "-t": as it was typed      */
    const char *value;    /* NULL: none                             */
    uint64_t number;      /* of a KIND that has one; a budget's time in microseconds, a share in billionths */
    char separator;       /* between the two: ' ', '=' or 0         */
    source source;
    int place;            /* index in argv, or line of the file     */
} use;

typedef struct operand {
    const char *text;
    int place;
} operand;

typedef struct arguments {
    use *uses;
    size_t use_count, use_capacity;
    operand *operands;
    size_t operand_count, operand_capacity;
    const char *config_path; /* the file that was read, or NULL */
    char **owned;         /* texts that live as long as this */
    size_t owned_count, owned_capacity;
    /* where an error points to */
    const use *bad_use;
    const operand *bad_operand;
    const char *bad_argument; /* an argument that could not be read as an option */
} arguments;

tkr_status arguments_parse(arguments *a, int argc, char *const *argv, tkr_error *error);
/* The configuration file and the environment, with less weight than what arguments_parse read. */
tkr_status arguments_read_settings(arguments *a, tkr_error *error);
/* Every option that was typed must belong to the command (FOR_...). */
tkr_status arguments_check(arguments *a, const char *command, unsigned commands, tkr_error *error);
void arguments_free(arguments *a);

/* The use that counts, or NULL. */
const use *arguments_find(const arguments *a, option_id id);
bool arguments_has(const arguments *a, option_id id);
/* Value of the use that counts, or `otherwise`. */
const char *arguments_text(const arguments *a, option_id id, const char *otherwise);
uint64_t arguments_number(const arguments *a, option_id id, uint64_t otherwise);
bool arguments_is(const arguments *a, option_id id, const char *value);
/* How often an option was given. */
int arguments_count(const arguments *a, option_id id);
/* Uses of a repeatable option, strongest source only, in order; start with NULL, ends with NULL. */
const use *arguments_next(const arguments *a, option_id id, const use *before);

/* Keep a text of the heap; returns it. */
char *arguments_own(arguments *a, char *text);
/* One option; next is the argument after it (NULL: none), *took_next tells whether it was its value. */
typedef struct option_text {
    const char *text, *next;
    source source;
    int place;
} option_text;
tkr_status arguments_add(arguments *a, option_text o, bool *took_next, tkr_error *error);

#endif
