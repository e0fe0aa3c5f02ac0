/*
 * External models: a callback that scores texts, in the shape of a model.  It has labels and a tokenizer, so that texts have
 * words with byte offsets, and nothing of what a folder brings: no weights, no config, no inside.
 *
 * The tokenizer is the smallest that the text room can make: BERT's cutting at white space, punctuation and Chinese characters
 * around a vocabulary of one entry.  Every word is that entry, so a token's name is the word itself (external_name_words).
 *
 * Known to go wrong: a callback that fills too few numbers would leave what was there before, so they all begin as NaN, and a
 * number that is not finite is refused before anybody computes with it.
 */
#include "model/model.h"

#include <math.h>

#include "base/failure.h"
#include "base/memory.h"
#include "base/utf8.h"
#include "model/pass_on.h"

enum { OUTPUTS_MOST = 4096, LABEL_BYTES_MOST = 1024, TEXT_SHOWN = 60 };

static const char words_tokenizer[] =
    "{\"normalizer\":{\"type\":\"BertNormalizer\",\"clean_text\":false,\"handle_chinese_chars\":true,\"strip_accents\":false,"
    "\"lowercase\":false},\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
    "\"model\":{\"type\":\"WordLevel\",\"vocab\":{\"[UNK]\":0},\"unk_token\":\"[UNK]\"}}";

static const char *const model_types[] = {"external", NULL};
static const head *const heads[] = {NULL};
static const family external_family = {.shape = FAMILY_ENCODER, .model_types = model_types, .title = "external model", .heads = heads};

/* ---- making one ---- */

static tkr_status check_label(const char *const *labels, size_t index, tkr_error *error)
{
    if (!labels[index])
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: label %zu is NULL", index);
    view label = view_of(labels[index]);
    if (label.size == 0 || label.size > LABEL_BYTES_MOST)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: label %zu has %zu bytes; 1 to %d are allowed", index, label.size,
                    LABEL_BYTES_MOST);
    if (utf8_first_bad(label) < label.size)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: label %zu is not UTF-8: %s", index, QUOTE(label));
    for (size_t other = 0; other < index; other++)
        if (view_is(label, labels[other]))
            return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: labels %zu and %zu are both %s", other, index, QUOTE(label));
    return TKR_OK;
}

static tkr_status check_arguments(tkr_score_fn *score, const char *const *labels, size_t outputs, tkr_error *error)
{
    if (!score || !labels)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: no %s given", score ? "labels were" : "function was");
    if (outputs == 0 || outputs > OUTPUTS_MOST)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_model_from_scorer: %zu outputs; 1 to %d are allowed", outputs, OUTPUTS_MOST);
    tkr_status status = TKR_OK;
    for (size_t i = 0; !status && i < outputs; i++)
        status = check_label(labels, i, error);
    return status;
}

static tkr_status fill(tkr_model *m, const char *const *labels, size_t outputs, tkr_error *error)
{
    m->name = memory_copy_text("external", strlen("external"));
    m->path = memory_copy_text("", 0);
    m->labels = NEW(char *, outputs);
    if (!m->name || !m->path || !m->labels)
        return fail_memory(error, "an external model", outputs);
    for (; m->label_count < outputs; m->label_count++) {
        m->labels[m->label_count] = memory_copy_text(labels[m->label_count], strlen(labels[m->label_count]));
        if (!m->labels[m->label_count])
            return fail_memory(error, "the labels", outputs);
    }
    m->tokenizer = tokenizer_open_text(view_of(words_tokenizer), "words", error);
    return m->tokenizer ? TKR_OK : fail(error, TKR_E_INTERNAL, "the tokenizer of external models cannot be made");
}

tkr_model *tkr_model_from_scorer(tkr_score_fn *score, void *user, const char *const *labels, size_t outputs, tkr_error *error)
{
    if (check_arguments(score, labels, outputs, error))
        return NULL;
    tkr_model *m = NEW(tkr_model, 1);
    if (!m)
        return fail_memory(error, "an external model", sizeof *m), NULL;
    m->source = "external";
    m->family = &external_family;
    m->task = TKR_TASK_SEQUENCE_CLASSIFICATION;
    m->problem = PROBLEM_SINGLE_LABEL;
    m->config.pad_id = -1;
    m->kernels = kernels_best();
    m->score = score;
    m->score_user = user;
    if (fill(m, labels, outputs, error) == TKR_OK)
        return m;
    tkr_model_close(m);
    return NULL;
}

/* ---- asking it ---- */

/* The beginning of a text, whole characters. */
static view beginning(const char *text)
{
    view whole = view_of(text);
    size_t end = whole.size < TEXT_SHOWN ? whole.size : TEXT_SHOWN;
    while (end > 0 && end < whole.size && ((unsigned char)whole.data[end] & 0xC0) == 0x80)
        end--;
    return view_slice(whole, 0, end);
}

static tkr_status check_scores(const tkr_model *m, const char *const *texts, size_t count, const float *scores, tkr_error *error)
{
    for (size_t i = 0; i < count * m->label_count; i++) {
        if (isfinite(scores[i]))
            continue;
        size_t text = i / m->label_count;
        const char *what = isnan(scores[i]) ? "NaN" : scores[i] > 0 ? "infinity" : "-infinity";
        fail(error, TKR_E_INPUT_SCORER, "text %zu of %zu: the score of %s is %s; it must be a finite number", text, count,
             QUOTE(view_of(m->labels[i % m->label_count])), what);
        fail_facts(error, "text %zu begins %s", text, QUOTE(beginning(texts[text])));
        return TKR_E_INPUT_SCORER;
    }
    return TKR_OK;
}

tkr_status model_score(const tkr_model *m, const char *const *texts, size_t count, float *scores, tkr_error *error)
{
    tkr_error local = {0};
    for (size_t i = 0; i < count * m->label_count; i++)
        scores[i] = NAN;
    tkr_status status = m->score(m->score_user, texts, count, scores, &local);
    if (status && !local.code) {
        bool is_known = strcmp(tkr_status_name(status), tkr_status_name(TKR_E_INTERNAL)) != 0;
        fail(&local, is_known ? status : TKR_E_INPUT_SCORER, "the scorer failed with status %d and did not say why", (int)status);
    }
    if (!status)
        status = check_scores(m, texts, count, scores, &local);
    return status ? pass_on(error, &local) : TKR_OK;
}

/* ---- its words ---- */

tkr_status external_name_words(tkr_encoding *e, view text, view pair, tkr_error *error)
{
    size_t bytes = 1, at = 0;
    for (size_t i = 0; i < e->count; i++)
        bytes += (size_t)(e->tokens[i].end - e->tokens[i].begin) + 1;
    e->words = NEW(char, bytes);
    if (!e->words)
        return fail_memory(error, "the words of a text", bytes);
    for (size_t i = 0; i < e->count; i++) {
        tkr_token *t = &e->tokens[i];
        view from = t->text == 1 ? pair : text;
        size_t size = (size_t)(t->end - t->begin);
        memcpy(e->words + at, from.data + t->begin, size);
        t->raw = e->words + at;
        t->special = TKR_SPECIAL_NONE;
        at += size + 1;
    }
    return TKR_OK;
}
