/*
 * Checking a model folder: the parts of opening one after another, each going on where it can, so that everything that is
 * wrong, and everything that was ignored, is told at once.  Whether the folder can be used is what opening it says.
 *
 * Known to go wrong: a fault in config.json leaves nothing to compare the tensors with; then only it and the files are told.
 */
#include <string.h>
#include <tokray/model.h>

#include "base/failure.h"
#include "base/memory.h"
#include "model/bind.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/locate.h"

struct tkr_model_report {
    tkr_finding *findings; /* their strings are ours, in one piece each: name, NUL, detail, NUL */
    size_t count, capacity;
    tkr_error error;
    bool failed; /* memory ran out while a finding was told */
};

/* What is known of a folder while it is looked at. */
typedef struct looking {
    tkr_model_report *report;
    tkr_model_options options;
    folder *folder;
    model_config config;
    checkpoint *checkpoint;
    notes notes;
} looking;

static bool make_room(tkr_model_report *r)
{
    if (r->count < r->capacity)
        return true;
    size_t capacity = r->capacity ? r->capacity * 2 : 64;
    tkr_finding *grown = memory_resize(r->findings, capacity, sizeof *grown);
    if (!grown)
        return false;
    r->findings = grown;
    r->capacity = capacity;
    return true;
}

/* Texts are safe to show already. */
static void add_finding(tkr_model_report *r, tkr_finding_kind kind, const char *name, const char *detail)
{
    size_t first = strlen(name) + 1, second = strlen(detail) + 1;
    char *text = make_room(r) ? NEW(char, first + second) : NULL;
    if (!text) {
        r->failed = true;
        return;
    }
    memcpy(text, name, first);
    memcpy(text + first, detail, second);
    r->findings[r->count++] = (tkr_finding){kind, text, text + first};
}

static void tell_finding(void *user, bind_finding finding, const char *name, const char *detail)
{
    static const tkr_finding_kind kinds[] = {
        [BIND_MISSING] = TKR_FINDING_MISSING, [BIND_SHAPE] = TKR_FINDING_SHAPE,
        [BIND_DTYPE] = TKR_FINDING_DTYPE,     [BIND_UNUSED] = TKR_FINDING_UNUSED,
        [BIND_IGNORED] = TKR_FINDING_IGNORED,
    };
    add_finding(user, kinds[finding], PLAIN(view_of(name)), detail);
}

/* ---- the parts -------------------------------------------------------------------------------------------------- */

static bool look_at_config(looking *l)
{
    file_bytes file;
    if (!folder_has(l->folder, CONFIG_FILE) ||
        folder_file(l->folder, CONFIG_FILE, CONFIG_BYTES_MAX, true, &file, NULL) != TKR_OK)
        return false;
    tkr_status status = config_read((view){(const char *)file.data, file.size}, &l->config, &l->notes, NULL);
    file_bytes_close(&file);
    return status == TKR_OK;
}

static void look_at_tokenizer(looking *l)
{
    tkr_error error = {0};
    const char *note;
    tokenizer *t = tokenizer_open(l->folder, l->config.family->model_types[0], l->options.copy_weights, &error);
    add_finding(l->report, TKR_FINDING_TOKENIZER, t ? tokenizer_file(t) : "", error.message);
    for (size_t i = 0; t && (note = tokenizer_note(t, i)) != NULL; i++)
        notes_add(&l->notes, "%s", note);
    tokenizer_free(t);
}

static void look_at_tensors(looking *l)
{
    const family *f = l->config.family;
    const family_config *numbers = &l->config.numbers;
    const head *chosen = NULL;
    char lacking[STORED_NAME_ROOM];
    for (const head *const *h = f->heads; *h; h++) {
        bool is_complete = bind_has_head(l->checkpoint, f, numbers, *h, lacking);
        add_finding(l->report, TKR_FINDING_TASK, (*h)->title, is_complete ? "" : PLAIN(view_of(lacking)));
    }
    if (bind_head(l->checkpoint, &l->config, l->options.task, &chosen, NULL) != TKR_OK)
        chosen = NULL;
    bind_listener to = {tell_finding, l->report};
    if (bind_survey(l->checkpoint, f, numbers, chosen, to, &l->notes, NULL) != TKR_OK)
        l->report->failed = true;
}

static void look_at_folder(looking *l)
{
    notes_add_code(&l->notes, l->folder);
    if (!look_at_config(l))
        return;
    l->checkpoint = checkpoint_open(l->folder, l->options.copy_weights, &l->notes, NULL);
    if (l->checkpoint)
        look_at_tensors(l);
    look_at_tokenizer(l);
}

/* By kind, each in the order told. */
static void order_findings(tkr_model_report *r)
{
    tkr_finding *ordered = NEW(tkr_finding, r->count + 1);
    size_t used = 0;
    for (tkr_finding_kind kind = TKR_FINDING_TOKENIZER; ordered && kind <= TKR_FINDING_NOTE; kind++)
        for (size_t i = 0; i < r->count; i++)
            if (r->findings[i].kind == kind)
                ordered[used++] = r->findings[i];
    r->failed = r->failed || !ordered;
    if (!ordered)
        return;
    memory_free(r->findings);
    r->findings = ordered;
    r->capacity = r->count + 1;
}

/* ---- all of it -------------------------------------------------------------------------------------------------- */

static tkr_status look(looking *l, const char *name, tkr_error *error)
{
    location where;
    tkr_status status = location_find(name, &where, error);
    if (status)
        return status;
    l->notes.lists_all = true;
    l->folder = folder_open(where.path, l->options.follow_links, NULL);
    location_fini(&where);
    if (l->folder)
        look_at_folder(l);
    for (size_t i = 0; i < l->notes.count; i++)
        add_finding(l->report, TKR_FINDING_NOTE, "", l->notes.text[i]);
    order_findings(l->report);
    bool failed = l->report->failed || l->notes.failed;
    checkpoint_close(l->checkpoint);
    config_fini(&l->config);
    notes_fini(&l->notes);
    folder_close(l->folder);
    return failed ? fail_memory(error, "the report", l->report->count * sizeof *l->report->findings) : TKR_OK;
}

tkr_model_report *tkr_model_check(const char *name, const tkr_model_options *options, tkr_error *error)
{
    looking l = {.options = options ? *options : tkr_model_options_defaults()};
    if (!name || !*name) {
        fail(error, TKR_E_USAGE_ARGUMENT, "the model's name is empty");
        return NULL;
    }
    l.report = NEW(tkr_model_report, 1);
    if (!l.report) {
        fail_memory(error, "the report", sizeof *l.report);
        return NULL;
    }
    if (look(&l, name, error)) {
        tkr_model_report_free(l.report);
        return NULL;
    }
    tkr_model_close(tkr_model_open(name, &l.options, &l.report->error));
    return l.report;
}

const tkr_error *tkr_model_report_error(const tkr_model_report *report)
{
    return report && report->error.code ? &report->error : NULL;
}

bool tkr_model_report_finding(const tkr_model_report *report, size_t index, tkr_finding *finding)
{
    if (!report || !finding || index >= report->count)
        return false;
    *finding = report->findings[index];
    return true;
}

void tkr_model_report_free(tkr_model_report *report)
{
    if (!report)
        return;
    for (size_t i = 0; i < report->count; i++)
        memory_free((char *)report->findings[i].name);
    memory_free(report->findings);
    memory_free(report);
}
