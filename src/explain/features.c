/*
 * Features: which tokens are scored and removed together.
 *
 * Template tokens, special tokens that the user wrote ([MASK], [SEP]) and fixed context are never features and never removed; an
 * unknown word is one.  Words are the pre-tokenizer's pieces, parted at white space; sentences end after . ! ? (and closing marks)
 * before white space; lines at line breaks; spans are given as JSON pairs of byte offsets and need not cover the text.
 */
#include "base/failure.h"
#include "explain/spans.h"

static const uint32_t NO_FEATURE = UINT32_MAX;

/* Some decoders have one token for unknown, begin and end: that is no word. */
static bool is_only_unknown(const question *q, int32_t id)
{
    static const tkr_special others[] = {TKR_SPECIAL_CLS, TKR_SPECIAL_SEP, TKR_SPECIAL_PAD, TKR_SPECIAL_BOS, TKR_SPECIAL_EOS};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (tokenizer_role_id(q->model->tokenizer, others[i]) == id)
            return false;
    return true;
}

/* Are the tokens behind the input earlier outputs, or only part of a target? */
static bool outputs_are_players(const question *q)
{
    return !q->asked->prompt_only && !(view_is(view_of(q->a.kind), "token") && q->a.position < 0);
}

static bool is_player(const question *q, size_t i)
{
    const tkr_token *t = &q->tokens[i];
    if (t->is_template || (q->is_context && q->is_context[i]) || (i >= q->input_length && !outputs_are_players(q)))
        return false;
    return t->special == TKR_SPECIAL_NONE || (t->special == TKR_SPECIAL_UNK && is_only_unknown(q, t->id));
}

/* Which text a token belongs to; input ids are one text without bytes. */
static int32_t text_of(const question *q, size_t i) { return q->tokens[i].text < 0 ? 0 : q->tokens[i].text; }

/* Were input and output given as text?  Outputs always have one. */
static bool has_bytes(const question *q, size_t i) { return q->tokens[i].begin >= 0; }

/* ---- grouping: feature_of[i] becomes a group number, in text order ---- */

static size_t group_tokens(question *q)
{
    uint32_t count = 0;
    for (size_t i = 0; i < q->length; i++)
        if (is_player(q, i))
            q->feature_of[i] = count++;
    return count;
}

/* Is there white space between what bytes [begin, end) already say and byte `at`, or first thing there? */
static bool is_parted(view text, int64_t begin, int64_t end, int64_t at)
{
    while (begin < end && byte_is_space(text.data[begin]))
        begin++;
    if (begin >= end)
        return false;
    while (end > begin && byte_is_space(text.data[end - 1]))
        end--;
    for (; end < at; end++)
        if (byte_is_space(text.data[end]))
            return true;
    return at < (int64_t)text.size && byte_is_space(text.data[at]);
}

/* Does token i go on with the word that token `first` began?  Some tokenizers have no pre-tokenizer and call a whole text one
 * word: white space parts it all the same.  Without a text, a piece that begins with "##" goes on. */
bool question_continues_word(const question *q, size_t first, size_t i)
{
    const tkr_token *now = &q->tokens[i], *before = &q->tokens[i - 1];
    if (!has_bytes(q, i) && !has_bytes(q, i - 1))
        return view_begins(view_of(now->raw), VIEW("##"));
    bool is_same = now->text == before->text && now->word == before->word && now->word >= 0;
    return is_same && !is_parted(q->texts[text_of(q, i)], q->tokens[first].begin, before->end, now->begin);
}

static size_t group_words(question *q)
{
    uint32_t count = 0;
    size_t first = 0;
    for (size_t i = 0; i < q->length; i++) {
        if (!is_player(q, i))
            continue;
        bool joins = i > 0 && is_player(q, i - 1) && question_continues_word(q, first, i);
        first = joins ? first : i;
        q->feature_of[i] = joins ? q->feature_of[i - 1] : count++;
    }
    return count;
}

static bool closes(char c) { return c == '"' || c == '\'' || c == ')' || c == ']'; }

/* End of the sentence that begins at `at`: after . ! ? and closing marks, when white space or the end follows. */
static size_t sentence_end(view text, size_t at)
{
    for (; at < text.size; at++) {
        if (text.data[at] != '.' && text.data[at] != '!' && text.data[at] != '?')
            continue;
        size_t end = at + 1;
        while (end < text.size && closes(text.data[end]))
            end++;
        if (end == text.size || byte_is_space(text.data[end]))
            return end;
    }
    return text.size;
}

static size_t line_end(view text, size_t at)
{
    while (at < text.size && text.data[at] != '\n')
        at++;
    return at < text.size ? at + 1 : at;
}

/* Group tokens of both texts by where a stretch that begins somewhere ends. */
static size_t group_stretches(question *q, size_t (*end_of)(view text, size_t at))
{
    uint32_t count = 0;
    int32_t text = -1;
    size_t end = 0;
    bool is_open = false;
    for (size_t i = 0; i < q->length; i++) {
        if (!is_player(q, i))
            continue;
        size_t begin = (size_t)q->tokens[i].begin;
        if (!is_open || text_of(q, i) != text || begin >= end) {
            text = text_of(q, i);
            end = end_of(q->texts[text], begin);
            count++;
            is_open = true;
        }
        q->feature_of[i] = count - 1;
    }
    return count;
}

/* A token belongs to the first span it shares a byte with; spans without tokens vanish. */
static tkr_status group_spans(question *q, view json, size_t *count, tkr_error *error)
{
    span *spans = NULL;
    size_t span_count = 0;
    tkr_status status = spans_read(q, json, "features", &spans, &span_count, error);
    if (status)
        return status;
    uint32_t *number = ARENA_NEW(q->arena, uint32_t, span_count);
    if (!number)
        return fail_memory(error, "spans", span_count);
    *count = 0;
    for (size_t i = 0; i < q->length; i++) {
        if (!is_player(q, i))
            continue;
        for (size_t s = 0; s < span_count; s++)
            if (span_has(spans[s], q, i)) {
                if (number[s] == 0)
                    number[s] = (uint32_t)++*count;
                q->feature_of[i] = number[s] - 1;
                break;
            }
    }
    return TKR_OK;
}

/* ---- from group numbers to features ---- */

/* The user's bytes from the first to the last member; for ids the vocabulary entries. */
static void describe(question *q, feature *f)
{
    size_t first = f->members[0], last = f->members[f->count - 1];
    f->begin = f->end = -1;
    f->text = text_of(q, first);
    if (has_bytes(q, first)) {
        f->begin = q->tokens[first].begin;
        f->end = q->tokens[last].end;
        if (f->end < f->begin)
            f->end = f->begin;
        span_trim(q->texts[f->text], &f->begin, f->end);
        f->label = view_slice(q->texts[f->text], (size_t)f->begin, (size_t)f->end);
        return;
    }
    buffer joined;
    buffer_init(&joined, 1 << 16);
    for (size_t m = 0; m < f->count; m++) {
        view v = view_of(q->tokens[f->members[m]].raw);
        buffer_view(&joined, m > 0 && view_begins(v, VIEW("##")) ? view_slice(v, 2, v.size) : v);
    }
    char *label = arena_copy_text(q->arena, buffer_as_view(&joined));
    f->label = view_of(label ? label : "");
    buffer_fini(&joined);
}

/* Members by counting: one feature's after the other's, ascending. */
static tkr_status collect(question *q, size_t count, tkr_error *error)
{
    q->features = ARENA_NEW(q->arena, feature, count);
    uint32_t *members = ARENA_NEW(q->arena, uint32_t, q->length), **next = ARENA_NEW(q->arena, uint32_t *, count);
    if (!q->features || !members || !next)
        return fail_memory(error, "features", count);
    q->feature_count = count;
    for (size_t i = 0; i < q->length; i++)
        if (q->feature_of[i] != NO_FEATURE)
            q->features[q->feature_of[i]].count++;
    for (size_t f = 0; f < count; f++) {
        q->features[f].members = next[f] = members;
        members += q->features[f].count;
    }
    for (size_t i = 0; i < q->length; i++)
        if (q->feature_of[i] != NO_FEATURE)
            *next[q->feature_of[i]]++ = (uint32_t)i;
    for (size_t f = 0; f < count; f++)
        describe(q, &q->features[f]);
    return arena_failed(q->arena) ? fail_memory(error, "features", count) : TKR_OK;
}

static tkr_status needs_text(const question *q, const char *kind, tkr_error *error)
{
    if (q->has_text)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CONFLICT, "features %s need a text; ids have tokens and words", kind);
    fail_field(error, "features", -1, 0);
    return error->code;
}

static tkr_status group(question *q, view kind, size_t *count, tkr_error *error)
{
    tkr_status status = TKR_OK;
    if (view_is(kind, "words")) {
        q->feature_kind = "words";
        *count = group_words(q);
    } else if (view_is(kind, "tokens")) {
        q->feature_kind = "tokens";
        *count = group_tokens(q);
    } else if (view_is(kind, "sentences") || view_is(kind, "lines")) {
        bool sentences = view_is(kind, "sentences");
        q->feature_kind = sentences ? "sentences" : "lines";
        if (!(status = needs_text(q, q->feature_kind, error)))
            *count = group_stretches(q, sentences ? sentence_end : line_end);
    } else if (view_begins(kind, VIEW("spans:"))) {
        q->feature_kind = "spans";
        if (!(status = needs_text(q, "spans", error)))
            status = group_spans(q, view_slice(kind, 6, kind.size), count, error);
    } else {
        fail(error, TKR_E_USAGE_VALUE, "no features %s; words, tokens, sentences, lines or spans:[[begin,end],...]", QUOTE(kind));
        fail_field(error, "features", 0, (int64_t)kind.size);
        status = error->code;
    }
    return status;
}

/* Nothing but white space: byte-level tokenizers make tokens of it too. */
static bool is_blank(const question *q)
{
    for (int32_t text = 0; text < 2; text++)
        for (size_t i = 0; i < q->texts[text].size; i++)
            if (!byte_is_space(q->texts[text].data[i]))
                return false;
    return q->has_text;
}

tkr_status features_find(question *q, tkr_error *error)
{
    view kind = view_of(q->asked->features ? q->asked->features : "words");
    q->feature_of = ARENA_NEW(q->arena, uint32_t, q->length);
    if (!q->feature_of)
        return fail_memory(error, "features", q->length);
    for (size_t i = 0; i < q->length; i++)
        q->feature_of[i] = NO_FEATURE;
    size_t count = 0;
    tkr_status status = context_find(q, error);
    if (!status)
        status = group(q, kind, &count, error);
    if (status)
        return status;
    if (count == 0 && q->is_context) {
        fail(error, TKR_E_INPUT_EMPTY, "everything is fixed context: no token is left to explain");
        fail_field(error, "context", -1, 0);
        return error->code;
    }
    if (count == 0 || is_blank(q))
        return fail(error, TKR_E_INPUT_EMPTY, "the text has no token to explain");
    if (count > FEATURES_MOST)
        return fail(error, TKR_E_LIMIT_FEATURES, "the text has %zu %s; at most %d are explained at once", count,
                    q->feature_kind, FEATURES_MOST);
    return collect(q, count, error);
}
