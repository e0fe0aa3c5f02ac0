/*
 * Reference numbers of the inside of a model, "<case>.inside", with the question they are about, understood and run.  Only TOKRAY_ORACLE
 * has some: without it nothing is visited.
 */
#ifndef EXPLAIN_INSIDE_H
#define EXPLAIN_INSIDE_H

#include "explain/attention_maps.h"
#include "explain/reference.h"

typedef struct inside {
    reference *r;
    golden *numbers, *forward; /* the inside, and the plain forward pass  */
    arena *arena;
    question q;                /* the reference's, in logits              */
    tkr_question asked;
    size_t compared;
} inside;

typedef void inside_fn(inside *x);
/* Every case that has such numbers; each must add at least at_least to x->compared. */
void inside_each(inside_fn *compare, size_t at_least);

/* "gradient.layer.1.attention": the reference's array of an attention; layer counts from 0. */
tensor inside_site(inside *x, const char *what, attention_kind kind, size_t layer);
bool inside_find_site(inside *x, const char *what, attention_kind kind, size_t layer, tensor *out);
/* The reference's own maps as ours, from "<what>.<site>", or of the probabilities (what NULL). */
attention_maps inside_maps(inside *x, const attention_maps *like, const char *what);
/* Row of the reference where the answer is read, among the rows of its stack. */
size_t inside_row(const inside *x);

/* A question about a made model, understood and run; fails the test otherwise.  Freed with question_fini and arena_free. */
void inside_ask(question *q, tkr_session *s, const tkr_question *asked, arena *a);
/* The way back of one target over a pass that has run. */
void inside_way_back(const question *q, pass *p, size_t t, op_rule rule);

#endif
