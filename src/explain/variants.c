/*
 * Running variants.  Their rows are written down for a group of them, put in an order in which neighbours have much in common,
 * and cut into nearly equal batches by the rows that have to be computed (variants_batch.c).  The order and the cuts change
 * nothing but the work: each variant's numbers are those it has alone.
 */
#include "explain/variants.h"

#include <stdlib.h>

#include "base/failure.h"
#include "base/memory.h"
#include "explain/variants_batch.h"
#include "explain/variants_external.h"

struct variants {
    const question *q;
    size_t sequences;
    external_variants *external; /* a model of texts has no batches; NULL else */
    replacement *drawn;          /* of removals that draw; NULL else           */
    sharing sharing;
    variants_batch batch;
    arena *lines, *layout;       /* of a group, of a batch                     */
    variants_work work;
};

uint64_t variants_rows(const variants *v) { return v->work.rows; }
variants_work variants_worked(const variants *v) { return v->work; }
bool variants_bring_answers(const variants *v) { return v->external || !v->sharing.outputs; }

void variants_free(variants *v)
{
    if (!v)
        return;
    variants_batch_drop(&v->batch);
    external_variants_free(v->external);
    replacement_free(v->drawn);
    arena_free(v->lines);
    arena_free(v->layout);
    memory_free(v);
}

static tkr_status init(variants *v, tkr_error *error)
{
    const question *q = v->q;
    if (q->model->score)
        return (v->external = external_variants_new(q, error)) ? TKR_OK : error->code;
    v->batch = (variants_batch){.q = q, .sharing = &v->sharing};
    v->lines = arena_new(SIZE_MAX);
    v->layout = arena_new(SIZE_MAX);
    if (!v->lines || !v->layout)
        return fail_memory(error, "variants", sizeof *v);
    if (q->removal == REMOVAL_MEAN && !(v->batch.replacement = session_mean_embedding(q->session, error)))
        return error->code;
    if (removal_is_random(q->removal) && !(v->drawn = replacement_new(q, error)))
        return error->code;
    return sharing_init(&v->sharing, q, error);
}

variants *variants_new(const question *q, size_t sequences, tkr_error *error)
{
    variants *v = NEW(variants, 1);
    if (!v)
        return fail_memory(error, "variants", sizeof *v), NULL;
    v->q = q;
    v->sequences = sequences ? sequences : 1;
    if (init(v, error)) {
        variants_free(v);
        return NULL;
    }
    return v;
}

/* ---- the order ---- */

static int compare_numbers(int64_t a, int64_t b) { return a < b ? -1 : a > b; }

/* Row by row, then as listed. */
static int compare_lines(const void *left, const void *right)
{
    const variant_line *a = left, *b = right;
    uint32_t least = a->length < b->length ? a->length : b->length;
    for (uint32_t k = 0; k < least; k++) {
        const variant_row *x = &a->rows[k], *y = &b->rows[k];
        int order = compare_numbers(x->position, y->position);
        order = order ? order : compare_numbers(x->flags, y->flags);
        order = order ? order : compare_numbers(x->id, y->id);
        order = order ? order : compare_numbers(x->type, y->type);
        if (order)
            return order;
    }
    int order = compare_numbers(a->length, b->length);
    return order ? order : compare_numbers(a->index, b->index);
}

/* ---- one batch ---- */

/* f of a target from the logits that were computed. */
static double value_of_few(const variants *v, const target *t, size_t input)
{
    const sharing *s = &v->sharing;
    double sum = 0;
    for (size_t k = 0; k < t->term_count; k++) {
        measured f = t->terms[k].f;
        int32_t *names[] = {&f.a, &f.foil, &f.rival, &f.foil_rival};
        for (size_t n = 0; n < 4; n++)
            for (size_t i = 0; *names[n] >= 0 && i < s->output_count; i++)
                if (s->outputs[i] == *names[n]) {
                    *names[n] = (int32_t)i;
                    break;
                }
        sum += measure_value(&f, pass_logits(v->batch.pass, input, t->terms[k].read), s->output_count);
    }
    return sum;
}

static void read_scores(const variants *v, size_t input, score *out)
{
    const question *q = v->q;
    const pass *p = v->batch.pass;
    for (size_t t = 0; t < q->target_count; t++) {
        const target *wanted = &q->targets[t];
        out[t] = (score){.probability = (double)NAN, .answer = -1};
        if (!v->batch.has_all_outputs) {
            out[t].value = value_of_few(v, wanted, input);
            continue;
        }
        out[t].value = target_value(q, wanted, p, input);
        out[t].probability = target_probability(q, wanted, p, input);
        out[t].answer = target_answer(q, wanted, p, input);
    }
}

static tkr_status run_batch(variants *v, const variant_line *lines, size_t count, score_wish wish, score *out, tkr_error *error)
{
    arena_reset(v->layout);
    tkr_status status = variants_batch_fill(&v->batch, lines, count, wish, v->layout, error);
    if (!status)
        status = pass_forward(v->batch.pass, error);
    if (status)
        return status;
    for (size_t i = 0; i < count; i++)
        read_scores(v, i, out + lines[i].index * v->q->target_count);
    const batch *b = &v->batch.pass->batch;
    v->work.rows += b->rows;
    v->work.first_rows += b->spread ? b->distinct : b->rows;
    v->work.logits += b->targets * v->batch.pass->graph.graph->nodes[v->batch.pass->graph.logits].width;
    return TKR_OK;
}

/* ---- batches of a group ---- */

static size_t rows_of(const variants *v, const variant_line *lines, size_t i)
{
    return lines[i].length - (i > 0 ? sharing_common(&v->sharing, &lines[i - 1], &lines[i]) : 0);
}

/* How many of the lines make the next batch, so that what is left makes nearly equal ones; `left`: rows of all. */
static size_t next_batch(const variants *v, const variant_line *lines, size_t count, size_t left, score_wish wish, size_t *rows)
{
    size_t most = v->sequences * v->q->length, wanted = left / ((left + most - 1) / most), here = lines[0].length, i = 1;
    size_t variants_most = sharing_most_variants(&v->sharing, v->q, v->sequences, wish);
    *rows = 0;
    for (; i < count && i < variants_most && here < wanted; i++) {
        size_t own = rows_of(v, lines, i);
        if (here + own > most)
            break;
        here += own;
        *rows += own;
    }
    return i;
}

/* Progress of one variants_run. */
typedef struct run_progress {
    const char *phase;
    size_t done, count;
} run_progress;

static tkr_status run_group(variants *v, const variant *list, size_t count, score_wish wish, score *out, run_progress *at,
                            tkr_error *error)
{
    arena_reset(v->lines);
    variant_line *lines = ARENA_NEW(v->lines, variant_line, count);
    if (!lines)
        return fail_memory(error, "variants", count);
    tkr_status status = variants_lines(v->q, list, count, v->sharing.hidden, v->drawn, v->lines, lines, error);
    if (status)
        return status;
    if (v->sharing.prefix || v->sharing.source)
        qsort(lines, count, sizeof *lines, compare_lines);
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        left += rows_of(v, lines, i);
    for (size_t done = 0, now, rows; !status && done < count; done += now, at->done += now) {
        left -= rows_of(v, lines, done);
        now = next_batch(v, lines + done, count - done, left + lines[done].length, wish, &rows);
        left -= rows;
        status = session_tell(v->q->session, at->phase, "evaluations", at->done, at->count, error);
        if (!status)
            status = run_batch(v, lines + done, now, wish, out, error);
    }
    return status;
}

tkr_status variants_run(variants *v, const char *phase, const variant *list, size_t count, score_wish wish, score *out, tkr_error *error)
{
    if (v->external)
        return external_variants_run(v->external, phase, list, count, out, error);
    run_progress at = {.phase = phase, .count = count};
    size_t most = variants_group(v->q);
    tkr_status status = TKR_OK;
    for (size_t done = 0, now; !status && done < count; done += now) {
        now = count - done < most ? count - done : most;
        status = run_group(v, list + done, now, wish, out + done * v->q->target_count, &at, error);
    }
    return status ? status : session_tell(v->q->session, phase, "evaluations", count, count, error);
}
