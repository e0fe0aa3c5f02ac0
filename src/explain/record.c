/* Copying a question and its runs into a result, so that the result outlives model and session. */
#include "explain/record.h"

#include <math.h>
#include <tokray/version.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/utf8.h"

#include <utf8proc.h>

enum { PREDICTIONS_MOST = 10 };

static const char *copy(tkr_result *r, const char *text) { return text ? result_text(r, view_of(text)) : NULL; }

/* ---- model and input ---- */

static tkr_status record_model(tkr_result *r, const question *q, tkr_error *error)
{
    tkr_model_describe(q->model, &r->model);
    r->model.name = copy(r, r->model.name);
    r->model.source = copy(r, r->model.source);
    r->model.weights_sha256 = copy(r, r->model.weights_sha256);
    r->model.config_sha256 = copy(r, r->model.config_sha256);
    r->model.tokenizer_sha256 = copy(r, r->model.tokenizer_sha256);
    r->model.tokenizer_file = copy(r, r->model.tokenizer_file);
    const char **labels = ARENA_NEW(r->arena, const char *, q->model->label_count);
    if (!labels)
        return fail_memory(error, "labels", q->model->label_count);
    for (size_t i = 0; i < q->model->label_count; i++)
        labels[i] = copy(r, q->model->labels[i]);
    r->labels = labels;
    return TKR_OK;
}

static void record_input(tkr_result *r, const char *id, view text, const question *q)
{
    size_t dropped = q->encoding ? q->encoding->dropped : 0;
    result_input *in = &r->inputs[r->input_count++];
    *in = (result_input){.id = id, .text = result_text(r, text), .bytes = text.size};
    if (dropped) {
        in->tokens_before_cut = q->length + dropped;
        in->cut_side = q->asked->truncate == TKR_TRUNCATE_START ? "start" : "end";
    }
}

/* Is byte `at` inside a grapheme cluster (so that tokens on both sides of it form one unit)? */
static bool splits_grapheme(view text, size_t at)
{
    if (at == 0 || at >= text.size)
        return false;
    size_t before = at - 1;
    while (before > 0 && ((unsigned char)text.data[before] & 0xC0) == 0x80)
        before--;
    uint32_t left = 0, right = 0;
    if (!utf8_decode(text, before, &left) || !utf8_decode(text, at, &right))
        return true;
    return !utf8proc_grapheme_break((utf8proc_int32_t)left, (utf8proc_int32_t)right);
}

/* Units: tokens that share a character or a grapheme cluster belong together. */
static void number_units(tkr_result *r, const question *q)
{
    size_t unit = 0;
    for (size_t i = 0; i < q->length; i++) {
        result_token *now = &r->tokens[i], *before = i ? &r->tokens[i - 1] : NULL;
        now->unit = SIZE_MAX;
        if (!q->encoding || now->token.begin < 0)
            continue;
        view text = now->token.text == 1 ? q->pair : q->text;
        bool joins = before && before->unit != SIZE_MAX && before->token.text == now->token.text &&
                     (now->token.begin < before->token.end ||
                      (now->token.begin == before->token.end && splits_grapheme(text, (size_t)now->token.begin)));
        now->unit = joins ? before->unit : unit++;
    }
}

static tkr_status record_tokens(tkr_result *r, const question *q, tkr_error *error)
{
    r->tokens = ARENA_NEW(r->arena, result_token, q->length);
    if (!r->tokens)
        return fail_memory(error, "tokens", q->length);
    r->token_count = q->length;
    for (size_t i = 0; i < q->length; i++) {
        tkr_token t = {.id = q->ids[i], .segment = q->types[i], .text = -1, .word = -1, .begin = -1, .end = -1};
        if (q->encoding)
            t = q->encoding->tokens[i];
        else {
            t.special = tokenizer_role(q->model->tokenizer, t.id);
            t.raw = tokenizer_piece(q->model->tokenizer, t.id);
        }
        t.raw = copy(r, t.raw ? t.raw : "");
        bool is_feature = q->feature_of && q->feature_of[i] != UINT32_MAX;
        r->tokens[i] = (result_token){.token = t, .feature = is_feature ? q->feature_of[i] : SIZE_MAX};
    }
    number_units(r, q);
    return TKR_OK;
}

static tkr_status record_features(tkr_result *r, const question *q, tkr_error *error)
{
    r->feature_kind = q->feature_kind;
    r->features = ARENA_NEW(r->arena, result_feature, q->feature_count);
    if (!r->features)
        return fail_memory(error, "features", q->feature_count);
    r->feature_count = q->feature_count;
    for (size_t f = 0; f < q->feature_count; f++) {
        const feature *from = &q->features[f];
        uint32_t *members = ARENA_NEW(r->arena, uint32_t, from->count);
        if (!members)
            return fail_memory(error, "features", from->count);
        memcpy(members, from->members, from->count * sizeof *members);
        r->features[f] = (result_feature){.label = result_text(r, from->label), .members = members, .count = from->count,
                                          .text = from->text, .begin = from->begin, .end = from->end};
    }
    return TKR_OK;
}

/* ---- prediction and targets ---- */

/* The output that comes after `last` in descending order of logits, lower index first; SIZE_MAX: the largest. */
static size_t next_largest(const real *z, size_t outputs, size_t last)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < outputs; i++) {
        bool comes_after = last == SIZE_MAX || z[i] < z[last] || (!(z[i] > z[last]) && i > last);
        if (comes_after && (best == SIZE_MAX || z[i] > z[best]))
            best = i;
    }
    return best;
}

static tkr_status record_prediction(tkr_result *r, const question *q, tkr_error *error)
{
    size_t read = q->target_count ? q->targets[0].read : 0, count = q->outputs < PREDICTIONS_MOST ? q->outputs : PREDICTIONS_MOST;
    const real *z = pass_logits(q->clean, 0, read);
    r->predictions = ARENA_NEW(r->arena, tkr_prediction, count);
    if (!r->predictions)
        return fail_memory(error, "the prediction", count);
    size_t last = SIZE_MAX;
    for (size_t k = 0; k < count; k++) {
        size_t best = next_largest(z, q->outputs, last);
        r->predictions[k] = (tkr_prediction){.label = copy(r, model_output_name(q->model, best)), .index = best,
                                             .logit = (double)z[best],
                                             .probability = link_probability(q->link, z, q->outputs, best)};
        last = best;
    }
    r->prediction_count = count;
    r->entropy = link_entropy(q->link, z, q->outputs);
    return TKR_OK;
}

static tkr_status record_targets(tkr_result *r, const question *q, tkr_error *error)
{
    r->targets = ARENA_NEW(r->arena, tkr_target_facts, q->target_count);
    if (!r->targets)
        return fail_memory(error, "targets", q->target_count);
    r->target_count = q->target_count;
    bool at_token = q->model->task == TKR_TASK_MASKED_LM;
    for (size_t t = 0; t < q->target_count; t++) {
        const target *from = &q->targets[t];
        r->targets[t] = (tkr_target_facts){.id = copy(r, from->id), .kind = from->kind, .label = copy(r, from->label),
                                           .foil = copy(r, from->foil_label), .measure = measure_id(from->f.measure),
                                           .chosen_by = from->chosen_by, .index = from->f.a, .foil_index = from->f.foil,
                                           .position = at_token ? (int64_t)q->read_positions[from->read] : -1,
                                           .value = from->value, .baseline_value = (double)NAN,
                                           .probability = from->probability};
    }
    return TKR_OK;
}

tkr_status record_question(tkr_result *r, const question *q, tkr_error *error)
{
    tkr_status status = record_model(r, q, error);
    if (!status && q->encoding) {
        record_input(r, "in", q->text, q);
        if (q->asked->pair)
            record_input(r, "pair", q->pair, q);
    }
    if (!status)
        status = record_tokens(r, q, error);
    if (!status && q->features)
        status = record_features(r, q, error);
    if (!status && q->target_count)
        status = record_prediction(r, q, error);
    if (!status)
        status = record_targets(r, q, error);
    r->removal = removal_id(q->removal);
    r->at = q->at;
    r->seed = q->session->options.seed;
    r->threads = q->session->options.threads;
    r->gemm = gemm_door();
    r->cpu = q->model->kernels->name;
    return status ? status : arena_failed(r->arena) ? fail_memory(error, "a result", 0) : TKR_OK;
}

/* ---- runs ---- */

tkr_status record_room_for_runs(tkr_result *r, size_t count, tkr_error *error)
{
    r->runs = ARENA_NEW(r->arena, result_run, count);
    return r->runs ? TKR_OK : fail_memory(error, "runs", count);
}

/* A parameter's value as JSON text. */
static const char *parameter_text(tkr_result *r, const parameter *p, const arguments *a, size_t index)
{
    char number[NUMBER_ROOM];
    if (p->kind == PARAMETER_INT || p->kind == PARAMETER_REAL)
        return copy(r, number_shortest_f64(number, a->number[index]));
    buffer quoted;
    buffer_init(&quoted, 1 << 21);
    buffer_byte(&quoted, '"');
    view text = a->text[index];
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\')
            buffer_format(&quoted, "\\%c", c);
        else if (c < 0x20)
            buffer_format(&quoted, "\\u%04x", c);
        else
            buffer_byte(&quoted, (char)c);
    }
    buffer_byte(&quoted, '"');
    const char *kept = buffer_ok(&quoted) ? result_text(r, buffer_as_view(&quoted)) : NULL;
    buffer_fini(&quoted);
    return kept;
}

static tkr_status record_parameters(tkr_result *r, result_run *run, const method_call *c, tkr_error *error)
{
    const parameter *all = c->method->parameters;
    while (all[run->parameter_count].kind != PARAMETER_END)
        run->parameter_count++;
    result_parameter *list = ARENA_NEW(r->arena, result_parameter, run->parameter_count);
    for (size_t i = 0; list && i < run->parameter_count; i++)
        list[i] = (result_parameter){all[i].shown.name, parameter_text(r, &all[i], &c->arguments, i)};
    run->parameters = list;
    return arena_failed(r->arena) ? fail_memory(error, "parameters", 0) : TKR_OK;
}

static const tkr_axis *target_axis(tkr_result *r)
{
    const char **labels = ARENA_NEW(r->arena, const char *, r->target_count);
    for (size_t t = 0; labels && t < r->target_count; t++)
        labels[t] = r->targets[t].label;
    return labels ? result_axis(r, "target", TKR_AXIS_TARGETS, r->target_count, labels) : NULL;
}

static const tkr_axis *feature_axis(tkr_result *r)
{
    const char **labels = ARENA_NEW(r->arena, const char *, r->feature_count);
    for (size_t f = 0; labels && f < r->feature_count; f++)
        labels[f] = r->features[f].label;
    return labels ? result_axis(r, "feature", TKR_AXIS_FEATURES, r->feature_count, labels) : NULL;
}

const tkr_axis *record_token_axis(tkr_result *r, const char *name)
{
    const char **labels = ARENA_NEW(r->arena, const char *, r->token_count);
    for (size_t i = 0; labels && i < r->token_count; i++)
        labels[i] = r->tokens[i].token.raw;
    return labels ? result_axis(r, name, TKR_AXIS_TOKENS, r->token_count, labels) : NULL;
}

static tkr_array *record_scores(tkr_result *r, const method_call *c, tkr_error *error)
{
    buffer name;
    buffer_init(&name, METHOD_ID_ROOM + 16);
    buffer_format(&name, "%s.scores", c->id);
    const tkr_axis *axes[2] = {target_axis(r), feature_axis(r)};
    tkr_array *array = buffer_ok(&name) ? result_add_array(r, name.data, measure_unit(c->q->targets[0].f.measure),
                                                           c->method->facts.is_signed, 2, axes, error)
                                        : NULL;
    buffer_fini(&name);
    for (size_t i = 0; array && i < array->size; i++)
        array->data[i] = (float)c->scores[i];
    return array;
}

tkr_status record_run(tkr_result *r, const method_call *c, double special, size_t special_count, double seconds, tkr_error *error)
{
    result_run *run = &r->runs[r->run_count];
    const tkr_method *m = &c->method->facts;
    const double value = c->q->targets[0].value, base = c->base[0];
    run->facts = (tkr_run_facts){.id = c->id, .method = m->id, .title = m->title, .family = m->family, .is_signed = m->is_signed,
                                 .is_additive = m->is_additive, .evaluations = c->evaluations, .forward = c->forward,
                                 .backward = c->backward, .seconds = seconds, .base = (double)NAN, .full = (double)NAN,
                                 .sum = (double)NAN, .gap = (double)NAN};
    if (m->is_additive) {
        run->facts.base = base;
        run->facts.full = value;
        run->facts.sum = method_sum(c, 0);
        run->facts.gap = value != base ? fabs(run->facts.sum - (value - base)) / fabs(value - base) : 0;
        for (size_t t = 0; t < r->target_count; t++)
            r->targets[t].baseline_value = c->base[t];
    }
    run->special = special;
    run->special_count = special_count;
    run->scores = record_scores(r, c, error);
    tkr_status status = run->scores ? record_parameters(r, run, c, error) : fail_memory(error, "scores", 0);
    r->run_count += !status;
    return status;
}

/* ---- identity ---- */

static void hash_text(sha256 *h, const char *text)
{
    sha256_update(h, text ? text : "\1", text ? strlen(text) + 1 : 2);
}

tkr_status record_identity(tkr_result *r, const question *q, const char *methods, tkr_error *error)
{
    (void)error;
    const tkr_question *a = q->asked;
    sha256 h;
    char hex[65];
    sha256_init(&h);
    hash_text(&h, tkr_version());
    hash_text(&h, r->model.config_sha256);
    hash_text(&h, tokenizer_sha256(q->model->tokenizer));
    sha256_update(&h, q->ids, q->length * sizeof *q->ids);
    sha256_update(&h, q->types, q->length * sizeof *q->types);
    if (q->text.data)
        sha256_update(&h, q->text.data, q->text.size);
    if (a->pair)
        sha256_update(&h, q->pair.data, q->pair.size);
    const char *const parts[] = {a->target, a->measure, a->features, removal_id(q->removal), q->at, methods};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash_text(&h, parts[i]);
    sha256_update(&h, &r->seed, sizeof r->seed);
    if (q->target_count) /* the model's own answer stands for its weights: the same bits on every machine, and free */
        sha256_update(&h, pass_logits(q->clean, 0, 0), q->reads * q->outputs * sizeof(real));
    sha256_hex(&h, hex);
    memcpy(r->id, hex, 16);
    r->id[16] = 0;
    return TKR_OK;
}
