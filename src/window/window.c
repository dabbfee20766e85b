#include "window/window.h"

#include <stdlib.h>
#include <string.h>

#include "window/internal.h"

#define CAP_MIN 4
#define CAP_MAX (UINT32_C(1) << 30)
/* A ring this much larger than what is in it is made smaller. */
#define SHRINK_FACTOR 2

/* So many readings of equal time are looked through for a redelivery; more are kept in
 * order. */
#define EQUAL_MAX 32

#define PERCENTILES ((1u << FN_MEDIAN) | (1u << FN_PERCENTILE))

/* t - us, or the earliest time there is. */
static struct wall before(struct wall t, int64_t us)
{
    return (struct wall){t.us < INT64_MIN + us ? INT64_MIN : t.us - us};
}

static struct wall newest_of(const struct window *w)
{
    return time_at(w, window_end(w) - 1);
}

static uint32_t points_max(const struct window *w)
{
    uint32_t max = w->spec->points_max;
    return max == 0 || max > CAP_MAX - 1 ? CAP_MAX - 1 : max;
}

struct window *window_new(const struct window_spec *spec)
{
    size_t doubles = 0, orders = 0;
    struct span layout;
    for (size_t i = 0; i < spec->n_spans; i++) {
        span_lay_out(&layout, spec->spans[i].functions);
        doubles += 2u * layout.fields;
        orders += (spec->spans[i].functions & PERCENTILES) != 0;
    }
    /* One block: a rule over 100,000 devices has as many windows. */
    struct window *w =
        calloc(1, sizeof *w + spec->n_spans * sizeof *w->spans +
                      doubles * sizeof(double) + orders * sizeof(struct order));
    if (!w) {
        return NULL;
    }
    w->spec = spec;
    w->spans = (struct span *)(w + 1);
    double *figures = (double *)(w->spans + spec->n_spans);
    struct order *order = (struct order *)(figures + doubles);
    for (size_t i = 0; i < spec->n_spans; i++) {
        struct span *s = &w->spans[i];
        span_lay_out(s, spec->spans[i].functions);
        s->back = figures;
        figures += 2u * s->fields;
        s->stale = true;
        if (spec->spans[i].functions & PERCENTILES) {
            s->order = order++;
        }
    }
    return w;
}

static void forget_equal(struct window *w)
{
    if (w->equal) {
        order_finish(w->equal);
        free(w->equal);
        w->equal = NULL;
    }
    w->n_equal = 0;
}

void window_clear(struct window *w)
{
    forget_equal(w);
    ring_free(&w->ring);
    w->n = 0;
    w->first = 0;
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        struct span *s = &w->spans[i];
        s->lo = s->mid = 0;
        s->stale = true;
        memset(s->seen, 0, sizeof s->seen);
        if (s->order) {
            order_finish(s->order);
        }
    }
}

void window_free(struct window *w)
{
    if (w) {
        window_clear(w);
        free(w);
    }
}

/* --- the ring's memory --- */

static size_t front_doubles(const struct span *s, uint32_t cap)
{
    return s->fields * ((size_t)cap / BLOCK + 1);
}

static size_t fronts_doubles(const struct window *w, uint32_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        n += front_doubles(&w->spans[i], cap);
    }
    return n;
}

/* How many readings there will be, going on as so far, once the window has its length;
 * at most four times the n that there are with `next`. */
static uint32_t expected(const struct window *w, uint32_t n, struct wall next)
{
    int64_t width = 0;
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        int64_t us = w->spec->spans[i].width_us;
        width = us > width ? us : width;
    }
    double beyond = apart_us(next, time_at(w, w->first)), most = 4.0 * n;
    double whole =
        beyond > 0 && width > 0 ? (n - 1) * ((double)width / beyond) + 1 : most;
    return (uint32_t)(whole < n ? n : whole < most ? whole : most);
}

/* The most readings that the spans let it hold. */
static uint32_t held_max(const struct window *w)
{
    uint32_t most = w->spec->n_spans > 0 ? 0 : 1;
    for (size_t i = 0; i < w->spec->n_spans && most != UINT32_MAX; i++) {
        uint32_t count = w->spec->spans[i].count;
        most = count == 0 ? UINT32_MAX : count > most ? count : most;
    }
    return most < points_max(w) ? most : points_max(w);
}

/* How many readings to make room for when n are to be held: a sixteenth more, since a
 * window over time grows to its length and stays there; never more than counts let it
 * hold. */
static uint32_t cap_for(const struct window *w, uint32_t n)
{
    uint32_t cap = (n + n / 16 + CAP_MIN - 1) / CAP_MIN * CAP_MIN, most = held_max(w);
    cap = cap < most ? cap : most;
    return cap > n ? cap : n;
}

/* `next` is to come in. */
static bool resize(struct window *w, uint32_t cap, struct point next)
{
    if (!ring_resize(&w->ring, cap, fronts_doubles(w, cap), w->n, next)) {
        return false;
    }
    double *front = ring_extra(&w->ring);
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        w->spans[i].front = front;
        w->spans[i].stale = true;
        front += front_doubles(&w->spans[i], cap);
    }
    return true;
}

/* Room for `n` readings, of which `next` is to come in. */
static bool reserve(struct window *w, uint32_t n, struct point next)
{
    uint32_t cap = w->ring.cap;
    if (n <= cap && ring_takes(&w->ring, next)) {
        return true;
    }
    if (n > cap) { /* in few steps, which leave few holes in the heap */
        cap = cap_for(w, n < CAP_MIN ? n : expected(w, n, next.at));
    }
    return resize(w, cap, next);
}

void window_expect(struct window *w, size_t n, struct point first)
{
    uint32_t most = held_max(w), cap = cap_for(w, n < most ? (uint32_t)n : most);
    if (w->n == 0 && cap > w->ring.cap) {
        (void)resize(w, cap, first); /* without memory it grows as it goes, if it can */
    }
}

static void give_back(struct window *w)
{
    if (w->ring.cap > 4 * CAP_MIN && w->n < w->ring.cap / SHRINK_FACTOR) {
        /* Without memory it stays as it is. */
        (void)resize(w, cap_for(w, w->n), window_at(w, w->n - 1));
    }
}

static bool orders_reserve(struct window *w)
{
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        if (w->spans[i].order && !order_reserve(w->spans[i].order)) {
            return false;
        }
    }
    return true;
}

size_t window_bytes(const struct window *w)
{
    size_t bytes = sizeof *w;
    if (w->ring.cap > 0) {
        bytes += ring_bytes(&w->ring, fronts_doubles(w, w->ring.cap));
    }
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        const struct span *s = &w->spans[i];
        bytes += sizeof *s + 2 * s->fields * sizeof(double);
        bytes += s->order ? sizeof *s->order + order_bytes(s->order) : 0;
    }
    bytes += w->equal ? sizeof *w->equal + order_bytes(w->equal) : 0;
    return bytes;
}

/* --- where a reading goes --- */

/* The number of the first reading that is newer than t (or not older, when or_equal). */
static uint64_t first_after(const struct window *w, struct wall t, bool or_equal)
{
    uint64_t lo = w->first, hi = window_end(w);
    while (lo < hi) {
        uint64_t m = lo + (hi - lo) / 2;
        int64_t at = time_at(w, m).us;
        if (or_equal ? at >= t.us : at > t.us) {
            hi = m;
        } else {
            lo = m + 1;
        }
    }
    return lo;
}

static bool held_at(const struct window *w, struct point p, uint64_t place)
{
    if (w->equal && place == window_end(w) && p.at.us == newest_of(w).us) {
        return order_holds(w->equal, p.value);
    }
    while (place > w->first) {
        if (time_at(w, --place).us != p.at.us) {
            return false;
        }
        if (value_at(w, place) == p.value) {
            return true;
        }
    }
    return false;
}

static bool is_covered(const struct window *w, struct point p, uint64_t place)
{
    if (w->n >= points_max(w) && place == w->first) {
        return false; /* it would be the one to leave */
    }
    struct wall newest = newest_of(w);
    uint64_t behind = window_end(w) - place;
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        const struct span_spec *s = &w->spec->spans[i];
        if ((s->width_us == 0 || p.at.us >= before(newest, s->width_us).us) &&
            (s->count == 0 || behind < s->count)) {
            return true;
        }
    }
    return false;
}

/* Also says which number the reading would get. */
static enum window_push place_of(const struct window *w, struct point p,
                                 uint64_t *ret_place)
{
    *ret_place = window_end(w);
    if (w->n == 0) {
        return WINDOW_APPENDED;
    }
    struct wall newest = newest_of(w);
    if (p.at.us > newest.us) {
        return WINDOW_APPENDED;
    }
    bool late = p.at.us < newest.us;
    if (late) {
        *ret_place = first_after(w, p.at, false);
        if (!is_covered(w, p, *ret_place)) {
            return WINDOW_LATE;
        }
    }
    if (held_at(w, p, *ret_place)) {
        return WINDOW_DUPLICATE;
    }
    return late ? WINDOW_INSERTED : WINDOW_APPENDED;
}

enum window_push window_would(const struct window *w, struct point p)
{
    uint64_t place;
    return place_of(w, p, &place);
}

/* --- pushing --- */

/* Where a span starts once the ring ends at `end` with `newest`; from its present start
 * on. */
static uint64_t span_start(const struct window *w, size_t i, struct wall newest,
                           uint64_t end, uint64_t held_end)
{
    const struct span_spec *spec = &w->spec->spans[i];
    uint64_t lo = w->spans[i].lo;
    if (spec->count != 0 && end - lo > spec->count) {
        lo = end - spec->count;
    }
    if (spec->width_us != 0) {
        struct wall cutoff = before(newest, spec->width_us);
        while (lo < held_end && time_at(w, lo).us < cutoff.us) {
            lo++;
        }
    }
    return lo;
}

static void span_set_start(const struct window *w, struct span *s, uint64_t lo)
{
    if (s->order) {
        for (uint64_t i = s->lo; i < lo; i++) {
            order_remove(s->order, value_at(w, i));
        }
        order_trim(s->order);
    }
    s->lo = lo;
    s->stale = s->stale || lo >= s->mid;
}

/* Makes room for one more at the newest time. */
static bool reserve_equal(struct window *w)
{
    if (w->n_equal < EQUAL_MAX) {
        return true;
    }
    if (w->equal) {
        return order_reserve(w->equal);
    }
    struct order *equal = calloc(1, sizeof *equal);
    bool ok = equal != NULL;
    for (uint64_t i = window_end(w) - w->n_equal; ok && i < window_end(w); i++) {
        ok = order_reserve(equal);
        if (ok) {
            order_add(equal, value_at(w, i));
        }
    }
    if (!ok || !order_reserve(equal)) {
        if (equal) {
            order_finish(equal);
            free(equal);
        }
        return false;
    }
    w->equal = equal;
    return true;
}

/* Drops the readings that no span needs; returns how many. */
static uint64_t drop_before(struct window *w, uint64_t first)
{
    uint64_t gone = first - w->first;
    for (; first > window_end(w) - w->n_equal; w->n_equal--) {
        if (w->equal) {
            order_remove(w->equal, value_at(w, window_end(w) - w->n_equal));
        }
    }
    w->ring.at = ring_place(&w->ring, gone);
    w->n -= (uint32_t)gone;
    w->first = first;
    return gone;
}

/* The oldest that any span needs, given that the ring is to end at `end`; how many of
 * those points_max pushes out goes to *ret_over. */
static uint64_t needed_from(const struct window *w, uint64_t lowest, uint64_t end,
                            size_t *ret_over)
{
    uint32_t max = points_max(w);
    *ret_over = 0;
    if (end - lowest > max) {
        *ret_over = (size_t)(end - max - lowest);
        lowest = end - max;
    }
    return lowest;
}

static bool append(struct window *w, struct point p, size_t *ret_expired,
                   size_t *ret_over)
{
    uint64_t held_end = window_end(w), end = held_end + 1;
    size_t n_spans = w->spec->n_spans;
    uint64_t lowest = held_end;
    for (size_t i = 0; i < n_spans; i++) {
        uint64_t lo = span_start(w, i, p.at, end, held_end);
        lowest = lo < lowest ? lo : lowest;
    }
    uint64_t first = needed_from(w, lowest, end, ret_over);
    uint32_t keeps = (uint32_t)(end - first);
    bool equal = w->n > 0 && p.at.us == newest_of(w).us;
    if (!orders_reserve(w) || (equal && !reserve_equal(w)) || !reserve(w, keeps, p)) {
        return false;
    }
    for (size_t i = 0; i < n_spans; i++) {
        uint64_t lo = span_start(w, i, p.at, end, held_end);
        lo = lo < first ? first : lo;
        if (lo > w->spans[i].lo) {
            span_set_start(w, &w->spans[i], lo);
        }
    }
    for (size_t i = 0; i < n_spans && w->n > 0; i++) {
        span_note(&w->spans[i], held_end - 1, value_at(w, held_end - 1));
    }
    *ret_expired = (size_t)drop_before(w, first);
    if (!equal) {
        forget_equal(w);
    } else if (w->equal) {
        order_add(w->equal, p.value);
    }
    w->n_equal++;
    w->n++;
    ring_set(&w->ring, place_at(w, held_end), p);
    for (size_t i = 0; i < n_spans; i++) {
        struct span *s = &w->spans[i];
        if (s->order) {
            order_add(s->order, p.value);
        }
        if (!s->stale) {
            span_take_newest(w, s);
        }
    }
    return true;
}

/* As span_start, but found from nothing. */
static uint64_t span_start_anew(const struct window *w, size_t i)
{
    const struct span_spec *spec = &w->spec->spans[i];
    uint64_t lo = w->first, end = window_end(w);
    if (spec->width_us != 0) {
        lo = first_after(w, before(newest_of(w), spec->width_us), true);
    }
    if (spec->count != 0 && end - lo > spec->count) {
        lo = end - spec->count;
    }
    return lo;
}

/* A reading stands at `place` now that the span, unless it starts behind it, has to take
 * in. */
static void span_insert(const struct window *w, struct span *s, uint64_t lo,
                        uint64_t place)
{
    if (s->order) {
        uint64_t end = window_end(w), held = end - 1 - s->lo;
        if (place >= lo) {
            order_add(s->order, value_at(w, place));
            held++;
        }
        /* What it pushed out stands right before the new start. */
        for (uint64_t gone = held - (end - lo); gone > 0; gone--) {
            order_remove(s->order, value_at(w, lo - gone));
        }
    }
    for (size_t size = 0; size < SIZE_N; size++) {
        s->seen[size] += s->seen[size] > place; /* those behind it moved on by one */
    }
    span_note(s, place, value_at(w, place));
    s->lo = lo;
    s->stale = true;
}

static bool insert(struct window *w, struct point p, uint64_t place, size_t *ret_expired,
                   size_t *ret_over)
{
    if (!orders_reserve(w) || !reserve(w, w->n + 1, p)) {
        return false;
    }
    w->n++;
    uint64_t end = window_end(w), lowest = end;
    for (uint64_t i = end - 1; i > place; i--) {
        ring_copy(&w->ring, place_at(w, i), place_at(w, i - 1));
    }
    ring_set(&w->ring, place_at(w, place), p);
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        uint64_t lo = span_start_anew(w, i);
        lowest = lo < lowest ? lo : lowest;
    }
    uint64_t first = needed_from(w, lowest, end, ret_over);
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        uint64_t lo = span_start_anew(w, i);
        span_insert(w, &w->spans[i], lo < first ? first : lo, place);
    }
    *ret_expired = (size_t)drop_before(w, first);
    return true;
}

enum window_push window_push(struct window *w, struct point p, size_t *ret_expired,
                             size_t *ret_over)
{
    uint64_t place;
    size_t expired = 0, over = 0;
    enum window_push outcome = place_of(w, p, &place);
    if ((outcome == WINDOW_APPENDED && !append(w, p, &expired, &over)) ||
        (outcome == WINDOW_INSERTED && !insert(w, p, place, &expired, &over))) {
        outcome = WINDOW_NO_MEMORY;
        expired = over = 0;
    } else if (expired > 0) {
        give_back(w);
    }
    if (ret_expired) {
        *ret_expired = expired;
    }
    if (ret_over) {
        *ret_over = over;
    }
    return outcome;
}

void window_shift(struct window *w, int64_t by_us)
{
    ring_shift(&w->ring, w->n, by_us);
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        struct span *s = &w->spans[i];
        s->origin_at = wall_shifted(s->origin_at, by_us); /* figures over time stay */
    }
}

/* --- reading --- */

size_t window_count(const struct window *w)
{
    return w->n;
}

struct point window_at(const struct window *w, size_t i)
{
    return (struct point){time_at(w, w->first + i), value_at(w, w->first + i)};
}

struct wall window_newest(const struct window *w)
{
    return w->n > 0 ? newest_of(w) : (struct wall){INT64_MIN};
}

struct wall window_cutoff(const struct window *w)
{
    struct wall cutoff = {INT64_MIN};
    if (w->n == 0) {
        return cutoff;
    }
    cutoff = newest_of(w);
    for (size_t i = 0; i < w->spec->n_spans; i++) {
        const struct span_spec *spec = &w->spec->spans[i];
        struct wall from = {INT64_MIN};
        if (spec->width_us != 0) {
            from = before(newest_of(w), spec->width_us);
        }
        if (spec->count != 0 && window_end(w) - w->spans[i].lo >= spec->count) {
            struct wall oldest = time_at(w, w->spans[i].lo);
            from = oldest.us > from.us ? oldest : from;
        }
        cutoff = from.us < cutoff.us ? from : cutoff;
    }
    if (w->n >= points_max(w) && time_at(w, w->first).us > cutoff.us) {
        cutoff = time_at(w, w->first);
    }
    return cutoff;
}
