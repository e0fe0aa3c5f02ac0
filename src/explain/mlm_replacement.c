/*
 * Replacing by a masked language model.  What a set of masks draws is remembered for some draws ahead, so that a set which is
 * asked for under many draws runs through the sampler once; forgetting it costs time and changes nothing.
 *
 * Known to go wrong: a text of the user's may hold the sampler's mask itself, so masks are found by where they were put.
 */
#include "explain/mlm_replacement.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/variant_text.h"

enum { AHEAD_MOST = 32, AHEAD_NUMBERS = 1024, KNOWN_MOST = 8 << 20, BUCKETS = 1 << 12, TEXT_MOST = 64 << 20, AT_ONCE = 512 };

/* What the sampler drew for one set of masks under draws first * ahead .. */
typedef struct known {
    struct known *next;
    uint64_t *key;      /* [words + 1] mask, then number of the draws' block  */
    uint32_t *units;    /* [count] what is masked, ascending                  */
    int32_t *drawn;     /* [ahead][count]                                     */
    size_t count;
} known;

struct mlm_replacement {
    const question *q;
    mlm_sampler *sampler;
    mlm_kind kind;
    size_t words;               /* of a mask                                  */
    size_t ahead;
    arena *fixed, *memory, *work; /* for good; what is known; one call        */
    text_stretch *stretches;    /* by words: a unit is one of these; else a token */
    size_t unit_count;
    view *instead;              /* [unit_count] */
    size_t *places;             /* [unit_count] */
    known **buckets;            /* [BUCKETS]    */
};

/* ---- opening ---- */

/* The text must be what the question's rows came from, or new rows cannot stand for them. */
static tkr_status check_text(const question *q, tkr_error *error)
{
    tkr_encoding *e = tkr_tokenize(q->model, q->texts[0].data, q->texts[0].size, q->texts[1].data, q->texts[1].size, q->asked->truncate,
                                   model_max_tokens(q->model), error);
    if (!e)
        return error->code;
    bool is_same = e->count == q->input_length, is_inside = false;
    for (size_t i = 0; is_same && i < e->count; i++)
        is_same = e->tokens[i].id == q->ids[i];
    tkr_encoding_free(e);
    for (size_t r = 0; q->model->task == TKR_TASK_NEXT_TOKEN && r < q->reads; r++)
        is_inside = is_inside || q->read_positions[r] + 1 < q->input_length;
    if (is_same && !is_inside)
        return TKR_OK;
    fail(error, TKR_E_USAGE_CAPABILITY, is_same ? "removal mlm draws words, which move the tokens before the answer; the target must follow the text"
                                                : "removal mlm draws words; a target of several tokens in one mask has no place in a new text");
    fail_field(error, "removal", 0, 0);
    return error->code;
}

static size_t count_tokens(const question *q)
{
    size_t count = 0;
    for (size_t i = 0; i < q->length; i++)
        count += q->feature_of[i] != UINT32_MAX;
    return count ? count : 1;
}

static tkr_status open_words(mlm_replacement *m, tkr_error *error)
{
    const int32_t *entries;
    if (mlm_sampler_entries(m->sampler, MLM_WORDS, &entries) == 0)
        return fail(error, TKR_E_USAGE_CAPABILITY, "%s has no entry that is a whole word, and its vocabulary is not the model's",
                    PLAIN(view_of(mlm_sampler_model(m->sampler)->name)));
    tkr_status status = check_text(m->q, error);
    if (!status)
        status = stretches_find(m->q, STRETCH_WORDS, m->fixed, &m->stretches, &m->unit_count, error);
    return status;
}

mlm_replacement *mlm_replacement_new(const question *q, mlm_sampler *sampler, tkr_error *error)
{
    mlm_replacement *m = NEW(mlm_replacement, 1);
    if (!m)
        return fail_memory(error, "replacements", sizeof *m), NULL;
    *m = (mlm_replacement){.q = q, .sampler = sampler, .kind = q->by_words ? MLM_WORDS : MLM_TOKENS, .words = set_words(q->feature_count),
                           .fixed = arena_new(SIZE_MAX), .memory = arena_new(SIZE_MAX), .work = arena_new(SIZE_MAX),
                           .unit_count = q->length};
    tkr_status status = m->fixed && m->memory && m->work ? TKR_OK : fail_memory(error, "replacements", sizeof *m);
    if (!status && q->by_words)
        status = open_words(m, error);
    if (!status) {
        size_t ahead = AHEAD_NUMBERS / count_tokens(q);
        m->ahead = ahead < 1 ? 1 : ahead > AHEAD_MOST ? AHEAD_MOST : ahead;
        m->instead = ARENA_NEW(m->fixed, view, m->unit_count);
        m->places = ARENA_NEW(m->fixed, size_t, m->unit_count);
        m->buckets = ARENA_NEW(m->fixed, known *, BUCKETS);
        status = arena_failed(m->fixed) ? fail_memory(error, "replacements", m->unit_count) : TKR_OK;
    }
    if (!status)
        return m;
    mlm_replacement_free(m);
    return NULL;
}

void mlm_replacement_free(mlm_replacement *m)
{
    if (!m)
        return;
    arena_free(m->fixed);
    arena_free(m->memory);
    arena_free(m->work);
    memory_free(m);
}

/* ---- what is masked ---- */

static bool is_dropped(const mlm_replacement *m, const uint64_t *mask, size_t unit)
{
    const question *q = m->q;
    if (!q->by_words && q->token_fixed[unit])
        return false;
    uint32_t f = q->by_words ? m->stretches[unit].feature : q->feature_of[unit];
    return f != UINT32_MAX && !set_has(mask, f);
}

/* Tokens: the question's own, with masks. */
static tkr_status request_tokens(mlm_replacement *m, known *k, mlm_request *out, tkr_error *error)
{
    const question *q = m->q;
    int32_t *ids = ARENA_NEW(m->work, int32_t, q->length);
    if (!ids)
        return fail_memory(error, "a masked text", q->length);
    memcpy(ids, q->ids, q->length * sizeof *ids);
    for (size_t u = 0; u < q->length; u++)
        if (is_dropped(m, k->key, u)) {
            ids[u] = mlm_sampler_mask(m->sampler);
            k->units[k->count++] = (uint32_t)u;
        }
    *out = (mlm_request){.ids = ids, .types = q->types, .length = q->length, .places = k->units, .place_count = k->count};
    return TKR_OK;
}

/* The texts of a variant, stretches replaced by m->instead; m->places say where. */
static tkr_status write_texts(mlm_replacement *m, const uint64_t *mask, buffer text[2], tkr_error *error)
{
    for (int32_t t = 0; t < 2; t++) {
        buffer_init(&text[t], TEXT_MOST);
        if (m->q->texts[t].data)
            variant_text(m->q, t, m->stretches, m->unit_count, mask, m->instead, &text[t], m->places);
    }
    return buffer_ok(&text[0]) && buffer_ok(&text[1]) ? TKR_OK : fail_memory(error, "a text with replaced words", text[0].size);
}

/* Which stretch a mask token stands for; SIZE_MAX: one that the user wrote. */
static size_t stretch_at(const mlm_replacement *m, const tkr_token *t)
{
    for (size_t s = 0; s < m->unit_count; s++)
        if (m->stretches[s].text == t->text && m->places[s] != SIZE_MAX && (int64_t)m->places[s] >= t->begin &&
            (int64_t)m->places[s] < t->end)
            return s;
    return SIZE_MAX;
}

static tkr_status find_masks(mlm_replacement *m, known *k, const tkr_encoding *e, mlm_request *out, tkr_error *error)
{
    int32_t *ids = ARENA_NEW(m->work, int32_t, e->count), *types = ARENA_NEW(m->work, int32_t, e->count);
    uint32_t *places = ARENA_NEW(m->work, uint32_t, m->unit_count);
    if (!ids || !types || !places)
        return fail_memory(error, "a masked text", e->count);
    for (size_t i = 0; i < e->count; i++) {
        ids[i] = e->tokens[i].id;
        types[i] = e->tokens[i].segment;
        size_t s = ids[i] == mlm_sampler_mask(m->sampler) ? stretch_at(m, &e->tokens[i]) : SIZE_MAX;
        if (s == SIZE_MAX)
            continue;
        k->units[k->count] = (uint32_t)s;
        places[k->count++] = (uint32_t)i;
    }
    *out = (mlm_request){.ids = ids, .types = types, .length = e->count, .places = places, .place_count = k->count};
    return TKR_OK;
}

/* Words: the text with masks in it, as the sampler reads it. */
static tkr_status request_words(mlm_replacement *m, known *k, mlm_request *out, tkr_error *error)
{
    const tokenizer *t = mlm_sampler_model(m->sampler)->tokenizer;
    view mask = view_of(tokenizer_piece(t, mlm_sampler_mask(m->sampler)));
    for (size_t s = 0; s < m->unit_count; s++)
        m->instead[s] = mask;
    buffer text[2];
    tkr_status status = write_texts(m, k->key, text, error);
    view pair = buffer_as_view(&text[1]);
    tkr_encoding *e = NULL;
    if (!status)
        e = tokenizer_encode(t, buffer_as_view(&text[0]), (encode_options){.pair = m->q->texts[1].data ? &pair : NULL, .max_bytes = TEXT_MOST}, error);
    if (!status)
        status = e ? find_masks(m, k, e, out, error) : error->code;
    tkr_encoding_free(e);
    buffer_fini(&text[0]);
    buffer_fini(&text[1]);
    return status;
}

/* ---- what is known ---- */

static known **bucket_of(mlm_replacement *m, const uint64_t *key)
{
    return &m->buckets[hash_bytes(key, (m->words + 1) * sizeof *key) % BUCKETS];
}

static known *find(mlm_replacement *m, const uint64_t *key)
{
    known *k = *bucket_of(m, key);
    while (k && memcmp(k->key, key, (m->words + 1) * sizeof *key) != 0)
        k = k->next;
    return k;
}

static known *add(mlm_replacement *m, const uint64_t *key)
{
    size_t most = 0;
    for (size_t u = 0; u < m->unit_count; u++)
        most += is_dropped(m, key, u);
    known *k = ARENA_NEW(m->memory, known, 1);
    if (!k)
        return NULL;
    k->key = ARENA_NEW(m->memory, uint64_t, m->words + 1);
    k->units = ARENA_NEW(m->memory, uint32_t, most);
    k->drawn = ARENA_NEW(m->memory, int32_t, most * m->ahead);
    if (!k->key || !k->units || !k->drawn)
        return NULL;
    memcpy(k->key, key, (m->words + 1) * sizeof *key);
    known **bucket = bucket_of(m, key);
    k->next = *bucket;
    *bucket = k;
    return k;
}

static void forget(mlm_replacement *m)
{
    arena_reset(m->memory);
    memset(m->buckets, 0, BUCKETS * sizeof *m->buckets);
}

/* Some sets that are new, and their texts. */
typedef struct fresh {
    mlm_replacement *m;
    known **sets;
    mlm_request *requests;
    size_t count;
} fresh;

/* One place of one set: all draws of its block.  What it draws by is the place, whatever else is masked. */
static void draw_ahead(void *user, size_t request, size_t place, const double *upto)
{
    const fresh *f = user;
    const mlm_replacement *m = f->m;
    known *k = f->sets[request];
    for (size_t d = 0; d < m->ahead; d++) {
        random_key key = {.seed = m->q->session->options.seed, .purpose = random_purpose("removal mlm"),
                          .item = (uint32_t)(k->key[m->words] * m->ahead + d)};
        k->drawn[d * k->count + place] = mlm_sampler_draw(m->sampler, m->kind, upto, random_unit(key, k->units[place]));
    }
}

/* A set that is not known yet joins those to be run, unless nothing of it is masked. */
static tkr_status begin(fresh *f, const uint64_t *key, tkr_error *error)
{
    mlm_replacement *m = f->m;
    known *k = add(m, key);
    if (!k)
        return fail_memory(error, "draws of a masked language model", m->unit_count);
    f->sets[f->count] = k;
    mlm_request *out = &f->requests[f->count];
    tkr_status status = m->q->by_words ? request_words(m, k, out, error) : request_tokens(m, k, out, error);
    f->count += !status && k->count > 0;
    return status;
}

/* ---- variants ---- */

static const int32_t *drawn_for(const mlm_replacement *m, const known *k, uint32_t draw)
{
    return k->drawn + draw % m->ahead * k->count;
}

static tkr_status make_aligned(mlm_replacement *m, const known *k, uint32_t draw, arena *a, replaced *out, tkr_error *error)
{
    const question *q = m->q;
    const int32_t *drawn = drawn_for(m, k, draw);
    *out = (replaced){.ids = ARENA_NEW(a, int32_t, q->length), .types = q->types, .length = q->length, .is_aligned = true};
    if (!out->ids)
        return fail_memory(error, "replaced tokens", q->length);
    memcpy(out->ids, q->ids, q->length * sizeof *out->ids);
    for (size_t u = 0; u < k->count; u++)
        out->ids[k->units[u]] = drawn[u];
    return TKR_OK;
}

/* The row of a new text's mask that is number `number` of those in it; SIZE_MAX: none. */
static size_t mask_row(const question *q, const replaced *new, size_t number)
{
    int32_t mask = tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK);
    for (size_t i = 0; i < new->length; i++)
        if (new->ids[i] == mask && number-- == 0)
            return i;
    return SIZE_MAX;
}

static size_t masks_before(const question *q, size_t row)
{
    int32_t mask = tokenizer_role_id(q->model->tokenizer, TKR_SPECIAL_MASK);
    size_t count = 0;
    for (size_t i = 0; i < row; i++)
        count += q->ids[i] == mask;
    return count;
}

/* Where the answer is read in a new text: an encoder's first row, a decoder's last ones, the masks in their order. */
static tkr_status find_reads(const question *q, arena *a, replaced *new, tkr_error *error)
{
    new->reads = ARENA_NEW(a, uint32_t, q->reads);
    if (!new->reads)
        return fail_memory(error, "read rows", q->reads);
    for (size_t r = 0; r < q->reads; r++) {
        size_t row = q->read_positions[r];
        if (q->model->task == TKR_TASK_MASKED_LM)
            row = mask_row(q, new, masks_before(q, row));
        else if (q->model->task != TKR_TASK_SEQUENCE_CLASSIFICATION || (q->model->head && q->model->head->reads == READS_LAST_ROW))
            row = row + new->length - q->length;
        if (row >= new->length)
            return fail(error, TKR_E_USAGE_CAPABILITY, "a word that was drawn hides the mask whose answer is explained");
        new->reads[r] = (uint32_t)row;
    }
    return TKR_OK;
}

/* New tokens of the input, then the rows that follow it as they were. */
static tkr_status take_tokens(const question *q, const tkr_encoding *e, arena *a, replaced *out, tkr_error *error)
{
    size_t after = q->length - q->input_length;
    *out = (replaced){.ids = ARENA_NEW(a, int32_t, e->count + after), .types = ARENA_NEW(a, int32_t, e->count + after),
                      .length = e->count + after};
    if (!out->ids || !out->types)
        return fail_memory(error, "replaced tokens", out->length);
    for (size_t i = 0; i < e->count; i++) {
        out->ids[i] = e->tokens[i].id;
        out->types[i] = e->tokens[i].segment;
    }
    memcpy(out->ids + e->count, q->ids + q->input_length, after * sizeof *out->ids);
    memcpy(out->types + e->count, q->types + q->input_length, after * sizeof *out->types);
    return find_reads(q, a, out, error);
}

static tkr_status make_words(mlm_replacement *m, const known *k, uint32_t draw, arena *a, replaced *out, tkr_error *error)
{
    const question *q = m->q;
    const int32_t *drawn = drawn_for(m, k, draw);
    for (size_t s = 0; s < m->unit_count; s++)
        m->instead[s] = VIEW("");
    for (size_t u = 0; u < k->count; u++)
        m->instead[k->units[u]] = mlm_sampler_word(m->sampler, drawn[u]);
    buffer text[2];
    tkr_status status = write_texts(m, k->key, text, error);
    tkr_encoding *e = NULL;
    if (!status)
        e = tkr_tokenize(q->model, text[0].data ? text[0].data : "", text[0].size, q->texts[1].data ? (text[1].data ? text[1].data : "") : NULL,
                         text[1].size, q->asked->truncate, model_max_tokens(q->model), error);
    if (!status)
        status = e ? take_tokens(q, e, a, out, error) : error->code;
    const char *kept = status ? NULL : arena_copy_text(a, text[0].size ? buffer_as_view(&text[0]) : VIEW(""));
    if (kept)
        out->text = (view){kept, text[0].size};
    else if (!status)
        status = fail_memory(error, "a new text", text[0].size);
    tkr_encoding_free(e);
    buffer_fini(&text[0]);
    buffer_fini(&text[1]);
    return status;
}

static void write_key(const mlm_replacement *m, const variant *v, uint64_t *key)
{
    memcpy(key, v->mask, m->words * sizeof *key);
    key[m->words] = v->draw / m->ahead;
}

/* Few enough that what they hold is bounded. */
static tkr_status make_some(mlm_replacement *m, const variant *list, size_t count, arena *a, replaced *out, tkr_error *error)
{
    if (arena_held(m->memory) > KNOWN_MOST)
        forget(m);
    arena_reset(m->work);
    fresh f = {.m = m, .sets = ARENA_NEW(m->work, known *, count), .requests = ARENA_NEW(m->work, mlm_request, count)};
    uint64_t *key = ARENA_NEW(m->work, uint64_t, m->words + 1);
    tkr_status status = f.sets && f.requests && key ? TKR_OK : fail_memory(error, "masked texts", count);
    for (size_t i = 0; !status && i < count; i++) {
        write_key(m, &list[i], key);
        if (!find(m, key))
            status = begin(&f, key, error);
    }
    if (!status && f.count > 0)
        status = mlm_sampler_run(m->sampler, m->kind, f.requests, f.count, draw_ahead, &f, error);
    if (status) {
        forget(m); /* what was begun is not drawn */
        return status;
    }
    for (size_t i = 0; !status && i < count; i++) {
        write_key(m, &list[i], key);
        const known *k = find(m, key);
        status = m->q->by_words ? make_words(m, k, list[i].draw, a, &out[i], error) : make_aligned(m, k, list[i].draw, a, &out[i], error);
    }
    return status;
}

tkr_status mlm_replacement_make(mlm_replacement *m, const variant *list, size_t count, arena *a, replaced *out, tkr_error *error)
{
    tkr_status status = TKR_OK;
    for (size_t done = 0; !status && done < count; done += AT_ONCE)
        status = make_some(m, list + done, count - done < AT_ONCE ? count - done : AT_ONCE, a, out + done, error);
    return status;
}
