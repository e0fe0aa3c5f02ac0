/*
 * A pass: one batch shape with its arrays, graph and runner.  The scorer and the differentiator fill in ids and read
 * logits and gradients; everything else about running a model is here.
 */
#ifndef EXPLAIN_PASS_H
#define EXPLAIN_PASS_H

#include "explain/session.h"
#include "tensor/run.h"

/* Sequences of a pass and what is wanted of them. */
typedef struct pass_shape {
    size_t sequences;
    const uint32_t *lengths;  /* [sequences]; NULL: all are `length` long             */
    size_t length;
    size_t output_length;     /* encoder-decoders: how many of them are decoder inputs (the last ones) ...  */
    const uint32_t *output_lengths; /* ... of each sequence, where they differ                */
    size_t reads;             /* rows a sequence whose logits are read (1 for classification) */
    bool backward;            /* room for gradients at site `at`                      */
    size_t seeds;             /* most seeds that one way back takes; 0: 1             */
    const char *at;           /* sites kept readable (and, with backward, where gradients end), "*" for layers; NULL: none */
    bool hides;               /* batch.hidden is used                                 */
    /* sequences that share rows (model.h, batch); the caller fills spread and key_rows in */
    const uint32_t *targets;  /* [sequences] read rows of each, where they differ; NULL: `reads` of each */
    const uint32_t *keys;     /* [sequences] how many keys of each are listed; NULL: none are */
    const uint32_t *source_of; /* [sequences]; NULL: all have their own source           */
    size_t distinct;          /* rows before the first attention; 0: each its own      */
    size_t longest;           /* rows are left out of texts that are this long; 0: none are */
    graph_wish wish;
} pass_shape;

typedef struct pass {
    tkr_session *session;
    pass_shape shape;
    arena *arena;             /* batch arrays and graph */
    batch batch;
    const uint32_t *logit_rows; /* where inputs are no sequences: [inputs][shape.reads] row of logits of each read; NULL: the sequence's */
    model_graph graph;
    node at;                  /* the chosen one of the places; NODE_NONE without shape.at */
    node *places;             /* [place_count] nodes of the sites that fit shape.at, in the order of the graph */
    const char **place_names;
    size_t place_count;
    runner *runner;
    /* the way back; NULL and NODE_NONE without shape.backward */
    node from;                /* where the runner's begins: what the head's matrix reads, or the logits where there is none */
    real *head_rows;          /* [shape.seeds][rows, width] gradient at `from`, and room for one row */
    double *head_kept;        /* [shape.seeds] what the head's bias keeps under relevance rules */
    uint32_t *head_dense;     /* [batch.targets] rows of a seed that are multiplied */
    /* external models have no graph: their scores for texts, one a sequence; NULL else */
    const char **texts;       /* [shape.sequences] filled by the caller, NUL-terminated */
    size_t text_count;        /* how many there are; at first all                       */
    float *scores;            /* [shape.sequences][model outputs]                       */
    real *logits;             /* the same, once asked                                   */
} pass;

/* Prepare arrays and graph: batch.begin, positions (0, 1, ...) and target_begin are filled in; the caller fills ids, types,
 * hidden and target_rows, and may mark nodes as kept, before the first pass_forward. */
pass *pass_new(tkr_session *s, const pass_shape *shape, tkr_error *error);
void pass_free(pass *p);

/* Bytes the runner of this shape will hold and floating-point work of one forward (and backward). */
tkr_status pass_plan(pass *p, size_t *block, size_t *packs, double *flops, tkr_error *error);

/* Make the runner if there is none, check the ids, run. */
tkr_status pass_forward(pass *p, tkr_error *error);
/* Let something change the rows of a site in later forward runs. */
tkr_status pass_intervene(pass *p, const char *site, intervene_fn *call, void *user, tkr_error *error);
/* Seed number `index` of the next way back: d f / d logits [batch.targets, outputs].  Rows that are zero or nearly so cost nothing. */
tkr_status pass_seed(pass *p, size_t index, const real *seed, tkr_error *error);
/* From the first `count` seeds at once, at most shape.seeds; absorbed: see runner_backward_many. */
tkr_status pass_backward(pass *p, op_rule rule, size_t count, double *absorbed, tkr_error *error);

/* Logits of read number `read` of a sequence: [model outputs], or those alone that the shape wished for. */
const real *pass_logits(const pass *p, size_t sequence, size_t read);
/* Values and gradients at the chosen place from a sequence's first row there: [pass_place_rows, hidden].  Gradients of seed i are
 * those of the sequences from i * batch.sequences on. */
const real *pass_values(const pass *p, size_t sequence);
const real *pass_gradient(const pass *p, size_t sequence);
/* Choose a place; how many rows each sequence has there (fewer than tokens in one stack of an encoder-decoder). */
void pass_choose(pass *p, size_t place);
size_t pass_place_rows(const pass *p);

#endif
