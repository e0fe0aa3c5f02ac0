/* Models of published sizes with seeded random weights, made in a temporary folder, and forward passes over them. */
#ifndef BENCH_SIZED_H
#define BENCH_SIZED_H

#include "explain/pass.h"
#include "support/workplace.h"

typedef struct sized {
    const char *program; /* for messages: everything here ends the program when it fails */
    const char *name;    /* the family, "bert" or "distilbert"                           */
    char folder[WORK_PATH];
    tkr_model *model;
    tkr_session *session;
} sized;

/* threads 0: as many as the process may use. */
void sized_open(sized *s, const char *program, const char *family_name, int threads);
void sized_close(sized *s);

/* Bytes of the layers' matrices, which every pass has to read. */
double sized_matrix_bytes(const sized *s);

/* A forward pass over sequences of these lengths, packed: the hidden states of all rows of the last layer, no head.
 * Row i has token 200 + 7919 i mod 20000. */
pass *sized_forward(const sized *s, const uint32_t *lengths, size_t sequences);

/* 64 sentence lengths from 6 to 122, spread evenly, in no order. */
enum { MIXED_SENTENCES = 64 };
void sized_mixed_lengths(uint32_t lengths[MIXED_SENTENCES]);

/* Least work of one pass over one sequence that reads a single row at the end: forward, and the way back to the embeddings. */
typedef struct pass_work {
    double forward, backward; /* FLOP */
} pass_work;
pass_work sized_work(const sized *s, size_t tokens);

#endif
