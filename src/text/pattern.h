/*
 * Patterns of Split and Replace: a string, or a regular expression in the dialect of the reference (Oniguruma).
 *
 * The usual expressions (GPT-2, Llama 3 and its kin, Qwen2) are known by their text and served by hand-written scanners
 * (pattern_scan.c), which are exact and linear.  All others go to PCRE2 (pattern.c) under limits.
 */
#ifndef TEXT_PATTERN_H
#define TEXT_PATTERN_H

#include "text/loader.h"
#include "text/normalized.h"

enum { PATTERNS_MOST = 32, PATTERN_BYTES_MOST = 8192, PATTERN_DEPTH_MOST = 250 };

typedef struct pattern pattern;

/* The field "pattern" of a part: {"String": "..."} or {"Regex": "..."}.  role names the part in messages ("pre_tokenizer
 * Split").  Lives in the loader's arena, read only.  NULL with tok.pattern, json.type or limit.tokenizer. */
const pattern *pattern_load(loader *l, const json_t *object, const char *role);
/* A plain string, not empty, in memory that lives as long as the loader's arena. */
const pattern *pattern_of_string(loader *l, view string);
/* A regular expression at hand. */
const pattern *pattern_compile(loader *l, view expression, const char *role);
/* Tests: as pattern_compile, but never a hand-written scanner. */
const pattern *pattern_compile_general(loader *l, view expression, const char *role);

/* A walk over the matches of texts.  Init, then for each text: set the text, call next until false; fini at the end. */
typedef struct pattern_search {
    const pattern *pattern;
    void *room;          /* PCRE2's match data                                     */
    view text;
    size_t base;         /* where the text begins in `blame`                       */
    normalized *blame;   /* failures are remembered here                           */
    size_t at;           /* where the next match may begin                         */
    size_t last_end;     /* end of the last match, SIZE_MAX: none yet              */
} pattern_search;

void pattern_search_init(pattern_search *s, const pattern *p, normalized *blame);
/* Search bytes [begin, end) of blame's text as a text of its own: nothing around it is seen. */
void pattern_search_text(pattern_search *s, size_t begin, size_t end);
/* The next match, in bytes of blame's text; matches do not overlap and may be empty (but not right after a match).
 * False: no more, or blame has failed (out of memory, or the expression was too expensive: normalized_give_up). */
bool pattern_search_next(pattern_search *s, size_t *begin, size_t *end);
void pattern_search_fini(pattern_search *s);

/* ---- hand-written scanners (pattern_scan.c) ---------------------------------------------------------------------- */

/* End of the match that begins at `at` (< text.size); these expressions match everywhere. */
typedef size_t pattern_scanner(view text, size_t at);
/* The scanner of a known expression, or NULL. */
pattern_scanner *pattern_scanner_of(view expression);
pattern_scanner pattern_scan_gpt2;
/* The same where a space stands before `at` that is not in the text; the answer may be `at`: the space alone. */
pattern_scanner pattern_scan_gpt2_after_space;

#endif
