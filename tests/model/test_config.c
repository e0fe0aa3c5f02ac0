/* config.json: what is read, what is ignored with a note, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"
#include "model/config.h"
#include "model/wildcard.h"

static void read_good(const char *text, model_config *config, notes *n)
{
    tkr_error error = {0};
    if (config_read(view_of(text), config, n, &error))
        fail_msg("%s: %s: %s", text, tkr_status_name(error.code), error.message);
}

static void assert_refused(const char *text, const char *status, const char *part)
{
    model_config config;
    notes n = {0};
    tkr_error error = {0};
    tkr_status got = config_read(view_of(text), &config, &n, &error);
    if (strcmp(tkr_status_name(got), status) != 0 || got != error.code || !strstr(error.message, part) ||
        strncmp(error.message, "config.json: ", 13) != 0)
        fail_msg("%s: wanted %s: %s\n got %s: %s", text, status, part, tkr_status_name(got), error.message);
    assert_int_equal(config_read(view_of(text), &config, &n, NULL), got);
    notes_fini(&n);
}

static void test_config__fills_in_the_family_s_defaults(void **state)
{
    (void)state;
    model_config c;
    notes n = {0};
    read_good("{\"model_type\":\"bert\"}", &c, &n);
    assert_string_equal(c.family->title, "BERT");
    assert_int_equal(c.numbers.hidden, 768);
    assert_int_equal(c.numbers.layers, 12);
    assert_int_equal(c.numbers.inner, 3072);
    assert_int_equal(c.numbers.positions, 512);
    assert_int_equal(c.numbers.types, 2);
    assert_int_equal(c.numbers.vocab, 30522);
    assert_int_equal(c.numbers.act, ACT_GELU_ERF);
    assert_true(c.numbers.eps == 1e-12);
    assert_int_equal(c.numbers.pad_id, 0);
    assert_true(c.numbers.ties_embeddings);
    assert_int_equal(c.numbers.labels, 2);
    assert_string_equal(c.labels[1], "LABEL_1");
    assert_int_equal(c.problem, PROBLEM_SINGLE_LABEL);
    assert_null(c.architecture);
    assert_int_equal(n.count, 0);
    config_fini(&c);

    read_good("{\"model_type\":\"distilbert\"}", &c, &n);
    assert_int_equal(c.numbers.layers, 6);
    assert_int_equal(c.numbers.types, 0);
    assert_true(c.numbers.eps == 1e-12);
    config_fini(&c);
}

static void test_config__knows_bert_s_relatives(void **state)
{
    (void)state;
    model_config c;
    notes n = {0};
    read_good("{\"model_type\":\"xlm-roberta\",\"max_position_embeddings\":514}", &c, &n);
    assert_string_equal(c.family->title, "RoBERTa");
    assert_int_equal(c.numbers.vocab, 50265);
    assert_int_equal(c.numbers.pad_id, 1);
    assert_int_equal(c.numbers.first_position, 2);
    config_fini(&c);
    read_good("{\"model_type\":\"camembert\",\"pad_token_id\":5}", &c, &n);
    assert_int_equal(c.numbers.first_position, 6);
    config_fini(&c);
    assert_refused("{\"model_type\":\"roberta\",\"max_position_embeddings\":2}", "config.range", "which is 2");

    read_good("{\"model_type\":\"electra\"}", &c, &n);
    assert_int_equal(c.numbers.embedding, 128);
    assert_int_equal(c.numbers.hidden, 256);
    assert_int_equal(c.numbers.heads, 4);
    assert_int_equal(c.numbers.inner, 1024);
    config_fini(&c);

    read_good("{\"model_type\":\"albert\",\"num_hidden_layers\":6,\"num_hidden_groups\":3,\"inner_group_num\":2}", &c, &n);
    assert_int_equal(c.numbers.act, ACT_GELU_TANH);
    assert_int_equal(c.numbers.layers, 12);
    assert_int_equal(c.numbers.groups, 3);
    assert_int_equal(c.numbers.group_layers, 2);
    config_fini(&c);
    assert_refused("{\"model_type\":\"albert\",\"num_hidden_groups\":13}", "config.range", "it must be 1 to 12");
    assert_refused("{\"model_type\":\"albert\",\"inner_group_num\":86}", "config.range", "it makes 1032, at most 1024");
    assert_int_equal(n.count, 0);
}

static void test_config__reads_the_keys_of_its_family(void **state)
{
    (void)state;
    model_config c;
    notes n = {0};
    read_good("{\"model_type\":\"distilbert\",\"dim\":12.0,\"n_layers\":3,\"n_heads\":4,\"hidden_dim\":5,"
              "\"vocab_size\":99,"
              "\"activation\":\"relu\",\"pad_token_id\":null,\"tie_word_embeddings\":false,\"max_position_"
              "embeddings\":7,"
              "\"architectures\":[\"DistilBertForMaskedLM\"]}",
              &c, &n);
    assert_int_equal(c.numbers.hidden, 12);
    assert_int_equal(c.numbers.layers, 3);
    assert_int_equal(c.numbers.heads, 4);
    assert_int_equal(c.numbers.inner, 5);
    assert_int_equal(c.numbers.vocab, 99);
    assert_int_equal(c.numbers.positions, 7);
    assert_int_equal(c.numbers.act, ACT_RELU);
    assert_int_equal(c.numbers.pad_id, -1);
    assert_false(c.numbers.ties_embeddings);
    assert_string_equal(c.architecture, "DistilBertForMaskedLM");
    assert_int_equal(head_of_architecture(c.family, c.architecture)->task, TKR_TASK_MASKED_LM);
    config_fini(&c);

    read_good("{\"model_type\":\"bert\",\"layer_norm_eps\":1e-5,\"hidden_act\":\"gelu_new\",\"pad_token_id\":3,"
              "\"eos_token_id\":[1,2],\"architectures\":[]}",
              &c, &n);
    assert_true(c.numbers.eps == 1e-5);
    assert_int_equal(c.numbers.act, ACT_GELU_TANH);
    assert_int_equal(c.numbers.pad_id, 3);
    assert_null(c.architecture);
    config_fini(&c);
    assert_int_equal(n.count, 0);
}

static void test_config__reads_labels_and_problem(void **state)
{
    (void)state;
    model_config c;
    notes n = {0};
    read_good(
        "{\"model_type\":\"bert\",\"id2label\":{\"1\":\"b\",\"0\":\"a\\u001b\",\"2\":\"\"},\"num_labels\":5}",
        &c, &n);
    assert_int_equal(c.numbers.labels, 3);
    assert_string_equal(c.labels[0], "a\x1b");
    assert_string_equal(c.labels[1], "b");
    assert_int_equal(n.count, 1);
    config_fini(&c);
    notes_fini(&n);

    read_good("{\"model_type\":\"bert\",\"num_labels\":1}", &c, &n);
    assert_int_equal(c.problem, PROBLEM_MULTI_LABEL); /* a sigmoid, as pipelines show it */
    config_fini(&c);
    read_good("{\"model_type\":\"bert\",\"num_labels\":1,\"problem_type\":\"regression\"}", &c, &n);
    assert_int_equal(c.problem, PROBLEM_REGRESSION);
    config_fini(&c);
    read_good("{\"model_type\":\"bert\",\"problem_type\":\"multi_label_classification\"}", &c, &n);
    assert_int_equal(c.problem, PROBLEM_MULTI_LABEL);
    config_fini(&c);
}

static void test_config__knows_every_activation(void **state)
{
    (void)state;
    static const char *const names[] = {"gelu",
                                        "gelu_python",
                                        "gelu_new",
                                        "gelu_pytorch_tanh",
                                        "gelu_python_tanh",
                                        "gelu_accurate",
                                        "gelu_fast",
                                        "gelu_10",
                                        "quick_gelu",
                                        "relu",
                                        "relu6",
                                        "relu2",
                                        "silu",
                                        "swish",
                                        "mish",
                                        "sigmoid",
                                        "tanh",
                                        "linear",
                                        "leaky_relu"};
    bool is_seen[ACT_COUNT] = {false};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[100];
        model_config c;
        notes n = {0};
        snprintf(text, sizeof text, "{\"model_type\":\"bert\",\"hidden_act\":\"%s\"}", names[i]);
        read_good(text, &c, &n);
        is_seen[c.numbers.act] = true;
        config_fini(&c);
    }
    for (size_t i = 0; i < ACT_COUNT; i++)
        assert_true(is_seen[i]);
}

#define BERT "{\"model_type\":\"bert\","

static void test_config__ignores_what_has_no_effect(void **state)
{
    (void)state;
    static const char *const silent[] = {
        BERT
        "\"classifier_dropout\":0.1,\"initializer_range\":0.02,\"use_cache\":true,\"pooler_fc_size\":768,"
        "\"directionality\":\"bidi\",\"transformers_version\":\"5\",\"chunk_size_feed_forward\":0,\"torch_"
        "dtype\":\"float16\","
        "\"position_embedding_type\":\"absolute\",\"label2id\":{},\"pruned_heads\":{},\"is_decoder\":false}",
        "{\"model_type\":\"distilbert\",\"sinusoidal_pos_embds\":true,\"tie_weights_\":true,\"qa_dropout\":0.1,"
        "\"output_past\":true,\"finetuning_task\":\"sst-2\"}",
    };
    static const char *const noted[][2] = {
        {BERT "\"some_key\":1}", "1 unknown keys were ignored: \"some_key\""},
        {BERT "\"attn_logit_softcapping\":null}", "unknown"},
        {BERT "\"use_rope\":false}", "unknown"},
        {BERT "\"_attn_implementation_internal\":\"evil/kernel\"}", "\"_attn_implementation_internal\""},
        {BERT "\"auto_map\":{\"AutoModel\":\"x.Y\"}}", "\"auto_map\" names code; Tokray never runs code"},
        {BERT "\"model_file\":\"x.py\"}", "\"model_file\" names code"},
    };
    for (size_t i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        model_config c;
        notes n = {0};
        read_good(silent[i], &c, &n);
        if (n.count)
            fail_msg("%s", n.text[0]);
        config_fini(&c);
    }
    for (size_t i = 0; i < sizeof noted / sizeof noted[0]; i++) {
        model_config c;
        notes n = {0};
        read_good(noted[i][0], &c, &n);
        assert_int_equal(n.count, 1);
        assert_non_null(strstr(n.text[0], noted[i][1]));
        config_fini(&c);
        notes_fini(&n);
    }
}

static void test_config__refuses_what_it_cannot_trust(void **state)
{
    (void)state;
    static const char *const bad[][3] = {
        {"{}", "config.missing", "has no \"model_type\""},
        {"[]", "json.type", "an array"},
        {"{\"model_type\":\"berd\"}", "unsupported.family",
         "model type \"berd\" is not supported; supported: bert, distilbert"},
        {"{\"model_type\":1}", "json.type", "model_type is a number"},
        {BERT "\"hidden_size\":768.5}", "json.type", "hidden_size"},
        {BERT "\"hidden_size\":\"768\"}", "json.type", "hidden_size is a string; it must be a whole number"},
        {BERT "\"hidden_size\":true}", "json.type", "hidden_size is true"},
        {BERT "\"hidden_size\":null}", "json.type", "hidden_size is null"},
        {BERT "\"hidden_size\":[768]}", "json.type", "hidden_size is an array"},
        {BERT "\"hidden_size\":0}", "config.range", "hidden_size 0; it must be 1 to 65536"},
        {BERT "\"hidden_size\":-768}", "config.range", "hidden_size -768"},
        {BERT "\"hidden_size\":70000}", "config.range", "hidden_size 70000"},
        {BERT "\"num_attention_heads\":7}", "config.divide",
         "hidden_size 768 is not a multiple of num_attention_heads 7"},
        {"{\"model_type\":\"distilbert\",\"n_heads\":7}", "config.divide",
         "dim 768 is not a multiple of n_heads 7"},
        {BERT "\"num_hidden_layers\":1000000000}", "config.range", "1000000000"},
        {BERT "\"layer_norm_eps\":0}", "config.range", "layer_norm_eps 0; it must be above 0 and at most 0.1"},
        {BERT "\"layer_norm_eps\":-1e-5}", "config.range", "layer_norm_eps"},
        {BERT "\"layer_norm_eps\":1e-999}", "config.range", "layer_norm_eps"},
        {BERT "\"layer_norm_eps\":1e30}", "config.range", "layer_norm_eps"},
        {BERT "\"layer_norm_eps\":NaN}", "json.syntax", "NaN"},
        {BERT "\"hidden_act\":\"foo\"}", "unsupported.value", "hidden_act \"foo\"; supported are gelu"},
        {BERT "\"hidden_act\":null}", "json.type", "hidden_act is null"},
        {BERT "\"position_embedding_type\":\"relative_key\"}", "unsupported.value",
         "supported is \"absolute\""},
        {BERT "\"is_decoder\":true}", "unsupported.value", "is_decoder is true"},
        {BERT "\"pruned_heads\":{\"0\":[1]}}", "unsupported.config_key", "pruned_heads"},
        {BERT "\"attn_logit_softcapping\":50.0}", "unsupported.config_key",
         "\"attn_logit_softcapping\" = 50.0 changes the computation and is not supported for bert"},
        {BERT "\"rope_theta\":0}", "unsupported.config_key", "rope_theta"},
        {BERT "\"rope_scaling\":{\"factor\":-2}}", "unsupported.config_key", "{\"factor\":-2}"},
        {BERT "\"num_experts\":8}", "unsupported.config_key", "num_experts"},
        {"{\"model_type\":\"distilbert\",\"layer_norm_eps\":1e-5}", "unsupported.config_key", "layer_norm_eps"},
        {BERT "\"quantization_config\":{\"bits\":4}}", "unsupported.quant", "quantization_config"},
        {BERT "\"pad_token_id\":50000}", "config.range", "pad_token_id 50000; it must be null or 0 to 30521"},
        {BERT "\"pad_token_id\":-1}", "config.range", "pad_token_id -1"},
        {BERT "\"eos_token_id\":[1,40000]}", "config.range", "eos_token_id 40000"},
        {BERT "\"bos_token_id\":\"x\"}", "json.type", "bos_token_id is a string"},
        {BERT "\"id2label\":{\"0\":\"a\",\"2\":\"b\"}}", "config.labels", "keys must be 0 to n-1"},
        {BERT "\"id2label\":{\"x\":\"a\"}}", "config.labels", "id2label key \"x\""},
        {BERT "\"id2label\":{\"0\":\"a\",\"00\":\"b\"}}", "config.labels", "id2label key"},
        {BERT "\"id2label\":{}}", "config.labels", "empty"},
        {BERT "\"id2label\":{\"0\":1}}", "json.type", "a number"},
        {BERT "\"num_labels\":0}", "config.range", "num_labels 0"},
        {BERT "\"problem_type\":\"ranking\"}", "unsupported.value", "problem_type \"ranking\""},
        {BERT "\"architectures\":[1]}", "json.type", "architectures"},
        {BERT "\"hidden_size\":768,\"hidden_size\":768}", "json.duplicate_key", "hidden_size"},
        {"{'a':1}", "json.syntax", "line 1"},
        {"{\"a\":1,}", "json.syntax", "line 1"},
        {"// x\n{}", "json.syntax", "line 1"},
        {"\xEF\xBB\xBF{}", "json.syntax", "byte order mark"},
        {"", "json.syntax", "empty file"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_refused(bad[i][0], bad[i][1], bad[i][2]);
}

static void test_config__limits_labels(void **state)
{
    (void)state;
    enum { LABELS = 65537, ROOM = LABELS * 16 + 100 };
    char *text = malloc(ROOM);
    assert_non_null(text);
    size_t used = (size_t)snprintf(text, ROOM, BERT "\"id2label\":{");
    for (size_t i = 0; i < LABELS; i++)
        used += (size_t)snprintf(text + used, ROOM - used, "%s\"%zu\":\"\"", i ? "," : "", i);
    snprintf(text + used, ROOM - used, "}}");
    assert_refused(text, "limit.labels", "65537 labels; the limit is 65536");
    free(text);
}

static void test_config__tells_bare_encoders_from_heads(void **state)
{
    (void)state;
    assert_true(is_bare_architecture("BertModel"));
    assert_true(is_bare_architecture("DistilBertModel"));
    assert_false(is_bare_architecture("BertForMultipleChoice"));
    const family *bert = family_at(0);
    assert_null(head_of_architecture(bert, "BertForMultipleChoice"));
    assert_int_equal(head_of_architecture(bert, "BertForQuestionAnswering")->task, TKR_TASK_QUESTION_ANSWERING);
    assert_int_equal(head_of_architecture(bert, "BertForPreTraining")->task, TKR_TASK_MASKED_LM);
}

static void test_config__matches_patterns(void **state)
{
    (void)state;
    assert_true(wildcard_matches("*rope*", "use_rope_scaling"));
    assert_true(wildcard_matches("*position_ids", "a.position_ids.b.position_ids"));
    assert_true(wildcard_matches("*", ""));
    assert_true(wildcard_matches("a*b*c", "axxbyybzc"));
    assert_false(wildcard_matches("a*b*c", "axxbyybz"));
    assert_false(wildcard_matches("", "a"));
    assert_false(wildcard_matches("ab", "a"));
    assert_false(wildcard_any(NULL, "a"));
}

static void test_config__survives_every_allocation_failing(void **state)
{
    (void)state;
    const char *text = BERT "\"architectures\":[\"BertModel\"],\"id2label\":{\"0\":\"a\",\"1\":\"b\"}}";
    for (uint64_t i = 1; i < 6; i++) {
        model_config c;
        notes n = {0};
        tkr_error error = {0};
        memory_fail_at(i, 0);
        tkr_status status = config_read(view_of(text), &c, &n, &error);
        uint64_t allocations = memory_allocations();
        memory_fail_at(0, 0);
        assert_int_equal(status, allocations >= i ? TKR_E_LIMIT_OOM : TKR_OK);
        config_fini(&c);
    }
}

#define TEST(name) cmocka_unit_test(test_config__##name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fills_in_the_family_s_defaults),
        TEST(knows_bert_s_relatives),
        TEST(reads_the_keys_of_its_family),
        TEST(reads_labels_and_problem),
        TEST(knows_every_activation),
        TEST(ignores_what_has_no_effect),
        TEST(refuses_what_it_cannot_trust),
        TEST(limits_labels),
        TEST(tells_bare_encoders_from_heads),
        TEST(matches_patterns),
        TEST(survives_every_allocation_failing),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
