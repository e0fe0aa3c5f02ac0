/*
 * Jobs against the physical bound: what is timed, the least that it takes, and the rounds and the table that are the same for all.
 *
 * bound = max(least floating-point work / GEMM rate, bytes of weights that must be read / memory rate).  The GEMM rate
 * is that of the fastest of our kernel and, where they are installed, OpenBLAS and oneDNN at 2048 x 768 x 3072 with the
 * same threads; both rates are measured again beside each job of each round, for about as long as the job.  Ratios are
 * medians over the rounds, the least beside them.
 */
#ifndef BENCH_JOBS_H
#define BENCH_JOBS_H

#include <tokray/tokray.h>

#include "bench/rates.h"
#include "bench/report.h"
#include "bench/sized.h"

enum { JOBS_MOST = 64, TOKENS_MOST = 512, STEPS_MOST = 64 };

typedef struct job {
    char name[64];
    const sized *of;
    void (*run)(const struct job *j); /* ends the program when it fails                            */
    double aim;                       /* time / bound                                              */
    double flops;                     /* least work                                                */
    double reads, read_bytes;         /* how often weights are read at the least, and how many bytes each time */
    /* what run needs: a forward pass, or a call */
    pass *forward;
    const char *methods;
    int32_t ids[TOKENS_MOST], outputs[STEPS_MOST];
    size_t tokens, steps;
    double planned, held; /* bytes of a call; 0: not measured          */
    double packs;         /* of planned, the weights that are packed by that call */
    double seconds[ROUNDS_MOST], ratio[ROUNDS_MOST], gemm[ROUNDS_MOST], memory[ROUNDS_MOST];
} job;

typedef struct jobs {
    job list[JOBS_MOST];
    size_t count, rounds;
    report_options options;
} jobs;

job *jobs_add(jobs *b, const sized *of, double aim);
/* A pass over sequences as sized_forward makes it. */
void jobs_add_forward(jobs *b, const sized *of, const char *name, double aim, const uint32_t *lengths, size_t sequences,
                      size_t output_length);
/* The least that a tkr_explain call needs: passes, and how many of them have to wait for another (each reads the weights again). */
typedef struct call_least {
    const char *methods;
    double aim, forwards, forwards_a_feature, backwards, reads;
} call_least;
/* A call over one input of an encoder with a class head: [CLS], tokens, [SEP], every token between them a feature.  The first
 * call is made here and its memory noted.  Nothing happens when the operand of the command line does not choose it. */
void jobs_add_call(jobs *b, const sized *of, const call_least *least, size_t tokens, uint64_t before_model);
/* Does the line "model name" have the operand in it, or is there none? */
bool jobs_wants(const jobs *b, const sized *of, const char *name);
/* The token ids of such a call, and its question. */
void jobs_fill_input(job *j, size_t tokens);
tkr_question jobs_question(const job *j);
/* A tkr_explain call of a question; ends the program when it fails. */
tkr_result *jobs_explain(const job *j, const tkr_question *q);
/* The first call: memory as planned and as held, beyond what the process held before the model.  The caller frees the result. */
tkr_result *jobs_explain_first(job *j, const tkr_question *q, uint64_t before_model);

/* Open the encoders of DistilBERT and, unless quick or the operand names the first, BERT-base size, let `add` add its jobs for each,
 * and measure: the whole of a benchmark of encoders but its report. */
typedef void jobs_add_fn(jobs *b, const sized *of, uint64_t before_model);
void jobs_of_encoders(jobs *b, jobs_add_fn *add);

/* Measure in turns all jobs, or those that the operand of the command line chooses by a part of their line ("gpt2 gxi"), and
 * print the table; frees their passes. */
void jobs_run(jobs *b);

#endif
