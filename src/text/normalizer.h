/*
 * Normalizers: the "normalizer" object of a tokenizer.json.  One row of the table in normalizer.c for each type.
 */
#ifndef TEXT_NORMALIZER_H
#define TEXT_NORMALIZER_H

#include "text/loader.h"
#include "text/normalized.h"

typedef struct normalizer normalizer;

/* NULL with an error, or a normalizer in the loader's arena.  JSON null gives one that changes nothing. */
const normalizer *normalizer_load(loader *l, const json_t *value);
void normalizer_run(const normalizer *n, normalized *text);

#endif
