/*
 * Decoders.  Each walks the strings of the tokens and writes new ones.
 *
 * Known to go wrong: WordPiece's clean-up works on one token at a time, so it can only act where a token holds the space
 * itself; the first token keeps its "##".  Decoding token by token is not decoding the sequence.
 */
#include "text/decoder.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "text/byte_level.h"
#include "text/metaspace.h"
#include "text/pattern.h"
#include "text/sentencepiece.h"

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

void token_strings_close(token_strings *s)
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

void token_strings_swap(token_strings *s, token_strings *fresh)
{
    fresh->failed |= s->failed;
    token_strings_fini(s);
    *s = *fresh;
}

static void append_replaced(buffer *out, view text, view old, view fresh)
{
    for (size_t at = 0; at < text.size;) {
        if (view_begins(view_slice(text, at, text.size), old)) {
            buffer_view(out, fresh);
            at += old.size;
        } else {
            buffer_byte(out, text.data[at++]);
        }
    }
}

void token_strings_append(token_strings *s, view text, view old, view fresh)
{
    append_replaced(&s->text, text, old, fresh);
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
    const pattern *pattern;
    view content;
} replace_settings;

static const void *replace_load(loader *l, const json_t *object)
{
    replace_settings *s = LOADER_NEW(l, replace_settings, 1);
    bool good = s && (s->pattern = pattern_load(l, object, "decoder Replace")) != NULL &&
                loader_text(l, object, "content", true, &s->content);
    return good ? s : NULL;
}

/* Append the token that `walk` searches with its matches replaced. */
static void replace_in_token(pattern_search *walk, view all, size_t begin, size_t end, view content, token_strings *out)
{
    size_t last = begin, from, to;
    pattern_search_text(walk, begin, end);
    while (pattern_search_next(walk, &from, &to)) {
        buffer_view(&out->text, view_slice(all, last, from));
        buffer_view(&out->text, content);
        last = to;
    }
    buffer_view(&out->text, view_slice(all, last, end));
    token_strings_close(out);
}

static void replace_run(const void *data, token_strings *s)
{
    const replace_settings *settings = data;
    token_strings fresh;
    token_strings_init(&fresh);
    normalized source = {0}; /* patterns search normalised text */
    view all = buffer_as_view(&s->text);
    normalized_append_source(&source, all, 0, s->count ? s->ends[s->count - 1] : 0);
    pattern_search walk;
    pattern_search_init(&walk, settings->pattern, &source);
    for (size_t i = 0; i < s->count && !fresh.failed && normalized_ok(&source); i++)
        replace_in_token(&walk, all, i ? s->ends[i - 1] : 0, s->ends[i], settings->content, &fresh);
    pattern_search_fini(&walk);
    fresh.failed |= !normalized_ok(&source);
    normalized_fini(&source);
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

/* ---- ByteFallback ------------------------------------------------------------------------------------------------ */

int token_byte(view token)
{
    int value = 0;
    if (token.size != 6 || !view_begins(token, VIEW("<0x")) || token.data[5] != '>')
        return -1;
    for (size_t i = 3; i < 5; i++) {
        char c = token.data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

view token_of_byte(unsigned char byte, char room[7])
{
    static const char digits[] = "0123456789ABCDEF";
    memcpy(room, "<0x00>", 7);
    room[3] = digits[byte >> 4];
    room[4] = digits[byte & 15];
    return (view){room, 6};
}

/* A run of byte tokens: its text, or one U+FFFD a byte when it is none.  Empties the run. */
static void put_byte_run(token_strings *out, buffer *run)
{
    view bytes = buffer_as_view(run);
    bool whole = utf8_first_bad(bytes) == bytes.size;
    if (whole && bytes.size > 0)
        token_strings_add(out, bytes);
    for (size_t i = 0; !whole && i < bytes.size; i++)
        token_strings_add(out, VIEW("\xEF\xBF\xBD"));
    buffer_clear(run);
}

static void byte_fallback_run(const void *data, token_strings *s)
{
    (void)data;
    token_strings fresh;
    token_strings_init(&fresh);
    buffer run;
    buffer_init(&run, DECODED_MOST);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        view token = token_strings_get(s, i);
        int byte = token_byte(token);
        if (byte >= 0) {
            fresh.failed |= !buffer_byte(&run, (char)byte);
            continue;
        }
        put_byte_run(&fresh, &run);
        token_strings_add(&fresh, token);
    }
    put_byte_run(&fresh, &run);
    buffer_fini(&run);
    token_strings_swap(s, &fresh);
}

/* ---- BPEDecoder, CTC --------------------------------------------------------------------------------------------- */

static const void *suffix_load(loader *l, const json_t *object)
{
    view *suffix = LOADER_NEW(l, view, 1);
    if (!suffix)
        return NULL;
    *suffix = VIEW("</w>");
    if (!loader_text(l, object, "suffix", false, suffix))
        return NULL;
    if (suffix->size == 0)
        return fail_null(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: decoder BPEDecoder with an empty suffix is not supported",
                         l->file);
    return suffix;
}

/* The suffix ends a word: a space, and nothing after the last. */
static void suffix_run(const void *data, token_strings *s)
{
    const view *suffix = data;
    token_strings fresh;
    token_strings_init(&fresh);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        append_replaced(&fresh.text, token_strings_get(s, i), *suffix, i + 1 < s->count ? VIEW(" ") : VIEW(""));
        token_strings_close(&fresh);
    }
    token_strings_swap(s, &fresh);
}

typedef struct ctc_settings {
    view pad, delimiter;
    bool cleanup;
} ctc_settings;

static const void *ctc_load(loader *l, const json_t *object)
{
    ctc_settings *s = LOADER_NEW(l, ctc_settings, 1);
    if (!s)
        return NULL;
    *s = (ctc_settings){VIEW("<pad>"), VIEW("|"), true};
    if (!loader_text(l, object, "pad_token", false, &s->pad) ||
        !loader_text(l, object, "word_delimiter_token", false, &s->delimiter) ||
        !loader_flag(l, object, "cleanup", &s->cleanup))
        return NULL;
    if (s->pad.size == 0 || s->delimiter.size == 0)
        return fail_null(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: decoder CTC with an empty token is not supported", l->file);
    return s;
}

/* One of each run of equal tokens, without padding, with delimiters as spaces; empty ones vanish. */
static void ctc_run(const void *data, token_strings *s)
{
    const ctc_settings *settings = data;
    token_strings fresh;
    token_strings_init(&fresh);
    buffer token, spare;
    buffer_init(&token, DECODED_MOST);
    buffer_init(&spare, DECODED_MOST);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        if (i > 0 && view_equal(token_strings_get(s, i), token_strings_get(s, i - 1)))
            continue;
        buffer_clear(&token);
        buffer_clear(&spare);
        append_replaced(&token, token_strings_get(s, i), settings->pad, VIEW(""));
        if (settings->cleanup) {
            fresh.failed |= !clean_up(&token, &spare);
            buffer_clear(&spare);
            append_replaced(&spare, buffer_as_view(&token), settings->delimiter, VIEW(" "));
        }
        buffer *result = settings->cleanup ? &spare : &token;
        fresh.failed |= !buffer_ok(result);
        if (result->size > 0)
            token_strings_add(&fresh, buffer_as_view(result));
    }
    buffer_fini(&token);
    buffer_fini(&spare);
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
    {{"BPEDecoder"}, suffix_load, suffix_run},
    {{"ByteFallback"}, NULL, byte_fallback_run},
    {{"ByteLevel"}, NULL, byte_level_decode},
    {{"CTC"}, ctc_load, ctc_run},
    {{"Fuse"}, NULL, fuse_run},
    {{"Metaspace"}, metaspace_load, metaspace_decode},
    {{"Replace"}, replace_load, replace_run},
    {{"Sequence"}, chain_load, chain_run},
    {{"SentencePiece"}, sentencepiece_decoder_load, sentencepiece_decoder_run},
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
