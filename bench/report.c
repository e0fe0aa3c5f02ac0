/* Options and statistics of the benchmarks. */
#include "bench/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/number.h"

_Noreturn void report_stop(const char *program, const char *what, const tkr_error *error)
{
    fprintf(stderr, "%s: %s: %s\n", program, what, error ? error->message : "failed");
    exit(1);
}

static _Noreturn void refuse(const char *program)
{
    fprintf(stderr, "usage: %s [--quick] [--threads N] [--csv FILE]\n", program);
    exit(2);
}

report_options report_begin(const char *program, int argc, char **argv)
{
    report_options o = {.program = program};
    for (int i = 1; i < argc; i++) {
        int64_t threads;
        if (strcmp(argv[i], "--quick") == 0) {
            o.quick = true;
        } else if (strcmp(argv[i], "--threads") == 0 && i + 1 < argc) {
            if (!number_parse_int(view_of(argv[++i]), &threads) || threads < 1 || threads > 1024)
                refuse(program);
            o.threads = (int)threads;
        } else if (strcmp(argv[i], "--csv") == 0 && i + 1 < argc) {
            o.csv = fopen(argv[++i], "w");
            if (!o.csv)
                report_stop(program, argv[i], NULL);
        } else if (argv[i][0] != '-' && !o.operand) {
            o.operand = argv[i];
        } else {
            refuse(program);
        }
    }
    return o;
}

int report_end(const report_options *o)
{
    if (o->csv && fclose(o->csv) != 0)
        report_stop(o->program, "writing the CSV file", NULL);
    return 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double report_median(const double *values, size_t count)
{
    double sorted[ROUNDS_MOST];
    memcpy(sorted, values, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, by_size);
    return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

double report_least(const double *values, size_t count)
{
    double best = values[0];
    for (size_t i = 1; i < count; i++)
        best = values[i] < best ? values[i] : best;
    return best;
}
