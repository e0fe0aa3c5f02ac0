/*
 * From text and features to pieces.
 *
 * Words, sentences: spaces separate, line breaks break.  Tokens: spaces, tabs and line breaks are shown as glyphs and tokens
 * that touch are parted by a bar, because there the boundaries are what one looks at.
 * What the model put out follows behind an arrow, up to the step that is explained: nothing later had a say in it.
 * Known to go wrong: features that begin inside a grapheme cluster (the cluster is then shown in parts), bytes that are no
 * character, words longer than a line.
 */
#include "present/strip_pieces.h"

#include "base/size.h"
#include "base/utf8.h"
#include "present/screen.h"

enum { PIECES_MAXIMUM = 1 << 30, TAB_COLUMNS = 4 };

typedef struct builder {
    pieces *p;
    const tkr_result *r;
    const pieces_options *options;
    bool tokens;          /* boundaries are shown */
    piece open;
    bool is_open;
    bool is_fixed;        /* what is being added is fixed context */
    uint32_t begun;       /* last feature that has its first piece */
} builder;

static void close_piece(builder *b)
{
    if (!b->is_open)
        return;
    b->open.end = b->p->text.size;
    buffer_append(&b->p->items, &b->open, sizeof b->open);
    b->is_open = false;
}

static void open_piece(builder *b, piece_kind kind, uint32_t feature)
{
    close_piece(b);
    bool is_first = feature != PIECE_NO_FEATURE && feature != b->begun && kind == PIECE_WORD;
    if (is_first)
        b->begun = feature;
    b->open = (piece){.begin = b->p->text.size, .feature = feature, .kind = kind, .is_first = is_first, .is_fixed = b->is_fixed};
    b->is_open = true;
}

static void add_break(builder *b)
{
    open_piece(b, PIECE_BREAK, PIECE_NO_FEATURE);
    close_piece(b);
}

static void add_space(builder *b, size_t columns, uint32_t feature)
{
    open_piece(b, PIECE_SPACE, feature);
    for (size_t i = 0; i < columns; i++)
        buffer_byte(&b->p->text, ' ');
    b->open.columns = columns;
    close_piece(b);
}

static void add_glyph(builder *b, const char *glyph, uint32_t feature, bool breaks_after)
{
    open_piece(b, PIECE_WORD, feature);
    buffer_text(&b->p->text, glyph);
    b->open.columns = tkr_columns(glyph, strlen(glyph));
    b->open.breaks_after = breaks_after;
    close_piece(b);
}

/* One character of a word; returns the bytes it stood for. */
static size_t add_visible(builder *b, view text, size_t at, uint32_t feature)
{
    size_t columns = 0, before = b->p->text.size;
    if (!b->is_open || b->open.kind != PIECE_WORD || b->open.feature != feature || b->open.is_fixed != b->is_fixed)
        open_piece(b, PIECE_WORD, feature);
    size_t taken = visible_at(&b->p->text, text, at, b->options->ascii, &columns);
    if (b->open.columns > 0 && b->open.columns + columns > b->options->most && buffer_ok(&b->p->text)) {
        b->p->text.size = before; /* it begins the next piece instead */
        open_piece(b, PIECE_WORD, feature);
        columns = 0;
        visible_at(&b->p->text, text, at, b->options->ascii, &columns);
    }
    b->open.columns += columns;
    return taken;
}

/* White space at `at`: how many bytes it takes, 0 when there is none. */
static size_t add_white_space(builder *b, view text, size_t at, uint32_t feature)
{
    bool ascii = b->options->ascii;
    char c = text.data[at];
    if (c == '\r' && !b->tokens && at + 1 < text.size && text.data[at + 1] == '\n')
        return 1;
    if (c == '\n') {
        if (b->tokens)
            add_glyph(b, ascii ? "\\n" : "↵", feature, true);
        add_break(b);
        return 1;
    }
    if (c == '\t') {
        if (b->tokens)
            add_glyph(b, ascii ? "\\t" : "⇥", feature, true);
        else
            add_space(b, TAB_COLUMNS, feature);
        return 1;
    }
    if (c == ' ') {
        if (b->tokens && !ascii)
            add_glyph(b, "·", feature, true);
        else
            add_space(b, 1, feature);
        return 1;
    }
    return 0;
}

/* The first feature of text `which` at or after `from` that ends after byte `at`; feature_count when there is none. */
static size_t next_feature(const tkr_result *r, size_t from, int32_t which, size_t at)
{
    while (from < r->feature_count && (r->features[from].text != which || r->features[from].end <= (int64_t)at))
        from++;
    return from;
}

static bool is_context(const tkr_result *r, int32_t which, size_t at)
{
    for (size_t i = 0; r->context && i < r->token_count; i++) {
        const tkr_token *t = &r->tokens[i].token;
        if (r->tokens[i].is_context && t->text == which && t->begin <= (int64_t)at && (int64_t)at < t->end)
            return true;
    }
    return false;
}

/* The first `bytes` of input `which`. */
static void add_text(builder *b, int32_t which, size_t bytes)
{
    view text = {b->r->inputs[which].text, bytes};
    size_t f = 0, before = SIZE_MAX;
    for (size_t at = 0; at < text.size;) {
        f = next_feature(b->r, f, which, at);
        bool ahead = f < b->r->feature_count, inside = ahead && b->r->features[f].begin <= (int64_t)at;
        size_t limit = inside ? (size_t)b->r->features[f].end : ahead ? (size_t)b->r->features[f].begin : text.size;
        if (limit > text.size)
            limit = text.size;
        uint32_t feature = inside ? (uint32_t)f : PIECE_NO_FEATURE;
        if (b->tokens && inside && before != SIZE_MAX && before != f && b->r->features[before].end == (int64_t)at)
            add_glyph(b, "|", PIECE_NO_FEATURE, false);
        before = inside ? f : before;
        b->is_fixed = !inside && is_context(b->r, which, at);
        size_t taken = add_white_space(b, text, at, feature);
        at += taken ? taken : add_visible(b, view_slice(text, 0, limit), at, feature);
    }
    close_piece(b);
    b->is_fixed = false;
}

/* Template tokens from *token on, up to the next token of the text or the output. */
static void add_template_tokens(builder *b, size_t *token, bool of_output)
{
    for (; *token < b->r->token_count && b->r->tokens[*token].token.text < 0; ++*token) {
        if (b->r->tokens[*token].is_output != of_output)
            return;
        view raw = view_of(b->r->tokens[*token].token.raw);
        for (size_t at = 0; at < raw.size;)
            at += add_visible(b, raw, at, PIECE_NO_FEATURE);
        add_space(b, 1, PIECE_NO_FEATURE);
    }
}

/* Bytes of the output that one target depends on: all of them, or those before its step. */
static size_t output_bytes(const tkr_result *r)
{
    int64_t step = r->target_count == 1 ? r->targets[0].step : -1, end = 0;
    if (step < 0)
        return r->inputs[2].bytes;
    for (size_t i = 0; i < r->token_count; i++)
        if (r->tokens[i].is_output && r->tokens[i].step >= 0 && r->tokens[i].step < step && r->tokens[i].token.end > end)
            end = r->tokens[i].token.end;
    return (size_t)end < r->inputs[2].bytes ? (size_t)end : r->inputs[2].bytes;
}

static void add_arrow(builder *b)
{
    close_piece(b);
    if (pieces_count(b->p) > 0)
        add_break(b);
    add_glyph(b, b->options->ascii ? "->" : "→", PIECE_NO_FEATURE, false);
}

static void add_output(builder *b, size_t *token)
{
    const result_input *output = &b->r->inputs[2];
    size_t bytes = output->id && output->text ? output_bytes(b->r) : 0;
    if (bytes == 0)
        return;
    add_arrow(b);
    if (b->tokens || b->options->shows_special || output->text[0] != ' ')
        add_space(b, 1, PIECE_NO_FEATURE);
    while (*token < b->r->token_count && !b->r->tokens[*token].is_output)
        ++*token;
    if (b->options->shows_special)
        add_template_tokens(b, token, true);
    add_text(b, 2, bytes);
}

static void add_inputs(builder *b)
{
    size_t token = 0;
    if (b->options->shows_special)
        add_template_tokens(b, &token, false);
    for (int32_t i = 0; i < 2 && b->r->inputs[i].id; i++) {
        if (i > 0)
            add_break(b);
        add_text(b, i, b->r->inputs[i].bytes);
        if (!b->options->shows_special)
            continue;
        while (token < b->r->token_count && b->r->tokens[token].token.text >= 0 && !b->r->tokens[token].is_output)
            token++;
        add_space(b, 1, PIECE_NO_FEATURE);
        add_template_tokens(b, &token, false);
    }
    add_output(b, &token);
}

/* An input of token ids has no text: the features' labels stand for it. */
static void add_labels(builder *b)
{
    for (size_t f = 0; f < b->r->feature_count && b->r->features[f].text < 2; f++) {
        view label = view_of(b->r->features[f].label);
        for (size_t at = 0; at < label.size;)
            at += add_visible(b, label, at, (uint32_t)f);
        add_space(b, 1, PIECE_NO_FEATURE);
    }
    size_t token = 0;
    add_output(b, &token);
}

bool pieces_init(pieces *p, const tkr_result *r, const pieces_options *options)
{
    builder b = {.p = p, .r = r, .options = options, .begun = PIECE_NO_FEATURE};
    b.tokens = r->feature_kind && view_is(view_of(r->feature_kind), "tokens");
    buffer_init(&p->text, PIECES_MAXIMUM);
    buffer_init(&p->items, PIECES_MAXIMUM);
    if (r->inputs[0].id && r->inputs[0].text)
        add_inputs(&b);
    else
        add_labels(&b);
    close_piece(&b);
    return buffer_ok(&p->text) && buffer_ok(&p->items);
}

void shown_pieces_fini(pieces *p)
{
    buffer_fini(&p->text);
    buffer_fini(&p->items);
}

size_t pieces_count(const pieces *p) { return p->items.size / sizeof(piece); }
const piece *pieces_list(const pieces *p) { return (const void *)p->items.data; }
