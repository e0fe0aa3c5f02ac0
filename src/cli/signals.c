/* Signal handlers, async-signal-safe: write, tcsetattr, unlink, kill and _exit only.  See signals.h. */
#include "cli/signals.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <tokray/error.h>
#include <unistd.h>

static volatile sig_atomic_t received;
static volatile sig_atomic_t terminal_changed, file_guarded[GUARDED_FILES], line_visible, taskbar_used;
static volatile pid_t guarded_child;
static int terminal_descriptor;
static struct termios terminal_before;
static char guarded_file[GUARDED_FILES][PATH_MAX];

static void say(const char *text)
{
    ssize_t ignored = write(STDERR_FILENO, text, strlen(text));
    (void)ignored;
}

static void put_right(void)
{
    if (terminal_changed)
        tcsetattr(terminal_descriptor, TCSANOW, &terminal_before);
    for (size_t i = 0; i < GUARDED_FILES; i++)
        if (file_guarded[i])
            unlink(guarded_file[i]);
    if (guarded_child > 0)
        kill(-guarded_child, SIGKILL);
    if (line_visible)
        say(PROGRESS_ERASE);
    if (taskbar_used)
        say(TASKBAR_ERASE);
}

static void on_stop(int signal_number)
{
    int kept = errno;
    if (received) {
        put_right();
        _exit(signal_number == SIGTERM ? tkr_status_exit_code(TKR_E_TERMINATED) : tkr_status_exit_code(TKR_E_CANCELLED));
    }
    received = signal_number;
    errno = kept;
}

static void on_bus_error(int signal_number)
{
    (void)signal_number;
    put_right();
    say("error: a file of the model changed while it was in use\n"
        "  help: --no-mmap copies the weights first\n");
    _exit(tkr_status_exit_code(TKR_E_IO_CHANGED));
}

/* Without SA_RESTART: reading standard input must end when the user stops. */
static void install(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};
    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

void signals_install(void)
{
    install(SIGINT, on_stop);
    install(SIGTERM, on_stop);
    install(SIGPIPE, SIG_IGN);
    install(SIGBUS, on_bus_error);
}

int signals_received(void) { return received; }

void signals_guard_terminal(int descriptor, const struct termios *before)
{
    terminal_descriptor = descriptor;
    terminal_before = *before;
    terminal_changed = 1;
}

void signals_release_terminal(void) { terminal_changed = 0; }

void signals_guard_file(size_t slot, const char *path)
{
    file_guarded[slot] = 0;
    if (!path || strlen(path) >= sizeof guarded_file[slot])
        return;
    memcpy(guarded_file[slot], path, strlen(path) + 1);
    file_guarded[slot] = 1;
}

void signals_guard_child(pid_t id) { guarded_child = id; }

void signals_guard_line(bool visible, bool in_taskbar)
{
    line_visible = visible;
    taskbar_used = in_taskbar;
}
