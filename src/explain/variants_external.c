/*
 * Asking an external model; see variants_external.h.  A table of texts (open addressing) says what is known; what is not is laid
 * out in calls of EXTERNAL_TEXTS texts.
 *
 * Known to go wrong: a scorer may answer a variant with numbers that are no probabilities though those of the text were; their
 * logarithm need not exist, and a score that is not finite is refused here, where its text is known.
 */
#include "explain/variants_external.h"

#include <math.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/external_question.h"
#include "explain/replacement.h"
#include "explain/variant_text.h"

enum { DRAWN_AT_ONCE = 256 };

static const char *const placeholders[REMOVAL_COUNT] = {[REMOVAL_MASK] = "[MASK]", [REMOVAL_UNK] = "[UNK]"};

/* A text that was asked, or is about to be. */
typedef struct asked_text {
    view text;
    score *scores;           /* [targets] */
    bool is_known;
} asked_text;

struct external_variants {
    const question *q;
    arena *memory;           /* texts and scores */
    text_stretch *stretches; /* [stretch_count] */
    size_t stretch_count;
    view *instead;           /* [stretch_count] what a removed stretch becomes; NULL: it is taken out */
    replacement *mlm;        /* removal mlm: it makes the texts      */
    arena *drawn;            /* what it has made, a few at a time    */
    asked_text *table;       /* [capacity]; text.data NULL: free */
    size_t count, capacity;
    pass *pass;
    uint64_t answered;       /* texts, all calls together */
};

void external_variants_free(external_variants *v)
{
    if (!v)
        return;
    pass_free(v->pass);
    replacement_free(v->mlm);
    arena_free(v->drawn);
    memory_free(v->table);
    arena_free(v->memory);
    memory_free(v);
}

/* ---- the table ---- */

static asked_text *slot_of(const external_variants *v, view text)
{
    size_t at = (size_t)hash_bytes(text.data, text.size) & (v->capacity - 1);
    while (v->table[at].text.data && !view_equal(v->table[at].text, text))
        at = (at + 1) & (v->capacity - 1);
    return &v->table[at];
}

static tkr_status make_room(external_variants *v, size_t more, tkr_error *error)
{
    size_t wanted = v->capacity ? v->capacity : 256;
    while (wanted < 2 * (v->count + more))
        wanted *= 2;
    if (wanted == v->capacity)
        return TKR_OK;
    asked_text *old = v->table, *table = NEW(asked_text, wanted);
    size_t old_capacity = v->capacity;
    if (!table)
        return fail_memory(error, "remembered texts", wanted);
    v->table = table;
    v->capacity = wanted;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].text.data)
            *slot_of(v, old[i].text) = old[i];
    memory_free(old);
    return TKR_OK;
}

/* The slot of a text, made when there is none; NULL: no memory. */
static asked_text *enter(external_variants *v, view text)
{
    asked_text *slot = slot_of(v, text);
    if (slot->text.data)
        return slot;
    const char *kept = arena_copy_text(v->memory, text);
    score *scores = ARENA_NEW(v->memory, score, v->q->target_count);
    if (!kept || !scores)
        return NULL;
    *slot = (asked_text){.text = {kept, text.size}, .scores = scores};
    v->count++;
    return slot;
}

/* ---- asking ---- */

static tkr_status read_scores(const external_variants *v, const pass *p, size_t sequence, asked_text *slot, tkr_error *error)
{
    const question *q = v->q;
    for (size_t t = 0; t < q->target_count; t++) {
        const target *wanted = &q->targets[t];
        slot->scores[t] = (score){.value = target_value(q, wanted, p, sequence),
                                  .probability = target_probability(q, wanted, p, sequence),
                                  .answer = target_answer(q, wanted, p, sequence)};
        if (isfinite(slot->scores[t].value))
            continue;
        fail(error, TKR_E_INPUT_SCORER, "measure %s of %s is not finite for the text %s", measure_id(wanted->measure),
             QUOTE(view_of(wanted->label)), QUOTE(slot->text));
        fail_help(error, "--measure score");
        return TKR_E_INPUT_SCORER;
    }
    slot->is_known = true;
    return TKR_OK;
}

/* How far it got is worth knowing where asking is dear. */
static tkr_status tell_answered(const external_variants *v, tkr_error *error)
{
    if (error->code != TKR_E_CANCELLED)
        fail_facts(error, "%llu texts were scored before", (unsigned long long)v->answered);
    return error->code;
}

static tkr_status ask(external_variants *v, asked_text *const *fresh, size_t count, tkr_error *error)
{
    for (size_t i = 0; i < count; i++)
        v->pass->texts[i] = fresh[i]->text.data;
    v->pass->text_count = count;
    tkr_status status = pass_forward(v->pass, error);
    for (size_t i = 0; !status && i < count; i++)
        status = read_scores(v, v->pass, i, fresh[i], error);
    if (status)
        return tell_answered(v, error);
    v->answered += count;
    return TKR_OK;
}

/* ---- making ---- */

/* Where words are drawn a stretch is a word, else a whole feature. */
static tkr_status fill_instead(external_variants *v, tkr_error *error)
{
    const char *placeholder = placeholders[v->q->removal];
    if (v->q->removal == REMOVAL_MLM) {
        v->mlm = replacement_new(v->q, error);
        v->drawn = v->mlm ? arena_new(SIZE_MAX) : NULL;
        return v->drawn ? TKR_OK : v->mlm ? fail_memory(error, "drawn words", 0) : error->code;
    }
    if (!placeholder && v->q->removal != REMOVAL_RANDOM)
        return TKR_OK;
    v->instead = ARENA_NEW(v->memory, view, v->stretch_count);
    for (size_t s = 0; v->instead && s < v->stretch_count; s++)
        v->instead[s] = view_of(placeholder);
    return v->instead ? TKR_OK : fail_memory(error, "what replaces words", v->stretch_count);
}

static tkr_status prepare(external_variants *v, tkr_error *error)
{
    const question *q = v->q;
    pass_shape shape = question_shape(q, EXTERNAL_TEXTS, false);
    stretch_unit unit = removal_is_random(q->removal) ? STRETCH_WORDS : STRETCH_FEATURES;
    tkr_status status = stretches_find(q, unit, v->memory, &v->stretches, &v->stretch_count, error);
    if (!status)
        status = fill_instead(v, error);
    if (!status && !(v->pass = pass_new(q->session, &shape, error)))
        status = error->code;
    if (!status)
        status = make_room(v, 1, error);
    if (status)
        return status;
    asked_text *whole = enter(v, q->texts[0]);
    v->answered = 1;
    return whole ? read_scores(v, q->clean, 0, whole, error) : fail_memory(error, "remembered texts", q->texts[0].size);
}

external_variants *external_variants_new(const question *q, tkr_error *error)
{
    external_variants *v = NEW(external_variants, 1);
    if (!v || !(v->memory = arena_new(SIZE_MAX))) {
        external_variants_free(v);
        return fail_memory(error, "variants", sizeof *v), NULL;
    }
    v->q = q;
    if (prepare(v, error) == TKR_OK)
        return v;
    external_variants_free(v);
    return NULL;
}

/* ---- a list ---- */

/* Other words of the corpus for all words, whatever is removed: common random numbers. */
static void draw_words(external_variants *v, uint32_t draw)
{
    const question *q = v->q;
    const token_counts *counts = q->session->counts;
    random_key key = {.seed = q->session->options.seed, .purpose = random_purpose("removal random"), .item = draw};
    for (size_t s = 0; s < v->stretch_count; s++) {
        view own = view_slice(q->texts[0], (size_t)v->stretches[s].begin, (size_t)v->stretches[s].end);
        size_t number = word_list_find(counts->words, own);
        int32_t except = number == SIZE_MAX ? -1 : (int32_t)number;
        v->instead[s] = word_list_at(counts->words, (size_t)token_counts_draw(counts, except, random_unit(key, s)));
    }
}

/* Texts of a masked language model's words. */
static tkr_status enter_drawn(external_variants *v, const variant *list, size_t count, asked_text **slots, tkr_error *error)
{
    tkr_status status = make_room(v, count, error);
    for (size_t begin = 0, now; !status && begin < count; begin += now) {
        now = count - begin < DRAWN_AT_ONCE ? count - begin : DRAWN_AT_ONCE;
        arena_reset(v->drawn);
        replaced *made = ARENA_NEW(v->drawn, replaced, now);
        status = made ? replacement_make(v->mlm, list + begin, now, v->drawn, made, error) : fail_memory(error, "drawn words", now);
        for (size_t i = 0; !status && i < now; i++)
            if (!(slots[begin + i] = enter(v, made[i].text)))
                status = fail_memory(error, "the texts of variants", made[i].text.size);
    }
    return status;
}

/* The text of each variant, entered into the table. */
static tkr_status enter_all(external_variants *v, const variant *list, size_t count, asked_text **slots, tkr_error *error)
{
    if (v->mlm)
        return enter_drawn(v, list, count, slots, error);
    buffer text;
    buffer_init(&text, SIZE_MAX);
    tkr_status status = make_room(v, count, error);
    for (size_t i = 0; !status && i < count; i++) {
        buffer_clear(&text);
        if (v->q->removal == REMOVAL_RANDOM)
            draw_words(v, list[i].draw);
        variant_text(v->q, 0, v->stretches, v->stretch_count, list[i].mask, v->instead, &text, NULL);
        view made = text.size ? buffer_as_view(&text) : view_of("");
        slots[i] = buffer_ok(&text) ? enter(v, made) : NULL;
        if (!slots[i])
            status = fail_memory(error, "the texts of variants", made.size);
    }
    buffer_fini(&text);
    return status;
}

tkr_status external_variants_run(external_variants *v, const char *phase, const variant *list, size_t count, score *out, tkr_error *error)
{
    const size_t targets = v->q->target_count;
    asked_text **slots = NEW(asked_text *, count), *fresh[EXTERNAL_TEXTS];
    tkr_status status = slots ? enter_all(v, list, count, slots, error) : fail_memory(error, "variants", count);
    size_t waiting = 0;
    for (size_t i = 0; !status && i < count; i++) {
        bool is_listed = slots[i]->is_known;
        for (size_t k = 0; k < waiting; k++)
            is_listed = is_listed || fresh[k] == slots[i];
        if (!is_listed)
            fresh[waiting++] = slots[i];
        if (waiting < EXTERNAL_TEXTS && (i + 1 < count || waiting == 0))
            continue;
        status = session_tell(v->q->session, phase, "evaluations", i + 1 - waiting, count, error);
        if (!status)
            status = ask(v, fresh, waiting, error);
        waiting = 0;
    }
    if (!status)
        status = session_tell(v->q->session, phase, "evaluations", count, count, error);
    for (size_t i = 0; !status && i < count; i++)
        memcpy(out + i * targets, slots[i]->scores, targets * sizeof *out);
    memory_free(slots);
    return status;
}
