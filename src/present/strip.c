/*
 * Laying the sentence out.
 *
 * A line takes whole groups (pieces between places where a line may end); only a group wider than the screen is cut.  In
 * the bars style a feature is at least as wide as its mark, and spaces are one column wider, so that marks stay apart.
 */
#include "present/strip.h"

#include <math.h>
#include <stdio.h>

enum { EIGHTHS = 8, TENTHS = 9, NOTE_GAP = 3 };

static double strength_of(const strip *p, uint32_t feature)
{
    if (feature == PIECE_NO_FEATURE || p->ranking->largest <= 0)
        return 0;
    double score = (double)p->ranking->scores[feature];
    return isfinite(score) ? fabs(score) / p->ranking->largest : 0;
}

static bool is_member(const strip *p, const piece *item)
{
    return p->is_set && item->feature != PIECE_NO_FEATURE && p->ranking->scores[item->feature] > 0;
}

/* Height of a mark: 0 is none. */
static int mark_level(const screen *s, const strip *p, const piece *item)
{
    if (p->is_set || s->style != TKR_STYLE_BARS || !item->is_first)
        return 0;
    return (int)(strength_of(p, item->feature) * (s->options.ascii ? TENTHS : EIGHTHS) + 0.5);
}

static size_t mark_columns(const strip *p) { return p->is_signed ? 2 : 1; }

static size_t cell_columns(const screen *s, const strip *p, const piece *item)
{
    if (s->style != TKR_STYLE_BARS)
        return item->columns;
    if (item->kind == PIECE_SPACE)
        return item->columns + 1;
    bool widened = mark_level(s, p, item) > 0 && item->columns < mark_columns(p);
    return widened ? mark_columns(p) : item->columns;
}

/* End of the group that begins at `at`, and its columns. */
static size_t group_end(const screen *s, const strip *p, size_t at, size_t *columns)
{
    const piece *items = pieces_list(p->pieces);
    size_t count = pieces_count(p->pieces);
    *columns = 0;
    while (at < count && items[at].kind == PIECE_WORD) {
        *columns += cell_columns(s, p, &items[at]);
        if (items[at++].breaks_after)
            break;
    }
    return at;
}

/* Pieces [begin, return value) go on the line that begins at `begin`. */
static size_t line_end(const screen *s, const strip *p, size_t begin)
{
    const piece *items = pieces_list(p->pieces);
    size_t count = pieces_count(p->pieces), room = (size_t)s->options.width - p->indent, used = 0, at = begin;
    while (at < count && items[at].kind != PIECE_BREAK) {
        size_t columns = 0, end = at + 1;
        if (items[at].kind == PIECE_SPACE)
            columns = cell_columns(s, p, &items[at]);
        else
            end = group_end(s, p, at, &columns);
        bool fits = used + columns <= room;
        if (!fits && used == 0) /* a group wider than the screen: piece by piece */
            for (end = at, columns = 0; end < count && items[end].kind == PIECE_WORD; end++) {
                size_t one = cell_columns(s, p, &items[end]);
                if (columns + one > room && end > at)
                    break;
                columns += one;
            }
        else if (!fits && items[at].kind == PIECE_WORD)
            break;
        used += columns;
        at = end;
    }
    return at;
}

static size_t print_text(screen *s, const strip *p, size_t begin, size_t end)
{
    const piece *items = pieces_list(p->pieces);
    size_t column = 0;
    for (size_t i = begin; i < end; i++) {
        size_t columns = cell_columns(s, p, &items[i]);
        bool paints = s->style == TKR_STYLE_HEAT && items[i].feature != PIECE_NO_FEATURE;
        double score = paints ? (double)p->ranking->scores[items[i].feature] : 0;
        bool began = paints && screen_begin_tint(s, screen_side(p->is_signed, score), strength_of(p, items[i].feature));
        if (items[i].is_fixed)
            began = screen_begin_dim(s);
        else if (paints && is_member(p, &items[i]))
            began = screen_begin_underline(s) || began;
        out_view(s->o, view_slice(buffer_as_view(&p->pieces->text), items[i].begin, items[i].end));
        screen_end(s, began);
        screen_spaces(s, i + 1 < end ? columns - items[i].columns : 0);
        column += columns;
    }
    return column;
}

static void print_mark(screen *s, const strip *p, const piece *item, int level)
{
    static const char *const blocks[] = {"", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    double score = (double)p->ranking->scores[item->feature];
    bool began = screen_begin_bar(s, screen_side(p->is_signed, score));
    if (p->is_signed)
        out_text(s->o, score < 0 ? s->minus : "+");
    if (s->options.ascii)
        out_format(s->o, "%d", level);
    else
        out_text(s->o, blocks[level]);
    screen_end(s, began);
}

/* Lines under the members of a set. */
static void print_underlines(screen *s, const strip *p, size_t begin, size_t end)
{
    const piece *items = pieces_list(p->pieces);
    size_t column = p->indent, written = 0;
    for (size_t i = begin; i < end; i++) {
        if (is_member(p, &items[i]) && items[i].kind == PIECE_WORD) {
            screen_spaces(s, column - written);
            bool began = screen_begin_bar(s, SIDE_AMOUNT);
            out_repeat(s->o, "^", items[i].columns);
            screen_end(s, began);
            written = column + items[i].columns;
        }
        column += cell_columns(s, p, &items[i]);
    }
    if (written > 0)
        screen_line(s);
}

/* Marks under the pieces [begin, end); no line at all when there are none. */
static void print_marks(screen *s, const strip *p, size_t begin, size_t end)
{
    const piece *items = pieces_list(p->pieces);
    size_t column = 0, written = 0, wide = mark_columns(p);
    bool any = false;
    for (size_t i = begin; i < end; i++) {
        int level = mark_level(s, p, &items[i]);
        size_t columns = cell_columns(s, p, &items[i]);
        if (level > 0) {
            size_t offset = columns > wide + 1 ? 1 : 0;
            screen_spaces(s, (any ? 0 : p->indent) + column + offset - written);
            print_mark(s, p, &items[i], level);
            written = column + offset + wide;
            any = true;
        }
        column += columns;
    }
    if (any)
        screen_line(s);
}

static void print_note(screen *s, const strip *p, size_t column)
{
    size_t note = tkr_columns(p->note, strlen(p->note));
    if (p->indent + column + NOTE_GAP + note <= (size_t)s->options.width) {
        screen_spaces(s, NOTE_GAP);
    } else {
        screen_line(s);
        screen_spaces(s, p->indent);
    }
    out_text(s->o, p->note);
}

static void print_lines(screen *s, const strip *p)
{
    const piece *items = pieces_list(p->pieces);
    size_t count = pieces_count(p->pieces), at = 0;
    do {
        while (at < count && items[at].kind == PIECE_SPACE)
            at++;
        size_t end = line_end(s, p, at), shown = end;
        while (shown > at && items[shown - 1].kind == PIECE_SPACE)
            shown--;
        size_t column = print_text(s, p, at, shown), begin = at;
        at = end < count && items[end].kind == PIECE_BREAK ? end + 1 : end;
        while (at < count && items[at].kind == PIECE_SPACE)
            at++;
        if (at >= count && p->note)
            print_note(s, p, column);
        screen_line(s);
        if (!p->is_set)
            print_marks(s, p, begin, shown);
        else if (s->style == TKR_STYLE_BARS)
            print_underlines(s, p, begin, shown);
        if (at < count)
            screen_spaces(s, p->indent);
    } while (at < count);
}

/* One feature a line: its score, then its text. */
static void print_plain(screen *s, const strip *p)
{
    const tkr_result *r = s->result;
    char figure[FIGURE_ROOM];
    bool any = false;
    buffer label;
    buffer_init(&label, 1 << 24);
    for (size_t f = 0; f < r->feature_count; f++) {
        double score = (double)p->ranking->scores[f];
        if (isnan(score) || (p->is_set && score <= 0))
            continue;
        if (p->is_set)
            snprintf(figure, sizeof figure, "in set");
        else
            ranking_figure(p->ranking, figure, score, s->options.ascii);
        size_t columns = tkr_columns(figure, strlen(figure));
        screen_spaces(s, (any ? p->indent : 0) + (columns < 8 ? 8 - columns : 0));
        any = true;
        bool began = screen_begin_bar(s, screen_side(p->is_signed, score));
        out_text(s->o, figure);
        screen_end(s, began);
        screen_spaces(s, 1);
        buffer_clear(&label);
        size_t used = p->indent + 9, width = (size_t)s->options.width;
        visible_text(&label, view_of(feature_text(r, f)), s->options.ascii, width > used + 4 ? width - used : 4);
        out_view(s->o, buffer_as_view(&label));
        screen_line(s);
    }
    if (p->note || !any) {
        screen_spaces(s, any ? p->indent : 0);
        out_text(s->o, p->note ? p->note : "nothing");
        screen_line(s);
    }
    s->o->bytes.failed |= !buffer_ok(&label);
    buffer_fini(&label);
}

void strip_print(screen *s, const strip *p)
{
    if (s->style == TKR_STYLE_PLAIN)
        print_plain(s, p);
    else
        print_lines(s, p);
}
