/* Questions of the reference numbers; see reference.h. */
#include "explain/reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/result.h"

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

static void open_model(reference *r, const golden *g)
{
    tkr_error error = {0};
    r->model = tkr_model_open(g->model, NULL, &error);
    r->session = r->model ? tkr_session_new(r->model, NULL, &error) : NULL;
    if (!r->session)
        fail_msg("%s: %s", g->model, error.message);
    r->has_decoder = json_array_size(json_object_get(g->json, "decoder_ids")) > 0;
}

static golden *open_stage(const char *root, const char *name, const char *stage)
{
    char file[NAME_ROOM];
    snprintf(file, sizeof file, "%.90s.%s", name, stage);
    return golden_open(root, file);
}

static void open_question(reference *r, const char *root, const char *name)
{
    r->gradients = open_stage(root, name, "gradients");
    r->perturbation = open_stage(root, name, "perturbation");
    open_model(r, r->gradients);
    const json_t *json = r->gradients->json;
    r->count = read_ints(json_object_get(json, "ids"), r->ids);
    size_t types = read_ints(json_object_get(json, "token_type_ids"), r->types);
    assert_true(types == r->count || types == 0); /* families without token types have none */
    read_outputs(r);
    write_side(r, r->target, "target");
    if (json_is_integer(json_object_get(json, "foil"))) {
        char foil[SPEC_ROOM];
        write_side(r, foil, "foil");
        snprintf(r->contrast, sizeof r->contrast, "%.100s~%.100s", r->target, foil);
    }
}

static void open_matrix(reference *r, const char *root, const char *name)
{
    r->forward = golden_open(root, name);
    r->matrix = open_stage(root, name, "generation");
    open_model(r, r->matrix);
    r->count = read_ints(json_object_get(r->matrix->json, r->has_decoder ? "source_ids" : "ids"), r->ids);
    r->output_count = read_ints(json_object_get(r->matrix->json, "generated"), r->outputs);
}

static void close_reference(reference *r)
{
    golden *const all[] = {r->gradients, r->perturbation, r->forward, r->matrix};
    tkr_session_free(r->session);
    tkr_model_close(r->model);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i])
            golden_close(all[i]);
}

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

tkr_question reference_matrix_question(const reference *r)
{
    tkr_question q = tkr_question_defaults();
    q.ids = r->ids;
    q.id_count = r->count;
    q.features = "tokens";
    q.target = "all";
    return q;
}

bool reference_compare_matrix(const reference *r, const tkr_result *got, const char *array, const char *name, tolerance allowed)
{
    tensor want;
    if (!golden_find(r->matrix, name, &want))
        return false;
    const tkr_array *a = tkr_result_array(got, array);
    size_t steps = want.shape[0], columns = want.shape[1], features = tkr_array_extent(a, 1), defined = 0;
    double *here = calloc(steps * columns, sizeof *here), *there = calloc(steps * columns, sizeof *there);
    assert_int_equal(tkr_array_extent(a, 0), steps);
    for (size_t i = 0; i < steps * columns; i++) {
        size_t f = got->tokens[i % columns].feature;
        if (f == SIZE_MAX)
            continue;
        double score = (double)tkr_array_f32(a)[i / columns * features + f];
        assert_int_equal(isnan(score), isnan(want.f64[i]));
        if (isnan(score))
            continue;
        here[defined] = score;
        there[defined++] = want.f64[i];
    }
    assert_true(defined > steps);
    assert_close_tensor(name, TENSOR(here, defined), TENSOR(there, defined), allowed);
    free(here);
    free(there);
    return true;
}

/* ---- all cases ---- */

typedef struct sweep {
    const char *root, *stage;
    void (*open)(reference *r, const char *root, const char *name);
    reference_fn *compare;
    bool is_committed;
    size_t cases, compared;
} sweep;

static void visit_case(golden *g, const char *name, void *user)
{
    (void)g;
    sweep *s = user;
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/%s.%s.json", s->root, name, s->stage);
    FILE *there = fopen(path, "r");
    if (!there)
        return; /* a forward-only case */
    fclose(there);
    static reference r;
    r = (reference){.is_committed = s->is_committed};
    s->open(&r, s->root, name);
    s->compare(&r);
    s->compared += r.compared;
    s->cases++;
    close_reference(&r);
}

/* committed, elsewhere: how many cases there are at the very least. */
static size_t visit_all(sweep s, size_t committed, size_t elsewhere, size_t at_least)
{
    size_t compared = 0;
    for (size_t i = 0; (s.root = golden_root(i)) != NULL; i++) {
        s.is_committed = i == 0;
        s.cases = s.compared = 0;
        golden_each(s.root, visit_case, &s);
        assert_true(s.cases >= (s.is_committed ? committed : elsewhere));
        assert_true(s.compared >= at_least * s.cases);
        compared += s.compared;
    }
    return compared;
}

size_t reference_each(reference_fn *compare, size_t at_least)
{
    return visit_all((sweep){.stage = "gradients", .open = open_question, .compare = compare}, 28, 5, at_least);
}

size_t reference_each_matrix(reference_fn *compare, size_t at_least)
{
    return visit_all((sweep){.stage = "generation", .open = open_matrix, .compare = compare}, 9, 3, at_least);
}
