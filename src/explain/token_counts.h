/*
 * A distribution of tokens to draw from: the ordinary entries of a vocabulary, each as likely as the others or as often as a
 * corpus has it (methods.md 4.2).  Ordinary: text, neither special nor added nor set aside unused, and known to the model.
 */
#ifndef EXPLAIN_TOKEN_COUNTS_H
#define EXPLAIN_TOKEN_COUNTS_H

#include "explain/session.h"
#include "explain/word_list.h"

typedef struct token_counts {
    int32_t *ids;    /* [count] ascending; each was counted at least once           */
    uint64_t *upto;  /* [count + 1] sum of the counts of the entries before; the last is the sum of all */
    size_t count;
    word_list *words; /* a corpus for an external model: ids are numbers of its own words; NULL: the vocabulary's */
} token_counts;

bool token_is_drawable(const tkr_model *m, int32_t id);

/* One of each.  Errors: limit.oom; usage.capability when there are not two. */
token_counts *token_counts_uniform(const tkr_model *m, tkr_error *error);
/* Tokenise a UTF-8 text file, one text a line, and count.  Errors: input.file (missing, unreadable, empty, of one distinct ordinary token),
 * input.utf8, limit.text (more than 1 GiB, a line of more than 1 MiB), cancelled. */
token_counts *token_counts_read(tkr_session *s, const char *path, tkr_error *error);
void token_counts_free(token_counts *t);

/* The entry at unit in [0, 1) of the distribution without `except` (-1: with all). */
int32_t token_counts_draw(const token_counts *t, int32_t except, double unit);

#endif
