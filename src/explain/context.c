/*
 * Fixed context: parts of the input that are there in every variant and get no score, such as a question's wording in front of
 * the text that is judged.  A token is context when any byte of it is named.
 */
#include "base/failure.h"
#include "explain/spans.h"

static tkr_status fail_context(const question *q, tkr_error *error)
{
    fail_field(error, "context", 0, (int64_t)strlen(q->asked->context));
    return error->code;
}

static tkr_status refuse_kind(const question *q, tkr_error *error)
{
    fail(error, TKR_E_USAGE_VALUE, "no fixed context %s; spans:[[begin,end],...], text:\"...\", first or pair",
         QUOTE(view_of(q->asked->context)));
    return fail_context(q, error);
}

/* One of two texts. */
static tkr_status fix_whole(question *q, int32_t text, tkr_error *error)
{
    if (!q->texts[1].data) {
        fail(error, TKR_E_USAGE_CONFLICT, "the fixed context is the %s of two texts, and there is one", text ? "second" : "first");
        return fail_context(q, error);
    }
    for (size_t i = 0; i < q->input_length; i++)
        q->is_context[i] = q->tokens[i].text == text;
    return TKR_OK;
}

static tkr_status fix_spans(question *q, view json, tkr_error *error)
{
    span *spans = NULL;
    size_t count = 0;
    tkr_status status = spans_read(q, json, "context", &spans, &count, error);
    for (size_t i = 0; !status && i < q->input_length; i++)
        for (size_t s = 0; s < count; s++)
            q->is_context[i] = q->is_context[i] || span_has(spans[s], q, i);
    return status;
}

/* Tokens of one text with a byte in [begin, end); tokens are in the order of their text. */
static void fix_stretch(question *q, int32_t text, int64_t begin, int64_t end)
{
    for (size_t i = 0; i < q->input_length; i++) {
        const tkr_token *t = &q->tokens[i];
        int64_t from = t->begin;
        if (t->text != text || from < 0)
            continue;
        span_trim(q->texts[text], &from, t->end);
        q->is_context[i] = q->is_context[i] || (from < end && begin < t->end);
    }
}

/* Every place where both texts say these words. */
static tkr_status fix_words(question *q, view words, tkr_error *error)
{
    size_t found = 0;
    if (words.size >= 2 && words.data[0] == '"' && words.data[words.size - 1] == '"')
        words = view_slice(words, 1, words.size - 1);
    for (int32_t text = 0; words.size > 0 && text < 2; text++)
        for (size_t at = 0; at + words.size <= q->texts[text].size; at++) {
            if (!view_begins(view_slice(q->texts[text], at, q->texts[text].size), words))
                continue;
            fix_stretch(q, text, (int64_t)at, (int64_t)(at + words.size));
            at += words.size - 1;
            found++;
        }
    if (found > 0)
        return TKR_OK;
    fail(error, TKR_E_INPUT_SPAN, "the fixed context %s is nowhere in the input", QUOTE(words));
    fail_help(error, "text:\"...\" with words as they are written there");
    return fail_context(q, error);
}

tkr_status context_find(question *q, tkr_error *error)
{
    if (!q->asked->context)
        return TKR_OK;
    view kind = view_of(q->asked->context);
    q->is_context = ARENA_NEW(q->arena, bool, q->length);
    if (!q->is_context)
        return fail_memory(error, "the fixed context", q->length);
    if (!q->has_text) {
        fail(error, TKR_E_USAGE_CONFLICT, "a fixed context needs a text; ids have none");
        return fail_context(q, error);
    }
    if (view_begins(kind, VIEW("spans:")))
        return fix_spans(q, view_slice(kind, 6, kind.size), error);
    if (view_begins(kind, VIEW("text:")))
        return fix_words(q, view_slice(kind, 5, kind.size), error);
    if (view_is(kind, "first") || view_is(kind, "pair"))
        return fix_whole(q, view_is(kind, "pair"), error);
    return refuse_kind(q, error);
}
