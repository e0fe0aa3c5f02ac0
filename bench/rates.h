/*
 * What the machine can do right now: the fastest matrix product at hand, memory reading, and the bare FMA peak.
 *
 * Machines are shared and clocks move, so a rate is only good for the moment it was taken and for jobs about as long.
 */
#ifndef BENCH_RATES_H
#define BENCH_RATES_H

#include <stddef.h>

typedef struct rates {
    double gemm;         /* FLOP/s at 2048 x 768 x 3072 of the fastest of own, OpenBLAS, oneDNN */
    const char *gemm_of; /* whose                                                               */
    double memory;       /* bytes/s read from a block as large as the job's weights             */
    double fma;          /* FLOP/s of one thread without any memory                             */
} rates;

typedef struct rates_bed rates_bed;

/* Make the operands and find out whose product is fastest here.  NULL: out of memory. */
rates_bed *rates_open(int threads, size_t bytes_most);
void rates_close(rates_bed *b);

/* The means over about `seconds` of products, and less of the others.  bytes: as many as the job reads at a time, because part
 * of them may stay in the caches from one run to the next. */
rates rates_measure(rates_bed *b, double seconds, size_t bytes);

#endif
