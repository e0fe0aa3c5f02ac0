/*
 * The first half of a result file: model, inputs, tokens, features, output, prediction, targets (schema tokray.result/1).
 *
 * Known to go wrong: a token may hold part of a character; its text is then null and its bytes are given in hexadecimal.
 */
#include "base/utf8.h"
#include "present/json_result.h"

enum { INPUTS = sizeof((tkr_result *)0)->inputs / sizeof *((tkr_result *)0)->inputs, OUTPUT = INPUTS - 1 };

const char *json_input_id(const tkr_result *r, size_t index)
{
    static const char *const otherwise[INPUTS] = {"in", "pair", "out"};
    return r->inputs[index].id ? r->inputs[index].id : otherwise[index];
}

static void write_model(json_writer *w, const tkr_result *r)
{
    const tkr_model_facts *m = &r->model;
    writer_key(w, "model");
    writer_open(w, '{', false);
    writer_key_text(w, "name", m->name);
    writer_key_text(w, "family", m->family);
    writer_key_text(w, "task", m->task_name);
    writer_key_text(w, "source", m->source);
    writer_key(w, "sha256");
    writer_open(w, '{', true);
    writer_key_text(w, "weights", m->weights_sha256);
    writer_key_text(w, "config", m->config_sha256);
    writer_key_text(w, "tokenizer", m->tokenizer_sha256);
    writer_close(w, '}');
    writer_key_unsigned(w, "layers", m->layers);
    writer_key_unsigned(w, "heads", m->heads);
    writer_key_unsigned(w, "hidden", m->hidden);
    writer_key_unsigned(w, "vocab", m->vocab);
    writer_key_unsigned(w, "max_tokens", m->max_tokens);
    writer_key_text(w, "dtype", m->dtype);
    writer_key(w, "labels");
    writer_open(w, '[', true);
    for (size_t i = 0; r->labels && i < m->labels; i++)
        writer_text(w, r->labels[i]);
    writer_close(w, ']');
    writer_close(w, '}');
}

static void write_truncation(json_writer *w, const tkr_result *r, const result_input *input)
{
    writer_key(w, "truncated");
    if (!input->cut_side) {
        writer_null(w);
        return;
    }
    bool at_end = view_is(view_of(input->cut_side), "end");
    size_t kept = r->token_count < input->tokens_before_cut ? r->token_count : input->tokens_before_cut;
    writer_open(w, '{', true);
    writer_key_unsigned(w, "tokens", input->tokens_before_cut);
    writer_key(w, "kept");
    writer_open(w, '[', true);
    writer_unsigned(w, at_end ? 0 : input->tokens_before_cut - kept);
    writer_unsigned(w, at_end ? kept : input->tokens_before_cut);
    writer_close(w, ']');
    writer_key_text(w, "side", input->cut_side);
    writer_close(w, '}');
}

static void write_inputs(json_writer *w, const tkr_result *r)
{
    writer_key(w, "inputs");
    writer_open(w, '[', false);
    for (size_t i = 0; i < INPUTS; i++) {
        const result_input *input = &r->inputs[i];
        if (!input->id)
            continue;
        writer_open(w, '{', true);
        writer_key_text(w, "id", input->id);
        writer_key(w, "text");
        if (input->text)
            writer_view(w, (view){input->text, input->bytes});
        else
            writer_null(w);
        writer_key_unsigned(w, "bytes", input->bytes);
        write_truncation(w, r, input);
        writer_close(w, '}');
    }
    writer_close(w, ']');
}

/* "text" is null and "bytes_hex" is set for bytes that are no whole character. */
static void write_token_text(json_writer *w, const tkr_result *r, const tkr_token *t)
{
    const result_input *input = t->text >= 0 ? &r->inputs[t->text] : NULL;
    if (!input || !input->text || t->begin < 0) {
        writer_key_text(w, "text", "");
        return;
    }
    view bytes = view_slice((view){input->text, input->bytes}, (size_t)t->begin, (size_t)t->end);
    writer_key(w, "text");
    if (utf8_first_bad(bytes) == bytes.size) {
        writer_view(w, bytes);
        return;
    }
    writer_null(w);
    buffer hex;
    buffer_init(&hex, 2 * bytes.size);
    for (size_t i = 0; i < bytes.size; i++)
        buffer_format(&hex, "%02x", (unsigned)(unsigned char)bytes.data[i]);
    w->o->bytes.failed |= !buffer_ok(&hex);
    writer_key(w, "bytes_hex");
    writer_view(w, buffer_as_view(&hex));
    buffer_fini(&hex);
}

static const char *special_name(tkr_special special)
{
    static const char *const names[] = {
        [TKR_SPECIAL_CLS] = "cls", [TKR_SPECIAL_SEP] = "sep", [TKR_SPECIAL_MASK] = "mask", [TKR_SPECIAL_PAD] = "pad",
        [TKR_SPECIAL_BOS] = "bos", [TKR_SPECIAL_EOS] = "eos", [TKR_SPECIAL_UNK] = "unk", [TKR_SPECIAL_OTHER] = "other"};
    return (size_t)special < sizeof names / sizeof *names ? names[special] : NULL;
}

static void write_token(json_writer *w, const tkr_result *r, size_t i)
{
    const result_token *token = &r->tokens[i];
    const tkr_token *t = &token->token;
    writer_open(w, '{', true);
    writer_key_unsigned(w, "i", i);
    writer_key(w, "id");
    writer_signed(w, t->id);
    if (r->inputs[1].id && !token->is_output)
        writer_key_text(w, "of", t->text >= 0 ? json_input_id(r, (size_t)t->text) : NULL);
    write_token_text(w, r, t);
    writer_key_text(w, "raw", t->raw);
    writer_key_signed_or_null(w, "start", t->begin);
    writer_key_signed_or_null(w, "end", t->end);
    writer_key_signed_or_null(w, "word", t->word);
    writer_key_signed_or_null(w, "unit", token->unit == SIZE_MAX ? -1 : (int64_t)token->unit);
    writer_key(w, "segment");
    writer_signed(w, t->segment);
    writer_key_text(w, "special", special_name(t->special));
    if (token->is_output) {
        writer_key_signed_or_null(w, "step", token->step);
        writer_key_bool(w, "generated", token->step >= 0 && r->output_source && view_is(view_of(r->output_source), "generated"));
        writer_key_real(w, "probability", token->probability);
    }
    writer_close(w, '}');
}

/* Input tokens, the pair's among them ("of" tells them apart); those of the output have a list of their own.  "i" counts on. */
static void write_token_list(json_writer *w, const tkr_result *r, bool of_output)
{
    writer_key(w, json_input_id(r, of_output ? OUTPUT : 0));
    writer_open(w, '[', false);
    for (size_t i = 0; i < r->token_count; i++)
        if (r->tokens[i].is_output == of_output)
            write_token(w, r, i);
    writer_close(w, ']');
}

static void write_tokens(json_writer *w, const tkr_result *r)
{
    writer_key(w, "tokens");
    writer_open(w, '{', false);
    write_token_list(w, r, false);
    if (r->inputs[OUTPUT].id)
        write_token_list(w, r, true);
    writer_close(w, '}');
}

/* "of": the input, or one input a member when they come from several. */
static void write_feature_owner(json_writer *w, const tkr_result *r)
{
    bool differ = false;
    for (size_t i = 1; i < r->feature_count; i++)
        differ |= r->features[i].text != r->features[0].text;
    writer_key(w, "of");
    if (!differ) {
        writer_text(w, json_input_id(r, r->feature_count ? (size_t)r->features[0].text : 0));
        return;
    }
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->feature_count; i++)
        writer_text(w, json_input_id(r, (size_t)r->features[i].text));
    writer_close(w, ']');
}

static void write_features(json_writer *w, const tkr_result *r)
{
    writer_key(w, "features");
    if (!r->feature_kind) {
        writer_null(w);
        return;
    }
    writer_open(w, '{', false);
    writer_key_text(w, "kind", r->feature_kind);
    write_feature_owner(w, r);
    writer_key(w, "members");
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->feature_count; i++) {
        writer_open(w, '[', true);
        for (size_t k = 0; k < r->features[i].count; k++)
            writer_unsigned(w, r->features[i].members[k]);
        writer_close(w, ']');
    }
    writer_close(w, ']');
    writer_key(w, "labels");
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->feature_count; i++)
        writer_text(w, r->features[i].label);
    writer_close(w, ']');
    writer_close(w, '}');
}

/* What every variant kept: as it was asked, and its tokens. */
static void write_context(json_writer *w, const tkr_result *r)
{
    writer_key(w, "context");
    if (!r->context) {
        writer_null(w);
        return;
    }
    writer_open(w, '{', true);
    writer_key_text(w, "fixed", r->context);
    writer_key(w, "tokens");
    writer_open(w, '[', true);
    for (size_t i = 0; i < r->token_count; i++)
        if (r->tokens[i].is_context)
            writer_unsigned(w, i);
    writer_close(w, ']');
    writer_close(w, '}');
}

/* What the model put out, or was given to put out. */
static void write_output(json_writer *w, const tkr_result *r)
{
    const result_input *output = &r->inputs[OUTPUT];
    writer_key(w, "output");
    if (!r->output_source) {
        writer_null(w);
        return;
    }
    writer_open(w, '{', true);
    writer_key_text(w, "source", r->output_source);
    writer_key_text(w, "end", r->output_end);
    writer_key(w, "text");
    if (output->text)
        writer_view(w, (view){output->text, output->bytes});
    else
        writer_null(w);
    writer_close(w, '}');
}

static void write_prediction(json_writer *w, const tkr_result *r)
{
    writer_key(w, "prediction");
    writer_open(w, '{', false);
    writer_key(w, "top");
    writer_open(w, '[', false);
    for (size_t i = 0; i < r->prediction_count; i++) {
        const tkr_prediction *p = &r->predictions[i];
        writer_open(w, '{', true);
        writer_key_text(w, "label", p->label);
        writer_key_unsigned(w, "index", p->index);
        writer_key_real(w, "logit", p->logit);
        writer_key_real(w, "probability", p->probability);
        writer_close(w, '}');
    }
    writer_close(w, ']');
    writer_key_real(w, "entropy", r->entropy);
    writer_close(w, '}');
}

static void write_target(json_writer *w, const tkr_target_facts *t)
{
    writer_open(w, '{', true);
    writer_key_text(w, "id", t->id);
    writer_key_text(w, "kind", t->kind);
    writer_key_text(w, "label", t->label);
    writer_key_signed_or_null(w, "index", t->index);
    writer_key_signed_or_null(w, "position", t->position);
    writer_key_signed_or_null(w, "step", t->step);
    writer_key(w, "contrast");
    if (t->foil) {
        writer_open(w, '{', true);
        writer_key_text(w, "label", t->foil);
        writer_key_signed_or_null(w, "index", t->foil_index);
        writer_close(w, '}');
    } else {
        writer_null(w);
    }
    writer_key_text(w, "measure", t->measure);
    writer_key_real(w, "value", t->value);
    writer_key_real(w, "baseline_value", t->baseline_value);
    writer_key_real(w, "probability", t->probability);
    writer_key_text(w, "chosen_by", t->chosen_by);
    writer_close(w, '}');
}

void json_write_question(json_writer *w, const tkr_result *r)
{
    write_model(w, r);
    write_inputs(w, r);
    write_tokens(w, r);
    write_features(w, r);
    write_context(w, r);
    write_output(w, r);
    write_prediction(w, r);
    writer_key(w, "targets");
    writer_open(w, '[', false);
    for (size_t i = 0; i < r->target_count; i++)
        write_target(w, &r->targets[i]);
    writer_close(w, ']');
}
