/* Progress and cancellation. */
#include "base/progress.h"

void reporter_begin(reporter *r) { r->cancelled = false; }

bool reporter_tell(reporter *r, const char *phase, const char *unit, uint64_t done, uint64_t total)
{
    if (!r->cancelled && r->call) {
        tkr_progress progress = {.phase = phase, .unit = unit, .done = done, .total = total};
        r->cancelled = !r->call(r->user, &progress);
    }
    return !r->cancelled;
}
