/*
 * Generation: greedy outputs, teacher-forced steps and generation matrices against reference numbers made in float64 elsewhere
 * (tests/data, and TOKRAY_ORACLE when it is set); and what must hold on any model (methods.md 7, INV-Q1 to Q5).
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

#include "explain/reference.h"
#include "explain/result.h"

/* Logits this close may swap in float32 (the reference's own figure). */
static const double SAFE_MARGIN = 1e-3;

/* ---- greedy outputs ---------------------------------------------------------------------------------------------- */

static void generate_like(reference *r, const char *input, const json_t *greedy)
{
    int32_t want[TOKENS_MOST];
    golden_input in;
    tkr_error error = {0};
    const json_t *new_ids = json_object_get(greedy, "new_ids");
    size_t count = json_array_size(new_ids);
    for (size_t i = 0; i < count; i++)
        want[i] = (int32_t)json_integer_value(json_array_get(new_ids, i));
    const json_t *margins = json_object_get(greedy, "margins");
    assert_true(golden_input_named(r->forward, input, &in));
    tkr_question q = reference_matrix_question(r);
    q.ids = in.ids;
    q.id_count = in.count;
    q.max_new = count;
    tkr_result *got = tkr_generate(r->session, &q, &error);
    if (!got)
        fail_msg("%s %s: %s", r->matrix->model, input, error.message);
    size_t step = 0;
    bool is_safe = true;
    for (size_t i = 0; is_safe && i < got->token_count && step < count; i++) {
        if (got->tokens[i].step < 0)
            continue;
        assert_int_equal(got->tokens[i].token.id, want[step]);
        is_safe = json_number_value(json_array_get(margins, step++)) >= SAFE_MARGIN; /* else float32 may go another way */
    }
    const char *end;
    tkr_result_output(got, &end);
    assert_true(step > 0);
    if (is_safe && step < count) /* the reference goes on after an end token */
        assert_string_equal(end, "eos");
    tkr_result_free(got);
}

static void compare_greedy(reference *r)
{
    const char *input;
    json_t *greedy;
    json_object_foreach(json_object_get(r->forward->json, "greedy"), input, greedy)
        generate_like(r, input, greedy);
}

/* ---- matrices ---------------------------------------------------------------------------------------------------- */

static void compare_matrices(reference *r)
{
    static const char *const measures[] = {"logit", "logprob"};
    for (size_t m = 0; m < 2; m++) {
        char name[64];
        tkr_error error = {0};
        tkr_question q = reference_matrix_question(r);
        q.output_ids = r->outputs;
        q.output_id_count = r->output_count;
        q.measure = measures[m];
        tkr_result *got = tkr_explain(r->session, &q, "gxi,occlusion", &error);
        if (!got)
            fail_msg("%s: %s", r->matrix->model, error.message);
        snprintf(name, sizeof name, "gradxinput.%s", measures[m]);
        assert_true(reference_compare_matrix(r, got, "gxi.scores", name, ALLOWED(r, golden_gxi)));
        snprintf(name, sizeof name, "occlusion.attn.%s", measures[m]);
        assert_true(reference_compare_matrix(r, got, "occlusion.scores", name, TOLERANCE_golden_score));
        snprintf(name, sizeof name, "f.%s", measures[m]);
        tensor f = golden_array(r->matrix, name);
        for (size_t t = 0; t < r->output_count; t++) {
            tkr_target_facts facts;
            assert_true(tkr_result_target(got, t, &facts));
            assert_int_equal(facts.index, r->outputs[t]);
            assert_int_equal(facts.step, t);
            assert_close_tensor(name, TENSOR(&facts.value, 1), TENSOR(f.f64 + t, 1), TOLERANCE_golden_t5_logits);
        }
        tkr_result_free(got);
    }
}

/* ---- invariants -------------------------------------------------------------------------------------------------- */

/* INV-Q3: the steps' scores add up to those of their sum; INV-Q1: and so do their values. */
static void check_sum(reference *r)
{
    tkr_question q = reference_matrix_question(r);
    q.measure = "logprob";
    q.max_new = 4;
    tkr_result *each = reference_explain(r, &q, "gxi", r->matrix->model);
    q.per_target = "sum";
    tkr_result *sum = reference_explain(r, &q, "gxi", r->matrix->model);
    const tkr_array *a = tkr_result_array(each, "gxi.scores"), *b = tkr_result_array(sum, "gxi.scores");
    size_t steps = tkr_array_extent(a, 0), features = tkr_array_extent(a, 1);
    double added[TOKENS_MOST] = {0}, whole[TOKENS_MOST], value = 0;
    for (size_t t = 0; t < steps; t++) {
        tkr_target_facts facts;
        tkr_result_target(each, t, &facts);
        value += facts.value;
        for (size_t f = 0; f < features; f++) {
            float score = tkr_array_f32(a)[t * features + f];
            added[f] += isnan(score) ? 0 : (double)score;
        }
    }
    for (size_t f = 0; f < features; f++)
        whole[f] = (double)tkr_array_f32(b)[f];
    assert_int_equal(tkr_array_extent(b, 0), 1);
    assert_close_tensor("sum over steps", TENSOR(whole, features), TENSOR(added, features), TOLERANCE_linearity);
    tkr_target_facts facts;
    tkr_result_target(sum, 0, &facts);
    assert_string_equal(facts.kind, "output");
    assert_close_tensor("value", TENSOR(&facts.value, 1), TENSOR(&value, 1), TOLERANCE_linearity);
    tkr_result_free(each);
    tkr_result_free(sum);
}

/* INV-Q4: a step explained alone, on just the rows before it, has the scores it has in the matrix. */
static void check_single_step(reference *r)
{
    tkr_question q = reference_matrix_question(r);
    q.output_ids = r->outputs;
    q.output_id_count = r->output_count;
    q.removal = "unk"; /* no read row is exempt */
    tkr_result *all = reference_explain(r, &q, "gxi,occlusion", r->matrix->model);
    q.target = "gen:2";
    tkr_result *one = reference_explain(r, &q, "gxi,occlusion", r->matrix->model);
    static const char *const arrays[] = {"gxi.scores", "occlusion.scores"};
    for (size_t k = 0; k < 2; k++) {
        const tkr_array *a = tkr_result_array(all, arrays[k]), *b = tkr_result_array(one, arrays[k]);
        size_t features = tkr_array_extent(b, 1);
        double in_matrix[TOKENS_MOST], alone[TOKENS_MOST];
        for (size_t f = 0; f < features; f++) {
            in_matrix[f] = (double)tkr_array_f32(a)[2 * tkr_array_extent(a, 1) + f];
            alone[f] = (double)tkr_array_f32(b)[f];
        }
        assert_close_tensor(arrays[k], TENSOR(alone, features), TENSOR(in_matrix, features), TOLERANCE_all_at_once);
    }
    tkr_result_free(all);
    tkr_result_free(one);
}

/* INV-Q5: completeness of each step by itself. */
static void check_completeness(reference *r)
{
    tkr_question q = reference_matrix_question(r);
    q.output_ids = r->outputs;
    q.output_id_count = r->output_count;
    tkr_result *got = reference_explain(r, &q, "ig:gap=0.001", r->matrix->model);
    tkr_check check;
    size_t checks = 0, missed = 0;
    for (; tkr_result_check(got, checks, &check); checks++) {
        double short_by = fabs(check.actual - check.expected);
        bool is_close = short_by <= 0.02 * fmax(fabs(check.expected), 1e-2) + 1e-4;
        assert_true(is_close || r->has_decoder); /* T5's kinks may cost more than the 300 points there are; then it says so */
        assert_true(check.ok || short_by > 1e-3);
        missed += !check.ok;
    }
    tkr_warning warning;
    assert_true(missed == 0 || tkr_result_warning(got, 0, &warning)); /* it also warns of a gap asked for and not reached */
    assert_int_equal(checks, r->output_count);
    tkr_result_free(got);
}

static void test_generation__greedy_output_is_the_reference(void **state) { (void)state; reference_each_matrix(compare_greedy, 0); }
static void test_generation__matrices_are_the_reference(void **state) { (void)state; reference_each_matrix(compare_matrices, 0); }
static void test_generation__steps_add_up(void **state) { (void)state; reference_each_matrix(check_sum, 0); }
static void test_generation__step_alone_is_the_row_of_the_matrix(void **state) { (void)state; reference_each_matrix(check_single_step, 0); }
static void test_generation__each_step_is_complete(void **state) { (void)state; reference_each_matrix(check_completeness, 0); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generation__greedy_output_is_the_reference),
        cmocka_unit_test(test_generation__matrices_are_the_reference),
        cmocka_unit_test(test_generation__steps_add_up),
        cmocka_unit_test(test_generation__step_alone_is_the_row_of_the_matrix),
        cmocka_unit_test(test_generation__each_step_is_complete),
    };
    int failed = cmocka_run_group_tests_name("generation", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
