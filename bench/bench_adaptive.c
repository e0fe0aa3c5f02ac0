/*
 * Adaptive integrated gradients: the work that `ig:gap=G` needs for the gap that 50 fixed points leave, over 100 sentences on a
 * bundled model.
 *
 *     bench_adaptive [--quick] [--threads N] [--csv FILE] [MODEL]
 *
 * MODEL: the sentiment model unless named; a model with masks gets one in place of each sentence's last word.
 *
 * For each sentence the gap g of 50 points is taken, by Gauss-Legendre (Captum's default rule) and by the midpoint rule.  Two
 * figures each, as shares of 50 points: `asked` is the work of `ig:gap=g`, which also waits for the tokens to be at rest; `reached`
 * is the least work at which refining has a gap of g, found by asking for less and less.  All figures are counts: they depend on
 * the model and the rounding of the processor level, not on the machine's load.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tokray/tokray.h>

#include "bench/report.h"
#include "bench/sentences.h"

static const char PROGRAM[] = "bench_adaptive";
static const double AIM = 0.5;

enum { SENTENCES = 100, QUICK_SENTENCES = 20, POINTS = 50 };

/* ---- one sentence ---- */

typedef struct outcome {
    double gap, points;
} outcome;

static outcome explain(tkr_session *s, const char *text, const char *methods)
{
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    tkr_run_facts run;
    q.text = text;
    tkr_result *r = tkr_explain(s, &q, methods, &error);
    if (!r || !tkr_result_run(r, 0, &run))
        report_stop(PROGRAM, text, r ? NULL : &error);
    const outcome o = {.gap = fabs(run.gap), .points = (double)run.evaluations - 1}; /* one is the baseline */
    tkr_result_free(r);
    return o;
}

static outcome refine(tkr_session *s, const char *text, double gap)
{
    char methods[64];
    snprintf(methods, sizeof methods, "ig:gap=%.9f", gap);
    return explain(s, text, methods);
}

/* The least work at which refining leaves this gap at most; what 300 points do when none does. */
static double reach(tkr_session *s, const char *text, double gap)
{
    static const double FIRST = 0.5, FACTOR = 0.75, LAST = 1e-6;
    outcome o = {0};
    for (double ask = FIRST; ask > LAST; ask *= FACTOR) {
        o = refine(s, text, ask);
        if (o.gap <= gap)
            break;
    }
    return o.points;
}

/* ---- all ---- */

typedef struct shares {
    const char *rule;
    double gap[SENTENCES], asked_gap[SENTENCES], asked[SENTENCES], reached[SENTENCES];
} shares;

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static double quantile(double *values, size_t count, double part)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[(size_t)(part * (double)(count - 1) + 0.5)];
}

static void measure(shares *of, tkr_session *s, bool has_mask, size_t count, FILE *csv)
{
    char methods[64], text[SENTENCE_BYTES];
    snprintf(methods, sizeof methods, "ig:steps=%d,rule=%s", POINTS, of->rule);
    for (size_t i = 0; i < count; i++) {
        sentence_make(i, has_mask, text);
        const double gap = explain(s, text, methods).gap;
        const outcome asked = refine(s, text, gap);
        of->gap[i] = gap;
        of->asked_gap[i] = asked.gap;
        of->asked[i] = asked.points / POINTS;
        of->reached[i] = reach(s, text, gap) / POINTS;
        if (csv)
            fprintf(csv, "%s,%zu,%.3e,%.3e,%.2f,%.2f\n", of->rule, i, gap, asked.gap, of->asked[i], of->reached[i]);
    }
}

static void report(shares *of, size_t count)
{
    printf("%-5s %11.1e %14.1e %8.2f %8.2f %8.2f %8.2f %8.2f %8.2f %6.2f\n", of->rule, quantile(of->gap, count, 0.5),
           quantile(of->asked_gap, count, 0.5), quantile(of->asked, count, 0.25), quantile(of->asked, count, 0.5),
           quantile(of->asked, count, 0.75), quantile(of->reached, count, 0.25), quantile(of->reached, count, 0.5),
           quantile(of->reached, count, 0.75), AIM);
}

int main(int argc, char **argv)
{
    static shares rules[] = {{.rule = "gl"}, {.rule = "mid"}};
    const report_options o = report_begin(PROGRAM, argc, argv);
    const size_t count = o.quick ? QUICK_SENTENCES : SENTENCES;
    tkr_error error = {0};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = o.threads;
    const char *name = o.operand ? o.operand : "tiny-distilbert-sentiment";
    tkr_model *model = tkr_model_open(name, NULL, &error);
    tkr_session *session = model ? tkr_session_new(model, &options, &error) : NULL;
    if (!session)
        report_stop(PROGRAM, name, &error);
    tkr_model_facts facts;
    tkr_model_describe(model, &facts);
    const bool has_mask = facts.task == TKR_TASK_MASKED_LM;
    printf("%s\n%s, %zu sentences; work as a share of %d points: quarter, median, three quarters\n", tkr_build_info(), name, count,
           POINTS);
    printf("%-5s %11s %14s %26s %26s %6s\n", "rule", "median gap", "gap when asked", "asked", "reached", "aim");
    if (o.csv)
        fputs("rule,sentence,gap,asked_gap,asked,reached\n", o.csv);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        measure(&rules[i], session, has_mask, count, o.csv);
        report(&rules[i], count);
    }
    tkr_session_free(session);
    tkr_model_close(model);
    return report_end(&o);
}
