/*
 * The matrix product against OpenBLAS and oneDNN on the shapes of a BERT-base layer: C[M,N] = A[M,K] W[N,K]^T, float32.
 *
 *     bench_gemm [--quick] [--threads N] [--csv FILE]
 *
 * One thread, then two; --threads: that many only; --quick: short bursts, no 2048 rows.  The products are measured alternately
 * (own, OpenBLAS, oneDNN, own, ...), each burst about as long; the table shows medians, and the ratio of medians (above 1: ours
 * is faster).  TOKRAY_CPU chooses our level; the others are held to the same one.
 * Known to go wrong: OpenMP threads of the others go on spinning after a call, so each burst begins with calls that are not
 * counted.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "bench/report.h"
#include "bench/rivals.h"
#include "tensor/gemm.h"

enum { RIVALS = 3, TRIALS_MOST = 9 };

typedef struct shape {
    size_t m, n, k;
} shape;

typedef struct operands {
    shape size;
    float *a, *w, *c, *check;
    packed *pack;
    pool *threads;
    int count;
} operands;

static void copy_row(const void *source, size_t row, real *out)
{
    const operands *o = source;
    memcpy(out, o->w + row * o->size.k, o->size.k * sizeof *out);
}

static void multiply(const rivals *r, const operands *o, int rival, float *c)
{
    const int m = (int)o->size.m, n = (int)o->size.n, k = (int)o->size.k;
    if (rival == 0)
        gemm(o->threads, c, o->size.n, o->a, o->size.k, o->size.m, o->pack, NULL);
    else if (rival == 1)
        rivals_openblas(r, c, o->a, o->w, m, n, k);
    else
        rivals_onednn(r, c, o->a, o->w, m, n, k);
}

static double burst(const rivals *r, const operands *o, int rival, double length)
{
    const double begin = clock_seconds();
    do
        multiply(r, o, rival, o->c);
    while (clock_seconds() - begin < 0.2 * length);
    const double counted = clock_seconds();
    double now;
    int calls = 0;
    do {
        multiply(r, o, rival, o->c);
        calls++;
    } while ((now = clock_seconds()) - counted < 0.8 * length);
    return (now - counted) / calls;
}

/* Largest difference to our own result, relative to the largest element. */
static double difference(const rivals *r, const operands *o, int rival)
{
    double most = 0, largest = 0;
    multiply(r, o, 0, o->check);
    multiply(r, o, rival, o->c);
    for (size_t i = 0; i < o->size.m * o->size.n; i++) {
        most = fmax(most, fabs((double)o->c[i] - (double)o->check[i]));
        largest = fmax(largest, fabs((double)o->check[i]));
    }
    return most / largest;
}

static void print_rate(FILE *csv, bool is_there, double rate, double best)
{
    printf(is_there ? " %9.1f" : "         -", rate * 1e-9);
    if (csv)
        fprintf(csv, is_there ? ",%.1f,%.1f" : ",,", rate * 1e-9, best * 1e-9);
}

static void print_ratio(FILE *csv, bool is_there, double ratio)
{
    printf(is_there ? " %8.2f" : "        -", ratio);
    if (csv)
        fprintf(csv, is_there ? ",%.3f" : ",", ratio);
}

static void measure(const rivals *r, const operands *o, size_t trials, double length, FILE *csv)
{
    double times[RIVALS][TRIALS_MOST] = {{0}}, medians[RIVALS] = {0}, worst = 0;
    const bool is_there[RIVALS] = {true, r->openblas != NULL, r->onednn != NULL};
    rivals_set_threads(r, o->count);
    for (size_t trial = 0; trial < trials; trial++)
        for (int rival = 0; rival < RIVALS; rival++)
            times[rival][trial] = is_there[rival] ? burst(r, o, rival, length) : 0;
    const double flop = 2.0 * (double)o->size.m * (double)o->size.n * (double)o->size.k;
    printf("%5zu %5zu %5zu %3d", o->size.m, o->size.n, o->size.k, o->count);
    if (csv)
        fprintf(csv, "%s,%zu,%zu,%zu,%d", kernels_best()->name, o->size.m, o->size.n, o->size.k, o->count);
    for (int rival = 0; rival < RIVALS; rival++) {
        medians[rival] = report_median(times[rival], trials);
        print_rate(csv, is_there[rival], flop / medians[rival], flop / report_least(times[rival], trials));
    }
    for (int rival = 1; rival < RIVALS; rival++) {
        print_ratio(csv, is_there[rival], medians[rival] / medians[0]);
        if (is_there[rival])
            worst = fmax(worst, difference(r, o, rival));
    }
    printf("   %.0e\n", worst);
    if (csv)
        fprintf(csv, ",%.1e\n", worst);
    fflush(stdout);
}

static float *random_matrix(uint32_t item, size_t count)
{
    const random_key key = {.purpose = random_purpose("bench_gemm"), .item = item};
    float *x = memory_new_aligned(count * sizeof *x);
    for (size_t i = 0; x && i < count; i++)
        x[i] = (float)(random_unit(key, i) * 2 - 1);
    return x;
}

static void measure_shape(const rivals *r, shape size, int count, const report_options *options)
{
    operands o = {.size = size, .count = count, .threads = pool_new(count)};
    o.a = random_matrix(0, size.m * size.k);
    o.w = random_matrix(1, size.n * size.k);
    o.c = memory_new_aligned(size.m * size.n * sizeof(float));
    o.check = memory_new_aligned(size.m * size.n * sizeof(float));
    o.pack = o.w ? packed_new(kernels_best(), size.n, size.k, copy_row, &o, o.threads) : NULL;
    if (!o.a || !o.c || !o.check || !o.pack || !o.threads)
        report_stop(options->program, "out of memory", NULL);
    measure(r, &o, options->quick ? 5 : TRIALS_MOST, options->quick ? 0.02 : 0.15, options->csv);
    packed_free(o.pack);
    pool_free(o.threads);
    memory_free(o.a);
    memory_free(o.w);
    memory_free(o.c);
    memory_free(o.check);
}

static void print_heads(const rivals *r, FILE *csv)
{
    printf(
        "level %s, door %s, OpenBLAS core %s; GFLOP/s are medians\n"
        "    M     N     K thr       own  OpenBLAS    oneDNN  own/OBL own/oneD  largest relative difference\n",
        kernels_best()->name, gemm_door(), r->openblas_core ? r->openblas_core() : "none");
    if (csv)
        fputs(
            "level,m,n,k,threads,own_gflops,own_gflops_best,openblas_gflops,openblas_gflops_best,onednn_gflops,"
            "onednn_gflops_best,own_over_openblas,own_over_onednn,largest_relative_difference\n",
            csv);
}

int main(int argc, char **argv)
{
    static const size_t weights[][2] = {{768, 768}, {3072, 768}, {768, 3072}};
    static const size_t rows[] = {1, 4, 12, 16, 40, 128, 512, 2048};
    const report_options options = report_begin("bench_gemm", argc, argv);
    const rivals r = rivals_load();
    const int most = options.threads ? options.threads : threads_available() < 2 ? 1 : 2;
    print_heads(&r, options.csv);
    for (int count = options.threads ? options.threads : 1; count <= most; count++)
        for (size_t s = 0; s < sizeof weights / sizeof *weights; s++)
            for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
                if (!options.quick || rows[i] <= 512)
                    measure_shape(&r, (shape){rows[i], weights[s][0], weights[s][1]}, count, &options);
    return report_end(&options);
}
