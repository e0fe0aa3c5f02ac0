/*
 * df/dA and attention x gradient: against reference numbers (TOKRAY_ORACLE), against central differences of the model itself, the Euler
 * identity (INV-C4), and heads that share keys against a plain loop.
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

#include "explain/answer_rows.h"
#include "explain/attention_gradients.h"
#include "explain/attention_relevance.h"
#include "explain/inside.h"
#include "explain/made.h"
#include "explain/result.h"

/* ---- against reference numbers ---- */

static const char *const weighings[] = {"relu", "abs", "signed"};

static attention_maps copy_of(arena *a, const attention_maps *like)
{
    tkr_error error = {0};
    attention_maps out = *like;
    assert_int_equal(attention_maps_make_room(a, &out, &error), TKR_OK);
    return out;
}

/* Heads' importance df/dxi_h = sum_ij A g_A of one layer. */
static void sum_heads(const attention_maps *p, const attention_maps *g, attention_kind kind, size_t layer, double *out)
{
    const attention_stack *s = &p->of[kind];
    for (size_t h = 0; h < s->heads; h++) {
        out[h] = 0;
        for (size_t i = 0; i < s->queries * s->keys; i++)
            out[h] += attention_head_map(s, layer, h)[i] * attention_head_map(&g->of[kind], layer, h)[i];
    }
}

static void compare_layer(inside *x, const attention_gradients *g, const attention_maps *gradients, attention_kind kind, size_t l)
{
    const attention_stack *s = &gradients->of[kind];
    double importance[64];
    assert_close_tensor("df/dA", TENSOR(attention_head_map(s, l, 0), s->heads, s->queries, s->keys), inside_site(x, "gradient", kind, l),
                        ALLOWED(x->r, golden_attention_gradient));
    sum_heads(&g->probabilities, gradients, kind, l, importance);
    assert_close_tensor("head importance", TENSOR(importance, s->heads), inside_site(x, "head_importance", kind, l),
                        ALLOWED(x->r, golden_attention_gradient));
    x->compared += 2;
}

static void compare_weighed(inside *x, const attention_maps *probabilities, const attention_maps *gradients, bool is_exact)
{
    tkr_error error = {0};
    for (weighing how = WEIGH_RELU; how <= WEIGH_SIGNED; how++) {
        attention_maps weighed;
        char what[32];
        snprintf(what, sizeof what, "gradattn.%s", weighings[how]);
        assert_int_equal(attention_weigh(how, probabilities, gradients, x->arena, &weighed, &error), TKR_OK);
        for (attention_kind kind = 0; kind < ATTENTION_KINDS; kind++)
            for (size_t l = 0; l < weighed.of[kind].layers; l++) {
                const attention_stack *s = &weighed.of[kind];
                assert_close_tensor(what, TENSOR(attention_head_map(s, l, 0), s->queries, s->keys), inside_site(x, what, kind, l),
                                    is_exact ? TOLERANCE_golden_table : ALLOWED(x->r, golden_attention_gradient));
                x->compared++;
            }
    }
}

static void compare_gradients(inside *x)
{
    tkr_error error = {0};
    attention_gradients g;
    if (attention_gradients_open(&x->q, x->arena, &g, &error))
        fail_msg("%s", error.message);
    attention_maps gradients = copy_of(x->arena, &g.probabilities);
    inside_way_back(&x->q, g.p, 0, RULE_GRADIENT);
    attention_gradients_read(&x->q, &g, RULE_GRADIENT, &gradients);
    for (attention_kind kind = 0; kind < ATTENTION_KINDS; kind++)
        for (size_t l = 0; l < gradients.of[kind].layers; l++)
            compare_layer(x, &g, &gradients, kind, l);
    compare_weighed(x, &g.probabilities, &gradients, false);
    attention_maps a = inside_maps(x, &g.probabilities, NULL), b = inside_maps(x, &g.probabilities, "gradient");
    compare_weighed(x, &a, &b, true);
    attention_gradients_close(&g);
}

static void test_attention_gradients__reference(void **state) { (void)state; inside_each(compare_gradients, 12); }

/* The method's scores: one layer or the mean of all, in the row of the answer. */
static void compare_scores(inside *x, weighing how, size_t layers, int layer)
{
    char spec[64], what[32];
    snprintf(what, sizeof what, "gradattn.%s", weighings[how]);
    snprintf(spec, sizeof spec, "grad-attention:kind=%s,layer=%d", weighings[how], layer);
    tkr_result *got = reference_explain(x->r, &x->asked, spec, spec);
    double want[TOKENS_MOST] = {0};
    const double used = layer < 0 ? (double)layers : 1;
    for (size_t l = layer < 0 ? 0 : (size_t)layer; l < (layer < 0 ? layers : (size_t)layer + 1); l++) {
        tensor t = inside_site(x, what, x->r->has_decoder ? ATTENTION_CROSS : ATTENTION_ENCODER, l);
        for (size_t j = 0; j < x->r->count; j++)
            want[j] += t.f64[inside_row(x) * t.shape[1] + j] / used;
    }
    reference_compare(x->r, got, "grad-attention.scores", spec, TENSOR(want, x->r->count), ALLOWED(x->r, golden_attention_gradient));
    assert_int_equal(tkr_array_is_signed(tkr_result_array(got, "grad-attention.scores")), how == WEIGH_SIGNED);
    tkr_result_free(got);
    x->compared++;
}

static void compare_method(inside *x)
{
    size_t layers = x->r->has_decoder ? x->q.model->config.decoder_layers : x->q.model->config.layers;
    for (weighing how = WEIGH_RELU; how <= WEIGH_SIGNED; how++) {
        compare_scores(x, how, layers, -1);
        compare_scores(x, how, layers, (int)layers - 1);
    }
}
static void test_attention_gradients__method_reference(void **state) { (void)state; inside_each(compare_method, 6); }

/* ---- every family ---- */

static const struct kind_of_model {
    const char *family;
    made_head head;
    size_t key_heads;
} models[] = {{"bert", MADE_CLASSIFIER, 0},   {"distilbert", MADE_MASKED_LM, 0}, {"electra", MADE_CLASSIFIER, 0}, {"albert", MADE_CLASSIFIER, 0},
              {"roberta", MADE_CLASSIFIER, 0}, {"gpt2", MADE_NEXT_TOKEN, 0},       {"llama", MADE_NEXT_TOKEN, 2},   {"mistral", MADE_NEXT_TOKEN, 1},
              {"qwen2", MADE_NEXT_TOKEN, 2},  {"t5", MADE_SEQUENCE_TO_SEQUENCE, 0}};
enum { MODELS = sizeof models / sizeof *models };

/* An asked question about a made model. */
typedef struct asked_model {
    made m;
    char *text;
    tkr_question asked;
    arena *arena;
    question q;
} asked_model;

static void ask(asked_model *x, const struct kind_of_model *kind, uint64_t seed)
{
    model_recipe recipe = made_recipe(kind->family, kind->head, seed);
    recipe.heads = 4;
    recipe.activation = "gelu_new";
    recipe.key_heads = kind->key_heads;
    recipe.head_width = kind->key_heads ? 6 : 0;
    x->m = made_open(&recipe, NULL);
    x->text = made_text(&x->m, 6, seed);
    x->asked = tkr_question_defaults();
    x->asked.text = x->text;
    x->asked.target = kind->head == MADE_CLASSIFIER ? "class:1" : kind->head == MADE_SEQUENCE_TO_SEQUENCE ? "gen:2" : "id:50";
    x->asked.measure = "logit";
    static const int32_t outputs[] = {50, 61, 72};
    if (kind->head == MADE_SEQUENCE_TO_SEQUENCE) {
        x->asked.output_ids = outputs;
        x->asked.output_id_count = 3;
    }
    x->arena = arena_new(SIZE_MAX);
    inside_ask(&x->q, x->m.session, &x->asked, x->arena);
}

static void forget(asked_model *x)
{
    question_fini(&x->q);
    arena_free(x->arena);
    free(x->text);
    made_close(&x->m);
}

/* One change of a head's output: row += by times what a key gives, or all rows times 1 + by. */
typedef struct nudge {
    size_t head, row, width;
    const real *value; /* NULL: scale the head */
    double by;
} nudge;

static tkr_status push(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const nudge *n = user;
    for (size_t i = 0; i < site->rows; i++) {
        real *o = rows + i * site->width + n->head * n->width;
        for (size_t k = 0; k < n->width; k++)
            o[k] += (real)(n->by * (n->value ? i == n->row ? (double)n->value[k] : 0 : (double)o[k]));
    }
    return TKR_OK;
}

static double value_when(const question *q, const char *site, nudge *n, double by)
{
    tkr_error error = {0};
    pass_shape shape = question_shape(q, 1, false);
    shape.wish.all_rows = true;
    pass *p = pass_new(q->session, &shape, &error);
    assert_non_null(p);
    question_fill(q, p, 0);
    n->by = by;
    if (pass_intervene(p, site, push, n, &error) || pass_forward(p, &error))
        fail_msg("%s: %s", site, error.message);
    double value = target_value(q, &q->targets[0], p, 0);
    pass_free(p);
    return value;
}

#define STEP (sizeof(real) == sizeof(float) ? 1e-2 : 1e-5)

/* No activation here has a kink.  Of fourth order: a third derivative that is large shows in the plain central difference. */
static double slope(const question *q, const char *site, nudge *n)
{
    double near = value_when(q, site, n, STEP) - value_when(q, site, n, -STEP);
    double far = value_when(q, site, n, 2 * STEP) - value_when(q, site, n, -2 * STEP);
    return (8 * near - far) / (12 * STEP);
}

/* Tokens of the stack that predicts. */
static size_t last_rows(const question *q) { return model_shape(q->model) == FAMILY_ENCODER_DECODER ? q->length - q->input_length : q->length; }

/* "layer.0.head_output" of "layer.0.attention.probs". */
static void name_output(char name[SITE_NAME_ROOM], const graph_site *site, attention_kind kind)
{
    const char *ending = kind == ATTENTION_CROSS ? "probs" : "attention.probs";
    snprintf(name, SITE_NAME_ROOM, "%.*shead_output", (int)(strlen(site->name) - strlen(ending)), site->name);
}

/* Some entries of g_A, and the importance of each head (INV-H3), of one attention against differences. */
static void compare_slopes(const question *q, const attention_gradients *g, const attention_maps *gradients, const graph_site *site, size_t layer)
{
    attention_kind kind;
    assert_true(attention_site_kind(q, site, &kind));
    const attention_stack *s = &gradients->of[kind];
    const graph_node *n = &g->p->graph.graph->nodes[site->node];
    const size_t width = n->width / s->heads, keys = n->params.key_heads ? n->params.key_heads : s->heads;
    const real *v = runner_value(g->p->runner, n->in[2]);
    double here[64], there[64], importance[64];
    size_t count = 0;
    char name[SITE_NAME_ROOM];
    name_output(name, site, kind);
    sum_heads(&g->probabilities, gradients, kind, layer, importance);
    for (size_t h = 0; h < s->heads; h++) {
        nudge whole = {.head = h, .width = width};
        here[count] = importance[h];
        there[count++] = slope(q, name, &whole);
        size_t row = (h % 2 ? h : answer_row(q, &q->targets[0], 0) - (q->length - last_rows(q))) % s->queries, key = (h * 3 + layer) % s->keys;
        nudge one = {.head = h, .row = row, .width = width, .value = v + (key * keys + h * keys / s->heads) * width};
        here[count] = attention_head_map(s, layer, h)[row * s->keys + key];
        there[count++] = slope(q, name, &one);
    }
    assert_close_tensor(name, TENSOR(here, count), TENSOR(there, count), TOLERANCE_slope);
}

/* g_O V^T and the Euler identity of one attention, by plain loops. */
static void compare_loops(asked_model *x, const attention_gradients *g, const attention_maps *gradients, const graph_site *site, size_t layer)
{
    attention_kind kind;
    char name[SITE_NAME_ROOM];
    tkr_error error = {0};
    assert_true(attention_site_kind(&x->q, site, &kind));
    name_output(name, site, kind);
    tkr_result *outputs = tkr_capture(x->m.session, &x->asked, name, &error);
    assert_non_null(outputs);
    const float *o = tkr_array_f32(tkr_result_array(outputs, name));
    const graph_node *n = &g->p->graph.graph->nodes[site->node];
    const attention_stack *s = &gradients->of[kind];
    const size_t width = n->width / s->heads, keys = n->params.key_heads ? n->params.key_heads : s->heads;
    const real *go = runner_gradient(g->p->runner, site->node), *v = runner_value(g->p->runner, n->in[2]);
    double importance[64], euler[64], *loop = calloc(s->heads * s->queries * s->keys, sizeof *loop);
    for (size_t h = 0; h < s->heads; h++) {
        euler[h] = 0;
        for (size_t i = 0; i < s->queries; i++)
            for (size_t k = 0; k < width; k++) {
                double slope_here = (double)go[i * n->width + h * width + k];
                euler[h] += (double)o[i * n->width + h * width + k] * slope_here;
                for (size_t j = 0; j < s->keys; j++)
                    loop[(h * s->queries + i) * s->keys + j] += slope_here * (double)v[(j * keys + h * keys / s->heads) * width + k];
            }
    }
    sum_heads(&g->probabilities, gradients, kind, layer, importance);
    assert_close_tensor("g_O V^T", TENSOR(attention_head_map(s, layer, 0), s->heads * s->queries * s->keys), TENSOR(loop, s->heads * s->queries * s->keys), TOLERANCE_all_at_once);
    assert_close_tensor("INV-C4", TENSOR(importance, s->heads), TENSOR(euler, s->heads), TOLERANCE_euler);
    free(loop);
    tkr_result_free(outputs);
}

static void check_family(const struct kind_of_model *kind, uint64_t seed)
{
    asked_model x;
    tkr_error error = {0};
    attention_gradients g;
    ask(&x, kind, seed);
    if (attention_gradients_open(&x.q, x.arena, &g, &error))
        fail_msg("%s: %s", kind->family, error.message);
    graph *all = g.p->graph.graph;
    attention_maps gradients = copy_of(x.arena, &g.probabilities);
    inside_way_back(&x.q, g.p, 0, RULE_GRADIENT);
    attention_gradients_read(&x.q, &g, RULE_GRADIENT, &gradients);
    size_t layer[ATTENTION_KINDS] = {0}, seen = 0;
    for (size_t s = 0; s < all->site_count; s++) {
        attention_kind of;
        if (!attention_site_kind(&x.q, &all->sites[s], &of))
            continue;
        compare_slopes(&x.q, &g, &gradients, &all->sites[s], layer[of]);
        compare_loops(&x, &g, &gradients, &all->sites[s], layer[of]++);
        seen++;
    }
    assert_in_range(seen, 3, 9);
    attention_gradients_close(&g);
    forget(&x);
}

static void test_attention_gradients__are_slopes_in_every_family(void **state)
{
    (void)state;
    for (size_t k = 0; k < MODELS; k++)
        check_family(&models[k], 11 + k);
}

/* ---- the method ---- */

/* Several targets are walked one by one; each has the scores it has alone, and other batches and plans change nothing. */
static void test_attention_gradients__targets_alone_and_together(void **state)
{
    (void)state;
    static const char *const ids[] = {"grad-attention", "chefer", "chefer:variant=chefer1", "value-norms"};
    static const char *const arrays[] = {"grad-attention.scores", "chefer.scores", "chefer.scores", "value-norms.scores"};
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 5);
    made m = made_open(&recipe, NULL);
    char *text = made_text(&m, 7, 5), one[16];
    for (size_t i = 0; i < 4; i++) {
        tkr_question q = tkr_question_defaults();
        q.text = text;
        q.target = "all";
        tkr_result *together = made_explain(&m, &q, ids[i]);
        size_t count;
        const float *scores = made_scores(together, arrays[i], &count);
        for (size_t t = 0; t < 3; t++) {
            snprintf(one, sizeof one, "class:%zu", t);
            q.target = one;
            tkr_result *alone = made_explain(&m, &q, ids[i]);
            assert_memory_equal(made_scores(alone, arrays[i], NULL), scores + t * count, count * sizeof(float));
            tkr_run_facts facts;
            assert_true(tkr_result_run(alone, 0, &facts));
            assert_int_equal(facts.forward, 1);
            assert_int_equal(facts.backward, i == 3 ? 0 : i == 2 ? 2 : 1);
            tkr_result_free(alone);
        }
        tkr_result_free(together);
    }
    free(text);
    made_close(&m);
}

static tkr_status score_texts(void *user, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    (void)user, (void)error;
    for (size_t i = 0; i < count; i++)
        scores[i] = (float)strlen(texts[i]);
    return TKR_OK;
}

static void expect_refusal(tkr_session *s, const char *method, const char *asked, tkr_status code, const char *part)
{
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.text = "one two three";
    q.target = asked;
    assert_null(tkr_explain(s, &q, method, &error));
    assert_int_equal(error.code, code);
    assert_non_null(strstr(error.message, part));
}

static void test_attention_gradients__refuses_what_cannot_be_asked(void **state)
{
    (void)state;
    tkr_error error = {0};
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 5);
    made m = made_open(&recipe, NULL);
    expect_refusal(m.session, "grad-attention:layer=3", NULL, TKR_E_USAGE_RANGE, "layer 3; the model's layers are 0 to 2");
    made_close(&m);
    tkr_model *outer = tkr_model_from_scorer(score_texts, NULL, (const char *const[]){"length"}, 1, &error);
    tkr_session *s = outer ? tkr_session_new(outer, NULL, &error) : NULL;
    assert_non_null(s);
    expect_refusal(s, "grad-attention", NULL, TKR_E_USAGE_CAPABILITY, "needs gradients");
    expect_refusal(s, "chefer", NULL, TKR_E_USAGE_CAPABILITY, "needs gradients");
    expect_refusal(s, "value-norms", NULL, TKR_E_USAGE_CAPABILITY, "needs attention");
    tkr_session_free(s);
    tkr_model_close(outer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_gradients__reference),
        cmocka_unit_test(test_attention_gradients__method_reference),
        cmocka_unit_test(test_attention_gradients__are_slopes_in_every_family),
        cmocka_unit_test(test_attention_gradients__targets_alone_and_together),
        cmocka_unit_test(test_attention_gradients__refuses_what_cannot_be_asked),
    };
    int failed = cmocka_run_group_tests_name("attention_gradients", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
