/*
 * Sentences.  Labels and tokens are made safe and cut before they enter one.
 *
 * The check is one real forward pass without the top feature.  Where it contradicts the method (removing what pushes
 * towards the target does not lower it) the sentence says that instead of the finding.
 */
#include "present/wording.h"

#include <math.h>
#include <stdio.h>

#include "present/figures.h"
#include "present/matrix.h"
#include "present/run_arrays.h"
#include "present/target_name.h"

enum { SENTENCE_MAXIMUM = 16 * 1024, OUTPUT_COLUMNS = 400 };

static void begin_sentence(buffer *b) { buffer_init(b, SENTENCE_MAXIMUM); }

/* Prints and frees. */
static void end_sentence(screen *s, buffer *b, size_t indent, size_t bold)
{
    if (buffer_ok(b))
        screen_paragraph(s, indent, buffer_as_view(b), bold);
    s->o->bytes.failed |= !buffer_ok(b);
    buffer_fini(b);
}

static bool is(const char *text, const char *word) { return text && view_is(view_of(text), word); }

/* ---- the first line ---- */

/* Not what the model says?  Then what it says. */
static void add_rival(const screen *s, buffer *b, const tkr_target_facts *t)
{
    const tkr_result *r = s->result;
    char figure[FIGURE_ROOM];
    bool first = t == r->targets && target_has_rival(t);
    if (!first || r->prediction_count == 0 || is(r->model.problem, "multi-label") || is(r->model.problem, "regression"))
        return;
    const tkr_prediction *p = &r->predictions[0];
    if (t->index == (int64_t)p->index || !isfinite(p->probability))
        return;
    buffer_text(b, " (the model says ");
    if (target_is_token(t))
        name_quoted(s, b, view_of(plain_piece(p->label)));
    else
        name_label(s, b, p->label);
    buffer_format(b, " %s)", figure_probability(figure, p->probability, (double)NAN));
}

/* An output that was not ended by the model. */
static void add_cut(const screen *s, buffer *b)
{
    const tkr_result *r = s->result;
    size_t count = 0;
    if (!is(r->output_end, "length"))
        return;
    for (size_t i = 0; i < r->token_count; i++)
        count += r->tokens[i].is_output && r->tokens[i].step >= 0;
    bool is_full = r->model.task == TKR_TASK_NEXT_TOKEN && r->token_count > r->model.max_tokens;
    if (is_full)
        buffer_format(b, " (cut after %zu tokens: the model takes %zu)", count, r->model.max_tokens);
    else
        buffer_format(b, " (cut after %zu tokens: --max-new)", count);
}

/* "integrated gradients, 32 steps": the first parameter belongs to the name when it counts something. */
static void add_method(const screen *s, buffer *b, const result_run *run)
{
    buffer_text(b, s->options.is_brief ? run->facts.id : run->facts.title);
    if (s->options.is_brief || run->parameter_count == 0)
        return;
    const result_parameter *p = &run->parameters[0];
    if (p->value[0] > '0' && p->value[0] <= '9' && p->name[strlen(p->name) - 1] == 's')
        buffer_format(b, ", %s %s", p->value, p->name);
}

/* What truncation left of the input. */
static void add_truncated(const screen *s, buffer *b)
{
    const tkr_result *r = s->result;
    size_t kept = 0;
    if (r->inputs[0].tokens_before_cut == 0)
        return;
    for (size_t i = 0; i < r->token_count; i++)
        kept += !r->tokens[i].is_output;
    buffer_format(b, "%s%s %zu of %zu tokens", s->dot, is(r->inputs[0].cut_side, "start") ? "last" : "first", kept,
                  r->inputs[0].tokens_before_cut);
}

const char *wording_measure(const tkr_target_facts *t, const result_run *run)
{
    bool by_probability = run->scores && is(run->scores->unit, "probability");
    return by_probability && !is(t->measure, "prob") ? "probability" : t->measure;
}

/* why? how, in what measure, of which features */
static void add_how(const screen *s, buffer *b, const tkr_target_facts *t)
{
    const tkr_result *r = s->result;
    const char *comma = s->options.is_brief || r->run_count > 1 ? s->dot : ", ";
    if (!s->options.is_brief && r->run_count == 1)
        buffer_format(b, "why?%s", s->dot);
    if (r->run_count == 1)
        add_method(s, b, &r->runs[0]);
    else
        buffer_format(b, "%zu methods", r->run_count);
    buffer_format(b, "%s%s%s%s", comma, r->run_count == 1 ? wording_measure(t, &r->runs[0]) : t->measure, comma, r->feature_kind ? r->feature_kind : "tokens");
    add_truncated(s, b);
    if (is(r->status, "partial"))
        buffer_format(b, "%spartial", s->dot);
}

void wording_head(screen *s, size_t target)
{
    const tkr_result *r = s->result;
    const tkr_target_facts *t = &r->targets[target];
    buffer b;
    begin_sentence(&b);
    target_name_head(s, &b, t);
    size_t bold = b.size;
    add_rival(s, &b, t);
    if (is(t->kind, "output"))
        add_cut(s, &b);
    buffer_text(&b, s->dot);
    add_how(s, &b, t);
    end_sentence(s, &b, 0, bold);
}

/* ---- the sign ---- */

/* What a measure of the whole answer goes towards; NULL: towards the target. */
static const char *direction(const tkr_target_facts *t)
{
    return is(t->measure, "entropy") ? "uncertainty" : is(t->measure, "kl") ? "another answer" : NULL;
}

static void name_direction(const screen *s, buffer *b, const tkr_target_facts *t)
{
    if (direction(t))
        buffer_text(b, direction(t));
    else
        target_name(s, b, t, false);
}

static void add_signs(const screen *s, buffer *b, const tkr_target_facts *t, const char *towards, const char *away)
{
    buffer_format(b, "%s towards ", towards);
    if (direction(t))
        buffer_text(b, direction(t));
    else
        target_name_contrast(s, b, t, true, "over");
    buffer_format(b, ", %s", away);
}

void wording_sign(screen *s, size_t target, bool any_signed, bool any_unsigned)
{
    const tkr_target_facts *t = &s->result->targets[target];
    bool painted = s->style == TKR_STYLE_HEAT;
    const char *more = painted ? "Stronger shading means more." : s->style == TKR_STYLE_BARS ? "Higher means more." : "Larger is more.";
    buffer b;
    begin_sentence(&b);
    if (any_signed && painted) {
        add_signs(s, &b, t, "Orange pushes", t->foil ? "blue the other way." : "blue pushes away from it.");
    } else if (any_signed) {
        char away[FIGURE_ROOM];
        snprintf(away, sizeof away, "\"%s\" %s", s->minus, t->foil ? "the other way" : "away from it");
        add_signs(s, &b, t, "\"+\"", away);
    }
    if (any_unsigned && any_signed)
        buffer_format(&b, "%s %s A method marked \"no sign\" cannot say for or against.", painted ? "" : ".", more);
    else if (any_unsigned)
        buffer_format(&b, "%s This method has no sign: it cannot say for or against.", more);
    end_sentence(s, &b, 0, 0);
}

/* ---- the additive line ---- */

static double larger(double a, double b) { return isfinite(b) && fabs(b) > a ? fabs(b) : a; }

static bool has_sum(const screen *s, const result_run *run)
{
    return run->facts.is_additive && s->result->target_count == 1 && isfinite(run->facts.sum) && isfinite(run->facts.base);
}

/* The largest gap of any target: facts hold the first target's, checks hold all. */
static double worst_gap(const screen *s, const result_run *run)
{
    const tkr_result *r = s->result;
    double worst = run->facts.gap;
    for (size_t i = 0; i < r->check_count; i++)
        if (is(r->checks[i].method, run->facts.id) && is(r->checks[i].name, "completeness") && r->checks[i].gap > worst)
            worst = r->checks[i].gap;
    return worst;
}

static bool adds_up(double a, double b, double sum, int decimals)
{
    double unit = pow(10, decimals);
    return fabs(round(a * unit) + round(b * unit) - round(sum * unit)) < 0.5;
}

/* So many that the line adds up as it is printed, if two more than usual are enough for that. */
static int additive_decimals(const tkr_run_facts *f)
{
    int usual = figure_decimals(larger(larger(larger(0, f->base), f->sum), f->full));
    for (int decimals = usual; decimals <= usual + 2; decimals++)
        if (adds_up(f->base, f->sum, f->base + f->sum, decimals))
            return decimals;
    return usual;
}

void wording_additive(screen *s, const result_run *run, size_t target)
{
    const tkr_run_facts *f = &run->facts;
    bool ascii = s->options.ascii;
    char base[FIGURE_ROOM], sum[FIGURE_ROOM], both[FIGURE_ROOM], full[FIGURE_ROOM], gap[FIGURE_ROOM];
    buffer b;
    begin_sentence(&b);
    if (has_sum(s, run)) {
        int decimals = additive_decimals(f);
        buffer_format(&b, "f(baseline) %s + %s %s = %s %s f(input) %s%sgap %s", figure_signed(base, f->base, decimals, ascii),
                      ascii ? "sum" : "Σ", figure_signed(sum, f->sum, decimals, ascii),
                      figure_signed(both, f->base + f->sum, decimals, ascii), ascii ? "~" : "≈",
                      figure_signed(full, f->full, decimals, ascii), s->dot, figure_percent(gap, f->gap, true));
    } else if (f->is_additive && target == 0 && isfinite(worst_gap(s, run))) {
        buffer_format(&b, "scores add up to f(input) - f(baseline)%slargest gap %s", s->dot,
                      figure_percent(gap, worst_gap(s, run), true));
    } else if (!f->is_additive) {
        buffer_format(&b, "not additive: %s has no meaning here", ascii ? "the sum" : "Σ");
    }
    if (b.size > 0 || !buffer_ok(&b))
        end_sentence(s, &b, 2, 0);
    buffer_fini(&b);
}

/* Of several steps a feature misses its score only where no step has one; of a later output nobody expects one. */
static missing missing_of(const tkr_result *r, const result_run *run, size_t feature, size_t target, bool all)
{
    size_t begin = all ? 0 : target, end = all ? r->target_count : target + 1;
    missing why = MISSING_LATER;
    for (size_t t = begin; t < end; t++) {
        missing now = ranking_missing(r, run->scores, t, feature);
        if (now == MISSING_NOTHING || (now == MISSING_OUTPUT && t == target))
            return MISSING_NOTHING;
        why = now == MISSING_LATER ? why : MISSING_REMOVAL;
    }
    return why;
}

static void print_missing(screen *s, const result_run *run, missing why, size_t target, bool all)
{
    enum { NAMED = 3 };
    const tkr_result *r = s->result;
    size_t count = 0;
    buffer b;
    begin_sentence(&b);
    for (size_t f = 0; f < r->feature_count; f++) {
        bool has_no_row = all && r->features[f].text == 2;
        if (has_no_row || missing_of(r, run, f, target, all) != why)
            continue;
        if (count < NAMED) {
            buffer_text(&b, count > 0 ? ", " : "no score for ");
            name_of_feature(s, &b, f);
        }
        count++;
    }
    if (count > NAMED)
        buffer_format(&b, " and %zu more", count - NAMED);
    if (count > 0 && why == MISSING_LATER)
        buffer_format(&b, ": %s after what is explained", count > 1 ? "they come" : "it comes");
    else if (count > 0)
        buffer_format(&b, ": %s cannot remove %s (--removal)", run->facts.id, count > 1 ? "them" : "it");
    if (b.size > 0 || !buffer_ok(&b))
        end_sentence(s, &b, 2, 0);
    buffer_fini(&b);
}

void wording_fixed(screen *s, const result_run *run, size_t target)
{
    bool all = matrix_applies(s->result);
    print_missing(s, run, MISSING_REMOVAL, target, all);
    if (!all && run == s->result->runs) /* the same for every method */
        print_missing(s, run, MISSING_LATER, target, all);
}

/* One significant digit is enough for an error that stands alone. */
static int error_decimals(double error)
{
    int decimals = figure_decimals(error) - 2;
    return decimals > 0 ? decimals : 0;
}

/* Largest standard error of the first target's scores; 0: none. */
static double largest_error(const screen *s, const result_run *run)
{
    const float *errors = run_errors(s->result, run, 0);
    double largest = 0;
    for (size_t f = 0; errors && f < s->result->feature_count; f++)
        largest = larger(largest, (double)errors[f]);
    return largest;
}

const char *wording_note(const screen *s, const result_run *run, char room[WORDING_NOTE_ROOM])
{
    char gap[FIGURE_ROOM];
    double worst = worst_gap(s, run), error = largest_error(s, run);
    if (run_set(s->result, run) != SET_NONE)
        snprintf(room, WORDING_NOTE_ROOM, "%s", run_detail(s->result, run, 0, "found") > 0 ? "set found" : "no set found");
    else if (!run->facts.is_signed)
        snprintf(room, WORDING_NOTE_ROOM, "no sign");
    else if (error > 0)
        snprintf(room, WORDING_NOTE_ROOM, "largest %s", figure_error(gap, error, error_decimals(error), s->options.ascii));
    else if (run->facts.is_additive && isfinite(worst))
        snprintf(room, WORDING_NOTE_ROOM, "gap %s", figure_percent(gap, worst, true));
    else
        snprintf(room, WORDING_NOTE_ROOM, "not additive");
    return room;
}

/* ---- the finding and its check ---- */

/* The check belongs to the first target. */
static const tkr_checked *find_check(const screen *s, const result_run *run, size_t target)
{
    const tkr_result *r = s->result;
    for (size_t i = 0; target == 0 && i < r->checked_count; i++)
        if (is(r->checked[i].method, run->facts.id) && r->checked[i].feature < r->feature_count)
            return &r->checked[i];
    return NULL;
}

/* Before and after, as the measure is shown. */
static void check_figures(const screen *s, const tkr_checked *c, char before[FIGURE_ROOM], char after[FIGURE_ROOM])
{
    if (is(c->measure, "probability")) {
        figure_probability(before, c->before, c->after);
        figure_probability(after, c->after, c->before);
        return;
    }
    int decimals = figure_decimals(larger(fabs(c->before), c->after));
    figure_signed(before, c->before, decimals, s->options.ascii);
    figure_signed(after, c->after, decimals, s->options.ascii);
}

static void add_measured(const screen *s, buffer *b, const tkr_checked *c, const tkr_target_facts *t)
{
    buffer_format(b, "%s(", is(c->measure, "probability") ? "p" : c->measure);
    if (direction(t))
        buffer_text(b, "the answer");
    else
        target_name_contrast(s, b, t, false, s->minus);
    buffer_byte(b, ')');
    if (matrix_applies(s->result))
        buffer_format(b, " at step %lld", (long long)t->step);
}

/* Does the model do without the feature what its score says? */
static bool is_confirmed(const tkr_checked *c, double score) { return score < 0 ? c->after > c->before : c->after < c->before; }

static void add_check(const screen *s, buffer *b, const tkr_checked *c, const result_run *run, double score,
                      const tkr_target_facts *t)
{
    char before[FIGURE_ROOM], after[FIGURE_ROOM];
    bool towards = !run->facts.is_signed || score >= 0;
    check_figures(s, c, before, after);
    if (strcmp(before, after) == 0) {
        buffer_text(b, "Checked: without ");
        name_of_feature(s, b, c->feature);
        buffer_text(b, ", ");
        add_measured(s, b, c, t);
        buffer_format(b, " stays at %s.", before);
        return;
    }
    if (is_confirmed(c, towards ? 1 : -1)) {
        buffer_text(b, "Checked: without ");
        name_of_feature(s, b, c->feature);
        buffer_text(b, ", ");
        add_measured(s, b, c, t);
        buffer_format(b, " %s from %s to %s.", towards ? "falls" : "rises", before, after);
        return;
    }
    buffer_text(b, "Checked: removing ");
    name_of_feature(s, b, c->feature);
    buffer_format(b, " does not %s ", towards ? "lower" : "raise");
    add_measured(s, b, c, t);
    buffer_format(b, " (%s to %s): %s and the model disagree here.", before, after, run->facts.id);
}

/* The feature with the largest or smallest score; those whose sign is uncertain only where no other is left. */
static uint32_t extreme(const ranking *rank, bool most)
{
    uint32_t best = rank->order[0];
    for (uint32_t i = 0; i < rank->count; i++) {
        bool unsure = ranking_is_unsure(rank, i), beaten = most ? rank->scores[i] > rank->scores[best] : rank->scores[i] < rank->scores[best];
        if (isnan(rank->scores[i]))
            continue;
        if (unsure == ranking_is_unsure(rank, best) ? beaten : !unsure)
            best = i;
    }
    return best;
}

/* "superb" pushes hardest towards POSITIVE (+2.91); "thin" pushes hardest away (-1.87). */
static void add_finding(const screen *s, buffer *b, const result_run *run, const ranking *rank, const tkr_target_facts *t)
{
    uint32_t most = extreme(rank, true), least = extreme(rank, false);
    double up = ranking_is_unsure(rank, most) ? 0 : (double)rank->scores[most];
    double down = ranking_is_unsure(rank, least) ? 0 : (double)rank->scores[least];
    char figure[FIGURE_ROOM];
    if (!(up > 0) && !(down < 0)) {
        buffer_text(b, "No score is two standard errors from 0.");
        return;
    }
    if (up > 0) {
        name_of_feature(s, b, most);
        buffer_text(b, run->facts.is_signed ? " pushes hardest towards " : " matters most for ");
        name_direction(s, b, t);
        buffer_format(b, " (%s)", ranking_figure(rank, figure, up, s->options.ascii));
    }
    if (down < 0) {
        buffer_text(b, up > 0 ? "; " : "");
        name_of_feature(s, b, least);
        buffer_text(b, up > 0 ? " pushes hardest away" : " pushes hardest away from ");
        if (up <= 0)
            name_direction(s, b, t);
        buffer_format(b, " (%s)", ranking_figure(rank, figure, down, s->options.ascii));
    }
    buffer_byte(b, '.');
}

/* The top feature is one that the removal leaves in place. */
static void add_unchecked(const screen *s, buffer *b, const ranking *rank, const char *before, const char *after)
{
    buffer_text(b, before);
    name_of_feature(s, b, rank->most > 0 ? extreme(rank, true) : rank->order[0]);
    buffer_format(b, " cannot be removed (--removal)%s", after);
}

static void print_check(screen *s, const result_run *run, const ranking *rank, size_t target)
{
    const tkr_checked *c = find_check(s, run, target);
    bool is_unchecked = !c && target == 0 && rank->defined > 0;
    buffer b;
    if (rank->largest <= 0 || (!c && !is_unchecked))
        return;
    begin_sentence(&b);
    if (c)
        add_check(s, &b, c, run, (double)rank->scores[c->feature], &s->result->targets[target]);
    else
        add_unchecked(s, &b, rank, "Not checked: ", ".");
    end_sentence(s, &b, 2, 0);
}

void wording_finding(screen *s, const result_run *run, const ranking *rank, size_t target)
{
    const tkr_target_facts *t = &s->result->targets[target];
    const tkr_checked *c = find_check(s, run, target);
    double score = c ? (double)rank->scores[c->feature] : 0;
    buffer b;
    if (rank->defined == 0)
        return;
    if (rank->largest <= 0 || !c || is_confirmed(c, run->facts.is_signed ? score : 1)) {
        begin_sentence(&b);
        if (s->result->run_count > 1)
            buffer_format(&b, "%s: ", run->facts.id);
        if (rank->largest > 0)
            add_finding(s, &b, run, rank, t);
        else
            buffer_text(&b, "No feature moves the target: every score is 0.");
        end_sentence(s, &b, 2, 0);
    }
    print_check(s, run, rank, target);
}

void wording_brief(screen *s, const result_run *run, const ranking *rank, size_t target)
{
    const tkr_checked *c = find_check(s, run, target);
    char before[FIGURE_ROOM], after[FIGURE_ROOM], note[WORDING_NOTE_ROOM];
    buffer b;
    begin_sentence(&b);
    if (target == 0)
        buffer_text(&b, wording_note(s, run, note));
    if (c) {
        check_figures(s, c, before, after);
        buffer_format(&b, "%schecked", s->dot);
        if (matrix_applies(s->result))
            buffer_format(&b, " at step %lld", (long long)s->result->targets[target].step);
        buffer_text(&b, ": without ");
        name_of_feature(s, &b, c->feature);
        buffer_format(&b, " %s %s %s", before, s->options.ascii ? "->" : "→", after);
    }
    if (!c && target == 0 && rank->defined > 0 && rank->largest > 0) {
        buffer_text(&b, s->dot);
        add_unchecked(s, &b, rank, "not checked: ", "");
    }
    if (b.size > 0 || !buffer_ok(&b))
        end_sentence(s, &b, 2, 0);
    buffer_fini(&b);
}

/* ---- the generation matrix ---- */

static void print_output(screen *s)
{
    const tkr_result *r = s->result;
    const result_input *output = &r->inputs[2];
    buffer b;
    begin_sentence(&b);
    buffer_text(&b, is(r->output_source, "given") ? "output given: " : "generated: ");
    view text = output->text ? (view){output->text, output->bytes} : VIEW("?");
    while (text.size > 1 && text.data[0] == ' ')
        text = view_slice(text, 1, text.size);
    visible_text(&b, text, s->options.ascii, OUTPUT_COLUMNS);
    size_t bold = b.size;
    add_cut(s, &b);
    end_sentence(s, &b, 0, bold);
}

void wording_matrix_head(screen *s)
{
    const tkr_result *r = s->result;
    bool any_signed = false, any_unsigned = false, any_output = false;
    buffer b;
    print_output(s);
    begin_sentence(&b);
    add_how(s, &b, &r->targets[0]);
    end_sentence(s, &b, 0, 0);
    for (size_t i = 0; i < r->run_count; i++)
        *(r->runs[i].facts.is_signed ? &any_signed : &any_unsigned) = true;
    for (size_t f = 0; f < r->feature_count; f++)
        any_output |= r->features[f].text == 2;
    begin_sentence(&b);
    buffer_format(&b, "rows: input %s%s%scolumns: %s tokens%sstronger is more", r->feature_kind ? r->feature_kind : "tokens",
                  any_output ? ", then earlier output" : "", s->dot, is(r->output_source, "given") ? "output" : "generated", s->dot);
    if (any_signed)
        buffer_format(&b, ", + towards, %s away", s->minus);
    if (any_unsigned)
        buffer_text(&b, any_signed ? "; methods without signs cannot say for or against" : "; this method has no sign");
    end_sentence(s, &b, 0, 0);
}

/* The strongest cell of one sign: "March" pushes hardest towards "0" at step 5 (+4.21) */
static void add_cell(const screen *s, buffer *b, const result_run *run, size_t cell, double largest, bool towards)
{
    const tkr_result *r = s->result;
    const tkr_target_facts *t = &r->targets[cell / r->feature_count];
    const char *verb = !run->facts.is_signed ? " matters most for " : towards ? " pushes hardest towards " : " pushes hardest away from ";
    double score = (double)run->scores->data[cell];
    char figure[FIGURE_ROOM];
    int decimals = figure_decimals(largest);
    name_of_feature(s, b, cell % r->feature_count);
    buffer_text(b, verb);
    name_direction(s, b, t);
    buffer_format(b, " at step %lld (%s)", (long long)t->step,
                  run->facts.is_signed ? figure_signed(figure, score, decimals, s->options.ascii)
                                       : figure_plain(figure, score, decimals, s->options.ascii));
}

void wording_matrix_finding(screen *s, const result_run *run, const ranking *first)
{
    const tkr_array *a = run->scores;
    size_t most = SIZE_MAX, least = SIZE_MAX;
    double largest = 0;
    for (size_t i = 0; i < a->size; i++) {
        double score = (double)a->data[i];
        if (score > 0 && (most == SIZE_MAX || a->data[i] > a->data[most]))
            most = i;
        if (score < 0 && (least == SIZE_MAX || a->data[i] < a->data[least]))
            least = i;
        largest = larger(largest, score);
    }
    buffer b;
    begin_sentence(&b);
    if (s->result->run_count > 1)
        buffer_format(&b, "%s: ", run->facts.id);
    if (most != SIZE_MAX)
        add_cell(s, &b, run, most, largest, true);
    if (least != SIZE_MAX) {
        buffer_text(&b, most != SIZE_MAX ? "; " : "");
        add_cell(s, &b, run, least, largest, false);
    }
    buffer_text(&b, most != SIZE_MAX || least != SIZE_MAX ? "." : "No feature moves any step: every score is 0.");
    end_sentence(s, &b, 2, 0);
    print_check(s, run, first, 0);
}
