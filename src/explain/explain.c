/*
 * tkr_explain: understand the question, plan, run the methods, check the finding with one real forward pass, record.
 */
#include <math.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/budget.h"
#include "explain/record.h"

static size_t targets_expected(const question *q)
{
    view spec = view_of(q->asked->target ? q->asked->target : "predicted");
    bool all = view_is(spec, "all") && q->model->task == TKR_TASK_SEQUENCE_CLASSIFICATION;
    return all ? q->outputs : q->reads;
}

/* ---- one method ---- */

/* Token scores summed over features; what lies on other tokens is the special bucket. */
static void sum_features(const question *q, const double *tokens, double *scores, double *special, size_t *special_count)
{
    *special = 0;
    *special_count = 0;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t i = 0; i < q->length; i++) {
            double value = tokens[t * q->length + i];
            if (q->feature_of[i] != UINT32_MAX)
                scores[t * q->feature_count + q->feature_of[i]] += value;
            else if (t == 0) {
                *special += value;
                ++*special_count;
            }
        }
}

static tkr_status check_finite(const method_call *c, tkr_error *error)
{
    for (size_t t = 0; t < c->q->target_count; t++)
        for (size_t f = 0; f < c->q->feature_count; f++)
            if (!isfinite(c->scores[t * c->q->feature_count + f]))
                return fail(error, TKR_E_NUM_FORWARD, "%s: the score of feature %zu is not finite; the model overflows float32 here",
                            c->id, f);
    return TKR_OK;
}

static tkr_status run_method(const question *q, const method_spec *spec, scorer *s, const run_plan_sizes *sizes, tkr_result *r,
                             tkr_error *error)
{
    method_call c = {.q = q, .scorer = s, .method = spec->method, .id = result_text(r, view_of(spec->id)), .arguments = spec->arguments,
                     .gradient_sequences = sizes->gradient_sequences, .result = r};
    double begun = clock_seconds(), special = (double)NAN;
    size_t special_count = 0;
    arena_mark mark = arena_get_mark(q->arena);
    c.token_scores = ARENA_NEW(q->arena, double, q->target_count * q->length);
    c.scores = ARENA_NEW(q->arena, double, q->target_count * q->feature_count);
    c.base = ARENA_NEW(q->arena, double, q->target_count);
    tkr_status status = c.id && c.token_scores && c.scores && c.base ? TKR_OK : fail_memory(error, "scores", q->length);
    for (size_t t = 0; !status && t < q->target_count; t++)
        c.base[t] = (double)NAN;
    if (!status)
        status = spec->method->run(&c, error);
    if (!status && spec->method->scores_tokens)
        sum_features(q, c.token_scores, c.scores, &special, &special_count);
    if (!status)
        status = check_finite(&c, error);
    if (!status)
        status = record_run(r, &c, special, special_count, clock_seconds() - begun, error);
    arena_release(q->arena, mark);
    return status;
}

/* ---- the finding's check ---- */

/* Feature that pushes hardest towards the first target; the strongest of any sign when none does. */
static size_t top_feature(const tkr_array *scores)
{
    size_t best = 0, strongest = 0, n = scores->axes[1]->size;
    for (size_t f = 1; f < n; f++) {
        if (scores->data[f] > scores->data[best])
            best = f;
        if (fabsf(scores->data[f]) > fabsf(scores->data[strongest]))
            strongest = f;
    }
    return scores->data[best] > 0 ? best : strongest;
}

static tkr_status check_finding(const question *q, scorer *s, tkr_result *r, tkr_error *error)
{
    size_t words = scorer_words(s);
    uint64_t *masks = NEW(uint64_t, r->run_count * words);
    score *scores = NEW(score, r->run_count * q->target_count);
    tkr_status status = masks && scores ? TKR_OK : fail_memory(error, "the check of the finding", words);
    for (size_t m = 0; !status && m < r->run_count; m++) {
        coalition_fill(masks + m * words, q->feature_count);
        coalition_drop(masks + m * words, top_feature(r->runs[m].scores));
    }
    if (!status)
        status = scorer_score(s, "check", masks, r->run_count, scores, error);
    bool has_probability = q->link != LINK_NONE;
    for (size_t m = 0; !status && m < r->run_count; m++) {
        const score *without = &scores[m * q->target_count];
        bool by_probability = has_probability && q->targets[0].f.foil < 0;
        tkr_checked checked = {.method = r->runs[m].facts.id,
                               .removal = removal_id(q->removal),
                               .measure = by_probability ? "probability" : measure_id(q->targets[0].f.measure),
                               .feature = top_feature(r->runs[m].scores),
                               .before = by_probability ? q->targets[0].probability : q->targets[0].value,
                               .after = by_probability ? without->probability : without->value};
        status = result_add_checked(r, checked, error);
    }
    memory_free(masks);
    memory_free(scores);
    return status;
}

/* ---- all together ---- */

static tkr_status run_methods(const question *q, const method_spec *list, size_t count, const run_plan_sizes *sizes, tkr_result *r,
                              tkr_error *error)
{
    scorer *s = scorer_new(q, sizes->score_sequences, error);
    if (!s)
        return error->code;
    tkr_status status = record_room_for_runs(r, count, error);
    for (size_t i = 0; !status && i < count; i++)
        status = run_method(q, &list[i], s, sizes, r, error);
    if (!status)
        status = check_finding(q, s, r, error);
    scorer_free(s);
    return status;
}

static bool any_gradient(const method_spec *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].method->needs == NEEDS_GRADIENT)
            return true;
    return false;
}

/* Plan before the clean run: tokens and features are known, targets are counted from the text of the target. */
static tkr_status plan_first(tkr_session *s, const tkr_question *asked, const method_spec *list, size_t count, tkr_plan *plan,
                             run_plan_sizes *sizes, tkr_error *error)
{
    arena *a = arena_new(SIZE_MAX);
    if (!a)
        return fail_memory(error, "the plan", 0);
    question q;
    tkr_status status = question_init(&q, s, asked, (question_wish){.plan_only = true}, a, error);
    if (!status) {
        status = plan_explain(&q, list, count, targets_expected(&q), plan, sizes, error);
        question_fini(&q);
    }
    arena_free(a);
    return status;
}

/* held: heap bytes when the call began. */
static tkr_status explain_in(tkr_session *s, const tkr_question *asked, const char *methods, uint64_t held, arena *a, tkr_result *r,
                             tkr_error *error)
{
    double begun = clock_seconds();
    method_spec *list = NULL;
    size_t count = 0;
    tkr_plan plan = {.bytes = held};
    run_plan_sizes sizes = {0};
    tkr_status status = methods_parse(methods, a, &list, &count, error);
    if (!status)
        status = plan_first(s, asked, list, count, &plan, &sizes, error);
    question q;
    if (!status)
        status = question_init(&q, s, asked, (question_wish){.gradient = any_gradient(list, count)}, a, error);
    if (status)
        return status;
    r->seconds_tokenize = q.seconds_tokenize;
    status = record_question(r, &q, error);
    if (!status)
        status = run_methods(&q, list, count, &sizes, r, error);
    if (!status)
        status = record_identity(r, &q, methods, error);
    question_fini(&q);
    r->seconds_explain = clock_seconds() - begun - r->seconds_tokenize;
    r->seconds_total = clock_seconds() - begun;
    r->peak_memory = tkr_memory_peak();
    return status;
}

static bool arguments_missing(const tkr_session *s, const tkr_question *q, tkr_error *error)
{
    if (s && q)
        return false;
    fail(error, TKR_E_USAGE_ARGUMENT, "no %s was given", s ? "question" : "session");
    return true;
}

tkr_result *tkr_explain(tkr_session *s, const tkr_question *asked, const char *methods, tkr_error *caller)
{
    tkr_error local = {0}, *error = caller ? caller : &local;
    if (arguments_missing(s, asked, error))
        return NULL;
    uint64_t held = tkr_memory_now();
    tkr_result *r = result_new("explanation", error);
    arena *a = r ? arena_new(SIZE_MAX) : NULL;
    tkr_status status = a ? explain_in(s, asked, methods, held, a, r, error) : fail_memory(error, "an explanation", 0);
    arena_free(a);
    if (!status)
        return r;
    tkr_result_free(r);
    return NULL;
}

tkr_status tkr_plan_explain(tkr_session *s, const tkr_question *asked, const char *methods, tkr_plan *plan, tkr_error *caller)
{
    tkr_error local = {0}, *error = caller ? caller : &local;
    if (arguments_missing(s, asked, error))
        return error->code;
    *plan = (tkr_plan){.bytes = tkr_memory_now()};
    arena *a = arena_new(SIZE_MAX);
    method_spec *list = NULL;
    size_t count = 0;
    run_plan_sizes sizes = {0};
    tkr_status status = a ? methods_parse(methods, a, &list, &count, error) : fail_memory(error, "the plan", 0);
    if (!status)
        status = plan_first(s, asked, list, count, plan, &sizes, error);
    arena_free(a);
    return status;
}
