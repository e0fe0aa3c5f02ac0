/*
 * Attention times its gradient: for each head and pair of tokens g_A A, the first-order share of f that runs through this attention
 * probability (Barkan et al. 2021, "Grad-SAM"; Chefer, Gur, Wolf 2021).  The mean over heads of its positive part (relu), its size
 * (abs) or itself (signed); of the mean over layers, or of one layer, a token's score is its column in the row where the answer is read.
 * Encoder-decoders: the decoder's own attention scores its tokens, its attention to the source the source's; the encoder's own
 * has no row of an answer and takes no part.
 *
 * Known to go wrong: what runs past attention, by the residual stream, is not in it; a lower layer's key is a mix of tokens, not the
 * token; in the last layer of a classifier only the row that is read has a gradient, in lower layers other rows carry as much, and they
 * are not shown (chefer puts the layers together).
 */
#include "base/failure.h"
#include "explain/answer_rows.h"
#include "explain/attention_gradients.h"
#include "explain/attention_reads.h"
#include "explain/attention_relevance.h"
#include "explain/local.h"

enum { KIND, LAYER };
static const parameter parameters[] = {
    CHOICE_PARAMETER("kind", "relu", "relu|abs|signed", "what of the product is averaged over heads: its positive part, its size, or itself"),
    INT_PARAMETER("layer", -1, -1, 1023, "the layer, counted from 0; -1: the mean over all"), END_PARAMETERS};

static weighing weighing_of(const arguments *a)
{
    return view_is(a->text[KIND], "signed") ? WEIGH_SIGNED : view_is(a->text[KIND], "abs") ? WEIGH_ABS : WEIGH_RELU;
}

static bool is_signed(const arguments *a) { return weighing_of(a) == WEIGH_SIGNED; }

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    size_t layers = attention_layers_of(q);
    if (a->number[LAYER] < (double)layers)
        return TKR_OK;
    fail(error, TKR_E_USAGE_RANGE, "grad-attention: layer %.0f; the model's layers are 0 to %zu", a->number[LAYER], layers - 1);
    fail_field(error, "methods", -1, 0);
    return error->code;
}

/* The mean over the layers that are asked for becomes layer 0. */
static void average_layers(attention_stack *s, double chosen)
{
    const size_t count = s->queries * s->keys;
    double *first = s->at;
    if (chosen >= 0 && s->layers > 0)
        memmove(first, attention_head_map(s, (size_t)chosen, 0), count * sizeof *first);
    for (size_t l = 1; chosen < 0 && l < s->layers; l++)
        for (size_t i = 0; i < count; i++)
            first[i] += attention_head_map(s, l, 0)[i];
    for (size_t i = 0; chosen < 0 && s->layers > 0 && i < count; i++)
        first[i] /= (double)s->layers;
}

/* One run: what the walk is told, the open pass, and room for the gradients of one target. */
typedef struct grad_attention {
    ways_back w; /* first, so that a visit finds the rest */
    attention_gradients g;
    attention_maps gradients;
} grad_attention;

static tkr_status score_target(method_call *c, const ways_back *w, size_t i, tkr_error *error)
{
    const grad_attention *own = (const grad_attention *)(const void *)w;
    const question *q = c->q;
    arena_mark mark = arena_get_mark(q->arena);
    attention_maps gradients = own->gradients, weighted;
    attention_gradients_read(q, &own->g, RULE_GRADIENT, &gradients);
    tkr_status status = attention_weigh(weighing_of(&c->arguments), &own->g.probabilities, &gradients, q->arena, &weighted, error);
    attention_stack *decoder = &weighted.of[ATTENTION_DECODER], *cross = &weighted.of[ATTENTION_CROSS];
    attention_stack *self = decoder->layers > 0 ? decoder : &weighted.of[ATTENTION_ENCODER];
    if (!status) {
        average_layers(self, c->arguments.number[LAYER]);
        average_layers(cross, c->arguments.number[LAYER]);
        answer_rows_add(q, &q->targets[w->first + i], self->at, cross->at, c->token_scores + (w->first + i) * q->length);
    }
    arena_release(q->arena, mark);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    grad_attention own = {0};
    tkr_status status = attention_gradients_open(q, q->arena, &own.g, error);
    own.w.p = own.g.p;
    own.gradients = own.g.probabilities;
    if (!status)
        status = attention_maps_make_room(q->arena, &own.gradients, error);
    if (!status)
        status = local_walk(c, &own.w, score_target, error);
    c->forward++;
    attention_gradients_close(&own.g);
    return status;
}

/* The probabilities, the gradients, and what is weighed, which has one head. */
static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)a, (void)sequences;
    return attention_gradients_bytes(q, 3);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    method_cost c = local_cost(a, features, targets);
    c.forward = 1;
    return c;
}

static const char *const aliases[] = {"attention-x-gradient", NULL};

const method grad_attention_method = {
    .facts = {.id = "grad-attention",
              .title = "attention x gradient",
              .family = "inside",
              .summary = "attention from the place of the answer, weighted by how the target reacts to it",
              .paper = "Barkan et al. 2021",
              .needs = "gradients",
              .cost = "1 forward and 1 backward pass",
              .caveat = "one step of attention: says nothing about the residual stream, nor where lower layers took theirs from",
              .aliases = aliases},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .unit = "relevance",
    .check = check,
    .cost = cost,
    .held = held,
    .is_signed = is_signed,
    .run = run,
};
