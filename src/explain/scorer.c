/*
 * Scoring variants.  Coalitions are remembered in an open-addressing table (key: the bit mask, value: one score a target);
 * the ones that are new are laid out in batches, run, and added.  With removals that keep the length all batches have one of
 * two shapes, so graph and memory are reused; `delete` packs ragged sequences.
 */
#include "explain/scorer.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/size.h"

struct scorer {
    const question *q;
    size_t words, targets, sequences;
    /* remembered coalitions */
    uint64_t *keys;     /* [capacity][words]   */
    score *scores;      /* [capacity][targets] */
    unsigned char *used; /* [capacity]          */
    size_t count, capacity;
    /* the batch that is laid out */
    pass *pass;
    size_t pass_sequences;
    uint8_t *removed;   /* [rows] of the pass: rows whose word embedding is replaced (zero, mean) */
    const real *replacement; /* [hidden] for mean; NULL: zero */
    uint64_t evaluations, rows;
};

size_t scorer_words(const scorer *s) { return s->words; }
uint64_t scorer_evaluations(const scorer *s) { return s->evaluations; }
uint64_t scorer_rows(const scorer *s) { return s->rows; }

void coalition_fill(uint64_t *mask, size_t features)
{
    for (size_t w = 0; w < (features + 63) / 64; w++) {
        size_t left = features - 64 * w;
        mask[w] = left >= 64 ? UINT64_MAX : (UINT64_C(1) << left) - 1;
    }
}

void coalition_drop(uint64_t *mask, size_t f) { mask[f / 64] &= ~(UINT64_C(1) << (f % 64)); }
static bool coalition_keeps(const uint64_t *mask, size_t f) { return mask[f / 64] >> (f % 64) & 1; }

scorer *scorer_new(const question *q, size_t sequences, tkr_error *error)
{
    scorer *s = NEW(scorer, 1);
    if (!s)
        return fail_memory(error, "the scorer", sizeof *s), NULL;
    s->q = q;
    s->words = (q->feature_count + 63) / 64;
    s->targets = q->target_count;
    s->sequences = sequences ? sequences : 1;
    if (q->removal == REMOVAL_MEAN && !(s->replacement = session_mean_embedding(q->session, error))) {
        memory_free(s);
        return NULL;
    }
    return s;
}

static void drop_pass(scorer *s)
{
    pass_free(s->pass);
    memory_free(s->removed);
    s->pass = NULL;
    s->removed = NULL;
}

void scorer_free(scorer *s)
{
    if (!s)
        return;
    drop_pass(s);
    memory_free(s->keys);
    memory_free(s->scores);
    memory_free(s->used);
    memory_free(s);
}

/* ---- the table of remembered coalitions ---- */

/* Slot of a coalition: where it is, or where it would go. */
static size_t slot_of(const scorer *s, const uint64_t *mask)
{
    size_t at = (size_t)hash_bytes(mask, s->words * sizeof *mask) & (s->capacity - 1);
    while (s->used[at] && memcmp(s->keys + at * s->words, mask, s->words * sizeof *mask) != 0)
        at = (at + 1) & (s->capacity - 1);
    return at;
}

static tkr_status make_room(scorer *s, size_t more, tkr_error *error)
{
    size_t wanted = s->capacity ? s->capacity : 64;
    while (wanted < 2 * (s->count + more))
        wanted *= 2;
    if (wanted == s->capacity)
        return TKR_OK;
    scorer old = *s;
    s->keys = NEW(uint64_t, wanted * s->words);
    s->scores = NEW(score, wanted * s->targets);
    s->used = NEW(unsigned char, wanted);
    if (!s->keys || !s->scores || !s->used) {
        memory_free(s->keys);
        memory_free(s->scores);
        memory_free(s->used);
        *s = old;
        return fail_memory(error, "remembered variants", wanted);
    }
    s->capacity = wanted;
    for (size_t i = 0; i < old.capacity; i++) {
        if (!old.used[i])
            continue;
        size_t at = slot_of(s, old.keys + i * s->words);
        s->used[at] = 1;
        memcpy(s->keys + at * s->words, old.keys + i * s->words, s->words * sizeof *s->keys);
        memcpy(s->scores + at * s->targets, old.scores + i * s->targets, s->targets * sizeof *s->scores);
    }
    memory_free(old.keys);
    memory_free(old.scores);
    memory_free(old.used);
    return TKR_OK;
}

/* ---- laying out a batch ---- */

static bool is_removed(const question *q, const uint64_t *mask, size_t token)
{
    uint32_t f = q->feature_of[token];
    return f != UINT32_MAX && !q->token_fixed[token] && !coalition_keeps(mask, f);
}

static int32_t replacement_id(const question *q)
{
    const tokenizer *t = q->model->tokenizer;
    switch (q->removal) {
    case REMOVAL_MASK: return tokenizer_role_id(t, TKR_SPECIAL_MASK);
    case REMOVAL_PAD: return tokenizer_role_id(t, TKR_SPECIAL_PAD);
    case REMOVAL_UNK: return tokenizer_role_id(t, TKR_SPECIAL_UNK);
    case REMOVAL_ATTN:
    case REMOVAL_ZERO:
    case REMOVAL_DELETE:
    case REMOVAL_MEAN:
    case REMOVAL_COUNT: break;
    }
    return -1;
}

static void lay_out_same_length(scorer *s, size_t sequence, const uint64_t *mask)
{
    const question *q = s->q;
    batch *b = &s->pass->batch;
    size_t first = b->begin[sequence];
    int32_t id = replacement_id(q);
    question_fill(q, s->pass, sequence);
    for (size_t i = 0; i < q->length; i++) {
        bool removed = is_removed(q, mask, i);
        if (removed && id >= 0)
            b->ids[first + i] = id;
        if (b->hidden)
            b->hidden[first + i] = removed;
        if (s->removed)
            s->removed[first + i] = removed;
    }
}

/* Rows left from row `from` on. */
static uint32_t length_without(const question *q, const uint64_t *mask, size_t from)
{
    uint32_t kept = 0;
    for (size_t i = from; i < q->length; i++)
        kept += !is_removed(q, mask, i);
    return kept;
}

/* A decoder whose read row is deleted answers from the last row that is left before it. */
static void lay_out_deleted(scorer *s, size_t sequence, const uint64_t *mask)
{
    const question *q = s->q;
    batch *b = &s->pass->batch;
    size_t first = b->begin[sequence], row = first, read = 0;
    for (size_t i = 0; i < q->length; i++) {
        if (!is_removed(q, mask, i)) {
            b->ids[row] = q->ids[i];
            b->types[row] = q->types[i];
            row++;
        }
        if (read < q->reads && q->read_positions[read] == i)
            b->target_rows[b->target_begin[sequence] + read++] = batch_head_row(b, sequence, row - first - 1);
    }
    if (!b->output_begin)
        model_positions(q->model, b->ids + first, row - first, b->positions + first);
}

/* Replace the word embeddings of removed rows (zero, mean). */
static tkr_status replace_rows(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const scorer *s = user;
    for (size_t r = 0; r < site->rows; r++) {
        if (!s->removed[r])
            continue;
        for (size_t i = 0; i < site->width; i++)
            rows[r * site->width + i] = s->replacement ? s->replacement[i] : 0;
    }
    return TKR_OK;
}

static tkr_status new_pass(scorer *s, size_t sequences, const uint32_t *lengths, const uint32_t *output_lengths, tkr_error *error)
{
    const question *q = s->q;
    drop_pass(s);
    pass_shape shape = question_shape(q, sequences, false);
    shape.lengths = lengths;
    shape.output_lengths = output_lengths;
    shape.hides = q->removal == REMOVAL_ATTN;
    s->pass = pass_new(q->session, &shape, error);
    if (!s->pass)
        return error->code;
    s->pass_sequences = sequences;
    if (q->removal != REMOVAL_ZERO && q->removal != REMOVAL_MEAN)
        return TKR_OK;
    s->removed = NEW(uint8_t, s->pass->batch.rows);
    if (!s->removed)
        return fail_memory(error, "a batch", s->pass->batch.rows);
    return pass_intervene(s->pass, "word", replace_rows, s, error);
}

/* Lay out `count` coalitions (pointers) as one batch. */
static tkr_status lay_out(scorer *s, const uint64_t *const *masks, size_t count, tkr_error *error)
{
    const question *q = s->q;
    tkr_status status = TKR_OK;
    if (q->removal == REMOVAL_DELETE) {
        uint32_t *lengths = NEW(uint32_t, 2 * count);
        if (!lengths)
            return fail_memory(error, "a batch", count);
        for (size_t i = 0; i < count; i++) {
            lengths[i] = length_without(q, masks[i], 0);
            lengths[count + i] = length_without(q, masks[i], q->input_length);
        }
        status = new_pass(s, count, lengths, lengths + count, error);
        memory_free(lengths);
        for (size_t i = 0; !status && i < count; i++)
            lay_out_deleted(s, i, masks[i]);
        return status;
    }
    if (!s->pass || s->pass_sequences != count)
        status = new_pass(s, count, NULL, NULL, error);
    for (size_t i = 0; !status && i < count; i++)
        lay_out_same_length(s, i, masks[i]);
    return status;
}

static void remember(scorer *s, size_t sequence, const uint64_t *mask)
{
    const question *q = s->q;
    size_t at = slot_of(s, mask);
    s->used[at] = 1;
    s->count++;
    memcpy(s->keys + at * s->words, mask, s->words * sizeof *mask);
    for (size_t t = 0; t < s->targets; t++) {
        const target *wanted = &q->targets[t];
        s->scores[at * s->targets + t] = (score){target_value(q, wanted, s->pass, sequence),
                                                 target_probability(q, wanted, s->pass, sequence)};
    }
}

/* Run the new coalitions in nearly equal batches. */
static tkr_status run_new(scorer *s, const char *phase, const uint64_t *const *masks, size_t count, tkr_error *error)
{
    size_t batches = (count + s->sequences - 1) / s->sequences, done = 0;
    for (size_t b = 0; b < batches; b++) {
        size_t now = count / batches + (b < count % batches);
        tkr_status status = session_tell(s->q->session, phase, "evaluations", done, count, error);
        if (!status)
            status = lay_out(s, masks + done, now, error);
        if (!status)
            status = pass_forward(s->pass, error);
        if (status)
            return status;
        for (size_t i = 0; i < now; i++)
            remember(s, i, masks[done + i]);
        s->evaluations += now;
        s->rows += s->pass->batch.rows;
        done += now;
    }
    return session_tell(s->q->session, phase, "evaluations", count, count, error);
}

/* The coalitions that are not remembered yet, each once, in the order asked. */
static size_t list_new(const scorer *s, const uint64_t *masks, size_t count, const uint64_t **list)
{
    size_t fresh = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t *mask = masks + i * s->words;
        size_t at = slot_of(s, mask);
        if (s->used[at])
            continue;
        s->used[at] = 2; /* listed, not scored yet */
        memcpy(s->keys + at * s->words, mask, s->words * sizeof *mask);
        list[fresh++] = mask;
    }
    for (size_t i = 0; i < s->capacity; i++)
        if (s->used[i] == 2)
            s->used[i] = 0;
    return fresh;
}

tkr_status scorer_score(scorer *s, const char *phase, const uint64_t *masks, size_t count, score *out, tkr_error *error)
{
    const uint64_t **fresh = NEW(const uint64_t *, count);
    tkr_status status = fresh ? make_room(s, count, error) : fail_memory(error, "variants", count);
    if (!status) {
        size_t fresh_count = list_new(s, masks, count, fresh);
        status = fresh_count ? run_new(s, phase, fresh, fresh_count, error) : TKR_OK;
    }
    for (size_t i = 0; !status && i < count; i++)
        memcpy(out + i * s->targets, s->scores + slot_of(s, masks + i * s->words) * s->targets, s->targets * sizeof *out);
    memory_free(fresh);
    return status;
}
