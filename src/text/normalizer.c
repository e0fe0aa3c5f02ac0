/*
 * Normalizers.  Each is a pass of a rewriter over the text (normalized.h), so byte offsets follow by themselves.
 *
 * Known to go wrong: BertNormalizer's four steps come in a fixed order, and "strip_accents": null means "as lowercase";
 * accent stripping decomposes everything first, Hangul syllables too; StripAccents decomposes nothing and has another set.
 * NFC composes by the reference's own walk (offsets depend on which characters are merged into which), so utf8proc is
 * asked for single decompositions and pairs only.
 *
 * Source: The Unicode Standard, section 3.11 (normalisation forms).
 */
#include "text/normalizer.h"

#include "base/memory.h"
#include "text/byte_level.h"
#include "text/charsmap.h"
#include "text/pattern.h"
#include "text/sentencepiece.h"
#include "text/unicode.h"

typedef struct normalizer_kind {
    part_name part;
    const void *(*load)(loader *l, const json_t *object); /* NULL: nothing to read */
    void (*run)(const void *data, normalized *text);
} normalizer_kind;

struct normalizer {
    const normalizer_kind *kind;
    const void *data;
};

/* ---- decomposition and composition ------------------------------------------------------------------------------- */

/* A character on its way through normalisation.  change: 0 it takes the place of one old character, 1 it is put in
 * besides, -n it takes the place of one and n more are dropped. */
typedef struct mark_item {
    uint32_t c;
    unsigned class;
    int32_t change;
} mark_item;

/* Characters since the last that could not be reordered any more. */
typedef struct normal_form {
    rewriter *out;
    bool compose, failed;
    mark_item *items;
    size_t count, capacity;
} normal_form;

static void form_push(normal_form *form, uint32_t c, int32_t change)
{
    if (form->count == form->capacity) {
        size_t capacity = form->capacity ? form->capacity * 2 : 64;
        mark_item *grown = memory_resize(form->items, capacity, sizeof(*grown));
        if (!grown) {
            form->failed = true;
            return;
        }
        form->items = grown;
        form->capacity = capacity;
    }
    form->items[form->count++] = (mark_item){c, unicode_class(c), change};
}

static bool marks_are_sorted(const mark_item *items, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (items[i - 1].class > items[i].class)
            return false;
    return true;
}

/* Sort marks by class and stably.  Counting sort: a text may be one long run of marks. */
static void form_sort_marks(normal_form *form, mark_item *items, size_t count)
{
    if (marks_are_sorted(items, count))
        return;
    size_t starts[257] = {0};
    mark_item *copy = NEW(mark_item, count);
    if (!copy) {
        form->failed = true;
        return;
    }
    memcpy(copy, items, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        starts[items[i].class + 1]++;
    for (size_t class = 1; class < 257; class++)
        starts[class] += starts[class - 1];
    for (size_t i = 0; i < count; i++)
        items[starts[copy[i].class]++] = copy[i];
    memory_free(copy);
}

/* Merge marks into the starter at the front where the standard composes them.  Items: one starter, then marks only, or one
 * more starter at the end, which may merge when nothing stands between.  Returns the number of items left. */
static size_t form_compose(mark_item *items, size_t count)
{
    size_t kept = 1;
    for (size_t i = 1; i < count; i++) {
        bool blocked = kept > 1 && items[kept - 1].class >= items[i].class;
        uint32_t whole = blocked ? 0 : unicode_compose(items[0].c, items[i].c);
        if (whole) {
            items[0].c = whole;
            items[0].change += items[i].change - 1;
        } else {
            items[kept++] = items[i];
        }
    }
    return kept;
}

static void form_emit(normal_form *form, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mark_item item = form->items[i];
        if (item.change > 0) {
            rewriter_insert(form->out, item.c);
            continue;
        }
        rewriter_replace(form->out, item.c);
        for (int32_t gone = item.change; gone < 0; gone++)
            rewriter_drop(form->out);
    }
    memmove(form->items, form->items + count, (form->count - count) * sizeof(*form->items));
    form->count -= count;
}

/* A starter has arrived as the last item, or (at_end) the text is over: finish what is before it. */
static void form_settle(normal_form *form, bool at_end)
{
    if (form->count == 0)
        return;
    size_t marks_end = at_end ? form->count : form->count - 1;
    size_t marks_begin = marks_end > 0 && form->items[0].class == 0 ? 1 : 0;
    form_sort_marks(form, form->items + marks_begin, marks_end - marks_begin);
    if (form->compose && form->items[0].class == 0)
        form->count = form_compose(form->items, form->count);
    bool last_stays = !at_end && form->count > 0 && form->items[form->count - 1].class == 0;
    form_emit(form, form->count - (last_stays ? 1 : 0));
}

static void normal_form_run(normalized *text, bool compatibility, bool compose)
{
    rewriter r, ahead;
    rewriter_begin(&r, text);
    ahead = (rewriter){.text = text}; /* reads the old text while r writes behind it */
    normal_form form = {.out = &r, .compose = compose};
    while (ahead.at < text->size && !form.failed && normalized_ok(&r.fresh)) {
        size_t bytes;
        uint32_t c = rewriter_peek(&ahead, &bytes), parts[UNICODE_DECOMPOSED];
        ahead.at += bytes;
        if (c < 0x80) { /* composes with nothing before it, and with no ASCII after it */
            form_settle(&form, true);
            if (ahead.at == text->size || (unsigned char)text->text[ahead.at] < 0x80) {
                rewriter_keep_bytes(&r, 1);
                continue;
            }
        }
        size_t count = unicode_decompose(c, compatibility, parts);
        for (size_t i = 0; i < count && !form.failed; i++) {
            form_push(&form, parts[i], i > 0);
            if (!form.failed && form.items[form.count - 1].class == 0 && form.count > 1)
                form_settle(&form, false);
        }
    }
    if (!form.failed)
        form_settle(&form, true);
    r.fresh.failed |= form.failed;
    memory_free(form.items);
    rewriter_end(&r);
}

static void nfc_run(const void *data, normalized *text)
{
    (void)data;
    normal_form_run(text, false, true);
}

static void nfd_run(const void *data, normalized *text)
{
    (void)data;
    normal_form_run(text, false, false);
}

static void nfkc_run(const void *data, normalized *text)
{
    (void)data;
    normal_form_run(text, true, true);
}

static void nfkd_run(const void *data, normalized *text)
{
    (void)data;
    normal_form_run(text, true, false);
}

/* ---- character by character -------------------------------------------------------------------------------------- */

static void drop_where(normalized *text, bool (*is_dropped)(uint32_t))
{
    rewriter r;
    rewriter_begin(&r, text);
    while (rewriter_more(&r)) {
        if (is_dropped(rewriter_peek(&r, NULL)))
            rewriter_drop(&r);
        else
            rewriter_keep(&r);
    }
    rewriter_end(&r);
}

static void strip_accents_run(const void *data, normalized *text)
{
    (void)data;
    drop_where(text, unicode_is_mark);
}

static void lowercase_run(const void *data, normalized *text)
{
    (void)data;
    rewriter r;
    rewriter_begin(&r, text);
    while (rewriter_more(&r)) {
        uint32_t lower[2];
        size_t count = unicode_lower(rewriter_peek(&r, NULL), lower);
        rewriter_replace(&r, lower[0]);
        if (count == 2)
            rewriter_insert(&r, lower[1]);
    }
    rewriter_end(&r);
}

/* ---- BertNormalizer ---------------------------------------------------------------------------------------------- */

typedef struct bert_settings {
    bool clean_text, chinese, strip_accents, lowercase;
} bert_settings;

static const void *bert_load(loader *l, const json_t *object)
{
    bert_settings *s = LOADER_NEW(l, bert_settings, 1);
    if (!s)
        return NULL;
    *s = (bert_settings){true, true, true, true};
    if (!loader_flag(l, object, "clean_text", &s->clean_text) ||
        !loader_flag(l, object, "handle_chinese_chars", &s->chinese) ||
        !loader_flag(l, object, "lowercase", &s->lowercase))
        return NULL;
    s->strip_accents = s->lowercase;
    return loader_flag(l, object, "strip_accents", &s->strip_accents) ? s : NULL;
}

static void bert_clean(normalized *text)
{
    rewriter r;
    rewriter_begin(&r, text);
    while (rewriter_more(&r)) {
        uint32_t c = rewriter_peek(&r, NULL);
        if (unicode_is_unclean(c))
            rewriter_drop(&r);
        else if (unicode_is_space(c))
            rewriter_replace(&r, ' ');
        else
            rewriter_keep(&r);
    }
    rewriter_end(&r);
}

static void bert_space_chinese(normalized *text)
{
    rewriter r;
    rewriter_begin(&r, text);
    while (rewriter_more(&r)) {
        uint32_t c = rewriter_peek(&r, NULL);
        if (!unicode_is_chinese(c)) {
            rewriter_keep(&r);
            continue;
        }
        rewriter_replace(&r, ' ');
        rewriter_insert(&r, c);
        rewriter_insert(&r, ' ');
    }
    rewriter_end(&r);
}

static bool is_ascii(const normalized *text)
{
    unsigned char all = 0;
    for (size_t i = 0; i < text->size; i++)
        all |= (unsigned char)text->text[i];
    return all < 0x80;
}

static void bert_run(const void *data, normalized *text)
{
    const bert_settings *s = data;
    if (s->clean_text)
        bert_clean(text);
    bool plain = is_ascii(text); /* nothing Chinese, nothing to decompose */
    if (s->chinese && !plain)
        bert_space_chinese(text);
    if (s->strip_accents && !plain) {
        nfd_run(NULL, text);
        drop_where(text, unicode_is_nonspacing);
    }
    if (s->lowercase)
        lowercase_run(NULL, text);
}

/* ---- Strip, Replace, Prepend ------------------------------------------------------------------------------------- */

typedef struct strip_settings {
    bool left, right;
} strip_settings;

static const void *strip_load(loader *l, const json_t *object)
{
    strip_settings *s = LOADER_NEW(l, strip_settings, 1);
    if (!s)
        return NULL;
    *s = (strip_settings){true, true};
    bool good = loader_flag(l, object, "strip_left", &s->left) && loader_flag(l, object, "strip_right", &s->right);
    return good ? s : NULL;
}

static void strip_run(const void *data, normalized *text)
{
    const strip_settings *s = data;
    rewriter r;
    rewriter_begin(&r, text);
    while (s->left && rewriter_more(&r) && unicode_is_space(rewriter_peek(&r, NULL)))
        rewriter_drop(&r);
    size_t end = r.at; /* after the last character that is no space */
    rewriter ahead = {.text = text, .at = r.at};
    while (rewriter_more(&ahead)) {
        size_t bytes;
        uint32_t c = rewriter_peek(&ahead, &bytes);
        ahead.at += bytes;
        if (!s->right || !unicode_is_space(c))
            end = ahead.at;
    }
    rewriter_keep_bytes(&r, end - r.at);
    rewriter_drop_bytes(&r, text->size - r.at);
    rewriter_end(&r);
}

typedef struct replace_settings {
    const pattern *pattern;
    view content;
} replace_settings;

static const void *replace_load(loader *l, const json_t *object)
{
    replace_settings *s = LOADER_NEW(l, replace_settings, 1);
    bool good = s && (s->pattern = pattern_load(l, object, "normalizer Replace")) != NULL &&
                loader_text(l, object, "content", true, &s->content);
    return good ? s : NULL;
}

/* The new text has the range of the last replaced character. */
static void replace_run(const void *data, normalized *text)
{
    const replace_settings *s = data;
    rewriter r;
    pattern_search walk;
    size_t begin, end;
    rewriter_begin(&r, text);
    pattern_search_init(&walk, s->pattern, text);
    pattern_search_text(&walk, 0, text->size);
    while (pattern_search_next(&walk, &begin, &end) && normalized_ok(&r.fresh)) {
        rewriter_keep_bytes(&r, begin - r.at);
        rewriter_drop_bytes(&r, end - begin);
        rewriter_insert_text(&r, s->content);
    }
    pattern_search_fini(&walk);
    if (!normalized_ok(text)) {
        normalized_fini(&r.fresh);
        return;
    }
    rewriter_end(&r);
}

static const void *prepend_load(loader *l, const json_t *object)
{
    view *prepend = LOADER_NEW(l, view, 1);
    return prepend && loader_text(l, object, "prepend", true, prepend) ? prepend : NULL;
}

/* What is put in front has the range of the first character. */
static void prepend_run(const void *data, normalized *text)
{
    const view *prepend = data;
    if (text->size == 0)
        return;
    rewriter r;
    rewriter_begin(&r, text);
    size_t bytes;
    rewriter_peek(&r, &bytes);
    r.at = bytes;
    rewriter_insert_text(&r, *prepend);
    r.at = 0;
    rewriter_end(&r);
}

/* ---- Precompiled, Nmt, ByteLevel --------------------------------------------------------------------------------- */

static const void *precompiled_load(loader *l, const json_t *object)
{
    charsmap *m = LOADER_NEW(l, charsmap, 1);
    return m && charsmap_load(l, object, "precompiled_charsmap", m) ? m : NULL;
}

static void precompiled_run(const void *data, normalized *text)
{
    charsmap_normalize(data, text);
}

static bool is_nmt_control(uint32_t c)
{
    return (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
}

static bool is_nmt_space(uint32_t c)
{
    return c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) || c == 0x2028 ||
           c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
}

static void nmt_run(const void *data, normalized *text)
{
    (void)data;
    drop_where(text, is_nmt_control);
    rewriter r;
    rewriter_begin(&r, text);
    while (rewriter_more(&r)) {
        if (is_nmt_space(rewriter_peek(&r, NULL)))
            rewriter_replace(&r, ' ');
        else
            rewriter_keep(&r);
    }
    rewriter_end(&r);
}

static void byte_level_run_normalizer(const void *data, normalized *text)
{
    (void)data;
    byte_level_normalize(text);
}

/* ---- Sequence and the table -------------------------------------------------------------------------------------- */

typedef struct normalizer_chain {
    size_t count;
    const normalizer *parts[PART_CHAIN_MOST];
} normalizer_chain;

static const void *chain_load(loader *l, const json_t *object)
{
    const json_t *array = loader_array(l, object, "normalizers", PART_CHAIN_MOST);
    normalizer_chain *chain = array ? LOADER_NEW(l, normalizer_chain, 1) : NULL;
    if (!chain || !loader_enter(l))
        return NULL;
    for (; chain->count < json_array_size(array); chain->count++) {
        chain->parts[chain->count] = normalizer_load(l, json_array_get(array, chain->count));
        if (!chain->parts[chain->count])
            return NULL;
    }
    loader_leave(l);
    return chain;
}

static void chain_run(const void *data, normalized *text)
{
    const normalizer_chain *chain = data;
    for (size_t i = 0; i < chain->count; i++)
        normalizer_run(chain->parts[i], text);
}

static const normalizer_kind normalizer_kinds[] = {
    {{"BertNormalizer"}, bert_load, bert_run},
    {{"ByteLevel"}, NULL, byte_level_run_normalizer},
    {{"Lowercase"}, NULL, lowercase_run},
    {{"NFC"}, NULL, nfc_run},
    {{"NFD"}, NULL, nfd_run},
    {{"NFKC"}, NULL, nfkc_run},
    {{"NFKD"}, NULL, nfkd_run},
    {{"Nmt"}, NULL, nmt_run},
    {{"Precompiled"}, precompiled_load, precompiled_run},
    {{"Prepend"}, prepend_load, prepend_run},
    {{"Replace"}, replace_load, replace_run},
    {{"Sequence"}, chain_load, chain_run},
    {{"SentencePiece"}, sentencepiece_normalizer_load, sentencepiece_normalizer_run},
    {{"Strip"}, strip_load, strip_run},
    {{"StripAccents"}, NULL, strip_accents_run},
};

const normalizer *normalizer_load(loader *l, const json_t *value)
{
    normalizer *n = LOADER_NEW(l, normalizer, 1);
    if (!n || !value || json_is_null(value))
        return n;
    n->kind = LOADER_ROW(l, value, "normalizer", normalizer_kinds);
    if (!n->kind)
        return NULL;
    if (n->kind->load && !(n->data = n->kind->load(l, value)))
        return NULL;
    return n;
}

void normalizer_run(const normalizer *n, normalized *text)
{
    if (n->kind)
        n->kind->run(n->data, text);
}
