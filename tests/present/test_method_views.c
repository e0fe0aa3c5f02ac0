/* What methods say beside plain scores: standard errors, pairs, sets, details, fixed context. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "present/shown.h"

static const float ERRORS[] = {0.04f, 0.05f, 0.02f, 0.06f, 0.0004f, 0.05f, 0.03f, 0.05f, 0.06f, 0.08f, 0.02f};
static const char *const REMOVED[] = {"found", "size", "proven", "answer", "value"};
static const char *const KEPT[] = {"found", "size", "share", "low", "high"};

static void expect(sample *s, const tkr_terminal_options *o, const char *part)
{
    char *text = shown_text(s, o);
    if (!strstr(text, part))
        fail_msg("no \"%s\" in:\n%s", part, text);
    memory_free(text);
}

static void expect_not(sample *s, const tkr_terminal_options *o, const char *part)
{
    char *text = shown_text(s, o);
    if (strstr(text, part))
        fail_msg("\"%s\" in:\n%s", part, text);
    memory_free(text);
}

static void test_method_views__errors_stand_beside_their_scores(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    sample_add_errors(s, 0, ERRORS);
    shown_golden("errors.txt", s, &o);
    o.width = 40;
    shown_golden("errors-40.txt", s, &o);
    o.width = 80;
    o.ascii = o.is_brief = true;
    shown_golden("errors-brief-ascii.txt", s, &o);
    memory_free(s);
}

static void test_method_views__uncertain_signs_enter_no_sentence(void **state)
{
    float errors[11];
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    memcpy(errors, ERRORS, sizeof errors);
    errors[9] = 2; /* "superb" +2.91 may be anything */
    sample_add_errors(s, 0, errors);
    s->result.checked_count = 0;
    expect(s, &o, "\"but\" pushes hardest towards");
    memcpy(s->more_data[0], (float[11]){9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}, sizeof errors);
    expect(s, &o, "No score is two standard errors from 0.");
    memory_free(s);
}

static void test_method_views__a_run_tells_its_details_and_costs(void **state)
{
    static const char *const names[] = {"intercept", "weighted_r2", "pairs", "exact"};
    static const float values[] = {-0.25f, 0.831f, 1200, 1};
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_plot(s);
    sample_add_details(s, 0, names, values, 4);
    expect(s, &o, "  intercept −0.250 · weighted R² 0.83 · 1,200 pairs · exact\n");
    s->more_data[0][3] = 0;
    s->more_data[0][0] = NAN;
    sample_add_errors(s, 0, ERRORS);
    o.ascii = true;
    expect(s, &o, "  weighted R2 0.83 - 1,200 pairs - 34 evaluations - +/-: one standard error\n");
    s->arrays[0].unit = "probability";
    expect(s, &o, ", probability, words\n");
    memory_free(s);
}

static void fill_pairs(float pairs[16], float errors[16])
{
    static const float upper[4][4] = {{0.1f, 1.91f, -0.19f, 0}, {0, -0.6f, 0.02f, 0.001f}, {0, 0, 0.3f, -0.5f}, {0, 0, 0, 0.05f}};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 4; j++) {
            pairs[4 * i + j] = i <= j ? upper[i][j] : upper[j][i];
            errors[4 * i + j] = 0.02f;
        }
}

static void make_pairs(sample *s, bool sampled)
{
    static const sample_word words[] = {{"Not", 1.2f}, {"bad", 0.54f}, {"film", 0.08f}, {".", 0.02f}};
    float pairs[16], errors[16];
    fill_pairs(pairs, errors);
    sample_init(s, "Not bad film.", words, 4);
    sample_add_pairs(s, 0, pairs, sampled ? errors : NULL);
}

static void test_method_views__pairs_are_a_list_and_a_matrix(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    make_pairs(s, true);
    shown_golden("pairs.txt", s, &o);
    o.width = 40;
    shown_golden("pairs-40.txt", s, &o);
    o.is_brief = true;
    o.top = 2;
    expect_not(s, &o, "on the diagonal");
    expect(s, &o, "  4 more pairs\n");
    make_pairs(s, false);
    o = tkr_terminal_options_defaults();
    o.color = TKR_COLOR_24BIT;
    expect_not(s, &o, "±");
    memory_free(s);
}

static void test_method_views__pairs_are_rows_of_the_table(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    buffer b;
    tkr_error error = {0};
    make_pairs(s, true);
    buffer_init(&b, 1 << 20);
    assert_int_equal(tkr_present_table(&s->result, NULL, sample_sink, &b, &error), TKR_OK);
    assert_non_null(strstr(b.data, ",special,step,j,token_j\n"));
    assert_non_null(strstr(b.data, "\nin,0,t0,ig,0,Not,0,3,0,1.2,,"));
    assert_non_null(strstr(b.data, "\nin,0,t0,ig,0,Not,0,3,0,1.91,0.02,,0,,1,bad\n"));
    assert_non_null(strstr(b.data, "\nin,0,t0,ig,2,film,8,12,2,-0.5,0.02,,0,,3,.\n"));
    size_t lines = 0;
    for (const char *at = b.data; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 1 + 4 + 1 + 10); /* names, features, special, pairs i <= j */
    buffer_fini(&b);
    memory_free(s);
}

static void test_method_views__a_set_is_a_sentence(void **state)
{
    static const size_t two[] = {3, 9}, one[] = {9};
    static const float removed[] = {1, 2, 1, 0, -0.5f}, kept[] = {1, 1, 0.97f, 0.93f, 0.99f}, none[] = {0, NAN, 0, NAN, NAN};
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults(), narrow = o, painted = o;
    narrow.width = 40;
    narrow.ascii = true;
    painted.color = TKR_COLOR_24BIT;
    sample_plot(s);
    sample_make_set(s, "counterfactual", two, 2, REMOVED, removed, 5);
    shown_golden("set-removed.txt", s, &o);
    shown_golden("set-removed-40-ascii.txt", s, &narrow);
    shown_golden("set-removed-24bit.txt", s, &painted);
    s->more_data[0][2] = 0;
    expect(s, &o, "a smaller set is possible.");
    sample_plot(s);
    sample_make_set(s, "sufficient", one, 1, KEPT, kept, 5);
    s->parameters[0] = (result_parameter){"draws", "200"};
    s->runs[0].parameters = s->parameters;
    s->runs[0].parameter_count = 1;
    shown_golden("set-kept.txt", s, &o);
    sample_plot(s);
    sample_make_set(s, "counterfactual", NULL, 0, REMOVED, none, 5);
    expect(s, &o, "  No set of words was found whose removal changes the answer, in 57 evaluations.\n");
    sample_plot(s);
    sample_make_set(s, "sufficient", NULL, 0, KEPT, none, 5);
    expect(s, &o, "No set of words was found that keeps POSITIVE often enough, in 57");
    o.style = TKR_STYLE_PLAIN;
    expect(s, &o, "nothing\n");
    memory_free(s);
}

static void test_method_views__fixed_context_is_dim_and_no_feature(void **state)
{
    static const sample_word words[] = {{"Review:", 0}, {"dull", -1}};
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = tkr_terminal_options_defaults();
    sample_init(s, "Review: dull", words, 2);
    s->result.context = "text:\"Review:\"";
    s->tokens[1].is_context = true; /* and its feature is the other word alone */
    s->tokens[1].feature = SIZE_MAX;
    s->features[0] = s->features[1];
    s->scores[0][0] = -1;
    s->result.feature_count = s->feature_axis.size = 1;
    s->arrays[0].size = 1;
    o.color = TKR_COLOR_24BIT;
    expect(s, &o, "\x1b[2mReview:\x1b[0m");
    expect(s, &o, "special, fixed (2)");
    memory_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_method_views__errors_stand_beside_their_scores),
        cmocka_unit_test(test_method_views__uncertain_signs_enter_no_sentence),
        cmocka_unit_test(test_method_views__a_run_tells_its_details_and_costs),
        cmocka_unit_test(test_method_views__pairs_are_a_list_and_a_matrix),
        cmocka_unit_test(test_method_views__pairs_are_rows_of_the_table),
        cmocka_unit_test(test_method_views__a_set_is_a_sentence),
        cmocka_unit_test(test_method_views__fixed_context_is_dim_and_no_feature),
    };
    return cmocka_run_group_tests_name("method_views", tests, NULL, NULL);
}
