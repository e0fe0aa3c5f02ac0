/*
 * Piece models: the "model" object of a tokenizer.json, which turns one piece of text into ids.  One file for each type
 * (wordpiece.c, wordlevel.c) and its row in piece_model.c.
 */
#ifndef TEXT_PIECE_MODEL_H
#define TEXT_PIECE_MODEL_H

#include "text/loader.h"
#include "text/vocabulary.h"

/* Ids of one piece; offsets are bytes of the piece. */
typedef struct model_token {
    int32_t id;
    uint32_t begin, end;
} model_token;

/* Zero-initialised is empty. */
typedef struct model_tokens {
    model_token *items;
    size_t count, capacity;
    bool failed; /* out of memory */
    bool lacks_unknown; /* a character is in no piece and the model has no unknown token */
} model_tokens;

void model_tokens_add(model_tokens *list, int32_t id, size_t begin, size_t end);
void model_tokens_fini(model_tokens *list);

typedef struct piece_model_kind {
    part_name part;
    /* Is a "model" object without a type one of these?  Asked in the order of the table. */
    bool (*fits)(const json_t *object);
    /* Fill the vocabulary from the object; NULL: "vocab" is an object {"piece": id}. */
    bool (*vocabulary)(loader *l, const json_t *object, vocabulary *v);
    /* Read the object; the vocabulary has been read before.  NULL with an error. */
    void *(*load)(loader *l, const json_t *object, const vocabulary *v);
    /* Append the tokens of a piece that is not empty. */
    void (*run)(const void *data, const vocabulary *v, view piece, model_tokens *out);
    void (*free)(void *data); /* what the arena does not hold; NULL: nothing */
    /* The token for what is unknown, -1: none. */
    int32_t (*unknown)(const void *data);
} piece_model_kind;

extern const piece_model_kind piece_model_bpe, piece_model_wordpiece, piece_model_wordlevel, piece_model_unigram,
    piece_model_sentencepiece_bpe;

typedef struct piece_model {
    const piece_model_kind *kind;
    void *data;
} piece_model;

/* Find the kind and load it.  The vocabulary is read from the object's "vocab" unless it has been filled already. */
bool piece_model_load(loader *l, const json_t *object, vocabulary *v, piece_model *out);
void piece_model_fini(piece_model *m);

/* The id of the object's unk_token (`otherwise` when it names none); false with `code` when the vocabulary lacks it. */
bool piece_model_unknown(loader *l, const json_t *object, const vocabulary *v, const char *otherwise, tkr_status code,
                         int32_t *out);

#endif
