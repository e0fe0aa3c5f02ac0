/*
 * From the sides of a target (targets.c) to targets, once the clean run is there: every answer is frozen, so that no removed
 * feature changes what is asked.
 *
 * An answer of several tokens is the sum over them: with teacher forcing after each other, in a masked LM with one mask a
 * token, all at once (methods.md 2).
 * Known to go wrong: a byte-level vocabulary has entries that are no character; they are named by their bytes, <0xF0>.
 */
#include <math.h>

#include "base/failure.h"
#include "base/utf8.h"
#include "explain/question.h"
#include "text/byte_level.h"

enum { TARGETS_MOST = 1024 };

/* ---- names ---- */

/* A byte-level entry that is not whole characters: what is one as it is, other bytes as <0xF0>.  False: not byte-level. */
static bool spell_bytes(view piece, buffer *out)
{
    buffer bytes;
    bool is_spelled = piece.size > 0;
    uint32_t c = 0;
    buffer_init(&bytes, piece.size + 1);
    for (size_t at = 0, length; is_spelled && at < piece.size; at += length) {
        length = utf8_decode(piece, at, &c);
        int byte = length ? byte_level_byte(c) : -1;
        is_spelled = byte >= 0;
        buffer_byte(&bytes, (char)byte);
    }
    view raw = buffer_as_view(&bytes);
    for (size_t at = 0, length; is_spelled && at < raw.size; at += length ? length : 1) {
        length = utf8_decode(raw, at, &c);
        if (length)
            buffer_view(out, view_slice(raw, at, at + length));
        else
            buffer_format(out, "<0x%02X>", (unsigned)(unsigned char)raw.data[at]);
    }
    buffer_fini(&bytes);
    return is_spelled;
}

static bool has_replacement(view text)
{
    uint32_t c = 0;
    for (size_t at = 0, length; at < text.size; at += length ? length : 1) {
        length = utf8_decode(text, at, &c);
        if (length == 0 || c == 0xFFFD)
            return true;
    }
    return false;
}

/* What the vocabulary entry says: its text, or the entry itself when that says less. */
static const char *entry_text(const question *q, int32_t id)
{
    const char *piece = tokenizer_piece(q->model->tokenizer, id);
    buffer text, bytes;
    buffer_init(&text, 1 << 16);
    buffer_init(&bytes, 1 << 16);
    tkr_error ignored = {0};
    bool says = piece && !view_begins(view_of(piece), VIEW("##")) &&
                tokenizer_decode(q->model->tokenizer, &id, 1, false, &text, &ignored) == TKR_OK && text.size > 0;
    const char *name = piece;
    if (says && !has_replacement(buffer_as_view(&text)))
        name = arena_copy_text(q->arena, buffer_as_view(&text));
    else if (says && spell_bytes(view_of(piece), &bytes))
        name = arena_copy_text(q->arena, buffer_as_view(&bytes));
    buffer_fini(&text);
    buffer_fini(&bytes);
    return name ? name : "";
}

const char *question_output_name(const question *q, size_t index)
{
    if (q->model->task == TKR_TASK_QUESTION_ANSWERING)
        return index < q->length ? entry_text(q, q->ids[index]) : "";
    bool is_label = index < q->model->label_count;
    return is_label ? q->model->labels[index] : entry_text(q, (int32_t)index);
}

static const char *target_name(question *q, size_t index)
{
    buffer name;
    buffer_init(&name, 32);
    buffer_format(&name, "t%zu", index);
    const char *kept = buffer_ok(&name) ? arena_copy_text(q->arena, buffer_as_view(&name)) : NULL;
    buffer_fini(&name);
    return kept;
}

/* The answer of a side at its term number k: given, or the likeliest. */
static int32_t answer(const side *s, size_t k, int32_t top)
{
    return s->outputs ? s->outputs[k < s->output_count ? k : s->output_count - 1] : top;
}

static tkr_status fail_target(const question *q, tkr_error *error)
{
    fail_field(error, "target", (int64_t)q->a.offset, (int64_t)q->a.spec.size);
    return error->code;
}

static tkr_status same_sides(const question *q, int32_t a, tkr_error *error)
{
    fail(error, TKR_E_TARGET_SAME, "both sides of the contrast are %s; the score is always 0",
         QUOTE(view_of(question_output_name(q, (size_t)a))));
    fail_field(error, "target", (int64_t)q->a.offset, (int64_t)(q->foil.offset + q->foil.spec.size - q->a.offset));
    return error->code;
}

/* One term: outputs frozen from the clean run where they are not given. */
static tkr_status fill_term(const question *q, term *t, size_t read, int32_t a, size_t k, measure m, tkr_error *error)
{
    const real *z = question_reading(q, q->clean, 0, read);
    int32_t top = logits_argmax(z, q->outputs_width, -1);
    *t = (term){.read = read, .f = {.measure = m, .link = q->link, .a = a < 0 ? top : a, .foil = -1}};
    t->f.rival = logits_argmax(z, q->outputs_width, t->f.a);
    if (m == MEASURE_KL) {
        real *clean = ARENA_NEW(q->arena, real, q->outputs_width);
        if (!clean)
            return fail_memory(error, "the clean answer", q->outputs_width);
        memcpy(clean, z, q->outputs_width * sizeof *clean);
        t->f.clean = clean;
    }
    if (!q->foil.kind)
        return TKR_OK;
    t->f.foil = answer(&q->foil, k, top);
    t->f.foil_rival = logits_argmax(z, q->outputs_width, t->f.foil);
    bool is_last = q->a.output_count < 2;
    return t->f.foil == t->f.a && is_last ? same_sides(q, t->f.a, error) : TKR_OK;
}

/* The user's bytes from one token to another, or the entries of given ids. */
static const char *span_name(question *q, size_t first, size_t last)
{
    const tkr_token *a = &q->tokens[first], *z = &q->tokens[last];
    if (a->begin >= 0 && z->text == a->text && z->end >= a->begin)
        return arena_copy_text(q->arena, view_slice(q->texts[a->text], (size_t)a->begin, (size_t)z->end));
    buffer text;
    buffer_init(&text, 1 << 20);
    tkr_error ignored = {0};
    tokenizer_decode(q->model->tokenizer, q->ids + first, last - first + 1, true, &text, &ignored);
    const char *name = arena_copy_text(q->arena, buffer_ok(&text) ? buffer_as_view(&text) : view_of(""));
    buffer_fini(&text);
    return name;
}

/* The target's words: of one output, or of several put together. */
static const char *joined_name(question *q, const target *t, bool foil)
{
    const side *s = foil ? &q->foil : &q->a;
    if (q->model->task == TKR_TASK_QUESTION_ANSWERING && t->term_count == 2)
        return span_name(q, (size_t)t->terms[0].f.a, (size_t)t->terms[1].f.a);
    if (t->term_count == 1)
        return question_output_name(q, (size_t)(foil ? t->terms[0].f.foil : t->terms[0].f.a));
    if (s->text.size)
        return arena_copy_text(q->arena, s->text);
    int32_t *ids = ARENA_NEW(q->arena, int32_t, t->term_count);
    buffer text;
    buffer_init(&text, 1 << 20);
    tkr_error ignored = {0};
    for (size_t k = 0; ids && k < t->term_count; k++)
        ids[k] = foil ? t->terms[k].f.foil : t->terms[k].f.a;
    if (ids)
        tokenizer_decode(q->model->tokenizer, ids, t->term_count, true, &text, &ignored);
    const char *name = arena_copy_text(q->arena, buffer_ok(&text) ? buffer_as_view(&text) : view_of(""));
    buffer_fini(&text);
    return name;
}

/* What kind of thing a target is, for those who read the result; read: of its first term, count: how many it has. */
static const char *kind_of(const question *q, size_t read, size_t count)
{
    switch (q->model->task) {
    case TKR_TASK_NEXT_TOKEN:
    case TKR_TASK_SEQUENCE_TO_SEQUENCE:
        if (view_is(view_of(q->a.kind), "token"))
            return "token";
        return q->output_count == 0 ? "token" : q->sums_steps ? "output" : "gen";
    case TKR_TASK_MASKED_LM: return view_is(view_of(q->a.kind), "mask") ? "mask" : "token";
    case TKR_TASK_QUESTION_ANSWERING: return count == 2 ? "span" : read == 0 ? "start" : "end";
    case TKR_TASK_SEQUENCE_CLASSIFICATION:
    case TKR_TASK_TOKEN_CLASSIFICATION: return view_is(view_of(q->a.kind), "class") ? "class" : "label";
    case TKR_TASK_NONE: break;
    }
    return "label";
}

static const char *chosen_by(const question *q)
{
    if (q->output_source == OUTPUT_GENERATED)
        return "generated";
    return q->a.outputs || q->output_source == OUTPUT_GIVEN ? "given" : "predicted";
}

static bool is_next(const question *q) { return q->model->task == TKR_TASK_NEXT_TOKEN; }

/* Where a target is read: the token it is about, which a decoder has not seen yet when it answers. */
static void place_target(const question *q, target *t)
{
    tkr_task task = q->model->task;
    t->position = t->step = -1;
    for (size_t k = 0; k < t->term_count; k++) {
        size_t row = task == TKR_TASK_QUESTION_ANSWERING ? q->length - 1 : q->read_positions[t->terms[k].read];
        t->last_row = row > t->last_row ? row : t->last_row;
    }
    if (task == TKR_TASK_SEQUENCE_CLASSIFICATION || t->term_count != 1)
        return;
    size_t row = t->last_row;
    if (task == TKR_TASK_QUESTION_ANSWERING)
        t->position = t->terms[0].f.a;
    else if (q->output_count && (is_next(q) || task == TKR_TASK_SEQUENCE_TO_SEQUENCE))
        t->step = (int64_t)(row - output_row(q, 0));
    if (task == TKR_TASK_MASKED_LM || task == TKR_TASK_TOKEN_CLASSIFICATION)
        t->position = (int64_t)row;
    else if (is_next(q))
        t->position = (int64_t)row + 1;
}

/* Target number `index` over `count` reads; answers[k] -1: whatever is likeliest. */
static tkr_status fill_target(question *q, size_t index, const size_t *reads, const int32_t *answers, size_t count, tkr_error *error)
{
    target *t = &q->targets[index];
    term *terms = ARENA_NEW(q->arena, term, count);
    *t = (target){.id = target_name(q, index), .kind = kind_of(q, reads[0], count), .chosen_by = chosen_by(q), .terms = terms, .term_count = count};
    t->measure = q->measure != MEASURE_COUNT ? q->measure : q->model->score ? MEASURE_SCORE : count > 1 ? MEASURE_LOGPROB : MEASURE_LOGIT;
    if (!terms || !t->id)
        return fail_memory(error, "targets", count);
    if (count > 1 && t->measure == MEASURE_PROB && q->model->task != TKR_TASK_QUESTION_ANSWERING) {
        fail(error, TKR_E_USAGE_CAPABILITY, "measure prob does not add up over %zu tokens; logprob does", count);
        fail_field(error, "measure", -1, 0);
        return error->code;
    }
    tkr_status status = TKR_OK;
    for (size_t k = 0; !status && k < count; k++)
        status = fill_term(q, &terms[k], reads[k], answers[k], k, t->measure, error);
    if (status)
        return status;
    place_target(q, t);
    t->label = joined_name(q, t, false);
    t->foil_label = q->foil.kind ? joined_name(q, t, true) : NULL;
    t->value = target_value(q, t, q->clean, 0);
    t->probability = target_probability(q, t, q->clean, 0);
    return TKR_OK;
}

static tkr_status fill_one(question *q, size_t read, int32_t a, tkr_error *error)
{
    return fill_target(q, q->target_count++, &read, &a, 1, error);
}

static tkr_status freeze_classes(question *q, tkr_error *error)
{
    bool all = view_is(view_of(q->a.kind), "all");
    if (all && q->outputs_width > TARGETS_MOST) {
        fail(error, TKR_E_TARGET_RANGE, "target all: the model has %zu classes; at most %d are explained at once", q->outputs_width,
             TARGETS_MOST);
        return fail_target(q, error);
    }
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < (all ? q->outputs_width : 1); i++)
        status = fill_one(q, 0, all ? (int32_t)i : answer(&q->a, 0, -1), error);
    return status;
}

static tkr_status freeze_masks(question *q, tkr_error *error)
{
    if (q->a.output_count > 1) {
        size_t *reads = ARENA_NEW(q->arena, size_t, q->a.output_count), found = 0;
        if (!reads)
            return fail_memory(error, "targets", q->a.output_count);
        for (size_t r = 0; r < q->reads && found < q->a.output_count; r++)
            if (q->read_positions[r] >= q->a.position)
                reads[found++] = r;
        return fill_target(q, q->target_count++, reads, q->a.outputs, found, error);
    }
    tkr_status status = TKR_OK;
    for (size_t r = 0; !status && r < q->reads; r++)
        if (q->a.position < 0 || q->a.position == (int64_t)q->read_positions[r])
            status = fill_one(q, r, answer(&q->a, 0, -1), error);
    if (status || q->target_count > 0)
        return status;
    fail(error, TKR_E_TARGET_RANGE, "position %lld of %zu tokens is not a mask", (long long)q->a.position, q->length);
    return fail_target(q, error);
}

/* The label that says "nothing here": O, or the only one of a model that answers yes or no. */
static bool is_outside(const question *q, const real *z)
{
    if (q->outputs_width == 1)
        return z[0] < 0;
    return view_is(view_of(q->model->labels[logits_argmax(z, q->outputs_width, -1)]), "O");
}

/* Each token, or where nothing is named those that the model gives a label to; when it gives none, the likeliest. */
static tkr_status freeze_tags(question *q, tkr_error *error)
{
    bool all = view_is(view_of(q->a.kind), "all"), named = q->a.outputs || q->a.position >= 0;
    tkr_status status = TKR_OK;
    size_t doubtful = 0;
    double least = HUGE_VAL;
    for (size_t r = 0; !status && r < q->reads; r++) {
        const real *z = question_reading(q, q->clean, 0, r);
        bool is_here = q->a.position < 0 || q->a.position == (int64_t)r;
        bool is_player = q->tokens[r].special == TKR_SPECIAL_NONE || q->tokens[r].special == TKR_SPECIAL_UNK;
        size_t top = (size_t)logits_argmax(z, q->outputs_width, -1);
        double outside = is_player ? link_probability(q->link, z, q->outputs_width, top) : HUGE_VAL;
        doubtful = outside < least ? r : doubtful;
        least = fmin(outside, least);
        bool is_asked = q->a.position >= 0 ? is_here : is_player && (named || all || !is_outside(q, z));
        if (is_asked)
            status = fill_one(q, r, answer(&q->a, 0, -1), error);
    }
    if (status || q->target_count > 0)
        return status;
    if (q->a.position < 0)
        return fill_one(q, doubtful, -1, error);
    fail(error, TKR_E_TARGET_RANGE, "position %lld; the input has tokens 0 to %zu", (long long)q->a.position, q->length - 1);
    return fail_target(q, error);
}

/* The likeliest place for a start or an end: in the second text where there is one, never on a token of the template. */
static int32_t likeliest_place(const question *q, size_t column, int32_t from)
{
    const real *z = question_reading(q, q->clean, 0, column);
    int32_t best = -1;
    for (size_t i = from < 0 ? 0 : (size_t)from; i < q->length; i++) {
        bool fits = !q->tokens[i].is_template && q->tokens[i].special == TKR_SPECIAL_NONE && (!q->texts[1].data || q->tokens[i].text == 1);
        if (fits && (best < 0 || z[i] > z[best]))
            best = (int32_t)i;
    }
    return best;
}

static tkr_status freeze_places(question *q, tkr_error *error)
{
    view kind = view_of(q->a.kind);
    int32_t start = likeliest_place(q, 0, -1), end = likeliest_place(q, 1, start);
    const int32_t places[2] = {start, end};
    const size_t columns[2] = {0, 1};
    if (start < 0 || end < 0)
        return fail(error, TKR_E_INPUT_EMPTY, "the text has no token that could be an answer");
    if (view_is(kind, "predicted"))
        return fill_target(q, q->target_count++, columns, places, 2, error);
    tkr_status status = TKR_OK;
    for (size_t c = 0; !status && c < 2; c++)
        if (view_is(kind, "all") || view_is(kind, c ? "end" : "start"))
            status = fill_one(q, c, answer(&q->a, 0, places[c]), error);
    return status;
}

/* A word as the target of the next position, the token at pos:N, or the steps of the output. */
static tkr_status freeze_steps(question *q, tkr_error *error)
{
    if (q->output_count == 0) {
        bool at_position = view_is(view_of(q->a.kind), "pos");
        int32_t there = at_position ? q->ids[q->a.position] : -1;
        return fill_one(q, 0, at_position ? there : answer(&q->a, 0, -1), error);
    }
    size_t *reads = ARENA_NEW(q->arena, size_t, q->reads), first = q->read_positions[0] - output_row(q, 0);
    int32_t *answers = ARENA_NEW(q->arena, int32_t, q->reads);
    if (!reads || !answers)
        return fail_memory(error, "targets", q->reads);
    bool at_step = view_is(view_of(q->a.kind), "token") && q->a.position >= 0;
    for (size_t r = 0; r < q->reads; r++) {
        reads[r] = r;
        answers[r] = at_step ? q->a.outputs[0] : q->outputs[first + r];
    }
    if (q->sums_steps)
        return fill_target(q, q->target_count++, reads, answers, q->reads, error);
    tkr_status status = TKR_OK;
    for (size_t r = 0; !status && r < q->reads; r++)
        status = fill_one(q, r, answers[r], error);
    return status;
}

tkr_status targets_freeze(question *q, tkr_error *error)
{
    static tkr_status (*const freeze[])(question *, tkr_error *) = {
        [TKR_TASK_SEQUENCE_CLASSIFICATION] = freeze_classes, [TKR_TASK_MASKED_LM] = freeze_masks,
        [TKR_TASK_TOKEN_CLASSIFICATION] = freeze_tags,       [TKR_TASK_QUESTION_ANSWERING] = freeze_places,
        [TKR_TASK_NEXT_TOKEN] = freeze_steps,                [TKR_TASK_SEQUENCE_TO_SEQUENCE] = freeze_steps};
    size_t most = q->target_count > q->reads ? q->target_count : q->reads;
    q->targets = ARENA_NEW(q->arena, target, most > 2 ? most : 2);
    if (!q->targets)
        return fail_memory(error, "targets", most);
    q->target_count = 0;
    return freeze[q->model->task](q, error);
}
