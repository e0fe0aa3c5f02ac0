/*
 * Results: named arrays with named axes, and everything needed to judge them.
 *
 * A result owns all it holds; every pointer got from it is borrowed until tkr_result_free.  It is immutable after it was
 * returned and may be read by any number of threads.
 */
#ifndef TOKRAY_RESULT_H
#define TOKRAY_RESULT_H

#include <stdbool.h>
#include <tokray/error.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tkr_result tkr_result;
typedef struct tkr_array tkr_array;
typedef struct tkr_axis tkr_axis;

typedef enum tkr_axis_kind {
    TKR_AXIS_TARGETS,
    TKR_AXIS_FEATURES,
    TKR_AXIS_TOKENS,
    TKR_AXIS_LAYERS,
    TKR_AXIS_HEADS,
    TKR_AXIS_HIDDEN,
    TKR_AXIS_OUTPUTS, /* classes or vocabulary entries */
    TKR_AXIS_PARTS,   /* named parts of a whole        */
} tkr_axis_kind;

TKR_API void tkr_result_free(tkr_result *result);

/* Arrays by name ("ig.scores") or by index; NULL if there is none. */
TKR_API const tkr_array *tkr_result_array(const tkr_result *result, const char *name);
TKR_API const tkr_array *tkr_result_array_at(const tkr_result *result, size_t index);

TKR_API const char *tkr_array_name(const tkr_array *array);
TKR_API const char *tkr_array_unit(const tkr_array *array); /* "logit", "probability", "weight", ... */
TKR_API bool tkr_array_is_signed(const tkr_array *array);
TKR_API size_t tkr_array_rank(const tkr_array *array);
TKR_API size_t tkr_array_extent(const tkr_array *array, size_t dimension);
TKR_API const tkr_axis *tkr_array_axis(const tkr_array *array, size_t dimension);
TKR_API size_t tkr_array_size(const tkr_array *array);       /* number of elements           */
TKR_API const float *tkr_array_f32(const tkr_array *array);  /* row-major, last axis fastest */

TKR_API const char *tkr_axis_name(const tkr_axis *axis);
TKR_API tkr_axis_kind tkr_axis_get_kind(const tkr_axis *axis);
TKR_API size_t tkr_axis_size(const tkr_axis *axis);
/* Label of one entry (the feature's text, the class name, "embeddings"); NULL past the end. */
TKR_API const char *tkr_axis_label(const tkr_axis *axis, size_t index);

/* Text of the output that was generated or given ("" when there is none), and how it ended: "eos", "length", "given" or "". */
TKR_API const char *tkr_result_output(const tkr_result *result, const char **end);

/* What was explained.  kind: "label", "token" (a mask or the next token), "gen" (a step of the output), "output" (the sum over
 * its steps), "start", "end", "span" (question answering).  position: the token it is read at; step: of the output, or -1.
 * Scores of a step are NaN for features that come after it. */
typedef struct tkr_target_facts {
    const char *id, *kind, *label, *foil, *measure, *chosen_by; /* foil: other side of a contrast, or NULL */
    int64_t index, foil_index, position, step;                  /* -1 when there is none                   */
    double value, baseline_value, probability;                  /* NaN when it has none                    */
} tkr_target_facts;
TKR_API bool tkr_result_target(const tkr_result *result, size_t index, tkr_target_facts *facts);

/* The prediction, most probable first.  probability is NaN for regression. */
typedef struct tkr_prediction {
    const char *label;
    size_t index;
    double logit, probability;
} tkr_prediction;
TKR_API bool tkr_result_prediction(const tkr_result *result, size_t index, tkr_prediction *prediction);

/* One method's run. */
typedef struct tkr_run_facts {
    const char *id, *method, *title, *family;
    bool is_signed, is_additive;
    uint64_t evaluations, forward, backward;
    double seconds;
    double base, full, sum, gap; /* additive methods: f(baseline), f(input), sum of scores, relative gap; else NaN */
} tkr_run_facts;
TKR_API bool tkr_result_run(const tkr_result *result, size_t index, tkr_run_facts *facts);

/* A property that was verified on this very result. */
typedef struct tkr_check {
    const char *method, *name;
    double expected, actual, gap, tolerance;
    bool ok;
} tkr_check;
TKR_API bool tkr_result_check(const tkr_result *result, size_t index, tkr_check *check);

/* The one real forward pass behind the finding: what happens without the top feature. */
typedef struct tkr_checked {
    const char *method, *removal, *measure;
    size_t feature;
    double before, after;
} tkr_checked;
TKR_API bool tkr_result_checked(const tkr_result *result, size_t index, tkr_checked *checked);

/* Warnings name their consequence. */
typedef struct tkr_warning {
    const char *code, *method, *message, *help;
} tkr_warning;
TKR_API bool tkr_result_warning(const tkr_result *result, size_t index, tkr_warning *warning);

#ifdef __cplusplus
}
#endif
#endif
