/* Rows of matrices over tokens that belong to a target; see answer_rows.h. */
#include "explain/answer_rows.h"

size_t answer_row(const question *q, const target *t, size_t k)
{
    const term *one = &t->terms[k];
    return q->model->task == TKR_TASK_QUESTION_ANSWERING ? (size_t)one->f.a : q->read_positions[one->read];
}

void answer_rows_add(const question *q, const target *t, const double *self, const double *cross, double *scores)
{
    const size_t first = cross ? q->input_length : 0, own = q->length - first;
    for (size_t k = 0; k < t->term_count; k++) {
        size_t row = answer_row(q, t, k) - first;
        for (size_t j = 0; j < own; j++)
            scores[first + j] += self[row * own + j] / (double)t->term_count;
        for (size_t j = 0; j < first; j++)
            scores[j] += cross[row * first + j] / (double)t->term_count;
    }
}
