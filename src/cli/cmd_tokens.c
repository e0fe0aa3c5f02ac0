/* tokray tokens: how the model's tokenizer cuts a text.  Needs no weights. */
#include <inttypes.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/columns_table.h"
#include "cli/heap.h"
#include "cli/inputs.h"

static const char *special_name(tkr_special special)
{
    static const char *const names[] = {"", "cls", "sep", "mask", "pad", "bos", "eos", "unk", "other"};
    return (size_t)special < sizeof names / sizeof *names ? names[special] : "other";
}

static void put_token(columns_table *t, size_t i, const tkr_token *token, const char *text, const char *pair)
{
    const char *from = token->text == 1 ? pair : text;
    columns_table_format(t, "%zu", i);
    columns_table_format(t, "%" PRId32, token->id);
    columns_table_add(t, token->raw);
    if (token->begin >= 0 && from) {
        char *slice = heap_text(from + token->begin, (size_t)(token->end - token->begin));
        columns_table_add(t, slice);
        heap_free(slice);
        columns_table_format(t, "%" PRId64 "-%" PRId64, token->begin, token->end);
        columns_table_format(t, "%" PRId32, token->word);
    } else {
        columns_table_add(t, "");
        columns_table_add(t, "");
        columns_table_add(t, "");
    }
    columns_table_add(t, special_name(token->special));
}

static void put_table(cli *c, const tkr_encoding *encoding, const char *text, const char *pair)
{
    static const char *const heads[] = {"i", "id", "entry", "text", "bytes", "word", "special"};
    columns_table t;
    columns_table_init(&t, sizeof heads / sizeof *heads, 1 | 2 | 32);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        columns_table_add(&t, heads[i]);
    for (size_t i = 0; i < tkr_encoding_count(encoding); i++)
        put_token(&t, i, &tkr_encoding_tokens(encoding)[i], text, pair);
    columns_table_print(&t, &c->out);
    if (tkr_encoding_dropped(encoding))
        stream_format(&c->out, "  %zu more were cut\n", tkr_encoding_dropped(encoding));
}

static tkr_status cut(cli *c, const tkr_model *model, const input *in)
{
    tkr_model_facts facts;
    const char *pair = arguments_text(&c->args, OPTION_PAIR, NULL);
    bool at_end = arguments_is(&c->args, OPTION_TRUNCATE, "end"), at_start = arguments_is(&c->args, OPTION_TRUNCATE, "start");
    tkr_model_describe(model, &facts);
    tkr_truncate side = at_end ? TKR_TRUNCATE_END : at_start ? TKR_TRUNCATE_START : TKR_TRUNCATE_NEVER;
    tkr_encoding *encoding = tkr_tokenize(model, in->text, in->bytes, pair, pair ? strlen(pair) : 0, side,
                                          side ? facts.max_tokens : 0, &c->error);
    if (!encoding)
        return c->error.code;
    put_table(c, encoding, in->text, pair);
    tkr_encoding_free(encoding);
    return TKR_OK;
}

tkr_status tokens_command(cli *c)
{
    inputs in;
    tkr_model *model = NULL;
    tkr_status status = inputs_read(&in, c);
    if (!status && !(model = cli_open_model(c, NULL, true)))
        status = c->error.code;
    for (size_t i = 0; !status && i < in.count; i++) {
        if (i > 0)
            stream_text(&c->out, "\n");
        status = cut(c, model, &in.list[i]);
    }
    tkr_model_close(model);
    inputs_free(&in);
    return status;
}
