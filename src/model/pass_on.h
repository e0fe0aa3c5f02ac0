/* For functions that need the code of a failure even when they were given no error to fill: they let it be told to a local
 * error and pass that on. */
#ifndef MODEL_PASS_ON_H
#define MODEL_PASS_ON_H

#include <tokray/error.h>

/* Copy a filled local error, unless an earlier one is there; returns its code. */
static inline tkr_status pass_on(tkr_error *error, const tkr_error *local)
{
    if (error && !error->code)
        *error = *local;
    return local->code;
}

#endif
