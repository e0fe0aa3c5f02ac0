/*
 * Mistral decoders (Jiang et al. 2023): Llama's graph with a sliding window.
 *
 * Known to go wrong: a config without sliding_window means 4096, null means none.
 */
#include "model/families/llama.h"

static const config_key keys[] = {
    LLAMA_KEYS(4096, 14336, 8, 131072, 32000),
    SIZE_OR_NULL_KEY("sliding_window", window, 4096, 1, 16777216),
    END_KEYS,
};

static const char *const harmless[] = {LLAMA_HARMLESS, NULL};

LLAMA_HEADS("Mistral");

const family mistral_family = LLAMA_FAMILY(.model_types = (const char *const[]){"mistral", NULL},
                                           .title = "Mistral", .derive = llama_derive);
