/* Ten thousand explanations in one process: what is held, the peak and the process's own size stay where they were. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "explain/made.h"

enum { EXPLANATIONS = 10000, WARM_UP = 200, RESIDENT_MOST = 4 << 20 };

/* Resident bytes of this process; 0 where the system does not say, and under a sanitizer, which keeps what is freed. */
static size_t resident(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 0;
#endif
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, pages = 0;
    if (!f)
        return 0;
    if (fscanf(f, "%lu %lu", &all, &pages) != 2)
        pages = 0;
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void test_endurance__memory_stays_flat(void **state)
{
    (void)state;
    static const char *const methods[] = {
        "gradient",          "gxi",
        "ig:steps=2",        "ig:steps=2,baseline=mean+zero",
        "smoothgrad:draws=3", "smoothgrad:draws=3,kind=vargrad",
        "occlusion",         "expected-gradients:draws=3",
        "attnlrp",           "sequential-ig:steps=2"};
    enum { METHODS = sizeof methods / sizeof *methods };
    model_recipe recipe = made_recipe("distilbert", MADE_CLASSIFIER, 6);
    recipe.layers = 1;
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = 1;
    made m = made_open(&recipe, &options);
    char *text = made_text(&m, 3, 1);
    tkr_question q = tkr_question_defaults();
    q.text = text;
    uint64_t held = 0, peak = 0;
    size_t size = 0;
    for (size_t i = 0; i < EXPLANATIONS; i++) {
        if (i == WARM_UP) {
            held = tkr_memory_now();
            peak = tkr_memory_peak();
            size = resident();
        }
        tkr_result_free(made_explain(&m, &q, methods[i % METHODS]));
    }
    assert_int_equal(tkr_memory_now(), held);
    assert_int_equal(tkr_memory_peak(), peak);
    if (resident() > size + RESIDENT_MOST)
        fail_msg("the process grew from %d to %d KiB", (int)(size >> 10), (int)(resident() >> 10));
    free(text);
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_endurance__memory_stays_flat)};
    return cmocka_run_group_tests_name("endurance", tests, NULL, NULL);
}
