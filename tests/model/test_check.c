/* Checking a folder: everything that is wrong or was ignored, in one report. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tokray/model.h>
#include <tokray/session.h>

#include "base/memory.h"
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

static tkr_model_report *check(void)
{
    tkr_error error = {0};
    tkr_model_report *r = tkr_model_check(place, NULL, &error);
    if (!r)
        fail_msg("%s", error.message);
    return r;
}

static tkr_model_report *check_made(const model_recipe *recipe)
{
    assert_true(make_model(place, recipe));
    return check();
}

static size_t count_kind(const tkr_model_report *r, tkr_finding_kind kind)
{
    tkr_finding f;
    size_t count = 0;
    for (size_t i = 0; tkr_model_report_finding(r, i, &f); i++)
        count += f.kind == kind;
    return count;
}

/* Is there a finding of that kind with that name (NULL: any) whose detail has that part? */
static bool has(const tkr_model_report *r, tkr_finding_kind kind, const char *name, const char *part)
{
    tkr_finding f;
    for (size_t i = 0; tkr_model_report_finding(r, i, &f); i++)
        if (f.kind == kind && (!name || strcmp(f.name, name) == 0) && strstr(f.detail, part))
            return true;
    return false;
}

static void test_check__says_what_a_good_folder_can_do(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model_report *report = check_made(&r);
    assert_null(tkr_model_report_error(report));
    assert_true(has(report, TKR_FINDING_TOKENIZER, "vocab.txt", ""));
    assert_int_equal(count_kind(report, TKR_FINDING_TASK), 5);
    assert_false(has(report, TKR_FINDING_TASK, "sequence classification", "classifier"));
    assert_true(has(report, TKR_FINDING_TASK, "masked LM", "cls.predictions.transform.dense.weight"));
    assert_true(has(report, TKR_FINDING_TASK, "question answering", "qa_outputs.weight"));
    for (tkr_finding_kind kind = TKR_FINDING_MISSING; kind <= TKR_FINDING_NOTE; kind++)
        assert_int_equal(count_kind(report, kind), 0);
    tkr_finding f;
    assert_true(tkr_model_report_finding(report, 0, &f));
    assert_false(tkr_model_report_finding(report, 6, &f));
    assert_false(tkr_model_report_finding(report, 0, NULL));
    tkr_model_report_free(report);
    tkr_model_report_free(NULL);
}

/* Layer 1 loses its query and has its inner matrices turned; one bias says it is of whole numbers. */
static void break_tensors(made_tensor *t, void *user)
{
    (void)user;
    size_t rows = t->shape[0];
    t->is_left_out = strstr(t->name, "layer.1.attention.self.query") != NULL;
    if (strstr(t->name, "layer.1") && strstr(t->name, "dense.weight") && t->shape[0] != t->shape[1]) {
        t->shape[0] = t->shape[1];
        t->shape[1] = rows;
    }
    if (strcmp(t->name, "bert.pooler.dense.bias") == 0)
        t->claimed_dtype = "I8";
}

static void test_check__tells_every_fault_at_once(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    r.edit = break_tensors;
    r.more_config = "\"one_key\": 1, \"other_key\": \"x\"";
    tkr_model_report *report = check_made(&r);
    const tkr_error *why = tkr_model_report_error(report);
    assert_non_null(why);
    assert_string_equal(tkr_status_name(why->code), "weight.missing");
    assert_non_null(
        strstr(why->message, "2 tensors missing: \"bert.encoder.layer.1.attention.self.query.weight\""));
    assert_non_null(strstr(why->facts, "2 of another shape: "));
    assert_int_equal(count_kind(report, TKR_FINDING_MISSING), 2);
    assert_true(has(report, TKR_FINDING_MISSING, "bert.encoder.layer.1.attention.self.query.bias", ""));
    assert_int_equal(count_kind(report, TKR_FINDING_SHAPE), 2);
    assert_true(has(report, TKR_FINDING_SHAPE, "bert.encoder.layer.1.intermediate.dense.weight",
                    "is [8, 12]; config wants [12, 8]"));
    assert_true(has(report, TKR_FINDING_DTYPE, "bert.pooler.dense.bias", "is I8"));
    assert_true(has(report, TKR_FINDING_NOTE, "", "key \"one_key\" was ignored"));
    assert_true(has(report, TKR_FINDING_NOTE, "", "key \"other_key\" was ignored"));
    tkr_finding before, f;
    assert_true(tkr_model_report_finding(report, 0, &before));
    for (size_t i = 1; tkr_model_report_finding(report, i, &f); before = f, i++)
        assert_true(before.kind <= f.kind);
    tkr_model_report_free(report);
}

static void rename_tensor(made_tensor *t, void *user)
{
    if (strcmp(t->name, "bert.pooler.dense.bias") == 0)
        snprintf(t->name, sizeof t->name, "%s", (const char *)user);
}

static void test_check__tells_what_is_not_used(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    r.head = MADE_MASKED_LM;
    r.legacy_names = true;
    tkr_model_report *report = check_made(&r);
    assert_null(tkr_model_report_error(report));
    assert_true(has(report, TKR_FINDING_IGNORED, "bert.embeddings.position_ids", ""));
    tkr_model_report_free(report);

    r = model_recipe_tiny("bert");
    r.edit = rename_tensor;
    r.edit_user = "lost.bias";
    report = check_made(&r);
    assert_true(has(report, TKR_FINDING_MISSING, "bert.pooler.dense.bias", ""));
    assert_true(has(report, TKR_FINDING_UNUSED, "lost.bias", ""));
    assert_int_equal(count_kind(report, TKR_FINDING_UNUSED), 1);
    tkr_model_report_free(report);

    r.edit_user = "some\x1bthing";
    report = check_made(&r); /* a control character in a name makes the file unreadable, not the report */
    assert_non_null(tkr_model_report_error(report));
    assert_int_equal(count_kind(report, TKR_FINDING_MISSING), 0);
    assert_int_equal(count_kind(report, TKR_FINDING_TOKENIZER), 1);
    tkr_model_report_free(report);
}

static void test_check__goes_on_as_far_as_it_can(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    assert_true(make_model(place, &r) && work_delete(place, "vocab.txt"));
    tkr_model_report *report = check();
    assert_string_equal(tkr_status_name(tkr_model_report_error(report)->code), "tok.not_found");
    assert_true(has(report, TKR_FINDING_TOKENIZER, "", "vocab.txt"));
    assert_int_equal(count_kind(report, TKR_FINDING_TASK), 5);
    tkr_model_report_free(report);

    assert_true(make_vocabulary(place, &r) && work_write_text(place, "config.json", "{"));
    report = check();
    assert_string_equal(tkr_status_name(tkr_model_report_error(report)->code), "json.syntax");
    tkr_finding f;
    assert_false(tkr_model_report_finding(report, 0, &f));
    tkr_model_report_free(report);

    tkr_error error = {0};
    assert_null(tkr_model_check("/no/such/folder", NULL, &error));
    assert_string_equal(tkr_status_name(error.code), "path.not_found");
    error = (tkr_error){0};
    assert_null(tkr_model_check("", NULL, &error));
    assert_string_equal(tkr_status_name(error.code), "usage.argument");
}

static void test_check__says_how_to_convert(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    assert_true(make_model(place, &r) && work_delete(place, "model.safetensors"));
    assert_true(work_write_text(place, "pytorch_model.bin", "x"));
    tkr_model_report *report = check();
    assert_string_equal(tkr_status_name(tkr_model_report_error(report)->code), "unsupported.pickle");
    assert_non_null(strstr(tkr_model_report_error(report)->help, "'model.safetensors')\""));
    tkr_model_report_free(report);

    assert_true(work_delete(place, "pytorch_model.bin") && work_delete(place, "config.json"));
    assert_true(work_write_text(place, "model-q4.gguf", "GGUF"));
    report = check();
    assert_string_equal(tkr_status_name(tkr_model_report_error(report)->code), "unsupported.format");
    assert_non_null(
        strstr(tkr_model_report_error(report)->message, "found \"model-q4.gguf\"; Tokray reads safetensors"));
    assert_non_null(strstr(tkr_model_report_error(report)->help, "save_pretrained('converted')"));
    tkr_model_report_free(report);
    assert_true(work_delete(place, "model-q4.gguf"));
}

static void test_check__knows_the_families(void **state)
{
    (void)state;
    tkr_family_facts family;
    tkr_head_facts head;
    assert_true(tkr_family_describe(0, &family));
    assert_string_equal(family.title, "BERT");
    assert_string_equal(family.model_types[0], "bert");
    assert_true(tkr_family_head(0, 1, &head));
    assert_int_equal(head.task, TKR_TASK_MASKED_LM);
    assert_string_equal(head.architectures[1], "BertForPreTraining");
    assert_false(tkr_family_head(0, 5, &head));
    assert_false(tkr_family_head(1000, 0, &head));
    assert_false(tkr_family_describe(1000, &family));
}

/* A model that can do more than its architecture says. */
static void test_check__lists_abilities(void **state)
{
    (void)state;
    tkr_error error = {0};
    model_recipe r = model_recipe_tiny("distilbert");
    r.head = MADE_MASKED_LM;
    assert_true(make_model(place, &r));
    tkr_model *m = tkr_model_open(place, NULL, &error);
    assert_non_null(m);
    assert_string_equal(tkr_model_ability(m, 0), "masked LM");
    assert_null(tkr_model_ability(m, 1));
    assert_null(tkr_model_ability(NULL, 0));
    tkr_model_facts facts;
    tkr_model_describe(m, &facts);
    assert_true(facts.pack_bytes > 0);
    tkr_model_close(m);

    const char *data = getenv("TOKRAY_TEST_DATA"); /* a classifier with a pooler: its matrix fits tokens too */
    char path[WORK_PATH];
    snprintf(path, sizeof path, "%s/models/albert-cls", data && *data ? data : "tests/data");
    m = tkr_model_open(path, NULL, &error);
    assert_non_null(m);
    assert_string_equal(tkr_model_ability(m, 0), "sequence classification");
    assert_string_equal(tkr_model_ability(m, 1), "token classification");
    assert_null(tkr_model_ability(m, 2));
    tkr_model_close(m);
}

static void test_check__survives_every_allocation_failing(void **state)
{
    (void)state;
    model_recipe r = model_recipe_tiny("bert");
    tkr_model_options options = tkr_model_options_defaults();
    r.layers = 1;
    r.more_config = "\"one_key\": 1";
    options.threads = 1;
    assert_true(make_model(place, &r));
    uint64_t held = tkr_memory_now(), total = 1;
    for (uint64_t i = 0; i <= total; i++) {
        tkr_error error = {0};
        memory_fail_at(i, 0);
        tkr_model_report *report = tkr_model_check(place, &options, &error);
        total = i ? total : memory_allocations();
        memory_fail_at(0, 0);
        const tkr_error *why = report ? tkr_model_report_error(report) : &error;
        if (why && why->code != TKR_E_LIMIT_OOM)
            fail_msg("allocation %llu: %s: %s", (unsigned long long)i, tkr_status_name(why->code),
                     why->message);
        tkr_model_report_free(report);
        assert_int_equal(tkr_memory_now(), held);
    }
    assert_true(total > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_check__says_what_a_good_folder_can_do, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_check__tells_every_fault_at_once, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_check__tells_what_is_not_used, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_check__goes_on_as_far_as_it_can, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_check__says_how_to_convert, make_place, remove_place),
        cmocka_unit_test(test_check__knows_the_families),
        cmocka_unit_test_setup_teardown(test_check__lists_abilities, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_check__survives_every_allocation_failing, make_place,
                                        remove_place),
    };
    return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
