/* Questions to external models; see external_question.h. */
#include "explain/external_question.h"

#include <math.h>

#include "base/failure.h"
#include "base/number.h"
#include "explain/replacement.h"

static const double SUM_TOLERANCE = 1e-3;

tkr_status external_refuse(const char *what, tkr_error *error)
{
    buffer can;
    buffer_init(&can, 400);
    for (size_t i = 0; method_at(i); i++)
        if (method_at(i)->needs == NEEDS_FORWARD && !method_at(i)->draws_tokens)
            buffer_format(&can, "%s%s", can.size ? ", " : "methods: ", method_at(i)->facts.id);
    fail(error, TKR_E_USAGE_CAPABILITY, "%s; an external model scores texts and shows nothing else", what);
    fail_facts(error, "%s", buffer_ok(&can) ? can.data : "methods: those that need forward passes only");
    buffer_fini(&can);
    return TKR_E_USAGE_CAPABILITY;
}

tkr_status external_check_question(const tkr_question *asked, question_wish wish, tkr_error *error)
{
    if (wish.all_rows)
        return external_refuse("there are no sites to capture", error);
    if (wish.gradient)
        return external_refuse("there is no gradient", error);
    if (asked->ids)
        return external_refuse("token ids mean nothing here", error);
    if (asked->pair)
        return external_refuse("there is no second text", error);
    if (asked->at && !view_is(view_of(asked->at), "word"))
        return external_refuse("there is no place inside where gradients end", error);
    if (asked->output_text || asked->output_ids)
        return external_refuse("there is no output to be given", error);
    size_t bytes = asked->text && asked->text_bytes ? asked->text_bytes : 0;
    const char *nul = bytes ? memchr(asked->text, 0, bytes) : NULL;
    if (!nul)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "byte %zu of the text is NUL; an external model takes texts without", (size_t)(nul - asked->text));
    fail_field(error, "text", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

/* There is no vocabulary to draw from, so a corpus must bring one. */
static tkr_status check_random(const question *q, tkr_error *error)
{
    const char *asked = q->asked->removal;
    if (asked && view_begins(view_of(asked), VIEW("random:counts=")))
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, "removal random: an external model has no vocabulary to draw from; a corpus has words");
    fail_help(error, "--removal random:counts=FILE");
    fail_field(error, "removal", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

tkr_status external_check_removal(const question *q, tkr_error *error)
{
    switch (q->removal) {
    case REMOVAL_DELETE:
    case REMOVAL_MASK:
    case REMOVAL_UNK:
    case REMOVAL_MLM: return TKR_OK;
    case REMOVAL_RANDOM: return check_random(q, error);
    case REMOVAL_ATTN:
    case REMOVAL_PAD:
    case REMOVAL_ZERO:
    case REMOVAL_MEAN:
    case REMOVAL_COUNT: break;
    }
    fail(error, TKR_E_USAGE_CAPABILITY, "removal %s needs a model of our own; an external model has delete, mask, unk, mlm and random:counts=FILE", removal_id(q->removal));
    fail_field(error, "removal", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

static bool are_probabilities(const real *scores, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        if (scores[i] < 0 || scores[i] > 1)
            return false;
        sum += (double)scores[i];
    }
    return count > 1 && fabs(sum - 1) <= SUM_TOLERANCE;
}

tkr_status external_settle(question *q, tkr_error *error)
{
    const real *scores = pass_logits(q->clean, 0, 0);
    if (are_probabilities(scores, q->outputs_width))
        q->link = LINK_GIVEN;
    if (q->measure != MEASURE_PROB && q->measure != MEASURE_LOGPROB)
        return TKR_OK;
    if (q->link == LINK_GIVEN)
        return TKR_OK;
    double sum = 0;
    char number[NUMBER_ROOM];
    for (size_t i = 0; i < q->outputs_width; i++)
        sum += (double)scores[i];
    fail(error, TKR_E_USAGE_CAPABILITY, "measure %s: the scores of this model are no probabilities", measure_id(q->measure));
    fail_facts(error, "probabilities are two or more numbers from 0 to 1 that sum to 1; these sum to %s", number_shortest_f64(number, sum));
    fail_help(error, "--measure score");
    fail_field(error, "measure", -1, 0);
    return TKR_E_USAGE_CAPABILITY;
}

tkr_status external_plan(const question *q, const method_spec *list, size_t count, tkr_plan *plan, run_plan_sizes *sizes, tkr_error *error)
{
    const size_t fixed = (size_t)5 << 20, per_variant = 64 + sizeof(score) * q->target_count + 2 * q->texts[0].size; /* arenas grow by blocks */
    uint64_t evaluations = count; /* the finding's check: one a method */
    for (size_t i = 0; i < count; i++)
        evaluations += list[i].method->cost(&list[i].arguments, q->feature_count, q->target_count).evaluations;
    size_t words = set_words(q->feature_count) + 1;
    size_t remembered = (size_t)(evaluations + 64) * 4 * (words * 8 + q->target_count * sizeof(score) + 1);
    size_t scores = count * q->target_count * (q->length + q->feature_count) * 16;
    size_t replacing = 0;
    if (replacement_plan(q, &replacing, error))
        return error->code;
    *sizes = (run_plan_sizes){.score_sequences = EXTERNAL_TEXTS, .gradient_sequences = 1};
    plan->bytes_results = fixed + remembered + scores + (size_t)evaluations * per_variant + plan_held(q, list, count, EXTERNAL_TEXTS);
    plan->bytes_activations = replacing + EXTERNAL_TEXTS * (q->length * 16 + model_outputs(q->model) * 8);
    plan->bytes += plan->bytes_results + plan->bytes_activations;
    plan->evaluations = 1 + evaluations;
    plan->forward_rows = plan->evaluations * q->length;
    plan->batch_rows = EXTERNAL_TEXTS * q->length;
    if (plan->bytes <= q->session->options.memory_bytes)
        return TKR_OK;
    const double mib = 1 << 20;
    fail(error, TKR_E_LIMIT_MEMORY, "the run needs %.1f MiB, the budget is %.1f MiB: results %.1f", (double)plan->bytes / mib,
         (double)q->session->options.memory_bytes / mib, (double)plan->bytes_results / mib);
    fail_help(error, "--memory %.0fM", (double)plan->bytes / mib + 1);
    fail_field(error, "memory", -1, 0);
    return TKR_E_LIMIT_MEMORY;
}
