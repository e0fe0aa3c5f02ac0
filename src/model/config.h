/*
 * config.json: which family, which sizes, which labels (reliability rules C1 to C7).
 *
 * A key that changes the arithmetic is either read by the family or refused: better no explanation than one of another
 * model.  Keys are checked against the family's table, the keys common to all families, and patterns of names that
 * smell of mathematics.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "model/family.h"
#include "model/generation.h"
#include "model/model.h"
#include "model/notes.h"

#define CONFIG_FILE      "config.json"
#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define LABELS_MAX       ((size_t)65536)

typedef struct model_config {
    const family *family;
    family_config numbers; /* labels: how many classes a classification head has */
    char *architecture;    /* architectures[0], or NULL                          */
    model_problem problem;
    generation_ids generation; /* where an output begins and ends */
    char **labels; /* [numbers.labels]                                   */
} model_config;

/* Read the text of config.json.  Errors name the key; on failure *out needs no fini. */
tkr_status config_read(view text, model_config *out, notes *n, tkr_error *error);
void config_fini(model_config *config);

/* The activation of that name; false: none. */
bool config_activation(view name, activation *out);
/* The head a class name of config.json means; NULL: none of the family's. */
const head *head_of_architecture(const family *f, const char *architecture);
/* BertModel, DistilBertModel: the encoder without a head. */
bool is_bare_architecture(const char *architecture);

#endif
