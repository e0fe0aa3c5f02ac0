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
        .unit = from_text ? (size_t)word : SIZE_MAX};
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
                                       .chosen_by = "predicted", .index = 1, .foil_index = -1, .position = -1, .value = 2.01,
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
    r->input_count = 1;
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

void sample_plot(sample *s)
{
    static const sample_word words[] = {{"The", 0.05f},  {"plot", -0.31f}, {"is", 0.02f},     {"thin", -1.87f}, {",", 0.09f},
                                        {"but", 0.88f},  {"the", 0.06f},   {"acting", 0.74f}, {"is", 0.11f},    {"superb", 2.91f},
                                        {".", 0.12f}};
    sample_init(s, "The plot is thin, but the acting is superb.", words, sizeof words / sizeof *words);
    s->checked[0] = (tkr_checked){"ig", "mask", "probability", 9, 0.981, 0.44};
    s->result.checked_count = 1;
}

bool sample_sink(void *user, const char *bytes, size_t count) { return buffer_append(user, bytes, count); }
