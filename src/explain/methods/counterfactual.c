/*
 * Counterfactual set: the smallest set of features whose removal changes what the model answers (methods.md 4.9; Martens and
 * Provost 2014 search documents the same way).
 *
 * Greedy first: remove the feature without which the target falls most, given those already removed, until the answer
 * changes; then put back what is not needed, again and again.  Then all sets by size, those of features that counted most alone
 * first, while they are smaller than what was found.  The set is proven smallest when every smaller one was tried.
 *
 * The answer is the model's own (score.answer); the greedy way goes down the target, so it is short where the target is that answer
 * or a contrast with it.  Sets of one size are asked in chunks of a fixed number, so that the choice never depends on a batch.  A
 * removal that is random is looked at under its first draw alone.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/estimators.h"

enum { CHUNK = 256 };

typedef struct search {
    const game *g;
    size_t target, limit, asked, room;
    int32_t clean;          /* what the model answers to the input    */
    uint64_t *removed;      /* the set so far                         */
    size_t size;
    bool is_found;
    size_t tried;           /* all sets up to this size were asked    */
    int32_t answer;         /* without the set                        */
    double value;
    double *alone;          /* [players] the target without each      */
    uint32_t *order;        /* [players] by that, the lowest first    */
    /* what is asked, [room] */
    uint64_t *sets;
    double *values;
    int32_t *answers;
} search;

static tkr_status search_init(search *s, const game *g, const counterfactual_options *o, tkr_error *error)
{
    size_t share = (size_t)(game_limit(g, (uint64_t)o->evaluations * g->targets) / g->targets); /* each target's own */
    *s = (search){.g = g, .limit = share > 0 ? share : 1, .room = g->players > CHUNK ? g->players : CHUNK};
    s->removed = NEW(uint64_t, g->words);
    s->alone = NEW(double, g->players);
    s->order = NEW(uint32_t, g->players);
    s->sets = NEW(uint64_t, s->room * g->words);
    s->values = NEW(double, s->room * g->targets);
    s->answers = NEW(int32_t, s->room * g->targets);
    bool ok = s->removed && s->alone && s->order && s->sets && s->values && s->answers;
    return ok ? TKR_OK : fail_memory(error, "a search", s->room);
}

static void search_fini(search *s)
{
    memory_free(s->removed);
    memory_free(s->alone);
    memory_free(s->order);
    memory_free(s->sets);
    memory_free(s->values);
    memory_free(s->answers);
}

/* ---- asking ---- */

static double value_at(const search *s, size_t k) { return s->values[k * s->g->targets + s->target]; }
static bool flips(const search *s, size_t k) { return s->answers[k * s->g->targets + s->target] != s->clean; }

static tkr_status ask(search *s, size_t count, tkr_error *error)
{
    s->asked += count;
    return game_answers(s->g, s->sets, NULL, count, s->values, s->answers, error);
}

static bool may_ask(const search *s, size_t count) { return s->asked + count <= s->limit && !game_is_late(s->g); }

/* Set k is the input without the set so far, but for one player: taken out too, or put back. */
static void lay_out(search *s, size_t k, uint32_t player)
{
    uint64_t *set = s->sets + k * s->g->words;
    set_complement(set, s->removed, s->g->players);
    if (set_has(set, player))
        set_drop(set, player);
    else
        set_add(set, player);
}

/* Of `count` sets the one with the lowest value, the first among equals; only among those that flip when any does. */
static size_t lowest(const search *s, size_t count)
{
    size_t best = 0;
    for (size_t k = 1; k < count; k++) {
        bool better = flips(s, k) == flips(s, best) ? value_at(s, k) < value_at(s, best) : flips(s, k);
        best = better ? k : best;
    }
    return best;
}

/* The set becomes what set k leaves out. */
static void take(search *s, size_t k)
{
    set_complement(s->removed, s->sets + k * s->g->words, s->g->players);
    s->size = set_size(s->removed, s->g->players);
    s->is_found = flips(s, k);
    s->answer = s->answers[k * s->g->targets + s->target];
    s->value = value_at(s, k);
}

/* ---- greedy ---- */

static void sort_players(search *s)
{
    for (uint32_t i = 0; i < s->g->players; i++) {
        size_t at = i;
        for (; at > 0 && s->alone[i] < s->alone[s->order[at - 1]]; at--)
            s->order[at] = s->order[at - 1];
        s->order[at] = i;
    }
}

static tkr_status remove_greedily(search *s, tkr_error *error)
{
    size_t players = s->g->players;
    while (!s->is_found && s->size < players && may_ask(s, players - s->size)) {
        size_t count = 0;
        for (uint32_t i = 0; i < players; i++)
            if (!set_has(s->removed, i))
                lay_out(s, count++, i);
        tkr_status status = ask(s, count, error);
        if (status)
            return status;
        for (size_t k = 0; s->size == 0 && k < count; k++)
            s->alone[k] = value_at(s, k);
        if (s->size == 0) {
            sort_players(s);
            s->tried = 1;
        }
        take(s, lowest(s, count));
    }
    return TKR_OK;
}

/* Put back one that is not needed, the one whose return leaves the target lowest, until all are. */
static tkr_status put_back(search *s, tkr_error *error)
{
    while (s->is_found && s->size > 1 && may_ask(s, s->size)) {
        size_t count = 0;
        for (uint32_t i = 0; i < s->g->players; i++)
            if (set_has(s->removed, i))
                lay_out(s, count++, i);
        tkr_status status = ask(s, count, error);
        size_t best = lowest(s, count);
        if (status || !flips(s, best))
            return status;
        take(s, best);
    }
    return TKR_OK;
}

/* ---- exact ---- */

/* The next choice of k places out of p, in lexicographic order; false past the last. */
static bool next_choice(size_t *places, size_t k, size_t p)
{
    size_t i = k;
    while (i > 0 && places[i - 1] == p - k + i - 1)
        i--;
    if (i == 0)
        return false;
    places[i - 1]++;
    for (; i < k; i++)
        places[i] = places[i - 1] + 1;
    return true;
}

/* All sets of one size, until one flips; is_complete: none does, and all were asked. */
static tkr_status try_size(search *s, size_t size, size_t *places, bool *is_complete, tkr_error *error)
{
    bool more = true;
    for (size_t i = 0; i < size; i++)
        places[i] = i;
    while (more && may_ask(s, 1)) {
        size_t count = 0, most = s->limit - s->asked < CHUNK ? s->limit - s->asked : CHUNK;
        for (; more && count < most; count++) {
            uint64_t *set = s->sets + count * s->g->words;
            set_fill(set, s->g->players);
            for (size_t i = 0; i < size; i++)
                set_drop(set, s->order[places[i]]);
            more = next_choice(places, size, s->g->players);
        }
        tkr_status status = ask(s, count, error);
        if (status)
            return status;
        for (size_t k = 0; k < count; k++)
            if (flips(s, k)) {
                take(s, k);
                return TKR_OK;
            }
    }
    *is_complete = !more;
    return TKR_OK;
}

static tkr_status try_all(search *s, size_t exact, tkr_error *error)
{
    size_t *places = NEW(size_t, exact);
    tkr_status status = places ? TKR_OK : fail_memory(error, "sets", exact);
    bool is_complete = s->tried == 1;
    size_t most = s->is_found ? s->size - 1 : s->g->players;
    for (size_t size = 2; !status && is_complete && size <= exact && size <= most; size++) {
        is_complete = false;
        status = try_size(s, size, places, &is_complete, error);
        s->tried += is_complete;
    }
    memory_free(places);
    return status;
}

/* ---- together ---- */

static tkr_status find(search *s, size_t exact, tkr_error *error)
{
    set_clear(s->removed, s->g->players);
    s->size = s->tried = s->asked = 0;
    s->is_found = false;
    set_fill(s->sets, s->g->players);
    tkr_status status = ask(s, 1, error);
    s->clean = s->answers[s->target];
    if (!status)
        status = remove_greedily(s, error);
    if (!status)
        status = put_back(s, error);
    return status ? status : try_all(s, exact, error);
}

static void report(const search *s, double *members, double *details)
{
    size_t players = s->g->players, smaller = s->is_found ? s->size - 1 : players;
    for (size_t i = 0; i < players; i++)
        members[i] = s->is_found && set_has(s->removed, i);
    details[COUNTERFACTUAL_FOUND] = s->is_found;
    details[COUNTERFACTUAL_SIZE] = s->is_found ? (double)s->size : (double)NAN;
    details[COUNTERFACTUAL_PROVEN] = s->tried >= smaller;
    details[COUNTERFACTUAL_ANSWER] = s->is_found ? s->answer : (double)NAN;
    details[COUNTERFACTUAL_VALUE] = s->is_found ? s->value : (double)NAN;
}

tkr_status counterfactual(const game *g, const counterfactual_options *o, double *members, double *details, tkr_error *error)
{
    search s;
    tkr_status status = search_init(&s, g, o, error);
    for (size_t t = 0; !status && t < g->targets; t++) {
        s.target = t;
        status = find(&s, o->exact < g->players ? o->exact : g->players, error);
        if (!status)
            report(&s, members + t * g->players, details + t * COUNTERFACTUAL_DETAILS);
    }
    search_fini(&s);
    return status;
}

/* ---- the method ---- */

enum { EXACT, EVALUATIONS };
static const parameter parameters[] = {
    INT_PARAMETER("exact", 3, 0, 64, "sets of up to so many features are all tried, as far as the evaluations go"),
    INT_PARAMETER("evaluations", 5000, 1, 1000000, "at most, for each target"),
    END_PARAMETERS};

static const char *const details[] = {"found", "size", "proven", "answer", "value", NULL};

static void settle(const question *q, arguments *a)
{
    uint64_t budget = q->session->options.budget_evaluations;
    uint64_t share = q->target_count ? budget / q->target_count : budget;
    if (budget > 0 && a->number[EVALUATIONS] > (double)share)
        a->number[EVALUATIONS] = share > 0 ? (double)share : 1;
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    (void)a;
    if (q->model->score ? q->model->label_count > 1 : q->link != LINK_NONE)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "counterfactual needs a model that chooses among answers; a single score has none to change");
    fail_help(error, "-M occlusion");
    return error->code;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    uint64_t all = (uint64_t)a->number[EVALUATIONS] * targets;
    return (method_cost){.evaluations = all, .at_once = features > CHUNK ? features : CHUNK, .forward = all};
}

/* One sentence for all targets without a set. */
static tkr_status warn_of_none(const method_call *c, tkr_error *error)
{
    size_t none = 0;
    char count[NUMBER_ROOM];
    for (size_t t = 0; t < c->q->target_count; t++)
        none += !(c->details[t * COUNTERFACTUAL_DETAILS + COUNTERFACTUAL_FOUND] > 0);
    if (none == 0)
        return TKR_OK;
    return method_warn(c, error, "counterfactual.none", "another --removal, or more of -M counterfactual:evaluations=N,exact=K",
                       "%s: for %zu of %zu targets no set of features was found whose removal changes the model's answer (%s evaluations)", c->id,
                       none, c->q->target_count, number_fixed(count, (double)c->evaluations, 0));
}

static tkr_status play_call(game *g, double *members, double *errors, double *more, tkr_error *error)
{
    (void)errors, (void)more;
    const arguments *a = &g->call->arguments;
    counterfactual_options o = {.exact = (size_t)a->number[EXACT], .evaluations = (size_t)a->number[EVALUATIONS]};
    tkr_status status = counterfactual(g, &o, members, g->call->details, error);
    if (!status)
        game_write(g, members, NULL, NULL);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    tkr_status status = game_run(c, 0, play_call, error);
    return status ? status : warn_of_none(c, error);
}

static const char *const aliases[] = {"flip", NULL};

const method counterfactual_method = {
    .facts = {.id = "counterfactual",
              .title = "counterfactual set",
              .family = "sets",
              .summary = "the smallest set of features whose removal changes the model's answer",
              .paper = "Martens and Provost 2014",
              .needs = "forward passes",
              .cost = "5000 evaluations at most",
              .caveat = "one set of possibly many; a text without words is no text that anyone wrote; depends on the removal",
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .unit = "member",
    .details = details,
    .settle = settle,
    .check = check,
    .cost = cost,
    .run = run,
};
