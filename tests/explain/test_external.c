/*
 * External models: a callback that scores texts.  The one here adds up weights of words, so that what a word is worth is known, and
 * writes down what it was asked.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/tokray.h>

#include "base/memory.h"
#include "explain/made.h"

enum { ASKED_MOST = 4096, SCORES_MOST = 1024 };

/* ---- the scorer -------------------------------------------------------------------------------------------------- */

typedef struct bag {
    size_t outputs;
    bool gives_probabilities;   /* softmax of the sums */
    float wrong;                /* written instead of the last score of a text with the word "trap"; 0: nothing is wrong */
    bool forgets;               /* fills one text less */
    tkr_status status;          /* returned by call number fails_at (from 1) */
    const char *message;
    size_t fails_at;
    /* what happened */
    pthread_t thread;
    bool is_strange;            /* called by another thread than the first call */
    size_t calls, texts, most;
    char *asked[ASKED_MOST];
} bag;

static const struct {
    const char *word;
    float weight;
} weights[] = {{"superb", 2}, {"fine", 1}, {"thin", -1.5F}, {"not", -0.25F}, {"[MASK]", 0.125F}, {"[UNK]", 0.0625F}};

/* Sum over the words between spaces and marks. */
static float worth(const char *text)
{
    float sum = 0;
    for (const char *at = text; *at;) {
        size_t length = strcspn(at, " .,!\n");
        for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
            if (strlen(weights[i].word) == length && strncmp(weights[i].word, at, length) == 0)
                sum += weights[i].weight;
        at += length ? length : 1;
    }
    return sum;
}

static void fill_row(const bag *b, const char *text, float *row)
{
    float sum = worth(text), all = 0;
    for (size_t i = 0; i < b->outputs; i++)
        row[i] = i == 0 ? sum : i == 1 ? -sum : 0.5F * (float)i;
    for (size_t i = 0; b->gives_probabilities && i < b->outputs; i++)
        all += row[i] = expf(row[i]);
    for (size_t i = 0; b->gives_probabilities && i < b->outputs; i++)
        row[i] /= all;
    if (b->wrong != 0 && strstr(text, "trap"))
        row[b->outputs - 1] = b->wrong;
}

static tkr_status score_bag(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    bag *b = user;
    b->is_strange = b->is_strange || (b->calls > 0 && !pthread_equal(b->thread, pthread_self()));
    b->thread = pthread_self();
    b->most = count > b->most ? count : b->most;
    if (++b->calls == b->fails_at) {
        if (b->message)
            snprintf(error->message, sizeof error->message, "%s", b->message);
        error->code = b->message ? b->status : TKR_OK;
        return b->status;
    }
    for (size_t i = 0; i < count; i++) {
        if (b->texts < ASKED_MOST)
            b->asked[b->texts++] = strdup(texts[i]);
        if (!b->forgets || i + 1 < count)
            fill_row(b, texts[i], scores + i * b->outputs);
    }
    return TKR_OK;
}

static void forget(bag *b)
{
    for (size_t i = 0; i < b->texts; i++)
        free(b->asked[i]);
    b->texts = b->calls = b->most = 0;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

typedef struct setup {
    bag bag;
    tkr_model *model;
    tkr_session *session;
} setup;

static const char *const labels[] = {"good", "bad", "other"};

static void begin(setup *s, size_t outputs, int threads)
{
    tkr_error error = {0};
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    s->bag.outputs = outputs;
    s->model = tkr_model_from_scorer(score_bag, &s->bag, labels, outputs, &error);
    s->session = s->model ? tkr_session_new(s->model, &options, &error) : NULL;
    if (!s->session)
        fail_msg("%s", error.message);
}

static void end(setup *s)
{
    forget(&s->bag);
    tkr_session_free(s->session);
    tkr_model_close(s->model);
}

static tkr_question ask(const char *text)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    return q;
}

static tkr_result *explain(setup *s, const tkr_question *q, const char *methods)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(s->session, q, methods, &error);
    if (!r)
        fail_msg("%s: %s: %s", tkr_status_name(error.code), error.message, error.facts);
    return r;
}

static float score_of(const tkr_result *r, const char *array, const char *word)
{
    const tkr_array *a = tkr_result_array(r, array);
    assert_non_null(a);
    for (size_t f = 0; f < tkr_array_extent(a, 1); f++)
        if (strcmp(tkr_axis_label(tkr_array_axis(a, 1), f), word) == 0)
            return tkr_array_f32(a)[f];
    fail_msg("no feature %s", word);
    return 0;
}

static tkr_error refuse(setup *s, const tkr_question *q, const char *methods, tkr_status status, const char *part)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(s->session, q, methods, &error);
    if (r || error.code != status || !strstr(error.message, part))
        fail_msg("wanted %s \"%s\", got %s \"%s\"", tkr_status_name(status), part, tkr_status_name(error.code), error.message);
    return error;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) <= 1e-5))
        fail_msg("%.9g, not %.9g", a, b);
}

/* ---- scores ------------------------------------------------------------------------------------------------------ */

static void test_external__scores_of_a_sum_of_words_are_its_weights(void **state)
{
    (void)state;
    static const char *const arrays[] = {"occlusion.scores", "exact-shapley.scores"};
    setup s = {0};
    begin(&s, 2, 1);
    tkr_question q = ask("The plot is thin, but the acting is superb.");
    q.target = "label:good";
    tkr_result *r = explain(&s, &q, "occlusion,exact-shapley");
    for (size_t i = 0; i < 2; i++) {
        assert_near((double)score_of(r, arrays[i], "superb"), 2);
        assert_near((double)score_of(r, arrays[i], "thin"), -1.5);
        assert_near((double)score_of(r, arrays[i], "plot"), 0);
        assert_near((double)score_of(r, arrays[i], ","), 0);
    }
    tkr_target_facts target;
    assert_true(tkr_result_target(r, 0, &target));
    assert_string_equal(target.measure, "score");
    assert_near(target.value, 0.5);
    assert_true(isnan(target.probability));
    assert_string_equal(tkr_array_unit(tkr_result_array(r, "occlusion.scores")), "score");
    tkr_checked checked;
    assert_true(tkr_result_checked(r, 0, &checked));
    assert_string_equal(checked.measure, "score");
    assert_near(checked.before, 0.5);
    assert_near(checked.after, -1.5);
    tkr_result_free(r);
    end(&s);
}

static void test_external__without_a_method_it_is_occlusion_and_all_leaves_out_gradients(void **state)
{
    (void)state;
    setup s = {0};
    tkr_run_facts run;
    begin(&s, 2, 1);
    tkr_question q = ask("superb and not thin");
    tkr_result *r = explain(&s, &q, NULL);
    assert_true(tkr_result_run(r, 0, &run));
    assert_string_equal(run.id, "occlusion");
    assert_false(tkr_result_run(r, 1, &run));
    tkr_result_free(r);
    r = explain(&s, &q, "fast");
    for (size_t i = 0; tkr_result_run(r, i, &run); i++)
        assert_string_equal(tkr_method_find(run.method)->needs, "forward passes");
    assert_non_null(tkr_result_array(r, "occlusion.scores"));
    tkr_result_free(r);
    end(&s);
}

static void test_external__contrasts_margins_and_classes_are_differences_of_scores(void **state)
{
    (void)state;
    static const struct {
        const char *target, *measure;
        double value, superb;
    } cases[] = {{"label:good~label:bad", NULL, 1, 4}, {"class:1", NULL, -0.5, -2},      {"label:BAD", "score", -0.5, -2},
                 {"label:good", "margin", -0.5, 2},    {"label:good", "meanfoil", 0.25, 3}};
    setup s = {0};
    begin(&s, 3, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tkr_question q = ask("thin but superb");
        tkr_target_facts target;
        q.target = cases[i].target;
        q.measure = cases[i].measure;
        tkr_result *r = explain(&s, &q, NULL);
        assert_true(tkr_result_target(r, 0, &target));
        assert_near(target.value, cases[i].value);
        assert_near((double)score_of(r, "occlusion.scores", "superb"), cases[i].superb);
        assert_string_equal(tkr_array_unit(tkr_result_array(r, "occlusion.scores")), "score");
        tkr_result_free(r);
    }
    tkr_question q = ask("thin but superb");
    q.target = "all";
    tkr_result *r = explain(&s, &q, NULL);
    assert_int_equal(tkr_array_extent(tkr_result_array(r, "occlusion.scores"), 0), 3);
    tkr_result_free(r);
    end(&s);
}

static void test_external__features_are_words_sentences_and_spans(void **state)
{
    (void)state;
    static const char *const kinds[] = {"words", "tokens", "sentences", "lines", "spans:[[0,6],[8,12]]"};
    static const size_t counts[] = {5, 5, 2, 1, 2};
    setup s = {0};
    begin(&s, 2, 1);
    for (size_t i = 0; i < 5; i++) {
        tkr_question q = ask("superb! thin fine.");
        q.features = kinds[i];
        tkr_result *r = explain(&s, &q, NULL);
        assert_int_equal(tkr_array_extent(tkr_result_array(r, "occlusion.scores"), 1), counts[i]);
        assert_near((double)tkr_array_f32(tkr_result_array(r, "occlusion.scores"))[0], i == 3 ? 1.5 : 2);
        tkr_result_free(r);
    }
    end(&s);
}

static void test_external__the_scorer_gets_the_texts_that_are_left(void **state)
{
    (void)state;
    static const struct {
        const char *removal, *texts[4];
    } cases[] = {{NULL, {"Not thin.", "thin.", "Not .", "Not thin"}},
                 {"mask", {"Not thin.", "[MASK] thin.", "Not [MASK].", "Not thin[MASK]"}},
                 {"unk", {"Not thin.", "[UNK] thin.", "Not [UNK].", "Not thin[UNK]"}}};
    setup s = {0};
    begin(&s, 2, 1);
    for (size_t i = 0; i < 3; i++) {
        tkr_question q = ask("Not thin.");
        q.removal = cases[i].removal;
        forget(&s.bag);
        tkr_result_free(explain(&s, &q, NULL));
        assert_int_equal(s.bag.texts, 4);
        for (size_t t = 0; t < 4; t++)
            assert_string_equal(s.bag.asked[t], cases[i].texts[t]);
    }
    end(&s);
}

/* ---- words drawn instead ----------------------------------------------------------------------------------------- */

static void test_external__random_words_come_from_a_corpus(void **state)
{
    (void)state;
    char folder[WORK_PATH], removal[WORK_PATH + 64];
    assert_true(work_folder_new(folder));
    assert_true(work_write_text(folder, "corpus", "fine fine fine fine fine fine fine fine fine\nsuperb\n"));
    snprintf(removal, sizeof removal, "random:counts=%s/corpus", folder);
    float first[8];
    for (int threads = 1; threads <= 2; threads++) {
        setup s = {0};
        begin(&s, 2, threads);
        tkr_question q = ask("it is superb");
        q.removal = removal;
        tkr_result *r = explain(&s, &q, "occlusion,permutation-shapley");
        assert_near((double)score_of(r, "occlusion.scores", "superb"), 1); /* it cannot be drawn in its own place: fine is */
        double it = (double)score_of(r, "occlusion.scores", "it");
        assert_true(it >= -2 && it <= -1); /* the mean over draws of fine, 9 times of 10, and superb */
        for (size_t i = 0; i < s.bag.texts; i++)
            assert_true(strspn(s.bag.asked[i], "itsperbfn u") == strlen(s.bag.asked[i]));
        const tkr_array *a = tkr_result_array(r, "permutation-shapley.scores");
        if (threads == 1)
            memcpy(first, tkr_array_f32(a), 3 * sizeof *first);
        assert_memory_equal(first, tkr_array_f32(a), 3 * sizeof *first);
        q.removal = "random";
        tkr_error error = refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "no vocabulary to draw from");
        assert_string_equal(error.help, "--removal random:counts=FILE");
        q.removal = "random:uniform";
        refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "no vocabulary to draw from");
        tkr_result_free(r);
        end(&s);
    }
    work_folder_remove(folder);
}

static void test_external__a_masked_language_model_draws_words(void **state)
{
    (void)state;
    setup s = {0};
    begin(&s, 2, 1);
    tkr_question q = ask("The queen is superb");
    q.removal = "mlm"; /* the bundled one */
    tkr_result *r = explain(&s, &q, "exact-shapley");
    assert_true((double)score_of(r, "exact-shapley.scores", "superb") > 1);
    for (size_t i = 0; i < s.bag.texts; i++) {
        size_t spaces = 0;
        for (const char *at = s.bag.asked[i]; *at; at++)
            spaces += *at == ' ';
        assert_int_equal(spaces, 3); /* a word for a word */
    }
    assert_true(s.bag.texts > 16);
    tkr_result_free(r);
    end(&s);
}

static void test_external__every_text_is_asked_once_and_some_dozens_at_a_time(void **state)
{
    (void)state;
    setup s = {0};
    char text[8 * 200 + 1] = "";
    begin(&s, 2, 1);
    for (size_t i = 0; i < 200; i++)
        strcat(text, i % 3 ? (i % 2 ? "thin " : "superb ") : "fine ");
    tkr_question q = ask(text);
    tkr_result *r = explain(&s, &q, "occlusion,kernel-shap:samples=500");
    tkr_run_facts run;
    assert_true(tkr_result_run(r, 0, &run));
    assert_int_equal(run.evaluations, 200);
    for (size_t i = 0; i < s.bag.texts; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(s.bag.asked[i], s.bag.asked[k]);
    assert_int_equal(s.bag.most, 64);
    tkr_result_free(r);

    forget(&s.bag);
    q = ask("fine fine fine");
    r = explain(&s, &q, NULL);
    assert_int_equal(s.bag.texts, 2); /* all, and two of them */
    assert_near((double)tkr_array_f32(tkr_result_array(r, "occlusion.scores"))[2], 1);
    tkr_result_free(r);
    forget(&s.bag);
    q = ask("fine");
    tkr_result_free(explain(&s, &q, "occlusion,exact-shapley"));
    assert_string_equal(s.bag.asked[1], "");
    end(&s);
}

static void test_external__threads_change_nothing_and_the_callback_has_one(void **state)
{
    (void)state;
    float first[SCORES_MOST];
    for (int threads = 1; threads <= 2; threads++) {
        setup s = {0};
        begin(&s, 2, threads);
        tkr_question q = ask("The plot is thin, the acting is superb, the end is fine, and the rest is not, not at all, worth it.");
        tkr_result *r = explain(&s, &q, "permutation-shapley");
        const tkr_array *a = tkr_result_array(r, "permutation-shapley.scores");
        if (threads == 1)
            memcpy(first, tkr_array_f32(a), tkr_array_size(a) * sizeof *first);
        else
            assert_memory_equal(first, tkr_array_f32(a), tkr_array_size(a) * sizeof *first);
        assert_false(s.bag.is_strange);
        assert_true(pthread_equal(s.bag.thread, pthread_self()));
        tkr_result_free(r);
        end(&s);
    }
}

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

static void test_external__probabilities_are_taken_for_what_they_are(void **state)
{
    (void)state;
    setup s = {.bag.gives_probabilities = true};
    tkr_target_facts target;
    begin(&s, 2, 1);
    tkr_question q = ask("thin but superb");
    tkr_result *r = explain(&s, &q, NULL);
    double p = 1 / (1 + exp(-1.0)), without = 1 / (1 + exp(3.0));
    assert_true(tkr_result_target(r, 0, &target));
    assert_near(target.probability, p);
    assert_near(target.value, p);
    tkr_result_free(r);
    q.measure = "prob";
    r = explain(&s, &q, NULL);
    assert_near((double)score_of(r, "occlusion.scores", "superb"), p - without);
    assert_string_equal(tkr_array_unit(tkr_result_array(r, "occlusion.scores")), "probability");
    tkr_result_free(r);
    q.measure = "logprob";
    r = explain(&s, &q, NULL);
    assert_near((double)score_of(r, "occlusion.scores", "superb"), log(p) - log(without));
    tkr_result_free(r);
    end(&s);
}

static void test_external__no_logarithm_of_what_is_no_probability(void **state)
{
    (void)state;
    setup s = {.bag.gives_probabilities = true};
    begin(&s, 2, 1);
    tkr_question q = ask("superb trap");
    q.measure = "logprob";
    q.target = "label:bad";
    tkr_result_free(explain(&s, &q, NULL));
    s.bag.wrong = -1;
    q = ask("superb");
    q.measure = "logprob";
    tkr_result_free(explain(&s, &q, NULL));
    q = ask("superb but a trap");
    q.measure = "prob";
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "are no probabilities");
    s.bag.wrong = 0.95F; /* from 0 to 1, but the sum is another */
    tkr_error error = refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "are no probabilities");
    assert_string_equal(error.help, "--measure score");
    s.bag.gives_probabilities = false;
    q = ask("superb");
    q.measure = "prob";
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "are no probabilities");
    end(&s);
    setup one = {.bag.gives_probabilities = true}; /* a single 1 says nothing */
    begin(&one, 1, 1);
    refuse(&one, &q, NULL, TKR_E_USAGE_CAPABILITY, "are no probabilities");
    end(&one);
}

/* 0 and 1 for every text: probabilities whose logarithm is not finite. */
static tkr_status score_certain(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    (void)user;
    (void)error;
    for (size_t i = 0; i < count; i++) {
        scores[2 * i] = strstr(texts[i], "fine") ? 1 : 0;
        scores[2 * i + 1] = 1 - scores[2 * i];
    }
    return TKR_OK;
}

static void test_external__a_probability_of_nothing_has_no_logarithm(void **state)
{
    (void)state;
    tkr_error error = {0};
    setup s = {.model = tkr_model_from_scorer(score_certain, NULL, labels, 2, &error)};
    s.session = tkr_session_new(s.model, NULL, &error);
    tkr_question q = ask("a fine end");
    q.measure = "logprob";
    error = refuse(&s, &q, NULL, TKR_E_INPUT_SCORER, "measure logprob of \"good\" is not finite for the text \"a end\"");
    assert_string_equal(error.help, "--measure score");
    end(&s);
}

/* ---- what goes wrong --------------------------------------------------------------------------------------------- */

static void test_external__numbers_must_be_finite_and_all_there(void **state)
{
    (void)state;
    const float wrong[] = {NAN, INFINITY, -INFINITY};
    const char *const names[] = {"NaN", "infinity", "-infinity"};
    char part[120];
    setup s = {0};
    begin(&s, 2, 1);
    for (size_t i = 0; i < 3; i++) {
        tkr_question q = ask("it is a trap");
        s.bag.wrong = wrong[i];
        snprintf(part, sizeof part, "text 0 of 1: the score of \"bad\" is %s", names[i]);
        tkr_error error = refuse(&s, &q, NULL, TKR_E_INPUT_SCORER, part);
        assert_string_equal(error.facts, "text 0 begins \"it is a trap\"");
    }
    s.bag.wrong = 0;
    s.bag.forgets = true;
    tkr_question q = ask("superb");
    refuse(&s, &q, NULL, TKR_E_INPUT_SCORER, "the score of \"good\" is NaN");
    s.bag.forgets = false;
    tkr_result_free(explain(&s, &q, NULL)); /* the session goes on */
    end(&s);
}

static void test_external__an_error_of_the_callback_passes_through(void **state)
{
    (void)state;
    setup s = {.bag = {.status = TKR_E_IO_READ, .message = "the line went dead", .fails_at = 2}};
    begin(&s, 2, 1);
    tkr_question q = ask("superb but thin");
    tkr_error error = refuse(&s, &q, NULL, TKR_E_IO_READ, "the line went dead");
    assert_string_equal(error.facts, "1 texts were scored before");
    s.bag.message = NULL;
    s.bag.calls = 0;
    refuse(&s, &q, NULL, TKR_E_IO_READ, "did not say why");
    s.bag.status = (tkr_status)987654;
    s.bag.calls = 0;
    refuse(&s, &q, NULL, TKR_E_INPUT_SCORER, "failed with status 987654");
    end(&s);
}

static void test_external__what_needs_an_inside_is_refused_with_what_works(void **state)
{
    (void)state;
    static const char *const removals[] = {"attn", "pad", "zero", "mean"}, *const measures[] = {"logit", "logodds", "entropy", "kl"};
    const int32_t ids[] = {0};
    setup s = {0};
    tkr_error error = {0};
    begin(&s, 2, 1);
    tkr_question q = ask("superb");
    error = refuse(&s, &q, "ig", TKR_E_USAGE_CAPABILITY, "ig needs gradients; an external model scores texts");
    assert_non_null(strstr(error.facts, "methods: occlusion"));
    q.pair = "two";
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "no second text");
    q = tkr_question_defaults();
    q.ids = ids;
    q.id_count = 1;
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "token ids mean nothing");
    q = ask("superb");
    q.at = "layer.0.output";
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "no place inside");
    q = ask("superb");
    q.output_text = "x";
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "no output");
    q = ask("superb\0thin");
    q.text_bytes = 11;
    refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "byte 6 of the text is NUL");
    for (size_t i = 0; i < 4; i++) {
        q = ask("superb");
        q.removal = removals[i];
        refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "has delete, mask, unk, mlm");
        q = ask("superb");
        q.measure = measures[i];
        refuse(&s, &q, NULL, TKR_E_USAGE_CAPABILITY, "an external model gives scores");
    }
    q = ask("superb");
    assert_null(tkr_capture(s.session, &q, "logits", &error));
    tkr_error_clear(&error);
    assert_null(tkr_capture(s.session, &q, "embeddings", &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    tkr_error_clear(&error);
    assert_null(tkr_gradient(s.session, &q, &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    tkr_error_clear(&error);
    assert_null(tkr_generate(s.session, &q, &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    assert_int_equal(s.bag.calls, 0); /* nobody was asked in vain */
    end(&s);
}

static void test_external__the_measure_score_is_not_for_models_of_our_own(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 1);
    made m = made_open(&recipe, NULL);
    char *text = made_text(&m, 3, 1);
    tkr_error error = {0};
    tkr_question q = ask(text);
    q.measure = "score";
    assert_null(tkr_explain(m.session, &q, "occlusion", &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    free(text);
    made_close(&m);
}

/* Whichever allocation fails: a result or limit.oom, and everything is given back. */
static void test_external__no_memory_is_an_error_like_any_other(void **state)
{
    (void)state;
    setup s = {0};
    begin(&s, 2, 1);
    tkr_question q = ask("it is thin but superb, thin but fine");
    uint64_t held = tkr_memory_now();
    size_t failed = 0;
    memory_fail_at(0, 0);
    tkr_result_free(explain(&s, &q, "occlusion,kernel-shap"));
    uint64_t allocations = memory_allocations();
    for (uint64_t nth = 1; nth <= allocations; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_result *r = tkr_explain(s.session, &q, "occlusion,kernel-shap", &error);
        memory_fail_at(0, 0);
        if (!r) {
            assert_true(error.code == TKR_E_LIMIT_OOM || error.code == TKR_E_LIMIT_BUFFER);
            failed++;
        }
        tkr_result_free(r);
        assert_int_equal(tkr_memory_now(), held);
    }
    assert_true(failed > 20);
    for (uint64_t nth = 1, done = 0; !done; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_model *m = tkr_model_from_scorer(score_bag, &s.bag, labels, 2, &error);
        memory_fail_at(0, 0);
        done = m != NULL;
        if (!m)
            assert_int_equal(error.code, TKR_E_LIMIT_OOM);
        tkr_model_close(m);
        assert_int_equal(tkr_memory_now(), held);
    }
    end(&s);
}

static void test_external__arguments_are_checked(void **state)
{
    (void)state;
    const char *const twice[] = {"a", "a"}, *const empty[] = {""}, *const missing[] = {NULL}, *const bytes[] = {"\xC0"};
    const char *const *const bad[] = {twice, empty, missing, bytes, NULL};
    const size_t counts[] = {2, 1, 1, 1, 1};
    for (size_t i = 0; i < 5; i++) {
        tkr_error error = {0};
        assert_null(tkr_model_from_scorer(score_bag, NULL, bad[i], counts[i], &error));
        assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
    }
    tkr_error error = {0};
    assert_null(tkr_model_from_scorer(NULL, NULL, labels, 2, &error));
    assert_null(tkr_model_from_scorer(score_bag, NULL, labels, 0, NULL));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
}

/* ---- the model itself -------------------------------------------------------------------------------------------- */

static void test_external__its_words_are_its_tokens(void **state)
{
    (void)state;
    static const char *const words[] = {"Don", "'", "t", "[", "MASK", "]", "\xE4\xBD\xA0", "\xE5\xA5\xBD", "na\xC3\xAFve"};
    const char *text = "Don't [MASK] \xE4\xBD\xA0\xE5\xA5\xBD na\xC3\xAFve";
    setup s = {0};
    tkr_error error = {0};
    tkr_model_facts facts;
    begin(&s, 2, 1);
    tkr_encoding *e = tkr_tokenize(s.model, text, strlen(text), NULL, 0, TKR_TRUNCATE_NEVER, 0, &error);
    assert_int_equal(tkr_encoding_count(e), 9);
    for (size_t i = 0; i < 9; i++) {
        const tkr_token *t = &tkr_encoding_tokens(e)[i];
        assert_string_equal(t->raw, words[i]);
        assert_int_equal(t->special, TKR_SPECIAL_NONE);
        assert_memory_equal(text + t->begin, words[i], (size_t)(t->end - t->begin));
    }
    tkr_encoding_free(e);
    tkr_model_describe(s.model, &facts);
    assert_string_equal(facts.source, "external");
    assert_int_equal(facts.labels, 2);
    assert_string_equal(tkr_model_label(s.model, 1), "bad");
    assert_string_equal(tkr_model_weights_sha256(s.model), "");
    assert_null(tkr_model_ability(s.model, 0));
    end(&s);
}

static void test_external__a_plan_asks_nobody(void **state)
{
    (void)state;
    setup s = {0};
    tkr_plan plan;
    tkr_error error = {0};
    begin(&s, 2, 1);
    tkr_question q = ask("the end is fine");
    assert_int_equal(tkr_plan_explain(s.session, &q, NULL, &plan, &error), TKR_OK);
    assert_int_equal(plan.evaluations, 1 + 4 + 1);
    assert_int_equal(s.bag.calls, 0);
    assert_true(plan.bytes > 0);
    tkr_memory_reset_peak();
    uint64_t before = tkr_memory_now();
    tkr_result_free(explain(&s, &q, NULL));
    assert_true(tkr_memory_peak() - before <= plan.bytes);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_external__scores_of_a_sum_of_words_are_its_weights),
        cmocka_unit_test(test_external__without_a_method_it_is_occlusion_and_all_leaves_out_gradients),
        cmocka_unit_test(test_external__contrasts_margins_and_classes_are_differences_of_scores),
        cmocka_unit_test(test_external__features_are_words_sentences_and_spans),
        cmocka_unit_test(test_external__the_scorer_gets_the_texts_that_are_left),
        cmocka_unit_test(test_external__random_words_come_from_a_corpus),
        cmocka_unit_test(test_external__a_masked_language_model_draws_words),
        cmocka_unit_test(test_external__every_text_is_asked_once_and_some_dozens_at_a_time),
        cmocka_unit_test(test_external__threads_change_nothing_and_the_callback_has_one),
        cmocka_unit_test(test_external__probabilities_are_taken_for_what_they_are),
        cmocka_unit_test(test_external__no_logarithm_of_what_is_no_probability),
        cmocka_unit_test(test_external__a_probability_of_nothing_has_no_logarithm),
        cmocka_unit_test(test_external__numbers_must_be_finite_and_all_there),
        cmocka_unit_test(test_external__an_error_of_the_callback_passes_through),
        cmocka_unit_test(test_external__what_needs_an_inside_is_refused_with_what_works),
        cmocka_unit_test(test_external__the_measure_score_is_not_for_models_of_our_own),
        cmocka_unit_test(test_external__no_memory_is_an_error_like_any_other),
        cmocka_unit_test(test_external__arguments_are_checked),
        cmocka_unit_test(test_external__its_words_are_its_tokens),
        cmocka_unit_test(test_external__a_plan_asks_nobody),
    };
    return cmocka_run_group_tests_name("external", tests, NULL, NULL);
}
