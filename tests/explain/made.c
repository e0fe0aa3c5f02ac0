/* Tiny models for the tests of the explain room. */
#include "explain/made.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "model/model.h"

model_recipe made_recipe(const char *family_name, made_head kind, uint64_t seed)
{
    model_recipe r = model_recipe_tiny(family_name);
    r.hidden = 20;
    r.layers = 3;
    r.heads = 5;
    r.inner = 37;
    r.head = kind;
    r.labels = kind == MADE_CLASSIFIER ? 3 : r.labels;
    r.positions = 128;
    r.vocab = 200;
    r.seed = seed;
    return r;
}

made made_open(const model_recipe *recipe, const tkr_session_options *options)
{
    made m = {0};
    tkr_error error = {0};
    assert_true(work_folder_new(m.folder));
    assert_true(make_model(m.folder, recipe));
    m.model = tkr_model_open(m.folder, NULL, &error);
    if (!m.model)
        fail_msg("open: %s", error.message);
    m.session = tkr_session_new(m.model, options, &error);
    if (!m.session)
        fail_msg("session: %s", error.message);
    return m;
}

made made_open_case(const char *name)
{
    char path[1024];
    made m = {0};
    tkr_error error = {0};
    snprintf(path, sizeof path, "%s/models/%s", getenv("TOKRAY_TEST_DATA"), name);
    m.model = tkr_model_open(path, NULL, &error);
    m.session = m.model ? tkr_session_new(m.model, NULL, &error) : NULL;
    if (!m.session)
        fail_msg("%s: %s", name, error.message);
    return m;
}

void made_close(made *m)
{
    tkr_session_free(m->session);
    tkr_model_close(m->model);
    if (m->folder[0])
        work_folder_remove(m->folder);
}

/* An ordinary whole word of the vocabulary. */
static const char *some_word(const made *m, random_key key, uint64_t draw)
{
    const tokenizer *t = m->model->tokenizer;
    for (uint64_t attempt = 0;; attempt++) {
        uint32_t id = random_below(key, draw * 1000 + attempt, (uint32_t)tokenizer_limit(t));
        const char *piece = tokenizer_piece(t, (int32_t)id);
        if (piece && tokenizer_is_ordinary(t, (int32_t)id) && piece[0] >= 'a' && piece[0] <= 'z')
            return piece;
    }
}

char *made_text(const made *m, size_t words, uint64_t seed)
{
    char *text = calloc(1, words * 80 + 16);
    assert_non_null(text);
    size_t used = 0;
    for (size_t i = 0; i < words; i++) {
        bool mask = m->model->task == TKR_TASK_MASKED_LM && i == words / 2;
        used += (size_t)snprintf(text + used, words * 80 + 16 - used, "%s%s", i ? " " : "",
                                 mask ? "[MASK]" : some_word(m, (random_key){.seed = seed, .item = 1}, i));
    }
    return text;
}

tkr_result *made_explain(made *m, const tkr_question *question, const char *methods)
{
    tkr_error error = {0};
    tkr_result *r = tkr_explain(m->session, question, methods, &error);
    if (!r)
        fail_msg("explain: %s", error.message);
    return r;
}

const float *made_scores(const tkr_result *r, const char *name, size_t *count)
{
    const tkr_array *a = tkr_result_array(r, name);
    assert_non_null(a);
    if (count)
        *count = tkr_array_extent(a, 1);
    return tkr_array_f32(a);
}
