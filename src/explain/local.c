/* <value, gradient> a token, for all places of a pass: gradients of several places come from the same way back. */
#include "explain/local.h"

#include "base/failure.h"
#include "base/memory.h"

/* Add the products of one place to scores [length]. */
static void add_products(const question *q, const pass *p, double *scores)
{
    size_t width = p->graph.graph->nodes[p->at].width, end = q->column_end ? q->column_end : width;
    const real *x = pass_values(p, 0), *g = pass_gradient(p, 0);
    for (size_t i = 0; i < q->place_count; i++)
        for (size_t k = q->column_first; k < end; k++)
            scores[q->place_first + i] += (double)x[i * width + k] * (double)g[i * width + k];
}

/* The same of every place, which is left at the first one. */
void local_add_places(const method_call *c, pass *p, size_t t)
{
    question q = *c->q;
    q.clean = p;
    for (size_t k = p->place_count; k-- > 0;) {
        question_choose(&q, k);
        size_t row = (k * q.target_count + t) * q.length;
        add_products(&q, p, c->place_scores ? c->place_scores + row : c->token_scores + row);
    }
}

tkr_status local_scores(method_call *c, pass *p, tkr_error *error)
{
    const question *q = c->q;
    size_t bytes = p->batch.targets * model_outputs(q->model) * sizeof(real);
    real *seed = memory_new_aligned(bytes);
    tkr_status status = seed ? TKR_OK : fail_memory(error, "gradient seeds", bytes);
    for (size_t t = 0; !status && t < q->target_count; t++) {
        memset(seed, 0, bytes);
        target_seed(q, &q->targets[t], p, 0, seed);
        status = session_tell(q->session, c->id, "targets", t, q->target_count, error);
        if (!status)
            status = pass_backward(p, seed, error);
        if (!status)
            local_add_places(c, p, t);
    }
    for (size_t i = 0; !status && c->place_scores && i < q->target_count * q->length; i++)
        c->token_scores[i] = c->place_scores[i];
    c->backward += q->target_count;
    memory_free(seed);
    return status;
}
