/*
 * Sentences about sets.  Everything comes from the details of the run: found, size, proven, answer and value of a set whose
 * removal changes the answer; found, size, share, low and high of one that keeps it.
 */
#include "present/set_sentence.h"

#include <math.h>
#include <stdio.h>

#include "present/figures.h"
#include "present/target_name.h"

enum { NAMED_MOST = 6, SENTENCE_MOST = 16 * 1024, TEXT_INDENT = 2 };

static bool in_set(const tkr_result *r, const result_run *run, size_t target, size_t feature)
{
    return run->scores->data[target * r->feature_count + feature] > 0;
}

static size_t set_size(const tkr_result *r, const result_run *run, size_t target)
{
    size_t size = 0;
    for (size_t f = 0; f < r->feature_count; f++)
        size += in_set(r, run, target, f);
    return size;
}

/* "superb", "not" and 3 more (5 of 12 words) */
static void add_members(const screen *s, buffer *b, const result_run *run, size_t target)
{
    const tkr_result *r = s->result;
    size_t size = set_size(r, run, target), named = size > NAMED_MOST ? NAMED_MOST - 1 : size, at = 0;
    for (size_t f = 0; f < r->feature_count && at < named; f++) {
        if (!in_set(r, run, target, f))
            continue;
        buffer_text(b, at == 0 ? "" : at + 1 == size ? " and " : ", ");
        name_of_feature(s, b, f);
        at++;
    }
    if (named < size)
        buffer_format(b, " and %zu more", size - named);
}

static void add_size(const screen *s, buffer *b, const result_run *run, size_t target)
{
    const tkr_result *r = s->result;
    buffer_format(b, " (%zu of %zu %s)", set_size(r, run, target), r->feature_count, r->feature_kind ? r->feature_kind : "tokens");
}

static void add_evaluations(buffer *b, const result_run *run)
{
    char count[FIGURE_ROOM];
    buffer_format(b, " in %s evaluation%s", figure_count(count, (size_t)run->facts.evaluations), run->facts.evaluations == 1 ? "" : "s");
}

/* What the model says without the set: a class, or one of the likeliest tokens; otherwise only that it is another. */
static void add_answer(const screen *s, buffer *b, double index)
{
    const tkr_result *r = s->result;
    bool is_token = target_is_token(&r->targets[0]);
    size_t answer = isfinite(index) && index >= 0 ? (size_t)index : SIZE_MAX;
    if (!is_token && r->model.labels == 1) {
        buffer_text(b, answer ? "" : "not ");
        name_label(s, b, r->labels[0]);
        return;
    }
    if (!is_token && r->labels && answer < r->model.labels) {
        name_label(s, b, r->labels[answer]);
        return;
    }
    for (size_t i = 0; i < r->prediction_count; i++)
        if (r->predictions[i].index == answer) {
            name_quoted(s, b, view_of(plain_piece(r->predictions[i].label)));
            return;
        }
    buffer_text(b, "something else");
}

static void add_removed(const screen *s, buffer *b, const result_run *run, size_t target)
{
    const tkr_result *r = s->result;
    if (!(run_detail(r, run, target, "found") > 0)) {
        buffer_format(b, "No set of %s was found whose removal changes the answer,", r->feature_kind ? r->feature_kind : "tokens");
        add_evaluations(b, run);
        buffer_byte(b, '.');
        return;
    }
    buffer_text(b, "Without ");
    add_members(s, b, run, target);
    add_size(s, b, run, target);
    buffer_text(b, " the model says ");
    add_answer(s, b, run_detail(r, run, target, "answer"));
    buffer_text(b, " instead of ");
    target_name(s, b, &r->targets[target], false);
    buffer_text(b, run_detail(r, run, target, "proven") > 0 ? "; smallest possible: proven." : "; a smaller set is possible.");
}

static void add_share(const screen *s, buffer *b, const result_run *run, size_t target)
{
    char share[FIGURE_ROOM], low[FIGURE_ROOM], high[FIGURE_ROOM];
    const tkr_result *r = s->result;
    double of = run_detail(r, run, target, "share");
    if (!isfinite(of))
        return;
    buffer_format(b, " in %s (%s to %s) of ", figure_percent(share, of, false),
                  figure_percent(low, run_detail(r, run, target, "low"), false),
                  figure_percent(high, run_detail(r, run, target, "high"), false));
    const char *draws = run_parameter(run, "draws");
    buffer_format(b, "%s%srandom replacements of the others", draws ? draws : "", draws ? " " : "");
}

static void add_kept(const screen *s, buffer *b, const result_run *run, size_t target)
{
    const tkr_result *r = s->result;
    size_t size = set_size(r, run, target);
    if (!(run_detail(r, run, target, "found") > 0)) {
        buffer_format(b, "No set of %s was found that keeps ", r->feature_kind ? r->feature_kind : "tokens");
        target_name(s, b, &r->targets[target], false);
        buffer_text(b, " often enough,");
        add_evaluations(b, run);
        buffer_byte(b, '.');
        return;
    }
    buffer_text(b, size ? "Keeping " : "Keeping nothing");
    add_members(s, b, run, target);
    buffer_text(b, size == 1 ? " alone" : "");
    add_size(s, b, run, target);
    buffer_text(b, " keeps ");
    target_name(s, b, &r->targets[target], false);
    add_share(s, b, run, target);
    buffer_byte(b, '.');
}

void set_sentence(screen *s, const result_run *run, size_t target)
{
    buffer b;
    buffer_init(&b, SENTENCE_MOST);
    if (s->result->run_count > 1)
        buffer_format(&b, "%s: ", run->facts.id);
    if (run_set(s->result, run) == SET_KEPT)
        add_kept(s, &b, run, target);
    else
        add_removed(s, &b, run, target);
    s->o->bytes.failed |= !buffer_ok(&b);
    screen_paragraph(s, TEXT_INDENT, buffer_as_view(&b), 0);
    buffer_fini(&b);
}

void set_sentence_sign(screen *s, const result_run *run)
{
    const char *what = run_set(s->result, run) == SET_KEPT ? "that keeps the answer by itself." : "without which the answer changes.";
    char text[160];
    snprintf(text, sizeof text, "%s: the set %s", s->style == TKR_STYLE_PLAIN ? "Listed" : "Underlined",
             s->result->run_count > 1 ? "that each method found." : what);
    screen_paragraph(s, 0, view_of(text), 0);
}
