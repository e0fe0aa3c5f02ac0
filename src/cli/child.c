/* Child processes; see child.h. */
#include "cli/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/heap.h"
#include "cli/signals.h"
#include "cli/surroundings.h"

static const double GRACE = 1.0; /* seconds */
enum { SLICE = 50, READ_ROOM = 1 << 16, READS_MOST = 1024 };

static void close_one(int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* ---- starting ---- */

static int spawn(child *c, char **words, int input, int output, int complaints)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE); /* ignored here; it would stay so there */
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, complaints, STDERR_FILENO);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
    int failure = posix_spawnp(&c->id, words[0], &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return failure;
}

static void set_nonblocking(int descriptor) { fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK); }

int child_start(child *c, char **words)
{
    int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}}, failure = 0;
    *c = (child){.in = -1, .out = -1, .err = -1};
    for (size_t i = 0; !failure && i < 3; i++)
        failure = pipe2(pipes[i], O_CLOEXEC) ? errno : 0;
    if (!failure)
        failure = spawn(c, words, pipes[0][0], pipes[1][1], pipes[2][1]);
    close_one(&pipes[0][0]);
    close_one(&pipes[1][1]);
    close_one(&pipes[2][1]);
    c->in = pipes[0][1];
    c->out = pipes[1][0];
    c->err = pipes[2][0];
    if (failure) {
        c->id = 0;
        close_one(&c->in);
        close_one(&c->out);
        close_one(&c->err);
        return failure;
    }
    set_nonblocking(c->in);
    set_nonblocking(c->out);
    set_nonblocking(c->err);
    signals_guard_child(c->id);
    return 0;
}

/* ---- reading ---- */

static void keep_tail(child *c, const char *bytes, size_t count)
{
    size_t kept = count < CHILD_TAIL ? CHILD_TAIL - count : 0;
    kept = kept < c->tail_size ? kept : c->tail_size;
    memmove(c->tail, c->tail + c->tail_size - kept, kept);
    size_t taken = count < CHILD_TAIL ? count : CHILD_TAIL;
    memcpy(c->tail + kept, bytes + count - taken, taken);
    c->tail_size = kept + taken;
}

/* What is there now on standard error; false: nothing. */
static bool read_complaints(child *c)
{
    char bytes[4096];
    ssize_t got = c->err < 0 ? -1 : read(c->err, bytes, sizeof bytes);
    if (got > 0)
        keep_tail(c, bytes, (size_t)got);
    else if (got == 0)
        close_one(&c->err);
    return got > 0;
}

static void read_output(child *c)
{
    while (c->capacity - c->size < READ_ROOM)
        c->received = heap_grow(c->received, c->capacity, &c->capacity, 1);
    ssize_t got = read(c->out, c->received + c->size, READ_ROOM);
    if (got > 0)
        c->size += (size_t)got;
    else if (got == 0)
        close_one(&c->out);
}

/* The first whole line of what was received becomes child.line. */
static bool take_line(child *c)
{
    char *end = c->size > c->scanned ? memchr(c->received + c->scanned, '\n', c->size - c->scanned) : NULL;
    c->scanned = c->size;
    if (!end)
        return false;
    size_t length = (size_t)(end - c->received);
    heap_free(c->line);
    c->line = heap_text(c->received, length);
    memmove(c->received, end + 1, c->size - length - 1);
    c->size -= length + 1;
    c->scanned = 0;
    return true;
}

/* ---- a question and its answer ---- */

typedef struct exchange {
    const char *bytes;
    size_t count, sent;
    double deadline, deaf_since; /* 0: it hears */
} exchange;

static void send_some(child *c, exchange *e)
{
    ssize_t put = write(c->in, e->bytes + e->sent, e->count - e->sent);
    if (put > 0)
        e->sent += (size_t)put;
    else if (put < 0 && errno == EPIPE)
        e->deaf_since = seconds_now();
}

/* Move bytes in all three directions; waits a moment when there are none. */
static void turn(child *c, exchange *e)
{
    bool is_sending = e->sent < e->count;
    struct pollfd ends[] = {{.fd = e->deaf_since > 0 ? -1 : c->in, .events = is_sending ? POLLOUT : 0},
                            {.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
    if (poll(ends, sizeof ends / sizeof *ends, SLICE) <= 0)
        return;
    if (ends[0].revents & POLLERR)
        e->deaf_since = seconds_now();
    else if (ends[0].revents & POLLOUT)
        send_some(c, e);
    if (ends[1].revents)
        read_output(c);
    if (ends[2].revents)
        read_complaints(c);
}

child_event child_ask(child *c, const char *bytes, size_t count, double seconds)
{
    exchange e = {.bytes = bytes, .count = count, .deadline = seconds_now() + seconds};
    for (;;) {
        if (e.sent == e.count && take_line(c))
            return CHILD_LINE;
        if (signals_received())
            return CHILD_STOPPED;
        if (c->size > CHILD_LINE_MOST)
            return CHILD_TOO_LONG;
        if (c->out < 0)
            return CHILD_ENDED;
        double now = seconds_now();
        if (e.deaf_since > 0 && now - e.deaf_since > GRACE)
            return CHILD_DEAF;
        if (now >= e.deadline)
            return CHILD_LATE;
        turn(c, &e);
    }
}

/* ---- ending ---- */

static bool has_ended(const child *c)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->id, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == c->id;
}

/* Let it finish what it is saying; nobody listens to its output any more. */
static void drain(child *c, int wait)
{
    char bytes[4096];
    struct pollfd ends[] = {{.fd = c->out, .events = POLLIN}, {.fd = c->err, .events = POLLIN}};
    if (c->out < 0 && c->err < 0)
        poll(NULL, 0, wait);
    else if (poll(ends, 2, wait) <= 0)
        return;
    if (c->out >= 0 && ends[0].revents && read(c->out, bytes, sizeof bytes) == 0)
        close_one(&c->out);
    if (ends[1].revents)
        read_complaints(c);
}

/* False when the time was over. */
static bool wait_for_end(child *c, double seconds)
{
    for (double deadline = seconds_now() + seconds; !has_ended(c);) {
        if (seconds_now() >= deadline)
            return false;
        drain(c, 5);
    }
    return true;
}

bool child_end(child *c, bool in_a_hurry)
{
    if (c->id == 0)
        return true;
    close_one(&c->in);
    bool in_order = !in_a_hurry && wait_for_end(c, GRACE);
    if (!in_order) {
        kill(-c->id, SIGTERM);
        wait_for_end(c, in_a_hurry ? GRACE / 5 : GRACE);
    }
    kill(-c->id, SIGKILL); /* it, or what it has left behind */
    while (waitpid(c->id, &c->status, 0) < 0 && errno == EINTR)
        continue;
    for (int i = 0; i < READS_MOST && read_complaints(c); i++) /* what is in the pipe still */
        continue;
    signals_guard_child(0);
    c->id = 0;
    close_one(&c->out);
    close_one(&c->err);
    return in_order;
}

const char *child_last_words(child *c)
{
    while (c->tail_size > 0 && strchr("\r\n\t ", c->tail[c->tail_size - 1]))
        c->tail_size--;
    c->tail[c->tail_size] = '\0';
    const char *line = c->tail;
    for (size_t i = 0; i < c->tail_size; i++)
        if (c->tail[i] == '\n')
            line = c->tail + i + 1;
    return line;
}

void child_fini(child *c)
{
    heap_free(c->received);
    heap_free(c->line);
    c->received = c->line = NULL;
}
