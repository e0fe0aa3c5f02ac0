/*
 * Encoders against the physical bound: forward passes and methods on BERT-base and DistilBERT sizes.
 *
 *     bench_model [--quick] [--threads N] [--csv FILE]
 *
 * The bound is that of bench/jobs.h.  Least work: no padding, no weight gradients, the last layer and the head only where they
 * are read, nothing twice.  A method's job is the whole tkr_explain call: the clean run, the method, and the one forward pass
 * that checks the finding.  What each method needs at the least is in the table below, so work that our own plan counts and
 * could do without makes the ratio worse.  Weights are read once by all passes that need not wait for each other.
 *
 * Memory, by the counting allocator: what the plan said before the first call of a method, and what that call held at most.
 */
#include <string.h>
#include <tokray/tokray.h>

#include "bench/jobs.h"

static const char PROGRAM[] = "bench_model";

static void add_forwards(jobs *b, const sized *of)
{
    uint32_t mixed[MIXED_SENTENCES];
    sized_mixed_lengths(mixed);
    jobs_add_forward(b, of, "1 x 12", 1.3, (const uint32_t[]){12}, 1, 0);
    jobs_add_forward(b, of, "1 x 42", 1.25, (const uint32_t[]){42}, 1, 0);
    jobs_add_forward(b, of, "1 x 128", 1.2, (const uint32_t[]){128}, 1, 0);
    if (b->options.quick)
        return;
    jobs_add_forward(b, of, "64 of 6-122", 1.15, mixed, MIXED_SENTENCES, 0);
    jobs_add_forward(b, of, "8 x 512", 1.05, (const uint32_t[]){512, 512, 512, 512, 512, 512, 512, 512}, 8, 0);
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

static void run_call(const job *j)
{
    const tkr_question q = question_of(j);
    tkr_result_free(jobs_explain(j, &q));
}

static size_t features_of(const tkr_result *r, const char *methods)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s.scores", (int)strcspn(methods, ":"), methods);
    return tkr_array_extent(tkr_result_array(r, name), 1);
}

static void add_method(jobs *b, const sized *of, const method_least *least, size_t tokens, uint64_t before_model)
{
    enum { CLS = 2, SEP = 3 }; /* of the made vocabulary */
    job *j = jobs_add(b, of, least->aim);
    snprintf(j->name, sizeof j->name, "%s, %zu tokens", least->methods, tokens);
    j->run = run_call;
    j->methods = least->methods;
    j->tokens = tokens;
    for (size_t i = 0; i < tokens; i++)
        j->ids[i] = i == 0 ? CLS : i + 1 == tokens ? SEP : sized_id(i);
    const tkr_question q = question_of(j);
    tkr_result *r = jobs_explain_first(j, &q, before_model);
    const double features = (double)features_of(r, j->methods);
    tkr_result_free(r);
    const pass_work one = sized_work(of, tokens, 0, 1);
    j->flops = (least->forwards + features * least->forwards_a_feature) * one.forward +
               least->backwards * one.backward;
    j->reads = least->reads;
    j->read_bytes = sized_matrix_bytes(of);
}

static void add_methods(jobs *b, const sized *of, uint64_t before_model)
{
    static const size_t tokens[] = {12, 42};
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
        for (size_t m = 0; m < sizeof methods_measured / sizeof *methods_measured; m++)
            if (!b->options.quick || tokens[t] == 12 || methods_measured[m].backwards < 2)
                add_method(b, of, &methods_measured[m], tokens[t], before_model);
}

int main(int argc, char **argv)
{
    static const char *const families[] = {"distilbert", "bert"};
    static jobs b;
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
    jobs_run(&b);
    for (size_t i = 0; i < count; i++)
        sized_close(&models[i]);
    return report_end(&b.options);
}
