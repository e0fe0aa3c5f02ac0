/*
 * The closing table.
 *
 * Columns are as wide as what stands in them; the token's column gives way when the screen is narrow.  Where even that does not
 * fit, a feature takes two lines: what matters, and below it the rest.  Positions are those of `tokray tokens`.
 */
#include "present/full_table.h"

#include <math.h>
#include <stdio.h>

#include "base/memory.h"
#include "present/run_arrays.h"

enum { GAP = 2, INDENT = 2, TOKEN_MOST = 24, TOKEN_LEAST = 8, IDS_MOST = 16, CELL_ROOM = FIGURE_ROOM };

enum { RANK, POSITION, TOKEN, ID, SCORE, ERROR, EFFECT, COLUMNS };

typedef struct line {
    char cells[COLUMNS][CELL_ROOM]; /* the token's is unused */
    buffer token;
    size_t token_columns;
    uint32_t feature; /* UINT32_MAX: a row of the table's own */
} line;

typedef struct full {
    screen *s;
    line *lines;
    size_t count;
    const char *titles[COLUMNS];
    size_t widths[COLUMNS];
    int decimals;
    bool is_stacked;
} full;

static size_t columns_of(const char *text) { return tkr_columns(text, strlen(text)); }

/* ---- what the table says ---- */

const char *full_table_effect(const tkr_result *r, const result_run *run, const ranking *rank, size_t target, size_t feature)
{
    double score = (double)rank->scores[feature];
    bool unsure = ranking_is_unsure(rank, feature);
    if (isnan(score))
        return ranking_missing(r, run->scores, target, feature) == MISSING_REMOVAL ? "not removable" : "comes later";
    if (run_set(r, run) != SET_NONE)
        return score > 0 ? "in the set" : "";
    if (!rank->is_signed || !(score > 0 || score < 0))
        return "";
    return score > 0 ? unsure ? "Helpful?" : "Helpful" : unsure ? "Harmful?" : "Harmful";
}

uint32_t *full_table_order(const ranking *rank)
{
    uint32_t *order = NEW(uint32_t, rank->count);
    size_t next = rank->defined;
    if (!order)
        return NULL;
    for (size_t k = 0; k < rank->defined; k++)
        order[k] = rank->order[k];
    for (size_t f = 0; f < rank->count; f++)
        if (!isfinite(rank->scores[f]))
            order[next++] = (uint32_t)f;
    return order;
}

full_totals full_table_totals(const ranking *rank)
{
    full_totals t = {0};
    for (size_t k = 0; k < rank->defined; k++) {
        double score = (double)rank->scores[rank->order[k]];
        *(score > 0 ? &t.positive : &t.negative) += score;
    }
    t.overall = t.positive + t.negative;
    return t;
}

/* ---- rows ---- */

static line *add_line(full *t)
{
    line *to = &t->lines[t->count++];
    *to = (line){.feature = UINT32_MAX};
    buffer_init(&to->token, 4096);
    return to;
}

/* "2009", of several pieces "4487 2213"; of many the first and how many more. */
static void put_ids(char cell[CELL_ROOM], const tkr_result *r, const result_feature *f)
{
    size_t used = 0;
    for (size_t m = 0; m < f->count && used < CELL_ROOM; m++)
        used += (size_t)snprintf(cell + used, CELL_ROOM - used, "%s%d", m ? " " : "", (int)r->tokens[f->members[m]].token.id);
    if (f->count > 1 && used > IDS_MOST)
        snprintf(cell, CELL_ROOM, "%d +%zu", (int)r->tokens[f->members[0]].token.id, f->count - 1);
}

static void add_feature(full *t, const result_run *run, const ranking *rank, size_t target, size_t k, uint32_t feature)
{
    const tkr_result *r = t->s->result;
    const result_feature *f = &r->features[feature];
    bool ascii = t->s->options.ascii;
    line *to = add_line(t);
    to->feature = feature;
    if (k < rank->defined)
        snprintf(to->cells[RANK], CELL_ROOM, "%zu", k + 1);
    if (f->count > 0)
        snprintf(to->cells[POSITION], CELL_ROOM, "%u", (unsigned)f->members[0]);
    put_ids(to->cells[ID], r, f);
    ranking_figure(rank, to->cells[SCORE], (double)rank->scores[feature], ascii);
    ranking_error_figure(rank, to->cells[ERROR], feature, ascii);
    snprintf(to->cells[EFFECT], CELL_ROOM, "%s", full_table_effect(r, run, rank, target, feature));
    to->token_columns = visible_label(&to->token, feature_text(r, feature), ascii, TOKEN_MOST);
}

static void add_own(full *t, const ranking *rank, const char *name, double value)
{
    line *to = add_line(t);
    buffer_text(&to->token, name);
    to->token_columns = columns_of(name);
    ranking_figure(rank, to->cells[SCORE], value, t->s->options.ascii);
}

static void add_totals(full *t, const result_run *run, const ranking *rank)
{
    full_totals sums = full_table_totals(rank);
    char name[CELL_ROOM];
    if (run_set(t->s->result, run) != SET_NONE)
        return;
    if (rank->is_signed) {
        add_own(t, rank, "total positive", sums.positive);
        add_own(t, rank, "total negative", sums.negative);
    }
    add_own(t, rank, "total overall", sums.overall);
    if (t->s->options.special == TKR_SPECIAL_HIDE || run->special_count == 0 || !isfinite(rank->special))
        return;
    snprintf(name, sizeof name, "%s (%zu)", outside_name(t->s->result), run->special_count);
    add_own(t, rank, name, rank->special);
}

/* ---- layout ---- */

static size_t full_width(const full *t)
{
    size_t width = INDENT;
    for (size_t c = 0; c < COLUMNS; c++)
        width += t->widths[c] ? t->widths[c] + (c ? GAP : 0) : 0;
    return width;
}

static void measure(full *t)
{
    size_t room = (size_t)t->s->options.width, token = 0;
    for (size_t c = 0; c < COLUMNS; c++)
        t->widths[c] = columns_of(t->titles[c]);
    for (size_t i = 0; i < t->count; i++) {
        const line *l = &t->lines[i];
        for (size_t c = 0; c < COLUMNS; c++) {
            size_t columns = c == TOKEN ? l->token_columns : columns_of(l->cells[c]);
            t->widths[c] = columns > t->widths[c] ? columns : t->widths[c];
        }
        token = l->feature == UINT32_MAX && l->token_columns > token ? l->token_columns : token;
    }
    size_t least = token > TOKEN_LEAST ? token : TOKEN_LEAST, width = full_width(t);
    size_t over = width > room ? width - room : 0;
    t->is_stacked = over > 0 && t->widths[TOKEN] < least + over;
    t->widths[TOKEN] -= t->is_stacked ? 0 : over;
}

/* A label again, shorter. */
static void shorten(full *t, line *l, size_t most)
{
    if (l->token_columns <= most)
        return;
    buffer_clear(&l->token);
    l->token_columns = visible_label(&l->token, feature_text(t->s->result, l->feature), t->s->options.ascii, most);
}

/* ---- printing; spaces are put only before something ---- */

typedef struct cursor {
    screen *s;
    size_t pending;
} cursor;

static void put(cursor *at, const char *text, size_t columns, size_t width, bool is_right)
{
    size_t gap = width > columns ? width - columns : 0;
    at->pending += is_right ? gap : 0;
    if (*text) {
        screen_spaces(at->s, at->pending);
        out_text(at->s->o, text);
        at->pending = 0;
    } else {
        at->pending += columns;
    }
    at->pending += is_right ? 0 : gap;
}

/* A lone 0 stands where the other numbers have their units. */
static void put_score(cursor *at, const full *t, const char *figure, size_t width)
{
    size_t tail = t->decimals > 0 && strcmp(figure, "0") == 0 ? (size_t)t->decimals + 1 : 0;
    put(at, figure, columns_of(figure), width > tail ? width - tail : 0, true);
    at->pending += tail;
}

static void print_line(full *t, const char *const *cells, const char *token, size_t token_columns)
{
    static const bool is_right[COLUMNS] = {[RANK] = true, [POSITION] = true, [ID] = true};
    cursor at = {t->s, INDENT};
    for (size_t c = 0; c < COLUMNS; c++) {
        if (t->widths[c] == 0)
            continue;
        at.pending += c ? GAP : 0;
        if (c == TOKEN)
            put(&at, token, token_columns, t->widths[c], false);
        else if (c == SCORE)
            put_score(&at, t, cells[c], t->widths[c]);
        else
            put(&at, cells[c], columns_of(cells[c]), t->widths[c], is_right[c]);
    }
    screen_line(t->s);
}

static void print_row(full *t, line *l)
{
    const char *cells[COLUMNS];
    for (size_t c = 0; c < COLUMNS; c++)
        cells[c] = l->cells[c];
    shorten(t, l, t->widths[TOKEN]);
    print_line(t, cells, l->token.size ? l->token.data : "", l->token_columns);
}

/* Rank, token and score on one line, the rest below. */
static void print_stacked(full *t, line *l)
{
    screen *s = t->s;
    buffer rest;
    size_t width = (size_t)s->options.width, used = t->widths[RANK] + 1, score = columns_of(l->cells[SCORE]);
    size_t room = width > used + score + 1 ? width - used - score - 1 : 4;
    cursor at = {s, 0};
    if (l->feature != UINT32_MAX)
        shorten(t, l, room > TOKEN_MOST ? TOKEN_MOST : room);
    put(&at, l->cells[RANK], columns_of(l->cells[RANK]), t->widths[RANK], true);
    at.pending++;
    put(&at, l->token.size ? l->token.data : "", l->token_columns, l->token_columns, false);
    put(&at, l->cells[SCORE], score, width > used + l->token_columns ? width - used - l->token_columns : score, true);
    screen_line(s);
    if (l->feature == UINT32_MAX)
        return;
    buffer_init(&rest, 4096);
    buffer_format(&rest, "pos %s%sid %s", l->cells[POSITION], s->dot, l->cells[ID]);
    for (size_t c = ERROR; c < COLUMNS; c++)
        if (l->cells[c][0])
            buffer_format(&rest, "%s%s", s->dot, l->cells[c]);
    s->o->bytes.failed |= !buffer_ok(&rest);
    screen_paragraph(s, used, buffer_as_view(&rest), 0);
    buffer_fini(&rest);
}

static void print_notes(full *t, const result_run *run, const ranking *rank)
{
    bool any_unsure = false;
    for (size_t k = 0; k < rank->defined; k++)
        any_unsure |= rank->is_signed && ranking_is_unsure(rank, rank->order[k]);
    if (any_unsure)
        screen_paragraph(t->s, INDENT, VIEW("?: less than two standard errors from 0"), 0);
    if (!rank->is_signed && run_set(t->s->result, run) == SET_NONE)
        screen_paragraph(t->s, INDENT, VIEW("importance has no sign: neither Helpful nor Harmful"), 0);
}

void full_table(screen *s, const result_run *run, const ranking *rank, size_t target)
{
    uint32_t *order = full_table_order(rank);
    full t = {.s = s, .lines = NEW(line, rank->count + 4), .decimals = figure_decimals(rank->largest),
              .titles = {"#", "pos", "token", "id", rank->is_signed ? "score" : "importance", "", ""}};
    if (!order || !t.lines) {
        s->o->bytes.failed = true;
        memory_free(order);
        memory_free(t.lines);
        return;
    }
    for (size_t k = 0; k < rank->count; k++)
        add_feature(&t, run, rank, target, k, order[k]);
    add_totals(&t, run, rank);
    measure(&t);
    if (!t.is_stacked)
        print_line(&t, t.titles, t.titles[TOKEN], columns_of(t.titles[TOKEN]));
    for (size_t i = 0; i < t.count; i++) {
        if (t.is_stacked)
            print_stacked(&t, &t.lines[i]);
        else
            print_row(&t, &t.lines[i]);
        s->o->bytes.failed |= !buffer_ok(&t.lines[i].token);
        buffer_fini(&t.lines[i].token);
    }
    print_notes(&t, run, rank);
    memory_free(order);
    memory_free(t.lines);
}
