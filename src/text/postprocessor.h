/*
 * Post-processors: the "post_processor" object of a tokenizer.json.  Every type comes down to two templates (for one text,
 * for a pair) and to whether spaces are trimmed off the offsets.
 */
#ifndef TEXT_POSTPROCESSOR_H
#define TEXT_POSTPROCESSOR_H

#include "text/loader.h"
#include "text/tokenizer.h"

enum { TEMPLATE_ITEMS_MOST = 32, TEMPLATE_IDS_MOST = 64 };

typedef enum template_source { TEMPLATE_FIRST_TEXT, TEMPLATE_SECOND_TEXT, TEMPLATE_TOKENS } template_source;

typedef struct template_item {
    template_source source;
    int32_t segment;
    const int32_t *ids; /* TEMPLATE_TOKENS only */
    size_t count;
} template_item;

typedef struct template {
    template_item items[TEMPLATE_ITEMS_MOST];
    size_t count;
    size_t token_count; /* tokens the template adds */
} template;

typedef struct postprocessor {
    template single, pair;
    bool has_template;
    bool trims_offsets, keeps_prefix_space;
} postprocessor;

/* The ids are checked with tokenizer_id(t).  JSON null gives templates that add nothing (pair: types 0 and 1). */
bool postprocessor_load(loader *l, const json_t *value, const tokenizer *t, postprocessor *out);

#endif
