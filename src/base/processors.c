/*
 * Processors granted by control groups, versions 1 and 2.
 *
 * Version 2: PATH/cpu.max holds "QUOTA PERIOD" or "max PERIOD".  Version 1: PATH/cpu.cfs_quota_us (-1: none)
 * and PATH/cpu.cfs_period_us below the controller's own mount.  A group's limit binds its children, so all
 * levels up to the root are asked; inside a container the path may not exist, then only the levels that do
 * count.
 * Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the Linux kernel.
 */
#include "base/processors.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/number.h"
#include "base/view.h"

enum { PROCESSORS_PATH = 4096, PROCESSORS_TEXT = 4096 };

/* The file's beginning; empty when it cannot be read. */
static view read_text(const char *path, char text[PROCESSORS_TEXT])
{
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return view_of("");
    size_t size = 0;
    ssize_t got;
    while (size < PROCESSORS_TEXT && (got = read(file, text + size, PROCESSORS_TEXT - size)) > 0)
        size += (size_t)got;
    close(file);
    return (view){text, size};
}

/* Cuts off and returns what stands before `mark`, or all; the mark goes too. */
static view cut(view *rest, char mark)
{
    const char *at = rest->size > 0 ? memchr(rest->data, mark, rest->size) : NULL;
    const size_t end = at ? (size_t)(at - rest->data) : rest->size;
    const view head = view_slice(*rest, 0, end);
    *rest = view_slice(*rest, end + (at ? 1 : 0), rest->size);
    return head;
}

/* Whole processors of a quota; 0 when either text is not a positive number ("max", "-1"). */
static int quota_of(view quota, view period)
{
    uint64_t granted, whole;
    if (!number_parse_u64(quota, &granted) || !number_parse_u64(period, &whole) || granted == 0 || whole == 0)
        return 0;
    const uint64_t processors = granted / whole + (granted % whole != 0);
    return processors < INT_MAX ? (int)processors : INT_MAX;
}

static view read_line(const char *folder, const char *name, char text[PROCESSORS_TEXT])
{
    char path[PROCESSORS_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    view all = read_text(path, text);
    return cut(&all, '\n');
}

/* Quota of one group, in either version's files. */
static int quota_at(const char *folder)
{
    char text[PROCESSORS_TEXT], other[PROCESSORS_TEXT];
    view line = read_line(folder, "cpu.max", text);
    if (line.size > 0) {
        const view quota = cut(&line, ' ');
        return quota_of(quota, line);
    }
    return quota_of(read_line(folder, "cpu.cfs_quota_us", text), read_line(folder, "cpu.cfs_period_us", other));
}

static int smaller_quota(int a, int b) { return a == 0 ? b : b == 0 || a < b ? a : b; }

/* The least quota from mount/controller/group up to mount/controller. */
static int quota_upwards(const char *mount, view controller, view group)
{
    char folder[PROCESSORS_PATH];
    const int root = snprintf(folder, sizeof folder, "%s/%.*s", mount, (int)controller.size, controller.data);
    const int written = snprintf(folder, sizeof folder, "%s/%.*s%.*s", mount, (int)controller.size,
                                 controller.data, (int)group.size, group.data);
    if (root < 0 || written < root || (size_t)written >= sizeof folder)
        return 0;
    int quota = quota_at(folder);
    for (size_t end = (size_t)written; end > (size_t)root; end--)
        if (folder[end - 1] == '/') {
            folder[end - 1] = '\0';
            quota = smaller_quota(quota, quota_at(folder));
        }
    return quota;
}

static bool has_controller(view list, const char *name)
{
    while (list.size > 0)
        if (view_is(cut(&list, ','), name))
            return true;
    return false;
}

int processors_quota(const char *groups_file, const char *mount)
{
    char text[PROCESSORS_TEXT];
    int quota = 0;
    for (view all = read_text(groups_file, text); all.size > 0;) { /* lines "ID:CONTROLLERS:PATH" */
        view line = cut(&all, '\n');
        cut(&line, ':');
        const view controllers = cut(&line, ':');
        if (controllers.size == 0) {
            quota = smaller_quota(quota, quota_upwards(mount, VIEW(""), line));
            quota = smaller_quota(quota, quota_upwards(mount, VIEW("unified"), line));
        } else if (has_controller(controllers, "cpu")) {
            quota = smaller_quota(quota, quota_upwards(mount, controllers, line));
        }
    }
    return quota;
}
