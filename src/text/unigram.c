/*
 * Unigram: the cut of a piece whose scores sum to the most (Viterbi), with an unknown character at the smallest score
 * minus ten.
 *
 * Two rules are served.  The `tokenizers` library adds in float64, joins unknown characters before it asks for their bytes,
 * and lets every byte token cover the whole run.  SentencePiece itself adds in float32, knows piece types, and gives each
 * unknown character its own byte tokens, of which only the last covers the character.
 *
 * Known to go wrong: of equal sums the one found first stays, that is the one whose last piece begins earliest; a character
 * is unknown only where no piece is exactly that character; text that spells the unknown token is fused with its
 * neighbours.  Not equal: behind a user-defined piece SentencePiece rounds its sums otherwise (how was not found out), so
 * that of cuts like "l ll" and "ll l", equal but for rounding, it sometimes takes the other: in 1 to 3 of 3000 random texts.
 * Source: Kudo 2018, "Subword Regularization", section 3.2; SentencePiece, unigram_model.cc, EncodeOptimized.
 */
#include <float.h>
#include <math.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "text/decoder.h"
#include "text/piece_model.h"
#include "text/sentencepiece.h"
#include "text/trie.h"

enum { UNIGRAM_FEW = 256 };
static const double unknown_penalty = 10;

typedef struct unigram {
    trie *pieces;
    double *scores;      /* by id                                     */
    double unknown_score;
    int32_t unknown;     /* -1: none                                  */
    bool byte_fallback, is_sentencepiece;
    int32_t bytes[256];  /* ids of <0x00> to <0xFF>, -1: no such token */
} unigram;

/* The best cut that ends at a byte. */
typedef struct best_cut {
    double score;
    uint32_t begin; /* of its last token, UINT32_MAX: there is none          */
    uint32_t next;  /* where the token that begins here ends, once it is over */
    int32_t id;
} best_cut;

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool unigram_fits(const json_t *object)
{
    return json_is_array(json_object_get(object, "vocab"));
}

static bool read_entry(loader *l, const json_t *entry, size_t number, vocabulary *v, double *score)
{
    const json_t *piece = json_array_get(entry, 0), *value = json_array_get(entry, 1);
    if (!json_is_string(piece) || !json_is_number(value) || json_array_size(entry) != 2) {
        fail(l->error, TKR_E_TOK_UNIGRAM, "%s: entry %zu of vocab must be a string and a number", l->file, number);
        return false;
    }
    view text = {json_string_value(piece), json_string_length(piece)};
    if (text.size > PIECE_BYTES_MOST) {
        fail(l->error, TKR_E_LIMIT_TOKENIZER, "%s: %s in the vocabulary has %zu bytes, the limit is %d", l->file, QUOTE(text),
             text.size, PIECE_BYTES_MOST);
        return false;
    }
    *score = json_number_value(value);
    size_t other = 0;
    switch (vocabulary_add(v, text, (int32_t)number, &other)) {
    case VOCABULARY_ADDED: return true;
    case VOCABULARY_NO_MEMORY: fail_memory(l->error, l->file, v->bytes_used + text.size); return false;
    case VOCABULARY_SAME_PIECE:
    case VOCABULARY_SAME_ID: break;
    }
    fail(l->error, TKR_E_TOK_DUPLICATE, "%s: entries %zu and %zu of vocab are both %s", l->file, other, number, QUOTE(text));
    return false;
}

/* "vocab": [["piece", score], ...]; ids are the positions. */
static bool unigram_vocabulary(loader *l, const json_t *object, vocabulary *v)
{
    const json_t *list = loader_array(l, object, "vocab", (size_t)PIECE_ID_MOST + 1);
    size_t count = json_array_size(list);
    if (!list)
        return false;
    if (count == 0) {
        fail(l->error, TKR_E_TOK_UNIGRAM, "%s: vocab is empty; it must have at least one piece", l->file);
        return false;
    }
    double *scores = LOADER_NEW(l, double, count);
    if (!scores)
        return false;
    if (!vocabulary_reserve(v, count, count * 8)) {
        fail_memory(l->error, l->file, count * 8);
        return false;
    }
    v->scores = scores;
    for (size_t i = 0; i < count; i++)
        if (!read_entry(l, json_array_get(list, i), i, v, &scores[i]))
            return false;
    return true;
}

static bool read_unknown(loader *l, const json_t *object, const vocabulary *v, unigram *m)
{
    const json_t *value = json_object_get(object, "unk_id");
    m->unknown = -1;
    if (!value || json_is_null(value))
        return true;
    int64_t id = -1;
    if (!json_get_int(object, l->file, "unk_id", 0, (int64_t)v->count - 1, &id, TKR_E_TOK_UNIGRAM, l->error))
        return false;
    m->unknown = (int32_t)id;
    return true;
}

/* Only these are looked for in a text. */
static bool is_searched(const unigram *m, const vocabulary *v, size_t i)
{
    return !m->is_sentencepiece || v->types[i] == SENTENCEPIECE_NORMAL || v->types[i] == SENTENCEPIECE_USER_DEFINED;
}

/* A user-defined piece always wins: it gets more than its characters could have (scores are logarithms). */
static void set_scores(unigram *m, const vocabulary *v)
{
    double least = HUGE_VAL, most = (double)FLT_MIN; /* not below: SentencePiece begins there */
    for (size_t i = 0; i < v->count; i++) {
        bool counts = !m->is_sentencepiece || v->types[i] == SENTENCEPIECE_NORMAL;
        m->scores[i] = v->scores[i];
        least = counts && v->scores[i] < least ? v->scores[i] : least;
        most = counts && v->scores[i] > most ? v->scores[i] : most;
    }
    m->unknown_score = least - unknown_penalty;
    if (!m->is_sentencepiece)
        return;
    m->unknown_score = (double)(float)m->unknown_score;
    for (size_t i = 0; i < v->count; i++)
        if (v->types[i] == SENTENCEPIECE_USER_DEFINED)
            m->scores[i] = (double)((float)v->pieces[i].size * (float)most) - 0.1;
}

static bool build_trie(loader *l, const vocabulary *v, unigram *m)
{
    trie_string *strings = NEW(trie_string, v->count);
    size_t count = 0;
    for (size_t i = 0; strings && i < v->count; i++)
        if (is_searched(m, v, i))
            strings[count++] = (trie_string){vocabulary_text(v, i), v->pieces[i].id};
    m->pieces = strings ? trie_new(strings, count) : NULL;
    memory_free(strings);
    if (!m->pieces)
        fail_memory(l->error, l->file, v->bytes_used);
    return m->pieces != NULL;
}

static void *unigram_load(loader *l, const json_t *object, const vocabulary *v)
{
    unigram *m = LOADER_NEW(l, unigram, 1);
    if (!m || !loader_flag(l, object, "byte_fallback", &m->byte_fallback) || !read_unknown(l, object, v, m))
        return NULL;
    m->is_sentencepiece = v->types && json_is_true(json_object_get(object, "sentencepiece"));
    m->scores = LOADER_NEW(l, double, v->count);
    if (!m->scores)
        return NULL;
    set_scores(m, v);
    for (int i = 0; i < 256; i++)
        m->bytes[i] = -1;
    for (size_t i = 0; i < v->count; i++) {
        view piece = vocabulary_text(v, i);
        int byte = token_byte(piece);
        if (byte >= 0 && view_equal(piece, token_of_byte((unsigned char)byte, (char[7]){0})))
            m->bytes[byte] = v->pieces[i].id;
    }
    return build_trie(l, v, m) ? m : NULL;
}

static void unigram_free(void *data)
{
    unigram *m = data;
    trie_free(m->pieces);
}

static int32_t unigram_unknown(const void *data)
{
    return ((const unigram *)data)->unknown;
}

/* ---- the best cut ------------------------------------------------------------------------------------------------ */

static size_t character_bytes(view text, size_t at)
{
    unsigned char c = (unsigned char)text.data[at];
    return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
}

static void relax(const unigram *m, best_cut *target, double score, size_t begin, int32_t id)
{
    if (m->is_sentencepiece)
        score = (double)(float)score;
    if (target->begin != UINT32_MAX && !(score > target->score))
        return;
    target->score = score;
    target->begin = (uint32_t)begin;
    target->id = id;
}

/* Fill best[0 .. piece.size].  False: a character is unknown and there is no unknown token. */
static bool find_best(const unigram *m, view piece, best_cut *best)
{
    best[0].score = 0;
    for (size_t i = 1; i <= piece.size; i++)
        best[i].begin = UINT32_MAX;
    for (size_t begin = 0, bytes; begin < piece.size; begin += bytes) {
        bool has_single = false;
        uint32_t node = TRIE_ROOT;
        bytes = character_bytes(piece, begin);
        for (size_t at = begin; at < piece.size; at++) {
            node = trie_step(m->pieces, node, (unsigned char)piece.data[at]);
            if (node == TRIE_ROOT)
                break;
            int32_t id = m->pieces->nodes[node].value;
            if (id < 0)
                continue;
            relax(m, &best[at + 1], best[begin].score + m->scores[id], begin, id);
            has_single |= at + 1 - begin == bytes;
        }
        if (has_single)
            continue;
        if (m->unknown < 0)
            return false;
        relax(m, &best[begin + bytes], best[begin].score + m->unknown_score, begin, m->unknown);
    }
    for (size_t at = piece.size; at > 0; at = best[at].begin)
        best[best[at].begin].next = (uint32_t)at;
    return true;
}

/* ---- tokens ------------------------------------------------------------------------------------------------------ */

static bool has_all_bytes(const unigram *m, view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (m->bytes[(unsigned char)text.data[i]] < 0)
            return false;
    return m->byte_fallback;
}

/* A run of unknown characters. */
static void put_unknown(const unigram *m, const vocabulary *v, view piece, size_t begin, size_t end, model_tokens *out)
{
    view text = view_slice(piece, begin, end);
    int32_t known = m->is_sentencepiece ? -1 : vocabulary_id(v, text);
    if (known >= 0 || !has_all_bytes(m, text)) {
        model_tokens_add(out, known >= 0 ? known : m->unknown, begin, end);
        return;
    }
    for (size_t i = 0; i < text.size; i++) {
        bool covers = !m->is_sentencepiece || i + 1 == text.size;
        model_tokens_add(out, m->bytes[(unsigned char)text.data[i]], begin, covers ? end : begin);
    }
}

static void put_tokens(const unigram *m, const vocabulary *v, view piece, const best_cut *best, model_tokens *out)
{
    bool fuses = !(m->is_sentencepiece && m->byte_fallback);
    for (size_t begin = 0, end; begin < piece.size; begin = end) {
        end = best[begin].next;
        if (best[end].id != m->unknown) {
            model_tokens_add(out, best[end].id, begin, end);
            continue;
        }
        while (fuses && end < piece.size && best[best[end].next].id == m->unknown)
            end = best[end].next;
        put_unknown(m, v, piece, begin, end, out);
    }
}

static void unigram_run(const void *data, const vocabulary *v, view piece, model_tokens *out)
{
    const unigram *m = data;
    best_cut few[UNIGRAM_FEW], *best = few;
    if (piece.size >= UNIGRAM_FEW && !(best = NEW(best_cut, piece.size + 1)))
        out->failed = true;
    else if (find_best(m, piece, best))
        put_tokens(m, v, piece, best, out);
    else
        out->lacks_unknown = true;
    if (best != few)
        memory_free(best);
}

const piece_model_kind piece_model_unigram = {
    .part = {"Unigram"},
    .fits = unigram_fits,
    .vocabulary = unigram_vocabulary,
    .load = unigram_load,
    .run = unigram_run,
    .free = unigram_free,
    .unknown = unigram_unknown,
};
