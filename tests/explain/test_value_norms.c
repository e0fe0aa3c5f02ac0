/*
 * Value-weighted attention norms: the Gram matrix against the vectors themselves, INV-N1 and all forms in every family against
 * plain sums of vectors, reference numbers (TOKRAY_ORACLE), and that scores are shares.
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

#include "base/random.h"
#include "explain/answer_rows.h"
#include "explain/attention_norms.h"
#include "explain/inside.h"
#include "explain/made.h"
#include "explain/result.h"
#include "tensor/op.h"

static const char *const form_names[] = {"attn", "res", "resln"}, *const golden_forms[] = {"norms.attn", "norms.attnres", "norms.attnresln"};

/* ---- the Gram matrix ---- */

static void test_value_norms__gram_is_the_vectors(void **state)
{
    (void)state;
    enum { H = 3, W = 7, N = 5, STEP = 2 };
    double f[H * W], p[H * N * STEP], gram[H * H], got[N * STEP] = {0}, want[N * STEP] = {0};
    for (uint64_t i = 0; i < H * W; i++)
        f[i] = random_normal((random_key){.seed = 1}, i);
    for (uint64_t i = 0; i < H * N * STEP; i++)
        p[i] = random_unit((random_key){.seed = 2}, i);
    norms_of_mixtures(got, p, STEP, N, f, H, W, gram);
    for (size_t i = 0; i < N; i++) {
        for (size_t c = 0; c < W; c++) {
            double sum = 0;
            for (size_t h = 0; h < H; h++)
                sum += p[(h * N + i) * STEP] * f[h * W + c];
            want[i * STEP] += sum * sum;
        }
        want[i * STEP] = sqrt(want[i * STEP]);
    }
    assert_close_tensor("norms", TENSOR(got, N * STEP), TENSOR(want, N * STEP), TOLERANCE_golden_table);
}

/* Vectors that cancel: a square that rounding may leave below 0 is 0, not NaN. */
static void test_value_norms__vectors_that_cancel(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        double f[6], p[] = {0.3, 0.1}, room[4], none = 1;
        for (uint64_t i = 0; i < 3; i++) {
            f[i] = random_normal((random_key){.seed = seed}, i);
            f[3 + i] = -3 * f[i];
        }
        norms_of_mixtures(&none, p, 1, 1, f, 2, 3, room);
        assert_true(none >= 0 && none < 1e-6);
    }
}

/* ---- every family ---- */

static const struct kind_of_model {
    const char *family;
    made_head head;
    size_t key_heads;
    bool has_norm_behind;
} models[] = {{"bert", MADE_CLASSIFIER, 0, true},   {"distilbert", MADE_MASKED_LM, 0, true}, {"electra", MADE_CLASSIFIER, 0, true},
              {"albert", MADE_CLASSIFIER, 0, true}, {"roberta", MADE_SPAN, 0, true},         {"gpt2", MADE_NEXT_TOKEN, 0, false},
              {"llama", MADE_NEXT_TOKEN, 2, false}, {"t5", MADE_SEQUENCE_TO_SEQUENCE, 0, false}};
enum { MODELS = sizeof models / sizeof *models, HIDDEN = 20, TOKENS = 40 };

typedef struct asked_model {
    made m;
    char *text;
    tkr_question asked;
    arena *arena;
    question q;
    pass *p; /* has run, with what the vectors are made of */
} asked_model;

static void ask(asked_model *x, const struct kind_of_model *kind, uint64_t seed)
{
    static const int32_t outputs[] = {50, 61, 72};
    tkr_error error = {0};
    model_recipe recipe = made_recipe(kind->family, kind->head, seed);
    recipe.hidden = HIDDEN;
    recipe.heads = 4;
    recipe.key_heads = kind->key_heads;
    recipe.head_width = kind->key_heads ? 6 : 0;
    *x = (asked_model){.m = made_open(&recipe, NULL), .arena = arena_new(SIZE_MAX), .asked = tkr_question_defaults()};
    x->asked.text = x->text = made_text(&x->m, 4, seed);
    x->asked.features = "tokens";
    x->asked.target = kind->head == MADE_SEQUENCE_TO_SEQUENCE ? "gen:2" : kind->head == MADE_SPAN ? "start@3" : NULL;
    x->asked.output_ids = kind->head == MADE_SEQUENCE_TO_SEQUENCE ? outputs : NULL;
    x->asked.output_id_count = x->asked.output_ids ? 3 : 0;
    inside_ask(&x->q, x->m.session, &x->asked, x->arena);
    assert_true(x->q.length <= TOKENS);
    pass_shape shape = question_shape(&x->q, 1, false);
    shape.wish.all_rows = true;
    x->p = pass_new(x->m.session, &shape, &error);
    assert_non_null(x->p);
    question_fill(&x->q, x->p, 0);
    graph *g = x->p->graph.graph;
    for (size_t i = 0; i < g->count; i++)
        g->nodes[i].is_kept = true;
    for (size_t s = 0; s < g->site_count; s++)
        if (g->sites[s].is_saved)
            g->nodes[g->sites[s].node].saves_kept = true;
    assert_int_equal(pass_forward(x->p, &error), TKR_OK);
}

static void forget(asked_model *x)
{
    pass_free(x->p);
    question_fini(&x->q);
    arena_free(x->arena);
    free(x->text);
    made_close(&x->m);
}

/* A row less its mean times the gain. */
static void center(double *v, const weight *gain)
{
    double mean = 0;
    for (size_t c = 0; c < HIDDEN; c++)
        mean += v[c];
    for (size_t c = 0; c < HIDDEN; c++)
        v[c] = (v[c] - mean / HIDDEN) * (double)gain->vector[c];
}

static double variance(const real *x)
{
    double sum = 0, squares = 0;
    for (size_t c = 0; c < HIDDEN; c++) {
        sum += (double)x[c];
        squares += (double)x[c] * (double)x[c];
    }
    return squares / HIDDEN - sum / HIDDEN * (sum / HIDDEN);
}

/* Vector that key j gives to query i: the sum over heads, with the residual on the diagonal where the form has it. */
static void make_vector(const asked_model *x, const value_path *at, const attention_stack *s, norm_form form, bool is_self, size_t i, size_t j,
                        const real *wo, double *out)
{
    double f[8 * HIDDEN];
    const graph *g = x->p->graph.graph;
    const size_t heads = g->nodes[at->attention].params.heads;
    const real *a = runner_saved(x->p->runner, at->attention), *rest = runner_value(x->p->runner, at->rest) + i * HIDDEN;
    value_path_vectors(x->p, at, wo, HIDDEN, j, f);
    for (size_t c = 0; c < HIDDEN; c++) {
        out[c] = form != NORM_ATTN && is_self && i == j ? (double)rest[c] : 0;
        for (size_t h = 0; h < heads; h++)
            out[c] += (double)a[(h * s->queries + i) * s->keys + j] * f[h * HIDDEN + c];
    }
    if (form != NORM_RESLN)
        return;
    const graph_node *norm = &g->nodes[at->norm];
    center(out, norm->weights[0]);
    for (size_t c = 0; c < HIDDEN; c++)
        out[c] /= sqrt(variance(runner_value(x->p->runner, at->sum) + i * HIDDEN) + norm->params.eps);
}

/* One attention by plain sums: norms of all pairs; over keys the vectors sum to what the model has there (INV-N1). */
static void check_site(const asked_model *x, node attention, const attention_stack *s, norm_form form, bool is_self, size_t layer)
{
    const graph *g = x->p->graph.graph;
    value_path at = value_path_find(g, attention);
    const weight *wo = g->nodes[at.mix].weights[0], *bias = g->nodes[at.mix].weights[1];
    real *rows = calloc(wo->rows * wo->columns, sizeof *rows);
    for (size_t c = 0; c < wo->rows; c++)
        weight_row(wo, c, rows + c * wo->columns);
    double norms[TOKENS * TOKENS], sums[TOKENS * HIDDEN] = {0}, vector[HIDDEN];
    for (size_t i = 0; i < s->queries; i++)
        for (size_t j = 0; j < s->keys; j++) {
            double square = 0;
            make_vector(x, &at, s, form, is_self, i, j, rows, vector);
            for (size_t c = 0; c < HIDDEN; c++) {
                square += vector[c] * vector[c];
                sums[i * HIDDEN + c] += vector[c] + (form == NORM_ATTN && j == 0 && bias ? (double)bias->vector[c] : 0);
            }
            norms[i * s->keys + j] = sqrt(square);
        }
    assert_close_tensor(form_names[form], TENSOR(attention_head_map(s, layer, 0), s->queries, s->keys), TENSOR(norms, s->queries, s->keys), TOLERANCE_golden_hidden);
    if (form == NORM_ATTN)
        assert_close_tensor("INV-N1", TENSOR(sums, s->queries, HIDDEN), TENSOR(runner_value(x->p->runner, at.mix), s->queries, HIDDEN), TOLERANCE_golden_hidden);
    free(rows);
}

/* The residual beside attention to the source. */
static void check_rest(const asked_model *x, const attention_norms *n, node attention, size_t layer)
{
    value_path at = value_path_find(x->p->graph.graph, attention);
    const attention_stack *s = &n->maps.of[ATTENTION_CROSS];
    for (size_t i = 0; i < s->queries; i++) {
        double square = 0;
        for (size_t c = 0; c < HIDDEN; c++)
            square += pow((double)runner_value(x->p->runner, at.rest)[i * HIDDEN + c], 2);
        assert_true(fabs(n->rest[layer * s->queries + i] - sqrt(square)) <= 1e-5 * sqrt(square));
    }
}

static void check_rollout(const attention_norms *n, norm_form form, arena *a)
{
    token_relevance r;
    tkr_error error = {0};
    assert_int_equal(attention_norms_rollout(n, form, a, &r, &error), TKR_OK);
    for (size_t i = 0; i < r.output; i++) {
        double sum = 0;
        for (size_t j = 0; j < r.output; j++)
            sum += r.self[i * r.output + j];
        for (size_t j = 0; j < r.source; j++)
            sum += r.cross[i * r.source + j];
        assert_true(fabs(sum - 1) <= 1e-12);
    }
}

static void check_form(const asked_model *x, norm_form form)
{
    tkr_error error = {0};
    attention_norms n;
    size_t layer[ATTENTION_KINDS] = {0};
    const graph *g = x->p->graph.graph;
    if (attention_norms_capture(&x->q, form, false, x->arena, &n, &error))
        fail_msg("%s", error.message);
    for (size_t s = 0; s < g->site_count; s++) {
        attention_kind kind;
        if (!attention_site_kind(&x->q, &g->sites[s], &kind))
            continue;
        check_site(x, g->sites[s].node, &n.maps.of[kind], form, kind != ATTENTION_CROSS, layer[kind]);
        if (kind == ATTENTION_CROSS && form == NORM_RES)
            check_rest(x, &n, g->sites[s].node, layer[kind]);
        layer[kind]++;
    }
    assert_true(layer[0] + layer[1] >= 3);
    check_rollout(&n, form, x->arena);
}

static void test_value_norms__every_family(void **state)
{
    (void)state;
    for (size_t k = 0; k < MODELS; k++) {
        asked_model x;
        tkr_error error = {0};
        ask(&x, &models[k], 21 + k);
        check_form(&x, NORM_ATTN);
        check_form(&x, NORM_RES);
        assert_int_equal(attention_norms_check(&x.q, NORM_RES, &error), TKR_OK);
        if (models[k].has_norm_behind)
            check_form(&x, NORM_RESLN);
        else
            assert_int_equal(attention_norms_check(&x.q, NORM_RESLN, &error), TKR_E_USAGE_CAPABILITY);
        forget(&x);
    }
}

/* ---- the method ---- */

/* Shares of all tokens, template tokens included, sum to 1; the answer's row, and nobody else's, says which. */
static void check_shares(asked_model *x, const char *spec)
{
    tkr_result *r = made_explain(&x->m, &x->asked, spec);
    size_t count;
    const float *scores = made_scores(r, "value-norms.scores", &count);
    double sum = isnan(r->runs[0].special) ? 0 : r->runs[0].special;
    for (size_t i = 0; i < count; i++) {
        assert_true(isnan(scores[i]) || scores[i] >= 0);
        sum += isnan(scores[i]) ? 0 : (double)scores[i];
    }
    if (fabs(sum - 1) > 1e-6)
        fail_msg("%s: shares sum to %g", spec, sum);
    assert_string_equal(tkr_array_unit(tkr_result_array(r, "value-norms.scores")), "share");
    tkr_result_free(r);
}

static void test_value_norms__scores_are_shares(void **state)
{
    (void)state;
    for (size_t k = 0; k < MODELS; k++)
        for (norm_form form = NORM_ATTN; form <= (models[k].has_norm_behind ? NORM_RESLN : NORM_RES); form++)
            for (int through = 0; through < 2; through++) {
                asked_model x;
                char spec[64];
                snprintf(spec, sizeof spec, "value-norms:norm=%s,layers=%s", form_names[form], through ? "rollout" : "last");
                ask(&x, &models[k], 31 + k);
                check_shares(&x, spec);
                forget(&x);
            }
}

static void test_value_norms__norm_behind_is_needed(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("gpt2", MADE_NEXT_TOKEN, 3);
    made m = made_open(&recipe, NULL);
    tkr_error error = {0};
    tkr_question q = tkr_question_defaults();
    q.text = "one two";
    assert_null(tkr_explain(m.session, &q, "value-norms:norm=resln", &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    assert_non_null(strstr(error.message, "has no layer norm that alone reads the sum behind its attention"));
    made_close(&m);
}

/* ---- reference numbers ---- */

static bool has_form(inside *x, norm_form form)
{
    tensor unused;
    return inside_find_site(x, golden_forms[form], ATTENTION_ENCODER, 0, &unused);
}

/* Scores from the reference's own matrices: the answer's row of the last, or of the product of all. */
static void compare_scores(inside *x, norm_form form, size_t layers, bool through)
{
    char spec[64];
    snprintf(spec, sizeof spec, "value-norms:norm=%s,layers=%s", form_names[form], through ? "rollout" : "last");
    double row[TOKENS_MOST] = {0}, next[TOKENS_MOST];
    const size_t n = x->r->count;
    row[inside_row(x)] = 1;
    for (size_t l = layers; l-- > (through ? 0 : layers - 1);) {
        tensor t = inside_site(x, golden_forms[form], ATTENTION_ENCODER, l);
        const double residual = through && form == NORM_ATTN ? 0.5 : 0;
        for (size_t j = 0; j < n; j++)
            next[j] = residual * row[j];
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += t.f64[i * n + j];
            for (size_t j = 0; j < n; j++)
                next[j] += (1 - residual) * row[i] * t.f64[i * n + j] / sum;
        }
        memcpy(row, next, sizeof row);
    }
    tkr_result *got = reference_explain(x->r, &x->asked, spec, spec);
    reference_compare(x->r, got, "value-norms.scores", spec, TENSOR((const double *)row, n), TOLERANCE_golden_gradient);
    tkr_result_free(got);
    x->compared++;
}

static void compare_norms(inside *x)
{
    tkr_error error = {0};
    for (norm_form form = NORM_ATTN; form <= NORM_RESLN; form++) {
        if (!has_form(x, form))
            continue;
        attention_norms n;
        if (attention_norms_capture(&x->q, form, false, x->arena, &n, &error))
            fail_msg("%s", error.message);
        const attention_stack *s = &n.maps.of[n.maps.of[ATTENTION_DECODER].layers ? ATTENTION_DECODER : ATTENTION_ENCODER];
        for (size_t l = 0; l < s->layers; l++) {
            assert_close_tensor(golden_forms[form], TENSOR((const double *)attention_head_map(s, l, 0), s->queries, s->keys),
                                inside_site(x, golden_forms[form], ATTENTION_ENCODER, l), TOLERANCE_golden_hidden);
            x->compared++;
        }
        compare_scores(x, form, s->layers, false);
        compare_scores(x, form, s->layers, true);
    }
    assert_true(x->compared >= 4 || x->r->has_decoder); /* of encoder-decoders there are no numbers */
}
static void test_value_norms__reference(void **state) { (void)state; inside_each(compare_norms, 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_value_norms__gram_is_the_vectors),
        cmocka_unit_test(test_value_norms__vectors_that_cancel),
        cmocka_unit_test(test_value_norms__every_family),
        cmocka_unit_test(test_value_norms__scores_are_shares),
        cmocka_unit_test(test_value_norms__norm_behind_is_needed),
        cmocka_unit_test(test_value_norms__reference),
    };
    int failed = cmocka_run_group_tests_name("value_norms", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
