/*
 * Saving a result: JSON, CSV, TSV to files or to standard output.  Files are written under a temporary name in the same folder and
 * renamed, so there is never half a file; they are opened before anything is computed, so a folder that cannot be written
 * fails at once.
 */
#ifndef CLI_EXPORTS_H
#define CLI_EXPORTS_H

#include "cli/cli.h"
#include "cli/signals.h"

enum { EXPORTS_MOST = GUARDED_FILES };

typedef enum export_format { EXPORT_JSON, EXPORT_CSV, EXPORT_TSV } export_format;

typedef struct export {
    export_format format;
    const use *use;
    const char *path;   /* NULL: standard output */
    char *target;       /* where it ends up, links followed */
    char *temporary;    /* NULL: written in place (a device or a pipe) */
    int descriptor;
    size_t slot;        /* among the guarded files */
} export;

typedef struct exports {
    export list[EXPORTS_MOST];
    size_t count;
    bool owns_output;   /* one of them goes to standard output */
} exports;

/* Which exports were asked for.  Errors: usage.conflict, usage.value. */
tkr_status exports_read(exports *e, cli *c);
/* Is there one of this format? */
bool exports_want(const exports *e, export_format format);
/* Open the files.  Errors: io.open, io.exists, with exit code 7. */
tkr_status exports_open(exports *e, cli *c);
tkr_status exports_write(exports *e, cli *c, const tkr_result *result);
/* Removes what is not finished. */
void exports_close(exports *e);

#endif
