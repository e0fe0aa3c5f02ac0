/*
 * The whole process: what a user waits for from the command to its end, beside what the method itself takes.
 *
 *     bench_process [--quick] [--threads N] [--csv FILE] PROGRAM
 *
 * In each round: `tokray` alone, `tokray explain` on the bundled model, the same tkr_explain call in this process (model and
 * session opened before, weights packed), and `tokray demo`.  Standard output of the children is a pipe; time counts from just
 * before the child is made to its first byte, and to its end.  --threads N is handed on to both.
 * Aims: explain at most the method + 50 ms, demo's first output after at most 300 ms, `tokray` alone within 50 ms.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <tokray/tokray.h>
#include <unistd.h>

#include "base/clock.h"
#include "bench/report.h"

extern char **environ;

static const char PROGRAM[] = "bench_process";
static const char SENTENCE[] = "A boring start, but a superb and moving finish.";
enum { ARGUMENTS_MOST = 8 };

typedef struct command {
    const char *name, *aim_of; /* what the aim is about */
    double aim;                /* seconds               */
    char *argv[ARGUMENTS_MOST];
    bool has_method;
    double whole[ROUNDS_MOST], first[ROUNDS_MOST]; /* seconds to the end, to the first byte */
    double over[ROUNDS_MOST];                      /* whole less the method of the same round */
} command;

/* ---- a child ---- */

static pid_t start(char *const *argv, int *output)
{
    int ends[2];
    pid_t pid;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0 ||
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0) != 0 ||
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO) != 0 ||
        posix_spawn(&pid, argv[0], &actions, NULL, argv, environ) != 0)
        report_stop(PROGRAM, argv[0], NULL);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *output = ends[0];
    return pid;
}

/* Run to the end; the time of the first byte is that of the end when there is none. */
static void run_child(command *c, size_t round)
{
    char room[4096];
    int output, status;
    double begun = clock_seconds(), first = 0;
    pid_t pid = start(c->argv, &output);
    for (;;) {
        ssize_t got = read(output, room, sizeof room);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (first <= 0)
            first = clock_seconds();
    }
    close(output);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        report_stop(PROGRAM, c->name, NULL);
    c->whole[round] = clock_seconds() - begun;
    c->first[round] = first > 0 ? first - begun : c->whole[round];
}

/* ---- the method alone ---- */

static tkr_session *open_session(int threads, tkr_model **model)
{
    tkr_error error = {0};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    *model = tkr_model_open(tkr_default_model(), NULL, &error);
    tkr_session *s = *model ? tkr_session_new(*model, &options, &error) : NULL;
    if (!s)
        report_stop(PROGRAM, tkr_default_model(), &error);
    return s;
}

static double time_method(tkr_session *s)
{
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.text = SENTENCE;
    double begun = clock_seconds();
    tkr_result *r = tkr_explain(s, &q, NULL, &error);
    double passed = clock_seconds() - begun;
    if (!r)
        report_stop(PROGRAM, "tkr_explain", &error);
    tkr_result_free(r);
    return passed;
}

/* ---- the report ---- */

static void report(const report_options *o, const command *commands, size_t count, const double *method,
                   size_t rounds)
{
    const double method_ms = 1e3 * report_median(method, rounds);
    printf("%zu rounds; the method alone (tkr_explain, warm): median %.2f ms, least %.2f ms\n", rounds,
           method_ms, 1e3 * report_least(method, rounds));
    printf("%-16s %10s %10s %12s %12s %14s  %s\n", "command", "median ms", "least ms", "first output",
           "least first", "less the method", "aim");
    if (o->csv)
        fputs("command,median_ms,least_ms,first_median_ms,first_least_ms,method_ms,over_method_ms,"
              "aim_of,aim_ms\n",
              o->csv);
    for (size_t i = 0; i < count; i++) {
        const command *c = &commands[i];
        const double whole = 1e3 * report_median(c->whole, rounds),
                     whole_least = 1e3 * report_least(c->whole, rounds);
        const double first = 1e3 * report_median(c->first, rounds),
                     first_least = 1e3 * report_least(c->first, rounds);
        char over[32] = "";
        if (c->has_method)
            snprintf(over, sizeof over, "%.2f", 1e3 * report_median(c->over, rounds));
        printf("%-16s %10.2f %10.2f %12.2f %12.2f %15s  %s: %.0f\n", c->name, whole, whole_least, first,
               first_least, over, c->aim_of, 1e3 * c->aim);
        if (o->csv)
            fprintf(o->csv, "%s,%.3f,%.3f,%.3f,%.3f,%.3f,%s,%s,%.0f\n", c->name, whole, whole_least, first,
                    first_least, method_ms, over, c->aim_of, 1e3 * c->aim);
    }
}

int main(int argc, char **argv)
{
    static command commands[3];
    const report_options o = report_begin(PROGRAM, argc, argv);
    if (!o.operand)
        report_stop(PROGRAM, "where is the program?", NULL);
    char *program = (char *)o.operand, threads[32];
    snprintf(threads, sizeof threads, "--threads=%d", o.threads);
    char *last = o.threads ? threads : NULL;
    commands[0] = (command){.name = "tokray", .aim_of = "whole", .aim = 0.050, .argv = {program}};
    commands[1] =
        (command){.name = "tokray explain",
                  .aim_of = "less the method",
                  .aim = 0.050,
                  .has_method = true,
                  .argv = {program, "explain", "-m", (char *)tkr_default_model(), (char *)SENTENCE, last}};
    commands[2] = (command){
        .name = "tokray demo", .aim_of = "first output", .aim = 0.300, .argv = {program, "demo", last}};
    const size_t rounds = o.quick ? 7 : 31, count = sizeof commands / sizeof *commands;
    double method[ROUNDS_MOST];
    tkr_model *model;
    tkr_session *session = open_session(o.threads, &model);
    time_method(session);
    for (size_t i = 0; i < count; i++)
        run_child(&commands[i], 0); /* not counted: pages of the program and the models come into memory */
    for (size_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < count; i++)
            run_child(&commands[i], round);
        method[round] = time_method(session);
        commands[1].over[round] = commands[1].whole[round] - method[round];
    }
    report(&o, commands, count, method, rounds);
    tkr_session_free(session);
    tkr_model_close(model);
    return report_end(&o);
}
