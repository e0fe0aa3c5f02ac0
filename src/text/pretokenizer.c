/*
 * Pre-tokenizers.  All of them are one operation: walk a piece, say of each stretch whether it is a delimiter, and treat
 * the delimiters by one of five behaviours.  A row says how stretches are found.
 *
 * Known to go wrong: BertPreTokenizer's punctuation is Unicode 8.0's and knows no emoji, no currency and no degree sign;
 * Whitespace keeps what matches \w+|[^\w\s]+, so a mark or a joiner belongs to its word; VT, FF and NEL are white space
 * (BertNormalizer has removed them before).
 */
#include "text/pretokenizer.h"

#include "base/utf8.h"
#include "text/unicode.h"

typedef struct pretokenizer_kind {
    part_name part;
    const void *(*load)(loader *l, const json_t *object); /* NULL: nothing to read */
    void (*run)(const void *data, view text, piece_list *pieces);
} pretokenizer_kind;

struct pretokenizer {
    const pretokenizer_kind *kind;
    const void *data;
};

/* ---- splitting --------------------------------------------------------------------------------------------------- */

typedef enum split_behavior {
    SPLIT_REMOVED,
    SPLIT_ISOLATED,
    SPLIT_MERGED_WITH_PREVIOUS,
    SPLIT_MERGED_WITH_NEXT,
    SPLIT_CONTIGUOUS,
} split_behavior;

/* One stretch at `at`: its length in bytes and whether it is a delimiter. */
typedef size_t stretch_fn(const void *data, view text, size_t at, bool *is_delimiter);

typedef struct splitter {
    stretch_fn *stretch;
    const void *data;
    split_behavior behavior;
    bool invert;
} splitter;

/* What is cut off so far but may still grow. */
typedef struct open_piece {
    size_t begin, end;
    bool is_delimiter;
} open_piece;

/* Does a stretch join the stretch before it? */
static bool stretch_joins(split_behavior behavior, bool before, bool now)
{
    switch (behavior) {
    case SPLIT_MERGED_WITH_PREVIOUS: return now && !before;
    case SPLIT_MERGED_WITH_NEXT: return before && !now;
    case SPLIT_CONTIGUOUS: return before == now;
    case SPLIT_REMOVED:
    case SPLIT_ISOLATED: break;
    }
    return false;
}

static void split_one(const splitter *s, view text, size_t begin, size_t end, piece_list *out)
{
    view part = view_slice(text, 0, end);
    open_piece last = {begin, begin, false};
    for (size_t at = begin; at < end;) {
        bool is_delimiter = false;
        size_t bytes = s->stretch(s->data, part, at, &is_delimiter);
        is_delimiter ^= s->invert;
        if (last.end > last.begin && stretch_joins(s->behavior, last.is_delimiter, is_delimiter)) {
            last.end = at + bytes;
        } else {
            if (!(s->behavior == SPLIT_REMOVED && last.is_delimiter))
                pieces_add(out, last.begin, last.end, -1);
            last.begin = at;
            last.end = at + bytes;
        }
        last.is_delimiter = is_delimiter;
        at += bytes;
    }
    if (!(s->behavior == SPLIT_REMOVED && last.is_delimiter))
        pieces_add(out, last.begin, last.end, -1);
}

static void split_all(splitter s, view text, piece_list *pieces)
{
    piece_list out = {.failed = pieces->failed};
    for (size_t i = 0; i < pieces->count && !out.failed; i++) {
        text_piece p = pieces->items[i];
        if (p.added >= 0)
            pieces_add(&out, p.begin, p.end, p.added);
        else
            split_one(&s, text, p.begin, p.end, &out);
    }
    pieces_fini(pieces);
    *pieces = out;
}

static uint32_t character_at(view text, size_t at, size_t *bytes)
{
    uint32_t c = (unsigned char)text.data[at];
    *bytes = 1;
    if (c >= 0x80) {
        size_t count = utf8_decode(text, at, &c);
        *bytes = count ? count : 1;
    }
    return c;
}

/* Delimiters are single characters of a class; what is between them is one stretch. */
static size_t stretch_by_class(view text, size_t at, bool *is_delimiter, bool (*is_in_class)(uint32_t))
{
    size_t bytes, begin = at;
    *is_delimiter = is_in_class(character_at(text, at, &bytes));
    at += bytes;
    while (!*is_delimiter && at < text.size && !is_in_class(character_at(text, at, &bytes)))
        at += bytes;
    return at - begin;
}

static size_t stretch_space(const void *data, view text, size_t at, bool *is_delimiter)
{
    (void)data;
    return stretch_by_class(text, at, is_delimiter, unicode_is_space);
}

static size_t stretch_punctuation(const void *data, view text, size_t at, bool *is_delimiter)
{
    (void)data;
    return stretch_by_class(text, at, is_delimiter, unicode_is_punctuation);
}

static size_t stretch_number(const void *data, view text, size_t at, bool *is_delimiter)
{
    (void)data;
    return stretch_by_class(text, at, is_delimiter, unicode_is_number);
}

/* Delimiters are the places of a string. */
static size_t stretch_string(const void *data, view text, size_t at, bool *is_delimiter)
{
    const view *pattern = data;
    *is_delimiter = view_begins(view_slice(text, at, text.size), *pattern);
    if (*is_delimiter)
        return pattern->size;
    size_t begin = at;
    do
        at++;
    while (at < text.size && !view_begins(view_slice(text, at, text.size), *pattern));
    return at - begin;
}

/* \w+ or [^\w\s]+ is text, \s+ a delimiter. */
static int word_class(uint32_t c)
{
    return unicode_is_space(c) ? 0 : unicode_is_word(c) ? 1 : 2;
}

static size_t stretch_word(const void *data, view text, size_t at, bool *is_delimiter)
{
    (void)data;
    size_t bytes, begin = at;
    int class = word_class(character_at(text, at, &bytes));
    *is_delimiter = class == 0;
    do
        at += bytes;
    while (at < text.size && word_class(character_at(text, at, &bytes)) == class);
    return at - begin;
}

/* ---- the types --------------------------------------------------------------------------------------------------- */

static void bert_run(const void *data, view text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_space, .behavior = SPLIT_REMOVED}, text, pieces);
    split_all((splitter){.stretch = stretch_punctuation, .behavior = SPLIT_ISOLATED}, text, pieces);
}

static void whitespace_split_run(const void *data, view text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_space, .behavior = SPLIT_REMOVED}, text, pieces);
}

static void whitespace_run(const void *data, view text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_word, .behavior = SPLIT_REMOVED}, text, pieces);
}

/* The rest is loaded into a splitter and run by it. */
static void splitter_run(const void *data, view text, piece_list *pieces)
{
    split_all(*(const splitter *)data, text, pieces);
}

static bool behavior_load(loader *l, const json_t *object, split_behavior *out)
{
    static const char *const names[] = {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"};
    view name = {0};
    if (!loader_text(l, object, "behavior", false, &name))
        return false;
    if (!name.data)
        return true;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (view_is(name, names[i])) {
            *out = (split_behavior)i;
            return true;
        }
    }
    fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: pre_tokenizer behavior %s is not supported", l->file, QUOTE(name));
    fail_facts(l->error, "supported: Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
    return false;
}

static const void *punctuation_load(loader *l, const json_t *object)
{
    splitter *s = LOADER_NEW(l, splitter, 1);
    if (!s)
        return NULL;
    *s = (splitter){.stretch = stretch_punctuation, .behavior = SPLIT_ISOLATED};
    return behavior_load(l, object, &s->behavior) ? s : NULL;
}

static const void *digits_load(loader *l, const json_t *object)
{
    splitter *s = LOADER_NEW(l, splitter, 1);
    bool individual = false;
    if (!s || !loader_flag(l, object, "individual_digits", &individual))
        return NULL;
    *s = (splitter){.stretch = stretch_number, .behavior = individual ? SPLIT_ISOLATED : SPLIT_CONTIGUOUS};
    return s;
}

static const void *delimiter_load(loader *l, const json_t *object)
{
    splitter *s = LOADER_NEW(l, splitter, 1);
    view *delimiter = s ? LOADER_NEW(l, view, 1) : NULL;
    if (!delimiter || !loader_text(l, object, "delimiter", true, delimiter))
        return NULL;
    if (delimiter->size == 0 || utf8_count(*delimiter) != 1)
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: delimiter is %s; it must be one character", l->file,
                         QUOTE(*delimiter));
    *s = (splitter){.stretch = stretch_string, .data = delimiter, .behavior = SPLIT_REMOVED};
    return s;
}

static const void *split_load(loader *l, const json_t *object)
{
    splitter *s = LOADER_NEW(l, splitter, 1);
    view *pattern = s ? LOADER_NEW(l, view, 1) : NULL;
    if (!pattern || !loader_pattern(l, object, "pre_tokenizer Split", pattern))
        return NULL;
    if (!json_object_get(object, "behavior"))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: behavior of a pre_tokenizer Split is missing", l->file);
    *s = (splitter){.stretch = stretch_string, .data = pattern, .behavior = SPLIT_ISOLATED};
    return behavior_load(l, object, &s->behavior) && loader_flag(l, object, "invert", &s->invert) ? s : NULL;
}

/* ---- Sequence and the table -------------------------------------------------------------------------------------- */

typedef struct pretokenizer_chain {
    size_t count;
    const pretokenizer *parts[PART_CHAIN_MOST];
} pretokenizer_chain;

static const void *chain_load(loader *l, const json_t *object)
{
    const json_t *array = loader_array(l, object, "pretokenizers", PART_CHAIN_MOST);
    pretokenizer_chain *chain = array ? LOADER_NEW(l, pretokenizer_chain, 1) : NULL;
    if (!chain || !loader_enter(l))
        return NULL;
    for (; chain->count < json_array_size(array); chain->count++) {
        chain->parts[chain->count] = pretokenizer_load(l, json_array_get(array, chain->count));
        if (!chain->parts[chain->count])
            return NULL;
    }
    loader_leave(l);
    return chain;
}

static void chain_run(const void *data, view text, piece_list *pieces)
{
    const pretokenizer_chain *chain = data;
    for (size_t i = 0; i < chain->count; i++)
        pretokenizer_run(chain->parts[i], text, pieces);
}

static const pretokenizer_kind pretokenizer_kinds[] = {
    {{"BertPreTokenizer"}, NULL, bert_run},
    {{"CharDelimiterSplit"}, delimiter_load, splitter_run},
    {{"Digits"}, digits_load, splitter_run},
    {{"Punctuation"}, punctuation_load, splitter_run},
    {{"Sequence"}, chain_load, chain_run},
    {{"Split"}, split_load, splitter_run},
    {{"Whitespace"}, NULL, whitespace_run},
    {{"WhitespaceSplit"}, NULL, whitespace_split_run},
};

const pretokenizer *pretokenizer_load(loader *l, const json_t *value)
{
    pretokenizer *p = LOADER_NEW(l, pretokenizer, 1);
    if (!p || !value || json_is_null(value))
        return p;
    p->kind = LOADER_ROW(l, value, "pre_tokenizer", pretokenizer_kinds);
    if (!p->kind)
        return NULL;
    if (p->kind->load && !(p->data = p->kind->load(l, value)))
        return NULL;
    return p;
}

void pretokenizer_run(const pretokenizer *p, view text, piece_list *pieces)
{
    if (p->kind)
        p->kind->run(p->data, text, pieces);
}
