/* Understanding a question: input, target, output, removal, place, features; then one clean run. */
#include "explain/question.h"

#include "base/clock.h"
#include "base/failure.h"
#include "base/number.h"
#include "explain/external_question.h"
#include "explain/limits.h"
#include "explain/replacement.h"

enum { MOST_SEEDS = 16 };

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

bool removal_is_random(removal r) { return r == REMOVAL_RANDOM || r == REMOVAL_MLM; }

const char *question_unit(const question *q)
{
    measure m = q->targets[0].measure;
    return measure_unit(q->model->score && (m == MEASURE_MARGIN || m == MEASURE_MEANFOIL) ? MEASURE_SCORE : m);
}

tkr_question tkr_question_defaults(void) { return (tkr_question){0}; }

static tkr_status read_removal(question *q, tkr_error *error)
{
    view given = view_of(q->asked->removal ? q->asked->removal : "auto");
    const char *colon = memchr(given.data, ':', given.size);
    view name = view_slice(given, 0, colon ? (size_t)(colon - given.data) : given.size);
    bool looks_around = model_shape(q->model) == FAMILY_ENCODER && tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK) >= 0;
    if (view_is(given, "auto") && q->model->score) {
        q->removal = REMOVAL_DELETE;
        return TKR_OK;
    }
    if (view_is(given, "auto")) {
        q->removal = looks_around ? REMOVAL_MASK : REMOVAL_ATTN;
        return TKR_OK;
    }
    if (!removal_find(name, &q->removal)) {
        fail(error, TKR_E_USAGE_VALUE, "no removal %s; auto, mask, attn, pad, unk, zero, delete, mean, random or mlm", QUOTE(name));
        fail_field(error, "removal", 0, (int64_t)name.size);
        return TKR_E_USAGE_VALUE;
    }
    if (q->model->score)
        return external_check_removal(q, error) ? error->code : replacement_read(q, given, name.size, error);
    static const tkr_special roles[REMOVAL_COUNT] = {
        [REMOVAL_MASK] = TKR_SPECIAL_MASK, [REMOVAL_PAD] = TKR_SPECIAL_PAD, [REMOVAL_UNK] = TKR_SPECIAL_UNK};
    if (roles[q->removal] && tokenizer_role_id(q->model->tokenizer, roles[q->removal]) < 0)
        return fail(error, TKR_E_USAGE_CAPABILITY, "removal %s: the model's tokenizer has no such token", removal_id(q->removal));
    bool each_token = q->model->task == TKR_TASK_TOKEN_CLASSIFICATION || q->model->task == TKR_TASK_QUESTION_ANSWERING;
    if (q->removal == REMOVAL_DELETE && each_token)
        return fail(error, TKR_E_USAGE_CAPABILITY, "removal delete would move the tokens that the answer is about; mask or attn");
    return replacement_read(q, given, name.size, error);
}

/* "0:32]": a group of a site's columns. */
static bool read_columns(question *q, view text)
{
    size_t colon = 0;
    while (colon < text.size && text.data[colon] != ':')
        colon++;
    uint64_t first, end;
    bool is_pair = colon < text.size && text.data[text.size - 1] == ']' && number_parse_u64(view_slice(text, 0, colon), &first) &&
                   number_parse_u64(view_slice(text, colon + 1, text.size - 1), &end) && first < end && end <= INT32_MAX;
    if (is_pair) {
        q->column_first = (size_t)first;
        q->column_end = (size_t)end;
    }
    return is_pair;
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
    size_t bracket = 0;
    while (bracket < at.size && at.data[bracket] != '[')
        bracket++;
    if (bracket < at.size && !read_columns(q, view_slice(at, bracket + 1, at.size))) {
        fail(error, TKR_E_USAGE_VALUE, "at %s: columns are [FIRST:END], whole numbers with FIRST below END", QUOTE(at));
        fail_field(error, "at", (int64_t)bracket, (int64_t)(at.size - bracket));
        return error->code;
    }
    q->at = arena_copy_text(q->arena, view_slice(at, 0, bracket)); /* a site: the pass knows whether it is there */
    q->is_deep = true;
    return q->at ? TKR_OK : fail_memory(error, "a site's name", at.size);
}

/* The columns asked for must be there at every place. */
static tkr_status check_columns(const question *q, tkr_error *error)
{
    for (size_t k = 0; k < q->clean->place_count; k++) {
        size_t width = q->clean->graph.graph->nodes[q->clean->places[k]].width;
        if (q->column_end <= width)
            continue;
        fail(error, TKR_E_USAGE_RANGE, "columns %zu to %zu; %s has columns 0 to %zu", q->column_first, q->column_end - 1,
             q->clean->place_names[k], width - 1);
        fail_field(error, "at", -1, 0);
        return error->code;
    }
    return TKR_OK;
}

static link link_of(const tkr_model *m)
{
    bool classifies = m->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    if (m->score || (classifies && m->problem == PROBLEM_REGRESSION)) /* of scores external_settle knows */
        return LINK_NONE;
    bool one_label = m->label_count == 1 && (classifies || m->task == TKR_TASK_TOKEN_CLASSIFICATION);
    return one_label || (classifies && m->problem == PROBLEM_MULTI_LABEL) ? LINK_SIGMOID : LINK_SOFTMAX;
}

/* ---- passes over the question's rows ---- */

size_t question_batch_rows(const question *q)
{
    const tkr_session *s = q->session;
    if (q->model->score)
        return EXTERNAL_TEXTS * q->length;
    return s->options.batch_rows ? s->options.batch_rows : limits_batch_rows(&s->model->config);
}

/* Nearly equal groups of targets. */
static size_t seeds_of(const question *q, size_t sequences)
{
    size_t most = question_batch_rows(q) / (sequences * q->length);
    most = most < q->most_seeds ? most : q->most_seeds;
    if (most < 2 || q->target_count < 2)
        return 1;
    size_t groups = (q->target_count + most - 1) / most;
    return (q->target_count + groups - 1) / groups;
}

pass_shape question_shape(const question *q, size_t sequences, bool backward)
{
    bool has_decoder = model_shape(q->model) == FAMILY_ENCODER_DECODER;
    return (pass_shape){.sequences = sequences,
                        .length = q->length,
                        .output_length = has_decoder ? q->length - q->input_length : 0,
                        .reads = q->reads,
                        .backward = backward,
                        .seeds = backward ? seeds_of(q, sequences) : 1,
                        .at = backward ? q->at : NULL,
                        .wish.all_rows = backward && q->is_deep, /* the last layer's rows too */
                        .wish.no_head = model_outputs(q->model) == 0};
}

void question_fill(const question *q, pass *p, size_t sequence)
{
    batch *b = &p->batch;
    size_t first = b->begin[sequence], read = b->target_begin[sequence];
    for (size_t i = 0; i < q->length; i++) {
        b->ids[first + i] = q->ids[i];
        b->types[first + i] = q->types[i];
        if (b->hidden)
            b->hidden[first + i] = 0;
    }
    if (!b->output_begin) /* of the input as it was asked: what a removal puts in moves nobody */
        model_positions(q->model, q->ids, q->length, b->positions + first);
    for (size_t r = 0; r < q->reads; r++)
        b->target_rows[read + r] = batch_head_row(b, sequence, q->read_positions[r]);
}

/* ---- what can be asked of a feature ---- */

/* Rows that later tokens do not reach: an encoder's none, a decoder's all, the second stack of an encoder-decoder. */
static bool is_causal(const question *q, size_t row)
{
    family_shape shape = model_shape(q->model);
    return shape == FAMILY_DECODER || (shape == FAMILY_ENCODER_DECODER && row >= q->input_length);
}

bool question_reads(const question *q, size_t t, size_t token)
{
    return !is_causal(q, token) || token <= q->targets[t].last_row;
}

bool question_sees(const question *q, size_t t, size_t f) { return question_reads(q, t, q->features[f].members[0]); }

/* `attn` cannot take away the row that the answer is read at: it sees itself through the residual stream. */
static bool is_read(const question *q, const target *t, size_t f)
{
    for (size_t k = 0; k < t->term_count; k++) {
        size_t row = q->read_positions[t->terms[k].read];
        if (row < q->length && q->feature_of[row] == f && !q->token_fixed[row])
            return true;
    }
    return false;
}

bool question_removes(const question *q, size_t t, size_t f)
{
    bool hides = q->removal == REMOVAL_ATTN && q->model->task != TKR_TASK_QUESTION_ANSWERING;
    return question_sees(q, t, f) && !q->is_fixed[f] && !(hides && is_read(q, &q->targets[t], f));
}

/* Is every token in a feature? */
static bool is_all_features(const question *q)
{
    size_t i = 0;
    while (i < q->length && q->feature_of[i] != UINT32_MAX)
        i++;
    return i == q->length;
}

/* Of a decoder's input the first token stays, or a query would see no key, and under `attn` the only row that is read
 * (methods.md 0.5, rules 4 and 5); of an encoder's under `delete` where nothing else would be left. */
static tkr_status fix_tokens(question *q, tkr_error *error)
{
    q->token_fixed = ARENA_NEW(q->arena, bool, q->length);
    q->is_fixed = ARENA_NEW(q->arena, bool, q->feature_count);
    if (!q->token_fixed || !q->is_fixed)
        return fail_memory(error, "features", q->feature_count);
    const family_shape shape = model_shape(q->model);
    bool hides = q->removal == REMOVAL_ATTN, deletes = q->removal == REMOVAL_DELETE;
    q->token_fixed[0] = shape == FAMILY_DECODER ? hides || deletes : shape == FAMILY_ENCODER && deletes && !q->model->score && is_all_features(q);
    if (hides && q->reads == 1 && shape != FAMILY_ENCODER)
        q->token_fixed[q->read_positions[0]] = true;
    for (size_t i = 0; i < q->length; i++)
        q->token_fixed[i] = q->token_fixed[i] || replacement_keeps(q, i);
    for (size_t f = 0; f < q->feature_count; f++) {
        q->is_fixed[f] = true;
        for (size_t m = 0; m < q->features[f].count; m++)
            q->is_fixed[f] = q->is_fixed[f] && q->token_fixed[q->features[f].members[m]];
    }
    return TKR_OK;
}

tkr_status question_remove_by(question *copy, removal r, tkr_error *error)
{
    copy->removal = r;
    copy->removal_text = NULL;
    copy->by_counts = copy->by_words = false;
    return fix_tokens(copy, error);
}

tkr_status question_check_gradient(const question *q, const char *what, tkr_error *error)
{
    if (q->measure == MEASURE_COUNT || measure_has_gradient(q->measure))
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "%s follows derivatives; measure %s is for methods that remove features", what,
         measure_id(q->measure));
    fail_help(error, "-M occlusion, or --measure logprob");
    fail_field(error, "measure", 0, (int64_t)strlen(measure_id(q->measure)));
    return error->code;
}

/* ---- together ---- */

tkr_status question_init(question *q, tkr_session *s, const tkr_question *asked, question_wish wish, arena *a, tkr_error *error)
{
    *q = (question){.session = s, .model = s->model, .asked = asked, .arena = a, .link = link_of(s->model)};
    q->most_seeds = MOST_SEEDS;
    q->outputs_width = model_outputs(s->model);
    reporter_begin(&s->reporter);
    double begun = clock_seconds();
    tkr_status status = s->model->score ? external_check_question(asked, wish, error) : TKR_OK;
    if (!status)
        status = input_read(q, error);
    q->seconds_tokenize = clock_seconds() - begun;
    if (!status && s->model->task == TKR_TASK_QUESTION_ANSWERING)
        q->outputs_width = q->length;
    if (!status)
        status = read_removal(q, error);
    if (!status)
        status = read_place(q, error);
    bool has_target = s->model->task != TKR_TASK_NONE && (!wish.all_rows || s->model->task == TKR_TASK_SEQUENCE_TO_SEQUENCE || asked->target);
    if (!status && has_target)
        status = targets_parse(q, error);
    if (!status && has_target)
        status = output_lay_out(q, error);
    if (!status)
        status = reads_find(q, wish.all_rows, error);
    if (!status && !wish.no_features)
        status = features_find(q, error);
    if (!status && !wish.no_features)
        status = fix_tokens(q, error);
    return status;
}

tkr_status question_run(question *q, question_wish wish, tkr_error *error)
{
    pass_shape shape = question_shape(q, 1, wish.gradient);
    shape.wish.all_rows = shape.wish.all_rows || wish.all_rows;
    q->column_room = ARENA_NEW(q->arena, real, q->outputs_width);
    q->seed_room = ARENA_NEW(q->arena, real, q->outputs_width);
    if (!q->column_room || !q->seed_room)
        return fail_memory(error, "readings", q->outputs_width);
    q->clean = pass_new(q->session, &shape, error);
    if (!q->clean)
        return error->code;
    question_fill(q, q->clean, 0);
    if (q->model->score && !(q->clean->texts[0] = arena_copy_text(q->arena, q->texts[0])))
        return fail_memory(error, "the text", q->texts[0].size);
    if (q->clean->at != NODE_NONE)
        question_choose(q, 0);
    if (q->clean->place_count == 1)
        q->at = q->clean->place_names[0];
    if (check_columns(q, error))
        return error->code;
    if (wish.all_rows) /* captures mark their sites first */
        return TKR_OK;
    tkr_status status = pass_forward(q->clean, error);
    if (!status && q->model->score)
        status = external_settle(q, error);
    return status ? status : targets_freeze(q, error);
}

void question_choose(question *q, size_t place)
{
    pass_choose(q->clean, place);
    q->place_count = pass_place_rows(q->clean);
    bool is_output = view_begins(view_of(q->clean->place_names[place]), VIEW("decoder."));
    q->place_first = is_output && q->place_count < q->length ? q->input_length : 0;
}

void question_fini(question *q)
{
    pass_free(q->clean);
    q->clean = NULL;
}
