/*
 * Decoders.  Each walks the strings of the tokens and writes new ones.
 *
 * Known to go wrong: WordPiece's clean-up works on one token at a time, so it can only act where a token holds the space
 * itself; the first token keeps its "##".  Decoding token by token is not decoding the sequence.
 */
#include "text/decoder.h"

#include "base/memory.h"
#include "base/utf8.h"

enum { DECODED_MOST = 256 << 20 };

typedef struct decoder_kind {
    part_name part;
    const void *(*load)(loader *l, const json_t *object); /* NULL: nothing to read */
    void (*run)(const void *data, token_strings *s);
} decoder_kind;

struct decoder {
    const decoder_kind *kind;
    const void *data;
};

/* ---- strings of tokens ------------------------------------------------------------------------------------------- */

void token_strings_init(token_strings *s)
{
    *s = (token_strings){0};
    buffer_init(&s->text, DECODED_MOST);
}

void token_strings_fini(token_strings *s)
{
    buffer_fini(&s->text);
    memory_free(s->ends);
    *s = (token_strings){0};
}

/* What was appended to the text since the last token is a token. */
static void token_strings_close(token_strings *s)
{
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 32;
        size_t *grown = memory_resize(s->ends, capacity, sizeof(*grown));
        if (!grown) {
            s->failed = true;
            return;
        }
        s->ends = grown;
        s->capacity = capacity;
    }
    s->failed |= !buffer_ok(&s->text);
    s->ends[s->count++] = s->text.size;
}

void token_strings_add(token_strings *s, view token)
{
    buffer_view(&s->text, token);
    token_strings_close(s);
}

view token_strings_get(const token_strings *s, size_t index)
{
    size_t begin = index ? s->ends[index - 1] : 0;
    return (view){s->text.data ? s->text.data + begin : "", s->ends[index] - begin};
}

/* `fresh` takes the place of the old strings. */
static void token_strings_swap(token_strings *s, token_strings *fresh)
{
    fresh->failed |= s->failed;
    token_strings_fini(s);
    *s = *fresh;
}

static void append_replaced(buffer *out, view text, view pattern, view content)
{
    for (size_t at = 0; at < text.size;) {
        if (view_begins(view_slice(text, at, text.size), pattern)) {
            buffer_view(out, content);
            at += pattern.size;
        } else {
            buffer_byte(out, text.data[at++]);
        }
    }
}

/* ---- WordPiece --------------------------------------------------------------------------------------------------- */

typedef struct wordpiece_settings {
    view prefix;
    bool cleanup;
} wordpiece_settings;

static const void *wordpiece_load(loader *l, const json_t *object)
{
    wordpiece_settings *s = LOADER_NEW(l, wordpiece_settings, 1);
    if (!s)
        return NULL;
    *s = (wordpiece_settings){VIEW("##"), true};
    bool good = loader_text(l, object, "prefix", false, &s->prefix) && loader_flag(l, object, "cleanup", &s->cleanup);
    return good ? s : NULL;
}

/* Take the space out in front of punctuation and English endings, in this order.  text and spare change places.  False
 * when out of memory. */
static bool clean_up(buffer *text, buffer *spare)
{
    static const char *const rules[][2] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},           {" ,", ","}, {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
    };
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        buffer_clear(spare);
        append_replaced(spare, buffer_as_view(text), view_of(rules[i][0]), view_of(rules[i][1]));
        if (!buffer_ok(spare))
            return false;
        buffer swap = *text;
        *text = *spare;
        *spare = swap;
    }
    return true;
}

static void wordpiece_run(const void *data, token_strings *s)
{
    const wordpiece_settings *settings = data;
    token_strings fresh;
    token_strings_init(&fresh);
    buffer token, spare;
    buffer_init(&token, DECODED_MOST);
    buffer_init(&spare, DECODED_MOST);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        view old = token_strings_get(s, i);
        buffer_clear(&token);
        if (i > 0 && view_begins(old, settings->prefix))
            old = view_slice(old, settings->prefix.size, old.size);
        else if (i > 0)
            buffer_byte(&token, ' ');
        buffer_view(&token, old);
        fresh.failed |= !buffer_ok(&token);
        if (settings->cleanup && memchr(buffer_as_view(&token).data, ' ', token.size))
            fresh.failed |= !clean_up(&token, &spare);
        token_strings_add(&fresh, buffer_as_view(&token));
    }
    buffer_fini(&token);
    buffer_fini(&spare);
    token_strings_swap(s, &fresh);
}

/* ---- Fuse, Replace, Strip ---------------------------------------------------------------------------------------- */

static void fuse_run(const void *data, token_strings *s)
{
    (void)data;
    if (s->count > 1) {
        s->ends[0] = s->ends[s->count - 1];
        s->count = 1;
    }
}

typedef struct replace_settings {
    view pattern, content;
} replace_settings;

static const void *replace_load(loader *l, const json_t *object)
{
    replace_settings *s = LOADER_NEW(l, replace_settings, 1);
    bool good = s && loader_pattern(l, object, "decoder Replace", &s->pattern) &&
                loader_text(l, object, "content", true, &s->content);
    return good ? s : NULL;
}

static void replace_run(const void *data, token_strings *s)
{
    const replace_settings *settings = data;
    token_strings fresh;
    token_strings_init(&fresh);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        append_replaced(&fresh.text, token_strings_get(s, i), settings->pattern, settings->content);
        token_strings_close(&fresh);
    }
    token_strings_swap(s, &fresh);
}

typedef struct strip_settings {
    view content; /* one character */
    int64_t start, stop;
} strip_settings;

static const void *strip_load(loader *l, const json_t *object)
{
    strip_settings *s = LOADER_NEW(l, strip_settings, 1);
    if (!s || !loader_text(l, object, "content", true, &s->content) ||
        !json_get_int(object, l->file, "start", 0, INT32_MAX, &s->start, TKR_E_JSON_TYPE, l->error) ||
        !json_get_int(object, l->file, "stop", 0, INT32_MAX, &s->stop, TKR_E_JSON_TYPE, l->error))
        return NULL;
    if (s->content.size == 0 || utf8_count(s->content) != 1)
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: content of decoder Strip is %s; it must be one character",
                         l->file, QUOTE(s->content));
    return s;
}

static void strip_run(const void *data, token_strings *s)
{
    const strip_settings *settings = data;
    size_t unit = settings->content.size;
    token_strings fresh;
    token_strings_init(&fresh);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        view token = token_strings_get(s, i);
        for (int64_t n = 0; n < settings->start && view_begins(token, settings->content); n++)
            token = view_slice(token, unit, token.size);
        for (int64_t n = 0; n < settings->stop && token.size >= unit &&
                            view_begins(view_slice(token, token.size - unit, token.size), settings->content);
             n++)
            token.size -= unit;
        token_strings_add(&fresh, token);
    }
    token_strings_swap(s, &fresh);
}

/* ---- Sequence and the table -------------------------------------------------------------------------------------- */

typedef struct decoder_chain {
    size_t count;
    const decoder *parts[PART_CHAIN_MOST];
} decoder_chain;

static const void *chain_load(loader *l, const json_t *object)
{
    const json_t *array = loader_array(l, object, "decoders", PART_CHAIN_MOST);
    decoder_chain *chain = array ? LOADER_NEW(l, decoder_chain, 1) : NULL;
    if (!chain || !loader_enter(l))
        return NULL;
    for (; chain->count < json_array_size(array); chain->count++) {
        const json_t *entry = json_array_get(array, chain->count);
        if (json_is_null(entry))
            return fail_null(l->error, TKR_E_JSON_TYPE, "%s: decoder is null; it must be an object", l->file);
        chain->parts[chain->count] = decoder_load(l, entry);
        if (!chain->parts[chain->count])
            return NULL;
    }
    loader_leave(l);
    return chain;
}

static void chain_run(const void *data, token_strings *s)
{
    const decoder_chain *chain = data;
    for (size_t i = 0; i < chain->count; i++)
        decoder_run(chain->parts[i], s);
}

static const decoder_kind decoder_kinds[] = {
    {{"Fuse"}, NULL, fuse_run},
    {{"Replace"}, replace_load, replace_run},
    {{"Sequence"}, chain_load, chain_run},
    {{"Strip"}, strip_load, strip_run},
    {{"WordPiece"}, wordpiece_load, wordpiece_run},
};

const decoder *decoder_load(loader *l, const json_t *value)
{
    decoder *d = LOADER_NEW(l, decoder, 1);
    if (!d || !value || json_is_null(value))
        return d;
    d->kind = LOADER_ROW(l, value, "decoder", decoder_kinds);
    if (!d->kind)
        return NULL;
    if (d->kind->load && !(d->data = d->kind->load(l, value)))
        return NULL;
    return d;
}

/* No decoder: tokens with a space between. */
static void join_run(token_strings *s)
{
    token_strings fresh;
    token_strings_init(&fresh);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        if (i > 0)
            buffer_byte(&fresh.text, ' ');
        token_strings_add(&fresh, token_strings_get(s, i));
    }
    token_strings_swap(s, &fresh);
}

void decoder_run(const decoder *d, token_strings *s)
{
    if (d->kind)
        d->kind->run(d->data, s);
    else
        join_run(s);
}
