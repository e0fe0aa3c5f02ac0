/*
 * Tables of scores.
 *
 * Scores of a column share their decimals, so that they align; shares are of the sum of |score|, the fold of special tokens
 * included.  Bars grow from one axis to both sides on the same scale: size and side carry the sign, colour only helps.
 * Equal words are told apart by their number, "is (2)".
 */
#include "present/score_table.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "present/figures.h"
#include "present/run_arrays.h"

enum {
    TABLE_WIDTH_MOST = 100,
    TABLE_WIDTH_BARS = 60, /* narrower: no bars                */
    TABLE_WIDTH_ROWS = 40, /* narrower: rows without a header  */
    TABLE_BARS_MOST = 40,
    TABLE_BARS_LEAST = 8,
    TABLE_TOKEN_MOST = 24,
    TABLE_TOKEN_LEAST = 5,
    TABLE_RANK = 4,
    TABLE_GAP = 4,
    TABLE_SHARE = 4,
};

typedef struct row {
    buffer label;
    size_t columns;
    char score[FIGURE_ROOM], error[FIGURE_ROOM], share[FIGURE_ROOM], rank[FIGURE_ROOM];
    double value;
    bool has_bar, is_unsure;
    uint32_t feature; /* UINT32_MAX: a row of the table's own */
} row;

typedef struct grid {
    screen *s;
    row *rows;
    size_t count;
    size_t token, score, error; /* widths of the columns; no errors: 0 */
    size_t gap;          /* between columns */
    bool drops_share;    /* no room for it  */
    size_t bars, left;   /* of the bars: all, left of the axis */
    double scale;        /* columns for one unit of score */
    int decimals;
    bool is_signed;
    bool is_plain; /* rows without a header */
} grid;

/* ---- cells ---- */

static size_t columns_of(const char *text) { return tkr_columns(text, strlen(text)); }

static void put_left(screen *s, const char *text, size_t columns, size_t width)
{
    out_text(s->o, text);
    screen_spaces(s, columns < width ? width - columns : 0);
}

/* Right-aligned; a lone 0 stands where the other numbers have their units. */
static void put_number(screen *s, const char *figure, int decimals, size_t width)
{
    size_t tail = decimals > 0 && figure[0] == '0' && figure[1] == '\0' ? (size_t)decimals + 1 : 0;
    size_t columns = columns_of(figure) + tail;
    screen_spaces(s, columns < width ? width - columns : 0);
    out_text(s->o, figure);
    screen_spaces(s, tail);
}

static void put_right(screen *s, const char *text, size_t width) { put_number(s, text, 0, width); }

static void label_feature(screen *s, row *to, uint32_t feature, size_t most)
{
    size_t number = feature_number(s->result, feature);
    to->columns = visible_label(&to->label, feature_text(s->result, feature), s->options.ascii, most);
    if (number > 1) {
        size_t before = to->label.size;
        buffer_format(&to->label, " (%zu)", number);
        to->columns += to->label.size - before;
    }
}

/* ---- rows ---- */

static row *add_row(grid *g, const ranking *rank, double value, double share)
{
    row *to = &g->rows[g->count++];
    *to = (row){.value = value, .feature = UINT32_MAX};
    buffer_init(&to->label, 4096);
    ranking_figure(rank, to->score, value, g->s->options.ascii);
    if (isfinite(share))
        figure_percent(to->share, share, false);
    return to;
}

static void add_features(grid *g, const ranking *rank, size_t shown)
{
    bool narrow = g->s->options.width < TABLE_WIDTH_BARS;
    for (size_t k = 0; k < shown; k++) {
        double value = (double)rank->scores[rank->order[k]];
        row *to = add_row(g, rank, value, ranking_share(rank, value));
        to->has_bar = isfinite(value);
        to->is_unsure = ranking_is_unsure(rank, rank->order[k]);
        ranking_error_figure(rank, to->error, rank->order[k], g->s->options.ascii);
        to->feature = rank->order[k];
        snprintf(to->rank, sizeof to->rank, "%zu", k + 1);
        label_feature(g->s, to, to->feature, narrow ? TABLE_TOKEN_MOST / 2 : TABLE_TOKEN_MOST);
    }
}

static void add_rest(grid *g, const ranking *rank, size_t shown)
{
    double sum = 0, magnitude = 0;
    for (size_t k = shown; k < rank->defined; k++) {
        double value = (double)rank->scores[rank->order[k]];
        sum += isfinite(value) ? value : 0;
        magnitude += isfinite(value) ? fabs(value) : 0;
    }
    if (shown == rank->defined)
        return;
    row *to = add_row(g, rank, sum, ranking_share(rank, magnitude));
    buffer_format(&to->label, "%zu more", rank->defined - shown);
    to->columns = columns_of(buffer_ok(&to->label) ? to->label.data : "");
}

/* The chip of the folded special tokens: what the template's own tokens got, unless that is nothing. */
static void add_special(grid *g, const result_run *run, const ranking *rank)
{
    char figure[FIGURE_ROOM];
    if (g->s->options.special == TKR_SPECIAL_HIDE || run->special_count == 0 || !isfinite(rank->special))
        return;
    if (view_is(view_of(ranking_figure(rank, figure, rank->special, true)), "0"))
        return;
    row *to = add_row(g, rank, rank->special, ranking_share(rank, rank->special));
    buffer_format(&to->label, "%s (%zu)", outside_name(g->s->result), run->special_count);
    to->columns = columns_of(buffer_ok(&to->label) ? to->label.data : "");
}

static void measure_columns(grid *g)
{
    g->token = TABLE_TOKEN_LEAST;
    g->score = columns_of("score");
    for (size_t i = 0; i < g->count; i++) {
        size_t score = columns_of(g->rows[i].score), error = columns_of(g->rows[i].error);
        g->error = error > g->error ? error : g->error;
        g->token = g->rows[i].columns > g->token ? g->rows[i].columns : g->token;
        g->score = score > g->score ? score : g->score;
    }
}

static size_t error_columns(const grid *g) { return g->error ? g->error + 1 : 0; }

/* Errors take the room that gaps leave, then that of the shares; where even that is too little they are left out. */
static void measure_gaps(grid *g)
{
    size_t width = (size_t)g->s->options.width;
    if ((g->is_plain ? 5 : TABLE_RANK + 2 + TABLE_GAP / 2) + g->token + g->score + error_columns(g) > width)
        g->error = 0;
    size_t rows = TABLE_RANK + 2 + g->token + g->score + error_columns(g), brief = 5 + g->token + 1 + g->score + error_columns(g);
    g->gap = rows + 2 * TABLE_GAP + TABLE_SHARE + 1 > width ? TABLE_GAP / 2 : TABLE_GAP;
    g->drops_share = (g->is_plain ? brief + 1 + TABLE_SHARE : rows + 2 * g->gap + TABLE_SHARE + 1) > width && g->error;
}

/* Divide the bars' columns between the two sides so that both have the same scale. */
static void measure_bars(grid *g, const ranking *rank, size_t used)
{
    size_t width = (size_t)g->s->options.width;
    width = width > TABLE_WIDTH_MOST ? TABLE_WIDTH_MOST : width;
    if (width < TABLE_WIDTH_BARS || g->s->options.is_brief || rank->largest <= 0 || used + TABLE_BARS_LEAST > width)
        return;
    g->bars = width - used > TABLE_BARS_MOST ? TABLE_BARS_MOST : width - used;
    double extent = rank->most - rank->least, room = (double)(g->bars - 1);
    g->left = (size_t)(room * (0 - rank->least) / extent + 0.5);
    if (rank->least < 0 && g->left == 0) /* a side without a column would leave no scale for the other */
        g->left = 1;
    if (rank->most > 0 && g->left >= g->bars - 1)
        g->left = g->bars - 2;
    double right = room - (double)g->left;
    g->scale = room / extent;
    if (rank->least < 0 && g->scale > (double)g->left / -rank->least)
        g->scale = (double)g->left / -rank->least;
    if (rank->most > 0 && g->scale > right / rank->most)
        g->scale = right / rank->most;
}

/* ---- printing ---- */

/* A bar whose sign is uncertain is hatched. */
static const char *bar_block(const grid *g, bool is_unsure)
{
    return !is_unsure ? g->s->block : g->s->options.ascii ? ":" : "░";
}

static void put_right_bar(grid *g, double length, bool is_unsure)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    screen *s = g->s;
    size_t units = (size_t)(length * 8 + 0.5), whole = s->options.ascii || is_unsure ? (size_t)(length + 0.5) : units / 8;
    size_t part = s->options.ascii || is_unsure ? 0 : units % 8, right = g->bars - g->left - 1;
    bool began = screen_begin_bar(s, g->is_signed ? SIDE_TOWARDS : SIDE_AMOUNT);
    out_repeat(s->o, bar_block(g, is_unsure), whole);
    out_text(s->o, eighths[part]);
    screen_end(s, began);
    screen_spaces(s, right - whole - (part > 0));
}

static void put_left_bar(grid *g, double length, bool is_unsure)
{
    screen *s = g->s;
    size_t halves = (size_t)(length * 2 + 0.5), whole = s->options.ascii || is_unsure ? (size_t)(length + 0.5) : halves / 2;
    size_t part = s->options.ascii || is_unsure ? 0 : halves % 2;
    screen_spaces(s, g->left - whole - part);
    bool began = screen_begin_bar(s, SIDE_AWAY);
    out_text(s->o, part ? "▐" : "");
    out_repeat(s->o, bar_block(g, is_unsure), whole);
    screen_end(s, began);
}

static void put_bar(grid *g, const row *r)
{
    if (!r->has_bar) {
        screen_spaces(g->s, g->bars);
        return;
    }
    put_left_bar(g, r->value < 0 ? -r->value * g->scale : 0, r->is_unsure);
    out_text(g->s->o, g->s->axis);
    put_right_bar(g, r->value > 0 ? r->value * g->scale : 0, r->is_unsure);
}

static void print_header(grid *g)
{
    screen *s = g->s;
    put_right(s, "#", TABLE_RANK);
    screen_spaces(s, 2);
    put_left(s, "token", TABLE_TOKEN_LEAST, g->token);
    screen_spaces(s, g->gap);
    put_right(s, "score", g->score);
    if (!g->drops_share) {
        screen_spaces(s, error_columns(g) + (g->bars ? g->bars + 2 * g->gap : g->gap));
        put_right(s, "share", TABLE_SHARE + 1);
    }
    screen_line(s);
}

static void print_row(grid *g, const row *r)
{
    screen *s = g->s;
    bool has_share = r->share[0] && !g->drops_share;
    put_right(s, r->rank, TABLE_RANK);
    screen_spaces(s, 2);
    put_left(s, r->label.size ? r->label.data : "", r->columns, g->token);
    screen_spaces(s, g->gap);
    put_number(s, r->score, g->decimals, g->score);
    if (r->error[0] && g->error)
        out_format(s->o, " %s", r->error);
    size_t pending = g->error ? error_columns(g) - (r->error[0] ? 1 + columns_of(r->error) : 0) : 0;
    if (g->bars) {
        screen_spaces(s, pending + g->gap);
        put_bar(g, r);
        pending = 0;
    }
    if (has_share) {
        screen_spaces(s, pending + g->gap);
        put_right(s, r->share, TABLE_SHARE + 1);
    }
    screen_line(s);
}

/* "  1 superb +2.91 41%" */
static void print_brief_row(grid *g, const row *r)
{
    screen *s = g->s;
    screen_spaces(s, 2);
    put_right(s, r->rank, g->count >= 10 ? 2 : 1);
    screen_spaces(s, 1);
    put_left(s, r->label.size ? r->label.data : "", r->columns, g->token);
    screen_spaces(s, 1);
    put_number(s, r->score, g->decimals, g->score);
    if (r->error[0] && g->error)
        out_format(s->o, " %s", r->error);
    if (r->share[0] && !g->drops_share)
        out_format(s->o, " %s", r->share);
    screen_line(s);
}

static void print_grid(grid *g)
{
    if (!g->is_plain)
        print_header(g);
    for (size_t i = 0; i < g->count; i++) {
        if (g->is_plain)
            print_brief_row(g, &g->rows[i]);
        else
            print_row(g, &g->rows[i]);
    }
}

void score_table(screen *s, const result_run *run, const ranking *rank)
{
    size_t shown = rank->defined < s->options.top ? rank->defined : s->options.top;
    grid g = {.s = s, .rows = NEW(row, shown + 2), .decimals = figure_decimals(rank->largest), .is_signed = run->facts.is_signed,
              .is_plain = s->options.is_brief || s->options.width < TABLE_WIDTH_ROWS};
    if (!g.rows) {
        s->o->bytes.failed = true;
        return;
    }
    add_features(&g, rank, shown);
    if (!s->options.is_brief) {
        add_rest(&g, rank, shown);
        add_special(&g, run, rank);
    }
    measure_columns(&g);
    measure_gaps(&g);
    measure_bars(&g, rank, TABLE_RANK + 2 + g.token + g.score + error_columns(&g) + 3 * g.gap + TABLE_SHARE + 1);
    print_grid(&g);
    for (size_t i = 0; i < g.count; i++) {
        s->o->bytes.failed |= !buffer_ok(&g.rows[i].label);
        buffer_fini(&g.rows[i].label);
    }
    memory_free(g.rows);
}

/* ---- several methods ---- */

/* A set has members instead of scores. */
static void compare_figure(const screen *s, size_t m, const ranking *rank, uint32_t feature, char figure[FIGURE_ROOM])
{
    if (run_set(s->result, &s->result->runs[m]) == SET_NONE)
        ranking_figure(rank, figure, (double)rank->scores[feature], s->options.ascii);
    else
        snprintf(figure, FIGURE_ROOM, "%s", rank->scores[feature] > 0 ? "in set" : "");
}

static size_t compare_width(const screen *s, size_t m, const ranking *rank, size_t shown, const uint32_t *order)
{
    char figure[FIGURE_ROOM];
    size_t width = columns_of(s->result->runs[m].facts.id);
    for (size_t k = 0; k < shown; k++) {
        compare_figure(s, m, rank, order[k], figure);
        width = columns_of(figure) > width ? columns_of(figure) : width;
    }
    return width;
}

/* skipped: columns that are left empty before the first figure. */
static void compare_row(screen *s, const ranking *rankings, const size_t *widths, size_t fit, row *r, size_t skipped)
{
    char figure[FIGURE_ROOM];
    for (size_t m = 0; m < fit; m++) {
        int decimals = figure_decimals(rankings[m].largest);
        compare_figure(s, m, &rankings[m], r->feature, figure);
        if (!figure[0]) {
            skipped += 3 + widths[m];
            continue;
        }
        screen_spaces(s, 3 + skipped);
        put_number(s, figure, decimals, widths[m]);
        skipped = 0;
    }
    screen_line(s);
}

static size_t compare_fit(screen *s, const ranking *rankings, size_t *widths, size_t shown, size_t used)
{
    size_t fit = 0;
    for (; fit < s->result->run_count; fit++) {
        widths[fit] = compare_width(s, fit, &rankings[fit], shown, rankings[0].order);
        used += 3 + widths[fit];
        if (used > (size_t)s->options.width && fit > 0)
            break;
    }
    return fit;
}

static void compare_header(screen *s, const size_t *widths, size_t fit, size_t token)
{
    screen_spaces(s, 2);
    put_left(s, "token", TABLE_TOKEN_LEAST, token);
    for (size_t m = 0; m < fit; m++) {
        screen_spaces(s, 3);
        put_right(s, s->result->runs[m].facts.id, widths[m]);
    }
    screen_line(s);
}

static void compare_print(screen *s, const ranking *rankings, row *rows, size_t *widths, size_t shown)
{
    size_t token = TABLE_TOKEN_LEAST;
    for (size_t k = 0; k < shown; k++) {
        rows[k].feature = rankings[0].order[k];
        buffer_init(&rows[k].label, 4096);
        label_feature(s, &rows[k], rows[k].feature, TABLE_TOKEN_MOST);
        token = rows[k].columns > token ? rows[k].columns : token;
    }
    size_t fit = compare_fit(s, rankings, widths, shown, 2 + token);
    compare_header(s, widths, fit, token);
    for (size_t k = 0; k < shown; k++) {
        screen_spaces(s, 2);
        out_text(s->o, rows[k].label.size ? rows[k].label.data : "");
        compare_row(s, rankings, widths, fit, &rows[k], token > rows[k].columns ? token - rows[k].columns : 0);
        s->o->bytes.failed |= !buffer_ok(&rows[k].label);
        buffer_fini(&rows[k].label);
    }
    if (shown < rankings[0].defined)
        out_format(s->o, "  %zu more\n", rankings[0].defined - shown);
    if (fit < s->result->run_count) {
        char text[FIGURE_ROOM];
        int length = snprintf(text, sizeof text, "%zu more method%s a wider terminal", s->result->run_count - fit,
                              s->result->run_count - fit == 1 ? " needs" : "s need");
        screen_paragraph(s, 2, (view){text, (size_t)length}, 0);
    }
}

void score_table_compare(screen *s, const ranking *rankings)
{
    size_t count = rankings[0].defined, shown = count < s->options.top ? count : s->options.top;
    row *rows = NEW(row, shown);
    size_t *widths = NEW(size_t, s->result->run_count);
    if (rows && widths)
        compare_print(s, rankings, rows, widths, shown);
    else
        s->o->bytes.failed = true;
    memory_free(rows);
    memory_free(widths);
}
