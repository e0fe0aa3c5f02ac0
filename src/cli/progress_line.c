/* Progress; see progress_line.h.  The time left is from the median of the last rates, shown as ~ until 5 % or 2 s. */
#include "cli/progress_line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/events.h"
#include "cli/signals.h"
#include "cli/surroundings.h"

static const double SILENCE = 0.5, INTERVAL = 0.1, RARE_INTERVAL = 30, SURE_AFTER = 2, SURE_SHARE = 0.05;
enum { BAR_COLUMNS = 20 };

void progress_begin(progress_line *p)
{
    p->begun = p->phase_begun = seconds_now();
    p->shown = 0;
    p->phase[0] = '\0';
    p->rate_count = 0;
}

void progress_erase(progress_line *p)
{
    if (!p->is_visible)
        return;
    stream_text(p->err, p->shows_taskbar ? PROGRESS_ERASE TASKBAR_ERASE : PROGRESS_ERASE);
    stream_flush(p->err);
    p->is_visible = false;
    signals_guard_line(false, false);
}

static void begin_phase(progress_line *p, const tkr_progress *now, double time)
{
    snprintf(p->phase, sizeof p->phase, "%s", now->phase);
    p->phase_begun = p->last_time = time;
    p->last_done = now->done;
    p->rate_count = 0;
}

static void note_rate(progress_line *p, const tkr_progress *now, double time)
{
    if (time <= p->last_time || now->done <= p->last_done)
        return;
    p->rates[p->rate_count++ % RATES_KEPT] = (double)(now->done - p->last_done) / (time - p->last_time);
    p->last_time = time;
    p->last_done = now->done;
}

static double median_rate(const progress_line *p)
{
    double sorted[RATES_KEPT];
    size_t count = p->rate_count < RATES_KEPT ? p->rate_count : RATES_KEPT;
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && sorted[at - 1] > p->rates[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = p->rates[i];
    }
    return count ? sorted[count / 2] : 0;
}

/* Seconds left, or -1 when nobody knows yet. */
static double seconds_left(const progress_line *p, const tkr_progress *now, double time)
{
    double rate = median_rate(p), share = now->total ? (double)now->done / (double)now->total : 0;
    bool is_sure = share >= SURE_SHARE || time - p->phase_begun >= SURE_AFTER;
    return rate > 0 && is_sure && now->total >= now->done ? (double)(now->total - now->done) / rate : -1;
}

static void draw_bar(const progress_line *p, stream *err, double share)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    size_t units = (size_t)(share * BAR_COLUMNS * 8 + 0.5), whole = units / 8, part = p->ascii ? 0 : units % 8;
    stream_text(err, p->ascii ? "[" : "▕");
    for (size_t i = 0; i < whole; i++)
        stream_text(err, p->ascii ? "#" : "█");
    stream_text(err, eighths[part]);
    stream_spaces(err, BAR_COLUMNS - whole - (part > 0));
    stream_text(err, p->ascii ? "]" : "▏");
}

static void write_counts(const progress_line *p, const tkr_progress *now, double share, double left)
{
    const char *dot = p->ascii ? " - " : " · ";
    double rate = median_rate(p);
    stream_format(p->err, " %d%% %" PRIu64 "/%" PRIu64 " %s", (int)(share * 100), now->done, now->total, now->unit);
    if (rate > 0)
        stream_format(p->err, "%s%.*f/s", dot, rate < 10 ? 1 : 0, rate);
    if (left >= 0)
        stream_format(p->err, "%s%.0f s left", dot, left);
    else
        stream_format(p->err, "%s~ left", dot);
}

static void show_line(progress_line *p, const tkr_progress *now, double time)
{
    double share = now->total ? (double)now->done / (double)now->total : 0;
    if (share > 1)
        share = 1;
    if (p->shows_line)
        stream_text(p->err, PROGRESS_ERASE);
    stream_format(p->err, "%s ", now->phase);
    if (p->width >= 60)
        draw_bar(p, p->err, share);
    write_counts(p, now, share, seconds_left(p, now, time));
    if (!p->shows_line)
        stream_text(p->err, "\n");
    else if (p->shows_taskbar)
        stream_format(p->err, "\x1b]9;4;1;%d\x1b\\", (int)(share * 100));
    p->is_visible = p->shows_line;
    signals_guard_line(p->is_visible, p->is_visible && p->shows_taskbar);
    stream_flush(p->err);
}

static void show_event(progress_line *p, const tkr_progress *now, double time)
{
    double left = seconds_left(p, now, time);
    event_begin(p->err, "progress");
    event_text(p->err, "method", now->phase);
    stream_format(p->err, ",\"done\":%" PRIu64 ",\"total\":%" PRIu64, now->done, now->total);
    event_text(p->err, "unit", now->unit);
    event_real(p->err, "rate", median_rate(p));
    if (left >= 0)
        event_real(p->err, "eta_s", left);
    else
        stream_text(p->err, ",\"eta_s\":null");
    event_end(p->err);
}

bool progress_tell(void *user, const tkr_progress *now)
{
    progress_line *p = user;
    double time = seconds_now();
    if (strncmp(p->phase, now->phase, sizeof p->phase - 1) != 0)
        begin_phase(p, now, time);
    bool is_last = now->total > 0 && now->done >= now->total;
    double interval = p->shows_line || p->shows_events ? INTERVAL : RARE_INTERVAL;
    bool is_time = time - p->shown >= interval && (p->shows_events || time - p->begun >= SILENCE);
    if (is_time || (p->shows_events && is_last)) {
        note_rate(p, now, time);
        p->shown = time;
        if (p->shows_events)
            show_event(p, now, time);
        else if (p->shows_line || (p->shows_rarely && time - p->begun >= RARE_INTERVAL))
            show_line(p, now, time);
    }
    return signals_received() == 0;
}
