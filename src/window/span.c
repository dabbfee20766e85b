/* The functions over a span, made of the figures that figures.c keeps. */
#include <math.h>

#include "window/internal.h"

/* Sums of squares about an origin lose digits as the mean moves away from it. Once it is
 * more than the root of this many deviations away, they are built anew about the mean. */
#define ORIGIN_DRIFT 64

static inline double times_power(double x, int shift)
{
    return shift == 0 ? x : ldexp(x, shift);
}

/* --- sums --- */

static double sum_over(const struct window *w, struct span *s, double divisor)
{
    struct figures f;
    span_figures(w, s, P(PART_SUM), false, &f);
    return times_power((f.sum[0] + f.sum[1]) / divisor, -s->sum_shift);
}

/* --- deviation and slope --- */

/* Of the readings but the newest, whose size would set the scale for all of them. Values
 * are times 2^shift, times are microseconds from `from`. */
struct moments {
    double n;
    double origin, mean; /* the mean value is origin + mean */
    double squares;      /* sum of (value - mean)^2 */
    struct wall from;
    double t_mean, tt, ty; /* sums of (time - mean)^2 and (time - mean)(value - mean) */
    int shift;
};

/* sum of (x - mean)^2 from the sums of x and x * x; false: too far from the origin for
 * it. */
static bool about_mean(double sum, double squares, double n, double *ret)
{
    double off = sum * (sum / n), about = squares - off;
    *ret = about > 0 ? about : 0;
    return about > 0 && off <= ORIGIN_DRIFT * about;
}

/* There are others. */
static void others_moments(const struct window *w, struct span *s, bool trend,
                           struct moments *m)
{
    uint64_t end = window_end(w) - 1;
    bool one_time = time_at(w, s->lo).us == time_at(w, end - 1).us;
    bool sound = false;
    for (unsigned attempt = 0; attempt < 2 && !sound; attempt++) {
        struct figures f;
        s->stale = s->stale || attempt > 0; /* about a better origin, then */
        span_figures(w, s, DEVIATION | (trend ? P(PART_TREND) : 0), true, &f);
        double n = (double)(end - s->lo);
        bool equal = f.most == f.least;
        *m = (struct moments){.n = n,
                              .origin = s->origin_value,
                              .mean = f.powers[0] / n,
                              .from = s->origin_at,
                              .shift = s->power_shift};
        sound = equal || about_mean(f.powers[0], f.powers[1], n, &m->squares);
        if (equal) {
            m->origin = times_power(f.least, m->shift);
            m->mean = 0;
        }
        if (trend) {
            m->t_mean = f.trend[0] / n;
            sound = (one_time || about_mean(f.trend[0], f.trend[1], n, &m->tt)) && sound;
            m->ty = equal || one_time ? 0 : f.trend[2] - f.trend[0] * m->mean;
        }
    }
}

/* The newest value less the others' mean, times 2^*ret_shift, which fits both. */
static double newest_off(const struct window *w, const struct span *s,
                         const struct moments *m, int *ret_shift)
{
    double newest = value_at(w, window_end(w) - 1);
    int shift = shift_of(size_of(newest));
    bool any = others_size(s) == SIZE_NOUGHT; /* they are 0 in every scale */
    *ret_shift = any || shift < m->shift ? shift : m->shift;
    return times_power(newest, *ret_shift) -
           times_power(m->origin, *ret_shift - m->shift) -
           times_power(m->mean, *ret_shift - m->shift);
}

static bool deviation(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    if (window_end(w) - s->lo < 2) {
        return false;
    }
    others_moments(w, s, false, &m);
    int shift;
    double off = newest_off(w, s, &m, &shift);
    double squares =
        times_power(m.squares, 2 * (shift - m.shift)) + off * off * (m.n / (m.n + 1));
    *ret = times_power(sqrt(squares / m.n), -shift);
    return *ret > 0;
}

static bool zscore(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    if (window_end(w) - s->lo < 3) {
        return false;
    }
    others_moments(w, s, false, &m);
    int shift;
    double off = newest_off(w, s, &m, &shift), dev = sqrt(m.squares / (m.n - 1));
    *ret = times_power(off / dev, m.shift - shift);
    return dev > 0;
}

static bool slope(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    struct wall newest = time_at(w, window_end(w) - 1);
    if (time_at(w, s->lo).us == newest.us) {
        return false;
    }
    others_moments(w, s, true, &m);
    int shift;
    double off = newest_off(w, s, &m, &shift);
    double after = apart_us(newest, m.from) - m.t_mean, part = m.n / (m.n + 1);
    double tt = m.tt + after * after * part;
    double ty = times_power(m.ty, shift - m.shift) + after * off * part;
    *ret = times_power(ty / tt * (double)US_PER_S, -shift);
    return true;
}

/* --- other functions --- */

static bool rate(const struct window *w, struct span *s, double *ret)
{
    double us = apart_us(time_at(w, window_end(w) - 1), time_at(w, s->lo));
    if (us <= 0) {
        return false;
    }
    struct figures f;
    span_figures(w, s, P(PART_RISES), false, &f);
    *ret =
        times_power((f.rises[0] + f.rises[1]) / (us / (double)US_PER_S), -s->sum_shift);
    return true;
}

static bool percentile(const struct window *w, const struct span *s, double p,
                       double *ret)
{
    if (!(p >= 0 && p <= 100)) {
        return false;
    }
    uint32_t last = (uint32_t)(window_end(w) - 1 - s->lo);
    double place = p / 100 * last;
    uint32_t k = (uint32_t)place;
    double below = order_at(s->order, k), part = place - k;
    if (part == 0 || k >= last) {
        *ret = below;
        return true;
    }
    double above = order_at(s->order, k + 1);
    *ret = below + (above - below) * part;
    if (!isfinite(*ret)) { /* too far apart to be subtracted */
        *ret = below * (1 - part) + above * part;
    }
    return true;
}

/* --- the interface --- */

bool span_is_empty(const struct window *w, size_t span, struct wall now)
{
    int64_t width = w->spec->spans[span].width_us;
    if (w->n == 0) {
        return true;
    }
    int64_t newest = window_newest(w).us;
    return width != 0 && newest <= INT64_MAX - width && now.us >= newest + width;
}

size_t span_count(const struct window *w, size_t span, struct wall now)
{
    return span_is_empty(w, span, now) ? 0 : (size_t)(window_end(w) - w->spans[span].lo);
}

struct point span_at(const struct window *w, size_t span, size_t i)
{
    return window_at(w, (size_t)(w->spans[span].lo - w->first) + i);
}

uint32_t span_min_points(const struct span_spec *s, enum window_fn fn,
                         uint32_t min_points)
{
    if (fn == FN_COUNT) {
        return 0;
    }
    if (min_points != 0) {
        return min_points;
    }
    if (s->count != 0) {
        return s->count;
    }
    return fn == FN_SUM || fn == FN_FIRST || fn == FN_LAST ? 1 : 2;
}

bool span_value(const struct window *w, size_t span, enum window_fn fn, double argument,
                uint32_t min_points, struct wall now, double *ret_value)
{
    const struct span_spec *spec = &w->spec->spans[span];
    size_t n = span_count(w, span, now);
    if (fn == FN_COUNT) {
        *ret_value = (double)n;
        return true;
    }
    if (n == 0 || n < span_min_points(spec, fn, min_points)) {
        return false;
    }
    if (!(spec->functions & (1u << fn)) && fn != FN_FIRST && fn != FN_LAST &&
        fn != FN_DELTA) {
        return false; /* its figures are not kept */
    }
    struct span *s = &w->spans[span];
    double first = value_at(w, s->lo), last = value_at(w, window_end(w) - 1);
    double v = 0;
    struct figures f;
    bool known = true;
    switch (fn) {
    case FN_AVG:
        v = sum_over(w, s, (double)n);
        break;
    case FN_SUM:
        v = sum_over(w, s, 1);
        break;
    case FN_MIN:
        span_figures(w, s, P(PART_LEAST), false, &f);
        v = f.least;
        break;
    case FN_MAX:
        span_figures(w, s, P(PART_MOST), false, &f);
        v = f.most;
        break;
    case FN_RANGE:
        span_figures(w, s, P(PART_LEAST) | P(PART_MOST), false, &f);
        v = f.most - f.least;
        break;
    case FN_CHANGES:
        span_figures(w, s, P(PART_CHANGES), false, &f);
        v = f.changes;
        break;
    case FN_FIRST:
        v = first;
        break;
    case FN_LAST:
        v = last;
        break;
    case FN_DELTA:
        v = last - first;
        known = n >= 2;
        break;
    case FN_RATE:
        known = rate(w, s, &v);
        break;
    case FN_SLOPE:
        known = slope(w, s, &v);
        break;
    case FN_STDDEV:
        known = deviation(w, s, &v);
        break;
    case FN_ZSCORE:
        known = zscore(w, s, &v);
        break;
    case FN_MEDIAN:
        known = percentile(w, s, 50, &v);
        break;
    case FN_PERCENTILE:
        known = percentile(w, s, argument, &v);
        break;
    case FN_COUNT:
    case FN_N:
        known = false;
        break;
    }
    if (!known || !isfinite(v)) {
        return false;
    }
    *ret_value = v;
    return true;
}
