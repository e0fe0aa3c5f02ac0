/* Reference numbers of the inside of a model; see inside.h. */
#include "explain/inside.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "explain/differentiate.h"

static inside_fn *visitor;
static size_t least, cases;

void inside_ask(question *q, tkr_session *s, const tkr_question *asked, arena *a)
{
    tkr_error error = {0};
    if (question_init(q, s, asked, (question_wish){0}, a, &error) || question_run(q, (question_wish){0}, &error))
        fail_msg("question: %s", error.message);
}

void inside_way_back(const question *q, pass *p, size_t t, op_rule rule)
{
    tkr_error error = {0};
    ways_back w = {.q = q, .p = p, .rule = rule, .first = t};
    w.seed = calloc(p->batch.targets * model_outputs(q->model), sizeof *w.seed);
    if (ways_back_walk(&w, &error))
        fail_msg("way back: %s", error.message);
    free(w.seed);
}

/* "<root>/models/<case>" and the case's name lead to the file. */
static bool find_root(const reference *r, char root[512])
{
    char path[1024];
    snprintf(root, 512, "%s", r->gradients->model);
    char *end = strstr(root, "/models/");
    assert_non_null(end);
    *end = 0;
    snprintf(path, sizeof path, "%s/golden/%s.inside.json", root, json_string_value(json_object_get(r->gradients->json, "case")));
    FILE *there = fopen(path, "r");
    if (there)
        fclose(there);
    return there != NULL;
}

static void visit(reference *r)
{
    char root[512], name[NAME_ROOM];
    if (!find_root(r, root))
        return;
    const char *of = json_string_value(json_object_get(r->gradients->json, "case"));
    static inside x;
    snprintf(name, sizeof name, "%.100s.inside", of);
    x = (inside){.r = r, .numbers = golden_open(root, name), .forward = golden_open(root, of), .arena = arena_new(SIZE_MAX)};
    x.asked = reference_question(r, "logit");
    inside_ask(&x.q, r->session, &x.asked, x.arena);
    visitor(&x);
    assert_true(x.compared >= least);
    cases++;
    question_fini(&x.q);
    arena_free(x.arena);
    golden_close(x.numbers);
    golden_close(x.forward);
}

void inside_each(inside_fn *compare, size_t at_least)
{
    visitor = compare;
    least = at_least;
    cases = 0;
    reference_each(visit, 0);
    if (!golden_root(1))
        skip();
    assert_true(cases >= 5);
}

/* "layer.1.attention", "decoder.layer.1.cross" */
static void name_site(char out[64], const inside *x, attention_kind kind, size_t layer)
{
    const char *stack = !x->r->has_decoder ? "" : kind == ATTENTION_ENCODER ? "encoder." : "decoder.";
    snprintf(out, 64, "%slayer.%zu.%s", stack, layer + 1, kind == ATTENTION_CROSS ? "cross" : "attention");
}

bool inside_find_site(inside *x, const char *what, attention_kind kind, size_t layer, tensor *out)
{
    char name[NAME_ROOM], site[64];
    name_site(site, x, kind, layer);
    snprintf(name, sizeof name, "%s.%s", what, site);
    return golden_find(x->numbers, name, out);
}

tensor inside_site(inside *x, const char *what, attention_kind kind, size_t layer)
{
    tensor out;
    if (!inside_find_site(x, what, kind, layer, &out))
        fail_msg("%s: no %s of %s layer %zu", x->r->gradients->model, what, attention_kind_id(kind), layer);
    return out;
}

static tensor probabilities(inside *x, attention_kind kind, size_t layer)
{
    char name[NAME_ROOM];
    const char *input = json_string_value(json_object_get(x->numbers->json, "input"));
    const char *stack = !x->r->has_decoder ? "attention" : kind == ATTENTION_ENCODER ? "encoder.attention" : kind == ATTENTION_CROSS ? "decoder.cross" : "decoder.attention";
    snprintf(name, sizeof name, "%s.%s.probs.%zu", input, stack, layer + 1);
    return golden_array(x->forward, name);
}

attention_maps inside_maps(inside *x, const attention_maps *like, const char *what)
{
    attention_maps out = *like;
    tkr_error error = {0};
    assert_int_equal(attention_maps_make_room(x->arena, &out, &error), TKR_OK);
    for (attention_kind kind = 0; kind < ATTENTION_KINDS; kind++)
        for (size_t l = 0; l < out.of[kind].layers; l++) {
            tensor t = what ? inside_site(x, what, kind, l) : probabilities(x, kind, l);
            const attention_stack *s = &out.of[kind];
            size_t count = s->heads * s->queries * s->keys, size = 1;
            for (size_t i = 0; i < t.rank; i++)
                size *= t.shape[i];
            assert_int_equal(size, count);
            memcpy(attention_head_map(s, l, 0), t.f64, count * sizeof(double));
        }
    return out;
}

size_t inside_row(const inside *x) { return (size_t)json_integer_value(json_object_get(x->numbers->json, "prediction_row_attention")); }
