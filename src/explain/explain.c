/*
 * tkr_explain: understand the question, plan, run the methods, check the finding with one real forward pass, record.
 */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "explain/budget.h"
#include "explain/external_question.h"
#include "explain/record.h"
#include "explain/relevance.h"

/* The inputs of one question: one, or for a contrast of answers that need inputs of their own one a side. */
typedef struct sides {
    question q[2];
    scorer *scorer[2];
    run_plan_sizes sizes[2];
    size_t count;
    const char **left_out; /* [left_out_count] method of "all" or "fast", and why it cannot be asked, in turns */
    size_t left_out_count;
} sides;

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

static void undefine(const method_call *c, size_t t, size_t f)
{
    size_t n = c->q->feature_count;
    c->scores[t * n + f] = (double)NAN;
    if (c->errors)
        c->errors[t * n + f] = (double)NAN;
    for (size_t other = 0; c->pairs && other < n; other++)
        for (size_t turn = 0; turn < 2; turn++) {
            size_t at = t * n * n + (turn ? other * n + f : f * n + other);
            c->pairs[at] = c->pair_errors[at] = (double)NAN;
        }
}

/* Scores that have no meaning: of later outputs, and of what the removal cannot take away. */
static void blank_undefined(const method_call *c)
{
    const question *q = c->q;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t f = 0; f < q->feature_count; f++)
            if (!(c->method->scores_tokens ? question_sees(q, t, f) : question_removes(q, t, f)))
                undefine(c, t, f);
}

static tkr_status make_call(method_call *c, size_t places, tkr_error *error)
{
    const question *q = c->q;
    if (places > 1) {
        c->place_scores = ARENA_NEW(q->arena, double, places * q->target_count * q->length);
        if (!c->place_scores)
            return fail_memory(error, "scores of places", places);
    }
    c->token_scores = ARENA_NEW(q->arena, double, q->target_count * q->length);
    c->scores = ARENA_NEW(q->arena, double, q->target_count * q->feature_count);
    c->base = ARENA_NEW(q->arena, double, q->target_count);
    if (c->method->is_sampled)
        c->errors = ARENA_NEW(q->arena, double, q->target_count * q->feature_count);
    c->value = ARENA_NEW(q->arena, double, q->target_count);
    c->sum = ARENA_NEW(q->arena, double, q->target_count);
    if (c->method->scores_pairs) {
        size_t pairs = q->target_count * q->feature_count * q->feature_count;
        c->pairs = ARENA_NEW(q->arena, double, pairs);
        c->pair_errors = ARENA_NEW(q->arena, double, pairs);
    }
    size_t details = q->target_count * method_details(c->method);
    c->details = details ? ARENA_NEW(q->arena, double, details) : NULL;
    for (size_t i = 0; c->details && i < details; i++)
        c->details[i] = (double)NAN;
    if (!c->id || arena_failed(q->arena))
        return fail_memory(error, "scores", q->length);
    for (size_t t = 0; t < q->target_count; t++) {
        c->base[t] = (double)NAN;
        c->value[t] = q->targets[t].value;
    }
    return TKR_OK;
}

/* Run at each of several places after the other, the first last, so that its numbers are those of the call. */
static tkr_status run_places(method_call *c, size_t places, tkr_error *error)
{
    question here = *c->q;
    const question *all = c->q;
    tkr_status status = TKR_OK;
    size_t count = all->target_count * all->length;
    c->q = &here;
    for (size_t k = places; !status && k-- > 0;) {
        question_choose(&here, k);
        here.at = here.clean->place_names[k];
        memset(c->token_scores, 0, count * sizeof *c->token_scores);
        status = c->method->run(c, error);
        memcpy(c->place_scores + k * count, c->token_scores, count * sizeof *c->token_scores);
    }
    c->q = all;
    return status;
}

/* One side by one method. */
static tkr_status run_side(method_call *c, tkr_error *error)
{
    size_t places = c->method->needs == NEEDS_GRADIENT ? c->q->clean->place_count : 1;
    tkr_status status = make_call(c, places, error);
    if (!status)
        status = places == 1 || c->method->is_local ? c->method->run(c, error) : run_places(c, places, error);
    if (!status && c->method->scores_tokens)
        sum_features(c->q, c->token_scores, c->scores, &c->special, &c->special_count);
    if (!status)
        status = check_finite(c, error);
    for (size_t t = 0; !status && t < c->q->target_count; t++)
        c->sum[t] = method_sum(c, t);
    if (!status)
        blank_undefined(c);
    return status;
}

/* a - b, exact for all methods that are linear in f. */
static void subtract(method_call *a, const method_call *b)
{
    for (size_t i = 0; i < a->q->feature_count; i++)
        a->scores[i] -= b->scores[i];
    for (size_t i = 0; a->ledger && i < RELEVANCE_PART_COUNT; i++)
        a->ledger[i] -= b->ledger[i];
    for (size_t i = 0; a->pairs && i < a->q->feature_count * a->q->feature_count; i++) {
        a->pairs[i] -= b->pairs[i];
        a->pair_errors[i] = hypot(a->pair_errors[i], b->pair_errors[i]);
    }
    a->is_exact = a->is_exact && b->is_exact;
    for (size_t i = 0; a->errors && i < a->q->feature_count; i++) /* as if the draws of the two sides were independent */
        a->errors[i] = hypot(a->errors[i], b->errors[i]);
    a->base[0] -= b->base[0];
    a->value[0] -= b->value[0];
    a->sum[0] -= b->sum[0];
    a->special -= b->special;
    a->evaluations += b->evaluations;
    a->forward += b->forward;
    a->backward += b->backward;
}

static tkr_status run_method(const sides *s, const method_spec *spec, tkr_result *r, tkr_error *error)
{
    arena_mark mark = arena_get_mark(s->q[0].arena);
    const char *id = result_text(r, view_of(spec->id));
    method_call calls[2];
    double begun = clock_seconds();
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < s->count; i++) {
        calls[i] = (method_call){.q = &s->q[i], .scorer = s->scorer[i], .method = spec->method, .id = id, .arguments = spec->arguments,
                                 .gradient_sequences = s->sizes[i].gradient_sequences,
                                 .score_sequences = s->sizes[i].score_sequences, .result = r, .special = (double)NAN};
        status = run_side(&calls[i], error);
    }
    if (!status && s->count == 2)
        subtract(&calls[0], &calls[1]);
    if (!status)
        status = record_run(r, &calls[0], clock_seconds() - begun, error);
    arena_release(s->q[0].arena, mark);
    return status;
}

/* ---- the finding's check ---- */

/* Feature that pushes hardest towards the first target; the strongest of any sign when none does; SIZE_MAX: none has a score. */
static size_t top_feature(const tkr_array *scores)
{
    size_t best = SIZE_MAX, strongest = SIZE_MAX;
    for (size_t f = 0; f < scores->axes[1]->size; f++) {
        float now = scores->data[f];
        if (isnan(now))
            continue;
        if (best == SIZE_MAX || now > scores->data[best])
            best = f;
        if (strongest == SIZE_MAX || fabsf(now) > fabsf(scores->data[strongest]))
            strongest = f;
    }
    return best != SIZE_MAX && scores->data[best] > 0 ? best : strongest;
}

/* One side's score of its first target without a feature: the mean over draws where the removal is random. */
static tkr_status score_side_without(const question *q, scorer *from, size_t dropped, score *out, tkr_error *error)
{
    const size_t words = scorer_words(from), draws = check_draws(q);
    uint64_t *masks = NEW(uint64_t, draws * words);
    score *scores = NEW(score, draws * q->target_count);
    uint32_t number[CHECK_DRAWS_MOST];
    tkr_status status = masks && scores ? TKR_OK : fail_memory(error, "the check of the finding", words);
    for (uint32_t d = 0; !status && d < draws; d++) {
        set_fill(masks + d * words, q->feature_count);
        set_drop(masks + d * words, dropped);
        number[d] = d;
    }
    if (!status)
        status = scorer_score(from, "check", masks, number, draws, SCORE_ANSWER, scores, error);
    *out = (score){0};
    for (size_t d = 0; !status && d < draws; d++) {
        out->value += scores[d * q->target_count].value / (double)draws;
        out->probability += scores[d * q->target_count].probability / (double)draws;
    }
    memory_free(masks);
    memory_free(scores);
    return status;
}

/* Score of the first target without one feature. */
static tkr_status score_without(const sides *s, size_t dropped, score *out, tkr_error *error)
{
    score foil = {0};
    tkr_status status = score_side_without(&s->q[0], s->scorer[0], dropped, out, error);
    if (!status && s->count == 2)
        status = score_side_without(&s->q[1], s->scorer[1], dropped, &foil, error);
    out->value -= foil.value;
    return status;
}

static tkr_status check_finding(const sides *s, tkr_result *r, tkr_error *error)
{
    const question *q = &s->q[0];
    tkr_status status = TKR_OK;
    for (size_t m = 0; !status && m < r->run_count; m++) {
        size_t top = top_feature(r->runs[m].scores);
        score without;
        if (top == SIZE_MAX || !question_removes(q, 0, top))
            continue;
        status = score_without(s, top, &without, error);
        bool by_probability = q->link != LINK_NONE && !r->targets[0].foil && measure_has_gradient(q->targets[0].measure);
        tkr_checked checked = {.method = r->runs[m].facts.id,
                               .removal = removal_id(q->removal),
                               .measure = by_probability ? "probability" : measure_id(q->targets[0].measure),
                               .feature = top,
                               .before = by_probability ? q->targets[0].probability : r->targets[0].value,
                               .after = by_probability ? without.probability : without.value};
        if (!status)
            status = result_add_checked(r, checked, error);
    }
    return status;
}

/* ---- all together ---- */

static bool may_leave_out(const method_spec *spec, const tkr_error *error)
{
    return spec->is_by_group && (error->code == TKR_E_USAGE_CAPABILITY || error->code == TKR_E_LIMIT_EVALS || error->code == TKR_E_TIME_DEADLINE);
}

/* A method that nobody named goes without; the result says why. */
static tkr_status leave_out(sides *s, const method_spec *spec, size_t most, tkr_error *error)
{
    arena *a = s->q[0].arena;
    if (!s->left_out)
        s->left_out = ARENA_NEW(a, const char *, 2 * most);
    char *why = arena_copy_text(a, view_of(error->message));
    if (!s->left_out || !why)
        return fail_memory(error, "a list of methods", most);
    s->left_out[2 * s->left_out_count] = spec->method->facts.id;
    s->left_out[2 * s->left_out_count++ + 1] = why;
    tkr_error_clear(error);
    return TKR_OK;
}

static tkr_status run_methods(sides *s, const method_spec *list, size_t count, tkr_result *r, tkr_error *error)
{
    tkr_status status = record_room_for_runs(r, count, error);
    for (size_t i = 0; !status && i < s->count; i++) {
        s->scorer[i] = scorer_new(&s->q[i], s->sizes[i].score_sequences, error);
        status = s->scorer[i] ? TKR_OK : error->code;
    }
    for (size_t i = 0; !status && i < count; i++) {
        status = run_method(s, &list[i], r, error);
        if (status && count > 1 && may_leave_out(&list[i], error))
            status = leave_out(s, &list[i], count, error);
    }
    if (!status)
        status = check_finding(s, r, error);
    for (size_t i = 0; i < s->count; i++)
        scorer_free(s->scorer[i]);
    return status;
}

static bool any_gradient(const method_spec *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].method->needs == NEEDS_GRADIENT)
            return true;
    return false;
}

/* The list of methods.  An external model has a default of its own, and of "all" and "fast" those that suit it. */
static tkr_status read_methods(const tkr_model *m, const char *text, arena *a, method_spec **list, size_t *count, tkr_error *error)
{
    size_t kept = 0;
    tkr_status status = methods_parse(text || !m->score ? text : "occlusion", a, list, count, error);
    for (size_t i = 0; !status && m->score && i < *count; i++) {
        const method_spec *spec = &(*list)[i];
        char what[METHOD_ID_ROOM + 32];
        if (spec->method->needs == NEEDS_FORWARD && !(spec->is_by_group && spec->method->draws_tokens))
            (*list)[kept++] = *spec;
        else if (!spec->is_by_group) {
            snprintf(what, sizeof what, "%s needs %s", spec->method->facts.id, spec->method->facts.needs);
            status = external_refuse(what, error);
            fail_field(error, "methods", -1, 0);
        }
    }
    *count = m->score ? kept : *count;
    return status;
}

/* Understand the question, as two when the sides of a contrast need inputs of their own. */
static tkr_status init_sides(sides *s, tkr_session *session, const tkr_question *asked, arena *a, tkr_error *error)
{
    *s = (sides){.count = 1};
    tkr_status status = question_init(&s->q[0], session, asked, (question_wish){0}, a, error);
    if (status || !targets_need_two_inputs(&s->q[0]))
        return status;
    if (s->q[0].is_deep) {
        fail(error, TKR_E_USAGE_CAPABILITY, "a contrast of two answers that need inputs of their own has no tokens in common inside the layers");
        fail_help(error, "--at word, or one of the two as --target");
        return error->code;
    }
    const side both[2] = {s->q[0].a, s->q[0].foil};
    for (s->count = 0; !status && s->count < 2; s->count++) {
        tkr_question *one = ARENA_NEW(a, tkr_question, 1);
        char *spec = arena_copy_text(a, both[s->count].spec);
        if (!one || !spec)
            return fail_memory(error, "a contrast", sizeof *one);
        *one = *asked;
        one->target = spec;
        one->measure = asked->measure ? asked->measure : measure_id(MEASURE_LOGPROB);
        status = question_init(&s->q[s->count], session, one, (question_wish){0}, a, error);
    }
    s->q[0].asked = asked; /* what is recorded and hashed is what was asked */
    return status;
}

/* Lengths of gradients are not linear in f: those of two inputs make no difference. */
static tkr_status refuse_contrast(const method_spec *spec, tkr_error *error)
{
    fail(error, TKR_E_USAGE_CAPABILITY, "%s has no sign, so it cannot contrast two answers that need inputs of their own",
         spec->method->facts.id);
    fail_help(error, "-M ig, or one of the two as --target");
    fail_field(error, "target", -1, 0);
    return error->code;
}

static tkr_status refuse_site(const question *q, const method *m, tkr_error *error)
{
    buffer can;
    buffer_init(&can, 300);
    for (size_t i = 0; method_at(i); i++)
        if (method_at(i)->at_any_site)
            buffer_format(&can, "%s%s", can.size ? ", " : "inside the layers: ", method_at(i)->facts.id);
    fail(error, TKR_E_USAGE_CAPABILITY, "%s scores the input's words; it says nothing at %s", m->facts.id, QUOTE(view_of(q->at)));
    fail_facts(error, "%s", buffer_ok(&can) ? can.data : "");
    buffer_fini(&can);
    fail_field(error, "at", 0, (int64_t)strlen(q->at));
    return error->code;
}

/* The plans of both sides, one added to the other. */
static tkr_status add_plans(sides *s, const method_spec *list, size_t count, tkr_plan *plan, tkr_error *error)
{
    const tkr_plan begun = *plan;
    tkr_status status = plan_explain(&s->q[0], list, count, plan, &s->sizes[0], error);
    if (status || s->count == 1)
        return status;
    tkr_plan second = begun;
    second.bytes += plan->bytes - plan->bytes_weights - begun.bytes;
    status = plan_explain(&s->q[1], list, count, &second, &s->sizes[1], error);
    plan->bytes = second.bytes;
    plan->bytes_activations += second.bytes_activations;
    plan->bytes_results += second.bytes_results;
    plan->evaluations += second.evaluations;
    plan->forward_rows += second.forward_rows;
    plan->backward_rows += second.backward_rows;
    plan->gflop += second.gflop;
    plan->seconds_estimate += second.seconds_estimate;
    return status;
}

/* init_sides for a plan: what making an output packs on the way is part of it. */
static tkr_status init_planned(sides *s, tkr_session *session, const tkr_question *asked, arena *a, tkr_plan *plan, tkr_error *error)
{
    uint64_t missing = model_missing_packs(session->model);
    tkr_status status = init_sides(s, session, asked, a, error);
    plan->bytes += missing - model_missing_packs(session->model);
    return status;
}

/* Fill in what the question decides.  Can the method be asked? */
static tkr_status settle(sides *s, method_spec *spec, tkr_error *error)
{
    const method *m = spec->method;
    if (s->q[0].is_deep && !m->at_any_site)
        return refuse_site(&s->q[0], m, error);
    if (s->count == 2 && !method_is_signed(m, &spec->arguments))
        return refuse_contrast(spec, error);
    if (m->needs == NEEDS_GRADIENT && question_check_gradient(&s->q[0], m->facts.id, error))
        return error->code;
    if (m->settle)
        m->settle(&s->q[0], &spec->arguments);
    for (size_t k = 0; m->check && k < s->count; k++)
        if (m->check(&s->q[k], &spec->arguments, error))
            return error->code;
    return TKR_OK;
}

static tkr_status settle_methods(sides *s, method_spec *list, size_t *count, tkr_error *error)
{
    size_t asked = *count, kept = 0;
    for (size_t i = 0; i < asked; i++) {
        if (!settle(s, &list[i], error))
            list[kept++] = list[i];
        else if (!may_leave_out(&list[i], error) || (i + 1 == asked && kept == 0) || leave_out(s, &list[i], asked, error))
            return error->code;
    }
    *count = kept;
    return TKR_OK;
}

static tkr_status record_left_out(const sides *s, tkr_result *r, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < s->left_out_count; i++) {
        char help[METHOD_ID_ROOM + 8];
        snprintf(help, sizeof help, "-M %s", s->left_out[2 * i]);
        status = result_add_warning(r, "method.left_out", s->left_out[2 * i], s->left_out[2 * i + 1], help, error);
    }
    return status;
}

static tkr_status plan_sides(sides *s, method_spec *list, size_t *asked, tkr_plan *plan, tkr_error *error)
{
    if (settle_methods(s, list, asked, error))
        return error->code;
    const size_t count = *asked;
    const tkr_plan begun = *plan;
    tkr_status status = add_plans(s, list, count, plan, error);
    if (status != TKR_E_LIMIT_MEMORY || s->q[0].most_seeds == 1)
        return status;
    s->q[0].most_seeds = s->q[1].most_seeds = 1; /* slower, in less memory */
    *plan = begun;
    tkr_error_clear(error);
    return add_plans(s, list, count, plan, error);
}

static tkr_status run_sides(sides *s, bool gradient, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < s->count; i++)
        status = question_run(&s->q[i], (question_wish){.gradient = gradient}, error);
    return status;
}

/* The result tells of the first side; a second one is its foil. */
static tkr_status record_sides(const sides *s, tkr_result *r, tkr_error *error)
{
    tkr_status status = record_question(r, &s->q[0], error);
    if (status || s->count == 1)
        return status;
    const target *foil = &s->q[1].targets[0];
    r->targets[0].foil = result_text(r, view_of(foil->label));
    r->targets[0].foil_index = foil->term_count == 1 ? foil->terms[0].f.a : -1;
    r->targets[0].value -= foil->value;
    return r->targets[0].foil ? TKR_OK : fail_memory(error, "a target", 1);
}

/* held: heap bytes when the call began. */
static tkr_status explain_in(tkr_session *session, const tkr_question *asked, const char *methods, uint64_t held, arena *a, tkr_result *r,
                             tkr_error *error)
{
    double begun = clock_seconds();
    method_spec *list = NULL;
    size_t count = 0;
    tkr_plan plan = {.bytes = held};
    sides *s = ARENA_NEW(a, sides, 1);
    tkr_status status = s ? read_methods(session->model, methods, a, &list, &count, error) : fail_memory(error, "an explanation", sizeof *s);
    if (!status)
        status = init_planned(s, session, asked, a, &plan, error);
    if (!status)
        status = plan_sides(s, list, &count, &plan, error);
    if (!status)
        status = run_sides(s, any_gradient(list, count), error);
    if (!status)
        status = record_sides(s, r, error);
    if (!status)
        status = run_methods(s, list, count, r, error);
    if (!status)
        status = record_left_out(s, r, error);
    if (!status)
        status = record_identity(r, &s->q[0], methods, error);
    for (size_t i = 0; s && i < 2; i++)
        question_fini(&s->q[i]);
    if (status)
        return status;
    r->seconds_tokenize = s->q[0].seconds_tokenize;
    r->seconds_explain = clock_seconds() - begun - r->seconds_tokenize;
    r->seconds_total = clock_seconds() - begun;
    r->peak_memory = tkr_memory_peak();
    return TKR_OK;
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
    sides *both = a ? ARENA_NEW(a, sides, 1) : NULL;
    tkr_status status = both ? read_methods(s->model, methods, a, &list, &count, error) : fail_memory(error, "the plan", 0);
    if (!status)
        status = init_planned(both, s, asked, a, plan, error);
    if (!status)
        status = plan_sides(both, list, &count, plan, error);
    arena_free(a);
    return status;
}
