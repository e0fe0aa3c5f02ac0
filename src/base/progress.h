/* Progress and cancellation: one reporter, called from the thread that started the run. */
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <tokray/session.h>

typedef struct reporter {
    tkr_progress_fn *call; /* may be NULL */
    void *user;
    bool cancelled;        /* sticky until reporter_begin */
} reporter;

void reporter_begin(reporter *r);
/* Tell how far it is; false when the user wants to stop (and from then on). */
bool reporter_tell(reporter *r, const char *phase, const char *unit, uint64_t done, uint64_t total);

#endif
