/* The memory of a window's readings: a ring of (time, value), numbered on and on by the
 * window (internal.h). Values lie together, as doubles; times beside them, of 4 bytes
 * where that loses nothing: as distances from a base, in milliseconds if all of them are
 * whole ones, else in microseconds. A window whose readings are too far apart for that
 * (some 50 minutes in microseconds, 37 days in milliseconds) has times of 8 bytes.
 *
 * What does not fit the form at hand makes the ring anew, in the narrowest form that
 * holds all. Either it is longer than three quarters of a narrow form's reach, and stays
 * wide until it is resized; or a quarter of the reach is left behind it. So that is rare.
 */
#ifndef BRINK_WINDOW_RING_H
#define BRINK_WINDOW_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "window/window.h"

struct ring {
    double *values;   /* cap of them, then what the owner asked for, then the times */
    void *times;      /* uint32_t, or int64_t where unit is 0 */
    int64_t base;     /* microseconds; wraps */
    uint32_t cap, at; /* places; that of the oldest */
    uint16_t unit;    /* microseconds a step of a time; 0: whole times */
};

static inline struct wall ring_time(const struct ring *r, uint32_t place)
{
    if (r->unit == 0) {
        return (struct wall){((const int64_t *)r->times)[place]};
    }
    uint64_t beyond = (uint64_t)((const uint32_t *)r->times)[place] * r->unit;
    return (struct wall){(int64_t)((uint64_t)r->base + beyond)};
}

/* Of the n-th from the oldest on; n < cap. */
static inline uint32_t ring_place(const struct ring *r, uint64_t n)
{
    uint64_t i = r->at + n;
    return (uint32_t)(i < r->cap ? i : i - r->cap);
}

/* Can it be set in the form at hand? */
bool ring_takes(const struct ring *r, struct wall at);
/* Its time is one that ring_takes(). */
void ring_set(struct ring *r, uint32_t place, struct point p);
void ring_copy(struct ring *r, uint32_t to, uint32_t from);
/* A block for `cap` readings, with the n that are there and room for one at `next` and
 * for `extra` doubles behind the values. False: out of memory, nothing changed. */
bool ring_resize(struct ring *r, uint32_t cap, size_t extra, uint32_t n,
                 struct wall next);
void ring_shift(struct ring *r, uint32_t n, int64_t by_us);
void ring_free(struct ring *r); /* gives its block back */
size_t ring_bytes(const struct ring *r, size_t extra);

#endif
