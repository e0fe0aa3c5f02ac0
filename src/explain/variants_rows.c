/*
 * Rows of variants.  Known to go wrong: position ids are those of the input as it was asked, whatever a removal puts in or
 * leaves out (RoBERTa's do not count padding); only `delete` closes up, and texts that were made anew.  A decoder whose read
 * row is deleted answers from the last row that is left before it.
 */
#include "explain/variants_rows.h"

#include "base/failure.h"

enum { GROUP_ROWS = 1 << 17 };

/* A question's rows as the lines of its variants begin from. */
typedef struct writer {
    const question *q;
    const int32_t *positions; /* [length] of the input as it was asked */
    int32_t id;               /* what is put in; -1: the id stays      */
    bool leaves_out;
    bool *is_read;            /* [length] */
} writer;

size_t variants_group(const question *q) { return q->length < GROUP_ROWS ? GROUP_ROWS / q->length : 1; }

bool variants_touch(const question *q, size_t token)
{
    return q->feature_of[token] != UINT32_MAX && !q->token_fixed[token];
}

bool variants_remove(const question *q, const uint64_t *mask, size_t token)
{
    return variants_touch(q, token) && !set_has(mask, q->feature_of[token]);
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
    case REMOVAL_RANDOM:
    case REMOVAL_MLM:
    case REMOVAL_COUNT: break;
    }
    return -1;
}

/* Counted from 0 in each of two stacks. */
static void number_positions(const question *q, const int32_t *ids, size_t length, size_t source, int32_t *positions)
{
    if (model_shape(q->model) != FAMILY_ENCODER_DECODER) {
        model_positions(q->model, ids, length, positions);
        return;
    }
    for (size_t i = 0; i < length; i++)
        positions[i] = (int32_t)(i < source ? i : i - source);
}

static bool has_source(const question *q) { return model_shape(q->model) == FAMILY_ENCODER_DECODER; }

/* Removals that put something in the same place, or hide it. */
static void write_same_places(const writer *w, const uint64_t *mask, variant_row *rows, uint32_t *reads, variant_line *line)
{
    const question *q = w->q;
    const bool hides = q->removal == REMOVAL_ATTN, replaces = q->removal == REMOVAL_ZERO || q->removal == REMOVAL_MEAN;
    size_t source = has_source(q) ? q->input_length : q->length, read = 0;
    for (size_t i = 0; i < q->length; i++) {
        bool removed = variants_remove(q, mask, i);
        if (removed && hides && w->leaves_out && !w->is_read[i] && i < source)
            continue;
        variant_row *row = &rows[line->length++];
        *row = (variant_row){.id = removed && w->id >= 0 ? w->id : q->ids[i], .type = q->types[i], .position = w->positions[i],
                             .token = (uint32_t)i};
        row->flags = !removed ? 0 : hides ? ROW_HIDDEN : replaces ? ROW_CHANGED | ROW_REPLACED : ROW_CHANGED;
        line->source += has_source(q) && i < source;
        if (read < q->reads && q->read_positions[read] == i)
            reads[read++] = line->length - 1;
    }
}

static void write_deleted(const writer *w, const uint64_t *mask, variant_row *rows, int32_t *room, uint32_t *reads, variant_line *line)
{
    const question *q = w->q;
    int32_t *ids = room, *positions = room + q->length;
    size_t read = 0;
    for (size_t i = 0; i < q->length; i++) {
        if (!variants_remove(q, mask, i)) {
            ids[line->length] = q->ids[i];
            rows[line->length++] = (variant_row){.id = q->ids[i], .type = q->types[i], .token = (uint32_t)i};
            line->source += has_source(q) && i < q->input_length;
        }
        if (read < q->reads && q->read_positions[read] == i)
            reads[read++] = line->length > 0 ? line->length - 1 : 0;
    }
    number_positions(q, ids, line->length, line->source, positions);
    for (size_t i = 0; i < line->length; i++)
        rows[i].position = positions[i];
}

/* What a random removal made. */
static tkr_status write_replaced(const writer *w, const replaced *from, arena *a, uint32_t *reads, variant_line *line, tkr_error *error)
{
    const question *q = w->q;
    variant_row *rows = ARENA_NEW(a, variant_row, from->length);
    int32_t *positions = ARENA_NEW(a, int32_t, from->length);
    if (!rows || !positions)
        return fail_memory(error, "the rows of a variant", from->length);
    size_t source = has_source(q) ? from->length - (q->length - q->input_length) : 0;
    if (from->is_aligned)
        memcpy(positions, w->positions, from->length * sizeof *positions);
    else
        number_positions(q, from->ids, from->length, source, positions);
    for (size_t i = 0; i < from->length; i++)
        rows[i] = (variant_row){.id = from->ids[i], .type = from->types[i], .position = positions[i], .token = (uint32_t)i};
    for (size_t r = 0; r < q->reads; r++)
        reads[r] = from->is_aligned ? q->read_positions[r] : from->reads[r];
    line->rows = rows;
    line->length = (uint32_t)from->length;
    line->source = (uint32_t)source;
    return TKR_OK;
}

static tkr_status write_random(const writer *w, const variant *list, size_t count, replacement *drawn, arena *a, uint32_t *reads,
                               variant_line *out, tkr_error *error)
{
    replaced *made = ARENA_NEW(a, replaced, count);
    tkr_status status = made ? replacement_make(drawn, list, count, a, made, error) : fail_memory(error, "variants", count);
    for (size_t i = 0; !status && i < count; i++)
        status = write_replaced(w, &made[i], a, reads + i * w->q->reads, &out[i], error);
    return status;
}

static bool writer_init(writer *w, arena *a)
{
    const question *q = w->q;
    int32_t *positions = ARENA_NEW(a, int32_t, q->length);
    w->is_read = ARENA_NEW(a, bool, q->length);
    if (!positions || !w->is_read)
        return false;
    number_positions(q, q->ids, q->length, q->input_length, positions);
    for (size_t r = 0; r < q->reads; r++)
        w->is_read[q->read_positions[r]] = true;
    w->positions = positions;
    return true;
}

tkr_status variants_lines(const question *q, const variant *list, size_t count, bool leaves_out, replacement *drawn, arena *a,
                          variant_line *out, tkr_error *error)
{
    writer w = {.q = q, .id = replacement_id(q), .leaves_out = leaves_out};
    uint32_t *reads = ARENA_NEW(a, uint32_t, count * q->reads);
    int32_t *room = ARENA_NEW(a, int32_t, 2 * q->length);
    variant_row *rows = drawn ? NULL : arena_alloc(a, count * q->length, sizeof *rows);
    if (!reads || !room || (!rows && !drawn) || !writer_init(&w, a))
        return fail_memory(error, "the rows of variants", count);
    for (size_t i = 0; i < count; i++)
        out[i] = (variant_line){.reads = reads + i * q->reads, .index = (uint32_t)i};
    if (drawn)
        return write_random(&w, list, count, drawn, a, reads, out, error);
    for (size_t i = 0; i < count; i++) {
        variant_row *at = rows + i * q->length;
        out[i].rows = at;
        if (q->removal == REMOVAL_DELETE)
            write_deleted(&w, list[i].mask, at, room, reads + i * q->reads, &out[i]);
        else
            write_same_places(&w, list[i].mask, at, reads + i * q->reads, &out[i]);
    }
    return TKR_OK;
}
