/* The time of a reading (SPEC 3.3). Pure. */
#ifndef BRINK_DECODE_TIMESTAMP_H
#define BRINK_DECODE_TIMESTAMP_H

#include <stdbool.h>

#include "base/clock.h"
#include "base/status.h"
#include "base/text.h"

/* ISO 8601 calendar date and time:
 * 2026-01-01T00:00[:00[.fraction|,fraction]][Z|+hh:mm|+hhmm|+hh], also with a space for T
 * or in basic form (20260101T000000Z); a date alone is midnight. No zone: UTC. :60 is
 * taken as the next second. Fractions beyond microseconds are cut. E_SYNTAX: anything
 * else, also a day that the calendar has not, 24:00, and spaces around. */
enum brink_status timestamp_parse(struct text t, struct wall *ret_at) BRINK_MUST_CHECK;

/* The same for stamps that mostly lie in one minute, which is then read once: memo,
 * zeroed to begin with, holds the last one. */
#define TIMESTAMP_MINUTE_BYTES 16 /* YYYY-MM-DDThh:mm */
struct timestamp_memo {
    bool known;
    char minute[TIMESTAMP_MINUTE_BYTES];
    int64_t us;
};
enum brink_status timestamp_parse_near(struct text t, struct timestamp_memo *memo,
                                       struct wall *ret_at) BRINK_MUST_CHECK;

/* A number: |v| below 1e11 seconds, below 1e14 ms, below 1e17 us, else ns. To the nearest
 * microsecond. E_RANGE: not finite, or beyond the year 9999. */
enum brink_status timestamp_of_number(double v, struct wall *ret_at) BRINK_MUST_CHECK;

#endif
