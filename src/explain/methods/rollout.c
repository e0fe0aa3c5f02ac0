/*
 * Attention rollout (Abnar and Zuidema 2020; methods.md 3.3): shares of the input in the row that the target is read at.
 *
 * Known to go wrong: in decoders the number of ways to early positions grows with depth, so that even attention of all alike ends
 * at position 0; correction=prior divides by what the mask alone would give, correction=drop-first leaves that position out.  In
 * encoder-decoders the share of the output's own tokens is beta^layers whatever the model does; compare within each part.
 */
#include "base/failure.h"
#include "explain/attention_reads.h"
#include "explain/attention_rollout.h"

enum { ALPHA, FUSION, DISCARD, CORRECTION, BETA, FIRST, LAST };
static const parameter parameters[] = {
    REAL_PARAMETER("alpha", 0.5, 0, 1, "share of attention; the rest is the residual"),
    CHOICE_PARAMETER("fusion", "mean", FUSION_CHOICES, "of the heads of a layer"),
    REAL_PARAMETER("discard", 0, 0, 0.999, "share of each layer's entries, the smallest, that become 0"),
    CHOICE_PARAMETER("correction", "raw", "raw|prior|drop-first", "decoders: against what the causal mask alone does"),
    REAL_PARAMETER("beta", 0.5, 0, 1, "encoder-decoders: share of the residual around attention to the source"),
    INT_PARAMETER("first", 0, 0, 1023, "first layer, from 0"),
    INT_PARAMETER("last", -1, -1, 1023, "last layer; -1: the model's"),
    END_PARAMETERS};

static bool corrects(const arguments *a, const char *how) { return view_is(a->text[CORRECTION], how); }

static tkr_status check_layers(const question *q, const arguments *a, tkr_error *error)
{
    size_t layers = attention_layers_of(q), other = q->model->config.layers;
    layers = other < layers ? other : layers; /* of the shorter stack */
    double last = a->number[LAST] < 0 ? (double)layers - 1 : a->number[LAST];
    if (a->number[FIRST] <= last && last < (double)layers)
        return TKR_OK;
    fail(error, TKR_E_USAGE_RANGE, "rollout: layers %.0f to %.0f; the model has layers 0 to %zu", a->number[FIRST], last, layers - 1);
    fail_field(error, "methods", -1, 0);
    return TKR_E_USAGE_RANGE;
}

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    if (model_shape(q->model) != FAMILY_ENCODER || corrects(a, "raw"))
        return check_layers(q, a, error);
    fail(error, TKR_E_USAGE_CAPABILITY, "rollout: correction %s is for causal masks; this model looks both ways", PLAIN(a->text[CORRECTION]));
    fail_help(error, "-M rollout");
    fail_field(error, "methods", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features, (void)targets;
    return (method_cost){.evaluations = 1, .at_once = 1, .forward = 1};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return attention_maps_bytes(q) + attention_mix_bytes(q) + 4 * q->length * q->length * sizeof(double);
}

static mix_options options_of(const arguments *a)
{
    return (mix_options){.fusion = attention_fusion_of(a->text[FUSION]), .alpha = a->number[ALPHA], .beta = a->number[BETA],
                         .discard = a->number[DISCARD], .first = (size_t)a->number[FIRST], .end = (size_t)(a->number[LAST] + 1)};
}

static void correct(const method_call *c, const attention_mix *m, const attention_reads *reads, double *own, double *prior)
{
    for (size_t k = 0; k < reads->count; k++) {
        double *row = own + k * m->own.keys;
        if (corrects(&c->arguments, "drop-first"))
            attention_rollout_drop_first(row, reads->rows[k]);
        if (!corrects(&c->arguments, "prior"))
            continue;
        attention_rollout_prior(m->own.layers, c->arguments.number[ALPHA], reads->rows[k], prior);
        attention_rollout_correct(row, prior, reads->rows[k]);
    }
}

static tkr_status run(method_call *c, tkr_error *error)
{
    arena *a = c->q->arena;
    const mix_options options = options_of(&c->arguments);
    attention_maps maps;
    attention_mix m;
    attention_reads reads;
    tkr_status status = attention_maps_capture(c->q, a, &maps, error);
    if (!status)
        status = attention_mix_maps(&maps, &options, a, &m, error);
    if (!status)
        status = attention_reads_find(c->q, a, &reads, error);
    if (status)
        return status;
    double *own = ARENA_NEW(a, double, reads.count * m.own.keys), *source = ARENA_NEW(a, double, reads.count * m.cross.keys);
    double *room = ARENA_NEW(a, double, attention_rollout_room(&m));
    if (!own || !source || !room)
        return fail_memory(error, "rows of rollout", reads.count * m.own.keys * sizeof(double));
    attention_rollout(&m, reads.rows, reads.count, own, source, room);
    correct(c, &m, &reads, own, room);
    attention_reads_score(c, &reads, own, m.cross.layers > 0 ? source : NULL);
    c->evaluations = c->forward = 1;
    return TKR_OK;
}

static const char *const aliases[] = {"attention-rollout", NULL};

const method rollout_method = {
    .facts = {.id = "rollout",
              .title = "attention rollout",
              .family = "inside",
              .summary = "how much of each token is left in the row of the prediction when attention is followed through all layers",
              .paper = "Abnar and Zuidema 2020",
              .needs = "attention",
              .cost = "1 forward pass",
              .caveat = "the same for every answer; in decoders mostly the causal mask (correction=prior)",
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_INSIDE,
    .scores_tokens = true,
    .unit = "share",
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
