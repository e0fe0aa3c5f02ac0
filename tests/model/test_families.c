/*
 * Every family against reference numbers made in float64 elsewhere: hidden states, attention, logits of every case; and that
 * the graph's shortcuts (only the target rows, several sequences at once, keys and values from a cache) change no bit.
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
                   .output_begin = ARENA_NEW(memory, uint32_t, MOST_SEQUENCES),
                   .types = ARENA_NEW(memory, int32_t, MOST_ROWS),
                   .positions = ARENA_NEW(memory, int32_t, MOST_ROWS),
                   .target_begin = ARENA_NEW(memory, uint32_t, MOST_SEQUENCES + 1),
                   .target_rows = ARENA_NEW(memory, int32_t, MOST_ROWS)};
}

static void add_rows(batch *b, const tkr_model *m, const int32_t *ids, const int32_t *types, size_t count)
{
    assert_true(b->rows + count <= MOST_ROWS);
    for (size_t i = 0; i < count; i++) {
        b->ids[b->rows + i] = ids[i];
        b->types[b->rows + i] = types ? types[i] : 0;
    }
    model_positions(m, ids, count, b->positions + b->rows);
    b->rows += count;
}

/* The position, counted over source and output, of logit row number i of an input. */
static size_t target_position(const tkr_model *m, const golden_input *in, size_t i)
{
    if (m->head->reads == READS_FIRST_ROW)
        return 0;
    if (m->head->reads == READS_LAST_ROW) {
        size_t last = in->count;
        while (last > 1 && in->ids[last - 1] == m->config.pad_id)
            last--;
        return last - 1;
    }
    return (in->output_count ? in->count : 0) + (in->logit_count ? (size_t)in->logit_rows[i] : i);
}

static size_t target_count(const tkr_model *m, const golden_input *in)
{
    if (!m->head)
        return 0;
    if (m->head->reads != READS_TARGET_ROWS)
        return 1;
    return in->logit_count ? in->logit_count : in->output_count ? in->output_count : in->count;
}

/* Append an input; its targets are the rows whose logits the reference has. */
static void add_input(batch *b, const tkr_model *m, const golden_input *in)
{
    assert_true(b->sequences < MOST_SEQUENCES);
    add_rows(b, m, in->ids, in->types, in->count);
    if (model_shape(m) == FAMILY_ENCODER_DECODER)
        b->output_begin[b->sequences] = (uint32_t)b->rows;
    else
        b->output_begin = NULL;
    add_rows(b, m, in->output_ids, NULL, in->output_count);
    b->sequences++;
    b->begin[b->sequences] = (uint32_t)b->rows;
    for (size_t i = 0; i < target_count(m, in); i++)
        b->target_rows[b->targets++] = batch_head_row(b, b->sequences - 1, target_position(m, in, i));
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

static run_result run_wish(const tkr_model *m, const batch *b, graph_wish wish)
{
    run_result r = {0};
    tkr_error error = {0};
    if (model_check_batch(m, b, &error) || model_graph_new(m, b, wish, memory, &r.graph, &error))
        fail_msg("%s: %s", m->name, error.message);
    if (wish.all_rows)
        keep_all(r.graph.graph);
    else if (r.graph.logits != NODE_NONE)
        r.graph.graph->nodes[r.graph.logits].is_kept = true;
    r.runner = runner_new(r.graph.graph, (run_options){0}, m->kernels, workers, &error);
    if (!r.runner || runner_forward(r.runner, &error))
        fail_msg("%s: %s", m->name, error.message);
    return r;
}

static run_result run(const tkr_model *m, const batch *b, bool all_rows)
{
    return run_wish(m, b, (graph_wish){.all_rows = all_rows});
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
                              const char *site_name, size_t heads, size_t queries, size_t keys, tolerance allowed)
{
    char label[200];
    tensor want;
    if (!golden_find(g, array, &want))
        return;
    snprintf(label, sizeof label, "%s %s", case_name, array);
    const graph_site *s = graph_site_find(r->graph.graph, site_name);
    assert_non_null(s);
    assert_close_tensor(label, TENSOR(runner_saved(r->runner, s->node), heads, queries, keys), want, allowed);
    compared++;
}

/* What a stack of layers is compared by.  T5's scores are not scaled, and lose a digit more. */
typedef struct stack {
    const char *name; /* in front of arrays and sites: "", "encoder.", "decoder." */
    size_t layers, rows;
    tolerance hidden, attention;
} stack;

static void compare_stack(golden *g, const char *case_name, const tkr_model *m, const golden_input *in, const run_result *r,
                          stack of)
{
    char array[100], name[SITE_NAME_ROOM];
    snprintf(array, sizeof array, "%s.%shidden.0", in->name, of.name);
    snprintf(name, sizeof name, "%sembeddings", of.name);
    compare_site(g, case_name, r, array, name, of.hidden);
    for (size_t layer = 0; layer < of.layers; layer++) {
        snprintf(array, sizeof array, "%s.%shidden.%zu", in->name, of.name, layer + 1);
        snprintf(name, sizeof name, "%slayer.%zu.output", of.name, layer);
        compare_site(g, case_name, r, array, name, of.hidden);
        snprintf(array, sizeof array, "%s.%sattention.probs.%zu", in->name, of.name, layer + 1);
        snprintf(name, sizeof name, "%slayer.%zu.attention.probs", of.name, layer);
        compare_attention(g, case_name, r, array, name, m->config.heads, of.rows, of.rows, of.attention);
        snprintf(array, sizeof array, "%s.%scross.probs.%zu", in->name, of.name, layer + 1);
        snprintf(name, sizeof name, "%slayer.%zu.cross.probs", of.name, layer);
        compare_attention(g, case_name, r, array, name, m->config.heads, of.rows, in->count, of.attention);
    }
    snprintf(array, sizeof array, "%s.%shidden.final", in->name, of.name);
    snprintf(name, sizeof name, "%sfinal_norm", of.name);
    compare_site(g, case_name, r, array, name, of.hidden);
}

static void compare_input(golden *g, const char *case_name, const tkr_model *m, const golden_input *in)
{
    bool is_t5 = model_shape(m) == FAMILY_ENCODER_DECODER;
    char array[100];
    batch b = new_batch();
    add_input(&b, m, in);
    run_result r = run(m, &b, true);
    stack first = {is_t5 ? "encoder." : "", m->config.layers, in->count,
                   is_t5 ? TOLERANCE_golden_t5_hidden : TOLERANCE_golden_hidden,
                   is_t5 ? TOLERANCE_golden_t5_attention : TOLERANCE_golden_attention};
    stack second = {"decoder.", m->config.decoder_layers, in->output_count, first.hidden, first.attention};
    compare_stack(g, case_name, m, in, &r, first);
    if (is_t5)
        compare_stack(g, case_name, m, in, &r, second);
    snprintf(array, sizeof array, "%s.logits", in->name);
    if (m->head)
        compare_site(g, case_name, &r, array, "logits", is_t5 ? TOLERANCE_golden_t5_logits : TOLERANCE_golden_logits);
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
        assert_true(golden_each(golden_root(i), compare_case, NULL) >= 20);
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

/* ---- decoders: earlier rows do not depend on later ones, and may come from a cache -------------------------------- */

/* The logits of rows first to first + count - 1 of the decoder; `source` rows of an encoder-decoder come in front. */
static batch decoder_rows(const tkr_model *m, const golden_input *in, size_t source, size_t first, size_t count)
{
    bool is_t5 = model_shape(m) == FAMILY_ENCODER_DECODER;
    batch b = new_batch();
    add_rows(&b, m, in->ids, in->types, is_t5 ? source : 0);
    if (is_t5)
        b.output_begin[0] = (uint32_t)b.rows;
    else
        b.output_begin = NULL;
    size_t at = b.rows;
    add_rows(&b, m, is_t5 ? in->output_ids + first : in->ids + first, NULL, count);
    b.sequences = 1;
    b.begin[1] = (uint32_t)b.rows;
    for (size_t i = 0; i < count; i++) {
        b.positions[at + i] = (int32_t)(first + i);
        b.target_rows[i] = batch_head_row(&b, 0, at + i);
    }
    b.targets = count;
    b.target_begin[1] = (uint32_t)count;
    return b;
}

static size_t decoder_length(const golden_input *in) { return in->output_count ? in->output_count : in->count; }

static void compare_logits(const char *name, const tkr_model *m, const run_result *got, const run_result *full, size_t first,
                           size_t count, tolerance allowed)
{
    char label[200];
    size_t width = model_outputs(m);
    snprintf(label, sizeof label, "%s rows %zu to %zu", name, first, first + count - 1);
    const real *want = runner_value(full->runner, full->graph.logits) + first * width;
    assert_close_tensor(label, TENSOR(runner_value(got->runner, got->graph.logits), count, width),
                        TENSOR(want, count, width), allowed);
}

/* A first run over some rows, then row by row over the cache, against all at once. */
static void compare_steps(const char *name, const tkr_model *m, const golden_input *in, size_t begun_with)
{
    size_t length = decoder_length(in), count = begun_with;
    tkr_error error = {0};
    model_cache *cache = model_cache_new(m, length, in->count, &error);
    assert_non_null(cache);
    batch all = decoder_rows(m, in, in->count, 0, length);
    run_result full = run(m, &all, false);
    for (size_t first = 0; first < length; first += count, count = 1) {
        batch b = decoder_rows(m, in, first == 0 ? in->count : 0, first, first == 0 ? begun_with : 1);
        run_result step = run_wish(m, &b, (graph_wish){.cache = cache});
        compare_logits(name, m, &step, &full, first, b.targets, TOLERANCE_exact);
        runner_free(step.runner);
        model_cache_advance(cache, b.targets);
        assert_int_equal(model_cache_rows(cache), first + b.targets);
    }
    runner_free(full.runner);
    model_cache_free(cache);
}

static void compare_beginnings(const char *name, const tkr_model *m, const golden_input *in)
{
    size_t length = decoder_length(in);
    batch all = decoder_rows(m, in, in->count, 0, length);
    run_result full = run(m, &all, false);
    for (size_t count = 1; count < length; count += 2) {
        batch b = decoder_rows(m, in, in->count, 0, count);
        run_result some = run(m, &b, false);
        compare_logits(name, m, &some, &full, 0, count, TOLERANCE_exact);
        runner_free(some.runner);
    }
    runner_free(full.runner);
}

static void visit_decoder(golden *g, const char *name, void *user)
{
    size_t *cases = user;
    arena_mark mark = arena_get_mark(memory);
    tkr_model *m = open_case(g);
    golden_input in;
    if (model_shape(m) != FAMILY_ENCODER) {
        assert_true(golden_input_named(g, "mid", &in) || golden_input_named(g, "explain", &in));
        compare_steps(name, m, &in, 1);
        compare_steps(name, m, &in, decoder_length(&in) / 2 + 1);
        compare_beginnings(name, m, &in);
        ++*cases;
    }
    tkr_model_close(m);
    arena_release(memory, mark);
}

static void test_families__give_the_same_step_by_step(void **state)
{
    (void)state;
    size_t cases = 0;
    for (size_t i = 0; golden_root(i); i++)
        golden_each(golden_root(i), visit_decoder, &cases);
    assert_true(cases >= 8);
}

static void test_families__count_the_cache(void **state)
{
    (void)state;
    static const char *const cases[] = {"gpt2-lm", "llama-lm", "t5-v10"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden *g = golden_open(golden_root(0), cases[i]);
        tkr_model *m = open_case(g);
        const family_config *c = &m->config;
        size_t rows = c->decoder_layers ? 7 + 5 : 7, layers = c->decoder_layers ? c->decoder_layers : c->layers;
        assert_int_equal(model_cache_bytes(m, 7, 5), 2 * sizeof(real) * layers * rows * c->key_heads * c->head_width);
        assert_true(model_cache_bytes(m, SIZE_MAX / 8, 0) == SIZE_MAX);
        tkr_error error = {0};
        assert_null(model_cache_new(m, SIZE_MAX / 8, 0, &error));
        assert_int_equal(error.code, TKR_E_LIMIT_OOM);
        tkr_model_close(m);
        golden_close(g);
    }
    golden *g = golden_open(golden_root(0), "bert-mlm");
    tkr_model *m = open_case(g);
    tkr_error error = {0};
    assert_null(model_cache_new(m, 4, 0, &error));
    assert_int_equal(error.code, TKR_E_USAGE_CAPABILITY);
    tkr_model_close(m);
    golden_close(g);
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

/* Sites of one stack: "embeddings", those of each layer, "final_norm" where it has one. */
static size_t check_stack_sites(const graph *g, const char *front, size_t layers, bool has_cross, bool has_norm)
{
    static const char *const of_layer[] = {"attention.probs", "head_output", "attention_output", "mlp_output",
                                           "output",          "cross.probs", "cross.head_output", "cross_output"};
    char name[SITE_NAME_ROOM];
    size_t each = has_cross ? 8 : 5;
    for (size_t i = 0; i < layers * each + 1 + has_norm; i++) {
        if (i < layers * each)
            snprintf(name, sizeof name, "%slayer.%zu.%s", front, i / each, of_layer[i % each]);
        else
            snprintf(name, sizeof name, "%s%s", front, i == layers * each ? "embeddings" : "final_norm");
        if (!graph_site_find(g, name))
            fail_msg("there is no site %s", name);
    }
    return layers * each + 1 + has_norm;
}

static void test_families__name_their_sites(void **state)
{
    (void)state;
    static const char *const cases[] = {"bert-cls", "distilbert-mlm", "gpt2-cls", "llama-lm", "t5-v10"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        golden *g = golden_open(golden_root(0), cases[i]);
        tkr_model *m = open_case(g);
        golden_input in;
        assert_true(golden_input_named(g, "explain", &in));
        batch b = new_batch();
        add_input(&b, m, &in);
        tkr_error error = {0};
        model_graph built;
        assert_int_equal(model_graph_new(m, &b, (graph_wish){0}, memory, &built, &error), TKR_OK);
        const graph *made = built.graph;
        bool is_t5 = model_shape(m) == FAMILY_ENCODER_DECODER, has_norm = model_shape(m) != FAMILY_ENCODER;
        size_t count = check_stack_sites(made, is_t5 ? "encoder." : "", m->config.layers, false, has_norm);
        count += is_t5 ? check_stack_sites(made, "decoder.", m->config.decoder_layers, true, true) + 1 : 0;
        assert_non_null(graph_site_find(made, "embeddings"));
        assert_int_equal(graph_site_find(made, "word")->node, built.word);
        assert_non_null(graph_site_find(made, "sum"));
        assert_int_equal(graph_site_find(made, "logits")->node, built.logits);
        assert_int_equal(made->site_count, count + 3);
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
        TEST(equal_the_reference),
        TEST(give_the_same_bits_in_any_batch),
        TEST(give_the_same_step_by_step),
        TEST(count_the_cache),
        TEST(leave_out_what_nobody_asks_for),
        TEST(name_their_sites),
        TEST(refuse_rows_that_are_not_there),
    };
    return cmocka_run_group_tests_name("families", tests, NULL, report);
}
