/*
 * Signals: the first SIGINT or SIGTERM is remembered and stops the run at its next progress report; the second leaves at once.
 * SIGPIPE is ignored (writes report it).  SIGBUS means that a mapped weight file shrank: one message and the exit code of
 * io.changed, nothing else can be saved.
 *
 * The only mutable globals of the program live in signals.c: a signal handler can reach nothing else.
 */
#ifndef CLI_SIGNALS_H
#define CLI_SIGNALS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

void signals_install(void);
/* 0, SIGINT or SIGTERM. */
int signals_received(void);

/* What a handler that leaves at once must put right: the terminal's mode, the half-written file, the child. */
void signals_guard_terminal(int descriptor, const struct termios *before);
void signals_release_terminal(void);
/* path is copied; NULL: nothing to remove there any more.  A path that is too long is not guarded. */
enum { GUARDED_FILES = 16 };
void signals_guard_file(size_t slot, const char *path);
/* A child process, leader of its group, to be killed; 0: there is none any more. */
void signals_guard_child(pid_t id);
/* A progress line is on the screen, and progress in the taskbar: what erases them. */
#define PROGRESS_ERASE "\r\x1b[K"
#define TASKBAR_ERASE "\x1b]9;4;0;\x1b\\"
void signals_guard_line(bool visible, bool in_taskbar);

#endif
