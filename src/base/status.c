/* Names, meanings, exit codes and HTTP statuses of every outcome, all from the one table in <tokray/codes.h>. */
#include <string.h>
#include <tokray/error.h>

typedef struct status_row {
    const char *name, *meaning;
    int exit_code, http;
} status_row;

static const status_row status_rows[] = {{"ok", "done", 0, 200},
#define STATUS_ROW(name, text, exit_code, http, meaning) {text, meaning, exit_code, http},
                                         TKR_CODES(STATUS_ROW)
#undef STATUS_ROW
};

/* A value that is no status can only be a mistake of ours. */
static const status_row *status_find(tkr_status status)
{
    size_t at = (size_t)status;
    return &status_rows[at < sizeof status_rows / sizeof status_rows[0] ? at : (size_t)TKR_E_INTERNAL];
}

void tkr_error_clear(tkr_error *error)
{
    if (error)
        memset(error, 0, sizeof *error);
}

const char *tkr_status_name(tkr_status status) { return status_find(status)->name; }
const char *tkr_status_meaning(tkr_status status) { return status_find(status)->meaning; }
int tkr_status_exit_code(tkr_status status) { return status_find(status)->exit_code; }
int tkr_status_http(tkr_status status) { return status_find(status)->http; }
