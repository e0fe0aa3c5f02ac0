/*
 * Whole models against the physical bound: forward passes and methods on BERT-base and DistilBERT sizes.
 *
 *     bench_model [--quick] [--threads N] [--csv FILE]
 *
 * bound = max(least floating-point work / GEMM rate, bytes of weights that must be read / memory rate).  The GEMM rate
 * is that of the fastest of our kernel and, where they are installed, OpenBLAS and oneDNN at 2048 x 768 x 3072 with the
 * same threads; both rates are measured again beside each job of each round, for about as long as the job.  Ratios are
 * medians over the rounds.
 *
 * Least work: no padding, no weight gradients, the last layer and the head only where they are read, nothing twice.  A method's
 * job is the whole tkr_explain call: the clean run, the method, and the one forward pass that checks the finding.  What each
 * method needs at the least is in the table below, so work that our own plan counts and could do without makes the ratio worse.
 * Weights are read once by all passes that need not wait for each other.
 *
 * Memory, by the counting allocator: what the plan said before the first call of a method, and what that call held at most.
 */
#include <math.h>
#include <string.h>
#include <tokray/tokray.h>

#include "base/clock.h"
#include "bench/rates.h"
#include "bench/report.h"
#include "bench/sized.h"
#include "tensor/kernels.h"

enum { JOBS_MOST = 64, TOKENS_MOST = 512 };
static const char PROGRAM[] = "bench_model";
static const double MIB = 1 << 20;

/* What is measured: a forward pass of a shape, or a tkr_explain call. */
typedef struct job {
    char name[64];
    const sized *of;
    double aim;    /* time / bound */
    pass *forward; /* NULL: a call */
    const char *methods;
    int32_t ids[TOKENS_MOST];
    size_t tokens;
    double flops, bytes;  /* least work, weights read                */
    double planned, held; /* bytes; 0 for forward passes             */
    double seconds[ROUNDS_MOST], ratio[ROUNDS_MOST], gemm[ROUNDS_MOST], memory[ROUNDS_MOST];
} job;

typedef struct bench {
    job jobs[JOBS_MOST];
    size_t count, rounds;
    report_options options;
} bench;

static job *new_job(bench *b, const sized *of, double aim)
{
    if (b->count == JOBS_MOST)
        report_stop(PROGRAM, "too many jobs", NULL);
    job *j = &b->jobs[b->count++];
    j->of = of;
    j->aim = aim;
    return j;
}

/* ---- forward passes ---- */

static void add_forward(bench *b, const sized *of, const char *name, double aim, const uint32_t *lengths,
                        size_t sequences)
{
    tkr_error error = {0};
    job *j = new_job(b, of, aim);
    size_t block, packs;
    snprintf(j->name, sizeof j->name, "forward %s", name);
    j->forward = sized_forward(of, lengths, sequences);
    if (pass_plan(j->forward, &block, &packs, &j->flops, &error))
        report_stop(PROGRAM, name, &error);
    j->bytes = sized_matrix_bytes(of);
}

static void add_forwards(bench *b, const sized *of)
{
    uint32_t mixed[MIXED_SENTENCES];
    sized_mixed_lengths(mixed);
    add_forward(b, of, "1 x 12", 1.3, (const uint32_t[]){12}, 1);
    add_forward(b, of, "1 x 42", 1.25, (const uint32_t[]){42}, 1);
    add_forward(b, of, "1 x 128", 1.2, (const uint32_t[]){128}, 1);
    if (b->options.quick)
        return;
    add_forward(b, of, "64 of 6-122", 1.15, mixed, MIXED_SENTENCES);
    add_forward(b, of, "8 x 512", 1.05, (const uint32_t[]){512, 512, 512, 512, 512, 512, 512, 512}, 8);
}

/* ---- methods ---- */

/* The least that a call needs: passes, and how many of them have to wait for another (each reads the weights again).
 * Gradient x Input: forward, back, and the check.  Occlusion: clean run and variants at once; the check is one of the variants.
 * Integrated gradients: clean run, baseline and points at once, the way back of the points, and the check. */
typedef struct method_least {
    const char *methods;
    double aim, forwards, forwards_a_feature, backwards, reads;
} method_least;

static const method_least methods_measured[] = {
    {"gxi", 1.3, 2, 0, 1, 3},
    {"occlusion", 1.15, 1, 1, 0, 1},
    {"ig:steps=50", 1.15, 53, 0, 50, 3},
};

static tkr_question question_of(const job *j)
{
    tkr_question q = tkr_question_defaults();
    q.ids = j->ids;
    q.id_count = j->tokens;
    q.features = "tokens";
    return q;
}

static tkr_result *explain(const job *j)
{
    tkr_error error = {0};
    tkr_question q = question_of(j);
    tkr_result *r = tkr_explain(j->of->session, &q, j->methods, &error);
    if (!r)
        report_stop(PROGRAM, j->name, &error);
    return r;
}

static size_t features_of(const tkr_result *r, const char *methods)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s.scores", (int)strcspn(methods, ":"), methods);
    return tkr_array_extent(tkr_result_array(r, name), 1);
}

/* The first call: memory as planned and as held, beyond what the process held before the model.  Returns how many features. */
static size_t run_first(job *j, uint64_t before_model)
{
    tkr_error error = {0};
    tkr_question q = question_of(j);
    tkr_plan plan;
    if (tkr_plan_explain(j->of->session, &q, j->methods, &plan, &error))
        report_stop(PROGRAM, j->name, &error);
    tkr_memory_reset_peak();
    tkr_result *r = explain(j);
    j->planned = (double)(plan.bytes - before_model);
    j->held = (double)(tkr_memory_peak() - before_model);
    const size_t features = features_of(r, j->methods);
    tkr_result_free(r);
    return features;
}

static void add_method(bench *b, const sized *of, const method_least *least, size_t tokens,
                       uint64_t before_model)
{
    enum { CLS = 2, SEP = 3 }; /* of the made vocabulary */
    job *j = new_job(b, of, least->aim);
    snprintf(j->name, sizeof j->name, "%s, %zu tokens", least->methods, tokens);
    j->methods = least->methods;
    j->tokens = tokens;
    for (size_t i = 0; i < tokens; i++)
        j->ids[i] = i == 0 ? CLS : i + 1 == tokens ? SEP : (int32_t)(200 + i * 7919 % 20000);
    const double features = (double)run_first(j, before_model);
    const pass_work one = sized_work(of, tokens);
    j->flops = (least->forwards + features * least->forwards_a_feature) * one.forward +
               least->backwards * one.backward;
    j->bytes = least->reads * sized_matrix_bytes(of);
}

static void add_methods(bench *b, const sized *of, uint64_t before_model)
{
    static const size_t tokens[] = {12, 42};
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
        for (size_t m = 0; m < sizeof methods_measured / sizeof *methods_measured; m++)
            if (!b->options.quick || tokens[t] == 12 || methods_measured[m].backwards < 2)
                add_method(b, of, &methods_measured[m], tokens[t], before_model);
}

/* ---- rounds ---- */

static void run_job(const job *j)
{
    tkr_error error = {0};
    if (!j->forward)
        tkr_result_free(explain(j));
    else if (pass_forward(j->forward, &error))
        report_stop(PROGRAM, j->name, &error);
}

/* Long enough to be timed: short jobs are repeated. */
static double time_job(const job *j)
{
    double begun = clock_seconds(), passed = 0;
    size_t runs = 0;
    while (passed < 0.15) {
        run_job(j);
        runs++;
        passed = clock_seconds() - begun;
    }
    return passed / (double)runs;
}

static double bound_of(const job *j, const rates *r)
{
    double work = j->flops / r->gemm, reading = j->bytes / r->memory;
    return work > reading ? work : reading;
}

/* About as long as the job. */
static double rating_seconds(double job_seconds)
{
    return fmin(fmax(job_seconds, 0.15), 1);
}

static void run_rounds(bench *b, rates_bed *bed)
{
    for (size_t i = 0; i < b->count; i++)
        b->jobs[i].seconds[0] = time_job(&b->jobs[i]); /* not counted: packs, pages, and how long it takes */
    for (size_t round = 0; round < b->rounds; round++)
        for (size_t i = 0; i < b->count; i++) {
            job *j = &b->jobs[i];
            rates r = rates_measure(bed, rating_seconds(j->seconds[round > 0 ? round - 1 : 0]),
                                    (size_t)sized_matrix_bytes(j->of));
            j->seconds[round] = time_job(j);
            j->ratio[round] = j->seconds[round] / bound_of(j, &r);
            j->gemm[round] = r.gemm;
            j->memory[round] = r.memory;
        }
}

/* ---- the report ---- */

static bool plan_holds(const job *j)
{
    return j->held <= j->planned && j->planned <= 1.15 * j->held + 16 * MIB;
}

static void report_csv(const bench *b, FILE *csv, const job *j)
{
    fprintf(csv, "%s,%s,\"%s\",%d,%.3f,%.3f,%.3f,%.2f,%.3f,%.1f,%.0f,%.1f,%.0f,%.0f\n", kernels_best()->name,
            j->of->name, j->name, b->options.threads, 1e3 * report_median(j->seconds, b->rounds),
            1e3 * report_least(j->seconds, b->rounds), report_median(j->ratio, b->rounds), j->aim,
            j->flops / 1e9, report_median(j->gemm, b->rounds) / 1e9, j->bytes,
            report_median(j->memory, b->rounds) / 1e9, j->planned, j->held);
}

static void report(const bench *b)
{
    size_t calls = 0, held = 0;
    FILE *csv = b->options.csv;
    printf("%-11s %-24s %10s %10s %8s %6s %8s %9s %9s\n", "model", "job", "median ms", "least ms", "/ bound",
           "aim", "GFLOP", "plan MiB", "peak MiB");
    if (csv)
        fputs("level,model,job,threads,median_ms,least_ms,over_bound,aim,least_gflop,gemm_gflops,"
              "least_read_bytes,memory_gbs,plan_bytes,peak_bytes\n",
              csv);
    for (size_t i = 0; i < b->count; i++) {
        const job *j = &b->jobs[i];
        printf("%-11s %-24s %10.2f %10.2f %8.2f %6.2f %8.2f", j->of->name, j->name,
               1e3 * report_median(j->seconds, b->rounds), 1e3 * report_least(j->seconds, b->rounds),
               report_median(j->ratio, b->rounds), j->aim, j->flops / 1e9);
        if (!j->forward) {
            printf(" %9.1f %9.1f", j->planned / MIB, j->held / MIB);
            calls++;
            held += plan_holds(j);
        }
        printf("\n");
        if (csv)
            report_csv(b, csv, j);
    }
    printf("memory: peak <= plan <= 1.15 x peak + 16 MiB holds for %zu of %zu calls\n", held, calls);
}

int main(int argc, char **argv)
{
    static const char *const families[] = {"distilbert", "bert"};
    static bench b;
    sized models[2];
    b.options = report_begin(PROGRAM, argc, argv);
    b.rounds = b.options.quick ? 3 : 5;
    const size_t count = b.options.quick ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        uint64_t before_model = tkr_memory_now();
        sized_open(&models[i], PROGRAM, families[i], b.options.threads);
        b.options.threads = tkr_session_threads(models[i].session);
        add_methods(&b, &models[i], before_model);
        add_forwards(&b, &models[i]);
    }
    const size_t most = (size_t)sized_matrix_bytes(&models[count - 1]);
    rates_bed *bed = rates_open(b.options.threads, most);
    if (!bed)
        report_stop(PROGRAM, "out of memory", NULL);
    rates first = rates_measure(bed, 0.5, most);
    printf("%s\n%d threads; GEMM %.0f GFLOP/s (%s), bare FMA %.0f GFLOP/s a thread, memory %.1f GB/s; "
           "%zu rounds\n",
           tkr_build_info(), b.options.threads, first.gemm / 1e9, first.gemm_of, first.fma / 1e9,
           first.memory / 1e9, b.rounds);
    run_rounds(&b, bed);
    report(&b);
    for (size_t i = 0; i < b.count; i++)
        pass_free(b.jobs[i].forward);
    for (size_t i = 0; i < count; i++)
        sized_close(&models[i]);
    rates_close(bed);
    return report_end(&b.options);
}
