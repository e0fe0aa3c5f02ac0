/*
 * Threads: a pool owned by a session or a model being opened, and parallel_for.
 *
 * Two back ends with one interface (-Dthreads=pthreads, the default, and -Dthreads=openmp).  The pthreads
 * pool starts its workers once, lets them spin briefly between loops and then sleep, and joins them in
 * pool_free: nothing is left behind. When the system refuses a thread the pool is smaller; results never
 * depend on the number of threads.
 */
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include <stddef.h>

typedef struct pool pool;

/* threads 0: threads_available().  NULL only when out of memory. */
pool *pool_new(int threads);
void pool_free(pool *p);
int pool_threads(const pool *p); /* NULL: 1 */

/* Handles items [begin, end); thread counts from 0 and is below pool_threads. */
typedef void task_fn(void *context, size_t begin, size_t end, int thread);
/* Cut count items into at most pool_threads nearly equal runs of at least `grain` items and run them; returns
 * when all are done.  Not from inside a task of the same pool.  A NULL pool or a small count runs in the
 * caller. */
void parallel_for(pool *p, size_t count, size_t grain, task_fn *task, void *context);

/* Working memory of one thread of the pool, 64-byte aligned, with whatever it held before; kept until
 * pool_free, grown when more is asked for.  NULL when p is NULL or out of memory.  Only for the task that
 * runs as this thread. */
void *pool_scratch(pool *p, int thread, size_t bytes);

/* Processors this process may use: affinity and cgroup quota, at least 1. */
int threads_available(void);

#endif
