/*
 * --external through the built program, with a child that behaves as it is told (scorer_child.c): the catalogue's rows 169 to 172,
 * and that nothing of a child is left behind.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/program.h"
#include "support/workplace.h"

static const char *const text = "a good plot, not bad, good";

static const char *child(void)
{
    const char *path = getenv("TOKRAY_SCORER");
    assert_non_null(path);
    return path;
}

/* "scorer_child" mode argument */
static char *command(char room[1024], const char *mode)
{
    snprintf(room, 1024, "'%s' %s", child(), mode);
    return room;
}

static void expect(const run_result *r, int code, const char *out, const char *err)
{
    if (r->code != code || (out && !strstr(r->out, out)) || (err && !strstr(r->err, err)))
        fail_msg("wanted exit %d, \"%s\", \"%s\"; got %d\n%s\n%s", code, out ? out : "", err ? err : "", r->code, r->out, r->err);
}

static void expect_run(const char *mode, int code, const char *out, const char *err)
{
    char room[1024];
    run_result r = RUN("explain", "--external", command(room, mode), "--external-timeout", "2", "-t", "label:up", text);
    expect(&r, code, out, err);
    if (code) {
        assert_int_equal(r.out_size, 0);
        assert_null(strchr(r.err, '\x1b'));
    }
    run_free(&r);
}

static void test_scorer_process__a_child_is_explained(void **state)
{
    (void)state;
    expect_run("good", 0, "up +1.00 · occlusion · score · words", "");
    expect_run("good", 0, "not additive · checked: without \"good\" +1.00 → 0", "");
    char room[1024];
    run_result r = RUN("explain", "--external", command(room, "good"), "-t", "label:up~label:down", "-M", "kernel-shap", "--json", text);
    expect(&r, 0, "\"measure\": \"score\", \"value\": 2", NULL);
    run_free(&r);
    r = RUN("explain", "--external", command(room, "good"), "--dry-run", text);
    expect(&r, 0, "plan: occlusion on external, nothing computed", NULL);
    run_free(&r);
    r = RUN("explain", "--external", command(room, "good"), "-t", "label:right", text);
    expect(&r, 3, NULL, "labels: up, down");
    run_free(&r);
    r = RUN("explain", "--external", command(room, "good"), "-M", "ig", text);
    expect(&r, 2, NULL, "methods: occlusion");
    run_free(&r);
}

static void test_scorer_process__an_end_is_told_with_its_last_words(void **state)
{
    (void)state;
    expect_run("at-once", 3, NULL, " ended with status 3 before it wrote its labels; its last words: \"no licence\"");
    expect_run("exit 1", 3, NULL, " ended with status 1 after 0 requests; its last words: \"  out of ideas ");
    expect_run("signal 1", 3, NULL, " was ended by signal 9 after 0 requests");
    expect_run("mute 1", 3, NULL, " closed its output after 0 requests");
}

static void test_scorer_process__it_is_started_again_once(void **state)
{
    (void)state;
    char many[1024] = "", room[1024];
    for (size_t i = 0; i < 150; i++) { /* three requests of variants, all of them different */
        char word[8];
        snprintf(word, sizeof word, "w%zu ", i);
        strcat(many, word);
    }
    expect_run("exit 2", 0, "up +1.00", "");       /* the clean run, then one request; the second start answers it as its first */
    expect_run("dies-after 1", 0, "up +1.00", ""); /* between requests */
    run_result r = RUN("explain", "--external", command(room, "exit 3"), many);
    expect(&r, 0, "up 0 ", NULL); /* requests 1 and 2, then 3 and 4 */
    run_free(&r);
    r = RUN("explain", "--external", command(room, "exit 2"), many);
    expect(&r, 3, NULL, " ended with status 1 after 2 requests; its last words: ");
    expect(&r, 3, NULL, "it had been started again once");
    run_free(&r);
    r = RUN("explain", "--external", command(room, "one-shot"), many);
    expect(&r, 3, NULL, " ended with status 7 after 2 requests");
    run_free(&r);
}

static void test_scorer_process__other_labels_after_a_new_start_are_refused(void **state)
{
    (void)state;
    char folder[WORK_PATH], mode[WORK_PATH + 32];
    assert_true(work_folder_new(folder));
    snprintf(mode, sizeof mode, "other-labels %s/mark", folder);
    expect_run(mode, 3, NULL, " was started again and has other labels now");
    work_folder_remove(folder);
}

static void test_scorer_process__answers_that_are_none_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"one-label", "does not begin with a line {\"labels\":[\"...\"]}"},
        {"text", "answer 1 is no JSON object"},
        {"list", "answer 1 is no JSON object"},
        {"nan", "help: JSON has no NaN and no Infinity"},
        {"huge", "answer 1, text 0: the score of \"up\" is no number of this size"},
        {"string", "answer 1, text 0: the score of \"up\" is no number of this size"},
        {"flat", "answer 1: row 0 of \"scores\" is no list of numbers"},
        {"no-scores", "answer 1 has no list \"scores\""},
        {"error", "request 1: \"the vectorizer is not fitted\""},
        {"id", "the answer to request 1 has another id"},
        {"rows", "answer 1 has 0 rows; 1 were asked for"},
        {"numbers", "answer 1 has 1 numbers; 2 were asked for"},
        {"numbers 2", "answer 2 has 1 numbers; 2 were asked for"},
        {"flood", "wrote a line of more than 64 MiB"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_run(cases[i][0], 3, NULL, cases[i][1]);
}

static void test_scorer_process__silence_ends_when_the_time_is_over(void **state)
{
    (void)state;
    char room[1024];
    run_result r = RUN("explain", "--external", command(room, "silent 2"), "--external-timeout", "1", text);
    expect(&r, 6, NULL, " gave no answer to request 2 within 1 s");
    expect(&r, 6, NULL, "help: --external-timeout 2");
    assert_true(r.seconds < 5);
    run_free(&r);
    r = RUN("explain", "--external", command(room, "late"), "--external-timeout", "1", text);
    expect(&r, 6, NULL, " wrote no labels within 1 s");
    run_free(&r);
}

static void test_scorer_process__a_closed_input_is_no_broken_pipe(void **state)
{
    (void)state;
    expect_run("closes", 3, NULL, " closed its input before it answered request 1");
    expect_run("deaf 2", 3, NULL, " closed its input before it answered request 2");
}

static void test_scorer_process__much_talk_on_standard_error_blocks_nobody(void **state)
{
    (void)state;
    expect_run("chatty", 0, "up +1.00", "");
}

static void test_scorer_process__a_command_is_cut_into_words_without_a_shell(void **state)
{
    (void)state;
    char folder[WORK_PATH], path[WORK_PATH + 64], line[2 * WORK_PATH];
    assert_true(work_folder_new(folder));
    snprintf(path, sizeof path, "%s/a b'c\"d;touch x", folder);
    assert_int_equal(symlink(child(), path), 0);
    static const char *const before[] = {"\"", "", ""}; /* the folder's name, and behind it */
    static const char *const behind[] = {"/a b'c\\\"d;touch x\" good", "/a\\ b\\'c\\\"d\\;touch\\ x good", "'/a b'\"'\"'c\"d;touch x' go'od'"};
    for (size_t i = 0; i < 3; i++) {
        run_options options = {.folder = folder};
        snprintf(line, sizeof line, "%s%s%s", before[i], folder, behind[i]);
        run_result r = RUN_WITH(&options, "explain", "--external", line, "-t", "label:up", text);
        expect(&r, 0, "up +1.00", "");
        run_free(&r);
    }
    static const struct {
        const char *command, *error;
        int code;
    } bad[] = {{"/nowhere/s;touch x", "\"/nowhere/s;touch\" cannot be started: No such file or directory", 3},
               {"/nowhere/$HOME `id`", "\"/nowhere/$HOME\" cannot be started", 3},
               {"", "names no program", 2},
               {"'' x", "names no program", 2},
               {"'abc", "a quote is not closed", 2}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        run_options options = {.folder = folder};
        run_result r = RUN_WITH(&options, "explain", "--external", bad[i].command, text);
        expect(&r, bad[i].code, NULL, bad[i].error);
        run_free(&r);
    }
    assert_int_equal(work_count(folder), 1); /* nothing was touched */
    work_folder_remove(folder);
}

static void test_scorer_process__a_model_and_a_scorer_exclude_each_other(void **state)
{
    (void)state;
    char room[1024];
    run_result r = RUN("explain", "-m", "tiny-bert-mlm", "--external", command(room, "good"), text);
    expect(&r, 2, NULL, "--external and -m exclude each other");
    run_free(&r);
    const char *const environment[] = {"TOKRAY_MODEL=tiny-bert-mlm", NULL}; /* weaker than what is typed */
    run_options options = {.environment = environment};
    r = RUN_WITH(&options, "explain", "--external", command(room, "good"), "-t", "label:up", text);
    expect(&r, 0, "up +1.00", "");
    run_free(&r);
}

/* Row 88: a model that cannot be loaded can still be explained. */
static void test_scorer_process__an_unknown_family_is_told_of_it(void **state)
{
    (void)state;
    char folder[WORK_PATH];
    assert_true(work_folder_new(folder));
    assert_true(work_write_text(folder, "config.json", "{\"model_type\": \"berd\"}"));
    run_result r = RUN("explain", "-m", folder, text);
    expect(&r, 4, NULL, "help: --external CMD explains any model through its predictions");
    run_free(&r);
    work_folder_remove(folder);
}

/* The process that wrote its number into a file is gone, and no zombie. */
static void expect_gone(const char *folder)
{
    size_t size = 0;
    char *number = work_read(folder, "pid", &size);
    assert_non_null(number);
    pid_t id = (pid_t)strtol(number, NULL, 10);
    assert_true(id > 1);
    assert_true(kill(id, 0) != 0 && errno == ESRCH);
    free(number);
}

static void test_scorer_process__nothing_of_a_child_is_left(void **state)
{
    (void)state;
    char folder[WORK_PATH], mode[WORK_PATH + 32], room[1024];
    assert_true(work_folder_new(folder));
    static const char *const modes[] = {"pid", "stubborn"};
    for (size_t i = 0; i < 2; i++) {
        snprintf(mode, sizeof mode, "%s %s/pid", modes[i], folder);
        run_result r = RUN("explain", "--external", command(room, mode), "-t", "label:up", text);
        expect(&r, 0, "up +1.00", "");
        assert_true(r.seconds < (i ? 5 : 2));
        run_free(&r);
        expect_gone(folder);
    }
    work_folder_remove(folder);
}

static void test_scorer_process__a_signal_stops_both(void **state)
{
    (void)state;
    static const int signals[] = {SIGINT, SIGTERM}, codes[] = {130, 143};
    char room[1024];
    for (size_t i = 0; i < 2; i++) {
        run_options options = {.signal_number = signals[i], .signal_after = "progress"};
        run_result r = RUN_WITH(&options, "explain", "--external", command(room, "silent 2"), "--progress", "json", text);
        expect(&r, codes[i], NULL, "error: stopped ");
        assert_true(r.seconds < 5);
        run_free(&r);
    }
}

/* With scikit-learn it explains, without it says what is missing. */
static void test_scorer_process__the_example_in_python_works(void **state)
{
    (void)state;
    char room[1024];
    const char *examples = getenv("TOKRAY_EXAMPLES");
    assert_non_null(examples);
    if (system("python3 -c 'import json' >/dev/null 2>&1") != 0)
        skip();
    bool has_sklearn = system("python3 -c 'import sklearn' >/dev/null 2>&1") == 0;
    snprintf(room, sizeof room, "python3 '%s/external_sklearn.py'", examples);
    run_result r = RUN("explain", "--external", room, "-t", "label:good", "The plot is thin, but the acting is superb.");
    if (has_sklearn) {
        expect(&r, 0, " superb +", "");
        expect(&r, 0, " thin   \xE2\x88\x92", "");
    } else {
        expect(&r, 3, NULL, "its last words: \"scikit-learn is not installed: python3 -m pip install scikit-learn\"");
    }
    run_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scorer_process__a_child_is_explained),
        cmocka_unit_test(test_scorer_process__an_end_is_told_with_its_last_words),
        cmocka_unit_test(test_scorer_process__it_is_started_again_once),
        cmocka_unit_test(test_scorer_process__other_labels_after_a_new_start_are_refused),
        cmocka_unit_test(test_scorer_process__answers_that_are_none_are_refused),
        cmocka_unit_test(test_scorer_process__silence_ends_when_the_time_is_over),
        cmocka_unit_test(test_scorer_process__a_closed_input_is_no_broken_pipe),
        cmocka_unit_test(test_scorer_process__much_talk_on_standard_error_blocks_nobody),
        cmocka_unit_test(test_scorer_process__a_command_is_cut_into_words_without_a_shell),
        cmocka_unit_test(test_scorer_process__a_model_and_a_scorer_exclude_each_other),
        cmocka_unit_test(test_scorer_process__an_unknown_family_is_told_of_it),
        cmocka_unit_test(test_scorer_process__nothing_of_a_child_is_left),
        cmocka_unit_test(test_scorer_process__a_signal_stops_both),
        cmocka_unit_test(test_scorer_process__the_example_in_python_works),
    };
    return cmocka_run_group_tests_name("scorer_process", tests, NULL, NULL);
}
