/* Different words, numbered from 0 in the order they came: the vocabulary of a corpus where a model shows none. */
#ifndef EXPLAIN_WORD_LIST_H
#define EXPLAIN_WORD_LIST_H

#include <stdint.h>

#include "base/view.h"

typedef struct word_list word_list;

word_list *word_list_new(void); /* NULL: no memory */
void word_list_free(word_list *l);
/* Number of a word, a new one when it is not there; SIZE_MAX: no memory. */
size_t word_list_enter(word_list *l, view word);
/* The same, SIZE_MAX when it is not there. */
size_t word_list_find(const word_list *l, view word);
view word_list_at(const word_list *l, size_t number);
size_t word_list_count(const word_list *l);

#endif
