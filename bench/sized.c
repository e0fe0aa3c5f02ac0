/* Random models of published sizes, and passes over them. */
#include "bench/sized.h"

#include <stdio.h>

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

double sized_matrix_bytes(const sized *s)
{
    const family_config *c = &s->model->config;
    const double hidden = (double)c->hidden, inner = (double)c->inner;
    return (double)c->layers * (4 * hidden * hidden + 2 * hidden * inner) * sizeof(float);
}

pass *sized_forward(const sized *s, const uint32_t *lengths, size_t sequences)
{
    tkr_error error = {0};
    char last[64];
    snprintf(last, sizeof last, "layer.%zu.output", s->model->config.layers - 1);
    pass_shape shape = {
        .sequences = sequences, .lengths = lengths, .at = last, .wish = {.all_rows = true, .no_head = true}};
    pass *p = pass_new(s->session, &shape, &error);
    if (!p)
        report_stop(s->program, "a forward pass", &error);
    p->shape.at = NULL; /* the name's room ends here; the node is found */
    for (size_t i = 0; i < p->batch.rows; i++)
        p->batch.ids[i] = (int32_t)(200 + i * 7919 % 20000);
    return p;
}

void sized_mixed_lengths(uint32_t lengths[MIXED_SENTENCES])
{
    enum { SHORTEST = 6, LONGEST = 122, STRIDE = 37 };
    for (uint32_t i = 0; i < MIXED_SENTENCES; i++)
        lengths[i] = SHORTEST + i * STRIDE % MIXED_SENTENCES * (LONGEST - SHORTEST) / (MIXED_SENTENCES - 1);
}

static double work_of(const sized *s, size_t tokens, bool backward)
{
    tkr_error error = {0};
    pass_shape shape = {.sequences = 1, .length = tokens, .reads = 1, .backward = backward, .at = "word"};
    pass *p = pass_new(s->session, &shape, &error);
    size_t block, packs;
    double flops = 0;
    if (!p || pass_plan(p, &block, &packs, &flops, &error))
        report_stop(s->program, "the work of a pass", &error);
    pass_free(p);
    return flops;
}

pass_work sized_work(const sized *s, size_t tokens)
{
    const double forward = work_of(s, tokens, false);
    return (pass_work){.forward = forward, .backward = work_of(s, tokens, true) - forward};
}
