/* What the command line adds to questions and answers: fixed context, spans from files, the closing table, views of methods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <tokray/present.h>

#include "cli/program.h"
#include "support/workplace.h"

static const char PLOT[] = "The plot is thin, but the acting is superb.";

static void check_done(const run_result *r)
{
    if (r->code != 0)
        fail_msg("exit %d: %s", r->code, r->err);
}

static void check_says(const run_result *r, int code, const char *part)
{
    if (r->code != code || !strstr(r->err, part))
        fail_msg("wanted exit %d and \"%s\", got %d and: %s", code, part, r->code, r->err);
}

static void test_cli_views__fixed_context_stays(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--csv", "-M", "occlusion", "--fixed", "text:\"The plot\"", PLOT);
    check_done(&r);
    assert_null(strstr(r.out, ",plot,"));
    assert_non_null(strstr(r.out, ",thin,"));
    run_free(&r);
    r = RUN("explain", "-q", "--json", "-M", "occlusion", "--fixed", "text:\"The plot\"", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "\"context\": {\"fixed\": \"text:\\\"The plot\\\"\", \"tokens\": [1, 2]}"));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "occlusion", PLOT, "--json");
    assert_non_null(strstr(r.out, "\"context\": null"));
    run_free(&r);
    r = RUN("explain", "-q", "--fixed", "everything", PLOT);
    check_says(&r, 2, "  --fixed everything\n          ^^^^^^^^^^\n");
    run_free(&r);
    r = RUN("explain", "-q", "--fixed", "pair", PLOT);
    check_says(&r, 2, "the second of two texts, and there is one");
    run_free(&r);
}

static void test_cli_views__spans_come_from_files(void **state)
{
    (void)state;
    char folder[WORK_PATH];
    assert_true(work_folder_new(folder));
    assert_true(work_write_text(folder, "good.json", "{\"spans\": [[0, 8], [26, 32]]}\n"));
    assert_true(work_write_text(folder, "bad.json", "[[0, 8], [4, 9]]"));
    assert_true(work_write_text(folder, "torn.json", "[[0, 8], [4"));
    run_options here = {.folder = folder};
    run_result r = RUN_WITH(&here, "explain", "-q", "-M", "occlusion", "-f", "spans:good.json", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "The plot"));
    assert_non_null(strstr(r.out, " acting "));
    assert_null(strstr(r.out, " thin "));
    run_free(&r);
    r = RUN_WITH(&here, "explain", "-q", "--csv", "-M", "occlusion", "--fixed", "spans:good.json", PLOT);
    check_done(&r);
    assert_null(strstr(r.out, ",acting,"));
    assert_non_null(strstr(r.out, ",superb,"));
    run_free(&r);
    r = RUN_WITH(&here, "explain", "-q", "-f", "spans:bad.json", PLOT);
    check_says(&r, 3, "span 1 [4, 9) overlaps span 0 [0, 8)\n  -f spans:bad.json\n");
    run_free(&r);
    r = RUN_WITH(&here, "explain", "-q", "--fixed", "spans:torn.json", PLOT);
    check_says(&r, 3, "--fixed spans:torn.json");
    run_free(&r);
    r = RUN_WITH(&here, "explain", "-q", "--fixed", "spans:missing.json", PLOT);
    check_says(&r, 3, "\"missing.json\" cannot be read");
    run_free(&r);
    assert_true(work_folder_remove(folder));
}

/* Byte-level tokens begin with the space before their word: a span that ends behind it does not take the word. */
static void test_cli_views__the_space_before_a_word_is_not_the_word(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "--csv", "-m", "tiny-gpt2-stories", "-M", "gxi", "--fixed", "spans:[[0,5]]", "Once upon a time");
    check_done(&r);
    assert_null(strstr(r.out, ",Once,"));
    assert_non_null(strstr(r.out, ",upon,"));
    run_free(&r);
    r = RUN("explain", "-q", "--csv", "-m", "tiny-gpt2-stories", "-M", "gxi", "-f", "spans:[[0,5],[5,9]]", "Once upon a time");
    check_done(&r);
    assert_non_null(strstr(r.out, ",gxi,0,Once,"));
    assert_non_null(strstr(r.out, ",gxi,1,upon,"));
    run_free(&r);
    r = RUN("explain", "-q", "--csv", "-m", "tiny-gpt2-stories", "-M", "gxi", "--fixed", "text:\"Once \"", "Once upon a time");
    check_done(&r);
    assert_non_null(strstr(r.out, ",upon,"));
    run_free(&r);
}

static void test_cli_views__the_closing_table_is_below_and_in_csv(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-M", "occlusion,gradient", "--table", "full", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "\nocclusion\n"));
    assert_non_null(strstr(r.out, "Helpful\n"));
    assert_non_null(strstr(r.out, "total negative"));
    assert_non_null(strstr(r.out, "\ngradient\n"));
    assert_non_null(strstr(r.out, "importance has no sign"));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "occlusion", "--table", "full", "--tsv", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "\tkind\trank\tposition\tid\teffect\n"));
    assert_non_null(strstr(r.out, "\tfeature\t1\t10\t"));
    assert_non_null(strstr(r.out, "\ttotal\t\t\t\toverall\n"));
    run_free(&r);
}

static void check_widths(const char *text, size_t most)
{
    for (const char *line = text; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] == '\n')) {
        size_t length = strcspn(line, "\n");
        if (tkr_columns(line, length) > most)
            fail_msg("more than %zu columns: %.*s", most, (int)length, line);
    }
}

static void test_cli_views__methods_that_remove_read_well_on_any_width(void **state)
{
    static const char *const widths[] = {"40", "80"};
    static const char *const methods[] = {"shap,lime,partition-shap", "interactions", "counterfactual,sufficient", "linear-shap", "banzhaf"};
    (void)state;
    for (size_t w = 0; w < 2; w++)
        for (size_t m = 0; m < sizeof methods / sizeof *methods; m++) {
            run_result r = RUN("explain", "-q", "--width", widths[w], "--table", "full", "-M", methods[m], "Not a bad film at all.");
            check_done(&r);
            check_widths(r.out, strtoul(widths[w], NULL, 10));
            run_free(&r);
        }
}

static void test_cli_views__measures_of_the_whole_answer_say_what_they_go_towards(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-M", "occlusion", "--measure", "entropy", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "towards uncertainty, "));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "occlusion", "--measure", "kl", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "towards another answer, "));
    assert_non_null(strstr(r.out, "checked: without \"superb\" 0 "));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "ig", "--measure", "kl", PLOT);
    check_says(&r, 2, "help: -M occlusion");
    run_free(&r);
}

static void test_cli_views__sets_are_sentences(void **state)
{
    (void)state;
    run_result r = RUN("explain", "-q", "-M", "counterfactual", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "Without \"superb\" (1 of 11 words) the model says NEGATIVE instead of POSITIVE;"));
    run_free(&r);
    r = RUN("explain", "-q", "-M", "sufficient", PLOT);
    check_done(&r);
    assert_non_null(strstr(r.out, "Keeping "));
    assert_non_null(strstr(r.out, " of 200 "));
    run_free(&r);
}

static void test_cli_views__the_list_of_methods_fits_the_terminal(void **state)
{
    (void)state;
    run_options terminal = {.on_terminal = true, .rows = 200};
    run_result r = RUN_WITH(&terminal, "methods", "--pager", "never"), piped = RUN("methods"), one = RUN("methods", "kernel-shap");
    check_done(&r);
    assert_non_null(strstr(r.out, "sets (needs forward passes)"));
    assert_non_null(strstr(r.out, "  kernel-shap "));
    check_widths(r.out, 101); /* and the return before each new line */
    assert_non_null(strstr(piped.out, "\n  kernel-shap "));
    assert_non_null(strstr(one.out, "  samples = 0"));
    check_widths(one.out, 80);
    run_free(&r);
    run_free(&piped);
    run_free(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cli_views__fixed_context_stays),
        cmocka_unit_test(test_cli_views__spans_come_from_files),
        cmocka_unit_test(test_cli_views__the_space_before_a_word_is_not_the_word),
        cmocka_unit_test(test_cli_views__the_closing_table_is_below_and_in_csv),
        cmocka_unit_test(test_cli_views__methods_that_remove_read_well_on_any_width),
        cmocka_unit_test(test_cli_views__measures_of_the_whole_answer_say_what_they_go_towards),
        cmocka_unit_test(test_cli_views__sets_are_sentences),
        cmocka_unit_test(test_cli_views__the_list_of_methods_fits_the_terminal),
    };
    return cmocka_run_group_tests_name("cli_views", tests, NULL, NULL);
}
