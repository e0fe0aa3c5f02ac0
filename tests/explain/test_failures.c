/*
 * What happens when memory ends: every allocation of open, explain and free fails once, and from then on; the plan against
 * what was really held; budgets at and below what is needed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "explain/made.h"

static const char *const sentence = "the cat sat";

/* Open, explain with all methods, present nothing, free.  True when all went well. */
static bool whole_story(const char *folder, tkr_error *error)
{
    tkr_model *model = tkr_model_open(folder, NULL, error);
    tkr_session *session = model ? tkr_session_new(model, NULL, error) : NULL;
    tkr_question q = tkr_question_defaults();
    q.text = sentence;
    tkr_result *r = session ? tkr_explain(session, &q, "ig:steps=3,gxi,occlusion,ig:gap=0.1", error) : NULL;
    bool done = r != NULL;
    tkr_result_free(r);
    tkr_session_free(session);
    tkr_model_close(model);
    return done;
}

static void fail_each(const char *folder, int every)
{
    tkr_error error = {0};
    uint64_t held = tkr_memory_now();
    memory_fail_at(0, 0);
    assert_true(whole_story(folder, &error));
    uint64_t allocations = memory_allocations();
    assert_true(allocations > 50);
    assert_int_equal(tkr_memory_now(), held);
    for (uint64_t n = 1; n <= allocations; n++) {
        tkr_error now = {0};
        memory_fail_at(n, every);
        bool done = whole_story(folder, &now);
        memory_fail_at(0, 0);
        if (!done && now.code != TKR_E_LIMIT_OOM && now.code != TKR_E_LIMIT_BUFFER)
            fail_msg("allocation %d of %d: %s: %s", (int)n, (int)allocations, tkr_status_name(now.code), now.message);
        if (tkr_memory_now() != held)
            fail_msg("allocation %d of %d: %d bytes are left", (int)n, (int)allocations, (int)(tkr_memory_now() - held));
    }
    assert_true(whole_story(folder, &error));
}

static void test_failures__every_allocation_may_fail_once(void **state)
{
    (void)state;
    const char *const families[] = {"bert", "distilbert"};
    for (size_t i = 0; i < 2; i++) {
        char folder[WORK_PATH];
        model_recipe recipe = made_recipe(families[i], MADE_CLASSIFIER, 1);
        recipe.layers = 1;
        assert_true(work_folder_new(folder) && make_model(folder, &recipe));
        fail_each(folder, 0);
        fail_each(folder, 1);
        work_folder_remove(folder);
    }
}

/* The plan counts all of the heap: peak <= plan <= 1.15 peak + 16 MiB. */
static void expect_plan(const model_recipe *recipe, size_t words, const char *methods, const char *removal)
{
    made m = made_open(recipe, NULL);
    char *text = made_text(&m, words, 1);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    q.removal = removal;
    tkr_plan plan;
    tkr_error error = {0};
    if (tkr_plan_explain(m.session, &q, methods, &plan, &error))
        fail_msg("plan: %s", error.message);
    tkr_memory_reset_peak();
    tkr_result_free(made_explain(&m, &q, methods));
    uint64_t peak = tkr_memory_peak();
    if (peak > plan.bytes || (double)plan.bytes > 1.15 * (double)peak + 16.0 * (1 << 20))
        fail_msg("%s, %d words: plan %.1f KiB (activations %.1f, weights %.1f, results %.1f), peak %.1f KiB", methods, (int)words,
                 (double)plan.bytes / 1024, (double)plan.bytes_activations / 1024, (double)plan.bytes_weights / 1024,
                 (double)plan.bytes_results / 1024, (double)peak / 1024);
    free(text);
    made_close(&m);
}

static void test_failures__the_plan_holds(void **state)
{
    (void)state;
    for (size_t h = 0; h < 2; h++) {
        model_recipe recipe = made_recipe(h ? "bert" : "distilbert", h ? MADE_MASKED_LM : MADE_CLASSIFIER, 3);
        recipe.hidden = 80;
        recipe.inner = 320;
        recipe.positions = 512;
        recipe.vocab = 1000;
        expect_plan(&recipe, 5, "gxi", NULL);
        expect_plan(&recipe, 40, "ig", NULL);
        expect_plan(&recipe, 200, "ig:steps=8", NULL);
        expect_plan(&recipe, 20, "ig:gap=0.1", NULL);
        expect_plan(&recipe, 40, "gradient,smoothgrad", NULL);
        expect_plan(&recipe, 200, "smoothgrad:kind=vargrad", NULL);
        expect_plan(&recipe, 100, "expected-gradients", NULL);
        expect_plan(&recipe, 20, "sequential-ig:steps=8,baseline=mean+zero", NULL);
        expect_plan(&recipe, 60, "occlusion", "attn");
        expect_plan(&recipe, 40, "occlusion", "delete");
        expect_plan(&recipe, 40, "ig:steps=4,gxi,occlusion", "mean");
    }
}

static tkr_status try_budget(const model_recipe *recipe, uint64_t bytes, uint64_t *wanted)
{
    tkr_session_options options = tkr_session_options_defaults();
    options.memory_bytes = bytes;
    made m = made_open(recipe, &options);
    char *text = made_text(&m, 30, 1);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    tkr_error error = {0};
    tkr_plan plan;
    tkr_status status = tkr_plan_explain(m.session, &q, "all", &plan, &error);
    *wanted = plan.bytes;
    tkr_error again = {0};
    tkr_result *r = tkr_explain(m.session, &q, "all", &again);
    if (again.code != status)
        fail_msg("plan: %s, explain: %s", error.message, again.message);
    assert_int_equal(r != NULL, status == TKR_OK);
    tkr_result_free(r);
    free(text);
    made_close(&m);
    return status;
}

static void test_failures__budgets_shrink_batches_and_then_refuse(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 5);
    recipe.hidden = 80;
    recipe.inner = 320;
    uint64_t whole, smallest, again;
    assert_int_equal(try_budget(&recipe, 0, &whole), TKR_OK);
    assert_int_equal(try_budget(&recipe, 1, &smallest), TKR_E_LIMIT_MEMORY);
    assert_true(smallest < whole);
    if (try_budget(&recipe, smallest, &again))
        fail_msg("%d bytes were to be enough, now %d are wanted", (int)smallest, (int)again);
    assert_true(again <= smallest);
    assert_int_equal(try_budget(&recipe, again - 1, &whole), TKR_E_LIMIT_MEMORY);
}

/* Hundreds of explanations in one process hold no more than the first few. */
static void test_failures__memory_stays_flat(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("distilbert", MADE_CLASSIFIER, 6);
    recipe.layers = 1;
    made m = made_open(&recipe, NULL);
    tkr_question q = tkr_question_defaults();
    q.text = sentence;
    uint64_t held = 0;
    for (size_t i = 0; i < 300; i++) {
        tkr_result_free(made_explain(&m, &q, "gxi,occlusion"));
        if (i == 2)
            held = tkr_memory_now();
    }
    assert_int_equal(tkr_memory_now(), held);
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures__every_allocation_may_fail_once),
        cmocka_unit_test(test_failures__the_plan_holds),
        cmocka_unit_test(test_failures__budgets_shrink_batches_and_then_refuse),
        cmocka_unit_test(test_failures__memory_stays_flat),
    };
    return cmocka_run_group_tests_name("failures", tests, NULL, NULL);
}
