/* <value, gradient> a token, for all places of a pass: gradients of several places come from the same way back. */
#include "explain/local.h"

#include "base/failure.h"
#include "base/memory.h"

/* Add the products of one place to scores [length]. */
static void add_products(const question *q, const pass *p, size_t seed, double *scores)
{
    size_t width = p->graph.graph->nodes[p->at].width, end = q->column_end ? q->column_end : width;
    const real *x = pass_values(p, 0), *g = pass_gradient(p, seed * p->batch.sequences);
    for (size_t i = 0; i < q->place_count; i++)
        for (size_t k = q->column_first; k < end; k++)
            scores[q->place_first + i] += (double)x[i * width + k] * (double)g[i * width + k];
}

/* The same of every place, which is left at the first one. */
void local_add_places(const method_call *c, pass *p, size_t t, size_t seed)
{
    question q = *c->q;
    q.clean = p;
    for (size_t k = p->place_count; k-- > 0;) {
        question_choose(&q, k);
        size_t row = (k * q.target_count + t) * q.length;
        add_products(&q, p, seed, c->place_scores ? c->place_scores + row : c->token_scores + row);
    }
}

tkr_status local_scores(method_call *c, pass *p, tkr_error *error)
{
    const question *q = c->q;
    size_t bytes = p->batch.targets * model_outputs(q->model) * sizeof(real);
    ways_back w = {.q = q, .p = p, .seed = memory_new_aligned(bytes)};
    tkr_status status = w.seed ? TKR_OK : fail_memory(error, "gradient seeds", bytes);
    for (; !status && w.first < q->target_count; w.first += w.count) {
        status = session_tell(q->session, c->id, "targets", w.first, q->target_count, error);
        if (!status)
            status = ways_back_walk(&w, error);
        for (size_t i = 0; !status && i < w.count; i++)
            local_add_places(c, p, w.first + i, i);
    }
    for (size_t i = 0; !status && c->place_scores && i < q->target_count * q->length; i++)
        c->token_scores[i] = c->place_scores[i];
    c->backward += q->target_count;
    memory_free(w.seed);
    return status;
}
