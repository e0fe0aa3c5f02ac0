/* The version of these headers; tkr_version() tells the version of the library in use. */
#ifndef TOKRAY_VERSION_H
#define TOKRAY_VERSION_H

#include <tokray/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Meson reads these three lines: soname, pkg-config and package version follow from them. */
#define TKR_VERSION_MAJOR 0
#define TKR_VERSION_MINOR 1
#define TKR_VERSION_PATCH 0

#define TKR_VERSION_NUMBER (TKR_VERSION_MAJOR * 10000 + TKR_VERSION_MINOR * 100 + TKR_VERSION_PATCH)
#define TKR_VERSION_STRING "0.1.0"

/* Version of the library in use, e.g. "0.1.0". */
TKR_API const char *tkr_version(void);

/* How the library in use was built and what it runs on, as one line for bug reports:
 * compiler, thread back end, real type, kernel level chosen on this processor.  Borrowed, valid for ever. */
TKR_API const char *tkr_build_info(void);

#ifdef __cplusplus
}
#endif
#endif
