/*
 * Scoring variants.  They are remembered in an open-addressing table (key: the bit mask and the draw, value: one score a
 * target); the ones that are new are run, each once, and added.  A draw matters only where the removal is random and something
 * is removed: otherwise it is 0, so that equal inputs have equal keys.
 *
 * A variant that was run for its values alone and is asked for its answers later is run again, and what it says then stands.
 */
#include "explain/scorer.h"

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/size.h"

/* What is known of a slot. */
enum { SLOT_FREE = 0, SLOT_VALUE, SLOT_ANSWER, SLOT_LISTED = 4 /* asked for now, beside one of the others */ };

struct scorer {
    const question *q;
    variants *variants;
    size_t words, targets;
    bool is_random;
    uint64_t *full;         /* [words] all features kept                  */
    uint64_t *keys;         /* [capacity][words + 1]: mask, then the draw */
    score *scores;          /* [capacity][targets]                        */
    unsigned char *state;   /* [capacity]                                 */
    size_t count, capacity;
    uint64_t evaluations;
};

size_t scorer_words(const scorer *s) { return s->words; }
uint64_t scorer_evaluations(const scorer *s) { return s->evaluations; }

scorer *scorer_new(const question *q, size_t sequences, tkr_error *error)
{
    scorer *s = NEW(scorer, 1);
    if (!s)
        return fail_memory(error, "the scorer", sizeof *s), NULL;
    s->q = q;
    s->words = set_words(q->feature_count);
    s->targets = q->target_count;
    s->is_random = removal_is_random(q->removal);
    s->full = NEW(uint64_t, s->words);
    s->variants = s->full ? variants_new(q, sequences, error) : NULL;
    if (!s->full)
        fail_memory(error, "the scorer", s->words);
    if (!s->variants) {
        scorer_free(s);
        return NULL;
    }
    set_fill(s->full, q->feature_count);
    return s;
}

void scorer_free(scorer *s)
{
    if (!s)
        return;
    variants_free(s->variants);
    memory_free(s->full);
    memory_free(s->keys);
    memory_free(s->scores);
    memory_free(s->state);
    memory_free(s);
}

/* ---- the table ---- */

/* Slot of a key: where it is, or where it would go. */
static size_t slot_of(const scorer *s, const uint64_t *key)
{
    size_t size = (s->words + 1) * sizeof *key, at = (size_t)hash_bytes(key, size) & (s->capacity - 1);
    while (s->state[at] && memcmp(s->keys + at * (s->words + 1), key, size) != 0)
        at = (at + 1) & (s->capacity - 1);
    return at;
}

static tkr_status make_room(scorer *s, size_t more, tkr_error *error)
{
    size_t wanted = s->capacity ? s->capacity : 64, width = s->words + 1;
    while (wanted < 2 * (s->count + more))
        wanted *= 2;
    if (wanted == s->capacity)
        return TKR_OK;
    scorer old = *s;
    s->keys = NEW(uint64_t, wanted * width);
    s->scores = NEW(score, wanted * s->targets);
    s->state = NEW(unsigned char, wanted);
    if (!s->keys || !s->scores || !s->state) {
        memory_free(s->keys);
        memory_free(s->scores);
        memory_free(s->state);
        *s = old;
        return fail_memory(error, "remembered variants", wanted);
    }
    s->capacity = wanted;
    for (size_t i = 0; i < old.capacity; i++) {
        if (!old.state[i])
            continue;
        size_t at = slot_of(s, old.keys + i * width);
        s->state[at] = old.state[i];
        memcpy(s->keys + at * width, old.keys + i * width, width * sizeof *s->keys);
        memcpy(s->scores + at * s->targets, old.scores + i * s->targets, s->targets * sizeof *s->scores);
    }
    memory_free(old.keys);
    memory_free(old.scores);
    memory_free(old.state);
    return TKR_OK;
}

/* ---- what is asked ---- */

/* Some variants, and where in the table each is. */
typedef struct request {
    uint64_t *keys;   /* [count][words + 1]                     */
    size_t *slots;    /* [count]                                */
    variant *fresh;   /* [fresh_count] to be run, in the order asked: their masks point into keys */
    size_t *fresh_slots;
    score *scores;    /* [fresh_count][targets]                 */
    size_t count, fresh_count;
} request;

static void request_fini(request *r)
{
    memory_free(r->keys);
    memory_free(r->slots);
    memory_free(r->fresh);
    memory_free(r->fresh_slots);
    memory_free(r->scores);
}

static void write_key(const scorer *s, uint64_t *key, const uint64_t *mask, uint32_t draw)
{
    memcpy(key, mask, s->words * sizeof *key);
    bool is_whole = memcmp(mask, s->full, s->words * sizeof *mask) == 0;
    key[s->words] = s->is_random && !is_whole ? draw : 0;
}

/* The variants that are not known well enough, each once. */
static void list_fresh(scorer *s, request *r, score_wish wish)
{
    unsigned char enough = wish == SCORE_ANSWER ? SLOT_ANSWER : SLOT_VALUE;
    for (size_t i = 0; i < r->count; i++) {
        uint64_t *key = r->keys + i * (s->words + 1);
        size_t at = r->slots[i] = slot_of(s, key);
        if (s->state[at] >= enough) /* SLOT_LISTED too */
            continue;
        s->count += s->state[at] == SLOT_FREE;
        memcpy(s->keys + at * (s->words + 1), key, (s->words + 1) * sizeof *key);
        s->state[at] |= SLOT_LISTED;
        r->fresh[r->fresh_count] = (variant){key, (uint32_t)key[s->words]};
        r->fresh_slots[r->fresh_count++] = at;
    }
}

/* A failed run leaves the table without what was listed: it is emptied, as slots cannot be freed one by one. */
static void forget_all(scorer *s)
{
    memset(s->state, SLOT_FREE, s->capacity);
    s->count = 0;
}

static tkr_status run_fresh(scorer *s, request *r, const char *phase, score_wish wish, tkr_error *error)
{
    tkr_status status = variants_run(s->variants, phase, r->fresh, r->fresh_count, wish, r->scores, error);
    if (status) {
        forget_all(s);
        return status;
    }
    for (size_t i = 0; i < r->fresh_count; i++) {
        size_t at = r->fresh_slots[i];
        s->state[at] = wish == SCORE_ANSWER ? SLOT_ANSWER : SLOT_VALUE;
        memcpy(s->scores + at * s->targets, r->scores + i * s->targets, s->targets * sizeof *s->scores);
    }
    s->evaluations += r->fresh_count;
    return TKR_OK;
}

tkr_status scorer_score(scorer *s, const char *phase, const uint64_t *masks, const uint32_t *draws, size_t count, score_wish wish,
                        score *out, tkr_error *error)
{
    if (variants_bring_answers(s->variants))
        wish = SCORE_ANSWER;
    request r = {.keys = NEW(uint64_t, count * (s->words + 1)), .slots = NEW(size_t, count), .fresh = NEW(variant, count),
                 .fresh_slots = NEW(size_t, count), .count = count};
    bool ok = r.keys && r.slots && r.fresh && r.fresh_slots;
    tkr_status status = ok ? make_room(s, count, error) : fail_memory(error, "variants", count);
    for (size_t i = 0; !status && i < count; i++)
        write_key(s, r.keys + i * (s->words + 1), masks + i * s->words, draws ? draws[i] : 0);
    if (!status) {
        list_fresh(s, &r, wish);
        r.scores = NEW(score, r.fresh_count * s->targets);
        if (!r.scores) {
            forget_all(s);
            status = fail_memory(error, "scores", r.fresh_count);
        }
    }
    if (!status && r.fresh_count > 0)
        status = run_fresh(s, &r, phase, wish, error);
    for (size_t i = 0; !status && i < count; i++)
        memcpy(out + i * s->targets, s->scores + r.slots[i] * s->targets, s->targets * sizeof *out);
    request_fini(&r);
    return status;
}
