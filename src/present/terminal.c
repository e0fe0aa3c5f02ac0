/*
 * A result on a terminal: one block a target; in it the head, the sign in words, the painted sentence, the numbers, what the
 * numbers add up to, the finding and its check.  Several methods give aligned sentences and one table.
 * Several steps of an output give one matrix.
 *
 * What is shown follows from the axes of the arrays, never from the method.  Results of another kind (captures) are listed.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "present/full_table.h"
#include "present/matrix.h"
#include "present/pair_table.h"
#include "present/score_table.h"
#include "present/set_sentence.h"
#include "present/strip.h"
#include "present/wording.h"

enum { TEXT_INDENT = 2 };

/* What blocks share. */
typedef struct page {
    screen s;
    pieces text;
    bool any_unsigned, any_signed;
} page;

static size_t name_column(const tkr_result *r)
{
    size_t most = 0;
    for (size_t i = 0; i < r->run_count; i++) {
        size_t columns = tkr_columns(r->runs[i].facts.id, strlen(r->runs[i].facts.id));
        most = columns > most ? columns : most;
    }
    return TEXT_INDENT + most + 3;
}

static bool is_set(const screen *s, const result_run *run) { return run_set(s->result, run) != SET_NONE; }

/* The numbers of the only method: its scores, their pairs, or the sentence about its set. */
static void print_numbers(screen *s, const result_run *run, const ranking *rank, size_t target)
{
    if (is_set(s, run)) {
        set_sentence(s, run, target);
        return;
    }
    score_table(s, run, rank);
    wording_fixed(s, run, target);
    pair_table(s, run, target);
    if (s->options.is_brief) {
        wording_brief(s, run, rank, target);
        return;
    }
    screen_line(s);
    wording_additive(s, run, target);
    wording_finding(s, run, rank, target);
    wording_run(s, run, target);
}

static void print_one(page *p, const ranking *rank, size_t target)
{
    screen *s = &p->s;
    const result_run *run = &s->result->runs[0];
    strip sentence = {.pieces = &p->text, .ranking = rank, .is_signed = run->facts.is_signed, .is_set = is_set(s, run), .indent = TEXT_INDENT};
    screen_spaces(s, TEXT_INDENT);
    strip_print(s, &sentence);
    screen_line(s);
    print_numbers(s, run, rank, target);
    if (!s->options.full_table)
        return;
    screen_line(s);
    full_table(s, run, rank, target);
}

/* The closing table of each method, under its name. */
static void print_full_tables(screen *s, const ranking *rankings, size_t target)
{
    const tkr_result *r = s->result;
    for (size_t i = 0; s->options.full_table && i < r->run_count; i++) {
        screen_line(s);
        bool began = screen_begin_bold(s);
        out_text(s->o, r->runs[i].facts.id);
        screen_end(s, began);
        screen_line(s);
        full_table(s, &r->runs[i], &rankings[i], target);
    }
}

static void print_several(page *p, const ranking *rankings, size_t target)
{
    screen *s = &p->s;
    const tkr_result *r = s->result;
    size_t column = name_column(r);
    char note[WORDING_NOTE_ROOM];
    bool below = column > (size_t)s->options.width / 3 || s->style == TKR_STYLE_PLAIN;
    for (size_t i = 0; i < r->run_count; i++) {
        const result_run *run = &r->runs[i];
        strip sentence = {.pieces = &p->text, .ranking = &rankings[i], .is_signed = run->facts.is_signed, .is_set = is_set(s, run),
                          .indent = below ? TEXT_INDENT : column, .note = wording_note(s, run, note)};
        screen_spaces(s, TEXT_INDENT);
        out_text(s->o, run->facts.id);
        if (below)
            screen_line(s);
        screen_spaces(s, below ? TEXT_INDENT : column - TEXT_INDENT - tkr_columns(run->facts.id, strlen(run->facts.id)));
        strip_print(s, &sentence);
    }
    screen_line(s);
    score_table_compare(s, rankings);
    for (size_t i = 0; i < r->run_count; i++)
        if (!is_set(s, &r->runs[i]))
            wording_fixed(s, &r->runs[i], target);
    for (size_t i = 0; i < r->run_count; i++)
        pair_table(s, &r->runs[i], target);
    if (!s->options.is_brief)
        screen_line(s);
    if (!s->options.is_brief && !is_set(s, &r->runs[0]))
        wording_finding(s, &r->runs[0], &rankings[0], target);
    for (size_t i = 0; i < r->run_count; i++)
        if (is_set(s, &r->runs[i]))
            set_sentence(s, &r->runs[i], target);
    print_full_tables(s, rankings, target);
}

/* After the scores: where in depth they lie, for the runs that were asked inside the layers. */
static void print_layers(screen *s, size_t target)
{
    const tkr_result *r = s->result;
    for (size_t i = 0; i < r->run_count; i++) {
        const tkr_array *layers = matrix_layers(r, &r->runs[i]);
        if (!layers)
            continue;
        out_format(s->o, "\n%s%srows: tokens · columns: layers, at %s\n\n", r->run_count > 1 ? r->runs[i].facts.id : "",
                   r->run_count > 1 ? " · " : "", r->at);
        matrix_print_layers(s, &r->runs[i], layers, target);
    }
}

static void print_target(page *p, ranking *rankings, size_t target)
{
    screen *s = &p->s;
    const tkr_result *r = s->result;
    size_t ready = 0;
    while (ready < r->run_count && ranking_init(&rankings[ready], r, &r->runs[ready], target))
        ready++;
    if (ready == r->run_count) {
        if (target > 0)
            screen_line(s);
        wording_head(s, target);
        if (p->any_signed || p->any_unsigned)
            wording_sign(s, target, p->any_signed, p->any_unsigned);
        else
            set_sentence_sign(s, &r->runs[0]);
        screen_line(s);
        if (r->run_count == 1)
            print_one(p, &rankings[0], target);
        else
            print_several(p, rankings, target);
        print_layers(s, target);
    } else {
        s->o->bytes.failed = true;
    }
    while (ready > 0)
        ranking_fini(&rankings[--ready]);
}

static void print_full_step(screen *s, const result_run *run, size_t target)
{
    ranking rank;
    if (!ranking_init(&rank, s->result, run, target)) {
        s->o->bytes.failed = true;
        return;
    }
    screen_line(s);
    wording_head(s, target);
    full_table(s, run, &rank, target);
    ranking_fini(&rank);
}

/* Several steps of an output: one matrix a method instead of a block a step. */
static void print_matrix(page *p, size_t i)
{
    screen *s = &p->s;
    const result_run *run = &s->result->runs[i];
    ranking first;
    screen_line(s);
    if (s->result->run_count > 1)
        out_format(s->o, "%s\n", run->facts.id);
    matrix_print(s, run);
    if (!ranking_init(&first, s->result, run, 0)) {
        s->o->bytes.failed = true;
        return;
    }
    screen_line(s);
    wording_fixed(s, run, 0);
    if (s->options.is_brief) {
        wording_brief(s, run, &first, 0);
    } else {
        wording_additive(s, run, 0);
        if (!is_set(s, run))
            wording_matrix_finding(s, run, &first);
        wording_run(s, run, 0);
    }
    ranking_fini(&first);
    for (size_t t = 0; is_set(s, run) && t < s->result->target_count; t++)
        set_sentence(s, run, t);
    for (size_t t = 0; s->options.full_table && t < s->result->target_count; t++)
        print_full_step(s, run, t);
}

/* Pieces no wider than the narrowest place that a sentence gets. */
static pieces_options text_options(const screen *s)
{
    size_t width = (size_t)s->options.width, column = name_column(s->result);
    size_t indent = s->result->run_count > 1 && column <= width / 3 ? column : TEXT_INDENT;
    return (pieces_options){.ascii = s->options.ascii, .shows_special = s->options.special == TKR_SPECIAL_SHOW, .most = width - indent};
}

static void print_explanation(page *p)
{
    const tkr_result *r = p->s.result;
    pieces_options options = text_options(&p->s);
    for (size_t i = 0; i < r->run_count; i++) {
        bool counts = !is_set(&p->s, &r->runs[i]);
        p->any_signed |= counts && r->runs[i].facts.is_signed;
        p->any_unsigned |= counts && !r->runs[i].facts.is_signed;
    }
    if (matrix_applies(r)) {
        wording_matrix_head(&p->s);
        for (size_t i = 0; i < r->run_count; i++)
            print_matrix(p, i);
        return;
    }
    ranking *rankings = NEW(ranking, r->run_count);
    if (rankings && pieces_init(&p->text, r, &options)) {
        for (size_t target = 0; target < r->target_count; target++)
            print_target(p, rankings, target);
    } else {
        p->s.o->bytes.failed = true;
    }
    shown_pieces_fini(&p->text);
    memory_free(rankings);
}

/* Arrays that no view above knows: what there is. */
static void print_arrays(screen *s)
{
    const tkr_result *r = s->result;
    for (size_t i = 0; i < r->array_count; i++) {
        const tkr_array *a = r->arrays[i];
        out_format(s->o, "%s ", a->name);
        for (size_t d = 0; d < a->rank; d++)
            out_format(s->o, "%s%s %zu", d ? (s->options.ascii ? " x " : " × ") : " ", a->axes[d]->name, a->axes[d]->size);
        out_format(s->o, "  %s\n", a->unit);
    }
}

static bool is_explanation(const tkr_result *r)
{
    bool complete = r->run_count > 0 && r->target_count > 0;
    for (size_t i = 0; i < r->run_count; i++)
        complete = complete && r->runs[i].scores && r->runs[i].scores->rank == 2;
    return complete;
}

tkr_status tkr_present_terminal(const tkr_result *result, const tkr_terminal_options *options, tkr_sink_fn *sink, void *user,
                                tkr_error *error)
{
    if (!result || !sink)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_present_terminal needs a result and a sink");
    tkr_terminal_options used = options ? *options : tkr_terminal_options_defaults();
    out o;
    page p = {0};
    out_init(&o, sink, user);
    screen_init(&p.s, &o, result, &used);
    if (is_explanation(result))
        print_explanation(&p);
    else
        print_arrays(&p.s);
    return out_finish(&o, error);
}
