/*
 * The pool of threads and parallel_for.
 *
 * pthreads: the caller publishes a job by storing one word (a counter and the number of runs); each worker
 * waits for the word to change, spinning for some microseconds, since loops follow each other closely, and
 * sleeping on a condition after that. A worker takes part only when its number is below the number of runs in
 * the word it saw, so it never reads a job that is being replaced.  Whoever goes to sleep counts itself first
 * and looks at the word again under the lock; whoever stores the word looks at that count after: one of the
 * two sees the other.
 * OpenMP: the same runs as iterations of one parallel region.
 */
#include "base/threads.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/processors.h"

enum { THREADS_MOST = 1024, SPINS = 2000 };

typedef struct scratch {
    void *block;
    size_t bytes;
} scratch;

typedef struct job {
    task_fn *task;
    void *context;
    size_t count, runs;
} job;

static void job_run(const job *j, size_t run)
{
    /* Nearly equal runs without overflow: the first count % runs have one item more. */
    const size_t least = j->count / j->runs, more = j->count % j->runs;
    const size_t begin = run * least + (run < more ? run : more);
    j->task(j->context, begin, begin + least + (run < more), (int)run);
}

#ifdef TOKRAY_THREADS_OPENMP

#include <omp.h>

struct pool {
    int threads;
    scratch *scratches;
};

static bool pool_start(pool *p) { return p != NULL; }
static void pool_stop(pool *p) { (void)p; }

static void pool_run(pool *p, const job *j)
{
    (void)p;
    /* The team may be smaller than asked for, so each member takes every n-th run. */
#pragma omp parallel num_threads((int)j->runs)
    for (size_t run = (size_t)omp_get_thread_num(); run < j->runs; run += (size_t)omp_get_num_threads())
        job_run(j, run);
}

#else

enum { RUNS_BITS = 16, RUNS_STOP = (1 << RUNS_BITS) - 1 };

typedef struct worker {
    pool *pool;
    size_t number; /* its run; the caller does run 0 */
    pthread_t thread;
} worker;

struct pool {
    int threads;
    scratch *scratches;
    worker *workers; /* [threads - 1] */
    unsigned spins;  /* 0 where threads outnumber processors: spinning would keep others from working */
    job job;
    _Atomic uint64_t word;  /* counter << RUNS_BITS | runs */
    _Atomic size_t pending; /* workers that still run */
    _Atomic unsigned sleepers;
    atomic_bool caller_sleeps;
    pthread_mutex_t lock;
    pthread_cond_t changed, finished;
};

static void spin_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* The word after it changed from `seen`. */
static uint64_t worker_wait(pool *p, uint64_t seen)
{
    uint64_t word;
    for (unsigned i = 0; i < p->spins; i++) {
        if ((word = atomic_load_explicit(&p->word, memory_order_acquire)) != seen)
            return word;
        spin_pause();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while ((word = atomic_load(&p->word)) == seen)
        pthread_cond_wait(&p->changed, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
    return word;
}

static void *worker_main(void *argument)
{
    const worker *w = argument;
    pool *p = w->pool;
    for (uint64_t seen = 0;;) {
        seen = worker_wait(p, seen);
        const uint64_t runs = seen & RUNS_STOP;
        if (runs == RUNS_STOP)
            return NULL;
        if (w->number >= runs)
            continue;
        job_run(&p->job, w->number);
        if (atomic_fetch_sub(&p->pending, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->finished);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void pool_publish(pool *p, uint64_t runs)
{
    const uint64_t counter = (atomic_load(&p->word) >> RUNS_BITS) + 1;
    atomic_store(&p->word, counter << RUNS_BITS | runs);
    if (atomic_load(&p->sleepers) > 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
}

static void pool_wait(pool *p)
{
    for (unsigned i = 0; i < p->spins; i++) {
        if (atomic_load_explicit(&p->pending, memory_order_acquire) == 0)
            return;
        spin_pause();
    }
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->pending) > 0)
        pthread_cond_wait(&p->finished, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

static void pool_run(pool *p, const job *j)
{
    p->job = *j;
    atomic_store(&p->pending, j->runs - 1);
    pool_publish(p, j->runs);
    job_run(j, 0);
    pool_wait(p);
}

/* Workers leave all signals to the caller's threads.  A refused thread makes the pool smaller. */
static bool pool_start(pool *p)
{
    p->workers = NEW(worker, (size_t)p->threads);
    if (!p->workers)
        return false;
    p->spins = p->threads <= threads_available() ? SPINS : 0;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    pthread_cond_init(&p->finished, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int started = 1;
    for (; started < p->threads; started++) {
        worker *w = &p->workers[started - 1];
        *w = (worker){.pool = p, .number = (size_t)started};
        if (pthread_create(&w->thread, NULL, worker_main, w) != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    p->threads = started;
    return true;
}

static void pool_stop(pool *p)
{
    if (!p->workers)
        return;
    pool_publish(p, RUNS_STOP);
    for (int i = 0; i < p->threads - 1; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->finished);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    memory_free(p->workers);
}

#endif

pool *pool_new(int threads)
{
    pool *p = NEW(pool, 1);
    if (!p)
        return NULL;
    p->threads = threads > 0 ? threads : threads_available();
    if (p->threads > THREADS_MOST)
        p->threads = THREADS_MOST;
    p->scratches = NEW(scratch, (size_t)p->threads);
    if (!p->scratches || !pool_start(p)) {
        memory_free(p->scratches);
        memory_free(p);
        return NULL;
    }
    return p;
}

void pool_free(pool *p)
{
    if (!p)
        return;
    const int threads = p->threads;
    pool_stop(p);
    for (int i = 0; i < threads; i++)
        memory_free(p->scratches[i].block);
    memory_free(p->scratches);
    memory_free(p);
}

int pool_threads(const pool *p) { return p ? p->threads : 1; }

void *pool_scratch(pool *p, int thread, size_t bytes)
{
    if (!p)
        return NULL;
    assert(thread >= 0 && thread < p->threads);
    scratch *s = &p->scratches[thread];
    if (s->bytes < bytes) {
        memory_free(s->block);
        s->block = memory_new_aligned(bytes);
        s->bytes = s->block ? bytes : 0;
    }
    return s->block;
}

void parallel_for(pool *p, size_t count, size_t grain, task_fn *task, void *context)
{
    if (count == 0)
        return;
    const size_t most = grain > 1 ? count / grain : count, threads = (size_t)pool_threads(p);
    const job j = {task, context, count, most < 1 ? 1 : most < threads ? most : threads};
    if (j.runs == 1)
        job_run(&j, 0);
    else
        pool_run(p, &j);
}

int threads_available(void)
{
    cpu_set_t allowed[16]; /* up to 16384 processors */
    int count = sched_getaffinity(0, sizeof allowed, allowed) == 0 ? CPU_COUNT_S(sizeof allowed, allowed) : 1;
    const int quota = processors_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota > 0 && quota < count)
        count = quota;
    return count > 1 ? count : 1;
}
