/* Questions of the reference numbers; see reference.h. */
#include "explain/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const char *const reference_measures[REFERENCE_MEASURES] = {"logit", "diff", "logprob", "prob", "logodds", "margin", "meanfoil"};

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

void reference_open(reference *r, const char *root, const char *name)
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

void reference_close(reference *r)
{
    tkr_session_free(r->session);
    tkr_model_close(r->model);
    golden_close(r->gradients);
    golden_close(r->perturbation);
}

bool reference_has_decoder(const reference *r) { return r->output_count > 0; }

tkr_question reference_question(const reference *r, const char *measure)
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

tkr_result *reference_explain(const reference *r, const tkr_question *q, const char *methods, const char *what)
{
    tkr_error error = {0};
    tkr_result *result = tkr_explain(r->session, q, methods, &error);
    if (!result)
        fail_msg("%s: %s", what, error.message);
    return result;
}

void reference_compare(const reference *r, const tkr_result *got, const char *array, const char *name, tensor want, tolerance allowed)
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

typedef struct sweep {
    const char *root;
    reference_fn *compare;
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
    reference_open(&r, s->root, name);
    s->compare(&r);
    s->compared += r.compared;
    s->cases++;
    reference_close(&r);
}

size_t reference_each(reference_fn *compare, size_t at_least)
{
    size_t compared = 0;
    for (size_t i = 0; golden_root(i); i++) {
        sweep s = {.root = golden_root(i), .compare = compare};
        golden_each(s.root, visit_case, &s);
        assert_true(s.cases >= 5);
        assert_true(s.compared >= at_least * s.cases);
        compared += s.compared;
    }
    return compared;
}

