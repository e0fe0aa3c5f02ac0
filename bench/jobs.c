/* Rounds, ratios and the table of the benchmarks that are measured against the bound. */
#include "bench/jobs.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "tensor/kernels.h"

static const double MIB = 1 << 20;

job *jobs_add(jobs *b, const sized *of, double aim)
{
    if (b->count == JOBS_MOST)
        report_stop(b->options.program, "too many jobs", NULL);
    job *j = &b->list[b->count++];
    j->of = of;
    j->aim = aim;
    return j;
}

static void run_forward(const job *j)
{
    tkr_error error = {0};
    if (pass_forward(j->forward, &error))
        report_stop(j->of->program, j->name, &error);
}

void jobs_add_forward(jobs *b, const sized *of, const char *name, double aim, const uint32_t *lengths, size_t sequences,
                      size_t output_length)
{
    tkr_error error = {0};
    job *j = jobs_add(b, of, aim);
    size_t block, packs;
    snprintf(j->name, sizeof j->name, "forward %s", name);
    j->run = run_forward;
    j->forward = sized_forward(of, lengths, sequences, output_length);
    if (pass_plan(j->forward, &block, &packs, &j->flops, &error))
        report_stop(of->program, name, &error);
    j->reads = 1;
    j->read_bytes = sized_matrix_bytes(of);
}

tkr_result *jobs_explain(const job *j, const tkr_question *q)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(j->of->session, q, j->methods, &error);
    if (!r)
        report_stop(j->of->program, j->name, &error);
    return r;
}

tkr_result *jobs_explain_first(job *j, const tkr_question *q, uint64_t before_model)
{
    tkr_error error = {0};
    tkr_plan plan;
    if (tkr_plan_explain(j->of->session, q, j->methods, &plan, &error))
        report_stop(j->of->program, j->name, &error);
    tkr_memory_reset_peak();
    tkr_result *r = jobs_explain(j, q);
    j->planned = (double)(plan.bytes - before_model);
    j->packs = (double)plan.bytes_weights;
    j->held = (double)(tkr_memory_peak() - before_model);
    return r;
}

/* ---- calls over one input ---- */

tkr_question jobs_question(const job *j)
{
    tkr_question q = tkr_question_defaults();
    q.ids = j->ids;
    q.id_count = j->tokens;
    q.features = "tokens";
    return q;
}

static void run_call(const job *j)
{
    const tkr_question q = jobs_question(j);
    tkr_result_free(jobs_explain(j, &q));
}

static size_t features_of(const tkr_result *r, const char *methods)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s.scores", (int)strcspn(methods, ":"), methods);
    return tkr_array_extent(tkr_result_array(r, name), 1);
}

bool jobs_wants(const jobs *b, const sized *of, const char *name)
{
    char line[96];
    snprintf(line, sizeof line, "%s %s", of->name, name);
    return !b->options.operand || strstr(line, b->options.operand);
}

void jobs_fill_input(job *j, size_t tokens)
{
    enum { CLS = 2, SEP = 3 }; /* of the made vocabulary */
    j->tokens = tokens;
    for (size_t i = 0; i < tokens; i++)
        j->ids[i] = i == 0 ? CLS : i + 1 == tokens ? SEP : sized_id(i);
}

void jobs_add_call(jobs *b, const sized *of, const call_least *least, size_t tokens, uint64_t before_model)
{
    char name[sizeof(((job *)0)->name)];
    snprintf(name, sizeof name, "%s, %zu tokens", least->methods, tokens);
    if (!jobs_wants(b, of, name))
        return;
    job *j = jobs_add(b, of, least->aim);
    memcpy(j->name, name, sizeof name);
    j->run = run_call;
    j->methods = least->methods;
    jobs_fill_input(j, tokens);
    const tkr_question q = jobs_question(j);
    tkr_result *r = jobs_explain_first(j, &q, before_model);
    const double features = (double)features_of(r, j->methods);
    tkr_result_free(r);
    const pass_work one = sized_work(of, tokens, 0, 1);
    j->flops = (least->forwards + features * least->forwards_a_feature) * one.forward + least->backwards * one.backward;
    j->reads = least->reads;
    j->read_bytes = sized_matrix_bytes(of);
}

/* ---- rounds ---- */

/* Long enough to be timed: short jobs are repeated. */
static double time_job(const job *j)
{
    double begun = clock_seconds(), passed = 0;
    size_t runs = 0;
    while (passed < 0.15) {
        j->run(j);
        runs++;
        passed = clock_seconds() - begun;
    }
    return passed / (double)runs;
}

static double bound_of(const job *j, const rates *r)
{
    return fmax(j->flops / r->gemm, j->reads * j->read_bytes / r->memory);
}

/* About as long as the job. */
static double rating_seconds(double job_seconds)
{
    return fmin(fmax(job_seconds, 0.15), 1);
}

static void run_rounds(jobs *b, rates_bed *bed)
{
    for (size_t i = 0; i < b->count; i++)
        b->list[i].seconds[0] = time_job(&b->list[i]); /* not counted: packs, pages, and how long it takes */
    for (size_t round = 0; round < b->rounds; round++)
        for (size_t i = 0; i < b->count; i++) {
            job *j = &b->list[i];
            rates r = rates_measure(bed, rating_seconds(j->seconds[round > 0 ? round - 1 : 0]),
                                    (size_t)j->read_bytes);
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

static void report_csv(const jobs *b, FILE *csv, const job *j)
{
    fprintf(csv, "%s,%s,\"%s\",%d,%.3f,%.3f,%.3f,%.3f,%.2f,%.3f,%.1f,%.0f,%.1f,%.0f,%.0f\n", kernels_best()->name,
            j->of->name, j->name, b->options.threads, 1e3 * report_median(j->seconds, b->rounds),
            1e3 * report_least(j->seconds, b->rounds), report_median(j->ratio, b->rounds), report_least(j->ratio, b->rounds), j->aim,
            j->flops / 1e9, report_median(j->gemm, b->rounds) / 1e9, j->reads * j->read_bytes,
            report_median(j->memory, b->rounds) / 1e9, j->planned, j->held);
}

static void report(const jobs *b)
{
    size_t calls = 0, held = 0;
    FILE *csv = b->options.csv;
    printf("%-11s %-24s %10s %10s %8s %6s %6s %8s %9s %9s\n", "model", "job", "median ms", "least ms", "/ bound", "least",
           "aim", "GFLOP", "plan MiB", "peak MiB");
    if (csv)
        fputs("level,model,job,threads,median_ms,least_ms,over_bound,least_over_bound,aim,least_gflop,gemm_gflops,"
              "least_read_bytes,memory_gbs,plan_bytes,peak_bytes\n",
              csv);
    for (size_t i = 0; i < b->count; i++) {
        const job *j = &b->list[i];
        printf("%-11s %-24s %10.2f %10.2f %8.2f %6.2f %6.2f %8.2f", j->of->name, j->name,
               1e3 * report_median(j->seconds, b->rounds), 1e3 * report_least(j->seconds, b->rounds),
               report_median(j->ratio, b->rounds), report_least(j->ratio, b->rounds), j->aim, j->flops / 1e9);
        if (j->held > 0) {
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

/* Leave the jobs that are wanted. */
static void choose(jobs *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->count; i++) {
        if (jobs_wants(b, b->list[i].of, b->list[i].name))
            b->list[kept++] = b->list[i];
        else
            pass_free(b->list[i].forward);
    }
    b->count = kept;
}

static double most_bytes(const jobs *b)
{
    double most = 1 << 20;
    for (size_t i = 0; i < b->count; i++)
        most = fmax(most, b->list[i].read_bytes);
    return most;
}

void jobs_run(jobs *b)
{
    choose(b);
    const size_t most = (size_t)most_bytes(b);
    rates_bed *bed = rates_open(b->options.threads, most);
    if (!bed)
        report_stop(b->options.program, "out of memory", NULL);
    rates first = rates_measure(bed, 0.5, most);
    printf("%s\n%d threads; GEMM %.0f GFLOP/s (%s), bare FMA %.0f GFLOP/s a thread, memory %.1f GB/s; "
           "%zu rounds\n",
           tkr_build_info(), b->options.threads, first.gemm / 1e9, first.gemm_of, first.fma / 1e9,
           first.memory / 1e9, b->rounds);
    run_rounds(b, bed);
    report(b);
    for (size_t i = 0; i < b->count; i++)
        pass_free(b->list[i].forward);
    rates_close(bed);
}

void jobs_of_encoders(jobs *b, jobs_add_fn *add)
{
    static const char *const families[] = {"distilbert", "bert"};
    sized models[2];
    b->rounds = b->options.quick ? 3 : 5;
    const bool is_small = b->options.quick || (b->options.operand && strstr(b->options.operand, families[0]));
    const size_t count = is_small ? 1 : 2;
    for (size_t i = 0; i < count; i++) {
        const uint64_t before_model = tkr_memory_now();
        sized_open(&models[i], b->options.program, families[i], b->options.threads);
        b->options.threads = tkr_session_threads(models[i].session);
        add(b, &models[i], before_model);
    }
    jobs_run(b);
    for (size_t i = 0; i < count; i++)
        sized_close(&models[i]);
}
