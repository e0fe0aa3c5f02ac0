/*
 * Metaspace, pre-tokenizer and decoder.
 *
 * Known to go wrong: old files say add_prefix_space instead of prepend_scheme; "first" asks where the piece begins in the
 * user's text, so that text after an added token gets no prefix; a prefix is also put before a piece that begins with
 * another white space, but not before one that begins with the character itself.
 */
#include "text/metaspace.h"

#include "base/memory.h"
#include "base/utf8.h"
#include "text/pretokenizer.h"

typedef enum prepend_scheme { PREPEND_FIRST, PREPEND_NEVER, PREPEND_ALWAYS } prepend_scheme;

typedef struct metaspace {
    view sign; /* one character */
    prepend_scheme scheme;
    bool splits;
} metaspace;

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static bool read_scheme(loader *l, const json_t *object, metaspace *m)
{
    static const char *const names[] = {"first", "never", "always"};
    view name = VIEW("always");
    bool adds = true;
    if (!loader_text(l, object, "prepend_scheme", false, &name) || !loader_flag(l, object, "add_prefix_space", &adds))
        return false;
    if (!adds && !json_object_get(object, "prepend_scheme"))
        name = VIEW("never");
    size_t i = 0;
    while (i < 3 && !view_is(name, names[i]))
        i++;
    m->scheme = (prepend_scheme)i;
    if (i < 3 && (adds || m->scheme == PREPEND_NEVER))
        return true;
    if (i < 3)
        fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: add_prefix_space false and prepend_scheme %s of a Metaspace disagree",
             l->file, QUOTE(name));
    else
        fail(l->error, TKR_E_UNSUPPORTED_TOK_PART, "%s: prepend_scheme %s is not supported", l->file, QUOTE(name));
    fail_facts(l->error, "supported: first, never, always");
    return false;
}

const void *metaspace_load(loader *l, const json_t *object)
{
    metaspace *m = LOADER_NEW(l, metaspace, 1);
    if (!m)
        return NULL;
    *m = (metaspace){VIEW("\xE2\x96\x81"), PREPEND_ALWAYS, true};
    if (!loader_text(l, object, "replacement", false, &m->sign) || !loader_flag(l, object, "split", &m->splits) ||
        !read_scheme(l, object, m))
        return NULL;
    if (m->sign.size == 0 || utf8_count(m->sign) != 1)
        return fail_null(l->error, TKR_E_JSON_TYPE, "%s: replacement of a Metaspace is %s; it must be one character", l->file,
                         QUOTE(m->sign));
    return m;
}

/* ---- pre-tokenizer ----------------------------------------------------------------------------------------------- */

/* Is the sign put in front of the piece that begins at `begin`? */
static bool wants_prefix(const metaspace *m, const normalized *text, size_t begin, size_t end)
{
    view piece = view_slice(normalized_view(text), begin, end);
    if (piece.size == 0 || m->scheme == PREPEND_NEVER || piece.data[0] == ' ' || view_begins(piece, m->sign))
        return false;
    return m->scheme == PREPEND_ALWAYS || text->from[begin].begin == 0;
}

/* The sign has the range of the character it comes before. */
static void put_in_front(rewriter *r, view sign)
{
    size_t at = r->at, bytes;
    rewriter_peek(r, &bytes);
    r->at += bytes;
    rewriter_insert_text(r, sign);
    r->at = at;
}

/* Rewrite one piece and cut it where signs begin. */
static void run_piece(const metaspace *m, rewriter *r, text_piece piece, piece_list *out)
{
    const normalized *text = r->text;
    size_t begin = r->fresh.size;
    if (wants_prefix(m, text, piece.begin, piece.end))
        put_in_front(r, m->sign);
    for (size_t at = piece.begin; at < piece.end && normalized_ok(&r->fresh); at = r->at) {
        view rest = view_slice(normalized_view(text), at, piece.end);
        bool is_space = rest.data[0] == ' ', is_sign = is_space || view_begins(rest, m->sign);
        if (is_sign && m->splits && r->fresh.size > begin) {
            pieces_add(out, begin, r->fresh.size, -1);
            begin = r->fresh.size;
        }
        if (is_space) {
            r->at++;
            rewriter_insert_text(r, m->sign);
            continue;
        }
        size_t bytes = is_sign ? m->sign.size : 1;
        while (bytes < rest.size && rest.data[bytes] != ' ' && rest.data[bytes] != m->sign.data[0])
            bytes++;
        rewriter_keep_bytes(r, bytes);
    }
    pieces_add(out, begin, r->fresh.size, -1);
}

static void metaspace_run(const void *data, normalized *text, piece_list *pieces)
{
    const metaspace *m = data;
    piece_list out = {.failed = pieces->failed};
    rewriter r;
    rewriter_begin(&r, text);
    for (size_t i = 0; i < pieces->count && normalized_ok(&r.fresh) && !out.failed; i++) {
        text_piece p = pieces->items[i];
        rewriter_drop_bytes(&r, p.begin - r.at); /* what no piece holds has been removed */
        if (p.added < 0) {
            run_piece(m, &r, p, &out);
            continue;
        }
        size_t begin = r.fresh.size;
        rewriter_keep_bytes(&r, p.end - p.begin);
        pieces_add(&out, begin, r.fresh.size, p.added);
    }
    rewriter_end(&r);
    pieces_fini(pieces);
    *pieces = out;
}

const pretokenizer_kind pretokenizer_metaspace = {{"Metaspace"}, metaspace_load, metaspace_run};

/* ---- decoder ----------------------------------------------------------------------------------------------------- */

void metaspace_decode(const void *data, token_strings *s)
{
    const metaspace *m = data;
    token_strings fresh;
    token_strings_init(&fresh);
    for (size_t i = 0; i < s->count && !fresh.failed; i++) {
        bool drops = i == 0 && m->scheme != PREPEND_NEVER;
        token_strings_append(&fresh, token_strings_get(s, i), m->sign, drops ? VIEW("") : VIEW(" "));
        token_strings_close(&fresh);
    }
    token_strings_swap(s, &fresh);
}
