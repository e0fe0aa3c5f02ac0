/*
 * Errors: one value the caller owns, filled by the first thing that went wrong.
 *
 * Every function that can fail returns a tkr_status (TKR_OK is 0) or a pointer (NULL on failure) and takes an optional
 * tkr_error as its last argument.  Nothing in the library prints, exits or keeps a global error.
 */
#ifndef TOKRAY_ERROR_H
#define TOKRAY_ERROR_H

#include <stddef.h>
#include <stdint.h>
#include <tokray/codes.h>
#include <tokray/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum tkr_status {
    TKR_OK = 0,
#define TKR_CODE_ENUM(name, text, exit_code, http, meaning) TKR_E_##name,
    TKR_CODES(TKR_CODE_ENUM)
#undef TKR_CODE_ENUM
} tkr_status;

/* What went wrong.  Fixed size, no heap; start from `tkr_error error = {0};`.  The first error wins: a filled error is
 * left alone by later failures, so clear it (tkr_error_clear) before reusing it.  Plain data, no thread owns it. */
typedef struct tkr_error {
    tkr_status code;
    char message[640]; /* one lower-case sentence: what, where, expected, found; printable UTF-8, no line breaks     */
    char facts[320];   /* further facts, e.g. "labels: NEGATIVE, POSITIVE"; may be empty                            */
    char help[320];    /* something that can be done or pasted; may be empty                                         */
    char field[48];    /* the argument concerned: "target", "methods", "text", ...; may be empty                     */
    int64_t offset;    /* first byte concerned inside that argument, or -1                                           */
    int64_t length;    /* how many bytes from there; 0 when unknown                                                  */
} tkr_error;

/* Forget an error so that the value can be used again.  NULL is allowed. */
TKR_API void tkr_error_clear(tkr_error *error);

/* Stable name of a status, e.g. "st.overlap"; "ok" for TKR_OK; "internal" for a value that is no status. */
TKR_API const char *tkr_status_name(tkr_status status);

/* One-line meaning of a status, e.g. "tensors that share bytes". */
TKR_API const char *tkr_status_meaning(tkr_status status);

/* Process exit code (docs/errors.md) and HTTP status a program should answer a status with. */
TKR_API int tkr_status_exit_code(tkr_status status);
TKR_API int tkr_status_http(tkr_status status);

#ifdef __cplusplus
}
#endif
#endif
