/*
 * Results made by hand for the tests of the presenters: the sentence of the documentation and hostile relatives of it.
 *
 * A sample is plain memory of the test; nothing in it is freed.  Fields may be changed before it is presented.
 */
#ifndef TESTS_PRESENT_SAMPLE_H
#define TESTS_PRESENT_SAMPLE_H

#include <math.h>

#include "base/buffer.h"
#include "explain/result.h"

enum { SAMPLE_FEATURES = 32, SAMPLE_RUNS = 4, SAMPLE_MORE = 6, SAMPLE_TARGETS = 12 };

typedef struct sample {
    tkr_result result;
    char text[4096], output[4096];
    result_token tokens[SAMPLE_FEATURES + 3];
    result_feature features[SAMPLE_FEATURES];
    uint32_t members[SAMPLE_FEATURES];
    char labels[SAMPLE_FEATURES][1024];
    const char *feature_labels[SAMPLE_FEATURES];
    const char *class_labels[2], *target_labels[SAMPLE_TARGETS];
    char target_ids[SAMPLE_TARGETS][24];
    tkr_prediction predictions[2];
    tkr_target_facts targets[SAMPLE_TARGETS];
    result_run runs[SAMPLE_RUNS];
    result_parameter parameters[4];
    tkr_axis target_axis, feature_axis;
    tkr_array arrays[SAMPLE_RUNS], more[SAMPLE_MORE];
    tkr_array *array_list[SAMPLE_RUNS + SAMPLE_MORE];
    tkr_axis part_axes[SAMPLE_MORE];
    char more_names[SAMPLE_MORE][32];
    float more_data[SAMPLE_MORE][SAMPLE_FEATURES * SAMPLE_FEATURES];
    size_t more_count;
    float scores[SAMPLE_RUNS][SAMPLE_TARGETS * SAMPLE_FEATURES];
    char array_names[SAMPLE_RUNS][32];
    tkr_check checks[SAMPLE_RUNS];
    tkr_checked checked[SAMPLE_RUNS];
    tkr_warning warnings[2];
} sample;

/* One word and its score. */
typedef struct sample_word {
    const char *text;
    float score;
} sample_word;

/* A result for `text` whose features are the given words in text order (each looked up after the one before). */
void sample_init(sample *s, const char *text, const sample_word *words, size_t count);
/* The sentence of the documentation: "The plot is thin, but the acting is superb." */
void sample_plot(sample *s);
/* Make the sample a model's output (sequence to sequence): `tokens` of `output` with their probabilities; each is a target and, for
 * the later ones, a feature.  Scores of earlier outputs are 0 until they are set with sample_cell, of later ones undefined. */
void sample_generate(sample *s, const char *output, const sample_word *tokens, size_t count);
/* Score of a feature for a step, of the first method. */
float *sample_cell(sample *s, size_t step, size_t feature);
/* "translate English to German: The house is small.", put out as "Das Haus ist klein." */
void sample_house(sample *s);
/* Keep one step as the only target. */
void sample_keep_step(sample *s, size_t step);
/* One more method over the same features; scores are those of the first times `factor`. */
void sample_add_run(sample *s, const char *id, bool is_signed, bool is_additive, float factor);

/* What a run says beside its scores.  More arrays: "<id>.se" [features], "<id>.pairs" and "<id>.pairs_se" [features][features]
 * (NULL: none), "<id>.details" with names. */
void sample_add_errors(sample *s, size_t run, const float *errors);
void sample_add_pairs(sample *s, size_t run, const float *pairs, const float *errors);
void sample_add_details(sample *s, size_t run, const char *const *names, const float *values, size_t count);
/* The only method's scores become 1 for the given features and 0 for all others: a set, with its details. */
void sample_make_set(sample *s, const char *id, const size_t *members, size_t count, const char *const *names, const float *details,
                     size_t detail_count);

/* Collects output; also a tkr_sink_fn. */
bool sample_sink(void *user, const char *bytes, size_t count);

#endif
