/*
 * Targets: the little language that says what is explained (answers.c makes the targets, once the model has answered).
 *
 *   predicted · label:NAME · class:N · mask · token:"text"[@position] · id:N · next · pos:N · gen:N · start · end · all,
 *   and contrasts a~b of two of them
 *
 * A label is matched exactly, else ignoring case when one fits; label:NAME@N is that label at token N.  In a masked LM every
 * [MASK] of the text is a read row and, unless a position is named, a target of its own.  pos:N is the token at position N as
 * the model sees it coming (a decoder: from what precedes it).  gen:N is step N of the output.  A "~" or "@" inside double
 * quotes is text.
 */
#include "base/failure.h"
#include "base/number.h"
#include "explain/question.h"

enum { ANSWER_TOKENS_MOST = 64 };

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

static tkr_status one_output(const question *q, side *s, int64_t output, tkr_error *error)
{
    int32_t *list = ARENA_NEW(q->arena, int32_t, 1);
    if (!list)
        return fail_memory(error, "a target", 1);
    *list = (int32_t)output;
    s->outputs = list;
    s->output_count = 1;
    return TKR_OK;
}

static tkr_status find_label(const question *q, view name, side *s, tkr_error *error)
{
    const tkr_model *m = q->model;
    int64_t found = -1, loosely = -1;
    size_t fits = 0;
    for (size_t i = 0; i < m->label_count; i++) {
        if (view_is(name, m->labels[i]))
            found = (int64_t)i;
        if (equal_ignoring_case(name, view_of(m->labels[i]))) {
            loosely = (int64_t)i;
            fits++;
        }
    }
    if (found >= 0 || fits == 1)
        return one_output(q, s, found >= 0 ? found : loosely, error);
    fail(error, TKR_E_TARGET_UNKNOWN_LABEL, "no label %s in model %s", QUOTE(name), m->name);
    fail_part(error, TKR_E_TARGET_UNKNOWN_LABEL, s, name);
    list_labels(m, name, error);
    return error->code;
}

static tkr_status read_number(view number, const side *s, uint64_t *out, tkr_error *error)
{
    if (number_parse_u64(number, out) && *out <= INT32_MAX)
        return TKR_OK;
    fail(error, TKR_E_TARGET_SYNTAX, "target %s: %s is not a whole number", QUOTE(s->spec), QUOTE(number));
    return fail_part(error, error->code, s, number);
}

static tkr_status find_class(const question *q, view number, side *s, tkr_error *error)
{
    uint64_t index;
    bool is_class = model_outputs(q->model) == q->model->label_count;
    if (!number_parse_u64(number, &index)) {
        fail(error, TKR_E_TARGET_SYNTAX, "%s %s is not a whole number", is_class ? "class" : "id", QUOTE(number));
        return fail_part(error, error->code, s, number);
    }
    if (index < model_outputs(q->model))
        return one_output(q, s, (int64_t)index, error);
    fail(error, TKR_E_TARGET_RANGE, "%s %llu; the model has 0 to %zu", is_class ? "class" : "id", (unsigned long long)index,
         model_outputs(q->model) - 1);
    return fail_part(error, error->code, s, number);
}

/* A vocabulary entry, or a text and the tokens that the tokenizer makes of it. */
static tkr_status find_token(const question *q, view text, side *s, tkr_error *error)
{
    const tokenizer *t = q->model->tokenizer;
    if (text.size == 0) {
        fail(error, TKR_E_TARGET_SYNTAX, "target %s names no token", QUOTE(s->spec));
        return fail_side(error, error->code, s);
    }
    int32_t entry = tokenizer_id(t, text);
    s->text = text;
    if (entry >= 0 && (size_t)entry < model_outputs(q->model))
        return one_output(q, s, entry, error);
    tkr_encoding *e = tokenizer_encode(t, text, (encode_options){.no_special = true}, error);
    if (!e)
        return error->code;
    int32_t *list = ARENA_NEW(q->arena, int32_t, e->count);
    bool is_known = list && e->count > 0 && e->count <= ANSWER_TOKENS_MOST;
    for (size_t i = 0; is_known && i < e->count; i++) {
        list[i] = e->tokens[i].id;
        is_known = e->tokens[i].special != TKR_SPECIAL_UNK && (size_t)list[i] < model_outputs(q->model);
    }
    s->outputs = list;
    s->output_count = e->count;
    tkr_encoding_free(e);
    if (is_known)
        return TKR_OK;
    if (s->output_count > ANSWER_TOKENS_MOST)
        fail(error, TKR_E_TARGET_RANGE, "target %s has %zu tokens; at most %d", QUOTE(s->spec), s->output_count, ANSWER_TOKENS_MOST);
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

/* ---- the forms ---- */

/* Tasks a form suits, as bits. */
enum {
    CLASSIFIES = 1 << TKR_TASK_SEQUENCE_CLASSIFICATION,
    FILLS = 1 << TKR_TASK_MASKED_LM,
    TAGS = 1 << TKR_TASK_TOKEN_CLASSIFICATION,
    ANSWERS = 1 << TKR_TASK_QUESTION_ANSWERING,
    CONTINUES = 1 << TKR_TASK_NEXT_TOKEN,
    REWRITES = 1 << TKR_TASK_SEQUENCE_TO_SEQUENCE,
    ANY_TASK = CLASSIFIES | FILLS | TAGS | ANSWERS | CONTINUES | REWRITES,
};

typedef struct form {
    const char *prefix, *kind;
    unsigned tasks;
    enum { FORM_WHOLE, FORM_LABEL, FORM_CLASS, FORM_TOKEN, FORM_POSITION, FORM_AT } rest; /* what follows the prefix */
    bool can_be_foil;
} form;

static const form forms[] = {
    {"predicted", "predicted", ANY_TASK, FORM_WHOLE, true},
    {"label:", "label", CLASSIFIES | TAGS, FORM_LABEL, true},
    {"class:", "class", CLASSIFIES | TAGS, FORM_CLASS, true},
    {"mask", "mask", FILLS, FORM_WHOLE, false},
    {"token:", "token", FILLS | CONTINUES | REWRITES, FORM_TOKEN, true},
    {"id:", "token", FILLS | CONTINUES | REWRITES, FORM_CLASS, true},
    {"next", "next", CONTINUES, FORM_WHOLE, false},
    {"pos:", "pos", FILLS | TAGS | CONTINUES, FORM_POSITION, false},
    {"gen:", "gen", CONTINUES | REWRITES, FORM_POSITION, false},
    {"start", "start", ANSWERS, FORM_AT, true},
    {"end", "end", ANSWERS, FORM_AT, true},
    {"all", "all", ANY_TASK, FORM_WHOLE, false},
};

/* What may be asked of a model of this task. */
static const char *choices(tkr_task task)
{
    switch (task) {
    case TKR_TASK_SEQUENCE_CLASSIFICATION: return "predicted, label:NAME, class:N or all";
    case TKR_TASK_MASKED_LM: return "predicted, mask, pos:N or token:\"word\"";
    case TKR_TASK_TOKEN_CLASSIFICATION: return "predicted, pos:N, label:NAME@N, class:N@N or all";
    case TKR_TASK_QUESTION_ANSWERING: return "predicted, start, end, start@N, end@N or all";
    case TKR_TASK_NEXT_TOKEN: return "predicted, next, pos:N, gen:N, token:\"word\" or all";
    case TKR_TASK_SEQUENCE_TO_SEQUENCE: return "predicted, gen:N, token:\"word\" or all";
    case TKR_TASK_NONE: break;
    }
    return "nothing";
}

static const char *task_words(tkr_task task)
{
    switch (task) {
    case TKR_TASK_SEQUENCE_CLASSIFICATION: return "sequence classification";
    case TKR_TASK_MASKED_LM: return "masked language modelling";
    case TKR_TASK_TOKEN_CLASSIFICATION: return "token classification";
    case TKR_TASK_QUESTION_ANSWERING: return "question answering";
    case TKR_TASK_NEXT_TOKEN: return "next-token prediction";
    case TKR_TASK_SEQUENCE_TO_SEQUENCE: return "sequence-to-sequence generation";
    case TKR_TASK_NONE: break;
    }
    return "hidden states only";
}

static tkr_status wrong_task(const question *q, const side *s, tkr_error *error)
{
    fail(error, TKR_E_TARGET_TASK, "target %s does not suit a model for %s", QUOTE(s->spec), task_words(q->model->task));
    fail_help(error, "%s", choices(q->model->task));
    return fail_side(error, error->code, s);
}

/* "B-PER@7": the part before the last @, and the position after it. */
static tkr_status split_position(view rest, view *name, side *s, tkr_error *error)
{
    size_t at = rest.size;
    while (at > 0 && rest.data[at - 1] != '@')
        at--;
    *name = at ? view_slice(rest, 0, at - 1) : rest;
    uint64_t position = 0;
    tkr_status status = at ? read_number(view_slice(rest, at, rest.size), s, &position, error) : TKR_OK;
    if (at && !status)
        s->position = (int64_t)position;
    return status;
}

/* Labels and classes: of the text, or in token classification at a token. */
static tkr_status read_label(const question *q, const form *f, view rest, side *s, tkr_error *error)
{
    view name = rest;
    bool tags = q->model->task == TKR_TASK_TOKEN_CLASSIFICATION;
    tkr_status status = tags ? split_position(rest, &name, s, error) : TKR_OK;
    if (status)
        return status;
    return f->rest == FORM_LABEL ? find_label(q, name, s, error) : find_class(q, name, s, error);
}

/* "start@7" */
static tkr_status read_at(const question *q, view rest, side *s, tkr_error *error)
{
    uint64_t position = 0;
    if (rest.size == 0)
        return TKR_OK;
    tkr_status status = read_number(view_slice(rest, 1, rest.size), s, &position, error);
    if (status)
        return status;
    if (position >= q->length) {
        fail(error, TKR_E_TARGET_RANGE, "position %llu; the input has tokens 0 to %zu", (unsigned long long)position, q->length - 1);
        return fail_side(error, error->code, s);
    }
    return one_output(q, s, (int64_t)position, error);
}

static tkr_status read_rest(const question *q, const form *f, view rest, side *s, tkr_error *error)
{
    uint64_t position = 0;
    view text = {0};
    tkr_status status = TKR_OK;
    switch (f->rest) {
    case FORM_LABEL: return read_label(q, f, rest, s, error);
    case FORM_CLASS: return read_label(q, f, rest, s, error);
    case FORM_TOKEN:
        status = split_token(rest, &text, s, error);
        return status ? status : find_token(q, text, s, error);
    case FORM_POSITION:
        status = read_number(rest, s, &position, error);
        s->position = (int64_t)position;
        return status;
    case FORM_AT: return read_at(q, rest, s, error);
    case FORM_WHOLE: break;
    }
    return TKR_OK;
}

static bool has_form(view spec, const form *f)
{
    view prefix = view_of(f->prefix);
    if (f->rest == FORM_WHOLE)
        return view_equal(spec, prefix);
    if (!view_begins(spec, prefix))
        return false;
    return f->rest != FORM_AT || spec.size == prefix.size || spec.data[prefix.size] == '@';
}

static tkr_status understand(const question *q, side *s, bool is_foil, tkr_error *error)
{
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const form *f = &forms[i];
        if (!has_form(s->spec, f))
            continue;
        s->kind = f->kind;
        if (!(f->tasks & 1U << q->model->task))
            return wrong_task(q, s, error);
        if (is_foil && !f->can_be_foil) {
            fail(error, TKR_E_TARGET_SYNTAX, "target %s cannot be the second side of a contrast", QUOTE(s->spec));
            return fail_side(error, error->code, s);
        }
        return read_rest(q, f, view_slice(s->spec, strlen(f->prefix), s->spec.size), s, error);
    }
    if (s->spec.size == 0 && q->asked->target[0])
        fail(error, TKR_E_TARGET_SYNTAX, "a contrast a~b has a target on each side; the %s one is missing", is_foil ? "second" : "first");
    else
        fail(error, TKR_E_TARGET_SYNTAX, "target %s is none of %s, or a~b", QUOTE(s->spec), choices(q->model->task));
    for (size_t i = 0; i < q->model->label_count; i++)
        if (equal_ignoring_case(s->spec, view_of(q->model->labels[i])))
            fail_help(error, "--target label:%s", PLAIN(view_of(q->model->labels[i])));
    return fail_side(error, error->code, s);
}

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

/* ---- the whole target ---- */

/* Scores are no logits, nor the other way round. */
static tkr_status check_scores(const question *q, measure m, tkr_error *error)
{
    static const measure suit[] = {MEASURE_SCORE, MEASURE_PROB, MEASURE_LOGPROB, MEASURE_MARGIN, MEASURE_MEANFOIL};
    bool is_suited = false;
    for (size_t i = 0; i < sizeof suit / sizeof *suit; i++)
        is_suited = is_suited || m == suit[i];
    if (q->model->score ? is_suited : m != MEASURE_SCORE)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "measure %s: %s", measure_id(m),
         q->model->score ? "an external model gives scores; score, margin or meanfoil, and prob or logprob where they are probabilities"
                         : "only external models give scores; logit");
    fail_field(error, "measure", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

static tkr_status check_measure(const question *q, measure m, tkr_error *error)
{
    if (check_scores(q, m, error))
        return error->code;
    bool needs_probability = m == MEASURE_PROB || m == MEASURE_LOGPROB || m == MEASURE_LOGODDS || !measure_has_gradient(m);
    bool needs_others = m == MEASURE_MARGIN || m == MEASURE_MEANFOIL;
    if (needs_probability && q->link == LINK_NONE && !q->model->score) /* external_settle knows of scores */
        fail(error, TKR_E_USAGE_CAPABILITY, "measure %s: a regression model has no probabilities; logit", measure_id(m));
    else if (needs_others && q->outputs_width < 2)
        fail(error, TKR_E_USAGE_CAPABILITY, "measure %s needs at least two outputs; the model has one", measure_id(m));
    else
        return TKR_OK;
    fail_field(error, "measure", -1, 0);
    return error->code;
}

static tkr_status read_measure(question *q, tkr_error *error)
{
    q->measure = MEASURE_COUNT;
    if (!q->asked->measure)
        return TKR_OK;
    view name = view_of(q->asked->measure);
    if (measure_find(name, &q->measure))
        return check_measure(q, q->measure, error);
    fail(error, TKR_E_USAGE_VALUE, "no measure %s; %s", QUOTE(name),
         q->model->score ? "score, prob, logprob, margin or meanfoil" : "logit, prob, logprob, logodds, margin, meanfoil, entropy or kl");
    fail_field(error, "measure", 0, (int64_t)name.size);
    return error->code;
}

/* "each" step its own target, or their "sum": by default the sum when the whole output is meant, each for `all`. */
static tkr_status read_per_target(question *q, tkr_error *error)
{
    view how = view_of(q->asked->per_target ? q->asked->per_target : "");
    bool puts_out = q->model->task == TKR_TASK_NEXT_TOKEN || q->model->task == TKR_TASK_SEQUENCE_TO_SEQUENCE;
    view kind = view_of(q->a.kind);
    bool is_answer = view_is(kind, "token") && q->a.position < 0 && q->a.outputs;
    q->sums_steps = puts_out && (view_is(kind, "predicted") || is_answer);
    if (how.size == 0)
        return TKR_OK;
    if (!view_is(how, "sum") && !view_is(how, "each")) {
        fail(error, TKR_E_USAGE_VALUE, "no per_target %s; sum or each", QUOTE(how));
        fail_field(error, "per_target", 0, (int64_t)how.size);
        return error->code;
    }
    q->sums_steps = puts_out && (view_is(how, "sum") || is_answer);
    return TKR_OK;
}

static tkr_status check_contrast(const question *q, tkr_error *error)
{
    if (q->measure != MEASURE_COUNT && !measure_has_gradient(q->measure)) {
        fail(error, TKR_E_USAGE_CAPABILITY, "measure %s is of the whole answer: it cannot contrast two", measure_id(q->measure));
        fail_help(error, "--measure logprob for the contrast, or one of the two as --target");
        fail_field(error, "measure", 0, (int64_t)strlen(measure_id(q->measure)));
        return error->code;
    }
    if (view_is(view_of(q->a.kind), "all")) {
        fail(error, TKR_E_TARGET_SYNTAX, "target all cannot be a side of a contrast");
        return fail_side(error, error->code, &q->a);
    }
    bool columns = q->model->task == TKR_TASK_QUESTION_ANSWERING;
    if (columns && !view_equal(view_of(q->a.kind), view_of(q->foil.kind))) {
        fail(error, TKR_E_TARGET_SYNTAX, "a contrast compares two starts or two ends");
        return fail_side(error, error->code, &q->foil);
    }
    bool is_answer = view_is(view_of(q->a.kind), "token") && q->a.position < 0;
    if (q->foil.output_count > 1 && !is_answer) {
        fail(error, TKR_E_TARGET_SYNTAX, "%s has %zu tokens; beside %s a foil is one token", QUOTE(q->foil.spec), q->foil.output_count,
             QUOTE(q->a.spec));
        return fail_side(error, error->code, &q->foil);
    }
    return TKR_OK;
}

tkr_status targets_parse(question *q, tkr_error *error)
{
    view spec = view_of(q->asked->target ? q->asked->target : "predicted");
    size_t tilde = contrast_at(spec);
    q->a = (side){.spec = view_slice(spec, 0, tilde), .position = -1};
    q->foil = (side){.spec = view_slice(spec, tilde < spec.size ? tilde + 1 : tilde, spec.size), .offset = tilde + 1, .position = -1};
    tkr_status status = read_measure(q, error);
    if (!status)
        status = understand(q, &q->a, false, error);
    if (!status && tilde < spec.size)
        status = understand(q, &q->foil, true, error);
    if (!status && q->foil.kind)
        status = check_contrast(q, error);
    if (status)
        return status;
    if (q->a.position < 0 && q->foil.position >= 0)
        q->a.position = q->foil.position;
    return read_per_target(q, error);
}

bool targets_need_two_inputs(const question *q)
{
    if (!q->foil.kind || (q->a.output_count < 2 && q->foil.output_count < 2))
        return false;
    return q->model->task != TKR_TASK_MASKED_LM || q->a.output_count != q->foil.output_count;
}
