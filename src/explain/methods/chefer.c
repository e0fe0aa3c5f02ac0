/*
 * Chefer relevance: attention weighted by its gradient, handed up through the layers with the residual stream (Chefer, Gur, Wolf 2021b,
 * "Generic attention-model explainability for interpreting bi-modal and encoder-decoder transformers").  Token scores are the row where
 * the answer is read, of an encoder-decoder that of the decoder's tokens and of the source.
 *
 * variant=generic is the paper's rule, without any division of rows but in the cross step.  variant=chefer1 is in the spirit of Chefer,
 * Gur, Wolf 2021a ("Transformer interpretability beyond attention visualization"): the relevance of each attention map times its
 * gradient, and a product of matrices with rows divided by their sums.  Ours takes that relevance from an AttnLRP pass (A times the
 * modified gradient), where the authors' has alpha-beta LRP, and all layers, where theirs begins at the last: the numbers differ.
 *
 * Known to go wrong: the row's own token begins with 1 and would lead every ranking, so its score is 0 unless own=keep; products
 * of clipped gradients see no negative evidence.
 */
#include "base/failure.h"
#include "explain/answer_rows.h"
#include "explain/attention_gradients.h"
#include "explain/attention_relevance.h"
#include "explain/local.h"

enum { VARIANT, OWN };
static const parameter parameters[] = {
    CHOICE_PARAMETER("variant", "generic", "generic|chefer1", "the generic rule, or relevance of attention by AttnLRP in a product of row-normalised matrices"),
    CHOICE_PARAMETER("own", "drop", "drop|keep", "the score of the token where the answer is read: 0, or what its own row has there"),
    END_PARAMETERS};

static bool is_product(const arguments *a) { return view_is(a->text[VARIANT], "chefer1"); }

static tkr_status check(const question *q, const arguments *a, tkr_error *error)
{
    if (!is_product(a) || model_shape(q->model) != FAMILY_ENCODER_DECODER)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "chefer: variant chefer1 has no rule for attention to a source; %s is an encoder-decoder", q->model->name);
    fail_help(error, "-M chefer:variant=generic");
    fail_field(error, "methods", -1, 0);
    return error->code;
}

/* One run: what the walk is told, the open pass, and room for the gradients of one target and, under chefer1, the modified ones. */
typedef struct chefer {
    ways_back w; /* first, so that a visit finds the rest */
    attention_gradients g;
    attention_maps gradients, modified;
} chefer;

/* A becomes A times the modified gradient. */
static tkr_status relevance_of_maps(const question *q, const chefer *own, attention_maps *out, tkr_error *error)
{
    ways_back again = own->w;
    again.rule = RULE_ATTNLRP;
    tkr_status status = ways_back_walk(&again, error);
    if (!status)
        attention_gradients_read(q, &own->g, RULE_ATTNLRP, out);
    for (size_t k = 0; !status && k < ATTENTION_KINDS; k++) {
        const attention_stack *s = &own->g.probabilities.of[k];
        for (size_t i = 0; i < s->layers * s->heads * s->queries * s->keys; i++)
            out->of[k].at[i] *= s->at[i];
    }
    return status;
}

static tkr_status relate(const question *q, const arguments *a, const chefer *own, token_relevance *out, tkr_error *error)
{
    attention_maps gradients = own->gradients, factor = own->g.probabilities, weighted;
    tkr_status status = TKR_OK;
    attention_gradients_read(q, &own->g, RULE_GRADIENT, &gradients);
    if (is_product(a)) {
        factor = own->modified;
        status = relevance_of_maps(q, own, &factor, error);
    }
    if (!status)
        status = attention_weigh(WEIGH_RELU, &factor, &gradients, q->arena, &weighted, error);
    if (status)
        return status;
    return is_product(a) ? attention_relevance_product(&weighted, q->arena, out, error)
                         : attention_relevance_generic(&weighted, q->arena, out, error);
}

/* The tokens whose rows are read: each entry of its own row is 0. */
static void drop_own(const question *q, const target *t, const token_relevance *r)
{
    for (size_t k = 0; k < t->term_count; k++) {
        size_t row = answer_row(q, t, k) - r->source;
        r->self[row * r->output + row] = 0;
    }
}

static tkr_status score_target(method_call *c, const ways_back *w, size_t i, tkr_error *error)
{
    const chefer *own = (const chefer *)(const void *)w;
    const question *q = c->q;
    const target *t = &q->targets[w->first + i];
    arena_mark mark = arena_get_mark(q->arena);
    token_relevance r;
    tkr_status status = relate(q, &c->arguments, own, &r, error);
    if (!status && view_is(c->arguments.text[OWN], "drop"))
        drop_own(q, t, &r);
    if (!status)
        answer_rows_add(q, t, r.self, r.cross, c->token_scores + (w->first + i) * q->length);
    c->backward += is_product(&c->arguments);
    arena_release(q->arena, mark);
    return status;
}

static tkr_status run(method_call *c, tkr_error *error)
{
    const question *q = c->q;
    chefer own = {0};
    tkr_status status = attention_gradients_open(q, q->arena, &own.g, error);
    own.w.p = own.g.p;
    own.gradients = own.modified = own.g.probabilities;
    if (!status)
        status = attention_maps_make_room(q->arena, &own.gradients, error);
    if (!status && is_product(&c->arguments))
        status = attention_maps_make_room(q->arena, &own.modified, error);
    if (!status)
        status = local_walk(c, &own.w, score_target, error);
    c->forward++;
    attention_gradients_close(&own.g);
    return status;
}

/* The probabilities, the gradients, the modified ones, and what is weighed, which has one head. */
static size_t held(const question *q, const arguments *a, size_t sequences)
{
    (void)sequences;
    return attention_gradients_bytes(q, is_product(a) ? 4 : 3) + token_relevance_bytes(q->length);
}

static method_cost cost(const arguments *a, size_t features, size_t targets)
{
    method_cost c = local_cost(a, features, targets);
    c.forward = 1;
    c.backward *= is_product(a) ? 2 : 1;
    return c;
}

const method chefer_method = {
    .facts = {.id = "chefer",
              .title = "Chefer relevance",
              .family = "inside",
              .summary = "attention weighted by its gradient, handed through all layers to the place of the answer",
              .paper = "Chefer, Gur, Wolf 2021",
              .needs = "gradients",
              .cost = "1 forward and 1 backward pass",
              .caveat = "positive parts only: a token that speaks against the target gets no sign; feed-forward parts are ignored"},
    .parameters = parameters,
    .needs = NEEDS_GRADIENT,
    .scores_tokens = true,
    .unit = "relevance",
    .check = check,
    .cost = cost,
    .held = held,
    .run = run,
};
