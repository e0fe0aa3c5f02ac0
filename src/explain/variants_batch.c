/*
 * Laying out a batch of variants.  A sequence holds the rows of a line that are computed for it; what comes before them is in
 * earlier sequences (prefix: lines are sorted, so a line has the most in common with the one before it, and the path to its rows
 * is at hand), or is the source of an earlier one.
 */
#include "explain/variants_batch.h"

#include "base/failure.h"
#include "base/memory.h"

/* ---- what may be shared ---- */

/* Removals with one thing for each place. */
static bool is_fixed_removal(removal r) { return r != REMOVAL_DELETE && !removal_is_random(r); }

static tkr_status number_rows(sharing *s, const question *q, tkr_error *error)
{
    s->changed_row = ARENA_NEW(q->arena, uint32_t, q->length);
    if (!s->changed_row)
        return fail_memory(error, "the rows of variants", q->length);
    s->distinct = q->length;
    for (size_t i = 0; i < q->length; i++)
        s->changed_row[i] = variants_touch(q, i) && q->removal != REMOVAL_ATTN ? (uint32_t)s->distinct++ : (uint32_t)i;
    return TKR_OK;
}

static void need_output(sharing *s, int32_t output)
{
    size_t i = 0;
    while (i < s->output_count && s->outputs[i] != output)
        i++;
    if (output >= 0 && i == s->output_count)
        s->outputs[s->output_count++] = output;
}

static bool needs_few(measure m) { return m == MEASURE_LOGIT || m == MEASURE_MARGIN; }

/* The logits that the targets are made of, if they are few. */
static tkr_status choose_outputs(sharing *s, const question *q, tkr_error *error)
{
    enum { WORTH = 8 };
    size_t terms = 0;
    for (size_t t = 0; t < q->target_count; t++)
        terms += q->targets[t].term_count;
    bool is_few = q->outputs_width == model_outputs(q->model) && 4 * terms * WORTH <= q->outputs_width;
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t k = 0; k < q->targets[t].term_count; k++)
            is_few = is_few && needs_few(q->targets[t].terms[k].f.measure);
    if (!is_few)
        return TKR_OK;
    s->outputs = ARENA_NEW(q->arena, int32_t, 4 * terms);
    if (!s->outputs)
        return fail_memory(error, "logits", 4 * terms);
    for (size_t t = 0; t < q->target_count; t++)
        for (size_t k = 0; k < q->targets[t].term_count; k++) {
            const measured *f = &q->targets[t].terms[k].f;
            bool has_rivals = f->measure == MEASURE_MARGIN;
            need_output(s, f->a);
            need_output(s, f->foil);
            need_output(s, has_rivals ? f->rival : -1);
            need_output(s, has_rivals && f->foil >= 0 ? f->foil_rival : -1);
        }
    return TKR_OK;
}

/* All but the logits, which a question has targets for first. */
static tkr_status share_rows(sharing *s, const question *q, tkr_error *error)
{
    const unsigned without = q->session->unshared;
    const family_shape shape = model_shape(q->model);
    *s = (sharing){.prefix = shape == FAMILY_DECODER && !(without & SHARE_PREFIX),
                   .source = shape == FAMILY_ENCODER_DECODER && !(without & SHARE_SOURCE),
                   .rows = q->model->family->shape == FAMILY_ENCODER && is_fixed_removal(q->removal) && !(without & SHARE_ROWS),
                   .hidden = q->removal == REMOVAL_ATTN && !(without & SHARE_HIDDEN)};
    return s->rows ? number_rows(s, q, error) : TKR_OK;
}

tkr_status sharing_init(sharing *s, const question *q, tkr_error *error)
{
    tkr_status status = share_rows(s, q, error);
    return !status && !(q->session->unshared & SHARE_HEAD) ? choose_outputs(s, q, error) : status;
}

/* Whole rows of logits are large: of a few more variants than fit without sharing. */
static size_t most_reads(const sharing *s, const question *q)
{
    enum { MOST = 4, ROWS_EACH = 3 };
    size_t factor = s->prefix ? q->length / (ROWS_EACH * q->reads) : 1;
    return factor < 1 ? 1 : factor < MOST ? factor : MOST;
}

size_t sharing_most_variants(const sharing *s, const question *q, size_t sequences, score_wish wish)
{
    enum { MOST = 16 };
    bool is_light = s->prefix && s->outputs && wish == SCORE_VALUE;
    return sequences * (is_light ? MOST : most_reads(s, q));
}

/* ---- what a line has in common with the one before ---- */

static bool is_same_row(const variant_row *a, const variant_row *b)
{
    return a->id == b->id && a->type == b->type && a->position == b->position && a->flags == b->flags;
}

uint32_t sharing_common(const sharing *s, const variant_line *before, const variant_line *line)
{
    uint32_t common = 0, most = before->length < line->length ? before->length : line->length;
    if (!s->prefix && (!s->source || before->source != line->source))
        return 0;
    if (s->source)
        most = line->source;
    while (common < most && is_same_row(&before->rows[common], &line->rows[common]))
        common++;
    return s->source && common < most ? 0 : common;
}

/* ---- the layout ---- */

enum { NO_SEQUENCE = UINT32_MAX };

typedef struct layout {
    const variant_line *lines;
    size_t count, sequences, rows;
    uint32_t *line, *first;  /* [sequences] whose rows, from which on */
    uint32_t *lengths, *output_lengths, *keys, *source_of, *targets; /* [sequences] */
    int32_t *path;           /* rows of the batch that the last line is made of */
    uint32_t *read_rows;     /* [count][reads] rows of the batch, then rows of logits */
    bool shares, is_whole;
} layout;

static bool layout_new(layout *l, const question *q, const sharing *s, arena *a)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < l->count; i++)
        longest = l->lines[i].length > longest ? l->lines[i].length : longest;
    l->line = ARENA_NEW(a, uint32_t, l->count);
    l->first = ARENA_NEW(a, uint32_t, l->count);
    l->lengths = ARENA_NEW(a, uint32_t, l->count);
    l->output_lengths = ARENA_NEW(a, uint32_t, l->count);
    l->keys = ARENA_NEW(a, uint32_t, l->count);
    l->source_of = ARENA_NEW(a, uint32_t, l->count);
    l->targets = ARENA_NEW(a, uint32_t, l->count);
    l->path = ARENA_NEW(a, int32_t, longest);
    l->read_rows = s->prefix ? ARENA_NEW(a, uint32_t, l->count * q->reads) : NULL;
    l->is_whole = true;
    return !arena_failed(a);
}

/* Sequences, and along a path of rows where each line is read. */
static void lay_sequences(layout *l, const question *q, const sharing *s)
{
    for (size_t i = 0; i < l->count; i++) {
        const variant_line *line = &l->lines[i];
        uint32_t common = i > 0 ? sharing_common(s, line - 1, line) : 0, own = line->length - common;
        l->shares = l->shares || common > 0;
        l->is_whole = l->is_whole && line->length == q->length;
        if (own > 0 || !s->prefix) {
            size_t at = l->sequences++;
            l->line[at] = (uint32_t)i;
            l->first[at] = common;
            l->lengths[at] = own;
            l->output_lengths[at] = line->length - line->source;
            l->keys[at] = line->length;
            l->source_of[at] = common > 0 ? l->source_of[at - 1] : (uint32_t)at;
        }
        for (uint32_t k = common; s->prefix && k < line->length; k++)
            l->path[k] = (int32_t)(l->rows + k - common);
        l->rows += own;
        for (size_t r = 0; s->prefix && r < q->reads; r++)
            l->read_rows[i * q->reads + r] = (uint32_t)l->path[line->reads[r]];
    }
}

/* Rows that are read, each once, in order; in read_rows rows of logits take the place of rows of the batch. */
static bool lay_targets(layout *l, const question *q, int32_t **target_rows, arena *a)
{
    uint32_t *number = ARENA_NEW(a, uint32_t, l->rows);
    int32_t *list = ARENA_NEW(a, int32_t, l->count * q->reads);
    if (!number || !list)
        return false;
    for (size_t i = 0; i < l->count * q->reads; i++)
        number[l->read_rows[i]] = 1;
    uint32_t count = 0;
    for (size_t s = 0, row = 0; s < l->sequences; s++)
        for (uint32_t k = 0; k < l->lengths[s]; k++, row++)
            if (number[row]) {
                l->targets[s]++;
                list[count] = (int32_t)row;
                number[row] = count++;
            }
    for (size_t i = 0; i < l->count * q->reads; i++)
        l->read_rows[i] = number[l->read_rows[i]];
    *target_rows = list;
    return true;
}

/* ---- the pass ---- */

static tkr_status replace_rows(void *user, const graph_node *site, real *rows, tkr_error *error)
{
    (void)error;
    const variants_batch *b = user;
    for (size_t r = 0; r < site->rows; r++)
        for (size_t i = 0; b->replaced[r] && i < site->width; i++)
            rows[r * site->width + i] = b->replacement ? b->replacement[i] : 0;
    return TKR_OK;
}

void variants_batch_drop(variants_batch *b)
{
    pass_free(b->pass);
    b->pass = NULL;
    b->replaced = NULL;
    b->plain = 0;
}

static bool replaces(const question *q) { return q->removal == REMOVAL_ZERO || q->removal == REMOVAL_MEAN; }

static tkr_status new_pass(variants_batch *b, const pass_shape *shape, tkr_error *error)
{
    variants_batch_drop(b);
    b->pass = pass_new(b->q->session, shape, error);
    if (!b->pass)
        return error->code;
    if (!replaces(b->q))
        return TKR_OK;
    size_t rows = shape->distinct ? shape->distinct : b->pass->batch.rows;
    b->replaced = ARENA_NEW(b->pass->arena, uint8_t, rows);
    return b->replaced ? pass_intervene(b->pass, "word", replace_rows, b, error) : fail_memory(error, "a batch", rows);
}

/* One of the rows that embeddings are looked up for. */
static void put_row(variants_batch *b, size_t at, const variant_row *row)
{
    batch *to = &b->pass->batch;
    to->ids[at] = row->id;
    to->types[at] = row->type;
    to->positions[at] = row->position;
    if (b->replaced)
        b->replaced[at] = (row->flags & ROW_REPLACED) != 0;
}

static void fill_rows(variants_batch *b, const layout *l)
{
    batch *to = &b->pass->batch;
    for (size_t s = 0; s < l->sequences; s++) {
        const variant_row *own = l->lines[l->line[s]].rows + l->first[s];
        for (uint32_t k = 0; k < l->lengths[s]; k++) {
            size_t at = to->begin[s] + k;
            if (to->spread) {
                to->spread[at] = (int32_t)(own[k].flags & ROW_CHANGED ? b->sharing->changed_row[own[k].token] : own[k].token);
                put_row(b, (size_t)to->spread[at], &own[k]);
            } else {
                put_row(b, at, &own[k]);
            }
            if (to->hidden && !to->key_rows)
                to->hidden[at] = (own[k].flags & ROW_HIDDEN) != 0;
        }
    }
}

/* The keys of each sequence: along the path to its own rows, and these. */
static void fill_keys(variants_batch *b, const layout *l)
{
    batch *to = &b->pass->batch;
    for (size_t s = 0; s < l->sequences; s++) {
        const variant_line *line = &l->lines[l->line[s]];
        for (uint32_t k = l->first[s]; k < line->length; k++)
            l->path[k] = (int32_t)(to->begin[s] + k - l->first[s]);
        memcpy(to->key_rows + to->key_begin[s], l->path, line->length * sizeof *l->path);
        for (uint32_t k = 0; to->hidden && k < line->length; k++)
            to->hidden[to->key_begin[s] + k] = (line->rows[k].flags & ROW_HIDDEN) != 0;
    }
}

static void fill_targets(variants_batch *b, const layout *l)
{
    batch *to = &b->pass->batch;
    for (size_t s = 0; s < l->sequences; s++) {
        const variant_line *line = &l->lines[l->line[s]];
        for (size_t r = 0; r < b->q->reads; r++)
            to->target_rows[to->target_begin[s] + r] = batch_head_row(to, s, line->reads[r] - l->first[s]);
    }
}

static pass_shape shape_of(const variants_batch *b, const layout *l, score_wish wish)
{
    const sharing *s = b->sharing;
    pass_shape shape = question_shape(b->q, l->sequences, false);
    shape.hides = b->q->removal == REMOVAL_ATTN;
    shape.lengths = l->lengths;
    shape.output_lengths = shape.output_length ? l->output_lengths : NULL;
    shape.keys = s->prefix ? l->keys : NULL;
    shape.targets = s->prefix ? l->targets : NULL;
    shape.source_of = s->source && l->shares ? l->source_of : NULL;
    shape.distinct = s->rows && l->rows > s->distinct ? s->distinct : 0;
    shape.longest = s->hidden && !l->is_whole ? b->q->length : 0;
    if (wish == SCORE_VALUE && s->outputs) {
        shape.wish.outputs = s->outputs;
        shape.wish.output_count = s->output_count;
    }
    return shape;
}

tkr_status variants_batch_fill(variants_batch *b, const variant_line *lines, size_t count, score_wish wish, arena *a, tkr_error *error)
{
    const sharing *s = b->sharing;
    layout l = {.lines = lines, .count = count};
    int32_t *target_rows = NULL;
    if (!layout_new(&l, b->q, s, a))
        return fail_memory(error, "the layout of a batch", count);
    lay_sequences(&l, b->q, s);
    if (s->prefix && !lay_targets(&l, b->q, &target_rows, a))
        return fail_memory(error, "the layout of a batch", l.rows);
    pass_shape shape = shape_of(b, &l, wish);
    bool is_plain = l.is_whole && !s->prefix && !shape.source_of, has_all = !shape.wish.outputs;
    tkr_status status = TKR_OK;
    if (!is_plain || b->plain != count || b->has_all_outputs != has_all)
        status = new_pass(b, &shape, error);
    if (status)
        return status;
    b->plain = is_plain ? count : 0;
    b->has_all_outputs = has_all;
    fill_rows(b, &l);
    if (!s->prefix) {
        fill_targets(b, &l);
        return TKR_OK;
    }
    fill_keys(b, &l);
    memcpy(b->pass->batch.target_rows, target_rows, b->pass->batch.targets * sizeof *target_rows);
    b->pass->logit_rows = l.read_rows;
    return TKR_OK;
}

pass *variants_batch_largest(const question *q, size_t sequences, tkr_error *error)
{
    sharing s;
    if (share_rows(&s, q, error))
        return NULL;
    uint32_t *numbers = NEW(uint32_t, 2 * sequences);
    if (!numbers)
        return fail_memory(error, "a batch", sequences), NULL;
    pass_shape shape = question_shape(q, sequences, false);
    shape.hides = q->removal == REMOVAL_ATTN;
    for (size_t i = 0; i < sequences; i++) {
        numbers[i] = (uint32_t)q->length;
        numbers[sequences + i] = (uint32_t)(most_reads(&s, q) * q->reads);
    }
    shape.keys = s.prefix ? numbers : NULL;
    shape.targets = s.prefix ? numbers + sequences : NULL;
    shape.distinct = s.rows && sequences * q->length > s.distinct ? s.distinct : 0;
    shape.longest = s.hidden ? q->length : 0;
    pass *p = pass_new(q->session, &shape, error);
    memory_free(numbers);
    return p;
}
