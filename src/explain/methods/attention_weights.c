/*
 * Attention weights as scores (methods.md 3.1): what the row that the target is read at gives to each token in one layer, or, with
 * direction=received, what a token gets on the mean from the rows that see it.
 *
 * Known to go wrong: under a causal mask early tokens are seen by more rows, so the mean runs over those alone that can see the
 * token and that come no later than the row that is read.  An encoder-decoder's decoder has two attentions: each sums to 1.
 * Weights say where values were fetched, not what they were nor what became of them (Jain and Wallace 2019).
 */
#include "base/failure.h"
#include "explain/attention_mix.h"
#include "explain/attention_reads.h"

enum { LAYER, LAYERS, HEAD, DIRECTION, SELF };
static const parameter parameters[] = {
    INT_PARAMETER("layer", -1, -1, 1023, "which layer, from 0; -1: the last"),
    CHOICE_PARAMETER("layers", "one", "one|all", "that layer, or the mean over all"),
    INT_PARAMETER("head", -1, -1, 1023, "which head, from 0; -1: the mean over all"),
    CHOICE_PARAMETER("direction", "from", "from|received", "what the row of the prediction gives, or what tokens receive on the mean"),
    INT_PARAMETER("self", 1, 0, 1, "0: received without what a token gives itself"),
    END_PARAMETERS};

static tkr_status check_below(const char *name, double asked, size_t count, tkr_error *error)
{
    if (asked < (double)count)
        return TKR_OK;
    fail(error, TKR_E_USAGE_RANGE, "attention: %s %.0f; the model has %ss 0 to %zu", name, asked, name, count - 1);
    fail_field(error, "methods", -1, 0);
    return TKR_E_USAGE_RANGE;
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    tkr_status status = check_below("layer", a->number[LAYER], attention_layers_of(q), error);
    return status ? status : check_below("head", a->number[HEAD], q->model->config.heads, error);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features, (void)targets;
    return (method_cost){.evaluations = 1, .at_once = 1, .forward = 1};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return attention_maps_bytes(q) + 3 * q->length * q->length * sizeof(double);
}

/* The layers that count, in one matrix; room for one layer. */
static void reduce(const attention_stack *s, const arguments *a, double *out, double *room)
{
    size_t count = s->queries * s->keys, chosen = a->number[LAYER] < 0 ? s->layers - 1 : (size_t)a->number[LAYER];
    bool all = view_is(a->text[LAYERS], "all");
    double share = all ? 1 / (double)s->layers : 1;
    memset(out, 0, count * sizeof *out);
    for (size_t l = all ? 0 : chosen; l < (all ? s->layers : chosen + 1); l++) {
        const double *map = a->number[HEAD] < 0 ? room : attention_head_map(s, l, (size_t)a->number[HEAD]);
        if (map == room)
            attention_fuse(s, l, FUSION_MEAN, room);
        for (size_t i = 0; i < count; i++)
            out[i] += share * map[i];
    }
}

/* Mean of column j over the rows that see it: all of an encoder's, of a decoder's those up to `row`, of its own keys from j on. */
static double received(const double *m, const attention_stack *s, attention_kind kind, size_t row, size_t j, bool self)
{
    size_t begin = kind == ATTENTION_DECODER ? j : 0, end = kind == ATTENTION_ENCODER ? s->queries : row + 1, count = 0;
    double sum = 0;
    for (size_t i = begin; i < end; i++) {
        bool counts = self || kind == ATTENTION_CROSS || i != j;
        sum += counts ? m[i * s->keys + j] : 0;
        count += counts;
    }
    return count ? sum / (double)count : 0;
}

/* Numbers of each row that is read, [rows][keys]; NULL without such attention, or without memory. */
static double *score_rows(const method_call *c, const attention_maps *maps, attention_kind kind, const attention_reads *reads)
{
    const attention_stack *s = &maps->of[kind];
    arena *a = c->q->arena;
    double *m = ARENA_NEW(a, double, 2 * s->queries * s->keys), *out = ARENA_NEW(a, double, reads->count * s->keys);
    if (s->layers == 0 || !m || !out)
        return NULL;
    reduce(s, &c->arguments, m, m + s->queries * s->keys);
    bool is_from = view_is(c->arguments.text[DIRECTION], "from"), self = c->arguments.number[SELF] > 0;
    for (size_t k = 0; k < reads->count; k++)
        for (size_t j = 0; j < s->keys; j++)
            out[k * s->keys + j] = is_from ? m[reads->rows[k] * s->keys + j] : received(m, s, kind, reads->rows[k], j, self);
    return out;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    arena *a = c->q->arena;
    attention_maps maps;
    attention_reads reads;
    tkr_status status = attention_maps_capture(c->q, a, &maps, error);
    if (!status)
        status = attention_reads_find(c->q, a, &reads, error);
    if (status)
        return status;
    bool is_decoder = maps.of[ATTENTION_DECODER].layers > 0;
    double *own = score_rows(c, &maps, is_decoder ? ATTENTION_DECODER : ATTENTION_ENCODER, &reads);
    double *source = score_rows(c, &maps, ATTENTION_CROSS, &reads);
    if (arena_failed(a))
        return fail_memory(error, "scores of attention", c->q->length * c->q->length * sizeof(double));
    attention_reads_score(c, &reads, own, source);
    c->evaluations = c->forward = 1;
    return TKR_OK;
}

const method attention_weights_method = {
    .facts = {.id = "attention",
              .title = "attention",
              .family = "inside",
              .summary = "where the row of the prediction looks: attention weights of a layer",
              .paper = "Bahdanau, Cho, Bengio 2015; Jain and Wallace 2019",
              .needs = "attention",
              .cost = "1 forward pass",
              .caveat = "where values are fetched, not what they do; much rests on separators and first tokens"},
    .parameters = parameters,
    .needs = NEEDS_INSIDE,
    .scores_tokens = true,
    .unit = "share",
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
