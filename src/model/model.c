/*
 * Opening a model: locate, read config.json, check the weight files' headers, open the tokenizer, bind the weights, scan
 * them.  Cheap checks come first; nothing is allocated in proportion to a number before the number was checked.
 *
 * Known to go wrong: hashing a large checkpoint takes as long as everything else together, so the hash is made only when
 * somebody asks (tkr_model_weights_sha256).
 */
#include "model/model.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/failure.h"
#include "base/hash.h"
#include "base/memory.h"
#include "model/bind.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/locate.h"
#include "model/pass_on.h"
#include "model/wildcard.h"

/* Models without a position table take what their tokenizer says, or this. */
enum { THREADS_MAX = 1024, FOLDER_NAMES_MAX = 4096, UNLIMITED_TOKENS = 16384 };

struct weights_digest {
    pthread_mutex_t lock;
    bool is_made;
    char hex[65];
};

tkr_model_options tkr_model_options_defaults(void) { return (tkr_model_options){.task = TKR_TASK_NONE}; }

/* ---- opening ---------------------------------------------------------------------------------------------------- */

/* What is known while a model is being opened. */
typedef struct opening {
    tkr_model *model;
    const tkr_model_options *options;
    model_config config;
    notes notes;
    tkr_error *error;
} opening;

static tkr_status check_arguments(const char *name, const tkr_model_options *options, tkr_error *error)
{
    if (!name || !*name)
        return fail(error, TKR_E_USAGE_ARGUMENT, "the model's name is empty");
    if (options->task < TKR_TASK_NONE || options->task > TKR_TASK_SEQUENCE_TO_SEQUENCE)
        return fail(error, TKR_E_USAGE_ARGUMENT, "task %d is none of tkr_task's values", (int)options->task);
    if (options->threads < 0 || options->threads > THREADS_MAX)
        return fail(error, TKR_E_USAGE_RANGE, "threads %d; it must be 0 to %d", options->threads, THREADS_MAX);
    return TKR_OK;
}

static tkr_status open_folder(opening *o, const char *name)
{
    location where;
    tkr_status status = location_find(name, &where, o->error);
    if (status)
        return status;
    tkr_model *m = o->model;
    m->name = where.name;
    m->path = where.path;
    m->source = where.source;
    tkr_error local = {0};
    m->folder = folder_open(m->path, o->options->follow_links, &local);
    return m->folder ? TKR_OK : pass_on(o->error, &local);
}

static tkr_status open_config(opening *o)
{
    tkr_model *m = o->model;
    file_bytes file;
    tkr_status status = TKR_OK;
    if (!folder_has(m->folder, CONFIG_FILE)) { /* a GGUF file has its config inside */
        status = checkpoint_refuse_formats(m->folder, o->error);
        return status ? status : fail(o->error, TKR_E_PATH_NOT_FOUND, "%s: has no config.json", PLAIN(view_of(m->path)));
    }
    status = folder_file(m->folder, CONFIG_FILE, CONFIG_BYTES_MAX, true, &file, o->error);
    if (status)
        return status;
    sha256 hash;
    sha256_init(&hash);
    sha256_update(&hash, file.data, file.size);
    sha256_hex(&hash, m->config_sha256);
    status = config_read((view){(const char *)file.data, file.size}, &o->config, &o->notes, o->error);
    file_bytes_close(&file);
    notes_add_code(&o->notes, m->folder);
    m->family = o->config.family;
    m->config = o->config.numbers;
    m->problem = o->config.problem;
    m->generation = o->config.generation;
    return status ? status : generation_read(m->folder, m->config.vocab, &m->generation, o->error);
}

static tkr_status open_checkpoint(opening *o)
{
    tkr_model *m = o->model;
    tkr_error local = {0};
    if (o->options->tokenizer_only)
        return TKR_OK;
    m->checkpoint = checkpoint_open(m->folder, o->options->copy_weights, &o->notes, &local);
    if (!m->checkpoint)
        return pass_on(o->error, &local);
    m->weight_bytes = checkpoint_bytes(m->checkpoint);
    return TKR_OK;
}

static tkr_status open_tokenizer(opening *o)
{
    tkr_model *m = o->model;
    tkr_error local = {0};
    m->tokenizer = tokenizer_open(m->folder, m->family->model_types[0], o->options->copy_weights, &local);
    if (!m->tokenizer)
        return pass_on(o->error, &local);
    const char *note;
    for (size_t i = 0; (note = tokenizer_note(m->tokenizer, i)) != NULL; i++)
        notes_add(&o->notes, "%s", note);
    size_t limit = tokenizer_limit(m->tokenizer);
    if (limit > m->config.vocab)
        notes_add(&o->notes,
                  "%s: has ids up to %zu, the model has %zu rows; texts that need the others are refused",
                  tokenizer_file(m->tokenizer), limit - 1, m->config.vocab);
    return TKR_OK;
}

/* Heads whose outputs have names of their own. */
static tkr_status name_outputs(tkr_model *m, tkr_error *error)
{
    size_t count = 0;
    while (m->head->outputs[count])
        count++;
    m->labels = NEW(char *, count);
    for (size_t i = 0; m->labels && i < count && m->label_count == i; i++) {
        m->labels[i] = memory_copy_text(m->head->outputs[i], strlen(m->head->outputs[i]));
        m->label_count += m->labels[i] != NULL;
    }
    m->problem = count == 1 ? PROBLEM_MULTI_LABEL : PROBLEM_SINGLE_LABEL;
    return m->label_count == count ? TKR_OK : fail_memory(error, "the labels", count * sizeof(char *));
}

static bool has_classes(tkr_task task)
{
    return task == TKR_TASK_SEQUENCE_CLASSIFICATION || task == TKR_TASK_TOKEN_CLASSIFICATION;
}

static tkr_status open_head(opening *o)
{
    tkr_model *m = o->model;
    tkr_status status = bind_head(m->checkpoint, &o->config, o->options->task, &m->head, o->error);
    m->task = m->head ? m->head->task : TKR_TASK_NONE;
    if (status)
        return status;
    if (m->head && m->head->outputs)
        return name_outputs(m, o->error);
    if (has_classes(m->task)) {
        m->labels = o->config.labels; /* moved */
        m->label_count = o->config.numbers.labels;
        o->config.labels = NULL;
    }
    return TKR_OK;
}

static tkr_status scan_weights(const tkr_model *m, int threads, tkr_error *error)
{
    pool *workers = pool_new(threads);
    if (!workers)
        return fail_memory(error, "the threads that scan the weights", 1);
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < m->weight_count; i++)
        status = weight_scan(&m->weights[i], workers, error);
    pool_free(workers);
    return status;
}

static tkr_status open_weights(opening *o)
{
    tkr_model *m = o->model;
    if (!m->checkpoint)
        return TKR_OK;
    tkr_status status = bind_weights(m, m->checkpoint, o->options->strict_weights, &o->notes, o->error);
    if (!status && !o->options->no_weight_scan)
        status = scan_weights(m, o->options->threads, o->error);
    return status;
}

static tkr_status open_digest(opening *o)
{
    struct weights_digest *digest = NEW(struct weights_digest, 1);
    if (!digest)
        return fail_memory(o->error, "the model", sizeof *digest);
    pthread_mutex_init(&digest->lock, NULL);
    o->model->digest = digest;
    return TKR_OK;
}

static tkr_status open_parts(opening *o, const char *name)
{
    static tkr_status (*const parts[])(opening *) = {open_digest, open_config,    open_checkpoint,
                                                     open_head,   open_tokenizer, open_weights};
    tkr_status status = open_folder(o, name);
    for (size_t i = 0; !status && i < sizeof parts / sizeof parts[0]; i++)
        status = parts[i](o);
    if (!status && o->notes.failed)
        status = fail_memory(o->error, "the notes", 1);
    return status;
}

tkr_model *tkr_model_open(const char *name, const tkr_model_options *options, tkr_error *error)
{
    tkr_model_options standard = tkr_model_options_defaults();
    opening o = {.options = options ? options : &standard, .error = error};
    if (check_arguments(name, o.options, error))
        return NULL;
    o.model = NEW(tkr_model, 1);
    if (!o.model) {
        fail_memory(error, "the model", sizeof *o.model);
        return NULL;
    }
    o.model->kernels = kernels_best();
    tkr_status status = open_parts(&o, name);
    config_fini(&o.config);
    o.model->notes = o.notes.text; /* moved */
    o.model->note_count = o.notes.count;
    if (!status)
        return o.model;
    tkr_model_close(o.model);
    return NULL;
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++)
        memory_free(texts[i]);
    memory_free(texts);
}

void tkr_model_close(tkr_model *model)
{
    if (!model)
        return;
    for (size_t i = 0; i < model->weight_count; i++)
        weight_fini(&model->weights[i]);
    memory_free(model->weights);
    free_texts(model->weight_names, model->weight_count);
    free_texts(model->labels, model->label_count);
    free_texts(model->notes, model->note_count);
    tokenizer_free(model->tokenizer);
    checkpoint_close(model->checkpoint);
    folder_close(model->folder);
    if (model->digest)
        pthread_mutex_destroy(&model->digest->lock);
    memory_free(model->digest);
    memory_free(model->name);
    memory_free(model->path);
    memory_free(model);
}

/* ---- facts ------------------------------------------------------------------------------------------------------ */

static const char *task_name(tkr_task task)
{
    static const char *const names[] = {
        [TKR_TASK_NONE] = "none",
        [TKR_TASK_SEQUENCE_CLASSIFICATION] = "sequence-classification",
        [TKR_TASK_MASKED_LM] = "masked-lm",
        [TKR_TASK_TOKEN_CLASSIFICATION] = "token-classification",
        [TKR_TASK_QUESTION_ANSWERING] = "question-answering",
        [TKR_TASK_NEXT_TOKEN] = "next-token",
        [TKR_TASK_SEQUENCE_TO_SEQUENCE] = "sequence-to-sequence",
    };
    return names[task];
}

static const char *problem_name(const tkr_model *m)
{
    static const char *const names[] = {[PROBLEM_SINGLE_LABEL] = "single-label",
                                        [PROBLEM_MULTI_LABEL] = "multi-label",
                                        [PROBLEM_REGRESSION] = "regression"};
    return has_classes(m->task) ? names[m->problem] : "";
}

static const char *dtype_name(const tkr_model *m)
{
    static const char *const names[] = {
        [WEIGHT_F32] = "f32", [WEIGHT_F16] = "f16", [WEIGHT_BF16] = "bf16", [WEIGHT_F64] = "f64"};
    const weight *word = model_weight(m, "word");
    return word ? names[word->dtype] : "";
}

/* The digest of the weights if somebody asked for it already, else "". */
static const char *made_weights_sha256(const tkr_model *model)
{
    if (!model->checkpoint)
        return "";
    pthread_mutex_lock(&model->digest->lock);
    const char *hex = model->digest->is_made ? model->digest->hex : "";
    pthread_mutex_unlock(&model->digest->lock);
    return hex;
}

void tkr_model_describe(const tkr_model *model, tkr_model_facts *facts)
{
    if (!facts)
        return;
    *facts = (tkr_model_facts){0};
    if (!model)
        return;
    const family_config *c = &model->config;
    *facts = (tkr_model_facts){
        .name = model->name,
        .source = model->source,
        .family = model->family->model_types[0],
        .family_title = model->family->title,
        .task = model->task,
        .task_name = task_name(model->task),
        .problem = problem_name(model),
        .dtype = dtype_name(model),
        .layers = c->layers,
        .heads = c->heads,
        .hidden = c->hidden,
        .inner = c->inner,
        .vocab = c->vocab,
        .max_tokens = model_max_tokens(model),
        .labels = model->label_count,
        .parameters = model->parameters,
        .weight_bytes = model->weight_bytes,
        .weights_sha256 = made_weights_sha256(model),
        .config_sha256 = model->config_sha256,
        .tokenizer_sha256 = tokenizer_sha256(model->tokenizer),
        .tokenizer_file = tokenizer_file(model->tokenizer),
        .pack_bytes = model_missing_packs(model),
    };
}

const char *tkr_model_label(const tkr_model *model, size_t index)
{
    return model && index < model->label_count ? model->labels[index] : NULL;
}

const char *tkr_model_ability(const tkr_model *model, size_t index)
{
    char lacking[STORED_NAME_ROOM];
    for (const head *const *h = model && model->checkpoint ? model->family->heads : NULL; h && *h; h++)
        if (bind_has_head(model->checkpoint, model->family, &model->config, *h, lacking) && index-- == 0)
            return (*h)->title;
    return NULL;
}

const char *tkr_model_note(const tkr_model *model, size_t index)
{
    return model && index < model->note_count ? model->notes[index] : NULL;
}

const char *tkr_model_weights_sha256(const tkr_model *model)
{
    if (!model || !model->checkpoint)
        return "";
    struct weights_digest *digest = model->digest;
    pthread_mutex_lock(&digest->lock);
    if (!digest->is_made)
        checkpoint_sha256(model->checkpoint, digest->hex);
    digest->is_made = true;
    pthread_mutex_unlock(&digest->lock);
    return digest->hex;
}

/* ---- for the rooms above ---------------------------------------------------------------------------------------- */

size_t model_outputs(const tkr_model *m)
{
    return m->label_count ? m->label_count : m->head ? m->config.vocab : 0;
}

size_t model_max_tokens(const tkr_model *m)
{
    size_t said = tokenizer_max_length(m->tokenizer), able = m->config.positions - m->config.first_position;
    if (!m->config.positions)
        return said ? said : UNLIMITED_TOKENS;
    return said && said < able ? said : able;
}

family_shape model_shape(const tkr_model *m)
{
    bool is_half = m->family->shape == FAMILY_ENCODER_DECODER && !m->config.decoder_layers;
    return is_half ? FAMILY_ENCODER : m->family->shape;
}

bool model_is_end(const tkr_model *m, int32_t id)
{
    for (size_t i = 0; i < m->generation.end_count; i++)
        if (m->generation.ends[i] == id)
            return true;
    return false;
}

int32_t model_decoder_start(const tkr_model *m)
{
    if (m->family->shape != FAMILY_ENCODER_DECODER)
        return -1;
    return (int32_t)(m->generation.start >= 0 ? m->generation.start : m->config.pad_id);
}

const char *model_output_name(const tkr_model *m, size_t index)
{
    if (m->label_count)
        return tkr_model_label(m, index);
    return index < model_outputs(m) ? tokenizer_piece(m->tokenizer, (int32_t)index) : NULL;
}

static int compare_name(const void *wanted, const void *entry)
{
    return strcmp(wanted, *(const char *const *)entry);
}

weight *model_weight(const tkr_model *m, const char *name)
{
    if (!m->weight_count)
        return NULL;
    char *const *found = bsearch(name, m->weight_names, m->weight_count, sizeof(char *), compare_name);
    return found ? &m->weights[found - m->weight_names] : NULL;
}

tkr_status model_unchanged(const tkr_model *m, tkr_error *error)
{
    return m->checkpoint ? checkpoint_unchanged(m->checkpoint, error) : TKR_OK;
}

size_t model_missing_packs(const tkr_model *m)
{
    size_t bytes = 0; /* tables of rows have names without an ending */
    for (size_t i = 0; i < m->weight_count; i++)
        if (wildcard_matches("*.weight", m->weight_names[i]) &&
            !wildcard_matches("*norm.weight", m->weight_names[i]))
            bytes += weight_packed_missing(&m->weights[i], m->kernels);
    return bytes;
}
