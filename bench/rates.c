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

/* Whole small loops over accumulators. */
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
        UNROLLED
        for (size_t k = 0; k < STREAMS; k++) {
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

/* ---- the bare FMA peak: twelve independent chains on the widest registers of the level, all numbers 0 ---- */

#if defined(__x86_64__)
#define TWELVE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define CLEAR(n) "vxorps %%xmm" #n ", %%xmm" #n ", %%xmm" #n "\n\t"
#define FMA_512(n) "vfmadd231ps %%zmm15, %%zmm15, %%zmm" #n "\n\t"
#define FMA_256(n) "vfmadd231ps %%ymm15, %%ymm15, %%ymm" #n "\n\t"
#define CHAINS(FMA) CLEAR(15) TWELVE(CLEAR) "1:\n\t" TWELVE(FMA) "dec %0\n\tjnz 1b\n\tvzeroupper"
#define REGISTERS \
    "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm15"

static double fma_peak(void)
{
    const char *level = kernels_best()->name;
    const uint64_t steps = 4000000;
    uint64_t left = steps;
    double begun = clock_seconds(), lanes = 0;
    if (strcmp(level, "avx512") == 0) {
        __asm__ volatile(CHAINS(FMA_512) : "+r"(left) : : REGISTERS);
        lanes = 16;
    } else if (strcmp(level, "avx2") == 0) {
        __asm__ volatile(CHAINS(FMA_256) : "+r"(left) : : REGISTERS);
        lanes = 8;
    }
    return (double)steps * 12 * 2 * lanes / (clock_seconds() - begun);
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
    b->pack = packed_new(kernels_best(), N, K, weight_row_of, b->w, b->pool);
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
