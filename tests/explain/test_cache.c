/*
 * Decoding over a cache against whole passes, as the passes of this room run them: a step of one row has the bits of the same row
 * in a pass over everything, whatever follows a row changes none of them, and what generate() says of its tokens is what one
 * teacher-forced pass says.  (tests/model/test_families.c has the same of bare graphs.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/generate.h"
#include "explain/measure.h"
#include "explain/pass.h"
#include "support/golden.h"

enum { ROWS_MOST = 64, NEW_TOKENS = 6 };

/* Ids of a case: the decoder's, behind those of a source where there is one. */
typedef struct decoder_case {
    tkr_model *model;
    tkr_session *session;
    int32_t ids[2 * ROWS_MOST];
    size_t source, rows;
} decoder_case;

static bool has_source(const decoder_case *c) { return model_shape(c->model) == FAMILY_ENCODER_DECODER; }

/* Rows first .. first + count - 1 of the decoder, all of their logits read; with_source: the source goes in front. */
static pass *run_rows(const decoder_case *c, size_t first, size_t count, bool with_source, model_cache *cache)
{
    tkr_error error = {0};
    size_t source = with_source ? c->source : 0;
    pass_shape shape = {.sequences = 1,
                        .length = source + count,
                        .output_length = has_source(c) ? count : 0,
                        .reads = count,
                        .wish.cache = cache};
    pass *p = pass_new(c->session, &shape, &error);
    if (!p)
        fail_msg("%s: %s", c->model->path, error.message);
    for (size_t i = 0; i < source; i++)
        p->batch.ids[i] = c->ids[i];
    for (size_t i = 0; i < count; i++) {
        p->batch.ids[source + i] = c->ids[c->source + first + i];
        p->batch.positions[source + i] = (int32_t)(first + i);
        p->batch.target_rows[i] = batch_head_row(&p->batch, 0, source + i);
    }
    if (pass_forward(p, &error))
        fail_msg("%s: %s", c->model->path, error.message);
    return p;
}

static void compare_rows(const decoder_case *c, const pass *got, const pass *full, size_t first, size_t count)
{
    char label[600];
    size_t outputs = model_outputs(c->model);
    snprintf(label, sizeof label, "%s, rows from %zu", c->model->path, first);
    assert_close_tensor(label, TENSOR(pass_logits(got, 0, 0), count, outputs),
                        TENSOR(pass_logits(full, 0, first), count, outputs), TOLERANCE_exact);
}

static void check_steps(const decoder_case *c)
{
    tkr_error error = {0};
    size_t begun_with = c->rows / 2 + 1;
    model_cache *cache = model_cache_new(c->model, c->rows, c->source, &error);
    assert_non_null(cache);
    pass *full = run_rows(c, 0, c->rows, true, NULL);
    for (size_t first = 0, count = begun_with; first < c->rows; first += count, count = 1) {
        pass *step = run_rows(c, first, first == 0 ? begun_with : 1, first == 0, cache);
        compare_rows(c, step, full, first, first == 0 ? begun_with : 1);
        model_cache_advance(cache, first == 0 ? begun_with : 1);
        pass_free(step);
    }
    pass_free(full);
    model_cache_free(cache);
}

static void check_appending(const decoder_case *c)
{
    pass *full = run_rows(c, 0, c->rows, true, NULL);
    for (size_t count = 1; count < c->rows; count++) {
        pass *beginning = run_rows(c, 0, count, true, NULL);
        compare_rows(c, beginning, full, 0, count);
        pass_free(beginning);
    }
    pass_free(full);
}

/* What generate() decodes over its cache is what a pass over all of it says. */
static void check_generated(const decoder_case *c)
{
    tkr_error error = {0};
    arena *a = arena_new(SIZE_MAX);
    decoder_case whole = *c;
    generated out;
    size_t prompt = has_source(c) ? c->source : c->rows / 2 + 1, before = has_source(c) ? 1 : prompt;
    if (generate(c->session, c->ids, NULL, prompt, NEW_TOKENS, a, &out, &error))
        fail_msg("%s: %s", c->model->path, error.message);
    if (has_source(c))
        whole.ids[c->source] = model_decoder_start(c->model);
    for (size_t t = 0; t < out.count; t++)
        whole.ids[whole.source + before + t] = out.ids[t];
    pass *full = run_rows(&whole, 0, before + out.count, true, NULL);
    size_t outputs = model_outputs(c->model);
    for (size_t t = 0; t < out.count; t++) {
        const real *z = pass_logits(full, 0, before - 1 + t);
        measured f = {.measure = MEASURE_LOGPROB, .link = LINK_SOFTMAX, .a = out.ids[t], .foil = -1};
        assert_int_equal(logits_argmax(z, outputs, -1), out.ids[t]);
        assert_true(measure_value(&f, z, outputs) == out.logprob[t]);
    }
    if (strcmp(out.end, "eos") == 0)
        assert_true(model_is_end(c->model, logits_argmax(pass_logits(full, 0, before - 1 + out.count), outputs, -1)));
    else
        assert_int_equal(out.count, NEW_TOKENS);
    pass_free(full);
    arena_free(a);
}

/* ---- the cases of tests/data ---- */

static void check_case(const char *name, void (*check)(const decoder_case *c))
{
    decoder_case c = {0};
    golden_input in;
    tkr_error error = {0};
    golden *g = golden_open(golden_root(0), name);
    assert_true(golden_input_named(g, "mid", &in) || golden_input_named(g, "explain", &in));
    c.model = tkr_model_open(g->model, NULL, &error);
    c.session = c.model ? tkr_session_new(c.model, NULL, &error) : NULL;
    if (!c.session)
        fail_msg("%s: %s", name, error.message);
    c.source = has_source(&c) ? in.count : 0;
    c.rows = has_source(&c) ? in.output_count : in.count;
    assert_true(c.rows >= 3 && c.source + c.rows <= ROWS_MOST);
    memcpy(c.ids, in.ids, in.count * sizeof *c.ids);
    memcpy(c.ids + c.source, has_source(&c) ? in.output_ids : in.ids, c.rows * sizeof *c.ids);
    check(&c);
    tkr_session_free(c.session);
    tkr_model_close(c.model);
    golden_close(g);
}

static void check_cases(void (*check)(const decoder_case *c))
{
    static const char *const names[] = {"gpt2-lm", "llama-lm", "llama-linear", "mistral-lm", "qwen2-lm", "t5-v10", "t5-v11"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_case(names[i], check);
}

/* The window of mistral-lm is narrower than its input, or the cache would not be tried with it. */
static void check_window(const decoder_case *c) { assert_true(c->model->config.window > 0 && c->model->config.window < c->rows); }

static void test_cache__step_has_the_bits_of_the_whole_pass(void **state)
{
    (void)state;
    check_case("mistral-lm", check_window);
    check_cases(check_steps);
}

static void test_cache__appending_changes_nothing_before(void **state)
{
    (void)state;
    check_cases(check_appending);
}

static void test_cache__generated_text_is_what_one_pass_says(void **state)
{
    (void)state;
    check_cases(check_generated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cache__step_has_the_bits_of_the_whole_pass),
        cmocka_unit_test(test_cache__appending_changes_nothing_before),
        cmocka_unit_test(test_cache__generated_text_is_what_one_pass_says),
    };
    return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
