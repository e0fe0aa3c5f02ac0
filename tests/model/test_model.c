/* Opening models: names of tensors, heads, ties, options, facts, notes; and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <tokray/session.h>
#include <tokray/text.h>

#include "base/memory.h"
#include "model/model.h"
#include "support/make_model.h"
#include "support/workplace.h"

static char place[WORK_PATH];

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

static tkr_model *open_made(const model_recipe *recipe, const tkr_model_options *options)
{
    tkr_error error = {0};
    assert_true(make_model(place, recipe));
    tkr_model *m = tkr_model_open(place, options, &error);
    if (!m)
        fail_msg("%s: %s", tkr_status_name(error.code), error.message);
    return m;
}

static void assert_refused(const tkr_model_options *options, const char *status, const char *part)
{
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, options, &error);
    if (m || strcmp(tkr_status_name(error.code), status) != 0 || !strstr(error.message, part))
        fail_msg("wanted %s: %s\n got %s: %s", status, part, m ? "success" : tkr_status_name(error.code),
                 error.message);
}

static bool has_note(const tkr_model *m, const char *part)
{
    const char *note;
    for (size_t i = 0; (note = tkr_model_note(m, i)) != NULL; i++)
        if (strstr(note, part))
            return true;
    return false;
}

/* First number of a weight, widened. */
static double first_number(const tkr_model *m, const char *name)
{
    real row[64];
    weight *w = model_weight(m, name);
    assert_non_null(w);
    assert_true(w->columns <= 64);
    weight_row(w, 0, row);
    return (double)row[0];
}

static void test_model__describes_itself(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model *m = open_made(&r, NULL);
    tkr_model_facts facts;
    tkr_model_describe(m, &facts);
    assert_string_equal(facts.source, "folder");
    assert_string_equal(facts.family, "bert");
    assert_string_equal(facts.family_title, "BERT");
    assert_int_equal(facts.task, TKR_TASK_SEQUENCE_CLASSIFICATION);
    assert_string_equal(facts.task_name, "sequence-classification");
    assert_string_equal(facts.problem, "single-label");
    assert_string_equal(facts.dtype, "f32");
    assert_int_equal(facts.layers, 2);
    assert_int_equal(facts.heads, 2);
    assert_int_equal(facts.hidden, 8);
    assert_int_equal(facts.inner, 12);
    assert_int_equal(facts.vocab, 64);
    assert_int_equal(facts.max_tokens, 16);
    assert_int_equal(facts.labels, 2);
    size_t layer = 4 * (64 + 8) + 2 * 16 + (96 + 12) + (96 + 8);
    assert_int_equal(facts.parameters, 64 * 8 + 16 * 8 + 2 * 8 + 16 + 2 * layer + 64 + 8 + 16 + 2);
    assert_string_equal(facts.tokenizer_file, "vocab.txt");
    assert_string_equal(facts.weights_sha256, ""); /* made when asked for */
    assert_int_equal(strlen(facts.config_sha256), 64);
    assert_int_equal(strlen(facts.tokenizer_sha256), 64);
    assert_string_equal(tkr_model_label(m, 1), "class 1");
    assert_null(tkr_model_label(m, 2));
    assert_null(tkr_model_note(m, 0));
    assert_int_equal(model_outputs(m), 2);
    assert_string_equal(model_output_name(m, 0), "class 0");
    tkr_error error = {0};
    assert_int_equal(model_unchanged(m, &error), TKR_OK);
    tkr_model_close(m);
    tkr_model_close(NULL);
}

static void test_model__hashes_what_sha256sum_would(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model *m = open_made(&r, NULL);
    char command[WORK_PATH + 80], wanted[65] = "";
    snprintf(command, sizeof command, "sha256sum %s/model.safetensors", place);
    FILE *output = popen(command, "r"); /* NOLINT: a fixed command on our own folder */
    assert_non_null(output);
    assert_int_equal(fread(wanted, 1, 64, output), 64);
    pclose(output);
    assert_string_equal(tkr_model_weights_sha256(m), wanted);
    tkr_model_close(m);
}

static void test_model__reads_every_spelling_of_the_same_weights(void **state)
{
    (void)state;
    static const char *const families[] = {"bert", "distilbert"};
    for (size_t f = 0; f < 2; f++)
        for (size_t style = 0; style < 8; style++) {
            model_recipe r = model_recipe_tiny(families[f]);
            r.no_prefix = style & 1;
            r.legacy_names = style == 2;
            r.shards = style >= 4 ? 3 : 1;
            r.header_padding = style & 2 ? 3 : 0;
            if (r.shards > 1)
                (void)work_delete(place, "model.safetensors");
            else
                (void)work_delete(place, "model.safetensors.index.json");
            tkr_model *m = open_made(&r, NULL);
            if (tkr_model_note(m, 0))
                fail_msg("%s, spelling %zu: %s", families[f], style, tkr_model_note(m, 0));
            static double word, norm_bias;
            if (style == 0) {
                word = first_number(m, "word");
                norm_bias = first_number(m, "1.output_norm.weight");
            }
            assert_true(word == first_number(m, "word"));
            if (style != 2)
                assert_true(norm_bias == first_number(m, "1.output_norm.weight"));
            assert_null(model_weight(m, "2.query.weight"));
            tkr_model_close(m);
        }
}

static void test_model__widens_half_precision_exactly(void **state)
{
    (void)state;
    static const made_dtype types[] = {MADE_F16, MADE_BF16, MADE_F64};
    static const char *const names[] = {"f16", "bf16", "f64"};
    for (size_t i = 0; i < 3; i++) {
        model_recipe r = model_recipe_tiny("distilbert");
        tkr_model_facts facts;
        r.rounded_to = i == 2 ? MADE_F32 : types[i];
        tkr_model *wide = open_made(&r, NULL);
        double wanted = first_number(wide, "0.up.weight");
        tkr_model_close(wide);
        r.dtype = types[i];
        tkr_model *m = open_made(&r, NULL);
        tkr_model_describe(m, &facts);
        assert_string_equal(facts.dtype, names[i]);
        assert_true(first_number(m, "0.up.weight") == wanted);
        tkr_model_close(m);
    }
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

static void test_model__chooses_the_head(void **state)
{
    (void)state;
    static const struct {
        made_head made;
        bool says_architecture;
        tkr_task wanted, got;
    } cases[] = {
        {MADE_CLASSIFIER, true, TKR_TASK_NONE, TKR_TASK_SEQUENCE_CLASSIFICATION},
        {MADE_MASKED_LM, true, TKR_TASK_NONE, TKR_TASK_MASKED_LM},
        {MADE_NO_HEAD, true, TKR_TASK_NONE, TKR_TASK_NONE},
        {MADE_CLASSIFIER, false, TKR_TASK_NONE, TKR_TASK_SEQUENCE_CLASSIFICATION},
        {MADE_MASKED_LM, false, TKR_TASK_NONE, TKR_TASK_MASKED_LM},
        {MADE_NO_HEAD, false, TKR_TASK_NONE, TKR_TASK_NONE},
        {MADE_MASKED_LM, false, TKR_TASK_MASKED_LM, TKR_TASK_MASKED_LM},
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        model_recipe r = model_recipe_tiny(i & 1 ? "bert" : "distilbert");
        r.head = cases[i / 2].made;
        r.no_architecture = !cases[i / 2].says_architecture;
        tkr_model_options options = tkr_model_options_defaults();
        options.task = cases[i / 2].wanted;
        tkr_model *m = open_made(&r, &options);
        tkr_model_facts facts;
        tkr_model_describe(m, &facts);
        assert_int_equal(facts.task, cases[i / 2].got);
        assert_int_equal(model_outputs(m), facts.task == TKR_TASK_NONE        ? 0
                                           : facts.task == TKR_TASK_MASKED_LM ? 64
                                                                              : 2);
        if (facts.task == TKR_TASK_MASKED_LM)
            assert_string_equal(model_output_name(m, 10), "film");
        tkr_model_close(m);
    }
}

static void test_model__refuses_a_head_that_is_not_there(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    r.head = MADE_MASKED_LM;
    assert_true(make_model(place, &r));
    tkr_model_options options = tkr_model_options_defaults();
    options.task = TKR_TASK_SEQUENCE_CLASSIFICATION;
    assert_refused(&options, "unsupported.head", "this folder has no classification head; it can do masked LM");
    assert_true(work_replace(place, "config.json", "BertForMaskedLM", "BertForMultipleChoice"));
    assert_refused(NULL, "unsupported.head",
                   "architecture \"BertForMultipleChoice\" is not supported; for BERT supported are");
    options.task = TKR_TASK_MASKED_LM;
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, &options, &error);
    assert_non_null(m);
    tkr_model_close(m);
}

static void test_model__knows_three_kinds_of_classifier(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{NULL, "single-label"},
                                           {"single_label_classification", "single-label"},
                                           {"multi_label_classification", "multi-label"},
                                           {"regression", "regression"}};
    for (size_t i = 0; i < 4; i++) {
        model_recipe r = model_recipe_tiny("bert");
        r.problem = cases[i][0];
        r.labels = i == 3 ? 1 : 3;
        tkr_model *m = open_made(&r, NULL);
        tkr_model_facts facts;
        tkr_model_describe(m, &facts);
        assert_string_equal(facts.problem, cases[i][1]);
        assert_int_equal(facts.labels, r.labels);
        tkr_model_close(m);
    }
}

static void test_model__ties_the_decoder(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    r.head = MADE_MASKED_LM;
    tkr_model *m = open_made(&r, NULL);
    assert_ptr_equal(model_weight(m, "decoder.weight")->data, model_weight(m, "word")->data);
    uint64_t tied = m->parameters;
    tkr_model_close(m);

    r.untied = true;
    m = open_made(&r, NULL);
    assert_ptr_not_equal(model_weight(m, "decoder.weight")->data, model_weight(m, "word")->data);
    assert_int_equal(m->parameters, tied + 64 * 8);
    assert_null(tkr_model_note(m, 0));
    tkr_model_close(m);

    assert_true(
        work_replace(place, "config.json", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true"));
    tkr_error error = {0};
    m = tkr_model_open(place, NULL, &error);
    assert_non_null(m);
    assert_ptr_equal(model_weight(m, "decoder.weight")->data, model_weight(m, "word")->data);
    assert_true(has_note(m, "differs from the word embedding it is tied to"));
    tkr_model_close(m);

    r.untied = false;
    r.more_config = "\"tie_word_embeddings\": false";
    assert_true(make_model(place, &r));
    assert_refused(NULL, "weight.missing", "1 tensor missing: \"cls.predictions.decoder.weight\"");
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

typedef struct change {
    const char *ending; /* of the tensor's name */
    const char *new_name;
    size_t columns; /* 0: as it was */
    bool is_left_out;
    double bad;
    size_t bad_count;
} change;

static void apply_change(made_tensor *t, void *user)
{
    const change *c = user;
    size_t length = strlen(t->name), tail = strlen(c->ending);
    if (length < tail || strcmp(t->name + length - tail, c->ending) != 0)
        return;
    t->is_left_out = c->is_left_out;
    if (c->new_name)
        snprintf(t->name, sizeof t->name, "%s", c->new_name);
    if (c->columns) {
        t->rank = 2;
        t->shape[1] = c->columns;
    }
    t->bad_at = 3;
    t->bad_value = c->bad;
    t->bad_count = c->bad_count;
}

static void make_changed(const char *type, change c)
{
    model_recipe r = model_recipe_tiny(type);
    r.edit = apply_change;
    r.edit_user = &c;
    assert_true(make_model(place, &r));
}

static void test_model__names_missing_tensors(void **state)
{
    (void)state;
    make_changed("bert", (change){.ending = "1.attention.self.key.bias", .is_left_out = true});
    assert_refused(NULL, "weight.missing",
                   "1 tensor missing: \"bert.encoder.layer.1.attention.self.key.bias\"");
    make_changed("bert", (change){.ending = "weight", .is_left_out = true});
    assert_refused(NULL, "weight.missing", "22 tensors missing: \"bert.embeddings.word_embeddings.weight\", ");
    make_changed("bert", (change){.ending = "classifier.weight", .is_left_out = true});
    assert_refused(NULL, "weight.missing", "\"classifier.weight\"");
    make_changed("bert", (change){.ending = "pooler.dense.weight", .is_left_out = true});
    assert_refused(NULL, "weight.missing", "\"bert.pooler.dense.weight\"");
}

static void test_model__refuses_mixed_prefixes(void **state)
{
    (void)state;
    make_changed("distilbert",
                 (change){.ending = "0.ffn.lin1.bias", .new_name = "transformer.layer.0.ffn.lin1.bias"});
    assert_refused(NULL, "weight.mixed", "is there without the prefix \"distilbert.\"");
    make_changed("bert",
                 (change){.ending = "word_embeddings.weight", .new_name = "embeddings.word_embeddings.weight"});
    assert_refused(NULL, "weight.mixed", "is there with the prefix \"bert.\"");
    make_changed("bert",
                 (change){.ending = "pooler.dense.bias", .new_name = "embeddings.word_embeddings.weight"});
    assert_refused(NULL, "weight.mixed", "with and without the prefix \"bert.\"");
}

static void test_model__compares_shapes_with_the_config(void **state)
{
    (void)state;
    make_changed("bert", (change){.ending = "1.output.dense.weight", .columns = 13});
    assert_refused(NULL, "weight.shape",
                   "tensor \"bert.encoder.layer.1.output.dense.weight\" is [8, 13]; config wants [8, 12]");
    make_changed("bert", (change){.ending = "0.output.dense.bias", .columns = 1});
    assert_refused(NULL, "weight.shape", "is [8, 1]; config wants [8]");
    model_recipe r = model_recipe_tiny("bert");
    assert_true(make_model(place, &r) &&
                work_replace(place, "config.json", "\"vocab_size\": 64", "\"vocab_size\": 60"));
    assert_refused(NULL, "weight.shape", "is [64, 8]; config wants [60, 8]");
    r.labels = 3;
    assert_true(make_model(place, &r) && work_replace(place, "config.json", ", \"2\": \"class 2\"", ""));
    assert_refused(NULL, "weight.shape", "\"classifier.weight\" is [3, 8]; config wants [2, 8]");
}

static void test_model__tells_what_it_does_not_use(void **state)
{
    (void)state;
    make_changed("bert", (change){.ending = "pooler.dense.bias", .new_name = "bert.extra.bias"});
    assert_true(work_replace(place, "config.json", "BertForSequenceClassification", "BertModel"));
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, NULL, &error);
    assert_non_null(m);
    assert_true(has_note(m, "1 tensor that nothing needs: \"bert.extra.bias\""));
    assert_null(tkr_model_note(m, 1)); /* pooler and classifier belong to another head */
    tkr_model_close(m);
    tkr_model_options options = tkr_model_options_defaults();
    options.strict_weights = true;
    assert_refused(&options, "weight.extra", "1 tensor that nothing needs: \"bert.extra.bias\"");
}

static void test_model__finds_numbers_that_are_none(void **state)
{
    (void)state;
    make_changed("bert", (change){.ending = "1.intermediate.dense.weight", .bad = (double)NAN, .bad_count = 2});
    assert_refused(NULL, "weight.nonfinite",
                   "tensor \"bert.encoder.layer.1.intermediate.dense.weight\": 2 NaN");
    tkr_model_options options = tkr_model_options_defaults();
    options.no_weight_scan = true;
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, &options, &error);
    assert_non_null(m);
    tkr_model_close(m);
}

/* ---- options and rest ------------------------------------------------------------------------------------------- */

static void test_model__opens_the_tokenizer_alone(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    assert_true(make_config(place, &r) && make_vocabulary(place, &r));
    tkr_model_options options = tkr_model_options_defaults();
    options.tokenizer_only = true;
    tkr_error error = {0};
    tkr_model *m = tkr_model_open(place, &options, &error);
    assert_non_null(m);
    tkr_model_facts facts;
    tkr_model_describe(m, &facts);
    assert_int_equal(facts.task, TKR_TASK_SEQUENCE_CLASSIFICATION);
    assert_string_equal(facts.weights_sha256, "");
    assert_string_equal(facts.dtype, "");
    assert_int_equal(facts.parameters, 0);
    tkr_model_close(m);
    assert_refused(NULL, "path.not_found", "has no model.safetensors");
}

static void test_model__takes_the_smaller_of_two_lengths(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        size_t wanted;
    } cases[] = {{"{\"model_max_length\": 9}", 9},
                 {"{\"model_max_length\": 512}", 16},
                 {"{\"model_max_length\": 1000000000000000019884624838656}", 16},
                 {"{}", 16}};
    model_recipe r = model_recipe_tiny("bert");
    assert_true(make_model(place, &r));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        tkr_error error = {0};
        assert_true(work_write_text(place, "tokenizer_config.json", cases[i].config));
        tkr_model *m = tkr_model_open(place, NULL, &error);
        assert_non_null(m);
        assert_int_equal(model_max_tokens(m), cases[i].wanted);
        tkr_model_close(m);
    }
}

static void test_model__tokenizes_and_decodes(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model *m = open_made(&r, NULL);
    tkr_error error = {0};
    const char *text = "The film was fine.";
    tkr_encoding *e = tkr_tokenize(m, text, strlen(text), NULL, 0, TKR_TRUNCATE_NEVER, 0, &error);
    assert_non_null(e);
    assert_int_equal(tkr_encoding_count(e), 7);
    const tkr_token *tokens = tkr_encoding_tokens(e);
    assert_int_equal(tokens[0].special, TKR_SPECIAL_CLS);
    assert_string_equal(tokens[2].raw, "film");
    assert_int_equal(tokens[2].begin, 4);
    assert_int_equal(tokens[2].end, 8);
    assert_int_equal(tkr_encoding_dropped(e), 0);
    int32_t ids[7];
    for (size_t i = 0; i < 7; i++)
        ids[i] = tokens[i].id;
    char *back = tkr_decode(m, ids, 7, true, &error);
    assert_string_equal(back, "the film was fine.");
    tkr_string_free(back);
    tkr_encoding_free(e);
    tkr_encoding_free(NULL);

    e = tkr_tokenize(m, text, strlen(text), "bad", 3, TKR_TRUNCATE_END, 6, &error);
    assert_non_null(e);
    assert_int_equal(tkr_encoding_count(e), 6);
    assert_true(tkr_encoding_dropped(e) > 0);
    tkr_encoding_free(e);
    assert_null(tkr_tokenize(m, text, strlen(text), NULL, 0, TKR_TRUNCATE_NEVER, 6, &error));
    assert_int_equal(error.code, TKR_E_INPUT_TOO_LONG);
    tkr_error_clear(&error);
    assert_null(tkr_tokenize(m, NULL, 0, NULL, 0, TKR_TRUNCATE_NEVER, 0, &error));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
    tkr_model_close(m);
}

static void test_model__refuses_arguments_it_does_not_take(void **state)
{
    (void)state;
    tkr_error error = {0};
    tkr_model_options options = tkr_model_options_defaults();
    assert_null(tkr_model_open(NULL, NULL, &error));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
    assert_null(tkr_model_open(NULL, NULL, NULL));
    tkr_error_clear(&error);
    options.threads = 1025;
    assert_null(tkr_model_open(place, &options, &error));
    assert_int_equal(error.code, TKR_E_USAGE_RANGE);
    tkr_error_clear(&error);
    options.threads = 0;
    options.task = (tkr_task)77;
    assert_null(tkr_model_open(place, &options, &error));
    assert_int_equal(error.code, TKR_E_USAGE_ARGUMENT);
}

static void test_model__copies_the_weights_when_asked(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model_options options = tkr_model_options_defaults();
    options.copy_weights = true;
    tkr_model *m = open_made(&r, &options);
    double before = first_number(m, "word");
    assert_true(work_delete(place, "model.safetensors"));
    assert_true(first_number(m, "word") == before);
    tkr_model_close(m);
}

static void test_model__sees_a_file_that_changed(void **state)
{
    (void)state;
    char path[WORK_PATH];
    model_recipe r = model_recipe_tiny("bert");
    tkr_model *m = open_made(&r, NULL);
    assert_true(work_path(path, place, "model.safetensors"));
    assert_int_equal(truncate(path, 4096), 0);
    tkr_error error = {0};
    assert_int_equal(model_unchanged(m, &error), TKR_E_IO_CHANGED);
    tkr_model_close(m);
}

static void test_model__counts_the_packs_it_will_make(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model *m = open_made(&r, NULL);
    size_t wanted = 0;
    static const char *const names[] = {"query", "key", "value", "mix", "up", "down"};
    for (size_t layer = 0; layer < 2; layer++)
        for (size_t i = 0; i < 6; i++) {
            char name[40];
            snprintf(name, sizeof name, "%zu.%s.weight", layer, names[i]);
            wanted += weight_packed_missing(model_weight(m, name), m->kernels);
        }
    wanted += weight_packed_missing(model_weight(m, "pooler.weight"), m->kernels);
    wanted += weight_packed_missing(model_weight(m, "classifier.weight"), m->kernels);
    assert_true(wanted > 0);
    assert_int_equal(model_missing_packs(m), wanted);
    tkr_model_close(m);
}

/* A folder of tests/data. */
static tkr_model *open_reference(const char *name, const tkr_model_options *options)
{
    const char *data = getenv("TOKRAY_TEST_DATA");
    char path[WORK_PATH];
    tkr_error error = {0};
    snprintf(path, sizeof path, "%s/models/%s", data && *data ? data : "tests/data", name);
    tkr_model *m = tkr_model_open(path, options, &error);
    if (!m)
        fail_msg("%s: %s", tkr_status_name(error.code), error.message);
    return m;
}

static void test_model__counts_positions_without_padding(void **state)
{
    (void)state;
    const int32_t ids[] = {0, 5, 1, 6, 1, 2};
    const int32_t roberta[] = {0, 1, -1, 2, -1, 3}, bert[] = {0, 1, 2, 3, 4, 5};
    int32_t positions[6];
    tkr_model *m = open_reference("roberta-mlm", NULL);
    model_positions(m, ids, 6, positions);
    assert_memory_equal(positions, roberta, sizeof roberta);
    assert_int_equal(model_max_tokens(m), m->config.positions - 2);
    tkr_model_close(m);
    m = open_reference("bert-mlm", NULL);
    model_positions(m, ids, 6, positions);
    assert_memory_equal(positions, bert, sizeof bert);
    tkr_model_close(m);
}

static void test_model__names_outputs_that_have_no_labels(void **state)
{
    (void)state;
    tkr_model_facts facts;
    tkr_model *m = open_reference("electra-disc", NULL);
    tkr_model_describe(m, &facts);
    assert_string_equal(facts.task_name, "token-classification");
    assert_string_equal(facts.problem, "multi-label"); /* one output: a sigmoid */
    assert_int_equal(model_outputs(m), 1);
    assert_string_equal(tkr_model_label(m, 0), "replaced");
    tkr_model_close(m);
    m = open_reference("bert-qa", NULL);
    tkr_model_describe(m, &facts);
    assert_string_equal(facts.task_name, "question-answering");
    assert_string_equal(facts.problem, "");
    assert_int_equal(model_outputs(m), 2);
    assert_string_equal(model_output_name(m, 1), "end");
    tkr_model_close(m);
    m = open_reference("bert-token", NULL);
    tkr_model_describe(m, &facts);
    assert_int_equal(facts.task, TKR_TASK_TOKEN_CLASSIFICATION);
    assert_true(facts.labels > 1 && model_outputs(m) == facts.labels);
    tkr_model_close(m);
    tkr_model_options options = tkr_model_options_defaults();
    options.task = TKR_TASK_TOKEN_CLASSIFICATION; /* the second head of this task: it has the tensors */
    m = open_reference("electra-disc", &options);
    assert_string_equal(m->head->title, "replaced tokens");
    tkr_model_close(m);
}

/* Layers that share weights: each set is there once, and counted once. */
static void test_model__shares_weights_between_layers(void **state)
{
    (void)state;
    tkr_model *m = open_reference("albert-cls", NULL);
    assert_int_equal(m->config.layers, 3);
    assert_string_equal(model_weight(m, "0.up.weight")->name, "albert.encoder.albert_layer_groups.0.albert_layers.0.ffn.weight");
    assert_null(model_weight(m, "1.up.weight"));
    tkr_model_close(m);
    m = open_reference("albert-mlm", NULL); /* two groups of two */
    assert_int_equal(m->config.layers, 4);
    assert_string_equal(model_weight(m, "3.up.weight")->name, "albert.encoder.albert_layer_groups.1.albert_layers.1.ffn.weight");
    assert_string_equal(model_weight(m, "2.up.weight")->name, "albert.encoder.albert_layer_groups.1.albert_layers.0.ffn.weight");
    tkr_model_close(m);
}

static void test_model__survives_every_allocation_failing(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    r.layers = 1;
    tkr_model_options options = tkr_model_options_defaults();
    options.threads = 1;
    assert_true(make_model(place, &r));
    uint64_t held = tkr_memory_now(), total = 1;
    for (uint64_t i = 0; i <= total; i++) {
        tkr_error error = {0};
        memory_fail_at(i, 0);
        tkr_model *m = tkr_model_open(place, &options, &error);
        total = i ? total : memory_allocations();
        memory_fail_at(0, 0);
        if (!m && error.code != TKR_E_LIMIT_OOM)
            fail_msg("allocation %llu: %s: %s", (unsigned long long)i, tkr_status_name(error.code),
                     error.message);
        tkr_model_close(m);
        assert_int_equal(tkr_memory_now(), held);
    }
    assert_true(total > 50);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_model__##name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(describes_itself),
        TEST(hashes_what_sha256sum_would),
        TEST(reads_every_spelling_of_the_same_weights),
        TEST(widens_half_precision_exactly),
        TEST(chooses_the_head),
        TEST(refuses_a_head_that_is_not_there),
        TEST(knows_three_kinds_of_classifier),
        TEST(ties_the_decoder),
        TEST(names_missing_tensors),
        TEST(refuses_mixed_prefixes),
        TEST(compares_shapes_with_the_config),
        TEST(tells_what_it_does_not_use),
        TEST(finds_numbers_that_are_none),
        TEST(opens_the_tokenizer_alone),
        TEST(takes_the_smaller_of_two_lengths),
        TEST(tokenizes_and_decodes),
        TEST(refuses_arguments_it_does_not_take),
        TEST(copies_the_weights_when_asked),
        TEST(sees_a_file_that_changed),
        TEST(counts_the_packs_it_will_make),
        TEST(counts_positions_without_padding),
        TEST(names_outputs_that_have_no_labels),
        TEST(shares_weights_between_layers),
        TEST(survives_every_allocation_failing),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
