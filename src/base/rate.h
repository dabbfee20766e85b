/* How often something may happen: so many times a second on average, with a burst of
 * RATE_BURST_S seconds' worth. Eight bytes each, no timer.
 *
 * The generic cell rate algorithm (ITU-T I.371): each event moves the time by which all
 * so far would have happened at an even pace; an event is refused while that time lies
 * more than the burst ahead. */
#ifndef BRINK_BASE_RATE_H
#define BRINK_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define RATE_MAX 1000000 /* a second */
#define RATE_BURST_S 10

struct rate {
    int64_t even_ns; /* by then all so far would have happened; {0}: nothing yet */
};

/* per_second 0: no limit; at most RATE_MAX. A refused event does not count. */
static inline bool rate_allows(const struct rate *r, uint32_t per_second, struct mono now)
{
    return per_second == 0 ||
           r->even_ns - now.us * 1000 < INT64_C(1000000000) * RATE_BURST_S;
}
/* n events happened, allowed or not yet asked for: n at most 2^32. */
static inline void rate_count(struct rate *r, uint32_t per_second, uint32_t n,
                              struct mono now)
{
    if (per_second > 0) {
        int64_t now_ns = now.us * 1000;
        r->even_ns = r->even_ns > now_ns ? r->even_ns : now_ns;
        r->even_ns += (INT64_C(1000000000) + per_second - 1) / per_second * n;
    }
}

#endif
