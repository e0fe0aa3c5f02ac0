/*
 * Terminal output: golden files over widths, colours, themes and characters, and what must hold for any text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <tokray/present.h>

#include "base/memory.h"
#include "present/shown.h"
#include "support/workplace.h"

static const char HOSTILE[] = "</script> \"'& \x1b[31mred \xE2\x80\xAE" "evil\xE2\x80\xAC \xE2\x80\xA8 \x07 \xC2\x9B"
                              "31m \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \xD8\xA7\xD9\x84 \xE0\xA4\x95\xE0\xA4\xBF "
                              "\xE6\x97\xA5\xE6\x9C\xAC \x80\xFF end";

/* ---- golden files ---- */

static void test_terminal__matches_golden_files(void **state)
{
    static const int widths[] = {40, 80, 120};
    static const char *const colors[] = {"none", "16", "256", "24bit"};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    for (size_t w = 0; w < 3; w++)
        for (int color = 0; color < 4; color++)
            for (int light = 0; light < 2; light++)
                for (int ascii = 0; ascii < 2; ascii++) {
                    char name[96];
                    tkr_terminal_options o = tkr_terminal_options_defaults();
                    o.width = widths[w];
                    o.color = (tkr_color)color;
                    o.is_light = light;
                    o.ascii = ascii;
                    snprintf(name, sizeof name, "%d-%s-%s-%s.txt", widths[w], colors[color], light ? "light" : "dark",
                             ascii ? "ascii" : "utf8");
                    shown_golden(name, s, &o);
                }
    memory_free(s);
}

static void test_terminal__matches_golden_files_of_views(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    o.is_brief = true;
    o.top = 3;
    shown_golden("brief.txt", s, &o);
    o = tkr_terminal_options_defaults();
    o.full_table = true;
    shown_golden("full.txt", s, &o);
    o = tkr_terminal_options_defaults();
    o.style = TKR_STYLE_PLAIN;
    shown_golden("plain.txt", s, &o);
    o = tkr_terminal_options_defaults();
    o.special = TKR_SPECIAL_SHOW;
    s->result.feature_kind = "tokens";
    shown_golden("tokens.txt", s, &o);
    s->result.feature_kind = "words";
    o = tkr_terminal_options_defaults();
    sample_add_run(s, "occlusion", true, false, 0.4f);
    sample_add_run(s, "rollout", false, false, 0.3f);
    shown_golden("methods.txt", s, &o);
    o.color = TKR_COLOR_24BIT;
    shown_golden("methods-24bit.txt", s, &o);
    memory_free(s);
}

static void test_terminal__matches_golden_files_of_generation(void **state)
{
    static const char *const colors[] = {"none", "16", "256", "24bit"};
    char name[96];
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    for (int color = 0; color < 4; color++) {
        o.color = (tkr_color)color;
        snprintf(name, sizeof name, "generation-%s.txt", colors[color]);
        shown_golden(name, s, &o);
    }
    o.color = TKR_COLOR_NONE;
    o.width = 40;
    shown_golden("generation-40.txt", s, &o);
    o.ascii = true;
    shown_golden("generation-40-ascii.txt", s, &o);
    o = tkr_terminal_options_defaults();
    o.ascii = o.is_brief = true;
    shown_golden("generation-brief-ascii.txt", s, &o);
    sample_add_run(s, "occlusion", false, false, 0.3f);
    s->arrays[1].size = s->arrays[0].size;
    for (size_t i = 0; i < s->arrays[0].size; i++)
        s->scores[1][i] = fabsf(s->scores[0][i]);
    o = tkr_terminal_options_defaults();
    shown_golden("generation-methods.txt", s, &o);
    memory_free(s);
}

static void test_terminal__matches_golden_files_of_one_step(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_house(s);
    sample_keep_step(s, 3);
    shown_golden("step.txt", s, &o);
    o.ascii = true;
    o.special = TKR_SPECIAL_SHOW;
    shown_golden("step-ascii.txt", s, &o);
    o = tkr_terminal_options_defaults();
    o.color = TKR_COLOR_24BIT;
    shown_golden("step-24bit.txt", s, &o);
    memory_free(s);
}

/* ---- what must hold ---- */

static void test_terminal__no_line_is_wider_than_the_terminal(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    for (int runs = 1; runs <= 3; runs++)
        for (int width = 30; width <= 130; width += 7) {
            sample_plot(s);
            for (int i = 1; i < runs; i++)
                sample_add_run(s, i == 1 ? "occlusion" : "rollout", i == 1, false, 0.4f);
            tkr_terminal_options o = tkr_terminal_options_defaults();
            o.width = width;
            o.color = TKR_COLOR_24BIT;
            char *text = shown_text(s, &o);
            shown_strip(text);
            shown_widths(text, (size_t)width);
            memory_free(text);
        }
    memory_free(s);
}

static void test_terminal__hostile_text_is_shown_never_obeyed(void **state)
{
    static const sample_word words[] = {{"</script>", 1}, {"\x1b[31mred", -2}, {"\xE2\x80\xAE" "evil\xE2\x80\xAC", 3}, {"end", 0.5f}};
    static const char *const hidden[] = {"\xE2\x80\xAE", "\xE2\x80\xAC", "\xE2\x80\xA8", "\xC2\x9B", "\x07"};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_init(s, HOSTILE, words, 4);
    s->targets[0].label = "\x1b]0;owned\x07\xE2\x80\xAE";
    for (int style = 0; style < 4; style++)
        for (int tokens = 0; tokens < 2; tokens++) {
            tkr_terminal_options o = tkr_terminal_options_defaults();
            o.style = (tkr_style)style;
            o.color = TKR_COLOR_24BIT;
            s->result.feature_kind = tokens ? "tokens" : "words";
            char *text = shown_text(s, &o);
            shown_strip(text);
            for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
                assert_null(strstr(text, hidden[i]));
            if (style != TKR_STYLE_PLAIN)
                assert_non_null(strstr(text, "⟨80 FF⟩"));
            assert_non_null(strstr(text, "␛[31mred"));
            assert_non_null(strstr(text, "⟨U+202E⟩evil"));
            shown_widths(text, 80);
            memory_free(text);
        }
    memory_free(s);
}

static void test_terminal__hostile_text_matches_its_golden_file(void **state)
{
    static const sample_word words[] = {{"</script>", 1}, {"\x1b[31mred", -2}, {"\xE2\x80\xAE" "evil\xE2\x80\xAC", 3}, {"end", 0.5f}};
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_init(s, HOSTILE, words, 4);
    shown_golden("hostile.txt", s, &o);
    o.ascii = true;
    shown_golden("hostile-ascii.txt", s, &o);
    memory_free(s);
}

static void test_terminal__a_word_longer_than_the_line_is_cut(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    char text[1001];
    memset(text, 'a', 1000);
    text[1000] = '\0';
    const sample_word words[] = {{text, 2}};
    sample_init(s, text, words, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    char *shown = shown_text(s, &o);
    shown_widths(shown, 80);
    size_t letters = 0;
    for (const char *at = shown; *at; at++)
        letters += *at == 'a';
    assert_true(letters >= 1000);
    memory_free(shown);
    memory_free(s);
}

static void test_terminal__says_when_the_check_contradicts_the_method(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    o.width = 200;
    sample_plot(s);
    char *agrees = shown_text(s, &o);
    assert_non_null(strstr(agrees, "\"superb\" pushes hardest towards POSITIVE (+2.91); \"thin\" pushes hardest away (−1.87)."));
    assert_non_null(strstr(agrees, "Checked: without \"superb\", p(POSITIVE) falls from 0.98 to 0.44."));
    s->checked[0].after = 0.99;
    char *contradicts = shown_text(s, &o);
    assert_null(strstr(contradicts, "pushes hardest towards"));
    assert_non_null(strstr(contradicts, "Checked: removing \"superb\" does not lower p(POSITIVE) (0.98 to 0.99)"));
    memory_free(agrees);
    memory_free(contradicts);
    memory_free(s);
}

static void test_terminal__numbers_that_round_to_nothing_are_0(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    s->scores[0][0] = -0.0001f;
    char *text = shown_text(s, &o);
    assert_null(strstr(text, "−0.00"));
    assert_null(strstr(text, "+0.00"));
    memory_free(text);
    for (size_t i = 0; i < s->result.feature_count; i++)
        s->scores[0][i] = 0;
    text = shown_text(s, &o);
    assert_non_null(strstr(text, "every score is 0"));
    memory_free(text);
    memory_free(s);
}

static void test_terminal__regression_has_no_probability(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    s->result.model.problem = "regression";
    s->targets[0].label = "LABEL_0";
    s->targets[0].probability = s->predictions[0].probability = (double)NAN;
    s->checked[0] = (tkr_checked){"ig", "mask", "logit", 9, 2.01, -0.35};
    char *text = shown_text(s, &o);
    assert_int_equal(strncmp(text, "LABEL_0 +2.01 · why?", strlen("LABEL_0 +2.01 · why?")), 0);
    assert_non_null(strstr(text, "logit(LABEL_0) falls from +2.01 to −0.35."));
    memory_free(text);
    memory_free(s);
}

static void test_terminal__contrast_names_both_sides(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    s->targets[0].foil = "NEGATIVE";
    s->targets[0].value = 3.95;
    char *text = shown_text(s, &o);
    assert_non_null(strstr(text, "POSITIVE over NEGATIVE +3.95"));
    assert_non_null(strstr(text, "\"+\" towards \"POSITIVE\" over \"NEGATIVE\", \"−\" the other way"));
    memory_free(text);
    memory_free(s);
}

/* The head and the finding of the first target, as a task words them. */
static void check_words(sample *s, const char *head, const char *sign, const char *finding)
{
    tkr_terminal_options o = tkr_terminal_options_defaults();
    o.width = 200;
    char *text = shown_text(s, &o);
    if (strncmp(text, head, strlen(head)) != 0 || !strstr(text, sign) || !strstr(text, finding))
        fail_msg("wanted \"%s\", \"%s\" and \"%s\" in:\n%s", head, sign, finding, text);
    memory_free(text);
}

static void test_terminal__tokens_are_worded_by_task(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    tkr_target_facts *t = &s->targets[0];
    t->kind = "token";
    t->label = s->predictions[0].label = " Paris";
    t->position = 13; /* where it will stand: after the input's tokens */
    t->probability = s->predictions[0].probability = 0.31;
    t->index = (int64_t)s->predictions[0].index;
    s->result.model.task = TKR_TASK_NEXT_TOKEN;
    check_words(s, "the next token is \" Paris\" (p 0.31) · why?", "\"+\" towards \" Paris\"", "towards \" Paris\" (+2.91)");
    check_words(s, "", "", "Checked: without \"superb\", p(\" Paris\") falls from 0.98 to 0.44.");
    t->position = 2;
    check_words(s, "token 2 is \" Paris\" (p 0.31) · why?", "", "");
    t->position = 13;
    t->chosen_by = "given";
    t->index = 7;
    t->label = " Rome";
    t->probability = 0.02;
    check_words(s, "\" Rome\" as the next token (p 0.02) (the model says \" Paris\" 0.31) · why?", "", "");
    t->foil = " Paris";
    t->value = -2.74;
    check_words(s, "\" Rome\" over \" Paris\" as the next token (logit −2.74)", "\"+\" towards \" Rome\" over \" Paris\"", "");
    t->foil = NULL;
    s->result.model.task = TKR_TASK_MASKED_LM;
    check_words(s, "\" Rome\" for the mask (p 0.02) (the model", "", "");
    t->kind = "mask";
    t->index = (int64_t)s->predictions[0].index;
    check_words(s, "the mask is \" Rome\" (p 0.02) · why?", "", "");
    t->index = -1;
    t->chosen_by = "given";
    check_words(s, "\" Rome\" for the masks (p 0.02) · why?", "", "");
    memory_free(s);
}

static void test_terminal__places_are_worded_by_task(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    tkr_target_facts *t = &s->targets[0];
    s->result.model.task = TKR_TASK_TOKEN_CLASSIFICATION;
    t->position = 10;
    t->label = "B-PER";
    check_words(s, "\"superb\" is B-PER (p 0.98) · why?", "towards \"B-PER\" at \"superb\", ", "hardest towards B-PER at \"superb\" (+2.91)");
    t->chosen_by = "given";
    t->index = 0;
    check_words(s, "B-PER at \"superb\" (p 0.98) (the model says POSITIVE 0.98) · why?", "", "");
    t->chosen_by = "predicted";
    t->kind = "start";
    check_words(s, "the answer starts at \"superb\" (p 0.98) · why?", "towards a start at \"superb\", ", "towards a start at \"superb\" (+");
    t->kind = "end";
    check_words(s, "the answer ends at \"superb\" (p 0.98) · why?", "towards an end at \"superb\", ", "");
    t->kind = "span";
    t->label = "the acting";
    check_words(s, "the answer is \"the acting\" (p 0.98) · why?", "towards the answer \"the acting\", ", "");
    memory_free(s);
}

static void test_terminal__the_sum_over_an_output_is_worded(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    sample_keep_step(s, 4);
    s->targets[0].kind = "output";
    s->targets[0].step = -1;
    s->targets[0].probability = (double)NAN;
    check_words(s, "the output \"Das Haus ist klein.\" (logit +7.00) · why?", "\"+\" towards the output, ",
                "pushes hardest towards the output (+3.20)");
    check_words(s, "", "→  Das  Haus  ist  klein.", ""); /* all of it */
    memory_free(s);
}

static void test_terminal__a_given_output_and_a_cut_one_are_said(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    s->result.output_end = "length";
    check_words(s, "generated: Das Haus ist klein. (cut after 5 tokens: --max-new)\n", "columns: generated tokens", "");
    s->result.output_source = "given";
    s->result.output_end = NULL;
    check_words(s, "output given: Das Haus ist klein.\n", "columns: output tokens", "");
    memory_free(s);
}

static void test_terminal__features_that_cannot_be_removed_are_named(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    for (size_t t = 0; t < 5; t++)
        *sample_cell(s, t, 0) = NAN;
    tkr_terminal_options o = tkr_terminal_options_defaults();
    char *matrix = shown_text(s, &o);
    assert_non_null(strstr(matrix, "\n  translate\n")); /* its row stands, blank */
    assert_non_null(strstr(matrix, "  no score for \"translate\": ig cannot remove it (--removal)\n"));
    sample_keep_step(s, 3);
    for (size_t f = 0; f < 4; f++)
        s->scores[0][f] = NAN;
    char *step = shown_text(s, &o);
    assert_non_null(strstr(step, "no score for \"translate\", \"English\", \"to\" and 1 more: ig cannot remove them"));
    assert_null(strstr(step, "not a number"));
    memory_free(matrix);
    memory_free(step);
    memory_free(s);
}

static void test_terminal__a_matrix_fits_and_hides_nothing(void **state)
{
    static const sample_word words[] = {{"say", 1}, {"\x1b[31mred", 1}, {"日本語", 1}};
    static const sample_word tokens[] = {{"日本", 0.5f}, {"\x1b[2J", 0.2f}, {" ", 0.9f}, {"pneumonoultramicroscopic", 0.4f}, {"\n", 0.5f}};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_init(s, "say \x1b[31mred 日本語", words, 3);
    sample_generate(s, "日本\x1b[2J pneumonoultramicroscopic\n", tokens, 5);
    for (int width = 20; width <= 100; width += 5)
        for (int ascii = 0; ascii < 2; ascii++) {
            tkr_terminal_options o = tkr_terminal_options_defaults();
            o.width = width;
            o.ascii = ascii;
            o.color = TKR_COLOR_24BIT;
            char *text = shown_text(s, &o);
            shown_strip(text); /* fails on any control character */
            shown_widths(text, (size_t)width);
            assert_non_null(strstr(text, "日本"));
            assert_non_null(strstr(text, ascii ? "<ESC>" : "␛"));
            assert_non_null(strstr(text, ascii ? "pneumon..." : "pneumonou…"));
            assert_non_null(strstr(text, "\" \""));
            memory_free(text);
        }
    memory_free(s);
}

static void test_terminal__several_targets_get_a_block_each(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    s->targets[1] = s->targets[0];
    s->targets[1].id = "t1";
    s->targets[1].label = "NEGATIVE";
    s->targets[1].probability = 0.019;
    s->result.target_count = s->target_axis.size = 2;
    for (size_t i = 0; i < s->result.feature_count; i++)
        s->scores[0][s->result.feature_count + i] = -s->scores[0][i];
    s->arrays[0].size *= 2;
    char *text = shown_text(s, &o);
    assert_non_null(strstr(text, "POSITIVE 0.98 · why?"));
    assert_non_null(strstr(text, "\nNEGATIVE 0.02 · why?"));
    assert_non_null(strstr(text, "\"thin\" pushes hardest towards NEGATIVE (+1.87)"));
    assert_null(strstr(text, "f(baseline) −0.80")); /* the figures of one target say nothing about two */
    memory_free(text);
    memory_free(s);
}

static void test_terminal__special_tokens_fold_show_hide(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    char *fold = shown_text(s, &o);
    o.special = TKR_SPECIAL_SHOW;
    char *shown = shown_text(s, &o);
    o.special = TKR_SPECIAL_HIDE;
    char *hidden = shown_text(s, &o);
    assert_non_null(strstr(fold, "special (2)"));
    assert_null(strstr(fold, "[CLS]"));
    assert_non_null(strstr(shown, "  [CLS]  The"));
    assert_non_null(strstr(shown, "[SEP]"));
    assert_null(strstr(hidden, "special (2)"));
    assert_non_null(strstr(hidden, "41%")); /* hiding never rescales */
    memory_free(fold);
    memory_free(shown);
    memory_free(hidden);
    memory_free(s);
}

static void test_terminal__ids_without_text_show_the_pieces(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    s->result.inputs[0] = (result_input){0};
    char *text = shown_text(s, &o);
    assert_non_null(strstr(text, "The  plot  is  thin  ,  but"));
    memory_free(text);
    memory_free(s);
}

static bool refuse(void *user, const char *bytes, size_t count)
{
    (void)user, (void)bytes, (void)count;
    return false;
}

static void test_terminal__a_sink_that_refuses_ends_with_io_write(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_error error = {0};
    sample_plot(s);
    assert_int_equal(tkr_present_terminal(&s->result, NULL, refuse, NULL, &error), TKR_E_IO_WRITE);
    assert_int_equal(tkr_present_terminal(NULL, NULL, refuse, NULL, NULL), TKR_E_USAGE_ARGUMENT);
    memory_free(s);
}

static bool ignore(void *user, const char *bytes, size_t count)
{
    (void)user, (void)bytes, (void)count;
    return true;
}

static void test_terminal__survives_every_failing_allocation(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    sample_add_run(s, "occlusion", true, false, 0.4f);
    uint64_t failures = 0;
    for (uint64_t nth = 1; nth < 10000; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_status status = tkr_present_terminal(&s->result, NULL, ignore, NULL, &error);
        bool reached = memory_allocations() >= nth;
        memory_fail_at(0, 0);
        if (!reached)
            break;
        assert_int_equal(status, TKR_E_LIMIT_OOM);
        failures++;
    }
    assert_true(failures > 10);
    memory_free(s);
}

static void test_terminal__a_matrix_survives_every_failing_allocation(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    uint64_t nth = 1;
    for (bool reached = true; reached && nth < 10000; nth++) {
        tkr_error error = {0};
        memory_fail_at(nth, 0);
        tkr_status status = tkr_present_terminal(&s->result, NULL, ignore, NULL, &error);
        reached = memory_allocations() >= nth;
        memory_fail_at(0, 0);
        assert_int_equal(status, reached ? TKR_E_LIMIT_OOM : TKR_OK);
    }
    assert_true(nth > 10);
    memory_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_terminal__matches_golden_files),
        cmocka_unit_test(test_terminal__matches_golden_files_of_views),
        cmocka_unit_test(test_terminal__matches_golden_files_of_generation),
        cmocka_unit_test(test_terminal__matches_golden_files_of_one_step),
        cmocka_unit_test(test_terminal__no_line_is_wider_than_the_terminal),
        cmocka_unit_test(test_terminal__hostile_text_is_shown_never_obeyed),
        cmocka_unit_test(test_terminal__hostile_text_matches_its_golden_file),
        cmocka_unit_test(test_terminal__a_word_longer_than_the_line_is_cut),
        cmocka_unit_test(test_terminal__says_when_the_check_contradicts_the_method),
        cmocka_unit_test(test_terminal__numbers_that_round_to_nothing_are_0),
        cmocka_unit_test(test_terminal__regression_has_no_probability),
        cmocka_unit_test(test_terminal__contrast_names_both_sides),
        cmocka_unit_test(test_terminal__tokens_are_worded_by_task),
        cmocka_unit_test(test_terminal__places_are_worded_by_task),
        cmocka_unit_test(test_terminal__the_sum_over_an_output_is_worded),
        cmocka_unit_test(test_terminal__a_given_output_and_a_cut_one_are_said),
        cmocka_unit_test(test_terminal__features_that_cannot_be_removed_are_named),
        cmocka_unit_test(test_terminal__a_matrix_fits_and_hides_nothing),
        cmocka_unit_test(test_terminal__several_targets_get_a_block_each),
        cmocka_unit_test(test_terminal__special_tokens_fold_show_hide),
        cmocka_unit_test(test_terminal__ids_without_text_show_the_pieces),
        cmocka_unit_test(test_terminal__a_sink_that_refuses_ends_with_io_write),
        cmocka_unit_test(test_terminal__survives_every_failing_allocation),
        cmocka_unit_test(test_terminal__a_matrix_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
