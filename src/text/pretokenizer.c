/*
 * Pre-tokenizers.  Nearly all of them are one operation: walk a piece, say of each stretch whether it is a delimiter, and
 * treat the delimiters by one of five behaviours.  A row says how stretches are found: by a class of characters, or as the
 * matches of a pattern and what is between them.
 *
 * Known to go wrong: BertPreTokenizer's punctuation is Unicode 8.0's and knows no emoji, no currency and no degree sign;
 * Whitespace keeps what matches \w+|[^\w\s]+, so a mark or a joiner belongs to its word; VT, FF and NEL are white space
 * (BertNormalizer has removed them before).
 */
#include "text/pretokenizer.h"

#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/pattern.h"
#include "text/unicode.h"

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
    const pattern *pattern; /* instead of stretch */
    const void *data;
    split_behavior behavior;
    bool invert;
} splitter;

/* Pieces of one piece: what is cut off so far but may still grow. */
typedef struct open_piece {
    const splitter *splitter;
    piece_list *out;
    size_t begin, end;
    bool is_begun, is_delimiter;
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

static void close_piece(open_piece *o)
{
    if (!(o->splitter->behavior == SPLIT_REMOVED && o->is_delimiter))
        pieces_add(o->out, o->begin, o->end, -1);
}

static void put_stretch(open_piece *o, size_t begin, size_t end, bool is_delimiter)
{
    is_delimiter ^= o->splitter->invert;
    if (!o->is_begun || !stretch_joins(o->splitter->behavior, o->is_delimiter, is_delimiter)) {
        if (o->is_begun)
            close_piece(o);
        o->begin = begin;
    }
    o->end = end;
    o->is_begun = true;
    o->is_delimiter = is_delimiter;
}

static void split_by_stretch(const splitter *s, view text, size_t begin, size_t end, open_piece *o)
{
    view part = view_slice(text, 0, end);
    for (size_t at = begin, bytes; at < end; at += bytes) {
        bool is_delimiter = false;
        bytes = s->stretch(s->data, part, at, &is_delimiter);
        put_stretch(o, at, at + bytes, is_delimiter);
    }
}

static void split_by_pattern(pattern_search *search, size_t begin, size_t end, open_piece *o)
{
    size_t from, to, done = begin;
    pattern_search_text(search, begin, end);
    while (pattern_search_next(search, &from, &to)) {
        if (from > done)
            put_stretch(o, done, from, false);
        put_stretch(o, from, to, true);
        done = to;
    }
    if (done < end)
        put_stretch(o, done, end, false);
}

static void split_all(splitter s, normalized *text, piece_list *pieces)
{
    piece_list out = {.failed = pieces->failed};
    pattern_search search;
    if (s.pattern)
        pattern_search_init(&search, s.pattern, text);
    for (size_t i = 0; i < pieces->count && !out.failed && normalized_ok(text); i++) {
        text_piece p = pieces->items[i];
        open_piece open = {.splitter = &s, .out = &out};
        if (p.added >= 0) {
            pieces_add(&out, p.begin, p.end, p.added);
            continue;
        }
        if (s.pattern)
            split_by_pattern(&search, p.begin, p.end, &open);
        else
            split_by_stretch(&s, normalized_view(text), p.begin, p.end, &open);
        if (open.is_begun)
            close_piece(&open);
    }
    if (s.pattern)
        pattern_search_fini(&search);
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

static void bert_run(const void *data, normalized *text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_space, .behavior = SPLIT_REMOVED}, text, pieces);
    split_all((splitter){.stretch = stretch_punctuation, .behavior = SPLIT_ISOLATED}, text, pieces);
}

static void whitespace_split_run(const void *data, normalized *text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_space, .behavior = SPLIT_REMOVED}, text, pieces);
}

static void whitespace_run(const void *data, normalized *text, piece_list *pieces)
{
    (void)data;
    split_all((splitter){.stretch = stretch_word, .behavior = SPLIT_REMOVED}, text, pieces);
}

/* The rest is loaded into a splitter and run by it. */
static void splitter_run(const void *data, normalized *text, piece_list *pieces)
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
    view delimiter;
    if (!s || !loader_text(l, object, "delimiter", true, &delimiter))
        return NULL;
    if (delimiter.size == 0 || utf8_count(delimiter) != 1)
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: delimiter is %s; it must be one character", l->file,
                         QUOTE(delimiter));
    *s = (splitter){.pattern = pattern_of_string(l, delimiter), .behavior = SPLIT_REMOVED};
    return s->pattern ? s : NULL;
}

static const void *split_load(loader *l, const json_t *object)
{
    splitter *s = LOADER_NEW(l, splitter, 1);
    const pattern *p = s ? pattern_load(l, object, "pre_tokenizer Split") : NULL;
    if (!p)
        return NULL;
    if (!json_object_get(object, "behavior"))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: behavior of a pre_tokenizer Split is missing", l->file);
    *s = (splitter){.pattern = p, .behavior = SPLIT_ISOLATED};
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

static void chain_run(const void *data, normalized *text, piece_list *pieces)
{
    const pretokenizer_chain *chain = data;
    for (size_t i = 0; i < chain->count; i++)
        pretokenizer_run(chain->parts[i], text, pieces);
}

static const pretokenizer_kind bert_kind = {{"BertPreTokenizer"}, NULL, bert_run};
static const pretokenizer_kind delimiter_kind = {{"CharDelimiterSplit"}, delimiter_load, splitter_run};
static const pretokenizer_kind digits_kind = {{"Digits"}, digits_load, splitter_run};
static const pretokenizer_kind punctuation_kind = {{"Punctuation"}, punctuation_load, splitter_run};
static const pretokenizer_kind chain_kind = {{"Sequence"}, chain_load, chain_run};
static const pretokenizer_kind split_kind = {{"Split"}, split_load, splitter_run};
static const pretokenizer_kind whitespace_kind = {{"Whitespace"}, NULL, whitespace_run};
static const pretokenizer_kind whitespace_split_kind = {{"WhitespaceSplit"}, NULL, whitespace_split_run};

static const pretokenizer_kind *const pretokenizer_kinds[] = {
    &bert_kind,  &pretokenizer_byte_level, &delimiter_kind,  &digits_kind,           &pretokenizer_metaspace,
    &punctuation_kind, &chain_kind,        &split_kind,      &whitespace_kind,       &whitespace_split_kind,
};

enum { PRETOKENIZER_KINDS = sizeof(pretokenizer_kinds) / sizeof(pretokenizer_kinds[0]) };

static const pretokenizer_kind *find_kind(loader *l, const json_t *value)
{
    part_name names[PRETOKENIZER_KINDS];
    for (size_t i = 0; i < PRETOKENIZER_KINDS; i++)
        names[i] = pretokenizer_kinds[i]->part;
    const part_name *row = LOADER_ROW(l, value, "pre_tokenizer", names);
    return row ? pretokenizer_kinds[row - names] : NULL;
}

const pretokenizer *pretokenizer_load(loader *l, const json_t *value)
{
    pretokenizer *p = LOADER_NEW(l, pretokenizer, 1);
    if (!p || !value || json_is_null(value))
        return p;
    p->kind = find_kind(l, value);
    if (!p->kind)
        return NULL;
    if (p->kind->load && !(p->data = p->kind->load(l, value)))
        return NULL;
    return p;
}

void pretokenizer_run(const pretokenizer *p, normalized *text, piece_list *pieces)
{
    if (p->kind)
        p->kind->run(p->data, text, pieces);
}
