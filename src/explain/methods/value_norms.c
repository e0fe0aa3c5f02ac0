/*
 * Value-weighted attention: attention weights times the length of what they carry (Kobayashi et al. 2020 "Attention is not only a weight",
 * 2021 "Incorporating residual and normalization layers").  Token scores are shares that sum to 1: of the last layer, the row where the
 * answer is read; with layers=rollout of the row-normalised matrices of all layers, one times the next, as attention rollout
 * does with weights.  norm=attn is the attention's output alone, res with the residual stream, resln behind the norm (post-norm models).
 *
 * Encoder-decoders, our definition: of the last layer the row of the decoder's own attention and that of its attention to the source
 * are divided by their common sum (the vectors join one stream); the residual beside the cross attention belongs to no token and is
 * left out there, but keeps its share in a rollout.
 *
 * Known to go wrong: norms do not cancel, so two vectors that point against each other both count; the target plays no part: all targets
 * that are read at one row have the same scores.
 */
#include "explain/answer_rows.h"
#include "explain/attention_norms.h"
#include "explain/method.h"

enum { NORM, LAYERS };
static const parameter parameters[] = {
    CHOICE_PARAMETER("norm", "attn", "attn|res|resln", "which vectors: the attention's, with the residual stream, or behind the norm too"),
    CHOICE_PARAMETER("layers", "last", "last|rollout", "the last layer alone, or the product over all layers"), END_PARAMETERS};

static norm_form form_of(const arguments *a)
{
    return view_is(a->text[NORM], "resln") ? NORM_RESLN : view_is(a->text[NORM], "res") ? NORM_RES : NORM_ATTN;
}

static bool is_last(const arguments *a) { return view_is(a->text[LAYERS], "last"); }

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    return attention_norms_check(q, form_of(a), error);
}

/* Rows of the last layer; those of the decoder are divided by the sum over both attentions. */
static tkr_status take_last(const attention_norms *n, arena *a, token_relevance *out, tkr_error *error)
{
    const attention_stack *decoder = &n->maps.of[ATTENTION_DECODER], *cross = &n->maps.of[ATTENTION_CROSS];
    const attention_stack *own = decoder->layers > 0 ? decoder : &n->maps.of[ATTENTION_ENCODER];
    tkr_status status = token_relevance_new(&n->maps, a, out, error);
    const double *self = attention_head_map(own, own->layers - 1, 0), *source = out->source ? attention_head_map(cross, cross->layers - 1, 0) : NULL;
    for (size_t i = 0; !status && i < out->output; i++) {
        double sum = 0;
        for (size_t j = 0; j < out->output; j++)
            sum += self[i * out->output + j];
        for (size_t j = 0; j < out->source; j++)
            sum += source[i * out->source + j];
        for (size_t j = 0; j < out->output; j++)
            out->self[i * out->output + j] = sum > 0 ? self[i * out->output + j] / sum : 0;
        for (size_t j = 0; j < out->source; j++)
            out->cross[i * out->source + j] = sum > 0 ? source[i * out->source + j] / sum : 0;
    }
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    const norm_form form = form_of(&c->arguments);
    const bool last = is_last(&c->arguments);
    attention_norms norms;
    token_relevance shares;
    tkr_status status = session_tell(q->session, c->id, "inputs", 0, 1, error);
    if (!status)
        status = attention_norms_capture(q, form, last, q->arena, &norms, error);
    if (!status)
        status = last ? take_last(&norms, q->arena, &shares, error) : attention_norms_rollout(&norms, form, q->arena, &shares, error);
    for (size_t t = 0; !status && t < q->target_count; t++)
        answer_rows_add(q, &q->targets[t], shares.self, shares.cross, c->token_scores + t * q->length);
    c->forward++;
    return status;
}

static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return attention_norms_bytes(q) + token_relevance_bytes(q->length);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features, (void)targets;
    return (method_cost){.forward = 1};
}

static const char *const aliases[] = {"attention-norms", NULL};

const method value_norms_method = {
    .facts = {.id = "value-norms",
              .title = "value-weighted attention",
              .family = "inside",
              .summary = "share of each token in what attention brings to the place of the answer, by the length of the vectors",
              .paper = "Kobayashi et al. 2020",
              .needs = "attention",
              .cost = "1 forward pass",
              .caveat = "says what was read, not whether it spoke for the target; lengths do not cancel",
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
