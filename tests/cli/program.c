/* Running the program; see program.h. */
#include "cli/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { SECONDS_MOST = 60 };

typedef struct pipes {
    int in[2], out[2], err[2];
    int terminal, terminal_slave;
} pipes;

typedef struct text {
    char *data;
    size_t size, capacity;
} text;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void text_add(text *t, const char *bytes, size_t count)
{
    while (t->size + count + 1 > t->capacity) {
        t->capacity = t->capacity ? 2 * t->capacity : 4096;
        t->data = realloc(t->data, t->capacity);
        assert_non_null(t->data);
    }
    memcpy(t->data + t->size, bytes, count);
    t->size += count;
    t->data[t->size] = '\0';
}

static void open_terminal(pipes *p, const run_options *o)
{
    struct winsize size = {.ws_row = o->rows ? o->rows : 40, .ws_col = 100};
    p->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (p->terminal < 0)
        skip(); /* a machine that has no pseudo-terminals */
    assert_true(grantpt(p->terminal) == 0 && unlockpt(p->terminal) == 0);
    p->terminal_slave = open(ptsname(p->terminal), O_RDWR | O_NOCTTY);
    assert_true(p->terminal_slave >= 0);
    ioctl(p->terminal_slave, TIOCSWINSZ, &size);
}

static void open_pipes(pipes *p, const run_options *o)
{
    *p = (pipes){{-1, -1}, {-1, -1}, {-1, -1}, -1, -1};
    if (o->on_terminal) {
        open_terminal(p, o);
        return;
    }
    assert_int_equal(pipe2(p->in, O_CLOEXEC), 0);
    assert_int_equal(pipe2(p->out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(p->err, O_CLOEXEC), 0);
}

static void set_environment(const run_options *o)
{
    static const char *const unset[] = {"NO_COLOR", "FORCE_COLOR", "CLICOLOR_FORCE", "COLORTERM", "COLORFGBG", "LC_ALL", "LC_CTYPE",
                                        "LANG", "CI", "TOKRAY_MODEL", "TOKRAY_THEME", "TOKRAY_CONFIG", "TOKRAY_THREADS",
                                        "TOKRAY_MEMORY", "TOKRAY_PAGER", "PAGER", "WT_SESSION", "ConEmuANSI", "TERM_PROGRAM",
                                        "XDG_CONFIG_HOME"};
    for (size_t i = 0; i < sizeof unset / sizeof *unset; i++)
        unsetenv(unset[i]);
    setenv("HOME", "/nonexistent", 1);
    setenv("TERM", "xterm", 1);
    for (size_t i = 0; o->environment && o->environment[i]; i++)
        putenv((char *)(uintptr_t)o->environment[i]);
}

static void connect_child(const pipes *p, const run_options *o)
{
    if (o->on_terminal) {
        setsid();
        ioctl(p->terminal_slave, TIOCSCTTY, 0);
        for (int i = 0; i < 3; i++)
            dup2(p->terminal_slave, i);
        close(p->terminal_slave);
        return;
    }
    dup2(p->in[0], 0);
    dup2(p->err[1], 2);
    if (o->output)
        dup2(open(o->output, O_WRONLY | O_CLOEXEC), 1);
    else
        dup2(p->out[1], 1);
    if (o->output_closed)
        close(1);
}

static pid_t start(const char *const *args, const run_options *o, const pipes *p)
{
    const char *program = getenv("TOKRAY_PROGRAM");
    size_t count = 0;
    while (args[count])
        count++;
    const char **argv = calloc(count + 2, sizeof *argv);
    assert_non_null(argv);
    argv[0] = program;
    memcpy(argv + 1, args, count * sizeof *argv);
    if (!program)
        fail_msg("TOKRAY_PROGRAM is not set");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGPIPE, SIG_DFL);
        set_environment(o);
        if (o->folder && chdir(o->folder) != 0)
            _exit(99);
        connect_child(p, o);
        execv(program, (char *const *)(uintptr_t)argv);
        _exit(99);
    }
    free(argv);
    return child;
}

static void close_one(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* Writes the input piece by piece, so that a large one cannot block. */
static void feed(pipes *p, const run_options *o, size_t *fed)
{
    size_t size = !o->input ? 0 : o->input_bytes ? o->input_bytes : strlen(o->input);
    if (*fed < size) {
        ssize_t done = write(p->in[1], o->input + *fed, size - *fed);
        if (done > 0)
            *fed += (size_t)done;
        else if (errno != EAGAIN)
            *fed = size;
    }
    if (*fed >= size)
        close_one(&p->in[1]);
}

static void drain(int *descriptor, text *into)
{
    char piece[4096];
    ssize_t got = read(*descriptor, piece, sizeof piece);
    if (got > 0)
        text_add(into, piece, (size_t)got);
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        close_one(descriptor);
}

/* The terminal's answer to ESC ] 11 ; ?, and the signal, each once. */
static void react(const run_options *o, pipes *p, pid_t child, const text *out, const text *err, bool *replied, bool *signalled)
{
    if (o->terminal_reply && !*replied && out->data && strstr(out->data, "\x1b]11;?")) {
        ssize_t ignored = write(p->terminal, o->terminal_reply, strlen(o->terminal_reply));
        (void)ignored;
        *replied = true;
    }
    if (o->signal_after && !*signalled && err->data && strstr(err->data, o->signal_after)) {
        if (o->truncated)
            assert_int_equal(truncate(o->truncated, 0), 0);
        else
            kill(child, o->signal_number);
        *signalled = true;
    }
}

static void communicate(const run_options *o, pipes *p, pid_t child, text *out, text *err)
{
    double deadline = now() + SECONDS_MOST;
    size_t fed = 0;
    bool replied = false, signalled = false;
    int *from = o->on_terminal ? &p->terminal : &p->out[0];
    if (p->in[1] >= 0)
        fcntl(p->in[1], F_SETFL, O_NONBLOCK);
    while (*from >= 0 || p->err[0] >= 0) {
        struct pollfd wait[3] = {{*from, POLLIN, 0}, {p->err[0], POLLIN, 0}, {p->in[1], POLLOUT, 0}};
        if (poll(wait, 3, 100) > 0) {
            if (wait[0].revents)
                drain(from, out);
            if (wait[1].revents)
                drain(&p->err[0], err);
            if (wait[2].revents)
                feed(p, o, &fed);
        }
        react(o, p, child, out, err, &replied, &signalled);
        if (now() > deadline) {
            kill(child, SIGKILL);
            break;
        }
    }
}

run_result run_program(const char *const *args, const run_options *options)
{
    run_options o = options ? *options : (run_options){0};
    pipes p;
    text out = {0}, err = {0};
    int status = 0;
    double begun = now();
    signal(SIGPIPE, SIG_IGN);
    open_pipes(&p, &o);
    pid_t child = start(args, &o, &p);
    close_one(&p.in[0]);
    close_one(&p.out[1]);
    close_one(&p.err[1]);
    close_one(&p.terminal_slave);
    if (o.reader_gone)
        close_one(&p.out[0]);
    text_add(&out, "", 0);
    text_add(&err, "", 0);
    communicate(&o, &p, child, &out, &err);
    close_one(&p.in[1]);
    waitpid(child, &status, 0);
    close_one(&p.terminal);
    close_one(&p.out[0]);
    close_one(&p.err[0]);
    run_result r = {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), out.data, err.data, out.size, err.size,
                    now() - begun};
    return r;
}

void run_free(run_result *r)
{
    free(r->out);
    free(r->err);
    *r = (run_result){0};
}
