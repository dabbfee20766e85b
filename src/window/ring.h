/* The memory of a window's readings: a ring of (time, value), numbered on and on by the
 * window (internal.h). Values lie together, times beside them, both as narrow as loses
 * nothing.
 *
 * Values are doubles of 8 bytes; or, since a sensor reports in steps, whole numbers of 4
 * or 2 bytes: so many tenths, hundredths ... of one. A double is kept so only if the
 * division gives back the very same one.
 *
 * Times are microseconds of 8 bytes; or steps from a base, where all are whole steps
 * apart. Of these forms the first that holds all:
 *
 *      bytes   steps of        reach
 *      2       1 s             18 h
 *      4       1 ms            49 days
 *      4       1 us            71 min
 *
 * What does not fit the form at hand makes the ring anew. A time does so rarely: either
 * the readings are longer than three quarters of a narrow form's reach, and the ring
 * stays wide until it is resized; or a quarter of the reach is left behind it. A value
 * only ever makes the form wider or finer, until the ring is resized. */
#ifndef BRINK_WINDOW_RING_H
#define BRINK_WINDOW_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "window/window.h"

/* Digits behind the point of a value that is kept as a whole number. Powers of ten are
 * exact in a double up to far more. */
#define RING_PLACES_MAX 7

struct ring {
    void *values;     /* cap of them, then the times, then what the owner asked for */
    void *times;      /* in the same block */
    int64_t base;     /* microseconds; wraps */
    uint32_t cap, at; /* places; that of the oldest */
    uint32_t unit;    /* microseconds a step of a time; 0: whole times */
    uint8_t time_bytes, value_bytes;
    uint8_t places; /* a value is so many 10^-places; 0 where value_bytes is 8 */
};

extern const double ring_powers_of_ten[RING_PLACES_MAX + 1];

static inline struct wall ring_time(const struct ring *r, uint32_t place)
{
    uint64_t beyond;
    switch (r->time_bytes) {
    case sizeof(uint16_t):
        beyond = (uint64_t)((const uint16_t *)r->times)[place] * r->unit;
        break;
    case sizeof(uint32_t):
        beyond = (uint64_t)((const uint32_t *)r->times)[place] * r->unit;
        break;
    default:
        return (struct wall){((const int64_t *)r->times)[place]};
    }
    return (struct wall){(int64_t)((uint64_t)r->base + beyond)};
}

static inline double ring_value(const struct ring *r, uint32_t place)
{
    switch (r->value_bytes) {
    case sizeof(int16_t):
        return ((const int16_t *)r->values)[place] / ring_powers_of_ten[r->places];
    case sizeof(int32_t):
        return ((const int32_t *)r->values)[place] / ring_powers_of_ten[r->places];
    default:
        return ((const double *)r->values)[place];
    }
}

/* Of the n-th from the oldest on; n < cap. */
static inline uint32_t ring_place(const struct ring *r, uint64_t n)
{
    uint64_t i = r->at + n;
    return (uint32_t)(i < r->cap ? i : i - r->cap);
}

/* Can it be set in the form at hand? */
bool ring_takes(const struct ring *r, struct point p);
/* It is one that ring_takes(). */
void ring_set(struct ring *r, uint32_t place, struct point p);
void ring_copy(struct ring *r, uint32_t to, uint32_t from);
/* A block for `cap` readings, with the n that are there and a form that takes `next`, and
 * for `extra` doubles (ring_extra()). False: out of memory, nothing changed. */
bool ring_resize(struct ring *r, uint32_t cap, size_t extra, uint32_t n,
                 struct point next);
double *ring_extra(const struct ring *r);
void ring_shift(struct ring *r, uint32_t n, int64_t by_us);
void ring_free(struct ring *r); /* gives its block back */
size_t ring_bytes(const struct ring *r, size_t extra);

#endif
