/* The functions over a span, made of the figures that figures.c keeps. */
#include <math.h>

#include "window/internal.h"

/* Squares of values this far apart, or this near, would leave a double's range. */
#define SPREAD_MAX 1e150
#define SPREAD_MIN 1e-140
#define SPREAD_SHIFT 600 /* powers of two that bring them back into it */
#define SUM_SHIFT 64     /* the same for sums; more than the readings a ring can hold */
/* Sums of squares about an origin lose digits as the mean moves away from it. Once it is
 * more than the root of this many deviations away, they are built anew about the mean. */
#define ORIGIN_DRIFT 64

/* --- sums --- */

/* The sum of the values or of their rises, divided. Near the largest double a sum may
 * overflow on the way although the result does not: then it is added up anew in smaller
 * units, in O(n), for values that no sensor sends. */
static double divided(const struct window *w, const struct span *s, enum part part,
                      const double *sum, double divisor)
{
    if (isfinite(sum[0] + sum[1])) {
        return (sum[0] + sum[1]) / divisor;
    }
    double scaled[2] = {0, 0}, before = 0;
    for (uint64_t i = s->lo; i < window_end(w); i++) {
        double v = ldexp(point_at(w, i)->value, -SUM_SHIFT);
        if (part == PART_SUM) {
            sum_add(scaled, v);
        } else if (i > s->lo) {
            sum_add(scaled, rise(before, v));
        }
        before = v;
    }
    return ldexp((scaled[0] + scaled[1]) / divisor, SUM_SHIFT);
}

static double sum_over(const struct window *w, struct span *s, double divisor)
{
    struct figures f;
    span_figures(w, s, P(PART_SUM), false, &f);
    return divided(w, s, PART_SUM, f.sum, divisor);
}

/* --- deviation and slope --- */

struct moments {
    double mean; /* of y = (value - origin) * 2^shift */
    double origin;
    double squares; /* sum of (y - mean)^2 */
    double tt, ty;  /* sums of (u - mean u)^2, (u - mean u)(y - mean); of slope alone */
    int shift;
};

static double scaled_apart(double v, double origin, int shift)
{
    return shift < 0 ? ldexp(v, shift) - ldexp(origin, shift) : ldexp(v - origin, shift);
}

/* By two passes: for values whose squares leave a double's range and for what is too ill
 * conditioned for the running figures. O(n). */
static void moments_anew(const struct window *w, const struct span *s, uint64_t end,
                         int shift, struct moments *m)
{
    const struct point *oldest = point_at(w, s->lo);
    double n = (double)(end - s->lo), y_sum[2] = {0, 0}, u_sum = 0;
    for (uint64_t i = s->lo; i < end; i++) {
        const struct point *p = point_at(w, i);
        sum_add(y_sum, scaled_apart(p->value, oldest->value, shift));
        u_sum += apart_us(p->at, oldest->at);
    }
    *m = (struct moments){
        .mean = (y_sum[0] + y_sum[1]) / n, .origin = oldest->value, .shift = shift};
    double u_mean = u_sum / n, left_over = 0;
    for (uint64_t i = s->lo; i < end; i++) {
        const struct point *p = point_at(w, i);
        double y = scaled_apart(p->value, oldest->value, shift) - m->mean;
        double u = apart_us(p->at, oldest->at) - u_mean;
        left_over += y;
        m->squares += y * y;
        m->tt += u * u;
        m->ty += u * y;
    }
    m->squares -= left_over * left_over / n;
}

/* sum of (x - mean)^2 from the sums of x and x * x; false: too far from the origin for
 * it. */
static bool about_mean(double sum, double squares, double n, double *ret)
{
    double off = sum * (sum / n), about = squares - off;
    *ret = about;
    return about > 0 && off <= ORIGIN_DRIFT * about;
}

/* Over the span, or its readings but the newest; false: fewer than two readings, or they
 * are all equal. */
static bool moments_over(const struct window *w, struct span *s, bool others, bool trend,
                         struct moments *m)
{
    uint64_t end = window_end(w) - (others ? 1 : 0);
    if (end - s->lo < 2) {
        return false;
    }
    double n = (double)(end - s->lo);
    struct figures f;
    unsigned parts = DEVIATION | (trend ? P(PART_TREND) : 0);
    for (unsigned attempt = 0; attempt < 2; attempt++) {
        span_figures(w, s, parts, others, &f);
        double spread = f.most - f.least;
        bool equal = f.most == f.least;
        if (equal && !trend) {
            return false;
        }
        if (!equal && !(spread >= SPREAD_MIN && spread <= SPREAD_MAX)) {
            moments_anew(w, s, end, spread < 1 ? SPREAD_SHIFT : -SPREAD_SHIFT, m);
            return true;
        }
        *m = (struct moments){.mean = f.powers[0] / n, .origin = s->origin_value};
        bool sound = equal || about_mean(f.powers[0], f.powers[1], n, &m->squares);
        if (trend) {
            sound = about_mean(f.trend[0], f.trend[1], n, &m->tt) && sound;
            m->ty = equal ? 0 : f.trend[2] - f.trend[0] * (f.powers[0] / n);
        }
        if (sound) {
            return true;
        }
        s->stale = true; /* about a better origin, then */
    }
    moments_anew(w, s, end, 0, m);
    return true;
}

static bool deviation(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    if (!moments_over(w, s, false, false, &m)) {
        return false;
    }
    double n = (double)(window_end(w) - s->lo);
    *ret = ldexp(sqrt(m.squares / (n - 1)), -m.shift);
    return *ret > 0;
}

static bool zscore(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    if (!moments_over(w, s, true, false, &m)) {
        return false;
    }
    double n = (double)(window_end(w) - 1 - s->lo);
    double latest = point_at(w, window_end(w) - 1)->value;
    double dev = sqrt(m.squares / (n - 1));
    *ret = (scaled_apart(latest, m.origin, m.shift) - m.mean) / dev;
    return dev > 0;
}

static bool slope(const struct window *w, struct span *s, double *ret)
{
    struct moments m;
    uint64_t last = window_end(w) - 1;
    if (point_at(w, s->lo)->at.us == point_at(w, last)->at.us ||
        !moments_over(w, s, false, true, &m)) {
        return false;
    }
    *ret = ldexp(m.ty / m.tt * (double)US_PER_S, -m.shift);
    return true;
}

/* --- other functions --- */

static bool rate(const struct window *w, struct span *s, double *ret)
{
    double us = apart_us(point_at(w, window_end(w) - 1)->at, point_at(w, s->lo)->at);
    if (us <= 0) {
        return false;
    }
    struct figures f;
    span_figures(w, s, P(PART_RISES), false, &f);
    *ret = divided(w, s, PART_RISES, f.rises, us / (double)US_PER_S);
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
    return *point_at(w, w->spans[span].lo + i);
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
    double first = point_at(w, s->lo)->value,
           last = point_at(w, window_end(w) - 1)->value;
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
