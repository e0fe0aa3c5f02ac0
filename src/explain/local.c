/* The loop of local methods, and <value, gradient> a token. */
#include "explain/local.h"

#include "base/failure.h"
#include "base/memory.h"

/* Add the products of the chosen place to scores [length]. */
static void add_place(const question *q, const pass *p, size_t seed, double *scores)
{
    size_t width = p->graph.graph->nodes[p->at].width, end = q->column_end ? q->column_end : width;
    const real *x = pass_values(p, 0), *g = pass_gradient(p, seed * p->batch.sequences);
    for (size_t i = 0; i < q->place_count; i++)
        for (size_t k = q->column_first; k < end; k++)
            scores[q->place_first + i] += (double)x[i * width + k] * (double)g[i * width + k];
}

tkr_status local_add_products(method_call *c, const ways_back *w, size_t i, tkr_error *error)
{
    (void)error;
    question q = *c->q;
    q.clean = w->p;
    for (size_t k = w->p->place_count; k-- > 0;) { /* the first place stays chosen */
        question_choose(&q, k);
        size_t row = (k * q.target_count + w->first + i) * q.length;
        add_place(&q, w->p, i, (c->place_scores ? c->place_scores : c->token_scores) + row);
    }
    return TKR_OK;
}

tkr_status local_walk(method_call *c, ways_back *w, local_visit *visit, tkr_error *error)
{
    const question *q = c->q;
    size_t bytes = w->p->batch.targets * model_outputs(q->model) * sizeof(real);
    w->q = q;
    w->seed = memory_new_aligned(bytes);
    tkr_status status = w->seed ? TKR_OK : fail_memory(error, "gradient seeds", bytes);
    for (w->first = 0; !status && w->first < q->target_count; w->first += w->count) {
        status = session_tell(q->session, c->id, "targets", w->first, q->target_count, error);
        if (!status)
            status = ways_back_walk(w, error);
        for (size_t i = 0; !status && i < w->count; i++)
            status = visit(c, w, i, error);
    }
    for (size_t i = 0; !status && c->place_scores && i < q->target_count * q->length; i++)
        c->token_scores[i] = c->place_scores[i];
    c->backward += q->target_count;
    memory_free(w->seed);
    return status;
}

method_cost local_cost(const arguments *a, size_t features, size_t targets)
{
    (void)a, (void)features;
    return (method_cost){.backward = targets};
}
