/*
 * Opening a tokenizer: tokenizer.json as it is written, or the same thing built around a vocab.txt, or around a vocab.json
 * and a merges.txt (byte_parts.c), or around a SentencePiece file (sentencepiece_build.c).
 *
 * A vocab.txt has only pieces; the parts that BERT's tokenizer puts around them are made as the JSON that a tokenizer.json
 * would have, so that there is one way to load them.
 *
 * Known to go wrong: "truncation" and "padding" are ignored on purpose (nothing is cut silently); an absent do_lower_case
 * means true for a vocab.txt; the order of added tokens decides their ids, so tokenizer.json's come first.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "text/byte_parts.h"
#include "text/sentencepiece_build.h"
#include "text/tokenizer_settings.h"

#define TOKENIZER_BYTES_MOST ((size_t)128 << 20)
#define TOKENIZER_ARENA_MOST ((size_t)512 << 20)

static const char json_file[] = "tokenizer.json";
static const char lines_file[] = "vocab.txt";
static const char *const sentencepiece_files[] = {"spiece.model", "spm.model", "sentencepiece.bpe.model", "tokenizer.model"};
enum { SENTENCEPIECE_FILES = sizeof(sentencepiece_files) / sizeof(sentencepiece_files[0]) };
static const char pieces_file[] = "vocab.json", merges_file[] = "merges.txt"; /* together */

void tokenizer_add_note(tokenizer *t, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int wanted = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (wanted > 0 && t->note_count < TOKENIZER_NOTES_MOST)
        t->notes[t->note_count++] = arena_copy_text(t->memory, view_of(line));
}

/* ---- the parts, from a JSON object ------------------------------------------------------------------------------- */

static bool load_added(loader *l, const json_t *root, tokenizer *t)
{
    const json_t *list = json_object_get(root, "added_tokens");
    if (!list || json_is_null(list))
        return true;
    if (!(list = loader_array(l, root, "added_tokens", ADDED_MOST)))
        return false;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        added_token token = {.wanted = -1, .file = l->file};
        if (!json_is_object(entry)) {
            fail(l->error, TKR_E_JSON_TYPE, "%s: added token %zu is %s; it must be an object", l->file, i,
                 json_kind_name(entry));
            return false;
        }
        if (!loader_text(l, entry, "content", true, &token.content) || !added_read_flags(l, entry, &token) ||
            !json_get_int(entry, l->file, "id", 0, PIECE_ID_MOST, &token.wanted, TKR_E_TOK_ID, l->error) ||
            !added_put(l, &t->added, token))
            return false;
    }
    return true;
}

/* A SentencePiece file without a family: its control pieces are special, but no text can name them. */
static bool is_control_piece(const vocabulary *v, view name)
{
    int32_t id = v->types ? vocabulary_id(v, name) : -1;
    return id >= 0 && v->types[id] == SENTENCEPIECE_CONTROL;
}

static void find_roles(const tokenizer_settings *s, tokenizer *t)
{
    static const struct {
        tkr_special role;
        const char *name;
    } usual[] = {
        {TKR_SPECIAL_CLS, "[CLS]"},  {TKR_SPECIAL_SEP, "[SEP]"},  {TKR_SPECIAL_MASK, "[MASK]"}, {TKR_SPECIAL_PAD, "[PAD]"},
        {TKR_SPECIAL_UNK, "[UNK]"},  {TKR_SPECIAL_MASK, "<mask>"}, {TKR_SPECIAL_PAD, "<pad>"},  {TKR_SPECIAL_UNK, "<unk>"},
        {TKR_SPECIAL_BOS, "<s>"},    {TKR_SPECIAL_EOS, "</s>"},    {TKR_SPECIAL_BOS, "<|endoftext|>"},
        {TKR_SPECIAL_EOS, "<|endoftext|>"}, {TKR_SPECIAL_UNK, "<|endoftext|>"},
    };
    for (tkr_special role = TKR_SPECIAL_NONE; role < TKR_SPECIAL_OTHER; role++)
        t->roles[role] = s->roles[role].content.size > 0 ? tokenizer_id(t, s->roles[role].content) : -1;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        int32_t index = added_index(&t->added, view_of(usual[i].name));
        if (t->roles[usual[i].role] >= 0)
            continue;
        if (index >= 0 && t->added.items[index].special)
            t->roles[usual[i].role] = t->added.items[index].id;
        else if (is_control_piece(&t->vocabulary, view_of(usual[i].name)))
            t->roles[usual[i].role] = vocabulary_id(&t->vocabulary, view_of(usual[i].name));
    }
    if (t->roles[TKR_SPECIAL_UNK] < 0)
        t->roles[TKR_SPECIAL_UNK] = t->model.kind->unknown(t->model.data);
}

/* Load everything; the vocabulary may be filled already. */
static bool load_parts(loader *l, const tokenizer_settings *s, json_t *root, const char *family, tokenizer *t)
{
    json_t *normal = json_object_get(root, "normalizer");
    return settings_overrule(l, s, normal, t) && settings_overrule_space(l, s, root, t) &&
           (t->normalizer = normalizer_load(l, normal)) != NULL &&
           (t->pretokenizer = pretokenizer_load(l, json_object_get(root, "pre_tokenizer"))) != NULL &&
           piece_model_load(l, json_object_get(root, "model"), &t->vocabulary, &t->model) && load_added(l, root, t) &&
           settings_put_added(l, s, &t->added) && settings_put_special(l, s, t) &&
           added_number(l, &t->added, &t->vocabulary) && added_finish(l, &t->added, t->normalizer) &&
           postprocessor_load(l, json_object_get(root, "post_processor"), t, &t->postprocessor) &&
           (t->decoder = decoder_load(l, json_object_get(root, "decoder"))) != NULL && settings_limits(l, s, family, t);
}

/* ---- tokenizer.json ---------------------------------------------------------------------------------------------- */

static bool check_version(loader *l, const json_t *root)
{
    const json_t *version = json_object_get(root, "version");
    if (!version || (json_is_string(version) && strcmp(json_string_value(version), "1.0") == 0))
        return true;
    const char *text = json_is_string(version) ? json_string_value(version) : json_kind_name(version);
    fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: version %s is not supported", l->file, QUOTE(view_of(text)));
    fail_facts(l->error, "supported: 1.0");
    return false;
}

static bool open_json(loader *l, const tokenizer_settings *s, view text, const char *family, tokenizer *t)
{
    json_t *root = json_parse_object(text, l->file, &json_model_file, JSON_NUL_ALLOWED, l->error);
    bool good = root && check_version(l, root) && load_parts(l, s, root, family, t);
    json_decref(root);
    return good;
}

/* ---- vocab.txt --------------------------------------------------------------------------------------------------- */

static bool put_line(loader *l, tokenizer *t, view line, size_t number)
{
    size_t other = 0;
    if (number > (size_t)PIECE_ID_MOST + 1 || line.size > PIECE_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: line %zu: the limits are %d lines of %d bytes", l->file, number,
             PIECE_ID_MOST + 1, PIECE_BYTES_MOST);
        return false;
    }
    if (utf8_first_bad(line) < line.size) {
        fail(l->error, TKR_E_TOK_WORDPIECE, "%s: line %zu is not UTF-8: %s", l->file, number, QUOTE(line));
        return false;
    }
    switch (vocabulary_add(&t->vocabulary, line, (int32_t)number - 1, &other)) {
    case VOCABULARY_ADDED: return true;
    case VOCABULARY_NO_MEMORY: fail_memory(l->error, l->file, t->vocabulary.bytes_used + line.size); return false;
    case VOCABULARY_SAME_PIECE:
    case VOCABULARY_SAME_ID: break;
    }
    if (line.size == 0) /* empty lines keep the numbering and are no piece that a text could have */
        return true;
    fail(l->error, TKR_E_TOK_DUPLICATE, "%s: line %zu repeats line %d: %s", l->file, number,
         t->vocabulary.pieces[other].id + 1, QUOTE(line));
    return false;
}

static bool read_lines(loader *l, tokenizer *t, view text)
{
    if (text.size == 0) {
        fail(l->error, TKR_E_TOK_WORDPIECE, "%s: empty file", l->file);
        return false;
    }
    if (!vocabulary_reserve(&t->vocabulary, 0, text.size)) {
        fail_memory(l->error, l->file, text.size);
        return false;
    }
    for (size_t at = 0, number = 1; at < text.size; number++) {
        const char *found = memchr(text.data + at, '\n', text.size - at);
        size_t end = found ? (size_t)(found - text.data) : text.size;
        view line = view_slice(text, at, end);
        if (found && line.size > 0 && line.data[line.size - 1] == '\r')
            line.size--;
        if (!put_line(l, t, line, number))
            return false;
        at = end + 1;
    }
    return true;
}

static const char *role_or(const tokenizer_settings *s, tkr_special role, const char *otherwise)
{
    return s->roles[role].content.size > 0 ? s->roles[role].content.data : otherwise;
}

/* The usual special tokens of BERT, where the vocabulary has them and no file says otherwise. */
static bool put_usual(loader *l, const tokenizer_settings *s, tokenizer *t)
{
    static const struct {
        tkr_special role;
        const char *name;
    } usual[] = {{TKR_SPECIAL_PAD, "[PAD]"}, {TKR_SPECIAL_UNK, "[UNK]"}, {TKR_SPECIAL_CLS, "[CLS]"},
                 {TKR_SPECIAL_SEP, "[SEP]"}, {TKR_SPECIAL_MASK, "[MASK]"}};
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        added_token token = s->roles[usual[i].role];
        if (token.content.size == 0)
            token = (added_token){.content = view_of(usual[i].name), .wanted = -1, .file = l->file, .special = true};
        if (vocabulary_id(&t->vocabulary, token.content) >= 0 && added_index(&t->added, token.content) < 0 &&
            !added_put(l, &t->added, token))
            return false;
    }
    return true;
}

/* What a tokenizer.json of BERT would have around this vocabulary. */
static json_t *bert_parts(loader *l, const tokenizer_settings *s, const tokenizer *t)
{
    const char *cls = role_or(s, TKR_SPECIAL_CLS, "[CLS]"), *sep = role_or(s, TKR_SPECIAL_SEP, "[SEP]");
    json_t *root = json_pack("{s:{s:s, s:b, s:b, s:n, s:b}, s:{s:s}, s:{s:s, s:s, s:s, s:i}, s:{s:s, s:[s,i], s:[s,i]},"
                             " s:{s:s, s:s, s:b}}",
                             "normalizer", "type", "BertNormalizer", "clean_text", 1, "handle_chinese_chars", 1,
                             "strip_accents", "lowercase", 1, "pre_tokenizer", "type", "BertPreTokenizer", "model",
                             "type", "WordPiece", "unk_token", role_or(s, TKR_SPECIAL_UNK, "[UNK]"),
                             "continuing_subword_prefix", "##", "max_input_chars_per_word", 100, "post_processor",
                             "type", "BertProcessing", "cls", cls, vocabulary_id(&t->vocabulary, view_of(cls)), "sep",
                             sep, vocabulary_id(&t->vocabulary, view_of(sep)), "decoder", "type", "WordPiece", "prefix",
                             "##", "cleanup", 1);
    if (!root)
        fail_memory(l->error, l->file, 1024);
    return root;
}

static bool open_lines(loader *l, const tokenizer_settings *s, view text, const char *family, tokenizer *t)
{
    if (!read_lines(l, t, text) || !put_usual(l, s, t))
        return false;
    json_t *root = bert_parts(l, s, t);
    bool good = root && load_parts(l, s, root, family, t);
    json_decref(root);
    return good;
}

/* ---- vocab.json and merges.txt ----------------------------------------------------------------------------------- */

static bool open_merges(loader *l, const folder *f, const tokenizer_settings *s, view pieces, const char *family, bool copy,
                        sha256 *hash, tokenizer *t)
{
    file_bytes file;
    if (folder_file(f, merges_file, TOKENIZER_BYTES_MOST, copy, &file, l->error) != TKR_OK)
        return false;
    view merges = {(const char *)file.data, file.size};
    sha256_update(hash, merges.data, merges.size);
    json_t *root = byte_parts_build(l, s, pieces, merges, family);
    bool good = root && load_parts(l, s, root, family, t);
    json_decref(root);
    good = good && file_bytes_unchanged(&file, l->error) == TKR_OK;
    file_bytes_close(&file);
    return good;
}

/* ---- SentencePiece ----------------------------------------------------------------------------------------------- */

static bool open_sentencepiece(loader *l, const tokenizer_settings *s, view bytes, const char *family, tokenizer *t)
{
    json_t *root = sentencepiece_build(l, s, bytes, family, t);
    bool good = root && load_parts(l, s, root, family, t);
    json_decref(root);
    return good;
}

/* ---- the folder -------------------------------------------------------------------------------------------------- */

/* Which description of the tokenizer counts; NULL with an error. */
static const char *choose_file(const folder *f, tkr_error *error)
{
    if (folder_has(f, json_file))
        return json_file;
    if (folder_has(f, lines_file))
        return lines_file;
    if (folder_has(f, pieces_file) && folder_has(f, merges_file))
        return pieces_file;
    for (size_t i = 0; i < SENTENCEPIECE_FILES; i++)
        if (folder_has(f, sentencepiece_files[i]))
            return sentencepiece_files[i];
    fail(error, TKR_E_TOK_NOT_FOUND, "%s: no tokenizer.json, vocab.txt, vocab.json or SentencePiece file",
         PLAIN(view_of(folder_path(f))));
    fail_help(error, "copy tokenizer.json from where the model comes from into the folder");
    return NULL;
}

static bool open_chosen(loader *l, const folder *f, const tokenizer_settings *s, const char *family, bool copy,
                        tokenizer *t)
{
    file_bytes file;
    if (folder_file(f, t->file, TOKENIZER_BYTES_MOST, copy, &file, l->error) != TKR_OK)
        return false;
    view text = {(const char *)file.data, file.size};
    sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, text.data, text.size);
    bool good = t->file == json_file     ? open_json(l, s, text, family, t)
                : t->file == pieces_file ? open_merges(l, f, s, text, family, copy, &hash, t)
                : t->file == lines_file  ? open_lines(l, s, text, family, t)
                                         : open_sentencepiece(l, s, text, family, t);
    sha256_hex(&hash, t->sha256);
    good = good && file_bytes_unchanged(&file, l->error) == TKR_OK;
    file_bytes_close(&file);
    return good;
}

tokenizer *tokenizer_open(const folder *f, const char *family, bool copy, tkr_error *error)
{
    const char *file = choose_file(f, error);
    tokenizer *t = file ? NEW(tokenizer, 1) : NULL;
    if (t && (t->memory = arena_new(TOKENIZER_ARENA_MOST))) {
        tokenizer_settings s;
        loader l = {.file = file, .memory = t->memory, .error = error};
        t->file = file;
        bool good = settings_open(&l, f, copy, &s) && open_chosen(&l, f, &s, family, copy, t);
        if (good)
            find_roles(&s, t);
        settings_close(&s);
        if (good)
            return t;
    } else if (file) {
        fail_memory(error, file, sizeof(*t));
    }
    tokenizer_free(t);
    return NULL;
}

tokenizer *tokenizer_open_text(view json, const char *name, tkr_error *error)
{
    tokenizer *t = NEW(tokenizer, 1);
    if (!t || !(t->memory = arena_new(TOKENIZER_ARENA_MOST))) {
        tokenizer_free(t);
        return fail_memory(error, name, sizeof *t), NULL;
    }
    tokenizer_settings none = {0};
    loader l = {.file = name, .memory = t->memory, .error = error};
    sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, json.data, json.size);
    sha256_hex(&hash, t->sha256);
    t->file = name;
    if (open_json(&l, &none, json, "", t)) {
        find_roles(&none, t);
        return t;
    }
    tokenizer_free(t);
    return NULL;
}

void tokenizer_free(tokenizer *t)
{
    if (!t)
        return;
    piece_model_fini(&t->model);
    added_fini(&t->added);
    vocabulary_fini(&t->vocabulary);
    arena_free(t->memory);
    memory_free(t);
}
