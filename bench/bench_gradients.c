/*
 * Gradient and relevance methods against the physical bound, DistilBERT and BERT-base size, 42 and 208 tokens.
 *
 *     bench_gradients [--quick] [--threads N] [--csv FILE] [PART OF A LINE]
 *
 * The bound is that of bench/jobs.h.  `tkr_gradient` is one pass there and one back.  A method's job is the whole tkr_explain
 * call, which checks its finding by one more forward pass; that pass is part of its least work.  Least work otherwise: no weight
 * gradients, the last layer and the head only from the row that is read, the clean run of the question once.
 *
 * Last line: the memory that integrated gradients hold beyond the packed weights, DistilBERT size at 208 tokens.
 */
#include <string.h>

#include "bench/jobs.h"

static const char PROGRAM[] = "bench_gradients";

enum { SHORT = 42, LONG = 208 };

/* Clean run, way back, check; points have passes of their own, there and back, and integrated gradients one at the baseline. */
static const call_least one_backward[] = {
    {"gxi", 1.3, 2, 0, 1, 3},
    {"gradient", 1.3, 2, 0, 1, 3},
    {"attnlrp", 1.3, 2, 0, 1, 3},
    {"cp-lrp", 1.3, 2, 0, 1, 3},
};
static const call_least ig_least = {"ig:steps=50", 1.15, 53, 0, 50, 3};
static const call_least smoothgrad_least = {"smoothgrad:draws=25", 1.15, 27, 0, 25, 3};

static void run_gradient(const job *j)
{
    tkr_error error = {0};
    const tkr_question q = jobs_question(j);
    tkr_result *r = tkr_gradient(j->of->session, &q, &error);
    if (!r)
        report_stop(PROGRAM, j->name, &error);
    tkr_result_free(r);
}

static void add_gradient(jobs *b, const sized *of, size_t tokens)
{
    const pass_work one = sized_work(of, tokens, 0, 1);
    job *j = jobs_add(b, of, 1.3);
    snprintf(j->name, sizeof j->name, "tkr_gradient, %zu tokens", tokens);
    j->run = run_gradient;
    jobs_fill_input(j, tokens);
    j->flops = one.forward + one.backward;
    j->reads = 2;
    j->read_bytes = sized_matrix_bytes(of);
}

static void add_jobs(jobs *b, const sized *of, size_t tokens, uint64_t before_model)
{
    jobs_add_call(b, of, &ig_least, tokens, before_model);
    add_gradient(b, of, tokens);
    for (size_t m = 0; m < sizeof one_backward / sizeof *one_backward; m++)
        jobs_add_call(b, of, &one_backward[m], tokens, before_model);
    jobs_add_call(b, of, &smoothgrad_least, tokens, before_model);
}

/* A model and a session of their own, so that nothing else is held. */
static void print_memory(int threads)
{
    static const double MB = 1e6, AIM = 150;
    static jobs alone;
    sized model;
    const uint64_t before_model = tkr_memory_now();
    sized_open(&model, PROGRAM, "distilbert", threads);
    jobs_add_call(&alone, &model, &ig_least, LONG, before_model);
    const double weights = alone.list[0].packs, held = alone.list[0].held;
    printf("memory: %s, distilbert size, %d tokens: peak %.1f MB, packed weights %.1f MB, beyond them %.1f MB (aim: at most %.0f)\n",
           ig_least.methods, LONG, held / MB, weights / MB, (held - weights) / MB, AIM);
    sized_close(&model);
}

static void add_lengths(jobs *b, const sized *of, uint64_t before_model)
{
    add_jobs(b, of, SHORT, before_model);
    if (!b->options.quick || b->options.operand)
        add_jobs(b, of, LONG, before_model);
}

int main(int argc, char **argv)
{
    static jobs b;
    b.options = report_begin(PROGRAM, argc, argv);
    jobs_of_encoders(&b, add_lengths);
    print_memory(b.options.threads);
    return report_end(&b.options);
}
