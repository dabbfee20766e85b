#include "window/ring.h"

#include <stdlib.h>
#include <string.h>

#define US_PER_STEP 1000 /* of a time in milliseconds */
#define REACH UINT32_MAX /* steps */
/* Of a form that is chosen: the rest is room to go on in. */
#define REACH_AT_FIRST (REACH / 4 * 3)

/* Steps from base to `at`; the two divisions are by constants, which is quicker. */
static uint64_t steps(int64_t base, unsigned unit, int64_t at)
{
    uint64_t beyond = (uint64_t)at - (uint64_t)base;
    return unit == US_PER_STEP ? beyond / US_PER_STEP : beyond;
}

static bool fits(int64_t base, unsigned unit, uint64_t reach, int64_t at)
{
    uint64_t n = steps(base, unit, at);
    return at >= base && n <= reach && n * unit == (uint64_t)at - (uint64_t)base;
}

bool ring_takes(const struct ring *r, struct wall at)
{
    return r->unit == 0 || fits(r->base, r->unit, REACH, at.us);
}

static void set_time(struct ring *r, uint32_t place, int64_t at)
{
    if (r->unit == 0) {
        ((int64_t *)r->times)[place] = at;
    } else {
        ((uint32_t *)r->times)[place] = (uint32_t)steps(r->base, r->unit, at);
    }
}

void ring_set(struct ring *r, uint32_t place, struct point p)
{
    r->values[place] = p.value;
    set_time(r, place, p.at.us);
}

void ring_copy(struct ring *r, uint32_t to, uint32_t from)
{
    r->values[to] = r->values[from];
    if (r->unit == 0) {
        ((int64_t *)r->times)[to] = ((int64_t *)r->times)[from];
    } else {
        ((uint32_t *)r->times)[to] = ((uint32_t *)r->times)[from];
    }
}

/* The unit that holds the n readings and `next`, counted from *ret_base on. */
static uint16_t unit_for(const struct ring *r, uint32_t n, struct wall next,
                         int64_t *ret_base)
{
    int64_t least = next.us, most = next.us;
    bool in_ms = true;
    for (uint32_t i = 0; i < n; i++) {
        int64_t at = ring_time(r, ring_place(r, i)).us;
        least = at < least ? at : least;
        most = at > most ? at : most;
        in_ms = in_ms && at % US_PER_STEP == next.us % US_PER_STEP;
    }
    *ret_base = least;
    return in_ms && fits(least, US_PER_STEP, REACH_AT_FIRST, most) ? US_PER_STEP
           : fits(least, 1, REACH_AT_FIRST, most)                  ? 1
                                                                   : 0;
}

static size_t time_bytes(const struct ring *r)
{
    return r->unit == 0 ? sizeof(int64_t) : sizeof(uint32_t);
}

/* n of them, from `place` on, to another ring of the same form. */
static void copy_run(struct ring *to, uint32_t to_place, const struct ring *from,
                     uint32_t place, uint32_t n)
{
    size_t each = time_bytes(from);
    memcpy(to->values + to_place, from->values + place, n * sizeof(double));
    memcpy((char *)to->times + to_place * each, (const char *)from->times + place * each,
           n * each);
}

static void copy_all(struct ring *to, const struct ring *from, uint32_t n)
{
    if (to->unit == from->unit && to->base == from->base) {
        uint32_t to_edge = from->cap - from->at, first = n < to_edge ? n : to_edge;
        copy_run(to, 0, from, from->at, first);
        copy_run(to, first, from, 0, n - first);
        return;
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t place = ring_place(from, i);
        ring_set(to, i, (struct point){ring_time(from, place), from->values[place]});
    }
}

bool ring_resize(struct ring *r, uint32_t cap, size_t extra, uint32_t n, struct wall next)
{
    struct ring fresh = {.cap = cap, .unit = r->unit, .base = r->base};
    if (r->unit == 0 || !ring_takes(r, next)) {
        fresh.unit = unit_for(r, n, next, &fresh.base);
    }
    fresh.values = malloc(ring_bytes(&fresh, extra));
    if (!fresh.values) {
        return false;
    }
    fresh.times = fresh.values + cap + extra;
    if (n > 0) {
        copy_all(&fresh, r, n);
    }
    free(r->values);
    *r = fresh;
    return true;
}

void ring_shift(struct ring *r, uint32_t n, int64_t by_us)
{
    r->base = (int64_t)((uint64_t)r->base + (uint64_t)by_us);
    for (uint32_t i = 0; r->unit == 0 && i < n; i++) {
        uint32_t place = ring_place(r, i);
        set_time(r, place, wall_shifted(ring_time(r, place), by_us).us);
    }
}

void ring_free(struct ring *r)
{
    free(r->values);
    *r = (struct ring){0};
}

size_t ring_bytes(const struct ring *r, size_t extra)
{
    return (r->cap + extra) * sizeof(double) + r->cap * time_bytes(r);
}
