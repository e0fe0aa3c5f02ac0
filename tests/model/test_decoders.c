/*
 * Decoders and encoder-decoders: rules of their configs that are easily got wrong, where an output begins and ends, which
 * matrix is the head's.  Their numbers are compared in test_families.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/session.h>

#include "base/arena.h"
#include "base/memory.h"
#include "model/config.h"
#include "support/make_model.h"
#include "support/workplace.h"

static family_config numbers_of(const char *text)
{
    model_config c;
    notes n = {0};
    tkr_error error = {0};
    if (config_read(view_of(text), &c, &n, &error))
        fail_msg("%s: %s: %s", text, tkr_status_name(error.code), error.message);
    if (n.count)
        fail_msg("%s: %s", text, n.text[0]);
    family_config numbers = c.numbers;
    config_fini(&c);
    return numbers;
}

static void assert_refused(const char *text, tkr_status wanted, const char *part)
{
    model_config c;
    notes n = {0};
    tkr_error error = {0};
    tkr_status got = config_read(view_of(text), &c, &n, &error);
    if (got != wanted || !strstr(error.message, part))
        fail_msg("%s: wanted %s: %s\n got %s: %s", text, tkr_status_name(wanted), part, tkr_status_name(got),
                 error.message);
    notes_fini(&n);
}

static void test_decoders__read_gpt2_configs(void **state)
{
    (void)state;
    family_config c = numbers_of(
        "{\"model_type\":\"gpt2\",\"n_inner\":null,\"attn_pdrop\":0.1,\"reorder_and_upcast_attn\":true}");
    assert_int_equal(c.inner, 4 * 768);
    assert_int_equal(c.act, ACT_GELU_TANH);
    assert_int_equal(c.pad_id, -1);
    assert_true(c.scales_attention && !c.scales_by_layer && c.ties_embeddings);
    assert_int_equal(c.head_width, 64);
    assert_int_equal(c.key_heads, 12);
    c = numbers_of("{\"model_type\":\"gpt2\",\"n_inner\":7,\"scale_attn_weights\":false,\"scale_attn_by_"
                   "inverse_layer_idx\":true}");
    assert_int_equal(c.inner, 7);
    assert_true(!c.scales_attention && c.scales_by_layer);
    assert_refused("{\"model_type\":\"gpt2\",\"n_head\":7}", TKR_E_CONFIG_DIVIDE,
                   "n_embd 768 is not a multiple of n_head 7");
}

static void test_decoders__read_opt_configs(void **state)
{
    (void)state;
    family_config c = numbers_of("{\"model_type\":\"opt\",\"word_embed_proj_dim\":null,\"prefix\":\"</s>\",\"layerdrop\":0.1,"
                                 "\"layer_norm_elementwise_affine\":true}");
    assert_int_equal(c.embedding, 768);
    assert_int_equal(c.positions - c.first_position, 2048);
    assert_int_equal(c.first_position, 2);
    assert_int_equal(c.act, ACT_RELU);
    assert_int_equal(c.pad_id, 1);
    assert_true(c.eps == 1e-5);
    assert_true(c.norms_first && c.has_attention_bias && c.ties_embeddings && !c.lacks_final_norm && !c.skips_padding);
    c = numbers_of("{\"model_type\":\"opt\",\"hidden_size\":1024,\"num_attention_heads\":16,\"word_embed_proj_dim\":512,"
                   "\"do_layer_norm_before\":false,\"enable_bias\":false}");
    assert_int_equal(c.embedding, 512);
    assert_true(!c.norms_first && c.lacks_final_norm && !c.has_attention_bias);
    c = numbers_of("{\"model_type\":\"opt\",\"_remove_final_layer_norm\":true}");
    assert_true(c.norms_first && c.lacks_final_norm);
    assert_refused("{\"model_type\":\"opt\",\"layer_norm_elementwise_affine\":false}", TKR_E_UNSUPPORTED_VALUE,
                   "layer_norm_elementwise_affine is false; for opt only true is supported");
    assert_refused("{\"model_type\":\"opt\",\"scale_embeddings\":true}", TKR_E_UNSUPPORTED_CONFIG_KEY, "scale_embeddings");
    assert_refused("{\"model_type\":\"opt\",\"layer_norm_eps\":1e-6}", TKR_E_UNSUPPORTED_CONFIG_KEY, "layer_norm_eps");
}

static void test_decoders__scale_the_output_of_tied_t5(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        bool ties, scales;
    } cases[] = {{"", true, true},
                 {",\"tie_word_embeddings\":true", true, true},
                 {",\"tie_word_embeddings\":false", false, false},
                 {",\"tie_word_embeddings\":true,\"scale_decoder_outputs\":false", true, false},
                 {",\"tie_word_embeddings\":false,\"scale_decoder_outputs\":true", false, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"model_type\":\"t5\"%s}", cases[i].keys);
        family_config c = numbers_of(text);
        assert_int_equal(c.ties_embeddings, cases[i].ties);
        assert_int_equal(c.scales_output, cases[i].scales);
    }
}

static void test_decoders__read_t5_configs(void **state)
{
    (void)state;
    static const struct {
        const char *projection;
        activation act;
        bool gated;
    } cases[] = {{"relu", ACT_RELU, false},
                 {"gated-gelu", ACT_GELU_TANH, true},
                 {"gated-silu", ACT_SILU, true},
                 {"gelu", ACT_GELU_ERF, false},
                 {"gated-relu", ACT_RELU, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"model_type\":\"mt5\",\"feed_forward_proj\":\"%s\"}",
                 cases[i].projection);
        family_config c = numbers_of(text);
        assert_int_equal(c.act, cases[i].act);
        assert_int_equal(c.is_gated, cases[i].gated);
    }
    family_config c =
        numbers_of("{\"model_type\":\"t5\",\"num_layers\":3,\"d_kv\":5,\"is_encoder_decoder\":true}");
    assert_int_equal(c.decoder_layers, 3);
    assert_int_equal(c.head_width, 5); /* d_model need not be heads * d_kv */
    assert_int_equal(c.positions, 0);
    c = numbers_of("{\"model_type\":\"t5\",\"num_layers\":3,\"num_decoder_layers\":2}");
    assert_int_equal(c.decoder_layers, 2);
    c = numbers_of("{\"model_type\":\"t5\",\"architectures\":[\"T5EncoderModel\"]}");
    assert_int_equal(c.decoder_layers, 0);
    assert_refused("{\"model_type\":\"t5\",\"feed_forward_proj\":\"gated-foo\"}", TKR_E_UNSUPPORTED_VALUE,
                   "\"gated-foo\"");
    assert_refused("{\"model_type\":\"t5\",\"relative_attention_max_distance\":16}", TKR_E_CONFIG_RANGE,
                   "relative_attention_max_distance 16; with 32 buckets it must be above 16");
}

static void test_decoders__read_llama_configs(void **state)
{
    (void)state;
    family_config c = numbers_of(
        "{\"model_type\":\"llama\",\"num_key_value_heads\":null,\"head_dim\":null,\"rope_scaling\":null}");
    assert_int_equal(c.key_heads, 32);
    assert_int_equal(c.head_width, 128);
    assert_int_equal(c.window, 0);
    assert_true(!c.ties_embeddings && !c.has_attention_bias && !c.has_mix_bias && c.rope.kind == ROPE_PLAIN);
    c = numbers_of("{\"model_type\":\"llama\",\"hidden_size\":30,\"num_attention_heads\":4,\"head_dim\":6,"
                   "\"attention_bias\":true}");
    assert_int_equal(c.head_width, 6);
    assert_true(c.has_mix_bias && c.has_attention_bias);
    c = numbers_of("{\"model_type\":\"mistral\"}");
    assert_int_equal(c.key_heads, 8);
    assert_int_equal(c.window, 4096);
    assert_int_equal(c.window_begin, 0);
    assert_int_equal(numbers_of("{\"model_type\":\"mistral\",\"sliding_window\":null}").window, 0);
    assert_refused("{\"model_type\":\"llama\",\"num_key_value_heads\":5}", TKR_E_CONFIG_DIVIDE,
                   "num_attention_heads 32 is not a multiple of num_key_value_heads 5");
    assert_refused("{\"model_type\":\"llama\",\"head_dim\":5}", TKR_E_CONFIG_DIVIDE,
                   "head_dim 5 is not a multiple of 2");
    assert_refused("{\"model_type\":\"llama\",\"sliding_window\":5}", TKR_E_UNSUPPORTED_CONFIG_KEY,
                   "sliding_window");
}

static void test_decoders__read_windows_of_qwen2(void **state)
{
    (void)state;
    family_config c = numbers_of("{\"model_type\":\"qwen2\",\"sliding_window\":9}");
    assert_int_equal(c.window, 0);
    assert_true(c.has_attention_bias && !c.has_mix_bias);
    c = numbers_of(
        "{\"model_type\":\"qwen2\",\"sliding_window\":9,\"use_sliding_window\":true,\"max_window_layers\":3}");
    assert_int_equal(c.window, 9);
    assert_int_equal(c.window_begin, 3);
    c = numbers_of(
        "{\"model_type\":\"qwen2\",\"num_hidden_layers\":3,\"sliding_window\":9,\"use_sliding_window\":true,"
        "\"layer_types\":[\"full_attention\",\"sliding_attention\",\"sliding_attention\"]}");
    assert_int_equal(c.window_begin, 1);
    assert_refused("{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,\"layer_types\":[\"sliding_attention\","
                   "\"full_attention\"]}",
                   TKR_E_UNSUPPORTED_VALUE, "layer_types[1] \"full_attention\"");
    assert_refused("{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,\"layer_types\":[\"full_attention\",7]}",
                   TKR_E_UNSUPPORTED_VALUE, "layer_types[1] a number");
    assert_refused("{\"model_type\":\"qwen2\",\"num_hidden_layers\":2,\"layer_types\":[\"full_attention\"]}",
                   TKR_E_CONFIG_RANGE, "an array of 2 names");
}

#define LLAMA(keys) "{\"model_type\":\"llama\"," keys "}"

static void test_decoders__read_rotary_parameters(void **state)
{
    (void)state;
    family_config c = numbers_of(LLAMA("\"rope_scaling\":{\"type\":\"linear\",\"factor\":4}"));
    assert_true(c.rope.kind == ROPE_LINEAR && c.rope.factor == 4 && c.rope_base == 10000);
    c = numbers_of(LLAMA(
        "\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5e5,\"factor\":8,\"low_freq_factor\":1,"
        "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}"));
    assert_true(c.rope.kind == ROPE_LLAMA3 && c.rope_base == 5e5 && c.rope.factor == 8);
    assert_true(c.rope.low == 1 && c.rope.high == 4 && c.rope.trained == 64);
    assert_true(
        numbers_of(LLAMA("\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":7}")).rope_base == 7);

    static const char *const kinds[] = {"dynamic", "yarn", "longrope", "foo"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char text[200];
        snprintf(text, sizeof text, LLAMA("\"rope_scaling\":{\"rope_type\":\"%s\",\"factor\":2}"), kinds[i]);
        assert_refused(text, TKR_E_UNSUPPORTED_VALUE, kinds[i]);
    }
    assert_refused(LLAMA("\"rope_theta\":0"), TKR_E_CONFIG_RANGE, "rope_theta 0");
    assert_refused(LLAMA("\"rope_scaling\":{\"factor\":-2}"), TKR_E_CONFIG_RANGE, "factor -2");
    assert_refused(LLAMA("\"rope_scaling\":{\"type\":\"linear\"}"), TKR_E_CONFIG_MISSING, "has no \"factor\"");
    assert_refused(LLAMA("\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2}"), TKR_E_CONFIG_MISSING,
                   "low_freq_factor");
    assert_refused(
        LLAMA(
            "\"rope_scaling\":{\"type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_freq_factor\":4}"),
        TKR_E_CONFIG_RANGE, "high_freq_factor must be above low_freq_factor");
    assert_refused(LLAMA("\"rope_scaling\":[1]"), TKR_E_JSON_TYPE, "rope_scaling is an array");
    assert_refused(LLAMA("\"partial_rotary_factor\":0.5"), TKR_E_UNSUPPORTED_VALUE, "partial_rotary_factor");
}

/* ---- opened folders --------------------------------------------------------------------------------------------- */

static char place[WORK_PATH];

static tkr_model *open_made(const model_recipe *r)
{
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, NULL, &error);
    if (!m)
        fail_msg("%s: %s", r->family, error.message);
    return m;
}

static int make_place(void **state)
{
    (void)state;
    return work_folder_new(place) ? 0 : -1;
}

static int remove_place(void **state)
{
    (void)state;
    return work_folder_remove(place) ? 0 : -1;
}

static void test_decoders__know_where_an_output_ends(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("t5");
    assert_true(make_model(place, &r));
    tkr_model *m = open_made(&r);
    assert_true(model_is_end(m, 1) && !model_is_end(m, 0));
    assert_int_equal(model_decoder_start(m), 0);
    assert_int_equal(model_max_tokens(m), 16384);
    tkr_model_close(m);

    assert_true(work_write_text(place, GENERATION_FILE,
                                "{\"eos_token_id\": [5, 6], \"decoder_start_token_id\": 3, \"top_k\": 1}"));
    m = open_made(&r);
    assert_true(model_is_end(m, 5) && model_is_end(m, 6) && !model_is_end(m, 1));
    assert_int_equal(model_decoder_start(m), 3);
    tkr_model_close(m);

    assert_true(work_delete(place, GENERATION_FILE));
    assert_true(work_replace(place, "config.json", "\"decoder_start_token_id\": 0", "\"eos_token_ids\": null"));
    m = open_made(&r);
    assert_int_equal(model_decoder_start(m), 0); /* the padding */
    tkr_model_close(m);

    model_recipe bert = model_recipe_tiny("bert");
    assert_true(make_model(place, &bert));
    assert_true(work_delete(place, "tokenizer.json"));
    m = open_made(&bert);
    assert_int_equal(model_decoder_start(m), -1);
    assert_false(model_is_end(m, 1));
    tkr_model_close(m);
}

static void test_decoders__refuse_bad_generation_files(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        tkr_status status;
        const char *part;
    } cases[] = {{"{", TKR_E_JSON_SYNTAX, "generation_config.json: "},
                 {"{\"eos_token_id\": \"x\"}", TKR_E_JSON_TYPE, "eos_token_id is a string"},
                 {"{\"eos_token_id\": [1, null]}", TKR_E_JSON_TYPE, "eos_token_id is null"},
                 {"{\"eos_token_id\": 64}", TKR_E_CONFIG_RANGE, "eos_token_id 64; it must be 0 to 63"},
                 {"{\"decoder_start_token_id\": -1}", TKR_E_CONFIG_RANGE, "decoder_start_token_id -1"}};
    model_recipe r = model_recipe_tiny("t5");
    assert_true(make_model(place, &r));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tkr_error error = {0};
        assert_true(work_write_text(place, GENERATION_FILE, cases[i].text));
        assert_null(tkr_model_open(place, NULL, &error));
        if (error.code != cases[i].status || !strstr(error.message, cases[i].part))
            fail_msg("%s: %s", cases[i].text, error.message);
    }
}

/* Later versions say "tied" of every T5 and keep a head of its own in the file: that one counts. */
static void test_decoders__choose_the_head_of_t5(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("t5");
    assert_true(make_model(place, &r));
    tkr_model *m = open_made(&r);
    assert_string_equal(model_weight(m, "head.weight")->name, "shared.weight");
    tkr_model_close(m);

    r.untied = true;
    assert_true(make_model(place, &r));
    assert_true(work_replace(place, "config.json", "\"tie_word_embeddings\": false",
                             "\"tie_word_embeddings\": true, \"scale_decoder_outputs\": false"));
    m = open_made(&r);
    assert_string_equal(model_weight(m, "head.weight")->name, "lm_head.weight");
    tkr_model_close(m);

    r.untied = false; /* untied in config.json, and no matrix */
    assert_true(make_weights(place, &r));
    assert_true(
        work_replace(place, "config.json", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false"));
    tkr_error error = {0};
    assert_null(tkr_model_open(place, NULL, &error));
    assert_int_equal(error.code, TKR_E_WEIGHT_MISSING);
    assert_non_null(strstr(error.message, "\"lm_head.weight\""));
}

static void test_decoders__run_an_encoder_alone(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("t5");
    r.head = MADE_NO_HEAD;
    assert_true(make_model(place, &r));
    tkr_model *m = open_made(&r);
    arena *a = arena_new((size_t)1 << 20);
    int32_t ids[] = {5, 6, 1}, none[] = {0, 0, 0};
    uint32_t begin[] = {0, 3};
    batch b = {.sequences = 1, .rows = 3, .begin = begin, .ids = ids, .types = none, .positions = none};
    model_graph g;
    tkr_error error = {0};
    assert_int_equal(model_shape(m), FAMILY_ENCODER);
    assert_int_equal(model_outputs(m), 0);
    assert_int_equal(model_graph_new(m, &b, (graph_wish){.all_rows = true}, a, &g, &error), TKR_OK);
    assert_non_null(graph_site_find(g.graph, "encoder.final_norm"));
    assert_null(graph_site_find(g.graph, "decoder.embeddings"));
    assert_int_equal(g.logits, NODE_NONE);
    arena_free(a);
    tkr_model_close(m);
}

/* Opening, a cache and two graphs over it, with the allocation number `failing` failing (0: none); how many there were. */
static uint64_t open_and_describe(uint64_t failing, tkr_status *status)
{
    int32_t ids[] = {5, 6, 1, 0}, places[] = {0, 1, 2, 0}, target[] = {0};
    uint32_t begin[] = {0, 4}, output_begin[] = {3}, target_begin[] = {0, 1};
    batch b = {.sequences = 1,
               .rows = 4,
               .begin = begin,
               .ids = ids,
               .types = places,
               .positions = places,
               .targets = 1,
               .target_begin = target_begin,
               .target_rows = target};
    tkr_model_options options = tkr_model_options_defaults();
    options.threads = 1;
    model_graph g;
    tkr_error error = {0};
    memory_fail_at(failing, 0);
    tkr_model *m = tkr_model_open(place, &options, &error);
    arena *a = m ? arena_new((size_t)1 << 20) : NULL;
    model_cache *c = a ? model_cache_new(m, 4, 3, &error) : NULL;
    b.output_begin = m && model_shape(m) == FAMILY_ENCODER_DECODER ? output_begin : NULL;
    if (c && !model_graph_new(m, &b, (graph_wish){0}, a, &g, &error))
        (void)model_graph_new(m, &b, (graph_wish){.cache = c}, a, &g, &error);
    uint64_t allocations = memory_allocations();
    memory_fail_at(0, 0);
    *status = error.code || c ? error.code : TKR_E_LIMIT_OOM;
    model_cache_free(c);
    arena_free(a);
    tkr_model_close(m);
    return allocations;
}

static void test_decoders__survive_every_allocation_failing(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2", "t5", "qwen2"};
    for (size_t n = 0; n < 3; n++) {
        model_recipe r = model_recipe_tiny(names[n]);
        tkr_status status;
        assert_true(make_model(place, &r));
        uint64_t held = tkr_memory_now(), total = open_and_describe(0, &status);
        assert_int_equal(status, TKR_OK);
        assert_true(total > 50);
        for (uint64_t i = 1; i <= total; i++) {
            open_and_describe(i, &status);
            if (status && status != TKR_E_LIMIT_OOM)
                fail_msg("%s, allocation %llu: %s", names[n], (unsigned long long)i, tkr_status_name(status));
            assert_int_equal(tkr_memory_now(), held);
        }
    }
}

#define TEST(name)    cmocka_unit_test(test_decoders__##name)
#define TEST_IN(name) cmocka_unit_test_setup_teardown(test_decoders__##name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(read_gpt2_configs),
        TEST(read_opt_configs),
        TEST(scale_the_output_of_tied_t5),
        TEST(read_t5_configs),
        TEST(read_llama_configs),
        TEST(read_windows_of_qwen2),
        TEST(read_rotary_parameters),
        TEST_IN(know_where_an_output_ends),
        TEST_IN(refuse_bad_generation_files),
        TEST_IN(choose_the_head_of_t5),
        TEST_IN(run_an_encoder_alone),
        TEST_IN(survive_every_allocation_failing),
    };
    return cmocka_run_group_tests_name("decoders", tests, NULL, NULL);
}
