/* Temporary folders and whole files, for tests and benchmarks.  Everything returns false, or NULL, when it did not work. */
#ifndef SUPPORT_WORKPLACE_H
#define SUPPORT_WORKPLACE_H

#include <stdbool.h>
#include <stddef.h>

enum { WORK_PATH = 512 };

/* A new empty folder under TMPDIR or /tmp. */
bool work_folder_new(char path[WORK_PATH]);
/* Remove a folder and everything in it; links are removed, not followed. */
bool work_folder_remove(const char *path);

bool work_path(char out[WORK_PATH], const char *folder, const char *name);
bool work_write(const char *folder, const char *name, const void *bytes, size_t size);
bool work_write_text(const char *folder, const char *name, const char *text);
/* The bytes of a file and a NUL behind them; freed with free(). */
char *work_read(const char *folder, const char *name, size_t *size);
/* Replace every `from` in a file by `to`; false when there is none. */
bool work_replace(const char *folder, const char *name, const char *from, const char *to);
bool work_delete(const char *folder, const char *name);
/* Entries of a folder, "." and ".." not counted. */
size_t work_count(const char *folder);

#endif
