/*
 * Gradients, Gradient x Input, Integrated Gradients and occlusion against reference numbers from PyTorch in float64: the committed
 * ones (tests/data), and those of TOKRAY_ORACLE when it is set.  Every array that is there is compared; the counts at the
 * end make sure that something was.
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

#include "explain/result.h"
#include "support/golden.h"

enum { TOKENS_MOST = 512, NAME_ROOM = 128, SPEC_ROOM = 256 };

/* One question of the reference: a case's model and its input "explain" or "pair". */
typedef struct reference {
    golden *gradients, *perturbation;
    tkr_model *model;
    tkr_session *session;
    int32_t ids[TOKENS_MOST], types[TOKENS_MOST], outputs[TOKENS_MOST]; /* outputs: of an encoder-decoder, the target the last */
    size_t count, output_count;
    char target[SPEC_ROOM], contrast[SPEC_ROOM];
    size_t compared;
} reference;

static const char *const measures[] = {"logit", "diff", "logprob", "prob", "logodds", "margin", "meanfoil"};
enum { MEASURES_COUNT = sizeof measures / sizeof *measures };

static size_t read_ints(const json_t *list, int32_t *out)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return json_array_size(list);
}

/* "class:1", "id:77" of a vocabulary, "start@7" in question answering. */
static void write_side(const reference *r, char *out, const char *key)
{
    const json_t *json = r->gradients->json;
    int index = (int)json_integer_value(json_object_get(json, key));
    int row = (int)json_integer_value(json_object_get(json, "prediction_row"));
    tkr_model_facts facts;
    tkr_model_describe(r->model, &facts);
    if (facts.task == TKR_TASK_QUESTION_ANSWERING)
        snprintf(out, SPEC_ROOM, "%s@%d", index ? "end" : "start", row);
    else if (facts.task == TKR_TASK_TOKEN_CLASSIFICATION)
        snprintf(out, SPEC_ROOM, "class:%d@%d", index, row);
    else if (facts.task == TKR_TASK_SEQUENCE_CLASSIFICATION)
        snprintf(out, SPEC_ROOM, "class:%d", index);
    else if (r->output_count && strcmp(key, "target") == 0)
        snprintf(out, SPEC_ROOM, "gen:%d", row);
    else
        snprintf(out, SPEC_ROOM, "id:%d", index);
}

/* Decoder inputs without the start, then the target itself: the step that is asked about. */
static void read_outputs(reference *r)
{
    const json_t *list = json_object_get(r->gradients->json, "decoder_ids");
    for (size_t i = 1; i < json_array_size(list); i++)
        r->outputs[r->output_count++] = (int32_t)json_integer_value(json_array_get(list, i));
    if (json_array_size(list) > 0)
        r->outputs[r->output_count++] = (int32_t)json_integer_value(json_object_get(r->gradients->json, "target"));
}

static void open_reference(reference *r, const char *root, const char *name)
{
    char file[NAME_ROOM];
    tkr_error error = {0};
    *r = (reference){0};
    snprintf(file, sizeof file, "%s.gradients", name);
    r->gradients = golden_open(root, file);
    snprintf(file, sizeof file, "%s.perturbation", name);
    r->perturbation = golden_open(root, file);
    r->model = tkr_model_open(r->gradients->model, NULL, &error);
    if (!r->model)
        fail_msg("%s: %s", name, error.message);
    r->session = tkr_session_new(r->model, NULL, &error);
    assert_non_null(r->session);
    r->count = read_ints(json_object_get(r->gradients->json, "ids"), r->ids);
    size_t types = read_ints(json_object_get(r->gradients->json, "token_type_ids"), r->types);
    assert_true(types == r->count || types == 0); /* families without token types have none */
    read_outputs(r);
    write_side(r, r->target, "target");
    char foil[SPEC_ROOM / 2];
    foil[0] = 0;
    if (json_is_integer(json_object_get(r->gradients->json, "foil"))) {
        char side[SPEC_ROOM];
        write_side(r, side, "foil");
        snprintf(foil, sizeof foil, "%.100s", side);
        snprintf(r->contrast, sizeof r->contrast, "%.100s~%s", r->target, foil);
    }
}

static void close_reference(reference *r)
{
    tkr_session_free(r->session);
    tkr_model_close(r->model);
    golden_close(r->gradients);
    golden_close(r->perturbation);
}

/* Encoder-decoders are worse conditioned (tests/tolerance.def). */
static bool is_encoder_decoder(const reference *r) { return r->output_count > 0; }
#define ALLOWED(r, what) (is_encoder_decoder(r) ? TOLERANCE_##what##_t5 : TOLERANCE_##what)

static tkr_question question_of(const reference *r, const char *measure)
{
    bool is_contrast = strcmp(measure, "diff") == 0;
    tkr_question q = tkr_question_defaults();
    q.ids = r->ids;
    q.segments = r->types;
    q.id_count = r->count;
    if (r->output_count) {
        q.output_ids = r->outputs;
        q.output_id_count = r->output_count;
        q.prompt_only = true;
    }
    q.features = "tokens";
    q.target = is_contrast ? r->contrast : r->target;
    q.measure = is_contrast ? "logit" : measure;
    return q;
}

static tkr_result *explain(const reference *r, const tkr_question *q, const char *methods, const char *what)
{
    tkr_error error = {0};
    tkr_result *result = tkr_explain(r->session, q, methods, &error);
    if (!result)
        fail_msg("%s: %s", what, error.message);
    return result;
}

static void compare_gradient(reference *r, const char *measure, const char *at, const char *suffix)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "grad.%s%s", measure, suffix);
    if (!golden_find(r->gradients, name, &want))
        return;
    tkr_question q = question_of(r, measure);
    q.at = at;
    tkr_error error = {0};
    tkr_result *got = tkr_gradient(r->session, &q, &error);
    if (!got)
        fail_msg("%s %s: %s", r->gradients->model, name, error.message);
    const tkr_array *a = tkr_result_array(got, "gradient");
    const float *rows = tkr_array_f32(a);
    size_t width = tkr_array_extent(a, 1);
    assert_int_equal(tkr_array_extent(a, 0), r->count + r->output_count);
    assert_close_tensor(name, TENSOR(rows, r->count, width), want, ALLOWED(r, golden_gradient));
    snprintf(name, sizeof name, "grad.%s%s.target", measure, suffix);
    if (r->output_count && golden_find(r->gradients, name, &want))
        assert_close_tensor(name, TENSOR(rows + r->count * width, r->output_count, width), want, ALLOWED(r, golden_gradient));
    tkr_result_free(got);
    r->compared++;
}

/* Scores of the features against the reference's numbers by position. */
static void compare_by_position(const reference *r, const tkr_result *got, const char *array, const char *name, tensor want, tolerance allowed)
{
    const tkr_array *a = tkr_result_array(got, array);
    const json_t *players = json_object_get(r->gradients->json, "token_players");
    double here[TOKENS_MOST], there[TOKENS_MOST];
    size_t count = tkr_array_extent(a, 1);
    assert_int_equal(count, json_array_size(players));
    for (size_t i = 0; i < count; i++) {
        here[i] = (double)tkr_array_f32(a)[i];
        there[i] = want.f64[json_integer_value(json_array_get(players, i))];
    }
    assert_close_tensor(name, TENSOR(here, count), TENSOR(there, count), allowed);
}

static void compare_gxi(reference *r, const char *measure, const char *at, const char *suffix)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "gradxinput.%s%s", measure, suffix);
    if (!golden_find(r->gradients, name, &want))
        return;
    tkr_question q = question_of(r, measure);
    q.at = at;
    tkr_result *got = explain(r, &q, "gxi", name);
    compare_by_position(r, got, "gxi.scores", name, want, ALLOWED(r, golden_gxi));
    tkr_result_free(got);
    r->compared++;
}

static void compare_ig(reference *r, const char *measure, const char *baseline, const char *rule, int steps)
{
    char name[NAME_ROOM], method[NAME_ROOM], key[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "ig.%s.%s%d.%s", baseline, rule, steps, measure);
    if (!golden_find(r->gradients, name, &want))
        return;
    snprintf(method, sizeof method, "ig:steps=%d,rule=%s,baseline=%s,force=1", steps, rule, baseline);
    tkr_question q = question_of(r, measure);
    snprintf(name, sizeof name, "%.20s ig.%.8s.%.8s%d.%.10s", json_string_value(json_object_get(r->gradients->json, "case")), baseline, rule, steps, measure);
    tkr_result *got = explain(r, &q, method, name);
    compare_by_position(r, got, "ig.scores", name, want, ALLOWED(r, golden_ig));
    tkr_run_facts facts;
    assert_true(tkr_result_run(got, 0, &facts));
    const json_t *ig = json_object_get(r->gradients->json, "ig");
    snprintf(key, sizeof key, "%s.%s", baseline, measure);
    double base = json_number_value(json_object_get(json_object_get(ig, "f_baseline"), key));
    double full = json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), measure));
    double logit = json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), "logit"));
    double here[] = {facts.base, facts.full, logit}, there[] = {base, full, logit}; /* differences of logits are as exact as logits */
    assert_close_tensor("f(baseline), f(input)", TENSOR(here, 3), TENSOR(there, 3), TOLERANCE_golden_value);
    tkr_result_free(got);
    r->compared++;
}

static void compare_all_ig(reference *r)
{
    static const char *const baselines[] = {"mask", "pad", "unk", "zero", "mean"}, *const rules[] = {"gl", "mid", "left", "right", "trap"};
    static const int steps[] = {8, 32, 50};
    for (size_t m = 0; m < MEASURES_COUNT; m++)
        for (size_t b = 0; b < 5; b++)
            for (size_t k = 0; k < 5; k++)
                for (size_t s = 0; s < 3; s++)
                    compare_ig(r, measures[m], baselines[b], rules[k], steps[s]);
}

/* f without the feature of each player: full - score, so that the tolerance is relative to the values and not to their
 * differences.  token_of_player[i]: a token of it. */
static void compare_values(const tkr_result *got, const char *name, tensor want, double full, const size_t *token_of_player)
{
    const tkr_array *a = tkr_result_array(got, "occlusion.scores");
    double here[TOKENS_MOST + 1], there[TOKENS_MOST + 1];
    size_t count = want.shape[0];
    for (size_t i = 0; i < count; i++) {
        size_t f = got->tokens[token_of_player[i]].feature;
        assert_true(f < tkr_array_extent(a, 1));
        here[i] = full - (double)tkr_array_f32(a)[f];
        there[i] = full - want.f64[i];
    }
    here[count] = there[count] = full;
    assert_close_tensor(name, TENSOR(here, count + 1), TENSOR(there, count + 1), TOLERANCE_golden_value);
}

static size_t player_position(const reference *r, size_t player)
{
    return (size_t)json_integer_value(json_array_get(json_object_get(r->perturbation->json, "players"), player));
}

static double full_value(const reference *r, const char *measure)
{
    return json_number_value(json_object_get(json_object_get(r->gradients->json, "f"), measure));
}

static void compare_occlusion(reference *r, const char *measure, const char *removal)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "occlusion.%s.%s", removal, measure);
    if (!golden_find(r->perturbation, name, &want))
        return;
    tkr_question q = question_of(r, measure);
    q.removal = removal;
    tkr_result *got = explain(r, &q, "occlusion", name);
    size_t tokens[TOKENS_MOST];
    for (size_t i = 0; i < want.shape[0]; i++)
        tokens[i] = player_position(r, i);
    compare_values(got, name, want, full_value(r, measure), tokens);
    tkr_result_free(got);
    r->compared++;
}

/* Words are found in the text itself, so here the tokenizer takes part. */
static void compare_words(reference *r, const char *measure)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "words.occlusion.%s", measure);
    if (!golden_find(r->perturbation, name, &want))
        return;
    tkr_question q = question_of(r, measure);
    q.ids = NULL;
    q.segments = NULL;
    q.text = json_string_value(json_object_get(r->perturbation->json, "text"));
    q.pair = json_string_value(json_object_get(r->perturbation->json, "pair"));
    q.features = "words";
    tkr_result *got = explain(r, &q, "occlusion", name);
    const json_t *groups = json_object_get(json_object_get(r->perturbation->json, "words"), "groups");
    size_t tokens[TOKENS_MOST];
    for (size_t i = 0; i < json_array_size(groups); i++)
        tokens[i] = player_position(r, (size_t)json_integer_value(json_array_get(json_array_get(groups, i), 0)));
    compare_values(got, name, want, full_value(r, measure), tokens);
    tkr_result_free(got);
    r->compared++;
}

typedef void compare_fn(reference *r);

static void all_gradients(reference *r)
{
    for (size_t m = 0; m < MEASURES_COUNT; m++)
        compare_gradient(r, measures[m], "word", "");
    compare_gradient(r, "logit", "sum", ".sum");
    compare_gradient(r, "logit", "embeddings", ".h0");
}

static void all_gxi(reference *r)
{
    for (size_t m = 0; m < MEASURES_COUNT; m++)
        compare_gxi(r, measures[m], "word", "");
    compare_gxi(r, "logit", "embeddings", ".h0");
}

static void all_occlusion(reference *r)
{
    static const char *const removals[] = {"mask", "attn", "pad", "unk", "zero", "mean", "delete"};
    for (size_t m = 0; m < MEASURES_COUNT; m++) {
        for (size_t o = 0; o < 7; o++)
            compare_occlusion(r, measures[m], removals[o]);
        compare_words(r, measures[m]);
    }
}

typedef struct sweep {
    const char *root;
    compare_fn *compare;
    size_t cases, compared;
} sweep;

static void visit_case(golden *g, const char *name, void *user)
{
    (void)g;
    sweep *s = user;
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s.gradients.json", s->root, name);
    FILE *there = fopen(path, "r");
    if (!there)
        return; /* a forward-only case */
    fclose(there);
    static reference r;
    open_reference(&r, s->root, name);
    s->compare(&r);
    s->compared += r.compared;
    s->cases++;
    close_reference(&r);
}

/* at_least: arrays a case has, at the very least. */
static void compare_everywhere(compare_fn *compare, size_t at_least)
{
    for (size_t i = 0; golden_root(i); i++) {
        sweep s = {.root = golden_root(i), .compare = compare};
        golden_each(s.root, visit_case, &s);
        assert_true(s.cases >= 5);
        assert_true(s.compared >= at_least * s.cases);
    }
}

static void test_golden__gradients(void **state) { (void)state; compare_everywhere(all_gradients, 3); }
static void test_golden__gradient_x_input(void **state) { (void)state; compare_everywhere(all_gxi, 2); }
static void test_golden__integrated_gradients(void **state) { (void)state; compare_everywhere(compare_all_ig, 10); }
static void test_golden__occlusion(void **state) { (void)state; compare_everywhere(all_occlusion, 8); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden__gradients),
        cmocka_unit_test(test_golden__gradient_x_input),
        cmocka_unit_test(test_golden__integrated_gradients),
        cmocka_unit_test(test_golden__occlusion),
    };
    int failed = cmocka_run_group_tests_name("golden", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
