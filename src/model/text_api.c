/* The public text functions: thin over the tokenizer of a model. */
#include <tokray/text.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/size.h"
#include "model/model.h"

enum { TEXT_BYTES_MAX = 64 << 20, DECODED_BYTES_MAX = 256 << 20 };

/* A text of the caller: within the limit, and there when its length says so. */
static tkr_status check_text(const char *text, size_t bytes, const char *field, tkr_error *error)
{
    tkr_status status = TKR_OK;
    if (!text && bytes)
        status = fail(error, TKR_E_USAGE_ARGUMENT, "%s is NULL, but has %zu bytes", field, bytes);
    else if (bytes > TEXT_BYTES_MAX)
        status =
            fail(error, TKR_E_LIMIT_TEXT, "%s has %zu bytes; the limit is %d", field, bytes, TEXT_BYTES_MAX);
    if (status)
        fail_field(error, field, -1, 0);
    return status;
}

tkr_encoding *tkr_tokenize(const tkr_model *model, const char *text, size_t text_bytes, const char *pair,
                           size_t pair_bytes, tkr_truncate truncate, size_t max_tokens, tkr_error *error)
{
    if (!model || !text)
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "%s is NULL", model ? "text" : "model");
    if (truncate < TKR_TRUNCATE_NEVER || truncate > TKR_TRUNCATE_START)
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "truncate %d is none of tkr_truncate's values",
                         (int)truncate);
    if (check_text(text, text_bytes, "text", error) || check_text(pair, pair ? pair_bytes : 0, "pair", error))
        return NULL;
    view second = {pair, pair_bytes};
    encode_options options = {.pair = pair ? &second : NULL, .truncate = truncate, .max_tokens = max_tokens};
    view first = {text, text_bytes};
    tkr_encoding *e = tokenizer_encode(model->tokenizer, first, options, error);
    if (!e || !model->score || external_name_words(e, first, second, error) == TKR_OK)
        return e;
    tkr_encoding_free(e);
    return NULL;
}

void tkr_encoding_free(tkr_encoding *encoding)
{
    if (!encoding)
        return;
    memory_free(encoding->tokens);
    memory_free(encoding->words);
    memory_free(encoding);
}

size_t tkr_encoding_count(const tkr_encoding *encoding) { return encoding ? encoding->count : 0; }
const tkr_token *tkr_encoding_tokens(const tkr_encoding *encoding)
{
    return encoding ? encoding->tokens : NULL;
}
size_t tkr_encoding_dropped(const tkr_encoding *encoding) { return encoding ? encoding->dropped : 0; }

char *tkr_decode(const tkr_model *model, const int32_t *ids, size_t count, bool skip_special, tkr_error *error)
{
    if (!model || (!ids && count))
        return fail_null(error, TKR_E_USAGE_ARGUMENT, "%s is NULL", model ? "ids" : "model");
    buffer text;
    buffer_init(&text, DECODED_BYTES_MAX);
    char *copy = NULL;
    if (tokenizer_decode(model->tokenizer, ids, count, skip_special, &text, error) == TKR_OK) {
        copy = memory_copy_text(text.size ? text.data : "", text.size);
        if (!copy)
            fail_memory(error, "the decoded text", text.size + 1);
    }
    buffer_fini(&text);
    return copy;
}

void tkr_string_free(char *string) { memory_free(string); }
