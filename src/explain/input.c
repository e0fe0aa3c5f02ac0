/* The input: a text (and its pair) through the tokenizer, or token ids as they are. */
#include "base/failure.h"
#include "explain/question.h"

static view given(const char *text, size_t bytes) { return bytes ? (view){text, bytes} : view_of(text); }

static tkr_status make_rows(question *q, size_t count, tkr_error *error)
{
    q->length = q->input_length = count;
    q->tokens = ARENA_NEW(q->arena, tkr_token, count);
    q->ids = ARENA_NEW(q->arena, int32_t, count);
    q->types = ARENA_NEW(q->arena, int32_t, count);
    return q->tokens && q->ids && q->types ? TKR_OK : fail_memory(error, "tokens", count);
}

tkr_token question_token(const question *q, int32_t id)
{
    const tokenizer *t = q->model->tokenizer;
    const char *raw = tokenizer_piece(t, id);
    return (tkr_token){.id = id, .text = -1, .word = -1, .begin = -1, .end = -1, .special = tokenizer_role(t, id), .raw = raw ? raw : ""};
}

static tkr_status read_ids(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    size_t most = model_max_tokens(q->model);
    if (a->id_count > most)
        return fail(error, TKR_E_INPUT_TOO_LONG, "input has %zu tokens, the model takes %zu", a->id_count, most);
    tkr_status status = make_rows(q, a->id_count, error);
    for (size_t i = 0; !status && i < q->length; i++) {
        q->ids[i] = a->ids[i];
        q->types[i] = a->segments ? a->segments[i] : 0;
        if (q->ids[i] < 0 || (size_t)q->ids[i] >= q->model->config.vocab)
            return fail(error, TKR_E_INPUT_TOKEN_ID, "token %zu has id %d; the model has %zu rows", i, q->ids[i],
                        q->model->config.vocab);
        q->tokens[i] = question_token(q, q->ids[i]);
        q->tokens[i].segment = q->types[i];
    }
    return status;
}

static tkr_status read_text(question *q, tkr_error *error)
{
    const tkr_question *a = q->asked;
    q->has_text = true;
    q->texts[0] = given(a->text, a->text_bytes);
    if (a->pair)
        q->texts[1] = given(a->pair, a->pair_bytes);
    tkr_encoding *e = tkr_tokenize(q->model, q->texts[0].data, q->texts[0].size, a->pair ? q->texts[1].data : NULL, q->texts[1].size,
                                   a->truncate, model_max_tokens(q->model), error);
    if (!e) {
        fail_field(error, "text", -1, 0);
        return error->code;
    }
    q->dropped = e->dropped;
    tkr_status status = make_rows(q, e->count, error);
    for (size_t i = 0; !status && i < q->length; i++) {
        q->tokens[i] = e->tokens[i];
        q->ids[i] = e->tokens[i].id;
        q->types[i] = e->tokens[i].segment;
        if (e->words && !(q->tokens[i].raw = arena_copy_text(q->arena, view_of(e->tokens[i].raw))))
            status = fail_memory(error, "words", q->length);
    }
    tkr_encoding_free(e);
    return status;
}

tkr_status input_read(question *q, tkr_error *error)
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
