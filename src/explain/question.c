/* Understanding a question: text or ids, measure, removal, place; then one clean run. */
#include "explain/question.h"

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/utf8.h"

static const char *const removal_ids[REMOVAL_COUNT] = {
#define REMOVAL_ROW(name, id) id,
    REMOVALS(REMOVAL_ROW)
#undef REMOVAL_ROW
};

const char *removal_id(removal r) { return removal_ids[r]; }

bool removal_find(view name, removal *out)
{
    for (size_t i = 0; i < REMOVAL_COUNT; i++)
        if (view_is(name, removal_ids[i])) {
            *out = (removal)i;
            return true;
        }
    return false;
}

tkr_question tkr_question_defaults(void) { return (tkr_question){0}; }

static view given(const char *text, size_t bytes) { return bytes ? (view){text, bytes} : view_of(text); }

static tkr_status read_ids(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    if (a->id_count > model_max_tokens(q->model)) {
        fail(error, TKR_E_INPUT_TOO_LONG, "input has %zu tokens, the model takes %zu", a->id_count, model_max_tokens(q->model));
        return TKR_E_INPUT_TOO_LONG;
    }
    q->length = a->id_count;
    q->ids = ARENA_NEW(q->arena, int32_t, q->length);
    q->types = ARENA_NEW(q->arena, int32_t, q->length);
    if (!q->ids || !q->types)
        return fail_memory(error, "token ids", q->length);
    for (size_t i = 0; i < q->length; i++) {
        q->ids[i] = a->ids[i];
        q->types[i] = a->segments ? a->segments[i] : 0;
        if (q->ids[i] < 0 || (size_t)q->ids[i] >= q->model->config.vocab)
            return fail(error, TKR_E_INPUT_TOKEN_ID, "token %zu has id %d; the model has %zu rows", i, q->ids[i],
                        q->model->config.vocab);
    }
    return TKR_OK;
}

static tkr_status read_text(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    q->text = given(a->text, a->text_bytes);
    q->pair = given(a->pair, a->pair_bytes);
    q->encoding = tkr_tokenize(q->model, q->text.data, q->text.size, a->pair ? q->pair.data : NULL, q->pair.size, a->truncate,
                               model_max_tokens(q->model), error);
    if (!q->encoding) {
        fail_field(error, "text", -1, 0);
        return error->code;
    }
    q->length = q->encoding->count;
    q->ids = ARENA_NEW(q->arena, int32_t, q->length);
    q->types = ARENA_NEW(q->arena, int32_t, q->length);
    if (!q->ids || !q->types)
        return fail_memory(error, "tokens", q->length);
    for (size_t i = 0; i < q->length; i++) {
        q->ids[i] = q->encoding->tokens[i].id;
        q->types[i] = q->encoding->tokens[i].segment;
    }
    return TKR_OK;
}

static tkr_status read_input(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    if (a->text && a->ids)
        return fail(error, TKR_E_USAGE_CONFLICT, "a text and token ids exclude each other");
    if (!a->text && !a->ids)
        return fail(error, TKR_E_USAGE_TEXT, "no text given");
    tkr_status status = a->ids ? read_ids(q, error) : read_text(q, error);
    if (!status && q->length == 0)
        status = fail(error, TKR_E_INPUT_EMPTY, "the text has no token to explain");
    return status;
}

static tkr_status read_removal(question *q, tkr_error *error)
{
    view name = view_of(q->asked->removal ? q->asked->removal : "auto");
    bool has_mask = tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK) >= 0;
    if (view_is(name, "auto")) {
        q->removal = has_mask ? REMOVAL_MASK : REMOVAL_ATTN;
        return TKR_OK;
    }
    if (!removal_find(name, &q->removal)) {
        fail(error, TKR_E_USAGE_VALUE, "no removal %s; auto, mask, attn, pad, unk, zero, delete or mean", QUOTE(name));
        fail_field(error, "removal", 0, (int64_t)name.size);
        return TKR_E_USAGE_VALUE;
    }
    static const tkr_special roles[REMOVAL_COUNT] = {
        [REMOVAL_MASK] = TKR_SPECIAL_MASK, [REMOVAL_PAD] = TKR_SPECIAL_PAD, [REMOVAL_UNK] = TKR_SPECIAL_UNK};
    if (roles[q->removal] && tokenizer_role_id(q->model->tokenizer, roles[q->removal]) < 0)
        return fail(error, TKR_E_USAGE_CAPABILITY, "removal %s: the model's tokenizer has no such token", removal_id(q->removal));
    return TKR_OK;
}

static tkr_status read_place(question *q, tkr_error *error)
{
    static const char *const places[] = {"word", "sum", "embeddings"};
    view at = view_of(q->asked->at ? q->asked->at : "word");
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (view_is(at, places[i])) {
            q->at = places[i];
            return TKR_OK;
        }
    fail(error, TKR_E_USAGE_VALUE, "no place %s for gradients to end; word, sum or embeddings", QUOTE(at));
    fail_field(error, "at", 0, (int64_t)at.size);
    return TKR_E_USAGE_VALUE;
}

static link link_of(const tkr_model *m)
{
    if (m->task != TKR_TASK_SEQUENCE_CLASSIFICATION)
        return LINK_SOFTMAX;
    if (m->problem == PROBLEM_REGRESSION)
        return LINK_NONE;
    return m->problem == PROBLEM_MULTI_LABEL || m->label_count == 1 ? LINK_SIGMOID : LINK_SOFTMAX;
}

pass_shape question_shape(const question *q, size_t sequences, bool backward)
{
    return (pass_shape){.sequences = sequences,
                        .length = q->length,
                        .reads = q->reads,
                        .backward = backward,
                        .at = backward ? q->at : NULL,
                        .wish.no_head = q->outputs == 0};
}

void question_fill(const question *q, pass *p, size_t sequence)
{
    batch *b = &p->batch;
    size_t first = b->begin[sequence], read = b->target_begin[sequence];
    for (size_t i = 0; i < q->length; i++) {
        b->ids[first + i] = q->ids[i];
        b->types[first + i] = q->types[i];
        b->positions[first + i] = (int32_t)i;
        if (b->hidden)
            b->hidden[first + i] = 0;
    }
    for (size_t r = 0; r < q->reads; r++)
        b->target_rows[read + r] = (int32_t)(first + q->read_positions[r]);
}

static tkr_status run_clean(question *q, question_wish wish, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, wish.gradient);
    shape.wish.all_rows = wish.all_rows;
    q->clean = pass_new(q->session, &shape, error);
    if (!q->clean)
        return error->code;
    question_fill(q, q->clean, 0);
    return wish.all_rows ? TKR_OK : pass_forward(q->clean, error); /* captures mark their sites first */
}

tkr_status question_init(question *q, tkr_session *s, const tkr_question *asked, question_wish wish, arena *a, tkr_error *error)
{
    *q = (question){.session = s, .model = s->model, .asked = asked, .arena = a};
    q->outputs = model_outputs(s->model);
    q->link = link_of(s->model);
    reporter_begin(&s->reporter);
    double begun = clock_seconds();
    tkr_status status = read_input(q, error);
    q->seconds_tokenize = clock_seconds() - begun;
    if (!status)
        status = read_removal(q, error);
    if (!status)
        status = read_place(q, error);
    if (!status)
        status = targets_find_reads(q, wish.all_rows, error);
    if (!status && !wish.no_features)
        status = features_find(q, error);
    if (!status && !wish.plan_only)
        status = run_clean(q, wish, error);
    if (!status && !wish.plan_only && !wish.all_rows)
        status = targets_find(q, error);
    if (status)
        question_fini(q);
    return status;
}

void question_fini(question *q)
{
    pass_free(q->clean);
    tkr_encoding_free(q->encoding);
    q->clean = NULL;
    q->encoding = NULL;
}
