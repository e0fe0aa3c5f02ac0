/*
 * Decoders: the "decoder" object of a tokenizer.json, which turns the strings of tokens into text again.
 */
#ifndef TEXT_DECODER_H
#define TEXT_DECODER_H

#include "base/buffer.h"
#include "text/loader.h"

typedef struct decoder decoder;

/* Strings of tokens one after the other: token i is text[ends[i-1] .. ends[i]). */
typedef struct token_strings {
    buffer text;
    size_t *ends;
    size_t count, capacity;
    bool failed;
} token_strings;

void token_strings_init(token_strings *s);
void token_strings_fini(token_strings *s);
void token_strings_add(token_strings *s, view token);
view token_strings_get(const token_strings *s, size_t index);
/* For decoders that write their strings bit by bit: append to s->text, then close the token. */
void token_strings_close(token_strings *s);
/* Append text with each place of `old` (not empty) replaced. */
void token_strings_append(token_strings *s, view text, view old, view fresh);
/* `fresh` takes the place of the old strings. */
void token_strings_swap(token_strings *s, token_strings *fresh);

/* The byte of a token "<0xNN>", or -1. */
int token_byte(view token);
/* The token of a byte, upper-case digits, written to room. */
view token_of_byte(unsigned char byte, char room[7]);

/* NULL with an error; JSON null gives the one that joins tokens with a space. */
const decoder *decoder_load(loader *l, const json_t *value);
/* Rewrite the strings; afterwards the text is s->text as it stands.  Failures are in s->failed. */
void decoder_run(const decoder *d, token_strings *s);

#endif
