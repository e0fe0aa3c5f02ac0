/* The closing table: what it says, on any width, and what CSV says of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/memory.h"
#include "present/shown.h"

static const float ERRORS[] = {0.04f, 0.05f, 0.02f, 0.06f, 0.0004f, 0.05f, 0.03f, 0.05f, 0.06f, 0.08f, 0.02f};

static tkr_terminal_options full_at(int width)
{
    tkr_terminal_options o = tkr_terminal_options_defaults();
    o.width = width;
    o.top = 3;
    o.full_table = true;
    return o;
}

static void test_full_table__matches_golden_files(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = full_at(80), narrow = full_at(40);
    sample_plot(s);
    sample_add_errors(s, 0, ERRORS);
    shown_golden("full-errors.txt", s, &o);
    shown_golden("full-errors-40.txt", s, &narrow);
    narrow.ascii = true;
    shown_golden("full-errors-40-ascii.txt", s, &narrow);
    sample_add_run(s, "gradient", false, false, 0.4f);
    s->scores[0][0] = s->scores[0][4] = NAN; /* what the removal leaves in place */
    shown_golden("full-methods.txt", s, &o);
    sample_house(s);
    o.is_brief = true;
    shown_golden("full-generation.txt", s, &o);
    memory_free(s);
}

static void test_full_table__no_line_is_wider_than_the_terminal(void **state)
{
    static const sample_word words[] = {{"\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE6\x96\x87", -1.5f},
                                        {"a", 0.2f},
                                        {"Donaudampfschifffahrtsgesellschaftskapitaen", 3},
                                        {"\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7", 0},
                                        {"\x1b[31m", 12345.678f}};
    static const float errors[] = {0.25f, 0.1f, 4, 0, 0.001f};
    (void)state;
    sample *s = NEW(sample, 1);
    for (int width = 30; width <= 130; width++) {
        tkr_terminal_options o = full_at(width);
        o.color = width % 2 ? TKR_COLOR_24BIT : TKR_COLOR_NONE;
        o.is_brief = width % 3 == 0;
        o.ascii = width % 5 == 0;
        sample_init(s, "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE6\x96\x87 a Donaudampfschifffahrtsgesellschaftskapitaen "
                       "\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 \x1b[31m", words, 5);
        sample_add_errors(s, 0, errors);
        char *text = shown_text(s, &o);
        shown_strip(text);
        shown_widths(text, (size_t)width);
        assert_non_null(strstr(text, "total overall"));
        memory_free(text);
    }
    memory_free(s);
}

/* Equal magnitudes keep the order of the text. */
static void test_full_table__equal_scores_rank_in_the_order_of_the_text(void **state)
{
    static const sample_word words[] = {{"one", -1}, {"two", 1}, {"three", -1}, {"four", 2}};
    (void)state;
    sample *s = NEW(sample, 1);
    tkr_terminal_options o = full_at(80);
    sample_init(s, "one two three four", words, 4);
    char *text = shown_text(s, &o), *table = strstr(text, "pos  token");
    assert_non_null(table);
    assert_true(strstr(table, "four") < strstr(table, "one"));
    assert_true(strstr(table, "one") < strstr(table, "two"));
    assert_true(strstr(table, "two") < strstr(table, "three"));
    memory_free(text);
    memory_free(s);
}

static char *write_table(sample *s)
{
    buffer b;
    tkr_error error = {0};
    tkr_table_options o = tkr_table_options_defaults();
    o.full_table = true;
    buffer_init(&b, 1 << 24);
    assert_int_equal(tkr_present_table(&s->result, &o, sample_sink, &b, &error), TKR_OK);
    return b.data;
}

static void test_full_table__csv_has_the_same_rows(void **state)
{
    (void)state;
    sample *s = NEW(sample, 1);
    sample_plot(s);
    sample_add_errors(s, 0, ERRORS);
    s->scores[0][6] = NAN;
    sample_add_run(s, "gradient", false, false, 0.5f);
    char *csv = write_table(s);
    assert_int_equal(strncmp(csv, "prompt,row,target,method,i,token,start,end,word,score,stderr,share,special,step,kind,rank,position,id,effect\n", 108), 0);
    const char *first = strstr(csv, "\nin,0,t0,ig,9,superb,36,42,9,2.91,0.08,"), *second = strstr(csv, "\nin,0,t0,ig,3,thin,");
    assert_non_null(first);
    assert_non_null(strstr(first, ",0,,feature,1,10,2009,Helpful\n"));
    assert_true(first < second);
    assert_non_null(strstr(second, ",feature,2,4,2003,Harmful\n"));
    assert_non_null(strstr(csv, ",feature,,7,2006,not removable\n"));
    assert_non_null(strstr(csv, "\nin,0,t0,ig,,,,,,-2.18,,,0,,total,,,,negative\n"));
    assert_non_null(strstr(csv, ",total,,,,overall\n"));
    assert_non_null(strstr(csv, "\nin,0,t0,ig,,,,,,0.02,,"));
    assert_non_null(strstr(csv, ",special,,,,\n"));
    const char *unsigned_rows = strstr(csv, "\nin,0,t0,gradient,9,superb");
    assert_non_null(unsigned_rows);
    assert_null(strstr(unsigned_rows, "Helpful"));
    assert_null(strstr(unsigned_rows, "positive"));
    memory_free(csv);
    memory_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full_table__matches_golden_files),
        cmocka_unit_test(test_full_table__no_line_is_wider_than_the_terminal),
        cmocka_unit_test(test_full_table__equal_scores_rank_in_the_order_of_the_text),
        cmocka_unit_test(test_full_table__csv_has_the_same_rows),
    };
    return cmocka_run_group_tests_name("full_table", tests, NULL, NULL);
}
