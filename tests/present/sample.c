/* Results made by hand; see sample.h. */
#include "present/sample.h"

#include <stdio.h>

static void add_token(sample *s, int32_t id, const char *raw, int64_t begin, int64_t end, int32_t word, tkr_special special)
{
    bool from_text = begin >= 0;
    size_t i = s->result.token_count++;
    s->tokens[i] = (result_token){
        .token = {.id = id, .text = from_text ? 0 : -1, .word = word, .begin = begin, .end = end, .special = special,
                  .is_template = !from_text, .raw = raw},
        .feature = from_text ? (size_t)word : SIZE_MAX,
        .unit = from_text ? (size_t)word : SIZE_MAX,
        .step = -1,
        .probability = (double)NAN};
}

static void fill_model(sample *s)
{
    tkr_result *r = &s->result;
    s->class_labels[0] = "NEGATIVE";
    s->class_labels[1] = "POSITIVE";
    r->labels = s->class_labels;
    r->model = (tkr_model_facts){.name = "tiny-distilbert-sentiment", .source = "bundled", .family = "distilbert",
                                 .family_title = "DistilBERT", .task = TKR_TASK_SEQUENCE_CLASSIFICATION,
                                 .task_name = "sequence-classification", .problem = "single-label", .dtype = "f16",
                                 .layers = 3, .heads = 4, .hidden = 160, .vocab = 7600, .max_tokens = 128, .labels = 2,
                                 .weights_sha256 = "aa", .config_sha256 = "bb", .tokenizer_sha256 = "cc",
                                 .tokenizer_file = "tokenizer.json"};
}

static void fill_question(sample *s)
{
    tkr_result *r = &s->result;
    r->predictions = s->predictions;
    r->prediction_count = 2;
    s->predictions[0] = (tkr_prediction){"POSITIVE", 1, 2.01, 0.981};
    s->predictions[1] = (tkr_prediction){"NEGATIVE", 0, -1.94, 0.019};
    r->entropy = 0.094;
    r->targets = s->targets;
    r->target_count = 1;
    s->targets[0] = (tkr_target_facts){.id = "t0", .kind = "label", .label = "POSITIVE", .measure = "logit",
                                       .chosen_by = "predicted", .index = 1, .foil_index = -1, .position = -1, .step = -1, .value = 2.01,
                                       .baseline_value = -0.80, .probability = 0.981};
    s->target_labels[0] = "POSITIVE";
    s->target_axis = (tkr_axis){"target", TKR_AXIS_TARGETS, 1, s->target_labels};
    s->feature_axis = (tkr_axis){"feature", TKR_AXIS_FEATURES, r->feature_count, s->feature_labels};
}

static void fill_frame(sample *s)
{
    tkr_result *r = &s->result;
    r->kind = "explanation";
    r->status = "complete";
    snprintf(r->id, sizeof r->id, "3f9c2b7e10aa4d51");
    r->removal = "mask";
    r->at = "word";
    r->gemm = "own";
    r->cpu = "avx512";
    r->threads = 2;
    r->seconds_explain = 0.012;
    r->seconds_total = 0.019;
    r->peak_memory = 73400320;
    snprintf(r->created, sizeof r->created, "2026-01-31T12:00:00Z");
    r->tokens = s->tokens;
    r->features = s->features;
    r->feature_kind = "words";
    r->runs = s->runs;
    r->arrays = s->array_list;
    r->checks = s->checks;
    r->checked = s->checked;
    r->warnings = s->warnings;
}

static void add_feature(sample *s, size_t i, const char *word, int64_t begin)
{
    snprintf(s->labels[i], sizeof s->labels[i], "%s", word);
    s->feature_labels[i] = s->labels[i];
    s->members[i] = (uint32_t)(i + 1);
    s->features[i] = (result_feature){.label = s->labels[i], .members = &s->members[i], .count = 1, .begin = begin,
                                      .end = begin + (int64_t)strlen(word)};
    add_token(s, 2000 + (int32_t)i, s->labels[i], begin, s->features[i].end, (int32_t)i, TKR_SPECIAL_NONE);
}

void sample_init(sample *s, const char *text, const sample_word *words, size_t count)
{
    *s = (sample){0};
    tkr_result *r = &s->result;
    fill_model(s);
    fill_frame(s);
    snprintf(s->text, sizeof s->text, "%s", text);
    r->inputs[0] = (result_input){.id = "in", .text = s->text, .bytes = strlen(s->text)};
    add_token(s, 101, "[CLS]", -1, -1, -1, TKR_SPECIAL_CLS);
    const char *from = s->text;
    for (size_t i = 0; i < count; i++) {
        const char *found = strstr(from, words[i].text);
        add_feature(s, i, words[i].text, found - s->text);
        s->scores[0][i] = words[i].score;
        from = found + strlen(words[i].text);
    }
    add_token(s, 102, "[SEP]", -1, -1, -1, TKR_SPECIAL_SEP);
    r->feature_count = count;
    fill_question(s);
    sample_add_run(s, "ig", true, true, 1);
    s->runs[0].facts.title = "integrated gradients";
    s->runs[0].facts.family = "gradient";
    s->parameters[0] = (result_parameter){"steps", "32"};
    s->parameters[1] = (result_parameter){"rule", "\"gl\""};
    s->runs[0].parameters = s->parameters;
    s->runs[0].parameter_count = 2;
}

void sample_add_run(sample *s, const char *id, bool is_signed, bool is_additive, float factor)
{
    tkr_result *r = &s->result;
    size_t i = r->run_count++, n = r->feature_count;
    double none = (double)NAN;
    snprintf(s->array_names[i], sizeof s->array_names[i], "%s.scores", id);
    s->arrays[i] = (tkr_array){.name = s->array_names[i], .unit = "logit", .is_signed = is_signed, .rank = 2,
                               .axes = {&s->target_axis, &s->feature_axis}, .size = n, .data = s->scores[i]};
    s->array_list[r->array_count++] = &s->arrays[i];
    for (size_t k = 0; i > 0 && k < n; k++)
        s->scores[i][k] = is_signed ? factor * s->scores[0][k] : fabsf(factor * s->scores[0][k]);
    s->runs[i] = (result_run){
        .facts = {.id = id, .method = id, .title = id, .family = "perturbation", .is_signed = is_signed,
                  .is_additive = is_additive, .evaluations = 34, .forward = 34, .backward = 32, .seconds = 0.012,
                  .base = is_additive ? -0.80 : none, .full = is_additive ? 2.01 : none, .sum = is_additive ? 2.80 : none,
                  .gap = is_additive ? 0.004 : none},
        .scores = &s->arrays[i],
        .special = is_additive ? 0.02 : none,
        .special_count = is_additive ? 2 : 0};
    if (is_additive)
        s->checks[r->check_count++] = (tkr_check){id, "completeness", 2.81, 2.80, 0.004, 0.05, true};
}

float *sample_cell(sample *s, size_t step, size_t feature) { return &s->scores[0][step * s->result.feature_count + feature]; }

/* Token `i` of the output as token, feature and target. */
static void add_output(sample *s, size_t i, const sample_word *word, int64_t begin)
{
    tkr_result *r = &s->result;
    size_t f = r->feature_count++, token = r->token_count++;
    int64_t end = begin + (int64_t)strlen(word->text);
    snprintf(s->labels[f], sizeof s->labels[f], "%s", word->text);
    s->feature_labels[f] = s->labels[f];
    s->members[f] = (uint32_t)token;
    s->features[f] = (result_feature){.label = s->labels[f], .members = &s->members[f], .count = 1, .text = 2, .begin = begin, .end = end};
    s->tokens[token] = (result_token){.token = {.id = 3000 + (int32_t)i, .text = 2, .word = (int32_t)i, .begin = begin, .end = end,
                                                .raw = s->labels[f]},
                                      .feature = f, .unit = f, .is_output = true, .step = (int64_t)i,
                                      .probability = (double)word->score};
    snprintf(s->target_ids[i], sizeof s->target_ids[i], "t%zu", i);
    s->target_labels[i] = s->labels[f];
    s->targets[i] = (tkr_target_facts){.id = s->target_ids[i], .kind = "gen", .label = s->labels[f], .measure = "logit",
                                       .chosen_by = "predicted", .index = 3000 + (int64_t)i, .foil_index = -1,
                                       .position = (int64_t)token - 1, .step = (int64_t)i, .value = 7, .baseline_value = 1,
                                       .probability = (double)word->score};
}

void sample_generate(sample *s, const char *output, const sample_word *tokens, size_t count)
{
    tkr_result *r = &s->result;
    size_t inputs = r->feature_count;
    r->model.task = TKR_TASK_SEQUENCE_TO_SEQUENCE;
    r->model.task_name = "sequence-to-sequence";
    r->model.problem = "";
    r->output_source = "generated";
    r->output_end = "eos";
    snprintf(s->output, sizeof s->output, "%s", output);
    r->inputs[2] = (result_input){.id = "out", .text = s->output, .bytes = strlen(s->output)};
    s->tokens[r->token_count++] = (result_token){.token = {.text = -1, .word = -1, .begin = -1, .end = -1, .raw = "<pad>",
                                                           .special = TKR_SPECIAL_PAD, .is_template = true},
                                                 .feature = SIZE_MAX, .unit = SIZE_MAX, .is_output = true, .step = -1,
                                                 .probability = (double)NAN};
    int64_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        add_output(s, i, &tokens[i], begin);
        begin += (int64_t)strlen(tokens[i].text);
    }
    r->target_count = s->target_axis.size = count;
    s->feature_axis.size = r->feature_count;
    s->arrays[0].size = count * r->feature_count;
    for (size_t t = 0; t < count; t++)
        for (size_t f = 0; f < r->feature_count; f++)
            *sample_cell(s, t, f) = f < inputs + t ? 0 : NAN;
    s->predictions[0] = (tkr_prediction){s->labels[inputs], 3000, 7, (double)tokens[0].score};
    r->prediction_count = 1;
}

void sample_house(sample *s)
{
    static const sample_word words[] = {{"translate", 0}, {"English", 0}, {"to", 0}, {"German:", 0}, {"The", 0}, {"house", 0}, {"is", 0},
                                        {"small.", 0}};
    static const sample_word tokens[] = {{"Das", 0.91f}, {" Haus", 0.88f}, {" ist", 0.97f}, {" klein", 0.93f}, {".", 0.99f}};
    static const float cells[][12] = {{0.1f, 0.05f, 0, 2.2f, 4.1f, 2.0f, 0.1f, 0.2f},
                                      {0, 0, 0.1f, 0.9f, 1.1f, 4.3f, 0, 0.1f, 1.0f},
                                      {0.1f, 0, 0, 1.2f, 0.1f, 0.8f, 3.9f, 0.9f, 0.2f, 1.3f},
                                      {0, 0, 0, 0.7f, 0.2f, 0.9f, 1.1f, 4.4f, 0, -0.9f, 0.3f},
                                      {0, 0, 0, 0.1f, 0.1f, 0, 0.2f, 3.2f, -0.1f, 0, 0.1f, -1.5f}};
    sample_init(s, "translate English to German: The house is small.", words, sizeof words / sizeof *words);
    sample_generate(s, "Das Haus ist klein.", tokens, sizeof tokens / sizeof *tokens);
    for (size_t t = 0; t < sizeof cells / sizeof *cells; t++)
        for (size_t f = 0; f < 8 + t; f++)
            *sample_cell(s, t, f) = cells[t][f];
    s->checked[0] = (tkr_checked){"ig", "attn", "probability", 4, 0.91, 0.12};
    s->result.checked_count = 1;
}

void sample_keep_step(sample *s, size_t step)
{
    tkr_result *r = &s->result;
    memmove(s->scores[0], sample_cell(s, step, 0), r->feature_count * sizeof s->scores[0][0]);
    s->targets[0] = s->targets[step];
    s->predictions[0] = (tkr_prediction){s->targets[0].label, (size_t)s->targets[0].index, 7, s->targets[0].probability};
    r->target_count = s->target_axis.size = 1;
    s->arrays[0].size = r->feature_count;
    r->checked_count = 0;
}

void sample_plot(sample *s)
{
    static const sample_word words[] = {{"The", 0.05f},  {"plot", -0.31f}, {"is", 0.02f},     {"thin", -1.87f}, {",", 0.09f},
                                        {"but", 0.88f},  {"the", 0.06f},   {"acting", 0.74f}, {"is", 0.11f},    {"superb", 2.91f},
                                        {".", 0.12f}};
    sample_init(s, "The plot is thin, but the acting is superb.", words, sizeof words / sizeof *words);
    s->checked[0] = (tkr_checked){"ig", "mask", "probability", 9, 0.981, 0.44};
    s->result.checked_count = 1;
}

/* An array of one target, "<id>.<kind>"; its last axes are features. */
static tkr_array *add_array(sample *s, size_t run, const char *kind, size_t rank, size_t count, const float *values)
{
    size_t i = s->more_count++;
    snprintf(s->more_names[i], sizeof s->more_names[i], "%s.%s", s->runs[run].facts.id, kind);
    memcpy(s->more_data[i], values, count * sizeof *values);
    s->more[i] = (tkr_array){.name = s->more_names[i], .unit = "logit", .is_signed = true, .rank = rank,
                             .axes = {&s->target_axis, &s->feature_axis, &s->feature_axis}, .size = count, .data = s->more_data[i]};
    s->array_list[s->result.array_count++] = &s->more[i];
    return &s->more[i];
}

void sample_add_errors(sample *s, size_t run, const float *errors) { add_array(s, run, "se", 2, s->result.feature_count, errors); }

void sample_add_pairs(sample *s, size_t run, const float *pairs, const float *errors)
{
    size_t n = s->result.feature_count;
    add_array(s, run, "pairs", 3, n * n, pairs);
    if (errors)
        add_array(s, run, "pairs_se", 3, n * n, errors);
}

void sample_add_details(sample *s, size_t run, const char *const *names, const float *values, size_t count)
{
    tkr_array *a = add_array(s, run, "details", 2, count, values);
    tkr_axis *axis = &s->part_axes[s->more_count - 1];
    *axis = (tkr_axis){"part", TKR_AXIS_PARTS, count, names};
    a->axes[1] = axis;
    a->unit = "";
}

void sample_make_set(sample *s, const char *id, const size_t *members, size_t count, const char *const *names, const float *details,
                     size_t detail_count)
{
    s->result.run_count = s->result.array_count = s->result.check_count = s->result.checked_count = 0;
    sample_add_run(s, id, false, false, 1);
    s->runs[0].facts.evaluations = 57;
    memset(s->scores[0], 0, s->result.feature_count * sizeof s->scores[0][0]);
    for (size_t i = 0; i < count; i++)
        s->scores[0][members[i]] = 1;
    sample_add_details(s, 0, names, details, detail_count);
}

bool sample_sink(void *user, const char *bytes, size_t count) { return buffer_append(user, bytes, count); }
