/*
 * Tidy tables: one row a number.  RFC 4180 CSV (quotes where needed, doubled inside), or TSV with \t \n \r \\ escapes and no
 * quotes, made for cut and awk.
 *
 * A later output has no score for an earlier step: its cell is empty.  Where a method has scored pairs, each pair i <= j is a
 * row with j and its token behind; i = j is a feature alone.  The closing table lists the features in the order of their rank
 * and adds its totals as rows of kind "total".
 * The sum over the template's special tokens is a row of its own with an empty i and special = 1, so that the rows of an
 * additive method still add up.  Control characters other than tab and newline become visible escapes, because tables are
 * looked at in terminals; start and end give the exact bytes.
 */
#include <math.h>

#include "base/escape.h"
#include "base/failure.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/utf8.h"
#include "explain/result.h"
#include "present/full_table.h"
#include "present/out.h"
#include "present/run_arrays.h"

typedef struct table {
    out o;
    const tkr_table_options *options;
    bool row_started;
    bool has_pairs;
} table;

tkr_table_options tkr_table_options_defaults(void) { return (tkr_table_options){0}; }

static void begin_cell(table *t)
{
    if (t->row_started)
        out_text(&t->o, t->options->tab_separated ? "\t" : ",");
    t->row_started = true;
}

static void end_row(table *t)
{
    out_text(&t->o, "\n");
    t->row_started = false;
}

static void put_hidden(table *t, view bytes)
{
    char room[ESCAPE_ROOM(8)];
    size_t length = escape_into(room, sizeof room, bytes, true);
    if (t->options->tab_separated && room[0] == '\\')
        out_text(&t->o, "\\"); /* the backslash of the escape is text here */
    out_view(&t->o, (view){room, length});
}

static void put_tab_separated(table *t, view bytes, uint32_t code_point)
{
    switch (code_point) {
    case '\t':
        out_text(&t->o, "\\t");
        break;
    case '\n':
        out_text(&t->o, "\\n");
        break;
    case '\r':
        out_text(&t->o, "\\r");
        break;
    case '\\':
        out_text(&t->o, "\\\\");
        break;
    default:
        out_view(&t->o, bytes);
    }
}

static void put_character(table *t, view bytes, uint32_t code_point, bool valid)
{
    bool layout = code_point == '\t' || code_point == '\n' || (code_point == '\r' && t->options->tab_separated);
    if (!valid || (utf8_is_hidden(code_point) && !layout))
        put_hidden(t, bytes);
    else if (t->options->tab_separated)
        put_tab_separated(t, bytes, code_point);
    else
        out_view(&t->o, code_point == '"' ? VIEW("\"\"") : bytes);
}

static bool needs_quotes(view text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] != '\0' && strchr(",\"\n\r\t", text.data[i]))
            return true;
    return text.size > 0 && (text.data[0] == ' ' || text.data[text.size - 1] == ' ');
}

static void put_text(table *t, const char *text)
{
    view v = view_of(text);
    bool quoted = !t->options->tab_separated && needs_quotes(v);
    begin_cell(t);
    if (quoted)
        out_text(&t->o, "\"");
    if (t->options->spreadsheet_safe && v.size > 0 && v.data[0] != '\0' && strchr("=+-@\t\r", v.data[0]))
        out_text(&t->o, "'");
    for (size_t at = 0; at < v.size;) {
        uint32_t code_point = 0;
        size_t length = utf8_decode(v, at, &code_point);
        size_t taken = length ? length : 1;
        put_character(t, view_slice(v, at, at + taken), code_point, length > 0);
        at += taken;
    }
    if (quoted)
        out_text(&t->o, "\"");
}

static void put_count(table *t, int64_t value)
{
    begin_cell(t);
    if (value >= 0)
        out_format(&t->o, "%lld", (long long)value);
}

static void put_real(table *t, double value)
{
    char digits[NUMBER_ROOM];
    float narrow = (float)value;
    begin_cell(t);
    if (isfinite(narrow))
        out_text(&t->o, number_shortest_f32(digits, narrow));
}

static void put_names(table *t, const char *const *names)
{
    for (size_t i = 0; names[i]; i++)
        put_text(t, names[i]);
    end_row(t);
}

static const char *prompt_id(const tkr_result *r, int32_t input)
{
    static const char *const otherwise[] = {"in", "pair", "out"};
    return r->inputs[input].id ? r->inputs[input].id : otherwise[input];
}

static void put_head(table *t, const char *prompt, const char *target, const char *method, int64_t feature)
{
    put_text(t, prompt);
    put_count(t, 0);
    put_text(t, target);
    put_text(t, method);
    put_count(t, feature);
}

/* What only some tables have: the closing table's columns, and the second of a pair (-1: none). */
typedef struct tail {
    const char *kind, *effect;
    int64_t rank;
    const result_feature *feature; /* NULL: a row of the table's own */
    int64_t other;
} tail;

static void put_ids(table *t, const tkr_result *r, const result_feature *f)
{
    begin_cell(t);
    for (size_t m = 0; f && m < f->count; m++)
        out_format(&t->o, "%s%d", m ? " " : "", (int)r->tokens[f->members[m]].token.id);
}

static void end_with(table *t, const tkr_result *r, tail last)
{
    if (t->options->full_table) {
        put_text(t, last.kind);
        put_count(t, last.rank);
        put_count(t, last.feature && last.feature->count ? (int64_t)last.feature->members[0] : -1);
        put_ids(t, r, last.feature);
        put_text(t, last.effect);
    }
    if (t->has_pairs) {
        put_count(t, last.other);
        put_text(t, last.other < 0 ? "" : r->features[last.other].label);
    }
    end_row(t);
}

/* Everything up to the score. */
static void put_feature_head(table *t, const tkr_result *r, size_t target, const result_run *run, size_t i)
{
    const result_feature *f = &r->features[i];
    put_head(t, prompt_id(r, f->text), r->targets[target].id, run->facts.id, (int64_t)i);
    put_text(t, f->label);
    put_count(t, f->begin);
    put_count(t, f->end);
    put_count(t, f->count ? r->tokens[f->members[0]].token.word : -1);
}

/* k: place in the ranking; SIZE_MAX: none. */
static void put_feature(table *t, const tkr_result *r, const ranking *rank, size_t target, const result_run *run, size_t i, size_t k)
{
    double score = (double)rank->scores[i];
    put_feature_head(t, r, target, run, i);
    put_real(t, score);
    put_real(t, rank->errors ? (double)rank->errors[i] : (double)NAN);
    put_real(t, ranking_share(rank, score));
    put_count(t, 0);
    put_count(t, r->targets[target].step);
    end_with(t, r, (tail){.kind = "feature", .effect = full_table_effect(r, run, rank, target, i), .feature = &r->features[i],
                          .rank = k < rank->defined ? (int64_t)k + 1 : -1, .other = -1});
}

static void put_pair(table *t, const tkr_result *r, size_t target, const result_run *run, size_t i, size_t j)
{
    const tkr_array *values = run_pairs(r, run), *errors = run_pair_errors(r, run);
    size_t n = r->feature_count, at = (target * n + i) * n + j;
    put_feature_head(t, r, target, run, i);
    put_real(t, (double)values->data[at]);
    put_real(t, errors ? (double)errors->data[at] : (double)NAN);
    put_text(t, "");
    put_count(t, 0);
    put_count(t, r->targets[target].step);
    end_with(t, r, (tail){.kind = "pair", .effect = "", .rank = -1, .feature = &r->features[i], .other = (int64_t)j});
}

/* A row of the table's own: a total, or the sum over special tokens. */
static void put_own(table *t, const tkr_result *r, const ranking *rank, size_t target, const result_run *run, double value, tail last)
{
    bool is_special = view_is(view_of(last.kind), "special");
    put_head(t, prompt_id(r, 0), r->targets[target].id, run->facts.id, -1);
    for (int empty = 0; empty < 4; empty++)
        put_text(t, "");
    put_real(t, value);
    put_text(t, "");
    put_real(t, is_special ? ranking_share(rank, value) : (double)NAN);
    put_count(t, is_special);
    put_count(t, r->targets[target].step);
    end_with(t, r, last);
}

static void put_totals(table *t, const tkr_result *r, const ranking *rank, size_t target, const result_run *run)
{
    full_totals sums = full_table_totals(rank);
    tail last = {.kind = "total", .rank = -1, .other = -1};
    if (run_set(r, run) != SET_NONE)
        return;
    if (rank->is_signed) {
        last.effect = "positive";
        put_own(t, r, rank, target, run, sums.positive, last);
        last.effect = "negative";
        put_own(t, r, rank, target, run, sums.negative, last);
    }
    last.effect = "overall";
    put_own(t, r, rank, target, run, sums.overall, last);
}

static bool put_features(table *t, const tkr_result *r, const ranking *rank, size_t target, const result_run *run)
{
    if (!t->options->full_table) {
        for (size_t i = 0; i < rank->count; i++)
            put_feature(t, r, rank, target, run, i, SIZE_MAX);
        return true;
    }
    uint32_t *order = full_table_order(rank);
    for (size_t k = 0; order && k < rank->count; k++)
        put_feature(t, r, rank, target, run, order[k], k);
    if (order)
        put_totals(t, r, rank, target, run);
    memory_free(order);
    return order != NULL;
}

static bool put_run(table *t, const tkr_result *r, const result_run *run, size_t target)
{
    ranking rank;
    if (!ranking_init(&rank, r, run, target))
        return false;
    bool complete = put_features(t, r, &rank, target, run);
    if (run->special_count > 0 && isfinite(rank.special))
        put_own(t, r, &rank, target, run, rank.special, (tail){.kind = "special", .effect = "", .rank = -1, .other = -1});
    for (size_t i = 0; run_pairs(r, run) && i < r->feature_count; i++)
        for (size_t j = i; j < r->feature_count; j++)
            put_pair(t, r, target, run, i, j);
    ranking_fini(&rank);
    return complete;
}

static void put_explanation_names(table *t)
{
    static const char *const names[] = {"prompt", "row",  "target", "method", "i",     "token",   "start",
                                        "end",    "word", "score",  "stderr", "share", "special", "step"};
    static const char *const full[] = {"kind", "rank", "position", "id", "effect"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        put_text(t, names[i]);
    for (size_t i = 0; t->options->full_table && i < sizeof full / sizeof *full; i++)
        put_text(t, full[i]);
    if (t->has_pairs) {
        put_text(t, "j");
        put_text(t, "token_j");
    }
    end_row(t);
}

static bool put_explanation(table *t, const tkr_result *r)
{
    bool complete = true;
    for (size_t i = 0; i < r->run_count; i++)
        t->has_pairs |= run_pairs(r, &r->runs[i]) != NULL;
    put_explanation_names(t);
    for (size_t target = 0; target < r->target_count; target++)
        for (size_t i = 0; i < r->run_count; i++)
            complete &= !r->runs[i].scores || put_run(t, r, &r->runs[i], target);
    return complete;
}

/* Arrays of any other kind: their indices and the value. */
static void put_arrays(table *t, const tkr_result *r)
{
    static const char *const names[] = {"array", "i0", "i1", "i2", "i3", "value", NULL};
    put_names(t, names);
    for (size_t a = 0; a < r->array_count; a++) {
        const tkr_array *array = r->arrays[a];
        for (size_t i = 0; i < array->size; i++) {
            size_t rest = array->size, at = i;
            put_text(t, array->name);
            for (size_t d = 0; d < RESULT_RANK_MAX; d++) {
                if (d < array->rank)
                    rest /= array->axes[d]->size;
                put_count(t, d < array->rank ? (int64_t)(at / rest) : -1);
                at %= rest;
            }
            put_real(t, (double)array->data[i]);
            end_row(t);
        }
    }
}

tkr_status tkr_present_table(const tkr_result *result, const tkr_table_options *options, tkr_sink_fn *sink, void *user,
                             tkr_error *error)
{
    if (!result || !sink)
        return fail(error, TKR_E_USAGE_ARGUMENT, "tkr_present_table needs a result and a sink");
    tkr_table_options used = options ? *options : tkr_table_options_defaults();
    table t = {.options = &used};
    out_init(&t.o, sink, user);
    bool complete = true;
    if (result->run_count > 0)
        complete = put_explanation(&t, result);
    else
        put_arrays(&t, result);
    t.o.bytes.failed |= !complete;
    return out_finish(&t.o, error);
}
