/* The terminal; see screen.h.  Escape sequences are written here and nowhere else. */
#include "present/screen.h"

#include "base/utf8.h"
#include "present/columns.h"

enum { WIDTH_DEFAULT = 80, WIDTH_LEAST = 20, WIDTH_MOST = 1000, WIDTH_PLAIN = 40, TOP_ROWS = 10, CLUSTER_BYTES = 64 };

tkr_terminal_options tkr_terminal_options_defaults(void)
{
    return (tkr_terminal_options){.width = WIDTH_DEFAULT, .top = TOP_ROWS};
}

static tkr_style choose_style(const tkr_terminal_options *o)
{
    bool can_paint = o->color >= TKR_COLOR_256;
    if (o->style == TKR_STYLE_PLAIN || o->width < WIDTH_PLAIN)
        return TKR_STYLE_PLAIN;
    if (o->style == TKR_STYLE_BARS || !can_paint)
        return TKR_STYLE_BARS;
    return TKR_STYLE_HEAT;
}

void screen_init(screen *s, out *o, const tkr_result *result, const tkr_terminal_options *options)
{
    *s = (screen){.o = o, .result = result, .options = *options};
    tkr_terminal_options *used = &s->options;
    used->width = used->width <= 0 ? WIDTH_DEFAULT : used->width < WIDTH_LEAST ? WIDTH_LEAST : used->width;
    if (used->width > WIDTH_MOST)
        used->width = WIDTH_MOST;
    if (used->top == 0)
        used->top = TOP_ROWS;
    s->style = choose_style(used);
    s->colors = used->is_light ? &palette_light : &palette_dark;
    s->minus = used->ascii ? "-" : "−";
    s->dot = used->ascii ? " - " : " · ";
    s->block = used->ascii ? "#" : "█";
    s->axis = used->ascii ? "|" : "│";
    s->ellipsis = used->ascii ? "..." : "…";
}

static void begin_24_bit(screen *s, int what, uint32_t color)
{
    out_format(s->o, "\x1b[%d;2;%u;%u;%um", what, (unsigned)(color >> 16), (unsigned)(color >> 8 & 255), (unsigned)(color & 255));
}

bool screen_begin_tint(screen *s, palette_side side, double strength)
{
    const palette *p = s->colors;
    if (s->options.color == TKR_COLOR_24BIT) {
        int tint = palette_tint(strength);
        if (tint == 0)
            return false;
        begin_24_bit(s, 38, p->text);
        begin_24_bit(s, 48, p->tints[side][tint - 1]);
        return true;
    }
    int tint = s->options.color == TKR_COLOR_256 ? palette_tint_256(strength) : 0;
    if (tint == 0)
        return false;
    out_format(s->o, "\x1b[38;5;%d;48;5;%dm", p->text_256, p->tints_256[side][tint - 1]);
    return true;
}

bool screen_begin_bar(screen *s, palette_side side)
{
    switch (s->options.color) {
    case TKR_COLOR_24BIT:
        begin_24_bit(s, 38, s->colors->bars[side]);
        return true;
    case TKR_COLOR_256:
        out_format(s->o, "\x1b[38;5;%dm", s->colors->bars_256[side]);
        return true;
    case TKR_COLOR_16:
        out_format(s->o, "\x1b[%dm", s->colors->bars_16[side]);
        return true;
    case TKR_COLOR_NONE:
        break;
    }
    return false;
}

static bool begin(screen *s, const char *sequence)
{
    if (s->options.color == TKR_COLOR_NONE)
        return false;
    out_text(s->o, sequence);
    return true;
}

bool screen_begin_bold(screen *s) { return begin(s, "\x1b[1m"); }
bool screen_begin_dim(screen *s) { return begin(s, "\x1b[2m"); }
bool screen_begin_underline(screen *s) { return begin(s, "\x1b[4m"); }

void screen_end(screen *s, bool began)
{
    if (began)
        out_text(s->o, "\x1b[0m");
}

palette_side screen_side(bool is_signed, double score)
{
    return !is_signed ? SIDE_AMOUNT : score < 0 ? SIDE_AWAY : SIDE_TOWARDS;
}

void screen_spaces(screen *s, size_t count) { out_repeat(s->o, " ", count); }
void screen_line(screen *s) { out_text(s->o, "\n"); }

/* ---- text that is safe to show ---- */

static size_t put_glyph(buffer *b, const char *glyph, size_t *columns)
{
    buffer_text(b, glyph);
    *columns += tkr_columns(glyph, strlen(glyph));
    return 1;
}

/* Bytes that are no character, up to the next one that is. */
static size_t put_bytes(buffer *b, view text, size_t at, bool ascii, size_t *columns)
{
    uint32_t ignored;
    size_t end = at;
    buffer_text(b, ascii ? "<" : "⟨");
    for (; end < text.size && utf8_decode(text, end, &ignored) == 0 && end - at < 8; end++)
        buffer_format(b, "%s%02X", end > at ? " " : "", (unsigned)(unsigned char)text.data[end]);
    buffer_text(b, ascii ? ">" : "⟩");
    *columns += 1 + 3 * (end - at);
    return end - at;
}

static size_t put_code_point_name(buffer *b, uint32_t code_point, bool ascii, size_t *columns)
{
    size_t before = b->size;
    buffer_format(b, "%sU+%04X%s", ascii ? "<" : "⟨", (unsigned)code_point, ascii ? ">" : "⟩");
    *columns += buffer_ok(b) ? tkr_columns(b->data + before, b->size - before) : 0;
    char unused[4];
    return utf8_encode(unused, code_point);
}

/* A heap of marks on one letter: the first ones, then how many bytes are left out. */
static size_t put_long_cluster(buffer *b, view text, size_t at, const cluster *c, bool ascii, size_t *columns)
{
    size_t shown = CLUSTER_BYTES;
    while (shown > 0 && ((unsigned char)text.data[at + shown] & 0xC0) == 0x80)
        shown--;
    buffer_append(b, text.data + at, shown);
    size_t before = b->size;
    buffer_format(b, "%s+%zu bytes%s", ascii ? "<" : "⟨", c->bytes - shown, ascii ? ">" : "⟩");
    *columns += c->columns + (buffer_ok(b) ? tkr_columns(b->data + before, b->size - before) : 0);
    return c->bytes;
}

size_t visible_at(buffer *b, view text, size_t at, bool ascii, size_t *columns)
{
    cluster c = cluster_at(text, at);
    if (c.invalid)
        return put_bytes(b, text, at, ascii, columns);
    if (c.code_point == '\n')
        return put_glyph(b, ascii ? "\\n" : "↵", columns);
    if (c.code_point == '\t')
        return put_glyph(b, ascii ? "\\t" : "⇥", columns);
    if (c.code_point == 0x1B)
        return put_glyph(b, ascii ? "<ESC>" : "␛", columns);
    if (utf8_is_hidden(c.code_point))
        return put_code_point_name(b, c.code_point, ascii, columns);
    if (c.bytes > CLUSTER_BYTES)
        return put_long_cluster(b, text, at, &c, ascii, columns);
    buffer_append(b, text.data + at, c.bytes);
    *columns += c.columns;
    return c.bytes;
}

size_t visible_text(buffer *b, view text, bool ascii, size_t most)
{
    const char *ellipsis = ascii ? "..." : "…";
    size_t columns = 0, mark = ascii ? 3 : 1, kept = b->size, kept_columns = 0;
    for (size_t at = 0; at < text.size;) {
        at += visible_at(b, text, at, ascii, &columns);
        if (most && columns > most && buffer_ok(b)) {
            b->size = kept;
            b->data[kept] = '\0';
            buffer_text(b, ellipsis);
            return kept_columns + mark;
        }
        if (columns + mark <= most) {
            kept = b->size;
            kept_columns = columns;
        }
    }
    return columns;
}

const char *plain_piece(const char *piece) { return piece && view_is(view_of(piece), "\xE2\x96\x81") ? " " : piece; }

const char *feature_text(const tkr_result *r, size_t feature)
{
    const result_feature *f = &r->features[feature];
    const char *raw = f->count > 0 ? r->tokens[f->members[0]].token.raw : NULL;
    return f->label && f->label[0] ? f->label : raw ? plain_piece(raw) : "";
}

const char *outside_name(const tkr_result *r)
{
    return r->context ? "special, fixed" : "special";
}

size_t feature_number(const tkr_result *r, size_t feature)
{
    size_t number = 1;
    view text = view_of(feature_text(r, feature));
    for (size_t i = 0; i < feature; i++)
        number += view_equal(view_of(feature_text(r, i)), text);
    return number;
}

size_t visible_label(buffer *b, const char *text, bool ascii, size_t most)
{
    text = plain_piece(text);
    view v = view_of(text ? text : "?");
    size_t spaces = 0;
    while (spaces < v.size && v.data[spaces] == ' ')
        spaces++;
    if (spaces < v.size || v.size == 0)
        return visible_text(b, view_slice(v, spaces, v.size), ascii, most);
    buffer_byte(b, '"');
    size_t columns = visible_text(b, v, ascii, most - 2);
    buffer_byte(b, '"');
    return columns + 2;
}

/* ---- paragraphs ---- */

typedef struct paragraph {
    screen *s;
    size_t indent, column, bold;
    view text;
} paragraph;

static void put_part(paragraph *p, size_t begin, size_t end)
{
    size_t bold_end = end < p->bold ? end : p->bold;
    if (begin < bold_end) {
        bool began = screen_begin_bold(p->s);
        out_view(p->s->o, view_slice(p->text, begin, bold_end));
        screen_end(p->s, began);
        begin = bold_end;
    }
    out_view(p->s->o, view_slice(p->text, begin, end));
}

static void break_line(paragraph *p)
{
    screen_line(p->s);
    screen_spaces(p->s, p->indent);
    p->column = p->indent;
}

/* A word that no line can hold is cut between characters. */
static void put_long_word(paragraph *p, size_t begin, size_t end)
{
    size_t width = (size_t)p->s->options.width;
    for (size_t at = begin; at < end;) {
        cluster c = cluster_at(view_slice(p->text, 0, end), at);
        if (p->column + c.columns > width && p->column > p->indent)
            break_line(p);
        put_part(p, at, at + c.bytes);
        p->column += c.columns;
        at += c.bytes;
    }
}

/* A line does not end in the space of a quoted token: " Paris". */
static bool opens_quote(view text, size_t begin, size_t at)
{
    return at > begin && text.data[at - 1] == '"' && (at - 1 == begin || text.data[at - 2] == '(');
}

void screen_paragraph(screen *s, size_t indent, view text, size_t bold)
{
    paragraph p = {.s = s, .indent = indent, .column = indent, .bold = bold, .text = text};
    size_t width = (size_t)s->options.width;
    screen_spaces(s, indent);
    for (size_t at = 0; at < text.size;) {
        size_t end = at;
        while (end < text.size && (text.data[end] != ' ' || opens_quote(text, at, end)))
            end++;
        size_t columns = tkr_columns(text.data + at, end - at), gap = p.column > indent ? 1 : 0;
        if (gap && p.column + gap + columns > width) {
            break_line(&p);
            gap = 0;
        }
        if (gap)
            put_part(&p, at - 1, at);
        p.column += gap;
        if (p.column + columns > width)
            put_long_word(&p, at, end);
        else {
            put_part(&p, at, end);
            p.column += columns;
        }
        at = end;
        while (at < text.size && text.data[at] == ' ')
            at++;
    }
    screen_line(s);
}
