/*
 * Attention flow (Abnar and Zuidema 2020; methods.md 3.4): the most that can flow to each token from the row that the target is
 * read at, through edges as wide as the mixed attention; exact.
 *
 * Known to go wrong: in deep models that look both ways nearly every flow is all that the token's first layer lets through,
 * whatever the row.  The detail `saturated` is the share of such tokens among those with any flow; at 1 the scores are the
 * column sums of the first layer and nothing else.
 */
#include "base/failure.h"
#include "explain/attention_flow.h"
#include "explain/attention_reads.h"

enum { FORM, ALPHA, FUSION, BETA };
static const parameter parameters[] = {
    CHOICE_PARAMETER("form", "normalised", "normalised|raw", "flows divided by their sum, or as they are"),
    REAL_PARAMETER("alpha", 0.5, 0, 1, "share of attention; the rest is the residual"),
    CHOICE_PARAMETER("fusion", "mean", FUSION_CHOICES, "of the heads of a layer"),
    REAL_PARAMETER("beta", 0.5, 0, 1, "encoder-decoders: share of the residual around attention to the source"),
    END_PARAMETERS};

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features, (void)targets;
    return (method_cost){.evaluations = 1, .at_once = 1, .forward = 1};
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return attention_maps_bytes(q) + attention_mix_bytes(q) + attention_flow_bytes(q) + 4 * q->length * q->length * sizeof(double);
}

static void normalise(double *own, size_t own_count, double *source, size_t source_count)
{
    double sum = 0;
    for (size_t i = 0; i < own_count; i++)
        sum += own[i];
    for (size_t i = 0; i < source_count; i++)
        sum += source[i];
    for (size_t i = 0; sum > 0 && i < own_count; i++)
        own[i] /= sum;
    for (size_t i = 0; sum > 0 && i < source_count; i++)
        source[i] /= sum;
}

/* Share of all tokens with any flow, over the rows of each target. */
static void tell_saturated(method_call *c, const attention_reads *reads, const attention_flow_values *flow)
{
    for (size_t t = 0; t < c->q->target_count; t++) {
        size_t positive = 0, saturated = 0;
        for (size_t k = 0; k < c->q->targets[t].term_count; k++) {
            size_t place = attention_reads_place(c->q, reads, t, k);
            positive += flow->positive[place];
            saturated += flow->saturated[place];
        }
        c->details[t] = positive ? (double)saturated / (double)positive : 0;
    }
}

static bool make_room(arena *a, const attention_mix *m, size_t rows, attention_flow_values *flow)
{
    *flow = (attention_flow_values){.own = ARENA_NEW(a, double, rows * m->own.keys), .source = ARENA_NEW(a, double, rows * m->cross.keys),
                                    .positive = ARENA_NEW(a, size_t, rows), .saturated = ARENA_NEW(a, size_t, rows)};
    return !arena_failed(a);
}

static tkr_status run(method_call *c, tkr_error *error)
{
    arena *a = c->q->arena;
    const arguments *args = &c->arguments;
    mix_options options = mix_defaults();
    options.alpha = args->number[ALPHA];
    options.beta = args->number[BETA];
    options.fusion = attention_fusion_of(args->text[FUSION]);
    attention_maps maps;
    attention_mix m;
    attention_reads reads;
    attention_flow_values flow;
    tkr_status status = attention_maps_capture(c->q, a, &maps, error);
    if (!status)
        status = attention_mix_maps(&maps, &options, a, &m, error);
    if (!status)
        status = attention_reads_find(c->q, a, &reads, error);
    if (!status && !make_room(a, &m, reads.count, &flow))
        status = fail_memory(error, "rows of flow", reads.count * m.own.keys * sizeof(double));
    if (!status)
        status = attention_flow(&m, reads.rows, reads.count, c->q->session, &flow, error);
    if (status)
        return status;
    for (size_t k = 0; view_is(args->text[FORM], "normalised") && k < reads.count; k++)
        normalise(flow.own + k * m.own.keys, m.own.keys, flow.source + k * m.cross.keys, m.cross.keys);
    attention_reads_score(c, &reads, flow.own, m.cross.layers > 0 ? flow.source : NULL);
    tell_saturated(c, &reads, &flow);
    c->evaluations = c->forward = 1;
    return TKR_OK;
}

static const char *const aliases[] = {"attention-flow", NULL}, *const details[] = {"saturated", NULL};

const method flow_method = {
    .facts = {.id = "flow",
              .title = "attention flow",
              .family = "inside",
              .summary = "the most that can flow from the row of the prediction to each token through the attention of all layers",
              .paper = "Abnar and Zuidema 2020",
              .needs = "attention",
              .cost = "1 forward pass, and a maximum flow for each token",
              .caveat = "in deep encoders it says only what the first layer lets through (the share `saturated`)",
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_INSIDE,
    .scores_tokens = true,
    .unit = "share",
    .details = details,
    .cost = cost,
    .held = held,
    .run = run,
};
