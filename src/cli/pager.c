/*
 * Paging; see pager.h.
 *
 * Known to go wrong: Ctrl-C reaches both processes, so it is ignored here while a pager has the terminal; SIGPIPE is ignored in
 * this program and would stay so in the pager, which gets the default back.
 */
#include "cli/pager.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/heap.h"
#include "cli/stream.h"

/* Set but empty counts: it turns paging off. */
static const char *pager_command(void)
{
    const char *own = getenv("TOKRAY_PAGER"), *common = getenv("PAGER");
    return own ? own : common ? common : "less -FIRX";
}

bool pager_init(pager *p, int descriptor, bool is_ascii)
{
    struct winsize screen;
    const char *command = pager_command(), *terminal = getenv("TERM");
    *p = (pager){.descriptor = descriptor, .pipe = -1};
    if (command[strspn(command, " ")] == '\0' || strcmp(command, "cat") == 0 || (terminal && strcmp(terminal, "dumb") == 0))
        return false;
    if (ioctl(descriptor, TIOCGWINSZ, &screen) != 0 || screen.ws_row == 0 || screen.ws_col == 0)
        return false;
    p->rows = screen.ws_row;
    p->columns = screen.ws_col;
    if (!is_ascii)
        setenv("LESSCHARSET", "utf-8", 0); /* less takes a missing locale for ASCII, we for UTF-8 */
    return true;
}

/* Moves row and column past the bytes; lines that are too long wrap.  Wide characters count as one: close enough. */
static void measure(pager *p, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (p->in_escape) {
            p->in_escape = byte < 0x40 || byte == '[';
        } else if (byte == '\x1b') {
            p->in_escape = true;
        } else if (byte == '\n') {
            p->row++;
            p->column = 0;
        } else if ((byte & 0xC0) != 0x80 && ++p->column > p->columns) {
            p->row++;
            p->column = 1;
        }
    }
}

static void hold(pager *p, const char *bytes, size_t count)
{
    measure(p, bytes, count);
    while (p->size + count > p->capacity)
        p->held = heap_grow(p->held, p->capacity, &p->capacity, 1);
    memcpy(p->held + p->size, bytes, count);
    p->size += count;
}

/* The words of the command; text is cut up.  Freed by the caller. */
static char **split(char *text)
{
    char **words = heap_new(strlen(text) / 2 + 2, sizeof *words);
    size_t count = 0;
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        words[count++] = text;
        text += strcspn(text, " ");
        if (*text)
            *text++ = '\0';
    }
    return words;
}

static bool spawn(pager *p, char **words, int input)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
    posix_spawnattr_setsigdefault(&attributes, &signals);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    bool done = posix_spawnp(&p->child, words[0], &actions, &attributes, words, environ) == 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return done;
}

static void start(pager *p)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    const char *command = pager_command();
    int ends[2];
    p->state = PAGER_MISSING;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return;
    char *text = heap_text(command, strlen(command)), **words = split(text);
    if (spawn(p, words, ends[0])) {
        p->state = PAGER_RUNS;
        p->pipe = ends[1];
        sigemptyset(&ignore.sa_mask);
        sigaction(SIGINT, &ignore, &p->interrupt);
    } else {
        close(ends[1]);
    }
    close(ends[0]);
    heap_free(words);
    heap_free(text);
}

/* To the pager or past it. */
static int pass_on(pager *p, const char *bytes, size_t count)
{
    if (p->state != PAGER_RUNS)
        return p->state == PAGER_LEFT ? 0 : write_bytes(p->descriptor, bytes, count);
    if (write_bytes(p->pipe, bytes, count) != 0)
        p->state = PAGER_LEFT;
    return 0;
}

static int release(pager *p)
{
    size_t size = p->size;
    p->size = 0;
    p->row = p->column = 0;
    return pass_on(p, p->held, size);
}

int pager_write(pager *p, const char *bytes, size_t count)
{
    if (p->state != PAGER_HOLDS || count == 0)
        return pass_on(p, bytes, count);
    hold(p, bytes, count);
    if (p->row < p->rows)
        return 0;
    start(p);
    return release(p);
}

int pager_end(pager *p)
{
    if (p->state == PAGER_HOLDS)
        return release(p);
    if (p->state == PAGER_MISSING)
        return 0;
    close(p->pipe);
    while (waitpid(p->child, NULL, 0) < 0 && errno == EINTR)
        continue;
    sigaction(SIGINT, &p->interrupt, NULL);
    p->state = PAGER_HOLDS;
    return 0;
}

void pager_fini(pager *p) { heap_free(p->held); }
