/*
 * Encoders against the physical bound: forward passes and methods on BERT-base and DistilBERT sizes.
 *
 *     bench_model [--quick] [--threads N] [--csv FILE] [PART OF A LINE]
 *
 * The bound is that of bench/jobs.h.  Least work: no padding, no weight gradients, the last layer and the head only where they
 * are read, nothing twice.  A method's job is the whole tkr_explain call: the clean run, the method, and the one forward pass
 * that checks the finding.  What each method needs at the least is in the table below, so work that our own plan counts and
 * could do without makes the ratio worse.  Weights are read once by all passes that need not wait for each other.
 *
 * Memory, by the counting allocator: what the plan said before the first call of a method, and what that call held at most.
 */
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

/* Gradient x Input: forward, back, and the check.  Occlusion: clean run and variants at once; the check is one of the variants.
 * Integrated gradients: clean run, baseline and points at once, the way back of the points, and the check. */
static const call_least methods_measured[] = {
    {"gxi", 1.3, 2, 0, 1, 3},
    {"occlusion", 1.15, 1, 1, 0, 1},
    {"ig:steps=50", 1.15, 53, 0, 50, 3},
};

static void add_methods(jobs *b, const sized *of, uint64_t before_model)
{
    static const size_t tokens[] = {12, 42};
    for (size_t t = 0; t < sizeof tokens / sizeof *tokens; t++)
        for (size_t m = 0; m < sizeof methods_measured / sizeof *methods_measured; m++)
            if (!b->options.quick || tokens[t] == 12 || methods_measured[m].backwards < 2)
                jobs_add_call(b, of, &methods_measured[m], tokens[t], before_model);
}

static void add_jobs(jobs *b, const sized *of, uint64_t before_model)
{
    add_methods(b, of, before_model);
    add_forwards(b, of);
}

int main(int argc, char **argv)
{
    static jobs b;
    b.options = report_begin(PROGRAM, argc, argv);
    jobs_of_encoders(&b, add_jobs);
    return report_end(&b.options);
}
