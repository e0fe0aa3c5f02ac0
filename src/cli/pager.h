/*
 * A pager for answers that are longer than the screen: $TOKRAY_PAGER, else $PAGER, else less -FIRX; started without a shell.
 *
 * Output is held back until it fills the screen; only then is the pager started.  What fits is written directly.
 */
#ifndef CLI_PAGER_H
#define CLI_PAGER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef enum pager_state {
    PAGER_HOLDS,   /* the answer fits so far                        */
    PAGER_RUNS,
    PAGER_LEFT,    /* quit early: the rest of the answer is dropped */
    PAGER_MISSING, /* cannot be started: everything is written      */
} pager_state;

typedef struct pager {
    pager_state state;
    int descriptor;    /* where answers go without a pager */
    int rows, columns; /* of the screen */
    int row, column;   /* after what is held */
    bool in_escape;    /* inside ESC [ ... */
    char *held;
    size_t size, capacity;
    int pipe;
    pid_t child;
    struct sigaction interrupt; /* what SIGINT did before: while the pager runs, Ctrl-C is its */
} pager;

/* False when there is nothing to page: descriptor is no screen of known size, or the pager is to be none (empty, or cat). */
bool pager_init(pager *p, int descriptor, bool is_ascii);
/* Both return 0, or errno of a write that failed; a pager that was quit is no failure. */
int pager_write(pager *p, const char *bytes, size_t count);
/* The answer ends here: shows what is held, or waits until the pager is left. */
int pager_end(pager *p);
void pager_fini(pager *p);

#endif
