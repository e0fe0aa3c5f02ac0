/*
 * Names of targets.  The kind decides the sentence (a mask, the next token, a step, a place in the text); "is" is said only of
 * what the model itself would answer.
 * Known to go wrong: labels are vocabulary entries or texts and may hold anything: all pass through visible_text.
 */
#include "present/target_name.h"

#include <math.h>

#include "present/figures.h"

enum { LABEL_COLUMNS = 40 };

typedef enum naming {
    NAMES_LABEL,    /* a class of the whole input   */
    NAMES_LABEL_AT, /* a class of one token         */
    NAMES_MASK,     /* a token for a mask           */
    NAMES_NEXT,     /* the token that comes next    */
    NAMES_STEP,     /* a token of the output        */
    NAMES_OUTPUT,   /* the output as a whole        */
    NAMES_START, NAMES_END, NAMES_SPAN /* of an answer in the text */
} naming;

static bool is(const char *text, const char *word) { return text && view_is(view_of(text), word); }

static naming naming_of(const tkr_result *r, const tkr_target_facts *t)
{
    if (is(t->kind, "gen") || (is(t->kind, "token") && t->step > 0))
        return NAMES_STEP;
    if (is(t->kind, "output"))
        return NAMES_OUTPUT;
    if (is(t->kind, "start"))
        return NAMES_START;
    if (is(t->kind, "end"))
        return NAMES_END;
    if (is(t->kind, "span"))
        return NAMES_SPAN;
    if (target_is_token(t))
        return r->model.task == TKR_TASK_MASKED_LM ? NAMES_MASK : NAMES_NEXT;
    return t->position >= 0 ? NAMES_LABEL_AT : NAMES_LABEL;
}

bool target_has_rival(const tkr_target_facts *t)
{
    return t->index >= 0 && (is(t->kind, "label") || is(t->kind, "class") || target_is_token(t));
}

bool target_is_token(const tkr_target_facts *t) { return is(t->kind, "token") || is(t->kind, "mask") || is(t->kind, "gen"); }

/* ---- parts ---- */

void name_label(const screen *s, buffer *b, const char *label)
{
    visible_text(b, view_of(label ? label : "?"), s->options.ascii, LABEL_COLUMNS);
}

void name_quoted(const screen *s, buffer *b, view label)
{
    buffer_byte(b, '"');
    visible_text(b, label, s->options.ascii, LABEL_COLUMNS);
    buffer_byte(b, '"');
}

void name_of_feature(const screen *s, buffer *b, size_t feature)
{
    size_t number = feature_number(s->result, feature);
    name_quoted(s, b, view_of(feature_text(s->result, feature)));
    if (number > 1)
        buffer_format(b, " (%zu)", number);
}

/* The user's bytes of a token, else its vocabulary entry. */
static view token_text(const tkr_result *r, int64_t position)
{
    if (position < 0 || (size_t)position >= r->token_count)
        return VIEW("?");
    const tkr_token *t = &r->tokens[position].token;
    const result_input *input = t->text >= 0 ? &r->inputs[t->text] : NULL;
    if (!input || !input->text || t->begin < 0)
        return view_of(t->raw ? t->raw : "?");
    view text = view_slice((view){input->text, input->bytes}, (size_t)t->begin, (size_t)t->end);
    while (text.size > 1 && text.data[0] == ' ') /* the space before a word is spacing */
        text = view_slice(text, 1, text.size);
    return text;
}

/* Is it what the model itself would say?  The prediction is that of the first target. */
static bool is_answer(const tkr_result *r, const tkr_target_facts *t)
{
    if (t->foil)
        return false;
    if (t == r->targets && r->prediction_count > 0 && target_has_rival(t))
        return t->index == (int64_t)r->predictions[0].index;
    return is(t->chosen_by, "predicted") || is(t->chosen_by, "generated");
}

/* (p 0.31), or the measure's value when there is no probability. */
static void add_value(const screen *s, buffer *b, const tkr_target_facts *t)
{
    char figure[FIGURE_ROOM];
    if (isfinite(t->probability) && !t->foil)
        buffer_format(b, " (p %s)", figure_probability(figure, t->probability, (double)NAN));
    else
        buffer_format(b, " (%s %s)", t->measure ? t->measure : "value", figure_alone(figure, t->value, s->options.ascii));
}

/* ---- names ---- */

static void add_name(const screen *s, buffer *b, const tkr_target_facts *t, const char *label, bool in_quotes)
{
    view text = view_of(label ? plain_piece(label) : "?"), at = token_text(s->result, t->position);
    switch (naming_of(s->result, t)) {
    case NAMES_OUTPUT:
        buffer_text(b, "the output");
        return;
    case NAMES_START:
        buffer_text(b, "a start at ");
        name_quoted(s, b, at);
        return;
    case NAMES_END:
        buffer_text(b, "an end at ");
        name_quoted(s, b, at);
        return;
    case NAMES_SPAN:
        buffer_text(b, "the answer ");
        name_quoted(s, b, text);
        return;
    case NAMES_LABEL:
    case NAMES_LABEL_AT:
        if (!in_quotes) {
            name_label(s, b, label);
            return;
        }
        break;
    case NAMES_MASK:
    case NAMES_NEXT:
    case NAMES_STEP:
        break;
    }
    name_quoted(s, b, text);
}

void target_name_contrast(const screen *s, buffer *b, const tkr_target_facts *t, bool in_quotes, const char *word)
{
    add_name(s, b, t, t->label, in_quotes);
    if (t->foil) {
        bool is_bare = naming_of(s->result, t) == NAMES_LABEL || naming_of(s->result, t) == NAMES_LABEL_AT;
        buffer_format(b, " %s ", word);
        if (is_bare && !in_quotes)
            name_label(s, b, t->foil);
        else
            name_quoted(s, b, view_of(t->foil));
    }
    if (naming_of(s->result, t) == NAMES_LABEL_AT) {
        buffer_text(b, " at ");
        name_quoted(s, b, token_text(s->result, t->position));
    }
}

void target_name(const screen *s, buffer *b, const tkr_target_facts *t, bool in_quotes)
{
    tkr_target_facts alone = *t;
    alone.foil = NULL;
    target_name_contrast(s, b, &alone, in_quotes, "");
}

/* ---- the head ---- */

/* Where the answer stands: "the mask", "the next token". */
static void add_place(const screen *s, buffer *b, const tkr_target_facts *t, naming how)
{
    const tkr_result *r = s->result;
    const char *plural = t->index < 0 ? "s" : ""; /* a word of several tokens */
    bool is_there = t->position >= 0 && (size_t)t->position < r->token_count && !r->tokens[t->position].is_output;
    bool is_mask = is_there && r->tokens[t->position].token.special == TKR_SPECIAL_MASK;
    if (how == NAMES_MASK && is_there && !is_mask) {
        buffer_format(b, "token %lld", (long long)t->position);
    } else if (how == NAMES_MASK && r->target_count > 1) {
        buffer_format(b, "the mask at token %lld", (long long)t->position);
    } else if (how == NAMES_MASK) {
        buffer_format(b, "the mask%s", plural);
    } else if (how == NAMES_STEP) {
        buffer_format(b, "output step %lld", (long long)t->step);
    } else if (how == NAMES_LABEL_AT) {
        name_quoted(s, b, token_text(r, t->position));
    } else if (is_there) {
        buffer_format(b, "token %lld", (long long)t->position);
    } else {
        buffer_format(b, "the %s token%s", r->model.task == TKR_TASK_SEQUENCE_TO_SEQUENCE ? "first output" : "next", plural);
    }
}

/* the next token is " Paris"; " she" over " he" as the next token */
static void add_placed(const screen *s, buffer *b, const tkr_target_facts *t, naming how)
{
    if (is_answer(s->result, t)) {
        add_place(s, b, t, how);
        buffer_text(b, " is ");
        add_name(s, b, t, t->label, false);
    } else {
        tkr_target_facts placed = *t;
        placed.position = how == NAMES_LABEL_AT ? -1 : t->position; /* the place follows */
        target_name_contrast(s, b, &placed, false, "over");
        buffer_text(b, how == NAMES_MASK ? " for " : how == NAMES_NEXT ? " as " : " at ");
        add_place(s, b, t, how);
    }
}

static void add_span(const screen *s, buffer *b, const tkr_target_facts *t, naming how)
{
    if (!is_answer(s->result, t)) {
        target_name_contrast(s, b, t, false, "over");
    } else if (how == NAMES_SPAN) {
        buffer_text(b, "the answer is ");
        name_quoted(s, b, view_of(t->label ? t->label : "?"));
    } else {
        buffer_format(b, "the answer %s at ", how == NAMES_START ? "starts" : "ends");
        name_quoted(s, b, token_text(s->result, t->position));
    }
}

static void add_class(const screen *s, buffer *b, const tkr_target_facts *t)
{
    char figure[FIGURE_ROOM];
    target_name_contrast(s, b, t, false, "over");
    bool as_probability = isfinite(t->probability) && !t->foil;
    buffer_format(b, " %s", as_probability ? figure_probability(figure, t->probability, (double)NAN)
                                           : figure_alone(figure, t->value, s->options.ascii));
}

void target_name_head(const screen *s, buffer *b, const tkr_target_facts *t)
{
    naming how = naming_of(s->result, t);
    switch (how) {
    case NAMES_LABEL:
        add_class(s, b, t);
        return;
    case NAMES_LABEL_AT:
    case NAMES_MASK:
    case NAMES_NEXT:
    case NAMES_STEP:
        add_placed(s, b, t, how);
        break;
    case NAMES_OUTPUT:
        buffer_text(b, "the output ");
        name_quoted(s, b, s->result->inputs[2].text ? (view){s->result->inputs[2].text, s->result->inputs[2].bytes} : view_of(t->label));
        break;
    case NAMES_START:
    case NAMES_END:
    case NAMES_SPAN:
        add_span(s, b, t, how);
        break;
    }
    add_value(s, b, t);
}
