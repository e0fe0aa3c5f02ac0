/*
 * Planning: batches as large as the cache likes and the memory allows.  Bytes are exact for runner blocks and packs (the same
 * functions that allocate them say so); results, arrays and tables are small and bounded from above.
 */
#include "explain/budget.h"

#include "base/failure.h"
#include "base/size.h"
#include "explain/replacement.h"
#include "explain/external_question.h"
#include "explain/variants_batch.h"

/* Rows of the variants that are written down at a time. */
static size_t bytes_of_lines(const question *q, uint64_t evaluations)
{
    size_t group = variants_group(q), count = evaluations < group ? (size_t)evaluations : group;
    size_t of_row = sizeof(variant_row) * (removal_is_random(q->removal) ? 2 : 1), of_line = sizeof(variant_line) + q->reads * sizeof(uint32_t) + 256;
    return count * (q->length * of_row + of_line);
}

/* Heap beside blocks and packs: graphs, batch arrays, result, remembered variants, what products borrow. */
static size_t small_bytes(const question *q, size_t sequences, size_t targets, size_t runs, uint64_t evaluations)
{
    size_t per_row = 96, per_token = 512, fixed = (size_t)5 << 20; /* arenas grow by blocks of up to 1 MiB */
    size_t words = set_words(q->feature_count);
    size_t seeds = sequences * q->reads * model_outputs(q->model) * sizeof(real);
    size_t rows = sequences * q->length * per_row + q->length * per_token;
    size_t scores = runs * targets * (q->length + q->feature_count) * 16;
    size_t of_scores = targets * sizeof(score), of_key = (words + 1) * sizeof(uint64_t);
    size_t remembered = (size_t)(evaluations + 64) * 4 * (of_key + of_scores + 1);   /* the scorer's table ...    */
    size_t asked = (size_t)evaluations * (of_key + of_scores + sizeof(variant) + 2 * sizeof(size_t)); /* and one request */
    size_t seeds_held = sequences * question_shape(q, sequences, true).seeds + question_shape(q, 1, true).seeds;
    size_t heads = seeds_held * q->reads * q->model->config.hidden * sizeof(real);
    size_t products = (size_t)pool_threads(q->session->threads) * gemm_scratch_bytes(q->model->kernels);
    return fixed + seeds + heads + rows + scores + remembered + asked + bytes_of_lines(q, evaluations) + products + model_outputs(q->model) * 16;
}

/* Bytes and work of a pass over `sequences` copies of the input. */
static tkr_status measure_pass(const question *q, size_t sequences, bool backward, size_t *block, size_t *packs, double *flops,
                               tkr_error *error)
{
    pass_shape shape = question_shape(q, sequences, backward);
    pass *p = pass_new(q->session, &shape, error);
    if (!p)
        return error->code;
    tkr_status status = pass_plan(p, block, packs, flops, error);
    pass_free(p);
    return status;
}

/* The same of the largest batch of variants. */
static tkr_status measure_variants(const question *q, size_t sequences, size_t *block, size_t *packs, double *flops, tkr_error *error)
{
    pass *p = variants_batch_largest(q, sequences, error);
    if (!p)
        return error->code;
    tkr_status status = pass_plan(p, block, packs, flops, error);
    pass_free(p);
    return status;
}

/* Most sequences, at most `wanted`, whose block fits into `room`; 0 when one does not. */
static tkr_status fit(const question *q, size_t wanted, bool backward, size_t room, size_t *sequences, size_t *block,
                      double *flops, tkr_error *error)
{
    size_t packs, n = wanted ? wanted : 1;
    tkr_status status = backward ? measure_pass(q, n, true, block, &packs, flops, error) : measure_variants(q, n, block, &packs, flops, error);
    while (!status && *block > room && n > 1) {
        size_t guess = (size_t)((double)n * (double)room / (double)*block);
        n = guess < n && guess > 0 ? guess : n - 1 ? n / 2 : 1;
        status = backward ? measure_pass(q, n, true, block, &packs, flops, error) : measure_variants(q, n, block, &packs, flops, error);
    }
    *sequences = *block > room ? 0 : n;
    *flops /= (double)n;
    return status;
}

/* Variants or points to run at once when `needed` are asked for in one call. */
static size_t wanted_sequences(const question *q, uint64_t needed)
{
    size_t rows = question_batch_rows(q);
    uint64_t most = rows / q->length ? rows / q->length : 1, asked = needed ? needed : 1, batches = (asked + most - 1) / most;
    return (size_t)((asked + batches - 1) / batches); /* batches are nearly equal */
}

/* Floating-point operations a second that a thread of this level surely reaches. */
static double careful_rate(const kernels *k)
{
    view level = view_of(k->name);
    return view_is(level, "avx512") ? 50e9 : view_is(level, "avx2") ? 25e9 : 0.5e9;
}

static tkr_status refuse(const question *q, const tkr_plan *plan, tkr_error *error)
{
    const double mib = 1 << 20;
    fail(error, TKR_E_LIMIT_MEMORY, "the run needs %.1f MiB, the budget is %.1f MiB: activations %.1f, packed weights %.1f, results %.1f",
         (double)plan->bytes / mib, (double)q->session->options.memory_bytes / mib, (double)plan->bytes_activations / mib,
         (double)plan->bytes_weights / mib, (double)plan->bytes_results / mib);
    fail_help(error, "--memory %.0fM", (double)plan->bytes / mib + 1);
    fail_field(error, "memory", -1, 0);
    return error->code;
}

/* Work of one kind (scoring or gradients) that the methods need together. */
typedef struct demand {
    uint64_t evaluations, at_once, forward, backward;
} demand;

static void add_demand(demand *d, method_cost c)
{
    d->evaluations += c.evaluations;
    d->at_once = c.at_once > d->at_once ? c.at_once : d->at_once;
    d->forward += c.forward;
    d->backward += c.backward;
}

size_t plan_held(const question *q, const method_spec *list, size_t count, size_t sequences)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t held = list[i].method->held ? list[i].method->held(q, &list[i].arguments, sequences) : 0;
        most = held > most ? held : most;
    }
    return most;
}

tkr_status plan_explain(const question *q, const method_spec *list, size_t count, tkr_plan *plan, run_plan_sizes *sizes,
                        tkr_error *error)
{
    if (q->model->score)
        return external_plan(q, list, count, plan, sizes, error);
    const size_t targets = q->target_count;
    const size_t checks = count * check_draws(q);
    demand scoring = {.evaluations = checks, .at_once = checks, .forward = checks}, line = {0};
    bool gradient = false;
    for (size_t i = 0; i < count; i++) {
        const method *m = list[i].method;
        method_cost c = m->cost(&list[i].arguments, q->feature_count, targets);
        add_demand(m->needs == NEEDS_GRADIENT ? &line : &scoring, c);
        gradient = gradient || m->needs == NEEDS_GRADIENT;
    }
    size_t clean_block = 0, packs = 0, score_block = 0, line_block = 0, held = (size_t)plan->bytes;
    double forward_flops = 0, score_flops = 0, both_flops = 0;
    tkr_status status = measure_pass(q, 1, gradient, &clean_block, &packs, &forward_flops, error);
    size_t score_wanted = wanted_sequences(q, scoring.at_once), line_wanted = wanted_sequences(q, line.at_once);
    size_t most = score_wanted > line_wanted ? score_wanted : line_wanted;
    plan->bytes_results = small_bytes(q, most, targets, count, scoring.evaluations) + plan_held(q, list, count, line_wanted);
    plan->bytes_weights = packs;
    size_t of_removal = 0;
    if (!status)
        status = replacement_plan(q, &of_removal, error);
    plan->bytes_results += of_removal;
    size_t fixed = held + clean_block + packs + (size_t)plan->bytes_results, budget = (size_t)q->session->options.memory_bytes;
    size_t room = budget > fixed ? budget - fixed : 0;
    if (!status)
        status = fit(q, score_wanted, false, room, &sizes->score_sequences, &score_block, &score_flops, error);
    if (!status && line.evaluations > 0)
        status = fit(q, line_wanted, true, room, &sizes->gradient_sequences, &line_block, &both_flops, error);
    if (status)
        return status;
    plan->bytes_activations = clean_block + (line_block > score_block ? line_block : score_block);
    plan->bytes = held + packs + plan->bytes_activations + plan->bytes_results;
    plan->evaluations = 1 + scoring.evaluations + line.evaluations;
    plan->forward_rows = (1 + scoring.forward + line.forward) * q->length;
    plan->backward_rows = (scoring.backward + line.backward) * q->length;
    double flops = forward_flops + score_flops * (double)scoring.forward + both_flops * (double)line.forward;
    plan->gflop = flops / 1e9;
    plan->seconds_estimate = flops / (careful_rate(q->model->kernels) * pool_threads(q->session->threads));
    plan->batch_rows = (sizes->gradient_sequences > sizes->score_sequences ? sizes->gradient_sequences : sizes->score_sequences) * q->length;
    bool too_small = sizes->score_sequences == 0 || (line.evaluations > 0 && sizes->gradient_sequences == 0);
    return too_small || plan->bytes > budget ? refuse(q, plan, error) : TKR_OK;
}
