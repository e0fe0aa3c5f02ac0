/*
 * What stands beside the vocabulary: tokenizer_config.json, special_tokens_map.json and added_tokens.json.
 */
#ifndef TEXT_TOKENIZER_SETTINGS_H
#define TEXT_TOKENIZER_SETTINGS_H

#include "base/folder.h"
#include "text/tokenizer_room.h"

typedef struct tokenizer_settings {
    json_t *config, *map, *added;         /* objects, NULL: no such file                       */
    added_token roles[TKR_SPECIAL_OTHER]; /* by tkr_special; content is empty when none is said */
} tokenizer_settings;

bool settings_open(loader *l, const folder *f, bool copy, tokenizer_settings *s);
void settings_close(tokenizer_settings *s);

/* Added tokens of the files, after those of tokenizer.json. */
bool settings_put_added(loader *l, const tokenizer_settings *s, added_tokens *a);
/* Special tokens that the files name besides: roles and additional ones.  Those that no vocabulary has are left out with a
 * note. */
bool settings_put_special(loader *l, const tokenizer_settings *s, tokenizer *t);
/* Let do_lower_case and its like overrule a BertNormalizer. */
bool settings_overrule(loader *l, const tokenizer_settings *s, json_t *normal, tokenizer *t);
/* Let add_prefix_space overrule a ByteLevel pre-tokenizer, and a RobertaProcessing with it. */
bool settings_overrule_space(loader *l, const tokenizer_settings *s, json_t *root, tokenizer *t);
/* model_max_length and model_input_names. */
bool settings_limits(loader *l, const tokenizer_settings *s, const char *family, tokenizer *t);

#endif
