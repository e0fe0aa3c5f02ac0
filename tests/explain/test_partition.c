/*
 * Owen values: on games of numbers against the definition (the mean over all orders in which every branch stays together), at
 * every budget; trees of real sentences; and through tkr_explain, where batches and threads must not matter.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "explain/made.h"
#include "explain/player_tree.h"
#include "explain/toy_game.h"
#include "support/compare.h"

enum { MOST = 64, TEXT_ROOM = 4096 };

/* ---- trees ---- */

typedef struct grown {
    player_tree t;
    uint32_t left[MOST], right[MOST];
} grown;

/* ((0 1) 2) ...: joints as pairs of pieces. */
static void grow(grown *g, size_t players, const uint32_t (*pairs)[2])
{
    for (size_t k = 0; k + 1 < players; k++) {
        g->left[k] = pairs[k][0];
        g->right[k] = pairs[k][1];
    }
    g->t = (player_tree){.players = players, .left = g->left, .right = g->right};
}

/* (0 (1 (2 ...))) */
static void grow_chain(grown *g, size_t players)
{
    for (size_t k = 0; k + 1 < players; k++) {
        g->left[k] = (uint32_t)(players - 2 - k);
        g->right[k] = k ? (uint32_t)(players + k - 1) : (uint32_t)(players - 1);
    }
    g->t = (player_tree){.players = players, .left = g->left, .right = g->right};
}

/* Any tree: two pieces without a parent, joined until one is left. */
static void grow_any(grown *g, size_t players, uint64_t seed)
{
    uint32_t open[2 * MOST];
    size_t count = players;
    for (size_t i = 0; i < players; i++)
        open[i] = (uint32_t)i;
    for (size_t k = 0; k + 1 < players; k++) {
        uint32_t *ends[2] = {&g->left[k], &g->right[k]};
        for (uint32_t which = 0; which < 2; which++, count--) {
            size_t at = random_below((random_key){.seed = seed, .item = which}, k, (uint32_t)count);
            *ends[which] = open[at];
            open[at] = open[count - 1];
        }
        open[count++] = (uint32_t)(players + k);
    }
    g->t = (player_tree){.players = players, .left = g->left, .right = g->right};
}

static uint64_t leaves_of(const player_tree *t, uint32_t piece)
{
    if (piece < t->players)
        return UINT64_C(1) << piece;
    return leaves_of(t, t->left[piece - t->players]) | leaves_of(t, t->right[piece - t->players]);
}

/* The definition by recursion: i's part of v(context + i) - v(context) at a leaf. */
static void owen(const toy_game *g, const player_tree *t, size_t which, uint32_t piece, uint64_t context, double share, double *values)
{
    if (piece < t->players) {
        values[piece] += share * (toy_value(g, context | UINT64_C(1) << piece, which) - toy_value(g, context, which));
        return;
    }
    uint32_t left = t->left[piece - t->players], right = t->right[piece - t->players];
    owen(g, t, which, left, context, share / 2, values);
    owen(g, t, which, left, context | leaves_of(t, right), share / 2, values);
    owen(g, t, which, right, context, share / 2, values);
    owen(g, t, which, right, context | leaves_of(t, left), share / 2, values);
}

typedef struct played {
    double values[2 * MOST], errors[2 * MOST], base[2], shared_out[2];
    partition_options o;
} played;

static played play(toy_game *g, const player_tree *t, size_t evaluations, int fixed_context)
{
    played p = {.o = {.tree = *t, .evaluations = evaluations, .fixed_context = fixed_context, .draws = 8}};
    tkr_error error = {0};
    p.o.shared_out = p.shared_out;
    toy_reset(g);
    if (partition_shap(&g->g, &p.o, p.values, p.errors, p.base, &error))
        fail_msg("%s", error.message);
    return p;
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void assert_values(const char *what, const double *got, const double *want, size_t count)
{
    assert_close_tensor(what, TENSOR(got, count), TENSOR(want, count), TOLERANCE_owen_exact);
}

static const double game3[] = {0, 3, 2, 6, 1, 5, 4, 10}; /* bit i: player i is there */

static void test_partition__knows_the_golden_game(void **state)
{
    (void)state;
    toy_game *g = toy_of(3, game3);
    grown a, b;
    grow(&a, 3, (const uint32_t[][2]){{0, 1}, {3, 2}});
    grow(&b, 3, (const uint32_t[][2]){{1, 2}, {0, 3}});
    assert_values("((1,2),3)", play(g, &a.t, 0, -1).values, (const double[]){4.25, 3.25, 2.5}, 3);
    assert_values("(1,(2,3))", play(g, &b.t, 0, -1).values, (const double[]){4.5, 3.25, 2.25}, 3);
    toy_free(g);
}

static void test_partition__equals_the_recursion_over_any_tree(void **state)
{
    (void)state;
    for (size_t players = 1; players <= 9; players++)
        for (uint64_t seed = 0; seed < 4; seed++) {
            toy_game *g = toy_random(players, 2, seed + 1);
            grown tree;
            double want[2 * MOST] = {0};
            if (seed == 0)
                grow_chain(&tree, players);
            else
                grow_any(&tree, players, seed);
            for (size_t t = 0; t < 2; t++)
                owen(g, &tree.t, t, (uint32_t)player_tree_nodes(&tree.t) - 1, 0, 1, want + t * players);
            played p = play(g, &tree.t, 0, -1);
            assert_values("all", p.values, want, 2 * players);
            assert_true(p.o.is_complete && p.shared_out[0] == 0);
            assert_int_equal(p.o.done, (size_t)player_tree_evaluations(&tree.t, -1));
            assert_int_equal(p.o.done, g->distinct); /* no two contexts ask for the same set */
            played enough = play(g, &tree.t, p.o.done, -1), short_of = play(g, &tree.t, p.o.done - 1, -1);
            assert_true(enough.o.is_complete && (players == 1 || !short_of.o.is_complete));
            assert_memory_equal(enough.values, p.values, sizeof p.values);
            toy_free(g);
        }
}

static void test_partition__chain_needs_all_sets_and_halves_few(void **state)
{
    (void)state;
    grown chain;
    grow_chain(&chain, 10);
    assert_true(player_tree_evaluations(&chain.t, -1) == 1024);
    assert_true(player_tree_evaluations(&chain.t, 0) == 20);
    arena *a = arena_new(SIZE_MAX);
    player_tree halves;
    player_break none[8] = {BREAK_NONE};
    assert_int_equal(player_tree_join(&halves, none, 8, a, NULL), TKR_OK);
    assert_true(player_tree_evaluations(&halves, -1) == 2 + 2 * (1 + 4 + 16));
    arena_free(a);
}

static void test_partition__two_players_share_as_shapley(void **state)
{
    (void)state;
    toy_game *g = toy_random(2, 1, 5);
    grown tree;
    double want[2];
    grow_chain(&tree, 2);
    toy_shapley(g, want);
    for (int fixed = -1; fixed <= 1; fixed++)
        assert_values("p = 2", play(g, &tree.t, 0, fixed).values, want, 2);
    toy_free(g);
}

static double nothing(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)set, (void)which;
    return 3;
}

static void test_partition__one_player_gets_all_and_none_nothing(void **state)
{
    (void)state;
    toy_game *one = toy_of(1, (const double[]){2, 7}), *none = toy_formula_game(0, 1, nothing, NULL);
    grown tree;
    grow_chain(&tree, 1);
    played p = play(one, &tree.t, 500, -1);
    assert_true(p.values[0] == 5 && p.base[0] == 2 && p.o.is_complete && p.o.done == 2);
    played empty = play(none, &(player_tree){0}, 500, -1);
    assert_true(empty.base[0] == 3 && empty.o.done == 1 && empty.o.is_complete);
    toy_free(one);
    toy_free(none);
}

/* INV-S8 */
static void test_partition__adds_up_at_any_budget(void **state)
{
    (void)state;
    toy_game *g = toy_random(8, 2, 3);
    grown tree;
    grow_any(&tree, 8, 2);
    size_t exact = (size_t)player_tree_evaluations(&tree.t, -1);
    for (int fixed = -1; fixed <= 1; fixed++)
        for (size_t budget = 1; budget <= exact + 1; budget++) {
            played p = play(g, &tree.t, budget, fixed);
            double sums[2], want[2];
            for (size_t t = 0; t < 2; t++) {
                sums[t] = sum_of(p.values + t * 8, 8);
                want[t] = toy_value(g, 255, t) - toy_value(g, 0, t);
                assert_true(p.base[t] == toy_value(g, 0, t));
            }
            assert_values("sum", sums, want, 2);
            assert_true(p.o.done <= (budget < 2 ? 2 : budget) && p.o.done == g->questions);
            assert_true(p.o.is_complete == (p.o.done == (size_t)player_tree_evaluations(&tree.t, fixed)));
        }
    toy_free(g);
}

static double additive(const void *user, const uint64_t *set, size_t which)
{
    const double *parts = user;
    double sum = 1 + (double)which;
    for (size_t i = 0; i < 12; i++)
        sum += set_has(set, i) ? parts[i] : 0;
    return sum;
}

static const double parts[12] = {3, -1, 2, 0, 0.5, 0, 1, 1, -4, 0.25, 8, -2};

static void test_partition__parts_of_an_additive_game_are_the_values(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(12, 1, additive, parts);
    for (uint64_t seed = 0; seed < 3; seed++) {
        grown tree;
        grow_any(&tree, 12, seed);
        for (int fixed = -1; fixed <= 1; fixed++)
            assert_values("additive", play(g, &tree.t, 0, fixed).values, parts, 12);
    }
    toy_free(g);
}

/* Before anything else has been parted, a branch's credit is divided by the number of its players. */
static void test_partition__divides_by_size_what_it_did_not_part(void **state)
{
    (void)state;
    toy_game *g = toy_of(3, game3);
    grown a;
    grow(&a, 3, (const uint32_t[][2]){{0, 1}, {3, 2}});
    played none = play(g, &a.t, 2, -1), root = play(g, &a.t, 4, -1);
    assert_values("ends alone", none.values, (const double[]){10 / 3., 10 / 3., 10 / 3.}, 3);
    assert_true(none.shared_out[0] == 1 && !none.o.is_complete);
    assert_values("the root parted", root.values, (const double[]){3.75, 3.75, 2.5}, 3);
    assert_values("shared out", root.shared_out, (const double[]){0.75}, 1);
    toy_free(g);
}

/* By hand: what a joint's branches do together stays with it. */
static void test_partition__follows_one_context(void **state)
{
    (void)state;
    toy_game *g = toy_of(3, game3);
    grown a;
    grow(&a, 3, (const uint32_t[][2]){{0, 1}, {3, 2}});
    assert_values("off", play(g, &a.t, 0, 0).values, (const double[]){4.5, 3.5, 2}, 3);
    assert_values("on", play(g, &a.t, 0, 1).values, (const double[]){4, 3, 3}, 3);
    toy_free(g);
}

/* Players 40 .. 43 of 64 decide together with 41; all others do nothing. */
static double hidden(const void *user, const uint64_t *set, size_t which)
{
    (void)user, (void)which;
    return set_has(set, 41) ? (set_has(set, 40) ? 5 : 3) + (set_has(set, 43) ? 1 : 0) : 0;
}

/* What brings nothing waits: the few branches that matter get the budget.  It goes 4 levels down to them. */
static void test_partition__spends_the_budget_where_it_matters(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(64, 1, hidden, NULL);
    player_break none[64] = {BREAK_NONE};
    arena *a = arena_new(SIZE_MAX);
    player_tree halves;
    assert_int_equal(player_tree_join(&halves, none, 64, a, NULL), TKR_OK);
    played p = play(g, &halves, 700, -1); /* the exact values need 2732 */
    assert_true(!p.o.is_complete && p.shared_out[0] == 0);
    assert_values("40 to 43", &p.values[40], (const double[]){1, 4.5, 0, 0.5}, 4);
    assert_true(sum_of(p.values, 64) > 5.999);
    arena_free(a);
    toy_free(g);
}

static void test_partition__means_over_draws(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(12, 1, additive, parts);
    grown tree;
    grow_any(&tree, 12, 1);
    toy_make_random(g, 0.2);
    played p = play(g, &tree.t, 60, -1);
    assert_true(p.o.draws == 8 && p.o.done == 8 * 60);
    for (size_t i = 0; i < 12; i++)
        assert_true(p.errors[i] > 0);
    double sum = sum_of(p.values, 12) + p.base[0], want = 1 + sum_of(parts, 12);
    assert_values("sum", &sum, &want, 1);
    g->g.budget = 100; /* two walks of 50, or there would be no error */
    played half = play(g, &tree.t, 60, -1);
    assert_true(half.o.draws == 2 && half.o.done == 100 && half.errors[0] > 0);
    toy_free(g);
}

/* Owen values without noise are within the errors of those with it. */
static void test_partition__errors_cover_the_noise(void **state)
{
    (void)state;
    toy_game *g = toy_formula_game(12, 1, additive, parts);
    grown tree;
    grow_any(&tree, 12, 1);
    toy_make_random(g, 0.5);
    played p = {.o = {.tree = tree.t, .fixed_context = 0, .draws = 200}};
    assert_int_equal(partition_shap(&g->g, &p.o, p.values, p.errors, p.base, NULL), TKR_OK);
    double square = 0;
    for (size_t i = 0; i < 12; i++) {
        double off = (p.values[i] - parts[i]) / p.errors[i];
        assert_true(fabs(off) < 4.5);
        square += off * off / 12;
    }
    assert_true(square > 0.2 && square < 2.5);
    toy_free(g);
}

static void test_partition__passes_a_failure_on(void **state)
{
    (void)state;
    toy_game *g = toy_random(6, 1, 1);
    grown tree;
    tkr_error error = {0};
    grow_chain(&tree, 6);
    g->fails_after = 20;
    played p = {.o = {.tree = tree.t, .fixed_context = -1}};
    assert_int_equal(partition_shap(&g->g, &p.o, p.values, p.errors, p.base, &error), TKR_E_CANCELLED);
    toy_free(g);
}

/* ---- trees of texts ---- */

static made sentiment, stories;

static made open_bundled(const char *name, const tkr_session_options *options)
{
    char path[1024];
    made m = {0};
    tkr_error error = {0};
    snprintf(path, sizeof path, "%s/%s", getenv("TOKRAY_MODELS"), name);
    m.model = tkr_model_open(path, NULL, &error);
    m.session = m.model ? tkr_session_new(m.model, options, &error) : NULL;
    if (!m.session)
        fail_msg("%s: %s", name, error.message);
    return m;
}

static int open_models(void **state)
{
    (void)state;
    sentiment = open_bundled("tiny-distilbert-sentiment", NULL);
    stories = open_bundled("tiny-gpt2-stories", NULL);
    return 0;
}

static int close_models(void **state)
{
    (void)state;
    made_close(&sentiment);
    made_close(&stories);
    return 0;
}

static void write_tree(char *out, const question *q, const player_tree *t, uint32_t piece)
{
    size_t used = strlen(out);
    if (piece < t->players) {
        view label = q->features[piece].label;
        snprintf(out + used, TEXT_ROOM - used, "%.*s", (int)label.size, label.data);
        return;
    }
    strcat(out, "(");
    write_tree(out, q, t, t->left[piece - t->players]);
    strcat(out, " ");
    write_tree(out, q, t, t->right[piece - t->players]);
    strcat(out, ")");
}

typedef struct planted {
    arena *a;
    question *q;
    player_tree t;
    player_break *breaks;
} planted;

static planted plant(made *m, tkr_question asked, const char *kind)
{
    planted p = {.a = arena_new(SIZE_MAX)};
    tkr_error error = {0};
    tkr_question *kept = ARENA_NEW(p.a, tkr_question, 1);
    *kept = asked;
    p.q = ARENA_NEW(p.a, question, 1);
    if (question_init(p.q, m->session, kept, (question_wish){0}, p.a, &error))
        fail_msg("%s", error.message);
    uint32_t *all = ARENA_NEW(p.a, uint32_t, p.q->feature_count);
    for (size_t i = 0; i < p.q->feature_count; i++)
        all[i] = (uint32_t)i;
    p.breaks = ARENA_NEW(p.a, player_break, p.q->feature_count);
    player_tree_breaks(p.breaks, p.q, all, p.q->feature_count);
    if (player_tree_make(&p.t, p.q, all, p.q->feature_count, view_of(kind), p.a, &error))
        fail_msg("%s", error.message);
    return p;
}

static void expect_tree(made *m, const char *text, const char *pair, const char *features, const char *kind, const char *want)
{
    char got[TEXT_ROOM] = "";
    tkr_question asked = tkr_question_defaults();
    asked.text = text;
    asked.pair = pair;
    asked.features = features;
    planted p = plant(m, asked, kind);
    write_tree(got, p.q, &p.t, (uint32_t)player_tree_nodes(&p.t) - 1);
    if (strcmp(got, want) != 0)
        fail_msg("%s %s\n  got  %s\n  want %s", kind, text, got, want);
    arena_free(p.a);
}

static void test_partition__words_before_clauses_before_sentences(void **state)
{
    (void)state;
    expect_tree(&sentiment, "Slow, but fine. I like it!", NULL, "words", "phrases", "(((Slow ,) ((but fine) .)) ((I like) (it !)))");
    expect_tree(&sentiment, "Slow, but fine. I like it!", NULL, "words", "balanced", "((((Slow ,) but) (fine .)) ((I like) (it !)))");
    expect_tree(&sentiment, "He said: \"no.\" Then, later; yes", NULL, "words", "phrases",
                "((((He said) :) ((\" no) (. \"))) (((Then ,) (later ;)) yes))");
    expect_tree(&sentiment, "one 3.14 1,000 two", NULL, "words", "phrases", "(((one 3) (. 14)) ((1 ,) (000 two)))");
}

static void test_partition__one_word_is_the_tree(void **state)
{
    (void)state;
    static const char *const kinds[] = {"phrases", "words", "balanced", "shap"};
    for (size_t i = 0; i < 4; i++)
        expect_tree(&sentiment, "good", NULL, "words", kinds[i], "good");
}

static void test_partition__lines_and_texts_part_too(void **state)
{
    (void)state;
    expect_tree(&sentiment, "a b c\nd", NULL, "words", "phrases", "(((a b) c) d)");
    expect_tree(&sentiment, "a", "b. c", "words", "phrases", "(a ((b .) c))");
}

static void test_partition__marks_of_other_scripts(void **state)
{
    (void)state;
    expect_tree(&sentiment, "\xE5\xA5\xBD\xE3\x80\x82\xE5\xA5\xBD\xE5\xA5\xBD\xE5\xA5\xBD", NULL, "words", "phrases",
                "((\xE5\xA5\xBD \xE3\x80\x82) ((\xE5\xA5\xBD \xE5\xA5\xBD) \xE5\xA5\xBD))");
    expect_tree(&sentiment, "\xC3\x87\x61 va, tr\xC3\xA8s bien. Oui", NULL, "words", "phrases",
                "((((\xC3\x87\x61 va) ,) ((tr\xC3\xA8s bien) .)) Oui)");
}

/* Tokens of a word first: byte-level tokens carry the space, word pieces "##". */
static void test_partition__joins_the_tokens_of_a_word_first(void **state)
{
    (void)state;
    static const char *const kinds[] = {"phrases", "words"};
    made *const models[] = {&sentiment, &stories};
    for (size_t m = 0; m < 2; m++)
        for (size_t k = 0; k < 2; k++) {
            tkr_question asked = tkr_question_defaults();
            asked.text = "an unforgettable zylophonist, overwhelmingly so";
            asked.features = "tokens";
            planted p = plant(models[m], asked, kinds[k]);
            size_t inside = 0;
            for (size_t i = 0; i + 1 < p.t.players; i++)
                inside += p.breaks[i] == BREAK_NONE;
            assert_true(inside > 0);
            for (size_t j = 0; j < inside; j++) { /* the first joints are those inside words */
                uint64_t leaves = leaves_of(&p.t, (uint32_t)(p.t.players + j));
                for (size_t i = 0; i + 1 < p.t.players; i++)
                    assert_true(!(leaves >> i & 1 && leaves >> (i + 1) & 1) || p.breaks[i] == BREAK_NONE);
            }
            arena_free(p.a);
        }
}

/* No break inside a branch is stronger than those at its ends, and branches are runs of neighbours. */
static void test_partition__branches_of_sixty_words_end_at_the_strongest_breaks(void **state)
{
    (void)state;
    char text[TEXT_ROOM] = "";
    for (uint64_t i = 0; i < 60; i++) {
        static const char *const ends[] = {"", "", "", ",", ".", ";", "?"};
        strcat(text, i % 3 ? "word" : "other");
        strcat(text, ends[random_below((random_key){.seed = 4}, i, 7)]);
        strcat(text, " ");
    }
    tkr_question asked = tkr_question_defaults();
    asked.text = text;
    planted p = plant(&sentiment, asked, "phrases");
    assert_true(p.t.players > 70);
    uint32_t first[256], last[256];
    for (uint32_t i = 0; i < p.t.players; i++)
        first[i] = last[i] = i;
    for (size_t j = 0; j + 1 < p.t.players; j++) {
        size_t at = p.t.players + j;
        assert_true(p.t.left[j] < at && p.t.right[j] < at);
        assert_int_equal(last[p.t.left[j]] + 1, first[p.t.right[j]]);
        first[at] = first[p.t.left[j]];
        last[at] = last[p.t.right[j]];
        for (uint32_t i = first[at]; i < last[at]; i++) {
            assert_true(first[at] == 0 || p.breaks[i] <= p.breaks[first[at] - 1]);
            assert_true(last[at] + 1 == p.t.players || p.breaks[i] <= p.breaks[last[at]]);
        }
    }
    arena_free(p.a);
}

/* By the scores of methods.md 4.7, worked out by hand. */
static void test_partition__greedy_tree_of_shap(void **state)
{
    (void)state;
    expect_tree(&sentiment, "a b c d", NULL, "words", "shap", "((a b) (c d))");
    /* "," waits: (fine .) and (Slow ,) cost 3 each, as "but" costs 4 with either neighbour; across the comma costs 10 more */
    expect_tree(&sentiment, "Slow, but fine.", NULL, "words", "shap", "((Slow ,) (but (fine .)))");
    /* an apostrophe goes to what it follows, and the ending to both; then both neighbours cost 4 */
    expect_tree(&sentiment, "it isn't bad", NULL, "words", "shap", "((it ((isn ') t)) bad)");
    expect_tree(&sentiment, "a (b c) d", NULL, "words", "shap", "((a (( ((b c) )))) d)");
    expect_tree(&sentiment, "(b) c, d", NULL, "words", "shap", "(((( (b ))) (c ,)) d)"); /* its brackets closed, the first joins before the comma is crossed */
}

/* ---- through tkr_explain ---- */

static const char review[] = "The plot is thin, but the actors are wonderful and I enjoyed it. Go and see it!";

static tkr_result *explain_with(const char *model, const tkr_session_options *options, const char *by, const char *methods)
{
    made m = open_bundled(model, options);
    tkr_question asked = tkr_question_defaults();
    asked.text = review;
    asked.removal = by;
    tkr_result *r = made_explain(&m, &asked, methods);
    made_close(&m);
    return r;
}

static void assert_same_array(const tkr_result *a, const tkr_result *b, const char *name)
{
    const tkr_array *x = tkr_result_array(a, name), *y = tkr_result_array(b, name);
    assert_true(x && y);
    assert_memory_equal(tkr_array_f32(x), tkr_array_f32(y), x->size * sizeof(float));
}

static void test_partition__bits_do_not_depend_on_batches_or_threads(void **state)
{
    (void)state;
    static const char *const removals[] = {"mask", "random"};
    for (size_t k = 0; k < 2; k++) {
        tkr_session_options one = tkr_session_options_defaults(), two = one;
        one.threads = 1;
        two.threads = 2;
        two.batch_rows = 50;
        const char *methods = k ? "partition-shap:evaluations=60,draws=3" : "partition-shap:evaluations=100";
        tkr_result *a = explain_with("tiny-distilbert-sentiment", &one, removals[k], methods);
        tkr_result *b = explain_with("tiny-distilbert-sentiment", &two, removals[k], methods);
        assert_same_array(a, b, "partition-shap.scores");
        assert_same_array(a, b, "partition-shap.details");
        assert_true((tkr_result_array(a, "partition-shap.se") != NULL) == (k == 1));
        if (k == 1)
            assert_same_array(a, b, "partition-shap.se");
        tkr_result_free(a);
        tkr_result_free(b);
    }
}

static void test_partition__says_what_it_did(void **state)
{
    (void)state;
    tkr_session_options options = tkr_session_options_defaults();
    tkr_result *r = explain_with("tiny-distilbert-sentiment", &options, "mask", "partition-shap:evaluations=90");
    const float *d = tkr_array_f32(tkr_result_array(r, "partition-shap.details"));
    tkr_run_facts facts;
    assert_true(tkr_result_run(r, 0, &facts));
    assert_true(d[0] == 90 && d[1] == 0 && d[2] > 0 && d[2] < 1);
    assert_true(facts.evaluations == 90);
    size_t count;
    const float *scores = made_scores(r, "partition-shap.scores", &count);
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)scores[i];
    double full = facts.full - facts.base;
    assert_close_tensor("sum", TENSOR(&sum, 1), TENSOR(&full, 1), TOLERANCE_golden_score);
    tkr_result_free(r);
    options.budget_evaluations = 40;
    r = explain_with("tiny-distilbert-sentiment", &options, "mask", "partition-shap");
    assert_true(tkr_result_run(r, 0, &facts) && facts.evaluations == 40);
    tkr_result_free(r);
}

static void test_partition__exact_values_of_very_many_words_are_refused(void **state)
{
    (void)state;
    model_recipe recipe = made_recipe("bert", MADE_CLASSIFIER, 1);
    recipe.positions = 2100;
    made m = made_open(&recipe, NULL);
    char *text = made_text(&m, 2000, 3);
    tkr_question asked = tkr_question_defaults();
    tkr_error error = {0};
    asked.text = text;
    assert_null(tkr_explain(m.session, &asked, "partition-shap:evaluations=0", &error));
    if (error.code != TKR_E_LIMIT_EVALS || !strstr(error.message, "2000 words"))
        fail_msg("%s: %s", tkr_status_name(error.code), error.message);
    free(text);
    made_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_partition__knows_the_golden_game),
        cmocka_unit_test(test_partition__equals_the_recursion_over_any_tree),
        cmocka_unit_test(test_partition__chain_needs_all_sets_and_halves_few),
        cmocka_unit_test(test_partition__two_players_share_as_shapley),
        cmocka_unit_test(test_partition__one_player_gets_all_and_none_nothing),
        cmocka_unit_test(test_partition__adds_up_at_any_budget),
        cmocka_unit_test(test_partition__parts_of_an_additive_game_are_the_values),
        cmocka_unit_test(test_partition__divides_by_size_what_it_did_not_part),
        cmocka_unit_test(test_partition__follows_one_context),
        cmocka_unit_test(test_partition__spends_the_budget_where_it_matters),
        cmocka_unit_test(test_partition__means_over_draws),
        cmocka_unit_test(test_partition__errors_cover_the_noise),
        cmocka_unit_test(test_partition__passes_a_failure_on),
        cmocka_unit_test(test_partition__words_before_clauses_before_sentences),
        cmocka_unit_test(test_partition__one_word_is_the_tree),
        cmocka_unit_test(test_partition__lines_and_texts_part_too),
        cmocka_unit_test(test_partition__marks_of_other_scripts),
        cmocka_unit_test(test_partition__joins_the_tokens_of_a_word_first),
        cmocka_unit_test(test_partition__branches_of_sixty_words_end_at_the_strongest_breaks),
        cmocka_unit_test(test_partition__greedy_tree_of_shap),
        cmocka_unit_test(test_partition__bits_do_not_depend_on_batches_or_threads),
        cmocka_unit_test(test_partition__says_what_it_did),
        cmocka_unit_test(test_partition__exact_values_of_very_many_words_are_refused),
    };
    return cmocka_run_group_tests_name("partition", tests, open_models, close_models);
}
