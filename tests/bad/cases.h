/*
 * The catalogue of bad model folders (cases.def), as data: build a row's folder, open it by library or command line, compare.
 */
#ifndef BAD_CASES_H
#define BAD_CASES_H

#include <stdbool.h>
#include <stddef.h>
#include <tokray/error.h>

#include "support/workplace.h"

/* Where a case is built: everything lies under root; path is what the user would type. */
typedef struct bad_place {
    char root[WORK_PATH], model[WORK_PATH], path[WORK_PATH];
} bad_place;

typedef struct bad_case {
    int number;
    const char *name, *text, *more;
    bool (*build)(bad_place *place, const char *text, const char *more);
    tkr_status
        status; /* TKR_OK: the folder opens; tkr_status_exit_code tells what the command line ends with */
    const char *pattern; /* in the message, or in a note when it opens */
} bad_case;

const bad_case *bad_case_at(size_t index); /* NULL past the end */

/* Make a place with the case's folder in it.  false: this machine cannot make it (no device files): skip. */
bool bad_case_build(const bad_case *c, bad_place *place);
bool bad_place_remove(const bad_place *place);
/* File permissions say nothing to root: this case must be tried as another user. */
bool bad_case_wants_plain_user(const bad_case *c);
/* The one case that asks for a head by task. */
bool bad_case_wants_classification(const bad_case *c);

#endif
