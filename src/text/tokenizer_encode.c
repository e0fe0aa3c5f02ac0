/*
 * From text to tokens and back.
 *
 *   text -> added tokens -> normalizer -> added tokens of the normalised text -> pre-tokenizer -> model -> cut -> template
 *
 * Known to go wrong: everything between two added tokens is normalised by itself; word indexes are those of pieces, added
 * tokens included, and begin at 0 again in the second text; what is too long is cut before the template is put around it.
 */
#include "base/memory.h"
#include "base/utf8.h"
#include "text/tokenizer_room.h"
#include "text/unicode.h"

enum { TEXT_BYTES_DEFAULT = 1 << 20, TEXT_BYTES_MOST = 64 << 20 };

/* A token of one text; offsets are bytes of that text. */
typedef struct text_token {
    int32_t id;
    int32_t word;
    uint32_t begin, end;
    bool is_added; /* found as an added token */
} text_token;

/* One text on its way. */
typedef struct text_state {
    view source;
    normalized text;
    piece_list pieces;
    text_token *tokens;
    size_t begin, end, capacity; /* tokens[begin .. end) are left after cutting */
    bool failed;
    bool lacks_unknown; /* a character that the model cannot spell */
} text_state;

static void text_state_fini(text_state *s)
{
    normalized_fini(&s->text);
    pieces_fini(&s->pieces);
    memory_free(s->tokens);
}

/* ---- one text ---------------------------------------------------------------------------------------------------- */

/* Steps 1 and 2: added tokens and normalised text between them. */
static void find_pieces(const tokenizer *t, text_state *s)
{
    piece_list raw = {0};
    normalized part = {0};
    added_split(&t->added, false, s->source, 0, &raw);
    for (size_t i = 0; i < raw.count && normalized_ok(&s->text); i++) {
        text_piece p = raw.items[i];
        size_t base = s->text.size;
        if (p.added >= 0) {
            normalized_append_source(&s->text, s->source, p.begin, p.end);
            pieces_add(&s->pieces, base, s->text.size, p.added);
            continue;
        }
        normalized_clear(&part);
        normalized_append_source(&part, s->source, p.begin, p.end);
        normalizer_run(t->normalizer, &part);
        if (normalized_ok(&part))
            added_split(&t->added, true, normalized_view(&part), base, &s->pieces);
        normalized_append(&s->text, &part);
    }
    s->failed |= raw.failed || s->pieces.failed || !normalized_ok(&s->text);
    normalized_fini(&part);
    pieces_fini(&raw);
}

static void put_token(text_state *s, int32_t id, size_t word, text_range range, bool is_added)
{
    if (s->end == s->capacity) {
        size_t capacity = s->capacity ? s->capacity * 2 : 64;
        text_token *grown = memory_resize(s->tokens, capacity, sizeof(*grown));
        if (!grown) {
            s->failed = true;
            return;
        }
        s->tokens = grown;
        s->capacity = capacity;
    }
    s->tokens[s->end++] = (text_token){id, (int32_t)word, range.begin, range.end, is_added};
}

/* Step 4: ids of the pieces. */
static void find_tokens(const tokenizer *t, text_state *s)
{
    model_tokens found = {0};
    for (size_t i = 0; i < s->pieces.count && !s->failed; i++) {
        text_piece p = s->pieces.items[i];
        if (p.added >= 0) {
            put_token(s, t->added.items[p.added].id, i, normalized_origin(&s->text, p.begin, p.end), true);
            continue;
        }
        found.count = 0;
        view text = view_slice(normalized_view(&s->text), p.begin, p.end);
        t->model.kind->run(t->model.data, &t->vocabulary, text, &found);
        s->failed |= found.failed;
        s->lacks_unknown |= found.lacks_unknown;
        for (size_t k = 0; k < found.count && !s->failed; k++) {
            model_token m = found.items[k];
            put_token(s, m.id, i, normalized_origin(&s->text, p.begin + m.begin, p.begin + m.end), false);
        }
    }
    model_tokens_fini(&found);
}

static tkr_status check_text(view text, const char *name, size_t most, tkr_error *error)
{
    if (text.size > most) {
        fail(error, TKR_E_LIMIT_TEXT, "%s has %zu bytes, the limit is %zu", name, text.size, most);
        fail_help(error, "give a shorter text, or parts of it one by one");
        fail_field(error, name, (int64_t)most, (int64_t)(text.size - most));
        return TKR_E_LIMIT_TEXT;
    }
    size_t bad = utf8_first_bad(text);
    if (bad < text.size) {
        fail(error, TKR_E_INPUT_UTF8, "%s: byte %zu (0x%02X) is not UTF-8", name, bad,
             (unsigned)(unsigned char)text.data[bad]);
        fail_field(error, name, (int64_t)bad, 1);
        return TKR_E_INPUT_UTF8;
    }
    return TKR_OK;
}

static tkr_status fail_gave_up(const normalized *n, const char *name, tkr_error *error)
{
    fail(error, TKR_E_TIME_PATTERN, "%s: pattern %zu gave up at byte %zu of the text", name,
         n->gave_up - 1, n->gave_up_at);
    fail_help(error, "the tokenizer's regular expression is too expensive for this text; give a shorter text");
    fail_field(error, name, (int64_t)n->gave_up_at, 1);
    return TKR_E_TIME_PATTERN;
}

static tkr_status run_text(const tokenizer *t, text_state *s, const char *name, size_t most, tkr_error *error)
{
    tkr_status status = check_text(s->source, name, most, error);
    if (status != TKR_OK)
        return status;
    find_pieces(t, s);
    if (!s->failed)
        pretokenizer_run(t->pretokenizer, &s->text, &s->pieces);
    s->failed |= s->pieces.failed || !normalized_ok(&s->text);
    if (!s->failed)
        find_tokens(t, s);
    if (s->lacks_unknown)
        return fail(error, TKR_E_TOK_UNIGRAM, "%s: a character is in no piece of the vocabulary, and unk_id is null", name);
    if (s->text.gave_up)
        return fail_gave_up(&s->text, name, error);
    if (s->text.over_limit)
        return fail(error, TKR_E_LIMIT_TEXT, "%s: normalised it passes %d bytes", name, NORMALIZED_LIMIT);
    return s->failed ? fail_memory(error, name, s->source.size) : TKR_OK;
}

/* ---- cutting ----------------------------------------------------------------------------------------------------- */

static size_t left_of(const text_state *s)
{
    return s->end - s->begin;
}

static void keep(text_state *s, size_t count, tkr_truncate how)
{
    if (how == TKR_TRUNCATE_START)
        s->begin = s->end - count;
    else
        s->end = s->begin + count;
}

/* The reference's "longest first": how many tokens of each text stay when room is for `most` in all. */
static void share(size_t *a, size_t *b, size_t most)
{
    bool swapped = *a > *b;
    size_t n1 = swapped ? *b : *a, n2 = swapped ? *a : *b;
    if (n1 > most)
        n2 = n1;
    else
        n2 = n1 > most - n1 ? n1 : most - n1;
    if (n1 + n2 > most) {
        n1 = most / 2;
        n2 = n1 + most % 2;
    }
    *a = swapped ? n2 : n1;
    *b = swapped ? n1 : n2;
}

/* Cut the texts so that all tokens with those of the template fit.  Refuses where it may not or cannot cut. */
static tkr_status cut(text_state texts[2], bool is_pair, size_t template_tokens, encode_options options, tkr_error *error)
{
    size_t a = left_of(&texts[0]), b = left_of(&texts[1]), total = a + b + template_tokens;
    if (options.max_tokens == 0 || total <= options.max_tokens)
        return TKR_OK;
    if (options.truncate == TKR_TRUNCATE_NEVER) {
        fail(error, TKR_E_INPUT_TOO_LONG, "input has %zu tokens, the model takes %zu", total, options.max_tokens);
        fail_help(error, "--truncate end keeps the first tokens, --truncate start the last");
        fail_field(error, "text", -1, 0);
        return TKR_E_INPUT_TOO_LONG;
    }
    if (options.max_tokens < template_tokens)
        return fail(error, TKR_E_INPUT_TOO_LONG, "special tokens alone are %zu, the limit is %zu", template_tokens,
                    options.max_tokens);
    size_t most = options.max_tokens - template_tokens;
    if (is_pair)
        share(&a, &b, most);
    else
        a = most;
    keep(&texts[0], a, options.truncate);
    keep(&texts[1], b, options.truncate);
    return TKR_OK;
}

/* ---- trimming offsets -------------------------------------------------------------------------------------------- */

static bool is_blank(uint32_t c)
{
    return c == 0x120 || unicode_is_space(c); /* the visible space of byte-level vocabularies, or a space */
}

/* Blank characters at the front and at the end of a token's own text. */
static void count_blanks(view token, size_t *front, size_t *back)
{
    bool all = true;
    *front = *back = 0;
    for (size_t at = 0; at < token.size;) {
        uint32_t c = 0;
        size_t bytes = utf8_decode(token, at, &c);
        bool blank = is_blank(c);
        all &= blank;
        *front += all;
        *back = blank ? *back + 1 : 0;
        at += bytes ? bytes : 1;
    }
}

/* Move a token's offsets inwards by so many characters of the source, as the reference counts them. */
static void trim(const tokenizer *t, const text_state *s, text_token *token, bool is_first)
{
    view own = token->is_added ? view_slice(s->source, token->begin, token->end) : view_of(tokenizer_piece(t, token->id));
    size_t front, back;
    count_blanks(own, &front, &back);
    if (t->postprocessor.keeps_prefix_space && front == 1 && (is_first || token->begin == 0))
        front = 0;
    for (; front > 0 && token->begin < token->end; front--)
        do
            token->begin++;
        while (token->begin < token->end && ((unsigned char)s->source.data[token->begin] & 0xC0) == 0x80);
    for (; back > 0 && token->end > token->begin; back--)
        do
            token->end--;
        while (token->end > token->begin && ((unsigned char)s->source.data[token->end] & 0xC0) == 0x80);
}

/* ---- template ---------------------------------------------------------------------------------------------------- */

static tkr_token *put_text(const tokenizer *t, const text_state *s, int32_t number, int32_t segment, tkr_token *out)
{
    for (size_t i = s->begin; i < s->end; i++) {
        text_token token = s->tokens[i];
        if (t->postprocessor.trims_offsets)
            trim(t, s, &token, i == s->begin);
        *out++ = (tkr_token){.id = token.id,
                             .segment = segment,
                             .text = number,
                             .word = token.word,
                             .begin = token.begin,
                             .end = token.end,
                             .special = tokenizer_role(t, token.id),
                             .raw = tokenizer_piece(t, token.id)};
    }
    return out;
}

static tkr_token *put_template_tokens(const tokenizer *t, const template_item *item, tkr_token *out)
{
    for (size_t i = 0; i < item->count; i++)
        *out++ = (tkr_token){.id = item->ids[i],
                             .segment = item->segment,
                             .text = -1,
                             .word = -1,
                             .begin = -1,
                             .end = -1,
                             .special = tokenizer_role(t, item->ids[i]),
                             .is_template = true,
                             .raw = tokenizer_piece(t, item->ids[i])};
    return out;
}

static tkr_encoding *assemble(const tokenizer *t, const text_state texts[2], const template *form, bool no_special)
{
    size_t count = left_of(&texts[0]) + left_of(&texts[1]) + (no_special ? 0 : form->token_count);
    tkr_encoding *encoding = NEW(tkr_encoding, 1);
    tkr_token *out = NEW(tkr_token, count);
    if (!encoding || !out) {
        memory_free(encoding);
        memory_free(out);
        return NULL;
    }
    *encoding = (tkr_encoding){.tokens = out, .count = count};
    for (size_t i = 0; i < form->count; i++) {
        const template_item *item = &form->items[i];
        if (item->source == TEMPLATE_FIRST_TEXT)
            out = put_text(t, &texts[0], 0, item->segment, out);
        else if (item->source == TEMPLATE_SECOND_TEXT)
            out = put_text(t, &texts[1], 1, item->segment, out);
        else if (!no_special)
            out = put_template_tokens(t, item, out);
    }
    return encoding;
}

tkr_encoding *tokenizer_encode(const tokenizer *t, view text, encode_options options, tkr_error *error)
{
    text_state texts[2] = {{.source = text}, {.source = options.pair ? *options.pair : VIEW("")}};
    const template *form = options.pair ? &t->postprocessor.pair : &t->postprocessor.single;
    size_t most = options.max_bytes ? options.max_bytes : TEXT_BYTES_DEFAULT;
    if (most > TEXT_BYTES_MOST)
        most = TEXT_BYTES_MOST;
    tkr_encoding *encoding = NULL;
    tkr_status status = run_text(t, &texts[0], "text", most, error);
    if (status == TKR_OK && options.pair)
        status = run_text(t, &texts[1], "pair", most, error);
    size_t whole = left_of(&texts[0]) + left_of(&texts[1]);
    if (status == TKR_OK)
        status = cut(texts, options.pair != NULL, options.no_special ? 0 : form->token_count, options, error);
    if (status == TKR_OK) {
        encoding = assemble(t, texts, form, options.no_special);
        if (encoding)
            encoding->dropped = whole - left_of(&texts[0]) - left_of(&texts[1]);
        else
            fail_memory(error, "tokens", whole * sizeof(tkr_token));
    }
    text_state_fini(&texts[0]);
    text_state_fini(&texts[1]);
    return encoding;
}

/* ---- back to text ------------------------------------------------------------------------------------------------ */

/* Decided by the string, as in the reference. */
static bool is_special(const tokenizer *t, view string)
{
    int32_t index = added_index(&t->added, string);
    return index >= 0 && t->added.items[index].special;
}

tkr_status tokenizer_decode(const tokenizer *t, const int32_t *ids, size_t count, bool skip_special, buffer *out,
                            tkr_error *error)
{
    token_strings strings;
    token_strings_init(&strings);
    for (size_t i = 0; i < count && !strings.failed; i++) {
        const added_token *added = added_of_id(&t->added, ids[i]);
        view shown = added ? added->decoded : vocabulary_piece_of(&t->vocabulary, ids[i]);
        if (shown.data && !(skip_special && is_special(t, shown)))
            token_strings_add(&strings, shown);
    }
    decoder_run(t->decoder, &strings);
    bool good = !strings.failed && buffer_view(out, buffer_as_view(&strings.text));
    token_strings_fini(&strings);
    return good ? TKR_OK : fail_memory(error, "decoded text", count);
}
