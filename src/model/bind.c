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
#include "model/pattern.h"

enum { STORED_NAME_ROOM = 256, OUR_NAME_ROOM = 96 };

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

/* prefix + name with "@" replaced by the layer. */
static void expand(char *out, size_t room, const char *prefix, const char *name, size_t layer)
{
    const char *at = strchr(name, '@');
    if (at)
        snprintf(out, room, "%s%.*s%zu%s", prefix, (int)(at - name), name, layer, at + 1);
    else
        snprintf(out, room, "%s%s", prefix, name);
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

static const stored_tensor *find_stored(const checkpoint *c, const char *prefix, const char *stored,
                                        size_t layer)
{
    char name[STORED_NAME_ROOM];
    if (!stored)
        return NULL;
    expand(name, sizeof name, prefix, stored, layer);
    const stored_tensor *found = checkpoint_find(c, name);
    return found || !legacy_name(name) ? found : checkpoint_find(c, name);
}

static const stored_tensor *find_row(const checkpoint *c, const char *prefix, const weight_row_def *row,
                                     size_t layer)
{
    const stored_tensor *found = find_stored(c, prefix, row->stored, layer);
    return found ? found : find_stored(c, prefix, row->also, layer);
}

static const weight_row_def *row_named(const weight_row_def *rows, const char *name)
{
    while (rows->name && strcmp(rows->name, name) != 0)
        rows++;
    return rows->name ? rows : NULL;
}

/* The prefix this file uses: "" only when just the bare name of the word embedding is there. */
static const char *choose_prefix(const checkpoint *c, const family *f)
{
    const weight_row_def *word = row_named(f->weights, "word");
    bool is_bare = word && !find_row(c, f->prefix, word, 0) && find_row(c, "", word, 0);
    return is_bare ? "" : f->prefix;
}

static bool is_tied(const binder *b, const weight_row_def *row)
{
    return row->tied_to && b->config->ties_embeddings;
}

static const stored_tensor *find_needed(const binder *b, const weight_row_def *row, bool is_prefixed,
                                        size_t layer)
{
    if (!is_tied(b, row))
        return find_row(b->checkpoint, is_prefixed ? b->prefix : "", row, layer);
    const weight_row_def *source = row_named(b->family->weights, row->tied_to);
    return source ? find_row(b->checkpoint, b->prefix, source, 0) : NULL;
}

/* ---- which head ------------------------------------------------------------------------------------------------- */

/* The first tensor of a head that is not there, as the file would spell it; false when all are. */
static bool lacks_tensor(const binder *b, const head *h, char name[STORED_NAME_ROOM])
{
    for (const weight_row_def *row = h->weights; row->name; row++)
        if (!row->is_optional && !find_needed(b, row, row->is_prefixed, 0)) {
            expand(name, STORED_NAME_ROOM, row->is_prefixed ? b->prefix : "", row->stored, 0);
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
    char lacking[STORED_NAME_ROOM];
    for (const head *const *h = b->family->heads; *h; h++)
        if ((*h)->task == wanted) {
            *out = *h;
            return b->checkpoint && lacks_tensor(b, *h, lacking) ? refuse_head(b, *h, lacking, error) : TKR_OK;
        }
    fail(error, TKR_E_UNSUPPORTED_HEAD, "%s has no head for the task asked for", b->family->title);
    fail_field(error, "task", -1, 0);
    return TKR_E_UNSUPPORTED_HEAD;
}

static tkr_status refuse_architecture(const family *f, const char *architecture, tkr_error *error)
{
    char known[256] = "";
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
    binder b = {c, f, &config->numbers, c ? choose_prefix(c, f) : f->prefix};
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

static size_t count_rows(const weight_row_def *rows, size_t layers)
{
    size_t count = 0;
    for (; rows && rows->name; rows++)
        count += strchr(rows->name, '@') ? layers : 1;
    return count;
}

static size_t list_rows(const binder *b, const weight_row_def *rows, bool of_head, binding *out)
{
    size_t count = 0;
    for (; rows && rows->name; rows++) {
        size_t layers = strchr(rows->name, '@') ? b->config->layers : 1;
        for (size_t layer = 0; layer < layers; layer++) {
            binding *one = &out[count++];
            expand(one->name, sizeof one->name, "", rows->name, layer);
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

static tkr_status check_present(const binder *b, const binding *all, size_t count, tkr_error *error)
{
    const char *other = b->prefix[0] ? "" : b->family->prefix;
    const weight_row_def *word = row_named(b->family->weights, "word");
    name_list missing = {0};
    char name[STORED_NAME_ROOM];
    if (find_row(b->checkpoint, b->prefix, word, 0) && find_row(b->checkpoint, other, word, 0))
        return fail(error, TKR_E_WEIGHT_MIXED, "the word embedding is there with and without the prefix \"%s\"",
                    b->family->prefix);
    for (size_t i = 0; i < count; i++) {
        if (all[i].tensor || all[i].row->is_optional)
            continue;
        expand(name, sizeof name, all[i].is_prefixed ? b->prefix : "", all[i].row->stored, all[i].layer);
        if (all[i].is_prefixed && find_row(b->checkpoint, other, all[i].row, all[i].layer))
            return fail(error, TKR_E_WEIGHT_MIXED,
                        "tensor %s is missing, but is there %s the prefix \"%s\": names with and"
                        " without it are mixed",
                        QUOTE(view_of(name)), other[0] ? "with" : "without", b->family->prefix);
        name_list_add(&missing, name);
    }
    if (!missing.count)
        return TKR_OK;
    return fail(error, TKR_E_WEIGHT_MISSING, "%zu tensor%s missing: %s", missing.count,
                missing.count == 1 ? "" : "s", missing.text);
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
    case 'C':
        return c->hidden;
    case 'F':
        return c->inner;
    case 'P':
        return c->positions;
    case 'S':
        return c->types;
    case 'V':
        return c->vocab;
    case 'N':
        return c->labels;
    default:
        return 0;
    }
}

static tkr_status check_tensor(const binder *b, const binding *one, tkr_error *error)
{
    const stored_tensor *t = one->tensor;
    weight_dtype dtype;
    size_t wanted[2] = {0, 0}, rank = 0;
    for (const char *letter = one->row->shape; *letter; letter++)
        if (*letter != ' ' && rank < 2)
            wanted[rank++] = size_of_letter(b->config, *letter);
    if (!dtype_of(t, &dtype))
        return fail(error, TKR_E_UNSUPPORTED_DTYPE, "tensor %s is %s; Tokray computes with F32, F16, BF16, F64",
                    QUOTE(view_of(t->name)), t->dtype);
    if (t->rank == rank && memcmp(t->shape, wanted, rank * sizeof wanted[0]) == 0)
        return TKR_OK;
    return fail(error, TKR_E_WEIGHT_SHAPE, "tensor %s is %s; config wants %s", QUOTE(view_of(t->name)),
                SHAPE(t->shape, t->rank), SHAPE(wanted, rank));
}

/* A stored copy of a tied matrix is used by nobody; say so when it is not a copy. */
static const stored_tensor *check_tie(const binder *b, const binding *one, notes *n)
{
    const stored_tensor *copy = find_row(b->checkpoint, "", one->row, 0);
    bool is_equal = !copy || (copy->bytes == one->tensor->bytes && copy->dtype == one->tensor->dtype &&
                              memcmp(copy->data, one->tensor->data, copy->bytes) == 0);
    if (!is_equal)
        notes_add(n, "tensor %s differs from the word embedding it is tied to; the word embedding is used",
                  QUOTE(view_of(copy->name)));
    return copy;
}

static tkr_status check_unused(const binder *b, const bool *is_used, bool strict, notes *n, tkr_error *error)
{
    const checkpoint *c = b->checkpoint;
    name_list unused = {0};
    for (size_t i = 0; i < c->count; i++)
        if (!is_used[i] && !pattern_any(b->family->ignored, c->tensors[i].name))
            name_list_add(&unused, c->tensors[i].name);
    if (unused.count && strict)
        return fail(error, TKR_E_WEIGHT_EXTRA, "%zu tensor%s that nothing needs: %s", unused.count,
                    unused.count == 1 ? "" : "s", unused.text);
    if (unused.count)
        notes_add(n, "%zu tensor%s that nothing needs: %s", unused.count, unused.count == 1 ? "" : "s",
                  unused.text);
    return TKR_OK;
}

/* All checks of tensors that are there; marks them as used. */
static tkr_status check_all(const binder *b, const binding *all, size_t count, bool strict, notes *n,
                            tkr_error *error)
{
    bool *is_used = NEW(bool, b->checkpoint->count);
    tkr_status status = is_used ? TKR_OK : fail_memory(error, "the list of tensors", b->checkpoint->count);
    for (size_t i = 0; !status && i < count; i++) {
        if (!all[i].tensor)
            continue;
        status = check_tensor(b, &all[i], error);
        const stored_tensor *copy = !status && all[i].is_tied ? check_tie(b, &all[i], n) : NULL;
        is_used[all[i].tensor - b->checkpoint->tensors] = true;
        if (copy)
            is_used[copy - b->checkpoint->tensors] = true;
    }
    status = status ? status : check_unused(b, is_used, strict, n, error);
    memory_free(is_used);
    return status;
}

/* ---- weights ---------------------------------------------------------------------------------------------------- */

static tkr_status make_weight(tkr_model *m, const binding *one, tkr_error *error)
{
    const stored_tensor *t = one->tensor;
    size_t i = m->weight_count;
    weight_dtype dtype = WEIGHT_F32;
    (void)dtype_of(t, &dtype);
    m->weight_names[i] = memory_copy_text(one->name, strlen(one->name));
    if (!m->weight_names[i])
        return fail_memory(error, "a weight's name", strlen(one->name));
    size_t rows = t->rank == 1 ? 1 : t->shape[0], columns = t->rank == 1 ? t->shape[0] : t->shape[1];
    tkr_status status = weight_init(&m->weights[i], t->name, dtype, t->data, rows, columns, false, error);
    if (status) {
        memory_free(m->weight_names[i]);
        return status;
    }
    m->weight_count++;
    m->parameters += one->is_tied ? 0 : (uint64_t)rows * columns;
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

tkr_status bind_weights(tkr_model *m, const checkpoint *c, bool strict, notes *n, tkr_error *error)
{
    binder b = {c, m->family, &m->config, choose_prefix(c, m->family)};
    const weight_row_def *of_head = m->head ? m->head->weights : NULL;
    size_t count = count_rows(m->family->weights, m->config.layers) + count_rows(of_head, 1);
    binding *all = NEW(binding, count);
    if (!all)
        return fail_memory(error, "the list of weights", count * sizeof *all);
    size_t listed = list_rows(&b, m->family->weights, false, all);
    list_rows(&b, of_head, true, all + listed);
    tkr_status status = check_present(&b, all, count, error);
    status = status ? status : check_all(&b, all, count, strict, n, error);
    qsort(all, count, sizeof *all, compare_bindings);
    status = status ? status : make_weights(m, all, count, error);
    memory_free(all);
    return status;
}
