/* Random models of published sizes, and passes over them. */
#include "bench/sized.h"

#include <stdio.h>
#include <string.h>

#include "bench/report.h"
#include "support/make_model.h"

void sized_open(sized *s, const char *program, const char *family_name, int threads)
{
    tkr_error error = {0};
    model_recipe recipe = model_recipe_base(family_name);
    *s = (sized){.program = program, .name = family_name};
    if (!work_folder_new(s->folder) || !make_model(s->folder, &recipe))
        report_stop(program, "writing a random model", NULL);
    s->model = tkr_model_open(s->folder, NULL, &error);
    tkr_session_options options = tkr_session_options_defaults();
    options.threads = threads;
    s->session = s->model ? tkr_session_new(s->model, &options, &error) : NULL;
    if (!s->session)
        report_stop(program, family_name, &error);
}

void sized_close(sized *s)
{
    tkr_session_free(s->session);
    tkr_model_close(s->model);
    work_folder_remove(s->folder);
}

/* Does a weight's name ("3.query.weight", "decoder.3.query.weight") belong to a layer, of the named stack only? */
static bool is_of_layer(const char *name, const char *stack)
{
    const char *dot = strchr(name, '.');
    if (*stack && strncmp(name, stack, strlen(stack)) == 0)
        name += strlen(stack);
    else if (!*stack && dot && (name[0] < '0' || name[0] > '9'))
        name = dot + 1;
    return *name >= '0' && *name <= '9';
}

static double bytes_of(const sized *s, const char *stack, bool without_source)
{
    double numbers = 0;
    for (size_t i = 0; i < s->model->weight_count; i++) {
        const weight *w = &s->model->weights[i];
        const char *name = s->model->weight_names[i];
        bool is_of_source = strstr(name, ".cross_key.") || strstr(name, ".cross_value.");
        if (w->rows > 1 && is_of_layer(name, stack) && !(without_source && is_of_source))
            numbers += (double)w->rows * (double)w->columns;
    }
    return numbers * sizeof(float);
}

double sized_matrix_bytes(const sized *s) { return bytes_of(s, "", false); }

double sized_step_bytes(const sized *s)
{
    return model_shape(s->model) == FAMILY_ENCODER_DECODER ? bytes_of(s, "decoder.", true) : sized_matrix_bytes(s);
}

double sized_head_bytes(const sized *s)
{
    return (double)model_outputs(s->model) * (double)s->model->config.hidden * sizeof(float);
}

int32_t sized_id(size_t i) { return (int32_t)(200 + i * 7919 % 20000); }

pass *sized_forward(const sized *s, const uint32_t *lengths, size_t sequences, size_t output_length)
{
    tkr_error error = {0};
    char last[64];
    const bool has_decoder = model_shape(s->model) == FAMILY_ENCODER_DECODER;
    const family_config *c = &s->model->config;
    snprintf(last, sizeof last, "%slayer.%zu.output", has_decoder ? "decoder." : "",
             (has_decoder ? c->decoder_layers : c->layers) - 1);
    pass_shape shape = {.sequences = sequences,
                        .lengths = lengths,
                        .output_length = output_length,
                        .at = last,
                        .wish = {.all_rows = true, .no_head = true}};
    pass *p = pass_new(s->session, &shape, &error);
    if (!p)
        report_stop(s->program, "a forward pass", &error);
    p->shape.at = NULL; /* the name's room ends here; the node is found */
    for (size_t i = 0; i < p->batch.rows; i++)
        p->batch.ids[i] = sized_id(i);
    return p;
}

void sized_mixed_lengths(uint32_t lengths[MIXED_SENTENCES])
{
    enum { SHORTEST = 6, LONGEST = 122, STRIDE = 37 };
    for (uint32_t i = 0; i < MIXED_SENTENCES; i++)
        lengths[i] = SHORTEST + i * STRIDE % MIXED_SENTENCES * (LONGEST - SHORTEST) / (MIXED_SENTENCES - 1);
}

static double work_of(const sized *s, size_t tokens, size_t output_length, size_t reads, bool backward)
{
    tkr_error error = {0};
    pass_shape shape = {.sequences = 1,
                        .length = tokens,
                        .output_length = output_length,
                        .reads = reads,
                        .backward = backward,
                        .at = "word"};
    pass *p = pass_new(s->session, &shape, &error);
    size_t block, packs;
    double flops = 0;
    if (!p || pass_plan(p, &block, &packs, &flops, &error))
        report_stop(s->program, "the work of a pass", &error);
    pass_free(p);
    return flops;
}

pass_work sized_work(const sized *s, size_t tokens, size_t output_length, size_t reads)
{
    const double forward = work_of(s, tokens, output_length, reads, false);
    return (pass_work){.forward = forward, .backward = work_of(s, tokens, output_length, reads, true) - forward};
}
