/*
 * Reading spans.  They come from users and from files, so each is checked against the text and against those before it.
 */
#include "explain/spans.h"

#include <jansson.h>

#include "base/failure.h"
#include "base/json.h"

void span_trim(view text, int64_t *begin, int64_t end)
{
    int64_t at = *begin;
    while (at < end && byte_is_space(text.data[at]))
        at++;
    *begin = at < end ? at : *begin;
}

bool span_has(span s, const question *q, size_t token)
{
    const tkr_token *t = &q->tokens[token];
    int64_t begin = t->begin;
    if (begin < 0 || t->text != 0)
        return false;
    span_trim(q->texts[0], &begin, t->end);
    return begin < s.end && s.begin < t->end;
}

static tkr_status check_span(const span *spans, size_t index, view text, tkr_error *error)
{
    const span s = spans[index];
    if (s.begin < 0 || s.end > (int64_t)text.size)
        return fail(error, TKR_E_INPUT_SPAN, "span %zu [%lld, %lld) leaves the text (%zu bytes)", index, (long long)s.begin,
                    (long long)s.end, text.size);
    if (s.end <= s.begin)
        return fail(error, TKR_E_INPUT_SPAN, "span %zu [%lld, %lld) is empty", index, (long long)s.begin, (long long)s.end);
    for (int end = 0; end < 2; end++) {
        int64_t at = end ? s.end : s.begin;
        if (at < (int64_t)text.size && ((unsigned char)text.data[at] & 0xC0) == 0x80)
            return fail(error, TKR_E_INPUT_SPAN, "span %zu [%lld, %lld) splits a character at byte %lld", index,
                        (long long)s.begin, (long long)s.end, (long long)at);
    }
    for (size_t other = 0; other < index; other++)
        if (spans[other].begin < s.end && s.begin < spans[other].end)
            return fail(error, TKR_E_INPUT_SPAN, "span %zu [%lld, %lld) overlaps span %zu [%lld, %lld)", index,
                        (long long)s.begin, (long long)s.end, other, (long long)spans[other].begin,
                        (long long)spans[other].end);
    return TKR_OK;
}

static tkr_status read_list(const question *q, const json_t *list, span **spans, size_t *count, tkr_error *error)
{
    *count = json_array_size(list);
    if (!json_is_array(list) || *count == 0 || *count > FEATURES_MOST)
        return fail(error, TKR_E_INPUT_SPAN, "spans must be a list of 1 to %d pairs [begin, end] of byte offsets", FEATURES_MOST);
    tkr_status status = TKR_OK;
    *spans = ARENA_NEW(q->arena, span, *count);
    if (!*spans)
        return fail_memory(error, "spans", *count);
    for (size_t i = 0; !status && i < *count; i++) {
        const json_t *pair = json_array_get(list, i), *begin = json_array_get(pair, 0), *end = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_integer(begin) || !json_is_integer(end))
            return fail(error, TKR_E_INPUT_SPAN, "span %zu is not a pair [begin, end] of whole numbers", i);
        (*spans)[i] = (span){json_integer_value(begin), json_integer_value(end)};
        status = check_span(*spans, i, q->texts[0], error);
    }
    return status;
}

tkr_status spans_read(const question *q, view json, const char *field, span **spans, size_t *count, tkr_error *error)
{
    json_t *root = json_parse_any(json, "spans", &json_user_input, JSON_PLAIN, error);
    tkr_status status = root ? read_list(q, json_is_object(root) ? json_object_get(root, "spans") : root, spans, count, error)
                             : error->code;
    json_decref(root);
    if (status)
        fail_field(error, field, -1, 0);
    return status;
}
