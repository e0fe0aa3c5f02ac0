/*
 * The little language of targets on models of every task: which rows are read, what an answer of several tokens is, contrasts
 * that need two inputs, and what is refused.  The models are the tiny random ones of tests/data.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/tokray.h>

#include "explain/made.h"
#include "explain/result.h"
#include "support/compare.h"

enum { SCORES_MOST = 512 };

static tkr_question ask(const char *text, const char *target)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.target = target;
    return q;
}

static void refuse(made *o, const tkr_question *q, tkr_status status, const char *field, const char *part)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(o->session, q, "gxi", &error);
    if (r || error.code != status || strcmp(error.field, field) != 0 || !strstr(error.message, part))
        fail_msg("target %s: wanted %s [%s] \"%s\", got %s [%s] \"%s\"", q->target, tkr_status_name(status), field, part,
                 tkr_status_name(error.code), error.field, error.message);
}

static tkr_target_facts target_of(const tkr_result *r, size_t index)
{
    tkr_target_facts facts;
    assert_true(tkr_result_target(r, index, &facts));
    return facts;
}

static size_t scores_of(const tkr_result *r, const char *array, size_t target, double *out)
{
    const tkr_array *a = tkr_result_array(r, array);
    assert_non_null(a);
    size_t count = tkr_array_extent(a, 1);
    assert_true(count <= SCORES_MOST);
    for (size_t f = 0; f < count; f++)
        out[f] = (double)tkr_array_f32(a)[target * count + f];
    return count;
}

/* ---- decoders ---------------------------------------------------------------------------------------------------- */

static void test_targets__next_is_the_prediction_of_the_last_token(void **state)
{
    (void)state;
    made o = made_open_case("gpt2-lm");
    tkr_question q = ask("the boat was on", "next");
    tkr_result *next = made_explain(&o, &q, "gxi,occlusion");
    q.target = "predicted";
    tkr_result *predicted = made_explain(&o, &q, "gxi,occlusion");
    tkr_target_facts a = target_of(next, 0), b = target_of(predicted, 0);
    assert_int_equal(a.index, b.index);
    assert_string_equal(a.kind, "token");
    assert_int_equal(a.position, next->token_count);
    tkr_prediction first;
    assert_true(tkr_result_prediction(next, 0, &first));
    assert_int_equal(first.index, a.index);
    tkr_result_free(next);
    tkr_result_free(predicted);
    made_close(&o);
}

/* pos:N asks how the text's own token N came: the prompt before it, with that token as its next. */
static void test_targets__a_position_is_seen_from_what_precedes_it(void **state)
{
    (void)state;
    made o = made_open_case("gpt2-lm");
    tkr_question q = ask("the boat was on", "pos:4");
    q.features = "tokens";
    tkr_result *here = made_explain(&o, &q, "gxi");
    int32_t ids[64], token = here->tokens[4].token.id;
    for (size_t i = 0; i < 4; i++)
        ids[i] = here->tokens[i].token.id;
    assert_int_equal(target_of(here, 0).index, token);
    assert_int_equal(target_of(here, 0).position, 4);
    char spec[32];
    snprintf(spec, sizeof spec, "id:%d", (int)token);
    tkr_question cut = tkr_question_defaults();
    cut.ids = ids;
    cut.id_count = 4;
    cut.features = "tokens";
    cut.target = spec;
    tkr_result *alone = made_explain(&o, &cut, "gxi");
    double a[SCORES_MOST], b[SCORES_MOST];
    size_t count = scores_of(here, "gxi.scores", 0, a);
    assert_int_equal(scores_of(alone, "gxi.scores", 0, b), 4);
    assert_close_tensor("the same question", TENSOR(a, 4), TENSOR(b, 4), TOLERANCE_all_at_once);
    for (size_t f = 4; f < count; f++)
        assert_true(isnan(a[f])); /* what comes later has no score */
    tkr_result_free(here);
    tkr_result_free(alone);
    q.target = "pos:0";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "nothing comes before the first");
    q.target = "pos:99";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "position 99");
    made_close(&o);
}

/* A word of several tokens: log-probabilities after each other; contrasts of unlike words are the difference of both. */
static void test_targets__answers_of_several_tokens_add_up(void **state)
{
    (void)state;
    made o = made_open_case("gpt2-lm");
    tkr_question q = ask("the boat was", "token:\" on the\"");
    q.features = "tokens";
    tkr_result *both = made_explain(&o, &q, "gxi,ig,occlusion");
    tkr_target_facts facts = target_of(both, 0);
    assert_string_equal(facts.kind, "token");
    assert_string_equal(facts.label, " on the");
    assert_string_equal(facts.measure, "logprob");
    assert_true(fabs(exp(facts.value) - facts.probability) < 1e-6);
    q.target = "token:\" a\"";
    q.measure = "logprob";
    tkr_result *one = made_explain(&o, &q, "gxi,ig,occlusion");
    q.target = "token:\" on the\"~token:\" a\"";
    q.measure = NULL;
    tkr_result *contrast = made_explain(&o, &q, "gxi,ig,occlusion");
    static const char *const arrays[] = {"gxi.scores", "ig.scores", "occlusion.scores"};
    for (size_t k = 0; k < 3; k++) {
        double a[SCORES_MOST], b[SCORES_MOST], c[SCORES_MOST];
        size_t count = scores_of(both, arrays[k], 0, a), defined = 0;
        assert_int_equal(scores_of(one, arrays[k], 0, b), count);
        assert_int_equal(scores_of(contrast, arrays[k], 0, c), count);
        for (size_t f = 0; f < count; f++) {
            if (isnan(c[f]))
                continue;
            a[defined] = a[f] - b[f];
            c[defined++] = c[f];
        }
        assert_true(defined > 1);
        assert_close_tensor(arrays[k], TENSOR(c, defined), TENSOR(a, defined), TOLERANCE_all_at_once);
    }
    double value = target_of(both, 0).value - target_of(one, 0).value, got = target_of(contrast, 0).value;
    assert_true(fabs(value - got) < 1e-5);
    assert_string_equal(target_of(contrast, 0).foil, " a");
    tkr_result_free(both);
    tkr_result_free(one);
    tkr_result_free(contrast);
    q.target = "token:\" on the\"";
    q.measure = "prob";
    refuse(&o, &q, TKR_E_USAGE_CAPABILITY, "measure", "does not add up over");
    made_close(&o);
}

static void test_targets__steps_and_outputs_are_checked(void **state)
{
    (void)state;
    made o = made_open_case("gpt2-lm"), t5 = made_open_case("t5-v11"), classifier = made_open_case("bert-cls");
    tkr_question q = ask("the boat was", "gen:9");
    q.output_text = " on";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "step 9");
    q.target = "all";
    q.output_text = "";
    q.output_text_bytes = 0;
    refuse(&o, &q, TKR_E_INPUT_EMPTY, "output_text", "no token");
    const int32_t wrong[] = {5, 99999};
    q = ask("the boat was", "all");
    q.output_ids = wrong;
    q.output_id_count = 2;
    refuse(&t5, &q, TKR_E_INPUT_TOKEN_ID, "output_ids", "output token 1");
    q.target = "next";
    refuse(&t5, &q, TKR_E_TARGET_TASK, "target", "sequence-to-sequence");
    q = ask("the boat was", "all");
    q.per_target = "both";
    refuse(&o, &q, TKR_E_USAGE_VALUE, "per_target", "sum or each");
    q = ask("the boat was", "all");
    q.max_new = 5000;
    refuse(&o, &q, TKR_E_USAGE_RANGE, "max_new", "at most");
    q = ask("the boat was", "predicted");
    q.output_text = "x";
    refuse(&classifier, &q, TKR_E_USAGE_CAPABILITY, "output_text", "puts out no text");
    q = ask("the boat was", "predicted");
    q.per_target = "sum";
    refuse(&classifier, &q, TKR_E_USAGE_CAPABILITY, "per_target", "puts out no text");
    made_close(&o);
    made_close(&t5);
    made_close(&classifier);
}

/* Whether earlier outputs are features or fixed context. */
static void test_targets__earlier_outputs_are_features_unless_fixed(void **state)
{
    (void)state;
    made o = made_open_case("t5-v11");
    tkr_question q = ask("the boat was", "gen:2");
    tkr_result *with = made_explain(&o, &q, "gxi,occlusion");
    q.prompt_only = true;
    tkr_result *without = made_explain(&o, &q, "gxi,occlusion");
    double a[SCORES_MOST], b[SCORES_MOST];
    size_t more = scores_of(with, "gxi.scores", 0, a), fewer = scores_of(without, "gxi.scores", 0, b);
    assert_true(more > fewer);
    assert_close_tensor("prompt", TENSOR(a, fewer), TENSOR(b, fewer), TOLERANCE_exact);
    scores_of(with, "occlusion.scores", 0, a);
    scores_of(without, "occlusion.scores", 0, b);
    assert_close_tensor("prompt", TENSOR(a, fewer), TENSOR(b, fewer), TOLERANCE_exact);
    assert_int_equal(with->features[more - 1].text, 2);
    tkr_result_free(with);
    tkr_result_free(without);
    made_close(&o);
}

/* ---- encoders ---------------------------------------------------------------------------------------------------- */

/* A masked word of two tokens needs two masks, predicted at once. */
static void test_targets__a_long_word_gets_a_mask_a_token(void **state)
{
    (void)state;
    made o = made_open_case("bert-mlm");
    tkr_question q = ask("a [MASK] music", "token:\"unhappy\"");
    q.features = "tokens";
    tkr_result *r = made_explain(&o, &q, "gxi,occlusion");
    size_t masks = 0;
    for (size_t i = 0; i < r->token_count; i++)
        masks += r->tokens[i].token.special == TKR_SPECIAL_MASK;
    tkr_target_facts facts = target_of(r, 0);
    assert_true(masks > 1);
    assert_string_equal(facts.label, "unhappy");
    assert_string_equal(facts.measure, "logprob");
    assert_true(fabs(exp(facts.value) - facts.probability) < 1e-6);
    assert_int_equal(r->target_count, 1);
    tkr_result_free(r);
    q.text = "a [MASK] [MASK]";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "several masks");
    q.target = "token:\"unhappy\"@2";
    r = made_explain(&o, &q, "gxi");
    assert_int_equal(r->target_count, 1);
    tkr_result_free(r);
    made_close(&o);
}

/* Words that need unlike numbers of masks are contrasted on inputs of their own. */
static void test_targets__masked_words_of_unlike_length(void **state)
{
    (void)state;
    made o = made_open_case("bert-mlm");
    tkr_question q = ask("a [MASK] music", "token:\"unhappy\"");
    q.measure = "logprob";
    tkr_result *longer = made_explain(&o, &q, "gxi,occlusion");
    q.target = "token:\"bad\"";
    tkr_result *shorter = made_explain(&o, &q, "gxi,occlusion");
    q.target = "token:\"unhappy\"~token:\"bad\"";
    q.measure = NULL;
    tkr_result *contrast = made_explain(&o, &q, "gxi,occlusion");
    static const char *const arrays[] = {"gxi.scores", "occlusion.scores"};
    for (size_t k = 0; k < 2; k++) {
        double a[SCORES_MOST], b[SCORES_MOST], c[SCORES_MOST];
        size_t count = scores_of(longer, arrays[k], 0, a);
        assert_int_equal(scores_of(shorter, arrays[k], 0, b), count);
        assert_int_equal(scores_of(contrast, arrays[k], 0, c), count);
        for (size_t f = 0; f < count; f++)
            a[f] -= b[f];
        assert_close_tensor(arrays[k], TENSOR(c, count), TENSOR(a, count), TOLERANCE_all_at_once);
    }
    assert_true(longer->token_count > shorter->token_count);
    assert_true(fabs(target_of(longer, 0).value - target_of(shorter, 0).value - target_of(contrast, 0).value) < 1e-5);
    tkr_result_free(longer);
    tkr_result_free(shorter);
    tkr_result_free(contrast);
    made_close(&o);
}

static void test_targets__a_label_at_a_token(void **state)
{
    (void)state;
    made o = made_open_case("bert-token");
    tkr_question q = ask("a bad music", "pos:2");
    tkr_result *r = made_explain(&o, &q, "gxi,occlusion");
    tkr_target_facts facts = target_of(r, 0);
    assert_int_equal(facts.position, 2);
    assert_string_equal(facts.kind, "label");
    char spec[128];
    snprintf(spec, sizeof spec, "label:%s@2", facts.label);
    q.target = spec;
    tkr_result *named = made_explain(&o, &q, "gxi");
    assert_int_equal(target_of(named, 0).index, facts.index);
    assert_true(fabs(target_of(named, 0).value - facts.value) < 1e-12);
    q.target = "all";
    tkr_result *all = made_explain(&o, &q, "gxi");
    assert_int_equal(all->target_count, 3);
    q.target = "label:NOPE@2";
    refuse(&o, &q, TKR_E_TARGET_UNKNOWN_LABEL, "target", "no label");
    q.target = "pos:77";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "position 77");
    q.target = "pos:2";
    q.removal = "delete";
    tkr_error error = {0};
    assert_null(tkr_explain(o.session, &q, "occlusion", &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    tkr_result_free(r);
    tkr_result_free(named);
    tkr_result_free(all);
    made_close(&o);
}

static void test_targets__a_span_is_its_start_and_its_end(void **state)
{
    (void)state;
    made o = made_open_case("bert-qa");
    tkr_question q = ask("who sang?", "predicted");
    q.pair = "unhappy Anna";
    tkr_result *span = made_explain(&o, &q, "gxi,occlusion");
    q.target = "start";
    tkr_result *start = made_explain(&o, &q, "gxi,occlusion");
    tkr_target_facts facts = target_of(start, 0);
    assert_string_equal(target_of(span, 0).kind, "span");
    assert_non_null(strstr(q.pair, target_of(span, 0).label)); /* the user's own bytes */
    assert_string_equal(facts.kind, "start");
    assert_int_equal(start->tokens[facts.position].token.text, 1); /* in the second text, where answers are */
    q.target = "all";
    tkr_result *both = made_explain(&o, &q, "gxi");
    assert_int_equal(both->target_count, 2);
    assert_string_equal(target_of(both, 1).kind, "end");
    q.target = "start@3~start@5";
    tkr_result *contrast = made_explain(&o, &q, "gxi");
    assert_true(target_of(contrast, 0).foil != NULL);
    q.target = "start@3~end@5";
    refuse(&o, &q, TKR_E_TARGET_SYNTAX, "target", "two starts or two ends");
    q.target = "start@999";
    refuse(&o, &q, TKR_E_TARGET_RANGE, "target", "position 999");
    q.target = "end@x";
    refuse(&o, &q, TKR_E_TARGET_SYNTAX, "target", "whole number");
    tkr_result_free(span);
    tkr_result_free(start);
    tkr_result_free(both);
    tkr_result_free(contrast);
    made_close(&o);
}

/* ---- the zero baseline, refinement ------------------------------------------------------------------------------- */

static void test_targets__a_baseline_that_does_not_converge_is_refused(void **state)
{
    (void)state;
    made t5 = made_open_case("t5-v11"), llama = made_open_case("llama-lm"), gpt2 = made_open_case("gpt2-lm");
    made *all[] = {&t5, &llama, &gpt2};
    for (size_t i = 0; i < 3; i++) {
        tkr_question q = ask("the boat was", "predicted");
        q.max_new = 2;
        tkr_error error = {0};
        tkr_result *r = tkr_explain(all[i]->session, &q, "ig:baseline=zero", &error);
        assert_int_equal(r == NULL, i < 2);
        assert_int_equal(error.code, i < 2 ? TKR_E_USAGE_BASELINE : TKR_OK);
        tkr_result_free(r);
        tkr_result_free(made_explain(all[i], &q, "ig:baseline=zero,force=1"));
    }
    made_close(&t5);
    made_close(&llama);
    made_close(&gpt2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets__next_is_the_prediction_of_the_last_token),
        cmocka_unit_test(test_targets__a_position_is_seen_from_what_precedes_it),
        cmocka_unit_test(test_targets__answers_of_several_tokens_add_up),
        cmocka_unit_test(test_targets__steps_and_outputs_are_checked),
        cmocka_unit_test(test_targets__earlier_outputs_are_features_unless_fixed),
        cmocka_unit_test(test_targets__a_long_word_gets_a_mask_a_token),
        cmocka_unit_test(test_targets__masked_words_of_unlike_length),
        cmocka_unit_test(test_targets__a_label_at_a_token),
        cmocka_unit_test(test_targets__a_span_is_its_start_and_its_end),
        cmocka_unit_test(test_targets__a_baseline_that_does_not_converge_is_refused),
    };
    return cmocka_run_group_tests_name("targets", tests, NULL, NULL);
}
