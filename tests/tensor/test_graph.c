/* Graphs: shape rules, sticky failures, sites. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/tensors.h"

/* A graph with two sources of [5, 4] and one of [5, 6]. */
typedef struct bed {
    fixture f;
    tkr_error error;
    graph *g;
    segments rows;
    node a, b, wide;
} bed;

static void bed_init(bed *t)
{
    *t = (bed){.error = {0}};
    fixture_init(&t->f, 7);
    t->g = graph_new(t->f.arena, &t->error);
    t->rows = fixture_segments(&t->f, (const uint32_t[]){3, 2}, 2);
    t->a = source_add(t->g, 4, t->rows);
    t->b = source_add(t->g, 4, t->rows);
    t->wide = source_add(t->g, 6, t->rows);
}

static node add_two(bed *t, node x, node y)
{
    return graph_add(t->g, &op_add, (const node[]){x, y}, NULL, (op_params){0}, 0, (segments){0});
}

static void test_graph__shapes_follow_from_the_rules(void **state)
{
    (void)state;
    bed t;
    bed_init(&t);
    node sum = add_two(&t, t.a, t.b);
    weight *weights[NODE_WEIGHTS] = {fixture_weight(&t.f, WEIGHT_F32, 9, 4, false, 0, 1)};
    node out = graph_add(t.g, &op_linear, &sum, weights, (op_params){0}, 0, (segments){0});
    assert_int_equal(t.g->status, TKR_OK);
    assert_int_equal(t.g->nodes[sum].in[0], t.a);
    assert_int_equal(t.g->nodes[sum].in[2], NODE_NONE);
    assert_int_equal(t.g->nodes[out].rows, 5);
    assert_int_equal(t.g->nodes[out].width, 9);
    assert_ptr_equal(t.g->nodes[out].segments.begin, t.rows.begin);
    fixture_fini(&t.f);
}

static void test_graph__many_nodes_and_sites_keep_their_contents(void **state)
{
    (void)state;
    bed t;
    bed_init(&t);
    node last = t.a;
    for (int i = 0; i < 500; i++) {
        char name[] = "layer.000";
        name[6] = (char)('0' + i / 100);
        name[7] = (char)('0' + i / 10 % 10);
        name[8] = (char)('0' + i % 10);
        last = graph_site_add(t.g, add_two(&t, last, t.b), name, i % 2 == 0);
    }
    assert_int_equal(t.g->status, TKR_OK);
    assert_int_equal(t.g->count, 503);
    assert_int_equal(t.g->nodes[200].in[0], 199);
    const graph_site *site = graph_site_find(t.g, "layer.321");
    assert_non_null(site);
    assert_int_equal(site->node, 3 + 321);
    assert_false(site->is_saved);
    assert_null(graph_site_find(t.g, "layer.500"));
    fixture_fini(&t.f);
}

static void test_graph__a_refused_step_is_named_and_sticks(void **state)
{
    (void)state;
    bed t;
    bed_init(&t);
    assert_int_equal(add_two(&t, t.a, t.wide), NODE_NONE);
    assert_int_equal(t.g->status, TKR_E_INTERNAL);
    assert_string_equal(t.error.message, "node 3: op add does not take inputs [5, 4] [5, 6]");
    assert_int_equal(add_two(&t, t.a, t.b), NODE_NONE);
    assert_int_equal(graph_site_add(t.g, t.a, "x", false), NODE_NONE);
    assert_int_equal(t.g->count, 3);
    assert_string_equal(t.error.message, "node 3: op add does not take inputs [5, 4] [5, 6]");
    fixture_fini(&t.f);
}

/* One refused step each; the bed is new for every step. */
static void assert_refused(const op *o, node x, node y, node z, size_t weight_rows, size_t weight_columns, op_params params,
                           size_t rows, const char *text)
{
    bed t;
    bed_init(&t);
    weight *weights[NODE_WEIGHTS] = {NULL};
    if (weight_rows > 0)
        weights[0] = fixture_weight(&t.f, WEIGHT_F32, weight_rows, weight_columns, false, 0, 1);
    assert_int_equal(graph_add(t.g, o, (const node[]){x, y, z}, weights, params, rows, t.rows), NODE_NONE);
    assert_int_equal(t.error.code, TKR_E_INTERNAL);
    if (strstr(t.error.message, text) == NULL)
        fail_msg("%s has no %s", t.error.message, text);
    fixture_fini(&t.f);
}

static void test_graph__every_rule_refuses_what_does_not_fit(void **state)
{
    (void)state;
    static const int32_t ids[9] = {0};
    static const double pi = 3.14159;
    assert_refused(&op_linear, 0, 0, 0, 9, 5, (op_params){0}, 0, "inputs [5, 4] weights [9, 5]");
    assert_refused(&op_linear, 0, 0, 0, 0, 0, (op_params){0}, 0, "op linear");
    assert_refused(&op_layer_norm, 0, 0, 0, 1, 4, (op_params){0}, 0, "op layer_norm"); /* no bias */
    assert_refused(&op_activate, 0, 0, 0, 0, 0, (op_params){.act = ACT_COUNT}, 0, "op activate");
    assert_refused(&op_attention, 0, 1, 2, 0, 0, (op_params){.heads = 2}, 0, "[5, 4] [5, 4] [5, 6]");
    assert_refused(&op_attention, 0, 0, 0, 0, 0, (op_params){.heads = 3}, 0, "op attention");
    assert_refused(&op_attention, 0, 0, 0, 0, 0, (op_params){.heads = 0}, 0, "op attention");
    assert_refused(&op_attention, 0, NODE_NONE, NODE_NONE, 0, 0, (op_params){.heads = 2}, 0, "op attention"); /* no cache */
    assert_refused(&op_attention, 0, 0, 0, 0, 0, (op_params){.heads = 4, .key_heads = 3}, 0, "op attention");
    assert_refused(&op_attention, 0, 0, 0, 0, 0, (op_params){.heads = 4, .key_heads = 2}, 0, "op attention"); /* k too wide */
    assert_refused(&op_attention, 0, 0, 0, 8, 2, (op_params){.heads = 2, .buckets = 6, .farthest = 9}, 0, "weights [8, 2]");
    assert_refused(&op_attention, 0, 0, 0, 8, 3, (op_params){.heads = 2, .buckets = 8, .farthest = 9}, 0, "weights [8, 3]");
    assert_refused(&op_attention, 0, 0, 0, 8, 2, (op_params){.heads = 2, .buckets = 8, .farthest = 2}, 0, "op attention");
    assert_refused(&op_rms_norm, 0, 0, 0, 1, 5, (op_params){0}, 0, "op rms_norm");
    assert_refused(&op_rms_norm, 0, 0, 0, 0, 0, (op_params){0}, 0, "op rms_norm");
    assert_refused(&op_multiply, 0, 2, 0, 0, 0, (op_params){0}, 0, "[5, 4] [5, 6]");
    assert_refused(&op_rotate, 0, 2, 0, 0, 0, (op_params){.heads = 1}, 0, "op rotate"); /* angles wider than a head */
    assert_refused(&op_rotate, 2, 0, 0, 0, 0, (op_params){.heads = 4}, 0, "op rotate");
    assert_refused(&op_angles, 0, 0, 0, 0, 0, (op_params){.index = ids, .width = 4}, 5, "op angles"); /* no frequencies */
    assert_refused(&op_angles, 0, 0, 0, 0, 0, (op_params){.index = ids, .width = 3, .frequencies = &pi}, 5, "op angles");
    assert_refused(&op_given, 0, 0, 0, 0, 0, (op_params){.width = 4}, 5, "op given");
    assert_refused(&op_embed, 0, 0, 0, 9, 4, (op_params){0}, 5, "op embed");            /* no ids */
    assert_refused(&op_embed, 0, 0, 0, 9, 4, (op_params){.index = ids}, 6, "op embed"); /* segments cover 5 rows */
    assert_refused(&op_gather, 0, 0, 0, 0, 0, (op_params){.index = ids}, 4, "op gather");
    assert_refused(&op_add, 0, 3, 0, 0, 0, (op_params){0}, 0, "got node 3 as input 1, of 3 nodes");
    assert_refused(&op_add, NODE_NONE, 1, 0, 0, 0, (op_params){0}, 0, "got node -1 as input 0");
}

static void test_graph__sequences_must_cover_the_rows_in_order(void **state)
{
    (void)state;
    static const uint32_t wrong[][3] = {{0, 4, 3}, {1, 2, 3}, {0, 1, 2}};
    for (size_t i = 0; i <= sizeof wrong / sizeof *wrong; i++) {
        bed t;
        bed_init(&t);
        segments rows_of = {.count = 2, .begin = i < 3 ? wrong[i] : (const uint32_t[]){0, 0, 3}};
        node n = graph_add(t.g, &op_test_source, NULL, NULL, (op_params){.heads = 4}, 3, rows_of);
        assert_int_equal(t.g->status, i < 3 ? TKR_E_INTERNAL : TKR_OK);
        assert_int_equal(n, i < 3 ? NODE_NONE : 3);
        fixture_fini(&t.f);
    }
}

static void test_graph__causal_queries_may_not_outnumber_keys(void **state)
{
    (void)state;
    bed t;
    bed_init(&t);
    node few = source_add(t.g, 4, fixture_segments(&t.f, (const uint32_t[]){1, 2}, 2));
    op_params params = {.heads = 2, .is_causal = true};
    assert_true(graph_add(t.g, &op_attention, (const node[]){few, t.a, t.b}, NULL, params, 0, (segments){0}) >= 0);
    node many = graph_add(t.g, &op_attention, (const node[]){t.a, few, few}, NULL, params, 0, (segments){0});
    assert_int_equal(many, NODE_NONE);
    fixture_fini(&t.f);
}

static void test_graph__site_names_are_checked(void **state)
{
    (void)state;
    static const char *const long_name = "layer.0.a_name_that_is_longer_than_the_room_for_names_of_sites_is";
    for (int i = 0; i < 3; i++) {
        bed t;
        bed_init(&t);
        assert_int_equal(graph_site_add(t.g, t.a, "embeddings", false), t.a);
        assert_int_equal(graph_site_add(t.g, i == 2 ? 99 : t.b, i == 0 ? "embeddings" : i == 1 ? long_name : "x", false),
                         NODE_NONE);
        assert_int_equal(t.g->status, TKR_E_INTERNAL);
        fixture_fini(&t.f);
    }
}

static void test_graph__a_full_arena_is_limit_oom(void **state)
{
    (void)state;
    tkr_error error = {0};
    arena *a = arena_new(16 << 10);
    graph *g = graph_new(a, &error);
    assert_non_null(g);
    const uint32_t begin[] = {0, 1};
    for (int i = 0; i < 10000 && g->status == TKR_OK; i++)
        source_add(g, 1, (segments){.count = 1, .begin = begin});
    assert_int_equal(g->status, TKR_E_LIMIT_OOM);
    assert_int_equal(error.code, TKR_E_LIMIT_OOM);
    arena_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph__shapes_follow_from_the_rules),
        cmocka_unit_test(test_graph__many_nodes_and_sites_keep_their_contents),
        cmocka_unit_test(test_graph__a_refused_step_is_named_and_sticks),
        cmocka_unit_test(test_graph__every_rule_refuses_what_does_not_fit),
        cmocka_unit_test(test_graph__sequences_must_cover_the_rows_in_order),
        cmocka_unit_test(test_graph__causal_queries_may_not_outnumber_keys),
        cmocka_unit_test(test_graph__site_names_are_checked),
        cmocka_unit_test(test_graph__a_full_arena_is_limit_oom),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
