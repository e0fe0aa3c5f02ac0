/*
 * The dim line below the finding: what a run says beside its scores, by the names of its details, and what its estimates took.
 * Nothing here knows a method: a name that ends in "r2" is a square, one in "s" counts something, a few are yes or no.
 */
#include <math.h>

#include "present/figures.h"
#include "present/run_arrays.h"
#include "present/wording.h"

enum { DETAILS_MOST = 4096, TEXT_INDENT = 2 };

static bool is_square(view name) { return name.size >= 2 && view_is(view_slice(name, name.size - 2, name.size), "r2"); }

/* A name as it is shown: "weighted_r2" is weighted R². */
static void add_detail_name(const screen *s, buffer *b, view name)
{
    for (size_t i = 0; i < name.size - (is_square(name) ? 2 : 0); i++)
        buffer_byte(b, name.data[i] == '_' ? ' ' : name.data[i]);
    if (is_square(name))
        buffer_text(b, s->options.ascii ? "R2" : "R²");
}

/* 256 pairs; exact; weighted R² 0.83; intercept +0.12. */
static void add_detail(const screen *s, buffer *b, view name, double value)
{
    static const char *const yes_or_no[] = {"exact", "complete"};
    char figure[FIGURE_ROOM];
    bool is_whole = floor(value) == value && value >= 0, is_flag = false;
    for (size_t i = 0; i < sizeof yes_or_no / sizeof *yes_or_no; i++)
        is_flag |= view_is(name, yes_or_no[i]);
    if (is_flag && !(value > 0))
        return;
    buffer_text(b, b->size ? s->dot : "");
    if (is_flag) {
        add_detail_name(s, b, name);
    } else if (is_whole && name.data[name.size - 1] == 's') {
        buffer_format(b, "%s ", figure_count(figure, (size_t)value));
        add_detail_name(s, b, name);
    } else {
        add_detail_name(s, b, name);
        buffer_format(b, " %s", is_square(name) ? figure_plain(figure, value, 2, s->options.ascii) : figure_alone(figure, value, s->options.ascii));
    }
}

static void add_details(const screen *s, buffer *b, const result_run *run, size_t target)
{
    const tkr_array *a = run_array(s->result, run, "details");
    for (size_t i = 0; a && a->rank == 2 && a->axes[1]->labels && i < a->axes[1]->size; i++) {
        double value = (double)a->data[target * a->axes[1]->size + i];
        view name = view_of(a->axes[1]->labels[i]);
        bool is_cost = view_is(name, "evaluations"); /* said below for every method */
        if (isfinite(value) && name.size > 0 && !is_cost)
            add_detail(s, b, name, value);
    }
}

void wording_run(screen *s, const result_run *run, size_t target)
{
    char count[FIGURE_ROOM];
    bool is_set = run_set(s->result, run) != SET_NONE, estimates = run_errors(s->result, run, target) || run_pair_errors(s->result, run);
    buffer b;
    buffer_init(&b, DETAILS_MOST);
    if (!is_set)
        add_details(s, &b, run, target);
    if (!is_set && (estimates || run_pairs(s->result, run)))
        buffer_format(&b, "%s%s evaluations%s%s", b.size ? s->dot : "", figure_count(count, (size_t)run->facts.evaluations),
                      estimates ? s->dot : "", !estimates ? "" : s->options.ascii ? "+/-: one standard error" : "±: one standard error");
    bool began = b.size > 0 && screen_begin_dim(s);
    if (b.size > 0 && buffer_ok(&b))
        screen_paragraph(s, TEXT_INDENT, buffer_as_view(&b), 0);
    screen_end(s, began);
    s->o->bytes.failed |= !buffer_ok(&b);
    buffer_fini(&b);
}
