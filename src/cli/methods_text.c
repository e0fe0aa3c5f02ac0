/* Joining methods; see methods_text.h. */
#include "cli/methods_text.h"

#include <string.h>
#include <tokray/explain.h>

#include "cli/complaint.h"
#include "cli/heap.h"

/* Long enough for every method's name. */
enum { METHOD_NAME_MOST = 64 };

void methods_text_fini(methods_text *m)
{
    heap_free(m->text);
    heap_free(m->spans);
    *m = (methods_text){0};
}

static void append(methods_text *m, const char *bytes, size_t count, const use *from, size_t at)
{
    while (m->size + count + 1 > m->capacity)
        m->text = heap_grow(m->text, m->capacity, &m->capacity, 1);
    memcpy(m->text + m->size, bytes, count);
    if (from) {
        m->spans = heap_grow(m->spans, m->span_count, &m->span_capacity, sizeof *m->spans);
        m->spans[m->span_count++] = (methods_span){m->size, m->size + count, from, at};
    }
    m->size += count;
    m->text[m->size] = '\0';
}

/* End of the list item at `at`: a comma outside double quotes, or the end. */
static size_t item_end(const char *text, size_t at)
{
    bool quoted = false;
    for (; text[at] && (quoted || text[at] != ','); at++)
        quoted ^= text[at] == '"';
    return at;
}

/* Does an item only add a parameter to the method before it ("rule=mid")? */
static bool is_parameter(const char *item, size_t length)
{
    const char *equals = memchr(item, '=', length), *colon = memchr(item, ':', length);
    return equals && (!colon || colon > equals);
}

static bool takes_baseline(const char *item, size_t length)
{
    char name[METHOD_NAME_MOST];
    size_t end = strcspn(item, ":,");
    end = end > length ? length : end;
    if (end >= sizeof name)
        return false;
    memcpy(name, item, end);
    name[end] = '\0';
    const tkr_method *method = tkr_method_find(name);
    for (const tkr_parameter *p = method ? method->parameters : NULL; p && p->name; p++)
        if (strcmp(p->name, "baseline") == 0)
            return true;
    return false;
}

/* Length of a method with its parameters: items up to the next method. */
static size_t method_length(const char *text)
{
    size_t end = item_end(text, 0);
    while (text[end] == ',') {
        size_t next = item_end(text, end + 1);
        if (!is_parameter(text + end + 1, next - end - 1))
            break;
        end = next;
    }
    return end;
}

/* One -M: its methods one by one, each with the baseline where it takes one and has none. */
static void append_use(methods_text *m, const use *u, const char *value, const use *baseline, bool *used)
{
    for (size_t at = 0;;) {
        size_t length = method_length(value + at);
        if (m->size > 0)
            append(m, ",", 1, NULL, 0);
        append(m, value + at, length, u, at);
        if (baseline && takes_baseline(value + at, length)) {
            const char *begin = memchr(value + at, ':', length) ? ",baseline=" : ":baseline=";
            if (!strstr(m->text + m->size - length, "baseline=")) {
                append(m, begin, strlen(begin), NULL, 0);
                append(m, baseline->value, strlen(baseline->value), baseline, 0);
            }
            *used = true;
        }
        at += length;
        if (!value[at])
            return;
        at++;
    }
}

tkr_status methods_text_init(methods_text *m, const arguments *a, tkr_error *error)
{
    const use *baseline = arguments_find(a, OPTION_BASELINE);
    bool used = false;
    *m = (methods_text){0};
    for (const use *u = arguments_next(a, OPTION_METHOD, NULL); u; u = arguments_next(a, OPTION_METHOD, u))
        append_use(m, u, u->value, baseline, &used);
    if (m->size == 0 && baseline)
        append_use(m, NULL, "ig", baseline, &used);
    if (!baseline || used)
        return TKR_OK;
    complain(error, TKR_E_USAGE_CONFLICT, "--baseline and %s exclude each other: no method there takes a baseline", SHOWN(m->text));
    complain_help(error, "-M ig --baseline %s", baseline->value);
    return error->code;
}

const use *methods_text_find(const methods_text *m, size_t offset, size_t *at)
{
    for (size_t i = 0; i < m->span_count; i++)
        if (offset >= m->spans[i].begin && offset < m->spans[i].end) {
            *at = m->spans[i].from + offset - m->spans[i].begin;
            return m->spans[i].use;
        }
    return NULL;
}
