/*
 * Tokray's side of bench/peers: forward passes of a random model of published size, timed on request, so that its turns can
 * alternate with those of other engines in one run.
 *
 *     forward_server [--threads N] bert|distilbert
 *
 * Says "folder PATH" when the model is there, then answers each line of standard input with one line:
 *     shape LENGTH...   "rows N": lays out sequences of these lengths (token ids: sized.h)
 *     time SECONDS      "seconds X": median of the passes within about that time, at least one
 *     hidden PATH       "written N": writes the last layer's rows there as float32, N numbers
 * The end of the input ends it, and the folder is removed.
 */
#include <string.h>

#include "base/clock.h"
#include "base/number.h"
#include "bench/report.h"
#include "bench/sized.h"

enum { LINE_ROOM = 4096, LENGTHS_MOST = 256 };
static const char PROGRAM[] = "forward_server";

static void run(pass *p)
{
    tkr_error error = {0};
    if (pass_forward(p, &error))
        report_stop(PROGRAM, "a forward pass", &error);
}

static pass *lay_out(const sized *s, char *lengths)
{
    uint32_t values[LENGTHS_MOST];
    size_t count = 0;
    for (char *word = strtok(lengths, " "); word; word = strtok(NULL, " ")) {
        int64_t value;
        if (count == LENGTHS_MOST || !number_parse_int(view_of(word), &value) || value < 1 || value > 512)
            report_stop(PROGRAM, "lengths must be 1 to 512, at most 256 of them", NULL);
        values[count++] = (uint32_t)value;
    }
    if (count == 0)
        report_stop(PROGRAM, "a shape has at least one length", NULL);
    pass *p = sized_forward(s, values, count, 0);
    run(p); /* packs weights and touches the memory */
    printf("rows %zu\n", p->batch.rows);
    return p;
}

static void time_passes(pass *p, const char *seconds)
{
    double limit, times[ROUNDS_MOST], begun = clock_seconds(), now = begun;
    size_t count = 0;
    if (!number_parse_real(view_of(seconds), &limit))
        report_stop(PROGRAM, "time takes seconds", NULL);
    while (count == 0 || (count < ROUNDS_MOST && now - begun < limit)) {
        const double start = now;
        run(p);
        now = clock_seconds();
        times[count++] = now - start;
    }
    printf("seconds %.9f\n", report_median(times, count));
}

static void write_hidden(const pass *p, const char *path)
{
    const size_t count = p->batch.rows * p->graph.graph->nodes[p->at].width;
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(pass_values(p, 0), sizeof(real), count, file) != count || fclose(file) != 0)
        report_stop(PROGRAM, path, NULL);
    printf("written %zu\n", count);
}

static bool takes(char *line, const char *word, char **rest)
{
    const size_t size = strlen(word);
    *rest = line + size;
    return strncmp(line, word, size) == 0;
}

int main(int argc, char **argv)
{
    report_options options = report_begin(PROGRAM, argc, argv);
    if (!options.operand)
        report_stop(PROGRAM, "which family, bert or distilbert?", NULL);
    sized model;
    sized_open(&model, PROGRAM, options.operand, options.threads);
    printf("folder %s\n", model.folder);
    fflush(stdout);
    pass *p = NULL;
    char line[LINE_ROOM], *rest;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (takes(line, "shape ", &rest)) {
            pass_free(p);
            p = lay_out(&model, rest);
        } else if (p && takes(line, "time ", &rest)) {
            time_passes(p, rest);
        } else if (p && takes(line, "hidden ", &rest)) {
            write_hidden(p, rest);
        } else {
            report_stop(PROGRAM, line, NULL);
        }
        fflush(stdout);
    }
    pass_free(p);
    sized_close(&model);
    return report_end(&options);
}
