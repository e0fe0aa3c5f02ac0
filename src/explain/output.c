/*
 * The output of a model that puts out text, and the rows that a target adds to the input.
 *
 * Rows of the model are the input's tokens, then
 *   - of an encoder-decoder its start and the outputs before the last step that is read,
 *   - of a decoder the outputs before that step,
 *   - for an answer of several tokens (token:"...") all but its last, or in a masked LM one mask a token.
 * So one pass over fixed ids (teacher forcing) holds every step; how the output was found cannot change its explanation.
 *
 * Known to go wrong: the last output is a target but never a row; byte-level tokens may end inside a character, so offsets
 * into the output's text only grow where whole characters do.
 */
#include "base/failure.h"
#include "explain/generate.h"
#include "explain/question.h"

enum { MAX_NEW_STANDARD = 20, OUTPUT_TOKENS_MOST = 4096, OUTPUT_BYTES_MOST = 1 << 22 };

static bool kind_is(const question *q, const char *kind) { return view_is(view_of(q->a.kind), kind); }

static bool puts_out(const question *q)
{
    return q->model->task == TKR_TASK_NEXT_TOKEN || q->model->task == TKR_TASK_SEQUENCE_TO_SEQUENCE;
}

static bool has_decoder(const question *q) { return model_shape(q->model) == FAMILY_ENCODER_DECODER; }

size_t output_row(const question *q, size_t step) { return q->input_length + step - !has_decoder(q); }

/* ---- which output ---- */

static bool is_given(const tkr_question *a) { return a->output_text || a->output_ids; }

static tkr_status take_ids(question *q, const int32_t *ids, size_t count, tkr_error *error)
{
    q->outputs = ARENA_NEW(q->arena, int32_t, count);
    if (!q->outputs)
        return fail_memory(error, "the output", count);
    q->output_count = count;
    q->output_source = OUTPUT_GIVEN;
    for (size_t i = 0; i < count; i++) {
        q->outputs[i] = ids[i];
        if (ids[i] < 0 || (size_t)ids[i] >= q->model->config.vocab) {
            fail(error, TKR_E_INPUT_TOKEN_ID, "output token %zu has id %d; the model has %zu rows", i, ids[i], q->model->config.vocab);
            fail_field(error, "output_ids", -1, 0);
            return error->code;
        }
    }
    return TKR_OK;
}

static tkr_status take_text(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    view text = a->output_text_bytes ? (view){a->output_text, a->output_text_bytes} : view_of(a->output_text);
    tkr_encoding *e = tokenizer_encode(q->model->tokenizer, text, (encode_options){.no_special = true}, error);
    int32_t *ids = e ? ARENA_NEW(q->arena, int32_t, e->count) : NULL;
    size_t count = e ? e->count : 0;
    for (size_t i = 0; ids && i < count; i++)
        ids[i] = e->tokens[i].id;
    tkr_status status = !e ? error->code : ids ? take_ids(q, ids, count, error) : fail_memory(error, "the output", count);
    tkr_encoding_free(e);
    if (!e)
        fail_field(error, "output_text", error->offset, error->length);
    return status;
}

static tkr_status take_given(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    if (a->output_text && a->output_ids)
        return fail(error, TKR_E_USAGE_CONFLICT, "an output text and output ids exclude each other");
    tkr_status status = a->output_text ? take_text(q, error) : take_ids(q, a->output_ids, a->output_id_count, error);
    if (status || q->output_count > 0)
        return status;
    fail(error, TKR_E_INPUT_EMPTY, "the output has no token to explain");
    fail_field(error, a->output_text ? "output_text" : "output_ids", -1, 0);
    return error->code;
}

static tkr_status take_generated(question *q, tkr_error *error)
{
    size_t most = q->asked->max_new ? q->asked->max_new : MAX_NEW_STANDARD;
    if (most > OUTPUT_TOKENS_MOST) {
        fail(error, TKR_E_USAGE_RANGE, "max_new is %zu; at most %d tokens are generated", most, OUTPUT_TOKENS_MOST);
        fail_field(error, "max_new", -1, 0);
        return error->code;
    }
    if (kind_is(q, "gen") && (size_t)q->a.position >= most)
        most = (size_t)q->a.position + 1;
    generated g;
    tkr_status status = generate(q->session, q->ids, q->types, q->length, most, q->arena, &g, error);
    if (status)
        return status;
    q->outputs = g.ids;
    q->output_count = g.count;
    q->output_logprob = g.logprob;
    q->output_margin = g.margin;
    q->output_end = g.end;
    q->output_source = OUTPUT_GENERATED;
    if (g.count > 0)
        return TKR_OK;
    fail(error, TKR_E_INPUT_EMPTY, "the model ends its output at once; there is no token to explain");
    fail_help(error, "--output-text \"...\" explains an output of yours");
    return error->code;
}

/* Is the target about an output, so that one is needed? */
static bool needs_output(const question *q)
{
    if (kind_is(q, "gen") || kind_is(q, "all"))
        return true;
    bool at_step = kind_is(q, "token") && q->a.position >= 0;
    if (q->model->task == TKR_TASK_SEQUENCE_TO_SEQUENCE)
        return at_step || kind_is(q, "predicted");
    return kind_is(q, "predicted") && is_given(q->asked);
}

/* ---- rows ---- */

/* Outputs that are rows: those before the last step that is read. */
static size_t output_rows(const question *q)
{
    bool at_step = kind_is(q, "gen") || (kind_is(q, "token") && q->a.position >= 0 && has_decoder(q));
    size_t last = at_step ? (size_t)q->a.position : q->output_count - 1;
    return last;
}

static tkr_status grow_rows(question *q, size_t more, tkr_error *error)
{
    size_t length = q->length + more;
    tkr_token *tokens = ARENA_NEW(q->arena, tkr_token, length + 1);
    int32_t *ids = ARENA_NEW(q->arena, int32_t, length), *types = ARENA_NEW(q->arena, int32_t, length);
    if (!tokens || !ids || !types)
        return fail_memory(error, "tokens", length);
    memcpy(tokens, q->tokens, q->length * sizeof *tokens);
    memcpy(ids, q->ids, q->length * sizeof *ids);
    memcpy(types, q->types, q->length * sizeof *types);
    q->tokens = tokens;
    q->ids = ids;
    q->types = types;
    q->length = length;
    return TKR_OK;
}

static void set_row(question *q, size_t row, tkr_token t)
{
    q->tokens[row] = t;
    q->ids[row] = t.id;
    q->types[row] = 0;
}

/* Where each output begins and ends in the text of all of them. */
static tkr_status write_text(question *q, int64_t *ends, tkr_error *error)
{
    buffer whole, part;
    buffer_init(&whole, OUTPUT_BYTES_MOST);
    buffer_init(&part, OUTPUT_BYTES_MOST);
    const tokenizer *t = q->model->tokenizer;
    tkr_status status = tokenizer_decode(t, q->outputs, q->output_count, true, &whole, error);
    int64_t reached = 0;
    for (size_t i = 0; !status && i < q->output_count; i++) {
        part.size = 0;
        status = tokenizer_decode(t, q->outputs, i + 1, true, &part, error);
        size_t same = 0;
        while (same < part.size && same < whole.size && part.data[same] == whole.data[same])
            same++;
        while (same > 0 && same < whole.size && ((unsigned char)whole.data[same] & 0xC0) == 0x80)
            same--;
        reached = (int64_t)same > reached ? (int64_t)same : reached;
        ends[i] = i + 1 == q->output_count ? (int64_t)whole.size : reached;
    }
    if (!status) {
        char *text = arena_copy_text(q->arena, buffer_as_view(&whole));
        q->texts[2] = (view){text ? text : "", whole.size};
        status = text ? TKR_OK : fail_memory(error, "the output's text", whole.size);
    }
    buffer_fini(&whole);
    buffer_fini(&part);
    return status;
}

/* Does an output go on with the word before it: no mark of a new word, and a letter or digit first? */
static bool continues_word(const question *q, int64_t begin, int64_t end)
{
    if (begin >= end || begin == 0)
        return false;
    unsigned char c = (unsigned char)q->texts[2].data[begin];
    return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '\'';
}

/* Does a token end inside a character?  Then it says nothing alone. */
static bool is_part_of_character(const question *q, int32_t id)
{
    buffer text;
    buffer_init(&text, 1 << 16);
    tkr_error ignored = {0};
    bool has_gap = tokenizer_decode(q->model->tokenizer, &id, 1, false, &text, &ignored) == TKR_OK && buffer_ok(&text) && text.size > 0 &&
                   strstr(text.data, "\xEF\xBF\xBD");
    buffer_fini(&text);
    return has_gap;
}

/* End of the character that output i is only a part of, or `begin` when none ends it. */
static int64_t character_end(const question *q, const int64_t *ends, size_t i, int64_t begin)
{
    while (i < q->output_count && ends[i] <= begin)
        i++;
    return i < q->output_count ? ends[i] : begin;
}

/* Tokens of all outputs; those beyond the rows come last, so that tokens[length] may hold one more than the model runs.
 * Tokens that share a character all have its bytes, as in an input. */
static tkr_status describe_outputs(question *q, size_t first, size_t rows, tkr_error *error)
{
    int64_t *ends = ARENA_NEW(q->arena, int64_t, q->output_count), begin = 0;
    tkr_status status = ends ? write_text(q, ends, error) : fail_memory(error, "the output", q->output_count);
    int32_t word = -1;
    bool goes_on = false; /* the character before is not complete */
    for (size_t i = 0; !status && i < q->output_count && i <= rows; i++) {
        tkr_token t = question_token(q, q->outputs[i]);
        bool is_part = ends[i] <= begin && is_part_of_character(q, t.id);
        t.text = 2;
        t.begin = begin;
        t.end = is_part ? character_end(q, ends, i, begin) : ends[i] > begin ? ends[i] : begin;
        if (word < 0 || !(goes_on || continues_word(q, t.begin, t.end)))
            word++;
        t.word = word;
        goes_on = is_part;
        begin = ends[i] > begin ? ends[i] : begin;
        if (i < rows)
            set_row(q, first + i, t);
        else
            q->tokens[first + i] = t;
    }
    return status;
}

/* One mask a token of a longer answer in place of the mask that is asked about. */
static tkr_status widen_mask(question *q, tkr_error *error)
{
    int32_t mask = tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK);
    size_t more = q->a.output_count - 1, found = 0, at = 0;
    for (size_t i = 0; i < q->length; i++)
        if (q->ids[i] == mask && (q->a.position < 0 || q->a.position == (int64_t)i)) {
            at = i;
            found++;
        }
    if (found != 1) {
        fail(error, TKR_E_TARGET_RANGE, "target %s has %zu tokens and %s; name one mask's position", QUOTE(q->a.spec), more + 1,
             found ? "several masks fit" : "no mask fits");
        fail_help(error, "--target 'token:\"...\"@POSITION'");
        fail_field(error, "target", 0, (int64_t)q->a.spec.size);
        return error->code;
    }
    size_t old = q->length;
    tkr_status status = grow_rows(q, more, error);
    if (status)
        return status;
    memmove(q->tokens + at + 1 + more, q->tokens + at + 1, (old - at - 1) * sizeof *q->tokens);
    memmove(q->ids + at + 1 + more, q->ids + at + 1, (old - at - 1) * sizeof *q->ids);
    memmove(q->types + at + 1 + more, q->types + at + 1, (old - at - 1) * sizeof *q->types);
    for (size_t i = 1; i <= more; i++) {
        q->tokens[at + i] = q->tokens[at];
        q->ids[at + i] = mask;
        q->types[at + i] = q->types[at];
    }
    q->input_length = q->length;
    q->a.position = (int64_t)at;
    return TKR_OK;
}

/* The answer's own tokens are the output: all but the last are rows. */
static tkr_status take_answer(question *q, tkr_error *error)
{
    if (kind_is(q, "token") && q->a.position < 0 && q->a.outputs)
        return take_ids(q, q->a.outputs, q->a.output_count, error);
    return TKR_OK;
}

static tkr_status check_capability(const question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    const char *field = a->output_text ? "output_text" : a->output_ids ? "output_ids" : a->max_new ? "max_new"
                        : a->per_target ? "per_target" : a->prompt_only ? "prompt_only" : NULL;
    if (!field || puts_out(q))
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "this model puts out no text; %s means nothing for it", field);
    fail_field(error, field, -1, 0);
    return error->code;
}

static tkr_status check_step(const question *q, tkr_error *error)
{
    bool at_step = q->output_count && (kind_is(q, "gen") || (kind_is(q, "token") && q->a.position >= 0));
    if (!at_step || (size_t)q->a.position < q->output_count)
        return TKR_OK;
    fail(error, TKR_E_TARGET_RANGE, "step %lld; the output has steps 0 to %zu", (long long)q->a.position, q->output_count - 1);
    fail_field(error, "target", (int64_t)q->a.offset, (int64_t)q->a.spec.size);
    return error->code;
}

static tkr_status too_long(const question *q, size_t rows, size_t most, tkr_error *error)
{
    fail(error, TKR_E_INPUT_TOO_LONG, "input and output have %zu tokens, the model takes %zu", q->length + rows, most);
    fail_help(error, "a shorter output, or a text shortened by as many tokens");
    return error->code;
}

static tkr_status add_rows(question *q, tkr_error *error)
{
    bool starts = has_decoder(q);
    size_t rows = q->output_count ? output_rows(q) : 0, first = q->input_length + starts;
    size_t most = model_max_tokens(q->model);
    if (!starts && q->length + rows > most)
        return too_long(q, rows, most, error);
    tkr_status status = grow_rows(q, rows + starts, error);
    if (!status && starts) {
        tkr_token start = question_token(q, model_decoder_start(q->model));
        start.is_template = true;
        set_row(q, q->input_length, start);
    }
    return status || !q->output_count ? status : describe_outputs(q, first, rows, error);
}

/* Before anything is generated from nothing: does the user's own text have a token? */
static tkr_status check_input(const question *q, tkr_error *error)
{
    for (size_t i = 0; i < q->input_length; i++)
        if (!q->tokens[i].is_template && (!q->has_text || q->tokens[i].special == TKR_SPECIAL_NONE || q->tokens[i].special == TKR_SPECIAL_UNK))
            return TKR_OK;
    return fail(error, TKR_E_INPUT_EMPTY, "the text has no token to explain");
}

tkr_status output_lay_out(question *q, tkr_error *error)
{
    tkr_status status = check_capability(q, error);
    if (status)
        return status;
    if (!puts_out(q))
        return q->model->task == TKR_TASK_MASKED_LM && q->a.output_count > 1 ? widen_mask(q, error) : TKR_OK;
    if ((status = check_input(q, error)))
        return status;
    if (needs_output(q))
        status = is_given(q->asked) ? take_given(q, error) : take_generated(q, error);
    else
        status = take_answer(q, error);
    if (!status)
        status = check_step(q, error);
    return status ? status : add_rows(q, error);
}
