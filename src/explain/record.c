/* Copying a question and its runs into a result, so that the result outlives model and session. */
#include "explain/record.h"

#include <math.h>
#include <stdio.h>
#include <tokray/version.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/utf8.h"
#include "explain/relevance.h"

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

static void record_input(tkr_result *r, size_t which, const question *q)
{
    static const char *const ids[] = {"in", "pair", "out"};
    view text = q->texts[which];
    result_input *in = &r->inputs[which];
    if (!text.data)
        return;
    *in = (result_input){.id = ids[which], .text = result_text(r, text), .bytes = text.size};
    if (q->dropped && which < 2) {
        in->tokens_before_cut = q->input_length + q->dropped;
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
    for (size_t i = 0; i < r->token_count; i++) {
        result_token *now = &r->tokens[i], *before = i ? &r->tokens[i - 1] : NULL;
        now->unit = SIZE_MAX;
        if (now->token.begin < 0)
            continue;
        view text = q->texts[now->token.text];
        bool joins = before && before->unit != SIZE_MAX && before->token.text == now->token.text &&
                     (now->token.begin < before->token.end ||
                      (now->token.begin == before->token.end && splits_grapheme(text, (size_t)now->token.begin)));
        now->unit = joins ? before->unit : unit++;
    }
}

/* Number of an output in the output, -1 for the input's tokens and a decoder's start. */
static int64_t step_of(const question *q, size_t i)
{
    bool has_decoder = model_shape(q->model) == FAMILY_ENCODER_DECODER;
    return i < q->input_length + has_decoder ? -1 : (int64_t)(i - q->input_length - has_decoder);
}

/* The last output is a target but no row of the model: one token more than rows. */
static size_t count_tokens(const question *q)
{
    int64_t next = step_of(q, q->length);
    return q->length + (q->output_count > 0 && next >= 0 && (size_t)next < q->output_count);
}

static tkr_status record_tokens(tkr_result *r, const question *q, tkr_error *error)
{
    size_t count = count_tokens(q);
    r->tokens = ARENA_NEW(r->arena, result_token, count);
    if (!r->tokens)
        return fail_memory(error, "tokens", count);
    r->token_count = count;
    for (size_t i = 0; i < count; i++) {
        tkr_token t = q->tokens[i];
        int64_t step = step_of(q, i);
        t.raw = copy(r, t.raw ? t.raw : "");
        bool is_feature = i < q->length && q->feature_of && q->feature_of[i] != UINT32_MAX;
        r->tokens[i] = (result_token){.token = t, .feature = is_feature ? q->feature_of[i] : SIZE_MAX, .step = step,
                                      .is_context = i < q->length && q->is_context && q->is_context[i],
                                      .is_output = i >= q->input_length, .probability = (double)NAN};
        if (step >= 0 && q->output_logprob)
            r->tokens[i].probability = exp(q->output_logprob[step]);
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
    size_t width = q->outputs_width, count = width < PREDICTIONS_MOST ? width : PREDICTIONS_MOST;
    const real *z = question_reading(q, q->clean, 0, q->targets[0].terms[0].read);
    r->predictions = ARENA_NEW(r->arena, tkr_prediction, count);
    if (!r->predictions)
        return fail_memory(error, "the prediction", count);
    size_t last = SIZE_MAX;
    for (size_t k = 0; k < count; k++) {
        size_t best = next_largest(z, width, last);
        r->predictions[k] = (tkr_prediction){.label = copy(r, question_output_name(q, best)), .index = best, .logit = (double)z[best],
                                             .probability = link_probability(q->link, z, width, best)};
        last = best;
    }
    r->prediction_count = count;
    r->entropy = link_entropy(q->link, z, width);
    return TKR_OK;
}

static tkr_status record_targets(tkr_result *r, const question *q, tkr_error *error)
{
    r->targets = ARENA_NEW(r->arena, tkr_target_facts, q->target_count);
    if (!r->targets)
        return fail_memory(error, "targets", q->target_count);
    r->target_count = q->target_count;
    for (size_t t = 0; t < q->target_count; t++) {
        const target *from = &q->targets[t];
        bool is_one = from->term_count == 1;
        r->targets[t] = (tkr_target_facts){.id = copy(r, from->id), .kind = from->kind, .label = copy(r, from->label),
                                           .foil = copy(r, from->foil_label), .measure = measure_id(from->measure),
                                           .chosen_by = from->chosen_by, .index = is_one ? from->terms[0].f.a : -1,
                                           .foil_index = is_one ? from->terms[0].f.foil : -1, .position = from->position,
                                           .step = from->step, .value = from->value, .baseline_value = (double)NAN,
                                           .probability = from->probability};
        for (size_t i = q->input_length; from->step >= 0 && i < r->token_count; i++)
            if (r->tokens[i].step == from->step && from->foil_label == NULL)
                r->tokens[i].probability = from->probability;
    }
    return TKR_OK;
}

tkr_status record_question(tkr_result *r, const question *q, tkr_error *error)
{
    tkr_status status = record_model(r, q, error);
    for (size_t i = 0; !status && i < 3; i++)
        record_input(r, i, q);
    r->output_source = q->output_source == OUTPUT_GENERATED ? "generated" : q->output_source == OUTPUT_GIVEN ? "given" : NULL;
    r->output_end = q->output_end;
    if (!status)
        status = record_tokens(r, q, error);
    if (!status && q->features)
        status = record_features(r, q, error);
    if (!status && q->targets)
        status = record_prediction(r, q, error);
    if (!status && q->targets)
        status = record_targets(r, q, error);
    r->context = copy(r, q->asked->context);
    r->removal = copy(r, q->removal_text ? q->removal_text : removal_id(q->removal));
    r->at = copy(r, q->is_deep ? q->asked->at : q->at);
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

const tkr_axis *record_rows_axis(tkr_result *r, const char *name, size_t begin, size_t end)
{
    const char **labels = ARENA_NEW(r->arena, const char *, end - begin);
    for (size_t i = begin; labels && i < end; i++)
        labels[i - begin] = r->tokens[i].token.raw;
    return labels ? result_axis(r, name, TKR_AXIS_TOKENS, end - begin, labels) : NULL;
}

const tkr_axis *record_token_axis(tkr_result *r, const char *name)
{
    return record_rows_axis(r, name, 0, r->token_count);
}

static const char *run_unit(const method_call *c)
{
    if (c->method->unit)
        return c->method->unit;
    return c->by_probability ? measure_unit(MEASURE_PROB) : question_unit(c->q);
}

/* "<id>.<kind>" with these values, in the order of its axes. */
static tkr_array *record_values(tkr_result *r, const method_call *c, const char *kind, const char *unit, bool is_signed, size_t rank,
                                const tkr_axis *const *axes, const double *values, tkr_error *error)
{
    char name[METHOD_ID_ROOM + 16];
    snprintf(name, sizeof name, "%s.%s", c->id, kind);
    tkr_array *array = result_add_array(r, name, unit, is_signed, rank, axes, error);
    for (size_t i = 0; array && i < array->size; i++)
        array->data[i] = (float)values[i];
    return array;
}

/* "<id>.<kind>", TARGETS x FEATURES. */
static tkr_array *record_features_array(tkr_result *r, const method_call *c, const char *kind, const double *values, bool is_signed,
                                        tkr_error *error)
{
    const tkr_axis *axes[2] = {target_axis(r), feature_axis(r)};
    return record_values(r, c, kind, run_unit(c), is_signed, 2, axes, values, error);
}

/* "<id>.pairs", TARGETS x FEATURES x FEATURES, and where they are estimates "<id>.pairs_se". */
static tkr_status record_pairs(tkr_result *r, const method_call *c, tkr_error *error)
{
    const tkr_axis *axes[3] = {target_axis(r), feature_axis(r), feature_axis(r)};
    if (!record_values(r, c, "pairs", run_unit(c), true, 3, axes, c->pairs, error))
        return error->code;
    return c->is_exact || record_values(r, c, "pairs_se", run_unit(c), false, 3, axes, c->pair_errors, error) ? TKR_OK : error->code;
}

/* "<id>.details", TARGETS x PARTS: what else the run says about each target. */
static tkr_status record_details(tkr_result *r, const method_call *c, tkr_error *error)
{
    const tkr_axis *axes[2] = {target_axis(r), result_axis(r, "part", TKR_AXIS_PARTS, method_details(c->method), c->method->details)};
    return record_values(r, c, "details", "", true, 2, axes, c->details, error) ? TKR_OK : error->code;
}

/* Where in depth the scores are, template tokens included: "<id>.layers", TARGETS x LAYERS x TOKENS. */
static tkr_status record_places(tkr_result *r, const method_call *c, tkr_error *error)
{
    const question *q = c->q;
    const pass *p = q->clean;
    const char **labels = ARENA_NEW(r->arena, const char *, p->place_count);
    for (size_t k = 0; labels && k < p->place_count; k++)
        labels[k] = copy(r, p->place_names[k]);
    const tkr_axis *axes[3] = {target_axis(r), labels ? result_axis(r, "layer", TKR_AXIS_LAYERS, p->place_count, labels) : NULL,
                               record_rows_axis(r, "token", 0, q->length)};
    char name[METHOD_ID_ROOM + 16];
    snprintf(name, sizeof name, "%s.layers", c->id);
    tkr_array *array = result_add_array(r, name, measure_unit(q->targets[0].measure), c->method->facts.is_signed, 3, axes, error);
    float *out = array ? array->data : NULL;
    for (size_t t = 0; array && t < q->target_count; t++)
        for (size_t k = 0; k < p->place_count; k++)
            for (size_t i = 0; i < q->length; i++)
                *out++ = question_reads(q, t, i) ? (float)c->place_scores[(k * q->target_count + t) * q->length + i] : NAN;
    return array ? TKR_OK : error->code;
}

/* What a relevance method absorbed on the way: "<id>.ledger", TARGETS x parts. */
static tkr_status record_ledger(tkr_result *r, const method_call *c, tkr_error *error)
{
    const tkr_axis *axes[2] = {target_axis(r), result_axis(r, "part", TKR_AXIS_PARTS, RELEVANCE_PART_COUNT, relevance_part_ids)};
    return record_values(r, c, "ledger", run_unit(c), true, 2, axes, c->ledger, error) ? TKR_OK : error->code;
}

tkr_status record_run(tkr_result *r, const method_call *c, double seconds, tkr_error *error)
{
    result_run *run = &r->runs[r->run_count];
    const tkr_method *m = &c->method->facts;
    const double value = c->value[0], base = c->base[0];
    run->facts = (tkr_run_facts){.id = c->id, .method = m->id, .title = m->title, .family = m->family, .is_signed = method_is_signed(c->method, &c->arguments),
                                 .is_additive = m->is_additive, .evaluations = c->evaluations, .forward = c->forward,
                                 .backward = c->backward, .seconds = seconds, .base = (double)NAN, .full = (double)NAN,
                                 .sum = (double)NAN, .gap = (double)NAN};
    if (m->is_additive) {
        run->facts.base = base;
        run->facts.full = value;
        run->facts.sum = c->sum[0];
        run->facts.gap = value != base ? fabs(run->facts.sum - (value - base)) / fabs(value - base) : 0;
        for (size_t t = 0; t < r->target_count; t++)
            r->targets[t].baseline_value = c->base[t];
    }
    run->special = c->special;
    run->special_count = c->special_count;
    run->scores = record_features_array(r, c, "scores", c->scores, run->facts.is_signed, error);
    tkr_status status = run->scores ? record_parameters(r, run, c, error) : fail_memory(error, "scores", 0);
    if (!status && c->errors && !c->is_exact && !record_features_array(r, c, "se", c->errors, false, error))
        status = error->code;
    if (!status && c->place_scores)
        status = record_places(r, c, error);
    if (!status && c->ledger)
        status = record_ledger(r, c, error);
    if (!status && c->pairs)
        status = record_pairs(r, c, error);
    if (!status && c->details)
        status = record_details(r, c, error);
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
    if (q->output_count)
        sha256_update(&h, q->outputs, q->output_count * sizeof *q->outputs);
    for (size_t i = 0; i < 2; i++)
        if (q->texts[i].data)
            sha256_update(&h, q->texts[i].data, q->texts[i].size);
    const char *const parts[] = {a->target, a->measure, a->features, r->removal, q->at, methods};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        hash_text(&h, parts[i]);
    if (a->context)
        hash_text(&h, a->context);
    sha256_update(&h, &r->seed, sizeof r->seed);
    const tkr_session_options *o = &q->session->options;
    if (o->budget_evaluations > 0 || o->budget_seconds > 0 || o->wanted_error > 0) {
        sha256_update(&h, &o->budget_evaluations, sizeof o->budget_evaluations);
        sha256_update(&h, &o->budget_seconds, sizeof o->budget_seconds);
        sha256_update(&h, &o->wanted_error, sizeof o->wanted_error);
    }
    if (q->targets) /* the model's own answer stands for its weights: the same bits on every machine, and free */
        sha256_update(&h, pass_logits(q->clean, 0, 0), q->reads * model_outputs(q->model) * sizeof(real));
    sha256_hex(&h, hex);
    memcpy(r->id, hex, 16);
    r->id[16] = 0;
    return TKR_OK;
}
