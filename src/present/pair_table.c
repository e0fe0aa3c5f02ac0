/*
 * Pairs of features.  A pair's value is what the two do together beyond what each does alone: positive means more towards the
 * target, negative less.  The diagonal of the matrix is what a feature does alone.
 */
#include "present/pair_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "present/figures.h"
#include "present/matrix.h"

enum { PAIR_MATRIX_MOST = 12, PAIR_LABEL_MOST = 20, PAIR_LABEL_NARROW = 10, PAIR_WIDTH_WORDS = 60, PAIR_INDENT = 2, PAIR_GAP = 2 };

typedef struct pair {
    double value, error; /* error NaN: none */
    uint32_t a, b;
} pair;

static int compare_pairs(const void *x, const void *y)
{
    const pair *p = x, *q = y;
    double a = fabs(p->value), b = fabs(q->value);
    if (a < b || a > b)
        return a < b ? 1 : -1;
    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

/* Pairs a < b that have a value, the strongest first. */
static size_t list_pairs(const tkr_result *r, const result_run *run, size_t target, pair *list)
{
    size_t n = r->feature_count, count = 0;
    const tkr_array *errors = run_pair_errors(r, run);
    const float *values = run_pairs(r, run)->data + target * n * n;
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = a + 1; b < n; b++)
            if (isfinite(values[a * n + b]))
                list[count++] = (pair){(double)values[a * n + b],
                                       errors ? (double)errors->data[target * n * n + a * n + b] : (double)NAN, a, b};
    qsort(list, count, sizeof *list, compare_pairs);
    return count;
}

typedef struct columns {
    size_t label, value, error;
    size_t most; /* of a label */
    int decimals;
} columns;

static size_t columns_of(const char *text) { return tkr_columns(text, strlen(text)); }

/* Prints nothing when `prints` is false; returns the columns. */
static size_t put_label(screen *s, uint32_t feature, size_t most, bool prints)
{
    buffer b;
    buffer_init(&b, 4096);
    size_t number = feature_number(s->result, feature), used = visible_label(&b, feature_text(s->result, feature), s->options.ascii, most);
    if (number > 1) {
        size_t before = b.size;
        buffer_format(&b, " (%zu)", number);
        used += b.size - before;
    }
    if (prints)
        out_view(s->o, buffer_as_view(&b));
    s->o->bytes.failed |= !buffer_ok(&b);
    buffer_fini(&b);
    return used;
}

static columns measure(screen *s, const pair *list, size_t shown)
{
    columns c = {.most = s->options.width < PAIR_WIDTH_WORDS ? PAIR_LABEL_NARROW : PAIR_LABEL_MOST,
                 .decimals = figure_decimals(shown ? fabs(list[0].value) : 0)};
    char figure[FIGURE_ROOM];
    for (size_t i = 0; i < shown; i++) {
        size_t a = put_label(s, list[i].a, c.most, false), b = put_label(s, list[i].b, c.most, false);
        size_t value = columns_of(figure_signed(figure, list[i].value, c.decimals, s->options.ascii));
        size_t error = isfinite(list[i].error) ? columns_of(figure_error(figure, list[i].error, c.decimals, s->options.ascii)) : 0;
        c.label = a > c.label ? a : c.label;
        c.label = b > c.label ? b : c.label;
        c.value = value > c.value ? value : c.value;
        c.error = error > c.error ? error : c.error;
    }
    return c;
}

static const char *meaning(const pair *p)
{
    if (is_unsure(p->value, p->error))
        return "not told apart from 0";
    return p->value > 0 ? "together more than alone" : p->value < 0 ? "together less than alone" : "";
}

static void print_pair(screen *s, const columns *c, const pair *p)
{
    char figure[FIGURE_ROOM];
    bool has_words = s->options.width >= PAIR_WIDTH_WORDS && meaning(p)[0];
    screen_spaces(s, PAIR_INDENT);
    size_t used = put_label(s, p->a, c->most, true);
    screen_spaces(s, c->label - used + PAIR_GAP);
    used = put_label(s, p->b, c->most, true);
    figure_signed(figure, p->value, c->decimals, s->options.ascii);
    size_t value = columns_of(figure), tail = strcmp(figure, "0") == 0 && c->decimals > 0 ? (size_t)c->decimals + 1 : 0;
    screen_spaces(s, c->label - used + PAIR_GAP + (c->value > value + tail ? c->value - value - tail : 0));
    bool began = screen_begin_bar(s, screen_side(true, p->value));
    out_text(s->o, figure);
    screen_end(s, began);
    size_t pending = tail;
    if (c->error && isfinite(p->error)) {
        figure_error(figure, p->error, c->decimals, s->options.ascii);
        screen_spaces(s, pending + 1);
        out_text(s->o, figure);
        pending = c->error - columns_of(figure);
    }
    if (has_words) {
        screen_spaces(s, pending + PAIR_GAP);
        out_text(s->o, meaning(p));
    }
    screen_line(s);
}

static void print_strongest(screen *s, const result_run *run, const pair *list, size_t count)
{
    size_t shown = count < s->options.top ? count : s->options.top;
    columns c = measure(s, list, shown);
    char title[160];
    snprintf(title, sizeof title, "%s%spairs: what two do together, beyond what each does alone",
             s->result->run_count > 1 ? run->facts.id : "", s->result->run_count > 1 ? ", " : "");
    screen_paragraph(s, PAIR_INDENT, view_of(title), 0);
    for (size_t i = 0; i < shown; i++)
        print_pair(s, &c, &list[i]);
    if (shown < count) {
        char more[FIGURE_ROOM];
        snprintf(more, sizeof more, "%zu more pairs", count - shown);
        screen_paragraph(s, PAIR_INDENT, view_of(more), 0);
    }
}

void pair_table(screen *s, const result_run *run, size_t target)
{
    const tkr_array *pairs = run_pairs(s->result, run);
    size_t n = s->result->feature_count;
    if (!pairs || n < 2)
        return;
    pair *list = NEW(pair, n * (n - 1) / 2);
    if (!list) {
        s->o->bytes.failed = true;
        return;
    }
    size_t count = list_pairs(s->result, run, target, list);
    screen_line(s);
    print_strongest(s, run, list, count);
    if (n <= PAIR_MATRIX_MOST && !s->options.is_brief) {
        screen_line(s);
        screen_paragraph(s, PAIR_INDENT, VIEW("all pairs; on the diagonal: alone"), 0);
        matrix_print_pairs(s, pairs, target);
    }
    memory_free(list);
}
