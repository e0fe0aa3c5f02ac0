/* What the tests of the tensor room share; see tensors.h. */
#include "support/tensors.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void fixture_init(fixture *f, uint64_t seed)
{
    *f = (fixture){.arena = arena_new((size_t)1 << 30), .key = {.seed = seed, .purpose = random_purpose("tests")}};
    assert_non_null(f->arena);
}

void fixture_forget_packs(fixture *f)
{
    for (size_t i = 0; i < f->weight_count; i++)
        packed_free(atomic_exchange(&f->weights[i]->pack, NULL));
}

void fixture_fini(fixture *f)
{
    for (size_t i = 0; i < f->weight_count; i++)
        weight_fini(f->weights[i]);
    arena_free(f->arena);
}

void *fixture_room(fixture *f, size_t count, size_t size)
{
    void *room = arena_alloc(f->arena, count + 1, size);
    assert_non_null(room);
    return room;
}

double fixture_normal(fixture *f) { return random_normal(f->key, f->draws++); }
uint32_t fixture_below(fixture *f, uint32_t bound) { return random_below(f->key, f->draws++, bound); }

real *fixture_numbers(fixture *f, size_t count)
{
    real *numbers = fixture_room(f, count, sizeof *numbers);
    for (size_t i = 0; i < count; i++)
        numbers[i] = (real)fixture_normal(f);
    return numbers;
}

double *fixture_doubles(fixture *f, const real *numbers, size_t count)
{
    double *doubles = fixture_room(f, count, sizeof *doubles);
    for (size_t i = 0; i < count; i++)
        doubles[i] = (double)numbers[i];
    return doubles;
}

/* A number in a storage type.  16-bit types: the fraction is cut, which is as good as any number for a test. */
static void store(weight_dtype dtype, double number, unsigned char *to)
{
    float single = (float)number;
    uint32_t bits;
    memcpy(&bits, &single, sizeof bits);
    uint16_t half = (uint16_t)(bits >> 16);
    if (dtype == WEIGHT_F64) {
        memcpy(to, &number, sizeof number);
    } else if (dtype == WEIGHT_F32) {
        memcpy(to, &single, sizeof single);
    } else {
        int exponent = (int)(bits >> 23 & 0xff) - 127 + 15;
        if (dtype == WEIGHT_F16)
            half = (uint16_t)((bits >> 16 & 0x8000U) | (exponent > 0 ? (unsigned)exponent << 10 : 0U) |
                              (bits >> 13 & 0x3ffU));
        memcpy(to, &half, sizeof half);
    }
}

weight *fixture_weight(fixture *f, weight_dtype dtype, size_t rows, size_t columns, bool is_transposed, double middle,
                       double spread)
{
    size_t bytes = weight_dtype_bytes(dtype);
    unsigned char *data = (unsigned char *)fixture_room(f, rows * columns + 1, bytes) + 1;
    for (size_t i = 0; i < rows * columns; i++)
        store(dtype, middle + spread * fixture_normal(f), data + i * bytes);
    weight *w = fixture_room(f, 1, sizeof *w);
    tkr_error error = {0};
    assert_int_equal(weight_init(w, "w", dtype, data, rows, columns, is_transposed, &error), TKR_OK);
    assert_true(f->weight_count < FIXTURE_WEIGHTS);
    f->weights[f->weight_count++] = w;
    return w;
}

segments fixture_segments(fixture *f, const uint32_t *lengths, size_t count)
{
    uint32_t *begin = fixture_room(f, count + 1, sizeof *begin);
    for (size_t i = 0; i < count; i++)
        begin[i + 1] = begin[i] + lengths[i];
    return (segments){.count = count, .begin = begin};
}

static bool source_shape(op_shape *s)
{
    s->width = s->node->params.heads;
    return true;
}

static tkr_status source_forward(const op_call *c, size_t begin, size_t end)
{
    size_t width = c->node->width;
    memset(c->out + begin * width, 0, (end - begin) * width * sizeof(real));
    return TKR_OK;
}

static double source_flops(const graph_node *n, const graph_node *const *in, bool backward)
{
    (void)n, (void)in, (void)backward;
    return 0;
}

const op op_test_source = {.name = "test_source", .shape = source_shape, .forward = source_forward, .flops = source_flops};

node source_add(graph *g, size_t width, segments rows_of)
{
    return graph_add(g, &op_test_source, NULL, NULL, (op_params){.heads = width}, rows_of.begin[rows_of.count], rows_of);
}

tkr_status intervene_copy(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    memcpy(rows, user, site->rows * site->width * sizeof(real));
    return TKR_OK;
}

void graph_reference(fixture *f, const graph *g, double **values)
{
    for (size_t i = 0; i < g->count; i++) {
        const graph_node *n = &g->nodes[i], *in[NODE_INPUTS] = {0};
        const double *inputs[NODE_INPUTS] = {0};
        for (int j = 0; j < n->op->inputs && n->in[j] != NODE_NONE; j++) {
            in[j] = &g->nodes[n->in[j]];
            inputs[j] = values[n->in[j]];
        }
        if (values[i] == NULL)
            values[i] = fixture_room(f, n->rows * n->width, sizeof(double));
        if (n->op->reference != NULL)
            n->op->reference(n, in, inputs, values[i]);
    }
}
