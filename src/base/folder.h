/*
 * Reading model folders safely (reliability rules F1 to F9): the folder is opened once, every file relative to it; links
 * may not leave the folder (or, in the hub cache layout models--x/snapshots/rev, that model's own blobs); only regular
 * files; sizes from the open descriptor.  Error messages begin with the file's name.
 */
#ifndef BASE_FOLDER_H
#define BASE_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <tokray/error.h>

#include "base/view.h"

typedef struct folder folder;

folder *folder_open(const char *path, bool follow_links, tkr_error *error);
void folder_close(folder *f);
const char *folder_path(const folder *f); /* as the user gave it */
/* True when a directory entry of this name exists (whatever it is). */
bool folder_has(const folder *f, const char *name);
/* Names of all entries, sorted, for "found ..." messages; at most `maximum` of them, NUL-terminated strings in one block
 * that the caller frees with memory_free.  Returns the number. */
size_t folder_names(const folder *f, char ***names, size_t maximum);

/* A file's bytes: mapped read-only, or copied. */
typedef struct file_bytes {
    const unsigned char *data;
    size_t size;
    bool mapped;
    int descriptor;   /* stays open while mapped, else -1 */
    char name[256];
} file_bytes;

/* Map (copy: read) a whole file of at most `limit` bytes. */
tkr_status folder_file(const folder *f, const char *name, size_t limit, bool copy, file_bytes *out, tkr_error *error);
void file_bytes_close(file_bytes *file);
/* Pages that lie wholly within these bytes of a mapped file, and are not needed soon, may leave the memory; reading them brings
 * them back.  Only for bytes of a file that is mapped. */
void file_pages_let_go(const void *data, size_t size);
/* io.changed when a mapped file no longer has the size it had. */
tkr_status file_bytes_unchanged(const file_bytes *file, tkr_error *error);

#endif
