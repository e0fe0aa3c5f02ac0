/* Features, targets and what is refused: on a tiny classifier and a tiny masked LM. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/made.h"

static made classifier, masked;

static int open_both(void **state)
{
    (void)state;
    model_recipe a = made_recipe("bert", MADE_CLASSIFIER, 1), b = made_recipe("distilbert", MADE_MASKED_LM, 2);
    classifier = made_open(&a, NULL);
    masked = made_open(&b, NULL);
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    made_close(&classifier);
    made_close(&masked);
    return 0;
}

static tkr_question ask(const char *text)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    return q;
}

static void expect_error(made *m, const tkr_question *q, tkr_status status, const char *field, const char *part)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(m->session, q, "gxi", &error);
    if (r || error.code != status || !strstr(error.message, part) || (field && strcmp(error.field, field) != 0))
        fail_msg("wanted %s [%s] \"%s\", got %s [%s] \"%s\"", tkr_status_name(status), field ? field : "", part,
                 tkr_status_name(error.code), error.field, error.message);
}

/* Labels of the features, joined by "|". */
static void expect_features(const char *text, const char *kind, const char *wanted)
{
    tkr_question q = ask(text);
    q.features = kind;
    tkr_result *r = made_explain(&classifier, &q, "gxi");
    char got[512] = "";
    const tkr_axis *axis = tkr_array_axis(tkr_result_array(r, "gxi.scores"), 1);
    for (size_t i = 0; i < tkr_axis_size(axis); i++) {
        strncat(got, i ? "|" : "", sizeof got - strlen(got) - 1);
        strncat(got, tkr_axis_label(axis, i), sizeof got - strlen(got) - 1);
    }
    tkr_result_free(r);
    assert_string_equal(got, wanted);
}

static void test_question__words_are_the_users_own_bytes(void **state)
{
    (void)state;
    expect_features("Hello,  WORLD! don't", "words", "Hello|,|WORLD|!|don|'|t");
    expect_features("caf\xC3\xA9 [SEP] x", "words", "caf\xC3\xA9|x");
}

static void test_question__sentences_end_before_white_space(void **state)
{
    (void)state;
    expect_features("One two. Three (four!) five? \"Six.\" 3.5", "sentences", "One two.|Three (four!)|five?|\"Six.\"|3.5");
}

static void test_question__lines_end_at_line_breaks(void **state)
{
    (void)state;
    expect_features("one two\nthree\n\nfour", "lines", "one two|three|four");
}

static void test_question__spans_take_the_tokens_they_touch(void **state)
{
    (void)state;
    expect_features("alpha beta gamma", "spans:[[0,10],[11,16]]", "alpha beta|gamma");
    expect_features("alpha beta gamma", "spans:{\"spans\": [[6,7]]}", "beta");
}

static void test_question__bad_spans_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *spans, *part;
    } bad[] = {{"spans:[[5,9],[3,6]]", "span 1 [3, 6) overlaps span 0 [5, 9)"},
               {"spans:[[0,99]]", "span 0 [0, 99) leaves the text"},
               {"spans:[[3,3]]", "span 0 [3, 3) is empty"},
               {"spans:[[0,1]]", "splits a character at byte 1"},
               {"spans:[[0]]", "span 0 is not a pair"},
               {"spans:[]", "1 to 2048 pairs"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tkr_question q = ask("\xC3\xA9t\xC3\xA9 is summer");
        q.features = bad[i].spans;
        expect_error(&classifier, &q, TKR_E_INPUT_SPAN, NULL, bad[i].part);
    }
    tkr_question q = ask("a b");
    q.features = "spans:[[0,";
    expect_error(&classifier, &q, TKR_E_INPUT_JSON, NULL, "spans");
}

static void test_question__unknown_words_are_refused_with_their_place(void **state)
{
    (void)state;
    tkr_question q = ask("a b");
    q.features = "phrases";
    expect_error(&classifier, &q, TKR_E_USAGE_VALUE, "features", "no features \"phrases\"");
    q = ask("a b");
    q.removal = "shred";
    expect_error(&classifier, &q, TKR_E_USAGE_VALUE, "removal", "no removal \"shred\"");
    q = ask("a b");
    q.measure = "loss";
    expect_error(&classifier, &q, TKR_E_USAGE_VALUE, "measure", "no measure \"loss\"");
    q = ask("a b");
    q.at = "layer.1.outside";
    expect_error(&classifier, &q, TKR_E_USAGE_VALUE, "at", "no site");
}

static void expect_target(made *m, const char *text, const char *spec, const char *label, int64_t index)
{
    tkr_question q = ask(text);
    q.target = spec;
    tkr_result *r = made_explain(m, &q, "gxi");
    tkr_target_facts t;
    assert_true(tkr_result_target(r, 0, &t));
    assert_string_equal(t.label, label);
    assert_int_equal(t.index, index);
    tkr_result_free(r);
}

static void test_question__labels_match_exactly_or_ignoring_case(void **state)
{
    (void)state;
    expect_target(&classifier, "a b", "label:class 1", "class 1", 1);
    expect_target(&classifier, "a b", "label:CLASS 2", "class 2", 2);
    expect_target(&classifier, "a b", "class:0", "class 0", 0);
}

static void test_question__wrong_targets_are_pointed_at(void **state)
{
    (void)state;
    static const struct {
        const char *target;
        tkr_status status;
        int offset, length;
        const char *part;
    } bad[] = {{"label:LABEL_9", TKR_E_TARGET_UNKNOWN_LABEL, 6, 7, "no label \"LABEL_9\""},
               {"class:3", TKR_E_TARGET_RANGE, 6, 1, "class 3; the model has 0 to 2"},
               {"class:x", TKR_E_TARGET_SYNTAX, 6, 1, "not a whole number"},
               {"class:0~class:0", TKR_E_TARGET_SAME, 0, 15, "both sides"},
               {"class:0~label:q", TKR_E_TARGET_UNKNOWN_LABEL, 14, 1, "no label \"q\""},
               {"mask", TKR_E_TARGET_TASK, 0, 4, "does not suit"},
               {"positive", TKR_E_TARGET_SYNTAX, 0, 8, "none of predicted"},
               {"", TKR_E_TARGET_SYNTAX, 0, 0, "none of predicted"},
               {"all~class:1", TKR_E_TARGET_SYNTAX, 0, 3, "cannot be a side"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        tkr_question q = ask("a b");
        q.target = bad[i].target;
        tkr_error error = {0};
        assert_null(tkr_explain(classifier.session, &q, "gxi", &error));
        if (error.code != bad[i].status || error.offset != bad[i].offset || error.length != bad[i].length ||
            !strstr(error.message, bad[i].part) || strcmp(error.field, "target") != 0)
            fail_msg("%s: %s at %d + %d: %s", bad[i].target, tkr_status_name(error.code), (int)error.offset, (int)error.length,
                     error.message);
    }
}

static void test_question__each_mask_is_a_target_and_no_feature(void **state)
{
    (void)state;
    tkr_question q = ask("[MASK] and [MASK]");
    tkr_result *r = made_explain(&masked, &q, "all");
    tkr_target_facts t;
    assert_true(tkr_result_target(r, 1, &t));
    assert_int_equal(t.position > 1, 1);
    assert_false(tkr_result_target(r, 2, &t));
    const tkr_array *scores = tkr_result_array(r, "ig.scores");
    assert_int_equal(tkr_array_extent(scores, 0), 2);
    assert_string_equal(tkr_axis_label(tkr_array_axis(scores, 1), 0), "and");
    tkr_result_free(r);
    q.target = "token:\"[UNK]\"@1";
    r = made_explain(&masked, &q, "gxi");
    assert_int_equal(tkr_array_extent(tkr_result_array(r, "gxi.scores"), 0), 1);
    tkr_result_free(r);
    q.target = "token:\"[UNK]\"@2";
    expect_error(&masked, &q, TKR_E_TARGET_RANGE, "target", "is not a mask");
    q = ask("no gap here");
    expect_error(&masked, &q, TKR_E_INPUT_MASK, NULL, "the text has no [MASK]");
    q = ask("[MASK] alone");
    q.target = "token:\"\xE2\x98\x83\"";
    expect_error(&masked, &q, TKR_E_TARGET_UNKNOWN_TOKEN, "target", "not in this model's vocabulary");
}

static void test_question__every_class_at_once(void **state)
{
    (void)state;
    tkr_question q = ask("one two three");
    q.target = "all";
    tkr_result *all = made_explain(&classifier, &q, "all");
    static const char *const arrays[] = {"ig.scores", "gxi.scores", "occlusion.scores"};
    for (size_t c = 0; c < 3; c++) {
        char spec[16] = "class:0";
        spec[6] = (char)('0' + c);
        q.target = spec;
        tkr_result *one = made_explain(&classifier, &q, "all");
        for (size_t k = 0; k < 3; k++) {
            const tkr_array *both = tkr_result_array(all, arrays[k]);
            size_t n = tkr_array_extent(both, 1);
            assert_int_equal(tkr_array_extent(both, 0), 3);
            assert_memory_equal(tkr_array_f32(both) + c * n, tkr_array_f32(tkr_result_array(one, arrays[k])), n * sizeof(float));
        }
        tkr_result_free(one);
    }
    tkr_result_free(all);
}

static void test_question__ids_answer_like_the_text_they_stand_for(void **state)
{
    (void)state;
    const char *text = "hello world";
    tkr_error error = {0};
    tkr_encoding *e = tkr_tokenize(classifier.model, text, strlen(text), NULL, 0, TKR_TRUNCATE_NEVER, 0, &error);
    assert_non_null(e);
    int32_t ids[32];
    size_t n = tkr_encoding_count(e);
    for (size_t i = 0; i < n; i++)
        ids[i] = tkr_encoding_tokens(e)[i].id;
    tkr_encoding_free(e);
    tkr_question by_text = ask(text), by_ids = tkr_question_defaults();
    by_ids.ids = ids;
    by_ids.id_count = n;
    by_text.features = by_ids.features = "tokens";
    tkr_result *a = made_explain(&classifier, &by_text, "all"), *b = made_explain(&classifier, &by_ids, "all");
    for (size_t i = 0; i < 3; i++) {
        const tkr_array *x = tkr_result_array_at(a, i), *y = tkr_result_array_at(b, i);
        assert_int_equal(tkr_array_size(x), tkr_array_size(y));
        assert_memory_equal(tkr_array_f32(x), tkr_array_f32(y), tkr_array_size(x) * sizeof(float));
    }
    tkr_result_free(a);
    tkr_result_free(b);
    ids[1] = 1 << 20;
    expect_error(&classifier, &by_ids, TKR_E_INPUT_TOKEN_ID, NULL, "token 1 has id 1048576");
    by_ids.text = text;
    expect_error(&classifier, &by_ids, TKR_E_USAGE_CONFLICT, NULL, "exclude each other");
}

static void test_question__empty_and_long_texts_are_refused(void **state)
{
    (void)state;
    static const char *const empty[] = {"", "   ", "[SEP]", "[MASK]"};
    for (size_t i = 0; i < 4; i++) {
        tkr_question q = ask(empty[i]);
        expect_error(&classifier, &q, TKR_E_INPUT_EMPTY, NULL, "no token to explain");
    }
    tkr_question none = tkr_question_defaults();
    expect_error(&classifier, &none, TKR_E_USAGE_TEXT, NULL, "no text given");
    char *text = calloc(1, 4001);
    memset(text, '.', 4000);
    tkr_question q = ask(text);
    expect_error(&classifier, &q, TKR_E_INPUT_TOO_LONG, NULL, "tokens, the model takes");
    q.truncate = TKR_TRUNCATE_END;
    tkr_result_free(made_explain(&classifier, &q, "gxi"));
    free(text);
    q = ask("a \xC0 b");
    expect_error(&classifier, &q, TKR_E_INPUT_UTF8, NULL, "byte 2 (0xC0) is not UTF-8");
}

static void test_question__one_token_works_with_every_method(void **state)
{
    (void)state;
    tkr_question q = ask("a");
    tkr_result *r = made_explain(&classifier, &q, "all");
    assert_int_equal(tkr_array_size(tkr_result_array(r, "ig.scores")), 1);
    tkr_result_free(r);
}

static void test_question__every_removal_runs(void **state)
{
    (void)state;
    static const char *const removals[] = {"auto", "mask", "attn", "pad", "unk", "zero", "delete", "mean"};
    for (size_t i = 0; i < 8; i++) {
        tkr_question q = ask("one two three");
        q.removal = removals[i];
        tkr_result *r = made_explain(&classifier, &q, "occlusion");
        tkr_checked checked;
        assert_true(tkr_result_checked(r, 0, &checked));
        assert_string_equal(checked.removal, i ? removals[i] : "mask");
        assert_true(isfinite(checked.before) && isfinite(checked.after));
        tkr_result_free(r);
    }
}

static void test_question__captures_have_axes(void **state)
{
    (void)state;
    tkr_question q = ask("one two");
    tkr_error error = {0};
    tkr_result *r = tkr_capture(classifier.session, &q, "layer.*.attention.probs,embeddings,logits", &error);
    assert_non_null(r);
    const tkr_array *probs = tkr_result_array(r, "layer.2.attention.probs");
    size_t n = tkr_array_extent(probs, 1);
    assert_int_equal(tkr_array_rank(probs), 3);
    for (size_t row = 0; row < tkr_array_extent(probs, 0) * n; row++) { /* INV-A1 */
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)tkr_array_f32(probs)[row * n + k];
        assert_true(fabs(sum - 1) < 1e-5);
    }
    assert_int_equal(tkr_array_extent(tkr_result_array(r, "embeddings"), 0), n);
    assert_int_equal(tkr_array_size(tkr_result_array(r, "logits")), 3);
    tkr_result_free(r);
    assert_null(tkr_capture(classifier.session, &q, "layer.9.output", &error));
    assert_int_equal(error.code, TKR_E_USAGE_VALUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question__words_are_the_users_own_bytes),
        cmocka_unit_test(test_question__sentences_end_before_white_space),
        cmocka_unit_test(test_question__lines_end_at_line_breaks),
        cmocka_unit_test(test_question__spans_take_the_tokens_they_touch),
        cmocka_unit_test(test_question__bad_spans_are_named),
        cmocka_unit_test(test_question__unknown_words_are_refused_with_their_place),
        cmocka_unit_test(test_question__labels_match_exactly_or_ignoring_case),
        cmocka_unit_test(test_question__wrong_targets_are_pointed_at),
        cmocka_unit_test(test_question__each_mask_is_a_target_and_no_feature),
        cmocka_unit_test(test_question__every_class_at_once),
        cmocka_unit_test(test_question__ids_answer_like_the_text_they_stand_for),
        cmocka_unit_test(test_question__empty_and_long_texts_are_refused),
        cmocka_unit_test(test_question__one_token_works_with_every_method),
        cmocka_unit_test(test_question__every_removal_runs),
        cmocka_unit_test(test_question__captures_have_axes),
    };
    return cmocka_run_group_tests_name("question", tests, open_both, close_both);
}
