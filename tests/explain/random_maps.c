/* Random attention maps; see random_maps.h. */
#include "explain/random_maps.h"

#include <math.h>

#include "base/random.h"

enum { HEADS = 3 };

static attention_stack random_stack(arena *a, uint64_t seed, attention_kind kind, size_t layers, size_t queries, size_t keys, double sharp)
{
    attention_stack s = {.layers = layers, .heads = HEADS, .queries = queries, .keys = keys};
    s.at = ARENA_NEW(a, double, layers * HEADS * queries * keys);
    random_key key = {.seed = seed, .purpose = random_purpose("maps"), .item = (uint32_t)kind};
    for (size_t r = 0; r < layers * HEADS * queries; r++) {
        double *row = s.at + r * keys, sum = 0;
        for (size_t j = 0; j < keys; j++) {
            size_t at = r * keys + j;
            bool is_hidden = (kind == ATTENTION_DECODER && j > r % queries) || (sharp >= 4 && j != r % queries && random_unit(key, 2 * at + 1000000) < 0.25);
            row[j] = is_hidden && j > 0 ? 0 : exp(sharp * random_normal(key, at));
            sum += row[j];
        }
        for (size_t j = 0; j < keys; j++)
            row[j] /= sum;
    }
    return s;
}

attention_maps random_maps(arena *a, uint64_t seed, size_t layers, size_t n, random_maps_kind kind, double sharp)
{
    attention_maps m = {0};
    if (kind != RANDOM_CAUSAL)
        m.of[ATTENTION_ENCODER] = random_stack(a, seed, ATTENTION_ENCODER, layers, kind == RANDOM_BOTH ? n + 2 : n, kind == RANDOM_BOTH ? n + 2 : n, sharp);
    if (kind != RANDOM_ENCODER)
        m.of[ATTENTION_DECODER] = random_stack(a, seed, ATTENTION_DECODER, layers, n, n, sharp);
    if (kind == RANDOM_BOTH)
        m.of[ATTENTION_CROSS] = random_stack(a, seed, ATTENTION_CROSS, layers, n, n + 2, sharp);
    return m;
}
