/* Models of published sizes with seeded random weights, made in a temporary folder, and forward passes over them. */
#ifndef BENCH_SIZED_H
#define BENCH_SIZED_H

#include "explain/pass.h"
#include "support/workplace.h"

typedef struct sized {
    const char *program; /* for messages: everything here ends the program when it fails */
    const char *name;    /* the family: "bert", "distilbert", "gpt2", "t5", ...          */
    char folder[WORK_PATH];
    tkr_model *model;
    tkr_session *session;
} sized;

/* threads 0: as many as the process may use. */
void sized_open(sized *s, const char *program, const char *family_name, int threads);
void sized_close(sized *s);

/* Bytes of the layers' matrices, which every pass has to read; of the second stack's alone, without keys and values of the
 * source: what one more row of an output reads (decoders: the same as all); of the head's matrix. */
double sized_matrix_bytes(const sized *s);
double sized_step_bytes(const sized *s);
double sized_head_bytes(const sized *s);

/* Token id of row i: 200 + 7919 i mod 20000. */
int32_t sized_id(size_t i);

/* A forward pass over sequences of these lengths, packed: the hidden states of all rows of the last layer, no head.
 * Encoder-decoders: output_length rows of each are decoder inputs; else it is 0. */
pass *sized_forward(const sized *s, const uint32_t *lengths, size_t sequences, size_t output_length);

/* 64 sentence lengths from 6 to 122, spread evenly, in no order. */
enum { MIXED_SENTENCES = 64 };
void sized_mixed_lengths(uint32_t lengths[MIXED_SENTENCES]);

/* Least work of one pass over one sequence that reads its last `reads` rows: forward, and the way back to the embeddings.
 * output_length: as in sized_forward. */
typedef struct pass_work {
    double forward, backward; /* FLOP */
} pass_work;
pass_work sized_work(const sized *s, size_t tokens, size_t output_length, size_t reads);

#endif
