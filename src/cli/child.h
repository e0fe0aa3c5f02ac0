/*
 * A child process that is talked to in lines, through pipes on its three standard streams.  It is started without a shell, in a
 * process group of its own: a Ctrl-C of the terminal reaches this program, which ends the child.  What it says on standard error is
 * read while it runs, so that it can never block there; its last line is kept.
 *
 * Known to go wrong: a child that closes its input and lives on would be waited for until the time is over, so that is watched too.
 */
#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { CHILD_LINE_MOST = 64 << 20, CHILD_TAIL = 2048 };

typedef struct child {
    pid_t id;              /* 0: there is none                       */
    int in, out, err;      /* our ends; -1: closed                   */
    char *received;        /* bytes of its output, not taken yet     */
    size_t size, capacity, scanned;
    char *line;            /* the one that was taken last            */
    char tail[CHILD_TAIL + 1]; /* end of what it said on standard error */
    size_t tail_size;
    int status;            /* as waitpid gives it, once it has ended */
} child;

typedef enum child_event {
    CHILD_LINE,            /* child.line is there                                     */
    CHILD_LATE,            /* nothing within the time                                 */
    CHILD_ENDED,           /* it closed its output, usually by ending                 */
    CHILD_DEAF,            /* it closed its input before it answered                  */
    CHILD_TOO_LONG,        /* more than CHILD_LINE_MOST bytes without a line break    */
    CHILD_STOPPED,         /* the user wants to stop                                  */
} child_event;

/* words: argv, ends with NULL.  0, or errno. */
int child_start(child *c, char **words);
/* Write them all (none: NULL), then wait for a line; at most so many seconds. */
child_event child_ask(child *c, const char *bytes, size_t count, double seconds);
/* Close its input and wait for its end: a second, or when in a hurry none, then it is killed.  False when it had to be. */
bool child_end(child *c, bool in_a_hurry);
/* Its last line on standard error, "" when it said nothing; borrowed. */
const char *child_last_words(child *c);
/* After child_end. */
void child_fini(child *c);

#endif
