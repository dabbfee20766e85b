/* Keeping the figures of a span; internal.h says how they are cut into front and back. */
#include <assert.h>
#include <math.h>

#include "window/internal.h"

static const uint8_t part_fields[PART_N] = {
    [PART_SUM] = 2,   [PART_LEAST] = 1,   [PART_MOST] = 1,  [PART_POWERS] = 2,
    [PART_RISES] = 2, [PART_CHANGES] = 1, [PART_TREND] = 3,
};

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

/* --- adding a reading, merging two --- */

static const struct figures no_figures = {.least = INFINITY, .most = -INFINITY};

/* How readings are taken; apart from the span, so that loops can hold it in registers. */
struct measure {
    double sum_scale, power_scale, origin_value;
    struct wall origin_at;
};

static inline double scale_of(int shift)
{
    return shift == 0 ? 1 : shift < 0 ? 0x1p-600 : 0x1p600;
}

static inline struct measure measure_of(const struct span *s)
{
    static_assert(SHIFT == 600, "the scales are powers of two to it");
    return (struct measure){scale_of(s->sum_shift), scale_of(s->power_shift),
                            s->origin_value, s->origin_at};
}

#define NO_PLACE UINT32_MAX

/* `before`: the place of the reading before; NO_PLACE when this is the first of what is
 * looked at. */
static inline void add(const struct measure *m, unsigned parts, struct figures *f,
                       const struct ring *r, uint32_t place, uint32_t before)
{
    double value = ring_value(r, place);
    if (parts & P(PART_SUM)) {
        sum_add(f->sum, value * m->sum_scale);
    }
    if (parts & P(PART_LEAST)) {
        f->least = value < f->least ? value : f->least;
    }
    if (parts & P(PART_MOST)) {
        f->most = value > f->most ? value : f->most;
    }
    if (parts & P(PART_POWERS)) {
        double y = value * m->power_scale - m->origin_value;
        f->powers[0] += y;
        f->powers[1] += y * y;
    }
    if (parts & P(PART_RISES) && before != NO_PLACE) {
        sum_add(f->rises,
                rise(ring_value(r, before) * m->sum_scale, value * m->sum_scale));
    }
    if (parts & P(PART_CHANGES) && before != NO_PLACE) {
        f->changes += ring_value(r, before) != value;
    }
    if (parts & P(PART_TREND)) {
        double u = apart_us(ring_time(r, place), m->origin_at);
        f->trend[0] += u;
        f->trend[1] += u * u;
        f->trend[2] += u * (value * m->power_scale - m->origin_value);
    }
}

static inline void merge(const struct span *s, unsigned parts, struct figures *f,
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
    double *k;
    if (parts & P(PART_SUM)) {
        k = kept + s->at[PART_SUM];
        k[0] = f->sum[0];
        k[1] = f->sum[1];
    }
    if (parts & P(PART_LEAST)) {
        kept[s->at[PART_LEAST]] = f->least;
    }
    if (parts & P(PART_MOST)) {
        kept[s->at[PART_MOST]] = f->most;
    }
    if (parts & P(PART_POWERS)) {
        k = kept + s->at[PART_POWERS];
        k[0] = f->powers[0];
        k[1] = f->powers[1];
    }
    if (parts & P(PART_RISES)) {
        k = kept + s->at[PART_RISES];
        k[0] = f->rises[0];
        k[1] = f->rises[1];
    }
    if (parts & P(PART_CHANGES)) {
        kept[s->at[PART_CHANGES]] = f->changes;
    }
    if (parts & P(PART_TREND)) {
        k = kept + s->at[PART_TREND];
        k[0] = f->trend[0];
        k[1] = f->trend[1];
        k[2] = f->trend[2];
    }
}

/* Adds the figures over [lo, to), what the front has from there on, and the back. */
static inline __attribute__((always_inline)) void
gather(const struct window *w, const struct span *s, unsigned parts, uint64_t to,
       const double *front, const double *back, struct figures *ret)
{
    const struct ring *r = &w->ring;
    uint32_t before = NO_PLACE, place = place_at(w, s->lo);
    const struct measure m = measure_of(s);
    struct figures f = no_figures;
    for (uint64_t i = s->lo; i < to; i++) {
        add(&m, parts, &f, r, place, before);
        before = place++;
        place = place == r->cap ? 0 : place;
    }
    if (front) {
        merge(s, parts, &f, front);
    }
    merge(s, parts, &f, back);
    *ret = f;
}

/* The front's figures over [lo, mid), from its end on. */
static inline __attribute__((always_inline)) void
build_front(const struct window *w, struct span *s, unsigned parts)
{
    const struct ring *r = &w->ring;
    uint32_t place = place_at(w, s->mid);
    const struct measure m = measure_of(s);
    struct figures f = no_figures;
    for (uint64_t i = s->mid; i > s->lo + 1;) {
        i--;
        place = (place == 0 ? r->cap : place) - 1;
        add(&m, parts, &f, r, place, (place == 0 ? r->cap : place) - 1);
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

static inline __attribute__((always_inline)) void
take_newest(const struct window *w, struct span *s, unsigned parts)
{
    uint64_t newest = window_end(w) - 1;
    const struct measure m = measure_of(s);
    struct figures f = no_figures;
    for (unsigned i = 0; i < s->fields; i++) {
        s->back[s->fields + i] = s->back[i];
    }
    add(&m, parts, &f, &w->ring, place_at(w, newest),
        newest > s->lo ? place_at(w, newest - 1) : NO_PLACE);
    merge(s, parts, &f, s->back);
    keep(s, parts, &f, s->back);
}

void span_take_newest(const struct window *w, struct span *s)
{
#define CALL(parts) take_newest(w, s, parts)
    SPECIALIZED(s->parts, CALL)
#undef CALL
}

/* About the mean of value and time over all readings but the newest, which may be an
 * outlier (zscore compares it with the others); over the newest if it is alone. */
static void choose_origin(const struct window *w, struct span *s, uint64_t end)
{
    struct wall oldest = time_at(w, s->lo);
    double scale = scale_of(s->power_shift), n = (double)(end - 1 - s->lo);
    double base = value_at(w, s->lo) * scale, values[2] = {0, 0}, us = 0;
    s->origin_value = base;
    s->origin_at = oldest;
    if (n == 0) {
        return;
    }
    for (uint64_t i = s->lo; i < end - 1; i++) {
        sum_add(values, value_at(w, i) * scale - base);
        us += apart_us(time_at(w, i), oldest);
    }
    s->origin_value += (values[0] + values[1]) / n;
    s->origin_at.us = (int64_t)((uint64_t)oldest.us + (uint64_t)(us / n));
}

/* The powers of two that the readings want now. */
static int sum_shift(const struct window *w, const struct span *s)
{
    bool huge = others_size(s) == SIZE_HUGE ||
                size_of(value_at(w, window_end(w) - 1)) == SIZE_HUGE;
    return huge ? -SHIFT : 0;
}

/* The newest is left out: deviations take it in by themselves (span.c). */
static int power_shift(const struct span *s)
{
    enum size size = others_size(s);
    return size == SIZE_NOUGHT ? 0 : shift_of(size);
}

static bool fits(const struct window *w, const struct span *s)
{
    return (!(s->parts & (P(PART_SUM) | P(PART_RISES))) ||
            s->sum_shift == sum_shift(w, s)) &&
           (!(s->parts & (P(PART_POWERS) | P(PART_TREND))) ||
            s->power_shift == power_shift(s));
}

/* Front over all readings but the newest, back over that one. */
static void build(const struct window *w, struct span *s)
{
    uint64_t end = window_end(w);
    s->sum_shift = (int16_t)sum_shift(w, s);
    s->power_shift = (int16_t)power_shift(s);
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
void span_figures(const struct window *w, struct span *s, unsigned parts, bool others,
                  struct figures *f)
{
    if (s->stale || !fits(w, s)) {
        build(w, s);
    }
    uint64_t block_end = (s->lo / BLOCK + 1) * BLOCK;
    uint64_t to = block_end < s->mid ? block_end : s->mid;
    const double *back = others ? s->back + s->fields : s->back;
    const double *front = NULL;
    if (block_end < s->mid) {
        front = s->front + (block_end / BLOCK - s->front_block) * s->fields;
    }
#define CALL(parts) gather(w, s, parts, to, front, back, f)
    SPECIALIZED(parts, CALL)
#undef CALL
}
