/* Temporary folders and whole files; see workplace.h. */
#include "workplace.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool work_folder_new(char path[WORK_PATH])
{
    const char *parent = getenv("TMPDIR");
    int written = snprintf(path, WORK_PATH, "%s/tokray-XXXXXX", parent && *parent ? parent : "/tmp");
    return written > 0 && written < WORK_PATH && mkdtemp(path) != NULL;
}

bool work_path(char out[WORK_PATH], const char *folder, const char *name)
{
    int written = snprintf(out, WORK_PATH, "%s/%s", folder, name);
    return written > 0 && written < WORK_PATH;
}

static bool remove_entry(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0)
        return false;
    return S_ISDIR(info.st_mode) ? work_folder_remove(path) : unlink(path) == 0;
}

bool work_folder_remove(const char *path)
{
    DIR *listing = opendir(path);
    bool ok = listing != NULL;
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;) {
        char inner[WORK_PATH];
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            ok = work_path(inner, path, entry->d_name) && remove_entry(inner) && ok;
    }
    if (listing)
        closedir(listing);
    return rmdir(path) == 0 && ok;
}

bool work_write(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[WORK_PATH];
    FILE *file = work_path(path, folder, name) ? fopen(path, "wb") : NULL;
    bool ok = file && fwrite(bytes, 1, size, file) == size;
    return file && fclose(file) == 0 && ok;
}

bool work_write_text(const char *folder, const char *name, const char *text)
{
    return work_write(folder, name, text, strlen(text));
}

char *work_read(const char *folder, const char *name, size_t *size)
{
    char path[WORK_PATH];
    struct stat info;
    FILE *file = work_path(path, folder, name) ? fopen(path, "rb") : NULL;
    char *bytes = file && fstat(fileno(file), &info) == 0 ? malloc((size_t)info.st_size + 1) : NULL;
    if (bytes) {
        *size = fread(bytes, 1, (size_t)info.st_size, file);
        bytes[*size] = '\0';
    }
    if (file)
        fclose(file);
    return bytes;
}

bool work_replace(const char *folder, const char *name, const char *from, const char *to)
{
    size_t size = 0, used = 0, old = strlen(from), new = strlen(to), found = 0;
    char *text = work_read(folder, name, &size);
    char *out = text ? malloc((size + 1) * (new + 1)) : NULL;
    for (size_t i = 0; out && i < size;) {
        if (i + old <= size && memcmp(text + i, from, old) == 0) {
            memcpy(out + used, to, new);
            used += new;
            i += old;
            found++;
        } else {
            out[used++] = text[i++];
        }
    }
    bool ok = out && found && work_write(folder, name, out, used);
    free(out);
    free(text);
    return ok;
}

bool work_delete(const char *folder, const char *name)
{
    char path[WORK_PATH];
    return work_path(path, folder, name) && unlink(path) == 0;
}

size_t work_count(const char *folder)
{
    size_t count = 0;
    DIR *listing = opendir(folder);
    for (struct dirent *entry; listing && (entry = readdir(listing)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (listing)
        closedir(listing);
    return count;
}
