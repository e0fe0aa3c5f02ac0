/*
 * The generation matrix.
 *
 * One scale for all cells, so that columns compare; a sign and a shade (ASCII: 1 to 9) carry what colour only repeats.  A dot
 * is a score near 0; a blank cell has none: a later output cannot have made an earlier one, and some features cannot be
 * removed.  Columns that do not fit follow in a block of their own, with the rows that mean something there.
 */
#include "present/matrix.h"

#include <math.h>

#include "base/memory.h"
#include "base/number.h"
#include "present/figures.h"

enum {
    MATRIX_INDENT = 2,
    MATRIX_GAP = 3,
    MATRIX_GAP_NARROW = 2, /* when not all columns fit          */
    MATRIX_HEAD_MOST = 10, /* columns of a token above a column */
    MATRIX_LABEL_MOST = 24,
    MATRIX_CELL = 2,
    MATRIX_PROBABILITY = 4,
    MATRIX_SHADES = 4,
    MATRIX_DIGITS = 9,
};

typedef struct matrix {
    screen *s;
    const tkr_result *r;
    const float *scores; /* [columns][rows]          */
    size_t rows;
    bool of_tokens;      /* rows are tokens, not features */
    const char *const *heads; /* of the columns      */
    size_t columns;
    bool is_signed, has_probabilities;
    double scale;      /* largest |score|            */
    size_t label;      /* width of the rows' labels  */
    size_t *widths;    /* of the columns             */
    size_t gap;
    size_t column, at; /* where the line is, and where the next text begins */
} matrix;

bool matrix_applies(const tkr_result *r)
{
    bool applies = r->target_count > 1;
    for (size_t i = 0; i < r->target_count; i++)
        applies = applies && r->targets[i].kind && view_is(view_of(r->targets[i].kind), "gen");
    return applies;
}

/* ---- measuring ---- */

static double score_at(const matrix *m, size_t column, size_t row)
{
    return (double)m->scores[column * m->rows + row];
}

static void find_scale(matrix *m)
{
    for (size_t i = 0; i < m->columns * m->rows; i++) {
        double score = (double)m->scores[i];
        if (isfinite(score) && fabs(score) > m->scale)
            m->scale = fabs(score);
    }
}

static size_t text_columns(const matrix *m, const char *text, size_t most)
{
    buffer b;
    buffer_init(&b, 4096);
    size_t columns = visible_label(&b, text, m->s->options.ascii, most);
    m->s->o->bytes.failed |= !buffer_ok(&b);
    buffer_fini(&b);
    return columns;
}

static const char *row_text(const matrix *m, size_t row)
{
    return m->of_tokens ? m->r->tokens[row].token.raw : feature_text(m->r, row);
}

/* Does a row stand for something that the model put out? */
static bool is_of_output(const matrix *m, size_t row)
{
    return m->of_tokens ? m->r->tokens[row].is_output : m->r->features[row].text == 2;
}

static size_t label_most(const matrix *m)
{
    size_t third = (size_t)m->s->options.width / 3;
    return third < MATRIX_LABEL_MOST ? third : MATRIX_LABEL_MOST;
}

static void measure(matrix *m)
{
    size_t total = 0;
    m->label = 1;
    for (size_t row = 0; row < m->rows; row++) {
        size_t columns = text_columns(m, row_text(m, row), label_most(m));
        m->label = columns > m->label ? columns : m->label;
    }
    for (size_t t = 0; t < m->columns; t++) {
        size_t columns = text_columns(m, m->heads[t], MATRIX_HEAD_MOST);
        size_t least = m->has_probabilities ? MATRIX_PROBABILITY : MATRIX_CELL;
        m->widths[t] = columns > least ? columns : least;
        total += MATRIX_GAP + m->widths[t];
    }
    m->gap = MATRIX_INDENT + m->label + total <= (size_t)m->s->options.width ? MATRIX_GAP : MATRIX_GAP_NARROW;
}

/* End of the block of columns that begins at `first`: at least one. */
static size_t block_end(const matrix *m, size_t first)
{
    size_t used = MATRIX_INDENT + m->label, end = first;
    while (end < m->columns && used + m->gap + m->widths[end] <= (size_t)m->s->options.width)
        used += m->gap + m->widths[end++];
    return end > first ? end : first + 1;
}

/* ---- printing; spaces are put only before something ---- */

static void begin_line(matrix *m)
{
    m->column = 0;
    m->at = MATRIX_INDENT;
}

static void move_to_cell(matrix *m, size_t first, size_t target)
{
    m->at = MATRIX_INDENT + m->label + m->gap;
    for (size_t t = first; t < target; t++)
        m->at += m->widths[t] + m->gap;
}

static void catch_up(matrix *m)
{
    screen_spaces(m->s, m->at > m->column ? m->at - m->column : 0);
    m->column = m->at;
}

static void put(matrix *m, const char *text, size_t most)
{
    buffer b;
    buffer_init(&b, 4096);
    catch_up(m);
    m->column += visible_label(&b, text, m->s->options.ascii, most);
    out_view(m->s->o, buffer_as_view(&b));
    m->s->o->bytes.failed |= !buffer_ok(&b);
    buffer_fini(&b);
}

static void put_score(matrix *m, double score)
{
    static const char *const shades[MATRIX_SHADES + 1] = {"·", "░", "▒", "▓", "█"};
    screen *s = m->s;
    if (isnan(score))
        return;
    bool ascii = s->options.ascii;
    double strength = m->scale > 0 ? fmin(fabs(score) / m->scale, 1) : 0;
    int level = (int)(strength * (ascii ? MATRIX_DIGITS : MATRIX_SHADES) + 0.5);
    m->at += m->is_signed && level == 0;
    catch_up(m);
    bool began = level > 0 && screen_begin_bar(s, screen_side(m->is_signed, score));
    if (m->is_signed && level > 0)
        out_text(s->o, score < 0 ? s->minus : "+");
    if (!ascii)
        out_text(s->o, shades[level]);
    else if (level > 0)
        out_format(s->o, "%d", level);
    else
        out_text(s->o, ".");
    screen_end(s, began);
    m->column += m->is_signed && level > 0 ? 2 : 1;
}

static void print_heads(matrix *m, size_t first, size_t end)
{
    begin_line(m);
    for (size_t t = first; t < end; t++) {
        move_to_cell(m, first, t);
        catch_up(m);
        bool began = screen_begin_bold(m->s);
        put(m, m->heads[t], MATRIX_HEAD_MOST);
        screen_end(m->s, began);
    }
    screen_line(m->s);
}

static void print_probabilities(matrix *m, size_t first, size_t end)
{
    char figure[NUMBER_ROOM];
    if (!m->has_probabilities)
        return;
    begin_line(m);
    put(m, "p", m->label);
    for (size_t t = first; t < end; t++) {
        move_to_cell(m, first, t);
        if (isfinite(m->r->targets[t].probability))
            put(m, number_fixed(figure, m->r->targets[t].probability, 2), NUMBER_ROOM);
    }
    screen_line(m->s);
}

/* Rows of the input always stand; those of the output where a column of the block comes after them. */
static bool has_row(const matrix *m, size_t row, size_t first, size_t end)
{
    if (!is_of_output(m, row))
        return true;
    for (size_t t = first; t < end; t++)
        if (!isnan(score_at(m, t, row)))
            return true;
    return false;
}

static void print_row(matrix *m, size_t row, size_t first, size_t end)
{
    begin_line(m);
    put(m, row_text(m, row), label_most(m));
    for (size_t t = first; t < end; t++) {
        move_to_cell(m, first, t);
        put_score(m, score_at(m, t, row));
    }
    screen_line(m->s);
}

/* earlier output ---------- */
static void print_rule(matrix *m, size_t first, size_t end)
{
    static const char title[] = "earlier output";
    move_to_cell(m, first, end);
    size_t width = m->at - m->gap, used = MATRIX_INDENT + sizeof title;
    screen_spaces(m->s, MATRIX_INDENT);
    out_text(m->s->o, title);
    if (width > used) {
        screen_spaces(m->s, 1);
        out_repeat(m->s->o, m->s->options.ascii ? "-" : "─", width - used);
    }
    screen_line(m->s);
}

static void print_block(matrix *m, size_t first, size_t end)
{
    bool ruled = false;
    print_heads(m, first, end);
    print_probabilities(m, first, end);
    for (int of_output = 0; of_output < 2; of_output++)
        for (size_t row = 0; row < m->rows; row++) {
            if (is_of_output(m, row) != of_output || !has_row(m, row, first, end))
                continue;
            if (of_output && !ruled)
                print_rule(m, first, end);
            ruled |= of_output;
            print_row(m, row, first, end);
        }
}

/* All blocks of a matrix whose scores, heads and number of columns are set. */
static void print_blocks(matrix *m)
{
    m->widths = NEW(size_t, m->columns);
    if (!m->widths || !m->heads) {
        m->s->o->bytes.failed = true;
        memory_free(m->widths);
        return;
    }
    find_scale(m);
    measure(m);
    for (size_t first = 0, end; first < m->columns; first = end) {
        end = block_end(m, first);
        if (first > 0)
            screen_line(m->s);
        print_block(m, first, end);
    }
    memory_free(m->widths);
}

void matrix_print(screen *s, const result_run *run)
{
    const tkr_result *r = s->result;
    const char **heads = NEW(const char *, r->target_count);
    matrix m = {.s = s, .r = r, .scores = run->scores->data, .rows = r->feature_count, .columns = r->target_count, .is_signed = run->facts.is_signed, .heads = heads};
    for (size_t t = 0; heads && t < r->target_count; t++) {
        heads[t] = r->targets[t].label;
        m.has_probabilities |= isfinite(r->targets[t].probability);
    }
    print_blocks(&m);
    memory_free(heads);
}

/* ---- pairs ---- */

void matrix_print_pairs(screen *s, const tkr_array *pairs, size_t target)
{
    const tkr_result *r = s->result;
    size_t n = r->feature_count;
    const char **heads = NEW(const char *, n);
    matrix m = {.s = s, .r = r, .scores = pairs->data + target * n * n, .rows = n, .columns = n, .is_signed = true, .heads = heads};
    for (size_t f = 0; heads && f < n; f++)
        heads[f] = feature_text(r, f);
    print_blocks(&m);
    memory_free(heads);
}

/* ---- layers ---- */

const tkr_array *matrix_layers(const tkr_result *r, const result_run *run)
{
    for (size_t i = 0; i < r->array_count; i++) {
        view name = view_of(r->arrays[i]->name), id = view_of(run->facts.id);
        if (name.size > id.size && view_begins(name, id) && view_is(view_slice(name, id.size, name.size), ".layers"))
            return r->arrays[i];
    }
    return NULL;
}

/* The layer's number in "decoder.layer.11.output"; the whole label where there is none. */
static const char *layer_number(char *room, const char *label)
{
    size_t count = 0;
    const char *at = label;
    while (*at && (*at < '0' || *at > '9'))
        at++;
    while (at[count] >= '0' && at[count] <= '9' && count + 1 < NUMBER_ROOM) {
        room[count] = at[count];
        count++;
    }
    room[count] = 0;
    return count ? room : label;
}

void matrix_print_layers(screen *s, const result_run *run, const tkr_array *layers, size_t target)
{
    const tkr_result *r = s->result;
    size_t count = layers->axes[1]->size, rows = layers->axes[2]->size;
    const char **heads = NEW(const char *, count);
    char *numbers = NEW(char, count * NUMBER_ROOM);
    matrix m = {.s = s, .r = r, .scores = layers->data + target * count * rows, .rows = rows, .of_tokens = true, .columns = count,
                .is_signed = run->facts.is_signed, .heads = numbers ? heads : NULL};
    for (size_t l = 0; heads && numbers && l < count; l++)
        heads[l] = layer_number(numbers + l * NUMBER_ROOM, tkr_axis_label(layers->axes[1], l));
    print_blocks(&m);
    memory_free(heads);
    memory_free(numbers);
}
