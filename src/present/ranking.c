/* Ranking by magnitude.  Scores that are not finite are not ranked and count for nothing. */
#include "present/ranking.h"

#include <math.h>
#include <stdlib.h>

#include <stdio.h>

#include "base/memory.h"
#include "present/run_arrays.h"

typedef struct ranked {
    double magnitude;
    uint32_t feature;
} ranked;

bool ranking_is_undefined(const tkr_result *r, const tkr_array *scores, size_t entry)
{
    bool puts_out = r->model.task == TKR_TASK_NEXT_TOKEN || r->model.task == TKR_TASK_SEQUENCE_TO_SEQUENCE;
    bool of_targets = scores->rank >= 2 && scores->axes[0]->kind == TKR_AXIS_TARGETS;
    bool is_scores = of_targets && puts_out && scores->axes[1]->kind == TKR_AXIS_FEATURES;
    bool is_detail = of_targets && scores->axes[1]->kind == TKR_AXIS_PARTS; /* one that does not apply */
    return (is_scores || is_detail) && isnan(scores->data[entry]);
}

static int compare_ranked(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->magnitude < y->magnitude || x->magnitude > y->magnitude)
        return x->magnitude < y->magnitude ? 1 : -1;
    return x->feature < y->feature ? -1 : x->feature > y->feature;
}

static void measure_extent(ranking *r)
{
    for (size_t i = 0; i < r->count; i++) {
        double score = (double)r->scores[i];
        if (!isfinite(score))
            continue;
        r->total += fabs(score);
        r->least = fmin(r->least, score);
        r->most = fmax(r->most, score);
    }
    r->largest = fmax(r->most, -r->least);
    if (isfinite(r->special))
        r->total += fabs(r->special);
}

/* A decoder answers before it sees what follows. */
static bool is_later(const tkr_result *r, const result_feature *f, size_t target)
{
    int64_t position = r->targets[target].position;
    return r->model.task == TKR_TASK_NEXT_TOKEN && position >= 0 && f->count > 0 && (int64_t)f->members[0] >= position;
}

static bool is_later_output(const tkr_result *r, const result_feature *f, size_t target)
{
    int64_t step = r->targets[target].step;
    return f->text == 2 && f->count > 0 && step >= 0 && r->tokens[f->members[0]].step >= step;
}

missing ranking_missing(const tkr_result *r, const tkr_array *scores, size_t target, size_t feature)
{
    const result_feature *f = &r->features[feature];
    if (is_later_output(r, f, target))
        return MISSING_OUTPUT;
    if (!isnan(scores->data[target * r->feature_count + feature]))
        return MISSING_NOTHING;
    return is_later(r, f, target) ? MISSING_LATER : MISSING_REMOVAL;
}

bool ranking_init(ranking *r, const tkr_result *result, const result_run *run, size_t target)
{
    const tkr_array *scores = run->scores;
    *r = (ranking){.count = scores->axes[1]->size, .is_signed = run->facts.is_signed};
    r->scores = scores->data + target * r->count;
    r->errors = run_errors(result, run, target);
    r->special = target == 0 ? run->special : (double)NAN;
    measure_extent(r);

    ranked *items = NEW(ranked, r->count);
    r->order = NEW(uint32_t, r->count);
    if (items && r->order) {
        for (size_t i = 0; i < r->count; i++)
            if (isfinite(r->scores[i]))
                items[r->defined++] = (ranked){fabs((double)r->scores[i]), (uint32_t)i};
        qsort(items, r->defined, sizeof *items, compare_ranked);
        for (size_t i = 0; i < r->defined; i++)
            r->order[i] = items[i].feature;
    }
    bool complete = items && r->order;
    memory_free(items);
    if (!complete)
        ranking_fini(r);
    return complete;
}

void ranking_fini(ranking *r)
{
    memory_free(r->order);
    r->order = NULL;
}

bool ranking_is_unsure(const ranking *r, size_t feature)
{
    return r->errors && is_unsure((double)r->scores[feature], (double)r->errors[feature]);
}

char *ranking_error_figure(const ranking *r, char out[FIGURE_ROOM], size_t feature, bool ascii)
{
    out[0] = '\0';
    if (r->errors && isfinite(r->errors[feature]) && !isnan(r->scores[feature]))
        figure_error(out, (double)r->errors[feature], figure_decimals(r->largest), ascii);
    return out;
}

double ranking_share(const ranking *r, double score) { return r->total > 0 ? fabs(score) / r->total : (double)NAN; }

char *ranking_figure(const ranking *r, char out[FIGURE_ROOM], double score, bool ascii)
{
    int decimals = figure_decimals(r->largest);
    if (isnan(score)) {
        out[0] = '\0';
        return out;
    }
    return r->is_signed ? figure_signed(out, score, decimals, ascii) : figure_plain(out, score, decimals, ascii);
}
