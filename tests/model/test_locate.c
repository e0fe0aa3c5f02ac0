/* Where models are found: paths, bundled names, the hub cache, and what is said when there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/locate.h"
#include "support/make_model.h"
#include "support/workplace.h"

static char place[WORK_PATH];

static void make_folder(const char *name)
{
    char path[WORK_PATH];
    assert_true(work_path(path, place, name));
    assert_int_equal(mkdir(path, 0700), 0);
}

static int make_place(void **state)
{
    (void)state;
    char path[WORK_PATH];
    if (!work_folder_new(place))
        return -1;
    unsetenv("HF_HUB_CACHE");
    unsetenv("HF_HOME");
    make_folder("bundle");
    make_folder("hub");
    make_folder("home");
    work_path(path, place, "bundle");
    setenv("TOKRAY_MODELS", path, 1);
    work_path(path, place, "hub");
    setenv("HF_HUB_CACHE", path, 1);
    work_path(path, place, "home");
    setenv("HOME", path, 1);
    return 0;
}

static int remove_place(void **state)
{
    (void)state;
    return work_folder_remove(place) ? 0 : -1;
}

static void make_bundled(const char *name)
{
    char folder[WORK_PATH], path[WORK_PATH];
    model_recipe recipe = model_recipe_tiny("distilbert");
    snprintf(folder, sizeof folder, "bundle/%s", name);
    make_folder(folder);
    work_path(path, place, folder);
    assert_true(make_config(path, &recipe));
}

static void make_cached(const char *entry, const char *commit)
{
    static const char *const parts[] = {"", "/refs", "/snapshots", NULL};
    char name[256], path[WORK_PATH], text[100];
    for (size_t i = 0; parts[i]; i++) {
        snprintf(name, sizeof name, "hub/%s%s", entry, parts[i]);
        make_folder(name);
    }
    snprintf(name, sizeof name, "hub/%s/refs", entry);
    work_path(path, place, name);
    snprintf(text, sizeof text, "%s\n", commit);
    assert_true(work_write_text(path, "main", text));
    snprintf(name, sizeof name, "hub/%s/snapshots/0123abcd", entry);
    make_folder(name);
    work_path(path, place, name);
    model_recipe recipe = model_recipe_tiny("bert");
    assert_true(make_config(path, &recipe));
}

static void assert_found(const char *name, const char *source, const char *ending)
{
    location where;
    tkr_error error = {0};
    if (location_find(name, &where, &error))
        fail_msg("%s: %s", name, error.message);
    size_t length = strlen(where.path), tail = strlen(ending);
    assert_string_equal(where.source, source);
    assert_true(length >= tail && strcmp(where.path + length - tail, ending) == 0);
    location_fini(&where);
}

static void assert_not_found(const char *name)
{
    location where;
    tkr_error error = {0};
    assert_int_equal(location_find(name, &where, &error), TKR_E_PATH_NOT_FOUND);
    assert_non_null(strstr(error.message, "no such model folder; give a folder that holds config.json"));
    assert_null(where.path);
}

static void test_locate__finds_folders_by_path(void **state)
{
    (void)state;
    char path[WORK_PATH];
    location where;
    tkr_error error = {0};
    assert_true(work_path(path, place, "bundle/"));
    assert_int_equal(location_find(path, &where, &error), TKR_OK);
    assert_string_equal(where.source, "folder");
    assert_string_equal(where.name, "bundle");
    assert_string_equal(where.path, path);
    location_fini(&where);
}

static void test_locate__finds_bundled_names(void **state)
{
    (void)state;
    make_bundled("tiny-a");
    make_folder("bundle/empty");
    assert_found("tiny-a", "bundled", "/bundle/tiny-a");
    make_bundled(".hidden");
    assert_not_found("empty"); /* no config.json */
    assert_not_found(".hidden");
    assert_not_found("../bundle/tiny-a");
    char list[2 * WORK_PATH + 64];
    snprintf(list, sizeof list, "::%s/nowhere:%s/bundle", place, place);
    setenv("TOKRAY_MODELS", list, 1);
    assert_found("tiny-a", "bundled", "/bundle/tiny-a");
}

static void test_locate__finds_names_in_the_hub_cache(void **state)
{
    (void)state;
    make_cached("models--org--name", "0123abcd");
    make_cached("models--plain", "0123abcd");
    assert_found("org/name", "cache", "/hub/models--org--name/snapshots/0123abcd");
    assert_found("plain", "cache", "/hub/models--plain/snapshots/0123abcd");
    assert_not_found("org/other");
    assert_not_found("org/../name");
    assert_not_found("./org/name");
    unsetenv("HF_HUB_CACHE");
    assert_not_found("org/name");
    setenv("HF_HOME", place, 1);
    assert_found("org/name", "cache", "/hub/models--org--name/snapshots/0123abcd");
}

static void test_locate__reads_only_plain_commits(void **state)
{
    (void)state;
    make_cached("models--up", "../../models--plain");
    make_cached("models--gone", "ffff");
    make_cached("models--long", "012345678901234567890123456789012345678901234567890123456789012345678901234567"
                                "89012345678901234567890");
    assert_not_found("up");
    assert_not_found("gone");
    assert_not_found("long");
}

static void test_locate__falls_back_to_the_home_folder(void **state)
{
    (void)state;
    char path[WORK_PATH], hub[WORK_PATH];
    make_cached("models--plain", "0123abcd");
    unsetenv("HF_HUB_CACHE");
    make_folder("home/.cache");
    make_folder("home/.cache/huggingface");
    work_path(path, place, "home/.cache/huggingface/hub");
    work_path(hub, place, "hub");
    assert_int_equal(rename(hub, path), 0);
    assert_found("plain", "cache", "/hub/models--plain/snapshots/0123abcd");
}

static void test_locate__names_the_nearest_bundled_models(void **state)
{
    (void)state;
    make_bundled("tiny-distilbert-sentiment");
    make_bundled("tiny-bert-mlm");
    make_bundled("zebra");
    make_bundled("other");
    location where;
    tkr_error error = {0};
    assert_int_equal(location_find("tiny-distilbert-sentimnet", &where, &error), TKR_E_PATH_NOT_FOUND);
    assert_string_equal(error.facts, "nearest bundled names: tiny-distilbert-sentiment, tiny-bert-mlm, other");
    assert_non_null(strstr(error.message, "tiny-distilbert-sentimnet: "));
}

static void test_locate__escapes_names(void **state)
{
    (void)state;
    location where;
    tkr_error error = {0};
    make_folder("a\x1b[31m\n%s");
    char path[WORK_PATH];
    work_path(path, place, "a\x1b[31m\n%s");
    assert_int_equal(location_find(path, &where, &error), TKR_OK);
    assert_null(strchr(where.name, '\x1b'));
    assert_null(strchr(where.name, '\n'));
    location_fini(&where);
    assert_int_equal(location_find("b\x1b[31m%n", &where, &error), TKR_E_PATH_NOT_FOUND);
    assert_null(strchr(error.message, '\x1b'));
}

static void test_locate__lists_bundled_and_cached_models(void **state)
{
    (void)state;
    make_bundled("tiny-a");
    make_cached("models--org--name", "0123abcd");
    tkr_error error = {0};
    tkr_model_entry entry;
    tkr_model_list *list = tkr_model_list_new(&error);
    assert_non_null(list);
    assert_true(tkr_model_list_entry(list, 0, &entry));
    assert_string_equal(entry.name, "tiny-a");
    assert_string_equal(entry.source, "bundled");
    assert_string_equal(entry.summary, "DistilBERT · sequence classification");
    assert_true(tkr_model_list_entry(list, 1, &entry));
    assert_string_equal(entry.name, "org/name");
    assert_string_equal(entry.source, "cache");
    assert_string_equal(entry.summary, "BERT · sequence classification");
    assert_false(tkr_model_list_entry(list, 2, &entry));
    tkr_model_list_free(list);
    tkr_model_list_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_locate__##name, make_place, remove_place)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_folders_by_path),
        TEST(finds_bundled_names),
        TEST(finds_names_in_the_hub_cache),
        TEST(reads_only_plain_commits),
        TEST(falls_back_to_the_home_folder),
        TEST(names_the_nearest_bundled_models),
        TEST(escapes_names),
        TEST(lists_bundled_and_cached_models),
    };
    return cmocka_run_group_tests_name("locate", tests, NULL, NULL);
}
