/*
 * Running the built program (TOKRAY_PROGRAM) as a user does: arguments, standard input, and what came out.
 *
 * The environment is the same for every run: no colours, no configuration, UTF-8; `environment` adds to it.
 */
#ifndef TESTS_CLI_PROGRAM_H
#define TESTS_CLI_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct run_options {
    const char *input;              /* standard input; NULL: /dev/null */
    size_t input_bytes;             /* 0: strlen */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *output;             /* standard output goes to this file */
    bool output_closed;             /* started without standard output */
    bool reader_gone;               /* standard output is a pipe nobody reads */
    bool on_terminal;               /* all three streams are a new terminal of 100 columns; it all comes in `out` */
    unsigned short rows;            /* of that terminal; 0: 40 */
    const char *terminal_reply;     /* typed into the terminal when it is asked for its background */
    int signal_number;              /* sent when signal_after has appeared on standard error */
    const char *signal_after;
    const char *truncated;          /* this file is cut to nothing then, instead of a signal */
    const char *folder;             /* working folder */
} run_options;

typedef struct run_result {
    int code;         /* exit code; 128 + n when killed by signal n; -1: did not start or took over a minute */
    char *out, *err;  /* NUL-terminated */
    size_t out_size, err_size;
    double seconds;
} run_result;

/* args: without the program's name, ends with NULL.  Fails the test when the program cannot be started. */
run_result run_program(const char *const *args, const run_options *options);
void run_free(run_result *r);

/* RUN("explain", "text") */
#define RUN(...) run_program((const char *const[]){__VA_ARGS__, NULL}, NULL)
#define RUN_WITH(options, ...) run_program((const char *const[]){__VA_ARGS__, NULL}, (options))

#endif
