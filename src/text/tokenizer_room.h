/* Inside of a tokenizer, for the files tokenizer_*.c. */
#ifndef TEXT_TOKENIZER_ROOM_H
#define TEXT_TOKENIZER_ROOM_H

#include "text/added.h"
#include "text/decoder.h"
#include "text/normalizer.h"
#include "text/piece_model.h"
#include "text/postprocessor.h"
#include "text/pretokenizer.h"
#include "text/tokenizer.h"

enum { TOKENIZER_NOTES_MOST = 16 };

struct tokenizer {
    arena *memory; /* what the parts have loaded */
    vocabulary vocabulary;
    added_tokens added;
    const normalizer *normalizer;
    const pretokenizer *pretokenizer;
    piece_model model;
    postprocessor postprocessor;
    const decoder *decoder;
    int32_t roles[TKR_SPECIAL_OTHER]; /* id of each tkr_special, -1: none */
    size_t max_length;
    bool uses_segments;
    const char *file;
    char sha256[65];
    const char *notes[TOKENIZER_NOTES_MOST];
    size_t note_count;
};

/* Remember a note (dropped when there are too many). */
void tokenizer_add_note(tokenizer *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
