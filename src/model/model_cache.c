/*
 * Incremental decoding: keys and values that a decoder has computed for earlier rows, for each layer a self part and, where
 * there is a second stack, a cross part over the source.
 *
 * One block holds all of them.  The graph writes behind `rows`; the caller raises it after the run, so that a run that
 * failed, or one that is repeated, leaves nothing behind.  The cross part is filled by the one run that has source rows.
 */
#include "base/failure.h"
#include "base/memory.h"
#include "base/size.h"
#include "model/build.h"

struct model_cache {
    size_t layers;
    attention_cache *self;  /* [layers]                  */
    attention_cache *cross; /* [layers], or NULL         */
    size_t source_expected; /* rows that the coming run adds to the cross parts */
    real *block;
};

static bool has_cross(const tkr_model *m) { return model_shape(m) == FAMILY_ENCODER_DECODER; }
static size_t layers_of(const tkr_model *m)
{
    return has_cross(m) ? m->config.decoder_layers : m->config.layers;
}
static size_t width_of(const tkr_model *m) { return m->config.key_heads * m->config.head_width; }

/* Numbers of one layer; false when they cannot be counted. */
static bool layer_numbers(const tkr_model *m, size_t rows, size_t source_rows, size_t *out)
{
    size_t all = rows;
    return (!has_cross(m) || size_add(&all, rows, source_rows)) && size_mul(out, all, width_of(m)) &&
           size_mul(out, *out, 2);
}

size_t model_cache_bytes(const tkr_model *m, size_t rows, size_t source_rows)
{
    size_t bytes;
    if (!layer_numbers(m, rows, source_rows, &bytes) || !size_mul(&bytes, bytes, layers_of(m)) ||
        !size_mul(&bytes, bytes, sizeof(real)))
        return SIZE_MAX;
    return bytes;
}

/* The next rows of the block become the keys and values of one attention. */
static real *take(attention_cache *part, real *block, size_t rows, size_t width)
{
    *part = (attention_cache){.keys = block, .values = block + rows * width, .capacity = rows, .width = width};
    return block + 2 * rows * width;
}

model_cache *model_cache_new(const tkr_model *m, size_t rows, size_t source_rows, tkr_error *error)
{
    size_t bytes = model_cache_bytes(m, rows, source_rows), layers = layers_of(m);
    if (model_shape(m) == FAMILY_ENCODER) {
        fail(error, TKR_E_USAGE_CAPABILITY, "%s puts out no text: there is nothing to keep between steps",
             m->family->title);
        return NULL;
    }
    model_cache *c = NEW(model_cache, 1);
    if (c) {
        c->layers = layers;
        c->self = NEW(attention_cache, layers);
        c->cross = has_cross(m) ? NEW(attention_cache, layers) : NULL;
        c->block = bytes < SIZE_MAX ? memory_new_aligned(bytes ? bytes : sizeof(real)) : NULL;
    }
    if (!c || !c->self || !c->block || (has_cross(m) && !c->cross)) {
        model_cache_free(c);
        fail_memory(error, "the keys and values of earlier tokens", bytes);
        return NULL;
    }
    real *block = c->block;
    for (size_t layer = 0; layer < layers; layer++) {
        block = take(&c->self[layer], block, rows, width_of(m));
        block = c->cross ? take(&c->cross[layer], block, source_rows, width_of(m)) : block;
    }
    return c;
}

void model_cache_free(model_cache *c)
{
    if (!c)
        return;
    memory_free(c->self);
    memory_free(c->cross);
    memory_free(c->block);
    memory_free(c);
}

size_t model_cache_rows(const model_cache *c) { return c->layers ? c->self[0].rows : 0; }

void model_cache_advance(model_cache *c, size_t rows)
{
    for (size_t layer = 0; layer < c->layers; layer++) {
        c->self[layer].rows += rows;
        if (c->cross)
            c->cross[layer].rows += c->source_expected;
    }
    c->source_expected = 0;
}

attention_cache *model_cache_layer(model_cache *c, bool is_cross, size_t layer)
{
    return is_cross ? &c->cross[layer] : &c->self[layer];
}

void model_cache_expect(model_cache *c, size_t source_rows) { c->source_expected = source_rows; }
