/* The pool: every item once, at most so many runs, nothing left behind; and what counts as an available
 * processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tokray/session.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/processors.h"
#include "base/threads.h"

enum { ITEMS_MOST = 1000, POOL_MOST = 8 };

typedef struct tally {
    atomic_int items[ITEMS_MOST], runs, threads[POOL_MOST];
    atomic_size_t shortest;
} tally;

static void count_items(void *context, size_t begin, size_t end, int thread)
{
    tally *t = context;
    for (size_t i = begin; i < end; i++)
        t->items[i]++;
    t->runs++;
    t->threads[thread]++;
    size_t shortest = t->shortest;
    while (end - begin < shortest && !atomic_compare_exchange_weak(&t->shortest, &shortest, end - begin))
        ;
}

static void check_loop(pool *p, size_t count, size_t grain)
{
    tally *t = NEW(tally, 1);
    t->shortest = SIZE_MAX;
    parallel_for(p, count, grain, count_items, t);
    for (size_t i = 0; i < ITEMS_MOST; i++)
        assert_int_equal(t->items[i], i < count);
    assert_true(t->runs <= pool_threads(p) && (t->runs > 0) == (count > 0));
    for (int i = 0; i < POOL_MOST; i++)
        assert_true(t->threads[i] <= (i < pool_threads(p)));
    assert_true(t->runs <= 1 || t->shortest >= grain);
    memory_free(t);
}

static void test_threads__every_item_once(void **state)
{
    (void)state;
    static const size_t counts[] = {0, 1, 2, 3, 7, 64, 999, 1000};
    for (int threads = 0; threads <= POOL_MOST; threads++) {
        pool *p = threads > 0 ? pool_new(threads) : NULL;
        assert_int_equal(pool_threads(p), threads > 0 ? threads : 1);
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
            for (size_t grain = 0; grain < 200; grain = grain * 3 + 1)
                check_loop(p, counts[i], grain);
        pool_free(p);
    }
}

static void add_one(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    int *values = context;
    for (size_t i = begin; i < end; i++)
        values[i]++;
}

/* Short loops one after the other, with and without time to fall asleep between: none may be lost or run
 * twice. */
static void test_threads__many_loops_in_a_row(void **state)
{
    (void)state;
    for (int threads = 2; threads <= 4; threads++) {
        pool *p = pool_new(threads);
        int values[16] = {0};
        for (int loop = 0; loop < 3000; loop++) {
            parallel_for(p, 1 + (size_t)loop % 16, 1, add_one, values);
            if (loop % 300 == 0)
                usleep(2000);
        }
        for (int i = 0, expected = 0; i < 16; i++, expected = 0) {
            for (int loop = 0; loop < 3000; loop++)
                expected += loop % 16 >= i;
            assert_int_equal(values[i], expected);
        }
        pool_free(p);
    }
}

static int threads_now(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; tasks && (e = readdir(tasks));)
        count += e->d_name[0] != '.';
    if (tasks)
        closedir(tasks);
    return count;
}

static void test_threads__nothing_is_left_behind(void **state)
{
    (void)state;
    const int threads = threads_now();
    const uint64_t held = tkr_memory_now();
    pool *p = pool_new(3);
    assert_non_null(pool_scratch(p, 2, 1000));
    pool_free(p);
    pool_free(NULL);
#ifndef TOKRAY_THREADS_OPENMP
    for (int i = 0; i < 100 && threads_now() != threads; i++)
        usleep(1000); /* a joined thread may still be listed for a moment */
    assert_int_equal(threads_now(), threads);
#else
    (void)threads;
#endif
    assert_int_equal(tkr_memory_now(), held);
}

static void test_threads__scratch_is_kept_and_grows(void **state)
{
    (void)state;
    pool *p = pool_new(2);
    char *first = pool_scratch(p, 0, 100), *second = pool_scratch(p, 1, 100);
    assert_non_null(first);
    assert_ptr_not_equal(first, second);
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_ptr_equal(pool_scratch(p, 0, 50), first);
    char *grown = pool_scratch(p, 0, 100000);
    memset(grown, 1, 100000);
    assert_ptr_equal(pool_scratch(p, 1, 100), second);
    memory_fail_at(1, 1);
    assert_null(pool_scratch(p, 1, 200));
    memory_fail_at(0, 0);
    assert_non_null(pool_scratch(p, 1, 200));
    assert_null(pool_scratch(NULL, 0, 1));
    pool_free(p);
}

static void test_threads__survives_each_failed_allocation(void **state)
{
    (void)state;
    const uint64_t held = tkr_memory_now();
    pool *p = NULL;
    for (uint64_t nth = 1; !p; nth++) {
        assert_true(nth < 10);
        memory_fail_at(nth, 0);
        p = pool_new(2);
        memory_fail_at(0, 0);
        assert_true(p || tkr_memory_now() == held);
    }
    pool_free(p);
}

static void test_threads__available_follows_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    assert_in_range(threads_available(), 1, CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t i = 0; i < CPU_SETSIZE; i++)
        if (CPU_ISSET(i, &before)) {
            CPU_SET(i, &one);
            break;
        }
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    const int available = threads_available();
    pool *p = pool_new(0);
    const int threads = pool_threads(p);
    pool_free(p);
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(available, 1);
    assert_int_equal(threads, 1);
}

/* ---- Control groups, in a folder that looks like theirs ---- */

typedef struct tree {
    char root[64], file[128];
} tree;

static void put(const tree *t, const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof full, "%s/%s", t->root, path);
    for (char *slash = strchr(full + strlen(t->root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static tree tree_new(const char *groups)
{
    tree t = {.root = "/tmp/tokray-test-XXXXXX"};
    assert_non_null(mkdtemp(t.root));
    snprintf(t.file, sizeof t.file, "%s/groups", t.root);
    put(&t, "groups", groups);
    return t;
}

static void remove_below(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        char full[1024];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(full, sizeof full, "%s/%s", path, e->d_name);
        if (unlink(full) != 0)
            remove_below(full);
    }
    if (folder)
        closedir(folder);
    rmdir(path);
}

static void check_quota(tree *t, int expected)
{
    const int quota = processors_quota(t->file, t->root);
    remove_below(t->root);
    assert_int_equal(quota, expected);
}

static void test_threads__quota_of_groups_version_2(void **state)
{
    (void)state;
    tree t = tree_new("0::/a/b\n");
    put(&t, "a/b/cpu.max", "max 100000\n");
    put(&t, "a/cpu.max", "250000 100000\n"); /* 2.5 processors: 3 threads keep them busy */
    check_quota(&t, 3);

    t = tree_new("0::/a/b\n");
    put(&t, "a/b/cpu.max", "100000 100000\n");
    put(&t, "a/cpu.max", "400000 100000\n");
    check_quota(&t, 1);

    t = tree_new("0::/a/b\n");
    put(&t, "a/b/cpu.max", "max 100000\n");
    check_quota(&t, 0);

    t = tree_new("0::/not/visible/here\n");
    put(&t, "cpu.max", "200000 100000\n");
    check_quota(&t, 2);
}

static void test_threads__quota_of_groups_version_1(void **state)
{
    (void)state;
    tree t = tree_new("4:memory:/x\n3:cpu,cpuacct:/job\n2:cpuset:/y\n");
    put(&t, "cpu,cpuacct/job/cpu.cfs_quota_us", "150000\n");
    put(&t, "cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
    check_quota(&t, 2);

    t = tree_new("3:cpu:/job\n");
    put(&t, "cpu/job/cpu.cfs_quota_us", "-1\n");
    put(&t, "cpu/job/cpu.cfs_period_us", "100000\n");
    check_quota(&t, 0);
}

static void test_threads__quota_that_makes_no_sense_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"",           "\n",     "5",          "5 0\n",
                                        "0 100000\n", "-3 7\n", "many few\n", "99999999999999999999 1\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tree t = tree_new("0::/a\n");
        put(&t, "a/cpu.max", texts[i]);
        check_quota(&t, 0);
    }
    tree t = tree_new("nonsense without colons\n:::\n");
    check_quota(&t, 0);
    assert_int_equal(processors_quota("/nowhere/at/all", "/nowhere"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads__every_item_once),
        cmocka_unit_test(test_threads__many_loops_in_a_row),
        cmocka_unit_test(test_threads__nothing_is_left_behind),
        cmocka_unit_test(test_threads__scratch_is_kept_and_grows),
        cmocka_unit_test(test_threads__survives_each_failed_allocation),
        cmocka_unit_test(test_threads__available_follows_affinity),
        cmocka_unit_test(test_threads__quota_of_groups_version_2),
        cmocka_unit_test(test_threads__quota_of_groups_version_1),
        cmocka_unit_test(test_threads__quota_that_makes_no_sense_is_none),
    };
    return cmocka_run_group_tests_name("threads", tests, NULL, NULL);
}
