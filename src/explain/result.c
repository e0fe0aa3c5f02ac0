/* Building and reading results. */
#include "explain/result.h"

#include "base/clock.h"
#include "base/failure.h"
#include "base/memory.h"

enum { RESULT_BYTES_MOST = 1 << 30 };

tkr_result *result_new(const char *kind, tkr_error *error)
{
    tkr_result *r = NEW(tkr_result, 1);
    if (!r || !(r->arena = arena_new(RESULT_BYTES_MOST))) {
        memory_free(r);
        return fail_memory(error, "a result", sizeof *r), NULL;
    }
    r->kind = kind;
    r->status = "complete";
    clock_utc(r->created);
    return r;
}

void tkr_result_free(tkr_result *r)
{
    if (!r)
        return;
    arena_free(r->arena);
    memory_free(r);
}

const char *result_text(tkr_result *r, view text) { return text.data ? arena_copy_text(r->arena, text) : NULL; }

const tkr_axis *result_axis(tkr_result *r, const char *name, tkr_axis_kind kind, size_t size, const char *const *labels)
{
    tkr_axis *axis = ARENA_NEW(r->arena, tkr_axis, 1);
    if (axis)
        *axis = (tkr_axis){.name = name, .kind = kind, .size = size, .labels = labels};
    return axis;
}

/* Room for one more element of an arena-held list; doubles by copying. */
static void *grow(arena *a, void *list, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return list;
    size_t wanted = *capacity ? 2 * *capacity : 8;
    void *larger = arena_alloc(a, wanted, size);
    if (!larger)
        return NULL;
    if (count)
        memcpy(larger, list, count * size);
    *capacity = wanted;
    return larger;
}

tkr_array *result_add_array(tkr_result *r, const char *name, const char *unit, bool is_signed, size_t rank,
                            const tkr_axis *const *axes, tkr_error *error)
{
    tkr_array *array = ARENA_NEW(r->arena, tkr_array, 1);
    tkr_array **list = grow(r->arena, r->arrays, r->array_count, &r->array_capacity, sizeof *list);
    if (!array || !list)
        return fail_memory(error, "a result array", 0), NULL;
    r->arrays = list;
    *array = (tkr_array){.name = result_text(r, view_of(name)), .unit = result_text(r, view_of(unit)), .is_signed = is_signed,
                         .rank = rank, .size = 1};
    for (size_t i = 0; i < rank; i++) {
        if (!axes[i])
            return fail_memory(error, "a result axis", 0), NULL;
        array->axes[i] = axes[i];
        array->size *= axes[i]->size;
    }
    array->data = ARENA_NEW(r->arena, float, array->size);
    if (!array->data || !array->name || !array->unit)
        return fail_memory(error, "a result array", array->size * sizeof(float)), NULL;
    list[r->array_count++] = array;
    return array;
}

#define ADD(list, count, capacity, item)                                                                              \
    do {                                                                                                              \
        void *grown = grow(r->arena, r->list, r->count, &r->capacity, sizeof *r->list);                               \
        if (!grown)                                                                                                   \
            return fail_memory(error, "a result", 0);                                                                 \
        r->list = grown;                                                                                              \
        r->list[r->count++] = (item);                                                                                 \
        return TKR_OK;                                                                                                \
    } while (0)

tkr_status result_add_check(tkr_result *r, tkr_check check, tkr_error *error) { ADD(checks, check_count, check_capacity, check); }

tkr_status result_add_checked(tkr_result *r, tkr_checked checked_now, tkr_error *error)
{
    ADD(checked, checked_count, checked_capacity, checked_now);
}

tkr_status result_add_warning(tkr_result *r, const char *code, const char *method, const char *message, const char *help,
                              tkr_error *error)
{
    tkr_warning w = {.code = code, .method = method, .message = result_text(r, view_of(message)),
                     .help = result_text(r, view_of(help ? help : ""))};
    ADD(warnings, warning_count, warning_capacity, w);
}
#undef ADD

/* ---- the public view ---- */

const tkr_array *tkr_result_array(const tkr_result *r, const char *name)
{
    for (size_t i = 0; r && name && i < r->array_count; i++)
        if (view_is(view_of(name), r->arrays[i]->name))
            return r->arrays[i];
    return NULL;
}

const char *tkr_result_output(const tkr_result *r, const char **end)
{
    bool is_given = r && r->output_source && view_is(view_of(r->output_source), "given");
    if (end)
        *end = is_given ? "given" : r && r->output_end ? r->output_end : "";
    return r && r->inputs[2].id ? r->inputs[2].text : "";
}

const tkr_array *result_errors(const tkr_result *r, const tkr_array *scores)
{
    view name = view_of(scores->name);
    size_t stem = name.size;
    while (stem > 0 && name.data[stem - 1] != '.')
        stem--;
    view kind = view_slice(name, stem, name.size);
    const char *wanted = view_is(kind, "scores") ? "se" : view_is(kind, "pairs") ? "pairs_se" : NULL;
    if (!wanted)
        return NULL;
    for (size_t i = 0; i < r->array_count; i++) {
        view other = view_of(r->arrays[i]->name);
        if (other.size > stem && view_begins(other, view_slice(name, 0, stem)) && view_is(view_slice(other, stem, other.size), wanted))
            return r->arrays[i];
    }
    return NULL;
}

const tkr_array *tkr_result_array_at(const tkr_result *r, size_t index)
{
    return r && index < r->array_count ? r->arrays[index] : NULL;
}

const char *tkr_array_name(const tkr_array *a) { return a ? a->name : NULL; }
const char *tkr_array_unit(const tkr_array *a) { return a ? a->unit : NULL; }
bool tkr_array_is_signed(const tkr_array *a) { return a && a->is_signed; }
size_t tkr_array_rank(const tkr_array *a) { return a ? a->rank : 0; }
size_t tkr_array_extent(const tkr_array *a, size_t d) { return a && d < a->rank ? a->axes[d]->size : 0; }
const tkr_axis *tkr_array_axis(const tkr_array *a, size_t d) { return a && d < a->rank ? a->axes[d] : NULL; }
size_t tkr_array_size(const tkr_array *a) { return a ? a->size : 0; }
const float *tkr_array_f32(const tkr_array *a) { return a ? a->data : NULL; }

const char *tkr_axis_name(const tkr_axis *axis) { return axis ? axis->name : NULL; }
tkr_axis_kind tkr_axis_get_kind(const tkr_axis *axis) { return axis ? axis->kind : TKR_AXIS_TARGETS; }
size_t tkr_axis_size(const tkr_axis *axis) { return axis ? axis->size : 0; }
const char *tkr_axis_label(const tkr_axis *axis, size_t index)
{
    return axis && axis->labels && index < axis->size ? axis->labels[index] : NULL;
}

/* Each list is read the same way: copy item `index`, false past the end. */
#define READ(function, type, list, count)                                                                             \
    bool function(const tkr_result *r, size_t index, type *out)                                                       \
    {                                                                                                                 \
        if (!r || !out || index >= r->count)                                                                          \
            return false;                                                                                             \
        *out = r->list[index];                                                                                        \
        return true;                                                                                                  \
    }
READ(tkr_result_target, tkr_target_facts, targets, target_count)
READ(tkr_result_prediction, tkr_prediction, predictions, prediction_count)
READ(tkr_result_check, tkr_check, checks, check_count)
READ(tkr_result_checked, tkr_checked, checked, checked_count)
READ(tkr_result_warning, tkr_warning, warnings, warning_count)
#undef READ

bool tkr_result_run(const tkr_result *r, size_t index, tkr_run_facts *out)
{
    if (!r || !out || index >= r->run_count)
        return false;
    *out = r->runs[index].facts;
    return true;
}
