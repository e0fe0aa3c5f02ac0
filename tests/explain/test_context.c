/* Fixed context: what it names, that it stays and gets no score, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/made.h"
#include "explain/result.h"

static made classifier;

static int open_one(void **state)
{
    (void)state;
    model_recipe a = made_recipe("bert", MADE_CLASSIFIER, 1);
    classifier = made_open(&a, NULL);
    return 0;
}

static int close_one(void **state)
{
    (void)state;
    made_close(&classifier);
    return 0;
}

static tkr_question ask(const char *text, const char *context)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.context = context;
    return q;
}

/* Labels of the features, joined by "|". */
static void expect_features(const tkr_question *q, const char *wanted)
{
    tkr_result *r = made_explain(&classifier, q, "gxi");
    char got[512] = "";
    const tkr_axis *axis = tkr_array_axis(tkr_result_array(r, "gxi.scores"), 1);
    for (size_t i = 0; i < tkr_axis_size(axis); i++) {
        strncat(got, i ? "|" : "", sizeof got - strlen(got) - 1);
        strncat(got, tkr_axis_label(axis, i), sizeof got - strlen(got) - 1);
    }
    tkr_result_free(r);
    assert_string_equal(got, wanted);
}

static void test_context__words_that_it_names_are_no_features(void **state)
{
    (void)state;
    tkr_question q = ask("label: the film label: is dull", "text:\"label:\"");
    expect_features(&q, "the|film|is|dull");
    q = ask("label: the film", "text:label:");
    expect_features(&q, "the|film");
    q = ask("one two three", "spans:[[0,3],[5,6]]"); /* any byte of a token */
    expect_features(&q, "three");
    q = ask("one two three", "spans:{\"spans\": [[4,8]]}"); /* the space behind a word is nobody's */
    expect_features(&q, "one|three");
    q = ask("one two.\nthree four", "spans:[[0,3]]");
    q.features = "lines";
    expect_features(&q, "two.|three four");
}

static void test_context__one_text_of_a_pair(void **state)
{
    (void)state;
    tkr_question q = ask("one two", "first");
    q.pair = "three two";
    expect_features(&q, "three|two");
    q.context = "pair";
    expect_features(&q, "one|two");
    q.context = "text:two"; /* in both */
    expect_features(&q, "one|three");
}

/* A feature's occlusion does not depend on whether others are features: fixed context is there in both. */
static void test_context__it_stays_in_every_variant(void **state)
{
    (void)state;
    tkr_question all = ask("one two three four", NULL), some = ask("one two three four", "text:two");
    tkr_result *a = made_explain(&classifier, &all, "occlusion"), *b = made_explain(&classifier, &some, "occlusion,exact-shapley");
    size_t n = 0, m = 0;
    const float *x = made_scores(a, "occlusion.scores", &n), *y = made_scores(b, "occlusion.scores", &m);
    assert_int_equal(n, 4);
    assert_int_equal(m, 3);
    assert_memory_equal(&x[0], &y[0], sizeof *x);
    assert_memory_equal(&x[2], &y[1], 2 * sizeof *x);
    tkr_run_facts run;
    assert_true(tkr_result_run(b, 1, &run));
    assert_true(run.gap < 1e-4); /* from the context alone to the whole input */
    assert_string_equal(b->context, "text:two");
    assert_true(b->tokens[2].is_context);
    assert_int_equal(b->tokens[2].feature, SIZE_MAX);
    assert_string_not_equal(a->id, b->id);
    tkr_result_free(a);
    tkr_result_free(b);
}

static void expect_error(const tkr_question *q, tkr_status status, const char *part)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(classifier.session, q, "gxi", &error);
    if (r || error.code != status || !strstr(error.message, part) || strcmp(error.field, "context") != 0)
        fail_msg("wanted %s \"%s\", got %s [%s] \"%s\"", tkr_status_name(status), part, tkr_status_name(error.code), error.field,
                 error.message);
}

static void test_context__what_cannot_be_fixed_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *context;
        tkr_status status;
        const char *part;
    } bad[] = {{"all", TKR_E_USAGE_VALUE, "no fixed context \"all\""},
               {"", TKR_E_USAGE_VALUE, "no fixed context"},
               {"pair", TKR_E_USAGE_CONFLICT, "there is one"},
               {"first", TKR_E_USAGE_CONFLICT, "there is one"},
               {"text:\"six\"", TKR_E_INPUT_SPAN, "\"six\" is nowhere in the input"},
               {"text:", TKR_E_INPUT_SPAN, "nowhere in the input"},
               {"spans:[[0,99]]", TKR_E_INPUT_SPAN, "leaves the text"},
               {"spans:[[0,3],[2,5]]", TKR_E_INPUT_SPAN, "overlaps span 0"},
               {"spans:[[0,", TKR_E_INPUT_JSON, "spans"},
               {"spans:[[0,7]]", TKR_E_INPUT_EMPTY, "everything is fixed context"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tkr_question q = ask("one two", bad[i].context);
        expect_error(&q, bad[i].status, bad[i].part);
    }
    const int32_t ids[] = {2, 7, 8, 3};
    tkr_question q = ask(NULL, "text:two");
    q.ids = ids;
    q.id_count = 4;
    expect_error(&q, TKR_E_USAGE_CONFLICT, "needs a text");
}

/* Probabilities of all classes, and the prediction's scores by probability, from which the divergences follow. */
static void test_context__entropy_and_divergence_follow_from_the_probabilities(void **state)
{
    enum { CLASSES = 3, WORDS = 4 };
    (void)state;
    tkr_question q = ask("one two three four", NULL);
    q.target = "all";
    q.measure = "prob";
    tkr_result *by_class = made_explain(&classifier, &q, "occlusion");
    size_t count = 0;
    const float *fall = made_scores(by_class, "occlusion.scores", &count);
    double clean[CLASSES], entropy = 0;
    for (size_t c = 0; c < CLASSES; c++) {
        tkr_target_facts t;
        assert_true(tkr_result_target(by_class, c, &t));
        clean[c] = t.value;
        entropy -= clean[c] * log(clean[c]);
    }
    q.target = NULL;
    q.measure = "entropy";
    tkr_result *h = made_explain(&classifier, &q, "occlusion");
    q.measure = "kl";
    tkr_result *d = made_explain(&classifier, &q, "occlusion");
    assert_true(fabs(h->targets[0].value - entropy) < 1e-9);
    assert_true(d->targets[0].value == 0);
    assert_string_equal(tkr_array_unit(tkr_result_array(d, "occlusion.scores")), "nats");
    assert_string_equal(d->checked[0].measure, "kl"); /* the check is of the measure, not of the probability */
    assert_true(d->checked[0].before == 0 && d->checked[0].after > 0);
    for (size_t f = 0; f < WORDS; f++) {
        double left = 0, divergence = 0;
        for (size_t c = 0; c < CLASSES; c++) {
            double p = clean[c] - (double)fall[c * WORDS + f];
            left -= p * log(p);
            divergence += clean[c] * log(clean[c] / p);
        }
        assert_true(fabs((double)made_scores(h, "occlusion.scores", &count)[f] - (entropy - left)) < 1e-6);
        assert_true(fabs((double)made_scores(d, "occlusion.scores", &count)[f] + divergence) < 1e-6);
    }
    tkr_result_free(by_class);
    tkr_result_free(h);
    tkr_result_free(d);
}

static void expect_refused(const char *target, const char *measure, const char *methods, const char *part)
{
    tkr_question q = ask("one two three", NULL);
    tkr_error error = {0};
    q.target = target;
    q.measure = measure;
    if (tkr_explain(classifier.session, &q, methods, &error) || error.code != TKR_E_USAGE_CAPABILITY || !strstr(error.message, part) ||
        strcmp(error.field, "measure") != 0)
        fail_msg("%s with %s: %s [%s] %s", methods, measure, tkr_status_name(error.code), error.field, error.message);
}

static void test_context__measures_of_the_whole_answer_refuse_gradients_and_contrasts(void **state)
{
    (void)state;
    expect_refused(NULL, "entropy", "ig", "ig follows derivatives");
    expect_refused(NULL, "kl", "occlusion,attnlrp", "attnlrp follows derivatives");
    expect_refused("class:0~class:1", "kl", "occlusion", "cannot contrast");
    tkr_question q = ask("one two three", NULL);
    tkr_error error = {0};
    q.measure = "entropy";
    assert_null(tkr_gradient(classifier.session, &q, &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context__words_that_it_names_are_no_features),
        cmocka_unit_test(test_context__one_text_of_a_pair),
        cmocka_unit_test(test_context__it_stays_in_every_variant),
        cmocka_unit_test(test_context__what_cannot_be_fixed_is_said),
        cmocka_unit_test(test_context__entropy_and_divergence_follow_from_the_probabilities),
        cmocka_unit_test(test_context__measures_of_the_whole_answer_refuse_gradients_and_contrasts),
    };
    return cmocka_run_group_tests_name("context", tests, open_one, close_one);
}
