/* TKR_API marks what the shared library exports; everything else is hidden. */
#ifndef TOKRAY_EXPORT_H
#define TOKRAY_EXPORT_H

#if defined(__GNUC__)
#define TKR_API __attribute__((visibility("default")))
#else
#define TKR_API
#endif

#endif
