/*
 * Every family against reference numbers made in float64 elsewhere: hidden states, attention, logits of every case; and that
 * the graph's shortcuts (only the target rows, several sequences at once) change no bit.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"
#include "model/model.h"
#include "support/golden.h"
#include "tensor/run.h"

enum { MOST_ROWS = 4096, MOST_SEQUENCES = 64 };

static arena *memory;
static pool *workers;

static int make_memory(void **state)
{
    (void)state;
    memory = arena_new((size_t)1 << 30);
    workers = pool_new(2);
    return memory && workers ? 0 : -1;
}

static int free_memory(void **state)
{
    (void)state;
    arena_free(memory);
    pool_free(workers);
    return 0;
}

static int report(void **state)
{
    (void)state;
    tolerance_report();
    return 0;
}

/* ---- batches ---------------------------------------------------------------------------------------------------- */

static batch new_batch(void)
{
    return (batch){.begin = ARENA_NEW(memory, uint32_t, MOST_SEQUENCES + 1),
                   .ids = ARENA_NEW(memory, int32_t, MOST_ROWS),
                   .types = ARENA_NEW(memory, int32_t, MOST_ROWS),
                   .positions = ARENA_NEW(memory, int32_t, MOST_ROWS),
                   .target_begin = ARENA_NEW(memory, uint32_t, MOST_SEQUENCES + 1),
                   .target_rows = ARENA_NEW(memory, int32_t, MOST_ROWS)};
}

/* Append an input; its targets are the rows whose logits the reference has. */
static void add_input(batch *b, const tkr_model *m, const golden_input *in)
{
    size_t first = b->rows;
    assert_true(first + in->count <= MOST_ROWS && b->sequences < MOST_SEQUENCES);
    for (size_t i = 0; i < in->count; i++) {
        b->ids[first + i] = in->ids[i];
        b->types[first + i] = in->types[i];
        b->positions[first + i] = (int32_t)i;
    }
    bool reads_one = m->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    size_t targets = !m->head ? 0 : reads_one ? 1 : in->logit_count ? in->logit_count : in->count;
    for (size_t i = 0; i < targets; i++) {
        int32_t row = in->logit_count && !reads_one ? in->logit_rows[i] : (int32_t)i;
        b->target_rows[b->targets++] = (int32_t)first + row;
    }
    b->rows += in->count;
    b->sequences++;
    b->begin[b->sequences] = (uint32_t)b->rows;
    b->target_begin[b->sequences] = (uint32_t)b->targets;
}

/* ---- runs ------------------------------------------------------------------------------------------------------- */

typedef struct run_result {
    model_graph graph;
    runner *runner;
} run_result;

static void keep_site(graph *g, const char *name)
{
    const graph_site *s = graph_site_find(g, name);
    if (!s)
        fail_msg("there is no site %s", name);
    if (s->is_saved)
        g->nodes[s->node].saves_kept = true;
    else
        g->nodes[s->node].is_kept = true;
}

static void keep_all(graph *g)
{
    for (size_t i = 0; i < g->site_count; i++)
        keep_site(g, g->sites[i].name);
}

static run_result run(const tkr_model *m, const batch *b, bool all_rows)
{
    run_result r = {0};
    tkr_error error = {0};
    graph_wish wish = {.all_rows = all_rows};
    if (model_check_batch(m, b, &error) || model_graph_new(m, b, wish, memory, &r.graph, &error))
        fail_msg("%s: %s", m->name, error.message);
    if (all_rows)
        keep_all(r.graph.graph);
    else if (r.graph.logits != NODE_NONE)
        r.graph.graph->nodes[r.graph.logits].is_kept = true;
    r.runner = runner_new(r.graph.graph, (run_options){0}, m->kernels, workers, &error);
    if (!r.runner || runner_forward(r.runner, &error))
        fail_msg("%s: %s", m->name, error.message);
    return r;
}

static tensor rows_of_site(const run_result *r, const char *name)
{
    const graph_site *s = graph_site_find(r->graph.graph, name);
    assert_non_null(s);
    const graph_node *n = &r->graph.graph->nodes[s->node];
    return TENSOR(runner_value(r->runner, s->node), n->rows, n->width);
}

static tkr_model *open_case(const golden *g)
{
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(g->model, NULL, &error);
    if (!m)
        fail_msg("%s: %s: %s", g->model, tkr_status_name(error.code), error.message);
    return m;
}

/* ---- comparisons ------------------------------------------------------------------------------------------------ */

static size_t compared;

static void compare_site(golden *g, const char *case_name, const run_result *r, const char *array,
                         const char *site_name, tolerance allowed)
{
    char label[200];
    tensor want;
    if (!golden_find(g, array, &want))
        return; /* long inputs keep a few arrays only */
    snprintf(label, sizeof label, "%s %s (%s)", case_name, array, site_name);
    tensor got = rows_of_site(r, site_name);
    if (want.rank == 1) { /* one row of logits */
        want.rank = 2;
        want.shape[1] = want.shape[0];
        want.shape[0] = 1;
    }
    assert_close_tensor(label, got, want, allowed);
    compared++;
}

static void compare_attention(golden *g, const char *case_name, const run_result *r, const char *array,
                              size_t layer, size_t heads, size_t tokens)
{
    char name[SITE_NAME_ROOM], label[200];
    tensor want;
    if (!golden_find(g, array, &want))
        return;
    snprintf(name, sizeof name, "layer.%zu.attention.probs", layer);
    snprintf(label, sizeof label, "%s %s", case_name, array);
    const graph_site *s = graph_site_find(r->graph.graph, name);
    assert_non_null(s);
    tensor got = TENSOR(runner_saved(r->runner, s->node), heads, tokens, tokens);
    assert_close_tensor(label, got, want, TOLERANCE_golden_attention);
    compared++;
}

static void compare_input(golden *g, const char *case_name, const tkr_model *m, const golden_input *in)
{
    char array[100], name[SITE_NAME_ROOM];
    batch b = new_batch();
    add_input(&b, m, in);
    run_result r = run(m, &b, true);
    snprintf(array, sizeof array, "%s.hidden.0", in->name);
    compare_site(g, case_name, &r, array, "embeddings", TOLERANCE_golden_hidden);
    for (size_t layer = 0; layer < m->config.layers; layer++) {
        snprintf(array, sizeof array, "%s.hidden.%zu", in->name, layer + 1);
        snprintf(name, sizeof name, "layer.%zu.output", layer);
        compare_site(g, case_name, &r, array, name, TOLERANCE_golden_hidden);
        snprintf(array, sizeof array, "%s.attention.probs.%zu", in->name, layer + 1);
        compare_attention(g, case_name, &r, array, layer, m->config.heads, in->count);
    }
    snprintf(array, sizeof array, "%s.logits", in->name);
    if (m->head)
        compare_site(g, case_name, &r, array, "logits", TOLERANCE_golden_logits);
    runner_free(r.runner);
}

static void compare_case(golden *g, const char *name, void *user)
{
    (void)user;
    arena_mark mark = arena_get_mark(memory);
    tkr_model *m = open_case(g);
    golden_input in;
    compared = 0;
    for (size_t i = 0; golden_input_at(g, i, &in); i++) {
        compare_input(g, name, m, &in);
        arena_release(memory, mark);
    }
    if (compared < 4 * (m->config.layers + 1))
        fail_msg("%s: only %zu arrays were compared", name, compared);
    tkr_model_close(m);
}

static void test_families__equal_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; golden_root(i); i++)
        assert_true(golden_each(golden_root(i), compare_case, NULL) >= 10);
}

/* Logits of all inputs of a case in one batch, and of the target rows only, against one input at a time with all rows. */
static void compare_batches(golden *g, const char *name, void *user)
{
    size_t *cases = user;
    arena_mark mark = arena_get_mark(memory);
    tkr_model *m = open_case(g);
    golden_input in;
    batch all = new_batch();
    for (size_t i = 0; m->head && golden_input_at(g, i, &in); i++)
        add_input(&all, m, &in);
    run_result together = {0};
    if (m->head)
        together = run(m, &all, false);
    for (size_t i = 0; m->head && golden_input_at(g, i, &in); i++) {
        char label[200];
        batch one = new_batch();
        add_input(&one, m, &in);
        run_result alone = run(m, &one, true);
        tensor want = rows_of_site(&alone, "logits");
        const real *logits =
            runner_value(together.runner, together.graph.logits) + all.target_begin[i] * want.shape[1];
        snprintf(label, sizeof label, "%s %s in a batch", name, in.name);
        assert_close_tensor(label, TENSOR(logits, want.shape[0], want.shape[1]), want, TOLERANCE_exact);
        runner_free(alone.runner);
        ++*cases;
    }
    runner_free(together.runner);
    tkr_model_close(m);
    arena_release(memory, mark);
}

static void test_families__give_the_same_bits_in_any_batch(void **state)
{
    (void)state;
    size_t cases = 0;
    golden_each(golden_root(0), compare_batches, &cases);
    assert_true(cases >= 40);
}

static void test_families__leave_out_what_nobody_asks_for(void **state)
{
    (void)state;
    golden *g = golden_open(golden_root(0), "bert-mlm");
    tkr_model *m = open_case(g);
    golden_input in;
    assert_true(golden_input_named(g, "explain", &in));
    in.logit_count = 1;
    in.logit_rows[0] = 1;
    batch b = new_batch();
    add_input(&b, m, &in);
    tkr_error error = {0};
    model_graph full, some, bare;
    assert_int_equal(model_graph_new(m, &b, (graph_wish){.all_rows = true}, memory, &full, &error), TKR_OK);
    assert_int_equal(model_graph_new(m, &b, (graph_wish){0}, memory, &some, &error), TKR_OK);
    assert_int_equal(model_graph_new(m, &b, (graph_wish){.no_head = true}, memory, &bare, &error), TKR_OK);
    char name[SITE_NAME_ROOM];
    snprintf(name, sizeof name, "layer.%zu.output", m->config.layers - 1);
    assert_int_equal(full.graph->nodes[graph_site_find(full.graph, name)->node].rows, in.count);
    assert_int_equal(some.graph->nodes[graph_site_find(some.graph, name)->node].rows, 1);
    assert_int_equal(some.graph->nodes[some.logits].rows, 1);
    assert_int_equal(some.graph->nodes[some.logits].width, m->config.vocab);
    assert_true(some.graph->nodes[some.word].is_source);
    assert_int_equal(bare.logits, NODE_NONE);
    assert_null(graph_site_find(bare.graph, "logits"));
    tkr_model_close(m);
    golden_close(g);
}

static void test_families__name_their_sites(void **state)
{
    (void)state;
    static const char *const sites[] = {"word",
                                        "sum",
                                        "embeddings",
                                        "layer.0.attention.probs",
                                        "layer.0.head_output",
                                        "layer.0.attention_output",
                                        "layer.0.mlp_output",
                                        "layer.0.output",
                                        "logits"};
    static const char *const cases[] = {"bert-cls", "distilbert-mlm"};
    for (size_t i = 0; i < 2; i++) {
        golden *g = golden_open(golden_root(0), cases[i]);
        tkr_model *m = open_case(g);
        golden_input in;
        assert_true(golden_input_named(g, "explain", &in));
        batch b = new_batch();
        add_input(&b, m, &in);
        tkr_error error = {0};
        model_graph built;
        assert_int_equal(model_graph_new(m, &b, (graph_wish){0}, memory, &built, &error), TKR_OK);
        for (size_t s = 0; s < sizeof sites / sizeof sites[0]; s++)
            if (!graph_site_find(built.graph, sites[s]))
                fail_msg("%s has no site %s", cases[i], sites[s]);
        assert_int_equal(built.graph->site_count, 4 + 5 * m->config.layers);
        tkr_model_close(m);
        golden_close(g);
    }
}

static void test_families__refuse_rows_that_are_not_there(void **state)
{
    (void)state;
    golden *g = golden_open(golden_root(0), "bert-mlm");
    tkr_model *m = open_case(g);
    golden_input in;
    assert_true(golden_input_named(g, "explain", &in));
    batch b = new_batch();
    add_input(&b, m, &in);
    static const struct {
        int what;
        int32_t value;
    } bad[] = {{0, -1}, {0, 1 << 30}, {1, -1}, {1, 2}, {2, -1}, {2, 1 << 20}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int32_t *place = (int32_t *[]){b.ids, b.types, b.positions}[bad[i].what] + b.rows - 1, old = *place;
        tkr_error error = {0};
        *place = bad[i].value;
        assert_int_equal(model_check_batch(m, &b, &error), TKR_E_INPUT_TOKEN_ID);
        *place = old;
    }
    tkr_error error = {0};
    b.ids[0] = (int32_t)m->config.vocab - 1;
    assert_int_equal(model_check_batch(m, &b, &error), TKR_OK);
    tkr_model_close(m);
    golden_close(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_families__##name, make_memory, free_memory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(equal_the_reference), TEST(give_the_same_bits_in_any_batch), TEST(leave_out_what_nobody_asks_for),
        TEST(name_their_sites),    TEST(refuse_rows_that_are_not_there),
    };
    return cmocka_run_group_tests_name("families", tests, NULL, report);
}
