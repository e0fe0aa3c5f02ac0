/* What a model folder of a family holds: its tensors, config.json, tokenizer files.  Private to make_model.c. */
#ifndef SUPPORT_MAKE_FAMILIES_H
#define SUPPORT_MAKE_FAMILIES_H

#include "make_model.h"

typedef struct tensor_list {
    const model_recipe *recipe;
    made_tensor *tensors;
    size_t count, capacity;
    bool failed;
} tensor_list;

/* Append a tensor; rows 0: a vector. */
void made_put(tensor_list *list, const char *name, size_t rows, size_t columns, double centre, double deviation);

/* All tensors of the recipe's family and head. */
void made_put_all(tensor_list *list);
/* What stands in front of the names of the base model's tensors. */
const char *made_prefix(const model_recipe *r);

#endif
