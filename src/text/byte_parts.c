/*
 * The parts around a vocab.json and a merges.txt: GPT-2 and its kin, OPT, RoBERTa and its kin, Qwen2.
 *
 * Known to go wrong: merges.txt may begin with a byte-order mark and a #version line, have CR LF line ends and empty lines;
 * RoBERTa's mask swallows the space before it; Qwen2's special tokens are not in vocab.json, they come from the settings;
 * OPT calls its tokenizer GPT-2's and puts </s> in front of each text.
 */
#include "text/byte_parts.h"

typedef enum byte_family { BYTE_GPT2, BYTE_OPT, BYTE_ROBERTA, BYTE_QWEN2, BYTE_UNKNOWN } byte_family;

static const char pieces_file[] = "vocab.json";
static const char merges_file[] = "merges.txt";
static const char qwen2_split[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
                                  "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/* ---- which family ------------------------------------------------------------------------------------------------ */

static byte_family family_of(view name)
{
    static const struct {
        const char *name;
        byte_family family;
    } known[] = {
        {"gpt2", BYTE_GPT2},           {"gpt_neo", BYTE_GPT2},      {"gptj", BYTE_GPT2},
        {"phi", BYTE_GPT2},            {"codegen", BYTE_GPT2},      {"opt", BYTE_OPT},
        {"roberta", BYTE_ROBERTA},     {"bart", BYTE_ROBERTA},      {"longformer", BYTE_ROBERTA},
        {"led", BYTE_ROBERTA},         {"qwen2", BYTE_QWEN2},       {"qwen2_moe", BYTE_QWEN2},
        {"qwen3", BYTE_QWEN2},         {"GPT2Tokenizer", BYTE_GPT2}, {"CodeGenTokenizer", BYTE_GPT2},
        {"RobertaTokenizer", BYTE_ROBERTA}, {"BartTokenizer", BYTE_ROBERTA}, {"LongformerTokenizer", BYTE_ROBERTA},
        {"LEDTokenizer", BYTE_ROBERTA}, {"Qwen2Tokenizer", BYTE_QWEN2},
    };
    if (name.size > 4 && view_is(view_slice(name, name.size - 4, name.size), "Fast"))
        name.size -= 4;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (view_is(name, known[i].name))
            return known[i].family;
    return BYTE_UNKNOWN;
}

static byte_family choose_family(const tokenizer_settings *s, const json_t *pieces, const char *family)
{
    const json_t *class = json_object_get(s->config, "tokenizer_class");
    byte_family found = json_is_string(class) ? family_of(view_of(json_string_value(class))) : BYTE_UNKNOWN;
    byte_family said = family ? family_of(view_of(family)) : BYTE_UNKNOWN;
    if (said == BYTE_OPT && found == BYTE_GPT2)
        return BYTE_OPT;
    if (found != BYTE_UNKNOWN)
        return found;
    if (said != BYTE_UNKNOWN)
        return said;
    return json_object_get(pieces, "<s>") && json_object_get(pieces, "</s>") ? BYTE_ROBERTA : BYTE_GPT2;
}

/* ---- merges.txt -------------------------------------------------------------------------------------------------- */

static bool put_line(loader *l, json_t *merges, view line, size_t number)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0 || view_begins(line, VIEW("#version")))
        return true;
    json_t *text = json_stringn(line.data, line.size); /* NULL when it is not UTF-8 */
    const char *space = memchr(line.data, ' ', line.size);
    size_t at = space ? (size_t)(space - line.data) : line.size;
    bool is_pair = at > 0 && at + 1 < line.size && !memchr(space + 1, ' ', line.size - at - 1);
    if (!text || !is_pair) {
        json_decref(text);
        fail(l->error, TKR_E_TOK_MERGE, "%s: line %zu is %s; it must be two pieces with one space between them",
             merges_file, number, QUOTE(line));
        return false;
    }
    if (json_array_append_new(merges, text) == 0)
        return true;
    fail_memory(l->error, merges_file, line.size);
    return false;
}

static json_t *read_merges(loader *l, view text)
{
    json_t *merges = json_array();
    size_t at = view_begins(text, VIEW("\xEF\xBB\xBF")) ? 3 : 0;
    for (size_t number = 1; merges && at < text.size; number++) {
        const char *found = memchr(text.data + at, '\n', text.size - at);
        size_t end = found ? (size_t)(found - text.data) : text.size;
        if (!put_line(l, merges, view_slice(text, at, end), number)) {
            json_decref(merges);
            return NULL;
        }
        at = end + 1;
    }
    if (!merges)
        fail_memory(l->error, merges_file, text.size);
    return merges;
}

/* ---- special tokens ---------------------------------------------------------------------------------------------- */

typedef struct usual_token {
    tkr_special role;
    const char *content;
    bool lstrip;
} usual_token;

static const usual_token gpt2_tokens[] = {{TKR_SPECIAL_BOS, "<|endoftext|>", false}};
static const usual_token opt_tokens[] = {{TKR_SPECIAL_BOS, "</s>", false}, {TKR_SPECIAL_PAD, "<pad>", false}};
static const usual_token qwen2_tokens[] = {{TKR_SPECIAL_EOS, "<|endoftext|>", false}};
static const usual_token roberta_tokens[] = {
    {TKR_SPECIAL_BOS, "<s>", false},  {TKR_SPECIAL_PAD, "<pad>", false}, {TKR_SPECIAL_EOS, "</s>", false},
    {TKR_SPECIAL_UNK, "<unk>", false}, {TKR_SPECIAL_MASK, "<mask>", true},
};

static const usual_token *tokens_of(byte_family family, size_t *count)
{
    switch (family) {
    case BYTE_OPT: *count = 2; return opt_tokens;
    case BYTE_ROBERTA: *count = 5; return roberta_tokens;
    case BYTE_QWEN2: *count = 1; return qwen2_tokens;
    case BYTE_GPT2:
    case BYTE_UNKNOWN: break;
    }
    *count = 1;
    return gpt2_tokens;
}

/* What the settings call a role, or the usual name. */
static const char *role_name(const tokenizer_settings *s, byte_family family, tkr_special role)
{
    if (s->roles[role].content.size > 0)
        return s->roles[role].content.data;
    size_t count;
    const usual_token *tokens = tokens_of(family, &count);
    for (size_t i = 0; i < count; i++)
        if (tokens[i].role == role)
            return tokens[i].content;
    return tokens[0].content;
}

/* The usual tokens that no file speaks of; those that are spoken of come with the settings. */
static json_t *usual_added(const tokenizer_settings *s, byte_family family, const json_t *pieces)
{
    size_t count;
    const usual_token *tokens = tokens_of(family, &count);
    json_t *list = json_array();
    for (size_t i = 0; list && i < count; i++) {
        bool is_said = s->roles[tokens[i].role].content.size > 0;
        bool is_there = json_object_get(pieces, tokens[i].content) || family == BYTE_QWEN2;
        if (is_said || !is_there || json_object_get(s->config, "added_tokens_decoder"))
            continue;
        if (json_array_append_new(list, json_pack("{s:s, s:b, s:b, s:b}", "content", tokens[i].content, "special", 1,
                                                  "normalized", 0, "lstrip", tokens[i].lstrip)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static bool flag_of(const tokenizer_settings *s, const char *key, bool otherwise)
{
    const json_t *value = json_object_get(s->config, key);
    return json_is_boolean(value) ? json_is_true(value) : otherwise;
}

static json_t *pretokenizer_parts(byte_family family, bool adds_space)
{
    if (family != BYTE_QWEN2)
        return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", adds_space, "trim_offsets", 1,
                         "use_regex", 1);
    return json_pack("{s:s, s:[{s:s, s:{s:s}, s:s, s:b}, {s:s, s:b, s:b, s:b}]}", "type", "Sequence", "pretokenizers",
                     "type", "Split", "pattern", "Regex", qwen2_split, "behavior", "Isolated", "invert", 0, "type",
                     "ByteLevel", "add_prefix_space", adds_space, "trim_offsets", 0, "use_regex", 0);
}

/* bos in front: of the whole for GPT-2, of each text for OPT. */
static json_t *bos_template(const char *bos, json_int_t id, bool each)
{
    json_t *first = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", bos, "type_id", 0);
    json_t *second = json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", bos, "type_id", 1);
    json_t *a = json_pack("{s:{s:s, s:i}}", "Sequence", "id", "A", "type_id", 0);
    json_t *b = json_pack("{s:{s:s, s:i}}", "Sequence", "id", "B", "type_id", 1);
    json_t *single = json_pack("[O, O]", first, a);
    json_t *pair = each ? json_pack("[O, O, O, O]", first, a, second, b) : json_pack("[O, O, O]", first, a, b);
    json_t *table = json_object();
    if (table)
        json_object_set_new(table, bos, json_pack("{s:s, s:[I], s:[s]}", "id", bos, "ids", id, "tokens", bos));
    json_decref(first);
    json_decref(second);
    json_decref(a);
    json_decref(b);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", single, "pair", pair,
                     "special_tokens", table);
}

static json_int_t id_of(const json_t *pieces, const char *piece)
{
    const json_t *id = json_object_get(pieces, piece);
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

static json_t *postprocessor_parts(const tokenizer_settings *s, byte_family family, const json_t *pieces, bool adds_space)
{
    if (family == BYTE_ROBERTA) {
        bool has_cls = s->roles[TKR_SPECIAL_CLS].content.size > 0, has_sep = s->roles[TKR_SPECIAL_SEP].content.size > 0;
        const char *cls = role_name(s, family, has_cls ? TKR_SPECIAL_CLS : TKR_SPECIAL_BOS);
        const char *sep = role_name(s, family, has_sep ? TKR_SPECIAL_SEP : TKR_SPECIAL_EOS);
        return json_pack("{s:s, s:[s,I], s:[s,I], s:b, s:b}", "type", "RobertaProcessing", "cls", cls,
                         id_of(pieces, cls), "sep", sep, id_of(pieces, sep), "trim_offsets",
                         flag_of(s, "trim_offsets", true), "add_prefix_space", adds_space);
    }
    const char *bos = role_name(s, family, TKR_SPECIAL_BOS);
    if (family != BYTE_QWEN2 && flag_of(s, "add_bos_token", family == BYTE_OPT))
        return bos_template(bos, id_of(pieces, bos), family == BYTE_OPT);
    return json_pack("{s:s, s:b, s:b, s:b}", "type", "ByteLevel", "add_prefix_space", 1, "trim_offsets", 0, "use_regex", 1);
}

json_t *byte_parts_build(loader *l, const tokenizer_settings *s, view text, view merges, const char *family)
{
    json_t *pieces = json_parse_object(text, pieces_file, &json_model_file, JSON_NUL_ALLOWED, l->error);
    json_t *pairs = pieces ? read_merges(l, merges) : NULL;
    if (!pairs) {
        json_decref(pieces);
        return NULL;
    }
    byte_family known = choose_family(s, pieces, family);
    bool adds_space = flag_of(s, "add_prefix_space", false);
    json_t *normal = known == BYTE_QWEN2 ? json_pack("{s:s}", "type", "NFC") : json_null();
    json_t *added = usual_added(s, known, pieces);
    json_t *before = pretokenizer_parts(known, adds_space), *after = postprocessor_parts(s, known, pieces, adds_space);
    json_t *root = json_pack("{s:o, s:o, s:o, s:o, s:{s:s}, s:{s:s, s:o, s:o}}", "added_tokens", added, "normalizer", normal,
                             "pre_tokenizer", before, "post_processor", after, "decoder", "type", "ByteLevel", "model",
                             "type", "BPE", "vocab", pieces, "merges", pairs);
    if (!root)
        fail_memory(l->error, l->file, text.size);
    l->merges_file = merges_file;
    return root;
}
