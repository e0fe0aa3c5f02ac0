/*
 * Counting tokens, and drawing by the counts: cumulative sums and a binary search.  The sums are whole numbers, so a draw is the
 * same everywhere.
 */
#include "explain/token_counts.h"

#include <errno.h>
#include <stdio.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/utf8.h"

enum { LINE_MOST = 1 << 20, READ_ROOM = 1 << 16, TELL_EVERY = 512, WORDS_AT_FIRST = 4096 };
static const uint64_t FILE_MOST = UINT64_C(1) << 30;

bool token_is_drawable(const tkr_model *m, int32_t id)
{
    static const char *const unused[] = {"[unused", "<unused", "<extra_id_"};
    if (id < 0 || (size_t)id >= m->config.vocab || !tokenizer_is_ordinary(m->tokenizer, id))
        return false;
    view piece = view_of(tokenizer_piece(m->tokenizer, id));
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        if (view_begins(piece, view_of(unused[i])))
            return false;
    return true;
}

void token_counts_free(token_counts *t)
{
    if (!t)
        return;
    memory_free(t->ids);
    memory_free(t->upto);
    word_list_free(t->words);
    memory_free(t);
}

/* From counts [entries] by id; those that are no tokens to draw are left out. */
static token_counts *collect(const tkr_model *m, const uint64_t *counts, size_t entries, tkr_error *error)
{
    token_counts *t = NEW(token_counts, 1);
    if (t) {
        t->ids = NEW(int32_t, entries);
        t->upto = NEW(uint64_t, entries + 1);
    }
    if (!t || !t->ids || !t->upto) {
        token_counts_free(t);
        return fail_memory(error, "counts of tokens", entries), NULL;
    }
    for (size_t id = 0; id < entries; id++) {
        if (counts[id] == 0 || (!m->score && !token_is_drawable(m, (int32_t)id)))
            continue;
        t->ids[t->count] = (int32_t)id;
        t->upto[t->count + 1] = t->upto[t->count] + counts[id];
        t->count++;
    }
    return t;
}

static size_t entries_of(const tkr_model *m)
{
    size_t entries = tokenizer_limit(m->tokenizer);
    return entries < m->config.vocab ? entries : m->config.vocab;
}

token_counts *token_counts_uniform(const tkr_model *m, tkr_error *error)
{
    size_t entries = entries_of(m);
    uint64_t *counts = NEW(uint64_t, entries);
    if (!counts)
        return fail_memory(error, "counts of tokens", entries), NULL;
    for (size_t id = 0; id < entries; id++)
        counts[id] = 1;
    token_counts *t = collect(m, counts, entries, error);
    memory_free(counts);
    if (!t || t->count > 1)
        return t;
    fail(error, TKR_E_USAGE_CAPABILITY, "the vocabulary has %zu ordinary entries; a token that is replaced needs another one", t->count);
    token_counts_free(t);
    return NULL;
}

/* ---- a corpus ---- */

typedef struct corpus {
    tkr_session *session;
    const char *path;
    FILE *file;
    char *line;          /* [LINE_MOST] */
    size_t used;         /* of line     */
    uint64_t number, bytes;
    uint64_t *counts;    /* [entries]   */
    size_t entries;
    word_list *words;    /* of an external model: counts follow it, [capacity] */
    size_t capacity;
} corpus;

/* The words of a line, for a model whose tokens have no numbers. */
static tkr_status count_words(corpus *c, const tkr_encoding *e, view line, tkr_error *error)
{
    for (size_t i = 0; i < e->count; i++) {
        size_t number = word_list_enter(c->words, view_slice(line, (size_t)e->tokens[i].begin, (size_t)e->tokens[i].end));
        if (number == SIZE_MAX || number > INT32_MAX)
            return fail_memory(error, "the words of a corpus", word_list_count(c->words));
        if (number >= c->capacity) {
            uint64_t *more = memory_resize(c->counts, 2 * c->capacity, sizeof *more);
            if (!more)
                return fail_memory(error, "the words of a corpus", 2 * c->capacity);
            memset(more + c->capacity, 0, c->capacity * sizeof *more);
            c->counts = more;
            c->capacity *= 2;
        }
        c->counts[number]++;
        c->entries = word_list_count(c->words);
    }
    return TKR_OK;
}

static tkr_status count_line(corpus *c, tkr_error *error)
{
    view line = {c->line, c->used};
    c->number++;
    c->used = 0;
    if (line.size && line.data[line.size - 1] == '\r')
        line.size--;
    if (line.size == 0)
        return TKR_OK;
    size_t bad = utf8_first_bad(line);
    if (bad < line.size)
        return fail(error, TKR_E_INPUT_UTF8, "%s: line %llu is not UTF-8 at byte %zu", PLAIN(view_of(c->path)),
                    (unsigned long long)c->number, bad);
    tkr_encoding *e = tokenizer_encode(c->session->model->tokenizer, line, (encode_options){.no_special = true}, error);
    if (e && c->words && count_words(c, e, line, error)) {
        tkr_encoding_free(e);
        return error->code;
    }
    for (size_t i = 0; e && !c->words && i < e->count; i++)
        if (e->tokens[i].id >= 0 && (size_t)e->tokens[i].id < c->entries)
            c->counts[e->tokens[i].id]++;
    tkr_encoding_free(e);
    if (!e)
        return error->code;
    return c->number % TELL_EVERY ? TKR_OK : session_tell(c->session, "counts", "lines", c->number, c->number, error);
}

static tkr_status count_bytes(corpus *c, const char *bytes, size_t count, tkr_error *error)
{
    tkr_status status = TKR_OK;
    c->bytes += count;
    if (c->bytes > FILE_MOST)
        return fail(error, TKR_E_LIMIT_TEXT, "%s holds more than %llu MiB", PLAIN(view_of(c->path)), (unsigned long long)(FILE_MOST >> 20));
    for (size_t at = 0; !status && at < count;) {
        const char *end = memchr(bytes + at, '\n', count - at);
        size_t piece = end ? (size_t)(end - bytes) - at : count - at;
        if (piece > LINE_MOST - c->used)
            return fail(error, TKR_E_LIMIT_TEXT, "%s: line %llu has more than %d bytes", PLAIN(view_of(c->path)),
                        (unsigned long long)c->number + 1, LINE_MOST);
        memcpy(c->line + c->used, bytes + at, piece);
        c->used += piece;
        at += piece + (end != NULL);
        if (end)
            status = count_line(c, error);
    }
    return status;
}

static tkr_status count_file(corpus *c, tkr_error *error)
{
    char *room = NEW(char, READ_ROOM);
    tkr_status status = room ? TKR_OK : fail_memory(error, "a corpus", READ_ROOM);
    for (size_t got = 1; !status && got > 0;) {
        got = fread(room, 1, READ_ROOM, c->file);
        if (ferror(c->file))
            status = fail(error, TKR_E_INPUT_FILE, "%s cannot be read: %s", PLAIN(view_of(c->path)), failure_reason(errno, (char[REASON_ROOM]){0}));
        else
            status = count_bytes(c, room, got, error);
    }
    memory_free(room);
    return status || c->used == 0 ? status : count_line(c, error);
}

static token_counts *collect_corpus(const corpus *c, tkr_error *error)
{
    token_counts *t = collect(c->session->model, c->counts, c->entries, error);
    if (!t || t->count > 1)
        return t;
    if (c->bytes == 0)
        fail(error, TKR_E_INPUT_FILE, "%s is empty; a corpus has one text a line", PLAIN(view_of(c->path)));
    else
        fail(error, TKR_E_INPUT_FILE, "%s has %zu distinct ordinary tokens; a token that is replaced needs another one",
             PLAIN(view_of(c->path)), t->count);
    token_counts_free(t);
    return NULL;
}

token_counts *token_counts_read(tkr_session *s, const char *path, tkr_error *error)
{
    corpus c = {.session = s, .path = path, .entries = entries_of(s->model)};
    c.file = fopen(path, "rbe");
    if (!c.file)
        return fail_null(error, TKR_E_INPUT_FILE, "%s cannot be read: %s", PLAIN(view_of(path)), failure_reason(errno, (char[REASON_ROOM]){0}));
    c.line = NEW(char, LINE_MOST);
    c.capacity = s->model->score ? WORDS_AT_FIRST : c.entries;
    c.entries = s->model->score ? 0 : c.entries;
    c.counts = NEW(uint64_t, c.capacity);
    c.words = s->model->score ? word_list_new() : NULL;
    tkr_status status = c.line && c.counts && (c.words || !s->model->score) ? count_file(&c, error) : fail_memory(error, "a corpus", LINE_MOST);
    token_counts *t = status ? NULL : collect_corpus(&c, error);
    fclose(c.file);
    if (t)
        t->words = c.words; /* moved */
    else
        word_list_free(c.words);
    memory_free(c.line);
    memory_free(c.counts);
    return t;
}

/* ---- drawing ---- */

/* Entry of an id; count: none. */
static size_t find_id(const token_counts *t, int32_t id)
{
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (t->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < t->count && t->ids[low] == id ? low : t->count;
}

int32_t token_counts_draw(const token_counts *t, int32_t except, double unit)
{
    size_t out = find_id(t, except), low = 0, high = t->count - 1;
    bool is_there = out < t->count && t->count > 1;
    uint64_t taken = is_there ? t->upto[out + 1] - t->upto[out] : 0, total = t->upto[t->count] - taken;
    uint64_t at = (uint64_t)(unit * (double)total);
    at = at < total ? at : total - 1;
    if (is_there && at >= t->upto[out])
        at += taken;
    while (low < high) { /* the last entry that begins at or before it */
        size_t middle = high - (high - low) / 2;
        if (t->upto[middle] <= at)
            low = middle;
        else
            high = middle - 1;
    }
    return t->ids[low];
}
