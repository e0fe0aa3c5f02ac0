/* Rates of the processor and the memory, measured beside the jobs. */
#include "bench/rates.h"

#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/threads.h"
#include "bench/rivals.h"
#include "tensor/gemm.h"

enum { M = 2048, K = 768, N = 3072 };
enum { STREAMS = 8 }; /* a thread reads at so many places at once, which the prefetchers like best */
enum { CHOOSING_ROUNDS = 3 };

/* Whole small loops over accumulators, which would live in memory otherwise. */
#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

typedef void work_fn(rates_bed *b);

struct rates_bed {
    pool *pool;
    packed *pack;
    rivals rivals;
    float *a, *w, *c;
    unsigned char *block;
    size_t bytes_most; /* of the block                */
    size_t bytes;      /* what reading reads of it    */
    work_fn *product;  /* the fastest                 */
    const char *product_of;
    uint64_t sink;
};

static void weight_row_of(const void *source, size_t row, real *out)
{
    memcpy(out, (const float *)source + row * K, K * sizeof *out);
}

/* ---- what is timed ---- */

static void own_product(rates_bed *b) { gemm(b->pool, b->c, N, b->a, K, M, b->pack, NULL); }
static void openblas_product(rates_bed *b) { rivals_openblas(&b->rivals, b->c, b->a, b->w, M, N, K); }
static void onednn_product(rates_bed *b) { rivals_onednn(&b->rivals, b->c, b->a, b->w, M, N, K); }

typedef uint64_t two __attribute__((vector_size(16)));
typedef struct line {
    two part[4];
} line;

static void read_part(void *context, size_t begin, size_t end, int thread)
{
    (void)thread;
    rates_bed *b = context;
    const line *at = (const line *)(const void *)b->block + begin;
    const size_t step = (end - begin) / STREAMS;
    two sum[STREAMS] = {{0}};
    for (size_t i = 0; i < step; i++)
        UNROLLED for (size_t k = 0; k < STREAMS; k++)
        {
            const line *l = &at[k * step + i];
            sum[k] += (l->part[0] + l->part[1]) + (l->part[2] + l->part[3]);
        }
    uint64_t all = 0;
    for (size_t k = 0; k < STREAMS; k++)
        all += sum[k][0] + sum[k][1];
    __atomic_store_n(&b->sink, all, __ATOMIC_RELAXED); /* so that the reads are not left out */
}

static void read_all(rates_bed *b) { parallel_for(b->pool, b->bytes / sizeof(line), STREAMS, read_part, b); }

/* Work a second, over at least `seconds`; the first run only wakes threads and caches. */
static double mean_rate(rates_bed *b, work_fn *run, double amount, double seconds)
{
    run(b);
    double begun = clock_seconds(), passed = 0;
    size_t runs = 0;
    while (passed < seconds || runs == 0) {
        run(b);
        runs++;
        passed = clock_seconds() - begun;
    }
    return amount * (double)runs / passed;
}

/* ---- the bare FMA peak: twelve independent chains on the widest vectors of the level ---- */

#if defined(__x86_64__)
enum { CHAINS = 12 };

__attribute__((target("avx512f"))) static double fma_avx512(size_t steps)
{
    typedef float wide __attribute__((vector_size(64)));
    wide x[CHAINS], m = (wide){0} + 0.999f, a = (wide){0} + 0.001f;
    for (int i = 0; i < CHAINS; i++)
        x[i] = (wide){0} + (float)i;
    for (size_t s = 0; s < steps; s++)
        UNROLLED for (int i = 0; i < CHAINS; i++)
            __asm__ volatile("vfmadd213ps %2, %1, %0" : "+v"(x[i]) : "v"(m), "v"(a));
    return (double)steps * CHAINS * 32;
}

__attribute__((target("avx2,fma"))) static double fma_avx2(size_t steps)
{
    typedef float wide __attribute__((vector_size(32)));
    wide x[CHAINS], m = (wide){0} + 0.999f, a = (wide){0} + 0.001f;
    for (int i = 0; i < CHAINS; i++)
        x[i] = (wide){0} + (float)i;
    for (size_t s = 0; s < steps; s++)
        UNROLLED for (int i = 0; i < CHAINS; i++)
            __asm__ volatile("vfmadd213ps %2, %1, %0" : "+x"(x[i]) : "x"(m), "x"(a));
    return (double)steps * CHAINS * 16;
}

static double fma_peak(void)
{
    const char *level = kernels_best()->name;
    const size_t steps = 2000000;
    double begun = clock_seconds(), flops = 0;
    if (strcmp(level, "avx512") == 0)
        flops = fma_avx512(steps);
    else if (strcmp(level, "avx2") == 0)
        flops = fma_avx2(steps);
    return flops / (clock_seconds() - begun);
}
#else
static double fma_peak(void) { return 0; }
#endif

/* ---- the bed ---- */

static void choose_product(rates_bed *b)
{
    const struct {
        work_fn *run;
        const char *name;
        bool is_there;
    } products[] = {{own_product, "own", true},
                    {openblas_product, "OpenBLAS", b->rivals.openblas != NULL},
                    {onednn_product, "oneDNN", b->rivals.onednn != NULL}};
    double best = 0;
    for (int round = 0; round < CHOOSING_ROUNDS; round++)
        for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
            double rate = products[i].is_there ? mean_rate(b, products[i].run, 1, 0.1) : 0;
            if (rate <= best)
                continue;
            best = rate;
            b->product = products[i].run;
            b->product_of = products[i].name;
        }
}

rates_bed *rates_open(int threads, size_t bytes_most)
{
    rates_bed *b = NEW(rates_bed, 1);
    if (!b)
        return NULL;
    b->rivals = rivals_load();
    rivals_set_threads(&b->rivals, threads);
    b->pool = pool_new(threads);
    b->a = memory_new_aligned(sizeof(float) * M * K);
    b->w = memory_new_aligned(sizeof(float) * N * K);
    b->c = memory_new_aligned(sizeof(float) * M * N);
    b->block = memory_new_aligned(bytes_most);
    if (!b->pool || !b->a || !b->w || !b->c || !b->block)
        goto fail;
    for (size_t i = 0; i < (size_t)M * K; i++)
        b->a[i] = (float)(i % 101) / 101;
    for (size_t i = 0; i < (size_t)N * K; i++)
        b->w[i] = (float)(i % 103) / 103;
    memset(b->block, 1, bytes_most);
    b->bytes_most = bytes_most;
    b->pack = packed_new(kernels_best(), N, K, weight_row_of, b->w, false, b->pool);
    if (!b->pack)
        goto fail;
    choose_product(b);
    return b;
fail:
    rates_close(b);
    return NULL;
}

void rates_close(rates_bed *b)
{
    if (!b)
        return;
    packed_free(b->pack);
    pool_free(b->pool);
    memory_free(b->a);
    memory_free(b->w);
    memory_free(b->c);
    memory_free(b->block);
    memory_free(b);
}

rates rates_measure(rates_bed *b, double seconds, size_t bytes)
{
    b->bytes = bytes < b->bytes_most ? bytes : b->bytes_most;
    const double flops = 2.0 * M * N * K, reading = seconds < 0.2 ? seconds : 0.2;
    return (rates){.gemm = mean_rate(b, b->product, flops, seconds),
                   .gemm_of = b->product_of,
                   .memory = mean_rate(b, read_all, (double)b->bytes, reading),
                   .fma = fma_peak()};
}
