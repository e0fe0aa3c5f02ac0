/*
 * Functions that the library and the command line never call; the build includes this file before every source of src/.
 *
 * Unbounded copies and formats, readers of numbers that hide errors, hidden state, locale, the heap past base/memory.h.  Poison
 * works on names, so the headers that declare them come first.  What cannot be poisoned, because one file may use it (malloc,
 * strtod) or because other headers declare it (setlocale), is checked in the object files by tools/check-banned.
 */
#ifndef BANNED_H
#define BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef sprintf /* macros under clang with fortified headers */
#undef vsprintf
#undef asprintf
#undef vasprintf

#pragma GCC poison sprintf vsprintf asprintf vasprintf scanf sscanf fscanf vsscanf
#pragma GCC poison strcpy stpcpy strcat strncpy strncat strtok strtok_r strdup strndup
#pragma GCC poison atoi atol atoll atof strtol strtoll strtoul strtoull strtold
#pragma GCC poison rand srand random srandom drand48
#pragma GCC poison ctime asctime gmtime localtime tmpnam tempnam mktemp

#endif
