/*
 * The catalogue of bad model folders once more, through the built program: each ends with its exit code and exactly one
 * error message within a second, shows nothing on standard output, and leaves nothing behind.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "bad/cases.h"
#include "cli/program.h"

static size_t count_of(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part))
        count++;
    return count;
}

/* No byte of a control character but the line break. */
static bool is_safe(const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++)
        if ((*c < 0x20 && *c != '\n') || *c == 0x7f)
            return false;
    return true;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECONDS_ALLOWED 8.0
#else
#define SECONDS_ALLOWED 1.0
#endif

/* Processor time of all children so far: what the machine does besides does not count. */
static double children_seconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1e-6 * (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

/* is_last: a run that took too long is an error, not a reason to try again. */
static bool expect_end(const bad_case *c, const bad_place *place, bool is_last)
{
    const char *task = bad_case_wants_classification(c) ? "--task=sequence-classification" : "--no-hints";
    double begun = children_seconds();
    run_result r = RUN("explain", "-m", place->path, task, "-M", "gxi", "the plot is thin");
    double seconds = children_seconds() - begun;
    int wanted = tkr_status_exit_code(c->status);
    bool is_refused = c->status != TKR_OK;
    const char *wrong = r.code != wanted && is_refused                                    ? "exit code"
                        : is_refused && count_of(r.err, "error: ") != 1                   ? "number of error messages"
                        : is_refused && r.out_size > 0                                    ? "standard output"
                        : !is_safe(r.err)                                                 ? "raw control bytes"
                        : is_refused && strlen(c->pattern) && !strstr(r.err, c->pattern)  ? "message"
                        : c->number == 88 && !strstr(r.err, "--external CMD explains any model") ? "help"
                        : seconds > SECONDS_ALLOWED * (c->number == 69 ? 3 : 1)                                                 ? "time"
                                                                                          : NULL;
    if (wrong && (is_last || strcmp(wrong, "time") != 0))
        print_error("case %d %s(%s): %s: wanted exit %d \"%s\", got %d after %.2f s\n%s\n", c->number, c->name, c->text, wrong, wanted,
                    c->pattern, r.code, seconds, r.err);
    run_free(&r);
    return wrong == NULL;
}

static void test_cli_catalogue__every_bad_folder_ends_as_listed(void **state)
{
    (void)state;
    size_t tried = 0, failed = 0;
    for (size_t i = 0; bad_case_at(i); i++) {
        const bad_case *c = bad_case_at(i);
        bad_place place;
        if ((bad_case_wants_plain_user(c) && geteuid() == 0) || !bad_case_build(c, &place))
            continue;
        size_t before = work_count(place.root);
        failed += !expect_end(c, &place, false) && !expect_end(c, &place, false) && !expect_end(c, &place, true);
        assert_int_equal(work_count(place.root), before);
        assert_true(bad_place_remove(&place));
        tried++;
    }
    assert_true(tried > 80);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cli_catalogue__every_bad_folder_ends_as_listed)};
    return cmocka_run_group_tests_name("cli_catalogue", tests, NULL, NULL);
}
