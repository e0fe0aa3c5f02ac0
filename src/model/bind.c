/*
 * From stored tensors to weights.
 *
 * Known to go wrong: files saved from the bare encoder leave the prefix out, so it is decided once, from the word
 * embedding, and then demanded everywhere; old files call a norm's weight gamma and its bias beta; a tied decoder may be
 * stored or not; pooler and heads of another task are in many files and are no reason for a note.
 */
#include "model/bind.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "model/wildcard.h"

enum { OUR_NAME_ROOM = 96 };

typedef struct binder {
    const checkpoint *checkpoint;
    const family *family;
    const family_config *config;
    const char *prefix; /* of this file: the family's or "" */
} binder;

/* One tensor that is needed. */
typedef struct binding {
    char name[OUR_NAME_ROOM];
    const weight_row_def *row;
    size_t layer;
    bool is_prefixed, is_tied;
    const stored_tensor *tensor; /* NULL: not there */
} binding;

/* ---- names ------------------------------------------------------------------------------------------------------ */

/* prefix + name with "@" replaced by the layer; where the name has a "#" too, "@" is the layer's group and "#" its place there. */
static void expand(char *out, size_t room, const char *prefix, const char *name, size_t layer,
                   size_t group_layers)
{
    bool is_grouped = group_layers > 0 && strchr(name, '#');
    size_t outer = is_grouped ? layer / group_layers : layer, inner = is_grouped ? layer % group_layers : layer;
    size_t used = (size_t)snprintf(out, room, "%s", prefix);
    for (; *name && used + NUMBER_ROOM < room; name++)
        if (*name == '@' || *name == '#')
            used += (size_t)snprintf(out + used, room - used, "%zu", *name == '@' ? outer : inner);
        else
            out[used++] = *name;
    out[used] = '\0';
}

/* The name of a stored tensor as this file spells it. */
static void spell(const binder *b, char out[STORED_NAME_ROOM], const weight_row_def *row, bool is_prefixed,
                  size_t layer)
{
    expand(out, STORED_NAME_ROOM, is_prefixed ? b->prefix : "", row->stored, layer, b->config->group_layers);
}

/* "x.LayerNorm.weight" was once called "x.LayerNorm.gamma". */
static bool legacy_name(char name[STORED_NAME_ROOM])
{
    static const char *const spellings[2][2] = {{".LayerNorm.weight", ".LayerNorm.gamma"},
                                                {".LayerNorm.bias", ".LayerNorm.beta"}};
    size_t length = strlen(name);
    for (size_t i = 0; i < 2; i++) {
        size_t tail = strlen(spellings[i][0]);
        if (length > tail && strcmp(name + length - tail, spellings[i][0]) == 0) {
            snprintf(name + length - tail, STORED_NAME_ROOM - (length - tail), "%s", spellings[i][1]);
            return true;
        }
    }
    return false;
}

static const stored_tensor *find_stored(const binder *b, const char *prefix, const char *stored, size_t layer)
{
    char name[STORED_NAME_ROOM];
    if (!stored)
        return NULL;
    expand(name, sizeof name, prefix, stored, layer, b->config->group_layers);
    const stored_tensor *found = checkpoint_find(b->checkpoint, name);
    return found || !legacy_name(name) ? found : checkpoint_find(b->checkpoint, name);
}

static const stored_tensor *find_row(const binder *b, const char *prefix, const weight_row_def *row,
                                     size_t layer)
{
    const stored_tensor *found = find_stored(b, prefix, row->stored, layer);
    return found ? found : find_stored(b, prefix, row->also, layer);
}

static const weight_row_def *row_named(const weight_row_def *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    return rows->name ? rows : NULL;
}

/* The prefix this file uses: "" only when just the bare name of the word embedding is there. */
static binder new_binder(const checkpoint *c, const family *f, const family_config *config)
{
    binder b = {c, f, config, f->prefix};
    const weight_row_def *word = row_named(f->weights, "word");
    if (c && word && !find_row(&b, f->prefix, word, 0) && find_row(&b, "", word, 0))
        b.prefix = "";
    return b;
}

/* Is there such a tensor in a model of these numbers? */
static bool applies(const binder *b, const weight_row_def *row) { return !row->when || row->when(b->config); }

static bool is_tied(const binder *b, const weight_row_def *row)
{
    bool has_own = row->prefers_own && b->checkpoint && find_row(b, "", row, 0);
    return row->tied_to && b->config->ties_embeddings && !has_own;
}

static const stored_tensor *find_needed(const binder *b, const weight_row_def *row, bool is_prefixed,
                                        size_t layer)
{
    if (!is_tied(b, row))
        return find_row(b, is_prefixed ? b->prefix : "", row, layer);
    const weight_row_def *source = row_named(b->family->weights, row->tied_to);
    return source ? find_row(b, b->prefix, source, 0) : NULL;
}

/* ---- which head ------------------------------------------------------------------------------------------------- */

/* The first tensor of a head that is not there, as the file would spell it; false when all are. */
static bool lacks_tensor(const binder *b, const head *h, char name[STORED_NAME_ROOM])
{
    for (const weight_row_def *row = h->weights; row->name; row++)
        if (!row->is_optional && applies(b, row) && !find_needed(b, row, row->is_prefixed, 0)) {
            spell(b, name, row, row->is_prefixed, 0);
            return true;
        }
    return false;
}

static void list_abilities(const binder *b, char out[160])
{
    char name[STORED_NAME_ROOM];
    size_t used = 0;
    snprintf(out, 160, "hidden states");
    for (const head *const *h = b->family->heads; *h; h++)
        if (!lacks_tensor(b, *h, name) && used < 120)
            used += (size_t)snprintf(out + used, 160 - used, "%s%s", used ? ", " : "", (*h)->title);
}

static tkr_status refuse_head(const binder *b, const head *h, const char *lacking, tkr_error *error)
{
    char abilities[160];
    list_abilities(b, abilities);
    const char *title = h->task == TKR_TASK_SEQUENCE_CLASSIFICATION ? "classification" : h->title;
    fail(error, TKR_E_UNSUPPORTED_HEAD, "this folder has no %s head; it can do %s", title, abilities);
    fail_facts(error, "missing: %s", QUOTE(view_of(lacking)));
    fail_field(error, "task", -1, 0);
    return TKR_E_UNSUPPORTED_HEAD;
}

static tkr_status bind_wanted(const binder *b, tkr_task wanted, const head **out, tkr_error *error)
{
    char lacking[STORED_NAME_ROOM], first_lacking[STORED_NAME_ROOM];
    const head *first = NULL;
    for (const head *const *h = b->family->heads; *h; h++) {
        if ((*h)->task != wanted)
            continue;
        if (!b->checkpoint || !lacks_tensor(b, *h, lacking)) {
            *out = *h;
            return TKR_OK;
        }
        if (!first)
            memcpy(first_lacking, lacking, sizeof lacking);
        first = first ? first : *h;
    }
    if (first)
        return refuse_head(b, first, first_lacking, error);
    fail(error, TKR_E_UNSUPPORTED_HEAD, "%s has no head for the task asked for", b->family->title);
    fail_field(error, "task", -1, 0);
    return TKR_E_UNSUPPORTED_HEAD;
}

static tkr_status refuse_architecture(const family *f, const char *architecture, tkr_error *error)
{
    char known[480] = "";
    size_t used = 0;
    for (const head *const *h = f->heads; *h; h++)
        for (const char *const *name = (*h)->architectures; *name; name++)
            if (used + strlen(*name) + 3 < sizeof known)
                used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", *name);
    fail(error, TKR_E_UNSUPPORTED_HEAD,
         CONFIG_FILE ": architecture %s is not supported; for %s supported are %s",
         QUOTE(view_of(architecture)), f->title, known);
    return TKR_E_UNSUPPORTED_HEAD;
}

tkr_status bind_head(const checkpoint *c, const model_config *config, tkr_task wanted, const head **out,
                     tkr_error *error)
{
    const family *f = config->family;
    binder b = new_binder(c, f, &config->numbers);
    char lacking[STORED_NAME_ROOM];
    *out = NULL;
    if (wanted != TKR_TASK_NONE)
        return bind_wanted(&b, wanted, out, error);
    if (config->architecture) {
        *out = head_of_architecture(f, config->architecture);
        return *out || is_bare_architecture(config->architecture)
                   ? TKR_OK
                   : refuse_architecture(f, config->architecture, error);
    }
    for (const head *const *h = f->heads; c && *h && !*out; h++)
        *out = lacks_tensor(&b, *h, lacking) ? NULL : *h;
    return TKR_OK;
}

/* ---- what is needed --------------------------------------------------------------------------------------------- */

/* How many sets of weights a row of a table stands for. */
static size_t sets_of(const binder *b, const weight_row_def *row)
{
    const family_config *c = b->config;
    size_t layers = row->is_of_decoder ? c->decoder_layers
                    : c->groups        ? c->groups * c->group_layers
                                       : c->layers;
    bool is_there = applies(b, row) && (!row->is_of_decoder || c->decoder_layers > 0);
    return !is_there ? 0 : strchr(row->name, '@') ? layers : 1;
}

static size_t count_rows(const binder *b, const weight_row_def *rows)
{
    size_t count = 0;
    for (; rows && rows->name; rows++)
        count += sets_of(b, rows);
    return count;
}

static size_t list_rows(const binder *b, const weight_row_def *rows, bool of_head, binding *out)
{
    size_t count = 0;
    for (; rows && rows->name; rows++) {
        size_t layers = sets_of(b, rows);
        for (size_t layer = 0; layer < layers; layer++) {
            binding *one = &out[count++];
            expand(one->name, sizeof one->name, "", rows->name, layer, 0);
            one->row = rows;
            one->layer = layer;
            one->is_prefixed = !of_head || rows->is_prefixed;
            one->is_tied = is_tied(b, rows);
            one->tensor = find_needed(b, rows, one->is_prefixed, layer);
        }
    }
    return count;
}

static int compare_bindings(const void *left, const void *right)
{
    return strcmp(((const binding *)left)->name, ((const binding *)right)->name);
}

/* ---- checks ----------------------------------------------------------------------------------------------------- */

/* The prefix must be there everywhere or nowhere. */
static tkr_status check_prefix(const binder *b, const binding *all, size_t count, tkr_error *error)
{
    const char *other = b->prefix[0] ? "" : b->family->prefix;
    const weight_row_def *word = row_named(b->family->weights, "word");
    char name[STORED_NAME_ROOM];
    if (!b->family->prefix[0])
        return TKR_OK;
    if (find_row(b, b->prefix, word, 0) && find_row(b, other, word, 0))
        return fail(error, TKR_E_WEIGHT_MIXED, "the word embedding is there with and without the prefix \"%s\"",
                    b->family->prefix);
    for (size_t i = 0; i < count; i++) {
        if (all[i].tensor || all[i].row->is_optional || !all[i].is_prefixed ||
            !find_row(b, other, all[i].row, all[i].layer))
            continue;
        spell(b, name, all[i].row, true, all[i].layer);
        return fail(error, TKR_E_WEIGHT_MIXED,
                    "tensor %s is missing, but is there %s the prefix \"%s\": names with and"
                    " without it are mixed",
                    QUOTE(view_of(name)), other[0] ? "with" : "without", b->family->prefix);
    }
    return TKR_OK;
}

static bool dtype_of(const stored_tensor *t, weight_dtype *out)
{
    static const struct {
        const char *name;
        weight_dtype dtype;
    } known[] = {{"F32", WEIGHT_F32}, {"F16", WEIGHT_F16}, {"BF16", WEIGHT_BF16}, {"F64", WEIGHT_F64}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(t->dtype, known[i].name) == 0) {
            *out = known[i].dtype;
            return true;
        }
    return false;
}

/* The number a size letter of a table stands for. */
static size_t size_of_letter(const family_config *c, char letter)
{
    switch (letter) {
    case 'A': /* the heads side by side: A = H D */
        return c->heads * c->head_width;
    case 'B':
        return c->buckets;
    case 'C':
        return c->hidden;
    case 'E':
        return c->embedding;
    case 'F':
        return c->inner;
    case 'H':
        return c->heads;
    case 'K': /* the heads of keys: K = G D */
        return c->key_heads * c->head_width;
    case 'P':
        return c->positions;
    case 'S':
        return c->types;
    case 'V':
        return c->vocab;
    case 'N':
        return c->labels;
    default:
        return (size_t)(letter - '0'); /* a number */
    }
}

/* The shape that a row's tensor must have in the file; returns its rank. */
static size_t shape_wanted(const binder *b, const weight_row_def *row, size_t wanted[2])
{
    size_t rank = 0, parts = row->parts ? row->parts : 1;
    for (const char *letter = row->shape; *letter; letter++)
        if (*letter != ' ' && rank < 2)
            wanted[rank++] = size_of_letter(b->config, *letter);
    wanted[0] *= parts;
    if (rank == 2 && row->is_turned) {
        size_t out = wanted[0];
        wanted[0] = wanted[1];
        wanted[1] = out;
    }
    return rank;
}

/* What is wrong with a tensor that is there; BIND_FINE: nothing. */
static bind_finding judge(const binder *b, const binding *one, char detail[BIND_DETAIL_ROOM])
{
    const stored_tensor *t = one->tensor;
    weight_dtype dtype;
    size_t wanted[2] = {0, 0}, rank = shape_wanted(b, one->row, wanted);
    if (!dtype_of(t, &dtype)) {
        snprintf(detail, BIND_DETAIL_ROOM, "is %s; Tokray computes with F32, F16, BF16, F64", t->dtype);
        return BIND_DTYPE;
    }
    if (t->rank == rank && memcmp(t->shape, wanted, rank * sizeof wanted[0]) == 0)
        return BIND_FINE;
    snprintf(detail, BIND_DETAIL_ROOM, "is %s; config wants %s", SHAPE(t->shape, t->rank), SHAPE(wanted, rank));
    return BIND_SHAPE;
}

/* A stored copy of a tied matrix is used by nobody; say so when it is not a copy. */
static const stored_tensor *check_tie(const binder *b, const binding *one, notes *n)
{
    const stored_tensor *copy = find_row(b, "", one->row, 0);
    bool is_equal = !copy || (copy->bytes == one->tensor->bytes && copy->dtype == one->tensor->dtype &&
                              memcmp(copy->data, one->tensor->data, copy->bytes) == 0);
    if (!is_equal)
        notes_add(n, "tensor %s differs from the word embedding it is tied to; the word embedding is used",
                  QUOTE(view_of(copy->name)));
    return copy;
}

/* Tell of each needed tensor what is wrong with it, and mark those that are used. */
static void survey_needed(const binder *b, const binding *all, size_t count, bool *is_used, bind_listener to,
                          notes *n)
{
    char name[STORED_NAME_ROOM], detail[BIND_DETAIL_ROOM];
    for (size_t i = 0; i < count; i++) {
        const binding *one = &all[i];
        if (!one->tensor) {
            spell(b, name, one->row, one->is_prefixed, one->layer);
            if (!one->row->is_optional)
                to.tell(to.user, BIND_MISSING, name, "");
            continue;
        }
        bind_finding finding = judge(b, one, detail);
        if (finding != BIND_FINE)
            to.tell(to.user, finding, one->tensor->name, detail);
        const stored_tensor *copy = one->is_tied ? check_tie(b, one, n) : NULL;
        is_used[one->tensor - b->checkpoint->tensors] = true;
        if (copy)
            is_used[copy - b->checkpoint->tensors] = true;
    }
}

static tkr_status survey(const binder *b, const binding *all, size_t count, bind_listener to, notes *n,
                         tkr_error *error)
{
    const checkpoint *c = b->checkpoint;
    bool *is_used = NEW(bool, c->count + 1);
    if (!is_used)
        return fail_memory(error, "the list of tensors", c->count);
    survey_needed(b, all, count, is_used, to, n);
    for (size_t i = 0; i < c->count; i++)
        if (!is_used[i])
            to.tell(to.user, wildcard_any(b->family->ignored, c->tensors[i].name) ? BIND_IGNORED : BIND_UNUSED,
                    c->tensors[i].name, "");
    memory_free(is_used);
    return TKR_OK;
}

/* ---- findings as one error and one note --------------------------------------------------------------------------- */

typedef struct verdict {
    name_list missing, misshaped, dtype, unused;
    char first_detail[BIND_DETAIL_ROOM +
                      STORED_NAME_ROOM]; /* the whole sentence about the first tensor that is wrong */
} verdict;

static void add_to_verdict(void *user, bind_finding finding, const char *name, const char *detail)
{
    verdict *v = user;
    char shown[BIND_DETAIL_ROOM + STORED_NAME_ROOM];
    snprintf(shown, sizeof shown, "tensor %s %s", QUOTE(view_of(name)), detail);
    if ((finding == BIND_SHAPE || finding == BIND_DTYPE) && !v->first_detail[0])
        memcpy(v->first_detail, shown, sizeof shown);
    if (finding == BIND_MISSING)
        name_list_add(&v->missing, name);
    else if (finding == BIND_SHAPE)
        name_list_add_text(&v->misshaped, shown + sizeof "tensor");
    else if (finding == BIND_DTYPE)
        name_list_add(&v->dtype, name);
    else if (finding == BIND_UNUSED)
        name_list_add(&v->unused, name);
}

static const char *plural(size_t count) { return count == 1 ? "" : "s"; }

/* One error for all of them: what is missing in the sentence, what is wrong otherwise with it or among the facts. */
static tkr_status judge_all(const verdict *v, bool strict, notes *n, tkr_error *error)
{
    size_t wrong = v->misshaped.count;
    if (v->missing.count) {
        fail(error, TKR_E_WEIGHT_MISSING, "%zu tensor%s missing: %s", v->missing.count,
             plural(v->missing.count), v->missing.text);
        if (wrong)
            fail_facts(error, "%zu of another shape: %s", wrong, v->misshaped.text);
        return TKR_E_WEIGHT_MISSING;
    }
    if (wrong > 1)
        return fail(error, TKR_E_WEIGHT_SHAPE, "%zu tensors of another shape: %s", wrong, v->misshaped.text);
    if (wrong)
        return fail(error, TKR_E_WEIGHT_SHAPE, "%s", v->first_detail);
    if (v->dtype.count)
        return fail(error, TKR_E_UNSUPPORTED_DTYPE, "%s", v->first_detail);
    if (v->unused.count && strict)
        return fail(error, TKR_E_WEIGHT_EXTRA, "%zu tensor%s that nothing needs: %s", v->unused.count,
                    plural(v->unused.count), v->unused.text);
    if (v->unused.count)
        notes_add(n, "%zu tensor%s that nothing needs: %s", v->unused.count, plural(v->unused.count),
                  v->unused.text);
    return TKR_OK;
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

/* A weight over a stored tensor, or over one of the parts that lie side by side in it. */
static tkr_status init_weight(weight *w, const stored_tensor *t, const weight_row_def *row, tkr_error *error)
{
    weight_dtype dtype = WEIGHT_F32;
    (void)dtype_of(t, &dtype);
    size_t parts = row->parts ? row->parts : 1, stride = t->rank == 1 ? t->shape[0] : t->shape[1];
    size_t rows = t->rank == 1 ? 1 : t->shape[0], columns = stride;
    size_t part_bytes = t->bytes / parts; /* of parts below each other */
    if (row->is_turned || t->rank == 1) {
        columns /= parts;
        part_bytes = columns * weight_dtype_bytes(dtype);
    } else {
        rows /= parts;
    }
    size_t out = row->is_turned ? columns : rows, in = row->is_turned ? rows : columns;
    tkr_status status = weight_init_part(w, t->name, dtype, t->data + row->part * part_bytes, out, in,
                                         row->is_turned, stride, error);
    w->part_at = columns < stride ? row->part * columns : 0;
    return status;
}

static tkr_status make_weight(tkr_model *m, const binding *one, tkr_error *error)
{
    const stored_tensor *t = one->tensor;
    size_t i = m->weight_count;
    m->weight_names[i] = memory_copy_text(one->name, strlen(one->name));
    if (!m->weight_names[i])
        return fail_memory(error, "a weight's name", strlen(one->name));
    tkr_status status = init_weight(&m->weights[i], t, one->row, error);
    if (status) {
        memory_free(m->weight_names[i]);
        return status;
    }
    m->weights[i].is_mapped = m->checkpoint && m->checkpoint->files[t->file].mapped;
    m->weight_count++;
    m->parameters += one->is_tied ? 0 : (uint64_t)m->weights[i].rows * m->weights[i].columns;
    return TKR_OK;
}

static tkr_status make_weights(tkr_model *m, const binding *all, size_t count, tkr_error *error)
{
    m->weights = NEW(weight, count);
    m->weight_names = NEW(char *, count);
    tkr_status status =
        m->weights && m->weight_names ? TKR_OK : fail_memory(error, "the weights", count * sizeof(weight));
    for (size_t i = 0; !status && i < count; i++)
        if (all[i].tensor)
            status = make_weight(m, &all[i], error);
    return status;
}

/* All tensors that the family and a head need, in the order of the tables. */
static binding *list_all(const binder *b, const head *h, size_t *count, tkr_error *error)
{
    const weight_row_def *of_head = h ? h->weights : NULL;
    *count = count_rows(b, b->family->weights) + count_rows(b, of_head);
    binding *all = NEW(binding, *count);
    if (!all) {
        fail_memory(error, "the list of weights", *count * sizeof *all);
        return NULL;
    }
    size_t listed = list_rows(b, b->family->weights, false, all);
    list_rows(b, of_head, true, all + listed);
    return all;
}

tkr_status bind_weights(tkr_model *m, const checkpoint *c, bool strict, notes *n, tkr_error *error)
{
    binder b = new_binder(c, m->family, &m->config);
    verdict v = {0};
    size_t count;
    binding *all = list_all(&b, m->head, &count, error);
    if (!all)
        return TKR_E_LIMIT_OOM;
    tkr_status status = check_prefix(&b, all, count, error);
    status = status ? status : survey(&b, all, count, (bind_listener){add_to_verdict, &v}, n, error);
    status = status ? status : judge_all(&v, strict, n, error);
    qsort(all, count, sizeof *all, compare_bindings);
    status = status ? status : make_weights(m, all, count, error);
    memory_free(all);
    return status;
}

tkr_status bind_survey(const checkpoint *c, const family *f, const family_config *config, const head *h,
                       bind_listener to, notes *n, tkr_error *error)
{
    binder b = new_binder(c, f, config);
    size_t count;
    binding *all = list_all(&b, h, &count, error);
    if (!all)
        return TKR_E_LIMIT_OOM;
    tkr_status status = survey(&b, all, count, to, n, error);
    memory_free(all);
    return status;
}

bool bind_has_head(const checkpoint *c, const family *f, const family_config *config, const head *h,
                   char lacking[STORED_NAME_ROOM])
{
    binder b = new_binder(c, f, config);
    return !lacks_tensor(&b, h, lacking);
}
