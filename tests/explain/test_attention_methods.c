/*
 * The methods attention, rollout and flow: scores through the command's own way against reference numbers (TOKRAY_ORACLE), what
 * they sum to in every kind of model, their parameters, and who is refused.
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

#include "explain/inside.h"
#include "explain/made.h"
#include "explain/result.h"

#define assert_near(got, want, most) assert_true(fabs((got) - (want)) <= (most))

/* ---- reference ---- */

static tolerance allowed(const inside *x) { return x->r->has_decoder ? TOLERANCE_golden_t5_attention : TOLERANCE_golden_attention; }

static void compare(inside *x, const char *methods, const char *array, tensor want)
{
    tkr_result *got = reference_explain(x->r, &x->asked, methods, methods);
    reference_compare(x->r, got, array, methods, want, allowed(x));
    tkr_result_free(got);
    x->compared++;
}

/* The row of the prediction in an array of the inside, where there is one of this name. */
static bool row_of(inside *x, const char *name, tensor *out)
{
    if (!golden_find(x->numbers, name, out))
        return false;
    size_t keys = out->shape[out->rank - 1], row = out->rank == 1 ? 0 : inside_row(x);
    *out = tensor_f64(out->f64 + row * keys, 1, &keys);
    return true;
}

/* Head mean of the last layer, and head 1 of the first, in the row of the prediction. */
static void compare_attention(inside *x)
{
    attention_maps ours;
    tkr_error error = {0};
    if (attention_maps_capture(&x->q, x->arena, &ours, &error))
        fail_msg("%s", error.message);
    attention_maps maps = inside_maps(x, &ours, NULL);
    const attention_stack *s = &maps.of[x->r->has_decoder ? ATTENTION_CROSS : maps.of[ATTENTION_DECODER].layers ? ATTENTION_DECODER : ATTENTION_ENCODER];
    double *mean = ARENA_NEW(x->arena, double, s->keys);
    for (size_t h = 0; h < s->heads; h++)
        for (size_t j = 0; j < s->keys; j++)
            mean[j] += attention_head_map(s, s->layers - 1, h)[inside_row(x) * s->keys + j] / (double)s->heads;
    compare(x, "attention", "attention.scores", TENSOR((const double *)mean, s->keys));
    const double *one = attention_head_map(s, 0, 1) + inside_row(x) * s->keys;
    compare(x, "attention:layer=0,head=1", "attention.scores", TENSOR(one, s->keys));
}

static void compare_reference(inside *x)
{
    static const struct { const char *methods, *array, *name; } all[] = {
        {"rollout", "rollout.scores", "rollout"},
        {"rollout", "rollout.scores", "rollout.decoder_source"},
        {"rollout:alpha=1", "rollout.scores", "rollout.no_residual"},
        {"rollout:fusion=max", "rollout.scores", "rollout.heads_max"},
        {"rollout:fusion=min", "rollout.scores", "rollout.heads_min"},
        {"rollout:correction=prior", "rollout.scores", "rollout.prior_corrected"},
        {"rollout:correction=drop-first", "rollout.scores", "rollout.drop_first"},
        {"flow:form=raw", "flow.scores", "flow"},
        {"flow:form=raw", "flow.scores", "flow.source"},
        {"flow", "flow.scores", "flow.row_normalised"},
    };
    tensor want;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (row_of(x, all[i].name, &want))
            compare(x, all[i].methods, all[i].array, want);
    compare_attention(x);
}

static void test_attention_methods__reference(void **state) { (void)state; inside_each(compare_reference, 4); }

/* ---- every kind of model ---- */

typedef struct kind_of_model {
    const char *family;
    made_head head;
} kind_of_model;

static const kind_of_model kinds[] = {
    {"bert", MADE_CLASSIFIER}, {"distilbert", MADE_MASKED_LM}, {"roberta", MADE_CLASSIFIER}, {"albert", MADE_CLASSIFIER}, {"electra", MADE_CLASSIFIER},
    {"bert", MADE_TOKENS}, {"bert", MADE_SPAN}, {"gpt2", MADE_NEXT_TOKEN}, {"gpt2", MADE_CLASSIFIER}, {"llama", MADE_NEXT_TOKEN},
    {"mistral", MADE_NEXT_TOKEN}, {"qwen2", MADE_NEXT_TOKEN}, {"t5", MADE_SEQUENCE_TO_SEQUENCE},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

typedef struct asked {
    made m;
    char *text;
    tkr_question q;
} asked;

static asked ask(kind_of_model kind)
{
    model_recipe recipe = made_recipe(kind.family, kind.head, 11);
    asked a = {.m = made_open(&recipe, NULL), .q = tkr_question_defaults()};
    a.text = made_text(&a.m, 7, 3);
    a.q.text = a.text;
    a.q.features = "tokens";
    a.q.max_new = kind.head == MADE_SEQUENCE_TO_SEQUENCE ? 3 : 0;
    return a;
}

static void done(asked *a)
{
    free(a->text);
    made_close(&a->m);
}

/* The first target's scores and what lies on other tokens sum to `want`. */
static void expect_sum(const tkr_result *r, size_t index, double want)
{
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, index, &facts));
    const tkr_array *scores = r->runs[index].scores;
    double sum = r->runs[index].special;
    for (size_t f = 0; f < scores->axes[1]->size; f++) {
        assert_true(isnan(scores->data[f]) || scores->data[f] >= 0);
        sum += isnan(scores->data[f]) ? 0 : (double)scores->data[f];
    }
    if (fabs(sum - want) > 1e-5)
        fail_msg("%s: they sum to %g, not %g", facts.id, sum, want);
    assert_int_equal(facts.evaluations, 1);
    assert_int_equal(facts.forward, 1);
    assert_string_equal(scores->unit, "share");
}

static void test_attention_methods__shares_sum_to_one(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        asked a = ask(kinds[k]);
        bool both = kinds[k].head == MADE_SEQUENCE_TO_SEQUENCE, looks_back = both || strstr("gpt2 llama mistral qwen2", kinds[k].family);
        tkr_result *r = made_explain(&a.m, &a.q, "attention,attention:layers=all,attention:head=2,attention:layer=1,rollout,rollout:first=1,last=1,rollout:discard=0.5,flow");
        for (size_t i = 0; i < 8; i++)
            expect_sum(r, i, both && i < 4 ? 2 : 1); /* to its own tokens, and to the source */
        const tkr_array *saturated = tkr_result_array(r, "flow.details");
        assert_true(tkr_array_f32(saturated)[0] >= 0 && tkr_array_f32(saturated)[0] <= 1);
        tkr_result_free(r);
        r = looks_back ? made_explain(&a.m, &a.q, "rollout:correction=prior,rollout:correction=drop-first") : NULL;
        for (size_t i = 0; r && i < 2; i++)
            expect_sum(r, i, both && i == 1 ? 1 - 0.125 / 3 : 1); /* the first of 3 steps has nothing but the start, beta^layers of it */
        tkr_result_free(r);
        done(&a);
    }
}

/* INV-A1 of the maps themselves. */
static void expect_rows(const attention_stack *s, attention_kind kind)
{
    for (size_t r = 0; r < s->layers * s->heads * s->queries; r++) {
        double sum = 0;
        for (size_t j = 0; j < s->keys; j++) {
            sum += s->at[r * s->keys + j];
            assert_true(kind != ATTENTION_DECODER || j <= r % s->queries || s->at[r * s->keys + j] == 0);
        }
        assert_near(sum, 1, 1e-5);
    }
}

static void test_attention_methods__rows_of_maps_sum_to_one(void **state)
{
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        asked a = ask(kinds[k]);
        arena *room = arena_new(SIZE_MAX);
        question q;
        attention_maps maps;
        tkr_error error = {0};
        inside_ask(&q, a.m.session, &a.q, room);
        assert_int_equal(attention_maps_capture(&q, room, &maps, &error), TKR_OK);
        size_t layers = 0;
        for (attention_kind kind = 0; kind < ATTENTION_KINDS; kind++) {
            layers += maps.of[kind].layers;
            expect_rows(&maps.of[kind], kind);
        }
        assert_int_equal(layers, kinds[k].head == MADE_SEQUENCE_TO_SEQUENCE ? 9 : 3);
        question_fini(&q);
        arena_free(room);
        done(&a);
    }
}

/* Received: column means over the rows that see a token, of the captured matrix. */
static void test_attention_methods__received(void **state)
{
    (void)state;
    asked a = ask((kind_of_model){"gpt2", MADE_NEXT_TOKEN});
    tkr_error error = {0};
    tkr_result *maps = tkr_capture(a.m.session, &a.q, "layer.2.attention.probs", &error);
    tkr_result *r = made_explain(&a.m, &a.q, "attention:direction=received,attention:direction=received,self=0");
    const float *p = tkr_array_f32(tkr_result_array(maps, "layer.2.attention.probs"));
    size_t heads = 5, n = 0;
    const float *with = made_scores(r, "attention.scores", &n), *without = made_scores(r, "attention-2.scores", &n);
    for (size_t j = 0; j < n; j++) {
        double sum = 0, self = 0;
        for (size_t h = 0; h < heads; h++) {
            for (size_t i = j; i < n; i++)
                sum += (double)p[(h * n + i) * n + j] / (double)heads;
            self += (double)p[(h * n + j) * n + j] / (double)heads;
        }
        assert_near((double)with[j], sum / (double)(n - j), 1e-6);
        assert_near((double)without[j], j + 1 < n ? (sum - self) / (double)(n - j - 1) : 0, 1e-6);
    }
    tkr_result_free(maps);
    tkr_result_free(r);
    done(&a);
}

/* ---- refusals ---- */

static void expect_refusal(asked *a, const char *methods, tkr_status code, const char *says)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(a->m.session, &a->q, methods, &error);
    assert_null(r);
    assert_int_equal(error.code, code);
    if (!strstr(error.message, says))
        fail_msg("%s: %s", methods, error.message);
}

static void test_attention_methods__refusals(void **state)
{
    (void)state;
    asked a = ask((kind_of_model){"bert", MADE_CLASSIFIER});
    expect_refusal(&a, "attention:layer=3", TKR_E_USAGE_RANGE, "layers 0 to 2");
    expect_refusal(&a, "attention:head=5", TKR_E_USAGE_RANGE, "heads 0 to 4");
    expect_refusal(&a, "rollout:last=3", TKR_E_USAGE_RANGE, "layers 0 to 2");
    expect_refusal(&a, "rollout:first=2,last=1", TKR_E_USAGE_RANGE, "layers 2 to 1");
    expect_refusal(&a, "rollout:correction=prior", TKR_E_USAGE_CAPABILITY, "causal");
    done(&a);
}

static tkr_status score(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    (void)user, (void)texts, (void)error;
    for (size_t i = 0; i < 2 * count; i++)
        scores[i] = 0.5f;
    return TKR_OK;
}

static void test_attention_methods__external_models_show_no_attention(void **state)
{
    (void)state;
    static const char *const methods[] = {"attention", "rollout", "flow"};
    tkr_error error = {0};
    tkr_model *m = tkr_model_from_scorer(score, NULL, (const char *const[]){"no", "yes"}, 2, &error);
    tkr_session *s = m ? tkr_session_new(m, NULL, &error) : NULL;
    if (!s)
        fail_msg("%s", error.message);
    tkr_question q = tkr_question_defaults();
    q.text = "a b c";
    for (size_t i = 0; i < 3; i++) {
        error = (tkr_error){0};
        assert_null(tkr_explain(s, &q, methods[i], &error));
        assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
        assert_non_null(strstr(error.message, "needs attention"));
    }
    tkr_session_free(s);
    tkr_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_methods__reference),
        cmocka_unit_test(test_attention_methods__shares_sum_to_one),
        cmocka_unit_test(test_attention_methods__rows_of_maps_sum_to_one),
        cmocka_unit_test(test_attention_methods__received),
        cmocka_unit_test(test_attention_methods__refusals),
        cmocka_unit_test(test_attention_methods__external_models_show_no_attention),
    };
    int failed = cmocka_run_group_tests_name("attention methods", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
