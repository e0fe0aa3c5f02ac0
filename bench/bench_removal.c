/*
 * Methods that remove features against the physical bound, and what sharing between variants saves.
 *
 *     bench_removal [--quick] [--threads N] [--csv FILE] [PART OF A LINE]
 *
 * The bound is that of bench/jobs.h.  A method's job is the whole tkr_explain call: the clean run, the method, and the forward
 * pass that checks the finding where the method has not run it.  Least work: one forward pass for each distinct evaluation that
 * the method reports, the last layer and the head only from the row that is read.  That variants share what comes before the
 * first attention is not taken off (a twenty-fourth of the work at six layers), so a ratio may come out below one.  Weights
 * are read once by all evaluations that need not wait for each other.
 *
 * Last lines: exact Shapley values of 12 words at GPT-2 size with and without the shared prefixes, alternately, in one run.
 */
#include <string.h>

#include "base/clock.h"
#include "bench/jobs.h"
#include "explain/variants.h"

static const char PROGRAM[] = "bench_removal";

/* What a method must wait for: answers that decide what is asked next. */
typedef struct removal_method {
    const char *methods;
    double aim, aim_short; /* at 42 tokens, at 11 */
    double reads;
} removal_method;

static const removal_method removals[] = {
    {"occlusion", 1.15, 1.3, 1},
    {"kernel-shap:samples=200", 1.15, 1.3, 2},
    {"lime:samples=200", 1.15, 1.3, 2},
    {"partition-shap:evaluations=500", 1.2, 1.3, 2},
    {"permutation-shapley:pairs=12", 1.3, 1.3, 2},
};

enum { SHORT = 11, LONG = 42 };

static void run_call(const job *j)
{
    const tkr_question q = jobs_question(j);
    tkr_result_free(jobs_explain(j, &q));
}

static void add_method(jobs *b, const sized *of, const removal_method *m, size_t tokens, uint64_t before_model)
{
    char name[sizeof(((job *)0)->name)];
    snprintf(name, sizeof name, "%s, %zu tokens", m->methods, tokens);
    if (!jobs_wants(b, of, name))
        return;
    job *j = jobs_add(b, of, tokens == SHORT ? m->aim_short : m->aim);
    memcpy(j->name, name, sizeof name);
    j->run = run_call;
    j->methods = m->methods;
    jobs_fill_input(j, tokens);
    const tkr_question q = jobs_question(j);
    tkr_result *r = jobs_explain_first(j, &q, before_model);
    tkr_run_facts facts = {0};
    if (!tkr_result_run(r, 0, &facts))
        report_stop(PROGRAM, m->methods, NULL);
    const double evaluations = (double)facts.evaluations;
    tkr_result_free(r);
    const bool has_check = strncmp(m->methods, "occlusion", 9) == 0; /* the check is one of its variants */
    j->flops = (1 + evaluations + !has_check) * sized_work(of, tokens, 0, 1).forward;
    j->reads = m->reads;
    j->read_bytes = sized_matrix_bytes(of);
}

/* ---- shared prefixes ---- */

enum { WORDS = 12, PROMPT = WORDS + 2 };

static double time_exact(const sized *of, const int32_t *ids, unsigned unshared)
{
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.ids = ids;
    q.id_count = PROMPT;
    q.features = "tokens";
    of->session->unshared = unshared;
    const double begun = clock_seconds();
    tkr_result *r = tkr_explain(of->session, &q, "exact-shapley", &error);
    const double passed = clock_seconds() - begun;
    if (!r)
        report_stop(PROGRAM, "exact-shapley", &error);
    tkr_result_free(r);
    of->session->unshared = 0;
    return passed;
}

static void print_prefixes(const report_options *o)
{
    enum { ROUNDS = 3, EVERYTHING = SHARE_ROWS | SHARE_PREFIX | SHARE_SOURCE | SHARE_HIDDEN | SHARE_HEAD };
    static const double AIM = 3;
    double shared[ROUNDS], alone[ROUNDS], ratio[ROUNDS];
    int32_t ids[PROMPT];
    sized model;
    sized_open(&model, PROGRAM, "gpt2", o->threads);
    for (size_t i = 0; i < PROMPT; i++) /* the first and the last token stay */
        ids[i] = sized_id(i);
    const size_t rounds = o->quick ? 1 : ROUNDS;
    for (size_t round = 0; round < rounds; round++) {
        shared[round] = time_exact(&model, ids, 0);
        alone[round] = time_exact(&model, ids, EVERYTHING);
        ratio[round] = alone[round] / shared[round];
    }
    printf("gpt2 size, exact Shapley values of %d words: %.2f s, without sharing %.2f s: %.2f times (aim: at least %.0f)\n", WORDS,
           report_median(shared, rounds), report_median(alone, rounds), report_median(ratio, rounds), AIM);
    sized_close(&model);
}

static void add_methods(jobs *b, const sized *of, uint64_t before_model)
{
    for (size_t m = 0; m < sizeof removals / sizeof *removals; m++) {
        add_method(b, of, &removals[m], SHORT, before_model);
        add_method(b, of, &removals[m], LONG, before_model);
    }
}

int main(int argc, char **argv)
{
    static jobs b;
    b.options = report_begin(PROGRAM, argc, argv);
    jobs_of_encoders(&b, add_methods);
    if (!b.options.operand || strstr(b.options.operand, "gpt2"))
        print_prefixes(&b.options);
    return report_end(&b.options);
}
