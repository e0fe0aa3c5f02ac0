/*
 * Targets: the little language that says what is explained.
 *
 *   predicted · label:NAME · class:N · mask · token:"piece"[@position] · all, and contrasts a~b of two of them
 *
 * A label is matched exactly, else ignoring case when one fits.  In a masked LM every [MASK] of the text is a read row and, unless a
 * position is named, a target of its own.  A "~" or "@" inside double quotes is text.
 */
#include <math.h>

#include "base/failure.h"
#include "base/number.h"
#include "explain/question.h"

/* One side of a contrast, understood; output -1: whatever the model predicts. */
typedef struct side {
    view spec;
    size_t offset;      /* of spec inside the target string */
    const char *kind;   /* "predicted", "label", "class", "token", "mask", "all" */
    int32_t output;
    int64_t position;   /* -1: every read row */
} side;

static tkr_status fail_side(tkr_error *error, tkr_status code, const side *s)
{
    fail_field(error, "target", (int64_t)s->offset, (int64_t)s->spec.size);
    return code;
}

/* The same, pointing at a part of the side. */
static tkr_status fail_part(tkr_error *error, tkr_status code, const side *s, view part)
{
    fail_field(error, "target", (int64_t)s->offset + (part.data - s->spec.data), (int64_t)part.size);
    return code;
}

/* ---- which rows are read ---- */

static bool is_mask(const question *q, size_t i)
{
    return q->ids[i] == tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK);
}

static tkr_status read_masks(question *q, bool all_rows, tkr_error *error)
{
    q->read_positions = ARENA_NEW(q->arena, uint32_t, q->length);
    if (!q->read_positions)
        return fail_memory(error, "masked positions", q->length);
    for (size_t i = 0; i < q->length; i++)
        if (all_rows || is_mask(q, i))
            q->read_positions[q->reads++] = (uint32_t)i;
    if (q->reads > 0)
        return TKR_OK;
    const char *mask = tokenizer_piece(q->model->tokenizer, tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK));
    fail(error, TKR_E_INPUT_MASK, "the text has no %s", mask ? mask : "mask token");
    fail_help(error, "write %s where the model should fill in a word", mask ? mask : "the mask token");
    return error->code;
}

tkr_status targets_find_reads(question *q, bool all_rows, tkr_error *error)
{
    if (q->model->task == TKR_TASK_MASKED_LM)
        return read_masks(q, all_rows, error);
    if (q->model->task == TKR_TASK_NONE && !all_rows)
        return fail(error, TKR_E_UNSUPPORTED_HEAD, "this folder has no head that predicts anything; it can show hidden states only");
    q->read_positions = ARENA_NEW(q->arena, uint32_t, 1); /* classification reads the first row */
    if (!q->read_positions)
        return fail_memory(error, "the read row", 1);
    q->reads = 1;
    return TKR_OK;
}

/* ---- one side ---- */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool equal_ignoring_case(view a, view b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

/* Labels as one line, and the label most like the one asked for (most equal letters in place). */
static void list_labels(const tkr_model *m, view asked, tkr_error *error)
{
    buffer all;
    buffer_init(&all, 300);
    size_t best = 0, best_score = 0;
    for (size_t i = 0; i < m->label_count; i++) {
        view label = view_of(m->labels[i]);
        size_t score = 0;
        for (size_t k = 0; k < label.size && k < asked.size; k++)
            score += lower(label.data[k]) == lower(asked.data[k]);
        if (score > best_score) {
            best_score = score;
            best = i;
        }
        buffer_format(&all, "%s%s", i ? ", " : "labels: ", PLAIN(label));
    }
    fail_facts(error, "%s", buffer_ok(&all) ? all.data : "labels: tokray models info lists them");
    if (m->label_count)
        fail_help(error, "--target label:%s", PLAIN(view_of(m->labels[best])));
    buffer_fini(&all);
}

static tkr_status find_label(const question *q, view name, side *s, tkr_error *error)
{
    const tkr_model *m = q->model;
    int32_t found = -1, loosely = -1;
    size_t fits = 0;
    for (size_t i = 0; i < m->label_count; i++) {
        if (view_is(name, m->labels[i]))
            found = (int32_t)i;
        if (equal_ignoring_case(name, view_of(m->labels[i]))) {
            loosely = (int32_t)i;
            fits++;
        }
    }
    s->output = found >= 0 ? found : fits == 1 ? loosely : -1;
    if (s->output >= 0)
        return TKR_OK;
    fail(error, TKR_E_TARGET_UNKNOWN_LABEL, "no label %s in model %s", QUOTE(name), m->name);
    fail_part(error, TKR_E_TARGET_UNKNOWN_LABEL, s, name);
    list_labels(m, name, error);
    return error->code;
}

static tkr_status find_class(const question *q, view number, side *s, tkr_error *error)
{
    uint64_t index;
    if (!number_parse_u64(number, &index)) {
        fail(error, TKR_E_TARGET_SYNTAX, "class %s is not a whole number", QUOTE(number));
        return fail_part(error, error->code, s, number);
    }
    if (index >= q->outputs) {
        fail(error, TKR_E_TARGET_RANGE, "class %llu; the model has 0 to %zu", (unsigned long long)index, q->outputs - 1);
        return fail_part(error, error->code, s, number);
    }
    s->output = (int32_t)index;
    return TKR_OK;
}

/* A vocabulary entry, or a text that the tokenizer makes one token of. */
static tkr_status find_token(const question *q, view text, side *s, tkr_error *error)
{
    const tokenizer *t = q->model->tokenizer;
    s->output = tokenizer_id(t, text);
    if (s->output >= 0 && (size_t)s->output < q->outputs)
        return TKR_OK;
    tkr_encoding *e = tokenizer_encode(t, text, (encode_options){.no_special = true}, error);
    if (!e)
        return error->code;
    size_t count = e->count;
    s->output = count == 1 ? e->tokens[0].id : -1;
    bool is_unknown = count == 1 && e->tokens[0].special == TKR_SPECIAL_UNK;
    tkr_encoding_free(e);
    if (s->output >= 0 && !is_unknown && (size_t)s->output < q->outputs)
        return TKR_OK;
    if (count > 1)
        fail(error, TKR_E_TARGET_UNKNOWN_TOKEN, "%s is %zu tokens of this model's vocabulary; a target is one", QUOTE(text), count);
    else
        fail(error, TKR_E_TARGET_UNKNOWN_TOKEN, "%s is not in this model's vocabulary", QUOTE(text));
    fail_help(error, "tokray tokens shows how a text is cut");
    return fail_side(error, error->code, s);
}

/* token:"text"@7 -> text and position; quotes are optional when the text has none of ~ @ and ". */
static tkr_status split_token(view rest, view *text, side *s, tkr_error *error)
{
    size_t end = rest.size, at = rest.size;
    if (rest.size >= 2 && rest.data[0] == '"') {
        for (end = 1; end < rest.size && rest.data[end] != '"'; end++)
            ;
        if (end == rest.size) {
            fail(error, TKR_E_TARGET_SYNTAX, "target %s has no closing quote", QUOTE(s->spec));
            return fail_side(error, error->code, s);
        }
        *text = view_slice(rest, 1, end);
        at = end + 1;
    } else {
        for (at = 0; at < rest.size && rest.data[at] != '@'; at++)
            ;
        *text = view_slice(rest, 0, at);
    }
    if (at == rest.size)
        return TKR_OK;
    uint64_t position;
    if (rest.data[at] != '@' || !number_parse_u64(view_slice(rest, at + 1, rest.size), &position) || position > INT32_MAX) {
        fail(error, TKR_E_TARGET_SYNTAX, "target %s: after the token only @ and a position may follow", QUOTE(s->spec));
        return fail_side(error, error->code, s);
    }
    s->position = (int64_t)position;
    return TKR_OK;
}

static tkr_status wrong_task(const question *q, const side *s, tkr_error *error)
{
    bool classifies = q->model->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    fail(error, TKR_E_TARGET_TASK, "target %s does not suit a model for %s", QUOTE(s->spec),
         classifies ? "sequence classification" : "masked language modelling");
    fail_help(error, classifies ? "predicted, label:NAME, class:N or all" : "predicted, mask or token:\"word\"");
    return fail_side(error, error->code, s);
}

static tkr_status understand(const question *q, side *s, tkr_error *error)
{
    static const struct {
        const char *prefix, *kind;
        bool classification, masked, is_whole;
    } forms[] = {{"predicted", "predicted", true, true, true}, {"label:", "label", true, false, false},
                 {"class:", "class", true, false, false},      {"mask", "mask", false, true, true},
                 {"token:", "token", false, true, false},      {"all", "all", true, true, true}};
    bool classifies = q->model->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        view prefix = view_of(forms[i].prefix);
        if (forms[i].is_whole ? !view_equal(s->spec, prefix) : !view_begins(s->spec, prefix))
            continue;
        s->kind = forms[i].kind;
        if (classifies ? !forms[i].classification : !forms[i].masked)
            return wrong_task(q, s, error);
        view rest = view_slice(s->spec, prefix.size, s->spec.size), text = {0};
        if (view_is(prefix, "label:"))
            return find_label(q, rest, s, error);
        if (view_is(prefix, "class:"))
            return find_class(q, rest, s, error);
        if (!view_is(prefix, "token:"))
            return TKR_OK;
        tkr_status status = split_token(rest, &text, s, error);
        return status ? status : find_token(q, text, s, error);
    }
    fail(error, TKR_E_TARGET_SYNTAX, "target %s is none of predicted, label:NAME, class:N, mask, token:\"word\", all, a~b",
         QUOTE(s->spec));
    for (size_t i = 0; i < q->model->label_count; i++)
        if (equal_ignoring_case(s->spec, view_of(q->model->labels[i])))
            fail_help(error, "--target label:%s", PLAIN(view_of(q->model->labels[i])));
    return fail_side(error, error->code, s);
}

/* ---- from sides to targets ---- */

/* Position of the "~" outside quotes, or text.size. */
static size_t contrast_at(view text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"')
            quoted = !quoted;
        else if (text.data[i] == '~' && !quoted)
            return i;
    }
    return text.size;
}

static tkr_status check_measure(const question *q, measure m, tkr_error *error)
{
    bool needs_probability = m == MEASURE_PROB || m == MEASURE_LOGPROB || m == MEASURE_LOGODDS;
    bool needs_others = m == MEASURE_MARGIN || m == MEASURE_MEANFOIL;
    if (needs_probability && q->link == LINK_NONE)
        fail(error, TKR_E_USAGE_CAPABILITY, "measure %s: a regression model has no probabilities; logit", measure_id(m));
    else if (needs_others && q->outputs < 2)
        fail(error, TKR_E_USAGE_CAPABILITY, "measure %s needs at least two outputs; the model has one", measure_id(m));
    else
        return TKR_OK;
    fail_field(error, "measure", -1, 0);
    return error->code;
}

static tkr_status read_measure(const question *q, measure *m, tkr_error *error)
{
    view name = view_of(q->asked->measure ? q->asked->measure : "logit");
    if (measure_find(name, m))
        return check_measure(q, *m, error);
    fail(error, TKR_E_USAGE_VALUE, "no measure %s; logit, prob, logprob, logodds, margin or meanfoil", QUOTE(name));
    fail_field(error, "measure", 0, (int64_t)name.size);
    return error->code;
}

static const char *target_name(question *q, size_t index)
{
    char text[16];
    size_t n = 0;
    text[n++] = 't';
    char digits[8];
    size_t d = 0;
    do
        digits[d++] = (char)('0' + index % 10);
    while ((index /= 10) && d < sizeof digits);
    while (d)
        text[n++] = digits[--d];
    return arena_copy_text(q->arena, (view){text, n});
}

/* One target at a read row: outputs frozen from the clean run where they are not given. */
static tkr_status fill_target(question *q, target *t, size_t index, size_t read, const side *a, const side *foil, measure m,
                              tkr_error *error)
{
    const real *z = pass_logits(q->clean, 0, read);
    int32_t top = logits_argmax(z, q->outputs, -1);
    *t = (target){.id = target_name(q, index), .read = read, .kind = a->kind};
    t->f = (measured){.measure = m, .link = q->link, .a = a->output < 0 ? top : a->output, .foil = -1};
    t->chosen_by = a->output < 0 ? "predicted" : "given";
    if (view_is(view_of(t->kind), "predicted") || view_is(view_of(t->kind), "all"))
        t->kind = q->model->task == TKR_TASK_MASKED_LM ? "token" : "label";
    if (foil) {
        t->f.foil = foil->output < 0 ? top : foil->output;
        if (t->f.foil == t->f.a) {
            fail(error, TKR_E_TARGET_SAME, "both sides of the contrast are %s; the score is always 0",
                 QUOTE(view_of(model_output_name(q->model, (size_t)t->f.a))));
            fail_field(error, "target", (int64_t)a->offset, (int64_t)(foil->offset + foil->spec.size - a->offset));
            return error->code;
        }
        t->foil_label = model_output_name(q->model, (size_t)t->f.foil);
        t->f.foil_rival = logits_argmax(z, q->outputs, t->f.foil);
    }
    t->f.rival = logits_argmax(z, q->outputs, t->f.a);
    t->label = model_output_name(q->model, (size_t)t->f.a);
    t->value = measure_value(&t->f, z, q->outputs);
    t->probability = link_probability(q->link, z, q->outputs, (size_t)t->f.a);
    return t->id ? TKR_OK : fail_memory(error, "targets", q->target_count);
}

static tkr_status fill_all_classes(question *q, const side *a, measure m, tkr_error *error)
{
    enum { TARGETS_MOST = 1024 };
    if (q->outputs > TARGETS_MOST) {
        fail(error, TKR_E_TARGET_RANGE, "target all: the model has %zu classes; at most %d are explained at once", q->outputs,
             TARGETS_MOST);
        return fail_side(error, error->code, a);
    }
    q->targets = ARENA_NEW(q->arena, target, q->outputs);
    if (!q->targets)
        return fail_memory(error, "targets", q->outputs);
    q->target_count = q->outputs;
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < q->outputs; i++) {
        side one = *a;
        one.output = (int32_t)i;
        status = fill_target(q, &q->targets[i], i, 0, &one, NULL, m, error);
    }
    return status;
}

static tkr_status fill_reads(question *q, const side *a, const side *foil, measure m, tkr_error *error)
{
    q->targets = ARENA_NEW(q->arena, target, q->reads);
    if (!q->targets)
        return fail_memory(error, "targets", q->reads);
    tkr_status status = TKR_OK;
    for (size_t r = 0; !status && r < q->reads; r++) {
        if (a->position >= 0 && a->position != (int64_t)q->read_positions[r])
            continue;
        status = fill_target(q, &q->targets[q->target_count], q->target_count, r, a, foil, m, error);
        q->target_count++;
    }
    if (status || q->target_count > 0)
        return status;
    fail(error, TKR_E_TARGET_RANGE, "position %lld of %zu tokens is not a mask", (long long)a->position, q->length);
    return fail_side(error, error->code, a);
}

tkr_status targets_find(question *q, tkr_error *error)
{
    view spec = view_of(q->asked->target ? q->asked->target : "predicted");
    size_t tilde = contrast_at(spec);
    bool is_contrast = tilde < spec.size;
    side a = {.spec = view_slice(spec, 0, tilde), .output = -1, .position = -1};
    side foil = {.spec = view_slice(spec, is_contrast ? tilde + 1 : tilde, spec.size), .offset = tilde + 1, .output = -1, .position = -1};
    measure m = MEASURE_LOGIT;
    tkr_status status = read_measure(q, &m, error);
    if (!status)
        status = understand(q, &a, error);
    if (!status && is_contrast)
        status = understand(q, &foil, error);
    if (status)
        return status;
    bool all_classes = view_is(a.spec, "all") && q->model->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    if (is_contrast && (view_is(a.spec, "all") || view_is(foil.spec, "all"))) {
        fail(error, TKR_E_TARGET_SYNTAX, "target all cannot be a side of a contrast");
        return fail_side(error, error->code, view_is(a.spec, "all") ? &a : &foil);
    }
    return all_classes ? fill_all_classes(q, &a, m, error) : fill_reads(q, &a, is_contrast ? &foil : NULL, m, error);
}
