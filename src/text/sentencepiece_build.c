/*
 * Building a tokenizer around a SentencePiece file.
 *
 * A row of the table of families says what stands around the model; the parts are made as the JSON that a tokenizer.json
 * of the family would have.  Pieces and scores go into the vocabulary at once.
 *
 * Known to go wrong: T5 counts its extra tokens downwards and appends them; XLM-R and CamemBERT shift the ids and have a
 * <mask> of their own at the end; ALBERT's pieces that end in a digit and a comma are made improbable; a BPE file has
 * scores but no merges, which are derived: every way to put a piece together from two others, best score first.
 * Source: transformers, convert_slow_tokenizer.py (the rules of each family, generate_merges).
 */
#include "text/sentencepiece_build.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/charsmap.h"
#include "text/sentencepiece.h"

enum { EXTRA_MOST = 10000, MERGES_MOST = 1 << 22, MERGE_STEPS_MOST = 1 << 30 };

typedef struct build build;

typedef struct sentencepiece_family {
    const char *const *names;    /* model_type of config.json, ended by NULL             */
    const char *const *classes;  /* tokenizer_class without "Tokenizer" and "Fast"       */
    bool (*pieces)(build *b);    /* fill the list                                        */
    json_t *(*parts)(build *b);  /* normalizer, pre_tokenizer, model, ...; NULL: failed  */
    bool needs_unigram;
} sentencepiece_family;

struct build {
    loader *l;
    const tokenizer_settings *settings;
    tokenizer *tokenizer;
    sentencepiece_file file;
    sentencepiece_piece *list; /* pieces in the order of their ids */
    size_t count, room;
    int32_t unknown;
    bool failed; /* a part could not be made: out of memory */
};

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

static void put_piece(build *b, const char *text, float score, sentencepiece_type type)
{
    b->list[b->count++] = (sentencepiece_piece){view_of(text), score, type};
}

static void put_pieces_from(build *b, size_t first)
{
    for (size_t i = first; i < b->file.count; i++)
        b->list[b->count++] = b->file.pieces[i];
}

static bool plain_pieces(build *b)
{
    b->unknown = (int32_t)b->file.unknown;
    put_pieces_from(b, 0);
    return true;
}

static bool t5_pieces(build *b)
{
    int64_t extra = 100;
    const json_t *config = b->settings->config;
    plain_pieces(b);
    if (json_object_get(config, "extra_ids") &&
        !json_get_int(config, "tokenizer_config.json", "extra_ids", 0, EXTRA_MOST, &extra, TKR_E_CONFIG_RANGE, b->l->error))
        return false;
    for (int64_t i = extra - 1; i >= 0; i--) {
        char *name = LOADER_NEW(b->l, char, 32);
        if (!name)
            return false;
        snprintf(name, 32, "<extra_id_%d>", (int)i);
        put_piece(b, name, 0, SENTENCEPIECE_USER_DEFINED);
    }
    return true;
}

static bool albert_pieces(build *b)
{
    plain_pieces(b);
    for (size_t i = 0; i < b->count; i++) {
        view text = b->list[i].text;
        if (text.size >= 2 && text.data[text.size - 1] == ',' && text.data[text.size - 2] >= '0' &&
            text.data[text.size - 2] <= '9')
            b->list[i].score -= 100;
    }
    return true;
}

static bool deberta_pieces(build *b)
{
    plain_pieces(b);
    bool has_mask = false;
    for (size_t i = 0; i < b->count; i++)
        has_mask |= view_is(b->list[i].text, "[MASK]");
    if (!has_mask)
        put_piece(b, "[MASK]", 0, SENTENCEPIECE_CONTROL);
    return true;
}

static bool xlm_pieces(build *b)
{
    put_piece(b, "<s>", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "<pad>", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "</s>", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "<unk>", 0, SENTENCEPIECE_UNKNOWN);
    b->unknown = 3;
    put_pieces_from(b, 3);
    put_piece(b, "<mask>", 0, SENTENCEPIECE_CONTROL);
    return true;
}

static bool camembert_pieces(build *b)
{
    put_piece(b, "<s>NOTUSED", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "<pad>", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "</s>NOTUSED", 0, SENTENCEPIECE_CONTROL);
    put_piece(b, "<unk>", 0, SENTENCEPIECE_UNKNOWN);
    put_piece(b, "<unk>NOTUSED", -100, SENTENCEPIECE_UNUSED);
    b->unknown = 3;
    put_pieces_from(b, 1);
    put_piece(b, "<mask>", 0, SENTENCEPIECE_CONTROL);
    return true;
}

/* The list becomes the vocabulary. */
static bool fill_vocabulary(build *b)
{
    vocabulary *v = &b->tokenizer->vocabulary;
    double *scores = LOADER_NEW(b->l, double, b->count);
    unsigned char *types = scores ? LOADER_NEW(b->l, unsigned char, b->count) : NULL;
    if (!types)
        return false;
    if (!vocabulary_reserve(v, b->count, b->count * 8)) {
        fail_memory(b->l->error, b->l->file, b->count * 8);
        return false;
    }
    for (size_t i = 0; i < b->count; i++) {
        size_t other = 0;
        scores[i] = (double)b->list[i].score;
        types[i] = (unsigned char)b->list[i].type;
        vocabulary_answer answer = vocabulary_add(v, b->list[i].text, (int32_t)i, &other);
        if (answer == VOCABULARY_ADDED)
            continue;
        if (answer == VOCABULARY_NO_MEMORY)
            fail_memory(b->l->error, b->l->file, v->bytes_used);
        else
            fail(b->l->error, TKR_E_TOK_DUPLICATE, "%s: pieces %zu and %zu are both %s", b->l->file, other, i,
                 QUOTE(b->list[i].text));
        return false;
    }
    v->scores = scores;
    v->types = types;
    return true;
}

/* ---- parts ------------------------------------------------------------------------------------------------------- */

static const char *role_or(const build *b, tkr_special role, const char *otherwise)
{
    view said = b->settings->roles[role].content;
    return said.size > 0 ? said.data : otherwise;
}

static bool setting(const build *b, const char *key, bool otherwise)
{
    const json_t *said = json_object_get(b->settings->config, key);
    return json_is_boolean(said) ? json_is_true(said) : otherwise;
}

/* The map of the file as base64, or null. */
static json_t *charsmap_json(const build *b)
{
    if (b->file.charsmap.size == 0)
        return json_null();
    char *text = base64_text(b->file.charsmap);
    json_t *value = text ? json_string(text) : NULL;
    memory_free(text);
    return value;
}

static json_t *precompiled(const build *b)
{
    json_t *map = charsmap_json(b);
    return json_is_null(map) ? map : json_pack("{s:s, s:o}", "type", "Precompiled", "precompiled_charsmap", map);
}

static json_t *replace_json(const char *kind, const char *pattern, const char *content)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", kind, pattern, "content", content);
}

/* Append a part unless it is null. */
static void put_part(build *b, json_t *array, json_t *part)
{
    if (!json_is_null(part))
        b->failed |= json_array_append_new(array, part) != 0;
}

static json_t *sequence(const char *key, json_t *array)
{
    return json_pack("{s:s, s:o}", "type", "Sequence", key, array);
}

static json_t *metaspace(const char *scheme, bool splits)
{
    return json_pack("{s:s, s:s, s:s, s:b}", "type", "Metaspace", "replacement", "\xE2\x96\x81", "prepend_scheme", scheme,
                     "split", splits);
}

/* "A", "B:1", "</s>" ... as the items of a template. */
static json_t *template_json(build *b, const char *const *items, json_t *special)
{
    json_t *array = json_array();
    for (; *items; items++) {
        const char *item = *items;
        size_t size = strlen(item);
        int type = size > 2 && item[size - 2] == ':' ? item[size - 1] - '0' : 0;
        view name = {item, size > 2 && item[size - 2] == ':' ? size - 2 : size};
        if (view_is(name, "A") || view_is(name, "B")) {
            put_part(b, array, json_pack("{s:{s:s%, s:i}}", "Sequence", "id", name.data, name.size, "type_id", type));
            continue;
        }
        char *token = arena_copy_text(b->l->memory, name);
        put_part(b, array, token ? json_pack("{s:{s:s, s:i}}", "SpecialToken", "id", token, "type_id", type) : NULL);
        int32_t id = vocabulary_id(&b->tokenizer->vocabulary, name);
        json_t *row = token ? json_pack("{s:s, s:[i], s:[s]}", "id", token, "ids", id, "tokens", token) : NULL;
        b->failed |= !row || json_object_set_new(special, token, row) != 0;
    }
    return array;
}

static json_t *template_of(build *b, const char *const *single, const char *const *pair)
{
    json_t *special = json_object();
    json_t *first = template_json(b, single, special), *second = template_json(b, pair, special);
    return json_pack("{s:s, s:o, s:o, s:o}", "type", "TemplateProcessing", "single", first, "pair", second,
                     "special_tokens", special);
}

static json_t *unigram_model(const build *b)
{
    return json_pack("{s:s, s:i, s:b}", "type", "Unigram", "unk_id", b->unknown, "byte_fallback", b->file.byte_fallback);
}

static json_t *with_parts(json_t *normal, json_t *cuts, json_t *model, json_t *post, json_t *decode)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "normalizer", normal, "pre_tokenizer", cuts, "model", model,
                     "post_processor", post, "decoder", decode);
}

/* Published T5, XLM-R and CamemBERT files: words at white space, then Metaspace. */
static json_t *word_pretokenizer(void)
{
    return sequence("pretokenizers", json_pack("[{s:s}, o]", "type", "WhitespaceSplit", metaspace("always", true)));
}

static json_t *t5_parts(build *b)
{
    const char *eos = role_or(b, TKR_SPECIAL_EOS, "</s>");
    json_t *post = template_of(b, (const char *const[]){"A", eos, NULL}, (const char *const[]){"A", eos, "B", eos, NULL});
    return with_parts(precompiled(b), word_pretokenizer(), unigram_model(b), post, metaspace("always", true));
}

static json_t *roberta_parts(build *b)
{
    const char *bos = role_or(b, TKR_SPECIAL_BOS, "<s>"), *eos = role_or(b, TKR_SPECIAL_EOS, "</s>");
    json_t *post = template_of(b, (const char *const[]){bos, "A", eos, NULL},
                               (const char *const[]){bos, "A", eos, eos, "B", eos, NULL});
    return with_parts(precompiled(b), word_pretokenizer(), unigram_model(b), post, metaspace("always", true));
}

static json_t *bert_template(build *b)
{
    const char *cls = role_or(b, TKR_SPECIAL_CLS, "[CLS]"), *sep = role_or(b, TKR_SPECIAL_SEP, "[SEP]");
    char *second = LOADER_NEW(b->l, char, strlen(sep) + 3);
    if (!second)
        return NULL;
    memcpy(second, sep, strlen(sep));
    memcpy(second + strlen(sep), ":1", 3);
    return template_of(b, (const char *const[]){cls, "A", sep, NULL},
                       (const char *const[]){cls, "A", sep, "B:1", second, NULL});
}

static json_t *albert_parts(build *b)
{
    json_t *chain = json_array();
    put_part(b, chain, replace_json("String", "``", "\""));
    put_part(b, chain, replace_json("String", "''", "\""));
    if (!setting(b, "keep_accents", false)) {
        put_part(b, chain, json_pack("{s:s}", "type", "NFKD"));
        put_part(b, chain, json_pack("{s:s}", "type", "StripAccents"));
    }
    if (setting(b, "do_lower_case", true))
        put_part(b, chain, json_pack("{s:s}", "type", "Lowercase"));
    put_part(b, chain, precompiled(b));
    put_part(b, chain, replace_json("Regex", " {2,}", " "));
    return with_parts(sequence("normalizers", chain), metaspace("always", true), unigram_model(b), bert_template(b),
                      metaspace("always", true));
}

static json_t *deberta_parts(build *b)
{
    json_t *chain = json_array(), *cuts = json_array();
    if (setting(b, "do_lower_case", false))
        put_part(b, chain, json_pack("{s:s}", "type", "Lowercase"));
    put_part(b, chain, json_pack("{s:s, s:b, s:b}", "type", "Strip", "strip_left", 1, "strip_right", 1));
    put_part(b, chain, precompiled(b));
    put_part(b, chain, replace_json("Regex", " {2,}", " "));
    if (setting(b, "split_by_punct", false))
        put_part(b, cuts, json_pack("{s:s, s:s}", "type", "Punctuation", "behavior", "Isolated"));
    put_part(b, cuts, metaspace("always", true));
    return with_parts(sequence("normalizers", chain), sequence("pretokenizers", cuts), unigram_model(b), bert_template(b),
                      metaspace("always", true));
}

/* ---- merges ------------------------------------------------------------------------------------------------------ */

typedef struct merge {
    int32_t left, right;
    float score;
    uint32_t left_size, right_size; /* code points */
    size_t order;
} merge;

typedef struct merge_list {
    merge *items;
    size_t count, room, steps; /* steps: bytes looked at, which are bounded */
} merge_list;

static int by_parts(const void *a, const void *b)
{
    const merge *x = a, *y = b;
    return x->left != y->left ? (x->left > y->left) - (x->left < y->left) : (x->right > y->right) - (x->right < y->right);
}

static int by_rank(const void *a, const void *b)
{
    const merge *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    if (x->left_size != y->left_size)
        return x->left_size > y->left_size ? -1 : 1;
    if (x->right_size != y->right_size)
        return x->right_size > y->right_size ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static bool put_merge(build *b, merge_list *list, merge m)
{
    if (list->count >= MERGES_MOST || list->steps > MERGE_STEPS_MOST) {
        fail(b->l->error, TKR_E_LIMIT_TOKENIZER, "%s: the pieces are made of each other in more than %d ways", b->l->file,
             MERGES_MOST);
        return false;
    }
    if (list->count == list->room) {
        size_t room = list->room * 2 + 1024;
        merge *grown = memory_resize(list->items, room, sizeof(*grown));
        if (!grown) {
            fail_memory(b->l->error, b->l->file, room * sizeof(*grown));
            return false;
        }
        list->items = grown;
        list->room = room;
    }
    list->items[list->count++] = m;
    return true;
}

/* All ways to cut a piece in two pieces, ordered by the parts' ids. */
static bool put_cuts(build *b, size_t number, merge_list *list)
{
    const vocabulary *v = &b->tokenizer->vocabulary;
    view text = b->list[number].text;
    size_t first = list->count, all = utf8_count(text), chars = 0;
    uint32_t hash = (uint32_t)VOCABULARY_HASH_START;
    for (size_t at = 0, bytes; at < text.size; at += bytes) {
        uint32_t c;
        if (at > 0) {
            int32_t left = vocabulary_find(v, hash, VIEW(""), view_slice(text, 0, at));
            list->steps += left >= 0 ? text.size : 1;
            int32_t right = left >= 0 ? vocabulary_id(v, view_slice(text, at, text.size)) : -1;
            merge m = {left, right, b->list[number].score, (uint32_t)chars, (uint32_t)(all - chars), 0};
            if (right >= 0 && !put_merge(b, list, m))
                return false;
        }
        bytes = utf8_decode(text, at, &c);
        hash = vocabulary_hash_more(hash, view_slice(text, at, at + bytes));
        chars++;
    }
    if (list->count > first)
        qsort(list->items + first, list->count - first, sizeof(*list->items), by_parts);
    return true;
}

static json_t *merges_json(build *b)
{
    const vocabulary *v = &b->tokenizer->vocabulary;
    merge_list list = {0};
    bool good = true;
    for (size_t i = 0; good && i < b->count; i++)
        good = put_cuts(b, i, &list);
    for (size_t i = 0; i < list.count; i++)
        list.items[i].order = i;
    if (good && list.count > 0)
        qsort(list.items, list.count, sizeof(*list.items), by_rank);
    json_t *array = good ? json_array() : NULL;
    for (size_t i = 0; array && i < list.count; i++) {
        view left = vocabulary_piece_of(v, list.items[i].left), right = vocabulary_piece_of(v, list.items[i].right);
        put_part(b, array, json_pack("[s%, s%]", left.data, left.size, right.data, right.size));
    }
    memory_free(list.items);
    return array;
}

/* ---- Llama and SentencePiece itself ------------------------------------------------------------------------------ */

static json_t *llama_model(build *b)
{
    if (b->file.model == SENTENCEPIECE_UNIGRAM)
        return unigram_model(b);
    json_t *merges = merges_json(b);
    view unknown = b->file.pieces[b->file.unknown].text;
    return merges ? json_pack("{s:s, s:s%, s:b, s:b, s:o}", "type", "BPE", "unk_token", unknown.data, unknown.size,
                              "fuse_unk", 1, "byte_fallback", b->file.byte_fallback, "merges", merges)
                  : NULL;
}

static json_t *llama_template(build *b)
{
    const char *bos = setting(b, "add_bos_token", true) ? role_or(b, TKR_SPECIAL_BOS, "<s>") : NULL;
    const char *eos = setting(b, "add_eos_token", false) ? role_or(b, TKR_SPECIAL_EOS, "</s>") : NULL;
    const char *items[8] = {0};
    size_t single = 0, at = 0;
    for (int text = 0; text < 2; text++) {
        char *named[2] = {0};
        for (int i = 0; i < 2; i++) {
            const char *token = i ? eos : bos;
            named[i] = token ? LOADER_NEW(b->l, char, strlen(token) + 3) : NULL;
            b->failed |= token && !named[i];
            if (named[i])
                snprintf(named[i], strlen(token) + 3, "%s:%d", token, text);
        }
        if (named[0])
            items[at++] = named[0];
        items[at++] = text ? "B:1" : "A";
        if (named[1])
            items[at++] = named[1];
        single = text ? single : at;
    }
    const char *first[8] = {0};
    memcpy(first, items, single * sizeof(*items));
    return template_of(b, first, items);
}

static json_t *llama_parts(build *b)
{
    bool legacy = setting(b, "legacy", true);
    json_t *model = llama_model(b), *normal = json_null(), *decode = json_array();
    if (legacy)
        normal = sequence("normalizers", json_pack("[{s:s, s:s}, o]", "type", "Prepend", "prepend", "\xE2\x96\x81",
                                                   replace_json("String", " ", "\xE2\x96\x81")));
    put_part(b, decode, replace_json("String", "\xE2\x96\x81", " "));
    put_part(b, decode, json_pack("{s:s}", "type", "ByteFallback"));
    put_part(b, decode, json_pack("{s:s}", "type", "Fuse"));
    put_part(b, decode, json_pack("{s:s, s:s, s:i, s:i}", "type", "Strip", "content", " ", "start", 1, "stop", 0));
    return with_parts(normal, legacy ? json_null() : metaspace("first", false), model, llama_template(b),
                      sequence("decoders", decode));
}

static json_t *names_of_type(build *b, sentencepiece_type type)
{
    json_t *array = json_array();
    for (size_t i = 0; i < b->count; i++)
        if (b->list[i].type == type)
            put_part(b, array, json_stringn(b->list[i].text.data, b->list[i].text.size));
    return array;
}

static json_t *own_parts(build *b)
{
    const sentencepiece_file *f = &b->file;
    view unknown = f->pieces[f->unknown].text;
    json_t *normal = json_pack("{s:s, s:b, s:b, s:b, s:b, s:o, s:o}", "type", "SentencePiece", "add_dummy_prefix",
                               f->dummy_prefix, "remove_extra_whitespaces", f->removes_spaces, "escape_whitespaces",
                               f->escapes_spaces, "treat_whitespace_as_suffix", f->whitespace_suffix, "user_defined",
                               names_of_type(b, SENTENCEPIECE_USER_DEFINED), "precompiled_charsmap", charsmap_json(b));
    json_t *model = unigram_model(b);
    if (f->model == SENTENCEPIECE_BPE)
        b->failed |= json_object_set_new(model, "type", json_string("SentencePieceBPE")) != 0;
    b->failed |= json_object_set_new(model, "sentencepiece", json_true()) != 0;
    json_t *decode = json_pack("{s:s, s:o, s:s%, s:s%, s:b, s:b, s:b}", "type", "SentencePiece", "control",
                                names_of_type(b, SENTENCEPIECE_CONTROL), "unknown", unknown.data, unknown.size, "surface",
                                f->unknown_surface.data, f->unknown_surface.size, "byte_fallback", f->byte_fallback,
                                "add_dummy_prefix", f->dummy_prefix, "remove_extra_whitespaces", f->removes_spaces);
    return with_parts(normal, json_null(), model, json_null(), decode);
}

/* ---- families ---------------------------------------------------------------------------------------------------- */

#define NAMES(...) (const char *const[]){__VA_ARGS__, NULL}

static const sentencepiece_family families[] = {
    {NAMES("t5", "mt5"), NAMES("T5", "MT5"), t5_pieces, t5_parts, true},
    {NAMES("albert"), NAMES("Albert"), albert_pieces, albert_parts, true},
    {NAMES("deberta-v2"), NAMES("DebertaV2"), deberta_pieces, deberta_parts, true},
    {NAMES("xlm-roberta", "xlm-roberta-xl"), NAMES("XLMRoberta"), xlm_pieces, roberta_parts, true},
    {NAMES("camembert"), NAMES("Camembert"), camembert_pieces, roberta_parts, true},
    {NAMES("llama", "mistral", "mixtral", "phi3"), NAMES("Llama"), plain_pieces, llama_parts, false},
};
static const sentencepiece_family itself = {NULL, NULL, plain_pieces, own_parts, false};

static bool is_one_of(view name, const char *const *names)
{
    for (; *names; names++)
        if (view_is(name, *names))
            return true;
    return false;
}

static view class_name(const tokenizer_settings *s)
{
    const json_t *said = json_object_get(s->config, "tokenizer_class");
    view name = {json_string_value(said), json_string_length(said)};
    const view ends[] = {VIEW("Fast"), VIEW("Tokenizer")};
    for (size_t i = 0; i < 2; i++)
        if (name.size > ends[i].size && view_equal(view_slice(name, name.size - ends[i].size, name.size), ends[i]))
            name.size -= ends[i].size;
    return name;
}

static const sentencepiece_family *find_family(const tokenizer_settings *s, const char *family)
{
    view class = class_name(s);
    size_t count = sizeof(families) / sizeof(families[0]);
    for (size_t i = 0; i < count; i++)
        if (class.size > 0 && is_one_of(class, families[i].classes))
            return &families[i];
    for (size_t i = 0; family && i < count; i++)
        if (is_one_of(view_of(family), families[i].names))
            return &families[i];
    return &itself;
}

/* User-defined pieces are added tokens for Llama.  For the Unigram families they are ordinary pieces with a high score: as
 * added tokens they would begin words, and what follows them would get a prefix that training never saw. */
static bool is_added(const build *b, const sentencepiece_piece *p, bool is_special)
{
    return is_special || (p->type == SENTENCEPIECE_USER_DEFINED && b->file.model == SENTENCEPIECE_BPE);
}

/* Pieces that a text may name. */
static json_t *added_json(build *b)
{
    json_t *array = json_array();
    for (size_t i = 0; i < b->count; i++) {
        const sentencepiece_piece *p = &b->list[i];
        bool is_mask = view_is(p->text, "[MASK]") || view_is(p->text, "<mask>");
        bool is_special = p->type == SENTENCEPIECE_CONTROL || p->type == SENTENCEPIECE_UNKNOWN || is_mask ||
                          view_begins(p->text, VIEW("<extra_id_"));
        if (!is_added(b, p, is_special))
            continue;
        put_part(b, array, json_pack("{s:i, s:s%, s:b, s:b, s:b, s:b, s:b}", "id", (int)i, "content", p->text.data, p->text.size,
                                  "special", is_special, "normalized", 0, "single_word", 0, "lstrip", is_mask, "rstrip", 0));
    }
    return array;
}

static bool prepare(build *b, const sentencepiece_family *family)
{
    if (family->needs_unigram && b->file.model != SENTENCEPIECE_UNIGRAM) {
        fail(b->l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: a %s tokenizer with a BPE model is not supported", b->l->file,
             family->names[0]);
        return false;
    }
    b->room = b->file.count + EXTRA_MOST;
    b->list = LOADER_NEW(b->l, sentencepiece_piece, b->room);
    return b->list && family->pieces(b) && fill_vocabulary(b);
}

json_t *sentencepiece_build(loader *l, const tokenizer_settings *s, view bytes, const char *family, tokenizer *t)
{
    build b = {.l = l, .settings = s, .tokenizer = t};
    const sentencepiece_family *found = find_family(s, family);
    if (!sentencepiece_read(l, bytes, &b.file) || !prepare(&b, found))
        return NULL;
    json_t *root = found->parts(&b);
    if (root && found != &itself)
        b.failed |= json_object_set_new(root, "added_tokens", added_json(&b)) != 0;
    if (root && !b.failed)
        return root;
    fail_memory(l->error, l->file, bytes.size);
    json_decref(root);
    return NULL;
}
