/*
 * Rollout by rows: r := r M_l from the top layer down, L n^2 for each row that is asked for, so that the product of matrices is
 * never made.
 *
 * Encoder-decoders (methods.md 3.3, in the spirit of Ferrando et al. 2022): a decoder layer gives the share beta of a row to the
 * decoder below and 1 - beta to the source, through the whole encoder.  What is left for the decoder's own tokens is
 * beta^layers whatever the attention is: shares within each part say something, their ratio does not.
 */
#include "explain/attention_rollout.h"

/* out[j] = sum_i r[i] m[i][j]. */
static void hand_down(const double *m, size_t queries, size_t keys, const double *r, double *out)
{
    memset(out, 0, keys * sizeof *out);
    for (size_t i = 0; i < queries; i++)
        for (size_t j = 0; r[i] != 0 && j < keys; j++)
            out[j] += r[i] * m[i * keys + j];
}

static void through(const attention_layers *a, double *r, double *room)
{
    for (size_t l = a->layers; l-- > 0;) {
        hand_down(attention_layer(a, l), a->queries, a->keys, r, room);
        memcpy(r, room, a->keys * sizeof *r);
    }
}

/* One row of an encoder-decoder. */
static void through_both(const attention_mix *m, double *own, double *source, double *room)
{
    size_t targets = m->own.keys, keys = m->cross.keys;
    memset(source, 0, keys * sizeof *source);
    for (size_t l = m->own.layers; l-- > 0;) {
        hand_down(attention_layer(&m->cross, l), targets, keys, own, room);
        for (size_t j = 0; j < keys; j++)
            source[j] += (1 - m->beta) * room[j];
        hand_down(attention_layer(&m->own, l), targets, targets, own, room);
        for (size_t j = 0; j < targets; j++)
            own[j] = m->beta * room[j];
    }
    through(&m->source, source, room);
}

size_t attention_rollout_room(const attention_mix *m) { return m->own.keys > m->cross.keys ? m->own.keys : m->cross.keys; }

void attention_rollout(const attention_mix *m, const size_t *rows, size_t count, double *own, double *source, double *room)
{
    for (size_t k = 0; k < count; k++) {
        double *row = own + k * m->own.keys;
        memset(row, 0, m->own.keys * sizeof *row);
        row[rows[k]] = 1;
        if (m->cross.layers > 0)
            through_both(m, row, source + k * m->cross.keys, room);
        else
            through(&m->own, row, room);
    }
}

/* ---- what a causal mask does ---- */

void attention_rollout_prior(size_t layers, double alpha, size_t row, double *out)
{
    memset(out, 0, row * sizeof *out);
    out[row] = 1;
    for (size_t l = 0; l < layers; l++) {
        double from_later = 0; /* position i gives alpha / (i + 1) of what it has to each j <= i */
        for (size_t j = row + 1; j-- > 0;) {
            from_later += out[j] / (double)(j + 1);
            out[j] = alpha * from_later + (1 - alpha) * out[j];
        }
    }
}

static double sum_of(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += values[i];
    return sum;
}

static void scale_to(double *values, size_t count, double wanted)
{
    double sum = sum_of(values, count);
    for (size_t i = 0; sum > 0 && i < count; i++)
        values[i] *= wanted / sum;
}

void attention_rollout_correct(double *own, const double *prior, size_t row)
{
    double sum = sum_of(own, row + 1);
    for (size_t j = 0; j <= row; j++)
        own[j] = prior[j] > 0 ? own[j] / prior[j] : 0;
    scale_to(own, row + 1, sum);
}

void attention_rollout_drop_first(double *own, size_t row)
{
    double sum = sum_of(own, row + 1);
    own[0] = 0;
    scale_to(own, row + 1, sum);
}
