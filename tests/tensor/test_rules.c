/*
 * The relevance rules of methods.md 6.2 in their explicit form, where relevance itself is handed down with divisions, against the
 * modified gradients that the ops pass back (INV-LRP1); linear networks (INV-LRP4); and the shares of queries, keys and values
 * in one block (INV-LRP6).  All explicit rules are in double.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/compare.h"
#include "support/tensors.h"

enum { ROWS = 9, INPUTS = 3 };

/* A small graph over sources: its runner, and the numbers that go in. */
typedef struct ground {
    fixture f;
    graph *g;
    tkr_error error;
    segments rows;
    node in[INPUTS], out;
    size_t count, size[INPUTS];
    real *x[INPUTS], *seed;
    runner *r;
} ground;

static void ground_init(ground *b, uint64_t seed)
{
    *b = (ground){0};
    fixture_init(&b->f, seed);
    b->g = graph_new(b->f.arena, &b->error);
    b->rows = fixture_segments(&b->f, (const uint32_t[]){4, 5}, 2);
}

static void ground_fini(ground *b)
{
    runner_free(b->r);
    fixture_fini(&b->f);
}

static node ground_source(ground *b, size_t width)
{
    char name[] = {(char)('a' + (int)b->count), 0};
    node n = graph_site_add(b->g, source_add(b->g, width, b->rows), name, false);
    b->g->nodes[n].is_source = b->g->nodes[n].is_gradient_kept = true;
    b->in[b->count] = n;
    b->size[b->count] = ROWS * width;
    b->x[b->count++] = fixture_numbers(&b->f, ROWS * width);
    return n;
}

static node ground_add(ground *b, const op *o, node x, node y, node z, weight *w, weight *bias, op_params params)
{
    const node in[NODE_INPUTS] = {x, y, z, NODE_NONE};
    weight *const weights[NODE_WEIGHTS] = {w, bias};
    node n = graph_add(b->g, o, in, weights, params, 0, (segments){0, NULL});
    if (b->g->status != TKR_OK)
        fail_msg("%s: %s", o->name, b->error.message);
    b->g->nodes[n].is_kept = true;
    return b->out = n;
}

static weight *matrix(ground *b, size_t rows, size_t columns)
{
    return fixture_weight(&b->f, WEIGHT_F32, rows, columns, false, rows == 1 ? 0.5 : 0, 0.5);
}

static void ground_forward(ground *b)
{
    b->r = runner_new(b->g, (run_options){.backward = true}, kernels_best(), NULL, &b->error);
    assert_non_null(b->r);
    for (size_t j = 0; j < b->count; j++) {
        const char name[] = {(char)('a' + (int)j), 0};
        assert_int_equal(runner_intervene(b->r, name, intervene_copy, b->x[j], &b->error), TKR_OK);
    }
    assert_int_equal(runner_forward(b->r, &b->error), TKR_OK);
    b->seed = fixture_numbers(&b->f, ROWS * b->g->nodes[b->out].width);
}

static void ground_back(ground *b, op_rule rule)
{
    if (!b->r)
        ground_forward(b);
    assert_int_equal(runner_backward_under(b->r, rule, b->out, b->seed, NULL, &b->error), TKR_OK);
}

/* Relevance of the output, R = z dz, with z as the op's reference has it. */
static double *relevance_out(ground *b)
{
    double **values = fixture_room(&b->f, b->g->count, sizeof *values);
    for (size_t j = 0; j < b->count; j++)
        values[b->in[j]] = fixture_doubles(&b->f, b->x[j], b->size[j]);
    graph_reference(&b->f, b->g, values);
    size_t count = ROWS * b->g->nodes[b->out].width;
    double *relevance = fixture_room(&b->f, 2 * count, sizeof *relevance); /* then z itself */
    for (size_t i = 0; i < count; i++) {
        relevance[count + i] = values[b->out][i];
        relevance[i] = values[b->out][i] * (double)b->seed[i];
    }
    return relevance;
}

/* Our relevance of input j, x dx, against the explicit one. */
static void assert_relevance(ground *b, const char *label, size_t j, const double *want)
{
    const real *g = runner_gradient(b->r, b->in[j]);
    double *got = fixture_room(&b->f, b->size[j], sizeof *got);
    for (size_t i = 0; i < b->size[j]; i++)
        got[i] = (double)b->x[j][i] * (double)g[i];
    assert_close_tensor(label, TENSOR(got, b->size[j]), TENSOR(want, b->size[j]), TOLERANCE_explicit_rule);
}

/* ---- INV-LRP1: op by op ------------------------------------------------------------------------------------------ */

/* Epsilon rule: each input's term in z_o = sum_i x_i w_oi + b takes its share of R_o, and so does b. */
static void explicit_linear(op_rule rule)
{
    enum { WIDE = 6, OUT = 5 };
    ground b;
    ground_init(&b, 1);
    weight *w = matrix(&b, OUT, WIDE), *bias = matrix(&b, 1, OUT);
    ground_add(&b, &op_linear, ground_source(&b, WIDE), NODE_NONE, NODE_NONE, w, bias, (op_params){0});
    ground_back(&b, rule);
    double *out = relevance_out(&b), *want = fixture_room(&b.f, ROWS * WIDE, sizeof *want);
    const double *z = out + ROWS * OUT;
    for (size_t o = 0; o < OUT; o++) {
        real row[WIDE];
        weight_row(w, o, row);
        for (size_t i = 0; i < ROWS * WIDE; i++)
            want[i] += (double)b.x[0][i] * (double)row[i % WIDE] * out[i / WIDE * OUT + o] / z[i / WIDE * OUT + o];
    }
    assert_relevance(&b, "linear", 0, want);
    ground_fini(&b);
}

/* The bias takes its share, the factor 1 / sigma none, and x_j - mean is a linear map of the row. */
static void explicit_layer_norm(op_rule rule)
{
    enum { WIDE = 7 };
    ground b;
    ground_init(&b, 2);
    weight *gain = matrix(&b, 1, WIDE), *bias = matrix(&b, 1, WIDE);
    ground_add(&b, &op_layer_norm, ground_source(&b, WIDE), NODE_NONE, NODE_NONE, gain, bias, (op_params){.eps = 1e-5});
    ground_back(&b, rule);
    double *out = relevance_out(&b), *want = fixture_room(&b.f, ROWS * WIDE, sizeof *want);
    const double *z = out + ROWS * WIDE;
    for (size_t r = 0; r < ROWS; r++) {
        double mean = 0;
        for (size_t i = 0; i < WIDE; i++)
            mean += (double)b.x[0][r * WIDE + i] / WIDE;
        for (size_t j = 0; j < WIDE; j++) {
            size_t at = r * WIDE + j;
            double scaled = out[at] * (z[at] - (double)bias->vector[j]) / z[at], centred = (double)b.x[0][at] - mean;
            for (size_t i = 0; i < WIDE; i++)
                want[r * WIDE + i] += (double)b.x[0][r * WIDE + i] * ((i == j) - 1.0 / WIDE) * scaled / centred;
        }
    }
    assert_relevance(&b, "layer norm", 0, want);
    ground_fini(&b);
}

static void explicit_rms_norm(op_rule rule)
{
    enum { WIDE = 7 };
    ground b;
    ground_init(&b, 3);
    ground_add(&b, &op_rms_norm, ground_source(&b, WIDE), NODE_NONE, NODE_NONE, matrix(&b, 1, WIDE), NULL, (op_params){.eps = 1e-5});
    ground_back(&b, rule);
    assert_relevance(&b, "rms norm", 0, relevance_out(&b));
    ground_fini(&b);
}

/* The identity; a sigmoid's constant half takes its share first. */
static void explicit_activation(op_rule rule)
{
    enum { WIDE = 7 };
    for (int act = 0; act < ACT_COUNT; act++) {
        ground b;
        ground_init(&b, 4);
        ground_add(&b, &op_activate, ground_source(&b, WIDE), NODE_NONE, NODE_NONE, NULL, NULL, (op_params){.act = (activation)act});
        for (size_t i = 0; i < 6; i++) /* where functions are clipped or saturate */
            b.x[0][i] = (real[]){7, -7, 12, -12, REAL(0.0005), REAL(-0.0005)}[i];
        ground_back(&b, rule);
        double *want = relevance_out(&b);
        const double *z = want + ROWS * WIDE;
        for (size_t i = 0; act == ACT_SIGMOID && i < ROWS * WIDE; i++)
            want[i] *= (z[i] - 0.5) / z[i];
        assert_relevance(&b, "activation", 0, want);
        ground_fini(&b);
    }
}

static void explicit_pairs(op_rule rule)
{
    enum { WIDE = 7 };
    for (int adds = 0; adds < 2; adds++) {
        ground b;
        ground_init(&b, 5);
        node x = ground_source(&b, WIDE), y = ground_source(&b, WIDE);
        ground_add(&b, adds ? &op_add : &op_multiply, x, y, NODE_NONE, NULL, NULL, (op_params){0});
        ground_back(&b, rule);
        double *out = relevance_out(&b), *want[2];
        const double *z = out + ROWS * WIDE;
        for (size_t j = 0; j < 2; j++) {
            want[j] = fixture_room(&b.f, ROWS * WIDE, sizeof(double));
            double share = rule == RULE_ATTNLRP ? 0.5 : (double)j; /* CP-LRP: the gate has none */
            for (size_t i = 0; i < ROWS * WIDE; i++)
                want[j][i] = adds ? (double)b.x[j][i] * out[i] / z[i] : share * out[i];
            assert_relevance(&b, adds ? "add" : "multiply", j, want[j]);
        }
        ground_fini(&b);
    }
}

/* Attention of one sequence and head, explicit in double. */
enum { HEADS = 2, HEAD = 3, WIDTH = HEADS * HEAD, BUCKETS = 8, FARTHEST = 16 };

typedef struct explicit_head {
    const ground *b;
    size_t first, keys, column; /* rows of the sequence, first column of the head */
    const weight *bias;
    double *rq, *rk, *rv;
} explicit_head;

static double at(const explicit_head *h, size_t input, size_t row, size_t c)
{
    return (double)h->b->x[input][(h->first + row) * WIDTH + h->column + c];
}

static double product_of(const explicit_head *h, size_t i, size_t j)
{
    double sum = 0;
    for (size_t c = 0; c < HEAD; c++)
        sum += (double)REAL(0.5) * at(h, 0, i, c) * at(h, 1, j, c);
    return sum;
}

static double bias_of(const explicit_head *h, size_t i, size_t j)
{
    real row[HEADS];
    if (!h->bias)
        return 0;
    size_t distance = i - j, bucket = distance < BUCKETS / 2 ? distance : SIZE_MAX; /* causal; sequences are short */
    assert_true(bucket != SIZE_MAX);
    weight_row(h->bias, bucket, row);
    return (double)row[h->column / HEAD];
}

/* One query: R of the mix to probabilities and values, of probabilities to scores, of scores to q and k. */
static void explicit_query(const explicit_head *h, size_t i, op_rule rule, const double *seed)
{
    double p[ROWS], rp[ROWS] = {0}, sum = 0, whole = 0;
    for (size_t j = 0; j <= i; j++)
        sum += p[j] = exp(product_of(h, i, j) + bias_of(h, i, j));
    for (size_t j = 0; j <= i; j++)
        p[j] /= sum;
    for (size_t c = 0; c < HEAD; c++) {
        double o = 0;
        for (size_t j = 0; j <= i; j++)
            o += p[j] * at(h, 2, j, c);
        double relevance = o * seed[(h->first + i) * WIDTH + h->column + c];
        for (size_t j = 0; j <= i; j++) {
            double share = p[j] * at(h, 2, j, c) * relevance / o;
            rp[j] += share / 2;
            h->rv[(h->first + j) * WIDTH + h->column + c] += rule == RULE_ATTNLRP ? share / 2 : share;
        }
    }
    for (size_t j = 0; j <= i; j++)
        whole += rp[j];
    for (size_t j = 0; rule == RULE_ATTNLRP && j <= i; j++) {
        double term = product_of(h, i, j), score = term + bias_of(h, i, j);
        double relevance = score * (rp[j] - p[j] * whole) * term / score;
        for (size_t c = 0; c < HEAD; c++) {
            double share = (double)REAL(0.5) * at(h, 0, i, c) * at(h, 1, j, c) / term * relevance / 2;
            h->rq[(h->first + i) * WIDTH + h->column + c] += share;
            h->rk[(h->first + j) * WIDTH + h->column + c] += share;
        }
    }
}

static void explicit_attention(op_rule rule)
{
    for (int biased = 0; biased < 2; biased++) {
        ground b;
        ground_init(&b, 6);
        b.rows = fixture_segments(&b.f, (const uint32_t[]){4, 4, 1}, 3);
        node q = ground_source(&b, WIDTH), k = ground_source(&b, WIDTH), v = ground_source(&b, WIDTH);
        weight *bias = biased ? matrix(&b, BUCKETS, HEADS) : NULL;
        ground_add(&b, &op_attention, q, k, v, bias, NULL,
                   (op_params){.heads = HEADS, .scale = REAL(0.5), .is_causal = true, .buckets = BUCKETS, .farthest = FARTHEST});
        ground_back(&b, rule);
        double *want[INPUTS];
        for (size_t j = 0; j < INPUTS; j++)
            want[j] = fixture_room(&b.f, ROWS * WIDTH, sizeof(double));
        double *seed = fixture_doubles(&b.f, b.seed, ROWS * WIDTH);
        for (size_t s = 0; s < b.rows.count; s++)
            for (size_t head = 0; head < HEADS; head++) {
                explicit_head h = {&b, b.rows.begin[s], b.rows.begin[s + 1] - b.rows.begin[s], head * HEAD, bias, want[0], want[1], want[2]};
                for (size_t i = 0; i < h.keys; i++)
                    explicit_query(&h, i, rule, seed);
            }
        static const char *const labels[INPUTS] = {"queries", "keys", "values"};
        for (size_t j = 0; j < INPUTS; j++)
            assert_relevance(&b, labels[j], j, want[j]);
        ground_fini(&b);
    }
}

static void test_rules__equal_their_explicit_form(void **state)
{
    (void)state;
    for (op_rule rule = RULE_ATTNLRP; rule < RULE_COUNT; rule++) {
        explicit_linear(rule);
        explicit_layer_norm(rule);
        explicit_rms_norm(rule);
        explicit_activation(rule);
        explicit_pairs(rule);
        explicit_attention(rule);
    }
}

/* ---- INV-LRP4: linear networks ----------------------------------------------------------------------------------- */

static void test_rules__linear_network_has_its_exact_contributions(void **state)
{
    (void)state;
    enum { WIDE = 6, OUT = 5 };
    for (op_rule rule = RULE_ATTNLRP; rule < RULE_COUNT; rule++) {
        ground b;
        ground_init(&b, 8);
        node x = ground_source(&b, WIDE), y = ground_source(&b, OUT);
        node z = ground_add(&b, &op_linear, x, NODE_NONE, NODE_NONE, matrix(&b, OUT, WIDE), matrix(&b, 1, OUT), (op_params){0});
        z = ground_add(&b, &op_add, z, y, NODE_NONE, NULL, NULL, (op_params){0});
        z = ground_add(&b, &op_scale, z, NODE_NONE, NODE_NONE, NULL, NULL, (op_params){.scale = REAL(0.7)});
        ground_add(&b, &op_linear, z, NODE_NONE, NODE_NONE, matrix(&b, 3, OUT), matrix(&b, 1, 3), (op_params){0});
        ground_back(&b, RULE_GRADIENT);
        real *gradients[2];
        for (size_t j = 0; j < 2; j++) {
            gradients[j] = fixture_room(&b.f, b.size[j], sizeof(real));
            memcpy(gradients[j], runner_gradient(b.r, b.in[j]), b.size[j] * sizeof(real));
        }
        double *absorbed = fixture_room(&b.f, b.g->count * ABSORBED_KINDS, sizeof *absorbed), in = 0, out = 0, sizes = 0;
        assert_int_equal(runner_backward_under(b.r, rule, b.out, b.seed, absorbed, &b.error), TKR_OK);
        for (size_t j = 0; j < 2; j++) {
            const real *g = runner_gradient(b.r, b.in[j]);
            assert_memory_equal(g, gradients[j], b.size[j] * sizeof(real)); /* gradient x input, to the bit */
            for (size_t i = 0; i < b.size[j]; i++) {
                in += (double)b.x[j][i] * (double)g[i];
                sizes += fabs((double)b.x[j][i] * (double)g[i]);
            }
        }
        for (size_t i = 0; i < b.g->count * ABSORBED_KINDS; i++)
            in += absorbed[i];
        const double *relevance = relevance_out(&b);
        for (size_t i = 0; i < ROWS * 3; i++)
            out += relevance[i];
        double got[2] = {in, sizes}, want[2] = {out, sizes};
        assert_close_tensor("linear network", TENSOR(got, 2), TENSOR(want, 2), TOLERANCE_op_relevance);
        ground_fini(&b);
    }
}

/* ---- INV-LRP6: one block ----------------------------------------------------------------------------------------- */

/* Gradients with norms held: what AttnLRP passes on is 1/4 of it for queries and keys and 1/2 for values, to the bit. */
static void test_rules__shares_of_one_block(void **state)
{
    (void)state;
    ground b;
    ground_init(&b, 9);
    node x = ground_source(&b, WIDTH), part[INPUTS];
    node seen = ground_add(&b, &op_layer_norm, x, NODE_NONE, NODE_NONE, matrix(&b, 1, WIDTH), matrix(&b, 1, WIDTH), (op_params){.eps = 1e-5});
    weight *w[INPUTS];
    for (size_t j = 0; j < INPUTS; j++) {
        w[j] = matrix(&b, WIDTH, WIDTH);
        part[j] = ground_add(&b, &op_linear, seen, NODE_NONE, NODE_NONE, w[j], matrix(&b, 1, WIDTH), (op_params){0});
        b.g->nodes[part[j]].is_gradient_kept = true;
    }
    b.g->nodes[seen].is_gradient_kept = true;
    node mixed = ground_add(&b, &op_attention, part[0], part[1], part[2], NULL, NULL, (op_params){.heads = HEADS, .scale = REAL(0.5)});
    ground_add(&b, &op_linear, mixed, NODE_NONE, NODE_NONE, matrix(&b, 3, WIDTH), matrix(&b, 1, 3), (op_params){0});
    ground_back(&b, RULE_GRADIENT);
    static const real shares[2][INPUTS] = {{REAL(0.25), REAL(0.25), REAL(0.5)}, {0, 0, 1}};
    real want[INPUTS][ROWS * WIDTH];
    for (size_t j = 0; j < INPUTS; j++)
        memcpy(want[j], runner_gradient(b.r, part[j]), sizeof want[j]);
    for (op_rule rule = RULE_ATTNLRP; rule < RULE_COUNT; rule++) {
        double at_norm[ROWS * WIDTH] = {0};
        ground_back(&b, rule);
        for (size_t j = 0; j < INPUTS; j++) {
            const real *got = runner_gradient(b.r, part[j]);
            for (size_t i = 0; i < ROWS * WIDTH; i++) {
                real wanted = shares[rule - RULE_ATTNLRP][j] * want[j][i], row[WIDTH];
                assert_true(got[i] == wanted);
                weight_row(w[j], i % WIDTH, row);
                for (size_t k = 0; k < WIDTH; k++)
                    at_norm[i / WIDTH * WIDTH + k] += (double)wanted * (double)row[k];
            }
        }
        assert_close_tensor("below the three maps", TENSOR(runner_gradient(b.r, seen), ROWS * WIDTH), TENSOR(at_norm, ROWS * WIDTH),
                            TOLERANCE_explicit_rule);
    }
    ground_fini(&b);
}

/* ---- the ratios of activations ----------------------------------------------------------------------------------- */

/* (f(x) - f(0)) / x is finite and right at 0, near it and far out, where x f'(x) or a quotient would not be. */
static void test_rules__ratios_at_special_places(void **state)
{
    (void)state;
    static const struct {
        activation act;
        double at_zero, far_left, far_right;
    } cases[] = {{ACT_GELU_ERF, 0.5, 0, 1},   {ACT_GELU_TANH, 0.5, 0, 1}, {ACT_GELU_FAST, 0.5, 0, 1}, {ACT_GELU_10, 0.5, 0, 1e-4},
                 {ACT_QUICK_GELU, 0.5, 0, 1}, {ACT_RELU, 0, 0, 1},        {ACT_RELU6, 0, 0, 6e-5},    {ACT_RELU2, 0, 0, 1e5},
                 {ACT_SILU, 0.5, 0, 1},       {ACT_MISH, 0.6, 0, 1},      {ACT_SIGMOID, 0.25, 5e-6, 5e-6},
                 {ACT_TANH, 1, 1e-5, 1e-5},   {ACT_LINEAR, 1, 1, 1},      {ACT_LEAKY_RELU, 0.01, 0.01, 1}};
    assert_int_equal(sizeof cases / sizeof *cases, ACT_COUNT);
    for (size_t k = 0; k < ACT_COUNT; k++) {
        const real x[] = {0, REAL(1e-30), REAL(-1e5), REAL(1e5)}, dy[] = {1, 1, 1, 1};
        real got[4];
        kernels_best()->activate_ratio(cases[k].act, got, dy, x, 4);
        assert_true(fabs((double)got[0] - cases[k].at_zero) <= 1e-6);
        assert_true(isfinite(got[1]));
        assert_true(fabs((double)got[2] - cases[k].far_left) <= 1e-6 * cases[k].far_left);
        assert_true(fabs((double)got[3] - cases[k].far_right) <= 1e-6 * cases[k].far_right);
    }
}

/* ---- what may go wrong ------------------------------------------------------------------------------------------- */

static tkr_status copy_back(const op_call *c, size_t begin, size_t end)
{
    size_t at = begin * c->node->width;
    memcpy(c->din[0] + at, c->dout + at, (end - begin) * c->node->width * sizeof(real));
    return TKR_OK;
}

/* An op without a rule is our own mistake and is named; the gradient beside it works. */
static void test_rules__missing_rule_is_named(void **state)
{
    (void)state;
    op plain = op_scale;
    plain.name = "plain";
    memset(plain.backward, 0, sizeof plain.backward);
    plain.backward[RULE_GRADIENT] = copy_back;
    ground b;
    ground_init(&b, 10);
    ground_add(&b, &plain, ground_source(&b, 3), NODE_NONE, NODE_NONE, NULL, NULL, (op_params){.scale = 1});
    ground_back(&b, RULE_GRADIENT);
    assert_int_equal(runner_backward_under(b.r, RULE_CPLRP, b.out, b.seed, NULL, &b.error), TKR_E_INTERNAL);
    assert_string_equal(b.error.message, "node 1: op plain has no way back under rule 2");
    assert_null(runner_gradient(b.r, b.in[0])); /* nothing half done is readable */
    ground_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__equal_their_explicit_form),
        cmocka_unit_test(test_rules__linear_network_has_its_exact_contributions),
        cmocka_unit_test(test_rules__shares_of_one_block),
        cmocka_unit_test(test_rules__ratios_at_special_places),
        cmocka_unit_test(test_rules__missing_rule_is_named),
    };
    int failed = cmocka_run_group_tests_name("rules", tests, NULL, NULL);
    tolerance_report();
    return failed;
}
