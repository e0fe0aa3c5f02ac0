/* Texts with features taken out or replaced; see variant_text.h. */
#include "explain/variant_text.h"

#include "base/failure.h"
#include "explain/set.h"

/* Does token i belong to the stretch that token `first` began and token `before` ends? */
static bool joins(const question *q, stretch_unit unit, size_t first, size_t before, size_t i)
{
    const tkr_token *now = &q->tokens[i];
    if (i != before + 1 || now->text != q->tokens[first].text)
        return false;
    return unit == STRETCH_FEATURES || now->begin < q->tokens[before].end || question_continues_word(q, first, i);
}

/* Byte-level tokens bring the space before a word along: it stays. */
static void trim(const question *q, text_stretch *s)
{
    view text = q->texts[s->text];
    while (s->begin < s->end && byte_is_space(text.data[s->begin]))
        s->begin++;
    while (s->end > s->begin && byte_is_space(text.data[s->end - 1]))
        s->end--;
}

/* Stretches of one feature; list NULL: only count them. */
static size_t stretches_of(const question *q, stretch_unit unit, uint32_t f, text_stretch *list)
{
    size_t count = 0, first = SIZE_MAX, before = SIZE_MAX;
    text_stretch now = {0}, *last = list ? list : &now;
    for (size_t m = 0; m < q->features[f].count; m++) {
        size_t i = q->features[f].members[m];
        const tkr_token *t = &q->tokens[i];
        if (t->begin < 0 || t->text < 0 || q->token_fixed[i])
            continue;
        if (first == SIZE_MAX || !joins(q, unit, first, before, i)) {
            last = list ? &list[count] : &now;
            *last = (text_stretch){.begin = t->begin, .end = t->end, .text = t->text, .feature = f};
            first = i;
            count++;
        }
        last->end = t->end > last->end ? t->end : last->end;
        before = i;
    }
    return count;
}

tkr_status stretches_find(const question *q, stretch_unit unit, arena *a, text_stretch **list, size_t *count, tkr_error *error)
{
    size_t most = 0, used = 0;
    for (uint32_t f = 0; f < q->feature_count; f++)
        most += stretches_of(q, unit, f, NULL);
    *count = 0;
    *list = ARENA_NEW(a, text_stretch, most);
    if (!*list)
        return fail_memory(error, "stretches of the text", most);
    for (uint32_t f = 0; f < q->feature_count; f++)
        used += stretches_of(q, unit, f, *list + used);
    for (size_t s = 0; s < used; s++) {
        trim(q, &(*list)[s]);
        if ((*list)[s].begin < (*list)[s].end) /* nothing but white space: nothing to replace */
            (*list)[(*count)++] = (*list)[s];
    }
    return TKR_OK;
}

static bool ends_in_space(const buffer *out) { return out->size == 0 || byte_is_space(out->data[out->size - 1]); }

/* What a stretch leaves that was taken out: no second space, none at the end of the text.  Returns where the text goes on. */
static size_t close_up(view text, size_t at, size_t begun, buffer *out)
{
    if (at >= text.size)
        while (out->size > begun && byte_is_space(out->data[out->size - 1]))
            out->size--;
    else if (out->size == begun || ends_in_space(out))
        while (at < text.size && byte_is_space(text.data[at]))
            at++;
    return at;
}

void variant_text(const question *q, int32_t which, const text_stretch *list, size_t count, const uint64_t *mask, const view *instead,
                  buffer *out, size_t *places)
{
    view text = q->texts[which];
    size_t at = 0, begun = out->size;
    for (size_t s = 0; s < count; s++) {
        bool is_kept = set_has(mask, list[s].feature);
        if (list[s].text != which)
            continue;
        if (places)
            places[s] = SIZE_MAX;
        if (is_kept || list[s].end <= (int64_t)at)
            continue;
        size_t begin = (size_t)list[s].begin > at ? (size_t)list[s].begin : at;
        buffer_view(out, view_slice(text, at, begin));
        at = (size_t)list[s].end;
        if (instead && instead[s].size) {
            if (places)
                places[s] = out->size;
            buffer_view(out, instead[s]);
        } else
            at = close_up(text, at, begun, out);
    }
    buffer_view(out, view_slice(text, at < text.size ? at : text.size, text.size));
}
