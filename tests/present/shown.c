/* Showing samples and comparing with golden files; see shown.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "present/shown.h"
#include "support/workplace.h"

char *shown_text(sample *s, const tkr_terminal_options *options)
{
    buffer b;
    tkr_error error = {0};
    buffer_init(&b, 1 << 24);
    assert_int_equal(tkr_present_terminal(&s->result, options, sample_sink, &b, &error), TKR_OK);
    assert_true(buffer_ok(&b));
    return b.data; /* freed with memory_free */
}

static const char *golden_folder(void)
{
    static char path[WORK_PATH];
    const char *data = getenv("TOKRAY_TEST_DATA");
    snprintf(path, sizeof path, "%s/present/golden", data ? data : "tests");
    if (data)
        snprintf(path, sizeof path, "%s/../present/golden", data);
    return path;
}

void shown_golden(const char *name, sample *s, const tkr_terminal_options *options)
{
    char *got = shown_text(s, options);
    if (getenv("TOKRAY_UPDATE_GOLDEN")) {
        assert_true(work_write_text(golden_folder(), name, got));
    } else {
        size_t size = 0;
        char *want = work_read(golden_folder(), name, &size);
        if (!want)
            fail_msg("no golden file %s in %s", name, golden_folder());
        if (strcmp(want, got) != 0)
            fail_msg("%s differs; wanted:\n%s\ngot:\n%s", name, want, got);
        free(want);
    }
    memory_free(got);
}

void shown_strip(char *text)
{
    char *to = text;
    for (char *from = text; *from;) {
        if (*from == '\x1b') {
            assert_int_equal(from[1], '[');
            from += 2 + strspn(from + 2, "0123456789;");
            assert_int_equal(*from++, 'm');
            continue;
        }
        assert_true((unsigned char)*from >= 0x20 || *from == '\n');
        assert_int_not_equal(*from, 0x7F);
        *to++ = *from++;
    }
    *to = '\0';
}

void shown_widths(const char *text, size_t width)
{
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        size_t columns = tkr_columns(line, length);
        if (columns > width)
            fail_msg("%zu columns, %zu allowed: %.*s", columns, width, (int)length, line);
        line += length + (line[length] == '\n');
    }
}
