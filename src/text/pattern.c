/*
 * Patterns by PCRE2.
 *
 * The reference reads expressions in the dialect of Oniguruma, so an expression is rewritten before PCRE2 sees it: \s, \w,
 * \b, \h and [:alpha:] mean other sets there, ^ and $ always stand at lines, and (?m) makes a dot match line ends.  What
 * would silently mean something else (classes in classes, &&, verbs, \Q) is refused.
 *
 * Compiled code lives in the tokenizer's arena; what a match needs is taken from the heap for each walk, so any number of
 * threads may search at once.  Matches run without just-in-time code, under limits of steps, heap and depth.
 *
 * Known to go wrong: PCRE2 knows the letters of its own Unicode version only (the scanners know 16.0); \S and \W inside a
 * class are PCRE2's; the limits hold for one match from one place, so an expression that fails slowly everywhere is as slow
 * here as it is in the reference.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "text/pattern.h"

#include <pcre2.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "base/utf8.h"

enum {
    PATTERN_STEPS_MOST = 1000000,
    PATTERN_HEAP_KIB_MOST = 16 << 10,
    PATTERN_FRAMES_MOST = 100000,
    PATTERN_REWRITTEN_MOST = 2 << 20,
};

struct pattern {
    size_t number;            /* among the expressions of its tokenizer        */
    view string;              /* a plain string, when there is no other way    */
    pattern_scanner *scanner;
    pcre2_code *code;
};

/* ---- from Oniguruma's dialect to PCRE2's ------------------------------------------------------------------------- */

#define SPACES "\\x09-\\x0D\\x20\\x{85}\\x{A0}\\x{1680}\\x{2000}-\\x{200A}\\x{2028}\\x{2029}\\x{202F}\\x{205F}\\x{3000}"
#define WORDS \
    "\\p{L}\\p{M}\\p{N}\\p{Pc}\\x{24B6}-\\x{24E9}\\x{1F130}-\\x{1F149}\\x{1F150}-\\x{1F169}\\x{1F170}-\\x{1F189}"
#define WORD_EDGE "(?:(?<=[" WORDS "])(?![" WORDS "])|(?<![" WORDS "])(?=[" WORDS "]))"
#define NO_WORD_EDGE "(?:(?<=[" WORDS "])(?=[" WORDS "])|(?<![" WORDS "])(?![" WORDS "]))"
#define HEXES "0-9A-Fa-f"

typedef struct rewriting {
    view in;
    size_t at;
    buffer out;
    bool in_class;
    const char *refused; /* why, or NULL */
} rewriting;

static char rewriting_look(const rewriting *r, size_t ahead)
{
    return r->at + ahead < r->in.size ? r->in.data[r->at + ahead] : '\0';
}

static void rewriting_copy(rewriting *r, size_t bytes)
{
    if (bytes > r->in.size - r->at)
        bytes = r->in.size - r->at;
    buffer_append(&r->out, r->in.data + r->at, bytes);
    r->at += bytes;
}

static void rewrite_set(rewriting *r, const char *set, bool negated)
{
    buffer_text(&r->out, r->in_class ? "" : negated ? "[^" : "[");
    buffer_text(&r->out, set);
    buffer_text(&r->out, r->in_class ? "" : "]");
    r->at += 2;
}

static void rewrite_escape(rewriting *r)
{
    char c = rewriting_look(r, 1);
    bool negated = c == 'S' || c == 'W' || c == 'H';
    if (c == 'Q' || c == 'E')
        r->refused = "\\Q and \\E are not supported";
    else if (c == 'H' && r->in_class)
        r->refused = "\\H inside a class is not supported";
    else if ((c == 's' || c == 'S') && !(negated && r->in_class))
        rewrite_set(r, SPACES, negated);
    else if ((c == 'w' || c == 'W') && !(negated && r->in_class))
        rewrite_set(r, WORDS, negated);
    else if (c == 'h' || c == 'H')
        rewrite_set(r, HEXES, negated);
    else if ((c == 'b' || c == 'B') && !r->in_class) {
        buffer_text(&r->out, c == 'b' ? WORD_EDGE : NO_WORD_EDGE);
        r->at += 2;
    } else
        rewriting_copy(r, 2);
}

/* [:space:] and its like inside a class: some mean other sets to PCRE2. */
static void rewrite_named_set(rewriting *r)
{
    static const char *const sets[][2] = {
        {"[:alpha:]", "\\p{Alphabetic}"}, {"[:alnum:]", "\\p{Alphabetic}\\p{Nd}"}, {"[:space:]", SPACES}, {"[:word:]", WORDS}};
    view rest = view_slice(r->in, r->at, r->in.size);
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
        if (view_begins(rest, view_of(sets[i][0]))) {
            buffer_text(&r->out, sets[i][1]);
            r->at += strlen(sets[i][0]);
            return;
        }
    }
    const char *end = memchr(rest.data, ']', rest.size);
    rewriting_copy(r, end ? (size_t)(end - rest.data) + 1 : rest.size);
}

/* A byte inside [...]. */
static void rewrite_in_class(rewriting *r)
{
    char c = rewriting_look(r, 0);
    if (c == ']')
        r->in_class = false;
    if (c == '[' && rewriting_look(r, 1) != ':')
        r->refused = "a class inside a class is not supported";
    else if (c == '&' && rewriting_look(r, 1) == '&')
        r->refused = "&& inside a class is not supported";
    else if (c == '[')
        rewrite_named_set(r);
    else
        rewriting_copy(r, 1);
}

/* ( and what may follow it directly. */
static void rewrite_group(rewriting *r)
{
    if (rewriting_look(r, 1) == '*') {
        r->refused = "verbs (*...) are not supported";
        return;
    }
    if (rewriting_look(r, 1) != '?') {
        rewriting_copy(r, 1);
        return;
    }
    if (rewriting_look(r, 2) == 'C') {
        r->refused = "callouts (?C...) are not supported";
        return;
    }
    rewriting_copy(r, 2);
    for (char c; (c = rewriting_look(r, 0)) == 'i' || c == 'm' || c == 'x' || c == '-';) { /* m: dots match line ends */
        buffer_byte(&r->out, c == 'm' ? 's' : c);
        r->at++;
    }
}

static void rewrite_class_begin(rewriting *r)
{
    r->in_class = true;
    rewriting_copy(r, rewriting_look(r, 1) == '^' ? 2 : 1);
    if (rewriting_look(r, 0) == ']')
        rewriting_copy(r, 1);
}

/* Rewrite until the new text has `most` bytes. */
static void rewrite(rewriting *r, size_t most)
{
    while (r->at < r->in.size && r->out.size < most && !r->refused && !r->out.failed) {
        char c = r->in.data[r->at];
        if (c == '\\')
            rewrite_escape(r);
        else if (r->in_class)
            rewrite_in_class(r);
        else if (c == '(')
            rewrite_group(r);
        else if (c == '[')
            rewrite_class_begin(r);
        else
            rewriting_copy(r, 1);
    }
}

/* The byte of the expression that byte `offset` of the new text was made of. */
static size_t source_offset(view expression, size_t offset)
{
    rewriting r = {.in = expression};
    buffer_init(&r.out, PATTERN_REWRITTEN_MOST);
    rewrite(&r, offset);
    buffer_fini(&r.out);
    return r.at;
}

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static void *take_from_arena(size_t size, void *memory)
{
    return arena_alloc(memory, size, 1);
}

static void leave_in_arena(void *block, void *memory)
{
    (void)block;
    (void)memory;
}

static pcre2_code *compile(loader *l, view rewritten, int *code, size_t *offset)
{
    pcre2_general_context *general = pcre2_general_context_create(take_from_arena, leave_in_arena, l->memory);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    *code = PCRE2_ERROR_NOMEMORY;
    if (!context)
        return NULL;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, PATTERN_DEPTH_MOST);
    return pcre2_compile((PCRE2_SPTR)rewritten.data, rewritten.size,
                         PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, code, offset, context);
}

static bool fail_pattern(loader *l, size_t number, const char *what, size_t offset)
{
    fail(l->error, TKR_E_TOK_PATTERN, "%s: pattern %zu: %s at offset %zu", l->file, number, what, offset);
    return false;
}

static bool compile_general(loader *l, view expression, pattern *p)
{
    rewriting r = {.in = expression};
    int code = 0;
    size_t offset = 0;
    buffer_init(&r.out, PATTERN_REWRITTEN_MOST);
    rewrite(&r, SIZE_MAX);
    bool good = false;
    if (r.refused)
        fail_pattern(l, p->number, r.refused, r.at);
    else if (!buffer_ok(&r.out))
        fail_memory(l->error, l->file, expression.size);
    else if ((p->code = compile(l, buffer_as_view(&r.out), &code, &offset)) != NULL)
        good = true;
    else if (code == PCRE2_ERROR_NOMEMORY)
        fail_memory(l->error, l->file, expression.size);
    else {
        char text[256] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        fail_pattern(l, p->number, text, source_offset(expression, offset));
    }
    buffer_fini(&r.out);
    return good;
}

static const pattern *compile_expression(loader *l, view expression, const char *role, bool may_scan)
{
    if (expression.size == 0 || expression.size > PATTERN_BYTES_MOST)
        return fail_null(l->error, TKR_E_TOK_PATTERN, "%s: pattern %zu (%s) has %zu bytes; it must have 1 to %d", l->file,
                         l->patterns, role, expression.size, PATTERN_BYTES_MOST);
    if (l->patterns == PATTERNS_MOST)
        return fail_null(l->error, TKR_E_LIMIT_TOKENIZER, "%s: more than %d regular expressions", l->file, PATTERNS_MOST);
    pattern *p = LOADER_NEW(l, pattern, 1);
    if (!p)
        return NULL;
    p->number = l->patterns++;
    p->scanner = may_scan ? pattern_scanner_of(expression) : NULL;
    return p->scanner || compile_general(l, expression, p) ? p : NULL;
}

const pattern *pattern_compile(loader *l, view expression, const char *role)
{
    return compile_expression(l, expression, role, true);
}

const pattern *pattern_compile_general(loader *l, view expression, const char *role)
{
    return compile_expression(l, expression, role, false);
}

const pattern *pattern_of_string(loader *l, view string)
{
    pattern *p = LOADER_NEW(l, pattern, 1);
    if (p)
        p->string = string;
    return p;
}

const pattern *pattern_load(loader *l, const json_t *object, const char *role)
{
    const json_t *field = json_object_get(object, "pattern"), *regex = json_object_get(field, "Regex");
    if (!json_is_object(field))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: pattern of %s is %s; it must be an object", l->file, role,
                         json_kind_name(field));
    if (regex && !json_is_string(regex))
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: Regex of %s is %s; it must be a string", l->file, role,
                         json_kind_name(regex));
    if (regex)
        return pattern_compile(l, (view){json_string_value(regex), json_string_length(regex)}, role);
    view string;
    if (!loader_text(l, field, "String", true, &string))
        return NULL;
    if (string.size == 0)
        return fail_null(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: %s with an empty pattern is not supported", l->file,
                         role);
    return pattern_of_string(l, string);
}

/* ---- searching --------------------------------------------------------------------------------------------------- */

/* What a walk needs of PCRE2. */
typedef struct search_room {
    pcre2_general_context *general;
    pcre2_match_context *context;
    pcre2_match_data *data;
} search_room;

static void *take_from_heap(size_t size, void *unused)
{
    (void)unused;
    return memory_new(size, 1);
}

static void give_back(void *block, void *unused)
{
    (void)unused;
    memory_free(block);
}

static void room_free(search_room *room)
{
    if (!room)
        return;
    pcre2_match_data_free(room->data);
    pcre2_match_context_free(room->context);
    pcre2_general_context_free(room->general);
    memory_free(room);
}

static search_room *room_new(const pattern *p)
{
    search_room *room = NEW(search_room, 1);
    if (room && (room->general = pcre2_general_context_create(take_from_heap, give_back, NULL)) != NULL &&
        (room->context = pcre2_match_context_create(room->general)) != NULL &&
        (room->data = pcre2_match_data_create_from_pattern(p->code, room->general)) != NULL) {
        pcre2_set_match_limit(room->context, PATTERN_STEPS_MOST);
        pcre2_set_heap_limit(room->context, PATTERN_HEAP_KIB_MOST);
        pcre2_set_depth_limit(room->context, PATTERN_FRAMES_MOST);
        return room;
    }
    room_free(room);
    return NULL;
}

void pattern_search_init(pattern_search *s, const pattern *p, normalized *blame)
{
    *s = (pattern_search){.pattern = p, .blame = blame, .text = VIEW("")};
    if (p->code && !(s->room = room_new(p)))
        blame->failed = true;
}

void pattern_search_fini(pattern_search *s)
{
    room_free(s->room);
    s->room = NULL;
}

void pattern_search_text(pattern_search *s, size_t begin, size_t end)
{
    s->text = view_slice(normalized_view(s->blame), begin, end);
    s->base = begin;
    s->at = 0;
    s->last_end = SIZE_MAX;
}

static bool find_string(pattern_search *s, size_t *begin, size_t *end)
{
    view string = s->pattern->string;
    const char *found = memmem(s->text.data + s->at, s->text.size - s->at, string.data, string.size);
    if (!found)
        return false;
    *begin = (size_t)(found - s->text.data);
    *end = *begin + string.size;
    return true;
}

static bool find_general(pattern_search *s, size_t *begin, size_t *end)
{
    search_room *room = s->room;
    int answer = pcre2_match(s->pattern->code, (PCRE2_SPTR)s->text.data, s->text.size, s->at, PCRE2_NO_UTF_CHECK,
                             room->data, room->context);
    if (answer == PCRE2_ERROR_NOMATCH)
        return false;
    if (answer == PCRE2_ERROR_NOMEMORY)
        s->blame->failed = true;
    else if (answer < 0)
        normalized_give_up(s->blame, s->pattern->number, s->base + s->at);
    const size_t *pair = pcre2_get_ovector_pointer(room->data);
    *begin = answer < 0 ? 0 : pair[0];
    *end = answer < 0 ? 0 : pair[1];
    return answer >= 0 && *begin >= s->at && *end >= *begin;
}

static bool find_next(pattern_search *s, size_t *begin, size_t *end)
{
    if (s->at > s->text.size || s->blame->failed)
        return false;
    if (s->pattern->code)
        return find_general(s, begin, end);
    if (s->at == s->text.size)
        return false;
    if (!s->pattern->scanner)
        return find_string(s, begin, end);
    *begin = s->at;
    *end = s->pattern->scanner(s->text, s->at);
    return true;
}

bool pattern_search_next(pattern_search *s, size_t *begin, size_t *end)
{
    while (find_next(s, begin, end)) {
        if (*begin == *end && *begin == s->last_end) { /* empty and right after a match: look one character further on */
            uint32_t c;
            size_t bytes = s->at < s->text.size ? utf8_decode(s->text, s->at, &c) : 1;
            s->at += bytes ? bytes : 1;
            continue;
        }
        s->at = s->last_end = *end;
        *begin += s->base;
        *end += s->base;
        return true;
    }
    return false;
}
