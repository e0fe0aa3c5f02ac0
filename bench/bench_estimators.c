/*
 * Shapley estimators at equal budgets against exact values, on sentences of 12 to 16 words.
 *
 *     bench_estimators [--quick] [--threads N] [--csv FILE] [MODEL]
 *
 * MODEL: the sentiment model unless named; a model with masks gets one in place of each sentence's last word.
 *
 * Every set of each sentence's words is scored once.  The table of scores is a game on which the estimators play, so a seed
 * costs no model run; the budget counts the sets that an estimator asks for, v(empty) and v(N) among them.  The error of a run is
 * |estimate - exact|^2 / |exact|^2; of a sentence it is the mean over seeds, and the figure is the mean over sentences with a
 * 95 % interval (percentile bootstrap over sentences).  partition-shap estimates Owen values, so its error has a floor.
 *
 * All figures are counts of arithmetic: they do not depend on the machine's load.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <tokray/tokray.h>

#include "base/memory.h"
#include "base/random.h"
#include "bench/report.h"
#include "bench/sentences.h"
#include "explain/estimators.h"
#include "explain/player_tree.h"

static const char PROGRAM[] = "bench_estimators";

enum { SENTENCES = 60, QUICK_SENTENCES = 10, SEEDS = 10, QUICK_SEEDS = 3, LEAST_WORDS = 12, MOST_WORDS = 16, TRIES = 4000, RESAMPLES = 2000,
       CHUNK = 4096 };
static const size_t budgets[] = {64, 128, 256, 512, 1024};
enum { BUDGETS = sizeof budgets / sizeof *budgets };

/* ---- a sentence as a table ---- */

typedef struct table {
    size_t players;
    double *values;          /* [2^players] */
    double exact[MOST_WORDS];
    uint32_t left[MOST_WORDS], right[MOST_WORDS]; /* the phrases of partition-shap */
} table;

static tkr_status look_up(const game *g, const uint64_t *sets, const uint32_t *draws, size_t count, double *values, tkr_error *error)
{
    (void)draws, (void)error;
    const table *t = g->user;
    for (size_t i = 0; i < count; i++)
        values[i] = t->values[sets[i]];
    return TKR_OK;
}

static game game_on(const table *t, uint64_t seed, const char *name)
{
    return (game){.players = t->players, .words = 1, .targets = 1, .seed = seed, .purpose = random_purpose(name), .ask = look_up,
                  .user = (void *)(uintptr_t)t};
}

/* Score all sets of words. */
static tkr_status fill(table *t, const question *q, scorer *s, tkr_error *error)
{
    static uint64_t sets[CHUNK];
    static score scores[CHUNK];
    tkr_status status = TKR_OK;
    for (uint64_t first = 0; !status && first >> t->players == 0; first += CHUNK) {
        for (uint64_t i = 0; i < CHUNK; i++) {
            uint64_t kept = first + i;
            set_fill(&sets[i], q->feature_count);
            for (size_t f = 0, p = 0; f < q->feature_count; f++)
                if (!q->is_fixed[f] && !(kept >> p++ & 1))
                    set_drop(&sets[i], f);
        }
        size_t count = t->players < 12 ? (size_t)1 << t->players : CHUNK;
        status = scorer_score(s, "table", sets, NULL, count, SCORE_VALUE, scores, error);
        for (size_t i = 0; !status && i < count; i++)
            t->values[first + i] = scores[i].value;
    }
    return status;
}

/* The features that can be removed; at most as many as there are words wanted, and one more. */
static size_t list_players(const question *q, uint32_t list[MOST_WORDS + 1])
{
    size_t players = 0;
    for (size_t f = 0; f < q->feature_count && players <= MOST_WORDS; f++)
        if (!q->is_fixed[f])
            list[players++] = (uint32_t)f;
    return players;
}

/* False: the sentence has fewer or more words than wanted. */
static bool make_table(table *t, tkr_session *session, const char *text)
{
    tkr_error error = {0};
    tkr_question asked = tkr_question_defaults();
    asked.text = text;
    question q;
    arena *a = arena_new(SIZE_MAX);
    if (question_init(&q, session, &asked, (question_wish){0}, a, &error))
        report_stop(PROGRAM, text, &error);
    uint32_t list[MOST_WORDS + 1];
    t->players = list_players(&q, list);
    bool fits = t->players >= LEAST_WORDS && t->players <= MOST_WORDS;
    if (fits) {
        t->values = NEW(double, (size_t)1 << t->players);
        scorer *s = question_run(&q, (question_wish){0}, &error) ? NULL : scorer_new(&q, question_batch_rows(&q) / q.length, &error);
        player_tree tree = {0};
        if (!s || !t->values || fill(t, &q, s, &error) || player_tree_make(&tree, &q, list, t->players, VIEW("phrases"), a, &error))
            report_stop(PROGRAM, text, &error);
        memcpy(t->left, tree.left, (t->players - 1) * sizeof *t->left);
        memcpy(t->right, tree.right, (t->players - 1) * sizeof *t->right);
        scorer_free(s);
        double errors[MOST_WORDS], base;
        game g = game_on(t, 0, "exact-shapley");
        if (exact_shapley(&g, 1, t->exact, errors, &base, &error))
            report_stop(PROGRAM, text, &error);
    }
    question_fini(&q);
    arena_free(a);
    return fits;
}

/* ---- estimators ---- */

typedef tkr_status estimator_fn(const table *t, game *g, size_t budget, double *values, tkr_error *error);

static tkr_status run_permutation(const table *t, game *g, size_t budget, double *values, tkr_error *error)
{
    double errors[MOST_WORDS], base;
    permutation_options o = {.pairs = (budget - 2) / (2 * (t->players - 1))};
    return permutation_shapley(g, &o, values, errors, &base, error);
}

static tkr_status run_kernel(kernel_design design, game *g, size_t budget, double *values, tkr_error *error)
{
    double errors[MOST_WORDS], base;
    kernel_options o = {.design = design, .samples = budget - 2};
    return kernel_shap(g, &o, values, errors, &base, error);
}

static tkr_status run_leverage(const table *t, game *g, size_t budget, double *values, tkr_error *error)
{
    (void)t;
    return run_kernel(KERNEL_LEVERAGE, g, budget, values, error);
}

static tkr_status run_sizes(const table *t, game *g, size_t budget, double *values, tkr_error *error)
{
    (void)t;
    return run_kernel(KERNEL_SIZES, g, budget, values, error);
}

static tkr_status run_compat(const table *t, game *g, size_t budget, double *values, tkr_error *error)
{
    (void)t;
    return run_kernel(KERNEL_COMPAT, g, budget, values, error);
}

static tkr_status run_partition(const table *t, game *g, size_t budget, double *values, tkr_error *error)
{
    double errors[MOST_WORDS], base;
    partition_options o = {.tree = {t->players, t->left, t->right}, .evaluations = budget, .fixed_context = -1, .draws = 1};
    return partition_shap(g, &o, values, errors, &base, error);
}

static const struct {
    const char *name;
    estimator_fn *run;
    bool is_random;
} estimators[] = {
    {"permutation-shapley", run_permutation, true},
    {"kernel-shap leverage", run_leverage, true},
    {"kernel-shap kernel", run_sizes, true},
    {"kernel-shap shap-compat", run_compat, true},
    {"partition-shap", run_partition, false},
};
enum { ESTIMATORS = sizeof estimators / sizeof *estimators };

static double relative_error(const table *t, const double *values)
{
    double miss = 0, size = 0;
    for (size_t i = 0; i < t->players; i++) {
        miss += (values[i] - t->exact[i]) * (values[i] - t->exact[i]);
        size += t->exact[i] * t->exact[i];
    }
    return miss / size;
}

/* Mean over the seeds. */
static double error_of(const table *t, size_t estimator, size_t budget, size_t seeds)
{
    size_t count = estimators[estimator].is_random ? seeds : 1;
    double sum = 0;
    for (size_t seed = 0; seed < count; seed++) {
        tkr_error error = {0};
        double values[MOST_WORDS];
        game g = game_on(t, seed, estimators[estimator].name);
        if (estimators[estimator].run(t, &g, budget, values, &error))
            report_stop(PROGRAM, estimators[estimator].name, &error);
        sum += relative_error(t, values);
    }
    return sum / (double)count;
}

/* ---- all ---- */

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct figure {
    double mean, low, high;
} figure;

static figure summarise(const double *errors, size_t count)
{
    static double means[RESAMPLES];
    figure f = {0};
    for (size_t i = 0; i < count; i++)
        f.mean += errors[i] / (double)count;
    for (uint32_t r = 0; r < RESAMPLES; r++) {
        random_key key = {.seed = 1, .purpose = random_purpose("bootstrap"), .item = r};
        means[r] = 0;
        for (size_t i = 0; i < count; i++)
            means[r] += errors[random_below(key, i, (uint32_t)count)] / (double)count;
    }
    qsort(means, RESAMPLES, sizeof *means, compare_doubles);
    f.low = means[RESAMPLES / 40];
    f.high = means[RESAMPLES - 1 - RESAMPLES / 40];
    return f;
}

static void compare(const table *tables, size_t count, size_t seeds, FILE *csv)
{
    static double errors[SENTENCES];
    printf("%-24s", "mean relative squared error at a budget of");
    for (size_t b = 0; b < BUDGETS; b++)
        printf(" %zu%s", budgets[b], b + 1 < BUDGETS ? "," : "\n");
    for (size_t e = 0; e < ESTIMATORS; e++) {
        printf("%-24s", estimators[e].name);
        for (size_t b = 0; b < BUDGETS; b++) {
            for (size_t i = 0; i < count; i++)
                errors[i] = error_of(&tables[i], e, budgets[b], seeds);
            figure f = summarise(errors, count);
            printf("  %.4f (%.4f-%.4f)", f.mean, f.low, f.high);
            if (csv)
                fprintf(csv, "%s,%zu,%.6f,%.6f,%.6f\n", estimators[e].name, budgets[b], f.mean, f.low, f.high);
        }
        printf("\n");
    }
}

int main(int argc, char **argv)
{
    static table tables[SENTENCES];
    const report_options o = report_begin(PROGRAM, argc, argv);
    const size_t wanted = o.quick ? QUICK_SENTENCES : SENTENCES, seeds = o.quick ? QUICK_SEEDS : SEEDS;
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
    size_t count = 0, words = 0;
    for (size_t i = 0; i < TRIES && count < wanted; i++) {
        char text[SENTENCE_BYTES];
        sentence_make(i, facts.task == TKR_TASK_MASKED_LM, text);
        if (make_table(&tables[count], session, text))
            words += tables[count++].players;
    }
    if (count == 0)
        report_stop(PROGRAM, "no sentence has 12 to 16 words", NULL);
    printf("%s\n%s, %zu sentences of %.1f words on average, %zu seeds; in brackets the 95 %% interval\n", tkr_build_info(), name, count,
           (double)words / (double)count, seeds);
    if (o.csv)
        fputs("estimator,budget,mean,low,high\n", o.csv);
    compare(tables, count, seeds, o.csv);
    for (size_t i = 0; i < count; i++)
        memory_free(tables[i].values);
    tkr_session_free(session);
    tkr_model_close(model);
    return report_end(&o);
}
