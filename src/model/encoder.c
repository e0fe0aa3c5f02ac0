/*
 * The words of encoder.h.  Known to go wrong: segments are added before positions, and both before the norm; the sum of the
 * residual comes before each norm (post-norm), so nothing normalises the last layer's output a second time.
 */
#include "model/encoder.h"

node encoder_embeddings(build *b)
{
    node x = site(b, "word", embed(b, "word", b->batch->ids)); /* gradients end here */
    if (b->config->types)
        x = add(b, x, embed(b, "segment", b->batch->types));
    x = site(b, "sum", add(b, x, embed_positions(b, "position")));
    return norm(b, "norm", x);
}

node encoder_layer(build *b, node x)
{
    node rows = rows_needed(b, x); /* all, or in the last layer just the target's */
    node heads = attend(b, linear(b, "@.query", rows), linear(b, "@.key", x), linear(b, "@.value", x));
    node mixed = site(b, "attention_output", linear(b, "@.mix", site(b, "head_output", heads)));
    node middle = norm(b, "@.attention_norm", add(b, rows, mixed));
    node fed = linear(b, "@.down", activate(b, b->config->act, linear(b, "@.up", middle)));
    return site(b, "output", norm(b, "@.output_norm", add(b, middle, site(b, "mlp_output", fed))));
}

node encoder_layers(build *b, node x)
{
    for (size_t layer = 0; layer < b->config->layers; layer++) {
        enter_layer(b, (int)layer); /* "@" and "layer.N." from here on */
        x = encoder_layer(b, x);
    }
    leave_layers(b);
    return x;
}

node encoder_forward(build *b) { return encoder_layers(b, site(b, "embeddings", encoder_embeddings(b))); }

/* ---- heads ------------------------------------------------------------------------------------------------------ */

node encoder_predict(build *b, activation act, node rows)
{
    node x = activate(b, act, linear(b, "transform", rows));
    return linear(b, "decoder", norm(b, "transform_norm", x));
}

node encoder_predict_plain(build *b, node rows) { return encoder_predict(b, b->config->act, rows); }

const weight_row_def encoder_token_weights[] = {
    LINEAR("classifier", "classifier", "N", "C"),
    END_WEIGHTS,
};

node encoder_classify(build *b, const char *middle, activation act, node rows)
{
    return linear(b, "classifier", activate(b, act, linear(b, middle, rows)));
}

node encoder_label_tokens(build *b, node rows) { return linear(b, "classifier", rows); }

const weight_row_def encoder_span_weights[] = {
    LINEAR("span", "qa_outputs", "2", "C"),
    END_WEIGHTS,
};
const char *const encoder_span_outputs[] = {"start", "end", NULL};

node encoder_find_span(build *b, node rows) { return linear(b, "span", rows); }
