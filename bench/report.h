/* What every benchmark does around its measuring: options, statistics, ending with a message. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include <stdbool.h>
#include <stdio.h>
#include <tokray/error.h>

enum { ROUNDS_MOST = 64 };

typedef struct report_options {
    const char *program;
    bool quick;
    int threads;         /* 0: the program chooses                  */
    FILE *csv;           /* NULL: no CSV is wanted                  */
    const char *operand; /* the argument that is no option, or NULL */
} report_options;

/* [--quick] [--threads N] [--csv FILE] [OPERAND]; ends the program when the arguments are others. */
report_options report_begin(const char *program, int argc, char **argv);
/* Closes the CSV file; returns the exit code. */
int report_end(const report_options *o);

/* Prints what went wrong (error may be NULL) and ends the program. */
_Noreturn void report_stop(const char *program, const char *what, const tkr_error *error);

/* Of at most ROUNDS_MOST values. */
double report_median(const double *values, size_t count);
double report_least(const double *values, size_t count);

#endif
