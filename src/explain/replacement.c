/* Random tokens in place of removed ones, and which kind of replacement a removal asks for; see replacement.h. */
#include "explain/replacement.h"

#include "base/failure.h"
#include "base/memory.h"
#include "base/random.h"
#include "explain/mlm_replacement.h"
#include "explain/sampling.h"
#include "explain/variants_rows.h"

/* Room for draws that are remembered and texts under way (mlm_replacement.c). */
enum { MLM_ROOM = 14 << 20 };

/* ---- reading a removal ---- */

static tkr_status fail_option(view asked, size_t at, tkr_error *error)
{
    fail_field(error, "removal", (int64_t)at, (int64_t)(asked.size - at));
    return error->code;
}

/* Is this the one that the session keeps? */
static bool is_kept(const void *kept, const char *kept_name, const char *name)
{
    return kept && kept_name && strcmp(kept_name, name) == 0;
}

static tkr_status keep_counts(question *q, const char *path, tkr_error *error)
{
    tkr_session *s = q->session;
    if (is_kept(s->counts, s->counts_file, path))
        return TKR_OK;
    token_counts_free(s->counts);
    memory_free(s->counts_file);
    s->counts_file = NULL;
    s->counts = token_counts_read(s, path, error);
    if (!s->counts)
        return error->code;
    s->counts_file = memory_copy_text(path, strlen(path));
    return s->counts_file ? TKR_OK : fail_memory(error, "a corpus", strlen(path));
}

static tkr_status keep_sampler(question *q, const char *name, tkr_error *error)
{
    tkr_session *s = q->session;
    if (is_kept(s->sampler, s->sampler_name, name ? name : ""))
        return TKR_OK;
    mlm_sampler_free(s->sampler);
    memory_free(s->sampler_name);
    s->sampler_name = NULL;
    s->sampler = mlm_sampler_open(s, name, error);
    if (!s->sampler)
        return error->code;
    s->sampler_name = memory_copy_text(name ? name : "", name ? strlen(name) : 0);
    return s->sampler_name ? TKR_OK : fail_memory(error, "a sampler", 0);
}

void replacement_forget(tkr_session *s)
{
    token_counts_free(s->counts);
    mlm_sampler_free(s->sampler);
    memory_free(s->counts_file);
    memory_free(s->sampler_name);
    s->counts = NULL;
    s->sampler = NULL;
    s->counts_file = s->sampler_name = NULL;
}

/* "uniform" or "counts=FILE". */
static tkr_status read_random(question *q, view asked, size_t at, tkr_error *error)
{
    view option = view_slice(asked, at, asked.size);
    q->removal_text = "random";
    if (option.size == 0 || view_is(option, "uniform"))
        return TKR_OK;
    if (!view_begins(option, VIEW("counts=")) || option.size == 7) {
        fail(error, TKR_E_USAGE_VALUE, "no option %s of removal random; uniform or counts=FILE", QUOTE(option));
        return fail_option(asked, at, error);
    }
    char *path = arena_copy_text(q->arena, view_slice(option, 7, option.size));
    q->removal_text = arena_copy_text(q->arena, asked);
    q->by_counts = true;
    if (!path || !q->removal_text)
        return fail_memory(error, "a removal", asked.size);
    return keep_counts(q, path, error) ? fail_option(asked, at + 7, error) : TKR_OK;
}

/* A sampler of another vocabulary draws words for a text, and the answer's rows are found again in the new one. */
static tkr_status check_words(const question *q, tkr_error *error)
{
    const char *name = mlm_sampler_model(q->session->sampler)->name;
    tkr_task task = q->model->task;
    if (!q->asked->text)
        fail(error, TKR_E_USAGE_CAPABILITY, "%s has another vocabulary than the model, so it draws words of a text; token ids are none",
             PLAIN(view_of(name)));
    else if (task == TKR_TASK_QUESTION_ANSWERING || task == TKR_TASK_TOKEN_CLASSIFICATION)
        fail(error, TKR_E_USAGE_CAPABILITY, "%s has another vocabulary than the model, and its words would move the tokens that the answer is about",
             PLAIN(view_of(name)));
    else
        return TKR_OK;
    fail_help(error, "--removal random, or mlm:model=NAME with a masked language model of the same vocabulary");
    return error->code;
}

/* "model=NAME" or nothing. */
static tkr_status read_mlm(question *q, view asked, size_t at, tkr_error *error)
{
    view option = view_slice(asked, at, asked.size);
    if (option.size && (!view_begins(option, VIEW("model=")) || option.size == 6)) {
        fail(error, TKR_E_USAGE_VALUE, "no option %s of removal mlm; model=NAME", QUOTE(option));
        return fail_option(asked, at, error);
    }
    char *name = option.size ? arena_copy_text(q->arena, view_slice(option, 6, option.size)) : NULL;
    if (option.size && !name)
        return fail_memory(error, "a removal", asked.size);
    if (keep_sampler(q, name, error))
        return fail_option(asked, option.size ? at + 6 : 0, error);
    const mlm_sampler *sampler = q->session->sampler;
    q->by_words = model_shape(q->model) != FAMILY_ENCODER || !mlm_sampler_shares(sampler, q->model);
    buffer shown;
    buffer_init(&shown, 1 << 16);
    buffer_format(&shown, "mlm:model=%s", mlm_sampler_model(sampler)->name);
    q->removal_text = arena_copy_text(q->arena, buffer_as_view(&shown));
    bool ok = buffer_ok(&shown) && q->removal_text;
    buffer_fini(&shown);
    if (!ok)
        return fail_memory(error, "a removal", asked.size);
    return q->by_words && check_words(q, error) ? fail_option(asked, 0, error) : TKR_OK;
}

tkr_status replacement_read(question *q, view asked, size_t name_size, tkr_error *error)
{
    size_t at = name_size < asked.size ? name_size + 1 : name_size;
    bool is_bare = at == asked.size && name_size < asked.size; /* a colon and nothing after it */
    if (is_bare || (!removal_is_random(q->removal) && at < asked.size)) {
        fail(error, TKR_E_USAGE_VALUE, "removal %s takes %s after its name", removal_id(q->removal),
             q->removal == REMOVAL_RANDOM ? "uniform or counts=FILE" : q->removal == REMOVAL_MLM ? "model=NAME" : "nothing");
        return fail_option(asked, name_size, error);
    }
    if (q->removal == REMOVAL_RANDOM)
        return read_random(q, asked, at, error);
    return q->removal == REMOVAL_MLM ? read_mlm(q, asked, at, error) : TKR_OK;
}

bool replacement_keeps(const question *q, size_t token) { return q->removal == REMOVAL_MLM && q->by_words && token >= q->input_length; }

tkr_status replacement_plan(const question *q, size_t *bytes, tkr_error *error)
{
    *bytes = 0;
    if (q->removal != REMOVAL_MLM)
        return TKR_OK;
    size_t most = model_max_tokens(mlm_sampler_model(q->session->sampler));
    tkr_status status = mlm_sampler_plan(q->session->sampler, q->length < most ? q->length : most, q->length < most ? q->length : most, bytes, error);
    *bytes += MLM_ROOM;
    return status;
}

/* ---- replacing ---- */

struct replacement {
    const question *q;
    token_counts *uniform;       /* owned, or NULL       */
    const token_counts *counts;  /* what is drawn from; NULL: tokens of a test, or a model's */
    mlm_replacement *mlm;        /* NULL: random         */
};

replacement *replacement_new(const question *q, tkr_error *error)
{
    replacement *r = NEW(replacement, 1);
    if (!r)
        return fail_memory(error, "replacements", sizeof *r), NULL;
    r->q = q;
    if (q->session->stored && q->session->stored->ids)
        return r;
    bool ok;
    if (q->removal == REMOVAL_MLM)
        ok = (r->mlm = mlm_replacement_new(q, q->session->sampler, error)) != NULL;
    else if (q->by_counts)
        ok = (r->counts = q->session->counts) != NULL;
    else
        ok = (r->counts = r->uniform = token_counts_uniform(q->model, error)) != NULL;
    if (ok)
        return r;
    replacement_free(r);
    return NULL;
}

void replacement_free(replacement *r)
{
    if (!r)
        return;
    token_counts_free(r->uniform);
    mlm_replacement_free(r->mlm);
    memory_free(r);
}

static int32_t random_id(const replacement *r, uint32_t draw, size_t token)
{
    const question *q = r->q;
    if (!r->counts)
        return q->session->stored->ids[draw * q->length + token];
    random_key key = {.seed = q->session->options.seed, .purpose = random_purpose("removal random"), .item = draw};
    return token_counts_draw(r->counts, q->ids[token], random_unit(key, token));
}

tkr_status replacement_make(replacement *r, const variant *list, size_t count, arena *a, replaced *out, tkr_error *error)
{
    const question *q = r->q;
    if (r->mlm)
        return mlm_replacement_make(r->mlm, list, count, a, out, error);
    for (size_t i = 0; i < count; i++) {
        out[i] = (replaced){.ids = ARENA_NEW(a, int32_t, q->length), .types = q->types, .length = q->length, .is_aligned = true};
        if (!out[i].ids)
            return fail_memory(error, "replaced tokens", q->length);
        for (size_t k = 0; k < q->length; k++)
            out[i].ids[k] = variants_remove(q, list[i].mask, k) ? random_id(r, list[i].draw, k) : q->ids[k];
    }
    return TKR_OK;
}
