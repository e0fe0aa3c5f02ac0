/*
 * Trees over players; see player_tree.h.
 *
 * Breaks are read off the user's bytes, since tokens hide them: a byte-level token may begin with the space before its word, and
 * "3.14" has no sentence in it.  A mark ends something only where white space follows, but for those of scripts that have
 * none.  Closing quotes and brackets belong to what they close.  Without a text (ids) the vocabulary entries must do.
 *
 * shap's greedy tree looks at neighbours alone and is O(players^2); its scores are kept as they are, so that results can be
 * compared, with one difference: an opening bracket waits for its own closer (there a comparison of unlike things made it
 * wait for any).
 */
#include "explain/player_tree.h"

#include <math.h>

#include "base/failure.h"

/* ---- building ---- */

typedef struct builder {
    size_t players, used;
    uint32_t *left, *right;
} builder;

static tkr_status builder_init(builder *b, size_t players, arena *a, tkr_error *error)
{
    *b = (builder){.players = players};
    b->left = ARENA_NEW(a, uint32_t, players);
    b->right = ARENA_NEW(a, uint32_t, players);
    return b->left && b->right ? TKR_OK : fail_memory(error, "a tree", players);
}

static uint32_t join_two(builder *b, uint32_t left, uint32_t right)
{
    b->left[b->used] = left;
    b->right[b->used] = right;
    return (uint32_t)(b->players + b->used++);
}

/* By halves; count > 0. */
static uint32_t join_all(builder *b, const uint32_t *nodes, size_t count)
{
    if (count == 1)
        return nodes[0];
    size_t first = (count + 1) / 2;
    uint32_t left = join_all(b, nodes, first);
    return join_two(b, left, join_all(b, nodes + first, count - first));
}

static player_tree tree_of(const builder *b) { return (player_tree){.players = b->players, .left = b->left, .right = b->right}; }

tkr_status player_tree_join(player_tree *t, const player_break *given, size_t players, arena *a, tkr_error *error)
{
    builder b = {0};
    uint32_t *nodes = ARENA_NEW(a, uint32_t, players);
    player_break *after = ARENA_NEW(a, player_break, players); /* after[k]: between nodes k and k + 1 */
    tkr_status status = nodes && after ? builder_init(&b, players, a, error) : fail_memory(error, "a tree", players);
    if (status)
        return status;
    for (size_t i = 0; i < players; i++) {
        nodes[i] = (uint32_t)i;
        after[i] = i + 1 < players ? given[i] : BREAK_TEXT;
    }
    /* at each level the nodes that only lower breaks part become one */
    size_t count = players;
    for (int level = BREAK_WORD; level <= BREAK_LEVELS; level++) {
        size_t kept = 0;
        for (size_t begin = 0, end; begin < count; begin = end) {
            for (end = begin + 1; end < count && (int)after[end - 1] < level; end++)
                ;
            nodes[kept] = join_all(&b, nodes + begin, end - begin);
            after[kept++] = after[end - 1];
        }
        count = kept;
    }
    *t = tree_of(&b);
    return TKR_OK;
}

/* Of one branch in one context: its two parts, and each of them again with the other off and on. */
static double branch_evaluations(const player_tree *t, uint32_t piece)
{
    if (piece < t->players)
        return 0;
    uint32_t joint = piece - (uint32_t)t->players;
    return 2 + 2 * (branch_evaluations(t, t->left[joint]) + branch_evaluations(t, t->right[joint]));
}

double player_tree_evaluations(const player_tree *t, int fixed_context)
{
    if (t->players < 2 || fixed_context >= 0)
        return t->players ? 2 * (double)t->players : 1;
    return 2 + branch_evaluations(t, (uint32_t)player_tree_nodes(t) - 1);
}

/* ---- breaks ---- */

static bool closes(char c) { return c == '"' || c == '\'' || c == ')' || c == ']'; }

static bool ends_with(view text, const char *mark)
{
    size_t size = strlen(mark);
    return text.size >= size && memcmp(text.data + text.size - size, mark, size) == 0;
}

/* The break that a mark at the end of `before` makes; is_parted: white space follows. */
static player_break break_of_mark(view before, bool is_parted)
{
    static const struct {
        const char *mark;
        player_break level;
        bool needs_space;
    } marks[] = {
        {".", BREAK_SENTENCE, true}, {"!", BREAK_SENTENCE, true}, {"?", BREAK_SENTENCE, true},
        {",", BREAK_CLAUSE, true},   {";", BREAK_CLAUSE, true},   {":", BREAK_CLAUSE, true},
        {"\xE3\x80\x82", BREAK_SENTENCE, false}, /* ideographic full stop */
        {"\xEF\xBC\x81", BREAK_SENTENCE, false}, /* fullwidth exclamation mark */
        {"\xEF\xBC\x9F", BREAK_SENTENCE, false}, /* fullwidth question mark */
        {"\xD8\x9F", BREAK_SENTENCE, true},      /* Arabic question mark */
        {"\xE0\xA5\xA4", BREAK_SENTENCE, true},  /* danda */
        {"\xEF\xBC\x8C", BREAK_CLAUSE, false},   /* fullwidth comma */
        {"\xE3\x80\x81", BREAK_CLAUSE, false},   /* ideographic comma */
        {"\xD8\x8C", BREAK_CLAUSE, true},        /* Arabic comma */
    };
    while (before.size > 0 && closes(before.data[before.size - 1]))
        before.size--;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (ends_with(before, marks[i].mark) && (is_parted || !marks[i].needs_space))
            return marks[i].level;
    return BREAK_NONE;
}

/* The strongest break in the bytes from the end of one feature to the beginning of the next. */
static player_break break_in_text(view text, const feature *a, const feature *b)
{
    size_t end = (size_t)a->end, begin = (size_t)b->begin;
    player_break most = end > 0 && text.data[end - 1] == '\n' ? BREAK_SENTENCE : BREAK_WORD;
    for (size_t at = end; at <= begin; at++) {
        player_break here = break_of_mark(view_slice(text, 0, at), at < text.size && byte_is_space(text.data[at]));
        if (at < begin && text.data[at] == '\n')
            here = BREAK_SENTENCE;
        most = here > most ? here : most;
    }
    return most;
}

/* first: first token of the word that feature a ends in. */
static player_break break_between(const question *q, size_t first, const feature *a, const feature *b)
{
    size_t last = a->members[a->count - 1], next = b->members[0];
    if (a->text != b->text)
        return BREAK_TEXT;
    if (next == last + 1 && question_continues_word(q, first, next))
        return BREAK_NONE;
    if (a->begin >= 0 && b->begin >= 0)
        return break_in_text(q->texts[a->text], a, b);
    player_break marked = break_of_mark(view_of(q->tokens[last].raw), true);
    return marked ? marked : BREAK_WORD;
}

void player_tree_breaks(player_break *breaks, const question *q, const uint32_t *feature_of_player, size_t players)
{
    size_t first = 0; /* of the word that goes on */
    for (size_t i = 0; i + 1 < players; i++) {
        const feature *a = &q->features[feature_of_player[i]], *b = &q->features[feature_of_player[i + 1]];
        if (i == 0 || breaks[i - 1] != BREAK_NONE)
            first = a->members[0];
        for (size_t m = 1; m < a->count; m++) /* the last word of several */
            if (a->members[m] != a->members[m - 1] + 1 || !question_continues_word(q, first, a->members[m]))
                first = a->members[m];
        breaks[i] = break_between(q, first, a, b);
    }
}

/* ---- shap's greedy tree ---- */

/* A token as shap sees it. */
typedef struct piece {
    view text;
    int32_t of_text;
    bool continues, is_balanced;
} piece;

/* A run of tokens that has become one node. */
typedef struct group {
    size_t begin, end;
    uint32_t node;
} group;

static bool is_one_of(view text, const char *const *list)
{
    while (*list && !view_is(text, *list))
        list++;
    return *list;
}

static bool is_control(view text) { return text.size > 1 && text.data[0] == '[' && text.data[text.size - 1] == ']'; }

/* Joining across a mark comes late; a mark alone on the right is joined to what it ends. */
static double mark_cost(const piece *last, const piece *next, bool is_alone, const char *const *marks, double cost)
{
    return (is_one_of(last->text, marks) ? cost : 0) + (!is_one_of(next->text, marks) ? 0 : is_alone ? 1 : cost);
}

static double merge_score(const piece *pieces, group a, group b)
{
    static const char *const commas[] = {",", NULL}, *const stops[] = {".", "?", "!", NULL}, *const endings[] = {"t", "s", NULL},
                      *const connectors[] = {"but", "and", "or", NULL};
    const piece *first = &pieces[a.begin], *last = &pieces[a.end - 1], *next = &pieces[b.begin], *end = &pieces[b.end - 1];
    bool is_alone = b.end - b.begin == 1, is_ending = b.end - b.begin == 2 && is_one_of(end->text, endings);
    if (last->of_text != next->of_text)
        return -(double)INFINITY;
    double sum = -(double)(b.end - a.begin);
    sum += next->continues ? 20 : 0;
    sum += view_is(next->text, "'") && (is_alone || is_ending) ? 15 : 0;
    sum += view_is(last->text, "'") && is_one_of(next->text, endings) ? 15 : 0;
    sum -= is_control(first->text) != is_control(end->text) ? 1000 : 0;
    sum -= view_is(next->text, "(") && !next->is_balanced ? 100 : 0;
    sum -= view_is(last->text, ")") && !last->is_balanced ? 100 : 0;
    sum -= view_is(first->text, "(") && !view_is(end->text, ")") ? 2 : 0;
    sum -= is_one_of(last->text, connectors) || is_one_of(next->text, connectors) ? 2 : 0;
    return sum - mark_cost(last, next, is_alone, commas, 10) - mark_cost(last, next, is_alone, stops, 20);
}

static view trimmed(view text)
{
    while (text.size > 0 && byte_is_space(text.data[0]))
        text = view_slice(text, 1, text.size);
    return text;
}

static piece piece_of(const question *q, size_t token, size_t first, bool is_next)
{
    const tkr_token *t = &q->tokens[token];
    view text = t->begin < 0 ? view_of(t->raw) : trimmed(view_slice(q->texts[t->text], (size_t)t->begin, (size_t)t->end));
    return (piece){.text = text, .of_text = t->text, .continues = is_next && question_continues_word(q, first, token)};
}

static void list_pieces(piece *pieces, group *groups, const question *q, const uint32_t *feature_of_player, size_t players)
{
    size_t count = 0, first = 0, before = SIZE_MAX - 1;
    for (size_t i = 0; i < players; i++) {
        const feature *f = &q->features[feature_of_player[i]];
        groups[i] = (group){count, count + f->count, (uint32_t)i};
        for (size_t m = 0; m < f->count; m++, count++) {
            pieces[count] = piece_of(q, f->members[m], first, f->members[m] == before + 1);
            first = pieces[count].continues ? first : f->members[m];
            before = f->members[m];
        }
    }
}

/* The pair with the highest score, the first among equals. */
static size_t best_pair(const double *scores, size_t count)
{
    size_t best = 0;
    for (size_t k = 1; k < count; k++)
        best = scores[k] > scores[best] ? k : best;
    return best;
}

static tkr_status join_greedily(player_tree *t, const question *q, const uint32_t *feature_of_player, size_t players, arena *a,
                                tkr_error *error)
{
    builder b = {0};
    piece *pieces = ARENA_NEW(a, piece, q->length);
    group *groups = ARENA_NEW(a, group, players);
    double *scores = ARENA_NEW(a, double, players);
    tkr_status status = pieces && groups && scores ? builder_init(&b, players, a, error) : fail_memory(error, "a tree", players);
    if (status)
        return status;
    list_pieces(pieces, groups, q, feature_of_player, players);
    for (size_t left = players; left > 1; left--) {
        for (size_t k = 0; k + 1 < left; k++)
            scores[k] = merge_score(pieces, groups[k], groups[k + 1]);
        size_t best = best_pair(scores, left - 1);
        group *joined = &groups[best];
        *joined = (group){joined->begin, groups[best + 1].end, join_two(&b, joined->node, groups[best + 1].node)};
        memmove(joined + 1, joined + 2, (left - best - 2) * sizeof *joined);
        piece *open = &pieces[joined->begin], *close = &pieces[joined->end - 1];
        if (view_is(open->text, "(") && view_is(close->text, ")"))
            open->is_balanced = close->is_balanced = true;
    }
    *t = tree_of(&b);
    return TKR_OK;
}

/* ---- by name ---- */

tkr_status player_tree_make(player_tree *t, const question *q, const uint32_t *feature_of_player, size_t players, view kind, arena *a,
                            tkr_error *error)
{
    if (view_is(kind, "shap"))
        return join_greedily(t, q, feature_of_player, players, a, error);
    player_break *breaks = ARENA_NEW(a, player_break, players), most = BREAK_TEXT;
    if (!breaks)
        return fail_memory(error, "a tree", players);
    if (!view_is(kind, "phrases"))
        most = view_is(kind, "words") ? BREAK_WORD : BREAK_NONE;
    player_tree_breaks(breaks, q, feature_of_player, players);
    for (size_t i = 0; i + 1 < players; i++)
        breaks[i] = breaks[i] < most ? breaks[i] : most;
    return player_tree_join(t, breaks, players, a, error);
}
