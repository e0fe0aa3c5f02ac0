/* The methods table, the little language of -M, and the completeness check. */
#include "explain/method.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/failure.h"
#include "base/number.h"

static const method *const table[] = {
#define METHOD(id) &id##_method,
#include "explain/methods/methods.def"
#undef METHOD
};
enum { METHOD_COUNT = sizeof table / sizeof *table, SPECS_MOST = 64 };

const method *method_at(size_t index) { return index < METHOD_COUNT ? table[index] : NULL; }

static bool same_id(view asked, const char *id)
{
    view v = view_of(id);
    if (asked.size != v.size)
        return false;
    for (size_t i = 0; i < v.size; i++)
        if (asked.data[i] != v.data[i] && !(asked.data[i] == '_' && v.data[i] == '-'))
            return false;
    return true;
}

const method *method_find(view id)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        if (same_id(id, table[i]->facts.id))
            return table[i];
        for (size_t k = 0; table[i]->facts.aliases && table[i]->facts.aliases[k]; k++)
            if (same_id(id, table[i]->facts.aliases[k]))
                return table[i];
    }
    return NULL;
}

bool method_is_signed(const method *m, const arguments *a) { return m->is_signed ? m->is_signed(a) : m->facts.is_signed; }

size_t method_details(const method *m)
{
    size_t count = 0;
    while (m->details && m->details[count])
        count++;
    return count;
}

/* ---- the public table: the same rows, parameters as they are shown ---- */

typedef struct public_table {
    tkr_method row[METHOD_COUNT];
    tkr_parameter parameters[METHOD_COUNT][PARAMETERS_MOST + 1];
} public_table;

static public_table shown;
static pthread_once_t shown_once = PTHREAD_ONCE_INIT;

static void fill_shown(void)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        for (size_t k = 0; table[i]->parameters[k].kind != PARAMETER_END; k++)
            shown.parameters[i][k] = table[i]->parameters[k].shown;
        shown.row[i] = table[i]->facts;
        shown.row[i].parameters = shown.parameters[i];
    }
}

const tkr_method *tkr_method_at(size_t index)
{
    pthread_once(&shown_once, fill_shown);
    return index < METHOD_COUNT ? &shown.row[index] : NULL;
}

const tkr_method *tkr_method_find(const char *id)
{
    const method *found = id ? method_find(view_of(id)) : NULL;
    for (size_t i = 0; found && i < METHOD_COUNT; i++)
        if (table[i] == found)
            return tkr_method_at(i);
    return NULL;
}

/* ---- reading a methods string ---- */

typedef struct reader {
    view text;
    method_spec *list;
    size_t count;
    tkr_error *error;
} reader;

static tkr_status fail_at(reader *r, tkr_status code, view item)
{
    fail_field(r->error, "methods", item.data - r->text.data, (int64_t)item.size);
    return code;
}

static void list_methods(tkr_error *error)
{
    buffer all;
    buffer_init(&all, 300);
    for (size_t i = 0; i < METHOD_COUNT; i++)
        buffer_format(&all, "%s%s", i ? ", " : "methods: ", table[i]->facts.id);
    fail_facts(error, "%s", buffer_ok(&all) ? all.data : "");
    fail_help(error, "tokray methods lists all");
    buffer_fini(&all);
}

static void list_parameters(const method *m, tkr_error *error)
{
    buffer all;
    buffer_init(&all, 300);
    for (size_t i = 0; m->parameters[i].kind != PARAMETER_END; i++)
        buffer_format(&all, "%s%s", i ? ", " : "parameters: ", m->parameters[i].shown.name);
    fail_facts(error, "%s", all.size ? all.data : "it has no parameters");
    fail_help(error, "tokray methods %s", m->facts.id);
    buffer_fini(&all);
}

static bool is_choice(const char *choices, view value)
{
    view all = view_of(choices);
    for (size_t begin = 0, at = 0; at <= all.size; at++)
        if (at == all.size || all.data[at] == '|') {
            if (view_equal(view_slice(all, begin, at), value))
                return true;
            begin = at + 1;
        }
    return false;
}

/* Several, joined by "+". */
static bool are_baselines(const char *choices, view value)
{
    for (size_t at = 0; at <= value.size;) {
        view one = baseline_next(value, &at);
        if (!(view_begins(one, VIEW("text:")) && one.size > 5) && !is_choice(choices, one))
            return false;
    }
    return true;
}

static tkr_status read_number(reader *r, const method *m, const parameter *p, view value, double *out)
{
    int64_t whole = 0;
    bool is_int = p->kind == PARAMETER_INT;
    bool understood = is_int ? number_parse_int(value, &whole) : number_parse_real(value, out);
    if (is_int)
        *out = (double)whole;
    if (understood && *out >= p->low && *out <= p->high)
        return TKR_OK;
    if (understood)
        fail(r->error, TKR_E_USAGE_RANGE, "%s: %s %s is out of range", m->facts.id, p->shown.name, PLAIN(value));
    else if (is_int)
        fail(r->error, TKR_E_USAGE_VALUE, "%s: %s %s is not a whole number", m->facts.id, p->shown.name, QUOTE(value));
    else
        fail(r->error, TKR_E_USAGE_RANGE, "%s: %s %s is not a finite number", m->facts.id, p->shown.name, QUOTE(value));
    fail_facts(r->error, "%s: %s", p->shown.name, p->shown.range);
    return fail_at(r, r->error->code, value);
}

static tkr_status read_value(reader *r, method_spec *spec, size_t index, view value)
{
    const parameter *p = &spec->method->parameters[index];
    spec->arguments.is_given[index] = true;
    if (p->kind == PARAMETER_INT || p->kind == PARAMETER_REAL)
        return read_number(r, spec->method, p, value, &spec->arguments.number[index]);
    spec->arguments.text[index] = value;
    if (p->kind == PARAMETER_BASELINE ? are_baselines(p->shown.range, value) : is_choice(p->shown.range, value))
        return TKR_OK;
    fail(r->error, TKR_E_USAGE_VALUE, "%s: %s %s is none of %s", spec->method->facts.id, p->shown.name, QUOTE(value), p->shown.range);
    return fail_at(r, r->error->code, value);
}

static tkr_status read_assignment(reader *r, view item)
{
    if (r->count == 0) {
        fail(r->error, TKR_E_USAGE_METHOD, "%s comes before any method", QUOTE(item));
        return fail_at(r, r->error->code, item);
    }
    method_spec *spec = &r->list[r->count - 1];
    size_t equal = 0;
    while (item.data[equal] != '=')
        equal++;
    view name = view_slice(item, 0, equal);
    for (size_t i = 0; spec->method->parameters[i].kind != PARAMETER_END; i++)
        if (same_id(name, spec->method->parameters[i].shown.name))
            return read_value(r, spec, i, view_slice(item, equal + 1, item.size));
    fail(r->error, TKR_E_USAGE_PARAMETER, "%s has no parameter %s", spec->method->facts.id, QUOTE(name));
    list_parameters(spec->method, r->error);
    return fail_at(r, r->error->code, name);
}

/* "ig", for a second run "ig-2". */
static void name_spec(const reader *r, method_spec *spec)
{
    size_t same = 1;
    for (size_t i = 0; i < r->count; i++)
        same += r->list[i].method == spec->method;
    buffer id;
    buffer_init(&id, METHOD_ID_ROOM - 1);
    buffer_text(&id, spec->method->facts.id);
    if (same > 1)
        buffer_format(&id, "-%zu", same);
    memcpy(spec->id, id.data ? id.data : "", id.size);
    buffer_fini(&id);
}

static tkr_status add_method(reader *r, const method *m, view item)
{
    if (r->count == SPECS_MOST) {
        fail(r->error, TKR_E_USAGE_CONFLICT, "more than %d methods at once", SPECS_MOST);
        return fail_at(r, r->error->code, item);
    }
    method_spec spec = {.method = m};
    for (size_t i = 0; m->parameters[i].kind != PARAMETER_END; i++) {
        spec.arguments.number[i] = m->parameters[i].standard;
        spec.arguments.text[i] = view_of(m->parameters[i].shown.default_value);
    }
    name_spec(r, &spec);
    r->list[r->count++] = spec;
    return TKR_OK;
}

static tkr_status add_named(reader *r, view name)
{
    bool all = view_is(name, "all"), fast = view_is(name, "fast");
    for (size_t i = 0; (all || fast) && i < METHOD_COUNT; i++)
        if (all || table[i]->is_fast) {
            if (add_method(r, table[i], name))
                return r->error->code;
            r->list[r->count - 1].is_by_group = true;
        }
    if (all || fast)
        return TKR_OK;
    const method *m = method_find(name);
    if (m)
        return add_method(r, m, name);
    fail(r->error, TKR_E_USAGE_METHOD, "no method %s", QUOTE(name));
    list_methods(r->error);
    return fail_at(r, r->error->code, name);
}

/* End of the item that begins at `at`: the next comma outside quotes. */
static size_t item_end(view text, size_t at)
{
    bool quoted = false;
    for (; at < text.size; at++) {
        if (text.data[at] == '"')
            quoted = !quoted;
        if (text.data[at] == ',' && !quoted)
            break;
    }
    return at;
}

/* Index of the first of two marks, or size. */
static size_t find_byte(view text, char mark)
{
    size_t at = 0;
    while (at < text.size && text.data[at] != mark)
        at++;
    return at;
}

static tkr_status read_item(reader *r, view item)
{
    size_t colon = find_byte(item, ':'), equal = find_byte(item, '=');
    if (equal < colon)
        return read_assignment(r, item);
    view name = view_slice(item, 0, colon);
    tkr_status status = add_named(r, name);
    if (status || colon == item.size)
        return status;
    view rest = view_slice(item, colon + 1, item.size);
    if (find_byte(rest, '=') == rest.size) {
        fail(r->error, TKR_E_USAGE_PARAMETER, "%s is no parameter=value", QUOTE(rest));
        return fail_at(r, r->error->code, rest);
    }
    return read_assignment(r, rest);
}

tkr_status methods_parse(const char *text, arena *a, method_spec **list, size_t *count, tkr_error *error)
{
    reader r = {.text = view_of(text ? text : "ig"), .error = error};
    r.list = ARENA_NEW(a, method_spec, SPECS_MOST);
    if (!r.list)
        return fail_memory(error, "a list of methods", SPECS_MOST * sizeof *r.list);
    for (size_t at = 0; at <= r.text.size;) {
        size_t end = item_end(r.text, at);
        tkr_status status = read_item(&r, view_slice(r.text, at, end));
        if (status)
            return status;
        at = end + 1;
    }
    *list = r.list;
    *count = r.count;
    return TKR_OK;
}

tkr_status method_name_baselines(method_call *c, size_t index, tkr_error *error)
{
    view list = c->arguments.text[index];
    buffer names;
    buffer_init(&names, 4096);
    for (size_t at = 0; at <= list.size;) {
        const char *joint = at ? "+" : "";
        buffer_format(&names, "%s%s", joint, baseline_name(c->q, baseline_next(list, &at)));
    }
    char *kept = buffer_ok(&names) ? arena_copy_text(c->q->arena, buffer_as_view(&names)) : NULL;
    buffer_fini(&names);
    if (!kept)
        return fail_memory(error, "the names of baselines", list.size);
    c->arguments.text[index] = view_of(kept);
    return TKR_OK;
}

/* ---- completeness ---- */

double method_sum(const method_call *c, size_t t)
{
    size_t count = c->method->scores_tokens ? c->q->length : c->q->feature_count;
    const double *scores = (c->method->scores_tokens ? c->token_scores : c->scores) + t * count;
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += scores[i];
    return sum;
}

tkr_status method_warn(const method_call *c, tkr_error *error, const char *code, const char *help, const char *format, ...)
{
    char message[401];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof message, format, values);
    va_end(values);
    return result_add_warning(c->result, code, c->id, message, help, error);
}

static tkr_status warn_gap(method_call *c, double gap, const char *help, tkr_error *error)
{
    char share[NUMBER_ROOM];
    const char *code = c->method->scores_tokens ? "ig.gap" : "shapley.gap";
    if (isfinite(gap))
        return method_warn(c, error, code, help, "%s has a gap of %s%% (tolerance 5%%): scores may be off by that share", c->id,
                           number_fixed(share, 100 * gap, 0));
    return method_warn(c, error, code, help, "%s: the score does not change between baseline and input, so scores mean nothing here", c->id);
}

tkr_status method_check_completeness(method_call *c, const char *help, tkr_error *error)
{
    const double tolerance = 0.05, smallest = 1e-3;
    tkr_status status = TKR_OK;
    for (size_t t = 0; !status && t < c->q->target_count; t++) {
        double expected = c->value[t] - c->base[t], actual = method_sum(c, t), miss = fabs(actual - expected);
        double gap = fabs(expected) > 0 ? miss / fabs(expected) : (double)(miss > 0 ? INFINITY : 0);
        bool ok = miss <= tolerance * fabs(expected) || miss <= smallest;
        tkr_check check = {.method = c->id, .name = "completeness", .expected = expected, .actual = actual, .gap = gap,
                           .tolerance = tolerance, .ok = ok};
        status = result_add_check(c->result, check, error);
        double scale = fmax(fabs(c->value[t]), fabs(c->base[t]));
        bool flat = c->method->scores_tokens && fabs(expected) <= 1e-6 * scale; /* games may well have equal ends */
        if (!status && (!ok || flat))
            status = warn_gap(c, flat ? (double)INFINITY : gap, help, error);
    }
    return status;
}
