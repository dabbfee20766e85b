/* Figures over a span, and the functions made of them; see internal.h for how they are
 * kept. */
#include <math.h>
#include <string.h>

#include "window/internal.h"

/* Squares of values this far apart, or this near, would leave a double's range. */
#define SPREAD_MAX 1e150
#define SPREAD_MIN 1e-140
#define SPREAD_SHIFT 600 /* powers of two that bring them back into it */
#define SUM_SHIFT 64     /* the same for sums; more than the readings a ring can hold */
/* Sums of squares about an origin lose digits as the mean moves away from it. Once it is
 * more than the root of this many deviations away, they are built anew about the mean. */
#define ORIGIN_DRIFT 64

static const uint8_t part_fields[PART_N] = {
    [PART_SUM] = 2,   [PART_LEAST] = 1,   [PART_MOST] = 1,  [PART_POWERS] = 2,
    [PART_RISES] = 2, [PART_CHANGES] = 1, [PART_TREND] = 3,
};

#define P(part) (1u << (part))
#define DEVIATION (P(PART_POWERS) | P(PART_LEAST) | P(PART_MOST))

static const uint8_t fn_parts[FN_N] = {
    [FN_AVG] = P(PART_SUM),
    [FN_MIN] = P(PART_LEAST),
    [FN_MAX] = P(PART_MOST),
    [FN_SUM] = P(PART_SUM),
    [FN_RANGE] = P(PART_LEAST) | P(PART_MOST),
    [FN_STDDEV] = DEVIATION,
    [FN_RATE] = P(PART_RISES),
    [FN_SLOPE] = DEVIATION | P(PART_TREND),
    [FN_ZSCORE] = DEVIATION,
    [FN_CHANGES] = P(PART_CHANGES),
};

void span_lay_out(struct span *s, uint32_t functions)
{
    s->parts = s->fields = 0;
    for (unsigned fn = 0; fn < FN_N; fn++) {
        if (functions & (1u << fn)) {
            s->parts = (uint8_t)(s->parts | fn_parts[fn]);
        }
    }
    for (unsigned part = 0; part < PART_N; part++) {
        s->at[part] = s->fields;
        if (s->parts & P(part)) {
            s->fields = (uint8_t)(s->fields + part_fields[part]);
        }
    }
}

/* --- figures: adding a reading, merging two --- */

/* Figures while they are worked on; where they are kept, they lie close (struct span,
 * at). */
struct figures {
    double sum[2], least, most, powers[2], rises[2], changes, trend[3];
};

static const struct figures no_figures = {.least = INFINITY, .most = -INFINITY};

/* high += x, with what rounding took from it going to low (Knuth's two-sum: exact
 * whichever of the two is larger). */
static inline void sum_add(double *sum, double x)
{
    double high = sum[0] + x;
    double of_x = high - sum[0];
    sum[1] += (sum[0] - (high - of_x)) + (x - of_x);
    sum[0] = high;
}

static inline double rise(double before, double now)
{
    return now >= before ? now - before : now; /* a fall: the counter began anew at 0 */
}

/* a - b in microseconds; wraps rather than being undefined, for stamps of absurd
 * distance. */
static inline double apart_us(struct wall a, struct wall b)
{
    return (double)(int64_t)((uint64_t)a.us - (uint64_t)b.us);
}

/* `before`: the reading before p, NULL when p is the first of what is looked at. */
static inline void add(const struct span *s, unsigned parts, struct figures *f,
                       const struct point *p, const struct point *before)
{
    if (parts & P(PART_SUM)) {
        sum_add(f->sum, p->value);
    }
    if (parts & P(PART_LEAST)) {
        f->least = p->value < f->least ? p->value : f->least;
    }
    if (parts & P(PART_MOST)) {
        f->most = p->value > f->most ? p->value : f->most;
    }
    if (parts & P(PART_POWERS)) {
        double y = p->value - s->origin_value;
        f->powers[0] += y;
        f->powers[1] += y * y;
    }
    if (parts & P(PART_RISES) && before) {
        sum_add(f->rises, rise(before->value, p->value));
    }
    if (parts & P(PART_CHANGES) && before) {
        f->changes += before->value != p->value;
    }
    if (parts & P(PART_TREND)) {
        double u = apart_us(p->at, s->origin_at);
        f->trend[0] += u;
        f->trend[1] += u * u;
        f->trend[2] += u * (p->value - s->origin_value);
    }
}

static void merge(const struct span *s, unsigned parts, struct figures *f,
                  const double *kept)
{
    const double *k;
    if (parts & P(PART_SUM)) {
        k = kept + s->at[PART_SUM];
        sum_add(f->sum, k[0]);
        f->sum[1] += k[1];
    }
    if (parts & P(PART_LEAST)) {
        k = kept + s->at[PART_LEAST];
        f->least = *k < f->least ? *k : f->least;
    }
    if (parts & P(PART_MOST)) {
        k = kept + s->at[PART_MOST];
        f->most = *k > f->most ? *k : f->most;
    }
    if (parts & P(PART_POWERS)) {
        k = kept + s->at[PART_POWERS];
        f->powers[0] += k[0];
        f->powers[1] += k[1];
    }
    if (parts & P(PART_RISES)) {
        k = kept + s->at[PART_RISES];
        sum_add(f->rises, k[0]);
        f->rises[1] += k[1];
    }
    if (parts & P(PART_CHANGES)) {
        f->changes += kept[s->at[PART_CHANGES]];
    }
    if (parts & P(PART_TREND)) {
        k = kept + s->at[PART_TREND];
        f->trend[0] += k[0];
        f->trend[1] += k[1];
        f->trend[2] += k[2];
    }
}

static inline void keep(const struct span *s, unsigned parts, const struct figures *f,
                        double *kept)
{
    const double *from[PART_N] = {f->sum,   &f->least,   &f->most, f->powers,
                                  f->rises, &f->changes, f->trend};
    for (unsigned part = 0; part < PART_N; part++) {
        for (unsigned i = 0; parts & P(part) && i < part_fields[part]; i++) {
            kept[s->at[part] + i] = from[part][i];
        }
    }
}

/* Adds the readings of [from, to), the first of them as one with none before it. */
static inline __attribute__((always_inline)) void scan(const struct window *w,
                                                       const struct span *s,
                                                       unsigned parts, uint64_t from,
                                                       uint64_t to, struct figures *f)
{
    const struct point *before = NULL, *edge = w->ring + w->cap;
    const struct point *p = from < to ? point_at(w, from) : NULL;
    struct figures sum = *f;
    for (uint64_t i = from; i < to; i++) {
        add(s, parts, &sum, p, before);
        before = p++;
        p = p == edge ? w->ring : p;
    }
    *f = sum;
}

/* The front's figures over [lo, mid), from its end on. */
static inline __attribute__((always_inline)) void
build_front(const struct window *w, struct span *s, unsigned parts)
{
    const struct point *p = point_at(w, s->mid), *edge = w->ring + w->cap;
    struct figures f = no_figures;
    for (uint64_t i = s->mid; i > s->lo + 1;) {
        i--;
        p = (p == w->ring ? edge : p) - 1;
        add(s, parts, &f, p, (p == w->ring ? edge : p) - 1);
        if (i % BLOCK == 0) {
            keep(s, parts, &f, s->front + (i / BLOCK - s->front_block) * s->fields);
        }
    }
}

/* With the usual parts as constants, so that each loop holds what it needs and no more.
 */
#define SPECIALIZED(parts, call)                                                         \
    switch (parts) {                                                                     \
    case P(PART_SUM):                                                                    \
        call(P(PART_SUM));                                                               \
        break;                                                                           \
    case P(PART_LEAST):                                                                  \
        call(P(PART_LEAST));                                                             \
        break;                                                                           \
    case P(PART_MOST):                                                                   \
        call(P(PART_MOST));                                                              \
        break;                                                                           \
    case P(PART_RISES):                                                                  \
        call(P(PART_RISES));                                                             \
        break;                                                                           \
    case DEVIATION:                                                                      \
        call(DEVIATION);                                                                 \
        break;                                                                           \
    default:                                                                             \
        call(parts);                                                                     \
    }

/* --- the two halves --- */

void span_take_newest(const struct window *w, struct span *s)
{
    uint64_t newest = window_end(w) - 1;
    struct figures f = no_figures;
    memcpy(s->back + s->fields, s->back, s->fields * sizeof *s->back);
    add(s, s->parts, &f, point_at(w, newest),
        newest > s->lo ? point_at(w, newest - 1) : NULL);
    merge(s, s->parts, &f, s->back);
    keep(s, s->parts, &f, s->back);
}

/* About the mean of value and time over all readings but the newest, which may be an
 * outlier (zscore compares it with the others); over the newest if it is alone. */
static void choose_origin(const struct window *w, struct span *s, uint64_t end)
{
    const struct point *oldest = point_at(w, s->lo), *newest = point_at(w, end - 1);
    s->origin_value = newest->value;
    s->origin_at = newest->at;
    double n = (double)(end - 1 - s->lo), values = 0, us = 0;
    for (uint64_t i = s->lo; i < end - 1; i++) {
        const struct point *p = point_at(w, i);
        values += p->value;
        us += apart_us(p->at, oldest->at);
    }
    if (n > 0 && isfinite(values / n)) {
        s->origin_value = values / n;
    }
    if (n > 0) {
        s->origin_at.us = (int64_t)((uint64_t)oldest->at.us + (uint64_t)(us / n));
    }
}

/* Front over all readings but the newest, back over that one. */
static void build(const struct window *w, struct span *s)
{
    uint64_t end = window_end(w);
    if (s->parts & (P(PART_POWERS) | P(PART_TREND))) {
        choose_origin(w, s, end);
    }
    s->mid = end - 1;
    s->front_block = s->lo / BLOCK + 1; /* a figure from lo itself is never asked for */
#define CALL(parts) build_front(w, s, parts)
    SPECIALIZED(s->parts, CALL)
#undef CALL
    keep(s, s->parts, &no_figures, s->back);
    span_take_newest(w, s);
    s->stale = false;
}

/* The figures over the whole span, or over all but its newest reading. */
static void total(const struct window *w, struct span *s, unsigned parts, bool others,
                  struct figures *f)
{
    if (s->stale) {
        build(w, s);
    }
    *f = no_figures;
    uint64_t block_end = (s->lo / BLOCK + 1) * BLOCK;
    uint64_t to = block_end < s->mid ? block_end : s->mid;
#define CALL(parts) scan(w, s, parts, s->lo, to, f)
    SPECIALIZED(parts, CALL)
#undef CALL
    if (block_end < s->mid) {
        merge(s, parts, f, s->front + (block_end / BLOCK - s->front_block) * s->fields);
    }
    merge(s, parts, f, others ? s->back + s->fields : s->back);
}

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
    total(w, s, P(PART_SUM), false, &f);
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
        total(w, s, parts, others, &f);
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
    total(w, s, P(PART_RISES), false, &f);
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
        total(w, s, P(PART_LEAST), false, &f);
        v = f.least;
        break;
    case FN_MAX:
        total(w, s, P(PART_MOST), false, &f);
        v = f.most;
        break;
    case FN_RANGE:
        total(w, s, P(PART_LEAST) | P(PART_MOST), false, &f);
        v = f.most - f.least;
        break;
    case FN_CHANGES:
        total(w, s, P(PART_CHANGES), false, &f);
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
