/*
 * Reading model folders (reliability rules F1 to F9).
 *
 * Files are asked for by plain names, relative to the folder's descriptor.  Links are resolved by the kernel with openat2
 * and RESOLVE_BENEATH; where that call is missing or forbidden, walk_beneath does the same component by component.  In the
 * hub cache layout (models--x/snapshots/rev) the files are links to ../../blobs/<hash>: exactly that form is accepted, and
 * neither blobs nor the blob may be a link itself.
 * Known to go wrong: opening a FIFO blocks (hence O_NONBLOCK, then fstat before use); a size taken by name and not from
 * the descriptor; mapping a file of 0 bytes; a file that grows or shrinks between fstat and read.
 */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/failure.h"
#include "base/memory.h"

enum {
    FOLDER_OPEN_FILE = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY,
    FOLDER_OPEN_DIRECTORY = O_RDONLY | O_DIRECTORY | O_CLOEXEC,
    FOLDER_MOST_LINKS = 40,
    FOLDER_MOST_DEPTH = 32,
    FOLDER_MOST_NAMES = 4 << 20, /* bytes of names that folder_names looks at */
};

struct folder {
    int descriptor;
    bool follow_links;
    char *path;
};

/* ---- opening the folder ---------------------------------------------------------------------------------------- */

static tkr_status fail_open(tkr_error *error, const char *name, int number)
{
    char room[48];
    return fail(error, TKR_E_IO_OPEN, "%s: %s", PLAIN(view_of(name)), failure_reason(number, room));
}

static void fail_folder(tkr_error *error, const char *path, int number)
{
    struct stat info;
    const char *shown = PLAIN(view_of(path));
    if (number == ENOTDIR && stat(path, &info) == 0) {
        fail(error, TKR_E_PATH_NOT_DIR, "%s: is a file; give the folder that holds config.json", shown);
    } else if (number == ENOENT || number == ENOTDIR) {
        fail(error, TKR_E_PATH_NOT_FOUND, "%s: no such model folder", shown);
        fail_help(error, "give a folder that holds config.json and model.safetensors, or a name that "
                         "tokray models list prints");
    } else if (number == ELOOP) {
        fail(error, TKR_E_PATH_ESCAPE, "%s: too many links", shown);
    } else {
        fail_open(error, path, number);
    }
}

folder *folder_open(const char *path, bool follow_links, tkr_error *error)
{
    int descriptor = open(path, FOLDER_OPEN_DIRECTORY);
    if (descriptor < 0) {
        fail_folder(error, path, errno);
        return NULL;
    }
    folder *f = NEW(folder, 1);
    char *copy = f ? memory_copy_text(path, strlen(path)) : NULL;
    if (!copy) {
        fail_memory(error, PLAIN(view_of(path)), sizeof *f + strlen(path));
        memory_free(f);
        close(descriptor);
        return NULL;
    }
    *f = (folder){.descriptor = descriptor, .follow_links = follow_links, .path = copy};
    return f;
}

void folder_close(folder *f)
{
    if (!f)
        return;
    close(f->descriptor);
    memory_free(f->path);
    memory_free(f);
}

const char *folder_path(const folder *f) { return f->path; }

bool folder_has(const folder *f, const char *name)
{
    struct stat info;
    return fstatat(f->descriptor, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
}

/* ---- names ----------------------------------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names, each with its NUL, into `text`; returns how many. */
static size_t collect_names(const folder *f, buffer *text)
{
    size_t count = 0;
    int descriptor = openat(f->descriptor, ".", FOLDER_OPEN_DIRECTORY);
    DIR *listing = descriptor < 0 ? NULL : fdopendir(descriptor);
    if (!listing) {
        if (descriptor >= 0)
            close(descriptor);
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            continue;
        if (!buffer_append(text, name, strlen(name) + 1))
            break;
        count++;
    }
    closedir(listing);
    return count;
}

/* One block: `count` pointers, then the texts they point to. */
static char **pack_names(char *const *sorted, size_t count)
{
    size_t bytes = count * sizeof(char *);
    for (size_t i = 0; i < count; i++)
        bytes += strlen(sorted[i]) + 1;
    char **block = memory_new(bytes, 1);
    if (!block)
        return NULL;
    char *at = (char *)(block + count);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(sorted[i]) + 1;
        block[i] = memcpy(at, sorted[i], length);
        at += length;
    }
    return block;
}

size_t folder_names(const folder *f, char ***names, size_t maximum)
{
    buffer text;
    buffer_init(&text, FOLDER_MOST_NAMES);
    *names = NULL;
    size_t count = collect_names(f, &text);
    char **all = count ? NEW(char *, count) : NULL;
    if (all) {
        char *at = text.data;
        for (size_t i = 0; i < count; i++, at += strlen(at) + 1)
            all[i] = at;
        qsort(all, count, sizeof *all, compare_names);
        count = count < maximum ? count : maximum;
        *names = pack_names(all, count);
    }
    memory_free(all);
    buffer_fini(&text);
    return *names ? count : 0;
}

/* ---- opening a file: every helper gives a descriptor, or -1 and errno (EXDEV: it leads outside) ------------------- */

/* A path that is still to be walked, and the directories open on the way. */
typedef struct walk {
    int root, open[FOLDER_MOST_DEPTH];
    int depth, links;
    char rest[PATH_MAX];
} walk;

static int walk_here(const walk *w) { return w->depth > 0 ? w->open[w->depth - 1] : w->root; }

/* Move the next component of the rest to `part`. */
static bool walk_take(walk *w, char part[NAME_MAX + 1])
{
    size_t length = strcspn(w->rest, "/"), skip = length + strspn(w->rest + length, "/");
    if (length > NAME_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(part, w->rest, length);
    part[length] = '\0';
    memmove(w->rest, w->rest + skip, strlen(w->rest + skip) + 1);
    return true;
}

/* Put a link's target before the rest. */
static bool walk_link(walk *w, const char *target, size_t length)
{
    size_t rest = strlen(w->rest);
    if (++w->links > FOLDER_MOST_LINKS)
        errno = ELOOP;
    else if (length == 0 || target[0] == '/')
        errno = EXDEV;
    else if (length + 1 + rest + 1 > sizeof w->rest)
        errno = ENAMETOOLONG;
    else {
        memmove(w->rest + length + 1, w->rest, rest + 1);
        memcpy(w->rest, target, length);
        w->rest[length] = '/';
        return true;
    }
    return false;
}

/* Enter or leave a directory. */
static bool walk_enter(walk *w, const char *part)
{
    if (strcmp(part, "..") == 0) {
        if (w->depth == 0) {
            errno = EXDEV;
            return false;
        }
        close(w->open[--w->depth]);
        return true;
    }
    if (w->depth == FOLDER_MOST_DEPTH) {
        errno = ENAMETOOLONG;
        return false;
    }
    int descriptor = openat(walk_here(w), part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0)
        return false;
    w->open[w->depth++] = descriptor;
    return true;
}

static int walk_run(walk *w)
{
    for (;;) {
        char part[NAME_MAX + 1], target[PATH_MAX];
        if (!walk_take(w, part))
            return -1;
        if (strcmp(part, ".") != 0 && strcmp(part, "..") != 0) {
            ssize_t length = readlinkat(walk_here(w), part, target, sizeof target);
            if (length >= 0) {
                if (!walk_link(w, target, (size_t)length))
                    return -1;
                continue;
            }
            if (w->rest[0] == '\0')
                return openat(walk_here(w), part, FOLDER_OPEN_FILE | O_NOFOLLOW);
        }
        if (strcmp(part, ".") != 0 && !walk_enter(w, part))
            return -1;
        if (w->rest[0] == '\0') {
            errno = EISDIR; /* the link led to a directory by way of "." or ".." */
            return -1;
        }
    }
}

static int walk_beneath(int root, const char *name)
{
    walk w = {.root = root};
    memcpy(w.rest, name, strlen(name) + 1); /* a plain name: at most NAME_MAX bytes */
    int descriptor = walk_run(&w), number = errno;
    while (w.depth > 0)
        close(w.open[--w.depth]);
    errno = number;
    return descriptor;
}

static int open_beneath(int root, const char *name)
{
    struct open_how how = {.flags = FOLDER_OPEN_FILE, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    for (int tries = 0; tries < 8; tries++) {
        long descriptor = syscall(SYS_openat2, root, name, &how, sizeof how);
        if (descriptor >= 0)
            return (int)descriptor;
        if (errno == ENOSYS || errno == EPERM)
            return walk_beneath(root, name);
        if (errno != EAGAIN) /* EAGAIN: something was renamed meanwhile */
            return -1;
    }
    return walk_beneath(root, name);
}

/* Whether the real path of an open directory is .../models--x/snapshots/rev. */
static bool is_hub_snapshot(int descriptor)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return false;
    path[length] = '\0';
    char *revision = strrchr(path, '/');
    if (!revision)
        return false;
    *revision = '\0';
    char *snapshots = strrchr(path, '/');
    if (!snapshots || strcmp(snapshots, "/snapshots") != 0)
        return false;
    *snapshots = '\0';
    const char *model = strrchr(path, '/');
    return model && strncmp(model, "/models--", 9) == 0;
}

/* A file of a hub snapshot: a link ../../blobs/<hash>. */
static int open_hub_blob(int root, const char *name)
{
    static const char before[] = "../../blobs/";
    char target[PATH_MAX];
    ssize_t length = readlinkat(root, name, target, sizeof target - 1);
    if (length <= 0 || !is_hub_snapshot(root)) {
        errno = EXDEV;
        return -1;
    }
    target[length] = '\0';
    const char *blob = target + sizeof before - 1;
    if (strncmp(target, before, sizeof before - 1) != 0 || blob[0] == '\0' || blob[0] == '.' ||
        strchr(blob, '/')) {
        errno = EXDEV;
        return -1;
    }
    int blobs = openat(root, "../../blobs", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (blobs < 0) {
        errno = errno == ENOENT ? ENOENT : EXDEV;
        return -1;
    }
    int descriptor = openat(blobs, blob, FOLDER_OPEN_FILE | O_NOFOLLOW), number = errno;
    close(blobs);
    errno = number == ELOOP ? EXDEV : number;
    return descriptor;
}

static int open_name(const folder *f, const char *name)
{
    if (f->follow_links)
        return openat(f->descriptor, name, FOLDER_OPEN_FILE);
    int descriptor = open_beneath(f->descriptor, name);
    if (descriptor < 0 && errno == EXDEV)
        descriptor = open_hub_blob(f->descriptor, name);
    return descriptor;
}

/* ---- checking and reading it -------------------------------------------------------------------------------------- */

static bool is_plain_name(const char *name)
{
    size_t length = strlen(name);
    return length > 0 && length <= NAME_MAX && !strchr(name, '/') && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static tkr_status fail_file(const folder *f, const char *name, int number, tkr_error *error)
{
    const char *shown = PLAIN(view_of(name));
    switch (number) {
    case ENOENT:
    case ENOTDIR:
        if (folder_has(f, name))
            return fail(error, TKR_E_PATH_NOT_FOUND, "%s: is a link to a file that does not exist", shown);
        return fail(error, TKR_E_PATH_NOT_FOUND, "%s: no such file in %s", shown, PLAIN(view_of(f->path)));
    case EXDEV:
        fail(error, TKR_E_PATH_ESCAPE, "%s: link leads outside the model folder", shown);
        fail_help(error, "copy the file into the folder, or pass --follow-links");
        return TKR_E_PATH_ESCAPE;
    case ELOOP:
        return fail(error, TKR_E_PATH_ESCAPE, "%s: too many links", shown);
    case ENXIO: /* what opening a socket gives */
        return fail(error, TKR_E_PATH_NOT_REGULAR, "%s: is a socket or a device, not a regular file", shown);
    case EISDIR:
        return fail(error, TKR_E_PATH_NOT_REGULAR, "%s: is a directory, not a regular file", shown);
    default:
        return fail_open(error, name, number);
    }
}

static const char *type_name(mode_t mode)
{
    return S_ISDIR(mode) ? "a directory" : S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
}

static tkr_status check_file(const char *name, const struct stat *info, size_t limit, tkr_error *error)
{
    const char *shown = PLAIN(view_of(name));
    if (!S_ISREG(info->st_mode))
        return fail(error, TKR_E_PATH_NOT_REGULAR, "%s: is %s, not a regular file", shown,
                    type_name(info->st_mode));
    if ((uint64_t)info->st_size > limit)
        return fail(error, TKR_E_LIMIT_FILE_SIZE, "%s: %llu bytes; the limit is %zu", shown,
                    (unsigned long long)info->st_size, limit);
    return TKR_OK;
}

static bool same_file_state(const struct stat *a, const struct stat *b)
{
    return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Read all of it; the file must be the same before and after. */
static tkr_status read_whole(int descriptor, const struct stat *before, file_bytes *out, tkr_error *error)
{
    const char *shown = PLAIN(view_of(out->name));
    unsigned char *data = memory_new_aligned(out->size);
    size_t have = 0;
    if (!data)
        return fail_memory(error, shown, out->size);
    out->data = data;
    while (have < out->size) {
        ssize_t got = read(descriptor, data + have, out->size - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            char room[48];
            return fail(error, TKR_E_IO_READ, "%s: cannot be read at byte %zu: %s", shown, have,
                        failure_reason(errno, room));
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    struct stat after;
    if (have < out->size || fstat(descriptor, &after) != 0 || !same_file_state(before, &after))
        return fail(error, TKR_E_IO_CHANGED, "%s: changed while being read", shown);
    return TKR_OK;
}

/* Map it if that can be done. */
static bool map_whole(int descriptor, file_bytes *out)
{
    if (out->size == 0)
        return false;
    void *data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (data == MAP_FAILED)
        return false;
    out->data = data;
    out->mapped = true;
    out->descriptor = descriptor;
    return true;
}

tkr_status folder_file(const folder *f, const char *name, size_t limit, bool copy, file_bytes *out,
                       tkr_error *error)
{
    *out = (file_bytes){.descriptor = -1};
    if (!is_plain_name(name))
        return fail(error, TKR_E_PATH_ESCAPE, "%s is not a plain file name", QUOTE(view_of(name)));
    memcpy(out->name, name, strlen(name) + 1);
    int descriptor = open_name(f, name);
    if (descriptor < 0)
        return fail_file(f, name, errno, error);

    struct stat info;
    tkr_status status =
        fstat(descriptor, &info) == 0 ? check_file(name, &info, limit, error) : fail_open(error, name, errno);
    if (status == TKR_OK) {
        out->size = (size_t)info.st_size;
        if (!copy && map_whole(descriptor, out))
            return TKR_OK;
        status = read_whole(descriptor, &info, out, error);
    }
    close(descriptor);
    if (status != TKR_OK)
        file_bytes_close(out);
    return status;
}

void file_bytes_close(file_bytes *file)
{
    if (file->mapped) {
        munmap((void *)(uintptr_t)file->data, file->size);
        close(file->descriptor);
    } else {
        memory_free((void *)(uintptr_t)file->data);
    }
    *file = (file_bytes){.descriptor = -1};
}

void file_pages_let_go(const void *data, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = ((uintptr_t)data + page - 1) / page * page, end = ((uintptr_t)data + size) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

tkr_status file_bytes_unchanged(const file_bytes *file, tkr_error *error)
{
    struct stat now;
    if (!file->mapped)
        return TKR_OK;
    const char *shown = PLAIN(view_of(file->name));
    if (fstat(file->descriptor, &now) != 0)
        return fail_open(error, file->name, errno);
    size_t size = (size_t)now.st_size;
    if (size == file->size)
        return TKR_OK;
    fail(error, TKR_E_IO_CHANGED, "%s: became %s (%zu %c %zu bytes) while in use", shown,
         size < file->size ? "shorter" : "longer", size, size < file->size ? '<' : '>', file->size);
    fail_help(error, "restart with --no-mmap if files may change");
    return TKR_E_IO_CHANGED;
}
