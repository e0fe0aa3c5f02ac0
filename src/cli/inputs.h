/* The texts of a command: operands, a file, standard input, or token ids. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "cli/cli.h"

typedef struct input {
    const char *text;  /* NULL: ids */
    size_t bytes;
} input;

typedef struct inputs {
    input *list;
    size_t count;
    char *owned;       /* a text that was read */
    int32_t *ids;
    size_t id_count;
    int32_t *output_ids;
    size_t output_id_count;
} inputs;

/* Errors: usage.text, usage.conflict, input.file, limit.text. */
tkr_status inputs_read(inputs *in, cli *c);
void inputs_free(inputs *in);
/* A whole file, NUL-terminated; at most 64 MiB.  NULL and an error otherwise.  path NULL: standard input. */
char *inputs_read_file(cli *c, const char *path, size_t *bytes);

#endif
