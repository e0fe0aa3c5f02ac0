/*
 * Designs (methods.md 4.5); W(s) = (p - 1) / (s (p - s)) is the Shapley kernel's weight of all pairs of sizes s and p - s, half of
 * it when these are one size.
 *
 *   leverage  (Musco and Witter 2025) one stratum a size, each without replacement, in the order that keeps their numbers equal
 *             until a size is used up: the next pair goes to the open stratum that has the fewest for its share.  That is the
 *             rule min(c, C(p, s)) for every budget at once, so the beginnings of the list are leverage designs.
 *   sizes     (Covert and Lee 2021) size with probability W(s), set uniform, with replacement: one stratum.
 *   compat    sizes complete from the outside in while the budget allows, the rest as before by W(s) and with repetitions, which
 *             cost nothing (shap's KernelExplainer).
 *
 * Pairs of size p / 2 are named by the member with the last player, so none comes twice.  Ranks are drawn while they fit 62 bits,
 * else sets; a hash table finds repetitions.  Where a removal is random a stratum that is used up begins anew, and nothing is
 * ever complete.
 */
#include "explain/coalitions.h"

#include <string.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "explain/sampling.h"

enum { SETS_AT_ONCE = 4096 };

/* ---- sets of one size ---- */

uint64_t coalition_count(size_t players, size_t size)
{
    if (size > players)
        return 0;
    uint64_t count = 1, k = size < players - size ? size : players - size;
    for (uint64_t i = 1; i <= k; i++) { /* count * m / i is whole: C(p - k + i, i) */
        uint64_t m = players - k + i, whole = count / i, rest = count % i;
        if (whole > COALITIONS_MANY / m)
            return COALITIONS_MANY;
        count = whole * m + rest * m / i;
        if (count >= COALITIONS_MANY)
            return COALITIONS_MANY;
    }
    return count;
}

uint64_t coalition_all(size_t players) { return players < 62 ? (UINT64_C(1) << players) - 2 : COALITIONS_MANY; }

void coalition_unrank(size_t size, uint64_t rank, uint64_t *set)
{
    size_t top = size; /* the largest player is at least size - 1; find it by doubling */
    while (coalition_count(top, size) <= rank)
        top *= 2;
    for (size_t left = size; left > 0; left--) {
        uint64_t below = 0;
        do
            below = coalition_count(--top, left);
        while (below > rank);
        rank -= below;
        set_add(set, top);
    }
}

void coalition_draw(random_key key, uint64_t *index, size_t players, size_t size, uint64_t *set)
{
    for (size_t last = players - size; last < players; last++) { /* R. Floyd: one draw a member */
        size_t i = random_below(key, (*index)++, (uint32_t)(last + 1));
        set_add(set, set_has(set, i) ? last : i);
    }
}

/* Uniform below a bound of at most 2^62. */
static uint64_t below(random_key key, uint64_t *index, uint64_t bound)
{
    uint64_t mask = bound - 1;
    for (unsigned shift = 1; shift < 64; shift *= 2)
        mask |= mask >> shift;
    for (;;) {
        uint64_t high = random_u32(key, (*index)++), low = random_u32(key, (*index)++);
        uint64_t number = (high << 32 | low) & mask;
        if (number < bound)
            return number;
    }
}

/* ---- sets that were drawn ---- */

typedef struct maker {
    coalition_design *d;
    const game *g;
    size_t capacity;       /* pairs that fit                        */
    size_t asked, most;    /* evaluations of pairs                  */
    uint32_t *table;       /* [slots] row + 1 of a set, 0: free     */
    size_t slots;
    uint64_t *index;       /* [strata] where each stream is         */
    size_t *drawn;         /* [strata] pairs                        */
    size_t *round;         /* [strata] row where the round began    */
} maker;

static uint64_t *row_set(const coalition_design *d, size_t row) { return d->sets + row * d->words; }

/* The slot of a set: its own or a free one. */
static uint32_t *slot_of(const maker *m, const uint64_t *set)
{
    size_t bytes = m->d->words * sizeof *set, at = (size_t)hash_bytes(set, bytes) & (m->slots - 1);
    while (m->table[at] && memcmp(row_set(m->d, m->table[at] - 1), set, bytes) != 0)
        at = (at + 1) & (m->slots - 1);
    return m->table + at;
}

static bool is_middle(const coalition_design *d, size_t size) { return 2 * size == d->players; }

static double size_weight(const coalition_design *d, size_t s)
{
    return (double)(d->players - 1) / ((double)s * (double)(d->players - s)) / (is_middle(d, s) ? 2 : 1);
}

static uint64_t size_pairs(const coalition_design *d, size_t s)
{
    return is_middle(d, s) ? coalition_count(d->players - 1, s - 1) : coalition_count(d->players, s);
}

/* A pair of a size at random: its smaller member, of two equal ones that with the last player. */
static void draw_pair(const coalition_design *d, random_key key, uint64_t *index, size_t size, uint64_t *set)
{
    bool middle = is_middle(d, size);
    size_t players = d->players - middle, members = size - middle;
    uint64_t count = coalition_count(players, members);
    set_clear(set, d->players);
    if (middle)
        set_add(set, d->players - 1);
    if (count < COALITIONS_MANY)
        coalition_unrank(members, below(key, index, count), set);
    else
        coalition_draw(key, index, players, members, set);
}

/* The set behind the last row becomes one. */
static void add_row(maker *m, size_t stratum, size_t evaluations)
{
    coalition_design *d = m->d;
    m->asked += evaluations;
    d->stratum[d->pairs] = (uint32_t)stratum;
    d->asked[d->pairs++] = (uint32_t)m->asked;
}

/* One more row of a stratum of one size, without replacement. */
static void add_distinct(maker *m, size_t stratum)
{
    coalition_design *d = m->d;
    const coalition_stratum *s = d->strata + stratum;
    random_key key = {.seed = m->g->seed, .purpose = m->g->purpose, .item = (uint32_t)s->size};
    uint64_t *set = row_set(d, d->pairs);
    if (m->drawn[stratum] % s->pairs == 0)
        m->round[stratum] = d->pairs;
    uint32_t *slot;
    do {
        draw_pair(d, key, &m->index[stratum], s->size, set);
        slot = slot_of(m, set);
    } while (*slot && *slot - 1 >= m->round[stratum]);
    add_row(m, stratum, 2);
    *slot = (uint32_t)d->pairs;
    m->drawn[stratum]++;
}

/* ---- the designs ---- */

static void add_stratum(coalition_design *d, size_t size, const game *g)
{
    d->strata[d->stratum_count++] = (coalition_stratum){
        .size = size, .weight = size_weight(d, size), .pairs = size_pairs(d, size), .is_finite = !g->is_random};
}

static bool is_open(const maker *m, size_t stratum)
{
    return m->g->is_random || m->drawn[stratum] < m->d->strata[stratum].pairs;
}

static void make_leverage(maker *m)
{
    coalition_design *d = m->d;
    for (size_t s = 1; 2 * s <= d->players; s++)
        add_stratum(d, s, m->g);
    while (m->asked + 2 <= m->most) {
        size_t next = d->stratum_count, least = SIZE_MAX;
        for (size_t i = 0; i < d->stratum_count; i++) {
            size_t rank = (2 * m->drawn[i] + 1) * (is_middle(d, d->strata[i].size) ? 2 : 1);
            if (is_open(m, i) && rank < least) {
                next = i;
                least = rank;
            }
        }
        if (next == d->stratum_count)
            return;
        add_distinct(m, next);
    }
}

/* A stratum of all sizes from `first` on: size by weight, set uniform, with replacement.  is_compat: a pair that was asked for
 * already costs nothing. */
static void add_mixed(maker *m, size_t first, bool is_compat)
{
    coalition_design *d = m->d;
    size_t stratum = d->stratum_count++;
    double total = 0;
    for (size_t s = first; 2 * s <= d->players; s++)
        total += size_weight(d, s);
    d->strata[stratum] = (coalition_stratum){.weight = total};
    while (m->asked + 2 <= m->most && d->pairs < m->capacity) {
        random_key key = {.seed = m->g->seed, .purpose = m->g->purpose, .item = (uint32_t)d->pairs};
        uint64_t index = 0;
        double left = random_unit(key, index) * total;
        size_t s = first;
        while (2 * (s + 1) <= d->players && left >= size_weight(d, s))
            left -= size_weight(d, s++);
        draw_pair(d, key, &index, s, row_set(d, d->pairs));
        uint32_t *slot = slot_of(m, row_set(d, d->pairs));
        bool is_free = *slot && is_compat && !m->g->is_random;
        add_row(m, stratum, is_free ? 0 : 2);
        *slot = *slot ? *slot : (uint32_t)d->pairs;
    }
}

static void make_compat(maker *m)
{
    coalition_design *d = m->d;
    double left = 0;
    for (size_t s = 1; 2 * s <= d->players; s++)
        left += size_weight(d, s);
    size_t size = 1;
    for (; 2 * size <= d->players; size++) {
        double pairs = (double)size_pairs(d, size), budget = (double)((m->most - m->asked) / 2);
        if (budget * size_weight(d, size) / left < pairs * (1 - 1e-8) || budget < pairs)
            break;
        left -= size_weight(d, size);
        add_stratum(d, size, m->g);
        for (size_t i = 0; i < (size_t)pairs; i++)
            add_distinct(m, d->stratum_count - 1);
    }
    d->least = d->pairs + 2;
    if (2 * size <= d->players)
        add_mixed(m, size, true);
}

static bool maker_init(maker *m, coalition_design *d, const game *g, size_t samples, bool repeats)
{
    size_t strata = d->players / 2 + 1;
    *m = (maker){.d = d, .g = g, .most = samples, .capacity = samples / 2 * (repeats ? 4 : 1)};
    for (m->slots = 64; m->slots < 2 * m->capacity; m->slots *= 2)
        continue;
    d->sets = NEW(uint64_t, (m->capacity + 1) * d->words);
    d->stratum = NEW(uint32_t, m->capacity + 1);
    d->asked = NEW(uint32_t, m->capacity + 1);
    d->strata = NEW(coalition_stratum, strata);
    m->table = NEW(uint32_t, m->slots);
    m->index = NEW(uint64_t, strata);
    m->drawn = NEW(size_t, strata);
    m->round = NEW(size_t, strata);
    return d->sets && d->stratum && d->asked && d->strata && m->table && m->index && m->drawn && m->round;
}

static void maker_fini(maker *m)
{
    memory_free(m->table);
    memory_free(m->index);
    memory_free(m->drawn);
    memory_free(m->round);
}

tkr_status coalition_design_init(coalition_design *d, const game *g, kernel_design kind, size_t samples, tkr_error *error)
{
    uint64_t all = coalition_all(g->players);
    bool covers = samples >= all && !g->is_random;
    *d = (coalition_design){.players = g->players, .words = g->words, .is_complete = covers};
    samples = covers ? (size_t)all : samples < 2 ? 2 : samples;
    maker m;
    tkr_status status = maker_init(&m, d, g, samples, kind == KERNEL_COMPAT && !covers)
                            ? TKR_OK
                            : fail_memory(error, "the sets of a regression", m.capacity * (d->words + 1) * sizeof(uint64_t));
    d->least = 2 * g->players;
    if (!status && (kind == KERNEL_LEVERAGE || covers))
        make_leverage(&m);
    else if (!status && kind == KERNEL_SIZES)
        add_mixed(&m, 1, false);
    else if (!status)
        make_compat(&m);
    maker_fini(&m);
    return status;
}

void coalition_design_fini(coalition_design *d)
{
    memory_free(d->sets);
    memory_free(d->stratum);
    memory_free(d->asked);
    memory_free(d->strata);
    *d = (coalition_design){0};
}

/* ---- asking ---- */

/* Room for one question. */
typedef struct question_room {
    uint64_t *sets;
    uint32_t *draws;
    double *values;
} question_room;

static tkr_status ask_block(const game *g, const coalition_rows *r, size_t begin, size_t count, const question_room *room, tkr_error *error)
{
    size_t each = r->is_paired ? 2 : 1;
    for (size_t k = 0; k < count; k++) {
        uint64_t *set = room->sets + each * k * g->words;
        memcpy(set, r->sets + (begin + k) * g->words, g->words * sizeof *set);
        if (r->is_paired)
            set_complement(set + g->words, set, g->players);
        for (size_t i = 0; i < each; i++)
            room->draws[each * k + i] = r->first_draw + (uint32_t)(begin + k);
    }
    double *values = r->is_paired ? room->values : r->values + begin * g->targets;
    tkr_status status = game_values(g, room->sets, room->draws, each * count, values, error);
    for (size_t k = 0; !status && r->is_paired && k < count; k++)
        for (size_t t = 0; t < g->targets; t++)
            r->values[(begin + k) * g->targets + t] = 0.5 * (values[2 * k * g->targets + t] - values[(2 * k + 1) * g->targets + t]);
    return status;
}

/* The next look after one at `done` rows: a quarter more, so that all looks together cost little. */
static size_t next_look(size_t done, size_t least)
{
    size_t further = done ? done + done / 4 + 1 : least;
    return (further + SAMPLING_STRIDE - 1) / SAMPLING_STRIDE * SAMPLING_STRIDE;
}

/* Rows of the next question: as many as fit, but none beyond the next look, and few where the clock is looked at. */
static size_t next_block(const game *g, const coalition_rows *r, size_t done, size_t look, size_t most)
{
    size_t count = r->count - done < most ? r->count - done : most;
    if (g->wanted_error > 0 && look - done < count)
        count = look - done;
    return g->seconds > 0 && count > SAMPLING_STRIDE ? SAMPLING_STRIDE : count;
}

static tkr_status ask_rows(const game *g, const coalition_rows *r, size_t most, const question_room *room, size_t *done, tkr_error *error)
{
    tkr_status status = TKR_OK;
    bool is_enough = false;
    size_t look = next_look(0, r->least);
    for (*done = 0; !status && *done < r->count && !is_enough;) {
        size_t count = next_block(g, r, *done, look, most);
        status = ask_block(g, r, *done, count, room, error);
        *done += count;
        if (!status && *done == look && *done < r->count && g->wanted_error > 0)
            status = r->look(r->user, *done, &is_enough, error);
        look = *done >= look ? next_look(*done, r->least) : look;
        is_enough = is_enough || game_is_late(g);
    }
    return status;
}

tkr_status coalitions_ask(const game *g, const coalition_rows *r, size_t *done, tkr_error *error)
{
    size_t each = r->is_paired ? 2 : 1, most = SETS_AT_ONCE / each < r->count ? SETS_AT_ONCE / each : r->count;
    question_room room = {.sets = NEW(uint64_t, each * most * g->words), .draws = NEW(uint32_t, each * most),
                          .values = NEW(double, each * most * g->targets)};
    tkr_status status = room.sets && room.draws && room.values ? ask_rows(g, r, most, &room, done, error)
                                                               : fail_memory(error, "a question of sets", most);
    memory_free(room.sets);
    memory_free(room.draws);
    memory_free(room.values);
    return status;
}
