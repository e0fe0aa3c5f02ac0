/*
 * Added tokens: strings that are found in the text before the model sees it ("[MASK]", "</s>", new words of a fine-tuned
 * model).  Their ids are those of the model's vocabulary, or come after it.
 */
#ifndef TEXT_ADDED_H
#define TEXT_ADDED_H

#include "text/loader.h"
#include "text/matcher.h"
#include "text/normalizer.h"
#include "text/pieces.h"
#include "text/vocabulary.h"

typedef struct added_token {
    view content;   /* in the tokenizer's arena, NUL-terminated            */
    view decoded;   /* what decoding gives: normalised where it is found so */
    int32_t id;
    int64_t wanted; /* the id its file writes next to it, -1: none         */
    const char *file;
    bool single_word, lstrip, rstrip, normalized, special;
} added_token;

typedef struct added_tokens {
    added_token *items;
    size_t count, capacity;
    vocabulary by_content; /* content -> index    */
    uint32_t *by_id;       /* index + 1, 0: none  */
    size_t id_limit;
    matcher *raw, *normal; /* over the text as it is; over the normalised text */
    int32_t *raw_tokens, *normal_tokens; /* index of each pattern              */
} added_tokens;

void added_fini(added_tokens *a);
/* Read the flags of an entry; content, id, wanted and file are the caller's. */
bool added_read_flags(loader *l, const json_t *entry, added_token *token);
/* Take a token in.  Content that is there already: the new flags count, and the ids wanted must agree. */
bool added_put(loader *l, added_tokens *a, added_token token);
/* Give ids as the reference does and refuse those that are not the ones the files want. */
bool added_number(loader *l, added_tokens *a, const vocabulary *v);
/* Ready the search and the decoding; after the last token. */
bool added_finish(loader *l, added_tokens *a, const normalizer *n);

int32_t added_index(const added_tokens *a, view content);      /* -1: none */
const added_token *added_of_id(const added_tokens *a, int32_t id); /* NULL: none */

/* Cut text into found tokens and what is between; pieces are counted from `base`.  normal: use the second set. */
void added_split(const added_tokens *a, bool normal, view text, size_t base, piece_list *out);

#endif
