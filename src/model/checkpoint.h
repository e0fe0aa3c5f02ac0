/*
 * Checkpoints: the tensors of a folder, from one safetensors file or from an index with shards, checked whole before any
 * of their bytes are used (reliability rules S1 to S17 and those of the index).
 *
 * Lifetime: the model's.  Names and data are borrowed from the checkpoint.  Read-only after opening.
 */
#ifndef MODEL_CHECKPOINT_H
#define MODEL_CHECKPOINT_H

#include "base/arena.h"
#include "base/folder.h"
#include "model/notes.h"

enum { TENSOR_RANK_MAX = 8 };
#define TENSOR_HEADER_MAX ((size_t)32 << 20)
#define TENSORS_MAX       ((size_t)262144)
#define SHARDS_MAX        ((size_t)1024)
#define INDEX_BYTES_MAX   ((size_t)32 << 20)

typedef struct stored_tensor {
    const char *name;
    const char *dtype; /* "F32", "BF16", "I64", ...: the format's spelling      */
    size_t rank, shape[TENSOR_RANK_MAX];
    const unsigned char *data; /* little-endian, any alignment                          */
    size_t bytes;
    size_t begin; /* offset inside its file's data                         */
    size_t file;  /* number of its file                                    */
} stored_tensor;

typedef struct checkpoint {
    arena *arena; /* names                */
    file_bytes *files;
    size_t file_count;
    stored_tensor *tensors; /* sorted by name       */
    size_t count;
} checkpoint;

/* Open the weights of a model folder: model.safetensors, else its index and shards.  A folder that has neither is refused
 * with the names of what is there instead.  copy: read the bytes instead of mapping them. */
checkpoint *checkpoint_open(const folder *f, bool copy, notes *n, tkr_error *error);
/* Open one safetensors file, whatever its name. */
checkpoint *checkpoint_open_file(const folder *f, const char *name, bool copy, notes *n, tkr_error *error);
void checkpoint_close(checkpoint *c);
/* unsupported.pickle or unsupported.format, with a way to convert, when the folder holds weights of other kinds. */
tkr_status checkpoint_refuse_formats(const folder *f, tkr_error *error);

/* The tensor of that name, or NULL. */
const stored_tensor *checkpoint_find(const checkpoint *c, const char *name);
/* "[30522, 768]" */
enum { SHAPE_ROOM = 200 };
char *shape_into(char room[SHAPE_ROOM], const size_t *shape, size_t rank);
#define SHAPE(shape, rank) shape_into((char[SHAPE_ROOM]){0}, (shape), (rank))

/* io.changed when a mapped file no longer has the size it had. */
tkr_status checkpoint_unchanged(const checkpoint *c, tkr_error *error);
/* SHA-256 of all bytes of the weight files, in the order of their names: for one file what sha256sum prints. */
void checkpoint_sha256(const checkpoint *c, char out[65]);
/* Bytes of the weight files. */
uint64_t checkpoint_bytes(const checkpoint *c);

#endif
