/*
 * BPE as SentencePiece runs it: of all neighbours whose concatenation is a piece, those with the highest score merge first,
 * the leftmost of equals; there is no list of merges.  (tokenizer.json's BPE, bpe.c, has one.)
 *
 * Pairs wait in a heap; a pair that an earlier merge has overtaken is recognised by its length and passed over.  Time is
 * n log n in the characters of the text.
 *
 * Known to go wrong: user-defined pieces are one symbol from the start and never merge; unknown neighbours are one token,
 * except with byte fallback.
 * Source: SentencePiece, bpe_model.cc.
 */
#include "base/memory.h"
#include "base/utf8.h"
#include "text/piece_model.h"
#include "text/sentencepiece.h"

typedef struct merger {
    int32_t unknown;
    bool byte_fallback;
    int32_t bytes[256];
    symbol_set user_defined;
} merger;

/* A run of bytes; size 0: merged into the one before. */
typedef struct symbol {
    uint32_t begin, size, before, after; /* before, after: numbers of the neighbours, nobody at the ends */
    bool is_fixed;
} symbol;

typedef struct waiting_pair {
    double score;
    uint32_t left, right, size; /* size: bytes of both, when the pair was made */
} waiting_pair;

static const uint32_t nobody = UINT32_MAX;

typedef struct merge_run {
    const merger *m;
    const vocabulary *v;
    view text;
    symbol *symbols;
    size_t count;
    waiting_pair *heap;
    size_t waiting, room;
    bool failed;
} merge_run;

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool never_fits(const json_t *object)
{
    (void)object;
    return false;
}

static bool read_types(loader *l, const vocabulary *v, merger *m)
{
    size_t users = 0;
    for (size_t i = 0; i < v->count; i++) {
        view piece = vocabulary_text(v, i);
        if (v->types[i] == SENTENCEPIECE_UNUSED) {
            fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: an unused piece %s in a BPE model is not supported", l->file,
                 QUOTE(piece));
            return false;
        }
        if (v->types[i] == SENTENCEPIECE_BYTE)
            m->bytes[token_byte(piece)] = v->pieces[i].id;
        if (v->types[i] == SENTENCEPIECE_UNKNOWN)
            m->unknown = v->pieces[i].id;
        users += v->types[i] == SENTENCEPIECE_USER_DEFINED;
    }
    m->user_defined.items = LOADER_NEW(l, view, users);
    for (size_t i = 0; m->user_defined.items && i < v->count; i++)
        if (v->types[i] == SENTENCEPIECE_USER_DEFINED)
            m->user_defined.items[m->user_defined.count++] = vocabulary_text(v, i);
    symbol_set_sort(&m->user_defined);
    return m->user_defined.items != NULL;
}

static void *merger_load(loader *l, const json_t *object, const vocabulary *v)
{
    merger *m = LOADER_NEW(l, merger, 1);
    if (!m || !loader_flag(l, object, "byte_fallback", &m->byte_fallback))
        return NULL;
    if (!v->types || !v->scores)
        return fail_null(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: model type SentencePieceBPE without a SentencePiece file",
                         l->file);
    return read_types(l, v, m) ? m : NULL;
}

static int32_t merger_unknown(const void *data)
{
    return ((const merger *)data)->unknown;
}

/* ---- the heap ---------------------------------------------------------------------------------------------------- */

static bool comes_first(const waiting_pair *a, const waiting_pair *b)
{
    return a->score > b->score || (a->score == b->score && a->left < b->left);
}

static void heap_push(merge_run *r, waiting_pair pair)
{
    if (r->waiting == r->room) {
        size_t room = r->room * 2 + 64;
        waiting_pair *grown = memory_resize(r->heap, room, sizeof(*grown));
        if (!grown) {
            r->failed = true;
            return;
        }
        r->heap = grown;
        r->room = room;
    }
    size_t at = r->waiting++;
    for (; at > 0 && comes_first(&pair, &r->heap[(at - 1) / 2]); at = (at - 1) / 2)
        r->heap[at] = r->heap[(at - 1) / 2];
    r->heap[at] = pair;
}

static waiting_pair heap_pop(merge_run *r)
{
    waiting_pair top = r->heap[0], last = r->heap[--r->waiting];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < r->waiting; at = child) {
        if (child + 1 < r->waiting && comes_first(&r->heap[child + 1], &r->heap[child]))
            child++;
        if (!comes_first(&r->heap[child], &last))
            break;
        r->heap[at] = r->heap[child];
    }
    r->heap[at] = last;
    return top;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static void consider(merge_run *r, uint32_t left, uint32_t right)
{
    if (left == nobody || right == nobody || r->symbols[left].is_fixed || r->symbols[right].is_fixed)
        return;
    uint32_t size = r->symbols[left].size + r->symbols[right].size;
    if (size > r->v->longest)
        return;
    int32_t id = vocabulary_id(r->v, (view){r->text.data + r->symbols[left].begin, size});
    if (id >= 0 && r->v->types[id] == SENTENCEPIECE_NORMAL)
        heap_push(r, (waiting_pair){r->v->scores[id], left, right, size});
}

static void cut_symbols(merge_run *r)
{
    for (size_t at = 0; at < r->text.size; r->count++) {
        view rest = view_slice(r->text, at, r->text.size);
        size_t size = symbol_set_longest(&r->m->user_defined, rest);
        bool is_fixed = size > 0;
        uint32_t c, number = (uint32_t)r->count;
        if (!is_fixed)
            size = utf8_decode(rest, 0, &c);
        r->symbols[r->count] = (symbol){(uint32_t)at, (uint32_t)size, number ? number - 1 : nobody, number + 1, is_fixed};
        at += size;
    }
    r->symbols[r->count - 1].after = nobody;
}

static void merge_all(merge_run *r)
{
    for (uint32_t i = 1; i < r->count; i++)
        consider(r, i - 1, i);
    while (r->waiting > 0 && !r->failed) {
        waiting_pair pair = heap_pop(r);
        symbol *left = &r->symbols[pair.left], *right = &r->symbols[pair.right];
        if (left->size == 0 || right->size == 0 || left->size + right->size != pair.size)
            continue;
        left->size = pair.size;
        right->size = 0;
        left->after = right->after;
        if (left->after != nobody)
            r->symbols[left->after].before = pair.left;
        consider(r, left->before, pair.left);
        consider(r, pair.left, left->after);
    }
}

/* Unknown text: its bytes, of which the last covers it, or one token, joined with an unknown one just before. */
static void put_unknown(const merge_run *r, symbol s, bool joins, model_tokens *out)
{
    uint32_t end = s.begin + s.size;
    if (r->m->byte_fallback) {
        for (uint32_t i = s.begin; i < end; i++)
            model_tokens_add(out, r->m->bytes[(unsigned char)r->text.data[i]], s.begin, i + 1 == end ? end : s.begin);
    } else if (joins && !out->failed) {
        out->items[out->count - 1].end = end;
    } else {
        model_tokens_add(out, r->m->unknown, s.begin, end);
    }
}

static void put_symbols(const merge_run *r, model_tokens *out)
{
    bool was_unknown = false;
    for (uint32_t i = 0; i != nobody; i = r->symbols[i].after) {
        symbol s = r->symbols[i];
        int32_t id = vocabulary_id(r->v, view_slice(r->text, s.begin, s.begin + s.size));
        bool is_unknown = id < 0 || id == r->m->unknown;
        if (is_unknown)
            put_unknown(r, s, was_unknown, out);
        else
            model_tokens_add(out, id, s.begin, s.begin + s.size);
        was_unknown = is_unknown;
    }
}

static void merger_run(const void *data, const vocabulary *v, view piece, model_tokens *out)
{
    merge_run r = {.m = data, .v = v, .text = piece, .symbols = NEW(symbol, piece.size)};
    if (r.symbols) {
        cut_symbols(&r);
        merge_all(&r);
        if (!r.failed)
            put_symbols(&r, out);
    }
    out->failed |= r.failed || !r.symbols;
    memory_free(r.symbols);
    memory_free(r.heap);
}

const piece_model_kind piece_model_sentencepiece_bpe = {
    .part = {"SentencePieceBPE"},
    .fits = never_fits,
    .load = merger_load,
    .run = merger_run,
    .unknown = merger_unknown,
};
