/*
 * Attention beyond what the harness of all ops checks: caches against whole passes, positions, T5's buckets, rows without a
 * gradient that are not computed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/threads.h"
#include "support/tensors.h"
#include "tensor/ops/attention.h"

enum {
    HEADS = 4,
    KEY_HEADS = 2,
    HEAD = 6,
    WIDTH = HEADS * HEAD,
    KEY_WIDTH = KEY_HEADS * HEAD,
    TOKENS = 75,
    CAPACITY = 80
};

static const double frequencies[] = {1, 0.2};

/* A decoder layer of a small model: its weights, and the rows that go in. */
typedef struct layer {
    fixture f;
    weight *q[NODE_WEIGHTS], *k[NODE_WEIGHTS], *v[NODE_WEIGHTS], *bias[NODE_WEIGHTS];
    real *rows; /* [TOKENS, WIDTH] */
    attention_cache cache;
    bool has_bias;
    size_t window;
} layer;

static void layer_init(layer *l, bool has_bias, size_t window)
{
    *l = (layer){.has_bias = has_bias, .window = window};
    fixture_init(&l->f, 11);
    l->q[0] = fixture_weight(&l->f, WEIGHT_F32, WIDTH, WIDTH, false, 0, 0.3);
    l->k[0] = fixture_weight(&l->f, WEIGHT_F32, KEY_WIDTH, WIDTH, false, 0, 0.3);
    l->v[0] = fixture_weight(&l->f, WEIGHT_F32, KEY_WIDTH, WIDTH, false, 0, 0.3);
    l->bias[0] = fixture_weight(&l->f, WEIGHT_F32, 8, HEADS, false, 0, 1);
    l->rows = fixture_numbers(&l->f, TOKENS * WIDTH);
    l->cache = (attention_cache){.keys = fixture_numbers(&l->f, CAPACITY * KEY_WIDTH),
                                 .values = fixture_numbers(&l->f, CAPACITY * KEY_WIDTH),
                                 .capacity = CAPACITY,
                                 .width = KEY_WIDTH};
}

static node add(graph *g, const op *o, const node *in, weight *const *weights, op_params params)
{
    return graph_add(g, o, in, weights, params, 0, (segments){0});
}

/* Rows [begin, end) through projections, rotation and attention; the caller gets the attention node. */
static node layer_add(layer *l, graph *g, size_t begin, size_t end, attention_cache *cache)
{
    uint32_t count = (uint32_t)(end - begin);
    segments rows_of = fixture_segments(&l->f, &count, 1);
    int32_t *positions = fixture_room(&l->f, count, sizeof *positions);
    for (uint32_t i = 0; i < count; i++)
        positions[i] = (int32_t)(begin + i);
    node x = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l->rows + begin * WIDTH, .width = WIDTH},
                       count, rows_of);
    node angles =
        graph_add(g, &op_angles, NULL, NULL,
                  (op_params){.index = positions, .width = 4, .frequencies = frequencies}, count, rows_of);
    node q = add(g, &op_linear, &x, l->q, (op_params){0}), k = add(g, &op_linear, &x, l->k, (op_params){0});
    node in[] = {add(g, &op_rotate, (const node[]){q, angles}, NULL, (op_params){.heads = HEADS}),
                 add(g, &op_rotate, (const node[]){k, angles}, NULL, (op_params){.heads = KEY_HEADS}),
                 add(g, &op_linear, &x, l->v, (op_params){0})};
    op_params params = {.heads = HEADS,
                        .key_heads = KEY_HEADS,
                        .scale = REAL(0.4),
                        .is_causal = true,
                        .window = l->window,
                        .buckets = 8,
                        .farthest = 20,
                        .cache = cache};
    return add(g, &op_attention, in, l->has_bias ? l->bias : NULL, params);
}

/* Runs the rows and copies the output, and the probabilities of every head if asked for. */
static void layer_run(layer *l, size_t begin, size_t end, attention_cache *cache, pool *threads, real *out,
                      real *probs)
{
    tkr_error error = {0};
    graph *g = graph_new(l->f.arena, &error);
    node n = layer_add(l, g, begin, end, cache);
    if (g->status != TKR_OK)
        fail_msg("%s", error.message);
    g->nodes[n].is_kept = g->nodes[n].saves_kept = true;
    graph_site_add(g, n, "probs", true); /* what is saved is checked to be finite */
    runner *r = runner_new(g, (run_options){.poison = true}, kernels_best(), threads, &error);
    if (r == NULL || runner_forward(r, &error) != TKR_OK)
        fail_msg("%s", error.message);
    memcpy(out, runner_value(r, n), (end - begin) * WIDTH * sizeof *out);
    size_t row = cache != NULL ? CAPACITY : TOKENS;
    for (size_t h = 0; probs != NULL && h < HEADS; h++)
        for (size_t i = 0; i < end - begin; i++)
            memcpy(probs + (h * TOKENS + begin + i) * CAPACITY,
                   runner_saved(r, n) + attention_probs_offset(g, n, 0, h) + i * row, row * sizeof *probs);
    if (cache != NULL)
        cache->rows += end - begin;
    runner_free(r);
}

/* A prompt, then token by token, gives the bits of the whole pass: outputs and probabilities. */
static void check_cache(bool has_bias, size_t window)
{
    layer l;
    layer_init(&l, has_bias, window);
    pool *threads = pool_new(2);
    size_t size = (size_t)HEADS * TOKENS * CAPACITY;
    real *whole = fixture_numbers(&l.f, TOKENS * WIDTH), *steps = fixture_numbers(&l.f, TOKENS * WIDTH);
    real *whole_probs = fixture_room(&l.f, size, sizeof(real)),
         *step_probs = fixture_room(&l.f, size, sizeof(real));
    layer_run(&l, 0, TOKENS, NULL, threads, whole, whole_probs);
    layer_run(&l, 0, 20, &l.cache, threads, steps, step_probs);
    for (size_t t = 20; t < TOKENS; t++)
        layer_run(&l, t, t + 1, &l.cache, t % 2 ? threads : NULL, steps + t * WIDTH, step_probs);
    assert_memory_equal(steps, whole, TOKENS * WIDTH * sizeof *whole);
    assert_memory_equal(step_probs, whole_probs, size * sizeof(real));
    pool_free(threads);
    fixture_fini(&l.f);
}

static void test_attention__steps_over_a_cache_equal_the_whole_pass(void **state)
{
    (void)state;
    check_cache(false, 0);
    check_cache(false, 9);
    check_cache(true, 0);
}

/* Queries over what a cache holds and nothing new (cross attention), against the same keys as nodes. */
static void test_attention__a_cache_alone_serves_keys(void **state)
{
    (void)state;
    layer l;
    tkr_error error = {0};
    layer_init(&l, false, 0);
    uint8_t hidden[CAPACITY] = {0};
    hidden[3] = hidden[29] = 1;
    l.cache.rows = 30;
    graph *g = graph_new(l.f.arena, &error);
    segments few = fixture_segments(&l.f, (const uint32_t[]){4}, 1),
             many = fixture_segments(&l.f, (const uint32_t[]){30}, 1);
    node q = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, 4, few);
    node k =
        graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.cache.keys, .width = KEY_WIDTH}, 30, many);
    node v =
        graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.cache.values, .width = KEY_WIDTH}, 30, many);
    op_params params = {.heads = HEADS, .key_heads = KEY_HEADS, .scale = 1, .hidden = hidden};
    node from_nodes = add(g, &op_attention, (const node[]){q, k, v}, NULL, params);
    params.cache = &l.cache;
    node from_cache = add(g, &op_attention, (const node[]){q, NODE_NONE, NODE_NONE}, NULL, params);
    g->nodes[from_nodes].is_kept = g->nodes[from_cache].is_kept = true;
    runner *r = runner_new(g, (run_options){.poison = true}, kernels_best(), NULL, &error);
    assert_non_null(r);
    assert_int_equal(runner_forward(r, &error), TKR_OK);
    assert_memory_equal(runner_value(r, from_cache), runner_value(r, from_nodes), 4 * WIDTH * sizeof(real));
    runner_free(r);
    fixture_fini(&l.f);
}

static void test_attention__a_cache_is_checked(void **state)
{
    (void)state;
    layer l;
    tkr_error error = {0};
    layer_init(&l, false, 0);
    graph *g = graph_new(l.f.arena, &error);
    node n = layer_add(&l, g, 0, 3, &l.cache);
    g->nodes[0].is_source = true;
    assert_null(runner_new(g, (run_options){.backward = true}, kernels_best(), NULL, &error));
    char want[96];
    (void)snprintf(want, sizeof want, "node %d: op attention has no way back over a cache", (int)n);
    assert_string_equal(error.message, want);
    error = (tkr_error){0};
    l.cache.rows = CAPACITY - 2;
    runner *r = runner_new(g, (run_options){0}, kernels_best(), NULL, &error);
    assert_int_equal(runner_forward(r, &error), TKR_E_INTERNAL);
    assert_string_equal(error.message, "attention: 81 keys do not fit into a cache of 80 rows");
    l.cache.rows = CAPACITY - 3;
    assert_int_equal(runner_forward(r, NULL), TKR_OK);
    runner_free(r);

    /* A cache of another width, and more rows than it has, are refused by the shape. */
    for (int i = 0; i < 2; i++) {
        attention_cache wrong = l.cache;
        wrong.width += i == 0;
        wrong.capacity = i == 0 ? CAPACITY : 2;
        error = (tkr_error){0};
        g = graph_new(l.f.arena, &error);
        assert_int_equal(layer_add(&l, g, 0, 3, &wrong), NODE_NONE);
        assert_int_equal(error.code, TKR_E_INTERNAL);
    }
    fixture_fini(&l.f);
}

/* ---- listed keys ---- */

/* Attention over rows of its own numbers, whose keys are what a list says. */
typedef struct listing {
    const uint32_t *lengths; /* [count] queries of each sequence */
    size_t count;
    const int32_t *rows;     /* [queries] which rows of the layer they are; NULL: in order */
    op_params params;
} listing;

static void listed_run(layer *l, listing of, real *out)
{
    tkr_error error = {0};
    graph *g = graph_new(l->f.arena, &error);
    segments queries = fixture_segments(&l->f, of.lengths, of.count);
    uint32_t keys = TOKENS;
    segments of_keys = fixture_segments(&l->f, &keys, 1);
    node x = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l->rows, .width = WIDTH}, TOKENS, of_keys);
    node k = add(g, &op_linear, &x, l->k, (op_params){0}), v = add(g, &op_linear, &x, l->v, (op_params){0});
    node q = graph_add(g, &op_gather, (const node[]){add(g, &op_linear, &x, l->q, (op_params){0})}, NULL, (op_params){.index = of.rows},
                       queries.begin[of.count], queries);
    of.params.heads = HEADS;
    of.params.key_heads = KEY_HEADS;
    of.params.scale = REAL(0.4);
    of.params.buckets = 8;
    of.params.farthest = 20;
    node n = add(g, &op_attention, (const node[]){q, k, v}, l->has_bias ? l->bias : NULL, of.params);
    if (g->status != TKR_OK)
        fail_msg("%s", error.message);
    g->nodes[n].is_kept = true;
    runner *r = runner_new(g, (run_options){.poison = true}, kernels_best(), NULL, &error);
    if (r == NULL || runner_forward(r, &error) != TKR_OK)
        fail_msg("%s", error.message);
    memcpy(out, runner_value(r, n), queries.begin[of.count] * WIDTH * sizeof *out);
    runner_free(r);
}

/* Rows 0 .. 6, and 5 more after the first three of them: each query as in a text of its own. */
static void check_prefix(bool has_bias, size_t window, const int32_t *chosen)
{
    static const int32_t rows[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, keys[] = {0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 7, 8, 9, 10, 11},
                         other[] = {0, 1, 2, 7, 8, 9, 10, 11};
    static const uint32_t begin[] = {0, 7, 15}, lengths[] = {7, 5}, few[] = {2, 3}, whole[] = {0, 7}, branch[] = {0, 8};
    layer l;
    layer_init(&l, has_bias, window);
    real first[7 * WIDTH], second[8 * WIDTH], got[12 * WIDTH];
    const uint32_t seven = 7, eight = 8;
    op_params params = {.is_causal = true, .window = window, .listed = keys, .listed_begin = whole};
    listed_run(&l, (listing){&seven, 1, rows, params}, first);
    params.listed = other;
    params.listed_begin = branch;
    listed_run(&l, (listing){&eight, 1, other, params}, second);
    params.listed = keys;
    params.listed_begin = begin;
    params.query_rows = chosen;
    listed_run(&l, (listing){chosen != NULL ? few : lengths, 2, chosen != NULL ? chosen : rows, params}, got);
    for (size_t i = 0; chosen == NULL && i < 12; i++)
        assert_memory_equal(got + i * WIDTH, i < 7 ? first + i * WIDTH : second + (i - 4) * WIDTH, WIDTH * sizeof *got);
    for (size_t i = 0; chosen != NULL && i < 5; i++) {
        size_t row = (size_t)chosen[i], at = row < 7 ? row : row - 4;
        assert_memory_equal(got + i * WIDTH, (i < 2 ? first : second) + at * WIDTH, WIDTH * sizeof *got);
    }
    fixture_fini(&l.f);
}

static void test_attention__shared_keys_give_the_bits_of_own_ones(void **state)
{
    (void)state;
    static const int32_t chosen[] = {6, 2, 11, 8, 1}; /* one of the second's is in what it shares */
    check_prefix(false, 0, NULL);
    check_prefix(false, 3, NULL);
    check_prefix(true, 0, NULL);
    check_prefix(false, 0, chosen);
    check_prefix(true, 4, chosen);
}

/* Rows that are hidden against rows that are not there, by their places: with windows, distances and both ways of looking. */
static void test_attention__places_stand_for_what_is_left_out(void **state)
{
    (void)state;
    static const int32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, left[] = {0, 3, 4, 9, 11};
    static const uint32_t whole[] = {0, 12}, part[] = {0, 5}, twelve = 12, five = 5;
    static const uint8_t hidden[] = {0, 1, 1, 0, 0, 1, 1, 1, 1, 0, 1, 0};
    int32_t places[TOKENS];
    for (int32_t i = 0; i < TOKENS; i++)
        places[i] = i;
    for (unsigned way = 0; way < 8; way++) {
        layer l;
        layer_init(&l, way & 1, 0);
        real want[12 * WIDTH], got[5 * WIDTH];
        op_params params = {.is_causal = way & 2, .window = way & 4 ? 6 : 0, .listed = all, .listed_begin = whole, .hidden = hidden};
        listed_run(&l, (listing){&twelve, 1, all, params}, want);
        params = (op_params){.is_causal = way & 2, .window = way & 4 ? 6 : 0, .listed = left, .listed_begin = part};
        params.places = places;
        params.width = 12;
        listed_run(&l, (listing){&five, 1, left, params}, got);
        for (size_t i = 0; i < 5 * WIDTH; i++)
            assert_true(fabs((double)(got[i] - want[(size_t)left[i / WIDTH] * WIDTH + i % WIDTH])) < 1e-6);
        fixture_fini(&l.f);
    }
}

static void test_attention__lists_are_checked(void **state)
{
    (void)state;
    static const int32_t rows[] = {0, 1, 2}, beyond[] = {0, 1, TOKENS}, query[] = {0, 1, 5};
    static const uint32_t begin[] = {0, 3}, three = 3;
    static const struct {
        const int32_t *keys, *queries;
        const char *message;
    } wrong[] = {{beyond, NULL, "attention: key 2 of sequence 0 is row 75 of 75"},
                 {rows, query, "attention: query 2 of sequence 0 is row 5, which is not among its keys"}};
    layer l;
    layer_init(&l, false, 0);
    for (size_t i = 0; i < 3; i++) {
        tkr_error error = {0};
        graph *g = graph_new(l.f.arena, &error);
        uint32_t all = TOKENS;
        segments of = fixture_segments(&l.f, &all, 1), queries = fixture_segments(&l.f, &three, 1);
        node q = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, 3, queries);
        node k = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, TOKENS, of);
        op_params params = {.heads = 2, .scale = 1, .is_causal = true, .listed = rows, .listed_begin = begin};
        if (i < 2) {
            params.listed = wrong[i].keys;
            params.query_rows = wrong[i].queries;
        }
        node n = add(g, &op_attention, (const node[]){q, k, k}, NULL, params);
        assert_int_equal(g->status, TKR_OK);
        g->nodes[k].is_source = true;
        runner *r = runner_new(g, (run_options){.backward = i == 2}, kernels_best(), NULL, &error);
        if (i == 2) { /* no way back */
            char want[96];
            (void)snprintf(want, sizeof want, "node %d: op attention has no way back over keys that are listed", (int)n);
            assert_null(r);
            assert_string_equal(error.message, want);
            continue;
        }
        assert_int_equal(runner_forward(r, &error), TKR_E_INTERNAL);
        assert_string_equal(error.message, wrong[i].message);
        runner_free(r);
    }
    fixture_fini(&l.f);
}

/* Chosen queries of a causal pass are the rows of the whole pass. */
static void test_attention__chosen_queries_equal_their_rows(void **state)
{
    (void)state;
    static const int32_t chosen[] = {3, 0, 19, 3, 39, 21};
    layer l;
    tkr_error error = {0};
    layer_init(&l, true, 11);
    graph *g = graph_new(l.f.arena, &error);
    segments all = fixture_segments(&l.f, (const uint32_t[]){20, 20}, 2),
             few = fixture_segments(&l.f, (const uint32_t[]){4, 2}, 2);
    node x = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, 40, all);
    node k = add(g, &op_linear, &x, l.k, (op_params){0});
    node some = graph_add(g, &op_gather, &x, NULL, (op_params){.index = chosen}, 6, few);
    op_params params = {.heads = HEADS,
                        .key_heads = KEY_HEADS,
                        .scale = 1,
                        .is_causal = true,
                        .window = 11,
                        .buckets = 8,
                        .farthest = 20};
    node whole = add(g, &op_attention, (const node[]){x, k, k}, l.bias, params);
    params.query_rows = chosen;
    node part = add(g, &op_attention, (const node[]){some, k, k}, l.bias, params);
    assert_int_equal(g->status, TKR_OK);
    g->nodes[whole].is_kept = g->nodes[part].is_kept = true;
    runner *r = runner_new(g, (run_options){0}, kernels_best(), NULL, &error);
    assert_int_equal(runner_forward(r, &error), TKR_OK);
    for (size_t i = 0; i < 6; i++)
        assert_memory_equal(runner_value(r, part) + i * WIDTH,
                            runner_value(r, whole) + (size_t)chosen[i] * WIDTH, WIDTH * sizeof(real));
    runner_free(r);
    fixture_fini(&l.f);
}

static void test_attention__query_rows_outside_their_sequence_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        static const int32_t wrong[][2] = {{5, 1}, {-1, 5}, {0, 1}}; /* the second sequence has rows 4 to 9 */
        layer l;
        tkr_error error = {0};
        layer_init(&l, false, 0);
        graph *g = graph_new(l.f.arena, &error);
        segments all = fixture_segments(&l.f, (const uint32_t[]){4, 6}, 2),
                 few = fixture_segments(&l.f, (const uint32_t[]){1, 1}, 2);
        node q = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, 2, few);
        node k = graph_add(g, &op_given, NULL, NULL, (op_params){.given = l.rows, .width = WIDTH}, 10, all);
        op_params params = {.heads = HEADS, .scale = 1, .is_causal = true, .query_rows = wrong[i]};
        add(g, &op_attention, (const node[]){q, k, k}, NULL, params);
        runner *r = runner_new(g, (run_options){0}, kernels_best(), NULL, &error);
        assert_int_equal(runner_forward(r, &error), TKR_E_INTERNAL);
        char want[96];
        (void)snprintf(want, sizeof want,
                       "attention: query 0 of sequence %d is row %d, which is not among its keys", i == 2,
                       (int)wrong[i][i == 2]);
        assert_string_equal(error.message, want);
        runner_free(r);
        fixture_fini(&l.f);
    }
}

/* The published tables of T5: where each bucket begins. */
static void test_attention__buckets_are_those_of_t5(void **state)
{
    (void)state;
    static const struct {
        int from, bucket;
    } both[] = {{0, 0},  {1, 1},   {2, 2},   {3, 3},   {4, 4},   {5, 5},   {6, 6},   {7, 7},    {8, 8},
                {12, 9}, {16, 10}, {23, 11}, {32, 12}, {46, 13}, {64, 14}, {91, 15}, {5000, 15}},
      one[] = {{16, 16}, {19, 17}, {21, 18}, {24, 19}, {27, 20}, {31, 21}, {35, 22},  {40, 23},  {46, 24},
               {52, 25}, {59, 26}, {67, 27}, {77, 28}, {87, 29}, {99, 30}, {113, 31}, {5000, 31}};
    for (size_t i = 0; i + 1 < sizeof both / sizeof *both; i++)
        for (int away = both[i].from; away < both[i + 1].from; away++) {
            assert_int_equal(attention_bucket(-away, 32, 128, true), both[i].bucket);
            assert_int_equal(attention_bucket(away, 32, 128, true), both[i].bucket + (away > 0 ? 16 : 0));
        }
    for (int away = 0; away < 16; away++)
        assert_int_equal(attention_bucket(-away, 32, 128, false), away);
    for (size_t i = 0; i + 1 < sizeof one / sizeof *one; i++)
        for (int away = one[i].from; away < one[i + 1].from; away++) {
            assert_int_equal(attention_bucket(-away, 32, 128, false), one[i].bucket);
            assert_int_equal(attention_bucket(away, 32, 128, false), 0);
        }
}

/* Rows without a gradient at both ends are not computed, and the bits are those of computing all: a gradient of zeros into
 * the probabilities makes the kernel do that. */
static void test_attention__rows_without_gradient_add_nothing(void **state)
{
    (void)state;
    enum { QUERIES = 130, COLUMNS = 70 }; /* several panels */
    fixture f;
    fixture_init(&f, 6);
    const kernels *k = kernels_best();
    real *q = fixture_numbers(&f, QUERIES * COLUMNS), *out = fixture_room(&f, QUERIES * COLUMNS, sizeof *out);
    real *probs = fixture_room(&f, QUERIES * QUERIES, sizeof *probs),
         *none = fixture_room(&f, QUERIES * QUERIES, sizeof *none);
    real *dout = fixture_room(&f, QUERIES * COLUMNS, sizeof *dout), *d[2];
    for (size_t i = 61 * COLUMNS; i < 100 * COLUMNS; i++)
        dout[i] = (real)fixture_normal(&f);
    for (int whole = 0; whole < 2; whole++) {
        d[whole] = fixture_room(&f, (size_t)3 * QUERIES * COLUMNS, sizeof(real));
        attention_head h = {.queries = QUERIES,
                            .keys = QUERIES,
                            .width = COLUMNS,
                            .q = q,
                            .k = q,
                            .v = q,
                            .ldq = COLUMNS,
                            .ldk = COLUMNS,
                            .ldv = COLUMNS,
                            .ldo = COLUMNS,
                            .scale = 1,
                            .is_causal = true,
                            .out = out,
                            .probs = probs,
                            .dout = dout,
                            .dprobs = whole ? none : NULL,
                            .dq = d[whole],
                            .dk = d[whole] + QUERIES * COLUMNS,
                            .dv = d[whole] + (size_t)2 * QUERIES * COLUMNS};
        h.scratch = fixture_room(&f, k->attention_scratch(QUERIES, QUERIES, COLUMNS, true), sizeof(real));
        k->attention_forward(&h);
        for (size_t i = 0; !whole && i < 61 * (size_t)QUERIES; i++)
            probs[i] = (real)NAN; /* nobody reads these */
        k->attention_backward(&h);
    }
    assert_memory_equal(d[0], d[1], (size_t)3 * QUERIES * COLUMNS * sizeof(real));
    fixture_fini(&f);
}

/* A NaN among the weights shows which rows were multiplied: those that are not zero. */
static void test_attention__linear_multiplies_no_zero_rows(void **state)
{
    (void)state;
    enum { ROWS = 40 };
    fixture f;
    fixture_init(&f, 2);
    tkr_error error = {0};
    static float numbers[9] = {1, 2, (float)NAN, 3, 4, 5, 6, 7, 8};
    weight w;
    assert_int_equal(weight_init(&w, "w", WEIGHT_F32, numbers, 3, 3, false, &error), TKR_OK);
    weight *weights[NODE_WEIGHTS] = {&w};
    graph *g = graph_new(f.arena, &error);
    segments all = fixture_segments(&f, (const uint32_t[]){ROWS}, 1);
    node x = graph_add(g, &op_given, NULL, NULL,
                       (op_params){.given = fixture_numbers(&f, ROWS * 3), .width = 3}, ROWS, all);
    node y = add(g, &op_linear, &x, weights, (op_params){0});
    g->nodes[x].is_source = g->nodes[x].is_gradient_kept = true;
    runner *r = runner_new(g, (run_options){.backward = true, .poison = true}, kernels_best(), NULL, &error);
    assert_int_equal(runner_forward(r, &error), TKR_OK);
    for (size_t first = 0; first <= ROWS; first += 8) {
        for (size_t last = first; last <= ROWS;
             last += 16) { /* of rows [first, last) only the ends are not zero */
            real *seed = fixture_room(&f, ROWS * 3, sizeof *seed);
            if (last > first)
                seed[first * 3 + 1] = seed[last * 3 - 1] = 1;
            assert_int_equal(runner_backward(r, y, seed, &error), TKR_OK);
            const real *dx = runner_gradient(r, x);
            for (size_t row = 0; row < ROWS; row++)
                for (size_t c = 0; c < 3; c++) {
                    bool is_zero = last == first || (row != first && row + 1 != last);
                    assert_true(is_zero ? dx[row * 3 + c] == 0 : isnan(dx[row * 3 + 2]) != 0);
                }
        }
    }
    runner_free(r);
    weight_fini(&w);
    fixture_fini(&f);
}

/* No gradient goes into angles, even when they have a source below. */
static void test_attention__angles_take_no_gradient(void **state)
{
    (void)state;
    fixture f;
    fixture_init(&f, 2);
    tkr_error error = {0};
    graph *g = graph_new(f.arena, &error);
    segments all = fixture_segments(&f, (const uint32_t[]){3}, 1);
    const real *rows = fixture_numbers(&f, 12);
    node x = graph_add(g, &op_given, NULL, NULL, (op_params){.given = rows, .width = 4}, 3, all);
    node angles = graph_add(g, &op_given, NULL, NULL, (op_params){.given = rows, .width = 4}, 3, all);
    node y = add(g, &op_rotate, (const node[]){x, angles}, NULL, (op_params){.heads = 1});
    g->nodes[angles].is_source = g->nodes[angles].is_gradient_kept = true;
    runner *r = runner_new(g, (run_options){.backward = true}, kernels_best(), NULL, &error);
    assert_int_equal(runner_forward(r, &error), TKR_OK);
    assert_int_equal(runner_backward(r, y, rows, &error), TKR_OK);
    for (size_t i = 0; i < 12; i++)
        assert_true(runner_gradient(r, angles)[i] == 0);
    runner_free(r);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention__steps_over_a_cache_equal_the_whole_pass),
        cmocka_unit_test(test_attention__a_cache_alone_serves_keys),
        cmocka_unit_test(test_attention__a_cache_is_checked),
        cmocka_unit_test(test_attention__shared_keys_give_the_bits_of_own_ones),
        cmocka_unit_test(test_attention__places_stand_for_what_is_left_out),
        cmocka_unit_test(test_attention__lists_are_checked),
        cmocka_unit_test(test_attention__chosen_queries_equal_their_rows),
        cmocka_unit_test(test_attention__query_rows_outside_their_sequence_are_refused),
        cmocka_unit_test(test_attention__buckets_are_those_of_t5),
        cmocka_unit_test(test_attention__rows_without_gradient_add_nothing),
        cmocka_unit_test(test_attention__linear_multiplies_no_zero_rows),
        cmocka_unit_test(test_attention__angles_take_no_gradient),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
