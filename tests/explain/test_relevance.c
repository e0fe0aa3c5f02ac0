/*
 * AttnLRP and CP-LRP: relevance, modified gradients, ledgers and generation matrices against reference numbers made in float64
 * elsewhere (tests/data, without modified gradients, and TOKRAY_ORACLE), and what must hold on any model (methods.md 11,
 * INV-LRP2, 3 and 5).  The rules themselves, op by op, are in tests/tensor/test_ops.c and test_rules.c.
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

#include "explain/made.h"
#include "explain/reference.h"
#include "explain/relevance.h"

/* Our method ids, the reference's names, and the rules behind them. */
static const struct way {
    const char *id, *golden, *scores, *ledger;
    op_rule rule;
} ways[] = {{"attnlrp", "attnlrp", "attnlrp.scores", "attnlrp.ledger", RULE_ATTNLRP},
            {"cp-lrp", "cplrp", "cp-lrp.scores", "cp-lrp.ledger", RULE_CPLRP}};
enum { WAYS = sizeof ways / sizeof *ways };

/* Was float32 elsewhere, too, further from float64 than golden_relevance expects?  Large contributions that cancel do that. */
static bool is_hard(const reference *r, const struct way *w, const char *unit)
{
    char key[NAME_ROOM];
    snprintf(key, sizeof key, "%s.%s", w->golden, unit);
    const json_t *entry = json_object_get(json_object_get(r->gradients->json, "lrp"), key);
    return !r->output_count && json_number_value(json_object_get(entry, "f32_error")) > 1.5e-6;
}

/* ---- relevance, gradients, ledgers ------------------------------------------------------------------------------- */

/* An array of the reference, "lrp.<rule>.<unit>.<what>". */
static bool find(reference *r, const struct way *w, const char *unit, const char *what, char name[NAME_ROOM], tensor *want)
{
    snprintf(name, NAME_ROOM, "lrp.%s.%s.%s", w->golden, unit, what);
    return golden_find(r->gradients, name, want);
}

/* Rows first .. first + count - 1 of the question's relevance and modified gradient. */
static void compare_rows(reference *r, const question *q, const struct way *w, const char *unit, const char *ending, const real *g,
                         size_t first, size_t count)
{
    char name[NAME_ROOM], what[32];
    tensor want;
    double relevance[TOKENS_MOST] = {0};
    size_t width = gradient_width(q);
    const real *x = pass_values(q->clean, 0);
    const tolerance below = is_hard(r, w, unit) ? TOLERANCE_golden_modified_hard : ALLOWED(r, golden_modified);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            relevance[i] += (double)x[(first + i) * width + k] * (double)g[(first + i) * width + k];
    snprintf(what, sizeof what, "relevance%s", ending);
    assert_true(find(r, w, unit, what, name, &want));
    assert_close_tensor(name, TENSOR(relevance, count), want, below);
    r->compared++;
    snprintf(what, sizeof what, "grad%s", ending);
    if (find(r, w, unit, what, name, &want))
        assert_close_tensor(name, TENSOR(g + first * width, count, width), want, below);
    else
        assert_true(r->is_committed); /* the committed ones are kept small */
}

/* All rows, below the public surface. */
static void compare_below(reference *r, const struct way *w, const char *unit)
{
    tkr_error error = {0};
    tkr_question asked = reference_question(r, unit);
    question q;
    arena *a = arena_new(SIZE_MAX);
    question_wish wish = {.gradient = true};
    if (question_init(&q, r->session, &asked, wish, a, &error) || question_run(&q, wish, &error))
        fail_msg("%s: %s", r->gradients->model, error.message);
    const real *g = differentiate_clean(&q, 0, w->rule, &error);
    assert_non_null(g);
    compare_rows(r, &q, w, unit, "", g, 0, r->count);
    if (r->output_count)
        compare_rows(r, &q, w, unit, ".target", g, r->count, r->output_count);
    question_fini(&q);
    arena_free(a);
}

/* Relevance of the residual stream after each layer, all rows together ("hidden.l" after layer l - 1); sizes: see compare_ledger. */
static void compare_layers(reference *r, const struct way *w, const char *unit)
{
    char key[NAME_ROOM];
    snprintf(key, sizeof key, "%s.%s", w->golden, unit);
    const json_t *entry = json_object_get(json_object_get(r->gradients->json, "lrp"), key), *sums = json_object_get(entry, "hidden_sums");
    tkr_error error = {0};
    tkr_question asked = reference_question(r, unit);
    asked.at = r->output_count ? "decoder.layer.*.output" : "layer.*.output";
    question q;
    arena *a = arena_new(SIZE_MAX);
    question_wish wish = {.gradient = true};
    if (question_init(&q, r->session, &asked, wish, a, &error) || question_run(&q, wish, &error))
        fail_msg("%s: %s", r->gradients->model, error.message);
    assert_non_null(differentiate_clean(&q, 0, w->rule, &error));
    double here[33], there[33];
    size_t places = q.clean->place_count;
    assert_in_range(places, 2, 32);
    for (size_t k = 0; k < places; k++) {
        question_choose(&q, k);
        here[k] = q.model->kernels->dot(pass_values(q.clean, 0), pass_gradient(q.clean, 0), q.place_count * gradient_width(&q));
        snprintf(key, sizeof key, "%shidden.%zu", r->output_count ? "decoder." : "", k + 1);
        assert_true(json_is_real(json_object_get(sums, key)));
        there[k] = json_number_value(json_object_get(sums, key));
    }
    here[places] = there[places] = json_number_value(json_object_get(entry, "scale"));
    assert_close_tensor("layers", TENSOR(here, places + 1), TENSOR(there, places + 1), ALLOWED(r, golden_relevance));
    question_fini(&q);
    arena_free(a);
}

/* Ledger entries, measured against the sum of all sizes. */
static void compare_ledger(const reference *r, const tkr_result *got, const struct way *w, const char *unit)
{
    char key[NAME_ROOM];
    snprintf(key, sizeof key, "%s.%s", w->golden, unit);
    const json_t *entry = json_object_get(json_object_get(r->gradients->json, "lrp"), key), *ledger = json_object_get(entry, "ledger");
    const tkr_array *array = tkr_result_array(got, w->ledger);
    double here[RELEVANCE_PART_COUNT + 1], there[RELEVANCE_PART_COUNT + 1], scale = json_number_value(json_object_get(entry, "scale"));
    assert_int_equal(tkr_array_extent(array, 1), RELEVANCE_PART_COUNT);
    for (size_t i = 0; i < RELEVANCE_PART_COUNT; i++) {
        here[i] = (double)tkr_array_f32(array)[i];
        there[i] = json_number_value(json_object_get(ledger, relevance_part_ids[i])); /* 0 when it has no such part */
    }
    here[RELEVANCE_PART_COUNT] = there[RELEVANCE_PART_COUNT] = scale;
    assert_close_tensor(key, TENSOR(here, RELEVANCE_PART_COUNT + 1), TENSOR(there, RELEVANCE_PART_COUNT + 1), ALLOWED(r, golden_relevance));
    tkr_check check;
    assert_true(tkr_result_check(got, 0, &check));
    double found[] = {check.expected, scale}, wanted[] = {json_number_value(json_object_get(entry, "seed_dot_logits")), scale};
    assert_string_equal(check.name, "conservation");
    assert_true(check.ok);
    assert_close_tensor(key, TENSOR(found, 2), TENSOR(wanted, 2), TOLERANCE_golden_t5_logits);
}

static void compare_public(reference *r, const struct way *w, const char *unit, tensor want)
{
    tkr_question asked = reference_question(r, unit);
    tkr_result *got = reference_explain(r, &asked, w->id, w->id);
    reference_compare(r, got, w->scores, w->scores, want,
                      is_hard(r, w, unit) ? TOLERANCE_golden_relevance_hard : ALLOWED(r, golden_relevance));
    compare_ledger(r, got, w, unit);
    tkr_result_free(got);
}

/* Relevance of every logit, and of log-probabilities where the question has one, is never missing. */
static bool is_demanded(const reference *r, const char *unit)
{
    return strcmp(unit, "logit") == 0 || (strcmp(unit, "logprob") == 0 && json_object_get(json_object_get(r->gradients->json, "f"), unit));
}

static void compare_case(reference *r)
{
    static const char *const measures[] = {"logit", "diff", "logprob", "prob"};
    for (size_t m = 0; m < sizeof measures / sizeof *measures; m++)
        for (size_t k = 0; k < WAYS; k++) {
            char name[NAME_ROOM];
            tensor want;
            if (!find(r, &ways[k], measures[m], "relevance", name, &want)) {
                assert_false(is_demanded(r, measures[m]));
                continue;
            }
            compare_below(r, &ways[k], measures[m]);
            compare_layers(r, &ways[k], measures[m]);
            compare_public(r, &ways[k], measures[m], want);
        }
}

/* ---- generation matrices ----------------------------------------------------------------------------------------- */

static void compare_matrices(reference *r)
{
    static const char *const measures[] = {"logit", "logprob"};
    for (size_t m = 0; m < 2; m++) {
        tkr_question q = reference_matrix_question(r);
        q.output_ids = r->outputs;
        q.output_id_count = r->output_count;
        q.measure = measures[m];
        tkr_result *got = reference_explain(r, &q, "attnlrp,cp-lrp", r->matrix->model);
        for (size_t k = 0; k < WAYS; k++) {
            char name[NAME_ROOM];
            snprintf(name, sizeof name, "%s.%s", ways[k].golden, measures[m]);
            r->compared += reference_compare_matrix(r, got, ways[k].scores, name, ALLOWED(r, golden_relevance));
        }
        tkr_result_free(got);
    }
}

static void test_relevance__is_the_reference(void **state) { (void)state; reference_each(compare_case, 2); }
static void test_relevance__matrices_are_the_reference(void **state) { (void)state; reference_each_matrix(compare_matrices, 4); }

/* ---- invariants over random tiny models -------------------------------------------------------------------------- */

static const struct kind {
    const char *family;
    made_head head;
    bool has_constants; /* biases, or embeddings that are added */
    const char *activation;
} kinds[] = {{"bert", MADE_CLASSIFIER, true, NULL},      {"bert", MADE_MASKED_LM, true, "relu"},
             {"bert", MADE_TOKENS, true, NULL},          {"bert", MADE_SPAN, true, NULL},
             {"distilbert", MADE_CLASSIFIER, true, NULL}, {"roberta", MADE_CLASSIFIER, true, NULL},
             {"electra", MADE_CLASSIFIER, true, NULL},   {"albert", MADE_CLASSIFIER, true, NULL},
             {"gpt2", MADE_NEXT_TOKEN, true, NULL},      {"gpt2", MADE_CLASSIFIER, true, NULL},
             {"llama", MADE_NEXT_TOKEN, false, NULL},    {"qwen2", MADE_NEXT_TOKEN, true, NULL},
             {"mistral", MADE_NEXT_TOKEN, false, NULL},  {"t5", MADE_SEQUENCE_TO_SEQUENCE, false, NULL}};
enum { KINDS = sizeof kinds / sizeof *kinds, WORDS = 7 };

typedef void check_fn(made *m, const struct kind *kind, const char *text);

static void on_all_kinds(check_fn *check)
{
    for (size_t k = 0; k < KINDS; k++)
        for (uint64_t seed = 1; seed <= 2; seed++) {
            model_recipe recipe = made_recipe(kinds[k].family, kinds[k].head, seed);
            recipe.gated = seed == 2;
            if (kinds[k].head == MADE_NEXT_TOKEN)
                recipe.hidden = 40; /* rotary heads are even */
            if (kinds[k].activation)
                recipe.activation = kinds[k].activation;
            made m = made_open(&recipe, NULL);
            char *text = made_text(&m, WORDS, seed);
            check(&m, &kinds[k], text);
            free(text);
            made_close(&m);
        }
}

static tkr_question ask(const struct kind *kind, const char *text)
{
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.features = "tokens";
    if (kind->head == MADE_NEXT_TOKEN || kind->head == MADE_SEQUENCE_TO_SEQUENCE) {
        q.target = "all";
        q.max_new = 3;
    }
    return q;
}

/* INV-LRP2: what comes in is on tokens or in the ledger, wherever relevance ends.  INV-LRP3: without constants CP-LRP keeps
 * nothing, and the tokens have all of f. */
static void check_conserved(made *m, const struct kind *kind, const char *text)
{
    static const char *const places[] = {"word", "sum", "embeddings"};
    for (size_t p = 0; p < 3; p++) {
        tkr_question q = ask(kind, text);
        q.at = places[p];
        tkr_result *r = made_explain(m, &q, "attnlrp,cp-lrp");
        tkr_check check;
        size_t checks = 0;
        for (; tkr_result_check(r, checks, &check); checks++) {
            double got = 1 + check.gap, want = 1;
            assert_true(check.ok);
            assert_true(fabs(check.expected) > 0);
            assert_close_tensor("conservation", TENSOR(&got, 1), TENSOR(&want, 1), TOLERANCE_ledger);
        }
        assert_int_equal(checks, 2 * r->target_count);
        const tkr_array *full = tkr_result_array(r, "attnlrp.ledger"), *cp = tkr_result_array(r, "cp-lrp.ledger");
        bool keeps = false;
        for (size_t i = 0; i < tkr_array_size(cp); i++) {
            keeps = keeps || tkr_array_f32(cp)[i] != 0;
            assert_true(i % RELEVANCE_PART_COUNT != RELEVANCE_SOFTMAX || (tkr_array_f32(cp)[i] == 0 && tkr_array_f32(full)[i] != 0));
        }
        assert_int_equal(keeps, kind->has_constants);
        tkr_result_free(r);
    }
}
static void test_relevance__is_conserved(void **state) { (void)state; on_all_kinds(check_conserved); }

/* Scores, the special number and the ledger are what the check counted. */
static void check_sums(made *m, const struct kind *kind, const char *text)
{
    tkr_question q = ask(kind, text);
    tkr_result *r = made_explain(m, &q, "attnlrp,cp-lrp");
    for (size_t k = 0; k < WAYS; k++) {
        const tkr_array *scores = tkr_result_array(r, ways[k].scores), *ledger = tkr_result_array(r, ways[k].ledger);
        double sum = isnan(r->runs[k].special) ? 0 : r->runs[k].special, sizes = fabs(sum);
        for (size_t i = 0; i < tkr_array_extent(scores, 1); i++) { /* of the first target; the future has none */
            double value = (double)tkr_array_f32(scores)[i];
            sum += isnan(value) ? 0 : value;
            sizes += isnan(value) ? 0 : fabs(value);
        }
        for (size_t i = 0; i < RELEVANCE_PART_COUNT; i++) {
            sum += (double)tkr_array_f32(ledger)[i];
            sizes += fabs((double)tkr_array_f32(ledger)[i]);
        }
        tkr_check check;
        assert_true(tkr_result_check(r, k * r->target_count, &check));
        assert_string_equal(check.method, ways[k].id);
        assert_true(fabs(sum - check.expected) <= 1e-4 * sizes);
        if (strcmp(r->targets[0].measure, "logit") == 0 && !r->targets[0].foil) /* then <df/dz, z> is f */
            assert_true(fabs(check.expected - r->targets[0].value) <= 1e-5 * fabs(check.expected));
    }
    tkr_result_free(r);
}
static void test_relevance__scores_and_ledger_add_up(void **state) { (void)state; on_all_kinds(check_sums); }

/* INV-LRP5: relevance and ledger of a contrast are the differences. */
static void check_contrast(made *m, const struct kind *kind, const char *text)
{
    if (kind->head != MADE_CLASSIFIER)
        return;
    static const char *const targets[] = {"class:0", "class:2", "class:0~class:2"};
    tkr_result *r[3];
    for (size_t i = 0; i < 3; i++) {
        tkr_question q = ask(kind, text);
        q.target = targets[i];
        r[i] = made_explain(m, &q, "attnlrp,cp-lrp");
    }
    for (size_t k = 0; k < 2 * WAYS; k++) {
        const char *name = k % 2 ? ways[k / 2].ledger : ways[k / 2].scores;
        size_t count;
        const float *a = made_scores(r[0], name, &count), *b = made_scores(r[1], name, NULL), *both = made_scores(r[2], name, NULL);
        double got[64], want[64], scale = 0;
        for (size_t i = 0; i < count; i++) {
            got[i] = (double)both[i];
            want[i] = (double)a[i] - (double)b[i];
            scale = fmax(scale, fmax(fabs((double)a[i]), fabs((double)b[i])));
        }
        got[count] = want[count] = scale;
        assert_close_tensor(name, TENSOR(got, count + 1), TENSOR(want, count + 1), TOLERANCE_linearity);
    }
    for (size_t i = 0; i < 3; i++)
        tkr_result_free(r[i]);
}
static void test_relevance__contrast_is_the_difference(void **state) { (void)state; on_all_kinds(check_contrast); }

/* All targets after one forward run are what each is alone; the gradient methods beside them stay what they were. */
static void check_all_targets(made *m, const struct kind *kind, const char *text)
{
    if (kind->head != MADE_NEXT_TOKEN && kind->head != MADE_SEQUENCE_TO_SEQUENCE)
        return;
    tkr_question q = ask(kind, text);
    tkr_result *all = made_explain(m, &q, "gxi,attnlrp,cp-lrp"), *plain = made_explain(m, &q, "gxi");
    const tkr_array *scores = tkr_result_array(all, "cp-lrp.scores");
    size_t features = tkr_array_extent(scores, 1);
    tkr_run_facts facts;
    assert_true(tkr_result_run(all, 1, &facts));
    assert_int_equal(facts.forward, 0);
    assert_int_equal(facts.backward, all->target_count);
    assert_memory_equal(tkr_array_f32(tkr_result_array(all, "gxi.scores")), tkr_array_f32(tkr_result_array(plain, "gxi.scores")),
                        tkr_array_size(scores) * sizeof(float));
    char last[SPEC_ROOM];
    snprintf(last, sizeof last, "gen:%zu", all->target_count - 1);
    q.target = last;
    tkr_result *one = made_explain(m, &q, "cp-lrp");
    const tkr_array *alone = tkr_result_array(one, "cp-lrp.scores");
    double got[64], want[64];
    size_t count = tkr_array_extent(alone, 1);
    assert_true(count <= features && count <= 64);
    for (size_t i = 0; i < count; i++) {
        got[i] = (double)tkr_array_f32(alone)[i];
        want[i] = (double)tkr_array_f32(scores)[(all->target_count - 1) * features + i];
    }
    assert_close_tensor("alone", TENSOR(got, count), TENSOR(want, count), TOLERANCE_linearity);
    tkr_result_free(all);
    tkr_result_free(plain);
    tkr_result_free(one);
}
static void test_relevance__all_targets_are_each_alone(void **state) { (void)state; on_all_kinds(check_all_targets); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_relevance__is_the_reference),
        cmocka_unit_test(test_relevance__matrices_are_the_reference),
        cmocka_unit_test(test_relevance__is_conserved),
        cmocka_unit_test(test_relevance__scores_and_ledger_add_up),
        cmocka_unit_test(test_relevance__contrast_is_the_difference),
        cmocka_unit_test(test_relevance__all_targets_are_each_alone),
    };
    int failed = cmocka_run_group_tests_name("relevance", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
