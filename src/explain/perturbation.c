/* Falls of a target when one feature is replaced; see perturbation.h. */
#include "explain/perturbation.h"

#include <math.h>

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"
#include "explain/estimate.h"
#include "explain/sampling.h"

/* Variants asked for in one call, and draws of one feature among them: bounds of memory that change no result. */
enum { AT_ONCE = 4096, DRAWS_AT_ONCE = 200, DRAWS_LEAST = 2 };

double perturbation_draws(const question *q, double asked)
{
    double paid = sampling_draws(q, asked, q->feature_count);
    return paid < DRAWS_LEAST ? DRAWS_LEAST : paid;
}

method_cost perturbation_cost(size_t features, uint64_t draws)
{
    uint64_t all = features * draws;
    return (method_cost){.evaluations = all, .at_once = all < AT_ONCE ? all : AT_ONCE, .forward = all};
}

/* Variants that the other removal's scorer runs at once. */
static size_t own_sequences(const question *q)
{
    size_t most = question_batch_rows(q) / q->length;
    return most ? most : 1;
}

size_t perturbation_held(const question *q, removal wanted)
{
    if (q->removal == wanted || q->model->score)
        return 0;
    pass_shape shape = question_shape(q, own_sequences(q), false);
    size_t block = 0, packs = 0, tables = wanted == REMOVAL_RANDOM ? 4 * q->model->config.vocab * sizeof(uint64_t) : 0;
    double flops = 0;
    pass *p = pass_new(q->session, &shape, NULL);
    if (p && pass_plan(p, &block, &packs, &flops, NULL))
        block = 0;
    pass_free(p);
    return block + tables;
}

typedef struct perturbation {
    method_call *c;
    bool is_absolute;
    size_t words;
    uint64_t *masks;      /* [AT_ONCE or all][words]    */
    uint32_t *draws;
    score *scores;        /* [..][targets]              */
    uint32_t *features;   /* [players] that can be replaced */
    size_t players;
    double *falls;        /* [targets]                  */
    estimate falls_of;    /* a row a player, a column a target */
} perturbation;

/* The user named no measure, and the answer has a probability: not of a contrast, nor of an answer of several tokens. */
static bool by_probability(const question *q)
{
    bool ok = q->asked->measure == NULL;
    for (size_t t = 0; ok && t < q->target_count; t++)
        ok = q->targets[t].measure != MEASURE_LOGPROB && !q->targets[t].foil_label && isfinite(q->targets[t].probability);
    return ok;
}

static void add_falls(perturbation *x, size_t player, const score *scores)
{
    const question *q = x->c->q;
    for (size_t t = 0; t < q->target_count; t++) {
        bool probability = x->c->by_probability;
        double fall = probability ? q->targets[t].probability - scores[t].probability : q->targets[t].value - scores[t].value;
        x->falls[t] = x->is_absolute ? fabs(fall) : fall;
    }
    estimate_add(&x->falls_of, player, x->falls);
}

/* Draws [first, first + now) of players [begin, end), in one call, feature by feature, so that progress follows the text. */
static tkr_status ask_players(perturbation *x, size_t begin, size_t end, size_t first, size_t now, tkr_error *error)
{
    const method_call *c = x->c;
    const question *q = c->q;
    size_t count = (end - begin) * now;
    for (size_t i = 0; i < count; i++) {
        set_fill(x->masks + i * x->words, q->feature_count);
        set_drop(x->masks + i * x->words, x->features[begin + i / now]);
        x->draws[i] = (uint32_t)(first + i % now);
    }
    score_wish wish = c->by_probability ? SCORE_ANSWER : SCORE_VALUE;
    tkr_status status = scorer_score(c->scorer, c->id, x->masks, x->draws, count, wish, x->scores, error);
    for (size_t i = 0; !status && i < count; i++)
        add_falls(x, begin + i / now, x->scores + i * q->target_count);
    return status;
}

static void write_scores(perturbation *x, size_t done)
{
    method_call *c = x->c;
    const question *q = c->q;
    for (size_t p = 0; p < x->players; p++)
        for (size_t t = 0; t < q->target_count; t++) {
            size_t at = t * q->feature_count + x->features[p];
            c->scores[at] = x->falls_of.mean[p * q->target_count + t];
            c->errors[at] = done > 1 ? estimate_error(&x->falls_of, p, t) : 0;
        }
}

static tkr_status ask_all(perturbation *x, size_t draws, size_t *done, tkr_error *error)
{
    const question *q = x->c->q;
    double begun = clock_seconds();
    size_t stride = sampling_stride(q, draws);
    stride = stride < DRAWS_AT_ONCE ? stride : DRAWS_AT_ONCE;
    tkr_status status = TKR_OK;
    bool is_enough = false;
    for (*done = 0; !status && *done < draws && !is_enough;) {
        size_t now = draws - *done < stride ? draws - *done : stride, together = AT_ONCE / now;
        for (size_t p = 0; !status && p < x->players; p += together)
            status = ask_players(x, p, x->players - p < together ? x->players : p + together, *done, now, error);
        *done += now;
        if (!status)
            write_scores(x, *done);
        is_enough = *done >= DRAWS_LEAST && (sampling_is_late(q, begun) ||
                                             (sampling_looks(q, *done) && sampling_is_enough(q, x->c->scores, x->c->errors)));
    }
    return status;
}

static tkr_status init(perturbation *x, method_call *c, size_t draws, tkr_error *error)
{
    const question *q = c->q;
    size_t all = q->feature_count * draws, room = all < AT_ONCE ? all : AT_ONCE;
    x->words = scorer_words(c->scorer);
    x->masks = NEW(uint64_t, room * x->words);
    x->draws = NEW(uint32_t, room);
    x->scores = NEW(score, room * q->target_count);
    x->features = NEW(uint32_t, q->feature_count);
    x->falls = NEW(double, q->target_count);
    bool ok = x->masks && x->draws && x->scores && x->features && x->falls;
    if (!ok || !estimate_init(&x->falls_of, q->feature_count, q->target_count))
        return fail_memory(error, "perturbation", room);
    for (size_t f = 0; f < q->feature_count; f++)
        if (!q->is_fixed[f])
            x->features[x->players++] = (uint32_t)f;
    return TKR_OK;
}

static void fini(perturbation *x)
{
    memory_free(x->masks);
    memory_free(x->draws);
    memory_free(x->scores);
    memory_free(x->features);
    memory_free(x->falls);
    estimate_fini(&x->falls_of);
}

tkr_status perturbation_ask_under(method_call *c, removal wanted, scorer **own, tkr_error *error)
{
    if (c->q->removal == wanted)
        return TKR_OK;
    question *q = ARENA_NEW(c->q->arena, question, 1);
    if (!q)
        return fail_memory(error, "a question", sizeof *q);
    *q = *c->q;
    tkr_status status = question_remove_by(q, wanted, error);
    if (status)
        return status;
    size_t sequences = own_sequences(q);
    *own = scorer_new(q, c->score_sequences < sequences ? c->score_sequences : sequences, error);
    if (!*own)
        return error->code;
    c->q = q;
    c->scorer = *own;
    return TKR_OK;
}

tkr_status perturbation_run(method_call *c, removal wanted, size_t draws, bool is_absolute, size_t *done, tkr_error *error)
{
    scorer *given = c->scorer, *own = NULL;
    tkr_status status = perturbation_ask_under(c, wanted, &own, error);
    uint64_t before = scorer_evaluations(c->scorer);
    c->by_probability = by_probability(c->q);
    perturbation x = {.c = c, .is_absolute = is_absolute};
    if (!status)
        status = init(&x, c, draws, error);
    if (!status)
        status = ask_all(&x, draws, done, error);
    c->is_exact = !removal_is_random(c->q->removal);
    c->evaluations = c->forward = scorer_evaluations(c->scorer) - before;
    fini(&x);
    scorer_free(own);
    c->scorer = given;
    return status;
}
