/*
 * Tokenizers: how fast the lines of a text become tokens on one thread, and how long opening takes.
 *
 *     bench_tokenizer [--rounds N] FOLDER FAMILY TEXT
 *
 * FOLDER holds a tokenizer.json or vocabulary files, FAMILY is the model_type that chooses the builder for the latter, TEXT is
 * UTF-8.  Each round encodes every line with its special tokens.  One line per round goes to standard output:
 *     open_ms,megabytes_per_s,tokens_per_s,tokens,hash of the ids
 * peers/tokenizers_peer.py reads these lines and compares them with another library, ids included.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <tokray/text.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/number.h"
#include "bench/report.h"
#include "support/workplace.h"
#include "text/tokenizer.h"

static const char PROGRAM[] = "bench_tokenizer";

typedef struct tally {
    uint64_t tokens, hash;
} tally;

static void encode_line(const tokenizer *t, view line, tally *sum)
{
    tkr_error error = {0};
    tkr_encoding *e = tokenizer_encode(t, line, (encode_options){0}, &error);
    if (!e)
        report_stop(PROGRAM, "encoding", &error);
    for (size_t i = 0; i < e->count; i++)
        sum->hash = (sum->hash ^ (uint64_t)e->tokens[i].id) * 0x100000001B3u; /* FNV-1a over ids */
    sum->tokens += e->count;
    tkr_encoding_free(e);
}

static void run_round(const tokenizer *t, view text, double open_seconds)
{
    tally sum = {.hash = 0xCBF29CE484222325u};
    double begun = clock_seconds();
    for (size_t at = 0; at <= text.size;) {
        const char *found = memchr(text.data + at, '\n', text.size - at);
        size_t end = found ? (size_t)(found - text.data) : text.size;
        encode_line(t, view_slice(text, at, end), &sum);
        at = end + 1;
    }
    double passed = clock_seconds() - begun;
    printf("%.2f,%.3f,%.0f,%" PRIu64 ",%016" PRIx64 "\n", 1e3 * open_seconds, 1e-6 * (double)text.size / passed,
           (double)sum.tokens / passed, sum.tokens, sum.hash);
}

static tokenizer *open_folder(const char *path, const char *family, double *seconds)
{
    tkr_error error = {0};
    double begun = clock_seconds();
    folder *f = folder_open(path, false, &error);
    tokenizer *t = f ? tokenizer_open(f, family, false, &error) : NULL;
    *seconds = clock_seconds() - begun;
    if (!t)
        report_stop(PROGRAM, path, &error);
    folder_close(f);
    return t;
}

int main(int argc, char **argv)
{
    int64_t rounds = 3;
    int first = 1;
    if (argc > 2 && strcmp(argv[1], "--rounds") == 0) {
        if (!number_parse_int(view_of(argv[2]), &rounds) || rounds < 1 || rounds > ROUNDS_MOST)
            report_stop(PROGRAM, "--rounds must be 1 to 64", NULL);
        first = 3;
    }
    if (argc - first != 3) {
        fprintf(stderr, "usage: %s [--rounds N] FOLDER FAMILY TEXT\n", PROGRAM);
        return 2;
    }
    double seconds;
    size_t size = 0;
    tokenizer *t = open_folder(argv[first], argv[first + 1], &seconds);
    const char *slash = strrchr(argv[first + 2], '/');
    char place[WORK_PATH] = ".";
    if (slash)
        snprintf(place, sizeof place, "%.*s", (int)(slash - argv[first + 2]), argv[first + 2]);
    char *text = work_read(slash == argv[first + 2] ? "/" : place, slash ? slash + 1 : argv[first + 2], &size);
    if (!text)
        report_stop(PROGRAM, argv[first + 2], NULL);
    for (int64_t i = 0; i < rounds; i++)
        run_round(t, (view){text, size}, seconds);
    free(text);
    tokenizer_free(t);
    return 0;
}
