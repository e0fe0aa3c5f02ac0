/*
 * Scores inside the layers: question.at names a site, or several with "*".  One way back serves all places of a local method;
 * integrated gradients go from the baseline's activations to the input's at each place.
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

static tkr_question ask(const char *text, const char *at)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.at = at;
    q.features = "tokens";
    return q;
}

static const struct {
    const char *model, *text, *layers, *first;
} kinds[] = {
    {"bert-cls", "a bad music", "layer.*.output", "layer.0.output"},
    {"roberta-mlm", "a <mask> music", "layer.*.output", "layer.0.output"},
    {"gpt2-lm", "the boat was on", "layer.*.output", "layer.0.output"},
    {"llama-lm", "the boat was on", "layer.*.attention_output", "layer.0.attention_output"},
    {"t5-v11", "the boat was on", "encoder.layer.*.output", "encoder.layer.0.output"},
    {"t5-v11", "the boat was on", "decoder.layer.*.output", "decoder.layer.0.output"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static tkr_question ask_kind(size_t k, const char *at)
{
    tkr_question q = ask(kinds[k].text, at);
    if (strncmp(kinds[k].model, "t5", 2) == 0) {
        q.target = "gen:2";
        q.max_new = 4;
    }
    return q;
}

/* A pattern of all layers holds what each layer by itself says. */
static void test_sites__a_pattern_is_every_layer_by_itself(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        made o = made_open_case(kinds[k].model);
        tkr_question q = ask_kind(k, kinds[k].layers);
        tkr_result *all = made_explain(&o, &q, "gxi,ig:steps=4");
        static const char *const ids[] = {"gxi", "ig"};
        for (size_t m = 0; m < 2; m++) {
            char name[32];
            snprintf(name, sizeof name, "%s.layers", ids[m]);
            const tkr_array *a = tkr_result_array(all, name);
            assert_non_null(a);
            assert_int_equal(tkr_array_rank(a), 3);
            size_t layers = tkr_array_extent(a, 1), tokens = tkr_array_extent(a, 2);
            assert_true(layers >= 2);
            for (size_t l = 0; l < layers; l++) {
                const char *site = tkr_axis_label(tkr_array_axis(a, 1), l);
                tkr_question one = ask_kind(k, site);
                tkr_result *here = made_explain(&o, &one, m ? "ig:steps=4" : "gxi");
                snprintf(name, sizeof name, "%s.scores", ids[m]);
                const tkr_array *b = tkr_result_array(here, name);
                double got[SCORES_MOST], want[SCORES_MOST];
                size_t count = 0;
                for (size_t i = 0; i < tokens; i++) {
                    size_t f = all->tokens[i].feature;
                    if (f == SIZE_MAX)
                        continue; /* template tokens have no score of their own elsewhere */
                    got[count] = (double)tkr_array_f32(a)[l * tokens + i];
                    want[count] = (double)tkr_array_f32(b)[f];
                    assert_int_equal(isnan(got[count]), isnan(want[count]));
                    if (!isnan(got[count]))
                        count++;
                }
                assert_close_tensor(site, TENSOR(got, count), TENSOR(want, count), TOLERANCE_all_at_once);
                tkr_result_free(here);
            }
        }
        tkr_result_free(all);
        made_close(&o);
    }
}

/* Along a site's activations the scores add up to f(input) - f(baseline's activations put in). */
static void test_sites__paths_inside_are_complete(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        made o = made_open_case(kinds[k].model);
        tkr_question q = ask_kind(k, kinds[k].first);
        tkr_result *r = made_explain(&o, &q, "ig:steps=128");
        tkr_run_facts facts;
        assert_true(tkr_result_run(r, 0, &facts));
        double change = fabs(facts.full - facts.base);
        if (fabs(facts.sum - (facts.full - facts.base)) > 0.02 * fmax(change, 1e-2))
            fail_msg("%s at %s: sum %g, wanted %g", kinds[k].model, q.at, facts.sum, facts.full - facts.base);
        tkr_result_free(r);
        made_close(&o);
    }
}

/* Where all of an encoder's input passes, the baseline put in there is the baseline. */
static void test_sites__the_residual_stream_carries_everything(void **state)
{
    (void)state;
    made o = made_open_case("bert-cls");
    tkr_question word = ask("a bad music", "word"), deep = ask("a bad music", "layer.1.output");
    tkr_result *a = made_explain(&o, &word, "ig"), *b = made_explain(&o, &deep, "ig");
    tkr_run_facts at_word, inside;
    tkr_result_run(a, 0, &at_word);
    tkr_result_run(b, 0, &inside);
    assert_close_tensor("f(baseline)", TENSOR(&inside.base, 1), TENSOR(&at_word.base, 1), TOLERANCE_all_at_once);
    assert_close_tensor("f(input)", TENSOR(&inside.full, 1), TENSOR(&at_word.full, 1), TOLERANCE_exact);
    tkr_result_free(a);
    tkr_result_free(b);
    made_close(&o);
}

/* Groups of columns share out a place: heads beside each other are all heads. */
static void test_sites__groups_of_columns_add_up(void **state)
{
    (void)state;
    made o = made_open_case("bert-cls");
    tkr_question q = ask("a bad music", "layer.1.head_output");
    tkr_result *whole = made_explain(&o, &q, "gxi");
    const tkr_array *a = tkr_result_array(whole, "gxi.scores");
    tkr_model_facts facts;
    tkr_model_describe(o.model, &facts);
    size_t width = facts.hidden / facts.heads, count = tkr_array_extent(a, 1);
    double sum[SCORES_MOST] = {0}, want[SCORES_MOST];
    for (size_t h = 0; h < facts.heads; h++) {
        char at[64];
        snprintf(at, sizeof at, "layer.1.head_output[%zu:%zu]", h * width, (h + 1) * width);
        tkr_question one = ask("a bad music", at);
        tkr_result *r = made_explain(&o, &one, "gxi,ig:steps=64");
        for (size_t f = 0; f < count; f++)
            sum[f] += (double)tkr_array_f32(tkr_result_array(r, "gxi.scores"))[f];
        tkr_run_facts run; /* the path of one head alone is complete too */
        assert_true(tkr_result_run(r, 1, &run));
        assert_true(fabs(run.sum - (run.full - run.base)) < 1e-3 * fmax(fabs(run.full - run.base), 1e-1));
        tkr_result_free(r);
    }
    for (size_t f = 0; f < count; f++)
        want[f] = (double)tkr_array_f32(a)[f];
    assert_close_tensor("heads", TENSOR(sum, count), TENSOR(want, count), TOLERANCE_linearity);
    tkr_result_free(whole);
    made_close(&o);
}

static void test_sites__wrong_sites_and_methods_are_refused(void **state)
{
    (void)state;
    made o = made_open_case("bert-cls");
    static const struct {
        const char *at, *method, *part;
        tkr_status status;
    } wrong[] = {{"layer.9.output", "gxi", "no site fits", TKR_E_USAGE_VALUE},
                 {"layer.*.attention.probs", "gxi", "no site fits", TKR_E_USAGE_VALUE},
                 {"nowhere", "ig", "no site fits", TKR_E_USAGE_VALUE},
                 {"layer.0.output[3:2]", "gxi", "whole numbers", TKR_E_USAGE_VALUE},
                 {"layer.0.output[3", "gxi", "whole numbers", TKR_E_USAGE_VALUE},
                 {"layer.0.output[0:999]", "gxi", "has columns 0 to", TKR_E_USAGE_RANGE},
                 {"layer.0.output", "occlusion", "says nothing at", TKR_E_USAGE_CAPABILITY}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        tkr_question q = ask("a bad music", wrong[i].at);
        tkr_error error = {0};
        tkr_result *r = tkr_explain(o.session, &q, wrong[i].method, &error);
        if (r || error.code != wrong[i].status || !strstr(error.message, wrong[i].part) || strcmp(error.field, "at") != 0)
            fail_msg("%s: got %s [%s] %s", wrong[i].at, tkr_status_name(error.code), error.field, error.message);
    }
    made_close(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sites__a_pattern_is_every_layer_by_itself),
        cmocka_unit_test(test_sites__paths_inside_are_complete),
        cmocka_unit_test(test_sites__the_residual_stream_carries_everything),
        cmocka_unit_test(test_sites__groups_of_columns_add_up),
        cmocka_unit_test(test_sites__wrong_sites_and_methods_are_refused),
    };
    return cmocka_run_group_tests_name("sites", tests, NULL, NULL);
}
