/*
 * The program as people use it: exit codes, streams, messages, exports, the first thirty seconds.
 *
 * TOKRAY_PROGRAM names the built program, TOKRAY_MODELS the folder of the bundled models.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/program.h"
#include "support/workplace.h"

/* Sanitizers slow the program down. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SLOWNESS = 10 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
enum { SLOWNESS = 10 };
#else
enum { SLOWNESS = 1 };
#endif
#else
enum { SLOWNESS = 1 };
#endif

static const char PLOT[] = "The plot is thin, but the acting is superb.";

/* ---- helpers ---- */

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, part)); at += strlen(part))
        count++;
    return count;
}

/* Exit code, nothing on standard output, exactly one error message that holds `message`, a help line that holds `help`. */
static void check_error(run_result r, int code, const char *message, const char *help)
{
    if (r.code != code || r.out_size != 0 || count_of(r.err, "error:") != 1 || !strstr(r.err, message) ||
        (help && (!strstr(r.err, "help: ") || !strstr(r.err, help))))
        fail_msg("wanted exit %d with \"%s\" and help \"%s\"; got exit %d, %zu bytes out, and:\n%s", code, message, help ? help : "",
                 r.code, r.out_size, r.err);
    run_free(&r);
}

static void check_done(const run_result *r)
{
    if (r->code != 0)
        fail_msg("exit %d:\n%s", r->code, r->err);
}

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!root)
        fail_msg("no JSON at line %d: %s\n%s", error.line, error.text, text);
    return root;
}

/* ---- A: use ---- */

static void test_cli__wrong_use_is_named(void **state)
{
    (void)state;
    check_error(RUN("explian"), 2, "no command \"explian\"", "tokray explain");
    check_error(RUN("zzz"), 2, "no command \"zzz\"", "tokray help");
    check_error(RUN("explain", "--targt", "x", "y"), 2, "no option --targt", "--target");
    check_error(RUN("explain", "x", "--seed"), 2, "--seed needs a number", "--seed N");
    check_error(RUN("explain", "--seed", "abc", "x"), 2, "--seed \"abc\" is not a whole number", NULL);
    check_error(RUN("explain", "--seed", "5x", "x"), 2, "--seed \"5x\" is not a whole number", NULL);
    check_error(RUN("explain", "--seed", "", "x"), 2, "--seed \"\" is not a whole number", NULL);
    check_error(RUN("explain", "-M", "ig:steps=-1", "x"), 2, "steps -1 is out of range", NULL);
    check_error(RUN("explain", "-M", "ig:steps=0", "x"), 2, "steps 0 is out of range", NULL);
    check_error(RUN("explain", "-M", "ig:steps=5000", "x"), 2, "steps 5000 is out of range", NULL);
    check_error(RUN("explain", "-M", "ig:stpes=9", "x"), 2, "ig has no parameter \"stpes\"", NULL);
    check_error(RUN("explain", "--top", "99999999999999999999", "x"), 2, "--top \"99999999999999999999\" is out of range", "--top: 1 to");
    check_error(RUN("explain", "--top=0", "x"), 2, "out of range", NULL);
    check_error(RUN("explain", "--memory", "10X", "x"), 2, "--memory \"10X\" is not a size", "K, M, G or T");
    check_error(RUN("explain", "--memory", "17E", "x"), 2, "--memory \"17E\" is not a size", "K, M, G or T");
    check_error(RUN("explain", "--memory", "99999999999T", "x"), 2, "out of range", NULL);
    check_error(RUN("explain", "--json", "--csv", "x"), 2, "--json and --csv exclude each other", NULL);
    check_error(RUN("explain", "x", "--ids", "1,2"), 2, "a text and --ids exclude each other", NULL);
    check_error(RUN("explain", "--json", "x", "y"), 2, "--json and 2 texts exclude each other", NULL);
    check_error(RUN("explain", "-M", "foo", "x"), 2, "no method \"foo\"", "tokray methods");
    check_error(RUN("explain", "--color", "aways", "x"), 2, "is none of auto|always|never", "--color always");
    check_error(RUN("tokens", "--target", "x", "y"), 2, "tokray tokens has no option --target", NULL);
    check_error(RUN("explain", "-o", "x.docx", "x"), 2, "no format follows", ".json");
    check_error(RUN("explain", "--baseline", "zero", "-M", "occlusion", "x"), 2, "exclude each other", NULL);
    check_error(RUN("explain", "--output-text", "y", "--output-ids", "3", "x"), 2, "--output-text and --output-ids exclude each other", NULL);
    check_error(RUN("explain", "--output-text", "y", "--max-new", "3", "x"), 2, "--output-text and --max-new exclude each other", NULL);
    check_error(RUN("explain", "--output-ids", "3", "--max-new", "3", "x"), 2, "--output-ids and --max-new exclude each other", NULL);
    check_error(RUN("explain", "--output-text", "y", "x", "z"), 2, "--output-text and several texts exclude each other", NULL);
    check_error(RUN("explain", "--output-ids", "1,,2", "x"), 2, "--output-ids: token 1 is no token id", "--output-ids 101,1996,102");
    check_error(RUN("explain", "--max-new", "0", "x"), 2, "--max-new \"0\" is out of range", "--max-new: 1 to");
    check_error(RUN("explain", "--per-target", "total", "x"), 2, "--per-target \"total\" is none of each|sum", NULL);
    check_error(RUN("demo", "dates"), 2, "no example \"dates\"", "tokray demo date");
    check_error(RUN("demo", "date", "mask"), 2, "\"mask\" is one argument too many", NULL);
}

static void test_cli__argument_that_is_not_utf8(void **state)
{
    (void)state;
    check_error(RUN("explain", "-t", "ab\xFF", "x"), 2, "argument 3: byte 2 (0xFF) is not UTF-8", NULL);
    check_error(RUN("models", "info", "ab\xFF"), 2, "argument 3: byte 2 (0xFF) is not UTF-8", NULL);
    check_error(RUN("explain", "-q", "ab\xC0"), 3, "byte 2 (0xC0) is not UTF-8", NULL);
}

static void test_cli__a_hundred_thousand_arguments(void **state)
{
    enum { COUNT = 100000 };
    (void)state;
    const char **args = calloc(COUNT + 2, sizeof *args);
    assert_non_null(args);
    args[0] = "explain";
    for (size_t i = 1; i <= COUNT; i++)
        args[i] = i % 2 ? "a" : "-k5";
    run_result r = run_program(args, NULL);
    assert_true(r.seconds < 1.0 * SLOWNESS);
    check_error(r, 2, "50000 texts are too many", "at most 1000");
    free(args);
}

static void test_cli__no_text_on_a_terminal_does_not_wait(void **state)
{
    (void)state;
    run_options o = {.on_terminal = true};
    run_result r = RUN_WITH(&o, "explain");
    assert_int_equal(r.code, 2);
    assert_non_null(strstr(r.out, "no text given"));
    assert_non_null(strstr(r.out, "tokray explain -h"));
    assert_true(r.seconds < 10);
    run_free(&r);
}

static void test_cli__the_caret_stands_under_what_is_meant(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-M", "ig:stpes=9", "x");
    assert_non_null(strstr(r.err, "  -M ig:stpes=9\n        ^^^^^\n"));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "occlusion", "--method=igg", "x");
    assert_non_null(strstr(r.err, "  --method=igg\n           ^^^\n"));
    run_free(&r);
    r = RUN("explain", "-q", "--ids", "101,x,3");
    assert_non_null(strstr(r.err, "  --ids 101,x,3\n            ^\n"));
    run_free(&r);
    r = RUN("explain", "-q", "--target", "label:positve", "x");
    assert_int_equal(r.code, 3);
    assert_non_null(strstr(r.err, "error: no label \"positve\" in model tiny-distilbert-sentiment\n  --target label:positve\n"));
    assert_non_null(strstr(r.err, "^^^^^^^\n  labels: NEGATIVE, POSITIVE\n  help: --target label:POSITIVE\n"));
    run_free(&r);
    r = RUN("explain", "-q", "日本 ok \xFF");
    assert_non_null(strstr(r.err, "  日本 ok \\xFF\n          ^^^^\n")); /* wide characters take two columns */
    run_free(&r);
}

/* ---- H, I: input and environment ---- */

static void test_cli__bad_input_is_named(void **state)
{
    (void)state;
    check_error(RUN("explain", "-q", ""), 3, "no token to explain", NULL);
    check_error(RUN("explain", "-q", "   "), 3, "no token to explain", NULL);
    check_error(RUN("explain", "-q", "--text-file", "/nonexistent/file"), 3, "cannot be read", NULL);
    check_error(RUN("explain", "-q", "-m", "tiny-bert-mlm", "no mask here"), 3, "the text has no [MASK]", NULL);
    check_error(RUN("explain", "-q", "-m", "/nonexistent/model", "x"), 4, "/nonexistent/model", NULL);
    check_error(RUN("explain", "-q", "--memory", "1K", "x"), 6, "the budget", NULL);
}

static void test_cli__a_megabyte_is_too_long_at_once(void **state)
{
    enum { COUNT = 1 << 20 };
    static const char *const pieces[] = {"a", "a ", "\xCC\x81", "\xF0\x9F\x91\xA9\xE2\x80\x8D"};
    (void)state;
    char *text = calloc(COUNT + 16, 1);
    assert_non_null(text);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        size_t size = 0, piece = strlen(pieces[i]);
        for (; size + piece <= COUNT; size += piece)
            memcpy(text + size, pieces[i], piece);
        run_options o = {.input = text, .input_bytes = size};
        run_result r = RUN_WITH(&o, "explain", "-q");
        if (r.code != 3 && r.code != 0) /* one long word is one unknown token for some tokenizers */
            fail_msg("exit %d: %s", r.code, r.err);
        assert_true(r.seconds < 10);
        run_free(&r);
    }
    free(text);
}

static void test_cli__one_token_works(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-M", "ig,occlusion,gxi", "superb");
    check_done(&r);
    run_free(&r);
}

static void test_cli__hostile_text_is_escaped_by_every_presenter(void **state)
{
    static const char text[] = "a\0b \x1b[31mred \xE2\x80\xAE" "evil </script><script> =cmd() good";
    static const char *const exports[] = {"-q", "--json", "--csv", "--tsv"};
    (void)state;
    for (size_t i = 0; i < sizeof exports / sizeof *exports; i++) {
        run_options o = {.input = text, .input_bytes = sizeof text - 1};
        run_result r = RUN_WITH(&o, "explain", "-q", exports[i]);
        check_done(&r);
        assert_int_equal(strlen(r.out), r.out_size); /* no NUL */
        assert_null(strchr(r.out, '\x1b'));
        assert_null(strstr(r.out, "\xE2\x80\xAE"));
        run_free(&r);
    }
}

static void test_cli__standard_input_is_one_text(void **state)
{
    (void)state;
    run_options o = {.input = "A superb film.\n"};
    run_result piped = RUN_WITH(&o, "explain", "-q", "--json", "--reproducible"), dash = RUN_WITH(&o, "explain", "-q", "--json", "--reproducible", "-");
    run_result typed = RUN("explain", "-q", "--json", "--reproducible", "A superb film.");
    check_done(&piped);
    assert_string_equal(piped.out, typed.out);
    assert_string_equal(piped.out, dash.out);
    run_free(&piped);
    run_free(&dash);
    run_free(&typed);
}

static void test_cli__several_texts_are_several_answers(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "A superb film.", "A dull film.");
    check_done(&r);
    assert_non_null(strstr(r.out, "POSITIVE 0."));
    assert_non_null(strstr(r.out, "\n\nNEGATIVE 0."));
    run_free(&r);
}

/* ---- streams ---- */

static void test_cli__json_owns_standard_output(void **state)
{
    (void)state;
    run_result r = RUN("explain", "--json", "-M", "ig,occlusion", PLOT);
    check_done(&r);
    json_t *root = parse(r.out);
    assert_string_equal(json_string_value(json_object_get(root, "schema")), "tokray.result/1");
    assert_int_equal(json_array_size(json_object_get(root, "methods")), 2);
    json_t *command = json_object_get(json_object_get(root, "provenance"), "command");
    assert_string_equal(json_string_value(json_array_get(command, 1)), "explain");
    json_t *digests = json_object_get(json_object_get(root, "model"), "sha256");
    assert_int_equal(strlen(json_string_value(json_object_get(digests, "weights"))), 64);
    assert_non_null(strstr(r.err, "note: no --model given, using the bundled demo model tiny-distilbert-sentiment (-m to change)"));
    json_decref(root);
    run_free(&r);
}

static void test_cli__answers_and_notes_keep_apart(void **state)
{
    (void)state;
    run_result r = RUN("explain", PLOT);
    check_done(&r);
    assert_null(strstr(r.out, "note:"));
    assert_non_null(strstr(r.err, "note:"));
    run_free(&r);
    r = RUN("explain", "-q", PLOT);
    assert_string_equal(r.err, "");
    assert_int_not_equal(r.out_size, 0);
    run_free(&r);
    r = RUN("explain", "-qq", PLOT);
    assert_int_equal(r.code, 0);
    assert_string_equal(r.err, "");
    assert_string_equal(r.out, "");
    run_free(&r);
    r = RUN("explain", "-qq", "-M", "foo", PLOT);
    assert_int_equal(r.code, 2);
    assert_string_equal(r.err, "");
    run_free(&r);
}

static void test_cli__equal_questions_give_equal_bytes(void **state)
{
    (void)state;
    run_result a = RUN("explain", "-q", "--json", "--reproducible", "-j1", PLOT), b = RUN("explain", "-q", "--json", "--reproducible", "-j2", PLOT);
    check_done(&a);
    assert_string_equal(a.out, b.out);
    run_free(&a);
    run_free(&b);
}

static void test_cli__a_reader_that_leaves_ends_it_silently(void **state)
{
    (void)state;
    run_options o = {.reader_gone = true};
    run_result r = RUN_WITH(&o, "explain", "-q", "--json", PLOT);
    assert_int_equal(r.code, 141);
    assert_string_equal(r.err, "");
    run_free(&r);
}

static void test_cli__closed_standard_output_is_an_error(void **state)
{
    (void)state;
    run_options o = {.output_closed = true};
    check_error(RUN_WITH(&o, "explain", "-q", PLOT), 7, "standard output is closed", NULL);
    check_error(RUN_WITH(&o, "version"), 7, "standard output is closed", NULL);
}

static void test_cli__a_full_disk_is_an_error(void **state)
{
    (void)state;
    run_options o = {.output = "/dev/full"};
    check_error(RUN_WITH(&o, "explain", "-q", "--json", PLOT), 6, "no space left", NULL);
}

static void test_cli__events_are_json_lines(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--progress", "json", "-M", "ig:steps=200", PLOT);
    check_done(&r);
    size_t progressed = 0, done = 0;
    for (char *line = r.err, *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        json_t *event = parse(line);
        const char *name = json_string_value(json_object_get(event, "event"));
        progressed += strcmp(name, "progress") == 0;
        done += strcmp(name, "done") == 0;
        json_decref(event);
    }
    assert_true(progressed > 0);
    assert_int_equal(done, 1);
    run_free(&r);
    r = RUN("explain", "-q", "--progress", "json", "-t", "label:none", PLOT);
    assert_int_equal(r.code, 3);
    const char *event = strstr(r.err, "{\"event\":\"error\"");
    assert_non_null(event);
    json_t *root = parse(event);
    assert_string_equal(json_string_value(json_object_get(root, "code")), "target.unknown_label");
    assert_string_equal(json_string_value(json_object_get(root, "field")), "target");
    json_decref(root);
    run_free(&r);
}

/* ---- files ---- */

static void test_cli__files_are_written_whole_or_not_at_all(void **state)
{
    char folder[WORK_PATH];
    size_t size;
    (void)state;
    assert_true(work_folder_new(folder));
    run_options o = {.folder = folder};
    run_result r = RUN_WITH(&o, "explain", "-o", "r.json", "--csv=r.csv", "--tsv=r.tsv", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.err, "wrote r.json ("));
    assert_non_null(strstr(r.out, "POSITIVE 0.")); /* the answer is printed too */
    assert_int_equal(work_count(folder), 3);
    char *json = work_read(folder, "r.json", &size), *csv = work_read(folder, "r.csv", &size);
    json_decref(parse(json));
    assert_int_equal(strncmp(csv, "prompt,row,target,method,i,token,", 33), 0);
    run_free(&r);

    check_error(RUN_WITH(&o, "explain", "-q", "-o", "r.json", "--no-clobber", "A dull film."), 7, "\"r.json\" exists", NULL);
    check_error(RUN_WITH(&o, "explain", "-q", "-o", "bad.json", "-t", "label:none", "x"), 3, "no label", NULL);
    check_error(RUN_WITH(&o, "explain", "-q", "-o", "missing/r.json", "x"), 7, "\"missing/r.json\": No such file or directory", NULL);
    check_error(RUN_WITH(&o, "explain", "-q", "-o", "r.json/r.json", "x"), 7, "Not a directory", NULL);
    assert_int_equal(work_count(folder), 3);
    char *kept = work_read(folder, "r.json", &size);
    assert_string_equal(kept, json);
    free(json);
    free(csv);
    free(kept);
    assert_true(work_folder_remove(folder));
}

static void test_cli__an_output_that_is_a_folder(void **state)
{
    char folder[WORK_PATH], path[WORK_PATH];
    (void)state;
    assert_true(work_folder_new(folder) && work_path(path, folder, "r.json"));
    assert_int_equal(mkdir(path, 0700), 0);
    check_error(RUN("explain", "-q", "-o", path, "x"), 7, "Is a directory", NULL);
    assert_true(work_folder_remove(folder));
}

static void test_cli__the_configuration_file_and_variables_count_less(void **state)
{
    char folder[WORK_PATH], config[WORK_PATH + 32];
    (void)state;
    assert_true(work_folder_new(folder));
    assert_true(work_write_text(folder, "config", "# mine\n\n--top 1\n--no-hints\n--features=tokens\n"));
    snprintf(config, sizeof config, "TOKRAY_CONFIG=%s/config", folder);
    const char *const environment[] = {config, NULL}, *const both[] = {config, "TOKRAY_MODEL=/nonexistent/m", NULL};
    run_options o = {.environment = environment}, with_model = {.environment = both};
    run_result r = RUN_WITH(&o, "explain", "-q", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "logit · tokens"));
    assert_non_null(strstr(r.out, "\n  1 "));
    assert_null(strstr(r.out, "\n  2 "));
    run_free(&r);
    r = RUN_WITH(&o, "explain", "-q", "-k2", "-f", "words", PLOT);
    assert_non_null(strstr(r.out, "logit · words"));
    assert_non_null(strstr(r.out, "\n  2 "));
    run_free(&r);
    r = RUN_WITH(&o, "explain", "-q", "--no-config", PLOT);
    assert_non_null(strstr(r.out, "logit · words"));
    run_free(&r);
    check_error(RUN_WITH(&with_model, "explain", "-q", PLOT), 4, "/nonexistent/m", NULL);
    assert_true(work_write_text(folder, "config", "--targt x\n"));
    check_error(RUN_WITH(&o, "explain", "-q", PLOT), 2, "no option --targt", "--target");
    assert_true(work_folder_remove(folder));
}

/* ---- the question ---- */

static void test_cli__ids_and_spans(void **state)
{
    char folder[WORK_PATH];
    (void)state;
    assert_true(work_folder_new(folder));
    assert_true(work_write_text(folder, "spans.json", "[[0,8],[22,32]]"));
    run_options o = {.folder = folder};
    run_result r = RUN_WITH(&o, "explain", "-q", "--json", "-f", "spans:spans.json", PLOT);
    check_done(&r);
    json_t *root = parse(r.out), *labels = json_object_get(json_object_get(root, "features"), "labels");
    assert_int_equal(json_array_size(labels), 2);
    assert_string_equal(json_string_value(json_array_get(labels, 0)), "The plot");
    json_decref(root);
    run_free(&r);
    r = RUN("explain", "-q", "--ids", "2,5,6,3");
    check_done(&r);
    run_free(&r);
    assert_true(work_folder_remove(folder));
}

/* Standard errors of estimates are in the data: beside each score, and as an array that the scores name. */
static void test_cli__estimates_carry_their_errors(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--json", "-M", "smoothgrad:draws=4,gxi", PLOT);
    check_done(&r);
    json_t *root = parse(r.out), *arrays = json_object_get(root, "arrays"), *array;
    size_t i, named = 0;
    json_array_foreach(arrays, i, array)
    {
        const char *name = json_string_value(json_object_get(array, "name")), *errors = json_string_value(json_object_get(array, "stderr"));
        bool is_estimate = strcmp(name, "smoothgrad.scores") == 0;
        assert_int_equal(errors != NULL, is_estimate);
        named += is_estimate && strcmp(errors, "smoothgrad.se") == 0;
    }
    assert_int_equal(named, 1);
    const json_t *methods = json_object_get(root, "methods");
    for (size_t m = 0; m < 2; m++) {
        const json_t *top = json_array_get(json_object_get(json_array_get(methods, m), "top"), 0);
        assert_int_equal(json_is_real(json_object_get(top, "stderr")), m == 0);
    }
    json_decref(root);
    run_free(&r);
}

static void test_cli__baseline_reaches_the_method(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--json", "--baseline", "zero", "-M", "ig:steps=16,occlusion", PLOT);
    check_done(&r);
    json_t *root = parse(r.out);
    json_t *params = json_object_get(json_array_get(json_object_get(root, "methods"), 0), "params");
    assert_string_equal(json_string_value(json_object_get(params, "baseline")), "zero");
    assert_int_equal(json_integer_value(json_object_get(params, "steps")), 16);
    json_decref(root);
    run_free(&r);
}

static void test_cli__task_chooses_the_head(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--task", "sequence-classification", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "POSITIVE 0."));
    run_free(&r);
    check_error(RUN("explain", "-q", "--task", "masked-lm", PLOT), 4, "no masked LM head", NULL);
    check_error(RUN("explain", "-q", "--task", "sequence", PLOT), 2, "--task \"sequence\" is none of", NULL);
}

/* ---- models that write ---- */

static void test_cli__an_output_means_nothing_for_a_classifier(void **state)
{
    (void)state;
    check_error(RUN("explain", "-q", "--max-new", "3", PLOT), 2, "puts out no text", NULL);
    check_error(RUN("explain", "-q", "--output-text", "x", PLOT), 2, "puts out no text", NULL);
    check_error(RUN("explain", "-q", "-t", "gen:0", PLOT), 3, "does not suit a model for sequence classification", "label:NAME");
    check_error(RUN("explain", "-q", "-m", "tiny-gpt2-stories", "-t", "label:x", "Lily"), 3, "does not suit a model for next-token", "gen:N");
}

static void test_cli__a_contrast_of_next_tokens(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-m", "tiny-gpt2-stories", "-t", "token:\" she\"~token:\" he\"", "Lily was sad because");
    check_done(&r);
    static const char head[] = "\" she\" over \" he\" as the next token (logit +4.4";
    assert_int_equal(strncmp(r.out, head, strlen(head)), 0);
    assert_non_null(strstr(r.out, "  1 Lily    +2.3"));
    run_free(&r);
}

static void test_cli__steps_of_an_output_are_a_matrix_with_gaps(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--json", "-m", "tiny-gpt2-stories", "-t", "all", "--max-new", "3", "Lily was sad because");
    check_done(&r);
    json_t *root = parse(r.out), *array = json_array_get(json_object_get(root, "arrays"), 0), *data = json_object_get(array, "data");
    json_t *output = json_object_get(root, "output"), *of = json_object_get(json_object_get(root, "features"), "of");
    assert_string_equal(json_string_value(json_object_get(output, "text")), " she could not");
    assert_string_equal(json_string_value(json_object_get(output, "source")), "generated");
    assert_string_equal(json_string_value(json_object_get(output, "end")), "length");
    assert_int_equal(json_array_size(of), 6);
    assert_string_equal(json_string_value(json_array_get(of, 5)), "out");
    assert_int_equal(json_array_size(data), 18);
    assert_null(json_object_get(array, "nonfinite"));
    for (size_t i = 0; i < 18; i++) /* two earlier outputs: the first step knows neither, the second one */
        assert_int_equal(json_is_null(json_array_get(data, i)), i == 4 || i == 5 || i == 11);
    json_decref(root);
    run_free(&r);
}

static void test_cli__prompt_only_leaves_the_output_out(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-m", "tiny-gpt2-stories", "-t", "all", "--max-new", "3", "--prompt-only", "Lily was sad because");
    check_done(&r);
    assert_non_null(strstr(r.out, "generated: she could not (cut after 3 tokens: --max-new)\n"));
    assert_non_null(strstr(r.out, "rows: input words"));
    assert_null(strstr(r.out, "earlier output"));
    run_free(&r);
}

static void test_cli__a_given_output_is_explained(void **state)
{
    (void)state;
    run_result text = RUN("explain", "-q", "-m", "tiny-gpt2-stories", "-t", "all", "--output-text", " he ran", "Lily was sad because");
    run_result ids = RUN("explain", "-q", "--json", "-m", "tiny-gpt2-stories", "-t", "all", "--output-ids", "369,474", "Lily was sad because");
    check_done(&text);
    check_done(&ids);
    assert_non_null(strstr(text.out, "output given: he ran\n"));
    assert_non_null(strstr(text.out, "columns: output tokens"));
    assert_non_null(strstr(ids.out, "{\"source\": \"given\", \"end\": null, \"text\": \" she could\"}"));
    assert_non_null(strstr(ids.out, "\"generated\": false"));
    run_free(&text);
    run_free(&ids);
}

static void test_cli__a_sum_over_steps_is_one_target(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-m", "tiny-gpt2-stories", "-t", "all", "--per-target", "sum", "--max-new", "3", "Lily was sad because");
    check_done(&r);
    static const char head[] = "the output \" she could not\" (";
    assert_int_equal(strncmp(r.out, head, strlen(head)), 0);
    assert_non_null(strstr(r.out, "towards the output"));
    run_free(&r);
}

static void test_cli__the_hint_fits_the_model(void **state)
{
    (void)state;
    run_options o = {.on_terminal = true};
    run_result writes = RUN_WITH(&o, "explain", "-m", "tiny-gpt2-stories", "Lily was sad because");
    run_result judges = RUN_WITH(&o, "explain", PLOT);
    assert_non_null(strstr(writes.out, "add -t all to see what made each token of the output"));
    assert_non_null(strstr(judges.out, "add -M all to compare"));
    run_free(&writes);
    run_free(&judges);
}

/* The examples of the demo, word for word, in a pipe and on a narrow terminal.  TOKRAY_UPDATE_GOLDEN=1 writes them anew. */
static void check_transcript(const char *name, run_result r)
{
    char folder[WORK_PATH];
    const char *data = getenv("TOKRAY_TEST_DATA");
    snprintf(folder, sizeof folder, "%s/../cli/golden", data ? data : "tests/data");
    check_done(&r);
    if (getenv("TOKRAY_UPDATE_GOLDEN")) {
        assert_true(work_write_text(folder, name, r.out));
    } else {
        size_t size = 0;
        char *want = work_read(folder, name, &size);
        if (!want || strcmp(want, r.out) != 0)
            fail_msg("%s differs; wanted:\n%s\ngot:\n%s", name, want ? want : "(no file)", r.out);
        free(want);
    }
    run_free(&r);
}

static void test_cli__transcripts_of_each_task(void **state)
{
    (void)state;
    check_transcript("demo-class.txt", RUN("demo", "class"));
    check_transcript("demo-mask.txt", RUN("demo", "mask"));
    check_transcript("demo-next.txt", RUN("demo", "next"));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* half a minute there, and the next is the same question */
    check_transcript("demo-date.txt", RUN("demo", "date"));
#endif
    check_transcript("demo-date-40.txt", RUN("demo", "date", "--width", "40", "--ascii"));
    check_transcript("date-step.txt", RUN("explain", "-q", "-m", "tiny-t5-tasks", "-t", "gen:7", "date: March 5th, 1999"));
}

static void test_cli__dry_run_computes_nothing(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--dry-run", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "plan: ig on tiny-distilbert-sentiment, nothing computed"));
    assert_non_null(strstr(r.out, "evaluations"));
    assert_non_null(strstr(r.out, "memory"));
    run_free(&r);
}

static void test_cli__strict_makes_warnings_errors(void **state)
{
    (void)state;
    run_result loose = RUN("explain", "-q", "-M", "ig:steps=1", PLOT), strict = RUN("explain", "-q", "--strict", "-M", "ig:steps=1", PLOT);
    assert_int_equal(loose.code, 0);
    assert_non_null(strstr(loose.err, "warning: "));
    assert_non_null(strstr(loose.err, " · help: -M ig:"));
    assert_int_equal(strict.code, 5);
    assert_int_equal(count_of(strict.err, "error:"), 1);
    assert_string_equal(loose.out, strict.out);
    run_free(&loose);
    run_free(&strict);
}

/* ---- signals and terminals ---- */

static void check_stopped(int signal_number, int code)
{
    run_options o = {.signal_number = signal_number, .signal_after = "\"event\":\"progress\""};
    run_result r = RUN_WITH(&o, "explain", "-q", "--progress", "json", "-M", "ig:steps=4096,ig:steps=4095,ig:steps=4094", "-f", "tokens", PLOT,
                            PLOT, PLOT, PLOT);
    assert_int_equal(r.code, code);
    assert_int_equal(count_of(r.err, "error: "), 1);
    run_free(&r);
}

static void test_cli__signals_stop_it(void **state)
{
    (void)state;
    check_stopped(SIGINT, 130);
    check_stopped(SIGTERM, 143);
}

/* Cut while it computes: whether a read of the mapped weights or the check at the end sees it first is chance. */
static void test_cli__weights_that_shrink_while_in_use(void **state)
{
    static const char *const files[] = {"config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
                                        "tokenizer_config.json", "vocab.txt"};
    char folder[WORK_PATH], from[WORK_PATH], weights[WORK_PATH];
    (void)state;
    assert_true(work_folder_new(folder) && work_path(weights, folder, "model.safetensors"));
    assert_true(work_path(from, getenv("TOKRAY_MODELS"), "tiny-distilbert-sentiment"));
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        char *bytes = work_read(from, files[i], &size);
        assert_true(bytes && work_write(folder, files[i], bytes, size));
        free(bytes);
    }
    run_options o = {.signal_after = "\"event\":\"progress\"", .truncated = weights};
    check_error(RUN_WITH(&o, "explain", "-q", "--progress", "json", "-m", folder, "-M", "ig:steps=4096,ig:steps=4095", "-f", "tokens",
                         PLOT), 4, "while", NULL);
    assert_true(work_folder_remove(folder));
}

static void test_cli__a_terminal_gets_colours_and_its_theme(void **state)
{
    static const char *const environment[] = {"TERM=xterm-256color", "COLORTERM=truecolor", NULL};
    (void)state;
    run_options silent = {.on_terminal = true, .environment = environment};
    run_options light = {.on_terminal = true, .environment = environment, .terminal_reply = "\x1b]11;rgb:ffff/ffff/eeee\x1b\\"};
    run_options garbage = {.on_terminal = true, .environment = environment, .terminal_reply = "garbage"};
    run_result dark = RUN_WITH(&silent, "explain", PLOT), bright = RUN_WITH(&light, "explain", PLOT), odd = RUN_WITH(&garbage, "explain", PLOT);
    check_done(&dark);
    check_done(&bright);
    check_done(&odd);
    assert_non_null(strstr(dark.out, "\x1b[38;2;241;243;245m\x1b[48;2;134;67;15msuperb\x1b[0m"));
    assert_non_null(strstr(bright.out, "\x1b[38;2;27;31;36m\x1b[48;2;247;161;71msuperb\x1b[0m"));
    assert_non_null(strstr(odd.out, "\x1b[48;2;134;67;15msuperb"));
    assert_non_null(strstr(dark.out, "hint:"));
    assert_non_null(strstr(dark.out, "why?"));
    run_free(&dark);
    run_free(&bright);
    run_free(&odd);
}

static void test_cli__colour_is_decided_in_order(void **state)
{
    static const char *const no_color[] = {"NO_COLOR=1", "FORCE_COLOR=1", "COLORTERM=truecolor", NULL};
    static const char *const force[] = {"FORCE_COLOR=1", "TERM=xterm-256color", NULL};
    (void)state;
    run_options off = {.environment = no_color}, on = {.environment = force};
    run_result plain = RUN_WITH(&off, "explain", "-q", PLOT), forced = RUN_WITH(&on, "explain", "-q", PLOT);
    run_result always = RUN_WITH(&off, "explain", "-q", "--color", "always", PLOT), never = RUN_WITH(&on, "explain", "-q", "--no-color", PLOT);
    assert_null(strchr(plain.out, '\x1b'));
    assert_non_null(strstr(forced.out, "\x1b[38;5;231;48;5;"));
    assert_non_null(strstr(always.out, "\x1b[48;2;"));
    assert_null(strchr(never.out, '\x1b'));
    run_free(&plain);
    run_free(&forced);
    run_free(&always);
    run_free(&never);
}

static run_result page(unsigned short rows, const char *pager, const char *const *args)
{
    const char *const environment[] = {pager, NULL};
    run_options o = {.on_terminal = true, .rows = rows, .environment = environment};
    return run_program(args, &o);
}

static void check_paged(unsigned short rows, const char *pager, const char *const *args, bool is_paged)
{
    run_result r = page(rows, pager, args);
    check_done(&r);
    bool was_paged = strncmp(r.out, "<paged -x>\r\n", 12) == 0 && strstr(r.out, "</paged>");
    if (was_paged != is_paged || count_of(r.out, "paged>") + count_of(r.out, "<paged") != (is_paged ? 2 : 0) ||
        count_of(r.out, "--no-config") != 1)
        fail_msg("%d rows and %s:\n%s", rows, pager, r.out);
    run_free(&r);
}

static void test_cli__long_answers_go_through_the_pager(void **state)
{
    static const char *const answer[] = {"help", "methods", NULL}, *const never[] = {"help", "methods", "--pager", "never", NULL};
    char folder[WORK_PATH], path[WORK_PATH], pager[WORK_PATH + 32];
    unsigned short rows = 1;
    (void)state;
    assert_true(work_folder_new(folder) && work_path(path, folder, "pager"));
    assert_true(work_write_text(folder, "pager", "#!/bin/sh\necho \"<paged $1>\"\ncat\necho '</paged>'\nexit 3\n"));
    assert_int_equal(chmod(path, 0700), 0);
    run_result plain = RUN("help", "methods");
    rows = (unsigned short)(rows + count_of(plain.out, "\n"));
    run_free(&plain);
    snprintf(pager, sizeof pager, "TOKRAY_PAGER= %s  -x", path);
    check_paged(rows, pager, answer, false); /* fits */
    check_paged((unsigned short)(rows - 1), pager, answer, true);
    check_paged(5, pager, never, false);
    check_paged(5, "TOKRAY_PAGER=", answer, false);
    check_paged(5, "PAGER=cat", answer, false);
    check_paged(5, "PAGER=/nonexistent/pager", answer, false);
    memmove(pager, pager + strlen("TOKRAY_"), strlen(pager + strlen("TOKRAY_")) + 1);
    check_paged(5, pager, answer, true);
    assert_true(work_folder_remove(folder));
}

static void test_cli__messages_follow_what_was_paged(void **state)
{
    static const char *const args[] = {"explain", "-q", "-M", "ig:steps=1", PLOT, "A dull film.", NULL};
    (void)state;
    run_result r = page(4, "TOKRAY_PAGER=sed s/POSITIVE/PAGED/", args);
    check_done(&r);
    const char *answer = strstr(r.out, "PAGED"), *warning = strstr(r.out, "warning:"), *second = strstr(r.out, "NEGATIVE");
    if (!answer || !warning || !second || warning < answer || second < warning)
        fail_msg("wrong order:\n%s", r.out);
    run_free(&r);
}

/* More than a pipe holds, so that writing to a pager that was left fails. */
static void test_cli__a_pager_may_be_left_early(void **state)
{
    static const char *const args[] = {"explain", "-q", "--json", "-M", "ig,occlusion,gxi", PLOT, NULL};
    enum { TEXTS = 100 };
    const char *long_args[TEXTS + 3] = {"tokens", "-q"};
    (void)state;
    for (size_t i = 0; i < TEXTS; i++)
        long_args[2 + i] = "The plot is thin, but the acting is superb, and all the others in it are as good as one may wish for.";
    run_result r = page(4, "TOKRAY_PAGER=false", long_args), json = page(4, "TOKRAY_PAGER=true", args);
    assert_int_equal(r.code, 0);
    assert_string_equal(r.out, "");
    assert_int_equal(json.code, 0);
    assert_string_equal(json.out, "");
    run_free(&r);
    run_free(&json);
    r = page(4, "TOKRAY_PAGER=cat -u", long_args);
    assert_true(r.out_size > 1 << 16);
    run_free(&r);
}

static void test_cli__progress_in_the_taskbar_where_it_is_known(void **state)
{
    static const char *const known[] = {"WT_SESSION=1", NULL};
    run_options with = {.on_terminal = true, .environment = known}, without = {.on_terminal = true};
    const char *seconds_of_work = SLOWNESS > 1 ? "ig:steps=1024" : "ig:steps=4096,ig:steps=4095";
    (void)state;
    run_result r = RUN_WITH(&with, "explain", "-M", seconds_of_work, "-f", "tokens", PLOT, PLOT);
    check_done(&r);
    const char *last = NULL, *end = strstr(r.out, "hint:");
    for (const char *at = r.out; (at = strstr(at, "\x1b]9;4;1;")); at++)
        last = at;
    assert_non_null(last);
    assert_non_null(strstr(last, "\x1b]9;4;0;\x1b\\"));
    assert_true(end && strstr(last, "\x1b]9;4;0;") < end);
    run_free(&r);
    r = RUN_WITH(&without, "explain", "-M", seconds_of_work, "-f", "tokens", PLOT, PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "\r\x1b[K")); /* the line is drawn */
    assert_null(strstr(r.out, "\x1b]9;4;"));
    run_free(&r);
}

static void test_cli__an_ascii_locale_gets_ascii(void **state)
{
    static const char *const environment[] = {"LC_ALL=C", NULL};
    (void)state;
    run_options o = {.environment = environment};
    run_result r = RUN_WITH(&o, "explain", "-q", "-M", "ig,occlusion", PLOT);
    check_done(&r);
    for (size_t i = 0; i < r.out_size; i++)
        assert_true((unsigned char)r.out[i] < 0x80);
    run_free(&r);
}

/* ---- help and the first thirty seconds ---- */

static void test_cli__first_contact_fits_in_twelve_lines(void **state)
{
    (void)state;
    run_result r = run_program((const char *const[]){NULL}, NULL);
    check_done(&r);
    assert_true(count_of(r.out, "\n") <= 12);
    assert_non_null(strstr(r.out, "tokray demo"));
    assert_true(r.seconds < 1.0 * SLOWNESS);
    run_free(&r);
}

static void test_cli__every_command_has_help(void **state)
{
    static const char *const commands[] = {"explain", "demo", "models", "methods", "tokens", "doctor", "help", "version"};
    (void)state;
    run_result overview = RUN("help");
    check_done(&overview);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        run_result brief = RUN(commands[i], "-h"), full = RUN(commands[i], "--help"), page = RUN("help", commands[i]);
        assert_non_null(strstr(overview.out, commands[i]));
        check_done(&brief);
        assert_non_null(strstr(brief.out, "usage: tokray "));
        assert_true(count_of(brief.out, "\n") <= 40);
        assert_non_null(strstr(full.out, "--no-config"));
        assert_string_equal(full.out, page.out);
        run_free(&brief);
        run_free(&full);
        run_free(&page);
    }
    run_free(&overview);
}

static void test_cli__lists_and_facts(void **state)
{
    (void)state;
    run_result methods = RUN("methods"), ig = RUN("methods", "ig"), models = RUN("models", "list");
    run_result info = RUN("models", "info", "tiny-distilbert-sentiment"), check = RUN("models", "check", "tiny-bert-mlm");
    run_result tokens = RUN("tokens", "-q", "The plot"), doctor = RUN("doctor"), version = RUN("version");
    assert_non_null(strstr(methods.out, "occlusion"));
    assert_non_null(strstr(ig.out, "steps"));
    assert_non_null(strstr(ig.out, "1 to 4096"));
    assert_non_null(strstr(models.out, "tiny-distilbert-sentiment"));
    assert_non_null(strstr(info.out, "labels: NEGATIVE, POSITIVE"));
    assert_int_equal(strncmp(check.out, "ok: tiny-bert-mlm", 17), 0);
    assert_non_null(strstr(tokens.out, "[CLS]"));
    assert_non_null(strstr(tokens.out, "4-8"));
    assert_non_null(strstr(doctor.out, "tiny-distilbert-sentiment: ok"));
    assert_int_equal(strncmp(version.out, "tokray ", 7), 0);
    check_error(RUN("methods", "igg"), 2, "no method \"igg\"", "tokray methods ig");
    check_error(RUN("models", "chek", "x"), 2, "no command", "tokray models check");
    run_free(&methods);
    run_free(&ig);
    run_free(&models);
    run_free(&info);
    run_free(&check);
    run_free(&tokens);
    run_free(&doctor);
    run_free(&version);
}

static void test_cli__demo_leads_on(void **state)
{
    (void)state;
    run_result r = RUN("demo");
    check_done(&r);
    assert_non_null(strstr(r.out, "checked: without "));
    assert_non_null(strstr(r.out, "girl 0.9"));
    assert_non_null(strstr(r.out, "the next token is \" she\" (p 0.97)"));
    assert_non_null(strstr(r.out, "generated: 1999-03-05\n"));
    const char *line = strstr(r.out, "edit the sentence: tokray explain \"");
    assert_non_null(line);
    char sentence[256];
    snprintf(sentence, sizeof sentence, "%s", line + strlen("edit the sentence: tokray explain \""));
    sentence[strcspn(sentence, "\"")] = '\0';
    run_result one = RUN("demo", "mask");
    assert_non_null(strstr(one.out, "edit the sentence: tokray explain -m tiny-bert-mlm "));
    run_free(&one);
    run_result next = RUN("explain", "-q", sentence); /* what it suggests works */
    check_done(&next);
    run_free(&r);
    run_free(&next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli__wrong_use_is_named),
        cmocka_unit_test(test_cli__argument_that_is_not_utf8),
        cmocka_unit_test(test_cli__a_hundred_thousand_arguments),
        cmocka_unit_test(test_cli__no_text_on_a_terminal_does_not_wait),
        cmocka_unit_test(test_cli__the_caret_stands_under_what_is_meant),
        cmocka_unit_test(test_cli__bad_input_is_named),
        cmocka_unit_test(test_cli__a_megabyte_is_too_long_at_once),
        cmocka_unit_test(test_cli__one_token_works),
        cmocka_unit_test(test_cli__hostile_text_is_escaped_by_every_presenter),
        cmocka_unit_test(test_cli__standard_input_is_one_text),
        cmocka_unit_test(test_cli__several_texts_are_several_answers),
        cmocka_unit_test(test_cli__json_owns_standard_output),
        cmocka_unit_test(test_cli__answers_and_notes_keep_apart),
        cmocka_unit_test(test_cli__equal_questions_give_equal_bytes),
        cmocka_unit_test(test_cli__a_reader_that_leaves_ends_it_silently),
        cmocka_unit_test(test_cli__closed_standard_output_is_an_error),
        cmocka_unit_test(test_cli__a_full_disk_is_an_error),
        cmocka_unit_test(test_cli__events_are_json_lines),
        cmocka_unit_test(test_cli__files_are_written_whole_or_not_at_all),
        cmocka_unit_test(test_cli__an_output_that_is_a_folder),
        cmocka_unit_test(test_cli__the_configuration_file_and_variables_count_less),
        cmocka_unit_test(test_cli__ids_and_spans),
        cmocka_unit_test(test_cli__estimates_carry_their_errors),
        cmocka_unit_test(test_cli__baseline_reaches_the_method),
        cmocka_unit_test(test_cli__task_chooses_the_head),
        cmocka_unit_test(test_cli__an_output_means_nothing_for_a_classifier),
        cmocka_unit_test(test_cli__a_contrast_of_next_tokens),
        cmocka_unit_test(test_cli__steps_of_an_output_are_a_matrix_with_gaps),
        cmocka_unit_test(test_cli__prompt_only_leaves_the_output_out),
        cmocka_unit_test(test_cli__a_given_output_is_explained),
        cmocka_unit_test(test_cli__a_sum_over_steps_is_one_target),
        cmocka_unit_test(test_cli__the_hint_fits_the_model),
        cmocka_unit_test(test_cli__transcripts_of_each_task),
        cmocka_unit_test(test_cli__dry_run_computes_nothing),
        cmocka_unit_test(test_cli__strict_makes_warnings_errors),
        cmocka_unit_test(test_cli__signals_stop_it),
        cmocka_unit_test(test_cli__weights_that_shrink_while_in_use),
        cmocka_unit_test(test_cli__a_terminal_gets_colours_and_its_theme),
        cmocka_unit_test(test_cli__colour_is_decided_in_order),
        cmocka_unit_test(test_cli__long_answers_go_through_the_pager),
        cmocka_unit_test(test_cli__messages_follow_what_was_paged),
        cmocka_unit_test(test_cli__a_pager_may_be_left_early),
        cmocka_unit_test(test_cli__progress_in_the_taskbar_where_it_is_known),
        cmocka_unit_test(test_cli__an_ascii_locale_gets_ascii),
        cmocka_unit_test(test_cli__first_contact_fits_in_twelve_lines),
        cmocka_unit_test(test_cli__every_command_has_help),
        cmocka_unit_test(test_cli__lists_and_facts),
        cmocka_unit_test(test_cli__demo_leads_on),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
