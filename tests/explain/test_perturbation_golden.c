/*
 * Methods that remove features against reference numbers in float64: estimators on the tables of all coalitions' values
 * (values.<removal>.<measure>), whose results TOKRAY_ORACLE has, and the whole way through tkr_explain against the same tables,
 * which are in tests/data too.
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
#include "explain/estimators.h"
#include "explain/player_tree.h"
#include "explain/reference.h"
#include "explain/result.h"
#include "explain/toy_game.h"

enum { PLAYERS_MOST = 12, SETS_MOST = 1000 };

/* ---- what a case has ---- */

static const char *removal_of(const reference *r) { return json_string_value(json_object_get(r->perturbation->json, "default_op")); }

/* Token of a player. */
static size_t token_of(const reference *r, size_t player)
{
    return (size_t)json_integer_value(json_array_get(json_object_get(r->perturbation->json, "players"), player));
}

/* The game of all coalitions in a measure; NULL: the case has none. */
static toy_game *table_of(const reference *r, const char *what)
{
    char name[NAME_ROOM];
    tensor values;
    snprintf(name, sizeof name, "values.%s.%s", removal_of(r), what);
    size_t players = json_array_size(json_object_get(r->perturbation->json, "players"));
    if (!golden_find(r->perturbation, name, &values))
        return NULL;
    assert_true(players <= PLAYERS_MOST && values.shape[0] == (size_t)1 << players);
    return toy_of(players, values.f64);
}

/* The same with words as players. */
static toy_game *words_of(const reference *r, const char *what)
{
    const json_t *groups = json_object_get(json_object_get(r->perturbation->json, "words"), "groups");
    toy_game *tokens = table_of(r, what), *words = tokens ? toy_new(json_array_size(groups), 1) : NULL;
    for (uint64_t set = 0; words && set < UINT64_C(1) << words->g.players; set++) {
        uint64_t of_tokens = 0;
        for (size_t w = 0; w < words->g.players; w++)
            for (size_t k = 0; set >> w & 1 && k < json_array_size(json_array_get(groups, w)); k++)
                of_tokens |= UINT64_C(1) << json_integer_value(json_array_get(json_array_get(groups, w), k));
        words->table[set] = tokens->table[of_tokens];
    }
    toy_free(tokens);
    return words;
}

/* Sets of an array of bit masks; how many there are, 0: the case has no such array. */
static size_t sets_of(const reference *r, const char *name, uint64_t sets[SETS_MOST])
{
    tensor array;
    if (!golden_find(r->perturbation, name, &array))
        return 0;
    assert_true(array.shape[0] <= SETS_MOST);
    for (size_t i = 0; i < array.shape[0]; i++)
        sets[i] = (uint64_t)array.f64[i];
    return array.shape[0];
}

/* Against the array prefix + what, where the case has it. */
static void compare(reference *r, const char *prefix, const char *what, const double *got)
{
    char name[NAME_ROOM];
    tensor want;
    snprintf(name, sizeof name, "%s%s", prefix, what);
    if (!golden_find(r->perturbation, name, &want))
        return;
    assert_close_tensor(name, TENSOR(got, want.shape[0]), want, TOLERANCE_golden_table);
    r->compared++;
}

/* Every case; the arrays that are compared are the oracle's alone. */
static void each_of_oracle(reference_fn *fn)
{
    size_t compared = reference_each(fn, 0);
    assert_true(compared > 0 || !golden_root(1));
}

/* ---- Shapley and Banzhaf values ---- */

static void compare_tables(reference *r)
{
    double values[PLAYERS_MOST], errors[PLAYERS_MOST], base[1];
    for (size_t m = 0; m < REFERENCE_MEASURES; m++) {
        const char *what = reference_measures[m];
        toy_game *t = table_of(r, what), *w = words_of(r, what);
        if (!t)
            continue;
        assert_int_equal(exact_shapley(&t->g, 1, values, errors, base, NULL), TKR_OK);
        compare(r, "shapley.", what, values);
        assert_int_equal(exact_shapley(&w->g, 1, values, errors, base, NULL), TKR_OK);
        compare(r, "words.shapley.", what, values);
        banzhaf_options o = {.exact = PLAYERS_MOST};
        assert_int_equal(banzhaf(&t->g, &o, values, errors, NULL), TKR_OK);
        compare(r, "banzhaf.", what, values);
        toy_free(t);
        toy_free(w);
    }
}

static void compare_orders(reference *r)
{
    tensor given;
    uint32_t orders[SETS_MOST];
    double values[PLAYERS_MOST], errors[PLAYERS_MOST], base[1];
    if (!golden_find(r->perturbation, "permutation.orders", &given))
        return;
    for (size_t i = 0; i < given.shape[0] * given.shape[1]; i++)
        orders[i] = (uint32_t)given.f64[i];
    toy_game *t = table_of(r, "logit");
    permutation_options o = {.pairs = given.shape[0], .orders = orders};
    assert_int_equal(permutation_shapley(&t->g, &o, values, errors, base, NULL), TKR_OK);
    compare(r, "permutation.", "logit", values);
    compare(r, "permutation.", "se", errors);
    toy_free(t);
}

static void test_perturbation_golden__shapley_and_banzhaf_values(void **state)
{
    (void)state;
    each_of_oracle(compare_tables);
}

static void test_perturbation_golden__orders_and_their_errors(void **state)
{
    (void)state;
    each_of_oracle(compare_orders);
}

/* ---- regressions on sets ---- */

static void compare_kernel(reference *r)
{
    tensor omega;
    uint64_t sets[SETS_MOST];
    double values[PLAYERS_MOST], errors[PLAYERS_MOST], base[1];
    toy_game *t = table_of(r, "logit");
    kernel_options o = {.sets = sets, .set_count = sets_of(r, "kernelshap.leverage.sets", sets)};
    if (o.set_count > 0) {
        assert_true(golden_find(r->perturbation, "kernelshap.leverage.omega", &omega));
        o.omega = omega.f64;
        assert_int_equal(kernel_shap(&t->g, &o, values, errors, base, NULL), TKR_OK);
        compare(r, "kernelshap.leverage.", "logit", values);
        const json_t *leverage = json_object_get(json_object_get(r->perturbation->json, "kernelshap"), "leverage");
        assert_int_equal(json_is_true(json_object_get(leverage, "full_rank")), !o.is_deficient);
        o = (kernel_options){.sets = sets, .set_count = sets_of(r, "kernelshap.kernel.sets", sets)};
        assert_int_equal(kernel_shap(&t->g, &o, values, errors, base, NULL), TKR_OK);
        compare(r, "kernelshap.kernel.", "logit", values);
        compare(r, "kernelshap.kernel.", "se", errors);
        o = (kernel_options){.samples = (size_t)1 << PLAYERS_MOST};
        assert_int_equal(kernel_shap(&t->g, &o, values, errors, base, NULL), TKR_OK);
        assert_true(o.is_exact);
        compare(r, "shapley.", "logit", values); /* INV-S2 */
    }
    toy_free(t);
}

static void compare_coding(reference *r, const toy_game *t, linear_options o, const char *values_name, const char *errors_name)
{
    double values[PLAYERS_MOST + 1], errors[PLAYERS_MOST], empty[1]; /* the intercept first */
    assert_int_equal(linear_shap(&t->g, &o, values + 1, errors, values, empty, NULL), TKR_OK);
    compare(r, "linear.", values_name, o.coding == LINEAR_INTERCEPT ? values : values + 1);
    tensor want;
    char name[NAME_ROOM];
    snprintf(name, sizeof name, "linear.%s", errors_name ? errors_name : "");
    if (!errors_name || !golden_find(r->perturbation, name, &want))
        return;
    size_t p = t->g.players, first = want.shape[0] - p;
    assert_close_tensor(name, TENSOR(errors, p), TENSOR(want.f64 + first, p), TOLERANCE_golden_table);
    r->compared++;
}

static void compare_linear(reference *r)
{
    uint64_t sets[SETS_MOST];
    toy_game *t = table_of(r, "logit");
    linear_options o = {.sets = sets, .samples = sets_of(r, "linear.sets", sets)};
    if (o.samples > 0) {
        compare_coding(r, t, o, "kept_no_intercept", "kept_no_intercept.se_hc1");
        o.coding = LINEAR_MASKED;
        compare_coding(r, t, o, "masked_no_intercept", "masked_no_intercept.se_hc1");
        o.coding = LINEAR_INTERCEPT;
        compare_coding(r, t, o, "intercept", "intercept.se_hc1");
        o.samples = (size_t)1 << t->g.players;
        assert_true(o.samples <= SETS_MOST);
        for (uint64_t set = 0; set < o.samples; set++)
            sets[set] = set;
        o.coding = LINEAR_KEPT;
        compare_coding(r, t, o, "full.kept_no_intercept", NULL);
        o.coding = LINEAR_MASKED;
        compare_coding(r, t, o, "full.masked_no_intercept", NULL);
    }
    toy_free(t);
}

static void compare_lime(reference *r)
{
    uint64_t sets[SETS_MOST];
    double values[PLAYERS_MOST], errors[PLAYERS_MOST], fit[2];
    lime_options o = {.sets = sets, .samples = sets_of(r, "lime.sets", sets), .width = 0.25 * sqrt(2), .alpha = 1};
    if (o.samples == 0)
        return;
    const json_t *json = json_object_get(r->perturbation->json, "lime");
    const double want[] = {json_number_value(json_object_get(json, "intercept")), json_number_value(json_object_get(json, "weighted_r2"))};
    toy_game *t = table_of(r, json_string_value(json_object_get(json, "target")));
    assert_int_equal(lime(&t->g, &o, values, errors, fit, fit + 1, NULL), TKR_OK);
    compare(r, "lime.", "coef", values);
    assert_close_tensor("lime intercept and weighted_r2", TENSOR(fit, 2), TENSOR(want, 2), TOLERANCE_golden_table);
    toy_free(t);
}

static void test_perturbation_golden__kernel_shap(void **state)
{
    (void)state;
    each_of_oracle(compare_kernel);
}

static void test_perturbation_golden__linear_shap(void **state)
{
    (void)state;
    each_of_oracle(compare_linear);
}

static void test_perturbation_golden__lime(void **state)
{
    (void)state;
    each_of_oracle(compare_lime);
}

/* ---- Owen values over trees of nested pairs ---- */

typedef struct nested {
    player_tree tree;
    uint32_t left[PLAYERS_MOST], right[PLAYERS_MOST];
    size_t used;
} nested;

static uint32_t join_pair(nested *n, const json_t *json)
{
    if (json_is_integer(json))
        return (uint32_t)json_integer_value(json);
    assert_int_equal(json_array_size(json), 2);
    uint32_t left = join_pair(n, json_array_get(json, 0)), right = join_pair(n, json_array_get(json, 1));
    n->left[n->used] = left;
    n->right[n->used] = right;
    return (uint32_t)(n->tree.players + n->used++);
}

static void owen_over(toy_game *t, const player_tree *tree, double *values)
{
    double errors[PLAYERS_MOST], base[1];
    partition_options o = {.tree = *tree, .fixed_context = -1};
    assert_int_equal(partition_shap(&t->g, &o, values, errors, base, NULL), TKR_OK);
    assert_true(o.is_complete);
}

static void owen_of(toy_game *t, const json_t *json, double *values)
{
    nested n = {.tree = {.players = t->g.players, .left = n.left, .right = n.right}};
    join_pair(&n, json);
    assert_int_equal(n.used + 1, t->g.players);
    owen_over(t, &n.tree, values);
}

/* Over the tree that breaks make: NULL: none, halves; else between the groups of players, which are words. */
static void owen_of_breaks(toy_game *t, const json_t *groups, double *values)
{
    arena *a = arena_new(SIZE_MAX);
    player_break breaks[PLAYERS_MOST] = {BREAK_NONE};
    player_tree tree;
    for (size_t w = 0; w < json_array_size(groups); w++) {
        const json_t *group = json_array_get(groups, w);
        breaks[json_integer_value(json_array_get(group, json_array_size(group) - 1))] = BREAK_WORD;
    }
    assert_int_equal(player_tree_join(&tree, breaks, t->g.players, a, NULL), TKR_OK);
    owen_over(t, &tree, values);
    arena_free(a);
}

static void compare_owen(reference *r)
{
    const json_t *trees = json_object_get(json_object_get(r->perturbation->json, "owen"), "trees"), *tree;
    const char *name;
    toy_game *t = table_of(r, "logit");
    json_object_foreach((json_t *)trees, name, tree) {
        char prefix[NAME_ROOM];
        double values[PLAYERS_MOST];
        owen_of(t, tree, values);
        snprintf(prefix, sizeof prefix, "owen.%s.", name);
        compare(r, prefix, "logit", values);
    }
    if (t) {
        double values[PLAYERS_MOST];
        owen_of_breaks(t, json_object_get(json_object_get(r->perturbation->json, "words"), "groups"), values);
        compare(r, "owen.words.", "logit", values);
    }
    toy_free(t);
}

static void test_perturbation_golden__owen_values(void **state)
{
    (void)state;
    each_of_oracle(compare_owen);
}

/* ---- games without a model ---- */

static void read_numbers(const json_t *list, double *out)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        out[i] = json_number_value(json_array_get(list, i));
}

static void compare_nested(toy_game *t, const json_t *json, const char *tree_text, const char *key)
{
    double values[PLAYERS_MOST], want[PLAYERS_MOST];
    json_t *tree = tree_text ? json_loads(tree_text, JSON_DECODE_ANY, NULL) : json_incref(json_object_get(json, "tree"));
    if (json_object_get(json, key)) {
        owen_of(t, tree, values);
        read_numbers(json_object_get(json, key), want);
        assert_close_tensor(key, TENSOR(values, t->g.players), TENSOR(want, t->g.players), TOLERANCE_golden_table);
    }
    json_decref(tree);
}

static void compare_game(const json_t *json)
{
    double table[1 << PLAYERS_MOST], want[PLAYERS_MOST], values[PLAYERS_MOST], errors[PLAYERS_MOST], base[1];
    size_t p = json_array_size(json_object_get(json, "shapley"));
    assert_true(p <= PLAYERS_MOST && json_array_size(json_object_get(json, "values")) == (size_t)1 << p);
    read_numbers(json_object_get(json, "values"), table);
    toy_game *t = toy_of(p, table);
    assert_int_equal(exact_shapley(&t->g, 1, values, errors, base, NULL), TKR_OK);
    read_numbers(json_object_get(json, "shapley"), want);
    assert_close_tensor("shapley", TENSOR(values, p), TENSOR(want, p), TOLERANCE_golden_table);
    banzhaf_options o = {.exact = PLAYERS_MOST};
    assert_int_equal(banzhaf(&t->g, &o, values, errors, NULL), TKR_OK);
    read_numbers(json_object_get(json, "banzhaf"), want);
    assert_close_tensor("banzhaf", TENSOR(values, p), TENSOR(want, p), TOLERANCE_golden_table);
    static const char *const chains[] = {"0", "0", "[0,1]", "[0,[1,2]]", "[0,[1,[2,3]]]", "[0,[1,[2,[3,4]]]]", "[0,[1,[2,[3,[4,5]]]]]"};
    compare_nested(t, json, NULL, "owen_balanced");
    if (p < sizeof chains / sizeof *chains)
        compare_nested(t, json, chains[p], "owen_chain");
    compare_nested(t, json, "[[0,1],2]", "owen_12_3");
    compare_nested(t, json, "[0,[1,2]]", "owen_1_23");
    toy_free(t);
}

static void test_perturbation_golden__toy_games(void **state)
{
    (void)state;
    char path[1024];
    if (!golden_root(1))
        skip();
    snprintf(path, sizeof path, "%s/golden/toys.json", golden_root(1));
    json_t *toys = json_load_file(path, 0, NULL), *games = json_object_get(toys, "games");
    assert_true(json_array_size(games) > 2);
    compare_game(json_object_get(toys, "game3"));
    for (size_t i = 0; i < json_array_size(games); i++)
        compare_game(json_array_get(games, i));
    json_decref(toys);
}

/* ---- the whole way: a model's scores are those of its table ---- */

/* Scores of an array [features] against the table's, good to the values' own tolerance: `largest` of them is compared too. */
static void compare_scores(reference *r, const tkr_result *got, const char *array, const double *want, size_t players, double largest)
{
    const tkr_array *a = tkr_result_array(got, array);
    double here[PLAYERS_MOST + 1], there[PLAYERS_MOST + 1];
    assert_non_null(a);
    for (size_t i = 0; i < players; i++) {
        here[i] = (double)tkr_array_f32(a)[got->tokens[token_of(r, i)].feature];
        there[i] = want[i];
    }
    here[players] = there[players] = largest;
    assert_close_tensor(array, TENSOR(here, players + 1), TENSOR(there, players + 1), TOLERANCE_golden_value);
    r->compared++;
}

/* Row by row; what no removal takes away has NaN in all of its pairs. */
static void compare_pairs(reference *r, const tkr_result *got, const double *want, size_t players, double largest)
{
    const tkr_array *a = tkr_result_array(got, "interactions.pairs");
    assert_non_null(a);
    size_t n = tkr_array_extent(a, 1), numbers = 0;
    double here[PLAYERS_MOST * PLAYERS_MOST + 1], there[PLAYERS_MOST * PLAYERS_MOST + 1];
    for (size_t i = 0; i < players; i++)
        for (size_t j = 0; j < players; j++) {
            size_t row = got->tokens[token_of(r, i)].feature, column = got->tokens[token_of(r, j)].feature;
            here[i * players + j] = (double)tkr_array_f32(a)[row * n + column];
            there[i * players + j] = want[i * players + j];
        }
    here[players * players] = there[players * players] = largest;
    assert_close_tensor("pairs", TENSOR(here, players * players + 1), TENSOR(there, players * players + 1), TOLERANCE_golden_value);
    for (size_t i = 0; i < n * n; i++)
        numbers += isnan(tkr_array_f32(a)[i]) ? 0 : 1;
    assert_int_equal(numbers, players * players);
    r->compared++;
}

static double largest_of(const toy_game *t)
{
    double largest = 0;
    for (size_t set = 0; set < (size_t)1 << t->g.players; set++)
        largest = fmax(largest, fabs(t->table[set]));
    return largest;
}

static void compare_run(reference *r, const char *what)
{
    toy_game *t = table_of(r, what);
    if (!t)
        return;
    size_t p = t->g.players;
    double values[PLAYERS_MOST * PLAYERS_MOST], errors[PLAYERS_MOST * PLAYERS_MOST], base[1], largest = largest_of(t);
    tkr_question q = reference_question(r, what);
    q.removal = removal_of(r);
    tkr_result *got = reference_explain(r, &q, "exact-shapley,permutation-shapley:pairs=3,banzhaf:exact=20,interactions:exact=16,"
                                              "partition-shap:evaluations=0,tree=balanced", what);
    t->g.seed = 0; /* the session's */
    assert_int_equal(exact_shapley(&t->g, 1, values, errors, base, NULL), TKR_OK);
    compare_scores(r, got, "exact-shapley.scores", values, p, largest);
    t->g.purpose = random_purpose("permutation-shapley");
    permutation_options orders = {.pairs = 3};
    assert_int_equal(permutation_shapley(&t->g, &orders, values, errors, base, NULL), TKR_OK);
    compare_scores(r, got, "permutation-shapley.scores", values, p, largest);
    compare_scores(r, got, "permutation-shapley.se", errors, p, largest);
    banzhaf_options half = {.exact = PLAYERS_MOST};
    assert_int_equal(banzhaf(&t->g, &half, values, errors, NULL), TKR_OK);
    compare_scores(r, got, "banzhaf.scores", values, p, largest);
    owen_of_breaks(t, NULL, values);
    compare_scores(r, got, "partition-shap.scores", values, p, largest);
    interactions_options pairs = {.exact = PLAYERS_MOST};
    assert_int_equal(interactions(&t->g, &pairs, values, errors, base, NULL), TKR_OK);
    compare_pairs(r, got, values, p, largest);
    tkr_result_free(got);
    toy_free(t);
}

/* The methods of regressions, with fewer sets than there are. */
static void compare_regressions(reference *r, const char *what)
{
    toy_game *t = table_of(r, what);
    if (!t)
        return;
    size_t p = t->g.players;
    double values[PLAYERS_MOST], errors[PLAYERS_MOST], a[1], b[1], largest = largest_of(t);
    tkr_question q = reference_question(r, what);
    q.removal = removal_of(r);
    tkr_result *got = reference_explain(r, &q, "kernel-shap:samples=4096,kernel-shap:design=kernel,samples=90,linear-shap:coding=masked,lime:samples=70", what);
    t->g.seed = 0;
    t->g.purpose = random_purpose("kernel-shap");
    kernel_options all = {.samples = (size_t)1 << PLAYERS_MOST}, some = {.design = KERNEL_SIZES, .samples = 90};
    assert_int_equal(kernel_shap(&t->g, &all, values, errors, a, NULL), TKR_OK);
    compare_scores(r, got, "kernel-shap.scores", values, p, largest);
    assert_int_equal(kernel_shap(&t->g, &some, values, errors, a, NULL), TKR_OK);
    compare_scores(r, got, "kernel-shap-2.scores", values, p, largest);
    assert_true(!tkr_result_array(got, "kernel-shap-2.se") == some.is_exact);
    if (!some.is_exact)
        compare_scores(r, got, "kernel-shap-2.se", errors, p, largest);
    t->g.purpose = random_purpose("linear-shap");
    linear_options masked = {.coding = LINEAR_MASKED, .samples = 200, .share = 0.5};
    assert_int_equal(linear_shap(&t->g, &masked, values, errors, a, b, NULL), TKR_OK);
    compare_scores(r, got, "linear-shap.scores", values, p, largest);
    t->g.purpose = random_purpose("lime");
    lime_options near = {.samples = 70, .width = 0.35355339059327376, .alpha = 1};
    assert_int_equal(lime(&t->g, &near, values, errors, a, b, NULL), TKR_OK);
    compare_scores(r, got, "lime.scores", values, p, largest);
    compare_scores(r, got, "lime.se", errors, p, largest);
    tkr_result_free(got);
    toy_free(t);
}

static void compare_runs(reference *r)
{
    compare_run(r, "logit");
    compare_run(r, "prob");
    compare_regressions(r, "logit");
}

static void test_perturbation_golden__models_play_the_games_of_their_tables(void **state)
{
    (void)state;
    reference_each(compare_runs, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perturbation_golden__shapley_and_banzhaf_values),
        cmocka_unit_test(test_perturbation_golden__orders_and_their_errors),
        cmocka_unit_test(test_perturbation_golden__kernel_shap),
        cmocka_unit_test(test_perturbation_golden__linear_shap),
        cmocka_unit_test(test_perturbation_golden__lime),
        cmocka_unit_test(test_perturbation_golden__owen_values),
        cmocka_unit_test(test_perturbation_golden__toy_games),
        cmocka_unit_test(test_perturbation_golden__models_play_the_games_of_their_tables),
    };
    int failed = cmocka_run_group_tests_name("perturbation_golden", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
