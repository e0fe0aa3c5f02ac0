/*
 * The index of a checkpoint in several files (model.safetensors.index.json): which shard holds which tensor.
 */
#ifndef MODEL_SHARDS_H
#define MODEL_SHARDS_H

#include "model/checkpoint.h"

#define SHARD_INDEX_FILE "model.safetensors.index.json"

typedef struct shard_index {
    struct json_t *root; /* the whole file                                     */
    struct json_t *map;  /* its weight_map, borrowed from root                 */
    const char **names;  /* shard files, sorted, each once; borrowed from root */
    size_t count;
} shard_index;

/* Read and check the index; every shard it names is in the folder. */
shard_index *shard_index_open(const folder *f, tkr_error *error);
void shard_index_close(shard_index *index);
/* With all shards' headers read and sorted by name: no tensor in two shards, every mapped one in its shard.  Tensors that
 * the map does not name are dropped with a note. */
tkr_status shard_index_check(const shard_index *index, checkpoint *c, notes *n, tkr_error *error);

#endif
