/*
 * Partition SHAP: Owen values over a binary tree of the players (Owen 1977; shap's PartitionExplainer; methods.md 4.7).
 *
 * A joint in a context C (what is kept of everything else) hands what it brings, v(C + all of it) - v(C), to its two
 * branches, each with the other one off and on.  A player's value is the mean of v(C + i) - v(C) over the contexts that arise so:
 * the Shapley value where only orders count in which every branch stays together.
 *
 * Contexts double at every level, so joints wait in a queue, what brings most (over the targets) times its weight first,
 * equals in the order they came; when the budget ends, what waits is divided by the number of players.  The sum is
 * v(N) - v(empty) at any budget.  PARTED joints leave the queue together, so that their sets travel in one batch; shap parts one at
 * a time, so the two divide the last evaluations of a short budget differently.  No two contexts ask for the same set.
 *
 * With room for the exact values the order does not matter: then the newest goes first, which keeps the queue short.
 */
#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/branch_queue.h"
#include "explain/player_tree.h"

enum { PARTED = 16, EXACT_MOST = 1 << 20 };

typedef struct walk {
    const game *g;
    const player_tree *tree;
    int fixed_context;
    uint32_t draw;
    size_t nodes, limit, asked;
    bool newest_first;
    uint64_t *leaves; /* [nodes][words]   */
    double *sizes;    /* [nodes] players  */
    double *credit;   /* [nodes][targets] */
    branch_queue queue;
    uint64_t numbered;
    /* of one round: [2 * PARTED] sets and what they score */
    uint64_t *sets;
    uint32_t *draws;
    double *values;
} walk;

/* ---- parting ---- */

static uint64_t *context_of(const walk *w, size_t slot) { return branch_queue_context(&w->queue, slot); }
static double *ends_of(const walk *w, size_t slot) { return branch_queue_ends(&w->queue, slot); }
static uint32_t branch(const walk *w, uint32_t piece, int which)
{
    return which ? w->tree->right[piece - w->tree->players] : w->tree->left[piece - w->tree->players];
}

static void add_leaves(const walk *w, uint64_t *set, uint32_t piece)
{
    for (size_t i = 0; i < w->g->words; i++)
        set[i] |= w->leaves[piece * w->g->words + i];
}

/* What a piece brings in a context goes to it when it is a player, else it waits.  also: a branch that is kept too, or NULL. */
static void hand_down(walk *w, uint32_t piece, const uint64_t *context, const uint32_t *also, const double *low, const double *high,
                      double share)
{
    size_t targets = w->g->targets;
    if (piece < w->tree->players) {
        for (size_t t = 0; t < targets; t++)
            w->credit[piece * targets + t] += share * (high[t] - low[t]);
        return;
    }
    branch_item it = {.weight = share, .number = w->numbered++, .piece = piece, .slot = branch_queue_slot(&w->queue)};
    memcpy(context_of(w, it.slot), context, w->g->words * sizeof *context);
    if (also)
        add_leaves(w, context_of(w, it.slot), *also);
    memcpy(ends_of(w, it.slot), low, targets * sizeof *low);
    memcpy(ends_of(w, it.slot) + targets, high, targets * sizeof *high);
    for (size_t t = 0; t < targets; t++)
        it.key = fmax(it.key, fabs(high[t] - low[t]) * share);
    if (w->newest_first)
        it.key = (double)it.number;
    branch_queue_push(&w->queue, it);
}

/* parts [2][targets]: v(C + left), v(C + right). */
static void part(walk *w, branch_item it, const double *parts)
{
    size_t targets = w->g->targets;
    const double *none = ends_of(w, it.slot), *both = none + targets, *left = parts, *right = parts + targets;
    const uint64_t *context = context_of(w, it.slot);
    uint32_t l = branch(w, it.piece, 0), r = branch(w, it.piece, 1);
    double share = w->fixed_context < 0 ? it.weight / 2 : it.weight;
    if (w->fixed_context != 1) {
        hand_down(w, l, context, NULL, none, left, share);
        hand_down(w, r, context, NULL, none, right, share);
    }
    if (w->fixed_context != 0) {
        hand_down(w, l, context, &r, right, both, share);
        hand_down(w, r, context, &l, left, both, share);
    }
    for (size_t t = 0; w->fixed_context >= 0 && t < targets; t++) { /* what the two do together stays at the joint */
        double together = both[t] - left[t] - right[t] + none[t];
        w->credit[it.piece * targets + t] += w->fixed_context == 0 ? it.weight * together : -it.weight * together;
    }
    branch_queue_return(&w->queue, it.slot);
}

/* Part the first few of the queue: 2 evaluations each. */
static tkr_status part_round(walk *w, tkr_error *error)
{
    branch_item taken[PARTED];
    size_t room = (w->limit - w->asked) / 2, count = room < PARTED ? room : PARTED, words = w->g->words;
    count = w->queue.count < count ? w->queue.count : count;
    tkr_status status = branch_queue_reserve(&w->queue, 4 * count, error);
    for (size_t k = 0; !status && k < count; k++) {
        taken[k] = branch_queue_pop(&w->queue);
        for (int which = 0; which < 2; which++) {
            uint64_t *set = w->sets + (2 * k + (size_t)which) * words;
            memcpy(set, context_of(w, taken[k].slot), words * sizeof *set);
            add_leaves(w, set, branch(w, taken[k].piece, which));
        }
    }
    if (!status)
        status = game_values(w->g, w->sets, w->draws, 2 * count, w->values, error);
    w->asked += 2 * count;
    for (size_t k = 0; !status && k < count; k++)
        part(w, taken[k], w->values + 2 * k * w->g->targets);
    return status;
}

/* ---- one walk down the tree ---- */

static tkr_status walk_init(walk *w, const game *g, const partition_options *o, tkr_error *error)
{
    *w = (walk){.g = g, .tree = &o->tree, .fixed_context = o->fixed_context, .nodes = player_tree_nodes(&o->tree),
                .queue = {.words = g->words, .targets = g->targets}};
    double exact = player_tree_evaluations(&o->tree, o->fixed_context);
    w->limit = o->evaluations == 0 ? SIZE_MAX : o->evaluations > 2 ? o->evaluations : 2;
    w->newest_first = exact <= (double)w->limit && !(g->seconds > 0);
    w->leaves = NEW(uint64_t, w->nodes * g->words);
    w->sizes = NEW(double, w->nodes);
    w->credit = NEW(double, w->nodes * g->targets);
    w->sets = NEW(uint64_t, 2 * PARTED * (g->words + 1));
    w->draws = NEW(uint32_t, 2 * PARTED);
    w->values = NEW(double, 2 * PARTED * g->targets);
    if (!w->leaves || !w->sizes || !w->credit || !w->sets || !w->draws || !w->values)
        return fail_memory(error, "a tree of players", w->nodes);
    for (uint32_t piece = 0; piece < w->nodes; piece++) {
        uint64_t *set = w->leaves + piece * g->words;
        for (int which = 0; piece >= g->players && which < 2; which++)
            add_leaves(w, set, branch(w, piece, which));
        if (piece < g->players)
            set_add(set, piece);
        w->sizes[piece] = (double)set_size(set, g->players);
    }
    return branch_queue_reserve(&w->queue, 2 * PARTED, error);
}

static void walk_fini(walk *w)
{
    memory_free(w->leaves);
    memory_free(w->sizes);
    memory_free(w->credit);
    branch_queue_fini(&w->queue);
    memory_free(w->sets);
    memory_free(w->draws);
    memory_free(w->values);
}

/* Divide what was not parted; values [targets][players].  shared_out [targets]: its share of all credit is added. */
static void settle_credit(walk *w, double *values, double *shared_out)
{
    size_t targets = w->g->targets, players = w->g->players;
    while (w->queue.count > 0) {
        branch_item it = branch_queue_pop(&w->queue);
        const double *low = ends_of(w, it.slot);
        for (size_t t = 0; t < targets; t++)
            w->credit[it.piece * targets + t] += it.weight * (low[targets + t] - low[t]);
    }
    for (size_t t = 0; t < targets; t++) {
        double shared = 0, all = 0;
        for (size_t piece = 0; piece < w->nodes; piece++) {
            double size = fabs(w->credit[piece * targets + t]);
            shared += piece >= players ? size : 0;
            all += size;
        }
        shared_out[t] += all > 0 ? shared / all : 0;
        for (size_t piece = w->nodes; piece-- > players;)
            for (int which = 0; which < 2; which++) {
                size_t below = branch(w, (uint32_t)piece, which);
                w->credit[below * targets + t] += w->credit[piece * targets + t] * w->sizes[below] / w->sizes[piece];
            }
        for (size_t i = 0; i < players; i++)
            values[t * players + i] = w->credit[i * targets + t];
    }
}

/* All walks: one, or one a draw. */
typedef struct walks {
    partition_options *o;
    double *base;       /* [targets] sums of v(empty)          */
    double *shared_out; /* [targets] sums                      */
} walks;

static tkr_status walk_once(void *user, const game *g, uint32_t draw, double *out, tkr_error *error)
{
    walks *all = user;
    walk w;
    tkr_status status = walk_init(&w, g, all->o, error);
    for (size_t i = 0; !status && i < 2 * PARTED; i++)
        w.draws[i] = draw;
    if (!status) { /* v(empty), v(N): with no players they are the same set */
        memset(w.sets, 0, 2 * g->words * sizeof *w.sets);
        set_fill(w.sets + g->words, g->players);
        status = game_values(g, w.sets, w.draws, g->players ? 2 : 1, w.values, error);
        w.asked = g->players ? 2 : 1;
    }
    for (size_t t = 0; !status && t < g->targets; t++)
        all->base[t] += w.values[t];
    if (!status && g->players)
        hand_down(&w, (uint32_t)w.nodes - 1, w.sets, NULL, w.values, w.values + g->targets, 1);
    while (!status && w.queue.count > 0 && w.limit - w.asked >= 2 && !game_is_late(g))
        status = part_round(&w, error);
    all->o->done += w.asked;
    all->o->is_complete = all->o->is_complete && w.queue.count == 0;
    if (!status)
        settle_credit(&w, out, all->shared_out);
    walk_fini(&w);
    return status;
}

/* What a budget of evaluations leaves: of each walk at most half where there are draws, so that there is an error. */
static void pay(uint64_t budget, bool is_random, size_t *evaluations, size_t *draws)
{
    uint64_t most = is_random && *draws > 1 ? budget / 2 : budget;
    if (budget == 0)
        return;
    if (*evaluations == 0 || *evaluations > most)
        *evaluations = most > 2 ? (size_t)most : 2;
    if (is_random && *draws > budget / *evaluations)
        *draws = budget / *evaluations > 2 ? (size_t)(budget / *evaluations) : 2;
}

tkr_status partition_shap(const game *g, partition_options *o, double *values, double *errors, double *base, tkr_error *error)
{
    partition_options paid = *o;
    double *sums = NEW(double, 2 * g->targets);
    walks all = {.o = &paid, .base = sums, .shared_out = sums ? sums + g->targets : NULL};
    pay(g->budget, g->is_random, &paid.evaluations, &paid.draws);
    paid.done = 0;
    paid.is_complete = true;
    size_t played = 0;
    tkr_status status = sums ? game_over_draws(g, paid.draws, g->targets * g->players, walk_once, &all, values, errors, &played, error)
                             : fail_memory(error, "sums", g->targets);
    for (size_t t = 0; !status && t < g->targets; t++) {
        base[t] = all.base[t] / (double)played;
        if (o->shared_out)
            o->shared_out[t] = all.shared_out[t] / (double)played;
    }
    o->draws = played;
    o->done = paid.done;
    o->is_complete = paid.is_complete;
    memory_free(sums);
    return status;
}

/* ---- the method ---- */

enum { EVALUATIONS, TREE, FIXED_CONTEXT, DRAWS };
static const parameter parameters[] = {
    INT_PARAMETER("evaluations", 500, 0, 1048576, "for each draw, both ends among them; 0: as many as the exact values need"),
    CHOICE_PARAMETER("tree", "phrases", "phrases|words|balanced|shap", "what stays together: words, clauses and sentences; words; halves; as in shap"),
    CHOICE_PARAMETER("fixed_context", "none", "none|0|1", "0, 1: branches only with their neighbours off, or on"),
    INT_PARAMETER("draws", 20, 1, 100000, "of a random removal; any other is walked once"),
    END_PARAMETERS};

enum { DETAIL_EVALUATIONS, DETAIL_COMPLETE, DETAIL_SHARED_OUT, DETAILS };
static const char *const details[] = {"evaluations", "complete", "shared_out", NULL};

static int fixed_context(const arguments *a)
{
    return view_is(a->text[FIXED_CONTEXT], "none") ? -1 : view_is(a->text[FIXED_CONTEXT], "1");
}

static void settle(const question *q, arguments *a)
{
    bool is_random = removal_is_random(q->removal);
    size_t evaluations = (size_t)a->number[EVALUATIONS], draws = is_random ? (size_t)a->number[DRAWS] : 1;
    pay(q->session->options.budget_evaluations, is_random, &evaluations, &draws);
    a->number[EVALUATIONS] = (double)evaluations;
    a->number[DRAWS] = (double)draws;
}

static tkr_status tree_of(player_tree *t, const question *q, const arguments *a, tkr_error *error)
{
    uint32_t *list = ARENA_NEW(q->arena, uint32_t, q->feature_count);
    size_t players = 0;
    if (!list)
        return fail_memory(error, "a tree of players", q->feature_count);
    for (size_t f = 0; f < q->feature_count; f++)
        if (!q->is_fixed[f])
            list[players++] = (uint32_t)f;
    return player_tree_make(t, q, list, players, a->text[TREE], q->arena, error);
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    player_tree t;
    if (a->number[EVALUATIONS] > 0)
        return TKR_OK;
    tkr_status status = tree_of(&t, q, a, error);
    double exact = status ? 0 : player_tree_evaluations(&t, fixed_context(a));
    if (status || exact <= EXACT_MOST)
        return status;
    fail(error, TKR_E_LIMIT_EVALS, "partition-shap: exact values of %zu %s over this tree need more than %d evaluations, the most that are made",
         t.players, q->feature_kind, EXACT_MOST);
    fail_help(error, "-M partition-shap:evaluations=2000, tree=balanced, or larger --features");
    return error->code;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)targets;
    double each = a->number[EVALUATIONS], all = features < 20 ? exp2((double)features) : EXACT_MOST;
    uint64_t walk_cost = (uint64_t)(each > 0 && each < all ? each : all), draws = (uint64_t)a->number[DRAWS];
    return (method_cost){.evaluations = walk_cost * draws, .at_once = 2 * PARTED, .forward = walk_cost * draws};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    double each = a->number[EVALUATIONS], all = q->session->options.budget_seconds > 0 ? EXACT_MOST : 2 * PARTED * (double)q->feature_count;
    each = each > 0 ? each : all;
    size_t words = set_words(q->feature_count), item_bytes = sizeof(branch_item) + 8 * (words + 2 * q->target_count + 1);
    return (size_t)(3 * each) * item_bytes + 2 * q->feature_count * 8 * (words + q->target_count + 1);
}

static void write_details(method_call *c, const partition_options *o)
{
    for (size_t t = 0; t < c->q->target_count; t++) {
        double *row = c->details + t * DETAILS;
        row[DETAIL_EVALUATIONS] = (double)o->done;
        row[DETAIL_COMPLETE] = o->is_complete;
        row[DETAIL_SHARED_OUT] = o->shared_out[t];
    }
    c->arguments.number[EVALUATIONS] = o->draws ? (double)(o->done / o->draws) : 0;
    c->arguments.number[DRAWS] = (double)o->draws;
}

static tkr_status play_call(game *g, double *values, double *errors, double *more, tkr_error *error)
{
    method_call *c = g->call;
    double *base = more;
    partition_options o = {.evaluations = (size_t)c->arguments.number[EVALUATIONS], .fixed_context = fixed_context(&c->arguments),
                           .draws = (size_t)c->arguments.number[DRAWS], .shared_out = more + g->targets};
    tkr_status status = tree_of(&o.tree, c->q, &c->arguments, error);
    if (!status)
        status = partition_shap(g, &o, values, errors, base, error);
    if (status)
        return status;
    game_write(g, values, g->is_random ? errors : NULL, base);
    write_details(c, &o);
    return TKR_OK;
}

static tkr_status run(method_call *c, tkr_error *error) { return game_run(c, 2, play_call, error); }

static const char *const aliases[] = {"owen", "partition", NULL};

const method partition_shap_method = {
    .facts = {.id = "partition-shap",
              .title = "Partition SHAP",
              .family = "shapley",
              .summary = "Owen values: Shapley values over a tree of words, clauses and sentences",
              .paper = "Owen 1977; Lundberg and Lee 2017",
              .needs = "forward passes",
              .cost = "500 evaluations at most",
              .caveat = "depends on the tree; where the budget ends, a branch's credit is divided by the number of its features",
              .is_signed = true,
              .is_additive = true,
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_FORWARD,
    .details = details,
    .is_sampled = true,
    .settle = settle,
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
