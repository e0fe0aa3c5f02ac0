/* How many processors a control group grants; threads_available asks. */
#ifndef BASE_PROCESSORS_H
#define BASE_PROCESSORS_H

/* The least quota on the way from this process's groups (a file like /proc/self/cgroup) up to the root under
 * `mount` (like /sys/fs/cgroup), rounded up to whole processors; 0: no limit, or nothing readable. */
int processors_quota(const char *groups_file, const char *mount);

#endif
