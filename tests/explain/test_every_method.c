/*
 * Every method of the table on odd inputs of the bundled models: it ends in finite scores or in one clear error, keeps to its plan
 * in evaluations and memory, and says the same whatever the batches.  Methods that remove also on two thousand words of an external
 * model: in little memory.
 *
 * TOKRAY_MODELS names the bundled models.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <tokray/tokray.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECONDS_ALLOWED 120.0
enum { REMOVED_FROM = 1 }; /* models that every removal is tried on: it is slow here */
#else
#define SECONDS_ALLOWED 12.0
enum { REMOVED_FROM = 3 };
#endif

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Methods with little work, by id; others run as they are. */
static const char *const short_runs[] = {
    "ig:steps=4", "sequential-ig:steps=2", "expected-gradients:draws=4", "smoothgrad:draws=3", "perturb-random:draws=3",
    "occlusion:draws=3", "exact-shapley:draws=2", "permutation-shapley:pairs=4", "banzhaf:samples=20,exact=3,draws=2",
    "interactions:orders=1,exact=3,draws=2", "kernel-shap:samples=24", "linear-shap:samples=24", "lime:samples=24",
    "partition-shap:evaluations=24,draws=2", "counterfactual:evaluations=40,exact=2", "sufficient:draws=10,share=0.5,evaluations=120"};

static const char *run_of(const char *id)
{
    size_t length = strlen(id);
    for (size_t i = 0; i < sizeof short_runs / sizeof *short_runs; i++)
        if (strncmp(short_runs[i], id, length) == 0 && short_runs[i][length] == ':')
            return short_runs[i];
    return id;
}

static tkr_model *open_bundled(const char *name)
{
    char path[1024];
    tkr_error error = {0};
    snprintf(path, sizeof path, "%s/%s", getenv("TOKRAY_MODELS"), name);
    tkr_model *m = tkr_model_open(path, NULL, &error);
    if (!m)
        fail_msg("%s: %s", name, error.message);
    return m;
}

static tkr_session *session_of(const tkr_model *m, size_t batch_rows)
{
    tkr_error error = {0};
    tkr_session_options options = tkr_session_options_defaults();
    options.batch_rows = batch_rows;
    options.threads = 1;
    options.seed = 7;
    tkr_session *s = tkr_session_new(m, &options, &error);
    if (!s)
        fail_msg("%s", error.message);
    return s;
}

static tkr_question ask(const char *text)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    return q;
}

/* ---- what must hold ---------------------------------------------------------------------------------------------- */

/* Refused: what cannot be asked, and what would take too much; in one line that says something. */
static void expect_clear(const tkr_error *error, const char *run, const char *text)
{
    bool is_known = error->code == TKR_E_USAGE_CAPABILITY || error->code == TKR_E_LIMIT_EVALS || error->code == TKR_E_TARGET_SAME;
    if (!is_known || strlen(error->message) < 10 || strchr(error->message, '\n') || strstr(error->message, "nan"))
        fail_msg("%s on \"%.40s\": %s: %s", run, text, tkr_status_name(error->code), error->message);
}

/* Scores are numbers, but for features that have none: the output's later tokens, and what cannot be removed.  Every target has one
 * at least when `all` says that the input can be removed. */
static void expect_finite(const tkr_result *r, const char *run, const char *text, bool all)
{
    const tkr_array *a;
    for (size_t i = 0; (a = tkr_result_array_at(r, i)) != NULL; i++) {
        const char *name = tkr_array_name(a), *part = strrchr(name, '.');
        bool is_scores = strcmp(part, ".scores") == 0;
        size_t row = tkr_array_rank(a) > 1 ? tkr_array_extent(a, 1) : 1, numbers = 0;
        for (size_t k = 0; k < tkr_array_size(a); k++) {
            float value = tkr_array_f32(a)[k];
            numbers = k % row == 0 ? 0 : numbers;
            numbers += isnan(value) ? 0 : 1;
            if (isinf(value) || (is_scores && all && isnan(value)) || (is_scores && k % row == row - 1 && row > 1 && numbers == 0))
                fail_msg("%s on \"%.40s\": %s[%zu] is %g", run, text, name, k, (double)value);
            if (strcmp(part, ".se") == 0 && value < 0)
                fail_msg("%s on \"%.40s\": %s[%zu] is %g", run, text, name, k, (double)value);
        }
    }
}

static void expect_equal(const tkr_result *a, const tkr_result *b, const char *run, const char *text)
{
    const tkr_array *one;
    for (size_t i = 0; (one = tkr_result_array_at(a, i)) != NULL; i++) {
        const tkr_array *other = tkr_result_array(b, tkr_array_name(one));
        assert_non_null(other);
        assert_int_equal(tkr_array_size(one), tkr_array_size(other));
        if (memcmp(tkr_array_f32(one), tkr_array_f32(other), tkr_array_size(one) * sizeof(float)) != 0)
            fail_msg("%s on \"%.40s\": %s depends on the batches", run, text, tkr_array_name(one));
    }
    tkr_run_facts x, y;
    assert_true(tkr_result_run(a, 0, &x) && tkr_result_run(b, 0, &y));
    if (x.evaluations != y.evaluations)
        fail_msg("%s on \"%.40s\": %zu or %zu evaluations", run, text, (size_t)x.evaluations, (size_t)y.evaluations);
}

/* One run in a session of its own; NULL when it was refused, which the plan says too. */
static tkr_result *run_planned(const tkr_model *m, const tkr_question *q, const char *run, size_t batch_rows)
{
    tkr_session *s = session_of(m, batch_rows);
    tkr_plan plan;
    tkr_error planned = {0}, error = {0};
    tkr_status status = tkr_plan_explain(s, q, run, &plan, &planned);
    tkr_memory_reset_peak();
    tkr_result *r = tkr_explain(s, q, run, &error);
    uint64_t peak = tkr_memory_peak();
    if (status != error.code || (r == NULL) != (status != TKR_OK))
        fail_msg("%s on \"%.40s\": the plan says %s, the run %s: %s", run, q->text, tkr_status_name(status), tkr_status_name(error.code), error.message);
    if (!r)
        expect_clear(&error, run, q->text);
    tkr_run_facts facts = {0};
    if (r && (!tkr_result_run(r, 0, &facts) || facts.evaluations > plan.evaluations))
        fail_msg("%s on \"%.40s\": %zu evaluations, planned %zu", run, q->text, (size_t)facts.evaluations, (size_t)plan.evaluations);
    if (r && peak > plan.bytes)
        fail_msg("%s on \"%.40s\", %zu rows: %zu bytes, planned %zu", run, q->text, batch_rows, (size_t)peak, (size_t)plan.bytes);
    tkr_session_free(s);
    return r;
}

/* Twice, in small batches and in large ones.  True when it was answered. */
static bool try_run(const tkr_model *m, const tkr_question *q, const char *run, bool all)
{
    tkr_result *small = run_planned(m, q, run, 64), *large = run_planned(m, q, run, 1024);
    assert_true((small == NULL) == (large == NULL));
    bool is_answered = small != NULL;
    if (is_answered) {
        expect_finite(small, run, q->text, all);
        expect_equal(small, large, run, q->text);
    }
    tkr_result_free(small);
    tkr_result_free(large);
    return is_answered;
}

enum { ALL = 21 }; /* answer what is asked of a classifier here; there may be more by now */

/* How many methods answered; `but` (NULL: none) is left out. */
static size_t try_all_but(const char *but, const tkr_model *m, const tkr_question *q, bool all)
{
    size_t answered = 0;
    const tkr_method *method;
    for (size_t i = 0; (method = tkr_method_at(i)) != NULL; i++)
        if (!but || strcmp(method->id, but) != 0)
            answered += try_run(m, q, run_of(method->id), all);
    return answered;
}

static size_t try_all(const tkr_model *m, const tkr_question *q, bool all) { return try_all_but(NULL, m, q, all); }

/* ---- texts ------------------------------------------------------------------------------------------------------- */

static const char sixty[] = "the plot is thin but the acting is superb and we liked the end of it a lot more than the first half which was slow and "
                            "far too long for what it had to say about love or war or the sea so see it once with a good friend or two and do not "
                            "think much about why it was made at all";

static const char *const texts[] = {"superb", "very very very good", "\xF0\x9F\xA6\x94 \xF0\x9F\x8C\x8B \xF0\x9F\xA6\x94", "?! ... , ;"};

static void test_every_method__classifier_with_odd_texts(void **state)
{
    (void)state;
    tkr_model *m = open_bundled("tiny-distilbert-sentiment");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tkr_question q = ask(texts[i]);
        assert_true(try_all(m, &q, true) >= ALL);
    }
    tkr_model_close(m);
}

static void test_every_method__classifier_with_sixty_words(void **state)
{
    (void)state;
    tkr_model *m = open_bundled("tiny-distilbert-sentiment");
    tkr_question q = ask(sixty);
    assert_true(try_all_but("interactions", m, &q, true) >= ALL - 2); /* slow: thousands of sets an order; exact-shapley refuses */
    tkr_model_close(m);
}

static void test_every_method__contrasts(void **state)
{
    (void)state;
    tkr_model *m = open_bundled("tiny-distilbert-sentiment");
    tkr_question q = ask("very good, but thin");
    q.target = "class:1~class:0";
    assert_true(try_all(m, &q, true) >= ALL);
    tkr_model_close(m);
}

static void test_every_method__decoder_with_odd_texts(void **state)
{
    (void)state;
    tkr_model *m = open_bundled("tiny-gpt2-stories");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tkr_question q = ask(texts[i]);
        q.max_new = 3;
        assert_true(try_all(m, &q, false) >= ALL - 1);
    }
    tkr_question q = ask("Once upon a time");
    q.max_new = 3;
    q.target = "gen:1~token:\" the\"";
    assert_true(try_all(m, &q, false) > 0);
    tkr_model_close(m);
}

static void test_every_method__encoder_decoder_with_several_steps(void **state)
{
    (void)state;
    tkr_model *m = open_bundled("tiny-t5-tasks");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        tkr_question q = ask(i == 3 ? "date: May 1, 2001" : texts[i]);
        q.target = "all";
        q.max_new = 3;
        assert_true(try_all(m, &q, false) >= ALL - 2);
    }
    tkr_model_close(m);
}

/* ---- removals ---------------------------------------------------------------------------------------------------- */

static void test_every_method__every_removal(void **state)
{
    (void)state;
    static const char *const models[] = {"tiny-distilbert-sentiment", "tiny-gpt2-stories", "tiny-t5-tasks"};
    static const char *const removals[] = {"mask", "pad", "unk", "zero", "delete", "attn", "mean", "random", "mlm"};
    static const char *const words[] = {"good bad good fun", "Lily had a cat", "date: May 1"};
    for (size_t k = 0; k < REMOVED_FROM; k++) {
        tkr_model *m = open_bundled(models[k]);
        size_t answered = 0;
        for (size_t i = 0; i < sizeof removals / sizeof *removals; i++) {
            tkr_question q = ask(words[k]);
            q.removal = removals[i];
            q.max_new = k == 0 ? 0 : 1;
            const tkr_method *method;
            for (size_t j = 0; (method = tkr_method_at(j)) != NULL; j++)
                if (strcmp(method->needs, "forward passes") == 0)
                    answered += try_run(m, &q, run_of(method->id), false);
        }
        assert_true(answered >= (k == 0 ? 100 : 60));
        tkr_model_close(m);
    }
}

/* ---- two thousand words ------------------------------------------------------------------------------------------ */

enum { MANY = 2000, LITTLE = 64 << 20, MATRICES = 224 << 20 /* regressions: six of words by words */ };

/* How many letters e and how many o: each word is worth what it has. */
static tkr_status count_letters(void *user, const char *const *given, size_t count, float *scores, tkr_error *error)
{
    size_t *asked = user;
    (void)error;
    *asked += count;
    for (size_t i = 0; i < count; i++) {
        float *row = scores + 2 * i;
        row[0] = row[1] = 0;
        for (const char *c = given[i]; *c; c++)
            row[*c != 'e'] += *c == 'e' || *c == 'o';
    }
    return TKR_OK;
}

static char *many_words(void)
{
    static const char *const list[] = {"the", "plot", "never", "sings", "eerie", "ox"};
    char *text = calloc(MANY, 8);
    assert_non_null(text);
    for (size_t i = 0; i < MANY; i++)
        strcat(strcat(text + strlen(text), list[(i * 7 + i / 11) % 6]), " ");
    return text;
}

/* Processor time: other work on the machine does not count. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void try_many(const char *run, const char *text, uint64_t budget, size_t most)
{
    size_t asked = 0, held = (size_t)tkr_memory_now();
    tkr_error error = {0};
    tkr_plan plan;
    tkr_question q = ask(text);
    tkr_model *m = tkr_model_from_scorer(count_letters, &asked, (const char *const[]){"e", "o"}, 2, &error);
    tkr_session_options options = tkr_session_options_defaults();
    options.budget_evaluations = budget;
    tkr_session *s = tkr_session_new(m, &options, &error);
    if (tkr_plan_explain(s, &q, run, &plan, &error))
        fail_msg("%s: %s", run, error.message);
    tkr_memory_reset_peak();
    double begun = cpu_seconds();
    tkr_result *r = tkr_explain(s, &q, run, &error);
    double seconds = cpu_seconds() - begun;
    size_t peak = (size_t)tkr_memory_peak();
    if (!r)
        fail_msg("%s: %s", run, error.message);
    expect_finite(r, run, text, true);
    if (peak > plan.bytes || peak - held > most || asked > plan.evaluations || seconds > SECONDS_ALLOWED)
        fail_msg("%s: %zu KiB, planned %zu; %zu texts, planned %zu; %.1f s", run, peak >> 10, (size_t)(plan.bytes >> 10), asked,
                 (size_t)plan.evaluations, seconds);
    tkr_result_free(r);
    tkr_session_free(s);
    tkr_model_close(m);
}

static void test_every_method__two_thousand_words_need_little_memory(void **state)
{
    (void)state;
    static const struct {
        const char *run;
        uint64_t budget;
        size_t most;
    } many[] = {{"occlusion", 0, LITTLE},
                {"occlusion:window=20,stride=10", 0, LITTLE},
                {"permutation-shapley:pairs=1", 0, LITTLE},
                {"permutation-shapley:pairs=50", 9000, LITTLE},
                {"partition-shap", 0, LITTLE},
                {"banzhaf:samples=300", 0, LITTLE},
                {"counterfactual:evaluations=300", 0, LITTLE},
                {"kernel-shap:samples=300", 0, MATRICES},
                {"lime:samples=300", 0, MATRICES}};
    char *text = many_words();
    for (size_t i = 0; i < sizeof many / sizeof *many; i++)
        try_many(many[i].run, text, many[i].budget, many[i].most);
    free(text);
}

/* Ids without special tokens under `delete`: one token has to stay, or a variant would have no row at all. */
static void test_every_method__ids_that_could_all_be_deleted(void **state)
{
    (void)state;
    static const int32_t ids[] = {200, 300};
    tkr_model *m = open_bundled("tiny-distilbert-sentiment");
    tkr_session *s = session_of(m, 0);
    for (size_t count = 1; count <= 2; count++) {
        tkr_error error = {0};
        tkr_question q = tkr_question_defaults();
        q.ids = ids;
        q.id_count = count;
        q.features = "tokens";
        q.removal = "delete";
        tkr_result *r = tkr_explain(s, &q, "occlusion,exact-shapley", &error);
        if (!r)
            fail_msg("%zu ids: %s", count, error.message);
        const float *scores = tkr_array_f32(tkr_result_array(r, "exact-shapley.scores"));
        assert_true(isnan(scores[0]));
        assert_true(count == 1 || isfinite(scores[1]));
        tkr_result_free(r);
    }
    tkr_session_free(s);
    tkr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_method__classifier_with_odd_texts),
        cmocka_unit_test(test_every_method__classifier_with_sixty_words),
        cmocka_unit_test(test_every_method__contrasts),
        cmocka_unit_test(test_every_method__decoder_with_odd_texts),
        cmocka_unit_test(test_every_method__encoder_decoder_with_several_steps),
        cmocka_unit_test(test_every_method__every_removal),
        cmocka_unit_test(test_every_method__ids_that_could_all_be_deleted),
        cmocka_unit_test(test_every_method__two_thousand_words_need_little_memory),
    };
    return cmocka_run_group_tests_name("every_method", tests, NULL, NULL);
}
