/*
 * Sufficient set: the smallest set of features that keeps what the model answers when all others are replaced by random tokens
 * (methods.md 4.9; in the spirit of anchors, Ribeiro, Singh and Guestrin 2018).
 *
 * Greedy: add the feature with which the answer is kept most often over a few draws (equally often: with which the target's mean is
 * nearest to the clean one; then the first), until the answer is kept in `share` of all draws; then drop what is not needed, the same
 * way.  Said to be found only where the lower end of the 95 % interval (Wilson 1927) of the share reaches it.  Draws that choose are
 * others than those that prove, or the proof would be too good.  All sets of a step see the same draws, so that chance is the
 * same for all.  Greedy sets can be larger than needed: nothing is proven about the size.
 *
 * The removal is always `random`, whatever the question's is.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "explain/estimators.h"
#include "explain/perturbation.h"

enum { SCREEN = 20, AT_ONCE = 4096 };

/* How a set did. */
typedef struct tally {
    size_t kept;     /* draws with the clean answer                        */
    double distance; /* of the target's mean from its clean value          */
} tally;

typedef struct keeping {
    const game *g;
    const sufficient_options *o;
    size_t target, limit, asked;
    int32_t clean;         /* what the model answers to the input ...      */
    double clean_value;    /* ... and the target's value                   */
    uint64_t *set;         /* what is kept                                 */
    size_t size;
    bool is_found, is_known; /* share and its interval are of the set now  */
    double share, low, high;
    uint64_t *candidates;  /* [players + 1][words]                         */
    tally *tallies;        /* [players + 1]                                */
    /* what is asked, [AT_ONCE] */
    uint64_t *sets;
    uint32_t *draws;
    double *values;
    int32_t *answers;
} keeping;

static tkr_status keeping_init(keeping *k, const game *g, const sufficient_options *o, tkr_error *error)
{
    size_t share = (size_t)(game_limit(g, (uint64_t)o->evaluations * g->targets) / g->targets); /* each target's own */
    *k = (keeping){.g = g, .o = o, .limit = share > o->draws ? share : o->draws + 1};
    k->set = NEW(uint64_t, g->words);
    k->candidates = NEW(uint64_t, (g->players + 1) * g->words);
    k->tallies = NEW(tally, g->players + 1);
    k->sets = NEW(uint64_t, AT_ONCE * g->words);
    k->draws = NEW(uint32_t, AT_ONCE);
    k->values = NEW(double, AT_ONCE * g->targets);
    k->answers = NEW(int32_t, AT_ONCE * g->targets);
    bool ok = k->set && k->candidates && k->tallies && k->sets && k->draws && k->values && k->answers;
    return ok ? TKR_OK : fail_memory(error, "a search", AT_ONCE);
}

static void keeping_fini(keeping *k)
{
    memory_free(k->set);
    memory_free(k->candidates);
    memory_free(k->tallies);
    memory_free(k->sets);
    memory_free(k->draws);
    memory_free(k->values);
    memory_free(k->answers);
}

/* Tallies of the first `count` candidates over draws [first, first + draws). */
static tkr_status try_candidates(keeping *k, size_t count, size_t first, size_t draws, tkr_error *error)
{
    const game *g = k->g;
    size_t total = count * draws;
    memset(k->tallies, 0, count * sizeof *k->tallies);
    for (size_t done = 0; done < total; done += AT_ONCE) {
        size_t now = total - done < AT_ONCE ? total - done : AT_ONCE;
        for (size_t i = 0; i < now; i++) {
            memcpy(k->sets + i * g->words, k->candidates + (done + i) / draws * g->words, g->words * sizeof *k->sets);
            k->draws[i] = (uint32_t)(first + (done + i) % draws);
        }
        tkr_status status = game_answers(g, k->sets, k->draws, now, k->values, k->answers, error);
        if (status)
            return status;
        for (size_t i = 0; i < now; i++) {
            tally *t = &k->tallies[(done + i) / draws];
            t->kept += k->answers[i * g->targets + k->target] == k->clean;
            t->distance += k->values[i * g->targets + k->target] / (double)draws;
        }
    }
    k->asked += total;
    for (size_t c = 0; c < count; c++)
        k->tallies[c].distance = fabs(k->tallies[c].distance - k->clean_value);
    return TKR_OK;
}

static size_t screen_draws(const keeping *k) { return k->o->draws < SCREEN ? k->o->draws : SCREEN; }

/* Is there enough left to choose among `count` sets and to prove one? */
static bool may_screen(const keeping *k, size_t count)
{
    return k->asked + count * screen_draws(k) + k->o->draws <= k->limit && !game_is_late(k->g);
}

static bool is_promising(const keeping *k, size_t candidate)
{
    return (double)k->tallies[candidate].kept >= k->o->share * (double)screen_draws(k);
}

static size_t best_candidate(const keeping *k, size_t count)
{
    size_t best = 0;
    for (size_t c = 1; c < count; c++) {
        tally a = k->tallies[c], b = k->tallies[best];
        best = a.kept > b.kept || (a.kept == b.kept && a.distance < b.distance) ? c : best;
    }
    return best;
}

static void take(keeping *k, const uint64_t *set)
{
    memmove(k->set, set, k->g->words * sizeof *set);
    k->size = set_size(set, k->g->players);
    k->is_known = false;
}

/* 95 % interval of a share (Wilson 1927). */
static void wilson(size_t kept, size_t draws, double *low, double *high)
{
    const double z = 1.959963984540054, n = (double)draws, share = (double)kept / n;
    double middle = share + z * z / (2 * n), half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)), scale = 1 + z * z / n;
    *low = fmax((middle - half) / scale, 0);
    *high = fmin((middle + half) / scale, 1);
}

/* Candidate 0 over all draws that prove: its share and interval; the set's when it is found. */
static tkr_status prove(keeping *k, bool *is_found, double *share, double *low, double *high, tkr_error *error)
{
    tkr_status status = try_candidates(k, 1, 0, k->o->draws, error);
    if (status)
        return status;
    *share = (double)k->tallies[0].kept / (double)k->o->draws;
    wilson(k->tallies[0].kept, k->o->draws, low, high);
    *is_found = *low >= k->o->share;
    return TKR_OK;
}

/* The same for the set as it is now. */
static tkr_status prove_set(keeping *k, tkr_error *error)
{
    memcpy(k->candidates, k->set, k->g->words * sizeof *k->set);
    tkr_status status = prove(k, &k->is_found, &k->share, &k->low, &k->high, error);
    k->is_known = !status;
    return status;
}

/* The set with each player that is outside, or without each that is inside; returns how many. */
static size_t list_candidates(keeping *k, bool inside)
{
    size_t count = 0;
    for (size_t i = 0; i < k->g->players; i++) {
        uint64_t *to = k->candidates + count * k->g->words;
        if (set_has(k->set, i) != inside)
            continue;
        memcpy(to, k->set, k->g->words * sizeof *to);
        if (inside)
            set_drop(to, i);
        else
            set_add(to, i);
        count++;
    }
    return count;
}

static tkr_status add_greedily(keeping *k, tkr_error *error)
{
    size_t count = 1;
    memcpy(k->candidates, k->set, k->g->words * sizeof *k->set); /* nothing kept may do already */
    while (count > 0 && may_screen(k, count)) {
        tkr_status status = try_candidates(k, count, k->o->draws, screen_draws(k), error);
        size_t best = best_candidate(k, count);
        bool is_hopeful = is_promising(k, best);
        take(k, k->candidates + best * k->g->words);
        if (!status && is_hopeful)
            status = prove_set(k, error);
        if (status || k->is_found)
            return status;
        count = list_candidates(k, false);
    }
    return TKR_OK;
}

/* Without the one that is missed least, while that is enough. */
static tkr_status drop_needless(keeping *k, tkr_error *error)
{
    while (k->is_found && k->size > 0 && may_screen(k, k->size)) {
        size_t count = list_candidates(k, true);
        tkr_status status = try_candidates(k, count, k->o->draws, screen_draws(k), error);
        size_t best = best_candidate(k, count);
        if (status || !is_promising(k, best))
            return status;
        bool is_enough = false;
        double share = 0, low = 0, high = 0;
        memmove(k->candidates, k->candidates + best * k->g->words, k->g->words * sizeof *k->candidates);
        status = prove(k, &is_enough, &share, &low, &high, error);
        if (status || !is_enough)
            return status;
        take(k, k->candidates);
        k->share = share, k->low = low, k->high = high;
        k->is_known = true;
    }
    return TKR_OK;
}

static tkr_status find(keeping *k, tkr_error *error)
{
    set_clear(k->set, k->g->players);
    k->size = 0;
    k->is_found = k->is_known = false;
    set_fill(k->sets, k->g->players);
    tkr_status status = game_answers(k->g, k->sets, NULL, 1, k->values, k->answers, error);
    k->asked = 1;
    k->clean = k->answers[k->target];
    k->clean_value = k->values[k->target];
    if (!status)
        status = add_greedily(k, error);
    if (!status)
        status = drop_needless(k, error);
    return status || k->is_known ? status : prove_set(k, error);
}

tkr_status sufficient(const game *g, const sufficient_options *o, double *members, double *details, tkr_error *error)
{
    keeping k;
    tkr_status status = keeping_init(&k, g, o, error);
    for (size_t t = 0; !status && t < g->targets; t++) {
        double *row = details + t * SUFFICIENT_DETAILS;
        k.target = t;
        status = find(&k, error);
        for (size_t i = 0; !status && i < g->players; i++)
            members[t * g->players + i] = set_has(k.set, i);
        row[SUFFICIENT_FOUND] = k.is_found;
        row[SUFFICIENT_SIZE] = (double)k.size;
        row[SUFFICIENT_SHARE] = k.share;
        row[SUFFICIENT_LOW] = k.low;
        row[SUFFICIENT_HIGH] = k.high;
    }
    keeping_fini(&k);
    return status;
}

/* ---- the method ---- */

enum { SHARE, DRAWS, EVALUATIONS };
static const parameter parameters[] = {
    REAL_PARAMETER("share", 0.95, 0.01, 0.999, "of the draws that must keep the answer"),
    INT_PARAMETER("draws", 200, 1, 100000, "random replacements that prove a set"),
    INT_PARAMETER("evaluations", 20000, 1, 10000000, "at most, for each target"),
    END_PARAMETERS};

static const char *const details[] = {"found", "size", "share", "low", "high", NULL};

static void settle(const question *q, arguments *a)
{
    uint64_t budget = q->session->options.budget_evaluations, share = q->target_count ? budget / q->target_count : budget;
    if (budget > 0 && a->number[EVALUATIONS] > (double)share)
        a->number[EVALUATIONS] = share > 0 ? (double)share : 1;
    if (a->number[EVALUATIONS] <= a->number[DRAWS]) /* one set must be proven */
        a->number[EVALUATIONS] = a->number[DRAWS] + 1;
}

static tkr_status refuse_draws(const arguments *a, double most, tkr_error *error)
{
    size_t draws = (size_t)a->number[DRAWS];
    double low = 0, high = 0;
    for (size_t step = draws; low < a->number[SHARE]; draws += step)
        wilson(draws + step, draws + step, &low, &high);
    char share[NUMBER_ROOM], begins[NUMBER_ROOM];
    fail(error, TKR_E_USAGE_RANGE, "sufficient: %zu draws cannot show a share of %s: if all keep the answer, the 95%% interval begins at %s",
         (size_t)a->number[DRAWS], number_shortest_f64(share, a->number[SHARE]), number_fixed(begins, most, 4));
    fail_help(error, "-M sufficient:draws=%zu", draws);
    fail_field(error, "methods", -1, 0);
    return error->code;
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    if (q->model->score) {
        fail(error, TKR_E_USAGE_CAPABILITY, "sufficient draws from a vocabulary, and an external model shows none");
        fail_help(error, "-M counterfactual");
        return error->code;
    }
    if (q->link == LINK_NONE) {
        fail(error, TKR_E_USAGE_CAPABILITY, "sufficient needs a model that chooses among answers; a single score has none to keep");
        fail_help(error, "-M occlusion");
        return error->code;
    }
    double low = 0, high = 0;
    wilson((size_t)a->number[DRAWS], (size_t)a->number[DRAWS], &low, &high);
    return low >= a->number[SHARE] ? TKR_OK : refuse_draws(a, low, error);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    uint64_t all = (uint64_t)a->number[EVALUATIONS] * targets;
    (void)features;
    return (method_cost){.evaluations = all, .at_once = all < AT_ONCE ? all : AT_ONCE, .forward = all};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return perturbation_held(q, REMOVAL_RANDOM);
}

static tkr_status warn_of_none(const method_call *c, tkr_error *error)
{
    size_t none = 0;
    char count[NUMBER_ROOM];
    for (size_t t = 0; t < c->q->target_count; t++)
        none += !(c->details[t * SUFFICIENT_DETAILS + SUFFICIENT_FOUND] > 0);
    if (none == 0)
        return TKR_OK;
    return method_warn(c, error, "sufficient.none", "more of -M sufficient:evaluations=N, or a lower share=",
                       "%s: for %zu of %zu targets no set was shown to keep the model's answer (%s evaluations); members are those of the largest set tried",
                       c->id, none, c->q->target_count, number_fixed(count, (double)c->evaluations, 0));
}

static tkr_status play_call(game *g, double *members, double *errors, double *more, tkr_error *error)
{
    (void)errors, (void)more;
    const arguments *a = &g->call->arguments;
    sufficient_options o = {.share = a->number[SHARE], .draws = (size_t)a->number[DRAWS], .evaluations = (size_t)a->number[EVALUATIONS]};
    tkr_status status = sufficient(g, &o, members, g->call->details, error);
    if (!status)
        game_write(g, members, NULL, NULL);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    scorer *given = c->scorer, *own = NULL;
    tkr_status status = perturbation_ask_under(c, REMOVAL_RANDOM, &own, error);
    if (!status)
        status = game_run(c, 0, play_call, error);
    if (!status)
        status = warn_of_none(c, error);
    scorer_free(own);
    c->scorer = given;
    return status;
}

const method sufficient_method = {
    .facts = {.id = "sufficient",
              .title = "sufficient set",
              .family = "sets",
              .summary = "a small set of features that keeps the model's answer when all others are random tokens",
              .paper = "after Ribeiro, Singh and Guestrin 2018",
              .needs = "forward passes",
              .cost = "20000 evaluations at most",
              .caveat = "found greedily, so not always the smallest; random tokens are word salad, whatever --removal says"},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .draws_tokens = true,
    .unit = "member",
    .details = details,
    .settle = settle,
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
