/*
 * Interactions of two features: the Shapley-Taylor index of order 2 (Sundararajan, Dhamdhere, Agarwal 2020; methods.md 4.9).
 *
 *     I_ij = (2 / p) sum over T without i, j of [v(T + i + j) - v(T + i) - v(T + j) + v(T)] / C(p - 1, |T|)
 *     I_ii = v({i}) - v(none)
 *
 * which is, over random orders, the mean of the second difference at T = the features before both.  In every single order the
 * diagonal and the pairs i < j sum to v(all) - v(none).  A feature's score is its diagonal and half of each of its pairs.
 *
 * Exact over all sets, or the mean over random orders: one order is a sample of every pair for p (p - 1) / 2 sets, because the
 * sets "the first a, and one of those after" serve all pairs.
 */
#include <inttypes.h>
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/estimate.h"
#include "explain/every_set.h"
#include "explain/estimators.h"
#include "explain/sampling.h"

/* PLAYERS is no parameter: settled, what cost and held count with. */
enum { EXACT, ORDERS, DRAWS, PLAYERS = PARAMETERS_MOST - 1 };
enum { EXACT_MOST = 16, EVALUATIONS_STANDARD = 2048, EVALUATIONS_MOST = 1 << 20, ORDERS_LEAST = 10 };
static const parameter parameters[] = {
    INT_PARAMETER("exact", 10, 0, 16, "all sets of up to so many features; more are sampled"),
    INT_PARAMETER("orders", 0, 0, 1000000, "random orders, where not all sets are asked; 0: as many as 2048 evaluations pay, 10 at least"),
    INT_PARAMETER("draws", 20, 1, 100000, "replacements that a random removal is averaged over, where all sets are asked"),
    END_PARAMETERS};

/* What is estimated of a target, in one row: pairs [players][players], scores [players], v(none). */
static size_t row_size(size_t p) { return p * p + p + 1; }

/* From the pairs of a row its scores. */
static void fill_scores(double *row, size_t p)
{
    for (size_t i = 0; i < p; i++) {
        double sum = row[i * p + i];
        for (size_t j = 0; j < p; j++)
            sum += j == i ? 0 : row[i * p + j] / 2;
        row[p * p + i] = sum;
    }
}

/* ---- exact ---- */

typedef struct sums {
    const game *g;
    double weight[EXACT_MOST]; /* of a second difference at sets of a size                        */
    compensated *pairs;        /* [targets][players][players], i < j                              */
    double *rows;              /* [targets] rows; on their diagonals v({i}), at their ends v(none) */
} sums;

static void add_set(void *user, uint64_t set, const double *values)
{
    const sums *s = user;
    size_t p = s->g->players, size = (size_t)__builtin_popcountll(set);
    double factor[3] = {size + 2 <= p ? s->weight[size] : 0, size > 0 && size < p ? -s->weight[size - 1] : 0,
                        size > 1 ? s->weight[size - 2] : 0}; /* by how many of i and j it has */
    for (size_t t = 0; t < s->g->targets; t++) {
        double *row = s->rows + t * row_size(p);
        compensated *pairs = s->pairs + t * p * p;
        for (size_t i = 0; i < p; i++)
            for (size_t j = i + 1; j < p; j++)
                compensated_add(&pairs[i * p + j], values[t] * factor[(set >> i & 1) + (set >> j & 1)]);
        if (size == 0)
            row[p * p + p] = values[t];
        if (size == 1)
            row[(size_t)__builtin_ctzll(set) * (p + 1)] = values[t];
    }
}

static tkr_status play_draw(void *user, const game *g, uint32_t draw, double *out, tkr_error *error)
{
    (void)user;
    size_t p = g->players, count = g->targets * p * p;
    sums s = {.g = g, .pairs = NEW(compensated, count), .rows = out};
    if (p > 1)
        s.weight[0] = 2 / (double)p; /* (2 / p) / C(p - 1, t) */
    for (size_t t = 0; t + 2 < p; t++)
        s.weight[t + 1] = s.weight[t] * (double)(t + 1) / (double)(p - 1 - t);
    tkr_status status = s.pairs ? every_set(g, draw, add_set, &s, error) : fail_memory(error, "sums over sets", count);
    for (size_t t = 0; !status && t < g->targets; t++) {
        double *row = out + t * row_size(p);
        for (size_t i = 0; i < p; i++) {
            row[i * p + i] -= row[p * p + p];
            for (size_t j = i + 1; j < p; j++)
                row[i * p + j] = row[j * p + i] = compensated_of(s.pairs[(t * p + i) * p + j]);
        }
        fill_scores(row, p);
    }
    memory_free(s.pairs);
    return status;
}

/* ---- sampled ---- */

/* Sets that an order asks for: the first a = 1 .. p - 2 with one of those after; of a random game also nobody and each alone. */
static size_t sets_an_order(size_t p, bool is_random) { return (p > 2 ? p * (p - 1) / 2 - 1 : 0) + (is_random ? p + 1 : 0); }

/* Sets that all orders share: the ends and each alone. */
static size_t sets_shared(size_t p, bool is_random) { return is_random ? 1 : p + 2; }

static size_t orders_paid(uint64_t budget, size_t p, bool is_random, size_t orders)
{
    uint64_t shared = sets_shared(p, is_random), each = sets_an_order(p, is_random);
    uint64_t paid = each == 0 ? orders : budget > shared ? (budget - shared) / each : 0;
    return budget == 0 || paid >= orders ? orders : paid > 0 ? (size_t)paid : 1;
}

typedef struct walk {
    const game *g;
    size_t an_order, at_once;
    uint32_t *orders, *draws;    /* [at_once][players], [at_once][an_order]                              */
    uint64_t *sets;              /* [at_once][an_order][words]: by a, then by who is after; alone; nobody */
    double *v;                   /* [at_once][an_order][targets]                                         */
    double *alone, *empty, *full; /* [players][targets], [targets], [targets]                            */
    double *row;
    estimate rows;               /* [targets] rows                                                       */
} walk;

/* v of each player alone; not of random games, whose orders have their own. */
static tkr_status ask_alone(walk *w, tkr_error *error)
{
    const game *g = w->g;
    tkr_status status = game_ends(g, 1, w->empty, NULL, w->full, error);
    if (status || g->is_random || g->players == 0)
        return status;
    uint64_t *sets = NEW(uint64_t, g->players * g->words);
    if (!sets)
        return fail_memory(error, "sets of features", g->players);
    for (size_t i = 0; i < g->players; i++)
        set_add(sets + i * g->words, i);
    status = game_values(g, sets, NULL, g->players, w->alone, error);
    memory_free(sets);
    return status;
}

static tkr_status walk_init(walk *w, const game *g, size_t orders, tkr_error *error)
{
    size_t p = g->players, an_order = sets_an_order(p, g->is_random), most = an_order < SETS_AT_ONCE ? SETS_AT_ONCE / (an_order + 1) : 1;
    *w = (walk){.g = g, .an_order = an_order, .at_once = most < 1 ? 1 : most < orders ? most : orders};
    w->orders = NEW(uint32_t, w->at_once * p);
    w->draws = NEW(uint32_t, w->at_once * an_order);
    w->sets = NEW(uint64_t, w->at_once * an_order * g->words);
    w->v = NEW(double, w->at_once * an_order * g->targets);
    w->alone = NEW(double, p * g->targets);
    w->empty = NEW(double, g->targets);
    w->full = NEW(double, g->targets);
    w->row = NEW(double, row_size(p));
    bool ok = estimate_init(&w->rows, g->targets, row_size(p));
    ok = ok && w->orders && w->draws && w->sets && w->v && w->alone && w->empty && w->full && w->row;
    return ok ? ask_alone(w, error) : fail_memory(error, "pairs of features", row_size(p));
}

static void walk_fini(walk *w)
{
    memory_free(w->orders);
    memory_free(w->draws);
    memory_free(w->sets);
    memory_free(w->v);
    memory_free(w->alone);
    memory_free(w->empty);
    memory_free(w->full);
    memory_free(w->row);
    estimate_fini(&w->rows);
}

static void lay_out(walk *w, size_t number, size_t slot)
{
    size_t p = w->g->players, words = w->g->words, at = 0;
    uint32_t *order = w->orders + slot * p;
    uint64_t *sets = w->sets + slot * w->an_order * words;
    game_order(w->g, (uint32_t)number, order);
    for (size_t a = 1; a + 1 < p; a++)
        for (size_t b = a; b < p; b++, at++) {
            set_clear(sets + at * words, p);
            for (size_t k = 0; k < a; k++)
                set_add(sets + at * words, order[k]);
            set_add(sets + at * words, order[b]);
        }
    for (size_t i = 0; w->g->is_random && i <= p; i++, at++) {
        set_clear(sets + at * words, p);
        if (i < p)
            set_add(sets + at * words, i);
    }
    for (size_t k = 0; k < w->an_order; k++)
        w->draws[slot * w->an_order + k] = (uint32_t)number;
}

/* One order of one target: v of sets by places in the order. */
typedef struct view_of_order {
    const walk *w;
    const uint32_t *order;
    const double *v; /* of its first set */
    size_t t;
} view_of_order;

static double alone_of(const view_of_order *o, size_t player)
{
    const game *g = o->w->g;
    return g->is_random ? o->v[(o->w->an_order - g->players - 1 + player) * g->targets] : o->w->alone[player * g->targets + o->t];
}

static double empty_of(const view_of_order *o)
{
    return o->w->g->is_random ? o->v[(o->w->an_order - 1) * o->w->g->targets] : o->w->empty[o->t];
}

/* v of the first a and the one at place b >= a. */
static double with(const view_of_order *o, size_t a, size_t b)
{
    size_t p = o->w->g->players;
    if (a + 1 == p)
        return o->w->full[o->t];
    if (a == 0)
        return alone_of(o, o->order[b]);
    return o->v[((a - 1) * (2 * p - a) / 2 + b - a) * o->w->g->targets];
}

/* v of the first a. */
static double first(const view_of_order *o, size_t a) { return a > 0 ? with(o, a - 1, a - 1) : empty_of(o); }

static void add_order(walk *w, size_t slot)
{
    size_t p = w->g->players;
    for (size_t t = 0; t < w->g->targets; t++) {
        view_of_order o = {.w = w, .order = w->orders + slot * p, .v = w->v + slot * w->an_order * w->g->targets + t, .t = t};
        double *row = w->row;
        for (size_t a = 0; a < p; a++) {
            size_t i = o.order[a];
            row[i * p + i] = (p == 1 ? w->full[t] : alone_of(&o, i)) - empty_of(&o);
            for (size_t b = a + 1; b < p; b++) {
                size_t j = o.order[b];
                row[i * p + j] = row[j * p + i] = with(&o, a + 1, b) - with(&o, a, a) - with(&o, a, b) + first(&o, a);
            }
        }
        row[p * p + p] = empty_of(&o);
        fill_scores(row, p);
        estimate_add(&w->rows, t, row);
    }
}

/* Without noise the diagonal is known, and so is everything of up to two players. */
static bool is_known(const game *g, size_t at)
{
    size_t p = g->players;
    return !g->is_random && (p <= 2 || (at < p * p && at / p == at % p));
}

static void write(const walk *w, double *rows, double *errors)
{
    size_t size = row_size(w->g->players);
    for (size_t at = 0; at < w->g->targets * size; at++) {
        rows[at] = w->rows.mean[at];
        errors[at] = is_known(w->g, at % size) ? 0 : estimate_error(&w->rows, at / size, at % size);
    }
}

/* Are the pairs' errors small enough? */
static bool is_enough(const game *g, const double *rows, const double *errors)
{
    size_t p = g->players;
    for (size_t t = 0; t < g->targets; t++)
        if (estimate_share(rows + t * row_size(p), errors + t * row_size(p), p * p) > g->wanted_error)
            return false;
    return g->wanted_error > 0;
}

static tkr_status sample(const game *g, size_t orders, double *rows, double *errors, size_t *done, tkr_error *error)
{
    size_t planned = orders_paid(g->budget, g->players, g->is_random, orders > 0 ? orders : 1), stride = game_stride(g, planned);
    walk w;
    tkr_status status = walk_init(&w, g, planned, error);
    bool stops = false;
    for (*done = 0; !status && *done < planned && !stops;) {
        size_t now = stride - *done % stride;
        now = now < w.at_once ? now : w.at_once;
        now = now < planned - *done ? now : planned - *done;
        for (size_t k = 0; k < now; k++)
            lay_out(&w, *done + k, k);
        if (w.an_order > 0)
            status = game_values(g, w.sets, w.draws, now * w.an_order, w.v, error);
        for (size_t k = 0; !status && k < now; k++)
            add_order(&w, k);
        if (status)
            break;
        *done += now;
        write(&w, rows, errors);
        stops = *done > 1 && (game_is_late(g) || (*done % SAMPLING_STRIDE == 0 && is_enough(g, rows, errors)));
    }
    walk_fini(&w);
    return status;
}

/* Draws of all sets that are played; 0: orders. */
static size_t exact_draws(uint64_t budget, size_t p, bool is_random, size_t exact, size_t draws)
{
    if (p > exact || p > EXACT_MOST)
        return 0;
    uint64_t wanted = is_random && draws > 0 ? draws : 1, least = wanted < 2 ? 1 : 2, paid = budget / every_set_count(p);
    return (size_t)(budget == 0 || paid >= wanted ? wanted : paid >= least ? paid : 0);
}

/* Rows [targets] of all there is; done: orders walked (0: exact), draws: of all sets. */
static tkr_status play(const game *g, const interactions_options *o, double *rows, double *errors, size_t *done, size_t *draws,
                       tkr_error *error)
{
    *done = 0;
    *draws = exact_draws(g->budget, g->players, g->is_random, o->exact, o->draws);
    if (*draws == 0)
        return sample(g, o->orders, rows, errors, done, error);
    return game_over_draws(g, *draws, g->targets * row_size(g->players), play_draw, NULL, rows, errors, draws, error);
}

tkr_status interactions(const game *g, interactions_options *o, double *pairs, double *pair_errors, double *base, tkr_error *error)
{
    size_t p = g->players, size = row_size(p), draws;
    double *rows = NEW(double, 2 * g->targets * size), *errors = rows ? rows + g->targets * size : NULL;
    tkr_status status = rows ? play(g, o, rows, errors, &o->done, &draws, error) : fail_memory(error, "pairs of features", size);
    for (size_t t = 0; !status && t < g->targets; t++) {
        memcpy(pairs + t * p * p, rows + t * size, p * p * sizeof *pairs);
        memcpy(pair_errors + t * p * p, errors + t * size, p * p * sizeof *pairs);
        base[t] = rows[t * size + p * p + p];
    }
    memory_free(rows);
    return status;
}

/* ---- the method ---- */

static size_t orders_standard(size_t p)
{
    size_t each = p > 2 ? p * (p - 1) / 2 : 1, orders = (EVALUATIONS_STANDARD + each - 1) / each;
    return orders > ORDERS_LEAST ? orders : ORDERS_LEAST;
}

/* What is not used becomes what it stands for: exact=0 walks orders, draws=1 of what is not random. */
static void settle(const question *q, arguments *a)
{
    uint64_t budget = q->session->options.budget_evaluations;
    bool is_random = removal_is_random(q->removal);
    size_t p = game_players(q), draws = exact_draws(budget, p, is_random, (size_t)a->number[EXACT], (size_t)a->number[DRAWS]);
    size_t orders = a->number[ORDERS] > 0 ? (size_t)a->number[ORDERS] : orders_standard(p);
    a->number[PLAYERS] = (double)p;
    if (draws > 0)
        a->number[DRAWS] = (double)draws;
    else
        a->number[EXACT] = 0;
    a->number[ORDERS] = draws > 0 ? 0 : (double)orders_paid(budget, p, is_random, orders);
}

static uint64_t evaluations_of(const arguments *a)
{
    size_t p = (size_t)a->number[PLAYERS];
    if (a->number[PLAYERS] <= a->number[EXACT])
        return every_set_count(p) * (uint64_t)a->number[DRAWS];
    return p + 2 + (uint64_t)a->number[ORDERS] * sets_an_order(p, true);
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    uint64_t needed = evaluations_of(a);
    if (needed <= EVALUATIONS_MOST || q->session->options.budget_evaluations > 0)
        return TKR_OK;
    fail(error, TKR_E_LIMIT_EVALS, "interactions needs %" PRIu64 " evaluations for %zu %s and %zu orders; at most %d unless there is a budget",
         needed, (size_t)a->number[PLAYERS], q->feature_kind, (size_t)a->number[ORDERS], EVALUATIONS_MOST);
    fail_help(error, "-f sentences, or --budget %" PRIu64, needed);
    fail_field(error, "methods", -1, 0);
    return error ? error->code : TKR_E_LIMIT_EVALS;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)features, (void)targets;
    uint64_t all = evaluations_of(a), an_order = sets_an_order((size_t)a->number[PLAYERS], true);
    uint64_t most = an_order < SETS_AT_ONCE ? SETS_AT_ONCE : an_order;
    return (method_cost){.evaluations = all, .at_once = all < most ? all : most, .forward = all};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    size_t p = (size_t)a->number[PLAYERS], an_order = sets_an_order(p, true), sets = an_order < SETS_AT_ONCE ? SETS_AT_ONCE : an_order;
    size_t of_set = (set_words(p) + 2 + q->target_count) * sizeof(double);
    size_t rows = 7 * row_size(p), pairs = 3 * q->feature_count * q->feature_count; /* sums; the call's and the result's */
    return sets * of_set + q->target_count * (p + 2 + rows + pairs) * sizeof(double);
}

/* Rows into the call: pairs of features, scores, base. */
static void write_call(const game *g, const double *rows, const double *errors, double *scores, double *score_errors, double *base)
{
    method_call *c = g->call;
    size_t p = g->players, size = row_size(p), n = c->q->feature_count;
    bool is_exact = true;
    for (size_t t = 0; t < g->targets; t++) {
        const double *row = rows + t * size, *error = errors + t * size;
        for (size_t i = 0; i < p; i++)
            for (size_t j = 0; j < p; j++) {
                size_t at = (t * n + g->feature[i]) * n + g->feature[j];
                c->pairs[at] = row[i * p + j];
                c->pair_errors[at] = error[i * p + j];
                is_exact = is_exact && error[i * p + j] == 0;
            }
        memcpy(scores + t * p, row + p * p, p * sizeof *scores);
        memcpy(score_errors + t * p, error + p * p, p * sizeof *scores);
        base[t] = row[p * p + p];
    }
    game_write(g, scores, score_errors, base);
    c->is_exact = c->is_exact && is_exact;
}

/* rows: two a target, of what is estimated and of its errors; behind them base. */
static tkr_status play_call(game *g, double *scores, double *score_errors, double *rows, tkr_error *error)
{
    arguments *a = &g->call->arguments;
    size_t size = g->targets * row_size(g->players), draws = 1;
    interactions_options o = {.exact = (size_t)a->number[EXACT], .orders = (size_t)a->number[ORDERS], .draws = (size_t)a->number[DRAWS]};
    tkr_status status = play(g, &o, rows, rows + size, &o.done, &draws, error);
    if (!status)
        write_call(g, rows, rows + size, scores, score_errors, rows + 2 * size);
    a->number[o.done > 0 ? ORDERS : DRAWS] = (double)(o.done > 0 ? o.done : draws);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    tkr_status status = game_run(c, 2 * row_size(game_players(c->q)) + 1, play_call, error);
    return status ? status : method_check_completeness(c, "-M interactions:exact=16", error);
}

const method interactions_method = {
    .facts = {.id = "interactions",
              .title = "Shapley-Taylor interactions",
              .family = "shapley",
              .summary = "what two features do together beyond what each does alone, and a feature's own part with half of its pairs",
              .paper = "Sundararajan, Dhamdhere, Agarwal 2020",
              .needs = "forward passes",
              .cost = "2^n evaluations up to 10 features, else n^2 / 2 an order, 2048 in all or 10 orders",
              .caveat = "the diagonal is a feature alone in an empty text; what three features do together is shared out among their pairs",
              .is_signed = true,
              .is_additive = true},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .scores_pairs = true,
    .is_sampled = true,
    .settle = settle,
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
