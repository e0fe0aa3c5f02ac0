/*
 * Text: what the model's tokenizer makes of a user's text, with byte offsets back into that text.
 */
#ifndef TOKRAY_TEXT_H
#define TOKRAY_TEXT_H

#include <tokray/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Special role of a token. */
typedef enum tkr_special {
    TKR_SPECIAL_NONE = 0,
    TKR_SPECIAL_CLS,
    TKR_SPECIAL_SEP,
    TKR_SPECIAL_MASK,
    TKR_SPECIAL_PAD,
    TKR_SPECIAL_BOS,
    TKR_SPECIAL_EOS,
    TKR_SPECIAL_UNK,
    TKR_SPECIAL_OTHER,
} tkr_special;

/* One token.  Offsets are bytes of the text it came from, half-open; tokens that come from no text have begin = end = -1.
 * word counts the pre-tokenizer's pieces, from 0 in each text; -1 for template tokens. */
typedef struct tkr_token {
    int32_t id;
    int32_t segment;   /* token type, 0 or 1                                  */
    int32_t text;      /* 0: first text, 1: second text, -1: template         */
    int32_t word;
    int64_t begin, end;
    tkr_special special;
    bool is_template;  /* put there by the template, not by the user          */
    const char *raw;   /* the vocabulary entry, borrowed from the model, NUL-terminated */
} tkr_token;

typedef struct tkr_encoding tkr_encoding;

typedef enum tkr_truncate { TKR_TRUNCATE_NEVER = 0, TKR_TRUNCATE_END, TKR_TRUNCATE_START } tkr_truncate;

/* Tokenise a text, or a pair of texts (pair may be NULL).  Neither needs a NUL inside the given length.
 * max_tokens 0: no limit is applied.  With TKR_TRUNCATE_NEVER a longer input is refused (input.too_long).
 * Errors: input.utf8, input.too_long, limit.text.  Cost: linear in the text. */
TKR_API tkr_encoding *tkr_tokenize(const tkr_model *model, const char *text, size_t text_bytes, const char *pair,
                                   size_t pair_bytes, tkr_truncate truncate, size_t max_tokens, tkr_error *error);
TKR_API void tkr_encoding_free(tkr_encoding *encoding);

/* Number of tokens, and the tokens; borrowed from the encoding. */
TKR_API size_t tkr_encoding_count(const tkr_encoding *encoding);
TKR_API const tkr_token *tkr_encoding_tokens(const tkr_encoding *encoding);
/* How many tokens truncation dropped. */
TKR_API size_t tkr_encoding_dropped(const tkr_encoding *encoding);

/* Text of ids, as the tokenizer's decoder puts it; unknown ids are skipped.  Caller frees with tkr_string_free. */
TKR_API char *tkr_decode(const tkr_model *model, const int32_t *ids, size_t count, bool skip_special, tkr_error *error);
TKR_API void tkr_string_free(char *string);

#ifdef __cplusplus
}
#endif
#endif
