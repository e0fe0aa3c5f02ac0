/*
 * Reference numbers: a folder with models/<case>/ and golden/<case>.{json,safetensors} (tests/data, and TOKRAY_ORACLE when
 * it is set).  Arrays are float64.  Anything that is not as it should be ends the test with a message.
 */
#ifndef SUPPORT_GOLDEN_H
#define SUPPORT_GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "compare.h"

typedef struct golden {
    json_t *json;            /* the whole <name>.json                     */
    struct checkpoint *file; /* <name>.safetensors                        */
    struct arena *arena;     /* aligned copies of arrays that were asked for */
    char model[512];         /* the folder of its model                   */
} golden;

/* Root number `index`: tests/data, then TOKRAY_ORACLE; NULL past the end. */
const char *golden_root(size_t index);

/* name: "bert-mlm", "bert-mlm.gradients", ... */
golden *golden_open(const char *root, const char *name);
void golden_close(golden *g);

/* An array of the file, whole numbers as doubles: golden_array ends the test when there is none, golden_find returns false. */
tensor golden_array(golden *g, const char *name);
bool golden_find(golden *g, const char *name, tensor *out);

/* Call for every forward case of the root whose model_type is one of a family of the library; returns how many there were. */
typedef void golden_case_fn(golden *g, const char *name, void *user);
size_t golden_each(const char *root, golden_case_fn *call, void *user);

/* One input of a case. */
typedef struct golden_input {
    const char *name;
    size_t count; /* tokens                                        */
    int32_t ids[512], types[512];
    size_t output_count; /* decoder inputs of an encoder-decoder           */
    int32_t output_ids[512];
    size_t logit_count; /* rows whose logits are stored; 0: the classifier's one row, or all rows */
    int32_t logit_rows[512];
} golden_input;

/* Input number `index` of a forward case, in the file's order; false past the last. */
bool golden_input_at(const golden *g, size_t index, golden_input *out);
bool golden_input_named(const golden *g, const char *name, golden_input *out);

#endif
