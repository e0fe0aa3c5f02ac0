/* CSV and TSV: one row a number, quoting, escapes, formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <tokray/present.h>

#include "base/memory.h"
#include "present/sample.h"

static char *write_table(sample *s, bool tabs, bool safe)
{
    buffer b;
    tkr_error error = {0};
    tkr_table_options o = tkr_table_options_defaults();
    o.tab_separated = tabs;
    o.spreadsheet_safe = safe;
    buffer_init(&b, 1 << 24);
    assert_int_equal(tkr_present_table(&s->result, &o, sample_sink, &b, &error), TKR_OK);
    return b.data;
}

static void test_table_result__one_row_a_number(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    char *csv = write_table(s, false, false);
    assert_int_equal(strncmp(csv, "prompt,row,target,method,i,token,start,end,word,score,stderr,share,special,step\n", 80), 0);
    assert_non_null(strstr(csv, "\nin,0,t0,ig,0,The,0,3,0,0.05,,"));
    assert_non_null(strstr(csv, "\nin,0,t0,ig,4,\",\",16,17,4,0.09,,"));
    assert_non_null(strstr(csv, "\nin,0,t0,ig,,,,,,0.02,,")); /* what the special tokens got */
    size_t lines = 0;
    for (const char *at = csv; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 1 + 11 + 1);
    memory_free(csv);
    memory_free(s);
}

static void test_table_result__quotes_and_escapes(void **state)
{
    static const sample_word words[] = {{"say \"hi\",\nyou", 1}, {"a\tb\\c", 2}, {"\x1b[31m", 3}, {"=cmd()", 4}};
    (void)state;
    sample *s = NEW(sample, 1);
    sample_init(s, "say \"hi\",\nyou a\tb\\c \x1b[31m =cmd()", words, 4);
    char *csv = write_table(s, false, false), *tsv = write_table(s, true, false), *safe = write_table(s, false, true);
    assert_non_null(strstr(csv, ",\"say \"\"hi\"\",\nyou\","));
    assert_non_null(strstr(csv, ",\"a\tb\\c\","));
    assert_non_null(strstr(csv, ",\\x1B[31m,"));
    assert_non_null(strstr(csv, ",=cmd(),"));
    assert_non_null(strstr(tsv, "\tsay \"hi\",\\nyou\t"));
    assert_non_null(strstr(tsv, "\ta\\tb\\\\c\t"));
    assert_non_null(strstr(tsv, "\t\\\\x1B[31m\t"));
    assert_non_null(strstr(safe, ",'=cmd(),"));
    assert_null(strchr(csv, '\x1b'));
    memory_free(csv);
    memory_free(tsv);
    memory_free(safe);
    memory_free(s);
}

static void test_table_result__several_methods_follow_each_other(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    sample_add_run(s, "occlusion", true, false, 0.5f);
    char *csv = write_table(s, false, false);
    assert_non_null(strstr(csv, "\nin,0,t0,occlusion,9,superb,36,42,9,1.455,,"));
    memory_free(csv);
    memory_free(s);
}

static void test_table_result__steps_have_rows_and_no_score_for_later_outputs(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_house(s);
    char *csv = write_table(s, false, false);
    assert_non_null(strstr(csv, "\nin,0,t0,ig,4,The,29,32,4,4.1,,"));
    assert_non_null(strstr(csv, "\nout,0,t4,ig,11,\" klein\",12,18,3,-1.5,,"));
    assert_non_null(strstr(csv, "\nout,0,t0,ig,11,\" klein\",12,18,3,,,,0,0\n")); /* step 0 knows nothing of it */
    assert_non_null(strstr(csv, ",0,4\n"));                                     /* special 0, step 4 */
    size_t lines = 0;
    for (const char *at = csv; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 1 + 5 * 13 + 1);
    memory_free(csv);
    memory_free(s);
}

static void test_table_result__other_arrays_are_listed_by_index(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    s->result.run_count = 0;
    char *csv = write_table(s, false, false);
    assert_int_equal(strncmp(csv, "array,i0,i1,i2,i3,value\nig.scores,0,0,,,0.05\nig.scores,0,1,,,-0.31\n", 66), 0);
    memory_free(csv);
    memory_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_result__one_row_a_number),
        cmocka_unit_test(test_table_result__quotes_and_escapes),
        cmocka_unit_test(test_table_result__several_methods_follow_each_other),
        cmocka_unit_test(test_table_result__steps_have_rows_and_no_score_for_later_outputs),
        cmocka_unit_test(test_table_result__other_arrays_are_listed_by_index),
    };
    return cmocka_run_group_tests_name("table_result", tests, NULL, NULL);
}
