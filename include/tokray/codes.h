/*
 * Every outcome Tokray can report, in one table: the enum, the stable names, the process exit codes and the HTTP
 * statuses are all derived from it (docs/errors.md is printed from it too).
 *
 * X(name, "stable.name", exit code, HTTP status, "one-line meaning")
 *
 * A row is added here and nowhere else.  Stable names never change their meaning once released.
 */
#ifndef TOKRAY_CODES_H
#define TOKRAY_CODES_H

#define TKR_CODES(X)                                                                                                   \
    X(USAGE_COMMAND, "usage.command", 2, 400, "no such command")                                                       \
    X(USAGE_OPTION, "usage.option", 2, 400, "no such option")                                                          \
    X(USAGE_VALUE, "usage.value", 2, 400, "an option's value cannot be read")                                          \
    X(USAGE_RANGE, "usage.range", 2, 400, "an option's value is out of range")                                         \
    X(USAGE_PARAMETER, "usage.parameter", 2, 400, "a method has no such parameter")                                    \
    X(USAGE_CONFLICT, "usage.conflict", 2, 400, "options that exclude each other")                                     \
    X(USAGE_METHOD, "usage.method", 2, 400, "no such method")                                                          \
    X(USAGE_TEXT, "usage.text", 2, 400, "no text was given")                                                           \
    X(USAGE_UTF8, "usage.utf8", 2, 400, "an argument is not UTF-8")                                                    \
    X(USAGE_CAPABILITY, "usage.capability", 2, 400, "the model cannot offer what the method needs")                    \
    X(USAGE_BASELINE, "usage.baseline", 2, 400, "the baseline does not suit the model")                                \
    X(USAGE_ARGUMENT, "usage.argument", 2, 400, "a function was called with an argument it does not take")             \
    X(INPUT_UTF8, "input.utf8", 3, 422, "the text is not UTF-8")                                                       \
    X(INPUT_EMPTY, "input.empty", 3, 422, "the text has no token to explain")                                          \
    X(INPUT_TOO_LONG, "input.too_long", 3, 422, "the text has more tokens than the model takes")                       \
    X(INPUT_TOKEN_ID, "input.token_id", 3, 422, "a token id the model has no embedding for")                           \
    X(INPUT_MASK, "input.mask", 3, 422, "the text has no mask token")                                                  \
    X(INPUT_SPAN, "input.span", 3, 422, "feature spans that overlap, are empty or leave the text")                     \
    X(INPUT_FILE, "input.file", 3, 422, "an input file cannot be read")                                                \
    X(INPUT_JSON, "input.json", 3, 422, "an input that should be JSON is not")                                         \
    X(INPUT_SCORER, "input.scorer", 3, 422, "an external scorer failed, or answered what is no score")                 \
    X(TARGET_SYNTAX, "target.syntax", 3, 422, "a target that cannot be read")                                          \
    X(TARGET_RANGE, "target.range", 3, 422, "a target outside the model's outputs")                                    \
    X(TARGET_UNKNOWN_LABEL, "target.unknown_label", 3, 422, "no such label")                                           \
    X(TARGET_UNKNOWN_TOKEN, "target.unknown_token", 3, 422, "not one token of the vocabulary")                         \
    X(TARGET_SAME, "target.same", 3, 422, "a contrast of a target with itself")                                        \
    X(TARGET_TASK, "target.task", 3, 422, "a target that does not suit the model's task")                              \
    X(PATH_NOT_FOUND, "path.not_found", 4, 404, "no such model folder or file")                                        \
    X(PATH_NOT_DIR, "path.not_dir", 4, 400, "a file where the model folder should be")                                 \
    X(PATH_NOT_REGULAR, "path.not_regular", 4, 400, "something other than a regular file")                             \
    X(PATH_ESCAPE, "path.escape", 4, 400, "a name or link that leads outside the model folder")                        \
    X(JSON_SYNTAX, "json.syntax", 4, 400, "a file that should be JSON is not")                                         \
    X(JSON_DEPTH, "json.depth", 4, 400, "JSON nested too deeply")                                                      \
    X(JSON_DUPLICATE_KEY, "json.duplicate_key", 4, 400, "a JSON object with the same key twice")                       \
    X(JSON_TYPE, "json.type", 4, 400, "a JSON value of the wrong type")                                                \
    X(JSON_STRING, "json.string", 4, 400, "a JSON string that cannot be a name")                                       \
    X(ST_TOO_SHORT, "st.too_short", 4, 400, "too short for a safetensors file")                                        \
    X(ST_HEADER_TOO_LARGE, "st.header_too_large", 4, 400, "a safetensors header over the limit")                       \
    X(ST_HEADER_LENGTH, "st.header_length", 4, 400, "a safetensors header that passes the end of the file")            \
    X(ST_HEADER_JSON, "st.header_json", 4, 400, "a safetensors header that is not a JSON object")                      \
    X(ST_LFS_POINTER, "st.lfs_pointer", 4, 400, "a git-lfs pointer instead of the weights")                            \
    X(ST_METADATA, "st.metadata", 4, 400, "safetensors metadata that are not strings")                                 \
    X(ST_ENTRY, "st.entry", 4, 400, "a malformed safetensors entry")                                                   \
    X(ST_DTYPE, "st.dtype", 4, 400, "an unknown safetensors dtype")                                                    \
    X(ST_SHAPE, "st.shape", 4, 400, "an impossible tensor shape")                                                      \
    X(ST_SIZE_OVERFLOW, "st.size_overflow", 4, 400, "a tensor larger than any file")                                   \
    X(ST_OFFSETS, "st.offsets", 4, 400, "tensor offsets outside the data")                                             \
    X(ST_SIZE_MISMATCH, "st.size_mismatch", 4, 400, "tensor shape and offsets disagree")                               \
    X(ST_OVERLAP, "st.overlap", 4, 400, "tensors that share bytes")                                                    \
    X(ST_GAP, "st.gap", 4, 400, "unused bytes between tensors")                                                        \
    X(ST_TRAILING, "st.trailing", 4, 400, "bytes after the last tensor")                                               \
    X(ST_NAME, "st.name", 4, 400, "a tensor name that cannot be")                                                      \
    X(INDEX_TYPE, "index.type", 4, 400, "a malformed shard index")                                                     \
    X(INDEX_MISSING, "index.missing", 4, 400, "a shard or a tensor the index promises is not there")                   \
    X(INDEX_DUPLICATE, "index.duplicate", 4, 400, "a tensor in two shards")                                            \
    X(CONFIG_MISSING, "config.missing", 4, 400, "config.json lacks a needed key")                                      \
    X(CONFIG_RANGE, "config.range", 4, 400, "a number in config.json is out of range")                                 \
    X(CONFIG_DIVIDE, "config.divide", 4, 400, "sizes in config.json do not divide")                                    \
    X(CONFIG_LABELS, "config.labels", 4, 400, "labels in config.json are not numbered 0 to n-1")                       \
    X(TOK_NOT_FOUND, "tok.not_found", 4, 404, "the folder has no tokenizer")                                           \
    X(TOK_ID, "tok.id", 4, 400, "a vocabulary id that cannot be")                                                      \
    X(TOK_DUPLICATE, "tok.duplicate", 4, 400, "a vocabulary entry or id twice")                                        \
    X(TOK_ADDED, "tok.added", 4, 400, "an added token at odds with the vocabulary")                                    \
    X(TOK_WORDPIECE, "tok.wordpiece", 4, 400, "a malformed WordPiece model")                                           \
    X(TOK_MERGE, "tok.merge", 4, 400, "a malformed BPE model")                                                         \
    X(TOK_BYTES, "tok.bytes", 4, 400, "byte pieces of a vocabulary that are malformed or not all there")               \
    X(TOK_PATTERN, "tok.pattern", 4, 400, "a regular expression of the tokenizer that cannot be used")                 \
    X(TOK_UNIGRAM, "tok.unigram", 4, 400, "a malformed Unigram model")                                                 \
    X(TOK_CHARSMAP, "tok.charsmap", 4, 400, "a malformed character map of a normalizer")                               \
    X(TOK_SENTENCEPIECE, "tok.sentencepiece", 4, 400, "a malformed SentencePiece file")                                \
    X(TOK_TEMPLATE, "tok.template", 4, 400, "a malformed post-processor template")                                     \
    X(WEIGHT_MISSING, "weight.missing", 4, 400, "tensors the model needs are not there")                               \
    X(WEIGHT_SHAPE, "weight.shape", 4, 400, "a tensor's shape is not what config.json wants")                          \
    X(WEIGHT_NONFINITE, "weight.nonfinite", 4, 400, "a weight is not a finite number")                                 \
    X(WEIGHT_MIXED, "weight.mixed", 4, 400, "tensor names with and without the model's prefix")                        \
    X(WEIGHT_EXTRA, "weight.extra", 4, 400, "tensors that nothing needs, under strict weights")                        \
    X(UNSUPPORTED_PICKLE, "unsupported.pickle", 4, 400, "weights only as a Python pickle")                             \
    X(UNSUPPORTED_FORMAT, "unsupported.format", 4, 400, "weights in a format Tokray does not read")                    \
    X(UNSUPPORTED_DTYPE, "unsupported.dtype", 4, 400, "a weight type Tokray does not compute with")                    \
    X(UNSUPPORTED_FAMILY, "unsupported.family", 4, 400, "a model family Tokray does not know")                         \
    X(UNSUPPORTED_HEAD, "unsupported.head", 4, 400, "the folder has no head for the task")                             \
    X(UNSUPPORTED_VALUE, "unsupported.value", 4, 400, "a config value Tokray does not support")                        \
    X(UNSUPPORTED_CONFIG_KEY, "unsupported.config_key", 4, 400, "a config key that changes the computation")           \
    X(UNSUPPORTED_QUANT, "unsupported.quant", 4, 400, "quantised weights")                                             \
    X(UNSUPPORTED_TOK_PART, "unsupported.tok_part", 4, 400, "a tokenizer component Tokray does not know")              \
    X(NUM_FORWARD, "num.forward", 5, 422, "an activation is not a finite number")                                      \
    X(NUM_WARNING, "num.warning", 5, 422, "a reliability warning under --strict")                                      \
    X(LIMIT_FILE_SIZE, "limit.file_size", 6, 413, "a file over its size limit")                                        \
    X(LIMIT_METADATA, "limit.metadata", 6, 413, "safetensors metadata over the limit")                                 \
    X(LIMIT_TENSORS, "limit.tensors", 6, 413, "too many tensors in a file")                                            \
    X(LIMIT_SHARDS, "limit.shards", 6, 413, "too many shards")                                                         \
    X(LIMIT_TOKENIZER, "limit.tokenizer", 6, 413, "a tokenizer over its limits")                                       \
    X(LIMIT_LABELS, "limit.labels", 6, 413, "too many labels")                                                         \
    X(LIMIT_TEXT, "limit.text", 6, 413, "a text over the size limit")                                                  \
    X(LIMIT_FEATURES, "limit.features", 6, 413, "too many features")                                                   \
    X(LIMIT_EVALS, "limit.evals", 6, 413, "a method needs more evaluations than there may be")                         \
    X(LIMIT_MEMORY, "limit.memory", 6, 507, "the run needs more memory than it may use")                               \
    X(LIMIT_OOM, "limit.oom", 6, 507, "the system gave no more memory")                                                \
    X(LIMIT_BUFFER, "limit.buffer", 6, 507, "an output over its size limit")                                           \
    X(TIME_DEADLINE, "time.deadline", 6, 504, "the time budget ended before a method that cannot stop early")            \
    X(TIME_PATTERN, "time.pattern", 6, 504, "a regular expression of the tokenizer gave up on the text")               \
    X(TIME_SCORER, "time.scorer", 6, 504, "an external scorer gave no answer in time")                                  \
    X(IO_OPEN, "io.open", 4, 500, "a file cannot be opened")                                                           \
    X(IO_READ, "io.read", 4, 500, "a file cannot be read")                                                             \
    X(IO_CHANGED, "io.changed", 4, 500, "a file changed while in use")                                                 \
    X(IO_WRITE, "io.write", 7, 500, "the output cannot be written")                                                    \
    X(IO_EXISTS, "io.exists", 7, 409, "the output exists already")                                                     \
    X(IO_NO_SPACE, "io.no_space", 6, 507, "no space left for the output")                                              \
    X(CANCELLED, "cancelled", 130, 499, "stopped on request")                                                          \
    X(TERMINATED, "terminated", 143, 499, "stopped by a termination signal")                                           \
    X(CLOSED_PIPE, "io.closed_pipe", 141, 499, "the reader of standard output went away")                              \
    X(INTERNAL, "internal", 70, 500, "a bug in Tokray")

#endif
