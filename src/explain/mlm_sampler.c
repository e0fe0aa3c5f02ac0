/*
 * Drawing from a masked language model.  Requests with the same number of masks travel together, as every sequence of a pass has
 * the same number of read rows; a batch is bounded by rows and by the logits that it makes.
 */
#include "explain/mlm_sampler.h"

#include <math.h>
#include <utf8proc.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "explain/limits.h"
#include "explain/pass.h"
#include "explain/token_counts.h"

#define BUNDLED_SAMPLER "tiny-bert-mlm"

enum { LOGITS_MOST = 4 << 20, WORD_ROOM = 64, WORD_LETTERS_LEAST = 2 };

struct mlm_sampler {
    tkr_session session;        /* of its own model, on the threads of the session that opened it */
    tkr_session *owner;
    tkr_model *model;
    int32_t mask;
    int32_t *entries[MLM_KINDS];
    size_t entry_count[MLM_KINDS];
    buffer words;               /* texts of the words, each ended by NUL            */
    size_t *word_begin;         /* [vocabulary] where in it; SIZE_MAX: no whole word */
    double *upto;               /* [entries of the larger kind + 1]                  */
};

const tkr_model *mlm_sampler_model(const mlm_sampler *m) { return m->model; }
int32_t mlm_sampler_mask(const mlm_sampler *m) { return m->mask; }

size_t mlm_sampler_entries(const mlm_sampler *m, mlm_kind kind, const int32_t **ids)
{
    *ids = m->entries[kind];
    return m->entry_count[kind];
}

bool mlm_sampler_shares(const mlm_sampler *m, const tkr_model *model)
{
    return strcmp(tokenizer_sha256(m->model->tokenizer), tokenizer_sha256(model->tokenizer)) == 0;
}

void mlm_sampler_free(mlm_sampler *m)
{
    if (!m)
        return;
    for (size_t k = 0; k < MLM_KINDS; k++)
        memory_free(m->entries[k]);
    buffer_fini(&m->words);
    memory_free(m->word_begin);
    memory_free(m->upto);
    tkr_model_close(m->model);
    memory_free(m);
}

/* ---- which entries may be drawn ---- */

/* Vocabularies that keep the space before a word mark it; the others mark what goes on with a word. */
static const char *const word_marks[] = {"\xC4\xA0" /* byte-level space */, "\xE2\x96\x81" /* SentencePiece's */};

static bool is_marked(view piece)
{
    return view_begins(piece, view_of(word_marks[0])) || view_begins(piece, view_of(word_marks[1]));
}

static bool marks_words(const mlm_sampler *m)
{
    for (size_t i = 0; i < m->entry_count[MLM_TOKENS]; i++)
        if (is_marked(view_of(tokenizer_piece(m->model->tokenizer, m->entries[MLM_TOKENS][i]))))
            return true;
    return false;
}

static bool is_letters(view text)
{
    size_t letters = 0;
    for (size_t at = 0; at < text.size;) {
        uint32_t c = 0;
        size_t bytes = utf8_decode(text, at, &c);
        utf8proc_category_t category = bytes ? utf8proc_category((utf8proc_int32_t)c) : UTF8PROC_CATEGORY_CN;
        bool is_mark = category == UTF8PROC_CATEGORY_MN || category == UTF8PROC_CATEGORY_MC;
        if (!(category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO) && !is_mark)
            return false;
        letters += !is_mark;
        at += bytes;
    }
    return letters >= WORD_LETTERS_LEAST;
}

/* The text of a whole-word entry, without space around it; empty: it is none. */
static view word_text(const mlm_sampler *m, int32_t id, bool by_marks, buffer *room)
{
    view piece = view_of(tokenizer_piece(m->model->tokenizer, id));
    buffer_clear(room);
    if (by_marks ? !is_marked(piece) : view_begins(piece, VIEW("##")))
        return VIEW("");
    if (tokenizer_decode(m->model->tokenizer, &id, 1, true, room, NULL) || !buffer_ok(room))
        return VIEW("");
    view text = buffer_as_view(room);
    while (text.size && text.data[0] == ' ')
        text = view_slice(text, 1, text.size);
    return text.size <= WORD_ROOM && is_letters(text) ? text : VIEW("");
}

static bool make_room(mlm_sampler *m, size_t entries)
{
    for (size_t k = 0; k < MLM_KINDS; k++)
        m->entries[k] = NEW(int32_t, entries);
    m->word_begin = NEW(size_t, entries);
    m->upto = NEW(double, entries + 1);
    return m->entries[MLM_TOKENS] && m->entries[MLM_WORDS] && m->word_begin && m->upto;
}

static tkr_status list_words(mlm_sampler *m, tkr_error *error)
{
    bool by_marks = marks_words(m);
    buffer room;
    buffer_init(&room, 1 << 16);
    for (size_t i = 0; i < m->entry_count[MLM_TOKENS]; i++) {
        int32_t id = m->entries[MLM_TOKENS][i];
        view text = word_text(m, id, by_marks, &room);
        if (text.size == 0)
            continue;
        m->word_begin[id] = m->words.size;
        buffer_view(&m->words, text);
        buffer_byte(&m->words, '\0');
        m->entries[MLM_WORDS][m->entry_count[MLM_WORDS]++] = id;
    }
    buffer_fini(&room);
    return buffer_ok(&m->words) ? TKR_OK : fail_memory(error, "the words of a vocabulary", m->words.size);
}

static tkr_status list_entries(mlm_sampler *m, tkr_error *error)
{
    size_t outputs = model_outputs(m->model), limit = tokenizer_limit(m->model->tokenizer);
    size_t entries = limit < outputs ? limit : outputs;
    if (!make_room(m, entries))
        return fail_memory(error, "the entries of a vocabulary", entries);
    for (size_t id = 0; id < entries; id++) {
        m->word_begin[id] = SIZE_MAX;
        if (token_is_drawable(m->model, (int32_t)id))
            m->entries[MLM_TOKENS][m->entry_count[MLM_TOKENS]++] = (int32_t)id;
    }
    return list_words(m, error);
}

view mlm_sampler_word(const mlm_sampler *m, int32_t id) { return view_of(m->words.data + m->word_begin[id]); }

/* ---- opening ---- */

static tkr_status check_model(const mlm_sampler *m, tkr_error *error)
{
    if (m->model->task != TKR_TASK_MASKED_LM || m->mask < 0) {
        fail(error, TKR_E_USAGE_CAPABILITY, "%s is no masked language model, so it cannot draw tokens for removal mlm",
             PLAIN(view_of(m->model->name)));
        fail_help(error, "--removal mlm takes the bundled %s", BUNDLED_SAMPLER);
    } else if (m->entry_count[MLM_TOKENS] == 0)
        fail(error, TKR_E_USAGE_CAPABILITY, "%s has no ordinary vocabulary entry to draw", PLAIN(view_of(m->model->name)));
    else
        return TKR_OK;
    return error->code;
}

mlm_sampler *mlm_sampler_open(tkr_session *s, const char *name, tkr_error *error)
{
    tkr_error local = {0};
    error = error ? error : &local;
    mlm_sampler *m = NEW(mlm_sampler, 1);
    if (!m)
        return fail_memory(error, "a sampler", sizeof *m), NULL;
    buffer_init(&m->words, 64 << 20);
    m->model = tkr_model_open(name ? name : BUNDLED_SAMPLER, NULL, error);
    if (!m->model) {
        mlm_sampler_free(m);
        return NULL;
    }
    m->owner = s;
    m->session = (tkr_session){.model = m->model, .options = s->options, .threads = s->threads};
    m->mask = tokenizer_role_id(m->model->tokenizer, TKR_SPECIAL_MASK);
    if ((m->model->task == TKR_TASK_MASKED_LM && list_entries(m, error)) || check_model(m, error)) {
        mlm_sampler_free(m);
        return NULL;
    }
    return m;
}

/* ---- running ---- */

/* A run under way. */
typedef struct sampling_run {
    mlm_sampler *sampler;
    mlm_kind kind;
    const mlm_request *list;
    mlm_visit_fn *visit;
    void *user;
    size_t *order;     /* [count] requests by number of masks */
    uint32_t *lengths; /* [count] */
} sampling_run;

/* Cumulative sums of the softmax over the entries; what is left of the largest logit is 1, so they cannot overflow. */
static bool accumulate(mlm_sampler *m, mlm_kind kind, const real *z)
{
    const int32_t *ids = m->entries[kind];
    size_t count = m->entry_count[kind];
    double largest = -HUGE_VAL;
    for (size_t i = 0; i < count; i++)
        largest = (double)z[ids[i]] > largest ? (double)z[ids[i]] : largest;
    m->upto[0] = 0;
    for (size_t i = 0; i < count; i++)
        m->upto[i + 1] = m->upto[i] + exp((double)z[ids[i]] - largest);
    return isfinite(m->upto[count]) && m->upto[count] > 0;
}

int32_t mlm_sampler_draw(const mlm_sampler *m, mlm_kind kind, const double *upto, double unit)
{
    size_t low = 0, high = m->entry_count[kind] - 1;
    double at = unit * upto[high + 1];
    while (low < high) { /* the first entry that ends beyond it */
        size_t middle = low + (high - low) / 2;
        if (upto[middle + 1] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return m->entries[kind][low];
}

static void fill(const sampling_run *r, pass *p, size_t sequence, const mlm_request *q)
{
    batch *b = &p->batch;
    size_t first = b->begin[sequence], read = b->target_begin[sequence];
    bool has_types = r->sampler->model->config.types > 1;
    for (size_t i = 0; i < q->length; i++) {
        b->ids[first + i] = q->ids[i];
        b->types[first + i] = has_types ? q->types[i] : 0;
    }
    model_positions(r->sampler->model, q->ids, q->length, b->positions + first);
    for (size_t k = 0; k < q->place_count; k++)
        b->target_rows[read + k] = batch_head_row(b, sequence, q->places[k]);
}

/* Requests order[first .. first + count) in one pass; all have the same number of masks. */
static tkr_status run_batch(const sampling_run *r, size_t first, size_t count, tkr_error *error)
{
    mlm_sampler *m = r->sampler;
    size_t places = r->list[r->order[first]].place_count;
    for (size_t i = 0; i < count; i++)
        r->lengths[i] = (uint32_t)r->list[r->order[first + i]].length;
    pass *p = pass_new(&m->session, &(pass_shape){.sequences = count, .lengths = r->lengths, .reads = places, .seeds = 1}, error);
    if (!p)
        return error->code;
    for (size_t i = 0; i < count; i++)
        fill(r, p, i, &r->list[r->order[first + i]]);
    tkr_status status = pass_forward(p, error);
    for (size_t i = 0; !status && i < count; i++)
        for (size_t k = 0; !status && k < places; k++) {
            if (accumulate(m, r->kind, pass_logits(p, i, k)))
                r->visit(r->user, r->order[first + i], k, m->upto);
            else
                status = fail(error, TKR_E_NUM_FORWARD, "%s: the logits of a masked token are not finite", PLAIN(view_of(m->model->name)));
        }
    pass_free(p);
    return status;
}

static size_t rows_most(const mlm_sampler *m)
{
    return m->session.options.batch_rows ? m->session.options.batch_rows : limits_batch_rows(&m->model->config);
}

/* How many of order[first ..] fit into one pass: at least one. */
static size_t fit(const sampling_run *r, size_t first, size_t count)
{
    size_t places = r->list[r->order[first]].place_count, rows = 0, logits = 0, n = 0;
    while (first + n < count && r->list[r->order[first + n]].place_count == places) {
        rows += r->list[r->order[first + n]].length;
        logits += places * model_outputs(r->sampler->model);
        if (n > 0 && (rows > rows_most(r->sampler) || logits > LOGITS_MOST))
            break;
        n++;
    }
    return n;
}

/* Counting sort by number of masks: stable. */
static bool sort_requests(sampling_run *r, size_t count)
{
    size_t most = 0;
    for (size_t i = 0; i < count; i++)
        most = r->list[i].place_count > most ? r->list[i].place_count : most;
    size_t *begin = NEW(size_t, most + 2);
    for (size_t i = 0; begin && i < count; i++)
        begin[r->list[i].place_count + 1]++;
    for (size_t n = 0; begin && n <= most; n++)
        begin[n + 1] += begin[n];
    for (size_t i = 0; begin && i < count; i++)
        r->order[begin[r->list[i].place_count]++] = i;
    memory_free(begin);
    return begin != NULL;
}

static tkr_status check_lengths(const mlm_sampler *m, const mlm_request *list, size_t count, tkr_error *error)
{
    size_t most = model_max_tokens(m->model);
    for (size_t i = 0; i < count; i++)
        if (list[i].length > most)
            return fail(error, TKR_E_INPUT_TOO_LONG, "the text has %zu tokens for %s, which draws the replacements and takes %zu",
                        list[i].length, PLAIN(view_of(m->model->name)), most);
    return TKR_OK;
}

tkr_status mlm_sampler_run(mlm_sampler *m, mlm_kind kind, const mlm_request *list, size_t count, mlm_visit_fn *visit, void *user,
                           tkr_error *error)
{
    sampling_run r = {.sampler = m, .kind = kind, .list = list, .visit = visit, .user = user, .order = NEW(size_t, count),
                      .lengths = NEW(uint32_t, count)};
    bool ok = r.order && r.lengths && sort_requests(&r, count);
    tkr_status status = ok ? check_lengths(m, list, count, error) : fail_memory(error, "masked texts", count);
    for (size_t done = 0; !status && done < count;) {
        size_t now = fit(&r, done, count);
        status = session_tell(m->owner, "replacements", "texts", done, count, error);
        if (!status)
            status = run_batch(&r, done, now, error);
        done += now;
    }
    memory_free(r.order);
    memory_free(r.lengths);
    return status;
}

tkr_status mlm_sampler_plan(mlm_sampler *m, size_t length, size_t places, size_t *bytes, tkr_error *error)
{
    size_t rows = rows_most(m), most = 0, packs = 0;
    for (int many = 0; many < 2; many++) { /* many texts with one mask, or one with all of them */
        size_t sequences = many ? rows / length : 1, reads = many ? 1 : places, block = 0;
        double flops = 0;
        pass *p = pass_new(&m->session, &(pass_shape){.sequences = sequences ? sequences : 1, .length = length, .reads = reads, .seeds = 1}, error);
        tkr_status status = p ? pass_plan(p, &block, &packs, &flops, error) : error->code;
        pass_free(p);
        if (status)
            return status;
        most = block > most ? block : most;
    }
    *bytes = most + packs;
    return TKR_OK;
}
