/* Memory available now: /proc/meminfo's MemAvailable, lowered to the control group's limit where there is one. */
#include "explain/limits.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/number.h"

enum { CACHED_BYTES = 9 << 19, ROWS_LEAST = 128, ROWS_MOST = 4096 };

/* The first bytes of a small system file; empty when it cannot be read. */
static view read_small(const char *path, char *room, size_t capacity)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return (view){room, 0};
    ssize_t got = read(fd, room, capacity);
    close(fd);
    return (view){room, got > 0 ? (size_t)got : 0};
}

/* The digits that follow `key` (or stand at the beginning, with an empty key). */
static bool number_after(view text, view key, uint64_t *value)
{
    for (size_t at = 0; at + key.size < text.size; at++) {
        if (!view_begins(view_slice(text, at, text.size), key))
            continue;
        size_t begin = at + key.size, end;
        while (begin < text.size && text.data[begin] == ' ')
            begin++;
        for (end = begin; end < text.size && text.data[end] >= '0' && text.data[end] <= '9'; end++)
            ;
        return number_parse_u64(view_slice(text, begin, end), value);
    }
    return false;
}

uint64_t limits_default_memory(void)
{
    char room[4096];
    uint64_t kib = 0, limit = 0, used = 0, available = UINT64_C(4) << 30;
    if (number_after(read_small("/proc/meminfo", room, sizeof room), VIEW("MemAvailable:"), &kib))
        available = kib << 10;
    if (number_after(read_small("/sys/fs/cgroup/memory.max", room, sizeof room), VIEW(""), &limit) &&
        number_after(read_small("/sys/fs/cgroup/memory.current", room, sizeof room), VIEW(""), &used) && limit > used &&
        limit - used < available)
        available = limit - used;
    return available / 5 * 4;
}

size_t limits_batch_rows(const family_config *config)
{
    size_t widest = config->inner > config->hidden ? config->inner : config->hidden;
    size_t rows = CACHED_BYTES / (widest * sizeof(float));
    return rows < ROWS_LEAST ? ROWS_LEAST : rows > ROWS_MOST ? ROWS_MOST : rows;
}
