/*
 * Read rows: whose logits the target needs, and readings: the numbers a measure is taken of.
 *
 * A reading is a row of logits, except in question answering: there it is a column, the start (0) or end (1) logits of all
 * tokens, since a start is chosen among tokens.
 */
#include "base/failure.h"
#include "explain/question.h"

static bool is_mask(const question *q, size_t i)
{
    return q->ids[i] == tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK);
}

static bool reads_columns(const question *q) { return q->model->task == TKR_TASK_QUESTION_ANSWERING; }

/* ---- which rows ---- */

static void read_row(question *q, size_t row) { q->read_positions[q->reads++] = (uint32_t)row; }

static tkr_status read_masks(question *q, bool all_rows, tkr_error *error)
{
    bool at_position = view_is(view_of(q->a.kind), "pos");
    for (size_t i = 0; i < q->length; i++)
        if (all_rows || (at_position ? (int64_t)i == q->a.position : is_mask(q, i)))
            read_row(q, i);
    if (q->reads > 0)
        return TKR_OK;
    const char *mask = tokenizer_piece(q->model->tokenizer, tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK));
    fail(error, TKR_E_INPUT_MASK, "the text has no %s", mask ? mask : "mask token");
    fail_help(error, "write %s where the model should fill in a word", mask ? mask : "the mask token");
    return error->code;
}

/* The last row that is no padding (formats.md 4.6). */
static size_t last_row(const question *q)
{
    size_t last = q->length - 1;
    while (last > 0 && q->model->config.pad_id >= 0 && q->ids[last] == q->model->config.pad_id)
        last--;
    return last;
}

static void read_outputs(question *q)
{
    view kind = view_of(q->a.kind);
    if (q->output_count == 0 && q->a.position >= 0)
        read_row(q, (size_t)q->a.position - 1);
    else if (q->output_count == 0)
        read_row(q, q->length - 1);
    else if (view_is(kind, "gen") || (view_is(kind, "token") && q->a.position >= 0))
        read_row(q, output_row(q, (size_t)q->a.position));
    else
        for (size_t t = 0; t < q->output_count; t++)
            read_row(q, output_row(q, t));
}

static tkr_status check_position(const question *q, tkr_error *error)
{
    bool follows = q->model->task == TKR_TASK_NEXT_TOKEN;
    bool is_place = q->a.kind && (view_is(view_of(q->a.kind), "pos") || (follows && view_is(view_of(q->a.kind), "token")));
    if (!is_place || q->a.position < 0)
        return TKR_OK;
    if (q->a.position < (int64_t)q->length && (!follows || q->a.position > 0))
        return TKR_OK;
    fail(error, TKR_E_TARGET_RANGE, "position %lld; the input has tokens 0 to %zu%s", (long long)q->a.position, q->length - 1,
         follows && q->a.position == 0 ? ", and nothing comes before the first" : "");
    fail_field(error, "target", (int64_t)q->a.offset, (int64_t)q->a.spec.size);
    return error->code;
}

static size_t count_targets(const question *q)
{
    bool all = view_is(view_of(q->a.kind), "all");
    switch (q->model->task) {
    case TKR_TASK_SEQUENCE_CLASSIFICATION: return all ? q->outputs_width : 1;
    case TKR_TASK_TOKEN_CLASSIFICATION: return q->a.position >= 0 ? 1 : q->reads;
    case TKR_TASK_QUESTION_ANSWERING: return all ? 2 : 1;
    case TKR_TASK_MASKED_LM: return q->a.output_count > 1 || q->a.position >= 0 ? 1 : q->reads;
    case TKR_TASK_NEXT_TOKEN:
    case TKR_TASK_SEQUENCE_TO_SEQUENCE: return q->sums_steps ? 1 : q->reads;
    case TKR_TASK_NONE: break;
    }
    return 1;
}

tkr_status reads_find(question *q, bool all_rows, tkr_error *error)
{
    tkr_task task = q->model->task;
    if (task == TKR_TASK_NONE && !all_rows)
        return fail(error, TKR_E_UNSUPPORTED_HEAD, "this folder has no head that predicts anything; it can show hidden states only");
    q->read_positions = ARENA_NEW(q->arena, uint32_t, q->length);
    if (!q->read_positions)
        return fail_memory(error, "read rows", q->length);
    tkr_status status = check_position(q, error);
    if (status)
        return status;
    bool each_token = task == TKR_TASK_TOKEN_CLASSIFICATION || reads_columns(q);
    bool puts_out = task == TKR_TASK_NEXT_TOKEN || task == TKR_TASK_SEQUENCE_TO_SEQUENCE;
    size_t first = task == TKR_TASK_SEQUENCE_TO_SEQUENCE ? q->input_length : 0;
    if (task == TKR_TASK_MASKED_LM)
        status = read_masks(q, all_rows, error);
    else if (each_token || (puts_out && all_rows))
        for (size_t i = first; i < q->length; i++)
            read_row(q, i);
    else if (puts_out)
        read_outputs(q);
    else
        read_row(q, q->model->head && q->model->head->reads == READS_LAST_ROW ? last_row(q) : 0);
    if (!status && q->a.kind)
        q->target_count = count_targets(q);
    return status;
}

/* ---- readings ---- */

const real *question_reading(const question *q, const pass *p, size_t sequence, size_t read)
{
    if (!reads_columns(q))
        return pass_logits(p, sequence, read);
    for (size_t i = 0; i < q->reads; i++)
        q->column_room[i] = pass_logits(p, sequence, i)[read];
    return q->column_room;
}

double target_value(const question *q, const target *t, const pass *p, size_t sequence)
{
    double sum = 0;
    for (size_t k = 0; k < t->term_count; k++)
        sum += measure_value(&t->terms[k].f, question_reading(q, p, sequence, t->terms[k].read), q->outputs_width);
    return sum;
}

double target_probability(const question *q, const target *t, const pass *p, size_t sequence)
{
    double joint = 1;
    for (size_t k = 0; k < t->term_count; k++)
        joint *= link_probability(q->link, question_reading(q, p, sequence, t->terms[k].read), q->outputs_width,
                                    (size_t)t->terms[k].f.a);
    return joint;
}

int32_t target_answer(const question *q, const target *t, const pass *p, size_t sequence)
{
    const real *z = question_reading(q, p, sequence, t->terms[0].read);
    if (q->link == LINK_NONE && !q->model->score)
        return -1;
    return q->outputs_width == 1 ? z[0] > 0 : logits_argmax(z, q->outputs_width, -1);
}

void target_seed(const question *q, const target *t, const pass *p, size_t sequence, real *seed)
{
    size_t width = model_outputs(q->model), first = p->batch.target_begin[sequence];
    for (size_t k = 0; k < t->term_count; k++) {
        size_t read = t->terms[k].read;
        measure_gradient(&t->terms[k].f, question_reading(q, p, sequence, read), q->outputs_width, q->seed_room);
        for (size_t i = 0; i < q->outputs_width; i++) {
            real *to = reads_columns(q) ? &seed[(first + i) * width + read] : &seed[(first + read) * width + i];
            *to += q->seed_room[i];
        }
    }
}
