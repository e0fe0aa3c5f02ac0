/*
 * Manners of the public API: arguments that are missing, results that outlive model and session, a model shared by threads,
 * errors that can be left out, and a folder whose weights are wrong.
 */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/made.h"

static void test_api__missing_arguments_are_answered(void **state)
{
    (void)state;
    tkr_error error = {0};
    assert_null(tkr_model_open(NULL, NULL, &error));
    assert_int_not_equal(error.code, TKR_OK);
    tkr_error_clear(&error);
    assert_null(tkr_session_new(NULL, NULL, &error));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
    tkr_error_clear(&error);
    assert_null(tkr_explain(NULL, NULL, NULL, &error));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
    assert_null(tkr_explain(NULL, NULL, NULL, NULL));
    assert_null(tkr_capture(NULL, NULL, NULL, NULL));
    assert_null(tkr_gradient(NULL, NULL, NULL));
    assert_int_not_equal(tkr_plan_explain(NULL, NULL, NULL, NULL, NULL), TKR_OK);
    tkr_model_facts facts;
    tkr_model_describe(NULL, &facts);
    assert_null(facts.name);
    assert_null(tkr_model_label(NULL, 0));
    assert_null(tkr_model_note(NULL, 0));
    assert_string_equal(tkr_model_weights_sha256(NULL), "");
    assert_null(tkr_result_array(NULL, "x"));
    assert_null(tkr_result_array_at(NULL, 0));
    assert_null(tkr_array_name(NULL));
    assert_null(tkr_axis_label(NULL, 0));
    assert_false(tkr_result_run(NULL, 0, NULL));
    assert_int_equal(tkr_array_size(NULL), 0);
    assert_int_equal(tkr_session_threads(NULL), 0);
    tkr_result_free(NULL);
    tkr_session_free(NULL);
    tkr_model_close(NULL);
    tkr_encoding_free(NULL);
    tkr_string_free(NULL);
    tkr_error_clear(NULL);
    tkr_model_list_free(NULL);
}

static void test_api__a_result_outlives_model_and_session(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 1);
    made m = made_open(&recipe, NULL);
    tkr_question q = tkr_question_defaults();
    char text[] = "the plot is thin";
    q.text = text;
    tkr_result *r = made_explain(&m, &q, "all");
    memset(text, 'x', sizeof text - 1);
    made_close(&m);
    assert_string_equal(tkr_axis_label(tkr_array_axis(tkr_result_array(r, "ig.scores"), 1), 3), "thin");
    tkr_prediction p;
    assert_true(tkr_result_prediction(r, 0, &p));
    assert_true(strncmp(p.label, "class ", 6) == 0);
    tkr_result_free(r);
}

typedef struct worker {
    const tkr_model *model;
    float scores[3][16];
    bool done;
} worker;

static void *explain_in_thread(void *user)
{
    worker *w = user;
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = 2;
    tkr_session *session = tkr_session_new(w->model, &options, NULL);
    tkr_question q = tkr_question_defaults();
    q.text = "the plot is thin but fine";
    tkr_result *r = tkr_explain(session, &q, "all", NULL);
    for (size_t i = 0; r && i < 3; i++) {
        const tkr_array *a = tkr_result_array_at(r, i);
        memcpy(w->scores[i], tkr_array_f32(a), tkr_array_size(a) * sizeof(float));
    }
    w->done = r != NULL;
    tkr_result_free(r);
    tkr_session_free(session);
    return NULL;
}

static void test_api__threads_share_a_model(void **state)
{
    (void)state;
    enum { WORKERS = 4 };
    model_recipe recipe = made_recipe("distilbert", MADE_CLASSIFIER, 2);
    made m = made_open(&recipe, NULL);
    pthread_t threads[WORKERS];
    static worker workers[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) { /* all at once pack the same weights for the first time */
        workers[i].model = m.model;
        assert_int_equal(pthread_create(&threads[i], NULL, explain_in_thread, &workers[i]), 0);
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < WORKERS; i++) {
        assert_true(workers[i].done);
        assert_memory_equal(workers[i].scores, workers[0].scores, sizeof workers[0].scores);
    }
    made_close(&m);
}

static void plant_nan(made_tensor *t, void *user)
{
    if (strcmp(t->name, user) == 0) {
        t->bad_count = 1;
        t->bad_at = 3;
        t->bad_value = (double)NAN;
    }
}

/* Without the scan at load, a NaN is named where it comes out, and never shown as a number. */
static void test_api__nan_in_a_weight_is_never_a_score(void **state)
{
    (void)state;
    char name[] = "bert.encoder.layer.1.output.dense.weight", folder[WORK_PATH];
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 3);
    recipe.edit = plant_nan;
    recipe.edit_user = name;
    assert_true(work_folder_new(folder) && make_model(folder, &recipe));
    tkr_error error = {0};
    assert_null(tkr_model_open(folder, NULL, &error));
    assert_int_equal(error.code, TKR_E_WEIGHT_NONFINITE);
    assert_non_null(strstr(error.message, name));
    tkr_error_clear(&error);
    tkr_model_options options = tkr_model_options_defaults();
    options.no_weight_scan = true;
    tkr_model *model = tkr_model_open(folder, &options, &error);
    assert_non_null(model);
    tkr_session *session = tkr_session_new(model, NULL, &error);
    tkr_question q = tkr_question_defaults();
    q.text = "the plot is thin";
    assert_null(tkr_explain(session, &q, "all", &error));
    assert_int_equal(error.code, TKR_E_NUM_FORWARD);
    assert_non_null(strstr(error.message, "layer.1.mlp_output"));
    tkr_session_free(session);
    tkr_model_close(model);
    work_folder_remove(folder);
}

static void test_api__statuses_have_names_exits_and_meanings(void **state)
{
    (void)state;
    assert_string_equal(tkr_status_name(TKR_OK), "ok");
    assert_string_equal(tkr_status_name(TKR_E_ST_OVERLAP), "st.overlap");
    assert_int_equal(tkr_status_exit_code(TKR_E_USAGE_OPTION), 2);
    assert_int_equal(tkr_status_exit_code(TKR_E_INPUT_EMPTY), 3);
    assert_int_equal(tkr_status_exit_code(TKR_E_ST_GAP), 4);
    assert_int_equal(tkr_status_exit_code(TKR_OK), 0);
    assert_string_equal(tkr_status_name((tkr_status)9999), "internal");
    assert_string_equal(tkr_version(), TKR_VERSION_STRING);
    assert_non_null(strstr(tkr_build_info(), "cpu "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_api__missing_arguments_are_answered),
        cmocka_unit_test(test_api__a_result_outlives_model_and_session),
        cmocka_unit_test(test_api__threads_share_a_model),
        cmocka_unit_test(test_api__nan_in_a_weight_is_never_a_score),
        cmocka_unit_test(test_api__statuses_have_names_exits_and_meanings),
    };
    return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
